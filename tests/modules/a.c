/* SPDX-License-Identifier: MIT */
/*
 * a -- functions of shared arrays and of state, for tests of server tasks.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <ptools/module.h>

#include "tests/modules/sums.h"

static ptools_err nop(ptools_task *task)
{
    (void)task;
    return PTOOLS_OK;
}

/* echo X -> X */
static ptools_err echo(ptools_task *task)
{
    ptools_value v;
    ptools_err err = ptools_task_arg(task, 0, &v);
    const void *data;
    size_t n;

    if (err != PTOOLS_OK)
        return err;
    if (ptools_get_bytes(v, &data, &n) == PTOOLS_OK) {
        ptools_pack_bytes(ptools_task_result(task), data, n);
        return PTOOLS_OK;
    }
    int64_t i;

    err = ptools_task_arg_i64(task, 0, &i);
    if (err == PTOOLS_OK)
        ptools_pack_i64(ptools_task_result(task), i);
    return err;
}

/* index -> [index, count] */
static ptools_err index_of(ptools_task *task)
{
    ptools_pack_u64(ptools_task_result(task), ptools_task_stask_index(task));
    ptools_pack_u64(ptools_task_result(task), ptools_task_stask_count(task));
    return PTOOLS_OK;
}

static ptools_err pid(ptools_task *task)
{
    ptools_pack_i64(ptools_task_result(task), getpid());
    return PTOOLS_OK;
}

/* add N -> the sum of all that this server task was given, kept as a value */
static ptools_err add(ptools_task *task)
{
    ptools_pack *sum;
    int64_t n, had = 0;
    ptools_value v;
    ptools_err err = ptools_task_arg_i64(task, 0, &n);

    if (err != PTOOLS_OK)
        return err;
    if (ptools_task_get(task, "sum", &v) == PTOOLS_OK)
        ptools_get_i64(v, &had);
    sum = ptools_pack_new();
    ptools_pack_i64(sum, had + n);
    err = ptools_task_set(task, "sum", sum);
    ptools_pack_free(sum);
    ptools_pack_i64(ptools_task_result(task), had + n);
    return err;
}

static void write_end(void *path)
{
    FILE *f = fopen(path, "a");

    if (f) {
        fprintf(f, "destroyed\n");
        fclose(f);
    }
    free(path);
}

/* keep PATH: a pointer whose destructor writes to that file */
static ptools_err keep(ptools_task *task)
{
    const char *path;
    ptools_err err = ptools_task_arg_str(task, 0, &path);

    return err == PTOOLS_OK ? ptools_task_set_pointer(task, "kept", strdup(path), write_end) : err;
}

static ptools_err forget(ptools_task *task)
{
    return ptools_task_del(task, "kept");
}

/* stamp ARRAY: my index + 1 at index, index + count, ... of int32 */
static ptools_err stamp(ptools_task *task)
{
    uint32_t i = ptools_task_stask_index(task), n = ptools_task_stask_count(task);
    const char *name;
    ptools_array *a;
    ptools_err err = ptools_task_arg_str(task, 0, &name);

    if (err == PTOOLS_OK)
        err = ptools_task_array(task, NULL, name, PTOOLS_INT32, 0, NULL, &a);
    if (err != PTOOLS_OK)
        return err;
    for (uint64_t k = i; k < ptools_array_count(a); k += n)
        ((int32_t *)ptools_array_data(a))[k] = (int32_t)i + 1;
    return PTOOLS_OK;
}

/* peek PREFIX NAME -> the first element of an int32 array; poke PREFIX NAME V sets it */
static ptools_err peek(ptools_task *task)
{
    const char *prefix, *name;
    ptools_array *a;
    ptools_err err = ptools_task_arg_str(task, 0, &prefix);

    if (err == PTOOLS_OK)
        err = ptools_task_arg_str(task, 1, &name);
    if (err == PTOOLS_OK)
        err = ptools_task_array(task, prefix, name, PTOOLS_INT32, 0, NULL, &a);
    if (err == PTOOLS_OK)
        ptools_pack_i64(ptools_task_result(task), *(int32_t *)ptools_array_data(a));
    return err;
}

static ptools_err poke(ptools_task *task)
{
    const char *prefix, *name;
    ptools_array *a;
    int64_t v;
    ptools_err err = ptools_task_arg_str(task, 0, &prefix);

    if (err == PTOOLS_OK)
        err = ptools_task_arg_str(task, 1, &name);
    if (err == PTOOLS_OK)
        err = ptools_task_arg_i64(task, 2, &v);
    if (err == PTOOLS_OK)
        err = ptools_task_array(task, prefix, name, PTOOLS_INT32, 0, NULL, &a);
    if (err == PTOOLS_OK)
        *(int32_t *)ptools_array_data(a) = (int32_t)v;
    return err;
}

/* peek_after GATE NAME -> as peek NAME, asked for once GATE, an int32 array, is [1, not 0]; the 1 is set here */
static ptools_err peek_after(ptools_task *task)
{
    const char *gate, *name;
    ptools_array *a;
    ptools_err err = ptools_task_arg_str(task, 0, &gate);

    if (err == PTOOLS_OK)
        err = ptools_task_arg_str(task, 1, &name);
    if (err == PTOOLS_OK)
        err = ptools_task_array(task, "", gate, PTOOLS_INT32, 0, NULL, &a);
    if (err != PTOOLS_OK)
        return err;
    ((volatile int32_t *)ptools_array_data(a))[0] = 1;
    while (!((volatile int32_t *)ptools_array_data(a))[1])
        usleep(1000);
    err = ptools_task_array(task, "", name, PTOOLS_INT32, 0, NULL, &a);
    if (err == PTOOLS_OK)
        ptools_pack_i64(ptools_task_result(task), *(int32_t *)ptools_array_data(a));
    return err;
}

static double sum_of(const ptools_view *v, const char *at, uint32_t dim)
{
    double sum = 0;

    if (dim == v->ndims)
        return *(const double *)(const void *)at;
    for (uint64_t i = 0; i < v->dims[dim]; i++)
        sum += sum_of(v, at + (int64_t)i * v->strides[dim], dim + 1);
    return sum;
}

/* sum VIEW -> of float64 */
static ptools_err sum(ptools_task *task)
{
    ptools_view v;
    ptools_err err = ptools_task_arg_view(task, 0, PTOOLS_FLOAT64, 0, &v);

    if (err == PTOOLS_OK)
        ptools_pack_f64(ptools_task_result(task), sum_of(&v, v.data, 0));
    return err;
}

/* scale VIEW F: each element of float64 times F */
static void scale_all(const ptools_view *v, char *at, uint32_t dim, double f)
{
    if (dim == v->ndims)
        *(double *)(void *)at *= f;
    else
        for (uint64_t i = 0; i < v->dims[dim]; i++)
            scale_all(v, at + (int64_t)i * v->strides[dim], dim + 1, f);
}

static ptools_err scale(ptools_task *task)
{
    ptools_view v;
    double f;
    ptools_err err = ptools_task_arg_view(task, 0, PTOOLS_FLOAT64, 0, &v);

    if (err == PTOOLS_OK)
        err = ptools_task_arg_f64(task, 1, &f);
    if (err == PTOOLS_OK)
        scale_all(&v, v.data, 0, f);
    return err;
}

/* part NAME -> the sum of my part of a float64 array, by ptools_localindices() */
static ptools_err part(ptools_task *task)
{
    uint64_t first, count;
    const char *name;
    ptools_array *a;
    ptools_err err = ptools_task_arg_str(task, 0, &name);

    if (err == PTOOLS_OK)
        err = ptools_task_array(task, NULL, name, PTOOLS_FLOAT64, 0, NULL, &a);
    if (err != PTOOLS_OK)
        return err;
    ptools_localindices(ptools_task_stask_index(task), ptools_task_stask_count(task), ptools_array_count(a), &first,
                        &count);
    ptools_pack_f64(ptools_task_result(task), sum_doubles((const double *)ptools_array_data(a) + first, count));
    return PTOOLS_OK;
}

/* words BYTES -> the sum of its 64-bit words, which are read where they lie */
static ptools_err words(ptools_task *task)
{
    const void *data;
    size_t n;
    ptools_err err = ptools_task_arg_bytes(task, 0, &data, &n);

    if (err == PTOOLS_OK)
        ptools_pack_u64(ptools_task_result(task), sum_words(data, n));
    return err;
}

/* array_words VIEW -> the same of a uint64 array */
static ptools_err array_words(ptools_task *task)
{
    ptools_view v;
    ptools_err err = ptools_task_arg_view(task, 0, PTOOLS_UINT64, 1, &v);

    if (err == PTOOLS_OK)
        ptools_pack_u64(ptools_task_result(task), sum_words(v.data, v.dims[0] * sizeof(uint64_t)));
    return err;
}

/* bytes N -> N bytes, each its place modulo 251 */
static ptools_err bytes(ptools_task *task)
{
    uint8_t *data;
    int64_t n;
    ptools_err err = ptools_task_arg_i64(task, 0, &n);

    if (err != PTOOLS_OK)
        return err;
    data = malloc((size_t)n + 1);
    if (!data)
        return ptools_task_fail(task, "no memory");
    for (int64_t i = 0; i < n; i++)
        data[i] = (uint8_t)(i % 251);
    ptools_pack_bytes(ptools_task_result(task), data, (size_t)n);
    free(data);
    return PTOOLS_OK;
}

/* odd -> fails in odd server tasks; dies S: by signal S */
static ptools_err odd(ptools_task *task)
{
    if (ptools_task_stask_index(task) % 2)
        return ptools_task_fail(task, "I am odd");
    ptools_pack_str(ptools_task_result(task), "fine");
    return PTOOLS_OK;
}

static ptools_err dies(ptools_task *task)
{
    int64_t which;
    ptools_err err = ptools_task_arg_i64(task, 0, &which);

    if (err != PTOOLS_OK)
        return err;
    ptools_task_phase(task, "dying");
    ptools_task_log(task, "about to die");
    if (which > 0)
        raise((int)which);
    return PTOOLS_OK;
}

/* spin: until it is cancelled; hang: whatever happens */
static ptools_err spin(ptools_task *task)
{
    ptools_task_phase(task, "spinning");
    while (!ptools_task_cancelled(task))
        usleep(1000);
    return ptools_task_fail(task, "I stop");
}

static ptools_err hang(ptools_task *task)
{
    ptools_task_phase(task, "hanging");
    while (ptools_task_id(task) != 0)
        pause();
    return PTOOLS_OK;
}

static const ptools_function functions[] = {
    { "nop", nop, "nop", PTOOLS_FN_TIDY },
    { "echo", echo, "echo X -> X", 0 },
    { "index", index_of, "index -> [INDEX, COUNT]", 0 },
    { "pid", pid, "pid -> PID", 0 },
    { "add", add, "add N -> the sum so far", 0 },
    { "keep", keep, "keep PATH", 0 },
    { "forget", forget, "forget", 0 },
    { "stamp", stamp, "stamp ARRAY", 0 },
    { "peek", peek, "peek PREFIX NAME -> its first element", 0 },
    { "peek_after", peek_after, "peek_after GATE NAME -> its first element", 0 },
    { "poke", poke, "poke PREFIX NAME V", 0 },
    { "sum", sum, "sum VIEW -> SUM", 0 },
    { "scale", scale, "scale VIEW F", 0 },
    { "part", part, "part ARRAY -> the sum of my part", 0 },
    { "words", words, "words BYTES -> the sum of its words", PTOOLS_FN_TIDY },
    { "array_words", array_words, "array_words VIEW -> the sum", PTOOLS_FN_TIDY },
    { "bytes", bytes, "bytes N -> N bytes", 0 },
    { "odd", odd, "odd -> \"fine\", or a failure", 0 },
    { "dies", dies, "dies SIGNAL", 0 },
    { "spin", spin, "spin, until cancelled", 0 },
    { "hang", hang, "hang", 0 },
    { NULL, NULL, NULL, 0 },
};

PTOOLS_MODULE_EXPORT const ptools_module_info ptools_module = {
    PTOOLS_MODULE_ABI, sizeof(ptools_module_info), "arrays and state, for tests", functions, NULL
};
