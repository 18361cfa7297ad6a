#!/usr/bin/python3
"""claims.py SOURCE BUILD -- what tests/fault/README.md says is held by a test is held by one that is there: each program that
its tables name is among the tests of the build, and each test that they name of it is in its source. Speaks TAP.
"""
import glob
import json
import os
import re
import sys

source, build = sys.argv[1:]
PATHS = ['tests/system/service.sh', 'tests/system/limits.sh']  # run by check.sh --system


def programs():
    """name -> the text of its source, of each test of the build; what runs over two transports also without them."""
    with open(os.path.join(build, 'meson-info', 'intro-tests.json'), encoding='utf-8') as file:
        names = {re.sub('-(unix|ipc)$', '', test['name']) for test in json.load(file)}
    texts = {}
    for name in names | set(PATHS):
        stem = os.path.splitext(name.split('/')[-1])[0].replace('-', '_')
        stems = [stem, 'test_' + stem, stem.removeprefix('core_'), 'test_' + stem.removeprefix('core_')]
        paths = [path for path in glob.glob(source + '/tests/**', recursive=True)
                 if os.path.splitext(os.path.basename(path))[0] in stems and path.endswith(('.c', '.py', '.sh'))]
        texts[name] = ''.join(open(path, encoding='utf-8').read() for path in paths)
    return texts


def missing(cell, texts):
    """What a cell names that is not there: `program; program: test, test; program: "a check"`."""
    for part in cell.split(';'):
        claim = re.match(r'([a-z][a-z_/0-9.-]*)(?:, full size)?(?:: (.*))?$', part.strip())
        if not claim:
            continue  # words
        name, tests = claim.groups()
        if name not in texts:
            yield f'{name}: no such program'
            continue
        for test in re.findall(r'"([^"]+)"', tests or ''):
            if f'check "{test}' not in texts[name]:
                yield f'{name}: no check "{test}"'
        if '"' not in (tests or ''):
            for test in re.findall(r'\b[a-z0-9]+(?:_[a-z0-9]+)+\b', tests or ''):
                if f'({test})' not in texts[name]:
                    yield f'{name}: no test {test}'


def claimed(lines):
    """The cells of the columns that are headed so."""
    column = None
    for line in lines:
        cells = [cell.strip() for cell in line.strip(' |\n').split(' | ')] if line.startswith('| ') else []
        heads = [i for i, cell in enumerate(cells) if cell in ('case', 'held by')]
        column = heads[0] if heads else column if cells or line.startswith('|-') else None
        if column is not None and not heads and len(cells) > column:
            yield cells[column]


def main():
    texts = programs()
    with open(source + '/tests/fault/README.md', encoding='utf-8') as file:
        cells = list(claimed(file))
    invented = 'no-such-program; kill-workers; daemon: a_test_that_is_not_there; cgroups: "nothing of the kind"'
    wrong = [what for cell in cells for what in missing(cell, texts)]
    for ok, what in ((len(cells) > 120, f'{len(cells)} claims are read'),
                     (len(list(missing(invented, texts))) == 3, 'what is invented is found'),
                     (not wrong, 'what is claimed is there')):
        print('ok' if ok else 'not ok', '-', what)
    for what in wrong:
        print('#', what)
    print('1..3')


main()
