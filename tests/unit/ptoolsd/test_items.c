/* SPDX-License-Identifier: MIT */
/*
 * items -- records of a batch, as they come from a worker's link and from the page of a dead one.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/ptoolsd/items.h"
#include "tests/support/suite.h"

static struct items items;
static struct page page;

static void reset(void)
{
    items = (struct items){ 0 };
    memset(&page, 0, sizeof page);
}

static int add(uint64_t task, uint32_t n, uint32_t failed, const char *text)
{
    return items_add(&items, task, n, failed, &(struct span){ (const uint8_t *)text, strlen(text), NULL }, 1000);
}

static void check(uint64_t task, uint32_t n, uint32_t failed, const char *text)
{
    ck_assert_uint_eq(items.task, task);
    ck_assert_uint_eq(items.n, n);
    ck_assert_uint_eq(items.failed, failed);
    ck_assert_uint_eq(items.records ? items.records->n : 0, strlen(text));
    if (*text)
        ck_assert_mem_eq(items.records->data, text, strlen(text));
}

START_TEST(parts_are_put_together)
{
    AUTO(blob) whole = blob_new("whole", 5);

    reset();
    ck_assert_int_eq(add(7, 2, 0, "ab"), 0);
    ck_assert_int_eq(add(7, 3, 1, "cde"), 0);
    check(7, 5, 1, "abcde");
    ck_assert_int_eq(add(8, 1, 1, "x"), 0); /* another batch */
    check(8, 1, 1, "x");
    items_clear(&items);
    check(0, 0, 0, "");
    ck_assert_int_eq(items_add(&items, 9, 1, 0, &(struct span){ whole->data, whole->n, whole }, 1000), 0);
    ck_assert_ptr_eq(items.records, whole); /* not copied */
    items_clear(&items);
}
END_TEST

/* So many parts as there may be items: they are copied a few times, not each time that one comes. */
START_TEST(many_parts_cost_no_more_than_their_bytes)
{
    AUTO(blob) first = blob_new("0", 1);
    const struct blob *at = first;
    unsigned moves = 0;

    reset();
    for (uint32_t i = 0; i < BATCH_ITEMS_MAX; i++) {
        const uint8_t digit = (uint8_t)('0' + i % 10);

        if (items_add(&items, 7, 1, 0, &(struct span){ &digit, 1, i == 0 ? first : NULL }, 1 << 20) != 0)
            ck_abort_msg("part %u is refused", i);
        moves += items.records != at;
        at = items.records;
    }
    ck_assert_uint_le(moves, 20);
    ck_assert(first->n == 1 && first->data[0] == '0');
    ck_assert_uint_eq(items.records->n, BATCH_ITEMS_MAX);
    for (uint32_t i = 0; i < BATCH_ITEMS_MAX; i++)
        suite_holds(items.records->data[i] == '0' + i % 10, "part %u is %c", i, items.records->data[i]);
    items_clear(&items);
}
END_TEST

START_TEST(too_much_is_refused)
{
    reset();
    ck_assert_int_eq(add(7, 1, 0, "ab"), 0);
    ck_assert_int_eq(items_add(&items, 7, 1, 0, &(struct span){ (const uint8_t *)"abc", 3, NULL }, 4), -EMSGSIZE);
    check(0, 0, 0, "");
    ck_assert_int_eq(add(7, BATCH_ITEMS_MAX, 0, "ab"), 0);
    ck_assert_int_eq(add(7, 1, 0, "c"), -EMSGSIZE);
    ck_assert_int_eq(add(7, 1, 2, "c"), -EMSGSIZE); /* more failures than items */
    check(0, 0, 0, "");
}
END_TEST

static void leave(uint64_t task, uint32_t first, uint32_t n, uint32_t failed, uint32_t bytes)
{
    memcpy(page.outbox, "0123456789", 10);
    atomic_store(&page.outbox_task, task);
    atomic_store(&page.outbox_first, first);
    atomic_store(&page.outbox_failed, failed);
    atomic_store(&page.outbox_word, page_outbox_word(n, false, bytes));
}

START_TEST(what_a_dead_worker_left_is_taken)
{
    reset();
    ck_assert_int_eq(add(7, 2, 0, "ab"), 0);
    leave(7, 2, 3, 1, 4);
    ck_assert_int_eq(items_add_left(&items, 7, &page, 1000), 0);
    check(7, 5, 1, "ab0123");
    items_clear(&items);
    leave(7, 0, 1, 9, 10); /* more failures than there are: foreign code wrote that */
    ck_assert_int_eq(items_add_left(&items, 7, &page, 1000), 0);
    check(7, 1, 1, "0123456789");
    items_clear(&items);
}
END_TEST

/* A reduction: what there is lies in one of the halves. */
START_TEST(what_lies_in_the_second_half_is_taken)
{
    reset();
    leave(7, 0, 3, 0, 3);
    memcpy(page.outbox + PAGE_OUTBOX_HALF, "second", 6);
    atomic_store(&page.outbox_word, page_outbox_word(4, true, 6));
    ck_assert_int_eq(items_add_left(&items, 7, &page, 1000), 0);
    check(7, 4, 0, "second");
    items_clear(&items);
    atomic_store(&page.outbox_word, page_outbox_word(4, true, PAGE_OUTBOX_HALF + 1)); /* beyond the end */
    ck_assert_int_eq(items_add_left(&items, 7, &page, 1000), 0);
    check(0, 0, 0, "");
}
END_TEST

START_TEST(what_was_sent_already_is_not_taken_twice)
{
    reset();
    ck_assert_int_eq(add(7, 3, 0, "abc"), 0);
    leave(7, 0, 3, 0, 3); /* it had no time to empty it */
    ck_assert_int_eq(items_add_left(&items, 7, &page, 1000), 0);
    check(7, 3, 0, "abc");
    leave(8, 3, 3, 0, 3); /* of another batch */
    ck_assert_int_eq(items_add_left(&items, 7, &page, 1000), 0);
    check(7, 3, 0, "abc");
    leave(7, 3, 3, 0, PAGE_OUTBOX_BYTES + 1);
    ck_assert_int_eq(items_add_left(&items, 7, &page, 1000), 0);
    check(7, 3, 0, "abc");
    leave(7, 3, 0, 0, 3);
    ck_assert_int_eq(items_add_left(&items, 7, &page, 1000), 0);
    check(7, 3, 0, "abc");
    items_clear(&items);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ptoolsd/items");
    TCase *tc = suite_case(suite, "items");

    tcase_add_test(tc, parts_are_put_together);
    tcase_add_test(tc, many_parts_cost_no_more_than_their_bytes);
    tcase_add_test(tc, too_much_is_refused);
    tcase_add_test(tc, what_a_dead_worker_left_is_taken);
    tcase_add_test(tc, what_lies_in_the_second_half_is_taken);
    tcase_add_test(tc, what_was_sent_already_is_not_taken_twice);
    return suite_run(suite);
}
