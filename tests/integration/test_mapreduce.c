/* SPDX-License-Identifier: MIT */
/*
 * Reductions against a real daemon: the order of the items is kept, each is in the value, and what is asked to be
 * deterministic is so, whatever becomes of workers. Items and operators that fail are in test_mapreduce_fates.c.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/integration/pmap_rig.h"

static const char *text(void)
{
    const char *s = NULL;
    size_t n = 0;

    ck_assert_ptr_nonnull(reduced);
    ck_assert_ptools(ptools_get_str(reduced->value, &s, &n));
    return s;
}

/* -- order ---------------------------------------------------------------------------------------------------- */

START_TEST(the_order_of_the_items_is_kept)
{
    up(2);
    for (int64_t i = 0; i < 2000; i++) {
        add("value", i);
        expect(i);
    }
    way(_i);
    came_to(reduce_zipped("r.text", "r.join"), PTOOLS_OK, NULL);
    ck_assert(as_expected());
    ck_assert(reduced->items == 2000 && reduced->failed == 0 && !reduced->empty);
    down();
}
END_TEST

START_TEST(few_items_are_reduced)
{
    up(2);
    way(_i);
    came_to(reduce_zipped("r.text", "r.join"), PTOOLS_ERR_INVALID,
            "there are no items to be reduced, and no initial value");
    ck_assert_ptr_null(reduced);
    for (int64_t i = 0; i < 40; i++) {
        add("value", i);
        expect(i);
        came_to(reduce_zipped("r.text", "r.join"), PTOOLS_OK, NULL);
        ck_assert(as_expected());
    }
    down();
}
END_TEST

START_TEST(without_items_there_is_the_initial_value)
{
    PTOOLS_AUTO(ptools_pack) initial = ptools_pack_new();

    up(1);
    ptools_pack_str(initial, "nothing");
    options.initial = initial;
    came_to(reduce_zipped("r.text", "r.join"), PTOOLS_OK, NULL);
    ck_assert(reduced->empty && reduced->items == 0);
    ck_assert_int_eq(strncmp(text(), "nothing", 7), 0);
    add("value", 5);
    came_to(reduce_zipped("r.text", "r.join"), PTOOLS_OK, NULL);
    expect(5);
    ck_assert(as_expected()); /* it is no part of what is reduced */
    down();
}
END_TEST

START_TEST(items_may_be_the_values)
{
    char word[24];

    up(2);
    for (int64_t i = 0; i < 3000; i++) {
        snprintf(word, sizeof word, "%" PRId64 ",", i);
        ptools_pack_str(list, word);
        expect(i);
    }
    way(_i);
    came_to(reduce_list(NULL, "r.join"), PTOOLS_OK, NULL);
    ck_assert(as_expected());
    came_to(reduce_zipped(NULL, "r.join"), PTOOLS_ERR_INVALID, "there are 2 lists");
    down();
}
END_TEST

START_TEST(a_million_items_sum_right)
{
    up(2);
    numbers(0, 1000000);
    options.flags = _i ? PTOOLS_REDUCE_DETERMINISTIC : 0;
    came_to(reduce_list("p.same", "p.add"), PTOOLS_OK, NULL);
    ck_assert_int_eq(reduced_number(), INT64_C(499999500000));
    came_to(reduce_list(NULL, "p.add"), PTOOLS_OK, NULL);
    ck_assert_int_eq(reduced_number(), INT64_C(499999500000));
    down();
}
END_TEST

START_TEST(a_source_is_reduced)
{
    struct counted c = { .of = 5000, .word = "value" };

    up(2);
    for (int64_t i = 0; i < c.of; i++)
        expect(i);
    way(_i);
    came_to(reduce_from("r.text", "r.join", give, &c), PTOOLS_OK, NULL);
    ck_assert(as_expected());
    ck_assert_uint_eq(reduced->items, 5000);
    c = (struct counted){ .of = 5000, .word = "value", .gives_up_at = 70 };
    came_to(reduce_from("r.text", "r.join", give, &c), PTOOLS_ERR_INVALID, "the source of the items gave up");
    ck_assert_ptr_null(reduced);
    down();
}
END_TEST

struct counted_later {
    struct counted c;
    int64_t none_at; /* it had none yet when so many were given */
};

/* After each seventh item it has none yet, once; and none any more after that of 100. */
static int give_later(ptools_pack *args, void *arg)
{
    struct counted_later *l = arg;

    if ((l->c.next % 7 == 0 && l->none_at != l->c.next) || (l->c.next == 100 && l->c.of > 100)) {
        l->none_at = l->c.next;
        return 2;
    }
    return give(args, &l->c);
}

START_TEST(a_source_may_have_none_yet)
{
    struct counted_later l = { .c = { .of = 100, .word = "value" } };

    up(2);
    for (int64_t i = 0; i < l.c.of; i++)
        expect(i);
    way(_i);
    came_to(reduce_from("r.text", "r.join", give_later, &l), PTOOLS_OK, NULL);
    ck_assert(as_expected());
    l = (struct counted_later){ .c = { .of = 200, .word = "value" } };
    came_to(reduce_from("r.text", "r.join", give_later, &l), PTOOLS_ERR_TIMEOUT,
            "the source has no item yet, and nothing is under way");
    ck_assert_ptr_null(reduced);
    down();
}
END_TEST

START_TEST(values_may_be_large)
{
    size_t n = 0;
    const char *s;

    up(2);
    for (int64_t i = 0; i < 400; i++)
        add("wide", 1000 + i);
    way(_i);
    came_to(reduce_zipped("r.text", "r.join"), PTOOLS_OK, NULL);
    ck_assert_ptools(ptools_get_str(reduced->value, &s, &n));
    ck_assert_uint_eq(n, 400 * 1000 + 399 * 400 / 2 + 400 * 5);
    for (int64_t i = 0; i < 400; i++, s += 5) {
        s += strspn(s, ".");
        ck_assert_int_eq(strtol(s, NULL, 10), 1000 + i);
    }
    down();
}
END_TEST

/* -- determinism ---------------------------------------------------------------------------------------------- */

static double fractions(void)
{
    came_to(reduce_list("r.fraction", "r.sum"), PTOOLS_OK, NULL);
    return reduced_fraction();
}

START_TEST(the_same_to_the_last_bit_with_any_number_of_workers)
{
    double first = 0;

    for (unsigned workers = 1; workers <= 3; workers++) {
        up(workers);
        numbers(0, 20011);
        way(_i);
        for (int i = 0; i < 3; i++) {
            double sum = fractions();

            if (workers == 1 && i == 0)
                first = sum;
            ck_assert_mem_eq(&sum, &first, sizeof sum);
        }
        ck_assert_double_eq_tol(first, 10.481253, 1e-4);
        down();
    }
}
END_TEST

/* Between the items of a source it kills a worker, at whatever point that is. */
struct killer {
    ptools *pt;
    int64_t given, of;
    unsigned kills;
    bool kill, ones; /* each item is 1 */
};

static int give_and_kill(ptools_pack *args, void *arg)
{
    struct killer *k = arg;

    if (k->given == k->of)
        return 0;
    if (k->kill && k->given % 500 == 300) {
        const unsigned before = k->kills;
        const uint64_t until = now_ms() + 20000;

        while (k->kills == before) { /* there may be none just now */
            ptools_worker_info *workers = NULL;
            size_t n = 0;

            ck_assert_msg(now_ms() < until, "no worker comes back");
            ck_assert_ptools(ptools_workers(k->pt, &workers, &n));
            for (size_t i = 0; i < n && k->kills == before; i++)
                k->kills += workers[i].pid > 0 && kill(workers[i].pid, SIGKILL) == 0;
            free(workers);
        }
    }
    ptools_pack_i64(args, k->ones ? 1 : k->given);
    k->given++;
    return 1;
}

START_TEST(the_same_to_the_last_bit_whatever_dies)
{
    const int64_t delays[] = { 1, 1, 10, 10, 100 };
    double first = 0, sum = 0;
    struct killer k;

    up(3);
    k = (struct killer){ .of = 20000, .pt = server_open(&server) };
    way(_i);
    options.retry_delays_ms = delays;
    options.n_retry_delays = 5;
    options.window_bytes = 4096;
    for (int i = 0; i < 3; i++) {
        k.given = 0;
        k.kill = i > 0;
        came_to(reduce_from("r.fraction", "r.sum", give_and_kill, &k), PTOOLS_OK, NULL);
        ck_assert_uint_eq(reduced->items, 20000);
        sum = reduced_fraction();
        first = i == 0 ? sum : first;
        ck_assert_mem_eq(&sum, &first, sizeof sum);
    }
    ck_assert_uint_ge(k.kills, 10);
    ptools_close(k.pt);
    down();
}
END_TEST

/* Each item is in the value once, or is said to have failed. */
START_TEST(workers_that_are_killed_cost_their_items_alone)
{
    struct killer k;
    ptools_err err;

    up(3);
    k = (struct killer){ .of = 20000, .pt = server_open(&server), .kill = true, .ones = true };
    options.window_bytes = 4096;
    err = reduce_from("p.same", "p.add", give_and_kill, &k);
    ck_assert_ptr_nonnull(reduced);
    came_to(err, reduced->failed > 0 ? PTOOLS_ERR_PARTS : PTOOLS_OK, NULL); /* it may be that none was at an item */
    ck_assert_uint_eq(reduced->items, 20000);
    ck_assert_uint_ge(k.kills, 10);
    ck_assert_uint_le(reduced->failed, k.kills);
    ck_assert_int_eq(reduced_number(), k.of - (int64_t)reduced->failed);
    ptools_close(k.pt);
    down();
}
END_TEST

/* -- what it has of a map --------------------------------------------------------------------------------------- */

/* How often init has run in the process of a worker. */
static int64_t inits_in(ptools_workerset *set)
{
    static const ptools_pmap_options none = PTOOLS_PMAP_OPTIONS_INIT;
    PTOOLS_AUTO(ptools_pack) one = ptools_pack_new();
    const ptools_pack *const lists[] = { one };
    ptools_pmap_options o = none;
    ptools_pmap *map = NULL;
    ptools_item item;
    ptools_value v;
    int64_t n = -1;

    ptools_pack_nil(one);
    o.set = set;
    ck_assert_ptools(ptools_pmap_start(pt, "p.seen", lists, 1, &o, &map));
    ck_assert_ptools(ptools_pmap_next(map, PTOOLS_FOREVER, &item));
    ck_assert_ptools(ptools_get_item(item.value, 0, &v));
    ck_assert_ptools(ptools_get_i64(v, &n));
    ptools_pmap_free(map);
    return n;
}

START_TEST(captured_init_and_set_are_those_of_a_map)
{
    PTOOLS_AUTO(ptools_pack) captured = ptools_pack_new();
    const uint32_t first[] = { 1 }, second[] = { 2 };
    ptools_workerset *one = NULL, *two = NULL;

    up(2);
    ck_assert_ptools(ptools_workerset_create(pt, NULL, first, 1, PTOOLS_WS_FF, &one));
    ck_assert_ptools(ptools_workerset_create(pt, NULL, second, 1, PTOOLS_WS_FF, &two));
    ptools_pack_i64(captured, 1000);
    numbers(0, 500);
    options.captured = captured;
    options.init = "p.init";
    options.set = two;
    way(_i);
    came_to(reduce_list("p.add", "p.add"), PTOOLS_OK, NULL);
    ck_assert_int_eq(reduced_number(), 500 * 1000 + 499 * 500 / 2);
    ck_assert_int_eq(inits_in(one), 0);
    ck_assert_int_eq(inits_in(two), 1); /* also if its values are reduced in batches of their own */
    options.init = "p.init_fails";
    options.set = NULL;
    came_to(reduce_list("p.add", "p.add"), PTOOLS_ERR_PARTS, "FAILED: the init function p.init_fails: not today");
    ck_assert(reduced->failed == 500 && reduced->empty);
    ptools_workerset_free(one);
    ptools_workerset_free(two);
    down();
}
END_TEST

START_TEST(parts_of_arrays_are_reduced)
{
    static const uint64_t lengths[] = { 1, 2, 7, 1000, 3000000 };
    const uint64_t n = lengths[_i % 5];
    double first = 0, sum = 0, all = 0, *x;
    const ptools_array *arrays[1];
    ptools_array *a;

    up(2);
    arrays[0] = a = array_of("x", PTOOLS_FLOAT64, n);
    x = ptools_array_data(a);
    for (uint64_t i = 0; i < n; i++)
        all += x[i] = 1.0 / (double)(i + 1);
    options.flags = _i < 5 ? 0 : PTOOLS_REDUCE_DETERMINISTIC;
    for (int i = 0; i < 5; i++) {
        came_to(ptools_mapreduce_array(pt, "r.range", "r.sum", arrays, 1, &options, &reduced), PTOOLS_OK, NULL);
        sum = reduced_fraction();
        first = i == 0 ? sum : first;
        ck_assert_double_eq_tol(sum, all, 1e-9);
        if (options.flags)
            ck_assert_mem_eq(&sum, &first, sizeof sum);
        reduced = ptools_reduced_free(reduced);
    }
    x[n / 2] = -1;
    came_to(ptools_mapreduce_array(pt, "r.range", "r.sum", arrays, 1, &options, &reduced), PTOOLS_ERR_PARTS,
            "FAILED: a negative element");
    ck_assert_uint_eq(reduced->failed, 1);
    ck_assert(reduced->empty == (reduced->items == 1));
    options.batch_size = 3;
    reduced = ptools_reduced_free(reduced);
    came_to(ptools_mapreduce_array(pt, "r.range", "r.sum", arrays, 1, &options, &reduced), PTOOLS_ERR_INVALID,
            "batch_size");
    ptools_array_free(a);
    down();
}
END_TEST

START_TEST(wrong_options_are_told)
{
    const ptools_pack *lists[1];
    ptools_pmap *map = NULL;

    up(1);
    lists[0] = list;
    came_to(ptools_mapreduce(pt, "r.text", "nodot", lists, 1, NULL, &reduced), PTOOLS_ERR_INVALID, "op is \"nodot\"");
    came_to(ptools_mapreduce(pt, "r.text", NULL, lists, 1, NULL, &reduced), PTOOLS_ERR_INVALID, "op is \"(NULL)\"");
    came_to(ptools_mapreduce(pt, "nodot", "r.join", lists, 1, NULL, &reduced), PTOOLS_ERR_INVALID, "function is");
    came_to(ptools_mapreduce(pt, "r.text", "r.join", lists, 0, NULL, &reduced), PTOOLS_ERR_INVALID, "0 lists");
    came_to(ptools_mapreduce(pt, "r.text", "r.join", lists, 1, NULL, NULL), PTOOLS_ERR_INVALID, "ret_reduced is NULL");
    came_to(ptools_mapreduce_from(pt, "r.text", "r.join", NULL, NULL, NULL, &reduced), PTOOLS_ERR_INVALID,
            "source is NULL");
    came_to(ptools_mapreduce_array(pt, NULL, "r.join", NULL, 0, NULL, &reduced), PTOOLS_ERR_INVALID, "function is");
    options.flags = PTOOLS_PMAP_UNORDERED;
    came_to(reduce_list("r.text", "r.join"), PTOOLS_ERR_INVALID, "a reduction keeps the order");
    options.flags = PTOOLS_REDUCE_DETERMINISTIC;
    came_to(ptools_pmap_start(pt, "p.same", lists, 1, &options, &map), PTOOLS_ERR_INVALID, "are for reductions");
    options.flags = 0;
    options.initial = what;
    came_to(ptools_pmap_start(pt, "p.same", lists, 1, &options, &map), PTOOLS_ERR_INVALID, "are for reductions");
    ptools_pack_i64(list, 1);
    ptools_pack_list(what, 2); /* of which none follows */
    came_to(reduce_list("r.text", "r.join"), PTOOLS_ERR_INVALID, "initial cannot be used: it is not one value");
    ck_assert(!map && !reduced && !ptools_reduced_free(NULL));
    down();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("mapreduce");
    TCase *tc = suite_case(suite, "order");

    tcase_add_loop_test(tc, the_order_of_the_items_is_kept, 0, WAYS);
    tcase_add_loop_test(tc, few_items_are_reduced, 0, WAYS);
    tcase_add_test(tc, without_items_there_is_the_initial_value);
    tcase_add_loop_test(tc, items_may_be_the_values, 0, WAYS);
    tcase_add_loop_test(tc, a_million_items_sum_right, 0, 2);
    tcase_add_loop_test(tc, a_source_is_reduced, 0, WAYS);
    tcase_add_loop_test(tc, a_source_may_have_none_yet, 0, WAYS);
    tcase_add_loop_test(tc, values_may_be_large, 0, WAYS);
    tc = suite_case(suite, "deterministic");
    tcase_add_loop_test(tc, the_same_to_the_last_bit_with_any_number_of_workers, DETERMINISTIC, WAYS);
    tcase_add_loop_test(tc, the_same_to_the_last_bit_whatever_dies, DETERMINISTIC, WAYS);
    tcase_add_test(tc, workers_that_are_killed_cost_their_items_alone);
    tc = suite_case(suite, "map");
    tcase_add_loop_test(tc, captured_init_and_set_are_those_of_a_map, 0, WAYS);
    tcase_add_loop_test(tc, parts_of_arrays_are_reduced, 0, 10);
    tcase_add_test(tc, wrong_options_are_told);
    return suite_run(suite);
}
