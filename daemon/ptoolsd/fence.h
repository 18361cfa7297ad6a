/* SPDX-License-Identifier: MIT */
/*
 * fence -- no worker of an earlier daemon runs any more when this one gives its first task. See fence.c.
 *
 * The descriptor is to be inherited by the template, and by every process that it forks: that is all they do with it.
 * They must not lock or unlock it, since a lock belongs to what all of them share, the open file; it is gone when the
 * last of them has closed it, or has died. The daemon keeps its own copy, close-on-exec, for templates to come: it
 * goes with the daemon. No other child of the daemon may have it.
 */
#ifndef PTOOLSD_FENCE_H
#define PTOOLSD_FENCE_H

#include <stdint.h>

enum { FENCE_WHY_BYTES = 512, FENCE_WAIT_MS = 5000 };
#define FENCE_NAME "workers.lock"

struct fence_options {
    const char *dir;  /* the state directory, which is locked by this daemon */
    uint64_t wait_ms; /* for workers to end by themselves; 0: FENCE_WAIT_MS */
};

/* Waits for processes of an earlier daemon to end, kills those that have not after wait_ms, and holds the fence.
 * *ret_fd is close-on-exec; *ret_killed: so many were killed. 0 or -errno; why tells. Blocks: for the start, before the
 * loop and before there are threads. */
int fence_open(const struct fence_options *options, int *ret_fd, unsigned *ret_killed, char why[FENCE_WHY_BYTES]);

#endif
