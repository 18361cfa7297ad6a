/* SPDX-License-Identifier: MIT */
/*
 * clock -- the time of day; and a timer that never rings. The kernel cancels it when the time of day is set, and when
 * the machine wakes up: then CLOCK_MONOTONIC, by which this daemon waits for everything, has not gone on, and what
 * waits for a time of day may be due.
 */
#include "daemon/ptoolsd/clock.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "daemon/ptoolsd/daemon.h"
#include "daemon/ptoolsd/process.h"

enum {
    TASK_EPOCH_S = 1577836800, /* 2020-01-01: where task numbers begin */
    TASK_SECOND_BITS = 22,     /* room for four million tasks a second: numbers stay below 2^53 until 2088, */
    TASK_NS_BITS = 8           /* begun at the fraction of the second, in 256 ns; the bits above are a node's, 0 */
};

uint64_t clock_first_task(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    if (t.tv_sec <= TASK_EPOCH_S)
        return 1; /* the clock is not set */
    return (uint64_t)(t.tv_sec - TASK_EPOCH_S) << TASK_SECOND_BITS | (uint64_t)t.tv_nsec >> TASK_NS_BITS | 1;
}

uint64_t clock_wall_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return t.tv_sec < 0 ? 0 : (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

void clock_tell(struct core *core)
{
    core_wall(core, monotonic_us(), clock_wall_ms());
}

static int arm(int fd)
{
    static const struct itimerspec never = { .it_value.tv_sec = INT64_MAX };

    return timerfd_settime(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &never, NULL) < 0 ? -errno : 0;
}

static int on_clock(sd_event_source *s, int fd, uint32_t revents, void *userdata)
{
    uint64_t rings;

    (void)s;
    (void)revents;
    (void)userdata;
    (void)!read(fd, &rings, sizeof rings); /* ECANCELED */
    return arm(fd);
}

int clock_watch(sd_event *event)
{
    int fd = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK), r;
    sd_event_source *s = NULL;

    if (fd < 0)
        return -errno;
    r = arm(fd);
    if (r >= 0)
        r = sd_event_add_io(event, &s, fd, EPOLLIN, on_clock, NULL);
    if (r < 0) {
        close(fd);
        return r;
    }
    r = sd_event_source_set_io_fd_own(s, true);
    if (r >= 0)
        r = sd_event_source_set_priority(s, PHASE_STOP);
    if (r >= 0)
        r = sd_event_source_set_floating(s, true);
    sd_event_source_unref(s);
    return r;
}
