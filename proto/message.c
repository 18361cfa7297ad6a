/* SPDX-License-Identifier: MIT */
/*
 * message -- the requests: their kinds, and the fields of each, in tables. See envelope.c for how.
 */
#include "proto/message.h"

#include <inttypes.h>

#include "proto/envelope.h"

#define WALL_MS_MAX UINT64_C(253402300799999)   /* the end of the year 9999 */

#define AT(name) .at = offsetof(struct msg_request, name)
#define BESIDE(name) .beside = offsetof(struct msg_request, name)

static const struct field hello_fields[] = {
    { "versions", FIELD_VERSIONS, .required = true, AT(hello.version_min), BESIDE(hello.version_max) },
    { "client", FIELD_TEXT, AT(hello.client), .max = WORD_BYTES_MAX },
};
static const struct field call_fields[] = {
    { "function", FIELD_FUNCTION, .required = true, AT(call.function) },
    { "set", FIELD_SET, AT(call.set), BESIDE(call.set_id), .max = UINT32_MAX },
    { "worker", FIELD_U32, AT(call.worker), .max = WORKER_MAX },
    { "deadline_ms", FIELD_U64, AT(call.deadline_ms), .max = DEADLINE_MS_MAX },
    { "grace_ms", FIELD_U64, AT(call.grace_ms), .max = DEADLINE_MS_MAX },
    { "priority", FIELD_F64, AT(call.priority), BESIDE(call.has_priority) },
    { "detached", FIELD_BOOL, AT(call.detached) },
    { "args", FIELD_PAIR, AT(call.args), BESIDE(call.args_bytes), .min = 1 },
    { "room", FIELD_U64, AT(call.room), .max = UINT64_MAX },
    { "large", FIELD_U64, AT(call.large), .max = UINT64_MAX },
    { "items", FIELD_U32, AT(call.items), .min = 1, .max = BATCH_ITEMS_MAX },
    { "item_ms", FIELD_U64, AT(call.item_ms), .max = DEADLINE_MS_MAX },
    { "hand_back_ms", FIELD_U64, AT(call.hand_back_ms), .max = DEADLINE_MS_MAX },
    { "map", FIELD_U64, AT(call.map), .max = UINT32_MAX },
    { "init", FIELD_FUNCTION, AT(call.init) },
    { "captured", FIELD_PAIR, AT(call.captured), BESIDE(call.captured_bytes), .min = 1 },
    { "isolated", FIELD_BOOL, AT(call.isolated) },
    { "reduce", FIELD_FUNCTION, AT(call.reduce) },
    { "values", FIELD_U32, AT(call.values), .max = BATCH_ITEMS_MAX },
};
static const struct field cancel_fields[] = {
    { "request", FIELD_U64, AT(cancel.request), .min = 1, .max = UINT64_MAX },
    { "task", FIELD_U64, AT(cancel.task), .min = 1, .max = UINT64_MAX },
};
static const struct field call_limit_fields[] = {
    { "request", FIELD_U64, .required = true, AT(limit.request), .min = 1, .max = UINT64_MAX },
    { "item_ms", FIELD_U64, AT(limit.item_ms), .max = DEADLINE_MS_MAX },
};
static const struct field set_create_fields[] = {
    { "name", FIELD_SET_NAME, AT(set.name) },
    { "mode", FIELD_MODE, AT(set.mode) },
    { "workers", FIELD_WORKERS, .required = true, AT(set.members), BESIDE(set.n) },
};
static const struct field set_open_fields[] = {
    { "name", FIELD_SET_NAME, .required = true, AT(set.name) },
};
static const struct field set_change_fields[] = {
    { "set", FIELD_U32, .required = true, AT(set.set_id), .min = 1, .max = UINT32_MAX },
    { "mode", FIELD_MODE, AT(set.mode) },
    { "workers", FIELD_WORKERS, .required = true, AT(set.members), BESIDE(set.n) },
};
static const struct field set_destroy_fields[] = {
    { "set", FIELD_U32, .required = true, AT(set.set_id), .min = 1, .max = UINT32_MAX },
};
static const struct field workers_add_fields[] = {
    { "count", FIELD_U32, .required = true, AT(workers.n), .min = 1, .max = WORKERS_MAX },
};
static const struct field workers_remove_fields[] = {
    { "worker", FIELD_U32, .required = true, AT(workers.worker), .min = 1, .max = WORKER_MAX },
};
static const struct field inspect_fields[] = {
    { "what", FIELD_TEXT, .required = true, AT(inspect.what), .max = WORD_BYTES_MAX },
};

static const struct field array_create_fields[] = {
    { "name", FIELD_SET_NAME, AT(array.name) },
    { "prefix", FIELD_PREFIX, AT(array.prefix) },
    { "type", FIELD_TYPE, .required = true, AT(array.type) },
    { "dims", FIELD_DIMS, .required = true, AT(array.dims), BESIDE(array.ndims) },
    { "order", FIELD_ORDER, AT(array.order) },
    { "replace", FIELD_BOOL, AT(array.replace) },
    { "keep", FIELD_BOOL, AT(array.keep) },
    { "keep_ms", FIELD_U64, AT(array.keep_ms), .max = DEADLINE_MS_MAX },
    { "huge", FIELD_BOOL, AT(array.huge) },
    { "populate", FIELD_BOOL, AT(array.populate) },
    { "everywhere", FIELD_BOOL, AT(array.everywhere) },
    { "file", FIELD_U64, AT(array.file), .max = UINT64_MAX },
    { "offset", FIELD_U64, AT(array.offset), .max = INT64_MAX },
    { "share", FIELD_UIDS, AT(array.share), BESIDE(array.n_share) },
};
static const struct field array_unlink_fields[] = {
    { "name", FIELD_SET_NAME, AT(array.name) },
    { "prefix", FIELD_PREFIX, AT(array.prefix) },
    { "array", FIELD_U64, AT(array.array), .max = UINT64_MAX },
};
static const struct field array_close_fields[] = {
    { "array", FIELD_U64, .required = true, AT(array.array), .min = 1, .max = UINT64_MAX },
};
static const struct field stasks_start_fields[] = {
    { "count", FIELD_U32, AT(stasks.count), .max = STASKS_MAX },
    { "name", FIELD_SET_NAME, AT(stasks.name) },
    { "prefix", FIELD_PREFIX, AT(stasks.prefix) },
    { "arrays", FIELD_IDS, AT(stasks.arrays), BESIDE(stasks.n_arrays), .max = STASKS_ARRAYS_MAX },
};
static const struct field stasks_open_fields[] = {
    { "name", FIELD_SET_NAME, .required = true, AT(stasks.name) },
};
#define FIELD_THE_STASKS { "stasks", FIELD_U64, .required = true, AT(stasks.stasks), .min = 1, .max = UINT64_MAX }
static const struct field stasks_restart_fields[] = {
    FIELD_THE_STASKS,
};
static const struct field stasks_stop_fields[] = {
    FIELD_THE_STASKS,
    { "kill_ms", FIELD_U64, AT(stasks.kill_ms), .max = DEADLINE_MS_MAX },
};
static const struct field stasks_call_fields[] = { /* fate, cancel */
    FIELD_THE_STASKS,
    { "index", FIELD_U32, AT(stasks.index), .max = STASKS_MAX - 1 },
    { "process", FIELD_U32, .required = true, AT(stasks.process), .min = 1, .max = UINT32_MAX },
    { "call", FIELD_U64, .required = true, AT(stasks.call), .min = 1, .max = UINT64_MAX },
};

static const char *const target_words[] = { "any", "all", NULL };
static const char *const durability_words[] = { "volatile", "crashsafe", "durable", NULL };
static const char *const retry_words[] = { "died", "failed", "timeout", NULL };
static const char *const change_words[] = { "dequeue", "cancel", "hold", "release", "kick", "rerun", "forget", NULL };

static const struct field task_submit_fields[] = {
    { "function", FIELD_FUNCTION, .required = true, AT(submit.function) },
    { "target", FIELD_CHOICE, AT(submit.target), .words = target_words },
    { "workers", FIELD_WORKERS, AT(submit.workers), BESIDE(submit.n_workers) },
    { "hosts", FIELD_HOSTS, AT(submit.hosts), BESIDE(submit.n_hosts) },
    { "set", FIELD_SET, AT(submit.set), BESIDE(submit.set_id), .min = 1, .max = UINT32_MAX },
    { "wait_target", FIELD_BOOL, AT(submit.wait_target) },
    { "any_target", FIELD_BOOL, AT(submit.any_target) },
    { "priority", FIELD_F64, AT(submit.priority), BESIDE(submit.has_priority) },
    { "delay_ms", FIELD_U64, AT(submit.delay_ms), .max = DEADLINE_MS_MAX },
    { "start_ms", FIELD_U64, AT(submit.start_ms), .max = WALL_MS_MAX },
    { "expire_ms", FIELD_U64, AT(submit.expire_ms), .max = DEADLINE_MS_MAX },
    { "deadline_ms", FIELD_U64, AT(submit.deadline_ms), .max = DEADLINE_MS_MAX },
    { "grace_ms", FIELD_U64, AT(submit.grace_ms), .max = DEADLINE_MS_MAX },
    { "attempts", FIELD_U32, AT(submit.attempts), .min = 1, .max = ATTEMPTS_MAX },
    { "backoff_ms", FIELD_U64, AT(submit.backoff_ms), .max = DEADLINE_MS_MAX },
    { "backoff_max_ms", FIELD_U64, AT(submit.backoff_max_ms), .max = DEADLINE_MS_MAX },
    { "retry_on", FIELD_CHOICES, AT(submit.retry_on), .words = retry_words },
    { "idempotent", FIELD_BOOL, AT(submit.idempotent) },
    { "key", FIELD_BYTES, AT(submit.key), .min = 1, .max = KEY_BYTES_MAX },
    { "key_passing", FIELD_BOOL, AT(submit.key_passing) },
    { "tags", FIELD_TAGS, AT(submit.tags), BESIDE(submit.n_tags) },
    { "after", FIELD_IDS, AT(submit.after), BESIDE(submit.n_after), .max = TASK_AFTER_MAX },
    { "after_any", FIELD_BOOL, AT(submit.after_any) },
    { "after_keep", FIELD_BOOL, AT(submit.after_keep) },
    { "keep_ms", FIELD_U64, AT(submit.keep_ms), .max = DEADLINE_MS_MAX },
    { "result_max", FIELD_U64, AT(submit.result_max), .max = UINT64_MAX },
    { "durability", FIELD_CHOICE, AT(submit.durability), .words = durability_words },
    { "hold", FIELD_BOOL, AT(submit.hold) },
    { "wait", FIELD_BOOL, AT(submit.wait) },
    { "block", FIELD_BOOL, AT(submit.block) },
};
#define FIELD_ONE_TASK { "task", FIELD_U64, AT(task.task), .min = 1, .max = UINT64_MAX }, \
    { "key", FIELD_BYTES, AT(task.key), .min = 1, .max = KEY_BYTES_MAX }
#define FIELD_THE_TASKS \
    { "tasks", FIELD_IDS, .required = true, AT(task.tasks), BESIDE(task.n_tasks), .max = TASK_IDS_MAX }
static const struct field task_get_fields[] = {
    FIELD_ONE_TASK,
    { "args", FIELD_BOOL, AT(task.args) },
};
static const struct field task_one_fields[] = { /* result, why */
    FIELD_ONE_TASK,
};
static const struct field task_wait_fields[] = {
    FIELD_THE_TASKS,
    { "any", FIELD_BOOL, AT(task.any) },
};
static const struct field task_change_fields[] = {
    FIELD_THE_TASKS,
    { "change", FIELD_CHOICE, .required = true, AT(task.change), .words = change_words },
    { "grace_ms", FIELD_U64, AT(task.grace_ms), .max = DEADLINE_MS_MAX },
    { "at_once", FIELD_BOOL, AT(task.at_once) },
};
static const struct field task_list_fields[] = {
    { "states", FIELD_CHOICES, AT(task.states), .min = SHOWN_WAITING, .words = task_shown_words },
    { "tag", FIELD_TAG, AT(task.tag) },
    { "after", FIELD_U64, AT(task.after), .max = UINT64_MAX },
    { "limit", FIELD_U32, AT(task.limit), .min = 1, .max = TASK_PAGE_MAX },
    { "newest", FIELD_BOOL, AT(task.newest) },
    { "args", FIELD_BOOL, AT(task.args) },
};
static const struct field events_fields[] = {
    { "tag", FIELD_TAG, AT(task.tag) },
    { "task", FIELD_U64, AT(task.task), .min = 1, .max = UINT64_MAX },
};
static const struct field queue_pause_fields[] = { /* and resume */
    { "tag", FIELD_TAG, AT(task.tag) },
};
static const struct field events_end_fields[] = {
    { "request", FIELD_U64, .required = true, AT(task.request), .min = 1, .max = UINT64_MAX },
};

#define BODY(table) { table, ELEMENTS(table) }
static const struct {
    const struct field *fields;
    size_t n;
} bodies[MSG_REQUESTS] = {
    [MSG_HELLO] = BODY(hello_fields),
    [MSG_CALL] = BODY(call_fields),
    [MSG_CANCEL] = BODY(cancel_fields),
    [MSG_CALL_LIMIT] = BODY(call_limit_fields),
    [MSG_SET_CREATE] = BODY(set_create_fields),
    [MSG_SET_OPEN] = BODY(set_open_fields),
    [MSG_SET_CHANGE] = BODY(set_change_fields),
    [MSG_SET_DESTROY] = BODY(set_destroy_fields),
    [MSG_WORKERS_ADD] = BODY(workers_add_fields),
    [MSG_WORKERS_REMOVE] = BODY(workers_remove_fields),
    [MSG_INSPECT] = BODY(inspect_fields),
    [MSG_ARRAY_CREATE] = BODY(array_create_fields),
    [MSG_ARRAY_UNLINK] = BODY(array_unlink_fields),
    [MSG_ARRAY_CLOSE] = BODY(array_close_fields),
    [MSG_STASKS_START] = BODY(stasks_start_fields),
    [MSG_STASKS_OPEN] = BODY(stasks_open_fields),
    [MSG_STASKS_RESTART] = BODY(stasks_restart_fields),
    [MSG_STASKS_STOP] = BODY(stasks_stop_fields),
    [MSG_STASKS_FATE] = BODY(stasks_call_fields),
    [MSG_STASKS_CANCEL] = BODY(stasks_call_fields),
    [MSG_TASK_SUBMIT] = BODY(task_submit_fields),
    [MSG_TASK_GET] = BODY(task_get_fields),
    [MSG_TASK_RESULT] = BODY(task_one_fields),
    [MSG_TASK_WAIT] = BODY(task_wait_fields),
    [MSG_TASK_CHANGE] = BODY(task_change_fields),
    [MSG_TASK_LIST] = BODY(task_list_fields),
    [MSG_TASK_WHY] = BODY(task_one_fields),
    [MSG_EVENTS] = BODY(events_fields),
    [MSG_EVENTS_END] = BODY(events_end_fields),
    [MSG_QUEUE_PAUSE] = BODY(queue_pause_fields),
    [MSG_QUEUE_RESUME] = BODY(queue_pause_fields),
};

const struct field *msg_request_fields(enum msg_kind kind, size_t *ret_n)
{
    *ret_n = bodies[kind].n;
    return bodies[kind].fields;
}

/* What no table of fields can say. */
static int check_submit(const struct msg_submit *s, uint64_t id, struct msg_problem *ret_problem)
{
    const int targets = (s->target != 0) + (s->n_workers != 0) + (s->n_hosts != 0) +
                        (s->set.data != NULL || s->set_id != 0);

    if (targets > 1)
        return envelope_problem(ret_problem, PTOOLS_ERR_BAD_REQUEST, id,
                                "task-submit: only one of target, workers, hosts and set may be there");
    if (s->delay_ms && s->start_ms)
        return envelope_problem(ret_problem, PTOOLS_ERR_BAD_REQUEST, id,
                                "task-submit: only one of delay_ms and start_ms may be there");
    if (s->wait_target && s->any_target)
        return envelope_problem(ret_problem, PTOOLS_ERR_BAD_REQUEST, id,
                                "task-submit: only one of wait_target and any_target may be there");
    return 0;
}

int msg_request_decode(struct msg_decoder *d, const uint8_t *data, size_t n, struct msg_request *ret,
                       struct msg_problem *ret_problem)
{
    struct msg_request m = { 0 };
    struct envelope e;
    int r;

    r = envelope_decode(d, data, n, MSG_HELLO, MSG_REQUESTS - 1, &e, ret_problem);
    if (r != 0)
        return r;
    if (e.id == 0)
        return envelope_problem(ret_problem, PTOOLS_ERR_BAD_REQUEST, 0,
                                "%s: id must be an integer from 1 to %" PRIu64 "; it is 0", msg_kind_name(e.kind),
                                UINT64_MAX);
    m.kind = e.kind;
    m.id = e.id;
    r = envelope_fields_decode(d, &e, bodies[m.kind].fields, bodies[m.kind].n, &m, ret_problem);
    if (r != 0)
        return r;
    if (m.kind == MSG_CANCEL && (m.cancel.request != 0) == (m.cancel.task != 0))
        return envelope_problem(ret_problem, PTOOLS_ERR_BAD_REQUEST, m.id,
                                "cancel: exactly one of request and task must be there");
    if (m.kind == MSG_ARRAY_UNLINK && (m.array.array != 0) == (m.array.name.data != NULL))
        return envelope_problem(ret_problem, PTOOLS_ERR_BAD_REQUEST, m.id,
                                "array-unlink: exactly one of name and array must be there");
    if ((m.kind == MSG_TASK_GET || m.kind == MSG_TASK_RESULT || m.kind == MSG_TASK_WHY) &&
        (m.task.task != 0) == (m.task.key.data != NULL))
        return envelope_problem(ret_problem, PTOOLS_ERR_BAD_REQUEST, m.id,
                                "%s: exactly one of task and key must be there", msg_kind_name(m.kind));
    if (m.kind == MSG_EVENTS && m.task.task != 0 && m.task.tag.data != NULL)
        return envelope_problem(ret_problem, PTOOLS_ERR_BAD_REQUEST, m.id,
                                "events: only one of tag and task may be there");
    if (m.kind == MSG_TASK_SUBMIT) {
        r = check_submit(&m.submit, m.id, ret_problem);
        if (r != 0)
            return r;
    }
    if ((m.kind == MSG_SET_CREATE || m.kind == MSG_SET_CHANGE) && m.set.mode == 0)
        m.set.mode = 1; /* round robin is the default */
    *ret = m;
    return 0;
}

void msg_request_encode(const struct msg_request *m, struct bytes *out)
{
    envelope_encode(m->kind, m->id, bodies[m->kind].fields, bodies[m->kind].n, m, out);
}
