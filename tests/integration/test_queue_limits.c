/* SPDX-License-Identifier: MIT */
/*
 * The limits of the queue against a real daemon: who is over one is told which, how much is in use and when to try
 * again, or waits for room if that was asked for. Nothing that is over a limit is in the queue.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/integration/queue_rig.h"
#include "tests/support/suite.h"

enum { MOST = 4, KEPT = 5, ARGS_BYTES = 600000 };

static struct queue_rig q;

static void setup(void)
{
    static const char *const args[] = { "-o", "queue.user_queued_max=4", "-o", "queue.user_queue_bytes_max=1M",
                                        "-o", "queue.user_kept_max=5",   "-o", "queue.user_kept_bytes_max=1M",
                                        NULL };

    queue_up(&q, 1, args);
}

static void teardown(void)
{
    queue_down(&q);
}

static ptools_worker_task on_hold(void)
{
    ptools_worker_task task = queue_task_of("t.nop", NULL);

    task.flags = PTOOLS_TASK_HOLD;
    return task;
}

static void fill(uint64_t ids[MOST])
{
    ptools_worker_task task = on_hold();

    for (unsigned i = 0; i < MOST; i++)
        ids[i] = queue_put(q.pt, &task);
}

static void assert_limit(const char *part)
{
    const ptools_failure *failure = ptools_last_failure(q.pt);

    ck_assert_err(failure->code, PTOOLS_ERR_LIMIT);
    ck_assert_msg(strstr(failure->message, part), "\"%s\" lacks \"%s\"", failure->message, part);
}

static void release(uint64_t id)
{
    ck_assert_ptools(ptools_queued_change(q.pt, &id, 1, PTOOLS_CHANGE_RELEASE, NULL));
}

START_TEST(tasks_of_a_user)
{
    ptools_worker_task task = on_hold();
    uint64_t ids[MOST];
    ptools_queued *list;

    fill(ids);
    queue_refused(q.pt, &task, PTOOLS_ERR_LIMIT);
    assert_limit("over the limit user_queued_max: 4 of 4 in use, 1 more asked for");
    ck_assert_int_ge(ptools_last_failure(q.pt)->retry_ms, 10);
    ck_assert_int_le(ptools_last_failure(q.pt)->retry_ms, 60000);
    {
        ptools *other = server_open(&q.server);

        queue_refused(other, &task, PTOOLS_ERR_LIMIT); /* it is the user's, not the connection's */
        ptools_close(other);
    }
    ck_assert_ptools(ptools_queued_list(q.pt, 0, NULL, 0, &list));
    ck_assert_uint_eq(ptools_queued_count(list), MOST);
    ptools_queued_free(list);
    release(ids[2]);
    queue_ends(q.pt, ids[2], PTOOLS_QUEUED_DONE);
    queue_put(q.pt, &task);
}
END_TEST

START_TEST(memory_of_the_tasks_of_a_user)
{
    static char bytes[ARGS_BYTES];
    PTOOLS_AUTO(ptools_pack) args = ptools_pack_new();
    ptools_worker_task task = on_hold();
    uint64_t id;

    ptools_pack_bytes(args, bytes, sizeof bytes);
    task.args = args;
    id = queue_put(q.pt, &task);
    queue_refused(q.pt, &task, PTOOLS_ERR_LIMIT);
    assert_limit("over the limit user_queue_bytes_max: ");
    ck_assert_int_ge(ptools_last_failure(q.pt)->retry_ms, 10);
    release(id);
    queue_ends(q.pt, id, PTOOLS_QUEUED_DONE);
    queue_put(q.pt, &task);
}
END_TEST

START_TEST(who_asked_to_waits_for_room)
{
    ptools_worker_task task = on_hold();
    ptools_future *accepted[3];
    uint64_t ids[MOST];

    fill(ids);
    task.flags = PTOOLS_TASK_BLOCK;
    for (unsigned i = 0; i < 3; i++)
        ck_assert_ptools(ptools_queue_worker_task_start(q.pt, &task, &accepted[i]));
    ck_assert_err(ptools_wait_any(q.pt, accepted, 3, 200, NULL), PTOOLS_ERR_TIMEOUT);
    release(ids[0]); /* each that has run makes room for the next */
    ck_assert_ptools(ptools_wait_all(q.pt, accepted, 3, QUEUE_WAIT_MS));
    for (unsigned i = 0; i < 3; i++) {
        ck_assert_ptools(ptools_future_fetch(accepted[i], 0, NULL));
        ck_assert(i == 0 || ptools_future_task(accepted[i]) > ptools_future_task(accepted[i - 1]));
        queue_ends(q.pt, ptools_future_task(accepted[i]), PTOOLS_QUEUED_DONE);
    }
    for (unsigned i = 0; i < 3; i++)
        ptools_future_free(accepted[i]);
}
END_TEST

START_TEST(who_waits_for_room_and_goes_leaves_nothing)
{
    ptools_worker_task task = queue_task_of("t.nop", NULL);
    ptools *other = server_open(&q.server);
    ptools_future *accepted;
    uint64_t ids[MOST], id;
    ptools_queued *list;

    fill(ids);
    task.flags = PTOOLS_TASK_BLOCK;
    ck_assert_ptools(ptools_queue_worker_task_start(other, &task, &accepted));
    ck_assert_err(ptools_future_wait(accepted, 100), PTOOLS_ERR_TIMEOUT);
    ptools_future_free(accepted);
    ptools_close(other);
    server_clean(&q.server, 1); /* the daemon has seen it */
    release(ids[0]);
    queue_ends(q.pt, ids[0], PTOOLS_QUEUED_DONE);
    id = queue_put(q.pt, &task);
    queue_ends(q.pt, id, PTOOLS_QUEUED_DONE);
    ck_assert_ptools(ptools_queued_list(q.pt, 0, NULL, 0, &list));
    ck_assert_uint_eq(ptools_queued_count(list), MOST + 1);
    ptools_queued_free(list);
}
END_TEST

START_TEST(what_never_fits_is_refused_at_once)
{
    static char bytes[2 * ARGS_BYTES];
    PTOOLS_AUTO(ptools_pack) args = ptools_pack_new();
    ptools_worker_task task = queue_task_of("t.nop", args);

    ptools_pack_bytes(args, bytes, sizeof bytes);
    task.flags = PTOOLS_TASK_BLOCK;
    queue_refused(q.pt, &task, PTOOLS_ERR_LIMIT);
    assert_limit("over the limit user_queue_bytes_max: 0 of 1048576 in use");
}
END_TEST

START_TEST(the_oldest_that_have_ended_make_room)
{
    ptools_worker_task task = queue_task_of("t.nop", NULL), dead = queue_task_of("q.kill_again", NULL);
    uint64_t first = 0, killer;
    ptools_queued *list;

    dead.backoff_ms = 1;
    killer = queue_put(q.pt, &dead);
    queue_ends(q.pt, killer, PTOOLS_QUEUED_DEAD);
    for (unsigned i = 0; i < KEPT; i++) {
        uint64_t id = queue_put(q.pt, &task);

        first = first ? first : id;
        queue_ends(q.pt, id, PTOOLS_QUEUED_DONE);
    }
    ck_assert_ptools(ptools_queued_list(q.pt, 0, NULL, 0, &list));
    ck_assert_uint_eq(ptools_queued_count(list), KEPT);
    ck_assert_uint_eq(ptools_queued_at(list, 0)->id, killer); /* the dead one stays, for somebody to look at */
    ck_assert_uint_eq(ptools_queued_at(list, 1)->id, first + 1);
    ptools_queued_free(list);
}
END_TEST

START_TEST(memory_of_what_has_ended)
{
    PTOOLS_AUTO(ptools_pack) args = ptools_pack_new();
    ptools_worker_task task = queue_task_of("t.big", args);
    ptools_queued *list = NULL;
    uint64_t ids[4];

    ptools_pack_u64(args, ARGS_BYTES);
    for (unsigned i = 0; i < 4; i++)
        queue_ends(q.pt, ids[i] = queue_put(q.pt, &task), PTOOLS_QUEUED_DONE);
    ck_assert_err(ptools_queued_get(q.pt, ids[0], 0, &list), PTOOLS_ERR_NO_TASK); /* the oldest have made room */
    ck_assert_ptools(ptools_queued_get(q.pt, ids[3], 0, &list));
    ptools_queued_free(list);
}
END_TEST

START_TEST(an_end_that_was_read_makes_room)
{
    PTOOLS_AUTO(ptools_pack) args = ptools_pack_new();
    ptools_worker_task task = queue_task_of("t.big", args);
    PTOOLS_AUTO(ptools_future) result = NULL;
    ptools_queued *list = NULL;
    uint64_t first, second;

    task.durability = PTOOLS_CRASHSAFE;
    ptools_pack_u64(args, ARGS_BYTES);
    queue_ends(q.pt, first = queue_put(q.pt, &task), PTOOLS_QUEUED_DONE);
    queue_ends(q.pt, second = queue_put(q.pt, &task), PTOOLS_QUEUED_DONE);
    queue_refused(q.pt, &task, PTOOLS_ERR_LIMIT); /* no result that nobody has read is thrown away for it */
    assert_limit("over the limit user_kept_bytes_max: tasks that have ended, and whose ends nobody has asked for");
    ck_assert_ptools(ptools_queued_result(q.pt, first, &result));
    ck_assert_ptools(ptools_future_fetch(result, QUEUE_WAIT_MS, NULL));
    queue_ends(q.pt, queue_put(q.pt, &task), PTOOLS_QUEUED_DONE);
    ck_assert_err(ptools_queued_get(q.pt, first, 0, &list), PTOOLS_ERR_NO_TASK);
    ck_assert_ptools(ptools_queued_get(q.pt, second, 0, &list));
    ptools_queued_free(list);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("queue-limits");
    TCase *tc = suite_case(suite, "limits");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, tasks_of_a_user);
    tcase_add_test(tc, memory_of_the_tasks_of_a_user);
    tcase_add_test(tc, who_asked_to_waits_for_room);
    tcase_add_test(tc, who_waits_for_room_and_goes_leaves_nothing);
    tcase_add_test(tc, what_never_fits_is_refused_at_once);
    tcase_add_test(tc, the_oldest_that_have_ended_make_room);
    tcase_add_test(tc, memory_of_what_has_ended);
    tcase_add_test(tc, an_end_that_was_read_makes_room);
    return suite_run(suite);
}
