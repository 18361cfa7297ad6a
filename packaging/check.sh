#!/bin/bash
# check.sh [MODE...] -- builds and runs the tests, each mode in a build directory of its own, and closes with
# one line: N passed, M failed. Before it stands what failed. Counted are the single tests of each program, not
# the programs.
#
#   --plain          all tests (the default)
#   --asan           all tests under AddressSanitizer and UndefinedBehaviorSanitizer
#   --tsan           the threaded client under ThreadSanitizer
#   --valgrind       the unit tests under valgrind
#   --fuzz SECONDS   each fuzz target for so long
#   --faults         the programs of tests/fault at their full size, with their figures, and what else tests/fault/README.md
#                    names, which takes an hour and a half; the others have them in short. Peers who send nonsense also to
#                    a daemon under the sanitizers
#   --sim SECONDS    simulated worlds that nobody has seen yet, for so long
#   --analyze        gcc -fanalyzer, clang-tidy, clang's analyser (what scan-build runs) and cppcheck over the daemon, the
#                    client and what they share: nothing found
#   --coverage       the unit tests, the integration tests and the faults, and how much they reach of the core, of what
#                    goes over the wire and of the journal: 90 lines and 80 branches of 100 are asked for. What a
#                    process has reached is lost if it ends by SIGKILL or _exit(): the crashes themselves count nothing
#   --system         the packages, and the service on a machine that is booted for it and thrown away
#   --bench          the benchmarks
set -u

tree=$(cd "$(dirname "$0")/.." && pwd -P)
umask 022
unset PTOOLS_DIR PTOOLS_ADDRESS PTOOLS_MODULE_PATH PTOOLS_DAEMON
passed=0 failed=0 skipped=0
failures=()

usage() {
        sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0"
}

count() { # PASSED FAILED SKIPPED
        passed=$((passed + $1)) failed=$((failed + $2)) skipped=$((skipped + $3))
}

fail() { # one failure that no test could report
        echo "== $1" >&2
        failures+=("$1")
        count 0 1 0
}

# build MODE OPTION...: sets dir. What it says is shown if it fails.
build() {
        local mode=$1
        shift
        dir=$("$tree/packaging/build-dir.sh" "$mode") || return
        echo "== $mode: building in $dir"
        if ! { configure "$@" && ninja -C "$dir"; } > "$dir/check.log" 2>&1; then
                cat "$dir/check.log" >&2
                return 1
        fi
}

# What an earlier run left is used again; if it is of no use (another compiler, another place), it is wiped.
configure() {
        if [ -f "$dir/build.ninja" ]; then
                meson setup --reconfigure "$dir" "$tree" -Dwerror=true "$@" || meson setup --wipe "$dir" "$tree" -Dwerror=true "$@"
        else
                meson setup "$dir" "$tree" -Dwerror=true "$@"
        fi
}

# run MODE ARGUMENT...: `meson test` in dir, counted.
run() {
        local mode=$1 p f s lines
        shift
        rm -f "$dir"/meson-logs/testlog*.json
        meson test -C "$dir" --no-rebuild --print-errorlogs "$@"
        mapfile -t lines < <("$tree/packaging/count.py" "$dir"/meson-logs/testlog*.json)
        if read -r p f s <<< "${lines[0]:-}" && [ -n "$s" ]; then
                count "$p" "$f" "$s"
                failures+=("${lines[@]:1}")
                echo "== $mode: $p passed, $f failed, $s skipped"
        else
                fail "$mode: the tests did not run"
        fi
}

fuzz() { # SECONDS
        local target name options
        for target in "$dir"/tests/fuzz/fuzz_*; do
                [[ -f $target && -x $target ]] || continue
                name=${target##*/fuzz_}
                options=()
                [ ! -f "$target.dict" ] || options=(-dict="$target.dict")
                echo "== fuzz: $name for $1 seconds"
                mkdir -p "$dir/corpus/$name"
                if "$target" "${options[@]}" -max_total_time="$1" -artifact_prefix="$dir/corpus/$name-" "$dir/corpus/$name" \
                        "$tree/tests/fuzz/corpus/$name" > "$dir/corpus/$name.log" 2>&1; then
                        count 1 0 0
                else
                        tail -n 40 "$dir/corpus/$name.log"
                        fail "fuzz: $name has a finding"
                fi
        done
}

whole() { # TEST...: at full size, with what they say of what they measured
        run faults --timeout-multiplier 20 "$@"
        grep -E '^# |: asked ' "$dir/meson-logs/testlog.txt"
}

# One program to a processor, every other one with the real journal; each says from which seed it began, and a failure, which one it was.
sim() { # SECONDS
        local log=$dir/sim.log pids=() options=() from bad=0 i
        from=$(($(date +%s) * 1000000))
        for ((i = 0; i < $(nproc); i++)); do
                if ((i % 2)); then options=(--sqlite --steps 4000); else options=(); fi
                "$dir/tests/sim/sim" --from $((from + i * 1000000000000)) --seconds "$1" "${options[@]}" \
                        > "$log.$i" 2>&1 &
                pids+=($!)
        done
        for ((i = 0; i < ${#pids[@]}; i++)); do
                wait "${pids[i]}" || bad=1
                tail -n 1 "$log.$i"
        done
        if [ "$bad" = 0 ]; then
                count 1 0 0
        else
                fail "sim: something is broken, see $log.*"
        fi
}

# analyse TOOL COMMAND...: it ends with 0 if it has found nothing.
analyse() {
        local tool=$1
        shift
        echo "== analyze: $tool"
        if "$@" > "$dir/$tool.log" 2>&1; then
                count 1 0 0
        else
                cat "$dir/$tool.log"
                fail "analyze: $tool has findings"
        fi
}

# prepare MODE OPTION...: sets dir, in which nothing is built yet.
prepare() {
        local mode=$1
        shift
        dir=$("$tree/packaging/build-dir.sh" "$mode") || return
        if ! configure "$@" > "$dir/check.log" 2>&1; then
                cat "$dir/check.log" >&2
                return 1
        fi
}

# Without malloc-leak: for gcc 12 whatever a list or a hash holds by a member in its midst is lost. That nothing leaks is
# LeakSanitizer's to say, in --asan.
analyze_gcc() {
        CC=gcc prepare analyze-gcc -Dtests=false -Dbuildtype=debug \
                '-Dc_args=-fanalyzer -Wno-analyzer-malloc-leak' || return
        analyse gcc ninja -k 0 -C "$dir"
}

# The checks of clang-tidy are those of .clang-tidy. Not asked for of clang's analyser: unix.Malloc, which knows neither the
# attribute by which a scope frees what is its own nor that what is freed has left its list; valist.Uninitialized, which
# finds every va_list so. Both are the sanitizers' to find. It takes the longest of the four, three to four minutes on two
# processors, and is not scan-build itself: that wants a build, and looks twice at a source that is in two programs.
analyze_clang() {
        CC=clang prepare analyze-clang -Dtests=false -Dbuildtype=debug || return
        analyse clang-tidy run-clang-tidy -quiet -j "$(nproc)" -p "$dir" "^$tree/(client|daemon|proto)/"
        analyse clang-analyzer "$tree/packaging/analyze.py" "$dir" unix.Malloc valist.Uninitialized
}

# Of the system's headers it is shown those that are macros, without which it understands little. Not asked for:
# memleak: it does not know the attribute by which a scope frees what is its own; unknownEvaluationOrder: it takes a
# designator for an assignment.
analyze_cppcheck() {
        dir=$("$tree/packaging/build-dir.sh" analyze-cppcheck) || return
        mkdir -p "$dir/include/sys"
        ln -sf /usr/include/{uthash,utlist}.h "$dir/include"
        ln -sf "/usr/include/$(gcc -print-multiarch)/sys/queue.h" "$dir/include/sys"
        analyse cppcheck env -C "$tree" cppcheck -q -j "$(nproc)" --error-exitcode=1 --std=c11 --inline-suppr \
                --enable=warning,performance,portability --suppress=memleak --suppress=unknownEvaluationOrder \
                --suppress="*:$dir/include/*" -I . -I client/include -I "$dir/include" -D_GNU_SOURCE client daemon proto
}

# covered PART PATH: of the files whose paths begin so.
covered() {
        local summary status
        summary=$(gcovr -r "$tree" -a "$dir/coverage.json" -f "$tree/$2" -s -o "$dir/coverage-$1.txt" \
                --fail-under-line 90 --fail-under-branch 80 2> /dev/null)
        status=$?
        echo "== coverage of the $1: $(sed -n 's/^\(lines\|branches\)/\1/p' <<< "$summary" | paste -sd ' ')"
        if [ $status = 0 ]; then
                count 1 0 0
        else
                fail "coverage: too little of the $1; $dir/coverage-$1.txt tells what is missing"
        fi
}

# Lines of an assertion are not counted, as one branch of it is never taken; nor the branches in the macros of lists and
# hashes, which are not ours; nor what gcov cannot make sense of because a process was killed while it wrote its counts.
coverage() {
        find "$dir" -name '*.gcda' -delete
        run coverage --timeout-multiplier 4 --suite unit --suite integration --suite fault
        if ! gcovr -r "$tree" --object-directory "$dir" -f "$tree/daemon/" -f "$tree/proto/" --json "$dir/coverage.json" \
                --gcov-ignore-parse-errors --exclude-lines-by-pattern '\s*assert\(.*' \
                --exclude-branches-by-pattern '.*\b(HASH|DL|LL|TAILQ|LIST)_[A-Z].*' "$dir" > "$dir/coverage.log" 2>&1; then
                cat "$dir/coverage.log"
                return 1
        fi
        covered core daemon/core/
        covered codec proto/
        covered journal daemon/ptoolsd/journal
}

same_packages() { # DIR: those in it, and those in again below it
        local package
        for package in "$1"/*.deb; do
                cmp "$package" "$1/again/${package##*/}" || return
        done
}

# What this test prints is TAP, and no Meson reads it: so it is counted here.
system() {
        local log name p f
        dir=$("$tree/packaging/build-dir.sh" deb) || return
        log=$dir/check.log
        echo "== system: building packages in $dir"
        if ! "$tree/packaging/deb.sh" "$dir" > "$log" 2>&1; then
                tail -n 40 "$log" >&2
                return 1
        fi
        mkdir -p "$dir/again"
        if "$tree/packaging/deb.sh" "$dir/again" >> "$log" 2>&1 && same_packages "$dir"; then
                count 1 0 0
        else
                fail "system: the packages, built a second time in another place, are others"
        fi
        if lintian --allow-root --tag-display-limit 0 --fail-on error,warning "$dir"/*.deb; then
                count 1 0 0
        else
                fail "system: lintian has something to say"
        fi
        for name in service limits; do
                "$tree/tests/system/$name.sh" "$dir" | tee "$log"
                p=$(grep -c '^ok ' "$log") f=$(grep -c '^not ok ' "$log")
                if grep -q '^1\.\.0 # SKIP' "$log"; then
                        count 0 0 1
                elif ! grep -qx "1\.\.$((p + f))" "$log"; then
                        fail "system: the tests of $name did not run to their end"
                fi
                count "$p" "$f" 0
                mapfile -t -O ${#failures[@]} failures < <(sed -n "s/^not ok/system: $name: not ok/p" "$log")
                echo "== system: $name: $p passed, $f failed"
        done
}

export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
sanitized=(-Db_lundef=false -Dc_args=-fno-sanitize-recover=all)

mode() { # NAME
        case $1 in
        plain)
                build check || return
                run plain
                ;;
        asan)
                build asan "${sanitized[@]}" -Db_sanitize=address,undefined || return
                run asan --timeout-multiplier 4
                ;;
        tsan)
                build tsan "${sanitized[@]}" -Db_sanitize=thread || return
                run tsan --timeout-multiplier 8 threads-unix
                ;;
        valgrind)
                build check || return
                export PTOOLS_TEST_VALGRIND=1 CK_TIMEOUT_MULTIPLIER=10
                run valgrind --timeout-multiplier 20 --suite unit \
                        --wrap 'valgrind -q --error-exitcode=9 --leak-check=full'
                run valgrind --timeout-multiplier 20 calls-unix faults-unix bad_peers-unix daemon-unix arrays-unix stasks-unix
                ;;
        fuzz)
                CC=clang build fuzz -Dfuzzers=true || return
                fuzz "${seconds[fuzz]}"
                ;;
        sim)
                build sim -Dbuildtype=release || return
                sim "${seconds[sim]}"
                ;;
        analyze)
                "$tree/packaging/install-deps.sh" analyze || return
                analyze_gcc && analyze_clang && analyze_cppcheck
                ;;
        coverage)
                "$tree/packaging/install-deps.sh" analyze || return
                build coverage -Dbuildtype=debug -Db_coverage=true -Dc_args=-fprofile-update=atomic || return
                coverage
                ;;
        faults)
                build check || return
                run faults --suite unit --suite integration # which have the cases of many a fault
                FAULT_JOBS=100000 FAULT_KILLS=1000 whole kill-workers
                FAULT_JOBS=100000 FAULT_KILLS=50 whole kill-daemon
                FAULT_ITEMS=10000000 FAULT_KILLS=200 FAULT_HANGS=20 whole kill-items
                FAULT_CALLS=500 whole kill-calls
                FAULT_CALLS=200 whole storage-fails
                FAULT_DAMAGES=2000 whole damaged
                FAULT_CALLS=0 whole no-memory no-memory-worker
                FAULT_POINTS=50 whole calls-fail
                FAULT_LOSSES=1000 whole power-loss
                FAULT_HANGS=50 FAULT_STARTS=200 FAULT_DRAINS=20 FAULT_CHURN=3000 FAULT_ENDED=1000000 FAULT_REPLAY=1000000 \
                        whole processes
                FAULT_POISON=1000 whole poison
                FAULT_BOMBS=1000 FAULT_ROUNDS=100 FAULT_RESULTS=1000 whole bombs
                FAULT_AGES_S=130 FAULT_FLOOD=1000000 FAULT_RACES=1000 FAULT_LEAVERS=200 whole crowds
                FAULT_ARRAYS=10000 FAULT_CUTS=100 whole shared
                SOAK_S=240 whole soak
                FAULT_RACE_S=30 whole storage-full clock-steps stuck security-doors security-ids \
                        security-modules security-processes security-units
                FAULT_MESSAGES=200000 FUZZ_LIVE_S=120 whole live-fuzz
                build asan "${sanitized[@]}" -Db_sanitize=address,undefined || return
                FAULT_MESSAGES=200000 FUZZ_LIVE_S=120 whole live-fuzz
                ;;
        system)
                "$tree/packaging/install-deps.sh" package || return
                system
                ;;
        bench)
                "$tree/packaging/install-deps.sh" bench || return
                build bench -Dbuildtype=release || return
                run bench --benchmark --verbose
                ;;
        esac
}

modes=()
declare -A seconds
while [ $# -gt 0 ]; do
        case $1 in
        --plain | --asan | --tsan | --valgrind | --faults | --analyze | --coverage | --system | --bench) modes+=("${1#--}") ;;
        --fuzz | --sim)
                if ! [[ ${2:-} =~ ^[0-9]+$ ]]; then
                        usage >&2
                        exit 2
                fi
                modes+=("${1#--}")
                seconds[${1#--}]=$2
                shift
                ;;
        --help)
                usage
                exit 0
                ;;
        *)
                usage >&2
                exit 2
                ;;
        esac
        shift
done
"$tree/packaging/install-deps.sh" test || exit 1
for mode in "${modes[@]:-plain}"; do
        mode "$mode" || fail "$mode: there was no build to test"
done

[ "$failed" = 0 ] || printf 'failed: %s\n' "${failures[@]}"
line="$passed passed, $failed failed"
[ "$skipped" = 0 ] || line="$line, $skipped skipped"
echo "$line"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
