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

/* Heads of lists; and lengths. */
enum { NO_VALUE = 0x90, ONE_VALUE = 0x91, THREE_VALUES = 0x93, FOUR_VALUES = 4, ELEVEN_VALUES = 11 };

static struct {
    struct page *page;
    struct link_frame frame; /* of the records that leave */
    uint32_t first;          /* the item of the first record in the outbox ... */
    uint32_t items, used;    /* ... and how many there are, and their bytes */
    uint32_t failed;         /* ... and how many of them are failures */
    bool second;             /* they lie in the second half of it */
    size_t bytes;            /* of all records */
    ptools_pack *pack;       /* for the parts of a record */
    struct bytes large;      /* a record that the outbox is too small for */
} self;

int batch_init(struct page *page, uint32_t worker)
{
    self.page = page;
    self.frame = (struct link_frame){ .type = LINK_ITEMS, .worker = worker };
    self.pack = ptools_pack_new();
    bytes_init(&self.large, SIZE_MAX);
    return self.pack ? 0 : -ENOMEM;
}

static inline void publish(void)
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

/* A record of n bytes lies at the end of the outbox. */
static inline void added(size_t n, bool failed)
{
    self.bytes += n;
    self.used += (uint32_t)n;
    self.items++;
    self.failed += failed;
    publish();
}

/* A record that lies in so many parts. */
static void add(bool failed, const struct span *parts, size_t n_parts)
{
    size_t n = 0;
    int r = 0;

    for (size_t i = 0; i < n_parts; i++)
        n += parts[i].n;
    if (n > sizeof self.page->outbox - self.used && self.items > 0) {
        leave(self.items, self.failed, self.page->outbox, self.used, 0);
        empty_outbox(self.first + self.items);
    }
    if (n <= sizeof self.page->outbox) {
        uint8_t *at = self.page->outbox + self.used;

        for (size_t i = 0; i < n_parts; at += parts[i++].n)
            bytes_copy(at, parts[i].data, parts[i].n);
        added(n, failed);
        return;
    }
    bytes_reset(&self.large);
    for (size_t i = 0; r == 0 && i < n_parts; i++)
        r = bytes_append(&self.large, parts[i].data, parts[i].n);
    if (r < 0) {
        batch_failure(PTOOLS_ERR_FAILED, "the worker has no memory for the record of the value", "", "");
        return;
    }
    self.bytes += n;
    leave(1, failed, self.large.data, self.large.n, 0);
    empty_outbox(self.first + 1);
}

__attribute__((__noinline__)) static void add_value(const uint8_t *value, size_t n)
{
    static const uint8_t head = ONE_VALUE;

    add(false, (const struct span[]){ { &head, 1, NULL }, { value, n, NULL } }, 2);
}

void batch_value(const uint8_t *value, size_t n)
{
    uint8_t *at = self.page->outbox + self.used;

    if (n >= sizeof self.page->outbox - self.used) {
        add_value(value, n);
        return;
    }
    at[0] = ONE_VALUE;
    bytes_copy(at + 1, value, n);
    added(1 + n, false);
}

void batch_value_isolated(const struct isolated *done)
{
    static const uint8_t head = THREE_VALUES;
    const uint8_t *numbers;
    uint64_t items;
    size_t n;

    ptools_pack_reset(self.pack);
    ptools_pack_u64(self.pack, done->run_us);
    ptools_pack_u64(self.pack, done->peak_kb);
    if (pack_finish_items(self.pack, &numbers, &n, &items) == PTOOLS_OK)
        add(false, (const struct span[]){ { &head, 1, NULL }, { done->value, done->n, NULL }, { numbers, n, NULL } },
            3);
    else
        batch_value(done->value, done->n); /* there is no memory for more */
}

static void begin_failure(uint32_t values, ptools_err code, const char *message, const char *phase, const char *log)
{
    ptools_pack_reset(self.pack);
    ptools_pack_list(self.pack, values);
    ptools_pack_i64(self.pack, code);
    ptools_pack_str(self.pack, message);
    ptools_pack_str(self.pack, phase);
    ptools_pack_str(self.pack, log);
}

static void end_failure(void)
{
    static const uint8_t bare[] = { 0x94, PTOOLS_ERR_FAILED, 0xa0, 0xa0, 0xa0 }; /* there is no memory for more */
    const uint8_t *record;
    uint64_t items;
    size_t n;

    if (pack_finish_items(self.pack, &record, &n, &items) == PTOOLS_OK)
        add(true, &(struct span){ record, n, NULL }, 1);
    else
        add(true, &(struct span){ bare, sizeof bare, NULL }, 1);
}

void batch_failure(ptools_err code, const char *message, const char *phase, const char *log)
{
    begin_failure(FOUR_VALUES, code, message, phase, log);
    end_failure();
}

void batch_failure_isolated(const struct isolated *done, const struct page_words *words)
{
    begin_failure(ELEVEN_VALUES, done->code, done->message, words->phase, words->log);
    ptools_pack_u64(self.pack, done->run_us);
    ptools_pack_u64(self.pack, done->peak_kb);
    ptools_pack_i64(self.pack, done->signal);
    ptools_pack_i64(self.pack, done->exit_status);
    ptools_pack_u64(self.pack, words->progress);
    ptools_pack_u64(self.pack, words->progress_of);
    ptools_pack_str(self.pack, done->code == PTOOLS_ERR_EXITED ? "" : words->backtrace);
    end_failure();
}

void batch_failure_exited(const struct ptools_task *t, const struct page_words *words)
{
    struct isolated done = { .code = PTOOLS_ERR_EXITED, .run_us = t->exit_us, .peak_kb = t->exit_peak_kb,
                             .signal = t->exit_signal, .exit_status = t->exit_status };

    strcpy(done.message, t->message);
    batch_failure_isolated(&done, words);
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
        bytes_copy(half() + 1, value, n);
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
