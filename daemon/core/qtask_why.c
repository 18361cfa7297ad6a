/* SPDX-License-Identifier: MIT */
/*
 * qtask_why -- what a queued task waits for, and how it looks from outside. Changes nothing.
 *
 * The sentence is not a guess: it asks the same questions in the same order as qtask_place() and the scheduler.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "daemon/core/state.h"

__attribute__((format(printf, 4, 5))) static size_t append(char *text, size_t size, size_t n, const char *format, ...)
{
    va_list args;
    int r;

    if (n >= size)
        return n;
    va_start(args, format);
    r = vsnprintf(text + n, size - n, format, args);
    va_end(args);
    return n + (r > 0 ? (size_t)r : 0);
}

static void target_text(const struct msg_submit *spec, char *text, size_t size)
{
    size_t n = 0;

    text[0] = '\0';
    if (spec->n_workers == 1)
        n = append(text, size, n, "worker %" PRIu32, spec->workers[0]);
    else if (spec->n_workers > 1)
        n = append(text, size, n, "workers");
    for (uint32_t i = 0; spec->n_workers > 1 && i < spec->n_workers; i++)
        n = append(text, size, n, " %" PRIu32, spec->workers[i]);
    if (spec->n_hosts > 0)
        n = append(text, size, n, "host");
    for (uint32_t i = 0; i < spec->n_hosts; i++)
        n = append(text, size, n, " %.*s", (int)spec->hosts[i].n, spec->hosts[i].data);
    if (spec->set.data)
        n = append(text, size, n, "set %.*s", (int)spec->set.n, spec->set.data);
    else if (spec->set_id)
        n = append(text, size, n, "set %" PRIu32, spec->set_id);
    if (n == 0)
        append(text, size, n, spec->target == TARGET_ALL ? "all" : "any");
}

/* What did not fit is cut off with the word that it begins in. */
static void cut_at_word(char *text, size_t size)
{
    static const char more[] = " ...";
    char *end = text + size - sizeof more;

    if (strlen(text) < size - 1)
        return;
    while (end > text && *end != ' ')
        end--;
    memcpy(end, more, sizeof more);
}

static void why_function(struct core *core, struct qtask *q, char text[256])
{
    struct text module, function;
    const struct module *m = NULL;
    struct msg_submit spec;

    qtask_spec(core, q, &spec);
    if (name_split(spec.function.data, spec.function.n, &module, &function))
        m = module_find(core, module.data, module.n);
    if (!m || m->state == MODULE_LOADING || m->state == MODULE_NEW)
        snprintf(text, 256, "it waits for its module to be loaded");
    else if (m->state == MODULE_LOADED)
        snprintf(text, 256, "it waits for its module to have the function %.*s", (int)spec.function.n,
                 spec.function.data);
    else
        snprintf(text, 256, "it waits for its module, which cannot be loaded now: %.180s",
                 m->sentence ? m->sentence : "");
}

static void why_edges(const struct qtask *q, char text[256])
{
    const struct qedge *e;
    uint32_t n = 0;

    DL_FOREACH2(q->x->after, e, then_next)
        n++;
    e = q->x->after;
    if (n == 1)
        snprintf(text, 256, "it waits for task %" PRIu64 ", which is %s", e->first->id,
                 task_shown_name(qtask_shown(e->first)));
    else
        snprintf(text, 256, "it waits for %" PRIu32 " tasks; the first is %" PRIu64 ", which is %s", n, e->first->id,
                 task_shown_name(qtask_shown(e->first)));
}

static void why_waiting(struct core *core, struct qtask *q, char text[256])
{
    const struct pause *pause;
    struct msg_submit spec;
    char target[120];

    if (q->hold)
        snprintf(text, 256, "it is on hold until it is released");
    else if (q->x && q->x->parts > 0)
        snprintf(text, 256, "%" PRIu32 " of its %" PRIu32 " parts have not ended", q->x->parts_left, q->x->parts);
    else if (q->due_us > core->now_us && q->attempt > 0)
        snprintf(text, 256, "attempt %u failed, the next is due in %" PRIu64 " ms", q->attempt,
                 (q->due_us - core->now_us) / 1000);
    else if (q->due_us > core->now_us)
        snprintf(text, 256, "it is due in %" PRIu64 " ms", (q->due_us - core->now_us) / 1000);
    else if (q->x && q->x->after)
        why_edges(q, text);
    else if ((pause = qtask_paused(core, q)) && pause->tag[0])
        snprintf(text, 256, "tasks with the tag %s are paused until they are resumed", pause->tag);
    else if (pause)
        snprintf(text, 256, "the queue is paused until it is resumed");
    else if (core->draining)
        snprintf(text, 256, "the daemon is about to end; the next one will run it");
    else if (!q->function || !function_usable(q->function))
        why_function(core, q, text);
    else {
        qtask_spec(core, q, &spec);
        target_text(&spec, target, sizeof target);
        cut_at_word(target, sizeof target);
        snprintf(text, 256, "its target is not there: %s", target);
    }
}

static void why_queued(struct core *core, const struct qtask *q, char text[256])
{
    const struct backlog *b = q->lane->backlog;
    uint32_t serving = 0, busy = 0;
    uint64_t ahead = backlog_ahead_of(core, q);

    for (uint32_t i = 0; i < core->n_workers; i++) {
        const struct worker *w = core->workers[i];

        if (!backlog_serves(b, w) || w->leave == LEAVE_REMOVED)
            continue;
        serving++;
        busy += w->state != WORKER_IDLE || w->n_booked > 0;
    }
    snprintf(text, 256,
             "it waits for a worker: %" PRIu32 " of the %" PRIu32 " that may run it are busy or not up, and %" PRIu64
             " of your tasks come before it",
             busy, serving, ahead);
}

void qtask_why(struct core *core, struct qtask *q, char text[256])
{
    switch ((enum qtask_state)q->state) {
    case QT_QUEUED:
        if (!breaker_why(core, q, text))
            why_queued(core, q, text);
        break;
    case QT_GIVEN:
        if (q->run->state == TASK_BOOKED)
            snprintf(text, 256, "worker %" PRIu32 " gets it as soon as the journal has its attempt", q->worker);
        else if (q->run->worker && q->run->worker->held != q->run)
            snprintf(text, 256, "it is next in line at worker %" PRIu32, q->worker);
        else
            snprintf(text, 256, "it runs, at worker %" PRIu32, q->worker);
        break;
    case QT_ENDING:
        snprintf(text, 256, "it has run, and how it ended is being written to the journal");
        break;
    case QT_ENDED:
        snprintf(text, 256, "it waits for nothing: it is %s", task_shown_name(q->shown));
        break;
    default:
        why_waiting(core, q, text);
    }
}

/* All of it, however long: at most 1,024 workers, or 64 hosts. "": no memory. */
static const char *whole_target(struct core *core, const struct msg_submit *spec)
{
    size_t size = 64 + NAME_BYTES_MAX + spec->n_workers * (size_t)12;
    char *text;

    for (uint32_t i = 0; i < spec->n_hosts; i++)
        size += 1 + spec->hosts[i].n;
    text = realloc(core->target_text, size);
    if (!text)
        return "";
    core->target_text = text;
    target_text(spec, text, size);
    return text;
}

/* -- as a document shows it ------------------------------------------------------------------------------------- */

static void describe(struct core *core, const struct qtask *q, struct core_queued_view *ret)
{
    *ret = (struct core_queued_view){
        .id = q->id,
        .parent = q->x ? q->x->parent : 0,
        .parts = q->x ? q->x->parts : 0,
        .state = qtask_shown(q),
        .priority = q->priority,
        .durability = q->durability,
        .attempt = q->attempt,
        .attempts = q->attempts,
        .kills = q->kills,
        .worker = q->attempt || q->state == QT_GIVEN ? q->worker : 0,
        .hold = q->hold,
        .paused = q->state == QT_WAITING && !q->is_parent && qtask_paused(core, q),
        .idempotent = q->idempotent,
        .queued_ms = core_shown_ms(core, q->queued_ms),
        .due_ms =
            q->due_us > core->now_us ? core_shown_ms(core, core_time_ms(core)) + (q->due_us - core->now_us) / 1000 : 0,
        .started_ms = core_shown_ms(core, q->started_ms),
        .running = q->state == QT_GIVEN && q->run->state != TASK_BOOKED,
        .args = q->args,
    };
    qtask_spec(core, q, &ret->spec); /* it is valid until the next decoding */
    ret->target = whole_target(core, &ret->spec);
    if (q->state == QT_ENDED) {
        ret->ended_ms = core_shown_ms(core, q->end->ended_ms);
        ret->value = q->end->value;
        ret->outcome = q->end->outcome;
        ret->code = q->end->code;
        ret->maybe_executed = q->end->maybe_executed;
    }
}

bool core_knows_queued(const struct core *core, uint64_t task)
{
    return qtask_find(core, task) != NULL;
}

bool core_view_queued(struct core *core, uint32_t uid, uint64_t task, struct core_queued_view *ret)
{
    const struct qtask *q = qtask_find(core, task);

    if (!q || q->user->uid != uid || !qtask_accepted(q))
        return false;
    describe(core, q, ret);
    return true;
}

int core_walk_queued(struct core *core, struct core_walk *walk, struct core_queued_view *ret)
{
    const struct user *user;

    HASH_FIND(hh, core->users, &walk->uid, sizeof walk->uid, user);
    if (!user || walk->after == UINT64_MAX)
        return 0;
    for (size_t i = queue_table_at(core, walk->after + 1); i < core->n_queue_table; i++) {
        const struct queue_entry *e = &core->queue_table[i];

        if (walk->left == 0)
            return -EAGAIN;
        walk->left--;
        walk->after = e->id;
        if (!e->q || e->q->user != user || !qtask_accepted(e->q) ||
            (walk->states && !(walk->states >> qtask_shown(e->q) & 1)))
            continue;
        walk->left -= MIN(walk->left, WALK_SHOWN - 1);
        describe(core, e->q, ret);
        return 1;
    }
    return 0;
}

bool core_queued_id(struct core *core, uint32_t uid, uint64_t task, struct text key, uint64_t *ret)
{
    struct user *user;
    struct qtask *q;

    HASH_FIND(hh, core->users, &uid, sizeof uid, user);
    q = !user ? NULL : task ? qtask_of(core, user, task) : qtask_by_key(core, user, key, false);
    if (!q && user && !task)
        q = qtask_by_key(core, user, key, true);
    if (!q || !qtask_accepted(q))
        return false;
    *ret = q->id;
    return true;
}

uint64_t core_queued_newest(const struct core *core, uint32_t uid, size_t *ret_looks)
{
    const struct user *user;
    const struct qtask *q;

    HASH_FIND(hh, core->users, &uid, sizeof uid, user);
    *ret_looks = 0;
    q = user ? qtask_newest(core, user, ret_looks) : NULL;
    return q ? q->id : 0;
}
