/* SPDX-License-Identifier: MIT */
/*
 * calls_fail_deeds -- what a client does while a system call fails: something of everything that a daemon has to make
 * calls for. Each deed comes well to its end, or tells why not; what is said to be well is: no value is another.
 */
#ifndef TESTS_FAULT_CALLS_FAIL_DEEDS_H
#define TESTS_FAULT_CALLS_FAIL_DEEDS_H

#include <stdbool.h>
#include <stdint.h>

#include <ptools/ptools.h>

enum { DEEDS_WORKERS = 2, DEEDS_KEPT_MAX = 256, DEEDS_WAIT_MS = 10000 };

/* Tasks that were accepted to be kept; in shared memory, if the client is another process than the test. */
struct kept {
    unsigned n;
    uint64_t ids[DEEDS_KEPT_MAX];
};

struct client {
    ptools *pt;
    const char *dir;         /* of the daemon */
    bool (*has_ended)(void); /* it: what is queued would wait for the next one */
    struct kept *kept;
    const char *story; /* of the deed that failed; "" if it tells none */
};

/* A handle; NULL: story tells why not, and the code is *ret. */
ptools *deeds_open(struct client *c, ptools_err *ret);

/* The name of deed i, from 0; NULL: there is none. */
const char *deeds_name(unsigned i);
ptools_err deeds_act(struct client *c, unsigned i);
/* A durable task is accepted and done: it is all there, the journal, too. */
ptools_err deeds_durable(struct client *c);
/* All that was accepted is known, and gets done; asserted. Those that had no worker to run in may have ended otherwise,
 * with a reason, if that is said. */
void deeds_assert_kept(struct client *c, bool may_fail);

#endif
