/* SPDX-License-Identifier: MIT */
/*
 * test_reconnect -- client/lib/again.c: how waits, dispatches, calls and a loop of the user's make the next connection,
 * and when they give up.
 */
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/lib/clock.h"
#include "tests/support/suite.h"
#include "tests/unit/lib/fake.h"

enum { WITHIN_MS = 1000 }; /* long enough for a hello on a busy machine */

static struct fake f;
static ptools *pt;

static void begin_within(int via, fake_script *script, int64_t connect_timeout_ms)
{
    ptools_options options = PTOOLS_OPTIONS_INIT;

    fake_begin(&f);
    fake_run(&f, script);
    options.address = fake_address(&f, via);
    options.connect_timeout_ms = connect_timeout_ms;
    ck_assert_int_eq(ptools_open(&options, &pt, NULL), PTOOLS_OK);
}

static void begin(int via, fake_script *script)
{
    begin_within(via, script, 0);
}

static void end(void)
{
    ptools_close(pt);
    fake_end(&f);
}

static void accepts(struct fake *s, const struct msg_request *r, uint64_t task)
{
    fake_reply(s, &(struct msg_answer){ .id = r->id, .reply = { .task = task } }, NULL);
}

/* Closes, and the next connection is there. */
static void breaks(struct fake *s)
{
    fake_close(s);
    fake_accept_again(s);
}

/* Until the daemon is known to be gone. */
static void dispatch_into_a_pause(void)
{
    struct pollfd p = { .events = POLLIN };

    do {
        while (ptools_dispatch(pt, 0) == PTOOLS_OK)
            ;
        p.fd = ptools_fd(pt);
        ck_assert_int_ge(p.fd, 0);
    } while (poll(&p, 1, 0) != 0);
}

static void turns_away(struct fake *s)
{
    struct msg_request r;

    fake_accept_hello(s);
    fake_next_of(s, MSG_TASK_RESULT, &r);
    for (int i = 0; i < 5; i++) { /* as one that comes up, or is full */
        fake_close(s);
        if (fake_accept(s) && i % 2) {
            FAKE_CHECK(fake_next(s, &r));
            fake_error(s, r.id, PTOOLS_ERR_LIMIT, "too many connections");
            fake_until_closed(s);
        }
    }
    breaks(s);
    fake_next_of(s, MSG_TASK_RESULT, &r);
    accepts(s, &r, 5);
    fake_until_closed(s);
}

START_TEST(attempts_are_repeated)
{
    ptools_future *future;

    begin(_i, turns_away);
    ck_assert_int_eq(ptools_queued_result(pt, 5, &future), PTOOLS_OK);
    ck_assert_int_eq(ptools_future_wait(future, 10000), PTOOLS_OK);
    ck_assert_int_eq(ptools_future_fetch(future, 0, NULL), PTOOLS_OK);
    ptools_future_free(future);
    end();
}
END_TEST

static void goes_for_a_while(struct fake *s)
{
    struct msg_request r;

    fake_accept_hello(s);
    fake_next_of(s, MSG_TASK_RESULT, &r);
    fake_hide(s);
    fake_close(s);
    fake_wait_gate(s);
    fake_show(s);
    fake_accept_again(s);
    fake_next_of(s, MSG_TASK_RESULT, &r);
    accepts(s, &r, 5);
    fake_until_closed(s);
}

static void count(ptools_future *future, void *arg)
{
    (void)future;
    ++*(unsigned *)arg;
}

START_TEST(a_loop_of_ones_own_is_woken)
{
    ptools_future *future;
    unsigned calls = 0, rounds = 0;

    begin(_i, goes_for_a_while);
    ck_assert_int_eq(ptools_queued_result(pt, 5, &future), PTOOLS_OK);
    ck_assert_int_eq(ptools_future_then(future, count, &calls), PTOOLS_OK);
    while (calls == 0) {
        struct pollfd p = { .fd = ptools_fd(pt), .events = ptools_events(pt) };

        ck_assert_int_ge(p.fd, 0);
        ck_assert_int_eq(poll(&p, 1, 5000), 1);
        while (ptools_dispatch(pt, 0) == PTOOLS_OK)
            ;
        if (++rounds == 5) /* it has tried in vain by now */
            fake_open_gate(&f);
    }
    ck_assert_int_eq(ptools_future_fetch(future, 0, NULL), PTOOLS_OK);
    ptools_future_free(future);
    end();
}
END_TEST

START_TEST(a_short_wait_does_not_hold)
{
    ptools_future *future;
    ptools_err err;

    begin(_i, goes_for_a_while);
    ck_assert_int_eq(ptools_queued_result(pt, 5, &future), PTOOLS_OK);
    dispatch_into_a_pause();
    ck_assert_int_eq(ptools_future_wait(future, 0), PTOOLS_ERR_TIMEOUT);
    ck_assert_int_eq(ptools_future_wait(future, 20), PTOOLS_ERR_TIMEOUT);
    while ((err = ptools_dispatch(pt, 0)) == PTOOLS_OK) /* an attempt may be due */
        ;
    ck_assert_int_eq(err, PTOOLS_ERR_AGAIN);
    fake_open_gate(&f);
    ck_assert_int_eq(ptools_future_wait(future, 5000), PTOOLS_OK);
    ptools_future_free(future);
    end();
}
END_TEST

static void goes_for_good(struct fake *s)
{
    struct msg_request r;

    fake_accept_hello(s);
    fake_next_of(s, MSG_TASK_RESULT, &r);
    fake_next_of(s, MSG_TASK_RESULT, &r);
    fake_hide(s);
    fake_close(s);
    fake_wait_gate(s);
    fake_show(s);
}

START_TEST(the_connect_timeout_is_the_end)
{
    ptools_future *futures[2];
    unsigned calls = 0;
    struct pollfd p;

    begin_within(_i, goes_for_good, WITHIN_MS);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(ptools_queued_result(pt, 5, &futures[i]), PTOOLS_OK);
    ck_assert_int_eq(ptools_future_then(futures[1], count, &calls), PTOOLS_OK);
    ck_assert_int_eq(ptools_future_wait(futures[0], PTOOLS_FOREVER), PTOOLS_OK);
    ck_assert_int_eq(ptools_future_fetch(futures[0], 0, NULL), PTOOLS_ERR_LOST);
    ck_assert_ptr_nonnull(strstr(ptools_error_message(pt), f.dir));
    ck_assert_ptr_nonnull(strstr(ptools_error_message(pt), "within 1000 ms"));
    ck_assert_ptr_nonnull(strstr(ptools_error_message(pt), "how the task ends is unknown"));
    ck_assert(ptools_last_failure(pt)->maybe_executed);
    p = (struct pollfd){ .fd = ptools_fd(pt), .events = ptools_events(pt) };
    ck_assert_int_ge(p.fd, 0); /* a callback is due */
    ck_assert_int_eq(poll(&p, 1, 5000), 1);
    ck_assert_int_eq(ptools_dispatch(pt, 0), PTOOLS_OK);
    ck_assert_uint_eq(calls, 1);
    ck_assert_int_eq(ptools_dispatch(pt, PTOOLS_FOREVER), PTOOLS_ERR_LOST);
    ck_assert_int_eq(ptools_fd(pt), -1);
    ck_assert_int_eq(ptools_events(pt), 0);
    for (int i = 0; i < 2; i++)
        ptools_future_free(futures[i]);
    fake_open_gate(&f);
    end();
}
END_TEST

static void is_away(struct fake *s)
{
    struct msg_request r;

    fake_accept_hello(s);
    fake_hide(s);
    fake_close(s);
    fake_wait_gate(s);
    poll(NULL, 0, 50); /* so long: nothing is waited for */
    fake_show(s);
    fake_accept_again(s);
    fake_next_of(s, MSG_TASK_SUBMIT, &r);
    accepts(s, &r, 42);
    fake_next_of(s, MSG_TASK_SUBMIT, &r);
    accepts(s, &r, 43);
    fake_until_closed(s);
}

START_TEST(what_is_queued_while_it_is_away_waits_for_it)
{
    ptools_worker_task task = PTOOLS_WORKER_TASK_INIT;
    ptools_future *accepted;
    uint64_t id = 0;

    begin(_i, is_away);
    while (ptools_dispatch(pt, 5000) == PTOOLS_OK)
        ;
    fake_open_gate(&f);
    task.function = "t.f";
    ck_assert_int_eq(ptools_queue_worker_task_start(pt, &task, &accepted), PTOOLS_OK);
    ck_assert_ptr_null(strstr(ptools_error_message(pt), "nobody serves")); /* what it took is no failure */
    ck_assert_int_eq(ptools_future_fetch(accepted, 5000, NULL), PTOOLS_OK);
    ck_assert_uint_eq(ptools_future_task(accepted), 42);
    ck_assert_int_eq(ptools_queue_worker_task(pt, &task, &id), PTOOLS_OK);
    ck_assert_uint_eq(id, 43);
    ptools_future_free(accepted);
    end();
}
END_TEST

static void leaves(struct fake *s)
{
    fake_accept_hello(s);
    fake_hide(s);
    fake_close(s);
    fake_wait_gate(s);
    fake_show(s);
}

/* By libzmq, it may also be known by the time it took. */
static bool nobody(ptools_err err)
{
    return err == PTOOLS_ERR_NO_DAEMON || err == PTOOLS_ERR_TIMEOUT;
}

START_TEST(it_is_waited_for_once)
{
    ptools_worker_task task = PTOOLS_WORKER_TASK_INIT;
    const uint64_t before_us = clock_now_us();
    ptools_future *accepted;
    uint64_t after_us;

    begin_within(_i, leaves, WITHIN_MS);
    while (ptools_dispatch(pt, 5000) == PTOOLS_OK)
        ;
    task.function = "t.f";
    ck_assert(nobody(ptools_queue_worker_task_start(pt, &task, &accepted)));
    after_us = clock_now_us();
    ck_assert_uint_ge(after_us - before_us, WITHIN_MS * 1000);
    for (int i = 0; i < 100; i++)
        ck_assert(nobody(ptools_queue_worker_task_start(pt, &task, &accepted)));
    ck_assert_uint_lt(clock_now_us() - after_us, 100 * WITHIN_MS * 1000);
    fake_open_gate(&f);
    end();
}
END_TEST

START_TEST(closing_and_forking_in_a_pause)
{
    ptools_future *futures[2];
    int status;
    pid_t child;

    begin(_i, goes_for_good);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(ptools_queued_result(pt, 5, &futures[i]), PTOOLS_OK);
    dispatch_into_a_pause();
    child = fork();
    if (child == 0) {
        bool good = ptools_fd(pt) == -1 && ptools_future_wait(futures[0], 0) == PTOOLS_ERR_FORKED &&
                    ptools_future_cancel(futures[0]) == PTOOLS_ERR_FORKED;

        ptools_future_free(futures[0]);
        ptools_close(pt);
        ptools_future_free(futures[1]);
        _exit(good ? 0 : 1);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    ptools_future_free(futures[0]);
    pt = ptools_close(pt);
    ck_assert_int_eq(ptools_future_fetch(futures[1], 0, NULL), PTOOLS_ERR_CLOSED);
    ck_assert(ptools_future_failure(futures[1])->maybe_executed);
    ptools_future_free(futures[1]);
    fake_open_gate(&f);
    fake_end(&f);
}
END_TEST

static void breaks_under_everything(struct fake *s)
{
    struct msg_request r;

    fake_accept_hello(s);
    fake_next_of(s, MSG_TASK_RESULT, &r);
    fake_next_of(s, MSG_CALL, &r);
    fake_close(s);
    fake_accept_again(s);
    fake_next_of(s, MSG_TASK_RESULT, &r);
    accepts(s, &r, 5);
    fake_next_of(s, MSG_TASK_WHY, &r); /* the call that made the connection */
    fake_reply(s, &(struct msg_answer){ .id = r.id, .reply = { .reason = { "so", 2 } } }, NULL);
    fake_until_closed(s);
}

/* A call is never sent again, whatever else is. */
START_TEST(the_next_call_connects_for_all)
{
    ptools_future *result, *call;
    const char *reason;

    begin(_i, breaks_under_everything);
    ck_assert_int_eq(ptools_queued_result(pt, 5, &result), PTOOLS_OK);
    ck_assert_int_eq(ptools_remotecall(pt, NULL, "t.never", NULL, NULL, &call), PTOOLS_OK);
    ck_assert_int_eq(ptools_future_fetch(call, 5000, NULL), PTOOLS_ERR_LOST);
    ck_assert_int_eq(ptools_queued_why(pt, 5, &reason), PTOOLS_OK);
    ck_assert_str_eq(reason, "so");
    ck_assert_int_eq(ptools_future_wait(result, 5000), PTOOLS_OK);
    ck_assert_int_eq(ptools_future_fetch(result, 0, NULL), PTOOLS_OK);
    ptools_future_free(result);
    ptools_future_free(call);
    end();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("lib/reconnect");
    TCase *tc = suite_case(suite, "connections");

    tcase_add_loop_test(tc, attempts_are_repeated, 0, VIAS);
    tcase_add_loop_test(tc, a_loop_of_ones_own_is_woken, 0, VIAS);
    tcase_add_loop_test(tc, a_short_wait_does_not_hold, 0, VIAS);
    tcase_add_loop_test(tc, the_connect_timeout_is_the_end, 0, VIAS);
    tcase_add_loop_test(tc, what_is_queued_while_it_is_away_waits_for_it, 0, VIAS);
    tcase_add_loop_test(tc, it_is_waited_for_once, 0, VIAS);
    tcase_add_loop_test(tc, closing_and_forking_in_a_pause, 0, VIAS);
    tcase_add_loop_test(tc, the_next_call_connects_for_all, 0, VIAS);
    return suite_run(suite);
}
