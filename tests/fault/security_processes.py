#!/usr/bin/python3
"""What processes hold: S7, every process of the service of a machine, started with what its unit leaves it, and of the daemon
of one user. Each inherits an open file and a variable that are no business of those who work for users.
usage: security_processes.py PTOOLS-SPAWN  (PTOOLS_TEST_DAEMON, _WORKER, _MODULES and PTOOLS_DAEMON as Meson sets them)"""
import os
import pwd
import sys

import msgpack
from security_rig import FRONT, GAMES, MAIL, Daemon, Peer, Service, check, children, descendants, figure, finish, name_of, until, user, work

SECRET = 'correct-horse-battery-staple'
leak = os.open(work + '/secret', os.O_RDWR | os.O_CREAT, 0o600)
os.write(leak, SECRET.encode())
os.dup2(leak, 60)
environment = {'PATH': '/usr/bin:/bin', 'AWS_SECRET_ACCESS_KEY': SECRET, 'LD_LIBRARY_PATH': '/nowhere'}
SETUID_SETGID = 1 << 7 | 1 << 6


def status_of(pid):
    with open(f'/proc/{pid}/status') as file:
        return dict(line.rstrip('\n').split(':\t', 1) if ':\t' in line else line.rstrip('\n').split(':', 1) for line in file)


def files_of(pid):
    """Of its descriptors those that are files or directories, and what they are."""
    found = {}
    for fd in os.listdir(f'/proc/{pid}/fd'):
        try:
            what = os.readlink(f'/proc/{pid}/fd/{fd}')
        except FileNotFoundError:
            continue
        if what.startswith('/') and not what.startswith('/memfd:'):
            found[int(fd)] = what
    return found


def numbers_of(pid):
    return sorted(int(fd) for fd in os.listdir(f'/proc/{pid}/fd'))


def read(pid, what):
    with open(f'/proc/{pid}/{what}', 'rb') as file:
        return file.read()


class Promise:
    """Of one kind of process: whose it is, its capabilities, and what it may have open."""

    def __init__(self, uid, may_open, groups=None, caps=0, bound=None, leaks=False, fds=None):
        self.uid, self.may_open, self.caps, self.bound, self.leaks, self.fds = uid, may_open, caps, bound, leaks, fds
        entry = pwd.getpwuid(uid)
        self.gid = entry.pw_gid
        self.groups = sorted(os.getgrouplist(entry.pw_name, entry.pw_gid)) if groups is None else groups


def broken(pid, promise, nnp=True):
    """What is not as promised."""
    status, bad = status_of(pid), []

    def expect(what, got, right):
        if got != right:
            bad.append(f'{what}: {got} instead of {right}')
    expect('Uid', status['Uid'].split(), [str(promise.uid)] * 4)
    expect('Gid', status['Gid'].split(), [str(promise.gid)] * 4)
    expect('Groups', sorted(map(int, status['Groups'].split())), promise.groups)
    for cap in 'CapInh', 'CapPrm', 'CapEff', 'CapAmb':
        expect(cap, int(status[cap], 16), promise.caps if cap in ('CapPrm', 'CapEff') else 0)
    if promise.bound is not None:
        expect('CapBnd', int(status['CapBnd'], 16) & ~promise.bound, 0)
    if nnp:
        expect('NoNewPrivs', status['NoNewPrivs'], '1')
    for fd, what in files_of(pid).items():
        if fd == 60 and promise.leaks:
            continue  # that of who is started so
        if not what.startswith(tuple(promise.may_open) + ('/dev/null',)):
            bad.append(f'descriptor {fd}: {what}')
    if promise.fds is not None:
        expect('descriptors', [fd for fd in numbers_of(pid) if fd not in promise.fds], [])
    if not promise.leaks:
        for what in 'environ', 'cmdline':
            if SECRET.encode() in read(pid, what):
                bad.append(f'the secret is in its {what}')
        if b'LD_LIBRARY_PATH' in read(pid, 'environ'):
            bad.append('LD_LIBRARY_PATH is in its environ')
    with user(MAIL):
        for what in 'environ', 'mem', 'maps', 'fd/0', 'cwd/.':
            try:
                os.close(os.open(f'/proc/{pid}/{what}', os.O_RDONLY))
                bad.append(f'another user can open its {what}')
            except OSError:
                pass
    return [f'{name_of(pid)} ({pid}): {text}' for text in bad]


def look(name, pids, promise, **options):
    bad = [text for pid in pids for text in broken(pid, promise, **options)]
    kinds = sorted({name_of(pid) for pid in pids})
    figure(f'S7 {name}', 'caps, groups, NoNewPrivs, descriptors, environment as promised',
           f"{len(pids)} processes ({', '.join(kinds)}), {len(bad)} things that are not", pids and not bad, pids and not bad, *bad)


def at_work(server):
    """Has a worker, a server task, an item in a process of its own, and a command: the process of the command, and those who
    have to stay while they are looked at."""
    peers = [Peer(server.path, GAMES) for _ in range(3)]
    peers[0].call('t.nop')
    peers[0].ask('stasks-start', count=1)
    body = {'argv': [b'/bin/sleep', b'1000'], 'env': [b'PATH=/usr/bin:/bin']}
    peers[1].send_frames(msgpack.packb([1, 'call', 1, {'function': 'command.run'}]), msgpack.packb([body]))
    peers[2].send_frames(msgpack.packb([1, 'call', 1, {'function': 't.sleep_ms', 'items': 1, 'isolated': True}]),
                         msgpack.packb([1000000]))

    def ready():
        below = descendants(server.top)
        of_workers = [name_of(child) for pid in below if name_of(pid).startswith('ptools-w') for child in children(pid)]
        return 'sleep' in of_workers and any(name.startswith('ptools-') for name in of_workers)
    assert until(ready), [name_of(pid) for pid in descendants(server.top)]
    return peers


def sort(top):
    """The processes below a daemon: the commands, and the others."""
    below = descendants(top)
    return [pid for pid in below if name_of(pid) == 'sleep'], [pid for pid in below if name_of(pid) != 'sleep']


# -- the service of a machine -----------------------------------------------------------------------------------------

seen = broken(os.getpid(), Promise(GAMES, []))
check('the test itself: of a process of root it sees what is not as promised', len(seen) > 8, *seen)

service = Service(sys.argv[1], env=environment, leak=[60], options=['[workers]\ncount=3\n'])
service.top = service.spawn.pid
peers = at_work(service)
daemon = service.daemon_of(GAMES)
state, log = f'{service.state}/users/{GAMES}', service.log.name
look('the front', [service.pid], Promise(FRONT, [service.dir, log], groups=[], bound=0, leaks=True))
# Root's files and groups are not those of whom it starts.
look('ptools-spawn', [service.spawn.pid], Promise(0, [log], groups=sorted(os.getgroups()), caps=SETUID_SETGID, bound=SETUID_SETGID,
                                                   leaks=True))
look('the daemon of a user', [daemon], Promise(GAMES, [state, log], bound=SETUID_SETGID))
commands, others = sort(daemon)
look('its template, workers, server tasks and items', others,
     Promise(GAMES, [state + '/output', state + '/workers.lock', log], bound=SETUID_SETGID))
look('a command', commands, Promise(GAMES, [state + '/output', log], bound=SETUID_SETGID, fds=[0, 1, 2]))
variables = {v.split(b'=')[0].decode() for v in read(daemon, 'environ').split(b'\0') if v}
allowed = {'HOME', 'USER', 'LOGNAME', 'SHELL', 'PATH', 'LANG', 'JOURNAL_STREAM'}
figure('S7 the environment of the daemon of a user', f'{sorted(allowed)} at most', sorted(variables), variables <= allowed)
for peer in peers:
    peer.close()
figure('S7 the service, at its end', 'status 0', service.end(), True)

# -- the daemon of one user ------------------------------------------------------------------------------------------------

daemon = Daemon(GAMES, options=['workers.count=3'], env=environment, leak=[60])
daemon.top = daemon.pid
peers = at_work(daemon)
commands, others = sort(daemon.pid)
mine, output = [daemon.dir, daemon.log.name], [daemon.dir + '/state/output', daemon.log.name]
fence = [daemon.dir + '/state/workers.lock']
look('the daemon of one user', [daemon.pid], Promise(GAMES, mine, groups=[], leaks=True), nnp=False)
look('its template, workers, server tasks and items', others, Promise(GAMES, output + fence, groups=[]), nnp=False)
look('a command', commands, Promise(GAMES, output, groups=[], fds=[0, 1, 2]), nnp=False)
for peer in peers:
    peer.close()
figure('S7 the daemon of one user, at its end', 'status 0', daemon.end(), True)
finish()
