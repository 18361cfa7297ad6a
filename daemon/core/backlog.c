/* SPDX-License-Identifier: MIT */
/*
 * backlog -- see backlog.h. Lanes live as long as their user and their backlog, empty or not: a task that comes finds
 * its lane, and what it needs of memory is asked for before anything changes.
 */
#include <errno.h>
#include <float.h>

#include "daemon/core/state.h"

static uint64_t rank_of(const struct core *core, const struct qtask *q)
{
    double priority = q->priority;

    /* Ageing: who has waited longer counts as better by so much. What counts is the difference, and that does not
     * change while both wait: so the rank is made once, from the time of queueing. */
    if (core->limits.ageing > 0 && isfinite(priority))
        priority += core->limits.ageing * (double)q->queued_ms / 1000;
    return heap_key_of(priority);
}

static struct lane *lane_of(struct backlog *b, const struct user *user)
{
    struct lane *lane;

    DL_FOREACH(b->lanes, lane)
    if (lane->user == user)
        return lane;
    return NULL;
}

bool backlog_serves(const struct backlog *b, const struct worker *w)
{
    switch (b->kind) {
    case BACKLOG_WORKER:
        return b->worker == w;
    case BACKLOG_SET:
        return set_has(b->set, w);
    case BACKLOG_HOST:
        return true; /* all workers are on one host */
    case BACKLOG_BREAKER:
        return false;
    }
    return false;
}

static bool share_a_worker(const struct core *core, const struct backlog *a, const struct backlog *b)
{
    for (uint32_t i = 0; i < core->n_workers; i++)
        if (backlog_serves(a, core->workers[i]) && backlog_serves(b, core->workers[i]))
            return true;
    return false;
}

/* A new one is at the turn which those are at that share a worker with it. */
static struct lane *lane_get(const struct core *core, struct backlog *b, struct user *user)
{
    struct lane *lane = lane_of(b, user), *other;

    if (lane)
        return lane;
    lane = calloc(1, sizeof *lane);
    if (!lane)
        return NULL;
    lane->backlog = b;
    lane->user = user;
    DL_FOREACH2(user->lanes, other, user_next) {
        if (!share_a_worker(core, b, other->backlog))
            continue;
        for (size_t i = 0; i < TURNS; i++)
            lane->turn[i] = MAX(lane->turn[i], other->turn[i]);
    }
    DL_APPEND(b->lanes, lane);
    DL_APPEND2(user->lanes, lane, user_prev, user_next);
    return lane;
}

static void lane_free(struct lane *lane)
{
    DL_DELETE(lane->backlog->lanes, lane);
    DL_DELETE2(lane->user->lanes, lane, user_prev, user_next);
    heap_deinit(&lane->heap);
    free(lane);
}

void backlog_deinit(struct core *core, struct backlog *b)
{
    if (b->n > 0)
        DL_DELETE(core->backlogs, b);
    while (b->lanes)
        lane_free(b->lanes);
}

void backlog_forget_user(struct user *user)
{
    while (user->lanes)
        lane_free(user->lanes);
}

int backlog_reserve(const struct core *core, struct backlog *b, struct user *user)
{
    struct lane *lane = lane_get(core, b, user);

    return lane ? heap_reserve(&lane->heap, lane->heap.n + 1) : -ENOMEM;
}

int backlog_add(struct core *core, struct backlog *b, struct qtask *q)
{
    struct lane *lane = lane_get(core, b, q->user);

    if (!lane || heap_push_rank(&lane->heap, &q->wait_node, rank_of(core, q), q->turn, q->id) < 0)
        return -ENOMEM;
    q->lane = lane;
    if (b->n++ == 0)
        DL_APPEND(core->backlogs, b);
    core->n_backlog++;
    return 0;
}

void backlog_remove(struct core *core, struct qtask *q)
{
    struct backlog *b = q->lane->backlog;

    heap_remove(&q->lane->heap, &q->wait_node);
    q->lane = NULL;
    core->n_backlog--;
    if (--b->n == 0)
        DL_DELETE(core->backlogs, b);
}

int backlog_move(struct core *core, struct backlog *b, struct qtask *q)
{
    struct lane *lane = lane_get(core, b, q->user);

    if (!lane || heap_reserve(&lane->heap, lane->heap.n + 1) < 0)
        return -ENOMEM;
    backlog_remove(core, q);
    return backlog_add(core, b, q);
}

void backlog_rerank(struct core *core, struct qtask *q)
{
    heap_remove(&q->lane->heap, &q->wait_node);
    (void)heap_push_rank(&q->lane->heap, &q->wait_node, rank_of(core, q), q->turn, q->id); /* there is room */
}

/* Whose turn it is: false if b's user comes before a's. */
static bool user_first(const struct user *a, const struct user *b)
{
    if (a->n_given != b->n_given)
        return a->n_given < b->n_given;
    return a->last_served < b->last_served;
}

static bool entry_before(const struct heap_entry *a, const struct heap_entry *b)
{
    if (a->key != b->key)
        return a->key < b->key;
    return a->turn != b->turn ? a->turn < b->turn : a->number < b->number;
}

struct qtask *backlog_best(const struct core *core, const struct worker *w)
{
    const struct lane *best = NULL;
    const struct backlog *b;
    const struct lane *lane;

    DL_FOREACH(core->backlogs, b)
    {
        if (!backlog_serves(b, w))
            continue;
        DL_FOREACH(b->lanes, lane)
        {
            if (lane->heap.n == 0)
                continue;
            if (!best || (lane->user == best->user ? entry_before(&lane->heap.v[0], &best->heap.v[0])
                                                   : user_first(lane->user, best->user)))
                best = lane;
        }
    }
    return best ? CONTAINER_OF(best->heap.v[0].node, struct qtask, wait_node) : NULL;
}

/* -- turns --------------------------------------------------------------------------------------------------- */

static size_t counter_of(const struct qtask *q)
{
    const union {
        double number;
        uint64_t bits;
    } priority = { .number = q->priority == 0 ? 0 : q->priority };
    uint64_t bits;

    if (priority.number > DBL_MAX)
        return 0;
    bits = priority.bits * UINT64_C(0x9e3779b97f4a7c15);
    return 1 + (size_t)((bits ^ bits >> 32) % (TURNS - 1));
}

/* Where it would wait. Of a round-robin set, whose tasks wait at its members, nothing else is in this lane. */
static struct lane *lane_for(struct core *core, const struct qtask *q)
{
    struct worker *w = q->only_worker ? qtask_worker(core, q->only_worker) : NULL;
    struct set *set = q->set ? q->set : &core->all;
    struct backlog *b = w ? &w->backlog : q->host ? &core->host_backlog : &set->backlog;

    return lane_get(core, b, q->user);
}

uint64_t turn_next(struct core *core, const struct qtask *q, uint64_t made[TURNS])
{
    const size_t i = counter_of(q);
    const struct lane *lane = lane_for(core, q);

    return made[i] = MAX(made[i], lane ? lane->turn[i] : 0) + 1;
}

void turn_reached(const struct qtask *q, const struct worker *w)
{
    const size_t i = counter_of(q);
    struct lane *lane;

    DL_FOREACH2(q->user->lanes, lane, user_next)
        if (lane->turn[i] < q->turn && backlog_serves(lane->backlog, w))
            lane->turn[i] = q->turn;
}

uint64_t backlog_ahead_of(const struct core *core, const struct qtask *q)
{
    const struct heap_entry *own = &q->lane->heap.v[q->wait_node.place - 1];
    const struct lane *lane;
    uint64_t n = 0;

    DL_FOREACH2(q->user->lanes, lane, user_next) {
        if (lane->heap.n == 0 || (lane != q->lane && !share_a_worker(core, lane->backlog, q->lane->backlog)))
            continue;
        for (size_t i = 0; i < lane->heap.n; i++)
            n += entry_before(&lane->heap.v[i], own);
    }
    return n;
}
