/* SPDX-License-Identifier: MIT */
/*
 * no_memory_in -- what a test and the process whose memory runs out share: see no_memory_in.c.
 */
#ifndef TESTS_NO_MEMORY_IN_H
#define TESTS_NO_MEMORY_IN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct no_memory_in {
    char program[32];
    atomic_bool armed, lasts;      /* lasts: all fail that come after it, too */
    _Atomic uint64_t count, fails; /* requests so far; the one that fails, 0: none */
};

#endif
