#!/bin/bash
# limits.sh PACKAGES -- what control groups limit: of commands, workers and users, on a machine whose kernel has all
# controllers (kernel.sh). PACKAGES: the directory with the packages. TAP.
set -u
here=$(cd "$(dirname "$0")" && pwd)
packages=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat > "$work/prepare" << EOF
#!/bin/sh
set -e
mkdir "\$1/packages"
cp "$packages"/*.deb "\$1/packages"
chroot "\$1" sh -c 'dpkg -i /packages/ptoolsd_*.deb /packages/libptools0_*.deb /packages/libptools-dev_*.deb && useradd -m alice && useradd -m bob && useradd -m carl' > "\$1/installed" 2>&1 ||
        { cat "\$1/installed" >&2; exit 1; }
EOF
cat > "$work/script" << 'EOF'
#!/bin/bash
n=0
out=/root/out err=/root/err
check() {
        local status=$?
        n=$((n + 1))
        if [ $status -eq 0 ]; then
                echo "ok $n - $1"
        else
                echo "not ok $n - $1"
                head -c 2000 $out $err | sed 's/^/# /'
        fi
}
as() { runuser -u "$1" -- env HOME="/home/$1" timeout 100 sh -c "cd; $2" > $out 2> $err; }
said() { grep -q -- "$1" $out $err; }
both() { # two at a time, so much each
        echo "sh -c 'p() { python3 -c \"x = bytearray($1 << 20); import time; time.sleep(3)\"; }; p & p && wait \$!'"
}
allocate() { echo "python3 -c 'x = bytearray($1 << 20)'"; }

# What is made on the root of this machine is root's: here is where others make files.
for dir in /var/lib/ptools /home/alice /home/bob /home/carl /tmp; do
        mount -t tmpfs tmpfs $dir
done
chown alice: /home/alice && chown bob: /home/bob && chown carl: /home/carl && chmod 1777 /tmp && systemd-tmpfiles --create ptoolsd.conf
systemctl start ptoolsd && systemctl is-active ptoolsd > $out
check "the service is started"
as alice 'ptools run -- cat /proc/self/cgroup' && said '^0::/system.slice/ptools-users.service/[0-9]*-[0-9]*/w[0-9]*-[0-9]*$'
check "a command is in the group of its worker, below that of its user"
as alice 'ptools doctor' && said '^control groups  *ok .*limits of cpu memory pids'
check "doctor: limits of processor time, memory and processes"

as alice "ptools run --mem 200M -- $(allocate 100)"
check "--mem: who takes less is let alone"
as alice "ptools run --mem 64M -- $(allocate 300)"
[ $? -eq 137 ] && said 'killed by signal 9.*out of memory'
check "--mem: who takes more is killed, and that is told"
as alice "ptools run --mem 64M -- $(both 40)"
[ $? -ne 0 ] && said 'out of memory'
check "--mem: all that the command starts counts together"
as alice 'ptools run -- python3 -c "x = bytearray(300 << 20)"'
check "the next command in this worker has no such limit"
as alice "ptools run --mem 64M -- python3 -c 'import mmap; m = mmap.mmap(-1, 1 << 30, flags=0x4022)'"
check "--mem: address space alone is no memory"
as alice 'id=$(ptools submit --mem 64M -- python3 -c "x = bytearray(300 << 20)"); ptools wait $id; ptools info $id' && said '^state  *failed' && said 'out of memory'
check "in the record of a queued task"
as alice 'ptools pmap --mem 64M --joblog log -- python3 -c "x = bytearray({} << 20)" ::: 1 300; ptools pmap --mem 64M -- python3 -c "x = bytearray(300 << 20)" ::: 1'
said 'out of memory'
check "of the commands of pmap"

as alice 'ptools run --pids 8 -- sh -c "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 1 & done; wait"'
said 'fork\|Resource temporarily'
check "--pids: who starts more cannot"
as alice 'ptools run --pids 30 -- sh -c "for i in 1 2 3 4; do sleep 0.1 & done; wait"'
check "--pids: who starts less does not notice"
as alice 'ptools submit --cpus 1 -- sh -c "echo >began; sleep 1000"'
until [ -e /home/alice/began ]; do sleep 0.1; done
cat /sys/fs/cgroup/system.slice/ptools-users.service/"$(id -u alice)"-*/w*/cpu.max > $out && said '^100000 100000$'
check "--cpus is a limit of processor time, too"
as alice 'ptools cancel last'
mkdir -p /etc/ptools/users.d
printf '[workers]\nmemory_max=100M\npids_max=64\ncpu_max=50\ncount=1\n' > /etc/ptools/users.d/bob.conf
as bob 'ptools run -- true'
group=$(echo /sys/fs/cgroup/system.slice/ptools-users.service/"$(id -u bob)"-*/w1-*)
[ "$(cat "$group/memory.max" "$group/pids.max" "$group/cpu.max" 2> $err | tr '\n' ' ')" = '104857600 64 50000 100000 ' ]
check "workers.memory_max, pids_max and cpu_max of a user are limits of the worker's group"
as bob "ptools run -- $(both 60)"
[ $? -ne 0 ] && said 'out of memory'
check "workers.memory_max holds for all that a worker starts together"
as bob 'ptools run --mem 1G -- true' && [ "$(cat "$group/memory.max")" = 104857600 ]
check "and no command gets more than that"
as bob 'ptools run -- python3 -c "import time; b = time.monotonic(); c = time.process_time()
while time.process_time() - c < 0.5: pass
print(time.monotonic() - b > 0.75)"' && said True
check "workers.cpu_max: half a processor takes twice the time"
as alice 'ptools submit -- sh -c "sleep 1000"' && spawn=$(systemctl show -p MainPID --value ptools-spawn) && kill -KILL "$spawn"
for ((i = 0; i < 300; i++)); do
        [ "$(systemctl show -p MainPID --value ptools-spawn)" = "$spawn" ] || ! systemctl is-active --quiet ptools-spawn || break
        sleep 0.1
done
systemctl is-active ptools-spawn > $out && as alice 'ptools ls --state running' && said running
check "ptools-spawn is killed: the next one is there, and what runs goes on"
systemctl restart ptools-spawn > $out 2> $err && as alice 'ptools ls --state running' && said running && as carl 'ptools run -- cat /proc/self/cgroup' &&
        said 'ptools-users.service/'
check "it is restarted: what runs goes on, and those who come have groups"
echo "1..$n"
EOF
chmod +x "$work/prepare" "$work/script"
"$here/kernel.sh" "$work/prepare" "$work/script" > "$work/output"
status=$?
if [ $status -eq 77 ]; then
        echo "1..0 # SKIP $(tail -n 1 "$work/output")"
        sed 's/^/# /' "$work/output"
else
        cat "$work/output"
fi
