/* SPDX-License-Identifier: MIT */
/*
 * client -- see client.h. A client that leaves takes its calls with it, but for the detached ones.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "daemon/core/state.h"

int user_get(struct core *core, uint32_t uid, struct user **ret)
{
    struct user *u;

    HASH_FIND(hh, core->users, &uid, sizeof uid, u);
    if (!u) {
        u = calloc(1, sizeof *u);
        if (!u)
            return -ENOMEM;
        u->uid = uid;
        HASH_ADD(hh, core->users, uid, sizeof u->uid, u);
        if (!u->hh.tbl) {
            free(u);
            return -ENOMEM;
        }
    }
    *ret = u;
    return 0;
}

void user_release(struct core *core, struct user *user)
{
    if (user->n_clients || user->n_tasks || user->n_sets || user->n_arrays || user->n_stasks || user->n_queued ||
        user->n_kept || user->n_pins || user->n_hidden || user->n_pauses)
        return;
    user_drop_sessions(core, user);
    user_drop_breakers(core, user);
    backlog_forget_user(user);
    HASH_DELETE(hh, core->users, user);
    free(user);
}

bool queue_exceeded(const struct core *core, const struct user *user, uint64_t n, uint64_t bytes, struct excess *ret)
{
    const struct core_limits *l = &core->limits;

    if (n > l->user_queued_max - MIN(user->n_queued, l->user_queued_max))
        *ret = (struct excess){ "user_queued_max", user->n_queued, l->user_queued_max, n };
    else if (bytes > l->user_queue_bytes_max - MIN(user->queue_bytes, l->user_queue_bytes_max))
        *ret = (struct excess){ "user_queue_bytes_max", user->queue_bytes, l->user_queue_bytes_max, bytes };
    else
        return false;
    return true;
}

void queue_refuse(const struct core *core, uint32_t client, uint64_t request, const struct excess *e,
                  struct actions *out)
{
    const bool never = e->asked > e->limit;
    const struct msg_failure f = { .code = PTOOLS_ERR_LIMIT,
                                   .retry_ms = never ? 0 : MAX(10, MIN(core->queue_rate_us / 1000, 60000)) };
    char text[200];

    snprintf(text, sizeof text, "over the limit %s: %" PRIu64 " of %" PRIu64 " in use, %" PRIu64 " more asked for%s",
             e->limit_name, e->use, e->limit, e->asked, never ? ", which never fits" : "");
    answer_failure(out, client, request, &f, text);
}

struct client *client_find(const struct core *core, uint32_t id)
{
    struct client *c;

    HASH_FIND(hh, core->clients, &id, sizeof id, c);
    return c;
}

int core_client_add(struct core *core, uint32_t uid, uint32_t *ret_client)
{
    struct client *c = calloc(1, sizeof *c);

    if (!c)
        return -ENOMEM;
    if (user_get(core, uid, &c->user) < 0) {
        free(c);
        return -ENOMEM;
    }
    do /* the numbers of four thousand million connections later are free again */
        c->id = ++core->last_client;
    while (c->id == 0 || client_find(core, c->id));
    HASH_ADD(hh, core->clients, id, sizeof c->id, c);
    if (!c->hh.tbl) {
        user_release(core, c->user);
        free(c);
        return -ENOMEM;
    }
    c->user->n_clients++;
    *ret_client = c->id;
    return 0;
}

void client_free(struct core *core, struct client *c)
{
    client_leave_process(c);
    holds_drop(core, &c->holds);
    blocked_free_client(core, c);
    watchers_free_client(core, c);
    HASH_DELETE(hh, core->clients, c);
    c->user->n_clients--;
    user_release(core, c->user);
    free(c);
}

/* Its sets without a name end, but those where a detached task still is are kept for that. */
static void leave_sets(struct core *core, struct client *c)
{
    struct set *s, *next;

    DL_FOREACH_SAFE2(c->anonymous, s, next, owner_next) {
        DL_DELETE2(c->anonymous, s, owner_prev, owner_next);
        s->client = NULL;
        s->orphan = true;
        set_release(core, s);
    }
}

void core_client_gone(struct core *core, uint64_t now_us, uint32_t client, struct actions *out)
{
    struct client *c = client_find(core, client);
    struct task *t;

    core->now_us = now_us;
    if (!c) {
        action_bug(out, 0, 0, "client %u left, which there is not", client);
        return;
    }
    while ((t = c->tasks)) {
        task_forget_client(core, t);
        if (!t->detached)
            core_stop_task(core, now_us, t, STOP_CLIENT_GONE, out);
    }
    leave_sets(core, c);
    blocked_free_client(core, c);
    watchers_free_client(core, c);
    stasks_of_client_end(core, now_us, c, out);
    arrays_of_client_end(core, c, out);
    user_unblock(core, c->user, out); /* the first who waited for room may have been of this client */
    client_free(core, c);
}

void core_cancel(struct core *core, uint64_t now_us, uint32_t client, uint64_t request, const struct msg_cancel *cancel,
                 struct actions *out)
{
    struct client *c = client_find(core, client);
    struct msg_reply reply = { 0 };
    struct task *t;

    if (!c) {
        action_bug(out, 0, 0, "a request of client %u, which there is not", client);
        return;
    }
    core->now_us = now_us;
    if (queued_cancel(core, c, request, cancel, out))
        return;
    t = cancel->request ? task_find_request(core, client, cancel->request) : task_find(core, cancel->task);
    if (t && t->user == c->user) {
        core_stop_task(core, now_us, t, STOP_CANCEL, out);
    } else if (cancel->request) {
        reply.done = true; /* or never was: the answer to the call is on its way, or has been there */
    } else {
        answer_refusal(out, client, request, PTOOLS_ERR_NO_TASK, "no task %llu, or it has ended",
                       (unsigned long long)cancel->task);
        return;
    }
    answer_reply(out, client, request, &reply, NULL);
}

void core_call_limit(struct core *core, uint64_t now_us, uint32_t client, uint64_t request,
                     const struct msg_limit *limit, struct actions *out)
{
    struct task *t = task_find_request(core, client, limit->request);
    const struct msg_reply reply = { .done = !t };

    core->now_us = now_us;
    if (t && !t->batch) {
        answer_refusal(out, client, request, PTOOLS_ERR_BAD_REQUEST, "request: that call has no items");
        return;
    }
    if (t)
        batch_limit(core, t, limit->item_ms, now_us);
    answer_reply(out, client, request, &reply, NULL);
}
