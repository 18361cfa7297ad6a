/* SPDX-License-Identifier: MIT */
/*
 * scarce -- memory that runs out when a test says so, for the core as it is linked: no second build of it, as
 * tests/support/failing.h wants one. For programs that are linked with --wrap of malloc, calloc, realloc, strdup and
 * strndup. Counts what msgpack-c asks for, too, where the room that a decoder begins with is not enough.
 */
#ifndef TESTS_CORE_SCARCE_H
#define TESTS_CORE_SCARCE_H

#include <stdbool.h>
#include <stdint.h>

extern bool scarce_armed;     /* to be set only while the core runs */
extern uint64_t scarce_count; /* requests so far */
extern uint64_t scarce_fails; /* the one that fails; 0: none */

#endif
