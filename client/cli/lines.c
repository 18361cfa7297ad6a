/* SPDX-License-Identifier: MIT */
/*
 * lines -- see lines.h. Into one block that doubles when a line does not fit, up to a limit. The last line needs no
 * end. No line is read ahead but what one read() brings along.
 */
#include "client/cli/lines.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { READ_BYTES = 65536, LINE_BYTES_MAX = 64 * 1024 * 1024 };

int lines_init(struct lines *lines, int fd, char separator)
{
    *lines = (struct lines){ .fd = fd, .separator = separator, .room = 2 * READ_BYTES };
    lines->data = malloc(lines->room + 1);
    return lines->data ? 0 : -ENOMEM;
}

void lines_deinit(struct lines *lines)
{
    free(lines->data);
    lines->data = NULL;
}

/* Makes room behind what is there, with a byte more for a NUL. */
static int make_room(struct lines *lines)
{
    char *data;

    memmove(lines->data, lines->data + lines->at, lines->end - lines->at);
    lines->end -= lines->at;
    lines->looked -= lines->at;
    lines->at = 0;
    if (lines->room - lines->end >= READ_BYTES)
        return 0;
    if (lines->end > LINE_BYTES_MAX)
        return -EMSGSIZE;
    data = realloc(lines->data, 2 * lines->room + 1);
    if (!data)
        return -ENOMEM;
    lines->data = data;
    lines->room *= 2;
    return 0;
}

/* 1, or as lines_next(). */
static int read_more(struct lines *lines, bool wait)
{
    struct pollfd p = { .fd = lines->fd, .events = POLLIN };
    ssize_t n;
    int r = make_room(lines);

    if (r < 0)
        return r;
    if (!wait && poll(&p, 1, 0) == 0)
        return LINES_NONE_YET;
    do
        n = read(lines->fd, lines->data + lines->end, lines->room - lines->end);
    while (n < 0 && errno == EINTR);
    if (n < 0 && errno == EAGAIN && !wait)
        return LINES_NONE_YET;
    if (n < 0)
        return -errno;
    lines->end += (size_t)n;
    lines->all_read = n == 0;
    return 1;
}

int lines_next(struct lines *lines, bool wait, char **ret, size_t *ret_n)
{
    char *begin, *end;
    int r;

    while (!(end = memchr(lines->data + lines->looked, lines->separator, lines->end - lines->looked))) {
        lines->looked = lines->end;
        if (lines->all_read)
            break;
        r = read_more(lines, wait);
        if (r != 1)
            return r;
    }
    begin = lines->data + lines->at;
    if (!end && lines->at == lines->end)
        return 0;
    if (!end)
        end = lines->data + lines->end; /* the last line is not ended; room has a byte for the NUL */
    if (end - begin > LINE_BYTES_MAX)
        return -EMSGSIZE;
    *ret = begin;
    *ret_n = (size_t)(end - begin);
    lines->at = end < lines->data + lines->end ? (size_t)(end + 1 - lines->data) : lines->end;
    lines->looked = lines->at;
    lines->taken += (size_t)(lines->data + lines->at - begin);
    lines->number++;
    *end = '\0';
    return 1;
}

ptools_err lines_error(int r, char why[LINES_WHY_BYTES])
{
    switch (r) {
    case -ENOMEM:
        snprintf(why, LINES_WHY_BYTES, "%s", ptools_strerror(PTOOLS_ERR_NO_MEMORY));
        return PTOOLS_ERR_NO_MEMORY;
    case -EMSGSIZE:
        snprintf(why, LINES_WHY_BYTES, "a line of standard input has more than 64 MiB");
        return PTOOLS_ERR_TOO_LARGE;
    default:
        snprintf(why, LINES_WHY_BYTES, "cannot read standard input: %s", strerror(-r));
        return PTOOLS_ERR_SYSTEM;
    }
}
