#!/bin/sh
# S8: the units, as they are installed, by systemd-analyze without a systemd. On a machine that is booted for it:
# tests/system/service.sh.
# usage: security_units.sh DIRECTORY-OF-UNITS
command -v systemd-analyze >/dev/null || { echo "1..0 # SKIP there is no systemd-analyze"; exit 0; }
work=$(mktemp -d /tmp/ptools-test-XXXXXX) || exit 99
trap 'rm -rf "$work"' EXIT
n=0

# The programs are not installed where the units start them.
mkdir "$work/user"
for unit in ptoolsd.service ptoolsd.socket ptools-spawn.service ptools-spawn.socket ptools-users.service user/ptoolsd.service user/ptoolsd.socket; do
    sed 's,^ExecStart=[^ ]*,ExecStart=/bin/true,' "$1/$unit" >"$work/$unit"
done

# figure NAME ASKED MEASURED: the last command's status decides
figure() {
    status=$?
    n=$((n + 1))
    if [ $status -eq 0 ]; then
        echo "ok $n - S8 $1: asked $2; measured $3: ok"
    else
        echo "not ok $n - S8 $1: asked $2; measured $3: SHORT"
        sed 's/^/# /' "$work/out"
    fi
}
exposure() {
    timeout 60 systemd-analyze security --no-pager --offline=true --threshold=100 "$1" >"$work/out" 2>&1
    sed -n 's/.*exposure level for .*: \([0-9.]*\) .*/\1/p' "$work/out"
}

of_front=$(exposure "$work/ptoolsd.service")
awk -v x="$of_front" 'BEGIN { exit !(x != "" && x <= 1.5) }'
figure ptoolsd.service "at most 1.5" "$of_front"
[ "$(sed -n 's/^CapabilityBoundingSet=//p' "$1/ptools-spawn.service")" = 'CAP_SETUID CAP_SETGID' ] &&
    grep -q '^NoNewPrivileges=yes' "$1/ptools-spawn.service"
figure ptools-spawn.service "two capabilities and no way to more; for the rest it must do what users do" \
    "$(exposure "$work/ptools-spawn.service")"
for unit in ptoolsd.service ptoolsd.socket ptools-spawn.service ptools-spawn.socket ptools-users.service; do
    timeout 60 systemd-analyze verify --man=no "$work/$unit"
done >"$work/out" 2>&1
for unit in ptoolsd.service ptoolsd.socket; do
    XDG_RUNTIME_DIR=$work timeout 60 systemd-analyze verify --user --man=no "$work/user/$unit"
done >>"$work/out" 2>&1
[ ! -s "$work/out" ]
figure "seven units" "verify has nothing to say" "$(wc -l <"$work/out") lines"
echo "1..$n"
