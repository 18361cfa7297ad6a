/* SPDX-License-Identifier: MIT */
/*
 * npy -- the header of numpy's .npy files, both ways. See npy.c.
 */
#ifndef CLI_NPY_H
#define CLI_NPY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/cli/shape.h"

enum {
    NPY_START_BYTES = 12,           /* of a file: enough to know how long its header is */
    NPY_HEADER_BYTES = 320,         /* what npy_write() writes at most */
    NPY_HEADER_BYTES_MAX = 1 << 20, /* what npy_start() takes at most */
    NPY_WHY_BYTES = SHAPE_WHY_BYTES,
};

/* Whether it begins like one. */
bool npy_is(const void *data, size_t n);

/* Version 1.0, to which the elements are to be appended. s must have a size. The bytes of it. */
size_t npy_write(const struct shape *s, char ret[NPY_HEADER_BYTES]);

/* How many bytes lie before the elements, by the first n bytes of the file. false: it is no .npy file, or one of a
 * version that is not known, or n is less than the version needs (NPY_START_BYTES is always enough). */
bool npy_start(const void *data, size_t n, size_t *ret_bytes, char why[NPY_WHY_BYTES]);
/* By those bytes, all of them, what the elements are. false: they cannot be those of an array, and why tells. */
bool npy_read(const void *data, size_t bytes, struct shape *ret, char why[NPY_WHY_BYTES]);

#endif
