#!/usr/bin/python3
"""count.py TESTLOG.json... -- prints "passed failed skipped" of `meson test` runs, and a line for each failure. What was
skipped, and why, is told on standard error: a test that never runs shall not look like one that passes.

A program that speaks TAP counts with each of its tests; if none of them failed, but it ended badly or said
less than it had announced, that is one failure. Any other program counts as one test.
"""
import json
import re
import sys

SKIPPED = re.compile(r"^(?:1\.\.0|(?:not )?ok\b[^#\n]*)#\s*SKIP\b *([^\n]*)", re.IGNORECASE | re.MULTILINE)
LINE = re.compile(r"^(not )?ok\b([^#\n]*)(#\s*(?:SKIP|TODO)\b)?[^\n]*", re.IGNORECASE | re.MULTILINE)
PLAN = re.compile(r"^1\.\.\d+", re.MULTILINE)


def count(test):
    """(passed, failures, skipped) of one line of the log; failures are texts."""
    output = test.get("stdout", "")
    name = test["name"].rsplit(" / ", 1)[-1]
    ended_well = test["result"] in ("OK", "EXPECTEDFAIL")
    failures = []
    passed = skipped = 0

    if test["result"] == "SKIP" and not LINE.search(output):
        return 0, [], 1
    if not PLAN.search(output):
        return (1, [], 0) if ended_well else (0, [f"{name}: {test['result']}"], 0)
    for line in LINE.finditer(output):
        bad, _, directive = line.groups()
        if directive:
            skipped += 1
        elif bad:
            failures.append(f"{name}: {line.group()}")
        else:
            passed += 1
    if not ended_well and test["result"] != "SKIP" and not failures:
        failures.append(f"{name}: {test['result']} after {passed} good tests")
    return passed, failures, skipped


def main():
    passed, failures, skipped = 0, [], 0
    for path in sys.argv[1:]:
        with open(path, encoding="utf-8") as log:
            for line in log:
                test = json.loads(line)
                p, f, s = count(test)
                passed, failures, skipped = passed + p, failures + f, skipped + s
                if s:
                    why = "; ".join(SKIPPED.findall(test.get("stdout", "")))
                    print(f"== skipped: {test['name'].rsplit(' / ', 1)[-1]}: {why}", file=sys.stderr)
    print(passed, len(failures), skipped)
    for failure in failures:
        print(failure)


main()
