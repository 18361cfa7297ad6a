/* SPDX-License-Identifier: MIT */
/*
 * test_csv -- tables of numbers: what is taken, and the place of what is not.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/csv.h"
#include "tests/support/suite.h"

static const struct {
    const char *text;
    uint64_t rows, columns;
    double elements[6];
} good[] = {
    { "1", 1, 1, { 1 } },
    { "1\n", 1, 1, { 1 } },
    { "1\r\n", 1, 1, { 1 } },
    { "1\n2\n3\n", 3, 1, { 1, 2, 3 } },
    { "1,2,3", 1, 3, { 1, 2, 3 } },
    { "1,2\n3,4\n5,6\n", 3, 2, { 1, 2, 3, 4, 5, 6 } },
    { "1,2\r\n3,4\r\n", 2, 2, { 1, 2, 3, 4 } },
    { " 1 ,\t2\n3 , 4 \n", 2, 2, { 1, 2, 3, 4 } },
    { "1,2\n3,4\n\n \t\r\n\n", 2, 2, { 1, 2, 3, 4 } },
    { "\xef\xbb\xbf-1.5,1e3\n", 1, 2, { -1.5, 1000 } },
    { "1.000000000000000000e+00,2.500000000000000000e-01\n", 1, 2, { 1, 0.25 } }, /* as numpy.savetxt() writes */
};

START_TEST(good_ones)
{
    char why[CSV_WHY_BYTES] = "";
    struct csv csv;

    ck_assert_msg(csv_read(PTOOLS_FLOAT64, good[_i].text, strlen(good[_i].text), &csv, why) == 0, "%s", why);
    ck_assert_uint_eq(csv.rows, good[_i].rows);
    ck_assert_uint_eq(csv.columns, good[_i].columns);
    ck_assert_int_eq(memcmp(csv.elements, good[_i].elements, csv.rows * csv.columns * sizeof(double)), 0);
    free(csv.elements);
}
END_TEST

static const struct {
    ptools_type type;
    const char *text, *why; /* its beginning */
} bad[] = {
    { PTOOLS_FLOAT64, "", "it holds no numbers" },
    { PTOOLS_FLOAT64, "\n\r\n  \t", "it holds no numbers" },
    { PTOOLS_FLOAT64, "\xef\xbb\xbf", "it holds no numbers" },
    { PTOOLS_FLOAT64, "x,y\n1,2\n", "line 1, column 1: \"x\" is no float64" },
    { PTOOLS_FLOAT64, "1,2\n3,four\n", "line 2, column 2: \"four\" is no float64" },
    { PTOOLS_FLOAT64, "1,2\n3\n", "line 2 has 1 columns, and line 1 has 2" },
    { PTOOLS_FLOAT64, "1,2\n3,4,5\n", "line 2 has 3 columns, and line 1 has 2" },
    { PTOOLS_FLOAT64, "1,2\n3,\n", "line 2, column 2: \"\" is no float64" },
    { PTOOLS_FLOAT64, ",2\n", "line 1, column 1: \"\" is no float64" },
    { PTOOLS_FLOAT64, "1\n\n2\n", "line 2, column 1: \"\" is no float64" },
    { PTOOLS_FLOAT64, "\n1\n", "line 1, column 1: \"\" is no float64" },
    { PTOOLS_FLOAT64, "1;2\n", "line 1, column 1: \"1;2\" is no float64" },
    { PTOOLS_FLOAT64, "\"1\",2\n", "line 1, column 1: \"\"1\"\" is no float64" },
    { PTOOLS_UINT8, "1,2\n3,256\n", "line 2, column 2: \"256\" is no uint8: allowed are whole numbers from 0 to 255" },
    { PTOOLS_INT32, "1,2.5\n", "line 1, column 2: \"2.5\" is no int32" },
    { PTOOLS_BOOLEAN, "true,2\n", "line 1, column 2: \"2\" is no bool" },
};

START_TEST(bad_ones)
{
    char why[CSV_WHY_BYTES] = "";
    struct csv csv = { .rows = 7 };

    ck_assert_int_eq(csv_read(bad[_i].type, bad[_i].text, strlen(bad[_i].text), &csv, why), -EINVAL);
    ck_assert_msg(strncmp(why, bad[_i].why, strlen(bad[_i].why)) == 0, "%s", why);
    ck_assert_uint_eq(csv.rows, 7);
}
END_TEST

START_TEST(a_nul)
{
    char why[CSV_WHY_BYTES] = "";
    struct csv csv;

    ck_assert_int_eq(csv_read(PTOOLS_INT8, "1\0", 2, &csv, why), -EINVAL);
    ck_assert_int_eq(csv_read(PTOOLS_INT8,
                              "1,\0"
                              "2\n",
                              5, &csv, why),
                     -EINVAL);
}
END_TEST

/* Around the sizes at which the block grows; every type is as wide as it should be. */
START_TEST(many)
{
    static const uint64_t counts[] = { 255, 256, 257, 512, 513, 100000 };
    char *text, why[CSV_WHY_BYTES] = "";
    size_t n;

    for (size_t k = 0; k < sizeof counts / sizeof counts[0]; k++) {
        FILE *out = open_memstream(&text, &n);
        struct csv csv;

        for (uint64_t i = 0; i < counts[k]; i++)
            fprintf(out, "%u,%u\n", (unsigned)i, (unsigned)(2 * i));
        fclose(out);
        ck_assert_msg(csv_read(PTOOLS_UINT32, text, n, &csv, why) == 0, "%s", why);
        ck_assert_uint_eq(csv.rows, counts[k]);
        for (uint64_t i = 0; i < counts[k]; i++) {
            ck_assert_uint_eq(((uint32_t *)csv.elements)[2 * i], i);
            ck_assert_uint_eq(((uint32_t *)csv.elements)[2 * i + 1], 2 * i);
        }
        free(csv.elements);
        free(text);
    }
}
END_TEST

START_TEST(complex_ones)
{
    static const float want[] = { 1, 2, 0, -1, 3, 0, 0.5f, -0.25f };
    const char *text = "1+2i,-1i\n3,(0.5-0.25j)\n";
    char why[CSV_WHY_BYTES] = "";
    struct csv csv;

    ck_assert_msg(csv_read(PTOOLS_COMPLEX64, text, strlen(text), &csv, why) == 0, "%s", why);
    ck_assert_int_eq(memcmp(csv.elements, want, sizeof want), 0);
    free(csv.elements);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("csv");
    TCase *tc = suite_case(suite, "csv");

    tcase_add_loop_test(tc, good_ones, 0, sizeof good / sizeof good[0]);
    tcase_add_loop_test(tc, bad_ones, 0, sizeof bad / sizeof bad[0]);
    tcase_add_test(tc, a_nul);
    tcase_add_test(tc, many);
    tcase_add_test(tc, complex_ones);
    return suite_run(suite);
}
