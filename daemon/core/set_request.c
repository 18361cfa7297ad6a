/* SPDX-License-Identifier: MIT */
/*
 * set_request -- what clients ask about sets: create, open, change, destroy.
 *
 * All is checked before anything changes. "Not yours" is answered like "does not exist".
 */
#include <inttypes.h>
#include <string.h>

#include "daemon/core/state.h"

struct asked {
    struct core *core;
    struct client *client;
    uint64_t request;
    const struct msg_set *m;
    struct actions *out;
};

#define REFUSE(a, code, ...) answer_refusal((a)->out, (a)->client->id, (a)->request, code, __VA_ARGS__)

/* The workers that are named, into core->scratch. false: it was refused. */
static bool members_known(const struct asked *a)
{
    const struct msg_set *m = a->m;
    uint64_t seen[WORKERS_MAX / 64] = { 0 };

    if (m->n == 0) {
        REFUSE(a, PTOOLS_ERR_BAD_REQUEST, "workers: a set needs at least one worker");
        return false;
    }
    for (uint32_t i = 0; i < m->n; i++) {
        struct worker *w = worker_find(a->core, m->members[i]);

        if (!w || w->leave == LEAVE_REMOVED) {
            REFUSE(a, PTOOLS_ERR_NO_WORKER, "no worker %" PRIu32, m->members[i]);
            return false;
        }
        if (seen[w->index / 64] >> (w->index % 64) & 1) {
            REFUSE(a, PTOOLS_ERR_BAD_REQUEST, "workers: worker %" PRIu32 " is named twice", w->id);
            return false;
        }
        seen[w->index / 64] |= UINT64_C(1) << (w->index % 64);
        a->core->scratch[i] = w; /* all different: it has room */
    }
    return true;
}

static bool mode_known(const struct asked *a)
{
    if (a->m->mode == SET_RR || a->m->mode == SET_FF)
        return true;
    REFUSE(a, PTOOLS_ERR_BAD_REQUEST, "mode: %" PRIu32 " is neither 1 (round robin) nor 2 (first free)", a->m->mode);
    return false;
}

static struct set *known(const struct asked *a)
{
    struct set *s = a->m->set_id ? set_find(a->core, a->client, (struct text){ 0 }, a->m->set_id) : NULL;

    if (!s)
        REFUSE(a, PTOOLS_ERR_NO_SET, "no worker set %" PRIu32, a->m->set_id);
    return s;
}

static void create(const struct asked *a)
{
    const struct user *user = a->client->user;
    const uint32_t max = a->core->limits.user_sets_max;
    struct msg_reply reply = { 0 };
    struct set *s;

    if (!mode_known(a) || !members_known(a))
        return;
    if (a->m->name.n == 3 && memcmp(a->m->name.data, "all", 3) == 0) {
        REFUSE(a, PTOOLS_ERR_EXISTS, "all is the name of the set of all workers");
        return;
    }
    if (a->m->name.data && set_find(a->core, a->client, a->m->name, 0)) {
        REFUSE(a, PTOOLS_ERR_EXISTS, "there is a worker set %.*s already", (int)a->m->name.n, a->m->name.data);
        return;
    }
    if (user->n_sets >= max) {
        REFUSE(a, PTOOLS_ERR_LIMIT, "over the limit user_sets_max: %" PRIu32 " of %" PRIu32 " in use, 1 more asked for",
               user->n_sets, max);
        return;
    }
    if (set_new(a->core, a->client, a->m->name, &s) < 0) {
        a->out->no_memory = true;
        return;
    }
    if (set_fill(s, a->core->scratch, a->m->n, (enum set_mode)a->m->mode) < 0) {
        set_free(a->core, s);
        a->out->no_memory = true;
        return;
    }
    reply.set_id = s->id;
    answer_reply(a->out, a->client->id, a->request, &reply, NULL);
    qtasks_place_parked(a->core, a->out);
}

static void open_named(const struct asked *a)
{
    struct set *s = a->m->name.data ? set_find(a->core, a->client, a->m->name, 0) : NULL;
    struct msg_reply reply = { 0 };

    if (!s) {
        REFUSE(a, PTOOLS_ERR_NO_SET, "no worker set %.*s", (int)a->m->name.n, a->m->name.data ? a->m->name.data : "");
        return;
    }
    reply.set_id = s->id;
    reply.mode = s->mode;
    answer_reply(a->out, a->client->id, a->request, &reply, NULL);
}

static void change(const struct asked *a)
{
    struct set *s = known(a);
    const struct msg_reply reply = { 0 };

    if (!s || !mode_known(a) || !members_known(a))
        return;
    if (set_fill(s, a->core->scratch, a->m->n, (enum set_mode)a->m->mode) < 0) {
        a->out->no_memory = true;
        return;
    }
    set_redeal(a->core, s, a->out);
    answer_reply(a->out, a->client->id, a->request, &reply, NULL);
}

static void destroy(const struct asked *a)
{
    struct set *s = known(a);
    const struct msg_reply reply = { 0 };

    if (!s)
        return;
    set_end(a->core, s, a->out);
    answer_reply(a->out, a->client->id, a->request, &reply, NULL);
}

void core_set(struct core *core, uint64_t now_us, uint32_t client, uint64_t request, enum msg_kind kind,
              const struct msg_set *set, struct actions *out)
{
    const struct asked a = { core, client_find(core, client), request, set, out };

    core->now_us = now_us;
    if (!a.client) {
        action_bug(out, 0, 0, "a request of client %" PRIu32 ", which there is not", client);
        return;
    }
    switch (kind) {
    case MSG_SET_CREATE:
        create(&a);
        return;
    case MSG_SET_OPEN:
        open_named(&a);
        return;
    case MSG_SET_CHANGE:
        change(&a);
        return;
    case MSG_SET_DESTROY:
        destroy(&a);
        return;
    default:
        action_bug(out, 0, 0, "core_set: %s is not about sets", msg_kind_name(kind));
    }
}
