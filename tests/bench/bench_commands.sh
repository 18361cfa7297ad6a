#!/bin/sh
# SPDX-License-Identifier: MIT
#
# bench_commands.sh [PARALLEL] -- what a command costs: 1,000 times `true`, two at a time, by `ptools pmap` with captured
# output, exit statuses and a job log, beside `xargs -P2`, which has none of them, and GNU parallel with its job log, if
# that is installed. Rounds of each one after the other; a figure is the median, with the least and the largest in
# brackets. Prints a line; a missed target is no failure.
set -eu

command=$PTOOLS_TEST_COMMAND
parallel=${1:-$(command -v parallel || true)}
jobs=1000
rounds=9
at_most=3.5
work=$(mktemp -d /tmp/ptools-bench-XXXXXX)
daemon=
finish() {
    [ -z "$daemon" ] || kill "$daemon" 2>/dev/null || true
    rm -rf "$work"
}
trap finish EXIT
unset PTOOLS_ADDRESS XDG_RUNTIME_DIR
export PTOOLS_DIR="$work/d" HOME="$work"
mkdir -m 700 "$PTOOLS_DIR" "$work/.parallel"
: >"$work/.parallel/will-cite"
mkfifo "$work/ready"
"$PTOOLS_DAEMON" -o daemon.journal=no --workers 2 --dir "$PTOOLS_DIR" --ready-fd 3 3>"$work/ready" >"$work/log" 2>&1 &
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
