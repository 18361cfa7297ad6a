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
    uint32_t n;               /* watchers */
    struct watcher *watchers; /* by wait_next */
    struct asked *asked;
};

/* A request that waits: it has one watcher, or those of a wait. */
struct asked {
    struct task_key key;
    struct watcher *one;
    struct wait *wait;
    UT_hash_handle hh; /* in core.asked */
};

struct watch {
    uint32_t client, uid;
    uint64_t request, seq, task;  /* task 0: all */
    char tag[NAME_BYTES_MAX + 1]; /* "": all */
    uint64_t missed;              /* events that its client was not sent ... */
    struct msg_event last_missed; /* ... the last of them */
    struct watch *prev, *next;    /* in core.watches */
};

static struct asked *asked_find(const struct core *core, const struct client *c, uint64_t request)
{
    const struct task_key key = { c->id, request };
    struct asked *a;

    HASH_FIND(hh, core->asked, &key, sizeof key, a);
    return a;
}

static struct asked *asked_new(struct core *core, const struct client *c, uint64_t request)
{
    struct asked *a = calloc(1, sizeof *a);

    if (!a)
        return NULL;
    a->key = (struct task_key){ c->id, request };
    HASH_ADD(hh, core->asked, key, sizeof a->key, a);
    if (!a->hh.tbl) {
        free(a);
        return NULL;
    }
    return a;
}

static void asked_free(struct core *core, struct asked *a)
{
    if (a)
        HASH_DELETE(hh, core->asked, a);
    free(a);
}

void watcher_drop(struct core *core, struct watcher *w)
{
    struct wait *wait = w->wait;

    if (wait) {
        DL_DELETE2(wait->watchers, w, wait_prev, wait_next);
        if (--wait->n == 0) {
            asked_free(core, wait->asked);
            free(wait);
        }
    } else {
        asked_free(core, w->asked);
    }
    DL_DELETE2(w->task->x->watchers, w, task_prev, task_next);
    DL_DELETE2(w->client->watchers, w, client_prev, client_next);
    w->client->user->n_watchers--;
    free(w);
}

/* The request has been answered: nothing waits for it any more. */
static void wait_drop(struct core *core, struct watcher *w)
{
    struct wait *wait = w->wait;

    if (!wait) {
        watcher_drop(core, w);
        return;
    }
    for (uint32_t n = wait->n; n > 0; n--)
        watcher_drop(core, wait->watchers);
}

static struct watcher *watcher_new(struct qtask *q, struct client *c, uint64_t request)
{
    struct watcher *w = qtask_extra(q) ? calloc(1, sizeof *w) : NULL;

    if (!w)
        return NULL;
    w->task = q;
    w->client = c;
    w->request = request;
    DL_APPEND2(q->x->watchers, w, task_prev, task_next);
    DL_APPEND2(c->watchers, w, client_prev, client_next);
    c->user->n_watchers++;
    return w;
}

struct watcher *qtask_watch(struct core *core, struct qtask *q, struct client *c, uint64_t request)
{
    struct asked *a = asked_new(core, c, request);
    struct watcher *w = a ? watcher_new(q, c, request) : NULL;

    if (!w) {
        asked_free(core, a);
        return NULL;
    }
    a->one = w;
    w->asked = a;
    return w;
}

struct watcher *watcher_find(struct core *core, const struct client *c, uint64_t request)
{
    struct asked *a = asked_find(core, c, request);

    return !a ? NULL : a->one ? a->one : a->wait->watchers;
}

void watcher_refuse(struct core *core, struct watcher *w, ptools_err code, const char *why, struct actions *out)
{
    answer_refusal(out, w->client->id, w->request, code, "%s", why);
    wait_drop(core, w);
}

bool watchers_over(const struct client *c, uint64_t request, uint32_t more, struct actions *out)
{
    if (more <= WATCHERS_MAX - MIN(c->user->n_watchers, WATCHERS_MAX))
        return false;
    answer_refusal(out, c->id, request, PTOOLS_ERR_LIMIT,
                   "over the limit of waits for queued tasks: %" PRIu32 " of %d in use, %" PRIu32 " more asked for",
                   c->user->n_watchers, WATCHERS_MAX, more);
    return true;
}

void watchers_free_client(struct core *core, struct client *c)
{
    struct watch *v, *next;

    while (c->watchers)
        watcher_drop(core, c->watchers);
    DL_FOREACH_SAFE(core->watches, v, next)
    {
        if (v->client != c->id)
            continue;
        DL_DELETE(core->watches, v);
        free(v);
    }
}

void watchers_free_task(struct core *core, struct qtask *q)
{
    while (q->x && q->x->watchers)
        watcher_drop(core, q->x->watchers);
}

bool request_in_use(const struct core *core, const struct client *c, uint64_t request)
{
    return asked_find(core, c, request) != NULL || blocked_in_use(c, request);
}

/* -- accepted, or refused --------------------------------------------------------------------------------- */

void watchers_accepted(struct core *core, struct qtask *q, struct actions *out)
{
    struct watcher *w, *next;

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
        watcher_drop(core, w);
    }
    qtask_trim(q);
}

void watchers_refused(struct core *core, struct qtask *q, ptools_err code, const char *why, struct actions *out)
{
    while (q->x && q->x->watchers)
        watcher_refuse(core, q->x->watchers, code, why, out);
}

/* -- ended ------------------------------------------------------------------------------------------------- */

void watchers_tell(struct core *core, struct qtask *q, struct actions *out)
{
    struct watcher *w;

    while (q->x && (w = q->x->watchers)) {
        const struct msg_reply reply = { .task = q->id };

        if (!w->wait) {
            qtask_answer_end(core, q, w->client->id, w->request, out);
            watcher_drop(core, w);
        } else if (w->wait->any || w->wait->n == 1) {
            answer_reply(out, w->client->id, w->request, &reply, NULL);
            wait_drop(core, w);
        } else {
            watcher_drop(core, w);
        }
    }
}

static bool add_to_wait(struct wait *wait, struct qtask *q, struct client *c, uint64_t request)
{
    struct watcher *w = watcher_new(q, c, request);

    if (!w)
        return false;
    w->wait = wait;
    wait->n++;
    DL_APPEND2(wait->watchers, w, wait_prev, wait_next);
    return true;
}

/* For those that have not ended, of which there is one at least. False: no memory, and it waits for none. */
static bool wait_for(struct core *core, struct client *c, uint64_t request, const struct msg_task *m)
{
    struct wait *wait = calloc(1, sizeof *wait);

    if (!wait || !(wait->asked = asked_new(core, c, request))) {
        free(wait);
        return false;
    }
    wait->any = m->any;
    wait->asked->wait = wait;
    for (uint32_t i = 0; i < m->n_tasks; i++) {
        struct qtask *q = qtask_of(core, c->user, m->tasks[i]);

        if (q->state == QT_ENDED || add_to_wait(wait, q, c, request))
            continue;
        if (wait->watchers) {
            wait_drop(core, wait->watchers);
        } else {
            asked_free(core, wait->asked);
            free(wait);
        }
        return false;
    }
    return true;
}

void queued_wait(struct core *core, struct client *c, uint64_t request, const struct msg_task *m, struct actions *out)
{
    struct msg_reply reply = { 0 };
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
    if (watchers_over(c, request, open, out))
        return;
    if (!wait_for(core, c, request, m))
        answer_refusal(out, c->id, request, PTOOLS_ERR_LIMIT, "the daemon is out of memory");
}

/* -- events -------------------------------------------------------------------------------------------------- */

bool spec_has_tag(const struct msg_submit *spec, const char *tag)
{
    const size_t n = strlen(tag);

    for (uint32_t i = 0; i < spec->n_tags; i++)
        if (spec->tags[i].n == n && memcmp(spec->tags[i].data, tag, n) == 0)
            return true;
    return false;
}

static void put_event(struct watch *v, const struct msg_event *event, struct actions *out)
{
    struct action *act = action_add(out, ACT_EVENT);

    if (!act)
        return;
    act->client = v->client;
    act->answer.id = v->request;
    act->answer.is_event = true;
    act->answer.event = *event;
    act->answer.event.seq = ++v->seq;
}

/* Before anything that came later. */
static void tell_missed(struct watch *v, struct actions *out)
{
    struct msg_event event = v->last_missed;

    if (v->missed == 0)
        return;
    event.event = EVENT_MISSED;
    event.missed = v->missed;
    v->missed = 0;
    put_event(v, &event, out);
}

void core_event_missed(struct core *core, uint32_t client, uint64_t request, const struct msg_event *event)
{
    struct watch *v;

    DL_FOREACH(core->watches, v)
    if (v->client == client && v->request == request)
        break;
    if (!v)
        return;
    v->seq--; /* nobody has seen it */
    v->missed += event->event == EVENT_MISSED ? event->missed : 1;
    v->last_missed = *event;
}

void core_events_caught_up(struct core *core, uint64_t now_us, uint32_t client, struct actions *out)
{
    struct watch *v;

    core->now_us = now_us;
    DL_FOREACH(core->watches, v)
    if (v->client == client)
        tell_missed(v, out);
}

void event_emit(struct core *core, struct qtask *q, enum task_event_kind event, ptools_err code, struct actions *out)
{
    const struct msg_event told = {
        .event = event,
        .task = q->id,
        .state = qtask_shown(q),
        .time_ms = core->watches ? core_shown_ms(core, core_time_ms(core)) : 0,
        .worker = q->attempt ? q->worker : 0,
        .attempt = q->attempt,
        .code = (uint32_t)code,
    };
    struct msg_submit spec;
    bool decoded = false;
    struct watch *v;

    DL_FOREACH(core->watches, v)
    {
        if (v->uid != q->user->uid || (v->task && v->task != q->id))
            continue;
        if (v->tag[0] && !decoded) {
            qtask_spec(core, q, &spec);
            decoded = true;
        }
        if (v->tag[0] && !spec_has_tag(&spec, v->tag))
            continue;
        tell_missed(v, out);
        put_event(v, &told, out);
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
        if (out->v[i].answer.event.event != EVENT_PROGRESS)
            continue;
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
    n += v->uid == c->user->uid;
    if (n >= WATCHES_MAX) {
        answer_refusal(out, c->id, request, PTOOLS_ERR_LIMIT,
                       "over the limit of watches of a user: %u of %u in use, 1 more asked for", n, WATCHES_MAX);
        return;
    }
    v = calloc(1, sizeof *v);
    if (!v) {
        answer_refusal(out, c->id, request, PTOOLS_ERR_LIMIT, "the daemon is out of memory");
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
