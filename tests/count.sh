#!/bin/bash
# count.sh ROOT -- holds the sums of packaging/count.py, which CI believes, against logs with known ones. TAP.
set -u
log=$(mktemp)
trap 'rm -f "$log"' EXIT
n=0

is() { # WHAT EXPECTED; on standard input the log
        local got
        cat > "$log"
        got=$("$root/packaging/count.py" "$log" | paste -s -d'|')
        n=$((n + 1))
        if [ "$got" = "$2" ]; then
                echo "ok $n - $1"
        else
                echo "not ok $n - $1"
                echo "# got $got, expected $2"
        fi
}

root=$1
is 'each test of a program counts' '2 1 1|a: not ok 2 - y # not a directive' << 'END'
{"name": "a", "result": "FAIL", "stdout": "1..4\nok 1 - x: Passed\nnot ok 2 - y # not a directive\nok 3\nok 4 - z # SKIP no root\n"}
END
is 'a program that ends badly after good tests is a failure' '2 1 0|a: ERROR after 2 good tests' << 'END'
{"name": "a", "result": "ERROR", "stdout": "1..3\nok 1\nok 2\n"}
END
is 'so is one that was too slow' '1 1 0|a: TIMEOUT after 1 good tests' << 'END'
{"name": "a", "result": "TIMEOUT", "stdout": "1..9\nok 1\n"}
END
is 'without TAP a program is a test' '1 2 1|b: FAIL|d: TIMEOUT' << 'END'
{"name": "a", "result": "OK", "stdout": "ok, whatever\n"}
{"name": "b", "result": "FAIL"}
{"name": "c", "result": "SKIP", "stdout": ""}
{"name": "d", "result": "TIMEOUT", "stdout": "ok 1\n"}
END
is 'a program whose tests are all skipped' '0 0 2' << 'END'
{"name": "a", "result": "SKIP", "stdout": "1..2\nok 1 # SKIP\nok 2 # skip\n"}
END
is 'the plan may come last' '1 0 0' << 'END'
{"name": "a", "result": "OK", "stdout": "# hello\nok 1 - x\n1..1\n"}
END
: | "$root/packaging/count.py" /nowhere 2> /dev/null && verdict='not ok' || verdict=ok
echo "$verdict $((n + 1)) - a log that is not there is no success"
echo "1..$((n + 1))"
