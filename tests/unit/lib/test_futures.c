/* SPDX-License-Identifier: MIT */
/*
 * test_futures -- client/lib/futures.c: what a future tells, before and after, and its memory.
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

START_TEST(null_futures_are_refused)
{
    ptools_value value;

    ck_assert(!ptools_future_done(NULL));
    ck_assert_uint_eq(ptools_future_task(NULL), 0);
    ck_assert_uint_eq(ptools_future_worker(NULL), 0);
    ck_assert_int_eq(ptools_future_wait(NULL, 0), PTOOLS_ERR_INVALID);
    ck_assert_int_eq(ptools_future_fetch(NULL, 0, &value), PTOOLS_ERR_INVALID);
    ck_assert_int_eq(ptools_future_cancel(NULL), PTOOLS_ERR_INVALID);
    ck_assert_int_eq(ptools_future_then(NULL, NULL, NULL), PTOOLS_ERR_INVALID);
    ck_assert_ptr_null(ptools_future_failure(NULL));
    ck_assert_ptr_null(ptools_future_free(NULL));
}
END_TEST

START_TEST(nothing_is_known_before_the_end)
{
    ptools_value value = { NULL };
    ptools_future *future;

    begin(_i, fake_serve_one);
    future = start("t.never", NULL);
    ck_assert(!ptools_future_done(future));
    ck_assert_uint_eq(ptools_future_task(future), 0);
    ck_assert_uint_eq(ptools_future_worker(future), 0);
    ck_assert_ptr_null(ptools_future_failure(future));
    ck_assert_int_eq(ptools_future_fetch(future, 0, &value), PTOOLS_ERR_TIMEOUT);
    ck_assert_int_eq(ptools_future_fetch(future, -2, &value), PTOOLS_ERR_INVALID);
    ck_assert_ptr_null(value.object);
    ptools_future_free(future);
    end();
}
END_TEST

START_TEST(values_live_as_long_as_their_futures)
{
    enum { N = 300 }; /* more than the handle keeps */
    ptools_pack *args = ptools_pack_new();
    ptools_future *futures[N];
    ptools_value values[N];

    begin(_i, fake_serve_one);
    for (int round = 0; round < 2; round++) {
        for (uint64_t i = 0; i < N; i++) {
            ptools_pack_reset(args);
            switch (i % 3) {
            case 0:
                ptools_pack_u64(args, i);
                break;
            case 1:
                ptools_pack_list(args, 2);
                ptools_pack_u64(args, i);
                ptools_pack_str(args, "in a list");
                break;
            default:
                ptools_pack_map(args, 1);
                ptools_pack_str(args, "n");
                ptools_pack_u64(args, i);
                break;
            }
            futures[i] = start("t.echo", args);
        }
        for (int i = 0; i < N; i++)
            ck_assert_int_eq(ptools_future_fetch(futures[i], 5000, &values[i]), PTOOLS_OK);
        for (uint64_t i = 0; i < N; i++) {
            ptools_value v = values[i], again;
            uint64_t n;

            ck_assert_int_eq(ptools_future_fetch(futures[i], 0, &again), PTOOLS_OK);
            ck_assert_ptr_eq(again.object, values[i].object);
            if (i % 3 == 1)
                ck_assert_int_eq(ptools_get_item(values[i], 0, &v), PTOOLS_OK);
            else if (i % 3 == 2)
                ck_assert_int_eq(ptools_get_field(values[i], "n", &v), PTOOLS_OK);
            ck_assert_int_eq(ptools_get_u64(v, &n), PTOOLS_OK);
            ck_assert_uint_eq(n, i);
            ptools_future_free(futures[i]);
        }
    }
    ptools_pack_free(args);
    end();
}
END_TEST

START_TEST(cancel_ends_a_call_and_spares_a_done_one)
{
    ptools_future *flying, *done;
    ptools_value value;

    begin(_i, fake_serve_one);
    flying = start("t.never", NULL);
    done = start("t.echo", NULL);
    ck_assert_int_eq(ptools_future_wait(done, 5000), PTOOLS_OK);
    ck_assert_int_eq(ptools_future_cancel(done), PTOOLS_OK);
    ck_assert_int_eq(ptools_future_cancel(flying), PTOOLS_OK);
    ck_assert_int_eq(ptools_future_cancel(flying), PTOOLS_OK);
    ck_assert_int_eq(ptools_future_fetch(flying, 5000, &value), PTOOLS_ERR_CANCELLED);
    ck_assert_int_eq(ptools_future_failure(flying)->code, PTOOLS_ERR_CANCELLED);
    ck_assert_int_eq(ptools_future_fetch(done, 0, &value), PTOOLS_OK);
    ptools_future_free(flying);
    ptools_future_free(done);
    end();
}
END_TEST

START_TEST(a_freed_call_goes_on_and_its_answer_is_dropped)
{
    ptools_future *flying, *after;
    ptools_value value;
    uint64_t n;

    begin(_i, fake_serve_one);
    flying = start("t.hold", NULL);
    ptools_future_free(flying);
    after = start("t.count", NULL);
    ck_assert_int_eq(ptools_remotecall_fetch(pt, NULL, "t.release", NULL, NULL, 5000, NULL, NULL), PTOOLS_OK);
    ck_assert_int_eq(ptools_future_fetch(after, 5000, &value), PTOOLS_OK);
    ck_assert_int_eq(ptools_get_u64(value, &n), PTOOLS_OK);
    ck_assert_uint_eq(n, 1);
    ptools_future_free(after);
    end();
}
END_TEST

static void sends_bad_values(struct fake *s)
{
    static const struct {
        const char *bytes;
        size_t n;
    } bad[] = {
        { "\xdd\x7f\xff\xff\xff", 5 }, /* a list that claims two milliards */
        { "\xc1", 1 },
        { "\x01\x02", 2 },     /* two values */
        { "\xd4\x01\x00", 3 }, /* an extension */
    };

    fake_accept_hello(s);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        uint64_t id = fake_next_call(s);
        struct bytes envelope;
        struct span frames[2];

        bytes_init(&envelope, 1000);
        msg_answer_encode(&(struct msg_answer){ .id = id, .reply = { .task = 1, .worker = 1 } }, &envelope);
        frames[0] = (struct span){ envelope.data, envelope.n, NULL };
        frames[1] = (struct span){ (const uint8_t *)bad[i].bytes, bad[i].n, NULL };
        FAKE_CHECK(zmtp_send(&s->zmtp, &s->out, frames, 2) == 0);
        bytes_deinit(&envelope);
    }
    fake_reply_number(s, fake_next_call(s), 5);
    fake_until_closed(s);
}

START_TEST(a_malformed_value_fails_its_fetch_alone)
{
    ptools_value value = { NULL };

    begin(_i, sends_bad_values);
    for (int i = 0; i < 4; i++) {
        ptools_future *future = start("t.x", NULL);

        ck_assert_int_eq(ptools_future_wait(future, 5000), PTOOLS_OK);
        ck_assert_ptr_null(ptools_future_failure(future));
        ck_assert_int_eq(ptools_future_fetch(future, 0, &value), PTOOLS_ERR_PROTOCOL);
        ck_assert_ptr_nonnull(strstr(ptools_error_message(pt), "malformed"));
        ck_assert_ptr_null(value.object);
        ptools_future_free(future);
    }
    ck_assert_int_eq(ptools_remotecall_fetch(pt, NULL, "t.x", NULL, NULL, 5000, NULL, NULL), PTOOLS_OK);
    end();
}
END_TEST

START_TEST(a_reply_without_a_value_is_nil)
{
    ptools_value value;
    ptools_future *future = NULL;

    begin(_i, fake_serve_one);
    /* the daemon's answer to a detached call has no payload; a plain call may get one like it */
    ck_assert_int_eq(ptools_remote_do(pt, NULL, "t.echo", NULL, NULL, NULL), PTOOLS_OK);
    ck_assert_int_eq(ptools_remotecall_fetch(pt, NULL, "t.echo", NULL, NULL, 5000, &future, &value), PTOOLS_OK);
    ck_assert_int_eq(ptools_value_kind(value), PTOOLS_NIL);
    ptools_future_free(future);
    end();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("lib/futures");
    TCase *tc = suite_case(suite, "futures");

    tcase_add_test(tc, null_futures_are_refused);
    tcase_add_loop_test(tc, nothing_is_known_before_the_end, 0, VIAS);
    tcase_add_loop_test(tc, values_live_as_long_as_their_futures, 0, VIAS);
    tcase_add_loop_test(tc, cancel_ends_a_call_and_spares_a_done_one, 0, VIAS);
    tcase_add_loop_test(tc, a_freed_call_goes_on_and_its_answer_is_dropped, 0, VIAS);
    tcase_add_loop_test(tc, a_malformed_value_fails_its_fetch_alone, 0, VIAS);
    tcase_add_loop_test(tc, a_reply_without_a_value_is_nil, 0, VIAS);
    return suite_run(suite);
}
