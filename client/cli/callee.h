/* SPDX-License-Identifier: MIT */
/*
 * callee -- MODULE.FUNCTION [ARG...] on the command line, alike for `ptools call` and `ptools submit`. See callee.c.
 */
#ifndef CLI_CALLEE_H
#define CLI_CALLEE_H

#include <ptools/value.h>

#include "client/cli/command_line.h"

enum { OPTION_STRING = OPTION_OF_VERB + 100, OPTION_FILE, OPTION_STDIN }; /* --string, --file, --stdin */

/* The first word. The exit status: EXIT_VALUE, or what is wrong, which has been reported. */
int callee_function(const struct command_line *line, const char **ret);
/* The words behind it, and what the options above say, in their order. Reads files and standard input. */
int callee_arguments(const struct command_line *line, ptools_pack *args);

#endif
