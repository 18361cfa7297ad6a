/* SPDX-License-Identifier: MIT */
/*
 * tidy -- what a worker puts in order after a function, and what it looks at now and then.
 *
 * After each task: current directory, umask, signal mask (three system calls; not after functions that
 * promise to leave them alone). After each task that took TIDY_LOOK_US or more, and otherwise every
 * TIDY_LOOK_TASKS tasks but not more often than every TIDY_LOOK_US: memory and open descriptors are
 * looked at, and the worker installs its signal handlers anew, all in all some 20 system calls. What was
 * found travels to the daemon in that task's answer: it decides whether the worker is replaced.
 */
#ifndef WORKER_TIDY_H
#define WORKER_TIDY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "proto/page.h"

enum { TIDY_LOOK_TASKS = 32, TIDY_LOOK_US = 1000 };

struct tidy {
    mode_t umask;
    uint32_t fds_born;   /* open when the worker was ready */
    unsigned since_look; /* tasks */
    uint64_t looked_us;
    bool dirty;          /* a function ran that may have changed directory, umask or mask */
};

/* Goes to "/", and takes things as they are now for the way they shall be. */
void tidy_init(struct tidy *t);
void tidy_restore(struct tidy *t);
/* A task has ended that took run_us: is it time? */
bool tidy_look_due(struct tidy *t, uint64_t now_us, uint64_t run_us);
/* Resident memory in KiB (0: could not be read), and how many descriptors more are open than at birth. */
void tidy_look(const struct tidy *t, struct page *page, uint32_t *ret_kb, uint32_t *ret_fds);

#endif
