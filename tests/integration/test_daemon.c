/* SPDX-License-Identifier: MIT */
/*
 * The life of the daemon: one to a directory, a clean end, an unclean one, a restart, a private one.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/integration/server.h"
#include "tests/support/suite.h"

enum { WAIT_MS = 20000 };

static struct server server;
static ptools *pt;

static void up(const char *const *args)
{
    server_start(&server, 2, args);
    pt = server_open(&server);
}

static void down(void)
{
    server_clean(&server, 1);
    pt = ptools_close(pt);
    server_stop(&server);
}

/* The process is gone, or a zombie whose new parent is slow to reap it. */
static bool is_gone(pid_t pid)
{
    char path[64], line[256] = "";
    FILE *f;

    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    f = fopen(path, "re");
    if (!f)
        return true;
    if (!fgets(line, sizeof line, f))
        line[0] = '\0';
    fclose(f);
    return line[0] == '\0' || strstr(line, ") Z ") != NULL;
}

START_TEST(one_daemon_to_a_directory)
{
    char text[2048], pid[16];

    up(NULL);
    ck_assert_int_eq(server_refuses(server.dir, NULL, text, sizeof text), 1);
    snprintf(pid, sizeof pid, "%d", (int)server.pid);
    ck_assert_msg(strstr(text, "another ptoolsd") && strstr(text, pid), "it says: %s", text);
    ck_assert_ptools(ptools_remotecall_fetch(pt, NULL, "t.nop", NULL, NULL, 10000, NULL, NULL));
    down();
}
END_TEST

START_TEST(a_file_in_the_way_is_left_alone)
{
    char dir[64], path[96], text[2048];
    struct stat st;
    int fd;

    temp_dir(dir, sizeof dir);
    snprintf(path, sizeof path, "%s/ptoolsd.sock", dir);
    fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    close(fd);
    ck_assert_int_eq(server_refuses(dir, NULL, text, sizeof text), 1);
    ck_assert_ptr_nonnull(strstr(text, "not a socket"));
    ck_assert_int_eq(stat(path, &st), 0);
    temp_remove(dir);
}
END_TEST

START_TEST(a_directory_that_others_can_write_is_refused)
{
    char dir[64], text[2048];

    temp_dir(dir, sizeof dir);
    ck_assert_int_eq(chmod(dir, 0777), 0);
    ck_assert_int_eq(server_refuses(dir, NULL, text, sizeof text), 1);
    ck_assert_ptr_nonnull(strstr(text, "writable by nobody else"));
    temp_remove(dir);
}
END_TEST

START_TEST(bad_configuration_is_told_by_line)
{
    char dir[64], path[96], text[2048];
    FILE *f;

    temp_dir(dir, sizeof dir);
    snprintf(path, sizeof path, "%s/bad.conf", dir);
    f = fopen(path, "we");
    fputs("[workers]\ncount = many\n\n[limits]\nno_such_key = 1\n", f);
    fclose(f);
    ck_assert_int_eq(server_refuses(dir, (const char *const[]){ "--config", path, NULL }, text, sizeof text), 78);
    ck_assert_msg(strstr(text, "bad.conf:2") && strstr(text, "bad.conf:5"), "it says: %s", text);
    ck_assert_int_eq(server_refuses(dir, (const char *const[]){ "--no-such-flag", NULL }, text, sizeof text), 2);
    ck_assert_int_eq(server_refuses(dir, (const char *const[]){ "--ready-fd", "77", NULL }, text, sizeof text), 2);
    temp_remove(dir);
}
END_TEST

/* Its starter would take it for dead. Descriptor 0 is open, but only to read. */
START_TEST(a_daemon_that_cannot_say_that_it_is_ready_ends)
{
    char dir[64], text[4096];

    temp_dir(dir, sizeof dir);
    ck_assert_int_eq(server_refuses(dir, (const char *const[]){ "--ready-fd", "0", NULL }, text, sizeof text), 1);
    ck_assert_msg(strstr(text, "telling that it is ready"), "it says: %s", text);
    temp_remove(dir);
}
END_TEST

START_TEST(a_missing_worker_program_is_told_at_once)
{
    char dir[64], text[4096];

    temp_dir(dir, sizeof dir);
    ck_assert_int_eq(
        server_refuses(dir, (const char *const[]){ "-o", "daemon.worker_program=/nonexistent/ptools-worker", NULL },
                       text, sizeof text),
        1);
    if (!getenv("PTOOLS_TEST_VALGRIND")) /* under which a failing exec is an end with status 127 */
        ck_assert_ptr_nonnull(strstr(text, "/nonexistent/ptools-worker"));
    ck_assert_int_eq(
        server_refuses(dir, (const char *const[]){ "-o", "daemon.worker_program=/bin/false", NULL }, text, sizeof text),
        1);
    ck_assert_int_eq(rmdir(dir), 0); /* nothing was left in it */
}
END_TEST

/* What cannot be used is told, with a status that says whether the data are damaged; nothing is done to it. */
START_TEST(a_journal_that_cannot_be_used)
{
    static const char *const with[] = { "-o", "daemon.journal=yes", "--state-dir", NULL, NULL };
    const char *args[sizeof with / sizeof with[0]];
    char dir[64], state[64], path[96], text[4096];
    FILE *f;

    temp_dir(dir, sizeof dir);
    temp_dir(state, sizeof state);
    memcpy(args, with, sizeof with);
    args[3] = state;
    snprintf(path, sizeof path, "%s/journal.db", state);
    f = fopen(path, "we");
    ck_assert_ptr_nonnull(f);
    ck_assert_int_eq(fchmod(fileno(f), 0600), 0);
    fputs("this is no database, whatever else it may be", f);
    fclose(f);
    ck_assert_int_eq(server_refuses(dir, args, text, sizeof text), 65);
    ck_assert_msg(strstr(text, "journal.db"), "%s", text);
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(chmod(state, 0777), 0);
    ck_assert_int_eq(server_refuses(dir, args, text, sizeof text), 1);
    ck_assert_msg(strstr(text, "must belong to uid"), "%s", text);
    ck_assert_int_eq(chmod(state, 0700), 0);
    server_start(&server, 1, args);
    ck_assert_int_eq(server_refuses(dir, args, text, sizeof text), 1);
    ck_assert_msg(strstr(text, "another ptoolsd (pid "), "%s", text);
    server_stop(&server);
    ck_assert_int_eq(rmdir(dir), 0);
    temp_remove(state);
}
END_TEST

/* It was told to end: it does, with status 0, and nothing is left in its directory. */
static void ends_cleanly(void)
{
    siginfo_t end = { 0 };

    ck_assert_int_eq(poll(&(struct pollfd){ .fd = server.pidfd, .events = POLLIN }, 1, WAIT_MS), 1);
    ck_assert_int_eq(waitid(P_PID, (id_t)server.pid, &end, WEXITED), 0);
    ck_assert_int_eq(end.si_code, CLD_EXITED);
    ck_assert_int_eq(end.si_status, 0);
    close(server.pidfd);
    ptools_close(pt);
    ck_assert_int_eq(rmdir(server.dir), 0);
    unlink(server.log);
}

START_TEST(term_waits_for_what_runs)
{
    PTOOLS_AUTO(ptools_pack) args = ptools_pack_new();
    PTOOLS_AUTO(ptools_future) f = NULL;
    PTOOLS_AUTO(ptools_future) status = NULL;
    char dir[64], path[96];
    int fd;

    up(NULL);
    server_knows_t(pt, 2);
    temp_dir(dir, sizeof dir);
    snprintf(path, sizeof path, "%s/fifo", dir);
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    ptools_pack_str(args, path);
    ck_assert_ptools(ptools_remotecall(pt, NULL, "t.fifo", args, NULL, &f));
    ck_assert_ptools(ptools_inspect(pt, "status", &status, NULL)); /* the call before it has a worker */
    ck_assert_int_eq(kill(server.pid, SIGTERM), 0);
    for (;;) { /* until the signal has arrived */
        ptools_err err = ptools_remotecall_fetch(pt, NULL, "t.nop", NULL, NULL, 5000, NULL, NULL);

        if (err == PTOOLS_ERR_DRAINING)
            break;
        ck_assert_ptools(err);
    }
    fd = open(path, O_WRONLY | O_CLOEXEC); /* now it may end */
    ck_assert_int_ge(fd, 0);
    ck_assert_ptools(ptools_future_fetch(f, 10000, NULL));
    close(fd);
    temp_remove(dir);
    ends_cleanly();
}
END_TEST

START_TEST(term_does_not_cut_an_answer_short)
{
    PTOOLS_AUTO(ptools_pack) args = ptools_pack_new();
    PTOOLS_AUTO(ptools_future) f = NULL;
    PTOOLS_AUTO(ptools_future) status = NULL;
    const size_t bytes = 60u << 20;
    const void *data;
    ptools_value v;
    size_t n = 0;

    up(NULL);
    ck_assert_ptools(ptools_remotecall_fetch(pt, NULL, "t.nop", NULL, NULL, 10000, NULL, NULL)); /* t is loaded */
    ptools_pack_u64(args, bytes);
    ck_assert_ptools(ptools_remotecall(pt, NULL, "t.big", args, NULL, &f));
    ck_assert_ptools(ptools_inspect(pt, "status", &status, &v)); /* the call before it has been taken */
    ck_assert_int_eq(kill(server.pid, SIGTERM), 0);
    ck_assert_ptools(ptools_future_fetch(f, 30000, &v));
    ck_assert_ptools(ptools_get_bytes(v, &data, &n));
    ck_assert_uint_eq(n, bytes);
    ends_cleanly();
}
END_TEST

START_TEST(a_second_term_hurries)
{
    ptools_call_options options = PTOOLS_CALL_OPTIONS_INIT;
    PTOOLS_AUTO(ptools_future) f = NULL;

    up(NULL);
    options.worker = 1;
    ck_assert_ptools(ptools_remotecall(pt, NULL, "t.spin", NULL, &options, &f));
    server_at_phase(pt, 1, "spinning"); /* one that waits is not waited for */
    kill(server.pid, SIGTERM);
    while (ptools_remotecall_fetch(pt, NULL, "t.nop", NULL, NULL, 5000, NULL, NULL) == PTOOLS_OK)
        ;
    kill(server.pid, SIGTERM);
    ck_assert_err(ptools_future_fetch(f, 10000, NULL), PTOOLS_ERR_CANCELLED);
    ends_cleanly();
}
END_TEST

START_TEST(kill_9_leaves_no_worker_and_the_next_one_serves)
{
    PTOOLS_AUTO(ptools_future) f = NULL;
    PTOOLS_AUTO(ptools_workerset) set = NULL;
    ptools_call_options options = PTOOLS_CALL_OPTIONS_INIT;
    ptools_worker_info *infos = NULL;
    char dir[64];
    uint64_t until;
    size_t n = 0;

    up(NULL);
    ck_assert_ptools(ptools_workerset_create(pt, NULL, (const uint32_t[]){ 1 }, 1, PTOOLS_WS_FF, &set));
    options.worker = 1;
    ck_assert_ptools(ptools_remotecall(pt, NULL, "t.spin", NULL, &options, &f));
    server_at_phase(pt, 1, "spinning");
    ck_assert_ptools(ptools_workers(pt, &infos, &n));
    kill(server.pid, SIGKILL);
    waitpid(server.pid, NULL, 0);
    close(server.pidfd);
    ck_assert_err(ptools_future_fetch(f, WAIT_MS, NULL), PTOOLS_ERR_LOST);
    ck_assert(ptools_future_failure(f)->maybe_executed);
    until = now_ms() + WAIT_MS;
    for (size_t i = 0; i < n; i++)
        while (!is_gone(infos[i].pid))
            ck_assert_msg(now_ms() < until, "worker %u outlives the daemon", infos[i].id);
    free(infos);
    ck_assert_err(ptools_remotecall_fetch(pt, NULL, "t.nop", NULL, NULL, 1000, NULL, NULL), PTOOLS_ERR_NO_DAEMON);

    /* in the place of the dead one: its socket and lock are no obstacle */
    set = ptools_workerset_free(set);
    ptools_close(pt);
    snprintf(dir, sizeof dir, "%s", server.dir);
    server_start_in(&server, dir, 2, NULL);
    pt = server_open(&server);
    ck_assert_ptools(ptools_remotecall_fetch(pt, NULL, "t.nop", NULL, NULL, 10000, NULL, NULL));
    down();
}
END_TEST

START_TEST(the_library_connects_anew)
{
    char dir[64];

    up(NULL);
    snprintf(dir, sizeof dir, "%s", server.dir);
    ck_assert_ptools(ptools_remotecall_fetch(pt, NULL, "t.nop", NULL, NULL, 10000, NULL, NULL));
    kill(server.pid, SIGKILL);
    waitpid(server.pid, NULL, 0);
    close(server.pidfd);
    server_start_in(&server, dir, 2, NULL);
    {
        ptools_err err = ptools_remotecall_fetch(pt, NULL, "t.nop", NULL, NULL, 10000, NULL, NULL);

        ck_assert_msg(err == PTOOLS_OK || err == PTOOLS_ERR_LOST, "%s", ptools_errname(err));
    }
    ck_assert_ptools(ptools_remotecall_fetch(pt, NULL, "t.nop", NULL, NULL, 10000, NULL, NULL));
    down();
}
END_TEST

START_TEST(a_full_disk_for_the_log_hurts_nobody)
{
    int status = -1;
    pid_t pid = fork();

    if (pid == 0) { /* the fixture's log would be a file: here stderr is a device that is always full */
        int full = open("/dev/full", O_WRONLY | O_CLOEXEC);

        server_log_fd = full;
        up((const char *const[]){ "--log-level", "debug", NULL });
        for (int i = 0; i < 1000; i++)
            if (ptools_remotecall_fetch(pt, NULL, "t.nop", NULL, NULL, 10000, NULL, NULL) != PTOOLS_OK)
                _exit(1);
        down();
        _exit(0);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
}
END_TEST

START_TEST(a_private_daemon_ends_with_its_last_client)
{
    ptools_options options = PTOOLS_OPTIONS_INIT;
    const char *message = "";
    PTOOLS_AUTO(ptools_pack) args = ptools_pack_new();
    ptools_worker_task task = PTOOLS_WORKER_TASK_INIT;
    char dir[64], inside[96], mark[96];
    ptools *own = NULL, *second = NULL;
    struct stat st;
    uint64_t until;
    uint64_t pid = 0;

    temp_dir(dir, sizeof dir);
    snprintf(inside, sizeof inside, "%s/private", dir);
    options.address = inside;
    options.flags = PTOOLS_PRIVATE;
    options.private_workers = 2;
    options.module_path = getenv("PTOOLS_TEST_MODULES");
    ck_assert_msg(ptools_open(&options, &own, &message) == PTOOLS_OK, "%s", message);
    options.flags = 0;
    ck_assert_msg(ptools_open(&options, &second, &message) == PTOOLS_OK, "%s", message);
    {
        PTOOLS_AUTO(ptools_future) f = NULL;
        ptools_value v, field;

        ck_assert_ptools(ptools_inspect(own, "status", &f, &v));
        ck_assert_ptools(ptools_get_field(v, "pid", &field));
        ck_assert_ptools(ptools_get_u64(field, &pid));
    }
    ck_assert_ptools(ptools_remotecall_fetch(own, NULL, "t.nop", NULL, NULL, 10000, NULL, NULL));
    ptools_close(own);
    ck_assert_ptools(ptools_remotecall_fetch(second, NULL, "t.nop", NULL, NULL, 10000, NULL, NULL));
    task.function = "t.nop";
    task.flags = PTOOLS_TASK_HOLD; /* nobody is left to release it: it is not waited for, and ... */
    ck_assert_ptools(ptools_queue_worker_task(second, &task, NULL));
    snprintf(mark, sizeof mark, "%s.mark", dir);
    ptools_pack_str(args, mark);
    ptools_pack_str(args, "k");
    task.function = "q.mark";
    task.args = args;
    task.flags = 0;
    task.delay_ms = 50; /* ... one that will run is */
    ck_assert_ptools(ptools_queue_worker_task(second, &task, NULL));
    ptools_close(second);
    until = now_ms() + WAIT_MS;
    while (!is_gone((pid_t)pid) || stat(inside, &st) == 0)
        ck_assert_msg(now_ms() < until, "the private daemon, pid %d, does not end", (int)pid);
    ck_assert_int_eq(unlink(mark), 0);
    temp_remove(dir);
}
END_TEST

START_TEST(nobody_there_is_told)
{
    ptools_options options = PTOOLS_OPTIONS_INIT;
    const char *message = "";
    ptools *none = NULL;
    char dir[64];

    temp_dir(dir, sizeof dir);
    options.address = dir;
    ck_assert_err(ptools_open(&options, &none, &message), PTOOLS_ERR_NO_DAEMON);
    ck_assert_ptr_null(none);
    ck_assert_ptr_nonnull(strstr(message, dir));
    temp_remove(dir);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("daemon");
    TCase *tc = suite_case(suite, "start");

    tcase_add_test(tc, one_daemon_to_a_directory);
    tcase_add_test(tc, a_file_in_the_way_is_left_alone);
    tcase_add_test(tc, a_directory_that_others_can_write_is_refused);
    tcase_add_test(tc, bad_configuration_is_told_by_line);
    tcase_add_test(tc, a_daemon_that_cannot_say_that_it_is_ready_ends);
    tcase_add_test(tc, a_missing_worker_program_is_told_at_once);
    tcase_add_test(tc, a_journal_that_cannot_be_used);
    tcase_add_test(tc, nobody_there_is_told);
    tc = suite_case(suite, "end");
    tcase_add_test(tc, term_waits_for_what_runs);
    tcase_add_test(tc, term_does_not_cut_an_answer_short);
    tcase_add_test(tc, a_second_term_hurries);
    tcase_add_test(tc, kill_9_leaves_no_worker_and_the_next_one_serves);
    tcase_add_test(tc, the_library_connects_anew);
    tcase_add_test(tc, a_full_disk_for_the_log_hurts_nobody);
    tcase_add_test(tc, a_private_daemon_ends_with_its_last_client);
    return suite_run(suite);
}
