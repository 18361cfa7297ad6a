/* SPDX-License-Identifier: MIT */
/*
 * rig -- see rig.h.
 */
#include "tests/unit/core/rig.h"

#include <string.h>

void rig_check(struct rig *r)
{
    const char *wrong = core_check(r->core);

    ck_assert_msg(!wrong, "%s", wrong);
    ck_assert(!r->out.no_memory);
}

void rig_clear(struct rig *r)
{
    ck_assert_msg(!rig_find(r, ACT_BUG, 0), "%s", rig_find(r, ACT_BUG, 0)->text);
    actions_clear(&r->out);
    r->looked = 0;
}

void rig_limits(struct rig *r)
{
    *r = (struct rig){ .now = 1000000 };
    core_limits_default(&r->limits);
}

void rig_start(struct rig *r, uint32_t workers)
{
    static const char *const functions[] = { "f", "g", "long", "short" };

    actions_init(&r->out);
    r->core = core_new(&r->limits, 100, workers, r->now, &r->out);
    ck_assert_ptr_nonnull(r->core);
    ck_assert_uint_eq(rig_count(r, ACT_SPAWN), workers);
    for (uint32_t id = 1; id <= workers; id++)
        rig_ready(r, id);
    rig_loaded(r, "m", PTOOLS_OK, functions, 4);
    for (int i = 0; i < FUNCTION_RUNS_KNOWN; i++)
        function_ran(function_find(r->core, "m.short", 7), 10);
    ck_assert_int_eq(core_client_add(r->core, 1000, &r->client), 0);
    rig_check(r);
    rig_clear(r);
}

void rig_end(struct rig *r)
{
    rig_check(r);
    r->core = core_free(r->core);
    actions_deinit(&r->out);
}

uint64_t rig_call_with(struct rig *r, uint32_t client, const struct msg_call *call)
{
    AUTO(blob) payload = blob_new("argument", 8);

    ck_assert_int_eq(core_submit(r->core, r->now, client, ++r->request, call, payload, &r->out), 0);
    rig_check(r);
    return r->request;
}

static struct text text_of(const char *s)
{
    return (struct text){ s, strlen(s) };
}

uint64_t rig_call(struct rig *r, const char *function)
{
    const struct msg_call call = { .function = text_of(function) };

    return rig_call_with(r, r->client, &call);
}

uint64_t rig_call_set(struct rig *r, const char *function, uint32_t set)
{
    const struct msg_call call = { .function = text_of(function), .set_id = set };

    return rig_call_with(r, r->client, &call);
}

uint64_t rig_call_worker(struct rig *r, const char *function, uint32_t worker)
{
    const struct msg_call call = { .function = text_of(function), .worker = worker };

    return rig_call_with(r, r->client, &call);
}

uint64_t rig_call_deadline(struct rig *r, const char *function, uint64_t ms)
{
    const struct msg_call call = { .function = text_of(function), .deadline_ms = ms };

    return rig_call_with(r, r->client, &call);
}

uint32_t rig_set(struct rig *r, uint32_t mode, const char *name, const uint32_t *members)
{
    struct msg_set m = { .mode = mode, .members = (uint32_t *)members };
    struct action *answer;

    while (members[m.n])
        m.n++;
    if (name)
        m.name = text_of(name);
    core_set(r->core, r->now, r->client, ++r->request, MSG_SET_CREATE, &m, &r->out);
    rig_check(r);
    answer = rig_answer(r, r->request);
    ck_assert_ptr_nonnull(answer);
    return answer->answer.failed ? 0 : answer->answer.reply.set_id;
}

void rig_cancel(struct rig *r, uint64_t request)
{
    const struct msg_cancel cancel = { .request = request };

    core_cancel(r->core, r->now, r->client, ++r->request, &cancel, &r->out);
    rig_check(r);
}

void rig_assign(struct rig *r)
{
    core_assign(r->core, r->now, &r->out);
    rig_check(r);
}

void rig_tick(struct rig *r, uint64_t us)
{
    r->now += us;
    core_tick(r->core, r->now, &r->out);
    rig_check(r);
}

size_t rig_revoke(struct rig *r, bool taken_back)
{
    size_t n = 0;

    for (; r->looked < r->out.n; r->looked++) {
        const struct action a = r->out.v[r->looked];

        if (a.type != ACT_REVOKE)
            continue;
        core_revoked(r->core, r->now, a.worker, a.task, taken_back, &r->out);
        n++;
    }
    rig_check(r);
    return n;
}

void rig_done(struct rig *r, uint64_t request, uint64_t run_us)
{
    struct task *t = rig_task(r, request);
    AUTO(blob) blob = blob_new("value", 5);
    const struct core_value value = { .blob = blob };

    ck_assert_msg(t && t->worker, "request %lu is not with a worker", request);
    core_worker_done(r->core, r->now, t->worker->id, t->id, t->attempt, PTOOLS_OK, &value, NULL, run_us, 0, 0, &r->out);
    rig_check(r);
}

void rig_failed(struct rig *r, uint64_t request, ptools_err code, const char *message)
{
    const struct msg_failure facts = { .message = text_of(message) };
    struct task *t = rig_task(r, request);

    ck_assert(t && t->worker);
    core_worker_done(r->core, r->now, t->worker->id, t->id, t->attempt, code, NULL, &facts, 1000, 0, 0, &r->out);
    rig_check(r);
}

void rig_ready(struct rig *r, uint32_t worker)
{
    core_worker_ready(r->core, r->now, worker, 4000 + (int32_t)worker, &r->out);
    rig_check(r);
}

void rig_dies(struct rig *r, uint32_t worker, int signal, uint64_t begun)
{
    const struct msg_failure facts = { .code = PTOOLS_ERR_WORKER_DIED, .signal = signal, .backtrace = TEXT("#0 f\n") };
    const struct task *t = begun ? rig_task(r, begun) : NULL;

    core_worker_gone(r->core, r->now, worker, &facts, t ? &t->id : NULL, t ? 1 : 0, &r->out);
    rig_check(r);
}

void rig_loaded(struct rig *r, const char *module, ptools_err code, const char *const *functions, size_t n)
{
    struct report_function list[16] = { 0 };
    const struct report report = {
        .module = (char *)module,
        .help = (char *)"help",
        .path = (char *)"/modules/it.so",
        .problem = (char *)(code == PTOOLS_OK ? "" : "it is not as it should be"),
        .code = code,
        .n = n,
        .functions = list,
    };

    for (size_t i = 0; i < n; i++)
        list[i] = (struct report_function){ (char *)functions[i], (char *)"help", 0 };
    core_module_loaded(r->core, r->now, &report, &r->out);
    rig_check(r);
}

struct task *rig_task(struct rig *r, uint64_t request)
{
    return task_find_request(r->core, r->client, request);
}

uint32_t rig_where(struct rig *r, uint64_t request)
{
    struct task *t = rig_task(r, request);

    ck_assert_msg(t, "request %lu has ended", request);
    return t->worker ? t->worker->id : 0;
}

struct worker *rig_worker(struct rig *r, uint32_t id)
{
    return worker_or_stand_in(r->core, id);
}

struct action *rig_find(struct rig *r, enum action_type type, size_t nth)
{
    for (size_t i = 0; i < r->out.n; i++)
        if (r->out.v[i].type == type && nth-- == 0)
            return &r->out.v[i];
    return NULL;
}

size_t rig_count(struct rig *r, enum action_type type)
{
    size_t n = 0;

    while (rig_find(r, type, n))
        n++;
    return n;
}

struct action *rig_note(struct rig *r, enum note note)
{
    for (size_t i = 0; i < r->out.n; i++)
        if (r->out.v[i].type == ACT_NOTE && r->out.v[i].note == note)
            return &r->out.v[i];
    return NULL;
}

struct action *rig_answer(struct rig *r, uint64_t request)
{
    struct action *found = NULL;

    for (size_t i = 0; i < r->out.n; i++) {
        struct action *a = &r->out.v[i];

        if (a->type != ACT_ANSWER || a->answer.id != request)
            continue;
        ck_assert_msg(!found, "request %lu is answered twice", request);
        found = a;
    }
    return found;
}

const char *rig_failure(struct rig *r, uint64_t request, ptools_err code)
{
    static char message[1024];
    struct action *a = rig_answer(r, request);

    ck_assert_msg(a, "request %lu is not answered", request);
    ck_assert_msg(a->answer.failed, "request %lu did not fail", request);
    ck_assert_str_eq(ptools_errname(a->answer.failure.code), ptools_errname(code));
    ck_assert_uint_lt(a->answer.failure.message.n, sizeof message);
    memcpy(message, a->answer.failure.message.data, a->answer.failure.message.n);
    message[a->answer.failure.message.n] = '\0';
    return message;
}

void rig_value(struct rig *r, uint64_t request)
{
    struct action *a = rig_answer(r, request);

    ck_assert_msg(a, "request %lu is not answered", request);
    ck_assert_msg(!a->answer.failed, "request %lu failed: %s", request, a->text);
    ck_assert(a->payload && a->payload->n == 5);
}
