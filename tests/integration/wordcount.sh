#!/bin/bash
# wordcount.sh PROGRAM -- runs client/examples/wordcount.c against a daemon of its own and holds its sums against
# wc(1) and sort(1). TAP. The environment is that of the integration tests (meson.build).
set -u
export LC_ALL=C
unset PTOOLS_ADDRESS
wordcount=$(realpath "$1")
place=$(mktemp -d)
export PTOOLS_DIR=$place/run
daemon=
n=0

finish() {
        [ -z "$daemon" ] || { kill "$daemon" && wait "$daemon"; }
        rm -rf "$place"
}
trap finish EXIT

is() { # WHAT GOT EXPECTED
        n=$((n + 1))
        if [ "$2" = "$3" ]; then
                echo "ok $n - $1"
        else
                echo "not ok $n - $1"
                printf '# got:      %s\n# expected: %s\n' "$2" "$3"
        fi
}

row() { # WORKERS: files, lines, words and bytes of that row of the table
        awk -v workers="$1" 'NF == 7 && $1 == workers { print $2, $3, $4, $5 }' <<< "$said"
}

sums() { # DIRECTORY: the same by find and wc
        find "$1" -type f -print0 | xargs -0 cat | wc | awk -v files="$(find "$1" -type f | wc -l)" '{ print files, $1, $2, $3 }'
}

mkdir -p "$place/files/below" "$place/words" "$PTOOLS_DIR"
: > "$place/files/empty"
printf 'no newline at the end' > "$place/files/with a space"
printf 'tabs\tand\vother\fspace\r\n\n\n  x  \n' > "$place/files/below/space"
yes 'all work and no play' | head -n 100000 > "$place/files/below/long"
gzip -c < "$0" > "$place/files/below/packed.gz"
for i in $(seq 200); do echo "file $i" > "$place/files/below/$i"; done
ln -s below/long "$place/files/link" # not followed
printf 'bee ant bee cat\nant bee x x x x x x\n' > "$place/words/one"
printf 'cat cat cat cat\n' > "$place/words/two"

mkfifo "$place/ready" # no limit on memory: AddressSanitizer reserves more than there is
"$PTOOLS_TEST_DAEMON" --config /dev/null -o daemon.journal=no --workers 2 --ready-fd 3 --module-path "$PTOOLS_TEST_MODULES" \
        -o workers.memory_max=0 -o "daemon.worker_program=$PTOOLS_TEST_WORKER" 3> "$place/ready" 2> "$place/log" &
daemon=$!
read -r ready < "$place/ready" # end of file, and so no word, if it dies
is 'the daemon serves' "${ready:-}" READY

said=$("$wordcount" "$place/files" 2>&1)
is 'ends well' $? 0
is 'sums of two workers are those of wc' "$(row 2)" "$(sums "$place/files")"
is 'sums of one worker are those of wc' "$(row 1)" "$(sums "$place/files")"
is 'tells the speed-up' "$(grep -cE '^2 workers are [0-9.]+ times as fast as one$' <<< "$said")" 1

said=$(cd "$place" && "$wordcount" words 2>&1) # a relative path
is 'words of all files are added up' "$(grep '^most frequent' <<< "$said")" 'most frequent of 4 words: cat 5, bee 3, ant 2'

chmod 000 "$place/words/two"
if [ "$(id -u)" = 0 ]; then
        n=$((n + 1))
        echo "ok $n - a file that cannot be read is counted # SKIP root reads every file"
else
        said=$("$wordcount" "$place/words" 2>&1)
        is 'a file that cannot be read is counted' "$? $(row 1) $(grep -c '^not read: 1; ' <<< "$said")" '0 1 2 12 36 1'
fi

said=$("$wordcount" 2>&1)
is 'no directory is misuse' $? 2
said=$("$wordcount" "$place/missing" 2>&1)
is 'a missing directory is told' "$? $said" "1 wordcount: $place/missing: No such file or directory"
said=$(PTOOLS_DIR=$place/nobody PTOOLS_DAEMON=/bin/false "$wordcount" "$place/words" 2>&1)
is 'no daemon, and none to be had, is told' "$? ${said%%:*}" '1 wordcount'
echo "1..$n"
