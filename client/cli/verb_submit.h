/* SPDX-License-Identifier: MIT */
/*
 * verb_submit -- what `ptools submit` of one task (verb_submit.c) and of many (submit_lines.c) have in common.
 */
#ifndef CLI_VERB_SUBMIT_H
#define CLI_VERB_SUBMIT_H

#include <stdbool.h>

#include "client/cli/command_line.h"
#include "client/cli/program.h"
#include "client/cli/submission.h"

extern const struct option_row submit_options[]; /* those of submission and program are fields of a line, too */

/* What is the same for all lines. */
struct submit_lines_wish {
    bool text;               /* a line is the last word of argv; else it is JSON */
    bool fail_fast;
    const char *const *argv; /* with room for a word more, which is NULL; n of them */
    size_t n;
    const struct program *program;
    const struct command_line *script; /* what the program itself says; program has the rest of it */
    const char *notify;      /* at the end of each; NULL: nobody is */
};

/* What the option says, into s; a mistake is reported with its name. The exit status. */
int submit_take(const struct command_line *line, const struct item *item, struct submission *s);

/* A task for each line of standard input. The exit status. */
int submit_lines(const struct command_line *line, const struct submit_lines_wish *wish);

#endif
