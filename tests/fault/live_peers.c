/* SPDX-License-Identifier: MIT */
/*
 * live_peers -- see live_peers.h.
 *
 * A round: each peer, a DEALER or a REQ, sends some messages, in one piece or in many, here and there with a descriptor
 * that nobody asked for; behind them a `hello`. It has come through the round when that is answered, or the daemon has
 * closed the connection, as it does with who is wrong three times. One of whose messages the framing is broken ends its
 * half of the connection, and waits for the other to end. A few never read at all, and go.
 *
 * What comes back must be answers and events that a client understands, and a request that waits for nothing is
 * answered before that hello. Between rounds the door of descriptors is asked in the same spirit, mostly for what an
 * honest peer keeps; what comes through it is closed, after some nonsense if it is a lane.
 */
#include "tests/fault/live_peers.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "proto/fds.h"
#include "tests/fault/mutate.h"
#include "tests/integration/server.h"
#include "tests/support/send_fds.h"

enum { PEERS = 6, BATCH_MAX = 16, WAIT_MS = 60000, GREETING = 64 };
#define PROBES (UINT64_C(1) << 62) /* ids of hellos that ask whether all before them was taken */

struct peer {
    int fd;
    bool req, deaf;
    bool broken;  /* its framing is: it ends its half when all is sent */
    bool settled; /* it has come through this round */
    struct bytes out, in;
    size_t sent, piece;
    size_t skip; /* bytes of the greeting that have not come yet */
    uint64_t probe;
    unsigned messages, answers; /* in this round */
    uint64_t owed[BATCH_MAX];   /* by message: the request that must be answered before the hello; 0 */
};

struct band {
    struct live_peers *shared;
    const char *dir;
    uint64_t probes;
    struct mutate m;
    struct peer peers[PEERS];
    struct peer keeper;     /* an honest one, whose array and server task stay, for the door of descriptors */
    uint64_t array, stasks; /* the keeper's */
    struct msg_decoder *decoder;
    uint8_t kept_token[FDS_TOKEN_BYTES]; /* the keeper's */
    uint8_t token[FDS_TOKEN_BYTES];      /* of the last of the others that said hello: it may be gone */
    int null, file;
};

__attribute__((__format__(__printf__, 3, 4))) static void expect(const struct band *b, bool is_so, const char *format,
                                                                 ...)
{
    va_list ap;

    if (is_so)
        return;
    va_start(ap, format);
    vsnprintf(b->shared->problem.text, sizeof b->shared->problem.text, format, ap);
    va_end(ap);
    _exit(1);
}

/* -- a connection ------------------------------------------------------------------------------------------------ */

static int dial(const struct band *b, const char *name, int type)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    snprintf(address.sun_path, sizeof address.sun_path, "%s/%s", b->dir, name);
    expect(b, fd >= 0, "socket: %s", strerror(errno));
    while (connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
        expect(b, errno == EAGAIN, "connect: %s", strerror(errno));
        poll(NULL, 0, 1); /* its queue of connections is full: nothing tells when it is not */
    }
    return fd;
}

static void peer_open(struct band *b, struct peer *p, bool honest)
{
    static const char dealer[] = "\x04\x1c\x05READY\x0bSocket-Type\0\0\0\x06"
                                 "DEALER";
    static const char req[] = "\x04\x19\x05READY\x0bSocket-Type\0\0\0\x03"
                              "REQ";
    static const uint8_t greeting[GREETING] = { 0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 0, 'N', 'U', 'L', 'L' };

    p->fd = dial(b, SOCKET_NAME, SOCK_STREAM);
    p->req = !honest && mutate_chance(&b->m, 20);
    p->deaf = !honest && mutate_chance(&b->m, 2);
    p->skip = GREETING;
    bytes_reset(&p->in);
    bytes_reset(&p->out);
    p->sent = 0;
    bytes_append(&p->out, greeting, sizeof greeting);
    bytes_append(&p->out, p->req ? req : dealer, p->req ? sizeof req - 1 : sizeof dealer - 1);
    atomic_fetch_add(&b->shared->connections, 1);
}

static void peer_close(struct peer *p)
{
    close(p->fd);
    p->fd = -1;
    p->settled = true;
}

static void put_probe(struct band *b, struct peer *p)
{
    const struct msg_request hello = { .kind = MSG_HELLO,
                                       .id = PROBES + ++b->probes,
                                       .hello = { .version_min = 1, .version_max = 1 } };

    bytes_reset(&b->m.envelope);
    msg_request_encode(&hello, &b->m.envelope);
    if (p->req)
        mutate_frame(&p->out, "", 0, true, false);
    mutate_frame(&p->out, b->m.envelope.data, b->m.envelope.n, false, false);
    p->probe = hello.id;
}

static void peer_begin(struct band *b, struct peer *p)
{
    if (p->fd < 0) {
        peer_open(b, p, false);
    } else {
        bytes_reset(&p->out);
        p->sent = 0;
    }
    p->settled = p->broken = false;
    p->messages = p->answers = 0;
    p->piece = mutate_chance(&b->m, 10) ? 1 + mutate_pick(&b->m, 200) : SIZE_MAX;
    for (uint64_t n = 1 + mutate_pick(&b->m, BATCH_MAX); n > 0 && !p->broken; n--) {
        p->broken = !mutate_message(&b->m, p->req, &p->out, &p->owed[p->messages]);
        p->messages++;
    }
    if (!p->broken)
        put_probe(b, p);
    expect(b, p->out.err == 0, "out of memory");
}

/* n descriptors go along. */
static ssize_t send_with(int fd, const void *data, size_t bytes, const int *fds, size_t n)
{
    return send_fds(fd, &(struct iovec){ (void *)(uintptr_t)data, bytes }, 1, fds, n, MSG_DONTWAIT);
}

/* As much as goes. What comes of the daemon's closing is seen when it is read. */
static void peer_send(struct band *b, struct peer *p)
{
    while (p->sent < p->out.n) {
        const size_t n = MIN(p->out.n - p->sent, p->piece);
        const ssize_t sent = send_with(p->fd, p->out.data + p->sent, n, &b->null, mutate_pick(&b->m, 50) == 0);

        if (sent < 0 && errno == EAGAIN)
            break;
        expect(b, sent > 0 || errno == EPIPE || errno == ECONNRESET, "send: %s", strerror(errno));
        p->sent = sent > 0 ? p->sent + (size_t)sent : p->out.n;
    }
    if (p->deaf)
        peer_close(p);
    else if (p->sent == p->out.n && p->broken)
        shutdown(p->fd, SHUT_WR);
}

/* -- answers ------------------------------------------------------------------------------------------------------ */

static void learn(struct band *b, const struct msg_reply *r)
{
    mutate_learn(&b->m, THING_TASK, r->task);
    mutate_learn(&b->m, THING_ARRAY, r->array);
    mutate_learn(&b->m, THING_ARRAY, r->value);
    mutate_learn(&b->m, THING_SET, r->set_id);
    mutate_learn(&b->m, THING_STASKS, r->stasks);
    mutate_learn(&b->m, THING_PROCESS, r->process);
    if (r->token.n == sizeof b->token)
        memcpy(b->token, r->token.data, sizeof b->token);
}

static void learn_kept(struct band *b, const struct msg_reply *r)
{
    b->array = r->array ? r->array : b->array;
    b->stasks = r->stasks ? r->stasks : b->stasks;
    if (r->token.n == sizeof b->kept_token)
        memcpy(b->kept_token, r->token.data, sizeof b->kept_token);
}

static void peer_take(struct band *b, struct peer *p, const uint8_t *envelope, size_t n)
{
    struct msg_problem problem;
    struct msg_answer a;

    expect(b, msg_answer_decode(b->decoder, envelope, n, &a, &problem) == 0, "an answer that is none: %s",
           problem.text);
    atomic_fetch_add(a.is_event ? &b->shared->events : a.failed ? &b->shared->errors : &b->shared->replies, 1);
    if (!a.is_event && !a.failed)
        p == &b->keeper ? learn_kept(b, &a.reply) : learn(b, &a.reply);
    p->answers += !a.is_event;
    for (unsigned i = 0; i < p->messages && !a.is_event; i++)
        if (p->owed[i] == a.id)
            p->owed[i] = 0;
    if (p->settled || p->broken || a.id != p->probe)
        return;
    for (unsigned i = 0; i < p->messages; i++)
        expect(b, p->owed[i] == 0, "request %llu was not answered", (unsigned long long)p->owed[i]);
    p->settled = true;
    atomic_fetch_add(&b->shared->messages, p->messages);
}

/* The length of the frame at data; 0: it is not all there. */
static size_t frame_at(const uint8_t *data, size_t n, size_t *ret_head)
{
    uint64_t body = 0;

    *ret_head = n > 0 && data[0] & 2 ? 9 : 2;
    if (n < *ret_head)
        return 0;
    for (size_t i = 1; i < *ret_head; i++)
        body = body << 8 | data[i];
    return n - *ret_head < body ? 0 : *ret_head + (size_t)body;
}

/* All messages that are whole: the envelope is the first frame that is not empty. */
static void peer_take_all(struct band *b, struct peer *p)
{
    size_t at = 0, from = 0, head, n;
    const uint8_t *envelope = NULL;
    size_t envelope_n = 0;

    while ((n = frame_at(p->in.data + at, p->in.n - at, &head)) > 0) {
        const uint8_t flags = p->in.data[at];

        if (!(flags & 4) && !envelope && n > head) {
            envelope = p->in.data + at + head;
            envelope_n = n - head;
        }
        at += n;
        if (flags & 1)
            continue;
        if (envelope)
            peer_take(b, p, envelope, envelope_n);
        envelope = NULL;
        from = at;
    }
    memmove(p->in.data, p->in.data + from, p->in.n - from);
    p->in.n -= from;
}

static void peer_read(struct band *b, struct peer *p)
{
    static uint8_t buffer[65536];
    size_t skipped;
    ssize_t n;

    while ((n = recv(p->fd, buffer, sizeof buffer, 0)) > 0) {
        skipped = MIN(p->skip, (size_t)n);
        p->skip -= skipped;
        bytes_append(&p->in, buffer + skipped, (size_t)n - skipped);
        expect(b, p->in.err == 0, "out of memory");
    }
    if (p->in.n > 0)
        peer_take_all(b, p);
    if (n < 0 && errno == EAGAIN)
        return;
    expect(b, n == 0 || errno == ECONNRESET, "recv: %s", strerror(errno));
    atomic_fetch_add(&b->shared->closed, !p->broken);
    if (!p->settled) /* of those behind the last that was wrong nobody knows */
        atomic_fetch_add(&b->shared->messages, p->answers);
    peer_close(p);
}

static void round_of_messages(struct band *b)
{
    const uint64_t until = now_ms() + WAIT_MS;
    unsigned waiting = PEERS;

    for (unsigned i = 0; i < PEERS; i++)
        peer_begin(b, &b->peers[i]);
    while (waiting > 0) {
        struct pollfd ends[PEERS];

        for (unsigned i = 0; i < PEERS; i++) {
            struct peer *p = &b->peers[i];

            ends[i] = (struct pollfd){ .fd = p->settled ? -1 : p->fd,
                                       .events = (short)(POLLIN | (p->sent < p->out.n ? POLLOUT : 0)) };
        }
        expect(b, now_ms() < until && poll(ends, PEERS, WAIT_MS) > 0,
               "a request was not answered, and its connection not closed");
        waiting = 0;
        for (unsigned i = 0; i < PEERS; i++) {
            struct peer *p = &b->peers[i];

            if (ends[i].revents & POLLOUT)
                peer_send(b, p);
            if (p->fd >= 0 && ends[i].revents & ~POLLOUT)
                peer_read(b, p);
            waiting += !p->settled;
        }
    }
    for (unsigned i = 0; i < PEERS; i++) /* what it has in flight goes with it, here and there */
        if (b->peers[i].fd >= 0 && mutate_chance(&b->m, 10))
            peer_close(&b->peers[i]);
}

/* -- the door of descriptors -------------------------------------------------------------------------------------- */

/* Frames as of section 14 of PROTOCOL.md, with headers that are nearly right. */
static void scribble(struct band *b, int lane)
{
    for (uint64_t n = mutate_pick(&b->m, 4); n > 0; n--) {
        uint8_t frame[64] = { 0 };
        const uint32_t body = 5 + (uint32_t)mutate_pick(&b->m, 10);
        struct bytes lent;

        memcpy(frame, &body, sizeof body);
        frame[4] = 2;
        frame[5] = 5;
        frame[8] = (uint8_t)n;
        memcpy(frame + 40, "a.nop\x90", 6);
        bytes_init_lent(&lent, sizeof frame, frame, 40 + body);
        lent.n = 40; /* what it calls is left alone */
        if (mutate_chance(&b->m, 60))
            mutate_bytes(&b->m, &lent);
        send_with(lane, frame, 40 + mutate_pick(&b->m, body + 1), &b->null, mutate_chance(&b->m, 5));
        atomic_fetch_add(&b->shared->packets, 1);
        bytes_deinit(&lent);
    }
}

static void packet(struct band *b, int fd)
{
    static const enum mutate_thing things[] = { THING_ARRAY, THING_ARRAY, THING_STASKS, THING_STASKS, THING_TASK };
    struct fds_request r = { .magic = FDS_MAGIC,
                             .kind = (uint32_t)mutate_pick(&b->m, mutate_chance(&b->m, 90) ? FDS_MAKE : 9),
                             .index = (uint32_t)mutate_pick(&b->m, mutate_chance(&b->m, 80) ? 1 : 3),
                             .flags = (uint32_t)mutate_pick(&b->m, 2),
                             .owner = FDS_OWN };
    struct bytes lent;
    int fds[SEND_FDS_MAX];
    size_t n = mutate_chance(&b->m, 10) ? 1 + mutate_pick(&b->m, mutate_chance(&b->m, 5) ? SEND_FDS_MAX : 3) : 0;

    for (size_t i = 0; i < n; i++)
        fds[i] = mutate_chance(&b->m, 70) ? b->file : b->null;
    memcpy(r.token, mutate_chance(&b->m, 90) ? b->kept_token : b->token, sizeof r.token);
    if (mutate_chance(&b->m, 60))
        r.id = r.kind == FDS_ARRAY ? b->array : b->stasks;
    else
        r.id = mutate_known(&b->m, things[r.kind % ELEMENTS(things)]);
    if (mutate_chance(&b->m, 20)) {
        r.id = 0;
        snprintf(r.name, sizeof r.name, "n%d", (int)mutate_pick(&b->m, 8));
    }
    if (r.kind == FDS_GIVE && mutate_chance(&b->m, 80)) {
        n = 1;
        fds[0] = b->file;
    }
    bytes_init_lent(&lent, sizeof r, &r, sizeof r);
    lent.n = sizeof r;
    if (mutate_chance(&b->m, 20))
        mutate_bytes(&b->m, &lent);
    send_with(fd, lent.data, lent.n, fds, n);
    atomic_fetch_add(&b->shared->packets, 1);
    bytes_deinit(&lent);
}

/* Answers until it is closed; what comes along is used, and closed. */
static void until_closed(struct band *b, int fd)
{
    const uint64_t until = now_ms() + WAIT_MS;

    for (;;) {
        struct fds_answer answer;
        struct iovec iov = { &answer, sizeof answer };
        union {
            struct cmsghdr header;
            char room[CMSG_SPACE(sizeof(int))];
        } control;
        struct msghdr msg = {
            .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.room, .msg_controllen = sizeof control.room
        };
        struct cmsghdr *header;
        ssize_t n;
        int got;

        expect(b, now_ms() < until && poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, WAIT_MS) == 1,
               "the door of descriptors does not close");
        n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC);
        if (n <= 0)
            return;
        expect(b, n == sizeof answer && answer.magic == FDS_MAGIC, "the door of descriptors answers with %zd bytes", n);
        header = CMSG_FIRSTHDR(&msg);
        if (!header)
            continue;
        atomic_fetch_add(&b->shared->descriptors, 1);
        memcpy(&got, CMSG_DATA(header), sizeof got);
        if (answer.process)
            scribble(b, got);
        close(got);
    }
}

static void round_at_the_door(struct band *b)
{
    int fd = dial(b, FDS_SOCKET_NAME, SOCK_SEQPACKET);

    for (uint64_t n = 1 + mutate_pick(&b->m, 6); n > 0; n--)
        packet(b, fd);
    shutdown(fd, SHUT_WR);
    until_closed(b, fd);
    close(fd);
}

static void keep(struct band *b)
{
    static const struct msg_request requests[] = {
        { .kind = MSG_HELLO, .id = 1, .hello = { .version_min = 1, .version_max = 1 } },
        { .kind = MSG_ARRAY_CREATE, .id = 2, .array = { .type = PTOOLS_FLOAT64, .ndims = 1, .dims = { 512 } } },
        { .kind = MSG_STASKS_START, .id = 3, .stasks = { .count = 1 } },
    };
    struct peer *p = &b->keeper;

    peer_open(b, p, true);
    p->settled = true;
    p->piece = SIZE_MAX;
    for (size_t i = 0; i < ELEMENTS(requests); i++) {
        bytes_reset(&b->m.envelope);
        msg_request_encode(&requests[i], &b->m.envelope);
        mutate_frame(&p->out, b->m.envelope.data, b->m.envelope.n, false, false);
    }
    peer_send(b, p);
    while (p->answers < ELEMENTS(requests)) {
        expect(b, poll(&(struct pollfd){ .fd = p->fd, .events = POLLIN }, 1, WAIT_MS) == 1,
               "no answer to honest requests");
        peer_read(b, p);
        expect(b, p->fd >= 0, "an honest peer's connection was closed");
    }
    expect(b, b->array && b->stasks, "no array, or no server task, for an honest peer");
}

/* -- the process --------------------------------------------------------------------------------------------------- */

static void run(struct live_peers *shared, const char *dir, uint64_t seed)
{
    struct band b = { .shared = shared, .dir = dir, .decoder = msg_decoder_new() };

    mutate_init(&b.m, seed);
    b.null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    b.file = memfd_create("given", MFD_CLOEXEC);
    expect(&b, b.null >= 0 && b.file >= 0 && ftruncate(b.file, 65536) == 0, "no descriptors: %s", strerror(errno));
    for (unsigned i = 0; i < PEERS; i++) {
        b.peers[i].fd = -1;
        bytes_init(&b.peers[i].in, SIZE_MAX);
        bytes_init(&b.peers[i].out, SIZE_MAX);
    }
    bytes_init(&b.keeper.in, SIZE_MAX);
    bytes_init(&b.keeper.out, SIZE_MAX);
    keep(&b);
    while (!atomic_load(&shared->enough)) {
        round_of_messages(&b);
        if (mutate_chance(&b.m, 50))
            round_at_the_door(&b);
    }
    _exit(0);
}

pid_t live_peers_start(struct live_peers *shared, const char *dir, uint64_t seed)
{
    pid_t pid = fork();

    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        run(shared, dir, seed);
    }
    return pid;
}
