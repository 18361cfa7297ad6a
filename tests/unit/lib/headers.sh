#!/bin/sh
# SPDX-License-Identifier: MIT
#
# headers.sh INCLUDE-DIR CC... -- each public header compiles alone and twice, as C17 and as C++17, with
# every warning an error. TAP.
include=$1
shift
echo "1..14"
i=0
for header in error value array pfork queue ptools module; do
    for language in c c++; do
        i=$((i + 1))
        printf '#include <ptools/%s.h>\n#include <ptools/%s.h>\nint main(void) { return 0; }\n' $header $header |
            if "$@" -x $language -std=${language}17 -fsyntax-only -Wall -Wextra -Wpedantic -Werror -I "$include" -; then
                echo "ok $i - $header.h as ${language}17"
            else
                echo "not ok $i - $header.h as ${language}17"
            fi
    done
done
