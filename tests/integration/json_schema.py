#!/usr/bin/env python3
"""What programs may rely on in the documents of --json: for each verb the keys of schema 1, and of which kind each is.
More may come within a schema; that one of these goes or changes its kind is a failure here. And nobody gets colours, or
anything else for terminals, who is none.
usage: json_schema.py  (PTOOLS_TEST_COMMAND, _MODULES and PTOOLS_DAEMON as Meson sets them)"""
import json
import os
import shutil
import subprocess
import sys
import tempfile

command = os.environ['PTOOLS_TEST_COMMAND']
work = tempfile.mkdtemp(prefix='ptools-test-', dir='/tmp')
for name in 'PTOOLS_ADDRESS', 'XDG_RUNTIME_DIR':
    os.environ.pop(name, None)
os.environ['PTOOLS_DIR'] = work + '/d'
os.environ['PTOOLS_MODULE_PATH'] = os.environ['PTOOLS_TEST_MODULES']
n = 0


def check(name, problem):
    global n
    n += 1
    print(f"{'not ok' if problem else 'ok'} {n} - {name}")
    if problem:
        print('# ' + str(problem)[:1000].replace('\n', '\n# '))


def differs(document, shape, where=''):
    """None, or what is not as in the shape: a type, several, [shape of each item], or {key: shape}."""
    if isinstance(shape, dict):
        if not isinstance(document, dict):
            return f'{where} is no map: {document!r}'
        for key, inner in shape.items():
            if key not in document:
                return f'{where}.{key} is missing'
            problem = differs(document[key], inner, f'{where}.{key}')
            if problem:
                return problem
        return None
    if isinstance(shape, list):
        if not isinstance(document, list):
            return f'{where} is no list: {document!r}'
        return next(filter(None, (differs(item, shape[0], f'{where}[]') for item in document)), None)
    kinds = shape if isinstance(shape, tuple) else (shape,)
    return None if type(document) in kinds else f'{where} is a {type(document).__name__}: {document!r}'


TASK = {'id': int, 'parent': int, 'parts': int, 'state': str, 'function': str, 'target': str, 'priority': (float, str),
        'durability': str, 'attempt': int, 'attempts': int, 'kills': int, 'worker': int, 'hold': bool, 'paused': bool,
        'idempotent': bool, 'queued_ms': int, 'due_ms': int, 'started_ms': int, 'ended_ms': int, 'run_us': int,
        'cpu_us': int, 'peak_bytes': int,
        'args_bytes': int, 'value_bytes': int, 'code': str, 'message': str, 'maybe_executed': bool, 'phase': str,
        'progress': int, 'progress_of': int, 'log': str, 'tags': [str], 'after': [int]}
CHANGE = {'changed': int, 'unchanged': int}
SHAPES = [
    (0, 'status', {'status': {'version': str, 'pid': int, 'uid': int, 'uptime_s': int, 'dir': str, 'clients': int,
                              'workers': int, 'sets': int, 'rss_bytes': int,
                              'tasks': {'waiting': int, 'given': int, 'submitted': int, 'done': int, 'failed': int,
                                        'cancelled': int},
                              'queue': {'taken': int, 'waiting': int, 'known': int, 'paused': [str]},
                              'journal': {'dir': str, 'failed': str},
                              'cgroups': {'used': bool, 'limits': str, 'why': str}}}),
    (0, 'workers', {'workers': [{'id': int, 'pid': int, 'state': str, 'task': int, 'function': str, 'phase': str,
                                 'progress': [int], 'tasks_done': int, 'deaths': int, 'recycled': int,
                                 'rss_bytes': int}]}),
    (0, 'sets', {'sets': [{'id': int, 'name': str, 'mode': str, 'workers': [int], 'waiting': int, 'uid': int}]}),
    (0, 'modules', {'modules': [{'name': str, 'state': str, 'help': str, 'path': str, 'problem': str, 'calls': int,
                                 'functions': [{'name': str, 'help': str, 'idempotent': bool, 'calls': int}]}]}),
    (0, 'ls', {'tasks': [TASK]}),
    (0, 'jobs', {'tasks': [TASK]}),
    (0, 'info last', {'tasks': [{**TASK, 'args': [(int, str)]}]}),
    (1, 'wait --where true', {'tasks': [TASK]}),
    (0, 'why tag:ok', {'task': int, 'why': str}),
    (0, 'export tag:ok', {'task': {**TASK, 'args': [int], 'value': int}}),
    (0, 'priority tag:ok 3', {'changed': int, 'skipped': int}),
    *[(0, verb + ' tag:none --state done', CHANGE)
      for verb in ('cancel', 'kill', 'dequeue', 'hold', 'release', 'kick', 'rerun', 'forget', 'purge')],
    (0, 'pause --tag none', {'changed': int}),
    (0, 'resume --tag none', {'changed': int}),
    (0, 'top --interval 100ms', {'status': {'version': str, 'tasks': {'done': int}, 'queue': {'paused': [str]}},
                                 'ended_per_s': {'done': float, 'failed': float, 'cancelled': float},
                                 'workers': [{'id': int, 'pid': int, 'state': str, 'function': str, 'phase': str,
                                              'rss_bytes': int, 'cpu_percent': float}],
                                 'tasks': [TASK]}),
    (0, 'doctor', {'checks': [{'check': str, 'is': str, 'what': str}]}),
    (0, 'complete -- wa', {'words': [{'word': str, 'help': str}], 'also': str}),
]

try:
    os.mkdir(work + '/d', 0o700)
    readable, ready = os.pipe()
    daemon = subprocess.Popen([os.environ['PTOOLS_DAEMON'], '--workers', '2', '--ready-fd', str(ready)],
                              pass_fds=[ready], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.close(ready)
    check('the daemon is ready', os.read(readable, 6) != b'READY\n')

    def run(*args):
        r = subprocess.run([command, *args], stdin=subprocess.DEVNULL, capture_output=True, check=False)
        return r.returncode, r.stdout, r.stderr

    run('submit', '--tag', 'ok', 'math.square', '3')
    run('submit', '--tag', 'bad', 't.fail', 'no')
    run('wait', '--where', 'true')
    for status, line, shape in SHAPES:
        args = line.replace('tag:none', '--tag none').split()
        got, out, err = run(args[0], '--json', *args[1:])
        problem = f'exit status {got}: {err!r}' if got != status else None
        if not problem:
            document = json.loads(out)
            problem = differs(document, {'schema': int, **shape}) or (document['schema'] != 1 and 'another schema')
        check(line, problem)
    got, out, err = run('result', '--json', '1')
    check('an error', got != 125 or differs(json.loads(err), {'schema': int, 'error': {'code': str, 'message': str}}))
    problem = None
    for verb in ('--help', 'ls', 'status', 'workers', 'modules'):
        got, out, err = run(verb)
        if b'\033' in out + err:
            problem = f'{verb}: {out!r}'
    check('without a terminal there are no colours', problem)
    daemon.terminate()
    check('the daemon ends with 0', daemon.wait() != 0)
finally:
    shutil.rmtree(work)
print(f'1..{n}')
sys.exit(0)
