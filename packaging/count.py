#!/usr/bin/python3
"""count.py TESTLOG.json... -- prints "passed failed skipped" of `meson test` runs.

A program that speaks TAP counts with each of its tests; if none of them failed, but it ended badly or said
less than it had announced, that is one failure. Any other program counts as one test.
"""
import json
import re
import sys

LINE = re.compile(r"^(not )?ok\b[^#\n]*(#\s*(SKIP|TODO))?", re.IGNORECASE | re.MULTILINE)
PLAN = re.compile(r"^1\.\.\d+", re.MULTILINE)


def count(test):
    """(passed, failed, skipped) of one line of the log."""
    output = test.get("stdout", "")
    ended_well = test["result"] in ("OK", "EXPECTEDFAIL")
    passed = failed = skipped = 0

    if test["result"] == "SKIP" and not LINE.search(output):
        return 0, 0, 1
    if not PLAN.search(output):
        return (1, 0, 0) if ended_well else (0, 1, 0)
    for bad, _, directive in LINE.findall(output):
        if directive:
            skipped += 1
        elif bad:
            failed += 1
        else:
            passed += 1
    if not ended_well and test["result"] != "SKIP" and not failed:
        failed = 1
    return passed, failed, skipped


def main():
    sums = [0, 0, 0]
    for path in sys.argv[1:]:
        with open(path, encoding="utf-8") as log:
            for line in log:
                sums = [a + b for a, b in zip(sums, count(json.loads(line)))]
    print(*sums)


main()
