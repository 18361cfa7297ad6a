/* SPDX-License-Identifier: MIT */
/*
 * workers -- what workers do: they begin what they were given, one after the other, answer that it is done, or that it
 * failed, or hang; they die, with or without having begun; they answer once more, or what they do not have any more.
 */
#include <string.h>

#include "tests/sim/sim.h"

static struct m_task *task_of(const struct frame *f)
{
    struct m_task *t = f->call ? NULL : model_find(f->task);

    SIM_CHECK(f->call || t, "I2", "task %lu is with a worker, and is not known", f->task);
    return t;
}

void worker_spawns(uint32_t id)
{
    SIM_CHECK(id <= WORKER_IDS && !(sim.removed & bit(id)), "pool",
              "a process is made for worker %u, which was removed", id);
    sim.workers[id] = (struct m_worker){ .life = W_STARTING };
    sim.last_worker = MAX(sim.last_worker, id);
}

void worker_run(const struct action *a)
{
    struct m_worker *w = &sim.workers[a->worker];
    uint32_t held = 0;

    SIM_CHECK(a->worker >= 1 && a->worker <= sim.last_worker && w->life == W_UP && !w->killed &&
                  !(sim.removed & bit(a->worker)),
              "I4", "task %lu is given to worker %u, which is not there", a->task, a->worker);
    for (size_t i = 0; i < w->n; i++) {
        SIM_CHECK(w->frames[i].slot != a->slot, "I4", "worker %u has task %lu in slot %u, and is given task %lu there",
                  a->worker, w->frames[i].task, a->slot, a->task);
        held += !w->frames[i].revoked;
    }
    SIM_CHECK(held < sim.limits.ahead_max && w->n < FRAMES, "I4", "worker %u is given more than %u tasks", a->worker,
              sim.limits.ahead_max);
    if (w->n == 0)
        w->cancelled_us = 0;
    w->frames[w->n] = (struct frame){ .task = a->task, .slot = a->slot, .attempt = a->attempt };
    if (a->queued_ms != 0)
        model_run(a);
    else
        w->frames[w->n].call = call_run(a, !w->used);
    w->n++;
}

static void give_back(struct frame *f)
{
    struct m_task *t = task_of(f);

    f->revoked = true;
    call_back(f->call);
    if (t)
        model_back(t, false);
}

void worker_revoke(const struct action *a)
{
    struct m_worker *w = &sim.workers[a->worker];
    bool taken = false;

    for (size_t i = 0; i < w->n; i++) {
        struct frame *f = &w->frames[i];

        if (f->task != a->task || f->slot != a->slot || f->begun || f->revoked)
            continue;
        give_back(f);
        taken = true;
    }
    core_revoked(sim.core, sim.now, a->worker, a->task, taken, &sim.out);
}

static struct frame *frame_of(const struct action *a)
{
    struct m_worker *w = &sim.workers[a->worker];

    for (size_t i = 0; i < w->n; i++)
        if (w->frames[i].task == a->task && !w->frames[i].revoked)
            return &w->frames[i];
    return NULL;
}

void worker_cancel(const struct action *a)
{
    const struct frame *f;

    if (is_stask_process(a->worker)) {
        server_cancels(a->worker, a->task);
        return;
    }
    f = frame_of(a);
    SIM_CHECK(f && f->begun, "I4", "worker %u is told to stop task %lu, which it has not begun", a->worker, a->task);
    sim.workers[a->worker].cancelled_us = sim.now;
    call_stopped(f->call);
}

void worker_look(const struct action *a)
{
    const struct frame *f = frame_of(a);

    if (f) /* else it was taken back just now */
        call_looked(a->worker, a->task, f->call, f->begun);
}

static struct frame take_first(struct m_worker *w)
{
    const struct frame f = w->frames[0];

    memmove(&w->frames[0], &w->frames[1], --w->n * sizeof w->frames[0]);
    return f;
}

static void begin(struct m_worker *w, struct frame *f)
{
    struct m_task *t = task_of(f);

    f->begun = true;
    w->hangs = !sim.draining && sim.habits.hang && sim_one_in(sim.habits.hang);
    trace_add("begins task, attempt, hangs", f->task, f->attempt, w->hangs);
    if (f->call)
        w->used |= call_begin(f->call);
    if (!t)
        return;
    w->used = true;
    SIM_CHECK(!t->running, "I4", "task %lu runs twice at the same time", t->id);
    t->running = true;
    sim.count.run++;
}

static void answer(uint32_t id, const struct frame *f, ptools_err code)
{
    static const char value[16] = "a value";
    const struct msg_failure facts = { .message = TEXT("no") };
    AUTO(blob) blob = blob_new(value, sizeof value);
    const struct core_value v = { .blob = blob };

    core_worker_done(sim.core, sim.now, id, f->task, f->attempt, code, code == PTOOLS_OK ? &v : NULL,
                     code == PTOOLS_OK ? NULL : &facts, 1 + sim_random(20), 0, 0, &sim.out);
}

static void end(uint32_t id, struct m_worker *w)
{
    static const ptools_err codes[] = { PTOOLS_ERR_FAILED, PTOOLS_ERR_BAD_ARGUMENT, PTOOLS_ERR_OUT_OF_MEMORY };
    const bool stopped = w->cancelled_us != 0;
    const struct frame f = take_first(w);
    const ptools_err code = sim_one_in(stopped ? 2 : 6) ? codes[sim_one_in(4) ? 1 + sim_random(2) : 0] : PTOOLS_OK;
    struct m_task *t = task_of(&f);

    trace_add("answers task, attempt, code", f.task, f.attempt, (uint64_t)code);
    w->cancelled_us = 0;
    if (t) {
        t->running = false;
        model_attempt_over(t, code);
    }
    call_tells_items(id, f.task, f.call);
    answer(id, &f, code);
    sim_deliver();
    if (sim_one_in(20)) { /* as one that lost its mind would */
        trace_add("answers once more", f.task, f.attempt, 0);
        answer(id, &f, PTOOLS_OK);
        sim_deliver();
    }
}

void worker_dies(uint32_t id)
{
    struct m_worker *w = &sim.workers[id];
    const struct msg_failure facts = { .code = PTOOLS_ERR_WORKER_DIED, .signal = 9 };
    struct frame first = { 0 };
    uint64_t begun[FRAMES] = { 0 };
    size_t n = 0;

    if (w->life == W_NONE)
        return;
    if (w->n > 0)
        first = w->frames[0];
    sim.count.died++;
    for (size_t i = 0; i < w->n; i++) {
        struct frame *f = &w->frames[i];
        struct m_task *t = f->revoked ? NULL : task_of(f);

        if (f->begun) {
            begun[n++] = f->task;
            call_tells_items(id, f->task, f->call);
        } else if (!f->revoked) {
            call_back(f->call);
        }
        if (!t)
            continue;
        t->running = false;
        if (f->begun)
            model_attempt_over(t, PTOOLS_ERR_WORKER_DIED);
        else
            model_back(t, true);
    }
    *w = (struct m_worker){ 0 };
    core_worker_gone(sim.core, sim.now, id, &facts, begun, n, &sim.out);
    sim_deliver();
    if (first.task && sim_one_in(4)) { /* what it had sent comes after all */
        trace_add("answers late", first.task, first.attempt, 0);
        answer(id, &first, PTOOLS_OK);
        sim_deliver();
    }
}

/* With nothing left to do, and asked to end: it does. */
static void leave(uint32_t id)
{
    const struct msg_failure facts = { .code = PTOOLS_ERR_WORKER_DIED, .exited = true };

    sim.workers[id] = (struct m_worker){ 0 };
    core_worker_gone(sim.core, sim.now, id, &facts, NULL, 0, &sim.out);
    sim_deliver();
}

void worker_acts(uint32_t id)
{
    struct m_worker *w = &sim.workers[id];

    if (w->life == W_STARTING) {
        if (!sim.draining && sim_one_in(50)) {
            worker_dies(id);
            return;
        }
        w->life = W_UP;
        core_worker_ready(sim.core, sim.now, id, 100 + (int32_t)id, &sim.out);
        sim_deliver();
        return;
    }
    if (w->life == W_NONE)
        return;
    if (w->killed) {
        worker_dies(id);
        return;
    }
    if (w->n == 0) {
        if (w->leaving)
            leave(id);
        return;
    }
    if (w->frames[0].revoked) {
        const struct frame f = take_first(w);

        core_worker_skipped(sim.core, sim.now, id, f.task, &sim.out);
        sim_deliver();
    } else if (!w->frames[0].begun) {
        begin(w, &w->frames[0]);
    } else if (w->hangs && !sim.draining && !(w->cancelled_us && sim_one_in(4))) {
        return;
    } else if (!(w->frames[0].call && call_goes_on(w->frames[0].call))) {
        end(id, w);
    }
}

bool workers_quiet(void)
{
    for (uint32_t id = 1; id <= sim.last_worker; id++)
        if (sim.workers[id].n > 0 || sim.workers[id].life == W_STARTING)
            return false;
    return true;
}
