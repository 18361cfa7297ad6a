#!/bin/bash
# try.sh -- from a fresh checkout to the main job: builds ptools and counts the words of some thousand files on
# a pool of worker processes. Nothing is installed outside the build directory but Debian packages that the
# build needs (as root), and nothing keeps running.
set -eu

tree=$(cd "$(dirname "$0")/.." && pwd -P)
umask 022
unset PTOOLS_ADDRESS PTOOLS_MODULE_PATH PTOOLS_DAEMON

"$tree/packaging/install-deps.sh" build
dir=$("$tree/packaging/build-dir.sh" try)
log=$dir/try.log
prefix=$dir/installed # programs and modules find each other there

build() {
        if [ -f "$dir/build.ninja" ]; then
                meson setup --reconfigure "$dir" "$tree" || meson setup --wipe "$dir" "$tree" "$@"
        else
                meson setup "$dir" "$tree" "$@"
        fi && ninja -C "$dir" && meson install -C "$dir" --no-rebuild --only-changed
}

echo "building in $dir"
if ! build --prefix "$prefix" -Dtests=false -Dbuildtype=debugoptimized > "$log" 2>&1; then
        tail -n 40 "$log" >&2
        echo "the build failed; all it said is in $log" >&2
        exit 1
fi

echo "counting every file below /usr/share/common-licenses and /usr/share/doc"
PTOOLS_DIR=$(mktemp -d) # a daemon of its own, whatever else runs on this machine
export PTOOLS_DIR
trap 'rmdir "$PTOOLS_DIR" 2> /dev/null || :' EXIT # if the daemon has not done so at its end
"$dir/client/examples/wordcount" /usr/share/common-licenses /usr/share/doc
