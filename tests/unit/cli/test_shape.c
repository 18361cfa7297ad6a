/* SPDX-License-Identifier: MIT */
/*
 * test_shape -- types, dimensions and orders as they are written, and what follows from them.
 */
#include <string.h>

#include "client/cli/shape.h"
#include "tests/support/suite.h"

START_TEST(dimensions)
{
    static const char *const bad[] = { "",     ",",
                                       "1,",   ",1",
                                       "1,,2", "0",
                                       "1,0",  "-1",
                                       "+1",   "1x2",
                                       "1 2",  "1, 2",
                                       "a",    "1.0",
                                       "1;2",  "9223372036854775808",
                                       "1e3",  "99999999999999999999999999999999999999" };
    struct shape s = { 0 };
    char why[SHAPE_WHY_BYTES] = "", text[SHAPE_TEXT_BYTES];

    ck_assert(shape_read_dims("1000", &s, why) && s.ndims == 1 && s.dims[0] == 1000);
    ck_assert(shape_read_dims("1,2,3,4,5,6,7,8", &s, why) && s.ndims == 8);
    s.type = PTOOLS_UINT8;
    ck_assert_str_eq(shape_text(&s, text), "uint8[1,2,3,4,5,6,7,8]");
    ck_assert(shape_read_dims("9223372036854775807", &s, why) && s.dims[0] == INT64_MAX);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ck_assert_msg(!shape_read_dims(bad[i], &s, why), "%s is taken", bad[i]);
        ck_assert_msg(strstr(why, "1 to 8 whole numbers, each at least 1, with commas between") != NULL, "%s", why);
    }
    ck_assert(!shape_read_dims("1,2,3,4,5,6,7,8,9", &s, why));
    ck_assert_str_eq(why, "the dimensions \"1,2,3,4,5,6,7,8,9\" are more than 8");
    ck_assert(s.ndims == 1 && s.dims[0] == INT64_MAX);
}
END_TEST

START_TEST(types)
{
    struct shape s = { 0 };
    char why[SHAPE_WHY_BYTES] = "";

    for (int type = PTOOLS_INT8; type <= PTOOLS_BOOLEAN; type++)
        ck_assert(shape_read_type(ptools_type_name((ptools_type)type), &s, why) && (int)s.type == type);
    ck_assert(!shape_read_type("double", &s, why));
    ck_assert_str_eq(why, "there is no type \"double\"; allowed are int8, uint8, int16, uint16, int32, uint32, int64, "
                          "uint64, float32, float64, complex64, complex128, bool");
    ck_assert(!shape_read_type("flaot64", &s, why));
    ck_assert_ptr_nonnull(strstr(why, "; the nearest is float64"));
    ck_assert(!shape_read_type("", &s, why));
    ck_assert_int_eq(s.type, PTOOLS_BOOLEAN);
}
END_TEST

START_TEST(orders)
{
    struct shape s = { 0 };
    char why[SHAPE_WHY_BYTES] = "";

    ck_assert(shape_read_order("column", &s, why) && s.order == PTOOLS_COLUMN_MAJOR);
    ck_assert(shape_read_order("row", &s, why) && s.order == PTOOLS_ROW_MAJOR);
    ck_assert(!shape_read_order("fortran", &s, why));
    ck_assert_ptr_nonnull(strstr(why, "allowed are row"));
}
END_TEST

START_TEST(sizes)
{
    struct shape s = { .type = PTOOLS_COMPLEX128, .ndims = 2, .dims = { 1000, 10 } };
    char why[SHAPE_WHY_BYTES] = "";
    uint64_t count = 0, bytes = 0;

    ck_assert(shape_size(&s, &count, &bytes, why) && count == 10000 && bytes == 160000);
    s.dims[1] = 0;
    ck_assert(!shape_size(&s, NULL, NULL, why));
    ck_assert_str_eq(why, "its dimension 2 is 0; each is at least 1");
    s.dims[0] = s.dims[1] = UINT64_C(1) << 32;
    ck_assert(!shape_size(&s, NULL, NULL, why));
    ck_assert_str_eq(why, "its dimensions multiply to more bytes than can be");
    s.dims[0] = (uint64_t)INT64_MAX / 16;
    s.dims[1] = 1;
    ck_assert(shape_size(&s, NULL, &bytes, why) && bytes == INT64_MAX - 15);
    s.dims[0]++;
    ck_assert(!shape_size(&s, NULL, NULL, why));
    s.ndims = 0;
    ck_assert(!shape_size(&s, NULL, NULL, why));
    s.ndims = 9;
    ck_assert(!shape_size(&s, NULL, NULL, why));
    ck_assert_str_eq(why, "it has 9 dimensions; an array has 1 to 8");
    ck_assert(count == 10000);
}
END_TEST

START_TEST(comparing)
{
    struct shape a = { .type = PTOOLS_INT32, .ndims = 3, .dims = { 2, 3, 4 } }, b = a;
    uint64_t strides[PTOOLS_DIMS_MAX];

    ck_assert(shape_equal(&a, &b) && shape_same_order(&a, &b));
    b.order = PTOOLS_COLUMN_MAJOR;
    ck_assert(shape_equal(&a, &b) && !shape_same_order(&a, &b));
    shape_strides(&a, strides);
    ck_assert(strides[0] == 48 && strides[1] == 16 && strides[2] == 4);
    shape_strides(&b, strides);
    ck_assert(strides[0] == 4 && strides[1] == 8 && strides[2] == 24);
    a.dims[0] = b.dims[0] = a.dims[2] = b.dims[2] = 1; /* one dimension that counts: there is but one way */
    ck_assert(shape_same_order(&a, &b));
    b.dims[1] = 4;
    ck_assert(!shape_equal(&a, &b));
    b = a;
    b.type = PTOOLS_UINT32;
    ck_assert(!shape_equal(&a, &b));
    b = a;
    b.ndims = 2;
    ck_assert(!shape_equal(&a, &b));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("shape");
    TCase *tc = suite_case(suite, "shape");

    tcase_add_test(tc, dimensions);
    tcase_add_test(tc, types);
    tcase_add_test(tc, orders);
    tcase_add_test(tc, sizes);
    tcase_add_test(tc, comparing);
    return suite_run(suite);
}
