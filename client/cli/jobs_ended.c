/* SPDX-License-Identifier: MIT */
/*
 * jobs_ended -- commands that have ended: they are counted, judged by --halt, kept as results and in the job log, and
 * shown when their turn has come.
 */
#include "client/cli/jobs.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/failure.h"
#include "client/cli/results.h"

enum { JOB_BYTES = 512 }; /* of one that is kept, besides its output */
enum { LIMIT_SAMPLES = 3, LIMIT_MS_MIN = 100, LIMIT_MS_MAX = 1000000000 };

void jobs_stop(struct jobs *q, ptools_err code, const char *why)
{
    q->stopped = q->cancel = true;
    if (q->wrong == PTOOLS_OK) {
        q->wrong = code;
        snprintf(q->why, sizeof q->why, "%s", why);
    }
}

void jobs_stop_no_memory(struct jobs *q)
{
    jobs_stop(q, PTOOLS_ERR_NO_MEMORY, ptools_strerror(PTOOLS_ERR_NO_MEMORY));
}

/* -- those that have ended --------------------------------------------------------------------------------- */

static uint64_t bytes_kept(const struct job *job)
{
    return JOB_BYTES + job->outcome.out.n + job->outcome.errors.n + job->values.n_bytes + job->argv.n_bytes;
}

static void show(struct jobs *q, struct job *job)
{
    if (!job->passed_over)
        job_output_show(&q->out, job);
    job_free(job);
}

void jobs_show_ended(struct jobs *q, bool all)
{
    struct job *job;

    while ((job = TAILQ_FIRST(&q->ended)) && (all || job->turn == q->next_shown)) {
        TAILQ_REMOVE(&q->ended, job, link);
        q->kept_bytes -= bytes_kept(job);
        q->next_shown = job->turn + 1;
        show(q, job);
    }
}

static void keep(struct jobs *q, struct job *job)
{
    struct job *before = TAILQ_LAST(&q->ended, job_list);

    while (before && before->turn > job->turn)
        before = TAILQ_PREV(before, job_list, link);
    if (before)
        TAILQ_INSERT_AFTER(&q->ended, before, job, link);
    else
        TAILQ_INSERT_HEAD(&q->ended, job, link);
    q->kept_bytes += bytes_kept(job);
    free(job->block);
    job->block = NULL;
}

/* What the daemon, or somebody's signal, did to it says nothing about the command. */
static bool is_to_be_logged(const struct job *job)
{
    const int status = job_exit_status(job);

    return !job_undone(job) && status != EXIT_PTOOLS && job->outcome.err != PTOOLS_ERR_DAEMON_DIED;
}

static void write_log(struct jobs *q, struct job *job)
{
    const struct job_outcome *o = &job->outcome;
    struct joblog_line line = { .seq = job->seq,
                                .start_ms = o->start_ms,
                                .run_us = o->wall_us,
                                .sent = job->n_block,
                                .received = o->out.bytes,
                                .exit_status = o->exit_status,
                                .signal = o->signal };

    if (!q->log.out || !is_to_be_logged(job))
        return;
    if (o->signal > 0 && o->exit_status < 0 && o->err == PTOOLS_OK)
        line.exit_status = 0; /* as GNU parallel has it; -1: stopped, or lost */
    line.command = job_command(job);
    line.n_command = job->n_command;
    if (line.command)
        joblog_add(&q->log, &line);
    else
        jobs_stop_no_memory(q);
}

static void write_results(struct jobs *q, const struct job *job)
{
    char why[sizeof q->why];
    int r;

    if (!q->wish->results || !is_to_be_logged(job))
        return;
    r = results_write(q->wish->results, &q->sources.names, job);
    if (r == 0)
        return;
    snprintf(why, sizeof why, "--results %.200s: what item %" PRIu64 " wrote cannot be kept: %s", q->wish->results,
             job->seq, strerror(-r));
    jobs_stop(q, PTOOLS_ERR_SYSTEM, why);
}

/* All others would come to the same. */
bool jobs_hopeless(const struct jobs *q, const struct job *job)
{
    const int status = job_exit_status(job);

    switch (job->outcome.err) {
    case PTOOLS_ERR_EXITED:
        return q->template.first_fixed && (status == EXIT_NO_COMMAND || status == EXIT_BAD_COMMAND);
    case PTOOLS_ERR_NO_MODULE:
    case PTOOLS_ERR_MODULE_BROKEN:
    case PTOOLS_ERR_NO_FUNCTION:
    case PTOOLS_ERR_NO_SET:
    case PTOOLS_ERR_NO_WORKER:
    case PTOOLS_ERR_DRAINING:
        return true;
    default:
        return false;
    }
}

static void count(struct jobs *q, const struct job *job)
{
    struct jobs_counts *c = &q->counts;
    const int status = job_exit_status(job);

    if (job_good(job)) {
        c->good++;
        median_add(&q->times, job->outcome.wall_us);
    } else if (job->outcome.err == PTOOLS_ERR_CANCELLED) {
        c->cancelled++;
    } else if (job->outcome.err == PTOOLS_ERR_NOT_RUN) {
        c->not_run++;
    } else {
        c->failed++;
        c->status = status > c->status ? status : c->status;
    }
}

static void judge(struct jobs *q, const struct job *job)
{
    bool about;

    count(q, job);
    if (jobs_hopeless(q, job))
        q->stopped = q->cancel = true;
    if (job_undone(job) || q->stopped ||
        !halt_reached(&q->wish->halt, q->counts.failed, q->counts.good, jobs_of(q, &about)))
        return;
    q->halted = q->stopped = true;
    q->cancel = q->wish->halt.when == HALT_NOW;
}

/* Not before three have ended well, as GNU parallel has it. A tenth more or less is not worth a message for each that
 * is under way; and what a command takes to be begun is not its own. */
bool jobs_limit_changes(struct jobs *q, int64_t *ret_ms)
{
    const uint64_t ms = median_get(&q->times) * q->wish->timeout_percent / 100 / 1000;
    const int64_t limit = ms < LIMIT_MS_MIN ? LIMIT_MS_MIN : ms > LIMIT_MS_MAX ? LIMIT_MS_MAX : (int64_t)ms;

    if (q->wish->timeout_percent == 0 || q->times.n < LIMIT_SAMPLES ||
        (q->told_ms > 0 && llabs(limit - q->told_ms) <= q->told_ms / 10))
        return false;
    *ret_ms = q->told_ms = limit;
    return true;
}

static void rehearsed(struct jobs *q, const struct job *job)
{
    const struct job_outcome *o = &job->outcome;

    q->picked_ended++;
    if (!job_undone(job) && o->wall_us > 0 && q->n_samples < REHEARSE_ITEMS_MAX)
        q->samples[q->n_samples++] = (struct rehearse_sample){ o->wall_us, o->peak_kb };
}

void jobs_ended(struct jobs *q, struct job *job)
{
    if (job->passed_over) {
        q->counts.passed_over++;
    } else {
        judge(q, job);
        write_results(q, job);
        write_log(q, job);
    }
    if (q->rehearses)
        rehearsed(q, job);
    if (!q->ordered) {
        show(q, job);
        return;
    }
    keep(q, job);
    jobs_show_ended(q, false);
}
