/* SPDX-License-Identifier: MIT */
/*
 * What becomes of many items when some fail, kill their worker or hang, against a real daemon: contract.md, section 7.
 * Each has a fate of its own, whatever the size of its batch; retries, timeouts, cancellation; and what is left when a
 * map is given up, or the daemon is gone.
 */
#include <inttypes.h>
#include <signal.h>
#include <string.h>

#include "tests/integration/pmap_rig.h"

static const uint32_t sizes[] = { 0, 1, 7, 1000, 65536 };
enum { SIZES = sizeof sizes / sizeof sizes[0] };

/* -- every fate ----------------------------------------------------------------------------------------------- */

enum fate { VALUE, FAIL, SEGV, KILL, EXIT, FATES };
static const char *const fate_words[] = { "value", "fail", "raise", "raise", "exit" };

static void add_fate(enum fate fate, int64_t i)
{
    ptools_pack_str(what, fate_words[fate]);
    if (fate == FAIL)
        ptools_pack_str(list, "no good");
    else
        ptools_pack_i64(list, fate == VALUE ? i : fate == SEGV ? SIGSEGV : fate == KILL ? SIGKILL : 3);
}

static void check_fate(const ptools_item *item, enum fate fate, int64_t i, uint32_t attempts)
{
    const ptools_failure *f = item->failure;

    ck_assert_uint_eq(item->index, (uint64_t)i);
    ck_assert_uint_eq(item->attempts, fate == VALUE ? 1 : attempts);
    if (fate == VALUE) {
        ck_assert_int_eq(number_of(item), i);
        return;
    }
    ck_assert_ptr_nonnull(f);
    ck_assert_int_eq(f->code, item->err);
    ck_assert(f->maybe_executed);
    if (fate == FAIL) {
        ck_assert_err(item->err, PTOOLS_ERR_FAILED);
        ck_assert_str_eq(f->message, "no good");
        ck_assert_str_eq(f->phase, "failing");
        ck_assert_str_eq(f->log, "about to say no good\n");
    } else {
        ck_assert_err(item->err, PTOOLS_ERR_WORKER_DIED);
        ck_assert_int_eq(f->signal, fate == SEGV ? SIGSEGV : fate == KILL ? SIGKILL : 0);
        ck_assert_int_eq(f->exit_status, fate == EXIT ? 3 : -1);
    }
}

static void each_item_has_its_own_fate_in_batches_of_every_size_once(int k)
{
    enum { N = 240 };
    const int64_t delays[] = { 0 };
    const bool again = k >= SIZES;
    enum fate fates[N];
    ptools_pmap *map;

    anew();
    for (int64_t i = 0; i < N; i++) {
        fates[i] = i % 12 == 5 ? FAIL : i % 40 == 17 ? SEGV : i % 60 == 31 ? KILL : i % 80 == 79 ? EXIT : VALUE;
        add_fate(fates[i], i);
    }
    options.batch_size = sizes[k % SIZES];
    if (again) {
        options.retry_delays_ms = delays;
        options.n_retry_delays = 1;
    }
    map = zip("p.item");
    for (int64_t i = 0; i < N; i++) {
        ptools_item item = next(map);

        check_fate(&item, fates[i], i, again ? 2 : 1);
    }
    ends(map);
    server_whole(pt, 2);
}

START_TEST(each_item_has_its_own_fate_in_batches_of_every_size)
{
    up(2);
    for (int i = 0; i < 2 * SIZES; i++)
        each_item_has_its_own_fate_in_batches_of_every_size_once(i);
    down();
}
END_TEST

static const char *const firsts[] = { "fail", "kill" };

START_TEST(what_fails_is_tried_again)
{
    char dir[64];
    const int64_t delays[] = { 0, 20 };
    ptools_pmap_progress p;
    ptools_pmap *map;

    up(2);
    temp_dir(dir, sizeof dir);
    for (int i = 0; i < 40; i++)
        add_first(dir, i, i % 4 == 2 ? firsts[_i] : "no");
    options.retry_delays_ms = delays;
    options.n_retry_delays = 2;
    map = zip("p.first");
    for (int i = 0; i < 40; i++) {
        ptools_item item = next(map);

        ck_assert_int_eq(number_of(&item), i % 4 == 2 ? 2 : 1); /* nothing else was run twice */
        ck_assert_uint_eq(item.attempts, i % 4 == 2 ? 2 : 1);
    }
    p = progress_of(map);
    ck_assert_uint_eq(p.retried, 10);
    ck_assert_uint_eq(p.failed, 0);
    ends(map);
    temp_remove(dir);
    down();
}
END_TEST

static bool only_even(const ptools_item *item, void *arg)
{
    ++*(int *)arg;
    ck_assert_err(item->err, PTOOLS_ERR_FAILED);
    ck_assert_str_eq(item->failure->message, "no good");
    return item->index % 2 == 0;
}

START_TEST(whether_it_is_tried_again_can_be_asked)
{
    const int64_t delays[] = { 0, 0, 0 };
    ptools_pmap *map;
    int asked = 0;

    up(2);
    for (int64_t i = 0; i < 20; i++)
        add_fate(FAIL, i);
    options.retry_delays_ms = delays;
    options.n_retry_delays = 3;
    options.retry_check = only_even;
    options.arg = &asked;
    options.batch_size = 5;
    map = zip("p.item");
    for (int64_t i = 0; i < 20; i++) {
        ptools_item item = next(map);

        check_fate(&item, FAIL, i, i % 2 == 0 ? 4 : 1);
    }
    ck_assert_int_eq(asked, 10 + 10 * 3);
    ends(map);
    down();
}
END_TEST

START_TEST(the_first_failure_may_end_it_all)
{
    enum { N = 3000 };
    unsigned failed = 0, not_run = 0;
    ptools_pmap *map;

    up(2);
    for (int64_t i = 0; i < N; i++)
        add_fate(i == 100 ? FAIL : VALUE, i);
    options.on_error = PTOOLS_ON_ERROR_STOP;
    options.batch_size = 10;
    map = zip("p.item");
    for (int64_t i = 0; i < N; i++) {
        ptools_item item = next(map);

        ck_assert_uint_eq(item.index, (uint64_t)i);
        if (item.err == PTOOLS_OK)
            ck_assert_int_eq(number_of(&item), i);
        failed += item.err == PTOOLS_ERR_FAILED;
        not_run += item.err == PTOOLS_ERR_NOT_RUN;
        ck_assert(item.err != PTOOLS_ERR_NOT_RUN || item.attempts == 0);
    }
    ck_assert_uint_eq(failed, 1);
    ck_assert_uint_gt(not_run, N - 1000);
    ends(map);
    down();
}
END_TEST

START_TEST(a_default_takes_the_place_of_what_failed)
{
    PTOOLS_AUTO(ptools_pack) nothing = ptools_pack_new();
    ptools_pmap *map = NULL;

    up(2);
    for (int64_t i = 0; i < 30; i++)
        add_fate(i % 10 == 3 ? FAIL : i % 10 == 7 ? KILL : VALUE, i);
    options.on_error = PTOOLS_ON_ERROR_DEFAULT;
    ck_assert_err(ptools_pmap_start(pt, "p.item", &(const ptools_pack *){ list }, 1, &options, &map),
                  PTOOLS_ERR_INVALID);
    ptools_pack_i64(nothing, -1);
    options.default_value = nothing;
    map = zip("p.item");
    for (int64_t i = 0; i < 30; i++) {
        ptools_item item = next(map);
        const bool bad = i % 10 == 3 || i % 10 == 7;

        ck_assert_int_eq(number_of(&item), bad ? -1 : i);
        ck_assert(bad == (item.failure != NULL));
    }
    ck_assert_uint_eq(progress_of(map).failed, 6);
    ends(map);
    down();
}
END_TEST

/* -- time ------------------------------------------------------------------------------------------------------ */

START_TEST(an_item_that_takes_too_long_is_stopped_alone)
{
    ptools_pmap *map;

    up(2);
    for (int64_t i = 0; i < 60; i++)
        add(i == 11 || i == 40 ? "hang" : "value", i);
    options.item_timeout_ms = 100;
    options.batch_size = _i;
    map = zip("p.item");
    for (int64_t i = 0; i < 60; i++) {
        ptools_item item = next(map);

        if (i != 11 && i != 40) {
            ck_assert_int_eq(number_of(&item), i);
            continue;
        }
        ck_assert_err(item.err, PTOOLS_ERR_DEADLINE);
        ck_has(item.failure->message, "an item of p.item ran for more than 100 ms");
        ck_assert_str_eq(item.failure->phase, "hanging");
    }
    ends(map);
    down();
}
END_TEST

START_TEST(its_time_may_come_later)
{
    ptools_pmap *map;

    up(2);
    for (int64_t i = 0; i < 6; i++)
        add(i == 0 || i == 5 ? "hang" : "value", i);
    options.batch_size = 1;
    options.flags = PTOOLS_PMAP_UNORDERED;
    map = zip("p.item");
    for (int i = 0; i < 4; i++)
        ck_assert_ptools(next(map).err); /* the first one hangs meanwhile */
    ck_assert_err(ptools_pmap_set_item_timeout(map, -1), PTOOLS_ERR_INVALID);
    ck_assert_err(ptools_pmap_set_item_timeout(NULL, 1), PTOOLS_ERR_INVALID);
    ck_assert_ptools(ptools_pmap_set_item_timeout(map, 100));
    for (int i = 0; i < 2; i++) {
        const ptools_item item = next(map);

        ck_assert_err(item.err, PTOOLS_ERR_DEADLINE);
        ck_has(item.failure->message, "an item of p.item ran for more than 100 ms");
    }
    ends(map);
    down();
}
END_TEST

START_TEST(all_of_it_may_have_a_time)
{
    unsigned values = 0, cancelled = 0, not_run = 0;
    ptools_pmap *map;

    up(2);
    for (int64_t i = 0; i < 100; i++)
        add(i == 4 || i == 5 ? "hang" : "value", i);
    options.timeout_ms = 300;
    options.batch_size = 1;
    map = zip("p.item");
    for (int64_t i = 0; i < 100; i++) {
        ptools_item item = next(map);

        values += item.err == PTOOLS_OK;
        cancelled += item.err == PTOOLS_ERR_CANCELLED;
        not_run += item.err == PTOOLS_ERR_NOT_RUN;
    }
    ck_assert_uint_eq(cancelled, 2);
    ck_assert_uint_ge(values, 4);
    ck_assert_uint_eq(values + cancelled + not_run, 100);
    ends(map);
    down();
}
END_TEST

START_TEST(it_can_be_cancelled_and_given_up)
{
    struct counted c = { .of = INT64_MAX, .first = 1 };
    ptools_pmap *map;
    ptools_item item;
    ptools_err err;
    uint64_t n = 5000;

    up(2);
    map = start_from("p.add", give, &c);
    for (int64_t i = 0; i < 5000; i++)
        item = next(map);
    ck_assert_ptools(ptools_pmap_cancel(map));
    while ((err = ptools_pmap_next(map, WAIT_MS, &item)) == PTOOLS_OK) {
        suite_holds(item.index == n, "outcome %" PRIu64 " is of item %" PRIu64, n, item.index);
        suite_holds(item.err == PTOOLS_OK || item.err == PTOOLS_ERR_CANCELLED || item.err == PTOOLS_ERR_NOT_RUN,
                    "item %" PRIu64 ": %s", n, ptools_errname(item.err));
        n++;
    }
    ck_assert_err(err, PTOOLS_ERR_RANGE);
    ck_assert_uint_eq(n, (uint64_t)c.next);
    ptools_pmap_free(map);

    map = start_from("p.add", give, &c);
    item = next(map);
    ptools_pmap_free(map); /* in the middle */
    server_whole(pt, 2);

    map = start_from("p.add", give, &c);
    item = next(map);
    pt = ptools_close(pt);
    ck_assert_err(ptools_pmap_next(map, 0, &item), PTOOLS_ERR_CLOSED);
    ptools_pmap_free(map);
    pt = server_open(&server);
    down();
}
END_TEST

/* -- nobody to run it -------------------------------------------------------------------------------------------- */

START_TEST(a_function_that_is_not_there_is_told_of_each_item)
{
    ptools_pmap *map;

    up(1);
    numbers(0, 30);
    map = start("p.nosuch");
    for (int64_t i = 0; i < 30; i++) {
        ptools_item item = next(map);

        ck_assert_err(item.err, PTOOLS_ERR_NO_FUNCTION);
        ck_assert_uint_eq(item.attempts, 0);
        ck_assert(!item.failure->maybe_executed);
    }
    ends(map);
    down();
}
END_TEST

START_TEST(a_daemon_that_dies_takes_no_outcome_with_it)
{
    unsigned lost = 0, not_run = 0, values = 0;
    ptools_pmap *map;
    ptools_item item;
    ptools_err err;

    up(2);
    for (int64_t i = 0; i < 100; i++)
        add(i < 10 ? "value" : "hang", i);
    options.batch_size = 5;
    map = zip("p.item");
    for (int i = 0; i < 10; i++)
        next_is(map, i, i);
    kill_daemon();
    while ((err = ptools_pmap_next(map, WAIT_MS, &item)) == PTOOLS_OK) {
        ck_assert_err(item.err, PTOOLS_ERR_LOST);
        ck_assert(item.failure->maybe_executed);
        lost++;
    }
    ck_assert_err(err, PTOOLS_ERR_NO_DAEMON);
    ck_assert_uint_ge(lost, 10);
    ck_assert_ptools(ptools_pmap_cancel(map));
    while ((err = ptools_pmap_next(map, WAIT_MS, &item)) == PTOOLS_OK) {
        not_run += item.err == PTOOLS_ERR_NOT_RUN;
        values++;
    }
    ck_assert_err(err, PTOOLS_ERR_RANGE);
    ck_assert_uint_eq(not_run, values);
    ck_assert_uint_eq(lost + not_run, 90);
    ptools_pmap_free(map);
    down_without_daemon();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pmap-fates");
    TCase *tc = suite_case(suite, "pmap");

    tcase_add_test(tc, each_item_has_its_own_fate_in_batches_of_every_size);
    tcase_add_loop_test(tc, what_fails_is_tried_again, 0, 2);
    tcase_add_test(tc, whether_it_is_tried_again_can_be_asked);
    tcase_add_test(tc, the_first_failure_may_end_it_all);
    tcase_add_test(tc, a_default_takes_the_place_of_what_failed);
    tcase_add_loop_test(tc, an_item_that_takes_too_long_is_stopped_alone, 0, 2);
    tcase_add_test(tc, its_time_may_come_later);
    tcase_add_test(tc, all_of_it_may_have_a_time);
    tcase_add_test(tc, it_can_be_cancelled_and_given_up);
    tcase_add_test(tc, a_function_that_is_not_there_is_told_of_each_item);
    tcase_add_test(tc, a_daemon_that_dies_takes_no_outcome_with_it);
    return suite_run(suite);
}
