/* SPDX-License-Identifier: MIT */
/*
 * Queued tasks against a real daemon: the calls, and their callbacks. Who may run a task is in test_queue_targets.c,
 * the order in test_queue_order.c, what becomes of a task in test_queue_life.c, what outlives the daemon in
 * test_queue_restart.c.
 */
#include <stdio.h>
#include <string.h>

#include "tests/integration/queue_rig.h"
#include "tests/support/suite.h"

enum { WORKERS = 3, TASKS = 10 };

static struct queue_rig q;

static void setup(void)
{
    queue_up(&q, WORKERS, NULL);
}

static void teardown(void)
{
    queue_down(&q);
}

/* -- the original -------------------------------------------------------------------------------------------- */

struct reversed {
    unsigned called;
    bool seen[TASKS];
};

static void assert_reversed(ptools_value value, unsigned i)
{
    char expected[64];
    const char *s;
    size_t n;

    snprintf(expected, sizeof expected, "saw I ere I saw elba %u", i);
    ck_assert_ptools(ptools_get_str(value, &s, &n));
    ck_assert_msg(n == strlen(expected) && memcmp(s, expected, n) == 0, "%.*s is not %s", (int)n, s, expected);
}

static void on_reversed(uint64_t task, ptools_future *result, void *arg)
{
    struct reversed *r = arg;
    unsigned i = TASKS;
    ptools_value value;
    const char *s;
    size_t n;

    ck_assert_ptools(ptools_future_fetch(result, 0, &value));
    ck_assert_uint_eq(task, ptools_future_task(result));
    ck_assert_ptools(ptools_get_str(value, &s, &n));
    ck_assert_int_eq(sscanf(s + n - 1, "%1u", &i), 1);
    ck_assert_uint_lt(i, TASKS);
    assert_reversed(value, i);
    ck_assert(!r->seen[i]);
    r->seen[i] = true;
    r->called++;
}

static void reverse_of(ptools_worker_task *task, ptools_pack *args, unsigned i)
{
    char text[64];

    snprintf(text, sizeof text, "%u able was I ere I was", i);
    ptools_pack_reset(args);
    ptools_pack_str(args, text);
    *task = queue_task_of("text.reverse", args);
}

START_TEST(ten_with_callbacks_and_ten_that_are_waited_for)
{
    PTOOLS_AUTO(ptools_pack) args = ptools_pack_new();
    struct reversed reversed = { 0 };
    ptools_worker_task task;
    uint32_t n = 0;

    ck_assert_ptools(ptools_prep_remotes(q.pt, false));
    ck_assert_ptools(ptools_num_remotes(q.pt, &n));
    ck_assert_uint_eq(n, WORKERS);
    for (unsigned i = 0; i < TASKS; i++) {
        reverse_of(&task, args, i);
        task.callback = on_reversed;
        task.arg = &reversed;
        queue_put(q.pt, &task);
    }
    while (reversed.called < TASKS)
        ck_assert_ptools(ptools_dispatch(q.pt, QUEUE_WAIT_MS));
    for (unsigned i = 0; i < TASKS; i++) {
        PTOOLS_AUTO(ptools_future) f = NULL;
        ptools_value value;

        reverse_of(&task, args, i);
        ck_assert_ptools(ptools_execute_worker_task(q.pt, &task, QUEUE_WAIT_MS, &f, &value));
        assert_reversed(value, i);
    }
    ck_assert_uint_eq(reversed.called, TASKS);
}
END_TEST

START_TEST(remotes_are_learnt_once)
{
    uint32_t n = 0;

    ck_assert_ptools(ptools_num_remotes(q.pt, &n)); /* asks, if nobody has */
    ck_assert_uint_eq(n, WORKERS);
    ck_assert_ptools(ptools_workers_add(q.pt, 2, NULL));
    ck_assert_ptools(ptools_prep_remotes(q.pt, false)); /* what is known is kept */
    ck_assert_ptools(ptools_num_remotes(q.pt, &n));
    ck_assert_uint_eq(n, WORKERS);
    ck_assert_ptools(ptools_prep_remotes(q.pt, true));
    ck_assert_ptools(ptools_num_remotes(q.pt, &n));
    ck_assert_uint_eq(n, WORKERS + 2);
}
END_TEST

START_TEST(what_fails_says_so)
{
    PTOOLS_AUTO(ptools_pack) args = ptools_pack_new();
    PTOOLS_AUTO(ptools_future) f = NULL;
    ptools_worker_task task = queue_task_of("t.fail", args);
    const ptools_failure *failure;

    ptools_pack_str(args, "its own words");
    ck_assert_err(ptools_execute_worker_task(q.pt, &task, QUEUE_WAIT_MS, &f, NULL), PTOOLS_ERR_FAILED);
    failure = ptools_last_failure(q.pt);
    ck_assert_str_eq(failure->message, "its own words");
    ck_assert(failure->maybe_executed);
    ck_assert_uint_ge(failure->worker, 1);
    ck_assert_uint_eq(failure->attempt, 1);
    queue_failed_with(q.pt, failure->task, PTOOLS_ERR_FAILED, "its own words");
    task.function = "t.no_such";
    queue_refused(q.pt, &task, PTOOLS_ERR_NO_FUNCTION);
    task.function = "no_such.f";
    queue_refused(q.pt, &task, PTOOLS_ERR_NO_MODULE);
}
END_TEST

START_TEST(a_wait_that_is_over_leaves_the_task)
{
    PTOOLS_AUTO(ptools_future) f = NULL;
    ptools_worker_task task = queue_task_of("t.nop", NULL);
    uint64_t id;

    task.flags = PTOOLS_TASK_HOLD;
    ck_assert_err(ptools_execute_worker_task(q.pt, &task, 500, &f, NULL), PTOOLS_ERR_TIMEOUT);
    ck_assert_ptr_nonnull(f);
    ck_assert_uint_gt(id = ptools_future_task(f), 0);
    ck_assert_int_eq(queue_state(q.pt, id), PTOOLS_QUEUED_WAITING);
    ck_assert_ptools(ptools_future_cancel(f));
    ck_assert_err(ptools_future_fetch(f, QUEUE_WAIT_MS, NULL), PTOOLS_ERR_CANCELLED);
    queue_ends(q.pt, id, PTOOLS_QUEUED_CANCELLED);
}
END_TEST

START_TEST(started_and_accepted_later)
{
    ptools_worker_task task = queue_task_of("t.id", NULL);
    ptools_future *accepted[TASKS];

    for (unsigned i = 0; i < TASKS; i++)
        ck_assert_ptools(ptools_queue_worker_task_start(q.pt, &task, &accepted[i]));
    ck_assert_ptools(ptools_wait_all(q.pt, accepted, TASKS, QUEUE_WAIT_MS));
    for (unsigned i = 0; i < TASKS; i++) {
        ck_assert_ptools(ptools_future_fetch(accepted[i], 0, NULL));
        queue_ends(q.pt, ptools_future_task(accepted[i]), PTOOLS_QUEUED_DONE);
        ptools_future_free(accepted[i]);
    }
}
END_TEST

/* -- callbacks ----------------------------------------------------------------------------------------------- */

struct chain {
    unsigned left, called;
    uint64_t last;
};

static void queue_next(uint64_t task, ptools_future *result, void *arg)
{
    ptools_worker_task next = queue_task_of("t.nop", NULL);
    struct chain *c = arg;

    ck_assert_ptools(ptools_future_fetch(result, 0, NULL));
    ck_assert_uint_ne(task, c->last);
    c->last = task;
    c->called++;
    if (c->left == 0)
        return;
    c->left--;
    next.callback = queue_next;
    next.arg = arg;
    queue_put(q.pt, &next);
}

START_TEST(a_callback_may_queue_more)
{
    ptools_worker_task task = queue_task_of("t.nop", NULL);
    struct chain c = { .left = 99 };

    task.callback = queue_next;
    task.arg = &c;
    queue_put(q.pt, &task);
    while (c.called < 100)
        ck_assert_ptools(ptools_dispatch(q.pt, QUEUE_WAIT_MS));
    ck_assert_int_ne(ptools_dispatch(q.pt, 0), PTOOLS_OK); /* once each: nothing is left to be called */
    ck_assert_uint_eq(c.called, 100);
}
END_TEST

/* Whoever does not dispatch holds nobody up: not the workers, not other clients, not its own tasks. */
START_TEST(callbacks_hold_no_worker_up)
{
    ptools_worker_task task = queue_task_of("t.nop", NULL);
    ptools *other = server_open(&q.server);
    struct chain c = { 0 };
    uint64_t last = 0;

    task.callback = queue_next;
    task.arg = &c;
    for (unsigned i = 0; i < 200; i++)
        last = queue_put(q.pt, &task);
    queue_ends(other, last, PTOOLS_QUEUED_DONE);
    task.callback = NULL;
    queue_ends(other, queue_put(other, &task), PTOOLS_QUEUED_DONE);
    ck_assert_uint_eq(c.called, 0); /* in dispatch, and nowhere else */
    while (c.called < 200)
        ck_assert_ptools(ptools_dispatch(q.pt, QUEUE_WAIT_MS));
    ck_assert_int_ne(ptools_dispatch(q.pt, 0), PTOOLS_OK);
    ck_assert_uint_eq(c.called, 200);
    ptools_close(other);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("queue");
    TCase *tc = suite_case(suite, "calls");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, ten_with_callbacks_and_ten_that_are_waited_for);
    tcase_add_test(tc, remotes_are_learnt_once);
    tcase_add_test(tc, what_fails_says_so);
    tcase_add_test(tc, a_wait_that_is_over_leaves_the_task);
    tcase_add_test(tc, started_and_accepted_later);
    tcase_add_test(tc, a_callback_may_queue_more);
    tcase_add_test(tc, callbacks_hold_no_worker_up);
    return suite_run(suite);
}
