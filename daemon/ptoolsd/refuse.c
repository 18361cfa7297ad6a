/* SPDX-License-Identifier: MIT */
/*
 * refuse -- see refuse.h. A peer that is about to say its greeting would find its socket closed, and not read what it
 * was told. So what was refused is kept until the peer has closed it, for PATIENCE_US at most. There are KEPT_MAX of
 * them; with one more the oldest goes.
 *
 * Nothing that a peer has sent is taken here, not even to throw it away: descriptors may be with it, and to close a
 * socket with a long SO_LINGER would hold the front for as long. Looking first is no help, for MSG_PEEK does not show
 * what was sent out of band. So a socket that is done with is shut down, which its peer sees at once and which lets
 * nothing more in. If it is empty then, it is closed; else a child has it closed, by its own exit: a process that exits
 * does not linger. One child takes all that have come to their end within CLOSE_US, so that a flood of them costs few.
 */
#include "daemon/ptoolsd/refuse.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "proto/zmtp.h"

enum { PATIENCE_US = 1000000, KEPT_MAX = 64, CLOSE_US = 20000, CLOSING_MAX = 256, IOV_MAX_SEND = 4, SOON_US = 1000 };

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
    int closing[CLOSING_MAX]; /* for the next child */
    size_t n_closing;
    sd_event_source *close_timer; /* on while there are some */
};

/* A stream socket in which nothing is, and into which nothing can come any more. */
static bool is_empty(int fd)
{
    socklen_t n = sizeof(int);
    int type = 0, bytes = 0;

    return shutdown(fd, SHUT_RDWR) == 0 && getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &n) == 0 && type == SOCK_STREAM &&
           ioctl(fd, SIOCINQ, &bytes) == 0 && bytes == 0;
}

static void on_alarm(int signal_number)
{
    (void)signal_number;
}

/* No socket lingers while a signal is there. It comes again until all is closed: the first may be too early. */
static void close_soon(int take_fd)
{
    const struct itimerval soon = { { .tv_usec = SOON_US }, { .tv_usec = SOON_US } }, never = { 0 };

    setitimer(ITIMER_REAL, &soon, NULL);
    close(take_fd);
    setitimer(ITIMER_REAL, &never, NULL);
}

static void close_all(struct refuse *r)
{
    int pipe_fds[2] = { -1, -1 };
    char none;

    if (r->n_closing == 0)
        return;
    if (pipe2(pipe_fds, O_CLOEXEC) == 0 && fork() == 0) { /* nobody waits for it: SIGCHLD is ignored here */
        close(pipe_fds[1]);
        (void)!read(pipe_fds[0], &none, 1); /* until ours are not the last ones */
        _exit(0);
    }
    while (r->n_closing > 0)
        close_soon(r->closing[--r->n_closing]); /* there may be no child */
    if (pipe_fds[0] >= 0) {
        close(pipe_fds[0]);
        close(pipe_fds[1]);
    }
}

static int on_close(sd_event_source *s, uint64_t usec, void *userdata)
{
    (void)s;
    (void)usec;
    close_all(userdata);
    return 0;
}

void refuse_close(struct refuse *r, int take_fd)
{
    if (is_empty(take_fd))
        close(take_fd);
    else
        refuse_close_later(r, take_fd);
}

void refuse_close_later(struct refuse *r, int take_fd)
{
    r->closing[r->n_closing++] = take_fd;
    if (r->n_closing == CLOSING_MAX ||
        (r->n_closing == 1 && (sd_event_source_set_time_relative(r->close_timer, CLOSE_US) < 0 ||
                               sd_event_source_set_enabled(r->close_timer, SD_EVENT_ONESHOT) < 0)))
        close_all(r);
}

static void kept_free(struct kept *k)
{
    TAILQ_REMOVE(&k->r->kept, k, link);
    k->r->n--;
    sd_event_source_disable_unref(k->source);
    sd_event_source_disable_unref(k->timer);
    refuse_close(k->r, k->fd);
    free(k);
}

static int on_gone(sd_event_source *s, int fd, uint32_t revents, void *userdata)
{
    (void)s;
    (void)fd;
    (void)revents;
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
        refuse_close(r, take_fd);
        return;
    }
    if (r->n == KEPT_MAX)
        kept_free(TAILQ_FIRST(&r->kept));
    *k = (struct kept){ .r = r, .fd = take_fd };
    TAILQ_INSERT_TAIL(&r->kept, k, link);
    r->n++;
    if (sd_event_add_io(r->event, &k->source, k->fd, EPOLLRDHUP, on_gone, k) < 0 ||
        sd_event_add_time_relative(r->event, &k->timer, CLOCK_MONOTONIC, PATIENCE_US, 100000, on_patience, k) < 0)
        kept_free(k);
}

int refuse_new(sd_event *event, struct refuse **ret)
{
    const struct sigaction alarm = { .sa_handler = on_alarm }; /* without SA_RESTART: it is there to interrupt */
    struct refuse *r = calloc(1, sizeof *r);
    int error;

    if (!r || sigaction(SIGALRM, &alarm, NULL) < 0) {
        free(r);
        return -ENOMEM;
    }
    r->event = event;
    TAILQ_INIT(&r->kept);
    error = sd_event_add_time(event, &r->close_timer, CLOCK_MONOTONIC, 0, CLOSE_US / 5, on_close, r);
    if (error >= 0)
        error = sd_event_source_set_enabled(r->close_timer, SD_EVENT_OFF);
    if (error < 0) {
        refuse_free(r);
        return error;
    }
    *ret = r;
    return 0;
}

struct refuse *refuse_free(struct refuse *r)
{
    if (!r)
        return NULL;
    while (!TAILQ_EMPTY(&r->kept))
        kept_free(TAILQ_FIRST(&r->kept));
    close_all(r);
    sd_event_source_disable_unref(r->close_timer);
    free(r);
    return NULL;
}
