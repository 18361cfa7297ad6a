/* SPDX-License-Identifier: MIT */
#include "tests/unit/core/rig_queue.h"

static struct rig r;

static void setup(uint32_t workers)
{
    rig_limits(&r);
    rig_start(&r, workers);
}

static const char *state_of(uint32_t worker)
{
    struct core_worker_view v;

    for (size_t i = 0; core_view_worker(r.core, i, &v); i++)
        if (v.id == worker)
            return v.state;
    return "none";
}

START_TEST(states_of_workers)
{
    uint64_t q;

    setup(3);
    ck_assert_str_eq(state_of(1), "idle");
    q = rig_call_worker(&r, "m.f", 1);
    rig_assign(&r);
    ck_assert_str_eq(state_of(1), "busy");
    rig_cancel(&r, q);
    rig_revoke(&r, false);
    ck_assert_str_eq(state_of(1), "stopping");
    rig_tick(&r, r.limits.kill_grace_us);
    ck_assert_str_eq(state_of(1), "stopping");
    rig_dies(&r, 1, 9, q);
    ck_assert_str_eq(state_of(1), "starting");
    rig_dies(&r, 1, 9, 0);
    ck_assert_str_eq(state_of(1), "dead");
    rig_call_worker(&r, "m.f", 2);
    rig_assign(&r);
    core_workers_remove(r.core, r.now, r.client, 99, 2, &r.out);
    rig_revoke(&r, false);
    ck_assert_str_eq(state_of(2), "stopping"); /* busy, but on its way out */
    rig_end(&r);
}
END_TEST

START_TEST(a_worker_in_detail)
{
    struct core_worker_view v;
    struct task *t;

    setup(2);
    rig_call(&r, "m.f");
    rig_assign(&r);
    t = rig_task(&r, 1);
    core_worker_done(r.core, r.now, 1, t->id, 1, PTOOLS_OK, NULL, NULL, 5, 1234, 0, &r.out);
    for (int i = 0; i < 3; i++)
        rig_call_worker(&r, "m.short", 1);
    rig_assign(&r);
    rig_call_worker(&r, "m.long", 1);
    ck_assert(core_view_worker(r.core, 0, &v));
    ck_assert_uint_eq(v.id, 1);
    ck_assert_int_eq(v.pid, 4001);
    ck_assert_uint_eq(v.task, 101);
    ck_assert_str_eq(v.function, "m.short");
    ck_assert_uint_eq(v.given, 3);
    ck_assert_uint_eq(v.waiting, 1);
    ck_assert_uint_eq(v.done, 1);
    ck_assert_uint_eq(v.rss_kb, 1234);
    ck_assert(core_view_worker(r.core, 1, &v));
    ck_assert_uint_eq(v.task, 0);
    ck_assert_str_eq(v.function, "");
    ck_assert(!core_view_worker(r.core, 2, &v));
    rig_end(&r);
}
END_TEST

START_TEST(sets)
{
    struct core_set_view v;
    uint32_t id;

    setup(3);
    id = rig_set(&r, SET_RR, "mine", (uint32_t[]){ 3, 1, 0 });
    rig_set(&r, SET_FF, NULL, (uint32_t[]){ 2, 0 });
    rig_call(&r, "m.f");
    rig_call_set(&r, "m.f", id);
    rig_call_set(&r, "m.f", id);
    ck_assert(core_view_set(r.core, 0, &v));
    ck_assert_str_eq(v.name, "all");
    ck_assert_uint_eq(v.id, 0);
    ck_assert_uint_eq(v.n, 3);
    ck_assert_uint_eq(v.waiting, 1);
    ck_assert(core_view_set(r.core, 1, &v));
    ck_assert_str_eq(v.name, "mine");
    ck_assert_uint_eq(v.mode, SET_RR);
    ck_assert_uint_eq(v.members[0], 3);
    ck_assert_uint_eq(v.waiting, 2); /* at workers */
    ck_assert_uint_eq(v.uid, 1000);
    ck_assert(core_view_set(r.core, 2, &v));
    ck_assert_str_eq(v.name, "");
    ck_assert_uint_eq(v.mode, SET_FF);
    ck_assert(!core_view_set(r.core, 3, &v));
    ck_assert(!core_view_set(r.core, 30, &v));
    rig_end(&r);
}
END_TEST

START_TEST(modules_and_functions)
{
    struct core_module_view v;
    uint64_t calls = 9, usual_us = 9;

    setup(1);
    rig_call(&r, "m.g");
    rig_call(&r, "m.g");
    rig_call(&r, "m.short");
    rig_call(&r, "x.f");
    rig_call(&r, "y.f");
    rig_call(&r, "z.f");
    rig_loaded(&r, "y", PTOOLS_ERR_NO_MODULE, NULL, 0);
    rig_loaded(&r, "z", PTOOLS_ERR_MODULE_BROKEN, NULL, 0);
    ck_assert(core_view_module(r.core, 0, &v));
    ck_assert_str_eq(v.name, "m");
    ck_assert_str_eq(v.state, "loaded");
    ck_assert_uint_eq(v.calls, 3);
    ck_assert_uint_eq(v.report->n, 4);
    ck_assert_str_eq(v.report->functions[1].name, "g");
    ck_assert(core_view_function(r.core, "m", 1, &calls, &usual_us));
    ck_assert_uint_eq(calls, 2);
    ck_assert_uint_eq(usual_us, 0);
    ck_assert(core_view_function(r.core, "m", 3, &calls, &usual_us));
    ck_assert_uint_eq(usual_us, 10);
    ck_assert(!core_view_function(r.core, "m", 4, &calls, &usual_us));
    ck_assert(!core_view_function(r.core, "x", 0, &calls, &usual_us));
    ck_assert(!core_view_function(r.core, "nothing", 0, &calls, &usual_us));
    ck_assert(core_view_module(r.core, 1, &v));
    ck_assert_str_eq(v.state, "loading");
    ck_assert_ptr_null(v.report);
    ck_assert(core_view_module(r.core, 2, &v));
    ck_assert_str_eq(v.state, "missing");
    ck_assert_str_eq(v.report->problem, "it is not as it should be");
    ck_assert(core_view_module(r.core, 3, &v));
    ck_assert_str_eq(v.state, "broken");
    ck_assert(!core_view_module(r.core, 4, &v));
    rig_end(&r);
}
END_TEST

START_TEST(numbers)
{
    struct core_stats s;
    uint64_t q;

    setup(1);
    q = rig_call(&r, "m.short");
    rig_call(&r, "m.short");
    rig_call(&r, "m.long");
    rig_call(&r, "x.f");
    rig_assign(&r);
    core_view_stats(r.core, &s);
    ck_assert_uint_eq(s.submitted, 4);
    ck_assert_uint_eq(s.waiting, 2); /* in queues, and held by a module */
    ck_assert_uint_eq(s.given, 2);
    ck_assert_uint_eq(s.given_ahead, 1);
    ck_assert_uint_eq(s.payload_bytes, 32);
    ck_assert_uint_eq(s.clients, 1);
    ck_assert_uint_eq(s.workers, 1);
    ck_assert_uint_eq(s.sets, 0);
    rig_done(&r, q, 10);
    rig_failed(&r, 2, PTOOLS_ERR_FAILED, "no");
    rig_cancel(&r, 3);
    core_view_stats(r.core, &s);
    ck_assert_uint_eq(s.done, 1);
    ck_assert_uint_eq(s.failed, 1);
    ck_assert_uint_eq(s.cancelled, 1);
    ck_assert_uint_eq(s.waiting, 1);
    rig_end(&r);
}
END_TEST

START_TEST(numbers_of_the_queue)
{
    struct core_stats s;
    uint64_t id;

    rig_limits(&r);
    rig_queue_start(&r, 2);
    rig_queued(&r, SUBMIT());
    id = rig_queued(&r, SUBMIT(.target = TARGET_ALL, .hold = true));
    core_view_stats(r.core, &s);
    ck_assert_uint_eq(s.queued, 2);      /* as they were asked for */
    ck_assert_uint_eq(s.queue_known, 4); /* with the parts */
    ck_assert_uint_eq(s.queue_waiting, 4);
    rig_change(&r, CHANGE_CANCEL, id);
    core_view_stats(r.core, &s);
    ck_assert_uint_eq(s.queued, 2);
    ck_assert_uint_eq(s.queue_known, 4);
    ck_assert_uint_eq(s.queue_waiting, 1);
    rig_end(&r);
}
END_TEST

START_TEST(for_whom_a_task_is)
{
    struct core_queued_view v;
    uint64_t id;

    rig_limits(&r);
    rig_queue_start(&r, 2);
    id = rig_queued(&r, SUBMIT());
    ck_assert(core_view_queued(r.core, 1000, id, &v));
    ck_assert_str_eq(v.target, "any");
    ck_assert_uint_eq(v.worker, 0);
    rig_assign(&r);
    rig_qdone(&r, id);
    ck_assert(core_view_queued(r.core, 1000, id, &v));
    ck_assert_uint_eq(v.worker, 1); /* and who it was */
    id = rig_queued(&r, SUBMIT(.target = TARGET_ALL));
    ck_assert(core_view_queued(r.core, 1000, id, &v));
    ck_assert_str_eq(v.target, "all");
    ck_assert(core_view_queued(r.core, 1000, id + 2, &v));
    ck_assert_str_eq(v.target, "worker 2");
    rig_end(&r);
}
END_TEST

/* Whether a daemon that nobody uses may end, and what is queued goes on meanwhile. */
START_TEST(who_may_rest)
{
    uint64_t held;

    rig_limits(&r);
    rig_queue_start(&r, 1);
    ck_assert(!core_may_rest(r.core)); /* somebody is there */
    held = rig_queued(&r, SUBMIT(.hold = true, .durability = TASK_CRASHSAFE));
    rig_queued(&r, SUBMIT(.hold = true, .durability = TASK_CRASHSAFE));
    core_client_gone(r.core, r.now, r.client, &r.out);
    rig_check(&r);
    ck_assert(!core_queue_goes_on(r.core));
    ck_assert(core_may_rest(r.core)); /* nothing that the next one does not know */
    ck_assert_int_eq(core_client_add(r.core, 1000, &r.client), 0);
    rig_change(&r, CHANGE_RELEASE, held);
    core_client_gone(r.core, r.now, r.client, &r.out);
    ck_assert(core_queue_goes_on(r.core));
    ck_assert(!core_may_rest(r.core));
    rig_end(&r);
}
END_TEST

START_TEST(nobody_rests_who_has_what_only_it_knows)
{
    rig_limits(&r);
    rig_queue_start(&r, 1);
    rig_queued(&r, SUBMIT(.hold = true));
    core_client_gone(r.core, r.now, r.client, &r.out);
    ck_assert(!core_queue_goes_on(r.core));
    ck_assert(!core_may_rest(r.core));
    rig_end(&r);
}
END_TEST

START_TEST(what_is_due_goes_on)
{
    rig_limits(&r);
    rig_queue_start(&r, 1);
    rig_queued(&r, SUBMIT(.hold = true, .durability = TASK_CRASHSAFE));
    rig_queued(&r, SUBMIT(.delay_ms = 1000, .durability = TASK_CRASHSAFE));
    core_client_gone(r.core, r.now, r.client, &r.out);
    ck_assert(core_queue_goes_on(r.core));
    rig_end(&r);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core view");
    TCase *tc = suite_case(suite, "view");

    tcase_add_test(tc, states_of_workers);
    tcase_add_test(tc, a_worker_in_detail);
    tcase_add_test(tc, sets);
    tcase_add_test(tc, modules_and_functions);
    tcase_add_test(tc, numbers);
    tcase_add_test(tc, numbers_of_the_queue);
    tcase_add_test(tc, for_whom_a_task_is);
    tcase_add_test(tc, who_may_rest);
    tcase_add_test(tc, nobody_rests_who_has_what_only_it_knows);
    tcase_add_test(tc, what_is_due_goes_on);
    return suite_run(suite);
}
