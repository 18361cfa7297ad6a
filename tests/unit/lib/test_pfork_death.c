/* SPDX-License-Identifier: MIT */
/*
 * test_pfork_death -- children that crash, exit, fail, hang, multiply, or are stopped: each tells in its own slot, and
 * the others are intact.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/lib/pfork_rig.h"

enum { N = 9, K = 5, NOBODY = 65534 };

static void spin(void)
{
    volatile unsigned n = 0;

    for (;;)
        n++;
}

/* Orphans come to this process: all of that group have been killed. */
static void ck_group_ends(pid_t group)
{
    int status;

    while (waitpid(-group, &status, 0) > 0)
        ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    ck_assert_int_eq(errno, ECHILD);
}

static double now_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* -- one of several ------------------------------------------------------------------------------------- */

/* Child K does that; the others give their numbers. */
static ptools_err die(int i, void *arg, ptools_child *child)
{
    const char *how = arg;
    const struct rlimit no_core = { 0, 0 };

    if (i != K)
        return give_index(i, NULL, child);
    setrlimit(RLIMIT_CORE, &no_core);
    if (strcmp(how, "segv") == 0) {
        signal(SIGSEGV, SIG_DFL); /* a sanitizer would exit instead */
        raise(SIGSEGV);
    } else if (strcmp(how, "kill") == 0) {
        kill(getpid(), SIGKILL);
    } else if (strcmp(how, "abort") == 0) {
        signal(SIGABRT, SIG_DFL);
        abort();
    } else if (strcmp(how, "exit 3") == 0) {
        exit(3);
    } else if (strcmp(how, "exit 0") == 0) {
        exit(0);
    } else if (strcmp(how, "_exit 7") == 0) {
        _exit(7);
    } else if (strcmp(how, "fail") == 0) {
        return ptools_child_fail(child, "no such %s", "luck");
    } else if (strcmp(how, "code") == 0) {
        return PTOOLS_ERR_RANGE;
    } else if (strcmp(how, "incomplete") == 0) {
        ptools_pack_list(ptools_child_result(child), 2);
        return PTOOLS_OK;
    } else {
        spin();
    }
    return PTOOLS_OK;
}

/* Runs it, and checks the other slots. */
static ptools_children *all_but_one(const char *how, ptools_err code, const ptools_pfork_options *options)
{
    ptools_children *c = pfork_as(code, N, die, (void *)(uintptr_t)how, options);

    for (int i = 1; i <= N; i++)
        if (i != K)
            ck_value(c, i, i);
    ck_code(c, K, code);
    ck_assert_int_eq(ptools_value_kind(outcome_of(c, K)->value), PTOOLS_NIL);
    ck_no_children();
    return c;
}

struct death {
    const char *how, *says;
    ptools_err code;
    int status, signal;
};

static const struct death deaths[] = {
    { "segv", "child 5 was killed by signal 11 (Segmentation fault)", PTOOLS_ERR_WORKER_DIED, -1, SIGSEGV },
    { "kill", "child 5 was killed by signal 9 (Killed)", PTOOLS_ERR_WORKER_DIED, -1, SIGKILL },
    { "abort", "child 5 was killed by signal 6 (Aborted)", PTOOLS_ERR_WORKER_DIED, -1, SIGABRT },
    { "exit 3", "child 5 exited with status 3 without a result", PTOOLS_ERR_WORKER_DIED, 3, 0 },
    { "exit 0", "child 5 exited with status 0 without a result", PTOOLS_ERR_WORKER_DIED, 0, 0 },
    { "_exit 7", "child 5 exited with status 7 without a result", PTOOLS_ERR_WORKER_DIED, 7, 0 },
    { "fail", "no such luck", PTOOLS_ERR_FAILED, -1, 0 },
    { "code", "the value does not fit", PTOOLS_ERR_FAILED, -1, 0 },
    { "incomplete", "the value of child 5 cannot be sent: its pack is incomplete", PTOOLS_ERR_INVALID, -1, 0 },
};

START_TEST(slot_k_tells)
{
    const struct death *d = &deaths[_i];
    ptools_children *c = all_but_one(d->how, d->code, NULL);

    ck_says(c, K, d->says);
    ck_assert_int_eq(outcome_of(c, K)->exit_status, d->status);
    ck_assert_int_eq(outcome_of(c, K)->signal, d->signal);
    ck_assert_int_gt(outcome_of(c, K)->pid, 0);
    ptools_children_free(c);
}
END_TEST

START_TEST(too_long)
{
    ptools_pfork_options o = PTOOLS_PFORK_OPTIONS_INIT;
    ptools_children *c;

    o.timeout_ms = 2000;
    c = all_but_one("spin", PTOOLS_ERR_DEADLINE, &o);
    ck_says(c, K, "child 5 was stopped, because its time (2000 ms) was over");
    ck_assert_int_eq(outcome_of(c, K)->signal, SIGKILL);
    ck_assert_uint_ge(outcome_of(c, K)->run_us, 2000000);
    ptools_children_free(c);
}
END_TEST

START_TEST(verdict)
{
    static char how[] = "exit 3";
    const char *why = "";

    ck_assert_int_eq(ptools_pfork(N, die, how, NULL, NULL, &why), PTOOLS_ERR_WORKER_DIED);
    ck_assert_str_eq(why,
                     "1 of 9 children did not succeed; the first, child 5: child 5 exited with status 3 without "
                          "a result");
}
END_TEST

/* Multiplies until the system says no; whatever has come into being waits for ever. */
static ptools_err multiply(int i, void *arg, ptools_child *child)
{
    int made = 0;
    pid_t pid;

    (void)arg;
    if (i != K)
        return give_index(i, NULL, child);
    if (setuid(NOBODY) < 0)
        return ptools_child_fail(child, "setuid: %s", strerror(errno));
    while ((pid = fork()) > 0)
        made++;
    if (pid == 0)
        for (;;)
            pause();
    return ptools_child_fail(child, "fork: %s after %s", strerror(errno), made > 0 ? "some" : "none");
}

START_TEST(fork_bomb)
{
    const ptools_pfork_limit limit = { RLIMIT_NPROC, 40, 40 };
    ptools_pfork_options o = PTOOLS_PFORK_OPTIONS_INIT;
    ptools_children *c;
    pid_t group;

    if (geteuid() != 0)
        return; /* the limit is one of a user, and this one's is not to be used up */
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    o.limits = &limit;
    o.n_limits = 1;
    c = pfork_as(PTOOLS_ERR_FAILED, N, multiply, NULL, &o);
    ck_code(c, K, PTOOLS_ERR_FAILED);
    ck_says(c, K, "fork: Resource temporarily unavailable after some");
    for (int i = 1; i <= N; i++)
        if (i != K)
            ck_value(c, i, i);
    group = outcome_of(c, K)->pid;
    ptools_children_free(c);
    ck_group_ends(group);
    ck_no_children();
}
END_TEST

/* -- stopping ----------------------------------------------------------------------------------------------- */

/* Child 2 fails, once three others are there, the third in the place of child 1; these would spin. ints: who has come.
 */
static ptools_err second_fails(int i, void *arg, ptools_child *child)
{
    int *ints = arg;

    if (i == 1)
        return give_index(i, NULL, child);
    if (i != 2) {
        set_and_wake(&ints[i], 1);
        spin();
    }
    for (int k = 3; k <= 5; k++)
        await_change(&ints[k], 0);
    return ptools_child_fail(child, "bad");
}

START_TEST(fail_fast)
{
    ptools_pfork_options o = PTOOLS_PFORK_OPTIONS_INIT;
    int *ints = shared_ints(6);
    ptools_children *c;

    o.flags = PTOOLS_PFORK_FAIL_FAST;
    o.at_once = 4;
    c = pfork_as(PTOOLS_ERR_FAILED, 8, second_fails, ints, &o);
    ck_value(c, 1, 1);
    ck_code(c, 2, PTOOLS_ERR_FAILED);
    for (int i = 3; i <= 5; i++) {
        ck_code(c, i, PTOOLS_ERR_CANCELLED);
        ck_says(c, i, "was stopped, because child 2 did not succeed");
    }
    for (int i = 6; i <= 8; i++) {
        ck_code(c, i, PTOOLS_ERR_NOT_RUN);
        ck_says(c, i, "was not begun, because child 2 did not succeed");
        ck_assert_int_eq(outcome_of(c, i)->pid, 0);
    }
    ptools_children_free(c);
    shared_free(ints, 6);
    ck_no_children();
}
END_TEST

static ptools_err first_is_quick(int i, void *arg, ptools_child *child)
{
    (void)arg;
    if (i > 1)
        spin();
    return give_index(i, NULL, child);
}

START_TEST(time_for_all)
{
    ptools_pfork_options o = PTOOLS_PFORK_OPTIONS_INIT;
    double began = now_s();
    ptools_children *c;

    o.timeout_all_ms = 2000;
    o.timeout_ms = 100000;
    o.at_once = 2;
    c = pfork_as(PTOOLS_ERR_DEADLINE, 5, first_is_quick, NULL, &o);
    ck_assert_double_ge(now_s() - began, 2.0);
    ck_value(c, 1, 1);
    for (int i = 2; i <= 3; i++) {
        ck_code(c, i, PTOOLS_ERR_DEADLINE);
        ck_says(c, i, "was stopped, because the time for all (2000 ms) was over");
    }
    for (int i = 4; i <= 5; i++) {
        ck_code(c, i, PTOOLS_ERR_NOT_RUN);
        ck_says(c, i, "was not begun, because the time for all (2000 ms) was over");
    }
    ptools_children_free(c);
    ck_no_children();
}
END_TEST

static bool enough(const ptools_child_outcome *outcome, const ptools_pfork_progress *progress, void *arg)
{
    (void)arg;
    ck_assert(outcome->index == 1 || outcome->code == PTOOLS_ERR_CANCELLED);
    return progress->done > 1;
}

/* Child 1 ends when the last has begun; the rest would spin. */
static ptools_err first_waits_for_last(int i, void *arg, ptools_child *child)
{
    if (i == ptools_child_count(child))
        set_and_wake(arg, 1);
    if (i > 1)
        spin();
    await_change(arg, 0);
    return give_index(i, NULL, child);
}

START_TEST(stopped_by_callback)
{
    ptools_pfork_options o = PTOOLS_PFORK_OPTIONS_INIT;
    int *begun = shared_ints(1);
    ptools_children *c;

    o.on_done = enough;
    c = pfork_as(PTOOLS_ERR_CANCELLED, 4, first_waits_for_last, begun, &o);
    ck_value(c, 1, 1);
    for (int i = 2; i <= 4; i++) {
        ck_code(c, i, PTOOLS_ERR_CANCELLED);
        ck_says(c, i, "because the caller wished so when child 1 had ended");
    }
    ptools_children_free(c);
    shared_free(begun, 1);
    ck_no_children();
}
END_TEST

static ptools_err last_asks_to_stop(int i, void *arg, ptools_child *child)
{
    const uint64_t one = 1;

    if (i == ptools_child_count(child) && write(*(int *)arg, &one, sizeof one) != sizeof one)
        return PTOOLS_ERR_SYSTEM;
    spin();
    return PTOOLS_OK;
}

START_TEST(stopped_by_descriptor)
{
    ptools_pfork_options o = PTOOLS_PFORK_OPTIONS_INIT;
    int fd = eventfd(0, EFD_CLOEXEC);
    uint64_t count;
    ptools_children *c;

    o.flags = PTOOLS_PFORK_STOP_FD;
    o.stop_fd = fd;
    c = pfork_as(PTOOLS_ERR_CANCELLED, 4, last_asks_to_stop, &fd, &o);
    for (int i = 1; i <= 4; i++) {
        ck_code(c, i, PTOOLS_ERR_CANCELLED);
        ck_says(c, i, "was stopped, because the caller wished so");
    }
    ptools_children_free(c);
    c = pfork_as(PTOOLS_ERR_NOT_RUN, 4, give_index, NULL, &o); /* it is still readable */
    for (int i = 1; i <= 4; i++)
        ck_code(c, i, PTOOLS_ERR_NOT_RUN);
    ptools_children_free(c);
    ck_assert_int_eq(read(fd, &count, sizeof count), sizeof count); /* nobody has read from it */
    close(fd);
    ck_no_children();
}
END_TEST

/* -- families ------------------------------------------------------------------------------------------------ */

/* The child ends; what it has started would go on for ever, with all its pipes. arg: it goes to a session of its own.
 */
static ptools_err leave_a_child(int i, void *arg, ptools_child *child)
{
    int ready[2];
    pid_t pid;
    char byte;

    (void)i;
    if (pipe(ready) < 0)
        return PTOOLS_ERR_SYSTEM;
    pid = fork();
    if (pid == 0) {
        if (arg)
            setsid();
        if (write(ready[1], "", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    if (read(ready[0], &byte, 1) != 1)
        return PTOOLS_ERR_SYSTEM;
    ptools_pack_i64(ptools_child_result(child), pid);
    return PTOOLS_OK;
}

START_TEST(grandchildren_of_the_group)
{
    ptools_pfork_options o = PTOOLS_PFORK_OPTIONS_INIT;
    ptools_children *c;

    prctl(PR_SET_CHILD_SUBREAPER, 1);
    o.output = PTOOLS_PFORK_CAPTURE;
    c = pfork_as(PTOOLS_OK, 3, leave_a_child, NULL, &o);
    for (int i = 1; i <= 3; i++)
        ck_group_ends(outcome_of(c, i)->pid);
    ptools_children_free(c);
    ck_no_children();
}
END_TEST

START_TEST(grandchildren_elsewhere)
{
    ptools_pfork_options o = PTOOLS_PFORK_OPTIONS_INIT;
    ptools_children *c;

    prctl(PR_SET_CHILD_SUBREAPER, 1);
    o.output = PTOOLS_PFORK_CAPTURE;
    c = pfork_as(PTOOLS_OK, 3, leave_a_child, &o, &o);
    for (int i = 1; i <= 3; i++) {
        ck_assert_int_eq(kill((pid_t)value_of(c, i), SIGKILL), 0);
        ck_group_ends((pid_t)value_of(c, i));
    }
    ptools_children_free(c);
    ck_no_children();
}
END_TEST

static ptools_err hold_pipe(int i, void *arg, ptools_child *child)
{
    (void)child;
    if (write(*(int *)arg, &i, sizeof i) != sizeof i)
        return PTOOLS_ERR_SYSTEM;
    spin();
    return PTOOLS_OK;
}

/* Its children hold the writing end of a pipe: its end of file is their death. */
START_TEST(caller_killed)
{
    struct pollfd p = { .events = POLLIN };
    int ends[2], i, status;
    pid_t caller;

    ck_assert_int_eq(pipe(ends), 0);
    caller = fork();
    ck_assert_int_ge(caller, 0);
    if (caller == 0) {
        close(ends[0]);
        ptools_pfork(6, hold_pipe, &ends[1], NULL, NULL, NULL);
        _exit(0);
    }
    close(ends[1]);
    for (int k = 0; k < 6; k++)
        ck_assert_int_eq(read(ends[0], &i, sizeof i), sizeof i);
    kill(caller, SIGKILL);
    ck_assert_int_eq(waitpid(caller, &status, 0), caller);
    p.fd = ends[0];
    ck_assert_int_eq(poll(&p, 1, 60000), 1);
    ck_assert_int_eq(read(ends[0], &i, sizeof i), 0);
    close(ends[0]);
}
END_TEST

/* -- junk ------------------------------------------------------------------------------------------------------ */

/* Writes to every pipe that it finds, as a stray pointer to a descriptor would. */
static ptools_err write_junk(int i, void *arg, ptools_child *child)
{
    const char *junk = arg;

    if (i != K)
        return give_index(i, NULL, child);
    for (int fd = 3; fd < 64; fd++)
        if (fcntl(fd, F_GETFL) >= 0 && (fcntl(fd, F_GETFL) & O_ACCMODE) == O_WRONLY && lseek(fd, 0, SEEK_CUR) < 0 &&
            errno == ESPIPE && write(fd, junk, strlen(junk)) < 0)
            return PTOOLS_ERR_SYSTEM;
    return give_index(i, NULL, child);
}

START_TEST(junk_in_the_pipe)
{
    static char junk[2][48] = { "x", "something that is long enough for a frame" };
    ptools_children *c = pfork_as(PTOOLS_ERR_FAILED, N, write_junk, junk[_i], NULL);

    for (int i = 1; i <= N; i++)
        if (i != K)
            ck_value(c, i, i);
    ck_code(c, K, PTOOLS_ERR_FAILED);
    ck_says(c, K, "child 5 wrote something into the pipe of its result that is no value");
    ptools_children_free(c);
    ck_no_children();
}
END_TEST

/* Its descriptors are gone, and a file of its own has the number of one. */
static ptools_err replace_descriptors(int i, void *arg, ptools_child *child)
{
    if (i == K) {
        closefrom(3);
        for (int fd = 0; fd < 64; fd = fcntl(fd, F_DUPFD, 3))
            if (fd < 0 || (fd == 0 && (fd = open(arg, O_RDWR)) < 0))
                return PTOOLS_ERR_SYSTEM;
    }
    return give_index(i, NULL, child);
}

START_TEST(descriptors_replaced)
{
    char path[] = "/tmp/test-pfork-XXXXXX";
    int fd = mkstemp(path);
    ptools_children *c;

    ck_assert_int_ge(fd, 0);
    c = pfork_as(PTOOLS_ERR_WORKER_DIED, N, replace_descriptors, path, NULL);
    for (int i = 1; i <= N; i++)
        if (i != K)
            ck_value(c, i, i);
    ck_code(c, K, PTOOLS_ERR_WORKER_DIED);
    ck_says(c, K, "child 5 exited with status 0 without a result");
    ck_assert_int_eq(lseek(fd, 0, SEEK_END), 0); /* and it is not in that file */
    ptools_children_free(c);
    close(fd);
    unlink(path);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("pfork_death");
    TCase *tc = suite_case(s, "one");

    tcase_add_loop_test(tc, slot_k_tells, 0, (int)(sizeof deaths / sizeof deaths[0]));
    tcase_add_test(tc, too_long);
    tcase_add_test(tc, verdict);
    tcase_add_test(tc, fork_bomb);
    tc = suite_case(s, "stopping");
    tcase_add_test(tc, fail_fast);
    tcase_add_test(tc, time_for_all);
    tcase_add_test(tc, stopped_by_callback);
    tcase_add_test(tc, stopped_by_descriptor);
    tc = suite_case(s, "families");
    tcase_add_test(tc, grandchildren_of_the_group);
    tcase_add_test(tc, grandchildren_elsewhere);
    tcase_add_test(tc, caller_killed);
    tc = suite_case(s, "junk");
    tcase_add_loop_test(tc, junk_in_the_pipe, 0, 2);
    tcase_add_test(tc, descriptors_replaced);
    return suite_run(s);
}
