/* SPDX-License-Identifier: MIT */
/*
 * lines -- standard input, or another descriptor, line by line. See lines.c.
 */
#ifndef CLI_LINES_H
#define CLI_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ptools/error.h>

enum { LINES_NONE_YET = 2, LINES_WHY_BYTES = 120 };

struct lines {
    int fd;
    char separator;
    uint64_t number; /* of the line that was read last, from 1 */
    uint64_t taken;  /* bytes of all of them */
    char *data;      /* read, and not yet taken: from at to end; up to looked is no separator */
    size_t at, looked, end, room;
    bool all_read;
};

/* 0 or -ENOMEM. May be deinited in both cases. */
int lines_init(struct lines *lines, int fd, char separator);
void lines_deinit(struct lines *lines);

/* 1: the next line, with a NUL in place of its end, good until the next call; 0: that was all; LINES_NONE_YET: only
 * without wait, there is nothing to be read now; -EMSGSIZE: it is too long; -ENOMEM; what read() says. */
int lines_next(struct lines *lines, bool wait, char **ret, size_t *ret_n);
/* What such an error of standard input means. */
ptools_err lines_error(int r, char why[LINES_WHY_BYTES]);

#endif
