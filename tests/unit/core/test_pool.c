/* SPDX-License-Identifier: MIT */
#include "tests/unit/core/rig.h"

static struct rig r;

static void setup(uint32_t workers)
{
    rig_limits(&r);
    rig_start(&r, workers);
}

static uint64_t running(const char *function)
{
    uint64_t q = rig_call(&r, function);

    rig_assign(&r);
    ck_assert_uint_ne(rig_where(&r, q), 0);
    rig_clear(&r);
    return q;
}

START_TEST(a_crash_fails_the_task_it_had_begun)
{
    const struct msg_failure *f;
    uint64_t q;

    setup(3);
    q = running("m.f");
    rig_dies(&r, 1, 11, q);
    ck_assert_str_eq(rig_failure(&r, q, PTOOLS_ERR_WORKER_DIED),
                     "worker 1 (pid 4001) was killed by signal 11 (Segmentation fault) while running m.f");
    f = &rig_answer(&r, q)->answer.failure;
    ck_assert(f->maybe_executed);
    ck_assert_int_eq(f->signal, 11);
    ck_assert_int_eq(f->pid, 4001);
    ck_assert_uint_eq(f->worker, 1);
    ck_assert_uint_eq(f->attempt, 1);
    ck_assert_uint_eq(f->task, 100);
    ck_assert_uint_eq(f->backtrace.n, 5);
    ck_assert_uint_eq(rig_count(&r, ACT_SPAWN), 1); /* at once, though it had done nothing before */
    ck_assert_uint_eq(rig_find(&r, ACT_SPAWN, 0)->worker, 1);
    ck_assert_uint_eq(rig_note(&r, NOTE_WORKER_DIED)->task, 100);
    ck_assert_uint_eq(rig_worker(&r, 1)->deaths, 1);
    rig_end(&r);
}
END_TEST

START_TEST(modules_loaded_anew_replace_each_worker_when_it_is_free)
{
    uint64_t q;

    setup(3);
    q = running("m.f");
    core_workers_renew(r.core, r.now, &r.out);
    rig_check(&r);
    ck_assert_uint_eq(rig_count(&r, ACT_STOP), 2); /* those that are idle, both at once */
    ck_assert_uint_eq(rig_find(&r, ACT_STOP, 0)->worker, 2);
    ck_assert_uint_eq(rig_find(&r, ACT_STOP, 1)->worker, 3);
    rig_clear(&r);
    rig_dies(&r, 2, 0, 0);
    ck_assert_uint_eq(rig_find(&r, ACT_SPAWN, 0)->worker, 2);
    ck_has(rig_note(&r, NOTE_WORKER_RECYCLED)->text, "modules have been loaded anew");
    rig_clear(&r);
    rig_ready(&r, 2);
    rig_assign(&r);
    ck_assert_uint_eq(rig_count(&r, ACT_STOP), 0); /* once */
    rig_done(&r, q, 1000);
    rig_value(&r, q);
    ck_assert_uint_eq(rig_find(&r, ACT_STOP, 0)->worker, 1); /* what it ran has ended well */
    rig_end(&r);
}
END_TEST

START_TEST(one_that_is_starting_meanwhile_is_replaced_when_it_is_up)
{
    setup(2);
    rig_dies(&r, 1, 9, 0);
    rig_tick(&r, 60000000);
    rig_clear(&r);
    core_workers_renew(r.core, r.now, &r.out);
    rig_clear(&r);
    rig_ready(&r, 1); /* forked by the old template */
    ck_assert_uint_eq(rig_find(&r, ACT_STOP, 0)->worker, 1);
    rig_end(&r);
}
END_TEST

START_TEST(more_and_fewer_by_another_configuration)
{
    setup(2);
    core_workers_change(r.core, r.now, 2, &r.out);
    rig_check(&r);
    ck_assert_uint_eq(rig_count(&r, ACT_SPAWN), 2);
    rig_clear(&r);
    rig_ready(&r, 3);
    rig_ready(&r, 4);
    core_workers_change(r.core, r.now, -9, &r.out);
    rig_check(&r);
    ck_assert_uint_eq(rig_count(&r, ACT_STOP), 3); /* one stays */
    ck_assert_uint_eq(rig_find(&r, ACT_STOP, 0)->worker, 4);
    rig_end(&r);
}
END_TEST

START_TEST(all_ways_to_go)
{
    static const struct {
        struct msg_failure facts;
        const char *text;
    } ways[] = {
        { { .code = PTOOLS_ERR_WORKER_DIED, .exited = true, .exit_status = 3 },
          "exited with status 3 while running m.f" },
        { { .code = PTOOLS_ERR_OUT_OF_MEMORY, .signal = 9 }, "was killed for lack of memory while running m.f" },
        { { .code = PTOOLS_ERR_WORKER_DIED, .signal = 200 }, "was killed by signal 200 (unknown) while running m.f" },
        { { .code = PTOOLS_ERR_WORKER_DIED, .message = { "it spoke nonsense", 17 } },
          "ended while running m.f: it spoke nonsense" },
        { { .code = PTOOLS_OK }, "ended while running m.f" },
    };

    setup(1);
    for (size_t i = 0; i < ELEMENTS(ways); i++) {
        uint64_t q = running("m.f"), id = rig_task(&r, q)->id;
        ptools_err code = ways[i].facts.code;

        core_worker_gone(r.core, r.now, 1, &ways[i].facts, &id, 1, &r.out);
        rig_check(&r);
        ck_has(rig_failure(&r, q, code == PTOOLS_OK ? PTOOLS_ERR_WORKER_DIED : code), ways[i].text);
        rig_clear(&r);
        rig_ready(&r, 1);
    }
    rig_end(&r);
}
END_TEST

START_TEST(what_it_was_only_given_goes_to_others)
{
    uint64_t q;

    setup(2);
    q = running("m.f");
    rig_dies(&r, 1, 9, 0);
    ck_assert_ptr_null(rig_answer(&r, q));
    rig_assign(&r);
    ck_assert_uint_eq(rig_where(&r, q), 2);
    ck_assert_uint_eq(rig_find(&r, ACT_RUN, 0)->attempt, 1);
    rig_done(&r, q, 1000);
    rig_value(&r, q);
    rig_end(&r);
}
END_TEST

START_TEST(but_not_to_the_whole_pool)
{
    uint64_t q;

    setup(6);
    q = running("m.f");
    for (uint32_t w = 1; w <= 5; w++) {
        ck_assert_ptr_null(rig_answer(&r, q));
        ck_assert_uint_eq(rig_where(&r, q), w);
        rig_dies(&r, w, 9, 0);
        rig_assign(&r);
    }
    ck_assert_str_eq(rig_failure(&r, q, PTOOLS_ERR_WORKER_DIED),
                     "5 workers ended after they were given m.f and before they began it");
    ck_assert(!rig_answer(&r, q)->answer.failure.maybe_executed);
    rig_end(&r);
}
END_TEST

START_TEST(a_worker_that_never_comes_up_backs_off)
{
    uint64_t pause;

    rig_limits(&r);
    r.limits.backoff_min_us = 100;
    r.limits.backoff_max_us = 500;
    rig_start(&r, 1);
    rig_dies(&r, 1, 9, 0); /* idle, and it had done nothing */
    for (int i = 0; i < 6; i++) {
        pause = MIN(UINT64_C(100) << i, 500);
        ck_assert_uint_eq(rig_count(&r, ACT_SPAWN), 0);
        ck_has(rig_note(&r, NOTE_BACKOFF)->text, "next try in");
        ck_assert_uint_eq(core_next_us(r.core), r.now + pause);
        rig_tick(&r, pause - 1);
        ck_assert_uint_eq(rig_count(&r, ACT_SPAWN), 0);
        rig_tick(&r, 1);
        ck_assert_uint_eq(rig_count(&r, ACT_SPAWN), 1);
        rig_clear(&r);
        rig_dies(&r, 1, 6, 0); /* before it was ready */
    }
    rig_tick(&r, 500);
    rig_ready(&r, 1);
    running("m.f");
    rig_done(&r, r.request, 1000); /* now it is well again */
    rig_clear(&r);
    rig_dies(&r, 1, 9, 0);
    ck_assert_uint_eq(rig_count(&r, ACT_SPAWN), 1);
    ck_assert_uint_eq(rig_note(&r, NOTE_WORKER_DIED)->task, 0);
    ck_assert_str_eq(rig_note(&r, NOTE_WORKER_DIED)->text, "worker 1 (pid 4001) was killed by signal 9 (Killed)");
    rig_clear(&r);
    rig_dies(&r, 1, 9, 0);
    ck_assert_uint_eq(core_next_us(r.core), r.now + 100); /* from the beginning */
    rig_end(&r);
}
END_TEST

START_TEST(old_answers_are_dropped)
{
    struct core_stats stats;
    uint64_t q;

    setup(2);
    q = running("m.f");
    core_worker_done(r.core, r.now, 2, 100, 1, PTOOLS_OK, NULL, NULL, 1, 0, 0, &r.out); /* not its own */
    core_worker_done(r.core, r.now, 1, 100, 2, PTOOLS_OK, NULL, NULL, 1, 0, 0, &r.out); /* another attempt */
    core_worker_done(r.core, r.now, 1, 555, 1, PTOOLS_OK, NULL, NULL, 1, 0, 0, &r.out);
    core_worker_done(r.core, r.now, 9, 100, 1, PTOOLS_OK, NULL, NULL, 1, 0, 0, &r.out);
    rig_check(&r);
    ck_assert_uint_eq(r.out.n, 0);
    core_view_stats(r.core, &stats);
    ck_assert_uint_eq(stats.stale, 4);
    rig_done(&r, q, 1);
    rig_value(&r, q);
    rig_end(&r);
}
END_TEST

START_TEST(the_function_s_own_failure)
{
    uint64_t q;

    setup(1);
    q = running("m.f");
    rig_failed(&r, q, PTOOLS_ERR_BAD_ARGUMENT, "argument 2 is not a number");
    ck_assert_str_eq(rig_failure(&r, q, PTOOLS_ERR_BAD_ARGUMENT), "argument 2 is not a number");
    ck_assert(rig_answer(&r, q)->answer.failure.maybe_executed);
    ck_assert_uint_eq(rig_answer(&r, q)->answer.failure.worker, 1);
    q = running("m.f");
    rig_failed(&r, q, PTOOLS_ERR_MODULE_BROKEN, "it cannot be loaded here");
    rig_failure(&r, q, PTOOLS_ERR_MODULE_BROKEN);
    ck_assert(!rig_answer(&r, q)->answer.failure.maybe_executed); /* it was never entered */
    ck_assert_uint_eq(r.core->stats.failed, 2);
    rig_end(&r);
}
END_TEST

START_TEST(words_out_of_place_are_bugs)
{
    const struct msg_failure facts = { .code = PTOOLS_ERR_WORKER_DIED };

    setup(1);
    core_worker_ready(r.core, r.now, 1, 5, &r.out);
    core_worker_ready(r.core, r.now, 9, 5, &r.out);
    core_worker_gone(r.core, r.now, 9, &facts, NULL, 0, &r.out);
    core_worker_skipped(r.core, r.now, 1, 100, &r.out);
    core_worker_skipped(r.core, r.now, 9, 100, &r.out);
    ck_assert_uint_eq(rig_count(&r, ACT_BUG), 5);
    core_worker_gone(r.core, r.now, 1, &facts, NULL, 0, &r.out);
    core_worker_gone(r.core, r.now, 1, &facts, NULL, 0, &r.out);
    ck_assert_uint_eq(rig_count(&r, ACT_BUG), 6);
    rig_end(&r);
}
END_TEST

static void add(uint32_t n)
{
    core_workers_add(r.core, r.now, r.client, ++r.request, n, &r.out);
    rig_check(&r);
}

static void remove_worker(uint32_t id)
{
    core_workers_remove(r.core, r.now, r.client, ++r.request, id, &r.out);
    rig_check(&r);
}

START_TEST(more_workers)
{
    uint64_t q[3];

    setup(1);
    add(2);
    ck_assert_uint_eq(rig_answer(&r, r.request)->answer.reply.worker, 2);
    ck_assert_uint_eq(rig_count(&r, ACT_SPAWN), 2);
    rig_ready(&r, 2);
    rig_ready(&r, 3);
    for (int i = 0; i < 3; i++)
        q[i] = rig_call(&r, "m.f");
    rig_assign(&r);
    ck_assert_uint_eq(rig_where(&r, q[2]), 3);
    rig_end(&r);
}
END_TEST

START_TEST(not_more_than_allowed)
{
    rig_limits(&r);
    r.limits.workers_max = 3;
    rig_start(&r, 2);
    add(2);
    ck_assert_str_eq(rig_failure(&r, r.request, PTOOLS_ERR_LIMIT),
                     "over the limit workers_max: 2 of 3 in use, 2 more asked for");
    add(0);
    rig_failure(&r, r.request, PTOOLS_ERR_BAD_REQUEST);
    add(UINT32_MAX);
    rig_failure(&r, r.request, PTOOLS_ERR_LIMIT);
    add(1);
    ck_assert_uint_eq(rig_answer(&r, r.request)->answer.reply.worker, 3);
    core_drain(r.core, r.now, false, &r.out);
    add(1);
    rig_failure(&r, r.request, PTOOLS_ERR_DRAINING);
    rig_end(&r);
}
END_TEST

START_TEST(ids_are_not_used_again)
{
    setup(2);
    remove_worker(2);
    ck_assert_uint_eq(rig_count(&r, ACT_STOP), 1);
    rig_dies(&r, 2, 0, 0);
    ck_assert_uint_eq(rig_note(&r, NOTE_WORKER_REMOVED)->worker, 2);
    ck_assert_uint_eq(rig_count(&r, ACT_SPAWN), 0);
    add(1);
    ck_assert_uint_eq(rig_answer(&r, r.request)->answer.reply.worker, 3);
    remove_worker(2);
    rig_failure(&r, r.request, PTOOLS_ERR_NO_WORKER);
    r.core->last_worker = WORKER_ID_MAX;
    add(1);
    rig_failure(&r, r.request, PTOOLS_ERR_LIMIT);
    r.core->last_worker = 3;
    rig_end(&r);
}
END_TEST

START_TEST(a_removed_worker_finishes_what_it_runs)
{
    uint64_t q[3], bound;

    setup(2);
    for (int i = 0; i < 3; i++)
        q[i] = rig_call_worker(&r, "m.short", 1);
    rig_assign(&r);
    rig_clear(&r);
    bound = rig_call_worker(&r, "m.long", 1);
    remove_worker(1);
    ck_has(rig_failure(&r, bound, PTOOLS_ERR_NO_WORKER), "worker 1 was removed");
    ck_assert(!rig_answer(&r, r.request)->answer.failed);
    ck_assert_uint_eq(rig_count(&r, ACT_REVOKE), 3);
    core_revoked(r.core, r.now, 1, 100, false, &r.out);
    core_revoked(r.core, r.now, 1, 101, true, &r.out);
    core_revoked(r.core, r.now, 1, 102, true, &r.out);
    rig_check(&r);
    rig_failure(&r, q[1], PTOOLS_ERR_NO_WORKER);
    rig_failure(&r, q[2], PTOOLS_ERR_NO_WORKER);
    ck_assert_uint_eq(rig_count(&r, ACT_STOP), 0);
    remove_worker(1);
    rig_failure(&r, r.request, PTOOLS_ERR_NO_WORKER); /* it is gone for everybody */
    rig_failure(&r, rig_call_worker(&r, "m.f", 1), PTOOLS_ERR_NO_WORKER);
    rig_done(&r, q[0], 10);
    rig_value(&r, q[0]);
    ck_assert_uint_eq(rig_count(&r, ACT_STOP), 1);
    rig_dies(&r, 1, 0, 0);
    ck_assert_ptr_null(rig_worker(&r, 1));
    rig_end(&r);
}
END_TEST

START_TEST(who_does_not_leave_is_killed)
{
    setup(2);
    remove_worker(1);
    rig_tick(&r, r.limits.kill_grace_us);
    ck_assert_uint_eq(rig_count(&r, ACT_KILL), 1);
    rig_tick(&r, r.limits.stuck_us);
    ck_assert_ptr_nonnull(rig_note(&r, NOTE_WORKER_STUCK));
    rig_dies(&r, 1, 9, 0);
    ck_assert_uint_eq(rig_count(&r, ACT_SPAWN), 0);
    ck_assert_uint_eq(r.core->n_workers, 1);
    rig_end(&r);
}
END_TEST

START_TEST(removed_before_it_was_ready)
{
    setup(1);
    add(2);
    remove_worker(2);
    ck_assert_uint_eq(rig_count(&r, ACT_STOP), 0); /* nobody to tell */
    rig_ready(&r, 2);
    ck_assert_uint_eq(rig_count(&r, ACT_STOP), 1);
    remove_worker(3);
    rig_dies(&r, 3, 9, 0);
    ck_assert_ptr_null(rig_worker(&r, 3));
    rig_end(&r);
}
END_TEST

START_TEST(removed_while_there_is_no_process)
{
    setup(2);
    rig_dies(&r, 1, 9, 0);
    ck_assert_int_eq(rig_worker(&r, 1)->state, WORKER_DEAD);
    remove_worker(1);
    ck_assert_ptr_null(rig_worker(&r, 1));
    ck_assert_ptr_nonnull(rig_note(&r, NOTE_WORKER_REMOVED));
    ck_assert_uint_eq(core_next_us(r.core), CORE_NEVER);
    rig_end(&r);
}
END_TEST

START_TEST(round_robin_tasks_of_a_removed_worker_are_dealt_out_again)
{
    uint64_t q[6];
    uint32_t set;

    setup(3);
    set = rig_set(&r, SET_RR, NULL, (uint32_t[]){ 1, 2, 3, 0 });
    for (int i = 0; i < 6; i++)
        q[i] = rig_call_set(&r, "m.f", set);
    remove_worker(2);
    ck_assert_uint_eq(rig_task(&r, q[1])->bound, 1); /* it was the turn of 1 */
    ck_assert_uint_eq(rig_task(&r, q[4])->bound, 3);
    ck_assert_uint_eq(rig_task(&r, rig_call_set(&r, "m.f", set))->bound, 1);
    rig_end(&r);
}
END_TEST

START_TEST(the_last_worker_takes_the_waiting_with_it)
{
    uint64_t run, waits, held;

    setup(1);
    run = running("m.f");
    waits = rig_call(&r, "m.f");
    held = rig_call(&r, "other.f");
    remove_worker(1);
    rig_revoke(&r, false);
    ck_has(rig_failure(&r, waits, PTOOLS_ERR_NO_WORKER), "no workers left");
    rig_failure(&r, held, PTOOLS_ERR_NO_WORKER);
    rig_failure(&r, rig_call(&r, "m.f"), PTOOLS_ERR_NO_WORKER);
    rig_done(&r, run, 1000);
    rig_value(&r, run);
    rig_end(&r);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core pool");
    TCase *tc = suite_case(suite, "pool");

    tcase_add_test(tc, a_crash_fails_the_task_it_had_begun);
    tcase_add_test(tc, modules_loaded_anew_replace_each_worker_when_it_is_free);
    tcase_add_test(tc, one_that_is_starting_meanwhile_is_replaced_when_it_is_up);
    tcase_add_test(tc, more_and_fewer_by_another_configuration);
    tcase_add_test(tc, all_ways_to_go);
    tcase_add_test(tc, what_it_was_only_given_goes_to_others);
    tcase_add_test(tc, but_not_to_the_whole_pool);
    tcase_add_test(tc, a_worker_that_never_comes_up_backs_off);
    tcase_add_test(tc, old_answers_are_dropped);
    tcase_add_test(tc, the_function_s_own_failure);
    tcase_add_test(tc, words_out_of_place_are_bugs);
    tcase_add_test(tc, more_workers);
    tcase_add_test(tc, not_more_than_allowed);
    tcase_add_test(tc, ids_are_not_used_again);
    tcase_add_test(tc, a_removed_worker_finishes_what_it_runs);
    tcase_add_test(tc, who_does_not_leave_is_killed);
    tcase_add_test(tc, removed_before_it_was_ready);
    tcase_add_test(tc, removed_while_there_is_no_process);
    tcase_add_test(tc, round_robin_tasks_of_a_removed_worker_are_dealt_out_again);
    tcase_add_test(tc, the_last_worker_takes_the_waiting_with_it);
    return suite_run(suite);
}
