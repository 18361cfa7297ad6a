#!/bin/sh
# SIGHUP: settings and modules are read again, and nothing that runs is disturbed.
# usage: reload.sh  (PTOOLS_TEST_COMMAND, _MODULES and PTOOLS_DAEMON as Meson sets them)
# shellcheck source-path=SCRIPTDIR source=command_rig.sh
. "$(dirname "$0")/command_rig.sh"
as='timeout 60'
modules=${PTOOLS_TEST_MODULES%%:*} examples=${PTOOLS_TEST_MODULES##*:}

# settings LINE...: of the daemon, in a file
settings() { printf '%s\n' "$@" >"$work/conf"; }
# reload: until it is done; what it says is in said_since
reload() {
    lines=$(wc -l <"$work/log")
    kill -HUP "$daemon"
    until tail -n +$((lines + 1)) "$work/log" | grep -q "event=$1"; do kill -0 "$daemon" || return 1; done
    tail -n +$((lines + 1)) "$work/log" >"$work/out"
}

mkdir -m 700 "$PTOOLS_DIR" "$work/m"
mkfifo "$work/ready"
cp "$modules/q.so" "$work/m/v.so"
settings '[daemon]' 'journal=no' '[modules]' "path=$work/m" '[workers]' count=2
"$PTOOLS_DAEMON" --config "$work/conf" --dir "$PTOOLS_DIR" --ready-fd 3 3>"$work/ready" >>"$work/log" 2>&1 &
daemon=$!
read -r line <"$work/ready"
[ "$line" = READY ]
check "the daemon is ready"

# -- modules ----------------------------------------------------------------------------------------------------

run 0 submit --volatile v.sleep 3000 && slow=$(cat "$work/out")
until run 0 info "$slow" && said running; do :; done
workers=$("$command" workers --json | tr ',' '\n' | grep '"pid"' | sort)
cp "$examples/math.so" "$work/m/new" && mv "$work/m/new" "$work/m/v.so"
run 125 call v.square 12 && complained NO_FUNCTION
check "a module that was replaced in its file is what it was loaded as"
reload template-ready && until run 0 call v.square 12 && is 144; do complained NO_FUNCTION || break; done && is 144
check "SIGHUP: it is loaded anew"
run 0 info "$slow" && said running && run 0 wait "$slow"
check "... while what ran with the old one ends well"
echo "$workers" >"$work/before"
i=0
while [ "$("$command" workers --json | tr ',' '\n' | grep '"pid"' | sort | comm -12 - "$work/before" | wc -l)" -gt 0 ]; do
    i=$((i + 1))
    [ $i -lt 1000 ] || break
done
[ $i -lt 1000 ] && run 0 call --worker 1 v.square 3 && is 9 && run 0 call --worker 2 v.square 3 && is 9
check "... and each worker was replaced when it was free"
grep -q 'worker-recycled .*modules have been loaded anew' "$work/log" && ! grep -q 'template-died\|worker-died' "$work/log"
check "... which is told, and is no death"

# -- settings ---------------------------------------------------------------------------------------------------

count() { "$command" workers | grep -c '^ *[0-9]'; }
settings '[daemon]' 'journal=no' '[modules]' "path=$work/m" '[workers]' count=4 '[limits]' user_sets_max=1
reload template-ready && said 'reloaded setting=workers.count' && [ "$(count)" -eq 4 ]
check "more workers"
run 0 sets create a 1 && run 125 sets create b 1 && complained user_sets_max
check "a lower limit"
settings '[daemon]' 'journal=no' '[modules]' "path=$work/m" '[workers]' count=1 '[limits]' user_sets_max=2
reload template-ready && while [ "$(count)" -gt 1 ]; do kill -0 "$daemon" || break; done && run 0 sets create b 1
check "fewer workers, a higher limit"
settings '[daemon]' 'journal=no' '[modules]' "path=$work/m" '[workers]' count=many colour=red '[limits]' user_sets_max=7
reload reload-refused && said "conf:6: .*count" && said "conf:7: .*colour" && [ "$(count)" -eq 1 ] &&
    run 125 sets create c 1 && complained user_sets_max
check "a file with a mistake changes nothing, and is told with its line"
settings '[daemon]' journal=yes log_level=debug '[modules]' "path=$work/m" '[workers]' count=1
reload template-ready && said 'reload-needs-restart setting=daemon.journal' && said 'reloaded setting=daemon.log_level' &&
    run 0 call v.square 5 && grep -q level=debug "$work/log"
check "what cannot change is told, the rest does"

# -- less than there is already ----------------------------------------------------------------------------------

# so many bytes come back, when there is a line in the file
answer() {
    echo "{\"argv\":[\"sh\",\"-c\",\"read x <$work/gate; head -c $1 /dev/zero\"],\"inline_max\":$1}"
}
common='{"env":["PATH=/bin:/usr/bin"],"cwd":"/"}'
mkfifo "$work/gate"
exec 9<>"$work/gate"
settings '[daemon]' journal=no '[modules]' "path=$work/m:$modules" '[workers]' count=2 '[limits]' large=0
reload template-ready
i=0
while [ $i -lt 500 ]; do
    i=$((i + 1))
    printf '{"function":"q.echo","args":["%0400d"],"hold":true}\n' $i
done >"$work/many"
fed "$work/many" 0 submit --volatile --stdin && [ "$(wc -l <"$work/out")" -eq 500 ]
run 0 submit --volatile --wait t.big 300000 && run 0 result last && [ "$(wc -c <"$work/out")" -gt 300000 ]
check "a value that is kept"
run 0 submit --volatile --tag held command.run "$common" "$(answer 300000)"
until run 0 ls --state running && said command.run; do kill -0 "$daemon" || break; done
"$command" call command.run "$common" "$(answer 200000)" >"$work/called" 2>&1 &
called=$!
until run 0 workers && [ "$(grep -c 'busy.*command.run' "$work/out")" -eq 2 ]; do kill -0 "$daemon" || break; done
settings '[daemon]' journal=no '[modules]' "path=$work/m:$modules" '[workers]' count=2 '[limits]' large=0 \
    message_max=128K client_output_max=1M
reload template-ready
printf 'go\ngo\n' >&9
wait "$called" && [ "$(wc -c <"$work/called")" -gt 200000 ] && run 0 wait --tag held
check "what runs may answer as before"
last=$("$command" ls --state done --json | tr '{' '\n' | grep '"t.big"' | sed 's/.*"id":\([0-9]*\).*/\1/')
run 125 result "$last" && complained TOO_LARGE && complained 'message_max, which is 131072'
check "a kept value that is too large now is refused, and asked for once"
run 0 ls --state waiting && [ "$(wc -l <"$work/out")" -ge 500 ] && run 0 cancel --state waiting
check "... and a list that is too large for one message comes in several"
settings '[daemon]' journal=no '[modules]' "path=$work/m:$modules" '[workers]' count=2 '[limits]' large=0
reload template-ready && run 0 result "$last" && [ "$(wc -c <"$work/out")" -gt 300000 ]
check "... until it is not any more"

# -- one after the other ------------------------------------------------------------------------------------------

settings '[daemon]' journal=no '[modules]' "path=$work/m" '[workers]' count=8
reload template-ready
i=0
while [ $i -lt 40 ]; do # the workers of the one before are being made
    i=$((i + 1))
    reload template-ready || break
done
[ $i -eq 40 ] && run 0 call v.square 6 && is 36 && ! grep -q 'worker-not-made\|worker-backoff\|worker-died' "$work/log"
check "many in a row keep no worker from its work"

stop_daemon
check "the daemon ends with 0"

mkdir "$work/m2"
cp "$examples/math.so" "$work/m2/w.so"
mkfifo "$work/go"
program=$("$PTOOLS_DAEMON" --dump-config | sed -n 's/^worker_program *= *//p')
cat >"$work/held" <<EOF
#!/bin/sh
[ ! -e $work/hold ] || { : >$work/holds && read -r line <$work/go; }
exec $program "\$@"
EOF
chmod +x "$work/held"
"$PTOOLS_DAEMON" --config "$work/conf" --dir "$PTOOLS_DIR" -o daemon.worker_program="$work/held" --ready-fd 3 \
    3>"$work/ready" >>"$work/log" 2>&1 &
daemon=$!
read -r line <"$work/ready"
: >"$work/hold"
reload template-renewed
until [ -e "$work/holds" ]; do kill -0 "$daemon" || break; done # it is told before the next process is there
rm "$work/hold"
settings '[daemon]' journal=no '[modules]' "path=$work/m2" '[workers]' count=1
lines=$(wc -l <"$work/log")
kill -HUP "$daemon"
until tail -n +$((lines + 1)) "$work/log" | grep -q 'setting=modules.path'; do kill -0 "$daemon" || break; done
echo go >"$work/go"
i=0
until run 0 call w.square 7; do
    i=$((i + 1))
    [ $i -lt 1000 ] && complained NO_MODULE || break
done
is 49
check "one that comes while the template process starts is not lost"

stop_daemon
check "... and the daemon ends with 0"
echo "1..$n"
