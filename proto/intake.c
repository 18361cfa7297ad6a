/* SPDX-License-Identifier: MIT */
/*
 * intake -- see intake.h.
 *
 * There are two places where bytes go: the buffer, and the blob of the large body being read. As
 * long as that blob is not full, the buffer is empty; bytes that come when it is full but not
 * yet taken go into the buffer again, behind it.
 */
#include "proto/intake.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

_Static_assert(INTAKE_BLOB_BYTES <= INTAKE_BUFFER_BYTES && INTAKE_PEEK_MAX <= INTAKE_BUFFER_BYTES,
               "what is waited for in the buffer fits into it");
_Static_assert(INTAKE_BUFFER_BYTES <= INTAKE_CLAIM_BYTES, "what has come of a large body fits into its first block");

void intake_init(struct intake *in)
{
    *in = (struct intake){ 0 };
}

void intake_deinit(struct intake *in)
{
    free(in->buffer);
    blob_free(in->big);
    *in = (struct intake){ 0 };
}

static bool reading_big(const struct intake *in)
{
    return in->big && in->big_have < in->big->n;
}

static void *big_space(struct intake *in, size_t *ret_n)
{
    if (in->big_have == in->big_room) {
        size_t final = in->big->n;
        size_t room = in->big_room > final / 2 ? final : in->big_room * 2;
        struct blob *big = realloc(in->big, sizeof *big + room);

        if (!big)
            return NULL;
        in->big = big;
        in->big_room = room;
    }
    *ret_n = in->big_room - in->big_have;
    return in->big->data + in->big_have;
}

void *intake_space(struct intake *in, size_t *ret_n)
{
    if (reading_big(in))
        return big_space(in, ret_n);
    if (!in->buffer) {
        in->buffer = malloc(INTAKE_BUFFER_BYTES);
        if (!in->buffer)
            return NULL;
        in->cap = INTAKE_BUFFER_BYTES;
    }
    if (in->begin == in->end) {
        in->begin = in->end = 0;
    } else if (in->begin > 0 && in->cap - in->end < in->cap / 2) {
        memmove(in->buffer, in->buffer + in->begin, in->end - in->begin);
        in->end -= in->begin;
        in->begin = 0;
    }
    assert(in->end < in->cap);
    *ret_n = in->cap - in->end;
    return in->buffer + in->end;
}

void intake_commit(struct intake *in, size_t n)
{
    if (reading_big(in)) {
        assert(n <= in->big_room - in->big_have);
        in->big_have += n;
    } else {
        assert(n <= in->cap - in->end);
        in->end += n;
    }
}

const uint8_t *intake_peek(struct intake *in, size_t n)
{
    assert(!in->big && n > 0 && n <= INTAKE_PEEK_MAX);
    return in->end - in->begin >= n ? in->buffer + in->begin : NULL;
}

void intake_drop(struct intake *in, size_t n)
{
    assert(!in->big && n <= in->end - in->begin);
    in->begin += n;
}

/* A blob for a body of n bytes, with what has come of it. */
static int big_begin(struct intake *in, size_t n)
{
    size_t have = MIN(n, in->end - in->begin);
    size_t room = MIN(n, (size_t)INTAKE_CLAIM_BYTES);

    if (n > SIZE_MAX - sizeof *in->big)
        return -ENOMEM;
    in->big = blob_new(NULL, room);
    if (!in->big)
        return -ENOMEM;
    in->big->n = n;
    in->big_room = room;
    in->big_have = have;
    if (have > 0)
        memcpy(in->big->data, in->buffer + in->begin, have);
    in->begin += have;
    return 0;
}

int intake_body(struct intake *in, size_t n, struct span *ret)
{
    if (n < INTAKE_BLOB_BYTES) {
        if (in->end - in->begin < n)
            return 0;
        *ret = (struct span){ n > 0 ? in->buffer + in->begin : (const uint8_t *)"", n, NULL };
        in->begin += n;
        return 1;
    }
    if (!in->big && big_begin(in, n) < 0)
        return -ENOMEM;
    assert(in->big->n == n);
    if (reading_big(in))
        return 0;
    *ret = (struct span){ in->big->data, n, in->big };
    in->big = NULL;
    in->big_have = in->big_room = 0;
    return 1;
}

size_t intake_pending(const struct intake *in)
{
    return in->big_have + (in->end - in->begin);
}
