#!/bin/bash
# kernel.sh PREPARE SCRIPT -- a machine with a kernel of its own, to be thrown away: User-Mode Linux with systemd over a
# copy-on-write image of this machine's root, for tests of what this machine's kernel does not have or let us have. Its
# control groups are those of version 2, with all controllers.
#
#   PREPARE   is run here, as root, with the new machine's root as its argument, before it boots
#   SCRIPT    is run there, as root, at the end of its boot; then it is powered off
#
# The output and the exit status are those of SCRIPT. 77: not possible here, and why. It is slow, has one processor and no
# network.
set -eu
prepare=$1 script=$2

skip() {
        echo "$1"
        exit 77
}

[ "$(id -u)" -eq 0 ] || skip "only root can make the image of a machine"
command -v linux.uml > /dev/null || skip "there is no linux.uml (package user-mode-linux)"
dir=$(mktemp -d /tmp/ptools-kernel-XXXXXX)
mount -t tmpfs -o mode=755 tmpfs "$dir" 2> /dev/null || {
        rmdir "$dir"
        skip "no tmpfs can be mounted"
}
end() {
        umount "$dir/root/tmp" "$dir/root/run" 2> /dev/null || true
        umount "$dir/root" 2> /dev/null || true
        umount -l "$dir"
        rmdir "$dir"
}
trap end EXIT
mkdir "$dir/upper" "$dir/work" "$dir/root"
root=$dir/root
mount -t overlay overlay -o "lowerdir=/,upperdir=$dir/upper,workdir=$dir/work" "$root" 2> /dev/null ||
        skip "no overlay of / can be mounted"

# Another machine: an identity of its own, no file systems to mount, no services but systemd's own and the one below.
: > "$root/etc/machine-id"
: > "$root/etc/fstab"
rm -f "$root"/etc/systemd/system/*.target.wants/* "$root"/etc/rc[2-5].d/S*
mkdir -m 755 "$dir/run"
mkdir -m 1777 "$dir/tmp"
mount --bind "$dir/run" "$root/run"
mount --bind "$dir/tmp" "$root/tmp"
"$prepare" "$root"
rm -f "$root/usr/sbin/policy-rc.d"
mkdir "$root/there" "$root/etc/systemd/system/multi-user.target.wants"  2> /dev/null || true
install -m 755 "$script" "$root/there/script"
cat > "$root/etc/systemd/system/there.service" << 'EOF'
[Unit]
After=multi-user.target
[Service]
Type=oneshot
ExecStart=/bin/sh -c '/there/script > /there/output 2>&1; echo $? > /there/status'
ExecStopPost=/bin/systemctl --no-block poweroff
EOF
ln -s ../there.service "$root/etc/systemd/system/multi-user.target.wants/there.service"

# What the machine has as memory is a file that is mapped.
TMPDIR=$dir timeout "${KERNEL_SECONDS:-300}" linux.uml root=/dev/root rootfstype=hostfs rootflags="$root" rw mem=1536M \
        umid="ptools$$" quiet con=null con0=fd:0,fd:1 init=/lib/systemd/systemd < /dev/null > "$dir/console" 2>&1 || true
if [ ! -s "$root/there/status" ]; then
        tail -n 20 "$dir/console"
        cat "$root/there/output" 2> /dev/null || true
        skip "the machine did not come to its end"
fi
cat "$root/there/output"
exit "$(cat "$root/there/status")"
