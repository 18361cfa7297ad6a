#!/bin/bash
# install-deps.sh [build|test|bench|analyze|package] -- sees to it that the Debian packages are there that the build
# needs, or the tests too, or also the benchmarks with what they compare with, or what looks for faults in the sources
# and counts what the tests reach, or what builds packages. As root it installs what is missing; otherwise it tells, and
# ends with 1.
set -eu

# dpkg-dev tells Meson which directory of libraries is searched here
build=(gcc libc6-dev dpkg-dev meson ninja-build pkg-config libmsgpack-dev libsystemd-dev libinih-dev
       libunwind-dev libsmartcols-dev libjson-c-dev libzmq3-dev uthash-dev libpng-dev
       libsqlite3-dev libncurses-dev)
tests=(check imagemagick parallel g++ clang llvm libclang-rt-14-dev valgrind python3 python3-zmq python3-msgpack python3-numpy zsh fish tmux
       strace systemd)
# what deb.sh needs, and what boots machines for the tests of the service
package=(debhelper dh-sequence-installsysusers fakeroot lintian systemd-container user-mode-linux)
analyze=(clang-tidy cppcheck gcovr)
bench=(libtext-csv-perl task-spooler nq moreutils libgearman-dev gearman-job-server libhiredis-dev redis-server beanstalkd)

case ${1:-build} in
build) wanted=("${build[@]}") ;;
test) wanted=("${build[@]}" "${tests[@]}") ;;
bench) wanted=("${build[@]}" "${tests[@]}" "${bench[@]}") ;;
analyze) wanted=("${build[@]}" "${tests[@]}" "${analyze[@]}") ;;
package) wanted=("${build[@]}" "${package[@]}") ;;
*)
        echo "usage: install-deps.sh [build|test|bench|analyze|package]" >&2
        exit 2
        ;;
esac

if ! command -v dpkg-query > /dev/null; then
        echo "install-deps.sh knows Debian only. These packages of Debian 12 are needed: ${wanted[*]}" >&2
        exit 1
fi

missing=()
for package in "${wanted[@]}"; do
        state=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2> /dev/null || true)
        [ "$state" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

if [ "$(id -u)" != 0 ]; then
        echo "missing packages; as root: apt-get install --no-install-recommends ${missing[*]}" >&2
        exit 1
fi
echo "installing: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! { apt-get -o DPkg::Lock::Timeout=600 update &&
        apt-get -o DPkg::Lock::Timeout=600 install -y --no-install-recommends "${missing[@]}"; } > "$log" 2>&1; then
        tail -n 40 "$log" >&2
        exit 1
fi
