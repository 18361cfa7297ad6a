#!/usr/bin/python3
"""Many at once: a stream of better tasks and one that ages, a user who floods, clients who send the same key, clients who
are killed. What is asked is of reliability: F53, F54, F55, F56, R15. Each case says what was measured; only what holds on a
slow machine is demanded.

usage: crowds.py  (PTOOLS_TEST_COMMAND, _MODULES and PTOOLS_DAEMON as Meson sets them)
FAULT_AGES_S (5; full: 130), FAULT_FLOOD (20000; 1000000), FAULT_RACES (50; 1000), FAULT_LEAVERS (24; 200)
"""
import os
import signal
import sys
import time

import msgpack

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from security_rig import GAMES, MAIL, Daemon, Peer, check, figure, finish, until  # noqa: E402

AGES_S, FLOOD, RACES, LEAVERS = (int(os.environ.get(f'FAULT_{name}', n)) for name, n in
                                 (('AGES_S', 5), ('FLOOD', 20000), ('RACES', 50), ('LEAVERS', 24)))
KEY_REUSED, LIMIT = 56, 41


def submitted(peer, function, *args, **how):
    kind, body, _ = peer.ask('task-submit', list(args), function=function, **how)
    assert kind == 'reply', body
    return body


def document(peer, task):
    return peer.ask('task-get', task=task)[2]['tasks'][0]


def tasks_of(peer, **which):
    found, after = [], 0
    while True:
        page = peer.ask('task-list', after=after, **which)[2]
        found += page['tasks']
        after = page['next']
        if after == 0:
            return found


def has_ended(pid):
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def percentile(values, part):
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


# -- R15, F54: one that all others are better than -------------------------------------------------------------------

RUN_MS, GAP, WORKERS = 100, 15, 2  # so much better is each of the stream
rate = 1.1 * WORKERS * 1000 / RUN_MS  # of the most that they could run
ageing = GAP * 3600 // AGES_S
promise = GAP * 3600 / ageing
daemon = Daemon(GAMES, options=[f'workers.count={WORKERS}', f'queue.ageing={ageing}', 'queue.user_queued_max=1000000',
                                'queue.user_kept_max=1000000'])
peer = Peer(daemon.path, GAMES)
# The stream is there before the one comes, and more than there are workers, so that it never finds one free.
low, began, sent = None, time.monotonic(), 0
while low is None or document(peer, low)['state'] == 'queued':
    while sent < 2 * WORKERS + rate * (time.monotonic() - began):
        submitted(peer, 't.sleep_ms', RUN_MS, priority=0, tags=['stream'])
        sent += 1
        if sent == 3 * WORKERS:
            low = submitted(peer, 't.sleep_ms', RUN_MS, priority=GAP)['task']
    time.sleep(0.02)  # the rate is what is tried
    if time.monotonic() - began > AGES_S * 3 + 30:
        break
one = document(peer, low)
waited = (one.get('started_ms', time.time() * 1000) - one['queued_ms']) / 1000
begun = [t for t in tasks_of(peer, tag='stream') if 'started_ms' in t]
before_it = [t for t in begun if t['queued_ms'] > one['queued_ms'] + promise * 1000 + 1 and t['started_ms'] < one.get('started_ms', 2 ** 53)]
load = sent / len(begun)
figure(f'F54 a stream of priority 0, {rate:.0f} tasks a second, {load * 100:.0f} %, and one of priority {GAP} that is as good after {promise:.1f} s',
       f'it runs before all that are queued so long after it: within {promise * load + 1:.1f} s', f'{waited:.1f} s, behind {len(before_it)} of those',
       waited <= promise * load + 1, len(before_it) < WORKERS and 'started_ms' in one)  # those were given at the same moment
check('the daemon ends well', daemon.end() == 0)

# -- R15, F53: a user who floods --------------------------------------------------------------------------------------

OWN_MS, THEIRS_MS, QUEUED_MAX = 10, 5, 10000
daemon = Daemon(GAMES, options=['workers.count=2', f'queue.user_queued_max={QUEUED_MAX}', 'limits.drain_ms=100'])
daemon.open_to_all()
waits = {'before': [], 'while': []}


def flood():
    """Sends as fast as it can, five hundred at a time; counts what is accepted, and what is refused with LIMIT and a time."""
    peer = Peer(daemon.path, GAMES)
    accepted = refused = 0
    for at in range(0, FLOOD, 500):
        for i in range(500):
            peer.send_frames(msgpack.packb([1, 'task-submit', at + i + 1, {'function': 't.sleep_ms', 'keep_ms': 1}]), flood_args)
        for _ in range(500):
            _, kind, _, body = msgpack.unpackb(peer.receive()[0])
            accepted += kind == 'reply'
            refused += kind == 'error' and body['code'] == LIMIT and body.get('retry_ms', 0) > 0
    os.write(tell, f'{accepted} {refused}'.encode())


def wait_a_while(into, done):
    """Of another user: from being queued to the value, again and again, less the time that it ran."""
    peer = Peer(daemon.path, MAIL)
    while not done():
        asked = time.monotonic()
        kind, body, _ = peer.ask('task-submit', [OWN_MS], function='t.sleep_ms', wait=True, keep_ms=1)
        assert kind == 'reply', body
        into.append((time.monotonic() - asked) * 1000 - body['run_us'] / 1000)


def work_on():
    """As many as keep all workers busy, and no more."""
    peer = Peer(daemon.path, GAMES)
    for i in range(4):
        peer.send_frames(msgpack.packb([1, 'task-submit', i + 1, {'function': 't.sleep_ms', 'wait': True, 'keep_ms': 1}]), flood_args)
    while True:
        _, _, i, _ = msgpack.unpackb(peer.receive()[0])
        peer.send_frames(msgpack.packb([1, 'task-submit', i, {'function': 't.sleep_ms', 'wait': True, 'keep_ms': 1}]), flood_args)


flood_args = msgpack.packb([THEIRS_MS])
busy = os.fork()
if busy == 0:
    work_on()
wait_a_while(waits['before'], lambda: len(waits['before']) == 300)
os.kill(busy, signal.SIGKILL)
os.waitpid(busy, 0)
hear, tell = os.pipe()
began = time.monotonic()
flooder = os.fork()
if flooder == 0:
    flood()
    os._exit(0)
wait_a_while(waits['while'], lambda: has_ended(flooder) and len(waits['while']) >= 300)
os.waitpid(flooder, 0)
took = time.monotonic() - began
accepted, refused = (int(n) for n in os.read(hear, 100).split())
p99 = {when: percentile(values, 0.99) for when, values in waits.items()}
figure(f'F53 {FLOOD} tasks of {THEIRS_MS} ms that one user submits in {took:.0f} s',
       f'{QUEUED_MAX} wait, the others are told when to come again', f'{accepted} accepted, {refused} refused', accepted + refused == FLOOD,
       accepted + refused == FLOOD and (FLOOD <= QUEUED_MAX or refused > 0))
figure(f"F53 {len(waits['while'])} tasks of {OWN_MS} ms of another user meanwhile", f'p99 wait below twice their own time, {2 * OWN_MS} ms',
       f"{p99['while']:.1f} ms ({p99['before']:.1f} beside four of them at a time; medians {percentile(waits['while'], 0.5):.1f} and "
       f"{percentile(waits['before'], 0.5):.1f})", p99['while'] < 2 * OWN_MS, percentile(waits['while'], 0.5) < 10 * OWN_MS)
figure('R15 p99 wait of that user', 'less than twice what it is beside four tasks at a time of the first one',
       f"{p99['while'] / p99['before']:.2f} times", p99['while'] < 2 * p99['before'], True)
check('the daemon ends well', daemon.end() == 0)

# -- F55: the same key --------------------------------------------------------------------------------------------------

CLIENTS = 16
daemon = Daemon(GAMES, options=['workers.count=2'])
peers = [Peer(daemon.path, GAMES) for _ in range(CLIENTS)]
argument = msgpack.packb([1])
wrong, ids = [], set()


def race(key, peers, leaver=None):
    """All send it, and one who leaves at once without having read; then all read. The ids that they were told, and how many
    were told that it is theirs."""
    message = msgpack.packb([1, 'task-submit', 1, {'function': 't.echo', 'key': key, 'durability': 'durable'}])
    if leaver:
        leaver.send_frames(message, argument)
        leaver.close()
    for one in peers:
        one.send_frames(message, argument)
    answers = [msgpack.unpackb(one.receive()[0]) for one in peers]
    return {body.get('task') for _, _, _, body in answers}, sum(not body.get('duplicate') for _, _, _, body in answers)


for i in range(RACES):
    told, first = race(b'race %d' % i, peers, Peer(daemon.path, GAMES) if i % 2 else None)
    if len(told) != 1 or None in told or first > 1 or (i % 2 == 0 and first != 1):
        wrong.append((i, told, first))
    ids |= told
figure(f'F55 {CLIENTS} clients race for each of {RACES} keys, half of them with one who dies behind its request', 'one task a key',
       f'{len(ids)} tasks, {len(wrong)} races went wrong', len(ids) == RACES and not wrong, None, *wrong[:3])
peers[0].id += 100
refusals = [peers[0].ask('task-submit', [2], function='t.echo', key=b'race %d' % i, durability='durable') for i in range(RACES)]
figure('F55 each of these keys with another argument', 'KEY_REUSED', f"{sum(body.get('code') == KEY_REUSED for _, body, _ in refusals)}",
       all(body.get('code') == KEY_REUSED for _, body, _ in refusals))
daemon.process.kill()
daemon.process.wait()
daemon.again()
peers = [Peer(daemon.path, GAMES) for _ in range(CLIENTS)]
again = [race(b'race %d' % i, peers) for i in range(RACES)]
figure('F55 all of it once more, after the daemon was killed', 'the same tasks, nobody is first',
       f'{len(set().union(*(told for told, _ in again)) | ids)} tasks, {sum(first for _, first in again)} first',
       set().union(*(told for told, _ in again)) == ids and not any(first for _, first in again),
       None, lambda: len(tasks_of(peers[0])))
check('F55 the daemon knows no other', {t['id'] for t in tasks_of(peers[0])} == ids)

# -- F56: clients are killed ---------------------------------------------------------------------------------------------

peer = peers.pop(0)
for one in peers:
    one.close()
for task in ids:
    peer.ask('task-result', task=task)
    peer.ask('task-change', tasks=[task], change='forget')
before = peer.inspect('status')['tasks']
hear, tell = os.pipe()
leavers = []
for i in range(LEAVERS):
    pid = os.fork()
    if pid == 0:
        own = Peer(daemon.path, GAMES)
        own.send_frames(msgpack.packb([1, 'call', 1, {'function': 't.sleep_ms'}]), msgpack.packb([60000]))
        own.send_frames(msgpack.packb([1, 'task-submit', 2, {'function': 't.nop', 'wait': True, 'keep_ms': 500}]))
        own.send_frames(msgpack.packb([1, 'call', 3, {'function': 't.nop', 'detached': True}]))
        own.ask('hello', versions=[1, 1])  # in order: the daemon has read the three
        os.write(tell, b'x')
        signal.pause()
    leavers.append(pid)
for _ in leavers:
    os.read(hear, 1)
began = time.monotonic()
for pid in leavers:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
left = until(lambda: (s := peer.inspect('status'))['clients'] == 1 and not s['tasks']['waiting'] and not s['tasks']['given'] and
             not s['queue']['known'] and s)
now = left['tasks'] if left else peer.inspect('status')['tasks']
figure(f'F56 {LEAVERS} clients are killed, each with a call that runs or waits, a detached one, and a queued task that it waits for',
       f'{LEAVERS} cancelled, {2 * LEAVERS} done, nothing known 10 s later',
       f"{now['cancelled'] - before['cancelled']} cancelled, {now['done'] - before['done']} done, nothing known after "
       f'{time.monotonic() - began:.1f} s' if left else str(peer.inspect('status')), bool(left) and time.monotonic() - began < 10,
       bool(left) and now['cancelled'] - before['cancelled'] == LEAVERS and now['done'] - before['done'] == 2 * LEAVERS)
check('F56 what was held for them', left and left['payload_bytes'] == 0 and left['arrays'] == 0, lambda: left)
check('the daemon ends well', daemon.end() == 0)
finish()
