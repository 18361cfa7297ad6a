/* SPDX-License-Identifier: MIT */
/*
 * command_output -- see command_output.h.
 *
 * The pipes stay with the worker, both ends of them, for the next command: when one has ended nobody is left who could
 * write, and its end is known by other means than the end of its output. So a pipe costs one system call but for
 * reading: what a command has made of the end that it wrote to, which is the next one's, is undone.
 *
 * What a queued command writes is in its files as soon as it was read here, for others to read while it runs and after
 * it, or this worker, or the daemon, has died. When a file has half of what may be kept, it takes the place of the one
 * before, and another is begun: so the last half of it, at least, is always there.
 */
#include "daemon/worker/command_output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/worker/log.h"
#include "proto/util.h"

enum { BUFFER_BYTES = 64 << 10, FD_FROM = 100, TRIES = 3, HALF_LEAST = 4096, KEEP_BYTES = 1 << 20 };

static int pipes[OUTPUT_STREAMS][2] = { { -1, -1 }, { -1, -1 } };

/* -- pipes --------------------------------------------------------------------------------------------------- */

/* Above those that a command begins with, so that placing one does not close another. */
static int settle(int fd)
{
    const int settled = fcntl(fd, F_DUPFD_CLOEXEC, FD_FROM);

    if (settled < 0)
        return fd; /* a low limit */
    close(fd);
    return settled;
}

static int make_pipe(int ret[2])
{
    if (ret[0] >= 0) /* the command before may have made it non-blocking, and who does not expect that loses output */
        return fcntl(ret[1], F_SETFL, 0) < 0 ? -errno : 0;
    if (pipe2(ret, O_CLOEXEC) < 0)
        return -errno;
    ret[0] = settle(ret[0]);
    ret[1] = settle(ret[1]);
    return fcntl(ret[0], F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
}

void output_drop_pipes(void)
{
    for (unsigned i = 0; i < OUTPUT_STREAMS; i++) {
        if (pipes[i][0] < 0)
            continue;
        close(pipes[i][0]);
        close(pipes[i][1]);
        pipes[i][0] = pipes[i][1] = -1;
    }
}

int output_write_fd(unsigned stream)
{
    return pipes[stream][1];
}

int output_read_fd(unsigned stream)
{
    return pipes[stream][0];
}

/* -- streams ------------------------------------------------------------------------------------------------- */

int output_begin(struct output streams[OUTPUT_STREAMS], struct output_place *place)
{
    static const char *const suffixes[OUTPUT_STREAMS] = { ".out", ".err" };
    int r = 0;

    for (unsigned i = 0; i < OUTPUT_STREAMS; i++) {
        struct output *o = &streams[i];

        o->suffix = suffixes[i];
        o->place = place;
        o->fd = -1;
        o->there = false;
        o->kept.max_bytes = place->inline_max;
        bytes_reset(&o->kept);
        o->bytes = o->lost = o->file_bytes = o->tail_n = 0;
        if (r == 0)
            r = make_pipe(pipes[i]);
    }
    return r;
}

static void keep_tail(struct output *o, const uint8_t *data, size_t n)
{
    const size_t new = MIN(n, sizeof o->tail), old = MIN(o->tail_n, sizeof o->tail - new);

    memmove(o->tail, o->tail + o->tail_n - old, old);
    memcpy(o->tail + old, data + n - new, new);
    o->tail_n = old + new;
}

void output_file(const struct output *o, char ret[PATH_MAX])
{
    snprintf(ret, PATH_MAX, "%s%s", o->place->path, o->suffix);
}

static int create(const char *path)
{
    return open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
}

/* The directories of a path, but for the upper ones: that of all output, and that of the day. */
static void make_directories(const char *path)
{
    char dir[PATH_MAX];
    char *day, *file;

    snprintf(dir, sizeof dir, "%s", path);
    file = strrchr(dir, '/');
    *file = '\0';
    day = strrchr(dir, '/');
    *day = '\0';
    mkdir(dir, 0700);
    *day = '/';
    mkdir(dir, 0700);
}

static bool open_file(struct output *o)
{
    char path[PATH_MAX];

    output_file(o, path);
    o->fd = create(path);
    for (int i = 0; o->fd < 0 && errno == ENOENT && i < TRIES; i++) { /* the daemon removes empty ones */
        make_directories(path);
        o->fd = create(path);
    }
    if (o->fd < 0)
        log_say(LOG_LEVEL_WARNING, "output-lost", "%s: %s", path, strerror(errno));
    o->there |= o->fd >= 0;
    o->file_bytes = 0;
    return o->fd >= 0;
}

/* The file has its half of the room: it becomes the one before. */
static void turn_over(struct output *o)
{
    char path[PATH_MAX], old[PATH_MAX];

    output_file(o, path);
    close(o->fd);
    o->fd = -1;
    if ((size_t)snprintf(old, sizeof old, "%s.old", path) < sizeof old)
        rename(path, old);
}

/* What cannot be written is counted, and the next is tried again: there may be space then. */
static void write_file(struct output *o, const uint8_t *data, size_t n)
{
    const uint64_t half = MAX(o->place->max / 2, (uint64_t)HALF_LEAST);

    while (n > 0) {
        size_t part;
        ssize_t done;

        if (o->fd >= 0 && o->file_bytes >= half)
            turn_over(o);
        if (o->fd < 0 && !open_file(o))
            break;
        part = MIN(n, half - o->file_bytes);
        done = write(o->fd, data, part);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            break;
        o->file_bytes += (uint64_t)done;
        data += done;
        n -= (size_t)done;
    }
    o->lost += n;
}

static void keep(struct output *o, const uint8_t *data, size_t n)
{
    const struct output_place *place = o->place;

    o->bytes += n;
    keep_tail(o, data, n);
    if (!place->queued && o->fd < 0 && n <= place->inline_max - MIN(place->inline_max, o->kept.n) &&
        bytes_append(&o->kept, data, n) == 0)
        return;
    if (!place->path[0]) {
        const size_t part = MIN(n, place->inline_max - MIN(place->inline_max, o->kept.n));

        o->lost += n - (bytes_append(&o->kept, data, part) == 0 ? part : 0);
        return;
    }
    if (o->kept.n > 0) { /* it does not fit: a file has it from the beginning */
        write_file(o, o->kept.data, o->kept.n);
        bytes_reset(&o->kept);
    }
    write_file(o, data, n);
}

void output_end(struct output streams[OUTPUT_STREAMS], bool forget)
{
    char path[PATH_MAX], old[PATH_MAX];

    for (unsigned i = 0; i < OUTPUT_STREAMS; i++) {
        struct output *o = &streams[i];

        if (o->fd >= 0)
            close(o->fd);
        o->fd = -1;
        if (!forget || !o->there)
            continue;
        output_file(o, path);
        unlink(path);
        if ((size_t)snprintf(old, sizeof old, "%s.old", path) < sizeof old)
            unlink(old);
    }
}

void output_release(struct output streams[OUTPUT_STREAMS])
{
    for (unsigned i = 0; i < OUTPUT_STREAMS; i++)
        if (streams[i].kept.cap > KEEP_BYTES) { /* one large value shall not hold its memory for ever */
            bytes_deinit(&streams[i].kept);
            bytes_init(&streams[i].kept, streams[i].place->inline_max);
        }
}

void output_take(struct output *o, unsigned stream, bool all)
{
    static uint8_t buffer[BUFFER_BYTES];
    ssize_t got;

    do {
        got = read(pipes[stream][0], buffer, sizeof buffer);
        if (got > 0)
            keep(o, buffer, (size_t)got);
    } while ((all && got == (ssize_t)sizeof buffer) || (got < 0 && errno == EINTR)); /* less: there was no more */
}

/* -- last lines ---------------------------------------------------------------------------------------------- */

static size_t count_lines(const struct output *o)
{
    size_t n = 0;

    for (size_t i = 0; i < o->tail_n; i++)
        n += o->tail[i] == '\n';
    return n + (o->tail_n > 0 && o->tail[o->tail_n - 1] != '\n');
}

static void log_lines(const struct output *o, size_t last, struct ptools_task *t)
{
    const char *at = o->tail, *end = o->tail + o->tail_n;

    for (size_t left = count_lines(o); left > 0; left--) {
        const char *line = at, *feed = memchr(at, '\n', (size_t)(end - at));

        feed = feed ? feed : end;
        at = feed + (feed < end);
        if (left <= last)
            ptools_task_log(t, "%.*s", (int)(feed - line), line);
    }
}

/* Of its error output, which tells most, then of its output; half of the room each, if both have much to say. */
void output_log(const struct output streams[OUTPUT_STREAMS], struct ptools_task *t)
{
    const size_t out = count_lines(&streams[0]), err = count_lines(&streams[1]), half = PAGE_LOG_LINES / 2;
    const size_t of_err = MIN(err, MAX(half, PAGE_LOG_LINES - MIN(out, (size_t)PAGE_LOG_LINES)));

    atomic_store_explicit(&t->page->log_next, 0, memory_order_relaxed);
    log_lines(&streams[1], of_err, t);
    log_lines(&streams[0], PAGE_LOG_LINES - of_err, t);
}
