#!/bin/bash
# table.sh README [TOOL...] -- holds columns of the table of neighbours in the README against what rows.sh finds: that of
# ptools, or those of the tools named. TAP.
set -u
readme=$1
shift
[ $# -gt 0 ] || set -- ptools
n=0

table() { sed -n '/^| | ptools |/,/^$/p' "$readme" | grep '^| '; }
column() { # TOOL: its number among the cells of a line
        table | head -n 1 | tr '|' '\n' | grep -nx " $1 " | cut -d : -f 1
}
check() { # STATUS TEXT
        n=$((n + 1))
        [ "$1" -eq 0 ] || printf 'not '
        echo "ok $n - $2"
}

for tool; do
        at=$(column "$tool")
        found=$("$(dirname "$0")/rows.sh" "$tool" | grep -v '^|---' | cut -d '|' -f 2,3)
        said=$(table | cut -d '|' -f "2,$at")
        while IFS='|' read -r text cell; do
                ! grep -q "^$text|$cell\$" <(tr -d '`' <<< "$said")
                check $((1 - $?)) "$tool:$text:$cell"
        done < <(tr -d '`' <<< "$found")
        check $(($(wc -l <<< "$found") != $(wc -l <<< "$said"))) "$tool: these rows and no other"
done
echo "1..$n"
