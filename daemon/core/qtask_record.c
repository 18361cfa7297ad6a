/* SPDX-License-Identifier: MIT */
/*
 * qtask_record -- what the journal is told of a queued task, what happens when it has it, and how tasks come back
 * from it after a restart.
 *
 * Rows have numbers that rise; what waits for one stands in a ring in the same order, so that "recorded up to n"
 * takes from its front. An entry names its task by number: when that has gone, or has gone on, the entry means
 * nothing any more.
 *
 * After a restart: what waited waits; what was to be stopped is cancelled; what had begun is run again if it is
 * idempotent and has attempts left, else it is lost, and says that it may have been executed; what had ended is known
 * with its result. Where it was to wait a time, it waits what is left of it by the clock, but never longer than it was
 * to wait at first.
 */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "daemon/core/state.h"

static bool pending_add(struct core *core, const struct pending *p)
{
    if (core->n_pending == core->pending_cap) {
        const size_t cap = core->pending_cap ? core->pending_cap * 2 : 64;
        struct pending *v = calloc(cap, sizeof *v);

        if (!v)
            return false;
        for (size_t i = 0; i < core->n_pending; i++)
            v[i] = core->pending[(core->pending_first + i) % core->pending_cap];
        free(core->pending);
        core->pending = v;
        core->pending_cap = cap;
        core->pending_first = 0;
    }
    core->pending[(core->pending_first + core->n_pending++) % core->pending_cap] = *p;
    return true;
}

static void put(struct core *core, struct core_row *row, enum pending_kind then, struct actions *out)
{
    const struct pending p = { .number = core->row_number + 1, .task = row ? row->task : 0, .kind = then };
    struct action *act = row ? action_add(out, ACT_RECORD) : NULL;

    if (!act || (then != PENDING_NOTHING && !pending_add(core, &p))) {
        out->no_memory = true;
        if (act)
            act->type = ACT_NOTE, act->text[0] = '\0';
        core_row_free(row);
        return;
    }
    row->number = ++core->row_number;
    act->row = row;
}

/* What was submitted, and, as if it had been said there, that its function is idempotent: nobody knows that after a
 * restart before its module is loaded, which may be never. */
static struct blob *recorded_spec(struct core *core, struct qtask *q)
{
    struct msg_request r = { .kind = MSG_TASK_SUBMIT, .id = 1 };
    struct blob *blob = NULL;
    struct bytes bytes;

    if (q->idempotent)
        qtask_spec(core, q, &r.submit);
    if (!q->idempotent || r.submit.idempotent || r.submit.function.n == 0)
        return blob_ref(q->spec);
    r.submit.idempotent = true;
    bytes_init(&bytes, ENVELOPE_BYTES_MAX);
    msg_request_encode(&r, &bytes);
    blob = bytes.err ? NULL : blob_new(bytes.data, bytes.n);
    bytes_deinit(&bytes);
    return blob ? blob : blob_ref(q->spec); /* no memory: it is learned later */
}

void record_new(struct core *core, struct qtask *q, bool more, enum pending_kind then, struct actions *out)
{
    struct core_row *row = calloc(1, sizeof *row);

    if (row) {
        row->kind = ROW_NEW;
        row->durable = q->durability == TASK_DURABLE;
        row->refusable = true;
        row->more = more;
        row->task = q->id;
        row->uid = q->user->uid;
        row->parent = q->x ? q->x->parent : 0;
        row->queued_ms = q->queued_ms;
        row->spec = recorded_spec(core, q);
        row->args = q->args ? blob_ref(q->args) : NULL;
    }
    put(core, row, then, out);
}

static void put_life(struct core *core, struct qtask *q, bool durable, bool refusable, enum pending_kind then,
                     struct actions *out)
{
    const bool ended = q->state == QT_ENDING || q->state == QT_ENDED;
    struct core_row *row = core->storage_failed ? NULL : calloc(1, sizeof *row);

    if (core->storage_failed)
        return;
    if (row) {
        row->kind = ROW_LIFE;
        row->durable = durable;
        row->refusable = refusable;
        row->task = q->id;
        row->uid = q->user->uid;
        row->life = (struct core_life){
            .state = ended ? q->shown : qtask_shown(q),
            .attempt = q->attempt,
            .kills = q->kills,
            .losses = q->losses,
            .worker = q->worker,
            .flags = (q->hold ? LIFE_HOLD : 0u) | (q->idempotent ? LIFE_IDEMPOTENT : 0u) |
                     (q->rerun ? LIFE_RERUN : 0u) | (ended && q->end->maybe_executed ? LIFE_MAYBE_EXECUTED : 0u) |
                     (q->was_read ? LIFE_READ : 0u) | (q->after_gone ? LIFE_AFTER_GONE : 0u) |
                     (q->stopping && !ended ? LIFE_STOPPING : 0u),
            .priority = q->priority,
            .started_ms = q->started_ms,
            .detail = !q->x          ? 0
                      : q->is_parent ? q->x->parts
                                     : q->x->met,
        };
        if (q->due_us > core->now_us && !ended)
            row->life.due_ms = core_time_ms(core) + (q->due_us - core->now_us) / 1000;
        if (ended) {
            row->life.ended_ms = q->end->ended_ms;
            row->outcome = blob_ref(q->end->outcome);
            row->value = q->end->value ? blob_ref(q->end->value) : NULL;
        }
    }
    put(core, row, then, out);
}

void record_life(struct core *core, struct qtask *q, bool durable, enum pending_kind then, struct actions *out)
{
    put_life(core, q, durable, false, then, out);
}

void record_read(struct core *core, struct qtask *q, struct actions *out)
{
    put_life(core, q, false, true, PENDING_NOTHING, out); /* without space it is unread for the next daemon */
}

void record_as_one(struct core *core, uint64_t since, struct actions *out)
{
    for (size_t i = out->n; i-- > 0 && core->row_number > since;) {
        struct core_row *row = out->v[i].type == ACT_RECORD ? out->v[i].row : NULL;

        if (row && row->number <= since)
            return;
        if (row && row->number < core->row_number)
            row->more = true;
    }
}

void record_answer(struct core *core, uint64_t since, uint32_t client, uint64_t request, const struct msg_reply *reply,
                   struct actions *out)
{
    const struct pending p = { .number = core->row_number, .kind = PENDING_ANSWER, .client = client, .request = request,
                               .count = reply->count, .skipped = reply->skipped, .state = reply->state };

    if (core->row_number == since)
        answer_reply(out, client, request, reply, NULL);
    else if (!pending_add(core, &p))
        out->no_memory = true;
}

void record_forget(struct core *core, const struct qtask *q, struct actions *out)
{
    struct core_row *row = core->storage_failed ? NULL : calloc(1, sizeof *row);

    if (core->storage_failed)
        return;
    if (row) {
        row->kind = ROW_FORGET;
        row->task = q->id;
        row->uid = q->user->uid;
    }
    put(core, row, PENDING_NOTHING, out);
}

void record_pause(struct core *core, const struct user *user, bool paused, struct text tag, struct actions *out)
{
    struct core_row *row = calloc(1, sizeof *row);

    if (row) {
        row->kind = paused ? ROW_PAUSE : ROW_RESUME;
        row->uid = user->uid;
        row->spec = blob_new(tag.n ? tag.data : "", tag.n);
        if (!row->spec)
            row = core_row_free(row);
    }
    put(core, row, PENDING_NOTHING, out);
}

static void answer_pending(const struct pending *p, struct actions *out)
{
    const struct msg_reply reply = { .count = p->count, .skipped = p->skipped, .state = p->state };

    answer_reply(out, p->client, p->request, &reply, NULL);
}

bool records_left(const struct core *core)
{
    return core->n_pending > 0 && core->pending[core->pending_first].number <= core->recorded;
}

static void take_recorded(struct core *core, bool all, struct actions *out)
{
    while (records_left(core) && (all || core_more_work(core))) {
        const struct pending p = core->pending[core->pending_first];
        struct qtask *q = qtask_find(core, p.task);

        core->pending_first = (core->pending_first + 1) % core->pending_cap;
        core->n_pending--;
        if (p.kind == PENDING_ANSWER)
            answer_pending(&p, out);
        else if (p.kind == PENDING_GIVE)
            qtask_give_booked(core, p.number, p.task, out);
        else if (q && p.kind == PENDING_ACCEPT && q->state == QT_RECORDING)
            qtask_accepted_now(core, q, out);
        else if (q && p.kind == PENDING_SETTLE && q->state == QT_ENDING)
            qtask_settle(core, q, out);
    }
}

void records_go_on(struct core *core, struct actions *out)
{
    take_recorded(core, false, out);
}

void core_recorded(struct core *core, uint64_t now_us, uint64_t number, struct actions *out)
{
    core->now_us = now_us;
    core->recorded = MAX(core->recorded, number);
    take_recorded(core, false, out);
}

void core_record_refused(struct core *core, uint64_t now_us, uint64_t number, const char *why, struct actions *out)
{
    struct qtask *q = NULL;

    core->now_us = now_us;
    for (size_t i = 0; i < core->n_pending && !q; i++) {
        struct pending *p = &core->pending[(core->pending_first + i) % core->pending_cap];

        if (p->number > number)
            break;
        if (p->number == number && p->kind == PENDING_ACCEPT) { /* of any other that may be refused nothing follows */
            q = qtask_find(core, p->task);
            p->kind = PENDING_NOTHING;
        }
    }
    if (q && q->state == QT_RECORDING)
        qtask_refused(core, q, PTOOLS_ERR_NO_SPACE, why, out);
}

void core_record_failed(struct core *core, uint64_t now_us, const char *why, struct actions *out)
{
    core->now_us = now_us;
    if (core->storage_failed)
        return;
    take_recorded(core, true, out);
    core->storage_failed = why;
    while (core->n_pending > 0) {
        const struct pending p = core->pending[core->pending_first];
        struct qtask *q = qtask_find(core, p.task);
        struct task *t;

        core->pending_first = (core->pending_first + 1) % core->pending_cap;
        core->n_pending--;
        if (p.kind == PENDING_ANSWER)
            answer_refusal(out, p.client, p.request, PTOOLS_ERR_STORAGE, "%s", why);
        if (!q)
            continue;
        if (q->state == QT_RECORDING) {
            qtask_refused(core, q, PTOOLS_ERR_STORAGE, why, out);
        } else if (p.kind == PENDING_GIVE && (t = task_find(core, p.task)) && t->state == TASK_BOOKED) {
            task_attempt_back(core, t, false, out); /* it is not run: nobody would know */
        } else if (q->state == QT_ENDING) {         /* whoever waits is told that how it ended is not kept */
            watchers_refused(core, q, PTOOLS_ERR_STORAGE, why, out);
        }
    }
}

/* -- after a restart ------------------------------------------------------------------------------------------ */

static int refuse(char why[256], uint64_t task, const char *what)
{
    snprintf(why, 256, "task %" PRIu64 ": %s", task, what);
    return -EINVAL;
}

static int recover_end(struct core *core, struct qtask *q, const struct core_row *life, struct actions *out,
                       char why[256])
{
    struct qend *end = calloc(1, sizeof *end);
    struct msg_answer answer;
    struct msg_problem problem;

    if (!end)
        return -ENOMEM;
    if (!life->outcome ||
        msg_answer_decode(core->decoder, life->outcome->data, life->outcome->n, &answer, &problem) != 0) {
        free(end);
        return refuse(why, q->id, "it has ended, and how cannot be read");
    }
    end->code = answer.failed ? answer.failure.code : PTOOLS_OK;
    end->maybe_executed = life->life.flags & LIFE_MAYBE_EXECUTED;
    end->worker = life->life.worker;
    end->attempt = life->life.attempt;
    end->ended_ms = life->life.ended_ms;
    end->outcome = blob_ref(life->outcome);
    end->value = life->value ? blob_ref(life->value) : NULL;
    qtask_leave_set(core, q); /* its links are those of the ended ones */
    core->n_qtasks[q->state]--;
    core->n_qtasks[QT_ENDED]++;
    q->state = QT_ENDED;
    q->shown = (uint8_t)life->life.state;
    q->end = end;
    qtask_keep(core, q, out);
    return 0;
}

/* 0 or -ENOMEM. */
static int recover_detail(struct qtask *q, uint64_t detail)
{
    if (detail == 0)
        return 0;
    if (!qtask_extra(q))
        return -ENOMEM;
    if (q->is_parent)
        q->x->parts = (uint32_t)MIN(detail, WORKERS_MAX);
    else
        q->x->met = detail;
    return 0;
}

/* A time of day is compared with what it is now; a delay ends when it would have ended, but if the machine was started
 * anew with another clock, it is not longer than it was at first. */
static void recover_due(struct core *core, struct qtask *q, uint64_t due_ms, const struct msg_submit *submit)
{
    const uint64_t now_ms = core_time_ms(core);

    q->due_us = 0;
    if (due_ms && submit->start_ms && q->attempt == 0 && !q->rerun)
        recover_delay(core, q, submit);
    else if (due_ms > now_ms)
        q->due_us = core->now_us + MIN((due_ms - now_ms) * 1000, qtask_longest_wait_us(q, submit));
}

static int recover_life(struct core *core, struct qtask *q, const struct core_row *life,
                        const struct msg_submit *submit, struct actions *out, char why[256])
{
    if (recover_detail(q, life->life.detail) < 0)
        return -ENOMEM;
    q->attempt = (uint16_t)life->life.attempt;
    q->kills = (uint8_t)life->life.kills;
    q->losses = (uint8_t)life->life.losses;
    q->worker = life->life.worker;
    q->hold = life->life.flags & LIFE_HOLD;
    q->idempotent = life->life.flags & LIFE_IDEMPOTENT;
    q->priority = life->life.priority;
    q->started_ms = life->life.started_ms;
    q->rerun = life->life.flags & LIFE_RERUN;
    q->was_read = life->life.flags & LIFE_READ;
    q->after_gone = life->life.flags & LIFE_AFTER_GONE;
    q->stopping = life->life.flags & LIFE_STOPPING;
    recover_due(core, q, life->life.due_ms, submit);
    if (q->attempt == 0 && !q->rerun)
        recover_expiry(core, q, submit);
    qtask_learn_function(q, NULL, submit);
    if (life->life.attempt > q->attempts)
        return refuse(why, q->id, "it was tried more often than it may be");
    if (isnan(q->priority))
        return refuse(why, q->id, "its priority is no number");
    if (task_shown_ended(life->life.state))
        return recover_end(core, q, life, out, why);
    q->was_running = life->life.state == SHOWN_RUNNING;
    return 0;
}

/* What a part is of may be forgotten; but if it is there, it is a whole of the same user, whose parts follow it. */
static bool is_part(const struct core *core, const struct core_row *task)
{
    const struct qtask *whole = qtask_find(core, task->parent);

    return task->parent < task->task && (!whole || (whole->is_parent && whole->user->uid == task->uid &&
                                                    task->task - task->parent <= WORKERS_MAX));
}

int core_recover(struct core *core, uint64_t now_us, const struct core_row *task, const struct core_row *life,
                 const struct msg_submit *submit, struct actions *out, char why[256])
{
    const uint32_t state = life ? life->life.state : SHOWN_WAITING;
    struct user *user;
    struct qtask *q;
    int r;

    core->now_us = now_us;
    if (task->task == 0 || qtask_after(core, task->task - 1))
        return refuse(why, task->task, "its number is not above the one before");
    if (state == 0 || state >= SHOWN_STATES)
        return refuse(why, task->task, "its state is none that there is");
    if (task->parent && !is_part(core, task))
        return refuse(why, task->task, "it is no part of what it says");
    if (user_get(core, task->uid, &user) < 0)
        return -ENOMEM;
    q = qtask_new(core, user, task->task, task->spec, task->args);
    if (!q) {
        user_release(core, user);
        return -ENOMEM;
    }
    q->recovered = true;
    q->queued_ms = task->queued_ms;
    r = qtask_register(core, q);
    if (r == 0)
        r = qtask_describe(core, q, submit, task->parent);
    if (r < 0) {
        qtask_free(core, q);
        return r;
    }
    core->n_qtasks[q->state]--;
    core->n_qtasks[QT_WAITING]++;
    q->state = QT_WAITING;
    if (life)
        r = recover_life(core, q, life, submit, out, why);
    else
        recover_delay(core, q, submit);
    if (r < 0) {
        qtask_free(core, q);
        return r;
    }
    q->turn = turn_next(core, q, user->recovered_turn);
    core->next_task = MAX(core->next_task, task->task + 1);
    if (!life && task->parent && !qtask_find(core, task->parent)) {
        core->settling = true; /* no room is made before all are there */
        qtask_forget(core, q, out); /* its whole, which has a lower number, was never accepted */
        core->settling = false;
    }
    return 0;
}

/* What ran when the daemon ended. */
static void recover_running(struct core *core, struct qtask *q, struct actions *out)
{
    struct msg_failure f = {
        .code = PTOOLS_ERR_DAEMON_DIED, .worker = q->worker, .attempt = q->attempt, .maybe_executed = true
    };
    static const char died[] = "the daemon died while it ran: it may have been executed";

    q->was_running = false;
    if (q->idempotent && q->attempt < q->attempts && (q->retry_on & RETRY_DIED)) {
        qtask_retry(core, q);
        record_life(core, q, false, PENDING_NOTHING, out);
        qtask_place(core, q, out);
        return;
    }
    f.message = (struct text){ died, sizeof died - 1 };
    qtask_end(core, q, SHOWN_LOST, &f, NULL, out);
}

void core_recovered(struct core *core, uint64_t now_us, struct actions *out)
{
    struct qtask *q;

    core->now_us = now_us;
    for (q = qtask_after(core, 0); q; q = qtask_after(core, q->id))
        qtask_reconnect(core, q, out);
    for (q = qtask_after(core, 0); q; q = qtask_after(core, q->id)) {
        if (q->state != QT_WAITING)
            continue;
        if (q->stopping)
            qtask_cancel(core, q, out); /* it was cancelled, and had not ended */
        else if (q->was_running)
            recover_running(core, q, out);
        else if (!q->is_parent)
            qtask_place(core, q, out);
        if (q->is_parent)
            qtask_whole_ended(core, q, out); /* if it has */
    }
}
