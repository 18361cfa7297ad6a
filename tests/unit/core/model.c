/* SPDX-License-Identifier: MIT */
/*
 * model -- what must end and where the rest goes, and the beginning and the end of a run. Shares no code with the
 * core: only its public header. See model.h.
 */
#include "tests/unit/core/model.h"

#include <stdio.h>
#include <string.h>

const char *const m_function_names[M_FUNCTIONS] = {
    "m.short", "m.long", "x.f", "y.f", "m.nothing", "x.nothing", "missing.f",
};
const char *const m_module_names[M_MODULES] = { "m", "x", "y", "missing" };
static const enum m_module module_of[M_FUNCTIONS] = { MOD_M, MOD_M, MOD_X, MOD_Y, MOD_M, MOD_X, MOD_MISSING };
static const bool not_there[M_FUNCTIONS] = { [F_NOT_THERE] = true, [F_X_NOT_THERE] = true, [F_MISSING] = true };

uint64_t m_run_us(enum m_function f)
{
    return f == F_SHORT ? 1 : 3000;
}

uint64_t model_random(struct model *m, uint64_t below)
{
    m->random ^= m->random >> 12;
    m->random ^= m->random << 25;
    m->random ^= m->random >> 27;
    return (m->random * UINT64_C(0x2545F4914F6CDD1D) >> 11) % below;
}

struct m_task *m_find_task(struct model *m, uint64_t id)
{
    for (size_t i = 0; i < m->n_tasks; i++)
        if (m->tasks[i].id == id)
            return &m->tasks[i];
    return NULL;
}

struct m_worker *m_find_worker(struct model *m, uint32_t id)
{
    for (size_t i = 0; i < m->n_workers; i++)
        if (m->workers[i].id == id)
            return &m->workers[i];
    return NULL;
}

struct m_set *m_find_set(struct model *m, uint32_t id)
{
    for (size_t i = 0; i < m->n_sets; i++)
        if (m->sets[i].id == id)
            return &m->sets[i];
    return NULL;
}

bool m_has_member(const struct m_set *s, uint32_t worker)
{
    for (uint32_t i = 0; i < s->n; i++)
        if (s->members[i] == worker)
            return true;
    return false;
}

size_t m_count_held(struct model *m, uint32_t worker)
{
    size_t n = 0;

    for (size_t i = 0; i < m->n_tasks; i++)
        n += m->tasks[i].place == M_GIVEN && m->tasks[i].worker == worker && !m->tasks[i].must_end;
    return n;
}

/* The one given next after rank `after`; NULL: there is none. */
struct m_task *m_next_held(struct model *m, uint32_t worker, uint64_t after)
{
    struct m_task *best = NULL;

    for (size_t i = 0; i < m->n_tasks; i++) {
        struct m_task *t = &m->tasks[i];

        if (t->place != M_GIVEN || t->worker != worker || t->must_end || t->given <= after)
            continue;
        if (!best || t->given < best->given)
            best = t;
    }
    return best;
}

enum m_module m_module_of(enum m_function f)
{
    return module_of[f];
}

/* -- what must end, and where the rest goes ------------------------------------------------------------- */

void m_must_end(struct m_task *t, ptools_err code, bool executed)
{
    EXPECT(!t->must_end, "task %lu ends twice", t->id);
    t->must_end = true;
    t->code = code;
    t->executed = executed;
}

ptools_err m_route(struct model *m, struct m_task *t)
{
    struct m_set *s = m_find_set(m, t->set);
    struct m_worker *w;

    if (t->set_gone)
        return PTOOLS_ERR_NO_SET;
    if (t->pinned) {
        w = m_find_worker(m, t->pinned);
        return w && !w->removed ? PTOOLS_OK : PTOOLS_ERR_NO_WORKER;
    }
    if (s->n == 0)
        return PTOOLS_ERR_NO_WORKER;
    if (s->mode == 2) {
        t->bound = 0;
    } else if (!m_has_member(s, t->bound)) {
        t->bound = s->members[s->cursor];
        s->cursor = (s->cursor + 1) % s->n;
    }
    return PTOOLS_OK;
}

ptools_err m_module_code(const struct model *m, enum m_function f)
{
    switch (m->modules[m_module_of(f)].state) {
    case M_LOADED:
        return not_there[f] ? PTOOLS_ERR_NO_FUNCTION : PTOOLS_OK;
    case M_ABSENT:
        return PTOOLS_ERR_NO_MODULE;
    default:
        return PTOOLS_ERR_MODULE_BROKEN;
    }
}

void m_requeue(struct model *m, struct m_task *t)
{
    ptools_err code = m->draining ? PTOOLS_ERR_DRAINING : m_module_code(m, t->function);

    t->worker = 0;
    if (code == PTOOLS_OK)
        code = m_route(m, t);
    if (code != PTOOLS_OK)
        m_must_end(t, code, false);
    t->place = M_WAITING;
}

void m_redeal(struct model *m, uint32_t set)
{
    for (size_t i = 0; i < m->n_tasks; i++) {
        struct m_task *t = &m->tasks[i];
        ptools_err code;

        if (t->set != set || t->set_gone || t->must_end || t->place == M_GIVEN)
            continue;
        code = m_route(m, t);
        if (code != PTOOLS_OK)
            m_must_end(t, code, false);
    }
}

void m_stop(struct m_task *t, ptools_err code)
{
    if (t->stop != PTOOLS_OK)
        return;
    t->stop = code;
    if (t->place != M_GIVEN)
        m_must_end(t, code, false);
}

void m_break_module(struct model *m, enum m_module mod)
{
    m->modules[mod].state = M_BROKEN;
    m->modules[mod].retry_us = m->modules[mod].retry_us ? MIN(m->modules[mod].retry_us * 2, m->limits.backoff_max_us)
                                                        : m->limits.module_retry_us;
    m->modules[mod].retry_at_us = m->now_us + m->modules[mod].retry_us;
}

/* After a module's state has changed: held ones go on or end, waiting ones end if it is broken. */
void m_follow_module(struct model *m, enum m_module mod)
{
    for (int held = 1; held >= 0; held--) {
        for (size_t i = 0; i < m->n_tasks; i++) {
            struct m_task *t = &m->tasks[i];

            if (m_module_of(t->function) != mod || t->must_end || t->place != (held ? M_HELD : M_WAITING))
                continue;
            if (m_module_code(m, t->function) != PTOOLS_OK)
                m_must_end(t, m_module_code(m, t->function), false);
            else if (held)
                m_requeue(m, t);
        }
    }
}

static void count_end(struct model *m, ptools_err code)
{
    if (code == PTOOLS_OK)
        m->done++;
    else if (code == PTOOLS_ERR_CANCELLED)
        m->cancelled++;
    else
        m->failed++;
}

void m_remove_task(struct model *m, struct m_task *t)
{
    size_t i = (size_t)(t - m->tasks);

    count_end(m, t->code);
    m->n_tasks--;
    memmove(t, t + 1, (m->n_tasks - i) * sizeof *t);
}

/* -- the beginning and the end -- */

void model_start(struct model *m, uint64_t seed, uint32_t workers)
{
    struct report_function functions[] = { { (char *)"short", (char *)"", 0 }, { (char *)"long", (char *)"", 0 } };
    const struct report r = { .module = (char *)"m",
                              .help = (char *)"",
                              .path = (char *)"",
                              .problem = (char *)"",
                              .n = 2,
                              .functions = functions };

    *m = (struct model){ .random = seed ? seed : 1, .now_us = 1000, .last_task = 99, .n_sets = 1 };
    for (int i = 0; i < 8; i++)
        (void)model_random(m, 2);
    m->sets[0] = (struct m_set){ .mode = 2, .name = "all" };
    core_limits_default(&m->limits);
    m->limits.workers_max = M_WORKERS;
    m->limits.user_tasks_max = 60;
    m->limits.user_bytes_max = 900;
    m->limits.user_sets_max = 6;
    m->limits.kill_grace_us = 2000;
    m->limits.stuck_us = 5000;
    m->limits.ahead_max = 2 + (uint32_t)model_random(m, 8);
    m->limits.backoff_min_us = 1000;
    m->limits.backoff_max_us = 8000;
    m->limits.module_retry_us = 2000;
    m->limits.recycle_tasks = 6 + (uint32_t)model_random(m, 30);
    actions_init(&m->out);
    m->core = core_new(&m->limits, 100, workers, m->now_us, &m->out);
    EXPECT(m->core, "m->core");
    model_deliver(m);
    for (size_t i = 0; i < m->n_workers; i++)
        m->sets[0].members[m->sets[0].n++] = m->workers[i].id;
    m->modules[MOD_M].state = M_LOADED;
    core_module_loaded(m->core, m->now_us, &r, &m->out);
    model_deliver(m);
}

void model_end(struct model *m)
{
    for (int i = 0; m->n_tasks > 0 && i < 10000; i++) {
        for (size_t k = 0; k < m->n_workers; k++) {
            size_t before = m->n_workers;

            model_worker_step(m, &m->workers[k]);
            if (m->n_workers == before)
                model_worker_tells(m, &m->workers[k]);
        }
        model_module_report(m);
        model_turn(m);
        model_time(m, 500);
    }
    EXPECT(m->n_tasks == 0, "%zu tasks never end", m->n_tasks);
    while (m->n_clients > 0)
        model_client_gone(m, 0);
    m->core = core_free(m->core);
    actions_deinit(&m->out);
}
