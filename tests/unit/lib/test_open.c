/* SPDX-License-Identifier: MIT */
/*
 * test_open -- client/lib/open.c: options, where the daemon is, greeting and hello, and connecting anew.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/support/suite.h"
#include "tests/unit/lib/fake.h"

static ptools *pt;
static const char *message;

static ptools_err open_at(const char *address, int64_t timeout_ms)
{
    ptools_options options = PTOOLS_OPTIONS_INIT;

    options.address = address;
    options.connect_timeout_ms = timeout_ms;
    pt = NULL;
    message = "";
    return ptools_open(&options, &pt, &message);
}

static void forget_environment(void)
{
    unsetenv("PTOOLS_ADDRESS");
    unsetenv("PTOOLS_DIR");
    unsetenv("PTOOLS_DAEMON");
    unsetenv("XDG_RUNTIME_DIR");
}

/* -- options ----------------------------------------------------------------------------------------------- */

START_TEST(wrong_options_are_refused)
{
    ptools_options options = PTOOLS_OPTIONS_INIT;
    struct {
        ptools_options options;
        uint64_t newer;
    } grown = { PTOOLS_OPTIONS_INIT, 0 };

    options.struct_size = 4;
    ck_assert_int_eq(ptools_open(&options, &pt, &message), PTOOLS_ERR_INVALID);
    ck_assert_ptr_nonnull(strstr(message, "struct_size is 4"));
    options.struct_size = sizeof options;
    options.flags = 6;
    ck_assert_int_eq(ptools_open(&options, &pt, &message), PTOOLS_ERR_INVALID);
    ck_assert_ptr_nonnull(strstr(message, "0x6"));
    options.flags = 0;
    options.connect_timeout_ms = -2;
    ck_assert_int_eq(ptools_open(&options, &pt, &message), PTOOLS_ERR_INVALID);
    ck_assert_ptr_nonnull(strstr(message, "connect_timeout_ms is -2"));
    options.connect_timeout_ms = 0;
    options.private_workers = 1000000;
    ck_assert_int_eq(ptools_open(&options, &pt, &message), PTOOLS_ERR_INVALID);

    grown.options.struct_size = sizeof grown;
    grown.newer = 1;
    ck_assert_int_eq(ptools_open(&grown.options, &pt, &message), PTOOLS_ERR_INVALID);
    ck_assert_ptr_nonnull(strstr(message, "does not know"));
    grown.newer = 0;
    grown.options.address = "/nowhere";
    ck_assert_int_eq(ptools_open(&grown.options, &pt, &message), PTOOLS_ERR_NO_DAEMON);
    grown.options.struct_size = offsetof(ptools_options, large_bytes); /* a program from before that field */
    ck_assert_int_eq(ptools_open(&grown.options, &pt, &message), PTOOLS_ERR_NO_DAEMON);
    grown.options.struct_size--;
    ck_assert_int_eq(ptools_open(&grown.options, &pt, &message), PTOOLS_ERR_INVALID);
    ck_assert_int_eq(ptools_open(&options, NULL, &message), PTOOLS_ERR_INVALID);
    ck_assert_int_eq(ptools_open(&options, NULL, NULL), PTOOLS_ERR_INVALID);
    ck_assert_ptr_null(pt);
}
END_TEST

START_TEST(wrong_addresses_are_refused)
{
    static const char *const wrong[] = { "", "relative/dir", "udp://x:1", "ipc:/x" };
    char longest[300];

    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        ck_assert_int_eq(open_at(wrong[i], 100), PTOOLS_ERR_INVALID);
        ck_assert_ptr_nonnull(strstr(message, "absolute directory"));
    }
    memset(longest, 'x', sizeof longest);
    longest[0] = '/';
    longest[sizeof longest - 1] = '\0';
    ck_assert_int_eq(open_at(longest, 100), PTOOLS_ERR_INVALID);
    ck_assert_ptr_nonnull(strstr(message, "at most 107"));
    ck_assert_int_eq(open_at("ipc://", 100), PTOOLS_ERR_TRANSPORT);
    ck_assert_int_eq(open_at("tcp://nohost", 100), PTOOLS_ERR_TRANSPORT);
    ck_assert_ptr_nonnull(strstr(message, "tcp://nohost"));
}
END_TEST

/* -- where ---------------------------------------------------------------------------------------------------- */

START_TEST(nobody_there)
{
    struct fake f;

    fake_begin(&f);
    ck_assert_int_eq(open_at("/nowhere/at/all", 1000), PTOOLS_ERR_NO_DAEMON);
    ck_assert_ptr_nonnull(strstr(message, "/nowhere/at/all/ptoolsd.sock"));
    ck_assert_int_eq(open_at("ipc:///nowhere/at/all", 5000), PTOOLS_ERR_NO_DAEMON);
    ck_assert_int_eq(open_at("tcp://127.0.0.1:1", 5000), PTOOLS_ERR_NO_DAEMON);
    close(f.listener); /* the file of the socket is there, the daemon is not */
    ck_assert_int_eq(open_at(f.dir, 1000), PTOOLS_ERR_NO_DAEMON);
    ck_assert_int_eq(open_at(f.endpoint, 5000), PTOOLS_ERR_NO_DAEMON);
    f.listener = dup(0);
    fake_end(&f);
}
END_TEST

START_TEST(environment_names_it)
{
    struct fake f;

    fake_begin(&f);
    fake_run(&f, fake_serve_two);
    forget_environment();
    setenv("PTOOLS_DIR", f.dir, 1);
    ck_assert_int_eq(open_at(NULL, 0), PTOOLS_OK);
    ptools_close(pt);
    setenv("PTOOLS_DIR", "/nowhere", 1);
    setenv("PTOOLS_ADDRESS", f.dir, 1);
    ck_assert_int_eq(open_at(NULL, 0), PTOOLS_OK);
    ptools_close(pt);
    setenv("PTOOLS_ADDRESS", "relative", 1);
    ck_assert_int_eq(open_at(NULL, 0), PTOOLS_ERR_INVALID);
    ck_assert_ptr_nonnull(strstr(message, "PTOOLS_ADDRESS is \"relative\""));
    fake_end(&f);
}
END_TEST

START_TEST(the_users_daemon_is_found)
{
    char runtime[] = "/tmp/ptools-fake-runtime-XXXXXX", there[64];
    struct fake f;

    ck_assert_ptr_nonnull(mkdtemp(runtime));
    snprintf(there, sizeof there, "%s/ptools", runtime);
    forget_environment();
    setenv("XDG_RUNTIME_DIR", runtime, 1);
    ck_assert_int_eq(open_at(NULL, 1000), PTOOLS_ERR_NO_DAEMON);
    ck_assert_ptr_nonnull(strstr(message, there));
    ck_assert_ptr_nonnull(strstr(message, "/run/ptools"));
    fake_begin(&f);
    ck_assert_int_eq(symlink(f.dir, there), 0);
    fake_run(&f, fake_serve_one);
    ck_assert_int_eq(open_at(NULL, 5000), PTOOLS_OK);
    ptools_close(pt);
    fake_end(&f);
    unlink(there);
    rmdir(runtime);
}
END_TEST

START_TEST(access_is_denied)
{
    struct fake f;

    if (geteuid() != 0)
        return; /* only root can become somebody else */
    fake_begin(&f);
    ck_assert_int_eq(seteuid(65534), 0);
    ck_assert_int_eq(open_at(f.dir, 1000), PTOOLS_ERR_DENIED);
    ck_assert_ptr_nonnull(strstr(message, "Permission denied"));
    ck_assert_int_eq(seteuid(0), 0);
    fake_end(&f);
}
END_TEST

/* -- greeting and hello ------------------------------------------------------------------------------------------ */

static void answers_version_error(struct fake *f)
{
    struct msg_request request;

    fake_accept(f);
    FAKE_CHECK(fake_next(f, &request) && request.kind == MSG_HELLO);
    FAKE_CHECK(request.hello.client.n > 0);
    fake_error(f, request.id, PTOOLS_ERR_VERSION, "this daemon speaks 7 to 8");
    fake_until_closed(f);
}

static void chooses_unknown_version(struct fake *f)
{
    struct msg_request request;

    fake_accept(f);
    FAKE_CHECK(fake_next(f, &request));
    fake_reply(f, &(struct msg_answer){ .id = request.id, .reply = { .version = 9 } }, NULL);
    fake_until_closed(f);
}

static void sends_connection_error(struct fake *f)
{
    fake_accept(f);
    fake_error(f, 0, PTOOLS_ERR_LIMIT, "at most 3 connections");
    fake_until_closed(f);
}

static void sends_connection_error_and_closes(struct fake *f)
{
    struct msg_request request;

    fake_accept(f);
    FAKE_CHECK(fake_next(f, &request));
    fake_error(f, 0, PTOOLS_ERR_DRAINING, "about to end");
}

static void closes_at_once(struct fake *f)
{
    f->fd = accept(f->listener, NULL, NULL);
    close(f->fd);
    f->fd = -1;
}

static void closes_after_handshake(struct fake *f)
{
    fake_accept(f);
}

static void speaks_garbage(struct fake *f)
{
    char drop[64];

    f->fd = accept(f->listener, NULL, NULL);
    fake_write(f, "HTTP/1.1 400 Bad Request\r\nContent-Length: 100000\r\nConnection: close\r\n\r\n<html></html>", 84);
    while (read(f->fd, drop, sizeof drop) > 0)
        ;
    close(f->fd);
    f->fd = -1;
}

static void says_nothing(struct fake *f)
{
    char drop[64];

    f->fd = accept(f->listener, NULL, NULL);
    while (read(f->fd, drop, sizeof drop) > 0)
        ;
    close(f->fd);
    f->fd = -1;
}

static void never_answers_hello(struct fake *f)
{
    fake_accept(f);
    fake_until_closed(f);
}

static void answers_malformed(struct fake *f)
{
    struct span frame = { (const uint8_t *)"\x93\x01\x02\x03", 4, NULL };
    struct msg_request request;

    fake_accept(f);
    FAKE_CHECK(fake_next(f, &request));
    FAKE_CHECK(zmtp_send(&f->zmtp, &f->out, &frame, 1) == 0);
    fake_until_closed(f);
}

static void answers_three_frames(struct fake *f)
{
    struct msg_request request;
    struct bytes envelope;
    struct span frames[3];

    fake_accept(f);
    FAKE_CHECK(fake_next(f, &request));
    bytes_init(&envelope, 1000);
    msg_answer_encode(&(struct msg_answer){ .id = request.id, .reply = { .version = 1 } }, &envelope);
    for (int i = 0; i < 3; i++)
        frames[i] = (struct span){ envelope.data, envelope.n, NULL };
    FAKE_CHECK(zmtp_send(&f->zmtp, &f->out, frames, 3) == 0);
    fake_until_closed(f);
    bytes_deinit(&envelope);
}

static const struct {
    fake_script *script;
    int64_t timeout_ms;
    ptools_err via_unix;
    ptools_err via_ipc;
    const char *says;
} bad_peers[] = {
    { answers_version_error, 5000, PTOOLS_ERR_VERSION, PTOOLS_ERR_VERSION, "speaks 7 to 8" },
    { chooses_unknown_version, 5000, PTOOLS_ERR_VERSION, PTOOLS_ERR_VERSION, "version 9" },
    { sends_connection_error, 5000, PTOOLS_ERR_LIMIT, PTOOLS_ERR_LIMIT, "at most 3" },
    { sends_connection_error_and_closes, 5000, PTOOLS_ERR_DRAINING, PTOOLS_ERR_DRAINING, "about to end" },
    { closes_at_once, 5000, PTOOLS_ERR_LOST, PTOOLS_ERR_PROTOCOL, "clos" },
    { closes_after_handshake, 5000, PTOOLS_ERR_LOST, PTOOLS_ERR_LOST, "closed it" },
    { speaks_garbage, 1000, PTOOLS_ERR_PROTOCOL, PTOOLS_ERR_TIMEOUT, "" }, /* libzmq takes it for an old ZMTP */
    { says_nothing, 50, PTOOLS_ERR_TIMEOUT, PTOOLS_ERR_TIMEOUT, "did not greet" },
    { never_answers_hello, 1000, PTOOLS_ERR_TIMEOUT, PTOOLS_ERR_TIMEOUT, "did not answer" },
    { answers_malformed, 5000, PTOOLS_ERR_PROTOCOL, PTOOLS_ERR_PROTOCOL, "malformed" },
    { answers_three_frames, 5000, PTOOLS_ERR_PROTOCOL, PTOOLS_ERR_PROTOCOL, "two frames" },
};
enum { BAD_PEERS = sizeof bad_peers / sizeof bad_peers[0] };

START_TEST(bad_peers_are_refused)
{
    int i = _i / VIAS, via = _i % VIAS;
    struct fake f;
    ptools_err err;

    fake_begin(&f);
    fake_run(&f, bad_peers[i].script);
    err = open_at(fake_address(&f, via), bad_peers[i].timeout_ms);
    ck_assert_msg(err == (via == VIA_UNIX ? bad_peers[i].via_unix : bad_peers[i].via_ipc), "peer %d via %d: %s: %s", i,
                  via, ptools_errname(err), message);
    ck_assert_ptr_null(pt);
    ck_assert_msg(strstr(message, bad_peers[i].says) && strstr(message, f.dir), "peer %d via %d: %s", i, via, message);
    fake_end(&f);
}
END_TEST

START_TEST(backlog_is_full)
{
    struct fake f;

    fake_begin(&f); /* nobody accepts, and there is room for one */
    ck_assert_int_eq(listen(f.listener, 0), 0);
    ck_assert_int_eq(open_at(f.dir, 20), PTOOLS_ERR_TIMEOUT);
    ck_assert_ptr_nonnull(strstr(message, "did not greet"));
    ck_assert_int_eq(open_at(f.dir, 20), PTOOLS_ERR_TIMEOUT);
    ck_assert_msg(strstr(message, "accepted no connection in time"), "%s", message);
    fake_end(&f);
}
END_TEST

/* -- again --------------------------------------------------------------------------------------------------------- */

START_TEST(connects_anew_for_the_next_call)
{
    ptools_value value;
    ptools_future *future;
    struct fake f;
    uint64_t n;

    fake_begin(&f);
    fake_run(&f, fake_serve_two);
    pt = fake_open(&f, _i);
    ck_assert_int_eq(ptools_remotecall_fetch(pt, NULL, "t.drop", NULL, NULL, 5000, NULL, NULL), PTOOLS_ERR_LOST);
    ck_assert(ptools_last_failure(pt)->maybe_executed);
    ck_assert_int_eq(ptools_remotecall_fetch(pt, NULL, "t.count", NULL, NULL, 5000, &future, &value), PTOOLS_OK);
    ck_assert_int_eq(ptools_get_u64(value, &n), PTOOLS_OK);
    ck_assert_uint_eq(n, 2);
    ptools_future_free(future);
    ptools_close(pt);
    fake_end(&f);
}
END_TEST

static void closes_idle_then_serves(struct fake *f)
{
    fake_accept_hello(f);
    fake_close(f);
    fake_serve(f, 2);
}

/* The connection ended while nobody looked: the next call does not suffer, for nothing of it had left. */
START_TEST(an_idle_loss_costs_no_call)
{
    ptools_value value;
    ptools_future *future;
    struct fake f;
    uint64_t n;

    fake_begin(&f);
    fake_run(&f, closes_idle_then_serves);
    pt = fake_open(&f, _i);
    while (ptools_fd(pt) >= 0 && ptools_events(pt) && ptools_dispatch(pt, 5000) == PTOOLS_OK)
        ;
    ck_assert_int_eq(ptools_remotecall_fetch(pt, NULL, "t.count", NULL, NULL, 5000, &future, &value), PTOOLS_OK);
    ck_assert_int_eq(ptools_get_u64(value, &n), PTOOLS_OK);
    ck_assert_uint_eq(n, 2);
    ptools_future_free(future);
    ptools_close(pt);
    fake_end(&f);
}
END_TEST

static void closes_idle_unseen(struct fake *f)
{
    struct msg_request request;

    fake_accept_hello(f);
    FAKE_CHECK(fake_next(f, &request));
    fake_reply_number(f, request.id, 1);
    fake_close(f); /* right behind an answer: the client has not looked since */
    fake_serve(f, 2);
}

START_TEST(a_loss_that_nobody_saw_costs_no_call)
{
    ptools_value value;
    ptools_future *future;
    struct fake f;
    uint64_t n;

    fake_begin(&f);
    fake_run(&f, closes_idle_unseen);
    pt = fake_open(&f, VIA_UNIX);
    ck_assert_int_eq(ptools_remotecall_fetch(pt, NULL, "t.x", NULL, NULL, 5000, NULL, NULL), PTOOLS_OK);
    ck_assert_int_eq(recv(ptools_fd(pt), &n, 1, MSG_PEEK), 0); /* until it has closed */
    ck_assert_int_eq(ptools_remotecall_fetch(pt, NULL, "t.count", NULL, NULL, 5000, &future, &value), PTOOLS_OK);
    ck_assert_int_eq(ptools_get_u64(value, &n), PTOOLS_OK);
    ck_assert_uint_eq(n, 2);
    ptools_future_free(future);
    ptools_close(pt);
    fake_end(&f);
}
END_TEST

START_TEST(the_daemon_does_not_come_back)
{
    struct fake f;

    fake_begin(&f);
    fake_run(&f, fake_serve_one);
    pt = fake_open(&f, _i);
    ck_assert_int_eq(ptools_remotecall_fetch(pt, NULL, "t.drop", NULL, NULL, 5000, NULL, NULL), PTOOLS_ERR_LOST);
    fake_end(&f);
    ck_assert_int_eq(ptools_remotecall_fetch(pt, NULL, "t.count", NULL, NULL, 5000, NULL, NULL), PTOOLS_ERR_NO_DAEMON);
    ck_assert_int_eq(ptools_last_failure(pt)->code, PTOOLS_ERR_NO_DAEMON);
    ck_assert(!ptools_last_failure(pt)->maybe_executed);
    ck_assert_int_eq(ptools_fd(pt), -1);
    ptools_close(pt);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("lib/open");
    TCase *tc = suite_case(suite, "options");

    tcase_add_test(tc, wrong_options_are_refused);
    tcase_add_test(tc, wrong_addresses_are_refused);
    tc = suite_case(suite, "where");
    tcase_add_test(tc, nobody_there);
    tcase_add_test(tc, environment_names_it);
    tcase_add_test(tc, the_users_daemon_is_found);
    tcase_add_test(tc, access_is_denied);
    tc = suite_case(suite, "hello");
    tcase_add_loop_test(tc, bad_peers_are_refused, 0, BAD_PEERS * VIAS);
    tcase_add_test(tc, backlog_is_full);
    tc = suite_case(suite, "again");
    tcase_add_loop_test(tc, connects_anew_for_the_next_call, 0, VIAS);
    tcase_add_loop_test(tc, an_idle_loss_costs_no_call, 0, VIAS);
    tcase_add_test(tc, a_loss_that_nobody_saw_costs_no_call);
    tcase_add_loop_test(tc, the_daemon_does_not_come_back, 0, VIAS);
    return suite_run(suite);
}
