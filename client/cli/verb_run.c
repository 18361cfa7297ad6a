/* SPDX-License-Identifier: MIT */
/*
 * verb_run -- `ptools run`: a command as a queued task, its output here as it comes, and its exit status ours.
 *
 * The task is a task as any other: it stands in the queue, and goes on should this process be killed. ^C asks it to
 * end, and waits for that; the second ^C leaves it.
 * All that it writes is kept, unless --output-max says how much: a reader who is slower than the command loses nothing.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/failure.h"
#include "client/cli/program.h"
#include "client/cli/session.h"
#include "client/cli/signals.h"
#include "client/cli/submission.h"
#include "client/cli/task_output.h"
#include "client/cli/verbs.h"

enum { STATUS_OF_SIGNAL = 128 };

static const struct option_row options[] = {
    { SUBMISSION_PRIORITY, '\0', "priority", "N", "lower runs first (default inf)" },
    { SUBMISSION_WORKER, '\0', "worker", "ID,...", "in one of these workers" },
    { SUBMISSION_HOST, '\0', "host", "NAME,...", "in a worker on one of these hosts" },
    { SUBMISSION_SET, '\0', "set", "NAME", "in a worker of this set, by its rule" },
    { SUBMISSION_WAIT_TARGET, '\0', "wait-target", NULL, "if there are no such workers, wait until there are" },
    { SUBMISSION_ANY_TARGET, '\0', "any-target", NULL, "if there are no such workers, any will do" },
    { SUBMISSION_DELAY, '\0', "delay", "TIME", "not before so long from now" },
    { SUBMISSION_AT, '\0', "at", "WHEN", "not before: \"2026-11-30 22:00\", 22:00 (when it is that next), @SECONDS" },
    { SUBMISSION_AFTER, '\0', "after", "ID,...[:any]",
      "when these tasks are done; if one does not get done, cancel it" },
    { SUBMISSION_AFTER_ANY, '\0', "after-any", NULL, "... when they have ended, well or not (:any is the same)" },
    { SUBMISSION_AFTER_KEEP, '\0', "after-keep", NULL, "... if one does not get done, go on waiting" },
    { SUBMISSION_EXPIRE, '\0', "expire", "TIME", "drop it if it has not begun so long from now (status 124)" },
    { SUBMISSION_DEADLINE, '\0', "deadline", "TIME", "stop each attempt after so long (status 124)" },
    { SUBMISSION_GRACE, '\0', "grace", "TIME", "when it is stopped: from SIGTERM to SIGKILL" },
    { SUBMISSION_ATTEMPTS, '\0', "attempts", "N", "try so often at most; needs --idempotent" },
    { SUBMISSION_RETRIES, '\0', "retries", "N", "the same as --attempts, as GNU parallel calls it" },
    { SUBMISSION_RETRY_ON, '\0', "retry-on", "CAUSE,...", "try again if it died, failed, timeout (default: died)" },
    { SUBMISSION_BACKOFF, '\0', "backoff", "TIME[,TIME]",
      "before the second attempt; doubled for each, up to the second" },
    { SUBMISSION_IDEMPOTENT, '\0', "idempotent", NULL, "running it twice is the same as once" },
    { SUBMISSION_KEY, '\0', "key", "TEXT", "equal tasks of one key are one task: it is waited for, or shown" },
    { SUBMISSION_TAG, '\0', "tag", "TAG", "to find it by; may be given several times" },
    PROGRAM_ROWS(""),
    PROGRAM_TASK_ROWS,
    { PROGRAM_STDIN, '\0', "stdin", "FILE", "what it reads: a file, or - for our standard input (default: nothing)" },
    { 0 },
};
static const char *const usage[] = { "[OPTION...] [--] COMMAND [ARG...]", NULL };

struct wish {
    struct submission s;
    struct program program;
    const char **argv;
    size_t n;
};

static int take_option(const struct command_line *line, const struct item *item, struct wish *wish)
{
    char why[SUBMISSION_WHY_BYTES] = "";
    const struct option_row *row = options;
    int r;

    if (item->id >= SUBMISSION_FIELDS)
        return program_take(line, item, &wish->program);
    while (row->id != item->id)
        row++;
    r = submission_set(&wish->s, item->id, item->text, why);
    return r == 0   ? EXIT_VALUE
           : r == 1 ? command_line_wrong(line, "--%s: %s", row->name, why)
                    : failure_report_code(line, PTOOLS_ERR_NO_MEMORY, NULL);
}

static int take_items(const struct command_line *line, struct wish *wish)
{
    char why[SUBMISSION_WHY_BYTES] = "";
    int status = EXIT_VALUE;

    wish->argv = calloc(line->n + 1, sizeof *wish->argv);
    if (!wish->argv)
        return failure_report_code(line, PTOOLS_ERR_NO_MEMORY, NULL);
    for (size_t i = 0; i < line->n && status == EXIT_VALUE; i++) {
        if (line->items[i].id == ITEM_WORD)
            wish->argv[wish->n++] = line->items[i].text;
        else
            status = take_option(line, &line->items[i], wish);
    }
    if (wish->program.output_max == 0)
        wish->program.output_max = INT64_MAX;
    if (status == EXIT_VALUE && !wish->argv[0])
        status = command_line_wrong(line, "no command is named");
    else if (status == EXIT_VALUE && !*wish->argv[0])
        status = command_line_wrong(line, "the name of the command is empty");
    if (status == EXIT_VALUE && submission_check(&wish->s, why) != 0)
        status = command_line_wrong(line, "%s", why);
    return status;
}

/* -- its end ----------------------------------------------------------------------------------------------- */

/* What ended by itself has said why, unless it was never begun. */
static int print_status(const struct command_line *line, const ptools_failure *f)
{
    if (f->signal == 0 && f->exit_status < EXIT_PTOOLS && !line->json)
        return f->exit_status;
    return failure_report(line, f, f->signal ? STATUS_OF_SIGNAL + f->signal : f->exit_status);
}

/* The command went well, but what was to be shown is not all of what it wrote. */
static int tell_lost(const struct command_line *line, uint64_t lost)
{
    char message[120];

    snprintf(message, sizeof message,
             "of what the command wrote, %" PRIu64 " bytes could not be kept: the disk is full?", lost);
    return failure_report_code(line, PTOOLS_ERR_STORAGE, message);
}

static int conclude(const struct command_line *line, ptools *pt, ptools_future *f)
{
    ptools_value value, field;
    int64_t code = 0;
    uint64_t lost = 0;
    ptools_err err = ptools_future_fetch(f, PTOOLS_FOREVER, &value);

    if (err == PTOOLS_OK && ptools_get_field(value, "status", &field) == PTOOLS_OK)
        (void)ptools_get_i64(field, &code);
    if (err == PTOOLS_OK && ptools_get_field(value, "lost_bytes", &field) == PTOOLS_OK)
        (void)ptools_get_u64(field, &lost);
    if (err == PTOOLS_OK)
        return lost > 0 ? tell_lost(line, lost) : (int)code;
    if (err == PTOOLS_ERR_EXITED && ptools_future_failure(f))
        return print_status(line, ptools_future_failure(f));
    return ptools_future_failure(f) ? failure_report(line, ptools_future_failure(f), failure_exit_status(err))
                                    : failure_report_last(line, pt, err);
}

/* The first asks the command to end, and its end is waited for. */
static bool signalled(const struct command_line *line, ptools *pt, uint64_t task, int number, int *status)
{
    static bool asked;
    uint64_t changed;
    ptools_err err;

    if (asked) {
        fprintf(stderr, "ptools run: the task %" PRIu64 " is left behind, and is told to end\n", task);
        *status = STATUS_OF_SIGNAL + number;
        return false;
    }
    asked = true;
    err = ptools_queued_change(pt, &task, 1, PTOOLS_CHANGE_CANCEL, &changed);
    if (err == PTOOLS_OK || err == PTOOLS_ERR_NOT_NOW)
        return true;
    *status = failure_report_last(line, pt, err);
    return false;
}

static int run_task(const struct command_line *line, ptools *pt, struct wish *wish, int signals)
{
    struct task_output_wish output = {
        .which = TASK_OUTPUT_OUT | TASK_OUTPUT_ERR, .all = true, .signals = signals, .signalled = signalled
    };
    PTOOLS_AUTO(ptools_future) result = NULL;
    ptools_err err = ptools_queue_worker_task(pt, &wish->s.task, &output.task);
    bool ended = false;
    int status;

    if (err == PTOOLS_OK)
        err = ptools_queued_result(pt, output.task, &result);
    if (err != PTOOLS_OK)
        return failure_report_last(line, pt, err);
    output.result = result;
    status = task_output_follow(line, pt, &output, &ended);
    return status == EXIT_VALUE && ended ? conclude(line, pt, result) : status;
}

static int start(const struct command_line *line, struct wish *wish)
{
    PTOOLS_AUTO(ptools) pt = NULL;
    PTOOLS_AUTO(ptools_pack) args = ptools_pack_new();
    struct submission_set set = { 0 };
    int status = session_open(line, false, 0, &pt), signals;

    if (status == EXIT_VALUE && !args)
        status = failure_report_code(line, PTOOLS_ERR_NO_MEMORY, NULL);
    if (status == EXIT_VALUE)
        status = submission_task(line, pt, &wish->s, &set);
    if (status == EXIT_VALUE)
        status = program_pack(line, pt, &wish->program, wish->argv, wish->n, args);
    if (status == EXIT_VALUE) {
        wish->s.task.function = PROGRAM_FUNCTION;
        wish->s.task.args = args;
        wish->s.task.durability = PTOOLS_VOLATILE; /* whoever waits for it sees to it */
        signals = signals_open(NULL);
        status = signals < 0 ? failure_report_code(line, PTOOLS_ERR_SYSTEM, strerror(-signals))
                             : run_task(line, pt, wish, signals);
        if (signals >= 0)
            close(signals);
    }
    ptools_workerset_free(set.set);
    return status;
}

static int run(const struct command_line *line)
{
    struct wish wish = { 0 };
    int status;

    submission_init(&wish.s);
    status = take_items(line, &wish);
    if (status == EXIT_VALUE)
        status = start(line, &wish);
    submission_deinit(&wish.s);
    free(wish.argv);
    return status;
}

const struct verb verb_run = {
    .name = "run",
    .summary = "run a command in a worker, show its output, and exit as it did",
    .usage = usage,
    .about =
        "Queues COMMAND as a task, with our environment and directory, copies what it writes as it comes, and exits\n"
        "as it did; 128 and the signal's number, if it was killed. ^C asks it to end, and again leaves it. It reads\n"
        "nothing, unless --stdin says what. What it leaves running when it ends is killed. `ptools submit` does not\n"
        "wait; TIME: 2, 0.5, 500ms, 2s, 3m, 1h.\n",
    .options = options,
    .words_end_options = true,
    .run = run,
};
