/* SPDX-License-Identifier: MIT */
/*
 * top -- see top.h: order, rates, and what /proc says. The lines are made in top_picture.c.
 */
#include "client/cli/top.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* -- order ------------------------------------------------------------------------------------------------ */

const char *const top_order_names[TOP_ORDERS] = { "next first", "oldest first", "newest first" };

static int by_id(const ptools_queued_info *x, const ptools_queued_info *y)
{
    return x->id < y->id ? -1 : x->id > y->id;
}

static int rank(ptools_queued_state state)
{
    return state == PTOOLS_QUEUED_RUNNING ? 0 : state == PTOOLS_QUEUED_QUEUED ? 1 : 2;
}

static int by_next(const void *a, const void *b)
{
    const ptools_queued_info *x = *(const ptools_queued_info *const *)a, *y = *(const ptools_queued_info *const *)b;

    if (rank(x->state) != rank(y->state))
        return rank(x->state) - rank(y->state);
    if (x->state != PTOOLS_QUEUED_RUNNING && (x->priority < y->priority || x->priority > y->priority))
        return x->priority < y->priority ? -1 : 1;
    return by_id(x, y);
}

static int by_age(const void *a, const void *b)
{
    const ptools_queued_info *x = *(const ptools_queued_info *const *)a, *y = *(const ptools_queued_info *const *)b;

    return x->queued_ms != y->queued_ms ? (x->queued_ms < y->queued_ms ? -1 : 1) : by_id(x, y);
}

static int by_newest(const void *a, const void *b)
{
    return by_id(*(const ptools_queued_info *const *)b, *(const ptools_queued_info *const *)a);
}

void top_sort(const ptools_queued_info **tasks, size_t n, enum top_order order)
{
    static int (*const by[TOP_ORDERS])(const void *, const void *) = { by_next, by_age, by_newest };

    if (n > 1)
        qsort(tasks, n, sizeof *tasks, by[order]);
}

/* -- from one look to the next ---------------------------------------------------------------------------- */

void top_rates_add(struct top_rates *rates, uint64_t now_us, const struct top_daemon *daemon)
{
    const uint64_t counts[3] = { daemon->done, daemon->failed, daemon->cancelled };
    double a_second[3];

    for (size_t i = 0; i < 3; i++)
        if (rates->begun && counts[i] < rates->counts[i])
            *rates = (struct top_rates){ 0 };
    if (rates->begun && now_us <= rates->at_us)
        return;
    if (rates->begun) {
        for (size_t i = 0; i < 3; i++)
            a_second[i] = (double)(counts[i] - rates->counts[i]) * 1e6 / (double)(now_us - rates->at_us);
        rates->known = true;
        rates->done = a_second[0];
        rates->failed = a_second[1];
        rates->cancelled = a_second[2];
        if (rates->n == TOP_HISTORY)
            memmove(rates->history, rates->history + 1, --rates->n * sizeof *rates->history);
        rates->history[rates->n++] = a_second[0] + a_second[1] + a_second[2];
    }
    rates->begun = true;
    rates->at_us = now_us;
    memcpy(rates->counts, counts, sizeof counts);
}

void top_use_cpu(struct top_worker *workers, size_t n, const struct top_worker *before, size_t n_before,
                 uint64_t elapsed_us)
{
    for (size_t i = 0; i < n; i++) {
        struct top_worker *w = &workers[i];

        w->cpu_percent = -1;
        for (size_t k = 0; k < n_before && elapsed_us > 0 && w->cpu_us != TOP_UNKNOWN; k++)
            if (before[k].info->id == w->info->id && before[k].info->pid == w->info->pid &&
                before[k].cpu_us <= w->cpu_us)
                w->cpu_percent = (double)(w->cpu_us - before[k].cpu_us) * 100 / (double)elapsed_us;
    }
}

bool top_read_stat(const char *text, uint64_t *ret_ticks, uint64_t *ret_pages)
{
    const char *s = strrchr(text, ')'); /* its name may have spaces and brackets in it */
    uint64_t user, system, pages;

    if (!s || sscanf(s + 1,
                     " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %" SCNu64 " %" SCNu64
                     " %*d %*d %*d %*d %*d %*d %*u %*u %" SCNu64,
                     &user, &system, &pages) != 3)
        return false;
    *ret_ticks = user + system;
    *ret_pages = pages;
    return true;
}

uint64_t top_read_available(const char *text)
{
    const char *s = strstr(text, "MemAvailable:");
    uint64_t kib;

    return s && sscanf(s, "MemAvailable: %" SCNu64 " kB", &kib) == 1 ? kib * 1024 : TOP_UNKNOWN;
}

/* -- scrolling --------------------------------------------------------------------------------------------- */

size_t top_follow(const struct top_picture *picture, uint64_t task, size_t cursor)
{
    const size_t n = picture->n - picture->fixed;

    for (size_t i = 0; task != 0 && i < n; i++)
        if (picture->lines[picture->fixed + i].task == task)
            return i;
    return n == 0 ? 0 : cursor < n ? cursor : n - 1;
}

size_t top_scroll(size_t first, size_t cursor, size_t rows, size_t n)
{
    if (rows == 0 || n <= rows)
        return 0;
    if (cursor < first)
        first = cursor;
    if (cursor >= first + rows)
        first = cursor - rows + 1;
    return first > n - rows ? n - rows : first;
}
