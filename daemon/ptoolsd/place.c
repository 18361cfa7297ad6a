/* SPDX-License-Identifier: MIT */
/*
 * place -- one daemon to a directory, nothing of anybody else's touched.
 *
 * The lock comes before the bind: whoever holds it may remove a socket that a dead daemon left. The
 * lock file is removed at the end by its holder; one who opened it before and locks it after sees that
 * it has no name any more, and begins anew. The directory must be ours and writable by us alone, so that
 * nobody can put a socket of theirs in the place of ours.
 */
#include "daemon/ptoolsd/place.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <systemd/sd-daemon.h>

#include "proto/limits.h"

enum { BACKLOG = 1024, LOCK_TRIES = 200, LOCK_PAUSE_NS = 10000000 };
#define LOG_NAME "ptoolsd.log"

static int fail(char why[PLACE_WHY_BYTES], const char *what, const char *path, int error)
{
    snprintf(why, PLACE_WHY_BYTES, "%s %s: %s", what, path, strerror(error));
    return -1;
}

static int open_dir(struct place *p, bool for_all, char why[PLACE_WHY_BYTES])
{
    struct stat st;

    p->made = mkdir(p->dir, for_all ? 0755 : 0700) == 0;
    if (!p->made && errno != EEXIST)
        return fail(why, "cannot make the directory", p->dir, errno);
    p->dir_fd = open(p->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (p->dir_fd < 0 || fstat(p->dir_fd, &st) < 0)
        return fail(why, "cannot open the directory", p->dir, errno);
    if (st.st_uid != geteuid() || (st.st_mode & (S_IWGRP | S_IWOTH))) {
        snprintf(why, PLACE_WHY_BYTES,
                 "the directory %s must belong to uid %u and be writable by nobody else; it belongs to uid %u and has "
                 "mode %04o",
                 p->dir, (unsigned)geteuid(), (unsigned)st.st_uid, (unsigned)(st.st_mode & 07777));
        return -1;
    }
    return 0;
}

/* Whoever wrote that it has the lock is gone, though somebody has it: a child of a daemon that was killed while it
 * started a program, until it becomes the program; or another daemon, that has not written its number yet. Both
 * take a moment, so the lock is tried again for a while (there is nothing to wait for but the time: no loop yet,
 * and to block in flock() could be for as long as that other daemon lives). */
static bool is_dead(const char *pid)
{
    long n = strtol(pid, NULL, 10);

    return n > 1 && kill((pid_t)n, 0) < 0 && errno == ESRCH;
}

static int lock(struct place *p, char why[PLACE_WHY_BYTES])
{
    const struct timespec nap = { .tv_nsec = LOCK_PAUSE_NS };
    unsigned tries = 0;
    char pid[24] = "";
    struct stat st;
    ssize_t n;

    for (;;) {
        p->lock_fd = openat(p->dir_fd, LOCK_NAME, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (p->lock_fd < 0)
            return fail(why, "cannot open the lock in", p->dir, errno);
        if (flock(p->lock_fd, LOCK_EX | LOCK_NB) < 0) {
            int error = errno;

            n = pread(p->lock_fd, pid, sizeof pid - 1, 0);
            pid[n > 0 ? n : 0] = '\0';
            pid[strcspn(pid, "\n")] = '\0';
            close(p->lock_fd);
            if (error == EWOULDBLOCK && is_dead(pid) && tries++ < LOCK_TRIES) {
                nanosleep(&nap, NULL);
                continue; /* from the beginning */
            }
            p->lock_fd = -1; /* not ours: place_close() must leave everything alone */
            if (error != EWOULDBLOCK)
                return fail(why, "cannot lock", p->dir, error);
            snprintf(why, PLACE_WHY_BYTES, "another ptoolsd (pid %s) serves %s", pid[0] ? pid : "unknown", p->dir);
            return -1;
        }
        if (fstat(p->lock_fd, &st) < 0)
            return fail(why, "cannot look at the lock in", p->dir, errno);
        if (st.st_nlink > 0)
            break;
        close(p->lock_fd); /* its last holder removed it meanwhile */
    }
    n = snprintf(pid, sizeof pid, "%d\n", (int)getpid());
    if (ftruncate(p->lock_fd, 0) < 0 || pwrite(p->lock_fd, pid, (size_t)n, 0) != n)
        return fail(why, "cannot write the lock in", p->dir, errno);
    return 0;
}

/* The one that the service manager listens on for us; -1: there is none. */
static int given(const char *path, int type)
{
    const int n = sd_listen_fds(false);

    for (int fd = SD_LISTEN_FDS_START; fd < SD_LISTEN_FDS_START + n; fd++)
        if (sd_is_socket_unix(fd, type, 1, path, 0) > 0)
            return fcntl(fd, F_SETFL, O_NONBLOCK) < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 ? -1 : fd;
    return -1;
}

static int listen_on(struct place *p, const char *name, int type, bool for_all, bool *ret_bound, int *ret_fd,
                     char why[PLACE_WHY_BYTES])
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    struct stat st;
    mode_t mask;
    int r;

    snprintf(address.sun_path, sizeof address.sun_path, "%s/%s", p->dir, name);
    *ret_fd = given(address.sun_path, type);
    if (*ret_fd >= 0)
        return 0; /* it is not ours to remove, either */
    if (fstatat(p->dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
        if (!S_ISSOCK(st.st_mode)) {
            snprintf(why, PLACE_WHY_BYTES, "%s is in the way: it is not a socket, so it is not removed",
                     address.sun_path);
            return -1;
        }
        if (unlinkat(p->dir_fd, name, 0) < 0)
            return fail(why, "cannot remove the old socket", address.sun_path, errno);
    }
    *ret_fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (*ret_fd < 0)
        return fail(why, "cannot make the socket", address.sun_path, errno);
    mask = umask(for_all ? 0111 : 0177);
    r = bind(*ret_fd, (const struct sockaddr *)&address, sizeof address);
    umask(mask);
    *ret_bound = r == 0;
    if (r < 0 || listen(*ret_fd, BACKLOG) < 0)
        return fail(why, "cannot listen on", address.sun_path, errno);
    return 0;
}

/* A socket that is listened on for us and that is not ours would be one where clients wait for ever. */
static bool knows_given(const struct place *p, char why[PLACE_WHY_BYTES])
{
    char fds_path[sizeof p->socket_path];
    char **names = NULL;
    const int n = sd_listen_fds_with_names(false, &names);
    bool good = true;

    snprintf(fds_path, sizeof fds_path, "%.*s", (int)sizeof fds_path - 1, p->socket_path);
    snprintf(strrchr(fds_path, '/'), sizeof FDS_SOCKET_NAME + 1, "/%s", FDS_SOCKET_NAME);
    for (int i = 0; i < n; i++) {
        const int fd = SD_LISTEN_FDS_START + i;

        if (strncmp(names[i], "user-", 5) != 0 && sd_is_socket_unix(fd, SOCK_STREAM, 1, p->socket_path, 0) <= 0 &&
            sd_is_socket_unix(fd, SOCK_SEQPACKET, 1, fds_path, 0) <= 0)
            good = false;
        free(names[i]);
    }
    free(names);
    if (!good)
        snprintf(why, PLACE_WHY_BYTES,
                 "the service manager listens on a socket that is neither a stream at %s nor sequential packets at %s",
                 p->socket_path, fds_path);
    return good;
}

int place_open(struct place *p, const char *dir, bool for_all, char why[PLACE_WHY_BYTES])
{
    *p = (struct place){ .dir = dir, .dir_fd = -1, .lock_fd = -1, .listen_fd = -1, .fds_fd = -1 };
    if (snprintf(p->socket_path, sizeof p->socket_path, "%s/%s", dir, SOCKET_NAME) >= (int)sizeof p->socket_path) {
        snprintf(why, PLACE_WHY_BYTES, "the directory's name is too long for a socket: %s (at most %zu bytes)", dir,
                 sizeof p->socket_path - sizeof SOCKET_NAME - 1);
        return -1;
    }
    if (open_dir(p, for_all, why) < 0 || lock(p, why) < 0)
        return -1;
    if (!knows_given(p, why))
        return -1;
    /* Clients come by the first: the second is there before it. */
    if (listen_on(p, FDS_SOCKET_NAME, SOCK_SEQPACKET, for_all, &p->fds_bound, &p->fds_fd, why) < 0)
        return -1;
    return listen_on(p, SOCKET_NAME, SOCK_STREAM, for_all, &p->bound, &p->listen_fd, why);
}

int place_log(struct place *p, char why[PLACE_WHY_BYTES])
{
    int fd = openat(p->dir_fd, LOG_NAME, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);

    return fd >= 0 ? fd : fail(why, "cannot make the log in", p->dir, errno);
}

void place_close(struct place *p, bool remove_dir)
{
    if (p->listen_fd >= 0)
        close(p->listen_fd);
    if (p->fds_fd >= 0)
        close(p->fds_fd);
    if (p->lock_fd >= 0) {
        if (p->bound)
            unlinkat(p->dir_fd, SOCKET_NAME, 0);
        if (p->fds_bound)
            unlinkat(p->dir_fd, FDS_SOCKET_NAME, 0);
        if (remove_dir)
            unlinkat(p->dir_fd, LOG_NAME, 0);
        unlinkat(p->dir_fd, LOCK_NAME, 0);
        close(p->lock_fd);
        if (remove_dir || p->made)
            rmdir(p->dir);
    }
    if (p->dir_fd >= 0)
        close(p->dir_fd);
}
