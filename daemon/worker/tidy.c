/* SPDX-License-Identifier: MIT */
/*
 * tidy -- see tidy.h. No descriptor is kept for looking: a function could close it, and open its own
 * in its place.
 *
 * Children are found in /proc/self/task/TID/children, and asked for first in a way that costs one system call
 * if there are none. What a killed child leaves behind is the worker's child then, so it takes rounds.
 */
#include "daemon/worker/tidy.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "daemon/worker/log.h"
#include "proto/util.h"

enum { STRAYS_US = 1000000 };

/* -- strays ---------------------------------------------------------------------------------- */

static uint64_t now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static bool have_children(void)
{
    siginfo_t info;

    return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) == 0;
}

/* Kills the children that one thread forked or inherited. One of them, or 0. */
static pid_t kill_children_of(const char *thread)
{
    char path[NAME_MAX + 32];
    pid_t child, last = 0;
    FILE *children;

    snprintf(path, sizeof path, "/proc/self/task/%s/children", thread);
    children = fopen(path, "re");
    if (!children)
        return 0;
    while (fscanf(children, "%d", &child) == 1) { /* not reaped yet: nobody else has this number */
        kill(child, SIGKILL);
        last = child;
    }
    fclose(children);
    return last;
}

/* One of those killed, or 0: there is none, or they cannot be found. */
static pid_t kill_children(void)
{
    DIR *threads = opendir("/proc/self/task");
    struct dirent *thread;
    pid_t one, last = 0;

    while (threads && (thread = readdir(threads))) {
        one = thread->d_name[0] == '.' ? 0 : kill_children_of(thread->d_name);
        last = one ? one : last;
    }
    if (threads)
        closedir(threads);
    return last;
}

static void wait_for(pid_t child, uint64_t us)
{
    struct pollfd p = { .fd = pidfd_open(child, 0), .events = POLLIN };

    if (p.fd < 0)
        return; /* it was reaped by itself: SIGCHLD is ignored */
    poll(&p, 1, (int)(us / 1000) + 1);
    close(p.fd);
}

bool tidy_end_strays(void)
{
    uint64_t until, now;
    pid_t one;

    if (!have_children())
        return true;
    until = now_us() + STRAYS_US;
    do {
        one = kill_children();
        now = now_us();
        if (one == 0 || now >= until) {
            log_say(LOG_LEVEL_WARNING, "strays-not-ended", "a function left children that cannot be %s",
                    one ? "killed" : "found");
            return false;
        }
        wait_for(one, until - now);
        while (waitpid(-1, NULL, __WALL | WNOHANG) > 0)
            ;
    } while (have_children());
    return true;
}

/* -- environment ----------------------------------------------------------------------------- */

static bool environ_is_kept(const struct tidy *t)
{
    return environ == t->environ_used && memcmp(t->environ_used, t->environ_kept, t->environ_bytes) == 0;
}

static void restore_environ(struct tidy *t)
{
    if (environ_is_kept(t))
        return;
    memcpy(t->environ_used, t->environ_kept, t->environ_bytes);
    environ = t->environ_used;
}

/* Strings are not copied: libc frees none, and a module that frees one while it is in the environment errs. */
static int accept_environ(struct tidy *t)
{
    char **block, **old = t->environ_kept;
    size_t n = 0;

    if (old && environ_is_kept(t))
        return 0;
    while (environ && environ[n])
        n++;
    block = calloc(2 * (n + 1), sizeof *block);
    if (!block)
        return -ENOMEM;
    if (n > 0)
        memcpy(block, environ, n * sizeof *block);
    t->environ_kept = block;
    t->environ_used = block + n + 1;
    t->environ_bytes = (n + 1) * sizeof *block;
    restore_environ(t);
    free(old);
    return 0;
}

/* -- signals --------------------------------------------------------------------------------- */

static int signal_at(size_t i)
{
    return i < TIDY_SIGNALS - 1 ? (int)i + 1 : SIGRTMAX; /* the last is the one that answers.c uses */
}

static void restore_signal(const struct tidy *t, size_t i)
{
    sigaction(signal_at(i), &t->signals[i], NULL); /* not for SIGKILL and SIGSTOP: nobody can */
}

/* Signals that the function held back were for it: delivered now, they would kill the worker. */
static void restore_mask(void)
{
    static const struct timespec at_once;
    sigset_t held, none;

    sigprocmask(SIG_BLOCK, NULL, &held);
    if (sigisemptyset(&held))
        return;
    sigdelset(&held, SIGRTMAX); /* the worker's own */
    while (sigtimedwait(&held, NULL, &at_once) > 0 || errno == EINTR)
        ;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static void stop_timers(void)
{
    static const struct itimerval off;

    setitimer(ITIMER_REAL, &off, NULL);
    setitimer(ITIMER_VIRTUAL, &off, NULL);
    setitimer(ITIMER_PROF, &off, NULL);
}

/* -- limits ---------------------------------------------------------------------------------- */

/* Hard limits that were lowered stay so, unless we are root; then the soft one becomes what it may be. */
static void restore_limit(struct tidy *t, int which)
{
    const struct rlimit *born = &t->limits[which];
    struct rlimit now;

    if (getrlimit(which, &now) < 0 || (now.rlim_cur == born->rlim_cur && now.rlim_max == born->rlim_max) ||
        setrlimit(which, born) == 0)
        return;
    now.rlim_cur = MIN(born->rlim_cur, now.rlim_max);
    setrlimit(which, &now);
    if (!t->limits_lost)
        log_say(LOG_LEVEL_WARNING, "limit-lowered", "a function lowered the hard limit of resource %d to %llu for good",
                which, (unsigned long long)now.rlim_max);
    t->limits_lost = true;
}

/* -- counting -------------------------------------------------------------------------------- */

/* Open descriptors. The one that is needed for counting is not counted; if there is none left for it, all are open. */
static uint32_t count_fds(void)
{
    int fd = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    uint8_t buffer[4096];
    struct rlimit limit;
    uint32_t n = 0;
    ssize_t got;

    if (fd < 0)
        return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? (uint32_t)limit.rlim_cur : 0;
    while ((got = getdents64(fd, buffer, sizeof buffer)) > 0) {
        for (ssize_t at = 0; at < got; n++) {
            const struct dirent64 *entry = (const void *)(buffer + at);

            at += entry->d_reclen;
        }
    }
    close(fd);
    return n > 3 ? n - 3 : 0; /* ".", "..", and fd */
}

static uint32_t resident_kb(void)
{
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    unsigned long size, resident, shared;
    char text[128];
    ssize_t got;

    if (fd < 0)
        return 0;
    got = read(fd, text, sizeof text - 1);
    close(fd);
    text[got > 0 ? got : 0] = '\0';
    if (sscanf(text, "%lu %lu %lu", &size, &resident, &shared) != 3)
        return 0;
    resident -= MIN(resident, shared); /* of shared arrays, programs, libraries: not the process's to give back */
    return (uint32_t)(resident * ((unsigned long)sysconf(_SC_PAGESIZE) / 1024));
}

/* -- restoring ------------------------------------------------------------------------------- */

int tidy_accept(struct tidy *t)
{
    for (size_t i = 0; i < TIDY_SIGNALS; i++)
        sigaction(signal_at(i), NULL, &t->signals[i]);
    sigaltstack(NULL, &t->stack);
    for (int i = 0; i < RLIM_NLIMITS; i++)
        getrlimit(i, &t->limits[i]);
    return accept_environ(t);
}

int tidy_init(struct tidy *t)
{
    int r;

    *t = (struct tidy){ .umask = umask(022) };
    if (prctl(PR_SET_CHILD_SUBREAPER, 1L) < 0)
        return -errno;
    r = tidy_accept(t);
    if (r < 0)
        return r;
    tidy_restore_all(t);
    t->fds_born = count_fds();
    return 0;
}

void tidy_restore(struct tidy *t)
{
    stop_timers();
    restore_mask();
    restore_signal(t, SIGCHLD - 1); /* ignored, it would make the next system() fail */
    restore_environ(t);
    if (chdir("/") < 0)
        abort(); /* there is always a root */
    umask(t->umask);
    if (t->all) {
        for (size_t i = 0; i < TIDY_SIGNALS; i++)
            restore_signal(t, i);
        sigaltstack(&t->stack, NULL);
        for (int i = 0; i < RLIM_NLIMITS; i++)
            restore_limit(t, i);
    }
    tidy_end_strays();
    t->dirty = t->all = false;
}

void tidy_restore_all(struct tidy *t)
{
    t->all = true;
    tidy_restore(t);
}

/* -- looking --------------------------------------------------------------------------------- */

bool tidy_look_due(struct tidy *t, uint64_t now_us, uint64_t run_us)
{
    t->since_look++;
    if (run_us < TIDY_LOOK_US && (t->since_look < TIDY_LOOK_TASKS || now_us - t->looked_us < TIDY_LOOK_US))
        return false;
    t->since_look = 0;
    t->looked_us = now_us;
    return true;
}

void tidy_look(struct tidy *t, struct page *page, uint32_t *ret_kb, uint32_t *ret_fds)
{
    struct rusage usage;
    uint32_t fds = count_fds();

    if (getrusage(RUSAGE_SELF, &usage) == 0)
        atomic_store(&page->peak_kb, (uint64_t)usage.ru_maxrss);
    *ret_kb = resident_kb();
    *ret_fds = fds > t->fds_born ? fds - t->fds_born : 0;
    t->dirty = t->all = true;
}
