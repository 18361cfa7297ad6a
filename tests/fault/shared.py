#!/usr/bin/python3
"""Faults of shared arrays: clients that are killed while they have some, memory that is full, files that become shorter under
their readers. What is asked is of reliability: F39, F41, F42, R12, R13. Each case says what was measured; only what holds on
a slow machine is demanded.

The memory of an array is a memfd: it has no name that could stay, and is there exactly as long as a process has it open or
mapped. So what is left is looked for in the descriptors and the maps of all processes that could have one.

usage: shared.py SANITIZERS  (PTOOLS_TEST_COMMAND, _MODULES and PTOOLS_DAEMON as Meson sets them)
FAULT_ARRAYS (600; full: 10000), FAULT_CUTS (20; 100)
"""
import mmap
import os
import random
import signal
import socket
import struct
import sys
import time

import msgpack

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from security_rig import GAMES, Daemon, Door, Peer, Refused, check, children, control_group, descendants, figure, finish, join, \
    leave, until, work  # noqa: E402

ARRAYS, CUTS = (int(os.environ.get(f'FAULT_{name}', n)) for name, n in (('ARRAYS', 600), ('CUTS', 20)))
LIMIT, NO_SPACE = 41, 52
CLIENTS, EACH_BYTES, QUOTA = 200, 1 << 19, 64 << 20  # a third of them gets none
rng = random.Random(7)


def memory_of(pids):
    """The arrays that these processes have open or mapped: bytes, by inode. Those of the daemon's pages and of others are not
    called like that."""
    found = {}
    for pid in pids:
        try:
            for fd in os.listdir(f'/proc/{pid}/fd'):
                if os.readlink(f'/proc/{pid}/fd/{fd}').startswith('/memfd:ptools-array'):
                    st = os.stat(f'/proc/{pid}/fd/{fd}')
                    found[st.st_ino] = st.st_blocks * 512
            with open(f'/proc/{pid}/maps') as file:
                for line in file:
                    if '/memfd:ptools-array' in line:
                        found.setdefault(int(line.split()[4]), 1)
        except OSError:
            pass  # it has just ended
    return found


def family():
    return [os.getpid(), *descendants(os.getpid())]


# -- R12, F39: clients are killed ----------------------------------------------------------------------------------------


def client(tell):
    """One array after the other, mapped and written to; nothing is unlinked."""
    try:
        peer = Peer(daemon.path, GAMES)
        door = Door(peer, GAMES)
        held = []
        while len(held) < 3:
            kind, body, _ = peer.ask('array-create', type='uint8', dims=[EACH_BYTES])
            if kind != 'reply':
                os.write(tell, b'r' if body['code'] == LIMIT else b'?')
                break
            _, fds = door.raw(Door.ARRAY, id=body['array'])
            held.append(mmap.mmap(fds[0], EACH_BYTES))
            os.close(fds[0])
            held[-1][EACH_BYTES - 1] = 1
            os.write(tell, b'm')
        signal.pause()
    except (OSError, Refused, IndexError):
        os.write(tell, b'?')


daemon = Daemon(GAMES, options=['workers.count=2', f'limits.user_shm_max={QUOTA}', 'limits.user_clients_max=512'])
watch = Peer(daemon.path, GAMES)
hear, tell = os.pipe()
os.set_blocking(hear, False)
crew, told, largest, most, killed = [], {'m': 0, 'r': 0, '?': 0}, 0, 0, 0
began = time.monotonic()
while told['m'] < ARRAYS or killed < ARRAYS:
    while len(crew) < CLIENTS:
        pid = os.fork()
        if pid == 0:
            client(tell)
            os._exit(0)
        crew.append(pid)
    one = crew.pop(rng.randrange(len(crew)))
    os.kill(one, signal.SIGKILL)
    os.waitpid(one, 0)
    killed += 1
    try:
        for letter in os.read(hear, 65536).decode():
            told[letter] += 1
    except BlockingIOError:
        pass
    if killed % 20 == 0:
        most = max(most, watch.inspect('status')['shm_bytes'])
        largest = max(largest, sum(memory_of([daemon.pid]).values()))
for pid in crew:
    os.kill(pid, signal.SIGKILL)
for pid in crew:
    os.waitpid(pid, 0)
took, began = time.monotonic() - began, time.monotonic()
gone = until(lambda: (s := watch.inspect('status'))['arrays'] == 0 and s['shm_bytes'] == 0 and s['clients'] == 1 and
             not memory_of(family()))
left = memory_of(family())
figure(f"R12 {told['m']} arrays of {CLIENTS} clients at a time, {killed} of them killed at random in {took:.0f} s",
       '0 bytes 15 s after the last', f'{sum(left.values())} bytes in {len(left)} arrays after {time.monotonic() - began:.2f} s',
       bool(gone) and not left and time.monotonic() - began < 15, bool(gone) and not left, lambda: watch.inspect('status'))
figure(f"R12 the memory of arrays meanwhile ({told['r']} more were refused)", f'never above the quota of {QUOTA >> 20} MiB',
       f'{most / 1048576:.1f} MiB by the daemon, {largest / 1048576:.1f} MiB in its descriptors', max(most, largest) <= QUOTA,
       max(most, largest) <= QUOTA and told['r'] > 0 and told['?'] == 0, lambda: told)
check('R12 the daemon serves, and ends well', watch.call('t.echo', 1) == [1] and daemon.end() == 0)

# -- R13, F41: memory is full -----------------------------------------------------------------------------------------------

FULL = 256 << 20
group = control_group('memory', 'limit_in_bytes', FULL) if sys.argv[1] == 'none' else None  # a sanitizer alone takes more
if not group:
    check('R13 # SKIP no control group of memory can be made here', True)
else:
    daemon = Daemon(GAMES, options=['workers.count=2', 'workers.memory_max=0', 'limits.user_shm_max=0', 'limits.shm_max=0'])
    peer = Peer(daemon.path, GAMES)
    peer.call('t.nop')
    join(group, [daemon.pid, *children(daemon.pid)])
    made, codes = [], {}
    for size in (64 << 20, 16 << 20, 4 << 20, 1 << 20, 1 << 16, 1 << 12) * 3:
        for _ in range(100):
            kind, body, _ = peer.ask('array-create', type='uint8', dims=[size])
            if kind != 'reply':
                codes[body['code']] = codes.get(body['code'], 0) + 1
                break
            made.append(body['array'])
    refused = sum(codes.values())
    alive = [peer.call('t.echo', i) == [i] for i in range(20)]
    figure(f'R13 arrays until a control group of {FULL >> 20} MiB is full', 'the next ones are NO_SPACE, and no process dies',
           f'{len(made)} made, refused {codes}, 20 calls, {peer.inspect("status")["shm_bytes"] >> 20} MiB',
           set(codes) == {NO_SPACE}, set(codes) == {NO_SPACE} and all(alive) and daemon.alive() and
           'worker-died' not in daemon.logged(), daemon.logged)
    for array in made:
        peer.ask('array-unlink', array=array)
    began = time.monotonic()
    again = until(lambda: peer.ask('array-create', type='uint8', dims=[64 << 20])[0] == 'reply')
    figure('R13 when they are unlinked', 'there is room for 64 MiB', f'after {time.monotonic() - began:.2f} s', bool(again))
    check('R13 the daemon ends well', daemon.end() == 0)
    leave(group)

# -- R13, F42: what is cut off under readers ----------------------------------------------------------------------------------

BYTES, FILE_BYTES = 1 << 20, 8 << 20
daemon = Daemon(0, options=['workers.count=2'])
peer = Peer(daemon.path, 0)
door = Door(peer, 0)
_, body, _ = peer.ask('array-create', type='int32', dims=[BYTES // 4], name='memory')
_, (fd,) = door.raw(Door.ARRAY, id=body['array'])
cut = 0
for i in range(CUTS):
    try:
        os.ftruncate(fd, rng.randrange(BYTES))
        cut += 1
    except PermissionError:
        pass
figure(f'F42 a client cuts off an array in memory, {CUTS} times', 'it cannot', f'{cut} times it could', cut == 0,
       cut == 0 and peer.call('a.peek', '', 'memory') == 0)
os.close(fd)
outcomes, path = {}, work + '/data'
for i in range(CUTS):
    with open(path, 'w') as file:
        os.ftruncate(file.fileno(), FILE_BYTES)
    fd = os.open(path, os.O_RDWR)
    request = struct.pack('<II16sQ16xIIII72s72s', 0x31646670, Door.GIVE, door.token, 0, 0, 0, 2 ** 32 - 1, 0, b'', b'')
    socket.send_fds(door.socket, [request], [fd])
    number = struct.unpack_from('<Q', door.socket.recv(1024), 8)[0]
    kind, body, _ = peer.ask('array-create', type='float64', dims=[FILE_BYTES // 8], name='file', file=number, replace=True)
    assert kind == 'reply', body
    array = body['array']
    argument = msgpack.packb([{'$array': {'id': array}}])
    for k in range(4):  # readers, and the end of the file goes while they read
        peer.send_frames(msgpack.packb([1, 'call', 1000 + 10 * i + k, {'function': 'a.sum'}]), argument)
    time.sleep(rng.uniform(0, 0.01) if i % 4 else 0)  # the moment is what is tried
    os.ftruncate(fd, 0)
    os.close(fd)
    for k in range(4):
        _, kind, _, body = msgpack.unpackb(peer.receive()[0])
        what = 'read' if kind == 'reply' else f"{body['name']} {body.get('signal', '')}".strip()
        if 'has become too short: 0 bytes' in body.get('message', ''):
            what = 'told before it is mapped'
        outcomes[what] = outcomes.get(what, 0) + 1
    peer.ask('array-unlink', array=array)
allowed = {'read', 'told before it is mapped', f'WORKER_DIED {int(signal.SIGBUS)}'}
figure(f'R13 a file is cut off under its readers, {CUTS} times, four each', 'SIGBUS of that worker, or it is told before; no other death',
       ', '.join(f'{n} {what}' for what, n in sorted(outcomes.items())), set(outcomes) <= allowed and len(outcomes) > 1,
       set(outcomes) <= allowed and len(outcomes) > 1 and daemon.alive() and peer.call('t.echo', 1) == [1])
check('the daemon ends well', daemon.end() == 0)
finish()
