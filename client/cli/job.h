/* SPDX-License-Identifier: MIT */
/*
 * job -- a command for an item, and what came of it. See job.c.
 */
#ifndef CLI_JOB_H
#define CLI_JOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include <ptools/ptools.h>

#include "client/cli/texts.h"

/* What it wrote to one descriptor: in memory, or in a file that is ours to remove. */
struct job_stream {
    char *data;
    size_t n;
    char *file; /* NULL: in memory */
    uint64_t bytes;
};

struct job_outcome {
    ptools_err err;          /* PTOOLS_OK: the command ended, whatever its status */
    int exit_status, signal; /* -1, 0: it has none */
    char *message, *log;     /* of a failure; else NULL */
    struct job_stream out, errors;
    uint64_t lost; /* bytes of both that could not be kept */
    int64_t start_ms; /* since 1970 */
    uint64_t wall_us, user_us, sys_us, peak_kb;
    bool out_of_memory; /* somebody of it was killed for that */
};

struct job {
    TAILQ_ENTRY(job) link;
    uint64_t turn;   /* from 0: in which jobs are begun and shown */
    uint64_t seq;    /* from 1: of the item */
    uint64_t index;  /* of its last attempt, for the library */
    uint64_t due_us; /* when the next one is */
    uint32_t attempts, slot;
    bool passed_over; /* it is not to be run, but has a turn */
    struct texts values, argv;
    char *command; /* argv, quoted on one line; NULL: nobody has asked yet */
    size_t n_command;
    char *block; /* its standard input; NULL: none */
    size_t n_block;
    struct job_outcome outcome;
};
TAILQ_HEAD(job_list, job);

struct job *job_free(struct job *job); /* NULL is welcome, and returned; its files go with it */
/* Argv as a shell would read it. NULL: no memory. */
const char *job_command(struct job *job);

/* Sets the outcome to what the library says. False: no memory. */
bool job_take(struct job *job, const ptools_item *item, int64_t now_ms);
void job_forget_outcome(struct job *job); /* there is to be another attempt */

bool job_good(const struct job *job);
/* It has neither gone well nor failed: it was cancelled, or not run. */
bool job_undone(const struct job *job);
/* The exit status of ptools that it calls for. */
int job_exit_status(const struct job *job);
/* Why it failed, as a sentence about it: "exited with status 2". */
void job_reason(const struct job *job, char *text, size_t n);

/* All of the stream: in memory, or read into a block that is *ret_block, to be freed. False: errno tells. */
bool job_stream_read(const struct job_stream *s, const char **ret, size_t *ret_n, char **ret_block);

#endif
