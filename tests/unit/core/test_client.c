/* SPDX-License-Identifier: MIT */
#include "tests/unit/core/rig_queue.h"

static struct rig r;
static uint32_t same, other; /* of the same user, of another one */

static void setup(uint32_t workers)
{
    rig_limits(&r);
    rig_start(&r, workers);
    ck_assert_int_eq(core_client_add(r.core, 1000, &same), 0);
    ck_assert_int_eq(core_client_add(r.core, 1001, &other), 0);
}

START_TEST(numbers_are_not_used_again)
{
    uint32_t last;

    setup(1);
    last = other;
    ck_assert_uint_ne(r.client, 0);
    for (int i = 0; i < 10; i++) {
        uint32_t id = 0;

        ck_assert_int_eq(core_client_add(r.core, 1000, &id), 0);
        ck_assert_uint_gt(id, last);
        last = id;
        core_client_gone(r.core, r.now, id, &r.out);
    }
    r.core->last_client = UINT32_MAX; /* after four thousand million: past 0, and past those that are there */
    ck_assert_int_eq(core_client_add(r.core, 1000, &last), 0);
    ck_assert_uint_eq(last, other + 1);
    rig_end(&r);
}
END_TEST

START_TEST(its_waiting_calls_go_without_a_word)
{
    setup(1);
    rig_call(&r, "m.f");
    rig_call(&r, "other.f");
    rig_clear(&r);
    core_client_gone(r.core, r.now, r.client, &r.out);
    ck_assert_uint_eq(r.out.n, 0);
    ck_assert_uint_eq(core_tasks(r.core), 0);
    ck_assert_uint_eq(r.core->stats.cancelled, 2);
    ck_assert_ptr_nonnull(client_find(r.core, same)->user);
    rig_end(&r);
}
END_TEST

START_TEST(its_running_calls_are_stopped)
{
    setup(1);
    rig_call(&r, "m.f");
    rig_assign(&r);
    rig_clear(&r);
    core_client_gone(r.core, r.now, r.client, &r.out);
    ck_assert_uint_eq(rig_count(&r, ACT_REVOKE), 1);
    rig_revoke(&r, false);
    ck_assert_uint_eq(rig_count(&r, ACT_CANCEL), 1);
    core_worker_done(r.core, r.now, 1, 100, 1, PTOOLS_OK, NULL, NULL, 1, 0, 0, &r.out);
    rig_check(&r);
    ck_assert_uint_eq(rig_count(&r, ACT_ANSWER), 0);
    ck_assert_uint_eq(core_tasks(r.core), 0);
    rig_end(&r);
}
END_TEST

START_TEST(detached_calls_live_on)
{
    const struct msg_call accepted = { .function = TEXT("m.f"), .detached = true };
    const struct msg_call held = { .function = TEXT("other.f"), .detached = true };
    static const char *const functions[] = { "f" };

    setup(2);
    rig_call_with(&r, r.client, &accepted);
    rig_call_with(&r, r.client, &held);
    core_client_gone(r.core, r.now, r.client, &r.out);
    core_client_gone(r.core, r.now, same, &r.out);
    rig_clear(&r);
    rig_loaded(&r, "other", PTOOLS_OK, functions, 1);
    rig_assign(&r);
    ck_assert_uint_eq(rig_count(&r, ACT_RUN), 2);
    ck_assert_uint_eq(rig_count(&r, ACT_ANSWER), 0);
    ck_assert_uint_eq(rig_find(&r, ACT_RUN, 1)->uid, 1000); /* the user is still known */
    for (uint64_t id = 100; id < 102; id++)
        core_worker_done(r.core, r.now, (uint32_t)id - 99, id, 1, PTOOLS_OK, NULL, NULL, 1, 0, 0, &r.out);
    rig_check(&r);
    ck_assert_uint_eq(r.core->stats.done, 2);
    ck_assert_uint_eq(HASH_COUNT(r.core->users), 1);
    rig_end(&r);
}
END_TEST

START_TEST(a_set_without_a_name_goes_with_its_client)
{
    uint32_t set;

    setup(1);
    set = rig_set(&r, SET_FF, NULL, (uint32_t[]){ 1, 0 });
    ck_assert_ptr_null(set_find(r.core, client_find(r.core, same), (struct text){ 0 }, set)); /* nobody else's */
    core_client_gone(r.core, r.now, r.client, &r.out);
    rig_check(&r);
    ck_assert_uint_eq(HASH_COUNT(r.core->sets), 0);
    rig_end(&r);
}
END_TEST

START_TEST(but_not_before_its_detached_tasks)
{
    struct msg_call call = { .function = TEXT("m.f"), .detached = true };

    setup(1);
    call.set_id = rig_set(&r, SET_RR, NULL, (uint32_t[]){ 1, 0 });
    rig_call_with(&r, r.client, &call);
    rig_call_with(&r, r.client, &call);
    core_client_gone(r.core, r.now, r.client, &r.out);
    core_client_gone(r.core, r.now, same, &r.out); /* the last one of its user */
    rig_check(&r);
    ck_assert_uint_eq(HASH_COUNT(r.core->sets), 1);
    for (uint64_t id = 100; id < 102; id++) {
        rig_assign(&r);
        core_worker_done(r.core, r.now, 1, id, 1, PTOOLS_OK, NULL, NULL, 1000, 0, 0, &r.out);
        rig_check(&r);
    }
    ck_assert_uint_eq(r.core->stats.done, 2);
    ck_assert_uint_eq(HASH_COUNT(r.core->sets), 0);
    ck_assert_uint_eq(HASH_COUNT(r.core->users), 1);
    rig_end(&r);
}
END_TEST

START_TEST(a_set_with_a_name_stays)
{
    setup(1);
    rig_set(&r, SET_FF, "kept", (uint32_t[]){ 1, 0 });
    core_client_gone(r.core, r.now, r.client, &r.out);
    core_client_gone(r.core, r.now, same, &r.out);
    rig_check(&r);
    ck_assert_int_eq(core_client_add(r.core, 1000, &r.client), 0);
    ck_assert_ptr_nonnull(set_find(r.core, client_find(r.core, r.client), TEXT("kept"), 0));
    ck_assert_ptr_null(set_find(r.core, client_find(r.core, other), TEXT("kept"), 0));
    rig_end(&r);
}
END_TEST

static void cancel_task(uint32_t client, uint64_t task)
{
    const struct msg_cancel cancel = { .task = task };

    core_cancel(r.core, r.now, client, ++r.request, &cancel, &r.out);
    rig_check(&r);
}

START_TEST(cancel_by_the_task)
{
    uint64_t q;

    setup(1);
    q = rig_call(&r, "m.f");
    cancel_task(other, 100);
    ck_has(rig_failure(&r, r.request, PTOOLS_ERR_NO_TASK), "100"); /* not yours: does not exist */
    ck_assert_ptr_nonnull(rig_task(&r, q));
    cancel_task(same, 100);
    rig_failure(&r, q, PTOOLS_ERR_CANCELLED);
    ck_assert(!rig_answer(&r, r.request)->answer.failed);
    cancel_task(same, 100);
    rig_failure(&r, r.request, PTOOLS_ERR_NO_TASK);
    rig_end(&r);
}
END_TEST

START_TEST(cancel_by_the_request)
{
    const struct msg_cancel cancel = { .request = 1 };
    uint64_t q;

    setup(1);
    q = rig_call(&r, "m.f");
    ck_assert_uint_eq(q, 1);
    core_cancel(r.core, r.now, same, 7, &cancel, &r.out); /* its request 1, which there is not */
    ck_assert(rig_answer(&r, 7)->answer.reply.done);
    ck_assert_ptr_nonnull(rig_task(&r, q));
    rig_cancel(&r, q);
    ck_assert(!rig_answer(&r, r.request)->answer.reply.done);
    rig_cancel(&r, q);
    ck_assert(rig_answer(&r, r.request)->answer.reply.done);
    rig_failure(&r, q, PTOOLS_ERR_CANCELLED);
    rig_end(&r);
}
END_TEST

START_TEST(a_detached_task_can_be_cancelled_by_its_user)
{
    const struct msg_call call = { .function = TEXT("m.f"), .detached = true };

    setup(1);
    rig_call_with(&r, r.client, &call);
    core_client_gone(r.core, r.now, r.client, &r.out);
    cancel_task(other, 100);
    ck_assert_uint_eq(core_tasks(r.core), 1);
    cancel_task(same, 100);
    ck_assert_uint_eq(core_tasks(r.core), 0);
    rig_end(&r);
}
END_TEST

/* As long as it is not answered. */
START_TEST(a_number_is_of_one_request)
{
    uint64_t call, id;

    rig_limits(&r);
    rig_queue_start(&r, 2);
    call = rig_call(&r, "m.f");
    r.request = call - 1;
    ck_has(rig_failure(&r, rig_queue(&r, SUBMIT()), PTOOLS_ERR_BAD_REQUEST), "is in flight already");
    rig_clear(&r);
    id = rig_queued(&r, SUBMIT());
    for (int i = 0; i < 2; i++) { /* the end that was waited for is told, and the number can be used again */
        rig_clear(&r);
        r.request = 1000;
        rig_result(&r, id);
        ck_assert_ptr_null(rig_answer(&r, r.request));
        rig_assign(&r);
        rig_qdone(&r, id);
        rig_value(&r, r.request);
        rig_change(&r, CHANGE_RERUN, id);
    }
    rig_end(&r);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core client");
    TCase *tc = suite_case(suite, "client");

    tcase_add_test(tc, numbers_are_not_used_again);
    tcase_add_test(tc, its_waiting_calls_go_without_a_word);
    tcase_add_test(tc, its_running_calls_are_stopped);
    tcase_add_test(tc, detached_calls_live_on);
    tcase_add_test(tc, a_set_without_a_name_goes_with_its_client);
    tcase_add_test(tc, but_not_before_its_detached_tasks);
    tcase_add_test(tc, a_set_with_a_name_stays);
    tcase_add_test(tc, cancel_by_the_task);
    tcase_add_test(tc, cancel_by_the_request);
    tcase_add_test(tc, a_detached_task_can_be_cancelled_by_its_user);
    tcase_add_test(tc, a_number_is_of_one_request);
    return suite_run(suite);
}
