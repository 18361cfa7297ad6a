/* SPDX-License-Identifier: MIT */
/*
 * Reductions against a daemon that gives batches back, lets workers die and items fail, and says what no daemon says;
 * and with the 1st, 2nd, 3rd ... request for memory failing: the value is that of the items that did not fail, or there
 * is none; and there is nothing left.
 */
#include <string.h>

#include "client/lib/handle.h"
#include "client/lib/pmap.h"
#include "tests/support/scarce.h"
#include "tests/support/suite.h"
#include "tests/unit/lib/fake_batch.h"

enum { N = 60, HANDED_BACK = 6, DIES_ONCE = 11, NTH_MAX = 3000 };

/* -- the daemon ------------------------------------------------------------------------------------------------- */

static void pack_value(ptools_pack *records, uint64_t value)
{
    ptools_pack_list(records, 1);
    ptools_pack_u64(records, value);
}

/* The function returns its argument, the operator adds: what the items come to, as far as this worker gets. One does
 * all of its batch, and dies before the value has left it. */
static void answer(struct fake *f, struct fake_batch *b)
{
    static unsigned died_for, lost_for; /* the connection: once for each */
    const struct msg_call *call = &b->request->call;
    struct span payload = fake_payload(f);
    uint32_t i, folded = 0, failed = 0;
    uint64_t sum = 0;
    bool dies = false;

    FAKE_CHECK(call->reduce.n == 5 && memcmp(call->reduce.data, "t.add", 5) == 0);
    FAKE_CHECK(call->values <= call->items);
    b->answer.reply.run_us = 1000;
    for (i = 0; i < call->items && i < HANDED_BACK && failed == 0; i++) {
        msgpack_object list[FLAT_MAX];
        uint32_t count = 0;
        size_t bytes = 0;

        FAKE_CHECK(flat_list_read(payload.data, payload.n, list, &count, &bytes) && count == 1);
        payload.data += bytes;
        payload.n -= bytes;
        dies = i >= call->values && list[0].via.u64 == DIES_ONCE && died_for != f->connections;
        if (dies)
            break;
        failed = i >= call->values && fake_number_fails(list[0].via.u64);
        sum += failed ? 0 : list[0].via.u64;
        folded += !failed;
    }
    if (folded > 0 && i == call->items && lost_for != f->connections) {
        lost_for = f->connections;
        ptools_pack_list(b->records, 0);
        fake_batch_dies(b, i);
    } else if (folded > 0) {
        pack_value(b->records, sum);
    }
    if (failed)
        fake_pack_failure(b->records, PTOOLS_ERR_FAILED, "no good");
    b->answer.reply.items = i;
    b->answer.reply.items_failed = failed;
    if (dies) {
        died_for = f->connections;
        fake_batch_dies(b, i);
    }
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

static uint64_t all_that_do_not_fail(void)
{
    uint64_t sum = 0;

    for (uint64_t i = 0; i < N; i++)
        sum += fake_number_fails(i) ? 0 : i;
    return sum;
}

static ptools_err reduce(uint32_t flags, ptools_on_error on_error, const ptools_pack *value, ptools_reduced **ret)
{
    static const int64_t delays[] = { 0, 0 };
    const ptools_pack *const lists[] = { items };
    ptools_pmap_options options = PTOOLS_PMAP_OPTIONS_INIT;

    options.flags = flags;
    options.on_error = on_error;
    options.default_value = value;
    options.retry_delays_ms = delays;
    options.n_retry_delays = 2; /* an item may be one that dies, and lie in the batch that is lost */
    options.batch_size = 9;
    return ptools_mapreduce(pt, "t.f", "t.add", lists, 1, &options, ret);
}

static uint64_t sum_of(const ptools_reduced *reduced)
{
    uint64_t sum = 0;

    ck_assert_ptr_nonnull(reduced);
    ck_assert_uint_eq(reduced->items, N);
    ck_assert_int_eq(ptools_get_u64(reduced->value, &sum), PTOOLS_OK);
    return sum;
}

static const uint32_t flags[] = { 0, PTOOLS_REDUCE_DETERMINISTIC };

START_TEST(what_comes_back_is_put_together)
{
    ptools_pack *value = ptools_pack_new();
    ptools_reduced *reduced = NULL;

    pt = fake_open(&fake, _i % VIAS);
    ck_assert_int_eq(reduce(flags[_i / VIAS], PTOOLS_ON_ERROR_KEEP, NULL, &reduced), PTOOLS_ERR_PARTS);
    ck_assert_uint_eq(reduced->failed, N / FAILS_EVERY);
    ck_assert_uint_eq(sum_of(reduced), all_that_do_not_fail());
    ck_assert_ptr_nonnull(strstr(ptools_error_message(pt), "12 of 60 items failed and are not in the value, the first "
                                                           "of them, 3, with FAILED: no good"));
    reduced = ptools_reduced_free(reduced);
    ptools_pack_u64(value, 1000);
    ck_assert_int_eq(reduce(flags[_i / VIAS], PTOOLS_ON_ERROR_DEFAULT, value, &reduced), PTOOLS_OK);
    ck_assert_uint_eq(sum_of(reduced), all_that_do_not_fail() + N / FAILS_EVERY * 1000);
    reduced = ptools_reduced_free(reduced);
    ck_assert_int_eq(reduce(flags[_i / VIAS], PTOOLS_ON_ERROR_STOP, NULL, &reduced), PTOOLS_ERR_FAILED);
    ck_assert_ptr_null(reduced);
    ck_assert_msg(strncmp(ptools_error_message(pt), "item ", 5) == 0 && strstr(ptools_error_message(pt), ": no good"),
                  "%s", ptools_error_message(pt)); /* whichever was the first to fail for good */
    ck_assert(LIST_EMPTY(&pt->maps));
    ptools_pack_free(value);
    pt = ptools_close(pt);
}
END_TEST

/* False: it needs fewer. */
static bool try_without(uint64_t nth, uint32_t how)
{
    ptools_reduced *reduced = NULL;
    ptools_err err;

    pt = fake_open(&fake, VIA_UNIX);
    scarce_from_now(nth);
    err = reduce(how, PTOOLS_ON_ERROR_KEEP, NULL, &reduced);
    scarce_armed = false;
    ck_assert_msg(err == PTOOLS_ERR_PARTS || err == PTOOLS_ERR_NO_MEMORY, "request %u for memory: %s: %s",
                  (unsigned)nth, ptools_errname(err), ptools_error_message(pt));
    if (err == PTOOLS_ERR_PARTS && reduced->failed == N / FAILS_EVERY)
        ck_assert_uint_eq(sum_of(reduced), all_that_do_not_fail());
    else if (err == PTOOLS_ERR_PARTS)
        ck_assert_uint_le(sum_of(reduced), all_that_do_not_fail());
    else
        ck_assert_ptr_null(reduced);
    ptools_reduced_free(reduced);
    ck_assert(LIST_EMPTY(&pt->maps));
    pt = ptools_close(pt);
    return scarce_count >= nth;
}

START_TEST(without_memory_there_is_no_wrong_value)
{
    uint64_t nth = 1;

    while (nth < NTH_MAX && try_without(nth, flags[_i]))
        nth++;
    ck_assert_uint_gt(nth, 30);
    ck_assert_uint_lt(nth, NTH_MAX);
}
END_TEST

/* -- a daemon that is none --------------------------------------------------------------------------------------- */

enum nonsense { NOTHING_DONE, NO_RECORD, NO_LIST, TWO_VALUES, FAILURES_FIRST, MORE_FAILURES, VALUE_OF_NONE, NONSENSES };

static void answer_nonsense(struct fake *f, struct fake_batch *b)
{
    const uint32_t n = b->request->call.items;

    (void)f;
    b->answer.reply.items = n;
    switch ((enum nonsense)(b->turn % NONSENSES)) {
    case NOTHING_DONE:
        b->answer.reply.items = 0;
        break;
    case NO_RECORD:
    case NONSENSES:
        break;
    case NO_LIST:
        ptools_pack_u64(b->records, 7);
        break;
    case TWO_VALUES:
        pack_value(b->records, 7);
        pack_value(b->records, 7);
        break;
    case FAILURES_FIRST:
        fake_pack_failure(b->records, PTOOLS_ERR_FAILED, "");
        pack_value(b->records, 7);
        break;
    case MORE_FAILURES:
        for (uint32_t i = 0; i <= n; i++)
            fake_pack_failure(b->records, PTOOLS_ERR_FAILED, "");
        break;
    case VALUE_OF_NONE:
        pack_value(b->records, 7);
        for (uint32_t i = 0; i < n; i++)
            fake_pack_failure(b->records, PTOOLS_ERR_FAILED, "");
        break;
    }
}

static void serve_nonsense(struct fake *f)
{
    fake_serve_batches(f, answer_nonsense);
}

START_TEST(nonsense_is_no_value)
{
    ptools_pmap_options options = PTOOLS_PMAP_OPTIONS_INIT;
    ptools_reduced *reduced = NULL;
    const ptools_pack *lists[1];

    batch_setup(serve_nonsense, N);
    lists[0] = items;
    pt = fake_open(&fake, VIA_UNIX);
    options.batch_size = 4;
    options.flags = flags[_i];
    ck_assert_int_eq(ptools_mapreduce(pt, "t.f", "t.add", lists, 1, &options, &reduced), PTOOLS_ERR_PARTS);
    ck_assert(reduced->items == N && reduced->failed == N && reduced->empty);
    ck_assert_ptr_nonnull(strstr(ptools_error_message(pt), "PROTOCOL"));
    ptools_reduced_free(reduced);
    batch_teardown();
}
END_TEST

/* -- large values ------------------------------------------------------------------------------------------------ */

enum { SMALL_MESSAGE = 200000, VALUE_BYTES = 150000, ITEM_BYTES = 9000, LARGE_ITEMS = 10 };

/* The second item fails, so that the others go behind the value of the first. */
static void serve_large_values(struct fake *f)
{
    static char zeros[VALUE_BYTES];
    struct msg_request r;
    bool first = true;

    FAKE_CHECK(fake_accept_hello(f));
    for (; fake_next(f, &r); first = false) {
        ptools_pack *records = ptools_pack_new();
        struct msg_answer answer = { .id = r.id, .reply = { .task = 1, .worker = 1, .items = r.call.items } };

        FAKE_CHECK(r.call.values == !first);
        ptools_pack_list(records, 1);
        ptools_pack_bytes(records, zeros, sizeof zeros);
        if (first) {
            fake_pack_failure(records, PTOOLS_ERR_FAILED, "");
            answer.reply.items = 2;
            answer.reply.items_failed = 1;
        }
        fake_reply_records(f, &answer, records);
        ptools_pack_free(records);
    }
}

START_TEST(items_and_the_value_before_them_fit_into_a_message)
{
    ptools_pmap_options options = PTOOLS_PMAP_OPTIONS_INIT;
    static char zeros[ITEM_BYTES];
    ptools_reduced *reduced = NULL;

    fake_begin(&fake);
    fake.message_max = SMALL_MESSAGE;
    fake_run(&fake, serve_large_values);
    items = ptools_pack_new();
    for (int i = 0; i < LARGE_ITEMS; i++)
        ptools_pack_bytes(items, zeros, ITEM_BYTES);
    pt = fake_open(&fake, VIA_UNIX);
    options.batch_size = LARGE_ITEMS;
    options.flags = PTOOLS_REDUCE_DETERMINISTIC;
    ck_assert_int_eq(ptools_mapreduce(pt, "t.f", "t.g", (const ptools_pack *const[]){ items }, 1, &options, &reduced),
                     PTOOLS_ERR_PARTS);
    ck_assert(reduced->items == LARGE_ITEMS && reduced->failed == 1 && !reduced->empty);
    ptools_reduced_free(reduced);
    pt = ptools_close(pt);
    items = ptools_pack_free(items);
    fake_end(&fake);
}
END_TEST

/* -- a daemon that reads nothing any more -------------------------------------------------------------------------- */

START_TEST(the_time_for_all_of_it_is_not_spent_on_sending)
{
    ptools_pmap_options options = PTOOLS_PMAP_OPTIONS_INIT;
    ptools_reduced *reduced = NULL;

    batch_setup_deaf();
    options.batch_size = 1;
    options.timeout_ms = BATCH_ROUND_TRIP_MS / 2;
    ck_assert_int_eq(ptools_mapreduce(pt, "t.f", "t.add", (const ptools_pack *const[]){ items }, 1, &options, &reduced),
                     PTOOLS_ERR_TIMEOUT);
    ck_assert_str_eq(ptools_error_message(pt), "the reduction was ended after timeout_ms, 250 ms");
    ck_assert_ptr_null(reduced);
    pt = ptools_close(pt);
    items = ptools_pack_free(items);
    fake_open_gate(&fake);
    fake_end(&fake);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("lib/mapreduce");
    TCase *tc = suite_case(suite, "mapreduce");

    tcase_add_checked_fixture(tc, setup, batch_teardown);
    tcase_add_loop_test(tc, what_comes_back_is_put_together, 0, 2 * VIAS);
    tcase_add_loop_test(tc, without_memory_there_is_no_wrong_value, 0, 2);
    tc = suite_case(suite, "nonsense");
    tcase_add_loop_test(tc, nonsense_is_no_value, 0, 2);
    tc = suite_case(suite, "large");
    tcase_add_test(tc, items_and_the_value_before_them_fit_into_a_message);
    tc = suite_case(suite, "deaf");
    tcase_add_test(tc, the_time_for_all_of_it_is_not_spent_on_sending);
    return suite_run(suite);
}
