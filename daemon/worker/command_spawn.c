/* SPDX-License-Identifier: MIT */
/*
 * command_spawn -- see command_spawn.h.
 *
 * The process begins in the memory of the worker, which sleeps until the program is there or the process has ended, as
 * with vfork(): that takes no time for copying the worker's memory, and an error is simply left in memory of both.
 * Until then nothing but system calls is done in it. Signals are blocked, so that no handler of the worker's runs in
 * it, and become what they are by default before they are let in.
 *
 * It begins with the descriptors that it is given and no others, whatever a module has left open, and without the
 * worker's limits of priority, directory or umask being touched: these are its own from the first moment.
 */
#include "daemon/worker/command_spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto/util.h"

#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC (1u << 2)
#endif
#define PATH_DEFAULT "/usr/local/bin:/usr/bin:/bin"

enum { STACK_BYTES = 64 << 10 };

struct start { /* what both sides see */
    const struct spawn *s;
    pid_t worker;
    volatile int error;
    volatile enum spawn_step step;
    char path[PATH_MAX]; /* of what is run; at first where it was found the last time, or "" */
};

/* What was searched for last, and where. */
static struct {
    uint64_t run; /* 0: nothing */
    char name[NAME_MAX + 1], in[PATH_MAX], path[PATH_MAX];
} found;

/* -- in the new process -------------------------------------------------------------------------------------- */

#define IN_CHILD __attribute__((__no_sanitize__("address", "undefined")))

/* What is ignored stays so in the program, and what has a handler must not run it here. */
IN_CHILD static void default_signals(void)
{
    static const struct sigaction dfl = { .sa_handler = SIG_DFL };

    for (int i = 1; i < SIGSYS + 1; i++)
        if (i != SIGKILL && i != SIGSTOP)
            sigaction(i, &dfl, NULL);
    sigaction(SIGRTMAX, &dfl, NULL);
}

/* Each to its number. None of them is below its number but those that may be there already: see settle(). */
IN_CHILD static bool place_fds(const struct spawn *s)
{
    for (unsigned i = 0; i < s->n_fds; i++)
        if (dup2(s->fds[i], (int)i) < 0)
            return false;
    return close_range(s->n_fds, ~0u, CLOSE_RANGE_CLOEXEC) == 0;
}

IN_CHILD static bool set_limits(const struct spawn *s)
{
    const struct rlimit memory = { s->mem, s->mem };

    if (s->umask >= 0)
        umask((mode_t)s->umask);
    if (s->nice != 0) {
        errno = 0;
        if (nice(s->nice) == -1 && errno != 0)
            return false;
    }
    if (s->cpus && sched_setaffinity(0, sizeof *s->cpus, s->cpus) < 0)
        return false;
    return s->mem == 0 || setrlimit(RLIMIT_AS, &memory) == 0;
}

/* A script that does not tell its interpreter is the shell's. */
IN_CHILD static void run(const struct spawn *s, const char *path)
{
    execve(path, s->argv, s->envp);
    if (errno == ENOEXEC) {
        char **shell = (char **)(uintptr_t)s->argv - 1;
        char *first = shell[1];

        shell[0] = (char *)(uintptr_t) "sh";
        shell[1] = (char *)(uintptr_t)path;
        execve("/bin/sh", shell, s->envp);
        shell[1] = first;
        errno = ENOEXEC;
    }
}

IN_CHILD static bool is_elsewhere(int error)
{
    return error == EACCES || error == ENOENT || error == ENOTDIR || error == ENODEV || error == ESTALE ||
           error == ETIMEDOUT;
}

/* As execvp(): one that may not be run is passed over for one that may, and told if there is none. */
IN_CHILD static int search(struct start *start)
{
    const struct spawn *s = start->s;
    const char *name = s->argv[0], *at = s->path ? s->path : PATH_DEFAULT;
    const size_t n = strlen(name);
    int error = ENOENT;

    if (strchr(name, '/')) {
        run(s, name);
        return errno;
    }
    if (start->path[0]) {
        run(s, start->path);
        if (!is_elsewhere(errno))
            return errno;
    }
    for (const char *end; at; at = *end ? end + 1 : NULL) {
        const size_t dir = (size_t)((end = strchrnul(at, ':')) - at);

        if (dir + 1 + n >= sizeof start->path) {
            error = ENAMETOOLONG;
            continue;
        }
        memcpy(start->path, at, dir);
        start->path[dir] = '/';
        memcpy(start->path + (dir > 0 ? dir + 1 : 0), name, n + 1); /* an empty entry is the current directory */
        if (faccessat(AT_FDCWD, start->path, F_OK, AT_EACCESS) == 0 || !is_elsewhere(errno))
            run(s, start->path); /* where there is none, that costs several times as much as asking */
        if (!is_elsewhere(errno))
            return errno;
        error = errno == EACCES ? EACCES : error;
    }
    return error;
}

IN_CHILD static int child(void *arg)
{
    struct start *start = arg;
    const struct spawn *s = start->s;
    sigset_t none;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != start->worker)
        _exit(0); /* it died before it could be watched */
    setpgid(0, 0);
    default_signals();
    start->step = SPAWN_STDIO;
    if (!place_fds(s))
        goto failed;
    start->step = SPAWN_CWD;
    if (chdir(s->cwd) < 0)
        goto failed;
    start->step = SPAWN_LIMITS;
    if (!set_limits(s))
        goto failed;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    start->step = SPAWN_EXEC;
    errno = search(start);
failed:
    start->error = errno;
    _exit(127);
}

/* -- in the worker ------------------------------------------------------------------------------------------- */

static uint8_t *stack(void)
{
    static uint8_t *stack; /* kept: there is one process at a time */

    if (!stack) {
        void *at = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);

        stack = at == MAP_FAILED ? NULL : at;
    }
    return stack;
}

static bool is_found(const struct spawn *s)
{
    return s->run && s->run == found.run && strcmp(s->argv[0], found.name) == 0 &&
           strcmp(s->path ? s->path : "", found.in) == 0;
}

/* For the next one, which saves it a system call for each directory before that one. name: as it was called. */
static void remember(const struct spawn *s, const char *name, const char *path)
{
    const char *in = s->path ? s->path : "";

    found.run = 0;
    if (s->run == 0 || path[0] != '/' || strlen(name) >= sizeof found.name || strlen(in) >= sizeof found.in)
        return;
    strcpy(found.name, name);
    strcpy(found.in, in);
    strcpy(found.path, path);
    found.run = s->run;
}

int command_spawn(const struct spawn *s, struct spawned *ret)
{
    struct start start = { .s = s, .worker = getpid(), .error = 0, .step = SPAWN_PROCESS };
    const char *name = s->argv[0];
    uint8_t *room = stack();
    pid_t pid;

    *ret = (struct spawned){ .pidfd = -1 };
    if (!room)
        return -ENOMEM;
    if (is_found(s))
        strcpy(start.path, found.path);
    pid = clone(child, room + STACK_BYTES, CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, &start, &ret->pidfd);
    if (pid < 0)
        return -errno;
    if (start.error != 0) {
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
            ;
        close(ret->pidfd);
        ret->pidfd = -1;
        ret->step = start.step;
        return -start.error;
    }
    remember(s, name, start.path);
    ret->pid = pid;
    return 0;
}
