/* SPDX-License-Identifier: MIT */
/*
 * pmap against a daemon that gives batches back, lets workers die and items fail, and says what no daemon says; and
 * with the 1st, 2nd, 3rd ... request for memory failing: each item has one outcome all the same, in order, and there is
 * nothing left.
 */
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "client/lib/handle.h"
#include "client/lib/pmap.h"
#include "tests/support/scarce.h"
#include "tests/support/suite.h"
#include "tests/unit/lib/fake.h"

enum { N = 60, HANDED_BACK = 6, DIES_ONCE = 11, FAILS_EVERY = 5, NTH_MAX = 2000, WAIT_MS = 20000 };

static struct fake fake;
static ptools *pt;
static ptools_pack *items;

/* -- the daemon ------------------------------------------------------------------------------------------------- */

/* The number that each list of the payload begins with. */
static uint32_t numbers_of(struct span payload, uint64_t *ret, uint32_t max)
{
    msgpack_object list[FLAT_MAX];
    uint32_t n = 0, count;
    size_t bytes;

    while (payload.n > 0 && n < max && flat_list_read(payload.data, payload.n, list, &count, &bytes)) {
        ret[n++] = list[0].via.u64;
        payload.data += bytes;
        payload.n -= bytes;
    }
    return n;
}

static bool fails(uint64_t number)
{
    return number % FAILS_EVERY == 3;
}

static void serve_batch(struct fake *f, const struct msg_request *r, bool *dies)
{
    uint64_t numbers[N];
    uint32_t n = numbers_of(fake_payload(f), numbers, N), failed = 0, i;
    ptools_pack *records = ptools_pack_new();
    struct msg_answer answer = { .id = r->id, .reply = { .task = 1, .worker = 1, .attempt = 1, .run_us = 1000 } };

    FAKE_CHECK(n == r->call.items);
    for (i = 0; i < n && i < HANDED_BACK; i++) {
        if (numbers[i] == DIES_ONCE && *dies) {
            *dies = false;
            answer.failed = true;
            answer.failure = (struct msg_failure){
                .code = PTOOLS_ERR_WORKER_DIED, .maybe_executed = true, .items = i, .signal = 9, .exit_status = -1
            };
            break;
        }
        ptools_pack_list(records, fails(numbers[i]) ? 4 : 1);
        if (!fails(numbers[i])) {
            ptools_pack_list(records, 1); /* a tree, so that memory is needed to read it */
            ptools_pack_u64(records, numbers[i]);
            continue;
        }
        failed++;
        ptools_pack_i64(records, PTOOLS_ERR_FAILED);
        ptools_pack_str(records, "no good");
        ptools_pack_str(records, "");
        ptools_pack_str(records, "");
    }
    if (!answer.failed) {
        answer.reply.items = i;
        answer.reply.items_failed = failed;
    }
    fake_reply_records(f, &answer, records);
    ptools_pack_free(records);
}

/* One connection after the other, until the parent says that it was the last. */
static void serve(struct fake *f)
{
    struct msg_request r;

    for (;;) {
        struct pollfd p[2] = { { .fd = f->listener, .events = POLLIN }, { .fd = f->gate[0], .events = POLLIN } };
        bool dies = true;

        poll(p, 2, -1);
        if (p[1].revents)
            return;
        if (!fake_accept_hello(f))
            continue;
        while (fake_next(f, &r))
            if (r.kind == MSG_CALL)
                serve_batch(f, &r, &dies);
    }
}

/* -- the client ------------------------------------------------------------------------------------------------- */

static void setup(void)
{
    fake_begin(&fake);
    fake_run(&fake, serve);
    items = ptools_pack_new();
    for (uint64_t i = 0; i < N; i++)
        ptools_pack_u64(items, i);
}

static void teardown(void)
{
    items = ptools_pack_free(items);
    fake_open_gate(&fake);
    fake_end(&fake);
}

static ptools_err start(ptools_pmap **ret)
{
    static const int64_t delays[] = { 0 };
    const ptools_pack *const lists[] = { items };
    ptools_pmap_options options = PTOOLS_PMAP_OPTIONS_INIT;

    options.retry_delays_ms = delays;
    options.n_retry_delays = 1;
    options.batch_size = 9;
    return ptools_pmap_start(pt, "t.f", lists, 1, &options, ret);
}

static void check_item(const ptools_item *item, uint64_t index, bool scarce)
{
    ptools_value v;
    uint64_t n = 0;

    ck_assert_uint_eq(item->index, index);
    if (scarce && item->err == PTOOLS_ERR_NO_MEMORY) {
        ck_assert_ptr_nonnull(item->failure);
    } else if (fails(index)) {
        ck_assert_int_eq(item->err, PTOOLS_ERR_FAILED);
        ck_assert(item->attempts == 2 || scarce);
    } else {
        ck_assert_msg(item->err == PTOOLS_OK, "item %u: %s", (unsigned)index, ptools_errname(item->err));
        ck_assert_int_eq(ptools_get_item(item->value, 0, &v), PTOOLS_OK);
        ck_assert_int_eq(ptools_get_u64(v, &n), PTOOLS_OK);
        ck_assert_uint_eq(n, index);
        ck_assert(item->attempts == (index == DIES_ONCE ? 2 : 1) || (scarce && item->attempts <= 2));
    }
}

START_TEST(what_comes_back_is_put_together)
{
    ptools_pmap *map = NULL;
    ptools_item item;

    pt = fake_open(&fake, _i);
    ck_assert_int_eq(start(&map), PTOOLS_OK);
    for (uint64_t i = 0; i < N; i++) {
        ck_assert_int_eq(ptools_pmap_next(map, WAIT_MS, &item), PTOOLS_OK);
        check_item(&item, i, false);
    }
    ck_assert_int_eq(ptools_pmap_next(map, WAIT_MS, &item), PTOOLS_ERR_RANGE);
    ptools_pmap_free(map);
    pt = ptools_close(pt);
}
END_TEST

/* False: it needs fewer. */
static bool try_without(uint64_t nth)
{
    ptools_pmap *map = NULL;
    unsigned given_up = 0;
    ptools_item item;
    ptools_err err;
    bool failed;

    pt = fake_open(&fake, VIA_UNIX);
    scarce_count = 0;
    scarce_fails = nth;
    scarce_armed = true;
    err = start(&map);
    scarce_armed = false;
    if (err != PTOOLS_OK) {
        ck_assert_int_eq(err, PTOOLS_ERR_NO_MEMORY);
        ck_assert_ptr_null(map);
        ck_assert_int_eq(start(&map), PTOOLS_OK);
    }
    for (uint64_t i = 0; i < N;) {
        scarce_armed = true;
        err = ptools_pmap_next(map, WAIT_MS, &item);
        scarce_armed = false;
        if (err == PTOOLS_OK) {
            check_item(&item, i++, true);
            continue;
        }
        ck_assert_msg(err == PTOOLS_ERR_NO_MEMORY && ++given_up == 1, "request %u for memory: %s: %s", (unsigned)nth,
                      ptools_errname(err), ptools_error_message(pt));
    }
    failed = scarce_count >= nth;
    ck_assert_int_eq(ptools_pmap_next(map, WAIT_MS, &item), PTOOLS_ERR_RANGE);
    ck_assert_uint_eq(map->held_bytes, 0);
    ptools_pmap_free(map);
    ck_assert(LIST_EMPTY(&pt->maps) && LIST_EMPTY(&pt->futures));
    pt = ptools_close(pt);
    return failed;
}

START_TEST(without_memory_each_item_has_an_outcome)
{
    uint64_t nth = 1;

    while (nth < NTH_MAX && try_without(nth))
        nth++;
    ck_assert_uint_gt(nth, 30);
    ck_assert_uint_lt(nth, NTH_MAX);
}
END_TEST

/* Each item has one outcome, too, when a stop finds no memory. False: it needs less. */
static bool try_stop_without(uint64_t nth)
{
    ptools_pmap *map = NULL;
    ptools_item item;
    ptools_err err;
    bool failed;

    pt = fake_open(&fake, VIA_UNIX);
    ck_assert_int_eq(start(&map), PTOOLS_OK);
    for (uint64_t i = 0; i < 5; i++)
        ck_assert_int_eq(ptools_pmap_next(map, WAIT_MS, &item), PTOOLS_OK);
    scarce_count = 0;
    scarce_fails = nth;
    scarce_armed = true;
    err = ptools_pmap_cancel(map);
    scarce_armed = false;
    failed = scarce_count >= nth;
    ck_assert(err == PTOOLS_OK || (failed && err == PTOOLS_ERR_NO_MEMORY));
    for (uint64_t i = 5; i < N; i++) {
        ck_assert_int_eq(ptools_pmap_next(map, WAIT_MS, &item), PTOOLS_OK);
        ck_assert_uint_eq(item.index, i);
    }
    ck_assert_int_eq(ptools_pmap_next(map, WAIT_MS, &item), PTOOLS_ERR_RANGE);
    ck_assert_uint_eq(map->held_bytes, 0);
    ptools_pmap_free(map);
    pt = ptools_close(pt);
    return failed;
}

START_TEST(a_stop_without_memory_loses_nothing)
{
    uint64_t nth = 1;

    while (nth < NTH_MAX && try_stop_without(nth))
        nth++;
    ck_assert_uint_gt(nth, 1);
    ck_assert_uint_lt(nth, NTH_MAX);
}
END_TEST

/* -- a daemon that is none --------------------------------------------------------------------------------------- */

enum nonsense { NOTHING_DONE, RECORD_IS_NO_LIST, RECORD_CUT_SHORT, OTHER_ITEMS, NONSENSES };

static void serve_nonsense(struct fake *f)
{
    struct msg_request r;

    while (fake_accept_hello(f)) {
        for (unsigned turn = 0; fake_next(f, &r); turn++) {
            ptools_pack *records = ptools_pack_new();
            struct msg_answer answer = { .id = r.id, .reply = { .task = 1, .worker = 1, .items = r.call.items } };

            if (r.kind != MSG_CALL)
                continue;
            answer.reply.items_failed = 1; /* so that they are looked at */
            switch ((enum nonsense)(turn % NONSENSES)) {
            case NOTHING_DONE:
                answer.reply.items = 0;
                break;
            case RECORD_IS_NO_LIST:
                ptools_pack_u64(records, 7);
                break;
            case RECORD_CUT_SHORT:
                ptools_pack_list(records, 0);
                break;
            case OTHER_ITEMS:
            case NONSENSES:
                answer.reply.items = BATCH_ITEMS_MAX;
                break;
            }
            fake_reply_records(f, &answer, records);
            ptools_pack_free(records);
        }
        fake_close(f);
        return;
    }
}

START_TEST(nonsense_is_an_outcome_too)
{
    ptools_pmap_options options = PTOOLS_PMAP_OPTIONS_INIT;
    const ptools_pack *lists[1];
    ptools_pmap *map = NULL;
    ptools_item item;

    fake_begin(&fake);
    fake_run(&fake, serve_nonsense);
    items = ptools_pack_new();
    for (uint64_t i = 0; i < N; i++)
        ptools_pack_u64(items, i);
    lists[0] = items;
    pt = fake_open(&fake, VIA_UNIX);
    options.batch_size = 4;
    ck_assert_int_eq(ptools_pmap_start(pt, "t.f", lists, 1, &options, &map), PTOOLS_OK);
    for (uint64_t i = 0; i < N; i++) {
        ck_assert_int_eq(ptools_pmap_next(map, WAIT_MS, &item), PTOOLS_OK);
        ck_assert_uint_eq(item.index, i);
        ck_assert_int_eq(item.err, PTOOLS_ERR_PROTOCOL);
    }
    ck_assert_int_eq(ptools_pmap_next(map, WAIT_MS, &item), PTOOLS_ERR_RANGE);
    ptools_pmap_free(map);
    pt = ptools_close(pt);
    items = ptools_pack_free(items);
    fake_end(&fake);
}
END_TEST

/* -- batches that nobody begins ------------------------------------------------------------------------------------ */

/* Its workers die before they begin anything. */
static void serve_in_vain(struct fake *f)
{
    struct msg_request r;

    FAKE_CHECK(fake_accept_hello(f));
    while (fake_next(f, &r)) {
        const struct msg_answer answer = { .failed = true,
                                           .id = r.id,
                                           .failure = { .code = PTOOLS_ERR_WORKER_DIED, .exit_status = -1 } };

        if (r.kind == MSG_CALL)
            fake_reply(f, &answer, NULL);
    }
}

/* It hangs up when a batch begins to come, again and again. */
static void serve_nobody(struct fake *f)
{
    uint8_t byte;

    for (;;) {
        struct pollfd p[2] = { { .fd = f->listener, .events = POLLIN }, { .fd = f->gate[0], .events = POLLIN } };

        poll(p, 2, -1);
        if (p[1].revents)
            return;
        if (fake_accept_hello(f)) {
            FAKE_CHECK(read(f->fd, &byte, 1) == 1);
            fake_close(f);
        }
    }
}

static fake_script *const vain[] = { serve_in_vain, serve_nobody };

START_TEST(what_is_begun_by_nobody_is_not_sent_for_ever)
{
    const ptools_err codes[] = { PTOOLS_ERR_WORKER_DIED, PTOOLS_ERR_LOST };
    ptools_pmap_options options = PTOOLS_PMAP_OPTIONS_INIT;
    PTOOLS_AUTO(ptools_pack) large = ptools_pack_new();
    const ptools_pack *lists[] = { large };
    enum { MANY = 200, BYTES = 100000 };
    static char zeros[BYTES];
    ptools_pmap *map = NULL;
    ptools_item item;

    fake_begin(&fake);
    fake_run(&fake, vain[_i]);
    for (uint64_t i = 0; i < MANY; i++)
        ptools_pack_bytes(large, zeros, BYTES); /* more than a socket takes before somebody reads */
    pt = fake_open(&fake, VIA_UNIX);
    options.batch_size = MANY;
    ck_assert_int_eq(ptools_pmap_start(pt, "t.f", lists, 1, &options, &map), PTOOLS_OK);
    for (uint64_t i = 0; i < MANY; i++) {
        ck_assert_int_eq(ptools_pmap_next(map, WAIT_MS, &item), PTOOLS_OK);
        ck_assert_uint_eq(item.index, i);
        ck_assert_int_eq(item.err, codes[_i]);
        ck_assert_uint_eq(item.attempts, 0);
        ck_assert(!item.failure->maybe_executed);
    }
    ck_assert_int_eq(ptools_pmap_next(map, WAIT_MS, &item), PTOOLS_ERR_RANGE);
    ptools_pmap_free(map);
    pt = ptools_close(pt);
    fake_open_gate(&fake);
    fake_end(&fake);
}
END_TEST

/* -- a daemon that reads nothing any more -------------------------------------------------------------------------- */

enum { LARGE = 2 << 20, LARGES = 24, ROUND_TRIP_MS = 500 };

static void begin_large(void)
{
    ptools_options options = PTOOLS_OPTIONS_INIT;
    static char zeros[LARGE];

    fake_begin(&fake);
    fake_run(&fake, fake_serve_deaf);
    items = ptools_pack_new();
    for (int i = 0; i < LARGES; i++)
        ptools_pack_bytes(items, zeros, LARGE);
    options.address = fake_address(&fake, VIA_UNIX);
    options.connect_timeout_ms = ROUND_TRIP_MS;
    ck_assert_int_eq(ptools_open(&options, &pt, NULL), PTOOLS_OK);
}

START_TEST(one_that_reads_nothing_is_waited_for_once)
{
    ptools_pmap_options options = PTOOLS_PMAP_OPTIONS_INIT;
    ptools_pmap *map = NULL;
    ptools_item item;
    uint64_t before_us;

    begin_large();
    options.batch_size = 1;
    ck_assert_int_eq(ptools_pmap_start(pt, "t.f", (const ptools_pack *const[]){ items }, 1, &options, &map), PTOOLS_OK);
    ck_assert_int_eq(ptools_pmap_next(map, WAIT_MS, &item), PTOOLS_OK);
    ck_assert_int_eq(ptools_pmap_next(map, 10, &item), PTOOLS_ERR_TIMEOUT);
    ck_assert_uint_ge(map->in_flight, 7);
    before_us = clock_now_us();
    if (_i == 0)
        ck_assert_int_eq(ptools_pmap_cancel(map), PTOOLS_OK);
    else
        map = ptools_pmap_free(map);
    ck_assert_uint_lt(clock_now_us() - before_us, 4 * ROUND_TRIP_MS * 1000);
    fake_open_gate(&fake);
    ptools_pmap_free(map);
    pt = ptools_close(pt);
    items = ptools_pack_free(items);
    fake_end(&fake);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("lib/pmap");
    TCase *tc = suite_case(suite, "pmap");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, what_comes_back_is_put_together, 0, VIAS);
    tcase_add_test(tc, without_memory_each_item_has_an_outcome);
    tcase_add_test(tc, a_stop_without_memory_loses_nothing);
    tc = suite_case(suite, "nonsense");
    tcase_add_test(tc, nonsense_is_an_outcome_too);
    tcase_add_loop_test(tc, what_is_begun_by_nobody_is_not_sent_for_ever, 0, 2);
    tc = suite_case(suite, "deaf");
    tcase_add_loop_test(tc, one_that_reads_nothing_is_waited_for_once, 0, 2);
    return suite_run(suite);
}
