/* SPDX-License-Identifier: MIT */
/*
 * top_look -- see top_look.h. Three round trips, and one more for each thousand queued tasks; where there are more than
 * LIST_MAX, which would keep the daemon from its work, only those that run are asked for.
 */
#include "client/cli/top_look.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "client/cli/times.h"
#include "client/cli/waiting.h"

enum { LIST_MAX = 5000, FILE_BYTES = 8192 };

/* The file's text; "" if there is none. */
static void read_file(const char *path, char text[FILE_BYTES])
{
    FILE *f = fopen(path, "re");
    size_t n = f ? fread(text, 1, FILE_BYTES - 1, f) : 0;

    text[n] = '\0';
    if (f)
        fclose(f);
}

/* -- the status ------------------------------------------------------------------------------------------- */

/* What a daemon of another version lacks is 0, or "". */
static bool field(ptools_value document, const char *part, const char *key, ptools_value *ret)
{
    return (!part || ptools_get_field(document, part, &document) == PTOOLS_OK) &&
           ptools_get_field(document, key, ret) == PTOOLS_OK;
}

static uint64_t number(ptools_value document, const char *part, const char *key)
{
    ptools_value v;
    uint64_t n;

    return field(document, part, key, &v) && ptools_get_u64(v, &n) == PTOOLS_OK ? n : 0;
}

static void text(ptools_value document, const char *part, const char *key, char ret[TOP_TEXT_BYTES])
{
    const char *s = "";
    size_t n = 0;
    ptools_value v;

    if (!field(document, part, key, &v) || ptools_get_str(v, &s, &n) != PTOOLS_OK)
        n = 0;
    snprintf(ret, TOP_TEXT_BYTES, "%.*s", (int)(n < TOP_TEXT_BYTES ? n : TOP_TEXT_BYTES - 1), s);
}

static void read_pauses(ptools_value document, struct top_daemon *d)
{
    ptools_value list, item;
    const char *s;
    size_t n;

    if (!field(document, "queue", "paused", &list))
        return;
    for (uint32_t i = 0; ptools_get_item(list, i, &item) == PTOOLS_OK; i++) {
        if (ptools_get_str(item, &s, &n) == PTOOLS_OK && n == 1 && s[0] == '*')
            d->paused = true;
        else
            d->tags_paused++;
    }
}

static void read_status(ptools_value s, bool here, struct top_daemon *d)
{
    char memory[FILE_BYTES];

    text(s, NULL, "version", d->version);
    text(s, "journal", "dir", d->journal);
    text(s, "journal", "failed", d->journal_failed);
    d->uptime_s = number(s, NULL, "uptime_s");
    d->clients = number(s, NULL, "clients");
    d->calls_waiting = number(s, "tasks", "waiting");
    d->calls_given = number(s, "tasks", "given");
    d->done = number(s, "tasks", "done");
    d->failed = number(s, "tasks", "failed");
    d->cancelled = number(s, "tasks", "cancelled");
    d->queue_waiting = number(s, "queue", "waiting");
    d->queue_known = number(s, "queue", "known");
    d->arrays = number(s, NULL, "arrays");
    d->shm_bytes = number(s, NULL, "shm_bytes");
    d->rss_bytes = number(s, NULL, "rss_bytes");
    d->available_bytes = TOP_UNKNOWN;
    if (here) {
        read_file("/proc/meminfo", memory);
        d->available_bytes = top_read_available(memory);
    }
    read_pauses(s, d);
}

/* -- workers and tasks ------------------------------------------------------------------------------------ */

static void read_process(struct top_worker *w)
{
    char path[40], stat[FILE_BYTES];
    uint64_t ticks, pages;

    snprintf(path, sizeof path, "/proc/%" PRId32 "/stat", w->info->pid);
    read_file(path, stat);
    if (!top_read_stat(stat, &ticks, &pages))
        return;
    w->rss_bytes = pages * (uint64_t)sysconf(_SC_PAGESIZE);
    w->cpu_us = ticks * 1000000 / (uint64_t)sysconf(_SC_CLK_TCK);
}

static ptools_err look_at_workers(ptools *pt, bool here, struct top_found *found)
{
    struct top_look *look = &found->look;
    ptools_err r = ptools_workers(pt, &found->workers, &look->n_workers);

    if (r != PTOOLS_OK)
        return r;
    look->workers = calloc(look->n_workers + 1, sizeof *look->workers);
    if (!look->workers)
        return PTOOLS_ERR_NO_MEMORY;
    for (size_t i = 0; i < look->n_workers; i++) {
        struct top_worker *w = &look->workers[i];

        *w = (struct top_worker){ &found->workers[i], found->workers[i].rss_bytes, TOP_UNKNOWN, -1 };
        if (here && w->info->pid > 0)
            read_process(w);
    }
    return PTOOLS_OK;
}

static ptools_err look_at_tasks(ptools *pt, struct top_found *found)
{
    struct top_look *look = &found->look;
    const ptools_queued_info *info;
    ptools_err r;

    look->short_list = look->daemon.queue_known > LIST_MAX;
    r = ptools_queued_list(pt, look->short_list ? UINT32_C(1) << PTOOLS_QUEUED_RUNNING : 0, NULL, 0, &found->list);
    if (r != PTOOLS_OK)
        return r;
    look->tasks = calloc(ptools_queued_count(found->list) + 1, sizeof *look->tasks);
    if (!look->tasks)
        return PTOOLS_ERR_NO_MEMORY;
    for (size_t i = 0; (info = ptools_queued_at(found->list, i)); i++) {
        if ((unsigned)info->state < TOP_STATES)
            look->states[info->state]++;
        if (info->state <= PTOOLS_QUEUED_RUNNING)
            look->tasks[look->n_tasks++] = info;
    }
    return PTOOLS_OK;
}

ptools_err top_look(ptools *pt, bool here, const struct top_found *before, struct top_found **ret_found)
{
    struct top_found *found = calloc(1, sizeof *found);
    ptools_err r;

    if (!found)
        return PTOOLS_ERR_NO_MEMORY;
    r = ptools_inspect(pt, "status", &found->future, &found->status);
    if (r == PTOOLS_OK) {
        found->look.now_us = waiting_now_us();
        found->look.now_ms = times_now_ms();
        read_status(found->status, here, &found->look.daemon);
        r = look_at_workers(pt, here, found);
    }
    if (r == PTOOLS_OK)
        r = look_at_tasks(pt, found);
    if (r != PTOOLS_OK) {
        top_found_free(found);
        return r;
    }
    if (before)
        top_use_cpu(found->look.workers, found->look.n_workers, before->look.workers, before->look.n_workers,
                    found->look.now_us - before->look.now_us);
    *ret_found = found;
    return PTOOLS_OK;
}

struct top_found *top_found_free(struct top_found *found)
{
    if (!found)
        return NULL;
    free(found->look.workers);
    free(found->look.tasks);
    free(found->workers);
    ptools_queued_free(found->list);
    ptools_future_free(found->future);
    free(found);
    return NULL;
}
