/* SPDX-License-Identifier: MIT */
/*
 * requests -- one message of a client: envelope decoded, one row of the table looked up, handed on.
 *
 * The row says what must be known before the handler runs. No handler sees msgpack, none waits.
 * Whatever is wrong with a message is answered with an error that names it; nothing is dropped.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "daemon/ptoolsd/daemon.h"
#include "daemon/ptoolsd/door.h"
#include "daemon/ptoolsd/inspect.h"
#include "daemon/ptoolsd/log.h"
#include "daemon/ptoolsd/supervisor.h"
#include "proto/limits.h"

/* What costs as much as to look at a task: see client_spend(). */
enum { QUEUED_OF_LOOK = 8, PRIORITY_BYTES_OF_LOOK = 1 };

static void refuse(struct daemon *d, struct client *c, uint64_t request, ptools_err code, const char *why)
{
    struct msg_answer answer = { .failed = true, .id = request };

    answer.failure.code = code;
    answer.failure.message = (struct text){ why, strlen(why) };
    door_answer(d->door, client_id(c), &answer, NULL);
}

static void handle_hello(struct daemon *d, struct client *c, const struct msg_request *r, struct blob *payload)
{
    struct msg_answer answer = { .id = r->id };
    char door[SOCKET_PATH_BYTES_MAX + 1];
    struct core_stats stats;
    const uint8_t *token;

    (void)payload;
    if (r->hello.version_min > PROTOCOL_VERSION_MAX || r->hello.version_max < PROTOCOL_VERSION_MIN) {
        char why[128];

        snprintf(why, sizeof why, "this daemon speaks protocol versions %u to %u, the client %u to %u",
                 PROTOCOL_VERSION_MIN, PROTOCOL_VERSION_MAX, r->hello.version_min, r->hello.version_max);
        refuse(d, c, r->id, PTOOLS_ERR_VERSION, why);
        return;
    }
    core_view_stats(d->core, &stats);
    answer.reply.version = MIN(r->hello.version_max, PROTOCOL_VERSION_MAX);
    answer.reply.daemon = (struct text){ "ptoolsd " PTOOLS_VERSION, strlen("ptoolsd " PTOOLS_VERSION) };
    answer.reply.epoch = (struct text){ (const char *)d->epoch, sizeof d->epoch };
    answer.reply.message_max = d->config->message_max;
    answer.reply.workers = stats.workers;
    answer.reply.large = d->config->large;
    token = client_token(c);
    if (token) {
        snprintf(door, sizeof door, "%s/" FDS_SOCKET_NAME, d->config->dir);
        answer.reply.token = (struct text){ (const char *)token, FDS_TOKEN_BYTES };
        answer.reply.door = (struct text){ door, strlen(door) };
    }
    door_answer(d->door, client_id(c), &answer, NULL);
}

static void handle_call(struct daemon *d, struct client *c, const struct msg_request *r, struct blob *payload)
{
    int err = core_submit(d->core, daemon_now(d), client_id(c), r->id, &r->call, payload, &d->actions);

    if (err < 0)
        refuse(d, c, r->id, PTOOLS_ERR_LIMIT, "the daemon is out of memory: the call was not taken");
}

static void handle_cancel(struct daemon *d, struct client *c, const struct msg_request *r, struct blob *payload)
{
    (void)payload;
    core_cancel(d->core, daemon_now(d), client_id(c), r->id, &r->cancel, &d->actions);
}

static void handle_call_limit(struct daemon *d, struct client *c, const struct msg_request *r, struct blob *payload)
{
    (void)payload;
    core_call_limit(d->core, daemon_now(d), client_id(c), r->id, &r->limit, &d->actions);
}

static void handle_set(struct daemon *d, struct client *c, const struct msg_request *r, struct blob *payload)
{
    (void)payload;
    core_set(d->core, daemon_now(d), client_id(c), r->id, r->kind, &r->set, &d->actions);
}

static void handle_workers_add(struct daemon *d, struct client *c, const struct msg_request *r, struct blob *payload)
{
    (void)payload;
    core_workers_add(d->core, daemon_now(d), client_id(c), r->id, r->workers.n, &d->actions);
}

static void handle_workers_remove(struct daemon *d, struct client *c, const struct msg_request *r,
                                  struct blob *payload)
{
    (void)payload;
    core_workers_remove(d->core, daemon_now(d), client_id(c), r->id, r->workers.worker, &d->actions);
}

static void handle_array(struct daemon *d, struct client *c, const struct msg_request *r, struct blob *payload)
{
    (void)payload;
    core_array(d->core, daemon_now(d), client_id(c), r->id, r->kind, &r->array, &d->actions);
}

static void handle_stasks(struct daemon *d, struct client *c, const struct msg_request *r, struct blob *payload)
{
    (void)payload;
    if (r->kind == MSG_STASKS_CANCEL && !supervisor_takes_cancels(d->supervisor, r->stasks.process)) {
        refuse(d, c, r->id, PTOOLS_ERR_LIMIT,
               "the server task is busy, and thousands of its calls are cancelled already");
        return;
    }
    core_stasks(d->core, daemon_now(d), client_id(c), r->id, r->kind, &r->stasks, &d->actions);
}

static void handle_submit(struct daemon *d, struct client *c, const struct msg_request *r, struct blob *payload)
{
    AUTO(blob) spec = blob_new(d->envelope.data, d->envelope.n);
    int err = spec ? core_queue(d->core, daemon_now(d), client_id(c), r->id, &r->submit, spec, payload, &d->actions)
                   : -ENOMEM;

    if (err < 0)
        refuse(d, c, r->id, PTOOLS_ERR_LIMIT, "the daemon is out of memory: the task was not taken");
}

static void handle_queued(struct daemon *d, struct client *c, const struct msg_request *r, struct blob *payload)
{
    (void)payload;
    /* those that come before it are counted; all are placed anew */
    if (r->kind == MSG_TASK_WHY || r->kind == MSG_QUEUE_PAUSE || r->kind == MSG_QUEUE_RESUME)
        client_spend(c, core_queue_waiting(d->core) / QUEUED_OF_LOOK);
    client_spend(c, (uint64_t)r->task.n_tasks * WALK_SHOWN);
    core_queued(d->core, daemon_now(d), client_id(c), r->id, r->kind, &r->task, &d->actions);
}

static void handle_priorities(struct daemon *d, struct client *c, const struct msg_request *r, struct blob *payload)
{
    client_spend(c, payload ? payload->n / PRIORITY_BYTES_OF_LOOK : 0);
    core_priorities(d->core, daemon_now(d), client_id(c), r->id, payload ? payload->data : NULL,
                    payload ? payload->n : 0, &d->actions);
}

/* task-get and task-list. */
static void handle_tasks(struct daemon *d, struct client *c, const struct msg_request *r, struct blob *payload)
{
    struct msg_answer answer = { .id = r->id };
    AUTO(blob) document = NULL;
    char text[64];
    uint64_t cost;
    int err;

    (void)payload;
    err = inspect_queue(d, client_uid(c), r, &answer.reply, &document, &cost);
    client_spend(c, cost);
    if (err == INSPECT_UNKNOWN && r->task.task) {
        snprintf(text, sizeof text, "no queued task %" PRIu64, r->task.task);
        refuse(d, c, r->id, PTOOLS_ERR_NO_TASK, text);
    } else if (err == INSPECT_UNKNOWN) {
        refuse(d, c, r->id, PTOOLS_ERR_NO_TASK, "no queued task of that key");
    } else if (err < 0) {
        refuse(d, c, r->id, PTOOLS_ERR_LIMIT, "the daemon is out of memory");
    } else {
        door_answer(d->door, client_id(c), &answer, document);
    }
}

static void handle_inspect(struct daemon *d, struct client *c, const struct msg_request *r, struct blob *payload)
{
    struct msg_answer answer = { .id = r->id };
    AUTO(blob) document = NULL;
    int err;

    (void)payload;
    err = inspect_document(d, client_uid(c), &r->inspect.what, &document);
    if (err == INSPECT_UNKNOWN)
        refuse(d, c, r->id, PTOOLS_ERR_BAD_REQUEST, "what: must be status, workers, sets, modules, arrays or stasks");
    else if (err < 0)
        refuse(d, c, r->id, PTOOLS_ERR_LIMIT, "the daemon is out of memory");
    else
        door_answer(d->door, client_id(c), &answer, document);
}

static const struct op {
    void (*handle)(struct daemon *d, struct client *c, const struct msg_request *r, struct blob *payload);
    bool while_draining; /* still answered when the daemon is about to end */
} ops[MSG_REQUESTS] = {
    [MSG_HELLO] = { handle_hello, true },
    [MSG_CALL] = { handle_call, true }, /* the core refuses it, with DRAINING */
    [MSG_CANCEL] = { handle_cancel, true },
    [MSG_CALL_LIMIT] = { handle_call_limit, true },
    [MSG_SET_CREATE] = { handle_set, false },
    [MSG_SET_OPEN] = { handle_set, true },
    [MSG_SET_CHANGE] = { handle_set, false },
    [MSG_SET_DESTROY] = { handle_set, true },
    [MSG_WORKERS_ADD] = { handle_workers_add, false },
    [MSG_WORKERS_REMOVE] = { handle_workers_remove, false },
    [MSG_INSPECT] = { handle_inspect, true },
    [MSG_ARRAY_CREATE] = { handle_array, false },
    [MSG_ARRAY_UNLINK] = { handle_array, true },
    [MSG_ARRAY_CLOSE] = { handle_array, true },
    [MSG_STASKS_START] = { handle_stasks, false },
    [MSG_STASKS_OPEN] = { handle_stasks, true },
    [MSG_STASKS_RESTART] = { handle_stasks, false },
    [MSG_STASKS_STOP] = { handle_stasks, true },
    [MSG_STASKS_FATE] = { handle_stasks, true },
    [MSG_STASKS_CANCEL] = { handle_stasks, true },
    [MSG_TASK_SUBMIT] = { handle_submit, true }, /* the core refuses it, with DRAINING */
    [MSG_TASK_GET] = { handle_tasks, true },
    [MSG_TASK_RESULT] = { handle_queued, true },
    [MSG_TASK_WAIT] = { handle_queued, true },
    [MSG_TASK_CHANGE] = { handle_queued, true },
    [MSG_TASK_LIST] = { handle_tasks, true },
    [MSG_TASK_PRIORITIES] = { handle_priorities, true },
    [MSG_TASK_WHY] = { handle_queued, true },
    [MSG_EVENTS] = { handle_queued, true },
    [MSG_EVENTS_END] = { handle_queued, true },
    [MSG_QUEUE_PAUSE] = { handle_queued, true },
    [MSG_QUEUE_RESUME] = { handle_queued, true },
};

/* The payload frame as a blob: a large one is one already, a small one is copied, once. 0 or -ENOMEM. */
static int payload_take(const struct zmtp_message *m, struct blob **ret)
{
    struct blob *blob = NULL;

    if (m->n > 1) {
        blob = m->frame[1].blob ? blob_ref(m->frame[1].blob) : blob_new(m->frame[1].data, m->frame[1].n);
        if (!blob)
            return -ENOMEM;
    }
    *ret = blob;
    return 0;
}

void request_handle(struct daemon *d, struct client *c, struct msg_decoder *decoder, const struct zmtp_message *m)
{
    struct msg_request request;
    struct msg_problem problem;
    AUTO(blob) payload = NULL;
    int r;

    r = msg_request_decode(decoder, m->frame[0].data, m->frame[0].n, &request, &problem);
    if (r < 0) {
        refuse(d, c, 0, PTOOLS_ERR_LIMIT, "the daemon is out of memory");
        client_doom(c, "out of memory");
        return;
    }
    if (r > 0) {
        log_info("bad-request", LOG_U64("client", client_id(c)), LOG_U64("uid", client_uid(c)),
                 LOG_STR("msg", problem.text));
        refuse(d, c, problem.id, problem.code, problem.text);
        client_strike(c);
        return;
    }
    if (m->n > (msg_kind_has_payload(request.kind) ? 2u : 1u)) {
        refuse(d, c, request.id, PTOOLS_ERR_BAD_REQUEST,
               "the message has too many frames: one envelope, and for some kinds one payload, are allowed");
        client_strike(c);
        return;
    }
    if (d->draining && !ops[request.kind].while_draining) {
        refuse(d, c, request.id, PTOOLS_ERR_DRAINING, ptools_strerror(PTOOLS_ERR_DRAINING));
        return;
    }
    if (payload_take(m, &payload) < 0) {
        refuse(d, c, request.id, PTOOLS_ERR_LIMIT, "the daemon is out of memory: the request was not taken");
        return;
    }
    d->envelope = (struct span){ m->frame[0].data, m->frame[0].n, NULL };
    client_tell_inside(c);
    ops[request.kind].handle(d, c, &request, payload);
    daemon_deliver(d);
}
