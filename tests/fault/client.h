/* SPDX-License-Identifier: MIT */
/*
 * client -- clients of the programs that kill: processes of their own that submit tasks of a plan, wait for their ends,
 * and write both into the ledger. Never more than `window` of a client's tasks are without an end.
 *
 * When the connection breaks a client opens a new one, as soon as there is a daemon, and sends what had no answer once
 * more, with its key. Anything else that goes wrong fails the test.
 */
#ifndef TESTS_FAULT_CLIENT_H
#define TESTS_FAULT_CLIENT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>

#include <ptools/ptools.h>

#include "tests/fault/check_ledger.h"
#include "tests/fault/ledger.h"

/* Arguments of ptoolsd: it forgets nothing, however many there are, before the ledger is held against it. */
#define CLIENT_KEPT "-o", "queue.user_kept_max=10000000", "-o", "queue.user_kept_bytes_max=8G"

struct plan_task {
    const char *function; /* q.mark or its like: its arguments are the jobs' file, the key, ms */
    uint64_t ms;
    ptools_durability durability;
    uint32_t attempts;
    size_t padding; /* bytes of an argument more */
    bool passing; /* soon forgotten: it may be unknown at any time, and the ledger does not say that it was accepted */
};

/* What was wrong, said by a client's process to that of the test. */
struct client_problem {
    char text[400];
};

struct plan {
    const char *dir;    /* of the daemon */
    const char *ledger; /* its directory */
    unsigned tasks;     /* of each client ... */
    atomic_int *more;   /* ... and on, while that is set; in shared memory; NULL: no more */
    unsigned window;
    void (*task)(unsigned client, unsigned i, struct plan_task *ret);
    bool loses_power;               /* what is not durable may be unknown later: it is not waited for then */
    struct client_problem *problem; /* in shared memory: what is wrong is said there; NULL: it fails the test */
};

/* From client n of the plan: a key is "N-i". Returns its process. */
pid_t client_start(const struct plan *plan, unsigned number);

/* All that the daemon knows of this user against the ledger; asserted to hold. All must have ended. */
void client_assert_ledger(ptools *pt, const char *ledger, bool has_died, struct verdict *ret);

/* 0 to below - 1; the same sequence in each run. */
unsigned pick(unsigned below);
/* Sanitizers make everything slow: no times are asserted then. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { TIMES_COUNT = 0 };
#else
enum { TIMES_COUNT = 1 };
#endif

/* For `more` above: zeroed, shared with children. */
void *shared_memory(size_t bytes);
/* The value of which the part `share` (0.95, 0.99) of all are not larger; sorts them. */
uint64_t percentile(uint64_t *values, size_t n, double share);
/* A figure beside the one that is asked for, printed with ok or SHORT. On a machine that others use, too, it may fall
 * short: only ten times as much is a failure. Not under a sanitizer. */
void figure_below(const char *what, double measured, double asked);

#endif
