/* SPDX-License-Identifier: MIT */
#include "tests/unit/core/rig_queue.h"

static struct rig r;

static void setup(uint32_t workers)
{
    rig_limits(&r);
    rig_start(&r, workers);
}

START_TEST(longest_idle_first)
{
    uint64_t q[3];

    setup(3);
    for (int i = 0; i < 3; i++)
        q[i] = rig_call(&r, "m.f");
    rig_assign(&r);
    for (int i = 0; i < 3; i++)
        ck_assert_uint_eq(rig_where(&r, q[i]), (uint32_t)i + 1);
    rig_done(&r, q[1], 1000);
    rig_done(&r, q[2], 1000);
    rig_done(&r, q[0], 1000);
    for (int i = 0; i < 3; i++)
        q[i] = rig_call(&r, "m.f");
    rig_assign(&r);
    ck_assert_uint_eq(rig_where(&r, q[0]), 2);
    ck_assert_uint_eq(rig_where(&r, q[1]), 3);
    ck_assert_uint_eq(rig_where(&r, q[2]), 1);
    rig_end(&r);
}
END_TEST

/* Eight sleepers on four workers: nobody gets a second one before he is free. */
START_TEST(only_the_free_get_what_is_not_short)
{
    uint64_t q[8];

    setup(4);
    for (int i = 0; i < 8; i++)
        q[i] = rig_call(&r, "m.long");
    rig_assign(&r);
    rig_assign(&r);
    ck_assert_uint_eq(rig_count(&r, ACT_RUN), 4);
    for (int i = 0; i < 4; i++) {
        rig_done(&r, q[3 - i], 1000000);
        rig_assign(&r);
        ck_assert_uint_eq(rig_where(&r, q[4 + i]), 4 - (uint32_t)i); /* the oldest, to the one that is free */
    }
    rig_end(&r);
}
END_TEST

START_TEST(a_free_worker_takes_the_oldest_of_all_its_queues)
{
    uint64_t busy, q[4];
    uint32_t ff, rr;

    setup(1);
    ff = rig_set(&r, SET_FF, NULL, (uint32_t[]){ 1, 0 });
    rr = rig_set(&r, SET_RR, NULL, (uint32_t[]){ 1, 0 });
    busy = rig_call(&r, "m.f");
    rig_assign(&r);
    q[0] = rig_call_set(&r, "m.f", ff);
    q[1] = rig_call_set(&r, "m.f", rr);
    q[2] = rig_call(&r, "m.f");
    q[3] = rig_call_worker(&r, "m.f", 1);
    for (int i = 0; i < 4; i++) {
        rig_done(&r, busy, 1000);
        rig_assign(&r);
        ck_assert_uint_eq(rig_where(&r, q[i]), 1);
        busy = q[i];
    }
    rig_end(&r);
}
END_TEST

START_TEST(not_for_me_is_passed_over)
{
    uint64_t only_two, any;
    uint32_t set;

    setup(2);
    set = rig_set(&r, SET_FF, NULL, (uint32_t[]){ 2, 0 });
    rig_call_worker(&r, "m.f", 2);
    rig_assign(&r);
    only_two = rig_call_set(&r, "m.f", set);
    any = rig_call(&r, "m.f");
    rig_assign(&r);
    ck_assert_uint_eq(rig_where(&r, only_two), 0);
    ck_assert_uint_eq(rig_where(&r, any), 1); /* younger, but nobody else could run the older one */
    rig_end(&r);
}
END_TEST

START_TEST(short_ones_are_given_ahead_evenly)
{
    setup(3);
    for (int i = 0; i < 11; i++)
        rig_call(&r, "m.short");
    rig_assign(&r);
    ck_assert_uint_eq(rig_count(&r, ACT_RUN), 11);
    for (size_t i = 0; i < 11; i++)
        ck_assert_uint_eq(rig_find(&r, ACT_RUN, i)->task, 100 + i); /* oldest first */
    ck_assert_uint_eq(rig_worker(&r, 1)->n_held, 4);
    ck_assert_uint_eq(rig_worker(&r, 2)->n_held, 4);
    ck_assert_uint_eq(rig_worker(&r, 3)->n_held, 3);
    rig_end(&r);
}
END_TEST

START_TEST(the_one_that_holds_least_comes_first)
{
    uint64_t first;

    setup(2);
    first = rig_call_worker(&r, "m.short", 1);
    rig_call_worker(&r, "m.short", 1);
    rig_call_worker(&r, "m.short", 1);
    rig_call_worker(&r, "m.short", 2);
    rig_assign(&r);
    ck_assert_uint_eq(rig_worker(&r, 1)->n_held, 3);
    for (int i = 0; i < 2; i++)
        first = rig_call(&r, "m.short");
    rig_assign(&r);
    ck_assert_uint_eq(rig_worker(&r, 1)->n_held, 3);
    ck_assert_uint_eq(rig_worker(&r, 2)->n_held, 3);
    ck_assert_uint_eq(rig_where(&r, first), 2);
    rig_end(&r);
}
END_TEST

START_TEST(how_many_ahead_is_bounded)
{
    rig_limits(&r);
    r.limits.ahead_max = 5;
    rig_start(&r, 1);
    for (int i = 0; i < 20; i++)
        rig_call(&r, "m.short");
    rig_assign(&r);
    ck_assert_uint_eq(rig_worker(&r, 1)->n_held, 5);
    rig_end(&r);
}
END_TEST

START_TEST(so_is_how_long_they_take)
{
    rig_limits(&r);
    r.limits.ahead_us = 45; /* usually 10 us each */
    rig_start(&r, 1);
    for (int i = 0; i < 20; i++)
        rig_call(&r, "m.short");
    rig_assign(&r);
    ck_assert_uint_eq(rig_worker(&r, 1)->n_held, 4);
    rig_end(&r);
}
END_TEST

START_TEST(one_means_none_ahead)
{
    rig_limits(&r);
    r.limits.ahead_max = 1;
    rig_start(&r, 1);
    rig_call(&r, "m.short");
    rig_call(&r, "m.short");
    rig_assign(&r);
    ck_assert_uint_eq(rig_count(&r, ACT_RUN), 1);
    rig_end(&r);
}
END_TEST

START_TEST(nothing_behind_or_before_a_long_one)
{
    uint64_t q[3];

    setup(1);
    q[0] = rig_call(&r, "m.short");
    q[1] = rig_call(&r, "m.long");
    q[2] = rig_call(&r, "m.short"); /* must not overtake the long one */
    rig_assign(&r);
    ck_assert_uint_eq(rig_count(&r, ACT_RUN), 1);
    rig_done(&r, q[0], 10);
    rig_assign(&r);
    ck_assert_uint_eq(rig_where(&r, q[1]), 1);
    ck_assert_uint_eq(rig_where(&r, q[2]), 0); /* must not wait behind it, given */
    rig_end(&r);
}
END_TEST

START_TEST(eight_runs_make_a_function_known)
{
    setup(1);
    for (int i = 0; i < FUNCTION_RUNS_KNOWN; i++) {
        uint64_t q[2] = { rig_call(&r, "m.g"), rig_call(&r, "m.g") };

        rig_assign(&r);
        ck_assert_uint_eq(rig_worker(&r, 1)->n_held, 1);
        rig_cancel(&r, q[1]);
        rig_done(&r, q[0], 20);
    }
    rig_call(&r, "m.g");
    rig_call(&r, "m.g");
    rig_assign(&r);
    ck_assert_uint_eq(rig_worker(&r, 1)->n_held, 2);
    rig_end(&r);
}
END_TEST

START_TEST(idle_ones_get_what_others_hold_ahead)
{
    uint64_t q[6], last;

    setup(3);
    for (uint32_t w = 2; w <= 3; w++) { /* 2 and 3 are busy while 1 gets six */
        q[w] = rig_call_worker(&r, "m.long", w);
        rig_assign(&r);
    }
    last = q[2];
    for (int i = 0; i < 6; i++)
        q[i] = rig_call(&r, "m.short");
    rig_assign(&r);
    ck_assert_uint_eq(rig_worker(&r, 1)->n_held, 6);
    rig_clear(&r);
    rig_done(&r, last, 100000);
    rig_assign(&r);
    ck_assert_uint_eq(rig_count(&r, ACT_REVOKE), 1);
    ck_assert_uint_eq(rig_find(&r, ACT_REVOKE, 0)->task, rig_task(&r, q[5])->id); /* the last one given */
    ck_assert_uint_eq(rig_find(&r, ACT_REVOKE, 0)->worker, 1);
    ck_assert_uint_eq(rig_find(&r, ACT_REVOKE, 0)->slot, rig_task(&r, q[5])->slot);
    rig_revoke(&r, true);
    rig_assign(&r);
    ck_assert_uint_eq(rig_where(&r, q[5]), 2);
    ck_assert_uint_eq(rig_worker(&r, 1)->n_held, 5);
    rig_end(&r);
}
END_TEST

START_TEST(also_when_it_is_one_behind_another)
{
    uint64_t q[2], bound, busy;

    setup(2);
    busy = rig_call_worker(&r, "m.long", 2);
    rig_assign(&r);
    for (int i = 0; i < 2; i++)
        q[i] = rig_call(&r, "m.short");
    rig_assign(&r);
    rig_done(&r, busy, 100000);
    bound = rig_call_worker(&r, "m.short", 1);
    rig_assign(&r);
    ck_assert_uint_eq(rig_where(&r, bound), 0); /* none goes ahead in a turn in which one is asked back */
    ck_assert_uint_eq(rig_revoke(&r, true), 1);
    rig_assign(&r);
    ck_assert_uint_eq(rig_where(&r, q[0]), 1);
    ck_assert_uint_eq(rig_where(&r, q[1]), 2);
    ck_assert_uint_eq(rig_where(&r, bound), 1);
    rig_end(&r);
}
END_TEST

START_TEST(a_recall_that_comes_too_late_changes_nothing)
{
    uint64_t q[3], busy;

    setup(2);
    busy = rig_call_worker(&r, "m.long", 2);
    rig_assign(&r);
    for (int i = 0; i < 3; i++)
        q[i] = rig_call(&r, "m.short");
    rig_assign(&r);
    rig_done(&r, busy, 100000);
    rig_assign(&r);
    ck_assert_uint_eq(rig_revoke(&r, false), 1);
    ck_assert_uint_eq(rig_where(&r, q[2]), 1);
    ck_assert_int_eq(rig_task(&r, q[2])->state, TASK_GIVEN);
    rig_assign(&r); /* asks for the next one, not for that one again */
    ck_assert_uint_eq(rig_count(&r, ACT_REVOKE), 2);
    ck_assert_uint_eq(rig_find(&r, ACT_REVOKE, 1)->task, rig_task(&r, q[1])->id);
    rig_revoke(&r, false);
    rig_clear(&r);
    rig_assign(&r); /* the oldest runs: nothing is left to ask for */
    ck_assert_uint_eq(r.out.n, 0);
    rig_end(&r);
}
END_TEST

START_TEST(what_is_bound_is_not_taken_by_others)
{
    uint32_t set;

    setup(2);
    set = rig_set(&r, SET_RR, NULL, (uint32_t[]){ 1, 0 });
    for (int i = 0; i < 3; i++)
        rig_call_set(&r, "m.short", set);
    for (int i = 0; i < 3; i++)
        rig_call_worker(&r, "m.short", 1);
    rig_assign(&r);
    rig_assign(&r);
    ck_assert_uint_eq(rig_worker(&r, 1)->n_held, 6);
    ck_assert_uint_eq(rig_count(&r, ACT_REVOKE), 0);
    rig_end(&r);
}
END_TEST

START_TEST(slots_are_used_again_when_they_are_free)
{
    uint64_t slots = 0;

    rig_limits(&r);
    r.limits.ahead_max = PAGE_SLOTS;
    rig_start(&r, 1);
    for (int i = 0; i < PAGE_SLOTS + 5; i++)
        rig_call_worker(&r, "m.short", 1);
    rig_assign(&r);
    ck_assert_uint_eq(rig_count(&r, ACT_RUN), PAGE_SLOTS);
    for (size_t i = 0; i < PAGE_SLOTS; i++)
        slots |= UINT64_C(1) << rig_find(&r, ACT_RUN, i)->slot;
    ck_assert_uint_eq(slots, UINT64_MAX); /* all different */
    ck_assert_uint_eq(rig_worker(&r, 1)->free_slots, 0);
    rig_end(&r);
}
END_TEST

START_TEST(without_a_free_slot_even_an_idle_worker_gets_nothing)
{
    uint64_t next;

    rig_limits(&r);
    r.limits.ahead_max = PAGE_SLOTS;
    rig_start(&r, 1);
    for (int i = 0; i < PAGE_SLOTS; i++)
        rig_call(&r, "m.short");
    rig_assign(&r);
    for (uint64_t q = 1; q <= PAGE_SLOTS; q++)
        rig_cancel(&r, q);
    rig_revoke(&r, true); /* all taken back, none passed over */
    next = rig_call(&r, "m.short");
    rig_assign(&r);
    ck_assert_uint_eq(rig_where(&r, next), 0);
    core_worker_skipped(r.core, r.now, 1, 107, &r.out);
    rig_assign(&r);
    ck_assert_uint_eq(rig_where(&r, next), 1);
    ck_assert_uint_eq(rig_task(&r, next)->slot, 7);
    rig_end(&r);
}
END_TEST

/* The one before it can go to any. */
START_TEST(what_is_for_one_worker_is_not_asked_back_for_another)
{
    const uint32_t one = 1;
    uint64_t busy, ids[3];

    rig_limits(&r);
    rig_queue_start(&r, 2);
    busy = rig_call_worker(&r, "m.long", 2);
    rig_assign(&r);
    for (int i = 0; i < 2; i++)
        ids[i] = rig_queued(&r, SUBMIT_OF("m.short", ));
    ids[2] = rig_queued(&r, SUBMIT_OF("m.short", .n_workers = 1, .workers = (uint32_t *)&one));
    rig_assign(&r);
    ck_assert_uint_eq(rig_worker(&r, 1)->n_held, 3);
    ck_assert_uint_eq(rig_find(&r, ACT_RUN, 3)->task, ids[2]);
    rig_done(&r, busy, 100000);
    rig_assign(&r);
    ck_assert_uint_eq(rig_count(&r, ACT_REVOKE), 1);
    ck_assert_uint_eq(rig_find(&r, ACT_REVOKE, 0)->task, ids[1]);
    rig_end(&r);
}
END_TEST

/* What is given as soon as its row is written has its place already. */
START_TEST(who_has_one_to_come_is_given_no_more_than_others)
{
    uint64_t id;

    rig_limits(&r);
    rig_queue_start(&r, 2);
    rig_queued(&r, SUBMIT_OF("m.short", ));
    rig_queued(&r, SUBMIT_OF("m.short", ));
    rig_queued(&r, SUBMIT_OF("m.short", .durability = TASK_CRASHSAFE));
    rig_assign(&r);
    ck_assert_uint_eq(rig_worker(&r, 1)->n_booked, 1);
    id = rig_queued(&r, SUBMIT_OF("m.short", ));
    rig_assign(&r);
    ck_assert_uint_eq(rig_qtask(&r, id)->worker, 2);
    rig_end(&r);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core assign");
    TCase *tc = suite_case(suite, "assign");

    tcase_add_test(tc, longest_idle_first);
    tcase_add_test(tc, only_the_free_get_what_is_not_short);
    tcase_add_test(tc, a_free_worker_takes_the_oldest_of_all_its_queues);
    tcase_add_test(tc, not_for_me_is_passed_over);
    tcase_add_test(tc, short_ones_are_given_ahead_evenly);
    tcase_add_test(tc, the_one_that_holds_least_comes_first);
    tcase_add_test(tc, how_many_ahead_is_bounded);
    tcase_add_test(tc, so_is_how_long_they_take);
    tcase_add_test(tc, one_means_none_ahead);
    tcase_add_test(tc, nothing_behind_or_before_a_long_one);
    tcase_add_test(tc, eight_runs_make_a_function_known);
    tcase_add_test(tc, idle_ones_get_what_others_hold_ahead);
    tcase_add_test(tc, also_when_it_is_one_behind_another);
    tcase_add_test(tc, a_recall_that_comes_too_late_changes_nothing);
    tcase_add_test(tc, what_is_bound_is_not_taken_by_others);
    tcase_add_test(tc, slots_are_used_again_when_they_are_free);
    tcase_add_test(tc, without_a_free_slot_even_an_idle_worker_gets_nothing);
    tcase_add_test(tc, what_is_for_one_worker_is_not_asked_back_for_another);
    tcase_add_test(tc, who_has_one_to_come_is_given_no_more_than_others);
    return suite_run(suite);
}
