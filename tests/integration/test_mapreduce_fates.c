/* SPDX-License-Identifier: MIT */
/*
 * Reductions of which something fails, against a real daemon: each item is in the value or has failed; an operator that
 * fails ends all; and what takes too long is stopped.
 */
#include <string.h>

#include "tests/integration/pmap_rig.h"

/* -- failures ------------------------------------------------------------------------------------------------- */

enum { N = 300 };

static const char *fate_of(int64_t i)
{
    return i % 50 == 7 || i % 50 == 8 || i == N - 1 ? "fail" : i % 100 == 60 ? "kill" : "value";
}

START_TEST(items_that_fail_are_left_out)
{
    const int64_t delays[] = { 0, 1 };
    unsigned failed = 0;

    up(2);
    for (int64_t i = 0; i < N; i++) {
        bool fails = strcmp(fate_of(i), "value") != 0;

        add(fate_of(i), i);
        failed += fails;
        if (!fails)
            expect(i);
    }
    way(_i % WAYS);
    options.retry_delays_ms = delays;
    options.n_retry_delays = _i < WAYS ? 0 : 2;
    came_to(reduce_zipped("r.text", "r.join"), PTOOLS_ERR_PARTS,
            "16 of 300 items failed and are not in the value, the first of them, 7, with FAILED: no text for 7");
    ck_assert(as_expected());
    ck_assert(reduced->items == N && reduced->failed == failed && !reduced->empty);
    down();
}
END_TEST

START_TEST(a_default_takes_their_place)
{
    PTOOLS_AUTO(ptools_pack) none = ptools_pack_new();

    up(2);
    for (int64_t i = 0; i < N; i++) {
        add(fate_of(i), i);
        expect(strcmp(fate_of(i), "value") == 0 ? i : -1);
    }
    ptools_pack_str(none, "-1,");
    way(_i);
    options.on_error = PTOOLS_ON_ERROR_DEFAULT;
    options.default_value = none;
    came_to(reduce_zipped("r.text", "r.join"), PTOOLS_OK, NULL);
    ck_assert(as_expected());
    ck_assert(reduced->items == N && reduced->failed == 16);
    down();
}
END_TEST

START_TEST(the_first_failure_may_end_it)
{
    up(2);
    for (int64_t i = 0; i < N; i++)
        add(i == 100 ? "fail" : i > 150 ? "hang" : "value", i);
    way(_i);
    options.on_error = PTOOLS_ON_ERROR_STOP;
    came_to(reduce_zipped("r.text", "r.join"), PTOOLS_ERR_FAILED, "item 100: no text for 100");
    ck_assert_ptr_null(reduced);
    down();
}
END_TEST

START_TEST(all_may_fail)
{
    PTOOLS_AUTO(ptools_pack) initial = ptools_pack_new();

    up(2);
    for (int64_t i = 0; i < 50; i++)
        add("fail", i);
    way(_i);
    came_to(reduce_zipped("r.text", "r.join"), PTOOLS_ERR_PARTS, "50 of 50 items failed");
    ck_assert(reduced->empty && reduced->failed == 50 && ptools_value_kind(reduced->value) == PTOOLS_NIL);
    ptools_pack_str(initial, "none");
    options.initial = initial;
    came_to(reduce_zipped("r.text", "r.join"), PTOOLS_ERR_PARTS, "50 of 50 items failed");
    ck_assert(reduced->empty && ptools_value_kind(reduced->value) == PTOOLS_STR);
    down();
}
END_TEST

/* What fails at first is in the value at its place. */
START_TEST(what_fails_is_tried_again)
{
    static const char *const firsts[] = { "fail", "kill" };
    const int64_t delays[] = { 5 };
    char dir[64];

    up(2);
    temp_dir(dir, sizeof dir);
    for (int i = 0; i < 40; i++)
        add_first(dir, i, i % 4 == 1 ? firsts[i % 8 / 4] : "no");
    way(_i);
    options.retry_delays_ms = delays;
    options.n_retry_delays = 1;
    came_to(reduce_zipped("p.first", "p.add"), PTOOLS_OK, NULL);
    ck_assert_int_eq(reduced_number(), 30 + 10 * 2); /* once for each that did not fail, else the second time */
    temp_remove(dir);
    down();
}
END_TEST

/* -- the operator ----------------------------------------------------------------------------------------------- */

START_TEST(an_operator_that_fails_ends_it)
{
    up(2);
    for (int64_t i = 0; i < N; i++)
        add("value", i);
    way(_i);
    came_to(reduce_zipped("r.text", "r.join_fails"), PTOOLS_ERR_FAILED,
            "the reduction by r.join_fails: 77 is not to be joined");
    ck_assert_ptr_null(reduced);
    down();
}
END_TEST

START_TEST(an_operator_that_is_not_there_is_told)
{
    up(2);
    add("value", 1);
    add("value", 2);
    options.batch_size = _i;
    came_to(reduce_zipped("r.text", "r.nothing"), PTOOLS_ERR_NO_FUNCTION, "module r has no function nothing");
    came_to(reduce_zipped("r.text", "nothing.at_all"), PTOOLS_ERR_NO_MODULE, "nothing");
    came_to(reduce_zipped("r.nothing", "r.join"), PTOOLS_ERR_PARTS, "2 of 2 items failed");
    ck_assert(reduced->empty);
    down();
}
END_TEST

START_TEST(a_module_that_cannot_be_loaded_breaks_no_other)
{
    up(2);
    for (int64_t i = 0; i < 20; i++)
        ptools_pack_i64(list, i);
    options.batch_size = 5;
    came_to(reduce_list("p.same", "crash_at_load.x"), PTOOLS_ERR_MODULE_BROKEN,
            "while loading the module of crash_at_load.x");
    options.init = "exit_at_load.x";
    came_to(reduce_list("p.same", "p.add"), PTOOLS_ERR_PARTS, "while loading the module of exit_at_load.x");
    ck_assert_uint_eq(reduced->failed, 20);
    options.init = NULL;
    came_to(reduce_list("p.same", "p.add"), PTOOLS_OK, NULL);
    server_whole(pt, 2);
    down();
}
END_TEST

START_TEST(an_item_that_kills_the_operator_has_failed)
{
    up(2);
    for (int64_t i = 0; i < 200; i++) {
        add("value", i);
        if (i != 77)
            expect(i);
    }
    options.batch_size = 10;
    options.flags = _i ? PTOOLS_REDUCE_DETERMINISTIC : 0;
    came_to(reduce_zipped("r.text", "r.join_kills"), PTOOLS_ERR_PARTS, "1 of 200 items failed");
    ck_has(ptools_error_message(pt), "77, with WORKER_DIED");
    ck_assert(as_expected());
    came_to(reduce_zipped("r.text", "r.join_items"), PTOOLS_ERR_WORKER_DIED, "r.join_items");
    down();
}
END_TEST

/* -- time ----------------------------------------------------------------------------------------------------- */

START_TEST(an_item_that_takes_too_long_is_left_out)
{
    up(2);
    for (int64_t i = 0; i < 60; i++) {
        add(i == 11 || i == 40 ? "hang" : "value", i);
        if (i != 11 && i != 40)
            expect(i);
    }
    way(_i);
    options.item_timeout_ms = 100;
    came_to(reduce_zipped("r.text", "r.join"), PTOOLS_ERR_PARTS, "the first of them, 11, with DEADLINE");
    ck_assert(as_expected());
    ck_assert_uint_eq(reduced->failed, 2);
    down();
}
END_TEST

START_TEST(all_of_it_may_have_a_time)
{
    up(2);
    for (int64_t i = 0; i < 60; i++)
        add(i == 11 ? "hang" : "value", i);
    way(_i);
    options.timeout_ms = 300;
    came_to(reduce_zipped("r.text", "r.join"), PTOOLS_ERR_TIMEOUT, "the reduction was ended after timeout_ms, 300 ms");
    ck_assert_ptr_null(reduced);
    down();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("mapreduce-fates");
    TCase *tc;

    tc = suite_case(suite, "failures");
    tcase_add_loop_test(tc, items_that_fail_are_left_out, 0, 2 * WAYS);
    tcase_add_loop_test(tc, a_default_takes_their_place, 0, WAYS);
    tcase_add_loop_test(tc, the_first_failure_may_end_it, 0, WAYS);
    tcase_add_loop_test(tc, all_may_fail, 0, WAYS);
    tcase_add_loop_test(tc, what_fails_is_tried_again, 0, WAYS);
    tc = suite_case(suite, "operator");
    tcase_add_loop_test(tc, an_operator_that_fails_ends_it, 0, WAYS);
    tcase_add_loop_test(tc, an_operator_that_is_not_there_is_told, 0, 3);
    tcase_add_test(tc, a_module_that_cannot_be_loaded_breaks_no_other);
    tcase_add_loop_test(tc, an_item_that_kills_the_operator_has_failed, 0, 2);
    tc = suite_case(suite, "time");
    tcase_add_loop_test(tc, an_item_that_takes_too_long_is_left_out, 0, WAYS);
    tcase_add_loop_test(tc, all_of_it_may_have_a_time, 0, WAYS);
    return suite_run(suite);
}
