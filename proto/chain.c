/* SPDX-License-Identifier: MIT */
/*
 * chain -- see chain.h.
 *
 * A list of pieces. A piece is either a block that owns its bytes, filled from the left, or a
 * reference to a blob, which is never written to. No piece is empty. Only the tail is filled, only
 * the head is consumed. A block that was sent is kept as the spare if there is none: a connection
 * that sends and is read in turns allocates once.
 */
#include "proto/chain.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

struct chain_piece {
    struct chain_piece *next;
    struct blob *blob; /* NULL: the bytes are in data */
    uint8_t *bytes;    /* data, or the blob's */
    size_t begin, end; /* bytes[begin..end) wait */
    size_t cap;        /* of data; 0 for a blob */
    uint8_t data[];
};

enum { BLOCK_BYTES = 16384 - (int)sizeof(struct chain_piece) };

static struct chain_piece *piece_free(struct chain_piece *p)
{
    if (p)
        blob_free(p->blob);
    free(p);
    return NULL;
}

static struct chain_piece *piece_new(size_t cap)
{
    struct chain_piece *p;

    if (cap > SIZE_MAX - sizeof *p)
        return NULL;
    p = malloc(sizeof *p + cap);
    if (!p)
        return NULL;
    *p = (struct chain_piece){ .bytes = p->data, .cap = cap };
    return p;
}

static void link_tail(struct chain *c, struct chain_piece *p)
{
    if (c->tail)
        c->tail->next = p;
    else
        c->head = p;
    c->tail = p;
}

/* p is linked no more: it becomes the spare, or goes. */
static void recycle(struct chain *c, struct chain_piece *p)
{
    if (p->cap != BLOCK_BYTES || c->spare) {
        piece_free(p);
        return;
    }
    p->next = NULL;
    p->begin = p->end = 0;
    c->spare = p;
}

void chain_init(struct chain *c)
{
    *c = (struct chain){ 0 };
}

void chain_deinit(struct chain *c)
{
    chain_truncate(c, 0);
    piece_free(c->spare);
    *c = (struct chain){ 0 };
}

void *chain_extend(struct chain *c, size_t n)
{
    struct chain_piece *p = c->tail;
    void *at;

    assert(n > 0);
    if (!p || p->blob || p->cap - p->end < n) {
        if (c->spare && n <= BLOCK_BYTES)
            p = TAKE(c->spare);
        else
            p = piece_new(MAX(n, (size_t)BLOCK_BYTES));
        if (!p)
            return NULL;
        link_tail(c, p);
    }
    at = p->bytes + p->end;
    p->end += n;
    c->n += n;
    return at;
}

int chain_append(struct chain *c, const void *data, size_t n)
{
    void *at;

    if (n == 0)
        return 0;
    at = chain_extend(c, n);
    if (!at)
        return -ENOMEM;
    memcpy(at, data, n);
    return 0;
}

int chain_append_blob(struct chain *c, struct blob *blob, size_t from)
{
    size_t n = blob->n - from;
    struct chain_piece *p;

    if (n < CHAIN_COPY_BYTES)
        return chain_append(c, blob->data + from, n);
    p = piece_new(0);
    if (!p)
        return -ENOMEM;
    p->blob = blob_ref(blob);
    p->bytes = blob->data;
    p->begin = from;
    p->end = blob->n;
    link_tail(c, p);
    c->n += n;
    return 0;
}

void chain_truncate(struct chain *c, size_t n)
{
    struct chain_piece **at = &c->head;
    struct chain_piece *rest;
    size_t left = n;

    c->tail = NULL;
    while (*at && left > 0) {
        struct chain_piece *p = *at;

        p->end = p->begin + MIN(left, p->end - p->begin);
        left -= p->end - p->begin;
        c->tail = p;
        at = &p->next;
    }
    rest = TAKE(*at);
    while (rest) {
        struct chain_piece *p = rest;

        rest = p->next;
        recycle(c, p);
    }
    c->n = n;
}

int chain_peek(const struct chain *c, struct iovec *iov, int max)
{
    int n = 0;

    for (const struct chain_piece *p = c->head; p && n < max; p = p->next)
        iov[n++] = (struct iovec){ p->bytes + p->begin, p->end - p->begin };
    return n;
}

void chain_consume(struct chain *c, size_t n)
{
    assert(n <= c->n);
    c->n -= n;
    while (n > 0) {
        struct chain_piece *p = c->head;
        size_t here;

        assert(p);
        here = p->end - p->begin;
        if (n < here) {
            p->begin += n;
            return;
        }
        n -= here;
        c->head = p->next;
        if (!c->head)
            c->tail = NULL;
        recycle(c, p);
    }
}
