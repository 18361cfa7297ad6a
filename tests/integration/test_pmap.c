/* SPDX-License-Identifier: MIT */
/*
 * Many items against a real daemon: contract.md, section 7. Each item has one outcome, and the same whatever the size
 * of its batch; order, retries, timeouts, captured data, cancellation; and what is left when a map is given up.
 */
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <ptools/pmap.h>

#include "tests/integration/server.h"
#include "tests/support/suite.h"

enum { WAIT_MS = 60000 };

static struct server server;
static ptools *pt;
static ptools_pack *list;
static ptools_pmap_options options;

static void up(unsigned workers)
{
    static const ptools_pmap_options none = PTOOLS_PMAP_OPTIONS_INIT;

    server_start(&server, workers, NULL);
    pt = server_open(&server);
    list = ptools_pack_new();
    options = none;
}

/* As after up(), with the same daemon. */
static void anew(void)
{
    static const ptools_pmap_options none = PTOOLS_PMAP_OPTIONS_INIT;

    options = none;
    ptools_pack_reset(list);
}

static void down(void)
{
    list = ptools_pack_free(list);
    pt = ptools_close(pt);
    server_clean(&server, 0);
    server_stop(&server);
}

static ptools_pmap *start(const char *function)
{
    const ptools_pack *const lists[] = { list };
    ptools_pmap *map = NULL;
    ptools_err err = ptools_pmap_start(pt, function, lists, 1, &options, &map);

    ck_assert_msg(err == PTOOLS_OK, "%s", ptools_error_message(pt));
    return map;
}

static ptools_item next(ptools_pmap *map)
{
    ptools_item item;
    ptools_err err = ptools_pmap_next(map, WAIT_MS, &item);

    suite_holds(err == PTOOLS_OK, "%s: %s", ptools_errname(err), ptools_error_message(pt));
    return item;
}

static int64_t number_of(const ptools_item *item)
{
    int64_t n = -1;

    suite_holds(item->err == PTOOLS_OK, "item %" PRIu64 ": %s", item->index,
                item->failure ? item->failure->message : "no failure");
    suite_holds(ptools_get_i64(item->value, &n) == PTOOLS_OK, "item %" PRIu64 " is no number", item->index);
    return n;
}

/* The next outcome is a value of item i, and this number. Said with no assertion of Check for each: there are many. */
static void next_is(ptools_pmap *map, int64_t i, int64_t number)
{
    const ptools_item item = next(map);
    const int64_t n = number_of(&item);

    suite_holds(item.index == (uint64_t)i, "outcome %" PRId64 " is of item %" PRIu64, i, item.index);
    suite_holds(n == number, "item %" PRId64 " is %" PRId64, i, n);
    suite_holds(item.attempts == 1 && !item.failure, "item %" PRId64 ": %u attempts", i, item.attempts);
}

/* There are no more; and the map goes. */
static void ends(ptools_pmap *map)
{
    ptools_item item;

    ck_assert_err(ptools_pmap_next(map, WAIT_MS, &item), PTOOLS_ERR_RANGE);
    ptools_pmap_free(map);
}

static ptools_pmap_progress progress_of(ptools_pmap *map)
{
    ptools_pmap_progress p;

    ck_assert_ptools(ptools_pmap_progress_read(map, &p));
    return p;
}

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
    for (int64_t i = 0; i < 100; i++) {
        ptools_item item = next(map);

        ck_assert_int_eq(number_of(&item), 2001 * i);
    }
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
    ptools_pack_i64(args, c->given++);
    ptools_pack_i64(args, 1);
    return 1;
}

START_TEST(a_source_yields_items_as_they_are_wanted)
{
    struct counted c = { 0, 50000, -1 };
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
    struct counted c = { 0, 100, 40 };
    ptools_pmap *map = NULL;
    ptools_item item;

    up(2);
    ck_assert_ptools(ptools_pmap_start_from(pt, "p.add", give, &c, NULL, &map));
    for (int64_t i = 0; i < 40; i++) {
        item = next(map);
        ck_assert_int_eq(number_of(&item), i + 1);
    }
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
    ptools_pmap *map = NULL;
    ptools_item item;

    up(2);
    ck_assert_ptools(ptools_pmap_start_from(pt, "p.same", give_later, &g, NULL, &map));
    for (int64_t i = 0; i < 30; i++) {
        /* With nothing under way it is told at once, however long one would wait. */
        ck_assert_err(ptools_pmap_next(map, PTOOLS_FOREVER, &item), PTOOLS_ERR_TIMEOUT);
        ck_assert_int_eq(ptools_pmap_due_ms(map), -1);
        g.allowed++;
        item = next(map);
        ck_assert_int_eq(number_of(&item), i);
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
    struct counted c = { 0, 10000000, -1 };
    ptools_pmap *map = NULL;
    int64_t before;

    up(2);
    options.window_bytes = 100000;
    ck_assert_ptools(ptools_pmap_start_from(pt, "p.add", give, &c, &options, &map));
    next_is(map, 0, 1);
    for (int i = 0; i < 1000; i++) { /* what it may take it takes, and no more: outcome 0 was read, and no other is */
        before = c.given;
        server_whole(pt, 2);
    }
    ck_assert_int_eq(c.given, before);
    for (int64_t i = 1; i < 200000; i++) {
        next_is(map, i, i + 1);
        suite_holds(c.given < i + 200000, "at item %" PRId64 " it has taken %" PRId64, i, c.given);
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
    for (int64_t i = 0; i < N; i++)
        ptools_pack_i64(list, i);
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
    PTOOLS_AUTO(ptools_pack) what = ptools_pack_new();
    const ptools_pack *zipped[] = { what, NULL };
    ptools_pmap *map = NULL;

    up(2);
    for (int64_t i = 0; i < 60; i++) {
        ptools_pack_str(what, "bytes");
        ptools_pack_i64(list, i % 3 == 0 ? 300000 + i : i % 3 == 1 ? 65535 - 5 : i);
    }
    zipped[1] = list;
    options.batch_size = _i == 0 ? 1 : 20; /* with 1 each value is the last of its segment */
    ck_assert_ptools(ptools_pmap_start(pt, "p.item", zipped, 2, &options, &map));
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

/* -- every fate ----------------------------------------------------------------------------------------------- */

enum fate { VALUE, FAIL, SEGV, KILL, EXIT, FATES };
static const char *const fate_words[] = { "value", "fail", "raise", "raise", "exit" };

static void add_fate(ptools_pack *what, enum fate fate, int64_t i)
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
    PTOOLS_AUTO(ptools_pack) what = ptools_pack_new();
    const ptools_pack *zipped[] = { what, NULL };
    const int64_t delays[] = { 0 };
    const bool again = k >= SIZES;
    enum fate fates[N];
    ptools_pmap *map = NULL;

    anew();
    for (int64_t i = 0; i < N; i++) {
        fates[i] = i % 12 == 5 ? FAIL : i % 40 == 17 ? SEGV : i % 60 == 31 ? KILL : i % 80 == 79 ? EXIT : VALUE;
        add_fate(what, fates[i], i);
    }
    zipped[1] = list;
    options.batch_size = sizes[k % SIZES];
    if (again) {
        options.retry_delays_ms = delays;
        options.n_retry_delays = 1;
    }
    ck_assert_ptools(ptools_pmap_start(pt, "p.item", zipped, 2, &options, &map));
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
    char dir[64], path[96];
    PTOOLS_AUTO(ptools_pack) what = ptools_pack_new();
    const ptools_pack *zipped[] = { NULL, what };
    const int64_t delays[] = { 0, 20 };
    ptools_pmap_progress p;
    ptools_pmap *map = NULL;

    up(2);
    temp_dir(dir, sizeof dir);
    for (int i = 0; i < 40; i++) {
        snprintf(path, sizeof path, "%s/%d", dir, i);
        ptools_pack_str(list, path);
        ptools_pack_str(what, i % 4 == 2 ? firsts[_i] : "no");
    }
    zipped[0] = list;
    options.retry_delays_ms = delays;
    options.n_retry_delays = 2;
    ck_assert_ptools(ptools_pmap_start(pt, "p.first", zipped, 2, &options, &map));
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
    PTOOLS_AUTO(ptools_pack) what = ptools_pack_new();
    const ptools_pack *zipped[] = { what, NULL };
    const int64_t delays[] = { 0, 0, 0 };
    ptools_pmap *map = NULL;
    int asked = 0;

    up(2);
    for (int64_t i = 0; i < 20; i++)
        add_fate(what, FAIL, i);
    zipped[1] = list;
    options.retry_delays_ms = delays;
    options.n_retry_delays = 3;
    options.retry_check = only_even;
    options.arg = &asked;
    options.batch_size = 5;
    ck_assert_ptools(ptools_pmap_start(pt, "p.item", zipped, 2, &options, &map));
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
    PTOOLS_AUTO(ptools_pack) what = ptools_pack_new();
    const ptools_pack *zipped[] = { what, NULL };
    unsigned failed = 0, not_run = 0;
    ptools_pmap *map = NULL;

    up(2);
    for (int64_t i = 0; i < N; i++)
        add_fate(what, i == 100 ? FAIL : VALUE, i);
    zipped[1] = list;
    options.on_error = PTOOLS_ON_ERROR_STOP;
    options.batch_size = 10;
    ck_assert_ptools(ptools_pmap_start(pt, "p.item", zipped, 2, &options, &map));
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
    server_whole(pt, 2);
    down();
}
END_TEST

START_TEST(a_default_takes_the_place_of_what_failed)
{
    PTOOLS_AUTO(ptools_pack) what = ptools_pack_new();
    PTOOLS_AUTO(ptools_pack) nothing = ptools_pack_new();
    const ptools_pack *zipped[] = { what, NULL };
    ptools_pmap *map = NULL;

    up(2);
    for (int64_t i = 0; i < 30; i++)
        add_fate(what, i % 10 == 3 ? FAIL : i % 10 == 7 ? KILL : VALUE, i);
    zipped[1] = list;
    options.on_error = PTOOLS_ON_ERROR_DEFAULT;
    ck_assert_err(ptools_pmap_start(pt, "p.item", zipped, 2, &options, &map), PTOOLS_ERR_INVALID);
    ptools_pack_i64(nothing, -1);
    options.default_value = nothing;
    ck_assert_ptools(ptools_pmap_start(pt, "p.item", zipped, 2, &options, &map));
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
    PTOOLS_AUTO(ptools_pack) what = ptools_pack_new();
    const ptools_pack *zipped[] = { what, NULL };
    ptools_pmap *map = NULL;

    up(2);
    for (int64_t i = 0; i < 60; i++) {
        ptools_pack_str(what, i == 11 || i == 40 ? "hang" : "value");
        ptools_pack_i64(list, i);
    }
    zipped[1] = list;
    options.item_timeout_ms = 100;
    options.batch_size = _i;
    ck_assert_ptools(ptools_pmap_start(pt, "p.item", zipped, 2, &options, &map));
    for (int64_t i = 0; i < 60; i++) {
        ptools_item item = next(map);

        if (i != 11 && i != 40) {
            ck_assert_int_eq(number_of(&item), i);
            continue;
        }
        ck_assert_err(item.err, PTOOLS_ERR_DEADLINE);
        ck_assert_ptr_nonnull(strstr(item.failure->message, "an item of p.item ran for more than 100 ms"));
        ck_assert_str_eq(item.failure->phase, "hanging");
    }
    ends(map);
    server_whole(pt, 2);
    down();
}
END_TEST

START_TEST(all_of_it_may_have_a_time)
{
    PTOOLS_AUTO(ptools_pack) what = ptools_pack_new();
    const ptools_pack *zipped[] = { what, NULL };
    unsigned values = 0, cancelled = 0, not_run = 0;
    ptools_pmap *map = NULL;

    up(2);
    for (int64_t i = 0; i < 100; i++) {
        ptools_pack_str(what, i == 4 || i == 5 ? "hang" : "value");
        ptools_pack_i64(list, i);
    }
    zipped[1] = list;
    options.timeout_ms = 300;
    options.batch_size = 1;
    ck_assert_ptools(ptools_pmap_start(pt, "p.item", zipped, 2, &options, &map));
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
    server_whole(pt, 2);
    down();
}
END_TEST

START_TEST(it_can_be_cancelled_and_given_up)
{
    struct counted c = { 0, INT64_MAX, -1 };
    ptools_pmap *map = NULL;
    ptools_item item;
    ptools_err err;
    uint64_t n = 5000;

    up(2);
    ck_assert_ptools(ptools_pmap_start_from(pt, "p.add", give, &c, NULL, &map));
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
    ck_assert_uint_eq(n, (uint64_t)c.given);
    ptools_pmap_free(map);

    ck_assert_ptools(ptools_pmap_start_from(pt, "p.add", give, &c, NULL, &map));
    item = next(map);
    ptools_pmap_free(map); /* in the middle */
    server_whole(pt, 2);

    ck_assert_ptools(ptools_pmap_start_from(pt, "p.add", give, &c, NULL, &map));
    item = next(map);
    pt = ptools_close(pt);
    ck_assert_err(ptools_pmap_next(map, 0, &item), PTOOLS_ERR_CLOSED);
    ptools_pmap_free(map);
    pt = server_open(&server);
    server_whole(pt, 2);
    down();
}
END_TEST

/* -- what goes before the items --------------------------------------------------------------------------------- */

START_TEST(what_is_captured_goes_before_each_item)
{
    PTOOLS_AUTO(ptools_pack) captured = ptools_pack_new();
    ptools_pmap *map;

    up(2);
    for (int64_t i = 0; i < 3000; i++)
        ptools_pack_i64(list, i);
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
    for (int64_t i = 0; i < 500; i++)
        ptools_pack_i64(list, i);
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
    for (int64_t i = 0; i < 50; i++)
        ptools_pack_i64(list, i);
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
    for (int64_t i = 0; i < 20; i++)
        ptools_pack_i64(list, i);
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

static ptools_array *array_of(const char *name, uint64_t n)
{
    const ptools_shmcfg cfg = { name, PTOOLS_INT64, 1, { n }, PTOOLS_ROW_MAJOR };
    ptools_array *a = NULL;
    ptools_err err = ptools_shm_create(pt, &cfg, NULL, &a);

    ck_assert_msg(err == PTOOLS_OK, "%s", ptools_error_message(pt));
    return a;
}

START_TEST(ranges_of_arrays_cover_them_once)
{
    static const uint64_t lengths[] = { 1, 2, 7, 1000, 3000000 };
    const uint64_t n = lengths[_i];
    const ptools_array *arrays[2];
    ptools_array *from, *to;
    int64_t *in, *out;

    up(2);
    from = array_of("from", n);
    to = array_of("to", n);
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
    from = array_of("from", 100000);
    other = array_of("other", 99999);
    arrays[0] = from;
    arrays[1] = other;
    in = ptools_array_data(from);
    in[70000] = -1;
    ck_assert_err(ptools_pmap_array(pt, "p.shift", arrays, 1, NULL), PTOOLS_ERR_PARTS);
    ck_assert_ptr_nonnull(strstr(ptools_error_message(pt), "1 of "));
    ck_assert_ptr_nonnull(strstr(ptools_error_message(pt), "FAILED: element 70000 is negative"));
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
    struct counted a = { 0, INT64_MAX, -1 }, b = { 0, INT64_MAX, -1 };
    ptools_pmap *one = NULL, *two = NULL;

    up(2);
    ck_assert_ptools(ptools_pmap_start_from(pt, "p.add", give, &a, NULL, &one));
    ck_assert_ptools(ptools_pmap_start_from(pt, "p.add", give, &b, NULL, &two));
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

START_TEST(a_function_that_is_not_there_is_told_of_each_item)
{
    ptools_pmap *map;

    up(1);
    for (int64_t i = 0; i < 30; i++)
        ptools_pack_i64(list, i);
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
    PTOOLS_AUTO(ptools_pack) what = ptools_pack_new();
    const ptools_pack *zipped[] = { what, NULL };
    unsigned lost = 0, not_run = 0, values = 0;
    ptools_pmap *map = NULL;
    ptools_item item;
    ptools_err err;

    up(2);
    for (int64_t i = 0; i < 100; i++) {
        ptools_pack_str(what, i < 10 ? "value" : "hang");
        ptools_pack_i64(list, i);
    }
    zipped[1] = list;
    options.batch_size = 5;
    ck_assert_ptools(ptools_pmap_start(pt, "p.item", zipped, 2, &options, &map));
    for (int i = 0; i < 10; i++) {
        item = next(map);
        ck_assert_int_eq(number_of(&item), i);
    }
    ck_assert_int_eq(kill(server.pid, SIGKILL), 0);
    ck_assert_int_eq(server_end(&server), -SIGKILL);
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
    list = ptools_pack_free(list);
    pt = ptools_close(pt);
    temp_remove(server.dir);
    unlink(server.log);
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
    options.item_timeout_ms = -1;
    ck_assert_err(ptools_pmap_start(pt, "p.same", lists, 1, &options, &map), PTOOLS_ERR_INVALID);
    options.item_timeout_ms = 0;
    options.n_retry_delays = 1;
    ck_assert_err(ptools_pmap_start(pt, "p.same", lists, 1, &options, &map), PTOOLS_ERR_INVALID);
    options.retry_delays_ms = &delay;
    options.n_retry_delays = SIZE_MAX;
    ck_assert_err(ptools_pmap_start(pt, "p.same", lists, 1, &options, &map), PTOOLS_ERR_INVALID);
    ck_assert_str_eq(ptools_error_message(pt),
                     "pmap options: n_retry_delays is 18446744073709551615: at most 1000000");
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
    tcase_add_test(tc, each_item_has_its_own_fate_in_batches_of_every_size);
    tcase_add_loop_test(tc, what_fails_is_tried_again, 0, 2);
    tcase_add_test(tc, whether_it_is_tried_again_can_be_asked);
    tcase_add_test(tc, the_first_failure_may_end_it_all);
    tcase_add_test(tc, a_default_takes_the_place_of_what_failed);
    tcase_add_loop_test(tc, an_item_that_takes_too_long_is_stopped_alone, 0, 2);
    tcase_add_test(tc, all_of_it_may_have_a_time);
    tcase_add_test(tc, it_can_be_cancelled_and_given_up);
    tcase_add_test(tc, what_is_captured_goes_before_each_item);
    tcase_add_test(tc, init_runs_once_in_each_worker);
    tcase_add_test(tc, an_init_that_fails_fails_each_item);
    tcase_add_test(tc, an_item_finds_its_worker_in_order);
    tcase_add_loop_test(tc, ranges_of_arrays_cover_them_once, 0, 5);
    tcase_add_test(tc, a_range_that_fails_is_told);
    tcase_add_test(tc, two_maps_and_a_call_share_the_workers);
    tcase_add_test(tc, a_function_that_is_not_there_is_told_of_each_item);
    tcase_add_test(tc, a_daemon_that_dies_takes_no_outcome_with_it);
    tcase_add_test(tc, wrong_options_are_told);
    return suite_run(suite);
}
