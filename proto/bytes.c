/* SPDX-License-Identifier: MIT */
/*
 * bytes -- see bytes.h. All arithmetic on lengths is a comparison with what is left, never a sum that
 * could wrap.
 */
#include "proto/bytes.h"

#include <errno.h>
#include <malloc.h>
#include <stdatomic.h>
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

/* Blocks of the size of batches come and go by the thousand, and malloc gives their memory back to the kernel, where
 * it has to be faulted in again: that costs more than all that is done with it. So a few are kept for the next ones.
 * They belong to the process: whoever takes or leaves one does so by an exchange. */
enum { KEPT_BLOBS = 8, KEPT_BYTES_MIN = 32 << 10, KEPT_BYTES_MAX = 120 << 10, KEPT_BYTES_STEP = 8 << 10 };
static _Atomic(struct blob *) kept[KEPT_BLOBS];

static void keep_or_free(struct blob *blob)
{
    const size_t bytes = malloc_usable_size(blob);

    if (bytes < KEPT_BYTES_MIN || bytes >= KEPT_BYTES_MAX + KEPT_BYTES_STEP) {
        free(blob);
        return;
    }
    for (size_t i = 0; i < KEPT_BLOBS && blob; i++)
        blob = atomic_exchange(&kept[i], blob); /* older ones move on, and the last one goes */
    free(blob);
}

static struct blob *take_kept(size_t bytes)
{
    for (size_t i = 0; i < KEPT_BLOBS; i++) {
        struct blob *blob = atomic_exchange(&kept[i], NULL);

        if (blob && malloc_usable_size(blob) >= bytes)
            return blob;
        free(blob);
    }
    return NULL;
}

struct blob *blob_new(const void *data, size_t n)
{
    struct blob *blob = NULL;
    size_t bytes;

    if (n > SIZE_MAX - sizeof *blob)
        return NULL;
    bytes = sizeof *blob + n;
    if (bytes >= KEPT_BYTES_MIN && bytes <= KEPT_BYTES_MAX) {
        bytes = (bytes + KEPT_BYTES_STEP - 1) / KEPT_BYTES_STEP * KEPT_BYTES_STEP; /* so that they are of few sizes */
        blob = take_kept(bytes);
    }
    if (!blob)
        blob = malloc(bytes);
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
        keep_or_free(blob);
    return NULL;
}
