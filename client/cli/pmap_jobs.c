/* SPDX-License-Identifier: MIT */
/*
 * pmap_jobs -- `ptools pmap` over a command, from the connection to the exit status; pmap_loop.c is its loop. A command
 * is a call of command.run, of two maps: what all have in common is captured, and travels once; the item is the other.
 *
 * How many run at once is limited by a set of as many workers. Where it matters which are begun next (--halt, {%}) no
 * more are under way than can run; else the next ones are on their way before a worker asks for them.
 */
#include "client/cli/verb_pmap.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/failure.h"
#include "client/cli/jobs.h"
#include "client/cli/pmap_loop.h"
#include "client/cli/pmap_workers.h"
#include "client/cli/rehearse.h"
#include "client/cli/session.h"
#include "client/cli/waiting.h"

enum { INLINE_BYTES = 1 << 20 }; /* of output that comes in a message; what is longer comes in a file */

struct pmap_jobs {
    const struct command_line *line;
    struct pmap_wish *wish;
    struct pmap_loop loop;
    struct jobs jobs;
    struct bar bar;
    ptools_pack *common;
    uint32_t workers; /* that may run them */
    uint64_t started_us;
    ptools_err end; /* what ptools_pmap_next() said at last */
};

/* -- what all commands have in common ---------------------------------------------------------------------- */

static int pack_common(struct pmap_jobs *run)
{
    struct program *program = &run->wish->jobs.program;

    program->record = true;
    program->inline_max = INLINE_BYTES;
    program->output_max = INT64_MAX; /* what is not in memory is in a file, and all of it */
    run->common = ptools_pack_new();
    if (!run->common)
        return failure_report_code(run->line, PTOOLS_ERR_NO_MEMORY, NULL);
    run->wish->map.captured = run->common;
    return program_pack(run->line, run->loop.pt, program, NULL, 0, run->common);
}

/* -- workers ----------------------------------------------------------------------------------------------- */

/* The first of those that may run them, if not all are to be at it at once. */
static int limit_workers(struct pmap_jobs *run, struct submission_set *set, const uint32_t *ids, uint32_t n)
{
    const struct submission *s = &run->wish->s;
    const uint32_t at_once = jobs_wish_at_once(&run->wish->jobs, s->set ? n : 0);
    ptools_workerset *limited;
    ptools_err err;

    run->workers = at_once > 0 && at_once < n ? at_once : n;
    if (at_once > n && !run->line->json)
        fprintf(stderr,
                "ptools pmap: %" PRIu32 " are to run at once, but there are %" PRIu32 " workers: so many will\n",
                at_once, n);
    if (run->workers == n && s->task.target != PTOOLS_TARGET_WORKERS)
        return EXIT_VALUE;
    err = ptools_workerset_create(run->loop.pt, NULL, ids, run->workers, PTOOLS_WS_FF, &limited);
    if (err != PTOOLS_OK)
        return failure_report_last(run->line, run->loop.pt, err);
    ptools_workerset_free(set->set);
    set->set = limited;
    return EXIT_VALUE;
}

static int open_set(struct pmap_jobs *run, struct submission_set *set)
{
    struct submission *s = &run->wish->s;
    int status = submission_task(run->line, run->loop.pt, s, set);
    uint32_t *ids = NULL, n;

    if (status == EXIT_VALUE)
        status = pmap_workers(run->line, run->loop.pt, s, &ids, &n);
    if (status == EXIT_VALUE)
        status = limit_workers(run, set, ids, n);
    free(ids);
    run->wish->map.set = set->set;
    if (run->wish->jobs.halt.when != HALT_NEVER || run->jobs.template.slot)
        run->jobs.window = run->workers > 0 ? run->workers : 1;
    /* So what has ended is told when it has, and not with what runs long behind it. */
    if (run->wish->map.batch_size == 0 || run->jobs.window > 0)
        run->wish->map.batch_size = 1;
    return status;
}

/* -- for the loop ------------------------------------------------------------------------------------------ */

static void tell_estimate(struct pmap_jobs *run)
{
    struct jobs *q = &run->jobs;
    struct rehearse_host host = { .workers = run->workers };
    struct rehearse_estimate estimate;
    bool about;

    bar_clear(&run->bar);
    if (q->n_samples == 0) {
        fputs("ptools pmap: nothing is known of time and memory: no item of the rehearsal ran to its end\n", stderr);
        return;
    }
    rehearse_look_around(&host);
    rehearse_estimate(q->samples, q->n_samples, &host, jobs_of(q, &about) - q->n_picked, &estimate);
    if (run->line->json)
        rehearse_write(&estimate, run->wish->rehearse_only ? q->out.outlet.out : stderr);
    else
        rehearse_print(&estimate, run->wish->rehearse_only ? q->out.outlet.out : stderr);
}

static void take(const ptools_item *item, void *arg)
{
    struct pmap_jobs *run = arg;
    int64_t ms;

    jobs_take(&run->jobs, item);
    if (jobs_rehearsed(&run->jobs)) {
        run->jobs.rehearses = false;
        tell_estimate(run);
        run->jobs.stopped |= run->wish->rehearse_only;
    }
    if (run->jobs.cancel)
        ptools_pmap_cancel(run->loop.map);
    else if (jobs_limit_changes(&run->jobs, &ms))
        (void)ptools_pmap_set_item_timeout(run->loop.map, ms); /* what it finds, ptools_pmap_next() finds, too */
}

static bool flush(void *arg)
{
    struct pmap_jobs *run = arg;

    if (run->loop.interrupts > 0)
        run->jobs.stopped = true;
    return jobs_flush(&run->jobs, false);
}

static int64_t due_ms(void *arg)
{
    return jobs_due_ms(&((struct pmap_jobs *)arg)->jobs);
}

static void numbers(struct bar_numbers *n, void *arg)
{
    const struct jobs *q = &((struct pmap_jobs *)arg)->jobs;

    n->done = q->counts.good + q->counts.failed + q->counts.passed_over;
    n->failed = q->counts.failed;
    n->of = q->rehearses ? q->n_picked : jobs_of(q, &n->about);
}

/* -- how it went ------------------------------------------------------------------------------------------- */

static bool timed_out(const struct pmap_jobs *run, uint64_t missing)
{
    const struct jobs_counts *c = &run->jobs.counts;
    const int64_t timeout_ms = run->wish->map.timeout_ms;

    return timeout_ms > 0 && waiting_now_us() - run->started_us >= (uint64_t)timeout_ms * 1000 &&
           c->cancelled + c->not_run + missing > 0;
}

/* Items that were never begun, if it is known how many. */
static uint64_t missing_of(const struct pmap_jobs *run)
{
    const struct jobs_counts *c = &run->jobs.counts;
    const uint64_t had = c->good + c->failed + c->cancelled + c->not_run + c->passed_over;
    bool about;
    const uint64_t of = jobs_of(&run->jobs, &about);

    if (run->wish->rehearse_only)
        return 0;
    return of == SOURCES_NOT_KNOWN || about || of < had ? SOURCES_NOT_KNOWN : of - had;
}

static void write_counts(const struct pmap_jobs *run, uint64_t missing, FILE *out)
{
    const struct jobs_counts *c = &run->jobs.counts;
    const bool known = missing != SOURCES_NOT_KNOWN;
    const uint64_t not_run = c->not_run + (known ? missing : 0);
    const uint64_t items = c->good + c->failed + c->cancelled + c->passed_over + not_run;

    fprintf(out, "of %" PRIu64 " items %" PRIu64 " went well", items, c->good);
    if (c->passed_over > 0)
        fprintf(out, ", %" PRIu64 " had ended before", c->passed_over);
    if (c->failed > 0)
        fprintf(out, ", %" PRIu64 " failed", c->failed);
    if (c->cancelled > 0)
        fprintf(out, ", %" PRIu64 " were cancelled", c->cancelled);
    if (not_run > 0)
        fprintf(out, ", %" PRIu64 " were not run", not_run);
    if (!known)
        fputs("; the rest of the input was not read", out);
}

/* Why it ended, before what became of the items; and the exit status. */
static int judge(const struct pmap_jobs *run, uint64_t missing, ptools_err *ret_code, FILE *out)
{
    const struct jobs *q = &run->jobs;
    const struct jobs_counts *c = &q->counts;

    *ret_code = c->failed > 0 ? PTOOLS_ERR_PARTS : PTOOLS_OK;
    if (run->loop.interrupts > 0) {
        *ret_code = PTOOLS_ERR_CANCELLED;
        fputs(run->loop.interrupts > 1 ? "interrupted twice, and ended at once: " : "interrupted: ", out);
        return EXIT_CANCELLED;
    }
    if (q->halted) {
        *ret_code = q->wish->halt.why == HALT_SUCCESS ? PTOOLS_OK : *ret_code;
        fputs("ended by --halt: ", out);
        return q->wish->halt.why == HALT_SUCCESS ? EXIT_VALUE : c->status;
    }
    if (timed_out(run, missing)) {
        *ret_code = PTOOLS_ERR_TIMEOUT;
        fputs("the time limit (--timeout-all) passed: ", out);
        return EXIT_TIME;
    }
    if (c->failed == 0 && c->cancelled + c->not_run > 0) {
        *ret_code = c->cancelled > 0 ? PTOOLS_ERR_CANCELLED : PTOOLS_ERR_NOT_RUN;
        return EXIT_CANCELLED;
    }
    return c->status;
}

static int tell_counts(const struct pmap_jobs *run)
{
    const uint64_t missing = run->jobs.sources.ended ? 0 : missing_of(run);
    ptools_failure facts = { .exit_status = -1, .phase = "", .log = "", .backtrace = "", .code = PTOOLS_OK };
    char text[500] = "";
    FILE *out = fmemopen(text, sizeof text, "w");
    int status;

    if (!out)
        return failure_report_code(run->line, PTOOLS_ERR_NO_MEMORY, NULL);
    status = judge(run, missing, &facts.code, out);
    write_counts(run, missing, out);
    fclose(out);
    facts.message = text;
    if (run->line->json && facts.code != PTOOLS_OK)
        return failure_report(run->line, &facts, status);
    if (!run->line->json && (facts.code != PTOOLS_OK || run->jobs.halted))
        fprintf(stderr, "ptools pmap: %s\n", text);
    return status;
}

static int finish(struct pmap_jobs *run)
{
    struct jobs *q = &run->jobs;
    int status, worst = EXIT_VALUE;

    jobs_end(q);
    if (pmap_loop_goes_on(&run->loop))
        jobs_flush(q, true);
    else
        (void)joblog_flush(&q->log, true, waiting_now_us());
    bar_clear(&run->bar);
    if (q->out.outlet.error && run->loop.interrupts < 2)
        failure_note_output(q->out.outlet.error); /* main() tells */
    if (run->end != PTOOLS_OK && run->end != PTOOLS_ERR_RANGE)
        worst = failure_report_last(run->line, run->loop.pt, run->end);
    if (q->wrong != PTOOLS_OK)
        worst = failure_report_code(run->line, q->wrong, q->why);
    if (q->out.lost && worst == EXIT_VALUE)
        worst = EXIT_PTOOLS;
    status = tell_counts(run);
    return worst != EXIT_VALUE ? worst : status;
}

/* -- from the start ---------------------------------------------------------------------------------------- */

static int map_all(struct pmap_jobs *run)
{
    ptools_pmap_options options = run->wish->map;
    ptools_err err;

    options.flags = PTOOLS_PMAP_UNORDERED; /* the order is made here, where attempts are counted */
    options.n_retry_delays = 0;
    options.retry_check = NULL;
    if (run->wish->rehearse > 0)
        jobs_pick(&run->jobs, run->wish->rehearse);
    err = ptools_pmap_start_from(run->loop.pt, "command.run", jobs_next, &run->jobs, &options, &run->loop.map);
    if (err != PTOOLS_OK)
        return failure_report_last(run->line, run->loop.pt, err);
    run->end = pmap_loop_run(&run->loop);
    run->loop.map = ptools_pmap_free(run->loop.map);
    return finish(run);
}

static int connect_and_run(struct pmap_jobs *run)
{
    const struct pmap_wish *wish = run->wish;
    const uint32_t workers = wish->workers ? wish->workers : jobs_wish_at_once(&wish->jobs, 0);
    struct submission_set set = { 0 };
    int status = session_open(run->line, !wish->no_private && !wish->s.set, workers, &run->loop.pt), r = 0;

    if (status == EXIT_VALUE)
        status = pack_common(run);
    if (status == EXIT_VALUE)
        status = open_set(run, &set);
    if (status == EXIT_VALUE)
        r = pmap_loop_watch(&run->loop);
    if (r < 0)
        status = failure_report_code(run->line, PTOOLS_ERR_SYSTEM, strerror(-r));
    if (status == EXIT_VALUE)
        status = map_all(run);
    ptools_workerset_free(set.set);
    return status;
}

static int dry_run(struct pmap_jobs *run)
{
    int status = jobs_dry_run(&run->jobs);

    if (!outlet_flush(&run->jobs.out.outlet))
        failure_note_output(run->jobs.out.outlet.error);
    if (run->jobs.wrong != PTOOLS_OK)
        status = failure_report_code(run->line, run->jobs.wrong, run->jobs.why);
    return status;
}

int pmap_jobs(const struct command_line *line, struct pmap_wish *wish)
{
    struct pmap_jobs run = { .line = line, .wish = wish, .started_us = waiting_now_us(), .end = PTOOLS_ERR_RANGE };
    const bool ordered = !(wish->map.flags & PTOOLS_PMAP_UNORDERED);
    int status;

    run.loop = (struct pmap_loop){ .bar = &run.bar,
                                   .outlet = &run.jobs.out.outlet,
                                   .signals = -1,
                                   .input = STDIN_FILENO,
                                   .later = &run.jobs.later,
                                   .take = take,
                                   .flush = flush,
                                   .due_ms = due_ms,
                                   .numbers = numbers,
                                   .arg = &run };
    bar_start(&run.bar, wish->bar, stderr, run.started_us);
    status = jobs_open(&run.jobs, line, &wish->jobs, ordered, &run.bar);
    run.jobs.retries_wish = (struct jobs_retries){ wish->s.task.attempts, wish->s.task.retry_on, wish->delays };
    if (run.jobs.sources.fd > STDIN_FILENO)
        run.loop.input = run.jobs.sources.fd;
    if (status == EXIT_VALUE && wish->jobs.dry_run)
        status = dry_run(&run);
    else if (status == EXIT_VALUE)
        status = connect_and_run(&run);
    ptools_close(run.loop.pt);
    ptools_pack_free(run.common);
    jobs_close(&run.jobs);
    pmap_loop_close(&run.loop);
    return status;
}
