#!/bin/bash
# build-dir.sh NAME -- makes and prints the directory for a build of that kind: build/NAME in the tree, or
# ptools/NAME in the user's cache where the tree will not do. It does if it can be written to, and if nobody
# but this user and root can change what lies below it: workers refuse modules from any other place.
set -eu

name=$1
tree=$(cd "$(dirname "$0")/.." && pwd -P)
umask 022

# Every directory down to $1: owned by root or this user; writable by nobody else, or sticky (/tmp).
is_safe() {
        local path=$1 owner mode

        while :; do
                read -r owner mode < <(stat -c '%u %a' "$path")
                [ "$owner" = 0 ] || [ "$owner" = "$(id -u)" ] || return 1
                (((8#$mode & 8#22) == 0 || (8#$mode & 8#1000) != 0)) || return 1
                [ "$path" != / ] || return 0
                path=$(dirname "$path")
        done
}

if [ -n "${PTOOLS_BUILD_DIR:-}" ]; then
        dir=$PTOOLS_BUILD_DIR/$name
        mkdir -p "$dir"
else
        dir=$tree/build/$name
        if ! { mkdir -p "$dir" && [ -w "$dir" ] && [ -O "$dir" ] && is_safe "$dir"; } 2> /dev/null; then
                dir=${XDG_CACHE_HOME:-$HOME/.cache}/ptools/$name
                mkdir -p "$dir"
        fi
fi
cd "$dir"
pwd -P
