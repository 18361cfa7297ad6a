/* SPDX-License-Identifier: MIT */
/*
 * test_transport -- client/lib/transport.h, the promises that both kinds make: transport_unix.c and
 * transport_zmq.c run the same tests. (What one alone refuses is in test_open.c.)
 */
#include "client/lib/transport.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "client/lib/clock.h"
#include "tests/support/suite.h"
#include "tests/unit/lib/fake.h"

static struct fake f;
static struct transport *t;
static struct problem problem;

static void make(int via)
{
    char path[128];
    ptools_err err;

    snprintf(path, sizeof path, "%s/%s", f.dir, SOCKET_NAME);
    err = via == VIA_UNIX ? transport_unix_new(path, clock_until_us(5000), &t, &problem)
                          : transport_zmq_new(f.endpoint, &t, &problem);
    ck_assert_msg(err == PTOOLS_OK, "%s", problem.text);
}

/* Waits for the next message or the end; 1: a message. */
static int next(struct zmtp_message *m)
{
    int r = 0;

    while (r == 0 && t->end.code == PTOOLS_OK) {
        ck_assert(t->ops->wait(t, clock_until_us(5000)));
        r = t->ops->receive(t, m);
    }
    return r;
}

static void begin(int via, fake_script *script)
{
    struct zmtp_message m;

    fake_begin(&f);
    fake_run(&f, script);
    make(via);
    while (!t->open && t->end.code == PTOOLS_OK) {
        ck_assert(t->ops->wait(t, clock_until_us(5000)));
        ck_assert_int_eq(t->ops->receive(t, &m), 0);
    }
    ck_assert_msg(t->open, "%s", t->end.text);
}

static void end(void)
{
    transport_free(t, false);
    fake_end(&f);
}

static bool polls_readable(int timeout_ms)
{
    struct pollfd p = { .fd = t->ops->fd(t), .events = t->ops->events(t, false) };

    return poll(&p, 1, timeout_ms) == 1;
}

/* -- both ------------------------------------------------------------------------------------------------------- */

static void mirrors(struct fake *s)
{
    FAKE_CHECK(fake_accept(s));
    for (;;) {
        enum zmtp_event event;
        struct zmtp_message m;
        size_t room;
        void *space;
        ssize_t n;

        while ((event = zmtp_next(&s->zmtp, &s->in, &s->out, &m)) == ZMTP_MESSAGE) {
            FAKE_CHECK(zmtp_send(&s->zmtp, &s->out, m.frame, m.n) == 0);
            while (s->out.n > 0) {
                struct iovec iov;

                chain_peek(&s->out, &iov, 1);
                fake_write(s, iov.iov_base, iov.iov_len);
                chain_consume(&s->out, iov.iov_len);
            }
            zmtp_message_deinit(&m);
        }
        FAKE_CHECK(event == ZMTP_NEED_MORE);
        space = intake_space(&s->in, &room);
        n = recv(s->fd, space, room, 0);
        if (n <= 0)
            return;
        intake_commit(&s->in, (size_t)n);
    }
}

START_TEST(messages_come_back_as_they_went)
{
    static const size_t sizes[] = { 0, 1, 255, 256, 40000, 3000000 };
    uint8_t *body;

    begin(_i, mirrors);
    body = malloc(3000000);
    memset(body, 'b', 3000000);
    ck_assert(!polls_readable(0));
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct span frames[2] = { { (const uint8_t *)"head", 4, NULL }, { body, sizes[i], NULL } };
        struct zmtp_message m = { .n = 0 };

        ck_assert_int_eq(t->ops->send(t, frames, 2), 0);
        ck_assert_int_eq(next(&m), 1);
        ck_assert_uint_eq(m.n, 2);
        ck_assert(m.frame[0].n == 4 && memcmp(m.frame[0].data, "head", 4) == 0);
        ck_assert(m.frame[1].n == sizes[i] && memcmp(m.frame[1].data, body, sizes[i]) == 0);
        zmtp_message_deinit(&m);
        ck_assert_uint_eq(t->sent, t->queued);
        ck_assert_int_eq(t->ops->receive(t, &m), 0);
    }
    ck_assert(!polls_readable(0));
    free(body);
    end();
}
END_TEST

START_TEST(a_wait_ends_in_time)
{
    uint64_t before;

    begin(_i, mirrors);
    before = clock_now_us();
    ck_assert(!t->ops->wait(t, before + 30000));
    ck_assert_uint_ge(clock_now_us() - before, 30000);
    end();
}
END_TEST

START_TEST(poll_says_when_to_receive)
{
    struct span frame = { (const uint8_t *)"x", 1, NULL };
    struct zmtp_message m;
    struct pollfd p;

    begin(_i, mirrors);
    for (int i = 0; i < 100; i++) {
        ck_assert_int_eq(t->ops->send(t, &frame, 1), 0);
        t->ops->flush(t);
        ck_assert(polls_readable(5000));
        while (t->ops->wait(t, 0) && t->ops->receive(t, &m) == 0)
            ck_assert(polls_readable(5000));
        ck_assert_uint_eq(m.n, 1);
        zmtp_message_deinit(&m);
        ck_assert_int_eq(t->ops->receive(t, &m), 0);
    }
    ck_assert(!polls_readable(0));
    p = (struct pollfd){ .fd = t->ops->fd(t), .events = t->ops->events(t, true) };
    ck_assert_int_eq(poll(&p, 1, 5000), 1); /* asked to wake */
    ck_assert(!polls_readable(0));          /* and not any more */
    end();
}
END_TEST

static void sends_two_and_closes(struct fake *s)
{
    struct span frame = { (const uint8_t *)"last words", 10, NULL };

    FAKE_CHECK(fake_accept(s));
    FAKE_CHECK(zmtp_send(&s->zmtp, &s->out, &frame, 1) == 0);
    fake_reply(s, &(struct msg_answer){ .id = 1 }, NULL);
}

START_TEST(what_came_before_the_end_is_handed_out)
{
    struct span frame = { (const uint8_t *)"x", 1, NULL };
    struct zmtp_message m;

    fake_begin(&f);
    fake_run(&f, sends_two_and_closes);
    make(_i);
    ck_assert_int_eq(next(&m), 1);
    ck_assert(m.frame[0].n == 10 && memcmp(m.frame[0].data, "last words", 10) == 0);
    zmtp_message_deinit(&m);
    fake_join(&f); /* the other end has closed before we look again */
    ck_assert_int_eq(next(&m), 1);
    zmtp_message_deinit(&m);
    ck_assert_int_eq(next(&m), 0);
    ck_assert_int_eq(t->end.code, PTOOLS_ERR_LOST);
    ck_assert(polls_readable(0));
    ck_assert_int_eq(t->ops->send(t, &frame, 1), -EPIPE);
    ck_assert(t->ops->wait(t, CLOCK_FOREVER)); /* never sleeps again */
    ck_assert_int_eq(t->ops->receive(t, &m), 0);
    end();
}
END_TEST

/* Answers that nobody asked for, without end. */
static void floods(struct fake *s)
{
    struct bytes envelope, block;
    struct span frame;
    struct iovec iov;

    FAKE_CHECK(fake_accept_hello(s));
    bytes_init(&envelope, 1000);
    bytes_init(&block, 1 << 20);
    msg_answer_encode(&(struct msg_answer){ .id = 1 << 30 }, &envelope);
    frame = (struct span){ envelope.data, envelope.n, NULL };
    for (int i = 0; i < 1000; i++)
        FAKE_CHECK(zmtp_send(&s->zmtp, &s->out, &frame, 1) == 0);
    while (chain_peek(&s->out, &iov, 1) == 1) {
        FAKE_CHECK(bytes_append(&block, iov.iov_base, iov.iov_len) == 0);
        chain_consume(&s->out, iov.iov_len);
    }
    for (size_t at = 0;;) {
        ssize_t n = send(s->fd, block.data + at, block.n - at, MSG_NOSIGNAL);

        if (n < 0)
            break;
        at = (at + (size_t)n) % block.n;
    }
    bytes_deinit(&envelope);
    bytes_deinit(&block);
}

START_TEST(a_flood_does_not_hold_a_wait)
{
    ptools_future *future;
    uint64_t before;
    ptools *pt;

    fake_begin(&f);
    fake_run(&f, floods);
    pt = fake_open(&f, _i);
    ck_assert_int_eq(ptools_remotecall(pt, NULL, "t.never", NULL, NULL, &future), PTOOLS_OK);
    before = clock_now_us();
    ck_assert_int_eq(ptools_future_wait(future, 50), PTOOLS_ERR_TIMEOUT); /* or never */
    ck_assert_uint_ge(clock_now_us() - before, 50000);
    ck_assert_int_eq(ptools_wait_any(pt, &future, 1, 50, NULL), PTOOLS_ERR_TIMEOUT);
    ck_assert_int_eq(ptools_wait_all(pt, &future, 1, 0), PTOOLS_ERR_TIMEOUT);
    ck_assert_int_eq(ptools_dispatch(pt, 20000), PTOOLS_OK);
    ptools_future_free(future);
    ptools_close(pt);
    fake_end(&f);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("lib/transport");
    TCase *tc = suite_case(suite, "both");

    tcase_add_loop_test(tc, messages_come_back_as_they_went, 0, VIAS);
    tcase_add_loop_test(tc, a_wait_ends_in_time, 0, VIAS);
    tcase_add_loop_test(tc, poll_says_when_to_receive, 0, VIAS);
    tcase_add_loop_test(tc, what_came_before_the_end_is_handed_out, 0, VIAS);
    tcase_add_loop_test(tc, a_flood_does_not_hold_a_wait, 0, VIAS);
    return suite_run(suite);
}
