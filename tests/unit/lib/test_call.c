/* SPDX-License-Identifier: MIT */
/*
 * test_call -- client/lib/call.c: the four ways to call, what they refuse, and what they tell.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/support/suite.h"
#include "tests/unit/lib/fake.h"

static struct fake f;
static ptools *pt;
static ptools_pack *args;

static void begin(int via, fake_script *script)
{
    fake_begin(&f);
    fake_run(&f, script);
    pt = fake_open(&f, via);
    args = ptools_pack_new();
}

static void end(void)
{
    ptools_pack_free(args);
    ptools_close(pt);
    fake_end(&f);
}

/* -- values ---------------------------------------------------------------------------------------------------- */

START_TEST(fetch_gives_the_value)
{
    ptools_future *future = NULL;
    ptools_value value = { NULL };
    const char *s;
    size_t n;

    begin(_i, fake_serve_one);
    ptools_pack_str(args, "hello");
    ck_assert_int_eq(ptools_remotecall_fetch(pt, NULL, "t.echo", args, NULL, PTOOLS_FOREVER, &future, &value),
                     PTOOLS_OK);
    ck_assert_int_eq(ptools_get_str(value, &s, &n), PTOOLS_OK);
    ck_assert(n == 5 && memcmp(s, "hello", 5) == 0);
    ck_assert(ptools_future_done(future));
    ck_assert_uint_eq(ptools_future_worker(future), 1);
    ck_assert_uint_gt(ptools_future_task(future), 1000);
    ck_assert_ptr_null(ptools_future_failure(future));
    ck_assert_ptr_null(ptools_last_failure(pt));
    ck_assert_str_eq(ptools_error_message(pt), "");
    ptools_future_free(future);
    ck_assert_int_eq(ptools_remotecall_fetch(pt, NULL, "t.echo", NULL, NULL, 5000, &future, &value), PTOOLS_OK);
    ck_assert_int_eq(ptools_value_kind(value), PTOOLS_NIL);
    ptools_future_free(future);
    /* the pack is ours and may be used again */
    ck_assert_int_eq(ptools_remotecall_fetch(pt, NULL, "t.echo", args, NULL, 5000, NULL, NULL), PTOOLS_OK);
    end();
}
END_TEST

START_TEST(values_of_all_sizes_come_whole)
{
    static const size_t sizes[] = { 0, 1, 31, 200, 4095, 16384, 32767, 32768, 65536, 1000000, 20000000 };

    begin(_i, fake_serve_one);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        ptools_future *future;
        ptools_value value;
        const void *data;
        size_t n;

        ptools_pack_reset(args);
        ptools_pack_u64(args, sizes[i]);
        ck_assert_int_eq(ptools_remotecall_fetch(pt, NULL, "t.big", args, NULL, 20000, &future, &value), PTOOLS_OK);
        ck_assert_int_eq(ptools_get_bytes(value, &data, &n), PTOOLS_OK);
        ck_assert_uint_eq(n, sizes[i]);
        ck_assert(n == 0 || (((const char *)data)[0] == 'x' && ((const char *)data)[n - 1] == 'x'));
        ptools_future_free(future);
    }
    end();
}
END_TEST

START_TEST(arguments_of_all_sizes_go_whole)
{
    static const size_t sizes[] = { 0, 200, 16384, 65536, 300000, 20000000 };
    char *bytes;

    begin(_i, fake_serve_one);
    bytes = malloc(20000000);
    memset(bytes, 'y', 20000000);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        ptools_future *future;
        ptools_value value;
        const void *data;
        size_t n;

        ptools_pack_reset(args);
        ptools_pack_bytes(args, bytes, sizes[i]);
        ck_assert_int_eq(ptools_remotecall_fetch(pt, NULL, "t.echo", args, NULL, 20000, &future, &value), PTOOLS_OK);
        ck_assert_int_eq(ptools_get_bytes(value, &data, &n), PTOOLS_OK);
        ck_assert(n == sizes[i] && memcmp(data, bytes, n) == 0);
        ptools_future_free(future);
    }
    free(bytes);
    end();
}
END_TEST

/* -- failures ---------------------------------------------------------------------------------------------------- */

static void check_facts(const ptools_failure *p)
{
    ck_assert_int_eq(p->code, PTOOLS_ERR_WORKER_DIED);
    ck_assert_str_eq(p->message, "worker 3 died of SIGSEGV");
    ck_assert_uint_eq(p->task, 4711);
    ck_assert_uint_eq(p->worker, 3);
    ck_assert_uint_eq(p->attempt, 2);
    ck_assert_int_eq(p->pid, 1234);
    ck_assert_int_eq(p->exit_status, -1);
    ck_assert_int_eq(p->signal, 11);
    ck_assert(p->maybe_executed);
    ck_assert_uint_eq(p->run_us, 5000);
    ck_assert_uint_eq(p->peak_bytes, 1 << 20);
    ck_assert_str_eq(p->phase, "sorting");
    ck_assert_uint_eq(p->progress, 3);
    ck_assert_uint_eq(p->progress_of, 9);
    ck_assert_str_eq(p->log, "one\ntwo\n");
    ck_assert_str_eq(p->backtrace, "f\nmain\n");
}

START_TEST(a_failure_tells_all_its_facts)
{
    ptools_future *future = NULL;
    ptools_value value;

    begin(_i, fake_serve_one);
    ck_assert_int_eq(ptools_remotecall_fetch(pt, NULL, "t.fail", NULL, NULL, 5000, &future, &value),
                     PTOOLS_ERR_WORKER_DIED);
    ck_assert_ptr_null(future);
    check_facts(ptools_last_failure(pt));
    ck_assert_str_eq(ptools_error_message(pt), "worker 3 died of SIGSEGV");

    ck_assert_int_eq(ptools_remotecall_wait(pt, NULL, "t.fail", NULL, NULL, 5000, &future), PTOOLS_OK);
    ck_assert_int_eq(ptools_remotecall_fetch(pt, NULL, "t.unknown", NULL, NULL, 5000, NULL, NULL),
                     PTOOLS_ERR_NO_FUNCTION);
    ck_assert_int_eq(ptools_last_failure(pt)->code, PTOOLS_ERR_NO_FUNCTION);
    ck_assert_uint_eq(ptools_last_failure(pt)->task, 0);
    ck_assert_str_eq(ptools_last_failure(pt)->log, "");
    check_facts(ptools_future_failure(future));
    ck_assert_uint_eq(ptools_future_task(future), 4711);
    ck_assert_uint_eq(ptools_future_worker(future), 3);
    ck_assert_int_eq(ptools_future_fetch(future, 0, &value), PTOOLS_ERR_WORKER_DIED);
    ptools_future_free(future); /* what the handle knows of it stays */
    check_facts(ptools_last_failure(pt));
    end();
}
END_TEST

START_TEST(wrong_calls_are_refused_here)
{
    static const char *const names[] = { NULL, "", "nodot", ".f", "m.", "m.f.g", "m f.g", "../m.f" };
    ptools_call_options options = PTOOLS_CALL_OPTIONS_INIT;
    ptools_future *future = NULL;
    ptools_value value;

    begin(_i, fake_serve_one);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        ck_assert_int_eq(ptools_remotecall(pt, NULL, names[i], NULL, NULL, &future), PTOOLS_ERR_INVALID);
        ck_assert_ptr_nonnull(strstr(ptools_error_message(pt), "MODULE.FUNCTION"));
    }
    ck_assert_int_eq(ptools_remotecall(pt, NULL, "t.echo", NULL, NULL, NULL), PTOOLS_ERR_INVALID);
    ck_assert_int_eq(ptools_remotecall_wait(pt, NULL, "t.echo", NULL, NULL, 0, NULL), PTOOLS_ERR_INVALID);
    ck_assert_int_eq(ptools_remotecall_fetch(pt, NULL, "t.echo", NULL, NULL, 0, NULL, &value), PTOOLS_ERR_INVALID);
    ck_assert_int_eq(ptools_remotecall_fetch(pt, NULL, "t.echo", NULL, NULL, -5, NULL, NULL), PTOOLS_ERR_INVALID);
    ck_assert_ptr_nonnull(strstr(ptools_error_message(pt), "-5"));
    ck_assert_int_eq(ptools_remotecall(NULL, NULL, "t.echo", NULL, NULL, &future), PTOOLS_ERR_INVALID);

    options.struct_size = 3;
    ck_assert_int_eq(ptools_remotecall(pt, NULL, "t.echo", NULL, &options, &future), PTOOLS_ERR_INVALID);
    options.struct_size = sizeof options;
    options.flags = 1;
    ck_assert_int_eq(ptools_remotecall(pt, NULL, "t.echo", NULL, &options, &future), PTOOLS_ERR_INVALID);
    options.flags = 0;
    options.deadline_ms = -1;
    ck_assert_int_eq(ptools_remotecall(pt, NULL, "t.echo", NULL, &options, &future), PTOOLS_ERR_INVALID);
    options.deadline_ms = 0;
    options.worker = UINT32_MAX;
    ck_assert_int_eq(ptools_remotecall(pt, NULL, "t.echo", NULL, &options, &future), PTOOLS_ERR_INVALID);

    ptools_pack_list(args, 2);
    ptools_pack_nil(args);
    ck_assert_int_eq(ptools_remotecall(pt, NULL, "t.echo", args, NULL, &future), PTOOLS_ERR_INVALID);
    ck_assert_ptr_nonnull(strstr(ptools_error_message(pt), "lacks items"));
    ck_assert_ptr_null(future);
    end();
}
END_TEST

static void small_messages_only(struct fake *s)
{
    s->message_max = 1000;
    fake_serve(s, 1);
}

START_TEST(a_message_over_the_daemons_limit_is_not_sent)
{
    char bytes[2000] = { 0 };

    begin(_i, small_messages_only);
    ptools_pack_bytes(args, bytes, sizeof bytes);
    ck_assert_int_eq(ptools_remotecall_fetch(pt, NULL, "t.echo", args, NULL, 5000, NULL, NULL), PTOOLS_ERR_TOO_LARGE);
    ck_assert_ptr_nonnull(strstr(ptools_error_message(pt), "at most 1000"));
    ck_assert_int_eq(ptools_remotecall_fetch(pt, NULL, "t.echo", NULL, NULL, 5000, NULL, NULL), PTOOLS_OK);
    end();
}
END_TEST

/* -- options and times ------------------------------------------------------------------------------------------- */

static void looks_at_options(struct fake *s)
{
    struct msg_request r;

    fake_accept_hello(s);
    FAKE_CHECK(fake_next(s, &r) && r.kind == MSG_CALL);
    FAKE_CHECK(r.call.worker == 3 && r.call.deadline_ms == 250 && !r.call.detached && r.call.set_id == 0);
    FAKE_CHECK(r.call.function.n == 6 && memcmp(r.call.function.data, "t.echo", 6) == 0);
    FAKE_CHECK(fake_payload(s).n == 1 && fake_payload(s).data[0] == 0x90);
    fake_reply_number(s, r.id, 1);
    FAKE_CHECK(fake_next(s, &r) && r.kind == MSG_CALL && r.call.detached && r.call.worker == 0 &&
               r.call.deadline_ms == 0);
    fake_reply(s, &(struct msg_answer){ .id = r.id, .reply = { .task = 12345 } }, NULL);
    FAKE_CHECK(fake_next(s, &r) && r.call.detached);
    fake_error(s, r.id, PTOOLS_ERR_DRAINING, "no new work");
    FAKE_CHECK(!fake_next(s, &r));
}

START_TEST(options_reach_the_daemon)
{
    ptools_call_options options = PTOOLS_CALL_OPTIONS_INIT;
    uint64_t task = 0;

    options.worker = 3;
    options.deadline_ms = 250;
    begin(_i, looks_at_options);
    ck_assert_int_eq(ptools_remotecall_fetch(pt, NULL, "t.echo", NULL, &options, 5000, NULL, NULL), PTOOLS_OK);
    ck_assert_int_eq(ptools_remote_do(pt, NULL, "t.echo", NULL, NULL, &task), PTOOLS_OK);
    ck_assert_uint_eq(task, 12345);
    ck_assert_int_eq(ptools_remote_do(pt, NULL, "t.echo", NULL, NULL, NULL), PTOOLS_ERR_DRAINING);
    ck_assert_str_eq(ptools_error_message(pt), "no new work");
    end();
}
END_TEST

static void expects_cancel(struct fake *s)
{
    struct msg_request r;
    uint64_t id;

    fake_accept_hello(s);
    id = fake_next_call(s);
    FAKE_CHECK(fake_next(s, &r) && r.kind == MSG_CANCEL && r.cancel.request == id && r.cancel.task == 0);
    fake_reply(s, &(struct msg_answer){ .id = r.id }, NULL);
    fake_error(s, id, PTOOLS_ERR_CANCELLED, "cancelled");
    id = fake_next_call(s);
    fake_reply_number(s, id, 7);
    FAKE_CHECK(!fake_next(s, &r));
}

START_TEST(a_fetch_that_times_out_cancels)
{
    ptools_future *future = NULL;
    ptools_value value;
    uint64_t n;

    begin(_i, expects_cancel);
    ck_assert_int_eq(ptools_remotecall_fetch(pt, NULL, "t.never", NULL, NULL, 20, &future, &value), PTOOLS_ERR_TIMEOUT);
    ck_assert_ptr_null(future);
    ck_assert(ptools_last_failure(pt)->maybe_executed);
    ck_assert_ptr_nonnull(strstr(ptools_error_message(pt), "20 ms"));
    /* the late answers are dropped, the next call gets its own */
    ck_assert_int_eq(ptools_remotecall_fetch(pt, NULL, "t.x", NULL, NULL, 5000, &future, &value), PTOOLS_OK);
    ck_assert_int_eq(ptools_get_u64(value, &n), PTOOLS_OK);
    ck_assert_uint_eq(n, 7);
    ptools_future_free(future);
    end();
}
END_TEST

START_TEST(a_wait_that_times_out_leaves_a_future)
{
    ptools_future *future = NULL;

    begin(_i, fake_serve_one);
    ck_assert_int_eq(ptools_remotecall_wait(pt, NULL, "t.hold", NULL, NULL, 20, &future), PTOOLS_ERR_TIMEOUT);
    ck_assert_ptr_nonnull(future);
    ck_assert(!ptools_future_done(future));
    ck_assert_uint_eq(ptools_future_task(future), 0);
    ck_assert_int_eq(ptools_remotecall_fetch(pt, NULL, "t.release", NULL, NULL, 5000, NULL, NULL), PTOOLS_OK);
    ck_assert_int_eq(ptools_future_wait(future, 0), PTOOLS_OK);
    ptools_future_free(future);
    end();
}
END_TEST

static void reads_one_call_and_stops(struct fake *s)
{
    struct msg_request r;

    fake_accept_hello(s);
    fake_next_call(s);
    while (fake_next(s, &r))
        FAKE_CHECK(r.kind == MSG_CALL);
}

START_TEST(each_call_leaves_when_it_is_started)
{
    ptools_future *future;

    begin(_i, expects_cancel); /* it waits for the first call before anything else happens */
    ck_assert_int_eq(ptools_remotecall(pt, NULL, "t.never", NULL, NULL, &future), PTOOLS_OK);
    ck_assert_int_eq(ptools_future_cancel(future), PTOOLS_OK);
    ck_assert_int_eq(ptools_future_wait(future, 5000), PTOOLS_OK);
    ck_assert_int_eq(ptools_future_failure(future)->code, PTOOLS_ERR_CANCELLED);
    ptools_future_free(future);
    ck_assert_int_eq(ptools_remotecall_fetch(pt, NULL, "t.x", NULL, NULL, 5000, NULL, NULL), PTOOLS_OK);
    end();
}
END_TEST

START_TEST(calls_that_nobody_answers_end_with_the_handle)
{
    ptools_future *futures[100];

    begin(_i, reads_one_call_and_stops);
    for (int i = 0; i < 100; i++)
        ck_assert_int_eq(ptools_remotecall(pt, NULL, "t.never", NULL, NULL, &futures[i]), PTOOLS_OK);
    pt = ptools_close(pt);
    for (int i = 0; i < 100; i++) {
        ck_assert_int_eq(ptools_future_fetch(futures[i], PTOOLS_FOREVER, NULL), PTOOLS_ERR_CLOSED);
        ptools_future_free(futures[i]);
    }
    end();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("lib/call");
    TCase *tc = suite_case(suite, "values");

    tcase_add_loop_test(tc, fetch_gives_the_value, 0, VIAS);
    tcase_add_loop_test(tc, values_of_all_sizes_come_whole, 0, VIAS);
    tcase_add_loop_test(tc, arguments_of_all_sizes_go_whole, 0, VIAS);
    tc = suite_case(suite, "failures");
    tcase_add_loop_test(tc, a_failure_tells_all_its_facts, 0, VIAS);
    tcase_add_loop_test(tc, wrong_calls_are_refused_here, 0, VIAS);
    tcase_add_loop_test(tc, a_message_over_the_daemons_limit_is_not_sent, 0, VIAS);
    tc = suite_case(suite, "times");
    tcase_add_loop_test(tc, options_reach_the_daemon, 0, VIAS);
    tcase_add_loop_test(tc, a_fetch_that_times_out_cancels, 0, VIAS);
    tcase_add_loop_test(tc, a_wait_that_times_out_leaves_a_future, 0, VIAS);
    tcase_add_loop_test(tc, each_call_leaves_when_it_is_started, 0, VIAS);
    tcase_add_loop_test(tc, calls_that_nobody_answers_end_with_the_handle, 0, VIAS);
    return suite_run(suite);
}
