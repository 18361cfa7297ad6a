/* SPDX-License-Identifier: MIT */
/*
 * watch -- events of queued tasks, from the wire to the callback of a watch.
 *
 * The request of a watch stays in flight as long as the watch lives: its id is on every event, and it is sent again on
 * a new connection (again.c), of which PTOOLS_EVENT_MISSED tells. Events that come in any wait are kept until
 * ptools_dispatch() tells them, up to a number; beyond that they are counted, and told as missed.
 */
#include "client/lib/handle.h"

#include <string.h>

enum { EVENTS_MAX = 65536, EVENTS_FIRST = 64 };

_Static_assert((int)PTOOLS_EVENT_QUEUED == (int)EVENT_QUEUED && (int)PTOOLS_EVENT_MISSED == (int)EVENT_MISSED,
               "as on the wire");

/* -- taking in ----------------------------------------------------------------------------------------- */

static void deliver(ptools_future *f, void *arg);

static bool has_news(const struct ptools_watch *w)
{
    return w->n > 0 || w->missed > 0 || (w->f->done && !w->ended);
}

static void be_ready(struct ptools_watch *w)
{
    w->f->fn = deliver;
    w->f->arg = w;
    if (has_news(w))
        future_ready(w->f);
    else
        future_unready(w->f);
}

static bool make_room(struct ptools_watch *w)
{
    size_t cap = w->cap ? w->cap * 2 : EVENTS_FIRST;
    struct ptools_event *events;

    if (w->n < w->cap)
        return true;
    if (w->n >= EVENTS_MAX)
        return false;
    events = realloc(w->events, cap * sizeof *events);
    if (!events)
        return false;
    w->events = events;
    w->cap = cap;
    return true;
}

static void push(struct ptools_watch *w, const struct ptools_event *event)
{
    if (w->missed == 0 && make_room(w))
        w->events[w->n++] = *event;
    else /* it must not overtake those that were missed before it; if it tells of some, it is not one more */
        w->missed += event->kind == PTOOLS_EVENT_MISSED && event->missed ? event->missed : 1;
    if (w->f)
        be_ready(w);
}

void watch_take(struct ptools_watch *w, const struct msg_event *told)
{
    const struct ptools_event event = {
        .seq = told->seq,
        .kind = (ptools_event_kind)told->event,
        .task = told->task,
        .state = (ptools_queued_state)told->state,
        .time_ms = (int64_t)told->time_ms,
        .worker = told->worker,
        .attempt = told->attempt,
        .code = (ptools_err)told->code,
        .progress = told->progress,
        .progress_of = told->progress_of,
        .missed = told->missed,
    };

    push(w, &event);
}

void watch_answered(struct ptools_watch *w)
{
    if (w->begun)
        push(w, &(struct ptools_event){ .kind = PTOOLS_EVENT_MISSED });
    w->begun = true;
}

/* -- telling ------------------------------------------------------------------------------------------- */

static void unlist(struct ptools_watch *w)
{
    LIST_REMOVE(w, link);
    w->pt = NULL;
    w->f = NULL;
}

static void destroy(struct ptools_watch *w)
{
    free(w->events);
    free(w);
}

/* The next event. False: there is none. */
static bool next(struct ptools_watch *w, struct ptools_event *ret)
{
    if (w->at < w->n) {
        *ret = w->events[w->at++];
        if (w->at == w->n)
            w->at = w->n = 0;
        return true;
    }
    if (w->missed == 0)
        return false;
    *ret = (struct ptools_event){ .kind = PTOOLS_EVENT_MISSED, .missed = w->missed };
    w->missed = 0;
    return true;
}

/* Tells those that are there now, not those that come meanwhile. A callback may free the watch, close the handle,
 * fork, and dispatch: then the inner call tells what the outer would have told. */
static void deliver(ptools_future *f, void *arg)
{
    struct ptools_watch *w = arg;
    struct ptools *pt = w->pt;
    const bool outer = !w->delivering;
    struct ptools_event event;
    size_t left;

    w->delivering = true;
    if (f->done && !w->ended) { /* the daemon refuses to go on with it */
        w->ended = true;
        push(w, &(struct ptools_event){ .kind = PTOOLS_EVENT_MISSED, .code = f->failure.facts.code });
    }
    for (left = w->n - w->at + (w->missed > 0); left > 0 && w->pt && handle_is_ours(pt) && next(w, &event); left--) {
        be_ready(w); /* for a callback that dispatches */
        w->fn(&event, w->arg);
    }
    if (!outer)
        return;
    w->delivering = false;
    if (w->freed)
        destroy(w);
    else if (w->pt)
        be_ready(w);
}

/* -- life ---------------------------------------------------------------------------------------------- */

void watch_orphan(struct ptools_watch *w)
{
    unlist(w); /* its future is the handle's, and goes with it */
}

/* Until the daemon has answered. */
static ptools_err await_begin(struct ptools_watch *w, uint64_t until_us)
{
    struct ptools_future *f = w->f;
    struct ptools *pt = w->pt;

    for (bool over = false; !w->begun && !f->done && !over;)
        over = !handle_pump(pt, until_us) || (until_us != CLOCK_FOREVER && clock_now_us() >= until_us);
    if (f->done)
        return fail_with(pt, &f->failure);
    return w->begun ? PTOOLS_OK
                    : fail_static(pt, PTOOLS_ERR_TIMEOUT, "the daemon did not answer the request events in time");
}

ptools_err ptools_watch_tasks(ptools *pt, const char *tag, uint64_t task, ptools_event_fn fn, void *arg,
                              ptools_watch **ret_watch)
{
    struct msg_request request = { .kind = MSG_EVENTS, .task = { .task = task } };
    struct manner how = { 0 };
    struct ptools_watch *w;
    uint64_t until_us;
    ptools_err err = handle_check(pt);

    if (err != PTOOLS_OK)
        return err;
    if (!fn || !ret_watch)
        return fail_static(pt, PTOOLS_ERR_INVALID, fn ? "ret_watch is NULL" : "fn is NULL");
    if (tag && !name_ok_tag(tag, strlen(tag)))
        return fail(pt, PTOOLS_ERR_INVALID,
                    "tag is \"%.80s\": 1 to %u of A-Z a-z 0-9 _ - . : / = @ + are allowed, or NULL for all", tag,
                    NAME_BYTES_MAX);
    if (tag && task != 0)
        return fail_static(pt, PTOOLS_ERR_INVALID, "a tag or a task is watched, not both");
    request.task.tag = (struct text){ tag, tag ? strlen(tag) : 0 };
    w = calloc(1, sizeof *w);
    if (!w)
        return fail_no_memory(pt);
    w->fn = fn;
    w->arg = arg;
    how.watch = w;
    until_us = round_trip_until_us(pt, CLOCK_FOREVER);
    err = request_send_again(pt, &request, NULL, 0, until_us, &how, &w->f);
    if (err != PTOOLS_OK) {
        destroy(w);
        return err;
    }
    w->pt = pt;
    w->f->owned = true;
    LIST_INSERT_HEAD(&pt->watches, w, link);
    be_ready(w);
    err = await_begin(w, until_us);
    if (err != PTOOLS_OK)
        ptools_watch_free(w);
    else
        *ret_watch = w;
    return err;
}

ptools_watch *ptools_watch_free(ptools_watch *w)
{
    struct ptools *pt = w ? w->pt : NULL;

    if (!w)
        return NULL;
    if (pt) {
        struct msg_request end = { .kind = MSG_EVENTS_END, .task = { .request = w->f->id } };

        if (handle_is_ours(pt) && !w->f->done && !w->f->again->parked)
            request_tell(pt, &end);
        ptools_future_free(w->f);
        unlist(w);
    }
    if (w->delivering)
        w->freed = true;
    else
        destroy(w);
    return NULL;
}
