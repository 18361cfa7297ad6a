/* SPDX-License-Identifier: MIT */
/*
 * floor -- see floor.h.
 *
 * One unit travels everywhere: a short ZMTP frame of 66 bytes (flags, length, 64 bytes of body), also on
 * the workers' sockets, so that the broker copies and never converts. At most OUTSTANDING_MAX of them are
 * under way: they fit into any socket buffer, so blocking writes cannot lock each other out, and rings
 * need no check for being full. Each answer is checked: the worker turns word 1 into the complement of
 * word 0, and the sums of ids sent and received must be equal at the end.
 */
#include "tests/bench/floor.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <zmq.h>

#include "tests/integration/server.h"

enum { BODY_BYTES = 64, OUTSTANDING_MAX = 64, WORKERS_MAX = 4, GREETING_BYTES = 64, COMMAND_MAX = 257 };

struct frame {
    uint8_t flags, bytes;
    uint8_t body[BODY_BYTES];
};
_Static_assert(sizeof(struct frame) == 2 + BODY_BYTES, "frames lie one behind the other");

struct words {
    uint64_t id, answer;
};

struct floor {
    enum floor_client client;
    const struct load *load;
    unsigned prefetch;
    char dir[64], path[80];
    int listener;
    int links[WORKERS_MAX][2]; /* of each worker: the broker's end, its own */
};

static struct words words_of(const struct frame *f)
{
    struct words w;

    memcpy(&w, f->body, sizeof w);
    return w;
}

static void set_words(struct frame *f, struct words w)
{
    f->flags = 0;
    f->bytes = BODY_BYTES;
    memcpy(f->body, &w, sizeof w);
}

/* -- bytes ------------------------------------------------------------------------------------------------ */

static void send_all(int fd, const void *data, size_t bytes)
{
    const uint8_t *p = data;

    while (bytes > 0) {
        ssize_t n = send(fd, p, bytes, MSG_NOSIGNAL);

        phase_assert(n > 0);
        p += n;
        bytes -= (size_t)n;
    }
}

static void recv_exactly(int fd, void *data, size_t bytes)
{
    phase_assert(recv(fd, data, bytes, MSG_WAITALL) == (ssize_t)bytes);
}

/* What is there now, up to max frames, the last one completed. */
static unsigned recv_frames(int fd, struct frame *frames, unsigned max)
{
    ssize_t n = recv(fd, frames, max * sizeof *frames, MSG_DONTWAIT);
    size_t part;

    if (n < 0 && errno == EAGAIN)
        return 0;
    if (n == 0)
        _exit(0); /* the other side has ended, so does this */
    phase_assert(n > 0);
    part = (size_t)n % sizeof *frames;
    if (part > 0) {
        recv_exactly(fd, (uint8_t *)frames + n, sizeof *frames - part);
        n += (ssize_t)(sizeof *frames - part);
    }
    for (size_t i = 0; i < (size_t)n / sizeof *frames; i++)
        phase_assert(frames[i].flags == 0 && frames[i].bytes == BODY_BYTES);
    return (unsigned)((size_t)n / sizeof *frames);
}

static unsigned wait_frames(int fd, struct frame *frames, unsigned max)
{
    unsigned n = 0;

    while (n == 0) {
        poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, -1);
        n = recv_frames(fd, frames, max);
    }
    return n;
}

static void send_frames(int fd, const struct frame *frames, unsigned n)
{
    send_all(fd, frames, n * sizeof *frames);
}

static size_t put_property(uint8_t *at, const char *name, const char *value)
{
    size_t name_bytes = strlen(name), value_bytes = strlen(value);

    *at++ = (uint8_t)name_bytes;
    memcpy(at, name, name_bytes);
    at += name_bytes;
    memcpy(at, (uint8_t[4]){ 0, 0, 0, (uint8_t)value_bytes }, 4);
    memcpy(at + 4, value, value_bytes);
    return 1 + name_bytes + 4 + value_bytes;
}

/* Greeting and READY, both ways. */
static void handshake(int fd, const char *socket_type)
{
    uint8_t mine[GREETING_BYTES] = { [0] = 0xff, [8] = 1, [9] = 0x7f, [10] = 3, [12] = 'N', 'U', 'L', 'L' };
    uint8_t ready[GREETING_BYTES] = { 4, 0, 5, 'R', 'E', 'A', 'D', 'Y' };
    uint8_t theirs[COMMAND_MAX];
    size_t bytes = 8;

    send_all(fd, mine, sizeof mine);
    recv_exactly(fd, theirs, GREETING_BYTES);
    ck_assert(theirs[0] == 0xff && theirs[9] == 0x7f && theirs[10] == 3);
    bytes += put_property(ready + bytes, "Socket-Type", socket_type);
    bytes += put_property(ready + bytes, "Identity", "");
    ready[1] = (uint8_t)(bytes - 2);
    send_all(fd, ready, bytes);
    recv_exactly(fd, theirs, 2);
    ck_assert_uint_eq(theirs[0], 4);
    recv_exactly(fd, theirs + 2, theirs[1]);
}

/* -- client ------------------------------------------------------------------------------------------------ */

struct caller {
    int fd;    /* own client */
    void *zmq; /* or libzmq's socket, not NULL */
};

static void caller_open(struct caller *c, const struct floor *floor)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    char endpoint[96];

    memset(c, 0, sizeof *c);
    if (floor->client == FLOOR_ZMQ_CLIENT) {
        snprintf(endpoint, sizeof endpoint, "ipc://%s", floor->path);
        c->zmq = zmq_socket(zmq_ctx_new(), ZMQ_DEALER);
        ck_assert(c->zmq && zmq_connect(c->zmq, endpoint) == 0);
        return;
    }
    memcpy(address.sun_path, floor->path, sizeof floor->path);
    c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_msg(connect(c->fd, (struct sockaddr *)&address, sizeof address) == 0, "connect: %s", strerror(errno));
    handshake(c->fd, "DEALER");
}

static void caller_send(struct caller *c, const struct frame *frames, unsigned n)
{
    if (!c->zmq) {
        send_frames(c->fd, frames, n);
        return;
    }
    for (unsigned i = 0; i < n; i++)
        phase_assert(zmq_send(c->zmq, frames[i].body, BODY_BYTES, 0) == BODY_BYTES);
}

/* At least one. */
static unsigned caller_recv(struct caller *c, struct frame *frames, unsigned max)
{
    unsigned n = 1;

    if (!c->zmq)
        return wait_frames(c->fd, frames, max);
    phase_assert(zmq_recv(c->zmq, frames[0].body, BODY_BYTES, 0) == BODY_BYTES);
    while (n < max && zmq_recv(c->zmq, frames[n].body, BODY_BYTES, ZMQ_DONTWAIT) == BODY_BYTES)
        n++;
    return n;
}

static void client(struct meter *m, void *arg)
{
    static struct frame frames[OUTSTANDING_MAX];
    unsigned n = m->load.outstanding;
    uint64_t sent = 0, answered = 0, ids_sent = 0, ids_answered = 0;
    struct caller caller;
    bool on = true;

    caller_open(&caller, arg);
    for (;;) {
        for (unsigned i = 0; on && i < n; i++) {
            set_words(&frames[i], (struct words){ .id = ++sent });
            ids_sent += sent;
        }
        if (on)
            caller_send(&caller, frames, n);
        else if (answered == sent)
            break;
        n = caller_recv(&caller, frames, m->load.outstanding);
        for (unsigned i = 0; i < n; i++) {
            struct words w = words_of(&frames[i]);

            phase_assert(w.answer == ~w.id);
            ids_answered += w.id;
        }
        answered += n;
        on = on && meter_tick(m, n);
    }
    ck_assert(ids_sent == ids_answered);
}

/* -- worker and broker ------------------------------------------------------------------------------------ */

static void worker(int fd)
{
    static struct frame frames[OUTSTANDING_MAX];

    for (;;) {
        unsigned n = wait_frames(fd, frames, OUTSTANDING_MAX);

        for (unsigned i = 0; i < n; i++) {
            struct words w = words_of(&frames[i]);

            set_words(&frames[i], (struct words){ .id = w.id, .answer = ~w.id });
        }
        send_frames(fd, frames, n);
    }
}

struct broker {
    const struct floor *floor;
    int epoll, client;
    struct frame waiting[OUTSTANDING_MAX]; /* ring: from first, n of them */
    unsigned first, n;
    unsigned credit[WORKERS_MAX], next; /* calls that each may still be given; whose turn it is */
};

static void broker_init(struct broker *b, const struct floor *floor)
{
    memset(b, 0, sizeof *b);
    b->floor = floor;
    b->client = accept(floor->listener, NULL, NULL);
    ck_assert_int_ge(b->client, 0);
    handshake(b->client, "ROUTER");
    b->epoll = epoll_create1(EPOLL_CLOEXEC);
    for (unsigned i = 0; i <= floor->load->workers; i++) {
        struct epoll_event ev = { .events = EPOLLIN, .data.u32 = i }; /* the client is the last */
        int fd = i < floor->load->workers ? floor->links[i][0] : b->client;

        ck_assert_int_eq(epoll_ctl(b->epoll, EPOLL_CTL_ADD, fd, &ev), 0);
    }
    for (unsigned i = 0; i < WORKERS_MAX; i++)
        b->credit[i] = floor->prefetch;
}

/* Gives what waits to workers in turn, as far as they have credit; a write for each. */
static void broker_deal(struct broker *b)
{
    static struct frame out[WORKERS_MAX][OUTSTANDING_MAX];
    unsigned n_out[WORKERS_MAX] = { 0 }, workers = b->floor->load->workers, refused = 0;

    while (b->n > 0 && refused < workers) {
        unsigned w = b->next++ % workers;

        if (b->credit[w] == 0) {
            refused++;
            continue;
        }
        refused = 0;
        b->credit[w]--;
        out[w][n_out[w]++] = b->waiting[b->first++ % OUTSTANDING_MAX];
        b->n--;
    }
    for (unsigned w = 0; w < workers; w++)
        if (n_out[w] > 0)
            send_frames(b->floor->links[w][0], out[w], n_out[w]);
}

static void broker(const struct floor *floor)
{
    static struct frame in[OUTSTANDING_MAX];
    static struct broker b;

    broker_init(&b, floor);
    for (;;) {
        struct epoll_event ready[WORKERS_MAX + 1];
        int n_ready = epoll_wait(b.epoll, ready, WORKERS_MAX + 1, -1);

        for (int e = 0; e < n_ready; e++) {
            unsigned who = ready[e].data.u32, n;

            if (who == floor->load->workers) {
                n = recv_frames(b.client, in, OUTSTANDING_MAX);
                for (unsigned i = 0; i < n; i++)
                    b.waiting[(b.first + b.n++) % OUTSTANDING_MAX] = in[i];
            } else {
                n = recv_frames(floor->links[who][0], in, OUTSTANDING_MAX);
                b.credit[who] += n;
                if (n > 0)
                    send_frames(b.client, in, n);
            }
        }
        broker_deal(&b);
    }
}

/* -- all together ------------------------------------------------------------------------------------------ */

static void floor_open(struct floor *f)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };

    temp_dir(f->dir, sizeof f->dir);
    snprintf(f->path, sizeof f->path, "%s/floor.sock", f->dir);
    memcpy(address.sun_path, f->path, sizeof f->path);
    f->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(f->listener, (struct sockaddr *)&address, sizeof address), 0);
    ck_assert_int_eq(listen(f->listener, 1), 0);
    for (unsigned i = 0; i < f->load->workers; i++)
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, f->links[i]), 0);
}

static void floor_close(struct floor *f)
{
    for (unsigned i = 0; i < f->load->workers; i++) {
        close(f->links[i][0]);
        close(f->links[i][1]);
    }
    close(f->listener);
    temp_remove(f->dir);
}

void floor_run(enum floor_client kind, const struct load *load, struct figures *ret)
{
    struct floor f = { .client = kind, .load = load, .prefetch = load->workers == 1 ? OUTSTANDING_MAX : 4 };
    pid_t pids[1 + WORKERS_MAX];
    size_t n = 0;

    ck_assert(load->outstanding <= OUTSTANDING_MAX && load->workers <= WORKERS_MAX);
    floor_open(&f);
    pids[n] = phase_fork();
    if (pids[n++] == 0)
        broker(&f);
    for (unsigned i = 0; i < load->workers; i++) {
        pids[n] = phase_fork();
        if (pids[n++] == 0)
            worker(f.links[i][1]);
    }
    phase_run(load, pids, n, client, &f, ret);
    while (n > 0)
        phase_kill(pids[--n]);
    floor_close(&f);
}
