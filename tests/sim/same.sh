#!/bin/sh
# same.sh SIM -- the same seed is the same run, byte for byte, in another process too.
set -u
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
n=0
echo "1..4"
for seed in 3 20 33 '33 --sqlite'; do
        n=$((n + 1))
        "$1" --seed $seed --steps 5000 --trace > "$dir/first" 2>&1 || echo "# it failed"
        # another environment, so that what lies on the stack lies elsewhere
        SIM_PADDING=$(printf '%0999d' 0) "$1" --seed $seed --steps 5000 --trace > "$dir/second" 2>&1
        if [ "$(wc -l < "$dir/first")" -gt 5000 ] && cmp "$dir/first" "$dir/second"; then
                echo "ok $n - seed $seed"
        else
                echo "not ok $n - seed $seed"
        fi
done
