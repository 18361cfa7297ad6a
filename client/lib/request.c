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
 * ever sent twice.
 */
#include "client/lib/handle.h"

#include <errno.h>
#include <string.h>

void connection_end(struct ptools *pt)
{
    const struct problem *why = &pt->transport->end;
    struct ptools_future *f, *next;

    HASH_ITER (hh, pt->in_flight, f, next) {
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
    if (!f) {
        undo(pt, &answer, false);
        return;
    }
    if (!answer.failed && answer.reply.token.data)
        fds_learn(pt, &answer.reply);
    if (f->undo)
        undo(pt, &answer, true);
    if (answer.failed) {
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

void connection_push(struct ptools *pt)
{
    struct transport *t = pt->transport;

    t->ops->flush(t);
    while (connection_alive(pt) && t->sent < t->queued)
        if (!connection_pump(pt, clock_until_us(SEND_PATIENCE_MS)))
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

ptools_err request_send(struct ptools *pt, struct msg_request *request, const uint8_t *payload, size_t n,
                        uint64_t until_us, struct ptools_future **ret_future)
{
    struct transport *t = pt->transport;
    struct ptools_future *f = NULL;
    struct span frames[2];
    bool lone = t->sent == t->queued;
    ptools_err err;

    request->id = ++pt->last_id;
    bytes_reset(&pt->envelope);
    msg_request_encode(request, &pt->envelope);
    if (pt->envelope.err == -ENOMEM)
        return fail_no_memory(pt);
    if (pt->envelope.err < 0)
        return fail(pt, PTOOLS_ERR_TOO_LARGE, "the request has an envelope of more than %u bytes", ENVELOPE_BYTES_MAX);
    if (n > pt->message_max || pt->envelope.n > pt->message_max - n)
        return fail(pt, PTOOLS_ERR_TOO_LARGE, "the request has %zu bytes, the daemon takes messages of at most %llu",
                    n + pt->envelope.n, (unsigned long long)pt->message_max);
    frames[0] = (struct span){ pt->envelope.data, pt->envelope.n, NULL };
    frames[1] = (struct span){ payload, n, NULL };

    if (ret_future) {
        err = add_future(pt, request->id, &f);
        if (err != PTOOLS_OK)
            return err;
    }
    err = queue(pt, frames, msg_kind_has_payload(request->kind) ? 2 : 1, until_us);
    if (err == PTOOLS_OK && f)
        f->end = t->queued;
    if (err == PTOOLS_OK && pt->corks == 0 && pt->dispatching == 0 && lone)
        connection_push(pt);
    else if (err == PTOOLS_OK && ((pt->corks == 0 && pt->dispatching == 0) || t->queued - t->sent >= CORKED_BYTES_MAX))
        t->ops->flush(t);
    if (err == PTOOLS_OK && f && f->failed && !f->failure.facts.maybe_executed && !connection_alive(pt))
        err = PTOOLS_ERR_LOST;
    if (err != PTOOLS_OK) {
        ptools_future_free(f);
        return err;
    }
    if (ret_future)
        *ret_future = f;
    return PTOOLS_OK;
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
    bytes_reset(&pt->envelope);
    msg_request_encode(request, &pt->envelope);
    frame = (struct span){ pt->envelope.data, pt->envelope.n, NULL };
    if (pt->envelope.err || pt->transport->ops->send(pt->transport, &frame, 1) < 0)
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

static ptools_err round_trip(struct ptools *pt, struct msg_request *request, struct ptools_workerset *set,
                             uint64_t until_us, struct ptools_future **ret_future)
{
    struct ptools_future *f;
    ptools_err err;

    for (int attempt = 0;; attempt++) {
        err = connection_ensure(pt, until_us);
        if (err == PTOOLS_OK && set)
            err = workerset_resolve(set, &request->set.set_id);
        if (err != PTOOLS_OK)
            return err;
        err = request_send(pt, request, NULL, 0, until_us, &f);
        if (err == PTOOLS_OK)
            break;
        if (err != PTOOLS_ERR_LOST)
            return err;
        if (attempt > 0)
            return fail(pt, err, "the connection to %s ended twice before the request was sent", pt->address);
    }
    if (future_await(f, until_us) != PTOOLS_OK)
        err = fail(pt, PTOOLS_ERR_TIMEOUT,
                   "the daemon did not answer the request %s in time; it may still do what it asks",
                   msg_kind_name(request->kind));
    else if (f->failed)
        err = fail_with(pt, &f->failure);
    if (!f->done && request->kind == MSG_STASKS_START) { /* what it starts after all is stopped when that is told */
        f->abandoned = f->undo = true;
        return err;
    }
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
