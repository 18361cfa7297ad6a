#!/bin/bash
# layers.sh ROOT -- fails if a file includes what its room must not see, and names file and line.
#
#   1. Between rooms the arrows of the house point one way; includes are written from the source root.
#   2. Nobody below the library stands on its API (<ptools/ptools.h>); the programs see nothing else.
#   3. proto and daemon/core are pure: no header that brings a system call, a clock or a log.
set -u
cd "$1" || exit 2
bad=0

complain() { # TEXT HITS
        [ -n "$2" ] || return 0
        printf '%s:\n%s\n\n' "$1" "$2"
        bad=1
}

includes() { # ROOM PATTERN: lines of the room that include what matches
        grep -rnE "^[[:space:]]*#[[:space:]]*include[[:space:]]*$2" "$1" --include='*.[ch]'
}

room() { # ROOM ALLOWED-ROOM...
        local room=$1 allowed
        shift
        [ -d "$room" ] || complain 'a room is missing' "$room"
        allowed=$(printf '%s/[^/"]*"|' "$@") # files of the room itself, not of a room inside
        complain "$room may include: $*" "$(includes "$room" '"' | grep -vE "\"(${allowed%|})")"
}

room proto            proto
room daemon/core      proto daemon/core
room daemon/cgroup    proto daemon/cgroup
room daemon/worker    proto daemon/cgroup daemon/worker
room daemon/ptoolsd   proto daemon/core daemon/cgroup daemon/ptoolsd
room daemon/spawn     proto daemon/cgroup daemon/spawn
room client/lib       proto client/lib
room client/cli       client/cli
room client/examples  client/examples

complain 'client/include may include no room' "$(includes client/include '"')"
for room in proto daemon client tests; do
        complain 'includes are written from the source root' "$(includes "$room" '["<]\.\.?/')"
done
for room in proto daemon; do
        complain "$room must not stand on the client API" "$(includes "$room" '<ptools/ptools\.h>')"
done

# sys/queue.h is macros, sys/uio.h a struct: both are allowed.
impure='<(unistd|fcntl|time|signal|poll|spawn|pthread|threads|syslog|sched|dirent|dlfcn|zmq|systemd/.*|sys/([^qu]|un).*)\.h>'
for room in proto daemon/core; do
        complain "$room is pure: no system call, no clock, no log" "$(includes "$room" "$impure")"
done

exit $bad
