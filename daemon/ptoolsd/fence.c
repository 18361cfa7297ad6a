/* SPDX-License-Identifier: MIT */
/*
 * fence -- see fence.h.
 *
 * A worker notices by itself that its daemon has died, but not one that is stopped, or is in a system call that does
 * not end: it could go on with its task while the new daemon runs the same task anew. So every worker holds the shared
 * side of a lock, by a descriptor that it was born with, and a new daemon needs the exclusive side first. A lock knows
 * no owner, so who holds it is found by who has the file open, in /proc; only processes of our uid are looked at, and
 * never ourselves. Each is seen again through its pidfd before it is killed: its number may have become another's.
 */
#include "daemon/ptoolsd/fence.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "proto/util.h"

enum { KILL_ROUNDS = 5, KILL_WAIT_MS = 1000, NUDGE_NS = 50000000 };

static int fail(char why[FENCE_WHY_BYTES], const char *what, const char *dir, int error)
{
    snprintf(why, FENCE_WHY_BYTES, "%s %s/" FENCE_NAME ": %s", what, dir, strerror(error));
    return -error;
}

/* -- waiting for the lock ------------------------------------------------------------------------------------------ */

static void on_alarm(int signal)
{
    (void)signal; /* it ends flock() */
}

/* flock() with an end: a timer's signal interrupts it, again and again, in case the first comes before the call. 0;
 * -EAGAIN: not in time; -errno. */
static int lock_in_time(int fd, uint64_t ms)
{
    const struct sigaction interrupting = { .sa_handler = on_alarm }; /* no SA_RESTART */
    struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM };
    const struct itimerspec when = { .it_value = { (time_t)(ms / 1000), (long)(ms % 1000 * 1000000) + 1 },
                                     .it_interval = { 0, NUDGE_NS } };
    struct sigaction before;
    sigset_t alarm, mask;
    timer_t timer;
    int r;

    if (flock(fd, LOCK_EX | LOCK_NB) == 0)
        return 0;
    if (errno != EWOULDBLOCK)
        return -errno;
    if (timer_create(CLOCK_MONOTONIC, &event, &timer) < 0)
        return -errno;
    sigemptyset(&alarm);
    sigaddset(&alarm, SIGALRM);
    sigaction(SIGALRM, &interrupting, &before);
    sigprocmask(SIG_UNBLOCK, &alarm, &mask);
    timer_settime(timer, 0, &when, NULL);
    do {
        struct itimerspec left;

        r = flock(fd, LOCK_EX) < 0 ? -errno : 0;
        if (r == -EINTR) {
            timer_gettime(timer, &left);
            r = left.it_value.tv_sec == 0 && left.it_value.tv_nsec <= NUDGE_NS ? -EAGAIN : -EINTR; /* not another's */
        }
    } while (r == -EINTR);
    timer_delete(timer);
    sigaction(SIGALRM, &before, NULL);
    sigprocmask(SIG_SETMASK, &mask, NULL);
    return r;
}

/* -- who holds it -------------------------------------------------------------------------------------------------- */

/* Whether the process whose directory in /proc this is has the file open. */
static bool has_open(int proc_fd, const struct stat *file)
{
    int fd = openat(proc_fd, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    struct dirent *entry;
    struct stat st;
    bool has = false;

    if (!dir && fd >= 0)
        close(fd);
    while (dir && !has && (entry = readdir(dir)))
        has = entry->d_name[0] != '.' && fstatat(fd, entry->d_name, &st, 0) == 0 && st.st_dev == file->st_dev &&
              st.st_ino == file->st_ino;
    if (dir)
        closedir(dir);
    return has;
}

/* Of one process of ours: whether it holds the file, and if so, kills it. */
static bool kill_holder(int proc, const char *name, const struct stat *file)
{
    int dir = openat(proc, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC), pidfd = -1;
    pid_t pid = (pid_t)strtol(name, NULL, 10);
    struct stat st;
    bool killed = false;

    if (dir >= 0 && pid > 1 && pid != getpid() && fstat(dir, &st) == 0 && st.st_uid == geteuid() &&
        has_open(dir, file)) {
        pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
        if (pidfd >= 0 && has_open(dir, file)) /* its directory is dead if it is: so the pidfd is of the same one */
            killed = syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0) == 0;
        else if (pidfd < 0 && errno == ENOSYS)
            killed = kill(pid, SIGKILL) == 0;
    }
    if (pidfd >= 0)
        close(pidfd);
    if (dir >= 0)
        close(dir);
    return killed;
}

static unsigned kill_holders(const struct stat *file)
{
    DIR *proc = opendir("/proc");
    struct dirent *entry;
    unsigned killed = 0;

    while (proc && (entry = readdir(proc)))
        if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9')
            killed += kill_holder(dirfd(proc), entry->d_name, file);
    if (proc)
        closedir(proc);
    return killed;
}

/* -- the fence ----------------------------------------------------------------------------------------------------- */

static int take(int fd, const struct fence_options *options, unsigned *killed, char why[FENCE_WHY_BYTES])
{
    struct stat file;
    int r = lock_in_time(fd, options->wait_ms ? options->wait_ms : FENCE_WAIT_MS);

    if (r == -EAGAIN && fstat(fd, &file) < 0)
        r = -errno;
    for (unsigned i = 0, n = 1; r == -EAGAIN && n > 0 && i < KILL_ROUNDS; i++) { /* one may have forked another */
        n = kill_holders(&file);
        *killed += n;
        r = lock_in_time(fd, KILL_WAIT_MS);
    }
    if (r == -EAGAIN) {
        snprintf(why, FENCE_WHY_BYTES,
                 "workers of an earlier ptoolsd hold %s/" FENCE_NAME
                 " and do not end, though %u were killed; until they "
                 "do, their tasks could run twice",
                 options->dir, *killed);
        return -EBUSY;
    }
    if (r == 0 && flock(fd, LOCK_SH) < 0) /* nobody comes between: the state directory is locked */
        r = -errno;
    return r ? fail(why, "cannot lock", options->dir, -r) : 0;
}

int fence_open(const struct fence_options *options, int *ret_fd, unsigned *ret_killed, char why[FENCE_WHY_BYTES])
{
    int dir = open(options->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), fd, r;
    unsigned killed = 0;

    if (dir < 0)
        return fail(why, "cannot open", options->dir, errno);
    fd = openat(dir, FENCE_NAME, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    r = errno;
    close(dir);
    if (fd < 0)
        return fail(why, "cannot open", options->dir, r);
    r = take(fd, options, &killed, why);
    if (r) {
        close(fd);
        return r;
    }
    *ret_fd = fd;
    *ret_killed = killed;
    return 0;
}
