/* SPDX-License-Identifier: MIT */
/*
 * failure -- see failure.h. The four texts of a failure are copied into one block, each ended by NUL;
 * a NUL inside a text ends it early, which is all the harm it can do.
 */
#include "client/lib/failure.h"

#include <string.h>

enum { TEXTS = 4 };

static void forget_texts(struct failure *f)
{
    f->facts.message = "";
    f->facts.phase = "";
    f->facts.log = "";
    f->facts.backtrace = "";
    free(TAKE(f->texts));
}

void failure_init(struct failure *f)
{
    *f = (struct failure){ .facts = { .exit_status = -1 } };
    forget_texts(f);
}

void failure_deinit(struct failure *f)
{
    forget_texts(f);
}

/* The numbers of f are set already. */
static void set_texts(struct failure *f, const struct text texts[TEXTS])
{
    const char **to[TEXTS] = { &f->facts.message, &f->facts.phase, &f->facts.log, &f->facts.backtrace };
    size_t n = TEXTS;
    char *p;

    for (int i = 0; i < TEXTS; i++)
        n += texts[i].n;
    p = malloc(n);
    forget_texts(f);
    if (p) {
        f->texts = p;
        for (int i = 0; i < TEXTS; i++) {
            *to[i] = p;
            if (texts[i].n)
                memcpy(p, texts[i].data, texts[i].n);
            p += texts[i].n;
            *p++ = '\0';
        }
    }
    if (!*f->facts.message && f->facts.code != PTOOLS_OK)
        f->facts.message = ptools_strerror(f->facts.code);
}

void failure_set(struct failure *f, const struct msg_failure *told)
{
    const struct text texts[TEXTS] = { told->message, told->phase, told->log, told->backtrace };

    f->facts.code = told->code;
    f->facts.task = told->task;
    f->facts.worker = told->worker;
    f->facts.attempt = told->attempt;
    f->facts.pid = told->pid;
    f->facts.exit_status = told->exited ? told->exit_status : -1;
    f->facts.signal = told->signal;
    f->facts.maybe_executed = told->maybe_executed;
    f->facts.run_us = told->run_us;
    f->facts.peak_bytes = told->peak_bytes;
    f->facts.progress = told->progress;
    f->facts.progress_of = told->progress_of;
    f->facts.retry_ms = told->retry_ms > INT64_MAX ? INT64_MAX : (int64_t)told->retry_ms;
    f->state = told->state;
    set_texts(f, texts);
}

void failure_set_message(struct failure *f, ptools_err code, const char *message, bool maybe_executed)
{
    failure_deinit(f);
    failure_init(f);
    f->facts.code = code;
    f->facts.message = message;
    f->facts.maybe_executed = maybe_executed;
}

void failure_copy(struct failure *f, const struct failure *from)
{
    const struct text texts[TEXTS] = {
        { from->facts.message, strlen(from->facts.message) },
        { from->facts.phase, strlen(from->facts.phase) },
        { from->facts.log, strlen(from->facts.log) },
        { from->facts.backtrace, strlen(from->facts.backtrace) },
    };

    if (f == from)
        return;
    forget_texts(f);
    f->facts = from->facts;
    f->state = from->state;
    set_texts(f, texts);
}
