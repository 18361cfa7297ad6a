#!/usr/bin/python3
"""Who comes to the door: S1, a flood of connections; S2, peers that connect and do not go on; S4, peers that are not who
they say, or not whom the service is for. Of the daemon of one user, and of the service of a machine.
usage: security_doors.py PTOOLS-SPAWN  (PTOOLS_TEST_DAEMON, _WORKER, _MODULES and PTOOLS_DAEMON as Meson sets them)"""
import contextlib
import ctypes
import json
import os
import select
import socket
import struct
import sys
import time

from security_rig import (GAMES, GREETING, MAIL, NEWS, READY, STRANGER, Daemon, Peer, Refused, Service, check, command_frame,
                          connect, figure, finish, user, until)

spawn = sys.argv[1]
CONNECTS, RATE, NOFILE = 5000, 12000, 1024
KEPT = 64  # handshakes that may be unfinished at a time, and refused ones that are given time to read why


def apart(work):
    """Runs it in a process of its own, and gives it a way to say that its first half is over. Two functions: whether it has
    said so, and one that waits for its answer."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read)
        with os.fdopen(write, 'w') as file:
            answer = work(lambda: print(file=file, flush=True))
            json.dump(answer, file)
        os._exit(0)
    os.close(write)

    def wait():
        with os.fdopen(read) as file:
            value = json.load(file)
        os.waitpid(pid, 0)
        return value
    return lambda: select.select([read], [], [], 0)[0], wait


def ms(seconds):
    return f'{seconds * 1000:.1f} ms'


def part(values, of):
    """That part of them is not above it."""
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * of))] if values else 0.0


# -- S1 -----------------------------------------------------------------------------------------------------------


def flood(path, uid, said, over):
    """Connects, says no more than that, and looks how soon each is closed: the rate, the times, and how many never were."""
    poll, peers, times = select.epoll(), {}, []

    def closed(timeout):
        for fd, _ in poll.poll(timeout):
            s, since = peers.pop(fd)
            times.append(time.monotonic() - since)
            s.close()
    begin = time.monotonic()
    with user(uid):
        for i in range(CONNECTS):
            while (early := begin + i / RATE - time.monotonic()) > 0:
                closed(early)
            closed(0)
            s = socket.socket(socket.AF_UNIX)
            s.connect(path)
            with contextlib.suppress(OSError):  # refused already
                s.send(said)
            peers[s.fileno()] = s, time.monotonic()
            poll.register(s, select.EPOLLRDHUP)
    took = time.monotonic() - begin
    over()
    end = time.monotonic() + 20
    early = len(times)
    while peers and time.monotonic() < end:
        closed(1)
    return CONNECTS / took, sorted(times[:early]), times[early:], len(peers)


def s1(name, server, flooder, peers, said=b''):
    """peers: who works meanwhile, by name: a connection that is there already, or a user who comes anew for each call. If that
    user is the flooder, and does not get to send its greeting for a while, it has to make room now and then."""
    may_stay = KEPT * (2 if isinstance(server, Service) else 1)  # the front has such, and a daemon
    is_over, answer = apart(lambda over: flood(server.path, flooder, said, over))
    waits = {who: [] for who in peers}
    unanswered = []
    while not is_over():
        for who, peer in peers.items():
            begin = time.monotonic()
            try:
                one = peer if isinstance(peer, Peer) else Peer(server.path, peer)
                one.call('t.nop')
                if one is not peer:
                    one.close()
            except (Refused, OSError, AssertionError) as e:
                unanswered.append(f'{who}: {type(e).__name__} {e}')
            waits[who].append(time.monotonic() - begin)
    rate, early, last, never = answer()
    check(f'S1 {name}: the door is alive', server.alive())
    for who, times in waits.items():
        lost = [text for text in unanswered if text.startswith(who)]
        figure(f'S1 {name}, {CONNECTS} connects at {rate:.0f}/s, NOFILE {NOFILE}; {who}', '100 % answered, p99 < 100 ms',
               f'{len(times) - len(lost)} of {len(times)}, p99 {ms(part(times, .99))}, at most {ms(max(times))}',
               not lost and part(times, .99) < .1, len(lost) <= len(times) * (.02 if peers[who] == flooder else 0), *lost[:5])
    kept = [t for t in last if t >= 1]
    figure(f'S1 {name}, the {CONNECTS} themselves', f'refused ones closed < 1 s (the last {may_stay} may have their second)',
           f'{len(early)} during the flood, p99 {ms(part(early, .99))}, at most {ms(max(early, default=0))}; of the {len(last)} '
           f'behind it {len(kept)} after more than 1 s, at most {ms(max(last, default=0))}; {never} never',
           not never and len(kept) <= may_stay and max(early + last) < 2, not never)


# -- S2 -----------------------------------------------------------------------------------------------------------


def s2(name, server, uid, count):
    """count: how many connections of that user the daemon has."""
    half = GREETING + READY[:10]
    kinds = [b''] * 500 + [b'\xff'] * 500 + [half] * 100
    before = count()
    poll, peers, gone = select.poll(), {}, 0
    begin = time.monotonic()
    for said in kinds:
        s = connect(server.path, uid)
        try:
            s.send(said)
        except OSError:
            pass  # it is closed already
        peers[s.fileno()] = s
        poll.register(s, select.POLLRDHUP)
    last = time.monotonic()
    while peers and time.monotonic() < last + 20:
        for fd, _ in poll.poll(1000):
            poll.unregister(fd)
            peers.pop(fd).close()
            gone += 1
    took = time.monotonic() - last
    after = until(lambda: count() == before)
    figure(f'S2 {name}, 500 silent, 500 of one byte, 100 in half a handshake', 'all gone in 2 s, the count of their user as before',
           f'{gone} of {len(kinds)} gone, the last {ms(took)} after all had connected (in {ms(last - begin)}), the count '
           f'{count()} as before: {after}', gone == len(kinds) and took < 2 and after, gone == len(kinds) and after)


# -- S4 -----------------------------------------------------------------------------------------------------------


def refused(path, uid, *args):
    """Why; None: it was served."""
    try:
        peer = Peer(path, uid, *args)
        peer.inspect('status')
        peer.close()
    except Refused as e:
        return str(e) or 'closed'
    except OSError as e:
        return e.strerror
    return None


def mechanism(name, as_server=0):
    return (b'\xff' + bytes(8) + b'\x7f\x03\x01' + name.ljust(20, b'\0') + bytes([as_server])).ljust(64, b'\0')


def claims(**properties):
    return command_frame(b'READY', [(b'Socket-Type', b'DEALER')] + [(k.replace('_', '-').encode(), v) for k, v in properties.items()])


def become(uid, work):
    """Runs it in a process that is this user and nobody else: its exit status."""
    pid = os.fork()
    if pid == 0:
        os.setgroups([])
        os.setgid(60)
        os.setuid(uid)
        os._exit(work())
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def namespaced(path):
    """Root of its own namespace of users, games for all others: 0, if it is served as games."""
    code = """
import os, socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
s.sendall(bytes.fromhex(sys.argv[2]))
data = b""
while len(data) < 66:
    data += s.recv(4096)
sys.exit(3 if b"ERROR" in data[:80] or os.getuid() != 0 else 0)
"""
    return become(GAMES, lambda: os.execvp('unshare', ['unshare', '--user', '--map-root-user', '/usr/bin/python3', '-c', code,
                                                       path, (GREETING + READY).hex()]))


def credentials(path):
    """A peer that sends credentials of root along: 0, if the kernel does not let it."""
    def work():
        s = socket.socket(socket.AF_UNIX)
        s.connect(path)
        try:
            s.sendmsg([GREETING], [(socket.SOL_SOCKET, 2, struct.pack('3i', 1, 0, 0))])  # SCM_CREDENTIALS
            return 1
        except PermissionError:
            return 0
    return become(MAIL, work)


def s4(name, server, wanted, task, others):
    """wanted: who is let in, others: {who is not: their number}; task: an id of a task of games."""
    good, said = 0, []

    def expect(what, ok):
        nonlocal good
        good += bool(ok)
        said.append(f"{'as promised' if ok else 'NOT SO'}: {what}")
    for who, uid in others.items():
        why = refused(server.path, uid)
        expect(f'{who} is refused: {why}', why)
    for bad in b'PLAIN', b'CURVE', b'GSSAPI', b'', b'NULL\0X', b'null':
        why = refused(server.path, wanted, READY, mechanism(bad))
        expect(f'mechanism {bad!r} is refused: {why}', why)
    why = refused(server.path, wanted, READY, mechanism(b'NULL', 1))
    expect(f'as-server with NULL is refused: {why}', why)
    why = refused(server.path, wanted, command_frame(b'HELLO', [(b'Username', b'root')]), mechanism(b'PLAIN'))
    expect(f"PLAIN's HELLO is refused: {why}", why)
    unknown = Peer(server.path, wanted).ask('task-get', task=task + 5000)[1]
    for forged in (claims(User_Id=b'uid:5'), claims(User_Id=b'games'), claims(User_Id=b'0'), claims(Identity=b'games'),
                   claims(Peer_Address=b'5:60:1'), claims(User_Id=b'uid:5', Identity=b'\0\0\0\0\1')):
        answer = Peer(server.path, wanted, forged).ask('task-get', task=task)[1]
        expect(f'{forged[28:]!r} makes nobody of its sender: {answer}', answer.get('code') == unknown['code'] == 49)
    if wanted == MAIL:
        expect('credentials of root that a user sends along are denied by the kernel', credentials(server.path) == 0)
    figure(f'S4 {name}', '100 % refused, or who they are by SO_PEERCRED alone', f'{good} of {len(said)}', good == len(said),
           good == len(said), *said)


# -- descriptors that take long to close -------------------------------------------------------------------------------


def slow(listening):
    """A socket of which the last close() takes ten minutes."""
    s = socket.create_connection(listening.getsockname())
    s.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            s.send(bytes(65536))
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 600))
    return s


def slow_to_close(service):
    """Sent to the front by one who is refused, and by a user who has taken the place of the own daemon: the front is free for
    another all the while."""
    listening = socket.create_server(('127.0.0.1', 0))
    Peer(service.path, MAIL).call('t.nop')
    waits = []
    for way in range(5):
        s = slow(listening)
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack('i', s.fileno()))]
        if way < 3:
            end = connect(service.path, 0)
            end.sendmsg([b'x'], rights, socket.MSG_OOB if way > 0 else 0)
            if way > 1:
                end.send(b'y')
        else:
            Peer(service.path, GAMES).call('t.nop')
            pidfd = os.pidfd_open(service.daemon_of(GAMES))
            end = socket.socket(fileno=ctypes.CDLL(None).syscall(438, pidfd, 3, 0))  # pidfd_getfd(): its link to the front
            os.close(pidfd)
            try:
                end.sendmsg([b'x' if way > 3 else b''], rights)
            except BrokenPipeError:  # the front's end takes nothing: so ours is the last one
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 0, 0))
        end.close()
        s.setblocking(True)  # ours is not the last one, if it goes now
        os.close(s.detach())
        for _ in range(20):
            begin = time.monotonic()
            peer = Peer(service.path, MAIL)
            peer.call('t.nop')
            peer.close()
            waits.append(time.monotonic() - begin)
            select.select([], [], [], .01)  # what the front keeps for a while goes meanwhile
    until(lambda: Peer(service.path, GAMES) is not None)
    figure('S4 service, sockets that take ten minutes to close, sent in 5 ways', 'no other user waits',
           f'at most {ms(max(waits))}', max(waits) < .1, max(waits) < 10)


def queued(path, uid):
    return Peer(path, uid).ask('task-submit', [], function='t.nop')[1]['task']


# -- of one user ------------------------------------------------------------------------------------------------------

daemon = Daemon(GAMES, nofile=NOFILE)
worker = Peer(daemon.path, GAMES)
worker.call('t.nop')
s1('one user', daemon, GAMES, {'a client that is there': worker, 'the same user, anew each time': GAMES})
watch = Peer(daemon.path, GAMES)
s2('one user', daemon, GAMES, lambda: watch.inspect('status')['clients'])
s4('one user', daemon, GAMES, 1, {'another user': MAIL, 'a user without an entry': STRANGER})
daemon.open_to_all()
s4('one user, open to all', daemon, MAIL, queued(daemon.path, GAMES), {})
figure('S1 one user', 'status 0 at the end', daemon.end(), daemon.process.returncode == 0)

# -- of a machine -----------------------------------------------------------------------------------------------------

service = Service(spawn, nofile=NOFILE)
there = {uid: Peer(service.path, uid) for uid in (GAMES, MAIL, NEWS)}
for peer in there.values():
    peer.call('t.nop')
s1('service', service, GAMES, {'another user, who is there': there[MAIL], 'another user, anew each time': MAIL,
                               "the flooder's own, that was there": there[GAMES]})
s1('service, of a user who is refused', service, 0, {'a user who is there': there[MAIL], 'one, anew each time': NEWS})
s1('service, of one who is refused and speaks', service, 0, {'a user who is there': there[MAIL], 'one, anew each time': NEWS}, GREETING)
for peer in there.values():
    peer.close()
watch = Peer(service.path, GAMES)
s2('service', service, GAMES, lambda: watch.inspect('status')['clients'])
s4('service', service, MAIL, queued(service.path, GAMES), {'root': 0, "the front's user": 1, 'a user without an entry': STRANGER})
slow_to_close(service)
status = namespaced(service.path)
figure('S4 service, root of a namespace of its own', 'taken for who it is outside: served as games', f'status {status}',
       status == 0, status in (0, 1))  # 1: no namespaces of users here
front = service.end()
figure('S1 service', 'status 0 at the end', front, front == 0)
finish()
