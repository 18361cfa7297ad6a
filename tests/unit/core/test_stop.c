/* SPDX-License-Identifier: MIT */
#include "tests/unit/core/rig_queue.h"

static struct rig r;

static void setup(uint32_t workers)
{
    rig_limits(&r);
    rig_start(&r, workers);
}

/* A call that its worker has begun. */
static uint64_t running(const char *function)
{
    uint64_t q = rig_call(&r, function);

    rig_assign(&r);
    ck_assert_uint_ne(rig_where(&r, q), 0);
    rig_clear(&r);
    return q;
}

START_TEST(waiting_is_cancelled_at_once)
{
    uint64_t q;

    setup(1);
    running("m.f");
    q = rig_call(&r, "m.f");
    rig_cancel(&r, q);
    ck_has(rig_failure(&r, q, PTOOLS_ERR_CANCELLED), "cancelled on request");
    ck_assert(!rig_answer(&r, q)->answer.failure.maybe_executed);
    ck_assert_uint_eq(rig_answer(&r, q)->answer.failure.worker, 0);
    ck_assert(!rig_answer(&r, r.request)->answer.reply.done);
    ck_assert_uint_eq(rig_count(&r, ACT_REVOKE), 0);
    rig_end(&r);
}
END_TEST

START_TEST(given_is_taken_back_first)
{
    uint64_t q;

    setup(1);
    q = running("m.f");
    rig_cancel(&r, q);
    ck_assert_uint_eq(rig_count(&r, ACT_REVOKE), 1);
    ck_assert_ptr_null(rig_answer(&r, q));
    rig_revoke(&r, true);
    rig_failure(&r, q, PTOOLS_ERR_CANCELLED);
    ck_assert(!rig_answer(&r, q)->answer.failure.maybe_executed);
    ck_assert_uint_eq(rig_count(&r, ACT_CANCEL), 0);
    ck_assert_int_eq(rig_worker(&r, 1)->state, WORKER_IDLE);
    rig_end(&r);
}
END_TEST

START_TEST(begun_is_told_to_stop_and_its_value_dropped)
{
    uint64_t q, next;

    setup(1);
    q = running("m.f");
    rig_cancel(&r, q);
    rig_revoke(&r, false);
    ck_assert_uint_eq(rig_count(&r, ACT_CANCEL), 1);
    ck_assert_uint_eq(rig_find(&r, ACT_CANCEL, 0)->worker, 1);
    ck_assert_uint_eq(rig_find(&r, ACT_CANCEL, 0)->task, 100);
    ck_assert_int_eq(rig_worker(&r, 1)->state, WORKER_STOPPING);
    next = rig_call(&r, "m.f");
    rig_assign(&r);
    ck_assert_uint_eq(rig_where(&r, next), 0); /* it gets nothing new */
    rig_tick(&r, r.limits.kill_grace_us - 1);
    ck_assert_uint_eq(rig_count(&r, ACT_KILL), 0);
    rig_done(&r, q, 1000);
    ck_has(rig_failure(&r, q, PTOOLS_ERR_CANCELLED), "while it was running");
    ck_assert(rig_answer(&r, q)->answer.failure.maybe_executed);
    ck_assert_uint_eq(rig_answer(&r, q)->answer.failure.worker, 1);
    ck_assert_uint_eq(rig_answer(&r, q)->answer.failure.attempt, 1);
    rig_tick(&r, r.limits.kill_grace_us);
    ck_assert_uint_eq(rig_count(&r, ACT_KILL), 0); /* it lives on */
    rig_assign(&r);
    ck_assert_uint_eq(rig_where(&r, next), 1);
    rig_end(&r);
}
END_TEST

START_TEST(who_does_not_stop_is_killed)
{
    uint64_t q;

    setup(1);
    q = running("m.f");
    rig_cancel(&r, q);
    rig_revoke(&r, false);
    ck_assert_uint_eq(core_next_us(r.core), r.now + r.limits.kill_grace_us);
    rig_tick(&r, r.limits.kill_grace_us);
    ck_assert_uint_eq(rig_count(&r, ACT_KILL), 1);
    ck_assert_ptr_null(rig_answer(&r, q));
    rig_dies(&r, 1, 9, q);
    rig_failure(&r, q, PTOOLS_ERR_CANCELLED);
    ck_assert_int_eq(rig_answer(&r, q)->answer.failure.signal, 9); /* the facts are kept */
    ck_assert_uint_eq(rig_answer(&r, q)->answer.failure.backtrace.n, 5);
    ck_assert_int_eq(rig_answer(&r, q)->answer.failure.pid, 4001);
    ck_assert(rig_answer(&r, q)->answer.failure.maybe_executed);
    ck_assert_uint_eq(rig_count(&r, ACT_SPAWN), 1); /* at once */
    ck_assert_ptr_null(rig_note(&r, NOTE_WORKER_DIED));
    ck_assert_uint_eq(rig_worker(&r, 1)->deaths, 0);
    rig_end(&r);
}
END_TEST

START_TEST(a_worker_that_dies_of_the_request_is_no_death)
{
    uint64_t q;

    setup(1);
    q = running("m.f");
    rig_cancel(&r, q);
    rig_revoke(&r, false);
    rig_dies(&r, 1, 15, q);
    rig_failure(&r, q, PTOOLS_ERR_CANCELLED);
    ck_assert_uint_eq(rig_worker(&r, 1)->deaths, 0);
    ck_assert_uint_eq(rig_count(&r, ACT_SPAWN), 1);
    rig_end(&r);
}
END_TEST

START_TEST(what_is_behind_it_is_saved_first)
{
    uint64_t q[4];
    size_t revokes = 0;

    setup(1);
    for (int i = 0; i < 4; i++)
        q[i] = rig_call(&r, "m.short");
    rig_assign(&r);
    ck_assert_uint_eq(rig_worker(&r, 1)->n_held, 4);
    rig_clear(&r);
    rig_cancel(&r, q[0]);
    core_revoked(r.core, r.now, 1, 100, false, &r.out);
    for (size_t i = 0; i < r.out.n && r.out.v[i].type != ACT_CANCEL; i++)
        revokes += r.out.v[i].type == ACT_REVOKE && r.out.v[i].task != 100;
    ck_assert_uint_eq(revokes, 3); /* before the cancel */
    for (uint64_t id = 101; id < 104; id++)
        core_revoked(r.core, r.now, 1, id, true, &r.out);
    rig_check(&r);
    rig_tick(&r, r.limits.kill_grace_us);
    rig_dies(&r, 1, 9, q[0]);
    rig_failure(&r, q[0], PTOOLS_ERR_CANCELLED);
    for (int i = 1; i < 4; i++)
        ck_assert_int_eq(rig_task(&r, q[i])->state, TASK_WAITING);
    rig_end(&r);
}
END_TEST

/* Nobody knows how long its worker needs to stop. */
START_TEST(booked_and_its_worker_is_to_stop)
{
    uint64_t stopped, booked;

    rig_limits(&r);
    rig_queue_start(&r, 1);
    stopped = rig_queued(&r, SUBMIT_OF("m.short", ));
    rig_assign(&r);
    task_find(r.core, stopped)->begun = true;
    booked = rig_queued(&r, SUBMIT_OF("m.short", .durability = TASK_CRASHSAFE));
    rig_assign(&r);
    ck_assert_uint_eq(rig_shown(&r, booked), SHOWN_RUNNING);
    rig_change(&r, CHANGE_CANCEL, stopped);
    ck_assert_int_eq(rig_worker(&r, 1)->state, WORKER_STOPPING);
    ck_assert_uint_eq(rig_shown(&r, booked), SHOWN_QUEUED);
    rig_end(&r);
}
END_TEST

START_TEST(cancel_of_one_given_ahead_hurts_nobody)
{
    uint64_t q[3];

    setup(1);
    for (int i = 0; i < 3; i++)
        q[i] = rig_call(&r, "m.short");
    rig_assign(&r);
    rig_cancel(&r, q[1]);
    ck_assert_uint_eq(rig_revoke(&r, true), 1);
    rig_failure(&r, q[1], PTOOLS_ERR_CANCELLED);
    ck_assert_uint_eq(rig_worker(&r, 1)->n_held, 2);
    ck_assert_int_eq(rig_worker(&r, 1)->state, WORKER_BUSY);
    rig_end(&r);
}
END_TEST

/* The first is done, but the word has not come; the second has begun: both cannot be taken back. */
START_TEST(two_that_had_begun)
{
    uint64_t q[2];

    setup(1);
    for (int i = 0; i < 2; i++)
        q[i] = rig_call(&r, "m.short");
    rig_assign(&r);
    rig_cancel(&r, q[0]);
    rig_cancel(&r, q[1]);
    rig_revoke(&r, false);
    ck_assert_uint_eq(rig_count(&r, ACT_CANCEL), 2);
    rig_clear(&r);
    rig_done(&r, q[0], 10);
    rig_failure(&r, q[0], PTOOLS_ERR_CANCELLED);
    ck_assert_uint_eq(rig_find(&r, ACT_CANCEL, 0)->task, 101); /* told anew: the page has room for one number */
    ck_assert_int_eq(rig_worker(&r, 1)->state, WORKER_STOPPING);
    rig_done(&r, q[1], 10);
    rig_failure(&r, q[1], PTOOLS_ERR_CANCELLED);
    ck_assert_int_eq(rig_worker(&r, 1)->state, WORKER_IDLE);
    rig_end(&r);
}
END_TEST

START_TEST(the_innocent_second_goes_on)
{
    uint64_t q[2];

    setup(1);
    for (int i = 0; i < 2; i++)
        q[i] = rig_call(&r, "m.short");
    rig_assign(&r);
    rig_cancel(&r, q[0]);
    rig_revoke(&r, false); /* both had begun */
    rig_done(&r, q[0], 10);
    ck_assert_int_eq(rig_worker(&r, 1)->state, WORKER_BUSY);
    rig_tick(&r, r.limits.kill_grace_us * 2);
    ck_assert_uint_eq(rig_count(&r, ACT_KILL), 0);
    rig_done(&r, q[1], 10);
    rig_value(&r, q[1]);
    rig_end(&r);
}
END_TEST

START_TEST(a_process_that_does_not_die)
{
    uint64_t q, next;

    setup(1);
    q = running("m.f");
    rig_cancel(&r, q);
    rig_revoke(&r, false);
    rig_tick(&r, r.limits.kill_grace_us);
    rig_tick(&r, r.limits.stuck_us - 1);
    ck_assert_ptr_null(rig_answer(&r, q));
    rig_tick(&r, 1);
    rig_failure(&r, q, PTOOLS_ERR_CANCELLED);
    ck_assert_uint_eq(rig_note(&r, NOTE_WORKER_STUCK)->worker, 1);
    ck_assert_uint_eq(rig_count(&r, ACT_ABANDON), 1);
    next = rig_call(&r, "m.f");
    rig_assign(&r);
    ck_assert_uint_eq(rig_where(&r, next), 0); /* the slot is out of use */
    ck_assert_uint_eq(core_next_us(r.core), CORE_NEVER);
    rig_clear(&r);
    rig_dies(&r, 1, 9, 0);
    ck_assert_uint_eq(rig_count(&r, ACT_SPAWN), 1);
    rig_ready(&r, 1);
    rig_assign(&r);
    ck_assert_uint_eq(rig_where(&r, next), 1);
    rig_end(&r);
}
END_TEST

START_TEST(a_process_that_does_not_die_is_replaced)
{
    uint64_t q, next;

    setup(1);
    q = running("m.f");
    rig_cancel(&r, q);
    rig_revoke(&r, false);
    next = rig_call_worker(&r, "m.f", 1);
    rig_tick(&r, r.limits.kill_grace_us);
    rig_tick(&r, r.limits.stuck_us);
    rig_failure(&r, q, PTOOLS_ERR_CANCELLED);
    ck_assert_uint_eq(rig_count(&r, ACT_ABANDON), 1);
    rig_clear(&r);
    rig_dies(&r, 1, 0, 0); /* as the daemon says at once, though it lives */
    ck_assert_uint_eq(rig_count(&r, ACT_SPAWN), 1);
    rig_ready(&r, 1);
    rig_assign(&r);
    ck_assert_uint_eq(rig_where(&r, next), 1);
    rig_end(&r);
}
END_TEST

START_TEST(deadline_in_the_queue)
{
    uint64_t q;

    setup(1);
    running("m.f");
    q = rig_call_deadline(&r, "m.f", 500);
    rig_tick(&r, 499999);
    ck_assert_ptr_null(rig_answer(&r, q));
    ck_assert_uint_eq(core_next_us(r.core), r.now + 1);
    rig_tick(&r, 1);
    ck_assert_str_eq(rig_failure(&r, q, PTOOLS_ERR_DEADLINE), "the deadline of 500 ms passed in the queue");
    ck_assert(!rig_answer(&r, q)->answer.failure.maybe_executed);
    rig_end(&r);
}
END_TEST

START_TEST(deadline_while_the_module_is_loaded)
{
    uint64_t q;

    setup(1);
    q = rig_call_deadline(&r, "other.f", 20);
    rig_tick(&r, 20000);
    ck_assert_str_eq(rig_failure(&r, q, PTOOLS_ERR_DEADLINE),
                     "the deadline of 20 ms passed while module other was being loaded");
    rig_end(&r);
}
END_TEST

START_TEST(deadline_of_one_given_ahead)
{
    uint64_t first, q;

    setup(1);
    first = rig_call(&r, "m.short");
    q = rig_call_deadline(&r, "m.short", 1);
    rig_assign(&r);
    ck_assert_uint_eq(rig_where(&r, q), 1);
    rig_tick(&r, 1000);
    rig_revoke(&r, true);
    ck_assert_str_eq(rig_failure(&r, q, PTOOLS_ERR_DEADLINE), "the deadline of 1 ms passed in the queue");
    ck_assert_ptr_null(rig_answer(&r, first));
    rig_end(&r);
}
END_TEST

START_TEST(deadline_while_running)
{
    uint64_t q;

    setup(1);
    q = rig_call_deadline(&r, "m.f", 100);
    rig_assign(&r);
    rig_tick(&r, 100000);
    rig_revoke(&r, false);
    rig_tick(&r, r.limits.kill_grace_us);
    ck_assert_uint_eq(rig_count(&r, ACT_KILL), 1);
    rig_dies(&r, 1, 9, q);
    ck_assert_str_eq(rig_failure(&r, q, PTOOLS_ERR_DEADLINE),
                     "the deadline of 100 ms passed while m.f was running in worker 1");
    ck_assert(rig_answer(&r, q)->answer.failure.maybe_executed);
    rig_end(&r);
}
END_TEST

START_TEST(a_deadline_beyond_all_time_is_none)
{
    setup(1);
    rig_call_deadline(&r, "m.f", UINT64_MAX);
    rig_call_deadline(&r, "m.f", UINT64_MAX / 1000);
    ck_assert_uint_eq(core_next_us(r.core), CORE_NEVER);
    rig_end(&r);
}
END_TEST

START_TEST(the_first_reason_counts)
{
    uint64_t q;

    setup(1);
    q = rig_call_deadline(&r, "m.f", 100);
    rig_assign(&r);
    rig_cancel(&r, q);
    rig_revoke(&r, false);
    rig_tick(&r, 100000); /* its deadline is over, too */
    rig_cancel(&r, q);
    rig_done(&r, q, 1);
    rig_failure(&r, q, PTOOLS_ERR_CANCELLED);
    rig_end(&r);
}
END_TEST

START_TEST(behind_a_long_one_they_are_taken_back)
{
    uint64_t q[3], next;

    setup(1);
    for (int i = 0; i < 3; i++)
        q[i] = rig_call(&r, "m.short");
    rig_assign(&r);
    ck_assert_uint_eq(core_next_us(r.core), r.now + r.limits.ahead_us);
    rig_tick(&r, r.limits.ahead_us);
    ck_assert_uint_eq(rig_count(&r, ACT_REVOKE), 2);
    rig_revoke(&r, true);
    ck_assert_uint_eq(rig_where(&r, q[0]), 1);
    ck_assert_uint_eq(rig_where(&r, q[1]), 0);
    rig_assign(&r);
    ck_assert_uint_eq(rig_where(&r, q[1]), 0); /* not given behind it again */
    ck_assert_uint_eq(core_next_us(r.core), CORE_NEVER);
    next = rig_call(&r, "m.short");
    rig_assign(&r);
    ck_assert_uint_eq(rig_where(&r, next), 0);
    for (uint64_t id = 101; id < 103; id++)
        core_worker_skipped(r.core, r.now, 1, id, &r.out);
    rig_done(&r, q[0], 5000);
    rig_assign(&r);
    ck_assert_uint_eq(rig_where(&r, q[1]), 1);
    rig_end(&r);
}
END_TEST

START_TEST(progress_keeps_them)
{
    uint64_t q[20];

    setup(1);
    for (int i = 0; i < 20; i++)
        q[i] = rig_call(&r, "m.short");
    rig_assign(&r);
    for (int i = 0; i < 18; i++) {
        rig_tick(&r, r.limits.ahead_us - 1);
        ck_assert_uint_eq(rig_count(&r, ACT_REVOKE), 0);
        rig_done(&r, q[i], 10);
    }
    rig_end(&r);
}
END_TEST

START_TEST(under_load_the_clock_does_not_ring_more_often)
{
    uint64_t rings = 0, start;

    setup(2);
    start = r.now;
    for (int i = 0; i < 2000; i++) {
        uint64_t q = rig_call(&r, "m.short");

        rig_call(&r, "m.short");
        rig_call(&r, "m.short");
        rig_assign(&r);
        while (rig_find(&r, ACT_RUN, 0)) {
            struct action a = *rig_find(&r, ACT_RUN, 0);

            core_worker_done(r.core, r.now, a.worker, a.task, 1, PTOOLS_OK, NULL, NULL, 10, 0, 0, &r.out);
            rig_find(&r, ACT_RUN, 0)->type = ACT_NOTE;
        }
        (void)q;
        r.now += 20;
        if (core_next_us(r.core) <= r.now) {
            rig_tick(&r, 0);
            rings++;
        }
        rig_clear(&r);
    }
    ck_assert_uint_le(rings, (r.now - start) / r.limits.ahead_us + 1);
    rig_end(&r);
}
END_TEST

START_TEST(a_result_that_nobody_asked_for_is_a_bug)
{
    uint64_t q;

    setup(1);
    q = running("m.f");
    core_revoked(r.core, r.now, 1, 100, true, &r.out);
    core_revoked(r.core, r.now, 1, 999, true, &r.out);
    core_revoked(r.core, r.now, 9, 100, true, &r.out);
    ck_assert_uint_eq(rig_count(&r, ACT_BUG), 3);
    ck_assert_uint_eq(rig_where(&r, q), 1);
    rig_end(&r);
}
END_TEST

START_TEST(drain_ends_what_waits)
{
    uint64_t run, waits, held, late;

    setup(1);
    run = running("m.f");
    waits = rig_call(&r, "m.f");
    held = rig_call(&r, "other.f");
    core_drain(r.core, r.now, false, &r.out);
    rig_check(&r);
    rig_failure(&r, waits, PTOOLS_ERR_DRAINING);
    rig_failure(&r, held, PTOOLS_ERR_DRAINING);
    ck_assert_ptr_null(rig_answer(&r, run));
    late = rig_call(&r, "m.f");
    rig_failure(&r, late, PTOOLS_ERR_DRAINING);
    ck_assert_uint_eq(core_tasks(r.core), 1);
    rig_done(&r, run, 1000);
    rig_value(&r, run);
    ck_assert_uint_eq(core_tasks(r.core), 0);
    rig_end(&r);
}
END_TEST

START_TEST(a_drained_task_that_comes_back_ends)
{
    uint64_t q[2];

    setup(1);
    q[0] = rig_call(&r, "m.short");
    q[1] = rig_call(&r, "m.short");
    rig_assign(&r);
    core_drain(r.core, r.now, false, &r.out);
    rig_dies(&r, 1, 11, q[0]);
    rig_failure(&r, q[0], PTOOLS_ERR_WORKER_DIED);
    rig_failure(&r, q[1], PTOOLS_ERR_DRAINING);
    ck_assert_uint_eq(rig_count(&r, ACT_SPAWN), 0); /* nobody is needed any more */
    rig_tick(&r, r.limits.ahead_us);
    ck_assert_uint_eq(core_next_us(r.core), CORE_NEVER);
    rig_end(&r);
}
END_TEST

START_TEST(hurry_cancels_what_runs)
{
    uint64_t q;

    setup(1);
    q = running("m.f");
    core_drain(r.core, r.now, false, &r.out);
    core_drain(r.core, r.now, true, &r.out);
    rig_revoke(&r, false);
    ck_assert_uint_eq(rig_count(&r, ACT_CANCEL), 1);
    rig_tick(&r, r.limits.kill_grace_us);
    rig_dies(&r, 1, 9, q);
    ck_has(rig_failure(&r, q, PTOOLS_ERR_CANCELLED), "the daemon ends");
    ck_assert_uint_eq(core_tasks(r.core), 0);
    rig_end(&r);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core stop");
    TCase *tc = suite_case(suite, "stop");

    tcase_add_test(tc, waiting_is_cancelled_at_once);
    tcase_add_test(tc, given_is_taken_back_first);
    tcase_add_test(tc, begun_is_told_to_stop_and_its_value_dropped);
    tcase_add_test(tc, who_does_not_stop_is_killed);
    tcase_add_test(tc, a_worker_that_dies_of_the_request_is_no_death);
    tcase_add_test(tc, what_is_behind_it_is_saved_first);
    tcase_add_test(tc, booked_and_its_worker_is_to_stop);
    tcase_add_test(tc, cancel_of_one_given_ahead_hurts_nobody);
    tcase_add_test(tc, two_that_had_begun);
    tcase_add_test(tc, the_innocent_second_goes_on);
    tcase_add_test(tc, a_process_that_does_not_die);
    tcase_add_test(tc, a_process_that_does_not_die_is_replaced);
    tcase_add_test(tc, deadline_in_the_queue);
    tcase_add_test(tc, deadline_while_the_module_is_loaded);
    tcase_add_test(tc, deadline_of_one_given_ahead);
    tcase_add_test(tc, deadline_while_running);
    tcase_add_test(tc, a_deadline_beyond_all_time_is_none);
    tcase_add_test(tc, the_first_reason_counts);
    tcase_add_test(tc, behind_a_long_one_they_are_taken_back);
    tcase_add_test(tc, progress_keeps_them);
    tcase_add_test(tc, under_load_the_clock_does_not_ring_more_often);
    tcase_add_test(tc, a_result_that_nobody_asked_for_is_a_bug);
    tcase_add_test(tc, drain_ends_what_waits);
    tcase_add_test(tc, a_drained_task_that_comes_back_ends);
    tcase_add_test(tc, hurry_cancels_what_runs);
    return suite_run(suite);
}
