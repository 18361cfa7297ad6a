#!/usr/bin/python3
"""What a user can do with what is not theirs: S5, a matrix of three users and what can be done with a task, an array, server
tasks and a set, of their own, of another user, and of nobody. Answers are as in the table of the policy, and what is
somebody else's is, byte by byte and in time, as what does not exist. Of the service of a machine, where each user has a
daemon of their own, and of one daemon that an administrator has opened to all.
usage: security_ids.py PTOOLS-SPAWN  (PTOOLS_TEST_DAEMON, _WORKER, _MODULES and PTOOLS_DAEMON as Meson sets them)"""
import re
import statistics
import struct
import sys
import time

import msgpack
from security_rig import GAMES, MAIL, NEWS, Daemon, Door, Peer, Service, figure, finish

ROUNDS = 200
DENIED, BAD_REQUEST, NO_SET, NO_TASK, NO_ARRAY, NO_STASKS, NOT_NOW, BAD_ARGUMENT = 21, 40, 47, 49, 51, 55, 58, 61


class Owner:
    """A user, with one of each: a task that has ended, one on hold, an array, server tasks and a set."""

    def __init__(self, server, uid, i):
        self.uid, self.peer = uid, Peer(server.path, uid)
        self.door = Door(self.peer, uid)
        submit = {'function': 'a.echo', 'key': f'key of {uid}'.encode(), 'durability': 'durable'}
        self.task = self.peer.ask('task-submit', [4711], **submit)[1]['task']
        self.peer.ask('task-wait', tasks=[self.task])
        self.held = self.peer.ask('task-submit', [4711], function='a.echo', hold=True)[1]['task']
        self.array = self.peer.ask('array-create', type='float64', dims=[10], name=f'array{uid}', keep=True)[1]['array']
        self.stasks = self.peer.ask('stasks-start', count=1, name=f'stasks{uid}')[1]['stasks']
        for _ in range(9 + i):  # each daemon counts from 1: so no two users have a set of one number, and all have two digits
            self.peer.ask('set-destroy', set=self.peer.ask('set-create', workers=[1])[1]['set'])
        self.set = self.peer.ask('set-create', workers=[1], name=f'set{uid}')[1]['set']

    def everything(self):
        """All that can be known of what is theirs."""
        lists = [self.peer.ask('task-list', args=True)[2]['tasks']] + [self.peer.inspect(what) for what in ('sets', 'arrays', 'stasks')]
        # Of what they have mapped one's own looks at it above are part, and times are told to the millisecond, about.
        return [[{k: v for k, v in one.items() if k != 'mapped_by' and not k.endswith('_ms')} for one in some] for some in lists]


class Nobody:
    """Numbers that none of those has."""

    def __init__(self, owners):
        for what in 'task', 'held', 'array', 'stasks', 'set':
            setattr(self, what, max(getattr(owner, what) for owner in owners) + 7777 * (what != 'set') + 3)


def request(kind, payload=None, **body):
    return lambda peer, door: [f for f in peer.raw(kind, body, payload)]


def door(kind, **options):
    return lambda peer, door: [door.raw(kind, **options)[0]]


# What can be done: the request, and the codes that are right for one's own (0: it is done), and for another's and nobody's.
# Those who only ask come first: they are done many times, for their time.
ASKS = {
    'info': (lambda it: request('task-get', task=it.task), 0, NO_TASK),
    'result': (lambda it: request('task-result', task=it.task), 0, NO_TASK),
    'wait': (lambda it: request('task-wait', tasks=[it.task]), 0, NO_TASK),
    'wait for any': (lambda it: request('task-wait', tasks=[it.task], any=True), 0, NO_TASK),
    'why': (lambda it: request('task-why', task=it.task), 0, NO_TASK),
    'cancel, ended': (lambda it: request('cancel', task=it.task), NOT_NOW, NO_TASK),
    'kill, ended': (lambda it: request('task-change', tasks=[it.task], change='cancel', at_once=True), NOT_NOW, NO_TASK),
    'release': (lambda it: request('task-change', tasks=[it.task], change='release'), NOT_NOW, NO_TASK),
    'priority': (lambda it: request('task-priorities', struct.pack('<Qd', it.task, 3)), 0, 0),
    'map an array': (lambda it: door(Door.ARRAY, id=it.array), 0, NO_ARRAY),
    'map it for reading': (lambda it: door(Door.ARRAY, id=it.array, flags=1), 0, NO_ARRAY),
    'array as argument': (lambda it: request('call', msgpack.packb([{'$array': {'id': it.array}}]), function='a.sum'), 0,
                          BAD_ARGUMENT),
    'array with arguments': (lambda it: request('call', function='a.nop', args=[it.array, 1]), None, NO_ARRAY),
    'lane to a server task': (lambda it: door(Door.LANE, id=it.stasks), 0, NO_STASKS),
    'call in a set': (lambda it: request('call', function='a.nop', set=it.set), 0, NO_SET),
}
CHANGES = {
    'cancel': (lambda it: request('task-change', tasks=[it.held], change='cancel'), 0, NO_TASK),
    'cancel, of calls': (lambda it: request('cancel', task=it.held), None, NO_TASK),
    'kill': (lambda it: request('task-change', tasks=[it.held], change='cancel', at_once=True), None, NO_TASK),
    'dequeue': (lambda it: request('task-change', tasks=[it.held], change='dequeue'), None, NO_TASK),
    'rerun': (lambda it: request('task-change', tasks=[it.task], change='rerun'), 0, NO_TASK),
    'submit after it': (lambda it: request('task-submit', msgpack.packb([]), function='a.nop', after=[it.task]), 0, NO_TASK),
    'forget': (lambda it: request('task-change', tasks=[it.task], change='forget'), None, NO_TASK),
    'remove an array': (lambda it: request('array-unlink', array=it.array), 0, NO_ARRAY),
    'arrays for server tasks': (lambda it: request('stasks-start', count=1, arrays=[it.array]), None, NO_ARRAY),
    'restart server tasks': (lambda it: request('stasks-restart', stasks=it.stasks), 0, NO_STASKS),
    'stop server tasks': (lambda it: request('stasks-stop', stasks=it.stasks), 0, NO_STASKS),
    'change a set': (lambda it: request('set-change', set=it.set, workers=[1]), 0, NO_SET),
    'destroy a set': (lambda it: request('set-destroy', set=it.set), 0, NO_SET),
}


def code(answer):
    """0, or that of the error; of the door or of a message."""
    if len(answer) == 1 and len(answer[0]) == 536:
        return struct.unpack_from('<I', answer[0], 4)[0]
    _, kind, _, body = msgpack.unpackb(answer[0])
    return 0 if kind == 'reply' else body['code']


def alike(answer, it):
    """The answer without the numbers that were asked for, and of a call without what it says of itself."""
    asked = {b'%d' % number for number in (it.task, it.held, it.array, it.stasks, it.set)}

    def hide(text):
        return re.sub(rb'\d+', lambda m: b'#' * len(m[0]) if m[0] in asked else m[0], text)
    if len(answer[0]) == 536:
        return answer[0][:280] + hide(answer[0][280:])
    version, kind, id, body = msgpack.unpackb(answer[0])
    body['message'] = hide(body.get('message', '').encode())
    for own in ('task', 'run_us', 'peak_bytes') if 'attempt' in body else ():
        body.pop(own, None)
    return [version, kind, id, body] + answer[1:]


def measure(do, peer, door):
    begin = time.perf_counter()
    answer = do(peer, door)
    return time.perf_counter() - begin, answer


def run(name, server):
    owners = [Owner(server, uid, i) for i, uid in enumerate((GAMES, MAIL, NEWS))]
    nobody = Nobody(owners)
    before = [o.everything() for o in owners]
    wrong, differ, ratios, cells = [], [], [], 0
    for what, (make, own_code, other_code) in {**ASKS, **CHANGES}.items():
        for i, me in enumerate(owners):
            other = owners[(i + 1) % 3]
            foreign, unknown = make(other), make(nobody)
            if what in ASKS and own_code is not None:
                cells += 1
                got = code(make(me)(me.peer, me.door))
                if got != own_code:
                    wrong.append(f'{what}: {me.uid} of their own: {got} instead of {own_code}')
            times = {'foreign': [], 'unknown': []}
            for _ in range(ROUNDS if what in ASKS and i == 0 else 1):
                took, a = measure(foreign, me.peer, me.door)
                times['foreign'].append(took)
                took, b = measure(unknown, me.peer, me.door)
                times['unknown'].append(took)
            cells += 2
            if code(a) != other_code or code(b) != other_code:
                wrong.append(f"{what}: {me.uid} of another's: {code(a)}, of nobody's: {code(b)}, instead of {other_code}")
            if alike(a, other) != alike(b, nobody):
                differ.append(f'{what}: {me.uid}: {alike(a, other)} and {alike(b, nobody)}')
            if what in ASKS and i == 0:
                foreign_us, unknown_us = (statistics.median(t) * 1e6 for t in times.values())
                ratios.append((foreign_us / unknown_us, f'{what}: {foreign_us:.1f} us, {unknown_us:.1f} us'))
    after = [o.everything() for o in owners]
    figure(f'S5 {name}, {len(owners)} users x {len(ASKS) + len(CHANGES)} operations x own, foreign, unknown', 'answers as in the policy',
           f'{cells - len(wrong)} of {cells}', not wrong, not wrong, *wrong)
    figure(f'S5 {name}', 'foreign and unknown byte by byte the same', f'{len(differ)} differ', not differ, not differ, *differ)
    worst = max(ratios, key=lambda r: abs(r[0] - 1))
    figure(f'S5 {name}', 'foreign and unknown within 20 % in time', f'medians of {ROUNDS} differ by at most '
           f'{abs(worst[0] - 1) * 100:.0f} % ({worst[1]})', all(.8 <= r <= 1.25 for r, _ in ratios),
           all(.2 < r < 5 for r, _ in ratios), *(f'{r:.2f} {what}' for r, what in ratios))
    figure(f'S5 {name}', 'nothing of anybody has changed by that', f'{sum(a != b for a, b in zip(before, after))} of 3 changed',
           before == after, before == after, *(f'{a}\n{b}' for a, b in zip(before, after) if a != b))
    named(name, server, owners)
    for me in owners:  # and now what is one's own
        for what, (make, own_code, _) in CHANGES.items():
            if own_code is not None:
                got = code(make(me)(me.peer, me.door))
                cells += 1
                if got != own_code:
                    wrong.append(f'{what}: {me.uid}: {got} instead of {own_code}')
    figure(f'S5 {name}, what changes', 'done to what is their own', f'{len(wrong)} of {3 * len(CHANGES)} not', not wrong, not wrong, *wrong)


def named(name, server, owners):
    """By name and key, of another: as if it were not there. Events of it do not come. A token is of use to its user alone."""
    me, other = owners[0], owners[1]
    bad = []

    def expect(what, got, right):
        if got != right:
            bad.append(f'{what}: {got} instead of {right}')
    for kind, body, right in (('task-get', {'key': b'key of 8'}, NO_TASK), ('task-result', {'key': b'key of 8'}, NO_TASK),
                              ('set-open', {'name': 'set8'}, NO_SET), ('stasks-open', {'name': 'stasks8'}, NO_STASKS),
                              ('array-unlink', {'name': 'array8'}, NO_ARRAY), ('call', {'function': 'a.nop', 'set': 'set8'}, NO_SET)):
        expect(f'{kind} {body}', code(me.peer.raw(kind, body)), right)
    expect('the door, by name', me.door.code(Door.ARRAY, name=b'array8'), NO_ARRAY)
    expect("the door, by name and the owner's number", me.door.code(Door.ARRAY, name=b'array8', owner=MAIL), NO_ARRAY)
    if name != 'service':
        expect("the door, with another's token", Door(me.peer, me.uid, other.door.token).code(Door.ARRAY, id=other.array), DENIED)
    expect('the door, with no token', Door(me.peer, me.uid, bytes(16)).code(Door.ARRAY, id=me.array), DENIED)
    expect('inspect', [len(me.peer.inspect(what)) for what in ('arrays', 'stasks')], [1, 1])
    watch = Peer(server.path, me.uid)
    watch.ask('events')
    watch.ask('events', task=other.held)
    other.peer.ask('task-change', tasks=[other.held], change='release')
    other.peer.ask('task-wait', tasks=[other.held])
    other.held = other.peer.ask('task-submit', [4711], function='a.echo', hold=True)[1]['task']
    watch.send_frames(msgpack.packb([1, 'inspect', 77, {'what': 'status'}]))
    expect('what comes of the events of another', msgpack.unpackb(watch.receive()[0])[1:3], ['reply', 77])
    same = me.peer.ask('task-submit', ['other'], function='a.echo', key=b'key of 8')[1]
    expect("a key that another has", (same.get('duplicate'), 'task' in same), (None, True))
    figure(f'S5 {name}, by name, key, token and events', "another's is as if it were not there", f'{len(bad)} are not', not bad, not bad, *bad)


service = Service(sys.argv[1])
run('service', service)
service.end()
daemon = Daemon(GAMES)
daemon.open_to_all()
run('one daemon for all', daemon)
daemon.end()
finish()
