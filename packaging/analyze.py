#!/usr/bin/python3
"""analyze.py BUILD-DIR CHECKER... -- `clang --analyze` over each source of a build directory, without these checkers, as many
at a time as there are processors, the largest first. It is what scan-build does, but nothing is built, and a source that is
compiled for two programs is looked at once. Ends with 1 if something is found.
"""
import concurrent.futures
import json
import os
import shlex
import subprocess
import sys


def analyze(entry, arguments):
    words = shlex.split(entry["command"])
    del words[words.index("-o"):words.index("-o") + 2]
    words.remove("-c")
    options = [word for option in arguments for word in ("-Xclang", option)]
    done = subprocess.run([words[0], "--analyze", "--analyzer-output", "text", *options, *words[1:]], cwd=entry["directory"],
                          capture_output=True, text=True)
    return done.returncode, done.stderr


def main():
    arguments = ["-analyzer-werror"] + [word for name in sys.argv[2:] for word in ("-analyzer-disable-checker", name)]
    with open(os.path.join(sys.argv[1], "compile_commands.json"), encoding="utf-8") as file:
        entries = {os.path.join(entry["directory"], entry["file"]): entry for entry in json.load(file)}
    by_size = sorted(entries, key=os.path.getsize, reverse=True)
    with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        found = list(pool.map(lambda path: analyze(entries[path], arguments), by_size))
    print("".join(text for _, text in found), end="")
    print(f"{len(entries)} sources, {sum(status != 0 for status, _ in found)} of them with findings")
    sys.exit(1 if not entries or any(status for status, _ in found) else 0)


main()
