/* SPDX-License-Identifier: MIT */
/* array -- types, layouts with every way in which one can be wrong, and the splitting of ranges. */
#include <complex.h>
#include <stdbool.h>
#include <string.h>

#include "proto/array.h"
#include "proto/text.h"
#include "proto/util.h"
#include "tests/support/suite.h"

#define BYTES_MAX (UINT64_C(0x7fffffffffffffff) - (UINT64_C(1) << 32)) /* of one array */

/* -- types --------------------------------------------------------------------------------------------- */

static const struct {
    ptools_type type;
    int number; /* on the wire of descriptors: never another */
    const char *name;
    size_t bytes;
} types[] = {
    { PTOOLS_INT8, 1, "int8", sizeof(int8_t) },
    { PTOOLS_UINT8, 2, "uint8", sizeof(uint8_t) },
    { PTOOLS_INT16, 3, "int16", sizeof(int16_t) },
    { PTOOLS_UINT16, 4, "uint16", sizeof(uint16_t) },
    { PTOOLS_INT32, 5, "int32", sizeof(int32_t) },
    { PTOOLS_UINT32, 6, "uint32", sizeof(uint32_t) },
    { PTOOLS_INT64, 7, "int64", sizeof(int64_t) },
    { PTOOLS_UINT64, 8, "uint64", sizeof(uint64_t) },
    { PTOOLS_FLOAT32, 9, "float32", sizeof(float) },
    { PTOOLS_FLOAT64, 10, "float64", sizeof(double) },
    { PTOOLS_COMPLEX64, 11, "complex64", sizeof(float _Complex) },
    { PTOOLS_COMPLEX128, 12, "complex128", sizeof(double _Complex) },
    { PTOOLS_BOOLEAN, 13, "bool", sizeof(bool) },
};

START_TEST(every_type)
{
    for (size_t i = 0; i < ELEMENTS(types); i++) {
        ck_assert_int_eq((int)types[i].type, types[i].number);
        ck_assert_str_eq(ptools_type_name(types[i].type), types[i].name);
        ck_assert_uint_eq(ptools_type_bytes(types[i].type), types[i].bytes);
        ck_assert_int_eq(ptools_type_of(types[i].name), types[i].type);
    }
}
END_TEST

START_TEST(no_type)
{
    static const char *const names[] = { "", "int", "int128", "INT8", "int8 ", " int8", "unknown type", "float16" };
    static const int numbers[] = { 0, 14, -1, 0x7fffffff };

    for (size_t i = 0; i < ELEMENTS(names); i++)
        ck_assert_int_eq((int)ptools_type_of(names[i]), 0);
    ck_assert_int_eq((int)ptools_type_of(NULL), 0);
    for (size_t i = 0; i < ELEMENTS(numbers); i++) {
        ck_assert_str_eq(ptools_type_name((ptools_type)numbers[i]), "unknown type");
        ck_assert_uint_eq(ptools_type_bytes((ptools_type)numbers[i]), 0);
    }
}
END_TEST

/* -- layouts ------------------------------------------------------------------------------------------- */

static struct layout layout(uint32_t type, uint32_t order, uint32_t ndims, const uint64_t *dims)
{
    char why[LAYOUT_WHY_BYTES] = "";
    struct layout l;

    ck_assert_msg(layout_make(&l, type, order, ndims, dims, why), "%s", why);
    return l;
}

START_TEST(good_layouts)
{
    struct layout l = layout(PTOOLS_INT32, PTOOLS_ROW_MAJOR, 2, (uint64_t[]){ 64, 1024 });

    ck_assert_int_eq(l.type, PTOOLS_INT32);
    ck_assert_int_eq(l.order, PTOOLS_ROW_MAJOR);
    ck_assert_uint_eq(l.ndims, 2);
    ck_assert_uint_eq(l.dims[0], 64);
    ck_assert_uint_eq(l.dims[1], 1024);
    for (uint32_t i = 2; i < PTOOLS_DIMS_MAX; i++)
        ck_assert_uint_eq(l.dims[i], 0);
    ck_assert_uint_eq(l.count, 65536);
    ck_assert_uint_eq(l.bytes, 262144);

    l = layout(PTOOLS_COMPLEX128, PTOOLS_COLUMN_MAJOR, 8, (uint64_t[]){ 1, 2, 3, 4, 5, 6, 7, 8 });
    ck_assert_int_eq(l.order, PTOOLS_COLUMN_MAJOR);
    ck_assert_uint_eq(l.count, 40320);
    ck_assert_uint_eq(l.bytes, 645120);

    l = layout(PTOOLS_BOOLEAN, 0, 1, (uint64_t[]){ 1 });
    ck_assert_uint_eq(l.count, 1);
    ck_assert_uint_eq(l.bytes, 1);
}
END_TEST

START_TEST(largest_layouts)
{
    for (size_t i = 0; i < ELEMENTS(types); i++) {
        char why[LAYOUT_WHY_BYTES] = "";
        uint64_t most = BYTES_MAX / types[i].bytes, more = most + 1;
        struct layout l = layout(types[i].type, 0, 1, &most);

        ck_assert_uint_eq(l.count, most);
        ck_assert_uint_eq(l.bytes, most * types[i].bytes);
        ck_assert(!layout_make(&l, types[i].type, 0, 1, &more, why));
        ck_assert_ptr_nonnull(strstr(why, types[i].name));
    }
}
END_TEST

#define MANY UINT64_C(0x100000000)
#define HALF UINT64_C(0x8000000000000000)

static const struct {
    uint32_t type, order, ndims;
    uint64_t dims[PTOOLS_DIMS_MAX + 1];
    const char *says;
} bad_layouts[] = {
    { 0, 0, 1, { 1 }, "type 0 is none: int8 to int64" },
    { 14, 0, 1, { 1 }, "type 14 is none" },
    { UINT32_MAX, 0, 1, { 1 }, "type 4294967295 is none" },
    { PTOOLS_INT8, 2, 1, { 1 }, "order 2 is neither row-major (0) nor column-major (1)" },
    { PTOOLS_INT8, UINT32_MAX, 1, { 1 }, "order 4294967295 is neither" },
    { PTOOLS_INT8, 0, 0, { 1 }, "an array has 1 to 8 dimensions, not 0" },
    { PTOOLS_INT8, 0, 9, { 1, 1, 1, 1, 1, 1, 1, 1, 1 }, "an array has 1 to 8 dimensions, not 9" },
    { PTOOLS_INT8, 0, UINT32_MAX, { 1 }, "not 4294967295" },
    { PTOOLS_INT8, 0, 1, { 0 }, "dimension 1 is 0: each is at least 1" },
    { PTOOLS_INT8, 0, 3, { 4, 4, 0 }, "dimension 3 is 0" },
    { PTOOLS_INT8, 0, 8, { 1, 1, 1, 1, 1, 1, 1, 0 }, "dimension 8 is 0" },
    { PTOOLS_INT8, 0, 1, { UINT64_MAX }, "multiply to more than 9223372032559808511 bytes of int8" },
    { PTOOLS_INT8, 0, 1, { BYTES_MAX + 1 }, "multiply to more than" },
    { PTOOLS_INT8, 0, 2, { MANY, MANY }, "multiply to more than" }, /* 2^64: 0 in 64 bits */
    { PTOOLS_INT8, 0, 3, { MANY, MANY / 2, 2 }, "multiply to more than" },
    { PTOOLS_FLOAT64, 0, 2, { MANY / 2, MANY / 4 }, "bytes of float64" }, /* 2^61 elements: 2^64 bytes */
    { PTOOLS_COMPLEX128, 0, 1, { HALF / 8 + 1 }, "bytes of complex128" }, /* 2^64 + 16 bytes: 16 */
    { PTOOLS_INT16, 0, 8, { 256, 256, 256, 256, 256, 256, 256, 256 }, "bytes of int16" },
    { PTOOLS_INT16, 0, 3, { HALF, 2, 0 }, "multiply to more than" },
};

START_TEST(bad_layout)
{
    char why[LAYOUT_WHY_BYTES] = "";
    struct layout l, untouched;

    memset(&l, 0x5a, sizeof l);
    untouched = l;
    ck_assert(!layout_make(&l, bad_layouts[_i].type, bad_layouts[_i].order, bad_layouts[_i].ndims, bad_layouts[_i].dims,
                           why));
    ck_assert_msg(strstr(why, bad_layouts[_i].says), "%s", why);
    ck_assert(text_is_clean(why, strlen(why), false));
    ck_assert_uint_lt(strlen(why), LAYOUT_WHY_BYTES - 1); /* not cut */
    ck_assert_mem_eq(&l, &untouched, sizeof l);
}
END_TEST

/* -- layouts in words ---------------------------------------------------------------------------------- */

static void assert_layout_text(const struct layout *l, const char *expected)
{
    char text[LAYOUT_TEXT_BYTES];

    layout_text(l, text);
    ck_assert_str_eq(text, expected);
}

START_TEST(texts)
{
    struct layout l = layout(PTOOLS_FLOAT64, 0, 2, (uint64_t[]){ 1000, 10 });

    assert_layout_text(&l, "float64[1000,10]");
    l = layout(PTOOLS_BOOLEAN, 0, 1, (uint64_t[]){ 1 });
    assert_layout_text(&l, "bool[1]");
    l = layout(PTOOLS_INT32, PTOOLS_COLUMN_MAJOR, 3, (uint64_t[]){ 2, 3, 4 });
    assert_layout_text(&l, "int32[2,3,4], column-major");
    l = layout(PTOOLS_COMPLEX128, PTOOLS_COLUMN_MAJOR, 8, (uint64_t[]){ 128, 128, 128, 128, 128, 128, 128, 128 });
    assert_layout_text(&l, "complex128[128,128,128,128,128,128,128,128], column-major");
}
END_TEST

START_TEST(wanted_texts)
{
    static const uint64_t most[PTOOLS_DIMS_MAX] = { UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX,
                                                    UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX };
    char text[LAYOUT_TEXT_BYTES];

    layout_wanted_text(PTOOLS_INT32, 2, (uint64_t[]){ 64, 0 }, text);
    ck_assert_str_eq(text, "int32[64,any]");
    layout_wanted_text((ptools_type)0, 2, NULL, text);
    ck_assert_str_eq(text, "any type[any,any]");
    layout_wanted_text(PTOOLS_INT8, 0, NULL, text);
    ck_assert_str_eq(text, "int8");
    layout_wanted_text((ptools_type)99, 1, (uint64_t[]){ 7 }, text);
    ck_assert_str_eq(text, "unknown type[7]");
    memset(text, 'x', sizeof text);
    layout_wanted_text(PTOOLS_COMPLEX128, 8, most, text); /* does not fit: it says that it is cut */
    ck_assert_uint_lt(strlen(text), sizeof text);
    ck_assert_str_eq(text + strlen(text) - 5, ",...]");
    memset(text, 'x', sizeof text);
    layout_wanted_text(PTOOLS_COMPLEX128, UINT32_MAX, NULL, text); /* no more than there can be */
    ck_assert_str_eq(text, "complex128[any,any,any,any,any,any,any,any]");
}
END_TEST

/* -- is it what was wanted ----------------------------------------------------------------------------- */

START_TEST(check)
{
    static const uint64_t exact[] = { 64, 1024 }, any_rows[] = { 0, 1024 }, any_both[] = { 0, 0 };
    static const uint64_t other_rows[] = { 63, 1024 }, other_columns[] = { 64, 1 }, swapped[] = { 1024, 64 };
    const struct ptools_array a = { .layout = layout(PTOOLS_INT32, 0, 2, exact) };

    ck_assert_int_eq(ptools_array_check(&a, PTOOLS_INT32, 2, exact), PTOOLS_OK);
    ck_assert_int_eq(ptools_array_check(&a, (ptools_type)0, 0, NULL), PTOOLS_OK);
    ck_assert_int_eq(ptools_array_check(&a, PTOOLS_INT32, 0, NULL), PTOOLS_OK);
    ck_assert_int_eq(ptools_array_check(&a, (ptools_type)0, 2, NULL), PTOOLS_OK);
    ck_assert_int_eq(ptools_array_check(&a, (ptools_type)0, 2, any_rows), PTOOLS_OK);
    ck_assert_int_eq(ptools_array_check(&a, (ptools_type)0, 2, any_both), PTOOLS_OK);
    ck_assert_int_eq(ptools_array_check(&a, PTOOLS_UINT32, 2, exact), PTOOLS_ERR_MISMATCH);
    ck_assert_int_eq(ptools_array_check(&a, (ptools_type)99, 0, NULL), PTOOLS_ERR_MISMATCH);
    ck_assert_int_eq(ptools_array_check(&a, PTOOLS_INT32, 1, exact), PTOOLS_ERR_MISMATCH);
    ck_assert_int_eq(ptools_array_check(&a, PTOOLS_INT32, 3, NULL), PTOOLS_ERR_MISMATCH);
    ck_assert_int_eq(ptools_array_check(&a, PTOOLS_INT32, UINT32_MAX, exact), PTOOLS_ERR_MISMATCH);
    ck_assert_int_eq(ptools_array_check(&a, PTOOLS_INT32, 2, other_rows), PTOOLS_ERR_MISMATCH);
    ck_assert_int_eq(ptools_array_check(&a, PTOOLS_INT32, 2, other_columns), PTOOLS_ERR_MISMATCH);
    ck_assert_int_eq(ptools_array_check(&a, PTOOLS_INT32, 2, swapped), PTOOLS_ERR_MISMATCH);
    ck_assert(layout_is(&a.layout, PTOOLS_INT32, 2, any_rows));
    ck_assert(!layout_is(&a.layout, PTOOLS_INT32, 2, swapped));
}
END_TEST

START_TEST(accessors)
{
    static const ptools_shmcfg cfg = PTOOLS_SHMCFG("svar2", PTOOLS_UINT8, 100, 50);
    char memory[1];
    struct ptools_array a = { .layout = layout(cfg.type, PTOOLS_COLUMN_MAJOR, cfg.ndims, cfg.dims),
                              .id = 77,
                              .prefix = "run",
                              .data = memory,
                              .read_only = true };

    strcpy(a.name, cfg.name);
    ck_assert_ptr_eq(ptools_array_data(&a), memory);
    ck_assert_uint_eq(ptools_array_bytes(&a), 5000);
    ck_assert_uint_eq(ptools_array_count(&a), 5000);
    ck_assert_int_eq(ptools_array_type(&a), PTOOLS_UINT8);
    ck_assert_int_eq(ptools_array_order(&a), PTOOLS_COLUMN_MAJOR);
    ck_assert_uint_eq(ptools_array_ndims(&a), 2);
    ck_assert_uint_eq(ptools_array_dims(&a)[0], 100);
    ck_assert_uint_eq(ptools_array_dims(&a)[1], 50);
    ck_assert_str_eq(ptools_array_name(&a), "svar2");
    ck_assert_str_eq(ptools_array_prefix(&a), "run");
    ck_assert_uint_eq(ptools_array_id(&a), 77);
    ck_assert(ptools_array_read_only(&a));
    ck_assert_int_eq(cfg.order, PTOOLS_ROW_MAJOR);
}
END_TEST

/* -- splitting ----------------------------------------------------------------------------------------- */

/* For loops: ck_assert() tells its parent where it is, each time, which would be most of what they do. */
#define EXPECT(condition)                                                                                           \
    do {                                                                                                            \
        if (!(condition))                                                                                           \
            ck_abort_msg("not so: %s", #condition);                                                                 \
    } while (0)

/* All parts of `length` among n: in order, without a gap, none longer than one before, at most one apart. */
static void assert_split(uint64_t n, uint64_t length)
{
    uint64_t next = 0, longest = 0, last = 0;

    for (uint64_t i = 0; i < n; i++) {
        uint64_t first = ~next, count = ~next;

        ptools_localindices(i, n, length, &first, &count);
        if (i == 0)
            longest = last = count;
        EXPECT(first == next);
        EXPECT(count <= last);
        EXPECT(longest - count <= 1);
        last = count;
        next += count;
    }
    EXPECT(next == length);
}

START_TEST(split_small)
{
    for (uint64_t n = 1; n <= 40; n++)
        for (uint64_t length = 0; length <= 200; length++)
            assert_split(n, length);
}
END_TEST

START_TEST(split_longer_first)
{
    for (uint64_t n = 1; n <= 40; n++)
        for (uint64_t length = 0; length <= 200; length++)
            for (uint64_t i = 0; i < n; i++) {
                uint64_t first, count;

                ptools_localindices(i, n, length, &first, &count);
                EXPECT(count == length / n + (i < length % n ? 1 : 0));
            }
}
END_TEST

START_TEST(split_nothing)
{
    static const struct {
        uint64_t i, n;
    } none[] = { { 0, 0 }, { 1, 0 }, { 1, 1 }, { 5, 5 }, { 6, 5 }, { UINT64_MAX, 5 }, { UINT64_MAX, UINT64_MAX } };

    for (size_t k = 0; k < ELEMENTS(none); k++) {
        uint64_t first = 1, count = 1;

        ptools_localindices(none[k].i, none[k].n, 123, &first, &count);
        ck_assert_uint_eq(first, 123);
        ck_assert_uint_eq(count, 0);
    }
}
END_TEST

START_TEST(split_huge)
{
    static const uint64_t lengths[] = { UINT64_MAX, UINT64_MAX - 1, HALF, HALF - 1, HALF + 1, MANY, MANY - 1 };
    uint64_t first, count;

    for (size_t k = 0; k < ELEMENTS(lengths); k++)
        for (uint64_t n = 1; n <= 1000; n++)
            assert_split(n, lengths[k]);
    ptools_localindices(UINT64_MAX - 1, UINT64_MAX, UINT64_MAX, &first, &count);
    ck_assert_uint_eq(first, UINT64_MAX - 1);
    ck_assert_uint_eq(count, 1);
    ptools_localindices(UINT64_MAX - 1, UINT64_MAX, 5, &first, &count); /* more parts than there is to share */
    ck_assert_uint_eq(first, 5);
    ck_assert_uint_eq(count, 0);
    ptools_localindices(HALF, HALF + 1, UINT64_MAX, &first, &count); /* the last three have 1, the others 2 */
    ck_assert_uint_eq(first, UINT64_MAX - 1);
    ck_assert_uint_eq(count, 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("array");
    TCase *tc = suite_case(suite, "types");

    tcase_add_test(tc, every_type);
    tcase_add_test(tc, no_type);
    tc = suite_case(suite, "layouts");
    tcase_add_test(tc, good_layouts);
    tcase_add_test(tc, largest_layouts);
    tcase_add_loop_test(tc, bad_layout, 0, (int)ELEMENTS(bad_layouts));
    tcase_add_test(tc, texts);
    tcase_add_test(tc, wanted_texts);
    tcase_add_test(tc, check);
    tcase_add_test(tc, accessors);
    tc = suite_case(suite, "splitting");
    tcase_add_test(tc, split_small);
    tcase_add_test(tc, split_longer_first);
    tcase_add_test(tc, split_nothing);
    tcase_add_test(tc, split_huge);
    return suite_run(suite);
}
