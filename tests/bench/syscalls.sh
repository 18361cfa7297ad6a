#!/bin/sh
# SPDX-License-Identifier: MIT
#
# syscalls.sh BENCH_CALL -- system calls a call of client, daemon and worker together, of ptools and of the
# floor: strace counts those of a short and of a long phase; the difference divided by the difference in
# calls has neither start nor end in it. Prints one line; a missed target is no failure.
set -eu

bench_call=$1
at_most=16

if ! command -v strace >/dev/null; then
    echo 'system calls a call, unix: NOT MEASURED (apt-get install strace)'
    exit 77
fi
table=$(mktemp)
trap 'rm -f "$table"' EXIT

# count SUBJECT MS -> "CALLS SYSTEM-CALLS"
count() {
    calls=$(strace -f -c -o "$table" "$bench_call" --one "$2" "$1")
    awk -v calls="$calls" '$NF == "total" { print calls, $4 }' "$table"
}

# per_call SUBJECT -> the number, as 12.34
per_call() {
    short=$(count "$1" 200)
    long=$(count "$1" 1500)
    echo "$short $long" | awk '{ printf "%.2f", ($4 - $2) / ($3 - $1) }'
}

floor=$(per_call floor)
ptools=$(per_call ptools)
awk -v ptools="$ptools" -v floor="$floor" -v at_most="$at_most" 'BEGIN {
    printf "system calls a call, unix: ptools %.1f (target <= %d), floor %.1f, ratio %.2f  %s\n",
           ptools, at_most, floor, ptools / floor, ptools <= at_most ? "ok" : "SHORT"
}'
