#!/bin/sh
# SPDX-License-Identifier: MIT
#
# bench_commands.sh FLOOR_SPAWN -- what a command costs from the shell: a thousand jobs, a submit in a loop, many from
# standard input, a look, a run; each beside a floor and the peers that are installed. In each round all subjects run one
# after the other, and the ratios are formed in it; a figure is the median of the rounds, with the least and the largest
# in brackets. A line a figure; a missed target is no failure. ROUNDS=20 asks for more rounds.
set -eu

floor_spawn=$1
command=$PTOOLS_TEST_COMMAND
rounds=${ROUNDS:-5}
jobs=1000 loop=100 lines=20000 few=100 # of GNU parallel, which takes twenty times as long
work=$(mktemp -d /tmp/ptools-bench-XXXXXX)
daemon=
export PTOOLS_DIR="$work/d" HOME="$work" TS_SOCKET="$work/tsp" TMPDIR="$work" NQDIR="$work/nq"
finish() {
    [ -z "$daemon" ] || kill "$daemon" 2>/dev/null || true
    ! has tsp || tsp -K || true
    rm -rf "$work"
}
has() { command -v "$1" >/dev/null; }
trap finish EXIT
unset PTOOLS_ADDRESS XDG_RUNTIME_DIR
mkdir -m 700 "$PTOOLS_DIR" "$work/.parallel" "$NQDIR"
: >"$work/.parallel/will-cite"
mkfifo "$work/ready"
"$PTOOLS_DAEMON" --workers 2 --dir "$PTOOLS_DIR" --ready-fd 3 3>"$work/ready" >"$work/log" 2>&1 &
daemon=$!
read -r line <"$work/ready"
[ "$line" = READY ]
! has tsp || tsp -S 2
seq $jobs >"$work/items"
seq $few >"$work/few"

repeat() { for _ in $(seq $loop); do "$@"; done; }

jobs_ptools() { "$command" pmap --joblog "$work/ours" -- true <"$work/items"; }
jobs_window() { "$command" pmap --halt soon,fail=1 --joblog "$work/ours" -- true <"$work/items"; }
jobs_floor() { "$floor_spawn" $jobs; }
jobs_xargs() { xargs -P2 -n1 true <"$work/items"; }
jobs_moreutils() { xargs parallel.moreutils -j2 true -- <"$work/items"; }
jobs_parallel() { parallel -j2 --joblog "$work/theirs" true <"$work/few"; }
# The floor of what a command of ours costs: another one that starts and ends.
floor() { repeat /usr/bin/true; }
submit_ptools() { repeat "$command" submit -- true; }
submit_tsp() { repeat tsp true; }
submit_nq() { repeat nq -q true; }
lines_ptools() { "$command" submit --hold --tag bench --lines -- true <"$work/lines"; }
status_ptools() { repeat "$command" status; }
status_tsp() { repeat tsp -l; }
run_ptools() { repeat "$command" run -- true; }
run_tsp() { repeat tsp -nf true; }

# What was submitted shall not run beside what is measured next.
rest() {
    "$command" wait --state queued,running
    ! has tsp || tsp -C
    ! has nq || nq -w
}

# measure SUBJECT N: a line more of milliseconds each, in a file of that name; nothing if it is not installed
measure() {
    case $1 in
    *_tsp) has tsp || return 0 ;;
    *_nq) has nq || return 0 ;;
    *_parallel) has parallel || return 0 ;;
    *_moreutils) has parallel.moreutils || return 0 ;;
    esac
    begin=$(date +%s%N)
    "$1" >/dev/null
    end=$(date +%s%N)
    awk -v ns=$((end - begin)) -v n="$2" 'BEGIN { printf "%.5f\n", ns / n / 1e6 }' >>"$work/$1"
}

# report TITLE TARGET OURS FLOOR (SUBJECT NAME PACKAGE)...: a line. FLOOR may be "-". TARGET: the most milliseconds, also
# "N below" (every peer), or the least "N a second", and then all figures are such.
report() {
    title=$1 target=$2 ours=$3 floor=$4
    shift 4
    set -- "$floor" floor - "$@"
    while [ $# -ge 3 ]; do
        [ "$1" = - ] || printf '%s\t%s\t%s\t%s\n' "$2" "$3" "$work/$1" "$work/$ours"
        shift 3
    done | awk -F '\t' -v title="$title" -v target="$target" -v ours="$work/$ours" '
        function summary(v, n,    i, j, x) {
            for (i = 2; i <= n; i++)
                for (j = i; j > 1 && v[j] < v[j - 1]; j--) { x = v[j]; v[j] = v[j - 1]; v[j - 1] = x }
            return sprintf("%.2f [%.2f-%.2f]", middle = v[int((n + 1) / 2)], v[1], v[n])
        }
        function take(path, v,    n) {
            n = 0
            while ((getline x < path) > 0) v[++n] = a_second ? 1000 / x : x
            close(path)
            return n
        }
        BEGIN {
            a_second = sub(/ a second$/, "", target)
            below = sub(/ below$/, "", target)
            n = take(ours, mine)
            line = summary(mine, n)
            median = middle
            ok = a_second ? median >= target + 0 : median <= target + 0
        }
        {
            n = take(ours, mine)
            if (take($3, other) != n) { rest = rest sprintf(", %s NOT INSTALLED (%s)", $1, $2); next }
            for (i = 1; i <= n; i++) ratios[i] = mine[i] / other[i]
            rest = rest ", " $1 " " summary(other, n)
            if (below && $1 != "floor" && middle <= median) ok = 0
            rest = rest ", ratio " summary(ratios, n)
        }
        END {
            printf "%s: ptools %s (target %s %s%s)%s  %s\n", title, line, a_second ? ">=" : "<=", target,
                   below ? ", below every peer" : "", rest, ok ? "ok" : "SHORT"
        }'
}

jobs_ptools >/dev/null # what is done once is not measured
seq $lines >"$work/lines"
for _ in $(seq "$rounds"); do
    for subject in ptools floor xargs moreutils window; do measure jobs_$subject $jobs; done
    measure jobs_parallel $few
    measure floor $loop
    for subject in ptools tsp nq; do
        measure submit_$subject $loop
        rest
    done
    for subject in status_ptools status_tsp run_ptools run_tsp; do measure $subject $loop; done
    measure lines_ptools $lines
    "$command" cancel --tag bench >/dev/null
    "$command" forget --tag bench >/dev/null
done
[ "$(wc -l <"$work/ours")" -eq $((jobs + 1)) ]

set -- jobs_xargs 'xargs -P2' findutils jobs_moreutils 'moreutils parallel' moreutils jobs_parallel 'GNU parallel' parallel
report 'commands, ms a job' '3.5 below' jobs_ptools jobs_floor "$@"
report 'commands, no more under way than can run, ms a job' '3.5 below' jobs_window jobs_floor "$@"
report 'submit in a loop, ms each (the floor: true)' 4 submit_ptools floor \
    submit_tsp task-spooler task-spooler submit_nq nq nq
report 'submit --lines, a second (peers: in a loop)' '20000 a second' lines_ptools - \
    submit_tsp task-spooler task-spooler submit_nq nq nq
report 'status, ms (the floor: true)' 3 status_ptools floor status_tsp 'tsp -l' task-spooler
report 'run true, ms (the floor: true)' 4 run_ptools floor run_tsp 'tsp -nf' task-spooler
