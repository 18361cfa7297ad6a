/* SPDX-License-Identifier: MIT */
/*
 * command_tree -- the processes that a command has started, and theirs, wherever they have gone.
 */
#ifndef WORKER_COMMAND_TREE_H
#define WORKER_COMMAND_TREE_H

#include <signal.h>
#include <sys/types.h>

struct pollfd;

/* SIGTERM to the command's process group, and to all that descends from this process and is not in it. */
void tree_terminate(pid_t group);
/* A child of this process, or 0: there is none, or none can be found. */
pid_t tree_child(void);

#endif
