/* SPDX-License-Identifier: MIT */
/*
 * model -- what was promised of each task, told anew and simply: where it is, when it may run, how it may end. It is
 * moved by what the daemon lets others see (answers, events of the clients that watch, what workers are given, rows
 * for the journal), and says at once when that cannot be.
 *
 * Only who a task is (its number) is looked up inside the core, for that may be told to nobody.
 */
#include <string.h>

#include "tests/sim/sim.h"

enum { HASH = 4096, DEAD = 3, LOST = 5 };

static uint32_t heads[HASH], links[TASKS_MAX]; /* by number: index + 1 */
static uint32_t spare;                         /* where to look for a free one */

void model_init(void)
{
    memset(heads, 0, sizeof heads);
    spare = 0;
}

/* -- which is which ------------------------------------------------------------------------------------------- */

struct m_task *model_new(void)
{
    for (uint32_t i = 0; i < TASKS_MAX; i++) {
        struct m_task *t = &sim.tasks[(spare + i) % TASKS_MAX];
        const uint32_t generation = t->generation + 1;

        if (t->place != FREE)
            continue;
        spare = (spare + i + 1) % TASKS_MAX;
        *t = (struct m_task){ .place = ASKED, .generation = generation, .at = sim.n_live, .strict = true };
        sim.live[sim.n_live++] = t;
        return t;
    }
    return NULL;
}

static uint32_t index_of(const struct m_task *t)
{
    return (uint32_t)(t - sim.tasks);
}

static void unlink_id(const struct m_task *t)
{
    uint32_t *p = &heads[t->id % HASH];

    while (*p != index_of(t) + 1)
        p = &links[*p - 1];
    *p = links[index_of(t)];
}

static void set_id(struct m_task *t, uint64_t id)
{
    t->id = id;
    links[index_of(t)] = heads[id % HASH];
    heads[id % HASH] = index_of(t) + 1;
}

void model_free(struct m_task *t)
{
    if (t->place == GIVEN && t->booked)
        sim.booked[t->worker]--;
    if (t->id)
        unlink_id(t);
    t->place = FREE;
    t->id = 0;
    t->generation++;
    sim.live[t->at] = sim.live[--sim.n_live];
    sim.live[t->at]->at = t->at;
}

struct m_task *model_find(uint64_t id)
{
    for (uint32_t i = heads[id % HASH]; i; i = links[i - 1])
        if (sim.tasks[i - 1].id == id)
            return &sim.tasks[i - 1];
    return NULL;
}

struct m_task *model_by_args(const struct blob *args)
{
    uint32_t v[2];
    struct m_task *t;

    if (!args || args->n != sizeof v)
        return NULL;
    memcpy(v, args->data, sizeof v);
    t = v[0] < TASKS_MAX ? &sim.tasks[v[0]] : NULL;
    return t && t->place != FREE && t->generation == v[1] ? t : NULL;
}

static void make_parts(const struct m_task *whole)
{
    uint32_t worker = 0;

    for (uint32_t i = 1; i <= whole->parts; i++) {
        struct m_task *t = model_new();
        const uint32_t at = t->at, generation = t->generation;

        *t = *whole;
        t->at = at;
        t->generation = generation;
        t->parts = 0;
        t->whole = whole->id;
        do
            worker++;
        while (!(workers_there() & bit(worker)));
        t->workers = (uint32_t)bit(worker);
        t->key = KEYS;
        set_id(t, whole->id + i);
    }
}

/* No other has its key. */
static void check_key(const struct m_task *t)
{
    for (uint32_t i = sim.n_live; t->key < KEYS && i-- > 0;) {
        struct m_task *u = sim.live[i];

        if (u == t || !u->id || u->user != t->user || u->key != t->key)
            continue;
        SIM_CHECK(!core_knows_queued(sim.core, u->id), "I6", "task %lu is taken, though %lu has its key", t->id, u->id);
    }
}

/* From now on its delay runs; or it starts at a time of day, as that is now: then it may be a millisecond late. */
void model_delays(struct m_task *t, uint64_t delay_us)
{
    const uint64_t when = clock_when(t->at_ms);

    t->ready_us = t->surely_us = sim.now + delay_us;
    if (t->at_ms && when > sim.now) {
        t->ready_us = when;
        t->surely_us = when + 1000;
    }
}

static void known(struct m_task *t, uint64_t id, uint32_t parts)
{
    set_id(t, id);
    check_key(t);
    t->known_us = sim.now;
    model_delays(t, t->delay_us);
    t->expire_us = t->expire_in_us ? sim.now + t->expire_in_us : 0;
    t->parts = parts;
    for (uint32_t i = 0; i < t->n_after; i++) {
        const struct m_task *first = model_find(t->after[i]);

        if (first && first->place == ENDED && (first->shown == SHOWN_DONE || t->after_any))
            t->met |= (uint32_t)bit(i);
    }
    make_parts(t);
}

void model_discover(void)
{
    for (; sim.seen < sim.core->next_task; sim.seen++) {
        const struct qtask *q = qtask_find(sim.core, sim.seen);
        struct m_task *t;

        if (!q || (q->x && q->x->parent))
            continue;
        t = model_by_args(q->args);
        SIM_CHECK(t && !t->id, "I2", "task %lu was submitted by nobody", q->id);
        known(t, q->id, q->x ? q->x->parts : 0);
    }
}

/* -- what is so ---------------------------------------------------------------------------------------------------- */

uint32_t model_in_queue(uint32_t user)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < sim.n_live; i++)
        n += sim.live[i]->user == user && sim.live[i]->id && sim.live[i]->place != ENDED;
    return n;
}

bool model_paused(const struct m_task *t)
{
    return sim.pauses[t->user][TAGS].on || (t->tag < TAGS && sim.pauses[t->user][t->tag].on);
}

bool model_late(const struct m_task *t)
{
    return t->place == GIVEN && !t->booked && t->deadline_us && t->given_us + t->deadline_us <= sim.now;
}

bool model_journaled(const struct m_task *t)
{
    return t->durability >= TASK_CRASHSAFE;
}

static bool all_met(const struct m_task *t)
{
    return t->met == bit(t->n_after) - 1;
}

bool model_ready(const struct m_task *t)
{
    if (sim.storage_failed && model_journaled(t))
        return false; /* nobody sees whether a worker has it */
    if (sim.ending)
        return false;
    if (t->by_set && !sim.sets[t->user])
        return false;
    return t->place == WAITING && t->strict && sim.loaded && !sim.habits.breaker && t->parts == 0 && !t->hold &&
           !t->must_leave && t->surely_us <= sim.now && all_met(t) && !model_paused(t);
}

/* -- on its way -----------------------------------------------------------------------------------------------------
 */

/* A worker takes it. */
static void decide(struct m_task *t, uint32_t worker)
{
    SIM_CHECK(t->place == WAITING && t->parts == 0, "I4", "task %lu is given, and is in place %d", t->id, t->place);
    SIM_CHECK(!t->must_leave, "I5", "task %lu has to end, and is given", t->id);
    SIM_CHECK(!sim.ending, "end", "task %lu is given, and the daemon is about to end", t->id);
    SIM_CHECK(model_serves(t, worker), "target", "task %lu is given to worker %u", t->id, worker);
    SIM_CHECK(t->ready_us <= sim.now, "time", "task %lu is given %lu us early", t->id, t->ready_us - sim.now);
    SIM_CHECK(!t->hold, "hold", "task %lu is on hold, and is given", t->id);
    SIM_CHECK(!model_paused(t), "pause", "task %lu is paused, and is given", t->id);
    SIM_CHECK(all_met(t) || !t->strict, "after", "task %lu is given before those it is to come after", t->id);
    SIM_CHECK(t->attempt < t->attempts, "I3", "task %lu is begun more than %u times", t->id, t->attempts);
    SIM_CHECK(t->durability != TASK_DURABLE || t->idempotent || !t->ran, "I3", "task %lu runs again", t->id);
    for (uint32_t i = 0; i < sim.n_live; i++) {
        const struct m_task *u = sim.live[i];

        if (u == t || u->user != t->user || u->priority > t->priority || !model_ready(u) || !model_serves(u, worker))
            continue;
        SIM_CHECK(u->priority == t->priority, "order", "task %lu is given before %lu, which is more urgent", t->id,
                  u->id);
        SIM_CHECK(u->source != t->source || u->id > t->id || u->moved || t->moved, "order",
                  "task %lu is given before %lu, which came first", t->id, u->id);
    }
    t->place = GIVEN;
    t->worker = worker;
    t->attempt++;
    t->given_us = sim.now;
    t->stop = 0;
    t->finished = false;
    t->may = 0;
}

void model_waits(struct m_task *t)
{
    if (t->booked)
        sim.booked[t->worker]--;
    t->booked = t->running = t->must_leave = t->may_retry = false;
    t->place = WAITING;
    t->may = 0;
    t->stop = 0;
}

/* Half of it to one and a half is waited for. */
uint64_t model_backoff(const struct m_task *t)
{
    uint64_t us = t->backoff_us;

    for (uint32_t i = 1; i < t->attempt; i++)
        us *= 2;
    return us;
}

static void retried(struct m_task *t)
{
    const uint64_t us = model_backoff(t);

    if (t->place != GIVEN)
        return; /* its row has told */
    SIM_CHECK(t->must_leave && t->may_retry, "I3", "task %lu is tried again, and may not be", t->id);
    model_waits(t);
    t->ready_us = sim.now + us / 2;
    t->surely_us = sim.now + us / 2 + us;
    sim.count.retried++;
}

void model_back(struct m_task *t, bool lost)
{
    if (t->stop || model_late(t)) {
        model_attempt_over(t, PTOOLS_ERR_CANCELLED);
        return;
    }
    t->attempt--;
    t->ran = false;
    model_waits(t);
    if (lost && ++t->losses >= LOST) {
        t->may = (uint32_t)bit(SHOWN_FAILED);
        t->must_leave = true;
    }
}

static bool counts(const struct m_task *t, ptools_err code)
{
    if (t->attempt >= t->attempts || (t->stop & STOP_ASKED))
        return false;
    if (code == PTOOLS_ERR_WORKER_DIED)
        return t->idempotent && (t->retry_on & RETRY_DIED);
    if (code == PTOOLS_ERR_DEADLINE)
        return t->retry_on & RETRY_TIMEOUT;
    return code == PTOOLS_ERR_FAILED && (t->retry_on & RETRY_FAILED);
}

/* It was to stop: whatever came of it. */
static void stopped(struct m_task *t, bool late)
{
    const bool asked = t->stop & STOP_ASKED, ending = t->stop & STOP_ENDING;

    t->may = (uint32_t)((late ? bit(SHOWN_TIMEOUT) : 0) | (asked ? bit(SHOWN_CANCELLED) : 0) |
                        (ending ? bit(SHOWN_LOST) : 0));
    if (ending && !asked) { /* for the next daemon; if it was late before that, as any that is late */
        t->may_retry = (model_journaled(t) && t->idempotent && t->attempt < t->attempts) ||
                       (late && counts(t, PTOOLS_ERR_DEADLINE));
        t->may = t->may_retry && !late ? 0 : t->may;
    } else if (late && counts(t, PTOOLS_ERR_DEADLINE)) {
        t->may_retry = true;
        t->may = 0;
    }
}

void model_drains(bool hurry)
{
    sim.ending = true;
    calls_drain(hurry);
    servers_drain(hurry);
    for (uint32_t i = 0; i < sim.n_live; i++) {
        struct m_task *t = sim.live[i];

        if (t->place == WAITING && !model_journaled(t)) {
            t->may |= (uint32_t)bit(SHOWN_CANCELLED);
            t->must_leave = true;
        } else if (t->place == GIVEN && !t->booked && hurry) {
            t->stop |= STOP_ENDING;
        }
    }
}

void model_attempt_over(struct m_task *t, ptools_err code)
{
    const bool late = model_late(t);

    SIM_CHECK(t->place == GIVEN, "I4", "task %lu is not with a worker", t->id);
    t->must_leave = true;
    t->may_retry = false;
    t->may = 0;
    t->running = false;
    if (late || t->stop) {
        stopped(t, late);
    } else if (code == PTOOLS_OK) {
        t->finished = true;
        t->may = (uint32_t)bit(SHOWN_DONE);
    } else if ((code == PTOOLS_ERR_WORKER_DIED || code == PTOOLS_ERR_OUT_OF_MEMORY) && ++t->kills >= DEAD) {
        t->may = (uint32_t)bit(SHOWN_DEAD);
    } else {
        t->may_retry = counts(t, code);
        t->may = t->may_retry ? 0 : (uint32_t)bit(SHOWN_FAILED);
    }
}

void model_cancel(struct m_task *t)
{
    sim.count.cancelled++;
    for (uint32_t i = 1; i <= t->parts; i++) {
        struct m_task *part = model_find(t->id + i);

        if (part && (part->place == WAITING || part->place == GIVEN))
            model_cancel(part);
    }
    if (t->parts > 0)
        return;
    t->stop |= STOP_ASKED;
    t->may |= (uint32_t)bit(SHOWN_CANCELLED);
    if (t->place == WAITING || t->booked) {
        t->must_leave = true;
        t->may_retry = false;
    }
}

void model_again(struct m_task *t)
{
    t->place = WAITING;
    t->attempt = t->kills = t->losses = 0;
    t->ready_us = t->surely_us = sim.now;
    t->expire_us = 0;
    t->hold = t->read = t->ran = t->doomed = t->must_leave = false;
    t->met = (uint32_t)(bit(t->n_after) - 1);
    t->shown = t->told = t->may = t->stop = 0;
}

/* -- the end
 * ----------------------------------------------------------------------------------------------------------- */

static bool parts_left(const struct m_task *whole)
{
    for (uint32_t i = 1; i <= whole->parts; i++) {
        const struct m_task *part = model_find(whole->id + i);

        if (part && part->place != ENDED)
            return true;
    }
    return false;
}

static bool may_end(const struct m_task *t, uint32_t shown)
{
    if (t->parts > 0)
        return !parts_left(t) || (sim.ending && !model_journaled(t));
    if (shown == SHOWN_EXPIRED)
        return t->place == WAITING && t->attempt == 0 && t->expire_us && t->expire_us <= sim.now + t->slack_us;
    if (shown == SHOWN_FAILED && t->place == WAITING && !t->wait_target && model_target_gone(t))
        return true;
    return (t->may & bit(shown)) || (shown == SHOWN_CANCELLED && t->cascades && t->place == WAITING);
}

/* It is fixed how it ends. */
static void ends(struct m_task *t, uint32_t shown)
{
    SIM_CHECK(t->place == WAITING || t->place == GIVEN, "I5", "task %lu, in place %d, ends as %s", t->id, t->place,
              task_shown_name(shown));
    SIM_CHECK(may_end(t, shown), "I5", "task %lu ends as %s, which it cannot be (it may: %x)", t->id,
              task_shown_name(shown), t->may);
    if (t->booked)
        sim.booked[t->worker]--;
    t->booked = t->running = t->must_leave = false;
    t->place = ENDING;
    t->shown = shown;
    t->go_us = sim.now + t->keep_us;
    sim.count.done += shown == SHOWN_DONE;
}

/* Those that are to come after it. */
static void follow(const struct m_task *first)
{
    for (uint32_t i = 0; i < sim.n_live; i++) {
        struct m_task *t = sim.live[i];

        for (uint32_t k = 0; k < t->n_after && (t->place == ASKED || t->place == WAITING); k++) {
            if (t->after[k] != first->id || (t->met & bit(k)))
                continue;
            if (first->shown == SHOWN_DONE || t->after_any) {
                t->met |= (uint32_t)bit(k);
                continue;
            }
            t->doomed = true;
            t->may |= (uint32_t)bit(SHOWN_CANCELLED);
            t->must_leave |= t->place == WAITING;
        }
    }
}

static void ended(struct m_task *t, uint32_t shown)
{
    if (t->place == WAITING || t->place == GIVEN)
        ends(t, shown);
    SIM_CHECK(t->place == ENDING, "I5", "task %lu, in place %d, is told to have ended", t->id, t->place);
    SIM_CHECK(t->shown == shown, "I5", "task %lu is %s, and told to be %s", t->id, task_shown_name(t->shown),
              task_shown_name(shown));
    SIM_CHECK(!model_journaled(t) || t->row <= journal_told(), "I1",
              "task %lu is told to be %s before that is recorded", t->id, task_shown_name(shown));
    t->place = ENDED;
    follow(t);
}

void model_told(uint64_t task, uint32_t shown)
{
    struct m_task *t = model_find(task);

    SIM_CHECK(t, "I2", "task %lu has an end, and is not known", task);
    SIM_CHECK(t->place == ENDED && t->shown == shown, "I5", "task %lu is told to be %s", task, task_shown_name(shown));
    t->told = shown;
    t->read = true;
}

/* -- what is seen
 * ------------------------------------------------------------------------------------------------------ */

static void accepted(struct m_task *t)
{
    const struct m_task *whole = t->whole ? model_find(t->whole) : NULL;

    t->place = WAITING;
    if (t->doomed) {
        t->doomed = false;
        for (uint32_t i = 0; i < t->n_after; i++) {
            const struct m_task *first = model_find(t->after[i]);

            if ((t->met & bit(i)) || t->after_any)
                continue;
            t->strict &= first != NULL; /* forgotten meanwhile, or run anew */
            t->doomed |= first && first->place == ENDED && first->shown != SHOWN_DONE;
        }
    }
    for (uint32_t i = 0; i < t->n_after; i++) {
        const struct m_task *first = model_find(t->after[i]);

        if (!(t->met & bit(i)) && !t->after_any && first && first->place == ENDED && first->shown != SHOWN_DONE)
            t->doomed = true;
    }
    if (t->doomed)
        t->may |= (uint32_t)bit(SHOWN_CANCELLED);
    t->cascades = !t->strict;
    t->must_leave |= t->doomed;
    if (t->cancel_it || (whole && whole->cancel_it))
        model_cancel(t);
}

void model_row(const struct core_row *row)
{
    struct m_task *t = model_find(row->task);

    SIM_CHECK(row->number == ++sim.rows, "journal", "row %lu comes after %lu", row->number, sim.rows - 1);
    if (row->kind == ROW_PAUSE || row->kind == ROW_RESUME)
        return;
    SIM_CHECK(t, "I2", "row %lu is of task %lu, which is not known", row->number, row->task);
    t->row = row->number;
    if (row->kind == ROW_NEW) {
        t->new_row = row->number;
    } else if (row->kind == ROW_FORGET) {
        SIM_CHECK(t->place == ENDED && model_may_go(t), "I1", "task %lu, in place %d, is forgotten", t->id, t->place);
        t->forgotten = true;
    } else if (task_shown_ended(row->life.state)) {
        if (t->place != ENDED)
            ends(t, row->life.state);
    } else if (row->life.state == SHOWN_RUNNING) {
        if (t->place != WAITING)
            return; /* that it is to be stopped */
        decide(t, row->life.worker);
        t->booked = true;
        sim.booked[t->worker]++;
    } else if (t->place == GIVEN && t->booked && !t->must_leave) {
        t->attempt--; /* it is not given after all */
        model_waits(t);
    } else if (t->place == GIVEN) {
        retried(t);
    }
}

void model_run(const struct action *a)
{
    struct m_task *t = model_find(a->task);

    SIM_CHECK(t, "I2", "task %lu runs, and is not known", a->task);
    SIM_CHECK(t == (t->whole ? t : model_by_args(a->payload)), "I2", "task %lu runs with other arguments", a->task);
    if (!model_journaled(t)) {
        decide(t, a->worker);
        return;
    }
    SIM_CHECK(t->place == GIVEN && t->booked && t->worker == a->worker, "I4", "task %lu runs, and was not booked",
              t->id);
    SIM_CHECK(t->row <= journal_told(), "I1", "task %lu runs, and nobody will know it", t->id);
    t->booked = false;
    sim.booked[t->worker]--;
    t->given_us = sim.now;
    t->ran = true;
}

void model_event(const struct m_client *c, const struct msg_event *e)
{
    struct m_task *t = model_find(e->task);

    if (!t && !core_knows_queued(sim.core, e->task)) {
        sim.fleeting = e->task; /* it came, ended and made room in one event */
        return;
    }
    SIM_CHECK(t && t->user == c->user, "I2", "an event is of task %lu, which is not known", e->task);
    switch (e->event) {
    case EVENT_QUEUED:
        if (sim.storage_failed && model_journaled(t) && t->place == GIVEN)
            return; /* a worker does not get it after all, and no row tells that */
        SIM_CHECK(t->place == ASKED || t->place == WAITING, "I4", "task %lu, in place %d, is queued", t->id, t->place);
        SIM_CHECK(!model_journaled(t) || t->new_row <= journal_told(), "I1",
                  "task %lu is accepted before it is recorded", t->id);
        if (t->place == ASKED)
            accepted(t);
        return;
    case EVENT_STARTED:
        SIM_CHECK(t->place == GIVEN && !t->booked, "I4", "task %lu, in place %d, is started", t->id, t->place);
        return;
    case EVENT_RETRY:
        retried(t);
        return;
    case EVENT_ENDED:
        ended(t, e->state);
        return;
    default:
        return;
    }
}
