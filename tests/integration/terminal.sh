#!/bin/sh
# What is seen on a terminal, by a shell with job control: top and its keys, pmap's bar, ^C and ^Z. The terminal is one of
# tmux, whose server is a child of this script, and has its socket in $work: nothing of it is left.
# usage: terminal.sh  (PTOOLS_TEST_COMMAND, _MODULES and PTOOLS_DAEMON as Meson sets them)
# shellcheck disable=SC2016 # what stands in '' is for the shell in the terminal
# shellcheck source-path=SCRIPTDIR source=command_rig.sh
. "$(dirname "$0")/command_rig.sh"
command -v tmux >/dev/null || { echo "1..0 # SKIP tmux is not there"; exit 0; }

server=
at_end() {
    [ -z "$server" ] || kill "$server" 2>/dev/null
    [ -z "$server" ] || wait "$server"
}
trap 'exit 1' HUP INT TERM
limit=$(($(date +%s) + 120)) # for all waiting together
in_time() {
    [ "$(date +%s)" -lt "$limit" ] && return
    sed 's/^/# screen: /' "$work/out"
    echo "Bail out! what was waited for after test $n did not come"
    exit 1
}
mux() { tmux -N -S "$work/tmux" "$@" 2>>"$work/err"; }

# terminal COLUMNS ROWS: a new one, with a shell that waits for input
terminal() {
    old=${session:-}
    session=s$n
    until mux new-session -d -s "$session" -x "$1" -y "$2" 'PS1="$ " exec bash --noprofile --norc -i'; do
        in_time
    done
    [ -z "$old" ] || mux kill-session -t "$old"
    shows '^\$ *$'
}
key() { mux send-keys -t "$session:" "$@"; }
type_in() { key -l "$1" && key Enter; }
# type_and_wait LINE PATTERN
type_and_wait() { type_in "$1" && shows "$2"; }
screen() { mux capture-pane -p -t "$session:" "$@" >"$work/out"; }
# shows PATTERN, shows_no PATTERN: in the end
shows() { until screen && said "$1"; do in_time; done; }
shows_no() { while ! screen || said "$1"; do in_time; done; }
# there FILE...
there() {
    for file in "$@"; do
        until [ -e "$file" ]; do in_time; done
    done
}
submit() { "$command" submit "$@" >"$work/id" 2>>"$work/err" && id=$(cat "$work/id"); }

export p="$command" work NO_COLOR=
unset HISTFILE TMUX PROMPT_COMMAND
tmux -D -S "$work/tmux" -f /dev/null >/dev/null 2>"$work/err" &
server=$!
start_daemon auto
check "the daemon is ready"

# -- top -------------------------------------------------------------------------------------------------------

terminal 100 24 && submit --tag night q.sleep 600000 &&
    type_and_wait 'stty -g >"$work/tty"; "$p" top' 'running .* q.sleep  *night'
check "top shows a task that runs, its tag"
shows '1 running, 0 done' && said 'busy .* q.sleep: sleeping' && said 'ptoolsd .* up .* durable'
check "... counts, what a worker does, and the daemon"
screen -e && grep -q "$(printf '\033\\[32m')" "$work/out"
check "... in colours"
mux resize-window -t "$session:" -x 60 -y 9 && shows_no 'q.sleep  *night' && shows '^q quit' && [ "$(wc -l <"$work/out")" -eq 9 ]
check "a window that gets smaller is followed"
mux resize-window -t "$session:" -x 90 -y 30 && shows 'q.sleep  *night' &&
    [ "$(sed -n '30p' "$work/out")" = 'q quit  h help' ]
check "... and one that gets larger"
key h && shows 'space  *look at once' && key h && shows_no 'look at once'
check "h shows the keys, and takes them away"
key s && shows 'oldest first' && key s && shows 'newest first' && key s && shows 'next first'
check "s changes the order"
key p && shows 'PAUSED' && key p && shows_no 'PAUSED'
check "p pauses the queue, and resumes it"
key Home k && shows 'no task is under the cursor' && key End k && shows "Cancel task $id? y/n" && key n && shows '^q quit' &&
    said 'running .* q.sleep'
check "k asks, and does nothing if the answer is n"
key k && shows "Cancel task" && key y && shows "task $id is cancelled" && shows '1 cancelled' && shows_no 'running .* q.sleep'
check "... and cancels if it is y"
key C-z && shows 'Stopped' &&
    type_and_wait 'stty -g | cmp - "$work/tty" && echo as before' '^as before$' && type_and_wait fg 'WORKER'
check "^Z stops it with the terminal as it was, and fg goes on"
mux resize-window -t "$session:" -x 80 -y 20 && shows '^q quit' && key q && type_and_wait 'echo st=$?' '^st=0$'
check "q ends it"
type_and_wait '"$p" top --interval 100ms' 'WORKER' && key C-c &&
    type_and_wait 'echo st=$?; stty -g | cmp - "$work/tty" && echo restored' '^st=130$' && shows '^restored$' && shows_no 'WORKER'
check "^C ends it with 130, and the terminal is as it was"

type_and_wait '"$p" top --interval 100ms' 'WORKER' && stop_daemon && shows 'The daemon is gone'
check "a daemon that goes away is told"
start_daemon auto && shows_no 'The daemon is gone' && said 'WORKER' && key q && type_and_wait 'echo st=$?' '^st=0$'
check "... and another one is found"
type_and_wait 'clear; "$p" top --interval 100ms' 'WORKER' && kill -STOP "$daemon" && shows 'The daemon is gone' &&
    kill -CONT "$daemon" && shows_no 'The daemon is gone' && key q && type_and_wait 'echo now=$?' '^now=0$'
check "the same of one that stands still"

terminal 100 24 && submit q.sleep 600000 && type_and_wait 'NO_COLOR=1 "$p" top' 'running .* q.sleep' && screen -e &&
    ! grep -q "$(printf '\033')\[[0-9;]*[349][0-7]m" "$work/out"
check "NO_COLOR is respected"
key q && type_and_wait 'clear; "$p" ls; echo st=$?' '^st=0$' && screen -e && grep -q "$(printf '\033\[36mrunning')" "$work/out" &&
    type_and_wait 'clear; "$p" call q.nosuch; echo st=$?' '^st=125$' && screen -e && grep -q '31mptools call:' "$work/out"
check "states and failures have colours"
type_and_wait 'clear; NO_COLOR=1 "$p" ls; NO_COLOR=1 "$p" call q.nosuch; TERM=dumb "$p" ls; "$p" ls | cat; echo st=$?' '^st=0$' && screen -e &&
    said running && ! grep -q "$(printf '\033')\[[0-9;]*[349][0-7]m" "$work/out"
check "... but with NO_COLOR, on a terminal that has none, or in a pipe"
type_and_wait 'clear; TERM=dumb "$p" top; echo st=$?' '^st=2$' && said 'dumb.*--once'
check "a terminal on which nothing can be drawn is refused"
type_and_wait 'clear; "$p" top --once --interval 100ms | cat; echo st=$?' '^st=0$' && said 'running .* q.sleep'
check "one picture as text"
run 2 top --interval 99ms && complained '100 ms' && run 2 top --interval x && run 2 top word && complained 'no words'
check "what it cannot do is refused"
"$command" cancel "$id" 2>>"$work/err" >&2

# -- pmap ------------------------------------------------------------------------------------------------------

# Each item begins, which is seen, and ends when it is let.
cat >"$work/step" <<'END'
#!/bin/sh
trap 'touch "$work/asked.$1"; exit 1' TERM
touch "$work/began.$1"
read line <"$work/end.$1"
END
chmod +x "$work/step"
steps() { rm -f "$work"/began.* "$work"/end.* && mkfifo "$work/end.1" "$work/end.2" "$work/end.3"; }
let_end() { for i in "$@"; do echo >"$work/end.$i"; done; }

steps && terminal 80 24 && type_in '"$p" pmap --bar -- "$work/step" ::: 1 2 3; echo st=$?' && there "$work/began.1" "$work/began.2" &&
    shows '^0/3 ' && let_end 1 && shows '^1/3 '
check "pmap --bar shows how far it is"
let_end 2 3 && shows '^st=0$' && ! said '^[1-3]/3'
check "... and clears it"

steps && terminal 80 24 && type_in '"$p" pmap -- "$work/step" ::: 1 2; echo st=$?' && there "$work/began.1" "$work/began.2" &&
    key C-z && shows 'Stopped' && shows '^st=148$'
check "^Z stops pmap"
type_in 'fg; echo again=$?' && let_end 1 2 && shows '^again=0$'
check "... and fg goes on"

steps && terminal 100 24 && type_in '"$p" pmap -- "$work/step" ::: 1 2 3; echo st=$?' && there "$work/began.1" "$work/began.2" &&
    key C-c && shows '^st=130$' && said 'interrupted: of 3 items .*2 were cancelled, 1 were not run'
check "^C: it is told what became of the items"
there "$work/asked.1" "$work/asked.2" && [ ! -e "$work/began.3" ]
check "... those that ran were asked to end, and no other was begun"

# -- run -------------------------------------------------------------------------------------------------------

terminal 80 24 && type_and_wait '"$p" run sh -c "echo begun; exec sleep 600"; echo st=$?' '^begun$' && key C-c && shows '^st=130$'
check "^C ends what run runs: 130"
terminal 80 24 && type_and_wait '"$p" run sh -c "trap \"echo asked; exit 7\" TERM; echo begun; sleep 600 & wait"; echo st=$?' '^begun$' &&
    key C-c && shows '^st=130$' && said '^[^ ]*asked$' && said 'exit status  *7'
check "... after it was asked to, and with what status it did is told"
stop_daemon
check "the daemon ends"
echo "1..$n"
