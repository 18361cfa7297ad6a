/* SPDX-License-Identifier: MIT */
/*
 * values -- what the tests of the command share: a pack as the value it becomes, JSON of it, and what was written to
 * standard output or error.
 */
#ifndef TESTS_CLI_VALUES_H
#define TESTS_CLI_VALUES_H

#include <ptools/value.h>

#include "proto/value.h"

/* The value that pack holds; payload owns it, and borrows from pack. */
ptools_value value_of(const ptools_pack *pack, struct payload *payload);
/* The JSON of it, in one line or pretty; free() it. */
char *json_of(const ptools_pack *pack, bool pretty);
/* The JSON of what json_read() makes of text, which must be JSON; free() it. */
char *json_again(const char *text);

/* From capture() on, what goes to fd (1 or 2) is kept; captured() ends that and returns it; free() it. */
struct capture {
    int fd, saved, memory;
};
void capture(struct capture *c, int fd);
char *captured(struct capture *c);

#endif
