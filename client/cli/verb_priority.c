/* SPDX-License-Identifier: MIT */
/*
 * verb_priority -- `ptools priority`: other priorities for tasks that wait.
 *
 * A value for one task that is named is asked for by itself. All else is one ptools_set_priorities(): a snapshot, then
 * all changes at once. Filters are looked at in that snapshot. Of each named task that does not wait the reason is
 * told.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/failure.h"
#include "client/cli/session.h"
#include "client/cli/tasks.h"
#include "client/cli/times.h"
#include "client/cli/verbs.h"

static const struct option_row options[] = {
    { OPTION_STATE, '\0', "state", "STATE,...", TASKS_STATE_HELP },
    { OPTION_TAG, '\0', "tag", "TAG", TASKS_TAG_HELP },
    { OPTION_WHERE, '\0', "where", "EXPR", TASKS_WHERE_HELP },
    { 0 },
};
static const char *const usage[] = { "ID... VALUE", "[--state STATE,...] [--tag TAG] [--where EXPR] [ID...] VALUE",
                                     NULL };

struct job {
    const struct command_line *line;
    ptools *pt;
    const struct tasks_wish *wish;
    const struct where *value;
    int64_t now_ms;
    uint64_t *ids; /* of those that are meant, sorted, if there are words that tell; else filters pick them */
    bool *met;     /* ... which of them wait */
    size_t n;
    uint64_t changed, skipped;
    int status;
};

static int report(const struct job *job)
{
    struct json_writer w;

    if (!job->line->json) {
        printf("changed %" PRIu64 ", skipped %" PRIu64 "\n", job->changed, job->skipped);
        return EXIT_VALUE;
    }
    session_document(&w);
    json_key(&w, "changed");
    json_put_u64(&w, job->changed);
    json_key(&w, "skipped");
    json_put_u64(&w, job->skipped);
    return session_document_end(job->line, &w);
}

/* One that is named could not have it. The exit status: EXIT_VALUE, if that was the task's fault. */
static int skip(struct job *job, int status, ptools_err why)
{
    if (why != PTOOLS_ERR_NO_TASK && why != PTOOLS_ERR_NOT_NOW)
        return status;
    job->skipped++;
    if (job->status == EXIT_VALUE)
        job->status = status;
    return EXIT_VALUE;
}

static int set_one(struct job *job, uint64_t task, double priority)
{
    ptools_err r = ptools_queued_set_priority(job->pt, task, priority);

    if (r != PTOOLS_OK)
        return skip(job, failure_report_last(job->line, job->pt, r), r);
    job->changed++;
    return EXIT_VALUE;
}

/* It was not among those that wait. */
static int tell_why(struct job *job, uint64_t task)
{
    PTOOLS_AUTO(ptools_queued) list = NULL;
    ptools_err r = ptools_queued_get(job->pt, task, 0, &list);
    char message[120];

    if (r != PTOOLS_OK)
        return skip(job, failure_report_last(job->line, job->pt, r), r);
    snprintf(message, sizeof message, "task %" PRIu64 " is %s: a priority is for one that no worker has begun", task,
             ptools_queued_state_name(ptools_queued_at(list, 0)->state));
    return skip(job, failure_report_code(job->line, PTOOLS_ERR_NOT_NOW, message), PTOOLS_ERR_NOT_NOW);
}

static int by_number(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

static bool is_meant(struct job *job, const ptools_queued_info *task)
{
    uint64_t *place;

    if (job->wish->ids.n == 0)
        return tasks_match(job->wish, task, job->now_ms);
    place = bsearch(&task->id, job->ids, job->n, sizeof *job->ids, by_number);

    if (place)
        job->met[place - job->ids] = true;
    return place;
}

/* NaN leaves a task as it is. */
static double calc(const char *target, const ptools_queued_info *task, double current, void *arg)
{
    struct job *job = arg;

    (void)target;
    (void)current;
    return is_meant(job, task) ? where_number(job->value, task, job->now_ms) : NAN;
}

static int set_at_once(struct job *job, const struct tasks *tasks)
{
    ptools_err r;

    if (tasks->n == 0 && job->wish->ids.n > 0)
        return EXIT_VALUE; /* none of them is there */
    job->ids = calloc(tasks->n + 1, sizeof *job->ids);
    job->met = calloc(tasks->n + 1, sizeof *job->met);
    if (!job->ids || !job->met)
        return failure_report_code(job->line, PTOOLS_ERR_NO_MEMORY, NULL);
    for (size_t i = 0; i < tasks->n; i++)
        job->ids[job->n++] = tasks->items[i].id;
    qsort(job->ids, job->n, sizeof *job->ids, by_number);
    r = ptools_set_priorities(job->pt, calc, job, &job->changed, &job->skipped);
    if (r != PTOOLS_OK)
        return failure_report_last(job->line, job->pt, r);
    for (size_t i = 0; i < tasks->n; i++) {
        const uint64_t *place = bsearch(&tasks->items[i].id, job->ids, job->n, sizeof *job->ids, by_number);
        int status = job->met[place - job->ids] || !tasks->items[i].named ? EXIT_VALUE : tell_why(job, *place);

        if (status != EXIT_VALUE)
            return status;
    }
    return EXIT_VALUE;
}

static int act(struct job *job)
{
    const double constant = where_is_constant(job->value) ? where_number(job->value, NULL, 0) : NAN;
    struct tasks tasks = { 0 };
    int status = EXIT_VALUE;

    if (job->wish->ids.n > 0)
        status = tasks_find(job->line, job->pt, job->wish, 0, &tasks);
    if (status != EXIT_VALUE)
        return status;
    job->status = tasks.status;
    job->now_ms = times_now_ms();
    status = tasks.n == 1 && tasks.items[0].named && !isnan(constant) ? set_one(job, tasks.items[0].id, constant)
                                                                      : set_at_once(job, &tasks);
    tasks_deinit(&tasks);
    free(job->ids);
    free(job->met);
    if (status == EXIT_VALUE)
        status = report(job);
    return status != EXIT_VALUE ? status : job->status;
}

static int take_value(const struct command_line *line, const char *text, struct where **ret)
{
    char why[WHERE_WHY_BYTES] = "";
    int r = where_new(text, WHERE_NUMBER, ret, why);

    if (r < 0)
        return failure_report_code(line, PTOOLS_ERR_NO_MEMORY, NULL);
    if (r > 0)
        return command_line_wrong(line, "the new priority, %s", why);
    if (where_is_constant(*ret) && isnan(where_number(*ret, NULL, 0)))
        return command_line_wrong(line, "the new priority, %.80s, is no number: allowed are numbers and inf", text);
    return EXIT_VALUE;
}

static int run(const struct command_line *line)
{
    PTOOLS_AUTO(ptools) pt = NULL;
    const size_t words = command_line_words(line);
    struct tasks_wish wish = { 0 };
    struct where *value = NULL;
    struct job job = { .line = line, .wish = &wish };
    int status;

    if (words == 0)
        return command_line_wrong(line, "the new priority is missing: a number, inf, or an expression as priority - 1");
    status = tasks_take(line, 0, words - 1, &wish);
    if (status == EXIT_VALUE && !tasks_narrowed(&wish))
        status = command_line_wrong(line, "which tasks, or what priority? It takes IDs or --state, --tag, --where, and "
                                          "behind them a VALUE; --where true is all");
    if (status == EXIT_VALUE)
        status = take_value(line, command_line_word(line, words - 1), &value);
    if (status == EXIT_VALUE)
        status = session_open(line, false, 0, &pt);
    if (status == EXIT_VALUE) {
        job.pt = pt;
        job.value = value;
        status = act(&job);
    }
    where_free(value);
    tasks_wish_deinit(&wish);
    return status;
}

const struct verb verb_priority = {
    .name = "priority",
    .summary = "give tasks that wait other priorities",
    .usage = usage,
    .about =
        "Gives tasks that no worker has begun other priorities, all at once. Lower runs first. VALUE is a number,\n"
        "inf, or an expression over the same fields as EXPR: 'priority - 1', 'queued_ms', '-(age / 1s)'; one that\n"
        "begins with - and no digit goes behind --. Prints how many were changed, and how many not, for they\n"
        "have begun or ended.\n" TASKS_IDS_HELP TASKS_EXPR_HELP,
    .options = options,
    .run = run,
};
