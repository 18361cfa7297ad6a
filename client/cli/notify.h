/* SPDX-License-Identifier: MIT */
/*
 * notify -- what `ptools submit --notify` adds to a task: another one, which is `ptools notify`. See verb_notify.c.
 */
#ifndef CLI_NOTIFY_H
#define CLI_NOTIFY_H

#include <ptools/ptools.h>
#include <ptools/queue.h>

#include "client/cli/command_line.h"

/* Queues it, to run when the task has ended, well or not. The exit status; what is wrong was told. */
int notify_queue(const struct command_line *line, ptools *pt, const char *script, uint64_t task,
                 ptools_durability durability);

#endif
