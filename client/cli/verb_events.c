/* SPDX-License-Identifier: MIT */
/*
 * verb_events -- `ptools events`: what happens to queued tasks, a line each, as it happens.
 *
 * Each line is written out at once, so that a signal, which ends the command as usual, loses nothing.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "client/cli/failure.h"
#include "client/cli/session.h"
#include "client/cli/tasks.h"
#include "client/cli/times.h"
#include "client/cli/verbs.h"
#include "client/cli/words.h"

static const struct option_row options[] = {
    { OPTION_TAG, '\0', "tag", "TAG", "what happens to tasks that have this tag" },
    { 0 },
};
static const char *const usage[] = { "[--tag TAG]", "ID", NULL };

struct watch {
    const struct command_line *line;
    uint64_t task; /* 0: all */
    bool missed;   /* something, so nobody knows whether it has ended */
    bool ended;
    ptools_err lost; /* there will be no more, for this reason */
};

static const char *kind_name(ptools_event_kind kind)
{
    static const char *const names[] = {
        [PTOOLS_EVENT_QUEUED] = "queued", [PTOOLS_EVENT_STARTED] = "started", [PTOOLS_EVENT_PROGRESS] = "progress",
        [PTOOLS_EVENT_ENDED] = "ended",   [PTOOLS_EVENT_RETRY] = "retry",     [PTOOLS_EVENT_MISSED] = "missed",
    };

    return kind >= PTOOLS_EVENT_QUEUED && kind <= PTOOLS_EVENT_MISSED ? names[kind] : "unknown";
}

static void key_u64(struct json_writer *w, const char *key, uint64_t v)
{
    json_key(w, key);
    json_put_u64(w, v);
}

static void print_json(const ptools_event *event)
{
    struct json_writer w = { .out = stdout };

    json_open(&w, '{');
    key_u64(&w, "schema", 1);
    json_key(&w, "event");
    json_open(&w, '{');
    key_u64(&w, "seq", event->seq);
    json_key(&w, "kind");
    json_put_string(&w, kind_name(event->kind));
    key_u64(&w, "task", event->task);
    json_key(&w, "state");
    json_put_string(&w, ptools_queued_state_name(event->state));
    json_key(&w, "time_ms");
    json_put_i64(&w, event->time_ms);
    key_u64(&w, "worker", event->worker);
    key_u64(&w, "attempt", event->attempt);
    json_key(&w, "code");
    json_put_string(&w, ptools_errname(event->code));
    key_u64(&w, "progress", event->progress);
    key_u64(&w, "progress_of", event->progress_of);
    key_u64(&w, "missed", event->missed);
    json_close(&w, '}');
    json_close(&w, '}');
    putchar('\n');
}

static void print_text(const ptools_event *event)
{
    char when[TIMES_TEXT_BYTES];

    printf("%s.%03d ", times_write(event->time_ms, when), (int)(event->time_ms % 1000));
    if (event->kind == PTOOLS_EVENT_MISSED) {
        if (event->missed)
            printf("missed %" PRIu64 "\n", event->missed);
        else
            puts("missed some, for the connection broke");
        return;
    }
    printf("%" PRIu64 " %s", event->task,
           event->kind == PTOOLS_EVENT_ENDED ? ptools_queued_state_name(event->state) : kind_name(event->kind));
    if (event->kind != PTOOLS_EVENT_QUEUED && event->attempt > 0)
        printf(" attempt %" PRIu32 " worker %" PRIu32, event->attempt, event->worker);
    if (event->kind == PTOOLS_EVENT_PROGRESS)
        printf(" %" PRIu64 " of %" PRIu64, event->progress, event->progress_of);
    if (event->code != PTOOLS_OK)
        printf(" %s", ptools_errname(event->code));
    putchar('\n');
}

static void happened(const ptools_event *event, void *arg)
{
    struct watch *watch = arg;

    if (watch->line->json)
        print_json(event);
    else
        print_text(event);
    failure_flush_output();
    if (event->kind == PTOOLS_EVENT_MISSED) {
        watch->missed = true;
        watch->lost = event->code;
    }
    if (watch->task && event->task == watch->task && event->kind == PTOOLS_EVENT_ENDED)
        watch->ended = true;
}

/* It may have ended before anybody watched, or while the connection was away. */
static ptools_err look(ptools *pt, struct watch *watch)
{
    PTOOLS_AUTO(ptools_queued) list = NULL;
    ptools_err r = ptools_queued_get(pt, watch->task, 0, &list);

    watch->missed = false;
    if (r == PTOOLS_OK)
        watch->ended = ptools_queued_at(list, 0)->state >= PTOOLS_QUEUED_DONE;
    return r;
}

static int follow(const struct command_line *line, ptools *pt, const char *tag, struct watch *watch)
{
    PTOOLS_AUTO(ptools_watch) handle = NULL;
    ptools_err r = ptools_watch_tasks(pt, tag, watch->task, happened, watch, &handle);

    if (r == PTOOLS_OK && watch->task)
        r = look(pt, watch);
    while (r == PTOOLS_OK && !watch->ended && watch->lost == PTOOLS_OK && !ferror(stdout)) {
        r = ptools_dispatch(pt, PTOOLS_FOREVER);
        if (r == PTOOLS_ERR_AGAIN)
            r = PTOOLS_OK;
        if (r == PTOOLS_OK && watch->task && watch->missed)
            r = look(pt, watch);
    }
    while (r == PTOOLS_OK && ptools_dispatch(pt, 0) == PTOOLS_OK) /* what came before the look */
        ;
    if (r == PTOOLS_OK && watch->lost != PTOOLS_OK)
        return failure_report_code(line, watch->lost, "the daemon was started anew, and does not let this watch go on");
    return r == PTOOLS_OK ? EXIT_VALUE : failure_report_last(line, pt, r);
}

static int run(const struct command_line *line)
{
    PTOOLS_AUTO(ptools) pt = NULL;
    const size_t words = command_line_words(line);
    struct tasks_wish wish = { 0 };
    struct tasks tasks = { 0 };
    struct watch watch = { .line = line };
    int status = tasks_take(line, 0, words, &wish);

    if (status == EXIT_VALUE && words > 0 && wish.tag)
        status = command_line_wrong(line, "an ID and --tag exclude each other");
    if (status == EXIT_VALUE && words > 0 && (wish.ids.n != 1 || !id_is_one(&wish.ids.items[0])))
        status = command_line_wrong(line, "it takes the ID of one task, or --tag for several, or nothing for all");
    if (status == EXIT_VALUE)
        status = session_open(line, false, 0, &pt);
    if (status == EXIT_VALUE && words > 0)
        status = tasks_find(line, pt, &wish, 0, &tasks);
    if (status == EXIT_VALUE)
        status = tasks.status;
    if (status == EXIT_VALUE) {
        watch.task = tasks.n > 0 ? tasks.items[0].id : 0;
        status = follow(line, pt, wish.tag, &watch);
    }
    tasks_deinit(&tasks);
    tasks_wish_deinit(&wish);
    return status;
}

const struct verb verb_events = {
    .name = "events",
    .summary = "show what happens to queued tasks, as it happens",
    .usage = usage,
    .about =
        "Prints a line whenever a queued task of this user is queued, started, tells its progress, is to be tried\n"
        "again, or ends: of all, of those that have the TAG, or of one until it has ended. With --json a document\n"
        "a line. What was lost because nobody read it is told as missed.\n",
    .options = options,
    .run = run,
};
