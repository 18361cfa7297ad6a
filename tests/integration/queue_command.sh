#!/bin/sh
# The verbs of the queue against a real daemon: what they print, what becomes of the tasks, every exit status.
# usage: queue_command.sh  (PTOOLS_TEST_COMMAND, _MODULES and PTOOLS_DAEMON as Meson sets them)
# shellcheck source-path=SCRIPTDIR source=command_rig.sh
. "$(dirname "$0")/command_rig.sh"
watcher=

at_end() { [ -z "$watcher" ] || kill "$watcher" 2>/dev/null; }

# queue ARG...: submits; its id is in id
queue() {
    id=
    run 0 submit "$@" && id=$(cat "$work/out") && [ "$id" -gt 0 ] && [ ! -s "$work/err" ]
}

# state_is ID STATE
state_is() { run 0 ls --columns state "$1" && [ "$(tail -n 1 "$work/out")" = "$2" ]; }

# until_is ID STATE: waits for it
until_is() {
    while ! "$command" ls --columns state "$1" 2>"$work/err" | grep -q "^$2$"; do :; done
}

# listed ARG...: the ids that ls shows, with blanks between
listed() {
    run 0 ls --columns id "$@" && ids=$(sed 1d "$work/out" | tr -d ' ' | tr '\n' ' ')
}

# occupy N: a worker is busy until open N
occupy() {
    mkfifo "$work/gate.$1"
    queue --tag gate t.fifo "$work/gate.$1" && until_is "$id" running
}
open() {
    : >"$work/gate.$1"
    rm "$work/gate.$1"
}

refused=yes
for verb in pause resume ls "info 1" "wait 1" "result 1" "why 1" "cancel 1" "dequeue 1" "hold 1" "release 1" "kick 1" "rerun 1" \
    "forget 1" "priority 1 2" events "notify 1 true" export "submit math.square 12" "submit --wait math.square 12"; do
    # shellcheck disable=SC2086 # words
    if ! run 125 $verb || ! complained ptoolsd; then
        refused=no
    fi
done
[ $refused = yes ] && [ ! -e "$PTOOLS_DIR" ]
check "where no daemon runs, none is started"

start_daemon auto
check "the daemon is ready"

# -- submit, result ------------------------------------------------------------------------------------------

run 0 ls --json && is '{"schema":1,"tasks":[]}' && run 125 info last && complained 'there are none at all'
check "at first there is no task"
queue math.square 12 && run 0 result "$id" && is 144
check "submit prints the id and nothing else, result the value"
first=$id
run 0 result "$first" && is 144 && run 0 result last && is 144 && run 0 result --no-wait "$first" && is 144
check "the value stays, and the newest task is called last"
run 0 submit --json math.square 3 && said '^{"schema":1,"task":[0-9]*}$' && run 0 wait last
check "submit --json"
printf 'some text' >"$work/text"
queue t.echo 1 '[2,"x"]' three --string 4 --file "$work/text" && run 0 result "$id" &&
    is '[1,[2,"x"],"three","4","some text"]'
check "arguments are those of call"
fed "$work/text" 0 submit t.echo --stdin && run 0 result last && is '["some text"]' &&
    queue t.echo text && run 0 result --raw "$id" && is '["text"]'
check "--stdin with a function is an argument"
run 0 submit --wait math.square 5 && is 25 && run 1 submit --wait t.fail boo && complained boo && complained FAILED
check "submit --wait prints the value, and exits as call does"
queue t.fail boo && run 1 result "$id" && complained "ptools result: boo" && run 1 result --json "$id" &&
    grep -q '"code":"FAILED"' "$work/err"
check "1: the function failed"
run 125 submit math.nosuch && complained NO_FUNCTION && run 125 submit nosuch.f && complained NO_MODULE &&
    run 125 submit --worker 99 math.square 1 && complained NO_WORKER && run 125 submit --set nosuch math.square 1 &&
    complained NO_SET && run 125 submit --after 1 math.square 1 && complained NO_TASK
check "125: what is not there is refused, and nothing is queued"
run 125 result 1 && complained NO_TASK && run 125 info 1 && complained 'no queued task 1' && run 125 why 1 && run 125 cancel 1 && run 125 priority 1 2
check "125: there is no such task"

# -- targets -------------------------------------------------------------------------------------------------

queue --worker 2 t.id && run 0 result "$id" && is 2 && queue --worker 1,2 t.id && run 0 result "$id"
check "--worker"
run 0 sets create one 1 && queue --set one t.id && run 0 result "$id" && is 1
check "--set"
queue --host localhost t.id && run 0 result "$id"
check "--host"
queue --target all t.id && run 0 wait "$id" && run 0 result "$id" && is null &&
    run 0 info --json "$id" && said '"parts":2' && run 0 result $((id + 1)) && run 0 result $((id + 2))
check "--target all: a part for each worker"
queue --worker 99 --any-target t.id && run 0 result "$id"
check "--any-target"
queue --worker 99 --wait-target t.id && state_is "$id" waiting && run 0 why "$id" && [ -s "$work/out" ] &&
    run 0 cancel "$id" && run 130 result "$id" && complained CANCELLED
check "--wait-target; 130: it was cancelled"

# -- when ----------------------------------------------------------------------------------------------------

queue --delay 1h t.nop && state_is "$id" waiting && run 0 why "$id" && run 125 result --no-wait "$id" &&
    complained 'it is waiting' && run 0 kick "$id" && run 0 result "$id" && is null
check "--delay, and kick"
# The daemon keeps it by the clock that nobody sets, and tells it by the other one: to some milliseconds.
wanted=$(date -d 'tomorrow 12:00' +%s)
queue --at "$(date -d "@$wanted" '+%Y-%m-%d %H:%M')" t.nop && run 0 info --json "$id" &&
    due=$(sed -n 's/.*"due_ms":\([0-9]*\).*/\1/p' "$work/out") && [ $((due - wanted * 1000)) -lt 100 ] &&
    [ $((wanted * 1000 - due)) -lt 100 ] && run 0 cancel "$id" && queue --at @1000000000 t.nop && run 0 result "$id"
check "--at: a time that is over is now"
queue --hold --expire 100ms t.nop && run 124 result "$id" && complained EXPIRED
check "--hold, --expire; 124: it was not begun in time"
queue --deadline 100ms t.spin && run 124 result "$id" && complained DEADLINE
check "--deadline"
queue --hold t.nop && state_is "$id" waiting && run 0 release "$id" && run 0 result "$id"
check "release"
run 124 submit --wait --timeout 100ms --hold t.nop &&
    id=$(sed -n 's/.*the task \([0-9]*\) goes on.*/\1/p' "$work/err") && state_is "$id" waiting && run 0 cancel "$id"
check "submit --wait --timeout leaves the task where it is"

# -- attempts, keys, after -----------------------------------------------------------------------------------

run 2 submit --attempts 3 t.fail x && complained idempotent &&
    queue --idempotent --attempts 3 --retry-on failed --backoff 10ms t.fail x && run 1 result "$id" && run 0 info --json "$id" &&
    said '"attempt":3,"attempts":3'
check "--attempts, --retry-on, --backoff"
queue --idempotent --backoff 10ms --attempts 2 t.segv && run 1 result "$id" && complained WORKER_DIED &&
    run 0 info --json "$id" && said '"attempt":2,"attempts":2' && said '"idempotent":true' && said '"kills":2'
check "--idempotent: what kills its worker is tried again"
queue --idempotent --attempts 9 --backoff 10ms t.segv && run 1 wait "$id" && state_is "$id" dead &&
    run 0 info "$id" && said '^workers killed *3'
check "and is dead when it has killed three"
queue --key "a,b" math.square 7 && key=$id && queue --key "a,b" math.square 7 && [ "$id" = "$key" ] &&
    run 0 result key:a,b && is 49 && run 125 submit --key "a,b" math.square 8 && complained KEY_REUSED
check "--key: equal tasks are one"
queue --hold t.nop && before=$id && queue --after "$before" t.echo "done" && after=$id && state_is "$after" waiting &&
    run 0 release "$before" && run 0 result "$after" && is '["done"]'
check "--after"
queue --hold t.nop && before=$id && queue --key any t.nop && queue --after "$before:any" t.echo any && any=$id &&
    queue --after "$before:success" t.nop && after=$id && queue --after "$before,key:any" t.nop && key=$id &&
    run 0 cancel "$before" && run 0 result "$any" && is '["any"]' && run 130 wait "$after" && run 130 wait "$key" &&
    run 2 submit --after "$before:never" t.nop
check "... :any, :success, and a key that is called so"
queue --hold t.nop && before=$id && queue --after "$before" t.nop && after=$id &&
    queue --after "$before" --after-any t.echo any && any=$id && queue --after last,"$before" --after-keep t.nop &&
    keep=$id && run 0 cancel "$before" && run 130 result "$after" && complained DEPENDENCY &&
    run 0 result "$any" && is '["any"]' && state_is "$keep" waiting && run 0 cancel "$keep"
check "what comes after a task that was cancelled; --after-any, --after-keep"
queue --result-max 10000 t.big 20000 && run 125 result "$id" && complained TOO_LARGE
check "--result-max"
queue q.log "all is well" && run 0 wait "$id" && run 0 info "$id" && said '^last log lines  *begun$' && said '^ *all is well$' &&
    run 0 info --json "$id" && said '"log":"begun\\nall is well\\n"'
check "info: what it logged"
queue --keep 1ms t.nop
while "$command" ls "$id" >"$work/out" 2>"$work/err"; do :; done
complained NO_TASK
check "--keep: it is forgotten"

# -- ls, info, priority --------------------------------------------------------------------------------------

run 0 cancel --where 'state == "waiting" || state == "queued"' && run 0 forget --where true && listed && [ -z "$ids" ]
check "forget --where true leaves nothing"
occupy 1 && occupy 2 && gate=$id
check "both workers are busy"
queue --priority 5 --tag x --tag night:1 t.mark "$work/order" a && one=$id &&
    queue --priority 3 --tag x t.mark "$work/order" b && two=$id && queue t.mark "$work/order" c && three=$id &&
    run 0 ls && said '^ *ID STATE ' && said "^$one queued  *5  *t.mark .* x,night:1$" &&
    said "^$three queued  *inf  *t.mark"
check "ls"
listed --state queued && [ "$ids" = "$one $two $three " ] && listed --state running && [ "$ids" != "$one $two $three " ] &&
    listed --tag x && [ "$ids" = "$one $two " ] && listed "$one-$three" && [ "$ids" = "$one $two $three " ] &&
    listed "$three,$one" && [ "$ids" = "$three $one " ] && listed last tag:x "$one" && [ "$ids" = "$three $one $two " ]
check "ls: states, tags, ranges, lists"
listed --where 'priority < inf && tag ~ "night*"' && [ "$ids" = "$one " ] &&
    listed --where 'state == "queued" && (priority == 3 || priority == inf) && age < 1h' && [ "$ids" = "$two $three " ] &&
    listed --where 'function == "t.fifo"' --state running && listed --where 'queued_ms > now - 1h' --tag x &&
    [ "$ids" = "$one $two " ]
check "ls --where"
run 2 ls --where 'state == "quued"' && complained 'no state is called so' && run 2 ls --where 'prioritty > 3' &&
    complained 'the nearest is priority' && run 2 ls --where 'age > 10' && complained '10s, 5m, 1h'
check "2: a mistake in an expression is told with its place"
run 0 ls --json "$one" && said '"state":"queued","function":"t.mark","target":"any","priority":5.0,' &&
    said '"tags":\["x","night:1"\]' && run 0 ls --columns priority,id "$two" && said "^ *3 $two$"
check "ls --json, --columns"
run 0 info "$one" && said '^priority *5$' && said '^tags *x,night:1$' && said '^called with *\[".*/order","a"\]$' &&
    run 0 info --json "$one" && said '"args":\[".*/order","a"\]'
check "info"
run 0 why "$one" && [ -s "$work/out" ] && run 0 why --json "$one" && said "^{\"schema\":1,\"task\":$one,\"why\":\""
check "why"
run 0 priority "$three" 1 && is "changed 1, skipped 0" && run 0 ls --columns priority "$three" && said '^ *1$' &&
    run 0 priority --where 'tag == "x"' 'priority + 10' && is "changed 2, skipped 0" &&
    run 0 priority --json "$one" 2.5 && is '{"schema":1,"changed":1,"skipped":0}' &&
    run 0 priority "$two" -- '-priority / 2' && run 0 ls --columns priority "$one" "$two" "$three" &&
    said '^ *2.5$' && said '^ *-6.5$' && said '^ *1$'
check "priority: by id, by --where, by an expression"
run 125 priority "$gate" 4 && complained NOT_NOW && run 125 priority "$gate" "$one" 2.5 && complained "$gate is running" &&
    is "changed 1, skipped 1" && run 0 priority tag:gate 4 && is "changed 0, skipped 0"
check "those that run are left alone"
open 1 && run 0 wait "$one" "$two" "$three" && cut -d ' ' -f 1 "$work/order" >"$work/out" && is "b
c
a"
check "and lower ones ran first"
open 2 && run 0 wait --tag gate && run 0 forget --tag gate

# -- changes -------------------------------------------------------------------------------------------------

occupy 1 && gate=$id && occupy 2 && queue t.nop && run 0 dequeue "$id" && state_is "$id" cancelled &&
    run 125 dequeue "$gate" && complained NOT_NOW && state_is "$gate" running && run 125 dequeue "$id"
check "dequeue: only what nobody has begun"
queue --tag many t.nop && queue --tag many t.nop && queue --tag many t.nop && run 0 hold --tag many && is "3 of 3" &&
    run 0 hold --tag many --json && said '"schema":1,"changed":' && run 0 release "tag:many" && run 0 dequeue last &&
    run 0 cancel --tag many && is "2 of 3"
check "hold, release and cancel of those that are picked"
open 1
open 2
queue t.spin_polite && until_is "$id" running && run 0 cancel "$id" && run 130 result "$id" && complained CANCELLED &&
    queue t.spin && until_is "$id" running && run 0 cancel "$id" && run 130 wait "$id" && complained "$id cancelled"
check "cancel stops what runs"
queue t.mark "$work/marks" a && run 0 result "$id" && run 0 rerun "$id" && run 0 result "$id" &&
    [ "$(wc -l <"$work/marks")" -eq 2 ] && run 0 forget "$id" && run 125 result "$id" && run 125 rerun "$id"
check "rerun, forget"
queue --tag again t.fail no && failed=$id && queue --tag again t.nop && run 1 wait --tag again &&
    run 0 rerun --failed --tag again && is "1 of 1" && run 1 wait "$failed" && run 0 info --json --tag again &&
    run 2 rerun --failed --state "done" && complained 'exclude each other'
check "rerun --failed"
queue t.spin && until_is "$id" running && spins=$id && queue --hold t.nop && run 125 kill "$id" && complained NOT_NOW &&
    complained "task $id is waiting" && run 0 kill --where true && is "1 of 1" && run 130 wait "$spins" &&
    state_is "$id" waiting && run 0 kill "$spins-$id" && is "0 of 0" && run 125 kill 1 && complained NO_TASK &&
    run 0 jobs --columns id,state "$id" && said "^ *$id waiting$"
check "kill: only what runs; jobs is ls"
run 0 purge --tag again && is "2 of 2" && run 125 rm "$id" && complained NOT_NOW && run 0 purge && said ' of ' &&
    listed && [ "$ids" = "$id " ] && run 0 purge && is "0 of 0" && run 0 cancel "$id" && run 0 rm "$id" && listed &&
    [ -z "$ids" ]
check "purge forgets what has ended; rm is forget"
queue t.echo 1 && one=$id && queue t.echo 2 && run 0 result "$one-$id" && is "[1]
[2]" && queue t.fail no && run 1 result "$id" "$one" && is "[1]" && complained 'result: no' &&
    run 0 result --where 'function == "t.echo"' && is "[1]
[2]" && run 2 result && run 125 result "$one" 1 && is "[1]"
check "result of several; exits as the worst"
queue --hold t.nop && one=$id && queue --hold t.nop && run 0 why "$one,$id" && said "^$one: " && said "^$id: " &&
    run 0 why --state waiting && [ "$(wc -l <"$work/out")" -eq 2 ] && run 2 why && run 0 cancel "$one" "$id"
check "why of several"
run 2 cancel && complained '--where true is all' && run 2 forget nightly && run 2 info && run 2 wait && run 2 priority 7
check "2: nothing is done to all tasks by mistake"

# -- wait ----------------------------------------------------------------------------------------------------

queue t.nop && one=$id && queue t.fail no && two=$id && run 0 wait "$one" && is "" && run 1 wait "$one" "$two" &&
    complained "$two failed: no" && run 1 wait --json "$one,$two" && said '"state":"done"' && said '"state":"failed"'
check "wait exits as the worst"
queue --hold t.nop && held=$id && run 124 wait --timeout 100ms "$one" "$held" && complained 'not all have ended' &&
    run 1 wait --any "$held" "$two" && is "$two" && run 124 wait --any --timeout 100ms "$held" &&
    run 124 result --timeout 100ms "$held" && complained 'goes on' && state_is "$held" waiting
check "wait --any, --timeout"
run 0 cancel "$held" && run 130 wait "$one" "$two" "$held"
check "130: one was cancelled"
run 0 wait --tag nosuch && run 125 wait "$one" 1
check "wait for none, and for one that is not there"

# -- many ----------------------------------------------------------------------------------------------------

run 0 forget --where true
i=0
while [ $i -lt 3000 ]; do
    echo "{\"function\": \"t.echo\", \"args\": [$i], \"tag\": \"many\", \"priority\": $i}"
    i=$((i + 1))
done >"$work/lines"
fed "$work/lines" 0 submit --stdin && [ "$(wc -l <"$work/out")" -eq 3000 ] && sort -c -n -u "$work/out" &&
    cp "$work/out" "$work/ids"
check "submit --stdin: an id a line"
run 0 wait --tag many && listed --tag many --state "done" && [ "$(echo "$ids" | wc -w)" -eq 3000 ] &&
    run 0 result "$(sed -n 1235p "$work/ids")" && is '[1234]'
check "in their order, and all get done"
unread 141 ls --tag many && quiet && unread 141 result --tag many && quiet
check "141: nobody reads that much"
run 0 wait --any --tag many && is "$(head -n 1 "$work/ids")" && run 0 forget --tag many
check "wait --any: more than one request takes, some have ended"
sed 's/"tag"/"hold": true, &/' "$work/lines" >"$work/held"
fed "$work/held" 0 submit --stdin && cp "$work/out" "$work/ids" &&
    run 124 wait --any --timeout 1ms --tag many && complained 'and none has ended'
check "... and none of them has in time"
"$command" wait --any --tag many >"$work/any" 2>"$work/err" &
waiter=$!
run 0 cancel "$(sed -n 2345p "$work/ids")"
wait $waiter
[ $? -eq 130 ] && [ "$(cat "$work/any")" = "$(sed -n 2345p "$work/ids")" ] && run 0 cancel --tag many &&
    run 0 forget --tag many
check "... and one does"
{
    echo '{"function": "t.echo", "args": ["a"]}'
    echo 'no json'
    echo '{"function": "t.echo", "args": ["b"], "priorty": 3}'
    echo '{"function": "t.nosuch"}'
    echo '{"function": "t.echo", "args": ["c"], "hold": false}'
} >"$work/lines"
fed "$work/lines" 125 submit --stdin && [ "$(wc -l <"$work/out")" -eq 2 ] && complained 'line 2: it is no JSON' &&
    complained 'line 3: "priorty": there is no such field; the nearest is priority' &&
    complained 'line 4: .*nosuch' && run 0 result last && is '["c"]'
check "125: bad lines are told, and the others go on"
fed "$work/lines" 125 submit --stdin --fail-fast && [ "$(wc -l <"$work/out")" -eq 1 ] && ! complained 'line 3'
check "--fail-fast"
mkfifo "$work/pipe"
"$command" submit --stdin --tag talk <"$work/pipe" >"$work/answers" 2>"$work/err" &
talker=$!
exec 8>"$work/pipe"
echo '{"function": "t.nop"}' >&8
while [ ! -s "$work/answers" ]; do :; done
echo '{"function": "t.nop", "tag": "talk2"}' >&8
exec 8>&-
wait $talker && [ "$(wc -l <"$work/answers")" -eq 2 ] && run 0 wait --tag talk && listed --tag talk &&
    [ "$ids" = "$(head -n 1 "$work/answers") " ]
check "whoever writes a line and waits for its id gets it"

# -- events, export ------------------------------------------------------------------------------------------

queue --hold --tag watched t.nop && held=$id
mkfifo "$work/events"
"$command" events "$held" >"$work/events" 2>"$work/err" &
watcher=$!
exec 9<"$work/events"
while ! "$command" status --json | grep -q '"clients":[2-9]'; do :; done
# The watch may begin after the release: events then ends by itself, for the task has ended.
run 0 release "$held" && run 0 wait "$held"
wait $watcher
status=$?
watcher=
cat <&9 >"$work/out"
exec 9<&-
[ $status -eq 0 ]
check "events ID ends with the task"
queue --hold --tag watched t.nop && one=$id && queue --hold --tag watched t.nop && two=$id
"$command" events --json --state "done,running" tag:watched "$two" >"$work/events" 2>"$work/err" &
watcher=$!
exec 9<"$work/events"
while ! "$command" status --json | grep -q '"clients":[2-9]'; do :; done
run 0 release --tag watched && run 0 wait --tag watched
wait $watcher
status=$?
watcher=
cat <&9 >"$work/out"
exec 9<&-
[ $status -eq 0 ] && ! said '"state":"queued"' && run 0 events "$one-$two" && is "" && run 125 events 1 &&
    complained NO_TASK
check "events of several end with the last; --state"
"$command" events -f "$one" >"$work/seen" 2>"$work/err" &
watcher=$!
# It may begin to watch later than the first of these; it does not end with any of them.
while [ "$(grep -c ' done ' "$work/seen")" -lt 2 ]; do run 0 rerun "$one" && run 0 wait "$one"; done
! grep -qv " $one " "$work/seen" && kill $watcher
wait $watcher
[ $? -eq 143 ]
check "events -f ID goes on when the task has ended"
watcher=
: >"$work/seen" # what the last one saw
"$command" events --where "function == \"t.echo\"" >>"$work/seen" 2>"$work/err" &
watcher=$!
while ! grep -q ' done ' "$work/seen"; do
    queue t.nop && queue t.echo 1
done
kill $watcher
wait $watcher
watcher=

for id in $(cut -d ' ' -f 3 "$work/seen" | sort -u); do
    "$command" ls --columns function "$id" | tail -n 1
done | sort -u >"$work/out"
is t.echo
check "events --where"
: >"$work/seen" # what the last one saw
"$command" events --json --tag seen >>"$work/seen" 2>"$work/err" &
watcher=$!
while [ ! -s "$work/seen" ]; do
    queue --tag seen t.nop
done
queue --tag seen t.nop && last=$id && run 0 wait "$last"
while ! grep -q "\"kind\":\"ended\",\"task\":$last,\"state\":\"done\"" "$work/seen"; do :; done
kill $watcher
wait $watcher
watcher=
cp "$work/seen" "$work/out"
grep -q "^{\"schema\":1,\"event\":{\"seq\":[0-9]*,\"kind\":\"started\",\"task\":$last," "$work/seen" &&
    ! grep -q "\"task\":$held," "$work/seen"
check "events --json: a document a line, of the tag alone"
"$command" events --tag full >/dev/full 2>"$work/full" &
watcher=$!
while kill -0 $watcher 2>/dev/null; do
    queue --tag full t.nop
done
wait $watcher
status=$?
watcher=
echo '{"function": "t.nop"}' | "$command" submit --stdin >/dev/full 2>"$work/err"
[ $? -eq 125 ] && [ $status -eq 125 ] && grep -q "standard output: No space left" "$work/err" &&
    grep -q "standard output: No space left" "$work/full"
check "a full disk is told as what it is"
# shellcheck disable=SC2016 # no variable
run 0 forget --where true && queue --key k t.echo '{"$bytes":"AP8="}' 1.5 && run 0 wait "$id" && run 0 export &&
    said "^{\"schema\":1,\"task\":{\"id\":$id,.*\"key\":\"k\".*\"args\":\[{\"\$bytes\":\"AP8=\"},1.5\],\"value\":\[{\"\$bytes\":\"AP8=\"},1.5\]}}$"
check "export: arguments and value"

# -- what outlives what --------------------------------------------------------------------------------------

run 0 pause --tag slow && queue --tag slow t.nop && slow=$id && queue --volatile t.echo go && run 0 result "$id" &&
    state_is "$slow" waiting && run 0 why "$slow" && is "tasks with the tag slow are paused until they are resumed" &&
    run 0 ls --columns id --where paused && said "$slow" && run 0 pause --json && is '{"schema":1,"changed":0}' &&
    run 0 status && said 'paused *slow,\*$' && queue t.nop && state_is "$id" waiting && run 0 call math.square 3
check "pause: a tag, and all"
run 0 resume && run 0 wait "$id" && state_is "$slow" waiting && run 0 status --json && said '"paused":\["slow"\]' &&
    run 2 pause "$slow" && complained 'hold and release' && run 2 pause --tag '#'
check "resume: what another pause is about waits on"
run 0 forget --where true && queue --hold --volatile t.nop && gone=$id && queue --hold t.echo kept && kept=$id &&
    queue --hold --durable --priority 2 t.nop && durable=$id && queue math.square 9 && run 0 wait "$id" && ended=$id
check "tasks of all three kinds"
kill -KILL $daemon
wait $daemon 2>/dev/null
start_daemon auto
check "the daemon was killed, and is back"
listed && [ "$ids" = "$slow $kept $durable $ended " ] && run 0 result "$ended" && is 81 && run 125 result "$gone" &&
    run 0 ls --columns priority "$durable" && said '^ *2$' && run 0 release "$kept" && run 0 result "$kept" &&
    is '["kept"]'
check "volatile ones are gone, the others are there, with values and priorities"

state_is "$slow" waiting && queue --tag slow t.nop && state_is "$id" waiting && run 0 resume --json --tag slow &&
    is '{"schema":1,"changed":2}' && run 0 wait --tag slow
check "a pause is still there, and is ended"
kill -KILL $daemon
wait $daemon 2>/dev/null
start_daemon auto && queue --tag slow t.nop && run 0 result "$id"
check "and stays so"

stop_daemon
check "the daemon ends with 0"
echo "1..$n"
