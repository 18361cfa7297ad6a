#!/bin/bash
# rows.sh [TOOL...] -- what ptools and its neighbours can do, each cell tried: prints the table of the README.
#
#   yes  the function of this row and tool was run, and it held
#   no   it was run, and did not hold
#   -    the tool has no option for it
#
# A row is a comment line with its text, and a function ROW_TOOL for each tool that has a way to do it. Each function runs
# in an empty directory of its own, with 30 seconds; its status decides. A tool that is not installed has "?" everywhere.
# usage: rows.sh  (PTOOLS_TEST_COMMAND, _MODULES and PTOOLS_DAEMON as Meson sets them; or ptools in PATH)
set -u
tools=(ptools parallel xargs tsp nq)
work=$(mktemp -d /tmp/ptools-peers-XXXXXX) || exit 99
command=${PTOOLS_TEST_COMMAND:-ptools}
export PTOOLS_DIR="$work/d" PTOOLS_MODULE_PATH=${PTOOLS_TEST_MODULES:-}
[ -n "$PTOOLS_MODULE_PATH" ] || unset PTOOLS_MODULE_PATH
export TS_SOCKET="$work/tsp" TMPDIR=$work
unset PTOOLS_ADDRESS XDG_RUNTIME_DIR

pt() { "$command" "$@"; }
par() { parallel --will-cite "$@"; }

start_daemon() {
        mkdir -p -m 700 "$PTOOLS_DIR"
        "${PTOOLS_DAEMON:-ptoolsd}" --workers 2 --dir "$PTOOLS_DIR" --ready-fd 9 9> >(cat > "$work/ready") 2>> "$work/log" &
        daemon=$!
        until grep -qs READY "$work/ready" || ! kill -0 $daemon 2> /dev/null; do :; done
}
finish() {
        kill "$daemon" 2> /dev/null && wait "$daemon"
        tsp -K 2> /dev/null
        rm -rf "$work"
}
trap finish EXIT

# gone SECONDS: nobody has that for its argument of sleep any more
gone() {
        local i
        for ((i = 0; i < 200; i++)); do
                pgrep -fx "sleep $1" > /dev/null || return 0
                read -rt 0.02 <> <(:)
        done
        pkill -fx "sleep $1"
        return 1
}
# unlike: a number of seconds that no other test sleeps
unlike() { echo "$((1000 + RANDOM)).$RANDOM"; }
tsp_id() { tsp "$@"; }

# row: Needs no server that was started before
alone_ptools() { PTOOLS_DIR=$PWD/none pt pmap -- echo ::: a | grep -qx a; }
alone_parallel() { par echo ::: a | grep -qx a; }
alone_xargs() { echo a | xargs echo | grep -qx a; }
alone_tsp() { TS_SOCKET=$PWD/s tsp -nf true && TS_SOCKET=$PWD/s tsp -K; }
alone_nq() { NQDIR=$PWD nq -q true && NQDIR=$PWD nq -w; }

# row: The exit status of each job is kept
status_ptools() { id=$(pt submit -- sh -c 'exit 7') && { pt wait "$id"; pt info "$id" | grep -q 'exited with status 7'; }; }
status_parallel() { par --joblog log 'exit {}' ::: 7; awk 'NR == 2 && $7 == 7 { found = 1 } END { exit !found }' log; }
status_tsp() { id=$(tsp sh -c 'exit 7') && { tsp -w "$id"; tsp -i "$id" | grep -q 'exit code 7'; }; }
status_nq() { id=$(NQDIR=$PWD nq sh -c 'exit 7') && { until grep -q 'exited with status 7' "$id"; do :; done; }; }

# row: ... and the signal that killed it
signal_ptools() { id=$(pt submit -- sh -c 'kill -SEGV $$') && { pt wait "$id" 2> /dev/null; pt info "$id" | grep -q 'signal 11'; }; }
signal_parallel() { par --joblog log 'kill -SEGV $$' ::: 7 2> /dev/null; awk 'NR == 2 && $8 == 11 { found = 1 } END { exit !found }' log; }
signal_tsp() { id=$(tsp sh -c 'kill -SEGV $$') && { tsp -w "$id"; tsp -i "$id" | grep -q 'signal 11'; }; }
signal_nq() { id=$(NQDIR=$PWD nq sh -c 'kill -SEGV $$') && { NQDIR=$PWD nq -w; grep -q 'signal 11' "$id"; }; }

# row: The output of jobs that run side by side does not mix
mixed='for i in 1 2 3 4 5 6 7 8 9 10; do printf %s "$0"; sleep 0.01; done; echo'
unmixed() { [ "$(sort "$1" | uniq -c | tr -s ' ')" = "$(printf ' 1 %s\n 1 %s' aaaaaaaaaa bbbbbbbbbb)" ]; }
mix_ptools() { pt pmap --jobs 2 -- sh -c "$mixed" {} ::: a b > out && unmixed out; }
mix_parallel() { par -j 2 -q sh -c "$mixed" {} ::: a b > out && unmixed out; }
mix_xargs() { printf 'a\nb\n' | xargs -P 2 -n 1 sh -c "$mixed" > out && unmixed out; }
mix_tsp() { tsp -S 2; a=$(tsp sh -c "$mixed" a) b=$(tsp sh -c "$mixed" b); tsp -w "$a"; tsp -w "$b"; cat "$(tsp -o "$a")" "$(tsp -o "$b")" > out; tsp -S 1; unmixed out; }

# row: ... and comes in the order of the input
order_ptools() { [ "$(pt pmap --jobs 2 -- sh -c 'sleep 0.$0; echo $0' {} ::: 3 2 1 0 | tr -d '\n')" = 3210 ]; }
order_parallel() { [ "$(par -k -j 2 'sleep 0.{}; echo {}' ::: 3 2 1 0 | tr -d '\n')" = 3210 ]; }
order_xargs() { [ "$(printf '3\n2\n1\n0\n' | xargs -P 2 -n 1 sh -c 'sleep 0.$0; echo $0' | tr -d '\n')" = 3210 ]; }

# row: Output can be read while the job runs, by others
live_ptools() { id=$(pt submit -- sh -c 'echo begun; sleep 20') && { until pt log "$id" 2> /dev/null | grep -q begun; do :; done; pt kill "$id"; }; }
live_tsp() { id=$(tsp sh -c 'echo begun; sleep 20') && { until grep -qs begun "$(tsp -o "$id")"; do :; done; kill "$(tsp -p "$id")"; }; }
live_nq() { id=$(NQDIR=$PWD nq sh -c 'echo begun; exec sleep 20') && { until grep -qs ^begun "$id"; do :; done; pkill -fx 'sleep 20'; NQDIR=$PWD nq -w; }; }

# row: Names with spaces, quotes and newlines
name=$'it\'s "a\nb" $c'
name_ptools() { touch "$name" && find . -type f -print0 | pt pmap -0 -- rm {} && [ ! -e "$name" ]; }
name_parallel() { touch "$name" && find . -type f -print0 | par -0 rm {} && [ ! -e "$name" ]; }
name_xargs() { touch "$name" && find . -type f -print0 | xargs -0 rm && [ ! -e "$name" ]; }
name_tsp() { touch "$name" && tsp -nf rm "$name" && [ ! -e "$name" ]; }
name_nq() { touch "$name" && NQDIR=$PWD/q nq -c -q rm "$name"; NQDIR=$PWD/q nq -q rm "$name" && NQDIR=$PWD/q nq -w && [ ! -e "$name" ]; }

# row: A job log, from which an interrupted run goes on
once='echo $0 >>ran; [ $0 != 2 ] || [ -e go ]'
resume_ptools() { pt pmap --joblog log --halt now,fail=1 --jobs 1 -- sh -c "$once" {} ::: 1 2 3 2> err; touch go; pt pmap --joblog log --resume -- sh -c "$once" {} ::: 1 2 3 && [ "$(tr -d '\n' < ran)" = 123 ]; }
resume_parallel() { par --joblog log --halt now,fail=1 -j 1 -q sh -c "$once" {} ::: 1 2 3 2> err; touch go; par --joblog log --resume -q sh -c "$once" {} ::: 1 2 3 && [ "$(tr -d '\n' < ran)" = 123 ]; }

# row: A job that failed is tried again
retry_ptools() { pt pmap --retries 3 -- sh -c 'echo >>tries; [ $(wc -l <tries) = 3 ]' ::: 1 && [ "$(wc -l < tries)" -eq 3 ]; }
retry_parallel() { par --retries 3 'echo >>tries; [ $(wc -l <tries) = 3 ] || [ {} = 0 ]' ::: 1 && [ "$(wc -l < tries)" -eq 3 ]; }

# row: A time limit, and all that the job has started ends with it
timeout_ptools() { s=$(unlike); pt pmap --timeout 0.3 -- sh -c "sleep $s & setsid sleep $s & wait" ::: 1 2> /dev/null; gone "$s"; }
timeout_parallel() { s=$(unlike); par --timeout 0.3 "sleep $s & setsid sleep $s & wait" ::: 1 2> /dev/null; gone "$s"; }

# row: A job after another, if that went well
after_ptools() { a=$(pt submit -- sh -c 'sleep 0.2; echo 1 >>seq') && b=$(pt submit --after "$a:success" -- sh -c 'echo 2 >>seq') && pt wait "$b" && [ "$(tr -d '\n' < seq)" = 12 ]; }
after_tsp() { tsp -S 2; a=$(tsp sh -c 'sleep 0.2; echo 1 >>seq') && b=$(tsp -D "$a" sh -c 'echo 2 >>seq') && tsp -w "$b"; tsp -S 1; [ "$(tr -d '\n' < seq)" = 12 ]; }

# row: The priority of a job that waits can be changed
priority_ptools() { pt pause > /dev/null; a=$(pt submit --worker 1 -- sh -c 'echo a >>seq') b=$(pt submit --worker 1 -- sh -c 'echo b >>seq'); pt priority "$b" 1 > /dev/null; pt resume > /dev/null; pt wait "$a" "$b" && [ "$(tr -d '\n' < seq)" = ba ]; }
priority_tsp() { x=$(tsp sleep 0.5) a=$(tsp sh -c 'echo a >>seq') b=$(tsp sh -c 'echo b >>seq'); tsp -u "$b"; tsp -w "$a"; tsp -w "$b"; [ "$(tr -d '\n' < seq)" = ba ]; }

# row: Not before a time of day
at_ptools() { begun=$(date +%s); id=$(pt submit --at "$(date -d '+2 seconds' '+%Y-%m-%d %H:%M:%S')" -- true) && pt wait "$id" && [ "$(date +%s)" -gt "$begun" ]; }

# row: What is queued survives `kill -9` of its server
durable_ptools() {
        id=$(pt submit --durable --delay 1s -- sh -c "echo ran >>'$PWD/ran'")
        kill -KILL $daemon; wait $daemon 2> /dev/null; : > "$work/ready"; start_daemon
        pt wait "$id" && grep -q ran ran
}
durable_tsp() {
        tsp sleep 0.5 > /dev/null; id=$(tsp sh -c 'echo ran >>ran')
        kill -KILL "$(pgrep -nx tsp)"; rm -f "$TS_SOCKET"; tsp > /dev/null; tsp -w "$id" 2> /dev/null; grep -qs ran ran
}

# row: A limit of memory for each job
memory_ptools() { id=$(pt submit --mem 100M -- sh -c 'x=$(head -c 400000000 /dev/zero | tr "\0" x); echo ${#x}') && ! pt wait "$id" 2> /dev/null && ! pt log "$id" | grep -q 400000000; }

# row: Results as JSON
json_ptools() { pt pmap --json -- echo ::: a | python3 -c 'import json, sys; [json.loads(line) for line in sys.stdin]'; }
json_parallel() { par --results out.json echo ::: a > /dev/null && python3 -c 'import json; [json.loads(line) for line in open("out.json")]'; }

# row: Columns of CSV
csv_ptools() { printf '"a,b",c\n' | pt pmap --csv -- echo {2} {1} | grep -qx 'c a,b'; }
csv_parallel() { printf '"a,b",c\n' | par --csv echo {2} {1} | grep -qx 'c a,b'; }

# row: Blocks of standard input, cut at lines
pipe_ptools() { [ "$(seq 100000 | pt pmap --pipe --block 100K -- wc -l | awk '{ n += $1 } END { print n }')" = 100000 ]; }
pipe_parallel() { [ "$(seq 100000 | par --pipe --block 100K wc -l | awk '{ n += $1 } END { print n }')" = 100000 ]; }

# row: Jobs on other machines
hosts_parallel() { printf '#!/bin/sh\nshift\n[ "$1" != -- ] || shift\nexec sh -c "$*"\n' > ssh && chmod +x ssh && par --ssh "$PWD/ssh" -S 1/elsewhere echo ::: a | grep -qx a; }

# row: Functions of shared objects, without a process for each call
function_ptools() { [ "$(pt call math.square 12)" = 144 ]; }

# row: Typed arrays of memory that jobs share and write
array_ptools() { pt shm create --keep numbers float64 3 > /dev/null && pt shm ls | grep -q numbers && printf '1\n2\n3\n' > in && pt shm put --csv numbers in > /dev/null && [ "$(pt shm sum numbers)" = 6 ] && pt shm rm numbers > /dev/null; }

# -- the table ----------------------------------------------------------------------------------------------------

cell() { # ROW TOOL
        local program=$2 status
        [ "$2" != ptools ] || program=$command
        if ! type -t "$1_$2" > /dev/null; then
                echo -
        elif ! command -v "$program" > /dev/null; then
                echo '?'
        else
                mkdir -p "$work/$1_$2" && cd "$work/$1_$2" || exit 99
                if [ "$1_$2" = durable_ptools ]; then # it is about the daemon of this very shell
                        "$1_$2" > "$work/log.cell" 2>&1
                else
                        (trap - EXIT; eval "$(declare -f "$1_$2")"; "$1_$2") > "$work/log.cell" 2>&1 &
                        cell=$!
                        (trap - EXIT; sleep 30; kill $cell) > /dev/null 2>&1 &
                        limit=$!
                        wait $cell
                fi
                status=$?
                [ "$1_$2" = durable_ptools ] || { kill $limit; wait $limit; } 2> /dev/null
                [ $status -eq 0 ] && echo yes || echo no
                [ -z "${PEERS_LOG:-}" ] || { echo "== $1_$2: $status"; cat "$work/log.cell"; } >> "$PEERS_LOG"
                cd "$work" || exit 99
        fi
}

wanted=("${@:-${tools[@]}}")
[ $# -gt 0 ] || wanted=("${tools[@]}")
start_daemon
printf '| |'
printf ' %s |' "${wanted[@]}"
printf '\n|---|'
printf '%.0s---|' "${wanted[@]}"
echo
while IFS= read -r text; do
        read -r function || break
        printf '| %s |' "$text"
        for tool in "${wanted[@]}"; do
                cell "${function%%_*}" "$tool" > "$work/cell"
                printf ' %s |' "$(cat "$work/cell")"
        done
        echo
done < <(awk '/^# row: / { print substr($0, 8); wait = 1; next } wait && /^[a-z]+_[a-z]+\(\)/ { sub(/\(.*/, ""); print; wait = 0 }' "$(cd "$(dirname "$0")" && pwd)/$(basename "$0")")
