/* SPDX-License-Identifier: MIT */
/*
 * qtask_change -- what clients ask of queued tasks that are there: results, changes, priorities.
 *
 * A request about several tasks is done to each of them, or not, as its state allows; how many is the answer. Of a
 * single one that it could not be done to, the answer is why.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "daemon/core/state.h"

static void cancel_waiting(struct core *core, struct qtask *q, struct actions *out)
{
    qtask_end_text(core, q, SHOWN_CANCELLED, PTOOLS_ERR_CANCELLED, out, "cancelled on request");
}

static void stop(struct core *core, struct qtask *q, const struct msg_task *how, struct actions *out);

static void cancel_parts(struct core *core, struct qtask *q, const struct msg_task *how, struct actions *out)
{
    const uint32_t n = q->x ? q->x->parts : 0;
    const uint64_t id = q->id;

    for (uint32_t i = 1; i <= n; i++) {
        struct qtask *part = qtask_find(core, id + i);

        if (part && part->state >= QT_WAITING && part->state <= QT_GIVEN)
            stop(core, part, how, out);
    }
}

/* It ends later. That it is to end outlives the daemon, as its end does. */
static void note_stopping(struct core *core, struct qtask *q, struct actions *out)
{
    if (qtask_journaled(q))
        record_life(core, q, q->durability == TASK_DURABLE, PENDING_NOTHING, out);
}

/* How: the change that was asked for; NULL: nobody has said how long what runs may take to end. */
static void stop(struct core *core, struct qtask *q, const struct msg_task *how, struct actions *out)
{
    if (q->state == QT_HELD) {
        qtask_refused(core, q, PTOOLS_ERR_CANCELLED, "cancelled on request", out);
    } else if (q->state == QT_RECORDING) {
        q->stopping = true;
        note_stopping(core, q, out);
    } else if (q->x && q->x->parts > 0) {
        cancel_parts(core, q, how, out); /* its own end follows theirs */
    } else if (q->state == QT_GIVEN) {
        q->stopping = true;
        if (how && (how->grace_ms || how->at_once))
            core_stop_task_within(core, core->now_us, q->run, STOP_CANCEL, how->at_once ? 0 : how->grace_ms * 1000,
                                  out);
        else
            core_stop_task(core, core->now_us, q->run, STOP_CANCEL, out);
        if (q->state == QT_GIVEN)
            note_stopping(core, q, out);
    } else if (q->state == QT_WAITING || q->state == QT_QUEUED) {
        cancel_waiting(core, q, out);
    }
}

void qtask_cancel(struct core *core, struct qtask *q, struct actions *out)
{
    stop(core, q, NULL, out);
}

/* The journal has failed: of what it has, nothing is changed any more that would be forgotten with this daemon. */
static bool is_frozen(const struct core *core, const struct qtask *q)
{
    return core->storage_failed && q && qtask_journaled(q);
}

static void refuse_frozen(const struct core *core, const struct client *c, uint64_t request, struct actions *out)
{
    answer_refusal(out, c->id, request, PTOOLS_ERR_STORAGE, "%s", core->storage_failed);
}

bool queued_cancel(struct core *core, struct client *c, uint64_t request, const struct msg_cancel *cancel,
                   struct actions *out)
{
    const struct msg_reply reply = { 0 };
    const uint64_t since = core->row_number;
    struct watcher *w;

    if (cancel->task) {
        uint64_t id = cancel->task;
        const struct msg_task m = { .n_tasks = 1, .tasks = &id, .change = CHANGE_CANCEL };

        if (!qtask_of(core, c->user, id))
            return false;
        queued_change(core, c, request, &m, out);
        return true;
    }
    if ((w = watcher_find(core, c, cancel->request))) {
        if ((w->result || w->accept) && is_frozen(core, w->task)) {
            refuse_frozen(core, c, request, out);
            return true;
        }
        if (w->result || w->accept) /* the request was the submission: it is answered when the task has ended */
            qtask_cancel(core, w->task, out);
        else
            watcher_refuse(core, w, PTOOLS_ERR_CANCELLED, "the wait was cancelled; the queued task goes on", out);
    } else if (blocked_cancel(c, cancel->request, PTOOLS_ERR_CANCELLED, "cancelled on request", out)) {
        user_unblock(core, c->user, out); /* who is behind it may need less room */
    } else {
        return false;
    }
    record_answer(core, since, c->id, request, &reply, out);
    return true;
}

/* -- changes -------------------------------------------------------------------------------------------------- */

static void note_life(struct core *core, struct qtask *q, struct actions *out)
{
    if (qtask_journaled(q))
        record_life(core, q, q->durability == TASK_DURABLE, PENDING_NOTHING, out);
}

static void rerun(struct core *core, struct qtask *q, struct actions *out)
{
    struct qtask *whole = qtask_whole_of(core, q);
    struct msg_submit spec;

    if (!qtask_step(core, q, QE_RERUN, out))
        return;
    if (whole) { /* it waits for this one again */
        whole->x->parts_left++;
        whole->x->parts_failed -= q->shown != SHOWN_DONE;
    }
    qtask_unend(core, q);
    qtask_spec(core, q, &spec);
    q->attempt = 0;
    q->kills = q->losses = 0;
    q->due_us = 0;
    q->hold = false;
    q->rerun = true; /* now, whatever it had to come after, and however late it is */
    if (q->x)
        q->x->expire_us = 0;
    q->stopping = false;
    if (q->in_set && qtask_find_set(core, q, &spec) < 0) {
        out->no_memory = true;
        return;
    }
    note_life(core, q, out);
    event_emit(core, q, EVENT_QUEUED, PTOOLS_OK, out);
    qtask_place(core, q, out);
    user_unblock(core, q->user, out); /* there is one less that has ended */
}

/* Whether this change has it run again after its end: so it is in the queue again. */
static bool comes_back(const struct qtask *q, enum task_change change)
{
    if (q->state != QT_ENDED || q->is_parent) /* the end of a whole is that of its parts */
        return false;
    return change == CHANGE_RERUN || (change == CHANGE_KICK && q->shown == SHOWN_DEAD);
}

/* All that come back count as if they were new, and all of them do, or none. */
static bool come_back_over(struct core *core, const struct client *c, uint64_t request, const struct msg_task *m,
                           struct actions *out)
{
    uint64_t n = 0, bytes = 0;
    struct excess e;

    for (uint32_t i = 0; i < m->n_tasks; i++) {
        const struct qtask *q = qtask_of(core, c->user, m->tasks[i]);

        if (!q || !comes_back(q, (enum task_change)m->change))
            continue;
        n++;
        bytes += q->spec->n + (q->args ? q->args->n : 0);
    }
    if (n > 0 && core->draining) {
        answer_refusal(out, c->id, request, PTOOLS_ERR_DRAINING, "the daemon is about to end and runs nothing again");
        return true;
    }
    if (!queue_exceeded(core, c->user, n, bytes, &e))
        return false;
    queue_refuse(core, c->id, request, &e, out);
    return true;
}

static bool change_one(struct core *core, struct qtask *q, const struct msg_task *m, struct actions *out);

/* Whether it could be done to any of them. */
static bool change_parts(struct core *core, const struct qtask *q, const struct msg_task *m, struct actions *out)
{
    const uint64_t id = q->id;
    bool changed = false;

    for (uint32_t i = q->x->parts; i > 0; i--) {
        struct qtask *part = qtask_find(core, id + i);

        changed |= part && change_one(core, part, m, out);
    }
    return changed;
}

/* All parts that wait, if no worker has begun any; else none. */
static bool dequeue_parts(struct core *core, struct qtask *q, struct actions *out)
{
    const uint64_t since = core->row_number;
    bool waits = false;

    for (uint32_t i = 1; i <= q->x->parts; i++) {
        const struct qtask *part = qtask_find(core, q->id + i);

        if (part && (part->state == QT_WAITING || part->state == QT_QUEUED))
            waits = true;
        else if (part && part->attempt > 0)
            return false;
    }
    if (!waits)
        return false;
    cancel_parts(core, q, NULL, out);
    record_as_one(core, since, out);
    return true;
}

static bool change_one(struct core *core, struct qtask *q, const struct msg_task *m, struct actions *out)
{
    const enum task_change change = (enum task_change)m->change;
    const bool waits = q->state == QT_WAITING || q->state == QT_QUEUED, whole = q->is_parent;

    switch (change) {
    case CHANGE_DEQUEUE:
        if (!waits)
            return false;
        if (whole)
            return dequeue_parts(core, q, out);
        cancel_waiting(core, q, out);
        return true;
    case CHANGE_CANCEL:
        if (!waits && q->state != QT_GIVEN)
            return false;
        stop(core, q, m, out);
        return true;
    case CHANGE_HOLD:
    case CHANGE_RELEASE:
        if (whole)
            return change_parts(core, q, m, out);
        if (!waits || q->hold == (change == CHANGE_HOLD))
            return false;
        q->hold = change == CHANGE_HOLD;
        note_life(core, q, out);
        qtask_place(core, q, out);
        return true;
    case CHANGE_KICK:
        if (comes_back(q, change)) {
            rerun(core, q, out);
            (void)breaker_kick(core, q, out);
            return true;
        }
        if (whole && waits && !change_parts(core, q, m, out))
            return false;
        if (q->state == QT_QUEUED)
            return breaker_kick(core, q, out);
        if (q->state != QT_WAITING || q->due_us <= core->now_us)
            return whole && waits;
        q->due_us = 0;
        note_life(core, q, out);
        qtask_place(core, q, out);
        (void)breaker_kick(core, q, out);
        return true;
    case CHANGE_RERUN:
        if (!comes_back(q, change))
            return false;
        rerun(core, q, out);
        return true;
    case CHANGE_FORGET:
        if (q->state != QT_ENDED || qtask_whole_of(core, q))
            return false;
        qtask_forget(core, q, out);
        return true;
    }
    return false;
}

static const char *needs(const struct core *core, const struct qtask *q, enum task_change change)
{
    switch (change) {
    case CHANGE_DEQUEUE:
        return "only one that no worker has begun, nor any part of it, can be taken out";
    case CHANGE_CANCEL:
        return "it has ended";
    case CHANGE_HOLD:
        return "only one that waits, and is not on hold, can be held";
    case CHANGE_RELEASE:
        return "it is not on hold";
    case CHANGE_KICK:
        if (q->state == QT_QUEUED && breaker_holds(core, q))
            return "another task of its function is tried first";
        return "only one that waits for a time, or until its function is tried again, or is dead, can be kicked";
    case CHANGE_RERUN:
        return "only one that has ended, and has no parts, can be run again";
    case CHANGE_FORGET:
        return "only one that has ended can be forgotten, and a part only when its whole has";
    }
    return "";
}

void queued_change(struct core *core, struct client *c, uint64_t request, const struct msg_task *m, struct actions *out)
{
    const uint64_t since = core->row_number;
    struct msg_reply reply = { 0 };

    for (uint32_t i = 0; core->storage_failed && i < m->n_tasks; i++) { /* all that is asked for, or nothing */
        if (is_frozen(core, qtask_of(core, c->user, m->tasks[i]))) {
            refuse_frozen(core, c, request, out);
            return;
        }
    }
    if (come_back_over(core, c, request, m, out))
        return;
    for (uint32_t i = 0; i < m->n_tasks; i++) {
        struct qtask *q = qtask_of(core, c->user, m->tasks[i]);
        const uint32_t shown = q ? qtask_shown(q) : 0;

        if (q && change_one(core, q, m, out)) {
            reply.count++;
            q = m->n_tasks == 1 ? qtask_of(core, c->user, m->tasks[0]) : NULL;
            reply.state = q ? q->state == QT_ENDING ? q->shown : qtask_shown(q) : 0;
        } else if (m->n_tasks > 1) {
            reply.skipped++;
        } else if (!q) {
            answer_refusal(out, c->id, request, PTOOLS_ERR_NO_TASK, "no queued task %" PRIu64, m->tasks[0]);
            return;
        } else {
            const struct msg_failure f = { .code = PTOOLS_ERR_NOT_NOW, .task = q->id, .state = shown };
            char text[200];

            snprintf(text, sizeof text, "task %" PRIu64 " is %s: %s", q->id, task_shown_name(shown),
                     needs(core, q, (enum task_change)m->change));
            answer_failure(out, c->id, request, &f, text);
            return;
        }
    }
    record_answer(core, since, c->id, request, &reply, out);
}

enum { SPARE_PAIRS = 4096 }; /* that may be of tasks that went meanwhile */

/* -- priorities -------------------------------------------------------------------------------------------------- */

static struct qtask *pair_at(const struct core *core, const struct user *user, const uint8_t *data, size_t at,
                             struct msg_priority *ret)
{
    memcpy(ret, data + at, sizeof *ret);
    return qtask_of(core, user, ret->task);
}

/* False: it does not wait. */
static bool set_priority(struct core *core, struct qtask *q, double priority)
{
    if (q->state != QT_WAITING && q->state != QT_QUEUED)
        return false;
    if (q->priority == priority)
        return true;
    q->priority = priority;
    if (q->state == QT_QUEUED)
        backlog_rerank(core, q);
    q->changed = true;
    return true;
}

/* A whole passes its priority on to its parts: once, the last that it is given. What they are given themselves comes
 * after that. */
static void set_wholes(struct core *core, const struct user *user, const uint8_t *data, size_t n)
{
    for (size_t at = n; at > 0;) {
        struct msg_priority p;
        struct qtask *q;

        at -= sizeof p;
        q = pair_at(core, user, data, at, &p);
        if (!q || !q->is_parent || q->passed || q->state != QT_WAITING)
            continue;
        q->passed = true;
        for (uint32_t i = 1; i <= q->x->parts; i++) {
            struct qtask *part = qtask_find(core, q->id + i);

            q->changed |= part && set_priority(core, part, p.priority);
        }
        if (q->changed)
            q->priority = p.priority;
    }
}

static void note_change(struct core *core, struct qtask *q, struct actions *out)
{
    if (q->changed)
        note_life(core, q, out);
    q->changed = false;
}

void core_priorities(struct core *core, uint64_t now_us, uint32_t client, uint64_t request, const uint8_t *data,
                     size_t n, struct actions *out)
{
    struct client *c = client_find(core, client);
    const uint64_t since = core->row_number;
    struct msg_reply reply = { 0 };
    struct msg_priority p;

    core->now_us = now_us;
    if (!c) {
        action_bug(out, 0, 0, "a request of client %" PRIu32 ", which there is not", client);
        return;
    }
    if (n == 0 || n % sizeof p != 0) {
        answer_refusal(
            out, client, request, PTOOLS_ERR_BAD_REQUEST,
            "task-priorities: the payload must be pairs of 8 bytes task and 8 bytes priority; it has %zu bytes", n);
        return;
    }
    if (n / sizeof p > (uint64_t)c->user->n_queued + c->user->n_kept + SPARE_PAIRS) {
        answer_refusal(out, client, request, PTOOLS_ERR_BAD_REQUEST,
                       "task-priorities: %zu pairs, and there are %" PRIu32 " tasks", n / sizeof p, c->user->n_queued);
        return;
    }
    for (size_t i = 0; i < n; i += sizeof p) { /* all or nothing: what is wrong is found before anything is changed */
        memcpy(&p, data + i, sizeof p);
        if (isnan(p.priority)) {
            answer_refusal(out, client, request, PTOOLS_ERR_BAD_REQUEST,
                           "task-priorities: the priority of task %" PRIu64 " is not a number", p.task);
            return;
        }
        if (core->storage_failed && is_frozen(core, qtask_of(core, c->user, p.task))) {
            refuse_frozen(core, c, request, out);
            return;
        }
    }
    set_wholes(core, c->user, data, n);
    for (size_t i = 0; i < n; i += sizeof p) {
        struct qtask *q = pair_at(core, c->user, data, i, &p);

        if (q && (q->is_parent ? q->changed : set_priority(core, q, p.priority)))
            reply.count++;
        else
            reply.skipped++;
    }
    for (size_t i = 0; i < n; i += sizeof p) { /* once each, though it may be there twice */
        struct qtask *q = pair_at(core, c->user, data, i, &p);

        if (q)
            note_change(core, q, out);
        for (uint32_t k = 1; q && q->passed && k <= q->x->parts; k++) {
            struct qtask *part = qtask_find(core, q->id + k);

            if (part)
                note_change(core, part, out);
        }
        if (q)
            q->passed = false;
    }
    record_as_one(core, since, out);
    record_answer(core, since, client, request, &reply, out);
}

/* -- the rest ------------------------------------------------------------------------------------------------------ */

/* A key of the user's, or one that passes: who asks has the one it sent. */
static struct qtask *find_key(struct core *core, const struct user *user, struct text key)
{
    struct qtask *q = qtask_by_key(core, user, key, false);

    return q ? q : qtask_by_key(core, user, key, true);
}

static struct qtask *the_task(struct core *core, struct client *c, uint64_t request, const struct msg_task *m,
                              struct actions *out)
{
    struct qtask *q = m->task ? qtask_of(core, c->user, m->task) : find_key(core, c->user, m->key);

    if (q && qtask_accepted(q))
        return q;
    if (m->task)
        answer_refusal(out, c->id, request, PTOOLS_ERR_NO_TASK, "no queued task %" PRIu64, m->task);
    else
        answer_refusal(out, c->id, request, PTOOLS_ERR_NO_TASK, "no queued task of that key");
    return NULL;
}

static void result(struct core *core, struct client *c, uint64_t request, struct qtask *q, struct actions *out)
{
    if (q->state == QT_ENDED) {
        qtask_answer_end(core, q, c->id, request, out);
        user_unblock(core, c->user, out); /* it may make room now */
    } else if (!watchers_over(c, request, 1, out) && !qtask_watch(core, q, c, request)) {
        answer_refusal(out, c->id, request, PTOOLS_ERR_LIMIT, "the daemon is out of memory");
    }
}

static void why(struct client *c, uint64_t request, struct core *core, struct qtask *q, struct actions *out)
{
    struct action *act = action_add(out, ACT_ANSWER);

    if (!act)
        return;
    qtask_why(core, q, act->text);
    act->client = c->id;
    act->answer.id = request;
    act->answer.reply =
        (struct msg_reply){ .task = q->id, .state = qtask_shown(q), .reason = { act->text, strlen(act->text) } };
}

void core_queued(struct core *core, uint64_t now_us, uint32_t client, uint64_t request, enum msg_kind kind,
                 const struct msg_task *m, struct actions *out)
{
    struct client *c = client_find(core, client);
    struct qtask *q;

    core->now_us = now_us;
    if (!c) {
        action_bug(out, 0, 0, "a request of client %" PRIu32 ", which there is not", client);
        return;
    }
    if (request_in_use(core, c, request)) {
        answer_refusal(out, client, request, PTOOLS_ERR_BAD_REQUEST, "id: request %" PRIu64 " is in flight already",
                       request);
        return;
    }
    switch (kind) {
    case MSG_TASK_RESULT:
    case MSG_TASK_WHY:
        q = the_task(core, c, request, m, out);
        if (q && kind == MSG_TASK_RESULT)
            result(core, c, request, q, out);
        else if (q)
            why(c, request, core, q, out);
        return;
    case MSG_TASK_WAIT:
        queued_wait(core, c, request, m, out);
        return;
    case MSG_TASK_CHANGE:
        queued_change(core, c, request, m, out);
        return;
    case MSG_EVENTS:
        queued_events(core, c, request, m, out);
        return;
    case MSG_EVENTS_END:
        queued_events_end(core, c, request, m, out);
        return;
    case MSG_QUEUE_PAUSE:
    case MSG_QUEUE_RESUME:
        queued_pause(core, c, request, kind == MSG_QUEUE_PAUSE, m->tag, out);
        return;
    default:
        action_bug(out, 0, 0, "core_queued: %s is not about queued tasks", msg_kind_name(kind));
    }
}
