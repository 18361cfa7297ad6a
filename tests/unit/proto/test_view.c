/* SPDX-License-Identifier: MIT */
/*
 * view -- parts of arrays: narrowed they show the right elements, and sent they are the same.
 *
 * What a view should show is computed beside it, from indices alone (struct model). What strangers send is the
 * matter of test_view_ref.c.
 */
#include <string.h>

#include "proto/array.h"
#include "proto/util.h"
#include "proto/value.h"
#include "tests/support/suite.h"

/* For loops: ck_assert() tells its parent where it is, each time, which would be most of what they do. */
#define EXPECT(condition)                                                                                           \
    do {                                                                                                            \
        if (!(condition))                                                                                           \
            ck_abort_msg("not so: %s", #condition);                                                                 \
    } while (0)

#define HALF (UINT64_C(1) << 63)

static struct payload payload;
static char why[LAYOUT_WHY_BYTES];

static void setup(void)
{
    payload_init(&payload);
    why[0] = '\0';
}

static void teardown(void)
{
    payload_deinit(&payload);
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

static int64_t offset_at(const ptools_view *view, uint64_t i, uint64_t j)
{
    return offset_of(view, ptools_view_at(view, (uint64_t[]){ i, j }));
}

/* -- narrowing ----------------------------------------------------------------------------------------- */

START_TEST(whole)
{
    struct ptools_array a = array_of(PTOOLS_INT32, PTOOLS_ROW_MAJOR, 2, (uint64_t[]){ 64, 1024 });
    ptools_view view;

    ptools_view_of(&a, &view);
    ck_assert_ptr_eq(view.data, a.data);
    ck_assert_ptr_eq(view.array, &a);
    ck_assert_int_eq(view.type, PTOOLS_INT32);
    ck_assert_uint_eq(view.ndims, 2);
    ck_assert_uint_eq(view.dims[0], 64);
    ck_assert_uint_eq(view.dims[1], 1024);
    ck_assert_int_eq(view.strides[0], 4096);
    ck_assert_int_eq(view.strides[1], 4);
    ck_assert_int_eq(offset_at(&view, 63, 1023), 65535 * 4);
    ck_assert_uint_eq(ptools_view_count(&view), 65536);
    ck_assert(ptools_view_contiguous(&view));

    a = array_of(PTOOLS_INT32, PTOOLS_COLUMN_MAJOR, 2, (uint64_t[]){ 64, 1024 });
    ptools_view_of(&a, &view);
    ck_assert_int_eq(view.strides[0], 4);
    ck_assert_int_eq(view.strides[1], 256);
    ck_assert_int_eq(offset_at(&view, 63, 1023), 65535 * 4);
    ck_assert(ptools_view_contiguous(&view));
}
END_TEST

START_TEST(range)
{
    struct ptools_array a = array_of(PTOOLS_INT16, PTOOLS_ROW_MAJOR, 2, (uint64_t[]){ 10, 20 });
    ptools_view view;

    ptools_view_of(&a, &view);
    ck_assert_int_eq(ptools_view_range(&view, 0, 3, 4), PTOOLS_OK);
    ck_assert_uint_eq(view.dims[0], 4);
    ck_assert_uint_eq(view.dims[1], 20);
    ck_assert_int_eq(offset_at(&view, 0, 0), 3 * 20 * 2);
    ck_assert(ptools_view_contiguous(&view)); /* whole rows */
    ck_assert_int_eq(ptools_view_range(&view, 1, 19, 1), PTOOLS_OK);
    ck_assert_int_eq(offset_at(&view, 3, 0), (6 * 20 + 19) * 2);
    ck_assert(!ptools_view_contiguous(&view));
    ck_assert_int_eq(ptools_view_range(&view, 0, 3, 1), PTOOLS_OK);
    ck_assert(ptools_view_contiguous(&view)); /* one element */
    ck_assert_uint_eq(ptools_view_count(&view), 1);
}
END_TEST

START_TEST(step)
{
    struct ptools_array a = array_of(PTOOLS_INT8, PTOOLS_ROW_MAJOR, 1, (uint64_t[]){ 10 });
    static const struct {
        uint64_t step, count;
        int64_t stride;
    } cases[] = { { 1, 10, 1 }, { 2, 5, 2 }, { 3, 4, 3 }, { 9, 2, 9 }, { 10, 1, 1 }, { UINT64_MAX, 1, 1 } };
    ptools_view view;

    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        ptools_view_of(&a, &view);
        ck_assert_int_eq(ptools_view_step(&view, 0, cases[i].step), PTOOLS_OK);
        ck_assert_uint_eq(view.dims[0], cases[i].count);
        ck_assert_int_eq(view.strides[0], cases[i].stride);
        ck_assert(ptools_view_contiguous(&view) == (cases[i].stride == 1));
        ck_assert_ptr_eq(view.data, a.data);
    }
}
END_TEST

START_TEST(rows_and_columns)
{
    static const ptools_order orders[] = { PTOOLS_ROW_MAJOR, PTOOLS_COLUMN_MAJOR };

    for (size_t o = 0; o < ELEMENTS(orders); o++) {
        struct ptools_array a = array_of(PTOOLS_FLOAT64, orders[o], 2, (uint64_t[]){ 5, 9 });
        ptools_view all, row, column;
        bool by_rows = orders[o] == PTOOLS_ROW_MAJOR;

        ptools_view_of(&a, &all);
        row = column = all;
        ck_assert_int_eq(ptools_view_index(&row, 0, 4), PTOOLS_OK);
        ck_assert_int_eq(ptools_view_index(&column, 1, 8), PTOOLS_OK);
        ck_assert_uint_eq(row.ndims, 1);
        ck_assert_uint_eq(row.dims[0], 9);
        ck_assert_uint_eq(row.dims[1], 0);
        ck_assert_uint_eq(column.ndims, 1);
        ck_assert_uint_eq(column.dims[0], 5);
        for (uint64_t i = 0; i < 9; i++)
            ck_assert_int_eq(offset_at(&row, i, 0), offset_at(&all, 4, i));
        for (uint64_t i = 0; i < 5; i++)
            ck_assert_int_eq(offset_at(&column, i, 0), offset_at(&all, i, 8));
        ck_assert(ptools_view_contiguous(&row) == by_rows);
        ck_assert(ptools_view_contiguous(&column) == !by_rows);
        ck_assert_int_eq(ptools_view_index(&row, 0, 2), PTOOLS_OK); /* a single element */
        ck_assert_uint_eq(row.ndims, 0);
        ck_assert_uint_eq(ptools_view_count(&row), 1);
        ck_assert(ptools_view_contiguous(&row));
        ck_assert_int_eq(offset_at(&row, 0, 0), offset_at(&all, 4, 2));
    }
}
END_TEST

START_TEST(middle_dimension_dropped)
{
    struct ptools_array a = array_of(PTOOLS_INT32, PTOOLS_ROW_MAJOR, 3, (uint64_t[]){ 4, 5, 6 });
    ptools_view view;

    ptools_view_of(&a, &view);
    ck_assert_int_eq(ptools_view_index(&view, 1, 3), PTOOLS_OK);
    ck_assert_uint_eq(view.ndims, 2);
    ck_assert_uint_eq(view.dims[0], 4);
    ck_assert_uint_eq(view.dims[1], 6);
    ck_assert_int_eq(offset_at(&view, 2, 5), ((2 * 5 + 3) * 6 + 5) * 4);
    ck_assert(!ptools_view_contiguous(&view));
}
END_TEST

START_TEST(outside_is_refused)
{
    struct ptools_array a = array_of(PTOOLS_INT32, PTOOLS_ROW_MAJOR, 2, (uint64_t[]){ 10, 20 });
    static const uint64_t bad_ranges[][3] = {
        /* dimension, first, count */
        { 0, 0, 0 },          { 0, 10, 0 },         { 0, 0, 11 },         { 0, 10, 1 },
        { 0, 9, 2 },          { 1, 20, 1 },         { 1, 19, 2 },         { 2, 0, 1 },
        { UINT32_MAX, 0, 1 }, { 0, UINT64_MAX, 1 }, { 0, 1, UINT64_MAX }, { 0, UINT64_MAX, UINT64_MAX },
        { 0, HALF, HALF },
    };
    ptools_view view, before;

    ptools_view_of(&a, &view);
    before = view;
    for (size_t i = 0; i < ELEMENTS(bad_ranges); i++)
        ck_assert_int_eq(ptools_view_range(&view, (uint32_t)bad_ranges[i][0], bad_ranges[i][1], bad_ranges[i][2]),
                         PTOOLS_ERR_RANGE);
    ck_assert_int_eq(ptools_view_step(&view, 0, 0), PTOOLS_ERR_RANGE);
    ck_assert_int_eq(ptools_view_step(&view, 2, 1), PTOOLS_ERR_RANGE);
    ck_assert_int_eq(ptools_view_index(&view, 0, 10), PTOOLS_ERR_RANGE);
    ck_assert_int_eq(ptools_view_index(&view, 1, UINT64_MAX), PTOOLS_ERR_RANGE);
    ck_assert_int_eq(ptools_view_index(&view, 2, 0), PTOOLS_ERR_RANGE);
    ck_assert_mem_eq(&view, &before, sizeof view);
    /* a single element has no dimension to narrow */
    ck_assert_int_eq(ptools_view_index(&view, 0, 0), PTOOLS_OK);
    ck_assert_int_eq(ptools_view_index(&view, 0, 0), PTOOLS_OK);
    ck_assert_int_eq(ptools_view_range(&view, 0, 0, 1), PTOOLS_ERR_RANGE);
    ck_assert_int_eq(ptools_view_step(&view, 0, 1), PTOOLS_ERR_RANGE);
    ck_assert_int_eq(ptools_view_index(&view, 0, 0), PTOOLS_ERR_RANGE);
}
END_TEST

/* -- there and back ------------------------------------------------------------------------------------ */

/* What was packed, read as the argument of a call. */
static void read_packed(ptools_pack *pack, struct view_ref *ret)
{
    const char *problem_text = "";
    const uint8_t *data;
    size_t n;

    ck_assert_int_eq(pack_finish_value(pack, &data, &n), PTOOLS_OK);
    ck_assert_msg(payload_parse(&payload, data, n, &problem_text) == PTOOLS_OK, "%s", problem_text);
    ck_assert_msg(view_ref_read(&payload.root, ret, why) == 0, "%s", why);
}

START_TEST(whole_array_travels)
{
    struct ptools_array a = array_of(PTOOLS_COMPLEX64, PTOOLS_COLUMN_MAJOR, 3, (uint64_t[]){ 4, 5, 6 });
    ptools_pack *pack = ptools_pack_new();
    struct view_ref ref;
    ptools_view view, expected;

    a.id = UINT64_MAX;
    ptools_pack_array(pack, &a);
    read_packed(pack, &ref);
    ck_assert(ref.whole);
    ck_assert_uint_eq(ref.id, UINT64_MAX);
    ck_assert_ptr_null(ref.name);
    ptools_view_of(&a, &expected);
    ck_assert(view_ref_resolve(&ref, &a, &view, why));
    ck_assert_mem_eq(&view, &expected, sizeof view);
    ptools_pack_free(pack);
}
END_TEST

static uint64_t seed;

static uint64_t below(uint64_t n) /* splitmix64 */
{
    uint64_t z = seed += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return (z ^ z >> 31) % n;
}

/* A view by indices: along its dimension k it has the indices first + i * step of the array's dimension `of`. */
struct model {
    const struct ptools_array *array;
    uint32_t ndims;
    struct {
        uint32_t of;
        uint64_t step, count;
    } along[PTOOLS_DIMS_MAX];
    uint64_t first[PTOOLS_DIMS_MAX]; /* by dimensions of the array */
};

/* The number of the element in the array's memory, by the definition of its order. */
static uint64_t model_element(const struct model *m, const uint64_t *index)
{
    const struct layout *l = &m->array->layout;
    uint64_t at[PTOOLS_DIMS_MAX], n = 0;

    memcpy(at, m->first, sizeof at);
    for (uint32_t k = 0; k < m->ndims; k++)
        at[m->along[k].of] += index[k] * m->along[k].step;
    for (uint32_t k = 0; k < l->ndims; k++) {
        uint32_t i = l->order == PTOOLS_ROW_MAJOR ? k : l->ndims - 1 - k;

        EXPECT(at[i] < l->dims[i]);
        n = n * l->dims[i] + at[i];
    }
    return n;
}

static void narrow(ptools_view *view, struct model *m)
{
    uint32_t dim = (uint32_t)below(view->ndims), of = m->along[dim].of;
    uint64_t count = m->along[dim].count, first = below(count);

    switch (below(3)) {
    case 0:
        m->along[dim].count = 1 + below(count - first);
        m->first[of] += first * m->along[dim].step;
        EXPECT(ptools_view_range(view, dim, first, m->along[dim].count) == PTOOLS_OK);
        break;
    case 1: {
        uint64_t by = 1 + below(3);

        m->along[dim].step *= by;
        m->along[dim].count = (count + by - 1) / by;
        EXPECT(ptools_view_step(view, dim, by) == PTOOLS_OK);
        break;
    }
    default:
        m->first[of] += first * m->along[dim].step;
        for (uint32_t k = dim; k + 1 < m->ndims; k++)
            m->along[k] = m->along[k + 1];
        m->ndims--;
        EXPECT(ptools_view_index(view, dim, first) == PTOOLS_OK);
    }
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

/* Every element of both views lies where the model says. */
static void assert_model(const struct model *m, const ptools_view *view, const ptools_view *sent)
{
    uint64_t index[PTOOLS_DIMS_MAX] = { 0 }, n = 0, size = ptools_type_bytes(m->array->layout.type);

    EXPECT(view->ndims == m->ndims);
    EXPECT(sent->ndims == m->ndims);
    for (uint32_t k = 0; k < m->ndims; k++) {
        EXPECT(view->dims[k] == m->along[k].count);
        EXPECT(sent->dims[k] == m->along[k].count);
    }
    do {
        char *expected = (char *)m->array->data + model_element(m, index) * size;

        EXPECT(ptools_view_at(view, index) == expected);
        EXPECT(ptools_view_at(sent, index) == expected);
        n++;
    } while (next_index(index, view));
    EXPECT(ptools_view_count(view) == n);
    EXPECT(ptools_view_count(sent) == n);
    EXPECT(ptools_view_contiguous(view) == ptools_view_contiguous(sent));
}

/* By the definition: elements in the order of the array are neighbours. */
static bool is_contiguous(const ptools_view *view)
{
    uint64_t index[PTOOLS_DIMS_MAX] = { 0 }, size = ptools_type_bytes(view->type), n = ptools_view_count(view);

    for (uint64_t e = 0; e < n; e++) {
        uint64_t rest = e;

        for (uint32_t k = 0; k < view->ndims; k++) { /* the index that varies fastest first */
            uint32_t i = view->array->layout.order == PTOOLS_ROW_MAJOR ? view->ndims - 1 - k : k;

            index[i] = rest % view->dims[i];
            rest /= view->dims[i];
        }
        if ((char *)ptools_view_at(view, index) != (char *)view->data + e * size)
            return false;
    }
    return true;
}

START_TEST(random_views)
{
    ptools_pack *pack = ptools_pack_new();
    unsigned contiguous = 0;

    seed = (uint64_t)_i + 1;
    for (unsigned round = 0; round < 500; round++) {
        uint64_t dims[PTOOLS_DIMS_MAX];
        uint32_t ndims = 1 + (uint32_t)below(PTOOLS_DIMS_MAX);
        struct model m = { .ndims = ndims };
        struct view_ref ref;
        struct ptools_array a;
        ptools_view view, sent;

        for (uint32_t k = 0; k < ndims; k++)
            dims[k] = 1 + below(ndims > 4 ? 4 : 9);
        a = array_of((ptools_type)(1 + below(PTOOLS_BOOLEAN)), (ptools_order)below(2), ndims, dims);
        m.array = &a;
        for (uint32_t k = 0; k < ndims; k++) {
            m.along[k].of = k;
            m.along[k].step = 1;
            m.along[k].count = dims[k];
        }
        ptools_view_of(&a, &view);
        for (uint64_t left = below(6); left > 0 && view.ndims > 0; left--)
            narrow(&view, &m);

        ptools_pack_reset(pack);
        ptools_pack_view(pack, &view);
        read_packed(pack, &ref);
        EXPECT(!ref.whole);
        EXPECT(ref.id == a.id);
        ck_assert_msg(view_ref_resolve(&ref, &a, &sent, why), "%s", why);
        EXPECT(sent.type == a.layout.type);
        EXPECT(sent.array == &a);
        assert_model(&m, &view, &sent);
        EXPECT(ptools_view_contiguous(&view) == is_contiguous(&view));
        contiguous += ptools_view_contiguous(&view);
    }
    EXPECT(contiguous > 50); /* both kinds were there */
    EXPECT(contiguous < 450);
    ptools_pack_free(pack);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("view");
    TCase *tc = suite_case(suite, "narrowing");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, whole);
    tcase_add_test(tc, range);
    tcase_add_test(tc, step);
    tcase_add_test(tc, rows_and_columns);
    tcase_add_test(tc, middle_dimension_dropped);
    tcase_add_test(tc, outside_is_refused);
    tc = suite_case(suite, "there and back");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, whole_array_travels);
    tcase_add_loop_test(tc, random_views, 0, 8);
    return suite_run(suite);
}
