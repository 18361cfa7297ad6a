/* SPDX-License-Identifier: MIT */
/*
 * again -- requests that outlive their connection: those of queued tasks, which the daemon keeps while nobody is there.
 *
 * Each is kept as it was sent, with its future. When the connection ends it is parked, and sent once more, under its
 * old id, on the next. Sending twice does no harm: a task that is queued carries a key, the others only ask. What a
 * daemon that was started anew cannot know, whether its predecessor took a task that ends with it, is not sent again.
 *
 * The next connection is made by the next call, or by a wait or a dispatch: these try at once, then ever more seldom,
 * until the connect timeout is over; so does a call that would have been kept, had it come before the daemon went. Then
 * what is parked is lost, but for watches: they rest until a call connects, and such calls do not wait any more. A
 * pause between two attempts is spent in poll(2) here, or in the user's own loop, which a timer wakes.
 *
 * Nothing in this file takes answers in, so it may be called in the midst of that.
 */
#include "client/lib/handle.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum {
    PAUSE_FIRST_US = 5000,
    PAUSE_MAX_US = 500000,
    PATIENCE_FIRST_US = 100000 /* for a daemon that is slow to say hello, whatever the wait allows */
};

/* -- one request --------------------------------------------------------------------------------------- */

bool again_attach(struct ptools_future *f, enum msg_kind kind, const struct bytes *envelope, const uint8_t *payload,
                  size_t n, const struct manner *how)
{
    struct again *a = malloc(sizeof *a + envelope->n + n);

    if (!a)
        return false;
    *a = (struct again){ .how = *how };
    a->kind = kind;
    a->f = f;
    a->generation = f->pt->generation;
    a->start = f->pt->starts;
    a->envelope_bytes = envelope->n;
    a->payload_bytes = n;
    memcpy(a->bytes, envelope->data, envelope->n);
    if (n > 0)
        memcpy(a->bytes + envelope->n, payload, n);
    f->again = a;
    return true;
}

static void unpark(struct again *a)
{
    if (a->parked)
        TAILQ_REMOVE(&a->f->pt->parked, a, link);
    a->parked = false;
}

void again_drop(struct ptools_future *f)
{
    if (!f->again)
        return;
    unpark(f->again);
    free(TAKE(f->again));
}

void again_sent(struct ptools_future *f)
{
    struct again *a = f->again;

    a->anew = a->anew || a->start != f->pt->starts;
    a->start = f->pt->starts;
}

/* pt->parked may have been emptied before: see connection_end(). */
void again_park(struct ptools_future *f)
{
    struct again *a = f->again;

    if (!a->parked && f->pt->transport && f->end <= f->pt->transport->sent)
        a->left = true;
    f->end = UINT64_MAX;
    a->parked = true;
    TAILQ_INSERT_TAIL(&f->pt->parked, a, link);
}

/* -- what is said of those that are lost --------------------------------------------------------------- */

static const char *what_is_unknown(const struct again *a)
{
    if (a->kind == MSG_TASK_RESULT)
        return "how the task ends is unknown";
    if (a->kind == MSG_TASK_WAIT)
        return "whether the tasks have ended is unknown";
    return a->left ? "whether the task was accepted is unknown" : "the task had not been sent";
}

static void lose(struct again *a, const char *why)
{
    struct ptools_future *f = a->f;
    char text[sizeof((struct problem *)0)->text + 512];

    snprintf(text, sizeof text, "%s: %s", why, what_is_unknown(a));
    future_fail(f, &(struct msg_failure){ .code = PTOOLS_ERR_LOST,
                                          .message = { text, strlen(text) },
                                          .task = f->task,
                                          .maybe_executed = a->left || a->kind != MSG_TASK_SUBMIT });
}

bool again_explain(const struct ptools_future *f, const struct msg_failure *told, char *room, size_t room_bytes,
                   struct msg_failure *ret)
{
    const struct again *a = f->again;

    if (told->code != PTOOLS_ERR_NO_TASK || a->generation == f->pt->generation || a->kind == MSG_TASK_SUBMIT)
        return false;
    snprintf(room, room_bytes, "the connection was lost and made anew, and the daemon says: %.*s (%s): %s",
             (int)MIN(told->message.n, 300u), told->message.n ? told->message.data : "",
             a->anew ? "it was started anew, and a volatile task ends with its daemon" : "it was forgotten meanwhile",
             what_is_unknown(a));
    *ret = *told;
    ret->code = PTOOLS_ERR_LOST;
    ret->message = (struct text){ room, strlen(room) };
    ret->task = f->task;
    ret->maybe_executed = true;
    return true;
}

/* -- sending ------------------------------------------------------------------------------------------- */

/* Why it must not be sent on this connection; NULL: it may. */
static const char *why_not(struct ptools *pt, const struct again *a)
{
    if (!a->left)
        return NULL;
    if (a->how.bound)
        return "the connection was lost, and with it the worker set, which was anonymous";
    if (a->how.once && a->start != pt->starts)
        return "the connection was lost, and the daemon was started anew: a volatile task ends with its daemon";
    return NULL;
}

/* False: not now. */
static bool send_parked(struct ptools *pt, struct again *a)
{
    const struct span frames[2] = { { a->bytes, a->envelope_bytes, NULL },
                                    { a->bytes + a->envelope_bytes, a->payload_bytes, NULL } };
    struct msg_request cancel = { .kind = MSG_CANCEL, .cancel = { .request = a->f->id } };
    struct transport *t = pt->transport;

    if (t->queued - t->sent > UNSENT_BYTES_MAX || t->ops->send(t, frames, msg_kind_has_payload(a->kind) ? 2 : 1) < 0)
        return false;
    unpark(a);
    a->f->end = t->queued;
    again_sent(a->f);
    if (a->cancelled)
        request_tell(pt, &cancel);
    return true;
}

void again_flush(struct ptools *pt)
{
    struct again *a;

    while ((a = TAILQ_FIRST(&pt->parked)) && connection_alive(pt)) {
        const char *why = why_not(pt, a);

        if (why)
            lose(a, why);
        else if (!send_parked(pt, a))
            return;
    }
}

/* -- connecting ---------------------------------------------------------------------------------------- */

void again_learn(struct ptools *pt, struct text epoch)
{
    if (pt->starts > 0 && memcmp(pt->epoch, epoch.data, sizeof pt->epoch) == 0)
        return;
    memcpy(pt->epoch, epoch.data, sizeof pt->epoch);
    pt->starts++;
}

void again_connected(struct ptools *pt)
{
    pt->resting = false;
    pt->again_until_us = 0;
    again_flush(pt);
}

/* There will be no connection. pt's last failure is why. */
static void give_up(struct ptools *pt)
{
    char why[sizeof((struct problem *)0)->text + 256];
    struct again *a, *next;

    snprintf(why, sizeof why, "the connection to %s was lost, and could not be made anew within %" PRIi64 " ms (%s)",
             pt->address, pt->settings.connect_timeout_ms, pt->last.facts.message);
    pt->resting = true;
    pt->again_until_us = 0;
    for (a = TAILQ_FIRST(&pt->parked); a; a = next) {
        next = TAILQ_NEXT(a, link);
        if (!a->how.watch)
            lose(a, why);
    }
}

/* PTOOLS_OK, or pt's last failure tells. */
static ptools_err try_to_connect(struct ptools *pt, uint64_t until_us)
{
    if (pt->settings.flags & PTOOLS_PRIVATE) /* what is being started is not killed for a short wait */
        until_us = CLOCK_FOREVER;
    until_us = MAX(until_us, clock_now_us() + pt->patience_us);
    return connection_ensure(pt, MIN(until_us, MAX(pt->again_until_us, clock_now_us() + PATIENCE_FIRST_US)));
}

bool again_connect(struct ptools *pt, uint64_t until_us)
{
    uint64_t now_us = clock_now_us();
    struct failure last;
    ptools_err err;

    if (pt->again_until_us == 0) {
        pt->again_until_us = clock_until_us(pt->settings.connect_timeout_ms);
        pt->retry_us = now_us;
        pt->pause_us = PAUSE_FIRST_US;
        pt->patience_us = PATIENCE_FIRST_US;
    }
    if (pt->retry_us > now_us) {
        if (until_us <= now_us)
            return false;
        poll(NULL, 0, clock_poll_ms(MIN(until_us, pt->retry_us)));
        return true;
    }
    failure_init(&last);
    failure_copy(&last, &pt->last); /* what is tried here is no call of the user's */
    err = try_to_connect(pt, until_us);
    if (err != PTOOLS_OK) {
        if (err == PTOOLS_ERR_TIMEOUT) /* or none of the attempts at a busy daemon would ever be long enough */
            pt->patience_us *= 2;
        now_us = clock_now_us();
        pt->retry_us = MIN(now_us + pt->pause_us, pt->again_until_us);
        pt->pause_us = MIN(2 * pt->pause_us, PAUSE_MAX_US);
        if (now_us >= pt->again_until_us)
            give_up(pt);
    }
    failure_copy(&pt->last, &last);
    failure_deinit(&last);
    return true;
}

ptools_err again_ensure(struct ptools *pt, uint64_t until_us)
{
    struct failure last;
    ptools_err err;

    if (connection_alive(pt))
        return PTOOLS_OK;
    failure_init(&last);
    failure_copy(&last, &pt->last);
    err = connection_ensure(pt, until_us);
    if (err == PTOOLS_ERR_NO_DAEMON && !(pt->settings.flags & PTOOLS_PRIVATE) &&
        (pt->address[0] != '/' || access(pt->address, F_OK) == 0)) {
        while (!connection_alive(pt) && !pt->resting && again_connect(pt, until_us))
            ;
        if (connection_alive(pt)) {
            failure_copy(&pt->last, &last); /* what it took is no failure */
            err = PTOOLS_OK;
        }
    }
    failure_deinit(&last);
    return err;
}

int again_fd(struct ptools *pt)
{
    const bool now = pt->n_ready > 0 || pt->again_until_us == 0;
    const uint64_t at_us = now ? 1 : pt->retry_us;
    const struct itimerspec when = {
        .it_value = { .tv_sec = (time_t)(at_us / 1000000), .tv_nsec = (long)(at_us % 1000000 * 1000) },
    };

    if (pt->n_ready == 0 && !again_is_due(pt))
        return -1;
    if (pt->timer_fd < 0)
        pt->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (pt->timer_fd >= 0)
        timerfd_settime(pt->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
    return pt->timer_fd;
}
