/* SPDX-License-Identifier: MIT */
/*
 * test_table -- documents as tables: each kind of cell, what is missing, what could command a terminal.
 */
#include <stdlib.h>
#include <string.h>

#include "client/cli/table.h"
#include "tests/support/suite.h"
#include "tests/unit/cli/values.h"

static const struct column columns[] = {
    { "NAME", "name" },
    { "N", "n", CELL_PLAIN, .right = true },
    { "YES", "yes" },
    { "IDS", "ids" },
    { "SIZE", "size", CELL_SIZE, .right = true },
    { "TIME", "time", CELL_TIME, .right = true },
    { "UP", "up", CELL_SECONDS, .right = true },
    { "PROGRESS", "progress", CELL_PROGRESS },
    { "INNER", "outer.inner", .wrap = true },
    { 0 },
};

static void pack_row(ptools_pack *p)
{
    ptools_pack_map(p, 9);
    ptools_pack_str(p, "name");
    ptools_pack_str(p, "first");
    ptools_pack_str(p, "n");
    ptools_pack_u64(p, UINT64_MAX);
    ptools_pack_str(p, "yes");
    ptools_pack_bool(p, true);
    ptools_pack_str(p, "ids");
    ptools_pack_list(p, 3);
    ptools_pack_u64(p, 2);
    ptools_pack_u64(p, 3);
    ptools_pack_u64(p, 4);
    ptools_pack_str(p, "size");
    ptools_pack_u64(p, 1536);
    ptools_pack_str(p, "time");
    ptools_pack_u64(p, 1500);
    ptools_pack_str(p, "up");
    ptools_pack_u64(p, 200);
    ptools_pack_str(p, "progress");
    ptools_pack_list(p, 2);
    ptools_pack_u64(p, 3);
    ptools_pack_u64(p, 10);
    ptools_pack_str(p, "outer");
    ptools_pack_map(p, 1);
    ptools_pack_str(p, "inner");
    ptools_pack_str(p, "deep");
}

static char *print(const ptools_pack *pack, const char *prefix)
{
    struct table *table = table_new(columns);
    struct payload payload;
    struct capture c;
    char *text;

    ck_assert_ptr_nonnull(table);
    table_add(table, prefix, value_of(pack, &payload));
    capture(&c, 1);
    ck_assert_int_eq(table_print(table), 0);
    text = captured(&c);
    table_free(table);
    payload_deinit(&payload);
    return text;
}

START_TEST(every_kind)
{
    ptools_pack *p = ptools_pack_new();
    char *text;

    pack_row(p);
    text = print(p, "m.");
    ck_assert_str_eq(text, "NAME                       N YES IDS   SIZE   TIME     UP PROGRESS INNER\n"
                           "m.first 18446744073709551615 yes 2,3,4 1.5K 1.5 ms 3m 20s 3 of 10  deep\n");
    free(text);
    ptools_pack_free(p);
}
END_TEST

START_TEST(fields)
{
    ptools_pack *p = ptools_pack_new();
    struct payload payload;
    struct capture c;
    char *text;

    pack_row(p);
    capture(&c, 1);
    ck_assert_int_eq(table_print_fields(columns, value_of(p, &payload)), 0);
    text = captured(&c);
    ck_assert_ptr_nonnull(strstr(text, "NAME     first\n"));
    ck_assert_ptr_nonnull(strstr(text, "INNER    deep\n"));
    free(text);
    payload_deinit(&payload);
    ptools_pack_free(p);
}
END_TEST

/* A daemon of another version may have other fields, or other types in them. */
START_TEST(what_is_missing)
{
    ptools_pack *p = ptools_pack_new();
    char *text;

    ptools_pack_map(p, 4);
    ptools_pack_str(p, "name");
    ptools_pack_str(p, "x");
    ptools_pack_str(p, "size");
    ptools_pack_str(p, "large");
    ptools_pack_str(p, "progress");
    ptools_pack_list(p, 2);
    ptools_pack_u64(p, 0);
    ptools_pack_u64(p, 0); /* none was reported */
    ptools_pack_str(p, "outer");
    ptools_pack_nil(p);
    text = print(p, "");
    ck_assert_ptr_nonnull(strstr(text, "\nx"));
    ck_assert_ptr_null(strstr(text, "large"));
    ck_assert_ptr_null(strstr(text, " of "));
    free(text);
    ptools_pack_reset(p);
    ptools_pack_nil(p); /* no document at all */
    text = print(p, "");
    ck_assert_ptr_nonnull(strstr(text, "NAME"));
    free(text);
    ptools_pack_free(p);
}
END_TEST

START_TEST(control_characters)
{
    ptools_pack *p = ptools_pack_new();
    char *text;

    ptools_pack_map(p, 1);
    ptools_pack_str(p, "name");
    ptools_pack_str(p, "a\x1b[2Jb");
    text = print(p, "");
    ck_assert_ptr_null(strchr(text, 0x1b));
    ck_assert_ptr_nonnull(strstr(text, "a\\x1b[2Jb"));
    free(text);
    ptools_pack_free(p);
}
END_TEST

START_TEST(unknown_and_rather)
{
    static const struct column some[] = {
        { "NAME", "name" },
        { "SIZE", "size", CELL_SIZE, .unknown_zero = true },
        { "UP", "up", CELL_SECONDS },
        { "HELP", "help", .rather = "problem" },
        { 0 },
    };
    static const char *const problems[] = { "", "broken" };
    ptools_pack *p = ptools_pack_new();
    struct table *table = table_new(some);
    struct payload payload[2];
    struct capture c;
    char *text;

    for (size_t i = 0; i < 2; i++) {
        ptools_pack_map(p, 5);
        ptools_pack_str(p, "name");
        ptools_pack_str(p, "x");
        ptools_pack_str(p, "size");
        ptools_pack_u64(p, i);
        ptools_pack_str(p, "up");
        ptools_pack_u64(p, i * 59);
        ptools_pack_str(p, "help");
        ptools_pack_str(p, "words");
        ptools_pack_str(p, "problem");
        ptools_pack_str(p, problems[i]);
        table_add(table, "", value_of(p, &payload[i]));
        payload_deinit(&payload[i]);
        ptools_pack_reset(p);
    }
    capture(&c, 1);
    ck_assert_int_eq(table_print(table), 0);
    text = captured(&c);
    ck_assert_str_eq(text, "NAME SIZE UP   HELP\n"
                           "x         0 s  words\n"
                           "x    1B   59 s broken\n");
    free(text);
    table_free(table);
    ptools_pack_free(p);
}
END_TEST

START_TEST(milliseconds_and_counts)
{
    static const struct column some[] = {
        { "ENDS", "ends", CELL_MS, .unknown_zero = true },
        { "ITEMS", "items", CELL_COUNT, .right = true },
        { 0 },
    };
    static const uint64_t ends[] = { 0, 1500, UINT64_MAX };
    ptools_pack *p = ptools_pack_new();
    struct table *table = table_new(some);
    struct payload payload;
    struct capture c;
    char *text;

    for (uint32_t i = 0; i < 3; i++) {
        ptools_pack_map(p, 2);
        ptools_pack_str(p, "ends");
        ptools_pack_u64(p, ends[i]);
        ptools_pack_str(p, "items");
        ptools_pack_list(p, i);
        for (uint32_t k = 0; k < i; k++)
            ptools_pack_map(p, 0);
        table_add(table, "-", value_of(p, &payload));
        payload_deinit(&payload);
        ptools_pack_reset(p);
    }
    ptools_pack_nil(p); /* no list, no number */
    table_add(table, "-", value_of(p, &payload));
    payload_deinit(&payload);
    capture(&c, 1);
    ck_assert_int_eq(table_print(table), 0);
    text = captured(&c);
    ck_assert_str_eq(text, "ENDS   ITEMS\n"
                           "-          0\n"
                           "-1.5 s     1\n"
                           "-          2\n"
                           "-\n");
    free(text);
    table_free(table);
    ptools_pack_free(p);
}
END_TEST

START_TEST(strings)
{
    ptools_pack *p = ptools_pack_new();
    struct payload payload;
    ptools_value v;
    char *text;

    pack_row(p);
    v = value_of(p, &payload);
    text = table_string(v, "name");
    ck_assert_str_eq(text, "first");
    free(text);
    text = table_string(v, "outer.inner");
    ck_assert_str_eq(text, "deep");
    free(text);
    ck_assert_ptr_null(table_string(v, "n"));
    ck_assert_ptr_null(table_string(v, "nothing"));
    payload_deinit(&payload);
    ptools_pack_free(p);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("table");
    TCase *tc = suite_case(suite, "table");

    tcase_add_test(tc, every_kind);
    tcase_add_test(tc, fields);
    tcase_add_test(tc, what_is_missing);
    tcase_add_test(tc, control_characters);
    tcase_add_test(tc, unknown_and_rather);
    tcase_add_test(tc, milliseconds_and_counts);
    tcase_add_test(tc, strings);
    return suite_run(suite);
}
