#!/bin/sh
# SPDX-License-Identifier: MIT
#
# What `meson install` puts down is whole: programs, library, headers, modules, texts; and with nothing but that,
# a module and a program are built as the headers, the README and the examples tell, and run.
# usage: install.sh SOURCE-ROOT BUILD-ROOT SANITIZERS COMPILER...  (SANITIZERS as for -fsanitize=, or none)
set -u

source=$1 build=$2 sanitizers=$3
shift 3
compiler=$*
work=$(mktemp -d /tmp/ptools-test-XXXXXX) || exit 99
root=$work/root
unset PTOOLS_ADDRESS PTOOLS_MODULE_PATH PTOOLS_DAEMON
daemon=
n=0
failed=0

finish() {
    [ -z "$daemon" ] || kill "$daemon"
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
        failed=1
        sed 's/^/# /' "$work/out" "$work/log"
    fi
}

# there PATTERN: the one installed file whose path ends so
there() {
    found=$(find "$root" -path "$root*/$1")
    [ -f "$found" ]
}

# cc as the texts call it: the compiler of the build, and what its library needs
cc() {
    if [ "$sanitizers" = none ]; then
        command $compiler "$@"
    else
        command $compiler -fsanitize="$sanitizers" "$@"
    fi
}

# command_in FILE PATTERN: the line of a text that says how to compile, without its comment sign
command_in() {
    sed -n "s/^ \* *\(cc .*$2.*\)/\1/p" "$1"
}

# block N: the Nth C program of the README
block() {
    awk -v n="$1" '/^```c$/ { i++; inside = 1; next } /^```/ { inside = 0 } inside && i == n' "$source/README.md"
}

: >"$work/out"
: >"$work/log"
umask 022
DESTDIR=$root meson install -C "$build" --no-rebuild --quiet >"$work/out" 2>&1
check 'meson install'

for file in bin/ptools bin/ptoolsd ptools/ptools-worker \
    include/ptools/array.h include/ptools/error.h include/ptools/module.h include/ptools/pfork.h include/ptools/pmap.h include/ptools/queue.h \
    include/ptools/ptools.h include/ptools/value.h \
    pkgconfig/ptools.pc pkgconfig/libptools.pc pkgconfig/ptools-module.pc ptools/modules/arrays.so ptools/modules/math.so ptools/modules/text.so \
    ptools/ptoolsd.conf man1/ptools.1 man3/ptools.3 man8/ptoolsd.8 \
    bash-completion/completions/ptools zsh/site-functions/_ptools fish/vendor_completions.d/ptools.fish; do
    there "$file"
    check "there is $file"
done
[ -z "$(find "$root" -path '*/modules/*' ! -name math.so ! -name text.so ! -name arrays.so)" ]
check 'no module of the tests is there'

there pkgconfig/ptools.pc
pkgconfig=${found%/*}
bin=$(find "$root" -path '*/bin/ptools')
bin=${bin%/ptools}
lib=$root$(PKG_CONFIG_PATH=$pkgconfig pkg-config --variable=libdir ptools)
modules=$root$(PKG_CONFIG_PATH=$pkgconfig pkg-config --variable=moduledir ptools-module)
[ -f "$modules/math.so" ]
check 'ptools-module.pc tells where the modules are'
[ "$(readlink "$lib/libptools.so")" = libptools.so.0 ] && [ "$(readlink -f "$lib/libptools.so")" = \
    "$(readlink -f "$lib/libptools.so.0")" ] && [ ! -L "$(readlink -f "$lib/libptools.so.0")" ]
check 'libptools.so leads to libptools.so.0, and that to the library'

export PKG_CONFIG_PATH="$pkgconfig" PKG_CONFIG_SYSROOT_DIR="$root"
export PKG_CONFIG_ALLOW_SYSTEM_CFLAGS=1 PKG_CONFIG_ALLOW_SYSTEM_LIBS=1 # prefix /usr is no system's below DESTDIR
export LD_LIBRARY_PATH="$lib"
mkdir "$work/mine"
cd "$work/mine" || exit 99

block 6 >mine.c
there include/ptools/module.h
line=$(command_in "$found" NAME | sed 's/NAME/mine/g')
[ -n "$line" ] && eval "$line" >"$work/out" 2>&1 && [ -f mine.so ]
check 'the module of the README is built as module.h tells'
cp "$source/client/examples/hello.c" .
line=$(command_in hello.c hello)
[ -n "$line" ] && eval "$line" >"$work/out" 2>&1 && [ -x hello ]
check 'hello.c is built as it tells itself'
block 1 >square.c
line=$(sed -n 's/^\(cc square.c .*\) && .*/\1/p' "$source/README.md")
[ -n "$line" ] && eval "$line" >"$work/out" 2>&1 && [ -x square ]
check 'the program of the README is built as it tells'
block 2 >fill.c
line=$(echo "$line" | sed 's/square/fill/g')
[ -n "$line" ] && eval "$line" >"$work/out" 2>&1 && [ -x fill ]
check 'so is the one that shares an array'
block 3 >forked.c
line=$(echo "$line" | sed 's/fill/forked/g')
[ -n "$line" ] && eval "$line" >"$work/out" 2>&1 && [ -x forked ]
check 'so is the one that forks'
block 4 >queued.c
line=$(echo "$line" | sed 's/forked/queued/g')
[ -n "$line" ] && eval "$line" >"$work/out" 2>&1 && [ -x queued ]
check 'so is the one that queues a task'
block 5 >many.c
line=$(echo "$line" | sed 's/queued/many/g')
[ -n "$line" ] && eval "$line" >"$work/out" 2>&1 && [ -x many ]
check 'so is the one with many items'
[ "$(./forked 2>"$work/out")" = 87 ]
check 'which needs no daemon'

export PTOOLS_DIR="$work/run"
there ptools/ptools-worker
worker=$found
there ptools/ptoolsd.conf
"$bin/ptoolsd" --config "$found" --check-config >"$work/out" 2>&1
check 'ptoolsd.conf is accepted'
set -- --config "$found" -o "daemon.worker_program=$worker" --module-path "$work/mine:$modules" --workers 2 --ready-fd 3
[ "$sanitizers" = none ] || set -- "$@" -o workers.memory_max=0 # a sanitizer reserves terabytes of address space
mkfifo "$work/ready"
"$bin/ptoolsd" "$@" 3>"$work/ready" 2>"$work/log" &
daemon=$!
line=
read -r line <"$work/ready" # end of file, and so no word, if it dies
[ "$line" = READY ]
check 'the installed daemon serves'

[ "$("$bin/ptools" call mine.square 12 2>"$work/out")" = 144 ]
check 'the installed command calls the new module'
"$bin/ptools" modules mine >"$work/out" 2>&1 && grep -q 'square X -> X \* X' "$work/out"
check 'and tells its help'
[ "$(./hello 13 2>"$work/out")" = 169 ]
check 'hello calls an installed module'
[ "$(./square 2>"$work/out")" = 144 ]
check 'the program of the README does too'
[ "$(./fill 2>"$work/out")" = 500000 ]
check 'and so does the other'
./queued 2>"$work/err" | grep -q '^task [0-9]*: 144$'
check 'and the one that queues a task, through the journal'
[ "$(./many 2>"$work/err")" = 333333833333500000 ]
check 'and the one with many items'

kill "$daemon"
wait "$daemon"
status=$?
daemon=
[ $status -eq 0 ]
check 'the daemon ends with 0'
echo "1..$n"
exit $failed
