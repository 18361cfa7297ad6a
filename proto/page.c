/* SPDX-License-Identifier: MIT */
/*
 * page -- a private, checked copy of a worker's last words.
 *
 * The worker may write while we read, and may have written garbage. So each word is loaded once,
 * each string is copied first and only then, in the copy, terminated and cleaned; nothing from the
 * page is used as a length or, unmasked, as an index.
 */
#include "proto/page.h"

#include <string.h>

#include "proto/text.h"

/* Copies n bytes, cuts at the first NUL (at the latest at the last byte), cleans. Returns the length. */
static size_t copy_words(char *to, const char *from, size_t n, bool lines)
{
    size_t length;

    memcpy(to, from, n);
    atomic_signal_fence(memory_order_seq_cst); /* what follows reads the copy, never `from` again */
    to[n - 1] = '\0';
    length = strlen(to);
    text_clean(to, length, lines);
    return length;
}

static void copy_log(const struct page *p, char *to)
{
    uint32_t next = atomic_load(&p->log_next);
    uint32_t n = next < PAGE_LOG_LINES ? next : PAGE_LOG_LINES;
    char *end = to;

    _Static_assert(UINT32_MAX % PAGE_LOG_LINES == PAGE_LOG_LINES - 1, "the ring's index survives the counter's wrap");
    for (uint32_t i = next - n; i != next; i++) {
        end += copy_words(end, p->log[i % PAGE_LOG_LINES], PAGE_LOG_BYTES, true);
        *end++ = '\n'; /* in the place of the NUL: a line never takes more than PAGE_LOG_BYTES */
    }
    *end = '\0';
}

void page_read_words(const struct page *p, struct page_words *ret)
{
    uint32_t process_phase = atomic_load(&p->process_phase);

    ret->process_phase = process_phase <= PAGE_SENDING ? (enum page_phase)process_phase : PAGE_BOOT;
    ret->task = atomic_load(&p->task);
    ret->began_us = atomic_load(&p->began_us);
    ret->progress = atomic_load(&p->progress);
    ret->progress_of = atomic_load(&p->progress_of);
    ret->calls = atomic_load(&p->calls);
    for (unsigned i = 0; i < PAGE_SLOTS; i++)
        ret->begun[i] = atomic_load(&p->slot[i]);
    ret->peak_kb = atomic_load(&p->peak_kb);
    ret->fault_signal = atomic_load(&p->fault_signal);
    ret->fault_address = atomic_load(&p->fault_address);
    copy_words(ret->function, p->function, sizeof ret->function, false);
    copy_words(ret->module, p->module, sizeof ret->module, false);
    copy_words(ret->phase, p->phase, sizeof ret->phase, false);
    copy_log(p, ret->log);
    copy_words(ret->backtrace, p->backtrace, sizeof ret->backtrace, true);
}
