/* SPDX-License-Identifier: MIT */
/*
 * Reductions against a real daemon: the order of the items is kept, each is in the value or has failed, and what is
 * asked to be deterministic is so, whatever becomes of workers.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ptools/pmap.h>

#include "tests/integration/server.h"
#include "tests/support/suite.h"

static struct server server;
static ptools *pt;
static ptools_pack *what, *list;
static ptools_pmap_options options;
static ptools_reduced *reduced;
static char *expected;

static void reset(void)
{
    static const ptools_pmap_options none = PTOOLS_PMAP_OPTIONS_INIT;

    what = ptools_pack_new();
    list = ptools_pack_new();
    options = none;
    expected = calloc(1, 1);
}

static void up(unsigned workers)
{
    server_start(&server, workers, NULL);
    pt = server_open(&server);
    reset();
}

static void down(void)
{
    reduced = ptools_reduced_free(reduced);
    what = ptools_pack_free(what);
    list = ptools_pack_free(list);
    free(expected);
    pt = ptools_close(pt);
    server_clean(&server, 0);
    server_stop(&server);
}

static ptools_err reduce_texts(const char *function, const char *op)
{
    const ptools_pack *const lists[] = { what, list };

    reduced = ptools_reduced_free(reduced);
    return ptools_mapreduce(pt, function, op, lists, 2, &options, &reduced);
}

static ptools_err reduce_list(const char *function, const char *op)
{
    const ptools_pack *const lists[] = { list };

    reduced = ptools_reduced_free(reduced);
    return ptools_mapreduce(pt, function, op, lists, 1, &options, &reduced);
}

static void add(const char *fate, int64_t i)
{
    ptools_pack_str(what, fate);
    ptools_pack_i64(list, i);
}

/* The value has this number, too. */
static void expect(int64_t i)
{
    size_t n = strlen(expected);

    if (n % 65536 == 0 || n / 65536 != (n + 24) / 65536)
        expected = realloc(expected, (n / 65536 + 2) * 65536);
    sprintf(expected + n, "%" PRId64 ",", i);
}

static const char *text(void)
{
    const char *s = NULL;
    size_t n = 0;

    ck_assert_ptr_nonnull(reduced);
    ck_assert_ptools(ptools_get_str(reduced->value, &s, &n));
    return s;
}

static bool as_expected(void)
{
    const char *s = NULL;
    size_t n = 0;

    ck_assert_ptr_nonnull(reduced);
    ck_assert_ptools(ptools_get_str(reduced->value, &s, &n));
    return n == strlen(expected) && memcmp(s, expected, n) == 0;
}

/* What the call came to, and what it says. */
static void came_to(ptools_err err, ptools_err wanted, const char *words)
{
    ck_assert_msg(err == wanted, "%s: %s", ptools_errname(err), ptools_error_message(pt));
    if (words)
        ck_assert_msg(strstr(ptools_error_message(pt), words), "%s", ptools_error_message(pt));
}

static const uint32_t sizes[] = { 0, 1, 3, 100, 65536 };
enum { SIZES = sizeof sizes / sizeof sizes[0], WAYS = 2 * SIZES };

/* Of each size of batches, deterministic or not. */
static void way(int i)
{
    options.batch_size = sizes[i % SIZES];
    options.flags = i < SIZES ? 0 : PTOOLS_REDUCE_DETERMINISTIC;
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
    came_to(reduce_texts("r.text", "r.join"), PTOOLS_OK, NULL);
    ck_assert(as_expected());
    ck_assert(reduced->items == 2000 && reduced->failed == 0 && !reduced->empty);
    server_whole(pt, 2);
    down();
}
END_TEST

START_TEST(few_items_are_reduced)
{
    up(2);
    way(_i);
    came_to(reduce_texts("r.text", "r.join"), PTOOLS_ERR_INVALID,
            "there are no items to be reduced, and no initial value");
    ck_assert_ptr_null(reduced);
    for (int64_t i = 0; i < 40; i++) {
        add("value", i);
        expect(i);
        came_to(reduce_texts("r.text", "r.join"), PTOOLS_OK, NULL);
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
    came_to(reduce_texts("r.text", "r.join"), PTOOLS_OK, NULL);
    ck_assert(reduced->empty && reduced->items == 0);
    ck_assert_int_eq(strncmp(text(), "nothing", 7), 0);
    add("value", 5);
    came_to(reduce_texts("r.text", "r.join"), PTOOLS_OK, NULL);
    expect(5);
    ck_assert(as_expected()); /* it is no part of what is reduced */
    down();
}
END_TEST

START_TEST(items_may_be_the_values)
{
    char word[24];

    up(2);
    ptools_pack_reset(list);
    for (int64_t i = 0; i < 3000; i++) {
        snprintf(word, sizeof word, "%" PRId64 ",", i);
        ptools_pack_str(list, word);
        expect(i);
    }
    way(_i);
    came_to(reduce_list(NULL, "r.join"), PTOOLS_OK, NULL);
    ck_assert(as_expected());
    came_to(reduce_texts(NULL, "r.join"), PTOOLS_ERR_INVALID, "there are 2 lists");
    down();
}
END_TEST

START_TEST(a_million_items_sum_right)
{
    int64_t sum = 0;

    up(2);
    for (int64_t i = 0; i < 1000000; i++)
        ptools_pack_i64(list, i);
    options.flags = _i ? PTOOLS_REDUCE_DETERMINISTIC : 0;
    came_to(reduce_list("p.same", "p.add"), PTOOLS_OK, NULL);
    ck_assert_ptools(ptools_get_i64(reduced->value, &sum));
    ck_assert_int_eq(sum, INT64_C(499999500000));
    came_to(reduce_list(NULL, "p.add"), PTOOLS_OK, NULL);
    ck_assert_ptools(ptools_get_i64(reduced->value, &sum));
    ck_assert_int_eq(sum, INT64_C(499999500000));
    down();
}
END_TEST

struct counted {
    int64_t given, of, gives_up_at;
};

static int give(ptools_pack *args, void *arg)
{
    struct counted *c = arg;

    if (c->given == c->gives_up_at)
        return -1;
    if (c->given == c->of)
        return 0;
    ptools_pack_str(args, "value");
    ptools_pack_i64(args, c->given++);
    return 1;
}

START_TEST(a_source_is_reduced)
{
    struct counted c = { 0, 5000, -1 };

    up(2);
    for (int64_t i = 0; i < c.of; i++)
        expect(i);
    way(_i);
    came_to(ptools_mapreduce_from(pt, "r.text", "r.join", give, &c, &options, &reduced), PTOOLS_OK, NULL);
    ck_assert(as_expected());
    ck_assert_uint_eq(reduced->items, 5000);
    c = (struct counted){ 0, 5000, 70 };
    reduced = ptools_reduced_free(reduced);
    came_to(ptools_mapreduce_from(pt, "r.text", "r.join", give, &c, &options, &reduced), PTOOLS_ERR_INVALID,
            "the source of the items gave up");
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
    came_to(reduce_texts("r.text", "r.join"), PTOOLS_OK, NULL);
    ck_assert_ptools(ptools_get_str(reduced->value, &s, &n));
    ck_assert_uint_eq(n, 400 * 1000 + 399 * 400 / 2 + 400 * 5);
    for (int64_t i = 0; i < 400; i++, s += 5) {
        s += strspn(s, ".");
        ck_assert_int_eq(strtol(s, NULL, 10), 1000 + i);
    }
    down();
}
END_TEST

/* -- failures ------------------------------------------------------------------------------------------------- */

enum { N = 300 };

static const char *fate_of(int64_t i)
{
    return i % 50 == 7 || i % 50 == 8 || i == N - 1 ? "fail" : i % 100 == 60 ? "kill" : "value";
}

START_TEST(items_that_fail_are_left_out)
{
    const int64_t delays[] = { 0, 1 };
    unsigned failed = 0;

    up(2);
    for (int64_t i = 0; i < N; i++) {
        bool fails = strcmp(fate_of(i), "value") != 0;

        add(fate_of(i), i);
        failed += fails;
        if (!fails)
            expect(i);
    }
    way(_i % WAYS);
    options.retry_delays_ms = delays;
    options.n_retry_delays = _i < WAYS ? 0 : 2;
    came_to(reduce_texts("r.text", "r.join"), PTOOLS_ERR_PARTS,
            "16 of 300 items failed and are not in the value, the first of them, 7, with FAILED: no text for 7");
    ck_assert(as_expected());
    ck_assert(reduced->items == N && reduced->failed == failed && !reduced->empty);
    server_whole(pt, 2);
    down();
}
END_TEST

START_TEST(a_default_takes_their_place)
{
    PTOOLS_AUTO(ptools_pack) none = ptools_pack_new();

    up(2);
    for (int64_t i = 0; i < N; i++) {
        add(fate_of(i), i);
        expect(strcmp(fate_of(i), "value") == 0 ? i : -1);
    }
    ptools_pack_str(none, "-1,");
    way(_i);
    options.on_error = PTOOLS_ON_ERROR_DEFAULT;
    options.default_value = none;
    came_to(reduce_texts("r.text", "r.join"), PTOOLS_OK, NULL);
    ck_assert(as_expected());
    ck_assert(reduced->items == N && reduced->failed == 16);
    down();
}
END_TEST

START_TEST(the_first_failure_may_end_it)
{
    up(2);
    for (int64_t i = 0; i < N; i++)
        add(i == 100 ? "fail" : i > 150 ? "hang" : "value", i);
    way(_i);
    options.on_error = PTOOLS_ON_ERROR_STOP;
    came_to(reduce_texts("r.text", "r.join"), PTOOLS_ERR_FAILED, "item 100: no text for 100");
    ck_assert_ptr_null(reduced);
    server_whole(pt, 2);
    down();
}
END_TEST

START_TEST(all_may_fail)
{
    PTOOLS_AUTO(ptools_pack) initial = ptools_pack_new();

    up(2);
    for (int64_t i = 0; i < 50; i++)
        add("fail", i);
    way(_i);
    came_to(reduce_texts("r.text", "r.join"), PTOOLS_ERR_PARTS, "50 of 50 items failed");
    ck_assert(reduced->empty && reduced->failed == 50 && ptools_value_kind(reduced->value) == PTOOLS_NIL);
    ptools_pack_str(initial, "none");
    options.initial = initial;
    came_to(reduce_texts("r.text", "r.join"), PTOOLS_ERR_PARTS, "50 of 50 items failed");
    ck_assert(reduced->empty && ptools_value_kind(reduced->value) == PTOOLS_STR);
    down();
}
END_TEST

/* What fails at first is in the value at its place. */
START_TEST(what_fails_is_tried_again)
{
    static const char *const firsts[] = { "fail", "kill" };
    PTOOLS_AUTO(ptools_pack) paths = ptools_pack_new();
    const ptools_pack *zipped[] = { paths, NULL };
    const int64_t delays[] = { 5 };
    char dir[64], path[96];
    int64_t sum = 0;

    up(2);
    temp_dir(dir, sizeof dir);
    for (int i = 0; i < 40; i++) {
        snprintf(path, sizeof path, "%s/%d", dir, i);
        ptools_pack_str(paths, path);
        ptools_pack_str(what, i % 4 == 1 ? firsts[i % 8 / 4] : "no");
    }
    zipped[1] = what;
    way(_i);
    options.retry_delays_ms = delays;
    options.n_retry_delays = 1;
    came_to(ptools_mapreduce(pt, "p.first", "p.add", zipped, 2, &options, &reduced), PTOOLS_OK, NULL);
    ck_assert_ptools(ptools_get_i64(reduced->value, &sum));
    ck_assert_int_eq(sum, 30 + 10 * 2); /* once for each that did not fail, else the second time */
    temp_remove(dir);
    down();
}
END_TEST

/* -- the operator ----------------------------------------------------------------------------------------------- */

START_TEST(an_operator_that_fails_ends_it)
{
    up(2);
    for (int64_t i = 0; i < N; i++)
        add("value", i);
    way(_i);
    came_to(reduce_texts("r.text", "r.join_fails"), PTOOLS_ERR_FAILED,
            "the reduction by r.join_fails: 77 is not to be joined");
    ck_assert_ptr_null(reduced);
    server_whole(pt, 2);
    down();
}
END_TEST

START_TEST(an_operator_that_is_not_there_is_told)
{
    up(2);
    add("value", 1);
    add("value", 2);
    options.batch_size = _i;
    came_to(reduce_texts("r.text", "r.nothing"), PTOOLS_ERR_NO_FUNCTION, "module r has no function nothing");
    came_to(reduce_texts("r.text", "nothing.at_all"), PTOOLS_ERR_NO_MODULE, "nothing");
    came_to(reduce_texts("r.nothing", "r.join"), PTOOLS_ERR_PARTS, "2 of 2 items failed");
    ck_assert(reduced->empty);
    down();
}
END_TEST

START_TEST(a_module_that_cannot_be_loaded_breaks_no_other)
{
    up(2);
    for (int64_t i = 0; i < 20; i++)
        ptools_pack_i64(list, i);
    options.batch_size = 5;
    came_to(reduce_list("p.same", "crash_at_load.x"), PTOOLS_ERR_MODULE_BROKEN,
            "while loading the module of crash_at_load.x");
    options.init = "exit_at_load.x";
    came_to(reduce_list("p.same", "p.add"), PTOOLS_ERR_PARTS, "while loading the module of exit_at_load.x");
    ck_assert_uint_eq(reduced->failed, 20);
    options.init = NULL;
    came_to(reduce_list("p.same", "p.add"), PTOOLS_OK, NULL);
    server_whole(pt, 2);
    down();
}
END_TEST

START_TEST(an_item_that_kills_the_operator_has_failed)
{
    up(2);
    for (int64_t i = 0; i < 200; i++) {
        add("value", i);
        if (i != 77)
            expect(i);
    }
    options.batch_size = 10;
    options.flags = _i ? PTOOLS_REDUCE_DETERMINISTIC : 0;
    came_to(reduce_texts("r.text", "r.join_kills"), PTOOLS_ERR_PARTS, "1 of 200 items failed");
    ck_assert_ptr_nonnull(strstr(ptools_error_message(pt), "77, with WORKER_DIED"));
    ck_assert(as_expected());
    came_to(reduce_texts("r.text", "r.join_items"), PTOOLS_ERR_WORKER_DIED, "r.join_items");
    server_whole(pt, 2);
    down();
}
END_TEST

/* -- determinism ---------------------------------------------------------------------------------------------- */

static double fractions(void)
{
    double sum = 0;

    came_to(reduce_list("r.fraction", "r.sum"), PTOOLS_OK, NULL);
    ck_assert_ptools(ptools_get_f64(reduced->value, &sum));
    return sum;
}

START_TEST(the_same_to_the_last_bit_with_any_number_of_workers)
{
    double first = 0;

    for (unsigned workers = 1; workers <= 3; workers++) {
        up(workers);
        for (int64_t i = 0; i < 20011; i++)
            ptools_pack_i64(list, i);
        way(SIZES + _i);
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
    way(SIZES + _i);
    options.retry_delays_ms = delays;
    options.n_retry_delays = 5;
    options.window_bytes = 4096;
    for (int i = 0; i < 3; i++) {
        k.given = 0;
        k.kill = i > 0;
        reduced = ptools_reduced_free(reduced);
        came_to(ptools_mapreduce_from(pt, "r.fraction", "r.sum", give_and_kill, &k, &options, &reduced), PTOOLS_OK,
                NULL);
        ck_assert_uint_eq(reduced->items, 20000);
        ck_assert_ptools(ptools_get_f64(reduced->value, &sum));
        first = i == 0 ? sum : first;
        ck_assert_mem_eq(&sum, &first, sizeof sum);
    }
    ck_assert_uint_ge(k.kills, 10);
    ptools_close(k.pt);
    server_whole(pt, 3);
    down();
}
END_TEST

/* Each item is in the value once, or is said to have failed. */
START_TEST(workers_that_are_killed_cost_their_items_alone)
{
    struct killer k;
    int64_t sum = 0;
    ptools_err err;

    up(3);
    k = (struct killer){ .of = 20000, .pt = server_open(&server), .kill = true, .ones = true };
    options.window_bytes = 4096;
    err = ptools_mapreduce_from(pt, "p.same", "p.add", give_and_kill, &k, &options, &reduced);
    ck_assert_ptr_nonnull(reduced);
    came_to(err, reduced->failed > 0 ? PTOOLS_ERR_PARTS : PTOOLS_OK, NULL); /* it may be that none was at an item */
    ck_assert_uint_eq(reduced->items, 20000);
    ck_assert_uint_ge(k.kills, 10);
    ck_assert_uint_le(reduced->failed, k.kills);
    ck_assert_ptools(ptools_get_i64(reduced->value, &sum));
    ck_assert_int_eq(sum, k.of - (int64_t)reduced->failed);
    ptools_close(k.pt);
    server_whole(pt, 3);
    down();
}
END_TEST

/* -- time ----------------------------------------------------------------------------------------------------- */

START_TEST(an_item_that_takes_too_long_is_left_out)
{
    up(2);
    for (int64_t i = 0; i < 60; i++) {
        add(i == 11 || i == 40 ? "hang" : "value", i);
        if (i != 11 && i != 40)
            expect(i);
    }
    way(_i);
    options.item_timeout_ms = 100;
    came_to(reduce_texts("r.text", "r.join"), PTOOLS_ERR_PARTS, "the first of them, 11, with DEADLINE");
    ck_assert(as_expected());
    ck_assert_uint_eq(reduced->failed, 2);
    server_whole(pt, 2);
    down();
}
END_TEST

START_TEST(all_of_it_may_have_a_time)
{
    up(2);
    for (int64_t i = 0; i < 60; i++)
        add(i == 11 ? "hang" : "value", i);
    way(_i);
    options.timeout_ms = 300;
    came_to(reduce_texts("r.text", "r.join"), PTOOLS_ERR_TIMEOUT, "the reduction was ended after timeout_ms, 300 ms");
    ck_assert_ptr_null(reduced);
    server_whole(pt, 2);
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
    int64_t sum = 0;

    up(2);
    ck_assert_ptools(ptools_workerset_create(pt, NULL, first, 1, PTOOLS_WS_FF, &one));
    ck_assert_ptools(ptools_workerset_create(pt, NULL, second, 1, PTOOLS_WS_FF, &two));
    ptools_pack_i64(captured, 1000);
    for (int64_t i = 0; i < 500; i++)
        ptools_pack_i64(list, i);
    options.captured = captured;
    options.init = "p.init";
    options.set = two;
    way(_i);
    came_to(reduce_list("p.add", "p.add"), PTOOLS_OK, NULL);
    ck_assert_ptools(ptools_get_i64(reduced->value, &sum));
    ck_assert_int_eq(sum, 500 * 1000 + 499 * 500 / 2);
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

static ptools_array *array_of(uint64_t n)
{
    const ptools_shmcfg cfg = { "x", PTOOLS_FLOAT64, 1, { n }, PTOOLS_ROW_MAJOR };
    ptools_array *a = NULL;
    ptools_err err = ptools_shm_create(pt, &cfg, NULL, &a);

    ck_assert_msg(err == PTOOLS_OK, "%s", ptools_error_message(pt));
    return a;
}

START_TEST(parts_of_arrays_are_reduced)
{
    static const uint64_t lengths[] = { 1, 2, 7, 1000, 3000000 };
    const uint64_t n = lengths[_i % 5];
    double first = 0, sum = 0, all = 0, *x;
    const ptools_array *arrays[1];
    ptools_array *a;

    up(2);
    arrays[0] = a = array_of(n);
    x = ptools_array_data(a);
    for (uint64_t i = 0; i < n; i++)
        all += x[i] = 1.0 / (double)(i + 1);
    options.flags = _i < 5 ? 0 : PTOOLS_REDUCE_DETERMINISTIC;
    for (int i = 0; i < 5; i++) {
        came_to(ptools_mapreduce_array(pt, "r.range", "r.sum", arrays, 1, &options, &reduced), PTOOLS_OK, NULL);
        ck_assert_ptools(ptools_get_f64(reduced->value, &sum));
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
    options.flags = 0;
    ptools_pack_list(what, 2);
    ptools_pack_i64(list, 1);
    came_to(reduce_list("p.same", "p.add"), PTOOLS_ERR_INVALID, "initial cannot be used: a list or map lacks items");
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
    tcase_add_loop_test(tc, values_may_be_large, 0, WAYS);
    tc = suite_case(suite, "failures");
    tcase_add_loop_test(tc, items_that_fail_are_left_out, 0, 2 * WAYS);
    tcase_add_loop_test(tc, a_default_takes_their_place, 0, WAYS);
    tcase_add_loop_test(tc, the_first_failure_may_end_it, 0, WAYS);
    tcase_add_loop_test(tc, all_may_fail, 0, WAYS);
    tcase_add_loop_test(tc, what_fails_is_tried_again, 0, WAYS);
    tc = suite_case(suite, "operator");
    tcase_add_loop_test(tc, an_operator_that_fails_ends_it, 0, WAYS);
    tcase_add_loop_test(tc, an_operator_that_is_not_there_is_told, 0, 3);
    tcase_add_test(tc, a_module_that_cannot_be_loaded_breaks_no_other);
    tcase_add_loop_test(tc, an_item_that_kills_the_operator_has_failed, 0, 2);
    tc = suite_case(suite, "deterministic");
    tcase_add_loop_test(tc, the_same_to_the_last_bit_with_any_number_of_workers, 0, SIZES);
    tcase_add_loop_test(tc, the_same_to_the_last_bit_whatever_dies, 0, SIZES);
    tcase_add_test(tc, workers_that_are_killed_cost_their_items_alone);
    tc = suite_case(suite, "time");
    tcase_add_loop_test(tc, an_item_that_takes_too_long_is_left_out, 0, WAYS);
    tcase_add_loop_test(tc, all_of_it_may_have_a_time, 0, WAYS);
    tc = suite_case(suite, "map");
    tcase_add_loop_test(tc, captured_init_and_set_are_those_of_a_map, 0, WAYS);
    tcase_add_loop_test(tc, parts_of_arrays_are_reduced, 0, 10);
    tcase_add_test(tc, wrong_options_are_told);
    return suite_run(suite);
}
