/* SPDX-License-Identifier: MIT */
/*
 * scarce -- memory that runs out when a test says so, for code as it is linked: no second build of it, as failing.h
 * wants one, and for several threads. For programs that are linked with --wrap of malloc, calloc, realloc, strdup and
 * strndup. Counts what msgpack-c asks for, too.
 */
#ifndef TESTS_SCARCE_H
#define TESTS_SCARCE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

extern atomic_bool scarce_armed;      /* to be set only while what is tested runs */
extern _Atomic uint64_t scarce_count; /* requests so far */
extern atomic_bool scarce_lasts;      /* all fail that come after it, too */
extern _Atomic uint64_t scarce_fails; /* the one that fails; 0: none */

/* From now on requests are counted, and the nth fails, until scarce_armed is false; 0: none. */
void scarce_from_now(uint64_t nth);
/* Counts one; true: it is the one. For libraries that can be told where their memory comes from. */
bool scarce_fail_now(void);

#endif
