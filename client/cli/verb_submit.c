/* SPDX-License-Identifier: MIT */
/*
 * verb_submit -- `ptools submit`: a task for the queue, and its id on standard output. Behind "--" stands a command.
 *
 * No private daemon is started: its queue would end with the command. What comes before the connection is as in
 * verb_call.c; --wait waits as that does, but whoever gives up leaves the task where it is.
 */
#include "client/cli/verb_submit.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "client/cli/callee.h"
#include "client/cli/failure.h"
#include "client/cli/notify.h"
#include "client/cli/program.h"
#include "client/cli/script.h"
#include "client/cli/session.h"
#include "client/cli/verbs.h"
#include "client/cli/waiting.h"

enum { OPTION_WAIT = SUBMISSION_FIELDS, OPTION_FAIL_FAST, OPTION_LINES, OPTION_NOTIFY };

const struct option_row submit_options[] = {
    { OPTION_STRING, 's', "string", NULL, "the ARGs that follow are strings, whatever they look like" },
    { OPTION_FILE, '\0', "file", "FILE", "here comes an argument: what is in FILE (text, or else bytes)" },
    { OPTION_STDIN, '\0', "stdin", "[=FILE]",
      "here comes an argument, from standard input; or tasks, see above. FILE: for COMMAND" },
    { OPTION_LINES, '\0', "lines", NULL, "a task for each line of standard input, which is the last word of COMMAND" },
    { SUBMISSION_PRIORITY, '\0', "priority", "N", "lower runs first (default inf)" },
    { SUBMISSION_TARGET, '\0', "target", "any|all", "in one worker (the default), or in each of them once" },
    { SUBMISSION_WORKER, '\0', "worker", "ID,...", "in one of these workers" },
    { SUBMISSION_HOST, '\0', "host", "NAME,...", "in a worker on one of these hosts" },
    { SUBMISSION_SET, '\0', "set", "NAME", "in a worker of this set, by its rule" },
    { SUBMISSION_WAIT_TARGET, '\0', "wait-target", NULL, "if there are no such workers, wait until there are" },
    { SUBMISSION_ANY_TARGET, '\0', "any-target", NULL, "if there are no such workers, any will do" },
    { SUBMISSION_DELAY, '\0', "delay", "TIME", "not before so long from now" },
    { SUBMISSION_AT, '\0', "at", "WHEN", "not before: \"2026-11-30 22:00\", 22:00 (when it is that next), @SECONDS" },
    { SUBMISSION_EXPIRE, '\0', "expire", "TIME", "drop it if it has not begun so long from now (status 124)" },
    { SUBMISSION_DEADLINE, '\0', "deadline", "TIME", "stop each attempt after so long (status 124)" },
    { SUBMISSION_GRACE, '\0', "grace", "TIME",
      "when it is stopped: from SIGTERM to SIGKILL (default: as the daemon is set)" },
    { SUBMISSION_ATTEMPTS, '\0', "attempts", "N",
      "try so often at most: once, unless it is idempotent; then 3 by default" },
    { SUBMISSION_RETRIES, '\0', "retries", "N", "the same as --attempts, as GNU parallel calls it" },
    { SUBMISSION_RETRY_ON, '\0', "retry-on", "CAUSE,...", "try again if it died, failed, timeout (default: died)" },
    { SUBMISSION_BACKOFF, '\0', "backoff", "TIME[,TIME]",
      "before the second attempt; doubled for each, up to the second" },
    { SUBMISSION_IDEMPOTENT, '\0', "idempotent", NULL, "running it twice is the same as once" },
    { SUBMISSION_KEY, '\0', "key", "TEXT", "equal tasks of one key are one task, until it is forgotten" },
    { SUBMISSION_TAG, '\0', "tag", "TAG", "to find it by; may be given several times" },
    { SUBMISSION_AFTER, '\0', "after", "ID,...[:any]",
      "when these tasks are done; if one does not get done, cancel it" },
    { SUBMISSION_AFTER_ANY, '\0', "after-any", NULL, "... when they have ended, well or not (:any is the same)" },
    { SUBMISSION_AFTER_KEEP, '\0', "after-keep", NULL, "... if one does not get done, go on waiting" },
    { SUBMISSION_KEEP, '\0', "keep", "TIME", "how long it is known after its end (default: as the daemon is set)" },
    { SUBMISSION_RESULT_MAX, '\0', "result-max", "BYTES",
      "a larger value is a failure (default: as the daemon is set)" },
    { SUBMISSION_VOLATILE, '\0', "volatile", NULL, "it may be lost with the daemon" },
    { SUBMISSION_CRASHSAFE, '\0', "crashsafe", NULL, "it outlives the daemon, killed at any moment (the default)" },
    { SUBMISSION_DURABLE, '\0', "durable", NULL, "it outlives the machine, too" },
    { SUBMISSION_HOLD, '\0', "hold", NULL, "not before `ptools release`" },
    { SUBMISSION_BLOCK, '\0', "block", NULL, "over a limit of the queue: wait for room" },
    PROGRAM_ROWS(""),
    PROGRAM_TASK_ROWS,
    { OPTION_NOTIFY, '\0', "notify", "SCRIPT",
      "at the end of each, well or not, run sh -c SCRIPT, as `ptools notify` does" },
    { OPTION_WAIT, '\0', "wait", NULL, "wait for its end; print its value, exit as `ptools call`" },
    { OPTION_TIMEOUT, '\0', "timeout", "TIME", "with --wait: no longer than so; the task goes on (exit status 124)" },
    { OPTION_RAW, '\0', "raw", NULL, "with --wait: write a string or bytes as they are, without a newline" },
    { OPTION_FAIL_FAST, '\0', "fail-fast", NULL, "of tasks on standard input: stop at the first that is refused" },
    { 0 },
};

static const char *const usage[] = { "[OPTION...] MODULE.FUNCTION [ARG...]", "[OPTION...] -- COMMAND [ARG...]",
                                     "[OPTION...] [--fail-fast] --stdin",
                                     "[OPTION...] [--fail-fast] --lines [-- COMMAND [ARG...]]", NULL };

struct wish {
    struct submission s;
    struct program program;
    struct script script;
    const char **argv; /* of a command; NULL: it is a function */
    size_t n;
    const char *notify;
    struct waiting waiting;
    bool wait, input, fail_fast, lines;
};

int submit_take(const struct command_line *line, const struct item *item, struct submission *s)
{
    char why[SUBMISSION_WHY_BYTES] = "";
    const struct option_row *row = submit_options;
    int r;

    if (item->id >= SUBMISSION_FIELDS || item->id == ITEM_WORD)
        return EXIT_VALUE;
    while (row->id != item->id)
        row++;
    r = submission_set(s, item->id, item->text, why);
    return r == 0   ? EXIT_VALUE
           : r == 1 ? command_line_wrong(line, "--%s: %s", row->name, why)
                    : failure_report_code(line, PTOOLS_ERR_NO_MEMORY, NULL);
}

/* --stdin is an argument of a function, or the file that a command reads. */
static int take_program(const struct command_line *line, const struct item *item, struct wish *wish)
{
    if (item->id == OPTION_STDIN && item->text)
        return program_take(line, &(struct item){ PROGRAM_STDIN, item->text }, &wish->program);
    wish->input = wish->input || item->id == OPTION_STDIN;
    return program_take(line, item, &wish->program);
}

/* What its script says, and the command line does not. */
static int take_script(const struct command_line *line, struct wish *wish)
{
    const uint64_t given = wish->s.given;
    struct program program = { 0 };
    int status = script_read(line, wish->argv[0], wish->program.cwd, &wish->script);

    for (size_t i = 0; i < wish->script.line.n && status == EXIT_VALUE; i++) {
        const struct item *item = &wish->script.line.items[i];
        const bool field = item->id < SUBMISSION_FIELDS, file = item->id == OPTION_STDIN && item->text;

        if (!field && !file && (item->id < PROGRAM_ENV || item->id >= PROGRAM_OPTIONS_END))
            return command_line_wrong(line, "%.200s: #PTOOLS lines tell how a task is to be run, and no more",
                                      wish->argv[0]);
        if (file)
            status = program_take(line, &(struct item){ PROGRAM_STDIN, item->text }, &program);
        else if (!field)
            status = program_take(line, item, &program);
        else if (!(given >> submission_group(item->id) & 1))
            status = submit_take(line, item, &wish->s);
    }
    if (wish->script.line.n == 0 || status != EXIT_VALUE)
        return status;
    wish->program = program;
    for (size_t i = 0; i < line->n && status == EXIT_VALUE; i++)
        status = take_program(line, &line->items[i], wish);
    return status;
}

/* The words behind "--", if there are any. */
static int take_command(const struct command_line *line, struct wish *wish)
{
    static const char *const shell[] = { "sh", "-c" };
    if (!line->command && !wish->lines)
        return wish->program.given ? command_line_wrong(line, "what is said of commands belongs to -- COMMAND")
                                   : EXIT_VALUE;
    wish->argv = calloc(line->n + 3, sizeof *wish->argv);
    if (!wish->argv)
        return failure_report_code(line, PTOOLS_ERR_NO_MEMORY, NULL);
    for (size_t i = 0; i < line->n; i++) {
        if (line->items[i].id != ITEM_WORD)
            continue;
        if (!line->command)
            return command_line_wrong(line, "\"%.80s\": it is a function, or a command behind --", line->items[i].text);
        wish->argv[wish->n++] = line->items[i].text;
    }
    if (wish->n == 0 && !wish->lines)
        return command_line_wrong(line, "no command stands behind --");
    if (wish->argv[0] && !*wish->argv[0])
        return command_line_wrong(line, "the name of the command is empty");
    if (wish->n == 0) { /* each line is for the shell */
        wish->argv[wish->n++] = shell[0];
        wish->argv[wish->n++] = shell[1];
    }
    if (wish->input)
        return command_line_wrong(line, "--stdin: for a command it is --stdin=FILE, or --stdin=-");
    return take_script(line, wish);
}

static int take_items(const struct command_line *line, struct wish *wish)
{
    int status = EXIT_VALUE;

    for (size_t i = 0; i < line->n && status == EXIT_VALUE; i++) {
        const struct item *item = &line->items[i];

        wish->wait = wish->wait || item->id == OPTION_WAIT;
        wish->fail_fast = wish->fail_fast || item->id == OPTION_FAIL_FAST;
        wish->lines = wish->lines || item->id == OPTION_LINES;
        if (item->id == OPTION_NOTIFY)
            wish->notify = item->text;
        status = submit_take(line, item, &wish->s);
        if (status == EXIT_VALUE)
            status = take_program(line, item, wish);
        if (status == EXIT_VALUE)
            status = waiting_take(line, item, &wish->waiting);
    }
    if (status == EXIT_VALUE)
        status = take_command(line, wish);
    if (status == EXIT_VALUE && !wish->wait && (wish->waiting.timeout || wish->waiting.raw))
        return command_line_wrong(line, "%s belongs to --wait", wish->waiting.timeout ? "--timeout" : "--raw");
    return status;
}

/* -- one task --------------------------------------------------------------------------------------------- */

static int print_id(const struct command_line *line, uint64_t task)
{
    struct json_writer w;

    if (!line->json) {
        printf("%" PRIu64 "\n", task);
        return EXIT_VALUE;
    }
    session_document(&w);
    json_key(&w, "task");
    json_put_u64(&w, task);
    return session_document_end(line, &w);
}

static int wait_for(const struct command_line *line, struct wish *wish, ptools *pt)
{
    PTOOLS_AUTO(ptools_future) f = NULL;
    ptools_err r = ptools_queued_result(pt, wish->waiting.task, &f);

    wish->waiting.give_up = waiting_leave;
    return r == PTOOLS_OK ? waiting_print(line, &wish->waiting, pt, f) : failure_report_last(line, pt, r);
}

static int submitted(const struct command_line *line, struct wish *wish, ptools *pt)
{
    const int status =
        wish->notify ? notify_queue(line, pt, wish->notify, wish->waiting.task, wish->s.task.durability) : EXIT_VALUE;
    const int printed = wish->wait ? wait_for(line, wish, pt) : print_id(line, wish->waiting.task);

    return status != EXIT_VALUE ? status : printed;
}

static int submit(const struct command_line *line, struct wish *wish, ptools_pack *args)
{
    PTOOLS_AUTO(ptools) pt = NULL;
    struct submission_set set = { 0 };
    int status = session_open(line, false, 0, &pt);
    ptools_err r;

    if (status == EXIT_VALUE)
        status = submission_task(line, pt, &wish->s, &set);
    if (status == EXIT_VALUE && wish->argv)
        status = program_pack(line, pt, &wish->program, wish->argv, wish->n, args);
    if (status == EXIT_VALUE) {
        wish->s.task.args = args;
        r = ptools_queue_worker_task(pt, &wish->s.task, &wish->waiting.task);
        status = r != PTOOLS_OK ? failure_report_last(line, pt, r) : submitted(line, wish, pt);
    }
    ptools_workerset_free(set.set);
    return status;
}

static int submit_one(const struct command_line *line, struct wish *wish)
{
    PTOOLS_AUTO(ptools_pack) args = ptools_pack_new();
    char why[SUBMISSION_WHY_BYTES] = "";
    int status = EXIT_VALUE;

    wish->s.task.function = PROGRAM_FUNCTION;
    if (!wish->argv)
        status = callee_function(line, &wish->s.task.function);
    if (status != EXIT_VALUE)
        return status;
    if (wish->fail_fast)
        return command_line_wrong(line, "--fail-fast is for many tasks, by --stdin and without MODULE.FUNCTION");
    if (submission_check(&wish->s, why) != 0)
        return command_line_wrong(line, "%s", why);
    if (!args)
        return failure_report_code(line, PTOOLS_ERR_NO_MEMORY, NULL);
    if (!wish->argv)
        status = callee_arguments(line, args);
    return status == EXIT_VALUE ? submit(line, wish, args) : status;
}

static int submit_many(const struct command_line *line, const struct wish *wish)
{
    const struct submit_lines_wish lines = { .text = wish->lines,
                                             .fail_fast = wish->fail_fast,
                                             .argv = wish->argv,
                                             .n = wish->n,
                                             .program = &wish->program,
                                             .script = &wish->script.line,
                                             .notify = wish->notify };

    if (wish->wait)
        return command_line_wrong(line, "--wait is for one task; `ptools wait` waits for many");
    if (wish->lines && wish->program.input && *wish->program.input == '-' && !wish->program.input[1])
        return command_line_wrong(line, "--stdin=-: standard input has the lines");
    for (size_t i = 0; i < line->n; i++)
        if (line->items[i].id == OPTION_FILE || line->items[i].id == OPTION_STRING)
            return command_line_wrong(line, "--%s is for the arguments of one task, and no function is named",
                                      line->items[i].id == OPTION_FILE ? "file" : "string");
    return submit_lines(line, &lines);
}

static int run(const struct command_line *line)
{
    struct wish wish = { 0 };
    int status;

    submission_init(&wish.s);
    status = take_items(line, &wish);
    if (status == EXIT_VALUE)
        status = wish.lines || (wish.input && command_line_words(line) == 0) ? submit_many(line, &wish)
                                                                             : submit_one(line, &wish);
    submission_deinit(&wish.s);
    script_deinit(&wish.script);
    free(wish.argv);
    return status;
}

const struct verb verb_submit = {
    .name = "submit",
    .summary = "queue a call or a command, or many, and print their ids",
    .usage = usage,
    .about =
        "Queues a call of FUNCTION of MODULE, and prints its id and nothing else. The daemon keeps it, runs it, and\n"
        "keeps its value: see `ptools result`, wait, ls, why. An ARG is as for `ptools call`. It is kept even if\n"
        "the daemon is killed, unless --volatile is given; and begun once at most, unless the function itself or\n"
        "--idempotent says that more is no harm. TIME: 2, 0.5, 500ms, 2s, 3m, 1h.\n"
        "COMMAND runs with our environment and directory; `ptools log` shows what it writes. If it is a script, lines\n"
        "of it that begin with #PTOOLS, before its first command, have options too: #PTOOLS --priority 3 --mem 2G\n"
        "--stdin without a function reads a task a line, as JSON, and prints an id a line:\n"
        "{\"function\": \"math.square\", \"args\": [12], \"priority\": 3, \"tag\": [\"a\", \"b\"], \"hold\": true}\n"
        "{\"command\": [\"gzip\", \"a file\"], \"cwd\": \"/data\", \"nice\": 5}\n"
        "with options as fields. What the command line says holds for lines that do not say otherwise; a line with\n"
        "a mistake is told, and the others go on (exit status 125).\n",
    .options = submit_options,
    .run = run,
};
