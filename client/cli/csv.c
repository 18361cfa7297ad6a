/* SPDX-License-Identifier: MIT */
/*
 * csv -- see csv.h. Nothing is skipped and nothing is guessed, but for a byte order mark at the beginning and empty
 * lines at the end: a heading, a quotation or a semicolon is a mistake that is told with its place.
 */
#include "client/cli/csv.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct reader {
    ptools_type type;
    size_t element_bytes;
    uint8_t *elements;
    uint64_t n, room;
    uint64_t rows, columns;
    char *why;
};

static int add(struct reader *r, const char *field, size_t n, uint64_t column)
{
    char reason[ELEMENT_WHY_BYTES];

    if (r->n == r->room) {
        uint64_t room = r->room ? 2 * r->room : 256;
        uint8_t *larger = room > SIZE_MAX / r->element_bytes ? NULL : realloc(r->elements, room * r->element_bytes);

        if (!larger)
            return -ENOMEM;
        r->elements = larger;
        r->room = room;
    }
    if (!element_read(r->type, field, n, r->elements + r->n * r->element_bytes, reason)) {
        snprintf(r->why, CSV_WHY_BYTES, "line %" PRIu64 ", column %" PRIu64 ": %s", r->rows + 1, column, reason);
        return -EINVAL;
    }
    r->n++;
    return 0;
}

static int add_line(struct reader *r, const char *line, size_t n)
{
    const char *end = line + n, *comma;
    uint64_t columns = 0;
    int err;

    do {
        comma = memchr(line, ',', (size_t)(end - line));
        err = add(r, line, (size_t)((comma ? comma : end) - line), ++columns);
        if (err < 0)
            return err;
        line = comma ? comma + 1 : end;
    } while (comma);
    if (r->rows > 0 && columns != r->columns) {
        snprintf(r->why, CSV_WHY_BYTES, "line %" PRIu64 " has %" PRIu64 " columns, and line 1 has %" PRIu64,
                 r->rows + 1, columns, r->columns);
        return -EINVAL;
    }
    r->columns = columns;
    r->rows++;
    return 0;
}

static size_t without_space(const char *text, size_t n)
{
    while (n > 0 && strchr(" \t\r\n", text[n - 1]) && text[n - 1])
        n--;
    return n;
}

static int read_lines(struct reader *r, const char *text, size_t n)
{
    const char *end = text + n, *newline;
    int err = 0;

    while (text < end && err == 0) {
        newline = memchr(text, '\n', (size_t)(end - text));
        n = (size_t)((newline ? newline : end) - text);
        if (n > 0 && text[n - 1] == '\r')
            n--;
        err = add_line(r, text, n);
        text = newline ? newline + 1 : end;
    }
    return err;
}

int csv_read(ptools_type type, const char *text, size_t n, struct csv *ret, char why[CSV_WHY_BYTES])
{
    struct reader r = { .type = type, .element_bytes = ptools_type_bytes(type), .why = why };
    int err;

    if (n >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
        text += 3;
        n -= 3;
    }
    n = without_space(text, n);
    if (n == 0) {
        snprintf(why, CSV_WHY_BYTES, "it holds no numbers");
        return -EINVAL;
    }
    err = read_lines(&r, text, n);
    if (err < 0) {
        free(r.elements);
        return err;
    }
    *ret = (struct csv){ .rows = r.rows, .columns = r.columns, .elements = r.elements };
    return 0;
}
