/* SPDX-License-Identifier: MIT */
/*
 * view -- references to views as strangers write them: what is malformed or reaches out of the array is refused.
 *
 * They are written in the notation of message_notation.h.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "proto/array.h"
#include "proto/text.h"
#include "proto/util.h"
#include "proto/value.h"
#include "tests/support/suite.h"
#include "tests/unit/proto/message_notation.h"

static struct payload payload;
static char why[LAYOUT_WHY_BYTES];

static void setup(void)
{
    message_setup();
    payload_init(&payload);
    why[0] = '\0';
}

static void teardown(void)
{
    payload_deinit(&payload);
    message_teardown();
}

/* An array whose memory is nowhere: only addresses are looked at. */
static struct ptools_array array_of(ptools_type type, ptools_order order, uint32_t ndims, const uint64_t *dims)
{
    struct ptools_array a = { .id = 7, .data = (void *)(uintptr_t)0x100000 };

    ck_assert_msg(layout_make(&a.layout, type, order, ndims, dims, why), "%s", why);
    return a;
}

/* How many bytes behind the first element of the array. */
static int64_t offset_of(const ptools_view *view, const void *element)
{
    return (const char *)element - (const char *)view->array->data;
}

static bool next_index(uint64_t *index, const ptools_view *view)
{
    for (uint32_t k = view->ndims; k-- > 0;) {
        if (++index[k] < view->dims[k])
            return true;
        index[k] = 0;
    }
    return false;
}

/* The payload that the notation says. */
static const msgpack_object *object(const char *notation)
{
    const char *problem_text = "";

    write_envelope(notation);
    ck_assert_msg(payload_parse(&payload, out.data, out.n, &problem_text) == PTOOLS_OK, "%s", problem_text);
    return &payload.root;
}

START_TEST(good_refs)
{
    struct view_ref ref;

    ck_assert_int_eq(view_ref_read(object("{'$array' {'id' 1}}"), &ref, why), 0);
    ck_assert(ref.whole);
    ck_assert_uint_eq(ref.id, 1);
    ck_assert_uint_eq(ref.prefix_n, 0);
    ck_assert_int_eq(view_ref_read(object("{'$array' {'colour' [1] 'name' 'a.b' 'prefix' '7'}}"), &ref, why), 0);
    ck_assert_uint_eq(ref.id, 0);
    ck_assert_uint_eq(ref.name_n, 3);
    ck_assert_mem_eq(ref.name, "a.b", 3);
    ck_assert_uint_eq(ref.prefix_n, 1);
    ck_assert_mem_eq(ref.prefix, "7", 1);
    ck_assert_int_eq(view_ref_read(object("{'$array' {'name' 'a' 'prefix' ''}}"), &ref, why), 0);
    ck_assert_uint_eq(ref.prefix_n, 0);
    /* what it means is looked at when it is resolved */
    ck_assert_int_eq(view_ref_read(object("{'$array' {'strides' [-8 0] 'dims' [3 0] 'id' 9 'offset' "
                                          "18446744073709551615}}"),
                                   &ref, why),
                     0);
    ck_assert(!ref.whole);
    ck_assert_uint_eq(ref.offset, UINT64_MAX);
    ck_assert_uint_eq(ref.ndims, 2);
    ck_assert_uint_eq(ref.dims[0], 3);
    ck_assert_int_eq(ref.strides[0], -8);
    ck_assert_int_eq(view_ref_read(object("{'$array' {'id' 9 'offset' 0 'dims' [] 'strides' []}}"), &ref, why), 0);
    ck_assert(!ref.whole);
    ck_assert_uint_eq(ref.ndims, 0);
}
END_TEST

START_TEST(other_values)
{
    static const char *const others[] = {
        "nil", "7", "'$array'", "[]", "['$array' {'id' 1}]", "{}", "{'array' {'id' 1}}", "{'$arrays' {'id' 1}}",
        "{'$arra' {'id' 1}}", "{1 {'id' 1}}", "{'$array' {'id' 1} 'more' 2}", "{nil nil}", "{#c40624617272617a 1}",
        "#cb3ff0000000000000",
    };
    struct view_ref ref;

    for (size_t i = 0; i < ELEMENTS(others); i++)
        ck_assert_msg(view_ref_read(object(others[i]), &ref, why) == 1, "%s", others[i]);
}
END_TEST

/* -- what is malformed --------------------------------------------------------------------------------- */

static const struct {
    const char *notation, *says;
} malformed[] = {
    { "{'$array' nil}", "is no map" },
    { "{'$array' 7}", "is no map" },
    { "{'$array' []}", "is no map" },
    { "{'$array' {}}", "exactly one of id and name" },
    { "{'$array' {'id' 1 'name' 'a'}}", "exactly one of id and name" },
    { "{'$array' {'prefix' 'p'}}", "exactly one of id and name" },
    { "{'$array' {1 1}}", "exactly one of id and name" },
    { "{'$array' {'id' 0}}", "an id that is no number from 1 on" },
    { "{'$array' {'id' -1}}", "an id that is no number" },
    { "{'$array' {'id' '1'}}", "an id that is no number" },
    { "{'$array' {'id' nil}}", "an id that is no number" },
    { "{'$array' {'id' #cb3ff0000000000000}}", "an id that is no number" },
    { "{'$array' {'name' ''}}", "a name that no array can have" },
    { "{'$array' {'name' '7a'}}", "a name that no array can have" },
    { "{'$array' {'name' 'a/b'}}", "a name that no array can have" },
    { "{'$array' {'name' 7}}", "a name that no array can have" },
    { "{'$array' {'name' #c40161}}", "a name that no array can have" },
    { "{'$array' {'name' 'a' 'prefix' 'a/b'}}", "a prefix that no array can have" },
    { "{'$array' {'name' 'a' 'prefix' nil}}", "a prefix that no array can have" },
    { "{'$array' {'id' 1 'offset' 0}}", "all of offset, dims and strides" },
    { "{'$array' {'id' 1 'dims' [1] 'strides' [1]}}", "all of offset, dims and strides" },
    { "{'$array' {'id' 1 'offset' 0 'dims' [1]}}", "all of offset, dims and strides" },
    { "{'$array' {'id' 1 'offset' -1 'dims' [1] 'strides' [1]}}", "an offset of 0 or more" },
    { "{'$array' {'id' 1 'offset' '0' 'dims' [1] 'strides' [1]}}", "an offset of 0 or more" },
    { "{'$array' {'id' 1 'offset' 0 'dims' 1 'strides' [1]}}", "up to 8 dims with as many strides" },
    { "{'$array' {'id' 1 'offset' 0 'dims' [1] 'strides' 1}}", "up to 8 dims with as many strides" },
    { "{'$array' {'id' 1 'offset' 0 'dims' [1] 'strides' [1 1]}}", "as many strides" },
    { "{'$array' {'id' 1 'offset' 0 'dims' [1 1] 'strides' [1]}}", "as many strides" },
    { "{'$array' {'id' 1 'offset' 0 'dims' [1] 'strides' []}}", "as many strides" },
    { "{'$array' {'id' 1 'offset' 0 'dims' [-1] 'strides' [1]}}", "dims" },
    { "{'$array' {'id' 1 'offset' 0 'dims' ['1'] 'strides' [1]}}", "dims" },
    { "{'$array' {'id' 1 'offset' 0 'dims' [1] 'strides' [nil]}}", "strides" },
    { "{'$array' {'id' 1 'offset' 0 'dims' [1] 'strides' [9223372036854775808]}}", "strides" },
    { "{'$array' {'id' 1 'offset' 0 'dims' [1 1 1 1 1 1 1 1 1] 'strides' [1 1 1 1 1 1 1 1 1]}}", "up to 8 dims" },
};

START_TEST(malformed_ref)
{
    struct view_ref ref;

    ck_assert_int_eq(view_ref_read(object(malformed[_i].notation), &ref, why), -1);
    ck_assert_msg(strstr(why, malformed[_i].says), "%s: %s", malformed[_i].notation, why);
    ck_assert_msg(strstr(why, "under \"$array\""), "%s", why);
    ck_assert(text_is_clean(why, strlen(why), false));
    ck_assert_uint_lt(strlen(why), LAYOUT_WHY_BYTES - 1);
}
END_TEST

/* -- what reaches out ---------------------------------------------------------------------------------- */

/* Against an array of 10 x 20 int32: 800 bytes, of which 796 is the last element. */
static const struct {
    const char *notation;
    bool good;
} reaches[] = {
    { "'offset' 0 'dims' [] 'strides' []", true },
    { "'offset' 796 'dims' [] 'strides' []", true },
    { "'offset' 0 'dims' [200] 'strides' [4]", true },
    { "'offset' 796 'dims' [200] 'strides' [-4]", true }, /* backwards */
    { "'offset' 76 'dims' [10 20] 'strides' [80 -4]", true },
    { "'offset' 0 'dims' [20 10] 'strides' [4 80]", true }, /* transposed */
    { "'offset' 0 'dims' [200] 'strides' [0]", true },      /* one element again and again, but no more than 200 */
    { "'offset' 796 'dims' [1 1] 'strides' [9223372036854775804 -9223372036854775808]", true }, /* never stepped */
    { "'offset' 400 'dims' [2 2] 'strides' [396 -400]", true },
    { "'offset' 800 'dims' [] 'strides' []", false },
    { "'offset' 804 'dims' [] 'strides' []", false },
    { "'offset' 1 'dims' [1] 'strides' [4]", false }, /* between elements */
    { "'offset' 798 'dims' [] 'strides' []", false },
    { "'offset' 0 'dims' [2] 'strides' [2]", false },
    { "'offset' 0 'dims' [2] 'strides' [-2]", false },
    { "'offset' 0 'dims' [0] 'strides' [4]", false },
    { "'offset' 0 'dims' [3 0] 'strides' [4 4]", false },
    { "'offset' 0 'dims' [201] 'strides' [4]", false },
    { "'offset' 4 'dims' [200] 'strides' [4]", false },
    { "'offset' 0 'dims' [2] 'strides' [-4]", false },
    { "'offset' 792 'dims' [200] 'strides' [-4]", false },
    { "'offset' 400 'dims' [2 2] 'strides' [400 4]", false },
    { "'offset' 400 'dims' [2 2] 'strides' [-400 -4]", false },
    { "'offset' 0 'dims' [201] 'strides' [0]", false }, /* more elements than there are */
    { "'offset' 0 'dims' [15 15] 'strides' [0 0]", false },
    { "'offset' 0 'dims' [4294967296 4294967296] 'strides' [0 0]", false }, /* 2^64 of them: 0 */
    { "'offset' 0 'dims' [16777216 16777216 16777216] 'strides' [0 0 0]", false },
    { "'offset' 18446744073709551612 'dims' [2] 'strides' [4]", false }, /* wraps around to 0 */
    { "'offset' 9223372036854775808 'dims' [] 'strides' []", false },
    { "'offset' 0 'dims' [2] 'strides' [9223372036854775804]", false },
    { "'offset' 0 'dims' [3] 'strides' [9223372036854775804]", false },
    { "'offset' 0 'dims' [2] 'strides' [-9223372036854775808]", false },
    { "'offset' 0 'dims' [3] 'strides' [-9223372036854775808]", false },
    { "'offset' 4 'dims' [2 2] 'strides' [9223372036854775804 9223372036854775804]", false }, /* their sum overflows */
    { "'offset' 4 'dims' [2 2] 'strides' [9223372036854775804 -9223372036854775804]", false },
    { "'offset' 0 'dims' [18446744073709551615] 'strides' [4]", false },
    { "'offset' 0 'dims' [9223372036854775809] 'strides' [0]", false },
};

START_TEST(reach)
{
    struct ptools_array a = array_of(PTOOLS_INT32, PTOOLS_ROW_MAJOR, 2, (uint64_t[]){ 10, 20 });
    ptools_view view, untouched;
    struct view_ref ref;
    char notation[256];
    bool ok;

    memset(&view, 0x5a, sizeof view);
    untouched = view;
    snprintf(notation, sizeof notation, "{'$array' {'id' 7 %s}}", reaches[_i].notation);
    ck_assert_msg(view_ref_read(object(notation), &ref, why) == 0, "%s", why);
    ok = view_ref_resolve(&ref, &a, &view, why);
    ck_assert_msg(ok == reaches[_i].good, "%s: %s", notation, why);
    if (ok) {
        uint64_t index[PTOOLS_DIMS_MAX] = { 0 };

        do {
            int64_t at = offset_of(&view, ptools_view_at(&view, index));

            ck_assert_msg(at >= 0 && at <= 796 && at % 4 == 0, "%" PRId64, at);
        } while (next_index(index, &view));
    } else {
        ck_assert_ptr_nonnull(strstr(why, "no part of the array, which has 200 elements of int32"));
        ck_assert_mem_eq(&view, &untouched, sizeof view);
    }
}
END_TEST

START_TEST(largest_array)
{
    const uint64_t count = UINT64_C(0x7fffffff00000000) / 16 - 1; /* of complex128 */
    struct ptools_array a = array_of(PTOOLS_COMPLEX128, PTOOLS_ROW_MAJOR, 1, &count);
    struct view_ref ref = { .id = 7, .ndims = 1, .dims = { count }, .strides = { 16 } };
    ptools_view view;

    ck_assert(view_ref_resolve(&ref, &a, &view, why));
    ck_assert_uint_eq(ptools_view_count(&view), count);
    ck_assert(ptools_view_contiguous(&view));
    ck_assert_int_eq(ptools_view_index(&view, 0, count - 1), PTOOLS_OK);
    ck_assert_int_eq(offset_of(&view, view.data), (int64_t)((count - 1) * 16));
    ref.offset = 16;
    ck_assert(!view_ref_resolve(&ref, &a, &view, why));
    ref.strides[0] = -16;
    ref.offset = (count - 1) * 16;
    ck_assert(view_ref_resolve(&ref, &a, &view, why));
    ref.offset -= 16;
    ck_assert(!view_ref_resolve(&ref, &a, &view, why));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("view_ref");
    TCase *tc = suite_case(suite, "references of strangers");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, good_refs);
    tcase_add_test(tc, other_values);
    tcase_add_loop_test(tc, malformed_ref, 0, (int)ELEMENTS(malformed));
    tcase_add_loop_test(tc, reach, 0, (int)ELEMENTS(reaches));
    tcase_add_test(tc, largest_array);
    return suite_run(suite);
}
