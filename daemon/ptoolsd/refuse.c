/* SPDX-License-Identifier: MIT */
/*
 * refuse -- see refuse.h. A peer that is about to say its greeting would find its socket closed, and not read what it
 * was told. So what was refused is kept until the peer has closed it, for PATIENCE_US at most, and what it says is
 * thrown away. There are KEPT_MAX of them; with one more the oldest goes.
 *
 * What it says may have descriptors with it, and those must not be closed here: a socket with a long SO_LINGER would hold
 * the front for as long. So it is looked at before it is taken; and a socket that is not known to be empty is closed by a
 * child.
 */
#include "daemon/ptoolsd/refuse.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "proto/zmtp.h"

enum { PATIENCE_US = 1000000, KEPT_MAX = 64, IOV_MAX_SEND = 4 };

struct kept {
    struct refuse *r;
    int fd;
    sd_event_source *source, *timer;
    TAILQ_ENTRY(kept) link;
};

struct refuse {
    sd_event *event;
    TAILQ_HEAD(, kept) kept; /* oldest first */
    unsigned n;
};

void refuse_close(int take_fd)
{
    int pipe_fds[2];
    char none;
    pid_t pid = -1;

    if (pipe2(pipe_fds, O_CLOEXEC) == 0) {
        pid = fork(); /* nobody waits for it: SIGCHLD is ignored here */
        if (pid == 0) {
            close(pipe_fds[1]);
            (void)!read(pipe_fds[0], &none, 1); /* until ours is not the last but one */
            close(take_fd);
            _exit(0);
        }
        close(take_fd);
        close(pipe_fds[0]);
        close(pipe_fds[1]);
        return;
    }
    close(take_fd);
}

/* empty: there is nothing in it that nobody has taken. */
static void kept_free(struct kept *k, bool empty)
{
    TAILQ_REMOVE(&k->r->kept, k, link);
    k->r->n--;
    sd_event_source_disable_unref(k->source);
    sd_event_source_disable_unref(k->timer);
    if (empty)
        close(k->fd);
    else
        refuse_close(k->fd);
    free(k);
}

static int on_said(sd_event_source *s, int fd, uint32_t revents, void *userdata)
{
    char nobody_reads_it[4096];
    struct iovec iov = { nobody_reads_it, sizeof nobody_reads_it };
    struct msghdr look = { .msg_iov = &iov, .msg_iovlen = 1 };
    ssize_t n = recvmsg(fd, &look, MSG_DONTWAIT | MSG_PEEK);

    (void)s;
    (void)revents;
    if (n > 0 && !(look.msg_flags & MSG_CTRUNC))
        n = recv(fd, nobody_reads_it, (size_t)n, MSG_DONTWAIT);
    else if (n > 0)
        kept_free(userdata, false);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        kept_free(userdata, n == 0);
    return 0;
}

static int on_patience(sd_event_source *s, uint64_t usec, void *userdata)
{
    (void)s;
    (void)usec;
    kept_free(userdata, false);
    return 0;
}

static void say(int fd, const char *why)
{
    struct iovec iov[IOV_MAX_SEND];
    struct chain out;
    struct msghdr msg = { .msg_iov = iov };

    chain_init(&out);
    if (zmtp_refuse(&out, why) == 0) {
        msg.msg_iovlen = (size_t)chain_peek(&out, iov, IOV_MAX_SEND);
        (void)sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT); /* a new socket takes it */
    }
    chain_deinit(&out);
}

void refuse_peer(struct refuse *r, int take_fd, bool messages, const char *why)
{
    struct kept *k = messages ? calloc(1, sizeof *k) : NULL;

    if (messages)
        say(take_fd, why);
    if (!k) {
        refuse_close(take_fd);
        return;
    }
    if (r->n == KEPT_MAX)
        kept_free(TAILQ_FIRST(&r->kept), false);
    *k = (struct kept){ .r = r, .fd = take_fd };
    TAILQ_INSERT_TAIL(&r->kept, k, link);
    r->n++;
    if (sd_event_add_io(r->event, &k->source, k->fd, EPOLLIN, on_said, k) < 0 ||
        sd_event_add_time_relative(r->event, &k->timer, CLOCK_MONOTONIC, PATIENCE_US, 100000, on_patience, k) < 0)
        kept_free(k, false);
}

int refuse_new(sd_event *event, struct refuse **ret)
{
    struct refuse *r = calloc(1, sizeof *r);

    if (!r)
        return -ENOMEM;
    r->event = event;
    TAILQ_INIT(&r->kept);
    *ret = r;
    return 0;
}

struct refuse *refuse_free(struct refuse *r)
{
    if (!r)
        return NULL;
    while (!TAILQ_EMPTY(&r->kept))
        kept_free(TAILQ_FIRST(&r->kept), false);
    free(r);
    return NULL;
}
