/* SPDX-License-Identifier: MIT */
/*
 * private -- starts a ptoolsd that ends with its last connection.
 *
 * `ptoolsd --private` goes to the background by itself: the process that is started here ends with 0
 * once the daemon serves, or with something else and its reason on stderr. So exactly one child is
 * waited for, by its id; the daemon itself is nobody's child and removes its directory at its end.
 *
 * The caller's process is left as it was: no signal handler, no change of mask; a caller that reaps
 * all children, or ignores SIGCHLD, takes the exit status from us, and then only the connect tells.
 */
#include "client/lib/handle.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto/text.h"

extern char **environ;

enum { REASON_BYTES = 300 };

struct start {
    const char *program;
    pid_t pid;
    int pidfd;     /* -1: the child was reaped by somebody else already */
    int stderr_fd; /* what it has to say */
    char said[REASON_BYTES];
    size_t n_said;
};

char *private_dir_new(struct problem *ret_problem)
{
    const char *runtime = secure_getenv("XDG_RUNTIME_DIR");
    char *dir;

    if (!runtime || *runtime != '/')
        runtime = "/tmp";
    if (asprintf(&dir, "%s/ptools-XXXXXX", runtime) < 0) {
        problem_set(ret_problem, PTOOLS_ERR_NO_MEMORY, "no memory for the name of a directory");
        return NULL;
    }
    if (!mkdtemp(dir)) {
        problem_set(ret_problem, PTOOLS_ERR_SYSTEM, "a directory %s for a private daemon: %s", dir, strerror(errno));
        free(TAKE(dir));
    }
    return dir;
}

static const char *program_name(void)
{
    const char *program = secure_getenv("PTOOLS_DAEMON");

    if (program && *program)
        return program;
    return access(PTOOLS_DAEMON_PROGRAM, X_OK) == 0 ? PTOOLS_DAEMON_PROGRAM : "ptoolsd";
}

/* 0 or an errno. The child has default signals, no descriptors but the first three, and no terminal input. */
static int spawn(struct start *s, char *const argv[], int stderr_fd)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t all, none;
    int e;

    e = posix_spawn_file_actions_init(&actions);
    if (e != 0)
        return e;
    e = posix_spawnattr_init(&attributes);
    if (e != 0) {
        posix_spawn_file_actions_destroy(&actions);
        return e;
    }
    sigfillset(&all);
    sigemptyset(&none);
    if ((e = posix_spawn_file_actions_adddup2(&actions, stderr_fd, STDERR_FILENO)) == 0 &&
        (e = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)) == 0 &&
        (e = posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0)) == 0 &&
        (e = posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1)) == 0 &&
        (e = posix_spawnattr_setsigdefault(&attributes, &all)) == 0 &&
        (e = posix_spawnattr_setsigmask(&attributes, &none)) == 0 &&
        (e = posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK)) == 0)
        e = posix_spawnp(&s->pid, s->program, &actions, &attributes, argv, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return e;
}

/* Takes what there is to read. False: nothing more will come. */
static bool listen_to(struct start *s)
{
    char chunk[512];
    ssize_t n = read(s->stderr_fd, chunk, sizeof chunk);
    size_t keep;

    if (n < 0)
        return errno == EINTR || errno == EAGAIN;
    keep = MIN((size_t)n, sizeof s->said - 1 - s->n_said);
    memcpy(s->said + s->n_said, chunk, keep);
    s->n_said += keep;
    return n > 0;
}

/* Until the child has ended: true; false: it was not in time. */
static bool await_end(struct start *s, uint64_t until_us)
{
    bool listening = true;

    while (s->pidfd >= 0) {
        struct pollfd p[2] = { { .fd = s->pidfd, .events = POLLIN },
                               { .fd = listening ? s->stderr_fd : -1, .events = POLLIN } };
        int r = poll(p, 2, clock_poll_ms(until_us));

        if (r == 0 && clock_now_us() >= until_us)
            return false;
        if (r > 0 && p[1].revents)
            listening = listen_to(s);
        if (r > 0 && p[0].revents)
            break;
    }
    return true;
}

/* The child has ended: 0 if it did so well, or if nobody knows. */
static int reap(struct start *s)
{
    int status = 0;
    pid_t r;

    do
        r = waitpid(s->pid, &status, 0);
    while (r < 0 && errno == EINTR);
    return r < 0 ? 0 : status;
}

static ptools_err explain(struct start *s, int status, struct problem *ret_problem)
{
    struct pollfd p = { .fd = s->stderr_fd, .events = POLLIN };

    while (poll(&p, 1, 0) > 0 && listen_to(s))
        ;
    while (s->n_said > 0 && s->said[s->n_said - 1] == '\n')
        s->n_said--;
    s->said[s->n_said] = '\0';
    text_clean(s->said, s->n_said, true);
    for (char *nl = s->said; (nl = strchr(nl, '\n'));)
        *nl = ' ';
    return problem_set(ret_problem, PTOOLS_ERR_NO_DAEMON, "no daemon runs, and %s --private did not start (%s %d)%s%s",
                       s->program, WIFSIGNALED(status) ? "signal" : "exit status",
                       WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status), s->n_said ? ": " : "", s->said);
}

static ptools_err run(struct start *s, char *const argv[], uint64_t until_us, struct problem *ret_problem)
{
    int pipe_fds[2], e, status;
    ptools_err err = PTOOLS_OK;

    if (pipe2(pipe_fds, O_CLOEXEC) < 0)
        return problem_set(ret_problem, PTOOLS_ERR_SYSTEM, "pipe: %s", strerror(errno));
    /* Above the descriptors that the child arranges: a caller may run with stdin or stderr closed. */
    e = fcntl(pipe_fds[1], F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    close(pipe_fds[1]);
    pipe_fds[1] = e;
    s->stderr_fd = pipe_fds[0];
    e = e < 0 ? errno : spawn(s, argv, pipe_fds[1]);
    if (pipe_fds[1] >= 0)
        close(pipe_fds[1]);
    if (e != 0) {
        close(s->stderr_fd);
        return problem_set(ret_problem, PTOOLS_ERR_NO_DAEMON, "no daemon runs, and %s cannot be started: %s",
                           s->program, strerror(e));
    }
    s->pidfd = pidfd_open(s->pid, 0);
    e = s->pidfd < 0 && errno != ESRCH ? errno : 0;
    if (e != 0 || !await_end(s, until_us)) {
        kill(s->pid, SIGKILL);
        reap(s);
        err = e ? problem_set(ret_problem, PTOOLS_ERR_SYSTEM, "pidfd_open: %s", strerror(e))
                : problem_set(ret_problem, PTOOLS_ERR_TIMEOUT, "%s --private was not ready in time", s->program);
    } else if ((status = reap(s)) != 0) {
        err = explain(s, status, ret_problem);
    }
    if (s->pidfd >= 0)
        close(s->pidfd);
    close(s->stderr_fd);
    return err;
}

ptools_err private_start(const struct settings *settings, const char *dir, uint64_t until_us,
                         struct problem *ret_problem)
{
    struct start s = { .program = program_name(), .pidfd = -1 };
    char workers[16];
    const char *argv[9] = { s.program, "--private", "--dir", dir };
    int n = 4;

    if (settings->private_workers) {
        snprintf(workers, sizeof workers, "%u", settings->private_workers);
        argv[n++] = "--workers";
        argv[n++] = workers;
    }
    if (settings->module_path) {
        argv[n++] = "--module-path";
        argv[n++] = settings->module_path;
    }
    return run(&s, (char *const *)(uintptr_t)argv, until_us, ret_problem);
}
