/* SPDX-License-Identifier: MIT */
/*
 * rig_shared -- see rig_shared.h.
 */
#include "tests/unit/core/rig_shared.h"

#include <string.h>

uint32_t rig_client(struct rig *r, uint32_t uid)
{
    uint32_t client;

    ck_assert_int_eq(core_client_add(r->core, uid, &client), 0);
    rig_check(r);
    return client;
}

void rig_leaves(struct rig *r, uint32_t client)
{
    core_client_gone(r->core, r->now, client, &r->out);
    rig_check(r);
}

/* -- arrays ----------------------------------------------------------------------------------------------- */

struct msg_array rig_shape(const char *name, uint64_t n)
{
    struct msg_array m = { .type = PTOOLS_UINT8, .ndims = 1, .dims = { n } };

    if (name)
        m.name = (struct text){ name, strlen(name) };
    return m;
}

uint64_t rig_array_request(struct rig *r, uint32_t client, enum msg_kind kind, const struct msg_array *m)
{
    core_array(r->core, r->now, client, ++r->request, kind, m, &r->out);
    rig_check(r);
    return r->request;
}

uint64_t rig_asked(struct rig *r)
{
    const struct action *a = rig_find(r, ACT_ARRAY_MAKE, rig_count(r, ACT_ARRAY_MAKE) - 1);

    ck_assert_msg(a, "no array is asked for");
    return a->array;
}

void rig_made(struct rig *r, uint64_t array)
{
    const struct array *a = array_find(r->core, array);
    uint64_t bytes = a ? a->layout.bytes : 0;
    const struct core_memory memory = { .mapped_bytes = (bytes + RIG_PAGE - 1) / RIG_PAGE * RIG_PAGE };

    core_array_made(r->core, r->now, array, PTOOLS_OK, "", &memory, &r->out);
    rig_check(r);
}

void rig_not_made(struct rig *r, uint64_t array, ptools_err code, const char *why)
{
    const struct core_memory memory = { 0 };

    core_array_made(r->core, r->now, array, code, why, &memory, &r->out);
    rig_check(r);
}

uint64_t rig_array(struct rig *r, uint32_t client, const struct msg_array *m)
{
    uint64_t request, array;

    rig_clear(r);
    request = rig_array_request(r, client, MSG_ARRAY_CREATE, m);
    array = rig_asked(r);
    rig_made(r, array);
    ck_assert_uint_eq(rig_reply(r, request).array, array);
    rig_clear(r);
    return array;
}

uint64_t rig_array_of(struct rig *r, const char *name, uint64_t n)
{
    const struct msg_array m = rig_shape(name, n);

    return rig_array(r, r->client, &m);
}

struct array *rig_the_array(struct rig *r, uint64_t array)
{
    return array_find(r->core, array);
}

static ptools_err take(struct rig *r, bool is_client, uint32_t who, const struct fds_request *request,
                       struct fds_answer *ret)
{
    struct fds_answer answer;

    core_array_take(r->core, is_client, who, request, &answer);
    rig_check(r);
    ck_assert_uint_eq(answer.magic, FDS_MAGIC);
    if (ret)
        *ret = answer;
    return (ptools_err)answer.code;
}

ptools_err rig_take(struct rig *r, bool is_client, uint32_t who, uint64_t task, uint64_t array, struct fds_answer *ret)
{
    const struct fds_request request = { .kind = FDS_ARRAY, .id = array, .task = task, .owner = FDS_OWN };

    return take(r, is_client, who, &request, ret);
}

ptools_err rig_take_name(struct rig *r, bool is_client, uint32_t who, uint64_t task, uint32_t owner, const char *prefix,
                         const char *name, struct fds_answer *ret)
{
    struct fds_request request = { .kind = FDS_ARRAY, .task = task, .owner = owner };

    strcpy(request.prefix, prefix);
    strcpy(request.name, name);
    return take(r, is_client, who, &request, ret);
}

size_t rig_count_array(struct rig *r, enum action_type type, uint64_t array)
{
    size_t n = 0;

    for (size_t i = 0; i < r->out.n; i++)
        n += r->out.v[i].type == type && r->out.v[i].array == array;
    return n;
}

struct action *rig_action_of(struct rig *r, enum action_type type, uint32_t worker)
{
    struct action *found = NULL;

    for (size_t i = 0; i < r->out.n; i++) {
        struct action *a = &r->out.v[i];

        if (a->type != type || a->worker != worker)
            continue;
        ck_assert_msg(!found, "worker %u gets action %d twice", worker, (int)type);
        found = a;
    }
    ck_assert_msg(found, "worker %u does not get action %d", worker, (int)type);
    return found;
}

uint64_t rig_call_large(struct rig *r, uint32_t client, uint64_t args, uint64_t args_bytes, uint64_t room,
                        uint64_t large)
{
    const struct msg_call call = {
        .function = TEXT("m.f"), .args = args, .args_bytes = args_bytes, .room = room, .large = large
    };

    ck_assert_int_eq(core_submit(r->core, r->now, client, ++r->request, &call, NULL, &r->out), 0);
    rig_check(r);
    return r->request;
}

uint64_t rig_runs_large(struct rig *r, uint64_t args, uint64_t args_bytes, uint64_t room, uint64_t large)
{
    uint64_t request = rig_call_large(r, r->client, args, args_bytes, room, large);

    rig_assign(r);
    ck_assert_uint_ne(rig_where(r, request), 0);
    return rig_task(r, request)->id;
}

void rig_wants_room(struct rig *r, uint32_t worker, uint32_t client, uint64_t task, uint64_t bytes)
{
    core_array_for_value(r->core, r->now, worker, client, task, bytes, &r->out);
    rig_check(r);
}

void rig_done_array(struct rig *r, uint64_t task, uint64_t array, uint64_t bytes)
{
    static const struct msg_failure facts;
    const struct task *t = task_find(r->core, task);
    const struct core_value value = { .array = array, .bytes = bytes };

    ck_assert(t && t->worker);
    core_worker_done(r->core, r->now, t->worker->id, task, t->attempt, PTOOLS_OK, &value, &facts, 1000, 0, 0, &r->out);
    rig_check(r);
}

struct msg_reply rig_reply(struct rig *r, uint64_t request)
{
    const struct action *a = rig_answer(r, request);

    ck_assert_msg(a, "request %lu is not answered", request);
    ck_assert_msg(!a->answer.failed, "request %lu failed: %s", request, a->text);
    return a->answer.reply;
}

/* -- server tasks ------------------------------------------------------------------------------------------ */

uint64_t rig_stasks_request(struct rig *r, uint32_t client, enum msg_kind kind, const struct msg_stasks *m)
{
    core_stasks(r->core, r->now, client, ++r->request, kind, m, &r->out);
    rig_check(r);
    return r->request;
}

uint32_t rig_process(struct rig *r, uint64_t stasks, uint32_t index)
{
    struct core_stask_view v;

    ck_assert(core_view_stask(r->core, stasks, index, &v));
    return strcmp(v.state, "dead") == 0 ? 0 : v.process;
}

const char *rig_stask_state(struct rig *r, uint64_t stasks, uint32_t index)
{
    struct core_stask_view v;

    return core_view_stask(r->core, stasks, index, &v) ? v.state : "gone";
}

void rig_stask_ready(struct rig *r, uint32_t process)
{
    core_stask_ready(r->core, r->now, process, 5000 + (int32_t)(process & 0xff), &r->out);
    rig_check(r);
}

void rig_stask_maps(struct rig *r, uint32_t process)
{
    for (size_t i = 0; i < r->out.n; i++) {
        const struct action a = r->out.v[i];

        if (a.type != ACT_ARRAY_MAP || a.worker != process)
            continue;
        ck_assert_int_eq(rig_take(r, false, process, 0, a.array, NULL), PTOOLS_OK);
        core_array_mapped(r->core, r->now, process, a.array, PTOOLS_OK, "", &r->out);
        rig_check(r);
    }
}

void rig_stask_dies(struct rig *r, uint32_t process, int signal, uint64_t call)
{
    const struct msg_failure facts = { .code = PTOOLS_ERR_WORKER_DIED,
                                       .signal = signal,
                                       .exited = !signal,
                                       .phase = TEXT("counting"),
                                       .log = TEXT("so far\n"),
                                       .backtrace = TEXT("#0 f\n") };
    const struct core_calls calls = { .running = call, .begun = { call } };

    core_stask_gone(r->core, r->now, process, &facts, &calls, &r->out);
    rig_check(r);
}

void rig_stask_not_made(struct rig *r, uint32_t process)
{
    const struct msg_failure facts = {
        .code = PTOOLS_ERR_WORKER_DIED, .message = TEXT("no process left"), .exit_status = -1
    };

    core_stask_gone(r->core, r->now, process, &facts, &(struct core_calls){ 0 }, &r->out);
    rig_check(r);
}

uint64_t rig_stasks(struct rig *r, uint32_t client, const struct msg_stasks *m)
{
    uint64_t request, stasks;

    rig_clear(r);
    request = rig_stasks_request(r, client, MSG_STASKS_START, m);
    for (size_t i = 0; rig_find(r, ACT_SPAWN, i); i++)
        rig_stask_ready(r, rig_find(r, ACT_SPAWN, i)->worker);
    for (size_t i = 0; rig_find(r, ACT_SPAWN, i); i++)
        rig_stask_maps(r, rig_find(r, ACT_SPAWN, i)->worker);
    stasks = rig_reply(r, request).stasks;
    ck_assert_uint_ne(stasks, 0);
    rig_clear(r);
    return stasks;
}

uint64_t rig_stasks_of(struct rig *r, uint32_t n)
{
    const struct msg_stasks m = { .count = n };

    return rig_stasks(r, r->client, &m);
}
