/* SPDX-License-Identifier: MIT */
/*
 * test_failure -- client/lib/failure.c: facts are copied, texts are never NULL, and nothing is lost that
 * has room without memory.
 */
#include "client/lib/failure.h"

#include <string.h>

#include "tests/support/suite.h"

static const struct text none;

START_TEST(texts_are_never_null)
{
    struct failure f;

    failure_init(&f);
    ck_assert_int_eq(f.facts.code, PTOOLS_OK);
    ck_assert_int_eq(f.facts.exit_status, -1);
    ck_assert_str_eq(f.facts.message, "");
    ck_assert_str_eq(f.facts.phase, "");
    ck_assert_str_eq(f.facts.log, "");
    ck_assert_str_eq(f.facts.backtrace, "");
    failure_set(&f, &(struct msg_failure){ .code = PTOOLS_ERR_FAILED, .message = none });
    ck_assert_str_eq(f.facts.message, ptools_strerror(PTOOLS_ERR_FAILED));
    ck_assert_str_eq(f.facts.log, "");
    failure_deinit(&f);
}
END_TEST

START_TEST(facts_are_copied)
{
    char log[] = "line\n";
    struct failure f, copy;

    failure_init(&f);
    failure_init(&copy);
    failure_set(&f, &(struct msg_failure){ .code = PTOOLS_ERR_FAILED,
                                           .message = { "why\0not", 7 },
                                           .log = { log, 5 },
                                           .exited = true,
                                           .exit_status = 3,
                                           .task = 9 });
    log[0] = 'X';
    ck_assert_str_eq(f.facts.log, "line\n");
    ck_assert_str_eq(f.facts.message, "why"); /* a NUL inside ends it */
    ck_assert_int_eq(f.facts.exit_status, 3);
    failure_copy(&copy, &f);
    failure_copy(&f, &f);
    ck_assert_str_eq(f.facts.log, "line\n");
    failure_deinit(&f);
    ck_assert_str_eq(copy.facts.log, "line\n");
    ck_assert_str_eq(copy.facts.message, "why");
    ck_assert_uint_eq(copy.facts.task, 9);
    failure_set_message(&copy, PTOOLS_ERR_LOST, "gone", true);
    ck_assert_str_eq(copy.facts.message, "gone");
    ck_assert_str_eq(copy.facts.log, "");
    ck_assert_uint_eq(copy.facts.task, 0);
    ck_assert_int_eq(copy.facts.exit_status, -1);
    ck_assert(copy.facts.maybe_executed);
    failure_deinit(&copy);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("lib/failure");
    TCase *tc = suite_case(suite, "failure");

    tcase_add_test(tc, texts_are_never_null);
    tcase_add_test(tc, facts_are_copied);
    return suite_run(suite);
}
