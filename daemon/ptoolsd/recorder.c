/* SPDX-License-Identifier: MIT */
/*
 * recorder -- see recorder.h.
 *
 * The loop never waits for the journal: rows are handed over at the end of a turn, and the journal's descriptor says
 * when some are where they must be. If it fails there is no way back in this process: nothing durable is accepted
 * any more, everybody who asks is told, and the daemon ends soon, with a status of its own, so that another opens
 * what is there.
 */
#include "daemon/ptoolsd/recorder.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <systemd/sd-daemon.h>

#include "daemon/ptoolsd/fence.h"
#include "daemon/ptoolsd/log.h"

enum { TELL_EVERY = 20000, TELL_US = 20000000 }; /* systemd, while tasks are read */

struct recorder {
    struct daemon *d;
    struct journal *journal;
    sd_event_source *source;
    const char *failed;
    bool started;
    uint64_t n; /* tasks read */
    struct msg_decoder *decoder;
};

static void fail(struct recorder *r, const char *why)
{
    if (r->failed)
        return;
    r->failed = why;
    log_error("journal-failed", LOG_STR("why", why));
    sd_notifyf(0, "STATUS=DEGRADED: %s", why);
    r->d->exit_code = JOURNAL_EXIT_FAILED;
    core_record_failed(r->d->core, daemon_now(r->d), why, &r->d->actions);
    daemon_deliver(r->d);
    daemon_drain(r->d);
}

static int on_news(sd_event_source *s, int fd, uint32_t revents, void *userdata)
{
    struct recorder *r = userdata;
    struct daemon *d = r->d;
    struct journal_news news;

    (void)s;
    (void)fd;
    (void)revents;
    journal_collect(r->journal, &news);
    for (const struct core_row *row = news.refused; row; row = row->next) {
        if (row->kind != ROW_NEW)
            continue; /* nobody waits for it */
        log_warning("task-refused", LOG_U64("task", row->task), LOG_STR("why", journal_why_refused(row)));
        core_record_refused(d->core, daemon_now(d), row->number, journal_why_refused(row), &d->actions);
        daemon_deliver(d);
    }
    core_recorded(d->core, daemon_now(d), news.recorded, &d->actions);
    daemon_deliver(d);
    if (news.failed)
        fail(r, news.why);
    return 0;
}

static int on_loaded(void *userdata, const struct core_row *task, const struct core_row *life,
                     char why[JOURNAL_WHY_BYTES])
{
    struct recorder *r = userdata;
    struct daemon *d = r->d;
    struct msg_request m;
    struct msg_problem problem;
    char sentence[256] = "";
    int err;

    if (task->kind == ROW_PAUSE) {
        err = core_recover_pause(d->core, task->uid, (struct text){ (const char *)task->spec->data, task->spec->n });
        if (err == -EINVAL)
            snprintf(why, JOURNAL_WHY_BYTES, "a pause of user %u is of no tag", (unsigned)task->uid);
        return err == -EINVAL ? 1 : err;
    }
    err = msg_request_decode(r->decoder, task->spec->data, task->spec->n, &m, &problem);
    if (err < 0)
        return err;
    if (err > 0 || m.kind != MSG_TASK_SUBMIT) {
        snprintf(why, JOURNAL_WHY_BYTES, "task %llu: what was submitted cannot be read: %s",
                 (unsigned long long)task->task, err > 0 ? problem.text : "it is another request");
        return 1;
    }
    if (++r->n % TELL_EVERY == 0)
        sd_notifyf(0, "EXTEND_TIMEOUT_USEC=%d\nSTATUS=Reading queued tasks: %llu.", TELL_US, (unsigned long long)r->n);
    err = core_recover(d->core, daemon_now(d), task, life, &m.submit, &d->actions, sentence);
    if (err == -EINVAL) {
        snprintf(why, JOURNAL_WHY_BYTES, "%s", sentence);
        return 1;
    }
    return err;
}

int recorder_open(struct daemon *d, uint64_t clock_ms, struct recorder **ret, char why[JOURNAL_WHY_BYTES])
{
    const struct journal_options options = { .dir = d->config->state_dir,
                                             .make_parents = d->config->state_implied,
                                             .clock_ms = clock_ms };
    const struct fence_options fence = { .dir = d->config->state_dir };
    struct recorder *r;
    unsigned killed = 0;
    int err;

    if (!d->config->journal)
        return 0;
    r = calloc(1, sizeof *r);
    if (!r)
        return -ENOMEM;
    *ret = r;
    r->d = d;
    r->decoder = msg_decoder_new();
    err = r->decoder ? journal_open(&options, &r->journal, why) : -ENOMEM;
    if (err == 0)
        err = fence_open(&fence, &d->fence_fd, &killed, why);
    if (err == 0)
        core_clock(d->core, journal_clock_ms(r->journal));
    if (killed)
        log_warning("workers-left", LOG_U64("killed", killed));
    return err;
}

int recorder_start(struct recorder *r, char why[JOURNAL_WHY_BYTES])
{
    int err;

    if (!r)
        return 0;
    err = journal_load(r->journal, on_loaded, r, why);
    if (err == 0)
        err = journal_start(r->journal, why);
    if (err != 0)
        return err;
    err = sd_event_add_io(r->d->event, &r->source, journal_fd(r->journal), EPOLLIN, on_news, r);
    if (err >= 0)
        err = sd_event_source_set_priority(r->source, PHASE_JOURNAL);
    if (err < 0)
        return err;
    log_info("journal-open", LOG_STR("dir", r->d->config->state_dir), LOG_U64("tasks", r->n));
    r->started = true;
    core_recovered(r->d->core, daemon_now(r->d), &r->d->actions);
    return 0;
}

int recorder_end(struct recorder *r)
{
    char why[JOURNAL_WHY_BYTES] = "";
    int status = 0;

    if (!r)
        return 0;
    sd_event_source_disable_unref(r->source);
    if (r->failed || !r->started) {
        r->journal = journal_abandon(r->journal);
        status = r->failed ? JOURNAL_EXIT_FAILED : 0;
    } else if (journal_close(r->journal, why) < 0) {
        log_error("journal-failed", LOG_STR("why", why));
        status = JOURNAL_EXIT_FAILED;
    }
    msg_decoder_free(r->decoder);
    free(r);
    return status;
}

void recorder_put(struct recorder *r, struct core_row *take)
{
    if (r && r->started && !r->failed)
        journal_put(r->journal, take);
    else
        core_row_free(take);
}

void recorder_turn(struct recorder *r)
{
    if (r && r->started && !r->failed)
        journal_turn(r->journal);
}

const char *recorder_failed(const struct recorder *r)
{
    return r ? r->failed : NULL;
}
