#!/bin/sh
# Commands as tasks, by the command: run, submit -- COMMAND, log, replay.
# usage: run_command.sh  (PTOOLS_TEST_COMMAND, _MODULES and PTOOLS_DAEMON as Meson sets them)
# shellcheck source-path=SCRIPTDIR source=command_rig.sh
. "$(dirname "$0")/command_rig.sh"
# shellcheck disable=SC2016 # what stands in '' is for the shells of the commands

at_end() { [ -z "${follower:-}" ] || kill "$follower" 2>/dev/null; }

# submit ARG...: its id is in $id
submit() {
    run 0 submit "$@" && id=$(cat "$work/out") && [ "$id" -gt 0 ]
}
# ended STATE: the task $id
ended() {
    "$command" wait "$id" >/dev/null 2>&1
    run 0 ls --columns state "$id" && said "$1"
}
err_is() { [ "$(cat "$work/err")" = "$1" ]; }
# until_there FILE
until_there() { while [ ! -e "$1" ]; do :; done; }

run 125 run true && complained 'no daemon\|ptoolsd'
check "where no daemon runs, run says so"
start_daemon auto
check "the daemon is ready"

# -- run -----------------------------------------------------------------------------------------------------

run 3 run sh -c 'echo out; echo err >&2; exit 3' && is out && err_is err
check "run: output, errors and exit status are those of the command"
run 0 run true && [ ! -s "$work/out" ] && quiet
check "run: nothing is nothing"
run 137 run sh -c 'kill -9 $$' && complained 'killed by signal 9'
check "run: 128 and the signal"
run 127 run no-such-command-here && complained 'no such command: no-such-command-here'
check "run: 127, there is no such command"
run 2 run '' x && complained 'the name of the command is empty' && run 2 submit -- '' && complained 'name of the command' &&
    run 2 pmap -- '' ::: x && complained 'name of the command' && echo '{"command": [""]}' >"$work/noname" &&
    fed "$work/noname" 125 submit --stdin && complained 'line 1: "command": .*name'
check "2: a command without a name, as of a variable that is not set"
run 126 run /etc && complained '/etc cannot be run'
check "run: 126, it cannot be run"
run 125 run --cwd /no/such/dir true && complained /no/such/dir
check "run: a directory that is not there"
run 0 run printf '%s|' 'a b' "it's" '"q"' '$HOME' '*' '' "$(printf 'l1\nl2')" &&
    is "$(printf '%s|' 'a b' "it's" '"q"' '$HOME' '*' '' "$(printf 'l1\nl2')")"
check "run: words are words, whatever is in them"
printf '\377\376\001' >"$work/bytes"
run 0 run printf '%s' "$(cat "$work/bytes")" && cmp -s "$work/out" "$work/bytes"
check "run: and need not be UTF-8"
run 0 run -- sh -c 'echo "$A $B"; pwd; umask' && cd / && A=1 B='x y' run 0 run --env B=z sh -c 'echo "$A $B"; pwd' &&
    is "$(printf '1 z\n/')" && cd "$work"
check "run: our environment and directory, and what --env says"
python3 -c 'import ctypes, os, sys
def texts(*all): return (ctypes.c_char_p * (len(all) + 1))(*(os.fsencode(t) for t in all), None)
ctypes.CDLL(None).execve(os.fsencode(sys.argv[1]), texts("ptools", "run", "env"), texts("=x", "NOVALUE", "A=", "PTOOLS_DIR=" + sys.argv[2]))
' "$command" "$PTOOLS_DIR" >"$work/out" 2>"$work/err" && said '^A=$' && ! said '^=x' && ! said NOVALUE
check "run: what is no variable in our environment is left out"
mkdir "$work/gone"
(cd "$work/gone" && rmdir "$work/gone" && run 0 run --cwd "$work" pwd && is "$work" && run 125 run pwd && complained gone &&
    run 125 run --cwd "$work" --stdin=x pwd && complained gone && run 125 run --cwd x pwd)
check "run: where our directory is gone, --cwd says which"
run 0 run sh -c 'echo $PTOOLS_SEED; "$0" pmap -- sh -c "echo \$PTOOLS_SEED" ::: 1 2 3' "$command" &&
    [ "$(sort -u "$work/out" | grep -c '^[0-9]')" -eq 4 ] && PTOOLS_SEED=7 run 0 run sh -c 'echo $PTOOLS_SEED' && is 7
check "run: a seed of its own for each, also where commands run others; or ours"
(umask 027 && run 0 run --cwd .. sh -c 'umask; pwd') && is "$(printf '0027\n%s' "$(dirname "$(pwd -P)")")"
check "run: our umask, and --cwd from here"
echo text >"$work/text"
fed "$work/text" 0 run cat && is '' && fed "$work/text" 0 run --stdin - cat && is text &&
    run 0 run --stdin text cat && is text
check "run: it reads nothing, or what --stdin says"
echo here >"$work/mine"
run 0 run --stdin /dev/fd/9 cat 9<"$work/mine" && is here && fed "$work/mine" 0 run --stdin=/dev/stdin cat && is here &&
    run 0 pmap --stdin /dev/fd/9 -n 0 -- cat ::: 1 9<"$work/mine" && run 125 run --stdin /dev/fd/9 cat && complained '/dev/fd/9: No such'
check "run: ... also by a descriptor of ours"
run 125 run --stdin no-such-file cat && complained no-such-file
check "run: a file to read that is not there"
# used STATE COMMAND...: it ends so, and in its record stand its processor time and its largest memory
used() {
    state=$1
    shift
    submit -- "$@" && ended "$state" && run 0 ls --json "$id" &&
        python3 -c 'import json,sys; t=json.load(sys.stdin)["tasks"][0]; sys.exit(t["cpu_us"] < 10000 or t["peak_bytes"] < 30 << 20)' <"$work/out"
}
used done python3 -c 'x = b"x" * (40 << 20); sum(range(1000000))' &&
    used failed python3 -c 'x = b"x" * (40 << 20); sum(range(1000000)); raise SystemExit(3)'
check "the record of a command says what it took, whether it ended well or not"
submit math.primes 0 300000
ended done && run 0 info "$id" && said 'processor time' && said 'peak memory'
check "and that of a function"
run 0 run --merge sh -c 'echo a; echo b >&2; echo c' && is "$(printf 'a\nb\nc')" && quiet
check "run: --merge"
run 3 run --ok 0,3 sh -c 'exit 3' && run 3 run --ok 4 sh -c 'exit 3'
check "run: the status is the command's also where --ok calls it success"
run 124 run --deadline 200ms sleep 60
check "run: 124, the deadline"
run 0 run sh -c 'head -c 3000000 /dev/zero | tr "\0" x' && [ "$(wc -c <"$work/out")" -eq 3000000 ]
check "run: much output"
python3 -c 'import os, subprocess, sys
r, w = os.pipe()
os.set_blocking(w, False)
p = subprocess.Popen([sys.argv[1], "run", "--key", "full", "head", "-c", "1000000", "/dev/zero"], stdout=w)
os.close(w)
while p.poll() is None and subprocess.call([sys.argv[1], "wait", "key:full"], stderr=subprocess.DEVNULL):
    pass # nothing is read before the command has ended
n = 0
while True:
    piece = os.read(r, 1 << 16)
    n += len(piece)
    if not piece:
        sys.exit(p.wait() or n != 1000000)
' "$command" >"$work/out" 2>"$work/err"
check "run: also where our output does not block"
mkfifo "$work/late"
{ until_there "$work/written"; wc -c; } <"$work/late" >"$work/count" &
follower=$!
"$command" run sh -c 'head -c 200000000 /dev/zero; : >"$0"' "$work/written" >"$work/late" 2>"$work/err"
wait "$follower" && [ "$(cat "$work/count")" -eq 200000000 ] && quiet
check "run: a reader that comes late loses nothing of it"
mkfifo "$work/gate" "$work/shown"
"$command" run sh -c 'echo first; read -r line <"$0"; echo "$line"' "$work/gate" >"$work/shown" 2>"$work/err" &
follower=$!
exec 3<"$work/shown"
read -r shown <&3
[ "$shown" = first ] && echo second >"$work/gate" && read -r shown <&3 && [ "$shown" = second ] && wait "$follower"
check "run: output comes while the command runs"
exec 3<&-
"$command" run sh -c 'trap "echo asked; exit 9" TERM; echo up; while :; do sleep 0.01; done' >"$work/shown" 2>"$work/err" &
follower=$!
exec 3<"$work/shown"
read -r shown <&3
kill -TERM "$follower" # SIGINT is ignored in what a script has in the background
read -r shown <&3
wait "$follower"
status=$?
exec 3<&-
[ "$shown" = asked ] && [ $status -eq 130 ]
check "run: an interrupt asks the command to end, and waits for it"
follower=
run 2 run && complained 'no command' && run 2 run --cpus 0 true && complained '--cpus 0' &&
    run 2 run --ok 256 true && complained '0 to 255' && run 2 run --env =b true && complained 'NAME=VALUE'
check "run: mistakes are told"

run 0 submit --hold -- true && held=$(cat "$work/out") && run 0 submit -- false && failed=$(cat "$work/out") &&
    run 0 run --after "$failed:any" echo on && is on && run 130 run --after "$failed" echo on && complained DEPENDENCY &&
    run 130 run --after "$held,$failed:success" echo on && complained DEPENDENCY &&
    run 2 run --after "$failed:any" --after "$held:success" true && complained 'the same is wanted' &&
    run 2 run --after "$failed:no" true && complained ':success or :any' && run 0 cancel "$held"
check "run: --after ID:any and ID:success"
before=$(date +%s%N)
run 0 run --delay 300ms echo late && is late && [ $(($(date +%s%N) - before)) -ge 300000000 ] &&
    run 0 run --at @1000000000 echo now && is now && run 0 run --worker 99 --any-target echo any && is any &&
    run 0 run --retries 3 --retry-on failed --backoff 1ms --idempotent sh -c 'echo $PTOOLS_TASK_ATTEMPT; [ $PTOOLS_TASK_ATTEMPT = 3 ]' &&
    is "$(printf '1\n2\n3')" && run 3 run --key once sh -c 'echo $PTOOLS_TASK_ID; exit 3' && cp "$work/out" "$work/first" &&
    run 3 run --key once sh -c 'echo $PTOOLS_TASK_ID; exit 3' && cmp "$work/out" "$work/first"
check "run: --delay, --at, --any-target, --retries, --key"
mkfifo "$work/stop"
"$command" run --retries 4 --retry-on failed --backoff 1ms --idempotent sh -c 'echo $PTOOLS_TASK_ATTEMPT
    [ $PTOOLS_TASK_ATTEMPT != 1 ] || read -r x <"$0"; [ $PTOOLS_TASK_ATTEMPT = 4 ]' "$work/stop" >"$work/attempts" 2>"$work/err" &
follower=$!
while [ ! -s "$work/attempts" ]; do :; done
kill -STOP "$follower"
echo >"$work/stop"
"$command" wait last
kill -CONT "$follower"
wait "$follower" && mv "$work/attempts" "$work/out" && is "$(printf '1\n2\n3\n4')"
check "run: the output of attempts that have come and gone while it could not look"
follower=

# -- submit, log ---------------------------------------------------------------------------------------------

submit -- sh -c 'echo out; echo err >&2' && ended done && run 0 log "$id" && is out && err_is err &&
    run 0 log --stdout "$id" && is out && quiet && run 0 log --stderr "$id" && is '' && err_is err
check "log: what a command wrote, or one part of it"
submit -- sh -c 'echo to look at; exit 5' && ended failed && run 1 result "$id" &&
    complained 'exited with status 5' && complained 'to look at'
check "result: of one that failed the last lines are shown without being asked for"
deadline() { # OPTION... -- COMMAND...: it ends by its deadline
    submit "$@" && run 124 result "$id" && complained DEADLINE && ended timeout
}
deadline --deadline 100ms --grace 1h -- sh -c 'trap "echo asked; exit 0" TERM; echo up; sleep 1000 & wait' && run 0 log "$id" &&
    is "$(printf 'up\nasked')" && run 0 info "$id" && said '^state *timeout$'
check "submit --deadline: it is asked to end, and has until the grace is over; then it is timeout, whatever it exits with"
mkfifo "$work/held"
deadline --deadline 100ms --grace 100ms -- sh -c 'exec 9>"$0"; trap "" TERM; sleep 1000 & echo up; while :; do wait; done' "$work/held" &
exec 3<"$work/held" && wait $! && read -r line <&3
[ $? -eq 1 ]
exec 3<&-
check "... and is killed with all below it"
deadline --deadline 100ms --attempts 2 --idempotent --retry-on timeout --backoff 1ms -- sleep 1000 && run 0 info --json "$id" &&
    said '"attempt":2,"attempts":2' && deadline --deadline 100ms --attempts 2 --idempotent --backoff 1ms -- sleep 1000 &&
    run 0 info --json "$id" && said '"attempt":1,"attempts":2' && run 0 submit --hold --deadline 1ms -- true &&
    id=$(cat "$work/out") && run 124 wait --timeout 100ms "$id" && run 0 ls --columns state "$id" && said waiting &&
    run 0 cancel "$id"
check "... each attempt has it, and the time in the queue does not count"
deadline --deadline 100ms --attempts 4 --worker 1 --idempotent --retry-on timeout --backoff 1ms -- \
    sh -c 'echo "$PTOOLS_TASK_ATTEMPT" >>"$0"; exec sleep 1000' "$work/tries" && ended timeout && [ "$(tr -d '\n' <"$work/tries")" = 1234 ]
check "... in the same worker, too"
submit --worker 1 -- sh -c 'echo >>"$0"; [ -e "$1" ] && exec sleep 0.1; : >"$1.up"; exec sleep 1000' "$work/again" "$work/go" && until_there "$work/go.up" &&
    run 0 cancel "$id" && ended cancelled && : >"$work/go" && run 0 rerun "$id" && ended done && [ "$(wc -l <"$work/again")" -eq 2 ]
check "rerun: what was cancelled runs to its end"
submit -- sh -c 'echo early; : >"$0"; read -r x <"$1"; echo late' "$work/up" "$work/gate" && until_there "$work/up" &&
    run 0 log "$id" && is early
check "log: while it runs"
"$command" log -f "$id" >"$work/shown" 2>"$work/err" &
follower=$!
exec 3<"$work/shown"
read -r shown <&3
echo >"$work/gate"
read -r late <&3
wait "$follower" && [ "$shown $late" = "early late" ]
check "log -f: until it has ended"
exec 3<&-
follower=
submit --attempts 2 --idempotent --retry-on failed --backoff 1ms -- sh -c 'echo try $PTOOLS_TASK_ATTEMPT; [ $PTOOLS_TASK_ATTEMPT = 2 ]' &&
    ended done && run 0 log "$id" && is 'try 2' && run 0 log --attempt 1 "$id" && is 'try 1' &&
    run 2 log --attempt 3 "$id" && complained 'begun 2 times'
check "log: each attempt has its own output"
run 0 call t.nop && submit t.nop && ended done && run 0 log "$id" && [ ! -s "$work/out" ]
check "log: of a function"
printf 'one\ntwo words\n' >"$work/lines"
fed "$work/lines" 0 submit --lines --tag lines -- echo got && [ "$(wc -l <"$work/out")" -eq 2 ] &&
    run 0 wait --tag lines && run 0 log --tag lines && is "$(printf 'got one\ngot two words')"
check "submit --lines: the line is the last word of the command"
echo 'echo $((6 * 7))' >"$work/lines"
fed "$work/lines" 0 submit --lines && id=$(cat "$work/out") && ended done && run 0 log "$id" && is 42
check "submit --lines: without a command the shell reads it"
cat >"$work/lines" <<EOF
{"command": ["sh", "-c", "echo \"\$A\"; pwd"], "env": ["A=from json"], "cwd": "/"}
{"function": "math.square", "args": [3]}
EOF
fed "$work/lines" 0 submit --stdin && id=$(head -n 1 "$work/out") && ended done && run 0 log "$id" &&
    is "$(printf 'from json\n/')"
check "submit --stdin: commands and functions"
cat >"$work/lines" <<EOF
{"command": "true"}
{"command": []}
{"command": ["true"], "function": "t.nop"}
{"command": ["true"], "cpus": 0}
{"function": "t.nop", "cwd": "/"}
EOF
fed "$work/lines" 125 submit --stdin && [ ! -s "$work/out" ] && [ "$(wc -l <"$work/err")" -eq 5 ] &&
    complained 'line 2.*list of strings' && complained 'line 4' && complained 'line 5.*commands alone'
check "submit --stdin: a mistake in each line"
run 2 submit --cwd / math.square 1 && complained 'COMMAND' && run 2 submit -- && complained 'no command' &&
    run 2 submit --lines math.square && complained 'math.square' && run 2 submit --stdin -- cat && complained 'stdin=FILE'
check "submit: mistakes are told"
submit --stdin="$work/text" -- cat && ended done && run 0 log "$id" && is text
check "submit: --stdin=FILE"
cat >"$work/job" <<'EOF'
#!/bin/sh
# a job
#PTOOLS --tag from-script --env 'X=a b' --priority 3

#PTOOLS --hold
echo "$X $1"
#PTOOLS --tag no
EOF
chmod +x "$work/job"
submit --priority 4 -- "$work/job" word && run 0 ls --columns priority,state,tags "$id" && said '4 waiting from-script$' &&
    run 0 release "$id" && ended done && run 0 log "$id" && is 'a b word'
check "submit: a script has options in it, and the command line goes before them"
printf 'a\nb\n' >"$work/lines"
fed "$work/lines" 0 submit --lines --priority 4 -- "$work/job" && cp "$work/out" "$work/ids" && [ "$(wc -l <"$work/ids")" -eq 2 ] &&
    for id in $(cat "$work/ids"); do
        run 0 ls --columns priority,state,tags "$id" && said '4 waiting from-script$' && run 0 release "$id" && ended done ||
            break
    done && run 0 log "$id" && is 'a b b'
check "submit --lines: also for each line"
mkdir "$work/there" "$work/here"
printf '#!/bin/sh\n#PTOOLS --tag there --stdin=%s\ncat\n' "$work/text" >"$work/there/job"
printf '#!/bin/sh\n#PTOOLS --tag here\n' >"$work/here/job"
chmod +x "$work/there/job" "$work/here/job"
cd "$work/here" && submit --cwd "$work/there" -- ./job && run 0 ls --columns tags "$id" && said '^there$' && ended done &&
    run 0 log "$id" && is text && (export PATH="$work/there:$PATH" && submit -- job && echo "$id" >"$work/id") &&
    run 0 ls --columns tags "$(cat "$work/id")" && said '^there$'
check "submit: it is the script that runs, by its directory or PATH, whose options count"
cd "$work" || exit 99
printf '#!/bin/sh\n#PTOOLS --no-such-option\n' >"$work/job"
run 2 submit -- "$work/job" && complained 'PTOOLS lines: there is no option' &&
    printf '#!/bin/sh\n#PTOOLS --tag "a\n' >"$work/job" && run 2 submit -- "$work/job" && complained 'quote' &&
    printf '#!/bin/sh\n#PTOOLS --wait\n' >"$work/job" && run 2 submit -- "$work/job" && complained 'no more' &&
    printf '#!/bin/sh\n#PTOOLS --dir /x\n' >"$work/job" && run 2 submit -- "$work/job" && complained 'no more'
check "submit: mistakes in a script are told"
submit --notify 'echo $PTOOLS_NOTIFY_TASK >said.new; mv said.new said' -- false && until_there "$work/said" &&
    [ "$(cat "$work/said")" = "$id" ]
check "submit --notify: at the end, well or not"
printf 'exit 0\nexit 3\nkill -9 $$\n' >"$work/lines"
fed "$work/lines" 0 submit --lines --notify 'echo $PTOOLS_TASK_ID $PTOOLS_NOTIFY_STATE $PTOOLS_NOTIFY_STATUS >told.$PTOOLS_TASK_ID.new
    mv told.$PTOOLS_TASK_ID.new told.$PTOOLS_TASK_ID' && cp "$work/out" "$work/ids" &&
    for id in $(cat "$work/ids"); do until_there "$work/told.$id" && cat "$work/told.$id"; done >"$work/out" &&
    is "$(paste -d ' ' "$work/ids" - <<'EOF'
done 0
failed 3
failed 137
EOF
    )" && [ "$(find "$work" -name 'told.*' | wc -l)" -eq 3 ]
check "submit --notify: once for each of many, with how it ended"
echo '{"function": "t.nop", "hold": true}' >"$work/lines"
fed "$work/lines" 0 --dir "$PTOOLS_DIR" submit --stdin --notify 'echo $PTOOLS_NOTIFY_STATE >state.new; mv state.new state' &&
    id=$(cat "$work/out") && [ ! -e "$work/state" ] && run 0 cancel "$id" && until_there "$work/state" &&
    [ "$(cat "$work/state")" = cancelled ]
check "submit --notify: of functions, by JSON, with --dir"
run 0 notify "$id" 'echo $PTOOLS_NOTIFY_TASK $PTOOLS_NOTIFY_STATE $PTOOLS_NOTIFY_STATUS; exit 0' &&
    is "$id cancelled 130" && run 7 notify last 'exit 7' && run 125 notify 1000000 true && complained NO_TASK &&
    run 2 notify "$id" && run 2 notify "$id-$id" true x && run 2 notify 1-2 true
check "notify: a script is told how a task ended"
run 0 submit --wait -- true && said '"status":0'
check "submit --wait: the record of the command"
mkdir "$work/dir"
submit --out-dir dir -- sh -c 'echo a >$PTOOLS_OUT_DIR/good' && ended done && [ "$(ls -A dir)" = good ] &&
    submit --out-dir dir -- sh -c 'echo a >$PTOOLS_OUT_DIR/bad; false' && ended failed && [ "$(ls -A dir)" = good ]
check "submit --out-dir: only of one that went well"
run 0 shm create --keep numbers int32 4 && submit --array numbers -- sh -c 'echo $PTOOLS_ARRAY_numbers_COUNT $PTOOLS_ARRAY_numbers_TYPE; printf "\7" >&$PTOOLS_ARRAY_numbers_FD' &&
    ended done && run 0 log "$id" && is '4 int32' && run 0 shm head numbers && said 7
check "submit --array: shared arrays, as descriptors"

# It and a process below it do not listen; both hold a pipe open, which ends when they do.
cat >"$work/deaf" <<'EOF'
trap 'echo asked >>"$0.asked"' TERM
exec 9>"$1"
(trap '' TERM; exec sleep 1000) &
: >"$0.up"
while :; do wait; done
EOF
mkfifo "$work/alive"
deaf() {
    rm -f "$work/deaf.up" "$work/deaf.asked"
    submit "$@" -- sh "$work/deaf" "$work/alive" && exec 3<"$work/alive" && until_there "$work/deaf.up"
}
dead() {
    read -r line <&3
    exec 3<&-
    ended cancelled
}
deaf --grace 1h && run 0 kill --now "$id" && dead && [ ! -e "$work/deaf.asked" ]
check "kill --now: at once, with all below it, and nobody is asked"
deaf --grace 1h && run 0 cancel "$id" && until_there "$work/deaf.asked" && run 0 kill --grace 10ms "$id" && dead &&
    deaf --grace 1h && run 0 kill --grace 1s "$id" && dead && [ -e "$work/deaf.asked" ]
check "kill --grace: so long from now, also of what was asked to end before"
run 2 kill --now --grace 1 "$id" && complained 'exclude each other' && run 2 kill --grace x "$id"
check "kill: mistakes are told"

# What is written to a reader that has gone is judged in one place, for all verbs.
unread 141 ls && quiet && unread 141 ls --json && quiet && unread 141 log --tag lines && quiet && unread 141 info last &&
    quiet && unread 141 status && quiet && unread 141 run echo && quiet && unread 141 export && quiet &&
    unread 141 workers && quiet && unread 141 help && quiet
check "141: a reader that has seen enough ends every verb, without a word"
mkfifo "$work/unread"
exec 7<>"$work/unread" 8>"$work/unread" 7<&-
env --ignore-signal=PIPE "$command" ls >&8 2>"$work/err" 8>&-
status=$?
exec 8>&-
[ $status -eq 125 ] && complained 'cannot write to standard output: Broken pipe'
check "125: but not where SIGPIPE is ignored"

submit -- sh -c 'echo because >&2; exit 3' && run 1 wait "$id" && complained "^ptools wait: $id failed: sh: exited with status 3$" &&
    complained '^    because$' && run 1 wait --json "$id" && quiet
check "wait: a task that failed shows its last lines"

# -- replay --------------------------------------------------------------------------------------------------

cat >"$work/tell" <<'EOF'
#!/bin/sh
printf '%s|' "$@" "$PTOOLS_TASK_ID" "$PTOOLS_SEED" "$V"
pwd; umask; cat
exit 6
EOF
chmod +x "$work/tell"
(umask 077 && cd / && submit --env 'V=x y' --stdin="$work/text" -- "$work/tell" 'a b' '' && echo "$id" >"$work/id")
id=$(cat "$work/id")
ended failed && run 0 log "$id" && cp "$work/out" "$work/first" && run 6 replay "$id" && cmp "$work/out" "$work/first"
check "replay: words, environment, directory, umask, input, seed and status are the same"
(export PTOOLS_SEED=5 && submit -- sh -c 'echo $PTOOLS_SEED' && echo "$id" >"$work/id")
id=$(cat "$work/id")
ended done && run 0 log "$id" && is 5 && run 0 replay "$id" && is 5
check "replay: a seed that was chosen is the same, too"
mkdir "$work/staged" "$work/tmp"
submit --hold --out-dir "$work/staged" -- true && part="$work/staged/.$id-1.part" && mkdir "$part" && : >"$part/file" &&
    if [ "$(id -u)" -eq 0 ]; then
        chown nobody "$part" && run 0 release "$id" && ended failed && run 0 info "$id" && said 'File exists' && [ -e "$part/file" ]
    else
        run 0 release "$id" && ended done && [ ! -e "$part" ]
    fi
check "--out-dir: what is there of an attempt before is removed, but not what is another user's"
rm -rf "$part"
submit --out-dir "$work/staged" -- sh -c 'echo it >"$PTOOLS_OUT_DIR/file"' && ended done && rm "$work/staged/file" &&
    TMPDIR="$work/tmp" run 0 replay "$id" && complained "PTOOLS_OUT_DIR is $work/tmp/" && [ ! -e "$work/staged/file" ] &&
    cat "$work"/tmp/*/file >"$work/out" && is it
check "replay: what goes to --out-dir goes to a directory of its own"
submit t.echo '[1,{"a":null}]' word -2.5 && ended done && run 0 replay "$id" && is '[[1,{"a":null}],"word",-2.5]' &&
    submit t.fail no && ended failed && run 1 replay "$id" && run 2 replay --gdb "$id" && complained 'gdb is for commands' && run 2 replay
check "replay: of a function the call with its arguments"

# -- many at once --------------------------------------------------------------------------------------------

run 0 pause --tag many
runs=
for i in $(seq 100); do
    "$command" run --tag many true 2>"$work/many.$i" &
    runs="$runs $!"
done
waiting() { "$command" ls --json --tag many | python3 -c 'import json, sys; print(len(json.load(sys.stdin)["tasks"]))'; }
while [ "$(waiting)" -lt 100 ]; do :; done
"$command" resume --tag many
failed=0
for pid in $runs; do wait "$pid" || failed=$((failed + 1)); done
[ $failed -eq 0 ]
check "run: a hundred at the same time"

# -- the daemon ends ------------------------------------------------------------------------------------------

mkfifo "$work/last"
"$command" run sh -c 'echo a; : >"$0.up"; read -r x <"$0"; echo b; exit 3' "$work/last" >"$work/drained" 2>"$work/err" &
until_there "$work/last.up"
kill -TERM "$daemon"
while "$command" run true 2>/dev/null; do :; done # it takes no new work now
echo >"$work/last"
wait $!
[ $? -eq 3 ] && [ "$(cat "$work/drained")" = "$(printf 'a\nb')" ] && [ ! -s "$work/err" ]
check "run: what the daemon lets end is told to its end"
wait "$daemon"
start_daemon auto

# -- the daemon is killed ------------------------------------------------------------------------------------

# It opens a fifo that nobody writes into, and then no daemon comes in the place of this one.
mkfifo "$work/nobody"
submit --stdin="$work/nobody" -- cat && worker= && while [ ! "$worker" ]; do
    worker=$("$command" ls --columns worker --state running "$id" | sed 1d | tr -d ' ')
done
pid=$("$command" workers --json | tr '{' '\n' | sed -n "s/^\"id\":$worker,.*\"pid\":\([0-9]*\).*/\1/p") && [ "$pid" -gt 0 ]
kill -KILL "$daemon"
wait "$daemon" 2>/dev/null
timeout 60 sh -c 'while readlink "/proc/$0/exe" >/dev/null; do :; done' "$pid"
check "a worker that waits for a command's input ends with its daemon"
start_daemon auto
rm -f "$work/up"
submit -- sh -c 'echo before; : >"$0"; read -r x <"$1"' "$work/up" "$work/gate" && until_there "$work/up"
kill -KILL "$daemon"
wait "$daemon" 2>/dev/null
start_daemon auto
ended lost && run 0 log "$id" && is before
check "what a command wrote is there after the daemon was killed, too"
run 0 forget "$id" && [ -z "$(find "$PTOOLS_DIR" -name "$id-*")" ]
check "and goes when the task is forgotten"
stop_daemon
check "the daemon ends with 0"

# -- there is no room for output -----------------------------------------------------------------------------

ln -s "$work/nowhere/at/all" "$work/full" # so no file can be made there
start_daemon no -o daemon.output_dir="$work/full"
run 0 run true && quiet && run 125 run echo hi && [ ! -s "$work/out" ] && complained ' 3 bytes could not be kept'
check "run: 125, output was lost"
run 1 submit --volatile --wait -- sh -c 'echo hi; exit 3' && complained 'status 3; 3 bytes of what it wrote could not be kept'
check "submit --wait: so says why a command failed"
run 0 pmap -- echo ::: few && is few && quiet && run 125 pmap -- head -c 3000000 /dev/zero ::: -q &&
    complained 'item 1: of its output of 3000000 bytes [0-9]* could not be kept' &&
    run 125 pmap --json -- head -c 3000000 /dev/zero ::: -q && complained 'could not be kept'
check "pmap: 125, output was lost"
stop_daemon
check "the daemon ends with 0"

soft=$(ulimit -S -f)
ulimit -S -f 8000 # so no file may be larger than some megabytes, and whoever tries is sent a signal
start_daemon no
ulimit -S -f "$soft"
run 125 run head -c 9000000 /dev/zero && complained ' bytes could not be kept' && run 0 workers --json &&
    ! said '"deaths":[1-9]' && run 153 run dd if=/dev/zero of="$work/large" bs=1M count=9 && complained SIGXFSZ
check "run: under ulimit -f output is lost, no worker, and the command has its signal"
run 125 shm create a uint8 9000000 && complained 'File too large' && run 0 shm create a uint8 1000
check "... and too large an array ends no daemon"
stop_daemon
check "the daemon ends with 0"
echo "1..$n"
