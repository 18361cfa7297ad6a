/* SPDX-License-Identifier: MIT */
/*
 * lane -- the stream socket between this handle and one server task: calls go out, answers come back in order.
 *
 * A lane that ends takes nothing along: the daemon, who knows why the process at its other end died, is asked what
 * became of each call that was in flight, and its answer ends the future (request_send_for()). A call on a lane that
 * has ended goes the same way at once, so that there is one place where the fate of a server task is told.
 */
#include "client/lib/handle.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { IOV_MAX_SEND = 16 };

static void close_lane(struct lane *lane)
{
    struct ptools *pt = lane->stasks->pt;

    if (lane->fd < 0)
        return;
    if (pt->epoll_fd >= 0 && handle_is_ours(pt)) /* a forked child that has it too keeps it in there otherwise */
        epoll_ctl(pt->epoll_fd, EPOLL_CTL_DEL, lane->fd, NULL);
    close(lane->fd);
    lane->fd = -1;
    intake_deinit(&lane->in);
    chain_deinit(&lane->out);
    intake_init(&lane->in);
    chain_init(&lane->out);
}

ptools_err lane_open(struct lane *lane)
{
    struct ptools *pt = lane->stasks->pt;
    struct fds_request request = { .kind = FDS_LANE, .id = lane->stasks->id, .index = lane->index };
    struct fds_answer answer;
    ptools_err err;

    err = fds_ask(pt, &request, -1, CLOCK_FOREVER, &answer, &lane->fd);
    if (err != PTOOLS_OK) {
        lane->fd = -1;
        return err;
    }
    lane->process = answer.process;
    lane->pid = answer.pid;
    lane->last_call = answer.bytes << 32;
    lane->have_head = false;
    if (pt->epoll_fd >= 0) {
        struct epoll_event event = { .events = EPOLLIN, .data.ptr = lane };

        if (epoll_ctl(pt->epoll_fd, EPOLL_CTL_ADD, lane->fd, &event) < 0) {
            err = fail(pt, PTOOLS_ERR_SYSTEM, "epoll_ctl: %s", strerror(errno));
            close_lane(lane);
            return err;
        }
    }
    return PTOOLS_OK;
}

static struct msg_request fate_request(const struct lane *lane, uint64_t call)
{
    return (struct msg_request){
        .kind = MSG_STASKS_FATE,
        .stasks = { .stasks = lane->stasks->id, .index = lane->index, .process = lane->process, .call = call },
    };
}

/* The daemon is asked what became of it. f is on no list. */
static void ask_fate(struct lane *lane, struct ptools_future *f)
{
    struct msg_request request = fate_request(lane, f->call);

    request_send_for(lane->stasks->pt, &request, f);
}

void lane_give_up(struct lane *lane, ptools_err code, const char *text)
{
    struct ptools *pt = lane->stasks->pt;
    struct ptools_future *f;

    lane->given_up = true;
    while (handle_is_ours(pt) && lane_receive(lane))
        ;
    lane->given_up = false;
    while ((f = TAILQ_FIRST(&lane->futures))) {
        struct msg_request request = fate_request(lane, f->call);

        if (handle_is_ours(pt)) /* so that nothing is kept for a value that nobody comes for */
            request_tell(pt, &request);
        large_release(f); /* the task may be at it still */
        future_fail(f, &(struct msg_failure){ .code = code, .message = { text, strlen(text) },
                                              .maybe_executed = true });
    }
    close_lane(lane);
}

void lane_end(struct lane *lane)
{
    struct ptools *pt = lane->stasks->pt;
    struct ptools_future *f;

    if (lane->fd < 0)
        return;
    close_lane(lane);
    while (!lane->given_up && (f = TAILQ_FIRST(&lane->futures))) {
        TAILQ_REMOVE(&lane->futures, f, lane_link);
        pt->lane_calls--;
        f->lane = NULL;
        ask_fate(lane, f);
    }
}

/* -- out ------------------------------------------------------------------------------------------- */

/* It is full, or the machine short of memory: tried again when it can be written to. */
static bool for_now(int error)
{
    return error == EAGAIN || error == ENOBUFS || error == ENOMEM;
}

void lane_flush(struct lane *lane)
{
    while (lane->fd >= 0 && lane->out.n > 0) {
        struct iovec iov[IOV_MAX_SEND];
        struct msghdr msg = { .msg_iov = iov };
        ssize_t sent;

        msg.msg_iovlen = (size_t)chain_peek(&lane->out, iov, IOV_MAX_SEND);
        sent = sendmsg(lane->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent >= 0) {
            chain_consume(&lane->out, (size_t)sent);
        } else if (errno != EINTR) {
            if (!for_now(errno))
                chain_consume(&lane->out, lane->out.n); /* it is gone: what it has sent is still read */
            return;
        }
    }
}

/* Sends as much as goes at once; the rest is queued, in order. -ENOMEM, or -EPIPE: the other side is gone. */
static int send_or_queue(struct lane *lane, struct iovec *iov, int n)
{
    struct msghdr msg = { .msg_iov = iov, .msg_iovlen = (size_t)n };
    ssize_t sent = 0;

    if (lane->out.n == 0) {
        do
            sent = sendmsg(lane->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
        while (sent < 0 && errno == EINTR);
        if (sent < 0 && !for_now(errno))
            return -EPIPE;
    }
    for (int i = 0; i < n; i++) {
        size_t gone = sent > 0 ? MIN((size_t)sent, iov[i].iov_len) : 0;

        sent -= (ssize_t)gone;
        if (iov[i].iov_len > gone &&
            chain_append(&lane->out, (const char *)iov[i].iov_base + gone, iov[i].iov_len - gone) < 0)
            return -ENOMEM;
    }
    return 0;
}

/* A future that is on the lane's list. */
static ptools_err add_future(struct lane *lane, struct ptools_future **ret)
{
    struct ptools *pt = lane->stasks->pt;
    struct ptools_future *f;

    if (pt->lane_calls >= IN_FLIGHT_MAX)
        return fail(pt, PTOOLS_ERR_LIMIT, "%d calls of server tasks are in flight, more are not allowed on one handle",
                    IN_FLIGHT_MAX);
    f = future_new(pt);
    if (!f)
        return fail_no_memory(pt);
    f->call = ++lane->last_call;
    f->lane = lane;
    TAILQ_INSERT_TAIL(&lane->futures, f, lane_link);
    pt->lane_calls++;
    *ret = f;
    return PTOOLS_OK;
}

/* The frame, as far as it goes at once. -ENOMEM: half of it may have left. */
static int send_call(struct lane *lane, const struct ptools_future *f, const char *function, const uint8_t *payload,
                     size_t n)
{
    const struct link_reference where = { scratch_id(f->args), n };
    const uint64_t room = scratch_id(f->room);
    struct link_frame run = {
        .type = LINK_RUN,
        .name_bytes = (uint8_t)strlen(function),
        .code = (uint16_t)((f->args ? RUN_ARGS_ARRAY : 0) | (room ? RUN_ROOM : 0)),
        .task = f->call,
        .b = (uint32_t)MIN(lane->stasks->pt->large, (uint64_t)UINT32_MAX),
    };
    struct iovec iov[] = {
        { &run, sizeof run },
        { (void *)(uintptr_t)function, run.name_bytes },
        { (void *)(uintptr_t)&room, room ? sizeof room : 0 },
        { f->args ? (void *)(uintptr_t)&where : (void *)(uintptr_t)payload, f->args ? sizeof where : n },
    };

    run.body_bytes = (uint32_t)(iov[1].iov_len + iov[2].iov_len + iov[3].iov_len);
    return send_or_queue(lane, iov, ELEMENTS(iov));
}

ptools_err lane_call(struct lane *lane, const char *function, const uint8_t *payload, size_t n, uint64_t until_us,
                     struct ptools_future **ret_future)
{
    struct ptools *pt = lane->stasks->pt;
    struct scratch *args = NULL, *room = NULL;
    struct ptools_future *f = NULL;
    ptools_err err = PTOOLS_OK;

    if (lane->fd >= 0)
        err = large_prepare(pt, payload, n, until_us, &args, &room);
    if (err == PTOOLS_ERR_LOST)
        return stasks_check(lane->stasks); /* they were those of the connection before */
    if (err == PTOOLS_OK && !args && n > pt->message_max)
        err = fail(pt, PTOOLS_ERR_TOO_LARGE, "the arguments have %zu bytes, server tasks take at most %llu", n,
                   (unsigned long long)pt->message_max);
    if (err == PTOOLS_OK)
        err = add_future(lane, &f);
    if (!f) {
        scratch_give_back(args);
        scratch_give_back(room);
        return err;
    }
    f->args = args;
    f->room = room;
    *ret_future = f;
    if (lane->fd < 0) {
        TAILQ_REMOVE(&lane->futures, f, lane_link);
        pt->lane_calls--;
        f->lane = NULL;
        ask_fate(lane, f);
    } else if (send_call(lane, f, function, payload, n) == -ENOMEM) {
        lane_end(lane); /* it is of no use any more */
    } /* -EPIPE: its end is read next, behind what it has sent */
    return PTOOLS_OK;
}

ptools_err lane_cancel(struct ptools_future *f)
{
    struct lane *lane = f->lane;
    struct msg_request request = {
        .kind = MSG_STASKS_CANCEL,
        .stasks = { .stasks = lane->stasks->id, .index = lane->index, .process = lane->process, .call = f->call },
    };

    ptools_err err = connection_alive(f->pt) ? request_send(f->pt, &request, NULL, 0, CLOCK_FOREVER, NULL)
                                             : PTOOLS_ERR_LOST;

    return err == PTOOLS_ERR_LOST ? fail(f->pt, err, "the connection to %s is gone: nobody can stop the call",
                                         f->pt->address) : err;
}

/* -- in -------------------------------------------------------------------------------------------- */

static void succeed(struct ptools_future *f, const struct link_frame *head, struct span *body)
{
    const struct msg_reply reply = { .task = f->call, .attempt = 1, .run_us = head->a };
    static const char text[] = "the call succeeded, but there is no memory for its value";
    static const char late[] = "the way to the server task was closed before the large value was taken";
    struct link_reference where;

    if (head->type == LINK_DONE_ARRAY && f->lane->given_up) {
        memcpy(&where, body->data, sizeof where);
        if (where.array != scratch_id(f->room))
            array_unlink(f->pt, where.array);
        future_fail(f, &(struct msg_failure){ .code = PTOOLS_ERR_CLOSED, .message = { late, sizeof late - 1 },
                                              .maybe_executed = true });
        return;
    }
    if (head->type == LINK_DONE_ARRAY) {
        memcpy(&where, body->data, sizeof where);
        if (large_take_value(f, where.array, where.bytes) != PTOOLS_OK) {
            future_fail(f, &(struct msg_failure){ .code = f->pt->last.facts.code,
                                                  .message = { f->pt->last.facts.message,
                                                               strlen(f->pt->last.facts.message) },
                                                  .maybe_executed = true });
            return;
        }
    } else if (body->blob) {
        f->blob = TAKE(body->blob);
    } else if (bytes_append(&f->copy, body->data, body->n) < 0) {
        future_fail(f, &(struct msg_failure){ .code = PTOOLS_ERR_NO_MEMORY, .message = { text, sizeof text - 1 },
                                              .maybe_executed = true });
        return;
    }
    future_succeed(f, &reply);
}

/* False: it is not an answer to what is in flight. */
static bool handle_answer(struct lane *lane, struct span *body)
{
    const struct link_frame *head = &lane->head;
    struct ptools_future *f = TAILQ_FIRST(&lane->futures);
    struct msg_failure failure = { .code = (ptools_err)head->code, .pid = lane->pid, .exit_status = -1,
                                   .run_us = head->a, .attempt = 1, .maybe_executed = true };

    if (!f || f->call != head->task || !error_known((ptools_err)head->code) ||
        (head->type != LINK_DONE && head->type != LINK_DONE_ARRAY) ||
        (head->type == LINK_DONE_ARRAY && (head->code != PTOOLS_OK || body->n != sizeof(struct link_reference))))
        return false;
    if (head->code == PTOOLS_OK) {
        succeed(f, head, body);
        return true;
    }
    if (!link_failure_read(body, &failure))
        return false;
    failure.task = f->call;
    future_fail(f, &failure);
    return true;
}

/* Every whole answer that has come. False: the other side broke the protocol, or there is no memory. */
static bool take_answers(struct lane *lane)
{
    for (;;) {
        struct span body;
        bool good;
        int r;

        if (!lane->have_head) {
            const uint8_t *head = intake_peek(&lane->in, sizeof lane->head);

            if (!head)
                return true;
            memcpy(&lane->head, head, sizeof lane->head);
            intake_drop(&lane->in, sizeof lane->head);
            lane->have_head = true;
        }
        if (lane->head.body_bytes > ANSWER_BYTES_MAX)
            return false;
        r = intake_body(&lane->in, lane->head.body_bytes, &body);
        if (r <= 0)
            return r == 0;
        lane->have_head = false;
        good = handle_answer(lane, &body);
        blob_free(body.blob);
        if (!good)
            return false;
    }
}

bool lane_receive(struct lane *lane)
{
    size_t room;
    void *space;
    ssize_t got;

    if (lane->fd < 0)
        return false;
    space = intake_space(&lane->in, &room);
    if (!space) {
        lane_end(lane);
        return true;
    }
    do
        got = recv(lane->fd, space, room, MSG_DONTWAIT);
    while (got < 0 && errno == EINTR);
    if (got < 0 && errno == EAGAIN)
        return false;
    if (got > 0) {
        intake_commit(&lane->in, (size_t)got);
        if (take_answers(lane))
            return true;
    }
    lane_end(lane);
    return true;
}
