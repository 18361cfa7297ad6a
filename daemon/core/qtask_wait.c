/* SPDX-License-Identifier: MIT */
/*
 * qtask_wait -- who waits for queued tasks, and who watches them.
 *
 * A watcher is one client's request that waits for one task: to be accepted, for its result, or, together with
 * others of the same wait, for its end. It is in the list of the task and in that of the client; whichever goes first
 * takes it out of the other. Each such request is answered once. A watch is a subscription: it sees what happens to
 * tasks of its user, and ends with its client.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "daemon/core/state.h"

struct wait {
    bool any;
    bool answered;
    uint32_t n;     /* watchers that it still has */
    uint64_t first; /* any: what has ended, first in the list */
};

struct watch {
    uint32_t client, uid;
    uint64_t request, seq, task;  /* task 0: all */
    char tag[NAME_BYTES_MAX + 1]; /* "": all */
    struct watch *prev, *next;    /* in core.watches */
};

void watcher_drop(struct watcher *w)
{
    if (w->wait && --w->wait->n == 0)
        free(w->wait);
    DL_DELETE2(w->task->x->watchers, w, task_prev, task_next);
    DL_DELETE2(w->client->watchers, w, client_prev, client_next);
    free(w);
}

struct watcher *qtask_watch(struct qtask *q, struct client *c, uint64_t request)
{
    struct watcher *w = qtask_extra(q) ? calloc(1, sizeof *w) : NULL;

    if (!w)
        return NULL;
    w->task = q;
    w->client = c;
    w->request = request;
    DL_APPEND2(q->x->watchers, w, task_prev, task_next);
    DL_APPEND2(c->watchers, w, client_prev, client_next);
    return w;
}

void watchers_free_client(struct core *core, struct client *c)
{
    struct watch *v, *next;

    while (c->watchers)
        watcher_drop(c->watchers);
    DL_FOREACH_SAFE(core->watches, v, next)
    {
        if (v->client != c->id)
            continue;
        DL_DELETE(core->watches, v);
        free(v);
    }
}

void watchers_free_task(struct qtask *q)
{
    while (q->x && q->x->watchers)
        watcher_drop(q->x->watchers);
}

bool request_in_use(const struct client *c, uint64_t request)
{
    const struct watcher *w;

    DL_FOREACH2(c->watchers, w, client_next)
        if (w->request == request)
            return true;
    return false;
}

/* -- accepted, or refused --------------------------------------------------------------------------------- */

void watchers_accepted(struct core *core, struct qtask *q, struct actions *out)
{
    struct watcher *w, *next;

    (void)core;
    if (!q->x)
        return;
    DL_FOREACH_SAFE2(q->x->watchers, w, next, task_next) {
        const struct msg_reply reply = {
            .task = q->id, .state = qtask_shown(q), .duplicate = w->duplicate, .count = q->x->parts
        };

        if (!w->accept)
            continue;
        w->accept = false;
        if (w->result)
            continue;
        answer_reply(out, w->client->id, w->request, &reply, NULL);
        watcher_drop(w);
    }
    qtask_trim(q);
}

void watchers_refused(struct core *core, struct qtask *q, ptools_err code, const char *why, struct actions *out)
{
    struct watcher *w;

    (void)core;
    while (q->x && (w = q->x->watchers)) {
        answer_refusal(out, w->client->id, w->request, code, "%s", why);
        watcher_drop(w);
    }
}

/* -- ended ------------------------------------------------------------------------------------------------- */

static void wait_answer(const struct watcher *w, uint64_t first, struct actions *out)
{
    const struct msg_reply reply = { .task = first };

    w->wait->answered = true;
    answer_reply(out, w->client->id, w->request, &reply, NULL);
}

void watchers_tell(struct core *core, struct qtask *q, struct actions *out)
{
    struct watcher *w;

    while (q->x && (w = q->x->watchers)) {
        if (!w->wait)
            qtask_answer_end(core, q, w->client->id, w->request, out);
        else if (!w->wait->answered && (w->wait->any || w->wait->n == 1))
            wait_answer(w, q->id, out);
        watcher_drop(w);
    }
}

void queued_wait(struct core *core, struct client *c, uint64_t request, const struct msg_task *m, struct actions *out)
{
    struct msg_reply reply = { 0 };
    struct wait *wait;
    uint32_t open = 0;

    for (uint32_t i = 0; i < m->n_tasks; i++) {
        const struct qtask *q = qtask_of(core, c->user, m->tasks[i]);

        if (!q) {
            answer_refusal(out, c->id, request, PTOOLS_ERR_NO_TASK, "no queued task %" PRIu64, m->tasks[i]);
            return;
        }
        if (q->state != QT_ENDED)
            open++;
        else if (m->any && !reply.task)
            reply.task = q->id;
    }
    if (open == 0 || reply.task) {
        answer_reply(out, c->id, request, &reply, NULL);
        return;
    }
    wait = calloc(1, sizeof *wait);
    if (!wait) {
        out->no_memory = true;
        return;
    }
    wait->any = m->any;
    wait->n = 1; /* this function's */
    for (uint32_t i = 0; i < m->n_tasks; i++) {
        struct qtask *q = qtask_of(core, c->user, m->tasks[i]);
        struct watcher *w = q->state == QT_ENDED ? NULL : qtask_watch(q, c, request);

        if (w) {
            w->wait = wait;
            wait->n++;
        } else if (q->state != QT_ENDED) {
            out->no_memory = true;
        }
    }
    wait->n--;
}

/* -- events -------------------------------------------------------------------------------------------------- */

static bool has_tag(const struct msg_submit *spec, const char *tag)
{
    const size_t n = strlen(tag);

    for (uint32_t i = 0; i < spec->n_tags; i++)
        if (spec->tags[i].n == n && memcmp(spec->tags[i].data, tag, n) == 0)
            return true;
    return false;
}

void event_emit(struct core *core, struct qtask *q, enum task_event_kind event, ptools_err code, struct actions *out)
{
    struct msg_submit spec;
    bool decoded = false;
    struct watch *v;

    DL_FOREACH(core->watches, v)
    {
        struct action *act;

        if (v->uid != q->user->uid || (v->task && v->task != q->id))
            continue;
        if (v->tag[0] && !decoded) {
            qtask_spec(core, q, &spec);
            decoded = true;
        }
        if (v->tag[0] && !has_tag(&spec, v->tag))
            continue;
        act = action_add(out, ACT_EVENT);
        if (!act)
            return;
        act->client = v->client;
        act->answer.id = v->request;
        act->answer.is_event = true;
        act->answer.event = (struct msg_event){
            .seq = ++v->seq,
            .event = event,
            .task = q->id,
            .state = qtask_shown(q),
            .time_ms = core_shown_ms(core, core_time_ms(core)),
            .worker = q->attempt ? q->worker : 0,
            .attempt = q->attempt,
            .code = (uint32_t)code,
        };
    }
}

bool core_watched(const struct core *core)
{
    return core->watches && core->n_qtasks[QT_GIVEN] > 0;
}

void core_progress(struct core *core, uint64_t now_us, uint32_t worker, uint64_t task, uint64_t n, uint64_t of,
                   struct actions *out)
{
    const struct worker *w = worker_find(core, worker);
    struct task *t = w ? worker_held(w, task) : NULL;
    const size_t first = out->n;

    core->now_us = now_us;
    if (!t || !t->queued || t->progress == n)
        return;
    t->progress = n;
    event_emit(core, t->queued, EVENT_PROGRESS, PTOOLS_OK, out);
    for (size_t i = first; i < out->n; i++) {
        out->v[i].answer.event.progress = n;
        out->v[i].answer.event.progress_of = of;
    }
}

void queued_events(struct core *core, struct client *c, uint64_t request, const struct msg_task *m, struct actions *out)
{
    const struct msg_reply reply = { 0 };
    struct watch *v;
    uint32_t n = 0;

    if (m->task && !qtask_of(core, c->user, m->task)) {
        answer_refusal(out, c->id, request, PTOOLS_ERR_NO_TASK, "no queued task %" PRIu64, m->task);
        return;
    }
    DL_FOREACH(core->watches, v)
    n += v->client == c->id;
    if (n >= WATCHES_MAX) {
        answer_refusal(out, c->id, request, PTOOLS_ERR_LIMIT,
                       "over the limit of watches of a connection: %u of %u in use, 1 more asked for", n, WATCHES_MAX);
        return;
    }
    v = calloc(1, sizeof *v);
    if (!v) {
        out->no_memory = true;
        return;
    }
    v->client = c->id;
    v->uid = c->user->uid;
    v->request = request;
    v->task = m->task;
    if (m->tag.data)
        memcpy(v->tag, m->tag.data, m->tag.n);
    DL_APPEND(core->watches, v);
    answer_reply(out, c->id, request, &reply, NULL);
}

void queued_events_end(struct core *core, struct client *c, uint64_t request, const struct msg_task *m,
                       struct actions *out)
{
    struct msg_reply reply = { .done = true };
    struct watch *v, *next;

    DL_FOREACH_SAFE(core->watches, v, next)
    {
        if (v->client != c->id || v->request != m->request)
            continue;
        DL_DELETE(core->watches, v);
        free(v);
        reply.done = false;
    }
    answer_reply(out, c->id, request, &reply, NULL);
}
