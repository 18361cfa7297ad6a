/* SPDX-License-Identifier: MIT */
/*
 * Commands that do not end by themselves, or leave something behind: how they are stopped, and that nothing of them
 * goes on, whatever they do, and whoever dies. And commands as items of a map.
 */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <ptools/pmap.h>

#include "tests/integration/commands_rig.h"
#include "tests/support/suite.h"

enum { WORKERS = 2, WAIT_MS = 60000, KEPT_FDS = 5 };

static struct commands_rig rig;
static struct command c;

static void up(void)
{
    commands_up(&rig, WORKERS);
}

static void down(void)
{
    commands_down(&rig, WORKERS);
}

static uint64_t deaths(void)
{
    ptools_worker_info *workers = NULL;
    uint64_t sum = 0;
    size_t n = 0;

    ck_assert_ptools(ptools_workers(rig.pt, &workers, &n));
    for (size_t i = 0; i < n; i++)
        sum += workers[i].deaths;
    free(workers);
    return sum;
}

/* -- stopping ------------------------------------------------------------------------------------------------ */

static ptools_future *start(void)
{
    ptools_future *f = NULL;

    ck_assert_ptools(ptools_remotecall(rig.pt, NULL, "command.run", command_args(&c), NULL, &f));
    ck_assert_int_eq(ptools_future_wait(f, 0), PTOOLS_ERR_TIMEOUT);
    return f;
}

static void cancel(ptools_future *take_f)
{
    ck_assert_ptools(ptools_future_cancel(take_f));
    ck_assert_ptools(ptools_future_wait(take_f, WAIT_MS));
    ck_assert_int_eq(ptools_future_failure(take_f)->code, PTOOLS_ERR_CANCELLED);
    ptools_future_free(take_f);
    command_free(&c);
}

#define TELL "echo $$ > pid.new; mv pid.new pid; "

/* It may clean up, and so may what it has started; the worker lives. */
START_TEST(cancelled_gracefully)
{
    ptools_future *f;
    char *text;
    pid_t pid;

    command_sh(&c, "sh -c 'trap \"sleep 0.1; echo child >> ended; exit\" TERM; while :; do sleep 0.01; done' & "
                   "trap 'echo parent >> ended; exit' TERM; " TELL "while :; do sleep 0.01; done");
    command_str(&c, "cwd", rig.dir);
    f = start();
    pid = command_pid_in(commands_in_dir(&rig, "pid"));
    cancel(f);
    command_pid_gone(pid);
    server_whole(rig.pt, WORKERS);
    ck_assert_uint_eq(deaths(), 0);
    text = slurp(commands_in_dir(&rig, "ended"));
    ck_assert_msg(strstr(text, "parent\n") && strstr(text, "child\n"), "%s", text);
    free(text);
}
END_TEST

/* It is killed after the grace, with what it has started, wherever that went. */
START_TEST(ignores_sigterm)
{
    ptools_future *f;
    pid_t pid, child;

    command_sh(&c, "trap '' TERM; setsid sh -c 'trap \"\" TERM; echo $$ > child.new; mv child.new child; "
                   "while :; do sleep 1; done' & " TELL "while :; do sleep 1; done");
    command_str(&c, "cwd", rig.dir);
    f = start();
    pid = command_pid_in(commands_in_dir(&rig, "pid"));
    child = command_pid_in(commands_in_dir(&rig, "child"));
    cancel(f);
    command_pid_gone(pid);
    command_pid_gone(child);
    server_whole(rig.pt, WORKERS);
    command_begin(&c, "echo", "next", NULL);
    command_prints(rig.pt, &c, "next\n");
}
END_TEST

/* The daemon's grace is half a second; this one needs longer, and gets it. Another is given less. */
START_TEST(grace)
{
    ptools_call_options options = PTOOLS_CALL_OPTIONS_INIT;
    ptools_future *f = NULL;
    char *text;
    pid_t pid;

    options.grace_ms = WAIT_MS;
    command_sh(&c, "trap 'sleep 0.8; echo slowly > ended; exit' TERM; " TELL "while :; do sleep 0.01; done");
    command_str(&c, "cwd", rig.dir);
    ck_assert_ptools(ptools_remotecall(rig.pt, NULL, "command.run", command_args(&c), &options, &f));
    pid = command_pid_in(commands_in_dir(&rig, "pid"));
    cancel(f);
    command_pid_gone(pid);
    text = slurp(commands_in_dir(&rig, "ended"));
    ck_assert_str_eq(text, "slowly\n");
    free(text);
    server_whole(rig.pt, WORKERS);
    ck_assert_uint_eq(deaths(), 0);
    unlink(commands_in_dir(&rig, "pid"));
    options.grace_ms = 1;
    command_sh(&c, "trap '' TERM; " TELL "while :; do sleep 0.01; done");
    command_str(&c, "cwd", rig.dir);
    ck_assert_ptools(ptools_remotecall(rig.pt, NULL, "command.run", command_args(&c), &options, &f));
    pid = command_pid_in(commands_in_dir(&rig, "pid"));
    cancel(f);
    command_pid_gone(pid);
    options.grace_ms = -1;
    command_begin(&c, "true", NULL);
    ck_assert_err(ptools_remotecall(rig.pt, NULL, "command.run", command_args(&c), &options, &f), PTOOLS_ERR_INVALID);
    command_free(&c);
}
END_TEST

START_TEST(deadline)
{
    ptools_call_options options = PTOOLS_CALL_OPTIONS_INIT;
    ptools_err err;

    options.deadline_ms = 100;
    command_sh(&c, "echo before; exec sleep 100");
    err = ptools_remotecall_fetch(rig.pt, NULL, "command.run", command_args(&c), &options, WAIT_MS, NULL, NULL);
    ck_assert_err(err, PTOOLS_ERR_DEADLINE);
    ck_assert_str_eq(ptools_last_failure(rig.pt)->log, "before\n");
    command_free(&c);
    ck_assert_uint_eq(deaths(), 0);
}
END_TEST

/* What it leaves running ends with it, and holds nothing up. */
START_TEST(forks_away)
{
    ptools_future *f = NULL;
    ptools_value v;
    pid_t pid;

    command_sh(&c, "setsid sh -c '(echo $BASHPID $$ > pid.new; mv pid.new pid; exec sleep 1000) &' & "
                   "while ! test -e pid; do sleep 0.01; done; echo done");
    command_str(&c, "cwd", rig.dir);
    v = command_value(rig.pt, &c, &f);
    value_is(v, "out", "done\n");
    ptools_future_free(f);
    command_free(&c);
    command_sh(&c, "setsid sh -c 'trap \"\" TERM HUP; " TELL "while :; do sleep 1; done' & "
                   "while ! test -e pid; do sleep 0.01; done; echo done");
    unlink(commands_in_dir(&rig, "pid"));
    command_str(&c, "cwd", rig.dir);
    v = command_value(rig.pt, &c, &f);
    pid = command_pid_in(commands_in_dir(&rig, "pid"));
    ck_assert_int_eq(kill(pid, 0), -1);
    ck_assert_int_eq(errno, ESRCH);
    ptools_future_free(f);
    command_free(&c);
    ck_assert_uint_eq(deaths(), 0);
}
END_TEST

/* A worker that dies takes its command with it. */
START_TEST(worker_dies)
{
    ptools_future *f;
    pid_t pid, child;

    command_sh(
        &c, "setsid sh -c 'trap \"\" TERM; echo $$ > child.new; mv child.new child; while :; do sleep 1; done' & " TELL
            "while test ! -e child; do sleep 0.01; done; kill -9 $PPID; while :; do sleep 1; done");
    command_str(&c, "cwd", rig.dir);
    f = start();
    pid = command_pid_in(commands_in_dir(&rig, "pid"));
    child = command_pid_in(commands_in_dir(&rig, "child"));
    ck_assert_ptools(ptools_future_wait(f, WAIT_MS));
    ck_assert_int_eq(ptools_future_failure(f)->code, PTOOLS_ERR_WORKER_DIED);
    ptools_future_free(f);
    command_free(&c);
    command_pid_gone(pid);
    command_pid_gone(child);
}
END_TEST

/* -- maps ---------------------------------------------------------------------------------------------------------- */

static int next_item(ptools_pack *args, void *arg)
{
    int *n = arg;
    char script[64];

    if (*n == 100)
        return 0;
    snprintf(script, sizeof script, "echo item %d; exit %d", *n, *n % 10 == 9 ? 3 : 0);
    ptools_pack_map(args, 1);
    ptools_pack_str(args, "argv");
    ptools_pack_list(args, 3);
    ptools_pack_str(args, "sh");
    ptools_pack_str(args, "-c");
    ptools_pack_str(args, script);
    ++*n;
    return 1;
}

static int see_item(const ptools_item *item, void *arg)
{
    const uint64_t i = item->index - *(const uint64_t *)arg;
    char expected[32];

    snprintf(expected, sizeof expected, "item %" PRIu64 "\n", i);
    if (i % 10 == 9) {
        ck_assert_int_eq(item->err, PTOOLS_ERR_EXITED);
        ck_assert_int_eq(item->failure->exit_status, 3);
        ck_assert_int_eq(item->failure->signal, 0);
        ck_assert_str_eq(item->failure->message, "sh: exited with status 3");
        ck_assert_str_eq(item->failure->log, expected);
        ck_assert_uint_gt(item->failure->run_us, 0);
    } else {
        ck_assert_msg(item->err == PTOOLS_OK, "%s", item->failure ? item->failure->message : "");
        value_is(item->value, "out", expected);
        ck_assert(!value_has(item->value, "err")); /* captured: merge */
    }
    return 0;
}

static void map(uint32_t flags)
{
    ptools_pmap_options options = PTOOLS_PMAP_OPTIONS_INIT;
    ptools_pack *captured = ptools_pack_new();
    uint64_t first = 0;
    int n = 0;

    ptools_pack_map(captured, 2);
    ptools_pack_str(captured, "merge");
    ptools_pack_bool(captured, true);
    ptools_pack_str(captured, "cwd");
    ptools_pack_str(captured, "/");
    options.captured = captured;
    options.flags = flags;
    ck_assert_err(ptools_pmap_each_from(rig.pt, "command.run", next_item, &n, &options, see_item, &first),
                  PTOOLS_ERR_PARTS);
    ptools_pack_free(captured);
    ck_assert_uint_eq(deaths(), 0);
}

/* How many descriptors the workers have open together. */
static unsigned open_descriptors(void)
{
    ptools_worker_info *workers = NULL;
    unsigned sum = 0;
    char path[64];
    size_t n = 0;

    server_whole(rig.pt, WORKERS);
    ck_assert_ptools(ptools_workers(rig.pt, &workers, &n));
    for (size_t i = 0; i < n; i++) {
        DIR *fds;

        snprintf(path, sizeof path, "/proc/%d/fd", (int)workers[i].pid);
        fds = opendir(path);
        ck_assert_ptr_nonnull(fds);
        while (readdir(fds))
            sum++;
        closedir(fds);
    }
    free(workers);
    return sum;
}

/* What a worker has opened for its first command it keeps, and that is all. */
START_TEST(items)
{
    unsigned first;

    map(0);
    first = open_descriptors();
    for (int i = 0; i < 3; i++)
        map(0);
    ck_assert_uint_le(open_descriptors(), first + KEPT_FDS); /* one may have had no item the first time */
}
END_TEST

/* Each item finds its program by its own PATH, also one that was replaced between two items. */
static int next_program(ptools_pack *args, void *arg)
{
    int *n = arg;
    char path[160];

    if (*n == 20)
        return 0;
    snprintf(path, sizeof path, "PATH=%s/%c:/usr/bin:/bin", rig.dir, *n % 5 == 4 ? 'b' : 'a');
    ptools_pack_map(args, 2);
    ptools_pack_str(args, "argv");
    ptools_pack_list(args, 1);
    ptools_pack_str(args, "here");
    ptools_pack_str(args, "set_env");
    ptools_pack_list(args, 1);
    ptools_pack_str(args, path);
    ++*n;
    return 1;
}

static int see_program(const ptools_item *item, void *arg)
{
    const uint64_t i = item->index - *(const uint64_t *)arg;

    ck_assert_msg(item->err == PTOOLS_OK, "%s", item->failure ? item->failure->message : "");
    value_is(item->value, "out", i % 5 == 4 ? "b\n" : i == 0 ? "a\n" : "b\n");
    return 0;
}

static void write_program(const char *dir, const char *text)
{
    char path[160];
    FILE *f;

    snprintf(path, sizeof path, "%s/%s", rig.dir, dir);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    strcat(path, "/here");
    f = fopen(path, "we");
    ck_assert_ptr_nonnull(f);
    fputs(text, f);
    fclose(f);
    ck_assert_int_eq(chmod(path, 0700), 0);
}

START_TEST(programs_of_items)
{
    ptools_pmap_options options = PTOOLS_PMAP_OPTIONS_INIT;
    uint64_t first = 0;
    int n = 0;

    write_program("a", "#!/bin/sh\necho a\nrm $0; ln -s ../b/here $0\n");
    write_program("b", "#!/bin/sh\necho b\n");
    options.batch_size = 20;
    ck_assert_ptools(ptools_pmap_each_from(rig.pt, "command.run", next_program, &n, &options, see_program, &first));
}
END_TEST

/* A program that lies in b of a:b, and of which the first item puts another into a. */
static int same_program(ptools_pack *args, void *arg)
{
    int *n = arg;
    char path[280];

    if (*n == 4)
        return 0;
    snprintf(path, sizeof path, "PATH=%s/a:%s/b:/usr/bin:/bin", rig.dir, rig.dir);
    ptools_pack_map(args, 2);
    ptools_pack_str(args, "argv");
    ptools_pack_list(args, 1);
    ptools_pack_str(args, "here");
    ptools_pack_str(args, "set_env");
    ptools_pack_list(args, 1);
    ptools_pack_str(args, path);
    ++*n;
    return 1;
}

static int see_letter(const ptools_item *item, void *arg)
{
    ck_assert_msg(item->err == PTOOLS_OK, "%s", item->failure ? item->failure->message : "");
    value_is(item->value, "out", arg);
    return 0;
}

/* A worker looks for a program once in a run, in whatever batches its items come; and anew in the next run. */
START_TEST(programs_of_a_run)
{
    ptools_pmap_options options = PTOOLS_PMAP_OPTIONS_INIT;
    const uint32_t one = 1;
    char letter[] = "b\n", root[] = "/\n", text[400];
    int n = 0;

    snprintf(text, sizeof text, "#!/bin/sh\necho b\nln -s /bin/pwd %s/a/here 2>/dev/null || :\n", rig.dir);
    write_program("b", text);
    snprintf(text, sizeof text, "%s/a", rig.dir);
    ck_assert_int_eq(mkdir(text, 0700), 0);
    options.batch_size = 1;
    ck_assert_ptools(ptools_workerset_create(rig.pt, NULL, &one, 1, PTOOLS_WS_FF, &options.set));
    ck_assert_ptools(ptools_pmap_each_from(rig.pt, "command.run", same_program, &n, &options, see_letter, letter));
    n = 0;
    ck_assert_ptools(ptools_pmap_each_from(rig.pt, "command.run", same_program, &n, &options, see_letter, root));
    options.set = ptools_workerset_free(options.set);
}
END_TEST

START_TEST(isolated_items)
{
    map(PTOOLS_PMAP_ISOLATED);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("commands_stop");
    TCase *t = suite_case(s, "commands_stop");

    tcase_add_checked_fixture(t, up, down);
    tcase_set_timeout(t, 120);
    tcase_add_test(t, cancelled_gracefully);
    tcase_add_test(t, ignores_sigterm);
    tcase_add_test(t, grace);
    tcase_add_test(t, deadline);
    tcase_add_test(t, forks_away);
    tcase_add_test(t, worker_dies);
    tcase_add_test(t, items);
    tcase_add_test(t, programs_of_items);
    tcase_add_test(t, programs_of_a_run);
    tcase_add_test(t, isolated_items);
    suite_add_tcase(s, t);
    return suite_run(s);
}
