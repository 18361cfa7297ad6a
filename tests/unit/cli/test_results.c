/* SPDX-License-Identifier: MIT */
/*
 * test_results -- values as names of directories: each value has a name of its own, and each name is one.
 */
#include <string.h>

#include "client/cli/results.h"
#include "tests/support/suite.h"

static const char *name(const char *value, size_t n)
{
    static struct texts t;

    texts_reset(&t);
    results_name(value, n, &t);
    texts_end(&t);
    return texts_get(&t, 0, &n);
}

START_TEST(names)
{
    static const struct {
        const char *value, *want;
    } rows[] = { { "a", "a" },       { "a/b", "a\\_b" }, { "a\\b\tc", "a\\\\b\\tc" },
                 { "", "\\e" },      { ".", "\\." },     { "..", "\\.." },
                 { "...", "..." },   { ".x", ".x" },     { "a b\n", "a b\n" },
                 { "\\e", "\\\\e" }, { "\\_", "\\\\_" } };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        ck_assert_str_eq(name(rows[i].value, strlen(rows[i].value)), rows[i].want);
    ck_assert_str_eq(name("a\0b", 3), "a\\0b");
}
END_TEST

START_TEST(long_names)
{
    char value[1000], first[1000];

    memset(value, 'x', sizeof value);
    ck_assert_uint_eq(strlen(name(value, 240)), 240);
    ck_assert_uint_le(strlen(strcpy(first, name(value, 999))), 255);
    value[998] = 'y';
    ck_assert_str_ne(name(value, 999), first);
    memset(value, '/', sizeof value);
    ck_assert_uint_le(strlen(name(value, 240)), 255);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("results");
    TCase *tc = suite_case(suite, "results");

    tcase_add_test(tc, names);
    tcase_add_test(tc, long_names);
    return suite_run(suite);
}
