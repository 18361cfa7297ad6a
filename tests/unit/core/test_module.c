/* SPDX-License-Identifier: MIT */
#include <ptools/module.h>

#include "tests/unit/core/rig_queue.h"

static struct rig r;
static const char *const f_and_g[] = { "f", "g" };

static void setup(uint32_t workers)
{
    rig_limits(&r);
    rig_start(&r, workers);
}

START_TEST(asked_for_once_and_released_in_order)
{
    uint64_t q[3];

    setup(3);
    for (int i = 0; i < 3; i++)
        q[i] = rig_call(&r, i == 1 ? "x.g" : "x.f");
    ck_assert_uint_eq(rig_count(&r, ACT_LOAD), 1);
    ck_assert_str_eq(rig_find(&r, ACT_LOAD, 0)->function, "x");
    rig_assign(&r);
    ck_assert_uint_eq(rig_count(&r, ACT_RUN), 0);
    rig_loaded(&r, "x", PTOOLS_OK, f_and_g, 2);
    ck_has(rig_note(&r, NOTE_MODULE_LOADED)->text, "module x: 2 functions");
    rig_assign(&r);
    for (size_t i = 0; i < 3; i++) {
        ck_assert_uint_eq(rig_find(&r, ACT_RUN, i)->task, 100 + i);
        ck_assert_uint_eq(rig_where(&r, q[i]), i + 1);
    }
    ck_assert_str_eq(rig_find(&r, ACT_RUN, 1)->function, "x.g");
    rig_end(&r);
}
END_TEST

START_TEST(no_such_function)
{
    static const char *const many[] = { "a", "b", "c", "d", "e", "f", "g", "h", "i", "j" };
    uint64_t q;

    setup(1);
    q = rig_call(&r, "x.z");
    rig_loaded(&r, "x", PTOOLS_OK, many, 10);
    ck_assert_str_eq(rig_failure(&r, q, PTOOLS_ERR_NO_FUNCTION),
                     "module x has no function z; it has a, b, c, d, e, f, g, h and 2 more");
    rig_loaded(&r, "empty", PTOOLS_OK, NULL, 0);
    ck_assert_str_eq(rig_failure(&r, rig_call(&r, "empty.z"), PTOOLS_ERR_NO_FUNCTION),
                     "module empty has no function z; it has none");
    rig_end(&r);
}
END_TEST

START_TEST(missing_is_asked_for_again)
{
    uint64_t q;

    setup(1);
    for (int i = 0; i < 3; i++) {
        q = rig_call(&r, "x.f");
        ck_assert_uint_eq(rig_count(&r, ACT_LOAD), 1);
        rig_loaded(&r, "x", PTOOLS_ERR_NO_MODULE, NULL, 0);
        ck_assert_str_eq(rig_failure(&r, q, PTOOLS_ERR_NO_MODULE), "module x: it is not as it should be");
        ck_assert(!rig_answer(&r, q)->answer.failure.maybe_executed);
        rig_clear(&r);
    }
    q = rig_call(&r, "x.f");
    rig_loaded(&r, "x", PTOOLS_OK, f_and_g, 2);
    ck_assert_ptr_null(rig_answer(&r, q));
    rig_end(&r);
}
END_TEST

START_TEST(broken_fails_at_once_until_it_is_tried_again)
{
    uint64_t q, pause = 1000;

    rig_limits(&r);
    r.limits.module_retry_us = 1000;
    r.limits.backoff_max_us = 3000;
    rig_start(&r, 1);
    q = rig_call(&r, "x.f");
    for (int i = 0; i < 4; i++) {
        rig_loaded(&r, "x", PTOOLS_ERR_MODULE_BROKEN, NULL, 0);
        rig_failure(&r, q, PTOOLS_ERR_MODULE_BROKEN);
        ck_has(rig_note(&r, NOTE_MODULE_BROKEN)->text, "module x: it is not");
        rig_clear(&r);
        r.now += pause - 1;
        q = rig_call(&r, "x.f");
        ck_has(rig_failure(&r, q, PTOOLS_ERR_MODULE_BROKEN), "it is not as it should be");
        ck_assert_uint_eq(rig_count(&r, ACT_LOAD), 0);
        r.now += 1;
        q = rig_call(&r, "x.f");
        ck_assert_uint_eq(rig_count(&r, ACT_LOAD), 1);
        ck_assert_ptr_null(rig_answer(&r, q));
        pause = MIN(pause * 2, 3000);
    }
    rig_end(&r);
}
END_TEST

START_TEST(held_tasks_can_be_cancelled)
{
    uint64_t q[2];

    setup(1);
    q[0] = rig_call(&r, "x.f");
    q[1] = rig_call(&r, "x.f");
    rig_cancel(&r, q[0]);
    rig_failure(&r, q[0], PTOOLS_ERR_CANCELLED);
    rig_loaded(&r, "x", PTOOLS_OK, f_and_g, 2);
    rig_assign(&r);
    ck_assert_uint_eq(rig_where(&r, q[1]), 1);
    ck_assert_uint_eq(rig_count(&r, ACT_RUN), 1);
    rig_end(&r);
}
END_TEST

static void dies_loading(uint32_t worker, uint64_t begun)
{
    const struct msg_failure facts = { .code = PTOOLS_ERR_MODULE_BROKEN, .signal = 11 };
    uint64_t id = begun ? rig_task(&r, begun)->id : 0;

    core_worker_gone(r.core, r.now, worker, &facts, &id, begun ? 1 : 0, &r.out);
    rig_check(&r);
}

START_TEST(a_worker_that_dies_loading_it)
{
    uint64_t begun, waits, other;

    setup(1);
    rig_loaded(&r, "x", PTOOLS_OK, f_and_g, 2);
    begun = rig_call(&r, "x.f");
    waits = rig_call(&r, "x.g");
    other = rig_call(&r, "m.f");
    rig_assign(&r);
    rig_clear(&r);
    dies_loading(1, begun);
    ck_assert_str_eq(
        rig_failure(&r, begun, PTOOLS_ERR_MODULE_BROKEN),
        "worker 1 (pid 4001) was killed by signal 11 (Segmentation fault) while loading the module of x.f");
    ck_assert(!rig_answer(&r, begun)->answer.failure.maybe_executed); /* the function was never entered */
    ck_assert_int_eq(rig_answer(&r, begun)->answer.failure.signal, 11);
    ck_assert_str_eq(
        rig_failure(&r, waits, PTOOLS_ERR_MODULE_BROKEN),
        "module x: worker 1 (pid 4001) was killed by signal 11 (Segmentation fault) while loading it"); /* it would be
                                                                                                           next */
    ck_assert_ptr_null(rig_answer(&r, other));
    ck_assert_uint_eq(rig_count(&r, ACT_SPAWN), 1);
    rig_failure(&r, rig_call(&r, "x.f"), PTOOLS_ERR_MODULE_BROKEN);
    rig_end(&r);
}
END_TEST

/* A batch may load others than that of its function, and whoever wrote these has no say in whether that is broken. */
START_TEST(a_worker_that_dies_loading_another_of_a_batch)
{
    static const struct {
        const char *loading, *function;
        bool its_own;
    } rows[] = { { "o", "o.op", false }, { "i", "i.init", false }, { "m", "m.f", true },
                 { "x", "m.f", true },   { "o.op", "m.f", true },  { "", "m.f", true } };
    const struct msg_call call = {
        .function = { "m.f", 3 }, .items = 2, .reduce = { "o.op", 4 }, .init = { "i.init", 6 }
    };
    struct msg_failure facts = { .code = PTOOLS_ERR_MODULE_BROKEN, .signal = 11 };
    uint64_t q, id;

    setup(1);
    rig_loaded(&r, "x", PTOOLS_OK, f_and_g, 2);
    q = rig_call_with(&r, r.client, &call);
    rig_assign(&r);
    rig_clear(&r);
    id = rig_task(&r, q)->id;
    facts.loading = (struct text){ rows[_i].loading, strlen(rows[_i].loading) };
    core_worker_gone(r.core, r.now, 1, &facts, &id, 1, &r.out);
    rig_check(&r);
    ck_has(rig_failure(&r, q, PTOOLS_ERR_MODULE_BROKEN), "while loading the module of ");
    ck_has(rig_failure(&r, q, PTOOLS_ERR_MODULE_BROKEN), rows[_i].function);
    q = rig_call(&r, "m.f");
    ck_assert_int_eq(rig_answer(&r, q) != NULL, rows[_i].its_own);
    ck_assert_ptr_null(rig_answer(&r, rig_call(&r, "x.f")));
    rig_end(&r);
}
END_TEST

START_TEST(the_one_it_was_about_to_begin_is_blamed)
{
    uint64_t q;

    setup(1);
    rig_loaded(&r, "x", PTOOLS_OK, f_and_g, 2);
    q = rig_call(&r, "x.f");
    rig_assign(&r);
    dies_loading(1, 0);
    rig_failure(&r, q, PTOOLS_ERR_MODULE_BROKEN);
    rig_end(&r);
}
END_TEST

START_TEST(only_a_task_that_was_done_makes_it_well)
{
    setup(1);
    rig_loaded(&r, "x", PTOOLS_OK, f_and_g, 2);
    for (int i = 0; i < 3; i++) { /* the template can load it, workers cannot */
        uint64_t q = rig_call(&r, "x.f");

        if (i > 0) {
            ck_assert_uint_eq(rig_count(&r, ACT_LOAD), 1);
            rig_loaded(&r, "x", PTOOLS_OK, f_and_g, 2);
        }
        rig_assign(&r);
        ck_assert_uint_eq(rig_where(&r, q), 1);
        dies_loading(1, q);
        ck_assert_uint_eq(module_find(r.core, "x", 1)->retry_us, r.limits.module_retry_us << i);
        rig_ready(&r, 1);
        r.now += r.limits.module_retry_us << i;
        rig_clear(&r);
    }
    rig_call(&r, "x.f");
    rig_loaded(&r, "x", PTOOLS_OK, f_and_g, 2);
    rig_assign(&r);
    rig_done(&r, r.request, 10);
    ck_assert_uint_eq(module_find(r.core, "x", 1)->retry_us, 0);
    rig_end(&r);
}
END_TEST

START_TEST(loaded_again_with_other_functions)
{
    static const char *const only_g[] = { "g" };
    const char *name;
    uint64_t f, g, run;

    setup(1);
    rig_loaded(&r, "x", PTOOLS_OK, f_and_g, 2);
    run = rig_call(&r, "x.f");
    rig_assign(&r);
    name = rig_find(&r, ACT_RUN, 0)->function;
    f = rig_call(&r, "x.f");
    g = rig_call(&r, "x.g");
    rig_loaded(&r, "x", PTOOLS_OK, only_g, 1);
    rig_failure(&r, f, PTOOLS_ERR_NO_FUNCTION);
    ck_assert_ptr_null(rig_answer(&r, g));
    rig_failure(&r, rig_call(&r, "x.f"), PTOOLS_ERR_NO_FUNCTION);
    ck_assert_str_eq(name, "x.f"); /* the names in actions stay */
    rig_done(&r, run, 10);
    rig_value(&r, run);
    rig_loaded(&r, "x", PTOOLS_OK, f_and_g, 2);
    ck_assert_ptr_null(rig_answer(&r, rig_call(&r, "x.f")));
    rig_end(&r);
}
END_TEST

START_TEST(what_comes_back_finds_its_module_broken)
{
    uint64_t q[2];

    setup(2);
    rig_loaded(&r, "x", PTOOLS_OK, f_and_g, 2);
    for (int i = 0; i < 8; i++)
        function_ran(function_find(r.core, "x.f", 3), 1);
    for (int i = 0; i < 2; i++)
        q[i] = rig_call_worker(&r, "x.f", 1);
    rig_assign(&r);
    dies_loading(1, q[0]);
    rig_failure(&r, q[0], PTOOLS_ERR_MODULE_BROKEN);
    rig_failure(&r, q[1], PTOOLS_ERR_MODULE_BROKEN);
    rig_end(&r);
}
END_TEST

START_TEST(not_more_than_allowed)
{
    uint64_t q;

    rig_limits(&r);
    r.limits.modules_max = 3; /* m is one */
    rig_start(&r, 1);
    rig_call(&r, "a.f");
    rig_call(&r, "b.f");
    q = rig_call(&r, "c.f");
    ck_assert_str_eq(rig_failure(&r, q, PTOOLS_ERR_LIMIT),
                     "over the limit modules_max: 3 of 3 in use, 1 more asked for");
    rig_loaded(&r, "d", PTOOLS_OK, f_and_g, 2);
    ck_has(rig_note(&r, NOTE_MODULE_BROKEN)->text, "modules_max");
    rig_loaded(&r, "a", PTOOLS_ERR_NO_MODULE, NULL, 0);
    rig_clear(&r);
    q = rig_call(&r, "c.f"); /* one that is missing makes room */
    ck_assert_ptr_null(rig_answer(&r, q));
    ck_assert_ptr_null(module_find(r.core, "a", 1));
    ck_assert_str_eq(rig_find(&r, ACT_LOAD, 0)->function, "c");
    rig_end(&r);
}
END_TEST

START_TEST(preloaded)
{
    setup(1);
    rig_loaded(&r, "x", PTOOLS_OK, f_and_g, 2); /* nobody asked the core */
    rig_call(&r, "x.f");
    ck_assert_uint_eq(rig_count(&r, ACT_LOAD), 0);
    rig_end(&r);
}
END_TEST

START_TEST(the_usual_time_follows)
{
    struct function *f;

    setup(1);
    f = function_find(r.core, "m.f", 3);
    ck_assert_uint_eq(function_usual_us(f), CORE_NEVER);
    for (int i = 0; i < 8; i++)
        function_ran(f, 100);
    ck_assert_uint_eq(function_usual_us(f), 100);
    function_ran(f, 100000);
    ck_assert_uint_gt(function_usual_us(f), 10000); /* one long run is remembered for a while */
    for (int i = 0; i < 60; i++)
        function_ran(f, 100);
    ck_assert_uint_lt(function_usual_us(f), 200);
    function_ran(f, UINT64_MAX); /* a worker may say anything */
    for (int i = 0; i < 400; i++)
        function_ran(f, 0);
    ck_assert_uint_lt(function_usual_us(f), 10);
    rig_end(&r);
}
END_TEST

/* What one dies of that began with it before says nothing about what the template finds now. */
START_TEST(one_that_is_looked_at_anew_is_not_broken_meanwhile)
{
    uint64_t q[2], next;

    setup(2);
    rig_loaded(&r, "x", PTOOLS_OK, f_and_g, 2);
    for (int i = 0; i < 2; i++)
        q[i] = rig_call(&r, "x.f");
    rig_assign(&r);
    dies_loading(1, q[0]);
    r.now += r.limits.module_retry_us;
    next = rig_call(&r, "x.f");
    ck_assert_uint_eq(rig_count(&r, ACT_LOAD), 1);
    dies_loading(2, q[1]);
    ck_assert_ptr_null(rig_answer(&r, next));
    rig_loaded(&r, "x", PTOOLS_OK, f_and_g, 2);
    ck_assert_int_eq(rig_task(&r, next)->state, TASK_WAITING);
    rig_end(&r);
}
END_TEST

/* A task is queued before anybody knows what its function is. */
START_TEST(what_is_queued_learns_that_its_function_is_idempotent)
{
    for (uint32_t flags = 0; flags <= PTOOLS_FN_IDEMPOTENT; flags += PTOOLS_FN_IDEMPOTENT) {
        struct report_function f = { (char *)"f", (char *)"help", flags };
        const struct report report = { .module = (char *)"x",
                                       .help = (char *)"",
                                       .path = (char *)"",
                                       .problem = (char *)"",
                                       .n = 1,
                                       .functions = &f };
        uint64_t request;

        rig_limits(&r);
        rig_queue_start(&r, 1);
        request = rig_queue(&r, SUBMIT_OF("x.f", .attempts = 2));
        core_module_loaded(r.core, r.now, &report, &r.out);
        rig_check(&r);
        if (flags)
            rig_queue_id(&r, request);
        else
            ck_has(rig_failure(&r, request, PTOOLS_ERR_INVALID), "needs a function that is idempotent");
        rig_end(&r);
    }
}
END_TEST

START_TEST(one_that_is_broken_is_tried_at_once_when_all_are_loaded_anew)
{
    uint64_t q;

    setup(1);
    rig_loaded(&r, "x", PTOOLS_OK, f_and_g, 2);
    q = rig_call(&r, "x.f");
    rig_assign(&r);
    dies_loading(1, q);
    rig_failure(&r, rig_call(&r, "x.f"), PTOOLS_ERR_MODULE_BROKEN);
    core_workers_renew(r.core, r.now, &r.out);
    rig_check(&r);
    rig_clear(&r);
    q = rig_call(&r, "x.f");
    ck_assert_uint_eq(rig_count(&r, ACT_LOAD), 1);
    ck_assert_ptr_null(rig_answer(&r, q));
    rig_end(&r);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core module");
    TCase *tc = suite_case(suite, "module");

    tcase_add_test(tc, asked_for_once_and_released_in_order);
    tcase_add_test(tc, no_such_function);
    tcase_add_test(tc, missing_is_asked_for_again);
    tcase_add_test(tc, broken_fails_at_once_until_it_is_tried_again);
    tcase_add_test(tc, held_tasks_can_be_cancelled);
    tcase_add_test(tc, a_worker_that_dies_loading_it);
    tcase_add_loop_test(tc, a_worker_that_dies_loading_another_of_a_batch, 0, 6);
    tcase_add_test(tc, the_one_it_was_about_to_begin_is_blamed);
    tcase_add_test(tc, only_a_task_that_was_done_makes_it_well);
    tcase_add_test(tc, loaded_again_with_other_functions);
    tcase_add_test(tc, what_comes_back_finds_its_module_broken);
    tcase_add_test(tc, not_more_than_allowed);
    tcase_add_test(tc, preloaded);
    tcase_add_test(tc, one_that_is_looked_at_anew_is_not_broken_meanwhile);
    tcase_add_test(tc, what_is_queued_learns_that_its_function_is_idempotent);
    tcase_add_test(tc, one_that_is_broken_is_tried_at_once_when_all_are_loaded_anew);
    tcase_add_test(tc, the_usual_time_follows);
    return suite_run(suite);
}
