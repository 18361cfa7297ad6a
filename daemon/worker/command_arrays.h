/* SPDX-License-Identifier: MIT */
/*
 * command_arrays -- shared arrays for a command: it begins with their descriptors, and its environment tells what is
 * where: PTOOLS_ARRAY_NAME_FD, _OFFSET (of the first element, in bytes from the begin of the descriptor), _COUNT,
 * _TYPE, _DIMS and _STRIDES (in bytes), of which these two are lists with commas.
 */
#ifndef WORKER_COMMAND_ARRAYS_H
#define WORKER_COMMAND_ARRAYS_H

#include "daemon/worker/command_args.h"
#include "daemon/worker/command_spawn.h"

enum { ARRAY_VARIABLES = 6 };

struct command_arrays {
    uint32_t n;
    int fds[SPAWN_FDS_MAX];
};

/* How many there are in the list (NULL: none), which is checked later. */
uint32_t command_arrays_count(const msgpack_object *list);
/* Opens them, numbered from first on, and puts the variables. PTOOLS_OK, or the task has failed; to be closed anyhow. */
ptools_err command_arrays_open(struct ptools_task *t, const msgpack_object *list, int first,
                               struct command_environment *e, struct command_arrays *ret);
void command_arrays_close(struct command_arrays *a);

#endif
