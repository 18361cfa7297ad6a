#!/bin/sh
# The example programs do what their heads say, with the private daemon that they start.
# usage: examples.sh HELLO MANY EVENTLOOP  (PTOOLS_DAEMON and PTOOLS_TEST_MODULES as Meson sets them)
set -u
hello=$1 many=$2 eventloop=$3
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
echo "1..$n"
