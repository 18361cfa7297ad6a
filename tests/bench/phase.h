/* SPDX-License-Identifier: MIT */
/*
 * phase -- one measurement: a client in a process of its own calls for a given time, and what it saw
 * comes back.
 *
 * Whatever is measured (the floor, ptools, a peer) runs through here, so that all are timed alike: the
 * client calls in a closed loop and tells meter_tick() how many answers came; after a warm-up the meter
 * counts for load.ms and then says stop. Only the answers inside that window count. Context switches are
 * those of the same window, of the client and of the watched processes: all that take part in a call.
 *
 * Where the scheduler puts these processes decides more about one call than what they do: side by side on
 * one core a wake-up costs half of what it costs across two, and it changes its mind between phases. So a
 * load can be held on one core: slower in bulk, but there the work alone tells two subjects apart.
 *
 * Figures never fail here; whatever goes wrong fails the test through Check.
 */
#ifndef TESTS_BENCH_PHASE_H
#define TESTS_BENCH_PHASE_H

#include <check.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { PHASE_WARM_MS = 50, PHASE_WATCHED_MAX = 8 };

struct load {
    unsigned outstanding; /* 1: each call is timed; more: answers are only counted */
    unsigned workers;
    unsigned ms;
    bool one_core; /* client and watched processes all run on the first processor */
};

struct figures {
    double p50_us, p99_us; /* 0 unless one call was outstanding        */
    double per_second;
    double switches; /* voluntary ones, a call, of all processes */
    uint64_t calls;  /* with those of the warm-up                */
};

struct meter {
    struct load load;
    pid_t watched[PHASE_WATCHED_MAX];
    size_t n_watched;
    uint64_t began_ns, last_ns; /* of the window; of the last answer          */
    bool warm;
    uint64_t total, counted; /* answers: all, and those of the window      */
    uint64_t switches;       /* before the window                          */
    uint32_t *took_ns;       /* of each call in the window                 */
    size_t n_took, room;
    struct figures figures;
};

typedef void (*phase_client)(struct meter *m, void *arg);

/* Runs the client in a child and waits for it. watched may be NULL if n_watched is 0. */
void phase_run(const struct load *load, const pid_t *watched, size_t n_watched, phase_client client, void *arg,
               struct figures *ret);
/* In the client: n answers came since the last tick. False: the window is over, start no further call. */
bool meter_tick(struct meter *m, unsigned n);

/* For what is measured: ck_assert() makes a system call also when it holds. */
#define phase_assert(expr) ((expr) ? (void)0 : ck_abort_msg("not so: %s", #expr))

/* fork(), and the child does not outlive its parent. */
pid_t phase_fork(void);
/* Ends a child by its id and reaps it. */
void phase_kill(pid_t pid);

#endif
