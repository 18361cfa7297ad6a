/* SPDX-License-Identifier: MIT */
/* What is put in order after a function, and what is looked at. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/worker/log.h"
#include "daemon/worker/tidy.h"
#include "proto/util.h"
#include "tests/support/suite.h"

static struct page page;

START_TEST(directory_umask_and_mask_come_back)
{
    struct tidy t;
    sigset_t set;
    char path[64];

    umask(027);
    tidy_init(&t);
    ck_assert_int_eq(chdir("/tmp"), 0);
    umask(0);
    sigfillset(&set);
    sigprocmask(SIG_SETMASK, &set, NULL);
    t.dirty = true;
    tidy_restore(&t);
    ck_assert(!t.dirty);
    ck_assert_str_eq(getcwd(path, sizeof path), "/");
    ck_assert_uint_eq(umask(0), 027);
    sigprocmask(SIG_SETMASK, NULL, &set);
    ck_assert_int_eq(sigismember(&set, SIGUSR1), 0);
}
END_TEST

START_TEST(signals_that_were_held_back_are_dropped)
{
    sigset_t set;
    struct tidy t;

    tidy_init(&t);
    sigfillset(&set);
    sigprocmask(SIG_SETMASK, &set, NULL);
    raise(SIGUSR1); /* each of them would end the process */
    raise(SIGSEGV);
    kill(getpid(), SIGALRM);
    tidy_restore(&t);
    sigpending(&set);
    ck_assert(sigisemptyset(&set));
    sigprocmask(SIG_SETMASK, NULL, &set);
    ck_assert(sigisemptyset(&set));
}
END_TEST

START_TEST(timers_are_stopped)
{
    static const int timers[] = { ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF };
    struct itimerval hour = { .it_value = { .tv_sec = 3600 }, .it_interval = { .tv_sec = 3600 } };
    struct tidy t;

    tidy_init(&t);
    for (size_t i = 0; i < ELEMENTS(timers); i++)
        ck_assert_int_eq(setitimer(timers[i], &hour, NULL), 0);
    tidy_restore(&t);
    for (size_t i = 0; i < ELEMENTS(timers); i++) {
        ck_assert_int_eq(getitimer(timers[i], &hour), 0);
        ck_assert_int_eq(hour.it_value.tv_sec, 0);
        ck_assert_int_eq(hour.it_value.tv_usec, 0);
        ck_assert_int_eq(hour.it_interval.tv_sec, 0);
    }
}
END_TEST

static void check_environ(void)
{
    ck_assert_str_eq(getenv("ONE"), "1");
    ck_assert_str_eq(getenv("TWO"), "2");
    ck_assert_ptr_null(getenv("THREE"));
}

START_TEST(environment_comes_back)
{
    char *own[] = { NULL };
    struct tidy t;

    setenv("ONE", "1", 1);
    setenv("TWO", "2", 1);
    tidy_init(&t);
    for (int round = 0; round < 2; round++) {
        ck_assert_int_eq(setenv("ONE", "a longer one", 1), 0);
        tidy_restore(&t);
        check_environ();
        ck_assert_int_eq(setenv("THREE", "3", 1), 0);
        tidy_restore(&t);
        check_environ();
        ck_assert_int_eq(unsetenv("TWO"), 0);
        tidy_restore(&t);
        check_environ();
        ck_assert_int_eq(clearenv(), 0);
        tidy_restore(&t);
        check_environ();
        environ = own;
        tidy_restore(&t);
        check_environ();
    }
}
END_TEST

START_TEST(what_is_accepted_stays)
{
    struct rlimit limit, now;
    struct sigaction action;
    struct tidy t;

    setenv("ONE", "1", 1);
    tidy_init(&t);
    setenv("ONE", "one", 1);
    setenv("FOUR", "4", 1);
    signal(SIGUSR1, SIG_IGN);
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = 77;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    ck_assert_int_eq(tidy_accept(&t), 0);
    unsetenv("ONE");
    unsetenv("FOUR");
    signal(SIGUSR1, SIG_DFL);
    limit.rlim_cur = 78;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    tidy_restore_all(&t);
    ck_assert_str_eq(getenv("ONE"), "one");
    ck_assert_str_eq(getenv("FOUR"), "4");
    sigaction(SIGUSR1, NULL, &action);
    ck_assert(action.sa_handler == SIG_IGN);
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &now), 0);
    ck_assert_uint_eq(now.rlim_cur, 77);
    clearenv(); /* an empty one is one, too */
    ck_assert_int_eq(tidy_accept(&t), 0);
    setenv("ONE", "1", 1);
    tidy_restore(&t);
    ck_assert_ptr_null(getenv("ONE"));
}
END_TEST

static struct sigaction disposition(int signal)
{
    struct sigaction action;

    ck_assert_int_eq(sigaction(signal, NULL, &action), 0);
    return action;
}

static void nothing(int signal)
{
    (void)signal;
}

START_TEST(dispositions_and_limits_come_back_after_a_look)
{
    struct rlimit born, now;
    uint32_t kb, fds;
    stack_t stack;
    struct tidy t;

    signal(SIGUSR1, nothing);
    signal(SIGRTMAX, nothing);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_DFL); /* which nohup ignores */
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &born), 0);
    tidy_init(&t);

    signal(SIGCHLD, SIG_IGN);
    signal(SIGUSR1, SIG_IGN);
    signal(SIGRTMAX, SIG_DFL);
    signal(SIGPIPE, SIG_DFL);
    signal(SIGHUP, nothing);
    sigaltstack(&(stack_t){ .ss_flags = SS_DISABLE }, NULL);
    now = (struct rlimit){ 50, born.rlim_max };
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &now), 0);
    tidy_restore(&t);
    ck_assert(disposition(SIGCHLD).sa_handler == SIG_DFL); /* this one at once */
    ck_assert(disposition(SIGUSR1).sa_handler == SIG_IGN);

    tidy_look(&t, &page, &kb, &fds);
    ck_assert(t.dirty); /* whatever the last function promised */
    tidy_restore(&t);
    ck_assert(disposition(SIGUSR1).sa_handler == nothing);
    ck_assert(disposition(SIGRTMAX).sa_handler == nothing);
    ck_assert(disposition(SIGPIPE).sa_handler == SIG_IGN);
    ck_assert(disposition(SIGHUP).sa_handler == SIG_DFL);
    ck_assert_int_eq(sigaltstack(NULL, &stack), 0);
    ck_assert_int_eq(stack.ss_flags, t.stack.ss_flags);
    ck_assert_ptr_eq(stack.ss_sp, t.stack.ss_sp);
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &now), 0);
    ck_assert_uint_eq(now.rlim_cur, born.rlim_cur);
    signal(SIGUSR1, SIG_IGN);
    tidy_restore(&t); /* that was for one time */
    ck_assert(disposition(SIGUSR1).sa_handler == SIG_IGN);
}
END_TEST

START_TEST(a_hard_limit_that_is_lost_gives_what_is_left)
{
    struct rlimit limit = { 200, 200 };
    struct tidy t;

    ck_assert(geteuid() != 0 || setuid(65534) == 0); /* root can have it back */
    log_set_level(LOG_LEVEL_ERROR);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    tidy_init(&t);
    limit = (struct rlimit){ 50, 100 };
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    tidy_restore_all(&t);
    ck_assert(t.limits_lost);
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    ck_assert_uint_eq(limit.rlim_cur, 100);
    ck_assert_uint_eq(limit.rlim_max, 100);
}
END_TEST

/* -- strays ---------------------------------------------------------------------------------- */

/* A child that signals, but for SIGKILL, do not end; and depth more, each the child of the one before. */
static pid_t stubborn(int depth)
{
    char ready = 'r';
    int ends[2];
    pid_t child;

    ck_assert_int_eq(pipe(ends), 0);
    child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        setsid();
        signal(SIGTERM, SIG_IGN);
        signal(SIGHUP, SIG_IGN);
        alarm(60); /* if the test fails */
        if (depth > 0)
            stubborn(depth - 1);
        if (write(ends[1], &ready, 1) == 1)
            for (;;)
                pause();
        _exit(1);
    }
    ck_assert_int_eq(read(ends[0], &ready, 1), 1);
    close(ends[0]);
    close(ends[1]);
    return child;
}

static void check_no_children(void)
{
    ck_assert_int_eq(waitpid(-1, NULL, __WALL | WNOHANG), -1);
    ck_assert_int_eq(errno, ECHILD);
}

START_TEST(children_and_theirs_are_ended)
{
    struct tidy t;

    tidy_init(&t);
    tidy_end_strays(); /* none */
    for (int i = 0; i < 20; i++)
        stubborn(i % 4);
    if (fork() == 0)
        _exit(0); /* one that ended by itself */
    tidy_restore(&t);
    check_no_children();
}
END_TEST

START_TEST(children_are_ended_where_sigchld_is_ignored)
{
    struct tidy t;

    signal(SIGCHLD, SIG_IGN); /* a module may have reasons */
    tidy_init(&t);
    stubborn(2);
    tidy_restore(&t);
    check_no_children();
}
END_TEST

static void *fork_and_stay(void *ends)
{
    char byte = 'f';
    int *fds = ends;

    stubborn(1);
    ck_assert_int_eq(write(fds[1], &byte, 1), 1);
    ck_assert_int_eq(read(fds[2], &byte, 1), 1);
    return NULL;
}

START_TEST(children_of_other_threads_are_ended)
{
    pthread_t thread;
    struct tidy t;
    int fds[4];
    char byte;

    tidy_init(&t);
    ck_assert_int_eq(pipe(fds), 0);
    ck_assert_int_eq(pipe(fds + 2), 0);
    ck_assert_int_eq(pthread_create(&thread, NULL, fork_and_stay, fds), 0);
    ck_assert_int_eq(read(fds[0], &byte, 1), 1);
    tidy_restore(&t);
    check_no_children();
    ck_assert_int_eq(write(fds[3], &byte, 1), 1);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    for (size_t i = 0; i < ELEMENTS(fds); i++)
        close(fds[i]);
}
END_TEST

/* -- looking --------------------------------------------------------------------------------- */

START_TEST(looks_are_due_by_count_and_by_time)
{
    struct tidy t;

    uint64_t now = 1000000;

    tidy_init(&t);
    ck_assert(!tidy_look_due(&t, now, TIDY_LOOK_US - 1));
    ck_assert(tidy_look_due(&t, now, TIDY_LOOK_US)); /* one that took long */
    for (int i = 1; i < TIDY_LOOK_TASKS; i++)
        ck_assert(!tidy_look_due(&t, now + TIDY_LOOK_US, 0));
    ck_assert(tidy_look_due(&t, now += TIDY_LOOK_US, 0)); /* many short ones */
    for (int i = 0; i < 10 * TIDY_LOOK_TASKS; i++)
        ck_assert(!tidy_look_due(&t, now + TIDY_LOOK_US - 1, 0)); /* very short ones: not so often */
    ck_assert(tidy_look_due(&t, now + TIDY_LOOK_US, 0));
}
END_TEST

START_TEST(descriptors_above_birth_are_counted)
{
    uint32_t kb = 0, fds = 99;
    struct tidy t;
    int extra[300];

    tidy_init(&t);
    tidy_look(&t, &page, &kb, &fds);
    ck_assert_uint_eq(fds, 0);
    ck_assert_uint_gt(kb, 100);
    ck_assert_uint_gt(atomic_load(&page.peak_kb), 100);
    for (size_t i = 0; i < 300; i++) /* more than one read of the directory gives */
        extra[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
    tidy_look(&t, &page, &kb, &fds);
    ck_assert_uint_eq(fds, 300);
    for (size_t i = 0; i < 300; i++)
        close(extra[i]);
    tidy_look(&t, &page, &kb, &fds);
    ck_assert_uint_eq(fds, 0);
}
END_TEST

START_TEST(no_descriptor_left_for_counting_is_all_of_them)
{
    struct rlimit limit = { 32, 32 };
    uint32_t kb = 99, fds = 0;
    struct tidy t;
    int extra[32], n = 0;

    tidy_init(&t);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    while ((extra[n] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0)
        n++;
    tidy_look(&t, &page, &kb, &fds);
    while (n > 0)
        close(extra[--n]);
    ck_assert_uint_eq(fds, 32 - t.fds_born);
    ck_assert_uint_eq(kb, 0); /* not looked */
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("worker/tidy");
    TCase *tc = suite_case(suite, "tidy");

    tcase_add_test(tc, directory_umask_and_mask_come_back);
    tcase_add_test(tc, signals_that_were_held_back_are_dropped);
    tcase_add_test(tc, timers_are_stopped);
    tcase_add_test(tc, environment_comes_back);
    tcase_add_test(tc, what_is_accepted_stays);
    tcase_add_test(tc, dispositions_and_limits_come_back_after_a_look);
    tcase_add_test(tc, a_hard_limit_that_is_lost_gives_what_is_left);
    tcase_add_test(tc, children_and_theirs_are_ended);
    tcase_add_test(tc, children_are_ended_where_sigchld_is_ignored);
    tcase_add_test(tc, children_of_other_threads_are_ended);
    tcase_add_test(tc, looks_are_due_by_count_and_by_time);
    tcase_add_test(tc, descriptors_above_birth_are_counted);
    tcase_add_test(tc, no_descriptor_left_for_counting_is_all_of_them);
    return suite_run(suite);
}
