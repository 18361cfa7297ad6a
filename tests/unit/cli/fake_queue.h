/* SPDX-License-Identifier: MIT */
/*
 * fake_queue -- stands where libptools stands: a queue of six tasks that never move, and a record of what was asked of
 * it. A program that links fake_queue.c needs no daemon.
 *
 *     11 queued   math.square(12), priority 3, tags night and run:7      14 failed   said "no"
 *     12 running  math.primes, in worker 2                                15 waiting  on hold, key k1, priority inf
 *     13 done     math.square(12), 144                                    16 dead
 */
#ifndef TESTS_CLI_FAKE_QUEUE_H
#define TESTS_CLI_FAKE_QUEUE_H

#include <ptools/ptools.h>
#include <ptools/queue.h>

/* What was asked since the last time this was called, a line each; valid until the next. */
const char *fake_asked(void);

#endif
