/* SPDX-License-Identifier: MIT */
/*
 * test_pfork_world -- pfork in a process that has a life of its own: streams, handlers, descriptors, signals.
 * Nothing is left behind, nothing is done twice, and what runs out is told or waited for.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>
#include <wchar.h>

#include "tests/unit/lib/pfork_rig.h"

enum { NOBODY = 65534 };

static int count_entries(const char *path)
{
    DIR *dir = opendir(path);
    int n = 0;

    if (!dir)
        return -1;
    while (readdir(dir))
        n++;
    closedir(dir);
    return n;
}

/* It opens descriptors of its own, flushes all streams when a process ends, and has no pidfd: each death is noticed
 * late. */
static bool under_valgrind(void)
{
    return getenv("PTOOLS_TEST_VALGRIND");
}

/* Something maps memory for its own use. */
static bool is_checked(void)
{
#if defined(__SANITIZE_ADDRESS__)
    return true;
#else
    return under_valgrind();
#endif
}

/* Runs it in a process of its own, which must end well; what it wrote to stdout is the text. */
static void in_process(void (*fn)(void), char *text, size_t room)
{
    int ends[2], status;
    size_t n = 0;
    ssize_t got;
    pid_t pid;

    ck_assert_int_eq(pipe(ends), 0);
    pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        dup2(ends[1], STDOUT_FILENO);
        close(ends[0]);
        close(ends[1]);
        fn();
        fflush(stdout);
        _exit(0); /* what looks for leaks at exit() may lack processes and descriptors by now */
    }
    close(ends[1]);
    while ((got = read(ends[0], text + n, room - 1 - n)) > 0)
        n += (size_t)got;
    text[n] = '\0';
    close(ends[0]);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "it ended with status 0x%x and said \"%s\"", status,
                  text);
}

/* -- nothing is left -------------------------------------------------------------------------------------- */

struct world {
    int descriptors, mappings;
    size_t heap;
};

static void look(struct world *ret)
{
    FILE *maps = fopen(is_checked() ? "/dev/null" : "/proc/self/maps", "re");

    *ret = (struct world){ .descriptors = count_entries("/proc/self/fd"), .heap = mallinfo2().uordblks };
    ck_assert_ptr_nonnull(maps);
    for (int c; (c = getc(maps)) != EOF;)
        ret->mappings += c == '\n';
    fclose(maps);
}

static ptools_err list_and_large(int i, void *arg, ptools_child *child)
{
    static char large[70000];
    ptools_pack *p = ptools_child_result(child);

    (void)arg;
    if (i == 2)
        return ptools_child_fail(child, "as it should");
    if (i == 1)
        ptools_pack_i64(p, i);
    ptools_pack_bytes(p, large, i == 3 ? sizeof large : 1);
    puts("something");
    return PTOOLS_OK;
}

static ptools_err never_called(int i, ptools_array *const *arrays, void *arg, ptools_child *child)
{
    (void)i;
    (void)arrays;
    (void)arg;
    return ptools_child_fail(child, "there are no children");
}

static void leave_nothing(void)
{
    const ptools_shmcfg cfg = PTOOLS_SHMCFG("r", PTOOLS_INT64, 100);
    ptools_pfork_options o = PTOOLS_PFORK_OPTIONS_INIT;
    struct world before, after;

    o.output = PTOOLS_PFORK_CAPTURE;
    o.errors = PTOOLS_PFORK_DISCARD;
    for (int round = 0; round < (under_valgrind() ? 50 : 1000); round++) {
        ptools_children *c = pfork_as(PTOOLS_ERR_FAILED, 4, list_and_large, NULL, &o);

        ptools_children_free(c);
        if (round == 9)
            look(&before); /* what is made once and kept, is there */
    }
    look(&after);
    ck_assert_int_eq(after.descriptors, before.descriptors);
    ck_assert_int_eq(after.mappings, before.mappings);
    ck_assert_uint_lt(after.heap, before.heap + 4000); /* less than a pointer a call: malloc's own lists differ */
    ck_no_children();
    for (int round = 0; round < 100; round++) {
        ptools_array *a;

        ck_assert_int_eq(ptools_pfork_shm(0, &cfg, 1, never_called, NULL, &o, &a, NULL, NULL), PTOOLS_OK);
        ptools_array_free(a);
    }
    look(&after);
    ck_assert_int_eq(after.descriptors, before.descriptors);
    ck_assert_int_eq(after.mappings, before.mappings);
}

START_TEST(thousand_calls)
{
    char text[1000];

    in_process(leave_nothing, text, sizeof text);
    ck_assert_str_eq(text, "");
}
END_TEST

/* How many descriptors are open besides those from before. */
static ptools_err count_descriptors(int i, void *arg, ptools_child *child)
{
    int n = count_entries("/proc/self/fd") - *(int *)arg, pipes = 0;

    (void)i;
    for (int fd = 3; fd < 1000; fd++) {
        struct stat st;

        pipes += fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode);
    }
    ptools_pack_i64(ptools_child_result(child), n * 100 + pipes);
    return PTOOLS_OK;
}

START_TEST(no_pipe_of_a_sibling)
{
    ptools_pfork_options o = PTOOLS_PFORK_OPTIONS_INIT;
    int before = count_entries("/proc/self/fd"), pipes = 0;
    ptools_children *c;

    for (int fd = 3; fd < 1000; fd++) {
        struct stat st;

        pipes += fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode);
    }
    c = pfork_as(PTOOLS_OK, 60, count_descriptors, &before, NULL);
    for (int i = 1; i <= 60; i++)
        ck_value(c, i, 100 + pipes + 1); /* the one of its result */
    ptools_children_free(c);
    o.output = o.errors = PTOOLS_PFORK_CAPTURE;
    o.at_once = 7;
    c = pfork_as(PTOOLS_OK, 60, count_descriptors, &before, &o);
    for (int i = 1; i <= 60; i++)
        ck_value(c, i, 100 + pipes + 1);
    ptools_children_free(c);
    /* descriptors far apart, so that there are many runs of them */
    for (int fd = 10; fd < 300; fd += 2)
        ck_assert_int_ge(fcntl(0, F_DUPFD, fd), fd);
    before = count_entries("/proc/self/fd");
    c = pfork_as(PTOOLS_OK, 60, count_descriptors, &before, NULL);
    for (int i = 1; i <= 60; i++)
        ck_assert_int_eq(value_of(c, i) / 100, 1);
    ptools_children_free(c);
    for (int fd = 10; fd < 300; fd += 2)
        close(fd);
}
END_TEST

/* -- streams and handlers ---------------------------------------------------------------------------------- */

static void at_exit(void)
{
    printf("handler\n");
}

static ptools_err talk(int i, void *arg, ptools_child *child)
{
    (void)arg;
    (void)child;
    printf("child %d\n", i);
    if (i == 2)
        exit(0);
    return PTOOLS_OK;
}

static void talk_before_and_after(void)
{
    static char buffer[200];
    ptools_pfork_options o = PTOOLS_PFORK_OPTIONS_INIT;
    FILE *file = fopen("/proc/self/fd/1", "w"); /* another stream, with something in its buffer */

    setvbuf(file, buffer, _IOFBF, sizeof buffer);
    fputs("file\n", file);
    atexit(at_exit);
    printf("before\n");
    o.at_once = 1;
    ptools_children_free(pfork_as(PTOOLS_ERR_WORKER_DIED, 3, talk, NULL, &o));
    printf("after\n");
    fflush(stdout);
    fclose(file);
    exit(0);
}

START_TEST(nothing_twice)
{
    char text[1000];

    if (under_valgrind())
        return;
    in_process(talk_before_and_after, text, sizeof text);
    ck_assert_str_eq(text, "before\nchild 1\nchild 2\nchild 3\nafter\nfile\nhandler\n");
}
END_TEST

static ptools_err talk_wide(int i, void *arg, ptools_child *child)
{
    (void)arg;
    (void)child;
    wprintf(L"child %d\n", i);
    return PTOOLS_OK;
}

static bool complain(const ptools_child_outcome *outcome, const ptools_pfork_progress *progress, void *arg)
{
    (void)progress;
    (void)arg;
    fprintf(stderr, "%d has ended\n", outcome->index);
    return true;
}

/* Wide characters wait elsewhere than others; and what on_done leaves in a buffer is not for the next child. */
static void talk_wide_between(void)
{
    static char buffer[200];
    ptools_pfork_options o = PTOOLS_PFORK_OPTIONS_INIT;

    ck_assert_ptr_nonnull(freopen("/proc/self/fd/1", "w", stdout)); /* bytes or wide characters: that is open again */
    dup2(STDOUT_FILENO, STDERR_FILENO);
    setvbuf(stderr, buffer, _IOFBF, sizeof buffer);
    wprintf(L"before\n");
    o.at_once = 1;
    o.on_done = complain;
    ptools_children_free(pfork_as(PTOOLS_OK, 2, talk_wide, NULL, &o));
    fflush(stderr);
}

START_TEST(nothing_twice_or_never)
{
    char text[1000];

    in_process(talk_wide_between, text, sizeof text);
    ck_assert_str_eq(text, "before\nchild 1\nchild 2\n1 has ended\n2 has ended\n");
}
END_TEST

static void without_standard_streams(void)
{
    ptools_pfork_options o = PTOOLS_PFORK_OPTIONS_INIT;
    int out = fcntl(1, F_DUPFD, 10);
    ptools_children *c;

    for (int fd = 0; fd <= 2; fd++)
        close(fd);
    c = pfork_as(PTOOLS_OK, 3, give_index, NULL, NULL);
    for (int i = 1; i <= 3; i++)
        ck_value(c, i, i);
    ptools_children_free(c);
    o.output = o.errors = PTOOLS_PFORK_CAPTURE;
    c = pfork_as(PTOOLS_ERR_WORKER_DIED, 3, talk, NULL, &o);
    for (int i = 1; i <= 3; i++)
        ck_assert_int_eq(strncmp(outcome_of(c, i)->output, "child ", 6), 0);
    ptools_children_free(c);
    for (int fd = 0; fd <= 2; fd++)
        ck_assert_int_lt(fcntl(fd, F_GETFD), 0);
    dup2(out, 1);
}

START_TEST(closed_streams)
{
    char text[1000];

    in_process(without_standard_streams, text, sizeof text);
}
END_TEST

/* -- what runs out -------------------------------------------------------------------------------------------- */

/* From now on only so many can be opened. */
static void leave_descriptors(int n)
{
    const struct rlimit limit = { 200, 200 };
    int last = -1;

    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    for (int fd; (fd = dup(STDIN_FILENO)) >= 0;)
        last = fd;
    for (int fd = last; fd > last - n; fd--)
        close(fd);
}

static void few_descriptors(void)
{
    ptools_children *c;

    leave_descriptors(10);
    c = pfork_as(PTOOLS_OK, 50, give_index, NULL, NULL);
    for (int i = 1; i <= 50; i++)
        ck_value(c, i, i);
    ptools_children_free(c);
}

static void no_descriptors(void)
{
    ptools_children *c;
    const char *why = "";

    leave_descriptors(2); /* for the epoll, and half a pipe */
    c = pfork_as(PTOOLS_ERR_SYSTEM, 3, give_index, NULL, NULL);
    for (int i = 1; i <= 3; i++) {
        ck_code(c, i, PTOOLS_ERR_SYSTEM);
        ck_says(c, i, "cannot be forked: pipe2: Too many open files");
        ck_assert_int_eq(outcome_of(c, i)->pid, 0);
    }
    ptools_children_free(c);
    leave_descriptors(0);
    ck_assert_int_eq(ptools_pfork(3, give_index, NULL, NULL, &c, &why), PTOOLS_ERR_SYSTEM);
    ck_assert_ptr_null(c);
    ck_assert_str_eq(why, "epoll_create1: Too many open files");
}

START_TEST(no_more_descriptors)
{
    char text[1000];

    if (under_valgrind())
        return;
    in_process(few_descriptors, text, sizeof text);
    in_process(no_descriptors, text, sizeof text);
}
END_TEST

static void limit_processes(rlim_t n)
{
    const struct rlimit limit = { n, n };

    ck_assert_int_eq(setrlimit(RLIMIT_NPROC, &limit), 0);
    ck_assert_int_eq(setuid(NOBODY), 0);
}

static void few_processes(void)
{
    ptools_children *c;

    limit_processes(5);
    c = pfork_as(PTOOLS_OK, 30, give_index, NULL, NULL);
    for (int i = 1; i <= 30; i++)
        ck_value(c, i, i);
    ptools_children_free(c);
}

static void no_processes(void)
{
    ptools_children *c;

    limit_processes(0);
    c = pfork_as(PTOOLS_ERR_SYSTEM, 4, give_index, NULL, NULL);
    for (int i = 1; i <= 4; i++)
        ck_says(c, i, "cannot be forked: fork: Resource temporarily unavailable");
    ptools_children_free(c);
}

START_TEST(no_more_processes)
{
    char text[1000];

    if (geteuid() != 0)
        return; /* it must be a user who has no other processes */
    in_process(few_processes, text, sizeof text);
    in_process(no_processes, text, sizeof text);
}
END_TEST

static ptools_err cannot_be_set_up(int i, void *arg, ptools_child *child)
{
    (void)i;
    (void)arg;
    (void)child;
    return PTOOLS_OK;
}

START_TEST(set_up_fails)
{
    const ptools_pfork_limit limit = { RLIMIT_NOFILE, UINT64_C(1) << 40, UINT64_C(1) << 40 };
    ptools_pfork_options o = PTOOLS_PFORK_OPTIONS_INIT;
    ptools_children *c;

    o.limits = &limit;
    o.n_limits = 1;
    c = pfork_as(PTOOLS_ERR_SYSTEM, 2, cannot_be_set_up, NULL, &o);
    ck_code(c, 2, PTOOLS_ERR_SYSTEM);
    ck_says(c, 2, "child 2: limit 0 (of resource 7) cannot be set: Operation not permitted");
    ptools_children_free(c);
}
END_TEST

/* -- signals ---------------------------------------------------------------------------------------------------- */

static volatile sig_atomic_t ticks;

static void tick(int signal)
{
    (void)signal;
    ticks++;
}

static ptools_err take_a_while(int i, void *arg, ptools_child *child)
{
    for (volatile int k = 0; k < 3000000; k++)
        ;
    return give_index(i, arg, child);
}

/* A signal every millisecond, without SA_RESTART. */
START_TEST(interrupted)
{
    const struct sigaction action = { .sa_handler = tick };
    const struct itimerval often = { { 0, 1000 }, { 0, 1000 } }, never = { { 0, 0 }, { 0, 0 } };
    const ptools_shmcfg cfg = PTOOLS_SHMCFG(NULL, PTOOLS_INT8, 64 << 20);
    ptools_array *array = NULL;
    const char *why = "";
    ptools_children *c;

    ck_assert_int_eq(sigaction(SIGALRM, &action, NULL), 0);
    ck_assert_int_eq(setitimer(ITIMER_REAL, &often, NULL), 0);
    while (ticks == 0)
        ;
    c = pfork_as(PTOOLS_OK, 40, take_a_while, NULL, NULL);
    ck_assert_msg(ptools_pfork_shm(0, &cfg, 1, never_called, NULL, NULL, &array, NULL, &why) == PTOOLS_OK, "%s", why);
    ptools_array_free(array);
    ck_assert_int_eq(setitimer(ITIMER_REAL, &never, NULL), 0);
    for (int i = 1; i <= 40; i++)
        ck_value(c, i, i);
    ptools_children_free(c);
    ck_no_children();
}
END_TEST

static ptools_err two_die(int i, void *arg, ptools_child *child)
{
    if (i == 2)
        _exit(3);
    return give_index(i, arg, child);
}

static void check_unknown_status(void)
{
    ptools_children *c = pfork_as(PTOOLS_ERR_WORKER_DIED, 3, two_die, NULL, NULL);

    ck_value(c, 1, 1);
    ck_value(c, 3, 3);
    ck_code(c, 2, PTOOLS_ERR_WORKER_DIED);
    if (outcome_of(c, 2)->exit_status == -1) /* else the handler came too late to take it away */
        ck_says(c, 2, "something else in this process took its status");
    else
        ck_assert_int_eq(outcome_of(c, 2)->exit_status, 3);
    ck_assert_int_eq(outcome_of(c, 2)->signal, 0);
    ptools_children_free(c);
}

static void reap_all(int signal)
{
    int error = errno;

    (void)signal;
    while (waitpid(-1, NULL, WNOHANG) > 0)
        ;
    errno = error;
}

START_TEST(children_reaped_by_others)
{
    const struct sigaction ignore = { .sa_handler = SIG_IGN }, reap = { .sa_handler = reap_all };

    ck_assert_int_eq(sigaction(SIGCHLD, &ignore, NULL), 0);
    check_unknown_status();
    ck_assert_int_eq(sigaction(SIGCHLD, &reap, NULL), 0);
    for (int round = 0; round < 20; round++)
        check_unknown_status();
    ck_no_children();
}
END_TEST

/* A child of the program's own stays its own. */
START_TEST(other_children_are_left_alone)
{
    int status;
    pid_t pid = fork();

    ck_assert_int_ge(pid, 0);
    if (pid == 0)
        _exit(9);
    ptools_children_free(pfork_as(PTOOLS_OK, 3, give_index, NULL, NULL));
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 9);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("pfork_world");
    TCase *tc = suite_case(s, "left");

    tcase_add_test(tc, thousand_calls);
    tcase_add_test(tc, no_pipe_of_a_sibling);
    tc = suite_case(s, "streams");
    tcase_add_test(tc, nothing_twice);
    tcase_add_test(tc, nothing_twice_or_never);
    tcase_add_test(tc, closed_streams);
    tc = suite_case(s, "short");
    tcase_add_test(tc, no_more_descriptors);
    tcase_add_test(tc, no_more_processes);
    tcase_add_test(tc, set_up_fails);
    tc = suite_case(s, "signals");
    tcase_add_test(tc, interrupted);
    tcase_add_test(tc, children_reaped_by_others);
    tcase_add_test(tc, other_children_are_left_alone);
    return suite_run(s);
}
