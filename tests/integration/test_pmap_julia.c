/* SPDX-License-Identifier: MIT */
/*
 * What Julia's Distributed promises of pmap, and shows in its tests (JuliaLang/Distributed.jl, test/distributed_exec.jl
 * and generic_map_tests), held here: the behaviour, in tests of our own.
 *
 *   behaviour there                                           here
 *   --------------------------------------------------------  ---------------------------------------------------------
 *   as map: same order, whatever the keywords                 every_combination_of_options_is_as_map, and in
 *                                                             test_pmap.c outcomes_come_in_the_order_of_the_items
 *   batch_size                                                ..., test_pmap_fates.c
 *                                                             each_item_has_its_own_fate_in_batches_of_every_size
 *   on_error that returns a value takes the error's place     every_combination_of_options_is_as_map, test_pmap_fates.c
 *                                                             a_default_takes_the_place_of_what_failed
 *   on_error that rethrows; none: the first error ends it     an_error_ends_it_and_is_told
 *   retry_delays: what fails in one worker ends up in others  retries_find_a_worker_that_can
 *   retry_check                                               every_combination_of_options_is_as_map,
 *                                                             test_pmap_fates.c whether_it_is_tried_again_can_be_asked
 *   on_error with retry_delays: there on_error comes first,   a_default_comes_after_the_last_retry
 *     and nothing is tried again; here after the last retry
 *   distributed=false, and a pool of the caller alone: as     a_pool_of_one_worker_does_it_all (there is no caller's
 *     map                                                     own process here: the smallest pool is one worker)
 *   as map over nothing, one item, strings, tuples, lists of  collections_of_every_kind, and test_pmap.c
 *     lists; zipped lists                                     several_lists_are_zipped, no_items_have_no_outcomes
 *   a generator that takes its time                           a_source_that_takes_its_time
 *   the default pool uses all workers; from within a worker,  all_workers_have_their_share (from within: nested calls
 *     too                                                     have tests of their own)
 *   WorkerPool(pids): these, all of these, and no others      a_set_of_workers_and_no_others
 *   a pool is of use after an error                           a_set_of_workers_and_no_others
 *   CachingPool: what is captured is sent once a worker       what_is_captured_is_sent_once, test_pmap_captured.c,
 *                                                             test_pmap.c what_is_captured_goes_before_each_item
 *   clear!(pool): nothing of it is kept                       what_is_captured_is_sent_once
 *   asyncmap, results as they come                            test_pmap.c unordered_outcomes_come_once_each
 *   the error of an item has its words, not those of a batch  an_error_ends_it_and_is_told
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/integration/pmap_rig.h"

enum { WORKERS = 3, ITEMS = 100 };

/* -- all of them together ------------------------------------------------------------------------------------ */

static bool only_here(const ptools_item *item, void *arg)
{
    (void)arg;
    return strcmp(item->failure->message, "not here") == 0;
}

/* Items that fail in worker 2, and may go to another; with and without batches, retries, a check, a default. */
static void every_combination_of_options_is_as_map_once(int k)
{
    const bool batches = k & 1, retries = k & 2, checked = k & 4, with_default = k & 8, unordered = k & 16;
    int64_t delays[1000];
    bool seen[ITEMS + 1] = { false };
    PTOOLS_AUTO(ptools_pack) captured = ptools_pack_new();
    PTOOLS_AUTO(ptools_pack) nothing = ptools_pack_new();
    unsigned failed = 0;
    ptools_pmap *map;

    anew();
    for (size_t i = 0; i < 1000; i++)
        delays[i] = 1;
    numbers(1, ITEMS);
    ptools_pack_i64(captured, 2);
    ptools_pack_i64(nothing, -1);
    options.captured = captured;
    options.batch_size = batches ? 2 : 0;
    options.retry_delays_ms = delays;
    options.n_retry_delays = retries ? 1000 : 0;
    options.retry_check = checked ? only_here : NULL;
    options.on_error = with_default ? PTOOLS_ON_ERROR_DEFAULT : PTOOLS_ON_ERROR_KEEP;
    options.default_value = with_default ? nothing : NULL;
    options.flags = unordered ? PTOOLS_PMAP_UNORDERED : 0;
    map = start("i.not_in");
    for (int64_t i = 0; i < ITEMS; i++) {
        const ptools_item item = next(map);
        const int64_t x = (int64_t)item.index + 1;

        ck_assert(unordered || x == i + 1);
        ck_assert(x <= ITEMS && !seen[x]);
        seen[x] = true;
        if (!item.failure) {
            ck_assert_int_eq(number_of(&item), 2 * x);
            continue;
        }
        failed++;
        ck_assert_str_eq(item.failure->message, "not here");
        ck_assert_err(item.err, with_default ? PTOOLS_OK : PTOOLS_ERR_FAILED);
        if (with_default)
            ck_assert_int_eq(number_of(&item), -1);
    }
    if (retries)
        ck_assert_uint_eq(failed, 0);
    ends(map);
}

START_TEST(every_combination_of_options_is_as_map)
{
    up(WORKERS);
    for (int i = 0; i < 32; i++)
        every_combination_of_options_is_as_map_once(i);
    down();
}
END_TEST

/* -- errors and retries -------------------------------------------------------------------------------------- */

/* An item of p.item that fails with words of its own, or has its number as its value. */
static void fail_or_value(bool fails, int64_t i)
{
    ptools_pack_str(what, fails ? "fail" : "value");
    if (fails)
        ptools_pack_str(list, "foobar");
    else
        ptools_pack_i64(list, i);
}

/* Item 50 fails: it has its own words, those that had ended keep their values, and the rest is not run. */
START_TEST(an_error_ends_it_and_is_told)
{
    ptools_pmap *map;
    unsigned not_run = 0;
    char told[32] = "";

    up(WORKERS);
    for (int64_t i = 1; i <= 2000; i++)
        fail_or_value(i == 50, i);
    options.on_error = PTOOLS_ON_ERROR_STOP;
    options.batch_size = _i ? 7 : 1;
    map = zip("p.item");
    for (uint64_t i = 0; i < 2000; i++) {
        const ptools_item item = next(map);

        ck_assert_uint_eq(item.index, i);
        ck_assert(item.err == PTOOLS_OK || item.err == PTOOLS_ERR_FAILED || item.err == PTOOLS_ERR_CANCELLED ||
                  item.err == PTOOLS_ERR_NOT_RUN);
        if (item.err == PTOOLS_OK)
            ck_assert_int_eq(number_of(&item), (int64_t)i + 1);
        not_run += item.err == PTOOLS_ERR_NOT_RUN;
        if (item.err != PTOOLS_ERR_FAILED)
            continue;
        ck_assert_uint_eq(i, 49);
        snprintf(told, sizeof told, "%s", item.failure->message);
    }
    ck_assert_str_eq(told, "foobar");
    ck_assert_uint_gt(not_run, 1000);
    ends(map);
    down();
}
END_TEST

/* All items end up where they can be run, though no retry is told where to go. */
START_TEST(retries_find_a_worker_that_can)
{
    int64_t delays[200] = { 0 };
    PTOOLS_AUTO(ptools_pack) captured = ptools_pack_new();
    ptools_pmap_progress p;
    ptools_pmap *map;

    up(2);
    numbers(1, ITEMS);
    ptools_pack_i64(captured, 1);
    options.captured = captured;
    options.batch_size = 1;
    options.retry_delays_ms = delays;
    options.n_retry_delays = 200;
    map = start("i.not_in");
    for (int64_t x = 1; x <= ITEMS; x++) {
        const ptools_item item = next(map);

        ck_assert_int_eq(number_of(&item), 2 * x);
        ck_assert_ptr_null(item.failure);
    }
    p = progress_of(map);
    ck_assert_uint_eq(p.failed, 0);
    ck_assert_uint_gt(p.retried, 0);
    ends(map);
    down();
}
END_TEST

START_TEST(a_default_comes_after_the_last_retry)
{
    const int64_t delays[] = { 0, 1 };
    PTOOLS_AUTO(ptools_pack) nothing = ptools_pack_new();
    ptools_pmap *map;

    up(2);
    for (int64_t i = 0; i < 20; i++)
        fail_or_value(i % 5 == 1, i);
    ptools_pack_i64(nothing, -1);
    options.on_error = PTOOLS_ON_ERROR_DEFAULT;
    options.default_value = nothing;
    options.retry_delays_ms = delays;
    options.n_retry_delays = 2;
    map = zip("p.item");
    for (int64_t i = 0; i < 20; i++) {
        const ptools_item item = next(map);

        ck_assert_int_eq(number_of(&item), i % 5 == 1 ? -1 : i);
        ck_assert_uint_eq(item.attempts, i % 5 == 1 ? 3 : 1);
        ck_assert(!item.failure == (i % 5 != 1));
    }
    ends(map);
    down();
}
END_TEST

/* -- pools ----------------------------------------------------------------------------------------------------- */

/* So many items, which take a moment each; ran[w] is set for each worker that had one. */
static void who_runs(int64_t items, bool ran[WORKERS + 2])
{
    ptools_pmap *map;

    memset(ran, 0, (WORKERS + 2) * sizeof *ran);
    ptools_pack_reset(list);
    for (int64_t i = 0; i < items; i++)
        ptools_pack_i64(list, 2);
    map = start("i.worker");
    for (int64_t i = 0; i < items; i++) {
        const ptools_item item = next(map);
        const int64_t w = number_of(&item);

        ck_assert(w >= 1 && w <= WORKERS + 1);
        ran[w] = true;
    }
    ends(map);
}

START_TEST(all_workers_have_their_share)
{
    bool ran[WORKERS + 2];

    up(WORKERS);
    for (int round = 0; round < 2; round++) {
        who_runs(ITEMS, ran);
        ck_assert(ran[1] && ran[2] && ran[3]);
    }
    down();
}
END_TEST

START_TEST(a_set_of_workers_and_no_others)
{
    const uint32_t ids[] = { 2, 3 };
    bool ran[WORKERS + 2];
    ptools_workerset *set = NULL;
    ptools_pmap *map;

    up(WORKERS);
    ck_assert_ptools(ptools_workerset_create(pt, NULL, ids, 2, _i ? PTOOLS_WS_RR : PTOOLS_WS_FF, &set));
    options.set = set;
    who_runs(ITEMS, ran);
    ck_assert(!ran[1] && ran[2] && ran[3]);

    options.init = "p.init_fails"; /* an error harms no pool */
    map = start("p.same");
    for (int64_t i = 0; i < ITEMS; i++)
        ck_assert_err(next(map).err, PTOOLS_ERR_FAILED);
    ends(map);
    options.init = NULL;
    who_runs(ITEMS, ran);
    ck_assert(!ran[1] && ran[2] && ran[3]);
    ptools_workerset_free(set);
    down();
}
END_TEST

/* The set has one worker, and so has the daemon: order, errors and retries as anywhere. */
START_TEST(a_pool_of_one_worker_does_it_all)
{
    const uint32_t ids[] = { 1 };
    PTOOLS_AUTO(ptools_pack) captured = ptools_pack_new();
    const int64_t delays[] = { 0 };
    ptools_workerset *set = NULL;
    ptools_pmap *map;

    up(_i ? 1 : WORKERS);
    ck_assert_ptools(ptools_workerset_create(pt, NULL, ids, 1, PTOOLS_WS_FF, &set));
    options.set = set;
    options.batch_size = 3;
    options.captured = captured;
    options.retry_delays_ms = delays;
    options.n_retry_delays = 1;
    numbers(1, ITEMS);
    ptools_pack_i64(captured, 2); /* fails there, where it never comes */
    map = start("i.not_in");
    for (int64_t i = 0; i < ITEMS; i++)
        next_is(map, i, 2 * (i + 1));
    ends(map);
    ptools_pack_reset(captured);
    ptools_pack_i64(captured, 1);
    map = start("i.not_in");
    for (int64_t x = 1; x <= ITEMS; x++) {
        const ptools_item item = next(map);

        ck_assert_err(item.err, PTOOLS_ERR_FAILED);
        ck_assert_uint_eq(item.attempts, 2);
    }
    ends(map);
    ptools_workerset_free(set);
    down();
}
END_TEST

/* -- collections ----------------------------------------------------------------------------------------------- */

/* Values of every kind go there and come back as they were, in order: maps of nothing and of one, too. */
START_TEST(collections_of_every_kind)
{
    static const char text[] = "Hello World!";
    const ptools_pack *same[2];
    ptools_pmap *map = NULL;
    ptools_item item;
    ptools_value v;
    const char *s;
    size_t n;

    up(2);
    for (const char *c = text; *c; c++) {
        ptools_pack_list(list, 2);
        ptools_pack_strn(list, c, 1);
        ptools_pack_i64(list, c - text);
    }
    map = start("t.echo");
    for (size_t i = 0; i < sizeof text - 1; i++) {
        int64_t at = -1;

        item = next(map);
        ck_assert_ptools(item.err);
        ck_assert_ptools(ptools_get_item(item.value, 0, &v)); /* the arguments, of which there is one, */
        ck_assert_ptools(ptools_get_item(v, 0, &item.value)); /* which is a list of two */
        ck_assert_ptools(ptools_get_str(item.value, &s, &n));
        ck_assert(n == 1 && *s == text[i]);
        ck_assert_ptools(ptools_get_item(v, 1, &v));
        ck_assert_ptools(ptools_get_i64(v, &at));
        ck_assert_int_eq(at, (int64_t)i);
    }
    ends(map);
    ptools_pack_reset(list);
    ends(start("t.echo"));
    ptools_pack_nil(list);
    map = start("i.count");
    next_is(map, 0, 1);
    ends(map);
    same[0] = same[1] = list; /* one list twice */
    ck_assert_ptools(ptools_pmap_start(pt, "i.count", same, 2, NULL, &map));
    next_is(map, 0, 2);
    ends(map);
    down();
}
END_TEST

static int give_slowly(ptools_pack *args, void *arg)
{
    const uint64_t until = now_ms() + 1;

    while (now_ms() < until) /* it computes */
        continue;
    return give(args, arg);
}

START_TEST(a_source_that_takes_its_time)
{
    struct counted c = { .of = 60 };
    ptools_pmap *map;

    up(2);
    map = start_from("p.same", give_slowly, &c);
    for (int64_t i = 0; i < 60; i++)
        next_is(map, i, i);
    ends(map);
    down();
}
END_TEST

/* One segment for all batches and all retries, and none when it is given back. */
START_TEST(what_is_captured_is_sent_once)
{
    PTOOLS_AUTO(ptools_pack) big = ptools_pack_new();
    void *zeros = calloc(1, 1 << 20);
    ptools_pmap *map;

    up(2);
    ptools_pack_bytes(big, zeros, 1 << 20);
    free(zeros);
    numbers(1, ITEMS);
    options.captured = big;
    options.batch_size = 1;
    map = start("i.length");
    for (int64_t i = 0; i < ITEMS; i++) {
        const ptools_item item = next(map);

        ck_assert_int_eq(number_of(&item), 1 << 20);
        ck_assert_uint_eq(server_status(pt, NULL, "arrays"), 1);
    }
    ck_assert_uint_eq(progress_of(map).batches, ITEMS);
    ends(map);
    ck_assert_ptools(ptools_pmap_forget(pt));
    for (uint64_t until = now_ms() + WAIT_MS; server_status(pt, NULL, "arrays") > 0;)
        ck_assert_msg(now_ms() < until, "the segment stays");
    down();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pmap-julia");
    TCase *tc = suite_case(suite, "pmap");

    tcase_add_test(tc, every_combination_of_options_is_as_map);
    tcase_add_loop_test(tc, an_error_ends_it_and_is_told, 0, 2);
    tcase_add_test(tc, retries_find_a_worker_that_can);
    tcase_add_test(tc, a_default_comes_after_the_last_retry);
    tcase_add_test(tc, all_workers_have_their_share);
    tcase_add_loop_test(tc, a_set_of_workers_and_no_others, 0, 2);
    tcase_add_loop_test(tc, a_pool_of_one_worker_does_it_all, 0, 2);
    tcase_add_test(tc, collections_of_every_kind);
    tcase_add_test(tc, a_source_that_takes_its_time);
    tcase_add_test(tc, what_is_captured_is_sent_once);
    return suite_run(suite);
}
