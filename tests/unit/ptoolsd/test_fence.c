/* SPDX-License-Identifier: MIT */
/*
 * Tests of daemon/ptoolsd/fence.c: workers of a dead daemon are waited for, or killed, stopped ones too; nobody else
 * is.
 */
#include "daemon/ptoolsd/fence.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/suite.h"
#include "tests/unit/ptoolsd/journal_rig.h"

static char why[FENCE_WHY_BYTES];
static unsigned killed;

static int raise_fence(uint64_t wait_ms)
{
    const struct fence_options options = { .dir = rig_dir, .wait_ms = wait_ms };
    int fd, r = fence_open(&options, &fd, &killed, why);

    ck_assert_msg(r == 0, "%d: %s", r, why);
    ck_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    return fd;
}

/* A process that has what the caller has open, until its pipe ends or it is killed. The value: its pid; *ret_end: what
 * ends it when it is closed. A stopped one has stopped when this returns. */
static pid_t worker(int *ret_end, bool stopped)
{
    int pipe_fds[2], status;
    pid_t pid;
    char byte;

    ck_assert_int_eq(pipe(pipe_fds), 0);
    pid = fork();
    if (pid == 0) {
        close(pipe_fds[1]);
        if (stopped)
            raise(SIGSTOP);
        _exit(read(pipe_fds[0], &byte, 1) == 0 ? 0 : 1);
    }
    close(pipe_fds[0]);
    *ret_end = pipe_fds[1];
    if (stopped) {
        ck_assert_int_eq(waitpid(pid, &status, WUNTRACED), pid);
        ck_assert(WIFSTOPPED(status));
    }
    return pid;
}

static int reap(pid_t pid)
{
    int status;

    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    return status;
}

START_TEST(an_empty_field_needs_no_fence)
{
    struct stat st;
    int fd = raise_fence(0);

    ck_assert_uint_eq(killed, 0);
    ck_assert_int_eq(stat(rig_file(FENCE_NAME), &st), 0);
    ck_assert_uint_eq(st.st_mode & 07777, 0600);
    close(fd);
    close(raise_fence(0)); /* again */
}
END_TEST

START_TEST(what_is_held_is_shared_and_lasts_as_long_as_its_holders)
{
    int fd = raise_fence(0), other = open(rig_file(FENCE_NAME), O_RDWR | O_CLOEXEC), end;
    pid_t pid;

    ck_assert_int_eq(flock(other, LOCK_SH | LOCK_NB), 0);
    ck_assert_int_eq(flock(other, LOCK_UN), 0);
    ck_assert_int_eq(flock(other, LOCK_EX | LOCK_NB), -1);
    pid = worker(&end, false);
    close(fd); /* the daemon is gone */
    ck_assert_int_eq(flock(other, LOCK_EX | LOCK_NB), -1);
    close(end);
    ck_assert_int_eq(reap(pid), 0);
    ck_assert_int_eq(flock(other, LOCK_EX | LOCK_NB), 0);
    close(other);
}
END_TEST

START_TEST(one_that_ends_by_itself_is_waited_for)
{
    int fd = raise_fence(0), end, status;
    pid_t pid = worker(&end, false), closer;

    close(fd);
    closer = fork(); /* ends the worker once somebody waits for its lock, as /proc/locks tells */
    if (closer == 0) {
        char line[200], inode[40];
        bool waited_for = false;
        struct stat st;

        stat(rig_file(FENCE_NAME), &st);
        snprintf(inode, sizeof inode, ":%lu ", (unsigned long)st.st_ino);
        while (!waited_for) {
            FILE *locks = fopen("/proc/locks", "re");

            while (locks && !waited_for && fgets(line, sizeof line, locks))
                waited_for = strstr(line, "->") && strstr(line, inode);
            if (!locks)
                break;
            fclose(locks);
        }
        _exit(0); /* its copy of the pipe's end closes with it */
    }
    close(end);
    fd = raise_fence(60000);
    ck_assert_uint_eq(killed, 0);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(WIFEXITED(status));
    reap(closer);
    close(fd);
}
END_TEST

START_TEST(those_that_stay_are_killed)
{
    int fd = raise_fence(0), ends[4], bystander_fd = open(rig_file("bystander"), O_RDWR | O_CREAT | O_CLOEXEC, 0600),
        end;
    pid_t pids[4], bystander;

    for (int i = 0; i < 4; i++)
        pids[i] = worker(&ends[i], i % 2);
    close(fd);
    bystander = worker(&end, false); /* has not what the workers have */
    fd = raise_fence(20);
    ck_assert_uint_eq(killed, 4);
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(WTERMSIG(reap(pids[i])), SIGKILL);
        close(ends[i]);
    }
    ck_assert_int_eq(kill(bystander, 0), 0);
    close(end);
    ck_assert_int_eq(reap(bystander), 0);
    close(bystander_fd);
    close(fd);
}
END_TEST

/* The lock is ours to hold, by another file of ours: nobody is killed, least of all this process. */
START_TEST(never_ourselves)
{
    const struct fence_options options = { .dir = rig_dir, .wait_ms = 1 };
    int fd = raise_fence(0), other, r;
    struct sigaction before, after;

    sigaction(SIGALRM, NULL, &before);
    r = fence_open(&options, &other, &killed, why);
    ck_assert_int_eq(r, -EBUSY);
    ck_assert_msg(strstr(why, "do not end, though 0 were killed"), "%s", why);
    sigaction(SIGALRM, NULL, &after);
    ck_assert(before.sa_handler == after.sa_handler);
    close(fd);
}
END_TEST

START_TEST(links_are_not_followed)
{
    const struct fence_options options = { .dir = rig_dir };
    int fd;

    ck_assert_int_eq(symlink("/dev/null", rig_file(FENCE_NAME)), 0);
    ck_assert_int_eq(fence_open(&options, &fd, &killed, why), -ELOOP);
    ck_assert_ptr_nonnull(strstr(why, FENCE_NAME));
    ck_assert_int_eq(fence_open(&(struct fence_options){ .dir = "/nowhere" }, &fd, &killed, why), -ENOENT);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("fence");
    TCase *tc = suite_case(suite, "fence");

    tcase_add_checked_fixture(tc, rig_begin, rig_end);
    tcase_add_test(tc, an_empty_field_needs_no_fence);
    tcase_add_test(tc, what_is_held_is_shared_and_lasts_as_long_as_its_holders);
    tcase_add_test(tc, one_that_ends_by_itself_is_waited_for);
    tcase_add_test(tc, those_that_stay_are_killed);
    tcase_add_test(tc, never_ourselves);
    tcase_add_test(tc, links_are_not_followed);
    return suite_run(suite);
}
