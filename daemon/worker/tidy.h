/* SPDX-License-Identifier: MIT */
/*
 * tidy -- what a worker puts in order after a function, and what it looks at now and then.
 *
 * After each task, but not after functions that promise to leave these alone (eight system calls):
 * the timers of setitimer() and alarm() are stopped; signal mask, disposition of SIGCHLD, environment,
 * current directory and umask are as they were; signals that were held back are dropped; children are
 * killed and reaped, with what they leave behind themselves, for the worker is a subreaper.
 *
 * A look is taken after each task that took TIDY_LOOK_US or more here (a command's program leaves nothing in this
 * process: its time does not count), and otherwise every TIDY_LOOK_TASKS tasks but not more often than every
 * TIDY_LOOK_US. It finds out about memory and open descriptors, which travel
 * to the daemon in that task's answer: it decides whether the worker is replaced. And it makes a restore
 * of everything due before the next task, whatever the functions promised: all the above, the dispositions
 * of the other signals, the handlers' stack, and the resource limits (some 60 system calls more).
 *
 * Nothing here delays the answer of the task that made the mess.
 */
#ifndef WORKER_TIDY_H
#define WORKER_TIDY_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "proto/page.h"

enum { TIDY_LOOK_TASKS = 32, TIDY_LOOK_US = 1000, TIDY_SIGNALS = 32 };

struct tidy {
    mode_t umask;
    uint32_t fds_born;                      /* open when the worker was ready */
    char **environ_kept;                    /* how it shall be, ended by NULL */
    char **environ_used;                    /* for functions to change; in the same block, of the same size */
    size_t environ_bytes;                   /* of each */
    struct sigaction signals[TIDY_SIGNALS]; /* the standard ones and the worker's own */
    stack_t stack;                          /* of handlers */
    struct rlimit limits[RLIM_NLIMITS];
    bool limits_lost;                       /* one cannot be raised again; was said */
    unsigned since_look;                    /* tasks */
    uint64_t looked_us;
    bool dirty;                             /* a restore is due ... */
    bool all;                               /* ... of everything */
};

/* Goes to "/", makes the process a subreaper, and takes things as they are now for the way they shall be.
 * 0 or -errno. */
int tidy_init(struct tidy *t);
/* What a module did to environment, signals and limits when it was loaded and started is how they shall
 * be from now on. 0 or -ENOMEM. */
int tidy_accept(struct tidy *t);
/* After a task; everything if a look was taken. */
void tidy_restore(struct tidy *t);
void tidy_restore_all(struct tidy *t);
/* Kills and reaps all children of the process, and theirs. false: it gave up, and said so in the log, for that took a
 * second. */
bool tidy_end_strays(void);
/* A task has ended that took run_us of this process: is it time? */
bool tidy_look_due(struct tidy *t, uint64_t now_us, uint64_t run_us);
/* Resident memory in KiB (0: could not be read), and how many descriptors more are open than at birth. */
void tidy_look(struct tidy *t, struct page *page, uint32_t *ret_kb, uint32_t *ret_fds);

#endif
