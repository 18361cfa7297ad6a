/* SPDX-License-Identifier: MIT */
/*
 * stasks_fate -- what became of a call of a server task whose lane has ended before its answer.
 *
 * What a process was running, and the calls that it had begun last, are known from its control page. Calls of one lane
 * are begun in the order of their numbers: one that comes after the last of its lane did not run, and only of such
 * a call is that said. Of all others it is said that they may have run.
 *
 * The facts of the last death are kept. A process that has not died a while after it closed a lane goes on: that it
 * was of no use to one caller is no reason to take their state from the others.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/state.h"

enum { FATE_PATIENCE_US = 2000000 }; /* from the end of a lane to the end of its process */

static char *keep_text(char *at, struct text *t)
{
    if (t->n)
        memcpy(at, t->data, t->n);
    t->data = at;
    return at + t->n;
}

/* The facts are borrowed: what is told later needs copies of their texts. Without memory it is told without them. */
static void keep(struct stask *t, uint32_t process, const struct msg_failure *facts, const struct core_calls *calls)
{
    char *at;

    free(t->fate_texts);
    t->fate = *facts;
    t->fate_process = process;
    t->fate_calls = *calls;
    t->fate_texts = at = malloc(facts->phase.n + facts->log.n + facts->backtrace.n + 1);
    t->fate.message = (struct text){ 0 };
    if (!at) {
        t->fate.phase = t->fate.log = t->fate.backtrace = (struct text){ 0 };
        return;
    }
    at = keep_text(at, &t->fate.phase);
    at = keep_text(at, &t->fate.log);
    keep_text(at, &t->fate.backtrace);
}

/* Whether it may have been begun by the process that died last. */
static bool may_have_begun(const struct core_calls *calls, uint64_t call)
{
    bool lane_seen = false;

    for (size_t i = 0; i < CORE_CALLS_KEPT; i++) {
        if (calls->begun[i] == 0 || calls->begun[i] >> 32 != call >> 32)
            continue;
        if (calls->begun[i] >= call)
            return true;
        lane_seen = true;
    }
    return !lane_seen && calls->n >= CORE_CALLS_KEPT; /* else all that it ever began are here */
}

/* facts: of the last death, whose texts are borrowed until out is carried out. */
static void tell(const struct stask *t, const struct msg_failure *facts, const struct stask_waiter *w,
                 struct actions *out)
{
    struct msg_failure f = { .code = PTOOLS_ERR_STATE_LOST };
    const char *why = t->why[0] ? t->why : "the server task has ended";
    char text[320];

    if (w->call != 0 && w->call == t->fate_calls.running) {
        f = *facts;
        f.code = f.code == PTOOLS_OK ? PTOOLS_ERR_WORKER_DIED : f.code;
        f.maybe_executed = true;
        answer_failure(out, w->client, w->request, &f, t->why);
        return;
    }
    if (may_have_begun(&t->fate_calls, w->call)) {
        f = (struct msg_failure){ .code = PTOOLS_ERR_WORKER_DIED, .maybe_executed = true, .pid = facts->pid,
                                  .exited = facts->exited, .exit_status = facts->exit_status,
                                  .signal = facts->signal };
        snprintf(text, sizeof text, "%.200s; this call may have run before, and its answer is lost", why);
    } else {
        snprintf(text, sizeof text, "%.200s: its state is lost", why);
    }
    answer_failure(out, w->client, w->request, &f, text);
}

void fate_of_death(struct core *core, struct stask *t, uint32_t process, const struct msg_failure *facts,
                   const struct core_calls *calls, struct actions *out)
{
    struct stask_waiter *w;

    keep(t, process, facts, calls);
    LL_FOREACH(t->fates, w) { /* not with its own copies: the handle may go before this is carried out */
        array_of_call_end(core, w->client, process, w->call, out);
        tell(t, facts, w, out);
    }
    stask_waiters_free(&t->fates);
}

/* Of a process before the one that there is, or before the last that there was. */
static void tell_of_older(const struct stask *t, const struct stask_waiter *w, struct actions *out)
{
    const struct msg_failure f = { .code = PTOOLS_ERR_STATE_LOST, .maybe_executed = true };
    char text[200];

    snprintf(text, sizeof text, "server task %" PRIu32 " has died and was started anew: its state is lost, and "
             "ptools_restart_stasks() gives a way to the new one", t->index);
    answer_failure(out, w->client, w->request, &f, text);
}

void fate_of_none(struct core *core, uint32_t process, const struct stask_waiter *w, const char *why,
                  struct actions *out)
{
    const struct msg_failure f = { .code = PTOOLS_ERR_NO_STASKS, .maybe_executed = true };

    array_of_call_end(core, w->client, process, w->call, out);
    answer_failure(out, w->client, w->request, &f, why);
}

void fate_ask(struct core *core, uint64_t now_us, struct stask *t, uint32_t process, const struct stask_waiter *w,
              struct actions *out)
{
    if (t->process != process || t->state == STASK_DEAD) {
        array_of_call_end(core, w->client, process, w->call, out);
        if (process == t->fate_process)
            tell(t, &t->fate, w, out);
        else
            tell_of_older(t, w, out);
        return;
    }
    if (stask_wait(&t->fates, w->client, w->request, w->call) < 0)
        out->no_memory = true;
    else if (!heap_holds(&t->fate_timer))
        (void)heap_push(&core->fate_timers, &t->fate_timer, now_us + FATE_PATIENCE_US); /* stasks_new() has room */
}

void fates_due(struct core *core, uint64_t now_us, struct actions *out)
{
    const struct msg_failure f = { .code = PTOOLS_ERR_LOST, .maybe_executed = true };
    struct heap_node *node;

    while ((node = heap_top(&core->fate_timers)) && heap_top_key(&core->fate_timers) <= now_us) {
        struct stask *t = CONTAINER_OF(node, struct stask, fate_timer);
        struct stask_waiter *w;
        char text[200];

        heap_remove(&core->fate_timers, node);
        snprintf(text, sizeof text, "server task %" PRIu32 " (pid %" PRId32 ") has closed the lane of this call, and "
                 "lives on: the call may have run", t->index, t->pid);
        LL_FOREACH(t->fates, w) {
            array_of_call_end(core, w->client, t->process, w->call, out);
            answer_failure(out, w->client, w->request, &f, text);
        }
        stask_waiters_free(&t->fates);
    }
}
