/* SPDX-License-Identifier: MIT */
/*
 * crew -- standing children that are asked over stream sockets: the least that server tasks can cost.
 *
 * A frame of 40 bytes goes to each, each does its work and answers with a frame, and who asked waits for all. Both
 * sides sleep in poll and then recv: a blocking recv on a stream socket also wakes when the other side reads. No call
 * by name, no arguments, no failures, no state.
 */
#ifndef TESTS_BENCH_CREW_H
#define TESTS_BENCH_CREW_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { CREW_MAX = 4 };

/* What child i does when it is asked. */
typedef uint64_t (*crew_work)(unsigned i, void *arg);

struct crew {
    unsigned n;
    pid_t pids[CREW_MAX];
    int sockets[CREW_MAX]; /* the ends of who asks */
    uint64_t asked;
};

void crew_start(struct crew *crew, unsigned n, crew_work work, void *arg);
/* Asks all and waits for all: what each answered. */
void crew_call(struct crew *crew, uint64_t answers[CREW_MAX]);
void crew_stop(struct crew *crew);

#endif
