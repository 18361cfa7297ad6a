#!/bin/sh
# test_main.sh PTOOLS -- main.c from outside, without a daemon: exit statuses, and output that gets lost. Prints TAP.
# shellcheck disable=SC2016,SC2046 # $1 and $2 are the inner shell's; the options of a loop are words
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
expect 0 "Usage: ptools submit [OPTION...] MODULE.FUNCTION" "$ptools" submit --help
expect 0 "Usage: ptools ls" "$ptools" help ls
expect 2 "names no function" "$ptools" submit count
expect 0 "Usage: ptools pmap [OPTION...] MODULE.FUNCTION" "$ptools" pmap --help
expect 2 "names no function" "$ptools" pmap count
expect 2 "the nearest is --unordered" "$ptools" pmap a.b --unorderd 3
expect 2 "allowed are keep, stop" "$ptools" pmap a.b --on-error fail 3
expect 2 "about standard input" "$ptools" pmap -0 a.b 3
expect 2 "there are none" "$ptools" pmap -s a.b
expect 125 "ptoolsd --dir $dir" "$ptools" --dir "$dir" pmap --no-private a.b 3
expect 2 "the nearest is --priority" "$ptools" submit a.b --prio 3
expect 2 "a time is YYYY-MM-DD HH:MM" "$ptools" submit a.b --at noon
expect 2 "--where: at character 10, queud" "$ptools" ls --where 'state == queud'
expect 2 "--where true is all" "$ptools" cancel
expect 2 "a number is wanted" "$ptools" priority 1 'state'
expect 125 "ptoolsd --dir $dir" "$ptools" --dir "$dir" submit a.b
expect 125 "ptoolsd --dir $dir" sh -c 'echo {} | "$1" --dir "$2" submit --stdin' sh "$ptools" "$dir"
expect 125 "ptoolsd --dir $dir" "$ptools" --dir "$dir" ls
expect 125 "ptoolsd --dir $dir" "$ptools" --dir "$dir" wait 1
expect 125 "ptoolsd --dir $dir" "$ptools" --dir "$dir" result last
expect 125 "ptoolsd --dir $dir" "$ptools" --dir "$dir" events
expect 125 "ptoolsd --dir $dir" "$ptools" --dir "$dir" export
expect 2 "allowed are add and rm" "$ptools" workers kill 1
expect 2 "allowed are rr" "$ptools" sets create a --mode lifo 1
expect 2 "change needs --mode" "$ptools" sets change a 1
expect 2 "one verb at a time" "$ptools" help call sets
expect 2 "a/b\" has a slash" "$ptools" shm create --keep a/b int8 1
expect 2 "a/b\" has a slash" "$ptools" shm rm a a/b
expect 2 "a/b\" has a slash" "$ptools" shm get a/b
expect 2 "no prefix has one" "$ptools" shm sum --prefix a/b a
expect 2 '"1a" is no name' "$ptools" shm info 1a
expect 2 "allowed are int8, uint8" "$ptools" shm create --keep a double 10
expect 2 "with commas between" "$ptools" shm create --keep a int8 10x10
expect 2 "each at least 1" "$ptools" shm create --keep a int8 10,0
expect 2 "more than 8" "$ptools" shm create --keep a int8 1,1,1,1,1,1,1,1,1
expect 2 "more bytes than can be" "$ptools" shm create --keep a int64 4294967296,4294967296
expect 2 "create takes NAME TYPE DIMS" "$ptools" shm create --keep a int8
expect 2 "allowed are row" "$ptools" shm create --order fortran a int8 1
expect 2 "a duration is" "$ptools" shm create --for soon a int8 1
expect 2 "allowed are r (there" "$ptools" shm create --file f --file-mode rw a int8 1
expect 2 "--offset belongs to --file" "$ptools" shm create --offset 4096 a int8 1
expect 2 "the number of a user" "$ptools" shm create --share nobody a int8 1
expect 2 "at most 16 users" "$ptools" shm create $(printf -- '--share %s ' 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17) a int8 1
expect 2 "--raw has no meaning for ls" "$ptools" shm ls --raw
expect 2 "exclude each other" "$ptools" shm put --raw --csv a
expect 2 "says itself what its type" "$ptools" shm put --type int8 a x.npy
expect 2 "--dims belongs to --raw" "$ptools" shm put --dims 3 a x.csv
expect 2 "--type and --dims: its dimensions multiply" "$ptools" shm put --raw --type int64 --dims 4294967296,4294967296 a
expect 2 "a number of lines" "$ptools" shm head -n 0 a
expect 2 "the nearest is head; allowed are ls" "$ptools" shm haed a
expect 2 "allowed are ls and stop" "$ptools" stasks kill a
expect 2 "0, which only asks" "$ptools" stasks stop --timeout x a
expect 2 "Their names are missing" "$ptools" stasks stop
expect 2 "no name of server tasks" "$ptools" stasks stop a/b
expect 2 "not for a terminal" script -qec "'$ptools' shm get a" /dev/null
expect 0 "Usage: ptools fork -n N" "$ptools" fork --help
expect 2 "no command is named" "$ptools" fork -n 2
expect 2 "fork asks no daemon" "$ptools" --dir "$dir" fork -n 2 true
expect 2 "the nearest is nofile" "$ptools" fork -n 2 --limit nofil=2 true
expect 0 "--help" "$ptools" fork -n 1 echo --help
expect 127 "No such file" "$ptools" fork -n 1 "$dir/none"
expect 126 "Permission denied" "$ptools" fork -n 1 "$dir"
expect 125 "cannot read $dir/none" "$ptools" shm put a "$dir/none"
expect 125 "ptoolsd --dir $dir" "$ptools" --dir "$dir" shm
expect 125 "ptoolsd --dir $dir" "$ptools" --dir "$dir" shm create --keep a int8 1
expect 125 "ptoolsd --dir $dir" "$ptools" --dir "$dir" stasks
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
