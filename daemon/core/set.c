/* SPDX-License-Identifier: MIT */
/*
 * set -- see set.h. A set keeps its members twice: in the order given, for round robin, and as bits, so that
 * "is this worker in it" costs nothing. Invariants: both agree; cursor < n unless the set is empty; the queue
 * of a round robin set is empty, for its tasks wait at workers.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/core/state.h"

bool set_has(const struct set *s, const struct worker *w)
{
    return s->has[w->index / 64] >> (w->index % 64) & 1;
}

static void set_bit(struct set *s, const struct worker *w, bool yes)
{
    const uint64_t bit = UINT64_C(1) << (w->index % 64);

    if (yes)
        s->has[w->index / 64] |= bit;
    else
        s->has[w->index / 64] &= ~bit;
}

int set_init_all(struct core *core)
{
    struct set *all = &core->all;

    all->mode = SET_FF;
    all->queue.set = all;
    all->backlog = (struct backlog){ .kind = BACKLOG_SET, .set = all };
    all->ids = calloc(core->limits.workers_max, sizeof *all->ids);
    all->members = calloc(core->limits.workers_max, sizeof *all->members);
    snprintf(all->name, sizeof all->name, "all");
    return all->ids && all->members ? 0 : -ENOMEM;
}

void set_deinit_all(struct core *core)
{
    free(core->all.ids);
    free(core->all.members);
    heap_deinit(&core->all.queue.heap);
    heap_deinit(&core->all.queue.nested);
    backlog_deinit(core, &core->all.backlog);
}

void set_join(struct set *s, struct worker *w)
{
    s->ids[s->n] = w->id;
    s->members[s->n++] = w;
    set_bit(s, w, true);
}

struct worker *set_next(struct set *s)
{
    struct worker *w = s->members[s->cursor];

    s->cursor = (s->cursor + 1) % s->n;
    return w;
}

struct set *set_find(const struct core *core, const struct client *client, struct text name, uint32_t id)
{
    struct set *s;

    if (name.data) {
        HASH_FIND(hh_name, client->user->named, name.data, name.n, s);
        return s;
    }
    if (id == 0)
        return (struct set *)&core->all;
    HASH_FIND(hh, core->sets, &id, sizeof id, s);
    if (!s || s->user != client->user || (s->name[0] == '\0' && s->client != client))
        return NULL;
    return s;
}

int set_new(struct core *core, struct client *client, struct text name, struct set **ret)
{
    struct set *s = calloc(1, sizeof *s), *taken;

    if (!s)
        return -ENOMEM;
    s->queue.set = s;
    s->backlog = (struct backlog){ .kind = BACKLOG_SET, .set = s };
    s->user = client->user;
    if (name.data)
        memcpy(s->name, name.data, name.n);
    do {
        s->id = ++core->last_set;
        HASH_FIND(hh, core->sets, &s->id, sizeof s->id, taken);
    } while (s->id == 0 || taken);
    HASH_ADD(hh, core->sets, id, sizeof s->id, s);
    if (s->hh.tbl && name.data) {
        HASH_ADD_KEYPTR(hh_name, client->user->named, s->name, name.n, s);
        if (!s->hh_name.tbl) {
            HASH_DELETE(hh, core->sets, s);
            s->hh.tbl = NULL;
        }
    }
    if (!s->hh.tbl) {
        free(s);
        return -ENOMEM;
    }
    if (!name.data) {
        s->client = client;
        DL_APPEND2(client->anonymous, s, owner_prev, owner_next);
    }
    s->user->n_sets++;
    *ret = s;
    return 0;
}

int set_fill(struct set *s, struct worker *const *members, uint32_t n, enum set_mode mode)
{
    uint32_t *ids = calloc(n, sizeof *ids);
    struct worker **copy = calloc(n, sizeof *copy);

    if (!ids || !copy) {
        free(ids);
        free(copy);
        return -ENOMEM;
    }
    free(s->ids);
    free(s->members);
    s->ids = ids;
    s->members = copy;
    s->n = 0;
    s->cursor = 0;
    s->mode = mode;
    memset(s->has, 0, sizeof s->has);
    for (uint32_t i = 0; i < n; i++)
        set_join(s, members[i]);
    return 0;
}

struct set *set_new_hidden(struct core *core, struct user *user, struct worker *const *members, uint32_t n)
{
    struct set *s = calloc(1, sizeof *s), *taken;

    if (!s || set_fill(s, members, n, SET_FF) < 0) {
        free(s);
        return NULL;
    }
    s->queue.set = s;
    s->backlog = (struct backlog){ .kind = BACKLOG_SET, .set = s };
    s->user = user;
    s->hidden = s->orphan = true;
    do {
        s->id = ++core->last_set;
        HASH_FIND(hh, core->sets, &s->id, sizeof s->id, taken);
    } while (s->id == 0 || taken);
    HASH_ADD(hh, core->sets, id, sizeof s->id, s);
    if (!s->hh.tbl) {
        free(s->ids);
        free(s->members);
        free(s);
        return NULL;
    }
    user->n_hidden++;
    return s;
}

void set_release(struct core *core, struct set *s)
{
    if (s->orphan && !s->tasks && !s->queued && !s->pins)
        set_free(core, s);
}

struct set *set_free(struct core *core, struct set *s)
{
    if (!s)
        return NULL;
    HASH_DELETE(hh, core->sets, s);
    if (s->name[0] != '\0')
        HASH_DELETE(hh_name, s->user->named, s);
    if (s->client)
        DL_DELETE2(s->client->anonymous, s, owner_prev, owner_next);
    if (s->hidden)
        s->user->n_hidden--;
    else
        s->user->n_sets--;
    user_release(core, s->user);
    heap_deinit(&s->queue.heap);
    heap_deinit(&s->queue.nested);
    backlog_deinit(core, &s->backlog);
    free(s->ids);
    free(s->members);
    free(s);
    return NULL;
}

void set_end(struct core *core, struct set *s, struct actions *out)
{
    struct task *t, *next;

    DL_FOREACH_SAFE2(s->tasks, t, next, set_next) {
        if (t->state == TASK_HELD || t->state == TASK_WAITING) {
            task_fail_route(core, t, PTOOLS_ERR_NO_SET, out);
        } else {
            DL_DELETE2(s->tasks, t, set_prev, set_next);
            t->set = NULL;
        }
    }
    s->orphan = true; /* those that it loses look for another, and do not find this one again */
    s->pins++;
    set_lose_queued(core, s, out);
    set_free(core, s);
}

void set_redeal(struct core *core, struct set *s, struct actions *out)
{
    struct task *t, *next;
    struct queue *q;
    ptools_err code;

    s->pins++;
    DL_FOREACH_SAFE2(s->tasks, t, next, set_next) {
        if (t->state == TASK_WAITING)
            task_requeue(core, t, out);
        else if (t->state == TASK_HELD && (code = task_route(core, t, &q)) != PTOOLS_OK)
            task_fail_route(core, t, code, out);
    }
    set_redeal_queued(core, s, out);
    s->pins--;
    set_release(core, s);
}

static void lose_worker(struct core *core, struct set *s, const struct worker *w, struct actions *out)
{
    uint32_t i = 0;

    if (!set_has(s, w))
        return;
    while (s->members[i] != w)
        i++;
    s->n--;
    memmove(&s->ids[i], &s->ids[i + 1], (s->n - i) * sizeof s->ids[0]);
    memmove(&s->members[i], &s->members[i + 1], (s->n - i) * sizeof(struct worker *));
    set_bit(s, w, false);
    if (i < s->cursor)
        s->cursor--;
    if (s->cursor >= s->n)
        s->cursor = 0;
    if (s->n == 0)
        set_redeal(core, s, out);
}

void sets_lose_worker(struct core *core, const struct worker *w, struct actions *out)
{
    struct set *s, *next;

    lose_worker(core, &core->all, w, out);
    for (s = core->sets; s; s = s->hh.next)
        s->pins++; /* what ends with one set may be the last of another */
    for (s = core->sets; s; s = s->hh.next)
        lose_worker(core, s, w, out);
    HASH_ITER(hh, core->sets, s, next) {
        s->pins--;
        set_release(core, s);
    }
    for (struct user *u = core->users; u; u = u->hh.next)
        if (u->blocked)
            user_unblock(core, u, out); /* there are fewer sets now */
}
