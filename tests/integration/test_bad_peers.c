/* SPDX-License-Identifier: MIT */
/*
 * Peers that break the rules, on purpose or not: each is refused with a reason where there is a way to tell
 * it, bounded in time and memory, and the daemon serves its other clients all the while.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/integration/server.h"
#include "tests/support/suite.h"

enum { WAIT_MS = 20000 };

static struct server server;
static ptools *pt;

static void up(const char *const *args)
{
    server_start(&server, 1, args);
    pt = server_open(&server);
}

/* The daemon still serves, and forgot the bad peers. */
static void down(void)
{
    ck_assert_ptools(ptools_remotecall_fetch(pt, NULL, "t.nop", NULL, NULL, WAIT_MS, NULL, NULL));
    server_clean(&server, 1);
    pt = ptools_close(pt);
    server_stop(&server);
}

static const unsigned char greeting[64] = { 0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 0, 'N', 'U', 'L', 'L' };
static const char ready[] = "\x04\x1c\x05READY\x0bSocket-Type\0\0\0\x06" "DEALER";

static void put(int fd, const void *data, size_t n)
{
    for (size_t done = 0; done < n;) {
        ssize_t sent = send(fd, (const char *)data + done, n - done, MSG_NOSIGNAL);

        if (sent < 0 && (errno == EPIPE || errno == ECONNRESET))
            return; /* refused already: that is what the tests are about */
        ck_assert_msg(sent > 0, "send: %s", strerror(errno));
        done += (size_t)sent;
    }
}

/* Reads until the daemon closes. Returns how many bytes came; the last ones are in ret. */
static size_t until_closed(int fd, char *ret, size_t bytes)
{
    uint64_t until = now_ms() + WAIT_MS;
    size_t n = 0;

    for (;;) {
        uint64_t now = now_ms();
        struct pollfd p = { .fd = fd, .events = POLLIN };
        char buffer[4096];
        ssize_t got;

        ck_assert_msg(now < until && poll(&p, 1, (int)(until - now)) == 1, "it is not closed");
        got = recv(fd, buffer, sizeof buffer, 0);
        if (got <= 0)
            break;
        for (ssize_t i = 0; i < got; i++)
            if (n < bytes - 1)
                ret[n++] = buffer[i];
    }
    ret[n] = '\0';
    return n;
}

/* Whether word is anywhere in the n bytes. */
static bool says(const char *bytes, size_t n, const char *word)
{
    return memmem(bytes, n, word, strlen(word)) != NULL;
}

/* Past the handshake, as a DEALER would be. */
static int connect_open(void)
{
    int fd = server_connect_raw(&server);
    char in[256];
    size_t n = 0;

    put(fd, greeting, sizeof greeting);
    put(fd, ready, sizeof ready - 1);
    while (n < 64 + 2 || n < 64u + 2 + (unsigned char)in[65]) {
        ssize_t got = recv(fd, in + n, sizeof in - n, 0);

        ck_assert_int_gt(got, 0);
        n += (size_t)got;
    }
    return fd;
}

static void put_frame(int fd, unsigned char flags, const void *body, size_t n)
{
    unsigned char head[2] = { flags, (unsigned char)n };

    ck_assert_uint_lt(n, 256);
    put(fd, head, 2);
    put(fd, body, n);
}

START_TEST(garbage_instead_of_zmtp)
{
    static const char *const garbage[] = { "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "\0",
                                           "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff" };
    char in[512];

    up(NULL);
    for (size_t i = 0; i < 3; i++) {
        int fd = server_connect_raw(&server);

        put(fd, garbage[i], i == 1 ? 1 : strlen(garbage[i]));
        until_closed(fd, in, sizeof in);
        close(fd);
    }
    down();
}
END_TEST

START_TEST(old_zmtp_and_other_mechanisms)
{
    unsigned char bad[64];
    char in[512];
    size_t n;
    int fd;

    up(NULL);
    memcpy(bad, greeting, 64);
    bad[10] = 1; /* ZMTP 2 */
    fd = server_connect_raw(&server);
    put(fd, bad, 64);
    until_closed(fd, in, sizeof in);
    close(fd);
    memcpy(bad, greeting, 64);
    memcpy(bad + 12, "CURVE", 5);
    fd = server_connect_raw(&server);
    put(fd, bad, 64);
    until_closed(fd, in, sizeof in);
    close(fd);
    fd = server_connect_raw(&server); /* a PUB is told why */
    put(fd, greeting, 64);
    put(fd, "\x04\x19\x05READY\x0bSocket-Type\0\0\0\x03PUB", 27);
    n = until_closed(fd, in, sizeof in);
    ck_assert(says(in, n, "ERROR"));
    close(fd);
    down();
}
END_TEST

START_TEST(half_a_greeting_for_ever)
{
    int fds[200];
    char in[512];

    up((const char *const[]){ "-o", "limits.handshake_ms=1000", NULL });
    for (size_t i = 0; i < 200; i++) {
        fds[i] = server_connect_raw(&server);
        put(fds[i], greeting, i % 64);
    }
    for (size_t i = 0; i < 200; i++) {
        until_closed(fds[i], in, sizeof in);
        close(fds[i]);
    }
    down();
}
END_TEST

START_TEST(half_a_message_for_ever)
{
    char in[512];
    int fd;

    up((const char *const[]){ "-o", "limits.stall_ms=300", NULL });
    fd = connect_open();
    put(fd, "\0\x40half", 6);
    until_closed(fd, in, sizeof in);
    close(fd);
    down();
}
END_TEST

START_TEST(a_claimed_routing_id_is_ignored)
{
    static const char claim[] = "\x04\x2e\x05READY\x0bSocket-Type\0\0\0\x06" "DEALER\x08Identity\0\0\0\x05\0\0\0\0\1";
    int a, b;

    up(NULL);
    a = server_connect_raw(&server);
    b = server_connect_raw(&server);
    put(a, greeting, 64);
    put(b, greeting, 64);
    put(a, claim, sizeof claim - 1);
    put(b, claim, sizeof claim - 1);
    for (int i = 0; i < 2; i++) { /* each gets the answer to its own request */
        unsigned char request[] = { 0x94, 1, 0xa7, 'i', 'n', 's', 'p', 'e', 'c', 't', (unsigned char)(i + 1), 0x81,
                                    0xa4, 'w', 'h', 'a', 't', 0xa4, 's', 'e', 't', 's' };
        int fd = i ? b : a;
        char in[2048];
        size_t n = 0;
        ssize_t got;

        put_frame(fd, 0, request, sizeof request);
        while (!memmem(in, n, "reply", 5)) {
            got = recv(fd, in + n, sizeof in - n, 0);
            ck_assert_int_gt(got, 0);
            n += (size_t)got;
        }
        ck_assert_int_eq(((unsigned char *)memmem(in, n, "reply", 5))[5], i + 1);
    }
    close(a);
    close(b);
    down();
}
END_TEST

START_TEST(endless_multipart)
{
    char in[512];
    int fd;

    up(NULL);
    fd = connect_open();
    for (int i = 0; i < 1000; i++)
        put_frame(fd, 1, "x", i % 2);
    until_closed(fd, in, sizeof in);
    close(fd);
    down();
}
END_TEST

START_TEST(a_frame_that_claims_an_exabyte)
{
    char in[512];
    int fd;

    up(NULL);
    fd = connect_open();
    put(fd, "\x02\x0f\xff\xff\xff\xff\xff\xff\xff", 9);
    until_closed(fd, in, sizeof in);
    close(fd);
    down();
}
END_TEST

START_TEST(malformed_envelopes_are_answered_three_times)
{
    static const struct {
        const char *body;
        size_t n;
    } bad[] = {
        { "\xdd\xff\xff\xff\xff", 5 },                 /* four thousand million elements, none there */
        { "\xdf\xff\xff\xff\xff", 5 },
        { "\xc1", 1 },
        { "\x93\x01\xa4" "call\x01", 8 },              /* three elements instead of four */
        { "\x94\x63\xa4" "call\x07\x80", 9 },          /* version 99 */
        { "\x94\x01\xa4" "dall\x07\x80", 9 },          /* no such kind */
        { "\x94\x01\xa4" "call\x07\x81\xa8" "function\xa3" "a b", 22 },
        { "\x94\x01\xa4" "call\x00\x80", 9 },          /* request id 0 */
        { "", 0 },
    };
    char deep[200], in[8192];
    size_t n;

    up(NULL);
    memset(deep, 0x91, sizeof deep);
    for (size_t i = 0; i <= sizeof bad / sizeof bad[0]; i++) {
        int fd = connect_open();

        for (int k = 0; k < 3; k++)
            if (i < sizeof bad / sizeof bad[0])
                put_frame(fd, 0, bad[i].body, bad[i].n);
            else
                put_frame(fd, 0, deep, sizeof deep);
        n = until_closed(fd, in, sizeof in);
        ck_assert_msg(says(in, n, "error") && (says(in, n, "BAD_REQUEST") || says(in, n, "VERSION")),
                      "envelope %zu got no answer", i);
        close(fd);
    }
    down();
}
END_TEST

START_TEST(arguments_that_are_no_value_fail_the_call_alone)
{
    /* call t.echo with a payload that nests too deep, claims too much, is two values, or is no list */
    static const unsigned char call[] = { 0x94, 1,   0xa4, 'c', 'a', 'l',  'l', 9,   0x81, 0xa8, 'f', 'u', 'n',
                                          'c',  't', 'i',  'o', 'n', 0xa6, 't', '.', 'e',  'c',  'h', 'o' };
    static const char *const payloads[] = { "\xdd\xff\xff\xff\xff", "\x91\xc1", "\x90\x90", "\x01" };
    char in[4096], deep[100];

    up(NULL);
    memset(deep, 0x91, sizeof deep);
    for (size_t i = 0; i < 5; i++) {
        int fd = connect_open();
        size_t n = 0;

        put_frame(fd, 1, call, sizeof call);
        if (i < 4)
            put_frame(fd, 0, payloads[i], strlen(payloads[i]));
        else
            put_frame(fd, 0, deep, sizeof deep);
        while (!says(in, n, "error")) {
            ssize_t got = recv(fd, in + n, sizeof in - n, 0);

            ck_assert_int_gt(got, 0);
            n += (size_t)got;
        }
        ck_assert_msg(says(in, n, "BAD_ARGUMENT"), "payload %zu", i);
        close(fd);
    }
    down();
}
END_TEST

START_TEST(five_thousand_connects)
{
    struct rlimit limit = { 8192, 8192 };
    int *fds = calloc(5000, sizeof *fds);
    ptools *late;

    up((const char *const[]){ "-o", "limits.clients_max=256", "-o", "limits.handshake_ms=1000", NULL });
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_max >= 6000) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    for (int i = 0; i < 5000; i++) {
        fds[i] = server_connect_raw(&server);
        if (i % 500 == 0) /* whoever is in is served all the time */
            ck_assert_ptools(ptools_remotecall_fetch(pt, NULL, "t.nop", NULL, NULL, WAIT_MS, NULL, NULL));
    }
    late = server_open(&server); /* and an honest newcomer gets in */
    ck_assert_ptools(ptools_remotecall_fetch(late, NULL, "t.nop", NULL, NULL, WAIT_MS, NULL, NULL));
    ptools_close(late);
    for (int i = 0; i < 5000; i++)
        close(fds[i]);
    free(fds);
    down();
}
END_TEST

START_TEST(too_many_connections_of_one_user)
{
    ptools_options options = PTOOLS_OPTIONS_INIT;
    ptools *more[8] = { NULL };
    const char *message = "";
    ptools_err err = PTOOLS_OK;
    unsigned in = 0;

    up((const char *const[]){ "-o", "limits.user_clients_max=4", NULL });
    options.address = server.dir;
    options.connect_timeout_ms = WAIT_MS;
    for (int i = 0; i < 8; i++) {
        err = ptools_open(&options, &more[i], &message);
        in += err == PTOOLS_OK;
    }
    ck_assert_uint_eq(in, 3); /* and pt */
    ck_assert_int_ne(err, PTOOLS_OK);
    for (int i = 0; i < 8; i++)
        ptools_close(more[i]);
    down();
}
END_TEST

START_TEST(a_client_that_does_not_read)
{
    static const unsigned char call[] = { 0x94, 1,   0xa4, 'c', 'a', 'l', 'l', 0xcd, 0,   0,   0x81, 0xa8, 'f',
                                          'u',  'n', 'c',  't', 'i', 'o', 'n', 0xa5, 't', '.', 'b',  'i',  'g' };
    unsigned char own[sizeof call];
    char in[64];
    int fd;

    up((const char *const[]){ "-o", "limits.client_output_max=16M", "-o", "limits.message_max=4M", NULL });
    fd = connect_open();
    for (unsigned i = 1; i <= 100; i++) { /* a hundred results of 1 MiB, none read */
        memcpy(own, call, sizeof call);
        own[8] = (unsigned char)(i >> 8);
        own[9] = (unsigned char)i;
        put_frame(fd, 1, own, sizeof own);
        put_frame(fd, 0, "\x91\xce\x00\x10\x00\x00", 6);
    }
    ck_assert_ptools(ptools_remotecall_fetch(pt, NULL, "t.nop", NULL, NULL, 20000, NULL, NULL));
    until_closed(fd, in, sizeof in);
    close(fd);
    down();
}
END_TEST

/* What the daemon does not read it cannot blame the client for. */
START_TEST(a_client_that_was_paused_is_not_cut_off)
{
    static const unsigned char call[] = { 0x94, 1,   0xa4, 'c', 'a', 'l', 'l',  1,   0x81, 0xa8, 'f', 'u',
                                          'n',  'c', 't',  'i', 'o', 'n', 0xa5, 't', '.',  'b',  'i', 'g' };
    static const unsigned char inspect[] = { 0x94, 1,    0xa7, 'i', 'n', 's', 'p',  'e', 'c', 't', 0x7b,
                                             0x81, 0xa4, 'w',  'h', 'a', 't', 0xa4, 's', 'e', 't', 's' };
    enum { CALLS = 20, BYTES = 1 << 20 };
    PTOOLS_AUTO(ptools_pack) args = ptools_pack_new();
    static char in[1 << 16];
    unsigned char out[CALLS * (sizeof call + 10) + sizeof inspect], *at = out;
    size_t got_bytes = 0;
    bool answered = false;
    int fd;

    up((const char *const[]){ "-o", "limits.stall_ms=2500", NULL });
    server_knows_t(pt, 1); /* the answers come at once, and it stops reading, while it is owed half a message */
    fd = connect_open();
    for (unsigned char i = 1; i <= CALLS; i++) {
        at = mempcpy(at, (const unsigned char[]){ 1, sizeof call }, 2);
        at = mempcpy(at, call, sizeof call);
        at[7 - (int)sizeof call] = i;
        at = mempcpy(at, "\0\x06\x91\xce\x00\x10\x00\x00", 8);
    }
    at = mempcpy(at, (const unsigned char[]){ 0, sizeof inspect }, 2);
    at = mempcpy(at, inspect, 5); /* the rest comes when it has read its answers, which it takes its time with */
    put(fd, out, (size_t)(at - out)); /* at once: with the first answer all of it has come, and is before the sleep */
    ck_assert_int_eq(poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, WAIT_MS), 1);
    ptools_pack_i64(args, 3500);
    ck_assert_ptools(ptools_remotecall_fetch(pt, NULL, "t.sleep_ms", args, NULL, 20000, NULL, NULL));
    while (got_bytes < (size_t)CALLS * BYTES) {
        ssize_t got = recv(fd, in, sizeof in, 0);

        ck_assert_msg(got > 0, "cut off after %zu bytes", got_bytes);
        got_bytes += (size_t)got;
    }
    put(fd, inspect + 5, sizeof inspect - 5);
    while (!answered) {
        ssize_t got = recv(fd, in, sizeof in, 0);

        ck_assert_int_gt(got, 0);
        answered = memmem(in, (size_t)got, "reply\x7b", 6) != NULL;
    }
    close(fd);
    down();
}
END_TEST

/* Unfinished messages count against the user whose connections hold them. */
START_TEST(many_half_messages_are_charged_to_their_user)
{
    enum { PEERS = 8, HALF = 3 << 20 };
    char *half = calloc(1, HALF), in[64];
    int fds[PEERS];
    unsigned closed = 0;

    up((const char *const[]){ "-o", "limits.user_bytes_max=8M", "-o", "limits.message_max=4M", NULL });
    for (int i = 0; i < PEERS; i++) {
        fds[i] = connect_open();
        put(fds[i], "\x02\0\0\0\0\0\x38\0\0", 9); /* a frame of 3.5 MiB */
        put(fds[i], half, HALF);
    }
    ck_assert_ptools(ptools_remotecall_fetch(pt, NULL, "t.nop", NULL, NULL, WAIT_MS, NULL, NULL));
    for (int i = 0; i < PEERS; i++) {
        closed += recv(fds[i], in, sizeof in, MSG_DONTWAIT) == 0 || errno == ECONNRESET;
        close(fds[i]);
    }
    ck_assert_uint_ge(closed, PEERS - 3);
    free(half);
    down();
}
END_TEST

START_TEST(limits_are_told_with_their_numbers)
{
    ptools_future *f[6];

    up((const char *const[]){ "-o", "limits.user_tasks_max=5", NULL });
    for (int i = 0; i < 6; i++)
        ck_assert_ptools(ptools_remotecall(pt, NULL, "t.spin_polite", NULL, NULL, &f[i]));
    ck_assert_err(ptools_future_fetch(f[5], 10000, NULL), PTOOLS_ERR_LIMIT);
    ck_assert_ptr_nonnull(strstr(ptools_error_message(pt), "5"));
    for (int i = 4; i >= 0; i--) {
        ck_assert_ptools(ptools_future_cancel(f[i]));
        ck_assert_err(ptools_future_fetch(f[i], WAIT_MS, NULL), PTOOLS_ERR_CANCELLED);
    }
    for (int i = 0; i < 6; i++)
        ptools_future_free(f[i]);
    down();
}
END_TEST

enum { HELD_TASKS = 20000, AT_ONCE = 1000, LISTS = 1000, OTHERS = 16 };

static void hold_many(void)
{
    ptools_worker_task task = PTOOLS_WORKER_TASK_INIT;
    ptools_future *accepted[AT_ONCE];
    task.function = "t.nop";
    task.flags = PTOOLS_TASK_HOLD;
    for (unsigned i = 0; i < HELD_TASKS; i += AT_ONCE) {
        ck_assert_ptools(ptools_cork(pt));
        for (unsigned k = 0; k < AT_ONCE; k++)
            ck_assert_ptools(ptools_queue_worker_task_start(pt, &task, &accepted[k]));
        ck_assert_ptools(ptools_uncork(pt));
        ck_assert_ptools(ptools_wait_all(pt, accepted, AT_ONCE, WAIT_MS));
        for (unsigned k = 0; k < AT_ONCE; k++)
            ptools_future_free(accepted[k]);
    }
}

/* Reads frames until there were so many. */
static void take_frames(int fd, unsigned n)
{
    for (; n > 0; n--) {
        unsigned char head[9];
        char body[4096];
        size_t bytes = 0;

        ck_assert_int_eq(recv(fd, head, 2, MSG_WAITALL), 2);
        if (head[0] & 2) /* a long one */
            ck_assert_int_eq(recv(fd, head + 2, 7, MSG_WAITALL), 7);
        for (unsigned i = 1; i < (head[0] & 2 ? 9u : 2u); i++)
            bytes = bytes << 8 | head[i];
        ck_assert_uint_le(bytes, sizeof body);
        ck_assert_int_eq(recv(fd, body, bytes, MSG_WAITALL), (ssize_t)bytes);
    }
}

/* A client asks a thousand times at once for tasks in a state in which there are none, and then queues one; others
 * ask for that one, just behind. Their turns come when few of the thousand have been answered. */
START_TEST(many_requests_that_cost_much)
{
    static const char list[] = "\x94\x01\xa9task-list\xcd??\x81\xa6states\x91\xa7running";
    static const char submit[] = "\x94\x01\xabtask-submit\xcd\x7f\xff\x83\xa8"
                                 "function\xa5t.nop\xa4hold\xc3\xa3key\xc4\x04last";
    static const char get[] = "\x94\x01\xa8task-get\x01\x81\xa3key\xc4\x04last";
    static const char unknown[] = "no queued task of that key";
    static char flood[LISTS * (sizeof list + 2) + sizeof submit + 2];
    siginfo_t stopped;
    char answer[512];
    size_t n = 0;
    int a, b[OTHERS];

    up(NULL);
    hold_many();
    a = connect_open();
    for (int i = 0; i < OTHERS; i++)
        b[i] = connect_open();
    for (unsigned i = 1; i <= LISTS; i++) {
        flood[n++] = 0;
        flood[n++] = sizeof list - 1;
        memcpy(flood + n, list, sizeof list - 1);
        memcpy(flood + n + 13, (char[]){ (char)(i >> 8), (char)i }, 2);
        n += sizeof list - 1;
    }
    flood[n++] = 0;
    flood[n++] = sizeof submit - 1;
    memcpy(flood + n, submit, sizeof submit - 1);
    n += sizeof submit - 1;
    ck_assert_int_eq(kill(server.pid, SIGSTOP), 0); /* both are there when it goes on */
    ck_assert_int_eq(waitid(P_PID, (id_t)server.pid, &stopped, WSTOPPED), 0);
    for (int i = 0; i < OTHERS; i++) {
        if (i == OTHERS / 2) /* behind some, before others: of what has come in one moment no order is promised */
            put(a, flood, n);
        put_frame(b[i], 0, get, sizeof get - 1);
    }
    ck_assert_int_eq(kill(server.pid, SIGCONT), 0);
    for (int i = 0; i < OTHERS; i++) {
        const ssize_t got = recv(b[i], answer, sizeof answer, 0);
        ck_assert_msg(got > 0 && memmem(answer, (size_t)got, unknown, sizeof unknown - 1),
                      "it was put behind all of them");
        close(b[i]);
    }
    take_frames(a, 2 * LISTS + 1); /* and all are answered */
    close(a);
    down();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("bad peers");
    TCase *tc = suite_case(suite, "peers");

    tcase_add_test(tc, garbage_instead_of_zmtp);
    tcase_add_test(tc, old_zmtp_and_other_mechanisms);
    tcase_add_test(tc, half_a_greeting_for_ever);
    tcase_add_test(tc, half_a_message_for_ever);
    tcase_add_test(tc, a_claimed_routing_id_is_ignored);
    tcase_add_test(tc, endless_multipart);
    tcase_add_test(tc, a_frame_that_claims_an_exabyte);
    tcase_add_test(tc, malformed_envelopes_are_answered_three_times);
    tcase_add_test(tc, arguments_that_are_no_value_fail_the_call_alone);
    tcase_add_test(tc, five_thousand_connects);
    tcase_add_test(tc, too_many_connections_of_one_user);
    tcase_add_test(tc, a_client_that_does_not_read);
    tcase_add_test(tc, a_client_that_was_paused_is_not_cut_off);
    tcase_add_test(tc, many_half_messages_are_charged_to_their_user);
    tcase_add_test(tc, limits_are_told_with_their_numbers);
    tcase_add_test(tc, many_requests_that_cost_much);
    return suite_run(suite);
}
