/* SPDX-License-Identifier: MIT */
/*
 * pfork_read -- the caller's descriptors for its children, and what is read from them: results and captured streams.
 *
 * All reading ends are non-blocking. Nothing that comes is believed before it is checked: a child in trouble may write
 * anything. A descriptor leaves the epoll before it is closed, for a younger child may still hold a copy for a moment.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/uio.h>
#include <unistd.h>

#include "client/lib/pfork.h"

/* -- descriptors ------------------------------------------------------------------------------------------------- */

int fd_move_up(int fd)
{
    int up;

    if (fd > STDERR_FILENO || fd < 0)
        return fd;
    up = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    close(fd);
    return up;
}

void fd_close(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static bool pipe_new(int *ret_read, int *ret_write)
{
    int fds[2];

    if (pipe2(fds, O_CLOEXEC) < 0)
        return false;
    *ret_read = fd_move_up(fds[0]);
    *ret_write = fd_move_up(fds[1]);
    return *ret_read >= 0 && *ret_write >= 0 && fcntl(*ret_read, F_SETFL, O_NONBLOCK) == 0;
}

bool slot_open(struct run *r, struct slot *s, int *write_fds)
{
    const ptools_pfork_options *how = &r->job->how;
    const bool wanted[PIPES] = { true, how->output == PTOOLS_PFORK_CAPTURE, how->errors == PTOOLS_PFORK_CAPTURE };

    for (int i = 0; i < PIPES; i++)
        if (wanted[i] && !pipe_new(&s->fds[i], &write_fds[i]))
            return false;
    return true;
}

bool slot_watch(struct run *r, struct slot *s)
{
    struct epoll_event event = { EPOLLIN, { .u64 = FIRST_EVENT + (uint64_t)(s - r->slots) * FDS } };

    for (int i = 0; i < FDS; i++, event.data.u64++) {
        if (s->fds[i] < 0 || s->watched[i])
            continue;
        if (epoll_ctl(r->epoll, EPOLL_CTL_ADD, s->fds[i], &event) < 0)
            return false; /* the pidfd comes last: whose pidfd is watched is watched in whole */
        s->watched[i] = true;
    }
    return s->fds[FD_PID] >= 0;
}

static void forget(struct run *r, struct slot *s, int which)
{
    if (s->watched[which])
        epoll_ctl(r->epoll, EPOLL_CTL_DEL, s->fds[which], NULL);
    s->watched[which] = false;
    fd_close(&s->fds[which]);
}

void slot_close(struct run *r, struct slot *s)
{
    for (int i = 0; i < FDS; i++)
        forget(r, s, i);
}

static size_t foreign_walk(const struct run *r, struct fd_run *ret)
{
    const size_t used = MIN(r->job->how.at_once, (uint32_t)r->at.begun + 1);
    struct fd_run run = { r->epoll, r->epoll };
    size_t n = 0;

    for (size_t i = 0; i < used * FDS; i++) {
        const int fd = r->slots[i / FDS].fds[i % FDS];

        if (fd < 0)
            continue;
        if (fd != run.last + 1) {
            if (ret)
                ret[n] = run;
            n++;
            run.first = fd;
        }
        run.last = fd;
    }
    if (ret)
        ret[n] = run;
    return n + 1;
}

bool foreign_list(const struct run *r, struct foreign *ret)
{
    ret->n = foreign_walk(r, NULL);
    ret->runs = ret->n <= FEW_RUNS ? ret->few : malloc(ret->n * sizeof *ret->runs);
    if (ret->runs)
        foreign_walk(r, ret->runs);
    return ret->runs;
}

void foreign_free(struct foreign *f)
{
    if (f->runs != f->few)
        free(f->runs);
}

/* -- results ------------------------------------------------------------------------------------------------------- */

static void trouble(struct run *r, struct slot *s, ptools_err err)
{
    s->outcome->trouble = err;
    forget(r, s, PIPE_RESULT); /* nobody reads on: a child that still writes gets SIGPIPE */
}

/* The header is there: room for what follows it. The part that came along is in small already. */
static bool make_room(struct run *r, struct slot *s)
{
    struct outcome *o = s->outcome;

    if (o->frame.magic != PFORK_MAGIC || o->frame.bytes > PFORK_BYTES_MAX || o->frame.code >= PTOOLS_ERR_WIDTH_) {
        trouble(r, s, PTOOLS_ERR_INVALID);
        return false;
    }
    o->payload = o->frame.bytes < SMALL_BYTES ? o->small : children_keep(r->children, o->frame.bytes + 1);
    if (!o->payload) {
        trouble(r, s, PTOOLS_ERR_NO_MEMORY);
        return false;
    }
    if (o->payload != o->small)
        memcpy(o->payload, o->small, (size_t)MIN(o->got - sizeof o->frame, SMALL_BYTES));
    o->payload[o->frame.bytes] = '\0';
    return true;
}

/* One read. False: there is no more now, or ever. */
static bool read_some(struct run *r, struct slot *s)
{
    struct outcome *o = s->outcome;
    const int fd = s->fds[PIPE_RESULT];
    struct iovec iov[2];
    ssize_t n;

    if (o->payload) {
        iov[0] = (struct iovec){ o->payload + (o->got - sizeof o->frame), sizeof o->frame + o->frame.bytes - o->got };
        n = readv(fd, iov, 1);
    } else {
        iov[0] = (struct iovec){ (char *)&o->frame + o->got, sizeof o->frame - o->got };
        iov[1] = (struct iovec){ o->small, SMALL_BYTES - 1 };
        n = readv(fd, iov, 2);
    }
    if (n < 0)
        return errno == EINTR;
    if (n == 0) {
        forget(r, s, PIPE_RESULT);
        return false;
    }
    o->got += (uint64_t)n;
    if (!o->payload && o->got >= sizeof o->frame && !make_room(r, s))
        return false;
    if (!o->payload || o->got < sizeof o->frame + o->frame.bytes)
        return true;
    if (o->got > sizeof o->frame + o->frame.bytes)
        trouble(r, s, PTOOLS_ERR_INVALID);
    else
        forget(r, s, PIPE_RESULT); /* that is all, and nothing else is awaited there */
    return false;
}

static void read_result(struct run *r, struct slot *s, uint64_t bytes_at_most)
{
    const uint64_t end = s->outcome->got + MIN(bytes_at_most, UINT64_MAX - s->outcome->got);

    while (s->fds[PIPE_RESULT] >= 0 && s->outcome->got < end && read_some(r, s))
        ;
}

/* -- captured streams
 * --------------------------------------------------------------------------------------------------- */

/* Keeps of it what the limit allows. */
static void keep(struct run *r, struct outcome *o, int k, size_t n)
{
    const uint64_t limit = MIN(r->job->how.capture_bytes, (uint64_t)SIZE_MAX - 1);
    struct bytes *b = o->captured[k];
    size_t fits;

    if (!b)
        b = o->captured[k] = children_keep_bytes(r->children, (size_t)limit + 1); /* a NUL behind it */
    fits = b && !b->err ? (size_t)MIN((uint64_t)n, limit - b->n) : 0;
    if (fits > 0 && bytes_append(b, r->scratch, fits) < 0)
        fits = 0;
    o->dropped[k] += n - fits;
}

static void read_stream(struct run *r, struct slot *s, int which, uint64_t bytes_at_most)
{
    for (uint64_t got = 0; s->fds[which] >= 0 && got < bytes_at_most;) {
        ssize_t n = read(s->fds[which], r->scratch, SCRATCH_BYTES);

        if (n < 0 && errno == EINTR)
            continue;
        if (n == 0)
            forget(r, s, which);
        if (n <= 0)
            return;
        keep(r, s->outcome, which - PIPE_OUTPUT, (size_t)n);
        got += (uint64_t)n;
    }
}

void slot_read_one(struct run *r, struct slot *s, int which, uint64_t bytes_at_most)
{
    if (which == PIPE_RESULT)
        read_result(r, s, bytes_at_most);
    else
        read_stream(r, s, which, bytes_at_most);
}

void slot_read(struct run *r, struct slot *s, uint64_t bytes_at_most)
{
    for (int which = 0; which < PIPES; which++)
        slot_read_one(r, s, which, bytes_at_most);
}
