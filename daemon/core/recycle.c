/* SPDX-License-Identifier: MIT */
/*
 * recycle -- a worker that has done its share, or has grown, makes room for a fresh process.
 *
 * It gets nothing more, gives back what it has not begun, finishes, and is asked to end. One at a time, so
 * that the pool never stands still for it; the others go on working meanwhile, over the limit. When modules have been
 * loaded anew each one does so at once: an idle worker is back within milliseconds.
 *
 * And one whose process is not clean makes room when an isolated batch is next and no clean one is idle. It is idle
 * itself, so that is not one at a time; but one for each batch, which waits for it at its queue: so no second is
 * replaced for the same.
 */
#include <inttypes.h>
#include <stdio.h>

#include <ptools/module.h>

#include "daemon/core/state.h"

bool worker_recycle_reason(const struct core *core, const struct worker *w, char text[128])
{
    const struct core_limits *l = &core->limits;

    text[0] = '\0';
    if (w->outdated)
        snprintf(text, 128, "modules have been loaded anew");
    else if (l->recycle_tasks && w->tasks >= l->recycle_tasks)
        snprintf(text, 128, "it has run %" PRIu32 " tasks, recycle_tasks is %" PRIu32, w->tasks, l->recycle_tasks);
    else if (l->recycle_kb && w->rss_kb > l->recycle_kb)
        snprintf(text, 128, "its memory is %" PRIu32 " KiB, recycle_kb is %" PRIu32, w->rss_kb, l->recycle_kb);
    else if (l->recycle_fds && w->fds >= l->recycle_fds)
        snprintf(text, 128, "it has %" PRIu32 " descriptors more than at birth, recycle_fds is %" PRIu32, w->fds,
                 l->recycle_fds);
    return text[0] != '\0';
}

void worker_recycle_if_due(struct core *core, uint64_t now_us, struct worker *w, struct actions *out)
{
    char text[128];

    if ((core->recycling && !w->outdated) || core->draining || w->leave != LEAVE_NOT)
        return;
    if ((w->state != WORKER_IDLE && w->state != WORKER_BUSY) || !worker_recycle_reason(core, w, text))
        return;
    if (w->stands_for) {
        stand_in_leave(core, now_us, w, out);
        return;
    }
    w->leave = LEAVE_RECYCLE;
    if (!w->outdated)
        core->recycling = w;
    worker_recall_all(core, w, NULL, out);
    worker_settle(core, now_us, w, out);
}

void workers_recycle_next(struct core *core, uint64_t now_us, struct actions *out)
{
    for (uint32_t i = 0; i < core->n_workers && !core->recycling; i++)
        worker_recycle_if_due(core, now_us, core->workers[i], out);
}

void core_workers_renew(struct core *core, uint64_t now_us, struct actions *out)
{
    core->now_us = now_us;
    for (struct module *m = core->modules; m; m = m->hh.next)
        m->retry_us = m->retry_at_us = 0; /* a broken one may have been mended */
    for (uint32_t i = 0; i < core->n_workers; i++) {
        core->workers[i]->outdated = core->workers[i]->state != WORKER_DEAD;
        if (core->workers[i]->outdated)
            worker_recycle_if_due(core, now_us, core->workers[i], out);
    }
    for (uint32_t i = core->n_stand_ins; i > 0; i--) {
        core->stand_ins[i - 1]->outdated = true;
        worker_recycle_if_due(core, now_us, core->stand_ins[i - 1], out);
    }
}

/* -- isolated batches ---------------------------------------------------------------------------------------- */

/* What t may leave behind in its process, as worker.traces. */
static uint64_t traces_of(const struct task *t)
{
    const bool init = t->batch && t->batch->init[0];

    if (task_isolated(t))
        return !init ? 0 : t->batch->how.map ? t->batch->how.map : TRACES_OF_MANY;
    return !init && t->function->flags & PTOOLS_FN_TIDY ? 0 : TRACES_OF_MANY;
}

bool worker_clean_for(const struct worker *w, const struct task *t)
{
    return w->traces == 0 || w->traces == t->batch->how.map;
}

void worker_mark(struct worker *w, const struct task *t)
{
    const uint64_t traces = traces_of(t);

    if (traces)
        w->traces = w->traces == 0 || w->traces == traces ? traces : TRACES_OF_MANY;
}

void worker_make_fresh(struct core *core, uint64_t now_us, struct worker *w, struct task *t, struct actions *out)
{
    if (!t->bound) {
        if (task_enqueue(core, t, &w->queue, out) < 0) {
            out->no_memory = true;
            return;
        }
        t->bound = w->id;
    }
    w->leave = LEAVE_FRESH;
    worker_settle(core, now_us, w, out);
}

/* The batch that was made to wait for it; NULL: none. */
static struct task *made_to_wait(const struct worker *w)
{
    for (size_t i = 0; i < w->queue.heap.n; i++) {
        struct task *t = CONTAINER_OF(w->queue.heap.v[i].node, struct task, queue_node);

        if (!t->pinned && t->set->mode == SET_FF)
            return t;
    }
    return NULL;
}

void worker_fresh_fails(struct core *core, struct worker *w, struct actions *out)
{
    struct task *t;

    while ((t = made_to_wait(w)))
        (void)task_requeue(core, t, out);
}
