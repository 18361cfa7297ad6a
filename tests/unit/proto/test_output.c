/* SPDX-License-Identifier: MIT */
/* output -- names of files of output: each day has its own directory, and only names that are ours are taken for them. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "proto/output.h"
#include "proto/util.h"
#include "tests/support/suite.h"

static const char *path_of(uint64_t ms, int64_t item)
{
    static char path[128];

    ck_assert_uint_eq(output_path(path, sizeof path, "/d", ms, 4711, 2, item), strlen(path));
    return path;
}

START_TEST(paths)
{
    char small[8];

    ck_assert_str_eq(path_of(0, -1), "/d/1970-01-01/4711-2");
    ck_assert_str_eq(path_of(UINT64_C(951868799999), 0), "/d/2000-02-29/4711-2.0");
    ck_assert_str_eq(path_of(UINT64_C(951868800000), 17), "/d/2000-03-01/4711-2.17");
    ck_assert_uint_eq(output_path(small, sizeof small, "/d", 0, 1, 1, -1), 0);
    ck_assert_uint_eq(output_path(small, sizeof small, "/d", UINT64_MAX, 1, 1, -1), 0);
}
END_TEST

/* Every day from 1970 to 2200, as the C library has them. */
START_TEST(every_day)
{
    char expected[128];

    for (time_t day = 0; day < 365 * 231; day++) {
        const time_t s = day * 86400 + 86399;
        struct tm tm;

        gmtime_r(&s, &tm);
        strftime(expected, sizeof expected, "/d/%Y-%m-%d/4711-2", &tm);
        suite_holds(strcmp(path_of((uint64_t)s * 1000, -1), expected) == 0, "%s", expected);
    }
}
END_TEST

START_TEST(names)
{
    static const struct {
        const char *name;
        bool good, item;
    } of[] = {
        { "4711-2.out", true, false },     { "4711-2.err", true, false },  { "4711-2.out.old", true, false },
        { "4711-2.5.err.old", true, true }, { "4711-2.5.out", true, true }, { "4711-2", false, false },
        { "4711-2.txt", false, false },    { "4711.out", false, false },   { "-2.out", false, false },
        { "x4711-2.out", false, false },   { "4711-2.out.gz", false, false }, { "4711-2.5.6.out", false, false },
        { "", false, false },              { "4711-.out", false, false },
    };
    uint64_t task;
    bool item;

    for (size_t i = 0; i < ELEMENTS(of); i++) {
        task = 0;
        ck_assert_msg(output_is_file(of[i].name, &task, &item) == of[i].good, "%s", of[i].name);
        ck_assert(!of[i].good || (task == 4711 && item == of[i].item));
    }
    ck_assert(output_is_day("2026-11-27"));
    ck_assert(!output_is_day("2026-11-2"));
    ck_assert(!output_is_day("2026-11-275"));
    ck_assert(!output_is_day("2026/11/27"));
    ck_assert(!output_is_day(".."));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("output");
    TCase *t = suite_case(s, "output");

    tcase_add_test(t, paths);
    tcase_add_test(t, every_day);
    tcase_add_test(t, names);
    suite_add_tcase(s, t);
    return suite_run(s);
}
