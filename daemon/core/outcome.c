/* SPDX-License-Identifier: MIT */
/*
 * outcome -- how a task ends: its answer, the counters, a line for the log. Exactly once, for afterwards the
 * task is gone.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "daemon/core/state.h"

void task_accept(struct core *core, struct task *t, struct actions *out)
{
    const struct msg_reply reply = { .task = t->id };

    if (!t->detached || !t->client)
        return;
    answer_reply(out, t->client->id, t->key.request, &reply, NULL);
    task_forget_client(core, t);
}

void task_succeed(struct core *core, struct task *t, const struct core_value *value, const struct msg_failure *took,
                  struct actions *out)
{
    const struct msg_reply reply = { .task = t->id,
                                     .worker = t->worker->id,
                                     .attempt = t->attempt,
                                     .run_us = took->run_us,
                                     .value = value->array,
                                     .value_bytes = value->bytes,
                                     .workers = t->batch && t->set ? t->set->n : 0,
                                     .items = t->batch ? t->batch->done : 0,
                                     .items_failed = t->batch ? t->batch->failed : 0 };

    if (t->client)
        answer_reply(out, t->client->id, t->key.request, &reply, t->batch ? t->batch->records : value->blob);
    if (t->queued)
        qtask_attempt_done(core, t->queued, value, took, out);
    core->stats.done++;
    task_release_arrays(core, t, out);
    if (task_step(core, t, EV_END, out))
        task_free(core, t);
}

static void fail(struct core *core, struct task *t, ptools_err code, const struct msg_failure *facts,
                 bool maybe_executed, const char *sentence, struct actions *out)
{
    struct msg_failure f = facts ? *facts : (struct msg_failure){ 0 };
    bool answered = t->client != NULL;

    f.code = code;
    f.task = t->id;
    f.worker = t->worker && (facts || maybe_executed) ? t->worker->id : 0;
    f.attempt = maybe_executed ? t->attempt : 0;
    if (f.pid == 0 && f.worker)
        f.pid = t->worker->pid;
    f.maybe_executed = maybe_executed;
    f.items = t->batch ? t->batch->done : 0;
    if (sentence)
        f.message = (struct text){ sentence, strlen(sentence) };
    if (answered)
        answer_failure_with(out, t->client->id, t->key.request, &f, sentence, t->batch ? t->batch->records : NULL);
    if (t->queued)
        qtask_attempt_failed(core, t->queued, &f, out);
    /* Whoever cancels knows it; and a drained queue is one event, not a line a task. */
    if (code != PTOOLS_ERR_CANCELLED && !(code == PTOOLS_ERR_DRAINING && answered))
        action_note(out, NOTE_TASK_FAILED, f.worker, t->id, "%s %s: %.*s", task_function_name(t), ptools_errname(code),
                    (int)MIN(f.message.n, 200), f.message.data ? f.message.data : "");
    if (code == PTOOLS_ERR_CANCELLED)
        core->stats.cancelled++;
    else
        core->stats.failed++;
    task_release_arrays(core, t, out);
    if (task_step(core, t, EV_END, out))
        task_free(core, t);
}

void task_fail(struct core *core, struct task *t, ptools_err code, const struct msg_failure *facts, bool maybe_executed,
               struct actions *out, const char *format, ...)
{
    char sentence[sizeof((struct action *)0)->text];
    va_list args;

    if (format) {
        va_start(args, format);
        vsnprintf(sentence, sizeof sentence, format, args);
        va_end(args);
    }
    fail(core, t, code, facts, maybe_executed, format ? sentence : NULL, out);
}

void task_refuse_function(struct core *core, struct task *t, struct actions *out)
{
    char text[256];
    struct msg_failure facts = { 0 };
    const char *sentence = text;
    ptools_err code =
        module_refusal(t->module ? t->module : t->function->module, task_function_name(t), text, &sentence);

    facts.message = (struct text){ sentence, strlen(sentence) };
    fail(core, t, code, &facts, false, sentence == text ? text : NULL, out);
}

static void deadline_text(const struct task *t, bool begun, char text[256])
{
    int n = snprintf(text, 256, "the deadline of %" PRIu64 " ms passed ", t->deadline_ms);

    if (begun)
        snprintf(text + n, 256 - (size_t)n, "while %s was running in worker %" PRIu32, task_function_name(t),
                 t->worker->id);
    else if (t->state == TASK_HELD)
        snprintf(text + n, 256 - (size_t)n, "while module %s was being loaded", t->module->name);
    else
        snprintf(text + n, 256 - (size_t)n, "in the queue");
}

void task_end_stopped(struct core *core, struct task *t, const struct msg_failure *facts, bool maybe_executed,
                      struct actions *out)
{
    static const char *const why[] = {
        [STOP_CANCEL] = "cancelled on request",
        [STOP_CLIENT_GONE] = "cancelled because its client left",
        [STOP_DRAIN] = "cancelled because the daemon ends",
    };
    char text[256];

    if (t->stop == STOP_ITEM) {
        snprintf(text, sizeof text, "an item of %s ran for more than %" PRIu64 " ms in worker %" PRIu32,
                 task_function_name(t), t->batch->item_ms, t->worker->id);
        fail(core, t, PTOOLS_ERR_DEADLINE, facts, maybe_executed, text, out);
        return;
    }
    if (t->stop == STOP_DEADLINE) {
        deadline_text(t, maybe_executed, text);
        fail(core, t, PTOOLS_ERR_DEADLINE, facts, maybe_executed, text, out);
        return;
    }
    snprintf(text, sizeof text, "%s%s", why[t->stop], maybe_executed ? " while it was running" : "");
    fail(core, t, PTOOLS_ERR_CANCELLED, facts, maybe_executed, text, out);
}
