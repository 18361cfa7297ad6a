#!/usr/bin/python3
"""F10: workers, a command of one, and server tasks, in uninterruptible sleep, which SIGKILL does not end: they write to a file
system that is frozen (ext4 in a file, fsfreeze). They are told as stuck, their tasks are answered, others take their place, and
nobody waits for them, a daemon that ends neither. After the thaw they are reaped.

usage: stuck.py  (PTOOLS_TEST_COMMAND, _MODULES and PTOOLS_DAEMON as Meson sets them)
"""
import json
import os
import struct
import subprocess
import sys
import time

import msgpack

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from security_rig import Daemon, Door, Peer, check, children, figure, finish, skip, state_of, until, work  # noqa: E402

COMMAND = os.environ['PTOOLS_TEST_COMMAND']
DEADLINE_MS, GRACE_MS, STUCK_MS = 300, 500, 5000  # the last one is the daemon's own: from SIGKILL to giving up
place, frozen = work + '/image', work + '/frozen'


def ptools(*words):
    return subprocess.run([COMMAND, '--dir', daemon.dir, *words], capture_output=True, text=True, timeout=120)


def told(*words):
    done = ptools('--json', *words)
    return json.loads(done.stdout) if done.stdout else {}


def workers():
    return told('workers').get('workers', [])


def tried(*words):
    return subprocess.run(words, capture_output=True, text=True, timeout=60)


def freeze():
    """Whoever thaws and unmounts it when this process ends, however it ends: else there would be processes that nobody can end."""
    os.mkdir(frozen)
    for words in ['truncate', '-s', '16M', place], ['mkfs.ext4', '-q', place], ['mount', '-o', 'loop', place, frozen]:
        done = tried(*words)
        if done.returncode != 0:
            skip(f'no file system can be mounted here: {done.stderr.strip()[-100:]}')
    end = 'cat > /dev/null; fsfreeze -u "$0" 2> /dev/null; umount -l "$0"'
    guard = subprocess.Popen(['sh', '-c', end, frozen], stdin=subprocess.PIPE, start_new_session=True)
    done = tried('fsfreeze', '-f', frozen)
    if done.returncode != 0:
        guard.communicate()
        skip(f'no file system can be frozen here: {done.stderr.strip()[-100:]}')
    return guard


guard = freeze()
daemon = Daemon(0, options=['workers.count=4', f'workers.kill_grace_ms={GRACE_MS}', 'limits.drain_ms=100'])
until(lambda: [w for w in workers() if w['state'] == 'idle'] and len(workers()) == 4)


def stick(letter):
    """A task that writes there, until it is answered: how long that took, its document, the process."""
    was = {w['id']: w['pid'] for w in workers()}
    asked = time.monotonic()
    task = ptools('submit', '--durable', '--deadline', f'{DEADLINE_MS}ms', 't.mark', f'{frozen}/{letter}', 'k').stdout.strip()
    served = time.monotonic()
    others = [ptools('call', 't.nop').returncode for _ in range(3)]
    served = time.monotonic() - served
    ptools('wait', task)
    took = time.monotonic() - asked
    one = told('info', task)['tasks'][0]
    return took, one, was[one['worker']], served, others


took, one, pid, served, others = stick('a')
figure('F10 a function that writes to a frozen file system, and does not die of SIGKILL',
       f'its task ends as timeout, may have run, within {DEADLINE_MS + GRACE_MS + STUCK_MS + 1000} ms',
       f"{one['state']}, {'may have run' if one['maybe_executed'] else ''}, {took * 1000:.0f} ms, its process is {state_of(pid)}",
       took * 1000 < DEADLINE_MS + GRACE_MS + STUCK_MS + 1000, one['state'] == 'timeout' and one['maybe_executed'] and state_of(pid) == 'D')
figure('F10 others meanwhile', 'are served', f'3 calls in {served:.2f} s', served < 1, others == [0, 0, 0])
check('F10 the worker is told as stuck', f'event=worker-stuck task={one["id"]} worker={one["worker"]}' in daemon.logged() and
      f'(pid {pid}) does not die of SIGKILL' in daemon.logged(), daemon.logged)
began = time.monotonic()
full = until(lambda: len([w for w in workers() if w['state'] == 'idle' and w['pid'] != pid]) == 4)
called = ptools('call', '--worker', str(one['worker']), 't.pid').stdout.strip()
figure('F10 its place', 'another process takes it, and is called', f"{time.monotonic() - began:.2f} s, process {called} in that of {pid}",
       time.monotonic() - began < 1, bool(full) and called not in ('', str(pid)))
took, two, second, _, _ = stick('b')
seen = [w for w in workers() if w['id'] == two['worker']]
figure('F10 the second one of four', 'its place stays empty: a quarter of them is replaced', f"it is {seen[0]['state']}",
       seen[0]['pid'] == second, seen[0]['pid'] == second and 'event=worker-not-replaced' in daemon.logged())

# A command is a process of its own: its worker dies of SIGKILL, and is replaced.
began = time.monotonic()
done = ptools('run', '--deadline', f'{DEADLINE_MS}ms', '--', 'sh', '-c', f'echo x > {frozen}/c')
took = time.monotonic() - began
figure('F10 a command that does', f'ends as over its deadline within {DEADLINE_MS + GRACE_MS + 1000} ms',
       f'status {done.returncode}, {took * 1000:.0f} ms', took * 1000 < DEADLINE_MS + GRACE_MS + 1000, done.returncode == 124)

# The daemon ends although they do not; the next one does not begin before them, but says why, and does not hang either.
stuck = [p for p in children(daemon.pid) if state_of(p) == 'D']
began = time.monotonic()
status = daemon.end()
took = time.monotonic() - began
figure(f'F10 the daemon is told to end, with {len(stuck)} processes that do not', 'status 0, in 6 s', f'status {status}, {took:.1f} s',
       took < 6, status == 0 and len(stuck) == 3)
began = time.monotonic()
refused = tried(*daemon.command)
took = time.monotonic() - began
figure('F10 the next one on the same state directory', 'ends, and says why, within 12 s', f'status {refused.returncode}, {took:.1f} s',
       took < 12, refused.returncode != 0 and 'do not end' in refused.stderr, lambda: refused.stderr)

# -- the thaw --------------------------------------------------------------------------------------------------------------

tried('fsfreeze', '-u', frozen)
gone = until(lambda: not [p for p in stuck if state_of(p) not in (None, 'Z')])
check('F10 after the thaw they end', bool(gone), lambda: [state_of(p) for p in stuck])
daemon.again()
kept = told('info', str(one['id']))['tasks'][0]
check('F10 and a daemon starts, which knows how the task ended', kept['state'] == 'timeout', lambda: kept)

# Frozen and thawed while the daemon lives.
tried('fsfreeze', '-f', frozen)
_, three, third, _, _ = stick('d')
_, four, fourth, _, _ = stick('e')
before = children(daemon.pid)
tried('fsfreeze', '-u', frozen)
reaped = until(lambda: not {third, fourth} & set(children(daemon.pid)))
full = until(lambda: len([w for w in workers() if w['state'] == 'idle' and w['pid'] not in (third, fourth)]) == 4)
figure('F10 the thaw, while there is one that was replaced and one that was not', 'both are reaped, four workers are there',
       f"{'reaped' if reaped else 'not reaped'}, {len(workers())} workers", bool(reaped and full), bool(reaped and full) and
       {third, fourth} <= set(before) and 'event=stuck-ended' in daemon.logged(), daemon.logged)

# -- a server task -----------------------------------------------------------------------------------------------------------

peer = Peer(daemon.path, 0)
door = Door(peer, 0)


def stick_stask(name):
    """A server task that writes there: its handle, and its process."""
    handle = peer.ask('stasks-start', count=1, name=name)[1]['stasks']
    answer, (fd,) = door.raw(Door.LANE, id=handle)
    lane, pid = struct.unpack_from('<Q', answer, 16)[0], struct.unpack_from('<I', answer, 124)[0]
    function, args = b't.mark', msgpack.packb([f'{frozen}/{name}', 'k'])
    os.write(fd, struct.pack('<IBBHQ24x', len(function) + len(args), 2, len(function), 0, lane << 32 | 1) + function + args)
    until(lambda: state_of(pid) == 'D')
    return handle, pid


tried('fsfreeze', '-f', frozen)
handle, fifth = stick_stask('f')
began = time.monotonic()
kind, body, _ = peer.ask('stasks-stop', stasks=handle, kill_ms=DEADLINE_MS)
took = time.monotonic() - began
figure('F10 a server task that does, and is stopped', f'the stop is answered within {DEADLINE_MS + STUCK_MS + 1000} ms',
       f'{kind} after {took * 1000:.0f} ms, its process is {state_of(fifth)}', took * 1000 < DEADLINE_MS + STUCK_MS + 1000,
       kind == 'reply' and state_of(fifth) == 'D' and peer.inspect('stasks') == [])
handle, sixth = stick_stask('g')
began = time.monotonic()
status = daemon.end()
took = time.monotonic() - began
figure('F10 the daemon is told to end beside another', f'status 0, within {100 + GRACE_MS + STUCK_MS + 3000} ms', f'status {status}, {took:.1f} s',
       took * 1000 < 100 + GRACE_MS + STUCK_MS + 3000, status == 0 and state_of(sixth) == 'D', daemon.logged)
guard.stdin.close()
guard.wait()
finish()
