/* SPDX-License-Identifier: MIT */
#include "tests/unit/core/rig.h"

static struct rig r;

START_TEST(birth)
{
    rig_limits(&r);
    actions_init(&r.out);
    r.core = core_new(&r.limits, 4711, 3, r.now, &r.out);
    ck_assert_uint_eq(r.out.n, 3);
    for (size_t i = 0; i < 3; i++) {
        ck_assert_int_eq(r.out.v[i].type, ACT_SPAWN);
        ck_assert_uint_eq(r.out.v[i].worker, i + 1);
    }
    ck_assert_uint_eq(r.core->next_task, 4711);
    ck_assert_uint_eq(core_next_us(r.core), CORE_NEVER);
    ck_assert_uint_eq(core_tasks(r.core), 0);
    rig_end(&r);
}
END_TEST

START_TEST(without_workers_and_with_too_many)
{
    rig_limits(&r);
    actions_init(&r.out);
    r.core = core_new(&r.limits, 0, 0, r.now, &r.out);
    ck_assert_uint_eq(r.core->next_task, 1); /* 0 is no task */
    rig_end(&r);
    r.limits.workers_max = 2;
    r.core = core_new(&r.limits, 1, 100, r.now, &r.out);
    ck_assert_uint_eq(r.core->n_workers, 2);
    rig_end(&r);
}
END_TEST

START_TEST(limits_that_do_not_fit_are_made_to)
{
    rig_limits(&r);
    r.limits.workers_max = UINT32_MAX;
    r.limits.ahead_max = 1000;
    rig_start(&r, 1);
    ck_assert_uint_eq(r.core->limits.workers_max, WORKERS_MAX);
    ck_assert_uint_eq(r.core->limits.ahead_max, PAGE_SLOTS);
    rig_end(&r);
    rig_limits(&r);
    r.limits.ahead_max = 0;
    rig_start(&r, 1);
    ck_assert_uint_eq(r.core->limits.ahead_max, 1);
    rig_end(&r);
    rig_limits(&r);
    r.limits.ahead_us = 0;
    rig_start(&r, 1);
    ck_assert_uint_eq(r.core->limits.ahead_max, 1);
    rig_end(&r);
}
END_TEST

START_TEST(a_full_pool)
{
    rig_limits(&r);
    rig_start(&r, WORKERS_MAX);
    for (uint32_t i = 0; i < WORKERS_MAX + 50; i++)
        rig_call(&r, "m.long");
    rig_assign(&r);
    ck_assert_uint_eq(rig_count(&r, ACT_RUN), WORKERS_MAX);
    ck_assert_uint_eq(r.core->all.queue.heap.n, 50);
    rig_end(&r);
}
END_TEST

START_TEST(the_clock_rings_for_the_first)
{
    rig_limits(&r);
    rig_start(&r, 1);
    rig_call_deadline(&r, "m.f", 70);
    rig_call_deadline(&r, "m.f", 50);
    rig_call_deadline(&r, "m.f", 60);
    ck_assert_uint_eq(core_next_us(r.core), r.now + 50000);
    rig_cancel(&r, 2);
    ck_assert_uint_eq(core_next_us(r.core), r.now + 60000);
    rig_tick(&r, 70000);
    ck_assert_uint_eq(core_next_us(r.core), CORE_NEVER);
    rig_failure(&r, 1, PTOOLS_ERR_DEADLINE);
    rig_failure(&r, 3, PTOOLS_ERR_DEADLINE);
    rig_end(&r);
}
END_TEST

START_TEST(the_end_with_everything_in_flight)
{
    rig_limits(&r);
    rig_start(&r, 2);
    rig_set(&r, SET_RR, "named", (uint32_t[]){ 1, 2, 0 });
    rig_set(&r, SET_FF, NULL, (uint32_t[]){ 1, 2, 0 });
    for (int i = 0; i < 10; i++) {
        rig_call(&r, "m.short");
        rig_call_deadline(&r, "m.long", 1000);
        rig_call(&r, "x.f");
        rig_call_set(&r, "m.f", 1 + (uint32_t)i % 2);
    }
    rig_assign(&r);
    rig_cancel(&r, 3);
    ck_assert_ptr_null(core_free(NULL));
    rig_end(&r); /* the sanitizer says if something is left */
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core");
    TCase *tc = suite_case(suite, "core");

    tcase_add_test(tc, birth);
    tcase_add_test(tc, without_workers_and_with_too_many);
    tcase_add_test(tc, limits_that_do_not_fit_are_made_to);
    tcase_add_test(tc, a_full_pool);
    tcase_add_test(tc, the_clock_rings_for_the_first);
    tcase_add_test(tc, the_end_with_everything_in_flight);
    return suite_run(suite);
}
