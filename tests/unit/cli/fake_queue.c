/* SPDX-License-Identifier: MIT */
/*
 * fake_queue -- see fake_queue.h. The functions are those of libptools that the verbs of the queue call; they are found
 * here first, because this is linked into the program itself.
 */
#include "tests/unit/cli/fake_queue.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "tests/support/suite.h"
#include "tests/unit/cli/values.h"

enum { TASKS = 6, FIRST = 11, ASKED_BYTES = 65536 };
#define QUEUED_MS INT64_C(1764192615000)

struct ptools {
    int fd; /* never readable */
    uint64_t submitted;
    char message[300];
    ptools_failure failure;
    ptools_event_fn event;
    void *event_arg;
    int events;
};
struct ptools_future {
    ptools *pt;
    bool done, failed;
    uint64_t task;
    ptools_failure failure;
    ptools_pack *pack; /* the value */
    struct payload payload;
    ptools_value value;
};
struct ptools_queued {
    size_t n;
    ptools_queued_info items[TASKS];
    ptools_pack *args;
    struct payload payload;
};
struct ptools_workerset {
    int unused;
};
struct ptools_watch {
    int unused;
};

static const char *const tags[] = { "night", "run:7" };
static const ptools_queued_info tasks[TASKS] = {
    { .id = 11,
      .state = PTOOLS_QUEUED_QUEUED,
      .function = "math.square",
      .target = "any",
      .priority = 3,
      .durability = PTOOLS_CRASHSAFE,
      .attempts = 1,
      .queued_ms = QUEUED_MS,
      .message = "",
      .phase = "",
      .log = "",
      .output = "",
      .tags = tags,
      .n_tags = 2 },
    { .id = 12,
      .state = PTOOLS_QUEUED_RUNNING,
      .function = "math.primes",
      .target = "any",
      .priority = INFINITY,
      .durability = PTOOLS_VOLATILE,
      .attempt = 1,
      .attempts = 3,
      .worker = 2,
      .queued_ms = QUEUED_MS,
      .started_ms = QUEUED_MS + 10,
      .message = "",
      .phase = "",
      .log = "",
      .output = "",
      .progress = 5,
      .progress_of = 10 },
    { .id = 13,
      .state = PTOOLS_QUEUED_DONE,
      .function = "math.square",
      .target = "any",
      .priority = 1,
      .durability = PTOOLS_DURABLE,
      .attempt = 1,
      .attempts = 1,
      .worker = 1,
      .queued_ms = QUEUED_MS,
      .started_ms = QUEUED_MS + 10,
      .ended_ms = QUEUED_MS + 20,
      .run_us = 1500,
      .value_bytes = 2,
      .message = "",
      .phase = "",
      .log = "",
      .output = "" },
    { .id = 14,
      .state = PTOOLS_QUEUED_FAILED,
      .function = "text.count",
      .target = "any",
      .priority = 2,
      .durability = PTOOLS_CRASHSAFE,
      .attempt = 2,
      .attempts = 2,
      .worker = 1,
      .queued_ms = QUEUED_MS,
      .code = PTOOLS_ERR_FAILED,
      .message = "no",
      .phase = "",
      .log = "",
      .output = "",
      .maybe_executed = true },
    { .id = 15,
      .state = PTOOLS_QUEUED_WAITING,
      .function = "math.square",
      .target = "any",
      .priority = INFINITY,
      .durability = PTOOLS_CRASHSAFE,
      .hold = true,
      .queued_ms = QUEUED_MS,
      .message = "",
      .phase = "",
      .log = "",
      .output = "",
      .key = "k1",
      .key_bytes = 2 },
    { .id = 16,
      .state = PTOOLS_QUEUED_DEAD,
      .function = "bad.crash",
      .target = "any",
      .priority = INFINITY,
      .durability = PTOOLS_CRASHSAFE,
      .kills = 3,
      .queued_ms = QUEUED_MS,
      .code = PTOOLS_ERR_DEAD,
      .message = "it has killed three workers",
      .phase = "",
      .log = "",
      .output = "" },
};

static char asked[ASKED_BYTES];
static size_t asked_bytes;

const char *fake_asked(void)
{
    static char taken[ASKED_BYTES];

    memcpy(taken, asked, asked_bytes);
    taken[asked_bytes] = '\0';
    asked_bytes = 0;
    return taken;
}

static void __attribute__((__format__(__printf__, 1, 2))) note(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    asked_bytes += (size_t)vsnprintf(asked + asked_bytes, sizeof asked - asked_bytes, format, args);
    va_end(args);
    if (asked_bytes >= sizeof asked)
        asked_bytes = sizeof asked - 1; /* nobody looks at so much */
}

static const ptools_queued_info *find(uint64_t id)
{
    return id >= FIRST && id < FIRST + TASKS ? &tasks[id - FIRST] : NULL;
}

static ptools_err refuse(ptools *pt, ptools_err code, const char *format, uint64_t id)
{
    if (code == PTOOLS_ERR_NO_TASK)
        snprintf(pt->message, sizeof pt->message, "there is no task %" PRIu64, id);
    else
        snprintf(pt->message, sizeof pt->message, "%s", format);
    pt->failure = (ptools_failure){
        .code = code, .message = pt->message, .exit_status = -1, .phase = "", .log = "", .backtrace = ""
    };
    return code;
}

/* -- the handle ------------------------------------------------------------------------------------------- */

ptools_err ptools_open(const ptools_options *options, ptools **ret_pt, const char **ret_message)
{
    (void)options;
    (void)ret_message;
    *ret_pt = calloc(1, sizeof **ret_pt);
    (*ret_pt)->fd = eventfd(0, EFD_CLOEXEC);
    (*ret_pt)->submitted = 100;
    return PTOOLS_OK;
}

ptools *ptools_close(ptools *pt)
{
    if (pt)
        close(pt->fd);
    free(pt);
    return NULL;
}

const char *ptools_error_message(ptools *pt)
{
    return pt->message;
}

const ptools_failure *ptools_last_failure(ptools *pt)
{
    return &pt->failure;
}

int ptools_fd(ptools *pt)
{
    return pt->fd;
}

short ptools_events(ptools *pt)
{
    (void)pt;
    return 1;
}

ptools_err ptools_cork(ptools *pt)
{
    (void)pt;
    return PTOOLS_OK;
}

ptools_err ptools_uncork(ptools *pt)
{
    (void)pt;
    return PTOOLS_OK;
}

ptools_err ptools_dispatch(ptools *pt, int64_t timeout_ms)
{
    static const ptools_event events[] = {
        { .kind = PTOOLS_EVENT_QUEUED, .task = 12, .state = PTOOLS_QUEUED_QUEUED, .time_ms = QUEUED_MS, .seq = 1 },
        { .kind = PTOOLS_EVENT_STARTED,
          .task = 12,
          .state = PTOOLS_QUEUED_RUNNING,
          .time_ms = QUEUED_MS + 1,
          .worker = 2,
          .attempt = 1 },
        { .kind = PTOOLS_EVENT_PROGRESS,
          .task = 12,
          .state = PTOOLS_QUEUED_RUNNING,
          .time_ms = QUEUED_MS + 2,
          .worker = 2,
          .attempt = 1,
          .progress = 1,
          .progress_of = 2 },
        { .kind = PTOOLS_EVENT_MISSED, .time_ms = QUEUED_MS + 3, .missed = 7 },
        { .kind = PTOOLS_EVENT_RETRY,
          .task = 12,
          .state = PTOOLS_QUEUED_WAITING,
          .time_ms = QUEUED_MS + 4,
          .worker = 2,
          .attempt = 1,
          .code = PTOOLS_ERR_WORKER_DIED },
        { .kind = PTOOLS_EVENT_ENDED,
          .task = 12,
          .state = PTOOLS_QUEUED_FAILED,
          .time_ms = QUEUED_MS + 5,
          .worker = 1,
          .attempt = 2,
          .code = PTOOLS_ERR_FAILED },
        { .kind = PTOOLS_EVENT_QUEUED, .task = 17, .state = PTOOLS_QUEUED_QUEUED, .time_ms = QUEUED_MS + 6 },
    };
    const int n = sizeof events / sizeof events[0];

    if (!pt->event)
        return PTOOLS_ERR_AGAIN;
    if (pt->events == n && timeout_ms != 0)
        return refuse(pt, PTOOLS_ERR_LOST, "the daemon is gone", 0);
    if (pt->events == n || timeout_ms == 0)
        return PTOOLS_ERR_AGAIN;
    pt->event(&events[pt->events++], pt->event_arg);
    return PTOOLS_OK;
}

ptools_err ptools_workerset_open(ptools *pt, const char *name, ptools_workerset **ret_set)
{
    note("set %s\n", name);
    if (strcmp(name, "nosuch") == 0)
        return refuse(pt, PTOOLS_ERR_NO_SET, "there is no set \"nosuch\"", 0);
    *ret_set = calloc(1, sizeof **ret_set);
    return PTOOLS_OK;
}

ptools_workerset *ptools_workerset_free(ptools_workerset *set)
{
    free(set);
    return NULL;
}

/* -- futures ------------------------------------------------------------------------------------------------ */

bool ptools_future_done(ptools_future *f)
{
    return f->done;
}

uint64_t ptools_future_task(ptools_future *f)
{
    return f->task;
}

ptools_err ptools_future_fetch(ptools_future *f, int64_t timeout_ms, ptools_value *ret_value)
{
    (void)timeout_ms;
    if (!f->done)
        return refuse(f->pt, PTOOLS_ERR_TIMEOUT, "the time is over", 0);
    if (f->failed)
        return f->failure.code;
    *ret_value = f->value;
    return PTOOLS_OK;
}

const ptools_failure *ptools_future_failure(ptools_future *f)
{
    return f->done && f->failed ? &f->failure : NULL;
}

ptools_future *ptools_future_free(ptools_future *f)
{
    if (!f)
        return NULL;
    if (f->pack)
        payload_deinit(&f->payload);
    ptools_pack_free(f->pack);
    free(f);
    return NULL;
}

static ptools_future *failed(ptools *pt, ptools_err code, const char *message)
{
    ptools_future *f = calloc(1, sizeof *f);

    f->pt = pt;
    f->done = f->failed = true;
    f->failure = (ptools_failure){
        .code = code, .message = message, .exit_status = -1, .phase = "", .log = "", .backtrace = ""
    };
    return f;
}

ptools_err ptools_queued_result(ptools *pt, uint64_t task, ptools_future **ret_future)
{
    const ptools_queued_info *info = find(task);
    ptools_future *f;

    if (!info && task <= 100)
        *ret_future = failed(pt, PTOOLS_ERR_NO_TASK, "there is no such task");
    else if (info && info->code != PTOOLS_OK)
        *ret_future = failed(pt, info->code, info->message);
    if ((!info && task <= 100) || (info && info->code != PTOOLS_OK))
        return PTOOLS_OK;
    f = calloc(1, sizeof *f);
    f->pt = pt;
    f->task = task;
    f->done = !info || info->state == PTOOLS_QUEUED_DONE; /* what was just submitted is done at once */
    f->pack = ptools_pack_new();
    ptools_pack_i64(f->pack, 144);
    f->value = value_of(f->pack, &f->payload);
    *ret_future = f;
    return PTOOLS_OK;
}

/* -- submitting --------------------------------------------------------------------------------------------- */

static void note_flags(uint32_t flags)
{
    static const char *const names[] = { "idempotent", "wait-target", "any-target", "after-any",
                                         "after-keep", "hold",        "block" };

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (flags & UINT32_C(1) << i)
            note(" %s", names[i]);
}

static void note_ms(const char *name, int64_t ms)
{
    if (ms)
        note(" %s=%" PRId64, name, ms);
}

static void note_args(const ptools_pack *args)
{
    ptools_pack *copy = ptools_pack_new();
    const uint8_t *data;
    size_t n;
    char *json;

    ck_assert_int_eq(pack_finish_arguments(args, &data, &n), PTOOLS_OK);
    ptools_pack_raw(copy, data, n);
    json = json_of(copy, false);
    note(" %s", json);
    free(json);
    ptools_pack_free(copy);
}

static void note_task(const ptools_worker_task *t)
{
    static const char *const targets[] = { "any", "all", "workers", "hosts", "set" };

    /* what libptools holds callers to */
    ck_assert(!t->workers == (t->target != PTOOLS_TARGET_WORKERS) && !t->hosts == (t->target != PTOOLS_TARGET_HOSTS));
    ck_assert(!t->set == (t->target != PTOOLS_TARGET_SET));
    note("submit %s", t->function);
    if (t->args)
        note_args(t->args);
    note(" durability=%d", (int)t->durability);
    if (t->priority < PTOOLS_PRIORITY_LAST)
        note(" priority=%g", t->priority);
    if (t->target != PTOOLS_TARGET_ANY)
        note(" target=%s", targets[t->target]);
    for (uint32_t i = 0; i < t->n_targets && t->target == PTOOLS_TARGET_WORKERS; i++)
        note(":%" PRIu32, t->workers[i]);
    for (uint32_t i = 0; i < t->n_targets && t->target == PTOOLS_TARGET_HOSTS; i++)
        note(":%s", t->hosts[i]);
    note_ms("delay", t->delay_ms);
    note_ms("start", t->start_ms);
    note_ms("expire", t->expire_ms);
    note_ms("deadline", t->deadline_ms);
    note_ms("attempts", t->attempts);
    note_ms("retry_on", t->retry_on);
    note_ms("backoff", t->backoff_ms);
    note_ms("backoff_max", t->backoff_max_ms);
    note_ms("keep", t->keep_ms);
    note_ms("result_max", (int64_t)t->result_max);
    if (t->key)
        note(" key=%.*s", (int)t->key_bytes, (const char *)t->key);
    for (uint32_t i = 0; i < t->n_tags; i++)
        note(" tag=%s", t->tags[i]);
    for (uint32_t i = 0; i < t->n_after; i++)
        note(" after=%" PRIu64, t->after[i]);
    note_flags(t->flags);
    note("\n");
}

ptools_err ptools_queue_worker_task_start(ptools *pt, const ptools_worker_task *task, ptools_future **ret_accepted)
{
    ptools_future *f;

    note_task(task);
    if (strcmp(task->function, "no.such") == 0) {
        *ret_accepted = failed(pt, PTOOLS_ERR_NO_FUNCTION, "the module \"no\" has no function \"such\"");
        return PTOOLS_OK;
    }
    f = calloc(1, sizeof *f);
    f->pt = pt;
    f->done = true;
    f->task = ++pt->submitted;
    *ret_accepted = f;
    return PTOOLS_OK;
}

ptools_err ptools_queue_worker_task(ptools *pt, const ptools_worker_task *task, uint64_t *ret_task)
{
    note_task(task);
    if (strcmp(task->function, "no.such") == 0)
        return refuse(pt, PTOOLS_ERR_NO_FUNCTION, "the module \"no\" has no function \"such\"", 0);
    *ret_task = ++pt->submitted;
    return PTOOLS_OK;
}

/* -- looking ------------------------------------------------------------------------------------------------ */

static ptools_queued *list_new(uint32_t flags)
{
    ptools_queued *list = calloc(1, sizeof *list);

    if (!(flags & PTOOLS_LIST_ARGS))
        return list;
    list->args = ptools_pack_new();
    ptools_pack_list(list->args, 1);
    ptools_pack_i64(list->args, 12);
    value_of(list->args, &list->payload);
    return list;
}

static void list_add(ptools_queued *list, const ptools_queued_info *info)
{
    list->items[list->n] = *info;
    if (list->args)
        list->items[list->n].args = (ptools_value){ &list->payload.root };
    list->n++;
}

ptools_err ptools_queued_list(ptools *pt, uint32_t states, const char *tag, uint32_t flags, ptools_queued **ret_list)
{
    (void)pt;
    note("list %" PRIx32 " %s%s%s\n", states, tag ? tag : "-", flags & PTOOLS_LIST_ARGS ? " args" : "",
         flags & PTOOLS_LIST_NEWEST ? " newest" : "");
    *ret_list = list_new(flags);
    for (size_t i = flags & PTOOLS_LIST_NEWEST ? TASKS - 1 : 0; i < TASKS; i++) {
        bool tagged = !tag;

        for (uint32_t k = 0; k < tasks[i].n_tags && !tagged; k++)
            tagged = strcmp(tasks[i].tags[k], tag) == 0;
        if (tagged && (!states || (states & UINT32_C(1) << tasks[i].state)))
            list_add(*ret_list, &tasks[i]);
    }
    return PTOOLS_OK;
}

ptools_err ptools_queued_get(ptools *pt, uint64_t task, uint32_t flags, ptools_queued **ret_list)
{
    if (!find(task))
        return refuse(pt, PTOOLS_ERR_NO_TASK, NULL, task);
    *ret_list = list_new(flags);
    list_add(*ret_list, find(task));
    return PTOOLS_OK;
}

ptools_err ptools_queued_find(ptools *pt, const void *key, size_t key_bytes, uint32_t flags, ptools_queued **ret_list)
{
    if (key_bytes != 2 || memcmp(key, "k1", 2) != 0)
        return refuse(pt, PTOOLS_ERR_NO_TASK, NULL, 0);
    return ptools_queued_get(pt, 15, flags, ret_list);
}

size_t ptools_queued_count(const ptools_queued *list)
{
    return list->n;
}

const ptools_queued_info *ptools_queued_at(const ptools_queued *list, size_t i)
{
    return i < list->n ? &list->items[i] : NULL;
}

ptools_queued *ptools_queued_free(ptools_queued *list)
{
    if (!list)
        return NULL;
    if (list->args)
        payload_deinit(&list->payload);
    ptools_pack_free(list->args);
    free(list);
    return NULL;
}

ptools_err ptools_queued_wait(ptools *pt, const uint64_t *ids, size_t n, bool any, int64_t timeout_ms,
                              size_t *ret_index)
{
    size_t ended = 0;

    note("wait%s %" PRId64, any ? " any" : "", timeout_ms < 0 ? timeout_ms : timeout_ms / 1000);
    for (size_t i = 0; i < n; i++)
        note(" %" PRIu64, ids[i]);
    note("\n");
    for (size_t i = 0; i < n; i++) {
        if (!find(ids[i]))
            return refuse(pt, PTOOLS_ERR_NO_TASK, NULL, ids[i]);
        if (find(ids[i])->state < PTOOLS_QUEUED_DONE)
            continue;
        if (ended++ == 0 && any)
            *ret_index = i;
    }
    return ended == n || (any && ended) ? PTOOLS_OK : refuse(pt, PTOOLS_ERR_TIMEOUT, "the time is over", 0);
}

ptools_err ptools_queued_why(ptools *pt, uint64_t task, const char **ret_reason)
{
    if (!find(task))
        return refuse(pt, PTOOLS_ERR_NO_TASK, NULL, task);
    *ret_reason = task == 15 ? "it is on hold" : "it waits for a worker: 2 are busy";
    return PTOOLS_OK;
}

/* -- changing ----------------------------------------------------------------------------------------------- */

static bool may(const ptools_queued_info *info, ptools_change change)
{
    const bool ended = info->state >= PTOOLS_QUEUED_DONE;

    switch (change) {
    case PTOOLS_CHANGE_CANCEL:
        return !ended;
    case PTOOLS_CHANGE_RERUN:
    case PTOOLS_CHANGE_FORGET:
        return ended;
    case PTOOLS_CHANGE_KICK:
        return info->state == PTOOLS_QUEUED_DEAD || info->state == PTOOLS_QUEUED_WAITING;
    default:
        return !ended && info->state != PTOOLS_QUEUED_RUNNING;
    }
}

ptools_err ptools_queued_change(ptools *pt, const uint64_t *ids, size_t n, ptools_change change, uint64_t *ret_changed)
{
    uint64_t changed = 0;

    note("change %d", (int)change);
    for (size_t i = 0; i < n; i++)
        note(" %" PRIu64, ids[i]);
    note("\n");
    for (size_t i = 0; i < n; i++)
        changed += find(ids[i]) && may(find(ids[i]), change);
    if (n == 1 && !find(ids[0]))
        return refuse(pt, PTOOLS_ERR_NO_TASK, NULL, ids[0]);
    if (n == 1 && changed == 0)
        return refuse(pt, PTOOLS_ERR_NOT_NOW, "it runs, or has ended", 0);
    *ret_changed = changed;
    return PTOOLS_OK;
}

ptools_err ptools_queued_set_priority(ptools *pt, uint64_t task, double priority)
{
    note("set %" PRIu64 " %g\n", task, priority);
    if (!find(task))
        return refuse(pt, PTOOLS_ERR_NO_TASK, NULL, task);
    return may(find(task), PTOOLS_CHANGE_HOLD) ? PTOOLS_OK : refuse(pt, PTOOLS_ERR_NOT_NOW, "it runs, or has ended", 0);
}

ptools_err ptools_set_priorities(ptools *pt, ptools_calc_prio_fn calc, void *arg, uint64_t *ret_changed,
                                 uint64_t *ret_skipped)
{
    (void)pt;
    *ret_changed = 0;
    *ret_skipped = 1; /* one of them has just begun */
    note("priorities");
    for (size_t i = 0; i < TASKS; i++) {
        double v = may(&tasks[i], PTOOLS_CHANGE_HOLD) ? calc(tasks[i].target, &tasks[i], tasks[i].priority, arg) : NAN;

        if (isnan(v))
            continue;
        note(" %" PRIu64 "=%g", tasks[i].id, v);
        ++*ret_changed;
    }
    note("\n");
    return PTOOLS_OK;
}

/* -- events ------------------------------------------------------------------------------------------------- */

ptools_err ptools_watch_tasks(ptools *pt, const char *tag, uint64_t task, ptools_event_fn fn, void *arg,
                              ptools_watch **ret_watch)
{
    note("watch %s %" PRIu64 "\n", tag ? tag : "-", task);
    pt->event = fn;
    pt->event_arg = arg;
    *ret_watch = calloc(1, sizeof **ret_watch);
    return PTOOLS_OK;
}

ptools_watch *ptools_watch_free(ptools_watch *watch)
{
    free(watch);
    return NULL;
}
