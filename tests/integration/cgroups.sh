#!/bin/sh
# A control group for each worker: what is in it, who ends with it, and whose it is. What groups limit is tried where the
# kernel limits something: tests/system/limits.sh.
# usage: cgroups.sh PTOOLS-SPAWN  (PTOOLS_TEST_COMMAND, _DAEMON, _WORKER and _MODULES as Meson sets them)
# shellcheck source-path=SCRIPTDIR source=users_rig.sh
. "$(dirname "$0")/users_rig.sh"
# shellcheck disable=SC2016 # what stands in '' is for other shells

for root in /sys/fs/cgroup /sys/fs/cgroup/unified; do
    [ ! -e "$root/cgroup.procs" ] || own=$root$(sed -n 's/^0:://p' /proc/self/cgroup)
done
group=${own-}/ptools-test-$$
if ! mkdir "$group" 2>/dev/null || [ ! -e "$group/cgroup.kill" ]; then
    echo "1..0 # SKIP no control groups of version 2 can be made here"
    exit 0
fi

# until_so COMMAND...: it is asked until it is so, or for ten seconds
until_so() {
    end=$(($(date +%s) + 10))
    until "$@"; do
        [ "$(date +%s)" -lt $end ] || return 1
    done
}
remove_groups() { find "$group" -depth -type d -exec rmdir {} \; 2>/dev/null; [ ! -d "$group" ]; }
at_end() {
    echo 1 >"$group/cgroup.kill"
    [ -z "$front" ] || kill "$front"
    until_so remove_groups
    daemon=
}

# inside NAME PROGRAM ARG...: the program, in the group of this name
inside() {
    mkdir -p "$group/$1"
    as_is=$group/$1
    shift
    exec sh -c 'echo $$ >"$0/cgroup.procs" && exec "$@"' "$as_is" "$@"
}
# start_in NAME SETTING: a daemon for one user, with workers.cgroup=SETTING
start_in() {
    inside "$1" "$PTOOLS_DAEMON" --workers 2 --dir "$work/one" --ready-fd 3 -o "workers.cgroup=$2" 3>"$work/ready" >>"$work/log" 2>&1 &
    daemon=$!
    read -r line <"$work/ready" && [ "$line" = READY ]
}
# mark NAME: as systemd does with Delegate=
mark() { mkdir -p "$group/$1" && python3 -c 'import os, sys; os.setxattr(sys.argv[1], "user.delegate", b"1")' "$group/$1"; }
# has NAME GROUP...: below it are these and no others
has() {
    name=$1
    shift
    there=$(cd "$group/$name" && find . -mindepth 1 -maxdepth 1 -type d | sort | tr -d './' | xargs)
    echo "$name: $there" >"$work/out"
    [ "$there" = "$*" ]
}
gone() { ! kill -0 "$1" 2>/dev/null || grep -q '^State:.Z' "/proc/$1/status" 2>/dev/null; }
# members NAME...: all who are in these groups, but for the stray
members() { for name; do cat "$group"/$name/cgroup.procs; done | grep -vx "$stray"; }
# leave_stray run 0, or as_user USER 0: a command leaves a process behind, which is in no process group and session of its and nobody's child
leave_stray() {
    : >"$work/stray"
    chmod 666 "$work/stray"
    "$@" submit -- sh -c 'setsid sh -c "echo \$\$ >\"\$0\"; exec sleep 1000" "$0" & exec sleep 1000' "$work/stray" &&
        id=$(cat "$work/out") && until_so test -s "$work/stray" && stray=$(cat "$work/stray") && ! gone "$stray"
}

# -- a daemon of one's own ------------------------------------------------------------------------------------------

users_dir=$PTOOLS_DIR
export PTOOLS_DIR="$work/one"
mkdir "$PTOOLS_DIR"

start_in auto auto && has auto && run 0 status --json &&
    said '"cgroups":{"used":false,"limits":"","why":"the control group of this daemon is not left to it'
check "a group that is not left to the daemon is left alone"
run 0 doctor && said '^control groups .*without .*not left to it'
check "doctor says so"
stop_daemon
mark auto && start_in auto auto && run 0 status --json && said '"cgroups":{"used":true' && has auto daemon w1-1 w2-2
check "one that is marked as left to it is used: a group for each worker"
stop_daemon && has auto daemon
check "they go with the daemon"
start_in no no && run 0 status --json && said '"used":false.*workers.cgroup is' && has no
check "workers.cgroup=no"
stop_daemon
start_in yes yes && has yes daemon w1-1 w2-2 && run 0 run -- cat /proc/self/cgroup && said "^0::.*/ptools-test-$$/yes/w[12]-"
check "workers.cgroup=yes, marked or not; a command is in the group of its worker"
(inside yes timeout 20 "$PTOOLS_DAEMON" --dir "$work/two" -o workers.cgroup=yes) >"$work/out" 2>&1
[ $? -eq 1 ] && said 'no-cgroups.*another daemon has the control group'
check "two daemons in one group: the second does not start"
run 125 run --pids 10 -- true && complained 'its limits: processes cannot be counted here'
check "a limit that cannot be set here: the command is not begun"
run 0 run --mem 500M --cpus 1 -- sh -c 'ulimit -v; nproc' && is "$(printf '512000\n1')"
check "others are set as those of processes"
leave_stray run 0 && kill -KILL $(members 'yes/w*') && until_so gone "$stray"
check "whoever is left when a worker dies ends with it"
until_so eval 'has yes daemon w1-3 w2-4 || has yes daemon w1-4 w2-3'
check "the group of a dead worker goes, and its successor has another"
leave_stray run 0 && kill -STOP $daemon $(members 'yes/w*') && kill -KILL $daemon $(members 'yes/w*') && wait $daemon
daemon=
! gone "$stray" && start_in yes yes && until_so gone "$stray"
check "a daemon and its workers killed in one instant: what these left ends at the next start"
stop_daemon && has yes daemon
check "nothing is left"

# -- a service for all ------------------------------------------------------------------------------------------------

PTOOLS_DIR=$users_dir
mark ptools-users.service && start_front
inside service "$spawn_program" --for daemon --daemon "$PTOOLS_TEST_DAEMON" --dir "$PTOOLS_DIR" --state-dir "$work/state/users" \
    --socket "$work/spawn.sock" --min-uid 3 --config "$work/conf" 2>>"$work/spawn.log" &
spawn=$!
until_so [ -S "$work/spawn.sock" ]
as_user games 0 run -- cat /proc/self/cgroup && said '^0::.*/ptools-users.service/5-[0-9]*/w[12]-' &&
    as_user mail 0 run -- cat /proc/self/cgroup && said '^0::.*/ptools-users.service/8-[0-9]*/w[12]-'
check "each user's daemon has a group, and its workers have theirs below it"
games=$(cd "$group/ptools-users.service" && echo 5-*)
as_user games 0 status --json && said '"used":true'
check "as its status says"
as_user games 2 run -- sh -c 'ls "$0"' "$group/ptools-users.service" && as_user mail 2 run -- sh -c 'mkdir "$0/x" 2>/dev/null || exit 2' "$group/ptools-users.service/$games" &&
    as_user mail 2 run -- sh -c 'echo 1 >"$0/cgroup.kill" || exit 2' "$group/ptools-users.service/$games"
check "users reach no group by its path, neither their own nor others'"
leave_stray as_user games 0 && kill -KILL "$(pid_of 5)" && until_so gone "$stray" && until_so [ ! -d "$group/ptools-users.service/$games" ]
check "what a user's daemon leaves when it dies ends with it"
as_user games 0 run -- true && leave_stray as_user games 0 && kill -KILL $spawn && wait $spawn
games=$(cd "$group/ptools-users.service" && echo 5-*)
kill -KILL "$(pid_of 5)" && until_so gone "$(cat "$group/ptools-users.service/$games/daemon/cgroup.procs")"
inside service "$spawn_program" --for daemon --daemon "$PTOOLS_TEST_DAEMON" --dir "$PTOOLS_DIR" --state-dir "$work/state/users" \
    --socket "$work/spawn.sock" --min-uid 3 --config "$work/conf" 2>>"$work/spawn.log" &
spawn=$!
until_so gone "$stray" && until_so [ ! -d "$group/ptools-users.service/$games" ] && as_user mail 0 run -- true
check "also if ptools-spawn was not there: the next one ends it, and leaves daemons alone that live"
echo "1..$n"
