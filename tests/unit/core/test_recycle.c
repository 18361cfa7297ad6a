/* SPDX-License-Identifier: MIT */
#include "tests/unit/core/rig.h"

static struct rig r;

static void done(uint64_t request, uint32_t rss_kb, uint32_t fds)
{
    struct task *t = rig_task(&r, request);

    core_worker_done(r.core, r.now, t->worker->id, t->id, 1, PTOOLS_OK, NULL, NULL, 10, rss_kb, fds, &r.out);
    rig_check(&r);
}

static void run_one(uint32_t worker, uint32_t rss_kb, uint32_t fds)
{
    uint64_t q = rig_call_worker(&r, "m.f", worker);

    rig_assign(&r);
    ck_assert_uint_eq(rig_where(&r, q), worker);
    done(q, rss_kb, fds);
}

static void replace(uint32_t worker)
{
    ck_assert_uint_eq(rig_find(&r, ACT_STOP, 0)->worker, worker);
    ck_assert_int_eq(rig_worker(&r, worker)->state, WORKER_LEAVING);
    rig_clear(&r);
    rig_dies(&r, worker, 0, 0);
    ck_assert_uint_eq(rig_count(&r, ACT_SPAWN), 1);
    ck_assert_ptr_null(rig_note(&r, NOTE_WORKER_DIED));
}

START_TEST(after_so_many_tasks)
{
    rig_limits(&r);
    r.limits.recycle_tasks = 3;
    rig_start(&r, 1);
    run_one(1, 0, 0);
    run_one(1, 0, 0);
    ck_assert_uint_eq(rig_count(&r, ACT_STOP), 0);
    run_one(1, 0, 0);
    replace(1);
    ck_has(rig_note(&r, NOTE_WORKER_RECYCLED)->text, "it has run 3 tasks, recycle_tasks is 3");
    ck_assert_uint_eq(rig_worker(&r, 1)->recycled, 1);
    ck_assert_uint_eq(rig_worker(&r, 1)->deaths, 0);
    ck_assert_uint_eq(rig_worker(&r, 1)->done, 3);
    rig_clear(&r);
    rig_ready(&r, 1);
    run_one(1, 0, 0); /* a new process counts from 0 */
    ck_assert_uint_eq(rig_count(&r, ACT_STOP), 0);
    rig_end(&r);
}
END_TEST

START_TEST(for_its_memory)
{
    rig_limits(&r);
    r.limits.recycle_kb = 1000;
    rig_start(&r, 1);
    run_one(1, 1000, 0);
    ck_assert_uint_eq(rig_count(&r, ACT_STOP), 0);
    run_one(1, 1001, 0);
    replace(1);
    ck_has(rig_note(&r, NOTE_WORKER_RECYCLED)->text, "its memory is 1001 KiB, recycle_kb is 1000");
    rig_end(&r);
}
END_TEST

START_TEST(for_its_descriptors)
{
    rig_limits(&r);
    r.limits.recycle_fds = 5;
    rig_start(&r, 1);
    run_one(1, 0, 4);
    run_one(1, 0, 0); /* it did not look */
    ck_assert_uint_eq(rig_count(&r, ACT_STOP), 0);
    run_one(1, 0, 5);
    replace(1);
    ck_has(rig_note(&r, NOTE_WORKER_RECYCLED)->text, "5 descriptors more than at birth");
    rig_end(&r);
}
END_TEST

START_TEST(what_it_was_given_ahead_comes_back)
{
    uint64_t q[3];

    rig_limits(&r);
    r.limits.recycle_tasks = 1;
    rig_start(&r, 1);
    for (int i = 0; i < 3; i++)
        q[i] = rig_call(&r, "m.short");
    rig_assign(&r);
    rig_clear(&r);
    rig_done(&r, q[0], 10);
    ck_assert_uint_eq(rig_count(&r, ACT_REVOKE), 2);
    core_revoked(r.core, r.now, 1, 101, false, &r.out); /* that one had begun */
    core_revoked(r.core, r.now, 1, 102, true, &r.out);
    rig_check(&r);
    ck_assert_uint_eq(rig_count(&r, ACT_STOP), 0);
    rig_assign(&r);
    ck_assert_uint_eq(rig_where(&r, q[2]), 0); /* it gets nothing more */
    rig_done(&r, q[1], 10);
    rig_value(&r, q[1]);
    replace(1);
    rig_ready(&r, 1);
    rig_assign(&r);
    ck_assert_uint_eq(rig_where(&r, q[2]), 1);
    rig_end(&r);
}
END_TEST

START_TEST(one_at_a_time)
{
    rig_limits(&r);
    r.limits.recycle_tasks = 1;
    rig_start(&r, 3);
    run_one(1, 0, 0);
    run_one(2, 0, 0);
    run_one(2, 0, 0); /* over its limit, and goes on */
    ck_assert_uint_eq(rig_count(&r, ACT_STOP), 1);
    replace(1);
    ck_assert_uint_eq(rig_count(&r, ACT_STOP), 0);
    rig_clear(&r);
    rig_ready(&r, 1);
    replace(2); /* now it is its turn, though it is idle */
    rig_end(&r);
}
END_TEST

START_TEST(the_next_one_when_the_first_never_comes_back)
{
    rig_limits(&r);
    r.limits.recycle_tasks = 1;
    rig_start(&r, 2);
    run_one(1, 0, 0);
    replace(1);
    rig_clear(&r);
    rig_dies(&r, 1, 9, 0); /* the new process dies as it starts */
    ck_assert_ptr_nonnull(rig_note(&r, NOTE_BACKOFF));
    run_one(2, 0, 0);
    replace(2);
    rig_end(&r);
}
END_TEST

START_TEST(who_does_not_leave_is_killed_and_counts_as_replaced)
{
    rig_limits(&r);
    r.limits.recycle_tasks = 1;
    rig_start(&r, 1);
    run_one(1, 0, 0);
    rig_tick(&r, r.limits.kill_grace_us);
    ck_assert_uint_eq(rig_count(&r, ACT_KILL), 1);
    rig_dies(&r, 1, 9, 0);
    ck_assert_ptr_nonnull(rig_note(&r, NOTE_WORKER_RECYCLED));
    ck_assert_uint_eq(rig_worker(&r, 1)->recycled, 1);
    ck_assert_uint_eq(rig_count(&r, ACT_SPAWN), 1);
    rig_end(&r);
}
END_TEST

START_TEST(removed_while_it_is_replaced)
{
    rig_limits(&r);
    r.limits.recycle_tasks = 1;
    rig_start(&r, 2);
    run_one(1, 0, 0);
    core_workers_remove(r.core, r.now, r.client, 99, 1, &r.out);
    rig_check(&r);
    rig_clear(&r);
    rig_dies(&r, 1, 0, 0);
    ck_assert_ptr_null(rig_worker(&r, 1));
    run_one(2, 0, 0);
    replace(2);
    rig_end(&r);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core recycle");
    TCase *tc = suite_case(suite, "recycle");

    tcase_add_test(tc, after_so_many_tasks);
    tcase_add_test(tc, for_its_memory);
    tcase_add_test(tc, for_its_descriptors);
    tcase_add_test(tc, what_it_was_given_ahead_comes_back);
    tcase_add_test(tc, one_at_a_time);
    tcase_add_test(tc, the_next_one_when_the_first_never_comes_back);
    tcase_add_test(tc, who_does_not_leave_is_killed_and_counts_as_replaced);
    tcase_add_test(tc, removed_while_it_is_replaced);
    return suite_run(suite);
}
