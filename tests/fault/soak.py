#!/usr/bin/python3
"""R14: tasks at a steady rate from clients that come and go, some of them durable, and what the daemon has by the second:
memory, descriptors, files; and how long a task of another client takes, from the command to its value.

usage: soak.py SANITIZERS  (PTOOLS_TEST_COMMAND, _MODULES and PTOOLS_DAEMON as Meson sets them)
SOAK_S (12; full: 240), SOAK_RATE tasks a second (3000), SOAK_CLIENTS that come a second (20)
"""
import json
import os
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from security_rig import Daemon, check, figure, finish, until  # noqa: E402

COMMAND = os.environ['PTOOLS_TEST_COMMAND']
SECONDS, RATE, CLIENTS = (int(os.environ.get(f'SOAK_{name}', n)) for name, n in (('S', 12), ('RATE', 3000), ('CLIENTS', 20)))
KEEP_S = 2
EACH = RATE // CLIENTS


def ptools(*words, fed=None):
    return subprocess.run([COMMAND, '--dir', daemon.dir, *words], input=fed, capture_output=True, text=True, timeout=300)


def status():
    return json.loads(ptools('--json', 'status').stdout)['status']


def rss_kb():
    with open(f'/proc/{daemon.pid}/status') as file:
        return int(file.read().split('VmRSS:')[1].split()[0])


def files():
    return sum(os.path.getsize(os.path.join(daemon.dir, 'state', name)) for name in os.listdir(daemon.dir + '/state')
               if os.path.isfile(os.path.join(daemon.dir, 'state', name)))


def percentile(values, part):
    return sorted(values)[min(len(values) - 1, int(len(values) * part))] if values else 0.0


lines = ''.join(json.dumps({'function': 't.nop', 'keep': f'{KEEP_S}s', 'priority': i % 7, 'durable': i % 10 == 0}) + '\n'
                for i in range(EACH))
daemon = Daemon(0, options=['workers.count=2'])
until(lambda: ptools('call', 't.nop').returncode == 0)
fds_before = len(os.listdir(f'/proc/{daemon.pid}/fd'))
begin = time.monotonic()
sent, failed, samples, waits = 0, [], [], []
over = threading.Event()


def probe():
    while not over.is_set():
        asked = time.monotonic()
        done = ptools('submit', '--wait', '--keep', '1s', 't.nop')
        waits.append((asked - begin, time.monotonic() - asked))
        if done.returncode != 0:
            failed.append(done.stderr)
        over.wait(0.05)


def sample():
    while not over.wait(1):
        samples.append((time.monotonic() - begin, rss_kb(), len(os.listdir(f'/proc/{daemon.pid}/fd')), files()))


threads = [threading.Thread(target=probe), threading.Thread(target=sample)]
for thread in threads:
    thread.start()
turn = 0
while time.monotonic() - begin < SECONDS:
    done = ptools('submit', '--stdin', fed=lines)
    if done.returncode == 0:
        sent += EACH
    else:
        failed.append(done.stderr)
    turn += 1
    time.sleep(max(0.0, begin + turn / CLIENTS - time.monotonic()))  # the rate is what is tried
took = time.monotonic() - begin
over.set()
for thread in threads:
    thread.join()
until(lambda: status()['queue']['waiting'] == 0)
tasks = status()['tasks']
figure(f'R14 {took:.0f} s', f'{RATE} tasks a second, {CLIENTS} clients a second', f'{sent / took:.0f}, {turn / took:.1f}',
       sent >= 0.98 * RATE * took, not failed, *(text[:300] for text in failed[:3]))
figure('R14 what was accepted', 'all of it ended well', f"{tasks['done']} of {sent + len(waits)}, {tasks['failed']} failed",
       tasks['done'] >= sent + len(waits) and tasks['failed'] == 0)
quarter = [s for s in samples if s[0] > SECONDS / 4]
grown = (max(s[1] for s in quarter[-5:]) - max(s[1] for s in quarter[:5])) / 1024
figure('R14 memory after the first quarter', 'at most 8 MiB more at the end', f'{grown:+.1f} MiB of {quarter[-1][1] / 1024:.0f}',
       grown <= 8, grown <= 64 or sys.argv[1] != 'none')  # what a sanitizer has freed, it keeps for a while
until(lambda: len(os.listdir(f'/proc/{daemon.pid}/fd')) <= fds_before)
figure('R14 descriptors', 'as before', f"{len(os.listdir(f'/proc/{daemon.pid}/fd'))} of {fds_before}, {max(s[2] for s in samples)} at most",
       len(os.listdir(f'/proc/{daemon.pid}/fd')) <= fds_before)
figure('R14 journal', 'at most 64 MiB', f'{max(s[3] for s in samples) / 1048576:.1f} MiB', max(s[3] for s in samples) <= 64 << 20)
second, last = ([w for at, w in waits if lo <= at / SECONDS < hi] for lo, hi in ((0.25, 0.5), (0.75, 1.0)))
p99 = percentile(second, 0.99) * 1000, percentile(last, 0.99) * 1000
figure('R14 a task of another client, p99 of the last quarter and of the second', 'at most 1.2 times',
       f'{p99[1]:.1f} and {p99[0]:.1f} ms (medians {percentile(last, 0.5) * 1000:.1f} and {percentile(second, 0.5) * 1000:.1f})',
       p99[1] <= 1.2 * p99[0], True)
check('the daemon ends well', daemon.end() == 0)
finish()
