/* SPDX-License-Identifier: MIT */
/*
 * verb_events -- `ptools events`: what happens to queued tasks, a line each, as it happens.
 *
 * Each line is written out at once, so that a signal, which ends the command as usual, loses nothing.
 *
 * The daemon tells of all tasks, of a tag's, or of one; what else picks them is looked at here. Tasks that are named
 * are found once, at the beginning, and when all have ended there is no more to see, unless --follow says that they may
 * be run again. Nobody keeps what has happened before. --state and --where are asked of
 * each event's task as it is when the event is shown, but for its state, which is that of the event.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/failure.h"
#include "client/cli/session.h"
#include "client/cli/tasks.h"
#include "client/cli/times.h"
#include "client/cli/verbs.h"
#include "client/cli/words.h"

enum { OPTION_FOLLOW = OPTION_OF_VERB };
static const struct option_row options[] = {
    { OPTION_FOLLOW, 'f', "follow", NULL, "go on when the tasks with these IDs have ended: they may be run again" },
    { OPTION_STATE, '\0', "state", "STATE,...", TASKS_STATE_HELP },
    { OPTION_TAG, '\0', "tag", "TAG", TASKS_TAG_HELP },
    { OPTION_WHERE, '\0', "where", "EXPR", TASKS_WHERE_HELP },
    { 0 },
};
static const char *const usage[] = { "[-f] [--state STATE,...] [--tag TAG] [--where EXPR] [ID...]", NULL };

enum { EVENTS_MAX = 65536 }; /* that wait to be shown */

struct watch {
    const struct command_line *line;
    ptools *pt;
    const struct tasks_wish *wish;
    struct task *tasks; /* those that were named, by their ids; without words: none */
    bool *ended;        /* ... which of them have */
    size_t n, open;
    bool for_ever;        /* also when all of them have ended */
    bool look;            /* something was missed, so nobody knows which of them have ended */
    ptools_err lost;      /* there will be no more, for this reason */
    ptools_event *events; /* what came, and was not looked at yet */
    size_t n_events, room;
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

static int by_id(const void *a, const void *b)
{
    const struct task *x = a, *y = b;

    return x->id < y->id ? -1 : x->id > y->id;
}

static void happened(const ptools_event *event, void *arg)
{
    struct watch *watch = arg;

    if (watch->n_events == watch->room) {
        size_t room = watch->room ? 2 * watch->room : 64;
        ptools_event *events = room > EVENTS_MAX ? NULL : reallocarray(watch->events, room, sizeof *events);

        if (!events) {
            watch->lost = PTOOLS_ERR_NO_MEMORY;
            return;
        }
        watch->events = events;
        watch->room = room;
    }
    watch->events[watch->n_events++] = *event;
}

static void note_end(struct watch *watch, size_t i)
{
    watch->open -= !watch->ended[i];
    watch->ended[i] = true;
}

/* Those that are named may have ended before anybody watched, or while the connection was away. */
static ptools_err look(struct watch *watch)
{
    ptools_err r = PTOOLS_OK;

    watch->look = false;
    for (size_t i = 0; i < watch->n && r == PTOOLS_OK; i++) {
        PTOOLS_AUTO(ptools_queued) list = NULL;

        if (watch->ended[i])
            continue;
        r = ptools_queued_get(watch->pt, watch->tasks[i].id, 0, &list);
        if (r == PTOOLS_ERR_NO_TASK || (r == PTOOLS_OK && ptools_queued_at(list, 0)->state >= PTOOLS_QUEUED_DONE)) {
            note_end(watch, i);
            r = PTOOLS_OK;
        }
    }
    return r;
}

/* Whether it is one of those that are meant. A task that is forgotten meanwhile is in no state. */
static ptools_err is_meant(struct watch *watch, const ptools_event *event, bool *ret)
{
    PTOOLS_AUTO(ptools_queued) list = NULL;
    const struct task key = { .id = event->task };
    const struct task *named = watch->n ? bsearch(&key, watch->tasks, watch->n, sizeof key, by_id) : NULL;
    ptools_queued_info info;
    ptools_err r;

    *ret = !watch->tasks || named;
    if (named && event->kind == PTOOLS_EVENT_ENDED)
        note_end(watch, (size_t)(named - watch->tasks));
    if (!*ret || (!watch->wish->states && !watch->wish->where && !(watch->tasks && watch->wish->tag)))
        return PTOOLS_OK;
    r = ptools_queued_get(watch->pt, event->task, 0, &list);
    if (r == PTOOLS_OK) {
        info = *ptools_queued_at(list, 0);
        info.state = event->state;
    }
    *ret = r == PTOOLS_OK && tasks_match(watch->wish, &info, times_now_ms());
    return r == PTOOLS_ERR_NO_TASK ? PTOOLS_OK : r;
}

/* What has come; more may come while it is shown. */
static ptools_err show(struct watch *watch)
{
    ptools_err r = PTOOLS_OK;

    for (size_t i = 0; i < watch->n_events && r == PTOOLS_OK; i++) {
        const ptools_event event = watch->events[i];
        bool meant = true;

        if (event.kind == PTOOLS_EVENT_MISSED) {
            watch->look = true;
            watch->lost = event.code != PTOOLS_OK ? event.code : watch->lost;
        } else {
            r = is_meant(watch, &event, &meant);
        }
        if (r != PTOOLS_OK || !meant)
            continue;
        if (watch->line->json)
            print_json(&event);
        else
            print_text(&event);
        failure_flush_output();
    }
    watch->n_events = 0;
    return r;
}

static ptools_err step(struct watch *watch)
{
    ptools_err r;

    if (watch->look && watch->tasks)
        return look(watch);
    watch->look = false;
    r = ptools_dispatch(watch->pt, PTOOLS_FOREVER);
    if (r == PTOOLS_ERR_AGAIN)
        r = PTOOLS_OK;
    return r == PTOOLS_OK ? show(watch) : r;
}

static bool goes_on(const struct watch *watch)
{
    return (!watch->tasks || watch->open > 0 || watch->for_ever) && watch->lost == PTOOLS_OK && !ferror(stdout);
}

static int follow(struct watch *watch)
{
    PTOOLS_AUTO(ptools_watch) handle = NULL;
    const bool one = watch->n == 1, tag = watch->wish->tag && !watch->tasks;
    ptools_err r = ptools_watch_tasks(watch->pt, tag ? watch->wish->tag : NULL, one ? watch->tasks[0].id : 0, happened,
                                      watch, &handle);

    if (r == PTOOLS_ERR_NO_TASK && one) /* it was forgotten since it was found: it has ended */
        return EXIT_VALUE;
    while (r == PTOOLS_OK && goes_on(watch))
        r = step(watch);
    while (r == PTOOLS_OK && ptools_dispatch(watch->pt, 0) == PTOOLS_OK) /* what came before the look */
        ;
    if (r == PTOOLS_OK)
        r = show(watch);
    if (r == PTOOLS_OK && watch->lost == PTOOLS_ERR_NO_MEMORY)
        return failure_report_code(watch->line, watch->lost, NULL);
    if (r == PTOOLS_OK && watch->lost != PTOOLS_OK)
        return failure_report_code(watch->line, watch->lost,
                                   "the daemon was started anew, and does not let this watch go on");
    return r == PTOOLS_OK ? EXIT_VALUE : failure_report_last(watch->line, watch->pt, r);
}

static int follow_tasks(struct watch *watch, struct tasks *tasks)
{
    int status = EXIT_VALUE;

    watch->tasks = tasks->items;
    watch->n = watch->open = tasks->n;
    watch->look = true;
    watch->ended = calloc(tasks->n + 1, sizeof *watch->ended);
    if (!watch->ended)
        return failure_report_code(watch->line, PTOOLS_ERR_NO_MEMORY, NULL);
    if (tasks->n > 0) {
        qsort(tasks->items, tasks->n, sizeof *tasks->items, by_id);
        status = follow(watch);
    }
    free(watch->ended);
    return status != EXIT_VALUE ? status : tasks->status;
}

static int run(const struct command_line *line)
{
    PTOOLS_AUTO(ptools) pt = NULL;
    struct tasks_wish wish = { 0 }, named;
    struct tasks tasks = { 0 };
    struct watch watch = { .line = line, .wish = &wish };
    int status = tasks_take(line, 0, command_line_words(line), &wish);

    for (size_t i = 0; i < line->n; i++)
        watch.for_ever |= line->items[i].id == OPTION_FOLLOW;
    if (status == EXIT_VALUE)
        status = session_open(line, false, 0, &pt);
    watch.pt = pt;
    named = (struct tasks_wish){ .ids = wish.ids }; /* the options hold later, or not */
    if (status == EXIT_VALUE && wish.ids.n > 0)
        status = tasks_find(line, pt, &named, TASKS_LOOK, &tasks);
    if (status == EXIT_VALUE)
        status = wish.ids.n > 0 ? follow_tasks(&watch, &tasks) : follow(&watch);
    free(watch.events);
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
        "again, or ends, from now on: of all, until it is interrupted, or of those with these IDs until they have\n"
        "ended; with -f it goes on then, too. The options are asked of the task as it is when the line is printed,\n"
        "its state being that of the event. With --json a document a line.\n"
        "What was lost because nobody read it is told as missed.\n" TASKS_IDS_HELP TASKS_EXPR_HELP,
    .options = options,
    .run = run,
};
