#!/usr/bin/python3
"""Messages that shall hurt: malformed and huge ones, endless ones, descriptors that nobody asked for, identities, peers who do
not read. What is asked is of reliability: F49, F50, F51, F52, F57, F3, S3. Each case says what was measured; only what holds
on a slow machine is demanded.

The time that a refusal takes the daemon is its own processor time (/proc/PID/schedstat), its answer included: what others on
the machine do is not in it.

usage: bombs.py  (PTOOLS_TEST_COMMAND, _MODULES and PTOOLS_DAEMON as Meson sets them)
FAULT_BOMBS (60; full: 1000), FAULT_ROUNDS (20; 100), FAULT_RESULTS (100; 1000)
"""
import os
import socket
import struct
import sys
import tempfile
import time

import msgpack

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from security_rig import GAMES, MAIL, Daemon, Door, Peer, Refused, check, command_frame, figure, finish, until, work  # noqa: E402

BOMBS, ROUNDS, RESULTS = (int(os.environ.get(f'FAULT_{name}', n)) for name, n in (('BOMBS', 60), ('ROUNDS', 20), ('RESULTS', 100)))
BAD_REQUEST, LIMIT = 40, 41
STRIKES = 3


def used_us(daemon):
    with open(f'/proc/{daemon.pid}/schedstat') as file:
        return int(file.read().split()[0]) / 1000


def memory_kb(daemon, what='VmRSS'):
    with open(f'/proc/{daemon.pid}/status') as file:
        return int(file.read().split(what + ':')[1].split()[0])


def descriptors(daemon):
    return len(os.listdir(f'/proc/{daemon.pid}/fd'))


def median(values):
    return sorted(values)[len(values) // 2]


# -- F3, F51: what no decoder may believe -----------------------------------------------------------------------------


def envelope(body):
    return b'\x94\x01\xa4call\x01' + body


BOMB = {
    'an array of 4,278,190,080': b'\xdd\xff\x00\x00\x00',
    'an array of 1,879,048,192 in the body': envelope(b'\x81\xa8function\xdd\x70\x00\x00\x00'),
    'arrays 65,000 deep': b'\x91' * 65000,
    'arrays 100,000 deep': b'\x91' * 100000,
    'a map of 4,294,967,295': envelope(b'\xdf\xff\xff\xff\xff'),
    'a string of 4 GiB': envelope(b'\x81\xa8function\xdb\xff\xff\xff\xff'),
    'NaN where a number of milliseconds is': envelope(b'\x82\xa8function\xa5t.nop\xabdeadline_ms\xcb\x7f\xf8' + bytes(6)),
    'bytes behind the end': envelope(b'\x81\xa8function\xa5t.nop') + b'\xc0',
    'a key twice': envelope(b'\x82\xa8function\xa5t.nop\xa8function\xa5t.nop'),
    'no UTF-8': envelope(b'\x81\xa8function\xa5t.\xff\xfe\xfd'),
    'an extension type': envelope(b'\x81\xa8function\xc7\x05\x01t.nop'),
    'half a message': envelope(b'\x82\xa8function\xa5t.nop\xabdead'),
}
daemon = Daemon(GAMES, options=['workers.count=1'])
steady = Peer(daemon.path, GAMES)
steady.call('t.nop')


def throw(bomb, times):
    """Microseconds of the daemon for each, and from sending it to the answer; how many were refused."""
    own, trips, refused = 0.0, [], 0
    while len(trips) < times:
        peer = Peer(daemon.path, GAMES)
        before = used_us(daemon)
        for _ in range(min(STRIKES, times - len(trips))):
            asked = time.monotonic()
            peer.send_frames(bomb)
            _, kind, _, body = msgpack.unpackb(peer.receive()[0])
            trips.append((time.monotonic() - asked) * 1e6)
            refused += kind == 'error' and body['code'] in (BAD_REQUEST, LIMIT)
        own += used_us(daemon) - before
        peer.close()
    return own / times, median(trips), refused


for bomb in BOMB.values():
    throw(bomb, STRIKES)  # what is allocated once is there
resident, worst, refused, trip = memory_kb(daemon), (0, ''), 0, 0
for name, bomb in BOMB.items():
    own, median_trip, n = throw(bomb, BOMBS)
    refused += n
    worst = max(worst, (own, name))
    trip = max(trip, median_trip)
grown = memory_kb(daemon) - resident
figure(f'F3 {len(BOMB)} inputs, {BOMBS} times each', 'each is refused', f'{refused} of {BOMBS * len(BOMB)}', refused == BOMBS * len(BOMB))
figure('F3 the time of a refusal', 'less than 50 us',
       f'at most {worst[0]:.1f} us of the daemon ({worst[1]}), {trip:.0f} us until it is there', worst[0] < 50, worst[0] < 5000)
figure('F3 memory', 'less than 1 MiB more', f'{grown} KiB', grown < 1024, grown < 65536)  # a sanitizer keeps what was freed
check('F3 others are served', steady.call('t.echo', 1) == [1])

# -- F50, S3: endless ---------------------------------------------------------------------------------------------------

resident, sent, closed = memory_kb(daemon), {}, 0
for size in 0, 1, 1024:
    frame = struct.pack('>BQ', 3, size) + bytes(size)
    for _ in range(ROUNDS):
        peer = Peer(daemon.path, GAMES)
        n = 0
        try:
            while n < 1 << 20:
                peer.socket.sendall(frame * 16)
                n += 16
                peer.socket.setblocking(False)
                try:
                    if not peer.socket.recv(4096):
                        raise ConnectionResetError
                except BlockingIOError:
                    pass
                peer.socket.settimeout(30)
        except OSError:
            closed += 1
        sent[size] = max(sent.get(size, 0), n)
        peer.close()
figure(f'F50 messages without an end, frames of 0, 1 and 1024 bytes, {ROUNDS} each', 'each is cut off',
       f'{closed} of {3 * ROUNDS}, the last behind {max(sent.values())} frames; {memory_kb(daemon) - resident} KiB more',
       closed == 3 * ROUNDS, closed == 3 * ROUNDS and memory_kb(daemon) - resident < 65536)

# -- F49, S3: identities ------------------------------------------------------------------------------------------------


def ready(identity):
    return command_frame(b'READY', [(b'Socket-Type', b'DEALER'), (b'Identity', identity)])


right = 0
for i in range(ROUNDS):
    same = [Peer(daemon.path, GAMES, ready=ready(b'\0\0\0\0%c' % (i % 256) if i % 2 else b'x' * 255)) for _ in range(3)]
    for k, peer in enumerate(same):  # all under one name, at once; each gets its own answer
        peer.send_frames(msgpack.packb([1, 'call', 7, {'function': 't.echo'}]), msgpack.packb([100 * i + k]))
    right += [msgpack.unpackb(peer.receive()[1]) for peer in same] == [[100 * i + k] for k in range(3)]
    for peer in same:
        peer.close()
figure(f'F49 three clients of one identity at once, {ROUNDS} times: short ones, and of 255 bytes', 'each gets its own answer',
       f'{right} of {ROUNDS}', right == ROUNDS)

# -- F57: descriptors -----------------------------------------------------------------------------------------------------

until(lambda: steady.inspect('status')['clients'] == 1)
had = descriptors(daemon)
pipes = [fd for _ in range(127) for fd in os.pipe()]
directory = os.open(work, os.O_RDONLY | os.O_DIRECTORY)
null = os.open('/dev/null', os.O_RDWR)
fifo_path = tempfile.mktemp(dir=work)
os.mkfifo(fifo_path)
fifo = os.open(fifo_path, os.O_RDWR)
with tempfile.TemporaryFile(dir=work) as file:
    file.truncate(1 << 16)
    files = [os.dup(file.fileno()) for _ in range(253)]


def give(door, fds, kind=Door.GIVE):
    """What the daemon says: a code of its own, or None if it closed the door."""
    request = struct.pack('<II16sQ16xIIII72s72s', 0x31646670, kind, door.token, 0, 0, 0, 2 ** 32 - 1, 0, b'', b'')
    try:
        socket.send_fds(door.socket, [request], fds)
        answer = door.socket.recv(1024)
    except OSError:
        answer = b''
    return struct.unpack_from('<I', answer, 4)[0] if answer else None


answers = {}
for _ in range(ROUNDS):
    for what, kind, fds in (('253', Door.GIVE, pipes[:253]), ('253 files', Door.GIVE, files), ('253 unasked', Door.ARRAY, pipes[:253]),
                            ('a directory', Door.GIVE, [directory]),
                            ('a pipe', Door.GIVE, pipes[:1]), ('a FIFO', Door.GIVE, [fifo]), ('a device', Door.GIVE, [null])):
        door = Door(steady, GAMES)
        code = give(door, fds, kind)
        answers.setdefault(what, set()).add('closed' if code is None else code)
        door.socket.close()
fallen = until(lambda: descriptors(daemon) <= had)
refused = all(0 not in said for said in answers.values())
figure(f'F57 253 descriptors at a time, directories, pipes, FIFOs, devices, {ROUNDS} times each', 'none is taken, all are closed',
       f"{'; '.join(f'{what}: {sorted(said, key=str)}' for what, said in answers.items())}; {descriptors(daemon)} descriptors of {had}",
       refused and bool(fallen))
# At its limit there is no number left for what comes: the kernel says so, and closes it.
tight = Daemon(GAMES, options=['workers.count=1', 'limits.clients_max=64', 'limits.user_clients_max=64'], nofile=128)
first = Peer(tight.path, GAMES)
first.call('t.nop')
others = []
try:
    for _ in range(63):
        others.append(Peer(tight.path, GAMES))
except (OSError, Refused):
    pass
doors = [Door(first, GAMES) for _ in range(2)]
said = [give(door, pipes[:253]) for door in doors for _ in range(2)]
served = first.call('t.echo', 1) == [1]
for one in others:
    one.close()
until(lambda: first.inspect('status')['clients'] == 1)
figure(f'F57 253 descriptors for a daemon that may have 128, beside {len(others) + 1} clients', 'refused, and it serves',
       f'{said}, {"it does" if served else "it does not"}, {descriptors(tight)} descriptors afterwards', served and 0 not in said,
       served and 0 not in said and first.call('t.echo', 2) == [2] and tight.end() == 0)

# -- F52: who does not read -----------------------------------------------------------------------------------------------

daemon.open_to_all()
other = Peer(daemon.path, MAIL)


def trips(n):
    found = []
    for i in range(n):
        asked = time.monotonic()
        assert other.call('t.echo', i) == [i]
        found.append((time.monotonic() - asked) * 1000)
    return sorted(found)


before = trips(200)
resident = memory_kb(daemon)
with open(f'/proc/{daemon.pid}/clear_refs', 'w') as file:
    file.write('5')  # its peak is counted from here on
deaf = Peer(daemon.path, GAMES)
deaf.socket.settimeout(2)  # with 8 MiB of answers on their way the daemon reads no more
asked_for = 0
try:
    for i in range(RESULTS):
        deaf.send_frames(msgpack.packb([1, 'call', i + 1, {'function': 't.big'}]), msgpack.packb([1 << 20]))
        asked_for += 1
except TimeoutError:
    pass
during = []
while len(during) < 200 or (steady.inspect('status')['tasks']['waiting'] and len(during) < 20000):
    during += trips(20)
during.sort()
most = memory_kb(daemon, 'VmHWM')
figure(f'F52 a client who would ask for {RESULTS} results of 1 MiB, and reads none', 'bounded by what may wait for a client, 512 MiB',
       f'{asked_for} requests are taken, {(most - resident) / 1024:.0f} MiB more at most', most - resident < 600 << 10)
figure('F52 others meanwhile', 'are served', f'p99 {during[int(len(during) * 0.99)]:.1f} ms (before {before[int(len(before) * 0.99)]:.1f})',
       during[int(len(during) * 0.99)] < 100, True)
deaf.close()
until(lambda: steady.inspect('status')['clients'] == 2 and memory_kb(daemon) - resident < 32 << 10, 10)
figure('F52 when it has left', 'its memory is given back', f'{(memory_kb(daemon) - resident) / 1024:.0f} MiB more',
       memory_kb(daemon) - resident < 32 << 10, steady.inspect('status')['payload_bytes'] == 0)
check('the daemon ends well', daemon.end() == 0)
finish()
