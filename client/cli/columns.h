/* SPDX-License-Identifier: MIT */
/*
 * columns -- a line cut into values: by a separator, by a regular expression, or as CSV. See columns.c.
 */
#ifndef CLI_COLUMNS_H
#define CLI_COLUMNS_H

#include <regex.h>
#include <stdbool.h>
#include <stddef.h>

#include "client/cli/texts.h"

enum { COLUMNS_WHY_BYTES = 200 };
struct columns {
    enum { COLUMNS_NONE, COLUMNS_CHARACTER, COLUMNS_REGEX, COLUMNS_CSV } how; /* NONE: the line is the one value */
    char separator;
    regex_t regex;
};

/* separator NULL: none was given. False: why tells what is wrong with it. May be deinited in both cases. */
bool columns_init(struct columns *c, const char *separator, bool csv, char why[COLUMNS_WHY_BYTES]);
void columns_deinit(struct columns *c);

/* Whether a quotation is open at the end of the line, so that the record goes on in the next one; before: at its
 * beginning. */
bool columns_open(const struct columns *c, bool before, const char *line, size_t n);
/* Appends the values of the line, which has a NUL behind it; lack of memory sticks in ret. */
void columns_split(const struct columns *c, const char *line, size_t n, struct texts *ret);

#endif
