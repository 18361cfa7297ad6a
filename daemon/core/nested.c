/* SPDX-License-Identifier: MIT */
/*
 * nested -- see nested.h. Invariants: a task in worker.nested waits for nothing but its end, and its outer is
 * held there; a task that waits is in the `nested` heap of its queue exactly if it is nested.
 */
#include <inttypes.h>
#include <string.h>

#include "daemon/core/state.h"

/* -- who is inside of whom ------------------------------------------------------------------------------ */

void client_leave_process(struct client *c)
{
    if (c->inside)
        DL_DELETE2(c->inside->clients, c, inside_prev, inside_next);
    c->inside = NULL;
    c->stask = 0;
    c->outer = 0;
}

void worker_leave_clients(struct worker *w)
{
    while (w->clients)
        client_leave_process(w->clients);
}

void core_client_inside(struct core *core, uint32_t client, uint32_t process, uint64_t task)
{
    struct client *c = client_find(core, client);
    struct worker *w = is_stask_process(process) ? NULL : worker_or_stand_in(core, process);

    if (!c)
        return;
    if (c->inside != w) {
        client_leave_process(c);
        c->inside = w;
        if (w)
            DL_APPEND2(w->clients, c, inside_prev, inside_next);
    }
    c->stask = is_stask_process(process) ? process : 0;
    c->outer = w ? task : 0;
}

static const struct task *outer_of(const struct client *c)
{
    return c->inside && c->outer ? worker_held(c->inside, c->outer) : NULL;
}

uint32_t nested_depth(const struct client *c)
{
    const struct task *outer = outer_of(c);

    return outer ? outer->depth + 1 : c->stask ? 1 : 0;
}

void nested_begin(struct task *t, const struct client *c)
{
    t->depth = nested_depth(c);
    if (!outer_of(c))
        return;
    t->outer = c->outer;
    t->lender = c->inside;
    DL_APPEND2(t->lender->nested, t, nested_prev, nested_next);
}

void nested_end(struct task *t)
{
    if (t->lender)
        DL_DELETE2(t->lender->nested, t, nested_prev, nested_next);
    t->lender = NULL;
}

void nested_outer_ended(struct worker *w, uint64_t outer)
{
    struct task *t, *next;

    DL_FOREACH_SAFE2(w->nested, t, next, nested_next)
        if (t->outer == outer)
            nested_end(t);
}

/* -- stand-ins ------------------------------------------------------------------------------------------- */

struct worker *worker_or_stand_in(const struct core *core, uint32_t id)
{
    if (id <= WORKER_ID_MAX)
        return worker_find(core, id);
    for (uint32_t i = 0; i < core->n_stand_ins; i++)
        if (core->stand_ins[i]->id == id)
            return core->stand_ins[i];
    return NULL;
}

struct worker *worker_at(const struct core *core, size_t index)
{
    return index < core->n_workers ? core->workers[index] : core->stand_ins[index - core->n_workers];
}

bool worker_lends(const struct worker *w)
{
    return w->nested && w->state == WORKER_BUSY;
}

static struct task *nested_top(const struct queue *q)
{
    struct heap_node *node = heap_top(&q->nested);

    return node ? CONTAINER_OF(node, struct task, nested_node) : NULL;
}

static bool comes_before(const struct task *a, const struct task *b)
{
    return a->depth != b->depth ? a->depth > b->depth : a->id < b->id;
}

/* Of those that this worker, which is no stand-in, could be given. */
static struct task *next_of(const struct core *core, const struct worker *w)
{
    struct task *best = nested_top(&w->queue);
    struct set *s;

    DL_FOREACH2(core->waiting, s, waiting_next) {
        struct task *t = nested_top(&s->queue);

        if (t && set_has(s, w) && (!best || comes_before(t, best)))
            best = t;
    }
    return best;
}

/* Nobody whose task waits for it is known: this one counts as its lender. */
static bool lends_to_stask(const struct task *t, const struct worker *w)
{
    return t->outer == 0 && (t->bound ? t->bound == w->id : t->set->members[0] == w);
}

/* What would be run in the place of this worker, which is no stand-in, if all who are there wait. */
static struct task *next_in_place(const struct core *core, const struct worker *w)
{
    struct task *t = w->leave == LEAVE_REMOVED ? NULL : next_of(core, w);

    if (!t || (!worker_lends(w) && !lends_to_stask(t, w)))
        return NULL;
    for (uint32_t i = 0; i < core->n_stand_ins; i++) {
        const struct worker *s = core->stand_ins[i];

        if (s->stands_for == w->id && s->n_held > 0 && !worker_lends(s))
            return NULL;
    }
    return t;
}

struct task *nested_next_for(const struct core *core, const struct worker *stand_in)
{
    const struct worker *w = core->n_nested > 0 ? worker_find(core, stand_in->stands_for) : NULL;

    return w ? next_in_place(core, w) : NULL;
}

/* Whether one is about to run what is next there. */
static bool has_stand_in(const struct core *core, const struct worker *w)
{
    for (uint32_t i = 0; i < core->n_stand_ins; i++) {
        const struct worker *s = core->stand_ins[i];

        if (s->stands_for == w->id && s->leave == LEAVE_NOT && s->n_held == 0)
            return true;
    }
    return false;
}

static void stand_in_new(struct core *core, const struct worker *w, struct actions *out)
{
    struct worker *s = calloc(1, sizeof *s);
    uint32_t at = 0;

    if (!s) {
        out->no_memory = true;
        return;
    }
    while (at < core->n_stand_ins && core->stand_ins[at]->id == WORKER_ID_MAX + 1 + at)
        at++; /* the lowest number that is free */
    memmove(&core->stand_ins[at + 1], &core->stand_ins[at], (core->n_stand_ins - at) * sizeof core->stand_ins[0]);
    core->stand_ins[at] = s;
    core->n_stand_ins++;
    s->id = WORKER_ID_MAX + 1 + at;
    s->stands_for = w->id;
    s->state = WORKER_DEAD;
    s->free_slots = UINT64_MAX;
    s->backlog.worker = s;
    worker_spawn(core, s, out);
}

/* Whether something goes on that may end, so that there is a place then. */
static bool others_go_on(struct worker *const *workers, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (workers[i]->state != WORKER_IDLE && !worker_lends(workers[i]))
            return true;
    return false;
}

static void newest(const struct queue *q, struct task **best)
{
    for (size_t i = 0; i < q->nested.n; i++) {
        struct task *t = CONTAINER_OF(q->nested.v[i].node, struct task, nested_node);

        if (!*best || t->id > (*best)->id)
            *best = t;
    }
}

/* There are as many as there may be, and w needs one. */
static void make_room(struct core *core, uint64_t now_us, const struct worker *w, struct actions *out)
{
    struct task *t = NULL;
    struct set *s;

    for (uint32_t i = 0; i < core->n_stand_ins; i++) {
        if (core->stand_ins[i]->state != WORKER_IDLE)
            continue;
        stand_in_leave(core, now_us, core->stand_ins[i], out);
        return;
    }
    if (others_go_on(core->workers, core->n_workers) || others_go_on(core->stand_ins, core->n_stand_ins))
        return;
    newest(&w->queue, &t);
    DL_FOREACH2(core->waiting, s, waiting_next)
        if (set_has(s, w))
            newest(&s->queue, &t);
    task_fail(core, t, PTOOLS_ERR_DEADLOCK, NULL, false, out,
              "all workers and all %" PRIu32 " stand-ins that there may be (stand_ins_max) wait for calls of their own",
              core->limits.stand_ins_max);
}

void stand_ins_start(struct core *core, uint64_t now_us, struct actions *out)
{
    uint64_t starting = 0;

    if (core->draining)
        return;
    for (uint32_t i = 0; i < core->n_stand_ins; i++)
        starting += core->stand_ins[i]->state == WORKER_STARTING && core->stand_ins[i]->leave == LEAVE_NOT;
    for (uint32_t i = 0; i < core->n_workers && starting < core->n_nested; i++) {
        const struct worker *w = core->workers[i];

        if (!next_in_place(core, w) || has_stand_in(core, w))
            continue;
        if (core->n_stand_ins == core->limits.stand_ins_max) {
            make_room(core, now_us, w, out);
            return;
        }
        stand_in_new(core, w, out);
        starting++;
    }
}

void stand_in_rest(struct core *core, uint64_t now_us, struct worker *w)
{
    if (w->stands_for && w->state == WORKER_IDLE && !heap_holds(&w->timer))
        worker_set_timer(core, w, now_us + core->limits.stand_in_idle_us);
}

void stand_in_leave(struct core *core, uint64_t now_us, struct worker *w, struct actions *out)
{
    w->leave = LEAVE_REMOVED;
    if (w->state == WORKER_DEAD)
        worker_free(core, w);
    else
        worker_settle(core, now_us, w, out);
}

void stand_ins_leave(struct core *core, uint64_t now_us, uint32_t worker, struct actions *out)
{
    for (uint32_t i = core->n_stand_ins; i > 0; i--)
        if (core->stand_ins[i - 1]->stands_for == worker)
            stand_in_leave(core, now_us, core->stand_ins[i - 1], out);
}
