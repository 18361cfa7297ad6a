/* SPDX-License-Identifier: MIT */
#include "tests/unit/core/rig.h"

static struct rig r;

START_TEST(the_table)
{
    static const struct {
        enum task_state from;
        enum task_event event;
        enum task_state to;
    } steps[] = {
        { TASK_NEW, EV_HOLD, TASK_HELD },          { TASK_NEW, EV_QUEUE, TASK_WAITING },
        { TASK_NEW, EV_END, TASK_ENDED },          { TASK_HELD, EV_QUEUE, TASK_WAITING },
        { TASK_HELD, EV_END, TASK_ENDED },         { TASK_WAITING, EV_QUEUE, TASK_WAITING },
        { TASK_WAITING, EV_GIVE, TASK_GIVEN },     { TASK_WAITING, EV_END, TASK_ENDED },
        { TASK_GIVEN, EV_QUEUE, TASK_WAITING },    { TASK_GIVEN, EV_RECALL, TASK_RECALLED },
        { TASK_GIVEN, EV_STOP, TASK_STOPPING },    { TASK_GIVEN, EV_END, TASK_ENDED },
        { TASK_RECALLED, EV_QUEUE, TASK_WAITING }, { TASK_RECALLED, EV_KEPT, TASK_GIVEN },
        { TASK_RECALLED, EV_STOP, TASK_STOPPING }, { TASK_RECALLED, EV_END, TASK_ENDED },
        { TASK_STOPPING, EV_END, TASK_ENDED },     { TASK_NEW, EV_BOOK, TASK_BOOKED },
        { TASK_NEW, EV_GIVE, TASK_GIVEN },         { TASK_BOOKED, EV_GIVE, TASK_GIVEN },
        { TASK_BOOKED, EV_END, TASK_ENDED },
    };
    size_t possible = 0;

    for (size_t i = 0; i < ELEMENTS(steps); i++)
        ck_assert_int_eq(task_next(steps[i].from, steps[i].event), steps[i].to);
    for (int s = 0; s < TASK_STATES; s++)
        for (int e = 0; e < TASK_EVENTS; e++)
            possible += task_next((enum task_state)s, (enum task_event)e) != TASK_STATES;
    ck_assert_uint_eq(possible, ELEMENTS(steps)); /* and no others */
}
END_TEST

/* Every hole of the table, met by a real task in that state: refused with a word, and nothing changed. */
START_TEST(holes_are_refused)
{
    struct task *tasks[TASK_STATES] = { NULL };
    size_t refused = 0;

    rig_limits(&r);
    rig_start(&r, 3);
    tasks[TASK_STOPPING] = rig_task(&r, rig_call(&r, "m.f"));
    tasks[TASK_GIVEN] = rig_task(&r, rig_call(&r, "m.f"));
    rig_assign(&r);
    rig_cancel(&r, tasks[TASK_STOPPING]->key.request);
    rig_revoke(&r, false);
    tasks[TASK_RECALLED] = rig_task(&r, rig_call(&r, "m.f"));
    rig_assign(&r);
    rig_cancel(&r, tasks[TASK_RECALLED]->key.request);
    tasks[TASK_WAITING] = rig_task(&r, rig_call(&r, "m.f"));
    tasks[TASK_HELD] = rig_task(&r, rig_call(&r, "other.f"));
    rig_clear(&r);
    for (int s = TASK_HELD; s <= TASK_STOPPING; s++) {
        if (s == TASK_BOOKED)
            continue; /* an attempt of a queued task: test_qtask.c */
        ck_assert_int_eq(tasks[s]->state, s);
        for (int e = 0; e < TASK_EVENTS; e++) {
            if (task_next((enum task_state)s, (enum task_event)e) != TASK_STATES)
                continue;
            ck_assert(!task_step(r.core, tasks[s], (enum task_event)e, &r.out));
            ck_assert_uint_eq(rig_count(&r, ACT_BUG), ++refused);
            ck_has(r.out.v[r.out.n - 1].text, task_state_name((enum task_state)s));
            ck_assert_uint_eq(r.out.v[r.out.n - 1].task, tasks[s]->id);
            ck_assert_int_eq(tasks[s]->state, s);
            rig_check(&r);
        }
    }
    ck_assert_uint_gt(refused, 15);
    rig_end(&r);
}
END_TEST

START_TEST(numbers_count_up_and_structs_are_used_again)
{
    uint64_t id = 100;

    rig_limits(&r);
    rig_start(&r, 1);
    for (int i = 0; i < 50; i++) {
        uint64_t request = rig_call(&r, "m.f");
        struct task *t = rig_task(&r, request);

        ck_assert_uint_eq(t->id, id++);
        ck_assert(i == 0 || r.core->spare == NULL);
        ck_assert_ptr_eq(task_find(r.core, t->id), t);
        rig_assign(&r);
        rig_done(&r, request, 1000);
        ck_assert_ptr_eq(r.core->spare, t);
        ck_assert_ptr_null(rig_task(&r, request));
        rig_clear(&r);
    }
    rig_end(&r);
}
END_TEST

START_TEST(the_keeper_is_no_task)
{
    rig_limits(&r);
    rig_start(&r, 1);
    ck_assert_uint_eq(core_tasks(r.core), 0);
    ck_assert_ptr_null(task_find(r.core, 0));
    ck_assert_ptr_null(task_find_request(r.core, 0, 0));
    rig_end(&r);
}
END_TEST

START_TEST(everything_is_charged_and_given_back)
{
    const struct user *u;
    struct core_stats stats;
    uint64_t request;

    rig_limits(&r);
    rig_start(&r, 1);
    u = client_find(r.core, r.client)->user;
    request = rig_call(&r, "m.f");
    rig_call(&r, "m.f");
    ck_assert_uint_eq(u->n_tasks, 2);
    ck_assert_uint_eq(u->bytes, 16);
    core_view_stats(r.core, &stats);
    ck_assert_uint_eq(stats.payload_bytes, 16);
    rig_assign(&r);
    rig_done(&r, request, 1);
    ck_assert_uint_eq(u->n_tasks, 1);
    ck_assert_uint_eq(u->bytes, 8);
    rig_end(&r);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core task");
    TCase *tc = suite_case(suite, "task");

    tcase_add_test(tc, the_table);
    tcase_add_test(tc, holes_are_refused);
    tcase_add_test(tc, numbers_count_up_and_structs_are_used_again);
    tcase_add_test(tc, the_keeper_is_no_task);
    tcase_add_test(tc, everything_is_charged_and_given_back);
    return suite_run(suite);
}
