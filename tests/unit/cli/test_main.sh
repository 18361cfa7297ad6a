#!/bin/sh
# test_main.sh PTOOLS -- main.c from outside, without a daemon: exit statuses, and output that gets lost. Prints TAP.
# shellcheck disable=SC2016 # $1 and $2 are the inner shell's
ptools=$(realpath "$1") || exit 1
n=0
unset PTOOLS_DIR PTOOLS_ADDRESS
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT

# expect STATUS TEXT COMMAND...: the status, and TEXT somewhere in what was written.
expect() {
        want=$1 text=$2
        shift 2
        n=$((n + 1))
        said=$("$@" 2>&1)
        status=$?
        case $said in
        *"$text"*) found=yes ;;
        *) found=no ;;
        esac
        if [ "$status" = "$want" ] && [ $found = yes ]; then
                echo "ok $n - $*"
        else
                echo "not ok $n - $*"
                echo "# status $status, wanted $want and \"$text\", said: $said"
        fi
}

expect 0 "Usage: ptools " "$ptools" --help
expect 0 "Usage: ptools call" "$ptools" call --help
expect 0 "Usage: ptools sets" "$ptools" help sets
expect 0 "ptools 0." "$ptools" --version
expect 2 "no verb is named" "$ptools"
expect 2 'the nearest is "status"' "$ptools" statsu
expect 2 "the nearest is --deadline" "$ptools" call --dedline 2 a.b
expect 2 "names no function" "$ptools" call count
expect 2 "a duration is" "$ptools" call a.b --timeout soon
expect 2 "an id is a number" "$ptools" call a.b --worker x
expect 2 "--timeout has no meaning" "$ptools" call a.b --detach --timeout 2
expect 2 "--stdin may be given once" sh -c '"$1" call a.b --stdin --stdin < /dev/null' sh "$ptools"
expect 2 "does not fit into 64 bits" "$ptools" call a.b 99999999999999999999
expect 2 "takes no words" "$ptools" status now
expect 2 "allowed are add and rm" "$ptools" workers kill 1
expect 2 "allowed are rr" "$ptools" sets create a --mode lifo 1
expect 2 "change needs --mode" "$ptools" sets change a 1
expect 2 "one verb at a time" "$ptools" help call sets
expect 125 "cannot read $dir/none" "$ptools" call a.b --file "$dir/none"
expect 125 "ptoolsd --dir $dir" "$ptools" --dir "$dir" status
expect 125 "ptoolsd --dir $dir" "$ptools" --dir "$dir" workers
expect 125 "ptoolsd --dir $dir" "$ptools" --dir "$dir" call --no-private a.b
expect 125 "ptoolsd --dir $dir" "$ptools" --dir "$dir" call --set s a.b
expect 125 "ptoolsd --dir $dir" "$ptools" --dir "$dir" call --detach a.b
expect 125 '{"schema":1,"error":{"code":"NO_DAEMON","number":20,' "$ptools" --dir "$dir" --json status
expect 125 "nobody serves $dir/." sh -c 'cd "$2" && "$1" --dir . status' sh "$ptools" "$dir"
expect 2 "INVALID" "$ptools" --address nonsense status
expect 125 "cannot write to standard output: No space left" sh -c '"$1" --help > /dev/full' sh "$ptools"
expect 125 "cannot write to standard output: Bad file" sh -c '"$1" --help >&-' sh "$ptools"
expect 125 "cannot read standard input: Bad file" sh -c '"$1" call a.b --stdin <&-' sh "$ptools"
expect 2 "" sh -c '"$1" statsu 2>&-' sh "$ptools"
echo "1..$n"
