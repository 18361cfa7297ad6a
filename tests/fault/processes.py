#!/usr/bin/python3
"""Faults of processes: workers that hang, are stopped, die all at once, whose numbers come again; daemons that are told to
end at any moment, or whose workers outlive them; a journal with one task that stays. What is asked is of reliability:
F09, F16, F17, F24, F27, F29, F38, R10, R11. Each case says what was measured; only what holds on a slow machine is demanded.

usage: processes.py  (PTOOLS_TEST_COMMAND, _MODULES and PTOOLS_DAEMON as Meson sets them)
FAULT_HANGS (12; full: 50), FAULT_STARTS (20; 200), FAULT_DRAINS (3; 20), FAULT_CHURN (600; 3000),
FAULT_ENDED (3000; 1000000), FAULT_REPLAY (21000; 1000000)
"""
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from security_rig import Daemon, check, children, descendants, figure, finish, state_of, until, work  # noqa: E402

COMMAND = os.environ['PTOOLS_TEST_COMMAND']
HANGS, STARTS, DRAINS, CHURN, ENDED, REPLAY = (
    int(os.environ.get(f'FAULT_{name}', n)) for name, n in
    (('HANGS', 12), ('STARTS', 20), ('DRAINS', 3), ('CHURN', 600), ('ENDED', 3000), ('REPLAY', 21000)))
DEADLINE_MS, GRACE_MS = 300, 500
LONG_QUEUE = ['queue.user_queued_max=2000000', 'queue.user_queue_bytes_max=4G']
rng = random.Random(7)


def ptools(directory, *words, fed=None):
    return subprocess.run([COMMAND, '--dir', directory, *words], input=fed, capture_output=True, text=True, timeout=300)


def told(directory, *words):
    done = ptools(directory, '--json', *words)
    return json.loads(done.stdout) if done.stdout else {}


def workers(daemon):
    return [w['pid'] for w in told(daemon.dir, 'workers').get('workers', []) if w['pid']]


def is_gone(pid):
    return state_of(pid) in (None, 'Z')


# -- R10: whoever hangs ----------------------------------------------------------------------------------------------

daemon = Daemon(0, options=['workers.count=4', f'workers.kill_grace_ms={GRACE_MS}', 'queue.breaker_kills=0'])
until(lambda: len(workers(daemon)) == 4)
own = set(descendants(daemon.pid)) - set(workers(daemon))  # its template
for kind, what in ('t.spin', 'an endless loop'), ('t.stop', 'stopped by a signal (F09)'), ('t.block_signals', 'blocks all signals'), \
        ('t.fork_spin', 'with a child'):
    lines = ''.join(json.dumps({'function': kind, 'deadline': f'{DEADLINE_MS}ms', 'tag': kind}) + '\n' for _ in range(HANGS))
    sent = ptools(daemon.dir, 'submit', '--stdin', fed=lines)
    ptools(daemon.dir, 'wait', '--tag', kind)
    ended = told(daemon.dir, 'ls', '--tag', kind).get('tasks', [])
    longest = max((t['run_us'] for t in ended), default=0) / 1000
    states = sorted({t['state'] for t in ended})
    figure(f'R10 {HANGS} x {kind}, {what}', f'each is over its deadline, ended within {DEADLINE_MS} + {GRACE_MS} + 1000 ms',
           f"{len(ended)} {' '.join(states)}, the longest {longest:.0f} ms", longest <= DEADLINE_MS + GRACE_MS + 1000,
           len(ended) == HANGS and states == ['timeout'], *([sent.stderr] if sent.stderr else []))
before = time.monotonic()
full = until(lambda: len([p for p in workers(daemon) if not is_gone(p)]) == 4)
figure('R10 the pool', 'full again in 2 s', f'{time.monotonic() - before:.1f} s', time.monotonic() - before < 2, bool(full))
strays = set(descendants(daemon.pid)) - set(workers(daemon)) - own
figure('R10 what they left', 'no process', f'{len(strays)}', not strays)

# -- F16: all at once ------------------------------------------------------------------------------------------------

bad = 0
for _ in range(20):
    until(lambda: len(workers(daemon)) == 4)
    was = workers(daemon)
    for pid in was:
        os.kill(pid, signal.SIGKILL)
    bad += not until(lambda: len(now := workers(daemon)) == 4 and not set(now) & set(was))
    bad += not until(lambda: not [p for p in children(daemon.pid) if state_of(p) == 'Z'])
    for worker in range(1, 5):  # else the next ones would be taken for workers that die at their start, and come later each time
        ptools(daemon.dir, 'call', '--worker', str(worker), 't.nop')
figure('F16 four workers killed at once, 20 times', 'all replaced, no zombie', f'{bad} times not', bad == 0)
figure('F16 the daemon', 'serves', ptools(daemon.dir, 'call', 't.echo', '1').stdout.strip(), daemon.alive(),
       daemon.alive() and daemon.end() == 0)

# -- F17: numbers that come again ------------------------------------------------------------------------------------

inside = r'''
echo 320 > /proc/sys/kernel/pid_max || exit 77
mkdir -m 700 "$0/d" && mkfifo "$0/ready"
"$PTOOLS_DAEMON" --dir "$0/d" --workers 3 --module-path "$PTOOLS_TEST_MODULES" -o daemon.journal=no --ready-fd 3 3>"$0/ready" 2>"$0/log" &
daemon=$!
read line <"$0/ready"
seq "$2" | "$1" --dir "$0/d" pmap --keep-order -- sh -c 'echo $(({} * 2))' >"$0/doubled" || exit 1
i=0
while [ $i -lt 40 ]; do
        for pid in $("$1" --dir "$0/d" --json workers | tr ',{' '\n\n' | sed -n 's/.*"pid": *\([0-9]*\).*/\1/p'); do
                [ "$pid" -eq 0 ] || kill -9 "$pid"
        done
        i=$((i + 1))
        "$1" --dir "$0/d" run sh -c 'exit 7'
        [ $? -eq 7 ] || exit 2
done
kill $daemon
wait $daemon
'''
place = work + '/numbers'
os.mkdir(place)
done = subprocess.run(['unshare', '--pid', '--fork', '--mount-proc', '--kill-child', 'sh', '-c', inside, place, COMMAND, str(CHURN)],
                      capture_output=True, text=True, timeout=600)
if done.returncode == 77 or 'unshare' in done.stderr:
    check('F17 # SKIP the numbers of processes cannot be limited here: ' + done.stderr.strip()[-100:], True)
else:
    with open(place + '/doubled') as file:
        right = [int(line) for line in file] == [2 * i for i in range(1, CHURN + 1)]
    figure(f'F17 {CHURN} commands and 120 killed workers, 320 numbers for all processes', 'every answer is right',
           'they are' if right and done.returncode == 0 else f'status {done.returncode}', right and done.returncode == 0, None,
           done.stderr[-500:])

# -- F24: workers that outlive their daemon ----------------------------------------------------------------------------

daemon = Daemon(0, options=['workers.count=2'])
mark = work + '/marks'
ptools(daemon.dir, 'submit', '--durable', '--idempotent', '--attempts', '3', 'q.mark', mark, 'k', '60000')
until(lambda: os.path.exists(mark) and os.path.getsize(mark) > 0)
busy = [w for w in told(daemon.dir, 'workers')['workers'] if w['state'] == 'busy'][0]['pid']
os.kill(busy, signal.SIGSTOP)
daemon.process.kill()
daemon.process.wait()
gone_before = is_gone(busy)
started = time.monotonic()
daemon.start()
until(lambda: ptools(daemon.dir, 'status').returncode == 0)
figure('F24 a stopped worker of a daemon that was killed', 'gone before the next one runs anything, within 6 s',
       f"{'gone at once' if gone_before else 'gone at the start'}, {time.monotonic() - started:.1f} s", time.monotonic() - started < 6,
       is_gone(busy))

# -- R11, F27: told to end, at any moment ---------------------------------------------------------------------------

ids = ptools(daemon.dir, 'submit', '--stdin',
             fed='{"function": "t.nop", "durable": true, "hold": true, "tag": "kept"}\n' * 200).stdout.split()
check('200 durable tasks on hold', len(ids) == 200)
daemon.end()
longest, statuses = 0.0, []
for _ in range(STARTS):
    daemon.start('limits.drain_ms=100')
    time.sleep(rng.uniform(0, 0.3))  # the moment is what is tried
    asked = time.monotonic()
    daemon.process.terminate()
    statuses.append(daemon.process.wait(60))
    longest = max(longest, time.monotonic() - asked)
too_early = statuses.count(-signal.SIGTERM)  # it had not asked for signals yet
figure(f'R11 {STARTS} starts, told to end within 0 to 300 ms', 'status 0, within 6 s',
       f'{statuses.count(0)} with 0, {too_early} before they heard signals, {longest:.1f} s', longest < 6,
       statuses.count(0) > 0 and statuses.count(0) + too_early == STARTS)
daemon.start(*LONG_QUEUE)
until(lambda: ptools(daemon.dir, 'status').returncode == 0)
kept = told(daemon.dir, 'ls', '--tag', 'kept').get('tasks', [])
figure('R11 what was queued', 'all 200 are there, on hold', f'{len([t for t in kept if t["hold"]])}',
       sorted(str(t['id']) for t in kept) == sorted(ids))

DRAIN_MS = 500
accepted, longest, statuses = [], 0.0, set()
daemon.end()
for _ in range(DRAINS):
    daemon.start(f'limits.drain_ms={DRAIN_MS}')
    until(lambda: ptools(daemon.dir, 'status').returncode == 0)
    ptools(daemon.dir, 'call', '--detach', 't.spin')  # one worker never ends by itself, the other has work
    lines = json.dumps({'function': 't.sleep_ms', 'args': [20], 'durable': True, 'tag': 'drained'}) + '\n'
    accepted += ptools(daemon.dir, 'submit', '--stdin', fed=lines * 50).stdout.split()
    time.sleep(rng.uniform(0, 0.3))  # the moment is what is tried
    asked = time.monotonic()
    daemon.process.terminate()
    statuses.add(daemon.process.wait(60))
    longest = max(longest, time.monotonic() - asked)
figure(f'R11 {DRAINS} times told to end with an endless call and 50 tasks', f'status 0, within {DRAIN_MS} ms + 6 s',
       f'statuses {sorted(statuses)}, {longest:.1f} s', longest < DRAIN_MS / 1000 + 6, statuses == {0})
daemon.start(*LONG_QUEUE)
until(lambda: ptools(daemon.dir, 'status').returncode == 0)
ptools(daemon.dir, 'wait', '--tag', 'drained')
ended = told(daemon.dir, 'ls', '--tag', 'drained').get('tasks', [])
figure('R11 what was accepted meanwhile', f'all {50 * DRAINS} are done', f"{sum(t['state'] == 'done' for t in ended)}",
       len(accepted) == 50 * DRAINS and sorted(str(t['id']) for t in ended if t['state'] == 'done') == sorted(accepted))
ptools(daemon.dir, 'forget', '--tag', 'drained')

# -- F38: one that stays, many that come and go ----------------------------------------------------------------------------

gone = 0
for at in range(0, ENDED, 1000):
    sent = ptools(daemon.dir, 'submit', '--stdin', fed='{"function": "t.nop", "durable": true, "tag": "short"}\n' * min(1000, ENDED - at))
    good = ptools(daemon.dir, 'wait', '--tag', 'short').returncode == 0 == ptools(daemon.dir, 'forget', '--tag', 'short').returncode
    gone += good and len(sent.stdout.split())
size = sum(os.path.getsize(os.path.join(daemon.dir, 'state', name)) for name in os.listdir(daemon.dir + '/state')
           if os.path.isfile(os.path.join(daemon.dir, 'state', name)))
figure(f'F38 {gone} durable tasks came and went beside 200 that stay', 'the journal has at most 64 MiB', f'{size / 1048576:.1f} MiB',
       size <= 64 << 20, size <= 64 << 20 and gone == ENDED)

# -- F29: a long replay ----------------------------------------------------------------------------------------------------

for at in range(0, REPLAY, 7000):
    ptools(daemon.dir, 'submit', '--stdin', fed='{"function": "t.nop", "hold": true, "tag": "many"}\n' * min(7000, REPLAY - at))
daemon.end()
manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
manager.bind(work + '/notify')
manager.settimeout(60)
started = last = time.monotonic()
daemon.start(*LONG_QUEUE, env={**os.environ, 'NOTIFY_SOCKET': work + '/notify'})
notes, silence = [], 0.0
while not notes or 'READY=1' not in notes[-1]:
    notes.append(manager.recv(4096).decode())
    silence, last = max(silence, time.monotonic() - last), time.monotonic()
asks = [i for i, note in enumerate(notes) if 'EXTEND_TIMEOUT_USEC=' in note]
granted = min((int(notes[i].split('EXTEND_TIMEOUT_USEC=')[1].split()[0]) for i in asks), default=0) / 1e6
figure(f'F29 {REPLAY + 200} tasks are read at a start', 'the service manager is asked for time every 5 s at least, READY behind all',
       f'asked {len(asks)} times for {granted:.0f} s, {silence:.2f} s apart at most; ready after {last - started:.1f} s', silence <= 5,
       len(asks) >= 1 and asks[-1] < len(notes) - 1 and silence < granted)
many = told(daemon.dir, 'status')['status']['queue']['waiting']
check('F29 all of them are there', many == REPLAY + 200, many)
manager.close()
check('the daemon ends well', daemon.end() == 0)
finish()
