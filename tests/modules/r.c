/* SPDX-License-Identifier: MIT */
/*
 * r -- functions and operators for tests of reductions: joining texts keeps the order of the items, adding fractions
 * shows how they were grouped.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ptools/module.h>

static volatile bool enough; /* never */

/* text WHAT N: after "fail", "kill" or "hang", which it does; else "N,", and with "wide" as many "." as N before it. */
static ptools_err text(ptools_task *task)
{
    const char *what;
    char *out;
    int64_t n;
    ptools_err err = ptools_task_arg_str(task, 0, &what);

    if (err == PTOOLS_OK)
        err = ptools_task_arg_i64(task, 1, &n);
    if (err != PTOOLS_OK)
        return err;
    if (strcmp(what, "fail") == 0)
        return ptools_task_fail(task, "no text for %" PRId64, n);
    if (strcmp(what, "kill") == 0)
        raise(SIGKILL);
    if (strcmp(what, "hang") == 0) {
        ptools_task_phase(task, "hanging");
        while (!enough)
            continue;
    }
    out = calloc(1, 32 + (size_t)n);
    if (!out)
        return ptools_task_fail(task, "no memory");
    if (strcmp(what, "wide") == 0)
        memset(out, '.', (size_t)n);
    sprintf(out + strlen(out), "%" PRId64 ",", n);
    ptools_pack_str(ptools_task_result(task), out);
    free(out);
    return PTOOLS_OK;
}

static ptools_err two_texts(ptools_task *task, const char **left, const char **right)
{
    ptools_err err = ptools_task_expect(task, 2);

    if (err == PTOOLS_OK)
        err = ptools_task_arg_str(task, 0, left);
    return err == PTOOLS_OK ? ptools_task_arg_str(task, 1, right) : err;
}

/* What it is told to do when the text on the right begins with "77,": "" for nothing. */
static ptools_err join_or(ptools_task *task, const char *what)
{
    const char *left, *right;
    char *out;
    ptools_err err = two_texts(task, &left, &right);

    if (err != PTOOLS_OK)
        return err;
    if (strncmp(right, "77,", 3) == 0 && strcmp(what, "fail") == 0)
        return ptools_task_fail(task, "77 is not to be joined");
    if (strncmp(right, "77,", 3) == 0 && strcmp(what, "kill") == 0)
        raise(SIGKILL);
    out = malloc(strlen(left) + strlen(right) + 1);
    if (!out)
        return ptools_task_fail(task, "no memory");
    strcpy(out, left);
    strcat(out, right);
    ptools_pack_str(ptools_task_result(task), out);
    free(out);
    return PTOOLS_OK;
}

static ptools_err join(ptools_task *task)
{
    return join_or(task, "");
}

static ptools_err join_fails(ptools_task *task)
{
    return join_or(task, "fail");
}

static ptools_err join_kills(ptools_task *task)
{
    return join_or(task, "kill");
}

/* Never joins values of batches: in these there is a "," in the text on the right before its end. */
static ptools_err join_items(ptools_task *task)
{
    const char *left, *right;
    ptools_err err = two_texts(task, &left, &right);

    if (err != PTOOLS_OK)
        return err;
    if (strchr(right, ',') != right + strlen(right) - 1)
        raise(SIGKILL);
    return join_or(task, "");
}

static ptools_err fraction(ptools_task *task)
{
    int64_t n;
    ptools_err err = ptools_task_arg_i64(task, 0, &n);

    if (err == PTOOLS_OK)
        ptools_pack_f64(ptools_task_result(task), 1.0 / (double)(n + 1));
    return err;
}

static ptools_err sum(ptools_task *task)
{
    double a, b;
    ptools_err err = ptools_task_arg_f64(task, 0, &a);

    if (err == PTOOLS_OK)
        err = ptools_task_arg_f64(task, 1, &b);
    if (err == PTOOLS_OK)
        ptools_pack_f64(ptools_task_result(task), a + b);
    return err;
}

static ptools_err range(ptools_task *task)
{
    const double *x;
    double all = 0;
    ptools_view view;
    ptools_err err = ptools_task_arg_view(task, 0, PTOOLS_FLOAT64, 1, &view);

    if (err != PTOOLS_OK)
        return err;
    x = view.data;
    for (uint64_t i = 0; i < ptools_view_count(&view); i++) {
        if (x[i] < 0)
            return ptools_task_fail(task, "a negative element");
        all += x[i];
    }
    ptools_pack_f64(ptools_task_result(task), all);
    return PTOOLS_OK;
}

static const ptools_function functions[] = {
    { "text", text, "text value|fail|kill|hang|wide N: does that -> N,", 0 },
    { "join", join, "join LEFT RIGHT", 0 },
    { "join_fails", join_fails, "join_fails LEFT RIGHT: if that is 77,", 0 },
    { "join_kills", join_kills, "join_kills LEFT RIGHT: if that is 77,", 0 },
    { "join_items", join_items, "join_items LEFT RIGHT: kills if that is more than one item", 0 },
    { "fraction", fraction, "fraction N -> 1 / (N + 1)", PTOOLS_FN_IDEMPOTENT | PTOOLS_FN_TIDY },
    { "sum", sum, "sum A B", PTOOLS_FN_IDEMPOTENT | PTOOLS_FN_TIDY },
    { "range", range, "range VIEW FIRST -> the sum of its elements", PTOOLS_FN_IDEMPOTENT | PTOOLS_FN_TIDY },
    { NULL, NULL, NULL, 0 }
};
PTOOLS_MODULE_EXPORT const ptools_module_info ptools_module = { PTOOLS_MODULE_ABI, sizeof(ptools_module_info),
                                                                "operators, for tests of reductions", functions, NULL };
