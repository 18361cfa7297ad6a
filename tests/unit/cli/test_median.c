/* SPDX-License-Identifier: MIT */
/* median -- against a list that is sorted anew each time. */
#include <stdlib.h>

#include "client/cli/median.h"
#include "tests/support/suite.h"

static int by_number(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

START_TEST(few)
{
    static struct median m;

    ck_assert_uint_eq(median_get(&m), 0);
    median_add(&m, 7);
    ck_assert_uint_eq(median_get(&m), 7);
    median_add(&m, 9);
    ck_assert_uint_eq(median_get(&m), 9);
    median_add(&m, 1);
    ck_assert_uint_eq(median_get(&m), 7);
    median_add(&m, UINT64_MAX);
    median_add(&m, 7);
    ck_assert_uint_eq(median_get(&m), 7);
}
END_TEST

START_TEST(of_the_last_so_many)
{
    enum { N = 3 * MEDIAN_OF + 5 };
    static uint64_t all[N], last[MEDIAN_OF];
    static struct median m;
    uint64_t x = 1;

    for (size_t i = 0; i < N; i++) {
        const size_t n = i < MEDIAN_OF ? i + 1 : MEDIAN_OF;

        x = x * UINT64_C(6364136223846793005) + 1442695040888963407;
        all[i] = (x >> 40) % 500; /* many are equal */
        median_add(&m, all[i]);
        if (i % 97 != 0 && i + 3 < N)
            continue;
        for (size_t k = 0; k < n; k++)
            last[k] = all[i + 1 - n + k];
        qsort(last, n, sizeof last[0], by_number);
        ck_assert_uint_eq(median_get(&m), last[n / 2]);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cli median");
    TCase *tc = suite_case(suite, "median");

    tcase_add_test(tc, few);
    tcase_add_test(tc, of_the_last_so_many);
    return suite_run(suite);
}
