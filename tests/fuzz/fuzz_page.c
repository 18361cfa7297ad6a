/* SPDX-License-Identifier: MIT */
/*
 * fuzz_page -- any bytes as the control page of a worker that has died. Its last words are texts that can be printed,
 * within their room; the records that it left are taken, or refused as too many.
 *
 * The input is repeated until the page is full, so that all of it is nonsense. Its first byte says whether the records
 * are of the task that is asked for.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/ptoolsd/items.h"
#include "proto/page.h"
#include "proto/text.h"
#include "tests/fuzz/fuzz.h"

enum { RECORDS_MAX = 40000 /* less than an outbox can have */ };

static void check_text(const char *text, size_t room, bool lines)
{
    check(strnlen(text, room) < room && text_is_clean(text, strlen(text), lines));
}

static void check_words(const struct page *page)
{
    static struct page_words words;

    page_read_words(page, &words);
    check(words.process_phase <= PAGE_SENDING);
    check_text(words.function, sizeof words.function, false);
    check_text(words.module, sizeof words.module, false);
    check_text(words.phase, sizeof words.phase, false);
    check_text(words.log, sizeof words.log, true);
    check_text(words.backtrace, sizeof words.backtrace, true);
    for (unsigned i = 0; i < PAGE_SLOTS; i++)
        (void)page_maybe_started(page, i, words.begun[i] >> 8);
}

/* As many as came before by the link, and those that it left. */
static void check_items(const struct page *page, uint64_t task)
{
    struct items items = { .task = 0 };
    const struct span came = { page->outbox, 100, NULL };
    int r = items_add(&items, task, 3, 1, &came, RECORDS_MAX);

    check(r == 0);
    r = items_add_left(&items, task, page, RECORDS_MAX);
    check(r == 0 || r == -EMSGSIZE);
    check(!items.records || items.records->n <= RECORDS_MAX);
    check(items.failed <= items.n);
    items_clear(&items);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static _Alignas(struct page) uint8_t bytes[PAGE_BYTES];
    struct page *page = (struct page *)bytes;
    bool ours;

    if (n < 2)
        return 0;
    ours = *data++ & 1;
    n--;
    for (size_t at = 0; at < sizeof bytes; at += n)
        memcpy(bytes + at, data, n < sizeof bytes - at ? n : sizeof bytes - at);
    check_words(page);
    if (ours)
        atomic_store(&page->outbox_task, 7);
    check_items(page, 7);
    return 0;
}
