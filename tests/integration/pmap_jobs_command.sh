#!/bin/sh
# `ptools pmap -- COMMAND` against a real daemon: placeholders, where items come from, what is done with output, failures,
# job logs and signals, every exit status.
# usage: pmap_jobs_command.sh  (PTOOLS_TEST_COMMAND, _MODULES and PTOOLS_DAEMON as Meson sets them)
# shellcheck disable=SC1083,SC2016 # braces and dollars are for others
# shellcheck source-path=SCRIPTDIR source=command_rig.sh
. "$(dirname "$0")/command_rig.sh"
tab=$(printf '\t')
newline='
'

# run STATUS ARG...: the command, its input that of this function, must end with STATUS; its output is in out and err
run() {
    expected=$1
    shift
    timeout 120 "$command" pmap "$@" >"$work/out" 2>"$work/err"
    got=$?
    [ $got -eq "$expected" ] || { echo "# status $got instead of $expected: $*"; return 1; }
}

# dry LINE ARG...: --dry-run prints this one line, or these, and needs no daemon
dry() {
    line=$1
    shift
    if run 0 --no-private --dry-run "$@" </dev/null && quiet && is "$line"; then
        return 0
    fi
    printf '# expected: %s\n' "$line"
    return 1
}

# is LINE...: that is all there is on standard output
is() { printf '%s\n' "$@" | cmp -s - "$work/out"; }
complained() { grep -aq -- "$1" "$work/err"; }
# log COLUMN...: these columns of the job log, in the order of the items
log() { tail -n +2 "$work/log" | sort -n | cut -f "$1" | tr '\n' ' '; }

# -- placeholders: no daemon is needed ---------------------------------------------------------------------------

dry 'echo a/b.c a/b b.c a b 1' -- echo {} {.} {/} {//} {/.} '{#}' ::: a/b.c &&
    dry "echo a.tar.gz a.tar a.tar.gz . a.tar" -- echo {} {.} {/} {//} {/.} ::: a.tar.gz &&
    dry "echo /x /x x / x" -- echo {} {.} {/} {//} {/.} ::: /x &&
    dry "echo a.d/b a.d/b b a.d b" -- echo {} {.} {/} {//} {/.} ::: a.d/b &&
    dry "echo d/ '' ." -- echo {} {/} {//} ::: d/
check "what a placeholder makes of a path"
dry 'echo -i a' -- echo -i ::: a && dry 'echo 1' -- echo '{#}' ::: a && dry 'echo 1 x' -- echo '{%}' x ::: a
check "an item is appended where no placeholder is"
dry "echo xay '{z}' '{.x}' '{a}' '{ }' a '}{'" -- echo 'x{}y' '{z}' '{.x}' '{a}' '{ }' '{}' '}{' ::: a
check "within a word; other braces stand for themselves"
dry "echo b-a b a ' a b.c' a b.c a b" -- echo '{2/.}-{1}' '{-1.}' '{-2}' ' {}' {} {.} ::: a ::: b.c
check "positions; all values are words, or within a word have blanks between"
dry "echo '' a" -- echo '{3}' '{1}' ::: a
check "a position without a value is empty"
dry "echo 'it'\\''s' 'a b' '' '\$x;y' \$'a\\nb\\tc' \$'\\377' 'é'" \
    -- echo {1} {2} {3} {4} {5} {6} {7} ::: "it's" ::: 'a b' ::: '' ::: '$x;y' ::: "a${newline}b${tab}c" ::: "$(printf '\377')" ::: é
check "commands are printed as a shell would read them"
bash -c "$(cat "$work/out")" >"$work/again" && printf "it's a b  \$x;y a\nb\tc \377 \303\251\n" | cmp -s - "$work/again"
check "... and bash reads them so"

# -- sources -----------------------------------------------------------------------------------------------------

dry "echo a 1${newline}echo a 2${newline}echo b 1${newline}echo b 2" -- echo ::: a b ::: 1 2
check "a product: the last changes fastest"
dry "echo a 1 x${newline}echo a 1 y${newline}echo b 2 x${newline}echo b 2 y" -- echo ::: a b :::+ 1 2 3 ::: x y
check "a linked list: the shorter ends both"
printf 'p\nq\n' >"$work/pq"
printf '7\n8\n' >"$work/78"
dry "echo p 7${newline}echo p 8${newline}echo q 7${newline}echo q 8" -- echo :::: "$work/pq" "$work/78" &&
    dry "echo p 7${newline}echo q 8" -- echo :::: "$work/pq" ::::+ "$work/78" &&
    dry "echo p 7${newline}echo p 8${newline}echo q 7${newline}echo q 8" -a "$work/pq" --arg-file "$work/78" -- echo &&
    dry "echo p${newline}echo q" -a "$work/pq" -- echo
check "files, and their products"
printf '1\n\na b\r\nend' | run 0 --dry-run -- echo && is 'echo 1' "echo ''" "echo \$'a b\\015'" 'echo end' &&
    printf 'a\nb\0c\0' | run 0 -0 --dry-run -- echo && is "echo \$'a\\nb'" 'echo c'
check "lines of standard input, and what ends with NUL"
printf 'x\ny\n' | run 0 --dry-run -- echo :::: - "$work/78" && is 'echo x 7' 'echo x 8' 'echo y 7' 'echo y 8'
check "standard input as one source of several"
run 0 --dry-run -- echo ::: </dev/null && [ ! -s "$work/out" ] && run 0 --dry-run -- echo </dev/null && [ ! -s "$work/out" ]
check "no items"
seq 7 >"$work/seven"
dry "echo 1 2 3 1${newline}echo 4 5 6 2${newline}echo 7 3" -n 3 -a "$work/seven" -- echo {} '{#}' &&
    dry "echo 1-2${newline}echo 3-" -n 2 -- echo {1}-{2} ::: 1 2 3 && dry "echo x${newline}echo x" -n 0 -- echo x ::: 1 2
check "several make one item, or none of it is inserted"
printf 'a:b:c\nd\n' >"$work/colons"
dry "echo b a a b c${newline}echo '' d d" --colsep : -a "$work/colons" -- echo {2} {1} {} &&
    printf 'a\t\tb\n' | run 0 --dry-run -C '\t' -- echo {3} && is 'echo b' &&
    printf 'a , b|c\n' | run 0 --dry-run -C ' *[,|] *' -- echo {3}{2}{1} && is 'echo cba' &&
    dry 'echo 2' -C ' ' -- echo {2} ::: '1 2 3'
check "columns by a character and by an expression"
printf 'name,"n b"\n"a ""q"", b",2\n"two\nlines",""\nplain,"x"y\n' >"$work/csv"
dry "echo 2 'a \"q\", b' 'a \"q\", b'${newline}echo '' \$'two\\nlines' \$'two\\nlines'${newline}echo xy plain plain" \
    --csv --header : -a "$work/csv" -- echo '{n b}' {name} {1} &&
    printf 'a;"b;c"\n' | run 0 --dry-run --csv --colsep ';' -- echo {2} && is "echo 'b;c'" &&
    dry "echo one/.x" --header : -- echo '{v/}/.{u/}' ::: u x ::: v d/one
check "CSV with quotes and lines within, whose first line has names"
printf 'a,"b\n' | run 125 --dry-run --csv -- echo && complained 'a quotation is open'
check "125: a quotation that does not end"
(echo 'a,"b' && seq 300000) | run 125 --dry-run --csv -- echo && complained 'a quotation is open'
check "... of many lines, each of which is looked at once"
run 0 --shuf --dry-run -a "$work/seven" -- echo {} '{#}' </dev/null && sort "$work/out" >"$work/sorted" &&
    seq 7 | sed 's/.*/echo & &/' | cmp -s - "$work/sorted"
check "in a random order each has its number"

# -- usage -------------------------------------------------------------------------------------------------------

run 2 -- </dev/null && run 2 -- ::: a </dev/null && complained 'sh -c {}' && run 2 -- 'echo {} | wc' ::: a </dev/null &&
    complained 'sh -c .SCRIPT' && run 2 --halt soon -- true </dev/null && run 2 --halt now,fail=0 -- true </dev/null &&
    run 2 --halt soon,fail=200% -- true </dev/null && run 2 --jobs x -- true </dev/null &&
    run 2 --max-args -1 -- true </dev/null && run 2 --resume -- true </dev/null && run 2 --block 1M -- true </dev/null &&
    run 2 --pipe -- true ::: a </dev/null && run 2 --colsep 'a(' -- true </dev/null && run 2 -C 'x*' -- true </dev/null &&
    run 2 --init p.init -- true </dev/null && run 2 --json-lines -- true </dev/null && run 2 --env =x -- true </dev/null &&
    run 2 --tag math.square 1 </dev/null && complained 'stand behind --' && run 2 --header x -- true </dev/null &&
    run 2 -- echo :::+ a </dev/null && run 2 gzip ::: a </dev/null && complained 'a command stands behind --' && run 2 --on-error default=1 -- true </dev/null
check "2: usage"
run 125 -a "$work/nosuch" -- true </dev/null && complained 'nosuch' && run 125 --joblog "$work/no/log" -- true ::: a </dev/null
check "125: files that are not there"

# -- a daemon ----------------------------------------------------------------------------------------------------

run 0 -- echo hi ::: 1 2 </dev/null && is 'hi 1' 'hi 2' && quiet
check "a private daemon is started where none runs"
while [ -e "$PTOOLS_DIR" ]; do :; done
mkdir -m 700 "$PTOOLS_DIR"
mkfifo "$work/ready" "$work/in" "$work/lines"
start() {
    "$PTOOLS_DAEMON" -o daemon.journal=no --workers 2 --dir "$PTOOLS_DIR" --ready-fd 3 3>"$work/ready" >>"$work/dlog" 2>&1 &
    daemon=$!
    read -r line <"$work/ready"
    [ "$line" = READY ]
}
start
check "the daemon is ready"

seq 300 >"$work/numbers"
run 0 -- echo <"$work/numbers" && cmp -s "$work/numbers" "$work/out" && quiet
check "three hundred lines, in order"
run 0 --unordered -- echo <"$work/numbers" && sort -n "$work/out" | cmp -s "$work/numbers" -
check "... or as they come"
run 0 -- sh -c 'printf "[%s]" "$@"' sh ::: 'a  b' "it's" "a${newline}b" '$HOME;"*' "$(printf '\377')" '' -n </dev/null &&
    printf "[a  b][it's][a\nb][\$HOME;\"*][\377][][-n]" | cmp -s - "$work/out"
check "an item is one argument, whatever is in it"
head -c 100000 /dev/zero | tr '\0' x >"$work/long"
run 0 -- sh -c 'printf "%s" "$1" | wc -c' sh <"$work/long" && [ "$(tr -d ' ' <"$work/out")" = 100000 ]
check "an argument of 100 KB"
printf 'a\0b\n' | run 1 -- echo && complained 'item 1'
check "1: no argument has a NUL in it"
run 0 -- sh -c 'head -c 300000 /dev/urandom | tee "$1"' sh ::: "$work/r1" "$work/r2" </dev/null &&
    cat "$work/r1" "$work/r2" | cmp -s - "$work/out"
check "output of any bytes, whole"
run 0 -- sh -c 'head -c 5000000 /dev/urandom | tee "$1"; head -c 3000000 "$1" >&2' sh ::: "$work/r1" "$work/r2" </dev/null &&
    cat "$work/r1" "$work/r2" | cmp -s - "$work/out" && [ "$(wc -c <"$work/err")" -eq 6000000 ] &&
    run 0 --json --results "$work/large" -- sh -c 'yes 123456789 | head -n 200000' sh ::: 1 </dev/null &&
    [ "$(wc -c <"$work/out")" -gt 2200000 ] && yes 123456789 | head -n 200000 | cmp -s - "$work/large/1/1/stdout" &&
    [ -z "$(find "$PTOOLS_DIR" -name '*.out*' -o -name '*.err*')" ]
check "... also if it is long: the files that it came in are gone"
(cd "$work" && X1=one run 0 --env X2=two --env X1 -- sh -c 'echo "$PWD $X1 $X2 $(umask)"; cat' ::: x </dev/null) &&
    is "$work one two $(umask)" && run 0 --cwd "$work" -n 0 -- pwd ::: x </dev/null &&
    is "$work"
check "environment, directory and umask of who asks; no input"
run 0 --stdin "$work/pq" -- sh -c 'echo "$1"; cat' sh ::: a b </dev/null && is a p q b p q && run 2 --stdin - -- cat ::: a </dev/null &&
    run 2 --pipe --stdin "$work/pq" -- cat </dev/null && complained 'each of them reads'
check "--stdin: each reads the file"
run 0 --nice 5 --cpus 1 --mem 500M -- sh -c 'nice; nproc; ulimit -v' ::: x </dev/null && is $(($(nice) + 5)) 1 512000
check "niceness, processors, memory"
run 1 --tag -- sh -c 'echo "o$1"; echo "e$1" >&2; printf "b\nc"; exit $1' sh ::: 0 3 </dev/null &&
    printf '0\to0\n0\tb\n0\tc3\to3\n3\tb\n3\tc' | cmp -s - "$work/out" && complained "^3${tab}e3$" &&
    run 0 --tagstring '<{#} {}>' -- echo ::: a </dev/null && is "<1 a>${tab}a"
check "a tag before each line of both"
run 1 -- sh -c 'echo o; echo e >&2; exit 4' ::: x </dev/null && is o && complained '^e$' &&
    complained '^ptools pmap: item 1: sh -c .* x: exited with status 4$' && complained 'of 1 items 0 went well, 1 failed'
check "1: failures are told, and what they wrote is shown"
run 1 -- sh -c 'kill -9 $$' ::: x </dev/null && complained 'killed by signal 9, SIGKILL'
check "1: killed by a signal"
run 1 --joblog "$work/log" -- sh -c 'kill -9 $PPID; exec sleep 1000' ::: x </dev/null && complained WORKER_DIED &&
    [ "$(log 7,8)" = "-1${tab}9 " ] &&
    run 0 --retries 2 -- sh -c '[ ! -e "$1" ] || exit 0; : >"$1"; kill -9 $PPID; exec sleep 1000' sh ::: "$work/w" </dev/null
check "1: one that kills its worker, which may be tried again"
run 127 -- nosuch ::: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 </dev/null && complained 'no such command: nosuch' &&
    complained 'were not run' && run 126 -- / ::: 1 </dev/null && complained 'cannot be run' &&
    run 127 -- {} ::: true nosuch true </dev/null && complained 'of 3 items 2 went well, 1 failed' &&
    run 1 -- sh -c 'exit 127' ::: 1 </dev/null && run 1 --cwd "$work/nosuch" -- true ::: 1 </dev/null
check "126, 127: commands that cannot be run, which end it unless they are items"
run 1 --json -- sh -c 'echo "$1"; printf "\377" >&2; exit $1' sh ::: 0 3 </dev/null &&
    sed -n 1p "$work/out" | grep -q '^{"schema":1,"seq":1,"args":\["0"\],"argv":\["sh","-c",".*","sh","0"\],"status":0,"attempts":1,"start_ms":[0-9]*,"wall_us":[0-9]*,"user_us":[0-9]*,"sys_us":[0-9]*,"peak_kb":[0-9]*,"out":"0\\n","err":{"$bytes":"/w=="}}$' &&
    sed -n 2p "$work/out" | grep -q '"seq":2,.*"status":3,' && complained '^{"schema":1,"error":{"code":"PARTS".*"exit":1'
check "documents"

# -- at once -----------------------------------------------------------------------------------------------------

# Each says when it begins and ends, and waits for the other where there is one.
run 0 --jobs 1 --unordered -- sh -c 'echo "+" >>"$1"; test "$(grep -c + "$1")" -eq $(($(grep -c - "$1") + 1)); echo "-" >>"$1"' sh "$work/one" '{#}' ::: 1 2 3 4 5 6 </dev/null &&
    [ "$(tr -d '\n' <"$work/one")" = '+-+-+-+-+-+-' ]
check "one at a time"
run 0 --jobs 2 -- sh -c 'echo "$1" >>"$2"; until [ "$(wc -l <"$2")" -ge 2 ]; do :; done' sh {} "$work/two" ::: 1 2 </dev/null
check "two at once"
run 0 --jobs 1 -- echo '{%}' ::: a b c </dev/null && is 1 1 1 && run 0 -j 2 -- echo '{%}' ::: a b c d e f </dev/null &&
    ! grep -qv '^[12]$' "$work/out"
check "slots"
run 0 --jobs 9 -- true ::: 1 </dev/null && complained 'but there are 2 workers' && run 0 -j 50% -- true ::: 1 </dev/null &&
    run 0 -j +0 -- true ::: 1 </dev/null && run 0 -j 0 -- true ::: 1 </dev/null && run 0 --worker 2 -- true ::: 1 </dev/null
check "more than there are workers, percent, and all"

"$command" workers add 2 >/dev/null && "$command" sets create pair --mode ff 1 2 >/dev/null && "$command" sets create turns 3 4 2 >/dev/null
check "four workers, and sets of some of them"
run 0 --set pair --unordered -- echo '{%}' ::: a b c d e f g h </dev/null && ! grep -qv '^[12]$' "$work/out" &&
    run 0 --set pair -j 50% -- sh -c 'echo "$1 $PTOOLS_WORKER"' sh '{%}' ::: a b c </dev/null && is '1 1' '1 1' '1 1' &&
    run 0 --set turns -j 2 -- sh -c 'echo "$PTOOLS_WORKER"' ::: a b c d e f </dev/null && ! grep -qv '^[34]$' "$work/out" &&
    run 0 --set turns -j -2 -- sh -c 'echo "$PTOOLS_WORKER"' ::: a b c </dev/null && is 3 3 3 &&
    run 0 --set pair -j +1 -- true ::: a </dev/null && complained '3 are to run at once, but there are 2 workers' &&
    run 125 --set nosuch -- true ::: a </dev/null && complained NO_SET
check "--jobs and places are of the workers of the set"
# Were there room for more than two, the third would be begun before the first has failed.
run 1 --set pair --halt now,fail=25% -- sh -c ': >"$2.$1"; [ "$1" != 1 ] || { until [ -e "$2.2" ]; do :; done; exit 1; }; exec sleep 1000' \
    sh {} "$work/halt" ::: 1 2 3 4 </dev/null && [ ! -e "$work/halt.3" ] && complained '1 were cancelled, 2 were not run'
check "--halt with a set: no more are begun than its workers"
run 0 --set pair --rehearse-only -- true ::: 1 2 3 4 5 6 7 8 9 </dev/null && grep -q 'with the 2 workers' "$work/out"
check "a rehearsal counts the workers of the set"
"$command" workers rm 3 && "$command" workers rm 4
check "two workers again"

# -- job logs ----------------------------------------------------------------------------------------------------

run 1 --joblog "$work/log" -- sh -c 'echo xx; exit $1' sh ::: 0 2 0 </dev/null &&
    [ "$(head -n 1 "$work/log")" = "Seq${tab}Host${tab}Starttime${tab}JobRuntime${tab}Send${tab}Receive${tab}Exitval${tab}Signal${tab}Command" ] &&
    [ "$(log 1,2,5,6,7,8 | tr '\t' ',')" = '1,:,0,3,0,0 2,:,0,3,2,0 3,:,0,3,0,0 ' ] &&
    [ "$(tail -n +2 "$work/log" | grep -Ec "^[0-9]+${tab}:${tab}[0-9]+\.[0-9]{3}${tab} *[0-9]+\.[0-9]{3}${tab}")" -eq 3 ] &&
    [ "$(sed -n '/^2\t/p' "$work/log" | cut -f 9)" = "sh -c 'echo xx; exit \$1' sh 2" ]
check "the columns of GNU parallel"
cp "$work/log" "$work/before"
dry "sh -c 'echo xx; exit \$1' sh 0" --resume --joblog "$work/log" -- sh -c 'echo xx; exit $1' sh ::: 0 2 0 0 &&
    dry "sh -c 'echo xx; exit \$1' sh 2${newline}sh -c 'echo xx; exit \$1' sh 0" \
        --resume-failed --joblog "$work/log" -- sh -c 'echo xx; exit $1' sh ::: 0 2 0 0 &&
    run 2 --dry-run --resume --joblog "$work/log" -- sh -c 'exit $1' sh ::: 0 </dev/null && complained 'another run' &&
    dry 'true 1' --joblog "$work/log" -- true ::: 1 && cmp "$work/before" "$work/log" &&
    dry 'true 1' --resume --joblog "$work/none" -- true ::: 1 && [ ! -e "$work/none" ] &&
    run 125 --dry-run --resume --joblog "$work" -- true ::: 1 </dev/null && complained 'cannot be read'
check "a dry run shows what would be run again, and leaves the log alone"
run 0 --resume --joblog "$work/log" -- sh -c 'echo xx; exit $1' sh ::: 0 2 0 0 </dev/null && is xx &&
    [ "$(log 1)" = '1 2 3 4 ' ]
check "resume: what has ended is not run again"
run 1 --resume-failed --joblog "$work/log" -- sh -c 'echo xx; exit $1' sh ::: 0 2 0 0 </dev/null && is xx &&
    [ "$(log 1)" = '1 2 2 3 4 ' ]
check "... but what has failed"
run 2 --resume --joblog "$work/log" -- sh -c 'exit $1' sh ::: 0 2 0 0 </dev/null && complained 'the log of another run'
check "2: the log of other commands"
printf '5\t:\t17' >>"$work/log"
run 0 --resume --joblog "$work/log" -- sh -c 'echo xx; exit $1' sh ::: 0 2 0 0 0 </dev/null && is xx && [ "$(log 1)" = '1 2 2 3 4 5 ' ]
check "a line that was torn is no line"
printf 'a\tb\n' >"$work/nolog"
run 125 --resume --joblog "$work/nolog" -- true ::: 1 </dev/null && complained 'no line of a job log'
check "125: a file that is no job log is left alone"
run 0 --joblog "$work/log" -- true ::: 1 </dev/null && [ "$(log 1)" = '1 ' ] &&
    run 1 --joblog "$work/log" -- sh -c 'kill -9 $$' ::: "a${newline}b" </dev/null && [ "$(log 7,8)" = "0${tab}9 " ]
check "without resume it begins anew"

# Killed in the middle: whoever of us is killed, all has been run in the end, and what is in the log once.
cat >"$work/mark" <<'END'
echo "$1" >>"$2/marks"
[ "$1" -ne 20 ] || [ -e "$2/twenty" ] || { : >"$2/twenty"; exec sleep 1000; }
END
mkdir "$work/k1" "$work/k2"
seq 40 >"$work/forty"
"$command" pmap --joblog "$work/log" -- sh "$work/mark" {} "$work/k1" <"$work/forty" >"$work/out" 2>"$work/err" &
mapper=$!
until [ -e "$work/k1/twenty" ] && [ "$(wc -l <"$work/log")" -gt 19 ]; do :; done
kill -9 $mapper
wait $mapper 2>/dev/null
cut -f 1 "$work/log" | tail -n +2 | sort -n >"$work/before"
run 0 --resume --joblog "$work/log" -- sh "$work/mark" {} "$work/k1" <"$work/forty" &&
    log 1 | tr ' ' '\n' | grep . | cmp -s - "$work/forty" && sort -nu "$work/k1/marks" | cmp -s - "$work/forty" &&
    ! sort -n "$work/k1/marks" | uniq -d | grep -Fxqf "$work/before"
check "resume after a kill -9 of ptools"
"$command" pmap --no-private --joblog "$work/log" -- sh "$work/mark" {} "$work/k2" <"$work/forty" >"$work/out" 2>"$work/err" &
mapper=$!
until [ -e "$work/k2/twenty" ] && [ "$(wc -l <"$work/log")" -gt 19 ]; do :; done
kill -9 "$daemon"
wait "$daemon" 2>/dev/null
start # what is left is run there
check "another daemon is ready"
! wait $mapper && cut -f 1 "$work/log" | tail -n +2 | sort -n >"$work/before" && ! grep -qx 20 "$work/before" &&
    grep -q 'item 20: .*(LOST)' "$work/err" && run 0 --resume --joblog "$work/log" -- sh "$work/mark" {} "$work/k2" <"$work/forty" &&
    log 1 | tr ' ' '\n' | grep . | cmp -s - "$work/forty" && sort -nu "$work/k2/marks" | cmp -s - "$work/forty" &&
    ! sort -n "$work/k2/marks" | uniq -d | grep -Fxqf "$work/before"
check "... and of ptoolsd"

# -- results, halt, retries, timeout, pipe -----------------------------------------------------------------------

run 1 --results "$work/res" -- sh -c 'echo "o$1$2"; echo e >&2; exit $2' sh ::: a/b '' .. ::: 0 1 </dev/null &&
    [ "$(cat "$work/res/1/a\\_b/2/1/stdout")" = oa/b1 ] && [ "$(cat "$work/res/1/\\e/2/0/stdout")" = o0 ] &&
    [ "$(cat "$work/res/1/\\../2/1/stderr")" = e ] && [ "$(cat "$work/res/1/a\\_b/2/1/seq")" = 2 ] &&
    run 0 --results "$work/res2" --header : -- echo {x} ::: x v </dev/null && [ "$(cat "$work/res2/x/v/stdout")" = v ] &&
    run 0 --results "$work/deep/er/res3/" -- echo <"$work/long" && [ "$(find "$work/deep/er/res3" -name stdout | wc -l)" -eq 1 ]
check "results, as GNU parallel lays them out"
run 125 --results "$work/long/res" -- touch "$work/begun" ::: a </dev/null && complained 'results .*: Not a directory' &&
    [ ! -e "$work/begun" ] && run 125 --results '' -- touch "$work/begun" ::: a </dev/null && [ ! -e "$work/begun" ] &&
    run 0 --dry-run --results "$work/dry" -- echo ::: a </dev/null && [ ! -e "$work/dry" ]
check "125: where results cannot be kept nothing is run"
run 1 --jobs 1 --halt soon,fail=1 -- sh -c 'echo $1; exit $1' sh ::: 0 1 0 0 </dev/null && is 0 1 &&
    complained 'ended by --halt: of 4 items 1 went well, 1 failed, 2 were not run' &&
    run 0 -j 1 --halt soon,success=1 -- sh -c 'exit $1' sh ::: 1 0 1 1 </dev/null && complained '2 were not run' &&
    run 1 -j 1 --halt soon,done=3 -- sh -c 'exit $1' sh ::: 1 0 0 0 </dev/null && complained '1 were not run' &&
    run 1 -j 1 --halt soon,fail=50% -- sh -c 'exit $1' sh ::: 1 0 1 0 </dev/null && complained '1 were not run' &&
    run 1 -j 1 --halt never -- sh -c 'exit $1' sh ::: 1 1 0 </dev/null && complained 'of 3 items 1 went well, 2 failed'
check "halt soon: what runs goes on, nothing is begun"
run 1 -j 2 --halt now,fail=1 -- sh -c '[ $1 -gt 0 ] || exec sleep 1000; exit 1' sh ::: 0 1 2 3 </dev/null &&
    complained '1 were cancelled, 2 were not run' &&
    run 0 -j 2 --halt now,success=1 -- sh -c '[ $1 -gt 0 ] || exec sleep 1000' sh ::: 0 1 2 3 </dev/null &&
    run 1 --on-error stop -- sh -c '[ $1 -gt 0 ] || exec sleep 1000; exit 1' sh ::: 0 1 2 3 </dev/null
check "halt now: what runs is ended"
run 0 --retries 3 -- sh -c 'echo x >>"$1"; [ "$(wc -l <"$1")" -ge 3 ] && echo done' sh ::: "$work/t1" "$work/t2" </dev/null &&
    is 'done' 'done' && run 1 --retries 2 --backoff 10ms -- sh -c 'echo x >>"$1"; exit 1' sh ::: "$work/t3" </dev/null &&
    [ "$(wc -l <"$work/t3")" -eq 2 ] && complained 'in 2 attempts' &&
    run 1 --retries 3 --retry-on died -- sh -c 'echo x >>"$1"; exit 1' sh ::: "$work/t4" </dev/null && [ "$(wc -l <"$work/t4")" -eq 1 ]
check "retries: attempts in all"
run 0 --retries 3 -- sh -c 'echo $PTOOLS_TASK_ATTEMPT; [ $PTOOLS_TASK_ATTEMPT = 3 ]' ::: x </dev/null && is 3
check "... which are told to the command; the output of the last is shown"
run 124 --timeout 300ms --joblog "$work/log" -- sh -c '[ $1 = 2 ] || exit 0; echo late; exec sleep 1000' sh ::: 1 2 3 </dev/null &&
    complained DEADLINE && complained '^    late$' && complained 'of 3 items 2 went well, 1 failed' && [ "$(log 7,8)" = "0${tab}0 -1${tab}15 0${tab}0 " ]
check "124: the time of an item, whose last lines are told"
# The first is under way when it is known how long they take; the last is begun later.
run 124 -j 2 --timeout 1000% --joblog "$work/log" -- sh -c 'sleep $1' sh ::: 1000 0.1 0.1 0.1 0.1 1000 </dev/null && complained DEADLINE &&
    complained 'of 6 items 4 went well, 2 failed' && [ "$(log 7)" = "-1 0 0 0 0 -1 " ] &&
    run 0 --timeout 200% -- true ::: 1 2 3 4 5 6 </dev/null && run 2 --timeout 0% -- true ::: 1 </dev/null &&
    run 2 --timeout 5%% -- true ::: 1 </dev/null && run 2 --timeout 200% math.square 1 </dev/null
check "--timeout N%: of the median time of those that went well"
# Longer than the grace time of the daemon.
run 124 --timeout 100ms --grace 1h -- sh -c 'trap "sleep 0.7; : >\"\$0\"; exit 3" TERM; sleep 1000 & wait' {} ::: "$work/atlast" </dev/null &&
    [ -e "$work/atlast" ] &&
    run 124 --timeout 100ms --grace 50ms -- sh -c 'trap "" TERM; while :; do sleep 0.01; done' ::: 1 </dev/null &&
    complained DEADLINE && run 2 --grace x -- true ::: 1 </dev/null
check "--grace: from SIGTERM to SIGKILL"
run 124 --timeout-all 300ms -- sleep ::: 1000 1000 1000 </dev/null && complained 'the time limit (--timeout-all) passed'
check "124: the time of all"
run 0 --pipe --block 500 --joblog "$work/log" -- sh -c 'cat; echo "=$1"' sh '{#}' <"$work/numbers" &&
    grep -v = "$work/out" | cmp -s - "$work/numbers" && [ "$(grep -c = "$work/out")" -eq 3 ] &&
    [ "$(awk -F'\t' 'NR > 1 { n += $5 } END { print n }' "$work/log")" -eq "$(wc -c <"$work/numbers")" ] &&
    printf 'a\nb' | run 0 --pipe --block 1 -- cat && printf 'a\nb' | cmp -s - "$work/out" && run 0 --pipe -- cat </dev/null
check "blocks of standard input, cut behind lines"
run 0 --rehearse=3 -- echo ::: 1 2 3 4 5 </dev/null && is 1 2 3 4 5 && complained '^rehearsed   3 items' &&
    complained '^to come     2 items' && run 0 --rehearse-only -- echo ::: 1 2 </dev/null && grep -q '^rehearsed   2' "$work/out"
check "a rehearsal"
run 0 --shuf -- echo ::: 1 2 3 4 5 </dev/null && [ "$(sort "$work/out" | tr -d '\n')" = 12345 ]
check "in a random order"
mkdir "$work/staged"
run 1 --merge --out-dir "$work/staged" -- sh -c 'echo a; echo b >&2; : >"$PTOOLS_OUT_DIR/$0"; [ $0 != bad ]' ::: good bad </dev/null &&
    is "$(printf 'a\nb\na\nb')" && [ "$(ls -A "$work/staged")" = good ]
check "--merge and --out-dir: as of run and submit"

# -- signals -----------------------------------------------------------------------------------------------------

env --default-signal=INT "$command" pmap --joblog "$work/log" -- sh -c 'trap "echo asked >>$2; exit" TERM; echo "$1" >>"$2"; [ "$1" -lt 3 ] || { sleep 1000 & wait; }' sh {} "$work/sig" \
    ::: 1 2 3 4 5 6 >"$work/out" 2>"$work/err" &
mapper=$!
until [ "$(grep -cs '[34]' "$work/sig")" = 2 ]; do :; done
kill -INT $mapper
wait $mapper
[ $? -eq 130 ] && complained 'interrupted: of 6 items 2 went well, 2 were cancelled, 2 were not run' &&
    [ "$(grep -c asked "$work/sig")" -eq 2 ] && [ "$(log 1)" = '1 2 ' ]
check "130: a signal asks what runs to end, and tells what was not run"
env --default-signal=INT,TERM "$command" pmap -- sh -c 'trap "" TERM; echo "$1" >>"$2"; sleep 1000 & wait; sleep 1000' sh {} "$work/sig2" ::: 1 2 3 >"$work/out" 2>"$work/err" &
mapper=$!
until grep -qs 2 "$work/sig2"; do :; done
kill -TERM $mapper
kill -INT $mapper
wait $mapper
[ $? -eq 130 ] && complained 'interrupted twice'
check "130: the second ends it at once"
{
    yes | timeout 120 env --default-signal=PIPE "$command" pmap -- echo 2>"$work/err"
    echo $? >"$work/status"
} | head -n 1 >"$work/out"
is y && quiet && [ "$(cat "$work/status")" = 141 ] && unread 141 pmap --dry-run -- echo ::: 1 && quiet &&
    unread 141 pmap --json -- echo ::: 1 && quiet
check "141: a reader that has seen enough ends it, without a word"

kill "$daemon" && wait "$daemon"
check "the daemon ends with 0"
daemon=
echo "1..$n"
