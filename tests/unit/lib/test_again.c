/* SPDX-License-Identifier: MIT */
/*
 * test_again -- client/lib/again.c: connections that break under queued tasks: what is sent again, what must not be,
 * and what is lost.
 */
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/suite.h"
#include "tests/unit/lib/fake.h"

static const char epoch_a[] = "sixteen bytes: a", epoch_b[] = "sixteen bytes: b";

static struct fake f;
static ptools *pt;

static void begin(int via, fake_script *script)
{
    fake_begin(&f);
    f.epoch = epoch_a;
    fake_run(&f, script);
    pt = fake_open(&f, via);
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
    FAKE_CHECK(fake_accept_hello(s));
}

/* The next daemon says so. */
static void restarts(struct fake *s)
{
    s->epoch = epoch_b;
    breaks(s);
}

/* -- submits --------------------------------------------------------------------------------------------------- */

static void breaks_under_a_submit(struct fake *s)
{
    char key[16];
    struct msg_request r;
    uint64_t id;
    struct span payload;

    fake_accept_hello(s);
    fake_next_of(s, MSG_TASK_SUBMIT, &r);
    id = r.id;
    memcpy(key, r.submit.key.data, sizeof key);
    breaks(s);
    fake_next_of(s, MSG_TASK_SUBMIT, &r);
    FAKE_CHECK(r.id == id && r.submit.key_passing && memcmp(r.submit.key.data, key, sizeof key) == 0);
    payload = fake_payload(s);
    FAKE_CHECK(payload.n == 5 && memcmp(payload.data,
                                        "\x91\xa3"
                                        "abc",
                                        5) == 0);
    accepts(s, &r, 42);
    fake_until_closed(s);
}

START_TEST(a_submit_is_sent_again)
{
    ptools_worker_task task = PTOOLS_WORKER_TASK_INIT;
    ptools_pack *args = ptools_pack_new();
    uint64_t id = 0;

    begin(_i, breaks_under_a_submit);
    ptools_pack_str(args, "abc");
    task.function = "t.f";
    task.args = args;
    ck_assert_int_eq(ptools_queue_worker_task(pt, &task, &id), PTOOLS_OK);
    ck_assert_uint_eq(id, 42);
    ck_assert_ptr_null(ptools_last_failure(pt)); /* what it took is no failure */
    ptools_pack_free(args);
    end();
}
END_TEST

static void restarts_under_submits(struct fake *s)
{
    struct msg_request r;

    fake_accept_hello(s);
    for (int i = 0; i < 4; i++)
        fake_next_of(s, MSG_TASK_SUBMIT, &r);
    restarts(s);
    fake_next_of(s, MSG_TASK_SUBMIT, &r); /* all but the first */
    FAKE_CHECK(r.submit.idempotent);
    accepts(s, &r, 2);
    fake_next_of(s, MSG_TASK_SUBMIT, &r);
    FAKE_CHECK(r.submit.durability == TASK_CRASHSAFE);
    accepts(s, &r, 3);
    fake_next_of(s, MSG_TASK_SUBMIT, &r);
    FAKE_CHECK(r.submit.durability == TASK_DURABLE);
    accepts(s, &r, 4);
    fake_until_closed(s);
}

START_TEST(a_new_daemon_is_not_given_what_may_have_run)
{
    ptools_worker_task task = PTOOLS_WORKER_TASK_INIT;
    ptools_future *accepted[4];

    begin(_i, restarts_under_submits);
    task.function = "t.f";
    for (int i = 0; i < 4; i++) {
        task.flags = i == 1 ? PTOOLS_TASK_IDEMPOTENT : 0;
        task.durability = i == 2 ? PTOOLS_CRASHSAFE : i == 3 ? PTOOLS_DURABLE : 0;
        ck_assert_int_eq(ptools_queue_worker_task_start(pt, &task, &accepted[i]), PTOOLS_OK);
    }
    ck_assert_int_eq(ptools_wait_all(pt, accepted, 4, 5000), PTOOLS_OK);
    ck_assert_int_eq(ptools_future_fetch(accepted[0], 0, NULL), PTOOLS_ERR_LOST);
    ck_assert_ptr_nonnull(strstr(ptools_error_message(pt), "started anew"));
    ck_assert_ptr_nonnull(strstr(ptools_error_message(pt), "whether the task was accepted is unknown"));
    ck_assert(ptools_last_failure(pt)->maybe_executed);
    for (int i = 1; i < 4; i++)
        ck_assert_int_eq(ptools_future_fetch(accepted[i], 0, NULL), PTOOLS_OK);
    for (int i = 0; i < 4; i++)
        ptools_future_free(accepted[i]);
    end();
}
END_TEST

static void restarts_before_it_reads(struct fake *s)
{
    struct msg_request r;

    fake_accept_hello(s);
    fake_next_of(s, MSG_TASK_SUBMIT, &r);
    fake_wait_gate(s); /* what is behind it fills the socket */
    restarts(s);
    while (fake_next(s, &r))
        accepts(s, &r, 1);
}

START_TEST(what_never_left_is_sent_to_a_new_daemon)
{
    enum { TASKS = 8, BYTES = 200000 };
    static char large[BYTES];
    ptools_worker_task task = PTOOLS_WORKER_TASK_INIT;
    ptools_future *accepted[TASKS];
    ptools_pack *args = ptools_pack_new();

    begin(VIA_UNIX, restarts_before_it_reads);
    ptools_pack_bytes(args, large, sizeof large);
    task.function = "t.f";
    task.args = args;
    for (int i = 0; i < TASKS; i++)
        ck_assert_int_eq(ptools_queue_worker_task_start(pt, &task, &accepted[i]), PTOOLS_OK);
    fake_open_gate(&f);
    ck_assert_int_eq(ptools_wait_all(pt, accepted, TASKS, 5000), PTOOLS_OK);
    ck_assert_int_eq(ptools_future_fetch(accepted[0], 0, NULL), PTOOLS_ERR_LOST);
    ck_assert_int_eq(ptools_future_fetch(accepted[TASKS - 1], 0, NULL), PTOOLS_OK);
    for (int i = 0; i < TASKS; i++)
        ptools_future_free(accepted[i]);
    ptools_pack_free(args);
    end();
}
END_TEST

static void breaks_under_a_set(struct fake *s)
{
    struct msg_request r;

    fake_accept_hello(s);
    fake_next_of(s, MSG_SET_CREATE, &r);
    fake_reply(s, &(struct msg_answer){ .id = r.id, .reply = { .set_id = 3 } }, NULL);
    fake_next_of(s, MSG_TASK_SUBMIT, &r);
    breaks(s);
    fake_until_closed(s);
}

START_TEST(an_anonymous_set_ends_with_its_connection)
{
    static const uint32_t ids[] = { 1 };
    ptools_worker_task task = PTOOLS_WORKER_TASK_INIT;

    begin(_i, breaks_under_a_set);
    task.function = "t.f";
    task.target = PTOOLS_TARGET_SET;
    ck_assert_int_eq(ptools_workerset_create(pt, NULL, ids, 1, PTOOLS_WS_FF, &task.set), PTOOLS_OK);
    ck_assert_int_eq(ptools_queue_worker_task(pt, &task, NULL), PTOOLS_ERR_LOST);
    ck_assert_ptr_nonnull(strstr(ptools_error_message(pt), "anonymous"));
    ck_assert(ptools_last_failure(pt)->maybe_executed);
    ptools_workerset_free(task.set);
    end();
}
END_TEST

static void breaks_under_execute(struct fake *s)
{
    ptools_pack *value = ptools_pack_new();
    struct msg_request r, cancel;

    fake_accept_hello(s);
    fake_next_of(s, MSG_TASK_SUBMIT, &r);
    breaks(s);
    fake_next_of(s, MSG_TASK_SUBMIT, &r);
    FAKE_CHECK(r.submit.wait);
    ptools_pack_u64(value, 5);
    fake_reply(s, &(struct msg_answer){ .id = r.id, .reply = { .task = 4 } }, value);
    fake_next_of(s, MSG_TASK_SUBMIT, &r); /* the second is cancelled while nobody is there */
    fake_next_of(s, MSG_TASK_GET, &cancel);
    accepts(s, &cancel, 5);
    fake_hide(s);
    fake_close(s);
    fake_wait_gate(s);
    fake_show(s);
    FAKE_CHECK(fake_accept_hello(s));
    fake_next_of(s, MSG_TASK_SUBMIT, &r);
    fake_next_of(s, MSG_CANCEL, &cancel);
    FAKE_CHECK(cancel.cancel.request == r.id);
    fake_error(s, r.id, PTOOLS_ERR_CANCELLED, "cancelled on request");
    fake_until_closed(s);
    ptools_pack_free(value);
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

START_TEST(execute_goes_on)
{
    ptools_worker_task task = PTOOLS_WORKER_TASK_INIT;
    ptools_future *future;
    ptools_value value;
    struct pollfd p;
    uint64_t n;

    begin(_i, breaks_under_execute);
    task.function = "t.f";
    ck_assert_int_eq(ptools_execute_worker_task(pt, &task, 5000, &future, &value), PTOOLS_OK);
    ck_assert_int_eq(ptools_get_u64(value, &n), PTOOLS_OK);
    ck_assert_uint_eq(n, 5);
    ptools_future_free(future);
    ck_assert_int_eq(ptools_execute_worker_task(pt, &task, 0, &future, &value), PTOOLS_ERR_TIMEOUT);
    ck_assert_uint_eq(ptools_future_task(future), 5);
    p = (struct pollfd){ .fd = ptools_fd(pt), .events = ptools_events(pt) };
    ck_assert_int_eq(poll(&p, 1, 5000), 1);
    dispatch_into_a_pause();
    ck_assert_int_eq(ptools_future_cancel(future), PTOOLS_OK);
    ck_assert(!ptools_future_done(future));
    fake_open_gate(&f);
    ck_assert_int_eq(ptools_future_fetch(future, 5000, NULL), PTOOLS_ERR_CANCELLED);
    ptools_future_free(future);
    end();
}
END_TEST

/* -- what waits for the end ------------------------------------------------------------------------------------ */

static void breaks_under_waits(struct fake *s)
{
    ptools_pack *value = ptools_pack_new();
    struct msg_request r;

    fake_accept_hello(s);
    fake_next_of(s, MSG_TASK_RESULT, &r);
    breaks(s);
    fake_next_of(s, MSG_TASK_RESULT, &r);
    FAKE_CHECK(r.task.task == 5);
    breaks(s); /* once more */
    fake_next_of(s, MSG_TASK_RESULT, &r);
    ptools_pack_u64(value, 55);
    fake_reply(s, &(struct msg_answer){ .id = r.id, .reply = { .task = 5 } }, value);
    fake_next_of(s, MSG_TASK_WAIT, &r);
    breaks(s);
    fake_next_of(s, MSG_TASK_WAIT, &r);
    FAKE_CHECK(r.task.n_tasks == 2 && r.task.tasks[1] == 6);
    accepts(s, &r, 6);
    fake_until_closed(s);
    ptools_pack_free(value);
}

START_TEST(results_and_waits_go_on)
{
    static const uint64_t tasks[] = { 5, 6 };
    ptools_future *future;
    ptools_value value;
    size_t index;

    begin(_i, breaks_under_waits);
    ck_assert_int_eq(ptools_queued_result(pt, 5, &future), PTOOLS_OK);
    ck_assert_int_eq(ptools_future_fetch(future, 5000, &value), PTOOLS_OK);
    ptools_future_free(future);
    ck_assert_int_eq(ptools_queued_wait(pt, tasks, 2, true, 5000, &index), PTOOLS_OK);
    ck_assert_uint_eq(index, 1);
    end();
}
END_TEST

static void forgets(struct fake *s)
{
    struct msg_request r;

    fake_accept_hello(s);
    fake_next_of(s, MSG_TASK_RESULT, &r);
    breaks(s);
    fake_next_of(s, MSG_TASK_RESULT, &r);
    fake_error(s, r.id, PTOOLS_ERR_NO_TASK, "there is no task 5");
    fake_next_of(s, MSG_TASK_WAIT, &r);
    restarts(s);
    fake_next_of(s, MSG_TASK_WAIT, &r);
    fake_error(s, r.id, PTOOLS_ERR_NO_TASK, "there is no task 6");
    fake_until_closed(s);
}

START_TEST(what_is_not_known_any_more_is_lost)
{
    static const uint64_t tasks[] = { 6 };
    ptools_future *future;

    begin(_i, forgets);
    ck_assert_int_eq(ptools_queued_result(pt, 5, &future), PTOOLS_OK);
    ck_assert_int_eq(ptools_future_fetch(future, 5000, NULL), PTOOLS_ERR_LOST);
    ck_assert_ptr_nonnull(strstr(ptools_error_message(pt), "there is no task 5"));
    ck_assert_ptr_nonnull(strstr(ptools_error_message(pt), "forgotten meanwhile"));
    ck_assert(ptools_last_failure(pt)->maybe_executed);
    ck_assert_uint_eq(ptools_last_failure(pt)->task, 5);
    ptools_future_free(future);
    ck_assert_int_eq(ptools_queued_wait(pt, tasks, 1, false, 5000, NULL), PTOOLS_ERR_LOST);
    ck_assert_ptr_nonnull(strstr(ptools_error_message(pt), "a volatile task ends with its daemon"));
    end();
}
END_TEST

static void breaks_under_callbacks(struct fake *s)
{
    struct msg_request r;

    fake_accept_hello(s);
    for (uint64_t i = 1; i <= 2; i++) {
        fake_next_of(s, MSG_TASK_SUBMIT, &r);
        accepts(s, &r, i);
        fake_next_of(s, MSG_TASK_RESULT, &r);
    }
    restarts(s);
    for (uint64_t i = 1; i <= 2; i++) { /* in their order */
        fake_next_of(s, MSG_TASK_RESULT, &r);
        FAKE_CHECK(r.task.task == i);
        if (i == 1)
            accepts(s, &r, i);
        else
            fake_error(s, r.id, PTOOLS_ERR_NO_TASK, "there is no task 2");
    }
    fake_until_closed(s);
}

struct seen {
    unsigned calls;
    ptools_err codes[4];
};

static void note(uint64_t task, ptools_future *result, void *arg)
{
    struct seen *seen = arg;

    seen->codes[task] = ptools_future_fetch(result, 0, NULL);
    seen->calls++;
}

START_TEST(callbacks_come_all_the_same)
{
    ptools_worker_task task = PTOOLS_WORKER_TASK_INIT;
    struct seen seen = { 0 };

    begin(_i, breaks_under_callbacks);
    task.function = "t.f";
    task.callback = note;
    task.arg = &seen;
    ck_assert_int_eq(ptools_queue_worker_task(pt, &task, NULL), PTOOLS_OK);
    ck_assert_int_eq(ptools_queue_worker_task(pt, &task, NULL), PTOOLS_OK);
    while (seen.calls < 2)
        ck_assert_int_eq(ptools_dispatch(pt, 5000), PTOOLS_OK);
    ck_assert_int_eq(seen.codes[1], PTOOLS_OK);
    ck_assert_int_eq(seen.codes[2], PTOOLS_ERR_LOST);
    end();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("lib/again");
    TCase *tc = suite_case(suite, "submits");

    tcase_add_loop_test(tc, a_submit_is_sent_again, 0, VIAS);
    tcase_add_loop_test(tc, a_new_daemon_is_not_given_what_may_have_run, 0, VIAS);
    tcase_add_test(tc, what_never_left_is_sent_to_a_new_daemon);
    tcase_add_loop_test(tc, an_anonymous_set_ends_with_its_connection, 0, VIAS);
    tcase_add_loop_test(tc, execute_goes_on, 0, VIAS);
    tc = suite_case(suite, "waits");
    tcase_add_loop_test(tc, results_and_waits_go_on, 0, VIAS);
    tcase_add_loop_test(tc, what_is_not_known_any_more_is_lost, 0, VIAS);
    tcase_add_loop_test(tc, callbacks_come_all_the_same, 0, VIAS);
    return suite_run(suite);
}
