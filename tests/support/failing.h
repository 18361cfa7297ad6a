/* SPDX-License-Identifier: MIT */
/*
 * failing -- memory that runs out when a test says so.
 *
 * The code under test is compiled once more with malloc, calloc and realloc renamed to the functions
 * here (see unit/proto/meson.build), so that its own allocations count and nobody else's: neither the
 * test's nor Check's. The loop over all allocations of a piece of code:
 *
 *     for (unsigned nth = 1;; nth++) {
 *         failing_at(nth);
 *         ... run it ...
 *         if (!failing_stop())
 *             break;          // it took fewer than nth: every one of them has failed once
 *     }
 *
 * Not for threads.
 */
#ifndef TESTS_FAILING_H
#define TESTS_FAILING_H

#include <stdbool.h>
#include <stddef.h>

/* The nth allocation from now on fails, nth >= 1; those before and after it do not. 0: none fails, they
 * are counted only. */
void failing_at(unsigned nth);
/* Whether one has failed since failing_at(). From now on none does. */
bool failing_stop(void);
/* Allocations since failing_at(), and the bytes of the largest one. */
unsigned failing_count(void);
size_t failing_largest(void);

/* What malloc, calloc and realloc are renamed to. */
void *failing_malloc(size_t n);
void *failing_calloc(size_t n, size_t size);
void *failing_realloc(void *p, size_t n);

#endif
