/* SPDX-License-Identifier: MIT */
/*
 * verb_log -- `ptools log`: what the commands of queued tasks have written, or write; of a task that is no command, the
 * last lines that its function logged.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/failure.h"
#include "client/cli/program.h"
#include "client/cli/session.h"
#include "client/cli/signals.h"
#include "client/cli/task_output.h"
#include "client/cli/tasks.h"
#include "client/cli/verbs.h"
#include "client/cli/words.h"

enum { OPTION_FOLLOW = OPTION_OF_VERB, OPTION_OUT, OPTION_ERR, OPTION_ATTEMPT };

static const struct option_row options[] = {
    { OPTION_FOLLOW, 'f', "follow", NULL, "go on as more comes, until the task has ended" },
    { OPTION_OUT, '\0', "stdout", NULL, "only its standard output" },
    { OPTION_ERR, '\0', "stderr", NULL, "only its standard error" },
    { OPTION_ATTEMPT, '\0', "attempt", "N", "of this attempt (default: the last)" },
    { OPTION_STATE, '\0', "state", "STATE,...", TASKS_STATE_HELP },
    { OPTION_TAG, '\0', "tag", "TAG", TASKS_TAG_HELP },
    { OPTION_WHERE, '\0', "where", "EXPR", TASKS_WHERE_HELP },
    { 0 },
};
static const char *const usage[] = { "[-f] [--stdout|--stderr] [--attempt N] ID...", NULL };

struct wish {
    struct tasks_wish tasks;
    bool follow;
    unsigned which;
    uint32_t attempt; /* 0: the last */
};

static int take_items(const struct command_line *line, struct wish *wish)
{
    int status = tasks_take(line, 0, command_line_words(line), &wish->tasks);

    for (size_t i = 0; i < line->n && status == EXIT_VALUE; i++) {
        const struct item *item = &line->items[i];

        wish->follow |= item->id == OPTION_FOLLOW;
        wish->which |= item->id == OPTION_OUT ? TASK_OUTPUT_OUT : item->id == OPTION_ERR ? TASK_OUTPUT_ERR : 0u;
        if (item->id == OPTION_ATTEMPT && !words_number(item->text, &wish->attempt))
            status = command_line_wrong(line, "--attempt %.40s: allowed is a number, 1 or more", item->text);
    }
    if (wish->which == 0)
        wish->which = TASK_OUTPUT_OUT | TASK_OUTPUT_ERR;
    if (status == EXIT_VALUE && wish->follow && wish->attempt)
        status = command_line_wrong(line, "--follow and --attempt exclude each other");
    if (status == EXIT_VALUE && !tasks_narrowed(&wish->tasks))
        status = command_line_wrong(line, "of which task? An ID is missing");
    return status;
}

static bool signalled(const struct command_line *line, ptools *pt, uint64_t task, int number, int *status)
{
    (void)line;
    (void)pt;
    (void)task;
    *status = 128 + number;
    return false;
}

static int follow(const struct command_line *line, ptools *pt, const struct wish *wish, uint64_t task)
{
    struct task_output_wish output = { .task = task, .which = wish->which, .signalled = signalled };
    bool ended;
    int status;

    output.signals = signals_open(NULL);
    if (output.signals < 0)
        return failure_report_code(line, PTOOLS_ERR_SYSTEM, strerror(-output.signals));
    status = task_output_follow(line, pt, &output, &ended);
    close(output.signals);
    return status;
}

/* OUTPUT is DIR/ID-ATTEMPT. */
static int print_output(const struct command_line *line, const struct wish *wish, const ptools_queued_info *info)
{
    const char *dash = strrchr(info->output, '-');
    char *output = NULL;
    int status;

    if (!wish->attempt || !dash)
        return task_output_print(line, info->output, wish->which);
    if (wish->attempt > info->attempt)
        return command_line_wrong(line, "--attempt %" PRIu32 ": task %" PRIu64 " was begun %" PRIu32 " times",
                                  wish->attempt, info->id, info->attempt);
    if (asprintf(&output, "%.*s-%" PRIu32, (int)(dash - info->output), info->output, wish->attempt) < 0)
        return failure_report_code(line, PTOOLS_ERR_NO_MEMORY, NULL);
    status = task_output_print(line, output, wish->which);
    free(output);
    return status;
}

static int print(const struct command_line *line, ptools *pt, const struct wish *wish, const ptools_queued_info *info)
{
    if (wish->follow && strcmp(info->function, PROGRAM_FUNCTION) == 0)
        return follow(line, pt, wish, info->id);
    if (*info->output)
        return print_output(line, wish, info);
    fputs(info->log, stdout);
    return EXIT_VALUE;
}

static int print_all(const struct command_line *line, ptools *pt, const struct wish *wish)
{
    struct tasks tasks = { 0 };
    int status = tasks_find(line, pt, &wish->tasks, TASKS_LOOK, &tasks), worst = tasks.status;

    for (size_t i = 0; i < tasks.n && status == EXIT_VALUE; i++) {
        if (tasks.items[i].info)
            status = print(line, pt, wish, tasks.items[i].info);
        if (status == EXIT_VALUE)
            failure_flush_output();
    }
    tasks_deinit(&tasks);
    return status != EXIT_VALUE ? status : worst;
}

static int run(const struct command_line *line)
{
    PTOOLS_AUTO(ptools) pt = NULL;
    struct wish wish = { 0 };
    int status = take_items(line, &wish);

    if (status == EXIT_VALUE)
        status = session_open(line, false, 0, &pt);
    if (status == EXIT_VALUE)
        status = print_all(line, pt, &wish);
    tasks_wish_deinit(&wish.tasks);
    return status;
}

const struct verb verb_log = {
    .name = "log",
    .summary = "show what the commands of queued tasks have written",
    .usage = usage,
    .about =
        "Copies what the command of each task wrote to where it wrote it: standard output and standard error. It can\n"
        "be read while the command runs, and after its end until the task is forgotten. Of a task that is no command,\n"
        "the last lines that its function logged.\n" TASKS_IDS_HELP,
    .options = options,
    .run = run,
};
