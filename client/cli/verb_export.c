/* SPDX-License-Identifier: MIT */
/*
 * verb_export -- `ptools export`: queued tasks with their arguments and values, a line of JSON each.
 *
 * The values are asked for side by side, so many at a time, and written in the order of the tasks.
 */
#include <stdio.h>

#include "client/cli/failure.h"
#include "client/cli/session.h"
#include "client/cli/task_field.h"
#include "client/cli/tasks.h"
#include "client/cli/verbs.h"

enum { AT_ONCE = 64 };

static const struct option_row options[] = {
    { OPTION_STATE, '\0', "state", "STATE,...", TASKS_STATE_HELP },
    { OPTION_TAG, '\0', "tag", "TAG", TASKS_TAG_HELP },
    { OPTION_WHERE, '\0', "where", "EXPR", TASKS_WHERE_HELP },
    { 0 },
};
static const char *const usage[] = { "[--state STATE,...] [--tag TAG] [--where EXPR] [ID...]", NULL };

/* value NULL: it has none. false: no memory. */
static bool print_line(const ptools_queued_info *info, const ptools_value *value)
{
    struct json_writer w = { .out = stdout };

    json_open(&w, '{');
    json_key(&w, "schema");
    json_put_u64(&w, 1);
    json_key(&w, "task");
    task_json_open(&w, info);
    json_key(&w, "args");
    json_put_value(&w, info->args);
    if (value) {
        json_key(&w, "value");
        json_put_value(&w, *value);
    }
    json_close(&w, '}');
    json_close(&w, '}');
    putchar('\n');
    return !w.no_memory;
}

/* One that was forgotten meanwhile is written without its value. */
static int print_one(const struct command_line *line, ptools *pt, const ptools_queued_info *info, ptools_future *f)
{
    ptools_value value;
    ptools_err r = f ? ptools_future_fetch(f, PTOOLS_FOREVER, &value) : PTOOLS_OK;

    if (r != PTOOLS_OK && r != PTOOLS_ERR_NO_TASK)
        return failure_report_last(line, pt, r);
    if (!print_line(info, f && r == PTOOLS_OK ? &value : NULL))
        return failure_report_code(line, PTOOLS_ERR_NO_MEMORY, NULL);
    return EXIT_VALUE;
}

static int print_some(const struct command_line *line, ptools *pt, const struct task *tasks, size_t n)
{
    ptools_future *futures[AT_ONCE] = { NULL };
    ptools_err r = ptools_cork(pt);
    int status;

    for (size_t i = 0; i < n && r == PTOOLS_OK; i++)
        if (tasks[i].info->state == PTOOLS_QUEUED_DONE)
            r = ptools_queued_result(pt, tasks[i].id, &futures[i]);
    if (r == PTOOLS_OK)
        r = ptools_uncork(pt);
    status = r == PTOOLS_OK ? EXIT_VALUE : failure_report_last(line, pt, r);
    for (size_t i = 0; i < n && status == EXIT_VALUE; i++)
        status = print_one(line, pt, tasks[i].info, futures[i]);
    for (size_t i = 0; i < n; i++)
        ptools_future_free(futures[i]);
    return status;
}

static int export(const struct command_line *line, const struct tasks_wish *wish)
{
    PTOOLS_AUTO(ptools) pt = NULL;
    struct tasks tasks;
    int status = session_open(line, false, 0, &pt);

    if (status == EXIT_VALUE)
        status = tasks_find(line, pt, wish, TASKS_LOOK | TASKS_ARGS, &tasks);
    if (status != EXIT_VALUE)
        return status;
    for (size_t i = 0; i < tasks.n && status == EXIT_VALUE; i += AT_ONCE)
        status = print_some(line, pt, tasks.items + i, tasks.n - i < AT_ONCE ? tasks.n - i : AT_ONCE);
    if (status == EXIT_VALUE)
        status = tasks.status;
    tasks_deinit(&tasks);
    return status;
}

static int run(const struct command_line *line)
{
    struct tasks_wish wish = { 0 };
    int status = tasks_take(line, 0, command_line_words(line), &wish);

    if (status == EXIT_VALUE)
        status = export(line, &wish);
    tasks_wish_deinit(&wish);
    return status;
}

const struct verb verb_export = {
    .name = "export",
    .summary = "write queued tasks, with arguments and values, as lines of JSON",
    .usage = usage,
    .about =
        "Writes a line of JSON for each queued task of this user, or for those with these IDs and for which all of\n"
        "the options hold: {\"schema\": 1, \"task\": {...}} with its fields, args, and, if it is done, "
        "value.\n" TASKS_IDS_HELP TASKS_EXPR_HELP,
    .options = options,
    .run = run,
};
