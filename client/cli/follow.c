/* SPDX-License-Identifier: MIT */
/*
 * follow -- see follow.h. What inotify tells is not looked at: it wakes, and then the file itself is asked.
 *
 * When the file has been renamed (rotated), what is left of it is copied first, and then the new one from its
 * beginning. The watch is set before the look that it is for, so nothing slips through between.
 */
#include "client/cli/follow.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

int follow_open(struct follow *f, const char *path, int to)
{
    *f = (struct follow){ .path = strdup(path), .to = to, .file = -1, .inotify = -1, .watch = -1 };
    return f->path ? 0 : -ENOMEM;
}

void follow_close(struct follow *f)
{
    if (f->file >= 0)
        close(f->file);
    if (f->inotify >= 0)
        close(f->inotify);
    free(f->path);
    *f = (struct follow){ .file = -1, .inotify = -1, .watch = -1 };
}

static void drain(const struct follow *f)
{
    char events[4096];

    while (read(f->inotify, events, sizeof events) > 0)
        ;
}

static void watch(struct follow *f, const char *path, uint32_t events)
{
    if (f->watch >= 0)
        inotify_rm_watch(f->inotify, f->watch);
    drain(f);
    f->watch = inotify_add_watch(f->inotify, path, events);
}

/* The nearest directory on the way to it that is there. */
static void watch_way(struct follow *f)
{
    char *way = strdup(f->path), *slash;

    f->watch = -1;
    while (way && f->watch < 0 && (slash = strrchr(way, '/')) && slash > way) {
        *slash = '\0';
        watch(f, way, IN_CREATE | IN_MOVED_TO | IN_ONLYDIR);
    }
    free(way);
}

static void watch_file(struct follow *f)
{
    watch(f, f->path, IN_MODIFY | IN_MOVE_SELF | IN_DELETE_SELF | IN_ATTRIB);
}

int follow_watch(struct follow *f)
{
    f->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (f->inotify < 0)
        return -errno;
    if (f->file >= 0)
        watch_file(f);
    return 0;
}

static bool try_open(struct follow *f)
{
    f->file = open(f->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    return f->file >= 0;
}

/* 1: it is open; 0: it is not there; -errno. */
static int find(struct follow *f)
{
    int error;

    if (try_open(f))
        goto found;
    error = errno;
    if (error == ENOENT && f->inotify >= 0) {
        watch_way(f);
        if (try_open(f))
            goto found;
        error = errno;
    }
    return error == ENOENT ? 0 : -error;
found:
    if (f->inotify >= 0)
        watch_file(f);
    return 1;
}

static bool is_another(const struct follow *f)
{
    struct stat ours, its;

    return fstat(f->file, &ours) == 0 && stat(f->path, &its) == 0 &&
           (ours.st_ino != its.st_ino || ours.st_dev != its.st_dev);
}

/* Whoever made `to` may have made it non-blocking, for itself and all who have it. */
static int write_all(int to, const char *data, size_t n)
{
    struct pollfd room = { .fd = to, .events = POLLOUT };

    while (n > 0) {
        const ssize_t done = write(to, data, n);

        if (done < 0 && errno == EAGAIN)
            (void)poll(&room, 1, -1);
        else if (done < 0 && errno != EINTR)
            return -errno;
        data += done > 0 ? done : 0;
        n -= done > 0 ? (size_t)done : 0;
    }
    return 0;
}

/* Bytes read and written; 0: its end; -errno. */
static ssize_t copy_piece(struct follow *f)
{
    char piece[PIPE_BUF];
    ssize_t n;
    int r;

    do
        n = read(f->file, piece, sizeof piece);
    while (n < 0 && errno == EINTR);
    if (n <= 0)
        return n < 0 ? -errno : 0;
    r = write_all(f->to, piece, (size_t)n);
    return r < 0 ? r : n;
}

int follow_copy(struct follow *f)
{
    ssize_t n;
    int r = f->file >= 0 ? 1 : find(f);

    if (r <= 0)
        return r;
    if (f->inotify >= 0)
        drain(f);
    n = copy_piece(f);
    if (n != 0)
        return n < 0 ? (int)n : 1;
    if (!is_another(f))
        return 0;
    n = copy_piece(f); /* it may have grown before it was renamed */
    if (n == 0) {
        close(f->file);
        f->file = -1;
    }
    return n < 0 ? (int)n : 1;
}
