/* SPDX-License-Identifier: MIT */
/*
 * command_limits -- what a command may use, in the control group of the worker that runs it. See command_limits.c.
 */
#ifndef WORKER_COMMAND_LIMITS_H
#define WORKER_COMMAND_LIMITS_H

#include <stdbool.h>
#include <stdint.h>

enum { LIMITS = 4, LIMIT_BYTES = 64 };

struct command_args;

struct command_limits {
    bool memory;                   /* the group limits it */
    uint64_t oom_kills;            /* in this group, before the command */
    char before[LIMITS][LIMIT_BYTES]; /* "": that one was not changed */
};

/* The group of this worker, kept open; -1: it has none. */
void command_limits_configure(int cgroup_fd);
/* 0, or -errno: none was changed; -EOPNOTSUPP: the number of processes cannot be limited. */
int command_limits_set(const struct command_args *a, struct command_limits *ret);
/* As they were before. */
void command_limits_end(const struct command_limits *l);
/* Whether the kernel has killed somebody of it for lack of memory. */
bool command_limits_out_of_memory(const struct command_limits *l);

#endif
