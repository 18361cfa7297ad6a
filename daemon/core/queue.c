/* SPDX-License-Identifier: MIT */
/*
 * queue -- where a task waits: at the worker it is bound to, or in its first-free set.
 *
 * A queue is a heap by task number: what comes back (its worker died, it was taken back) is where it was.
 * A set whose queue is not empty is in core.waiting, so that a free worker looks at no others.
 */
#include "daemon/core/state.h"

struct task *queue_top(const struct queue *q)
{
    struct heap_node *node = heap_top(&q->heap);

    return node ? CONTAINER_OF(node, struct task, queue_node) : NULL;
}

void queue_remove(struct core *core, struct task *t)
{
    struct queue *q = t->queue;

    heap_remove(&q->heap, &t->queue_node);
    t->queue = NULL;
    core->n_queued--;
    t->set->n_queued--;
    if (q->set && q->heap.n == 0)
        DL_DELETE2(core->waiting, q->set, waiting_prev, waiting_next);
}

int task_enqueue(struct core *core, struct task *t, struct queue *q, struct actions *out)
{
    int r = heap_reserve(&q->heap, q->heap.n + 1);

    if (r < 0)
        return r;
    if (!task_step(core, t, EV_QUEUE, out))
        return 0;
    (void)heap_push(&q->heap, &t->queue_node, t->id); /* there is room */
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
