/* SPDX-License-Identifier: MIT */
/*
 * batch -- see batch.h.
 *
 * The page tells how many records there are by one word, stored after the record itself: whoever reads it sees whole
 * records only. When the outbox is full what it has is sent, and only when the kernel has it is the outbox empty: a
 * death in between shows the same records twice, and outbox_first tells.
 */
#include "daemon/worker/batch.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "daemon/worker/answers.h"
#include "proto/bytes.h"
#include "proto/value.h"

enum { NO_VALUE = 0x90, ONE_VALUE = 0x91, FOUR_VALUES = 4 }; /* lists of none and of one */

static struct {
    struct page *page;
    struct link_frame frame; /* of the records that leave */
    uint32_t first;          /* the item of the first record in the outbox ... */
    uint32_t items, used;    /* ... and how many there are, and their bytes */
    uint32_t failed;         /* ... and how many of them are failures */
    bool second;             /* they lie in the second half of it */
    size_t bytes;            /* of all records */
    ptools_pack *failure;
    struct bytes large; /* a record that the outbox is too small for */
} self;

int batch_init(struct page *page, uint32_t worker)
{
    self.page = page;
    self.frame = (struct link_frame){ .type = LINK_ITEMS, .worker = worker };
    self.failure = ptools_pack_new();
    bytes_init(&self.large, SIZE_MAX);
    return self.failure ? 0 : -ENOMEM;
}

static void publish(void)
{
    atomic_store_explicit(&self.page->outbox_failed, self.failed, memory_order_relaxed);
    atomic_store_explicit(&self.page->outbox_word, page_outbox_word(self.items, self.second, self.used),
                          memory_order_release);
}

void batch_begin(const struct link_frame *run)
{
    self.frame.task = run->task;
    self.frame.attempt = run->attempt;
    self.frame.slot = run->slot;
    self.first = self.items = self.used = self.failed = 0;
    self.second = false;
    self.bytes = 0;
    publish();
    atomic_store_explicit(&self.page->outbox_first, 0, memory_order_release);
    atomic_store_explicit(&self.page->outbox_task, run->task, memory_order_release);
}

static void leave(uint32_t items, uint32_t failed, const uint8_t *records, size_t n, uint64_t now_us)
{
    self.frame.a = items;
    self.frame.b = failed;
    self.frame.body_bytes = (uint32_t)n;
    answers_add(&self.frame, records, now_us);
}

static void empty_outbox(uint32_t first)
{
    answers_flush();
    self.first = first;
    self.items = self.used = self.failed = 0;
    self.second = false;
    publish();
    atomic_store_explicit(&self.page->outbox_first, first, memory_order_release);
}

/* A record of head and rest. */
static void add(bool failed, const uint8_t *head, size_t n_head, const uint8_t *rest, size_t n_rest)
{
    const size_t n = n_head + n_rest;

    self.bytes += n;
    if (n > sizeof self.page->outbox - self.used && self.items > 0) {
        leave(self.items, self.failed, self.page->outbox, self.used, 0);
        empty_outbox(self.first + self.items);
    }
    if (n <= sizeof self.page->outbox) {
        memcpy(self.page->outbox + self.used, head, n_head);
        if (n_rest > 0)
            memcpy(self.page->outbox + self.used + n_head, rest, n_rest);
        self.used += (uint32_t)n;
        self.items++;
        self.failed += failed;
        publish();
        return;
    }
    bytes_reset(&self.large);
    if (bytes_append(&self.large, head, n_head) < 0 || bytes_append(&self.large, rest, n_rest) < 0) {
        self.bytes -= n;
        batch_failure(PTOOLS_ERR_FAILED, "the worker has no memory for the record of the value", "", "");
        return;
    }
    leave(1, failed, self.large.data, self.large.n, 0);
    empty_outbox(self.first + 1);
}

void batch_value(const uint8_t *value, size_t n)
{
    static const uint8_t head = ONE_VALUE;

    add(false, &head, 1, value, n);
}

void batch_failure(ptools_err code, const char *message, const char *phase, const char *log)
{
    const uint8_t *record;
    uint64_t items;
    size_t n;

    ptools_pack_reset(self.failure);
    ptools_pack_list(self.failure, FOUR_VALUES);
    ptools_pack_i64(self.failure, code);
    ptools_pack_str(self.failure, message);
    ptools_pack_str(self.failure, phase);
    ptools_pack_str(self.failure, log);
    if (pack_finish_items(self.failure, &record, &n, &items) == PTOOLS_OK) {
        add(true, record, n, NULL, 0);
    } else {
        static const uint8_t bare[] = { 0x94, PTOOLS_ERR_FAILED, 0xa0, 0xa0, 0xa0 }; /* there is no memory for more */

        add(true, bare, sizeof bare, NULL, 0);
    }
}

static uint8_t *half(void)
{
    return self.page->outbox + (self.second ? PAGE_OUTBOX_HALF : 0);
}

void batch_fold(const uint8_t *value, size_t n)
{
    const bool fits = n < PAGE_OUTBOX_HALF;

    self.second = !self.second; /* the other one is as it was until this one is whole */
    half()[0] = fits ? ONE_VALUE : NO_VALUE;
    if (fits)
        memcpy(half() + 1, value, n);
    self.used = fits ? (uint32_t)n + 1 : 1;
    self.items++;
    publish();
}

void batch_fold_leave(const uint8_t *value, size_t n, bool last, uint64_t now_us)
{
    static const uint8_t head = ONE_VALUE;

    bytes_reset(&self.large);
    if (n >= PAGE_OUTBOX_HALF && bytes_append(&self.large, &head, 1) == 0 && bytes_append(&self.large, value, n) == 0)
        leave(self.items, 0, self.large.data, self.large.n, now_us);
    else
        leave(self.items, 0, half(), self.used, now_us);
    if (last)
        self.items = 0;
    else
        empty_outbox(self.first + self.items);
}

size_t batch_bytes(void)
{
    return self.bytes;
}

void batch_end(uint64_t now_us)
{
    if (self.items > 0)
        leave(self.items, self.failed, half(), self.used, now_us);
}
