/* SPDX-License-Identifier: MIT */
/*
 * chain -- bytes that wait to be sent, in order, ready for one writev(2).
 *
 * Small pieces are copied together into blocks, large ones (a blob of CHAIN_COPY_BYTES or more) are
 * held by reference, so that a payload is never copied on its way out. No I/O: the owner fills an
 * iovec, sends, and says how much went. How much may wait is the owner's to bound: see n.
 */
#ifndef PROTO_CHAIN_H
#define PROTO_CHAIN_H

#include <sys/uio.h>

#include "proto/bytes.h"

enum { CHAIN_COPY_BYTES = 16384 };

struct chain_piece;
struct chain {
    struct chain_piece *head;
    struct chain_piece *tail;
    size_t n;                  /* bytes that wait */
    struct chain_piece *spare; /* one block kept for the next use */
};

void chain_init(struct chain *c);
void chain_deinit(struct chain *c);
/* 0 or -ENOMEM; nothing is added on failure. */
int chain_append(struct chain *c, const void *data, size_t n);
/* The blob from offset from to its end. Copies little, takes a reference for much. 0 or -ENOMEM. */
int chain_append_blob(struct chain *c, struct blob *blob, size_t from);
/* Makes n > 0 contiguous bytes at the end and returns where to write them (all n must be written); NULL:
 * no memory. For headers: no second copy. */
void *chain_extend(struct chain *c, size_t n);
/* Takes back what was added since c->n was n: for a message of several pieces, when one fails. */
void chain_truncate(struct chain *c, size_t n);
/* Fills up to max entries with what comes first; returns how many. */
int chain_peek(const struct chain *c, struct iovec *iov, int max);
/* The first n bytes (n <= c->n) are gone. */
void chain_consume(struct chain *c, size_t n);

#endif
