#!/bin/sh
# [PLANTED='1[0-5]*'] planted.sh SOURCE SIM_LIB LIBRARY... -- each of planted/*.patch (or of these) is a mistake somebody could make in the core.
# It is put into a copy of the one file that it is about, and the simulation has to find it within WORLDS worlds. A
# patch that does not fit any more is a failure: it is to be made anew. One that says 'sim: ...' at its head needs these
# options to be found.
#
# Only that file is compiled: its object stands before the library, from which it is then not taken.
set -u
WORLDS=10 STEPS=20000

source=$1 sim=$2
shift 2
libraries=$*
here=$source/tests/sim
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
others=$(pkg-config --libs sqlite3 inih check)
others="$others $(pkg-config --libs msgpack 2> /dev/null || pkg-config --libs msgpack-c)"

# finds PATCH: 0, and says what was broken; else why not.
finds() {
        file=$(sed -n 's|^+++ b/||p' "$1")
        mkdir -p "$dir/tree/$(dirname "$file")"
        cp "$source/$file" "$dir/tree/$file"
        if ! patch -s -f -p1 -d "$dir/tree" < "$1" > "$dir/log" 2>&1; then
                echo "# it does not fit any more"
                return 1
        fi
        if ! ${CC:-cc} -std=gnu17 -O2 -D_GNU_SOURCE -I"$source" -I"$source/client/include" -c "$dir/tree/$file" \
                -o "$dir/planted.o" > "$dir/log" 2>&1 ||
                ! ${CC:-cc} -o "$dir/sim" -Wl,--whole-archive "$sim" -Wl,--no-whole-archive "$dir/planted.o" \
                        -Wl,--start-group $libraries -Wl,--end-group $others -lm > "$dir/log" 2>&1; then
                echo "# it does not compile"
                return 1
        fi
        # shellcheck disable=SC2046
        timeout 120 "$dir/sim" --seeds $WORLDS --steps $STEPS $(sed -n 's/^sim: //p' "$1") > "$dir/log" 2>&1
        if ! grep '^BROKEN' "$dir/log" > "$dir/broken"; then
                echo "# it was not found: $(tail -n 1 "$dir/log")"
                return 1
        fi
        sed 's/^/# /' "$dir/broken"
}

# shellcheck disable=SC2086
set -- "$here"/planted/${PLANTED:-*}.patch
echo "1..$#"
n=0
for patch; do
        n=$((n + 1))
        name=$(basename "$patch" .patch)
        if finds "$patch" > "$dir/said"; then
                echo "ok $n - $name"
        else
                sed 's/^/# /' "$dir/log" | tail -n 5
                echo "not ok $n - $name"
        fi
        cat "$dir/said"
done
