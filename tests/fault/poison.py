#!/usr/bin/python3
"""Functions that would take more with them than their own task: one that kills each worker that runs it, workers that never come
up, a fork bomb. What is asked is of reliability: F05, F06, F15. Each case says what was measured; only what holds on a slow
machine is demanded.

usage: poison.py  (PTOOLS_TEST_COMMAND, _MODULES and PTOOLS_DAEMON as Meson sets them)
FAULT_POISON (200; full: 1000)
"""
import contextlib
import json
import os
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from security_rig import GAMES, Daemon, Peer, check, children, control_group, descendants, figure, finish, join, leave, until  # noqa: E402

COMMAND = os.environ['PTOOLS_TEST_COMMAND']
POISON = int(os.environ.get('FAULT_POISON', 200))


def ptools(daemon, *words, fed=None):
    return subprocess.run([COMMAND, '--dir', daemon.dir, *words], input=fed, capture_output=True, text=True, timeout=300)


def used_s(pid):
    """Processor time of a process, and of all that it has waited for."""
    with open(f'/proc/{pid}/stat') as file:
        fields = file.read().rsplit(')', 1)[1].split()
    return sum(int(n) for n in fields[11:15]) / os.sysconf('SC_CLK_TCK')


# -- F05: it kills each worker that runs it ------------------------------------------------------------------------------

daemon = Daemon(GAMES, options=['workers.count=2'])


def run(tag, poison):
    lines = []
    for _ in range(POISON):
        lines += [{'function': 't.segv', 'tag': 'poison'}] if poison else []
        lines += [{'function': 't.sleep_ms', 'args': [5], 'tag': tag}]
    began = time.monotonic()
    sent = ptools(daemon, 'submit', '--stdin', fed=''.join(json.dumps(line) + '\n' for line in lines))
    ptools(daemon, 'wait', '--tag', tag)
    took = time.monotonic() - began
    states = [t['state'] for t in json.loads(ptools(daemon, '--json', 'ls', '--tag', tag).stdout)['tasks']]
    return took, states.count('done'), sent.stderr


alone, done, said = run('alone', False)
check(f'F05 {POISON} tasks alone', done == POISON, lambda: said)
beside, done, said = run('beside', True)
killed = daemon.logged().count('event=worker-died')
figure(f'F05 {POISON} tasks beside as many that kill their worker', 'all of them are done, after 5 kills the others wait',
       f'{done} done, {killed} workers killed', done == POISON and killed <= 5 + 1, done == POISON and 'event=breaker-opened' in daemon.logged(), lambda: said)
figure('F05 their throughput', 'at least 50 % of what it is alone', f'{alone / beside * 100:.0f} %', alone / beside >= 0.5, alone / beside >= 0.1)
check('the daemon ends well', daemon.end() == 0)

# -- F06: workers that never come up ---------------------------------------------------------------------------------------

WATCHED_S = 4
daemon = Daemon(GAMES, options=['workers.count=2', 'modules.preload=crash_at_load'])
peer = Peer(daemon.path, GAMES)
everybody = [daemon.pid, *children(daemon.pid)]
began, before, waits, codes = time.monotonic(), sum(map(used_s, everybody)), [], set()
while time.monotonic() - began < WATCHED_S:
    asked = time.monotonic()
    codes.add(peer.ask('call', [], function='crash_at_load.nop')[1].get('name'))
    waits.append((time.monotonic() - asked) * 1000)
    time.sleep(0.05)  # a steady rate of those who ask for it
part = (sum(map(used_s, everybody)) - before) / WATCHED_S
figure(f'F06 {len(waits)} calls of a module that crashes when it is loaded, in {WATCHED_S} s', 'each fails fast, less than 1 % of a processor',
       f"{' '.join(sorted(codes))}, median {sorted(waits)[len(waits) // 2]:.2f} ms, {part * 100:.1f} %", part < 0.01, codes == {'MODULE_BROKEN'})
template = next(pid for pid in children(daemon.pid) if not [w for w in peer.inspect('workers') if w['pid'] == pid])
killed, began, before = set(), time.monotonic(), used_s(daemon.pid) + used_s(template)
while time.monotonic() - began < WATCHED_S:
    comers = until(lambda: set(children(daemon.pid)) - {template, *killed}, began + WATCHED_S - time.monotonic())
    for pid in comers:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            killed.add(pid)
part = (used_s(daemon.pid) + used_s(template) - before) / WATCHED_S
figure(f'F06 both workers are killed whenever they come up, {WATCHED_S} s', 'after 100 ms, 200 ms, ... 30 s; less than 1 % of a processor',
       f'{len(killed)} of them, {part * 100:.1f} %', part < 0.01, len(killed) < 16)
back = until(lambda: len([w for w in peer.inspect('workers') if w['state'] == 'idle']) == 2)
check('F06 left alone, they come', bool(back), daemon.logged)
check('the daemon ends well', daemon.end() == 0)

# -- F15: a fork bomb -------------------------------------------------------------------------------------------------------

FORKS, PROCESSES = 100000, 300
group = control_group('pids', 'max', PROCESSES)
if not group:
    check('F15 # SKIP no control group of processes can be made here', True)
    finish()
bomb = f'''import os, signal
for _ in range({FORKS}):
    try:
        if os.fork() == 0:
            signal.pause()
    except OSError:
        pass
'''
daemon = Daemon(GAMES, options=['workers.count=2'])
peer = Peer(daemon.path, GAMES)
peer.call('t.nop')
join(group, [daemon.pid, *children(daemon.pid)])
asker = subprocess.Popen([COMMAND, '--dir', daemon.dir, 'run', '--deadline', '3s', '--', sys.executable, '-c', bomb], stdout=subprocess.DEVNULL,
                         stderr=subprocess.PIPE, text=True)
full = until(lambda: len(descendants(daemon.pid)) >= PROCESSES - 20)
waits = []
while asker.poll() is None:
    asked = time.monotonic()
    peer.inspect('status')
    waits.append((time.monotonic() - asked) * 1000)
    time.sleep(0.01)  # a steady rate of those who ask
waits.sort()
gone = until(lambda: len(descendants(daemon.pid)) <= 3)
figure(f'F15 a command that forks {FORKS} times, where {PROCESSES} processes may be',
       'status is told within 100 ms, the command ends at its deadline',
       f'{len(waits)} times, p99 {waits[int(len(waits) * 0.99)]:.1f} ms; status {asker.returncode}; {len(descendants(daemon.pid))} processes left',
       waits[int(len(waits) * 0.99)] < 100, bool(full) and asker.returncode == 124 and bool(gone), asker.stderr.read)
check('F15 the daemon serves, and ends well', peer.call('t.echo', 1) == [1] and daemon.end() == 0, daemon.logged)
leave(group)
finish()
