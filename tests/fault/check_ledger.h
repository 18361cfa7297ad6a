/* SPDX-License-Identifier: MIT */
/*
 * check_ledger -- a ledger (ledger.h) against what the daemon says of all its tasks.
 *
 *     1  nothing lost      what was accepted is known, in a state; what is volatile only if the daemon has not died,
 *                          what is crashsafe only if its machine has not lost its power. With all_ended: and it has
 *                          ended
 *     2  nothing invented  a task that the daemon knows was sent by somebody, and so was one that a job ran for
 *     3  bounded           no more beginnings than attempts; done means finished at least once; what was begun and is
 *                          said to have failed, or to be lost, may have been executed
 *     4  never concurrent  no two attempts of a key at the same time
 *     5  one ending        all who saw an end saw the same state and the same value, and the daemon says the same
 *     6  one task a key    one id for each key, however often it was sent
 *
 * 0 stands for lines that are none. The tasks of the ledger are expected to have its keys, and to be marks (q.mark).
 */
#ifndef TESTS_CHECK_LEDGER_H
#define TESTS_CHECK_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ptools/queue.h>

enum { INVARIANTS = 6 };

/* What the daemon says. */
struct ledger_daemon {
    /* Task i, from 0; NULL: that was the last. */
    const ptools_queued_info *(*at)(void *arg, size_t i);
    void *arg;
    bool has_died;   /* since the ledger was begun */
    bool lost_power; /* ... and its machine, too */
    bool all_ended;  /* nothing should be waiting or running any more */
};

struct verdict {
    size_t keys, sent, accepted, ended, begun, finished, known; /* how many lines, and tasks, there were */
    size_t broken[INVARIANTS + 1];                              /* how often */
    size_t all_broken;
    char text[2000]; /* the first of them, a line each */
};

/* The number of violations. */
size_t check_ledger(const char *dir, const struct ledger_daemon *daemon, struct verdict *ret);

#endif
