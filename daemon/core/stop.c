/* SPDX-License-Identifier: MIT */
/*
 * stop -- tasks that end before they are done: cancelled, past their deadline, left by their client, drained.
 *
 * One that waits ends at once. One that was given is asked back; if its worker has begun it, everything else
 * is taken from that worker first, so that stopping it hurts nobody; then it is told to stop, and after the grace
 * it is killed, or without being told, where there is no grace. A value that comes meanwhile is dropped: whoever
 * stopped the task has been promised that it does not count. A process that survives SIGKILL for stuck_us is given up:
 * its tasks are answered, and its slot stays out of use until it is gone, or until the daemon, who knows whether
 * another process may take its place, says so.
 */
#include <inttypes.h>

#include "daemon/core/state.h"

/* From here on w is killed, if it does not stop t. */
static void begin_grace(struct core *core, uint64_t now_us, struct worker *w, const struct task *t, struct actions *out)
{
    if (t->grace_us > 0)
        worker_set_timer(core, w, now_us + t->grace_us);
    else
        core_worker_due(core, now_us, w, out);
}

/* The worker has begun t, which is to stop. */
static void interrupt(struct core *core, uint64_t now_us, struct task *t, struct actions *out)
{
    struct worker *w = t->worker;

    if (!task_step(core, t, EV_STOP, out))
        return;
    worker_recall_all(core, w, t, out);
    worker_unbook_all(core, w, out);
    if (!worker_step(core, w, EV_INTERRUPT, out) || w->state == WORKER_KILLED)
        return;
    if (t->grace_us > 0)
        action_worker(out, ACT_CANCEL, w->id, t->id);
    begin_grace(core, now_us, w, t, out);
}

void core_stop_task(struct core *core, uint64_t now_us, struct task *t, enum stop why, struct actions *out)
{
    if (t->stop != STOP_NONE)
        return;
    t->stop = why;
    heap_remove(&core->deadlines, &t->deadline_node);
    if (t->state == TASK_HELD || t->state == TASK_WAITING || t->state == TASK_BOOKED)
        task_end_stopped(core, t, NULL, false, out);
    else if (t->state == TASK_GIVEN && t->begun)
        interrupt(core, now_us, t, out);
    else if (t->state == TASK_GIVEN)
        worker_recall(core, t, out);
    /* RECALLED: core_revoked() sees why. */
}

void core_stop_task_within(struct core *core, uint64_t now_us, struct task *t, enum stop why, uint64_t grace_us,
                           struct actions *out)
{
    t->grace_us = grace_us;
    if (t->stop == STOP_NONE)
        core_stop_task(core, now_us, t, why, out);
    else if (t->state == TASK_STOPPING && t->worker->state == WORKER_STOPPING)
        begin_grace(core, now_us, t->worker, t, out);
}

void core_revoked(struct core *core, uint64_t now_us, uint32_t worker, uint64_t task, bool taken_back,
                  struct actions *out)
{
    struct worker *w = worker_or_stand_in(core, worker);
    struct task *t = w ? worker_held(w, task) : NULL;

    core->now_us = now_us;
    if (!t || t->state != TASK_RECALLED) {
        action_bug(out, worker, task, "the result of a recall that nobody asked for");
        return;
    }
    if (taken_back) {
        core->stats.taken_back++;
        if (t->stop != STOP_NONE)
            task_end_stopped(core, t, NULL, false, out);
        else if (t->queued)
            task_attempt_back(core, t, false, out);
        else
            (void)task_requeue(core, t, out);
    } else {
        t->begun = true;
        if (t->stop != STOP_NONE)
            interrupt(core, now_us, t, out);
        else
            (void)task_step(core, t, EV_KEPT, out);
    }
    worker_settle(core, now_us, w, out);
}

/* SIGKILL did not help: everybody gets an answer all the same. */
static void give_up(struct core *core, uint64_t now_us, struct worker *w, struct actions *out)
{
    struct task *t;

    action_note(out, NOTE_WORKER_STUCK, w->id, w->oldest,
                "worker %" PRIu32 " (pid %" PRId32 ") does not die of SIGKILL", w->id, w->pid);
    while ((t = w->held)) {
        if (t->stop != STOP_NONE)
            task_end_stopped(core, t, NULL, true, out);
        else
            task_fail(core, t, PTOOLS_ERR_WORKER_DIED, NULL, true, out,
                      "worker %" PRIu32 " (pid %" PRId32 ") was killed, but does not end", w->id, w->pid);
    }
    worker_settle(core, now_us, w, out);
    action_worker(out, ACT_ABANDON, w->id, 0);
}

void core_worker_due(struct core *core, uint64_t now_us, struct worker *w, struct actions *out)
{
    heap_remove(&core->timers, &w->timer);
    if (w->state == WORKER_KILLED) {
        give_up(core, now_us, w, out);
    } else if (w->stands_for && (w->state == WORKER_DEAD || w->state == WORKER_IDLE)) {
        stand_in_leave(core, now_us, w, out);
    } else if (w->state == WORKER_DEAD) {
        if (!core->draining)
            worker_spawn(core, w, out);
    } else if (worker_step(core, w, EV_KILL, out)) {
        worker_fresh_fails(core, w, out);
        action_worker(out, ACT_KILL, w->id, w->oldest);
        worker_set_timer(core, w, now_us + core->limits.stuck_us);
    }
}

void core_recall_late(struct core *core, uint64_t now_us, struct actions *out)
{
    core->late_check_us = CORE_NEVER;
    for (uint32_t i = 0; i < core->n_workers; i++) {
        struct worker *w = core->workers[i];

        if (w->state != WORKER_BUSY || w->n_held < 2 || w->late)
            continue;
        if (now_us - w->since_us >= core->limits.ahead_us) {
            w->late = true;
            worker_recall_all(core, w, w->held, out);
        } else {
            core->late_check_us = now_us + core->limits.ahead_us; /* not sooner: one ring for all */
        }
    }
}

void core_drain(struct core *core, uint64_t now_us, bool hurry, struct actions *out)
{
    struct task *t, *next;

    core->draining = true;
    core->now_us = now_us;
    qtasks_drain(core, out);
    stasks_drain(core, now_us, hurry, out);
    for (t = core->tasks; t; t = next) {
        next = t->hh.next;
        if (t->state == TASK_HELD || t->state == TASK_WAITING)
            task_fail(core, t, PTOOLS_ERR_DRAINING, NULL, false, out, "the daemon is about to end");
        else if (hurry && t != &core->keeper)
            core_stop_task(core, now_us, t, STOP_DRAIN, out);
    }
}
