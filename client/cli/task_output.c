/* SPDX-License-Identifier: MIT */
/*
 * task_output -- see task_output.h. The files are read as they lie in the daemon's directory of output, which belongs
 * to the same user on the same machine; the daemon tells where, and when the task begins, is tried again and ends.
 *
 * A file is complete when its task has ended. The next attempt has files of its own: what is left of the one before
 * is copied first. Files are not watched before the task has run for a while: to end a watch takes the kernel longer
 * than most short commands take.
 */
#include "client/cli/task_output.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/failure.h"
#include "client/cli/follow.h"
#include "client/cli/signals.h"

enum { STREAMS = 2, UNWATCHED_MS = 10 };
static const struct {
    unsigned bit;
    const char *suffix;
    int to;
} streams[STREAMS] = { { TASK_OUTPUT_OUT, ".out", STDOUT_FILENO }, { TASK_OUTPUT_ERR, ".err", STDERR_FILENO } };

struct copy {
    const struct command_line *line;
    ptools *pt;
    const struct task_output_wish *wish;
    struct follow files[STREAMS];
    bool open, watched, more[STREAMS];
    char *output; /* of the attempt that is copied; NULL: none yet */
    uint32_t attempt;
    bool look; /* something has happened to the task */
    bool ended;
    ptools_err lost; /* nothing is told any more */
};

static int cannot(const struct command_line *line, const char *what, int r)
{
    char message[200];

    if (r == -EPIPE) { /* whoever read it has had enough */
        failure_note_output(EPIPE);
        return EXIT_PTOOLS;
    }
    snprintf(message, sizeof message, "the output of the command cannot be %s: %s", what, strerror(-r));
    return failure_report_code(line, r == -ENOMEM ? PTOOLS_ERR_NO_MEMORY : PTOOLS_ERR_SYSTEM, message);
}

/* -- files ------------------------------------------------------------------------------------------------- */

static int open_file(struct follow *f, const char *output, unsigned stream, const char *more)
{
    char *path = NULL;
    int r = asprintf(&path, "%s%s%s", output, streams[stream].suffix, more);

    if (r < 0)
        return -ENOMEM;
    r = follow_open(f, path, streams[stream].to);
    free(path);
    return r;
}

static int copy_all(struct follow *f)
{
    int r;

    do
        r = follow_copy(f);
    while (r > 0);
    return r;
}

int task_output_print(const struct command_line *line, const char *output, unsigned which)
{
    static const char *const parts[] = { ".old", "" };
    int r = 0;

    for (unsigned i = 0; i < STREAMS && r >= 0; i++) {
        for (size_t k = 0; k < sizeof parts / sizeof parts[0] && r >= 0 && which & streams[i].bit; k++) {
            struct follow f;

            r = open_file(&f, output, i, parts[k]);
            if (r >= 0)
                r = copy_all(&f);
            follow_close(&f);
        }
    }
    return r < 0 ? cannot(line, "copied", r) : EXIT_VALUE;
}

static int close_files(struct copy *c)
{
    int r = 0;

    for (unsigned i = 0; i < STREAMS && c->open; i++) {
        if (c->wish->which & streams[i].bit && r >= 0)
            r = copy_all(&c->files[i]);
        follow_close(&c->files[i]);
    }
    c->open = c->watched = false;
    return r;
}

/* The files of another attempt. */
static int open_files(struct copy *c, const char *output)
{
    int r = close_files(c);

    free(c->output);
    c->output = strdup(output);
    if (!c->output)
        return -ENOMEM;
    for (unsigned i = 0; i < STREAMS; i++)
        c->files[i] = (struct follow){ .file = -1, .inotify = -1, .watch = -1 };
    c->open = true;
    c->watched = false;
    for (unsigned i = 0; i < STREAMS && r >= 0; i++)
        if (c->wish->which & streams[i].bit)
            r = open_file(&c->files[i], output, i, "");
    return r;
}

/* Of the last attempt, and before that of those that have come and gone since the last look. */
static int open_attempts(struct copy *c, const ptools_queued_info *info)
{
    const int n = (int)strlen(info->output) - (int)strlen(strrchr(info->output, '-')); /* DIR/ID-ATTEMPT */
    uint32_t next = c->output || c->wish->all ? c->attempt + 1 : info->attempt;
    int r = 0;

    for (; next < info->attempt && r >= 0; next++) {
        char *output = NULL;

        r = asprintf(&output, "%.*s-%" PRIu32, n, info->output, next) < 0 ? -ENOMEM : open_files(c, output);
        free(output);
    }
    c->attempt = info->attempt;
    return r < 0 ? r : open_files(c, info->output);
}

/* -- the task ---------------------------------------------------------------------------------------------- */

static void happened(const ptools_event *event, void *arg)
{
    struct copy *c = arg;

    c->look |= event->kind != PTOOLS_EVENT_PROGRESS;
    if (event->kind == PTOOLS_EVENT_MISSED)
        c->lost = event->code;
}

/* Whatever became of the daemon: it has told how the task ended. */
static bool has_result(const struct copy *c)
{
    return c->wish->result && ptools_future_done(c->wish->result);
}

static int look(struct copy *c)
{
    PTOOLS_AUTO(ptools_queued) list = NULL;
    const ptools_queued_info *info;
    ptools_err err = ptools_queued_get(c->pt, c->wish->task, 0, &list);
    int r = 0;

    c->look = false;
    if (err != PTOOLS_OK) {
        c->ended = c->output && has_result(c);
        return c->ended ? EXIT_VALUE : failure_report_last(c->line, c->pt, err);
    }
    info = ptools_queued_at(list, 0);
    c->ended = info->state >= PTOOLS_QUEUED_DONE;
    if (strchr(info->output, '-') && (!c->output || strcmp(c->output, info->output) != 0))
        r = open_attempts(c, info);
    return r < 0 ? cannot(c->line, "copied", r) : EXIT_VALUE;
}

static int watch_files(struct copy *c)
{
    int r = 0;

    c->watched = true;
    for (unsigned i = 0; i < STREAMS && r >= 0; i++) {
        c->more[i] = c->wish->which & streams[i].bit;
        if (c->more[i])
            r = follow_watch(&c->files[i]);
    }
    return r;
}

/* Copies a piece of each file, if its reader takes it; waits, if there is nothing to be done. */
static int turn(struct copy *c, int *ret_signal)
{
    struct pollfd fds[2 + STREAMS] = { { .fd = c->wish->signals, .events = POLLIN } };
    int r = 0, n;

    while (ptools_dispatch(c->pt, 0) == PTOOLS_OK) /* the result, too: whoever has told it may be gone when asked */
        ;
    if (c->look)
        return 0;
    fds[1] = (struct pollfd){ .fd = ptools_fd(c->pt), .events = ptools_events(c->pt) };
    for (unsigned i = 0; i < STREAMS; i++)
        if (!c->watched)
            fds[2 + i] = (struct pollfd){ .fd = -1 };
        else if (c->more[i])
            fds[2 + i] = (struct pollfd){ .fd = streams[i].to, .events = POLLOUT };
        else
            fds[2 + i] = (struct pollfd){ .fd = follow_fd(&c->files[i]), .events = POLLIN };
    n = poll(fds, 2 + STREAMS, c->open && !c->watched ? UNWATCHED_MS : -1);
    if (n < 0 && errno != EINTR)
        return -errno;
    if (n == 0)
        return watch_files(c);
    *ret_signal = signals_take(c->wish->signals);
    for (unsigned i = 0; i < STREAMS && r >= 0; i++) {
        if (!fds[2 + i].revents)
            continue;
        r = follow_copy(&c->files[i]);
        c->more[i] = r > 0;
    }
    return r < 0 ? r : 0;
}

static int follow(struct copy *c)
{
    bool go_on = true;
    int status = look(c), r, number = 0;

    while (status == EXIT_VALUE && !c->ended && go_on) {
        if (c->lost != PTOOLS_OK) {
            c->ended = has_result(c);
            return c->ended ? EXIT_VALUE : failure_report_code(c->line, c->lost, NULL);
        }
        r = turn(c, &number);
        if (r < 0)
            status = cannot(c->line, "copied", r);
        if (status == EXIT_VALUE && number)
            go_on = c->wish->signalled(c->line, c->pt, c->wish->task, number, &status);
        number = 0;
        if (status == EXIT_VALUE && c->look)
            status = look(c);
    }
    return status;
}

int task_output_follow(const struct command_line *line, ptools *pt, const struct task_output_wish *wish,
                       bool *ret_ended)
{
    PTOOLS_AUTO(ptools_watch) watch = NULL;
    struct copy c = { .line = line, .pt = pt, .wish = wish };
    ptools_err err = ptools_watch_tasks(pt, NULL, wish->task, happened, &c, &watch);
    int status = err == PTOOLS_OK ? follow(&c) : failure_report_last(line, pt, err), r;

    *ret_ended = c.ended;
    r = close_files(&c);
    free(c.output);
    return status == EXIT_VALUE && r < 0 ? cannot(line, "copied", r) : status;
}
