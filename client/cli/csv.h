/* SPDX-License-Identifier: MIT */
/*
 * csv -- a table of numbers as text. See csv.c.
 */
#ifndef CLI_CSV_H
#define CLI_CSV_H

#include <stddef.h>
#include <stdint.h>

#include "client/cli/elements.h"

enum { CSV_WHY_BYTES = ELEMENT_WHY_BYTES + 60 };
struct csv {
    uint64_t rows, columns;
    void *elements; /* row by row; free() */
};

/* Lines of numbers of that type, as many in each, with commas between; lines end with "\n" or "\r\n", the last may do
 * without. 0; -EINVAL: why names line and column; -ENOMEM. On failure ret is untouched. */
int csv_read(ptools_type type, const char *text, size_t n, struct csv *ret, char why[CSV_WHY_BYTES]);

#endif
