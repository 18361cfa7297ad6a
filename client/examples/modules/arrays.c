/* SPDX-License-Identifier: MIT */
/*
 * arrays -- a module of ptools to copy from: shared arrays, and state that is kept from call to call.
 *
 *     arrays.fill VIEW X         sets each element of a float64 array, or of a part of it
 *     arrays.sum VIEW            the sum of its elements
 *
 * In workers and in server tasks alike. The others are for server tasks, each with its own part of the work:
 *
 *     arrays.stamp ARRAY         the example of the original PTools: every server task writes its id into the
 *                                elements id, id + n, id + 2n, ... of an int32 array (counted from 1)
 *     arrays.heat_start          finds the arrays heat0 and heat1, and keeps them and its rows as its state
 *     arrays.heat_step           one step of diffusion over these rows; the largest change
 *     arrays.random_fill ARRAY   its part of a float64 array, numbers that depend on their index alone
 *     arrays.count ARRAY         its part of ARRAY, counted into its row of the array `counts`
 */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include <ptools/module.h>

/* -- views: a part of an array as an argument ------------------------------------------------- */

/* Calls fn for each element below dimension dim of the view, from `at` on. */
static void each(const ptools_view *v, char *at, uint32_t dim, void (*fn)(double *x, double *arg), double *arg)
{
    if (dim == v->ndims) {
        fn((double *)(void *)at, arg);
        return;
    }
    for (uint64_t i = 0; i < v->dims[dim]; i++)
        each(v, at + (int64_t)i * v->strides[dim], dim + 1, fn, arg);
}

static void set_one(double *x, double *value)
{
    *x = *value;
}

static void add_one(double *x, double *sum)
{
    *sum += *x;
}

static ptools_err fill(ptools_task *task)
{
    ptools_err err = ptools_task_expect(task, 2);
    ptools_view view;
    double value;

    if (err == PTOOLS_OK)
        err = ptools_task_arg_view(task, 0, PTOOLS_FLOAT64, 0, &view);
    if (err == PTOOLS_OK)
        err = ptools_task_arg_f64(task, 1, &value);
    if (err == PTOOLS_OK)
        each(&view, view.data, 0, set_one, &value);
    return err;
}

static ptools_err sum(ptools_task *task)
{
    ptools_err err = ptools_task_expect(task, 1);
    ptools_view view;
    double total = 0;

    if (err == PTOOLS_OK)
        err = ptools_task_arg_view(task, 0, PTOOLS_FLOAT64, 0, &view);
    if (err != PTOOLS_OK)
        return err;
    each(&view, view.data, 0, add_one, &total);
    ptools_pack_f64(ptools_task_result(task), total);
    return PTOOLS_OK;
}

/* -- the example of the original ---------------------------------------------------------------- */

static ptools_err server_task_only(ptools_task *task)
{
    if (ptools_task_stask_count(task) > 0)
        return PTOOLS_OK;
    return ptools_task_fail(task, "this is for server tasks, each of which does a part: see ptools_start_stasks()");
}

static ptools_err stamp(ptools_task *task)
{
    const char *name;
    ptools_array *a;
    int32_t *element;
    uint64_t n = ptools_task_stask_count(task), id = ptools_task_stask_index(task) + UINT64_C(1);
    ptools_err err = server_task_only(task);

    if (err == PTOOLS_OK)
        err = ptools_task_arg_str(task, 0, &name);
    if (err == PTOOLS_OK)
        err = ptools_task_array(task, NULL, name, PTOOLS_INT32, 0, NULL, &a);
    if (err != PTOOLS_OK)
        return err;
    element = ptools_array_data(a);
    for (uint64_t i = id; i <= ptools_array_count(a); i += n)
        element[i - 1] = (int32_t)id;
    return PTOOLS_OK;
}

/* -- heat ------------------------------------------------------------------------------------------ */

struct heat {
    double *buffer[2];
    uint64_t rows, columns;  /* of the whole plate */
    uint64_t first, count;   /* its own rows */
    unsigned now;            /* which buffer holds the present */
};

static ptools_err heat_start(ptools_task *task)
{
    static const char *const names[2] = { "heat0", "heat1" };
    struct heat *h = calloc(1, sizeof *h);
    ptools_err err = server_task_only(task);

    if (!h)
        return ptools_task_fail(task, "no memory");
    for (int i = 0; err == PTOOLS_OK && i < 2; i++) {
        uint64_t same[2] = { h->rows, h->columns }; /* 0 stands for any: the second must be like the first */
        ptools_array *a;

        err = ptools_task_array(task, NULL, names[i], PTOOLS_FLOAT64, 2, same, &a);
        if (err != PTOOLS_OK)
            break;
        h->buffer[i] = ptools_array_data(a);
        h->rows = ptools_array_dims(a)[0];
        h->columns = ptools_array_dims(a)[1];
    }
    if (err == PTOOLS_OK) {
        ptools_localindices(ptools_task_stask_index(task), ptools_task_stask_count(task), h->rows, &h->first,
                            &h->count);
        err = ptools_task_set_pointer(task, "heat", h, free);
    }
    if (err != PTOOLS_OK)
        free(h);
    return err;
}

/* The border keeps its temperature; every other cell goes a quarter of the way to each of its neighbours. */
static double heat_row(const struct heat *h, uint64_t row)
{
    const double *old = h->buffer[h->now] + row * h->columns;
    double *new = h->buffer[!h->now] + row * h->columns, largest = 0;
    bool border = row == 0 || row == h->rows - 1;

    for (uint64_t k = 0; k < h->columns; k++) {
        if (border || k == 0 || k == h->columns - 1)
            new[k] = old[k];
        else
            new[k] = (old[k - 1] + old[k + 1] + old[k - h->columns] + old[k + h->columns]) / 4;
        largest = fmax(largest, fabs(new[k] - old[k]));
    }
    return largest;
}

static ptools_err heat_step(ptools_task *task)
{
    double largest = 0;
    struct heat *h;
    void *state;
    ptools_err err = ptools_task_get_pointer(task, "heat", &state);

    if (err != PTOOLS_OK)
        return err;
    h = state;
    for (uint64_t row = h->first; row < h->first + h->count; row++)
        largest = fmax(largest, heat_row(h, row));
    h->now = !h->now; /* all of them do so: nobody is in two minds about which is the present */
    ptools_pack_f64(ptools_task_result(task), largest);
    return PTOOLS_OK;
}

/* -- histogram ----------------------------------------------------------------------------------------- */

/* Its part of the array of that name. */
static ptools_err own_part(ptools_task *task, double **ret, uint64_t *ret_first, uint64_t *ret_count)
{
    const char *name;
    ptools_array *a;
    ptools_err err = server_task_only(task);

    if (err == PTOOLS_OK)
        err = ptools_task_arg_str(task, 0, &name);
    if (err == PTOOLS_OK)
        err = ptools_task_array(task, NULL, name, PTOOLS_FLOAT64, 0, NULL, &a);
    if (err != PTOOLS_OK)
        return err;
    ptools_localindices(ptools_task_stask_index(task), ptools_task_stask_count(task), ptools_array_count(a), ret_first,
                        ret_count);
    *ret = (double *)ptools_array_data(a) + *ret_first;
    return PTOOLS_OK;
}

/* From 0 to below 1, well mixed, and the same for the same index. */
static double uniform(uint64_t index)
{
    uint64_t x = (index + 1) * UINT64_C(0x9e3779b97f4a7c15);

    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return (double)((x ^ x >> 31) >> 11) / 9007199254740992.0;
}

/* The mean of four: a bell between 0 and 1. */
static ptools_err random_fill(ptools_task *task)
{
    uint64_t first, count;
    double *x;
    ptools_err err = own_part(task, &x, &first, &count);

    for (uint64_t i = 0; err == PTOOLS_OK && i < count; i++) {
        uint64_t k = (first + i) * 4;

        x[i] = (uniform(k) + uniform(k + 1) + uniform(k + 2) + uniform(k + 3)) / 4;
    }
    return err;
}

static ptools_err count(ptools_task *task)
{
    uint64_t first, n, bins;
    ptools_array *counts;
    int64_t *row;
    double *x;
    ptools_err err = own_part(task, &x, &first, &n);

    if (err == PTOOLS_OK)
        err = ptools_task_array(task, NULL, "counts", PTOOLS_INT64, 2, (uint64_t[]){ ptools_task_stask_count(task), 0 },
                                &counts);
    if (err != PTOOLS_OK)
        return err;
    bins = ptools_array_dims(counts)[1];
    row = (int64_t *)ptools_array_data(counts) + ptools_task_stask_index(task) * bins;
    for (uint64_t i = 0; i < n; i++) {
        double at = x[i] * (double)bins;

        if (at >= 0 && at < (double)bins)
            row[(uint64_t)at]++;
    }
    return PTOOLS_OK;
}

static const ptools_function functions[] = {
    { "fill", fill, "fill VIEW X: sets each element of a float64 array, or of a part of it",
      PTOOLS_FN_IDEMPOTENT | PTOOLS_FN_TIDY },
    { "sum", sum, "sum VIEW -> the sum of a float64 array, or of a part of it", PTOOLS_FN_IDEMPOTENT | PTOOLS_FN_TIDY },
    { "stamp", stamp, "stamp ARRAY: in server tasks; each writes its id into every nth element", PTOOLS_FN_IDEMPOTENT },
    { "heat_start", heat_start, "heat_start: in server tasks; takes its rows of heat0 and heat1", 0 },
    { "heat_step", heat_step, "heat_step -> the largest change of one step of diffusion", 0 },
    { "random_fill", random_fill, "random_fill ARRAY: in server tasks; each fills its part", PTOOLS_FN_IDEMPOTENT },
    { "count", count, "count ARRAY: in server tasks; each counts its part into its row of counts", 0 },
    { NULL, NULL, NULL, 0 },
};

PTOOLS_MODULE_EXPORT const ptools_module_info ptools_module = {
    PTOOLS_MODULE_ABI, sizeof(ptools_module_info), "shared arrays and server tasks", functions, NULL
};
