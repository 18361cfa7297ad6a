/* SPDX-License-Identifier: MIT */
/*
 * waiting -- see waiting.h. Signals come through a descriptor that is waited for beside the connection, so none can
 * slip through between a look and a sleep. The second one ends this process at once, if whoever gives up lets it.
 */
#include "client/cli/waiting.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "client/cli/failure.h"
#include "client/cli/session.h"
#include "client/cli/signals.h"
#include "client/cli/words.h"

#define PATIENCE_US UINT64_C(5000000) /* for the end of a call that was cancelled; the daemon kills after 0.5 s */

int waiting_take(const struct command_line *line, const struct item *item, struct waiting *waiting)
{
    if (item->id == OPTION_RAW)
        waiting->raw = true;
    if (item->id != OPTION_TIMEOUT)
        return EXIT_VALUE;
    waiting->timeout = item->text;
    if (!words_duration(item->text, &waiting->timeout_ms))
        return command_line_wrong(line, "--timeout %s: " WORDS_DURATIONS, item->text);
    return EXIT_VALUE;
}

uint64_t waiting_now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

enum wake waiting_for(ptools *pt, ptools_future *f, int signals, uint64_t until_us)
{
    for (;;) {
        struct pollfd fds[2] = { { .fd = signals, .events = POLLIN } };
        uint64_t now, left;
        struct timespec t;

        while (ptools_dispatch(pt, 0) == PTOOLS_OK)
            ;
        if (ptools_future_done(f))
            return WAKE_DONE;
        if (signals_take(signals))
            return WAKE_SIGNAL;
        now = waiting_now_us();
        if (now >= until_us)
            return WAKE_TIME;
        fds[1].fd = ptools_fd(pt);
        fds[1].events = ptools_events(pt);
        if (fds[1].fd < 0)
            return WAKE_TROUBLE;
        left = until_us - now;
        t.tv_sec = (time_t)(left / 1000000);
        t.tv_nsec = (long)(left % 1000000 * 1000);
        if (ppoll(fds, 2, until_us == WAITING_NEVER ? NULL : &t, NULL) < 0 && errno != EINTR)
            return WAKE_TROUBLE;
    }
}

static int print_value(const struct command_line *line, const struct waiting *waiting, ptools_value v)
{
    const void *data;
    const char *s;
    size_t n;

    if (!waiting->raw)
        return session_print_value(line, v);
    if (ptools_get_str(v, &s, &n) == PTOOLS_OK)
        data = s;
    else if (ptools_get_bytes(v, &data, &n) != PTOOLS_OK)
        return session_print_value(line, v);
    if (n > 0)
        fwrite(data, 1, n, stdout);
    return EXIT_VALUE;
}

int waiting_print(const struct command_line *line, const struct waiting *waiting, ptools *pt, ptools_future *f)
{
    uint64_t until_us = waiting->timeout ? waiting_now_us() + (uint64_t)waiting->timeout_ms * 1000 : WAITING_NEVER;
    int signals = signals_open(NULL), status;
    ptools_value value;
    enum wake wake;
    ptools_err r;

    if (signals < 0)
        return failure_report_code(line, PTOOLS_ERR_SYSTEM, strerror(-signals));
    wake = waiting_for(pt, f, signals, until_us);
    if (waiting->interrupted)
        *waiting->interrupted = wake == WAKE_SIGNAL;
    if (wake == WAKE_SIGNAL || wake == WAKE_TIME) {
        status = waiting->give_up(line, waiting, pt, f, signals, wake);
    } else {
        r = ptools_future_fetch(f, 0, &value);
        if (r == PTOOLS_OK)
            status = print_value(line, waiting, value);
        else if (ptools_future_failure(f))
            status = failure_report(line, ptools_future_failure(f), failure_exit_status(r));
        else
            status = failure_report_last(line, pt, r);
    }
    close(signals);
    return status;
}

/* The call was given up, by us: what is told is that, and what is known of its end. */
int waiting_stop(const struct command_line *line, const struct waiting *waiting, ptools *pt, ptools_future *f, int signals,
                 enum wake why)
{
    ptools_failure facts = { .exit_status = -1, .phase = "", .log = "", .backtrace = "", .maybe_executed = true };
    int status = why == WAKE_TIME ? EXIT_TIME : EXIT_CANCELLED;
    const char *end;
    char message[160];

    if (ptools_future_cancel(f) != PTOOLS_OK ||
        waiting_for(pt, f, signals, waiting_now_us() + PATIENCE_US) != WAKE_DONE) {
        end = "the daemon has not said yet that it is stopped";
    } else if (ptools_future_failure(f)) {
        facts = *ptools_future_failure(f);
        end = facts.code == PTOOLS_ERR_CANCELLED ? "the call was cancelled" : "the call had failed meanwhile";
    } else {
        facts.task = ptools_future_task(f);
        facts.worker = ptools_future_worker(f);
        end = "the function ended before it could be stopped, its value is dropped";
    }
    if (why == WAKE_TIME)
        snprintf(message, sizeof message, "the time limit (--timeout %.40s) passed: %s", waiting->timeout, end);
    else
        snprintf(message, sizeof message, "interrupted: %s", end);
    facts.code = why == WAKE_TIME ? PTOOLS_ERR_TIMEOUT : PTOOLS_ERR_CANCELLED;
    facts.message = message;
    return failure_report(line, &facts, status);
}

int waiting_leave(const struct command_line *line, const struct waiting *waiting, ptools *pt, ptools_future *f,
                  int signals, enum wake why)
{
    ptools_failure facts = { .exit_status = -1, .phase = "", .log = "", .backtrace = "", .task = waiting->task };
    char message[240];

    (void)pt;
    (void)f;
    (void)signals;
    facts.code = why == WAKE_TIME ? PTOOLS_ERR_TIMEOUT : PTOOLS_ERR_CANCELLED;
    facts.message = message;
    snprintf(message, sizeof message,
             "%s%.40s%s: the task %" PRIu64 " goes on (`ptools result %" PRIu64 "` waits for it, "
             "`ptools cancel %" PRIu64 "` ends it)",
             why == WAKE_TIME ? "the time limit (--timeout " : "interrupted", why == WAKE_TIME ? waiting->timeout : "",
             why == WAKE_TIME ? ") passed" : "", waiting->task, waiting->task, waiting->task);
    return failure_report(line, &facts, why == WAKE_TIME ? EXIT_TIME : EXIT_CANCELLED);
}
