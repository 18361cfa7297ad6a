/* SPDX-License-Identifier: MIT */
/*
 * verb_top -- `ptools top`: the daemon, its workers and its queue as they change. Here are the options, and one picture
 * as text or JSON; the terminal is top_live.c's.
 */
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/failure.h"
#include "client/cli/session.h"
#include "client/cli/signals.h"
#include "client/cli/task_field.h"
#include "client/cli/top_live.h"
#include "client/cli/verbs.h"
#include "client/cli/words.h"

enum { OPTION_INTERVAL = OPTION_OF_VERB, OPTION_ONCE, INTERVAL_MS = 1000, INTERVAL_MIN_MS = 100 };

static const struct option_row options[] = {
    { OPTION_INTERVAL, '\0', "interval", "TIME", "how often to look, 100ms or more (default 1s)" },
    { OPTION_ONCE, '\0', "once", NULL, "one picture as text, after an interval, and end" },
    { 0 },
};
static const char *const usage[] = { "[--interval TIME] [--once]", NULL };

static void print_worker(struct json_writer *w, const struct top_worker *worker)
{
    json_open(w, '{');
    json_key(w, "id");
    json_put_u64(w, worker->info->id);
    json_key(w, "pid");
    json_put_i64(w, worker->info->pid);
    json_key(w, "state");
    json_put_string(w, worker->info->state);
    json_key(w, "function");
    json_put_string(w, worker->info->function);
    json_key(w, "phase");
    json_put_string(w, worker->info->phase);
    json_key(w, "rss_bytes");
    json_put_u64(w, worker->rss_bytes);
    if (worker->cpu_percent >= 0) {
        json_key(w, "cpu_percent");
        json_put_f64(w, worker->cpu_percent);
    }
    json_close(w, '}');
}

static int print_json(const struct command_line *line, const struct top_found *found, const struct top_rates *rates)
{
    const struct top_look *look = &found->look;
    struct json_writer w;

    session_document(&w);
    json_key(&w, "status");
    json_put_value(&w, found->status);
    json_key(&w, "ended_per_s");
    json_open(&w, '{');
    json_key(&w, "done");
    json_put_f64(&w, rates->done);
    json_key(&w, "failed");
    json_put_f64(&w, rates->failed);
    json_key(&w, "cancelled");
    json_put_f64(&w, rates->cancelled);
    json_close(&w, '}');
    json_key(&w, "workers");
    json_open(&w, '[');
    for (size_t i = 0; i < look->n_workers; i++)
        print_worker(&w, &look->workers[i]);
    json_close(&w, ']');
    json_key(&w, "tasks");
    json_open(&w, '[');
    for (size_t i = 0; i < look->n_tasks; i++) {
        task_json_open(&w, look->tasks[i]);
        json_close(&w, '}');
    }
    json_close(&w, ']');
    return session_document_end(line, &w);
}

static int print_text(const struct command_line *line, const struct top_found *found, const struct top_rates *rates)
{
    struct top_picture picture;
    bool no_memory;

    top_picture_make(&picture, &found->look, rates, TOP_ORDER_NEXT, NULL);
    for (size_t i = 0; i < picture.n; i++)
        puts(picture.lines[i].text ? picture.lines[i].text : "");
    no_memory = picture.no_memory;
    top_picture_deinit(&picture);
    return no_memory ? failure_report_code(line, PTOOLS_ERR_NO_MEMORY, NULL) : EXIT_VALUE;
}

/* Two looks: rates need them. */
static int once(const struct command_line *line, ptools *pt, int64_t interval_ms)
{
    struct pollfd signals = { .fd = signals_open(NULL), .events = POLLIN };
    struct top_found *first = NULL, *second = NULL;
    const bool here = top_is_here(line);
    struct top_rates rates = { 0 };
    int status = EXIT_VALUE;
    ptools_err r = top_look(pt, here, NULL, &first);

    if (r == PTOOLS_OK) {
        top_rates_add(&rates, first->look.now_us, &first->look.daemon);
        if (poll(&signals, 1, (int)interval_ms) > 0)
            status = EXIT_CANCELLED;
        else
            r = top_look(pt, here, first, &second);
    }
    if (r != PTOOLS_OK) {
        status = failure_report_last(line, pt, r);
    } else if (second) {
        top_rates_add(&rates, second->look.now_us, &second->look.daemon);
        top_sort(second->look.tasks, second->look.n_tasks, TOP_ORDER_NEXT);
        status = line->json ? print_json(line, second, &rates) : print_text(line, second, &rates);
    }
    top_found_free(first);
    top_found_free(second);
    close(signals.fd);
    return status;
}

static int run(const struct command_line *line)
{
    PTOOLS_AUTO(ptools) pt = NULL;
    int64_t interval_ms = INTERVAL_MS;
    bool text = line->json || !isatty(STDOUT_FILENO) || !isatty(STDIN_FILENO);
    ptools *taken;
    int status;

    for (size_t i = 0; i < line->n; i++) {
        const struct item *item = &line->items[i];

        if (item->id == ITEM_WORD)
            return command_line_wrong(line, "\"%.80s\": top takes no words", item->text);
        if (item->id == OPTION_ONCE)
            text = true;
        else if (!words_duration(item->text, &interval_ms) || interval_ms < INTERVAL_MIN_MS || interval_ms > INT32_MAX)
            return command_line_wrong(line, "--interval %.80s: " WORDS_DURATIONS "; and here from 100 ms to 24 days",
                                      item->text);
    }
    status = session_open(line, false, 0, &pt);
    if (status != EXIT_VALUE)
        return status;
    if (text)
        return once(line, pt, interval_ms);
    taken = pt;
    pt = NULL;
    return top_live(line, taken, interval_ms);
}

const struct verb verb_top = {
    .name = "top",
    .summary = "watch the daemon, its workers and the queue",
    .usage = usage,
    .about =
        "Shows on the terminal what the daemon, its workers and the queued tasks of this user do, again and again,\n"
        "until q or ^C. Keys: arrows, PgUp, PgDn, Home and End move; space looks at once; s changes the order of\n"
        "the tasks, k cancels the one under the cursor, p pauses the queue or resumes it, h helps. With --once or\n"
        "--json, and where it is not on a terminal, one picture is written.\n",
    .options = options,
    .run = run,
};
