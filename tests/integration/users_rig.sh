# shellcheck shell=sh
# What the tests of users kept apart share, to be sourced: command_rig.sh, a front and a ptools-spawn that can be started, and
# the command as one user or another. As root alone, with users that every machine has: daemon is the front's, the group
# tape are the admins, others have work.
# (needs $1: the program ptools-spawn; PTOOLS_TEST_COMMAND, _DAEMON, _WORKER and _MODULES as Meson sets them)
[ "$(id -u)" -eq 0 ] || { echo "1..0 # SKIP only root can become other users"; exit 0; }
spawn_program=$1
. "$(dirname "$0")/command_rig.sh"
spawn=
front=

at_end() {
    for pid in $front $spawn; do
        kill "$pid" 2>/dev/null && wait "$pid"
    done
    for pid in $(daemons); do # of users, if one has outlived its front
        kill -KILL "$pid"
    done
}

# as_user USER[:GROUPS] STATUS ARG...: what the command does for a user
as_user() {
    user=${1%:*}
    groups=--clear-groups
    [ "$user" = "$1" ] || groups="--groups ${1#*:}"
    shift
    as="setpriv --reuid=$user --regid=$user $groups env HOME=/nonexistent timeout 60"
    run "$@"
}

# daemons: the processes that run for users, by their parameter
daemons() {
    for file in /proc/[0-9]*/cmdline; do
        tr '\0' ' ' <"$file" 2>/dev/null | grep -q -- "--front-fd 3 --dir $PTOOLS_DIR " && basename "$(dirname "$file")"
    done
}

# pid_of UID: of the daemon of this user
pid_of() {
    for pid in $(daemons); do
        [ "$(stat -c %u "/proc/$pid" 2>/dev/null)" != "$1" ] || echo "$pid"
    done
}

start_spawn() {
    "$spawn_program" --for daemon --daemon "$PTOOLS_TEST_DAEMON" --dir "$PTOOLS_DIR" --state-dir "$work/state/users" \
        --socket "$work/spawn.sock" --min-uid 3 --config "$work/conf" 2>>"$work/spawn.log" &
    spawn=$!
    until [ -S "$work/spawn.sock" ]; do kill -0 $spawn || return 1; done
}

# start_front OPTION...
start_front() {
    setpriv --reuid=daemon --regid=daemon --groups tape "$PTOOLS_TEST_DAEMON" --config "$work/conf" --dir "$PTOOLS_DIR" \
        --ready-fd 3 "$@" 3>"$work/ready" >>"$work/log" 2>&1 &
    front=$!
    read -r line <"$work/ready"
    [ "$line" = READY ]
}

chmod 755 "$work"
mkdir "$PTOOLS_DIR" "$work/state" "$work/state/users"
chown daemon:daemon "$PTOOLS_DIR"
chown root:daemon "$work/state/users"
chmod 1771 "$work/state/users"
mkfifo "$work/ready"
cat >"$work/conf" <<EOF
[daemon]
state_dir=$work/state
worker_program=$PTOOLS_TEST_WORKER
[modules]
path=
EOF
(IFS=:; for dir in $PTOOLS_TEST_MODULES; do echo "path=$dir"; done) >>"$work/conf"
cat >>"$work/conf" <<EOF
[workers]
count=2
memory_max=0
[users]
apart=yes
min_uid=2
idle_s=0
spawn=$work/spawn.sock
admins=tape
EOF
