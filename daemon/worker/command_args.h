/* SPDX-License-Identifier: MIT */
/*
 * command_args -- what command.run is told: one map, or two, of which the second goes before the first; and the
 * environment that comes of it.
 */
#ifndef WORKER_COMMAND_ARGS_H
#define WORKER_COMMAND_ARGS_H

#include <stdbool.h>

#include "daemon/worker/task.h"

enum { COMMAND_STATUS_BYTES = 32 };

struct command_args {
    char **argv; /* ended by NULL; before it there is room for one more */
    uint32_t argc;
    const msgpack_object *env, *set_env, *arrays; /* NULL: not said */
    const char *cwd;                              /* "/" */
    const char *stdin_file;                       /* NULL: none */
    const uint8_t *input;                         /* what it reads; NULL: not said */
    size_t input_bytes;
    const char *stage; /* NULL: none */
    int umask;         /* -1: as it is */
    int nice;
    uint32_t cpus;    /* 0: any */
    uint32_t pids;    /* processes and threads at a time; 0: no limit */
    uint64_t mem;     /* 0: no limit */
    uint64_t out_max; /* 0: not said */
    uint64_t inline_max;
    uint32_t attempt; /* as the command is told */
    bool merge, fail;
    uint8_t ok[COMMAND_STATUS_BYTES]; /* a bit for each exit status that is success */
};

/* Everything lies in the task's zone or arguments. PTOOLS_OK, or the task has failed. */
ptools_err command_args_read(struct ptools_task *t, struct command_args *ret);

static inline bool command_status_ok(const struct command_args *a, int status)
{
    return a->ok[status / 8] & 1 << status % 8;
}

/* The environment: env, or that of this process; then set_env; then the variables of the task. */
struct command_environment {
    struct ptools_task *task;
    char **entries; /* ended by NULL */
    uint32_t n, max;
    uint32_t *slots, mask; /* by name: 1 + the index in entries, or 0 */
};

/* more: how many variables will be added with command_environment_put(). */
ptools_err command_environment_make(struct ptools_task *t, const struct command_args *a, uint32_t more,
                                    struct command_environment *ret);
/* NAME=value, instead of one that is there, or (weak) only if none is. */
ptools_err command_environment_put(struct command_environment *e, bool weak, const char *format, ...)
    __attribute__((__format__(__printf__, 3, 4)));
/* The value; NULL: there is none. */
const char *command_environment_get(const struct command_environment *e, const char *name);

#endif
