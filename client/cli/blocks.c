/* SPDX-License-Identifier: MIT */
/*
 * blocks -- see blocks.h. A block ends with the last line that ends in the first block_bytes bytes; a line that is
 * larger is a block of its own.
 */
#include "client/cli/blocks.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void blocks_init(struct blocks *b, int fd, char separator, size_t block_bytes)
{
    *b = (struct blocks){ .fd = fd, .separator = separator, .block_bytes = block_bytes };
}

void blocks_deinit(struct blocks *b)
{
    free(b->data);
    b->data = NULL;
}

/* Where the first block ends; 0: that is not known yet. */
static size_t end_of(const struct blocks *b, size_t looked)
{
    const size_t first = b->n < b->block_bytes ? b->n : b->block_bytes;
    const char *end;

    if (b->n >= b->block_bytes) {
        end = memrchr(b->data, b->separator, first);
        if (!end)
            end = memchr(b->data + (looked > first ? looked : first), b->separator,
                         b->n - (looked > first ? looked : first));
        if (end)
            return (size_t)(end + 1 - b->data);
    }
    return b->all_read ? b->n : 0;
}

/* 1: something was read, or that was all. */
static int read_more(struct blocks *b)
{
    struct pollfd p = { .fd = b->fd, .events = POLLIN };
    ssize_t r;

    if (poll(&p, 1, 0) == 0)
        return BLOCKS_LATER;
    if (b->n == b->room) {
        const size_t room = b->room ? 2 * b->room : b->block_bytes + 65536;
        char *larger = b->n > BLOCKS_BYTES_MAX ? NULL : realloc(b->data, room);

        if (!larger)
            return b->n > BLOCKS_BYTES_MAX ? -EMSGSIZE : -ENOMEM;
        b->data = larger;
        b->room = room;
    }
    do
        r = read(b->fd, b->data + b->n, b->room - b->n);
    while (r < 0 && errno == EINTR);
    if (r < 0)
        return errno == EAGAIN ? BLOCKS_LATER : -errno;
    b->all_read = r == 0;
    b->n += (size_t)r;
    return 1;
}

int blocks_next(struct blocks *b, char **ret, size_t *ret_n)
{
    size_t end, looked = 0;
    char *block;
    int r;

    while ((end = end_of(b, looked)) == 0 && !b->all_read) {
        looked = b->n;
        r = read_more(b);
        if (r != 1)
            return r;
    }
    if (end == 0)
        return BLOCKS_NO_MORE;
    block = malloc(end);
    if (!block)
        return -ENOMEM;
    memcpy(block, b->data, end);
    memmove(b->data, b->data + end, b->n - end);
    b->n -= end;
    *ret = block;
    *ret_n = end;
    return BLOCKS_BLOCK;
}
