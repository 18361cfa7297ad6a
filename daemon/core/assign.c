/* SPDX-License-Identifier: MIT */
/*
 * assign -- who gets what: the end of each turn.
 *
 *   1. Idle workers, longest idle first: each takes the best that it may run. Of calls that is the one of least rank,
 *      over its own queue and those of the first-free sets it is in; of queued tasks that of backlog_best(). Of the two
 *      that with the better priority goes first, if they are one user's; otherwise they take turns. An isolated batch is
 *      left to an idle worker whose process is clean, or else that of this one is replaced (recycle.c); a fresh process
 *      takes the batch that it was made for before all else.
 *   2. An idle worker for which nothing waits, while another holds tasks ahead that it may run: the last of
 *      them is taken back from the worker that holds most. It will be in its queue again when core_assign() is
 *      called again, which is why nothing is given ahead now.
 *   3. Busy workers get the best ones ahead, if these are usually short and those they hold are too: the
 *      one that holds least first. A task that is not short is never given ahead, nor overtaken by one
 *      that comes behind it.
 */
#include "daemon/core/state.h"

static struct task *oldest_for(const struct core *core, struct worker *w)
{
    struct task *best = queue_next(&w->queue);
    struct set *s;

    DL_FOREACH2(core->waiting, s, waiting_next) {
        struct task *t = set_has(s, w) ? queue_next(&s->queue) : NULL;

        if (t && (!best || t->rank < best->rank))
            best = t;
    }
    return best;
}

/* What a worker is to run next: a call, or a queued task, or nothing. */
struct next {
    struct task *call;
    struct qtask *queued;
};

/* The best one that does not have to wait for its breaker. Those before it go there; so many of a call of
 * core_assign(), for there may be a million. */
static struct qtask *best_queued(struct core *core, const struct worker *w, struct actions *out)
{
    struct qtask *q;

    while ((q = backlog_best(core, w))) {
        struct backlog *b = breaker_bars(core, q, false);

        if (!b)
            return q;
        if (core->n_barred++ == BREAKER_SLICE) {
            core->barring = true;
            return NULL;
        }
        if (backlog_move(core, b, q) < 0) {
            out->no_memory = true;
            return NULL;
        }
    }
    return NULL;
}

/* The batch that its process was made for, as long as that has done nothing else; NULL. */
static struct task *made_for(const struct worker *w)
{
    struct task *t = queue_top(&w->queue);

    return t && task_isolated(t) && w->tasks == 0 && w->n_held + w->n_booked == 0 && worker_clean_for(w, t) ? t : NULL;
}

static struct next best_for(struct core *core, struct worker *w, struct actions *out)
{
    struct next n = { made_for(w), NULL };
    bool calls = core->calls_turn;

    if (n.call)
        return n;
    n.call = core->n_queued > 0 ? oldest_for(core, w) : NULL;
    n.queued = core->n_backlog > 0 && !core->barring ? best_queued(core, w, out) : NULL;
    if (n.call && n.queued) {
        /* a priority is its user's own: it goes before that user's calls, not before another's */
        const bool same = n.queued->user == n.call->user;

        if (same && n.queued->priority != n.call->priority)
            calls = n.call->priority < n.queued->priority;
        if (calls)
            n.queued = NULL;
        else
            n.call = NULL;
    }
    return n;
}

static uint64_t usual_us(const struct next *n)
{
    if (n->call)
        return task_usual_us(n->call);
    return n->queued ? function_usual_us(n->queued->function) : CORE_NEVER;
}

static bool give(struct core *core, uint64_t now_us, struct worker *w, const struct next *n, struct actions *out)
{
    if (n->call)
        worker_give(core, now_us, w, n->call, out);
    else if (n->queued)
        qtask_give(core, w, n->queued, out);
    else
        return false;
    core->calls_turn = !n->call;
    return true;
}

static bool may_take_now(const struct worker *w)
{
    return worker_may_take(w) && w->n_booked == 0;
}

/* Whether another idle worker than w could begin the isolated batch t as it is. */
static bool another_is_clean(const struct core *core, const struct worker *w, const struct task *t)
{
    const struct worker *other;

    if (t->bound)
        return false;
    DL_FOREACH2(core->idle, other, idle_next)
        if (other != w && may_take_now(other) && set_has(t->set, other) && worker_clean_for(other, t))
            return true;
    return false;
}

static void give_to_idle(struct core *core, uint64_t now_us, struct actions *out)
{
    struct worker *w, *next;

    DL_FOREACH_SAFE2(core->idle, w, next, idle_next) {
        struct next n;

        if (core->n_queued + core->n_backlog == 0)
            return;
        if (!may_take_now(w))
            continue;
        n = best_for(core, w, out);
        if (!n.call || !task_isolated(n.call) || worker_clean_for(w, n.call))
            (void)give(core, now_us, w, &n, out);
        else if (!another_is_clean(core, w, n.call))
            worker_make_fresh(core, now_us, w, n.call, out);
    }
}

static bool may_move(const struct core *core, const struct task *t, const struct worker *w)
{
    if (t->queued)
        return w ? qtask_serves(core, t->queued, w) : !t->queued->only_worker;
    return !t->bound && t->set && (!w || set_has(t->set, w));
}

/* The task given last that some other worker could begin at once; w NULL: whoever that is. */
static struct task *last_ahead(const struct core *core, const struct worker *holder, const struct worker *w)
{
    struct task *t = holder->held ? holder->held->place_prev : NULL; /* a utlist: the last */

    for (; t && t != holder->held; t = t->place_prev)
        if (t->state == TASK_GIVEN && !t->begun && may_move(core, t, w))
            return t;
    return NULL;
}

/* Whether anything was asked back. */
static bool take_back_for_idle(struct core *core, struct actions *out)
{
    uint32_t n = 0;
    bool asked = false;
    struct worker *w;

    if (!core->idle || core->n_given == core->n_holding)
        return false;
    for (uint32_t i = 0; i < core->n_workers; i++)
        if (core->workers[i]->n_held > 1 && last_ahead(core, core->workers[i], NULL))
            core->scratch[n++] = core->workers[i];
    DL_FOREACH2(core->idle, w, idle_next) {
        struct worker *most = NULL;
        struct task *t;

        if (n == 0)
            break;
        if (!may_take_now(w))
            continue;
        for (uint32_t i = 0; i < n; i++)
            if ((!most || core->scratch[i]->n_held > most->n_held) && last_ahead(core, core->scratch[i], w))
                most = core->scratch[i];
        t = most ? last_ahead(core, most, w) : NULL;
        if (t) {
            worker_recall(core, t, out);
            asked = true;
        }
    }
    return asked;
}

static bool has_room_ahead(const struct core *core, const struct worker *w)
{
    return (w->state == WORKER_BUSY || w->n_booked > 0) && worker_may_take(w) && !w->late && w->n_long == 0 &&
           w->n_held + w->n_booked < core->limits.ahead_max;
}

/* Gives it one more; false: there is none for it. */
static bool give_ahead_to(struct core *core, uint64_t now_us, struct worker *w, struct actions *out)
{
    const struct next n = best_for(core, w, out);
    const uint64_t us = usual_us(&n);

    if (us >= core->limits.ahead_task_us || w->usual_us + us > core->limits.ahead_us)
        return false;
    return give(core, now_us, w, &n, out);
}

static void give_ahead(struct core *core, uint64_t now_us, struct actions *out)
{
    uint32_t n = 0;

    if (core->limits.ahead_max < 2)
        return;
    for (uint32_t i = 0; i < core->n_workers; i++)
        if (has_room_ahead(core, core->workers[i]))
            core->scratch[n++] = core->workers[i];
    /* Level by level: all are brought to `level` tasks before one gets more. */
    for (uint32_t level = 2; level <= core->limits.ahead_max && n > 0; level++) {
        uint32_t kept = 0;

        for (uint32_t i = 0; i < n; i++) {
            struct worker *w = core->scratch[i];

            if (core->n_queued + core->n_backlog == 0)
                return;
            if (w->n_held + w->n_booked >= level || (has_room_ahead(core, w) && give_ahead_to(core, now_us, w, out)))
                core->scratch[kept++] = w;
        }
        n = kept;
    }
}

void core_assign(struct core *core, uint64_t now_us, struct actions *out)
{
    core->now_us = now_us;
    qtasks_reap(core);
    core->barring = false;
    core->n_barred = 0;
    breakers_due(core, out);
    if (core->n_queued + core->n_backlog > 0)
        give_to_idle(core, now_us, out);
    if (!take_back_for_idle(core, out) && core->n_queued + core->n_backlog > 0)
        give_ahead(core, now_us, out);
}
