/* SPDX-License-Identifier: MIT */
/*
 * task_output -- what the command of a queued task writes, copied to our standard output and standard error: what there
 * is, or as it comes until the task has ended. See task_output.c.
 */
#ifndef CLI_TASK_OUTPUT_H
#define CLI_TASK_OUTPUT_H

#include <stdbool.h>
#include <stdint.h>

#include <ptools/ptools.h>
#include <ptools/queue.h>

#include "client/cli/command_line.h"

enum { TASK_OUTPUT_OUT = 1, TASK_OUTPUT_ERR = 2 };
struct task_output_wish {
    uint64_t task;
    unsigned which;        /* TASK_OUTPUT_... */
    bool all;              /* also of attempts that are over when it is first looked at; else from the last one on */
    ptools_future *result; /* of ptools_queued_result(), NULL: none. A daemon that is about to end tells it before it
                              goes, and cannot be asked then. */
    int signals;           /* a descriptor of signals_open() ... */
    /* ... and who is called when one has come: true: go on; false: enough, *status is the exit status. */
    bool (*signalled)(const struct command_line *line, ptools *pt, uint64_t task, int number, int *status);
};

/* What there is of the attempt whose output begins with this path (ptools_queued_info.output). The exit status. */
int task_output_print(const struct command_line *line, const char *output, unsigned which);
/* Until it has ended. *ret_ended: it has, or else a signal came. The exit status. */
int task_output_follow(const struct command_line *line, ptools *pt, const struct task_output_wish *wish,
                       bool *ret_ended);

#endif
