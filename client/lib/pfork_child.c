/* SPDX-License-Identifier: MIT */
/*
 * pfork_child -- the child, from fork to _exit: it lets go of what is the caller's alone, becomes what the options
 * say, runs the function, and sends what came of it.
 *
 * There may have been threads, of which only this one is left: nothing is used here that could wait for a lock of
 * theirs, but for memory and stdio, whose locks glibc has put right, and on_exit(), whose lock is held for a moment by
 * who registers a handler.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "client/lib/pfork.h"

enum { PIPE_USUAL_BYTES = 65536, PIPE_LARGE_BYTES = 1 << 20, PACK_ROOM_BYTES = 256 };

struct ptools_child {
    int index, n;
    uint64_t seed;
    struct ptools_pack *pack;
    char *message;     /* of ptools_child_fail(); NULL: it was not called, or no memory */
};

/* -- asking and telling ------------------------------------------------------------------------------------------ */

ptools_pack *ptools_child_result(ptools_child *child)
{
    return child->pack;
}

ptools_err ptools_child_fail(ptools_child *child, const char *format, ...)
{
    va_list args;

    free(child->message);
    va_start(args, format);
    if (vasprintf(&child->message, format, args) < 0)
        child->message = NULL;
    va_end(args);
    return PTOOLS_ERR_FAILED;
}

int ptools_child_count(const ptools_child *child)
{
    return child->n;
}

uint64_t ptools_child_seed(const ptools_child *child)
{
    return child->seed;
}

/* splitmix64 of Steele, Lea and Flood (2014): one to one, so that no two children of a call get the same. */
static uint64_t mix(uint64_t seed, uint64_t i)
{
    uint64_t z = seed + i * UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* -- the end ----------------------------------------------------------------------------------------------------- */

/* What __fpending() tells, without mapping the page where that lives into each child; for wide characters it is asked.
 */
static bool is_pending(FILE *stream)
{
    return stream->_mode > 0 ? __fpending(stream) > 0 : stream->_IO_write_ptr > stream->_IO_write_base;
}

static void flush(FILE *stream)
{
    if (is_pending(stream))
        fflush(stream);
}

static void purge(FILE *stream)
{
    if (is_pending(stream))
        __fpurge(stream);
}

void pfork_flush(void)
{
    flush(stdout);
    flush(stderr);
}

/* For exit(): last come, first served, so the handlers of the caller never get their turn. */
static void exit_now(int status, void *arg)
{
    (void)arg;
    pfork_flush();
    _exit(status);
}

static bool write_all(int fd, struct iovec *iov, int n)
{
    while (n > 0) {
        ssize_t written = writev(fd, iov, n);

        if (written < 0 && errno != EINTR)
            return false;
        for (; n > 0 && written >= (ssize_t)iov->iov_len; iov++, n--)
            written -= (ssize_t)iov->iov_len;
        if (n > 0 && written > 0) {
            iov->iov_base = (char *)iov->iov_base + written;
            iov->iov_len -= (size_t)written;
        }
    }
    return true;
}

__attribute__((__noreturn__)) static void finish(int fd, ptools_err code, const void *data, size_t n)
{
    struct pfork_frame frame = { PFORK_MAGIC, (uint32_t)code, n };
    struct iovec iov[] = { { &frame, sizeof frame }, { (void *)(uintptr_t)data, n } };

    if (n > PIPE_USUAL_BYTES)
        fcntl(fd, F_SETPIPE_SZ, PIPE_LARGE_BYTES); /* refused: then it takes more turns */
    pfork_flush();
    write_all(fd, iov, n > 0 ? 2 : 1);
    _exit(0);
}

__attribute__((__noreturn__, __format__(__printf__, 3, 4))) static void give_up(const struct pfork_birth *b,
                                                                              ptools_err code, const char *format, ...)
{
    char text[256];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    finish(b->write_fds[PIPE_RESULT], code, text, strlen(text));
}

/* -- becoming one -------------------------------------------------------------------------------------------------- */

static void leave_caller(const struct pfork_birth *b)
{
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || (getppid() != b->parent && getppid() != 0))
        _exit(1); /* the caller is dead already: nobody reads on. 0: it is in another namespace of processes */
    setpgid(0, 0);
    for (size_t i = 0; i < b->n_foreign; i++)
        close_range((unsigned)b->foreign[i].first, (unsigned)b->foreign[i].last, 0);
}

static void redirect(const struct pfork_birth *b, int pipe, ptools_pfork_output output, int to)
{
    int fd = -1;

    if (output == PTOOLS_PFORK_INHERIT)
        return;
    if (output == PTOOLS_PFORK_CAPTURE)
        fd = b->write_fds[pipe];
    else if ((fd = open("/dev/null", O_WRONLY | O_CLOEXEC)) < 0)
        give_up(b, PTOOLS_ERR_SYSTEM, "child %d: /dev/null: %s", b->index, strerror(errno));
    if (fd == to)
        fcntl(fd, F_SETFD, 0);
    else if (dup2(fd, to) < 0)
        give_up(b, PTOOLS_ERR_SYSTEM, "child %d: dup2: %s", b->index, strerror(errno));
    else
        close(fd);
}

static void set_processors(const struct pfork_birth *b)
{
    const ptools_pfork_options *how = &b->job.how;
    cpu_set_t set;

    if (how->n_cpus == 0)
        return;
    CPU_ZERO(&set);
    for (uint32_t i = 0; i < how->n_cpus; i++)
        if (!(how->flags & PTOOLS_PFORK_SPREAD) || i == (uint32_t)(b->index - 1) % how->n_cpus)
            CPU_SET(how->cpus[i], &set);
    if (sched_setaffinity(0, sizeof set, &set) < 0)
        give_up(b, PTOOLS_ERR_SYSTEM, "child %d cannot run on these processors: %s", b->index, strerror(errno));
}

static void set_limits(const struct pfork_birth *b)
{
    for (uint32_t i = 0; i < b->job.how.n_limits; i++) {
        const ptools_pfork_limit *l = &b->job.how.limits[i];
        const struct rlimit limit = { l->soft == UINT64_MAX ? RLIM_INFINITY : l->soft,
                                      l->hard == UINT64_MAX ? RLIM_INFINITY : l->hard };

        if (setrlimit((__rlimit_resource_t)l->resource, &limit) < 0)
            give_up(b, PTOOLS_ERR_SYSTEM, "child %d: limit %u (of resource %d) cannot be set: %s", b->index, i,
                    l->resource, strerror(errno));
    }
}

static void set_nice(const struct pfork_birth *b)
{
    if (b->job.how.nice == 0)
        return;
    errno = 0;
    if (nice(b->job.how.nice) == -1 && errno != 0)
        give_up(b, PTOOLS_ERR_SYSTEM, "child %d: nice %d: %s", b->index, b->job.how.nice, strerror(errno));
}

static void seed(uint64_t with)
{
    srandom((unsigned)(with ^ (with >> 32)));
    srand48((long)(with >> 16));
}

/* Whether the pipe of the result is still what has that number: f may have closed all descriptors and opened others. */
static bool is_still(int fd, const struct stat *before)
{
    struct stat now;

    return fstat(fd, &now) == 0 && now.st_dev == before->st_dev && now.st_ino == before->st_ino;
}

/* -- all of it ----------------------------------------------------------------------------------------------------- */

void pfork_child_run(const struct pfork_birth *b)
{
    struct ptools_pack pack; /* it and what little it may take lie on the stack, whose page has been copied already */
    uint8_t room[PACK_ROOM_BYTES];
    struct ptools_child child = { b->index, b->job.n, mix(b->job.how.seed, (uint64_t)b->index), &pack, NULL };
    const char *text;
    const uint8_t *data;
    struct stat pipe;
    size_t n;
    ptools_err err;

    leave_caller(b);
    if (fstat(b->write_fds[PIPE_RESULT], &pipe) < 0)
        _exit(1);
    pack_init_lent(&pack, room, sizeof room);
    purge(stdout); /* of on_done, or of another thread, since the caller flushed: it is still there */
    purge(stderr);
    redirect(b, PIPE_OUTPUT, b->job.how.output, STDOUT_FILENO);
    redirect(b, PIPE_ERRORS, b->job.how.errors, STDERR_FILENO);
    set_processors(b);
    set_nice(b);
    if (b->single_threaded)
        seed(child.seed);
    if (on_exit(exit_now, NULL) != 0)
        give_up(b, PTOOLS_ERR_NO_MEMORY, "child %d has no memory", b->index);
    set_limits(b); /* last: what is to be done before must not fall under them */

    err = b->job.f(b->index, b->job.arg, &child);
    if (!is_still(b->write_fds[PIPE_RESULT], &pipe))
        exit_now(0, NULL);
    if (err != PTOOLS_OK) {
        text = child.message ? child.message : ptools_strerror(err);
        finish(b->write_fds[PIPE_RESULT], PTOOLS_ERR_FAILED, text, strlen(text));
    }
    err = pack_finish_value(child.pack, &data, &n);
    if (err != PTOOLS_OK)
        give_up(b, err, "the value of child %d cannot be sent: %s", b->index,
                err == PTOOLS_ERR_INVALID ? "its pack is incomplete, is nested too deep, or was given what is no value"
                                          : ptools_strerror(err));
    finish(b->write_fds[PIPE_RESULT], PTOOLS_OK, data, n);
}
