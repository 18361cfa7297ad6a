/* SPDX-License-Identifier: MIT */
/*
 * message_answer -- the two kinds of answers, "reply" and "error", and "event", which comes after one.
 *
 * An error carries all that is known about a failure. Its texts come from foreign code; they are cut
 * and cleaned when they are sent (FIELD_STORY), so that every error fits into an envelope and is
 * valid UTF-8 whatever a function wrote.
 */
#include <inttypes.h>

#include "proto/envelope.h"
#include "proto/fds.h"

enum {
    EPOCH_BYTES = 16,
    MESSAGE_TEXT_MAX = 4096,
    LOG_TEXT_MAX = 4096,
    BACKTRACE_TEXT_MAX = 8192
};

#define AT(name) .at = offsetof(struct msg_answer, name)
#define BESIDE(name) .beside = offsetof(struct msg_answer, name)

static const struct field reply_fields[] = {
    { "version", FIELD_U32, AT(reply.version), .max = UINT32_MAX },
    { "daemon", FIELD_STORY, AT(reply.daemon), .max = WORD_BYTES_MAX },
    { "epoch", FIELD_BYTES, AT(reply.epoch), .min = EPOCH_BYTES, .max = EPOCH_BYTES },
    { "message_max", FIELD_U64, AT(reply.message_max), .max = UINT64_MAX },
    { "workers", FIELD_U32, AT(reply.workers), .max = UINT32_MAX },
    { "task", FIELD_U64, AT(reply.task), .max = UINT64_MAX },
    { "worker", FIELD_U32, AT(reply.worker), .max = WORKER_MAX },
    { "attempt", FIELD_U32, AT(reply.attempt), .max = UINT32_MAX },
    { "run_us", FIELD_U64, AT(reply.run_us), .max = UINT64_MAX },
    { "cpu_us", FIELD_U64, AT(reply.cpu_us), .max = UINT64_MAX },
    { "peak_bytes", FIELD_U64, AT(reply.peak_bytes), .max = UINT64_MAX },
    { "set", FIELD_U32, AT(reply.set_id), .max = UINT32_MAX },
    { "mode", FIELD_MODE, AT(reply.mode) },
    { "done", FIELD_BOOL, AT(reply.done) },
    { "token", FIELD_BYTES, AT(reply.token), .min = FDS_TOKEN_BYTES, .max = FDS_TOKEN_BYTES },
    { "door", FIELD_TEXT, AT(reply.door), .max = SOCKET_PATH_BYTES_MAX },
    { "large", FIELD_U64, AT(reply.large), .max = UINT64_MAX },
    { "array", FIELD_U64, AT(reply.array), .max = UINT64_MAX },
    { "huge", FIELD_BOOL, AT(reply.huge) },
    { "value", FIELD_PAIR, AT(reply.value), BESIDE(reply.value_bytes), .min = 1 },
    { "stasks", FIELD_U64, AT(reply.stasks), .max = UINT64_MAX },
    { "count", FIELD_U32, AT(reply.count), .max = UINT32_MAX },
    { "arrays", FIELD_U32, AT(reply.arrays), .max = UINT32_MAX },
    { "process", FIELD_U32, AT(reply.process), .max = UINT32_MAX },
    { "state", FIELD_CHOICE, AT(reply.state), .words = task_shown_words },
    { "duplicate", FIELD_BOOL, AT(reply.duplicate) },
    { "skipped", FIELD_U32, AT(reply.skipped), .max = UINT32_MAX },
    { "reason", FIELD_STORY, AT(reply.reason), .max = MESSAGE_TEXT_MAX },
    { "log", FIELD_STORY, AT(reply.log), .max = LOG_TEXT_MAX },
    { "items", FIELD_U32, AT(reply.items), .max = BATCH_ITEMS_MAX },
    { "items_failed", FIELD_U32, AT(reply.items_failed), .max = BATCH_ITEMS_MAX },
};
static const struct field failure_fields[] = {
    { "code", FIELD_CODE, .required = true, AT(failure.code), .min = 1, .max = INT32_MAX },
    { "name", FIELD_CODE_NAME, AT(failure.code) },
    { "message", FIELD_STORY, AT(failure.message), .max = MESSAGE_TEXT_MAX },
    { "task", FIELD_U64, AT(failure.task), .max = UINT64_MAX },
    { "worker", FIELD_U32, AT(failure.worker), .max = WORKER_MAX },
    { "attempt", FIELD_U32, AT(failure.attempt), .max = UINT32_MAX },
    { "pid", FIELD_U32, AT(failure.pid), .max = INT32_MAX },
    { "exit_status", FIELD_EXIT, AT(failure.exit_status), BESIDE(failure.exited), .max = 255 },
    { "signal", FIELD_U32, AT(failure.signal), .max = INT32_MAX },
    { "maybe_executed", FIELD_BOOL, AT(failure.maybe_executed) },
    { "run_us", FIELD_U64, AT(failure.run_us), .max = UINT64_MAX },
    { "cpu_us", FIELD_U64, AT(failure.cpu_us), .max = UINT64_MAX },
    { "peak_bytes", FIELD_U64, AT(failure.peak_bytes), .max = UINT64_MAX },
    { "phase", FIELD_STORY, AT(failure.phase), .max = WORD_BYTES_MAX },
    { "progress", FIELD_PAIR, AT(failure.progress), BESIDE(failure.progress_of) },
    { "log", FIELD_STORY, AT(failure.log), .max = LOG_TEXT_MAX },
    { "backtrace", FIELD_STORY, AT(failure.backtrace), .max = BACKTRACE_TEXT_MAX },
    { "retry_ms", FIELD_U64, AT(failure.retry_ms), .max = UINT64_MAX },
    { "state", FIELD_CHOICE, AT(failure.state), .words = task_shown_words },
    { "items", FIELD_U32, AT(failure.items), .max = BATCH_ITEMS_MAX },
};
static const char *const event_words[] = { "queued", "started", "progress", "ended", "retry", "missed", NULL };
static const struct field event_fields[] = {
    { "seq", FIELD_U64, .required = true, AT(event.seq), .min = 1, .max = UINT64_MAX },
    { "event", FIELD_CHOICE, .required = true, AT(event.event), .words = event_words },
    { "task", FIELD_U64, AT(event.task), .max = UINT64_MAX },
    { "state", FIELD_CHOICE, AT(event.state), .words = task_shown_words },
    { "time_ms", FIELD_U64, AT(event.time_ms), .max = UINT64_MAX },
    { "worker", FIELD_U32, AT(event.worker), .max = WORKER_MAX },
    { "attempt", FIELD_U32, AT(event.attempt), .max = UINT32_MAX },
    { "code", FIELD_U32, AT(event.code), .max = INT32_MAX },
    { "progress", FIELD_PAIR, AT(event.progress), BESIDE(event.progress_of) },
    { "missed", FIELD_U64, AT(event.missed), .max = UINT64_MAX },
};

static const struct {
    const struct field *fields;
    size_t n;
} bodies[] = {
    [MSG_REPLY - MSG_REPLY] = { reply_fields, ELEMENTS(reply_fields) },
    [MSG_ERROR - MSG_REPLY] = { failure_fields, ELEMENTS(failure_fields) },
    [MSG_EVENT - MSG_REPLY] = { event_fields, ELEMENTS(event_fields) },
};

const struct field *msg_answer_fields(enum msg_kind kind, size_t *ret_n)
{
    *ret_n = bodies[kind - MSG_REPLY].n;
    return bodies[kind - MSG_REPLY].fields;
}

int msg_answer_decode(struct msg_decoder *d, const uint8_t *data, size_t n, struct msg_answer *ret,
                      struct msg_problem *ret_problem)
{
    struct msg_answer m = { 0 };
    const struct field *fields;
    struct envelope e;
    size_t n_fields;
    int r;

    r = envelope_decode(d, data, n, MSG_REPLY, MSG_EVENT, &e, ret_problem);
    if (r != 0)
        return r;
    m.failed = e.kind == MSG_ERROR;
    m.is_event = e.kind == MSG_EVENT;
    m.id = e.id;
    if (m.id == 0 && !m.failed)
        return envelope_problem(ret_problem, PTOOLS_ERR_BAD_REQUEST, 0,
                                "%s: id must be an integer from 1 to %" PRIu64 "; it is 0", msg_kind_name(e.kind),
                                UINT64_MAX);
    fields = msg_answer_fields(e.kind, &n_fields);
    r = envelope_fields_decode(d, &e, fields, n_fields, &m, ret_problem);
    if (r != 0)
        return r;
    *ret = m;
    return 0;
}

void msg_answer_encode(const struct msg_answer *m, struct bytes *out)
{
    const enum msg_kind kind = m->is_event ? MSG_EVENT : m->failed ? MSG_ERROR : MSG_REPLY;
    size_t n;
    const struct field *fields = msg_answer_fields(kind, &n);

    envelope_encode(kind, m->id, fields, n, m, out);
}
