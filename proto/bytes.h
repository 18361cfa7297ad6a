/* SPDX-License-Identifier: MIT */
/*
 * bytes -- memory for messages: a growing buffer with a limit, and a shared block.
 *
 * struct bytes grows by doubling up to the maximum given at birth. Its errors stick: after the
 * first failed append it changes no more, and err tells why, so that a codec needs one check. Its first memory may be
 * lent, for whoever must not allocate as long as little is appended.
 *
 * struct blob is a block of a fixed size that several may hold (refs): a payload on its way from
 * one socket to another is one blob, never copied.
 */
#ifndef PROTO_BYTES_H
#define PROTO_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "proto/util.h"

struct bytes {
    uint8_t *data;
    size_t n;
    size_t cap;
    size_t max_bytes;
    int err; /* 0, -ENOMEM or -EMSGSIZE: sticky */
    bool lent; /* data is not ours */
};

void bytes_init(struct bytes *b, size_t max_bytes);
void bytes_init_lent(struct bytes *b, size_t max_bytes, void *room, size_t room_bytes);
void bytes_deinit(struct bytes *b);
static inline void bytes_reset(struct bytes *b) /* empty, no error, memory kept */
{
    b->n = 0;
    b->err = 0;
}
/* 0, or the error that stuck; b->n is unchanged on failure. data NULL: room is made, left unset. */
int bytes_append(struct bytes *b, const void *data, size_t n);

/* At the end, room for n bytes that are not added yet; NULL: the error that stuck. */
static inline uint8_t *bytes_room(struct bytes *b, size_t n)
{
    if (b->err || n > b->cap - b->n) {
        if (bytes_append(b, NULL, n) < 0)
            return NULL;
        b->n -= n;
    }
    return b->data + b->n;
}
/* memcpy(). A few bytes at a time is the usual way of a codec: for these, calling it costs more than copying. Two
 * loads, the second of which may overlap the first, do for any number up to 16. */
static inline void bytes_copy(uint8_t *to, const uint8_t *from, size_t n)
{
    uint64_t first8, last8;
    uint32_t first4, last4;

    if (n > 16) {
        memcpy(to, from, n);
    } else if (n >= 8) {
        memcpy(&first8, from, 8);
        memcpy(&last8, from + n - 8, 8);
        memcpy(to, &first8, 8);
        memcpy(to + n - 8, &last8, 8);
    } else if (n >= 4) {
        memcpy(&first4, from, 4);
        memcpy(&last4, from + n - 4, 4);
        memcpy(to, &first4, 4);
        memcpy(to + n - 4, &last4, 4);
    } else if (n > 0) {
        /* cppcheck-suppress objectIndex ; where from is one byte, n is 1 */
        const uint8_t middle = from[n / 2], last = from[n - 1];

        to[0] = from[0];
        to[n / 2] = middle;
        to[n - 1] = last;
    }
}

struct blob {
    uint32_t refs;
    size_t n;
    uint8_t data[];
};

/* NULL: no memory. data NULL: left unset. */
struct blob *blob_new(const void *data, size_t n);
struct blob *blob_ref(struct blob *blob);
struct blob *blob_free(struct blob *blob); /* drops one reference; accepts NULL, returns NULL */
DEFINE_AUTO(blob)

/* Bytes somewhere, and who keeps them: blob NULL means they live in a buffer of the giver and are
 * gone with its next move; otherwise data points into blob, and a reference keeps them. */
struct span {
    const uint8_t *data;
    size_t n;
    struct blob *blob;
};

#endif
