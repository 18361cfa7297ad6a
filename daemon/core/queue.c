/* SPDX-License-Identifier: MIT */
/*
 * queue -- where a task waits: at the worker it is bound to, or in its first-free set.
 *
 * A queue is a heap by rank, which is the number of the task: what comes back (its worker died, it was taken back) is
 * where it was. A set whose queue is not empty is in core.waiting, so that a free worker looks at no others.
 *
 * A priority is its user's own. It does not move a task past those of others: when it is a user's turn, the best of
 * that user's takes the place of the one that is due, and that one takes its place.
 */
#include <errno.h>
#include <stdlib.h>

#include "daemon/core/state.h"

/* Those of one user in one queue that have a priority, best on top. */
struct urgent {
    const struct user *user;
    struct heap heap;
    bool awaited; /* by one that is about to come: it stays although it is empty */
    struct urgent *prev, *next;
};

static struct urgent *urgent_of(const struct queue *q, const struct user *user)
{
    struct urgent *u;

    DL_FOREACH(q->urgent, u)
    if (u->user == user)
        return u;
    return NULL;
}

static void urgent_settle(struct queue *q, struct urgent *u)
{
    if (u->awaited || u->heap.n > 0)
        return;
    DL_DELETE(q->urgent, u);
    heap_deinit(&u->heap);
    free(u);
}

/* Room for t; *ret NULL: it has no priority. 0 or -ENOMEM. */
static int urgent_reserve(struct queue *q, const struct task *t, struct urgent **ret)
{
    struct urgent *u;

    *ret = NULL;
    if (t->priority == INFINITY)
        return 0;
    u = urgent_of(q, t->user);
    if (!u) {
        u = calloc(1, sizeof *u);
        if (!u)
            return -ENOMEM;
        u->user = t->user;
        DL_APPEND(q->urgent, u);
    }
    if (heap_reserve(&u->heap, u->heap.n + 1) < 0) {
        urgent_settle(q, u);
        return -ENOMEM;
    }
    u->awaited = true;
    *ret = u;
    return 0;
}

/* comes: t is in the queue now. */
static void urgent_add(struct queue *q, struct urgent *u, struct task *t, bool comes)
{
    if (!u)
        return;
    u->awaited = false;
    if (comes) {
        (void)heap_push_rank(&u->heap, &t->urgent_node, heap_key_of(t->priority), 0, t->id); /* there is room */
        t->urgent = u;
    }
    urgent_settle(q, u);
}

static void urgent_remove(struct queue *q, struct task *t)
{
    struct urgent *u = t->urgent;

    if (!u)
        return;
    heap_remove(&u->heap, &t->urgent_node);
    t->urgent = NULL;
    urgent_settle(q, u);
}

struct task *queue_top(const struct queue *q)
{
    struct heap_node *node = heap_top(&q->heap);

    return node ? CONTAINER_OF(node, struct task, queue_node) : NULL;
}

/* They have changed places. */
static void exchange(struct queue *q, struct task *a, struct task *b)
{
    const uint64_t rank = a->rank;

    heap_remove(&q->heap, &a->queue_node);
    heap_remove(&q->heap, &b->queue_node);
    a->rank = b->rank;
    b->rank = rank;
    (void)heap_push(&q->heap, &a->queue_node, a->rank); /* there is room */
    (void)heap_push(&q->heap, &b->queue_node, b->rank);
}

struct task *queue_next(struct queue *q)
{
    struct task *due = queue_top(q), *best;
    struct urgent *u = due && q->urgent ? urgent_of(q, due->user) : NULL;

    if (!u)
        return due;
    best = CONTAINER_OF(heap_top(&u->heap), struct task, urgent_node);
    if (best != due) /* also of equal priority, when that came first and was moved back by another */
        exchange(q, due, best);
    return best;
}

void queue_remove(struct core *core, struct task *t)
{
    struct queue *q = t->queue;

    urgent_remove(q, t);
    heap_remove(&q->heap, &t->queue_node);
    core->n_nested -= heap_holds(&t->nested_node);
    heap_remove(&q->nested, &t->nested_node);
    t->queue = NULL;
    core->n_queued--;
    t->set->n_queued--;
    if (q->set && q->heap.n == 0)
        DL_DELETE2(core->waiting, q->set, waiting_prev, waiting_next);
}

int task_enqueue(struct core *core, struct task *t, struct queue *q, struct actions *out)
{
    struct urgent *urgent = NULL;
    int r = heap_reserve(&q->heap, q->heap.n + 1);
    bool queued;

    if (r == 0 && t->depth > 0)
        r = heap_reserve(&q->nested, q->nested.n + 1);
    if (r == 0)
        r = urgent_reserve(q, t, &urgent);
    if (r < 0)
        return r;
    queued = task_step(core, t, EV_QUEUE, out);
    urgent_add(q, urgent, t, queued);
    if (!queued)
        return 0;
    (void)heap_push(&q->heap, &t->queue_node, t->rank); /* there is room */
    if (t->depth > 0)
        (void)heap_push_rank(&q->nested, &t->nested_node, NESTING_MAX - t->depth, 0, t->id);
    core->n_nested += t->depth > 0;
    t->queue = q;
    core->n_queued++;
    t->set->n_queued++;
    if (q->set && q->heap.n == 1)
        DL_APPEND2(core->waiting, q->set, waiting_prev, waiting_next);
    return 0;
}

ptools_err task_route(struct core *core, struct task *t, struct queue **ret)
{
    struct worker *w = t->bound ? worker_find(core, t->bound) : NULL;

    if (!t->set)
        return PTOOLS_ERR_NO_SET;
    if (t->pinned) {
        if (!w || w->leave == LEAVE_REMOVED)
            return PTOOLS_ERR_NO_WORKER;
        *ret = &w->queue;
        return PTOOLS_OK;
    }
    if (t->set->n == 0)
        return PTOOLS_ERR_NO_WORKER;
    if (t->set->mode == SET_FF) {
        t->bound = 0;
        *ret = &t->set->queue;
        return PTOOLS_OK;
    }
    if (!w || !set_has(t->set, w)) {
        w = set_next(t->set);
        t->bound = w->id;
    }
    *ret = &w->queue;
    return PTOOLS_OK;
}

void task_fail_route(struct core *core, struct task *t, ptools_err code, struct actions *out)
{
    if (code == PTOOLS_ERR_NO_SET)
        task_fail(core, t, code, NULL, false, out, "the worker set was destroyed before a worker began the task");
    else if (t->pinned)
        task_fail(core, t, code, NULL, false, out, "worker %u was removed before it began the task", t->pinned);
    else
        task_fail(core, t, code, NULL, false, out, "the worker set has no workers left");
}

bool task_requeue(struct core *core, struct task *t, struct actions *out)
{
    struct queue *q = NULL;
    ptools_err code;

    if (core->draining) {
        task_fail(core, t, PTOOLS_ERR_DRAINING, NULL, false, out, "the daemon is about to end");
        return false;
    }
    if (!function_usable(t->function)) {
        task_refuse_function(core, t, out);
        return false;
    }
    code = task_route(core, t, &q);
    if (code != PTOOLS_OK) {
        task_fail_route(core, t, code, out);
        return false;
    }
    if (task_enqueue(core, t, q, out) < 0) {
        out->no_memory = true;
        task_fail(core, t, PTOOLS_ERR_INTERNAL, NULL, false, out, "the daemon has no memory for its queue");
        return false;
    }
    return true;
}
