/* SPDX-License-Identifier: MIT */
/*
 * front_link -- connections come in by it, and the leave to end; see proto/front.h.
 *
 * When the front is gone without a word (it was killed, and no service manager keeps its sockets), no more clients will
 * ever come: this daemon ends as by SIGTERM. Clients that are connected stay connected meanwhile.
 */
#include "daemon/ptoolsd/front_link.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/ptoolsd/door.h"
#include "daemon/ptoolsd/fds.h"
#include "daemon/ptoolsd/log.h"
#include "proto/front.h"

enum { PACKETS_A_TURN = 32 };

struct front_link {
    struct daemon *d;
    int fd;
    int words_fd; /* the pipe to the front; -1: it has not begun */
    sd_event_source *source;
    sd_event_source *idle_timer;
    uint64_t taken; /* connections, since BEGIN */
    bool up;    /* it serves */
    bool idle;  /* the timer runs, or has rung */
    bool asked; /* IDLE was sent, and nobody came since */
};

/* 1: a packet, and in *ret_fd what came along, or -1; 0: none now; -1: there will be none any more. */
static int receive(struct front_link *l, struct front_packet *ret, int *ret_fd)
{
    struct iovec iov = { ret, sizeof *ret };
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control;
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
                          .msg_controllen = CMSG_LEN(sizeof(int)) }; /* for one: the kernel drops others */
    struct cmsghdr *c;
    ssize_t got = recvmsg(l->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

    *ret_fd = -1;
    if (got < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -1;
    for (c = CMSG_FIRSTHDR(&msg); got > 0 && c; c = CMSG_NXTHDR(&msg, c))
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
            memcpy(ret_fd, CMSG_DATA(c), sizeof *ret_fd);
    return got == (ssize_t)sizeof *ret && ret->magic == FRONT_MAGIC && !ret->text[FRONT_TEXT_BYTES - 1] ? 1 : -1;
}

static void stop_idling(struct front_link *l)
{
    l->idle = l->asked = false;
    l->idle_timer = sd_event_source_disable_unref(l->idle_timer);
}

/* false: the front does not read now, or there is none. */
static bool say(const struct front_link *l, enum front_kind kind)
{
    const struct front_packet p = { .magic = FRONT_MAGIC, .kind = kind, .uid = geteuid(), .taken = l->taken };

    return l->words_fd >= 0 && write(l->words_fd, &p, sizeof p) == (ssize_t)sizeof p;
}

static void begin(struct front_link *l, const struct front_packet *p, int take_fd)
{
    if (l->words_fd >= 0)
        close(l->words_fd);
    l->words_fd = take_fd;
    l->taken = 0;
    stop_idling(l);
    if (l->up)
        (void)say(l, FRONT_UP);
    if (l->d->draining)
        (void)say(l, FRONT_LEAVING); /* the one before was told, or nobody */
    if (strcmp(p->text, PTOOLS_VERSION) != 0) {
        log_info("front-is-another", LOG_STR("version", p->text));
        daemon_drain(l->d);
    }
}

static void handle(struct front_link *l, const struct front_packet *p, int take_fd)
{
    struct daemon *d = l->d;
    const bool is_connection = p->kind == FRONT_CLIENT || p->kind == FRONT_ARRAYS;

    if ((is_connection || p->kind == FRONT_BEGIN) != (take_fd >= 0)) {
        /* the kernel dropped the descriptor, for this process may have no more of them */
        log_warning("connection-lost", LOG_U64("kind", p->kind));
        if (take_fd >= 0)
            close(take_fd);
        l->taken += is_connection;
        return;
    }
    switch (p->kind) {
    case FRONT_CLIENT:
    case FRONT_ARRAYS:
        l->taken++;
        stop_idling(l);
        if (p->kind == FRONT_CLIENT)
            door_let_in(d->door, take_fd);
        else
            fds_let_in(d->fds, take_fd);
        break;
    case FRONT_BEGIN:
        begin(l, p, take_fd);
        break;
    case FRONT_RELOAD:
        daemon_reload(d);
        break;
    case FRONT_DRAIN:
    case FRONT_LEAVE:
        daemon_drain(d);
        break;
    default:
        log_error("front-broke-protocol", LOG_U64("kind", p->kind));
    }
}

static int on_link(sd_event_source *s, int fd, uint32_t revents, void *userdata)
{
    struct front_link *l = userdata;
    struct front_packet p;
    int take_fd, r = 1;

    (void)fd;
    (void)revents;
    for (unsigned i = 0; i < PACKETS_A_TURN && r > 0; i++) {
        r = receive(l, &p, &take_fd);
        if (r > 0)
            handle(l, &p, take_fd);
        else if (take_fd >= 0)
            close(take_fd);
    }
    if (r >= 0)
        return 0;
    if (!l->d->draining) {
        log_warning("front-gone");
        daemon_drain(l->d);
    }
    return sd_event_source_set_enabled(s, SD_EVENT_OFF);
}

static int on_idle(sd_event_source *s, uint64_t usec, void *userdata)
{
    struct front_link *l = userdata;

    (void)s;
    (void)usec;
    if (l->asked)
        return 0;
    /* A front that does not read is asked at the next occasion. */
    l->asked = say(l, FRONT_IDLE);
    return 0;
}

void front_link_leaves(struct front_link *l)
{
    if (l)
        (void)say(l, FRONT_LEAVING); /* else it learns it at the end */
}

void front_link_up(struct front_link *l)
{
    if (!l)
        return;
    l->up = true;
    (void)say(l, FRONT_UP); /* else with BEGIN */
}

void front_link_turn(struct front_link *l, bool idle)
{
    if (!l || idle == l->idle || l->d->draining)
        return;
    stop_idling(l);
    if (!idle)
        return;
    l->idle = true;
    if (sd_event_add_time(l->d->event, &l->idle_timer, CLOCK_MONOTONIC,
                          daemon_now(l->d) + l->d->config->users_idle_s * UINT64_C(1000000), 100000, on_idle, l) < 0)
        daemon_fail(l->d, "setting a timer", -ENOMEM);
}

int front_link_new(struct daemon *d, int take_fd, struct front_link **ret)
{
    AUTO(front_link) l = calloc(1, sizeof *l);
    int r;

    if (!l) {
        close(take_fd);
        return -ENOMEM;
    }
    l->d = d;
    l->fd = take_fd;
    l->words_fd = -1;
    r = sd_event_add_io(d->event, &l->source, l->fd, EPOLLIN, on_link, l);
    if (r >= 0)
        r = sd_event_source_set_priority(l->source, PHASE_CLIENT);
    if (r < 0)
        return r;
    *ret = TAKE(l);
    return 0;
}

struct front_link *front_link_free(struct front_link *l)
{
    if (!l)
        return NULL;
    sd_event_source_disable_unref(l->source);
    sd_event_source_disable_unref(l->idle_timer);
    close(l->fd);
    if (l->words_fd >= 0)
        close(l->words_fd);
    free(l);
    return NULL;
}
