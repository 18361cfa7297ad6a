/* SPDX-License-Identifier: MIT */
/*
 * view -- what can be seen from outside. Changes nothing.
 */
#include <string.h>

#include "daemon/core/state.h"

static const char *shown_state(const struct worker *w)
{
    switch (w->state) {
    case WORKER_BUSY:
        return w->leave == LEAVE_NOT ? "busy" : "stopping";
    case WORKER_LEAVING:
    case WORKER_KILLED:
        return "stopping";
    default:
        return worker_state_name(w->state);
    }
}

bool core_view_worker(const struct core *core, size_t index, struct core_worker_view *ret)
{
    const struct worker *w;

    if (index >= core->n_workers + core->n_stand_ins)
        return false;
    w = worker_at(core, index);
    *ret = (struct core_worker_view){
        .id = w->id,
        .stands_for = w->stands_for,
        .pid = w->pid,
        .state = shown_state(w),
        .task = w->oldest,
        .function = w->held ? w->held->function->name : "",
        .given = w->n_held,
        .waiting = w->queue.heap.n,
        .done = w->done,
        .deaths = w->deaths,
        .recycled = w->recycled,
        .rss_kb = w->rss_kb,
    };
    return true;
}

bool core_view_set(const struct core *core, size_t index, struct core_set_view *ret)
{
    const struct set *s = &core->all;

    if (index > 0)
        for (s = core->sets; s && (s->hidden || index > 1); s = s->hh.next)
            index -= !s->hidden;
    if (!s)
        return false;
    *ret = (struct core_set_view){
        .id = s->id,
        .name = s->name,
        .mode = s->mode,
        .members = s->ids,
        .n = s->n,
        .waiting = s->n_queued,
        .uid = s->user ? s->user->uid : 0,
    };
    return true;
}

bool core_view_module(const struct core *core, size_t index, struct core_module_view *ret)
{
    static const char *const states[] = {
        [MODULE_NEW] = "loading",     [MODULE_LOADING] = "loading", [MODULE_LOADED] = "loaded",
        [MODULE_MISSING] = "missing", [MODULE_BROKEN] = "broken",
    };
    const struct module *m = core->modules;

    while (m && index-- > 0)
        m = m->hh.next;
    if (!m)
        return false;
    *ret = (struct core_module_view){ .state = states[m->state], .report = m->report, .name = m->name };
    for (size_t i = 0; m->report && i < m->report->n; i++)
        ret->calls += m->table[i]->calls;
    return true;
}

bool core_view_function(const struct core *core, const char *module, size_t index, uint64_t *ret_calls,
                        uint64_t *ret_usual_us)
{
    const struct module *m = module_find(core, module, strlen(module));

    if (!m || !m->report || index >= m->report->n)
        return false;
    *ret_calls = m->table[index]->calls;
    *ret_usual_us = m->table[index]->usual8_us / 8;
    return true;
}

void core_view_stats(const struct core *core, struct core_stats *ret)
{
    *ret = core->stats;
    ret->waiting = core->n_held + core->n_queued;
    ret->given = core->n_given;
    ret->clients = HASH_COUNT(core->clients);
    ret->workers = core->n_workers;
    ret->stand_ins = core->n_stand_ins;
    ret->sets = HASH_COUNT(core->sets);
    ret->arrays = HASH_COUNT(core->arrays);
    ret->stasks = HASH_COUNT(core->stasks);
    ret->shm_bytes = core->shm_bytes;
    ret->queue_known = core->n_queue;
    ret->queue_waiting = core_queue_waiting(core);
}

uint64_t core_unrecorded(const struct core *core)
{
    return core->n_pending;
}

bool core_queue_goes_on(const struct core *core)
{
    const struct qtask *q = core->n_qtasks[QT_WAITING] > 0 ? qtask_after(core, 0) : NULL;

    if (core_queue_waiting(core) > core->n_qtasks[QT_WAITING] || core->n_settled > 0)
        return true;
    while (q && (q->state != QT_WAITING || q->hold || q->due_us <= core->now_us))
        q = qtask_after(core, q->id);
    return q != NULL;
}

bool core_may_rest(const struct core *core)
{
    if (core->clients || core_tasks(core) > 0 || core->arrays || core->sets || core->stasks || core->n_pending > 0 ||
        core_queue_goes_on(core))
        return false;
    for (size_t i = 0; i < core->n_queue_table; i++)
        if (core->queue_table[i].q && !qtask_journaled(core->queue_table[i].q))
            return false;
    return true;
}

uint64_t core_queue_waiting(const struct core *core)
{
    uint64_t n = 0;

    for (enum qtask_state s = QT_HELD; s <= QT_ENDING; s++)
        n += core->n_qtasks[s];
    return n;
}
