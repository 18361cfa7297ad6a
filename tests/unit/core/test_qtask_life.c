/* SPDX-License-Identifier: MIT */
/* qtask -- what becomes of queued tasks: attempts, times, dependencies, keys, limits, waits, changes, events. */
#include <math.h>
#include <string.h>

#include "tests/unit/core/rig_queue.h"

static struct rig r;

static void setup(uint32_t workers)
{
    rig_limits(&r);
    rig_queue_start(&r, workers);
}

/* -- attempts ------------------------------------------------------------------------------------------- */

START_TEST(one_that_may_have_run_is_not_run_again)
{
    const struct action *a;
    uint64_t id, request;

    setup(1);
    id = rig_queued(&r, SUBMIT());
    rig_assign(&r);
    rig_qdies(&r, id, true);
    ck_assert_uint_eq(rig_shown(&r, id), SHOWN_FAILED);
    request = rig_result(&r, id);
    ck_has(rig_failure(&r, request, PTOOLS_ERR_WORKER_DIED), "was killed by signal 9");
    a = rig_answer(&r, request);
    ck_assert(a->answer.failure.maybe_executed);
    ck_assert_uint_eq(a->answer.failure.attempt, 1);
    ck_assert_uint_eq(a->answer.failure.state, SHOWN_FAILED);
    rig_end(&r);
}
END_TEST

START_TEST(an_idempotent_one_is_tried_again_later)
{
    uint64_t id;

    setup(1);
    id = rig_queued(&r, SUBMIT(.idempotent = true, .attempts = 2, .backoff_ms = 1000));
    rig_assign(&r);
    rig_qdies(&r, id, true);
    ck_assert_uint_eq(rig_shown(&r, id), SHOWN_WAITING);
    ck_has(rig_why(&r, id), "attempt 1 failed, the next is due in ");
    rig_tick(&r, 499999); /* half of it is the least */
    ck_assert_uint_eq(rig_shown(&r, id), SHOWN_WAITING);
    rig_tick(&r, 1000001);
    ck_assert_uint_eq(rig_shown(&r, id), SHOWN_QUEUED);
    rig_clear(&r);
    rig_assign(&r);
    ck_assert_uint_eq(rig_find(&r, ACT_RUN, 0)->attempt, 2);
    rig_qdies(&r, id, true);
    ck_assert_uint_eq(rig_shown(&r, id), SHOWN_FAILED); /* as often as it may */
    ck_assert_uint_eq(rig_qtask(&r, id)->kills, 2);
    rig_end(&r);
}
END_TEST

START_TEST(three_kills_are_dead)
{
    uint64_t id;

    setup(1);
    id = rig_queued(&r, SUBMIT(.idempotent = true, .attempts = 200));
    for (int i = 0; i < 3; i++) {
        rig_tick(&r, 120 * 1000000);
        rig_assign(&r);
        rig_qdies(&r, id, true);
    }
    ck_assert_uint_eq(rig_shown(&r, id), SHOWN_DEAD);
    rig_failure(&r, rig_result(&r, id), PTOOLS_ERR_DEAD);
    rig_tick(&r, UINT64_C(90) * 86400 * 1000000); /* it is kept until somebody has looked */
    ck_assert_uint_eq(rig_shown(&r, id), SHOWN_DEAD);
    rig_queue_id(&r, rig_change(&r, CHANGE_KICK, id));
    ck_assert_uint_eq(rig_shown(&r, id), SHOWN_QUEUED);
    ck_assert_uint_eq(rig_qtask(&r, id)->attempt, 0);
    rig_end(&r);
}
END_TEST

START_TEST(which_failures_count_is_said)
{
    uint64_t failed, timeout;

    setup(1);
    failed = rig_queued(&r, SUBMIT(.idempotent = true, .attempts = 3));
    rig_assign(&r);
    rig_qfailed(&r, failed, PTOOLS_ERR_FAILED, "no");
    ck_assert_uint_eq(rig_shown(&r, failed), SHOWN_FAILED);
    failed = rig_queued(&r, SUBMIT(.idempotent = true, .attempts = 3, .retry_on = RETRY_FAILED));
    rig_assign(&r);
    rig_qfailed(&r, failed, PTOOLS_ERR_FAILED, "no");
    ck_assert_uint_eq(rig_shown(&r, failed), SHOWN_WAITING);
    rig_queue_id(&r, rig_change(&r, CHANGE_KICK, failed)); /* not later, now */
    rig_assign(&r);
    rig_qfailed(&r, failed, PTOOLS_ERR_BAD_ARGUMENT, "never"); /* another attempt would be as wrong */
    ck_assert_uint_eq(rig_shown(&r, failed), SHOWN_FAILED);
    timeout = rig_queued(&r, SUBMIT(.deadline_ms = 10));
    rig_assign(&r);
    rig_tick(&r, 10000);
    ck_assert_uint_eq(rig_revoke(&r, false), 1);
    rig_qfailed(&r, timeout, PTOOLS_ERR_CANCELLED, "stopped");
    ck_assert_uint_eq(rig_shown(&r, timeout), SHOWN_TIMEOUT);
    rig_end(&r);
}
END_TEST

START_TEST(repeating_needs_idempotence)
{
    setup(1);
    ck_has(rig_failure(&r, rig_queue(&r, SUBMIT(.attempts = 2)), PTOOLS_ERR_INVALID), "idempotent");
    rig_end(&r);
}
END_TEST

START_TEST(five_workers_that_end_before_it_begins_are_enough)
{
    uint64_t id;

    setup(1);
    id = rig_queued(&r, SUBMIT());
    for (int i = 0; i < 5; i++) {
        rig_assign(&r);
        rig_qdies(&r, id, false);
    }
    ck_assert_uint_eq(rig_shown(&r, id), SHOWN_FAILED);
    ck_assert(!rig_qtask(&r, id)->end->maybe_executed);
    rig_end(&r);
}
END_TEST

START_TEST(a_value_that_is_too_large_is_a_failure)
{
    uint64_t id;

    setup(1);
    id = rig_queued(&r, SUBMIT(.result_max = 4));
    rig_assign(&r);
    rig_qdone(&r, id);
    ck_has(rig_failure(&r, rig_result(&r, id), PTOOLS_ERR_TOO_LARGE), "5 bytes, and at most 4 are kept");
    rig_end(&r);
}
END_TEST

/* -- time ------------------------------------------------------------------------------------------------- */

START_TEST(delay_start_and_expiry)
{
    uint64_t delayed, at, expires;

    setup(1);
    delayed = rig_queued(&r, SUBMIT(.delay_ms = 1000));
    at = rig_queued(&r, SUBMIT(.start_ms = QUEUE_WALL_MS + 2000));
    expires = rig_queued(&r, SUBMIT(.delay_ms = 5000, .expire_ms = 3000));
    ck_has(rig_why(&r, delayed), "due in 1000 ms");
    rig_tick(&r, 999999);
    ck_assert_uint_eq(rig_shown(&r, delayed), SHOWN_WAITING);
    rig_tick(&r, 1);
    ck_assert_uint_eq(rig_shown(&r, delayed), SHOWN_QUEUED);
    rig_tick(&r, 1000000);
    ck_assert_uint_eq(rig_shown(&r, at), SHOWN_QUEUED);
    core_wall(r.core, r.now, 1); /* a clock that jumps moves no delay */
    rig_tick(&r, 1000000);
    ck_assert_uint_eq(rig_shown(&r, expires), SHOWN_EXPIRED);
    rig_failure(&r, rig_result(&r, expires), PTOOLS_ERR_EXPIRED);
    rig_end(&r);
}
END_TEST

START_TEST(a_time_of_day_follows_the_clock)
{
    uint64_t at, delayed, expires;

    setup(1);
    at = rig_queued(&r, SUBMIT(.start_ms = QUEUE_WALL_MS + 3600000));
    delayed = rig_queued(&r, SUBMIT(.delay_ms = 3600000));
    expires = rig_queued(&r, SUBMIT(.start_ms = QUEUE_WALL_MS + 3600000, .expire_ms = 1000));
    core_wall(r.core, r.now, QUEUE_WALL_MS + 1800000); /* the machine has slept */
    ck_has(rig_why(&r, at), "due in 1800000 ms");
    ck_has(rig_why(&r, delayed), "due in 3600000 ms");
    core_wall(r.core, r.now, QUEUE_WALL_MS - 60000); /* or somebody sets it back */
    ck_has(rig_why(&r, at), "due in 3660000 ms");
    core_wall(r.core, r.now, QUEUE_WALL_MS - 59950); /* it was corrected a little */
    ck_has(rig_why(&r, at), "due in 3660000 ms");
    rig_tick(&r, 1000000);
    ck_assert_uint_eq(rig_shown(&r, expires), SHOWN_EXPIRED);
    core_wall(r.core, r.now, QUEUE_WALL_MS + 3600000);
    ck_assert_uint_le(core_next_us(r.core), r.now);
    rig_tick(&r, 0);
    ck_assert_uint_eq(rig_shown(&r, at), SHOWN_QUEUED);
    ck_assert_uint_eq(rig_shown(&r, delayed), SHOWN_WAITING);
    ck_assert_uint_eq(rig_shown(&r, expires), SHOWN_EXPIRED);
    rig_end(&r);
}
END_TEST

START_TEST(what_has_begun_does_not_expire)
{
    uint64_t id;

    setup(1);
    id = rig_queued(&r, SUBMIT(.expire_ms = 10));
    rig_assign(&r);
    rig_tick(&r, 1000000);
    ck_assert_uint_eq(rig_shown(&r, id), SHOWN_RUNNING);
    rig_qdone(&r, id);
    ck_assert_uint_eq(rig_shown(&r, id), SHOWN_DONE);
    rig_end(&r);
}
END_TEST

START_TEST(ended_ones_are_forgotten_in_time)
{
    uint64_t id, keeps;

    setup(1);
    id = rig_queued(&r, SUBMIT());
    keeps = rig_queued(&r, SUBMIT(.keep_ms = 50));
    for (int i = 0; i < 2; i++)
        rig_assign(&r);
    rig_qdone(&r, id);
    rig_assign(&r);
    rig_qdone(&r, keeps);
    rig_tick(&r, 50000);
    ck_assert_uint_eq(rig_shown(&r, keeps), 0);
    ck_assert_uint_eq(rig_shown(&r, id), SHOWN_DONE);
    rig_tick(&r, r.limits.keep_volatile_us);
    ck_assert_uint_eq(rig_shown(&r, id), 0);
    rig_failure(&r, rig_result(&r, id), PTOOLS_ERR_NO_TASK);
    rig_end(&r);
}
END_TEST

START_TEST(the_oldest_make_room)
{
    uint64_t q[4];

    rig_limits(&r);
    r.limits.user_kept_max = 2;
    rig_queue_start(&r, 1);
    for (int i = 0; i < 4; i++) {
        q[i] = rig_queued(&r, SUBMIT());
        rig_assign(&r);
        rig_qdone(&r, q[i]);
    }
    ck_assert_uint_eq(rig_shown(&r, q[1]), 0);
    ck_assert_uint_eq(rig_shown(&r, q[2]), SHOWN_DONE);
    ck_assert_uint_eq(rig_shown(&r, q[3]), SHOWN_DONE);
    rig_end(&r);
}
END_TEST

/* -- dependencies ------------------------------------------------------------------------------------------- */

START_TEST(one_waits_for_another)
{
    uint64_t first, then;

    setup(2);
    first = rig_queued(&r, SUBMIT());
    then = rig_queued(&r, SUBMIT(.n_after = 1, .after = &first));
    rig_assign(&r);
    ck_assert_uint_eq(rig_count(&r, ACT_RUN), 1);
    ck_has(rig_why(&r, then), "which is running");
    rig_qdone(&r, first);
    ck_assert_uint_eq(rig_shown(&r, then), SHOWN_QUEUED);
    rig_end(&r);
}
END_TEST

START_TEST(a_failure_cascades_or_not)
{
    uint64_t first, cascade, next, any, keep, late;

    setup(1);
    first = rig_queued(&r, SUBMIT());
    cascade = rig_queued(&r, SUBMIT(.n_after = 1, .after = &first));
    next = rig_queued(&r, SUBMIT(.n_after = 1, .after = &cascade));
    any = rig_queued(&r, SUBMIT(.n_after = 1, .after = &first, .after_any = true));
    keep = rig_queued(&r, SUBMIT(.n_after = 1, .after = &first, .after_keep = true));
    rig_assign(&r);
    rig_qfailed(&r, first, PTOOLS_ERR_FAILED, "no");
    ck_assert_uint_eq(rig_shown(&r, cascade), SHOWN_CANCELLED);
    ck_assert_uint_eq(rig_shown(&r, next), SHOWN_CANCELLED);
    rig_failure(&r, rig_result(&r, next), PTOOLS_ERR_DEPENDENCY);
    ck_assert_uint_eq(rig_shown(&r, any), SHOWN_QUEUED);
    ck_assert_uint_eq(rig_shown(&r, keep), SHOWN_WAITING);
    late = rig_queued(&r, SUBMIT(.n_after = 1, .after = &first)); /* it has failed already */
    ck_assert_uint_eq(rig_shown(&r, late), SHOWN_CANCELLED);
    rig_assign(&r);
    rig_qdone(&r, any);
    rig_queue_id(&r, rig_change(&r, CHANGE_RERUN, first));
    rig_assign(&r);
    rig_qdone(&r, first);
    ck_assert_uint_eq(rig_shown(&r, keep), SHOWN_QUEUED);
    ck_has(rig_failure(&r, rig_queue(&r, SUBMIT(.n_after = 1, .after = (uint64_t[]){ 99999 })), PTOOLS_ERR_NO_TASK),
           "after: no queued task 99999");
    rig_end(&r);
}
END_TEST

START_TEST(forgetting_ends_the_hope)
{
    uint64_t first, keep;

    setup(1);
    first = rig_queued(&r, SUBMIT());
    keep = rig_queued(&r, SUBMIT(.n_after = 1, .after = &first, .after_keep = true));
    rig_queue_id(&r, rig_change(&r, CHANGE_CANCEL, first));
    ck_assert_uint_eq(rig_shown(&r, keep), SHOWN_WAITING);
    rig_queue_id(&r, rig_change(&r, CHANGE_FORGET, first));
    ck_assert_uint_eq(rig_shown(&r, keep), SHOWN_CANCELLED);
    rig_end(&r);
}
END_TEST

/* -- keys and limits ------------------------------------------------------------------------------------------ */

START_TEST(one_task_for_each_key)
{
    uint64_t id, request, other_user;
    uint32_t other;

    setup(1);
    ck_assert_int_eq(core_client_add(r.core, 1001, &other), 0);
    id = rig_queued(&r, SUBMIT(.key = TEXT("nightly")));
    request = rig_queue(&r, SUBMIT(.key = TEXT("nightly")));
    ck_assert_uint_eq(rig_queue_id(&r, request), id);
    ck_assert(rig_answer(&r, request)->answer.reply.duplicate);
    ck_has(rig_failure(&r, rig_queue_of(&r, r.client, SUBMIT(.key = TEXT("nightly")), "others"), PTOOLS_ERR_KEY_REUSED),
           "has it, and another function");
    rig_failure(&r, rig_queue(&r, SUBMIT_OF("m.g", .key = TEXT("nightly"))), PTOOLS_ERR_KEY_REUSED);
    other_user = rig_queue_id(&r, rig_queue_of(&r, other, SUBMIT(.key = TEXT("nightly")), "argument"));
    ck_assert_uint_ne(other_user, id);
    rig_assign(&r);
    rig_qdone(&r, id);
    request = rig_queue(&r, SUBMIT(.key = TEXT("nightly"), .wait = true)); /* also when it has ended: its value */
    ck_assert(rig_answer(&r, request)->payload != NULL);
    rig_queue_id(&r, rig_change(&r, CHANGE_FORGET, id));
    ck_assert_uint_ne(rig_queued(&r, SUBMIT(.key = TEXT("nightly"))), id);
    rig_end(&r);
}
END_TEST

START_TEST(over_a_limit_with_numbers)
{
    const struct action *a;
    uint64_t request;

    rig_limits(&r);
    r.limits.user_queued_max = 2;
    rig_queue_start(&r, 1);
    rig_queued(&r, SUBMIT());
    rig_queued(&r, SUBMIT());
    request = rig_queue(&r, SUBMIT());
    ck_has(rig_failure(&r, request, PTOOLS_ERR_LIMIT),
           "over the limit user_queued_max: 2 of 2 in use, 1 more asked for");
    a = rig_answer(&r, request);
    ck_assert_uint_gt(a->answer.failure.retry_ms, 0);
    rig_end(&r);
}
END_TEST

START_TEST(who_asked_to_block_waits_for_room)
{
    uint64_t first, waits, later;
    uint32_t other;

    rig_limits(&r);
    r.limits.user_queued_max = 1;
    rig_queue_start(&r, 1);
    ck_assert_int_eq(core_client_add(r.core, 1000, &other), 0);
    first = rig_queued(&r, SUBMIT());
    waits = rig_queue(&r, SUBMIT(.block = true));
    later = rig_queue(&r, SUBMIT(.block = true));
    rig_queue_of(&r, other, SUBMIT(.block = true), NULL);
    core_client_gone(r.core, r.now, other, &r.out); /* who goes does not wait any more */
    rig_check(&r);
    ck_assert_ptr_null(rig_answer(&r, waits));
    rig_assign(&r);
    rig_qdone(&r, first);
    first = rig_queue_id(&r, waits);
    ck_assert_ptr_null(rig_answer(&r, later));
    rig_assign(&r);
    rig_qdone(&r, first);
    rig_queue_id(&r, later);
    rig_end(&r);
}
END_TEST

START_TEST(the_module_is_asked_before_it_is_accepted)
{
    static const char *const functions[] = { "f" };
    uint64_t there, not_there;

    setup(1);
    there = rig_queue(&r, SUBMIT_OF("n.f", ));
    not_there = rig_queue(&r, SUBMIT_OF("n.g", .target = TARGET_ALL));
    ck_assert_ptr_null(rig_answer(&r, there));
    ck_assert_uint_eq(rig_count(&r, ACT_LOAD), 1);
    rig_loaded(&r, "n", PTOOLS_OK, functions, 1);
    ck_assert_uint_eq(rig_shown(&r, rig_queue_id(&r, there)), SHOWN_QUEUED);
    ck_has(rig_failure(&r, not_there, PTOOLS_ERR_NO_FUNCTION), "has no function g");
    rig_end(&r);
}
END_TEST

/* -- waits, changes, priorities ---------------------------------------------------------------------------------- */

START_TEST(waiting_for_any_and_for_all)
{
    uint64_t q[3], any, all, one;

    setup(3);
    for (int i = 0; i < 3; i++)
        q[i] = rig_queued(&r, SUBMIT());
    rig_assign(&r);
    any = rig_ask(&r, MSG_TASK_WAIT, &(const struct msg_task){ .n_tasks = 3, .tasks = q, .any = true });
    all = rig_ask(&r, MSG_TASK_WAIT, &(const struct msg_task){ .n_tasks = 3, .tasks = q });
    one = rig_result(&r, q[2]);
    rig_qdone(&r, q[1]);
    ck_assert_uint_eq(rig_queue_id(&r, any), q[1]);
    ck_assert_ptr_null(rig_answer(&r, all));
    rig_qfailed(&r, q[0], PTOOLS_ERR_FAILED, "no");
    rig_qdone(&r, q[2]);
    ck_assert(!rig_answer(&r, all)->answer.failed);
    ck_assert_mem_eq(rig_answer(&r, one)->payload->data, "value", 5);
    any = rig_ask(&r, MSG_TASK_WAIT, &(const struct msg_task){ .n_tasks = 3, .tasks = q, .any = true });
    ck_assert_uint_eq(rig_queue_id(&r, any), q[0]); /* the first in the list */
    rig_failure(&r, rig_ask(&r, MSG_TASK_WAIT, &(const struct msg_task){ .n_tasks = 1, .tasks = (uint64_t[]){ 5 } }),
                PTOOLS_ERR_NO_TASK);
    rig_end(&r);
}
END_TEST

START_TEST(a_wait_can_be_cancelled_and_its_task_goes_on)
{
    uint64_t id, wait;

    setup(1);
    id = rig_queued(&r, SUBMIT());
    wait = rig_result(&r, id);
    rig_cancel(&r, wait);
    rig_failure(&r, wait, PTOOLS_ERR_CANCELLED);
    ck_assert_uint_eq(rig_shown(&r, id), SHOWN_QUEUED);
    wait = rig_queue(&r, SUBMIT(.wait = true)); /* submitted and waited for in one: the task itself */
    rig_cancel(&r, wait);
    ck_has(rig_failure(&r, wait, PTOOLS_ERR_CANCELLED), "cancelled on request");
    rig_end(&r);
}
END_TEST

START_TEST(others_tasks_are_not_there)
{
    uint64_t theirs, own;
    uint32_t other;

    setup(1);
    ck_assert_int_eq(core_client_add(r.core, 1001, &other), 0);
    theirs = rig_queue_id(&r, rig_queue_of(&r, other, SUBMIT(), NULL));
    ck_has(rig_failure(&r, rig_result(&r, theirs), PTOOLS_ERR_NO_TASK), "no queued task");
    for (int change = CHANGE_DEQUEUE; change <= CHANGE_FORGET; change++)
        rig_failure(&r, rig_change(&r, (enum task_change)change, theirs), PTOOLS_ERR_NO_TASK);
    own = rig_queue(&r, SUBMIT(.n_after = 1, .after = &theirs));
    rig_failure(&r, own, PTOOLS_ERR_NO_TASK);
    rig_end(&r);
}
END_TEST

START_TEST(dequeue_and_cancel)
{
    uint64_t waits, runs, request;

    setup(1);
    runs = rig_queued(&r, SUBMIT());
    waits = rig_queued(&r, SUBMIT());
    rig_assign(&r);
    rig_queue_id(&r, rig_change(&r, CHANGE_DEQUEUE, waits));
    ck_assert_uint_eq(rig_shown(&r, waits), SHOWN_CANCELLED);
    request = rig_change(&r, CHANGE_DEQUEUE, runs);
    ck_has(rig_failure(&r, request, PTOOLS_ERR_NOT_NOW), "is running");
    ck_assert_uint_eq(rig_answer(&r, request)->answer.failure.state, SHOWN_RUNNING);
    rig_queue_id(&r, rig_change(&r, CHANGE_CANCEL, runs));
    ck_assert_uint_eq(rig_revoke(&r, false), 1); /* it had begun: it is told to stop */
    ck_assert_uint_eq(rig_count(&r, ACT_CANCEL), 1);
    rig_qdone(&r, runs); /* too late */
    ck_assert_uint_eq(rig_shown(&r, runs), SHOWN_CANCELLED);
    rig_failure(&r, rig_change(&r, CHANGE_CANCEL, runs), PTOOLS_ERR_NOT_NOW);
    rig_end(&r);
}
END_TEST

START_TEST(hold_and_release)
{
    uint64_t id;

    setup(1);
    id = rig_queued(&r, SUBMIT(.hold = true));
    ck_has(rig_why(&r, id), "on hold");
    rig_failure(&r, rig_change(&r, CHANGE_HOLD, id), PTOOLS_ERR_NOT_NOW);
    rig_queue_id(&r, rig_change(&r, CHANGE_RELEASE, id));
    ck_assert_uint_eq(rig_shown(&r, id), SHOWN_QUEUED);
    rig_queue_id(&r, rig_change(&r, CHANGE_HOLD, id));
    ck_assert_uint_eq(rig_shown(&r, id), SHOWN_WAITING);
    rig_end(&r);
}
END_TEST

START_TEST(priorities_change_as_a_whole)
{
    struct msg_priority p[4];
    const struct action *a;
    uint64_t q[3], ran;

    setup(1);
    for (int i = 0; i < 3; i++)
        q[i] = rig_queued(&r, SUBMIT());
    rig_assign(&r); /* the first runs */
    for (int i = 0; i < 3; i++)
        p[i] = (struct msg_priority){ q[i], -i };
    p[3] = (struct msg_priority){ 77777, 1 };
    core_priorities(r.core, r.now, r.client, ++r.request, (const uint8_t *)p, sizeof p, &r.out);
    rig_check(&r);
    a = rig_answer(&r, r.request);
    ck_assert_uint_eq(a->answer.reply.count, 2);
    ck_assert_uint_eq(a->answer.reply.skipped, 2);
    rig_qdone(&r, q[0]);
    rig_clear(&r);
    rig_assign(&r);
    ck_assert_uint_eq(rig_runs(&r, &ran, 1), 1);
    ck_assert_uint_eq(ran, q[2]);
    p[0] = (struct msg_priority){ q[1], 5 };
    p[1].priority = NAN;
    core_priorities(r.core, r.now, r.client, ++r.request, (const uint8_t *)p, sizeof p, &r.out);
    ck_has(rig_failure(&r, r.request, PTOOLS_ERR_BAD_REQUEST), "is not a number");
    ck_assert(rig_qtask(&r, q[1])->priority == -1); /* nothing was changed */
    core_priorities(r.core, r.now, r.client, ++r.request, (const uint8_t *)p, 15, &r.out);
    ck_has(rig_failure(&r, r.request, PTOOLS_ERR_BAD_REQUEST), "it has 15 bytes");
    rig_end(&r);
}
END_TEST

START_TEST(why_it_waits)
{
    uint64_t q[2];

    setup(1);
    for (int i = 0; i < 2; i++)
        q[i] = rig_queued(&r, SUBMIT());
    ck_has(rig_why(&r, q[1]), "0 of the 1 that may run it are busy or not up, and 1 of your tasks come before it");
    rig_assign(&r);
    ck_has(rig_why(&r, q[0]), "it runs, at worker 1");
    ck_has(rig_why(&r, q[1]), "1 of the 1 that may run it are busy or not up, and 0 of your tasks come before it");
    rig_qdone(&r, q[0]);
    ck_has(rig_why(&r, q[0]), "it waits for nothing: it is done");
    rig_end(&r);
}
END_TEST

START_TEST(events_are_seen_by_who_watches)
{
    struct text tags[] = { TEXT("night") };
    uint64_t watch, tagged, other, id;

    setup(2);
    watch = rig_ask(&r, MSG_EVENTS, &(const struct msg_task){ .tag = TEXT("night") });
    tagged = rig_queued(&r, SUBMIT(.n_tags = 1, .tags = tags));
    other = rig_queued(&r, SUBMIT());
    rig_assign(&r);
    rig_qdone(&r, tagged);
    rig_qdone(&r, other);
    ck_assert_ptr_nonnull(rig_event(&r, EVENT_QUEUED, tagged));
    ck_assert_ptr_nonnull(rig_event(&r, EVENT_STARTED, tagged));
    ck_assert_uint_eq(rig_event(&r, EVENT_ENDED, tagged)->answer.event.seq, 3);
    ck_assert_uint_eq(rig_event(&r, EVENT_ENDED, tagged)->answer.event.state, SHOWN_DONE);
    ck_assert_uint_eq(rig_event(&r, EVENT_ENDED, tagged)->answer.id, watch);
    ck_assert_ptr_null(rig_event(&r, EVENT_QUEUED, other));
    rig_ask(&r, MSG_EVENTS_END, &(const struct msg_task){ .request = watch });
    id = rig_queued(&r, SUBMIT(.n_tags = 1, .tags = tags));
    ck_assert_ptr_null(rig_event(&r, EVENT_QUEUED, id));
    rig_end(&r);
}
END_TEST

START_TEST(an_end_of_the_daemon_ends_the_volatile)
{
    uint64_t volatile_one, crashsafe, wait;

    setup(1);
    rig_queued(&r, SUBMIT());
    rig_assign(&r);
    volatile_one = rig_queued(&r, SUBMIT());
    crashsafe = rig_queued(&r, SUBMIT(.durability = TASK_CRASHSAFE));
    wait = rig_result(&r, volatile_one);
    core_drain(r.core, r.now, false, &r.out);
    rig_check(&r);
    rig_failure(&r, wait, PTOOLS_ERR_DRAINING);
    ck_assert_uint_eq(rig_shown(&r, crashsafe), SHOWN_WAITING);
    rig_failure(&r, rig_queue(&r, SUBMIT()), PTOOLS_ERR_DRAINING);
    rig_end(&r);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core qtask life");
    TCase *tc = suite_case(suite, "attempts");

    tcase_add_test(tc, one_that_may_have_run_is_not_run_again);
    tcase_add_test(tc, an_idempotent_one_is_tried_again_later);
    tcase_add_test(tc, three_kills_are_dead);
    tcase_add_test(tc, which_failures_count_is_said);
    tcase_add_test(tc, repeating_needs_idempotence);
    tcase_add_test(tc, five_workers_that_end_before_it_begins_are_enough);
    tcase_add_test(tc, a_value_that_is_too_large_is_a_failure);
    tc = suite_case(suite, "time");
    tcase_add_test(tc, delay_start_and_expiry);
    tcase_add_test(tc, a_time_of_day_follows_the_clock);
    tcase_add_test(tc, what_has_begun_does_not_expire);
    tcase_add_test(tc, ended_ones_are_forgotten_in_time);
    tcase_add_test(tc, the_oldest_make_room);
    tc = suite_case(suite, "dependencies");
    tcase_add_test(tc, one_waits_for_another);
    tcase_add_test(tc, a_failure_cascades_or_not);
    tcase_add_test(tc, forgetting_ends_the_hope);
    tc = suite_case(suite, "keys and limits");
    tcase_add_test(tc, one_task_for_each_key);
    tcase_add_test(tc, over_a_limit_with_numbers);
    tcase_add_test(tc, who_asked_to_block_waits_for_room);
    tcase_add_test(tc, the_module_is_asked_before_it_is_accepted);
    tc = suite_case(suite, "requests");
    tcase_add_test(tc, waiting_for_any_and_for_all);
    tcase_add_test(tc, a_wait_can_be_cancelled_and_its_task_goes_on);
    tcase_add_test(tc, others_tasks_are_not_there);
    tcase_add_test(tc, dequeue_and_cancel);
    tcase_add_test(tc, hold_and_release);
    tcase_add_test(tc, priorities_change_as_a_whole);
    tcase_add_test(tc, why_it_waits);
    tcase_add_test(tc, events_are_seen_by_who_watches);
    tcase_add_test(tc, an_end_of_the_daemon_ends_the_volatile);
    return suite_run(suite);
}
