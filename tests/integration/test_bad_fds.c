/* SPDX-License-Identifier: MIT */
/*
 * Bad peers at the door of descriptors: wrong tokens, packets that are none, descriptors nobody asked for, floods.
 * The daemon goes on, holds no descriptor of theirs, and serves everybody else.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "proto/fds.h"
#include "tests/integration/server.h"
#include "tests/support/send_fds.h"
#include "tests/support/suite.h"

enum { WAIT_MS = 20000 };

static struct server server;
static ptools *pt;

static void up(void)
{
    server_start(&server, 1, NULL);
    pt = server_open(&server);
}

static void down(void)
{
    const ptools_shmcfg cfg = PTOOLS_SHMCFG("good", PTOOLS_INT32, 4);
    ptools_array *a = NULL;

    ck_assert_ptools(ptools_shm_create(pt, &cfg, NULL, &a)); /* who behaves is served */
    ptools_array_free(a);
    pt = ptools_close(pt);
    server_clean(&server, 0);
    server_stop(&server);
}

static int door(void)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    snprintf(address.sun_path, sizeof address.sun_path, "%s/" FDS_SOCKET_NAME, server.dir);
    ck_assert_int_ge(fd, 0);
    ck_assert_msg(connect(fd, (struct sockaddr *)&address, sizeof address) == 0, "connect: %s", strerror(errno));
    return fd;
}

/* n descriptors go along. */
static void put(int fd, const void *packet, size_t bytes, const int *fds, size_t n)
{
    const struct iovec iov = { (void *)(uintptr_t)packet, bytes };

    ck_assert_int_eq(send_fds(fd, &iov, 1, fds, n, 0), (ssize_t)bytes);
}

/* It is closed by the daemon, after an answer or without one. */
static void closed(int fd)
{
    char packet[1024];
    ssize_t got;

    do {
        ck_assert_int_eq(poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, WAIT_MS), 1);
        got = recv(fd, packet, sizeof packet, 0);
    } while (got > 0);
    close(fd);
}

START_TEST(wrong_tokens)
{
    struct fds_request request = { .magic = FDS_MAGIC, .kind = FDS_ARRAY, .id = 1, .owner = FDS_OWN };
    struct fds_answer answer;

    up();
    for (int i = 0; i < 20; i++) {
        int fd = door();

        memset(request.token, i, sizeof request.token);
        put(fd, &request, sizeof request, NULL, 0);
        ck_assert_int_eq(recv(fd, &answer, sizeof answer, 0), sizeof answer);
        ck_assert_uint_eq(answer.code, PTOOLS_ERR_DENIED);
        closed(fd);
    }
    down();
}
END_TEST

START_TEST(packets_that_are_none)
{
    struct fds_request request = { .magic = FDS_MAGIC, .kind = FDS_ARRAY };
    char large[4096] = "GET / HTTP/1.1\r\n\r\n";
    int fd;

    up();
    for (size_t n = 1; n < sizeof request; n += 13) {
        fd = door();
        put(fd, &request, n, NULL, 0);
        closed(fd);
    }
    fd = door();
    put(fd, large, sizeof large, NULL, 0);
    closed(fd);
    request.magic = 1;
    fd = door();
    put(fd, &request, sizeof request, NULL, 0);
    closed(fd);
    request.magic = FDS_MAGIC;
    memset(request.name, 'x', sizeof request.name);
    fd = door();
    put(fd, &request, sizeof request, NULL, 0);
    closed(fd);
    down();
}
END_TEST

START_TEST(descriptors_that_nobody_asked_for)
{
    struct fds_request request = { .magic = FDS_MAGIC, .kind = FDS_GIVE };
    int fds[253], pair[2];

    up();
    ck_assert_int_eq(pipe2(pair, O_CLOEXEC), 0);
    for (size_t i = 0; i < 253; i++)
        fds[i] = pair[1];
    for (size_t n = 1; n <= 253; n += 42) {
        int fd = door();

        put(fd, &request, sizeof request, fds, n);
        closed(fd);
    }
    close(pair[1]);
    ck_assert_int_eq(poll(&(struct pollfd){ .fd = pair[0], .events = POLLIN }, 1, WAIT_MS), 1); /* nobody holds it */
    close(pair[0]);
    down();
}
END_TEST

START_TEST(connections_that_say_nothing)
{
    const ptools_shmcfg cfg = PTOOLS_SHMCFG("x", PTOOLS_INT32, 4);
    ptools_array *a = NULL;
    int fds[200];

    up();
    for (int i = 0; i < 200; i++)
        fds[i] = door();
    ck_assert_ptools(ptools_shm_create(pt, &cfg, NULL, &a)); /* the oldest stranger makes room */
    ptools_array_free(a);
    for (int i = 0; i < 200; i++)
        close(fds[i]);
    down();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("bad_fds");
    TCase *tc = suite_case(suite, "bad_fds");

    tcase_add_test(tc, wrong_tokens);
    tcase_add_test(tc, packets_that_are_none);
    tcase_add_test(tc, descriptors_that_nobody_asked_for);
    tcase_add_test(tc, connections_that_say_nothing);
    return suite_run(suite);
}
