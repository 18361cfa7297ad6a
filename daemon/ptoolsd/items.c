/* SPDX-License-Identifier: MIT */
/*
 * items -- see items.h.
 *
 * What comes in one part is kept as it came. Of several parts one block is made, which grows by doubling: foreign code
 * says how many parts there are, and ten thousand small ones shall cost no more than a large one.
 */
#include "daemon/ptoolsd/items.h"

#include <errno.h>
#include <string.h>

void items_clear(struct items *items)
{
    blob_free(items->records);
    *items = (struct items){ 0 };
}

/* Room for n more bytes behind those that are there, which are counted as if they were. NULL: no memory. */
static uint8_t *grow(struct items *items, size_t n, size_t bytes_max)
{
    const size_t had = items->records->n;

    if (items->cap < had + n) {
        const size_t cap = had + n > bytes_max / 2 ? bytes_max : 2 * (had + n);
        struct blob *all = blob_new(NULL, cap);

        if (!all)
            return NULL;
        memcpy(all->data, items->records->data, had);
        blob_free(items->records);
        items->records = all;
        items->cap = cap;
    }
    items->records->n = had + n;
    return items->records->data + had;
}

static int fail(struct items *items, int error)
{
    items_clear(items);
    return -error;
}

int items_add(struct items *items, uint64_t task, uint32_t n, uint32_t failed, const struct span *records,
              size_t bytes_max)
{
    uint8_t *at;
    size_t had;

    if (items->task != task)
        items_clear(items);
    had = items->records ? items->records->n : 0;
    if (records->n > bytes_max || had > bytes_max - records->n || n > BATCH_ITEMS_MAX - items->n || failed > n)
        return fail(items, EMSGSIZE);
    if (had == 0) {
        blob_free(items->records);
        items->cap = 0; /* it is not only ours */
        items->records = records->blob && records->data == records->blob->data && records->n == records->blob->n
                             ? blob_ref(records->blob)
                             : blob_new(records->data, records->n);
        if (!items->records)
            return fail(items, ENOMEM);
    } else {
        at = grow(items, records->n, bytes_max);
        if (!at)
            return fail(items, ENOMEM);
        memcpy(at, records->data, records->n);
    }
    items->task = task;
    items->n += n;
    items->failed += failed;
    return 0;
}

/* Those that were sent and are in the outbox still, for it died before it could empty that, are not taken twice. */
int items_add_left(struct items *items, uint64_t task, const struct page *page, size_t bytes_max)
{
    uint32_t n, at, bytes;
    const bool there = page_outbox_read(atomic_load(&page->outbox_word), &n, &at, &bytes);
    const uint32_t failed = atomic_load(&page->outbox_failed), had = items->task == task ? items->n : 0;

    if (items->task != task)
        items_clear(items);
    if (!there || atomic_load(&page->outbox_task) != task || atomic_load(&page->outbox_first) != had || n == 0)
        return 0;
    return items_add(items, task, n, MIN(failed, n), &(struct span){ page->outbox + at, bytes, NULL }, bytes_max);
}
