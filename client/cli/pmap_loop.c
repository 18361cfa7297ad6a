/* SPDX-License-Identifier: MIT */
/*
 * pmap_loop -- see pmap_loop.h. It waits for outcomes, for input that is wanted, for signals, and for a reader that
 * goes away, and what there is is written out before it waits.
 *
 * The first signal cancels what runs and begins nothing more: what had ended is written. The second signal ends it at
 * once, and the daemon stops what runs because its client has left.
 */
#include "client/cli/pmap_loop.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "client/cli/signals.h"
#include "client/cli/waiting.h"

enum { ITEMS_A_LOOK = 64 }; /* outcomes at hand that are taken before signals and the clock are looked at */

/* False: give up. */
static bool on_signal(void *arg)
{
    struct pmap_loop *loop = arg;

    if (signals_take(loop->signals) && ++loop->interrupts == 1)
        ptools_pmap_cancel(loop->map);
    return loop->interrupts < 2;
}

int pmap_loop_watch(struct pmap_loop *loop)
{
    loop->signals = signals_open(NULL);
    if (loop->signals < 0)
        return loop->signals;
    loop->outlet->signals = loop->signals;
    loop->outlet->on_signal = on_signal;
    loop->outlet->arg = loop;
    return 0;
}

void pmap_loop_close(struct pmap_loop *loop)
{
    if (loop->signals >= 0)
        close(loop->signals);
    loop->signals = -1;
}

bool pmap_loop_goes_on(const struct pmap_loop *loop)
{
    return loop->interrupts < 2 && loop->outlet->error == 0;
}

static void look(struct pmap_loop *loop)
{
    const uint64_t now_us = waiting_now_us();
    struct bar_numbers n = { 0 };

    on_signal(loop);
    if (now_us < bar_due_us(loop->bar))
        return;
    loop->numbers(&n, loop->arg);
    bar_show(loop->bar, &n, now_us);
}

static int64_t sooner_ms(int64_t a, int64_t b)
{
    return a < 0 ? b : b < 0 || a < b ? a : b;
}

/* How long nothing needs to be done. */
static int patience_ms(struct pmap_loop *loop)
{
    const uint64_t now_us = waiting_now_us(), due_us = bar_due_us(loop->bar);
    int64_t ms = -1;

    if (due_us != UINT64_MAX)
        ms = due_us > now_us ? (int64_t)((due_us - now_us + 999) / 1000) : 0;
    ms = sooner_ms(ms, ptools_pmap_due_ms(loop->map));
    if (loop->due_ms)
        ms = sooner_ms(ms, loop->due_ms(loop->arg));
    return ms > 1000000 ? 1000000 : (int)ms;
}

/* Nothing is at hand: until something is. */
static void wait_for_something(struct pmap_loop *loop)
{
    struct pollfd fds[4] = {
        { .fd = loop->signals, .events = POLLIN },
        { .fd = ptools_fd(loop->pt), .events = ptools_events(loop->pt) },
        { .fd = *loop->later ? loop->input : -1, .events = POLLIN },
        { .fd = loop->outlet->fd }, /* POLLERR: its reader has gone away */
    };

    look(loop);
    if (poll(fds, 4, patience_ms(loop)) <= 0)
        return;
    if (fds[2].revents)
        *loop->later = false; /* until it is asked again, for which there may be no room now */
    if (fds[3].revents & POLLERR)
        loop->outlet->error = EPIPE;
}

ptools_err pmap_loop_run(struct pmap_loop *loop)
{
    uint64_t taken = 0;
    ptools_item item;

    while (pmap_loop_goes_on(loop)) {
        ptools_err err = ptools_pmap_next(loop->map, 0, &item);

        if (err == PTOOLS_OK) {
            loop->take(&item, loop->arg);
            if (++taken % ITEMS_A_LOOK == 0)
                look(loop);
        } else if (err == PTOOLS_ERR_TIMEOUT) {
            if (loop->flush(loop->arg))
                wait_for_something(loop);
        } else {
            return err;
        }
    }
    return PTOOLS_OK;
}
