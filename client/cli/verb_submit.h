/* SPDX-License-Identifier: MIT */
/*
 * verb_submit -- what `ptools submit` of one task (verb_submit.c) and of many (submit_lines.c) have in common.
 */
#ifndef CLI_VERB_SUBMIT_H
#define CLI_VERB_SUBMIT_H

#include <stdbool.h>

#include "client/cli/command_line.h"
#include "client/cli/submission.h"

extern const struct option_row submit_options[]; /* those below SUBMISSION_FIELDS are fields of a line, too */

/* What the option says, into s; a mistake is reported with its name. The exit status. */
int submit_take(const struct command_line *line, const struct item *item, struct submission *s);

/* A task for each line of standard input. The exit status. */
int submit_lines(const struct command_line *line, bool fail_fast);

#endif
