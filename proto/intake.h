/* SPDX-License-Identifier: MIT */
/*
 * intake -- bytes that arrived on a stream, cut into pieces without copying them twice.
 *
 * The owner asks where the next bytes shall go (intake_space), reads there, and says how many came
 * (intake_commit). A parser looks at the front (intake_peek), drops what it understood
 * (intake_drop), and takes bodies whole (intake_body): a small body is a look into the buffer,
 * valid until the next intake_space(); a large one (INTAKE_BLOB_BYTES or more) is read from the socket right into
 * a blob of its own, which the taker keeps. Both ZMTP frames and worker links are cut by it. No I/O.
 *
 * Memory for a large body grows with the bytes that have really come, never with what a header claims
 * (beyond the first INTAKE_CLAIM_BYTES). Bytes in the buffer move in intake_space() only.
 */
#ifndef PROTO_INTAKE_H
#define PROTO_INTAKE_H

#include <stdbool.h>

#include "proto/bytes.h"

enum {
    INTAKE_BUFFER_BYTES = 65536,
    INTAKE_BLOB_BYTES = 32768,    /* bodies of this size and more get a blob */
    INTAKE_CLAIM_BYTES = 1 << 20, /* of a claimed size, so much is allocated before it has come */
    INTAKE_PEEK_MAX = 4096
};

struct intake {
    uint8_t *buffer; /* of cap bytes, allocated with the first intake_space() */
    size_t cap;
    size_t begin; /* unread bytes are buffer[begin..end) */
    size_t end;
    struct blob *big; /* the large body being read, NULL if none; big->n is its final size */
    size_t big_have;  /* bytes of it that have come */
    size_t big_room;  /* bytes of it that are allocated */
};

void intake_init(struct intake *in);
void intake_deinit(struct intake *in);
/* Where the next bytes go, and how many fit (at least one). NULL: no memory. Everything that is whole
 * must have been taken before: otherwise the buffer might be full. */
void *intake_space(struct intake *in, size_t *ret_n);
void intake_commit(struct intake *in, size_t n);
/* n contiguous bytes from the front (0 < n <= INTAKE_PEEK_MAX), or NULL if they have not all come. */
const uint8_t *intake_peek(struct intake *in, size_t n);
void intake_drop(struct intake *in, size_t n);
/* The next n bytes as one body. 1: *ret is it (a blob in it is the caller's to free) and it is
 * dropped from the intake; 0: more must come first, call again with the same n and neither peek nor
 * drop before it was handed out; -ENOMEM: nothing has changed. An empty body is there at once. */
int intake_body(struct intake *in, size_t n, struct span *ret);
/* Bytes that have come and were not taken. */
size_t intake_pending(const struct intake *in);

#endif
