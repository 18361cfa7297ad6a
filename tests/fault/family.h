/* SPDX-License-Identifier: MIT */
/* family -- all processes that descend from one: a daemon's workers, and whoever they have started. */
#ifndef TESTS_FAMILY_H
#define TESTS_FAMILY_H

#include <poll.h>
#include <sys/types.h>

enum { FAMILY_MAX = 64 };

struct family {
    unsigned n;
    pid_t pids[FAMILY_MAX];
    struct pollfd ends[FAMILY_MAX]; /* pidfds: readable when it has ended */
};

/* Those below pid, without itself; also zombies. */
void family_below(pid_t pid, struct family *ret);
void family_close(struct family *family);

#endif
