/* SPDX-License-Identifier: MIT */
/*
 * verb_pmap -- `ptools pmap`: a function over many items, or a command, which stands behind --. Here its command line
 * is read; pmap_run.c and pmap_jobs.c do the rest.
 */
#include "client/cli/verb_pmap.h"

#include <errno.h>
#include <json-c/json.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/arguments.h"
#include "client/cli/callee.h"
#include "client/cli/failure.h"
#include "client/cli/json.h"
#include "client/cli/rehearse.h"
#include "client/cli/verbs.h"
#include "client/cli/waiting.h"
#include "client/cli/words.h"

enum { BATCH_MAX = 65536, BACKOFF_MAX_MS = 60000 };
enum {
    OPTION_NULL = SUBMISSION_FIELDS,
    OPTION_JSON_LINES,
    OPTION_UNORDERED,
    OPTION_ISOLATED,
    OPTION_BATCH_SIZE,
    OPTION_ON_ERROR,
    OPTION_ITEM_TIMEOUT,
    OPTION_INIT,
    OPTION_CAPTURED,
    OPTION_BAR,
    OPTION_NO_BAR,
    OPTION_PROGRESS,
    OPTION_REHEARSE,
    OPTION_REHEARSE_ONLY,
    OPTION_NO_PRIVATE,
    OPTION_WORKERS,
    OPTION_KEEP_ORDER,
    OPTION_TIMEOUT_ALL,
    OPTION_ETA
};

static const struct option_row options[] = {
    { OPTION_STRING, 's', "string", NULL, "the ARGs that follow are strings, whatever they look like" },
    { OPTION_NULL, '0', "null", NULL, "items on standard input end with NUL, not with a newline" },
    { OPTION_JSON_LINES, '\0', "json-lines", NULL, "items on standard input are JSON: a list of arguments, or one" },
    { JOBS_ARG_FILE, 'a', "arg-file", "FILE", "CMD: items are the lines of FILE; several make products, as :::: does" },
    { JOBS_COLSEP, 'C', "colsep", "SEP",
      "CMD: a line has several values, {1}, {2}: SEP, a character or a pattern, between" },
    { JOBS_CSV, '\0', "csv", NULL, "CMD: ... as in CSV, with quotes, and commas or SEP between" },
    { JOBS_HEADER, '\0', "header", ":", "CMD: the first line has the names of the values, which {NAME} stands for" },
    { JOBS_MAX_ARGS, 'n', "max-args", "N",
      "CMD: so many lines or values make an item (0: one, and it is not inserted)" },
    { JOBS_SHUF, '\0', "shuf", NULL, "CMD: begin and show them in a random order" },
    { JOBS_PIPE, '\0', "pipe", NULL, "CMD: give standard input to the commands, in blocks that end with a line" },
    { JOBS_BLOCK, '\0', "block", "SIZE", "CMD: about so much in each (default 1M)" },
    { JOBS_JOBS, 'j', "jobs", "N|N%|+N",
      "CMD: so many at once, or N% of the processors (of the set), or N more (default: all)" },
    { OPTION_KEEP_ORDER, 'k', "keep-order", NULL, "outcomes in the order of the items (the default)" },
    { OPTION_UNORDERED, '\0', "unordered", NULL, "outcomes as they come, each with its index" },
    { JOBS_TAG, '\0', "tag", NULL, "CMD: the values of its item go before each line of output" },
    { JOBS_TAG_STRING, '\0', "tagstring", "TEXT", "CMD: ... or TEXT, in which placeholders are replaced" },
    { JOBS_DRY_RUN, '\0', "dry-run", NULL, "CMD: print the commands that would run, quoted, and run none" },
    { JOBS_JOBLOG, '\0', "joblog", "FILE", "CMD: write a line for each that has ended, in GNU parallel's columns" },
    { JOBS_RESUME, '\0', "resume", NULL, "CMD: leave out what stands in the job log" },
    { JOBS_RESUME_FAILED, '\0', "resume-failed", NULL, "CMD: ... but for what failed" },
    { JOBS_RESULTS, '\0', "results", "DIR", "CMD: keep what each writes in DIR/1/VALUE/2/VALUE/stdout and stderr" },
    { JOBS_HALT, '\0', "halt", "WHEN,WHY=N",
      "CMD: end soon or now at fail=N, success=N or done=N, or N% (default never)" },
    { SUBMISSION_RETRIES, '\0', "retries", "N", "the same as --attempts" },
    PROGRAM_ROWS("CMD: "),
    { PROGRAM_STDIN, '\0', "stdin", "FILE", "CMD: what each of them reads (default: nothing)" },
    { OPTION_ON_ERROR, '\0', "on-error", "HOW", "keep (the others go on; the default), stop, or default=VALUE" },
    { SUBMISSION_ATTEMPTS, '\0', "attempts", "N", "try an item so often at most (default once)" },
    { SUBMISSION_RETRY_ON, '\0', "retry-on", "CAUSE,...", "try again if it died, failed, timeout (default: all)" },
    { SUBMISSION_BACKOFF, '\0', "backoff", "TIME[,TIME]",
      "before the second attempt; doubled for each, up to the second" },
    { OPTION_ITEM_TIMEOUT, '\0', "item-timeout", "TIME", "stop each attempt after so long" },
    { SUBMISSION_GRACE, '\0', "grace", "TIME",
      "what is stopped is killed after so long (default: as the daemon is set)" },
    { OPTION_TIMEOUT, '\0', "timeout", "TIME|N%",
      "CMD: as --item-timeout, or N% of the median; else as --timeout-all" },
    { OPTION_TIMEOUT_ALL, '\0', "timeout-all", "TIME", "stop it all after so long (exit status 124)" },
    { OPTION_BATCH_SIZE, '\0', "batch-size", "N", "items in a message (default: as many as take 4 ms)" },
    { OPTION_INIT, '\0', "init", "FUNCTION", "run this once in each worker, before its first item" },
    { OPTION_CAPTURED, '\0', "captured", "LIST", "arguments before those of each item, which travel once: JSON" },
    { SUBMISSION_SET, '\0', "set", "NAME", "workers of this set, by its rule (default: the first free of all)" },
    { SUBMISSION_WORKER, '\0', "worker", "ID,...", "these workers and no others" },
    { OPTION_ISOLATED, '\0', "isolated", NULL, "each item in a process of its own, a copy of a fresh worker" },
    { SUBMISSION_PRIORITY, '\0', "priority", "N", "lower runs first, among what this user has waiting (default inf)" },
    { OPTION_REHEARSE, '\0', "rehearse", "[=N]", "run N items (default 7) first, and tell time and memory" },
    { OPTION_REHEARSE_ONLY, '\0', "rehearse-only", NULL, "... and no others" },
    { OPTION_BAR, '\0', "bar", NULL, "draw on standard error how far it is (default: if that is a terminal" },
    { OPTION_NO_BAR, '\0', "no-bar", NULL, "... and standard output is none); do not" },
    { OPTION_ETA, '\0', "eta", NULL, "the same as --bar" },
    { OPTION_PROGRESS, '\0', "progress", NULL, "tell that in a line every 5 seconds, for logs" },
    { OPTION_NO_PRIVATE, '\0', "no-private", NULL, "where no daemon runs, do not start a private one" },
    { OPTION_WORKERS, '\0', "workers", "N", "workers of the private daemon (default: one a processor)" },
    { 0 },
};

static const char *const usage[] = { "[OPTION...] MODULE.FUNCTION ARG...",
                                     "[OPTION...] [--null|--json-lines] MODULE.FUNCTION <ITEMS",
                                     "[OPTION...] -- CMD [ARG|{}]... ::: VALUE... [:::+ VALUE...] [:::: FILE...]",
                                     "[OPTION...] [--null|--csv|--pipe] -- CMD [ARG|{}]... <ITEMS", NULL };

/* -- options ----------------------------------------------------------------------------------------------- */

/* As an ARG of the command line. */
static int take_value(const struct command_line *line, const char *text, ptools_pack **ret)
{
    char why[ARGUMENTS_WHY_BYTES] = "";
    ptools_err err;

    ptools_pack_free(*ret);
    *ret = ptools_pack_new();
    err = *ret ? arguments_add_word(*ret, text, why) : PTOOLS_ERR_NO_MEMORY;
    if (err == PTOOLS_OK)
        err = ptools_pack_error(*ret);
    if (err == PTOOLS_OK)
        return EXIT_VALUE;
    return err == PTOOLS_ERR_INVALID ? command_line_wrong(line, "--on-error default=%.60s: %s", text, why)
                                     : failure_report_code(line, err, why);
}

static int take_on_error(const struct command_line *line, const char *text, struct pmap_wish *wish)
{
    static const char value[] = "default=";

    wish->map.default_value = NULL;
    if (strcmp(text, "keep") == 0) {
        wish->map.on_error = PTOOLS_ON_ERROR_KEEP;
    } else if (strcmp(text, "stop") == 0) {
        wish->map.on_error = PTOOLS_ON_ERROR_STOP;
    } else if (strncmp(text, value, strlen(value)) == 0) {
        int status = take_value(line, text + strlen(value), &wish->default_value);

        wish->map.on_error = PTOOLS_ON_ERROR_DEFAULT;
        wish->map.default_value = wish->default_value;
        return status;
    } else {
        return command_line_wrong(line, "--on-error %s: allowed are keep, stop and default=VALUE", text);
    }
    return EXIT_VALUE;
}

static int take_captured(const struct command_line *line, const char *text, struct pmap_wish *wish)
{
    char why[JSON_WHY_BYTES] = "it is no JSON list";
    struct json_object *o = NULL;
    int r = json_parse(text, &o, why);

    ptools_pack_free(wish->captured);
    wish->captured = ptools_pack_new();
    if (r == 0 && !wish->captured)
        r = -ENOMEM;
    if (r == 0)
        r = json_object_is_type(o, json_type_array) ? json_append_items(o, wish->captured, why) : JSON_NOT;
    json_object_put(o);
    if (r == JSON_NOT || r == JSON_CANNOT)
        return command_line_wrong(line, "--captured %.60s: %s; it is a list, such as [1, \"two\"]", text, why);
    if (r != 0 || ptools_pack_error(wish->captured) != PTOOLS_OK)
        return failure_report_code(line, r != 0 ? PTOOLS_ERR_NO_MEMORY : ptools_pack_error(wish->captured), NULL);
    wish->map.captured = wish->captured;
    return EXIT_VALUE;
}

static int take_submission(const struct command_line *line, const struct item *item, struct pmap_wish *wish)
{
    char why[SUBMISSION_WHY_BYTES] = "";
    const struct option_row *row = options;
    int r;

    while (row->id != item->id)
        row++;
    r = submission_set(&wish->s, item->id, item->text, why);
    return r == 0   ? EXIT_VALUE
           : r == 1 ? command_line_wrong(line, "--%s: %s", row->name, why)
                    : failure_report_code(line, PTOOLS_ERR_NO_MEMORY, NULL);
}

static int take_time(const struct command_line *line, const char *name, const char *text, int64_t *ret)
{
    return words_duration(text, ret) ? EXIT_VALUE : command_line_wrong(line, "--%s %s: " WORDS_DURATIONS, name, text);
}

static int take_rehearse(const struct command_line *line, const char *text, struct pmap_wish *wish)
{
    uint32_t n = REHEARSE_ITEMS;

    if (text && (!words_number(text, &n) || n > REHEARSE_ITEMS_MAX))
        return command_line_wrong(line, "--rehearse=%s: allowed is a number of items from 1 to %d", text,
                                  REHEARSE_ITEMS_MAX);
    wish->rehearse = n;
    return EXIT_VALUE;
}

static int take_batch_size(const struct command_line *line, const char *text, struct pmap_wish *wish)
{
    if (words_number(text, &wish->map.batch_size) && wish->map.batch_size <= BATCH_MAX)
        return EXIT_VALUE;
    return command_line_wrong(line, "--batch-size %s: allowed is a number from 1 to %d", text, BATCH_MAX);
}

static int take_option(const struct command_line *line, const struct item *item, struct pmap_wish *wish)
{
    switch (item->id) {
    case ITEM_WORD:
    case OPTION_STRING:
        break;
    case OPTION_NULL:
        wish->separator = wish->jobs.sources.separator = '\0';
        break;
    case OPTION_KEEP_ORDER:
        wish->map.flags &= ~(uint32_t)PTOOLS_PMAP_UNORDERED;
        break;
    case OPTION_JSON_LINES:
        wish->form = PMAP_JSON;
        break;
    case OPTION_UNORDERED:
        wish->map.flags |= PTOOLS_PMAP_UNORDERED;
        break;
    case OPTION_ISOLATED:
        wish->map.flags |= PTOOLS_PMAP_ISOLATED;
        break;
    case OPTION_BATCH_SIZE:
        return take_batch_size(line, item->text, wish);
    case OPTION_ON_ERROR:
        return take_on_error(line, item->text, wish);
    case OPTION_ITEM_TIMEOUT:
        return take_time(line, "item-timeout", item->text, &wish->map.item_timeout_ms);
    case OPTION_TIMEOUT:
        if (line->command && jobs_wish_take_percent(item->text, &wish->jobs))
            break;
        wish->jobs.timeout_percent = 0;
        return take_time(line, "timeout", item->text,
                         line->command ? &wish->map.item_timeout_ms : &wish->map.timeout_ms);
    case OPTION_TIMEOUT_ALL:
        return take_time(line, "timeout-all", item->text, &wish->map.timeout_ms);
    case OPTION_INIT:
        wish->map.init = item->text;
        if (!words_function(item->text))
            return command_line_wrong(line, "--init %.140s names no function: it is MODULE.FUNCTION", item->text);
        break;
    case OPTION_CAPTURED:
        return take_captured(line, item->text, wish);
    case OPTION_BAR:
    case OPTION_ETA:
        wish->bar = BAR_DRAWN;
        break;
    case OPTION_NO_BAR:
        wish->bar = BAR_NONE;
        break;
    case OPTION_PROGRESS:
        wish->bar = BAR_LINES;
        break;
    case OPTION_REHEARSE_ONLY:
        wish->rehearse = wish->rehearse ? wish->rehearse : REHEARSE_ITEMS;
        wish->rehearse_only = true;
        break;
    case OPTION_REHEARSE:
        return take_rehearse(line, item->text, wish);
    case OPTION_NO_PRIVATE:
        wish->no_private = true;
        break;
    case OPTION_WORKERS:
        if (!words_number(item->text, &wish->workers))
            return command_line_wrong(line, "--workers %s: allowed is a number, 1 or more", item->text);
        break;
    default:
        return jobs_wish_has(item->id) ? jobs_wish_take(line, item, &wish->jobs) : take_submission(line, item, wish);
    }
    return EXIT_VALUE;
}

/* -- all of it --------------------------------------------------------------------------------------------- */

static bool is_cause(const ptools_item *item, void *arg)
{
    const struct pmap_wish *wish = arg;
    const uint32_t causes = wish->s.task.retry_on;

    switch (item->err) {
    case PTOOLS_ERR_WORKER_DIED:
    case PTOOLS_ERR_OUT_OF_MEMORY:
        return causes & PTOOLS_RETRY_DIED;
    case PTOOLS_ERR_DEADLINE:
        return causes & PTOOLS_RETRY_TIMEOUT;
    default:
        return causes & PTOOLS_RETRY_FAILED;
    }
}

static void set_how(struct pmap_wish *wish)
{
    const ptools_worker_task *task = &wish->s.task;
    const int64_t max = task->backoff_max_ms ? task->backoff_max_ms : BACKOFF_MAX_MS;
    int64_t ms = task->backoff_ms;

    wish->map.retry_delays_ms = wish->delays;
    for (uint32_t i = 1; i < task->attempts; i++) {
        wish->delays[wish->map.n_retry_delays++] = ms;
        ms = 2 * ms < max ? 2 * ms : ms < max ? max : ms;
    }
    if (task->retry_on) {
        wish->map.retry_check = is_cause;
        wish->map.arg = wish;
    }
    wish->map.priority = task->priority;
    wish->map.grace_ms = task->grace_ms;
}

static int check_attempts(const struct command_line *line, struct pmap_wish *wish)
{
    char why[SUBMISSION_WHY_BYTES] = "";

    if (submission_check(&wish->s, why) != 0)
        return command_line_wrong(line, "%s", why);
    if (wish->s.task.attempts < 2 && (wish->s.task.retry_on || wish->s.task.backoff_ms))
        return command_line_wrong(line, "--%s belongs to --attempts", wish->s.task.retry_on ? "retry-on" : "backoff");
    return EXIT_VALUE;
}

static const char *name_of(int id)
{
    const struct option_row *row = options;

    while (row->id != id)
        row++;
    return row->name;
}

static int check_function(const struct command_line *line, struct pmap_wish *wish)
{
    const bool words = command_line_words(line) > 1;

    for (size_t i = 0; i < line->n; i++) {
        if (jobs_wish_has(line->items[i].id))
            return command_line_wrong(line, "--%s is about commands, which stand behind --",
                                      name_of(line->items[i].id));
        if (line->items[i].id == OPTION_STRING && !words)
            return command_line_wrong(line, "--string is about ARGs, and there are none: lines are strings anyway");
    }
    if (words && (wish->form == PMAP_JSON || wish->separator == '\0'))
        return command_line_wrong(line, "--%s is about standard input, and there are ARGs",
                                  wish->form == PMAP_JSON ? "json-lines" : "null");
    if (wish->form == PMAP_JSON && wish->separator == '\0')
        return command_line_wrong(line, "--null and --json-lines exclude each other");
    if (words)
        wish->form = PMAP_WORDS;
    return EXIT_VALUE;
}

static int check_command(const struct command_line *line, struct pmap_wish *wish)
{
    static const int others[] = { OPTION_STRING, OPTION_JSON_LINES, OPTION_ISOLATED, OPTION_INIT, OPTION_CAPTURED };
    struct jobs_wish *jobs = &wish->jobs;

    for (size_t i = 0; i < line->n; i++)
        for (size_t k = 0; k < sizeof others / sizeof others[0]; k++)
            if (line->items[i].id == others[k])
                return command_line_wrong(line, "--%s is about functions, and a command stands behind --",
                                          name_of(others[k]));
    if (wish->map.on_error == PTOOLS_ON_ERROR_DEFAULT)
        return command_line_wrong(line, "--on-error default=VALUE is about functions; a command has no value");
    if (wish->map.on_error == PTOOLS_ON_ERROR_STOP && jobs->halt.when == HALT_NEVER)
        jobs->halt = (struct halt){ .when = HALT_NOW, .why = HALT_FAIL, .n = 1 };
    wish->map.on_error = PTOOLS_ON_ERROR_KEEP;
    if (jobs->pipe && (wish->rehearse || jobs->halt.percent))
        return command_line_wrong(line, "--pipe does not go with %s: nobody knows how many blocks there will be",
                                  wish->rehearse ? "--rehearse" : "a percentage of --halt");
    jobs->sources.all = jobs->shuf || wish->rehearse > 0 || jobs->halt.percent;
    return jobs_wish_take_words(line, jobs);
}

static int check(const struct command_line *line, struct pmap_wish *wish)
{
    int status = check_attempts(line, wish);

    if (status != EXIT_VALUE)
        return status;
    return line->command ? check_command(line, wish) : check_function(line, wish);
}

/* Who comes from GNU parallel forgets the -- that it does not need. */
static int take_function(const struct command_line *line, const char **ret)
{
    const char *first = command_line_word(line, 0);

    if (first && !words_function(first))
        return command_line_wrong(
            line, "\"%.140s\" names no function, which is MODULE.FUNCTION; a command stands behind --", first);
    return callee_function(line, ret);
}

static int run(const struct command_line *line)
{
    struct pmap_wish wish = { .map = PTOOLS_PMAP_OPTIONS_INIT, .form = PMAP_TEXT, .separator = '\n' };
    int status = line->command ? EXIT_VALUE : take_function(line, &wish.function);

    wish.bar = isatty(STDERR_FILENO) && !isatty(STDOUT_FILENO) ? BAR_DRAWN : BAR_NONE;
    wish.jobs.sources.separator = '\n';
    wish.jobs.sources.max_args = 1;
    submission_init(&wish.s);
    for (size_t i = 0; i < line->n && status == EXIT_VALUE; i++)
        status = take_option(line, &line->items[i], &wish);
    if (status == EXIT_VALUE)
        status = check(line, &wish);
    if (status == EXIT_VALUE) {
        set_how(&wish);
        status = line->command ? pmap_jobs(line, &wish) : pmap_run(line, &wish);
    }
    submission_deinit(&wish.s);
    jobs_wish_deinit(&wish.jobs);
    ptools_pack_free(wish.default_value);
    ptools_pack_free(wish.captured);
    return status;
}

const struct verb verb_pmap = {
    .name = "pmap",
    .summary = "run a function or a command over many items, and print what they give in order",
    .usage = usage,
    .about =
        "Runs FUNCTION of MODULE once for each ARG, or without any for each line of standard input, in all workers\n"
        "at once, and prints a line of JSON for each item, in the order of the items: its value, or null if it\n"
        "failed, which is told on standard error with its index (from 0). With --json, or --unordered, a line is\n"
        "{\"schema\": 1, \"index\": 0, \"value\": ...}, or has \"error\", \"message\" and more instead.\n"
        "An ARG is as for `ptools call`; a line is a string, or with --json-lines a list of arguments or one that is\n"
        "no list. Input is read as items are wanted, and no faster than the output is read. An item that fails,\n"
        "hangs or kills its worker costs no other its value. The exit status is the largest of those that\n"
        "`ptools call` would have for each item. TIME: 2, 0.5, 500ms, 2s, 3m, 1h.\n"
        "Where no daemon runs, a private one is started that ends with it.\n"
        "\n"
        "Behind -- stands a command, as GNU parallel has it, and not its name alone: in its words {} is replaced by "
        "the\n"
        "item, {.} by that without its extension, {/} {//} {/.} by parts of its path, {1} {2.} {-1} {NAME} by values,\n"
        "{#} and {%} by its number and its place; without any of them the item is appended. An item is an argument,\n"
        "or a part of one, and no shell reads it: -- sh -c 'SCRIPT WITH \"$1\"' sh {}. Items are the values behind "
        ":::,\n"
        "lines of the files behind ::::, or lines of standard input; several sources make products, :::+ pairs. What\n"
        "a command writes is written whole, in the order of items. --json: {\"schema\": 1, \"seq\": 1, \"args\": "
        "...}.\n"
        "The exit status is 1 if a command failed, 124 if one took too long, 126 and 127 as in a shell.\n",
    .options = options,
    .run = run,
};
