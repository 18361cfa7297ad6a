#!/bin/sh
# The command against a real daemon: what it prints, and every exit status of the table in ptools(1).
# usage: command.sh  (PTOOLS_TEST_COMMAND, _DAEMON, _WORKER, _MODULES and PTOOLS_DAEMON as Meson sets them)
# shellcheck source-path=SCRIPTDIR source=command_rig.sh
. "$(dirname "$0")/command_rig.sh"

run 125 status && complained ptoolsd
check "where no daemon runs, status says how to start one"
run 0 call math.square 12 && is 144
check "call starts a private daemon where none runs"
while [ -e "$PTOOLS_DIR" ]; do :; done # it ends by itself, but the call does not wait for that
run 125 call --no-private math.square 12
check "and does not where it is told not to"

start_daemon no
check "the daemon is ready"

run 0 call math.square 12 && is 144
check "a value"
run 0 call t.echo 1 true null '"1"' word '[1,{"a":2.5}]' -s 7 &&
    is '[1,true,null,"1","word",[1,{"a":2.5}],"7"]'
check "arguments are JSON where they are, strings elsewhere"
printf 'one two\nthree\n' >"$work/file"
run 0 call text.count "$work/file" && said '"lines":2' && said '"words":3' && said '"bytes":14'
check "the main job on a file"
run 1 call t.fail 'no luck' && complained 'no luck'
check "1: the function failed"
run 1 call t.segv && complained 'signal 11\|exited with status' && complained 'worker'
check "1: the worker died, with its last words"
run 1 call math.square '"x"' && complained 'argument 1'
check "1: a bad argument"
run 2 call
check "2: usage"
run 2 cal && complained call
check "2: an unknown verb, with the nearest"
run 124 call --deadline 100ms t.spin
check "124: the deadline"
run 124 call --timeout 100ms t.spin
check "124: the time limit of the wait"
run 125 call t.no_such_function && complained no_such_function
check "125: no such function"
run 125 call --set nosuch t.nop && complained nosuch
check "125: no such set"

env --default-signal=INT "$command" call t.spin_polite >"$work/out" 2>"$work/err" &
caller=$!
until "$command" workers --json 2>/dev/null | grep -q 'spinning politely'; do
    kill -0 $caller 2>/dev/null || break
done
kill -INT $caller
wait $caller
[ $? -eq 130 ]
check "130: interrupted"

run 0 sets create night --mode rr 2 1 && run 0 call --set night t.id && is 2 &&
    run 0 call --set night t.id && is 1
check "a worker set: round robin in the order given"
run 0 sets && said night && run 0 sets rm night && run 125 call --set night t.id
check "sets are listed and removed"
run 0 workers add 1 && run 0 workers --json && said '"id":3' && run 0 workers rm 3
check "workers are added, listed and removed"
run 0 modules && said math && run 0 modules math && said square
check "modules and their help"
run 0 status --json && said '"schema":1' && said '"workers"'
check "status as JSON"
run 0 call --detach t.nop && grep -q '^[0-9][0-9]*$' "$work/out"
check "a detached call prints its task"
"$command" call t.big 10000000 2>/dev/null | head -c 100 >/dev/null
run 0 status
check "a closed pipe hurts nobody"
python3 -c 'import socket, subprocess, sys
ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) # which keeps writes apart
with its:
    subprocess.call([sys.argv[1], "call", "no.such"], stderr=its)
while piece := ours.recv(4096):
    print(piece)
' "$command" >"$work/out" 2>"$work/err"
[ "$(wc -l <"$work/out")" -ge 2 ] && ! grep -v '\\n' "$work/out"
check "standard error is written by the line: others may write there, too"
"$command" status >/dev/full 2>"$work/err"
[ $? -eq 125 ]
check "125: standard output cannot be written"

run 0 doctor && said '^canary  *ok ' && said '^shared arrays  *ok ' && said '^daemon  *ok ' && said '^journal  *without ' &&
    ! said '^[a-z ]* fails ' && run 0 status
check "doctor: all is well, and the daemon that runs is left alone"
mkdir -m 777 "$work/open" && chmod 777 "$work/open"
(PTOOLS_MODULE_PATH="$PTOOLS_TEST_MODULES:$work/open" && run 1 doctor && said '^module path  *fails .*others can write to it')
check "doctor: a module path that others can write to"
(export PTOOLS_DAEMON=/bin/false && run 1 doctor && said '^daemon  *fails ' && ! said canary) && run 2 doctor me
check "doctor: a daemon that does not start"
printf '#!/bin/sh\necho "$*" >"%s.new" && mv "%s.new" "%s"\nexec "%s" "$@"\n' "$work/args" "$work/args" "$work/args" "$PTOOLS_DAEMON" >"$work/starter"
chmod +x "$work/starter"
PTOOLS_DAEMON="$work/starter" "$command" doctor >"$work/out" 2>"$work/err" &
while [ ! -e "$work/args" ]; do :; done
kill -TERM $!
wait $!
dir=$(sed 's/.*--dir \([^ ]*\).*/\1/' "$work/args")
while [ -e "$dir" ]; do :; done
[ "${dir#/tmp/ptools-doctor-}" != "$dir" ] && [ ! -e "${dir%/d}" ]
check "doctor: nothing is left when it is interrupted"

stop_daemon
check "the daemon ends with 0"
rmdir "$PTOOLS_DIR" 2>"$work/err"
check "and leaves nothing behind"
echo "1..$n"
