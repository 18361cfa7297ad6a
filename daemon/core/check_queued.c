/* SPDX-License-Identifier: MIT */
/*
 * check_queued -- do the parts of the queue agree? As check.c, for queued tasks. For tests; O(all).
 */
#include "daemon/core/check.h"

static const char *check_place(const struct core *core, const struct qtask *q)
{
    const struct task *t;

    HOLDS(q->state != QT_NEW, "a queued task in the table is new");
    HOLDS((q->state == QT_QUEUED) == heap_holds(&q->wait_node),
          "a queued task is in a lane, or not, against its state");
    if (q->state == QT_QUEUED) {
        HOLDS(q->lane && q->lane->user == q->user, "a queued task waits in another user's lane");
        HOLDS(!q->hold && q->due_us == 0 && !(q->x && q->x->after),
              "a queued task is ready, and something is in its way");
        HOLDS(q->function && !core->draining, "a queued task is ready without a function");
    } else if (q->state == QT_GIVEN) {
        t = q->run;
        HOLDS(t && t->queued == q && t->id == q->id && t->is_attempt, "an attempt is not that of its task");
        HOLDS(t->state >= TASK_BOOKED && t->state <= TASK_STOPPING, "an attempt is nowhere");
        HOLDS(qtask_journaled(q) || t->state != TASK_BOOKED, "a volatile task waits for the journal");
        HOLDS(t->attempt == q->attempt, "an attempt has another number than its task");
    } else if (q->state == QT_ENDED || q->state == QT_ENDING) {
        HOLDS(q->end && q->end->outcome && task_shown_ended(q->shown), "a task has ended, and not how");
        HOLDS(q->state == QT_ENDED || qtask_journaled(q), "a volatile task's end waits for the journal");
    }
    HOLDS(q->attempt <= q->attempts, "a task was tried more often than allowed");
    HOLDS(!q->set || q->in_set, "a task has a set that is not its target");
    return NULL;
}

static const char *check_links(const struct qtask *q)
{
    const struct watcher *w;
    const struct qedge *e;

    if (!q->x)
        return NULL;
    DL_FOREACH2(q->x->after, e, then_next)
        HOLDS(e->then == q && e->first->x && e->first->x->before, "a task waits for one that does not know it");
    DL_FOREACH2(q->x->before, e, first_next)
        HOLDS(e->first == q && e->then->x && e->then->x->after, "a task is waited for by one that does not know it");
    DL_FOREACH2(q->x->watchers, w, task_next)
        HOLDS(w->task == q && w->client, "a task is watched for another");
    HOLDS(q->state != QT_ENDED || !q->x->watchers, "a task has ended, and somebody waits for it");
    HOLDS(q->state != QT_ENDED || !q->x->after, "a task has ended, and waits for another");
    HOLDS((q->state == QT_HELD && !q->x->parent) == (q->x->module != NULL),
          "a module holds a task, or not, against its state");
    return NULL;
}

static const char *check_user(const struct core *core, const struct user *u)
{
    uint64_t queued = 0, queue_bytes = 0, kept = 0, kept_bytes = 0, given = 0, listed = 0, dead = 0;
    const struct pause *p;
    const struct qtask *q;
    uint32_t pauses = 0;

    for (size_t i = 0; i < core->n_queue_table; i++) {
        q = core->queue_table[i].q;
        if (!q || q->user != u)
            continue;
        given += q->state == QT_GIVEN;
        if (q->state == QT_ENDED) {
            kept++;
            kept_bytes += qtask_kept_bytes(q);
        } else {
            queued++;
            queue_bytes += q->spec->n + (q->args ? q->args->n : 0);
        }
    }
    DL_FOREACH(u->ended, q)
    {
        listed++;
        HOLDS(!q->stays && qtask_may_go(core, q), "a task may be forgotten for others that must be kept");
    }
    DL_FOREACH(u->staying, q)
    {
        listed++;
        HOLDS(q->stays, "a task that stays does not know it");
        dead += q->shown == SHOWN_DEAD;
    }
    HOLDS(u->n_queued == queued && u->queue_bytes == queue_bytes, "a user's queued tasks are miscounted");
    HOLDS(u->n_kept == kept && u->kept_bytes == kept_bytes && listed == kept, "a user's ended tasks are miscounted");
    HOLDS(u->n_dead == dead, "a user's dead tasks are miscounted");
    DL_FOREACH(u->pauses, p)
        pauses++;
    HOLDS(u->n_pauses == pauses && pauses <= PAUSES_MAX, "a user's pauses are miscounted");
    HOLDS(u->n_given == given, "a user's running tasks are miscounted");
    return NULL;
}

static const char *check_backlogs(const struct core *core)
{
    const struct backlog *b;
    const struct lane *lane;
    uint64_t n = 0;

    DL_FOREACH(core->backlogs, b)
    {
        uint64_t lanes = 0;

        DL_FOREACH(b->lanes, lane)
        {
            const char *wrong = check_heap(&lane->heap);

            if (wrong)
                return wrong;
            HOLDS(lane->backlog == b, "a lane is in another backlog");
            lanes += lane->heap.n;
        }
        HOLDS(lanes == b->n && b->n > 0, "a backlog is miscounted");
        n += b->n;
    }
    HOLDS(n == core->n_backlog && n == core->n_qtasks[QT_QUEUED], "ready tasks are miscounted");
    return NULL;
}

static const char *check_breakers(const struct core *core)
{
    const struct breaker *b;
    uint32_t n = 0;

    for (const struct user *u = core->users; u; u = u->hh.next) {
        for (b = u->breakers; b; b = b->hh.next, n++) {
            HOLDS(b->user == u && b->backlog.kind == BACKLOG_BREAKER, "a breaker is another user's");
            HOLDS(!b->probe || (b->open && b->probe->probe && b->probe->user == u && b->probe->function == b->function),
                  "a breaker tries a task of another function");
            HOLDS(!b->probe || b->probe->state == QT_GIVEN ||
                      (b->probe->state == QT_QUEUED && b->probe->lane->backlog != &b->backlog),
                  "a breaker tries a task that is nowhere");
            HOLDS(b->backlog.n == 0 || (b->open && b->probe) || heap_holds(&b->timer),
                  "tasks wait for a breaker that waits for nothing");
        }
        HOLDS(HASH_COUNT(u->breakers) <= BREAKERS_MAX, "a user has too many breakers");
    }
    HOLDS(n == core->n_breakers, "breakers are miscounted");
    return check_heap(&core->breaker_timers);
}

const char *check_queued(const struct core *core)
{
    uint64_t by_state[QT_STATES] = { 0 }, n = 0, last = 0, keys = 0;
    const char *wrong;

    for (size_t i = 0; i < core->n_queue_table; i++) {
        const struct qtask *q = core->queue_table[i].q;

        HOLDS(core->queue_table[i].id > last, "the table of queued tasks is out of order");
        last = core->queue_table[i].id;
        if (!q)
            continue;
        HOLDS(q->id == last, "a queued task is under another number");
        n++;
        by_state[q->state]++;
        keys += q->x && q->x->key;
        wrong = check_place(core, q);
        wrong = wrong ? wrong : check_links(q);
        if (wrong)
            return wrong;
    }
    HOLDS(n == core->n_queue, "queued tasks are miscounted");
    for (int s = 0; s < QT_STATES; s++)
        HOLDS(by_state[s] == core->n_qtasks[s], "queued tasks are miscounted by state");
    HOLDS(keys == qtask_keys(core), "keys are miscounted");
    for (const struct user *u = core->users; u; u = u->hh.next) {
        wrong = check_user(core, u);
        if (wrong)
            return wrong;
    }
    wrong = check_backlogs(core);
    wrong = wrong ? wrong : check_breakers(core);
    return wrong ? wrong : check_heap(&core->queue_timers);
}
