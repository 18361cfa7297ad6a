/* SPDX-License-Identifier: MIT */
#include "tests/unit/core/rig.h"

static struct rig r;

START_TEST(the_table)
{
    static const struct {
        enum worker_state from;
        enum worker_event event;
        enum worker_state to;
    } steps[] = {
        { WORKER_STARTING, EV_READY, WORKER_IDLE },     { WORKER_IDLE, EV_GIVEN, WORKER_BUSY },
        { WORKER_IDLE, EV_LEAVE, WORKER_LEAVING },      { WORKER_BUSY, EV_GIVEN, WORKER_BUSY },
        { WORKER_BUSY, EV_EMPTY, WORKER_IDLE },         { WORKER_BUSY, EV_INTERRUPT, WORKER_STOPPING },
        { WORKER_STOPPING, EV_EMPTY, WORKER_IDLE },     { WORKER_STOPPING, EV_INTERRUPT, WORKER_STOPPING },
        { WORKER_STOPPING, EV_RESUME, WORKER_BUSY },    { WORKER_STOPPING, EV_KILL, WORKER_KILLED },
        { WORKER_LEAVING, EV_KILL, WORKER_KILLED },     { WORKER_KILLED, EV_EMPTY, WORKER_KILLED },
        { WORKER_KILLED, EV_INTERRUPT, WORKER_KILLED }, { WORKER_KILLED, EV_RESUME, WORKER_KILLED },
        { WORKER_STARTING, EV_GONE, WORKER_DEAD },      { WORKER_IDLE, EV_GONE, WORKER_DEAD },
        { WORKER_BUSY, EV_GONE, WORKER_DEAD },          { WORKER_STOPPING, EV_GONE, WORKER_DEAD },
        { WORKER_LEAVING, EV_GONE, WORKER_DEAD },       { WORKER_KILLED, EV_GONE, WORKER_DEAD },
        { WORKER_DEAD, EV_SPAWN, WORKER_STARTING },
    };
    size_t possible = 0;

    for (size_t i = 0; i < ELEMENTS(steps); i++)
        ck_assert_int_eq(worker_next(steps[i].from, steps[i].event), steps[i].to);
    for (int s = 0; s < WORKER_STATES; s++)
        for (int e = 0; e < WORKER_EVENTS; e++)
            possible += worker_next((enum worker_state)s, (enum worker_event)e) != WORKER_STATES;
    ck_assert_uint_eq(possible, ELEMENTS(steps)); /* and no others */
}
END_TEST

static void setup(uint32_t workers)
{
    rig_limits(&r);
    rig_start(&r, workers);
}

/* Every hole of the table, met by a real worker in that state: refused with a word, and nothing changed. */
START_TEST(holes_are_refused)
{
    struct worker *workers[WORKER_STATES];
    size_t refused = 0;

    rig_limits(&r);
    r.limits.recycle_tasks = 1;
    rig_start(&r, WORKER_STATES);
    for (uint32_t s = 0; s < WORKER_STATES; s++)
        workers[s] = rig_worker(&r, s + 1);
    rig_dies(&r, WORKER_DEAD + 1, 9, 0);
    rig_dies(&r, WORKER_STARTING + 1, 9, 0);
    core_worker_due(r.core, r.now, workers[WORKER_STARTING], &r.out);
    for (uint32_t s = WORKER_BUSY; s <= WORKER_KILLED; s++)
        rig_call_worker(&r, "m.f", s + 1);
    rig_assign(&r);
    rig_done(&r, 3, 1000);
    rig_cancel(&r, 4);
    rig_revoke(&r, false);
    core_worker_due(r.core, r.now, workers[WORKER_KILLED], &r.out);
    rig_cancel(&r, 2);
    rig_revoke(&r, false);
    rig_check(&r);
    rig_clear(&r);
    for (int s = 0; s < WORKER_STATES; s++) {
        ck_assert_str_eq(worker_state_name(workers[s]->state), worker_state_name((enum worker_state)s));
        for (int e = 0; e < WORKER_EVENTS; e++) {
            if (worker_next((enum worker_state)s, (enum worker_event)e) != WORKER_STATES)
                continue;
            ck_assert(!worker_step(r.core, workers[s], (enum worker_event)e, &r.out));
            ck_assert_uint_eq(rig_count(&r, ACT_BUG), ++refused);
            ck_has(r.out.v[r.out.n - 1].text, worker_state_name((enum worker_state)s));
            ck_assert_uint_eq(r.out.v[r.out.n - 1].worker, workers[s]->id);
            ck_assert_int_eq(workers[s]->state, s);
            rig_check(&r);
        }
    }
    ck_assert_uint_gt(refused, 30);
    rig_end(&r);
}
END_TEST

START_TEST(a_slot_is_taken_until_it_was_passed_over)
{
    struct worker *w;
    uint64_t q;

    setup(1);
    w = rig_worker(&r, 1);
    q = rig_call(&r, "m.f");
    rig_assign(&r);
    ck_assert_uint_eq(w->free_slots, ~UINT64_C(1));
    rig_cancel(&r, q);
    rig_revoke(&r, true);
    ck_assert_uint_eq(w->free_slots, ~UINT64_C(1));
    ck_assert_uint_eq(w->revoked_slots, 1);
    rig_call(&r, "m.f");
    rig_assign(&r);
    ck_assert_uint_eq(w->free_slots, ~UINT64_C(3));
    core_worker_skipped(r.core, r.now, 1, 100, &r.out);
    rig_check(&r);
    ck_assert_uint_eq(w->free_slots, ~UINT64_C(2));
    rig_end(&r);
}
END_TEST

/* One task, taken back and given to the same worker again, several times: frames are passed over in order. */
START_TEST(the_first_frame_is_passed_over_first)
{
    struct worker *w;
    uint64_t long_one, q;

    setup(2);
    w = rig_worker(&r, 1);
    long_one = rig_call_worker(&r, "m.short", 1);
    q = rig_call_worker(&r, "m.short", 1);
    rig_assign(&r);
    for (int i = 0; i < 3; i++) {
        ck_assert_uint_eq(rig_task(&r, q)->slot, i + 1);
        rig_tick(&r, r.limits.ahead_us);
        ck_assert_uint_eq(rig_revoke(&r, true), 1);
        w->late = false;
        w->since_us = r.now;
        rig_assign(&r);
        ck_assert_uint_eq(rig_where(&r, q), 1);
    }
    ck_assert_uint_eq(w->revoked_slots, 0xe);
    core_worker_skipped(r.core, r.now, 1, 101, &r.out);
    ck_assert_uint_eq(w->revoked_slots, 0xc);
    core_worker_skipped(r.core, r.now, 1, 101, &r.out);
    ck_assert_uint_eq(w->revoked_slots, 0x8);
    rig_done(&r, long_one, 10);
    core_worker_skipped(r.core, r.now, 1, 101, &r.out);
    ck_assert_uint_eq(w->revoked_slots, 0);
    rig_clear(&r);
    core_worker_skipped(r.core, r.now, 1, 101, &r.out);
    ck_assert_uint_eq(rig_count(&r, ACT_BUG), 1); /* that one is given, not taken back */
    rig_end(&r);
}
END_TEST

START_TEST(ids_and_bits)
{
    struct worker *w;

    setup(3);
    for (uint32_t id = 1; id <= 3; id++)
        ck_assert_uint_eq(rig_worker(&r, id)->index, id - 1);
    core_workers_remove(r.core, r.now, r.client, 1, 2, &r.out);
    rig_dies(&r, 2, 0, 0);
    ck_assert_ptr_null(rig_worker(&r, 2));
    core_workers_add(r.core, r.now, r.client, 2, 1, &r.out);
    w = rig_worker(&r, 4);
    ck_assert_uint_eq(w->index, 1); /* the bit is used again, the id is not */
    ck_assert_ptr_null(worker_find(r.core, 0));
    ck_assert_ptr_null(worker_find(r.core, 5));
    rig_end(&r);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core worker");
    TCase *tc = suite_case(suite, "worker");

    tcase_add_test(tc, the_table);
    tcase_add_test(tc, holes_are_refused);
    tcase_add_test(tc, a_slot_is_taken_until_it_was_passed_over);
    tcase_add_test(tc, the_first_frame_is_passed_over_first);
    tcase_add_test(tc, ids_and_bits);
    return suite_run(suite);
}
