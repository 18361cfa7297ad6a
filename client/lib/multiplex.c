/* SPDX-License-Identifier: MIT */
/*
 * multiplex -- waiting for the daemon and for server tasks at once: by poll(2) in the library's own waits, by an epoll
 * descriptor for an event loop of the user's.
 *
 * Only who owes something is waited for: a wait for two server tasks looks at two sockets and no more.
 */
#include "client/lib/handle.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { POLL_FEW = 64, NAP_US = 1000 };

bool lanes_busy(const struct ptools *pt)
{
    const struct ptools_stasks *s;

    if (pt->lane_calls > 0)
        return true;
    LIST_FOREACH(s, &pt->stasks, link)
        for (uint32_t i = 0; i < s->n; i++)
            if (lane_is_awaited(&s->lanes[i]))
                return true;
    return false;
}

/* While `first` is waited for, and this lane is next: it has nothing to send, and its server task nothing to do but to
 * answer. With a second call in flight it may wait for us to read what the first gave. */
static bool may_wait(const struct lane *lane, const struct lane *first)
{
    return first && lane != first && lane->stasks == first->stasks && lane->out.n == 0 &&
           !TAILQ_NEXT(TAILQ_FIRST(&lane->futures), lane_link);
}

/* What poll() shall look at: how many that are; of these, from number `from` on, as many into p as there is room for.
 */
static nfds_t gather(struct ptools *pt, const struct lane *first, nfds_t from, nfds_t room, struct pollfd *p,
                     struct lane **lanes)
{
    struct ptools_stasks *s;
    nfds_t n = 0;

    LIST_FOREACH(s, &pt->stasks, link) {
        for (uint32_t i = 0; i < s->n; i++) {
            struct lane *lane = &s->lanes[i];

            if (!lane_is_awaited(lane) || may_wait(lane, first))
                continue;
            if (n >= from && n - from < room) {
                p[n - from] =
                    (struct pollfd){ .fd = lane->fd, .events = (short)(POLLIN | (lane->out.n > 0 ? POLLOUT : 0)) };
                lanes[n - from] = lane;
            }
            n++;
        }
    }
    return n;
}

static bool transport_is_awaited(struct ptools *pt)
{
    return connection_alive(pt) && (HASH_COUNT(pt->in_flight) > 0 || pt->transport->sent < pt->transport->queued);
}

static bool take_in(struct ptools *pt, const struct pollfd *p, struct lane **lanes, nfds_t n, bool transport)
{
    bool happened = false;

    for (nfds_t i = 0; i < n; i++) {
        if (p[i].revents & POLLOUT)
            lane_flush(lanes[i]);
        if (p[i].revents)
            happened = lane_receive(lanes[i]) || happened || p[i].revents & POLLOUT;
    }
    if (transport && p[n].revents && connection_alive(pt))
        happened = connection_pump(pt, 0) || happened;
    return happened;
}

/* There is no memory to look at all at once: a few at a time, and a nap when nothing has come. */
static bool pump_by_parts(struct ptools *pt, const struct lane *lane, uint64_t until_us)
{
    struct pollfd p[POLL_FEW];
    struct lane *lanes[POLL_FEW];
    bool happened = transport_is_awaited(pt) && connection_pump(pt, 0);
    uint64_t now_us;
    nfds_t n;

    for (nfds_t from = 0; from < (n = gather(pt, lane, from, POLL_FEW, p, lanes)); from += POLL_FEW) {
        n = MIN(n - from, (nfds_t)POLL_FEW);
        if (poll(p, n, 0) > 0)
            happened = take_in(pt, p, lanes, n, false) || happened;
    }
    now_us = clock_now_us();
    if (happened || until_us <= now_us)
        return happened;
    poll(NULL, 0, clock_poll_ms(MIN(until_us, now_us + NAP_US)));
    return true;
}

bool handle_pump(struct ptools *pt, uint64_t until_us)
{
    return handle_pump_lane(pt, NULL, until_us);
}

bool handle_pump_lane(struct ptools *pt, const struct lane *lane, uint64_t until_us)
{
    struct pollfd few[POLL_FEW + 1], *p = few;
    struct lane *few_lanes[POLL_FEW], **lanes = few_lanes;
    bool transport, happened = false;
    nfds_t n;
    int r;

    if (again_is_due(pt))
        return again_connect(pt, until_us);
    if (!pt->connecting)
        again_flush(pt);
    if (!lanes_busy(pt))
        return connection_alive(pt) && connection_pump(pt, until_us);
    n = gather(pt, lane, 0, 0, NULL, NULL);
    if (n > POLL_FEW) {
        p = malloc((n + 1) * sizeof *p);
        lanes = malloc(n * sizeof *lanes);
    }
    if (p && lanes) {
        gather(pt, lane, 0, n, p, lanes);
        transport = transport_is_awaited(pt);
        if (transport) {
            pt->transport->ops->flush(pt->transport);
            p[n] = (struct pollfd){ .fd = pt->transport->ops->fd(pt->transport),
                                    .events = pt->transport->ops->events(pt->transport, false) };
        }
        r = poll(p, n + transport, clock_poll_ms(until_us));
        if (r > 0)
            happened = take_in(pt, p, lanes, n, transport);
        happened = happened || (r < 0 && errno == EINTR) || (r > 0 && until_us != 0);
    } else {
        happened = pump_by_parts(pt, lane, until_us);
    }
    if (p != few)
        free(p);
    if (lanes != few_lanes)
        free(lanes);
    return happened;
}

/* -- for a loop of the user's ---------------------------------------------------------------------------- */

static bool epoll_add(struct ptools *pt, int fd, uint32_t events, struct lane *lane)
{
    struct epoll_event event = { .events = events, .data.ptr = lane };

    return epoll_ctl(pt->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0 || errno == EEXIST;
}

void multiplex_close(struct ptools *pt)
{
    if (pt->epoll_fd >= 0)
        close(pt->epoll_fd);
    if (pt->wake_fd >= 0)
        close(pt->wake_fd);
    pt->epoll_fd = pt->wake_fd = pt->epoll_transport_fd = -1;
    pt->waking = false;
}

/* The next transport may have a descriptor of the same number: this one is forgotten while it is open. */
void multiplex_leave(struct ptools *pt)
{
    if (pt->epoll_fd >= 0 && pt->epoll_transport_fd >= 0)
        epoll_ctl(pt->epoll_fd, EPOLL_CTL_DEL, pt->epoll_transport_fd, NULL);
    pt->epoll_transport_fd = -1;
}

bool multiplex_look(struct ptools *pt)
{
    struct epoll_event events[POLL_FEW];
    bool happened = false;
    int n = pt->epoll_fd < 0 ? 0 : epoll_wait(pt->epoll_fd, events, POLL_FEW, 0);

    for (int i = 0; i < n; i++) {
        struct lane *lane = events[i].data.ptr;

        if (lane && !lane_is_awaited(lane))
            happened = lane_receive(lane) || happened;
    }
    return happened;
}

static bool multiplex_open(struct ptools *pt)
{
    struct ptools_stasks *s;
    bool good;

    pt->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    pt->wake_fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
    good = pt->epoll_fd >= 0 && pt->wake_fd >= 0 && epoll_add(pt, pt->wake_fd, 0, NULL);
    LIST_FOREACH(s, &pt->stasks, link)
        for (uint32_t i = 0; good && i < s->n; i++)
            if (s->lanes[i].fd >= 0)
                good = epoll_add(pt, s->lanes[i].fd, EPOLLIN, &s->lanes[i]);
    if (!good)
        multiplex_close(pt);
    return good;
}

int multiplex_fd(struct ptools *pt)
{
    int fd = pt->transport->ops->fd(pt->transport);

    if (pt->epoll_fd < 0 && !multiplex_open(pt))
        return -1;
    if (fd != pt->epoll_transport_fd && epoll_add(pt, fd, EPOLLIN, NULL))
        pt->epoll_transport_fd = fd;
    return pt->epoll_fd;
}

/* An epoll descriptor is never writable: what shall wake at once, or waits to be sent, is a readable eventfd. */
short multiplex_events(struct ptools *pt, bool wake)
{
    struct epoll_event event = { 0 };
    struct ptools_stasks *s;

    if (multiplex_fd(pt) < 0)
        return POLLIN;
    wake = wake || pt->transport->ops->events(pt->transport, false) & POLLOUT;
    LIST_FOREACH(s, &pt->stasks, link)
        for (uint32_t i = 0; i < s->n; i++)
            wake = wake || (s->lanes[i].fd >= 0 && s->lanes[i].out.n > 0);
    if (wake != pt->waking) {
        event.events = wake ? EPOLLIN : 0;
        if (epoll_ctl(pt->epoll_fd, EPOLL_CTL_MOD, pt->wake_fd, &event) == 0)
            pt->waking = wake;
    }
    return POLLIN;
}
