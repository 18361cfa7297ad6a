#!/bin/sh
# SPDX-License-Identifier: MIT
#
# exports.sh LIBRARY INCLUDE-DIR -- libptools exports what the public headers declare, no more and no less.
# (module.h is the other way round: its functions are the worker's.) TAP.
library=$1
include=$2
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

nm -D --defined-only "$library" | awk '$2 == "T" { sub(/@.*/, "", $3); print $3 }' | sort >"$work/exported"
nm -D --defined-only "$library" | awk '$2 != "T" && $2 != "A" { print $3 }' >"$work/other"
for header in error value array pfork queue pmap ptools; do
    # without comments; a name before "(" is a function, unless it is a type's: (*name)(
    sed -e 's://.*::' "$include/ptools/$header.h" | tr '\n' ' ' | sed -e 's:/\*[^*]*\**\([^/*][^*]*\*\**\)*/: :g' |
        grep -o '[a-z_0-9]*ptools_[a-z_0-9]* *([^*]' | sed 's: *(.*::'
done | sort -u >"$work/declared"

echo "1..3"
if [ -s "$work/declared" ] && cmp -s "$work/exported" "$work/declared"; then
    echo "ok 1 - $(wc -l <"$work/declared") functions are declared and exported"
else
    diff "$work/declared" "$work/exported" | sed -n 's/^</# declared only:/p; s/^>/# exported only:/p'
    echo "not ok 1 - declared and exported functions differ"
fi
if [ -s "$work/other" ]; then
    sed 's/^/# exported, and no function: /' "$work/other"
    echo "not ok 2 - nothing else is exported"
else
    echo "ok 2 - nothing else is exported"
fi
soname=$(readelf -d "$library" | sed -n 's/.*SONAME.*\[\(.*\)\]/\1/p')
if [ "$soname" = libptools.so.0 ]; then
    echo "ok 3 - the soname is $soname"
else
    echo "not ok 3 - the soname is $soname"
fi
