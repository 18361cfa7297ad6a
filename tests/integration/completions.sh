#!/bin/bash
# What `ptools complete` offers, without a daemon and with one, and that bash, zsh and fish come to the same by the
# files in packaging/completions. What is not installed of these is skipped.
# usage: completions.sh COMPLETIONS-DIR  (PTOOLS_TEST_COMMAND, _MODULES and PTOOLS_DAEMON as Meson sets them)
set -u
files=$1
work=$(mktemp -d /tmp/ptools-test-XXXXXX) || exit 99
export PTOOLS_DIR="$work/d" PTOOLS_MODULE_PATH="$PTOOLS_TEST_MODULES"
unset PTOOLS_ADDRESS XDG_RUNTIME_DIR
export PATH="${PTOOLS_TEST_COMMAND%/*}:$PATH"
daemon=
n=0

finish() {
    [ -z "$daemon" ] || kill "$daemon" 2>/dev/null
    rm -rf "$work"
}
trap finish EXIT

# check NAME: the last command's status decides
check() {
    local status=$?
    n=$((n + 1))
    if [ $status -eq 0 ]; then
        echo "ok $n - $1"
    else
        echo "not ok $n - $1"
        head -c 2000 "$work/out" | sed 's/^/# /'
        head -c 2000 "$work/err" | sed 's/^/# /'
    fi
}
skip() {
    n=$((n + 1))
    echo "ok $n # SKIP $1"
}

# offers WORD...: into out; without a word on standard error
offers() { ptools complete -- "$@" >"$work/out" 2>"$work/err" && [ ! -s "$work/err" ]; }
# has WORD: one is that, whatever is said of it
has() { cut -f 1 "$work/out" | grep -qxF -- "$1"; }
are() { [ "$(cut -f 1 "$work/out" | tr '\n' ' ')" = "$1" ]; }

offers pau && are 'pause ' && offers '' && has wait && has jobs && has purge && offers help re && are 'replay result release resume rerun '
check 'verbs, and their other names'
offers wait --an && are '--any ' && offers ls --js && are '--json ' && offers status --any && are ''
check 'options of the verb, and of all'
offers ls --state done,fa && are 'done,failed ' && offers ls --state=que && are '--state=queued ' &&
    offers sets create x --mode '' && are 'rr ff ' && offers ls --columns id,prio && are 'id,priority '
check 'values of options, of lists the last'
offers shm cr && are 'create ' && offers shm create x float && are 'float32 float64 ' && offers sets '' &&
    are 'create change rm '
check 'words by the lines of the usage'
offers --dir '' && are ':dirs ' && offers call --file '' && are ':files ' && offers fork -n 2 '' && are ':commands ' &&
    offers fork -n 2 ls --ti && are ':files '
check 'files, directories and commands are left to the shell'
offers result '' && are '' && offers call '' && are '' && offers wait --tag '' && are '' && [ ! -e "$PTOOLS_DIR" ]
check 'without a daemon nothing is known, and nothing is said'

mkdir -m 700 "$PTOOLS_DIR"
mkfifo "$work/ready"
"$PTOOLS_DAEMON" --workers 2 --dir "$PTOOLS_DIR" --module-path "$PTOOLS_TEST_MODULES" --ready-fd 3 \
    3>"$work/ready" >"$work/log" 2>&1 &
daemon=$!
read -r line <"$work/ready"
[ "$line" = READY ] && id=$(ptools submit --hold --tag night --tag a:b t.nop) && ptools sets create nightly 1 >/dev/null &&
    ptools shm create --keep grid int32 10 >/dev/null && ptools call math.square 3 >/dev/null
check 'a daemon is ready, with something in it'
offers result '' && has "$id" && has last && has tag: && offers result "${id%?}" && has "$id" &&
    grep -q "waiting t.nop$" "$work/out" && offers cancel "1,$id,la" && are "1,$id,last " && offers why tag:ni &&
    are 'tag:night '
check 'ids of tasks, in lists, and tags'
offers wait --tag '' && are 'a:b night ' && offers call math.sq && are 'math.square ' && offers modules mat && are 'math ' &&
    offers call --set '' && has nightly && offers sets rm '' && has nightly && offers workers rm '' && are '1 2 ' &&
    offers shm sum '' && are 'grid ' && offers sets change nightly --mode rr '' && are '1 2 '
check 'tags, functions, modules, sets, workers, arrays'
(unset PTOOLS_DIR; offers --dir "$work/d" wait --tag '' && are 'a:b night ')
check 'of the daemon that is named'
ptools complete --json -- wait --tag ni >"$work/out" 2>"$work/err" &&
    [ "$(cat "$work/out")" = '{"schema":1,"words":[{"word":"night","help":""}],"also":""}' ]
check 'as JSON'

# -- the shells ----------------------------------------------------------------------------------------------

# in_bash LINE: what bash would offer at its end, into out; words are parted as bash does
in_bash() {
    COMP_LINE=$1
    COMP_POINT=${#1}
    # shellcheck disable=SC2207,SC2001 # blanks part them
    COMP_WORDS=($(sed 's/[:=]\+/ & /g' <<<"$1"))
    [[ $1 != *[[:blank:]:=] ]] || COMP_WORDS+=('')
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    _ptools 2>"$work/err"
    printf '%s\n' "${COMPREPLY[@]}" >"$work/out"
}
# shellcheck disable=SC1091 # it is checked by itself
. "$files/ptools.bash"
in_bash 'ptools pau' && are 'pause ' && in_bash 'ptools wait --state done,ca' && are 'done,cancelled ' &&
    in_bash 'ptools ls --state=que' && are 'queued ' && in_bash 'ptools why tag:ni' && are 'night ' &&
    in_bash 'ptools wait --tag ' && has night && in_bash "ptools call math.sq" && are 'math.square ' &&
    in_bash 'ptools result ' && has "$id" && [ "$(complete -p ptools)" = 'complete -F _ptools ptools' ]
check 'bash'
touch "$work/some-file" && in_bash "ptools call --file $work/some" && are "$work/some-file "
check 'bash: files'
if command -v fish >/dev/null; then
    HOME=$work fish -N -c "source $files/ptools.fish; complete -C 'ptools wait --tag ni'; complete -C 'ptools pau'" \
        >"$work/out" 2>"$work/err"
    are 'night pause '
    check 'fish'
else
    skip 'fish is not installed'
fi
if command -v zsh >/dev/null; then
    # Completion works within the line editor only: it gets a terminal, TAB is typed, and what became of the line is
    # printed.
    timeout 60 python3 - "$files" >"$work/out" 2>"$work/err" <<'END'
import os, pty, re, sys
pid, fd = pty.fork()
if pid == 0:
    os.environ.update(TERM='vt100', HISTFILE='')
    os.execvp('zsh', ['zsh', '-f', '-i'])
def until(pattern):
    seen = b''
    while not re.search(pattern, seen):
        seen += os.read(fd, 4096)
    return re.search(pattern, seen).group(1).decode()
def say(text):
    os.write(fd, text)
say(b"PS1=; fpath=(%s $fpath); autoload -Uz compinit; compinit -u -D; print re''ady\n" % sys.argv[1].encode())
until(rb'\n(ready)\r\n')
for line in [b'ptools wait --tag ni', b'ptools paus', b'ptools result tag:ni']:
    say(line + b"\t\x01print -r -- 'line: \x05'\n")
    print(until(rb'\nline: (.*?)\r\n'))
os.kill(pid, 9)
END
    [ "$(sed 's/ *$//' "$work/out" | tr '\n' '|')" = 'ptools wait --tag night|ptools pause|ptools result tag:night|' ]
    check 'zsh'
else
    skip 'zsh is not installed'
fi

kill -TERM $daemon
wait $daemon
check 'the daemon ends with 0'
daemon=
echo "1..$n"
