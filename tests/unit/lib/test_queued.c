/* SPDX-License-Identifier: MIT */
/*
 * test_queued -- client/lib/queued.c: queued tasks by their ids: results, waits, changes, reasons.
 */
#include <math.h>
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

static void reply_task(struct fake *s, uint64_t id, uint64_t task)
{
    fake_reply(s, &(struct msg_answer){ .id = id, .reply = { .task = task, .state = SHOWN_DONE } }, NULL);
}

static void reply_counts(struct fake *s, uint64_t id, uint32_t count, uint32_t skipped)
{
    fake_reply(s, &(struct msg_answer){ .id = id, .reply = { .count = count, .skipped = skipped } }, NULL);
}

static void refuse_as(struct fake *s, uint64_t id, ptools_err code, uint32_t state)
{
    static const char text[] = "that cannot be done";

    fake_reply(
        s,
        &(struct msg_answer){ .failed = true,
                              .id = id,
                              .failure = { .code = code, .message = { text, sizeof text - 1 }, .state = state } },
        NULL);
}

static void idle(struct fake *s)
{
    fake_accept_hello(s);
    fake_until_closed(s);
}

/* -- waiting --------------------------------------------------------------------------------------------------- */

static void gives_results(struct fake *s)
{
    ptools_pack *value = ptools_pack_new();
    struct msg_request r, other;

    fake_accept_hello(s);
    fake_next_of(s, MSG_TASK_RESULT, &r);
    FAKE_CHECK(r.task.task == 5);
    ptools_pack_str(value, "five");
    fake_reply(s, &(struct msg_answer){ .id = r.id, .reply = { .task = 5, .worker = 1, .attempt = 2 } }, value);
    fake_next_of(s, MSG_TASK_RESULT, &r);
    fake_error(s, r.id, PTOOLS_ERR_NO_TASK, "there is no task 6");
    fake_next_of(s, MSG_TASK_RESULT, &r); /* freed before its end: the daemon need not keep it */
    fake_next_of(s, MSG_CANCEL, &other);
    FAKE_CHECK(other.cancel.request == r.id);
    fake_next_of(s, MSG_TASK_RESULT, &r); /* cancelled: the same */
    fake_next_of(s, MSG_CANCEL, &other);
    FAKE_CHECK(other.cancel.request == r.id);
    fake_until_closed(s);
    ptools_pack_free(value);
}

START_TEST(results_are_futures)
{
    ptools_future *future;
    ptools_value value;

    begin(_i, gives_results);
    ck_assert_int_eq(ptools_queued_result(pt, 0, &future), PTOOLS_ERR_INVALID);
    ck_assert_int_eq(ptools_queued_result(pt, 1, NULL), PTOOLS_ERR_INVALID);
    ck_assert_int_eq(ptools_queued_result(pt, 5, &future), PTOOLS_OK);
    ck_assert_uint_eq(ptools_future_task(future), 5);
    ck_assert_int_eq(ptools_future_fetch(future, 5000, &value), PTOOLS_OK);
    ck_assert_int_eq(ptools_value_kind(value), PTOOLS_STR);
    ptools_future_free(future);
    ck_assert_int_eq(ptools_queued_result(pt, 6, &future), PTOOLS_OK);
    ck_assert_int_eq(ptools_future_fetch(future, 5000, &value), PTOOLS_ERR_NO_TASK);
    ck_assert_str_eq(ptools_error_message(pt), "there is no task 6");
    ptools_future_free(future);
    ck_assert_int_eq(ptools_queued_result(pt, 7, &future), PTOOLS_OK);
    ptools_future_free(future);
    ck_assert_int_eq(ptools_queued_result(pt, 8, &future), PTOOLS_OK);
    ck_assert_int_eq(ptools_future_cancel(future), PTOOLS_OK);
    ck_assert(ptools_future_done(future));
    ck_assert_int_eq(ptools_future_fetch(future, 0, NULL), PTOOLS_ERR_CANCELLED);
    ck_assert_uint_eq(ptools_future_task(future), 8);
    ptools_future_free(future);
    end();
}
END_TEST

static void lets_wait(struct fake *s)
{
    struct msg_request r, other;

    fake_accept_hello(s);
    fake_next_of(s, MSG_TASK_WAIT, &r);
    FAKE_CHECK(r.task.n_tasks == 3 && r.task.tasks[0] == 9 && r.task.tasks[2] == 4 && r.task.any);
    reply_task(s, r.id, 4);
    fake_next_of(s, MSG_TASK_WAIT, &r);
    FAKE_CHECK(!r.task.any);
    reply_task(s, r.id, 0);
    fake_next_of(s, MSG_TASK_WAIT, &r);
    fake_error(s, r.id, PTOOLS_ERR_NO_TASK, "there is no task 9");
    fake_next_of(s, MSG_TASK_WAIT, &r); /* a look: they have ended */
    fake_next_of(s, MSG_CANCEL, &other);
    FAKE_CHECK(other.cancel.request == r.id);
    reply_task(s, r.id, 9);
    fake_reply(s, &(struct msg_answer){ .id = other.id, .reply = { .done = true } }, NULL);
    fake_next_of(s, MSG_TASK_WAIT, &r); /* a look: they have not */
    fake_next_of(s, MSG_CANCEL, &other);
    fake_reply(s, &(struct msg_answer){ .id = other.id }, NULL);
    fake_next_of(s, MSG_TASK_WAIT, &r); /* the same, and the daemon also ends the wait */
    fake_next_of(s, MSG_CANCEL, &other);
    fake_error(s, r.id, PTOOLS_ERR_CANCELLED, "cancelled on request");
    fake_reply(s, &(struct msg_answer){ .id = other.id }, NULL);
    fake_next_of(s, MSG_TASK_WAIT, &r); /* nonsense */
    reply_task(s, r.id, 1234);
    fake_until_closed(s);
}

START_TEST(waits_for_several)
{
    static uint64_t tasks[1025] = { 9, 8, 4 };
    size_t index = 77;

    begin(_i, lets_wait);
    ck_assert_int_eq(ptools_queued_wait(pt, tasks, 3, true, 5000, &index), PTOOLS_OK);
    ck_assert_uint_eq(index, 2);
    index = 77;
    ck_assert_int_eq(ptools_queued_wait(pt, tasks, 3, false, 5000, &index), PTOOLS_OK);
    ck_assert_int_eq(ptools_queued_wait(pt, tasks, 3, true, 5000, &index), PTOOLS_ERR_NO_TASK);
    ck_assert_uint_eq(index, 77);
    ck_assert_int_eq(ptools_queued_wait(pt, tasks, 3, true, 0, &index), PTOOLS_OK);
    ck_assert_uint_eq(index, 0);
    ck_assert_int_eq(ptools_queued_wait(pt, tasks, 3, true, 0, &index), PTOOLS_ERR_TIMEOUT);
    ck_assert_int_eq(ptools_queued_wait(pt, tasks, 3, true, 1, &index), PTOOLS_ERR_TIMEOUT);
    ck_assert_int_eq(ptools_queued_wait(pt, tasks, 3, true, 5000, &index), PTOOLS_ERR_PROTOCOL);

    ck_assert_int_eq(ptools_queued_wait(pt, NULL, 0, false, 5000, NULL), PTOOLS_OK);
    ck_assert_int_eq(ptools_queued_wait(pt, NULL, 0, true, 5000, NULL), PTOOLS_ERR_INVALID);
    ck_assert_int_eq(ptools_queued_wait(pt, NULL, 2, true, 5000, NULL), PTOOLS_ERR_INVALID);
    ck_assert_int_eq(ptools_queued_wait(pt, tasks, 4, true, 5000, NULL), PTOOLS_ERR_INVALID);
    ck_assert_ptr_nonnull(strstr(ptools_error_message(pt), "tasks[3] is 0"));
    ck_assert_int_eq(ptools_queued_wait(pt, tasks, 3, true, -5, NULL), PTOOLS_ERR_INVALID);
    for (int i = 0; i < 1025; i++)
        tasks[i] = 1;
    ck_assert_int_eq(ptools_queued_wait(pt, tasks, 1025, false, 5000, NULL), PTOOLS_ERR_INVALID);
    ck_assert_ptr_nonnull(strstr(ptools_error_message(pt), "at most 1024"));
    end();
}
END_TEST

/* -- changing -------------------------------------------------------------------------------------------------- */

static void is_dequeued(struct fake *s)
{
    struct msg_request r;

    fake_accept_hello(s);
    for (int i = 0; i < 6; i++) {
        fake_next_of(s, MSG_TASK_CHANGE, &r);
        FAKE_CHECK(r.task.n_tasks == 1 && r.task.tasks[0] == 5 && r.task.change == CHANGE_DEQUEUE);
        switch (i) {
        case 0:
            reply_counts(s, r.id, 1, 0);
            break;
        case 1:
            refuse_as(s, r.id, PTOOLS_ERR_NOT_NOW, SHOWN_RUNNING);
            break;
        case 2:
            refuse_as(s, r.id, PTOOLS_ERR_NOT_NOW, SHOWN_DONE);
            break;
        case 3:
            refuse_as(s, r.id, PTOOLS_ERR_NOT_NOW, SHOWN_LOST);
            break;
        case 4:
            refuse_as(s, r.id, PTOOLS_ERR_NO_TASK, 0);
            break;
        default:
            refuse_as(s, r.id, PTOOLS_ERR_STORAGE, 0);
        }
    }
    fake_until_closed(s);
}

START_TEST(dequeue_tells_four_things)
{
    static const ptools_dequeued expected[] = { PTOOLS_DEQUEUED_REMOVED, PTOOLS_DEQUEUED_RUNNING, PTOOLS_DEQUEUED_ENDED,
                                                PTOOLS_DEQUEUED_ENDED, PTOOLS_DEQUEUED_UNKNOWN };
    ptools_dequeued got = (ptools_dequeued)99;

    begin(_i, is_dequeued);
    ck_assert_int_eq(ptools_dequeue_worker_task(pt, 0, &got), PTOOLS_ERR_INVALID);
    for (int i = 0; i < 5; i++) {
        ck_assert_int_eq(ptools_dequeue_worker_task(pt, 5, &got), PTOOLS_OK);
        ck_assert_int_eq(got, expected[i]);
        ck_assert_ptr_nonnull(ptools_last_failure(pt)); /* of the first line: what is told is no failure */
        ck_assert_int_eq(ptools_last_failure(pt)->code, PTOOLS_ERR_INVALID);
    }
    ck_assert_int_eq(ptools_dequeue_worker_task(pt, 5, &got), PTOOLS_ERR_STORAGE);
    end();
}
END_TEST

static void is_changed(struct fake *s)
{
    struct msg_request r;

    fake_accept_hello(s);
    fake_next_of(s, MSG_TASK_CHANGE, &r);
    FAKE_CHECK(r.task.n_tasks == 1 && r.task.change == CHANGE_KICK);
    reply_counts(s, r.id, 1, 0);
    fake_next_of(s, MSG_TASK_CHANGE, &r);
    refuse_as(s, r.id, PTOOLS_ERR_NOT_NOW, SHOWN_RUNNING);
    for (uint32_t n = 1024; n > 0; n = n == 1024 ? 1 : 0) { /* 1025 in two parts */
        fake_next_of(s, MSG_TASK_CHANGE, &r);
        FAKE_CHECK(r.task.n_tasks == n && r.task.change == CHANGE_FORGET);
        if (n == 1)
            refuse_as(s, r.id, PTOOLS_ERR_NO_TASK, 0);
        else
            reply_counts(s, r.id, 1000, 24);
    }
    for (int i = 0; i < 2; i++) {
        fake_next_of(s, MSG_TASK_CHANGE, &r);
        FAKE_CHECK(r.task.change == CHANGE_CANCEL && r.task.at_once == (i == 0) && r.task.grace_ms == (i ? 20 : 0));
        reply_counts(s, r.id, 1, 0);
    }
    fake_next_of(s, MSG_TASK_WHY, &r);
    FAKE_CHECK(r.task.task == 3);
    fake_reply(s, &(struct msg_answer){ .id = r.id, .reply = { .reason = { "it is on hold", 13 } } }, NULL);
    fake_next_of(s, MSG_TASK_WHY, &r);
    fake_reply(s, &(struct msg_answer){ .id = r.id }, NULL);
    fake_next_of(s, MSG_TASK_WHY, &r);
    fake_error(s, r.id, PTOOLS_ERR_NO_TASK, "there is no task 3");
    fake_until_closed(s);
}

START_TEST(changes_and_reasons)
{
    static uint64_t tasks[1025];
    const char *reason = NULL;
    uint64_t changed = 77;

    for (int i = 0; i < 1025; i++)
        tasks[i] = 1 + (uint64_t)i;
    begin(_i, is_changed);
    ck_assert_int_eq(ptools_queued_change(pt, tasks, 1, PTOOLS_CHANGE_KICK, NULL), PTOOLS_OK);
    ck_assert_int_eq(ptools_queued_change(pt, tasks, 1, PTOOLS_CHANGE_RERUN, &changed), PTOOLS_ERR_NOT_NOW);
    ck_assert_str_eq(ptools_error_message(pt), "that cannot be done");
    ck_assert_uint_eq(changed, 77);
    ck_assert_int_eq(ptools_queued_change(pt, tasks, 1025, PTOOLS_CHANGE_FORGET, &changed), PTOOLS_OK);
    ck_assert_uint_eq(changed, 1000);
    ck_assert_int_eq(ptools_queued_change(pt, NULL, 0, PTOOLS_CHANGE_FORGET, &changed), PTOOLS_OK);
    ck_assert_uint_eq(changed, 0);
    ck_assert_int_eq(ptools_queued_change(pt, tasks, 2, (ptools_change)0, NULL), PTOOLS_ERR_INVALID);
    ck_assert_int_eq(ptools_queued_change(pt, tasks, 2, (ptools_change)8, NULL), PTOOLS_ERR_INVALID);
    ck_assert_int_eq(ptools_queued_change(pt, NULL, 2, PTOOLS_CHANGE_HOLD, NULL), PTOOLS_ERR_INVALID);

    ck_assert_int_eq(ptools_queued_stop(pt, tasks, 1, -1, NULL), PTOOLS_ERR_INVALID);
    ck_assert_int_eq(ptools_queued_stop(pt, NULL, 1, 0, NULL), PTOOLS_ERR_INVALID);
    ck_assert_int_eq(ptools_queued_stop(pt, tasks, 1, INT64_MAX, NULL), PTOOLS_ERR_INVALID);
    ck_assert_int_eq(ptools_queued_stop(pt, tasks, 1, 0, &changed), PTOOLS_OK);
    ck_assert_uint_eq(changed, 1);
    ck_assert_int_eq(ptools_queued_stop(pt, tasks, 1, 20, NULL), PTOOLS_OK);

    ck_assert_int_eq(ptools_queued_why(pt, 0, &reason), PTOOLS_ERR_INVALID);
    ck_assert_int_eq(ptools_queued_why(pt, 3, NULL), PTOOLS_ERR_INVALID);
    ck_assert_int_eq(ptools_queued_why(pt, 3, &reason), PTOOLS_OK);
    ck_assert_str_eq(reason, "it is on hold");
    ck_assert_int_eq(ptools_queued_why(pt, 3, &reason), PTOOLS_OK);
    ck_assert_str_eq(reason, "");
    ck_assert_int_eq(ptools_queued_why(pt, 3, &reason), PTOOLS_ERR_NO_TASK);
    end();
}
END_TEST

static void is_paused(struct fake *s)
{
    struct msg_request r;

    fake_accept_hello(s);
    fake_next_of(s, MSG_QUEUE_PAUSE, &r);
    FAKE_CHECK(r.task.tag.n == 0);
    reply_counts(s, r.id, 3, 0);
    fake_next_of(s, MSG_QUEUE_PAUSE, &r);
    FAKE_CHECK(r.task.tag.n == 1 && r.task.tag.data[0] == 'x');
    fake_error(s, r.id, PTOOLS_ERR_LIMIT, "there are too many");
    fake_next_of(s, MSG_QUEUE_RESUME, &r);
    reply_counts(s, r.id, 0, 0);
    fake_until_closed(s);
}

START_TEST(pauses)
{
    uint64_t n = 77;

    begin(_i, is_paused);
    ck_assert_int_eq(ptools_queue_pause(pt, "no tag", &n), PTOOLS_ERR_INVALID);
    ck_assert_int_eq(ptools_queue_pause(NULL, NULL, NULL), PTOOLS_ERR_INVALID);
    ck_assert_int_eq(ptools_queue_pause(pt, NULL, &n), PTOOLS_OK);
    ck_assert_uint_eq(n, 3);
    ck_assert_int_eq(ptools_queue_pause(pt, "x", &n), PTOOLS_ERR_LIMIT);
    ck_assert_uint_eq(n, 3);
    ck_assert_int_eq(ptools_queue_resume(pt, NULL, NULL), PTOOLS_OK);
    end();
}
END_TEST

static double priority_at(struct span payload, size_t i, uint64_t *ret_task)
{
    double priority;

    memcpy(ret_task, payload.data + 16 * i, 8);
    memcpy(&priority, payload.data + 16 * i + 8, 8);
    return priority;
}

static void one_priority(struct fake *s)
{
    struct msg_request r;
    uint64_t task;

    fake_accept_hello(s);
    fake_next_of(s, MSG_TASK_PRIORITIES, &r);
    FAKE_CHECK(fake_payload(s).n == 16 && priority_at(fake_payload(s), 0, &task) == 1.5 && task == 5);
    reply_counts(s, r.id, 1, 0);
    for (int i = 0; i < 2; i++) {
        fake_next_of(s, MSG_TASK_PRIORITIES, &r);
        reply_counts(s, r.id, 0, 1);
        fake_next_of(s, MSG_TASK_GET, &r);
        if (i == 0)
            reply_task(s, r.id, 5);
        else
            fake_error(s, r.id, PTOOLS_ERR_NO_TASK, "there is no task 5");
    }
    fake_until_closed(s);
}

START_TEST(one_gets_a_priority)
{
    begin(_i, one_priority);
    ck_assert_int_eq(ptools_queued_set_priority(pt, 0, 1), PTOOLS_ERR_INVALID);
    ck_assert_int_eq(ptools_queued_set_priority(pt, 5, (double)NAN), PTOOLS_ERR_INVALID);
    ck_assert_int_eq(ptools_queued_set_priority(pt, 5, 1.5), PTOOLS_OK);
    ck_assert_int_eq(ptools_queued_set_priority(pt, 5, 1.5), PTOOLS_ERR_NOT_NOW);
    ck_assert_ptr_nonnull(strstr(ptools_error_message(pt), "task 5 is done"));
    ck_assert_int_eq(ptools_queued_set_priority(pt, 5, 1.5), PTOOLS_ERR_NO_TASK);
    end();
}
END_TEST

START_TEST(names_of_states)
{
    ck_assert_str_eq(ptools_queued_state_name(PTOOLS_QUEUED_WAITING), "waiting");
    ck_assert_str_eq(ptools_queued_state_name(PTOOLS_QUEUED_LOST), "lost");
    ck_assert_str_eq(ptools_queued_state_name((ptools_queued_state)0), "unknown");
    ck_assert_str_eq(ptools_queued_state_name((ptools_queued_state)11), "unknown");
    ck_assert_str_eq(ptools_queued_state_name((ptools_queued_state)-1), "unknown");
}
END_TEST

START_TEST(a_null_handle_is_refused)
{
    const char *reason;
    uint64_t one = 1;

    begin(VIA_UNIX, idle);
    ck_assert_int_eq(ptools_queued_why(NULL, 1, &reason), PTOOLS_ERR_INVALID);
    ck_assert_int_eq(ptools_queued_wait(NULL, &one, 1, false, 0, NULL), PTOOLS_ERR_INVALID);
    ck_assert_int_eq(ptools_queued_change(NULL, &one, 1, PTOOLS_CHANGE_KICK, NULL), PTOOLS_ERR_INVALID);
    end();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("lib/queued");
    TCase *tc = suite_case(suite, "ids");

    tcase_add_loop_test(tc, results_are_futures, 0, VIAS);
    tcase_add_loop_test(tc, waits_for_several, 0, VIAS);
    tcase_add_loop_test(tc, dequeue_tells_four_things, 0, VIAS);
    tcase_add_loop_test(tc, changes_and_reasons, 0, VIAS);
    tcase_add_loop_test(tc, pauses, 0, VIAS);
    tcase_add_loop_test(tc, one_gets_a_priority, 0, VIAS);
    tcase_add_test(tc, a_null_handle_is_refused);
    tcase_add_test(tc, names_of_states);
    return suite_run(suite);
}
