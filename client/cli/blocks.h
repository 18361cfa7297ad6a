/* SPDX-License-Identifier: MIT */
/*
 * blocks -- standard input in pieces of about one size, cut behind lines. See blocks.c.
 */
#ifndef CLI_BLOCKS_H
#define CLI_BLOCKS_H

#include <stdbool.h>
#include <stddef.h>

enum { BLOCKS_BLOCK = 1, BLOCKS_NO_MORE = 0, BLOCKS_LATER = 2 };
#define BLOCKS_BYTES_MAX ((size_t)1 << 30)

struct blocks {
    int fd;
    char separator;
    size_t block_bytes;
    char *data; /* read, and not yet handed out */
    size_t n, room;
    bool all_read;
};
void blocks_init(struct blocks *b, int fd, char separator, size_t block_bytes);
void blocks_deinit(struct blocks *b);

/* BLOCKS_BLOCK: the next one, in a block of memory of its own, the caller's to free; BLOCKS_NO_MORE; BLOCKS_LATER:
 * there is not enough to be read now; -EMSGSIZE: a line is larger than BLOCKS_BYTES_MAX; -ENOMEM; what read() says.
 * Does not wait. */
int blocks_next(struct blocks *b, char **ret, size_t *ret_n);

#endif
