/* SPDX-License-Identifier: MIT */
/*
 * items -- see items.h.
 *
 * A batch ends when its records have become many (worker/execute.c): so what comes in several parts, and is copied
 * together, is of a megabyte or so.
 */
#include "daemon/ptoolsd/items.h"

#include <errno.h>
#include <string.h>

void items_clear(struct items *items)
{
    blob_free(items->records);
    *items = (struct items){ 0 };
}

static int fail(struct items *items, int error)
{
    items_clear(items);
    return -error;
}

int items_add(struct items *items, uint64_t task, uint32_t n, uint32_t failed, const struct span *records,
              size_t bytes_max)
{
    struct blob *all;
    size_t had;

    if (items->task != task)
        items_clear(items);
    had = items->records ? items->records->n : 0;
    if (records->n > bytes_max || had > bytes_max - records->n || n > BATCH_ITEMS_MAX - items->n || failed > n)
        return fail(items, EMSGSIZE);
    if (had == 0) {
        all = records->blob && records->data == records->blob->data && records->n == records->blob->n
                  ? blob_ref(records->blob)
                  : blob_new(records->data, records->n);
    } else {
        all = blob_new(NULL, had + records->n);
        if (all) {
            memcpy(all->data, items->records->data, had);
            memcpy(all->data + had, records->data, records->n);
        }
    }
    if (!all)
        return fail(items, ENOMEM);
    blob_free(items->records);
    items->records = all;
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
