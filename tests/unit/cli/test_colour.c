/* SPDX-License-Identifier: MIT */
/*
 * test_colour -- when there are colours, and which.
 */
#include "client/cli/colour.h"
#include "tests/support/suite.h"

START_TEST(on_a_terminal_alone)
{
    ck_assert(colour_wanted(true, NULL, "xterm"));
    ck_assert(!colour_wanted(false, NULL, "xterm"));
    ck_assert(!colour_wanted(true, NULL, "dumb"));
    ck_assert(!colour_wanted(true, NULL, ""));
    ck_assert(!colour_wanted(true, NULL, NULL));
}
END_TEST

START_TEST(no_color)
{
    ck_assert(!colour_wanted(true, "1", "xterm"));
    ck_assert(!colour_wanted(true, "0", "xterm"));
    ck_assert(colour_wanted(true, "", "xterm")); /* as if it were not set */
}
END_TEST

START_TEST(states)
{
    ck_assert_str_eq(colour_of_state("done"), "green");
    ck_assert_str_eq(colour_of_state("failed"), "red");
    ck_assert_str_eq(colour_of_state("running"), "cyan");
    ck_assert_ptr_null(colour_of_state("waiting"));
    ck_assert_ptr_null(colour_of_state("no state"));
    ck_assert_ptr_null(colour_of_state(""));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("colour");
    TCase *tc = suite_case(suite, "colour");

    tcase_add_test(tc, on_a_terminal_alone);
    tcase_add_test(tc, no_color);
    tcase_add_test(tc, states);
    return suite_run(suite);
}
