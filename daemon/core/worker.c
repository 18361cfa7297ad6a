/* SPDX-License-Identifier: MIT */
/*
 * worker -- the table of its states, and the tasks that it holds.
 *
 * Invariants: a worker holds tasks only while it is busy, stopping or killed; it is in core.idle exactly
 * while it is IDLE; slots are free, or of a held task, or revoked; n_held, n_long and usual_us agree with
 * the list.
 */
#include <inttypes.h>
#include <string.h>

#include "daemon/core/state.h"

/* clang-format off */
#define NO WORKER_STATES
static const enum worker_state next_state[WORKER_STATES][WORKER_EVENTS] = {
    /*                    SPAWN            READY        GIVEN        EMPTY          INTERRUPT
                          RESUME           LEAVE           KILL           GONE */
    [WORKER_STARTING] = { NO,              WORKER_IDLE, NO,          NO,            NO,
                          NO,              NO,             NO,            WORKER_DEAD },
    [WORKER_IDLE]     = { NO,              NO,          WORKER_BUSY, NO,            NO,
                          NO,              WORKER_LEAVING, NO,            WORKER_DEAD },
    [WORKER_BUSY]     = { NO,              NO,          WORKER_BUSY, WORKER_IDLE,   WORKER_STOPPING,
                          NO,              NO,             NO,            WORKER_DEAD },
    [WORKER_STOPPING] = { NO,              NO,          NO,          WORKER_IDLE,   WORKER_STOPPING,
                          WORKER_BUSY,     NO,             WORKER_KILLED, WORKER_DEAD },
    [WORKER_LEAVING]  = { NO,              NO,          NO,          NO,            NO,
                          NO,              NO,             WORKER_KILLED, WORKER_DEAD },
    [WORKER_KILLED]   = { NO,              NO,          NO,          WORKER_KILLED, WORKER_KILLED,
                          WORKER_KILLED,   NO,             NO,            WORKER_DEAD },
    [WORKER_DEAD]     = { WORKER_STARTING, NO,          NO,          NO,            NO,
                          NO,              NO,             NO,            NO },
};
/* clang-format on */
static const char *const state_names[WORKER_STATES] = {
    "starting", "idle", "busy", "stopping", "leaving", "killed", "dead",
};
static const char *const event_names[WORKER_EVENTS] = {
    "spawn", "ready", "given", "empty", "interrupt", "resume", "leave", "kill", "gone",
};

enum worker_state worker_next(enum worker_state state, enum worker_event event)
{
    return next_state[state][event];
}

const char *worker_state_name(enum worker_state state)
{
    return state_names[state];
}

static bool never_worked(const struct worker *w)
{
    return w->done == 0 && w->deaths == 0;
}

/* Behind all that are idle already. Among workers that never worked, whose processes come up in any order,
 * the lower id comes first: the first calls go to the workers in their order. */
static void idle_add(struct core *core, struct worker *w)
{
    struct worker *other;

    if (never_worked(w))
        DL_FOREACH2(core->idle, other, idle_next) {
            if (never_worked(other) && other->id > w->id) {
                DL_PREPEND_ELEM2(core->idle, other, w, idle_prev, idle_next);
                return;
            }
        }
    DL_APPEND2(core->idle, w, idle_prev, idle_next);
}

bool worker_step(struct core *core, struct worker *w, enum worker_event event, struct actions *out)
{
    enum worker_state next = next_state[w->state][event];

    if (next == NO) {
        action_bug(out, w->id, 0, "refused: event %s for a worker that is %s", event_names[event],
                   state_names[w->state]);
        return false;
    }
    if (next == w->state)
        return true;
    if (w->state == WORKER_IDLE)
        DL_DELETE2(core->idle, w, idle_prev, idle_next);
    if (next == WORKER_IDLE)
        idle_add(core, w);
    heap_remove(&core->timers, &w->timer);
    w->state = next;
    return true;
}

/* -- the pool ------------------------------------------------------------------------------------------ */

/* The place of the first worker whose id is not below. */
static uint32_t place_of(const struct core *core, uint32_t id)
{
    uint32_t low = 0, high = core->n_workers;

    while (low < high) {
        uint32_t mid = low + (high - low) / 2;

        if (core->workers[mid]->id < id)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

struct worker *worker_find(const struct core *core, uint32_t id)
{
    uint32_t i = place_of(core, id);

    return i < core->n_workers && core->workers[i]->id == id ? core->workers[i] : NULL;
}

static uint32_t free_index(const struct core *core)
{
    uint64_t used[WORKERS_MAX / 64] = { 0 };
    uint32_t i = 0;

    for (uint32_t k = 0; k < core->n_workers; k++)
        used[core->workers[k]->index / 64] |= UINT64_C(1) << (core->workers[k]->index % 64);
    while (used[i / 64] >> (i % 64) & 1)
        i++;
    return i;
}

struct worker *worker_new(struct core *core)
{
    struct worker *w = calloc(1, sizeof *w);

    if (!w)
        return NULL;
    w->state = WORKER_DEAD;
    w->free_slots = UINT64_MAX;
    w->backlog.worker = w; /* of kind BACKLOG_WORKER, which is 0 */
    w->index = free_index(core);
    w->id = ++core->last_worker;
    core->workers[core->n_workers++] = w;
    set_join(&core->all, w);
    return w;
}

static void leave_table(struct worker **table, uint32_t *n, const struct worker *w)
{
    uint32_t i = 0;

    while (table[i] != w)
        i++;
    --*n;
    memmove(&table[i], &table[i + 1], (*n - i) * sizeof table[0]);
}

struct worker *worker_free(struct core *core, struct worker *w)
{
    if (!w)
        return NULL;
    if (w->stands_for)
        leave_table(core->stand_ins, &core->n_stand_ins, w);
    else
        leave_table(core->workers, &core->n_workers, w);
    worker_leave_clients(w);
    if (w->state == WORKER_IDLE)
        DL_DELETE2(core->idle, w, idle_prev, idle_next);
    if (core->recycling == w)
        core->recycling = NULL;
    heap_remove(&core->timers, &w->timer);
    heap_deinit(&w->queue.heap);
    heap_deinit(&w->queue.nested);
    backlog_deinit(core, &w->backlog);
    free(w);
    return NULL;
}

void worker_spawn(struct core *core, struct worker *w, struct actions *out)
{
    if (!worker_step(core, w, EV_SPAWN, out))
        return;
    w->outdated = false;
    w->tasks = w->rss_kb = w->fds = 0;
    w->traces = 0;
    action_worker(out, ACT_SPAWN, w->id, 0);
}

void worker_set_timer(struct core *core, struct worker *w, uint64_t at_us)
{
    heap_remove(&core->timers, &w->timer);
    (void)heap_push(&core->timers, &w->timer, at_us); /* has room for all workers */
}

/* -- what it holds --------------------------------------------------------------------------------------- */

/* It has a slot there from now on. */
static void take_slot(struct core *core, struct worker *w, struct task *t)
{
    const uint32_t slot = (uint32_t)__builtin_ctzll(w->free_slots);
    const uint64_t usual_us = task_usual_us(t);

    t->worker = w;
    t->slot = slot;
    t->attempt = t->queued ? t->queued->attempt : 1; /* a call that had begun is never given again */
    t->begun = false;
    t->is_short = usual_us < core->limits.ahead_task_us;
    t->usual_us = t->is_short ? usual_us : 0;
    w->n_long += !t->is_short;
    w->usual_us += t->usual_us;
    w->free_slots &= ~(UINT64_C(1) << slot);
    w->slot_task[slot] = t->id;
}

void worker_book(struct core *core, struct worker *w, struct task *t, struct actions *out)
{
    if (!task_step(core, t, EV_BOOK, out))
        return;
    take_slot(core, w, t);
    DL_APPEND2(w->booked, t, place_prev, place_next);
    w->n_booked++;
    core->n_booked++;
}

void worker_unbook(struct core *core, struct task *t)
{
    struct worker *w = t->worker;

    DL_DELETE2(w->booked, t, place_prev, place_next);
    w->n_booked--;
    w->n_long -= !t->is_short;
    w->usual_us -= t->usual_us;
    w->free_slots |= UINT64_C(1) << t->slot;
    core->n_booked--;
    t->worker = NULL;
}

void worker_give(struct core *core, uint64_t now_us, struct worker *w, struct task *t, struct actions *out)
{
    struct action *act;
    uint32_t slot;

    if (!task_step(core, t, EV_GIVE, out))
        return;
    (void)worker_step(core, w, EV_GIVEN, out);
    take_slot(core, w, t);
    worker_mark(w, t);
    slot = t->slot;
    DL_APPEND2(w->held, t, place_prev, place_next);
    w->n_held++;
    w->slot_serial[slot] = ++w->serial;
    core->n_given++;
    if (w->n_held == 1) {
        core->n_holding++;
        w->oldest = t->id;
        w->since_us = now_us;
        w->late = false;
    } else {
        core->stats.given_ahead++;
        if (core->late_check_us == CORE_NEVER)
            core->late_check_us = now_us + core->limits.ahead_us;
    }

    act = action_add(out, ACT_RUN);
    if (!act)
        return;
    act->worker = w->id;
    act->slot = slot;
    act->task = t->id;
    act->attempt = t->attempt;
    act->uid = t->user->uid;
    act->queued_ms = t->queued ? t->queued->queued_ms : 0;
    act->function = t->function->name;
    act->payload = t->payload ? blob_ref(t->payload) : NULL;
    if (t->batch) {
        act->batch = t->batch->how;
        batch_given(core, t, now_us);
    }
    act->large = (struct core_large){ .args = t->args ? t->args->id : 0, .args_bytes = t->args_bytes,
                                      .room = t->room ? t->room->id : 0, .limit = t->large };
}

void worker_drop(struct core *core, struct task *t)
{
    struct worker *w = t->worker;
    const uint64_t bit = UINT64_C(1) << t->slot;

    if (t->batch)
        batch_dropped(core, t);
    nested_outer_ended(w, t->id);
    DL_DELETE2(w->held, t, place_prev, place_next);
    w->n_held--;
    w->n_long -= !t->is_short;
    w->usual_us -= t->usual_us;
    if (t->state == TASK_RECALLED)
        w->revoked_slots |= bit; /* taken until the worker has passed over it */
    else
        w->free_slots |= bit;
    core->n_given--;
    if (w->n_held == 0)
        core->n_holding--;
    t->worker = NULL;
}

bool worker_skipped(struct worker *w, uint64_t task)
{
    uint64_t left = w->revoked_slots, first = 0;

    /* It may have been given here, taken back, and given again: frames are passed over in order. */
    for (; left; left &= left - 1) {
        const uint32_t slot = (uint32_t)__builtin_ctzll(left);

        if (w->slot_task[slot] != task)
            continue;
        if (!first || w->slot_serial[slot] < w->slot_serial[__builtin_ctzll(first)])
            first = UINT64_C(1) << slot;
    }
    w->revoked_slots &= ~first;
    w->free_slots |= first;
    return first != 0;
}

void worker_forget_slots(struct worker *w)
{
    w->free_slots = UINT64_MAX;
    w->revoked_slots = 0;
    w->oldest = 0;
    w->late = false;
}

struct task *worker_held(const struct worker *w, uint64_t task)
{
    struct task *t;

    DL_FOREACH2(w->held, t, place_next)
        if (t->id == task)
            return t;
    return NULL;
}

void worker_recall(struct core *core, struct task *t, struct actions *out)
{
    struct action *act;

    if (!task_step(core, t, EV_RECALL, out))
        return;
    act = action_add(out, ACT_REVOKE);
    if (!act)
        return;
    act->worker = t->worker->id;
    act->slot = t->slot;
    act->task = t->id;
}

void worker_recall_all(struct core *core, struct worker *w, const struct task *but, struct actions *out)
{
    struct task *t;

    DL_FOREACH2(w->held, t, place_next)
        if (t != but && t->state == TASK_GIVEN && !t->begun)
            worker_recall(core, t, out);
}

static bool has_stopping(const struct worker *w)
{
    struct task *t;

    DL_FOREACH2(w->held, t, place_next)
        if (t->state == TASK_STOPPING)
            return true;
    return false;
}

void worker_settle(struct core *core, uint64_t now_us, struct worker *w, struct actions *out)
{
    const uint64_t oldest = w->held ? w->held->id : 0;

    if (oldest != w->oldest) {
        w->oldest = oldest;
        w->since_us = now_us;
        w->late = false;
    }
    if (w->n_held == 0 && (w->state == WORKER_BUSY || w->state == WORKER_STOPPING))
        (void)worker_step(core, w, EV_EMPTY, out);
    else if (w->state == WORKER_STOPPING && !has_stopping(w))
        (void)worker_step(core, w, EV_RESUME, out);
    if (w->state == WORKER_IDLE && w->leave != LEAVE_NOT && w->n_booked > 0)
        worker_unbook_all(core, w, out);
    if (w->state == WORKER_IDLE && w->leave != LEAVE_NOT && worker_step(core, w, EV_LEAVE, out)) {
        action_worker(out, ACT_STOP, w->id, 0);
        worker_set_timer(core, w, now_us + core->limits.kill_grace_us);
    }
    stand_in_rest(core, now_us, w);
}
