/* SPDX-License-Identifier: MIT */
/*
 * suite -- what each Check program of tests/unit ends with: run the suite, print TAP for Meson, and
 * fail if a test leaves a descriptor open that it did not find open.
 */
#ifndef TESTS_SUITE_H
#define TESTS_SUITE_H

#include <check.h>

/* A test case with the descriptor check as its fixture; add tests to it with tcase_add_test(). */
TCase *suite_case(Suite *suite, const char *name);
/* Runs it; the value is main()'s. */
int suite_run(Suite *suite);

/* As ck_assert_msg(), in loops of very many rounds: that one makes a system call each time that it holds. */
#define suite_holds(condition, ...)                                                                                   \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            ck_abort_msg(__VA_ARGS__);                                                                                 \
    } while (0)

#endif
