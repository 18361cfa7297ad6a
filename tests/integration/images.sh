#!/bin/sh
# Real work: thumbnails of a thousand images, some of them broken, with a daemon that is killed in the middle; and the same
# from the same list by GNU parallel, whose thumbnails, exit values and job log must be equal.
# usage: images.sh  (PTOOLS_TEST_COMMAND, _MODULES and PTOOLS_DAEMON as Meson sets them)
for needed in convert parallel; do
    command -v $needed >/dev/null || { echo "1..0 # SKIP there is no $needed (packages imagemagick, parallel)"; exit 0; }
done
# shellcheck source-path=SCRIPTDIR source=command_rig.sh
. "$(dirname "$0")/command_rig.sh"
as='timeout 250'
images=1000
export MAGICK_THREAD_LIMIT=1 # the jobs are the parallel work
cd "$work" || exit 99
mkdir in ours theirs
start_daemon yes
check "the daemon is ready"

# -- the list -------------------------------------------------------------------------------------------------

# A hundred each of ten calls, each image another.
for i in 0 1 2 3 4 5 6 7 8 9; do echo $i; done | ends 0 pmap -- sh -c '
    set -- -size 48x36 -depth 8
    i=0
    while [ $i -lt 100 ]; do
        set -- "$@" "gradient:$(printf "#%02x%02x%02x-#%02x8040" $((i * 2)) $(($0 * 25)) $((i % 7 * 30)) $((255 - i)))"
        i=$((i + 1))
    done
    exec convert "$@" +adjoin "in/$0-%02d.png"' {} && [ "$(ls in | wc -l)" -eq $images ]
check "a thousand images are made"
newline='
'
i=0
for image in in/*.png; do
    i=$((i + 1))
    case $((i % 100)) in # names that have to be passed on as they are
    7) mv "$image" "in/with space $i.png" ;;
    8) mv "$image" "in/it's \"quoted\" $i.png" ;;
    9) mv "$image" "in/two${newline}lines $i.png" ;;
    10) mv "$image" "in/\$(exit 3) \`;&| $i.png" ;;
    25) echo 'no image' >"$image" ;;
    50) head -c 100 "$image" >cut && mv cut "$image" ;;
    75) : >"$image" ;;
    esac
done
find in -name '*.png' -print0 | sort -z >list
printf 'in/missing.png\0' >>list
[ "$(tr -dc '\0' <list | wc -c)" -eq $((images + 1)) ]
check "some of them broken, some with names that are no words, one that is not there"

# -- the work --------------------------------------------------------------------------------------------------

# What is given: the place for the thumbnails, the list of what was begun, the image, its name, the number of the job.
thumbnail='echo "$5" >>"$2"; exec convert "$3" -thumbnail 12x12 "$1/$4.png"'
ours() { fed list "$@" --no-private -0 --joblog jobs --jobs 2 -- sh -c "$thumbnail" sh ours begun {} {/.} {#}; }

ours 125 pmap &
mapper=$!
until [ -e jobs ] && [ "$(wc -l <jobs)" -ge 300 ]; do kill -0 $mapper || break; done
kill -KILL "$daemon"
wait "$daemon" 2>/dev/null
daemon=
wait $mapper && complained 'of [0-9]* items [0-9]* went well'
check "125: the daemon is killed in the middle; what has been done is told"
cp jobs jobs.first
first=$(wc -l <jobs.first)
[ "$first" -ge 300 ] && [ "$first" -lt $images ]
check "... and is in the job log"
start_daemon yes && ours 1 pmap --resume
check "--resume: the rest"
[ "$(cut -f 1 jobs | sed 1d | sort -n | uniq -c | sort -rn | awk '{ print $1; exit }')" -eq 1 ] && [ "$(sed 1d jobs | wc -l)" -eq $((images + 1)) ]
check "each job is in the log once"
# Each worker had one that ran, and some whose outcome was on its way to the client.
sort begun | uniq -d | sort >again
cut -f 1 jobs.first | sort | comm -12 - again >out
[ "$(sort -u begun | wc -l)" -eq $((images + 1)) ] && [ ! -s out ] && [ "$(wc -l <again)" -le 20 ]
check "none ran twice that was in the job log, and few of the others"

# -- the same by GNU parallel ----------------------------------------------------------------------------------

parallel -0 --will-cite --joblog jobs.parallel --jobs 2 -a list sh -c "'$(printf %s "$thumbnail" | sed "s/'/'\\\\''/g")'" sh theirs begun.parallel {} {/.} {#} >out 2>err </dev/null
[ $? -eq 31 ]
check "GNU parallel does the same"
(cd ours && find . -type f | sort) >ours.names
(cd theirs && find . -type f | sort) >theirs.names
cmp ours.names theirs.names >out && [ "$(wc -l <ours.names)" -gt 950 ]
check "the same thumbnails are there"
signatures() { find "$1" -type f -print0 | sort -z | xargs -0 -n 200 identify -format '%#\n'; }
signatures ours >ours.signatures 2>err && signatures theirs >theirs.signatures && cmp ours.signatures theirs.signatures >out &&
    [ "$(sort -u ours.signatures | wc -l)" -gt 900 ]
check "... and the same pixels"
for log in jobs jobs.parallel; do
    awk -F '\t' '$1 ~ /^[0-9]+$/ && NF >= 9 { print $1, $7, $8 }' $log | sort -n >$log.values
done
cmp jobs.values jobs.parallel.values >out && [ "$(grep -c ' 1 0$' jobs.values)" -eq 31 ]
check "exit values and signals of all jobs are the same in both job logs"

stop_daemon
check "the daemon ends with 0"
echo "1..$n"
