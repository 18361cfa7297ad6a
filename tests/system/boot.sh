#!/bin/bash
# boot.sh start|run|stop DIR [COMMAND...] -- a machine to be thrown away: systemd as process 1 of namespaces of its own,
# over a copy-on-write image of this machine's root; for tests of the service.
#
#   boot.sh start DIR         boots it; DIR is made, and holds what it writes, in memory. 77: not possible here, and why
#   boot.sh run DIR COMMAND   in it, as root, with an empty environment
#   boot.sh stop DIR          powers it off; nothing is left
#
# Needs systemd-container, and to be root with cgroups of one's own. It has no network but its own loopback, and no unit
# enabled but what belongs to systemd itself.
set -eu
action=$1 dir=$2
shift 2

skip() {
        echo "$1"
        exit 77
}

# The cgroup of this shell in each hierarchy that it can make children in, a directory a line.
own_cgroups() {
        local line hierarchy controllers path mount
        while IFS=: read -r hierarchy controllers path; do
                if [ -z "$controllers" ]; then
                        for mount in /sys/fs/cgroup/unified /sys/fs/cgroup; do
                                [ ! -e "$mount/cgroup.procs" ] || { echo "$mount${path%/}"; break; }
                        done
                else
                        mount=/sys/fs/cgroup/${controllers#name=}
                        [ ! -e "$mount/cgroup.procs" ] || echo "$mount${path%/}"
                fi
        done < /proc/self/cgroup
}

leader() { # the machine's process 1, as this machine numbers it
        pgrep -P "$(cat "$dir/nspawn.pid")" | head -n 1
}

start() {
        local i cgroup root=$dir/m/root

        [ "$(id -u)" -eq 0 ] || skip "only root can boot a machine"
        command -v systemd-nspawn > /dev/null || skip "there is no systemd-nspawn (package systemd-container)"
        mkdir -p "$dir/m"
        mount -t tmpfs -o mode=755 tmpfs "$dir/m" 2> /dev/null || skip "no tmpfs can be mounted"
        mkdir "$dir/m/upper" "$dir/m/work" "$root"
        mount -t overlay overlay -o "lowerdir=/,upperdir=$dir/m/upper,workdir=$dir/m/work" "$root" 2> /dev/null || {
                umount "$dir/m"
                skip "no overlay of / can be mounted"
        }
        # Another machine: an identity of its own, services that start when they are told to, and none by itself.
        : > "$root/etc/machine-id"
        rm -rf "$root/usr/sbin/policy-rc.d" "$root/run" "$root"/etc/systemd/system/*.target.wants/*
        mkdir -m 755 "$root/run"
        own_cgroups | sed "s#\$#/ptools-system-$$#" > "$dir/cgroups"
        xargs mkdir -p < "$dir/cgroups" 2> /dev/null || true
        (
                while read -r cgroup; do
                        echo "$BASHPID" > "$cgroup/cgroup.procs" || true
                done < "$dir/cgroups"
                exec setsid systemd-nspawn --quiet --directory "$root" --boot --register=no --keep-unit \
                        --machine=ptools-system --private-network --console=pipe < /dev/null > "$dir/console" 2>&1
        ) 2> /dev/null &
        echo $! > "$dir/nspawn.pid"
        for ((i = 0; i < 1200; i++)); do
                [ -z "$(leader)" ] || [ ! -S "/proc/$(leader)/root/run/systemd/private" ] || break
                kill -0 "$(cat "$dir/nspawn.pid")" 2> /dev/null || i=1200
                sleep 0.05
        done
        if [ -z "$(leader)" ]; then
                tail -n 5 "$dir/console"
                stop
                skip "the machine does not boot"
        fi
        run systemctl is-system-running --wait > /dev/null 2>&1 || true
        # Hierarchies of the old kind come read-only: controllers are for us only when they are not.
        for i in memory pids cpu cpuacct; do
                [ ! -d "/sys/fs/cgroup/$i" ] || run mount -o remount,rw,bind "/sys/fs/cgroup/$i" 2> /dev/null || true
        done
        run systemctl daemon-reexec
}

run() {
        nsenter --target "$(leader)" --all env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 TERM=dumb "$@"
}

stop() {
        local i pid cgroup
        pid=$(cat "$dir/nspawn.pid" 2> /dev/null || true)
        [ -z "$pid" ] || [ -z "$(leader)" ] || run systemctl poweroff > /dev/null 2>&1 || true
        for ((i = 0; i < 200; i++)); do
                [ -n "$pid" ] && kill -0 "$pid" 2> /dev/null && ! grep -q '^State:.Z' "/proc/$pid/status" || break
                sleep 0.05
        done
        [ -z "$pid" ] || kill -KILL "$pid" 2> /dev/null || true
        umount "$dir/m/root" 2> /dev/null || umount -l "$dir/m/root" 2> /dev/null || true
        umount "$dir/m" 2> /dev/null || umount -l "$dir/m" 2> /dev/null || true
        while read -r cgroup; do
                find "$cgroup" -depth -type d -exec rmdir {} + 2> /dev/null || true
        done < "$dir/cgroups"
        rm -rf "$dir"
}

case $action in
start) start ;;
run) run "$@" ;;
stop) stop ;;
*)
        sed -n '2,10s/^# //p' "$0" >&2
        exit 2
        ;;
esac
