/* SPDX-License-Identifier: MIT */
/*
 * check -- what must be so after each turn; what the core and the model must agree on, now and then; and what is left
 * at the end, which is nothing.
 */
#include <string.h>

#include "tests/sim/sim.h"

/* -- after each turn -------------------------------------------------------------------------------------------------
 */

static bool is_idle(uint32_t id)
{
    const struct m_worker *w = &sim.workers[id];

    return w->life == W_UP && w->n == 0 && !w->killed && !w->leaving && !(sim.removed & bit(id)) && sim.booked[id] == 0;
}

static void check_worker(uint32_t id)
{
    const struct m_worker *w = &sim.workers[id];

    if (w->life != W_UP || w->killed)
        return;
    for (size_t i = 0; i < w->n; i++) {
        const struct frame *f = &w->frames[i];
        const struct m_task *t = f->call || f->revoked ? NULL : model_find(f->task);

        SIM_CHECK(f->revoked || !call_must_stop(f->call, f->begun) || (f->begun && w->cancelled_us), "deadline",
                  "call %lu is to be stopped, or was to be taken back", f->call);

        SIM_CHECK(!t || !model_late(t) || w->cancelled_us, "deadline", "the deadline of task %lu has passed", t->id);
    }
    SIM_CHECK(!w->cancelled_us || w->n == 0 || w->cancelled_us + sim.limits.kill_grace_us > sim.now, "deadline",
              "worker %u does not stop, and is not killed", id);
}

static void fail_wakeup(const struct m_task *t, const char *what)
{
    char why[300];

    qtask_why(sim.core, qtask_find(sim.core, t->id), why);
    sim_fail("wake-up", "task %lu, to run from %lu, to expire at %lu, attempt %u, %s: %s", t->id, t->surely_us,
             t->expire_us, t->attempt, what, why);
}

void model_turn(void)
{
    uint32_t idle = 0, in_queue[USERS] = { 0 };

    for (uint32_t id = 1; id <= sim.last_worker; id++) {
        idle |= is_idle(id) ? (uint32_t)bit(id) : 0;
        check_worker(id);
    }
    calls_turn(idle);
    servers_turn();
    arrays_turn();
    for (uint32_t i = 0; i < sim.n_live; i++) {
        struct m_task *t = sim.live[i];

        if (t->place == ASKED && t->id && !sim.storage_failed && !qtask_find(sim.core, t->id)) {
            model_free(t); /* it was refused, and its client had left */
            i--;
            continue;
        }
        in_queue[t->user] += t->id && t->place != ENDED && !sim.storage_failed;
        SIM_CHECK(!t->must_leave || t->place == ASKED || (sim.storage_failed && model_journaled(t)), "I5",
                  "task %lu, in place %d, does not end (it may: %x)", t->id, t->place, t->may);
        for (uint32_t id = 1; idle && !sim.storage_failed && model_ready(t) && id <= sim.last_worker; id++)
            if ((idle & bit(id)) && model_serves(t, id))
                fail_wakeup(t, "waits beside an idle worker");
        if (t->known_us && !t->wait_target && model_target_gone(t) && model_ready(t))
            fail_wakeup(t, "does not end, and its workers were removed");
        if (t->place == WAITING && t->attempt == 0 && t->expire_us && t->expire_us + t->slack_us <= sim.now &&
            t->parts == 0 && t->strict && !sim.storage_failed)
            fail_wakeup(t, "does not expire");
    }
    for (uint32_t u = 0; u < USERS; u++)
        SIM_CHECK(in_queue[u] <= sim.limits.user_queued_max, "limits", "user %u has %u tasks in the queue, of %u", u,
                  in_queue[u], sim.limits.user_queued_max);
}

/* Times are shown by today's clock: how long ago a task came, and in how long it is due, does not change with it. */
static void check_times(const struct m_task *t, const struct core_queued_view *v)
{
    const uint64_t wall_ms = clock_wall_ms(), came_ms = wall_ms - (sim.now - t->known_us) / 1000;

    SIM_CHECK(!t->known_us || (v->queued_ms >= came_ms - 1 && v->queued_ms <= came_ms + 1), "clock",
              "task %lu came at %lu, and is told to have come at %lu", t->id, came_ms, v->queued_ms);
    if (t->place != WAITING || v->due_ms == 0)
        return;
    SIM_CHECK(v->due_ms + 1 >= wall_ms + (t->ready_us - MIN(t->ready_us, sim.now)) / 1000 &&
                  v->due_ms <= wall_ms + (t->surely_us - MIN(t->surely_us, sim.now)) / 1000 + 1,
              "clock", "task %lu is due from %lu to %lu, at %lu, and is told to be due at %lu", t->id, t->ready_us,
              t->surely_us, sim.now, v->due_ms);
}

/* -- now and then -----------------------------------------------------------------------------------------------------
 */

/* Whether it may be forgotten by now without anybody's asking. */
bool model_may_go(const struct m_task *t)
{
    if (t->place != ENDED)
        return false;
    if (t->whole || t->forgotten)
        return true;
    if (t->shown == SHOWN_DEAD)
        return false;
    return !model_journaled(t) || t->read || t->go_us <= sim.now + 2000;
}

void model_check_task(struct m_task *t)
{
    static const uint32_t shown[] = { [WAITING] = 1u << SHOWN_WAITING | 1u << SHOWN_QUEUED,
                                      [GIVEN] = 1u << SHOWN_RUNNING,
                                      [ENDING] = 1u << SHOWN_RUNNING };
    struct core_queued_view v;

    if (t->place == ASKED || (sim.storage_failed && model_journaled(t))) /* what it does is not recorded */
        return;
    if (!core_view_queued(sim.core, FIRST_UID + t->user, t->id, &v)) {
        SIM_CHECK(model_may_go(t), "I1", "task %lu, in place %d, is not known any more", t->id, t->place);
        if (!model_journaled(t) || t->row <= journal_synced()) /* else it may come back with another daemon */
            model_free(t);
        return;
    }
    SIM_CHECK((t->place == ENDED ? bit(t->shown) : shown[t->place]) & bit(v.state), "model",
              "task %lu, in place %d, is %s", t->id, t->place, task_shown_name(v.state));
    SIM_CHECK(t->parts > 0 || (v.hold == t->hold && v.priority == t->priority && v.attempt == t->attempt), "model",
              "task %lu: hold %d and %d, priority %g and %g, attempt %u and %u", t->id, v.hold, t->hold, v.priority,
              t->priority, v.attempt, t->attempt);
    check_times(t, &v);
}

void model_check_all(void)
{
    const char *wrong = core_check(sim.core);
    uint32_t in_queue = 0;

    SIM_CHECK(!wrong, "core", "%s", wrong);
    for (uint32_t i = sim.n_live; i-- > 0;)
        model_check_task(sim.live[i]);
    for (uint32_t u = 0; u < USERS; u++) {
        in_queue += model_in_queue(u);
        for (uint32_t i = 0; i <= TAGS; i++) {
            const char *tag;
            bool on = false;

            for (size_t k = 0; (tag = core_view_pause(sim.core, FIRST_UID + u, k)); k++)
                on |= strcmp(tag, sim_tag(i)) == 0;
            SIM_CHECK(on == sim.pauses[u][i].on, "pause", "user %u: tag '%s' is paused: %d", u, sim_tag(i), on);
        }
    }
    SIM_CHECK(sim.storage_failed || in_queue == core_queue_waiting(sim.core), "model",
              "%u tasks have not ended, and the core has %lu", in_queue, core_queue_waiting(sim.core));
}

void model_check_drained(void)
{
    struct core_stats s;

    for (uint32_t i = 0; i < sim.n_live; i++) {
        const struct m_task *t = sim.live[i];
        char why[300] = "";

        if (t->place != ENDED && t->id)
            qtask_why(sim.core, qtask_find(sim.core, t->id), why);
        SIM_CHECK(t->place == ENDED, "I1", "at the end task %lu is in place %d: %s", t->id, t->place, why);
    }
    clients_forget_ended();
    SIM_CHECK(sim.n_requests == 0, "answers", "%u requests are not answered", sim.n_requests);
    for (uint32_t i = 0; i < CLIENTS + USERS; i++)
        client_goes(i);
    core_view_stats(sim.core, &s);
    SIM_CHECK(
        s.waiting == 0 && s.given == 0 && s.queue_waiting == 0 && s.queue_known == 0 && s.payload_bytes == 0 &&
            s.clients == 0 && s.stasks == 0 && s.arrays == 0 && s.shm_bytes == 0 && core_tasks(sim.core) == 0 &&
            core_unrecorded(sim.core) == 0,
        "balance",
        "at the end: waiting %lu, given %lu, queued %lu, known %lu, bytes %lu, clients %u, tasks %lu, unrecorded %lu",
        s.waiting, s.given, s.queue_waiting, s.queue_known, s.payload_bytes, s.clients, core_tasks(sim.core),
        core_unrecorded(sim.core));
}
