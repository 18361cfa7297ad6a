#!/bin/bash
# deb.sh [DIR] -- builds the Debian packages of this tree, from packaging/debian, into DIR [build/deb]. Needs what
# packaging/debian/control names, and debhelper and fakeroot; `install-deps.sh package` installs them. What is
# packaged is what is committed.
set -eu

source=$(cd "$(dirname "$0")/.." && pwd)
out=${1:-$source/build/deb}
mkdir -p "$out"
out=$(cd "$out" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Debian's tools want debian/ at the top of the tree; a native package's directory has the name of its version.
tree=$work/ptools-$(sed -n '1s/.*(\(.*\)).*/\1/p' "$source/packaging/debian/changelog")
mkdir "$tree"
git -C "$source" archive HEAD | tar -x -C "$tree"
cp -r "$tree/packaging/debian" "$tree/debian"
# The same time for all files, whenever they were checked out: the same packages.
SOURCE_DATE_EPOCH=$(git -C "$source" log -1 --format=%ct)
export SOURCE_DATE_EPOCH
(cd "$tree" && dpkg-buildpackage --build=binary --no-sign)
mv "$work"/*.deb "$out"
echo "== packages in $out:"
ls "$out"
