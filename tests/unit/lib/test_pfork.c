/* SPDX-License-Identifier: MIT */
/*
 * test_pfork -- ptools_pfork() and ptools_pfork_shm() when all goes well: first what the original's own test asserts,
 * then numbers of children, order, and values.
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/lib/pfork_rig.h"

/* -- the original's test_pfork.jl --------------------------------------------------------------------- */

START_TEST(original_indices)
{
    static const int counts[] = { 2, 100 };

    for (size_t k = 0; k < 2; k++) {
        ptools_children *c = pfork_as(PTOOLS_OK, counts[k], give_index, NULL, NULL);

        for (int i = 1; i <= counts[k]; i++)
            ck_value(c, i, i);
        ptools_children_free(c);
    }
    ck_no_children();
}
END_TEST

/* ones(10, 100) * ind */
static ptools_err give_matrix(int i, void *arg, ptools_child *child)
{
    double m[10 * 100];

    (void)arg;
    for (size_t k = 0; k < 1000; k++)
        m[k] = 1.0 * i;
    ptools_pack_bytes(ptools_child_result(child), m, sizeof m);
    return PTOOLS_OK;
}

START_TEST(original_matrices)
{
    ptools_children *c = pfork_as(PTOOLS_OK, 10, give_matrix, NULL, NULL);

    for (int i = 1; i <= 10; i++) {
        const void *data;
        size_t n;

        ck_assert_int_eq(ptools_get_bytes(outcome_of(c, i)->value, &data, &n), PTOOLS_OK);
        ck_assert_uint_eq(n, 1000 * sizeof(double));
        for (size_t k = 0; k < 1000; k++) {
            double v;

            memcpy(&v, (const char *)data + k * sizeof v, sizeof v);
            ck_assert_double_eq(v, i);
        }
    }
    ptools_children_free(c);
}
END_TEST

/* r[ind] = ind, or r[:, ind] = ind * param: Julia's arrays are column-major. */
static ptools_err fill(int i, ptools_array *const *arrays, void *arg, ptools_child *child)
{
    const uint32_t dim = ptools_array_ndims(arrays[0]) - 1;
    ptools_view v;

    (void)child;
    ptools_view_of(arrays[0], &v);
    ck_assert_int_eq(ptools_view_index(&v, dim, (uint64_t)i - 1), PTOOLS_OK);
    for (uint64_t k = 0; k < ptools_view_count(&v); k++)
        *(float *)ptools_view_at(&v, &k) = (float)(i * (arg ? *(int *)arg : 1));
    return PTOOLS_OK;
}

static void fill_and_check(const ptools_shmcfg *cfg, int n, int *param)
{
    ptools_array *a = NULL;
    ptools_children *c;
    const char *why = "";
    const float *data;

    ck_assert_msg(ptools_pfork_shm(n, cfg, 1, fill, param, NULL, &a, &c, &why) == PTOOLS_OK, "%s", why);
    ck_assert_int_eq(ptools_array_type(a), PTOOLS_FLOAT32);
    ck_assert_int_eq(ptools_array_order(a), cfg->order);
    ck_assert_int_eq(ptools_array_check(a, cfg->type, cfg->ndims, cfg->dims), PTOOLS_OK);
    data = ptools_array_data(a);
    for (uint64_t k = 0; k < ptools_array_count(a); k++)
        ck_assert_float_eq(data[k],
                           (float)((int)(k / (ptools_array_count(a) / (uint64_t)n)) + 1) * (float)(param ? *param : 1));
    for (int i = 1; i <= n; i++)
        ck_assert_int_eq(ptools_value_kind(outcome_of(c, i)->value), PTOOLS_NIL);
    ptools_children_free(c);
    ptools_array_free(a);
}

START_TEST(original_arrays)
{
    const ptools_shmcfg vector = { "r", PTOOLS_FLOAT32, 1, { 10 }, PTOOLS_COLUMN_MAJOR };
    const ptools_shmcfg matrix = { NULL, PTOOLS_FLOAT32, 2, { 3, 10 }, PTOOLS_COLUMN_MAJOR };
    int param = 10;

    fill_and_check(&vector, 10, NULL);
    fill_and_check(&matrix, 10, NULL);
    fill_and_check(&matrix, 10, &param);
    fill_and_check(&matrix, 10, NULL);
}
END_TEST

static ptools_err fill_two(int i, ptools_array *const *arrays, void *arg, ptools_child *child)
{
    (void)arg;
    (void)child;
    for (int k = 0; k < 3; k++)
        ((float *)ptools_array_data(arrays[0]))[(i - 1) * 3 + k] = (float)i;
    ((double *)ptools_array_data(arrays[1]))[i - 1] = (double)i * i;
    return PTOOLS_OK;
}

START_TEST(original_two_arrays)
{
    const ptools_shmcfg cfgs[] = { { NULL, PTOOLS_FLOAT32, 2, { 3, 10 }, PTOOLS_COLUMN_MAJOR },
                                   { NULL, PTOOLS_FLOAT64, 1, { 10 }, PTOOLS_COLUMN_MAJOR } };
    ptools_array *r[2];

    ck_assert_int_eq(ptools_pfork_shm(10, cfgs, 2, fill_two, NULL, NULL, r, NULL, NULL), PTOOLS_OK);
    for (int k = 0; k < 2; k++)
        ck_assert_int_eq(ptools_array_check(r[k], cfgs[k].type, cfgs[k].ndims, cfgs[k].dims), PTOOLS_OK);
    for (int i = 1; i <= 10; i++) {
        for (int k = 0; k < 3; k++)
            ck_assert_float_eq(((float *)ptools_array_data(r[0]))[(i - 1) * 3 + k], (float)i);
        ck_assert_double_eq(((double *)ptools_array_data(r[1]))[i - 1], (double)i * i);
    }
    for (int k = 0; k < 2; k++)
        ptools_array_free(r[k]);
}
END_TEST

/* -- numbers of children ---------------------------------------------------------------------------------- */

START_TEST(none)
{
    const ptools_shmcfg cfg = PTOOLS_SHMCFG("r", PTOOLS_INT64, 4);
    ptools_children *c = pfork_as(PTOOLS_OK, 0, give_index, NULL, NULL);
    ptools_array *a;

    ck_assert_ptr_null(ptools_children_outcome(c, 0));
    ck_assert_ptr_null(ptools_children_outcome(c, 1));
    ptools_children_free(c);
    ck_assert_int_eq(ptools_pfork_shm(0, &cfg, 1, fill, NULL, NULL, &a, NULL, NULL), PTOOLS_OK);
    ck_assert_str_eq(ptools_array_name(a), "r");
    ck_assert_int_eq(((int64_t *)ptools_array_data(a))[3], 0);
    ptools_array_free(a);
}
END_TEST

START_TEST(fewer_than_none)
{
    ptools_children *c = (void *)1;
    const char *why = NULL;

    ck_assert_int_eq(ptools_pfork(-1, give_index, NULL, NULL, &c, &why), PTOOLS_ERR_INVALID);
    ck_assert_ptr_null(c);
    ck_assert_str_eq(why, "pfork: n is -1: 0 or more children");
}
END_TEST

/* No machine has the memory for what would have to be told of so many. */
START_TEST(more_than_memory)
{
    ptools_children *c;
    const char *why = "";

    ck_assert_int_eq(ptools_pfork(INT_MAX, give_index, NULL, NULL, &c, &why), PTOOLS_ERR_NO_MEMORY);
    ck_assert_ptr_null(c);
    ck_assert_str_eq(why, "no memory for 2147483647 children");
}
END_TEST

START_TEST(outcomes_beyond_the_ends)
{
    ptools_children *c = pfork_as(PTOOLS_OK, 2, give_index, NULL, NULL);

    ck_assert_ptr_null(ptools_children_outcome(c, 0));
    ck_assert_ptr_null(ptools_children_outcome(c, 3));
    ck_assert_ptr_null(ptools_children_outcome(c, -1));
    ck_assert_ptr_null(ptools_children_free(c));
    ck_assert_ptr_null(ptools_children_free(NULL));
}
END_TEST

START_TEST(nobody_asks)
{
    ck_assert_int_eq(ptools_pfork(3, give_index, NULL, NULL, NULL, NULL), PTOOLS_OK);
    ck_no_children();
}
END_TEST

/* Child i ends after child i + 1: results are in the order of the index all the same. */
static ptools_err backwards(int i, void *arg, ptools_child *child)
{
    int *ended = arg;

    if (i < ptools_child_count(child))
        await_change(&ended[i + 1], 0);
    set_and_wake(&ended[i], 1);
    return give_index(i, NULL, child);
}

START_TEST(any_order)
{
    int *ended = shared_ints(12);
    ptools_children *c = pfork_as(PTOOLS_OK, 10, backwards, ended, NULL);

    for (int i = 1; i <= 10; i++)
        ck_value(c, i, i);
    ptools_children_free(c);
    shared_free(ended, 12);
}
END_TEST

/* -- values -------------------------------------------------------------------------------------------------- */

enum { LARGE = 1 << 20 };

static ptools_err give_all_kinds(int i, void *arg, ptools_child *child)
{
    ptools_pack *p = ptools_child_result(child);

    (void)arg;
    switch (i) {
    case 2:
        ptools_pack_bytes(p, "", 0);
        break;
    case 3:
        ptools_pack_str(p, "a text that is rather longer than what fits into the place for small values");
        break;
    case 4:
        ptools_pack_map(p, 1);
        ptools_pack_str(p, "key");
        ptools_pack_list(p, 2);
        ptools_pack_f64(p, 1.5);
        ptools_pack_bool(p, true);
        break;
    case 5:
        ptools_pack_u64(p, UINT64_MAX);
        ptools_pack_nil(p);
        break;
    }
    return PTOOLS_OK;
}

START_TEST(values)
{
    ptools_children *c = pfork_as(PTOOLS_OK, 5, give_all_kinds, NULL, NULL);
    ptools_value v;
    const void *data;
    const char *s;
    uint64_t u;
    uint32_t count;
    double d;
    size_t n;

    ck_assert_int_eq(ptools_value_kind(outcome_of(c, 1)->value), PTOOLS_NIL);
    ck_assert_int_eq(ptools_get_bytes(outcome_of(c, 2)->value, &data, &n), PTOOLS_OK);
    ck_assert_uint_eq(n, 0);
    ck_assert_int_eq(ptools_get_str(outcome_of(c, 3)->value, &s, &n), PTOOLS_OK);
    ck_assert_uint_eq(n, 75);
    ck_assert_int_eq(ptools_get_field(outcome_of(c, 4)->value, "key", &v), PTOOLS_OK);
    ck_assert_int_eq(ptools_get_item(v, 0, &v), PTOOLS_OK);
    ck_assert_int_eq(ptools_get_f64(v, &d), PTOOLS_OK);
    ck_assert_double_eq(d, 1.5);
    ck_assert_int_eq(ptools_get_count(outcome_of(c, 5)->value, &count), PTOOLS_OK);
    ck_assert_uint_eq(count, 2);
    ck_assert_int_eq(ptools_get_item(outcome_of(c, 5)->value, 0, &v), PTOOLS_OK);
    ck_assert_int_eq(ptools_get_u64(v, &u), PTOOLS_OK);
    ck_assert_uint_eq(u, UINT64_MAX);
    ptools_children_free(c);
}
END_TEST

static ptools_err give_large(int i, void *arg, ptools_child *child)
{
    memset(arg, i, LARGE);
    ptools_pack_bytes(ptools_child_result(child), arg, LARGE);
    return PTOOLS_OK;
}

/* More than any pipe holds, from all children at once. */
START_TEST(large_values)
{
    char *room = malloc(LARGE);
    ptools_children *c = pfork_as(PTOOLS_OK, 100, give_large, room, NULL);

    for (int i = 1; i <= 100; i++) {
        const void *data;
        size_t n;

        memset(room, i, LARGE);
        ck_assert_int_eq(ptools_get_bytes(outcome_of(c, i)->value, &data, &n), PTOOLS_OK);
        ck_assert_uint_eq(n, LARGE);
        ck_assert_mem_eq(data, room, LARGE);
    }
    ptools_children_free(c);
    free(room);
    ck_no_children();
}
END_TEST

/* Children have the caller's memory as it was, and what they change is their own. */
static ptools_err change_private(int i, void *arg, ptools_child *child)
{
    int *numbers = arg, sum = 0;

    for (int k = 0; k < 1000; k++)
        sum += numbers[k];
    numbers[0] = i;
    ptools_pack_i64(ptools_child_result(child), sum);
    return PTOOLS_OK;
}

START_TEST(copy_on_write)
{
    int *numbers = calloc(1000, sizeof *numbers);
    ptools_children *c;

    numbers[999] = 7;
    c = pfork_as(PTOOLS_OK, 3, change_private, numbers, NULL);
    for (int i = 1; i <= 3; i++)
        ck_value(c, i, 7);
    ck_assert_int_eq(numbers[0], 0);
    ptools_children_free(c);
    free(numbers);
}
END_TEST

static ptools_err fork_again(int i, void *arg, ptools_child *child)
{
    ptools_children *c = NULL;
    int64_t sum = 0, v;

    (void)arg;
    if (ptools_pfork(i, give_index, NULL, NULL, &c, NULL) != PTOOLS_OK)
        return ptools_child_fail(child, "the children of child %d failed", i);
    for (int k = 1; k <= i; k++)
        if (ptools_get_i64(ptools_children_outcome(c, k)->value, &v) == PTOOLS_OK)
            sum += v;
    ptools_children_free(c);
    ptools_pack_i64(ptools_child_result(child), sum);
    return PTOOLS_OK;
}

START_TEST(nested)
{
    ptools_children *c = pfork_as(PTOOLS_OK, 4, fork_again, NULL, NULL);

    for (int i = 1; i <= 4; i++)
        ck_value(c, i, i * (i + 1) / 2);
    ptools_children_free(c);
}
END_TEST

/* -- what is refused ------------------------------------------------------------------------------------------ */

START_TEST(bad_arrays)
{
    ptools_shmcfg cfgs[] = { PTOOLS_SHMCFG("good", PTOOLS_INT8, 4), PTOOLS_SHMCFG("r", PTOOLS_INT64, 4) };
    ptools_array *a[2] = { (void *)1, (void *)1 };
    const char *why = "";

    cfgs[1].dims[0] = 0;
    ck_assert_int_eq(ptools_pfork_shm(2, cfgs, 2, fill, NULL, NULL, a, NULL, &why), PTOOLS_ERR_INVALID);
    ck_assert_ptr_nonnull(strstr(why, "array 1, r: "));
    cfgs[1].dims[0] = UINT64_C(1) << 40;
    ck_assert_int_eq(ptools_pfork_shm(2, cfgs, 2, fill, NULL, NULL, a, NULL, &why), PTOOLS_ERR_NO_SPACE);
    ck_assert_ptr_nonnull(strstr(why, "the arrays need 8796093022212 bytes; "));
    cfgs[1].dims[0] = 1;
    cfgs[1].name = "a/b";
    ck_assert_int_eq(ptools_pfork_shm(2, cfgs, 2, fill, NULL, NULL, a, NULL, &why), PTOOLS_ERR_INVALID);
    ck_assert_ptr_nonnull(strstr(why, "\"a/b\" is no name"));
    ck_assert_int_eq(ptools_pfork_shm(2, NULL, 2, fill, NULL, NULL, a, NULL, &why), PTOOLS_ERR_INVALID);
    ck_assert_int_eq(ptools_pfork_shm(2, cfgs, 1, fill, NULL, NULL, NULL, NULL, &why), PTOOLS_ERR_INVALID);
    ck_assert_ptr_null(a[0]);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("pfork");
    TCase *tc = suite_case(s, "original");

    tcase_add_test(tc, original_indices);
    tcase_add_test(tc, original_matrices);
    tcase_add_test(tc, original_arrays);
    tcase_add_test(tc, original_two_arrays);
    tc = suite_case(s, "values");
    tcase_add_test(tc, none);
    tcase_add_test(tc, fewer_than_none);
    tcase_add_test(tc, more_than_memory);
    tcase_add_test(tc, outcomes_beyond_the_ends);
    tcase_add_test(tc, nobody_asks);
    tcase_add_test(tc, any_order);
    tcase_add_test(tc, values);
    tcase_add_test(tc, large_values);
    tcase_add_test(tc, copy_on_write);
    tcase_add_test(tc, nested);
    tcase_add_test(tc, bad_arrays);
    return suite_run(s);
}
