/* SPDX-License-Identifier: MIT */
/*
 * input -- bytes from a file or from standard input. See input.c.
 */
#ifndef CLI_INPUT_H
#define CLI_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct input {
    int fd;
    const char *name; /* for messages: the path, or "standard input" */
};
/* path NULL is standard input. 0 or -errno. */
int input_open(struct input *in, const char *path);
void input_close(struct input *in); /* standard input stays */

/* How many bytes are left, if that is known: of a file, but of no pipe. */
bool input_left(const struct input *in, uint64_t *ret);
/* Up to n bytes: fewer only at the end. 0 or -errno. */
int input_read(const struct input *in, void *data, size_t n, size_t *ret_n);
/* All that is left, up to max bytes, in a block that is the caller's to free. 0; -EFBIG: it is more; -ENOMEM; what
 * read() says. */
int input_read_all(const struct input *in, size_t max, char **ret, size_t *ret_n);

#endif
