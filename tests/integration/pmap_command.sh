#!/bin/sh
# `ptools pmap` against a real daemon: every form of input and output, what failures and signals do, every exit status.
# usage: pmap_command.sh  (PTOOLS_TEST_COMMAND, _MODULES and PTOOLS_DAEMON as Meson sets them)
# shellcheck source-path=SCRIPTDIR source=command_rig.sh
. "$(dirname "$0")/command_rig.sh"
as='timeout 120'

# run STATUS ARG...: its input is that of this function
run() {
    expected=$1
    shift
    ends "$expected" pmap "$@"
}

# is LINE...: that is all there is on standard output
is() { printf '%s\n' "$@" | cmp -s - "$work/out"; }
# fates: items of every kind, as lines of JSON
fates() { printf '["value",1]\n["fail","boo"]\n["raise",9]\n["value",4]\n'; }

run 0 math.square 12 13 </dev/null && is 144 169 && quiet
check "pmap starts a private daemon where none runs"
while [ -e "$PTOOLS_DIR" ]; do :; done # it ends by itself, but pmap does not wait for that
run 125 --no-private math.square 12 </dev/null && complained ptoolsd
check "and does not where it is told not to"

mkfifo "$work/in" "$work/lines"
start_daemon no
check "the daemon is ready"

# -- input ------------------------------------------------------------------------------------------------------

run 0 t.echo 1 true word '[2,"x"]' '"3"' -s 4 </dev/null && is '[1]' '[true]' '["word"]' '[[2,"x"]]' '["3"]' '["4"]' && quiet
check "words, each as call reads it"
printf '1\n\nnull\na b\r\nend' | run 0 t.echo && is '["1"]' '[""]' '["null"]' '["a b\r"]' '["end"]' && quiet
check "lines are strings, whatever they look like"
printf 'a\nb\0\0c\0' | run 0 -0 t.echo && is '["a\nb"]' '[""]' '["c"]'
check "items that end with NUL"
# shellcheck disable=SC2016 # it is no variable
printf '\377\n' | run 0 t.echo && is '[{"$bytes":"/w=="}]'
check "a line that is no UTF-8"
printf '12\n[1,2]\n\n[[3]]\n[]\n{"a":null}\n' | run 0 --json-lines t.echo &&
    is '[12]' '[1,2]' '[[3]]' '[]' '[{"a":null}]'
check "lines of JSON: a list of arguments, or the one that there is"
run 0 t.echo </dev/null && [ ! -s "$work/out" ] && quiet && run 0 --json-lines t.echo </dev/null
check "no items"
printf '1\n2\n[3\n4\n' | run 2 --json-lines p.same && is 1 2 && complained 'line 3: it is no JSON value'
check "2: a bad line is named, what was before it is run"
run 2 --json-lines p.same </dev/null 1 && complained 'standard input' && run 2 -0 p.same 1 </dev/null &&
    run 2 -0 --json-lines p.same </dev/null && run 2 -s p.same </dev/null && run 2 </dev/null && run 2 p </dev/null &&
    run 2 --on-error skip p.same 1 </dev/null && run 2 --captured 7 p.same 1 </dev/null && complained 'is a list' &&
    run 2 --batch-size 0 p.same 1 </dev/null && run 2 --retry-on died p.same 1 </dev/null &&
    run 2 --item-timeout soon p.same 1 </dev/null && run 2 --init p p.same 1 </dev/null &&
    run 2 p.same 99999999999999999999 </dev/null
check "2: usage"
run 125 t.echo <&- && complained 'standard input'
check "125: standard input cannot be read"

# -- output -----------------------------------------------------------------------------------------------------

seq 100000 >"$work/numbers"
run 0 --json-lines p.same <"$work/numbers" && cmp -s "$work/numbers" "$work/out"
check "a hundred thousand lines, in order"
# shellcheck disable=SC2002 # a pipe is what is meant
cat "$work/numbers" | run 0 --json-lines --batch-size 7 p.same && cmp -s "$work/numbers" "$work/out"
check "... from a pipe, in batches of seven"
run 0 --json-lines --unordered p.same <"$work/numbers" &&
    sed -n 's/^{"schema":1,"index":\([0-9]*\),"value":\([0-9]*\)}$/\1 \2/p' "$work/out" | sort -n |
    awk '$1 != NR - 1 || $2 != NR { exit 1 } END { exit NR != 100000 }'
check "unordered: each once, with its index"
fates | run 1 --json-lines p.item && is 1 null null 4 && complained '^ptools pmap: index 1, line 2: boo (FAILED)$' &&
    complained 'index 2, line 3: .*killed by signal 9.*(WORKER_DIED)$' &&
    complained 'of 4 items 2 have a value, 2 failed$' && complained 'PARTS'
check "1: failures are told, and stand as null in their lines"
fates | run 1 --json --json-lines p.item &&
    sed -n 1p "$work/out" | grep -q '^{"schema":1,"index":0,"value":1}$' &&
    sed -n 2p "$work/out" | grep -q '^{"schema":1,"index":1,"error":"FAILED","message":"boo","attempts":1,"phase":"failing","log":"about to say boo\\n"}$' &&
    sed -n 3p "$work/out" | grep -q '^{"schema":1,"index":2,"error":"WORKER_DIED",' && [ "$(wc -l <"$work/out")" -eq 4 ] &&
    [ "$(wc -l <"$work/err")" -eq 1 ] && complained '^{"schema":1,"error":{"code":"PARTS",.*"exit":1'
check "documents"
# A line is answered before the next one is there.
timeout 120 "$command" pmap p.same --json-lines <"$work/in" >"$work/lines" 2>"$work/err" &
mapper=$!
exec 4>"$work/in" 5<"$work/lines"
echo 1 >&4 && read -r a <&5 && echo 2 >&4 && read -r b <&5 && exec 4>&- && wait $mapper && [ "$a $b" = "1 2" ]
check "what is ready is written when nothing more is at hand"
exec 4>&- 5<&-
{
    yes 1 | timeout 120 env --default-signal=PIPE "$command" pmap --json-lines p.same 2>"$work/err"
    echo $? >"$work/status"
} | head -n 1 >"$work/out"
is 1 && quiet && [ "$(cat "$work/status")" = 141 ]
check "141: a reader that has seen enough ends it, without a word"
unread 141 pmap p.item '["hang"]' && quiet
check "... also while nothing is written"
printf '1\n' | timeout 120 "$command" pmap p.same --json-lines >/dev/full 2>"$work/err"
[ $? -eq 125 ] && complained 'No space left'
check "125: standard output cannot be written"

# -- failures ---------------------------------------------------------------------------------------------------

fates | run 0 --json-lines --on-error 'default={"none":true}' p.item && is 1 '{"none":true}' '{"none":true}' 4 &&
    complained '2 failed and have the default'
check "0: a default in the place of failures"
fates | run 0 --json --json-lines --on-error default=none p.item &&
    said '^{"schema":1,"index":1,"value":"none","error":"FAILED","message":"boo",' && quiet
check "... whose documents tell why"
{ printf '["fail","boo"]\n'; yes '["hang"]'; } | run 1 --json-lines --batch-size 1 --on-error stop p.item &&
    ! grep -qv null "$work/out" && complained 'index 0, line 1: boo' && complained 'the rest of the input was not read'
check "1: stop at the first failure, and read no more"
yes 1 | run 125 p.nosuch && complained 'NO_FUNCTION' && [ "$(grep -c index "$work/err")" -eq 1 ] &&
    yes 1 | run 125 nosuch.f && complained 'NO_MODULE'
check "125: what is not there ends it at once"
run 125 --set nosuch p.same 1 </dev/null && complained NO_SET && run 125 --worker 99 p.same 1 </dev/null &&
    complained NO_WORKER
check "125: no such set, no such worker"
run 1 --attempts 3 --retry-on died --captured '["fail","boo"]' p.item 1 2 </dev/null &&
    [ "$(grep -c boo "$work/err")" -eq 2 ]
check "what does not call for another attempt"
printf '["%s","fail"]\n["%s","kill"]\n' "$work/a" "$work/b" | run 0 --attempts 2 --backoff 10ms --json-lines p.first &&
    is 2 2
check "failures are tried again"
printf '["%s","fail"]\n["%s","kill"]\n' "$work/c" "$work/d1" |
    run 1 --attempts 2 --retry-on died --json-lines p.first && is null 2
check "... or only those that died"
printf '["hang"]\n["value",2]\n' | run 124 --item-timeout 200ms --json-lines p.item && is null 2 && complained DEADLINE
check "124: the time of an item"
yes '["sleep",5]' | run 124 --json-lines --timeout 300ms p.item && said 5 && complained 'the time limit (--timeout) passed'
check "124: the time of all"
printf '["hang"]\n' | run 124 --json-lines --timeout 300ms p.item && is null && complained '1 were cancelled'
check "... when all of the input was read"

run 124 --timeout 300ms p.item hang hang hang hang hang hang hang hang hang </dev/null &&
    is null null null null null null null null null && complained 'of 9 items 0 have a value, [12] were cancelled, [78] were not run$'
check "... of words there are as many lines as items, whatever happens"

# -- workers ----------------------------------------------------------------------------------------------------

run 0 --init p.init --captured '[3,4]' --worker 1 p.add 1 2 </dev/null && is 8 9 && run 0 --worker 1 p.seen x </dev/null &&
    is '[1,7,1]'
check "what is captured, an initial function, a worker"
"$command" sets create two 2 >"$work/out" && run 0 --set two t.id "" "" </dev/null && is 2 2
check "a worker set"

run 0 --isolated p.litter 1 2 3 </dev/null && is '"clean"' '"clean"' '"clean"'
check "isolated: what an item leaves behind no other finds"

# -- rehearsal --------------------------------------------------------------------------------------------------

run 0 --rehearse --json-lines p.same <"$work/numbers" && cmp -s "$work/numbers" "$work/out" &&
    complained '^rehearsed   7 items$' && complained '^time  .*median' && complained '^memory  .*median' &&
    complained '^to come     99993 items: about .* with the 2 workers' && complained '^proposed    [0-9]* worker'
check "a rehearsal, whose values are kept in their places"
fates | run 1 --json-lines --rehearse=3 p.item && is 1 null null 4 && complained 'index 1, line 2: boo' &&
    complained 'index 2, line 3: .*killed by signal 9' && complained 'rehearsed   [123] items*$'
check "... and failures, too"
: >"$work/once"
run 0 p.first --captured "[\"$work/once\"]" --rehearse=2 a b c d </dev/null &&
    [ "$(sort -n "$work/out" | tr '\n' ' ')" = '1 2 3 4 ' ] && [ "$(wc -c <"$work/once")" -eq 4 ]
check "... each item is run once"
run 0 --rehearse-only --json-lines p.same <"$work/numbers" && said '^to come     99993 items' && quiet &&
    run 0 --rehearse-only --json p.same 1 2 3 </dev/null &&
    said '^{"schema":1,"rehearsal":{"items":3,.*"left":0,"workers":2,.*"proposed":[1-9]'
check "a rehearsal alone: what it says is all of the output"
run 1 --rehearse=5 --on-error stop p.item 1 2 3 4 5 6 7 8 9 10 11 12 13 </dev/null && [ "$(wc -l <"$work/out")" -eq 13 ]
check "... and one that is ended early has a line for each item all the same"
printf '1\n2\n[\n4\n5\n' | run 2 --json-lines --rehearse=2 p.same && [ ! -s "$work/out" ] && complained 'line 3'
check "2: a bad line in what was read ahead: nothing is run"
run 0 --rehearse p.same </dev/null && [ ! -s "$work/out" ] && quiet && run 125 --rehearse p.nosuch 1 2 3 4 5 6 7 8 9 </dev/null &&
    complained 'of 9 items 0 have a value' && run 2 --rehearse=0 p.same 1 </dev/null && run 2 --rehearse=101 p.same 1 </dev/null
check "nothing to rehearse, or nothing to rehearse it with"
printf '["hang"]\n["hang"]\n' | run 124 --json-lines --rehearse=1 --timeout 300ms p.item && is null null &&
    complained 'the time limit (--timeout) passed'
check "124: the time for all holds for the rehearsal"

# -- signals ----------------------------------------------------------------------------------------------------

# Half of them have ended, then all that run hang.
{ yes '["value",7]' | head -n 50 && yes '["hang"]' | head -n 50; } >"$work/half"
env --default-signal=INT "$command" pmap --batch-size 1 --json-lines p.item <"$work/half" >"$work/lines" 2>"$work/err" &
mapper=$!
exec 5<"$work/lines"
seen=0
while [ $seen -lt 50 ]; do
    read -r line <&5
    [ "$line" = 7 ] || break
    seen=$((seen + 1))
done
while [ "$("$command" workers --json | grep -o '"hanging"' | wc -l)" -lt 2 ]; do
    kill -0 $mapper 2>/dev/null || break
done
kill -INT $mapper
cat <&5 >"$work/out"
wait $mapper
[ $? -eq 130 ] && [ $seen -eq 50 ] && ! grep -qv null "$work/out" &&
    complained '^ptools pmap: interrupted: of [0-9]* items 50 have a value, 2 were cancelled'
check "130: interrupted half way, what had ended is written"
exec 5<&-
"$command" workers >"$work/out" && ! said p.item
check "... and no worker is at it any more"
# Its reader sleeps in the midst of a line that no pipe holds, so it cannot end by itself.
{ printf '"' && head -c 1000000 /dev/zero | tr '\0' a && printf '"\n'; } >"$work/long"
env --default-signal=INT,TERM "$command" pmap --json-lines t.echo <"$work/long" >"$work/lines" 2>"$work/err" &
mapper=$!
exec 5<"$work/lines"
line=$(head -c 1 <&5)
kill -INT $mapper
kill -TERM $mapper
wait $mapper
[ $? -eq 130 ] && [ "$line" = '[' ] && complained 'interrupted twice'
check "130: the second signal ends it at once"
exec 5<&-

run 0 math.square 3 </dev/null && is 9
check "all is well with the daemon"
stop_daemon
check "the daemon ends with 0"
echo "1..$n"
