/* SPDX-License-Identifier: MIT */
/*
 * command_output -- see command_output.h.
 *
 * The pipes stay with the worker, both ends of them, for the next command: when one has ended nobody is left who could
 * write, and its end is known by other means than the end of its output. So a pipe costs no system call but for reading.
 */
#include "daemon/worker/command_output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "proto/util.h"

enum { BUFFER_BYTES = 64 << 10, FD_FROM = 100 };

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
    if (ret[0] >= 0)
        return 0;
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

int output_begin(struct output streams[OUTPUT_STREAMS], size_t inline_max)
{
    int r = 0;

    for (unsigned i = 0; i < OUTPUT_STREAMS; i++) {
        struct output *o = &streams[i];

        o->inline_max = o->kept.max_bytes = inline_max;
        bytes_reset(&o->kept);
        o->bytes = o->tail_n = 0;
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

static void keep(struct output *o, const uint8_t *data, size_t n)
{
    o->bytes += n;
    keep_tail(o, data, n);
    (void)bytes_append(&o->kept, data, MIN(n, o->inline_max - o->kept.n));
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
