#!/bin/sh
# Three users at once: one floods, one starves, one snoops and guesses; and one who only wants to work. What each could
# do is printed as a table.
# usage: hostile_users.sh PTOOLS-SPAWN  (PTOOLS_TEST_COMMAND, _DAEMON, _WORKER and _MODULES as Meson sets them)
# shellcheck source-path=SCRIPTDIR source=users_rig.sh
. "$(dirname "$0")/users_rig.sh"
python=/usr/bin/python3

start_front && start_spawn
check "the service is ready"

# Who only wants to work: uucp.
as_user uucp 0 submit --durable --key mine -- sh -c 'echo my secret' && secret=$(cat "$work/out") && as_user uucp 0 wait "$secret"
check "the work of one"

# -- they begin -----------------------------------------------------------------------------------------------

# games floods: more connections than a user may have, that say nothing; and a queue of 20,000.
: >"$work/flooded"
chown games "$work/flooded"
setpriv --reuid=games --regid=games --clear-groups "$python" - "$PTOOLS_DIR/ptoolsd.sock" "$work/flooded" <<'EOF' &
import socket, sys, time
path, flag = sys.argv[1:]
kept, refused, end = [], 0, time.monotonic() + 60
while time.monotonic() < end:
    s = socket.socket(socket.AF_UNIX)
    try:
        s.connect(path)
        kept.append(s)
    except OSError:
        refused += 1
    if len(kept) == 2000:
        with open(flag, 'w') as file:
            file.write('x')
        kept = kept[1000:]
EOF
flood=$!
# mail starves: all processors, for ever, and all the memory that it gets.
i=0
while [ $i -lt 8 ]; do
    as_user mail 0 submit -- sh -c 'while :; do :; done'
    i=$((i + 1))
done
check "a user who takes all processors"
until [ -s "$work/flooded" ]; do kill -0 $flood 2>/dev/null || break; done
[ -s "$work/flooded" ]
check "a user who floods the door"

# -- and work goes on --------------------------------------------------------------------------------------------

slow=0
i=0
begin=$(date +%s%N)
while [ $i -lt 20 ]; do
    as_user uucp 0 run -- true || slow=1
    i=$((i + 1))
done
ms=$((($(date +%s%N) - begin) / 20000000))
[ $slow -eq 0 ]
check "... and one who works: 20 commands of 20 were run"
echo "# $ms ms a command, beside them"

# -- the one who snoops: news ------------------------------------------------------------------------------------

daemon_pid=$(pid_of 10)
tried=0 got_in=0
snoop() { # WHAT COMMAND...: a command that must fail
    what=$1
    shift
    tried=$((tried + 1))
    if setpriv --reuid=news --regid=news --clear-groups "$@" >"$work/out" 2>&1; then
        got_in=$((got_in + 1))
        echo "# news could: $what"
    fi
}
for file in environ maps mem fd/0 root/etc cwd/x; do
    snoop "$file of a daemon" head -c 1 "/proc/$daemon_pid/$file"
done
worker_pid=$(pgrep -P "$daemon_pid" | head -n 1)
for file in environ maps mem fd/0; do
    snoop "$file of a worker" head -c 1 "/proc/$worker_pid/$file"
done
snoop "its journal" cat "$work/state/users/10/journal.db"
snoop "its directory" ls "$work/state/users/10"
snoop "a file in it" touch "$work/state/users/10/x"
snoop "another's directory before its time" mkdir "$work/state/users/33"
snoop "the sockets of admins" ls "$PTOOLS_DIR/as"
snoop "those of one user" "$python" -c "import socket; socket.socket(socket.AF_UNIX).connect('$PTOOLS_DIR/as/10/ptoolsd.sock')"
snoop "the socket of the service" rm -f "$PTOOLS_DIR/ptoolsd.sock"
snoop "one in its place" sh -c ": >'$PTOOLS_DIR/x'"
snoop "ending a worker" kill -KILL "$worker_pid"
snoop "ending a daemon" kill -STOP "$daemon_pid"
snoop "asking ptools-spawn" "$python" -c "
import socket, struct, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.connect('$work/spawn.sock')
a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
socket.send_fds(s, [struct.pack('<IIIiiIQ160s', 0x31726670, 1, 10, 0, 0, 0, 0, b'')], [b.fileno()])
b.close()
sys.exit(0 if a.recv(192) else 1)"
[ $got_in -eq 0 ]
check "... of $tried ways to look into what another has, none leads anywhere"

# Numbers near one that there is, and its key.
guesses=0 hits=0
for id in $(seq $((secret - 15)) $((secret + 15))); do
    guesses=$((guesses + 1))
    as_user news 125 info "$id" && complained NO_TASK || hits=$((hits + 1))
done
as_user news 125 result key:mine && complained NO_TASK || hits=$((hits + 1))
[ $hits -eq 0 ]
check "... nor do $guesses guessed numbers"
as_user uucp 0 log "$secret" && said 'my secret'
check "which its user alone can read"

# -- descriptors that are not wanted ---------------------------------------------------------------------------------

# Refused (root is not served), with a socket that takes ten minutes to close: who closed it would stand still as long.
# What is sent out of band is not seen by who looks first.
"$python" - "$PTOOLS_DIR/ptoolsd.sock" "$PTOOLS_DIR/ptoolsd.fds" <<'EOF'
import os, socket, struct, sys
listening = socket.create_server(("127.0.0.1", 0))
doors = ((sys.argv[1], socket.SOCK_STREAM, 0), (sys.argv[1], socket.SOCK_STREAM, socket.MSG_OOB),
         (sys.argv[2], socket.SOCK_SEQPACKET, 0))
for path, kind, flags in doors:
    for i in range(3):
        if os.fork():
            os.wait()
            continue
        slow = socket.create_connection(listening.getsockname())
        slow.setblocking(False)
        try:
            while True:
                slow.send(bytes(65536))
        except BlockingIOError:
            pass
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 600))
        door = socket.socket(socket.AF_UNIX, kind)
        door.connect(path)
        try:
            socket.send_fds(door, [b"x"], [slow.fileno()], flags)
            door.send(b"y")
        except OSError:
            pass  # it was closed already
        os._exit(0)  # and not close(): ours may be the last one by now, and would wait
EOF
begin=$(date +%s)
as_user uucp 0 status && [ $(($(date +%s) - begin)) -lt 30 ] && kill -0 $front
check "descriptors that are slow to close hold nobody up"
open_in_spawn() { find "/proc/$spawn/fd" -type l | wc -l; }
before=$(open_in_spawn)
setpriv --reuid=daemon --regid=daemon --clear-groups "$python" - "$work/spawn.sock" <<'EOF'
import os, socket, struct, sys
for i in range(20):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    s.connect(sys.argv[1])
    packet = struct.pack("<IIIiiIQ160s", 0x31726670, 1, 1, 0, 0, 0, 0, b"")
    socket.send_fds(s, [packet], [0, 0])          # two instead of one, for a user that is not served
    socket.send_fds(s, [packet[:50]], [0])        # too short
    s.recv(192)                                   # how that daemon ended
    s.close()
EOF
as_user uucp 0 status
tries=0
until [ "$(open_in_spawn)" -le "$before" ]; do
    tries=$((tries + 1))
    [ $tries -lt 1000 ] || break
done
[ $tries -lt 1000 ]
check "requests with other descriptors than one leave none in ptools-spawn"

kill $flood 2>/dev/null
wait $flood 2>/dev/null
tries=0 # what it had left in the queue of the door goes first
until as_user games 0 status >/dev/null; do
    tries=$((tries + 1))
    [ $tries -lt 1000 ] || break
done
[ $tries -lt 1000 ]
check "who flooded is served again when that is over"
as_user mail 0 kill --state running && kill $front && wait $front && kill $spawn && wait $spawn
check "all end"
front='' spawn=''
echo "# user   did                                  could"
echo "# games  2,000 connections at a time          be refused at its own daemon"
echo "# mail   8 endless loops                      take the processors that nobody else wanted: $ms ms a command beside it"
echo "# news   $tried ways to snoop, $guesses guesses        see nothing"
echo "1..$n"
