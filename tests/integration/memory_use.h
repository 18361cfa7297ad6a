/* SPDX-License-Identifier: MIT */
/*
 * memory_use -- what a test, its daemon and its workers hold of memory: to show that it does not grow.
 *
 * Under the sanitizers it means nothing, for these keep what was freed: then nothing is asserted.
 */
#ifndef TESTS_MEMORY_USE_H
#define TESTS_MEMORY_USE_H

#include "tests/integration/server.h"

/* In KiB. */
struct memory_use {
    uint64_t client, client_peak; /* this process: now, and its most so far */
    uint64_t daemon, daemon_peak;
    uint64_t worker_peak; /* the most that one of those has had that live now */
};

void memory_look(const struct server *s, ptools *pt, struct memory_use *ret);
/* No process has, or had meanwhile, more_kb more than then. */
void memory_assert_flat(const struct memory_use *then, const struct memory_use *now, uint64_t more_kb);

#endif
