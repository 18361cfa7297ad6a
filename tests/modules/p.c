/* SPDX-License-Identifier: MIT */
/*
 * p -- functions for tests of pmap: what an item does is in its arguments, so that one list has items of every fate.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <ptools/module.h>

#include "tests/modules/sums.h"

static ptools_err same(ptools_task *task)
{
    ptools_err err = ptools_task_expect(task, 1);
    int64_t v;

    if (err == PTOOLS_OK)
        err = ptools_task_arg_i64(task, 0, &v);
    if (err == PTOOLS_OK)
        ptools_pack_i64(ptools_task_result(task), v);
    return err;
}

static ptools_err add(ptools_task *task)
{
    int64_t sum = 0, v;

    for (uint32_t i = 0; i < ptools_task_argc(task); i++) {
        ptools_err err = ptools_task_arg_i64(task, i, &v);

        if (err != PTOOLS_OK)
            return err;
        sum += v;
    }
    ptools_pack_i64(ptools_task_result(task), sum);
    return PTOOLS_OK;
}

static volatile bool enough; /* never */

static ptools_err rest(uint64_t ms)
{
    struct timespec t = { (time_t)(ms / 1000), (long)(ms % 1000) * 1000000 };

    while (nanosleep(&t, &t) < 0 && errno == EINTR)
        continue;
    return PTOOLS_OK;
}

static ptools_err item(ptools_task *task)
{
    const char *what, *text = "";
    int64_t n = 0;
    ptools_err err = ptools_task_arg_str(task, 0, &what);

    if (err == PTOOLS_OK && strcmp(what, "fail") == 0)
        err = ptools_task_arg_str(task, 1, &text);
    else if (err == PTOOLS_OK && ptools_task_argc(task) > 1)
        err = ptools_task_arg_i64(task, 1, &n);
    if (err != PTOOLS_OK)
        return err;
    if (strcmp(what, "fail") == 0) {
        ptools_task_phase(task, "failing");
        ptools_task_log(task, "about to say %s", text);
        return ptools_task_fail(task, "%s", text);
    }
    if (strcmp(what, "raise") == 0)
        raise((int)n);
    if (strcmp(what, "exit") == 0)
        exit((int)n);
    if (strcmp(what, "sleep") == 0)
        rest((uint64_t)n);
    if (strcmp(what, "hang") == 0) {
        ptools_task_phase(task, "hanging");
        while (!enough)
            continue;
    }
    if (strcmp(what, "bytes") == 0) {
        void *zeros = calloc(1, (size_t)n + 1);

        if (!zeros)
            return ptools_task_fail(task, "no memory");
        ptools_pack_bytes(ptools_task_result(task), zeros, (size_t)n);
        free(zeros);
        return PTOOLS_OK;
    }
    ptools_pack_i64(ptools_task_result(task), n);
    return PTOOLS_OK;
}

/* The first time that it is called with this file, it does that; then it returns how often it was called. */
static ptools_err first(ptools_task *task)
{
    const char *path, *what;
    char mark[] = "x";
    ptools_err err = ptools_task_arg_str(task, 0, &path);
    off_t times;
    int fd;

    if (err == PTOOLS_OK)
        err = ptools_task_arg_str(task, 1, &what);
    if (err != PTOOLS_OK)
        return err;
    fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, mark, 1) != 1)
        return ptools_task_fail(task, "%s: %s", path, strerror(errno));
    times = lseek(fd, 0, SEEK_END);
    close(fd);
    if (times == 1 && strcmp(what, "fail") == 0)
        return ptools_task_fail(task, "the first time");
    if (times == 1 && strcmp(what, "kill") == 0)
        raise(SIGKILL);
    ptools_pack_i64(ptools_task_result(task), (int64_t)times);
    return PTOOLS_OK;
}

static int64_t inits, init_sum;

static ptools_err init(ptools_task *task)
{
    int64_t v;

    inits++;
    for (uint32_t i = 0; i < ptools_task_argc(task); i++) {
        ptools_err err = ptools_task_arg_i64(task, i, &v);

        if (err != PTOOLS_OK)
            return err;
        init_sum += v;
    }
    return PTOOLS_OK;
}

/* From the first array into the second, or in place: each element and its index are added; element -1 is refused. */
static ptools_err shift(ptools_task *task)
{
    const uint32_t arrays = ptools_task_argc(task) - 1;
    ptools_view from, to;
    int64_t first, *in, *out;
    uint64_t n;
    ptools_err err = ptools_task_arg_view(task, 0, PTOOLS_INT64, 1, &from);

    if (err == PTOOLS_OK)
        err = ptools_task_arg_view(task, arrays - 1, PTOOLS_INT64, 1, &to);
    if (err == PTOOLS_OK)
        err = ptools_task_arg_i64(task, arrays, &first);
    if (err != PTOOLS_OK)
        return err;
    in = from.data;
    out = to.data;
    n = ptools_view_count(&from);
    for (uint64_t i = 0; i < n; i++) {
        if (in[i] < 0)
            return ptools_task_fail(task, "element %lld is negative", (long long)first + (long long)i);
        out[i] = in[i] + first + (int64_t)i;
    }
    return PTOOLS_OK;
}

/* Of each element, in place. */
static ptools_err twice(ptools_task *task)
{
    ptools_view view;
    ptools_err err = ptools_task_arg_view(task, 0, PTOOLS_FLOAT64, 1, &view);

    if (err == PTOOLS_OK)
        double_and_one(view.data, ptools_view_count(&view));
    return err;
}

static ptools_err init_fails(ptools_task *task)
{
    return ptools_task_fail(task, "not today");
}

/* How often init has run in this process, and the sum of what it was given. */
static ptools_err seen(ptools_task *task)
{
    ptools_pack *out = ptools_task_result(task);

    ptools_pack_list(out, 3);
    ptools_pack_i64(out, inits);
    ptools_pack_i64(out, init_sum);
    ptools_pack_u64(out, ptools_task_worker_id(task));
    return PTOOLS_OK;
}

/* What it finds in its environment, and leaves there. */
static ptools_err litter(ptools_task *task)
{
    const char *found = getenv("PTOOLS_LITTER");

    ptools_pack_str(ptools_task_result(task), found ? found : "clean");
    setenv("PTOOLS_LITTER", "dirty", 1);
    return PTOOLS_OK;
}

static const ptools_function functions[] = {
    { "same", same, "same N -> N", PTOOLS_FN_IDEMPOTENT | PTOOLS_FN_TIDY },
    { "add", add, "add N... -> their sum", PTOOLS_FN_IDEMPOTENT | PTOOLS_FN_TIDY },
    { "item", item, "item value|raise|exit|sleep|hang|bytes N, or item fail TEXT: does that -> N", 0 },
    { "first", first, "first PATH fail|kill|no: does that the first time -> how often PATH was given", 0 },
    { "init", init, "init N...: counts", 0 },
    { "init_fails", init_fails, "init_fails: does", 0 },
    { "shift", shift, "shift FROM [TO] FIRST: adds its index to each element", PTOOLS_FN_TIDY },
    { "twice", twice, "twice ARRAY FIRST: twice each of its doubles, and one more", PTOOLS_FN_TIDY },
    { "seen", seen, "seen -> how often init ran here, the sum of what it was given, the worker", 0 },
    { "litter", litter, "litter -> what it finds in the environment, where it leaves something", 0 },
    { NULL, NULL, NULL, 0 }
};
PTOOLS_MODULE_EXPORT const ptools_module_info ptools_module = { PTOOLS_MODULE_ABI, sizeof(ptools_module_info),
                                                                "items of every fate, for tests of pmap", functions,
                                                                NULL };
