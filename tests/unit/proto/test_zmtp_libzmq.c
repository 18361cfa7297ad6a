/* SPDX-License-Identifier: MIT */
/*
 * test_zmtp_libzmq -- the state machine against the real libzmq, over a unix socket, in both roles.
 *
 * Our end is a blocking socket driven from here; libzmq's end lives in its own thread. Waiting is
 * poll(2) with a deadline that only a broken test reaches.
 */
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <zmq.h>

#include "proto/zmtp.h"
#include "tests/support/suite.h"

enum { PATIENCE_MS = 20000, MESSAGE_MAX = 16 << 20, IOV = 16 };

/* Everything a test needs: a directory, libzmq's socket, and our end. */
struct meeting {
    char dir[32], path[64], endpoint[80];
    void *context, *socket;
    int listen_fd, fd;
    struct zmtp zmtp;
    struct intake in;
    struct chain out;
};

static void meeting_init(struct meeting *m, int zmq_type)
{
    memset(m, 0, sizeof *m);
    strcpy(m->dir, "/tmp/zmtp-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(m->dir));
    snprintf(m->path, sizeof m->path, "%s/door", m->dir);
    snprintf(m->endpoint, sizeof m->endpoint, "ipc://%s", m->path);
    m->listen_fd = m->fd = -1;
    m->context = zmq_ctx_new();
    m->socket = zmq_socket(m->context, zmq_type);
    ck_assert_ptr_nonnull(m->socket);
    zmq_setsockopt(m->socket, ZMQ_LINGER, &(int){ 0 }, sizeof(int));
    zmq_setsockopt(m->socket, ZMQ_RCVTIMEO, &(int){ PATIENCE_MS }, sizeof(int));
    zmq_setsockopt(m->socket, ZMQ_SNDTIMEO, &(int){ PATIENCE_MS }, sizeof(int));
    intake_init(&m->in);
    chain_init(&m->out);
}

static void meeting_deinit(struct meeting *m)
{
    zmq_close(m->socket);
    zmq_ctx_term(m->context);
    if (m->fd >= 0)
        close(m->fd);
    if (m->listen_fd >= 0)
        close(m->listen_fd);
    unlink(m->path);
    rmdir(m->dir);
    zmtp_deinit(&m->zmtp);
    intake_deinit(&m->in);
    chain_deinit(&m->out);
}

static void address_of(const struct meeting *m, struct sockaddr_un *ret)
{
    *ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
    strcpy(ret->sun_path, m->path);
}

/* libzmq binds, we connect. */
static void we_connect(struct meeting *m)
{
    struct sockaddr_un address;

    ck_assert_int_eq(zmq_bind(m->socket, m->endpoint), 0);
    address_of(m, &address);
    m->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(connect(m->fd, (struct sockaddr *)&address, sizeof address), 0);
    ck_assert_int_eq(zmtp_init(&m->zmtp, ZMTP_CLIENT, &(struct zmtp_limits){ MESSAGE_MAX }, &m->out), 0);
}

/* libzmq connects to us. */
static void we_listen(struct meeting *m)
{
    struct sockaddr_un address;

    address_of(m, &address);
    m->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(m->listen_fd, (struct sockaddr *)&address, sizeof address), 0);
    ck_assert_int_eq(listen(m->listen_fd, 4), 0);
    ck_assert_int_eq(zmq_connect(m->socket, m->endpoint), 0);
    m->fd = accept(m->listen_fd, NULL, NULL);
    ck_assert_int_ge(m->fd, 0);
    ck_assert_int_eq(zmtp_init(&m->zmtp, ZMTP_SERVER, &(struct zmtp_limits){ MESSAGE_MAX }, &m->out), 0);
}

static void flush(struct meeting *m)
{
    while (m->out.n > 0) {
        struct iovec iov[IOV];
        struct msghdr msg = { .msg_iov = iov };
        ssize_t sent;

        msg.msg_iovlen = (size_t)chain_peek(&m->out, iov, IOV);
        sent = sendmsg(m->fd, &msg, MSG_NOSIGNAL);
        ck_assert_int_gt(sent, 0);
        chain_consume(&m->out, (size_t)sent);
    }
}

/* One read. 0: the peer closed. */
static size_t receive(struct meeting *m)
{
    struct pollfd p = { .fd = m->fd, .events = POLLIN };
    size_t room;
    void *space = intake_space(&m->in, &room);
    ssize_t got;

    ck_assert_ptr_nonnull(space);
    ck_assert_msg(poll(&p, 1, PATIENCE_MS) == 1, "libzmq says nothing");
    got = read(m->fd, space, room);
    if (got <= 0)
        return 0;
    intake_commit(&m->in, (size_t)got);
    return (size_t)got;
}

/* The next thing that libzmq says; answers are sent. pongs counts them, may be NULL. */
static enum zmtp_event next(struct meeting *m, struct zmtp_message *message, unsigned *pongs)
{
    for (;;) {
        size_t before = m->out.n;
        enum zmtp_event event = zmtp_next(&m->zmtp, &m->in, &m->out, message);

        if (pongs && m->zmtp.state == ZMTP_OPEN && event == ZMTP_NEED_MORE && m->out.n > before)
            ++*pongs;
        if (event != ZMTP_NEED_MORE || (pongs && *pongs >= 5))
            return event;
        flush(m);
        if (receive(m) == 0)
            return ZMTP_NEED_MORE; /* closed */
    }
}

static void assert_opens(struct meeting *m)
{
    struct zmtp_message message;

    ck_assert_int_eq(next(m, &message, NULL), ZMTP_OPENED);
    flush(m);
}

/* libzmq has this frame next, and more or not. */
static void assert_zmq_frame(struct meeting *m, const void *data, size_t n, int more)
{
    zmq_msg_t frame;

    zmq_msg_init(&frame);
    ck_assert_int_eq(zmq_msg_recv(&frame, m->socket, 0), n);
    ck_assert_mem_eq(zmq_msg_data(&frame), data, n);
    ck_assert_int_eq(zmq_msg_more(&frame), more);
    zmq_msg_close(&frame);
}

/* We have this message next. */
static void assert_message(struct meeting *m, const struct span *frames, unsigned n)
{
    struct zmtp_message message;

    ck_assert_int_eq(next(m, &message, NULL), ZMTP_MESSAGE);
    ck_assert_uint_eq(message.n, n);
    for (unsigned i = 0; i < n; i++) {
        ck_assert_uint_eq(message.frame[i].n, frames[i].n);
        ck_assert_mem_eq(message.frame[i].data, frames[i].data, frames[i].n);
    }
    zmtp_message_deinit(&message);
}

static uint8_t megabyte[1 << 20];

/* What goes through in each test: messages of one to three frames, empty to a mebibyte. */
static const struct {
    struct span frames[3];
    unsigned n;
} letters[] = {
    { { { (const uint8_t *)"hello", 5, NULL } }, 1 },
    { { { (const uint8_t *)"", 0, NULL } }, 1 },
    { { { (const uint8_t *)"a", 1, NULL }, { (const uint8_t *)"", 0, NULL }, { (const uint8_t *)"c", 1, NULL } }, 3 },
    { { { megabyte, 255, NULL }, { megabyte, 256, NULL } }, 2 },
    { { { (const uint8_t *)"envelope", 8, NULL }, { megabyte, sizeof megabyte, NULL } }, 2 },
    { { { megabyte, 40000, NULL }, { megabyte, 40000, NULL }, { megabyte, 20000, NULL } }, 3 },
};

static void fill_megabyte(void)
{
    for (size_t i = 0; i < sizeof megabyte; i++)
        megabyte[i] = (uint8_t)(i * 7 + i / 253);
}

static void zmq_letter(struct meeting *m, size_t i)
{
    for (unsigned k = 0; k < letters[i].n; k++)
        ck_assert_int_eq(zmq_send(m->socket, letters[i].frames[k].data, letters[i].frames[k].n,
                                  k + 1 < letters[i].n ? ZMQ_SNDMORE : 0),
                         letters[i].frames[k].n);
}

static void assert_zmq_letter(struct meeting *m, size_t i)
{
    for (unsigned k = 0; k < letters[i].n; k++)
        assert_zmq_frame(m, letters[i].frames[k].data, letters[i].frames[k].n, k + 1 < letters[i].n);
}

START_TEST(our_client_talks_with_a_router)
{
    struct meeting m;
    uint8_t id[255];
    int id_n;

    fill_megabyte();
    meeting_init(&m, ZMQ_ROUTER);
    we_connect(&m);
    assert_opens(&m);
    for (size_t i = 0; i < ELEMENTS(letters); i++) {
        ck_assert_int_eq(zmtp_send(&m.zmtp, &m.out, letters[i].frames, letters[i].n), 0);
        flush(&m);
        id_n = zmq_recv(m.socket, id, sizeof id, 0);
        ck_assert_int_gt(id_n, 0);
        assert_zmq_letter(&m, i);
        ck_assert_int_eq(zmq_send(m.socket, id, (size_t)id_n, ZMQ_SNDMORE), id_n);
        zmq_letter(&m, i);
        assert_message(&m, letters[i].frames, letters[i].n);
    }
    meeting_deinit(&m);
}
END_TEST

START_TEST(dealer_talks_with_our_server)
{
    struct meeting m;

    fill_megabyte();
    meeting_init(&m, ZMQ_DEALER);
    zmq_setsockopt(m.socket, ZMQ_ROUTING_ID, "claimed", 7); /* read and ignored */
    we_listen(&m);
    assert_opens(&m);
    ck_assert(!m.zmtp.peer_is_req);
    for (size_t i = 0; i < ELEMENTS(letters); i++) {
        zmq_letter(&m, i);
        assert_message(&m, letters[i].frames, letters[i].n);
        ck_assert_int_eq(zmtp_send(&m.zmtp, &m.out, letters[i].frames, letters[i].n), 0);
        flush(&m);
        assert_zmq_letter(&m, i);
    }
    meeting_deinit(&m);
}
END_TEST

START_TEST(req_talks_with_our_server)
{
    struct meeting m;

    fill_megabyte();
    meeting_init(&m, ZMQ_REQ);
    we_listen(&m);
    assert_opens(&m);
    ck_assert(m.zmtp.peer_is_req);
    for (size_t i = 0; i < ELEMENTS(letters); i++) {
        zmq_letter(&m, i);
        assert_message(&m, letters[i].frames, letters[i].n);
        ck_assert_int_eq(zmtp_send(&m.zmtp, &m.out, letters[i].frames, letters[i].n), 0);
        flush(&m);
        assert_zmq_letter(&m, i);
    }
    meeting_deinit(&m);
}
END_TEST

START_TEST(many_messages_in_flight)
{
    enum { MESSAGES = 20000 };
    struct meeting m;

    meeting_init(&m, ZMQ_DEALER);
    zmq_setsockopt(m.socket, ZMQ_SNDHWM, &(int){ 0 }, sizeof(int));
    we_listen(&m);
    for (uint32_t i = 0; i < MESSAGES; i++) {
        ck_assert_int_eq(zmq_send(m.socket, &i, sizeof i, ZMQ_SNDMORE), sizeof i);
        ck_assert_int_eq(zmq_send(m.socket, "body of some bytes", i % 18, 0), i % 18);
    }
    assert_opens(&m);
    for (uint32_t i = 0; i < MESSAGES; i++)
        assert_message(&m,
                       (struct span[]){ { (const uint8_t *)&i, sizeof i, NULL },
                                        { (const uint8_t *)"body of some bytes", i % 18, NULL } },
                       2);
    meeting_deinit(&m);
}
END_TEST

START_TEST(heartbeats_are_answered)
{
    struct zmtp_message message;
    struct meeting m;
    unsigned pongs = 0;

    meeting_init(&m, ZMQ_DEALER);
    zmq_setsockopt(m.socket, ZMQ_HEARTBEAT_IVL, &(int){ 10 }, sizeof(int));
    zmq_setsockopt(m.socket, ZMQ_HEARTBEAT_TIMEOUT, &(int){ PATIENCE_MS }, sizeof(int));
    zmq_setsockopt(m.socket, ZMQ_HEARTBEAT_TTL, &(int){ 5000 }, sizeof(int));
    we_listen(&m);
    assert_opens(&m);
    ck_assert_int_eq(next(&m, &message, &pongs), ZMTP_NEED_MORE);
    ck_assert_uint_eq(pongs, 5);
    flush(&m);
    ck_assert_int_eq(zmq_send(m.socket, "still here", 10, 0), 10);
    assert_message(&m, &(struct span){ (const uint8_t *)"still here", 10, NULL }, 1);
    meeting_deinit(&m);
}
END_TEST

START_TEST(heartbeats_would_end_it_without_answer)
{
    struct meeting m;

    /* What the test above holds is our answers: with none, libzmq closes. */
    meeting_init(&m, ZMQ_DEALER);
    zmq_setsockopt(m.socket, ZMQ_HEARTBEAT_IVL, &(int){ 10 }, sizeof(int));
    zmq_setsockopt(m.socket, ZMQ_HEARTBEAT_TIMEOUT, &(int){ 50 }, sizeof(int));
    we_listen(&m);
    assert_opens(&m);
    while (receive(&m) > 0)
        ;
    meeting_deinit(&m);
}
END_TEST

START_TEST(heartbeats_keep_a_short_timeout)
{
    struct zmtp_message message;
    struct meeting m;
    uint8_t id[255];
    unsigned pongs = 0;

    meeting_init(&m, ZMQ_ROUTER);
    zmq_setsockopt(m.socket, ZMQ_HEARTBEAT_IVL, &(int){ 400 }, sizeof(int));
    zmq_setsockopt(m.socket, ZMQ_HEARTBEAT_TIMEOUT, &(int){ 1500 }, sizeof(int));
    we_connect(&m);
    assert_opens(&m);
    ck_assert_int_eq(next(&m, &message, &pongs), ZMTP_NEED_MORE); /* five times 400 ms, beyond the timeout */
    ck_assert_uint_eq(pongs, 5);
    ck_assert_int_eq(zmtp_send(&m.zmtp, &m.out, &(struct span){ (const uint8_t *)"alive", 5, NULL }, 1), 0);
    flush(&m);
    ck_assert_int_gt(zmq_recv(m.socket, id, sizeof id, 0), 0);
    assert_zmq_frame(&m, "alive", 5, 0);
    meeting_deinit(&m);
}
END_TEST

START_TEST(wrong_sockets_are_refused)
{
    static const struct {
        int type;
        const char *problem;
    } wrong[] = {
        { ZMQ_SUB, "the peer's socket is a SUB; a ROUTER takes DEALER and REQ" },
        { ZMQ_PUSH, "the peer's socket is a PUSH; a ROUTER takes DEALER and REQ" },
        { ZMQ_ROUTER, "the peer's socket is a ROUTER; a ROUTER takes DEALER and REQ" },
        { ZMQ_PAIR, "the peer's socket is a PAIR; a ROUTER takes DEALER and REQ" },
    };

    for (size_t i = 0; i < ELEMENTS(wrong); i++) {
        struct zmtp_message message;
        struct meeting m;

        meeting_init(&m, wrong[i].type);
        we_listen(&m);
        ck_assert_int_eq(next(&m, &message, NULL), ZMTP_ERROR);
        ck_assert_str_eq(zmtp_problem(&m.zmtp), wrong[i].problem);
        flush(&m); /* the ERROR command: libzmq takes it and closes */
        while (receive(&m) > 0)
            ;
        meeting_deinit(&m);
    }
}
END_TEST

START_TEST(rep_is_refused_by_our_client)
{
    struct zmtp_message message;
    struct meeting m;

    meeting_init(&m, ZMQ_REP);
    we_connect(&m);
    ck_assert_int_eq(next(&m, &message, NULL), ZMTP_ERROR);
    ck_assert_str_eq(zmtp_problem(&m.zmtp), "the peer's socket is a REP; this DEALER takes ROUTER");
    meeting_deinit(&m);
}
END_TEST

START_TEST(other_mechanisms_never_open)
{
    struct zmtp_message message;
    struct meeting m;
    enum zmtp_event event;

    meeting_init(&m, ZMQ_DEALER);
    zmq_setsockopt(m.socket, ZMQ_PLAIN_USERNAME, "me", 2);
    zmq_setsockopt(m.socket, ZMQ_PLAIN_PASSWORD, "secret", 6);
    we_listen(&m);
    event = next(&m, &message, NULL);
    if (event == ZMTP_ERROR)
        ck_assert_int_eq(m.zmtp.error, ZMTP_BAD_MECHANISM);
    else
        ck_assert_int_eq(event, ZMTP_NEED_MORE); /* libzmq saw our greeting first, and closed */
    ck_assert_int_ne(m.zmtp.state, ZMTP_OPEN);
    meeting_deinit(&m);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("proto/zmtp_libzmq");
    TCase *tc = suite_case(suite, "messages");

    tcase_add_test(tc, our_client_talks_with_a_router);
    tcase_add_test(tc, dealer_talks_with_our_server);
    tcase_add_test(tc, req_talks_with_our_server);
    tcase_add_test(tc, many_messages_in_flight);
    tc = suite_case(suite, "heartbeats");
    tcase_add_test(tc, heartbeats_are_answered);
    tcase_add_test(tc, heartbeats_would_end_it_without_answer);
    tcase_add_test(tc, heartbeats_keep_a_short_timeout);
    tc = suite_case(suite, "refusals");
    tcase_add_test(tc, wrong_sockets_are_refused);
    tcase_add_test(tc, rep_is_refused_by_our_client);
    tcase_add_test(tc, other_mechanisms_never_open);
    return suite_run(suite);
}
