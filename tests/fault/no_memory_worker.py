#!/usr/bin/python3
"""R8 in a worker: memory runs out there, once, or from then on, at each of its requests for it in turn, while it does one thing
after the other. The task is done, or it fails and says why; a worker may end of it, but not by a crash, and another comes; the
daemon lives, and afterwards the same thing is done.

A worker's environment has nothing that steers ld.so, so its program is a script here that has.

usage: no_memory_worker.py NO_MEMORY_IN  (PTOOLS_TEST_WORKER, _MODULES and PTOOLS_DAEMON as Meson sets them)
FAULT_CALLS (8 of each; full: 0, all)
"""
import collections
import mmap
import os
import select
import signal
import struct
import sys

import msgpack

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from security_rig import Daemon, Peer, Refused, check, figure, finish, until, work  # noqa: E402

CALLS = int(os.environ.get('FAULT_CALLS', 8))
WORKER_DIED = 62
ARMED, LASTS, COUNT, FAILS = 32, 33, 40, 48  # struct no_memory_in

path, script = work + '/control', work + '/worker'
with open(path, 'wb') as file:
    file.write(b'ptools-worker'.ljust(56, b'\0'))
with open(path, 'r+b') as file:
    control = mmap.mmap(file.fileno(), 56)
with open(script, 'w') as file:
    file.write(f'#!/bin/sh\nLD_PRELOAD={sys.argv[1]} PTOOLS_TEST_NO_MEMORY={path} exec {os.environ["PTOOLS_TEST_WORKER"]} "$@"\n')
os.chmod(script, 0o755)


def packed(*values):
    return b''.join(msgpack.packb(value) for value in values)


DEEDS = {
    'a call': ('t.echo', {}, packed([1, 'two', {'three': [4.0]}])),
    'a large value': ('t.big', {}, packed([2 << 20])),
    'a function that fails': ('t.fail', {}, packed(['no'])),
    'last words': ('t.tell', {}, packed([])),
    'a batch': ('t.echo', {'items': 3}, packed([1], [2], [3])),
    'a batch that fails': ('t.fail', {'items': 2}, packed(['a'], ['b'])),
    'isolated items': ('t.echo', {'items': 2, 'isolated': True}, packed([1], [2])),
    'a command': ('command.run', {}, packed([{'argv': ['/bin/echo', 'x'], 'set_env': ['A=b'], 'stdin': b'in'}])),
    'a command that is not there': ('command.run', {}, packed([{'argv': ['/no/such'], 'cwd': '/'}])),
}


def ask(deed, until_s=None):
    """Kind and body of the answer, and its value, if it has any. until_s: memory is there again after so long, if it has not come:
    no worker comes up without."""
    function, fields, payload = DEEDS[deed]
    peer.send_frames(msgpack.packb([1, 'call', 1, {'function': function, **fields}]), payload)
    if until_s:
        select.select([peer.socket], [], [], until_s)
        control[ARMED] = 0
    frames = peer.receive()
    _, kind, _, body = msgpack.unpackb(frames[0])
    return kind, body, frames[1] if len(frames) > 1 else b''


def is_right(deed, answer):
    """As it is with memory."""
    kind, body, value = answer
    known_kind, known_body, known_value = known[deed]
    return (kind, body.get('code')) == (known_kind, known_body.get('code')) and what_is_same(deed, value) == what_is_same(deed, known_value)


def what_is_same(deed, value):
    """All but times and memory; and where there is no memory for what a command writes, it is in a file."""
    if deed == 'isolated items':
        unpacker = msgpack.Unpacker()
        unpacker.feed(value)
        return [record[:-2] for record in unpacker]
    if deed == 'a command':
        told = msgpack.unpackb(value) if value else {}
        for stream in 'out', 'err':
            if stream + '_file' in told:
                with open(told[stream + '_file'], 'rb') as file:
                    told[stream] = file.read()
        return [told.get(key) for key in ('status', 'out', 'err')]
    return value


def renew():
    """Another worker takes the place of this one: what it asks for at its first task is asked for again."""
    was = peer.inspect('workers')[0]['pid']
    os.kill(was, signal.SIGKILL)
    until(lambda: (w := peer.inspect('workers')[0])['pid'] not in (0, was) and w['state'] == 'idle')


def try_without(deed, nth, lasts):
    """How many requests there were, and the answer; None: the daemon has ended."""
    control[LASTS] = lasts
    control[COUNT:FAILS + 8] = struct.pack('<QQ', 0, nth)
    control[ARMED] = 1
    try:
        answer = ask(deed, 2)
    except Refused:
        answer = None
    return struct.unpack_from('<Q', control, COUNT)[0], answer


def works(deed):
    answer = ask(deed)
    return is_right(deed, answer) and answer


daemon = Daemon(0, options=['workers.count=1', 'daemon.worker_program=' + script])
peer = Peer(daemon.path, 0)
known = {deed: ask(deed) for deed in DEEDS}
outcomes, wrong = collections.Counter(), []
for deed in DEEDS:
    for lasts in 0, 1:
        renew()
        n, _ = try_without(deed, 0, lasts)
        for nth in range(1, n + 1, max(1, n // CALLS if CALLS else 1)):
            renew()
            _, answer = try_without(deed, nth, lasts)
            if answer is None:
                outcomes['the daemon ends'] += 1
                wrong.append((deed, nth, lasts, 'the daemon has ended'))
                break
            kind, body, _ = answer
            if is_right(deed, answer):
                outcomes['done'] += 1
            elif kind == 'error' and body['code'] == WORKER_DIED:
                outcomes['the worker ends'] += 1
                if body.get('signal'):
                    wrong.append((deed, nth, lasts, body))
            elif kind == 'error' and body.get('message'):
                outcomes['refused'] += 1
            else:  # a batch, an item of which failed, is a reply; so is one that was cut short
                outcomes['in part'] += 1
                if 'items' not in DEEDS[deed][1]:
                    wrong.append((deed, nth, lasts, answer))
            if not until(lambda: works(deed)):
                wrong.append((deed, nth, lasts, 'and never again'))
figure(f'R8 {sum(outcomes.values())} requests of a worker for memory failed', 'the task is done, or fails and says why; no crash; the next is done',
       ', '.join(f'{n} {what}' for what, n in sorted(outcomes.items())) + f', {len(wrong)} wrong', not wrong, None, *wrong[:10])
check('the daemon ends well', daemon.alive() and daemon.end() == 0, daemon.logged)
finish()
