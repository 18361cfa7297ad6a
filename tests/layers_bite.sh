#!/bin/bash
# layers_bite.sh ROOT -- proves that layers.sh finds what it is for: one planted line each, in a copy.
set -u
tests=$1/tests
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
(cd "$1" && tar -cf - proto daemon client tests) | tar -xf - -C "$copy"

planted=(
        'proto/planted.h|#include "daemon/core/core.h"'
        'proto/planted.c|#include <unistd.h>'
        'proto/planted.c|#include <ptools/ptools.h>'
        'daemon/core/planted.c|#include "daemon/ptoolsd/log.h"'
        'daemon/core/planted.c|#include <time.h>'
        'daemon/core/planted.c|#include <systemd/sd-event.h>'
        'daemon/worker/planted.c|#include "daemon/core/core.h"'
        'daemon/ptoolsd/planted.c|#include "daemon/worker/modules.h"'
        'daemon/ptoolsd/planted.c|#  include "client/lib/handle.h"'
        'client/lib/planted.c|#include "daemon/core/core.h"'
        'client/cli/planted.c|#include "proto/zmtp.h"'
        'client/examples/planted.c|#include "client/lib/handle.h"'
        'client/include/ptools/planted.h|#include "proto/zmtp.h"'
        'client/cli/planted.c|#include "../lib/handle.h"'
        'tests/planted.c|#include "../proto/zmtp.h"'
        'proto/planted.c|#include "zmtp.h"'
)
echo "1..$((${#planted[@]} + 1))"
n=1
told() { # WHAT EXPECTED-STATUS: ok if layers.sh ends so, and, where it is to fail, names the planted file
        local said status=0 verdict=ok
        said=$("$tests/layers.sh" "$copy") || status=$?
        [ "$status" = "$2" ] || verdict='not ok'
        [ "$status" = 0 ] || [[ $said == *planted* ]] || verdict='not ok'
        echo "$verdict $n - $1"
        n=$((n + 1))
}

told 'the tree as it is' 0
for row in "${planted[@]}"; do
        file=$copy/${row%%|*}
        printf '%s\n' "${row#*|}" > "$file"
        told "$row" 1
        rm "$file"
done
