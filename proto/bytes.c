/* SPDX-License-Identifier: MIT */
/*
 * bytes -- see bytes.h. All arithmetic on lengths is a comparison with what is left, never a sum that
 * could wrap.
 */
#include "proto/bytes.h"

#include <errno.h>
#include <string.h>

enum { BYTES_FIRST = 256 };

void bytes_init(struct bytes *b, size_t max_bytes)
{
    *b = (struct bytes){ .max_bytes = max_bytes };
}

void bytes_init_lent(struct bytes *b, size_t max_bytes, void *room, size_t room_bytes)
{
    *b = (struct bytes){ .max_bytes = max_bytes, .data = room, .cap = room_bytes, .lent = true };
}

void bytes_deinit(struct bytes *b)
{
    if (!b->lent)
        free(b->data);
    *b = (struct bytes){ .max_bytes = b->max_bytes };
}

/* Room for need bytes in all; need is not over the maximum. */
static int bytes_grow(struct bytes *b, size_t need)
{
    size_t cap = b->cap ? b->cap : BYTES_FIRST;
    uint8_t *data;

    while (cap < need)
        cap = cap > b->max_bytes / 2 ? b->max_bytes : cap * 2;
    cap = MIN(cap, b->max_bytes);
    data = realloc(b->lent ? NULL : b->data, cap);
    if (!data)
        return -ENOMEM;
    if (b->lent)
        memcpy(data, b->data, b->n);
    b->lent = false;
    b->data = data;
    b->cap = cap;
    return 0;
}

int bytes_append(struct bytes *b, const void *data, size_t n)
{
    if (b->err)
        return b->err;
    if (n > b->max_bytes - b->n)
        return b->err = -EMSGSIZE;
    if (n > b->cap - b->n && bytes_grow(b, b->n + n) < 0)
        return b->err = -ENOMEM;
    if (data)
        bytes_copy(b->data + b->n, data, n);
    b->n += n;
    return 0;
}

struct blob *blob_new(const void *data, size_t n)
{
    struct blob *blob;

    if (n > SIZE_MAX - sizeof *blob)
        return NULL;
    blob = malloc(sizeof *blob + n);
    if (!blob)
        return NULL;
    blob->refs = 1;
    blob->n = n;
    if (data && n > 0)
        memcpy(blob->data, data, n);
    return blob;
}

struct blob *blob_ref(struct blob *blob)
{
    blob->refs++;
    return blob;
}

struct blob *blob_free(struct blob *blob)
{
    if (blob && --blob->refs == 0)
        free(blob);
    return NULL;
}
