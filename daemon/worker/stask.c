/* SPDX-License-Identifier: MIT */
/*
 * stask -- see stask.h. Calls come on lanes, one stream socket for each caller, and are run one at a time: those of
 * one lane in their order, lanes in turn, one call each. An answer leaves at once; a caller that does not read its
 * answers is not read from, and delays nobody else. A lane that breaks the protocol is closed, which its caller
 * notices.
 *
 * Calls that are cancelled before they begin are told of by the link, and remembered until their turn has come.
 *
 * What is being run stands in the control page, and so do the calls begun last: so the daemon knows, after a death,
 * which call it was, and which others may have run although their answers never arrived.
 */
#include "daemon/worker/stask.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/worker/errand.h"
#include "daemon/worker/execute.h"
#include "daemon/worker/log.h"
#include "proto/chain.h"
#include "proto/intake.h"

enum { LANES_MAX = 1024, IOV_MAX_SEND = 16, CANCELLED_BYTES_MAX = 16 << 20 };

struct lane {
    int fd;
    uint32_t number;
    struct intake in;
    struct chain out;
    struct link_frame head; /* of the frame whose body is still coming */
    bool have_head;
    bool ready;             /* another call may be there, without that poll() would tell */
    bool broken;
};

static struct {
    struct page *page;
    uint32_t uid;
    size_t frame_max;
    struct lane *lanes[LANES_MAX];
    unsigned n;
    unsigned turn; /* which lane is looked at first */
    struct bytes cancelled; /* uint64_t each: numbers of calls */
    uint64_t cancels;       /* that were told */
} self;

void stask_init(struct page *page, uint32_t uid, size_t frame_max)
{
    self.page = page;
    self.uid = uid;
    self.frame_max = frame_max;
    bytes_init(&self.cancelled, CANCELLED_BYTES_MAX);
}

void stask_add_lane(const struct fds_answer *told, int take_fd)
{
    struct lane *lane = self.n < LANES_MAX ? calloc(1, sizeof *lane) : NULL;

    if (!lane) {
        log_say(LOG_LEVEL_WARNING, "lane-refused", "there are %u", self.n);
        close(take_fd);
        return;
    }
    lane->fd = take_fd;
    lane->number = (uint32_t)told->bytes;
    intake_init(&lane->in);
    chain_init(&lane->out);
    self.lanes[self.n++] = lane;
}

/* -- calls that shall not begin ---------------------------------------------------------------------- */

void stask_cancel(uint64_t call)
{
    self.cancels++;
    if (bytes_append(&self.cancelled, &call, sizeof call) < 0)
        log_say(LOG_LEVEL_WARNING, "cancel-lost", "no memory for the number of call %llu", (unsigned long long)call);
}

/* Whether it is among them. Those of its lane up to it are forgotten: calls of a lane come in order. */
static bool take_cancelled(uint64_t call)
{
    uint64_t *v = (uint64_t *)self.cancelled.data;
    size_t n = self.cancelled.n / sizeof *v, kept = 0;
    bool found = false;

    for (size_t i = 0; i < n; i++) {
        found = found || v[i] == call;
        if (v[i] >> 32 != call >> 32 || v[i] > call)
            v[kept++] = v[i];
    }
    self.cancelled.n = kept * sizeof *v;
    return found;
}

static void lane_close(unsigned i)
{
    struct lane *lane = self.lanes[i];

    (void)take_cancelled((uint64_t)lane->number << 32 | UINT32_MAX);
    close(lane->fd);
    intake_deinit(&lane->in);
    chain_deinit(&lane->out);
    free(lane);
    self.lanes[i] = self.lanes[--self.n];
}

void stask_disown(void)
{
    for (unsigned i = 0; i < self.n; i++)
        close(self.lanes[i]->fd);
    self.n = 0;
}

/* -- answers --------------------------------------------------------------------------------------- */

static void lane_send(struct lane *lane)
{
    while (lane->out.n > 0) {
        struct iovec iov[IOV_MAX_SEND];
        struct msghdr msg = { .msg_iov = iov };
        ssize_t sent;

        msg.msg_iovlen = (size_t)chain_peek(&lane->out, iov, IOV_MAX_SEND);
        sent = sendmsg(lane->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent >= 0) {
            chain_consume(&lane->out, (size_t)sent);
        } else if (errno != EINTR) {
            lane->broken = errno != EAGAIN;
            return;
        }
    }
}

/* Sent at once, without a copy, as far as the socket takes it; the rest waits. */
static void lane_answer(struct lane *lane, const struct link_frame *answer, const uint8_t *body, size_t n)
{
    struct iovec iov[2] = { { (void *)(uintptr_t)answer, sizeof *answer }, { (void *)(uintptr_t)body, n } };
    struct msghdr msg = { .msg_iov = iov, .msg_iovlen = n ? 2 : 1 };
    ssize_t sent = 0;
    size_t done;

    if (lane->out.n == 0) {
        do
            sent = sendmsg(lane->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
        while (sent < 0 && errno == EINTR);
        if (sent < 0 && errno != EAGAIN) {
            lane->broken = true;
            return;
        }
    }
    done = sent > 0 ? (size_t)sent : 0;
    if (done < sizeof *answer) {
        if (chain_append(&lane->out, (const char *)answer + done, sizeof *answer - done) < 0)
            lane->broken = true;
        done = sizeof *answer;
    }
    done -= sizeof *answer;
    if (done < n && chain_append(&lane->out, body + done, n - done) < 0)
        lane->broken = true;
}

/* -- calls ----------------------------------------------------------------------------------------- */

/* Whether it may begin, which the daemon can see from then on. false: the link must be read first. */
static bool may_begin(uint64_t call)
{
    atomic_store(&self.page->task, call);
    if (atomic_load(&self.page->cancels) == self.cancels)
        return true;
    atomic_store(&self.page->task, 0);
    return false;
}

static void handle_run(struct lane *lane, struct link_frame *frame, const struct span *body)
{
    struct link_frame answer = { .task = frame->task };
    char failure[EXECUTE_FAILURE_BYTES];
    struct execution done;

    if (frame->type != LINK_RUN || frame->task >> 32 != lane->number || !execute_frame_ok(frame, body)) {
        log_say(LOG_LEVEL_WARNING, "lane-broke-protocol", "a frame of type %u, call %llu", frame->type,
                (unsigned long long)frame->task);
        lane->broken = true;
        return;
    }
    frame->a = self.uid; /* whatever the caller wrote there */
    frame->attempt = 1;
    if (take_cancelled(frame->task)) {
        page_begin_call(self.page, 0); /* each has its place, or what stands there would seem to be of the last ones */
        execute_refuse(frame, body, PTOOLS_ERR_CANCELLED, "cancelled before it was begun", &done);
    } else {
        page_begin_call(self.page, frame->task);
        execute(frame, body, execute_now_us(), &done);
    }
    if (done.code != PTOOLS_OK && atomic_load_explicit(&self.page->cancel, memory_order_relaxed) == frame->task)
        done.code = PTOOLS_ERR_CANCELLED;
    execute_answer(&done, &answer, failure);
    lane_answer(lane, &answer, done.value, done.n);
    atomic_store_explicit(&self.page->task, 0, memory_order_release);
    atomic_fetch_add_explicit(&self.page->calls, 1, memory_order_relaxed);
    execute_end();
}

/* The next call, if it is there as a whole, and the answers before it have left. */
static void lane_step(struct lane *lane)
{
    struct span body;
    int r;

    lane->ready = false;
    if (lane->broken || lane->out.n > 0)
        return;
    if (!lane->have_head) {
        const uint8_t *head = intake_peek(&lane->in, sizeof lane->head);

        if (!head)
            return;
        memcpy(&lane->head, head, sizeof lane->head);
        intake_drop(&lane->in, sizeof lane->head);
        lane->have_head = true;
    }
    if (lane->head.body_bytes > self.frame_max) {
        log_say(LOG_LEVEL_WARNING, "lane-broke-protocol", "a call of %u bytes, the limit is %zu",
                lane->head.body_bytes, self.frame_max);
        lane->broken = true;
        return;
    }
    if (!may_begin(lane->head.task)) {
        lane->ready = true;
        return;
    }
    r = intake_body(&lane->in, lane->head.body_bytes, &body);
    if (r < 0)
        lane->broken = true;
    if (r <= 0) {
        atomic_store_explicit(&self.page->task, 0, memory_order_release);
        return;
    }
    lane->have_head = false;
    handle_run(lane, &lane->head, &body);
    blob_free(body.blob);
    lane->ready = intake_pending(&lane->in) > 0;
}

static void lane_receive(struct lane *lane)
{
    size_t room;
    void *space = intake_space(&lane->in, &room);
    ssize_t got = space ? recv(lane->fd, space, room, MSG_DONTWAIT) : -1;

    if (!space || got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) {
        lane->broken = true;
        return;
    }
    if (got < 0)
        return;
    intake_commit(&lane->in, (size_t)got);
    lane_step(lane);
}

static void lane_ready(struct lane *lane, short revents)
{
    if (revents & POLLOUT) {
        lane_send(lane);
        lane->ready = true; /* perhaps: what had come before the answers stopped leaving */
    }
    if (lane->broken || lane->out.n > 0)
        return;
    if (lane->ready)
        lane_step(lane); /* all that is whole is taken before more is received */
    else if (revents & (POLLIN | POLLHUP | POLLERR))
        lane_receive(lane);
}

void stask_flush(int ms)
{
    for (unsigned i = 0; i < self.n; i++) {
        struct lane *lane = self.lanes[i];
        struct pollfd p = { .fd = lane->fd, .events = POLLOUT };

        lane_send(lane);
        while (lane->out.n > 0 && !lane->broken && poll(&p, 1, ms) == 1)
            lane_send(lane);
    }
}

bool stask_serve(int link_fd)
{
    struct pollfd p[2 + LANES_MAX];
    unsigned n = self.n;
    bool ready = false;

    p[0] = (struct pollfd){ .fd = link_fd, .events = POLLIN };
    p[1] = (struct pollfd){ .fd = errand_fd(), .events = POLLIN };
    for (unsigned i = 0; i < n; i++) {
        p[2 + i] = (struct pollfd){ .fd = self.lanes[i]->fd,
                                    .events = self.lanes[i]->out.n > 0 ? POLLOUT : POLLIN };
        ready = ready || (self.lanes[i]->ready && self.lanes[i]->out.n == 0); /* else POLLOUT is awaited */
    }
    if (poll(p, 2 + n, ready ? 0 : -1) < 0)
        return errno != EINTR;
    if (p[1].revents & ~POLLIN) /* the daemon is gone, as the link will tell, or a function has closed it */
        errand_disown();
    else if (p[1].revents)
        errand_receive();
    if (p[0].revents)
        return true; /* a request to end, or not to begin, comes before calls */
    for (unsigned k = 0; k < n; k++) {
        unsigned i = (self.turn + k) % n;

        if (p[2 + i].revents || self.lanes[i]->ready)
            lane_ready(self.lanes[i], p[2 + i].revents);
    }
    if (n > 0)
        self.turn = (self.turn + 1) % n;
    for (unsigned i = self.n; i-- > 0;)
        if (self.lanes[i]->broken)
            lane_close(i);
    return false;
}
