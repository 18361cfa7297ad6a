/* SPDX-License-Identifier: MIT */
/*
 * model_workers -- the events that come from workers, modules and the clock. See model.h.
 */
#include "tests/unit/core/model.h"

#include <stdio.h>
#include <string.h>

static void tell_done(struct model *m, struct m_worker *w, const struct m_frame *f)
{
    static const struct msg_failure facts = { .message = { "it failed", 9 } };
    struct m_task *t = m_find_task(m, f->task);
    AUTO(blob) blob = blob_new("v", 1);
    const struct core_value value = { .blob = blob };
    ptools_err code = f->fails ? PTOOLS_ERR_FAILED : PTOOLS_OK;
    enum m_function fn = t ? t->function : F_LONG;

    if (t && t->place == M_GIVEN && t->worker == w->id) {
        if (t->stop == PTOOLS_OK)
            m->modules[m_module_of(fn)].retry_us = 0;
        m_must_end(t, t->stop != PTOOLS_OK ? t->stop : code, true);
        w->done++;
    }
    core_worker_done(m->core, m->now_us, w->id, f->task, f->attempt, code, f->fails ? NULL : &value, &facts,
                     m_run_us(fn), 0, 0, &m->out);
}

void model_worker_tells(struct model *m, struct m_worker *w)
{
    struct m_frame f = w->frames[0];

    if (w->n == 0 || (f.state != FRAME_DONE && f.state != FRAME_SKIPPED))
        return;
    memmove(w->frames, w->frames + 1, --w->n * sizeof f);
    if (f.state == FRAME_DONE)
        tell_done(m, w, &f);
    else
        core_worker_skipped(m->core, m->now_us, w->id, f.task, &m->out);
    model_deliver(m);
}

static void gone(struct model *m, struct m_worker *w, const struct msg_failure *facts)
{
    const bool loading = facts->code == PTOOLS_ERR_MODULE_BROKEN;
    struct m_task *t, *blamed = NULL;
    uint64_t started[PAGE_SLOTS];
    size_t n_started = 0;
    uint64_t rank = 0;

    for (size_t i = 0; i < w->n; i++)
        if (w->frames[i].state == FRAME_STARTED)
            started[n_started++] = w->frames[i].task;
    if (loading)
        blamed = m_find_task(m, started[0]);
    if (blamed && m->modules[MOD_Y].state == M_LOADED) {
        m_break_module(m, MOD_Y);
        m_follow_module(m, MOD_Y);
    }
    while ((t = m_next_held(m, w->id, rank))) {
        bool begun = n_started && started[0] == t->id;

        rank = t->given;
        EXPECT(!t->known_begun || begun, "!t->known_begun || begun");
        if (t->stop != PTOOLS_OK)
            m_must_end(t, t->stop, begun);
        else if (begun)
            m_must_end(t, loading ? PTOOLS_ERR_MODULE_BROKEN : PTOOLS_ERR_WORKER_DIED, !loading);
        else if (++t->losses == 5)
            m_must_end(t, PTOOLS_ERR_WORKER_DIED, false);
        else
            m_requeue(m, t);
        m->died += begun;
    }
    if (w->process == P_STARTING)
        w->no_spawn_before = m->now_us + m->limits.backoff_min_us;
    else
        w->no_spawn_before = 0;
    w->process = P_NONE;
    w->interrupted = w->given_up = false;
    w->n = 0;
    core_worker_gone(m->core, m->now_us, w->id, facts, started, n_started, &m->out);
    model_deliver(m);
    if (w->removed)
        memmove(w, w + 1, (size_t)(&m->workers[--m->n_workers] - w) * sizeof *w);
}

void model_worker_dies(struct model *m, struct m_worker *w)
{
    struct msg_failure facts = { .code = PTOOLS_ERR_WORKER_DIED, .signal = 11, .pid = 77 };
    struct m_task *t;

    if (w->process == P_NONE)
        return;
    while (w->n > 0 && (w->frames[0].state == FRAME_DONE || w->frames[0].state == FRAME_SKIPPED))
        model_worker_tells(m, w); /* what it had sent counts */
    if (w->n > 0 && w->frames[0].state == FRAME_STARTED && model_random(m, 2)) {
        t = m_find_task(m, w->frames[0].task);
        if (t && t->function == F_Y)
            facts.code = PTOOLS_ERR_MODULE_BROKEN;
    }
    gone(m, w, &facts);
}

void model_worker_step(struct model *m, struct m_worker *w)
{
    size_t i = 0;

    if (w->process == P_STARTING) {
        w->process = P_READY;
        core_worker_ready(m->core, m->now_us, w->id, 1000 + (int32_t)w->id, &m->out);
        model_deliver(m);
        return;
    }
    while (i < w->n && (w->frames[i].state == FRAME_DONE || w->frames[i].state == FRAME_SKIPPED))
        i++;
    if (w->process == P_KILLED || (w->process == P_ENDING && i == w->n)) {
        if (model_random(m, 3) == 0)
            model_worker_dies(m, w);
        return;
    }
    if (i == w->n)
        return;
    switch (w->frames[i].state) {
    case FRAME_GIVEN:
        w->frames[i].state = FRAME_STARTED;
        break;
    case FRAME_REVOKED:
        w->frames[i].state = FRAME_SKIPPED;
        break;
    default:
        w->frames[i].state = FRAME_DONE;
    }
}

/* -- time, modules, the end -------------------------------------------------------------------------------------- */

static void give_up(struct model *m, struct m_worker *w)
{
    w->given_up = true;
    for (struct m_task *t = m_next_held(m, w->id, 0); t; t = m_next_held(m, w->id, t->given))
        m_must_end(t, t->stop != PTOOLS_OK ? t->stop : PTOOLS_ERR_WORKER_DIED, true);
}

void model_time(struct model *m, uint64_t us)
{
    m->now_us += us;
    for (size_t i = 0; i < m->n_tasks; i++)
        if (m->tasks[i].deadline_us <= m->now_us)
            m_stop(&m->tasks[i], PTOOLS_ERR_DEADLINE);
    for (size_t i = 0; i < m->n_workers; i++)
        if (m->workers[i].process == P_KILLED && !m->workers[i].given_up &&
            m->now_us >= m->workers[i].killed_us + m->limits.stuck_us)
            give_up(m, &m->workers[i]);
    if (core_next_us(m->core) > m->now_us) {
        model_deliver(m);
        return;
    }
    core_tick(m->core, m->now_us, &m->out);
    model_deliver(m);
    EXPECT(core_next_us(m->core) > m->now_us, "core_next_us(m->core) > m->now_us");
    for (size_t i = 0; i < m->n_workers; i++) {
        struct m_worker *w = &m->workers[i];

        EXPECT(!(w->interrupted || w->process == P_ENDING) || w->process == P_KILLED ||
                   m->now_us < w->asked_us + m->limits.kill_grace_us,
               "worker %u should have been killed", w->id);
    }
}

void model_module_report(struct model *m)
{
    struct report_function function = { .name = (char *)"f", .help = (char *)"" };
    struct report r = { .help = (char *)"", .path = (char *)"/x.so", .problem = (char *)"" };
    enum m_module mod = (enum m_module)(1 + model_random(m, M_MODULES - 1));
    bool asked = m->modules[mod].load_asked;

    if (!asked && model_random(m, 20))
        return;
    m->modules[mod].load_asked = false;
    r.module = (char *)m_module_names[mod];
    if (mod == MOD_MISSING) {
        r.code = PTOOLS_ERR_NO_MODULE;
        m->modules[mod].state = M_ABSENT;
    } else if (model_random(m, 4) == 0) {
        r.code = PTOOLS_ERR_MODULE_BROKEN;
        m_break_module(m, mod);
    } else {
        r.n = 1;
        r.functions = &function;
        m->modules[mod].state = M_LOADED;
    }
    if (r.code != PTOOLS_OK)
        r.problem = (char *)"it is not as it should be";
    m_follow_module(m, mod);
    core_module_loaded(m->core, m->now_us, &r, &m->out);
    model_deliver(m);
}

void model_drain(struct model *m, bool hurry)
{
    m->draining = true;
    for (size_t i = 0; i < m->n_tasks; i++) {
        if (m->tasks[i].place != M_GIVEN)
            m_must_end(&m->tasks[i], PTOOLS_ERR_DRAINING, false);
        else if (hurry)
            m_stop(&m->tasks[i], PTOOLS_ERR_CANCELLED);
    }
    core_drain(m->core, m->now_us, hurry, &m->out);
    model_deliver(m);
}
