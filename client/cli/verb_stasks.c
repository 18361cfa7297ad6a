/* SPDX-License-Identifier: MIT */
/*
 * verb_stasks -- `ptools stasks`: list server tasks, and stop those that were started under a name.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/command_line.h"
#include "client/cli/failure.h"
#include "client/cli/session.h"
#include "client/cli/table.h"
#include "client/cli/verbs.h"
#include "client/cli/words.h"

enum { OPTION_TIMEOUT = OPTION_OF_VERB, NAME_TEXT_BYTES = 100 };
#define TIMEOUT_MS INT64_C(10000)

static const struct option_row options[] = {
    { OPTION_TIMEOUT, '\0', "timeout", "TIME",
      "stop: kill those that are still busy after it (default 10; 0: only ask)" },
    { 0 },
};

static const char *const usage[] = { "[ls]", "stop [--timeout TIME] NAME...", NULL };

/* One table: a row for the handle, then one for each of its tasks. */
static const struct column columns[] = {
    { "NAME", "name" },
    { "PREFIX", "prefix" },
    { "TASKS", "count", CELL_PLAIN, .right = true },
    { "ALIVE", "alive", CELL_PLAIN, .right = true },
    { "ARRAYS", "arrays", CELL_COUNT, .right = true },
    { "PID", "pid", CELL_PLAIN, .right = true, .unknown_zero = true },
    { "STATE", "state" },
    { "CALLS", "calls", CELL_PLAIN, .right = true },
    { "FUNCTION", "function" },
    { "PHASE", "phase", CELL_PLAIN, .wrap = true },
    { "WHY", "why", CELL_PLAIN, .wrap = true },
    { 0 },
};

/* Rows "heat" and "heat.0", "heat.1" ... Those without a name are told by their number. */
static void add_stasks(struct table *table, ptools_value stasks)
{
    char *name = table_string(stasks, "name"), prefix[NAME_TEXT_BYTES] = "";
    ptools_value tasks, task;

    if (!name || !*name)
        snprintf(prefix, sizeof prefix, "(%" PRIu64 ")", table_number(stasks, "id"));
    table_add(table, prefix, stasks);
    if (ptools_get_field(stasks, "tasks", &tasks) == PTOOLS_OK) {
        const char *base = *prefix ? prefix : name;
        char first[NAME_TEXT_BYTES + 24];

        for (uint32_t i = 0; ptools_get_item(tasks, i, &task) == PTOOLS_OK; i++) {
            snprintf(first, sizeof first, "%.*s.%" PRIu64, NAME_TEXT_BYTES, base, table_number(task, "index"));
            table_add(table, first, task);
        }
    }
    free(name);
}

static int list(const struct command_line *line)
{
    PTOOLS_AUTO(ptools) pt = NULL;
    PTOOLS_AUTO(ptools_future) f = NULL;
    struct json_writer w;
    struct table *table;
    ptools_value all, stasks;
    int r = session_inspect(line, "stasks", &pt, &f, &all);

    if (r != EXIT_VALUE)
        return r;
    if (line->json) {
        session_document(&w);
        json_key(&w, "stasks");
        json_put_value(&w, all);
        return session_document_end(line, &w);
    }
    table = table_new(columns);
    for (uint32_t i = 0; table && ptools_get_item(all, i, &stasks) == PTOOLS_OK; i++)
        add_stasks(table, stasks);
    r = table ? table_print(table) : -1;
    table_free(table);
    return r < 0 ? failure_report_code(line, PTOOLS_ERR_NO_MEMORY, NULL) : EXIT_VALUE;
}

static int stop_one(const struct command_line *line, ptools *pt, const char *name, int64_t timeout_ms)
{
    PTOOLS_AUTO(ptools_stasks) stasks = NULL;
    ptools_err r = ptools_attach_stasks(pt, name, &stasks);

    if (r == PTOOLS_OK)
        r = ptools_stop_stasks(stasks, timeout_ms);
    return r == PTOOLS_OK ? EXIT_VALUE : failure_report_last(line, pt, r);
}

/* Each that can be stopped is; the status is that of the first that cannot. */
static int stop(const struct command_line *line)
{
    PTOOLS_AUTO(ptools) pt = NULL;
    int64_t timeout_ms = TIMEOUT_MS;
    int status, worst = EXIT_VALUE;
    const char *word;

    for (size_t i = 0; i < line->n; i++) {
        if (line->items[i].id != OPTION_TIMEOUT)
            continue;
        if (strcmp(line->items[i].text, "0") == 0)
            timeout_ms = 0;
        else if (!words_duration(line->items[i].text, &timeout_ms))
            return command_line_wrong(line, "--timeout %.40s: 0, which only asks, or " WORDS_DURATIONS,
                                      line->items[i].text);
    }
    if (!command_line_word(line, 1))
        return command_line_wrong(line, "stop: which ones? Their names are missing");
    for (size_t i = 1; (word = command_line_word(line, i)); i++)
        if (!words_name(word))
            return command_line_wrong(line, "\"%.80s\" is no name of server tasks: allowed are " WORDS_NAMES, word);
    status = session_open(line, false, 0, &pt);
    if (status != EXIT_VALUE)
        return status;
    for (size_t i = 1; (word = command_line_word(line, i)); i++) {
        status = stop_one(line, pt, word, timeout_ms);
        if (worst == EXIT_VALUE)
            worst = status;
    }
    return worst;
}

static int run(const struct command_line *line)
{
    const char *word = command_line_word(line, 0);

    if (word && strcmp(word, "stop") == 0)
        return stop(line);
    if (word && strcmp(word, "ls") != 0)
        return command_line_wrong(line, "\"%.80s\": allowed are ls and stop, or nothing, which lists", word);
    if (command_line_words(line) > 1)
        return command_line_wrong(line, "ls takes no words");
    if (line->n > command_line_words(line))
        return command_line_wrong(line, "--timeout belongs to stop");
    return list(line);
}

const struct verb verb_stasks = {
    .name = "stasks",
    .summary = "list server tasks, and stop those that have a name",
    .usage = usage,
    .about = "Lists the server tasks, each with its process, what it runs, and why it died if it did. stop ends those\n"
             "that were started under a NAME: each finishes the call that it runs, its state is freed and its arrays\n"
             "are removed. What is still busy after TIME (0.5, 2s, 3m) is killed.\n",
    .options = options,
    .run = run,
};
