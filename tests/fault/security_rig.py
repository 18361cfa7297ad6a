"""security_rig -- what the tests of the security figures share: TAP with figures, a daemon of one user, the service of a
machine (a front and a ptools-spawn), and peers that speak the protocol byte by byte, each as the user who it shall be.

A peer is whoever its process was, for the kernel, when it connected: so one process, root's, can be many users' peers.
The users are those that every machine has; daemon is the front's.

    figure(name, asked, measured, met, safe)   one line: the figure asked, the figure measured, ok or SHORT

Only `safe` decides whether the test passes: what holds on a slow machine, too. `met` is for people.
"""
import contextlib
import os
import pwd
import resource
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

GAMES, MAIL, NEWS, UUCP, FRONT = 5, 8, 9, 10, 1
STRANGER = 61234  # has no entry in /etc/passwd

if os.getuid() != 0:
    print('1..0 # SKIP only root can become other users')
    sys.exit(0)
try:
    import msgpack
except ImportError:
    print('1..0 # SKIP python3-msgpack is not installed')
    sys.exit(0)

work = tempfile.mkdtemp(prefix='ptools-test-', dir='/tmp')
os.chmod(work, 0o755)
os.umask(0o022)
for name in 'PTOOLS_ADDRESS', 'XDG_RUNTIME_DIR', 'PTOOLS_DIR':
    os.environ.pop(name, None)
resource.setrlimit(resource.RLIMIT_NOFILE, (16384, 16384))
_n = 0
_failed = 0


def check(name, good, *comments):
    """A comment that is a function is asked only if it is not good, and of what it says the end counts."""
    global _n, _failed
    _n += 1
    _failed += not good
    print(f"{'ok' if good else 'not ok'} {_n} - {name}")
    for comment in comments:
        if not callable(comment):
            print('# ' + str(comment)[:3000].replace('\n', '\n# '))
        elif not good:
            print('# ' + str(comment())[-3000:].replace('\n', '\n# '))
    sys.stdout.flush()


def figure(name, asked, measured, met, safe=None, *comments):
    check(f"{name}: asked {asked}; measured {measured}: {'ok' if met else 'SHORT'}", met if safe is None else safe, *comments)


def skip(why):
    """Instead of any figure."""
    print('1..0 # SKIP ' + why)
    shutil.rmtree(work, ignore_errors=True)
    sys.exit(0)


def finish():
    print(f'1..{_n}')
    shutil.rmtree(work, ignore_errors=True)
    sys.exit(0)


def until(what, seconds=30):
    """Asks again and again, until it is true: that, or what it was at the end."""
    end = time.monotonic() + seconds
    while True:
        got = what()
        if got or time.monotonic() > end:
            return got


@contextlib.contextmanager
def user(uid):
    """Who this process is for the kernel, within: its number and its group, and no other groups."""
    try:
        gid = pwd.getpwuid(uid).pw_gid
    except KeyError:
        gid = uid
    os.setgroups([])
    os.setegid(gid)
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


def children(pid):
    """None, if it has just ended."""
    try:
        with open(f'/proc/{pid}/task/{pid}/children') as file:
            return [int(child) for child in file.read().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def name_of(pid):
    with open(f'/proc/{pid}/comm') as file:
        return file.read().strip()


def state_of(pid):
    """R, S, D, T, Z; None: there is no such process."""
    try:
        with open(f'/proc/{pid}/stat') as file:
            return file.read().rsplit(')', 1)[1].split()[0]
    except OSError:
        return None


def descendants(pid):
    found = []
    for child in children(pid):
        found += [child] + descendants(child)
    return found


# -- control groups --------------------------------------------------------------------------------------------------


def control_group(controller, limit, value):
    """A group below our own where that controller (of version 1, or 2) has this limit: its directory. None: not possible here.
    limit: as it is called in version 1; there is a max in version 2."""
    with open('/proc/self/cgroup') as file:
        lines = [line.strip().split(':', 2) for line in file]
    for _, controllers, path in lines:
        if controller in controllers.split(','):
            root, name = '/sys/fs/cgroup/' + controller, f'{controller}.{limit}'
        elif not controllers:
            root, name = '/sys/fs/cgroup', controller + '.max'
        else:
            continue
        made = f"{root}{path.rstrip('/')}/ptools-test-{os.getpid()}"
        try:
            os.mkdir(made)
            with open(f'{made}/{name}', 'w') as file:
                file.write(str(value))
            return made
        except OSError:
            if os.path.isdir(made):
                os.rmdir(made)
    return None


def join(group, pids):
    for pid in pids:
        with open(group + '/cgroup.procs', 'w') as file:
            file.write(str(pid))


def leave(group):
    """When all in it have ended."""
    def is_empty():
        with open(group + '/cgroup.procs') as file:
            return not file.read()
    until(is_empty)
    os.rmdir(group)


# -- daemons ------------------------------------------------------------------------------------------------------


def _ready(command, log, nofile, leak, **options):
    """Starts a daemon that says READY on its descriptor 3: its process. leak: descriptors that it inherits for no reason."""
    def before():
        os.dup2(write, 3)  # which can be inherited
        if nofile:
            resource.setrlimit(resource.RLIMIT_NOFILE, (nofile, nofile))
    read, write = os.pipe()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=before, close_fds=True,
                               pass_fds=[3, *leak], **options)
    os.close(write)
    with os.fdopen(read) as file:
        assert file.readline() == 'READY\n', open(log.name, errors='replace').read()[-3000:]
    return process


class Daemon:
    """The daemon of one user."""

    def __init__(self, uid=GAMES, options=(), nofile=None, module_path=None, env=None, leak=()):
        self.dir = tempfile.mkdtemp(dir=work)
        self.path = self.dir + '/ptoolsd.sock'
        self.log = open(self.dir + '.log', 'w+')
        os.chown(self.dir, uid, pwd.getpwuid(uid).pw_gid)
        with user(uid):
            os.mkdir(self.dir + '/state', 0o700)
        command = [os.environ['PTOOLS_DAEMON'], '--workers', '1', '--dir', self.dir, '--state-dir', self.dir + '/state',
                   '--module-path', module_path or os.environ['PTOOLS_TEST_MODULES']]
        self.command = command + [word for option in options for word in ('-o', option)]
        self.how = {'nofile': nofile, 'leak': leak, 'user': uid, 'group': pwd.getpwuid(uid).pw_gid, 'extra_groups': [], 'env': env,
                    'cwd': '/'}
        self.again()

    def again(self):
        """Starts it; also anew, when it has ended, on what the one before has left."""
        self.process = _ready(self.command + ['--ready-fd', '3'], self.log, **self.how)
        self.pid = self.process.pid

    def start(self, *options, env=None):
        """The same, as root, and nobody waits until it is ready."""
        self.process = subprocess.Popen(self.command + [word for option in options for word in ('-o', option)], env=env,
                                        stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        self.pid = self.process.pid

    def open_to_all(self):
        """As an administrator may have it: whoever can connect is served."""
        os.chmod(self.dir, 0o711)
        for door in '/ptoolsd.sock', '/ptoolsd.fds':
            os.chmod(self.dir + door, 0o666)

    def logged(self):
        with open(self.log.name, errors='replace') as file:
            return file.read()

    def alive(self):
        return self.process.poll() is None

    def end(self):
        """Its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


class Service(Daemon):
    """The service of a machine: a front, and the daemons of users that ptools-spawn starts; both with what their units leave
    them of root's power."""

    def __init__(self, spawn, options=(), nofile=None, env=None, leak=()):
        base = tempfile.mkdtemp(dir=work)
        os.chmod(base, 0o755)
        self.dir, self.state = base + '/d', base + '/state'
        self.path = self.dir + '/ptoolsd.sock'
        self.log = open(base + '/log', 'w+')
        os.mkdir(self.dir)
        os.chown(self.dir, FRONT, FRONT)
        os.mkdir(self.state)
        os.mkdir(self.state + '/users')
        os.chown(self.state + '/users', 0, FRONT)
        os.chmod(self.state + '/users', 0o1771)
        config, self.spawn_path = base + '/conf', base + '/spawn.sock'
        modules = ''.join(f'path={d}\n' for d in os.environ['PTOOLS_TEST_MODULES'].split(':'))
        with open(config, 'w') as file:
            file.write(f"[daemon]\nstate_dir={self.state}\nworker_program={os.environ['PTOOLS_TEST_WORKER']}\n"
                       f'[modules]\npath=\n{modules}[workers]\ncount=1\nmemory_max=0\n'
                       f'[users]\napart=yes\nmin_uid=2\nspawn={self.spawn_path}\n' + ''.join(options))
        daemon = os.environ['PTOOLS_TEST_DAEMON']
        limit = (lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (nofile, nofile))) if nofile else None
        may = ['setpriv', '--no-new-privs', '--inh-caps=-all', '--bounding-set=-all']
        self.spawn = subprocess.Popen([*may[:-1], may[-1] + ',+setuid,+setgid', os.path.abspath(spawn), '--for', str(FRONT), '--daemon', daemon,
                                       '--dir', self.dir, '--state-dir', self.state + '/users', '--socket', self.spawn_path,
                                       '--min-uid', '2', '--config', config], stdin=subprocess.DEVNULL, stdout=self.log,
                                      stderr=self.log, preexec_fn=limit, pass_fds=leak, env=env, cwd='/')
        assert until(lambda: os.path.exists(self.spawn_path))
        self.process = _ready([*may, '--clear-groups', f'--regid={FRONT}', f'--reuid={FRONT}', daemon, '--config', config, '--dir',
                               self.dir, '--ready-fd', '3'], self.log, nofile, leak, env=env, cwd='/')
        self.pid = self.process.pid

    def daemon_of(self, uid):
        """Its process."""
        for pid in children(self.spawn.pid):
            if os.stat(f'/proc/{pid}/cmdline').st_uid == uid:
                return pid
        return None

    def end(self):
        status = Daemon.end(self)
        self.spawn.send_signal(signal.SIGTERM)
        return status or self.spawn.wait(60)


# -- peers -----------------------------------------------------------------------------------------------------------

GREETING = (b'\xff' + bytes(8) + b'\x7f\x03\x00' + b'NULL'.ljust(20, b'\0')).ljust(64, b'\0')


def command_frame(name, properties):
    data = bytes([len(name)]) + name + b''.join(bytes([len(k)]) + k + struct.pack('>I', len(v)) + v for k, v in properties)
    return (bytes([4, len(data)]) if len(data) < 256 else struct.pack('>BQ', 6, len(data))) + data


READY = command_frame(b'READY', [(b'Socket-Type', b'DEALER')])


def connect(path, uid, kind=socket.SOCK_STREAM):
    s = socket.socket(socket.AF_UNIX, kind)
    try:
        with user(uid):
            s.connect(path)  # which waits, where there are too many others
    except OSError:
        s.close()
        raise
    s.settimeout(30)
    return s


class Refused(Exception):
    """What the daemon said, or '' if it closed the connection without a word."""


class Peer:
    """A DEALER, of that user."""

    def __init__(self, path, uid, ready=READY, greeting=GREETING):
        self.socket, self.buffer, self.id = connect(path, uid), b'', 0
        try:
            self.socket.sendall(greeting + ready)
        except OSError:
            pass  # refused already: what it said is there to read
        self._take(64)
        kind, body = self._frame()
        if kind & 4 and body.startswith(b'\x05ERROR'):
            raise Refused(body[7:].decode())

    def _take(self, n):
        while len(self.buffer) < n:
            try:
                got = self.socket.recv(65536)
            except ConnectionResetError:
                got = b''
            if not got:
                raise Refused('')
            self.buffer += got
        taken, self.buffer = self.buffer[:n], self.buffer[n:]
        return taken

    def _frame(self):
        flags, n = self._take(2)
        if flags & 2:
            n = struct.unpack('>Q', bytes([n]) + self._take(7))[0]
        return flags, self._take(n)

    def send_frames(self, *frames):
        out = b''
        for i, frame in enumerate(frames):
            out += struct.pack('>BQ', (i < len(frames) - 1) | 2, len(frame)) + frame
        self.socket.sendall(out)

    def receive(self):
        """The frames of the next message, as they are."""
        frames, more = [], True
        while more:
            flags, body = self._frame()
            more = flags & 1
            frames.append(body)
        return frames

    def raw(self, kind, body, payload=None, id=1):
        """The answer as it came. An event that comes meanwhile is none."""
        self.send_frames(msgpack.packb([1, kind, id, body]), *([] if payload is None else [payload]))
        return self.receive()

    def ask(self, kind, payload=None, **body):
        """Kind, body and value of the answer."""
        self.id += 1
        frames = self.raw(kind, body, None if payload is None else msgpack.packb(payload), self.id)
        _, kind, _, body = msgpack.unpackb(frames[0])
        value = msgpack.unpackb(frames[1], strict_map_key=False) if len(frames) > 1 else None
        return kind, body, value

    def call(self, function, *args):
        kind, body, value = self.ask('call', list(args), function=function)
        assert kind == 'reply', body
        return value

    def inspect(self, what):
        return self.ask('inspect', what=what)[2]

    def close(self):
        self.socket.close()


class Door:
    """The door of descriptors, of that user, with the token of a connection."""

    ARRAY, LANE, SHARED, GIVE = 1, 2, 3, 4

    def __init__(self, peer, uid, token=None):
        hello = peer.ask('hello', versions=[1, 1], client='security')[1]
        self.token = hello['token'] if token is None else token
        self.socket = connect(hello['door'], uid, socket.SOCK_SEQPACKET)

    def raw(self, kind, id=0, index=0, flags=0, owner=2**32 - 1, name=b'', prefix=b''):
        """The answer as it came, and its descriptors. b'': it was closed."""
        try:
            self.socket.send(struct.pack('<II16sQ16xIIII72s72s', 0x31646670, kind, self.token, id, index, flags, owner, 0,
                                         name, prefix))
            answer, fds, _, _ = socket.recv_fds(self.socket, 1024, 4)
        except OSError:
            return b'', []
        return answer, fds

    def code(self, *args, **options):
        answer, fds = self.raw(*args, **options)
        for fd in fds:
            os.close(fd)
        return struct.unpack_from('<I', answer, 4)[0] if answer else None
