/* SPDX-License-Identifier: MIT */
/*
 * qtask_run -- from waiting to a worker, and what follows an attempt.
 *
 * qtask_place() is the one who decides where a task that is not at a worker belongs: in a backlog, if nothing is in
 * its way; else it waits, with a timer if time is (part of) what it waits for. It is called whenever something that
 * may be in the way has changed. A task that stands still for a thing that may come (a worker, a set, a module) is
 * looked at again when one comes: that is rare, and then all that wait are looked at.
 *
 * Of a task that is journaled the attempt is written before its worker gets it: it is booked at the worker, and given
 * when the row is there. So whatever dies, it is known that it may have begun.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "daemon/core/state.h"

enum { LOSSES_MAX = 5, BACKOFF_MS = 500, BACKOFF_MAX_MS = 60000, LATER_US = 1000000 };

bool qtask_serves(const struct core *core, const struct qtask *q, const struct worker *w)
{
    (void)core;
    if (q->only_worker)
        return w->id == q->only_worker;
    return !q->set || set_has(q->set, w);
}

/* -- where it belongs --------------------------------------------------------------------------------- */

static void set_timer(struct core *core, struct qtask *q, uint64_t at_us)
{
    const uint64_t expire_us = q->x && q->x->expire_us && q->attempt == 0 ? q->x->expire_us : CORE_NEVER;

    at_us = MIN(at_us, expire_us);
    if (heap_holds(&q->timer)) {
        if (heap_key(&core->queue_timers, &q->timer) == at_us)
            return;
        heap_remove(&core->queue_timers, &q->timer);
    }
    if (at_us != CORE_NEVER)
        (void)heap_push(&core->queue_timers, &q->timer, at_us); /* qtask_place() has made room */
}

static bool has_function(struct core *core, struct qtask *q, uint64_t *ret_again_us, struct actions *out)
{
    struct text module, function;
    struct msg_submit spec;
    struct module *m;

    if (q->function && function_usable(q->function))
        return true;
    if (q->function) {
        m = q->function->module;
    } else {
        qtask_spec(core, q, &spec);
        qtask_learn_function(q, function_find(core, spec.function.data, spec.function.n), &spec);
        if (q->function && function_usable(q->function))
            return true;
        if (!name_split(spec.function.data, spec.function.n, &module, &function))
            return false;
        m = module_find(core, module.data, module.n);
        if (!m && module_new(core, module.data, module.n, &m) != 0) {
            *ret_again_us = core->now_us + LATER_US;
            return false;
        }
    }
    if (m->state == MODULE_LOADED) {
        *ret_again_us = core->now_us + core->limits.backoff_max_us; /* the module may be replaced by a better one */
        return false;
    }
    if (m->state == MODULE_BROKEN && core->now_us < m->retry_at_us)
        *ret_again_us = m->retry_at_us;
    else if (m->state == MODULE_MISSING && core->now_us < m->look_again_us)
        *ret_again_us = m->look_again_us;
    else
        module_ask(core, m, out); /* its tasks are looked at when it is known */
    return false;
}

/* The backlog it is for; NULL: there is none now. */
static struct backlog *find_backlog(struct core *core, struct qtask *q)
{
    struct worker *w;

    if (q->only_worker) {
        w = worker_find(core, q->only_worker);
        return w && w->leave != LEAVE_REMOVED ? &w->backlog : NULL;
    }
    if (q->host)
        return &core->host_backlog;
    if (!q->in_set)
        return &core->all.backlog;
    if (!q->set || q->set->n == 0)
        return NULL;
    if (q->set->mode == SET_RR)
        return &set_next(q->set)->backlog;
    return &q->set->backlog;
}

/* Its target is not there: is it waited for, or will any worker do, or is that the end? */
static struct backlog *without_target(struct core *core, struct qtask *q, struct actions *out)
{
    struct msg_submit spec;

    qtask_spec(core, q, &spec);
    if (spec.any_target)
        return &core->all.backlog;
    if (spec.wait_target || q->recovered)
        return NULL;
    if (q->only_worker)
        qtask_end_text(core, q, SHOWN_FAILED, PTOOLS_ERR_NO_WORKER, out,
                       "worker %" PRIu32 " was removed before it began the task", q->only_worker);
    else
        qtask_end_text(core, q, SHOWN_FAILED, PTOOLS_ERR_NO_SET, out,
                       "the worker set was destroyed, or lost its last worker, before one began the task");
    return NULL;
}

int qtask_reserve(struct core *core, struct qtask *q)
{
    /* of a set that goes round, the next to look for it is who it is for */
    struct backlog *b = q->set && q->set->mode == SET_RR ? NULL : find_backlog(core, q);

    if (heap_reserve(&core->queue_timers, core->n_queue + 1) < 0)
        return -ENOMEM;
    return b ? backlog_reserve(core, b, q->user) : 0;
}

static bool waits_for_tasks(const struct qtask *q)
{
    return q->x && (q->x->after || q->x->parts > 0);
}

/* Its set had gone, or was not there: it may have come while the task could not have used it. 0 or -ENOMEM. */
static int look_for_set(struct core *core, struct qtask *q)
{
    struct msg_submit spec;

    if (!q->in_set || q->set)
        return 0;
    qtask_spec(core, q, &spec);
    return qtask_find_set(core, q, &spec);
}

void qtask_place(struct core *core, struct qtask *q, struct actions *out)
{
    uint64_t again_us = CORE_NEVER;
    struct backlog *b = NULL;

    if (heap_reserve(&core->queue_timers, core->n_queue + 1) < 0) {
        out->no_memory = true;
        return;
    }
    if (q->due_us > core->now_us)
        again_us = q->due_us;
    else if (!q->hold && !waits_for_tasks(q) && !qtask_paused(core, q) && !core->draining &&
             has_function(core, q, &again_us, out)) {
        if (look_for_set(core, q) < 0) { /* it would end for lack of a set */
            out->no_memory = true;
            return;
        }
        b = find_backlog(core, q);
        if (!b)
            b = without_target(core, q, out);
        if (q->state == QT_ENDING || q->state == QT_ENDED)
            return;
    }
    set_timer(core, q, again_us);
    if (b) {
        struct backlog *barred = breaker_bars(core, q, true);

        b = barred ? barred : b;
    }
    if (!b) {
        (void)qtask_step(core, q, QE_WAIT, out);
        q->announced = false; /* when it is ready, that is news */
        return;
    }
    q->due_us = 0;
    if (!qtask_step(core, q, QE_READY, out))
        return;
    if (!q->announced)
        event_emit(core, q, EVENT_QUEUED, PTOOLS_OK, out);
    q->announced = true;
    if (backlog_add(core, b, q) < 0) {
        q->state = QT_WAITING; /* as if it had not become ready: it is in no backlog */
        core->n_qtasks[QT_QUEUED]--;
        core->n_qtasks[QT_WAITING]++;
        out->no_memory = true;
    }
}

/* Those that wait for more than time are looked at anew. */
void qtasks_place_parked(struct core *core, struct actions *out)
{
    if (core->n_qtasks[QT_WAITING] == 0)
        return;
    for (struct qtask *q = qtask_after(core, 0); q; q = qtask_after(core, q->id)) {
        if (q->gone || q->state != QT_WAITING || q->due_us > core->now_us)
            continue;
        qtask_place(core, q, out);
    }
}

static bool names_one_from(const struct msg_submit *spec, uint32_t first)
{
    for (uint32_t i = 0; i < spec->n_workers; i++)
        if (spec->workers[i] >= first)
            return true;
    return false;
}

void qtasks_follow_workers(struct core *core, uint32_t first, struct actions *out)
{
    for (struct qtask *q = qtask_after(core, 0); q; q = qtask_after(core, q->id)) {
        struct msg_submit spec;
        bool waits;

        if (!q->set || !q->set->hidden || q->state >= QT_ENDING)
            continue;
        qtask_spec(core, q, &spec);
        if (!names_one_from(&spec, first))
            continue;
        waits = q->state == QT_WAITING || q->state == QT_QUEUED; /* else it finds its set when it does */
        if (waits && !qtask_step(core, q, QE_WAIT, out))
            continue;
        qtask_leave_set(core, q);
        if (qtask_find_set(core, q, &spec) < 0)
            out->no_memory = true;
        else if (waits)
            qtask_place(core, q, out); /* perhaps without a set, for all that are there are being removed */
    }
}

void backlog_dissolve(struct core *core, struct backlog *b, struct actions *out)
{
    while (b->n > 0) {
        struct lane *lane = b->lanes;
        struct qtask *q;

        while (lane->heap.n == 0)
            lane = lane->next;
        q = CONTAINER_OF(lane->heap.v[0].node, struct qtask, wait_node);
        if (!qtask_step(core, q, QE_WAIT, out))
            return;
        qtask_place(core, q, out);
    }
}

void set_lose_queued(struct core *core, struct set *s, struct actions *out)
{
    struct qtask *q;

    while ((q = s->queued)) {
        DL_DELETE(s->queued, q);
        q->set = NULL;
        if (q->state == QT_QUEUED && qtask_step(core, q, QE_WAIT, out))
            qtask_place(core, q, out);
    }
}

void set_redeal_queued(struct core *core, struct set *s, struct actions *out)
{
    AUTO_MEM uint64_t *ids = NULL;
    struct qtask *q;
    size_t n = 0;

    DL_FOREACH(s->queued, q)
        n++;
    if (n == 0)
        return;
    ids = calloc(n, sizeof *ids);
    if (!ids) {
        out->no_memory = true;
        return;
    }
    n = 0;
    DL_FOREACH(s->queued, q)
        ids[n++] = q->id;
    for (size_t i = 0; i < n; i++) { /* the end of one may be the end of others */
        q = qtask_find(core, ids[i]);
        if (q && (q->state == QT_QUEUED || q->state == QT_WAITING) && qtask_step(core, q, QE_WAIT, out))
            qtask_place(core, q, out);
    }
}

/* -- to a worker, and back ----------------------------------------------------------------------------- */

/* What an attempt has of it: its deadline begins to run, and its grace is known. */
static void start_times(struct core *core, struct qtask *q, struct task *t)
{
    struct msg_submit spec;

    if (!q->has_times)
        return;
    qtask_spec(core, q, &spec);
    t->deadline_ms = spec.deadline_ms;
    if (spec.grace_ms)
        t->grace_us = spec.grace_ms * 1000;
    if (spec.deadline_ms && !heap_holds(&t->deadline_node))
        (void)heap_push(&core->deadlines, &t->deadline_node, core->now_us + spec.deadline_ms * 1000);
}

void qtask_give(struct core *core, struct worker *w, struct qtask *q, struct actions *out)
{
    struct task *t = task_new_attempt(core, q);

    if (!t || heap_reserve(&core->deadlines, core->deadlines.n + core->n_booked + 2) < 0 ||
        !qtask_step(core, q, QE_GIVE, out)) {
        if (t) {
            t->queued = NULL;
            core->stats.submitted--;
            task_free(core, t);
        }
        out->no_memory = true;
        return;
    }
    q->run = t;
    q->user->n_given++;
    q->user->last_served = ++core->served;
    turn_reached(q, w);
    q->attempt++;
    q->worker = w->id;
    q->started_ms = core_time_ms(core);
    q->stopping = false;
    heap_remove(&core->queue_timers, &q->timer); /* it has begun: it does not expire any more */
    if (qtask_journaled(q)) {
        worker_book(core, w, t, out);
        record_life(core, q, q->durability == TASK_DURABLE && !q->idempotent, PENDING_GIVE, out);
        t->row = core->row_number;
        return;
    }
    start_times(core, q, t);
    worker_give(core, core->now_us, w, t, out);
    event_emit(core, q, EVENT_STARTED, PTOOLS_OK, out);
}

/* The row of its attempt is written. */
void qtask_give_booked(struct core *core, uint64_t number, uint64_t task, struct actions *out)
{
    struct task *t = task_find(core, task);
    struct worker *w;

    if (!t || t->state != TASK_BOOKED || t->row != number)
        return; /* it was taken back meanwhile */
    w = t->worker;
    if ((w->state != WORKER_IDLE && w->state != WORKER_BUSY) || w->leave != LEAVE_NOT) {
        task_attempt_back(core, t, false, out);
        return;
    }
    start_times(core, t->queued, t);
    worker_give(core, core->now_us, w, t, out);
    event_emit(core, t->queued, EVENT_STARTED, PTOOLS_OK, out);
}

void worker_unbook_all(struct core *core, struct worker *w, struct actions *out)
{
    while (w->booked)
        task_attempt_back(core, w->booked, false, out);
}

void qtask_back(struct core *core, struct qtask *q, bool lost, struct actions *out)
{
    q->attempt--; /* it did not begin */
    if (lost && ++q->losses >= LOSSES_MAX) {
        qtask_end_text(core, q, SHOWN_FAILED, PTOOLS_ERR_WORKER_DIED, out,
                       "%d workers ended after they were given the task and before they began it", LOSSES_MAX);
        return;
    }
    if (!qtask_step(core, q, QE_BACK, out))
        return;
    if (qtask_journaled(q))
        record_life(core, q, false, PENDING_NOTHING, out);
    qtask_place(core, q, out);
}

/* -- what follows an attempt ---------------------------------------------------------------------------- */

void qtask_attempt_done(struct core *core, struct qtask *q, const struct core_value *value,
                        const struct msg_failure *took, struct actions *out)
{
    const struct msg_failure done = { .code = PTOOLS_OK,
                                      .run_us = took->run_us,
                                      .cpu_us = took->cpu_us,
                                      .peak_bytes = took->peak_bytes,
                                      .log = took->log };
    const uint64_t bytes = value->blob ? value->blob->n : 0;
    struct msg_submit spec;
    uint64_t max = core->limits.result_max;

    breaker_lived(core, q, out);
    if (q->has_result_max) {
        qtask_spec(core, q, &spec);
        max = spec.result_max;
    }
    if (bytes > max) {
        char text[160];
        struct msg_failure f = { .code = PTOOLS_ERR_TOO_LARGE,
                                 .task = q->id,
                                 .worker = q->worker,
                                 .attempt = q->attempt,
                                 .maybe_executed = true,
                                 .run_us = took->run_us,
                                 .cpu_us = took->cpu_us,
                                 .peak_bytes = took->peak_bytes,
                                 .log = took->log };

        f.message.n = (size_t)snprintf(text, sizeof text,
                                       "the value has %" PRIu64 " bytes, and at most %" PRIu64 " are kept (result_max)",
                                       bytes, max);
        f.message.data = text;
        qtask_end(core, q, SHOWN_FAILED, &f, NULL, out);
        return;
    }
    qtask_end(core, q, SHOWN_DONE, &done, value->blob, out);
}

static bool counts_for_retry(const struct qtask *q, const struct msg_failure *f)
{
    if (q->attempt >= q->attempts)
        return false;
    switch (f->code) {
    case PTOOLS_ERR_WORKER_DIED:
        return q->idempotent && (q->retry_on & RETRY_DIED);
    case PTOOLS_ERR_DEADLINE:
        return q->retry_on & RETRY_TIMEOUT;
    case PTOOLS_ERR_NO_MODULE:
    case PTOOLS_ERR_MODULE_BROKEN:
    case PTOOLS_ERR_NO_FUNCTION:
    case PTOOLS_ERR_BAD_ARGUMENT:
    case PTOOLS_ERR_OUT_OF_MEMORY: /* the next attempt would need as much */
    case PTOOLS_ERR_CANCELLED:
        return false;
    default:
        return q->retry_on & RETRY_FAILED;
    }
}

/* Half to one and a half of it: so that what failed together does not come back together. */
static uint64_t jitter(uint64_t us, uint64_t seed)
{
    seed = (seed ^ seed >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    seed = (seed ^ seed >> 27) * UINT64_C(0x94d049bb133111eb);
    seed ^= seed >> 31;
    return us / 2 + (us ? seed % us : 0);
}

static uint64_t backoff_us(const struct msg_submit *spec, uint32_t attempt)
{
    const uint64_t max = spec->backoff_max_ms ? spec->backoff_max_ms : BACKOFF_MAX_MS;
    uint64_t ms = spec->backoff_ms ? spec->backoff_ms : BACKOFF_MS;

    for (uint32_t i = 1; i < attempt && ms < max; i++)
        ms *= 2;
    return MIN(ms, max) * 1000;
}

void qtask_retry(struct core *core, struct qtask *q)
{
    struct msg_submit spec;

    qtask_spec(core, q, &spec);
    q->due_us = core->now_us + jitter(backoff_us(&spec, q->attempt), q->id * 1000003 + q->attempt);
}

uint64_t qtask_longest_wait_us(const struct qtask *q, const struct msg_submit *spec)
{
    const uint64_t us = backoff_us(spec, q->attempt);

    return q->attempt > 0 ? us / 2 + us : spec->delay_ms * 1000;
}

void qtask_attempt_failed(struct core *core, struct qtask *q, const struct msg_failure *f, struct actions *out)
{
    static const char drained[] = "the daemon was ended while it ran";
    const bool died = f->maybe_executed && (f->code == PTOOLS_ERR_WORKER_DIED || f->code == PTOOLS_ERR_OUT_OF_MEMORY);
    struct msg_failure own = *f;

    own.attempt = q->attempt;
    own.worker = own.worker ? own.worker : q->worker;
    own.maybe_executed |= q->attempt > 1; /* if not now, then before */
    if (died) {
        q->kills += q->kills < UINT8_MAX;
        breaker_killed(core, q, out);
    } else if (f->maybe_executed && f->code != PTOOLS_ERR_CANCELLED && f->code != PTOOLS_ERR_DEADLINE) {
        breaker_lived(core, q, out); /* an error is no kill */
    }
    if (f->code == PTOOLS_ERR_CANCELLED && core->draining && !q->stopping) { /* the daemon ends under it */
        if (qtask_journaled(q) && q->idempotent && q->attempt < q->attempts && qtask_step(core, q, QE_WAIT, out)) {
            record_life(core, q, false, PENDING_NOTHING, out);
            return;
        }
        own.code = PTOOLS_ERR_DAEMON_DIED;
        own.message = (struct text){ drained, sizeof drained - 1 };
        qtask_end(core, q, SHOWN_LOST, &own, NULL, out);
    } else if (f->code == PTOOLS_ERR_CANCELLED) {
        qtask_end(core, q, SHOWN_CANCELLED, &own, NULL, out);
    } else if (died && q->kills >= DEAD_KILLS) {
        own.code = PTOOLS_ERR_DEAD;
        qtask_end(core, q, SHOWN_DEAD, &own, NULL, out);
    } else if (!q->stopping && counts_for_retry(q, f)) {
        if (!qtask_step(core, q, QE_WAIT, out))
            return;
        qtask_retry(core, q);
        if (qtask_journaled(q))
            record_life(core, q, false, PENDING_NOTHING, out);
        event_emit(core, q, EVENT_RETRY, f->code, out);
        qtask_place(core, q, out);
    } else {
        qtask_end(core, q, f->code == PTOOLS_ERR_DEADLINE ? SHOWN_TIMEOUT : SHOWN_FAILED, &own, NULL, out);
    }
}

/* -- time ------------------------------------------------------------------------------------------------- */

void qtasks_due(struct core *core, struct actions *out)
{
    struct heap_node *node;
    unsigned forgotten = 0;

    while ((node = heap_top(&core->queue_timers)) && heap_top_key(&core->queue_timers) <= core->now_us) {
        struct qtask *q = CONTAINER_OF(node, struct qtask, timer);

        if (!core_more_work(core))
            return;
        if (q->state == QT_ENDED) {
            if (forgotten++ == KEPT_SLICE)
                return; /* the rest in the next turn */
            qtask_forget(core, q, out);
            continue;
        }
        heap_remove(&core->queue_timers, node);
        if (q->state != QT_WAITING && q->state != QT_QUEUED)
            continue;
        if (q->attempt == 0 && q->x && q->x->expire_us && q->x->expire_us <= core->now_us)
            qtask_end_text(core, q, SHOWN_EXPIRED, PTOOLS_ERR_EXPIRED, out, "it had not begun when its time was over");
        else
            qtask_place(core, q, out);
    }
}

void qtasks_clock_set(struct core *core)
{
    struct msg_submit spec;

    for (struct qtask *q = qtask_after(core, 0); q; q = qtask_after(core, q->id)) {
        if (!q->by_clock || q->attempt > 0 || q->due_us <= core->now_us || q->state > QT_WAITING)
            continue;
        qtask_spec(core, q, &spec);
        q->due_us = core->now_us; /* if its time has come */
        qtask_set_start(core, q, &spec);
        if (heap_holds(&q->timer))
            set_timer(core, q, q->due_us);
    }
}

void qtasks_drain(struct core *core, struct actions *out)
{
    blocked_drain(core, out);
    for (struct qtask *q = qtask_after(core, 0); q; q = qtask_after(core, q->id)) {
        switch ((enum qtask_state)q->state) {
        case QT_HELD:
            qtask_refused(core, q, PTOOLS_ERR_DRAINING, "the daemon is about to end and takes no new work", out);
            break;
        case QT_QUEUED: /* no new dispatch: what is journaled stays for the next daemon */
        case QT_WAITING:
            if (qtask_journaled(q)) {
                if (q->state == QT_QUEUED)
                    (void)qtask_step(core, q, QE_WAIT, out);
            } else {
                qtask_end_text(core, q, SHOWN_CANCELLED, PTOOLS_ERR_DRAINING, out, "the daemon is about to end");
            }
            break;
        default:
            break;
        }
    }
    for (uint32_t i = 0; i < core->n_workers; i++)
        worker_unbook_all(core, core->workers[i], out);
}
