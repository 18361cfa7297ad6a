/* SPDX-License-Identifier: MIT */
/*
 * refuse -- see refuse.h. A peer that is about to say its greeting would find its socket closed, and not read what it
 * was told. So what was refused is kept until the peer has closed it, for PATIENCE_US at most, and what it says is
 * thrown away. There are KEPT_MAX of them; with one more the oldest goes.
 */
#include "daemon/ptoolsd/refuse.h"

#include <errno.h>
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

static void kept_free(struct kept *k)
{
    TAILQ_REMOVE(&k->r->kept, k, link);
    k->r->n--;
    sd_event_source_disable_unref(k->source);
    sd_event_source_disable_unref(k->timer);
    close(k->fd);
    free(k);
}

static int on_said(sd_event_source *s, int fd, uint32_t revents, void *userdata)
{
    char nobody_reads_it[4096];
    ssize_t n = recv(fd, nobody_reads_it, sizeof nobody_reads_it, MSG_DONTWAIT);

    (void)s;
    (void)revents;
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        kept_free(userdata);
    return 0;
}

static int on_patience(sd_event_source *s, uint64_t usec, void *userdata)
{
    (void)s;
    (void)usec;
    kept_free(userdata);
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
        close(take_fd);
        return;
    }
    if (r->n == KEPT_MAX)
        kept_free(TAILQ_FIRST(&r->kept));
    *k = (struct kept){ .r = r, .fd = take_fd };
    TAILQ_INSERT_TAIL(&r->kept, k, link);
    r->n++;
    if (sd_event_add_io(r->event, &k->source, k->fd, EPOLLIN, on_said, k) < 0 ||
        sd_event_add_time_relative(r->event, &k->timer, CLOCK_MONOTONIC, PATIENCE_US, 100000, on_patience, k) < 0)
        kept_free(k);
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
        kept_free(TAILQ_FIRST(&r->kept));
    free(r);
    return NULL;
}
