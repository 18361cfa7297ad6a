/* SPDX-License-Identifier: MIT */
/*
 * transport_zmq -- a DEALER socket of libzmq, for "ipc://" and "tcp://" endpoints.
 *
 * libzmq is loaded when the first such endpoint is named; programs that stay on their own host never
 * load it. Each transport has a context of its own, which nobody else can disturb. This file alone
 * knows that ZMQ_FD is edge-triggered: ZMQ_EVENTS is looked at again before every sleep, and callers
 * poll an epoll descriptor whose third member is made readable when something waits already.
 *
 * libzmq would connect anew by itself and say nothing, and calls in flight would wait for ever. So a
 * monitor tells of the end of the connection, and that ends the transport; the connection after it is
 * made by the library, in a new transport. What arrived before the end is handed out first: the
 * monitor is read before the socket, never after it.
 *
 * In a forked child a context must not be touched: there it is left behind with its descriptors, so that
 * the daemon sees the connection end only when parent and child have both closed or ended.
 */
#include "client/lib/transport.h"

#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <zmq.h>

#include "client/lib/clock.h"
#include "proto/limits.h"

#define MONITOR_ENDPOINT "inproc://ptools-monitor"
/* In effect never: the transport is freed at the first end, long before libzmq would try again. (-1, its own
 * word for never, would also throw away what has arrived and was not read yet.) */
enum { RECONNECT_NEVER_MS = 24 * 3600 * 1000 };

/* clang-format off */
#define ZMQ_FUNCTIONS(X)                                                                                            \
    X(zmq_version)                                                                                                  \
    X(zmq_strerror)                                                                                                 \
    X(zmq_ctx_new)                                                                                                  \
    X(zmq_ctx_term)                                                                                                 \
    X(zmq_socket)                                                                                                   \
    X(zmq_close)                                                                                                    \
    X(zmq_setsockopt)                                                                                               \
    X(zmq_getsockopt)                                                                                               \
    X(zmq_connect)                                                                                                  \
    X(zmq_socket_monitor)                                                                                           \
    X(zmq_send)                                                                                                     \
    X(zmq_msg_init)                                                                                                 \
    X(zmq_msg_recv)                                                                                                 \
    X(zmq_msg_data)                                                                                                 \
    X(zmq_msg_size)                                                                                                 \
    X(zmq_msg_more)                                                                                                 \
    X(zmq_msg_close)
/* clang-format on */

struct zmq_api {
#define POINTER(name) __typeof__(&name) name; /* NOLINT(bugprone-macro-parentheses): name is declared */
    ZMQ_FUNCTIONS(POINTER)
#undef POINTER
};

struct transport_zmq {
    struct transport t;
    struct zmq_api api;
    void *context;
    void *socket;
    void *monitor;
    int socket_fd;
    int monitor_fd;
    int epoll_fd; /* of the two and wake_fd: what callers poll */
    int wake_fd;  /* an eventfd, always readable; in the epoll set, or masked there */
    bool wake;    /* not masked */
    bool monitor_readable;
    bool wants_room;      /* the last send() found none */
    struct problem ended; /* what the monitor told; becomes t.end when the socket is read out */
    uint64_t message_bytes;
    zmq_msg_t parts[ZMTP_FRAMES_MAX]; /* of the message handed out last */
    unsigned n_parts;
};

static struct transport_zmq *self(struct transport *t)
{
    return CONTAINER_OF(t, struct transport_zmq, t);
}

/* False: ret_problem says why. */
static bool load(struct zmq_api *api, struct problem *ret_problem)
{
    int major, minor, patch;
    /* Never unloaded: its threads may still be on their way out. */
    void *so = dlopen("libzmq.so.5", RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);

    if (!so) {
        problem_set(ret_problem, PTOOLS_ERR_TRANSPORT,
                    "endpoints ipc:// and tcp:// need libzmq, which cannot be loaded: %s", dlerror());
        return false;
    }
#define LOOK_UP(name)                                                                                                  \
    *(void **)&api->name = dlsym(so, #name);                                                                           \
    if (!api->name) {                                                                                                  \
        problem_set(ret_problem, PTOOLS_ERR_TRANSPORT, "libzmq.so.5 has no function %s", #name);                       \
        return false;                                                                                                  \
    }
    ZMQ_FUNCTIONS(LOOK_UP)
#undef LOOK_UP
    api->zmq_version(&major, &minor, &patch);
    if (major < 4 || (major == 4 && minor < 3)) {
        problem_set(ret_problem, PTOOLS_ERR_TRANSPORT, "libzmq 4.3 or later is needed, this is %d.%d.%d", major, minor,
                    patch);
        return false;
    }
    return true;
}

static bool socket_has(struct transport_zmq *z, int wanted)
{
    int events = 0;
    size_t n = sizeof events;

    return z->api.zmq_getsockopt(z->socket, ZMQ_EVENTS, &events, &n) == 0 && (events & wanted) != 0;
}

static void drop_parts(struct transport_zmq *z)
{
    while (z->n_parts > 0)
        z->api.zmq_msg_close(&z->parts[--z->n_parts]);
}

/* 0, or an errno of zmq_msg_recv(). Waits for nothing: all parts of a message come together. */
static int receive_parts(struct transport_zmq *z, void *socket, bool *ret_too_many)
{
    bool more = true;

    drop_parts(z);
    *ret_too_many = false;
    while (more) {
        zmq_msg_t *part = &z->parts[z->n_parts];
        int r;

        if (z->n_parts == ELEMENTS(z->parts)) {
            *ret_too_many = true;
            return 0;
        }
        z->api.zmq_msg_init(part);
        do
            r = z->api.zmq_msg_recv(part, socket, ZMQ_DONTWAIT);
        while (r < 0 && errno == EINTR);
        if (r < 0) {
            r = errno;
            z->api.zmq_msg_close(part);
            return r;
        }
        z->n_parts++;
        more = z->api.zmq_msg_more(part) != 0;
    }
    return 0;
}

static void note_event(struct transport_zmq *z, unsigned event)
{
    if (event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED)
        z->t.open = true;
    if (z->ended.code != PTOOLS_OK)
        return;
    if (event == ZMQ_EVENT_DISCONNECTED && z->t.open)
        problem_set(&z->ended, PTOOLS_ERR_LOST, "the daemon closed it");
    else if (event == ZMQ_EVENT_DISCONNECTED || event == ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL)
        problem_set(&z->ended, PTOOLS_ERR_PROTOCOL, "the peer does not speak ZMTP, or closed the connection at once");
    else if (event == ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL)
        problem_set(&z->ended, PTOOLS_ERR_PROTOCOL, "the peer broke ZMTP");
    else if (event == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH)
        problem_set(&z->ended, PTOOLS_ERR_DENIED, "the peer denies access");
    else if (event == ZMQ_EVENT_CLOSED || event == ZMQ_EVENT_CONNECT_RETRIED)
        problem_set(&z->ended, PTOOLS_ERR_NO_DAEMON, "nobody serves it");
}

static void read_monitor(struct transport_zmq *z)
{
    bool too_many;

    z->monitor_readable = false;
    while (receive_parts(z, z->monitor, &too_many) == 0) {
        uint16_t event;

        if (z->n_parts > 0 && z->api.zmq_msg_size(&z->parts[0]) >= sizeof event) {
            memcpy(&event, z->api.zmq_msg_data(&z->parts[0]), sizeof event);
            note_event(z, event);
        }
    }
}

/* Looks at both descriptors; true if one is readable. */
static bool poll_both(struct transport_zmq *z, int timeout_ms)
{
    struct pollfd p[2] = { { .fd = z->socket_fd, .events = POLLIN }, { .fd = z->monitor_fd, .events = POLLIN } };

    if (poll(p, 2, timeout_ms) <= 0)
        return false;
    if (p[1].revents)
        z->monitor_readable = true;
    return true;
}

static int zmq_transport_send(struct transport *t, const struct span *frames, unsigned n)
{
    struct transport_zmq *z = self(t);
    uint64_t sum = 0;

    poll_both(z, 0); /* a message for a connection that has ended would wait in libzmq for nobody */
    if (z->monitor_readable)
        read_monitor(z);
    if (z->ended.code != PTOOLS_OK || t->end.code != PTOOLS_OK)
        return -EPIPE;
    for (unsigned i = 0; i < n; i++) {
        int flags = ZMQ_DONTWAIT | (i + 1 < n ? ZMQ_SNDMORE : 0), r;

        do
            r = z->api.zmq_send(z->socket, frames[i].data, frames[i].n, flags);
        while (r < 0 && errno == EINTR);
        if (r < 0 && i == 0 && errno == EAGAIN) {
            z->wants_room = true;
            return -EAGAIN;
        }
        if (r < 0) { /* half a message cannot be taken back */
            transport_end(t, errno == ENOMEM ? PTOOLS_ERR_NO_MEMORY : PTOOLS_ERR_LOST, "%s",
                          z->api.zmq_strerror(errno));
            return -EPIPE;
        }
        sum += frames[i].n;
    }
    z->wants_room = false;
    t->queued += sum;
    t->sent = t->queued; /* libzmq has it: whether it left, nobody can tell */
    return 0;
}

static void zmq_transport_flush(struct transport *t)
{
    (void)t; /* libzmq's thread sends */
}

static bool zmq_transport_wait(struct transport *t, uint64_t until_us)
{
    struct transport_zmq *z = self(t);

    for (;;) {
        int timeout_ms = clock_poll_ms(until_us);

        if (t->end.code != PTOOLS_OK || z->ended.code != PTOOLS_OK || z->monitor_readable)
            return true;
        if (socket_has(z, z->wants_room ? ZMQ_POLLIN | ZMQ_POLLOUT : ZMQ_POLLIN)) {
            poll_both(z, 0); /* for the monitor */
            return true;
        }
        if (!poll_both(z, timeout_ms) && timeout_ms == 0)
            return false;
    }
}

static int zmq_transport_receive(struct transport *t, struct zmtp_message *ret)
{
    struct transport_zmq *z = self(t);
    uint64_t sum = 0;
    bool too_many;
    int e;

    if (t->end.code != PTOOLS_OK)
        return 0;
    if (z->monitor_readable)
        read_monitor(z);
    e = receive_parts(z, z->socket, &too_many);
    if (e == EAGAIN) {
        t->end = z->ended;
        return 0;
    }
    if (e != 0) {
        transport_end(t, PTOOLS_ERR_TRANSPORT, "%s", z->api.zmq_strerror(e));
        return 0;
    }
    for (unsigned i = 0; i < z->n_parts; i++) {
        ret->frame[i] = (struct span){ z->api.zmq_msg_data(&z->parts[i]), z->api.zmq_msg_size(&z->parts[i]), NULL };
        sum += ret->frame[i].n;
    }
    ret->n = z->n_parts;
    if (too_many)
        transport_end(t, PTOOLS_ERR_PROTOCOL, "a message of more than %d frames", ZMTP_FRAMES_MAX);
    else if (sum > z->message_bytes)
        transport_end(t, PTOOLS_ERR_PROTOCOL, "a message of %llu bytes, where %llu are allowed",
                      (unsigned long long)sum, (unsigned long long)z->message_bytes);
    return t->end.code == PTOOLS_OK;
}

static int zmq_transport_fd(struct transport *t)
{
    return self(t)->epoll_fd;
}

static void zmq_transport_shut(struct transport *t)
{
    (void)t; /* events() makes the descriptor readable */
}

static short zmq_transport_events(struct transport *t, bool wake)
{
    struct transport_zmq *z = self(t);

    wake = wake || t->end.code != PTOOLS_OK || z->ended.code != PTOOLS_OK || z->monitor_readable ||
           socket_has(z, ZMQ_POLLIN);
    if (wake != z->wake) {
        struct epoll_event event = { .events = wake ? EPOLLIN : 0 };

        if (epoll_ctl(z->epoll_fd, EPOLL_CTL_MOD, z->wake_fd, &event) == 0)
            z->wake = wake;
    }
    return POLLIN;
}

static void zmq_transport_limit(struct transport *t, uint64_t message_bytes)
{
    self(t)->message_bytes = message_bytes;
}

static void zmq_transport_free(struct transport *t, bool forked)
{
    struct transport_zmq *z = self(t);

    if (!forked) {
        drop_parts(z);
        if (z->socket) /* no more events: libzmq leaks one that finds no reader */
            z->api.zmq_socket_monitor(z->socket, NULL, 0);
        if (z->monitor)
            z->api.zmq_close(z->monitor);
        if (z->socket)
            z->api.zmq_close(z->socket);
        if (z->context)
            while (z->api.zmq_ctx_term(z->context) < 0 && errno == EINTR)
                ;
    }
    if (z->wake_fd >= 0)
        close(z->wake_fd);
    if (z->epoll_fd >= 0)
        close(z->epoll_fd);
    free(z);
}

static const struct transport_ops zmq_ops = {
    .send = zmq_transport_send,
    .flush = zmq_transport_flush,
    .wait = zmq_transport_wait,
    .receive = zmq_transport_receive,
    .fd = zmq_transport_fd,
    .events = zmq_transport_events,
    .limit = zmq_transport_limit,
    .shut = zmq_transport_shut,
    .free = zmq_transport_free,
};

static int descriptor_of(struct transport_zmq *z, void *socket)
{
    int fd = -1;
    size_t n = sizeof fd;

    return z->api.zmq_getsockopt(socket, ZMQ_FD, &fd, &n) == 0 ? fd : -1;
}

static bool watch(int epoll_fd, int fd, uint32_t events)
{
    struct epoll_event event = { .events = events };

    return epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

/* Socket, monitor and descriptors. False: errno tells. */
static bool make_sockets(struct transport_zmq *z)
{
    const int zero = 0, never = RECONNECT_NEVER_MS;
    const int64_t bytes = ANSWER_BYTES_MAX; /* it cannot be changed later; the daemon's own limit is checked here */

    z->context = z->api.zmq_ctx_new();
    z->socket = z->context ? z->api.zmq_socket(z->context, ZMQ_DEALER) : NULL;
    z->monitor = z->socket ? z->api.zmq_socket(z->context, ZMQ_PAIR) : NULL;
    return z->monitor && z->api.zmq_setsockopt(z->socket, ZMQ_LINGER, &zero, sizeof zero) == 0 &&
           z->api.zmq_setsockopt(z->monitor, ZMQ_LINGER, &zero, sizeof zero) == 0 &&
           z->api.zmq_setsockopt(z->socket, ZMQ_RECONNECT_IVL, &never, sizeof never) == 0 &&
           z->api.zmq_setsockopt(z->socket, ZMQ_MAXMSGSIZE, &bytes, sizeof bytes) == 0 &&
           z->api.zmq_socket_monitor(z->socket, MONITOR_ENDPOINT, ZMQ_EVENT_ALL) == 0 &&
           z->api.zmq_connect(z->monitor, MONITOR_ENDPOINT) == 0 && (z->socket_fd = descriptor_of(z, z->socket)) >= 0 &&
           (z->monitor_fd = descriptor_of(z, z->monitor)) >= 0 &&
           (z->wake_fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK)) >= 0 &&
           (z->epoll_fd = epoll_create1(EPOLL_CLOEXEC)) >= 0 && watch(z->epoll_fd, z->socket_fd, EPOLLIN) &&
           watch(z->epoll_fd, z->monitor_fd, EPOLLIN) && watch(z->epoll_fd, z->wake_fd, 0);
}

ptools_err transport_zmq_new(const char *endpoint, struct transport **ret, struct problem *ret_problem)
{
    struct transport_zmq *z = calloc(1, sizeof *z);
    ptools_err err = PTOOLS_OK;

    if (!z)
        return problem_set(ret_problem, PTOOLS_ERR_NO_MEMORY, "no memory for a connection");
    z->t.ops = &zmq_ops;
    z->wake_fd = z->epoll_fd = -1;
    z->message_bytes = MESSAGE_BYTES_DEFAULT;
    z->monitor_readable = true; /* only a reader that has found nothing once is woken */
    if (!load(&z->api, ret_problem)) {
        free(z);
        return ret_problem->code;
    }
    if (!make_sockets(z))
        err = problem_set(ret_problem, errno == ENOMEM ? PTOOLS_ERR_NO_MEMORY : PTOOLS_ERR_SYSTEM,
                          "libzmq cannot make a socket: %s", z->api.zmq_strerror(errno));
    else if (z->api.zmq_connect(z->socket, endpoint) < 0)
        err = problem_set(ret_problem, PTOOLS_ERR_TRANSPORT, "libzmq refuses the endpoint %s: %s", endpoint,
                          z->api.zmq_strerror(errno));
    if (err != PTOOLS_OK) {
        zmq_transport_free(&z->t, false);
        return err;
    }
    *ret = &z->t;
    return PTOOLS_OK;
}
