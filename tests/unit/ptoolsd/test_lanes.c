/* SPDX-License-Identifier: MIT */
/*
 * lanes: whose a number is, and that no client has more of them kept than it may.
 */
#include <check.h>

#include "daemon/ptoolsd/lanes.h"
#include "tests/support/suite.h"

enum { ALICE = 1, BOB = 2, TASK = 10, OTHER = 11 };

START_TEST(a_number_is_of_its_client_and_its_process)
{
    AUTO(lanes) l = lanes_new();
    uint32_t a = lanes_add(l, ALICE, TASK), b = lanes_add(l, BOB, TASK);

    ck_assert_uint_ne(a, 0);
    ck_assert_uint_ne(a, b);
    ck_assert_uint_eq(lanes_client(l, a, TASK), ALICE);
    ck_assert_uint_eq(lanes_client(l, b, TASK), BOB);
    ck_assert_uint_eq(lanes_client(l, a, OTHER), 0);
    ck_assert_uint_eq(lanes_client(l, a + b, TASK), 0);
    lanes_remove(l, a);
    lanes_remove(l, a);
    ck_assert_uint_eq(lanes_client(l, a, TASK), 0);
    ck_assert_uint_eq(lanes_count(l), 1);
}
END_TEST

START_TEST(the_oldest_of_too_many_is_forgotten)
{
    AUTO(lanes) l = lanes_new();
    uint32_t other = lanes_add(l, ALICE, OTHER), bob = lanes_add(l, BOB, TASK), n[3 * LANES_KEPT];

    for (uint32_t i = 0; i < 3 * LANES_KEPT; i++)
        n[i] = lanes_add(l, ALICE, TASK);
    for (uint32_t i = 0; i < 3 * LANES_KEPT; i++)
        ck_assert_uint_eq(lanes_client(l, n[i], TASK), i < 2 * LANES_KEPT ? 0 : ALICE);
    ck_assert_uint_eq(lanes_client(l, other, OTHER), ALICE);
    ck_assert_uint_eq(lanes_client(l, bob, TASK), BOB);
    ck_assert_uint_eq(lanes_count(l), LANES_KEPT + 2);
}
END_TEST

START_TEST(nothing_is_kept_of_who_is_gone)
{
    AUTO(lanes) l = lanes_new();
    uint32_t at = lanes_add(l, ALICE, TASK), ao = lanes_add(l, ALICE, OTHER), bt = lanes_add(l, BOB, TASK);

    lanes_process_gone(l, TASK);
    ck_assert_uint_eq(lanes_client(l, at, TASK), 0);
    ck_assert_uint_eq(lanes_client(l, bt, TASK), 0);
    ck_assert_uint_eq(lanes_client(l, ao, OTHER), ALICE);
    lanes_client_gone(l, ALICE);
    ck_assert_uint_eq(lanes_count(l), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ptoolsd/lanes");
    TCase *tc = suite_case(suite, "lanes");

    tcase_add_test(tc, a_number_is_of_its_client_and_its_process);
    tcase_add_test(tc, the_oldest_of_too_many_is_forgotten);
    tcase_add_test(tc, nothing_is_kept_of_who_is_gone);
    return suite_run(suite);
}
