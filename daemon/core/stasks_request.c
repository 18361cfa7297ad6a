/* SPDX-License-Identifier: MIT */
/*
 * stasks_request -- what clients ask about server tasks: start, open, restart, stop; what became of a call, stop one,
 * and which process a lane goes to.
 *
 * All is checked before anything changes. "Not yours" is answered like "does not exist".
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "daemon/core/state.h"

struct asked {
    struct core *core;
    uint64_t now_us;
    struct client *client;
    uint64_t request;
    const struct msg_stasks *m;
    struct actions *out;
};

#define REFUSE(a, code, ...) (answer_refusal((a)->out, (a)->client->id, (a)->request, code, __VA_ARGS__), false)

static struct stasks *named(const struct core *core, const struct user *user, struct text name)
{
    struct stasks *s;

    for (s = core->stasks; s; s = s->hh.next)
        if (s->user == user && strlen(s->name) == name.n && memcmp(s->name, name.data, name.n) == 0)
            return s;
    return NULL;
}

static struct stasks *known(const struct asked *a)
{
    struct stasks *s = stasks_find(a->core, a->m->stasks);

    if (s && s->user == a->client->user)
        return s;
    (void)REFUSE(a, PTOOLS_ERR_NO_STASKS, "no server tasks %" PRIu64 ": they were stopped, or never were",
                 a->m->stasks);
    return NULL;
}

/* -- start ------------------------------------------------------------------------------------------------------ */

static bool arrays_allowed(const struct asked *a)
{
    for (uint32_t i = 0; i < a->m->n_arrays; i++) {
        const struct array *array = array_find(a->core, a->m->arrays[i]);

        if (!array || array->state != ARRAY_READY || array->owner != a->client)
            return REFUSE(a, PTOOLS_ERR_NO_ARRAY, "arrays: no array %" PRIu64 " of this client", a->m->arrays[i]);
        if (!array->key.name[0])
            return REFUSE(a, PTOOLS_ERR_BAD_REQUEST, "arrays: array %" PRIu64 " has no name by which it could be found",
                          array->id);
        for (uint32_t k = 0; k < i; k++) {
            if (a->m->arrays[k] == array->id)
                return REFUSE(a, PTOOLS_ERR_BAD_REQUEST, "arrays: array %" PRIu64 " is named twice", array->id);
        }
    }
    return true;
}

static uint32_t workers_now(const struct core *core)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < core->n_workers; i++)
        n += core->workers[i]->leave != LEAVE_REMOVED;
    return n;
}

static void start(const struct asked *a)
{
    const uint32_t n = a->m->count ? a->m->count : workers_now(a->core), max = a->core->limits.user_stasks_max;
    const struct user *user = a->client->user;
    struct stask_waiter *starter = NULL;
    struct stasks *s;

    if (n == 0) {
        (void)REFUSE(a, PTOOLS_ERR_NO_WORKER, "one server task for each worker: there is no worker; say how many");
        return;
    }
    if (a->m->name.data && named(a->core, user, a->m->name)) {
        (void)REFUSE(a, PTOOLS_ERR_EXISTS, "there are server tasks %.*s already", (int)a->m->name.n, a->m->name.data);
        return;
    }
    if (user->n_stasks >= max || n > max - user->n_stasks) {
        (void)REFUSE(a, PTOOLS_ERR_LIMIT,
                     "over the limit user_stasks_max: %" PRIu32 " of %" PRIu32 " in use, %" PRIu32 " more asked for",
                     user->n_stasks, max, n);
        return;
    }
    if (!arrays_allowed(a))
        return;
    s = stask_wait(&starter, a->client->id, a->request, 0) < 0 ? NULL : stasks_new(a->core, a->client, n, a->m);
    if (!s) {
        free(starter);
        a->out->no_memory = true;
        return;
    }
    s->starter = starter;
    for (uint32_t i = 0; i < a->m->n_arrays; i++) {
        s->arrays[i] = array_find(a->core, a->m->arrays[i]);
        array_adopt(s->arrays[i], s);
    }
    s->n_arrays = a->m->n_arrays;
    stasks_spawn(a->core, s, a->out);
}

static void open_named(const struct asked *a)
{
    struct stasks *s = named(a->core, a->client->user, a->m->name);
    const struct msg_reply reply = { .stasks = s ? s->id : 0, .count = s ? s->n : 0, .arrays = s ? s->n_arrays : 0 };

    if (!s || !s->up || s->stopping)
        (void)REFUSE(a, PTOOLS_ERR_NO_STASKS, "no server tasks %.*s", (int)a->m->name.n, a->m->name.data);
    else
        answer_reply(a->out, a->client->id, a->request, &reply, NULL);
}

static void restart(const struct asked *a)
{
    struct stasks *s = known(a);
    const uint32_t first = STASK_PROCESS_BIT | ((a->core->last_process + 1) & ~STASK_PROCESS_BIT);
    const struct msg_reply reply = {
        .stasks = s ? s->id : 0, .count = s ? s->n : 0, .arrays = s ? s->n_arrays : 0, .process = first
    };
    bool dead = false;

    if (!s)
        return;
    if (s->stopping || s->starter) {
        (void)REFUSE(a, s->stopping ? PTOOLS_ERR_NO_STASKS : PTOOLS_ERR_EXISTS, "the server tasks are being %s",
                     s->stopping ? "stopped" : "started by another request");
        return;
    }
    for (uint32_t i = 0; i < s->n; i++)
        dead = dead || s->tasks[i].state == STASK_DEAD;
    if (!dead) {
        answer_reply(a->out, a->client->id, a->request, &reply, NULL);
        return;
    }
    if (stask_wait(&s->starter, a->client->id, a->request, first) < 0)
        a->out->no_memory = true;
    else
        stasks_spawn(a->core, s, a->out);
}

static void stop(const struct asked *a)
{
    struct stasks *s = known(a);

    if (!s)
        return;
    if (stask_wait(&s->stoppers, a->client->id, a->request, 0) < 0)
        a->out->no_memory = true;
    else
        stasks_stop(a->core, a->now_us, s, a->m->kill_ms ? a->m->kill_ms * 1000 : CORE_NEVER, false, a->out);
}

/* -- one call ----------------------------------------------------------------------------------------------------- */

static struct stask *task_of(const struct asked *a, const struct stasks *s)
{
    if (a->m->index < s->n)
        return (struct stask *)&s->tasks[a->m->index];
    (void)REFUSE(a, PTOOLS_ERR_BAD_REQUEST, "index: there are %" PRIu32 " server tasks, the last is %" PRIu32, s->n,
                 s->n - 1);
    return NULL;
}

static void fate(const struct asked *a)
{
    const struct stask_waiter w = { a->client->id, a->request, a->m->call, NULL };
    struct stasks *s = stasks_find(a->core, a->m->stasks);
    struct stask *t = s && s->user == a->client->user ? task_of(a, s) : NULL;
    char why[80];

    snprintf(why, sizeof why, "no server tasks %" PRIu64 ": they were stopped, or never were", a->m->stasks);
    if (t)
        fate_ask(a->core, a->now_us, t, a->m->process, &w, a->out);
    else if (!s || s->user != a->client->user)
        fate_of_none(a->core, a->m->process, &w, why, a->out);
}

static void cancel(const struct asked *a)
{
    struct stasks *s = known(a);
    struct stask *t = s ? task_of(a, s) : NULL;
    struct msg_reply reply = { 0 };

    if (!t)
        return;
    reply.done = t->process != a->m->process || t->state == STASK_DEAD;
    if (!reply.done)
        action_worker(a->out, ACT_CANCEL, t->process, a->m->call);
    answer_reply(a->out, a->client->id, a->request, &reply, NULL);
}

void core_stasks(struct core *core, uint64_t now_us, uint32_t client, uint64_t request, enum msg_kind kind,
                 const struct msg_stasks *m, struct actions *out)
{
    const struct asked a = { core, now_us, client_find(core, client), request, m, out };

    if (!a.client) {
        action_bug(out, 0, 0, "a request of client %" PRIu32 ", which there is not", client);
        return;
    }
    switch (kind) {
    case MSG_STASKS_START:
        start(&a);
        return;
    case MSG_STASKS_OPEN:
        open_named(&a);
        return;
    case MSG_STASKS_RESTART:
        restart(&a);
        return;
    case MSG_STASKS_STOP:
        stop(&a);
        return;
    case MSG_STASKS_FATE:
        fate(&a);
        return;
    case MSG_STASKS_CANCEL:
        cancel(&a);
        return;
    default:
        action_bug(out, 0, 0, "core_stasks: %s is not about server tasks", msg_kind_name(kind));
    }
}

void core_stask_lane(struct core *core, uint32_t client, const struct fds_request *r, struct fds_answer *ret)
{
    const struct client *c = client_find(core, client);
    const struct stasks *s = stasks_find(core, r->id);
    const struct stask *t = s && r->index < s->n ? &s->tasks[r->index] : NULL;

    if (!c || !s || s->user != c->user) {
        fds_answer_refuse(ret, PTOOLS_ERR_NO_STASKS, "no server tasks %" PRIu64 ": they were stopped, or never were",
                          r->id);
    } else if (!t) {
        fds_answer_refuse(ret, PTOOLS_ERR_RANGE, "there are %" PRIu32 " server tasks, the last is %" PRIu32, s->n,
                          s->n - 1);
    } else if (c->stask && c->stask == t->process) {
        fds_answer_refuse(ret, PTOOLS_ERR_DEADLOCK, "server task %" PRIu32 " would wait for itself", t->index);
    } else if (t->state != STASK_UP) {
        fds_answer_refuse(ret, s->stopping ? PTOOLS_ERR_NO_STASKS : PTOOLS_ERR_STATE_LOST,
                          "server task %" PRIu32 " is %s", t->index,
                          s->stopping              ? "being stopped"
                          : t->state == STASK_DEAD ? "dead"
                                                   : "not up yet");
    } else {
        *ret = (struct fds_answer){
            .magic = FDS_MAGIC, .id = s->id, .process = t->process, .pid = t->pid,
            .flags = s->name[0] ? FDS_IS_NAMED : 0u, .ndims = s->n,
        };
        memcpy(ret->name, s->name, sizeof s->name);
        memcpy(ret->prefix, s->prefix, sizeof s->prefix);
    }
}
