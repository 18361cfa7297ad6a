/* SPDX-License-Identifier: MIT */
/*
 * test_bar -- the line at each width, the rate, and what is written to a terminal and to a log, and when.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/bar.h"
#include "tests/support/suite.h"

#define NONE BAR_NOT_KNOWN

START_TEST(lines_of_numbers)
{
    static const struct {
        struct bar_numbers n;
        unsigned columns;
        const char *want;
    } rows[] = {
        { { 250, 3, 1000, false, 411, 0 },
          79,
          "250/1000  [=========>                           ]  25%  3 failed  411/s  ETA 2s" },
        { { 250, 0, 1000, false, 0, 0 }, 40, "250/1000  [=====>                 ]  25%" },
        { { 250, 0, 1000, true, 12.34, 0 }, 60, "250/~1000  [======>                 ]  25%  12/s  ETA 1m 01s" },
        { { 0, 0, 1000, false, 0, 0 }, 30, "0/1000  [>              ]   0%" },
        { { 1000, 0, 1000, false, 5, 0 }, 50, "1000/1000  [=================] 100%  5.0/s  ETA 0s" },
        { { 0, 0, 0, false, 0, 0 }, 30, "0/0  [==================] 100%" },
        { { 17, 2, NONE, false, 4100, 3100000 }, 79, "17 done  2 failed  4.1k/s  4s" },
        { { 17, 0, NONE, false, 12e6, 3700e6 }, 79, "17 done  12M/s  1h 01m" },
        { { 250, 3, 1000, false, 411, 0 },
          200,
          "250/1000  [==========>                             ]  25%  3 failed  411/s  ETA 2s" },
        { { 250, 3, 1000, false, 411, 0 }, 52, "250/1000  [==>       ]  25%  3 failed  411/s  ETA 2s" },
        { { 250, 3, 1000, false, 411, 0 }, 51, "250/1000  3 failed  411/s  ETA 2s" },
        /* What does not fit goes: the meter, the rate, the time, the failures; the count is cut at last. */
        { { 250, 3, 1000, false, 411, 0 }, 40, "250/1000  3 failed  411/s  ETA 2s" },
        { { 250, 3, 1000, false, 411, 0 }, 30, "250/1000  3 failed  ETA 2s" },
        { { 250, 3, 1000, false, 411, 0 }, 20, "250/1000  3 failed" },
        { { 250, 3, 1000, false, 411, 0 }, 10, "250/1000" },
        { { 250, 3, 1000, false, 411, 0 }, 5, "250/1" },
        { { 250, 3, 1000, false, 411, 0 }, 0, "" },
    };
    char text[BAR_BYTES];

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        size_t n = bar_line(&rows[i].n, rows[i].columns, text);

        ck_assert_uint_eq(n, strlen(text));
        ck_assert_str_eq(text, rows[i].want);
    }
}
END_TEST

START_TEST(fits_always)
{
    const struct bar_numbers extremes[] = {
        { UINT64_MAX - 1, UINT64_MAX - 1, UINT64_MAX - 1, true, 1e300, UINT64_MAX },
        { 0, 0, UINT64_MAX - 1, false, 1e-300, 0 },
        { UINT64_MAX, UINT64_MAX, NONE, false, 1e18, UINT64_MAX },
        { 7, 0, 3, true, 1, 0 }, /* the guess was too low */
    };
    char text[BAR_BYTES];

    for (size_t i = 0; i < sizeof extremes / sizeof extremes[0]; i++)
        for (unsigned columns = 0; columns < 400; columns++)
            ck_assert_uint_le(bar_line(&extremes[i], columns, text), columns);
}
END_TEST

START_TEST(rates)
{
    double rate = 0;

    ck_assert(bar_rate(0, 10, 0) == 0);
    rate = bar_rate(rate, 100, 1000000);
    ck_assert(fabs(rate - 100) < 1e-9); /* the first is taken as it is */
    ck_assert(bar_rate(rate, 0, 100000) < rate);
    ck_assert(bar_rate(rate, 0, 100000) > 0.9 * rate); /* a moment of rest is no news */
    for (int i = 0; i < 600; i++)
        rate = bar_rate(rate, 20, 100000);
    ck_assert(fabs(rate - 200) < 1); /* a minute is */
}
END_TEST

/* What is written when it is shown at these times, a tenth of a second apart from 0 on. */
START_TEST(on_a_terminal_and_in_a_log)
{
    struct bar_numbers n = { .done = 50, .of = 100 };
    char *text;
    size_t bytes;
    struct bar bar;
    FILE *out = open_memstream(&text, &bytes);

    bar_start(&bar, BAR_DRAWN, out, 1000);
    ck_assert_uint_eq(bar_due_us(&bar), 101000);
    bar_show(&bar, &n, 101000);
    ck_assert_uint_eq(bar_due_us(&bar), 201000);
    bar_clear(&bar);
    bar_clear(&bar);
    fflush(out);
    ck_assert_int_eq(strncmp(text, "\r50/100  [", 10), 0);
    ck_assert_int_eq(strcmp(text + bytes - 21, " 500/s  ETA 1s\033[K\r\033[K"), 0);
    rewind(out);

    bar_start(&bar, BAR_LINES, out, 0);
    ck_assert_uint_eq(bar_due_us(&bar), 5000000);
    bar_show(&bar, &n, 5000000);
    bar_clear(&bar);
    fputc('\0', out);
    fflush(out);
    ck_assert_int_eq(strncmp(text, "50/100  [", 9), 0);
    ck_assert_ptr_nonnull(strstr(text, "10/s  ETA 5s\n"));
    rewind(out);

    bar_start(&bar, BAR_NONE, out, 0);
    ck_assert_uint_eq(bar_due_us(&bar), UINT64_MAX);
    bar_show(&bar, &n, 5000000);
    fputc('\0', out);
    fflush(out);
    ck_assert_str_eq(text, "");
    fclose(out);
    free(text);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("bar");
    TCase *tc = suite_case(suite, "bar");

    tcase_add_test(tc, lines_of_numbers);
    tcase_add_test(tc, fits_always);
    tcase_add_test(tc, rates);
    tcase_add_test(tc, on_a_terminal_and_in_a_log);
    return suite_run(suite);
}
