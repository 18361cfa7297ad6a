/* SPDX-License-Identifier: MIT */
/*
 * Many items in one call, with a function for each outcome; what is told of how far it is; a priority; and what items
 * come to when all is ended before their turn.
 */
#include <math.h>
#include <string.h>

#include "tests/integration/pmap_rig.h"

enum { MANY = 20000, FEW = 100, CALLS = 60 };

/* -- each outcome ------------------------------------------------------------------------------------------------ */

struct seen {
    uint64_t n, values, not_run, failed;
    uint64_t until; /* the outcome after which it says that it is enough */
    bool in_order;
};

static int look(const ptools_item *item, void *arg)
{
    struct seen *s = arg;
    int64_t v;

    s->in_order &= item->index == s->n;
    s->n++;
    if (item->err == PTOOLS_OK && ptools_get_i64(item->value, &v) == PTOOLS_OK)
        s->values += (uint64_t)v == item->index;
    s->not_run += item->err == PTOOLS_ERR_NOT_RUN;
    s->failed += item->err != PTOOLS_OK;
    return s->until && s->n >= s->until;
}

static ptools_err run(const char *function, struct seen *seen)
{
    const ptools_pack *const lists[] = { list };

    *seen = (struct seen){ .until = seen->until, .in_order = true };
    return ptools_pmap_each(pt, function, lists, 1, &options, look, seen);
}

START_TEST(each_outcome_is_handed_to_a_function)
{
    struct seen seen = { .until = 0 };

    up(2);
    numbers(0, MANY);
    ck_assert_ptools(run("p.same", &seen));
    ck_assert(seen.n == MANY && seen.values == MANY && seen.in_order);
    ck_assert_ptools(ptools_pmap_each(pt, "p.same", (const ptools_pack *const[]){ list }, 1, NULL, NULL, NULL));
    down();
}
END_TEST

START_TEST(what_failed_is_told_at_its_end)
{
    struct seen seen = { .until = 0 };

    up(2);
    numbers(0, 10);
    ptools_pack_str(list, "no number");
    numbers(0, 10);
    came_to(run("p.same", &seen), PTOOLS_ERR_PARTS, "1 of 21 items failed, the first one with BAD_ARGUMENT");
    ck_assert(seen.n == 21 && seen.failed == 1 && seen.in_order);
    down();
}
END_TEST

START_TEST(the_function_may_end_it)
{
    struct seen seen = { .until = 7 };

    up(2);
    numbers(0, MANY);
    options.batch_size = 1;
    ck_assert_err(run("p.same", &seen), PTOOLS_ERR_PARTS);
    ck_assert_uint_eq(seen.n, MANY);
    ck_assert(seen.in_order && seen.not_run > 0 && seen.values + seen.failed == MANY);
    down();
}
END_TEST

START_TEST(items_may_come_from_a_source)
{
    struct seen seen = { .in_order = true };
    struct counted c = { .of = 3 };

    up(1);
    ck_assert_ptools(ptools_pmap_each_from(pt, "p.same", give, &c, NULL, look, &seen));
    ck_assert(seen.n == 3 && seen.values == 3 && seen.in_order);
    down();
}
END_TEST

START_TEST(wrong_calls_are_told)
{
    struct seen seen = { .until = 0 };

    up(1);
    numbers(0, 3);
    ck_assert_err(run("p", &seen), PTOOLS_ERR_INVALID);
    options.priority = NAN;
    came_to(run("p.same", &seen), PTOOLS_ERR_INVALID, "priority is NaN");
    options.priority = 0;
    options.progress_ms = -1;
    came_to(run("p.same", &seen), PTOOLS_ERR_INVALID, "progress_ms is -1");
    ck_assert_uint_eq(seen.n, 0);
    down();
}
END_TEST

/* -- progress ---------------------------------------------------------------------------------------------------- */

struct told {
    uint64_t n, ended;
    ptools_pmap_progress last;
};

static void told(const ptools_pmap_progress *p, void *arg)
{
    struct told *t = arg;

    ck_assert_uint_ge(p->ended, t->ended);
    ck_assert_uint_le(p->ended, p->items);
    t->n++;
    t->ended = p->ended;
    t->last = *p;
}

START_TEST(how_far_it_is_is_told_and_at_its_end_all_of_it)
{
    struct told t = { .n = 0 };
    struct seen seen = { .until = 0 };

    up(1);
    numbers(0, 30);
    options.progress = told;
    options.arg = &t;
    options.progress_ms = 1;
    options.batch_size = 1;
    ck_assert_ptools(run("p.same", &seen));
    ck_assert_uint_ge(t.n, 1);
    ck_assert(t.last.items == 30 && t.last.of == 30 && t.last.ended == 30 && t.last.failed == 0 &&
              t.last.batches == 30);
    t = (struct told){ .n = 0 };
    options.progress_ms = 1000000; /* not before its end */
    ck_assert_ptools(run("p.same", &seen));
    ck_assert_uint_eq(t.n, 1);
    down();
}
END_TEST

/* -- priority ---------------------------------------------------------------------------------------------------- */

/* One worker, for which calls are waiting that were there before: it is given those items first. */
START_TEST(the_better_priority_goes_first)
{
    ptools_future *calls[CALLS];
    ptools_pack *args;
    struct seen seen = { .until = 0 };
    unsigned done = 0;

    up(1);
    numbers(0, FEW);
    args = ptools_pack_new();
    ptools_pack_str(args, "sleep");
    ptools_pack_i64(args, 10);
    for (int i = 0; i < CALLS; i++)
        ck_assert_ptools(ptools_remotecall(pt, NULL, "p.item", args, NULL, &calls[i]));
    ck_assert_ptools(ptools_future_wait(calls[0], WAIT_MS)); /* it is known that they take long */
    options.priority = -1;
    options.batch_size = FEW / 4;
    ck_assert_ptools(run("p.same", &seen));
    ck_assert(seen.n == FEW && seen.values == FEW);
    for (int i = 0; i < CALLS; i++)
        done += ptools_future_done(calls[i]);
    ck_assert_uint_lt(done, CALLS / 2);
    for (int i = 0; i < CALLS; i++) {
        ck_assert_ptools(ptools_future_wait(calls[i], WAIT_MS));
        ptools_future_free(calls[i]);
    }
    ptools_pack_free(args);
    down();
}
END_TEST

/* -- an early end ------------------------------------------------------------------------------------------------ */

/* Items as lists of arguments: {"fail", "no"}, or {"sleep", ms}. */
static int fail_then_sleep(ptools_pack *args, void *arg)
{
    int *n = arg;

    if (*n == 3)
        return 0;
    ptools_pack_str(args, *n == 0 ? "fail" : "sleep");
    if (*n == 0)
        ptools_pack_str(args, "no");
    else
        ptools_pack_i64(args, 20000);
    ++*n;
    return 1;
}

/* The first has failed and waits for its next attempt, the second runs, the third waits for the worker. */
START_TEST(what_is_known_of_an_item_is_told_when_all_is_ended)
{
    static const int64_t delays[] = { 60000 };
    ptools_pack *nine = ptools_pack_new();
    ptools_pmap_progress p;
    ptools_pmap *map;
    ptools_item item;
    int n = 0;

    up(1);
    ptools_pack_i64(nine, 9);
    options.retry_delays_ms = delays;
    options.n_retry_delays = 1;
    options.batch_size = 1;
    options.on_error = PTOOLS_ON_ERROR_DEFAULT;
    options.default_value = nine;
    map = start_from("p.item", fail_then_sleep, &n);
    do {
        ck_assert_err(ptools_pmap_next(map, 1, &item), PTOOLS_ERR_TIMEOUT);
        p = progress_of(map);
    } while (p.retried == 0 || p.items < 3);
    ck_assert_ptools(ptools_pmap_cancel(map));
    item = next(map);
    ck_assert(item.err == PTOOLS_OK && item.attempts == 1); /* it did fail: so it has the default */
    ck_assert_int_eq(item.failure->code, PTOOLS_ERR_FAILED);
    ck_assert_str_eq(item.failure->message, "no");
    for (int i = 1; i < 3; i++) { /* these did not, and have none */
        item = next(map);
        ck_assert_int_eq(item.err, item.attempts > 0 ? PTOOLS_ERR_CANCELLED : PTOOLS_ERR_NOT_RUN);
    }
    ends(map);
    ptools_pack_free(nine);
    down();
}
END_TEST

static int none_yet(ptools_pack *args, void *arg)
{
    (void)args;
    ++*(int *)arg;
    return 2;
}

START_TEST(a_source_that_has_none_yet_is_told_so_whatever_the_limit)
{
    ptools_pmap *map;
    ptools_item item;
    int asked = 0;

    up(1);
    options.timeout_ms = 3600000;
    map = start_from("p.same", none_yet, &asked);
    came_to(ptools_pmap_next(map, PTOOLS_FOREVER, &item), PTOOLS_ERR_TIMEOUT, "the source has no item yet");
    ck_assert_int_eq(asked, 1);
    ptools_pmap_free(map);
    down();
}
END_TEST

/* The daemon takes one task of a user at a time: after it said so once, there is nothing to do until an answer comes.
 */
START_TEST(a_limit_that_was_met_leaves_no_haste)
{
    static const char *const one[] = { "-o", "limits.user_tasks_max=1", NULL };
    ptools_pmap *map;

    up_with(1, one);
    numbers(0, 10);
    options.batch_size = 1;
    map = start("p.same");
    for (int64_t i = 0; i < 10; i++)
        next_is(map, i, i);
    ck_assert_int_eq(ptools_pmap_due_ms(map), -1);
    ptools_pmap_free(map);
    down();
}
END_TEST

/* What was sent too early waits for the answer to what was taken, and not for the tenth of a second that it is told:
 * that would be half a minute. */
START_TEST(a_limit_that_was_met_is_no_brake)
{
    static const char *const one[] = { "-o", "limits.user_tasks_max=1", NULL };

    up_with(1, one);
    numbers(1, 300);
    options.batch_size = 1;
    options.timeout_ms = 15000;
    ck_assert_ptools(ptools_pmap_each(pt, "p.same", (const ptools_pack *const[]){ list }, 1, &options, NULL, NULL));
    down();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pmap each");
    TCase *tc = suite_case(suite, "pmap_each");

    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, each_outcome_is_handed_to_a_function);
    tcase_add_test(tc, what_failed_is_told_at_its_end);
    tcase_add_test(tc, the_function_may_end_it);
    tcase_add_test(tc, items_may_come_from_a_source);
    tcase_add_test(tc, wrong_calls_are_told);
    tcase_add_test(tc, how_far_it_is_is_told_and_at_its_end_all_of_it);
    tcase_add_test(tc, the_better_priority_goes_first);
    tcase_add_test(tc, what_is_known_of_an_item_is_told_when_all_is_ended);
    tcase_add_test(tc, a_source_that_has_none_yet_is_told_so_whatever_the_limit);
    tcase_add_test(tc, a_limit_that_was_met_leaves_no_haste);
    tcase_add_test(tc, a_limit_that_was_met_is_no_brake);
    return suite_run(suite);
}
