#!/bin/sh
# The example programs do what their heads say, with the private daemon that they start.
# usage: examples.sh HELLO MANY EVENTLOOP STASKS HISTOGRAM HEAT MONTECARLO QUEUE  (PTOOLS_DAEMON and PTOOLS_TEST_MODULES as
# Meson sets them)
set -u
hello=$1 many=$2 eventloop=$3 stasks=$4 histogram=$5 heat=$6 montecarlo=$7 queue=$8 squares=$9 sumsquares=${10}
work=$(mktemp -d /tmp/ptools-test-XXXXXX) || exit 99
trap 'rm -rf "$work"' EXIT
# What is private lies in the runtime directory; nobody serves it, so each program starts a daemon of its own.
export XDG_RUNTIME_DIR="$work" PTOOLS_MODULE_PATH="$PTOOLS_TEST_MODULES"
unset PTOOLS_DIR PTOOLS_ADDRESS
n=0

# is EXPECTED ACTUAL NAME
is() {
    n=$((n + 1))
    if [ "$2" = "$1" ]; then
        echo "ok $n - $3"
    else
        echo "not ok $n - $3"
        echo "# instead of '$1': '$2'"
    fi
}

is 144 "$("$hello" 12 2>&1)" "hello squares its argument"
is 78498 "$("$many" 1000000 2>&1)" "many counts the primes below a million"
is "1 4 9" "$(printf '1\n2\n3\n' | "$eventloop" 2>&1 | sort -n | xargs)" "eventloop squares what it reads"
"$hello" word >/dev/null 2>&1
[ $? -ne 0 ]
is 0 $? "hello refuses what is no number"
is "item 1000: FAILED: 9223372036854775807 squared does not fit into 64 bits
the squares of 1 to 1000 add up to 333833500" "$("$squares" 1000 2>&1)" "squares adds squares, and tells of the one that is none"
is "the squares of 1 to 1000 add up to 333833500" "$("$sumsquares" 1000 2>&1)" "sumsquares has them added"
is "sumsquares: there are no items to be reduced, and no initial value" "$("$sumsquares" 0 2>&1)" "and says that there are none"
is "4 server tasks wrote their ids: 65536 of 65536 elements are as they shall be" "$("$stasks" 2>&1)" \
    "stasks: every element has the id of its server task"
is 20 "$("$queue" 2>&1 | grep -c '^task [0-9]*: saw I ere I saw elba [0-9]*$')" "queue runs twenty tasks"
is 100000 "$("$histogram" 100000 2>&1 | awk '/^[01]\.[0-9]+ /{ sum += $2 } END { print sum }')" \
    "histogram counts every number once"
for tasks in 1 3; do
    "$heat" --size 40 --steps 60 --tasks "$tasks" "$work/$tasks.png" >"$work/out" 2>&1
    is "0 40 x 40" "$? $(grep -o '40 x 40' "$work/out")" "heat with $tasks server tasks"
done
is "89504e470d0a1a0a 00000028 00000028 49454e44" "$(od -An -v -tx1 "$work/1.png" | tr -d ' \n' |
    sed 's/^\(.\{16\}\).\{16\}\(.\{8\}\)\(.\{8\}\).*\(.\{8\}\).\{8\}$/\1 \2 \3 \4/')" "heat writes a PNG file of that size"
cmp -s "$work/1.png" "$work/3.png"
is 0 $? "which does not depend on the number of tasks"
"$heat" --size 40 --steps 61 "$work/more.png" >/dev/null 2>&1
cmp -s "$work/1.png" "$work/more.png"
is 1 $? "but on the steps"
"$montecarlo" 3 100000 7 >"$work/out" 2>&1
is "0 21 3 children with 100000" "$? $(wc -l <"$work/out") $(grep -o '3 children with 100000' "$work/out")" \
    "montecarlo draws twenty columns"
is 1 "$(awk 'END { print ($1 > 3.12 && $1 < 3.16) }' "$work/out")" "and tells what pi is about"
"$montecarlo" 3 100000 7 2>&1 | cmp -s - "$work/out"
is 0 $? "the same in each run"
"$montecarlo" 3 100000 8 2>&1 | cmp -s - "$work/out"
is 1 $? "but not with another seed"
"$montecarlo" 0 >/dev/null 2>&1
is 2 $? "montecarlo refuses no children"
echo "1..$n"
