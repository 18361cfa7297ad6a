/* SPDX-License-Identifier: MIT */
#include "tests/unit/core/rig.h"

static struct rig r;

static void setup(uint32_t workers)
{
    rig_limits(&r);
    rig_start(&r, workers);
}

START_TEST(first_free_waits_in_the_set_oldest_on_top)
{
    uint64_t first, second;

    setup(1);
    first = rig_call(&r, "m.f");
    second = rig_call(&r, "m.g");
    ck_assert_ptr_eq(queue_top(&r.core->all.queue), rig_task(&r, first));
    ck_assert_uint_eq(r.core->all.queue.heap.n, 2);
    ck_assert_ptr_eq(r.core->waiting, &r.core->all);
    rig_cancel(&r, first);
    ck_assert_ptr_eq(queue_top(&r.core->all.queue), rig_task(&r, second));
    rig_cancel(&r, second);
    ck_assert_ptr_null(queue_top(&r.core->all.queue));
    ck_assert_ptr_null(r.core->waiting);
    rig_end(&r);
}
END_TEST

/* As in the original's test: a set of 2, 3, 4; four calls run at 2, 3, 4, 2. */
START_TEST(round_robin_2_3_4_2)
{
    static const uint32_t expected[] = { 2, 3, 4, 2, 3, 4, 2 };
    const uint32_t set = (setup(4), rig_set(&r, SET_RR, NULL, (uint32_t[]){ 2, 3, 4, 0 }));

    for (size_t i = 0; i < ELEMENTS(expected); i++) {
        struct task *t = rig_task(&r, rig_call_set(&r, "m.f", set));

        ck_assert_uint_eq(t->bound, expected[i]);
        ck_assert_ptr_eq(t->queue, &rig_worker(&r, expected[i])->queue);
    }
    rig_assign(&r);
    ck_assert_uint_eq(rig_count(&r, ACT_RUN), 3);
    for (size_t i = 0; i < 3; i++)
        ck_assert_uint_eq(rig_find(&r, ACT_RUN, i)->worker, expected[i]);
    rig_end(&r);
}
END_TEST

START_TEST(round_robin_waits_though_others_are_free)
{
    uint64_t first, second, third;
    uint32_t set;

    setup(2);
    set = rig_set(&r, SET_RR, NULL, (uint32_t[]){ 2, 1, 0 });
    first = rig_call_set(&r, "m.f", set);
    rig_assign(&r);
    second = rig_call_set(&r, "m.f", set);
    rig_assign(&r);
    rig_done(&r, second, 1000); /* worker 1 is free, but it is the turn of 2 */
    third = rig_call_set(&r, "m.f", set);
    rig_assign(&r);
    ck_assert_uint_eq(rig_where(&r, first), 2);
    ck_assert_uint_eq(rig_where(&r, third), 0);
    rig_done(&r, first, 1000);
    rig_assign(&r);
    ck_assert_uint_eq(rig_where(&r, third), 2);
    rig_end(&r);
}
END_TEST

/* -- priorities ---------------------------------------------------------------------------------------------- */

static uint64_t call_of(uint32_t client, double priority)
{
    const struct msg_call call = { .function = TEXT("m.f"), .has_priority = priority < INFINITY, .priority = priority };

    return rig_call_with(&r, client, &call);
}

/* The worker has one task at a time; this is the next. */
static void check_next(uint64_t request)
{
    struct task *t;

    rig_assign(&r);
    t = rig_worker(&r, 1)->held;
    ck_assert_ptr_nonnull(t);
    ck_assert_uint_eq(t->key.request, request);
    core_worker_done(r.core, r.now, 1, t->id, t->attempt, PTOOLS_OK, &(struct core_value){ 0 }, NULL, 100000, 0, 0,
                     &r.out);
    rig_check(&r);
}

static void one_at_a_time(void)
{
    rig_limits(&r);
    r.limits.ahead_max = 1;
    rig_start(&r, 1);
}

START_TEST(a_better_priority_goes_first)
{
    uint64_t running, last, third, second, first, also_second;

    one_at_a_time();
    running = rig_call(&r, "m.f");
    rig_assign(&r);
    last = rig_call(&r, "m.f");
    third = call_of(r.client, 5);
    second = call_of(r.client, -1);
    first = call_of(r.client, -INFINITY);
    also_second = call_of(r.client, -1);
    check_next(running);
    check_next(first);
    check_next(second);
    check_next(also_second);
    check_next(third);
    check_next(last);
    rig_end(&r);
}
END_TEST

/* The one that gives its place to a better one is not behind those that came after it. */
START_TEST(equal_ones_go_as_they_came)
{
    uint64_t running, first, second, third, better, best;

    one_at_a_time();
    running = rig_call(&r, "m.f");
    rig_assign(&r);
    first = call_of(r.client, 5);
    second = call_of(r.client, 5);
    third = call_of(r.client, 5);
    better = call_of(r.client, 2);
    best = call_of(r.client, 1);
    check_next(running);
    check_next(best);
    check_next(better);
    check_next(first);
    check_next(second);
    check_next(third);
    rig_end(&r);
}
END_TEST

/* Users take turns as they called; which of one user's calls that is, is for that user to say. */
START_TEST(a_priority_goes_past_nobody_else)
{
    uint64_t running, a_first, b_first, b_second, a_urgent, a_more;
    uint32_t other;

    one_at_a_time();
    ck_assert_int_eq(core_client_add(r.core, 2000, &other), 0);
    running = rig_call(&r, "m.f");
    rig_assign(&r);
    a_first = rig_call(&r, "m.f");
    b_first = call_of(other, 9);
    b_second = call_of(other, INFINITY);
    a_urgent = call_of(r.client, 1);
    a_more = call_of(r.client, 0);
    check_next(running);
    check_next(a_more); /* in the place of a_first */
    check_next(b_first);
    check_next(b_second);
    check_next(a_urgent);
    check_next(a_first);
    rig_end(&r);
}
END_TEST

/* What comes back keeps the place that it had, and its priority. */
START_TEST(a_call_with_a_priority_survives_its_worker)
{
    uint64_t running, plain, urgent;

    one_at_a_time();
    running = rig_call(&r, "m.f");
    rig_assign(&r);
    plain = rig_call(&r, "m.f");
    urgent = call_of(r.client, 1);
    rig_done(&r, running, 100000);
    rig_assign(&r);
    ck_assert_uint_eq(rig_where(&r, urgent), 1);
    rig_dies(&r, 1, 9, 0); /* before it began */
    rig_tick(&r, 10000000);
    rig_ready(&r, 1);
    check_next(urgent);
    check_next(plain);
    rig_end(&r);
}
END_TEST

START_TEST(calls_with_a_priority_can_be_cancelled)
{
    uint64_t running, plain, urgent;

    one_at_a_time();
    running = rig_call(&r, "m.f");
    rig_assign(&r);
    plain = rig_call(&r, "m.f");
    urgent = call_of(r.client, 1);
    rig_cancel(&r, urgent);
    ck_assert_ptr_null(r.core->all.queue.urgent);
    check_next(running);
    check_next(plain);
    rig_end(&r);
}
END_TEST

START_TEST(the_turn_is_shared_by_all_callers)
{
    struct msg_call call = { .function = TEXT("m.f"), .set = TEXT("shared") };
    uint32_t other;

    setup(2);
    ck_assert_uint_ne(rig_set(&r, SET_RR, "shared", (uint32_t[]){ 1, 2, 0 }), 0);
    ck_assert_int_eq(core_client_add(r.core, 1000, &other), 0);
    rig_call_with(&r, r.client, &call);
    rig_call_with(&r, other, &call);
    rig_call_with(&r, r.client, &call);
    ck_assert_uint_eq(rig_worker(&r, 1)->queue.heap.n, 2);
    ck_assert_uint_eq(rig_worker(&r, 2)->queue.heap.n, 1);
    rig_end(&r);
}
END_TEST

START_TEST(a_named_worker_does_not_move_the_turn)
{
    struct msg_call call = { .function = TEXT("m.f"), .worker = 2 };

    setup(3);
    call.set_id = rig_set(&r, SET_RR, NULL, (uint32_t[]){ 1, 2, 3, 0 });
    rig_call_with(&r, r.client, &call);
    ck_assert_uint_eq(rig_worker(&r, 2)->queue.heap.n, 1);
    call.worker = 0;
    rig_call_with(&r, r.client, &call);
    ck_assert_uint_eq(rig_worker(&r, 1)->queue.heap.n, 1);
    rig_end(&r);
}
END_TEST

START_TEST(what_comes_back_is_where_it_was)
{
    uint64_t q[4];

    setup(1);
    for (int i = 0; i < 4; i++)
        q[i] = rig_call(&r, "m.short");
    rig_assign(&r);
    ck_assert_uint_eq(rig_worker(&r, 1)->n_held, 4);
    rig_dies(&r, 1, 11, q[0]); /* the others had not begun */
    rig_failure(&r, q[0], PTOOLS_ERR_WORKER_DIED);
    ck_assert_uint_eq(r.core->all.queue.heap.n, 3);
    ck_assert_ptr_eq(queue_top(&r.core->all.queue), rig_task(&r, q[1]));
    rig_clear(&r);
    rig_ready(&r, 1);
    rig_assign(&r);
    for (size_t i = 0; i < 3; i++) {
        ck_assert_uint_eq(rig_find(&r, ACT_RUN, i)->task, rig_task(&r, q[i + 1])->id);
        ck_assert_uint_eq(rig_find(&r, ACT_RUN, i)->attempt, 1); /* it had not begun: that was no attempt */
    }
    rig_end(&r);
}
END_TEST

START_TEST(a_dead_worker_keeps_its_turn_and_its_tasks)
{
    uint64_t q[3];
    uint32_t set;

    setup(2);
    set = rig_set(&r, SET_RR, NULL, (uint32_t[]){ 1, 2, 0 });
    rig_dies(&r, 1, 9, 0);
    for (int i = 0; i < 3; i++)
        q[i] = rig_call_set(&r, "m.f", set);
    rig_assign(&r);
    ck_assert_uint_eq(rig_where(&r, q[0]), 0);
    ck_assert_uint_eq(rig_where(&r, q[1]), 2);
    rig_tick(&r, r.limits.backoff_min_us);
    rig_ready(&r, 1);
    rig_assign(&r);
    ck_assert_uint_eq(rig_where(&r, q[0]), 1);
    ck_assert_uint_eq(rig_task(&r, q[2])->bound, 1);
    rig_end(&r);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core queue");
    TCase *tc = suite_case(suite, "queue");

    tcase_add_test(tc, first_free_waits_in_the_set_oldest_on_top);
    tcase_add_test(tc, round_robin_2_3_4_2);
    tcase_add_test(tc, round_robin_waits_though_others_are_free);
    tcase_add_test(tc, the_turn_is_shared_by_all_callers);
    tcase_add_test(tc, a_better_priority_goes_first);
    tcase_add_test(tc, equal_ones_go_as_they_came);
    tcase_add_test(tc, a_priority_goes_past_nobody_else);
    tcase_add_test(tc, a_call_with_a_priority_survives_its_worker);
    tcase_add_test(tc, calls_with_a_priority_can_be_cancelled);
    tcase_add_test(tc, a_named_worker_does_not_move_the_turn);
    tcase_add_test(tc, what_comes_back_is_where_it_was);
    tcase_add_test(tc, a_dead_worker_keeps_its_turn_and_its_tasks);
    return suite_run(suite);
}
