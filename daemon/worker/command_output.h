/* SPDX-License-Identifier: MIT */
/*
 * command_output -- what a command writes to its output and its error output: taken from pipes, and kept. See
 * command_output.c.
 */
#ifndef WORKER_COMMAND_OUTPUT_H
#define WORKER_COMMAND_OUTPUT_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/worker/task.h"
#include "proto/bytes.h"

enum { OUTPUT_STREAMS = 2, OUTPUT_TAIL_BYTES = 4096 };

/* Where the streams of a command go. */
struct output_place {
    char path[PATH_MAX]; /* of files, without suffix; "": there are none */
    bool queued;         /* all goes there, as it comes; else what does not fit into the value */
    size_t inline_max;   /* bytes of a stream in the value */
    uint64_t max;        /* bytes of a stream in its file and the one before */
};

struct output {
    const char *suffix; /* ".out" */
    struct output_place *place;
    struct bytes kept; /* the value's part, from the first byte on; empty when there is a file */
    uint64_t bytes;    /* that came */
    uint64_t lost;     /* ... and could not be kept */
    int fd;            /* of the file; -1: there is none */
    bool there;        /* the file, also if it is closed */
    uint64_t file_bytes;
    char tail[OUTPUT_TAIL_BYTES]; /* the last of them */
    size_t tail_n;
};

/* Empty streams, each with its pipe. place is borrowed until output_release(). 0 or -errno. */
int output_begin(struct output streams[OUTPUT_STREAMS], struct output_place *place);
/* Closes files. forget: nobody is going to ask for them. */
void output_end(struct output streams[OUTPUT_STREAMS], bool forget);
/* What was kept is in the value now, or nobody's. */
void output_release(struct output streams[OUTPUT_STREAMS]);
/* The path of a stream's file, with suffix. */
void output_file(const struct output *o, char ret[PATH_MAX]);
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
