#!/bin/sh
# SPDX-License-Identifier: MIT
# `ptools fork`: what it runs, in which order it prints, how it ends, and that nothing is left behind. No daemon.
# usage: fork_command.sh  (PTOOLS_TEST_COMMAND as Meson sets it)
# shellcheck disable=SC2016 # $PTOOLS_INDEX and $$ are the children's
# shellcheck source-path=SCRIPTDIR source=command_rig.sh
. "$(dirname "$0")/command_rig.sh"
cd "$work" || exit 99
export PATH=/usr/local/bin:/usr/bin:/bin # without a directory that we may not look into
unset PTOOLS_DIR
runner=

at_end() { [ -z "$runner" ] || kill -KILL "$runner" 2>/dev/null; }

# skip NAME WHY
skip() {
    n=$((n + 1))
    echo "ok $n - $1 # SKIP $2"
}

# run STATUS ARG...: `ptools fork ARG...` must end with STATUS; its input is that of this function
run() {
    expected=$1
    shift
    ends "$expected" fork "$@"
}

complaints_are() { [ "$(cat err)" = "$1" ]; }
wrong() { # TEXT ARG...: a mistake of the command line, and what is said of it
    text=$1
    shift
    run 2 "$@" && complained "$text"
}

# -- what is run ------------------------------------------------------------------------------------------

run 0 -n 3 -- sh -c 'echo "$PTOOLS_INDEX of $PTOOLS_COUNT"' && quiet && is "$(printf '1 of 3\n2 of 3\n3 of 3')"
check "each child knows which one it is"
run 0 -n 2 printf '%s|' -n 5 --json -- -x && is '-n|5|--json|--|-x|-n|5|--json|--|-x|'
check "what follows the command is the command's"
run 127 --count 1 -- -- x && complained 'cannot run "--"'
check "-- ends the options once"
echo something >input
run 0 -n 2 cat <input && is "" && quiet
check "standard input is empty"
run 0 -n 2 cat <&- && is "" && quiet
check "also if ours is closed"
PTOOLS_INDEX=x PTOOLS_MINE=y "$command" fork -n 2 env >out 2>err
[ "$(grep -c '^PTOOLS_INDEX=' out)" = 2 ] && ! grep -q '^PTOOLS_INDEX=x' out &&
    [ "$(grep -c '^PTOOLS_MINE=y$' out)" = 2 ]
check "the environment is ours, but for what fork puts there"
run 0 -n 4 --seed 7 sh -c 'echo $PTOOLS_SEED' && cp out first && run 0 -n 4 --seed 7 -j 1 sh -c 'echo $PTOOLS_SEED' &&
    cmp -s out first && [ "$(sort -u out | wc -l)" -eq 4 ]
check "--seed: the same seeds in each run, another for each child"
run 0 -n 4 --seed 18446744073709551615 sh -c 'echo $PTOOLS_SEED' && ! cmp -s out first &&
    run 0 -n 4 sh -c 'echo $PTOOLS_SEED' &&
    cp out second && run 0 -n 4 sh -c 'echo $PTOOLS_SEED' && ! cmp -s out second
check "another seed is another, and so is none"
run 0 -n 30 -j 2 sh -c 'echo $PTOOLS_INDEX' && [ "$(cat out)" = "$(seq 30)" ] && run 0 -n 30 --processors true
check "--at-once, --processors"
run 0 -n 4 --at-once 1 sh -c 'mkdir alone && rmdir alone' && quiet
check "--at-once 1: one after the other"
base=$(nice)
run 0 -n 2 --nice 3 nice && is "$(printf '%s\n%s' $((base + 3)) $((base + 3)))"
check "--nice"
cpu=$(awk '/^Cpus_allowed_list/ { sub("[,-].*", "", $2); print $2 }' /proc/self/status)
run 0 -n 2 --cpus "$cpu" awk '/^Cpus_allowed_list/ { print $2 }' /proc/self/status &&
    is "$(printf '%s\n%s' "$cpu" "$cpu")"
check "--cpus"
run 0 -n "$(nproc)" --spread awk '/^Cpus_allowed_list/ { print $2 }' /proc/self/status &&
    [ "$(sort -u out | wc -l)" -eq "$(nproc)" ] && ! grep -q '[,-]' out
check "--spread"
run 0 -n 1 --limit nofile=37 --limit core=0 --limit fsize=8K --limit stack=4M --limit cpu=9 \
    sh -c 'ulimit -n; ulimit -c; ulimit -f; ulimit -s; ulimit -t; ulimit -Ht' &&
    [ "$(xargs <out)" = "37 0 16 4096 9 10" ]
check "--limit"
run 0 -n 1 --limit nofile=50 --limit nofile=40 sh -c 'ulimit -n' && is 40 &&
    run 125 -n 1 --limit nofile=unlimited true &&
    complained 'the limit nofile of this process is [0-9]*, and cannot be raised: Operation not permitted'
check "the last limit of a name counts; one that may not be raised is told"
run 1 -n 1 --limit nofile=3 true && complained 'child 1: exited with status 127' &&
    run 1 -n 1 --limit fsize=1K sh -c 'exec head -c 4096 /dev/zero >large' &&
    complained 'child 1: was killed by signal 25 (File size'
check "a limit is kept"
env --ignore-signal=CHLD "$command" fork -n 2 sh -c 'exit $PTOOLS_INDEX' >out 2>err
[ $? -eq 1 ] && complained 'child 2: exited with status 2'
check "how they end is known also where SIGCHLD is ignored"
run 1 -n 1 sh -c 'kill -PIPE $$' && complained 'signal 13'
check "SIGPIPE is what it was"
env --ignore-signal=PIPE "$command" fork -n 1 sh -c 'kill -PIPE $$; echo alive' >out 2>err && is alive
check "also where it is ignored"
run 0 -n 1 awk '/^SigBlk/ { print $2 }' /proc/self/status && is "$(awk '/^SigBlk/ { print $2 }' /proc/self/status)"
check "no signal is blocked in a child"

# -- what they write -----------------------------------------------------------------------------------------

# Each child ends before the one of the index before it.
mkfifo pipe1 pipe2
run 0 -n 3 sh -c 'case $PTOOLS_INDEX in 1) cat pipe1;; 2) cat pipe2; : >pipe1;; 3) : >pipe2;; esac; echo $PTOOLS_INDEX;
    echo e$PTOOLS_INDEX >&2' && [ "$(xargs <out)" = "1 2 3" ] && [ "$(xargs <err)" = "e1 e2 e3" ]
check "outputs come in the order of the index, whatever order the children end in"

# The first line arrives while the second child runs: it ends only when the reader has it.
mkfifo go shown
"$command" fork -n 2 sh -c 'if [ $PTOOLS_INDEX = 2 ]; then read -r x <go; fi; echo $PTOOLS_INDEX' >shown 2>err &
runner=$!
{
    read -r line
    echo x >go
    cat >rest
} <shown
wait $runner
status=$?
runner=
[ $status -eq 0 ] && [ "$line" = 1 ] && [ "$(cat rest)" = 2 ]
check "what is complete is printed while others run"

run 0 -n 4 sh -c 'yes $PTOOLS_INDEX | head -c 10485760; yes $PTOOLS_INDEX | head -c 1000000 >&2' &&
    for i in 1 2 3 4; do yes $i | head -c 10485760; done | cmp -s - out &&
    for i in 1 2 3 4; do yes $i | head -c 1000000; done | cmp -s - err
check "10 MiB of each of four children, into files"
"$command" fork -n 4 sh -c 'yes $PTOOLS_INDEX | head -c 10485760' 2>err | cmp -s - out && quiet
check "and into a pipe"
run 0 -n 2 printf 'a\0b\377' && [ "$(od -An -tx1 out | tr -d ' \n')" = 610062ff610062ff ]
check "bytes are as they were"
run 0 -n 2 --tag sh -c 'printf "a\n\nb"; printf "e\n" >&2' && is "$(printf '1: a\n1: \n1: b\n2: a\n2: \n2: b')" &&
    complaints_are "$(printf '1: e\n2: e')"
check "--tag"
run 0 -n 2 --tag sh -c 'head -c 300000 /dev/zero | tr "\0" x; echo; seq 30000' &&
    { for i in 1 2; do { head -c 300000 /dev/zero | tr '\0' x; echo; seq 30000; } | sed "s/^/$i: /"; done; } |
        cmp -s - out
check "--tag, lines long and many"
"$command" fork -n 2 --tag sh -c 'head -c 300000 /dev/zero | tr "\0" x; echo; seq 30000' 2>err | cmp -s - out
check "--tag, into a pipe"
run 0 -n 2 --discard sh -c 'echo a; echo b >&2' && is "" && quiet
check "--discard"
run 0 -n 2 -j 1 --inherit sh -c 'echo $PTOOLS_INDEX; echo e >&2' && is "$(printf '1\n2')" &&
    complaints_are "$(printf 'e\ne')" &&
    run 1 -n 2 --inherit sh -c 'exit $((PTOOLS_INDEX - 1))' &&
    complaints_are "ptools fork: child 2: exited with status 1"
check "--inherit"
run 125 -n 2 --output-limit 3 sh -c 'echo 123456; [ $PTOOLS_INDEX = 1 ] || echo 12345 >&2' && is 123123 &&
    complaints_are "ptools fork: child 1: 4 bytes of its standard output are lost: more than is kept (--output-limit 3)
123ptools fork: child 2: 4 bytes of its standard output are lost: more than is kept (--output-limit 3)
ptools fork: child 2: 3 bytes of its standard error are lost: more than is kept (--output-limit 3)"
check "125: --output-limit, and what is lost"
run 0 -n 3 -j 1 --progress true && complaints_are "$(printf 'ptools fork: %s of 3 done, 0 failed\n' 1 2 3)"
check "--progress"
if command -v script >/dev/null; then
    script -qec "'$command' fork -n 2 -j 1 --progress echo x" /dev/null </dev/null >out 2>err
    [ "$(tr -d '\r' <out | sed 's/\x1b\[K/\n/g' | xargs)" = \
        "x ptools fork: 1 of 2 done, 0 failed x ptools fork: 2 of 2 done, 0 failed" ]
    check "--progress on a terminal is one line"
else
    skip "--progress on a terminal is one line" "there is no script"
fi
{
    env --default-signal=PIPE "$command" fork -n 3 -j 1 sh -c '[ $PTOOLS_INDEX != 3 ] || sleep 1000; yes | head -c 200000' 2>err
    echo $? >status
} | head -n 1 >out
[ "$(cat status)" = 141 ] && is y && quiet
check "141: a reader that has seen enough stops the children"
"$command" fork -n 2 -j 1 echo x >/dev/full 2>err
[ $? -eq 125 ] && complained 'cannot write to standard output: No space left' && complained 'child 2 was not begun'
check "125: so does a full disk"
"$command" fork -n 2 --json echo x >/dev/full 2>err
[ $? -eq 125 ] && complained 'cannot write to standard output: No space left'
check "125: also of the document"

# -- how they end ----------------------------------------------------------------------------------------------

run 1 -n 3 sh -c 'echo $PTOOLS_INDEX; exit $((PTOOLS_INDEX - 1))' && is "$(seq 3)" &&
    complaints_are "$(printf 'ptools fork: child %d: exited with status %d\n' 2 1 3 2)"
check "1: a child fails"
run 1 -n 2 sh -c '[ $PTOOLS_INDEX = 1 ] || kill -KILL $$' &&
    complaints_are "ptools fork: child 2: was killed by signal 9 (Killed)"
check "1: a child is killed"
run 1 -n 1 -- sh -c 'exit 127' && complaints_are "ptools fork: child 1: exited with status 127"
check "1: also with a status that is one of ours"
run 1 -n 5 -j 1 --fail-fast -- sh -c 'exit $((PTOOLS_INDEX / 2))' &&
    complaints_are "$(printf '%s\n' 'ptools fork: child 2: exited with status 1' \
        'ptools fork: 3 children were not begun, because child 2 did not succeed')"
check "--fail-fast, and what is not begun"
run 1 -n 2 --fail-fast -- sh -c '[ $PTOOLS_INDEX = 1 ] || exit 4; exec sleep 1000' &&
    complaints_are "$(printf '%s\n' 'ptools fork: child 1: was stopped, because child 2 did not succeed' \
        'ptools fork: child 2: exited with status 4')"
check "--fail-fast stops those that run"
run 0 -n 3 --fail-fast true
check "--fail-fast, and all go well"
run 124 -n 2 --timeout 300ms sh -c 'echo $PTOOLS_INDEX; [ $PTOOLS_INDEX = 1 ] || exec sleep 1000' && is "$(seq 2)" &&
    complaints_are "ptools fork: child 2: was stopped, because its time (300 ms) was over"
check "124: --timeout"
run 124 -n 3 -j 1 --timeout-all 200ms sleep 1000 &&
    complaints_are "$(printf '%s\n' 'ptools fork: child 1: was stopped, because the time for all (200 ms) was over' \
        'ptools fork: 2 children were not begun, because the time for all (200 ms) was over')"
check "124: --timeout-all"
run 127 -n 20 no-such-command x && is "" &&
    complaints_are 'ptools fork: cannot run "no-such-command": No such file or directory'
check "127: there is no such command, told once"
run 127 -n 2 ./none && run 127 -n 2 '' && complaints_are 'ptools fork: cannot run "": No such file or directory'
check "127: no such file"
run 126 -n 3 "$work" && complaints_are "ptools fork: cannot run \"$work\": Permission denied"
check "126: a directory"
echo 'echo hi' >script && run 126 -n 1 ./script && chmod +x script && run 0 -n 1 ./script && is hi
check "126: a file that may not be executed"
run 126 -n 2 true "$(head -c 140000 /dev/zero | tr '\0' x)" && complained 'Argument list too long'
check "126: an argument that is too long"
run 125 -n 50 -j 2 --cpus 1023 true && [ "$(grep -c 'cannot run on these processors' err)" -le 2 ]
check "125: children that cannot be set up"

# -- signals -----------------------------------------------------------------------------------------------------

alive() { # FILE: whether one of the processes whose pids are there lives
    while read -r pid; do
        [ ! -e "/proc/$pid" ] || grep -q '^State:.*[ZX]' "/proc/$pid/status" 2>/dev/null || return 0
    done <"$1"
    return 1
}

# begin CHILDREN ARG...: `ptools fork ARG...` in the background, until so many lines have come through pids.pipe, which
# its children write their pids to
begin() {
    lines=$1
    shift
    mkfifo pids.pipe
    exec 7<>pids.pipe
    env --default-signal=INT,TERM,HUP "$command" fork "$@" >out 2>err 7>&- &
    runner=$!
    : >pids
    while [ "$lines" -gt 0 ]; do
        read -r line <&7
        echo "$line" >>pids
        lines=$((lines - 1))
    done
}

end() { # SIGNAL
    kill "-$1" $runner
    wait $runner 2>/dev/null
    status=$?
    runner=
    exec 7>&-
    rm pids.pipe
}

begin 3 -n 3 sh -c 'echo $$ >pids.pipe; exec sleep 1000'
end TERM
[ $status -eq 130 ] && ! alive pids && [ "$(grep -c 'was stopped, because signal 15 (Terminated) came' err)" -eq 3 ]
check "130: SIGTERM kills all"
begin 6 -n 3 sh -c 'echo $$ >pids.pipe; sh -c "echo \$\$ >pids.pipe; exec sleep 1000; true"; true'
end INT
[ $status -eq 130 ] && complained 'signal 2 (Interrupt)'
check "130: SIGINT"
while alive pids; do :; done # they are killed, but nobody here reaps them
check "which kills also what they have started"
begin 1 -n 3 -j 1 sh -c '[ $PTOOLS_INDEX != 1 ] || { echo one; exit 0; }; echo $$ >pids.pipe; exec sleep 1000'
end HUP
[ $status -eq 130 ] && ! alive pids && is one && complained 'signal 1 (Hangup)'
check "130: SIGHUP; what had ended is printed"
begin 1 -n 9 -j 1 sh -c 'echo $$ >pids.pipe; exec sleep 1000'
end TERM
[ $status -eq 130 ] && ! alive pids && complained '8 children were not begun, because signal 15'
check "130: what is not begun is told in a line"
begin 2 -n 2 sh -c 'echo $$ >pids.pipe; exec sleep 1000'
end KILL
while alive pids; do :; done
check "children do not outlive a ptools that is killed"

# A reader that does not read must not keep a signal from the children.
mkfifo unread
exec 8<>unread
mkfifo pids.pipe
exec 7<>pids.pipe
env --default-signal=TERM "$command" fork -n 2 sh -c \
    '[ $PTOOLS_INDEX != 1 ] || { yes | head -c 1000000; exit 0; }; echo $$ >pids.pipe; exec sleep 1000' \
    >unread 2>err 7>&- 8>&- &
runner=$!
read -r line <&7
echo "$line" >pids
head -c 4096 <&8 >/dev/null # it has begun to write, and will soon wait for us
kill -TERM $runner
while alive pids; do :; done
echo $runner >pids
while alive pids; do
    kill -TERM $runner 2>/dev/null # now it waits for us alone, and a signal ends it at once
done
wait $runner 2>/dev/null
status=$?
runner=
[ $status -eq 143 ] || [ $status -eq 130 ]
check "a signal reaches the children where nobody reads, and a second one ends what is left to be written"
exec 7>&- 8>&-
rm pids.pipe

mkfifo pids.pipe
exec 7<>pids.pipe 8<>unread
"$command" fork -n 2 --timeout 300ms sh -c \
    '[ $PTOOLS_INDEX != 1 ] || { yes | head -c 1000000; exit 0; }; echo $$ >pids.pipe; exec sleep 1000' \
    >unread 2>err 7>&- 8>&- &
runner=$!
read -r line <&7
echo "$line" >pids
while alive pids; do :; done
head -c 1000000 <&8 >out
wait $runner
status=$?
runner=
[ $status -eq 124 ] && yes | head -c 1000000 | cmp -s - out
check "--timeout is kept where nobody reads, and all is printed when somebody does"
exec 7>&- 8>&-
rm pids.pipe

# -- documents ------------------------------------------------------------------------------------------------------

if command -v python3 >/dev/null; then
    run 1 -n 4 --json sh -c 'case $PTOOLS_INDEX in 1) printf "a\0b\n";; 2) printf "\377"; echo "e\"" >&2; exit 3;;
        3) kill -SEGV $$;; 4) echo "ä";; esac'
    python3 - out err <<'PYTHON' >log 2>&1 || cat log >>err
import json, sys

doc, error = (json.load(open(name, encoding="utf-8")) for name in sys.argv[1:])
assert doc["schema"] == 1
a, b, c, d = doc["children"]
assert [x["index"] for x in doc["children"]] == [1, 2, 3, 4]
assert [x["code"] for x in doc["children"]] == ["OK", "FAILED", "WORKER_DIED", "OK"]
assert [x["exit_status"] for x in doc["children"]] == [0, 3, -1, 0]
assert [x["signal"] for x in doc["children"]] == [0, 0, 11, 0]
assert a["stdout"] == "a\0b\n" and a["stderr"] == "" and a["message"] == ""
assert b["stdout"] == {"$bytes": "/w=="} and b["stderr"] == 'e"\n' and b["message"] == "exited with status 3"
assert d["stdout"] == "ä\n"
assert all(x["pid"] > 1 and x["run_us"] > 0 and x["cpu_us"] > 0 and x["peak_bytes"] > 0 for x in doc["children"])
assert all(x["stdout_dropped"] == 0 and x["stderr_dropped"] == 0 for x in doc["children"])
assert set(a) == {"index", "pid", "code", "message", "exit_status", "signal", "run_us", "cpu_us", "peak_bytes",
                  "stdout", "stdout_dropped", "stderr", "stderr_dropped"}
e = error["error"]
assert e["code"] == "FAILED" and e["exit"] == 1 and e["exit_status"] == 3 and e["pid"] == b["pid"]
assert e["message"] == "2 of 4 children did not succeed; child 2 exited with status 3"
PYTHON
    [ ! -s log ]
    check "--json: the document, and the failure"
    run 0 -n 2 --json true && quiet && run 125 -n 1 --json --output-limit 2 echo abc && complained '"exit":125' &&
        run 127 -n 2 --json no-such-command && complained '"exit":127' && grep -q '"code":"SYSTEM"' out &&
        run 124 -n 2 -j 1 --json --timeout-all 100ms sleep 1000 && complained '"code":"DEADLINE"' &&
        grep -q '"code":"NOT_RUN"' out && python3 -m json.tool out >/dev/null
    check "--json: other ends"
else
    skip "--json: the document, and the failure" "there is no python3"
    skip "--json: other ends" "there is no python3"
fi

# -- mistakes --------------------------------------------------------------------------------------------------------

wrong 'how many children? -n N is missing' true && wrong 'no command is named' -n 2 &&
    wrong 'allowed is 1 to 2147483647' -n 0 true && wrong '-at-once -1' -n 2 -j -1 true &&
    wrong 'exclude each other' -n 2 -j 2 --processors true && wrong 'a duration is' -n 2 --timeout soon true &&
    wrong 'a duration is' -n 2 --timeout-all 0 true && wrong 'from -40 to 40' -n 2 --nice 41 true &&
    wrong 'allowed is a number from 0 to 18446744073709551615' -n 2 --seed 18446744073709551616 true &&
    wrong 'is no list of processors' -n 2 --cpus 3-1 true &&
    wrong 'the nearest is nofile' -n 2 --limit nofiles=3 true &&
    wrong 'a size is' -n 2 --output-limit 2X true && wrong 'keeps nothing' -n 2 --output-limit 0 true
check "2: values that are not allowed"
wrong 'fork asks no daemon' --dir /tmp -n 2 true && wrong 'fork asks no daemon' --address /tmp -n 2 true &&
    wrong 'exclude each other' -n 2 --inherit --discard true &&
    wrong '--tag has no meaning with --discard' -n 2 --tag --discard true &&
    wrong '--output-limit has no meaning with --inherit' -n 2 --output-limit 3 --inherit true &&
    wrong '--inherit has no meaning with --json' -n 2 --inherit --json true &&
    wrong '--tag has no meaning with --json' -n 2 --tag --json true &&
    wrong 'there is no option --tags' -n 2 --tags true
check "2: options that do not go together"
echo "1..$n"
