/* SPDX-License-Identifier: MIT */
/*
 * failure -- what went wrong, as an exit status and as text or JSON on standard error. See failure.c.
 */
#ifndef CLI_FAILURE_H
#define CLI_FAILURE_H

#include <ptools/ptools.h>

#include "client/cli/command_line.h"

enum {
    EXIT_VALUE = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
    EXIT_TIME = 124,
    EXIT_PTOOLS = 125,
    EXIT_BAD_COMMAND = 126,
    EXIT_NO_COMMAND = 127,
    EXIT_CANCELLED = 130,
    EXIT_READER = 141 /* by SIGPIPE, as main() does it */
};

struct exit_status {
    int status;
    const char *meaning;
};
extern const struct exit_status exit_statuses[]; /* ends with a row without meaning */

/* Of a call that ended with code. PTOOLS_ERR_TIMEOUT is the connection's: the time limit of a call is
 * kept by verb_call.c, which knows it. */
int failure_exit_status(ptools_err code);

/* Reports f; the return value is `status`, for `return failure_report(...)`. */
int failure_report(const struct command_line *line, const ptools_failure *f, int status);
/* A failure of which there is no more to say than a sentence. Returns its exit status. */
int failure_report_code(const struct command_line *line, ptools_err code, const char *message);
/* Of the last call on pt, which ended with code. Returns its exit status. */
int failure_report_last(const struct command_line *line, ptools *pt, ptools_err code);
/* The last lines of what failed, on standard error, below the sentence that says why. */
void failure_print_lines(const char *lines);

/* Writes out what was printed so far. What went wrong with it is told by main(), which asks for the first errno of it
 * (0: none): stdio forgets that. */
void failure_flush_output(void);
int failure_of_output(void);
/* For whoever writes to standard output without stdio. */
void failure_note_output(int error);

struct json_writer;
/* A key, and a string, always: what is no UTF-8 in it is written out as for people. */
void failure_key_text(struct json_writer *w, const char *key, const char *text);

#endif
