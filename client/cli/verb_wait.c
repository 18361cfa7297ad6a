/* SPDX-License-Identifier: MIT */
/*
 * verb_wait -- `ptools wait`, `ptools result` and `ptools why`: how queued tasks end, and why they have not yet.
 *
 * They look, and change nothing: whoever interrupts them leaves the tasks as they are.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/failure.h"
#include "client/cli/session.h"
#include "client/cli/task_field.h"
#include "client/cli/tasks.h"
#include "client/cli/verbs.h"
#include "client/cli/waiting.h"
#include "client/cli/words.h"

enum { OPTION_ANY = OPTION_OF_VERB, OPTION_ALL, OPTION_NO_WAIT };
enum { AT_ONCE = 1024 }; /* tasks that ptools_queued_wait() takes */

static bool has_option(const struct command_line *line, int id)
{
    for (size_t i = 0; i < line->n; i++)
        if (line->items[i].id == id)
            return true;
    return false;
}

/* -- wait ----------------------------------------------------------------------------------------------- */

static const struct option_row wait_options[] = {
    { OPTION_ALL, '\0', "all", NULL, "until all have ended (the default)" },
    { OPTION_ANY, '\0', "any", NULL, "until one has ended, and print its id" },
    { OPTION_TIMEOUT, '\0', "timeout", "TIME", "no longer than so; the tasks go on (exit status 124)" },
    { OPTION_STATE, '\0', "state", "STATE,...", TASKS_STATE_HELP },
    { OPTION_TAG, '\0', "tag", "TAG", TASKS_TAG_HELP },
    { OPTION_WHERE, '\0', "where", "EXPR", TASKS_WHERE_HELP },
    { 0 },
};
static const char *const wait_usage[] = {
    "[--all|--any] [--timeout TIME] ID...",
    "[--all|--any] [--timeout TIME] [--state STATE,...] [--tag TAG] [--where EXPR] [ID...]", NULL
};

static int exit_status(const ptools_queued_info *info)
{
    if (info->state == PTOOLS_QUEUED_DONE)
        return EXIT_VALUE;
    return info->code == PTOOLS_OK ? EXIT_FAILED : failure_exit_status(info->code);
}

/* One that did not get done, in a line, and its last lines; the statuses are few, and the largest is the worst. */
static void judge(const struct command_line *line, const ptools_queued_info *info, int *worst)
{
    int status = exit_status(info);

    if (status > *worst)
        *worst = status;
    if (status == EXIT_VALUE || line->json)
        return;
    fprintf(stderr, "ptools wait: %" PRIu64 " %s: ", info->id, ptools_queued_state_name(info->state));
    words_print(stderr, info->message, strlen(info->message));
    putc('\n', stderr);
    failure_print_lines(info->log);
}

/* Of the n tasks, which have ended: what became of them. */
static int tell(const struct command_line *line, ptools *pt, const uint64_t *ids, size_t n)
{
    struct json_writer w;
    int worst = EXIT_VALUE, status = EXIT_VALUE;

    if (line->json) {
        session_document(&w);
        json_key(&w, "tasks");
        json_open(&w, '[');
    }
    for (size_t i = 0; i < n; i++) {
        PTOOLS_AUTO(ptools_queued) list = NULL;
        ptools_err r = ptools_queued_get(pt, ids[i], 0, &list);

        if (r != PTOOLS_OK) { /* forgotten, in between */
            status = failure_report_last(line, pt, r);
            worst = status > worst ? status : worst;
            continue;
        }
        judge(line, ptools_queued_at(list, 0), &worst);
        if (line->json) {
            task_json_open(&w, ptools_queued_at(list, 0));
            json_close(&w, '}');
        }
    }
    if (line->json) {
        json_close(&w, ']');
        status = session_document_end(line, &w);
        worst = status > worst ? status : worst;
    }
    return worst;
}

static int64_t left_ms(const struct waiting *waiting, uint64_t since_us)
{
    const uint64_t until_us = since_us + (uint64_t)waiting->timeout_ms * 1000, now_us = waiting_now_us();

    if (!waiting->timeout)
        return PTOOLS_FOREVER;
    return now_us < until_us ? (int64_t)((until_us - now_us) / 1000) : 0;
}

/* So many at a time as one request takes; within the time all the same. */
static ptools_err wait_all(ptools *pt, const uint64_t *ids, size_t n, const struct waiting *waiting)
{
    const uint64_t since_us = waiting_now_us();
    ptools_err r = PTOOLS_OK;

    for (size_t i = 0; i < n && r == PTOOLS_OK; i += AT_ONCE)
        r = ptools_queued_wait(pt, ids + i, n - i < AT_ONCE ? n - i : AT_ONCE, false, left_ms(waiting, since_us), NULL);
    return r;
}

/* One of more than one request takes: all are looked at once, and then what is told of ends. */
struct any {
    const uint64_t *ids;
    size_t n, first;
    bool ended, look;
    ptools_err lost;
};

static void happened(const ptools_event *event, void *arg)
{
    struct any *any = arg;

    if (event->kind == PTOOLS_EVENT_MISSED) {
        any->look = true;
        any->lost = event->code;
    }
    if (event->kind != PTOOLS_EVENT_ENDED || any->ended)
        return;
    any->first = 0;
    while (any->first < any->n && any->ids[any->first] != event->task)
        any->first++;
    any->ended = any->first < any->n;
}

static ptools_err look(ptools *pt, struct any *any)
{
    ptools_err r = PTOOLS_ERR_TIMEOUT;

    any->look = false;
    for (size_t i = 0; i < any->n && r == PTOOLS_ERR_TIMEOUT && !any->ended; i += AT_ONCE) {
        size_t first;

        r = ptools_queued_wait(pt, any->ids + i, any->n - i < AT_ONCE ? any->n - i : AT_ONCE, true, 0, &first);
        if (r == PTOOLS_OK)
            any->first = i + first;
    }
    any->ended |= r == PTOOLS_OK;
    return r == PTOOLS_ERR_TIMEOUT ? PTOOLS_OK : r;
}

static ptools_err wait_any(ptools *pt, const uint64_t *ids, size_t n, const struct waiting *waiting, size_t *ret_first)
{
    PTOOLS_AUTO(ptools_watch) watch = NULL;
    const uint64_t since_us = waiting_now_us();
    struct any any = { .ids = ids, .n = n, .look = true };
    ptools_err r;

    if (n <= AT_ONCE)
        return ptools_queued_wait(pt, ids, n, true, waiting->timeout ? waiting->timeout_ms : PTOOLS_FOREVER, ret_first);
    r = ptools_watch_tasks(pt, NULL, 0, happened, &any, &watch);
    while (r == PTOOLS_OK && !any.ended) {
        const int64_t left = left_ms(waiting, since_us);

        if (any.look)
            r = look(pt, &any);
        else if (any.lost != PTOOLS_OK)
            r = any.lost;
        else if (left == 0)
            r = PTOOLS_ERR_TIMEOUT;
        else
            r = ptools_dispatch(pt, left);
        if (r == PTOOLS_ERR_AGAIN)
            r = PTOOLS_OK;
    }
    *ret_first = any.first;
    return r;
}

static int wait_for(const struct command_line *line, ptools *pt, const struct tasks *tasks,
                    const struct waiting *waiting)
{
    const bool any = has_option(line, OPTION_ANY);
    uint64_t *ids = calloc(tasks->n + 1, sizeof *ids);
    size_t first = 0;
    char message[120];
    ptools_err r;
    int status;

    if (!ids)
        return failure_report_code(line, PTOOLS_ERR_NO_MEMORY, NULL);
    for (size_t i = 0; i < tasks->n; i++)
        ids[i] = tasks->items[i].id;
    if (any && tasks->n > 0)
        r = wait_any(pt, ids, tasks->n, waiting, &first);
    else
        r = wait_all(pt, ids, tasks->n, waiting);
    if (r == PTOOLS_ERR_TIMEOUT && waiting->timeout) {
        snprintf(message, sizeof message, "the time limit (--timeout %.40s) passed, and %s ended", waiting->timeout,
                 any ? "none has" : "not all have");
        failure_report_code(line, r, message);
        status = EXIT_TIME;
    } else if (r != PTOOLS_OK) {
        status = failure_report_last(line, pt, r);
    } else {
        if (any && tasks->n > 0 && !line->json)
            printf("%" PRIu64 "\n", ids[first]);
        status = tell(line, pt, any ? ids + first : ids, any && tasks->n > 0 ? 1 : tasks->n);
    }
    free(ids);
    return status;
}

static int run_wait(const struct command_line *line)
{
    PTOOLS_AUTO(ptools) pt = NULL;
    struct tasks_wish wish = { 0 };
    struct waiting waiting = { 0 };
    struct tasks tasks = { 0 };
    int status = tasks_take(line, 0, command_line_words(line), &wish);

    for (size_t i = 0; i < line->n && status == EXIT_VALUE; i++)
        status = waiting_take(line, &line->items[i], &waiting);
    if (status == EXIT_VALUE && has_option(line, OPTION_ANY) && has_option(line, OPTION_ALL))
        status = command_line_wrong(line, "--any and --all exclude each other");
    if (status == EXIT_VALUE && !tasks_narrowed(&wish))
        status = command_line_wrong(line, "for which tasks? An ID, --state, --tag or --where is missing");
    if (status == EXIT_VALUE)
        status = session_open(line, false, 0, &pt);
    if (status == EXIT_VALUE)
        status = tasks_find(line, pt, &wish, 0, &tasks);
    if (status == EXIT_VALUE)
        status = tasks.status; /* one is missing: it would never end */
    if (status == EXIT_VALUE)
        status = wait_for(line, pt, &tasks, &waiting);
    tasks_deinit(&tasks);
    tasks_wish_deinit(&wish);
    return status;
}

const struct verb verb_wait = {
    .name = "wait",
    .summary = "wait until queued tasks have ended",
    .usage = wait_usage,
    .about =
        "Waits until the tasks have ended, all or one of them, and tells of those that did not get done, with their\n"
        "last lines. The exit status is that of the worst: the largest of those that `ptools result` would have for\n"
        "each.\n" TASKS_IDS_HELP TASKS_EXPR_HELP,
    .options = wait_options,
    .run = run_wait,
};

/* -- result --------------------------------------------------------------------------------------------- */

static const struct option_row result_options[] = {
    { OPTION_NO_WAIT, '\0', "no-wait", NULL, "of one that has not ended, do not wait (exit status 125)" },
    { OPTION_TIMEOUT, '\0', "timeout", "TIME", "wait for each so long; the tasks go on (exit status 124)" },
    { OPTION_RAW, '\0', "raw", NULL, "write a string or bytes as they are, without a newline" },
    { OPTION_STATE, '\0', "state", "STATE,...", TASKS_STATE_HELP },
    { OPTION_TAG, '\0', "tag", "TAG", TASKS_TAG_HELP },
    { OPTION_WHERE, '\0', "where", "EXPR", TASKS_WHERE_HELP },
    { 0 },
};
static const char *const result_usage[] = {
    "[--no-wait] [--timeout TIME] [--raw] ID...",
    "[--no-wait] [--timeout TIME] [--raw] [--state ...] [--tag TAG] [--where EXPR] [ID...]", NULL
};

/* The tasks that the words and options pick, with a connection; the caller frees. The exit status. */
static int pick(const struct command_line *line, ptools **ret_pt, struct tasks *ret)
{
    PTOOLS_AUTO(ptools) pt = NULL;
    struct tasks_wish wish = { 0 };
    int status = tasks_take(line, 0, command_line_words(line), &wish);

    if (status == EXIT_VALUE && !tasks_narrowed(&wish))
        status = command_line_wrong(line, "of which tasks? An ID, --state, --tag or --where is missing");
    if (status == EXIT_VALUE)
        status = session_open(line, false, 0, &pt);
    if (status == EXIT_VALUE)
        status = tasks_find(line, pt, &wish, 0, ret);
    if (status == EXIT_VALUE) {
        *ret_pt = pt;
        pt = NULL;
    }
    tasks_wish_deinit(&wish);
    return status;
}

static bool has_ended(ptools_queued_state state)
{
    return state >= PTOOLS_QUEUED_DONE;
}

static int check_ended(const struct command_line *line, ptools *pt, uint64_t id)
{
    PTOOLS_AUTO(ptools_queued) list = NULL;
    ptools_err r = ptools_queued_get(pt, id, 0, &list);
    ptools_queued_state state;
    char message[120];

    if (r != PTOOLS_OK)
        return failure_report_last(line, pt, r);
    state = ptools_queued_at(list, 0)->state;
    if (has_ended(state))
        return EXIT_VALUE;
    snprintf(message, sizeof message, "the task %" PRIu64 " has not ended: it is %s", id,
             ptools_queued_state_name(state));
    return failure_report_code(line, PTOOLS_ERR_NOT_NOW, message);
}

static int print_result(const struct command_line *line, ptools *pt, const struct waiting *waiting)
{
    PTOOLS_AUTO(ptools_future) f = NULL;
    int status = has_option(line, OPTION_NO_WAIT) ? check_ended(line, pt, waiting->task) : EXIT_VALUE;
    ptools_err r;

    if (status != EXIT_VALUE)
        return status;
    r = ptools_queued_result(pt, waiting->task, &f);
    return r == PTOOLS_OK ? waiting_print(line, waiting, pt, f) : failure_report_last(line, pt, r);
}

static int run_result(const struct command_line *line)
{
    PTOOLS_AUTO(ptools) pt = NULL;
    bool interrupted = false;
    struct waiting waiting = { .give_up = waiting_leave, .interrupted = &interrupted };
    struct tasks tasks = { 0 };
    int status = EXIT_VALUE, worst;

    for (size_t i = 0; i < line->n && status == EXIT_VALUE; i++)
        status = waiting_take(line, &line->items[i], &waiting);
    if (status == EXIT_VALUE && has_option(line, OPTION_NO_WAIT) && waiting.timeout)
        return command_line_wrong(line, "--no-wait and --timeout exclude each other");
    if (status == EXIT_VALUE)
        status = pick(line, &pt, &tasks);
    if (status != EXIT_VALUE)
        return status;
    worst = tasks.status;
    for (size_t i = 0; i < tasks.n && !interrupted; i++) {
        waiting.task = tasks.items[i].id;
        status = print_result(line, pt, &waiting);
        worst = status > worst ? status : worst;
    }
    tasks_deinit(&tasks);
    return worst;
}

const struct verb verb_result = {
    .name = "result",
    .summary = "print the values of queued tasks",
    .usage = result_usage,
    .about =
        "Waits until the task has ended, and prints its value as JSON, or tells why there is none; of several one\n"
        "after the other, a line each. The exit status is that of `ptools call`, of several the worst, which is\n"
        "the largest.\n" TASKS_IDS_HELP TASKS_EXPR_HELP,
    .options = result_options,
    .run = run_result,
};

/* -- why ------------------------------------------------------------------------------------------------ */

static const struct option_row why_options[] = {
    { OPTION_STATE, '\0', "state", "STATE,...", TASKS_STATE_HELP },
    { OPTION_TAG, '\0', "tag", "TAG", TASKS_TAG_HELP },
    { OPTION_WHERE, '\0', "where", "EXPR", TASKS_WHERE_HELP },
    { 0 },
};
static const char *const why_usage[] = { "ID...", "[--state STATE,...] [--tag TAG] [--where EXPR] [ID...]", NULL };

static int print_why(const struct command_line *line, ptools *pt, uint64_t id, bool several)
{
    const char *reason;
    struct json_writer w;
    ptools_err r = ptools_queued_why(pt, id, &reason);

    if (r != PTOOLS_OK)
        return failure_report_last(line, pt, r);
    if (!line->json) {
        if (several)
            printf("%" PRIu64 ": ", id);
        words_print(stdout, reason, strlen(reason));
        putchar('\n');
        return EXIT_VALUE;
    }
    session_document(&w);
    json_key(&w, "task");
    json_put_u64(&w, id);
    json_key(&w, "why");
    json_put_string(&w, reason);
    return session_document_end(line, &w);
}

static int run_why(const struct command_line *line)
{
    PTOOLS_AUTO(ptools) pt = NULL;
    struct tasks tasks = { 0 };
    int status = pick(line, &pt, &tasks), worst = tasks.status;

    if (status != EXIT_VALUE)
        return status;
    for (size_t i = 0; i < tasks.n; i++) {
        status = print_why(line, pt, tasks.items[i].id, tasks.n > 1);
        worst = status > worst ? status : worst;
    }
    tasks_deinit(&tasks);
    return worst;
}

const struct verb verb_why = {
    .name = "why",
    .summary = "tell what queued tasks wait for",
    .usage = why_usage,
    .about = "Tells in a sentence what the task waits for, by asking what would run it; of several a line each,\n"
             "which begins with the id; with --json a document a line.\n" TASKS_IDS_HELP TASKS_EXPR_HELP,
    .options = why_options,
    .run = run_why,
};
