/* SPDX-License-Identifier: MIT */
/*
 * pmap_run -- `ptools pmap` over a function, from the connection to the exit status; pmap_loop.c is its loop.
 *
 * A signal or the time limit cancels what runs and begins nothing more: what had ended is written, and told is how many
 * were not run.
 */
#include "client/cli/verb_pmap.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/failure.h"
#include "client/cli/pmap_loop.h"
#include "client/cli/pmap_output.h"
#include "client/cli/pmap_workers.h"
#include "client/cli/rehearse.h"
#include "client/cli/session.h"
#include "client/cli/waiting.h"

struct pmap_run {
    const struct command_line *line;
    struct pmap_wish *wish;
    struct pmap_loop loop;
    struct pmap_input in;
    struct pmap_output out;
    struct bar bar;
    uint64_t started_us;
    size_t n_picked; /* items that are rehearsed, and ... */
    uint64_t picked[REHEARSE_ITEMS_MAX];
    struct rehearse_sample samples[REHEARSE_ITEMS_MAX]; /* ... what is known of those that have run */
    size_t n_samples;
    uint64_t failed_before;
    bool rehearses; /* now */
    bool cut;       /* nobody knows how many items were not taken, and the input is not to blame */
    ptools_err end; /* what ptools_pmap_next() said at last */
};

/* -- for the loop ------------------------------------------------------------------------------------------ */

static void numbers(struct bar_numbers *n, void *arg)
{
    struct pmap_run *run = arg;
    ptools_pmap_progress p;

    if (ptools_pmap_progress_read(run->loop.map, &p) != PTOOLS_OK)
        return;
    n->of = run->rehearses ? run->n_picked : pmap_input_of(&run->in, &n->about);
    n->done = p.ended + (run->rehearses ? 0 : run->n_picked);
    n->failed = p.failed + (run->rehearses ? 0 : run->failed_before);
}

static bool flush(void *arg)
{
    struct pmap_run *run = arg;

    return outlet_flush(&run->out.outlet);
}

/* One that was rehearsed waits for its turn among the others. */
static void keep(struct pmap_run *run, const ptools_item *item)
{
    uint64_t run_us = item->run_us;

    if (item->err == PTOOLS_ERR_DEADLINE) /* so long, at least */
        run_us = (uint64_t)run->wish->map.item_timeout_ms * 1000;
    if (item->attempts > 0 && run_us > 0)
        run->samples[run->n_samples++] = (struct rehearse_sample){ run_us, item->peak_kb };
    if (!pmap_output_keep(&run->out, item, run->picked[item->index]))
        run->out.outlet.error = ENOMEM;
}

static void take(const ptools_item *item, void *arg)
{
    struct pmap_run *run = arg;

    if (run->rehearses)
        keep(run, item);
    else
        pmap_output_item(&run->out, item);
    if (run->out.hopeless != PTOOLS_OK)
        ptools_pmap_cancel(run->loop.map);
}

/* -- how it went ------------------------------------------------------------------------------------------- */

/* Stopped by an item that failed, as it was asked for. */
static bool stopped(const struct pmap_run *run)
{
    return run->wish->map.on_error == PTOOLS_ON_ERROR_STOP && run->out.counts.failed > 0;
}

static bool timed_out(const struct pmap_run *run)
{
    const struct pmap_counts *c = &run->out.counts;
    const int64_t timeout_ms = run->wish->map.timeout_ms;

    return timeout_ms > 0 && waiting_now_us() - run->started_us >= (uint64_t)timeout_ms * 1000 && !stopped(run) &&
           (run->cut || c->cancelled + c->not_run > 0);
}

static void write_counts(const struct pmap_run *run, FILE *out)
{
    const struct pmap_counts *c = &run->out.counts;
    const struct {
        uint64_t n;
        const char *what;
    } rows[] = { { c->failed, "failed" },
                 { c->defaulted, "failed and have the default" },
                 { c->cancelled, "were cancelled" },
                 { c->not_run, "were not run" } };

    fprintf(out, "of %" PRIu64 " items %" PRIu64 " have a value", c->items,
            c->items - c->failed - c->defaulted - c->cancelled - c->not_run);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (rows[i].n > 0)
            fprintf(out, ", %" PRIu64 " %s", rows[i].n, rows[i].what);
    if (run->cut)
        fputs("; the rest of the input was not read", out);
}

static int tell_counts(const struct pmap_run *run)
{
    const struct pmap_counts *c = &run->out.counts;
    const bool late = run->loop.interrupts == 0 && timed_out(run);
    ptools_failure facts = { .exit_status = -1, .phase = "", .log = "", .backtrace = "", .code = PTOOLS_OK };
    int status = c->status;
    char text[400] = "";
    FILE *out = fmemopen(text, sizeof text, "w");

    if (!out)
        return failure_report_code(run->line, PTOOLS_ERR_NO_MEMORY, NULL);
    if (run->loop.interrupts > 0) {
        facts.code = PTOOLS_ERR_CANCELLED;
        status = EXIT_CANCELLED;
        fputs(run->loop.interrupts > 1 ? "interrupted twice, and ended at once: " : "interrupted: ", out);
    } else if (late) {
        facts.code = PTOOLS_ERR_TIMEOUT;
        status = EXIT_TIME;
        fputs("the time limit (--timeout) passed: ", out);
    } else if (c->failed > 0) {
        facts.code = run->out.hopeless != PTOOLS_OK ? run->out.hopeless : PTOOLS_ERR_PARTS;
    } else if (c->cancelled + c->not_run > 0) {
        facts.code = c->cancelled > 0 ? PTOOLS_ERR_CANCELLED : PTOOLS_ERR_NOT_RUN;
        status = EXIT_CANCELLED;
    }
    write_counts(run, out);
    fclose(out);
    facts.message = text;
    if (facts.code != PTOOLS_OK)
        return failure_report(run->line, &facts, status);
    if (c->defaulted > 0 && !run->line->json)
        fprintf(stderr, "ptools pmap: %s\n", text);
    return status;
}

/* Items that were never asked for were not run, too, if it is known how many. */
static void add_missing(struct pmap_run *run)
{
    bool about = false;
    uint64_t of = PMAP_NOT_KNOWN;

    if (run->in.ended || run->in.code != PTOOLS_OK || run->wish->rehearse_only)
        return;
    if (run->end == PTOOLS_ERR_RANGE)
        of = pmap_input_of(&run->in, &about);
    run->cut = about || of == PMAP_NOT_KNOWN;
    if (!run->cut)
        pmap_output_missing(&run->out, of - run->n_picked);
}

static int finish(struct pmap_run *run)
{
    int status, worst = EXIT_VALUE;

    add_missing(run);
    if (!run->wish->rehearse_only)
        pmap_output_rest(&run->out);
    if (pmap_loop_goes_on(&run->loop))
        outlet_flush(&run->out.outlet);
    bar_clear(&run->bar);
    if (run->out.outlet.error && run->loop.interrupts < 2)
        failure_note_output(run->out.outlet.error); /* main() tells */
    if (run->end != PTOOLS_OK && run->end != PTOOLS_ERR_RANGE && run->in.code == PTOOLS_OK)
        worst = failure_report_last(run->line, run->loop.pt, run->end);
    if (run->in.code != PTOOLS_OK)
        worst = pmap_input_report(&run->in);
    status = tell_counts(run);
    return worst != EXIT_VALUE ? worst : status;
}

/* -- from the start ---------------------------------------------------------------------------------------- */

static int open_set(struct pmap_run *run, struct submission_set *set)
{
    struct submission *s = &run->wish->s;
    int status = submission_task(run->line, run->loop.pt, s, set);
    ptools_err err;

    if (status == EXIT_VALUE && s->task.target == PTOOLS_TARGET_WORKERS) {
        err = ptools_workerset_create(run->loop.pt, NULL, s->workers, s->task.n_targets, PTOOLS_WS_FF, &set->set);
        if (err != PTOOLS_OK)
            status = failure_report_last(run->line, run->loop.pt, err);
    }
    run->wish->map.set = set->set;
    return status;
}

static int map(struct pmap_run *run, ptools_pmap_source source, const ptools_pmap_options *options)
{
    ptools_err err =
        ptools_pmap_start_from(run->loop.pt, run->wish->function, source, &run->in, options, &run->loop.map);

    if (err != PTOOLS_OK)
        return failure_report_last(run->line, run->loop.pt, err);
    run->end = pmap_loop_run(&run->loop);
    run->loop.map = ptools_pmap_free(run->loop.map);
    return EXIT_VALUE;
}

/* What remains of the time for all. */
static int64_t time_left_ms(const struct pmap_run *run)
{
    const int64_t left_ms = run->wish->map.timeout_ms - (int64_t)((waiting_now_us() - run->started_us) / 1000);

    return run->wish->map.timeout_ms == 0 ? 0 : left_ms > 1 ? left_ms : 1;
}

/* Each in a process of its own, so that its time and memory are its own, too. */
static int rehearse(struct pmap_run *run)
{
    const uint64_t total = pmap_input_of(&run->in, &(bool){ false });
    ptools_pmap_options options = run->wish->map;
    struct rehearse_estimate estimate;
    struct rehearse_host host = { 0 };
    uint32_t *ids;
    int status = pmap_workers(run->line, run->loop.pt, &run->wish->s, &ids, &host.workers);

    free(ids);
    if (status != EXIT_VALUE)
        return status;
    run->n_picked = pmap_input_pick(&run->in, run->wish->rehearse, run->picked);
    options.timeout_ms = time_left_ms(run);
    options.flags = PTOOLS_PMAP_ISOLATED;
    options.batch_size = 1;
    run->rehearses = true;
    status = map(run, pmap_input_next_picked, &options);
    run->rehearses = false;
    run->n_picked = run->out.n_kept; /* some may not have had their turn */
    pmap_input_unpick(&run->in);
    run->failed_before = run->out.counts.failed;
    bar_clear(&run->bar);
    if (status != EXIT_VALUE)
        return status;
    if (run->n_picked == 0)
        return EXIT_VALUE;
    if (run->n_samples == 0) {
        fprintf(stderr, "ptools pmap: nothing is known of time and memory: no item of the rehearsal ran to its end\n");
        return EXIT_VALUE;
    }
    rehearse_look_around(&host);
    rehearse_estimate(run->samples, run->n_samples, &host, total == PMAP_NOT_KNOWN ? total : total - run->n_picked,
                      &estimate);
    if (run->line->json)
        rehearse_write(&estimate, run->wish->rehearse_only ? stdout : stderr);
    else
        rehearse_print(&estimate, run->wish->rehearse_only ? stdout : stderr);
    return EXIT_VALUE;
}

/* Whether there is a reason not to begin with the rest. */
static bool is_over(const struct pmap_run *run)
{
    return !pmap_loop_goes_on(&run->loop) || run->loop.interrupts > 0 || run->in.code != PTOOLS_OK ||
           run->out.hopeless != PTOOLS_OK || stopped(run) || timed_out(run) || run->end != PTOOLS_ERR_RANGE;
}

static int map_all(struct pmap_run *run)
{
    ptools_pmap_options options = run->wish->map;
    int status = run->wish->rehearse ? rehearse(run) : EXIT_VALUE;

    if (status != EXIT_VALUE)
        return status;
    if (run->wish->rehearse_only || (run->wish->rehearse && is_over(run)))
        return finish(run);
    options.timeout_ms = time_left_ms(run);
    status = map(run, pmap_input_next, &options);
    return status == EXIT_VALUE ? finish(run) : status;
}

int pmap_run(const struct command_line *line, struct pmap_wish *wish)
{
    struct pmap_run run = { .line = line, .wish = wish, .started_us = waiting_now_us() };
    const bool ordered = !(wish->map.flags & PTOOLS_PMAP_UNORDERED);
    struct submission_set set = { 0 };
    int status = pmap_input_open(&run.in, line, wish->form, wish->separator), r = 0;

    run.loop = (struct pmap_loop){ .bar = &run.bar,
                                   .outlet = &run.out.outlet,
                                   .signals = -1,
                                   .input = STDIN_FILENO,
                                   .later = &run.in.later,
                                   .take = take,
                                   .flush = flush,
                                   .numbers = numbers,
                                   .arg = &run };
    bar_start(&run.bar, wish->bar, stderr, run.started_us);
    if (pmap_output_open(&run.out, line, ordered, &run.bar) < 0 && status == EXIT_VALUE)
        status = failure_report_code(line, PTOOLS_ERR_NO_MEMORY, NULL);
    if (status == EXIT_VALUE && wish->rehearse)
        status = pmap_input_read_ahead(&run.in);
    if (status == EXIT_VALUE)
        status = session_open(line, !wish->no_private && !wish->s.set, wish->workers, &run.loop.pt);
    if (status == EXIT_VALUE)
        status = open_set(&run, &set);
    if (status == EXIT_VALUE)
        r = pmap_loop_watch(&run.loop);
    if (r < 0)
        status = failure_report_code(line, PTOOLS_ERR_SYSTEM, strerror(-r));
    if (status == EXIT_VALUE)
        status = map_all(&run);
    ptools_workerset_free(set.set);
    ptools_close(run.loop.pt);
    pmap_output_close(&run.out);
    pmap_input_close(&run.in);
    pmap_loop_close(&run.loop);
    return status;
}
