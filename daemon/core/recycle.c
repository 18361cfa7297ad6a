/* SPDX-License-Identifier: MIT */
/*
 * recycle -- a worker that has done its share, or has grown, makes room for a fresh process.
 *
 * It gets nothing more, gives back what it has not begun, finishes, and is asked to end. One at a time, so
 * that the pool never stands still for it; the others go on working meanwhile, over the limit.
 */
#include <inttypes.h>
#include <stdio.h>

#include "daemon/core/state.h"

bool worker_recycle_reason(const struct core *core, const struct worker *w, char text[128])
{
    const struct core_limits *l = &core->limits;

    text[0] = '\0';
    if (l->recycle_tasks && w->tasks >= l->recycle_tasks)
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

    if (core->recycling || core->draining || w->leave != LEAVE_NOT)
        return;
    if ((w->state != WORKER_IDLE && w->state != WORKER_BUSY) || !worker_recycle_reason(core, w, text))
        return;
    if (w->stands_for) {
        stand_in_leave(core, now_us, w, out);
        return;
    }
    w->leave = LEAVE_RECYCLE;
    core->recycling = w;
    worker_recall_all(core, w, NULL, out);
    worker_settle(core, now_us, w, out);
}

void workers_recycle_next(struct core *core, uint64_t now_us, struct actions *out)
{
    for (uint32_t i = 0; i < core->n_workers && !core->recycling; i++)
        worker_recycle_if_due(core, now_us, core->workers[i], out);
}
