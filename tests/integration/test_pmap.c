/* SPDX-License-Identifier: MIT */
/*
 * Many items against a real daemon: contract.md, section 7. Each item has one outcome, in order, and the same
 * whatever the size of its batch; sources, captured data, arrays; and wrong use. What fails is in test_pmap_fates.c.
 */
#include <inttypes.h>
#include <poll.h>
#include <string.h>

#include "tests/integration/pmap_rig.h"

/* -- order and sources -------------------------------------------------------------------------------------- */

static const uint32_t sizes[] = { 0, 1, 7, 1000, 65536 };
enum { SIZES = sizeof sizes / sizeof sizes[0] };

static void outcomes_come_in_the_order_of_the_items_once(int k)
{
    const int64_t n = sizes[k] == 1 ? 2000 : 100000;
    ptools_pmap_progress p;
    ptools_pmap *map;

    anew();
    for (int64_t i = 0; i < n; i++)
        ptools_pack_i64(list, i * 3 - 7);
    options.batch_size = sizes[k];
    map = start("p.same");
    for (int64_t i = 0; i < n; i++)
        next_is(map, i, i * 3 - 7);
    p = progress_of(map);
    ck_assert(p.items == (uint64_t)n && p.of == (uint64_t)n && p.ended == (uint64_t)n && p.failed == 0);
    if (sizes[k])
        ck_assert_uint_eq(p.batches, ((uint64_t)n + sizes[k] - 1) / sizes[k]);
    else
        ck_assert_uint_lt(p.batches, (uint64_t)n / 20);
    ends(map);
}

START_TEST(outcomes_come_in_the_order_of_the_items)
{
    up(2);
    for (int i = 0; i < SIZES; i++)
        outcomes_come_in_the_order_of_the_items_once(i);
    down();
}
END_TEST

START_TEST(several_lists_are_zipped)
{
    PTOOLS_AUTO(ptools_pack) other = ptools_pack_new();
    const ptools_pack *zipped[3];
    ptools_pmap *map = NULL;

    up(2);
    for (int64_t i = 0; i < 100; i++) {
        ptools_pack_i64(list, i);
        ptools_pack_i64(other, 1000 * i);
    }
    zipped[0] = list;
    zipped[1] = zipped[2] = other;
    ck_assert_ptools(ptools_pmap_start(pt, "p.add", zipped, 3, NULL, &map));
    for (int64_t i = 0; i < 100; i++)
        next_is(map, i, 2001 * i);
    ends(map);
    ptools_pack_i64(other, 1);
    ck_assert_err(ptools_pmap_start(pt, "p.add", zipped, 3, NULL, &map), PTOOLS_ERR_INVALID);
    ck_assert_str_eq(ptools_error_message(pt), "the lists must be of one length: list 1 has 100 items, list 2 has 101");
    down();
}
END_TEST

START_TEST(no_items_have_no_outcomes)
{
    up(1);
    ends(start("p.same"));
    down();
}
END_TEST

START_TEST(a_source_yields_items_as_they_are_wanted)
{
    struct counted c = { .of = 50000, .first = 1 };
    ptools_pmap *map = NULL;

    up(2);
    ck_assert_ptools(ptools_pmap_start_from(pt, "p.add", give, &c, NULL, &map));
    ck_assert_uint_eq(progress_of(map).of, UINT64_MAX);
    for (int64_t i = 0; i < c.of; i++)
        next_is(map, i, i + 1);
    ends(map);
    down();
}
END_TEST

START_TEST(a_source_that_gives_up_ends_it_and_loses_nothing)
{
    struct counted c = { .of = 100, .first = 1, .gives_up_at = 40 };
    ptools_pmap *map;
    ptools_item item;

    up(2);
    map = start_from("p.add", give, &c);
    for (int64_t i = 0; i < 40; i++)
        next_is(map, i, i + 1);
    ck_assert_err(ptools_pmap_next(map, WAIT_MS, &item), PTOOLS_ERR_INVALID);
    ck_assert_str_eq(ptools_error_message(pt), "the source of the items gave up");
    ptools_pmap_free(map);
    down();
}
END_TEST

/* It has as many as it is allowed to have. */
struct gated {
    int64_t given, allowed, of;
};

static int give_later(ptools_pack *args, void *arg)
{
    struct gated *g = arg;

    if (g->given == g->of)
        return 0;
    if (g->given == g->allowed)
        return 2;
    ptools_pack_i64(args, g->given++);
    return 1;
}

START_TEST(a_source_may_have_none_yet)
{
    struct gated g = { 0, 0, 30 };
    ptools_pmap *map;
    ptools_item item;

    up(2);
    map = start_from("p.same", give_later, &g);
    for (int64_t i = 0; i < 30; i++) {
        /* With nothing under way it is told at once, however long one would wait. */
        ck_assert_err(ptools_pmap_next(map, PTOOLS_FOREVER, &item), PTOOLS_ERR_TIMEOUT);
        ck_assert_int_eq(ptools_pmap_due_ms(map), -1);
        g.allowed++;
        next_is(map, i, i);
    }
    ends(map);
    down();
}
END_TEST

/* With descriptors to wait for, and no other time than the one that is told. */
START_TEST(a_loop_of_ones_own_is_told_when_to_come_back)
{
    const int64_t delays[] = { 200 };
    ptools_pmap *map;
    ptools_item item;
    ptools_err err;
    int64_t due_ms = -1, longest = -1;

    up(1);
    ptools_pack_str(list, "fail");
    options.retry_delays_ms = delays;
    options.n_retry_delays = 1;
    options.timeout_ms = 3600000;
    map = start("p.item");
    ck_assert_int_gt(ptools_pmap_due_ms(map), 3500000);
    while ((err = ptools_pmap_next(map, 0, &item)) == PTOOLS_ERR_TIMEOUT) {
        struct pollfd p = { .fd = ptools_fd(pt), .events = ptools_events(pt) };

        due_ms = ptools_pmap_due_ms(map);
        longest = due_ms <= 200 && due_ms > longest ? due_ms : longest;
        poll(&p, 1, (int)due_ms);
    }
    ck_assert_err(err, PTOOLS_OK);
    ck_assert_err(item.err, PTOOLS_ERR_BAD_ARGUMENT);
    ck_assert_uint_eq(item.attempts, 2);
    ck_assert_int_gt(longest, 0); /* that was the delay */
    ends(map);
    down();
}
END_TEST

START_TEST(a_slow_reader_stops_the_flow)
{
    struct counted c = { .of = 10000000, .first = 1 };
    ptools_pmap *map;
    int64_t before;

    up(2);
    options.window_bytes = 100000;
    map = start_from("p.add", give, &c);
    next_is(map, 0, 1);
    for (int i = 0; i < 1000; i++) { /* what it may take it takes, and no more: outcome 0 was read, and no other is */
        before = c.next;
        server_whole(pt, 2);
    }
    ck_assert_int_eq(c.next, before);
    for (int64_t i = 1; i < 200000; i++) {
        next_is(map, i, i + 1);
        suite_holds(c.next < i + 200000, "at item %" PRId64 " it has taken %" PRId64, i, c.next);
    }
    ptools_pmap_free(map);
    down();
}
END_TEST

START_TEST(unordered_outcomes_come_once_each)
{
    enum { N = 20000 };
    static bool seen[N];
    ptools_pmap *map;

    memset(seen, 0, sizeof seen);
    up(2);
    numbers(0, N);
    options.flags = PTOOLS_PMAP_UNORDERED;
    map = start("p.same");
    for (int64_t i = 0; i < N; i++) {
        ptools_item item = next(map);

        suite_holds(number_of(&item) == (int64_t)item.index && !seen[item.index], "item %" PRIu64, item.index);
        seen[item.index] = true;
    }
    ends(map);
    down();
}
END_TEST

START_TEST(values_may_be_large)
{
    ptools_pmap *map;

    up(2);
    for (int64_t i = 0; i < 60; i++)
        add("bytes", i % 3 == 0 ? 300000 + i : i % 3 == 1 ? 65535 - 5 : i);
    options.batch_size = _i == 0 ? 1 : 20; /* with 1 each value is the last of its segment */
    map = zip("p.item");
    for (int64_t i = 0; i < 60; i++) {
        ptools_item item = next(map);
        const uint8_t *data;
        size_t n = 0;

        ck_assert_ptools(item.err);
        ck_assert_ptools(ptools_get_bytes(item.value, (const void **)&data, &n));
        ck_assert_uint_eq(n, (size_t)(i % 3 == 0 ? 300000 + i : i % 3 == 1 ? 65535 - 5 : i));
        for (size_t k = 0; k < n; k++)
            if (data[k] != 0)
                ck_abort_msg("byte %zu of item %" PRId64 " is %d", k, i, data[k]);
    }
    ends(map);
    down();
}
END_TEST

/* -- what goes before the items --------------------------------------------------------------------------------- */

START_TEST(what_is_captured_goes_before_each_item)
{
    PTOOLS_AUTO(ptools_pack) captured = ptools_pack_new();
    ptools_pmap *map;

    up(2);
    numbers(0, 3000);
    ptools_pack_i64(captured, 1000000);
    ptools_pack_i64(captured, 2000000);
    options.captured = captured;
    map = start("p.add");
    for (int64_t i = 0; i < 3000; i++)
        next_is(map, i, 3000000 + i);
    ends(map);
    down();
}
END_TEST

START_TEST(init_runs_once_in_each_worker)
{
    PTOOLS_AUTO(ptools_pack) captured = ptools_pack_new();
    int64_t sums[3] = { 0 };

    up(2);
    numbers(0, 500);
    ptools_pack_i64(captured, 5);
    options.captured = captured;
    options.init = "p.init";
    options.batch_size = 10;
    for (int round = 1; round <= 2; round++) {
        ptools_pmap *map = start("p.seen");

        for (int64_t i = 0; i < 500; i++) {
            ptools_item item = next(map);
            ptools_value v;
            int64_t inits = 0, sum = 0;
            uint64_t worker = 0;

            ck_assert_ptools(item.err);
            ck_assert_ptools(ptools_get_item(item.value, 0, &v));
            ck_assert_ptools(ptools_get_i64(v, &inits));
            ck_assert_ptools(ptools_get_item(item.value, 1, &v));
            ck_assert_ptools(ptools_get_i64(v, &sum));
            ck_assert_ptools(ptools_get_item(item.value, 2, &v));
            ck_assert_ptools(ptools_get_u64(v, &worker));
            ck_assert_int_ge(inits, 1);
            ck_assert_int_le(inits, round); /* a worker may have had no batch of the first */
            ck_assert_int_eq(sum, 5 * inits);
            ck_assert(worker == 1 || worker == 2);
            ck_assert_int_ge(inits, sums[worker]);
            sums[worker] = inits;
        }
        ends(map);
    }
    down();
}
END_TEST

START_TEST(an_init_that_fails_fails_each_item)
{
    ptools_pmap *map;

    up(2);
    numbers(0, 50);
    options.init = "p.init_fails";
    options.batch_size = 10;
    map = start("p.same");
    for (int64_t i = 0; i < 50; i++) {
        ptools_item item = next(map);

        ck_assert_err(item.err, PTOOLS_ERR_FAILED);
        ck_assert_str_eq(item.failure->message, "the init function p.init_fails: not today");
    }
    ends(map);
    down();
}
END_TEST

START_TEST(an_item_finds_its_worker_in_order)
{
    ptools_pmap *map;

    up(1);
    numbers(0, 20);
    options.batch_size = 20;
    map = start("p.litter");
    for (int64_t i = 0; i < 20; i++) {
        ptools_item item = next(map);
        const char *found;
        size_t n;

        ck_assert_ptools(item.err);
        ck_assert_ptools(ptools_get_str(item.value, &found, &n));
        ck_assert(n == 5 && memcmp(found, "clean", 5) == 0);
    }
    ends(map);
    down();
}
END_TEST

/* -- arrays ------------------------------------------------------------------------------------------------------ */

START_TEST(ranges_of_arrays_cover_them_once)
{
    static const uint64_t lengths[] = { 1, 2, 7, 1000, 3000000 };
    const uint64_t n = lengths[_i];
    const ptools_array *arrays[2];
    ptools_array *from, *to;
    int64_t *in, *out;

    up(2);
    from = array_of("from", PTOOLS_INT64, n);
    to = array_of("to", PTOOLS_INT64, n);
    arrays[0] = from;
    arrays[1] = to;
    in = ptools_array_data(from);
    out = ptools_array_data(to);
    for (uint64_t i = 0; i < n; i++)
        in[i] = (int64_t)(i % 1000);
    ck_assert_ptools(ptools_pmap_array(pt, "p.shift", arrays, 2, NULL));
    for (uint64_t i = 0; i < n; i++)
        if (out[i] != (int64_t)(i % 1000 + i))
            ck_abort_msg("element %" PRIu64 " is %" PRId64, i, out[i]);
    ck_assert_ptools(ptools_pmap_array(pt, "p.shift", arrays, 1, NULL)); /* in place */
    ck_assert_mem_eq(in, out, n * sizeof *in);
    ptools_array_free(from);
    ptools_array_free(to);
    down();
}
END_TEST

START_TEST(a_range_that_fails_is_told)
{
    const ptools_array *arrays[2];
    ptools_array *from, *other;
    int64_t *in;

    up(2);
    from = array_of("from", PTOOLS_INT64, 100000);
    other = array_of("other", PTOOLS_INT64, 99999);
    arrays[0] = from;
    arrays[1] = other;
    in = ptools_array_data(from);
    in[70000] = -1;
    came_to(ptools_pmap_array(pt, "p.shift", arrays, 1, NULL), PTOOLS_ERR_PARTS, "1 of ");
    ck_has(ptools_error_message(pt), "FAILED: element 70000 is negative");
    ck_assert_int_eq(in[99999], 99999); /* the others were done */
    ck_assert_err(ptools_pmap_array(pt, "p.shift", arrays, 2, NULL), PTOOLS_ERR_INVALID);
    ck_assert_str_eq(ptools_error_message(pt),
                     "the arrays must be of one length along their outermost dimension: array 1 "
                     "has 100000, array 2 has 99999");
    ck_assert_err(ptools_pmap_array(pt, "p.shift", arrays, 0, NULL), PTOOLS_ERR_INVALID);
    options.batch_size = 3;
    ck_assert_err(ptools_pmap_array(pt, "p.shift", arrays, 1, &options), PTOOLS_ERR_INVALID);
    ptools_array_free(from);
    ptools_array_free(other);
    down();
}
END_TEST

/* -- others ------------------------------------------------------------------------------------------------------ */

START_TEST(two_maps_and_a_call_share_the_workers)
{
    struct counted a = { .of = INT64_MAX, .first = 1 }, b = { .of = INT64_MAX, .first = 1 };
    ptools_pmap *one, *two;

    up(2);
    one = start_from("p.add", give, &a);
    two = start_from("p.add", give, &b);
    for (int64_t i = 0; i < 20000; i++) {
        next_is(one, i, i + 1);
        next_is(two, i, i + 1);
        if (i % 5000 == 0)
            ck_assert_ptools(ptools_remotecall_fetch(pt, NULL, "t.nop", NULL, NULL, WAIT_MS, NULL, NULL));
    }
    ptools_pmap_free(one);
    ptools_pmap_free(two);
    down();
}
END_TEST

START_TEST(wrong_options_are_told)
{
    const int64_t delay = 0;
    const ptools_pack *lists[1];
    ptools_pmap *map = NULL;

    up(1);
    lists[0] = list;
    ck_assert_err(ptools_pmap_start(pt, "nodot", lists, 1, NULL, &map), PTOOLS_ERR_INVALID);
    ck_assert_err(ptools_pmap_start(pt, "p.same", lists, 0, NULL, &map), PTOOLS_ERR_INVALID);
    ck_assert_err(ptools_pmap_start(pt, "p.same", NULL, 1, NULL, &map), PTOOLS_ERR_INVALID);
    ck_assert_err(ptools_pmap_start(pt, "p.same", lists, 1, NULL, NULL), PTOOLS_ERR_INVALID);
    ck_assert_err(ptools_pmap_start_from(pt, "p.same", NULL, NULL, NULL, &map), PTOOLS_ERR_INVALID);
    options.batch_size = 65537;
    ck_assert_err(ptools_pmap_start(pt, "p.same", lists, 1, &options, &map), PTOOLS_ERR_INVALID);
    options.batch_size = 0;
    options.flags = 0x80000000u;
    ck_assert_err(ptools_pmap_start(pt, "p.same", lists, 1, &options, &map), PTOOLS_ERR_INVALID);
    options.flags = 0;
    options.init = "nodot";
    ck_assert_err(ptools_pmap_start(pt, "p.same", lists, 1, &options, &map), PTOOLS_ERR_INVALID);
    options.init = NULL;
    options.grace_ms = -1;
    ck_assert_err(ptools_pmap_start(pt, "p.same", lists, 1, &options, &map), PTOOLS_ERR_INVALID);
    options.grace_ms = 0;
    options.item_timeout_ms = -1;
    ck_assert_err(ptools_pmap_start(pt, "p.same", lists, 1, &options, &map), PTOOLS_ERR_INVALID);
    options.item_timeout_ms = 0;
    options.n_retry_delays = 1;
    ck_assert_err(ptools_pmap_start(pt, "p.same", lists, 1, &options, &map), PTOOLS_ERR_INVALID);
    options.retry_delays_ms = &delay;
    options.n_retry_delays = SIZE_MAX;
    ck_assert_err(ptools_pmap_start(pt, "p.same", lists, 1, &options, &map), PTOOLS_ERR_INVALID);
    ck_assert_str_eq(ptools_error_message(pt), "pmap options: n_retry_delays is 18446744073709551615: at most 1000000");
    ck_assert_ptr_null(map);
    ck_assert_err(ptools_pmap_next(NULL, 0, NULL), PTOOLS_ERR_INVALID);
    ck_assert_ptr_null(ptools_pmap_free(NULL));
    down();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pmap");
    TCase *tc = suite_case(suite, "pmap");

    tcase_add_test(tc, outcomes_come_in_the_order_of_the_items);
    tcase_add_test(tc, several_lists_are_zipped);
    tcase_add_test(tc, no_items_have_no_outcomes);
    tcase_add_test(tc, a_source_yields_items_as_they_are_wanted);
    tcase_add_test(tc, a_source_that_gives_up_ends_it_and_loses_nothing);
    tcase_add_test(tc, a_source_may_have_none_yet);
    tcase_add_test(tc, a_loop_of_ones_own_is_told_when_to_come_back);
    tcase_add_test(tc, a_slow_reader_stops_the_flow);
    tcase_add_test(tc, unordered_outcomes_come_once_each);
    tcase_add_loop_test(tc, values_may_be_large, 0, 2);
    tcase_add_test(tc, what_is_captured_goes_before_each_item);
    tcase_add_test(tc, init_runs_once_in_each_worker);
    tcase_add_test(tc, an_init_that_fails_fails_each_item);
    tcase_add_test(tc, an_item_finds_its_worker_in_order);
    tcase_add_loop_test(tc, ranges_of_arrays_cover_them_once, 0, 5);
    tcase_add_test(tc, a_range_that_fails_is_told);
    tcase_add_test(tc, two_maps_and_a_call_share_the_workers);
    tcase_add_test(tc, wrong_options_are_told);
    return suite_run(suite);
}
