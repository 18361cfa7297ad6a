/* SPDX-License-Identifier: MIT */
#include "tests/unit/core/rig.h"

static struct rig r;

static void setup(uint32_t workers)
{
    rig_limits(&r);
    rig_start(&r, workers);
}

static void untouched(void)
{
    ck_assert_uint_eq(core_tasks(r.core), 0);
    ck_assert_uint_eq(r.core->stats.submitted, 0);
    ck_assert_uint_eq(r.core->next_task, 100);
}

START_TEST(one_call_from_end_to_end)
{
    struct action *run;
    uint64_t q;

    setup(1);
    q = rig_call(&r, "m.f");
    ck_assert_uint_eq(r.out.n, 0);
    rig_assign(&r);
    ck_assert_uint_eq(r.out.n, 1);
    run = rig_find(&r, ACT_RUN, 0);
    ck_assert_uint_eq(run->worker, 1);
    ck_assert_uint_eq(run->task, 100);
    ck_assert_uint_eq(run->attempt, 1);
    ck_assert_uint_eq(run->uid, 1000);
    ck_assert_str_eq(run->function, "m.f");
    ck_assert_uint_eq(run->payload->n, 8);
    rig_clear(&r);
    rig_done(&r, q, 1234);
    rig_value(&r, q);
    ck_assert_uint_eq(rig_answer(&r, q)->client, r.client);
    ck_assert_uint_eq(rig_answer(&r, q)->answer.reply.task, 100);
    ck_assert_uint_eq(rig_answer(&r, q)->answer.reply.worker, 1);
    ck_assert_uint_eq(rig_answer(&r, q)->answer.reply.attempt, 1);
    ck_assert_uint_eq(rig_answer(&r, q)->answer.reply.run_us, 1234);
    ck_assert_uint_eq(core_tasks(r.core), 0);
    rig_end(&r);
}
END_TEST

START_TEST(no_arguments_is_no_payload)
{
    const struct msg_call call = { .function = TEXT("m.f") };

    setup(1);
    ck_assert_int_eq(core_submit(r.core, r.now, r.client, 5, &call, NULL, &r.out), 0);
    rig_assign(&r);
    ck_assert_ptr_null(rig_find(&r, ACT_RUN, 0)->payload);
    rig_end(&r);
}
END_TEST

START_TEST(a_request_in_flight_is_not_used_twice)
{
    const struct msg_call call = { .function = TEXT("m.f") };
    uint64_t q;
    uint32_t other;

    setup(1);
    q = rig_call(&r, "m.f");
    ck_assert_int_eq(core_submit(r.core, r.now, r.client, q, &call, NULL, &r.out), 0);
    ck_has(rig_failure(&r, q, PTOOLS_ERR_BAD_REQUEST), "in flight");
    rig_clear(&r);
    ck_assert_uint_eq(core_tasks(r.core), 1);
    ck_assert_int_eq(core_client_add(r.core, 1000, &other), 0);
    ck_assert_int_eq(core_submit(r.core, r.now, other, q, &call, NULL, &r.out), 0); /* its own numbers */
    ck_assert_uint_eq(core_tasks(r.core), 2);
    rig_assign(&r);
    rig_done(&r, q, 1);
    rig_clear(&r);
    ck_assert_int_eq(core_submit(r.core, r.now, r.client, q, &call, NULL, &r.out), 0); /* free again */
    ck_assert_ptr_null(rig_answer(&r, q));
    rig_end(&r);
}
END_TEST

START_TEST(request_zero_is_none)
{
    const struct msg_call call = { .function = TEXT("m.f") };

    setup(1);
    ck_assert_int_eq(core_submit(r.core, r.now, r.client, 0, &call, NULL, &r.out), 0);
    rig_failure(&r, 0, PTOOLS_ERR_BAD_REQUEST);
    untouched();
    rig_end(&r);
}
END_TEST

START_TEST(tasks_of_a_user_are_limited)
{
    struct msg_call call = { .function = TEXT("m.f") };
    uint32_t same, other;
    uint64_t q;

    rig_limits(&r);
    r.limits.user_tasks_max = 3;
    rig_start(&r, 1);
    ck_assert_int_eq(core_client_add(r.core, 1000, &same), 0);
    ck_assert_int_eq(core_client_add(r.core, 1001, &other), 0);
    for (int i = 0; i < 3; i++)
        rig_call(&r, "m.f");
    q = rig_call_with(&r, same, &call);
    ck_assert_str_eq(rig_failure(&r, q, PTOOLS_ERR_LIMIT),
                     "over the limit user_tasks_max: 3 of 3 in use, 1 more asked for");
    q = rig_call_with(&r, other, &call);
    ck_assert_ptr_null(rig_answer(&r, q));
    rig_cancel(&r, 1);
    q = rig_call_with(&r, same, &call);
    ck_assert_ptr_null(rig_answer(&r, q));
    rig_end(&r);
}
END_TEST

START_TEST(bytes_of_a_user_are_limited)
{
    uint64_t q;

    rig_limits(&r);
    r.limits.user_bytes_max = 20;
    rig_start(&r, 1);
    rig_call(&r, "m.f");
    rig_call(&r, "m.f");
    q = rig_call(&r, "m.f");
    ck_assert_str_eq(rig_failure(&r, q, PTOOLS_ERR_LIMIT),
                     "over the limit user_bytes_max: 16 of 20 in use, 8 more asked for");
    ck_assert_uint_eq(core_tasks(r.core), 2);
    r.core->limits.user_bytes_max = 24;
    ck_assert_ptr_null(rig_answer(&r, rig_call(&r, "m.f"))); /* all of it */
    rig_end(&r);
}
END_TEST

START_TEST(one_argument_over_the_limit)
{
    uint64_t q;

    rig_limits(&r);
    r.limits.user_bytes_max = 7;
    rig_start(&r, 1);
    q = rig_call(&r, "m.f");
    ck_assert_str_eq(rig_failure(&r, q, PTOOLS_ERR_TOO_LARGE),
                     "the arguments have 8 bytes, and all of this user at a time may have 7 (user_bytes_max)");
    untouched();
    rig_end(&r);
}
END_TEST

START_TEST(unknown_sets_and_workers)
{
    struct msg_call call = { .function = TEXT("m.f"), .set = TEXT("nowhere") };
    uint64_t q;

    setup(2);
    q = rig_call_with(&r, r.client, &call);
    ck_has(rig_failure(&r, q, PTOOLS_ERR_NO_SET), "nowhere");
    q = rig_call_set(&r, "m.f", 77);
    ck_has(rig_failure(&r, q, PTOOLS_ERR_NO_SET), "77");
    q = rig_call_worker(&r, "m.f", 3);
    ck_has(rig_failure(&r, q, PTOOLS_ERR_NO_WORKER), "3");
    untouched();
    rig_end(&r);
}
END_TEST

START_TEST(the_worker_must_be_in_the_set)
{
    struct msg_call call = { .function = TEXT("m.f"), .worker = 1 };
    uint64_t q;

    setup(2);
    call.set_id = rig_set(&r, SET_FF, NULL, (uint32_t[]){ 2, 0 });
    q = rig_call_with(&r, r.client, &call);
    ck_has(rig_failure(&r, q, PTOOLS_ERR_NO_WORKER), "not in the worker set");
    untouched();
    call.worker = 2;
    q = rig_call_with(&r, r.client, &call);
    rig_assign(&r);
    ck_assert_uint_eq(rig_where(&r, q), 2);
    rig_end(&r);
}
END_TEST

START_TEST(names_that_are_none)
{
    static const char *const names[] = { "m", "m.", ".f", "m.f.g", "m f", "" };

    setup(1);
    for (size_t i = 0; i < ELEMENTS(names); i++)
        rig_failure(&r, rig_call(&r, names[i]), PTOOLS_ERR_BAD_REQUEST);
    untouched();
    rig_end(&r);
}
END_TEST

START_TEST(an_unknown_function_is_refused_at_once)
{
    const char *text;

    setup(1);
    text = rig_failure(&r, rig_call(&r, "m.h"), PTOOLS_ERR_NO_FUNCTION);
    ck_assert_str_eq(text, "module m has no function h; it has f, g, long, short");
    untouched();
    rig_end(&r);
}
END_TEST

START_TEST(detached_is_answered_when_accepted)
{
    const struct msg_call call = { .function = TEXT("m.f"), .detached = true };
    struct action a;
    uint64_t q;

    setup(1);
    q = rig_call_with(&r, r.client, &call);
    ck_assert_uint_eq(rig_answer(&r, q)->answer.reply.task, 100);
    ck_assert_ptr_null(rig_answer(&r, q)->payload);
    rig_assign(&r);
    a = *rig_find(&r, ACT_RUN, 0);
    rig_clear(&r);
    core_worker_done(r.core, r.now, 1, a.task, a.attempt, PTOOLS_OK, NULL, NULL, 10, 0, 0, &r.out);
    ck_assert_uint_eq(r.out.n, 0); /* nobody waits */
    ck_assert_uint_eq(r.core->stats.done, 1);
    rig_end(&r);
}
END_TEST

START_TEST(detached_waits_for_its_module)
{
    static const char *const functions[] = { "f" };
    const struct msg_call good = { .function = TEXT("other.f"), .detached = true };
    const struct msg_call bad = { .function = TEXT("other.g"), .detached = true };
    uint64_t q[2];

    setup(1);
    q[0] = rig_call_with(&r, r.client, &good);
    q[1] = rig_call_with(&r, r.client, &bad);
    ck_assert_ptr_null(rig_answer(&r, q[0])); /* a refusal must be known to the caller */
    rig_loaded(&r, "other", PTOOLS_OK, functions, 1);
    ck_assert_uint_eq(rig_answer(&r, q[0])->answer.reply.task, 100);
    rig_failure(&r, q[1], PTOOLS_ERR_NO_FUNCTION);
    rig_end(&r);
}
END_TEST

START_TEST(a_detached_failure_is_noted)
{
    const struct msg_call call = { .function = TEXT("m.f"), .detached = true };
    static const struct msg_failure facts = { .message = { "no such file", 12 } };

    setup(1);
    rig_call_with(&r, r.client, &call);
    rig_assign(&r);
    rig_clear(&r);
    core_worker_done(r.core, r.now, 1, 100, 1, PTOOLS_ERR_FAILED, NULL, &facts, 10, 0, 0, &r.out);
    ck_assert_uint_eq(rig_count(&r, ACT_ANSWER), 0);
    ck_assert_str_eq(rig_note(&r, NOTE_TASK_FAILED)->text, "m.f FAILED: no such file");
    ck_assert_uint_eq(rig_note(&r, NOTE_TASK_FAILED)->task, 100);
    rig_end(&r);
}
END_TEST

START_TEST(strangers_are_bugs_not_crashes)
{
    const struct msg_call call = { .function = TEXT("m.f") };
    const struct msg_cancel cancel = { .task = 1 };
    const struct msg_set set = { .set_id = 1 };

    setup(1);
    ck_assert_int_eq(core_submit(r.core, r.now, 99, 1, &call, NULL, &r.out), 0);
    core_cancel(r.core, r.now, 99, 1, &cancel, &r.out);
    core_set(r.core, r.now, 99, 1, MSG_SET_DESTROY, &set, &r.out);
    core_client_gone(r.core, r.now, 99, &r.out);
    ck_assert_uint_eq(rig_count(&r, ACT_BUG), 4);
    ck_assert_uint_eq(r.out.n, 4);
    rig_end(&r);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core submit");
    TCase *tc = suite_case(suite, "submit");

    tcase_add_test(tc, one_call_from_end_to_end);
    tcase_add_test(tc, no_arguments_is_no_payload);
    tcase_add_test(tc, a_request_in_flight_is_not_used_twice);
    tcase_add_test(tc, request_zero_is_none);
    tcase_add_test(tc, tasks_of_a_user_are_limited);
    tcase_add_test(tc, bytes_of_a_user_are_limited);
    tcase_add_test(tc, one_argument_over_the_limit);
    tcase_add_test(tc, unknown_sets_and_workers);
    tcase_add_test(tc, the_worker_must_be_in_the_set);
    tcase_add_test(tc, names_that_are_none);
    tcase_add_test(tc, an_unknown_function_is_refused_at_once);
    tcase_add_test(tc, detached_is_answered_when_accepted);
    tcase_add_test(tc, detached_waits_for_its_module);
    tcase_add_test(tc, a_detached_failure_is_noted);
    tcase_add_test(tc, strangers_are_bugs_not_crashes);
    return suite_run(suite);
}
