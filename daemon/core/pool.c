/* SPDX-License-Identifier: MIT */
/*
 * pool -- what workers tell: ready, done, skipped, gone; and what clients ask: more of them, fewer.
 *
 * A process that ends is replaced: at once when it was ended on purpose, had done something, or crashed in a
 * task; after a pause that doubles when it never got so far, for then the next one would not either.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "daemon/core/state.h"

void core_worker_ready(struct core *core, uint64_t now_us, uint32_t worker, int32_t pid, struct actions *out)
{
    struct worker *w = worker_or_stand_in(core, worker);

    if (!w) {
        action_bug(out, worker, 0, "worker %" PRIu32 " is ready, which there is not", worker);
        return;
    }
    if (!worker_step(core, w, EV_READY, out))
        return;
    w->pid = pid;
    arrays_map_everywhere(core, worker, out);
    worker_settle(core, now_us, w, out); /* it may have been removed meanwhile */
    if (core->recycling == w) {
        core->recycling = NULL;
        workers_recycle_next(core, now_us, out);
    } else if (w->outdated) { /* modules were loaded anew since it was asked for */
        worker_recycle_if_due(core, now_us, w, out);
    }
}

/* Another task of this worker was to stop as well, and runs now. */
static void interrupt_next(struct core *core, uint64_t now_us, struct worker *w, struct actions *out)
{
    struct task *t;

    if (w->state != WORKER_STOPPING)
        return;
    DL_FOREACH2(w->held, t, place_next) {
        if (t->state != TASK_STOPPING)
            continue;
        action_worker(out, ACT_CANCEL, w->id, t->id);
        worker_set_timer(core, w, now_us + core->limits.kill_grace_us);
        return;
    }
}

/* Codes that a worker answers with before it has entered the function. */
static bool was_entered(ptools_err code)
{
    return code != PTOOLS_ERR_NO_MODULE && code != PTOOLS_ERR_MODULE_BROKEN && code != PTOOLS_ERR_NO_FUNCTION;
}

void core_worker_done(struct core *core, uint64_t now_us, uint32_t worker, uint64_t task, uint32_t attempt,
                      ptools_err code, const struct core_value *value, const struct msg_failure *facts, uint64_t run_us,
                      uint32_t rss_kb, uint32_t fds, struct actions *out)
{
    static const struct core_value nothing;
    struct msg_failure took = facts ? *facts : (struct msg_failure){ 0 };
    struct worker *w = worker_or_stand_in(core, worker);
    struct task *t = w ? worker_held(w, task) : NULL;

    core->now_us = now_us;
    took.run_us = run_us;
    if (!t || t->attempt != attempt) {
        core->stats.stale++;
        return;
    }
    if (t->state == TASK_RECALLED) /* too late: it had begun */
        (void)task_step(core, t, t->stop != STOP_NONE ? EV_STOP : EV_KEPT, out);
    w->tasks++;
    w->done++;
    w->backoff_us = 0;
    if (rss_kb)
        w->rss_kb = rss_kb;
    if (fds)
        w->fds = fds;
    if (t->stop != STOP_NONE) {
        task_end_stopped(core, t, facts, true, out);
        interrupt_next(core, now_us, w, out);
    } else {
        t->function->module->retry_us = 0;
        if (!task_isolated(t)) /* else it is the processes that take their time */
            function_ran(t->function, run_us / (t->batch ? MAX(1, t->batch->done) : 1));
        if (code == PTOOLS_OK && value && value->array && !array_deliver(core, t, value))
            task_fail(core, t, PTOOLS_ERR_INTERNAL, facts, true, out,
                      "the value of %s is in an array that its task was not given", t->function->name);
        else if (code == PTOOLS_OK)
            task_succeed(core, t, value ? value : &nothing, &took, out);
        else
            task_fail(core, t, code, facts, was_entered(code), out, NULL);
    }
    worker_settle(core, now_us, w, out);
    worker_recycle_if_due(core, now_us, w, out);
}

void core_worker_skipped(struct core *core, uint64_t now_us, uint32_t worker, uint64_t task, struct actions *out)
{
    struct worker *w = worker_or_stand_in(core, worker);

    (void)now_us;
    if (!w || !worker_skipped(w, task))
        action_bug(out, worker, task, "worker %" PRIu32 " passed over a task that was not taken back", worker);
}

/* -- the end of a process -------------------------------------------------------------------------------- */

__attribute__((format(printf, 2, 3))) static void append(char text[256], const char *format, ...)
{
    const size_t n = strlen(text);
    va_list args;

    va_start(args, format);
    vsnprintf(text + n, 256 - n, format, args);
    va_end(args);
}

/* "worker 3 (pid 4711) was killed by signal 11 (Segmentation fault)", and where that was. */
static void death_text(const struct worker *w, int32_t pid, const struct msg_failure *facts, const char *doing,
                       const char *what, char text[256])
{
    const char *name = facts->signal ? sigdescr_np(facts->signal) : NULL;

    text[0] = '\0';
    append(text, "worker %" PRIu32 " (pid %" PRId32 ") ", w->id, pid);
    if (facts->code == PTOOLS_ERR_OUT_OF_MEMORY)
        append(text, "was killed for lack of memory");
    else if (facts->signal)
        append(text, "was killed by signal %" PRId32 " (%s)", facts->signal, name ? name : "unknown");
    else if (facts->exited)
        append(text, "exited with status %" PRId32, facts->exit_status);
    else
        append(text, "ended");
    append(text, "%s%s", doing, what);
    if (facts->message.n)
        append(text, ": %.*s", (int)MIN(facts->message.n, 200), facts->message.data);
}

struct death {
    int32_t pid;
    const struct msg_failure *facts;
    const uint64_t *started;
    size_t n_started;
    struct task *blamed;    /* that it was loading a module for ... */
    const char *loaded_for; /* ... and the function that is in it */
};

enum { LOSSES_MAX = 5 };

static bool had_begun(const struct death *d, const struct task *t)
{
    if (t->begun || t == d->blamed)
        return true;
    for (size_t i = 0; i < d->n_started; i++)
        if (d->started[i] == t->id)
            return true;
    return false;
}

/* Which task it loaded the module for: the one that it had begun, or was about to. */
static struct task *blame(const struct worker *w, const struct death *d)
{
    struct task *t;

    DL_FOREACH2(w->held, t, place_next)
        if (had_begun(d, t))
            return t;
    return w->held;
}

static bool is_in(const char *function, const struct text *module)
{
    return module->n > 0 && strncmp(function, module->data, module->n) == 0 && function[module->n] == '.';
}

/* Its own function, unless the worker said that it was at one of the others that a batch may have. Whatever it said,
 * no module of another task comes into it: foreign code can write there. */
static const char *loaded_for(const struct task *t, const struct text *module)
{
    if (!t->batch || is_in(t->function->name, module))
        return t->function->name;
    return is_in(t->batch->init, module) ? t->batch->init
           : is_in(t->batch->op, module) ? t->batch->op
                                         : t->function->name;
}

/* Each of its tasks ends, or goes back where it was. Returns how many it died of. */
static uint32_t end_tasks(struct core *core, uint64_t now_us, struct worker *w, struct death *d, struct actions *out)
{
    const bool loading = d->facts->code == PTOOLS_ERR_MODULE_BROKEN;
    uint32_t crashed = 0;
    struct task *t, *next;
    char text[256];

    if (loading && w->held) {
        d->blamed = blame(w, d);
        d->loaded_for = loaded_for(d->blamed, &d->facts->loading);
        death_text(w, d->pid, d->facts, " while loading it", "", text);
        if (d->loaded_for == d->blamed->function->name) /* a batch with a bad operator breaks no module but that */
            module_broke(core, now_us, d->blamed->function->module, text, out);
    }
    DL_FOREACH_SAFE2(w->held, t, next, place_next) {
        const bool begun = had_begun(d, t);

        if (t->stop != STOP_NONE) {
            task_end_stopped(core, t, begun ? d->facts : NULL, begun, out);
        } else if (!begun && t->queued) {
            task_attempt_back(core, t, true, out);
        } else if (!begun && ++t->losses < LOSSES_MAX) {
            (void)task_requeue(core, t, out);
        } else if (!begun) { /* whoever is given it ends: it is not given to the whole pool in turn */
            task_fail(core, t, PTOOLS_ERR_WORKER_DIED, d->facts, false, out,
                      "%d workers ended after they were given %s and before they began it", LOSSES_MAX,
                      t->function->name);
        } else if (t->batch && t->batch->done == t->batch->how.items && !t->batch->op[0]) {
            /* of a reduction the value may be lost, and only its client can tell */
            task_succeed(core, t, &(struct core_value){ 0 }, &(struct msg_failure){ .run_us = d->facts->run_us },
                         out);
        } else {
            crashed++;
            death_text(w, d->pid, d->facts, loading ? " while loading the module of " : " while running ",
                       t == d->blamed ? d->loaded_for : t->function->name, text);
            action_note(out, NOTE_WORKER_DIED, w->id, t->id, "%s", text);
            task_fail(core, t, d->facts->code == PTOOLS_OK ? PTOOLS_ERR_WORKER_DIED : d->facts->code, d->facts,
                      !loading, out, "%s", text);
        }
    }
    return crashed;
}

/* It did nothing in its life: the next try waits, longer each time. */
static void back_off(struct core *core, uint64_t now_us, struct worker *w, const struct death *d, struct actions *out)
{
    char text[256];

    w->backoff_us = w->backoff_us ? MIN(w->backoff_us * 2, core->limits.backoff_max_us) : core->limits.backoff_min_us;
    death_text(w, d->pid, d->facts, " before it did anything", "", text);
    action_note(out, NOTE_BACKOFF, w->id, 0, "%.200s; next try in %" PRIu64 " ms", text, w->backoff_us / 1000);
    worker_set_timer(core, w, now_us + w->backoff_us);
    worker_fresh_fails(core, w, out);
    if (core->recycling == w)
        core->recycling = NULL;
}

static void replace(struct core *core, uint64_t now_us, struct worker *w, enum worker_state was, uint32_t crashed,
                    const struct death *d, struct actions *out)
{
    const bool died = was == WORKER_IDLE || was == WORKER_BUSY;
    char text[256];

    if (w->stands_for && (w->leave != LEAVE_NOT || was != WORKER_STARTING)) {
        if (died && crashed == 0) {
            death_text(w, d->pid, d->facts, "", "", text);
            action_note(out, NOTE_WORKER_DIED, w->id, 0, "%s", text);
        }
        worker_free(core, w); /* if it is needed, there will be another */
        return;
    }
    if (w->leave == LEAVE_REMOVED) {
        action_note(out, NOTE_WORKER_REMOVED, w->id, 0, "worker %" PRIu32 " was removed", w->id);
        worker_free(core, w);
        return;
    }
    if (w->leave == LEAVE_RECYCLE && !died && worker_recycle_reason(core, w, text)) {
        w->recycled++;
        action_note(out, NOTE_WORKER_RECYCLED, w->id, 0, "worker %" PRIu32 " was replaced: %s", w->id, text);
    } else if (w->leave == LEAVE_FRESH && !died) {
        w->recycled++;
        action_note(out, NOTE_WORKER_RECYCLED, w->id, 0,
                    "worker %" PRIu32 " was replaced: isolated items need a process without traces of others", w->id);
    }
    w->leave = LEAVE_NOT;
    w->deaths += died;
    if (died && crashed == 0) {
        death_text(w, d->pid, d->facts, "", "", text);
        action_note(out, NOTE_WORKER_DIED, w->id, 0, "%s", text);
    }
    if (core->draining)
        return;
    if (was == WORKER_STARTING || (died && crashed == 0 && w->tasks == 0))
        back_off(core, now_us, w, d, out);
    else
        worker_spawn(core, w, out);
}

void core_worker_gone(struct core *core, uint64_t now_us, uint32_t worker, const struct msg_failure *facts,
                      const uint64_t *started, size_t n_started, struct actions *out)
{
    struct worker *w = worker_or_stand_in(core, worker);
    struct death d = { w && w->pid ? w->pid : facts->pid, facts, started, n_started, NULL };
    enum worker_state was;
    uint32_t crashed;

    if (!w) {
        action_bug(out, worker, 0, "worker %" PRIu32 " is gone, which there was not", worker);
        return;
    }
    core->now_us = now_us;
    was = w->state;
    if (!worker_step(core, w, EV_GONE, out))
        return;
    worker_unbook_all(core, w, out);
    crashed = end_tasks(core, now_us, w, &d, out);
    worker_forget_slots(w);
    holds_drop(core, &w->holds);
    w->pid = 0;
    worker_leave_clients(w);
    stand_ins_leave(core, now_us, w->id, out);
    replace(core, now_us, w, was, crashed, &d, out);
}

/* -- more, and fewer --------------------------------------------------------------------------------------- */

/* false: no memory. */
static bool add_worker(struct core *core, struct actions *out)
{
    struct worker *w = worker_new(core);

    if (w)
        worker_spawn(core, w, out);
    else
        out->no_memory = true;
    return w != NULL;
}

/* It gets nothing more; what only it could have run ends or goes elsewhere. */
static void remove_worker(struct core *core, uint64_t now_us, struct worker *w, struct actions *out)
{
    struct task *t;

    w->leave = LEAVE_REMOVED;
    if (core->recycling == w)
        core->recycling = NULL;
    sets_lose_worker(core, w, out);
    while ((t = queue_top(&w->queue)))
        (void)task_requeue(core, t, out);
    core->now_us = now_us;
    worker_unbook_all(core, w, out);
    backlog_dissolve(core, &w->backlog, out);
    stand_ins_leave(core, now_us, w->id, out);
    worker_recall_all(core, w, NULL, out);
    worker_settle(core, now_us, w, out);
    if (w->state == WORKER_DEAD) {
        action_note(out, NOTE_WORKER_REMOVED, w->id, 0, "worker %" PRIu32 " was removed", w->id);
        worker_free(core, w);
    }
}

void core_workers_add(struct core *core, uint64_t now_us, uint32_t client, uint64_t request, uint32_t n,
                      struct actions *out)
{
    const uint32_t max = core->limits.workers_max, first = core->last_worker + 1;
    const struct msg_reply reply = { .worker = first };

    if (core->draining) {
        answer_refusal(out, client, request, PTOOLS_ERR_DRAINING, "the daemon is about to end");
        return;
    }
    if (n == 0) {
        answer_refusal(out, client, request, PTOOLS_ERR_BAD_REQUEST, "n: at least one worker");
        return;
    }
    if (n > max - core->n_workers || n > WORKER_ID_MAX - core->last_worker) {
        answer_refusal(out, client, request, PTOOLS_ERR_LIMIT,
                       "over the limit workers_max: %" PRIu32 " of %" PRIu32 " in use, %" PRIu32 " more asked for",
                       core->n_workers, max, n);
        return;
    }
    for (uint32_t i = 0; i < n; i++)
        if (!add_worker(core, out))
            return;
    core->now_us = now_us;
    qtasks_follow_workers(core, first, out);
    qtasks_place_parked(core, out);
    answer_reply(out, client, request, &reply, NULL);
}

void core_workers_remove(struct core *core, uint64_t now_us, uint32_t client, uint64_t request, uint32_t worker,
                         struct actions *out)
{
    struct worker *w = worker_find(core, worker);
    const struct msg_reply reply = { .worker = worker };

    if (!w || w->leave == LEAVE_REMOVED) {
        answer_refusal(out, client, request, PTOOLS_ERR_NO_WORKER, "no worker %" PRIu32, worker);
        return;
    }
    remove_worker(core, now_us, w, out);
    answer_reply(out, client, request, &reply, NULL);
}

void core_workers_change(struct core *core, uint64_t now_us, int32_t more, struct actions *out)
{
    const uint32_t first = core->last_worker + 1;

    core->now_us = now_us;
    for (; more > 0 && core->n_workers < core->limits.workers_max && core->last_worker < WORKER_ID_MAX; more--)
        if (!add_worker(core, out))
            return;
    for (uint32_t i = core->n_workers; more < 0 && i > 1; i--)
        if (core->workers[i - 1]->leave != LEAVE_REMOVED) {
            remove_worker(core, now_us, core->workers[i - 1], out);
            more++;
        }
    if (core->last_worker >= first) {
        qtasks_follow_workers(core, first, out);
        qtasks_place_parked(core, out);
    }
}
