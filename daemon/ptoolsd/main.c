/* SPDX-License-Identifier: MIT */
/*
 * ptoolsd -- the program: settings, place, signals, and into the loop.
 *
 * With --private it goes to the background by itself: the process that was started ends with status 0
 * once the daemon is ready, or with 1 and the reason on stderr. A private daemon's own log is in its
 * directory, which it removes at its end.
 */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/ptoolsd/daemon.h"
#include "daemon/ptoolsd/front.h"
#include "daemon/ptoolsd/log.h"
#include "daemon/ptoolsd/place.h"

static int complain(const char *what)
{
    fprintf(stderr, "ptoolsd: %s\n", what);
    return EXIT_FAILURE;
}

/* As many descriptors as the system allows; workers get the same. */
static void raise_descriptors(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static void set_signals(void)
{
    sigset_t mask;

    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* an array is a file, too: RLIMIT_FSIZE refuses one, and ends no daemon */
    sigemptyset(&mask);
    sigaddset(&mask, SIGTERM);
    sigaddset(&mask, SIGINT);
    sigaddset(&mask, SIGHUP);
    sigaddset(&mask, SIGCHLD);
    sigprocmask(SIG_BLOCK, &mask, NULL);
}

/* The child goes on with the write end of a pipe, on which it says that it is ready; the parent waits for
 * that or for the child's end, and exits. -1: no fork. */
static int to_background(void)
{
    int ready[2], status;
    pid_t pid;
    char byte = 0;

    if (pipe2(ready, O_CLOEXEC) < 0)
        return -1;
    pid = fork();
    if (pid < 0)
        return -1;
    if (pid == 0) {
        close(ready[0]);
        setsid();
        if (chdir("/") < 0) /* it holds no directory of its starter's busy */
            return -1;
        return ready[1];
    }
    close(ready[1]);
    while (read(ready[0], &byte, 1) < 0 && errno == EINTR)
        ;
    if (byte == 'R')
        _exit(EXIT_SUCCESS);
    _exit(waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILURE);
}

/* Standard output and error become the log file; the value is the old standard error. -1: why tells. */
static int log_to_place(struct place *place, char why[PLACE_WHY_BYTES])
{
    int old = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    int fd = place_log(place, why);

    if (fd < 0 || old < 0)
        return -1;
    dup2(fd, STDOUT_FILENO);
    dup2(fd, STDERR_FILENO);
    close(fd);
    return old;
}

/* For one user: without a place of its own, and with the descriptors that the front sends. */
static int serve_user(const struct source *source)
{
    struct config *config = source->config;
    struct start start = {
        .source = *source,
        .listen_fd = -1, .fds_fd = -1, .front_fd = config->front_fd, .cgroup_fd = config->cgroup_fd,
        .ready_fd = config->ready_fd, .stderr_fd = -1
    };
    int status;

    if (fcntl(start.front_fd, F_SETFD, FD_CLOEXEC) < 0 || fcntl(start.front_fd, F_SETFL, O_NONBLOCK) < 0)
        return complain("--front-fd: this descriptor is not open");
    if (start.cgroup_fd >= 0 && fcntl(start.cgroup_fd, F_SETFD, FD_CLOEXEC) < 0)
        return complain("--cgroup-fd: this descriptor is not open");
    set_signals();
    raise_descriptors();
    log_init(config->log_level, STDERR_FILENO, LOG_JOURNAL_SOCKET);
    status = daemon_run(config, &start);
    log_flush();
    return status;
}

static int serve(const struct source *source)
{
    struct config *config = source->config;
    struct start start = { .source = *source, .front_fd = -1, .cgroup_fd = -1, .ready_fd = config->ready_fd, .stderr_fd = -1 };
    char why[PLACE_WHY_BYTES];
    struct place place;
    int status;

    if (start.ready_fd >= 0 && fcntl(start.ready_fd, F_SETFD, FD_CLOEXEC) < 0)
        return complain("--ready-fd: this descriptor is not open");
    if (config->private_mode && start.ready_fd >= 0)
        return complain("--ready-fd and --private exclude each other: with --private the exit status tells");
    if (config->private_mode && (start.ready_fd = to_background()) < 0)
        return complain(strerror(errno));
    set_signals();
    raise_descriptors();
    if (config->users_apart && config->private_mode)
        return complain("users.apart and --private exclude each other: a private daemon is one user's");
    if (place_open(&place, config->dir, config->users_apart, why) < 0 ||
        (config->private_mode && (start.stderr_fd = log_to_place(&place, why)) < 0)) {
        place_close(&place, false);
        return complain(why);
    }
    log_init(config->log_level, start.stderr_fd >= 0 ? start.stderr_fd : STDERR_FILENO, LOG_JOURNAL_SOCKET);
    start.listen_fd = place.listen_fd;
    start.fds_fd = place.fds_fd;
    place.listen_fd = place.fds_fd = -1;
    status = config->users_apart ? front_run(config, &start) : daemon_run(config, &start);
    place_close(&place, config->private_mode);
    log_flush();
    return status;
}

/* Descriptors 0 to 2 are open, if only on /dev/null: else a socket or a lock would become standard output. */
static int open_stdio(void)
{
    int fd;

    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    return fd < 0 ? -1 : close(fd);
}

/* Payloads come and go, and memory that was given back costs more to fault in again than to copy what lies in it:
 * blocks of up to 4 MiB stay with the process, as long as no more than 32 MiB of them lie idle. */
static void keep_memory(void)
{
    mallopt(M_MMAP_THRESHOLD, 4 << 20);
    mallopt(M_TRIM_THRESHOLD, 32 << 20);
    mallopt(M_TOP_PAD, 1 << 20);
}

int main(int argc, char *argv[])
{
    struct config config;
    const struct source source = { argc, argv, &config };
    int status = -1;

    if (open_stdio() < 0)
        return complain(strerror(errno)); /* on what there is of a standard error */
    keep_memory();
    if (config_init(&config) == 0)
        status = config_from_command_line(&config, argc, argv, stdout, stderr);
    else
        return complain("out of memory");
    if (status == CONFIG_RUN)
        status = config.front_fd >= 0 ? serve_user(&source) : serve(&source);
    config_deinit(&config);
    return status;
}
