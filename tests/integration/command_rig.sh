# shellcheck shell=sh
# What the tests of the command share, to be sourced: a directory ($work) that goes at the end, TAP, the command with its
# output in $work/out and $work/err, and a daemon with two workers at $PTOOLS_DIR.
# (PTOOLS_TEST_COMMAND, _MODULES and PTOOLS_DAEMON as Meson sets them)
set -u
command=$PTOOLS_TEST_COMMAND
work=$(mktemp -d /tmp/ptools-test-XXXXXX) || exit 99
export PTOOLS_DIR="$work/d" PTOOLS_MODULE_PATH="$PTOOLS_TEST_MODULES"
unset PTOOLS_ADDRESS XDG_RUNTIME_DIR
daemon=
as= # what runs the command
n=0

at_end() { :; } # for a test that has more to end
finish() {
    at_end
    [ -z "$daemon" ] || kill "$daemon" 2>/dev/null
    rm -rf "$work"
}
trap finish EXIT

# check NAME: the last command's status decides
check() {
    status=$?
    n=$((n + 1))
    if [ $status -eq 0 ]; then
        echo "ok $n - $1"
    else
        echo "not ok $n - $1"
        head -c 3000 "$work/out" | tr -d '\0' | sed 's/^/# out: /'
        head -c 3000 "$work/err" | tr -d '\0' | sed 's/^/# err: /'
    fi
}

# ends STATUS ARG...: the command, its input that of this function, must end with STATUS; its output is in out and err
ends() {
    expected=$1
    shift
    $as "$command" "$@" >"$work/out" 2>"$work/err"
    got=$?
    [ $got -eq "$expected" ] || { echo "# status $got instead of $expected: $*"; return 1; }
}

# run STATUS ARG...: without input
run() { ends "$@" </dev/null; }

# fed FILE STATUS ARG...: its input is the file
fed() {
    input=$1
    shift
    ends "$@" <"$input"
}

# unread STATUS ARG...: without input, and whoever was to read its output has gone
unread() {
    expected=$1
    shift
    mkfifo "$work/unread"
    exec 7<>"$work/unread" 8>"$work/unread" 7<&-
    rm "$work/unread"
    timeout 120 env --default-signal=PIPE "$command" "$@" </dev/null >&8 2>"$work/err" 8>&-
    got=$?
    exec 8>&-
    : >"$work/out"
    [ $got -eq "$expected" ] || { echo "# status $got instead of $expected: $*"; return 1; }
}

is() { [ "$(cat "$work/out")" = "$1" ]; }
said() { grep -q -- "$1" "$work/out"; }
complained() { grep -q -- "$1" "$work/err"; }
quiet() { [ ! -s "$work/err" ]; }

# start_daemon JOURNAL [ARG...]: yes, no or auto; again in the same place, when the one before has ended
start_daemon() {
    journal=$1
    shift
    [ -d "$PTOOLS_DIR" ] || mkdir -m 700 "$PTOOLS_DIR"
    [ -p "$work/ready" ] || mkfifo "$work/ready"
    "$PTOOLS_DAEMON" --workers 2 --dir "$PTOOLS_DIR" --module-path "$PTOOLS_TEST_MODULES" --ready-fd 3 \
        -o daemon.journal="$journal" "$@" 3>"$work/ready" >>"$work/log" 2>&1 &
    daemon=$!
    read -r line <"$work/ready"
    [ "$line" = READY ]
}

# stop_daemon: its exit status
stop_daemon() {
    pid=$daemon
    daemon=
    kill -TERM "$pid"
    wait "$pid"
}
