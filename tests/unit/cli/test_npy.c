/* SPDX-License-Identifier: MIT */
/*
 * test_npy -- headers of .npy files: written for every type, order and number of dimensions, read again, and everything
 * that a file may have instead.
 */
#include <stdlib.h>
#include <string.h>

#include "client/cli/npy.h"
#include "tests/support/suite.h"

#define START_1 "\x93NUMPY\x01"

/* A file's header of that version with that text, and its bytes. free() it. */
static uint8_t *file_of(int version, const char *text, size_t *ret_n)
{
    const size_t before = version == 1 ? 10 : 12, n = strlen(text);
    uint8_t *data = calloc(1, before + n + 1);

    ck_assert_ptr_nonnull(data);
    memcpy(data, "\x93NUMPY", 6);
    data[6] = (uint8_t)version;
    data[8] = (uint8_t)n;
    data[9] = (uint8_t)(n >> 8);
    if (version > 1)
        data[10] = (uint8_t)(n >> 16);
    memcpy(data + before, text, n);
    *ret_n = before + n;
    return data;
}

static bool read_text(int version, const char *text, struct shape *ret, char why[NPY_WHY_BYTES])
{
    size_t n, bytes = 0;
    uint8_t *data = file_of(version, text, &n);
    bool good;

    good = npy_start(data, n, &bytes, why) && npy_read(data, n, ret, why);
    if (good)
        ck_assert_uint_eq(bytes, n);
    free(data);
    return good;
}

START_TEST(a_snapshot)
{
    struct shape s = { .type = PTOOLS_FLOAT64, .ndims = 2, .dims = { 1000, 10 } };
    char header[NPY_HEADER_BYTES];
    size_t n = npy_write(&s, header);

    ck_assert_uint_eq(n, 128);
    ck_assert_int_eq(
        memcmp(header, START_1 "\0\x76\0{'descr': '<f8', 'fortran_order': False, 'shape': (1000, 10), }", 73), 0);
    for (size_t i = 73; i < n - 1; i++)
        ck_assert_int_eq(header[i], ' ');
    ck_assert_int_eq(header[n - 1], '\n');
}
END_TEST

START_TEST(one_dimension_is_a_tuple)
{
    struct shape s = { .type = PTOOLS_BOOLEAN, .order = PTOOLS_COLUMN_MAJOR, .ndims = 1, .dims = { 7 } };
    char header[NPY_HEADER_BYTES];
    size_t n = npy_write(&s, header);

    header[n - 1] = '\0';
    ck_assert_ptr_nonnull(strstr(header + 10, "{'descr': '|b1', 'fortran_order': True, 'shape': (7,), }"));
}
END_TEST

/* Every type, both orders, 1 to 8 dimensions, small ones and the largest that can be written. */
START_TEST(there_and_back)
{
    for (int type = PTOOLS_INT8; type <= PTOOLS_BOOLEAN; type++) {
        for (int order = 0; order < 2; order++) {
            for (uint32_t ndims = 1; ndims <= PTOOLS_DIMS_MAX; ndims++) {
                struct shape s = { .type = (ptools_type)type, .order = (ptools_order)order, .ndims = ndims }, again;
                char header[NPY_HEADER_BYTES], why[NPY_WHY_BYTES] = "";
                size_t n, bytes = 0;

                for (uint32_t i = 0; i < ndims; i++)
                    s.dims[i] = i + 1;
                n = npy_write(&s, header);
                ck_assert_uint_eq(n % 64, 0);
                ck_assert_msg(npy_start(header, NPY_START_BYTES, &bytes, why), "%s", why);
                ck_assert_uint_eq(bytes, n);
                ck_assert_msg(npy_read(header, n, &again, why), "%s", why);
                ck_assert(shape_equal(&s, &again));
                ck_assert_int_eq(s.order, again.order);
            }
        }
    }
}
END_TEST

START_TEST(the_longest)
{
    struct shape s = { .type = PTOOLS_COMPLEX128, .ndims = PTOOLS_DIMS_MAX };
    char header[NPY_HEADER_BYTES], why[NPY_WHY_BYTES] = "";

    for (uint32_t i = 0; i < s.ndims; i++)
        s.dims[i] = UINT64_MAX; /* no array has them; they are what takes the most letters */
    ck_assert_uint_eq(npy_write(&s, header), 256);
    ck_assert(!npy_read(header, 256, &s, why));
    ck_assert_str_eq(why, "its dimensions multiply to more bytes than can be");
}
END_TEST

static const struct {
    int version;
    const char *text;
    const char *shape; /* of what it is; "column " before it if it is column-major */
} good[] = {
    { 1, "{'descr': '<f8', 'fortran_order': False, 'shape': (3, 4), }  \n", "float64[3,4]" },
    { 2, "{'descr': '<f8', 'fortran_order': False, 'shape': (3, 4), }\n", "float64[3,4]" },
    { 3, "{'descr': '<f8', 'fortran_order': False, 'shape': (3, 4), }\n", "float64[3,4]" },
    { 1, "{'descr': '<f8', 'fortran_order': True, 'shape': (3, 4)}", "column float64[3,4]" },
    { 1, "{\"shape\":(3,),\"descr\":\"<i4\",\"fortran_order\":False}", "int32[3]" },
    { 1, " {\t'shape' : ( 3 , 4 , ) ,\n'fortran_order':True,'descr':'|u1'} \r\n ", "column uint8[3,4]" },
    { 1, "{'descr': '|i1', 'fortran_order': False, 'shape': (3L, 4L), }", "int8[3,4]" },
    { 1, "{'descr': '<i1', 'fortran_order': False, 'shape': (0007,), }", "int8[7]" },
    { 1, "{'descr': '<b1', 'fortran_order': False, 'shape': (1,), }", "bool[1]" },
    { 1, "{'descr': '<c16', 'fortran_order': False, 'shape': (1, 2, 3, 4, 5, 6, 7, 8), }",
      "complex128[1,2,3,4,5,6,7,8]" },
    { 1, "{'descr': '|b1', 'fortran_order': False, 'shape': (9223372036854775807,), }", "bool[9223372036854775807]" },
};

START_TEST(good_ones)
{
    char why[NPY_WHY_BYTES] = "", text[SHAPE_TEXT_BYTES];
    const char *want = good[_i].shape;
    bool column = strncmp(want, "column ", 7) == 0;
    struct shape s;

    ck_assert_msg(read_text(good[_i].version, good[_i].text, &s, why), "%s: %s", good[_i].text, why);
    ck_assert_str_eq(shape_text(&s, text), want + (column ? 7 : 0));
    ck_assert_int_eq(s.order, column ? PTOOLS_COLUMN_MAJOR : PTOOLS_ROW_MAJOR);
}
END_TEST

#define FORM  "its header is not {'descr': ..., 'fortran_order': ..., 'shape': ...}"
#define LARGE "its dimensions multiply to more bytes than can be"
#define REST  "', 'fortran_order': False, 'shape': (3,), }"
static const struct {
    const char *text;
    const char *why; /* its beginning */
} bad[] = {
    { "", FORM },
    { "{", FORM },
    { "{}", FORM },
    { "[]", FORM },
    { "{'descr': '<f8'}", FORM },
    { "{'descr': '<f8', 'fortran_order': False}", FORM },
    { "{'descr': '<f8', 'shape': (3,)}", FORM },
    { "{'fortran_order': False, 'shape': (3,)}", FORM },
    { "{'descr': '<f8', 'fortran_order': False, 'shape': (3,), 'more': 1}", FORM },
    { "{'descr': '<f8', 'descr': '<f8', 'fortran_order': False, 'shape': (3,)}", FORM },
    { "{'descr': '<f8', 'fortran_order': False, 'shape': (3,)", FORM },
    { "{'descr': '<f8', 'fortran_order': False, 'shape': (3,)}}", FORM },
    { "{'descr': '<f8', 'fortran_order': False, 'shape': (3,)} x", FORM },
    { "{'descr': '<f8' 'fortran_order': False, 'shape': (3,)}", FORM },
    { "{'descr': '<f8',, 'fortran_order': False, 'shape': (3,)}", FORM },
    { "{'descr' '<f8', 'fortran_order': False, 'shape': (3,)}", FORM },
    { "{'descr': '<f8", FORM },
    { "{'des\\x63r': '<f8', 'fortran_order': False, 'shape': (3,)}", FORM },
    { "{descr: '<f8', 'fortran_order': False, 'shape': (3,)}", FORM },
    { "{'descr': '<f8', 'fortran_order': 0, 'shape': (3,)}", FORM },
    { "{'descr': '<f8', 'fortran_order': false, 'shape': (3,)}", FORM },
    { "{'descr': '<f8', 'fortran_order': False, 'shape': 3}", FORM },
    { "{'descr': '<f8', 'fortran_order': False, 'shape': [3]}", FORM },
    { "{'descr': '<f8', 'fortran_order': False, 'shape': (3)}", FORM },
    { "{'descr': '<f8', 'fortran_order': False, 'shape': (3 4)}", FORM },
    { "{'descr': '<f8', 'fortran_order': False, 'shape': (-3,)}", FORM },
    { "{'descr': '<f8', 'fortran_order': False, 'shape': (,)}", FORM },
    { "{'descr': '<f8', 'fortran_order': False, 'shape': (3,", FORM },
    { "{'descr': '<f8', 'fortran_order': False, 'shape': (3.0,)}", FORM },
    { "{'descr': '<f8', 'fortran_order': False, 'shape': ()}", "it holds a single value without dimensions" },
    { "{'descr': '<f8', 'fortran_order': False, 'shape': (0,)}", "its dimension 1 is 0; each is at least 1" },
    { "{'descr': '<f8', 'fortran_order': False, 'shape': (3, 0)}", "its dimension 2 is 0; each is at least 1" },
    { "{'descr': '<f8', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1)}", "it has more than 8 dimensions" },
    { "{'descr': '<f8', 'fortran_order': False, 'shape': (18446744073709551616,)}", LARGE },
    { "{'descr': '<f8', 'fortran_order': False, 'shape': (4294967296, 4294967296)}", LARGE },
    { "{'descr': '<f8', 'fortran_order': False, 'shape': (2305843009213693952,)}", LARGE },
    { "{'descr': '>f8" REST, "its elements are big-endian ('>f8')" },
    { "{'descr': '>i2" REST, "its elements are big-endian ('>i2')" },
    { "{'descr': '|f8" REST, "its elements are of type '|f8'" },
    { "{'descr': '=f8" REST, "its elements are of type '=f8'" },
    { "{'descr': 'f8" REST, "its elements are of type 'f8'" },
    { "{'descr': '<f2" REST, "its elements are of type '<f2'" },
    { "{'descr': '<f16" REST, "its elements are of type '<f16'" },
    { "{'descr': '<U8" REST, "its elements are of type '<U8'" },
    { "{'descr': '|O" REST, "its elements are of type '|O'" },
    { "{'descr': '|S3" REST, "its elements are of type '|S3'" },
    { "{'descr': '<M8[ns]" REST, "its elements are of type '<M8[ns]'" },
    { "{'descr': '" REST, "its elements are of type ''" },
    { "{'descr': '<" REST, "its elements are of type '<'" },
    { "{'descr': '>" REST, "its elements are of type '>'" },
    { "{'descr': '<f8 with much behind it, much more than is shown" REST,
      "its elements are of type '<f8?with?much?behind?it'" },
    { "{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (3,)}", "its elements are records" },
    { "{'descr': 8, 'fortran_order': False, 'shape': (3,)}", FORM },
};

START_TEST(bad_ones)
{
    char why[NPY_WHY_BYTES] = "";
    struct shape s = { .type = PTOOLS_INT8 };

    ck_assert_msg(!read_text(1, bad[_i].text, &s, why), "%s is taken", bad[_i].text);
    ck_assert_msg(strncmp(why, bad[_i].why, strlen(bad[_i].why)) == 0, "%s: %s", bad[_i].text, why);
    ck_assert_int_eq(s.type, PTOOLS_INT8);
}
END_TEST

START_TEST(no_npy_at_all)
{
    static const struct {
        const char *data;
        size_t n;
        const char *why;
    } rows[] = {
        { "", 0, "it does not begin as a .npy file does" },
        { "1,2,3\n", 6, "it does not begin as a .npy file does" },
        { "\x93NUMPX\x01\0\x10\0{}", 12, "it does not begin as a .npy file does" },
        { "\x93NUMP", 5, "it does not begin as a .npy file does" },
        { "\x93NUMPY", 6, "it ends within its header" },
        { "\x93NUMPY\x01\0\x10", 9, "it ends within its header" },
        { "\x93NUMPY\x02\0\x10\0\0", 11, "it ends within its header" },
        { "\x93NUMPY\x04\0\x10\0\0\0", 12, "it is of version 4.0 of the format; known are 1 to 3" },
        { "\x93NUMPY\0\0\x10\0\0\0", 12, "it is of version 0.0 of the format; known are 1 to 3" },
        { "\x93NUMPY\x02\0\xff\xff\xff\xff", 12, "its header is to have 4294967295 bytes; at most 1048576 are read" },
    };
    char why[NPY_WHY_BYTES];
    size_t bytes = 7;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ck_assert_msg(!npy_start(rows[i].data, rows[i].n, &bytes, why), "row %zu", i);
        ck_assert_str_eq(why, rows[i].why);
        ck_assert_uint_eq(bytes, 7);
    }
    ck_assert(!npy_is("\x93NUMP", 5));
    ck_assert(npy_is("\x93NUMPY", 6));
}
END_TEST

/* Cut anywhere, it is refused. */
START_TEST(cut_short)
{
    struct shape s = { .type = PTOOLS_INT32, .ndims = 2, .dims = { 2, 3 } };
    char header[NPY_HEADER_BYTES], why[NPY_WHY_BYTES];
    size_t n = npy_write(&s, header);

    for (size_t i = 0; i < n; i++) {
        char *cut = malloc(i ? i : 1); /* of the exact size: a sanitizer sees a read behind the end */

        ck_assert_ptr_nonnull(cut);
        memcpy(cut, header, i);
        ck_assert(!npy_read(cut, i, &s, why));
        free(cut);
    }
    ck_assert(npy_read(header, n, &s, why));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("npy");
    TCase *tc = suite_case(suite, "npy");

    tcase_add_test(tc, a_snapshot);
    tcase_add_test(tc, one_dimension_is_a_tuple);
    tcase_add_test(tc, there_and_back);
    tcase_add_test(tc, the_longest);
    tcase_add_loop_test(tc, good_ones, 0, sizeof good / sizeof good[0]);
    tcase_add_loop_test(tc, bad_ones, 0, sizeof bad / sizeof bad[0]);
    tcase_add_test(tc, no_npy_at_all);
    tcase_add_test(tc, cut_short);
    return suite_run(suite);
}
