/* SPDX-License-Identifier: MIT */
/*
 * pmap against a daemon that gives batches back, lets workers die and items fail, and says what no daemon says; and
 * with the 1st, 2nd, 3rd ... request for memory failing: each item has one outcome all the same, in order, and there is
 * nothing left.
 */
#include <unistd.h>

#include "client/lib/pmap.h"
#include "tests/support/scarce.h"
#include "tests/support/suite.h"
#include "tests/unit/lib/fake_batch.h"

enum { N = 60, HANDED_BACK = 6, DIES_ONCE = 11, NTH_MAX = 2000 };

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

static void answer(struct fake *f, struct fake_batch *b)
{
    static unsigned died_for; /* the connection: once for each */
    uint64_t numbers[N];
    uint32_t n = numbers_of(fake_payload(f), numbers, N), failed = 0, i;

    FAKE_CHECK(n == b->request->call.items);
    b->answer.reply.run_us = 1000;
    for (i = 0; i < n && i < HANDED_BACK; i++) {
        if (numbers[i] == DIES_ONCE && died_for != f->connections) {
            died_for = f->connections;
            fake_batch_dies(b, i);
            return;
        }
        if (fake_number_fails(numbers[i])) {
            failed++;
            fake_pack_failure(b->records, PTOOLS_ERR_FAILED, "no good");
            continue;
        }
        ptools_pack_list(b->records, 1);
        ptools_pack_list(b->records, 1); /* a tree, so that memory is needed to read it */
        ptools_pack_u64(b->records, numbers[i]);
    }
    b->answer.reply.items = i;
    b->answer.reply.items_failed = failed;
}

static void serve(struct fake *f)
{
    fake_serve_batches_for_ever(f, answer);
}

/* -- the client ------------------------------------------------------------------------------------------------- */

static void setup(void)
{
    batch_setup(serve, N);
}

static ptools_err start(ptools_pmap **ret)
{
    static const int64_t delays[] = { 0 };
    ptools_pmap_options options = PTOOLS_PMAP_OPTIONS_INIT;

    options.retry_delays_ms = delays;
    options.n_retry_delays = 1;
    options.batch_size = 9;
    return batch_start(&options, ret);
}

static void check_item(const ptools_item *item, uint64_t index, bool scarce)
{
    ptools_value v;
    uint64_t n = 0;

    ck_assert_uint_eq(item->index, index);
    if (scarce && item->err == PTOOLS_ERR_NO_MEMORY) {
        ck_assert_ptr_nonnull(item->failure);
    } else if (fake_number_fails(index)) {
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
        item = batch_next(map, i);
        check_item(&item, i, false);
    }
    batch_ends(map);
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
    scarce_from_now(nth);
    err = start(&map);
    scarce_armed = false;
    if (err != PTOOLS_OK) {
        ck_assert_int_eq(err, PTOOLS_ERR_NO_MEMORY);
        ck_assert_ptr_null(map);
        ck_assert_int_eq(start(&map), PTOOLS_OK);
    }
    for (uint64_t i = 0; i < N;) {
        scarce_armed = true;
        err = ptools_pmap_next(map, BATCH_WAIT_MS, &item);
        scarce_armed = false;
        if (err == PTOOLS_OK) {
            check_item(&item, i++, true);
            continue;
        }
        ck_assert_msg(err == PTOOLS_ERR_NO_MEMORY && ++given_up == 1, "request %u for memory: %s: %s", (unsigned)nth,
                      ptools_errname(err), ptools_error_message(pt));
    }
    failed = scarce_count >= nth;
    batch_ends(map);
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
    ptools_err err;
    bool failed;

    pt = fake_open(&fake, VIA_UNIX);
    ck_assert_int_eq(start(&map), PTOOLS_OK);
    for (uint64_t i = 0; i < 5; i++)
        batch_next(map, i);
    scarce_from_now(nth);
    err = ptools_pmap_cancel(map);
    scarce_armed = false;
    failed = scarce_count >= nth;
    ck_assert(err == PTOOLS_OK || (failed && err == PTOOLS_ERR_NO_MEMORY));
    for (uint64_t i = 5; i < N; i++)
        batch_next(map, i);
    batch_ends(map);
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

static void answer_nonsense(struct fake *f, struct fake_batch *b)
{
    (void)f;
    b->answer.reply.items = b->request->call.items;
    b->answer.reply.items_failed = 1; /* so that they are looked at */
    switch ((enum nonsense)(b->turn % NONSENSES)) {
    case NOTHING_DONE:
        b->answer.reply.items = 0;
        break;
    case RECORD_IS_NO_LIST:
        ptools_pack_u64(b->records, 7);
        break;
    case RECORD_CUT_SHORT:
        ptools_pack_list(b->records, 0);
        break;
    case OTHER_ITEMS:
    case NONSENSES:
        b->answer.reply.items = BATCH_ITEMS_MAX;
        break;
    }
}

static void serve_nonsense(struct fake *f)
{
    fake_serve_batches(f, answer_nonsense);
}

START_TEST(nonsense_is_an_outcome_too)
{
    ptools_pmap_options options = PTOOLS_PMAP_OPTIONS_INIT;
    ptools_pmap *map = NULL;

    batch_setup(serve_nonsense, N);
    pt = fake_open(&fake, VIA_UNIX);
    options.batch_size = 4;
    ck_assert_int_eq(batch_start(&options, &map), PTOOLS_OK);
    for (uint64_t i = 0; i < N; i++)
        ck_assert_int_eq(batch_next(map, i).err, PTOOLS_ERR_PROTOCOL);
    batch_ends(map);
    batch_teardown();
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

    while (fake_somebody_comes(f))
        if (fake_accept_hello(f)) {
            FAKE_CHECK(read(f->fd, &byte, 1) == 1);
            fake_close(f);
        }
}

static fake_script *const vain[] = { serve_in_vain, serve_nobody };

START_TEST(what_is_begun_by_nobody_is_not_sent_for_ever)
{
    const ptools_err codes[] = { PTOOLS_ERR_WORKER_DIED, PTOOLS_ERR_LOST };
    ptools_pmap_options options = PTOOLS_PMAP_OPTIONS_INIT;
    enum { MANY = 200, BYTES = 100000 };
    static char zeros[BYTES];
    ptools_pmap *map = NULL;

    batch_setup(vain[_i], 0);
    for (uint64_t i = 0; i < MANY; i++)
        ptools_pack_bytes(items, zeros, BYTES); /* more than a socket takes before somebody reads */
    pt = fake_open(&fake, VIA_UNIX);
    options.batch_size = MANY;
    ck_assert_int_eq(batch_start(&options, &map), PTOOLS_OK);
    for (uint64_t i = 0; i < MANY; i++) {
        const ptools_item item = batch_next(map, i);

        ck_assert_int_eq(item.err, codes[_i]);
        ck_assert_uint_eq(item.attempts, 0);
        ck_assert(!item.failure->maybe_executed);
    }
    batch_ends(map);
    batch_teardown();
}
END_TEST

/* -- a daemon that reads nothing any more -------------------------------------------------------------------------- */

START_TEST(one_that_reads_nothing_is_waited_for_once)
{
    ptools_pmap_options options = PTOOLS_PMAP_OPTIONS_INIT;
    ptools_pmap *map = NULL;
    ptools_item item;
    uint64_t before_us;

    batch_setup_deaf();
    options.batch_size = 1;
    ck_assert_int_eq(ptools_pmap_start(pt, "t.f", (const ptools_pack *const[]){ items }, 1, &options, &map), PTOOLS_OK);
    ck_assert_int_eq(ptools_pmap_next(map, BATCH_WAIT_MS, &item), PTOOLS_OK);
    ck_assert_int_eq(ptools_pmap_next(map, 10, &item), PTOOLS_ERR_TIMEOUT);
    ck_assert_uint_ge(map->in_flight, 7);
    before_us = clock_now_us();
    if (_i == 0)
        ck_assert_int_eq(ptools_pmap_cancel(map), PTOOLS_OK);
    else
        map = ptools_pmap_free(map);
    ck_assert_uint_lt(clock_now_us() - before_us, 4 * BATCH_ROUND_TRIP_MS * 1000);
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

    tcase_add_checked_fixture(tc, setup, batch_teardown);
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
