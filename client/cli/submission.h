/* SPDX-License-Identifier: MIT */
/*
 * submission -- how a task is to be queued, as it is written: by the options of `ptools submit`, and by the fields of a
 * line of JSON, which have the same names. See submission.c.
 */
#ifndef CLI_SUBMISSION_H
#define CLI_SUBMISSION_H

#include <ptools/ptools.h>
#include <ptools/queue.h>

#include "client/cli/command_line.h"
#include "client/cli/ids.h"

enum {
    SUBMISSION_PRIORITY = OPTION_OF_VERB,
    SUBMISSION_TARGET,
    SUBMISSION_WORKER,
    SUBMISSION_HOST,
    SUBMISSION_SET,
    SUBMISSION_WAIT_TARGET,
    SUBMISSION_ANY_TARGET,
    SUBMISSION_DELAY,
    SUBMISSION_AT,
    SUBMISSION_EXPIRE,
    SUBMISSION_DEADLINE,
    SUBMISSION_GRACE,
    SUBMISSION_ATTEMPTS,
    SUBMISSION_RETRIES,
    SUBMISSION_RETRY_ON,
    SUBMISSION_BACKOFF,
    SUBMISSION_IDEMPOTENT,
    SUBMISSION_KEY,
    SUBMISSION_TAG,
    SUBMISSION_AFTER,
    SUBMISSION_AFTER_ANY,
    SUBMISSION_AFTER_KEEP,
    SUBMISSION_KEEP,
    SUBMISSION_RESULT_MAX,
    SUBMISSION_VOLATILE,
    SUBMISSION_CRASHSAFE,
    SUBMISSION_DURABLE,
    SUBMISSION_HOLD,
    SUBMISSION_BLOCK,
    SUBMISSION_FIELDS /* all of them are less */
};
enum {
    SUBMISSION_WHY_BYTES = 600,
    SUBMISSION_WORKERS_MAX = 1024,
    SUBMISSION_HOSTS_MAX = 64,
    SUBMISSION_TAGS_MAX = 16,
    SUBMISSION_AFTER_MAX = 64,
};

struct submission {
    ptools_worker_task task; /* what can stand in it as it is written; submission_task() adds the rest */
    const char *set;         /* the name; borrowed, as the tags and the key */
    uint32_t workers[SUBMISSION_WORKERS_MAX];
    char *hosts[SUBMISSION_HOSTS_MAX];
    const char *tags[SUBMISSION_TAGS_MAX];
    uint64_t after[SUBMISSION_AFTER_MAX];
    struct ids ids; /* what `after` names ... */
    bool success;   /* ... with :success behind it */
    uint64_t given; /* which groups of fields were: bits 1 << submission_group() */
};

void submission_init(struct submission *s);
void submission_deinit(struct submission *s);

/* Fields of one group say the same thing in different ways: a target, a start, a durability. */
unsigned submission_group(int field);
/* text NULL: a field that takes none. Fields that are lists add up. 0; 1: why tells what is wrong, or allowed;
 * -ENOMEM. */
int submission_set(struct submission *s, int field, const char *text, char why[SUBMISSION_WHY_BYTES]);
/* What holds for all of it together. As submission_set(). */
int submission_check(struct submission *s, char why[SUBMISSION_WHY_BYTES]);

/* The set that was opened last, for the next who wants the same. */
struct submission_set {
    ptools_workerset *set;
    char name[65];
};
/* Asks the daemon for what was named and not numbered: the set, the tasks that come first. Then s->task is complete; it
 * borrows from s and from set. The exit status. */
int submission_task(const struct command_line *line, ptools *pt, struct submission *s, struct submission_set *set);

#endif
