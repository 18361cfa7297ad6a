#!/usr/bin/env python3
"""`ptools pmap` on a terminal, and with readers that are slow: the bar, its width, ^C, memory and the flow of the input.

usage: pmap_terminal.py SANITIZER  (the environment as Meson sets it); prints TAP. Nothing sleeps in order to wait.
"""
import fcntl
import os
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios

COMMAND = os.environ["PTOOLS_TEST_COMMAND"]
work = tempfile.mkdtemp(prefix="ptools-test-", dir="/tmp")
env = dict(os.environ, PTOOLS_DIR=work + "/d", PTOOLS_MODULE_PATH=os.environ["PTOOLS_TEST_MODULES"],
           NO_COLOR="1")  # of colours, which stand before what is looked for here, terminal.sh has tests
for name in ("PTOOLS_ADDRESS", "XDG_RUNTIME_DIR"):
    env.pop(name, None)
done = 0


def check(good, name, *facts):
    global done
    done += 1
    print(f"{'ok' if good else 'not ok'} {done} - {name}")
    if not good:
        for fact in facts:
            print("# " + repr(fact)[:2000])
    sys.stdout.flush()


def start_daemon():
    os.mkdir(work + "/d", 0o700)
    ours, theirs = os.pipe()
    log = open(work + "/log", "wb")
    daemon = subprocess.Popen(
        [os.environ["PTOOLS_DAEMON"], "-o", "daemon.journal=no", "--workers", "2", "--dir", work + "/d",
         "--module-path", env["PTOOLS_MODULE_PATH"], "--ready-fd", str(theirs)],
        env=env, stdout=log, stderr=log, pass_fds=[theirs])
    os.close(theirs)
    assert os.read(ours, 6) == b"READY\n"
    os.close(ours)
    return daemon


class Terminal:
    """The command with standard error (and what else is said) on a terminal of so many columns."""

    def __init__(self, columns, args, stdin, stdout="pipe"):
        self.master, slave = os.openpty()
        self.resize(columns)

        def own_terminal():
            os.setsid()
            fcntl.ioctl(2, termios.TIOCSCTTY, 0)
            signal.signal(signal.SIGINT, signal.SIG_DFL)

        source = open(work + "/items", "w+b")
        source.write(stdin)
        source.seek(0)
        self.out = tempfile.TemporaryFile()
        self.process = subprocess.Popen([COMMAND, "pmap", *args], env=env, stdin=source, stderr=slave,
                                        stdout=slave if stdout == "terminal" else self.out,
                                        preexec_fn=own_terminal)
        os.close(slave)
        source.close()
        self.seen = b""

    def resize(self, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))

    def read(self, until=None):
        """What is written up to the pattern, or to the end."""
        while not (until and re.search(until, self.seen)):
            try:
                data = os.read(self.master, 65536)
            except OSError:
                break
            if not data:
                break
            self.seen += data
        return self.seen

    def end(self):
        self.read()
        os.close(self.master)
        status = self.process.wait()
        self.out.seek(0)
        return status, self.seen, self.out.read()


def drawn(seen):
    """The lines that were drawn over each other."""
    return [line for line in re.findall(rb"\r([^\r\n]*)\x1b\[K", seen) if line]


def screen(seen):
    """What is left to be seen: lines without what was taken away."""
    lines = []
    for line in seen.replace(b"\r\n", b"\n").split(b"\n"):
        text, at = b"", 0
        for part in re.findall(rb"\x1b\[K|\r|[^\r\x1b]+", line):
            if part == b"\r":
                at = 0
            elif part == b"\x1b[K":
                text = text[:at]
            else:
                text = text[:at] + part + text[at + len(part):]
                at += len(part)
        lines.append(text)
    return b"\n".join(lines).strip()


def on_terminals():
    naps = b'["sleep",20]\n' * 60
    t = Terminal(80, ["--json-lines", "p.item"], naps)
    status, seen, out = t.end()
    lines = drawn(seen)
    check(status == 0 and out == b"20\n" * 60 and len(lines) >= 3, "a bar is drawn", status, seen)
    check(all(len(line) <= 79 for line in lines) and re.search(rb"\d+/~?60  \[=*>? *\] +\d+%  \S+/s  ETA \d+s", seen),
          "... with numbers, as wide as the terminal", lines)
    check(screen(seen) == b"", "... and taken away at the end", seen)

    t = Terminal(40, ["--json-lines", "p.item"], naps)
    t.read(rb"\x1b\[K")
    t.resize(21)
    before = len(drawn(t.seen))
    status, seen, out = t.end()
    lines = drawn(seen)
    # The one that was being drawn may still have the old width.
    check(status == 0 and len(lines) > before + 1 and all(len(line) <= 39 for line in lines) and
          all(len(line) <= 20 for line in lines[before + 1:]), "it fits when the window has changed", lines)

    t = Terminal(80, ["--json-lines", "p.item"], naps[:13 * 5], stdout="terminal")
    status, seen, out = t.end()
    check(status == 0 and seen == b"20\r\n" * 5, "none where the values are seen", seen)
    t = Terminal(80, ["--json-lines", "--no-bar", "p.item"], naps)
    status, seen, out = t.end()
    check(status == 0 and seen == b"", "none where none is wanted", seen)
    p = subprocess.run([COMMAND, "pmap", "--bar", "--json-lines", "p.item"], env=env, input=naps, capture_output=True)
    check(p.returncode == 0 and len(drawn(p.stderr)) >= 3 and p.stderr.endswith(b"\r\x1b[K"),
          "one that is wanted, without a terminal", p)

    t = Terminal(80, ["--json-lines", "--batch-size", "1", "p.item"], naps + b'["fail","boo"]\n' + naps)
    status, seen, out = t.end()
    check(status == 1 and screen(seen).startswith(b"ptools pmap: index 60, line 61: boo (FAILED)\n") and
          b"of 121 items 120 have a value, 1 failed" in seen, "a failure is told between", screen(seen))

    t = Terminal(80, ["--json-lines", "--batch-size", "1", "p.item"], naps + b'["hang"]\n' * 60)
    t.read(rb"\r6[0-9]/[^\r]*\x1b\[K")
    os.write(t.master, b"\x03")
    status, seen, out = t.end()
    check(status == 130 and out.startswith(b"20\n" * 60) and set(out[180:].split()) <= {b"null"} and
          re.match(rb"(\^C)?ptools pmap: interrupted: of \d+ items 60 have a value, [12] were cancelled",
                   screen(seen)), "^C", status, screen(seen), out)


def commands_on_terminals():
    items = b"".join(b"%d\n" % i for i in range(60))
    script = 'sleep 0.02; echo "$1"; if [ "$1" = 30 ]; then echo oops >&2; exit 3; fi'
    t = Terminal(80, ["--", "sh", "-c", script, "sh"], items)
    status, seen, out = t.end()
    left = screen(seen).split(b"\n")
    check(status == 1 and out == items and len(drawn(seen)) >= 3 and left[0] == b"oops" and
          left[1].startswith(b"ptools pmap: item 31: sh -c ") and left[1].endswith(b" 30: exited with status 3") and
          left[2] == b"ptools pmap: of 60 items 59 went well, 1 failed" and len(left) == 3,
          "commands: a bar, which what they write replaces", status, left, out)

    # ^Z stops no group without a shell: so it is sent to one that has a parent.
    p = subprocess.Popen([COMMAND, "pmap", "--", "sh", "-c", 'test "$1" -lt 40 && echo "$1" || exec sleep 1000', "sh"], env=env,
                         stdin=open(work + "/items", "rb"), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                         preexec_fn=os.setpgrp)
    first = b"".join(p.stdout.readline() for i in range(40))
    p.send_signal(signal.SIGTSTP)
    state = os.waitpid(p.pid, os.WUNTRACED)[1]
    check(os.WIFSTOPPED(state) and os.WSTOPSIG(state) == signal.SIGTSTP, "^Z stops it", state)
    p.send_signal(signal.SIGCONT)
    p.send_signal(signal.SIGINT)
    rest, told = p.communicate()
    check(p.returncode == 130 and first == items[:110] and
          re.search(rb"interrupted: of \d+ items 40 went well, [12] were cancelled, ", told),
          "... and it goes on, until ^C", p.returncode, told)


def most_memory(lines):
    """Of the command, over so many lines through pipes that are read at once; KiB."""
    feeder = subprocess.Popen(["seq", str(lines)], stdout=subprocess.PIPE)
    mapper = subprocess.Popen([COMMAND, "pmap", "--json-lines", "p.same"], env=env, stdin=feeder.stdout,
                              stdout=subprocess.PIPE)
    feeder.stdout.close()
    expected, good = 0, True
    for line in mapper.stdout:
        expected += 1
        good = good and int(line) == expected
    mapper.stdout.close()
    _, status, usage = os.wait4(mapper.pid, 0)
    mapper.returncode = status
    feeder.wait()
    return usage.ru_maxrss, good and status == 0 and expected == lines


def flows(sanitizer):
    few, good_few = most_memory(20000)
    many, good_many = most_memory(1000000)
    check(good_few and good_many, "a million lines through pipes, in order")
    check(sanitizer != "none" or many < few + 8192, "... in the memory of a few", few, many)

    # Nobody reads: how much is taken in is bounded, and when somebody does, all of it comes, in order.
    line = b"x" * 999 + b"\n"
    mapper = subprocess.Popen([COMMAND, "pmap", "t.echo"], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    fd = mapper.stdin.fileno()
    os.set_blocking(fd, False)
    taken, most = 0, 200 << 20
    while taken < most and select.select([], [fd], [], 5)[1]:
        try:
            taken += os.write(fd, line * 65)
        except BlockingIOError:
            pass
    check(0 < taken < most, "a reader that rests stops the input", taken)
    taken_lines, rest = divmod(taken, len(line))
    out = 0
    os.set_blocking(fd, True)
    mapper.stdin.close()
    for answer in mapper.stdout:
        out += answer == b'["' + b"x" * 999 + b'"]\n'
    status = mapper.wait()
    mapper.stdout.close()
    check(status == 0 and out == taken_lines, "... and nothing is lost", status, out, taken_lines, rest)


daemon = start_daemon()
try:
    on_terminals()
    commands_on_terminals()
    flows(sys.argv[1])
    daemon.terminate()
    check(daemon.wait() == 0, "the daemon ends with 0")
finally:
    if daemon.poll() is None:
        daemon.kill()
        daemon.wait()
    shutil.rmtree(work)
print(f"1..{done}")
