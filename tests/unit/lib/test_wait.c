/* SPDX-License-Identifier: MIT */
/*
 * test_wait -- client/lib/wait.c: waiting for one, any and all, and the dispatch that calls callbacks.
 */
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

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

static ptools_future *start(const char *function)
{
    ptools_future *future = NULL;

    ck_assert_int_eq(ptools_remotecall(pt, NULL, function, NULL, NULL, &future), PTOOLS_OK);
    return future;
}

static uint64_t number(ptools_future *future)
{
    ptools_value value;
    uint64_t n;

    ck_assert_int_eq(ptools_future_fetch(future, 0, &value), PTOOLS_OK);
    ck_assert_int_eq(ptools_get_u64(value, &n), PTOOLS_OK);
    return n;
}

static int64_t now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* -- waits ------------------------------------------------------------------------------------------------------- */

START_TEST(answers_out_of_order_find_their_calls)
{
    ptools_future *held[10], *release;

    begin(_i, fake_serve_one);
    for (int i = 0; i < 10; i++)
        held[i] = start("t.hold");
    ck_assert_int_eq(ptools_future_wait(held[0], 0), PTOOLS_ERR_TIMEOUT);
    release = start("t.release");
    ck_assert_int_eq(ptools_wait_all(pt, held, 10, 5000), PTOOLS_OK);
    for (int i = 0; i < 10; i++) {
        ck_assert_uint_eq(number(held[i]), (uint64_t)i);
        ptools_future_free(held[i]);
    }
    ck_assert_int_eq(ptools_future_wait(release, 5000), PTOOLS_OK);
    ptools_future_free(release);
    end();
}
END_TEST

START_TEST(wait_any_gives_the_lowest_that_is_done)
{
    ptools_future *futures[4] = { NULL };
    size_t index = 99;

    begin(_i, fake_serve_one);
    futures[1] = start("t.never");
    futures[2] = start("t.echo");
    futures[3] = start("t.echo");
    ck_assert_int_eq(ptools_future_wait(futures[3], 5000), PTOOLS_OK);
    ck_assert_int_eq(ptools_wait_any(pt, futures, 4, 5000, &index), PTOOLS_OK);
    ck_assert_uint_eq(index, 2);
    futures[2] = ptools_future_free(futures[2]);
    ck_assert_int_eq(ptools_wait_any(pt, futures, 4, 0, NULL), PTOOLS_OK);
    futures[3] = ptools_future_free(futures[3]);
    index = 99;
    ck_assert_int_eq(ptools_wait_any(pt, futures, 4, 20, &index), PTOOLS_ERR_TIMEOUT);
    ck_assert_int_eq(ptools_wait_all(pt, futures, 4, 20), PTOOLS_ERR_TIMEOUT);
    ck_assert_uint_eq(index, 99);
    futures[1] = ptools_future_free(futures[1]);
    ck_assert_int_eq(ptools_wait_any(pt, futures, 4, 20, &index), PTOOLS_ERR_INVALID);
    ck_assert_int_eq(ptools_wait_any(pt, NULL, 0, 20, &index), PTOOLS_ERR_INVALID);
    ck_assert_int_eq(ptools_wait_any(pt, NULL, 3, 20, &index), PTOOLS_ERR_INVALID);
    ck_assert_int_eq(ptools_wait_all(pt, futures, 4, 20), PTOOLS_OK);
    ck_assert_int_eq(ptools_wait_all(pt, NULL, 0, 20), PTOOLS_OK);
    ck_assert_int_eq(ptools_wait_all(pt, futures, 4, -7), PTOOLS_ERR_INVALID);
    end();
}
END_TEST

START_TEST(futures_of_another_handle_are_refused)
{
    struct fake g;
    ptools *other;
    ptools_future *future = NULL;

    begin(_i, fake_serve_one);
    fake_begin(&g);
    fake_run(&g, fake_serve_one);
    other = fake_open(&g, _i);
    ck_assert_int_eq(ptools_remotecall(other, NULL, "t.echo", NULL, NULL, &future), PTOOLS_OK);
    ck_assert_int_eq(ptools_wait_all(pt, &future, 1, 5000), PTOOLS_ERR_INVALID);
    ck_assert_ptr_nonnull(strstr(ptools_error_message(pt), "another handle"));
    ptools_future_free(future);
    ptools_close(other);
    fake_end(&g);
    end();
}
END_TEST

static void ignore(int sig)
{
    (void)sig;
}

START_TEST(signals_do_not_shorten_a_wait)
{
    struct sigaction action = { .sa_handler = ignore };
    timer_t timer;
    struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM };
    struct itimerspec often = { { 0, 3000000 }, { 0, 3000000 } };
    ptools_future *future;
    int64_t before;

    begin(_i, fake_serve_one);
    sigaction(SIGALRM, &action, NULL);
    ck_assert_int_eq(timer_create(CLOCK_MONOTONIC, &event, &timer), 0);
    ck_assert_int_eq(timer_settime(timer, 0, &often, NULL), 0);
    future = start("t.never");
    before = now_ms();
    ck_assert_int_eq(ptools_future_wait(future, 100), PTOOLS_ERR_TIMEOUT);
    ck_assert_int_ge(now_ms() - before, 99);
    timer_delete(timer);
    ptools_future_free(future);
    end();
}
END_TEST

/* -- dispatch ------------------------------------------------------------------------------------------------------ */

struct seen {
    int calls;
    ptools_future *last;
};

static void count(ptools_future *future, void *arg)
{
    struct seen *seen = arg;

    seen->calls++;
    seen->last = future;
}

START_TEST(callbacks_run_in_dispatch_alone)
{
    struct seen seen = { 0 }, other = { 0 };
    ptools_future *future;

    begin(_i, fake_serve_one);
    future = start("t.echo");
    ck_assert_int_eq(ptools_future_then(future, count, &other), PTOOLS_OK);
    ck_assert_int_eq(ptools_future_then(future, count, &seen), PTOOLS_OK); /* replaces it */
    ck_assert_int_eq(ptools_future_wait(future, 5000), PTOOLS_OK);
    ck_assert_int_eq(seen.calls, 0);
    ck_assert_int_eq(ptools_dispatch(pt, 5000), PTOOLS_OK);
    ck_assert_int_eq(seen.calls, 1);
    ck_assert_ptr_eq(seen.last, future);
    ck_assert_int_eq(ptools_dispatch(pt, 0), PTOOLS_ERR_AGAIN);
    ck_assert_int_eq(seen.calls, 1);
    ck_assert_int_eq(ptools_future_then(future, count, &seen), PTOOLS_OK); /* done already: due at once */
    ck_assert_int_eq(seen.calls, 1);
    ck_assert_int_eq(ptools_dispatch(pt, 5000), PTOOLS_OK);
    ck_assert_int_eq(seen.calls, 2);
    ck_assert_int_eq(other.calls, 0);
    ck_assert_int_eq(ptools_future_then(future, NULL, NULL), PTOOLS_ERR_INVALID);
    ptools_future_free(future);
    ck_assert_int_eq(ptools_dispatch(pt, -3), PTOOLS_ERR_INVALID);
    end();
}
END_TEST

START_TEST(a_freed_future_is_not_called)
{
    struct seen seen = { 0 };
    ptools_future *due, *flying, *last;

    begin(_i, fake_serve_one);
    due = start("t.echo");
    ptools_future_then(due, count, &seen);
    flying = start("t.echo");
    ptools_future_then(flying, count, &seen);
    ck_assert_int_eq(ptools_future_wait(due, 5000), PTOOLS_OK);
    ptools_future_free(due);
    ptools_future_free(flying);
    last = start("t.echo");
    ptools_future_then(last, count, &seen);
    while (seen.calls == 0)
        ck_assert_int_eq(ptools_dispatch(pt, 5000), PTOOLS_OK);
    ck_assert_ptr_eq(seen.last, last);
    ck_assert_int_eq(seen.calls, 1);
    ptools_future_free(last);
    end();
}
END_TEST

struct chain_of_calls {
    int left;
    int done;
};

static void next_call(ptools_future *future, void *arg)
{
    struct chain_of_calls *c = arg;

    ck_assert(ptools_future_done(future));
    ck_assert_int_eq(ptools_future_fetch(future, 0, NULL), PTOOLS_OK);
    ptools_future_free(future);
    c->done++;
    if (c->left > 0) {
        c->left--;
        ck_assert_int_eq(ptools_future_then(start("t.echo"), next_call, c), PTOOLS_OK);
    }
}

START_TEST(callbacks_free_and_start)
{
    struct chain_of_calls c = { 1000, 0 };

    begin(_i, fake_serve_one);
    for (int i = 0; i < 16; i++)
        ck_assert_int_eq(ptools_future_then(start("t.echo"), next_call, &c), PTOOLS_OK);
    while (c.done < 1016)
        ck_assert_int_eq(ptools_dispatch(pt, 5000), PTOOLS_OK);
    ck_assert_int_eq(ptools_dispatch(pt, 0), PTOOLS_ERR_AGAIN);
    end();
}
END_TEST

static void again_at_once(ptools_future *future, void *arg)
{
    struct seen *seen = arg;

    seen->calls++;
    ck_assert_int_eq(ptools_future_then(future, again_at_once, arg), PTOOLS_OK);
}

START_TEST(a_callback_that_asks_again_does_not_hold_dispatch)
{
    struct seen seen = { 0 };
    ptools_future *future;

    begin(VIA_UNIX, fake_serve_one);
    future = start("t.echo");
    ptools_future_then(future, again_at_once, &seen);
    ck_assert_int_eq(ptools_future_wait(future, 5000), PTOOLS_OK);
    ck_assert_int_eq(ptools_dispatch(pt, 5000), PTOOLS_OK);
    ck_assert_int_eq(seen.calls, 1);
    ck_assert_int_eq(ptools_dispatch(pt, 5000), PTOOLS_OK);
    ck_assert_int_eq(seen.calls, 2);
    ptools_future_free(future);
    end();
}
END_TEST

static void wait_inside(ptools_future *future, void *arg)
{
    ptools_future *inner = start("t.echo");

    (void)future;
    ck_assert_int_eq(ptools_future_wait(inner, 5000), PTOOLS_OK);
    ptools_future_free(inner);
    ck_assert_int_eq(ptools_dispatch(pt, 0), PTOOLS_ERR_AGAIN);
    ++*(int *)arg;
}

START_TEST(a_callback_may_wait_and_dispatch)
{
    ptools_future *future;
    int calls = 0;

    begin(_i, fake_serve_one);
    future = start("t.echo");
    ptools_future_then(future, wait_inside, &calls);
    while (calls == 0)
        ck_assert_int_eq(ptools_dispatch(pt, 5000), PTOOLS_OK);
    ptools_future_free(future);
    end();
}
END_TEST

static void close_inside(ptools_future *future, void *arg)
{
    ++*(int *)arg;
    pt = ptools_close(pt);
    ck_assert_ptr_null(pt);
    ptools_future_free(future);
}

START_TEST(a_callback_may_close_the_handle)
{
    ptools_future *futures[3];
    ptools_err err;
    int calls = 0;

    begin(_i, fake_serve_one);
    for (int i = 0; i < 3; i++)
        ptools_future_then(futures[i] = start("t.echo"), close_inside, &calls);
    ck_assert_int_eq(ptools_wait_all(pt, futures, 3, 5000), PTOOLS_OK);
    err = ptools_dispatch(pt, 5000);
    ck_assert_int_eq(err, PTOOLS_ERR_CLOSED);
    ck_assert_int_eq(calls, 1);
    ptools_future_free(futures[1]);
    ptools_future_free(futures[2]);
    end();
}
END_TEST

static void fork_inside(ptools_future *future, void *arg)
{
    (void)future;
    *(pid_t *)arg = fork();
}

START_TEST(a_callback_may_fork)
{
    struct seen seen = { 0 };
    ptools_future *first, *second;
    pid_t pid = -1;
    ptools_err err;
    int status;

    begin(_i, fake_serve_one);
    first = start("t.echo");
    second = start("t.echo");
    ptools_future_then(first, fork_inside, &pid);
    ptools_future_then(second, count, &seen);
    ck_assert_int_eq(ptools_future_wait(first, 5000), PTOOLS_OK);
    ck_assert_int_eq(ptools_future_wait(second, 5000), PTOOLS_OK);
    err = ptools_dispatch(pt, 5000);
    if (pid == 0)
        _exit(err == PTOOLS_ERR_FORKED && seen.calls == 0 ? 0 : 1);
    ck_assert_int_eq(err, PTOOLS_OK);
    ck_assert_int_eq(seen.calls, 1);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    ptools_future_free(first);
    ptools_future_free(second);
    end();
}
END_TEST

/* -- the caller's own loop ----------------------------------------------------------------------------------------- */

START_TEST(poll_and_dispatch)
{
    struct chain_of_calls c = { 50, 0 };

    begin(_i, fake_serve_one);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(ptools_future_then(start("t.echo"), next_call, &c), PTOOLS_OK);
    while (c.done < 54) {
        struct pollfd p = { .fd = ptools_fd(pt), .events = ptools_events(pt) };

        ck_assert_int_ge(p.fd, 0);
        ck_assert_int_eq(poll(&p, 1, 5000), 1);
        while (ptools_dispatch(pt, 0) == PTOOLS_OK)
            ;
    }
    end();
}
END_TEST

/* What a wait has taken in already makes no noise on the descriptor: the events must say so. */
START_TEST(poll_wakes_for_callbacks_that_are_due)
{
    struct seen seen = { 0 };
    ptools_future *first, *second;
    struct pollfd p;

    begin(_i, fake_serve_one);
    first = start("t.echo");
    ptools_future_then(first, count, &seen);
    second = start("t.echo");
    ck_assert_int_eq(ptools_future_wait(second, 5000), PTOOLS_OK);
    p = (struct pollfd){ .fd = ptools_fd(pt), .events = ptools_events(pt) };
    ck_assert_int_eq(poll(&p, 1, 5000), 1);
    ck_assert_int_eq(ptools_dispatch(pt, 0), PTOOLS_OK);
    ck_assert_int_eq(seen.calls, 1);
    while (ptools_dispatch(pt, 0) == PTOOLS_OK)
        ;
    p = (struct pollfd){ .fd = ptools_fd(pt), .events = ptools_events(pt) };
    ck_assert_int_eq(poll(&p, 1, 0), 0); /* and is quiet afterwards */
    ptools_future_free(first);
    ptools_future_free(second);
    end();
}
END_TEST

START_TEST(poll_wakes_when_the_connection_ends)
{
    struct seen seen = { 0 };
    ptools_future *never, *drop;
    ptools_err err = PTOOLS_OK;

    begin(_i, fake_serve_one);
    never = start("t.never");
    ptools_future_then(never, count, &seen);
    drop = start("t.drop");
    while (err != PTOOLS_ERR_LOST) {
        struct pollfd p = { .fd = ptools_fd(pt), .events = ptools_events(pt) };

        ck_assert_int_ge(p.fd, 0);
        ck_assert_int_eq(poll(&p, 1, 5000), 1);
        while ((err = ptools_dispatch(pt, 0)) == PTOOLS_OK)
            ;
    }
    ck_assert_int_eq(seen.calls, 1);
    ck_assert_ptr_nonnull(strstr(ptools_error_message(pt), f.dir));
    ck_assert_int_eq(ptools_future_failure(never)->code, PTOOLS_ERR_LOST);
    ck_assert(ptools_future_failure(never)->maybe_executed);
    ck_assert_int_eq(ptools_future_failure(drop)->code, PTOOLS_ERR_LOST);
    ck_assert_int_eq(ptools_fd(pt), -1);
    ck_assert_int_eq(ptools_events(pt), 0);
    ck_assert_int_eq(ptools_dispatch(pt, PTOOLS_FOREVER), PTOOLS_ERR_LOST);
    ptools_future_free(never);
    ptools_future_free(drop);
    end();
}
END_TEST

/* The loss is noticed in a wait: a loop that polls must still hear of it. */
START_TEST(poll_wakes_for_a_loss_that_a_wait_saw)
{
    struct seen seen = { 0 };
    ptools_future *never, *drop;
    struct pollfd p;
    ptools_err err;

    begin(_i, fake_serve_one);
    never = start("t.never");
    ptools_future_then(never, count, &seen);
    drop = start("t.drop");
    ck_assert_int_eq(ptools_future_wait(drop, 5000), PTOOLS_OK);
    ck_assert_int_eq(seen.calls, 0);
    p = (struct pollfd){ .fd = ptools_fd(pt), .events = ptools_events(pt) };
    ck_assert_int_ge(p.fd, 0);
    ck_assert_int_eq(poll(&p, 1, 5000), 1);
    while ((err = ptools_dispatch(pt, 0)) == PTOOLS_OK)
        ;
    ck_assert_int_eq(err, PTOOLS_ERR_LOST);
    ck_assert_int_eq(seen.calls, 1);
    ptools_future_free(never);
    ptools_future_free(drop);
    end();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("lib/wait");
    TCase *tc = suite_case(suite, "waits");

    tcase_add_loop_test(tc, answers_out_of_order_find_their_calls, 0, VIAS);
    tcase_add_loop_test(tc, wait_any_gives_the_lowest_that_is_done, 0, VIAS);
    tcase_add_loop_test(tc, futures_of_another_handle_are_refused, 0, VIAS);
    tcase_add_loop_test(tc, signals_do_not_shorten_a_wait, 0, VIAS);
    tc = suite_case(suite, "dispatch");
    tcase_add_loop_test(tc, callbacks_run_in_dispatch_alone, 0, VIAS);
    tcase_add_loop_test(tc, a_freed_future_is_not_called, 0, VIAS);
    tcase_add_loop_test(tc, callbacks_free_and_start, 0, VIAS);
    tcase_add_test(tc, a_callback_that_asks_again_does_not_hold_dispatch);
    tcase_add_loop_test(tc, a_callback_may_wait_and_dispatch, 0, VIAS);
    tcase_add_loop_test(tc, a_callback_may_close_the_handle, 0, VIAS);
    tcase_add_loop_test(tc, a_callback_may_fork, 0, VIAS);
    tc = suite_case(suite, "own loop");
    tcase_add_loop_test(tc, poll_and_dispatch, 0, VIAS);
    tcase_add_loop_test(tc, poll_wakes_for_callbacks_that_are_due, 0, VIAS);
    tcase_add_loop_test(tc, poll_wakes_when_the_connection_ends, 0, VIAS);
    tcase_add_loop_test(tc, poll_wakes_for_a_loss_that_a_wait_saw, 0, VIAS);
    return suite_run(suite);
}
