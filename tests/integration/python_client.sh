#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The protocol document is enough to write a client: client/examples/client.py ($1), which uses nothing of ptools, and
# numpy_array.py ($2), which maps an array in place, against a real daemon. The environment names what to test: PTOOLS_TEST_DAEMON, _WORKER and _MODULES.
set -u

if ! /usr/bin/python3 -c 'import zmq, msgpack, numpy' 2>/dev/null; then
    echo '1..0 # SKIP python3-zmq, python3-msgpack and python3-numpy are not installed'
    exit 0
fi

client=${1:?the path of client.py}
arrays=${2:?the path of numpy_array.py}
export PYTHONDONTWRITEBYTECODE=1 # beside client.py
: "${PTOOLS_TEST_DAEMON:?}" "${PTOOLS_TEST_WORKER:?}" "${PTOOLS_TEST_MODULES:?}"

tmp=$(mktemp -d) || exit 1
dir=$tmp/dir
daemon=
cleanup() {
    [ -z "$daemon" ] || kill -KILL "$daemon" 2>/dev/null
    rm -rf "$tmp"
}
trap cleanup EXIT
trap 'exit 1' HUP INT PIPE TERM

number=0
failures=0

# check DESCRIPTION COMMAND...: one test, which passes if the command does; if not, what was said last is shown
check() {
    description=$1
    shift
    number=$((number + 1))
    if "$@"; then
        echo "ok $number - $description"
    else
        echo "not ok $number - $description"
        failures=$((failures + 1))
        echo "# exit status ${status:-none}"
        sed 's/^/# /' "$tmp/out" "$tmp/err" "$tmp/log"
    fi
}

# run ARGUMENT...: the client, into $status, $tmp/out and $tmp/err
run() {
    timeout 60 /usr/bin/python3 "$client" --dir "$dir" "$@" >"$tmp/out" 2>"$tmp/err"
    status=$?
}

# value TEXT: the client printed just that
value() {
    [ "$status" -eq 0 ] && [ "$(cat "$tmp/out")" = "$1" ] && [ ! -s "$tmp/err" ]
}

# failed NAME: the client failed with the error of that name
failed() {
    [ "$status" -eq 1 ] && [ ! -s "$tmp/out" ] && grep -q "^client.py: $1: ." "$tmp/err"
}

ready() {
    [ -S "$dir/ptoolsd.sock" ]
}

usage() {
    [ "$status" -eq 2 ] && [ ! -s "$tmp/out" ] && grep -q '^usage: ' "$tmp/err"
}

is_short() {
    [ "$(wc -l <"$client")" -lt 100 ]
}

ended_well() {
    [ "$ended" -eq 0 ]
}

left_nothing() {
    [ -d "$dir" ] && [ -z "$(ls -A "$dir")" ]
}

echo 1..13
mkdir -m 700 "$dir"
mkfifo "$tmp/ready"
: >"$tmp/out"
: >"$tmp/err"

"$PTOOLS_TEST_DAEMON" --config /dev/null -o daemon.journal=no --dir "$dir" --workers 3 -o workers.memory_max=0 \
    -o "daemon.worker_program=$PTOOLS_TEST_WORKER" \
    --module-path "$PTOOLS_TEST_MODULES" --ready-fd 3 3>"$tmp/ready" 2>"$tmp/log" &
daemon=$!
read -r _ <"$tmp/ready" # until the daemon serves, or has ended
check 'the daemon is ready' ready

run math.square 12
check 'a value' value 144

run t.echo '[1, {"a": null}]' '"b"' true 1.5
check 'values of every kind' value '[[1, {"a": null}], "b", true, 1.5]'

run math.no_such_function 1
check 'an unknown function is NO_FUNCTION' failed NO_FUNCTION

run t.segv
check 'a crash is WORKER_DIED' failed WORKER_DIED

run --deadline-ms 100 t.sleep_ms 30000
check 'a deadline that passes is DEADLINE' failed DEADLINE

run --demo
check 'the demo: ten squares in order, then round robin' value '1
4
9
16
25
36
49
64
81
100
worker 1
worker 2
worker 3
worker 1'

timeout 60 /usr/bin/python3 "$arrays" --dir "$dir" >"$tmp/out" 2>"$tmp/err"
status=$?
check 'an array of numpy, in place' value 'numpy: 62500.0 worker: 62500.0
numpy: 31.25 worker: 31.25'

run math.square '{not JSON'
check 'an argument that is not JSON is wrong usage' usage

check 'the client has less than 100 lines' is_short

kill -TERM "$daemon"
wait "$daemon"
ended=$?
daemon=
check 'the daemon exits 0' ended_well
check 'the daemon leaves nothing in its directory' left_nothing

run math.square 12
check 'without a daemon it is NO_DAEMON' failed NO_DAEMON

[ "$failures" -eq 0 ]
