/* SPDX-License-Identifier: MIT */
/*
 * verb_ls -- `ptools ls` and `ptools info`: queued tasks as a table, or all about some of them.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/failure.h"
#include "client/cli/session.h"
#include "client/cli/table.h"
#include "client/cli/task_field.h"
#include "client/cli/tasks.h"
#include "client/cli/times.h"
#include "client/cli/words.h"

enum { OPTION_COLUMNS = OPTION_OF_VERB, COLUMNS_MAX = 64, TITLE_BYTES = 24, ARGUMENTS_BYTES = 400 };
#define COLUMNS "id,state,priority,attempt,worker,function,age,tags"

static const struct option_row ls_options[] = {
    { OPTION_STATE, '\0', "state", "STATE,...", TASKS_STATE_HELP },
    { OPTION_TAG, '\0', "tag", "TAG", TASKS_TAG_HELP },
    { OPTION_WHERE, '\0', "where", "EXPR", TASKS_WHERE_HELP },
    { OPTION_COLUMNS, '\0', "columns", "NAME,...", "these columns: fields of the JSON, and age" },
    { 0 },
};
static const struct option_row info_options[] = {
    { OPTION_STATE, '\0', "state", "STATE,...", TASKS_STATE_HELP },
    { OPTION_TAG, '\0', "tag", "TAG", TASKS_TAG_HELP },
    { OPTION_WHERE, '\0', "where", "EXPR", TASKS_WHERE_HELP },
    { 0 },
};

static const char *const ls_usage[] = { "[--columns NAME,...] [--state STATE,...] [--tag TAG] [--where EXPR] [ID...]",
                                        NULL };
static const char *const info_usage[] = { "ID...", "[--state STATE,...] [--tag TAG] [--where EXPR] [ID...]", NULL };

/* -- as JSON -------------------------------------------------------------------------------------------- */

static int print_json(const struct command_line *line, const struct tasks *tasks, bool args)
{
    struct json_writer w;

    session_document(&w);
    json_key(&w, "tasks");
    json_open(&w, '[');
    for (size_t i = 0; i < tasks->n; i++) {
        task_json_open(&w, tasks->items[i].info);
        if (args) {
            json_key(&w, "args");
            json_put_value(&w, tasks->items[i].info->args);
        }
        json_close(&w, '}');
    }
    json_close(&w, ']');
    return session_document_end(line, &w);
}

/* -- as a table ----------------------------------------------------------------------------------------- */

struct columns {
    const struct task_field *fields[COLUMNS_MAX];
    char titles[COLUMNS_MAX][TITLE_BYTES];
    struct column columns[COLUMNS_MAX + 1];
    size_t n;
};

static int unknown_column(const struct command_line *line, const char *name, size_t n)
{
    char all[500] = "";
    size_t used = 0;

    for (const struct task_field *f = task_fields; f->name; f++)
        used += (size_t)snprintf(all + used, sizeof all - used, "%s%s", used ? ", " : "", f->name);
    return command_line_wrong(line, "--columns: there is no \"%.*s\"; there are %s", (int)(n < 40 ? n : 40), name, all);
}

static int take_columns(const struct command_line *line, const char *text, struct columns *columns)
{
    columns->n = 0;
    for (const char *s = text;; s++) {
        size_t n = strcspn(s, ",");
        const struct task_field *f = task_field_find(s, n);
        char *title;

        if (!f)
            return unknown_column(line, s, n);
        if (columns->n == COLUMNS_MAX)
            return command_line_wrong(line, "--columns: that are more than %d", COLUMNS_MAX);
        title = columns->titles[columns->n];
        snprintf(title, TITLE_BYTES, "%s", f->title);
        for (char *c = title; *c; c++)
            *c = (char)toupper((unsigned char)*c);
        columns->fields[columns->n] = f;
        columns->columns[columns->n++] = (struct column){
            .heading = title,
            .right = f->right,
            .wrap = f->kind == FIELD_TEXT || f->kind == FIELD_KEY || f->kind == FIELD_TAGS,
        };
        s += n;
        if (!*s)
            return EXIT_VALUE;
    }
}

/* The field of the task as text; NULL: no memory. The caller frees. */
static char *text_of(const struct task_field *field, const ptools_queued_info *info, int64_t now_ms)
{
    char *text = NULL;
    size_t n;
    FILE *out = open_memstream(&text, &n);

    if (!out)
        return NULL;
    task_field_show(out, field, info, now_ms);
    if (fclose(out) != 0) {
        free(text);
        return NULL;
    }
    return text;
}

static int print_table(const struct command_line *line, const struct tasks *tasks, const struct columns *columns)
{
    struct table *table = table_new(columns->columns);
    const int64_t now_ms = times_now_ms();
    char *texts[COLUMNS_MAX];
    int r;

    for (size_t i = 0; table && i < tasks->n; i++) {
        for (size_t k = 0; k < columns->n; k++)
            texts[k] = text_of(columns->fields[k], tasks->items[i].info, now_ms);
        table_add_texts(table, texts);
        for (size_t k = 0; k < columns->n; k++)
            free(texts[k]);
    }
    r = table ? table_print(table) : -1;
    table_free(table);
    return r < 0 ? failure_report_code(line, PTOOLS_ERR_NO_MEMORY, NULL) : EXIT_VALUE;
}

static int list(const struct command_line *line, const struct tasks_wish *wish, const struct columns *columns)
{
    PTOOLS_AUTO(ptools) pt = NULL;
    struct tasks tasks;
    int status = session_open(line, false, 0, &pt), printed;

    if (status == EXIT_VALUE)
        status = tasks_find(line, pt, wish, TASKS_LOOK, &tasks);
    if (status != EXIT_VALUE)
        return status;
    printed = line->json ? print_json(line, &tasks, false) : print_table(line, &tasks, columns);
    status = tasks.status != EXIT_VALUE ? tasks.status : printed;
    tasks_deinit(&tasks);
    return status;
}

static int run_ls(const struct command_line *line)
{
    struct tasks_wish wish = { 0 };
    struct columns columns;
    int status = take_columns(line, COLUMNS, &columns);

    for (size_t i = 0; i < line->n && status == EXIT_VALUE; i++) {
        if (line->items[i].id != OPTION_COLUMNS)
            continue;
        if (line->json)
            return command_line_wrong(line, "--columns is for the table: as JSON all fields are there");
        status = take_columns(line, line->items[i].text, &columns);
    }
    columns.columns[columns.n] = (struct column){ 0 };
    if (status == EXIT_VALUE)
        status = tasks_take(line, 0, command_line_words(line), &wish);
    if (status == EXIT_VALUE)
        status = list(line, &wish, &columns);
    tasks_wish_deinit(&wish);
    return status;
}

const struct verb verb_ls = {
    .name = "ls",
    .alias = "jobs",
    .summary = "list queued tasks",
    .usage = ls_usage,
    .about = "Lists the queued tasks of this user, those that wait, those that run, and those that have ended and are\n"
             "not forgotten yet: all, or those with these IDs and for which all of the options hold.\n" TASKS_IDS_HELP
                 TASKS_EXPR_HELP,
    .options = ls_options,
    .run = run_ls,
};

/* -- all about some --------------------------------------------------------------------------------------- */

/* Its arguments as JSON, cut where they get long: whole they are in the document. */
static char *arguments(const ptools_queued_info *info)
{
    struct json_writer w = { 0 };
    char *text = NULL;
    size_t n;

    w.out = open_memstream(&text, &n);
    if (!w.out)
        return NULL;
    json_put_value(&w, info->args);
    if (fclose(w.out) != 0 || w.no_memory) {
        free(text);
        return NULL;
    }
    if (n > ARGUMENTS_BYTES) {
        for (n = ARGUMENTS_BYTES - 3; n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80;)
            n--;
        memcpy(text + n, "...", 4);
    }
    return text;
}

/* A row for each. */
static void add_lines(struct table *table, const char *title, char *lines)
{
    for (char *line = strtok_r(lines, "\n", &lines); line; line = strtok_r(NULL, "\n", &lines)) {
        table_add_pair(table, title, line);
        title = "";
    }
}

static int print_one(const ptools_queued_info *info)
{
    struct table *table = table_new_pairs();
    const int64_t now_ms = times_now_ms();
    char *text;
    int r;

    if (!table)
        return -1;
    for (const struct task_field *f = task_fields; f->name; f++) {
        text = text_of(f, info, now_ms);
        if (text && f->lines)
            add_lines(table, f->title, text);
        else if (!text || *text)
            table_add_pair(table, f->title, text);
        free(text);
    }
    text = arguments(info);
    table_add_pair(table, "called with", text);
    free(text);
    r = table_print(table);
    table_free(table);
    return r;
}

static int print_all(const struct command_line *line, const struct tasks *tasks)
{
    int r = 0;

    if (line->json)
        return print_json(line, tasks, true);
    for (size_t i = 0; i < tasks->n && r == 0; i++) {
        if (i > 0)
            putchar('\n');
        r = print_one(tasks->items[i].info);
    }
    return r < 0 ? failure_report_code(line, PTOOLS_ERR_NO_MEMORY, NULL) : EXIT_VALUE;
}

static int inform(const struct command_line *line, const struct tasks_wish *wish)
{
    PTOOLS_AUTO(ptools) pt = NULL;
    struct tasks tasks;
    int status = session_open(line, false, 0, &pt), printed;

    if (status == EXIT_VALUE)
        status = tasks_find(line, pt, wish, TASKS_LOOK | TASKS_ARGS, &tasks);
    if (status != EXIT_VALUE)
        return status;
    printed = tasks.n > 0 || line->json ? print_all(line, &tasks) : EXIT_VALUE;
    status = tasks.status != EXIT_VALUE ? tasks.status : printed;
    tasks_deinit(&tasks);
    return status;
}

static int run_info(const struct command_line *line)
{
    struct tasks_wish wish = { 0 };
    int status = tasks_take(line, 0, command_line_words(line), &wish);

    if (status == EXIT_VALUE && !tasks_narrowed(&wish))
        status = command_line_wrong(line, "which tasks? An ID, --state, --tag or --where is missing");
    if (status == EXIT_VALUE)
        status = inform(line, &wish);
    tasks_wish_deinit(&wish);
    return status;
}

const struct verb verb_info = {
    .name = "info",
    .summary = "tell all about queued tasks, with their arguments",
    .usage = info_usage,
    .about = "Tells all that is known about queued tasks: times, attempts, why one failed, what it was called "
             "with.\n" TASKS_IDS_HELP TASKS_EXPR_HELP,
    .options = info_options,
    .run = run_info,
};
