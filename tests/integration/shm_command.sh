#!/bin/sh
# `ptools shm` and `ptools stasks` against a real daemon, and numpy's files both ways, if numpy is there.
# usage: shm_command.sh START_STASKS  (that program, built from start_stasks.c; PTOOLS_TEST_COMMAND, _MODULES and
# PTOOLS_DAEMON as Meson sets them)
# shellcheck source-path=SCRIPTDIR source=command_rig.sh
. "$(dirname "$0")/command_rig.sh"
start_stasks=$(realpath "$1") || exit 99
holder=

at_end() { [ -z "$holder" ] || kill -KILL "$holder" 2>/dev/null; }

# piped FILE STATUS ARG...: as fed, through a pipe
piped() {
    mkfifo "$work/pipe"
    cat "$1" >"$work/pipe" 2>/dev/null &
    feeder=$!
    shift
    fed "$work/pipe" "$@"
    status=$?
    wait $feeder
    rm "$work/pipe"
    return $status
}

there() { "$command" shm info "$@" >/dev/null 2>&1; }
sum_is() { # NAME SUM
    run 0 shm sum "$1" && is "$2"
}

run 125 shm && complained ptoolsd && run 125 shm create --keep a int8 10 && run 125 stasks && [ ! -e "$PTOOLS_DIR" ]
check "where no daemon runs, none is started"

start_daemon no
check "the daemon is ready"

# -- create, look, remove ---------------------------------------------------------------------------

run 0 shm --json && is '{"schema":1,"arrays":[]}'
check "at first there is no array"
run 0 shm create --keep a float64 3,4 && is "" && sum_is a 0
check "an array is created, and is zero"
run 0 shm && said '^NAME' && said '^a .*float64.*3,4.*row.*ready'
check "it is listed"
run 0 shm info a && said '^type *float64' && said '^dimensions *3,4' && said '^bytes *96' && said '^kept *yes'
check "info tells all about it"
run 0 shm info --json a && said '"name":"a"' && said '"dims":\[3,4\]' && said '"mapped_by":\['
check "also as JSON"
run 125 shm create --keep a float64 3,4 && complained EXISTS
check "125: the name is taken"
run 0 shm create --keep --replace --order column a int32 2,3,2 && run 0 shm info a && said '^order *column'
check "--replace, --order"
run 0 shm create --keep --prefix p a uint8 5 && run 0 shm fill --prefix p a 7 &&
    run 0 shm sum --prefix p a && is 35 && sum_is a 0
check "the same name under another prefix is another array"
run 0 shm ls --prefix p --json && said '"prefix":"p"' && ! said '"type":"int32"'
check "ls --prefix"
run 0 shm fill a -3 && sum_is a -36 && run 2 shm fill a 2147483648 && complained "whole numbers from" && sum_is a -36
check "fill and sum; what does not fit is refused"
run 0 shm head -n 2 a && is "$(printf '0,0\t-3\t-3\n0,1\t-3\t-3')"
check "head"
run 0 shm head -n 1 --json a && is '{"schema":1,"head":[[-3,-3]]}' &&
    run 0 shm sum --json a && is '{"schema":1,"sum":-36}'
check "head and sum as JSON"
run 0 shm sum --owner "$(id -u)" a && run 125 shm sum --owner 4242 a && complained NO_ARRAY &&
    run 125 shm info --owner 4242 a
check "--owner"
run 125 shm sum nosuch && complained NO_ARRAY && run 125 shm info nosuch && complained '"nosuch"'
check "125: no such array"
run 0 shm create --keep b int8 1 && run 125 shm rm b nosuch && complained nosuch && ! there b && run 0 shm rm a &&
    run 0 shm rm --prefix p a && run 0 shm --json && is '{"schema":1,"arrays":[]}'
check "rm, also of several of which one is missing"
run 125 shm create --keep huge int8 4000000000000000000 && complained 'LIMIT\|NO_SPACE' && ! there huge
check "125: too large"
run 0 shm create --keep --huge --populate a int8 1000 && there a && run 0 shm rm a
check "--huge and --populate are taken"

# -- how long it lives -------------------------------------------------------------------------------

run 0 shm create --for 100ms brief int8 10
while there brief; do :; done
run 125 shm info brief
check "--for: it ends when its time is over"

mkfifo "$work/in" "$work/notice"
# hold ARG...: `shm create` in the background; returns when it has said that the array is there
hold() {
    "$command" shm create "$@" <"$work/in" 2>"$work/notice" &
    holder=$!
    exec 8>"$work/in" 9<"$work/notice"
    read -r notice <&9
}
hold mine float32 100
case $notice in *"lives until"*) there mine ;; *) false ;; esac
check "without --keep it is said that the array lives as long as the command"
exec 8>&-
wait $holder && { while there mine; do :; done; }
check "and both end with standard input"
hold mine float32 100
kill -TERM $holder
wait $holder 2>/dev/null
[ $? -eq 143 ] && { while there mine; do :; done; }
check "or with a signal"
holder=
exec 8>&- 9<&-

# as_other STATUS ARG...: by another user, who is let in for this
as_other() {
    as="setpriv --reuid=65534 --regid=65534 --clear-groups"
    run "$@"
    status=$?
    as=
    return $status
}
if [ "$(id -u)" -eq 0 ] && setpriv --reuid=65534 --regid=65534 --clear-groups "$command" --version >/dev/null 2>&1; then
    chmod 711 "$work" "$PTOOLS_DIR"
    chmod 666 "$PTOOLS_DIR"/*.sock "$PTOOLS_DIR"/*.fds
    run 0 shm create --keep --share 65534 shared int8 5 && run 0 shm fill shared 2 && run 0 shm create --keep own int8 5 &&
        as_other 0 shm sum --owner 0 shared && is 10 && as_other 0 shm info --owner 0 shared && said '^user *0' &&
        as_other 0 shm head -n 1 --owner 0 shared && is 2 && as_other 0 shm get --raw --owner 0 shared &&
        [ "$(wc -c <"$work/out")" -eq 5 ] && as_other 0 shm && said '^shared' && ! said '^own'
    check "an array that is shared is seen and read by another user"
    as_other 125 shm sum shared && complained NO_ARRAY && as_other 125 shm sum --owner 0 own && complained NO_ARRAY &&
        as_other 125 shm info --owner 0 own && as_other 125 shm rm shared && there shared && run 0 shm rm shared own
    check "only if it is asked for as that of its owner, and not another one"
    chmod 700 "$work" "$PTOOLS_DIR"
    chmod 600 "$PTOOLS_DIR"/*.sock "$PTOOLS_DIR"/*.fds
else
    n=$((n + 1))
    echo "ok $n - arrays of other users # SKIP only root can be another user"
fi

# -- files -----------------------------------------------------------------------------------------------

run 0 shm create --keep --file "$work/back" --file-mode w+ --offset 4096 f uint16 100 && run 0 shm fill f 258 &&
    [ "$(tail -c +4097 "$work/back" | head -c 4 | od -An -tx1 | tr -d ' ')" = 02010201 ] && run 0 shm rm f
check "an array in a file"
run 0 shm create --keep --file "$work/back" --file-mode r --offset 4096 f uint16 100 && sum_is f 25800 &&
    run 125 shm fill f 1 && complained 'may not be written' && run 125 shm put f "$work/back" &&
    complained 'may not be written' && sum_is f 25800 && run 0 shm rm f
check "one that is only read"
run 125 shm create --keep --file "$work/none" f int8 10 && complained "none" && ! there f
check "125: the file is not there"

# -- put and get -------------------------------------------------------------------------------------------

printf '1,2,3\n4,5,6.5\n' >"$work/t.csv"
run 0 shm put t "$work/t.csv" && run 0 shm head t && is "$(printf '1\t2\t3\n4\t5\t6.5')" &&
    run 0 shm info t && said '^kept *yes'
check "put creates an array from CSV, kept"
run 0 shm get t && cp "$work/out" "$work/t.npy" && head -c 6 "$work/t.npy" | tail -c 5 | grep -q NUMPY &&
    run 0 shm put --replace --for 1h u "$work/t.npy" && run 0 shm get u && cmp "$work/out" "$work/t.npy"
check "get writes a .npy file, and put reads it"
run 0 shm create --keep --order column c float64 2,3 && piped "$work/t.npy" 0 shm put c && run 0 shm head c &&
    is "$(printf '1\t2\t3\n4\t5\t6.5')" && run 0 shm get --raw c && [ "$(wc -c <"$work/out")" -eq 48 ]
check "an element keeps its indices, whatever the order"
cp "$work/t.npy" "$work/short.npy"
truncate -s -1 "$work/short.npy"
run 0 shm fill t 9
piped "$work/short.npy" 125 shm put t && complained 'only 47 bytes' && fed "$work/short.npy" 125 shm put t &&
    complained '47 bytes' && sum_is t 54 && piped "$work/short.npy" 125 shm put new && ! there new
check "what ends early changes nothing and leaves nothing"
printf x >>"$work/short.npy"
printf x >>"$work/short.npy"
piped "$work/short.npy" 125 shm put t && complained 'more than 48 bytes' && sum_is t 54
check "nor does what is too long"
printf '1,2,3\n4,5,six\n' >"$work/bad.csv"
run 2 shm put t "$work/bad.csv" && complained 'line 2, column 3: "six"' && sum_is t 54
check "nor does a table with a mistake, which is told with its place"
printf '1,2,\377\033x\n4,5,6\n' >"$work/bad.csv"
run 2 shm put t "$work/bad.csv" && complained 'line 1, column 3: "\\xff\\x1bx"' && sum_is t 54
check "a field that is no text is shown as what it is"
run 125 shm put t /dev/zero --csv && complained 'too many for CSV of the array "t"' && sum_is t 54
check "CSV without an end is not read until memory is over"
printf '1,2\n3,4\n' >"$work/small.csv"
run 125 shm put t "$work/small.csv" && complained 'MISMATCH' && complained '2 lines of 2 numbers' && sum_is t 54
check "nor does one of another shape"
run 0 shm create --keep w int16 2,3 && run 125 shm put w "$work/t.npy" && complained 'float64\[2,3\]' &&
    complained 'int16\[2,3\]' && sum_is w 0
check "nor one of another type; both are told"
run 2 shm put t "$0" && complained '.npy' && run 2 shm put --raw nosuch "$0" && complained -- '--type and --dims'
check "what a file is must be told if it is no .npy"
head -c 12 /dev/zero | tr '\0' '\1' >"$work/raw"
run 0 shm put --raw --type uint8 --dims 3,4 r "$work/raw" && sum_is r 12 &&
    run 0 shm put --raw --type bool --dims 12 rb "$work/raw" && sum_is rb 12 &&
    run 125 shm put --raw r "$0" && sum_is r 12
check "raw elements, exactly as many"
printf '\1\2' >"$work/two"
run 2 shm put --raw --type bool --dims 2 rc "$work/two" && complained 'element 1 is 2' && ! there rc
check "a bool is 0 or 1"
run 0 shm create --keep big float64 8388608 && run 0 shm fill big 1.5 && sum_is big 12582912 &&
    run 0 shm get --raw big && [ "$(wc -c <"$work/out")" -eq 67108864 ] && mv "$work/out" "$work/big" &&
    run 0 shm put --raw --type float64 --dims 8388608 big2 "$work/big" && piped "$work/big" 0 shm put --raw big &&
    sum_is big2 12582912 && sum_is big 12582912 && rm "$work/big"
check "64 MiB, by file and by pipe"
"$command" shm get big >/dev/full 2>"$work/err"
[ $? -eq 125 ] && complained 'No space left'
check "125: standard output cannot be written"
unread 141 shm get big && quiet && run 0 shm rm big big2
check "141: whoever was to read it has gone"

# -- numpy -------------------------------------------------------------------------------------------------

if /usr/bin/python3 -c 'import numpy' 2>/dev/null; then
    /usr/bin/python3 - "$command" "$work" >"$work/out" 2>"$work/err" <<'PYTHON'
import io, subprocess, sys
import numpy

command, work = sys.argv[1:]


def shm(*words, data=None):
    return subprocess.run([command, "shm", *words], input=data, stdout=subprocess.PIPE, check=True).stdout


def example(dtype, shape, order):
    n = int(numpy.prod(shape))
    if dtype == "bool":
        x = numpy.arange(n) % 3 == 0
    else:
        x = (numpy.arange(n) * 7 % 120).astype(dtype)
        if dtype.startswith("complex"):
            x = x + x.dtype.type(1j) * x[::-1]
        elif not dtype.startswith("uint"):
            x = x - x.dtype.type(60)
    return numpy.asarray(x.reshape(shape), order=order)


def same(x, y):
    return x.dtype == y.dtype and x.shape == y.shape and (x == y).all()


for dtype in ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64",
              "complex64", "complex128", "bool"]:
    for shape in [(7,), (3, 4), (2, 3, 4), (2, 1, 3, 1, 2, 1, 1, 2)]:
        for order in "CF":
            x = example(dtype, shape, order)
            numpy.save(work + "/x.npy", x)
            shm("put", "--replace", "np", work + "/x.npy")
            with open(work + "/y.npy", "wb") as f:
                f.write(shm("get", "np"))
            y = numpy.load(work + "/y.npy")
            assert same(x, y) and (x.flags.fnc == y.flags.fnc or len(shape) == 1), (dtype, shape, order)
            other = "row" if order == "F" else "column"
            dims = ",".join(map(str, shape))
            shm("create", "--keep", "--replace", "--order", other, "np", dtype, dims)
            with open(work + "/x.npy", "rb") as f:
                shm("put", "np", data=f.read())
            y = numpy.load(io.BytesIO(shm("get", "np")))
            assert same(x, y), (dtype, shape, order, "to the other order")
            total = shm("sum", "np").decode().strip()
            if dtype.startswith("complex"):
                assert complex(total.replace("i", "j")) == x.astype("complex128").sum(), (dtype, total)
            else:
                assert float(total) == float(x.astype("float64").sum()), (dtype, total)

x = numpy.array([[1.5, -2.25e-300, numpy.nan], [numpy.inf, 0.1, 1e300]])
numpy.savetxt(work + "/x.csv", x, delimiter=",")
shm("put", "--replace", "np", work + "/x.csv")
assert numpy.array_equal(x, numpy.load(io.BytesIO(shm("get", "np"))), equal_nan=True)

for bad in [x.astype(">f8"), x.astype("float16"), numpy.array(["a"]), numpy.array(3.0), numpy.zeros((0, 3)),
            numpy.zeros(3, dtype=[("a", "f8")]), numpy.zeros((1,) * 9)]:
    data = io.BytesIO()
    numpy.save(data, bad)
    r = subprocess.run([command, "shm", "put", "refused"], input=data.getvalue(), stderr=subprocess.PIPE)
    assert r.returncode == 2 and b"standard input: it" in r.stderr, (bad.dtype, r.stderr)
shm("rm", "np")
PYTHON
    check "numpy loads what get wrote, and put takes what numpy saved"
else
    n=$((n + 1))
    echo "ok $n - numpy loads what get wrote, and put takes what numpy saved # SKIP python3-numpy is not installed"
fi

# -- server tasks --------------------------------------------------------------------------------------------

run 0 stasks --json && is '{"schema":1,"stasks":[]}' && run 125 stasks stop nosuch && complained NO_STASKS
check "at first there are no server tasks"
"$start_stasks" heat 2 >"$work/out" 2>"$work/err" && run 0 stasks && said '^heat *2 *2' &&
    said '^heat.0 ' && said '^heat.1 .*idle'
check "server tasks are listed, with each of them"
run 0 stasks ls --json && said '"name":"heat"' && said '"index":1' && run 0 shm && said '^heat-data '
check "also as JSON, and their arrays as those of others"
run 125 stasks stop heat nosuch && complained NO_STASKS && run 0 stasks --json && is '{"schema":1,"stasks":[]}' &&
    ! there heat-data
check "stop ends them and their arrays, also if another one is missing"
"$start_stasks" again 1 >"$work/out" 2>"$work/err" && run 0 stasks stop --timeout 0 again
while "$command" stasks --json | grep -q '"name":"again"'; do :; done
run 125 stasks stop again
check "stop --timeout 0 only asks"

# -- the end ---------------------------------------------------------------------------------------------------

hold mine float32 100
stop_daemon
check "the daemon ends with 0, arrays or not"
wait $holder
status=$?
cat <&9 >"$work/err"
[ $status -eq 125 ] && complained 'the array with it'
check "125: a command that waits with its array is told"
holder=
exec 8>&- 9<&-
rmdir "$PTOOLS_DIR" 2>"$work/err"
check "and nothing is left behind"
echo "1..$n"
