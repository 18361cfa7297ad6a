/* SPDX-License-Identifier: MIT */
/*
 * qtask_end -- how a queued task ends, who is told, what follows, and when it is forgotten.
 *
 * It ends once: qtask_end() fixes how. If it is journaled, nobody hears of it before the row is there; then
 * qtask_settle() tells all who wait, lets go on or cancels what waits for it, and starts the time for which it is kept.
 * The oldest that are kept make room when there are more than a user may have.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "daemon/core/state.h"

enum { OUTCOME_BYTES_MAX = 65536 };

struct qend *qend_free(struct qend *end)
{
    if (!end)
        return NULL;
    blob_free(end->outcome);
    blob_free(end->value);
    free(end);
    return NULL;
}

static struct blob *encode_outcome(const struct msg_answer *answer)
{
    struct bytes bytes;
    struct blob *blob;

    bytes_init(&bytes, OUTCOME_BYTES_MAX);
    msg_answer_encode(answer, &bytes);
    blob = bytes.err ? NULL : blob_new(bytes.data, bytes.n);
    bytes_deinit(&bytes);
    return blob;
}

static struct qend *end_new(const struct qtask *q, uint32_t shown, const struct msg_failure *facts, struct blob *value)
{
    struct qend *end = calloc(1, sizeof *end);
    struct msg_answer answer = { .id = 1, .failed = facts->code != PTOOLS_OK };

    if (!end)
        return NULL;
    if (answer.failed) {
        answer.failure = *facts;
        answer.failure.task = q->id;
        answer.failure.state = shown;
    } else {
        answer.reply = (struct msg_reply){ .task = q->id,
                                           .worker = q->worker,
                                           .attempt = q->attempt,
                                           .run_us = facts->run_us,
                                           .cpu_us = facts->cpu_us,
                                           .peak_bytes = facts->peak_bytes,
                                           .state = shown,
                                           .log = facts->log };
    }
    end->outcome = encode_outcome(&answer);
    if (!end->outcome)
        return qend_free(end);
    end->code = facts->code;
    end->maybe_executed = answer.failed ? facts->maybe_executed : true;
    end->worker = q->worker;
    end->attempt = q->attempt;
    end->value = value ? blob_ref(value) : NULL;
    return end;
}

void qtask_end(struct core *core, struct qtask *q, uint32_t shown, const struct msg_failure *facts, struct blob *value,
               struct actions *out)
{
    struct qend *end = end_new(q, shown, facts, value);

    if (!end) {
        out->no_memory = true;
        if (q->state != QT_WAITING) /* nobody may find it where it is not any more, as long as the daemon lives */
            (void)qtask_step(core, q, QE_WAIT, out);
        return;
    }
    if (!qtask_step(core, q, QE_END, out)) {
        qend_free(end);
        return;
    }
    end->ended_ms = core_time_ms(core);
    q->end = end;
    q->shown = (uint8_t)shown;
    heap_remove(&core->queue_timers, &q->timer);
    if (qtask_journaled(q) && !core->storage_failed)
        record_life(core, q, q->durability == TASK_DURABLE, PENDING_SETTLE, out);
    else if (qtask_journaled(q)) /* what is not kept is not told */
        watchers_refused(core, q, PTOOLS_ERR_STORAGE, core->storage_failed, out);
    else
        qtask_settle(core, q, out);
}

void qtask_end_text(struct core *core, struct qtask *q, uint32_t shown, ptools_err code, struct actions *out,
                    const char *format, ...)
{
    char text[256];
    struct msg_failure f = { .code = code,
                             .attempt = q->attempt,
                             .worker = q->attempt ? q->worker : 0,
                             .maybe_executed = q->attempt > 0, /* one that was not begun has been taken off */
                             .message = { text, 0 } };
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    f.message.n = strlen(text);
    qtask_end(core, q, shown, &f, NULL, out);
}

/* -- what follows ------------------------------------------------------------------------------------------ */

static uint64_t keep_us(struct core *core, const struct qtask *q)
{
    struct msg_submit spec;

    qtask_spec(core, q, &spec);
    if (spec.keep_ms)
        return spec.keep_ms * 1000;
    return qtask_journaled(q) ? core->limits.keep_us : core->limits.keep_volatile_us;
}

uint64_t qtask_kept_bytes(const struct qtask *q)
{
    return q->spec->n + (q->args ? q->args->n : 0) + q->end->outcome->n + (q->end->value ? q->end->value->n : 0);
}

/* What may make room for others: the dead are for somebody to look at, parts are counted by their whole, and what
 * survives the daemon is kept at least until somebody has asked how it ended. */
bool qtask_may_go(const struct core *core, const struct qtask *q)
{
    return q->shown != SHOWN_DEAD && !qtask_whole_of(core, q) && (!qtask_journaled(q) || q->was_read);
}

static void list(const struct core *core, struct qtask *q)
{
    q->stays = !qtask_may_go(core, q);
    if (q->stays)
        DL_APPEND(q->user->staying, q);
    else
        DL_APPEND(q->user->ended, q);
}

static void unlist(struct qtask *q)
{
    if (q->stays)
        DL_DELETE(q->user->staying, q);
    else
        DL_DELETE(q->user->ended, q);
}

/* It may go now, if what it stayed for is over. */
static void let_go(const struct core *core, struct qtask *q)
{
    if (q->state != QT_ENDED || !q->stays)
        return;
    unlist(q);
    list(core, q);
}

/* The time for which it is kept runs from its end; that of a part not before its whole has ended, which counts it. */
static void start_keeping(struct core *core, struct qtask *q, struct actions *out)
{
    const struct qtask *whole = q->x && q->x->parent ? qtask_find(core, q->x->parent) : NULL;
    const uint64_t now_ms = core_time_ms(core), keep = keep_us(core, q);
    uint64_t from_ms = q->end->ended_ms, since_us;

    if (q->shown == SHOWN_DEAD || heap_holds(&q->timer) || qtask_whole_of(core, q))
        return;
    if (whole && (whole->state == QT_ENDING || whole->state == QT_ENDED))
        from_ms = MAX(from_ms, whole->end->ended_ms);
    since_us = now_ms > from_ms ? (now_ms - from_ms) * 1000 : 0;
    if (heap_push(&core->queue_timers, &q->timer, core->now_us + (keep > since_us ? keep - since_us : 0)) < 0)
        out->no_memory = true;
}

static void keep_parts(struct core *core, const struct qtask *whole, struct actions *out)
{
    for (uint32_t i = 1; i <= (whole->is_parent && whole->x ? whole->x->parts : 0); i++) {
        struct qtask *part = qtask_find(core, whole->id + i);

        if (part && part->state == QT_ENDED)
            start_keeping(core, part, out);
    }
}

void qtask_keep(struct core *core, struct qtask *q, struct actions *out)
{
    list(core, q);
    q->user->n_queued--;
    q->user->queue_bytes -= q->spec->n + (q->args ? q->args->n : 0);
    q->user->n_kept++;
    q->user->n_dead += q->shown == SHOWN_DEAD;
    q->user->kept_bytes += qtask_kept_bytes(q);
    start_keeping(core, q, out);
    keep_parts(core, q, out);
}

void qtask_unkeep(struct qtask *q)
{
    unlist(q);
    q->user->n_kept--;
    q->user->n_dead -= q->shown == SHOWN_DEAD;
    q->user->kept_bytes -= qtask_kept_bytes(q);
}

static void free_edge(struct qedge *e)
{
    DL_DELETE2(e->first->x->before, e, first_prev, first_next);
    DL_DELETE2(e->then->x->after, e, then_prev, then_next);
    free(e);
}

/* Those that wait for it go on, or end with it; those that wait on are put at the end of the list, marked with this
 * end, so that each is looked at once, whatever the end of another does to the list. False: the rest in the next
 * turn. */
static bool follow_edges(struct core *core, struct qtask *q, struct actions *out)
{
    struct qedge *e;

    while (q->x && (e = q->x->before) && e->looked_at != q->end->number) {
        struct qtask *then = e->then;
        const bool cascade = q->shown != SHOWN_DONE && !e->any;
        const uint64_t bit = UINT64_C(1) << e->index;

        if (!core_more_work(core))
            return false;
        if (cascade && (e->keep || !qtask_accepted(then))) { /* that one looks when it is accepted */
            DL_DELETE2(q->x->before, e, first_prev, first_next);
            DL_APPEND2(q->x->before, e, first_prev, first_next);
            e->looked_at = q->end->number;
            continue;
        }
        free_edge(e);
        if (!qtask_accepted(then))
            qtask_met(core, then, bit, out);
        if (then->state != QT_WAITING)
            continue;
        if (cascade) {
            qtask_end_text(core, then, SHOWN_CANCELLED, PTOOLS_ERR_DEPENDENCY, out,
                           "task %" PRIu64 ", which had to come first, is %s", q->id, task_shown_name(q->shown));
        } else {
            qtask_met(core, then, bit, out);
            qtask_place(core, then, out);
        }
    }
    return true;
}

/* One that ends before those it waits for waits no more. */
static void drop_after(struct qtask *q)
{
    while (q->x && q->x->after)
        free_edge(q->x->after);
}

/* If all parts of the whole are cancelled, or expired, for one reason, so is the whole: the first part. Else NULL. */
static const struct qtask *ended_alike(const struct core *core, const struct qtask *whole)
{
    const struct qtask *first = qtask_find(core, whole->id + 1);

    for (uint32_t i = 1; i <= whole->x->parts; i++) {
        const struct qtask *part = qtask_find(core, whole->id + i);

        if (!part || part->state != QT_ENDED || part->shown != first->shown || part->end->code != first->end->code)
            return NULL;
    }
    return whole->x->parts > 0 && (first->shown == SHOWN_CANCELLED || first->shown == SHOWN_EXPIRED) ? first : NULL;
}

void qtask_whole_ended(struct core *core, struct qtask *q, struct actions *out)
{
    const struct qtask *part;

    if (q->x->parts_left > 0 || q->state != QT_WAITING)
        return;
    part = ended_alike(core, q);
    if (q->x->parts > 0 && q->x->parts_failed == 0)
        qtask_end(core, q, SHOWN_DONE, &(struct msg_failure){ .code = PTOOLS_OK }, NULL, out);
    else if (part)
        qtask_end_text(core, q, part->shown, part->end->code, out,
                       "none of its %" PRIu32 " parts was done, all are %s: tasks %" PRIu64 " to %" PRIu64 " tell why",
                       q->x->parts, task_shown_name(part->shown), q->id + 1, q->id + q->x->parts);
    else
        qtask_end_text(core, q, SHOWN_FAILED, PTOOLS_ERR_PARTS, out,
                       "%" PRIu32 " of its %" PRIu32 " parts were not done: tasks %" PRIu64 " to %" PRIu64 " tell why",
                       q->x->parts_failed, q->x->parts, q->id + 1, q->id + q->x->parts);
}

static void tell_parent(struct core *core, const struct qtask *part, struct actions *out)
{
    struct qtask *parent = qtask_whole_of(core, part);

    if (!parent || parent->x->parts_left == 0)
        return;
    parent->x->parts_failed += part->shown != SHOWN_DONE;
    parent->x->parts_left--;
    qtask_whole_ended(core, parent, out);
}

struct qtask *qtask_whole_of(const struct core *core, const struct qtask *part)
{
    struct qtask *q = part->x && part->x->parent ? qtask_find(core, part->x->parent) : NULL;

    return q && q->state == QT_WAITING ? q : NULL;
}

static void add_settled(struct core *core, uint64_t task, struct actions *out)
{
    if (core->n_settled == core->settled_cap) {
        const size_t cap = core->settled_cap ? core->settled_cap * 2 : 16;
        uint64_t *v = realloc(core->settled, cap * sizeof *v);

        if (!v) {
            out->no_memory = true;
            return;
        }
        core->settled = v;
        core->settled_cap = cap;
    }
    core->settled[core->n_settled++] = task;
}

/* What follows from the ends of tasks: ends of others, which are added meanwhile. False: there is no room for the rest
 * in this turn. */
static bool follow_settled(struct core *core, struct actions *out)
{
    while (core->n_settled > 0) {
        struct qtask *q = qtask_find(core, core->settled[--core->n_settled]);

        if (!q || q->state != QT_ENDED)
            continue; /* it was forgotten, and what waited for it was told then; or it is run anew */
        if (!follow_edges(core, q, out)) {
            add_settled(core, q->id, out);
            return false;
        }
    }
    return true;
}

/* Those that hoped for its being run anew end with it; those whose turn it was not yet, when it was forgotten on
 * request, go on if they may. False: the rest in the next turn. */
static bool tell_forgotten(struct core *core, const struct qtask *q, bool all, struct actions *out)
{
    while (q->x && q->x->before) {
        struct qtask *then = q->x->before->then;
        const bool goes_on = q->state == QT_ENDED && (q->shown == SHOWN_DONE || q->x->before->any);

        if (!all && !core_more_work(core))
            return false;
        free_edge(q->x->before);
        if (goes_on && then->state == QT_WAITING)
            qtask_place(core, then, out);
        else if (then->state == QT_WAITING)
            qtask_end_text(core, then, SHOWN_CANCELLED, PTOOLS_ERR_DEPENDENCY, out,
                           "task %" PRIu64 ", which had to come first, was forgotten", q->id);
        else if (!goes_on && !qtask_accepted(then))
            qtask_after_gone(core, then, q->id, out);
    }
    return true;
}

/* What it has written is forgotten with it. */
static void tell_command(const struct qtask *q, struct actions *out)
{
    struct action *act = action_add(out, ACT_FORGOTTEN);

    if (!act)
        return;
    act->task = q->id;
    act->attempt = q->attempt;
    act->queued_ms = q->queued_ms;
}

/* Who waited for it knows. */
static void forget(struct core *core, struct qtask *q, struct actions *out)
{
    if (qtask_journaled(q))
        record_forget(core, q, out);
    if (q->is_command && q->attempt > 0)
        tell_command(q, out);
    qtask_free(core, q);
}

static bool has_too_many(const struct core *core, const struct user *user)
{
    return user->ended &&
           (user->n_kept > core->limits.user_kept_max || user->kept_bytes > core->limits.user_kept_bytes_max);
}

/* All that follows, one after the other and not one within the other, for a chain of tasks that wait for each other
 * can be as long as the queue: ends bring ends, and one that makes room is forgotten, which ends those that hoped for
 * it. None is forgotten before those that waited for it know how it ended. What there is no room for is left for the
 * next turn. */
static void follow_all(struct core *core, struct user *user, struct actions *out)
{
    bool goes_on = true;
    struct qtask *q;

    if (core->settling)
        return; /* whoever does it goes on */
    core->settling = true;
    while (goes_on) {
        goes_on = follow_settled(core, out);
        if (!goes_on || !has_too_many(core, user))
            break;
        q = user->ended;
        goes_on = tell_forgotten(core, q, false, out);
        if (goes_on)
            forget(core, q, out);
    }
    core->to_follow |= !goes_on;
    core->settling = false;
}

void user_keep_less(struct core *core, struct user *user, struct actions *out)
{
    user->n_pins++;
    follow_all(core, user, out);
    user_unblock(core, user, out);
    user->n_pins--;
    user_release(core, user);
}

void qtasks_go_on(struct core *core, struct actions *out)
{
    struct user *user, *next;

    if (core->to_follow) {
        core->to_follow = false;
        HASH_ITER(hh, core->users, user, next)
            user_keep_less(core, user, out);
    }
    records_go_on(core, out);
}

void qtask_settle(struct core *core, struct qtask *q, struct actions *out)
{
    struct user *user = q->user;

    if (!qtask_step(core, q, QE_SETTLE, out))
        return;
    qtask_leave_set(core, q); /* from now on its links are those of the ended ones */
    user->n_pins++;
    for (uint32_t i = 1; i <= (q->x ? q->x->parts : 0); i++) {
        struct qtask *part = qtask_find(core, q->id + i);

        if (part)
            let_go(core, part);
    }
    qtask_keep(core, q, out);
    drop_after(q);
    q->end->number = ++core->queue_ended;
    core->queue_rate_us =
        core->queue_last_us ? (core->queue_rate_us * 7 + (core->now_us - core->queue_last_us)) / 8 : 0;
    core->queue_last_us = core->now_us;
    event_emit(core, q, EVENT_ENDED, q->end->code, out);
    watchers_tell(core, q, out);
    tell_parent(core, q, out);
    if (q->x && q->x->before)
        add_settled(core, q->id, out);
    user_keep_less(core, user, out);
    user->n_pins--;
    user_release(core, user);
}

/* It is to run again: as if it had not ended. */
void qtask_unend(struct core *core, struct qtask *q)
{
    struct user *user = q->user;

    qtask_unkeep(q);
    user->n_queued++;
    user->queue_bytes += q->spec->n + (q->args ? q->args->n : 0);
    heap_remove(&core->queue_timers, &q->timer);
    q->end = qend_free(q->end);
    q->shown = 0;
    q->was_read = false;
}

void qtask_forget(struct core *core, struct qtask *q, struct actions *out)
{
    struct user *user = q->user;
    const bool settling = core->settling;

    core->settling = true;
    user->n_pins++;
    (void)tell_forgotten(core, q, true, out);
    forget(core, q, out);
    core->settling = settling;
    user_keep_less(core, user, out);
    user->n_pins--;
    user_release(core, user);
}

void qtask_answer_end(struct core *core, struct qtask *q, uint32_t client, uint64_t request, struct actions *out)
{
    struct msg_answer answer;
    struct msg_problem problem;

    if (!q->was_read) {
        q->was_read = true;
        let_go(core, q);
        if (qtask_journaled(q))
            record_read(core, q, out);
    }
    if (msg_answer_decode(core->decoder, q->end->outcome->data, q->end->outcome->n, &answer, &problem) != 0) {
        out->no_memory = true;
        return;
    }
    if (answer.failed)
        answer_failure(out, client, request, &answer.failure, NULL);
    else
        answer_reply(out, client, request, &answer.reply, q->end->value);
}
