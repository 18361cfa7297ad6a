/* SPDX-License-Identifier: MIT */
/*
 * n -- functions that call functions of the daemon whose worker they run in: by libptools, as any client does.
 */
#include <errno.h>
#include <string.h>
#include <time.h>

#include <ptools/module.h>
#include <ptools/pfork.h>
#include <ptools/pmap.h>
#include <ptools/ptools.h>

/* Open for one task: what is kept in a worker is the next task's, too. */
static ptools_err open_here(ptools_task *task, ptools **ret)
{
    const char *why = "";

    if (ptools_open(NULL, ret, &why) != PTOOLS_OK)
        return ptools_task_fail(task, "%s", why);
    return PTOOLS_OK;
}

/* The sum of what `function` makes of n times the same arguments. */
static ptools_err sum_of(ptools_task *task, ptools *pt, const char *function, int64_t n, int64_t argument, int64_t *ret)
{
    PTOOLS_AUTO(ptools_pack) list = ptools_pack_new();
    PTOOLS_AUTO(ptools_pmap) map = NULL;
    const ptools_pack *lists[] = { list };
    ptools_err err;

    for (int64_t i = 0; i < n; i++)
        ptools_pack_i64(list, argument);
    if (ptools_pmap_start(pt, function, lists, 1, NULL, &map) != PTOOLS_OK)
        return ptools_task_fail(task, "%s", ptools_error_message(pt));
    *ret = 0;
    for (;;) {
        ptools_item item;
        int64_t v;

        err = ptools_pmap_next(map, PTOOLS_FOREVER, &item);
        if (err == PTOOLS_ERR_RANGE)
            return PTOOLS_OK;
        if (err != PTOOLS_OK)
            return ptools_task_fail(task, "%s", ptools_error_message(pt));
        if (item.err != PTOOLS_OK)
            return ptools_task_fail(task, "%s: %s", ptools_errname(item.err), item.failure->message);
        err = ptools_get_i64(item.value, &v);
        if (err != PTOOLS_OK)
            return err;
        *ret += v;
    }
}

static ptools_err sum_here(ptools_task *task, const char *function, int64_t n, int64_t argument)
{
    PTOOLS_AUTO(ptools) pt = NULL;
    ptools_err err = open_here(task, &pt);
    int64_t sum = 0;

    if (err == PTOOLS_OK)
        err = sum_of(task, pt, function, n, argument, &sum);
    if (err == PTOOLS_OK)
        ptools_pack_i64(ptools_task_result(task), sum + 1);
    return err;
}

/* deep D: 1 + twice what D - 1 gives; of 0 it is 1. */
static ptools_err deep(ptools_task *task)
{
    int64_t left;
    ptools_err err = ptools_task_arg_i64(task, 0, &left);

    if (err != PTOOLS_OK)
        return err;
    if (left > 0)
        return sum_here(task, "n.deep", 2, left - 1);
    ptools_pack_i64(ptools_task_result(task), 1);
    return PTOOLS_OK;
}

/* wide V: 1 + the sum of 20 items V. */
static ptools_err wide(ptools_task *task)
{
    int64_t v;
    ptools_err err = ptools_task_arg_i64(task, 0, &v);

    return err == PTOOLS_OK ? sum_here(task, "p.same", 20, v) : err;
}

/* forever N: calls itself. */
static ptools_err forever(ptools_task *task)
{
    int64_t v;
    ptools_err err = ptools_task_arg_i64(task, 0, &v);

    return err == PTOOLS_OK ? sum_here(task, "n.forever", 1, v + 1) : err;
}

/* pinned WORKER: a call to that worker, of that function and with those arguments that follow. */
static ptools_err pinned(ptools_task *task)
{
    ptools_call_options options = PTOOLS_CALL_OPTIONS_INIT;
    PTOOLS_AUTO(ptools_future) f = NULL;
    PTOOLS_AUTO(ptools_pack) args = ptools_pack_new();
    PTOOLS_AUTO(ptools) pt = NULL;
    const char *function;
    int64_t worker, n;
    ptools_value v;
    ptools_err err = ptools_task_arg_i64(task, 0, &worker);

    if (err == PTOOLS_OK)
        err = ptools_task_arg_str(task, 1, &function);
    if (err == PTOOLS_OK)
        err = ptools_task_arg_i64(task, 2, &n);
    if (err == PTOOLS_OK)
        err = open_here(task, &pt);
    if (err != PTOOLS_OK)
        return err;
    ptools_pack_i64(args, n);
    options.worker = (uint32_t)worker;
    err = ptools_remotecall_fetch(pt, NULL, function, args, &options, PTOOLS_FOREVER, &f, &v);
    if (err != PTOOLS_OK)
        return ptools_task_fail(task, "%s: %s", ptools_errname(err), ptools_error_message(pt));
    err = ptools_get_i64(v, &n);
    ptools_pack_i64(ptools_task_result(task), n);
    return err;
}

/* rests MS: as long as that. */
static ptools_err rests(ptools_task *task)
{
    int64_t ms;
    ptools_err err = ptools_task_arg_i64(task, 0, &ms);
    struct timespec t = { ms / 1000, ms % 1000 * 1000000 };

    if (err != PTOOLS_OK)
        return err;
    ptools_task_phase(task, "resting");
    while (nanosleep(&t, &t) < 0 && errno == EINTR && !ptools_task_cancelled(task))
        continue;
    return PTOOLS_OK;
}

/* waits MS: a call of a function that takes so long. */
static ptools_err waits(ptools_task *task)
{
    PTOOLS_AUTO(ptools_pack) args = ptools_pack_new();
    PTOOLS_AUTO(ptools) pt = NULL;
    int64_t ms;
    ptools_err err = ptools_task_arg_i64(task, 0, &ms);

    if (err == PTOOLS_OK)
        err = open_here(task, &pt);
    if (err != PTOOLS_OK)
        return err;
    ptools_pack_i64(args, ms);
    ptools_task_phase(task, "waiting");
    err = ptools_remotecall_fetch(pt, NULL, "n.rests", args, NULL, PTOOLS_FOREVER, NULL, NULL);
    return err == PTOOLS_OK ? PTOOLS_OK : ptools_task_fail(task, "%s", ptools_error_message(pt));
}

static ptools_err child_calls(int i, void *arg, ptools_child *child)
{
    PTOOLS_AUTO(ptools) pt = NULL;
    PTOOLS_AUTO(ptools_pack) args = ptools_pack_new();
    PTOOLS_AUTO(ptools_future) f = NULL;
    const char *why = "";
    ptools_value v;
    int64_t n = 0;
    ptools_err err = ptools_open(NULL, &pt, &why);

    (void)arg;
    ptools_pack_i64(args, 20 + i);
    if (err == PTOOLS_OK)
        err = ptools_remotecall_fetch(pt, NULL, "p.same", args, NULL, PTOOLS_FOREVER, &f, &v);
    if (err == PTOOLS_OK)
        err = ptools_get_i64(v, &n);
    if (err != PTOOLS_OK)
        return ptools_child_fail(child, "%s", pt ? ptools_error_message(pt) : why);
    ptools_pack_i64(ptools_child_result(child), n);
    return PTOOLS_OK;
}

/* forks: two children of its process, each of which calls a function. */
static ptools_err forks(ptools_task *task)
{
    ptools_children *children = NULL;
    const char *why = "";
    int64_t sum = 0, n;
    ptools_err err = ptools_pfork(2, child_calls, NULL, NULL, &children, &why);

    if (err != PTOOLS_OK)
        err = ptools_task_fail(task, "%s", why);
    for (int i = 1; err == PTOOLS_OK && i <= 2; i++) {
        err = ptools_get_i64(ptools_children_outcome(children, i)->value, &n);
        sum += n;
    }
    ptools_children_free(children);
    ptools_pack_i64(ptools_task_result(task), sum);
    return err;
}

static const ptools_function functions[] = {
    { .name = "deep", .fn = deep, .help = "deep D -> calls within calls" },
    { .name = "wide", .fn = wide, .help = "wide V -> 1 + 20 V" },
    { .name = "forever", .fn = forever, .help = "calls itself" },
    { .name = "pinned", .fn = pinned, .help = "pinned WORKER FUNCTION N -> what that gives there" },
    { .name = "rests", .fn = rests, .help = "rests MS: so long" },
    { .name = "waits", .fn = waits, .help = "waits MS: for a call that takes so long" },
    { .name = "forks", .fn = forks, .help = "calls of forked children" },
    { 0 },
};

PTOOLS_MODULE_EXPORT const ptools_module_info ptools_module = {
    .abi = PTOOLS_MODULE_ABI,
    .struct_size = sizeof(ptools_module_info),
    .help = "functions that call functions",
    .functions = functions,
};
