#!/bin/bash
# service.sh PACKAGES -- what an administrator does with the packages in that directory, on a machine of its own
# (boot.sh): install, start, two users at work, trouble, upgrade, remove. TAP.
set -u
here=$(cd "$(dirname "$0")" && pwd)
packages=$1
work=$(mktemp -d /tmp/ptools-test-XXXXXX) || exit 99
machine=$work/machine
n=0

if ! why=$("$here/boot.sh" start "$machine"); then
        echo "1..0 # SKIP $why"
        rm -rf "$work"
        exit 0
fi
finish() {
        "$here/boot.sh" stop "$machine"
        rm -rf "$work"
}
trap finish EXIT

# m COMMAND...: in the machine, as root; its output is in out
m() { timeout 120 "$here/boot.sh" run "$machine" "$@" > "$work/out" 2>&1; }
# as USER SCRIPT: by a login shell
as() { m su - "$1" -c "$2"; }
# background NAME USER SCRIPT: the same, beside what follows; its output is in NAME
background() { timeout 120 "$here/boot.sh" run "$machine" su - "$2" -c "$3" > "$work/$1" 2>&1 & }
said() { grep -q -- "$1" "$work/out"; }
# until_said PATTERN COMMAND...: for 60 seconds at most
until_said() {
        local end=$((SECONDS + 60)) pattern=$1
        shift
        until m "$@" && said "$pattern"; do
                [ $SECONDS -lt $end ] || return 1
        done
}
check() {
        local status=$?
        n=$((n + 1))
        if [ $status -eq 0 ]; then
                echo "ok $n - $1"
        else
                echo "not ok $n - $1"
                head -c 4000 "$work/out" | sed 's/^/# /'
        fi
}
pid_of() { "$here/boot.sh" run "$machine" systemctl show -p MainPID --value "$1"; }
# daemon_of USER: its pid
daemon_of() { "$here/boot.sh" run "$machine" pgrep -u "$1" -x ptoolsd; }

# -- installation ---------------------------------------------------------------------------------------------

root=$machine/m/root/root
cp "$packages"/*.deb "$root"
m sh -c 'dpkg -i /root/ptoolsd_*.deb /root/libptools0_*.deb /root/libptools-dev_*.deb'
check "three packages are installed"
m systemctl is-active ptoolsd.service ptoolsd.socket
! said '^active' && m systemctl is-enabled ptoolsd.service && false || said disabled
check "nothing is started or enabled by that"
m systemctl enable --now ptoolsd && m systemctl is-active ptoolsd.service && m systemctl status ptoolsd && said 'Status: "Serving'
check "systemctl enable --now ptoolsd"
m systemd-analyze verify ptoolsd.service ptoolsd.socket ptools-spawn.service ptools-spawn.socket ptools-users.service && [ ! -s "$work/out" ]
check "systemd-analyze verify has nothing to say"
m systemd-analyze security --no-pager --threshold=15 ptoolsd.service && said 'SAFE'
check "systemd-analyze security: $(sed -n 's/.*level for \(.*\)/\1/p' "$work/out" | tr -dc 'a-zA-Z0-9.: ')"
m useradd -m -s /bin/bash alice && m useradd -m -s /bin/bash bob && m useradd -m -s /bin/bash -G ptools-admin carol
check "three users, one of them an admin"

# -- users ----------------------------------------------------------------------------------------------------

as alice 'ptools run -- id -un' && [ "$(cat "$work/out")" = alice ] && as bob 'ptools run -- id -un' && [ "$(cat "$work/out")" = bob ]
check "each user's work runs as that user"
m sh -c 'for pid in $(pgrep -x ptools-spawn) $(pgrep -u alice -x ptoolsd) $(pgrep -u bob -x ptoolsd); do readlink /proc/$pid/fd/2; done | sort -u' &&
        [ "$(grep -c '^socket:' "$work/out")" = 3 ]
check "each has a way to the journal of its own, which nobody else can shut"
as alice 'ptools run -- bash -c "ulimit -u"' && [ "$(cat "$work/out")" -le 8192 ]
check "no user can take all processes that the service may have"
as alice 'ptools call math.square 12' && [ "$(cat "$work/out")" = 144 ]
check "functions of the installed modules"
awk '/^```c$/ { i++; inside = 1; next } /^```/ { inside = 0 } inside && i == 1' "$here/../../README.md" > "$machine/m/root/home/alice/square.c"
as alice 'cc square.c $(pkg-config --cflags --libs libptools) -o square && ./square' && [ "$(cat "$work/out")" = 144 ]
check "a program of a user, by pkg-config --cflags --libs libptools"
as alice 'ptools submit --durable -- sleep 0' && id=$(cat "$work/out") && as alice "ptools wait $id" &&
        ! as bob "ptools info $id" && said 'no queued task' && as carol "PTOOLS_DIR=/run/ptools/as/$("$here/boot.sh" run "$machine" id -u alice) ptools info $id" && said done
check "a task of one user: another has no such task, an admin sees it"
! m ptools status && said 'this service is for users from number 1000 on; you are 0'
check "root is told that it is not served"

# -- trouble --------------------------------------------------------------------------------------------------

work_of_alice='seq 2000000 | ptools pmap --json-lines math.square >squares 2>complaints; echo ended with $?'
work_of_bob='for i in $(seq 200); do ptools submit --durable -- sh -c "echo $i >>done" || echo lost $i; done >ids; echo submitted'

background alice alice "$work_of_alice"
background bob bob "$work_of_bob"
until_said '^[0-9]' find /home/alice/squares -size +10k -printf '1\n'
before=$(daemon_of alice) front=$(pid_of ptoolsd)
m kill -KILL "$front"
until_said active systemctl is-active ptoolsd
wait
[ "$(daemon_of alice)" = "$before" ] && [ "$(pid_of ptoolsd)" != "$front" ] && grep -q '^ended with 0' "$work/alice" &&
        as alice 'wc -l <squares; tail -n 1 squares' && [ "$(tr '\n' ' ' < "$work/out")" = '2000000 4000000000000 ' ]
check "the front is killed under load: systemd brings it back, a pmap that runs goes on"
grep -q '^submitted' "$work/bob" && as bob 'grep -c . ids; ! grep lost ids; ptools wait $(cat ids) && sort -n done | tr "\n" " "' &&
        said '^200$' && said "^$(seq 200 | tr '\n' ' ')$"
check "... and all of 200 tasks that were queued meanwhile ran once"

background alice alice "$work_of_alice"
until_said '^[0-9]' find /home/alice/squares -size +10k -printf '1\n'
m systemctl restart ptoolsd
wait
[ "$(daemon_of alice)" = "$before" ] && grep -q '^ended with 0' "$work/alice" && as alice 'tail -n 1 squares' && said '^4000000000000$'
check "systemctl restart during a pmap: it goes on, as do its workers"

as alice 'for i in $(seq 100); do ptools submit --durable --idempotent --attempts 20 -- sh -c "sleep 0.02; echo $i >>kept"; done >kept.ids'
for _ in 1 2 3; do
        m kill -KILL "$(daemon_of alice)"
        until as alice 'ptools status'; do :; done # after a pause
done
as alice 'ptools wait $(cat kept.ids) && sort -nu kept | tr "\n" " "' && said "^$(seq 100 | tr '\n' ' ')$"
check "the daemon of a user is killed three times: every task that was queued is done"

background alice alice "$work_of_alice"
until_said '^[0-9]' find /home/alice/squares -size +10k -printf '1\n'
m systemctl reload ptoolsd
wait
until_said 'template-renewed' journalctl -u ptools-users --no-pager && grep -q '^ended with 0' "$work/alice" && as alice 'tail -n 1 squares' &&
        said '^4000000000000$'
check "systemctl reload during a pmap: modules are loaded anew, and it goes on"

m mkdir -p /run/systemd/system/ptoolsd.service.d
printf '[Service]\nWatchdogSec=1\n' > "/proc/$(pgrep -P "$(cat "$machine/nspawn.pid")" | head -n 1)/root/run/systemd/system/ptoolsd.service.d/watchdog.conf"
m systemctl daemon-reload && m systemctl restart ptoolsd && front=$(pid_of ptoolsd) && m kill -STOP "$front"
until_said 'Watchdog timeout' journalctl -u ptoolsd --no-pager && until_said active systemctl is-active ptoolsd && as alice 'ptools status'
check "a front that stands still is ended by the watchdog, and followed by another"

# -- the journal of the system ----------------------------------------------------------------------------------

as alice 'ptools submit -- sh -c "kill -9 \$\$"' && id=$(cat "$work/out") && ! as alice "ptools wait $id"
until_said 'event=task-failed' journalctl --no-pager "TASK_ID=$id"
check "the journal is searched by TASK_ID"

m kill -SEGV "$(daemon_of alice)"
until_said 'event=user-daemon-gone' journalctl --no-pager -x -u ptoolsd && said 'The daemon of a user ended unexpectedly'
check "what an administrator may act upon is explained: journalctl -x"

# -- a daemon of one's own ------------------------------------------------------------------------------------

uid=$("$here/boot.sh" run "$machine" id -u bob)
own="export XDG_RUNTIME_DIR=/run/user/$uid;"
m loginctl enable-linger bob && until_said active systemctl is-active "user@$uid" &&
        as bob "$own systemctl --user start ptoolsd && systemctl --user is-active ptoolsd" && said '^active' &&
        as bob "$own ptools status" && said "directory *$(printf '/run/user/%s/ptools' "$uid")" &&
        as bob "$own ptools run -- id -un" && said '^bob$'
check "systemctl --user start ptoolsd: the same program as one's own daemon"
as bob "$own id=\$(ptools submit --durable --idempotent --attempts 3 -- sh -c 'sleep 1; echo again >>again') && sleep 0.2 && systemctl --user restart ptoolsd && ptools wait \$id && cat again" &&
        said again
check "... and a restart of it loses nothing that is queued"
as bob "$own systemctl --user stop ptoolsd.socket ptoolsd; ls /run/user/$uid/ptools" && ! said sock
check "... and it leaves no socket"

# -- upgrade and removal ------------------------------------------------------------------------------------------

as alice 'ptools submit --durable --idempotent -- sh -c "sleep 3; echo over >>upgraded"' && id=$(cat "$work/out")
front=$(pid_of ptoolsd)
m sh -c 'cd /root && dpkg-deb -R ptoolsd_*.deb new && sed -i "s/^Version: .*/&+1/" new/DEBIAN/control && dpkg-deb -b new new.deb && dpkg -i new.deb' &&
        m systemctl is-active ptoolsd && [ "$(pid_of ptoolsd)" != "$front" ] && as alice "ptools wait $id && cat upgraded" && said over
check "an upgrade: the new front serves, and what ran goes on"
as alice 'ptools submit --durable --delay 1h -- true' && as alice 'ptools submit -- sh -c "sleep 1; echo last >>last"'
m dpkg -r ptoolsd && until_said '^0$' sh -c 'pgrep -c -x "ptoolsd|ptools-worker|ptools-spawn"; :' && m cat /home/alice/last && said last &&
        m ls /etc/ptools/ptoolsd.conf /var/lib/ptools/users
check "removed: what ran has ended well, then all has ended; settings and queued tasks are kept"
m dpkg -P ptoolsd libptools-dev libptools0 && ! m ls /etc/ptools && ! m ls /var/lib/ptools
check "purged: nothing is left"
m systemctl --failed --no-legend && [ ! -s "$work/out" ]
check "no unit has failed"
echo "1..$n"
