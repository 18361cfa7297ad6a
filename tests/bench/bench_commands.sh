#!/bin/sh
# SPDX-License-Identifier: MIT
#
# bench_commands.sh [PARALLEL] -- what a command costs: 1,000 times `true`, two at a time, by `ptools pmap` with captured
# output, exit statuses and a job log, beside `xargs -P2`, which has none of them, and GNU parallel with its job log, if
# that is installed. And the small verbs of a script: `submit` in a loop of the shell, beside task-spooler's and nq's, many
# submissions from standard input, `status` and `run`, with the start of a program that does nothing as the floor. Rounds
# of each one after the other; a figure is the median, with the least and the largest in brackets. A missed target is no
# failure.
set -eu

command=$PTOOLS_TEST_COMMAND
parallel=${1:-$(command -v parallel || true)}
jobs=1000
rounds=9
at_most=3.5
work=$(mktemp -d /tmp/ptools-bench-XXXXXX)
daemon=
finish() {
    TS_SOCKET="$work/tsp.sock" tsp -K 2>/dev/null || true
    [ -z "$daemon" ] || kill "$daemon" 2>/dev/null || true
    rm -rf "$work"
}
trap finish EXIT
unset PTOOLS_ADDRESS XDG_RUNTIME_DIR
export PTOOLS_DIR="$work/d" HOME="$work"
mkdir -m 700 "$PTOOLS_DIR" "$work/.parallel"
: >"$work/.parallel/will-cite"
mkfifo "$work/ready"
"$PTOOLS_DAEMON" -o daemon.journal=yes --workers 2 --dir "$PTOOLS_DIR" --ready-fd 3 3>"$work/ready" >"$work/log" 2>&1 &
daemon=$!
read -r line <"$work/ready"
[ "$line" = READY ]
seq $jobs >"$work/items"

by_ptools() { "$command" pmap --joblog "$work/ours" -- true <"$work/items"; }
by_ptools_window() { "$command" pmap --halt soon,fail=1 --joblog "$work/ours" -- true <"$work/items"; }
by_xargs() { xargs -P2 -n1 true <"$work/items"; }
by_parallel() { "$parallel" -j2 --joblog "$work/theirs" true <"$work/items"; }

# measure NAME: a line more of milliseconds a job
measure() {
    begin=$(date +%s%N)
    "by_$1" >/dev/null
    end=$(date +%s%N)
    awk -v ns=$((end - begin)) -v n=$jobs 'BEGIN { printf "%.3f\n", ns / n / 1e6 }' >>"$work/$1"
}

# figure NAME -> MEDIAN LEAST LARGEST
figure() { sort -n "$work/$1" | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)], v[1], v[NR] }'; }

by_ptools >/dev/null # what is done once is not measured
for _ in $(seq $rounds); do
    measure ptools
    measure xargs
    measure ptools_window
done
[ "$(wc -l <"$work/ours")" -eq $((jobs + 1)) ]
peer='GNU parallel NOT MEASURED (apt-get install parallel)'
if [ -n "$parallel" ]; then
    for _ in 1 2 3; do measure parallel; done
    peer=$(figure parallel | awk '{ printf "GNU parallel %.2f [%.2f..%.2f]", $1, $2, $3 }')
fi
echo "$(figure ptools) $(figure xargs) $(figure ptools_window)" | awk -v peer="$peer" -v at_most=$at_most '{
    printf "commands, ms a job: ptools %.2f [%.2f..%.2f] (target <= %.1f, and below xargs), no more under way than can run %.2f " \
           "[%.2f..%.2f], xargs -P2 %.2f [%.2f..%.2f], %s  %s\n",
           $1, $2, $3, at_most, $7, $8, $9, $4, $5, $6, peer, $1 <= at_most && $1 < $4 ? "ok" : "SHORT" }'

# -- the small verbs --------------------------------------------------------------------------------------------

times=100
many=20000
export TS_SOCKET="$work/tsp.sock" NQDIR="$work/nq.dir" TMPDIR="$work"
mkdir "$NQDIR"
seq $many | sed 's/^/x=/' >"$work/arguments"
"$command" pause >/dev/null # what is submitted is not what is measured

loop() { # COMMAND...: so many times
    i=0
    while [ $i -lt $times ]; do
        "$@" >/dev/null
        i=$((i + 1))
    done
}
by_floor() { loop /bin/true; }
by_submit() { loop "$command" submit -- true; }
by_volatile() { loop "$command" submit --volatile -- true; }
by_status() { loop "$command" status; }
by_tsp() { loop tsp true; }
by_nq() { loop nq -q true; }
by_run() { loop "$command" run true; }
by_lines() { "$command" submit --lines -- echo <"$work/arguments"; }

# of N NAME...: a line more for each, of milliseconds
of() {
    jobs=$1
    shift
    for name; do measure "$name"; done
}
small='floor submit volatile status'
peers=
for peer in tsp nq; do
    command -v $peer >/dev/null && peers="$peers $peer" || echo "commands: $peer NOT MEASURED (apt-get install task-spooler nq)"
done
for _ in $(seq $rounds); do
    # shellcheck disable=SC2086 # they are words
    of $times $small $peers
    [ -z "$peers" ] || { tsp -C 2>/dev/null; nq -w 2>/dev/null; rm -f "$NQDIR"/,*; } || true
done
"$command" resume >/dev/null
until [ "$("$command" ls --state waiting --columns id | wc -l)" -le 1 ]; do :; done
"$command" purge >/dev/null
for _ in $(seq $rounds); do of $times run; done
"$command" pause >/dev/null
for _ in 1 2 3; do
    of $many lines
    "$command" cancel --state waiting >/dev/null
    "$command" purge >/dev/null
done

# line NAME WHAT TARGET: in milliseconds; TARGET 0: none
line() {
    figure "$1" | awk -v what="$2" -v at_most="$3" -v floor="$(figure floor | cut -d ' ' -f 1)" '{
        printf "commands, ms: %s %.2f [%.2f..%.2f]", what, $1, $2, $3
        if (at_most > 0)
            printf " (target <= %g, a program that does nothing %.2f)  %s", at_most, floor, $1 <= at_most ? "ok" : "SHORT"
        printf "\n" }'
}
line submit 'ptools submit' 4
line volatile '... --volatile' 4
for peer in $peers; do line "$peer" "... $peer" 0; done
line status 'ptools status' 3
line run 'ptools run true' 0
figure lines | awk '{ printf "commands a second, submitted from standard input: %.0f [%.0f..%.0f] (target >= 20000)  %s\n",
                      1000 / $1, 1000 / $3, 1000 / $2, (1000 / $1 >= 20000 ? "ok" : "SHORT") }'
