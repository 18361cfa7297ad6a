/* SPDX-License-Identifier: MIT */
/*
 * check -- what check.c and check_shared.c have in common. Each part looks at all of its kind: NULL, or the sentence
 * that core_check() gives.
 */
#ifndef CORE_CHECK_H
#define CORE_CHECK_H

#include "daemon/core/state.h"

#define HOLDS(condition, sentence)                                                                                  \
    do {                                                                                                            \
        if (!(condition))                                                                                           \
            return sentence;                                                                                        \
    } while (0)

const char *check_heap(const struct heap *h);
const char *check_arrays(const struct core *core);
const char *check_stasks(const struct core *core);
const char *check_queued(const struct core *core);

#endif
