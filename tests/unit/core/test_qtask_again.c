/* SPDX-License-Identifier: MIT */
/* qtask -- what stays true of a task over its attempts, over being run again, and over restarts of the daemon. */
#include <string.h>

#include <ptools/module.h>

#include "tests/unit/core/rig_restart.h"

static struct rig r;
static struct rig_journal journal;

static void setup(uint32_t workers)
{
    rig_limits(&r);
    rig_queue_start(&r, workers);
}

/* Cancelled while it waits for its next attempt, or while that is on its way: the first may have been executed. */
START_TEST(what_has_begun_once_may_have_been_executed)
{
    static const enum task_change changes[] = { CHANGE_DEQUEUE, CHANGE_CANCEL };
    uint64_t id, request;

    setup(1);
    for (unsigned i = 0; i <= 2; i++) {
        id = rig_queued(&r, SUBMIT(.idempotent = true, .attempts = 3));
        rig_assign(&r);
        rig_qdies(&r, id, true);
        ck_assert_uint_eq(rig_shown(&r, id), SHOWN_WAITING);
        if (i == 2) {
            rig_queue_id(&r, rig_change(&r, CHANGE_KICK, id));
            rig_assign(&r);
            ck_assert_uint_eq(rig_shown(&r, id), SHOWN_RUNNING);
        }
        request = rig_change(&r, changes[MIN(i, 1)], id);
        (void)rig_revoke(&r, true); /* the second was not begun */
        rig_queue_id(&r, request);
        ck_assert_uint_eq(rig_shown(&r, id), SHOWN_CANCELLED);
        ck_assert(rig_qtask(&r, id)->end->maybe_executed);
        request = rig_result(&r, id);
        rig_failure(&r, request, PTOOLS_ERR_CANCELLED);
        ck_assert(rig_answer(&r, request)->answer.failure.maybe_executed);
    }
    id = rig_queued(&r, SUBMIT());
    rig_queue_id(&r, rig_change(&r, CHANGE_DEQUEUE, id));
    ck_assert(!rig_qtask(&r, id)->end->maybe_executed);
    rig_end(&r);
}
END_TEST

/* -- a task that has come first is run again ------------------------------------------------------------------ */

static void runs_and(uint64_t id, bool well)
{
    rig_assign(&r);
    rig_recorded(&r);
    if (well)
        rig_qdone(&r, id);
    else
        rig_qfailed(&r, id, PTOOLS_ERR_FAILED, "no");
    rig_recorded(&r);
    ck_assert_uint_eq(rig_shown(&r, id), well ? SHOWN_DONE : SHOWN_FAILED);
}

static void runs_again_and_fails(uint64_t id)
{
    rig_change(&r, CHANGE_RERUN, id);
    runs_and(id, false);
}

static uint64_t queued_after(uint64_t *after, uint32_t n, bool hold)
{
    return rig_queued(&r, SUBMIT(.durability = TASK_DURABLE, .n_after = n, .after = after, .hold = hold));
}

START_TEST(what_was_waited_for_is_not_waited_for_again)
{
    uint64_t first, second, both[2], met, late, partly;

    setup(2);
    first = rig_queued(&r, SUBMIT(.durability = TASK_DURABLE));
    second = rig_queued(&r, SUBMIT(.durability = TASK_DURABLE, .hold = true));
    both[0] = second;
    both[1] = first;
    met = queued_after(&first, 1, true);
    partly = queued_after(both, 2, false);
    runs_and(first, true);
    late = queued_after(&first, 1, true); /* there is nothing to wait for from the beginning */
    runs_again_and_fails(first);
    for (int i = 0; i < 3; i++) {
        ck_has(rig_why(&r, met), "on hold");
        ck_has(rig_why(&r, late), "on hold");
        ck_has(rig_why(&r, partly), "it waits for task");
        rig_restart(&journal, &r, 2, 10, 0);
        rig_recorded(&r);
    }
    rig_change(&r, CHANGE_RELEASE, second);
    runs_and(second, true);
    ck_assert_uint_eq(rig_shown(&r, partly), SHOWN_QUEUED);
    rig_change(&r, CHANGE_RELEASE, met);
    ck_assert_uint_eq(rig_shown(&r, met), SHOWN_QUEUED);
    rig_end(&r);
    rig_forget_rows(&journal);
}
END_TEST

/* It is done, and the daemon dies before that is noted of the one that waits. */
START_TEST(what_is_met_at_a_restart_is_met)
{
    uint64_t first, then;

    setup(1);
    first = rig_queued(&r, SUBMIT(.durability = TASK_DURABLE));
    then = queued_after(&first, 1, true);
    rig_assign(&r);
    rig_recorded(&r);
    rig_qdone(&r, first);
    rig_restart(&journal, &r, 1, 10, 0);
    runs_again_and_fails(first);
    rig_restart(&journal, &r, 1, 10, 0);
    rig_recorded(&r);
    ck_has(rig_why(&r, then), "on hold");
    rig_end(&r);
    rig_forget_rows(&journal);
}
END_TEST

/* It is done while the one that waits is on its way: its module is loaded. */
START_TEST(what_is_met_on_the_way_is_met)
{
    static const char *const functions[] = { "f" };
    uint64_t first, second, both[2], then, request;

    setup(1);
    first = rig_queued(&r, SUBMIT(.durability = TASK_DURABLE));
    second = rig_queued(&r, SUBMIT(.durability = TASK_DURABLE, .hold = true));
    both[0] = second;
    both[1] = first;
    request = rig_queue(&r, SUBMIT_OF("other.f", .durability = TASK_DURABLE, .n_after = 2, .after = both));
    runs_and(first, true);
    rig_loaded(&r, "other", PTOOLS_OK, functions, 1);
    rig_recorded(&r);
    then = rig_queue_id(&r, request);
    runs_again_and_fails(first);
    for (int i = 0; i < 2; i++) {
        rig_restart(&journal, &r, 1, 10, 0);
        rig_recorded(&r);
        ck_has(rig_why(&r, then), "it waits for task");
    }
    rig_change(&r, CHANGE_CANCEL, second);
    rig_recorded(&r);
    rig_recorded(&r);
    ck_assert_uint_eq(rig_shown(&r, then), SHOWN_CANCELLED);
    rig_end(&r);
    rig_forget_rows(&journal);
}
END_TEST

START_TEST(one_that_is_to_come_again_is_waited_for)
{
    uint64_t first, then;

    setup(1);
    first = rig_queued(&r, SUBMIT(.durability = TASK_DURABLE));
    runs_and(first, true);
    rig_change(&r, CHANGE_RERUN, first);
    then = queued_after(&first, 1, false);
    rig_restart(&journal, &r, 1, 10, 0);
    ck_has(rig_why(&r, then), "it waits for task");
    runs_and(first, false);
    rig_recorded(&r);
    ck_assert_uint_eq(rig_shown(&r, then), SHOWN_CANCELLED);
    rig_end(&r);
    rig_forget_rows(&journal);
}
END_TEST

/* It runs now, whatever it had to come after, also if the daemon dies before it does. */
START_TEST(what_is_run_again_waits_for_nothing)
{
    uint64_t first, then;

    setup(1);
    first = rig_queued(&r, SUBMIT(.durability = TASK_DURABLE, .hold = true));
    then = queued_after(&first, 1, false);
    rig_change(&r, CHANGE_CANCEL, then);
    rig_recorded(&r);
    rig_change(&r, CHANGE_RERUN, then);
    ck_assert_uint_eq(rig_shown(&r, then), SHOWN_QUEUED);
    rig_restart(&journal, &r, 1, 10, 0);
    ck_assert_uint_eq(rig_shown(&r, then), SHOWN_QUEUED);
    rig_end(&r);
    rig_forget_rows(&journal);
}
END_TEST

/* -- what was cancelled ----------------------------------------------------------------------------------------- */

static void is_cancelled(uint64_t id, bool maybe_executed)
{
    uint64_t request = rig_result(&r, id);

    rig_failure(&r, request, PTOOLS_ERR_CANCELLED);
    ck_assert_uint_eq(rig_shown(&r, id), SHOWN_CANCELLED);
    ck_assert(rig_answer(&r, request)->answer.failure.maybe_executed == maybe_executed);
}

START_TEST(a_cancel_outlives_the_daemon)
{
    static const enum task_durability durability[] = { TASK_CRASHSAFE, TASK_DURABLE };
    struct msg_cancel cancel = { 0 };
    uint64_t id, request;

    for (unsigned i = 0; i < 4; i++) {
        setup(1);
        id = rig_queued(&r, SUBMIT(.durability = durability[i % 2], .idempotent = true, .attempts = 3));
        rig_assign(&r);
        rig_recorded(&r);
        cancel.task = id;
        request = ++r.request;
        if (i < 2)
            request = rig_change(&r, CHANGE_CANCEL, id);
        else
            core_cancel(r.core, r.now, r.client, request, &cancel, &r.out);
        ck_assert_uint_eq(rig_revoke(&r, false), 1); /* it has begun, and is given its time */
        ck_assert_uint_eq(rig_shown(&r, id), SHOWN_RUNNING);
        ck_assert_ptr_null(rig_answer(&r, request)); /* what is answered is written */
        rig_recorded(&r);
        rig_queue_id(&r, request);
        rig_restart(&journal, &r, 1, 10, 0);
        rig_recorded(&r);
        is_cancelled(id, true);
        rig_change(&r, CHANGE_RERUN, id); /* that is another wish */
        rig_recorded(&r);
        rig_restart(&journal, &r, 1, 10, 0);
        ck_assert_uint_eq(rig_shown(&r, id), SHOWN_QUEUED);
        rig_end(&r);
        rig_forget_rows(&journal);
    }
}
END_TEST

START_TEST(a_cancel_before_it_was_accepted_outlives_the_daemon)
{
    struct msg_cancel cancel = { 0 };
    uint64_t request, first;

    setup(2);
    first = r.core->next_task;
    for (int all = 0; all <= 1; all++) {
        cancel.request =
            rig_queue(&r, SUBMIT(.durability = TASK_DURABLE, .target = all ? TARGET_ALL : 0, .wait = true));
        request = ++r.request;
        core_cancel(r.core, r.now, r.client, request, &cancel, &r.out);
        ck_assert_ptr_null(rig_answer(&r, request));
    }
    rig_restart(&journal, &r, 2, 10, 0); /* the rows are there */
    rig_recorded(&r);
    rig_recorded(&r);
    is_cancelled(first, false);
    ck_assert_uint_eq(rig_shown(&r, first + 1), SHOWN_CANCELLED);
    is_cancelled(first + 2, false);
    is_cancelled(first + 3, false);
    rig_end(&r);
    rig_forget_rows(&journal);
}
END_TEST

/* -- workers that come later --------------------------------------------------------------------------------- */

START_TEST(a_worker_that_comes_is_for_whom_it_was_named)
{
    static const uint32_t list[] = { 1, 3, 3 }, other[] = { 1, 2 };
    uint64_t busy[2], waits, held, stays;

    setup(2);
    for (unsigned i = 0; i < 2; i++)
        busy[i] = rig_queued(&r, SUBMIT());
    rig_assign(&r);
    waits = rig_queued(&r, SUBMIT(.n_workers = 3, .workers = (uint32_t *)list, .wait_target = true));
    held = rig_queued(&r, SUBMIT(.n_workers = 3, .workers = (uint32_t *)list, .wait_target = true, .hold = true));
    stays = rig_queued(&r, SUBMIT(.n_workers = 2, .workers = (uint32_t *)other));
    ck_has(rig_why(&r, waits), "1 of the 1 that may run it are busy");
    core_workers_add(r.core, r.now, r.client, ++r.request, 1, &r.out);
    rig_check(&r);
    ck_has(rig_why(&r, waits), "2 of the 2 that may run it are busy or not up");
    ck_has(rig_why(&r, stays), "2 of the 2");
    ck_has(rig_why(&r, held), "on hold");
    rig_ready(&r, 3);
    rig_assign(&r);
    ck_assert_uint_eq(rig_shown(&r, waits), SHOWN_RUNNING);
    ck_assert_uint_eq(rig_qtask(&r, waits)->worker, 3);
    rig_qdone(&r, waits);
    rig_queue_id(&r, rig_change(&r, CHANGE_RELEASE, held));
    rig_assign(&r);
    ck_assert_uint_eq(rig_qtask(&r, held)->worker, 3);
    ck_assert_uint_eq(rig_shown(&r, stays), SHOWN_QUEUED);
    for (unsigned i = 0; i < 2; i++)
        rig_qdone(&r, busy[i]);
    rig_end(&r);
}
END_TEST

/* The only one of the list that is there is being removed, and still busy: nobody of it is left for the next. */
START_TEST(also_while_it_is_recorded_or_runs)
{
    static const uint32_t list[] = { 1, 2 };
    uint64_t runs, recorded, request;

    setup(1);
    runs = rig_queued(&r, SUBMIT(.n_workers = 2, .workers = (uint32_t *)list, .wait_target = true, .idempotent = true));
    rig_assign(&r);
    request = rig_queue(
        &r, SUBMIT(.n_workers = 2, .workers = (uint32_t *)list, .wait_target = true, .durability = TASK_DURABLE));
    core_workers_add(r.core, r.now, r.client, ++r.request, 1, &r.out);
    rig_check(&r);
    rig_recorded(&r);
    recorded = rig_queue_id(&r, request);
    ck_has(rig_why(&r, recorded), "of the 2 that may run it");
    rig_qdies(&r, runs, true);
    rig_queue_id(&r, rig_change(&r, CHANGE_KICK, runs));
    ck_has(rig_why(&r, runs), "of the 2 that may run it");
    rig_end(&r);
}
END_TEST

START_TEST(a_list_may_be_left_without_workers)
{
    static const uint32_t list[] = { 1, 99 };
    uint64_t busy, waits, held;

    setup(2);
    busy = rig_queued(&r, SUBMIT());
    rig_assign(&r);
    ck_assert_uint_eq(rig_qtask(&r, busy)->worker, 1);
    waits = rig_queued(&r, SUBMIT(.n_workers = 2, .workers = (uint32_t *)list, .wait_target = true));
    held = rig_queued(&r, SUBMIT(.n_workers = 2, .workers = (uint32_t *)list, .wait_target = true, .hold = true));
    core_workers_remove(r.core, r.now, r.client, ++r.request, 1, &r.out);
    rig_revoke(&r, false);
    core_workers_add(r.core, r.now, r.client, ++r.request, 1, &r.out);
    rig_check(&r);
    ck_assert(!r.out.no_memory);
    ck_assert_uint_eq(rig_shown(&r, waits), SHOWN_WAITING);
    ck_has(rig_why(&r, waits), "its target is not there");
    ck_has(rig_why(&r, held), "on hold");
    rig_qdone(&r, busy);
    rig_end(&r);
}
END_TEST

/* -- what follows from an end ------------------------------------------------------------------------------------- */

/* The first part ends as it is accepted, makes room by what all of them come after, and with that all others end. */
START_TEST(parts_may_end_while_they_are_accepted)
{
    uint64_t first, whole;

    rig_limits(&r);
    r.limits.user_kept_max = 1;
    rig_queue_start(&r, 4);
    first = rig_queued(&r, SUBMIT());
    rig_assign(&r);
    rig_qfailed(&r, first, PTOOLS_ERR_FAILED, "no good");
    whole = rig_queue(&r, SUBMIT(.target = TARGET_ALL, .n_after = 1, .after = &first));
    rig_check(&r);
    for (int i = 0; i < 10; i++)
        rig_tick(&r, 1);
    ck_assert_uint_ge(rig_queue_id(&r, whole), first);
    ck_assert_uint_le(r.core->n_queue, 6);
    rig_end(&r);
}
END_TEST

START_TEST(a_daemon_that_ends_runs_nothing_again)
{
    uint64_t task, request;

    setup(1);
    task = rig_queued(&r, SUBMIT());
    rig_assign(&r);
    rig_qdone(&r, task);
    core_drain(r.core, r.now, false, &r.out);
    request = rig_change(&r, CHANGE_RERUN, task);
    rig_failure(&r, request, PTOOLS_ERR_DRAINING);
    ck_assert_uint_eq(rig_shown(&r, task), SHOWN_DONE);
    rig_end(&r);
}
END_TEST

/* What it ends is lost; what fails meanwhile has failed. */
START_TEST(a_daemon_that_ends_and_what_still_runs)
{
    uint64_t task[2], request[2];

    setup(2);
    for (int i = 0; i < 2; i++) {
        task[i] = rig_queued(&r, SUBMIT());
        request[i] = rig_result(&r, task[i]);
    }
    rig_assign(&r);
    for (int i = 0; i < 2; i++)
        task_find(r.core, task[i])->begun = true;
    core_drain(r.core, r.now, false, &r.out);
    rig_qfailed(&r, task[1], PTOOLS_ERR_FAILED, "no");
    core_drain(r.core, r.now, true, &r.out);
    rig_qfailed(&r, task[0], PTOOLS_ERR_CANCELLED, "");
    ck_has(rig_failure(&r, request[0], PTOOLS_ERR_DAEMON_DIED), "the daemon was ended while it ran");
    ck_assert_uint_eq(rig_shown(&r, task[0]), SHOWN_LOST);
    ck_assert_uint_eq(rig_shown(&r, task[1]), SHOWN_FAILED);
    rig_end(&r);
}
END_TEST

/* -- what is shown of it --------------------------------------------------------------------------------------- */

static void shows(uint64_t id, uint32_t attempts, bool idempotent, uint32_t parts)
{
    struct core_queued_view v;

    ck_assert(core_view_queued(r.core, 1000, id, &v));
    ck_assert_uint_eq(v.id, id);
    ck_assert_uint_eq(v.attempts, attempts);
    ck_assert(v.idempotent == idempotent);
    ck_assert_uint_eq(v.parts, parts);
}

START_TEST(what_its_function_says_is_kept_with_it)
{
    static const char *const functions[] = { "f" };
    uint64_t held, all, once;

    setup(2);
    once = rig_queued(&r, SUBMIT(.durability = TASK_DURABLE, .hold = true));
    rig_loaded(&r, "n", PTOOLS_OK, functions, 1);
    function_find(r.core, "n.f", 3)->flags |= PTOOLS_FN_IDEMPOTENT;
    held = rig_queued(&r, SUBMIT_OF("n.f", .durability = TASK_DURABLE, .hold = true));
    all = rig_queued(&r, SUBMIT_OF("n.f", .durability = TASK_CRASHSAFE, .target = TARGET_ALL));
    for (int i = 0; i < 3; i++) { /* also before its module is there */
        shows(once, 1, false, 0);
        shows(held, 3, true, 0);
        shows(all, 3, true, 2);
        shows(all + 2, 3, true, 0);
        rig_restart(&journal, &r, 2, 10, 0);
    }
    rig_loaded(&r, "n", PTOOLS_OK, functions, 1);
    rig_assign(&r);
    rig_recorded(&r);
    rig_qdone(&r, all + 1);
    rig_qdone(&r, all + 2);
    rig_recorded(&r);
    rig_recorded(&r);
    ck_assert_uint_eq(rig_shown(&r, all), SHOWN_DONE);
    rig_change(&r, CHANGE_FORGET, all + 2);
    rig_restart(&journal, &r, 2, 10, 0);
    shows(all, 3, true, 2);
    rig_end(&r);
    rig_forget_rows(&journal);
}
END_TEST

/* -- a set that comes while a task could not use it --------------------------------------------------------------- */

START_TEST(a_set_that_comes_meanwhile_is_found)
{
    uint64_t delayed, paused;

    rig_limits(&r);
    rig_queue_start(&r, 1);
    delayed = rig_queued(&r, SUBMIT(.set = TEXT("crew"), .wait_target = true, .delay_ms = 100));
    paused = rig_queued(&r, SUBMIT(.set = TEXT("crew"), .wait_target = true, .hold = true));
    ck_assert_uint_ne(rig_set(&r, SET_FF, "crew", (uint32_t[]){ 1, 0 }), 0);
    rig_change(&r, CHANGE_RELEASE, paused);
    ck_assert_uint_eq(rig_shown(&r, paused), SHOWN_QUEUED);
    ck_assert_uint_eq(rig_shown(&r, delayed), SHOWN_WAITING);
    rig_tick(&r, 100000);
    ck_assert_uint_eq(rig_shown(&r, delayed), SHOWN_QUEUED);
    rig_end(&r);
}
END_TEST

START_TEST(a_set_that_is_made_anew_while_its_task_runs_is_found)
{
    struct msg_set destroy = { 0 };
    uint64_t fails, waits;

    rig_limits(&r);
    rig_queue_start(&r, 1);
    destroy.set_id = rig_set(&r, SET_FF, "crew", (uint32_t[]){ 1, 0 });
    fails = rig_queued(&r, SUBMIT(.set = TEXT("crew"), .wait_target = true, .idempotent = true, .attempts = 2,
                                  .retry_on = RETRY_FAILED, .backoff_ms = 1));
    rig_assign(&r);
    waits = rig_queued(&r, SUBMIT(.set = TEXT("crew"), .wait_target = true));
    core_set(r.core, r.now, r.client, ++r.request, MSG_SET_DESTROY, &destroy, &r.out);
    rig_check(&r);
    ck_assert_uint_eq(rig_shown(&r, waits), SHOWN_WAITING); /* it does not find the one that goes */
    ck_assert_uint_ne(rig_set(&r, SET_FF, "crew", (uint32_t[]){ 1, 0 }), 0);
    ck_assert_uint_eq(rig_shown(&r, waits), SHOWN_QUEUED);
    rig_qfailed(&r, fails, PTOOLS_ERR_FAILED, "no");
    rig_tick(&r, 10000);
    ck_assert_uint_eq(rig_shown(&r, fails), SHOWN_QUEUED);
    rig_end(&r);
}
END_TEST

/* -- over a limit, now or ever --------------------------------------------------------------------------------- */

START_TEST(what_never_fits_is_not_told_to_come_again)
{
    uint64_t request;

    rig_limits(&r);
    r.limits.user_queue_bytes_max = 200;
    r.limits.user_queued_max = 3;
    rig_queue_start(&r, 3);
    for (int block = 0; block <= 1; block++) {
        request = rig_queue(&r, SUBMIT(.target = TARGET_ALL, .block = block));
        ck_has(rig_failure(&r, request, PTOOLS_ERR_LIMIT),
               "over the limit user_queued_max: 0 of 3 in use, 4 more asked for, which never fits");
        ck_assert_uint_eq(rig_answer(&r, request)->answer.failure.retry_ms, 0);
    }
    request = rig_queue_of(&r, r.client, SUBMIT(),
                           "an argument of two hundred bytes, as many as there may be: it has to "
                           "be spelled out here, since the bench takes a string, and the strings of benches end "
                           "where they end, which is after these words, or a few more of them, at last.");
    ck_has(rig_failure(&r, request, PTOOLS_ERR_LIMIT), "user_queue_bytes_max");
    ck_assert_uint_eq(rig_answer(&r, request)->answer.failure.retry_ms, 0);
    rig_queued(&r, SUBMIT());
    rig_end(&r);
}
END_TEST

/* -- clocks: of tasks that have been changed since, which is recorded ------------------------------------------- */

static uint64_t changed(uint64_t delay_ms, uint64_t start_ms)
{
    const uint64_t id =
        rig_queued(&r, SUBMIT(.durability = TASK_DURABLE, .hold = true, .delay_ms = delay_ms, .start_ms = start_ms));

    rig_change(&r, CHANGE_RELEASE, id);
    return id;
}

START_TEST(a_time_of_day_is_one_of_todays_clock)
{
    uint64_t id;

    setup(1);
    id = changed(0, QUEUE_WALL_MS + 3600 * 1000);
    journal.same_boot = true;
    rig_restart(&journal, &r, 1, 1000, 1800 * 1000); /* half an hour ahead */
    ck_assert_uint_eq(rig_qtask(&r, id)->due_us, r.now + UINT64_C(1799) * 1000000);
    rig_restart(&journal, &r, 1, 1000, -86400 * 1000);
    ck_assert_uint_eq(rig_qtask(&r, id)->due_us, r.now + UINT64_C(88198) * 1000000);
    journal.same_boot = false;
    rig_end(&r);
    rig_forget_rows(&journal);
}
END_TEST

START_TEST(no_delay_is_longer_than_it_was_at_first)
{
    uint64_t id;

    setup(1);
    id = changed(10000, 0);
    rig_restart(&journal, &r, 1, 1000, -3600 * 1000);
    ck_assert_uint_eq(rig_qtask(&r, id)->due_us, r.now + 10000000);
    rig_end(&r);
    rig_forget_rows(&journal);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core qtask again");
    TCase *tc = suite_case(suite, "attempts");

    tcase_add_test(tc, what_has_begun_once_may_have_been_executed);
    tc = suite_case(suite, "cancelled");
    tcase_add_test(tc, a_cancel_outlives_the_daemon);
    tcase_add_test(tc, a_cancel_before_it_was_accepted_outlives_the_daemon);
    tc = suite_case(suite, "run again");
    tcase_add_test(tc, what_was_waited_for_is_not_waited_for_again);
    tcase_add_test(tc, what_is_met_at_a_restart_is_met);
    tcase_add_test(tc, what_is_met_on_the_way_is_met);
    tcase_add_test(tc, one_that_is_to_come_again_is_waited_for);
    tcase_add_test(tc, what_is_run_again_waits_for_nothing);
    tc = suite_case(suite, "workers");
    tcase_add_test(tc, a_worker_that_comes_is_for_whom_it_was_named);
    tcase_add_test(tc, also_while_it_is_recorded_or_runs);
    tcase_add_test(tc, a_list_may_be_left_without_workers);
    tc = suite_case(suite, "sets");
    tcase_add_test(tc, a_set_that_comes_meanwhile_is_found);
    tcase_add_test(tc, a_set_that_is_made_anew_while_its_task_runs_is_found);
    tc = suite_case(suite, "what follows");
    tcase_add_test(tc, parts_may_end_while_they_are_accepted);
    tcase_add_test(tc, a_daemon_that_ends_runs_nothing_again);
    tcase_add_test(tc, a_daemon_that_ends_and_what_still_runs);
    tc = suite_case(suite, "shown");
    tcase_add_test(tc, what_its_function_says_is_kept_with_it);
    tc = suite_case(suite, "over a limit");
    tcase_add_test(tc, what_never_fits_is_not_told_to_come_again);
    tc = suite_case(suite, "clocks");
    tcase_add_test(tc, a_time_of_day_is_one_of_todays_clock);
    tcase_add_test(tc, no_delay_is_longer_than_it_was_at_first);
    return suite_run(suite);
}
