/* SPDX-License-Identifier: MIT */
/*
 * clock -- the library's time: microseconds of CLOCK_MONOTONIC inside, milliseconds at its door.
 *
 * A wait is bounded by a point in time (until_us), never by a span, so that one that is interrupted
 * or goes round its loop again does not start over. CLOCK_FOREVER: no bound; 0: do not wait at all.
 */
#ifndef CLIENT_LIB_CLOCK_H
#define CLIENT_LIB_CLOCK_H

#include <limits.h>
#include <stdint.h>
#include <time.h>

#define CLOCK_FOREVER UINT64_MAX

static inline uint64_t clock_now_us(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000u;
}

/* The end of a wait of timeout_ms that begins now; negative: for ever. */
static inline uint64_t clock_until_us(int64_t timeout_ms)
{
    if (timeout_ms == 0)
        return 0;
    if (timeout_ms < 0 || timeout_ms > INT64_MAX / 2000)
        return CLOCK_FOREVER;
    return clock_now_us() + (uint64_t)timeout_ms * 1000u;
}

/* What is left, for poll(2): rounded up, so that the wait does not end early; -1: for ever. */
static inline int clock_poll_ms(uint64_t until_us)
{
    uint64_t now_us, left_ms;

    if (until_us == CLOCK_FOREVER)
        return -1;
    if (until_us == 0)
        return 0;
    now_us = clock_now_us();
    if (until_us <= now_us)
        return 0;
    left_ms = (until_us - now_us + 999u) / 1000u;
    return left_ms > INT_MAX ? INT_MAX : (int)left_ms;
}

#endif
