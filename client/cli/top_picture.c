/* SPDX-License-Identifier: MIT */
/*
 * top_picture -- see top.h: a look as lines of text, the same for the terminal and for --once. Whoever shows them cuts
 * them where they are too long. What users have written goes through words_print(): no task commands a terminal.
 */
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/top.h"
#include "client/cli/words.h"

/* A line is written into *ret_out, and ended by end(). NULL: no memory, which sticks. */
static FILE *begin(struct top_picture *p, enum top_kind kind, uint64_t task, size_t *size)
{
    struct top_line *lines = p->lines;
    FILE *out;

    if (p->no_memory)
        return NULL;
    p->no_memory = true;            /* until end() */
    if ((p->n & (p->n - 1)) == 0) { /* it is full at each power of two */
        lines = reallocarray(lines, p->n ? 2 * p->n : 1, sizeof *lines);
        if (!lines)
            return NULL;
        p->lines = lines;
    }
    lines[p->n] = (struct top_line){ kind, task, NULL };
    out = open_memstream(&lines[p->n].text, size);
    return out;
}

static void end(struct top_picture *p, FILE *out)
{
    if (fclose(out) == 0)
        p->no_memory = false;
    p->n++; /* also a spoilt one is freed */
}

static void __attribute__((__format__(__printf__, 3, 4)))
put(struct top_picture *p, enum top_kind kind, const char *format, ...)
{
    size_t size;
    FILE *out = begin(p, kind, 0, &size);
    va_list args;

    if (!out)
        return;
    va_start(args, format);
    vfprintf(out, format, args);
    va_end(args);
    end(p, out);
}

static void put_head(struct top_picture *p, const struct top_daemon *d)
{
    char up[WORDS_BYTES], tags[60] = "";

    if (d->tags_paused > 0)
        snprintf(tags, sizeof tags, ", %" PRIu32 " %s paused", d->tags_paused, d->tags_paused == 1 ? "tag" : "tags");
    put(p, TOP_HEAD, "ptoolsd %s  up %s  %s  %" PRIu64 " clients%s%s", d->version,
        words_time(d->uptime_s * 1000000, up), d->journal[0] ? "durable" : "not durable", d->clients,
        d->paused ? "  PAUSED" : "", tags);
}

static void put_queue(struct top_picture *p, const struct top_look *look)
{
    size_t size;
    FILE *out = begin(p, TOP_PLAIN, 0, &size);

    if (!out)
        return;
    fprintf(out, "queue    ");
    if (look->short_list)
        fprintf(out, "%" PRIu64 " running, %" PRIu64 " waiting, %" PRIu64 " known", look->states[PTOOLS_QUEUED_RUNNING],
                look->daemon.queue_waiting, look->daemon.queue_known);
    for (int s = PTOOLS_QUEUED_WAITING; s < TOP_STATES && !look->short_list; s++)
        if (look->states[s] > 0 || s <= PTOOLS_QUEUED_FAILED)
            fprintf(out, "%s%" PRIu64 " %s", s == PTOOLS_QUEUED_WAITING ? "" : ", ", look->states[s],
                    ptools_queued_state_name((ptools_queued_state)s));
    fprintf(out, "; calls: %" PRIu64 " waiting, %" PRIu64 " with workers", look->daemon.calls_waiting,
            look->daemon.calls_given);
    end(p, out);
}

static void put_rates(struct top_picture *p, const struct top_rates *r)
{
    static const char heights[] = " .:-=+*#";
    char history[TOP_HISTORY + 1] = "";
    double most = 0;

    if (!r->known) {
        put(p, TOP_PLAIN, "ended/s  not known yet");
        return;
    }
    for (size_t i = 0; i < r->n; i++)
        most = fmax(most, r->history[i]);
    for (size_t i = 0; i < r->n; i++)
        history[i] = heights[most > 0 ? (size_t)ceil(r->history[i] / most * (sizeof heights - 2)) : 0];
    history[r->n] = '\0';
    put(p, TOP_PLAIN, "ended/s  %.1f done, %.1f failed, %.1f cancelled  [%s]", r->done, r->failed, r->cancelled,
        history);
}

static void put_memory(struct top_picture *p, const struct top_daemon *d)
{
    char shm[WORDS_BYTES], free_text[WORDS_BYTES], rss[WORDS_BYTES];

    put(p, d->journal_failed[0] ? TOP_WARNING : TOP_PLAIN,
        "memory   %s in %" PRIu64 " shared arrays, %s%s, daemon %s; journal %s%s%s", words_size(d->shm_bytes, shm),
        d->arrays, d->available_bytes == TOP_UNKNOWN ? "not this machine" : words_size(d->available_bytes, free_text),
        d->available_bytes == TOP_UNKNOWN ? "" : " free", words_size(d->rss_bytes, rss),
        d->journal[0] ? d->journal : "none", d->journal_failed[0] ? " FAILED: " : "", d->journal_failed);
}

static void print_cell(FILE *out, const char *text, size_t width)
{
    const size_t n = strlen(text);

    words_print(out, text, n);
    for (size_t i = n; i < width; i++)
        putc(' ', out);
}

static void put_worker(struct top_picture *p, const struct top_worker *w)
{
    const bool busy = w->info->function[0];
    char rss[WORDS_BYTES], cpu[16] = "-";
    size_t size;
    FILE *out = begin(p, busy ? TOP_BUSY : TOP_PLAIN, 0, &size);

    if (!out)
        return;
    if (w->cpu_percent >= 0)
        snprintf(cpu, sizeof cpu, "%.0f", w->cpu_percent);
    fprintf(out, "%6" PRIu32 " %8" PRId32 "  %-9s %8s %5s  ", w->info->id, w->info->pid, w->info->state,
            w->rss_bytes ? words_size(w->rss_bytes, rss) : "-", cpu);
    words_print(out, w->info->function, strlen(w->info->function));
    if (w->info->progress_of > 0)
        fprintf(out, " %" PRIu64 "/%" PRIu64, w->info->progress, w->info->progress_of);
    if (w->info->phase[0]) {
        fputs(": ", out);
        words_print(out, w->info->phase, strlen(w->info->phase));
    }
    end(p, out);
}

static void put_task(struct top_picture *p, const ptools_queued_info *t, int64_t now_ms)
{
    const int64_t age_ms = t->queued_ms > 0 && now_ms > t->queued_ms ? now_ms - t->queued_ms : 0;
    char priority[32] = "-", age[WORDS_BYTES];
    size_t size;
    FILE *out = begin(p, t->state == PTOOLS_QUEUED_RUNNING ? TOP_BUSY : TOP_PLAIN, t->id, &size);

    if (!out)
        return;
    if (!isinf(t->priority) || t->priority < 0)
        snprintf(priority, sizeof priority, "%g", t->priority);
    fprintf(out, "%15" PRIu64 "  %-8s %8s %9s  ", t->id, ptools_queued_state_name(t->state), priority,
            words_time((uint64_t)age_ms * 1000, age));
    print_cell(out, t->function, 20);
    for (uint32_t i = 0; i < t->n_tags; i++) {
        putc(i == 0 ? ' ' : ',', out);
        words_print(out, t->tags[i], strlen(t->tags[i]));
    }
    end(p, out);
}

void top_picture_make(struct top_picture *picture, const struct top_look *look, const struct top_rates *rates,
                      enum top_order order, const char *gone)
{
    *picture = (struct top_picture){ 0 };
    if (gone)
        put(picture, TOP_WARNING, "The daemon is gone (%s); waiting for it.", gone);
    if (look) {
        put_head(picture, &look->daemon);
        put_queue(picture, look);
        put_rates(picture, rates);
        put_memory(picture, &look->daemon);
    }
    picture->fixed = picture->n;
    if (!look)
        return;
    put(picture, TOP_TITLE, "WORKER      PID  STATE       MEMORY  CPU%%  RUNS");
    for (size_t i = 0; i < look->n_workers; i++)
        put_worker(picture, &look->workers[i]);
    put(picture, TOP_TITLE, "           TASK  STATE    PRIORITY       AGE  FUNCTION             TAGS  (%s%s)",
        top_order_names[order], look->short_list ? "; too many wait to list them" : "");
    for (size_t i = 0; i < look->n_tasks; i++)
        put_task(picture, look->tasks[i], look->now_ms);
}

void top_picture_deinit(struct top_picture *picture)
{
    for (size_t i = 0; i < picture->n; i++)
        free(picture->lines[i].text);
    free(picture->lines);
    *picture = (struct top_picture){ 0 };
}
