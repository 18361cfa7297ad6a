/* SPDX-License-Identifier: MIT */
/*
 * assign -- who gets what: the end of each turn.
 *
 *   1. Idle workers, longest idle first: each takes the oldest task that it may run, over its own queue and
 *      those of the first-free sets it is in.
 *   2. An idle worker for which nothing waits, while another holds tasks ahead that it may run: the last of
 *      them is taken back from the worker that holds most. It will be in its queue again when core_assign() is
 *      called again, which is why nothing is given ahead now.
 *   3. Busy workers get the oldest ones ahead, if these are usually short and those they hold are too: the
 *      one that holds least first. A task that is not short is never given ahead, nor overtaken by a younger
 *      one of its queue.
 */
#include "daemon/core/state.h"

static struct task *oldest_for(const struct core *core, const struct worker *w)
{
    struct task *best = queue_top(&w->queue);
    struct set *s;

    DL_FOREACH2(core->waiting, s, waiting_next) {
        struct task *t = queue_top(&s->queue);

        if (set_has(s, w) && (!best || t->id < best->id))
            best = t;
    }
    return best;
}

static void give_to_idle(struct core *core, uint64_t now_us, struct actions *out)
{
    struct worker *w, *next;

    DL_FOREACH_SAFE2(core->idle, w, next, idle_next) {
        struct task *t;

        if (core->n_queued == 0)
            return;
        if (!worker_may_take(w))
            continue;
        t = oldest_for(core, w);
        if (t)
            worker_give(core, now_us, w, t, out);
    }
}

/* The task given last that some other worker could begin at once; w NULL: whoever that is. */
static struct task *last_ahead(const struct worker *holder, const struct worker *w)
{
    struct task *t = holder->held ? holder->held->place_prev : NULL; /* a utlist: the last */

    for (; t && t != holder->held; t = t->place_prev)
        if (t->state == TASK_GIVEN && !t->begun && !t->bound && t->set && (!w || set_has(t->set, w)))
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
        if (core->workers[i]->n_held > 1 && last_ahead(core->workers[i], NULL))
            core->scratch[n++] = core->workers[i];
    DL_FOREACH2(core->idle, w, idle_next) {
        struct worker *most = NULL;
        struct task *t;

        if (n == 0)
            break;
        if (!worker_may_take(w))
            continue;
        for (uint32_t i = 0; i < n; i++)
            if ((!most || core->scratch[i]->n_held > most->n_held) && last_ahead(core->scratch[i], w))
                most = core->scratch[i];
        t = most ? last_ahead(most, w) : NULL;
        if (t) {
            worker_recall(core, t, out);
            asked = true;
        }
    }
    return asked;
}

static bool has_room_ahead(const struct core *core, const struct worker *w)
{
    return w->state == WORKER_BUSY && worker_may_take(w) && !w->late && w->n_long == 0 &&
           w->n_held < core->limits.ahead_max;
}

/* Gives it one more; false: there is none for it. */
static bool give_ahead_to(struct core *core, uint64_t now_us, struct worker *w, struct actions *out)
{
    struct task *t = oldest_for(core, w);
    uint64_t usual_us = t ? function_usual_us(t->function) : CORE_NEVER;

    if (usual_us >= core->limits.ahead_task_us || w->usual_us + usual_us > core->limits.ahead_us)
        return false;
    worker_give(core, now_us, w, t, out);
    return true;
}

static void give_ahead(struct core *core, uint64_t now_us, struct actions *out)
{
    uint32_t n = 0;

    if (core->limits.ahead_max < 2)
        return;
    for (uint32_t i = 0; i < core->n_workers && core->n_queued > 0; i++)
        if (has_room_ahead(core, core->workers[i]))
            core->scratch[n++] = core->workers[i];
    /* Level by level: all are brought to `level` tasks before one gets more. */
    for (uint32_t level = 2; level <= core->limits.ahead_max && n > 0; level++) {
        uint32_t kept = 0;

        for (uint32_t i = 0; i < n; i++) {
            struct worker *w = core->scratch[i];

            if (core->n_queued == 0)
                return;
            if (w->n_held >= level || (has_room_ahead(core, w) && give_ahead_to(core, now_us, w, out)))
                core->scratch[kept++] = w;
        }
        n = kept;
    }
}

void core_assign(struct core *core, uint64_t now_us, struct actions *out)
{
    if (core->n_queued > 0)
        give_to_idle(core, now_us, out);
    if (!take_back_for_idle(core, out) && core->n_queued > 0)
        give_ahead(core, now_us, out);
}
