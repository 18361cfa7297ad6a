/* SPDX-License-Identifier: MIT */
/*
 * jobs -- the commands of one `ptools pmap -- COMMAND`: which is begun next, which again, which are under way, and
 * which have ended and wait for their turn to be shown. See jobs.c.
 */
#ifndef CLI_JOBS_H
#define CLI_JOBS_H

#include <stdbool.h>
#include <stdint.h>

#include <ptools/ptools.h>

#include "client/cli/bar.h"
#include "client/cli/blocks.h"
#include "client/cli/job.h"
#include "client/cli/job_output.h"
#include "client/cli/joblog.h"
#include "client/cli/jobs_wish.h"
#include "client/cli/median.h"
#include "client/cli/rehearse.h"
#include "client/cli/sources.h"
#include "client/cli/template.h"

/* How often and when one that failed is tried again. */
struct jobs_retries {
    uint32_t attempts;        /* in all; 0 or 1: once */
    uint32_t causes;          /* PTOOLS_RETRY_...; 0: all */
    const int64_t *delays_ms; /* before the second, the third, ... */
};

struct jobs_counts {
    uint64_t good, failed, cancelled, not_run, passed_over;
    int status; /* the largest that one calls for */
};

struct jobs {
    const struct command_line *line;
    const struct jobs_wish *wish;
    struct jobs_retries retries_wish;
    bool ordered;
    size_t window; /* so many are under way at most; 0: as many as the library takes */

    struct sources sources;
    struct blocks blocks;
    struct template template;
    struct joblog log;
    struct job_output out;

    uint64_t *order;                     /* of the items; NULL: as they come */
    uint64_t n_taken;                    /* turns dealt out, but for ... */
    uint64_t picked[REHEARSE_ITEMS_MAX]; /* ... those that are rehearsed before */
    size_t n_picked, at_picked, picked_ended;
    bool rehearses;
    struct rehearse_sample samples[REHEARSE_ITEMS_MAX];
    size_t n_samples;

    struct job_list flight, again, ended; /* again by due_us, ended by turn */
    size_t n_flight;
    uint64_t n_sent;     /* attempts, for the library */
    uint64_t next_shown; /* turn */
    uint64_t kept_bytes; /* of those that have ended */
    bool later;          /* input is waited for */

    struct median times; /* of those that went well, in us, for --timeout N% */
    int64_t told_ms;     /* the limit that was last told; 0: none */

    struct jobs_counts counts;
    bool stopped;     /* no more is begun */
    bool cancel;      /* and what runs is to be cancelled */
    bool halted;      /* as --halt says */
    ptools_err wrong; /* why it was stopped, unless PTOOLS_OK */
    char why[600];
};

/* The exit status; what is wrong was told. May wait for input that has to be read before. May be closed in both
 * cases. */
int jobs_open(struct jobs *q, const struct command_line *line, const struct jobs_wish *wish, bool ordered,
              struct bar *bar);
void jobs_close(struct jobs *q);

/* Up to n items, spread over all, go before all others. After them, jobs_rehearsed() says so, and nothing more is
 * begun until rehearses is taken back. */
void jobs_pick(struct jobs *q, size_t n);
bool jobs_rehearsed(const struct jobs *q);

/* Shows what would be run. The exit status. */
int jobs_dry_run(struct jobs *q);

/* A ptools_pmap_source; input is a struct jobs. Does not wait. */
int jobs_next(ptools_pack *args, void *input);
/* What came of one of them. Look at cancel, then. */
void jobs_take(struct jobs *q, const ptools_item *item);
/* Whether what is under way is to have another time limit now: *ret_ms. */
bool jobs_limit_changes(struct jobs *q, int64_t *ret_ms);
/* Until the next attempt of one is due; -1: there is none. */
int64_t jobs_due_ms(const struct jobs *q);
/* Writes out what there is: first output, then the job log. False: output takes no more. */
bool jobs_flush(struct jobs *q, bool sync);
/* No more is done: what has ended is shown, and what was to be tried again has failed. */
void jobs_end(struct jobs *q);
/* How many items there are; *ret_about: that is a guess. SOURCES_NOT_KNOWN. */
uint64_t jobs_of(const struct jobs *q, bool *ret_about);

/* -- between jobs.c and jobs_ended.c -- */

/* No more is begun, and what runs is to be cancelled; the first reason counts. */
void jobs_stop(struct jobs *q, ptools_err code, const char *why);
void jobs_stop_no_memory(struct jobs *q);
/* It is not run again. */
void jobs_ended(struct jobs *q, struct job *job);
/* What has ended and whose turn has come; or all that has ended. */
void jobs_show_ended(struct jobs *q, bool all);
/* All others would come to the same. */
bool jobs_hopeless(const struct jobs *q, const struct job *job);

#endif
