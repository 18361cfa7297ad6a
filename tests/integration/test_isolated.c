/* SPDX-License-Identifier: MIT */
/*
 * Items in processes of their own, against a real daemon: whatever one does to its process, no other item and no worker
 * notices; what init made is there for each; arguments, values and arrays are as for any item. How such an item ends is
 * in test_isolated_fates.c.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/integration/pmap_rig.h"

enum { WORKERS = ISOLATED_WORKERS };

static struct crew crew;

/* -- what is seen of others ------------------------------------------------------------------------------------ */

enum { CALLS, INITS, MADE, HEAP, ENVIRONMENT, DIRECTORY, UMASK, FDS, CORE, PID, PARENT };

static int64_t found_number(const ptools_item *item, size_t which)
{
    ptools_value v;
    int64_t n = -1;
    uint64_t u;

    ck_assert_msg(item->err == PTOOLS_OK, "item %" PRIu64 ": %s", item->index,
                  item->failure ? item->failure->message : "no failure");
    ck_assert_ptools(ptools_get_item(item->value, which, &v));
    if (ptools_get_i64(v, &n) != PTOOLS_OK) {
        ck_assert_ptools(ptools_get_u64(v, &u));
        n = INT64_MAX;
    }
    return n;
}

static void found_text(const ptools_item *item, size_t which, const char *expected)
{
    const char *text;
    ptools_value v;
    size_t n;

    ck_assert_ptools(ptools_get_item(item->value, which, &v));
    ck_assert_ptools(ptools_get_str(v, &text, &n));
    ck_assert_msg(n == strlen(expected) && memcmp(text, expected, n) == 0, "%.*s is not %s", (int)n, text, expected);
}

START_TEST(what_an_item_does_to_its_process_no_other_sees)
{
    static const uint32_t sizes[] = { 0, 1, 7, 100 };
    int64_t fds = 0, mask = 0, core = 0;
    ptools_pmap *map;

    up_isolated();
    for (int64_t i = 0; i < 100; i++)
        ptools_pack_nil(list);
    options.batch_size = sizes[_i];
    crew = crew_now();
    map = start("alone.spoil");
    for (int64_t i = 0; i < 100; i++) {
        ptools_item item = next(map);

        ck_assert_int_eq(found_number(&item, CALLS), 0);
        ck_assert_int_eq(found_number(&item, INITS), 0);
        found_text(&item, ENVIRONMENT, "clean");
        found_text(&item, DIRECTORY, "/");
        fds = i == 0 ? found_number(&item, FDS) : fds;
        mask = i == 0 ? found_number(&item, UMASK) : mask;
        core = i == 0 ? found_number(&item, CORE) : core;
        ck_assert_int_eq(found_number(&item, FDS), fds);
        ck_assert_int_eq(found_number(&item, UMASK), mask);
        ck_assert_int_eq(found_number(&item, CORE), core);
        ck_assert(found_number(&item, PARENT) == crew.pids[0] || found_number(&item, PARENT) == crew.pids[1]);
        ck_assert_uint_gt(item.run_us, 0);
        ck_assert_uint_gt(item.peak_kb, 0);
    }
    ends(map);
    crew_is(&crew);
    down();
}
END_TEST

/* The second run finds nothing of the first one's init; each of them what its own has made. */
START_TEST(init_runs_once_in_a_worker_and_items_find_what_it_made)
{
    PTOOLS_AUTO(ptools_pack) captured = NULL;

    up_isolated();
    numbers(0, 60);
    options.init = "alone.init";
    options.batch_size = 5;
    for (int64_t round = 1; round <= 3; round++) {
        ptools_pmap *map;

        captured = ptools_pack_free(captured);
        captured = ptools_pack_new();
        ptools_pack_i64(captured, round * 11);
        options.captured = captured;
        map = start(round == 2 ? "alone.spoil" : "alone.look");
        for (int64_t i = 0; i < 60; i++) {
            ptools_item item = next(map);

            ck_assert_int_eq(found_number(&item, CALLS), 0);
            ck_assert_int_eq(found_number(&item, INITS), 1);
            ck_assert_int_eq(found_number(&item, MADE), round * 11);
            found_text(&item, HEAP, "made by init");
        }
        ends(map);
    }
    down();
}
END_TEST

/* Ordinary functions that are not tidy make a process one that isolated items are not run in. */
START_TEST(what_ran_before_in_the_worker_is_not_seen)
{
    struct crew then[2], now;

    up_isolated();
    numbers(0, 40);
    for (int round = 0; round < 2; round++) {
        ptools_pmap *map;

        options.flags = 0;
        options.batch_size = 1;
        map = start("alone.look");
        for (int64_t i = 0; i < 40; i++)
            (void)next(map);
        ends(map);
        options.flags = PTOOLS_PMAP_ISOLATED;
        options.batch_size = 4;
        map = start("alone.look");
        for (int64_t i = 0; i < 40; i++) {
            ptools_item item = next(map);

            ck_assert_int_eq(found_number(&item, CALLS), 0);
        }
        ends(map);
        then[round] = crew_now();
        ck_assert_uint_eq(then[round].deaths, 0);
    }
    ck_assert(then[0].recycled >= 1 && then[0].recycled <= WORKERS);
    ck_assert(then[1].recycled > then[0].recycled && then[1].recycled <= 2 * WORKERS);

    for (int round = 0; round < 4; round++) { /* tidy ones spoil nothing, and isolated ones neither */
        options.flags = round == 0 ? 0 : PTOOLS_PMAP_ISOLATED;
        run_all(round == 0 ? "p.same" : round == 1 ? "p.same" : "alone.spoil");
    }
    now = crew_now();
    ck_assert_uint_le(now.recycled, 2 * WORKERS);
    down();
}
END_TEST

/* -- values and arguments ----------------------------------------------------------------------------------------- */

START_TEST(values_may_be_large)
{
    static const int64_t sizes[] = { 0, 1000000, 20000000, 5, 70000, 20000001, 65530 };
    ptools_pmap *map;

    up_isolated();
    for (int64_t i = 0; i < 14; i++)
        add("bytes", sizes[i % 7]);
    options.batch_size = 7;
    map = zip("p.item");
    for (int64_t i = 0; i < 14; i++) {
        ptools_item item = next(map);
        const uint8_t *data;
        size_t n = 0;

        ck_assert_ptools(item.err);
        ck_assert_ptools(ptools_get_bytes(item.value, (const void **)&data, &n));
        ck_assert_uint_eq(n, (size_t)sizes[i % 7]);
        for (size_t k = 0; k < n; k++)
            if (data[k] != 0)
                ck_abort_msg("byte %zu of item %" PRId64 " is %d", k, i, data[k]);
    }
    ends(map);
    down();
}
END_TEST

START_TEST(many_small_ones)
{
    PTOOLS_AUTO(ptools_pack) captured = ptools_pack_new();
    ptools_pmap *map;

    up_isolated();
    numbers(0, 2000);
    ptools_pack_i64(captured, 1000000);
    options.captured = captured;
    crew = crew_now();
    map = start("p.add");
    for (int64_t i = 0; i < 2000; i++)
        next_is(map, i, 1000000 + i);
    ends(map);
    crew_is(&crew);
    down();
}
END_TEST

START_TEST(what_fails_is_tried_again)
{
    static const int64_t delays[] = { 0, 10 };
    static const char *const firsts[] = { "no", "fail", "kill" };
    char dir[64];
    ptools_pmap *map;

    up_isolated();
    temp_dir(dir, sizeof dir);
    for (int i = 0; i < 30; i++)
        add_first(dir, i, firsts[i % 3]);
    options.retry_delays_ms = delays;
    options.n_retry_delays = 2;
    map = zip("p.first");
    for (int i = 0; i < 30; i++) {
        ptools_item item = next(map);

        ck_assert_int_eq(number_of(&item), i % 3 == 0 ? 1 : 2);
        ck_assert_uint_eq(item.attempts, i % 3 == 0 ? 1 : 2);
    }
    ends(map);
    temp_remove(dir);
    down();
}
END_TEST

START_TEST(parts_of_arrays)
{
    const ptools_array *arrays[1];
    ptools_array *a;
    int64_t *x;

    up_isolated();
    arrays[0] = a = array_of("numbers", PTOOLS_INT64, 300000);
    x = ptools_array_data(a);
    for (int round = 1; round <= 2; round++) {
        ck_assert_ptools(ptools_pmap_array(pt, "p.shift", arrays, 1, &options));
        for (int64_t i = 0; i < 300000; i++)
            if (x[i] != round * i)
                ck_abort_msg("element %" PRId64 " is %" PRId64, i, x[i]);
    }
    ptools_array_free(a);
    down();
}
END_TEST

/* Each item asks the daemon for it, by its worker's socket. */
START_TEST(an_item_may_ask_for_arrays_itself)
{
    ptools_array *a;
    ptools_pmap *map;

    up_isolated();
    a = array_of("asked", PTOOLS_INT32, 10);
    ((int32_t *)ptools_array_data(a))[0] = 4711;
    for (int64_t i = 0; i < 60; i++) {
        ptools_pack_str(what, "");
        ptools_pack_str(list, i % 3 == 1 ? "nosuch" : "asked");
    }
    options.batch_size = 20;
    map = zip("a.peek");
    for (int64_t i = 0; i < 60; i++) {
        ptools_item item = next(map);

        if (i % 3 == 1)
            ck_assert_err(item.err, PTOOLS_ERR_NO_ARRAY);
        else
            ck_assert_int_eq(number_of(&item), 4711);
    }
    ends(map);
    ptools_array_free(a);
    down();
}
END_TEST

START_TEST(its_local_storage_ends_with_it)
{
    char dir[64], path[96];

    up_isolated();
    temp_dir(dir, sizeof dir);
    snprintf(path, sizeof path, "%s/borrowed", dir);
    for (int i = 0; i < 10; i++)
        ptools_pack_str(list, path);
    options.batch_size = 10; /* one after the other */
    run_all("alone.borrow");
    temp_remove(dir);
    down();
}
END_TEST

START_TEST(what_it_prints_is_printed_once)
{
    unsigned murmurs = 0;
    char *log;

    up_isolated();
    for (int i = 0; i < 12; i++)
        ptools_pack_nil(list);
    run_all("alone.murmur");
    log = slurp(server.log);
    for (const char *at = log; (at = strstr(at, "murmur ")); at++)
        murmurs++;
    free(log);
    ck_assert_uint_eq(murmurs, 12);
    down();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("isolated");
    TCase *tc = suite_case(suite, "isolated");

    tcase_add_loop_test(tc, what_an_item_does_to_its_process_no_other_sees, 0, 4);
    tcase_add_test(tc, init_runs_once_in_a_worker_and_items_find_what_it_made);
    tcase_add_test(tc, what_ran_before_in_the_worker_is_not_seen);
    tcase_add_test(tc, values_may_be_large);
    tcase_add_test(tc, many_small_ones);
    tcase_add_test(tc, what_fails_is_tried_again);
    tcase_add_test(tc, parts_of_arrays);
    tcase_add_test(tc, an_item_may_ask_for_arrays_itself);
    tcase_add_test(tc, its_local_storage_ends_with_it);
    tcase_add_test(tc, what_it_prints_is_printed_once);
    return suite_run(suite);
}
