/* SPDX-License-Identifier: MIT */
/*
 * rig_queue -- see rig_queue.h.
 */
#include "tests/unit/core/rig_queue.h"

#include <string.h>

void rig_queue_start(struct rig *r, uint32_t workers)
{
    static const char *const names[] = { "here", "here.example", "127.0.0.1" };

    rig_start(r, workers);
    core_wall(r->core, r->now, QUEUE_WALL_MS);
    ck_assert_int_eq(core_host(r->core, names, ELEMENTS(names)), 0);
}

uint64_t rig_queue_of(struct rig *r, uint32_t client, const struct msg_submit *m, const char *args)
{
    const struct msg_request request = { .kind = MSG_TASK_SUBMIT, .id = ++r->request, .submit = *m };
    AUTO(msg_decoder) decoder = msg_decoder_new();
    AUTO(blob) payload = args ? blob_new(args, strlen(args)) : NULL;
    AUTO(blob) spec = NULL;
    struct msg_request decoded;
    struct msg_problem problem;
    struct bytes bytes;

    bytes_init(&bytes, ENVELOPE_BYTES_MAX);
    msg_request_encode(&request, &bytes);
    spec = blob_new(bytes.data, bytes.n);
    bytes_deinit(&bytes);
    ck_assert_msg(msg_request_decode(decoder, spec->data, spec->n, &decoded, &problem) == 0, "%s", problem.text);
    ck_assert_int_eq(core_queue(r->core, r->now, client, r->request, &decoded.submit, spec, payload, &r->out), 0);
    rig_check(r);
    return r->request;
}

uint64_t rig_queue(struct rig *r, const struct msg_submit *m)
{
    return rig_queue_of(r, r->client, m, "argument");
}

uint64_t rig_queue_id(struct rig *r, uint64_t request)
{
    const struct action *a = rig_answer(r, request);

    ck_assert_msg(a, "request %lu has no answer", request);
    ck_assert_msg(!a->answer.failed, "%s: %.*s", ptools_errname(a->answer.failure.code),
                  (int)a->answer.failure.message.n, a->answer.failure.message.data);
    return a->answer.reply.task;
}

uint64_t rig_queued(struct rig *r, const struct msg_submit *m)
{
    const uint64_t request = rig_queue(r, m);

    if (m->durability >= TASK_CRASHSAFE)
        rig_recorded(r);
    return rig_queue_id(r, request);
}

size_t rig_recorded(struct rig *r)
{
    uint64_t last = 0;
    size_t n = 0;

    for (size_t i = 0; i < r->out.n; i++) {
        struct action *a = &r->out.v[i];

        if (a->type != ACT_RECORD || !a->row)
            continue;
        ck_assert_uint_gt(a->row->number, last);
        last = a->row->number;
        n++;
    }
    core_recorded(r->core, r->now, last, &r->out);
    rig_check(r);
    return n;
}

uint32_t rig_shown(struct rig *r, uint64_t task)
{
    const struct qtask *q = qtask_find(r->core, task);

    return q ? qtask_shown(q) : 0;
}

struct qtask *rig_qtask(struct rig *r, uint64_t task)
{
    struct qtask *q = qtask_find(r->core, task);

    ck_assert_msg(q != NULL, "there is no task %lu", task);
    return q;
}

size_t rig_runs(struct rig *r, uint64_t *ids, size_t n)
{
    size_t found = 0;

    for (size_t i = 0; i < r->out.n; i++)
        if (r->out.v[i].type == ACT_RUN && found < n)
            ids[found++] = r->out.v[i].task;
    return found;
}

void rig_qdone(struct rig *r, uint64_t task)
{
    struct task *t = task_find(r->core, task);
    AUTO(blob) blob = blob_new("value", 5);
    const struct core_value value = { .blob = blob };

    ck_assert_msg(t && t->worker, "task %lu is not with a worker", task);
    core_worker_done(r->core, r->now, t->worker->id, t->id, t->attempt, PTOOLS_OK, &value, NULL, 1000, 0, 0, &r->out);
    rig_check(r);
}

void rig_qfailed(struct rig *r, uint64_t task, ptools_err code, const char *message)
{
    const struct msg_failure facts = { .message = { message, strlen(message) } };
    struct task *t = task_find(r->core, task);

    ck_assert(t && t->worker);
    core_worker_done(r->core, r->now, t->worker->id, t->id, t->attempt, code, NULL, &facts, 1000, 0, 0, &r->out);
    rig_check(r);
}

void rig_qdies(struct rig *r, uint64_t task, bool begun)
{
    const struct msg_failure facts = { .code = PTOOLS_ERR_WORKER_DIED, .signal = 9, .backtrace = TEXT("#0 f\n") };
    struct task *t = task_find(r->core, task);
    uint32_t worker;

    ck_assert(t && t->worker);
    worker = t->worker->id;
    core_worker_gone(r->core, r->now, worker, &facts, begun ? &task : NULL, begun, &r->out);
    rig_check(r);
    if (worker_find(r->core, worker)->state == WORKER_DEAD)
        rig_tick(r, r->limits.backoff_max_us);
    rig_ready(r, worker);
}

uint64_t rig_ask(struct rig *r, enum msg_kind kind, const struct msg_task *m)
{
    core_queued(r->core, r->now, r->client, ++r->request, kind, m, &r->out);
    rig_check(r);
    return r->request;
}

uint64_t rig_change(struct rig *r, enum task_change change, uint64_t task)
{
    return rig_ask(r, MSG_TASK_CHANGE, &(const struct msg_task){ .n_tasks = 1, .tasks = &task, .change = change });
}

uint64_t rig_result(struct rig *r, uint64_t task)
{
    return rig_ask(r, MSG_TASK_RESULT, &(const struct msg_task){ .task = task });
}

const char *rig_why(struct rig *r, uint64_t task)
{
    static char text[300];
    const struct action *a = rig_answer(r, rig_ask(r, MSG_TASK_WHY, &(const struct msg_task){ .task = task }));

    ck_assert(a && !a->answer.failed);
    snprintf(text, sizeof text, "%.*s", (int)a->answer.reply.reason.n, a->answer.reply.reason.data);
    return text;
}

struct action *rig_event(struct rig *r, enum task_event_kind event, uint64_t task)
{
    for (size_t i = 0; i < r->out.n; i++)
        if (r->out.v[i].type == ACT_EVENT && r->out.v[i].answer.event.event == event &&
            r->out.v[i].answer.event.task == task)
            return &r->out.v[i];
    return NULL;
}
