/* SPDX-License-Identifier: MIT */
/*
 * qtask -- the table of its states, and how a queued task comes into the tables and goes.
 *
 * The table by number is a plain list of pointers in rising order, since numbers rise: what has gone leaves a hole,
 * and the list is put together again when half of it is holes. A million tasks cost eight bytes each there, and a
 * page of a list is a piece of it.
 */

#include <errno.h>
#include <string.h>

#include "daemon/core/state.h"

/* clang-format off */
#define NO QT_STATES
enum { HELD = QT_HELD, RECORDING = QT_RECORDING, WAITING = QT_WAITING, QUEUED = QT_QUEUED, GIVEN = QT_GIVEN,
       ENDING = QT_ENDING, ENDED = QT_ENDED };
static const uint8_t next_state[QT_STATES][QTASK_EVENTS] = {
    /*                  HOLD     RECORD   ACCEPT   WAIT     READY    GIVE     BACK     END      SETTLE   RERUN */
    [QT_NEW]       = { HELD,    RECORDING, WAITING, NO,      NO,      NO,      NO,      NO,      NO,      NO },
    [QT_HELD]      = { NO,      RECORDING, WAITING, NO,      NO,      NO,      NO,      NO,      NO,      NO },
    [QT_RECORDING] = { NO,      NO,      WAITING, NO,      NO,      NO,      NO,      NO,      NO,      NO },
    [QT_WAITING]   = { NO,      NO,      NO,      WAITING, QUEUED,  NO,      NO,      ENDING,  NO,      NO },
    [QT_QUEUED]    = { NO,      NO,      NO,      WAITING, QUEUED,  GIVEN,   NO,      ENDING,  NO,      NO },
    [QT_GIVEN]     = { NO,      NO,      NO,      WAITING, NO,      NO,      WAITING, ENDING,  NO,      NO },
    [QT_ENDING]    = { NO,      NO,      NO,      NO,      NO,      NO,      NO,      NO,      ENDED,   NO },
    [QT_ENDED]     = { NO,      NO,      NO,      NO,      NO,      NO,      NO,      NO,      NO,      WAITING },
};
/* clang-format on */
static const char *const state_names[QT_STATES] = {
    "new", "held", "recording", "waiting", "queued", "given", "ending", "ended",
};
static const char *const event_names[QTASK_EVENTS] = {
    "hold", "record", "accept", "wait", "ready", "give", "back", "end", "settle", "rerun",
};

enum qtask_state qtask_next(enum qtask_state state, enum qtask_event event)
{
    return next_state[state][event];
}

const char *qtask_state_name(enum qtask_state state)
{
    return state_names[state];
}

static void leave_held(struct qtask *q)
{
    if (q->x && q->x->module) { /* parts are held by their whole */
        DL_DELETE2(q->x->module->queued_held, q, x->held_prev, x->held_next);
        q->x->module = NULL;
    }
}

/* Out of the place of its state. What is beside it, the watchers and the tables, stays. */
static void leave_place(struct core *core, struct qtask *q)
{
    struct task *t;

    switch ((enum qtask_state)q->state) {
    case QT_HELD:
        leave_held(q);
        break;
    case QT_QUEUED:
        backlog_remove(core, q);
        break;
    case QT_GIVEN:
        t = q->run;
        q->run = NULL;
        q->user->n_given--;
        t->queued = NULL;
        break;
    default:
        break;
    }
}

bool qtask_step(struct core *core, struct qtask *q, enum qtask_event event, struct actions *out)
{
    const enum qtask_state next = next_state[q->state][event];

    if (next == NO) {
        action_bug(out, 0, q->id, "refused: event %s for a queued task that is %s", event_names[event],
                   state_names[q->state]);
        return false;
    }
    leave_place(core, q);
    core->n_qtasks[q->state]--;
    core->n_qtasks[next]++;
    q->state = (uint8_t)next;
    if (q->probe && next != QT_QUEUED && next != QT_GIVEN)
        breaker_leave(core, q);
    return true;
}

/* -- the table by number -------------------------------------------------------------------------------- */

size_t queue_table_at(const struct core *core, uint64_t id)
{
    size_t low = 0, high = core->n_queue_table;

    while (low < high) {
        const size_t middle = low + (high - low) / 2;

        if (core->queue_table[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct qtask *qtask_find(const struct core *core, uint64_t id)
{
    const size_t i = queue_table_at(core, id);

    return i < core->n_queue_table && core->queue_table[i].id == id ? core->queue_table[i].q : NULL;
}

struct qtask *qtask_after(const struct core *core, uint64_t id)
{
    if (id == UINT64_MAX)
        return NULL;
    for (size_t i = queue_table_at(core, id + 1); i < core->n_queue_table; i++)
        if (core->queue_table[i].q)
            return core->queue_table[i].q;
    return NULL;
}

struct qtask *qtask_newest(const struct core *core, const struct user *user, size_t *ret_looks)
{
    *ret_looks = 0;
    for (size_t i = core->n_queue_table; i-- > 0;) {
        struct qtask *q = core->queue_table[i].q;

        ++*ret_looks;
        if (q && q->user == user && qtask_accepted(q))
            return q;
    }
    return NULL;
}

static void close_holes(struct core *core)
{
    size_t n = 0;

    for (size_t i = 0; i < core->n_queue_table; i++)
        if (core->queue_table[i].q)
            core->queue_table[n++] = core->queue_table[i];
    core->n_queue_table = n;
}

int qtask_register(struct core *core, struct qtask *q)
{
    if (core->n_queue_table == core->queue_table_cap) {
        const size_t cap = core->queue_table_cap ? core->queue_table_cap * 2 : 64;
        struct queue_entry *v = realloc(core->queue_table, cap * sizeof *v);

        if (!v)
            return -ENOMEM;
        core->queue_table = v;
        core->queue_table_cap = cap;
    }
    core->queue_table[core->n_queue_table++] = (struct queue_entry){ q->id, q };
    core->n_queue++;
    return 0;
}

static void unregister(struct core *core, const struct qtask *q)
{
    const size_t i = queue_table_at(core, q->id);

    if (i >= core->n_queue_table || core->queue_table[i].q != q)
        return; /* it was never in */
    core->queue_table[i].q = NULL;
    core->n_queue--;
    while (core->n_queue_table > 0 && !core->queue_table[core->n_queue_table - 1].q)
        core->n_queue_table--; /* the number of one that was never accepted is given again */
    if (core->n_queue < core->n_queue_table / 2)
        close_holes(core);
}

/* -- life ------------------------------------------------------------------------------------------------------ */

struct qtask *qtask_new(struct core *core, struct user *user, uint64_t id, struct blob *spec, struct blob *args)
{
    struct qtask *q = calloc(1, sizeof *q);

    if (!q)
        return NULL;
    q->id = id;
    q->user = user;
    q->spec = blob_ref(spec);
    q->args = args ? blob_ref(args) : NULL;
    q->attempts = 1;
    q->durability = TASK_VOLATILE;
    q->queued_ms = core_time_ms(core);
    user->n_queued++;
    user->queue_bytes += spec->n + (args ? args->n : 0);
    core->n_qtasks[QT_NEW]++;
    return q;
}

struct qextra *qtask_extra(struct qtask *q)
{
    if (!q->x)
        q->x = calloc(1, sizeof *q->x);
    return q->x;
}

void qtask_trim(struct qtask *q)
{
    const struct qextra *x = q->x;

    if (!x || x->parent || x->parts || x->met || x->after || x->before || x->watchers || x->expire_us || x->module ||
        x->key)
        return;
    free(q->x);
    q->x = NULL;
}

static void drop_edges(struct qtask *q)
{
    struct qedge *e;

    while (q->x && (e = q->x->after)) {
        DL_DELETE2(q->x->after, e, then_prev, then_next);
        DL_DELETE2(e->first->x->before, e, first_prev, first_next);
        free(e);
    }
    while (q->x && (e = q->x->before)) {
        DL_DELETE2(q->x->before, e, first_prev, first_next);
        DL_DELETE2(e->then->x->after, e, then_prev, then_next);
        free(e);
    }
}

struct qtask *qtask_free(struct core *core, struct qtask *q)
{
    struct user *user;
    struct set *set;

    if (!q)
        return NULL;
    user = q->user;
    user->n_pins++; /* the set may be the last that keeps it; until qtasks_reap() */
    set = q->set;
    leave_place(core, q);
    if (q->probe)
        breaker_leave(core, q);
    core->n_qtasks[q->state]--;
    heap_remove(&core->queue_timers, &q->timer);
    qtask_drop_key(q);
    if (set)
        DL_DELETE(set->queued, q);
    if (q->state == QT_ENDED) {
        qtask_unkeep(q);
    } else {
        user->n_queued--;
        user->queue_bytes -= q->spec->n + (q->args ? q->args->n : 0);
    }
    drop_edges(q);
    watchers_free_task(core, q);
    unregister(core, q);
    q->set = NULL;
    if (set)
        set_release(core, set);
    q->gone = true;
    q->next = core->graveyard;
    core->graveyard = q;
    return NULL;
}

void qtasks_reap(struct core *core)
{
    struct qtask *q;

    while ((q = core->graveyard)) {
        struct user *user = q->user;

        core->graveyard = q->next;
        if (q->state == QT_ENDED || q->state == QT_ENDING)
            qend_free(q->end);
        blob_free(q->spec);
        blob_free(q->args);
        free(q->x);
        free(q);
        user->n_pins--;
        user_release(core, user);
    }
}

struct qtask *qtask_of(const struct core *core, const struct user *user, uint64_t id)
{
    struct qtask *q = qtask_find(core, id);

    return q && q->user == user && qtask_accepted(q) ? q : NULL;
}

void qtask_spec(struct core *core, const struct qtask *q, struct msg_submit *ret)
{
    struct msg_request request;
    struct msg_problem problem;

    if (msg_request_decode(core->decoder, q->spec->data, q->spec->n, &request, &problem) == 0)
        *ret = request.submit;
    else
        *ret = (struct msg_submit){ .function = { "", 0 } }; /* cannot be: it was decoded before */
}

uint32_t qtask_shown(const struct qtask *q)
{
    switch ((enum qtask_state)q->state) {
    case QT_QUEUED:
        return SHOWN_QUEUED;
    case QT_GIVEN:
    case QT_ENDING:
        return SHOWN_RUNNING;
    case QT_ENDED:
        return q->shown;
    default:
        return SHOWN_WAITING;
    }
}

uint64_t core_time_ms(const struct core *core)
{
    return core->clock_ms + core->now_us / 1000;
}

uint64_t core_shown_ms(const struct core *core, uint64_t time_ms)
{
    return time_ms ? time_ms + core->wall_ms - (core->clock_ms + core->wall_at_us / 1000) : 0;
}

void core_clock(struct core *core, uint64_t clock_ms)
{
    core->clock_ms = clock_ms;
}

void core_wall(struct core *core, uint64_t now_us, uint64_t wall_ms)
{
    const int64_t zero_ms = (int64_t)wall_ms - (int64_t)(now_us / 1000), step_ms = zero_ms - core->wall_zero_ms;

    /* set, or the machine has slept; or slewed so far */
    const bool another = core->wall_ms == 0 || step_ms >= WALL_STEP_MS || step_ms <= -WALL_STEP_MS;

    core->now_us = core->wall_at_us = now_us;
    core->wall_ms = wall_ms;
    if (another) {
        core->wall_zero_ms = zero_ms;
        qtasks_clock_set(core);
    }
    if (core->clock_ms == 0)
        core->clock_ms = wall_ms - MIN(wall_ms, now_us / 1000);
}

int core_host(struct core *core, const char *const *names, size_t n)
{
    char **copy = calloc(n + 1, sizeof *copy);

    for (size_t i = 0; copy && i < n; i++) {
        copy[i] = strdup(names[i]);
        if (!copy[i])
            n = 0;
    }
    if (!copy || (n == 0 && names[0])) {
        for (size_t i = 0; copy && copy[i]; i++)
            free(copy[i]);
        free(copy);
        return -ENOMEM;
    }
    core->host_names = copy;
    return 0;
}

void qtasks_deinit(struct core *core)
{
    while (core->n_queue_table > 0) {
        struct qtask *last = core->queue_table[core->n_queue_table - 1].q;

        if (last)
            qtask_free(core, last); /* leaves a hole, or closes all of them */
        else
            core->n_queue_table--;
    }
    sessions_deinit(core);
    for (size_t i = 0; core->host_names && core->host_names[i]; i++)
        free(core->host_names[i]);
    free(core->host_names);
    free(core->queue_table);
    qtasks_reap(core);
    free(core->pending);
    free(core->settled);
    free(core->target_text);
    heap_deinit(&core->queue_timers);
}
