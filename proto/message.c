/* SPDX-License-Identifier: MIT */
/*
 * message -- the requests: their kinds, and the fields of each, in tables. See envelope.c for how.
 */
#include "proto/message.h"

#include <inttypes.h>

#include "proto/envelope.h"

#define DEADLINE_MS_MAX UINT64_C(1000000000000) /* 31 years: added to a clock it does not overflow */

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
    { "detached", FIELD_BOOL, AT(call.detached) },
};
static const struct field cancel_fields[] = {
    { "request", FIELD_U64, AT(cancel.request), .min = 1, .max = UINT64_MAX },
    { "task", FIELD_U64, AT(cancel.task), .min = 1, .max = UINT64_MAX },
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

#define BODY(table) { table, ELEMENTS(table) }
static const struct {
    const struct field *fields;
    size_t n;
} bodies[MSG_REQUESTS] = {
    [MSG_HELLO] = BODY(hello_fields),
    [MSG_CALL] = BODY(call_fields),
    [MSG_CANCEL] = BODY(cancel_fields),
    [MSG_SET_CREATE] = BODY(set_create_fields),
    [MSG_SET_OPEN] = BODY(set_open_fields),
    [MSG_SET_CHANGE] = BODY(set_change_fields),
    [MSG_SET_DESTROY] = BODY(set_destroy_fields),
    [MSG_WORKERS_ADD] = BODY(workers_add_fields),
    [MSG_WORKERS_REMOVE] = BODY(workers_remove_fields),
    [MSG_INSPECT] = BODY(inspect_fields),
};

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
    if ((m.kind == MSG_SET_CREATE || m.kind == MSG_SET_CHANGE) && m.set.mode == 0)
        m.set.mode = 1; /* round robin is the default */
    *ret = m;
    return 0;
}

void msg_request_encode(const struct msg_request *m, struct bytes *out)
{
    envelope_encode(m->kind, m->id, bodies[m->kind].fields, bodies[m->kind].n, m, out);
}
