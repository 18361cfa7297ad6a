/* SPDX-License-Identifier: MIT */
/*
 * futures -- the life of a future, and what it tells once it is done.
 *
 * A future belongs to the user from the call that returned it until ptools_future_free(); freed ones
 * are kept by their handle with their memory for the next call. A value is parsed when it is first
 * asked for, not when it arrives.
 */
#include "client/lib/handle.h"

#include <stdio.h>
#include <string.h>

static struct ptools_future *future_alloc(void)
{
    struct ptools_future *f = calloc(1, sizeof *f);

    if (!f)
        return NULL;
    failure_init(&f->failure);
    payload_init(&f->payload);
    bytes_init(&f->copy, ANSWER_BYTES_MAX);
    return f;
}

bool futures_reserve(struct ptools *pt, uint32_t n)
{
    while (pt->n_pool < n) {
        struct ptools_future *f = future_alloc();

        if (!f)
            return false;
        LIST_INSERT_HEAD(&pt->pool, f, link);
        pt->n_pool++;
    }
    return true;
}

struct ptools_future *future_new(struct ptools *pt)
{
    struct ptools_future *f = LIST_FIRST(&pt->pool);

    if (f) {
        LIST_REMOVE(f, link);
        pt->n_pool--;
    } else {
        f = future_alloc();
        if (!f)
            return NULL;
    }
    f->pt = pt;
    LIST_INSERT_HEAD(&pt->futures, f, link);
    return f;
}

struct ptools_future *future_new_failed(struct ptools *pt)
{
    struct ptools_future *f = future_new(pt);

    if (f) {
        f->done = f->failed = true;
        failure_copy(&f->failure, &pt->last);
    }
    return f;
}

void future_destroy(struct ptools_future *f)
{
    large_destroy(f);
    failure_deinit(&f->failure);
    payload_deinit(&f->payload);
    bytes_deinit(&f->copy);
    blob_free(f->blob);
    free(f);
}

/* As new, but with the memory that it has. */
static void recycle(struct ptools_future *f)
{
    struct payload payload = f->payload;
    struct bytes copy = f->copy;

    failure_deinit(&f->failure);
    blob_free(f->blob);
    bytes_reset(&copy);
    *f = (struct ptools_future){ .copy = copy };
    failure_init(&f->failure);
    f->payload = payload;
}

void future_unready(struct ptools_future *f)
{
    if (!f->ready)
        return;
    TAILQ_REMOVE(&f->pt->ready, f, ready_link);
    f->pt->n_ready--;
    f->ready = false;
}

/* Out of the table and of the list of those whose callback is due. */
static void detach(struct ptools_future *f)
{
    struct ptools *pt = f->pt;

    if (f->lane) {
        TAILQ_REMOVE(&f->lane->futures, f, lane_link);
        pt->lane_calls--;
        f->lane = NULL;
    } else if (!f->done) {
        HASH_DEL(pt->in_flight, f);
    }
    again_drop(f);
    future_unready(f);
}

/* Nobody waits for that answer any more: the daemon need not, either. The task goes on. */
static void stop_waiting(struct ptools_future *f)
{
    struct msg_request request = { .kind = MSG_CANCEL, .cancel = { .request = f->id } };

    if (handle_is_ours(f->pt) && !f->again->parked)
        request_tell(f->pt, &request);
}

ptools_future *ptools_future_free(ptools_future *f)
{
    struct ptools *pt;
    size_t value_bytes;

    if (!f)
        return NULL;
    pt = f->pt;
    if (!pt) {
        future_destroy(f);
        return NULL;
    }
    if (f->lane || (!f->done && (f->args || f->room)) || (f->again && f->again->how.callback)) {
        /* in its place in the row; or its memory is in use; or a callback waits behind it */
        f->abandoned = true;
        f->fn = NULL;
        return NULL;
    }
    if (f->again && f->again->kind == MSG_TASK_RESULT)
        stop_waiting(f);
    large_release(f);
    detach(f);
    LIST_REMOVE(f, link);
    value_bytes = f->blob ? f->blob->n : f->copy.cap;
    if (pt->n_pool >= POOL_MAX || value_bytes > POOL_VALUE_BYTES) {
        future_destroy(f);
        return NULL;
    }
    recycle(f);
    LIST_INSERT_HEAD(&pt->pool, f, link);
    pt->n_pool++;
    return NULL;
}

void future_ready(struct ptools_future *f)
{
    if (f->ready || !f->fn)
        return;
    TAILQ_INSERT_TAIL(&f->pt->ready, f, ready_link);
    f->pt->n_ready++;
    f->ready = true;
}

static void finish(struct ptools_future *f)
{
    if (f->lane) {
        TAILQ_REMOVE(&f->lane->futures, f, lane_link);
        f->pt->lane_calls--;
        f->lane = NULL;
    } else if (f->hh.tbl) {
        HASH_DEL(f->pt->in_flight, f);
    }
    f->done = true;
    again_drop(f);
    large_done(f);
    if (f->abandoned) {
        f->abandoned = false;
        ptools_future_free(f);
        return;
    }
    future_ready(f);
}

void future_succeed(struct ptools_future *f, const struct msg_reply *reply)
{
    static const char text[] = "there is no memory for what the daemon says";

    if (reply->reason.n > 0 && f->copy.n == 0 && bytes_append(&f->copy, reply->reason.data, reply->reason.n) < 0) {
        future_fail(f, &(struct msg_failure){ .code = PTOOLS_ERR_NO_MEMORY, .message = { text, sizeof text - 1 } });
        return;
    }
    f->reply = *reply;
    f->reply.daemon = f->reply.epoch = f->reply.token = f->reply.door = f->reply.reason = (struct text){ NULL, 0 };
    if (reply->reason.n > 0 && f->copy.n == reply->reason.n)
        f->reply.reason = (struct text){ (const char *)f->copy.data, f->copy.n };
    finish(f);
}

void future_fail(struct ptools_future *f, const struct msg_failure *told)
{
    if (f->call != 0 && told->code == PTOOLS_ERR_LOST)
        large_release(f); /* its server task lives, and may be at them still */
    f->failed = true;
    failure_set(&f->failure, told);
    finish(f);
}

void future_lose(struct ptools_future *f, ptools_err code, const char *text)
{
    bool left = f->end <= f->pt->transport->sent;
    char message[sizeof((struct problem *)0)->text + 512];

    snprintf(message, sizeof message, "the connection to %s ended before the answer (%s): %s", f->pt->address, text,
             left ? "it may have been executed" : "it had not been sent");
    future_fail(f,
                &(struct msg_failure){ .code = code, .message = { message, strlen(message) }, .maybe_executed = left });
}

void future_orphan(struct ptools_future *f)
{
    struct ptools *pt = f->pt;
    static const char text[] = "ptools_close() was called before the answer came";
    const bool unknown = f->call != 0 || f->task != 0 || (f->again && f->again->left) ||
                         (pt->transport && f->end <= pt->transport->sent);

    large_orphan(f);
    if (f->abandoned || f->owned) {
        detach(f);
        LIST_REMOVE(f, link);
        future_destroy(f);
        return;
    }
    detach(f);
    LIST_REMOVE(f, link);
    if (!f->done) {
        f->done = true;
        f->failed = true;
        failure_set_message(&f->failure, PTOOLS_ERR_CLOSED, text, unknown);
    }
    f->fn = NULL;
    f->pt = NULL;
}

/* Parses into the handle's payload; a list or map keeps its tree there, so that it changes hands. A number or a
 * string needs no tree: a million futures that hold one each are a million small blocks, not large ones. */
ptools_err future_value(struct ptools_future *f, ptools_value *ret)
{
    struct payload *scratch = f->pt ? &f->pt->scratch : &f->payload;
    const uint8_t *data = f->blob ? f->blob->data : f->copy.data;
    size_t n = f->blob ? f->blob->n : f->copy.n;
    const char *why = NULL;
    ptools_err err;

    if (f->value)
        data = scratch_data(f->value, &n);
    if (!f->parsed && n > 0 && !f->reply.reason.data) { /* that is a text */
        err = payload_parse(scratch, data, n, &why);
        if (err == PTOOLS_ERR_NO_MEMORY)
            return f->pt ? fail_no_memory(f->pt) : err;
        if (err != PTOOLS_OK)
            return f->pt ? fail(f->pt, PTOOLS_ERR_PROTOCOL, "the value that came is malformed: %s", why)
                         : PTOOLS_ERR_PROTOCOL;
        f->root = scratch->root;
        f->parsed = true;
        if (f->pt && (f->root.type == MSGPACK_OBJECT_ARRAY || f->root.type == MSGPACK_OBJECT_MAP)) {
            struct payload tree = *scratch;

            *scratch = f->payload;
            f->payload = tree;
        }
    }
    *ret = (ptools_value){ f->parsed ? &f->root : NULL };
    return PTOOLS_OK;
}

bool ptools_future_done(ptools_future *f)
{
    return f && f->done;
}

uint64_t ptools_future_task(ptools_future *f)
{
    uint64_t told = 0;

    if (f && f->done)
        told = f->failed ? f->failure.facts.task : f->reply.task;
    return f && told == 0 ? f->task : told;
}

uint32_t ptools_future_worker(ptools_future *f)
{
    if (!f || !f->done)
        return 0;
    return f->failed ? f->failure.facts.worker : f->reply.worker;
}

const ptools_failure *ptools_future_failure(ptools_future *f)
{
    return f && f->failed ? &f->failure.facts : NULL;
}

ptools_err ptools_future_then(ptools_future *f, ptools_future_fn fn, void *arg)
{
    ptools_err err;

    if (!f)
        return PTOOLS_ERR_INVALID;
    if (!f->pt)
        return PTOOLS_ERR_CLOSED;
    err = handle_check(f->pt);
    if (err != PTOOLS_OK)
        return err;
    if (!fn)
        return fail_static(f->pt, PTOOLS_ERR_INVALID, "ptools_future_then(): fn is NULL");
    f->fn = fn;
    f->arg = arg;
    if (f->done)
        future_ready(f);
    return PTOOLS_OK;
}

/* The wait for a task that others may wait for, too, ends here alone; a task that this waits for is ended. */
static ptools_err cancel_again(struct ptools_future *f)
{
    static const char text[] = "the wait for it was cancelled; the task goes on";
    struct msg_request request = { .kind = MSG_CANCEL, .cancel = { .request = f->id } };
    ptools_err err = PTOOLS_OK;

    if (f->again->kind == MSG_TASK_RESULT) {
        stop_waiting(f);
        future_fail(f, &(struct msg_failure){ .code = PTOOLS_ERR_CANCELLED,
                                              .message = { text, sizeof text - 1 },
                                              .task = f->task,
                                              .maybe_executed = true });
        return PTOOLS_OK;
    }
    f->again->cancelled = true;
    if (!f->again->parked)
        err = request_send(f->pt, &request, NULL, 0, CLOCK_FOREVER, NULL);
    return err == PTOOLS_ERR_LOST ? PTOOLS_OK : err; /* then it follows on the next connection */
}

ptools_err ptools_future_cancel(ptools_future *f)
{
    struct msg_request request = { .kind = MSG_CANCEL };
    ptools_err err;

    if (!f)
        return PTOOLS_ERR_INVALID;
    if (!f->pt)
        return PTOOLS_OK;
    err = handle_check(f->pt);
    if (err != PTOOLS_OK || f->done)
        return err;
    if (f->lane)
        return lane_cancel(f);
    if (f->call)
        return PTOOLS_OK; /* its server task has died, and it ends with that */
    if (f->again)
        return cancel_again(f);
    request.cancel.request = f->id;
    err = request_send(f->pt, &request, NULL, 0, CLOCK_FOREVER, NULL);
    return err == PTOOLS_ERR_LOST ? PTOOLS_OK : err; /* then f is done */
}
