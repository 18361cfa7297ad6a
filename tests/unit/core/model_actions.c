/* SPDX-License-Identifier: MIT */
/*
 * model_actions -- carries out what the core wants in the world of fake workers, and compares it with what the
 * model worked out. See model.h.
 */
#include "tests/unit/core/model.h"

#include <stdio.h>
#include <string.h>

/* -- the core's actions ------------------------------------------------------------------------------------ */

bool m_may_run(struct model *m, const struct m_task *t, uint32_t worker)
{
    if (t->place != M_WAITING || t->must_end)
        return false;
    return t->bound ? t->bound == worker
                    : m_find_set(m, t->set)->mode == 2 && m_has_member(m_find_set(m, t->set), worker);
}

static bool slot_taken(const struct m_worker *w, uint32_t slot)
{
    for (size_t i = 0; i < w->n; i++)
        if (w->frames[i].slot == slot)
            return true;
    return false;
}

static void on_run(struct model *m, const struct action *a)
{
    struct m_worker *w = m_find_worker(m, a->worker);
    struct m_task *t = m_find_task(m, a->task), *other = NULL;
    size_t held = m_count_held(m, a->worker);

    EXPECT(w && w->process == P_READY && !w->removed && !w->interrupted, "a task for worker %u, which takes none",
           a->worker);
    EXPECT(t && m_may_run(m, t, w->id), "task %lu cannot run in worker %u", a->task, a->worker);
    for (size_t i = 0; i < m->n_tasks && !other; i++)
        if (m_may_run(m, &m->tasks[i], w->id))
            other = &m->tasks[i];
    EXPECT(other == t, "worker %u gets task %lu (set %u, bound %u) before task %lu (set %u, bound %u, pinned %u)",
           w->id, t->id, t->set, t->bound, other->id, other->set, other->bound, other->pinned);
    EXPECT(held < m->limits.ahead_max, "worker %u gets %zu tasks", w->id, held + 1);
    if (held > 0) {
        m->ahead++;
        EXPECT(t->function == F_SHORT, "a long task is given ahead");
        for (other = m_next_held(m, w->id, 0); other; other = m_next_held(m, w->id, other->given))
            EXPECT(other->function == F_SHORT, "a task is given behind a long one");
    }
    EXPECT(a->slot < PAGE_SLOTS && !slot_taken(w, a->slot), "slot %u is taken", a->slot);
    EXPECT(a->attempt == 1, "a->attempt == 1");
    EXPECT(a->uid == t->uid, "a->uid == t->uid");
    EXPECT(strcmp(a->function, m_function_names[t->function]) == 0, "%s is called", a->function);
    EXPECT((a->payload ? a->payload->n : 0) == t->bytes, "(a->payload ? a->payload->n : 0) == t->bytes");
    t->place = M_GIVEN;
    t->worker = w->id;
    t->given = ++m->given;
    w->frames[w->n++] = (struct m_frame){ t->id, a->slot, a->attempt, FRAME_GIVEN, model_random(m, 10) == 0 };
}

static void on_revoke(struct model *m, const struct action *a)
{
    struct m_worker *w = m_find_worker(m, a->worker);
    struct m_task *t = m_find_task(m, a->task);
    bool taken = false, found = false;

    EXPECT(t && t->place == M_GIVEN && t->worker == a->worker, "task %lu is asked back from a stranger", a->task);
    EXPECT(!t->known_begun, "task %lu is asked back, and is known to have begun", a->task);
    for (size_t i = 0; i < w->n; i++) {
        struct m_frame *f = &w->frames[i];

        if (f->task != a->task || f->slot != a->slot)
            continue;
        found = true;
        taken = f->state == FRAME_GIVEN;
        if (taken)
            f->state = FRAME_REVOKED;
    }
    EXPECT(found, "task %lu is asked back from the wrong slot", a->task);
    if (taken) {
        m->taken_back++;
        if (t->stop != PTOOLS_OK) {
            m_must_end(t, t->stop, false);
            t->place = M_WAITING;
        } else {
            m_requeue(m, t);
        }
    } else {
        m->too_late++;
        t->known_begun = true;
    }
    core_revoked(m->core, m->now_us, a->worker, a->task, taken, &m->out);
}

static void on_cancel(struct model *m, const struct action *a)
{
    struct m_worker *w = m_find_worker(m, a->worker);
    struct m_task *t = m_find_task(m, a->task);

    EXPECT(w && (w->process == P_READY), "worker %u is interrupted and does not run", a->worker);
    EXPECT(t && t->worker == w->id && t->stop != PTOOLS_OK && t->known_begun, "task %lu shall stop, why?", a->task);
    w->interrupted = true;
    w->asked_us = m->now_us;
}

static void on_kill(struct model *m, const struct action *a)
{
    struct m_worker *w = m_find_worker(m, a->worker);

    EXPECT(w && (w->interrupted || w->process == P_ENDING), "worker %u is killed for nothing", a->worker);
    EXPECT(m->now_us >= w->asked_us + m->limits.kill_grace_us, "worker %u is killed too early", a->worker);
    w->process = P_KILLED;
    w->killed_us = m->now_us;
    m->killed++;
}

/* It goes whenever its process ends: model_worker_step(). */
static void on_abandon(struct model *m, const struct action *a)
{
    const struct m_worker *w = m_find_worker(m, a->worker);

    EXPECT(w && w->process == P_KILLED && w->given_up, "worker %u is abandoned for nothing", a->worker);
}

static void on_stop(struct model *m, const struct action *a)
{
    struct m_worker *w = m_find_worker(m, a->worker);

    EXPECT(w && w->process == P_READY && m_count_held(m, w->id) == 0, "worker %u is told to end", a->worker);
    EXPECT(w->removed || (m->limits.recycle_tasks && w->done >= m->limits.recycle_tasks), "and nobody wants that");
    w->process = P_ENDING;
    w->asked_us = m->now_us;
}

static void on_spawn(struct model *m, const struct action *a)
{
    struct m_worker *w = m_find_worker(m, a->worker);

    if (!w) {
        EXPECT(m->n_workers < M_WORKERS, "m->n_workers < M_WORKERS");
        w = &m->workers[m->n_workers++];
        *w = (struct m_worker){ .id = a->worker };
    }
    EXPECT(w->process == P_NONE && m->now_us >= w->no_spawn_before && !m->draining, "worker %u is made", w->id);
    w->process = P_STARTING;
    w->done = 0;
    m->spawned++;
}

static void on_load(struct model *m, const struct action *a)
{
    for (size_t i = 0; i < M_MODULES; i++) {
        if (strcmp(a->function, m_module_names[i]) != 0)
            continue;
        EXPECT(m->modules[i].state == M_LOADING && !m->modules[i].load_asked, "module %s is asked for", a->function);
        m->modules[i].load_asked = true;
        return;
    }
    ck_abort_msg("an unknown module is asked for");
}

static void on_answer(struct model *m, const struct action *a)
{
    struct m_task *t = NULL;

    if (a->client == m->asking_client && a->answer.id == m->asking && !m->asking_answered) {
        m->asking_answered = true;
        EXPECT((a->answer.failed ? a->answer.failure.code : PTOOLS_OK) == m->asking_code, "%s (%s), not %s",
               a->answer.failed ? ptools_errname(a->answer.failure.code) : "OK", a->text,
               ptools_errname(m->asking_code));
        if (a->answer.failed)
            EXPECT(a->answer.failure.message.n > 10, "a refusal without a sentence");
        else
            m->asking_reply = a->answer.reply;
        return;
    }
    for (size_t i = 0; i < m->n_tasks; i++)
        if (m->tasks[i].client == a->client && m->tasks[i].request == a->answer.id)
            t = &m->tasks[i];
    EXPECT(t, "an answer that nobody waits for: client %u, request %lu", a->client, a->answer.id);
    if (t->detached && !a->answer.failed) {
        EXPECT(t->place != M_HELD && a->answer.reply.task == t->id, "accepted before it is known");
        t->client = 0;
        return;
    }
    EXPECT(t->must_end, "task %lu is answered and has not ended (%s)", t->id, a->answer.failed ? a->text : "a value");
    if (a->answer.failed) {
        const struct msg_failure *f = &a->answer.failure;

        EXPECT(f->code == t->code, "task %lu: %s, not %s", t->id, ptools_errname(f->code), ptools_errname(t->code));
        EXPECT(f->maybe_executed == t->executed, "task %lu (%s): executed?", t->id, ptools_errname(f->code));
        EXPECT(f->task == t->id, "f->task == t->id");
        EXPECT(f->message.n > 3, "f->message.n > 3");
    } else {
        EXPECT(t->code == PTOOLS_OK, "task %lu is done, not %s", t->id, ptools_errname(t->code));
        EXPECT(a->answer.reply.task == t->id, "a->answer.reply.task == t->id");
        EXPECT(a->answer.reply.worker == t->worker, "a->answer.reply.worker == t->worker");
        EXPECT(a->payload, "a->payload");
    }
    m_remove_task(m, t);
}

static void carry_out(struct model *m, size_t i)
{
    const struct action a = m->out.v[i];

    switch (a.type) {
    case ACT_RUN:
        on_run(m, &a);
        break;
    case ACT_REVOKE:
        on_revoke(m, &a);
        break;
    case ACT_CANCEL:
        on_cancel(m, &a);
        break;
    case ACT_KILL:
        on_kill(m, &a);
        break;
    case ACT_ABANDON:
        on_abandon(m, &a);
        break;
    case ACT_STOP:
        on_stop(m, &a);
        break;
    case ACT_SPAWN:
        on_spawn(m, &a);
        break;
    case ACT_LOAD:
        on_load(m, &a);
        break;
    case ACT_ANSWER:
        on_answer(m, &m->out.v[i]);
        break;
    case ACT_FORGOTTEN:
    case ACT_NOTE:
        m->recycled += a.note == NOTE_WORKER_RECYCLED;
        m->stuck += a.note == NOTE_WORKER_STUCK;
        break;
    case ACT_LOOK: /* the model has no batches, */
    case ACT_ARRAY_MAKE: /* no arrays and no server tasks */
    case ACT_ARRAY_DROP:
    case ACT_ARRAY_MAP:
    case ACT_ARRAY_FORGET:
    case ACT_ARRAY_GIVE:
    case ACT_KILL_CALL:
    case ACT_EVENT:
    case ACT_RECORD: /* nor queued tasks */
        ck_abort_msg("action %d, which nobody asked for", (int)a.type);
    case ACT_BUG:
        ck_abort_msg("the core says: %s", a.text);
    }
}

/* Whether a task of the worker that was stopped is still there. */
static bool still_interrupted(struct model *m, const struct m_worker *w)
{
    struct m_task *t;

    for (t = m_next_held(m, w->id, 0); t; t = m_next_held(m, w->id, t->given))
        if (t->stop != PTOOLS_OK && t->known_begun && !t->must_end)
            return true;
    return false;
}

void model_deliver(struct model *m)
{
    struct core_stats stats;
    const char *wrong;

    m->acted = m->out.n > 0;
    for (size_t i = 0; i < m->out.n; i++)
        carry_out(m, i);
    EXPECT(!m->out.no_memory, "!m->out.no_memory");
    actions_clear(&m->out);
    for (size_t i = 0; i < m->n_tasks; i++) {
        struct m_task *t = &m->tasks[i];

        EXPECT(!t->must_end || t->client == 0, "task %lu has no answer: %s", t->id, ptools_errname(t->code));
        EXPECT(!t->detached || t->client == 0 || t->place == M_HELD, "task %lu was not accepted", t->id);
        if (t->must_end) {
            m_remove_task(m, t);
            i--;
        }
    }
    for (size_t i = 0; i < m->n_workers; i++) {
        struct m_worker *w = &m->workers[i];

        w->interrupted = w->interrupted && still_interrupted(m, w);
        for (size_t k = 0; w->interrupted && k < w->n; k++)
            EXPECT(w->frames[k].state != FRAME_GIVEN, "worker %u is stopped and not emptied before", w->id);
    }
    EXPECT(m->asking == 0 || m->asking_answered, "request %lu has no answer", m->asking);
    m->asking = 0;
    wrong = core_check(m->core);
    EXPECT(!wrong, "%s", wrong);
    core_view_stats(m->core, &stats);
    EXPECT(core_tasks(m->core) == m->n_tasks, "core_tasks(m->core) == m->n_tasks");
    EXPECT(stats.submitted == m->submitted, "stats.submitted == m->submitted");
    EXPECT(stats.done == m->done, "stats.done == m->done");
    EXPECT(stats.failed == m->failed, "stats.failed == m->failed");
    EXPECT(stats.cancelled == m->cancelled, "stats.cancelled == m->cancelled");
    EXPECT(stats.taken_back == m->taken_back, "stats.taken_back == m->taken_back");
}

/* Nobody is idle beside a task that it could run. */
static void check_idle(struct model *m)
{
    for (size_t i = 0; i < m->n_workers; i++) {
        struct m_worker *w = &m->workers[i];

        if (w->process != P_READY || w->removed || w->n == PAGE_SLOTS || m_count_held(m, w->id) > 0)
            continue;
        for (size_t k = 0; k < m->n_tasks; k++)
            EXPECT(!m_may_run(m, &m->tasks[k], w->id), "worker %u is idle, task %lu waits", w->id, m->tasks[k].id);
        for (size_t k = 0; k < m->n_workers; k++) {
            struct m_worker *other = &m->workers[k];
            struct m_task *first = m_next_held(m, other->id, 0);

            for (size_t f = 0; f < other->n; f++) {
                struct m_task *t = m_find_task(m, other->frames[f].task);
                struct m_set *s = t ? m_find_set(m, t->set) : NULL;

                EXPECT(other->frames[f].state != FRAME_GIVEN || t == first || t->bound || t->set_gone ||
                           !m_has_member(s, w->id),
                       "worker %u is idle, task %lu waits ahead in %u", w->id, t->id, other->id);
            }
        }
    }
}

void model_turn(struct model *m)
{
    do {
        core_assign(m->core, m->now_us, &m->out);
        model_deliver(m);
    } while (m->acted);
    check_idle(m);
}
