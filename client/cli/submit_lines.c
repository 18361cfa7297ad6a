/* SPDX-License-Identifier: MIT */
/*
 * submit_lines -- `ptools submit --stdin` and `--lines`: a task for each line of JSON, or of text, and an id for each,
 * in their order.
 *
 * Thousands are under way at once: they are sent corked, and their ids printed as the oldest one is accepted. Whenever
 * no line is there to be read, all that are under way are waited for first, so that a program that writes a line and
 * waits for its id gets it.
 *
 * A line is read wholly before anything of it is queued: with a mistake in it, nothing is.
 */
#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/failure.h"
#include "client/cli/json.h"
#include "client/cli/lines.h"
#include "client/cli/notify.h"
#include "client/cli/session.h"
#include "client/cli/verb_submit.h"
#include "client/cli/words.h"

enum { UNDER_WAY_MAX = 4096 };

struct under_way {
    ptools_future *f;
    uint64_t line;
    ptools_durability durability;
};
struct task { /* that a line says */
    struct submission s;
    struct program program;
    const char **argv; /* of a command; NULL: it is a function ... */
    size_t n;
    bool args; /* ... with arguments */
};
struct batch {
    struct command_line line; /* with the number of the line that is worked on */
    const struct submit_lines_wish *wish;
    bool failed;
    ptools *pt;
    ptools_pack *args;
    struct submission_set set;
    struct under_way under_way[UNDER_WAY_MAX]; /* a ring */
    size_t first, n;
    struct lines lines;
};

/* -- what is under way ------------------------------------------------------------------------------------ */

static bool goes_on(const struct batch *b)
{
    return !b->failed || !b->wish->fail_fast;
}

static void print_id(const struct batch *b, uint64_t task, uint64_t number)
{
    struct json_writer w = { .out = stdout };

    if (!b->line.json) {
        printf("%" PRIu64 "\n", task);
        return;
    }
    json_open(&w, '{');
    json_key(&w, "schema");
    json_put_u64(&w, 1);
    json_key(&w, "task");
    json_put_u64(&w, task);
    json_key(&w, "line");
    json_put_u64(&w, number);
    json_close(&w, '}');
    putchar('\n');
}

/* Waits for the oldest. */
static void finish_one(struct batch *b)
{
    struct under_way *oldest = &b->under_way[b->first];
    const uint64_t number = b->line.input_line;
    ptools_value nothing;
    ptools_err r = ptools_future_fetch(oldest->f, PTOOLS_FOREVER, &nothing);

    if (r == PTOOLS_OK) {
        b->line.input_line = oldest->line;
        if (b->wish->notify && notify_queue(&b->line, b->pt, b->wish->notify, ptools_future_task(oldest->f),
                                            oldest->durability) != EXIT_VALUE)
            b->failed = true;
        print_id(b, ptools_future_task(oldest->f), oldest->line);
        b->line.input_line = number;
    } else {
        b->line.input_line = oldest->line;
        b->failed = true;
        if (ptools_future_failure(oldest->f))
            failure_report(&b->line, ptools_future_failure(oldest->f), failure_exit_status(r));
        else
            failure_report_last(&b->line, b->pt, r);
        b->line.input_line = number;
    }
    ptools_future_free(oldest->f);
    b->first = (b->first + 1) % UNDER_WAY_MAX;
    b->n--;
}

static void finish_all(struct batch *b)
{
    while (b->n > 0)
        finish_one(b);
    failure_flush_output();
}

static void start(struct batch *b, const ptools_worker_task *task)
{
    struct under_way *next;
    ptools_err r;

    if (b->n == UNDER_WAY_MAX)
        finish_one(b);
    next = &b->under_way[(b->first + b->n) % UNDER_WAY_MAX];
    r = ptools_queue_worker_task_start(b->pt, task, &next->f);
    if (r != PTOOLS_OK) {
        b->failed = true;
        failure_report_last(&b->line, b->pt, r);
        return;
    }
    next->line = b->line.input_line;
    next->durability = task->durability;
    b->n++;
}

/* -- a line ----------------------------------------------------------------------------------------------- */

static int wrong_field(const struct batch *b, const char *name, const char *why)
{
    return command_line_wrong(&b->line, "\"%.60s\": %s", name, why);
}

/* The text of a string or a number; NULL: it is neither, or no C string. */
static const char *text_of(struct json_object *value)
{
    const char *s;

    if (json_object_is_type(value, json_type_string)) {
        s = json_object_get_string(value);
        return strlen(s) == (size_t)json_object_get_string_len(value) ? s : NULL;
    }
    if (json_object_is_type(value, json_type_int) || json_object_is_type(value, json_type_double))
        return json_object_to_json_string_ext(value, JSON_C_TO_STRING_PLAIN);
    return NULL;
}

static bool adds_up(int field)
{
    return field == SUBMISSION_WORKER || field == SUBMISSION_HOST || field == SUBMISSION_RETRY_ON ||
           field == SUBMISSION_TAG || field == SUBMISSION_AFTER || field == PROGRAM_ENV || field == PROGRAM_ARRAY;
}

static int set_one(const struct batch *b, const struct option_row *row, struct json_object *value, struct task *t)
{
    char why[SUBMISSION_WHY_BYTES] = "";
    const char *text = text_of(value);
    int r;

    if (!text)
        return wrong_field(b, row->name,
                           adds_up(row->id) ? "allowed are a string, a number, or a list of them"
                                            : "allowed are a string and a number");
    if (row->id >= SUBMISSION_FIELDS)
        return program_take(&b->line, &(struct item){ row->id, text }, &t->program);
    r = submission_set(&t->s, row->id, text, why);
    return r == 0   ? EXIT_VALUE
           : r == 1 ? wrong_field(b, row->name, why)
                    : failure_report_code(&b->line, PTOOLS_ERR_NO_MEMORY, NULL);
}

static int set_flag(const struct batch *b, const struct option_row *row, struct json_object *value, struct task *t)
{
    char why[SUBMISSION_WHY_BYTES] = "";

    if (!json_object_is_type(value, json_type_boolean))
        return wrong_field(b, row->name, "allowed are true and false");
    if (!json_object_get_boolean(value))
        return EXIT_VALUE;
    if (row->id >= SUBMISSION_FIELDS)
        return program_take(&b->line, &(struct item){ row->id, NULL }, &t->program);
    return submission_set(&t->s, row->id, NULL, why) != 0 ? wrong_field(b, row->name, why) : EXIT_VALUE;
}

static bool is_field(int id)
{
    return id < SUBMISSION_FIELDS || (id >= PROGRAM_ENV && id < PROGRAM_OPTIONS_END && id != PROGRAM_STDIN);
}

static int set_field(const struct batch *b, const char *name, struct json_object *value, struct task *t)
{
    const struct option_row *row = submit_options;
    struct nearest near;
    char why[176];
    int status = EXIT_VALUE;

    nearest_init(&near, name);
    nearest_offer(&near, "function");
    nearest_offer(&near, "args");
    nearest_offer(&near, "command");
    for (; row->name; row++) {
        if (!is_field(row->id))
            continue;
        if (strcmp(row->name, name) == 0)
            break;
        nearest_offer(&near, row->name);
    }
    if (!row->name) {
        snprintf(why, sizeof why,
                 "there is no such field%s%s; there are function, args, command, and the options of submit",
                 near.best ? "; the nearest is " : "", near.best ? near.best : "");
        return wrong_field(b, name, why);
    }
    if (!row->value)
        return set_flag(b, row, value, t);
    if (!json_object_is_type(value, json_type_array) || !adds_up(row->id))
        return set_one(b, row, value, t);
    for (size_t i = 0; i < json_object_array_length(value) && status == EXIT_VALUE; i++)
        status = set_one(b, row, json_object_array_get_idx(value, i), t);
    return status;
}

static int set_function(const struct batch *b, struct json_object *value, struct submission *s)
{
    const char *function = json_object_is_type(value, json_type_string) ? text_of(value) : NULL;

    if (!function || !words_function(function))
        return wrong_field(b, "function", "it is MODULE.FUNCTION, each 1 to 64 of A-Z a-z 0-9 _ -");
    s->task.function = function;
    return EXIT_VALUE;
}

static int set_args(const struct batch *b, struct json_object *value, struct task *t)
{
    char why[JSON_WHY_BYTES] = "";
    int r;

    if (!json_object_is_type(value, json_type_array))
        return wrong_field(b, "args", "it is a list, [1, \"two\"]");
    t->args = true;
    r = json_append_items(value, b->args, why);
    if (r == JSON_CANNOT)
        return wrong_field(b, "args", why);
    if (r == 0 && ptools_pack_error(b->args) == PTOOLS_OK)
        return EXIT_VALUE;
    return failure_report_code(&b->line, r == 0 ? ptools_pack_error(b->args) : PTOOLS_ERR_NO_MEMORY, NULL);
}

/* The words of a command; they live as long as value. */
static int set_command(const struct batch *b, struct json_object *value, struct task *t)
{
    const size_t n = json_object_is_type(value, json_type_array) ? json_object_array_length(value) : 0;

    free(t->argv);
    t->argv = calloc(n + 1, sizeof *t->argv);
    if (!t->argv)
        return failure_report_code(&b->line, PTOOLS_ERR_NO_MEMORY, NULL);
    for (t->n = 0; t->n < n; t->n++) {
        t->argv[t->n] = text_of(json_object_array_get_idx(value, t->n));
        if (!t->argv[t->n])
            break;
    }
    return n > 0 && t->n == n && *t->argv[0]
               ? EXIT_VALUE
               : wrong_field(b, "command", "it is a list of strings that begins with a name, [\"gzip\", \"a file\"]");
}

/* A function with its arguments, or a command. */
static int check_what(const struct batch *b, const struct task *t)
{
    if (t->argv && (t->s.task.function || t->args))
        return wrong_field(b, "command", "there is function or args, too");
    if (!t->argv && !t->s.task.function)
        return wrong_field(b, "function", "it is missing, and there is no command");
    if (!t->argv && t->program.given)
        return wrong_field(b, "function", "and something that is said of commands alone");
    return EXIT_VALUE;
}

/* What these options say, and what was said before does not. */
static int set_from(const struct batch *b, const struct command_line *options, struct task *t)
{
    const uint64_t given = t->s.given;
    int status = EXIT_VALUE;

    for (size_t i = 0; i < options->n && status == EXIT_VALUE; i++) {
        const struct item *item = &options->items[i];

        if (item->id < SUBMISSION_FIELDS && item->id != ITEM_WORD && !(given >> submission_group(item->id) & 1))
            status = submit_take(&b->line, item, &t->s);
    }
    return status;
}

/* The line goes before the command line, and that before the script. */
static int set_rest(const struct batch *b, struct task *t)
{
    char why[SUBMISSION_WHY_BYTES] = "";
    int status = set_from(b, &b->line, t);

    if (status == EXIT_VALUE && b->wish->text)
        status = set_from(b, b->wish->script, t);
    if (status == EXIT_VALUE && submission_check(&t->s, why) != 0)
        status = command_line_wrong(&b->line, "%s", why);
    return status;
}

static int set_fields(const struct batch *b, struct json_object *o, struct task *t)
{
    struct submission *s = &t->s;
    int status = EXIT_VALUE;

    json_object_object_foreach(o, name, value)
    {
        if (status != EXIT_VALUE)
            break;
        status = strcmp(name, "function") == 0  ? set_function(b, value, s)
                 : strcmp(name, "args") == 0    ? set_args(b, value, t)
                 : strcmp(name, "command") == 0 ? set_command(b, value, t)
                                                : set_field(b, name, value, t);
    }
    if (status == EXIT_VALUE)
        status = check_what(b, t);
    if (status == EXIT_VALUE)
        status = set_rest(b, t);
    return status;
}

static bool names_others(const struct submission *s)
{
    for (size_t i = 0; i < s->ids.n; i++)
        if (s->ids.items[i].kind != ID_NUMBER)
            return true;
    return false;
}

/* o: the line; NULL: it is text, and the command is known. */
static int submit(struct batch *b, struct task *t, struct json_object *o)
{
    int status = o ? set_fields(b, o, t) : set_rest(b, t);

    if (status == EXIT_VALUE && names_others(&t->s))
        finish_all(b); /* it may mean one of the lines before */
    if (status == EXIT_VALUE)
        status = submission_task(&b->line, b->pt, &t->s, &b->set);
    if (status == EXIT_VALUE && t->argv) {
        t->s.task.function = PROGRAM_FUNCTION;
        status = program_pack(&b->line, b->pt, &t->program, t->argv, t->n, b->args);
    }
    if (status == EXIT_VALUE) {
        t->s.task.args = b->args;
        start(b, &t->s.task);
    }
    return status;
}

static void submit_json(struct batch *b, struct task *t, const char *text, size_t n)
{
    struct json_object *o = NULL;
    char why[JSON_WHY_BYTES] = "";
    int status, r;

    r = strlen(text) == n ? json_parse(text, &o, why) : JSON_NOT;
    if (r == 0 && json_object_is_type(o, json_type_object))
        status = submit(b, t, o);
    else if (r == JSON_CANNOT)
        status = command_line_wrong(&b->line, "%s", why);
    else if (r == -ENOMEM)
        status = failure_report_code(&b->line, PTOOLS_ERR_NO_MEMORY, NULL);
    else
        status = command_line_wrong(&b->line,
                                    "it is no JSON object, such as {\"function\": \"math.square\", \"args\": [12]}");
    if (r == 0)
        json_object_put(o);
    b->failed |= status != EXIT_VALUE;
}

/* The line is the last word of the command. */
static void submit_text(struct batch *b, struct task *t, const char *text, size_t n)
{
    int status;

    if (strlen(text) != n) {
        status = command_line_wrong(&b->line, "there is a NUL in it, and words of commands have none");
    } else if (!(t->argv = calloc(b->wish->n + 1, sizeof *t->argv))) {
        status = failure_report_code(&b->line, PTOOLS_ERR_NO_MEMORY, NULL);
    } else {
        memcpy(t->argv, b->wish->argv, b->wish->n * sizeof *t->argv);
        t->argv[b->wish->n] = text;
        t->n = b->wish->n + 1;
        status = submit(b, t, NULL);
    }
    b->failed |= status != EXIT_VALUE;
}

/* text ends with a NUL, and has n bytes. */
static void work(struct batch *b, const char *text, size_t n)
{
    struct task t = { .program = *b->wish->program };

    b->line.input_line = b->lines.number;
    if (strspn(text, " \t\r") == n)
        return;
    t.program.given = false; /* what the command line says of commands is no mistake here */
    submission_init(&t.s);
    ptools_pack_reset(b->args);
    if (b->wish->text)
        submit_text(b, &t, text, n);
    else
        submit_json(b, &t, text, n);
    submission_deinit(&t.s);
    free(t.argv);
}

/* -- lines ------------------------------------------------------------------------------------------------ */

static int read_and_work(struct batch *b)
{
    int r = 1;

    while (r > 0 && goes_on(b) && !ferror(stdout)) {
        char *text = NULL;
        size_t n = 0;

        r = lines_next(&b->lines, b->n == 0, &text, &n);
        if (r == LINES_NONE_YET)
            finish_all(b);
        else if (r == 1)
            work(b, text, n);
    }
    return r;
}

static int run(struct batch *b)
{
    char message[LINES_WHY_BYTES];
    int status, r;

    status = session_open(&b->line, false, 0, &b->pt);
    if (status != EXIT_VALUE)
        return status;
    ptools_cork(b->pt);
    r = read_and_work(b);
    ptools_uncork(b->pt);
    finish_all(b);
    b->line.input_line = 0;
    if (r < 0)
        return failure_report_code(&b->line, lines_error(r, message), message);
    return b->failed ? EXIT_PTOOLS : EXIT_VALUE;
}

int submit_lines(const struct command_line *line, const struct submit_lines_wish *wish)
{
    struct batch *b = calloc(1, sizeof *b);
    int status;

    if (!b)
        return failure_report_code(line, PTOOLS_ERR_NO_MEMORY, NULL);
    b->line = *line;
    b->wish = wish;
    b->args = ptools_pack_new();
    status = lines_init(&b->lines, STDIN_FILENO, '\n') == 0 && b->args
                 ? run(b)
                 : failure_report_code(line, PTOOLS_ERR_NO_MEMORY, NULL);
    ptools_workerset_free(b->set.set);
    ptools_pack_free(b->args);
    ptools_close(b->pt);
    lines_deinit(&b->lines);
    free(b);
    return status;
}
