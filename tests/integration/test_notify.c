/* SPDX-License-Identifier: MIT */
/*
 * What ptoolsd tells a service manager: that it serves, that it stops, and that it lives. The test is the manager:
 * it owns the socket of NOTIFY_SOCKET, and believes only what comes from the process that it started.
 */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/integration/server.h"
#include "tests/support/suite.h"

enum { NOTE_MS = 30000, WATCHDOG_MS = 200 };

static struct server server;
static char manager_dir[64];
static int manager_fd = -1;

/* What a service manager sets. watchdog: who is asked to report, "" for whoever starts; NULL: nobody. */
static void manager_up(const char *watchdog)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    char usec[16];

    temp_dir(manager_dir, sizeof manager_dir);
    ck_assert(snprintf(address.sun_path, sizeof address.sun_path, "%s/notify", manager_dir) <
              (int)sizeof address.sun_path);
    manager_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ck_assert_int_ge(manager_fd, 0);
    ck_assert_int_eq(setsockopt(manager_fd, SOL_SOCKET, SO_PASSCRED, &(int){ 1 }, sizeof(int)), 0);
    ck_assert_int_eq(bind(manager_fd, (struct sockaddr *)&address, sizeof address), 0);
    setenv("NOTIFY_SOCKET", address.sun_path, 1);
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
    if (!watchdog)
        return;
    snprintf(usec, sizeof usec, "%d", WATCHDOG_MS * 1000);
    setenv("WATCHDOG_USEC", usec, 1);
    if (watchdog[0])
        setenv("WATCHDOG_PID", watchdog, 1);
}

static void manager_down(void)
{
    close(manager_fd);
    temp_remove(manager_dir);
}

/* The next notification within the time, with the process that it came from; false: there is none. */
static bool next_note(char *ret, size_t bytes, pid_t *ret_from, int within_ms)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(struct ucred))];
    } control;
    struct iovec iov = { .iov_base = ret, .iov_len = bytes - 1 };
    struct msghdr message = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control
    };
    struct ucred who;
    struct cmsghdr *c;
    ssize_t n;

    if (poll(&(struct pollfd){ .fd = manager_fd, .events = POLLIN }, 1, within_ms) != 1)
        return false;
    n = recvmsg(manager_fd, &message, MSG_CMSG_CLOEXEC);
    ck_assert_int_gt(n, 0);
    ret[n] = '\0';
    c = CMSG_FIRSTHDR(&message);
    ck_assert(c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_CREDENTIALS);
    memcpy(&who, CMSG_DATA(c), sizeof who);
    *ret_from = who.pid;
    return true;
}

/* Whether one line of the notification is just that. */
static bool says(const char *note, const char *line)
{
    size_t n = strlen(line);

    for (const char *at = note; at; at = strchr(at, '\n') ? strchr(at, '\n') + 1 : NULL)
        if (strncmp(at, line, n) == 0 && (at[n] == '\n' || at[n] == '\0'))
            return true;
    return false;
}

/* Until one says so: all must come from the daemon. */
static void await_note(const char *line)
{
    char note[512];
    pid_t from;

    do {
        ck_assert_msg(next_note(note, sizeof note, &from, NOTE_MS), "%s does not come", line);
        ck_assert_int_eq(from, server.pid);
    } while (!says(note, line));
}

/* How many that are waiting to be read say so. */
static unsigned count_notes(const char *line)
{
    char note[512];
    unsigned n = 0;
    pid_t from;

    while (next_note(note, sizeof note, &from, 0))
        n += says(note, line);
    return n;
}

/* -- ready ------------------------------------------------------------------------------------------------------ */

enum { READY_WORKERS = 8 };

struct moment {
    char dir[64];
    pid_t from;
    bool serves; /* a call was served */
    size_t idle; /* of the workers, just then */
};

/* Looks at the daemon in the moment in which it says that it is ready. */
static void *look_when_ready(void *userdata)
{
    struct moment *m = userdata;
    ptools_options options = PTOOLS_OPTIONS_INIT;
    ptools_worker_info *infos = NULL;
    const char *message;
    char note[512];
    ptools *pt = NULL;
    size_t n = 0;

    if (!next_note(note, sizeof note, &m->from, NOTE_MS) || !says(note, "READY=1"))
        return NULL;
    options.address = m->dir;
    if (ptools_open(&options, &pt, &message) != PTOOLS_OK)
        return NULL;
    if (ptools_workers(pt, &infos, &n) == PTOOLS_OK)
        for (size_t i = 0; i < n; i++)
            m->idle += strcmp(infos[i].state, "idle") == 0;
    free(infos);
    m->serves = ptools_remotecall_fetch(pt, NULL, "t.nop", NULL, NULL, 10000, NULL, NULL) == PTOOLS_OK;
    ptools_close(pt);
    return NULL;
}

START_TEST(ready_is_told_when_calls_are_served)
{
    struct moment m = { .idle = 0 };
    pthread_t thread;

    manager_up(NULL);
    temp_dir(m.dir, sizeof m.dir);
    ck_assert_int_eq(pthread_create(&thread, NULL, look_when_ready, &m), 0);
    server_start_in(&server, m.dir, READY_WORKERS, NULL);
    pthread_join(thread, NULL);
    ck_assert_int_eq(m.from, server.pid);
    ck_assert_uint_eq(m.idle, READY_WORKERS);
    ck_assert(m.serves);
    server_stop(&server);
    ck_assert_uint_eq(count_notes("READY=1"), 0); /* once */
    manager_down();
}
END_TEST

START_TEST(a_daemon_that_cannot_serve_is_never_ready)
{
    char dir[64], text[2048];

    manager_up(NULL);
    temp_dir(dir, sizeof dir);
    ck_assert_int_eq(
        server_refuses(dir, (const char *const[]){ "-o", "daemon.worker_program=/bin/false", NULL }, text, sizeof text),
        1);
    ck_assert_uint_eq(count_notes("READY=1"), 0);
    temp_remove(dir);
    manager_down();
}
END_TEST

/* -- stopping ----------------------------------------------------------------------------------------------------- */

START_TEST(stopping_is_told_before_running_tasks_end)
{
    PTOOLS_AUTO(ptools_future) running = NULL;
    ptools *pt;

    manager_up(NULL);
    server_start(&server, 1, NULL);
    pt = server_open(&server);
    ck_assert_ptools(ptools_remotecall(pt, NULL, "t.spin", NULL, NULL, &running));
    server_at_phase(pt, 1, "spinning"); /* one that waits is not waited for */
    await_note("READY=1");
    ck_assert_uint_eq(count_notes("STOPPING=1"), 0);
    kill(server.pid, SIGTERM);
    await_note("STOPPING=1");
    ck_assert_int_eq(poll(&(struct pollfd){ .fd = server.pidfd, .events = POLLIN }, 1, 0), 0); /* it waits */
    kill(server.pid, SIGTERM);                                                                 /* and hurries */
    ck_assert_err(ptools_future_fetch(running, 10000, NULL), PTOOLS_ERR_CANCELLED);
    ptools_close(pt);
    ck_assert_int_eq(poll(&(struct pollfd){ .fd = server.pidfd, .events = POLLIN }, 1, NOTE_MS), 1);
    server_stop(&server); /* a signal to a zombie is none */
    manager_down();
}
END_TEST

/* -- alive -------------------------------------------------------------------------------------------------------- */

/* The watchdog is fed time and again, also while a worker is busy for longer than its period. */
static void expect_fed(void)
{
    PTOOLS_AUTO(ptools_future) running = NULL;
    ptools *pt = server_open(&server);

    await_note("READY=1");
    ck_assert_ptools(ptools_remotecall(pt, NULL, "t.spin", NULL, NULL, &running));
    for (int i = 0; i < 3; i++)
        await_note("WATCHDOG=1");
    ck_assert_err(ptools_future_wait(running, 0), PTOOLS_ERR_TIMEOUT);
    ck_assert_ptools(ptools_future_cancel(running));
    ck_assert_err(ptools_future_fetch(running, 10000, NULL), PTOOLS_ERR_CANCELLED);
    ptools_close(pt);
}

START_TEST(the_watchdog_of_whoever_starts_is_fed)
{
    manager_up("");
    server_start(&server, 1, NULL);
    expect_fed();
    server_stop(&server);
    manager_down();
}
END_TEST

START_TEST(the_watchdog_of_the_daemon_is_fed)
{
    char path[96];
    FILE *f;

    /* Only the process itself knows its id before it is ptoolsd: a script becomes it, as systemd's child does. */
    manager_up("");
    snprintf(path, sizeof path, "%s/service", manager_dir);
    f = fopen(path, "we");
    fprintf(f, "#!/bin/sh\nWATCHDOG_PID=$$ exec '%s' \"$@\"\n", getenv("PTOOLS_TEST_DAEMON"));
    ck_assert_int_eq(fchmod(fileno(f), 0700), 0);
    fclose(f);
    setenv("PTOOLS_TEST_DAEMON", path, 1);
    server_start(&server, 1, NULL);
    expect_fed();
    server_stop(&server);
    manager_down();
}
END_TEST

START_TEST(the_watchdog_of_another_process_is_not_fed)
{
    PTOOLS_AUTO(ptools_pack) args = ptools_pack_new();
    char other[16];
    ptools *pt;

    snprintf(other, sizeof other, "%d", (int)getpid());
    manager_up(other);
    server_start(&server, 1, NULL);
    pt = server_open(&server);
    ptools_pack_i64(args, 3 * WATCHDOG_MS); /* a task, and so the daemon, outlives the period */
    ck_assert_ptools(ptools_remotecall_fetch(pt, NULL, "t.sleep_ms", args, NULL, 10000, NULL, NULL));
    ptools_close(pt);
    server_stop(&server);
    ck_assert_uint_eq(count_notes("WATCHDOG=1"), 0);
    manager_down();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("notify");
    TCase *tc = suite_case(suite, "ready");

    tcase_add_test(tc, ready_is_told_when_calls_are_served);
    tcase_add_test(tc, a_daemon_that_cannot_serve_is_never_ready);
    tc = suite_case(suite, "stopping");
    tcase_add_test(tc, stopping_is_told_before_running_tasks_end);
    tc = suite_case(suite, "watchdog");
    tcase_add_test(tc, the_watchdog_of_whoever_starts_is_fed);
    tcase_add_test(tc, the_watchdog_of_the_daemon_is_fed);
    tcase_add_test(tc, the_watchdog_of_another_process_is_not_fed);
    return suite_run(suite);
}
