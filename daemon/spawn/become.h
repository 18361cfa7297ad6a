/* SPDX-License-Identifier: MIT */
/*
 * become -- from a forked child of ptools-spawn to the daemon of a user. See become.c.
 */
#ifndef SPAWN_BECOME_H
#define SPAWN_BECOME_H

#include <stddef.h>
#include <stdint.h>

struct become {
    const char *daemon;    /* absolute: the program */
    const char *dir;       /* of the front's sockets */
    const char *state_dir; /* in which each user has a directory */
    const char *config;    /* file of settings */
};

/* Never returns to the caller's work: the daemon runs in its place, or the process ends with 127, and what went wrong is
 * written to why_fd. The socket becomes descriptor FRONT_LINK_FD, that of its control group (-1: it has none)
 * FRONT_CGROUP_FD. */
_Noreturn void become_daemon(const struct become *b, uint32_t uid, int socket, int group, int why_fd);

#endif
