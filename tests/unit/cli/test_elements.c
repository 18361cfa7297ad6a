/* SPDX-License-Identifier: MIT */
/*
 * test_elements -- single elements to text and back, for every type, and sums.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/elements.h"
#include "tests/support/suite.h"

/* What is read and written again must be `again`. */
static const struct {
    ptools_type type;
    const char *text, *again;
} good[] = {
    { PTOOLS_INT8, "-128", "-128" },
    { PTOOLS_INT8, "127", "127" },
    { PTOOLS_INT8, "+5", "5" },
    { PTOOLS_INT8, "-0", "0" },
    { PTOOLS_INT8, "007", "7" },
    { PTOOLS_UINT8, "255", "255" },
    { PTOOLS_UINT8, "0", "0" },
    { PTOOLS_UINT8, "-0", "0" },
    { PTOOLS_INT16, "-32768", "-32768" },
    { PTOOLS_UINT16, "65535", "65535" },
    { PTOOLS_INT32, "-2147483648", "-2147483648" },
    { PTOOLS_INT32, "2147483647", "2147483647" },
    { PTOOLS_INT32, "1.0", "1" },
    { PTOOLS_INT32, "1e3", "1000" },
    { PTOOLS_INT32, "-2.5e1", "-25" },
    { PTOOLS_UINT32, "4294967295", "4294967295" },
    { PTOOLS_INT64, "-9223372036854775808", "-9223372036854775808" },
    { PTOOLS_INT64, "9223372036854775807", "9223372036854775807" },
    { PTOOLS_INT64, "9007199254740992.0", "9007199254740992" },
    { PTOOLS_UINT64, "18446744073709551615", "18446744073709551615" },
    { PTOOLS_FLOAT64, "1", "1" },
    { PTOOLS_FLOAT64, " -0.5\t", "-0.5" },
    { PTOOLS_FLOAT64, ".5", "0.5" },
    { PTOOLS_FLOAT64, "5.", "5" },
    { PTOOLS_FLOAT64, "0.1", "0.1" },
    { PTOOLS_FLOAT64, "1e-3", "0.001" },
    { PTOOLS_FLOAT64, "1E+3", "1000" },
    { PTOOLS_FLOAT64, "0.30000000000000004", "0.30000000000000004" },
    { PTOOLS_FLOAT64, "1.7976931348623157e308", "1.7976931348623157e+308" },
    { PTOOLS_FLOAT64, "5e-324", "4.94065645841247e-324" },
    { PTOOLS_FLOAT64, "0e999", "0" },
    { PTOOLS_FLOAT64, "-0", "-0" },
    { PTOOLS_FLOAT64, "9007199254740992", "9007199254740992" },
    { PTOOLS_FLOAT64, "100000000000000000000", "1e+20" },
    { PTOOLS_FLOAT64, "nan", "nan" },
    { PTOOLS_FLOAT64, "NaN", "nan" },
    { PTOOLS_FLOAT64, "-inf", "-inf" },
    { PTOOLS_FLOAT64, "Infinity", "inf" },
    { PTOOLS_FLOAT32, "0.1", "0.1" },
    { PTOOLS_FLOAT32, "16777216", "16777216" },
    { PTOOLS_FLOAT32, "3.4028235e38", "3.4028235e+38" },
    { PTOOLS_FLOAT32, "inf", "inf" },
    { PTOOLS_COMPLEX64, "1+2i", "1+2i" },
    { PTOOLS_COMPLEX64, "0.1-0.1j", "0.1-0.1i" },
    { PTOOLS_COMPLEX128, "1", "1+0i" },
    { PTOOLS_COMPLEX128, "2i", "0+2i" },
    { PTOOLS_COMPLEX128, "-2.5e-1j", "0-0.25i" },
    { PTOOLS_COMPLEX128, "(1e+0-2e-1j)", "1-0.2i" },
    { PTOOLS_COMPLEX128, "nan+infi", "nan+infi" },
    { PTOOLS_COMPLEX128, "inf-nanj", "inf+nani" },
    { PTOOLS_COMPLEX128, "infi", "0+infi" },
    { PTOOLS_BOOLEAN, "true", "true" },
    { PTOOLS_BOOLEAN, "False", "false" },
    { PTOOLS_BOOLEAN, "1", "true" },
    { PTOOLS_BOOLEAN, "0", "false" },
    { PTOOLS_BOOLEAN, "1.0e+00", "true" },
};

START_TEST(good_ones)
{
    uint8_t element[ELEMENT_BYTES_MAX + 1];
    char why[ELEMENT_WHY_BYTES] = "", text[ELEMENT_TEXT_BYTES];
    const ptools_type type = good[_i].type;

    memset(element, 0xa5, sizeof element);
    ck_assert_msg(element_read(type, good[_i].text, strlen(good[_i].text), element, why), "%s", why);
    ck_assert_uint_eq(element[ptools_type_bytes(type)], 0xa5); /* and not one byte more */
    ck_assert_str_eq(element_text(type, element, text), good[_i].again);
}
END_TEST

static const struct {
    ptools_type type;
    const char *text, *why;
} bad[] = {
    { PTOOLS_INT8, "128", "\"128\" is no int8: allowed are whole numbers from -128 to 127" },
    { PTOOLS_INT8, "-129", "\"-129\" is no int8: allowed are whole numbers from -128 to 127" },
    { PTOOLS_UINT8, "-1", "\"-1\" is no uint8: allowed are whole numbers from 0 to 255" },
    { PTOOLS_UINT16, "65536", "\"65536\" is no uint16: allowed are whole numbers from 0 to 65535" },
    { PTOOLS_INT32, "1.5", "\"1.5\" is no int32: allowed are whole numbers from -2147483648 to 2147483647" },
    { PTOOLS_INT32, "nan", "\"nan\" is no int32: allowed are whole numbers from -2147483648 to 2147483647" },
    { PTOOLS_INT32, "", "\"\" is no int32: allowed are whole numbers from -2147483648 to 2147483647" },
    { PTOOLS_INT32, "0x10", "\"0x10\" is no int32: allowed are whole numbers from -2147483648 to 2147483647" },
    { PTOOLS_INT32, "1 2", "\"1 2\" is no int32: allowed are whole numbers from -2147483648 to 2147483647" },
    { PTOOLS_INT32, "true", "\"true\" is no int32: allowed are whole numbers from -2147483648 to 2147483647" },
    { PTOOLS_INT64, "9223372036854775808",
      "\"9223372036854775808\" is no int64: allowed are whole numbers from -9223372036854775808 to "
      "9223372036854775807" },
    { PTOOLS_INT64, "9007199254740994.0",
      "\"9007199254740994.0\" is no int64: allowed are whole numbers from -9223372036854775808 to "
      "9223372036854775807" },
    { PTOOLS_UINT64, "18446744073709551616",
      "\"18446744073709551616\" is no uint64: allowed are whole numbers from 0 to 18446744073709551615" },
    { PTOOLS_FLOAT64, "x", "\"x\" is no float64: allowed are numbers such as 1, -0.5, 1e-3, nan and inf" },
    { PTOOLS_FLOAT64, "1,5", "\"1,5\" is no float64: allowed are numbers such as 1, -0.5, 1e-3, nan and inf" },
    { PTOOLS_FLOAT64, ".", "\".\" is no float64: allowed are numbers such as 1, -0.5, 1e-3, nan and inf" },
    { PTOOLS_FLOAT64, "-", "\"-\" is no float64: allowed are numbers such as 1, -0.5, 1e-3, nan and inf" },
    { PTOOLS_FLOAT64, "1e", "\"1e\" is no float64: allowed are numbers such as 1, -0.5, 1e-3, nan and inf" },
    { PTOOLS_FLOAT64, "1e+", "\"1e+\" is no float64: allowed are numbers such as 1, -0.5, 1e-3, nan and inf" },
    { PTOOLS_FLOAT64, "nan(7)", "\"nan(7)\" is no float64: allowed are numbers such as 1, -0.5, 1e-3, nan and inf" },
    { PTOOLS_FLOAT64, "0x1p3", "\"0x1p3\" is no float64: allowed are numbers such as 1, -0.5, 1e-3, nan and inf" },
    { PTOOLS_FLOAT64, "1+2i", "\"1+2i\" is no float64: allowed are numbers such as 1, -0.5, 1e-3, nan and inf" },
    { PTOOLS_FLOAT64, "1e999", "1e999 is too large for float64" },
    { PTOOLS_FLOAT64, "-1e-999", "-1e-999 is too small for float64" },
    { PTOOLS_FLOAT64, "9007199254740993", "9007199254740993 is a whole number that is not held exactly by float64" },
    { PTOOLS_FLOAT32, "16777217", "16777217 is a whole number that is not held exactly by float32" },
    { PTOOLS_FLOAT32, "1e39", "1e39 is too large for float32" },
    { PTOOLS_FLOAT32, "1e-50", "1e-50 is too small for float32" },
    { PTOOLS_COMPLEX64, "i", "\"i\" is no complex64: allowed are numbers such as 1, 2i, 1.5-2i, nan and inf" },
    { PTOOLS_COMPLEX64, "1+", "\"1+\" is no complex64: allowed are numbers such as 1, 2i, 1.5-2i, nan and inf" },
    { PTOOLS_COMPLEX64, "1+2", "\"1+2\" is no complex64: allowed are numbers such as 1, 2i, 1.5-2i, nan and inf" },
    { PTOOLS_COMPLEX64, "1 + 2i",
      "\"1 + 2i\" is no complex64: allowed are numbers such as 1, 2i, 1.5-2i, nan and inf" },
    { PTOOLS_COMPLEX64, "1+2ii", "\"1+2ii\" is no complex64: allowed are numbers such as 1, 2i, 1.5-2i, nan and inf" },
    { PTOOLS_COMPLEX64, "(1+2i", "\"(1+2i\" is no complex64: allowed are numbers such as 1, 2i, 1.5-2i, nan and inf" },
    { PTOOLS_COMPLEX64, "()", "\"()\" is no complex64: allowed are numbers such as 1, 2i, 1.5-2i, nan and inf" },
    { PTOOLS_COMPLEX64, "1e39i", "1e39i is too large for complex64" },
    { PTOOLS_BOOLEAN, "2", "\"2\" is no bool: allowed are true, false, 1 and 0" },
    { PTOOLS_BOOLEAN, "yes", "\"yes\" is no bool: allowed are true, false, 1 and 0" },
    { PTOOLS_BOOLEAN, "-1", "\"-1\" is no bool: allowed are true, false, 1 and 0" },
};

START_TEST(bad_ones)
{
    uint8_t element[ELEMENT_BYTES_MAX], untouched[ELEMENT_BYTES_MAX];
    char why[ELEMENT_WHY_BYTES] = "";

    memset(element, 0xa5, sizeof element);
    memset(untouched, 0xa5, sizeof untouched);
    ck_assert_msg(!element_read(bad[_i].type, bad[_i].text, strlen(bad[_i].text), element, why), "%s", bad[_i].text);
    ck_assert_str_eq(why, bad[_i].why);
    ck_assert_int_eq(memcmp(element, untouched, sizeof element), 0);
}
END_TEST

/* Digits without end are refused in a sentence, and those that still are a number are read as one. */
START_TEST(long_ones)
{
    char text[1000], why[ELEMENT_WHY_BYTES] = "";
    double v = 7;

    memset(text, '1', sizeof text);
    ck_assert(!element_read(PTOOLS_FLOAT64, text, sizeof text, &v, why));
    ck_assert(!element_read(PTOOLS_INT64, text, sizeof text, &v, why));
    ck_assert(!element_read(PTOOLS_FLOAT64, text, 350, &v, why));
    ck_assert_double_eq(v, 7);
    text[1] = '.';
    ck_assert(element_read(PTOOLS_FLOAT64, text, 350, &v, why));
    ck_assert_double_eq(v, 10.0 / 9);
    ck_assert(!element_read(PTOOLS_FLOAT64,
                            "1\0"
                            "2",
                            3, &v, why));
}
END_TEST

static const char *sum(ptools_type type, const void *data, uint64_t count, char text[ELEMENT_TEXT_BYTES])
{
    struct sum s;

    elements_sum(type, data, count, &s);
    return sum_text(&s, text);
}

START_TEST(sums_of_whole_numbers)
{
    static const int8_t i8[] = { -128, -128, 127, 1 };
    static const uint8_t u8[] = { 255, 255, 255 };
    static const int16_t i16[] = { -32768, -32768 };
    static const uint16_t u16[] = { 65535, 65535 };
    static const int32_t i32[] = { INT32_MIN, INT32_MIN, INT32_MIN };
    static const uint32_t u32[] = { UINT32_MAX, UINT32_MAX };
    static const int64_t i64[] = { INT64_MIN, INT64_MIN, INT64_MIN, -1 };
    static const uint64_t u64[] = { UINT64_MAX, UINT64_MAX, UINT64_MAX };
    static const uint8_t yes[] = { 1, 0, 1, 1 };
    char text[ELEMENT_TEXT_BYTES];

    ck_assert_str_eq(sum(PTOOLS_INT8, i8, 4, text), "-128");
    ck_assert_str_eq(sum(PTOOLS_INT8, i8, 0, text), "0");
    ck_assert_str_eq(sum(PTOOLS_UINT8, u8, 3, text), "765");
    ck_assert_str_eq(sum(PTOOLS_INT16, i16, 2, text), "-65536");
    ck_assert_str_eq(sum(PTOOLS_UINT16, u16, 2, text), "131070");
    ck_assert_str_eq(sum(PTOOLS_INT32, i32, 3, text), "-6442450944");
    ck_assert_str_eq(sum(PTOOLS_UINT32, u32, 2, text), "8589934590");
    ck_assert_str_eq(sum(PTOOLS_INT64, i64, 4, text), "-27670116110564327425");
    ck_assert_str_eq(sum(PTOOLS_UINT64, u64, 3, text), "55340232221128654845");
    ck_assert_str_eq(sum(PTOOLS_BOOLEAN, yes, 4, text), "3");
}
END_TEST

START_TEST(sums_of_floats)
{
    static const double cancel[] = { 1, 1e100, 1, -1e100 };
    static const double limits[] = { 1, INFINITY, 2 }, both[] = { INFINITY, -INFINITY }, no[] = { 1, NAN };
    static const double complex[] = { 1e100, 1, 1, 2, -1e100, 3 };
    static const float f32[] = { 16777216, 1, 1 };
    char text[ELEMENT_TEXT_BYTES];
    double *tenths = malloc(1000000 * sizeof *tenths);

    ck_assert_ptr_nonnull(tenths);
    for (size_t i = 0; i < 1000000; i++)
        tenths[i] = 0.1;
    ck_assert_str_eq(sum(PTOOLS_FLOAT64, tenths, 1000000, text), "100000");
    free(tenths);
    ck_assert_str_eq(sum(PTOOLS_FLOAT64, cancel, 4, text), "2");
    ck_assert_str_eq(sum(PTOOLS_FLOAT64, limits, 3, text), "inf");
    ck_assert_str_eq(sum(PTOOLS_FLOAT64, both, 2, text), "nan");
    ck_assert_str_eq(sum(PTOOLS_FLOAT64, no, 2, text), "nan");
    ck_assert_str_eq(sum(PTOOLS_COMPLEX128, complex, 3, text), "1+6i");
    ck_assert_str_eq(sum(PTOOLS_FLOAT32, f32, 3, text), "16777218");
    ck_assert_str_eq(sum(PTOOLS_COMPLEX64, f32, 1, text), "16777216+1i");
}
END_TEST

START_TEST(bools)
{
    static const uint8_t data[] = { 0, 1, 1, 2, 3 };
    uint64_t index = 9;

    ck_assert(elements_are_bool(data, 3, &index));
    ck_assert_uint_eq(index, 9);
    ck_assert(!elements_are_bool(data, 5, &index));
    ck_assert_uint_eq(index, 3);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("elements");
    TCase *tc = suite_case(suite, "elements");

    tcase_add_loop_test(tc, good_ones, 0, sizeof good / sizeof good[0]);
    tcase_add_loop_test(tc, bad_ones, 0, sizeof bad / sizeof bad[0]);
    tcase_add_test(tc, long_ones);
    tcase_add_test(tc, sums_of_whole_numbers);
    tcase_add_test(tc, sums_of_floats);
    tcase_add_test(tc, bools);
    return suite_run(suite);
}
