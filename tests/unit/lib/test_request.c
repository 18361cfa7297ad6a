/* SPDX-License-Identifier: MIT */
/*
 * test_request -- client/lib/request.c: answers that nobody waits for, connections that end, and what is
 * known of the calls that were on their way.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/support/suite.h"
#include "tests/unit/lib/fake.h"

static struct fake f;
static ptools *pt;

static void begin(int via, fake_script *script)
{
    fake_begin(&f);
    fake_run(&f, script);
    pt = fake_open(&f, via);
}

static void end(void)
{
    ptools_close(pt);
    fake_end(&f);
}

static ptools_future *start(const char *function, const ptools_pack *args)
{
    ptools_future *future = NULL;

    ck_assert_int_eq(ptools_remotecall(pt, NULL, function, args, NULL, &future), PTOOLS_OK);
    return future;
}

static void answers_too_much(struct fake *s)
{
    uint64_t id;

    fake_accept_hello(s);
    id = fake_next_call(s);
    fake_reply_number(s, id + 1000, 1); /* never asked */
    fake_error(s, id + 1, PTOOLS_ERR_FAILED, "not yet asked");
    fake_reply_number(s, id, 2);
    fake_reply_number(s, id, 3); /* twice */
    fake_reply_number(s, fake_next_call(s), 4);
    fake_until_closed(s);
}

START_TEST(answers_that_nobody_waits_for_are_dropped)
{
    ptools_future *first, *second;
    ptools_value value;
    uint64_t n;

    begin(_i, answers_too_much);
    first = start("t.x", NULL);
    ck_assert_int_eq(ptools_future_fetch(first, 5000, &value), PTOOLS_OK);
    ck_assert_int_eq(ptools_get_u64(value, &n), PTOOLS_OK);
    ck_assert_uint_eq(n, 2);
    second = start("t.x", NULL);
    ck_assert_int_eq(ptools_future_fetch(second, 5000, &value), PTOOLS_OK);
    ck_assert_int_eq(ptools_get_u64(value, &n), PTOOLS_OK);
    ck_assert_uint_eq(n, 4);
    ptools_future_free(first);
    ptools_future_free(second);
    end();
}
END_TEST

static void answers_then_ends_with_a_reason(struct fake *s)
{
    uint64_t id;

    fake_accept_hello(s);
    id = fake_next_call(s);
    fake_next_call(s);
    fake_reply_number(s, id, 1);
    fake_error(s, 0, PTOOLS_ERR_PROTOCOL, "you said something odd");
}

START_TEST(what_came_before_the_end_counts)
{
    ptools_future *futures[2];
    ptools_value value;

    begin(_i, answers_then_ends_with_a_reason);
    futures[0] = start("t.x", NULL);
    futures[1] = start("t.x", NULL);
    ck_assert_int_eq(ptools_wait_all(pt, futures, 2, 5000), PTOOLS_OK);
    ck_assert_int_eq(ptools_future_fetch(futures[0], 0, &value), PTOOLS_OK);
    ck_assert_int_eq(ptools_future_fetch(futures[1], 0, &value), PTOOLS_ERR_PROTOCOL);
    ck_assert_ptr_nonnull(strstr(ptools_error_message(pt), "something odd"));
    ck_assert(ptools_last_failure(pt)->maybe_executed);
    ptools_future_free(futures[0]);
    ptools_future_free(futures[1]);
    end();
}
END_TEST

START_TEST(a_lost_call_says_that_its_fate_is_unknown)
{
    ptools_future *futures[3];

    begin(_i, fake_serve_one);
    futures[0] = start("t.never", NULL);
    futures[1] = start("t.echo", NULL);
    futures[2] = start("t.drop", NULL);
    ck_assert_int_eq(ptools_wait_all(pt, futures, 3, 5000), PTOOLS_OK);
    ck_assert_ptr_null(ptools_future_failure(futures[1]));
    for (int i = 0; i < 3; i += 2) {
        const ptools_failure *p = ptools_future_failure(futures[i]);

        ck_assert_int_eq(p->code, PTOOLS_ERR_LOST);
        ck_assert(p->maybe_executed);
        ck_assert_ptr_nonnull(strstr(p->message, f.dir));
        ck_assert_ptr_nonnull(strstr(p->message, "it may have been executed"));
        ck_assert_int_eq(p->exit_status, -1);
    }
    for (int i = 0; i < 3; i++)
        ptools_future_free(futures[i]);
    end();
}
END_TEST

static void reads_nothing_more(struct fake *s)
{
    fake_accept_hello(s);
    fake_next_call(s);
    fake_wait_gate(s); /* the calls behind it fill the socket */
}

/* Fills the socket, so that the last calls cannot have left whole. */
START_TEST(a_call_that_never_left_is_known_not_to_have_run)
{
    enum { CALLS = 8, BYTES = 200000 };
    static char large[BYTES];
    ptools_future *futures[CALLS];
    ptools_pack *args;

    begin(VIA_UNIX, reads_nothing_more);
    args = ptools_pack_new();
    ptools_pack_bytes(args, large, sizeof large);
    futures[0] = start("t.never", NULL);
    for (int i = 1; i < CALLS; i++)
        futures[i] = start("t.x", args);
    fake_open_gate(&f);
    ck_assert_int_eq(ptools_wait_all(pt, futures, CALLS, 5000), PTOOLS_OK);
    ck_assert(ptools_future_failure(futures[0])->maybe_executed);
    for (int i = 0; i < CALLS; i++)
        ck_assert_int_eq(ptools_future_failure(futures[i])->code, PTOOLS_ERR_LOST);
    ck_assert(!ptools_future_failure(futures[CALLS - 1])->maybe_executed);
    ck_assert_ptr_nonnull(strstr(ptools_future_failure(futures[CALLS - 1])->message, "had not been sent"));
    for (int i = 0; i < CALLS; i++)
        ptools_future_free(futures[i]);
    ptools_pack_free(args);
    end();
}
END_TEST

static void reads_nothing_until_closed(struct fake *s)
{
    fake_accept_hello(s);
    fake_wait_gate(s);
}

START_TEST(what_waits_to_be_sent_is_bounded)
{
    enum { BYTES = 4 << 20 };
    static char large[BYTES];
    ptools_pack *args;
    ptools_options options = PTOOLS_OPTIONS_INIT;
    ptools_future *futures[16];
    ptools_err err = PTOOLS_OK;
    int n;

    fake_begin(&f);
    fake_run(&f, reads_nothing_until_closed);
    args = ptools_pack_new();
    ptools_pack_bytes(args, large, BYTES);
    options.address = f.dir;
    options.connect_timeout_ms = 1000;
    ck_assert_int_eq(ptools_open(&options, &pt, NULL), PTOOLS_OK);
    for (n = 0; n < 16 && err == PTOOLS_OK; n++)
        err = ptools_remotecall(pt, NULL, "t.x", args, NULL, &futures[n]);
    ck_assert_int_eq(err, PTOOLS_ERR_TIMEOUT);
    ck_assert_ptr_nonnull(strstr(ptools_error_message(pt), "16777216 bytes"));
    ck_assert_int_ge(n, 5);
    ck_assert_int_le(n, 7);
    for (int i = 0; i < n - 1; i++)
        ptools_future_free(futures[i]);
    fake_open_gate(&f);
    ptools_pack_free(args);
    end();
}
END_TEST

static void sends_an_oversized_answer(struct fake *s)
{
    static const uint8_t head[] = { 0x02, 0, 0, 0, 0x40, 0, 0, 0, 0 }; /* a frame of 256 GiB */

    fake_accept_hello(s);
    fake_next_call(s);
    fake_write(s, head, sizeof head);
    fake_until_closed(s);
}

static void sends_a_long_answer(struct fake *s)
{
    static uint8_t body[300000];
    struct span frame = { body, sizeof body, NULL };

    s->message_max = 100000;
    fake_accept_hello(s);
    fake_next_call(s);
    FAKE_CHECK(zmtp_send(&s->zmtp, &s->out, &frame, 1) == 0);
    fake_until_closed(s);
}

static fake_script *const oversized[] = { sends_an_oversized_answer, sends_a_long_answer };

START_TEST(oversized_answers_end_the_connection)
{
    int via = _i % VIAS;
    ptools_value value;
    ptools_future *future;
    ptools_err err;

    begin(via, oversized[_i / VIAS]);
    future = start("t.x", NULL);
    err = ptools_future_fetch(future, 5000, &value);
    if (via == VIA_IPC && _i / VIAS == 0)
        ck_assert_int_eq(err, PTOOLS_ERR_LOST); /* libzmq drops the connection and does not say why */
    else
        ck_assert_int_eq(err, PTOOLS_ERR_PROTOCOL);
    ck_assert(ptools_future_failure(future)->maybe_executed);
    ptools_future_free(future);
    end();
}
END_TEST

static void closes_in_the_middle(struct fake *s)
{
    fake_accept_hello(s);
    fake_next_call(s);
    fake_write(s, "\x01\x20 begun", 8);
}

START_TEST(half_an_answer_is_none)
{
    ptools_future *future;

    begin(_i, closes_in_the_middle);
    future = start("t.x", NULL);
    ck_assert_int_eq(ptools_future_fetch(future, 5000, NULL), PTOOLS_ERR_LOST);
    if (_i == VIA_UNIX)
        ck_assert_ptr_nonnull(strstr(ptools_error_message(pt), "in the middle of a message"));
    ptools_future_free(future);
    end();
}
END_TEST

START_TEST(a_round_trip_ends_in_time)
{
    ptools_options options = PTOOLS_OPTIONS_INIT;
    ptools_future *future = NULL;

    fake_begin(&f);
    fake_run(&f, reads_nothing_until_closed);
    options.address = fake_address(&f, _i);
    options.connect_timeout_ms = 1000;
    ck_assert_int_eq(ptools_open(&options, &pt, NULL), PTOOLS_OK);
    ck_assert_int_eq(ptools_inspect(pt, "status", &future, NULL), PTOOLS_ERR_TIMEOUT);
    ck_assert_ptr_nonnull(strstr(ptools_error_message(pt), "inspect"));
    ck_assert_int_eq(ptools_remote_do(pt, NULL, "t.x", NULL, NULL, NULL), PTOOLS_ERR_TIMEOUT);
    ck_assert(ptools_last_failure(pt)->maybe_executed);
    ck_assert_ptr_null(future);
    fake_open_gate(&f);
    end();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("lib/request");
    TCase *tc = suite_case(suite, "answers");

    tcase_add_loop_test(tc, answers_that_nobody_waits_for_are_dropped, 0, VIAS);
    tcase_add_loop_test(tc, oversized_answers_end_the_connection, 0, 2 * VIAS);
    tcase_add_loop_test(tc, half_an_answer_is_none, 0, VIAS);
    tcase_add_loop_test(tc, a_round_trip_ends_in_time, 0, VIAS);
    tc = suite_case(suite, "ends");
    tcase_add_loop_test(tc, what_came_before_the_end_counts, 0, VIAS);
    tcase_add_loop_test(tc, a_lost_call_says_that_its_fate_is_unknown, 0, VIAS);
    tcase_add_test(tc, a_call_that_never_left_is_known_not_to_have_run);
    tcase_add_test(tc, what_waits_to_be_sent_is_bounded);
    return suite_run(suite);
}
