/* SPDX-License-Identifier: MIT */
/*
 * session -- what verbs do with their daemon and with standard output, alike in all. See session.c.
 */
#ifndef CLI_SESSION_H
#define CLI_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include <ptools/ptools.h>

#include "client/cli/command_line.h"
#include "client/cli/json.h"

/* Where the service for all users is: --dir, $PTOOLS_DIR, or where it is installed. */
const char *session_service_dir(const struct command_line *line);
/* Connects. may_start: where no daemon runs, a private one is started, with so many workers (0: one a processor);
 * otherwise it is said how to start one.
 * The exit status: EXIT_VALUE, or what went wrong, which has been reported. */
int session_open(const struct command_line *line, bool may_start, uint32_t workers, ptools **ret_pt);

/* Connects within so many ms, or does not, and tells nobody. */
ptools_err session_try(const struct command_line *line, int64_t within_ms, ptools **ret_pt);

/* A document of the daemon. The value belongs to the future. As session_open(). */
int session_inspect(const struct command_line *line, const char *what, ptools **ret_pt, ptools_future **ret_future,
                    ptools_value *ret_value);

/* A document {"schema": 1, ... on standard output: write one key and its value, then end it. */
void session_document(struct json_writer *w);
int session_document_end(const struct command_line *line, struct json_writer *w);
/* A line of JSON, a whole document, on standard output. The exit status. */
int session_print_value(const struct command_line *line, ptools_value v);

#endif
