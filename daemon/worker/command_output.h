/* SPDX-License-Identifier: MIT */
/*
 * command_output -- what a command writes to its output and its error output: taken from pipes, and kept. See
 * command_output.c.
 */
#ifndef WORKER_COMMAND_OUTPUT_H
#define WORKER_COMMAND_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/worker/task.h"
#include "proto/bytes.h"

enum { OUTPUT_STREAMS = 2, OUTPUT_TAIL_BYTES = 4096 };

struct output {
    struct bytes kept;  /* the value's part, from the first byte on */
    size_t inline_max;
    uint64_t bytes;     /* that came */
    char tail[OUTPUT_TAIL_BYTES]; /* the last of them */
    size_t tail_n;
};

/* Empty streams, each with its pipe. 0 or -errno. */
int output_begin(struct output streams[OUTPUT_STREAMS], size_t inline_max);
/* The end of a stream's pipe that is written to, and the one that is read. */
int output_write_fd(unsigned stream);
int output_read_fd(unsigned stream);
/* Takes what is there, or (all) everything until there is nothing. */
void output_take(struct output *o, unsigned stream, bool all);
/* Somebody may still write into the pipes: the next command gets others. */
void output_drop_pipes(void);
/* The last lines into the task's log, in the place of what was there. */
void output_log(const struct output streams[OUTPUT_STREAMS], struct ptools_task *t);

#endif
