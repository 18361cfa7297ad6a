/* SPDX-License-Identifier: MIT */
/*
 * test_times -- points in time, in Berlin, where the clocks are moved.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client/cli/times.h"
#include "tests/support/suite.h"

#define NOW_MS INT64_C(1764192615123) /* 2025-11-26 22:30:15.123 in Berlin */

static void in_berlin(void)
{
    setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1); /* needs no files of time zones */
    tzset();
}

START_TEST(good_times)
{
    static const struct {
        const char *text;
        int64_t s;
    } rows[] = {
        { "@1764192600", 1764192600 },
        { "@1", 1 },
        { "@99999999999", INT64_C(99999999999) },
        { "2025-11-26 22:30", 1764192600 },
        { "2025-11-26T22:30", 1764192600 },
        { "2025-11-26 22:30:15", 1764192615 },
        { "2025-07-01 12:00", 1751364000 }, /* summer */
        { "2024-02-29 00:00", 1709161200 }, /* a leap day */
        { "2038-01-19 04:14:08", INT64_C(2147483648) },
        { "1970-01-02 00:00", 82800 },
        { "22:31", 1764192660 }, /* today */
        { "23:59", 1764197940 },
        { "22:30:16", 1764192616 },
        { "22:30:15", 1764192615 + 86400 }, /* that is now: tomorrow */
        { "22:30", 1764192600 + 86400 },
        { "00:00", 1764198000 },
        { "21:00", 1764187200 + 86400 },
    };
    char why[TIMES_WHY_BYTES] = "";
    int64_t ms;

    in_berlin();
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ck_assert_msg(times_read(rows[i].text, NOW_MS, &ms, why), "%s is refused: %s", rows[i].text, why);
        ck_assert_msg(ms == rows[i].s * 1000, "%s: %" PRId64, rows[i].text, ms);
    }
}
END_TEST

START_TEST(bad_times)
{
    static const char *const rows[] = {
        "",
        "now",
        "tomorrow",
        "@",
        "@-1",
        "@0",
        "@x",
        "@1.5",
        "@999999999999",
        "24:00",
        "12:60",
        "12:30:60",
        "1:30",
        "12:3",
        "12:30 ",
        " 12:30",
        "12:30:1",
        "12",
        "2025-11-26",
        "2025-11-26 ",
        "2025-11-26  22:30",
        "2025-11-26_22:30",
        "2025-13-01 00:00",
        "25-11-26 22:30",
        "2025-11-32 00:00",
        "2025/11/26 22:30",
        "2025-11-26 22:30Z",
        "2025-11-26T",
        "-025-11-26 22:30",
        "\xff",
    };
    int64_t ms = -7;

    in_berlin();
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char why[TIMES_WHY_BYTES] = "";

        ck_assert_msg(!times_read(rows[i], NOW_MS, &ms, why), "%s is taken", rows[i]);
        ck_assert_msg(strstr(why, "YYYY-MM-DD HH:MM[:SS]") != NULL, "%s: %s", rows[i], why);
    }
    ck_assert_int_eq(ms, -7);
}
END_TEST

START_TEST(times_that_are_not_there)
{
    static const char *const rows[] = {
        "2025-02-29 12:00", "2025-04-31 12:00", "2025-00-10 12:00",
        "2025-01-00 12:00", "2025-03-30 02:30", /* the clocks went from two to three */
        "1969-12-31 12:00",
    };
    char why[TIMES_WHY_BYTES] = "";
    int64_t ms = -7;

    in_berlin();
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ck_assert_msg(!times_read(rows[i], NOW_MS, &ms, why), "%s is taken", rows[i]);
        ck_assert_msg(strncmp(why, "there is no ", 12) == 0, "%s: %s", rows[i], why);
    }
    ck_assert_int_eq(ms, -7);
}
END_TEST

START_TEST(a_clock_that_is_moved)
{
    char why[TIMES_WHY_BYTES] = "";
    int64_t ms;

    in_berlin();
    /* On 2025-03-29 at 12:00, half past two comes next on the 31st: on the 30th it is left out. */
    ck_assert(times_read("02:30", INT64_C(1743246000000), &ms, why));
    ck_assert_int_eq(ms, INT64_C(1743381000000));
    ck_assert(times_read("03:30", INT64_C(1743246000000), &ms, why)); /* this one is there */
    ck_assert_int_eq(ms, INT64_C(1743298200000));
}
END_TEST

START_TEST(written)
{
    char text[TIMES_TEXT_BYTES];

    in_berlin();
    ck_assert_str_eq(times_write(NOW_MS, text), "2025-11-26 22:30:15");
    ck_assert_str_eq(times_write(0, text), "");
    ck_assert_int_gt(times_now_ms(), NOW_MS);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("times");
    TCase *tc = suite_case(suite, "times");

    tcase_add_test(tc, good_times);
    tcase_add_test(tc, bad_times);
    tcase_add_test(tc, times_that_are_not_there);
    tcase_add_test(tc, a_clock_that_is_moved);
    tcase_add_test(tc, written);
    return suite_run(suite);
}
