/* SPDX-License-Identifier: MIT */
/*
 * request -- requests go out, answers come in: the one place where both meet.
 *
 * A request leaves the process when it is sent, unless calls are gathered (cork, callbacks): see
 * push(). Answers come in any order and find their future by its id; one that nobody waits for is
 * dropped, and what it brought is ended: an array, server tasks. An answer without an id is about the
 * connection as a whole, and ends it.
 *
 * A request on a connection that turns out to be dead is told apart from one whose fate is unknown:
 * nothing of it had left, so that its sender may try once more on a new connection. Nothing else is
 * ever sent twice, but what queued tasks are asked with: see again.c.
 */
#include "client/lib/handle.h"

#include <errno.h>
#include <string.h>

enum { MESSAGE_TEXT_BYTES = 1024 };

void connection_end(struct ptools *pt)
{
    const struct problem *why = &pt->transport->end;
    struct ptools_future *f, *next;

    TAILQ_INIT(&pt->parked); /* in the order in which it was asked for */
    HASH_ITER (hh, pt->in_flight, f, next) {
        if (f->again)
            again_park(f);
        else
            future_lose(f, why->code, why->text);
    }
}

/* The value of a reply becomes the future's. False: no memory for it. */
static bool keep_value(struct ptools_future *f, struct span *value)
{
    if (value->blob) {
        f->blob = TAKE(value->blob);
        return true;
    }
    return bytes_append(&f->copy, value->data, value->n) == 0;
}

/* Nobody wants what it brings: arrays end, and, of a start that nobody waits for any more, the server tasks. */
static void undo(struct ptools *pt, const struct msg_answer *answer, bool started)
{
    struct msg_request stop = { .kind = MSG_STASKS_STOP, .stasks = { .stasks = answer->reply.stasks } };

    if (answer->failed)
        return;
    if (answer->reply.value)
        array_unlink(pt, answer->reply.value);
    if (answer->reply.array)
        array_unlink(pt, answer->reply.array);
    if (started && answer->reply.stasks)
        request_tell(pt, &stop);
}

/* What answers mean for a request that outlives its connection, beyond what they mean for any. */
static void take_answer_again(struct ptools_future *f, const struct msg_answer *answer)
{
    const struct msg_failure *failure = &answer->failure;
    struct ptools *pt = f->pt;
    struct msg_failure told;
    char text[MESSAGE_TEXT_BYTES];

    if (answer->failed) {
        if (again_explain(f, failure, text, sizeof text, &told))
            failure = &told;
        future_fail(f, failure);
    } else if (f->again->how.watch) {
        watch_answered(f->again->how.watch);
    } else if (queue_follow(pt, &f->again->how, &answer->reply) == PTOOLS_OK) {
        future_succeed(f, &answer->reply);
    } else {
        future_fail(f, &(struct msg_failure){ .code = pt->last.facts.code,
                                              .message = { pt->last.facts.message, strlen(pt->last.facts.message) },
                                              .task = answer->reply.task,
                                              .maybe_executed = true });
    }
}

static void take_answer(struct ptools *pt, struct zmtp_message *m)
{
    struct transport *t = pt->transport;
    struct msg_answer answer;
    struct msg_problem problem;
    struct ptools_future *f;
    int r = msg_answer_decode(pt->decoder, m->frame[0].data, m->frame[0].n, &answer, &problem);

    if (r < 0) {
        transport_end(t, PTOOLS_ERR_NO_MEMORY, "no memory to read the daemon's answer");
        return;
    }
    if (r > 0 || m->n > 2) {
        transport_end(t, PTOOLS_ERR_PROTOCOL, "the daemon's answer is malformed: %s",
                      r > 0 ? problem.text : "it has more than two frames");
        return;
    }
    if (answer.id == 0) { /* only failures come without an id */
        transport_end(t, answer.failure.code, "%.*s", (int)MIN(answer.failure.message.n, sizeof t->end.text),
                      answer.failure.message.n ? answer.failure.message.data : "");
        return;
    }
    HASH_FIND(hh, pt->in_flight, &answer.id, sizeof answer.id, f);
    if (answer.is_event) {
        if (f && f->again && f->again->how.watch)
            watch_take(f->again->how.watch, &answer.event);
        return;
    }
    if (!f) {
        undo(pt, &answer, false);
        return;
    }
    if (!answer.failed && answer.reply.token.data)
        fds_learn(pt, &answer.reply);
    if (!answer.failed && answer.reply.epoch.data)
        again_learn(pt, answer.reply.epoch);
    if (f->undo)
        undo(pt, &answer, true);
    if (f->again && (answer.failed || f->again->how.watch || f->again->how.callback)) {
        take_answer_again(f, &answer);
    } else if (answer.failed) {
        if (answer.failure.items > 0 && m->n == 2 && keep_value(f, &m->frame[1]))
            f->items = answer.failure.items;
        future_fail(f, &answer.failure);
    } else if (answer.reply.value && large_take_value(f, answer.reply.value, answer.reply.value_bytes) != PTOOLS_OK) {
        future_fail(f, &(struct msg_failure){ .code = pt->last.facts.code,
                                              .message = { pt->last.facts.message, strlen(pt->last.facts.message) },
                                              .task = answer.reply.task,
                                              .worker = answer.reply.worker,
                                              .attempt = answer.reply.attempt,
                                              .maybe_executed = true });
    } else if (m->n == 2 && !keep_value(f, &m->frame[1])) {
        static const char text[] = "the call succeeded, but there is no memory for its value";

        future_fail(f, &(struct msg_failure){ .code = PTOOLS_ERR_NO_MEMORY,
                                              .message = { text, sizeof text - 1 },
                                              .task = answer.reply.task,
                                              .worker = answer.reply.worker,
                                              .attempt = answer.reply.attempt,
                                              .maybe_executed = true });
    } else {
        future_succeed(f, &answer.reply);
    }
}

bool connection_receive(struct ptools *pt)
{
    struct transport *t = pt->transport;
    struct zmtp_message m;
    unsigned n = 0;

    while (n < TAKE_MAX && t->ops->receive(t, &m) > 0) {
        take_answer(pt, &m);
        zmtp_message_deinit(&m);
        n++;
    }
    if (!connection_alive(pt))
        connection_end(pt);
    else if (n > 0 && pt->corks == 0 && t->sent < t->queued) /* what answers made us say */
        t->ops->flush(t);
    return n > 0 || !connection_alive(pt);
}

bool connection_pump(struct ptools *pt, uint64_t until_us)
{
    struct transport *t = pt->transport;
    uint64_t sent = t->sent;

    if (!t->ops->wait(t, until_us))
        return false;
    return connection_receive(pt) || t->sent != sent || until_us != 0;
}

void connection_push(struct ptools *pt, uint64_t until_us)
{
    struct transport *t = pt->transport;

    t->ops->flush(t);
    while (connection_alive(pt) && t->sent < t->queued)
        if (!connection_pump(pt, MIN(until_us, clock_until_us(SEND_PATIENCE_MS))))
            return;
}

/* Queues the message, waiting for room if need be. PTOOLS_ERR_LOST: see request_send(). */
static ptools_err queue(struct ptools *pt, const struct span *frames, unsigned n, uint64_t until_us)
{
    struct transport *t = pt->transport;
    int r;

    for (;;) {
        r = t->queued - t->sent > UNSENT_BYTES_MAX ? -EAGAIN : t->ops->send(t, frames, n);
        if (r != -EAGAIN)
            break;
        if (!connection_pump(pt, round_trip_until_us(pt, until_us)) || (until_us && clock_now_us() >= until_us))
            return fail(pt, PTOOLS_ERR_TIMEOUT,
                        "the daemon reads nothing, and as much waits to be sent as may: at most %d bytes, or libzmq's "
                        "queue of messages",
                        UNSENT_BYTES_MAX);
        if (!connection_alive(pt))
            return PTOOLS_ERR_LOST;
    }
    if (r == -EPIPE) { /* what it said before it went still counts */
        while (connection_alive(pt))
            connection_receive(pt);
        connection_end(pt);
        return PTOOLS_ERR_LOST;
    }
    return r < 0 ? fail_no_memory(pt) : PTOOLS_OK;
}

/* The future of the next request, in the table; NULL and the failure if there can be none. */
static ptools_err add_future(struct ptools *pt, uint64_t id, struct ptools_future **ret)
{
    struct ptools_future *f;

    if (HASH_COUNT(pt->in_flight) >= IN_FLIGHT_MAX)
        return fail(pt, PTOOLS_ERR_LIMIT, "%d calls are in flight, more are not allowed on one connection",
                    IN_FLIGHT_MAX);
    f = future_new(pt);
    if (!f)
        return fail_no_memory(pt);
    f->id = id;
    f->end = UINT64_MAX; /* nothing of it has left */
    HASH_ADD(hh, pt->in_flight, id, sizeof f->id, f);
    if (!f->hh.tbl) {
        f->done = true;
        ptools_future_free(f);
        return fail_no_memory(pt);
    }
    *ret = f;
    return PTOOLS_OK;
}

/* Writes the envelope; with n bytes of payload it is not too large. */
static ptools_err encode(struct ptools *pt, struct msg_request *request, size_t n, struct bytes *ret)
{
    request->id = ++pt->last_id;
    bytes_reset(ret);
    msg_request_encode(request, ret);
    if (ret->err == -ENOMEM)
        return fail_no_memory(pt);
    if (ret->err < 0)
        return fail(pt, PTOOLS_ERR_TOO_LARGE, "the request has an envelope of more than %u bytes", ENVELOPE_BYTES_MAX);
    if (n > pt->message_max || ret->n > pt->message_max - n)
        return fail(pt, PTOOLS_ERR_TOO_LARGE, "the request has %zu bytes, the daemon takes messages of at most %llu",
                    n + ret->n, (unsigned long long)pt->message_max);
    return PTOOLS_OK;
}

/* What is in pt->envelope, for f (or NULL). PTOOLS_ERR_LOST as request_send(), unless f outlives that. */
static ptools_err send_encoded(struct ptools *pt, const struct msg_request *request, const struct span *payload,
                               uint64_t until_us, struct ptools_future *f)
{
    const struct span frames[2] = { { pt->envelope.data, pt->envelope.n, NULL }, *payload };
    struct transport *t = pt->transport;
    bool lone = t->sent == t->queued;
    ptools_err err = queue(pt, frames, msg_kind_has_payload(request->kind) ? 2 : 1, until_us);

    if (err == PTOOLS_ERR_LOST && f && f->again)
        return PTOOLS_OK; /* it is parked */
    if (err != PTOOLS_OK)
        return err;
    if (f)
        f->end = t->queued;
    if (f && f->again)
        again_sent(f);
    if (pt->corks == 0 && pt->dispatching == 0 && lone)
        connection_push(pt, CLOCK_FOREVER);
    else if ((pt->corks == 0 && pt->dispatching == 0) || t->queued - t->sent >= CORKED_BYTES_MAX)
        t->ops->flush(t);
    if (f && f->failed && !f->failure.facts.maybe_executed && !connection_alive(pt))
        return PTOOLS_ERR_LOST;
    return PTOOLS_OK;
}

ptools_err request_send_span(struct ptools *pt, struct msg_request *request, const struct span *payload,
                             uint64_t until_us, struct ptools_future **ret_future)
{
    struct ptools_future *f = NULL;
    ptools_err err = encode(pt, request, payload->n, &pt->envelope);

    if (err == PTOOLS_OK && ret_future)
        err = add_future(pt, request->id, &f);
    if (err != PTOOLS_OK)
        return err;
    err = send_encoded(pt, request, payload, until_us, f);
    if (err != PTOOLS_OK) {
        ptools_future_free(f);
        return err;
    }
    if (ret_future)
        *ret_future = f;
    return PTOOLS_OK;
}

ptools_err request_send(struct ptools *pt, struct msg_request *request, const uint8_t *payload, size_t n,
                        uint64_t until_us, struct ptools_future **ret_future)
{
    return request_send_span(pt, request, &(struct span){ payload, n, NULL }, until_us, ret_future);
}

/* In the table, with what is needed to send it; not sent yet. */
static ptools_err add_again(struct ptools *pt, struct msg_request *request, const uint8_t *payload, size_t n,
                            const struct manner *how, struct bytes *envelope, struct ptools_future **ret)
{
    struct ptools_future *f;
    ptools_err err = encode(pt, request, n, envelope);

    if (err == PTOOLS_OK)
        err = add_future(pt, request->id, &f);
    if (err != PTOOLS_OK)
        return err;
    if (!again_attach(f, request->kind, envelope, payload, n, how)) {
        ptools_future_free(f);
        return fail_no_memory(pt);
    }
    *ret = f;
    return PTOOLS_OK;
}

ptools_err request_send_again(struct ptools *pt, struct msg_request *request, const uint8_t *payload, size_t n,
                              uint64_t until_us, const struct manner *how, struct ptools_future **ret_future)
{
    struct ptools_future *f = NULL;
    ptools_err err = again_ensure(pt, until_us);

    if (err == PTOOLS_OK)
        err = add_again(pt, request, payload, n, how, &pt->envelope, &f);
    if (err != PTOOLS_OK)
        return err;
    err = send_encoded(pt, request, &(struct span){ payload, n, NULL }, until_us, f);
    if (err != PTOOLS_OK) {
        if (f->again)
            f->again->how.callback = NULL;
        ptools_future_free(f);
        return err;
    }
    *ret_future = f;
    return PTOOLS_OK;
}

ptools_err request_tell_again(struct ptools *pt, struct msg_request *request, const struct manner *how,
                              struct ptools_future **ret_future)
{
    ptools_err err = add_again(pt, request, NULL, 0, how, &pt->aside, ret_future);

    if (err == PTOOLS_OK) {
        again_park(*ret_future);
        again_flush(pt);
    }
    return err;
}

ptools_err future_await(struct ptools_future *f, uint64_t until_us)
{
    for (bool over = false; !f->done && !over;)
        over = !handle_pump(f->pt, until_us) || (until_us != CLOCK_FOREVER && clock_now_us() >= until_us);
    return f->done ? PTOOLS_OK : PTOOLS_ERR_TIMEOUT;
}

bool request_tell(struct ptools *pt, struct msg_request *request)
{
    struct span frame;

    if (!connection_alive(pt))
        return false;
    if (request->id == 0)
        request->id = ++pt->last_id;
    bytes_reset(&pt->aside);
    msg_request_encode(request, &pt->aside);
    frame = (struct span){ pt->aside.data, pt->aside.n, NULL };
    if (pt->aside.err || pt->transport->ops->send(pt->transport, &frame, 1) < 0)
        return false;
    if (pt->corks == 0)
        pt->transport->ops->flush(pt->transport);
    return true;
}

void request_send_for(struct ptools *pt, struct msg_request *request, struct ptools_future *f)
{
    static const char lost[] = "the connection to the daemon has ended: what became of the call is unknown";
    const struct msg_failure unknown = { .code = PTOOLS_ERR_LOST, .message = { lost, sizeof lost - 1 },
                                         .maybe_executed = true };

    request->id = f->id = ++pt->last_id;
    f->end = UINT64_MAX;
    HASH_ADD(hh, pt->in_flight, id, sizeof f->id, f);
    if (f->hh.tbl && request_tell(pt, request))
        f->end = pt->transport->queued;
    else
        future_fail(f, &unknown);
}

ptools_err request_ask(struct ptools *pt, struct msg_request *request, struct ptools_workerset *set,
                       const uint8_t *payload, size_t n, uint64_t until_us, struct ptools_future **ret_future)
{
    struct ptools_future *f;
    ptools_err err;

    for (int attempt = 0;; attempt++) {
        err = connection_ensure(pt, until_us);
        if (err == PTOOLS_OK && set)
            err = workerset_resolve(set, until_us, &request->set.set_id);
        if (err != PTOOLS_OK)
            return err;
        err = request_send(pt, request, payload, n, until_us, &f);
        if (err == PTOOLS_OK)
            break;
        if (err != PTOOLS_ERR_LOST)
            return err;
        if (attempt > 0)
            return fail(pt, err, "the connection to %s ended twice before the request was sent", pt->address);
    }
    if (future_await(f, until_us) == PTOOLS_OK) {
        *ret_future = f;
        return PTOOLS_OK;
    }
    err = fail(pt, PTOOLS_ERR_TIMEOUT, "the daemon did not answer the request %s in time; it may still do what it asks",
               msg_kind_name(request->kind));
    if (request->kind == MSG_STASKS_START) /* what it starts after all is stopped when that is told */
        f->abandoned = f->undo = true;
    else
        ptools_future_free(f);
    return err;
}

static ptools_err round_trip(struct ptools *pt, struct msg_request *request, struct ptools_workerset *set,
                             uint64_t until_us, struct ptools_future **ret_future)
{
    struct ptools_future *f;
    ptools_err err = request_ask(pt, request, set, NULL, 0, until_us, &f);

    if (err != PTOOLS_OK)
        return err;
    if (f->failed)
        err = fail_with(pt, &f->failure);
    if (err != PTOOLS_OK || !ret_future)
        ptools_future_free(f);
    else
        *ret_future = f;
    return err;
}

ptools_err request_round_trip(struct ptools *pt, struct msg_request *request, struct ptools_workerset *set,
                              struct ptools_future **ret_future)
{
    return round_trip(pt, request, set, round_trip_until_us(pt, CLOCK_FOREVER), ret_future);
}

ptools_err request_wait(struct ptools *pt, struct msg_request *request, uint64_t until_us,
                        struct ptools_future **ret_future)
{
    return round_trip(pt, request, NULL, until_us, ret_future);
}
