/* SPDX-License-Identifier: MIT */
/*
 * transport_unix -- ZMTP over the daemon's unix socket, without libzmq.
 *
 * The daemon's own codec does the talking (proto/zmtp.h), over an intake and a chain; this file adds
 * the socket. It sleeps in poll(2) only: a blocking read of a unix stream socket is also woken when
 * the peer reads. After poll(2) has said so, the socket is read until it gives less than there was
 * room for: a call that is awaited alone costs three system calls, sendmsg, poll and recv.
 *
 * When a write fails because the peer has gone, what the peer had sent before is still read: an
 * answer that arrived counts. Its end of file then ends the transport.
 */
#include "client/lib/transport.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "client/lib/clock.h"
#include "proto/limits.h"

enum { IOV_ENTRIES = 64, RECEIVE_READS = 64 };

struct transport_unix {
    struct transport t;
    int fd;
    bool readable;  /* it is worth while to read */
    bool pending;   /* the last receive() gave a message: there may be another in the intake */
    unsigned reads; /* since the last wait: bounded, so that a flood cannot hold the caller for ever */
    bool peer_gone; /* a write failed: read what is left, write no more */
    struct zmtp zmtp;
    struct chain out;
    struct intake in;
};

static struct transport_unix *self(struct transport *t)
{
    return CONTAINER_OF(t, struct transport_unix, t);
}

static void unix_flush(struct transport *t)
{
    struct transport_unix *u = self(t);

    while (u->out.n > 0 && !u->peer_gone && t->end.code == PTOOLS_OK) {
        struct iovec iov[IOV_ENTRIES];
        struct msghdr msg = { .msg_iov = iov };
        size_t wanted = 0;
        ssize_t n;

        msg.msg_iovlen = (size_t)chain_peek(&u->out, iov, IOV_ENTRIES);
        for (size_t i = 0; i < msg.msg_iovlen; i++)
            wanted += iov[i].iov_len;
        n = sendmsg(u->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM))
            return;
        if (n < 0) {
            u->peer_gone = true;
            u->readable = true;
            return;
        }
        t->sent += (size_t)n;
        chain_consume(&u->out, (size_t)n);
        if ((size_t)n < wanted)
            return;
    }
}

static int unix_send(struct transport *t, const struct span *frames, unsigned n)
{
    struct transport_unix *u = self(t);
    size_t before = u->out.n;
    int r;

    if (u->peer_gone || t->end.code != PTOOLS_OK)
        return -EPIPE;
    r = zmtp_send(&u->zmtp, &u->out, frames, n);
    if (r < 0)
        return r;
    t->queued += u->out.n - before;
    return 0;
}

static bool unix_wait(struct transport *t, uint64_t until_us)
{
    struct transport_unix *u = self(t);
    uint64_t sent = t->sent;

    u->reads = 0;
    unix_flush(t);
    if (u->readable || u->pending || t->end.code != PTOOLS_OK)
        return true;
    if (until_us == 0) { /* the read itself tells whether there is something: one system call less */
        u->readable = true;
        return true;
    }
    for (;;) {
        struct pollfd p = { .fd = u->fd, .events = (short)(POLLIN | (u->out.n ? POLLOUT : 0)) };
        int r = poll(&p, 1, clock_poll_ms(until_us));

        if (r < 0 && errno != EINTR && errno != EAGAIN) {
            transport_end(t, PTOOLS_ERR_SYSTEM, "poll: %s", strerror(errno));
            return true;
        }
        if (r > 0 && (p.revents & POLLOUT))
            unix_flush(t);
        if (r > 0 && (p.revents & ~POLLOUT))
            u->readable = true;
        if (u->readable || t->sent != sent)
            return true;
        if (r == 0 && until_us != CLOCK_FOREVER && clock_now_us() >= until_us)
            return false;
    }
}

/* Reads once. */
static void fill(struct transport_unix *u)
{
    size_t room;
    void *space = intake_space(&u->in, &room);
    ssize_t n;

    if (!space) {
        transport_end(&u->t, PTOOLS_ERR_NO_MEMORY, "no memory to read the daemon's answer");
        return;
    }
    do
        n = recv(u->fd, space, room, MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n > 0)
        intake_commit(&u->in, (size_t)n);
    else if (n == 0)
        transport_end(&u->t, PTOOLS_ERR_LOST, "the daemon closed it%s",
                      zmtp_midway(&u->zmtp, &u->in) ? " in the middle of a message" : "");
    else if (errno == ECONNRESET)
        transport_end(&u->t, PTOOLS_ERR_LOST, "the daemon closed it before it had read everything");
    else if (errno != EAGAIN)
        transport_end(&u->t, PTOOLS_ERR_LOST, "recv: %s", strerror(errno));
    else if (u->peer_gone)
        transport_end(&u->t, PTOOLS_ERR_LOST, "the daemon takes no more");
    u->readable = n > 0 && (size_t)n == room && ++u->reads < RECEIVE_READS;
    if (u->peer_gone && n > 0)
        u->readable = true; /* to its end */
}

static int unix_receive(struct transport *t, struct zmtp_message *ret)
{
    struct transport_unix *u = self(t);

    u->pending = false;
    while (t->end.code == PTOOLS_OK) {
        size_t before = u->out.n;
        enum zmtp_event event = zmtp_next(&u->zmtp, &u->in, &u->out, ret);

        t->queued += u->out.n - before;
        switch (event) {
        case ZMTP_MESSAGE:
            u->pending = true;
            return 1;
        case ZMTP_OPENED:
            t->open = true;
            break;
        case ZMTP_ERROR:
            unix_flush(t);
            transport_end(t,
                          u->zmtp.error == ZMTP_NO_MEMORY    ? PTOOLS_ERR_NO_MEMORY
                          : u->zmtp.error == ZMTP_PEER_ERROR ? PTOOLS_ERR_DENIED
                                                             : PTOOLS_ERR_PROTOCOL,
                          "%s", zmtp_problem(&u->zmtp));
            break;
        case ZMTP_NEED_MORE:
            if (!u->readable)
                return 0;
            fill(u);
            break;
        }
    }
    return 0;
}

static int unix_fd(struct transport *t)
{
    return self(t)->fd;
}

static void unix_shut(struct transport *t)
{
    shutdown(self(t)->fd, SHUT_RDWR);
}

static short unix_events(struct transport *t, bool wake)
{
    struct transport_unix *u = self(t);

    /* A socket can nearly always be written to; if not now, then once the daemon has read. */
    return (short)(POLLIN | (wake || u->readable || u->pending || u->out.n ? POLLOUT : 0));
}

static void unix_limit(struct transport *t, uint64_t message_bytes)
{
    self(t)->zmtp.limits.message_bytes = message_bytes;
}

static void unix_free(struct transport *t, bool forked)
{
    struct transport_unix *u = self(t);

    (void)forked; /* the parent's copy of the descriptor keeps the connection */
    close(u->fd);
    zmtp_deinit(&u->zmtp);
    chain_deinit(&u->out);
    intake_deinit(&u->in);
    free(u);
}

static const struct transport_ops unix_ops = {
    .send = unix_send,
    .flush = unix_flush,
    .wait = unix_wait,
    .receive = unix_receive,
    .fd = unix_fd,
    .events = unix_events,
    .limit = unix_limit,
    .shut = unix_shut,
    .free = unix_free,
};

/* The descriptor, or -1 and the problem. A full backlog makes a unix connect wait; SO_SNDTIMEO bounds that. */
static int connect_to(const char *path, uint64_t until_us, struct problem *ret_problem)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd, e;

    if (strlen(path) >= sizeof address.sun_path) {
        problem_set(ret_problem, PTOOLS_ERR_INVALID, "%s: the path of a socket has at most %zu bytes", path,
                    sizeof address.sun_path - 1);
        return -1;
    }
    strcpy(address.sun_path, path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        problem_set(ret_problem, PTOOLS_ERR_SYSTEM, "socket: %s", strerror(errno));
        return -1;
    }
    do {
        int left_ms = clock_poll_ms(until_us);
        struct timeval tv = { .tv_sec = left_ms / 1000, .tv_usec = left_ms % 1000 * 1000 };

        if (left_ms == 0)
            tv.tv_usec = 1;
        if (left_ms < 0)
            tv = (struct timeval){ 0 };
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof tv);
        e = connect(fd, (struct sockaddr *)&address, sizeof address) < 0 ? errno : 0;
    } while (e == EINTR);
    if (e == 0)
        return fd;
    close(fd);
    if (e == EAGAIN)
        problem_set(ret_problem, PTOOLS_ERR_TIMEOUT, "%s: the daemon accepted no connection in time", path);
    else if (e == ENOENT || e == ECONNREFUSED || e == ENOTDIR)
        problem_set(ret_problem, PTOOLS_ERR_NO_DAEMON, "nobody serves %s (%s)", path, strerror(e));
    else if (e == EACCES || e == EPERM)
        problem_set(ret_problem, PTOOLS_ERR_DENIED, "%s: %s", path, strerror(e));
    else
        problem_set(ret_problem, PTOOLS_ERR_SYSTEM, "connect to %s: %s", path, strerror(e));
    return -1;
}

ptools_err transport_unix_new(const char *path, uint64_t until_us, struct transport **ret, struct problem *ret_problem)
{
    const struct zmtp_limits limits = { .message_bytes = MESSAGE_BYTES_DEFAULT };
    struct transport_unix *u = calloc(1, sizeof *u);

    if (!u)
        return problem_set(ret_problem, PTOOLS_ERR_NO_MEMORY, "no memory for a connection");
    u->t.ops = &unix_ops;
    u->fd = connect_to(path, until_us, ret_problem);
    if (u->fd < 0) {
        free(u);
        return ret_problem->code;
    }
    chain_init(&u->out);
    intake_init(&u->in);
    if (zmtp_init(&u->zmtp, ZMTP_CLIENT, &limits, &u->out) < 0) {
        unix_free(&u->t, false);
        return problem_set(ret_problem, PTOOLS_ERR_NO_MEMORY, "no memory for a connection");
    }
    u->t.queued = u->out.n;
    *ret = &u->t;
    return PTOOLS_OK;
}
