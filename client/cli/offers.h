/* SPDX-License-Identifier: MIT */
/*
 * offers -- what a word of the command line that is being written may become: names that are known here, and those that
 * the daemon knows. See offers.c.
 */
#ifndef CLI_OFFERS_H
#define CLI_OFFERS_H

#include <stdbool.h>

#include "client/cli/command_line.h"
#include "client/cli/json.h"

enum offer_source {
    OFFER_NOTHING,
    OFFER_FILES, /* the shell knows these three */
    OFFER_DIRS,
    OFFER_COMMANDS,
    OFFER_VERBS,
    OFFER_STATES,
    OFFER_COLUMNS,
    OFFER_TYPES,
    OFFER_LIMITS,
    /* the daemon knows the rest: */
    OFFER_TASKS,
    OFFER_TAGS,
    OFFER_FUNCTIONS,
    OFFER_MODULES,
    OFFER_SETS,
    OFFER_WORKERS,
    OFFER_ARRAYS,
    OFFER_STASKS
};

struct offers {
    const struct command_line *line; /* which daemon, and whether JSON is wanted */
    const char *before;              /* what stands before what is completed, in the same word: "--state=done," ... */
    int n_before;                    /* ... so many bytes of it */
    const char *part;                /* what it begins with */
    enum offer_source also;          /* one of the first three, for the shell */
    bool no_memory;
    struct json_writer json;
};

/* One of them, if it begins with the part. help NULL: nothing is said of it. */
void offer(struct offers *o, const char *text, const char *help);
/* Each of the words that commas or bars part. */
void offer_words(struct offers *o, const char *words);
void offer_all(struct offers *o, enum offer_source source);

#endif
