#!/bin/sh
# What a user's own daemon can do to the front, and to all who come by it: a user may replace it, and say by its socket and
# its pipe what they like.
# usage: hostile_daemon.sh PTOOLS-SPAWN  (PTOOLS_TEST_COMMAND, _DAEMON, _WORKER and _MODULES as Meson sets them)
# shellcheck source-path=SCRIPTDIR source=users_rig.sh
. "$(dirname "$0")/users_rig.sh"
python=/usr/bin/python3

# What the programs below begin with. They run as root, who may take descriptors of any process; a user may of their own.
cat >"$work/hostile.py" <<'EOF'
import ctypes, os, select, signal, socket, struct, sys, time

def take_link(pid):  # the daemon's end of the front's socket
    libc = ctypes.CDLL(None, use_errno=True)
    fd = libc.syscall(438, os.pidfd_open(pid), 3, 0)  # pidfd_getfd
    assert fd >= 0, os.strerror(ctypes.get_errno())
    return socket.socket(fileno=fd)

listening = socket.socket()
listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
listening.bind(("127.0.0.1", 0))
listening.listen(4096)

def slow():  # a socket that takes ten minutes to close, for whoever closes the last one
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
    s.connect(listening.getsockname())
    s.setblocking(False)
    try:
        while True:
            s.send(bytes(65536))
    except BlockingIOError:
        pass
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 600))
    s.setblocking(True)
    return s
EOF
# hostile PROGRAM [ARG...]: it, behind that
hostile() {
    PYTHONPATH="$work" timeout 60 "$python" "$@" >"$work/out" 2>&1
}

start_front && start_spawn
check "the service is ready"

# -- its socket -----------------------------------------------------------------------------------------------------

# The service manager keeps the front's end: whatever lay in it would be closed by process 1 of the machine.
as_user games 0 submit -- sleep 1000 # it stays
hostile - "$(pid_of 5)" <<'EOF'
from hostile import *
link, s = take_link(int(sys.argv[1])), slow()
for send in lambda: socket.send_fds(link, [b"x"], [s.fileno()]), lambda: link.send(b"x"):
    try:
        send()
    except BrokenPipeError:
        continue
    os._exit(1)
os._exit(0)
EOF
check "nothing can be sent by it to the front, no descriptor and no byte"
as_user games 0 status
check "... and its user is served all the same"

# A daemon that closes what it gets at once: then the front's own is the last, with all that lies in it unread. The next
# connection is not heard of, if the front stands still. That it runs in the moment between is left to no chance here.
hostile - "$(pid_of 5)" $front "$PTOOLS_DIR/ptoolsd.sock" <<'EOF'
from hostile import *
daemon, front, path = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
link = take_link(daemon)
os.kill(daemon, signal.SIGSTOP)
signal.signal(signal.SIGALRM, lambda *_: None)
here = {min(os.sched_getaffinity(front))}
os.sched_setaffinity(front, here)
closing = os.fork()
if closing == 0:
    os.sched_setaffinity(0, here)
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
os.setresgid(60, 60, 60)
os.setresuid(5, 5, 5)
signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001) # does not stand still itself, where it has the last one
while closing == 0:
    try:
        select.select([link], [], [])
        os.close(socket.recv_fds(link, 192, 1, socket.MSG_DONTWAIT)[1][0])
    except (OSError, IndexError):
        pass
status = 0
for i in range(20):
    door, s = socket.socket(socket.AF_UNIX), slow()
    door.settimeout(20)
    door.connect(path)
    try:
        socket.send_fds(door, [b"x"], [s.fileno()])
        os.close(s.detach())
        door.recv(1)
    except TimeoutError:
        status = 1
        break
    except OSError: # it was faster
        pass
os.kill(closing, signal.SIGKILL)
os.kill(daemon, signal.SIGKILL)
os._exit(status)
EOF
check "a daemon that closes connections at once does not hold up the front"
as_user mail 0 status
check "... and others are served"

# -- a number that is another's now -----------------------------------------------------------------------------------

as_user uucp 0 status && [ "$(cat "$work/state/users/10.user")" = uucp ] && [ "$(stat -c %u "$work/state/users/10.user")" = 0 ]
check "the name of a user is kept with the number, where the user cannot change it"
until [ -z "$(pid_of 10)" ]; do :; done
printf somebody >"$work/state/users/10.user"
until as_user uucp 125 status && complained 'did not stay: number 10 was user somebody: an admin removes'; do
    complained 'did not stay' || complained LOST || break
done >/dev/null
complained 'number 10 was user somebody'
check "what another user had queued by the same number is not run, and not shown"
rm "$work/state/users/10.user"
until as_user uucp 0 status; do complained 'did not stay' || break; done >/dev/null
check "... and an admin can say that it is the same one"

# -- users that there are not ----------------------------------------------------------------------------------------

# Who has a range of numbers for containers can come as each of them.
kill $front && wait $front && start_front -o users.max=2
for uid in 300001 300002 300003; do
    setpriv --reuid=$uid --regid=60 --clear-groups "$PTOOLS_TEST_COMMAND" status >"$work/out" 2>&1
done
until as_user lp 0 status; do complained 'too many users' || break; done >/dev/null
[ -S "$PTOOLS_DIR/as/7/ptoolsd.sock" ]
check "numbers that no user has do not take the places of admins' doors"

kill $front && wait $front && kill $spawn && wait $spawn
check "all end"
front='' spawn=''
echo "1..$n"
