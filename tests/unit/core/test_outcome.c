/* SPDX-License-Identifier: MIT */
#include "tests/unit/core/rig.h"

static struct rig r;

static uint64_t running(const char *function)
{
    uint64_t q = rig_call(&r, function);

    rig_assign(&r);
    rig_clear(&r);
    return q;
}

START_TEST(facts_are_passed_on)
{
    const struct msg_failure facts = {
        .message = TEXT("no such file"),
        .phase = TEXT("reading"),
        .log = TEXT("opened\n"),
        .progress = 3,
        .progress_of = 7,
        .run_us = 55,
        .peak_bytes = 4096,
    };
    const struct msg_failure *f;
    uint64_t q;

    rig_limits(&r);
    rig_start(&r, 1);
    q = running("m.f");
    core_worker_done(r.core, r.now, 1, 100, 1, PTOOLS_ERR_FAILED, NULL, &facts, 55, 0, 0, &r.out);
    f = &rig_answer(&r, q)->answer.failure;
    ck_assert_int_eq(f->code, PTOOLS_ERR_FAILED);
    ck_assert_ptr_eq(f->message.data, facts.message.data); /* borrowed, not cut */
    ck_assert_ptr_eq(f->phase.data, facts.phase.data);
    ck_assert_uint_eq(f->log.n, 7);
    ck_assert_uint_eq(f->progress, 3);
    ck_assert_uint_eq(f->progress_of, 7);
    ck_assert_uint_eq(f->run_us, 55);
    ck_assert_uint_eq(f->peak_bytes, 4096);
    ck_assert_int_eq(f->pid, 4001);
    ck_assert_uint_eq(f->task, 100);
    rig_end(&r);
}
END_TEST

START_TEST(failures_are_noted_cancels_are_not)
{
    uint64_t q;

    rig_limits(&r);
    rig_start(&r, 1);
    q = running("m.f");
    rig_failed(&r, q, PTOOLS_ERR_FAILED, "no such file");
    ck_assert_str_eq(rig_note(&r, NOTE_TASK_FAILED)->text, "m.f FAILED: no such file");
    ck_assert_uint_eq(rig_note(&r, NOTE_TASK_FAILED)->worker, 1);
    rig_clear(&r);
    rig_cancel(&r, rig_call(&r, "m.f"));
    ck_assert_ptr_null(rig_note(&r, NOTE_TASK_FAILED));
    rig_call(&r, "m.f");
    core_drain(r.core, r.now, false, &r.out);
    ck_assert_ptr_null(rig_note(&r, NOTE_TASK_FAILED)); /* answered, and one event for all */
    rig_end(&r);
}
END_TEST

START_TEST(a_long_sentence_of_a_module_is_not_cut)
{
    char problem[400];
    const struct report report = {
        .module = (char *)"x", .help = (char *)"", .path = (char *)"", .problem = problem, .code = PTOOLS_ERR_NO_MODULE
    };
    uint64_t q;

    memset(problem, 'p', sizeof problem);
    problem[sizeof problem - 1] = '\0';
    rig_limits(&r);
    rig_start(&r, 1);
    q = rig_call(&r, "x.f");
    core_module_loaded(r.core, r.now, &report, &r.out);
    ck_assert_uint_eq(strlen(rig_failure(&r, q, PTOOLS_ERR_NO_MODULE)), strlen("module x: ") + sizeof problem - 1);
    rig_end(&r);
}
END_TEST

START_TEST(the_value_is_shared_not_copied)
{
    struct blob *value = blob_new("value", 5);
    const struct core_value as_blob = { .blob = value };
    uint64_t q;

    rig_limits(&r);
    rig_start(&r, 1);
    q = running("m.f");
    core_worker_done(r.core, r.now, 1, 100, 1, PTOOLS_OK, &as_blob, NULL, 5, 0, 0, &r.out);
    ck_assert_ptr_eq(rig_answer(&r, q)->payload, value);
    ck_assert_uint_eq(value->refs, 2);
    ck_assert_uint_eq(rig_answer(&r, q)->answer.reply.items_failed, 0);
    rig_clear(&r);
    ck_assert_uint_eq(value->refs, 1);
    blob_free(value);
    rig_end(&r);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core outcome");
    TCase *tc = suite_case(suite, "outcome");

    tcase_add_test(tc, facts_are_passed_on);
    tcase_add_test(tc, failures_are_noted_cancels_are_not);
    tcase_add_test(tc, a_long_sentence_of_a_module_is_not_cut);
    tcase_add_test(tc, the_value_is_shared_not_copied);
    return suite_run(suite);
}
