/* SPDX-License-Identifier: MIT */
#include "tests/unit/core/rig.h"

static struct rig r;

static void setup(uint32_t workers)
{
    rig_limits(&r);
    rig_start(&r, workers);
}

static struct set *the_set(uint32_t id)
{
    return set_find(r.core, client_find(r.core, r.client), (struct text){ 0 }, id);
}

static void request(enum msg_kind kind, const struct msg_set *m)
{
    core_set(r.core, r.now, r.client, ++r.request, kind, m, &r.out);
    rig_check(&r);
}

static void change(uint32_t id, uint32_t mode, const uint32_t *members)
{
    struct msg_set m = { .set_id = id, .mode = mode, .members = (uint32_t *)members };

    while (members[m.n])
        m.n++;
    request(MSG_SET_CHANGE, &m);
}

static void destroy(uint32_t id)
{
    const struct msg_set m = { .set_id = id };

    request(MSG_SET_DESTROY, &m);
}

START_TEST(create_and_open)
{
    struct msg_set m = { .name = TEXT("mine") };
    uint32_t id;

    setup(3);
    id = rig_set(&r, SET_RR, "mine", (uint32_t[]){ 3, 1, 0 });
    ck_assert_uint_ne(id, 0);
    ck_assert_uint_eq(the_set(id)->n, 2);
    ck_assert_uint_eq(the_set(id)->ids[0], 3);
    ck_assert_uint_eq(the_set(id)->ids[1], 1);
    request(MSG_SET_OPEN, &m);
    ck_assert_uint_eq(rig_answer(&r, r.request)->answer.reply.set_id, id);
    ck_assert_uint_eq(rig_answer(&r, r.request)->answer.reply.mode, SET_RR);
    m.name = TEXT("min");
    request(MSG_SET_OPEN, &m);
    ck_has(rig_failure(&r, r.request, PTOOLS_ERR_NO_SET), "min");
    rig_end(&r);
}
END_TEST

START_TEST(what_is_refused)
{
    setup(2);
    ck_assert_uint_eq(rig_set(&r, SET_RR, NULL, (uint32_t[]){ 0 }), 0);
    rig_failure(&r, r.request, PTOOLS_ERR_BAD_REQUEST);
    ck_assert_uint_eq(rig_set(&r, SET_RR, NULL, (uint32_t[]){ 1, 7, 0 }), 0);
    ck_assert_str_eq(rig_failure(&r, r.request, PTOOLS_ERR_NO_WORKER), "no worker 7");
    ck_assert_uint_eq(rig_set(&r, SET_RR, NULL, (uint32_t[]){ 1, 2, 1, 0 }), 0);
    ck_has(rig_failure(&r, r.request, PTOOLS_ERR_BAD_REQUEST), "worker 1 is named twice");
    ck_assert_uint_eq(rig_set(&r, 3, NULL, (uint32_t[]){ 1, 0 }), 0);
    ck_has(rig_failure(&r, r.request, PTOOLS_ERR_BAD_REQUEST), "mode: 3");
    ck_assert_uint_ne(rig_set(&r, SET_RR, "a", (uint32_t[]){ 1, 0 }), 0);
    ck_assert_uint_eq(rig_set(&r, SET_FF, "a", (uint32_t[]){ 2, 0 }), 0);
    rig_failure(&r, r.request, PTOOLS_ERR_EXISTS);
    change(99, SET_RR, (uint32_t[]){ 1, 0 });
    rig_failure(&r, r.request, PTOOLS_ERR_NO_SET);
    change(0, SET_RR, (uint32_t[]){ 1, 0 }); /* the set of all is nobody's */
    rig_failure(&r, r.request, PTOOLS_ERR_NO_SET);
    destroy(0);
    rig_failure(&r, r.request, PTOOLS_ERR_NO_SET);
    ck_assert_uint_eq(HASH_COUNT(r.core->sets), 1);
    rig_end(&r);
}
END_TEST

START_TEST(too_many)
{
    rig_limits(&r);
    r.limits.user_sets_max = 2;
    rig_start(&r, 1);
    rig_set(&r, SET_RR, NULL, (uint32_t[]){ 1, 0 });
    rig_set(&r, SET_RR, "b", (uint32_t[]){ 1, 0 });
    ck_assert_uint_eq(rig_set(&r, SET_RR, NULL, (uint32_t[]){ 1, 0 }), 0);
    ck_assert_str_eq(rig_failure(&r, r.request, PTOOLS_ERR_LIMIT),
                     "over the limit user_sets_max: 2 of 2 in use, 1 more asked for");
    destroy(1);
    ck_assert_uint_ne(rig_set(&r, SET_RR, NULL, (uint32_t[]){ 1, 0 }), 0);
    rig_end(&r);
}
END_TEST

START_TEST(others_do_not_see_it)
{
    struct msg_set m = { .name = TEXT("mine") };
    uint32_t id, anonymous, other, owner;
    uint64_t q;

    setup(1);
    owner = r.client;
    id = rig_set(&r, SET_RR, "mine", (uint32_t[]){ 1, 0 });
    anonymous = rig_set(&r, SET_RR, NULL, (uint32_t[]){ 1, 0 });
    ck_assert_int_eq(core_client_add(r.core, 1000, &other), 0); /* the same user */
    r.client = other;
    ck_assert_ptr_nonnull(the_set(id));
    ck_assert_ptr_null(the_set(anonymous));
    destroy(anonymous);
    rig_failure(&r, r.request, PTOOLS_ERR_NO_SET);
    ck_assert_int_eq(core_client_add(r.core, 1001, &other), 0); /* another user */
    r.client = other;
    request(MSG_SET_OPEN, &m);
    rig_failure(&r, r.request, PTOOLS_ERR_NO_SET);
    q = rig_call_set(&r, "m.f", id);
    rig_failure(&r, q, PTOOLS_ERR_NO_SET);
    change(id, SET_FF, (uint32_t[]){ 1, 0 });
    rig_failure(&r, r.request, PTOOLS_ERR_NO_SET);
    ck_assert_uint_ne(rig_set(&r, SET_FF, "mine", (uint32_t[]){ 1, 0 }), 0); /* its own of that name */
    r.client = owner;
    ck_assert_int_eq(the_set(id)->mode, SET_RR);
    rig_end(&r);
}
END_TEST

START_TEST(change_deals_out_again_what_left)
{
    uint64_t q[4];
    uint32_t id;

    setup(4);
    id = rig_set(&r, SET_RR, NULL, (uint32_t[]){ 1, 2, 0 });
    for (int i = 0; i < 4; i++)
        q[i] = rig_call_set(&r, "m.f", id);
    change(id, SET_RR, (uint32_t[]){ 3, 2, 4, 0 });
    ck_assert_uint_eq(rig_task(&r, q[0])->bound, 3); /* from the first id on */
    ck_assert_uint_eq(rig_task(&r, q[1])->bound, 2); /* still in it: stays */
    ck_assert_uint_eq(rig_task(&r, q[2])->bound, 2);
    ck_assert_uint_eq(rig_task(&r, q[3])->bound, 2);
    ck_assert_uint_eq(rig_task(&r, rig_call_set(&r, "m.f", id))->bound, 4);
    rig_end(&r);
}
END_TEST

START_TEST(change_from_round_robin_to_first_free_and_back)
{
    uint64_t q[3], held;
    uint32_t id;

    setup(3);
    id = rig_set(&r, SET_RR, NULL, (uint32_t[]){ 1, 2, 0 });
    for (int i = 0; i < 3; i++)
        q[i] = rig_call_set(&r, "m.f", id);
    held = rig_call_set(&r, "other.f", id);
    ck_assert_uint_eq(rig_task(&r, held)->bound, 2);
    change(id, SET_FF, (uint32_t[]){ 2, 3, 0 });
    ck_assert_uint_eq(the_set(id)->queue.heap.n, 3);
    ck_assert_uint_eq(rig_task(&r, held)->bound, 0);
    change(id, SET_RR, (uint32_t[]){ 3, 1, 0 });
    for (int i = 0; i < 3; i++)
        ck_assert_uint_eq(rig_task(&r, q[i])->bound, i % 2 ? 1 : 3);
    ck_assert_uint_eq(rig_task(&r, held)->bound, 1);
    rig_end(&r);
}
END_TEST

START_TEST(a_named_worker_stays_named)
{
    struct msg_call call = { .function = TEXT("m.f"), .worker = 1 };
    uint64_t q;

    setup(2);
    call.set_id = rig_set(&r, SET_RR, NULL, (uint32_t[]){ 1, 2, 0 });
    q = rig_call_with(&r, r.client, &call);
    change(call.set_id, SET_RR, (uint32_t[]){ 2, 0 });
    ck_assert_uint_eq(rig_task(&r, q)->bound, 1);
    rig_assign(&r);
    ck_assert_uint_eq(rig_where(&r, q), 1);
    rig_end(&r);
}
END_TEST

START_TEST(destroy_ends_what_waits)
{
    uint64_t run, ahead, waits, held;
    uint32_t id;

    setup(1);
    id = rig_set(&r, SET_FF, NULL, (uint32_t[]){ 1, 0 });
    run = rig_call_set(&r, "m.short", id);
    ahead = rig_call_set(&r, "m.short", id);
    rig_assign(&r);
    waits = rig_call_set(&r, "m.long", id);
    held = rig_call_set(&r, "other.f", id);
    destroy(id);
    ck_assert(!rig_answer(&r, r.request)->answer.failed);
    ck_has(rig_failure(&r, waits, PTOOLS_ERR_NO_SET), "destroyed");
    rig_failure(&r, held, PTOOLS_ERR_NO_SET);
    rig_dies(&r, 1, 11, run); /* what comes back has nowhere to go */
    rig_failure(&r, run, PTOOLS_ERR_WORKER_DIED);
    rig_failure(&r, ahead, PTOOLS_ERR_NO_SET);
    destroy(id);
    rig_failure(&r, r.request, PTOOLS_ERR_NO_SET);
    rig_end(&r);
}
END_TEST

START_TEST(running_ones_go_on)
{
    uint64_t q;
    uint32_t id;

    setup(1);
    id = rig_set(&r, SET_FF, NULL, (uint32_t[]){ 1, 0 });
    q = rig_call_set(&r, "m.f", id);
    rig_assign(&r);
    destroy(id);
    rig_done(&r, q, 10);
    rig_value(&r, q);
    rig_end(&r);
}
END_TEST

START_TEST(the_turn_survives_a_loss)
{
    static const struct {
        uint32_t moves, lost, next;
    } cases[] = { { 0, 2, 1 }, { 1, 1, 2 }, { 1, 2, 3 }, { 2, 1, 3 }, { 2, 3, 1 }, { 3, 1, 2 }, { 0, 1, 2 } };

    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        struct set *s;
        uint32_t id;

        setup(3);
        id = rig_set(&r, SET_RR, NULL, (uint32_t[]){ 1, 2, 3, 0 });
        s = the_set(id);
        for (uint32_t k = 0; k < cases[i].moves; k++)
            set_next(s);
        core_workers_remove(r.core, r.now, r.client, ++r.request, cases[i].lost, &r.out);
        rig_check(&r);
        ck_assert_uint_eq(set_next(s)->id, cases[i].next);
        rig_end(&r);
    }
}
END_TEST

START_TEST(empty_sets_refuse_and_can_be_filled_again)
{
    uint32_t id;
    uint64_t q;

    setup(2);
    id = rig_set(&r, SET_RR, NULL, (uint32_t[]){ 2, 0 });
    q = rig_call_set(&r, "m.f", id);
    core_workers_remove(r.core, r.now, r.client, ++r.request, 2, &r.out);
    rig_failure(&r, q, PTOOLS_ERR_NO_WORKER);
    rig_failure(&r, rig_call_set(&r, "m.f", id), PTOOLS_ERR_NO_WORKER);
    change(id, SET_RR, (uint32_t[]){ 2, 0 });
    rig_failure(&r, r.request, PTOOLS_ERR_NO_WORKER); /* it is on its way out */
    change(id, SET_RR, (uint32_t[]){ 1, 0 });
    ck_assert_uint_eq(rig_task(&r, rig_call_set(&r, "m.f", id))->bound, 1);
    rig_end(&r);
}
END_TEST

START_TEST(numbers_wrap_past_those_in_use)
{
    uint32_t first;

    setup(1);
    first = rig_set(&r, SET_RR, NULL, (uint32_t[]){ 1, 0 });
    ck_assert_uint_eq(first, 1);
    r.core->last_set = UINT32_MAX;
    ck_assert_uint_eq(rig_set(&r, SET_RR, NULL, (uint32_t[]){ 1, 0 }), 2);
    rig_end(&r);
}
END_TEST

START_TEST(other_kinds_are_bugs)
{
    const struct msg_set m = { .set_id = 1 };

    setup(1);
    request(MSG_INSPECT, &m);
    ck_assert_uint_eq(rig_count(&r, ACT_BUG), 1);
    rig_end(&r);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core set");
    TCase *tc = suite_case(suite, "set");

    tcase_add_test(tc, create_and_open);
    tcase_add_test(tc, what_is_refused);
    tcase_add_test(tc, too_many);
    tcase_add_test(tc, others_do_not_see_it);
    tcase_add_test(tc, change_deals_out_again_what_left);
    tcase_add_test(tc, change_from_round_robin_to_first_free_and_back);
    tcase_add_test(tc, a_named_worker_stays_named);
    tcase_add_test(tc, destroy_ends_what_waits);
    tcase_add_test(tc, running_ones_go_on);
    tcase_add_test(tc, the_turn_survives_a_loss);
    tcase_add_test(tc, empty_sets_refuse_and_can_be_filled_again);
    tcase_add_test(tc, numbers_wrap_past_those_in_use);
    tcase_add_test(tc, other_kinds_are_bugs);
    return suite_run(suite);
}
