/* SPDX-License-Identifier: MIT */
/*
 * rehearse -- see rehearse.h. The time that all take is the mean times their number over the workers, and never less
 * than the longest takes: no more than that can be said of few samples. As many workers are proposed as there are
 * processors, unless so many of the largest would not fit into the memory that is free.
 */
#include "client/cli/rehearse.h"

#include <inttypes.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include "client/cli/json.h"
#include "client/cli/words.h"

static int by_time(const void *a, const void *b)
{
    const struct rehearse_sample *x = a, *y = b;

    return x->run_us < y->run_us ? -1 : x->run_us > y->run_us;
}

static int by_memory(const void *a, const void *b)
{
    const struct rehearse_sample *x = a, *y = b;

    return x->peak_kb < y->peak_kb ? -1 : x->peak_kb > y->peak_kb;
}

static uint64_t total_us(uint64_t mean_us, uint64_t max_us, uint64_t left, uint32_t workers)
{
    const double us = (double)mean_us * (double)left / (workers > 0 ? workers : 1);

    if (left == REHEARSE_NOT_KNOWN)
        return REHEARSE_NOT_KNOWN;
    if (left == 0)
        return 0;
    return us < (double)max_us ? max_us : us < 1e18 ? (uint64_t)us : (uint64_t)1e18;
}

void rehearse_estimate(struct rehearse_sample *samples, size_t n, const struct rehearse_host *host, uint64_t left,
                       struct rehearse_estimate *ret)
{
    struct rehearse_estimate e = { .n = n, .left = left, .workers = host->workers, .processors = host->processors };
    double sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += (double)samples[i].run_us;
    e.mean_us = (uint64_t)(sum / (double)n);
    qsort(samples, n, sizeof *samples, by_time);
    e.us = (struct rehearse_spread){ samples[0].run_us, samples[n / 2].run_us, samples[n - 1].run_us };
    qsort(samples, n, sizeof *samples, by_memory);
    e.kb = (struct rehearse_spread){ samples[0].peak_kb, samples[n / 2].peak_kb, samples[n - 1].peak_kb };
    e.free_kb = host->free_kb;
    e.fit = host->free_kb == REHEARSE_NOT_KNOWN || e.kb.max == 0 ? REHEARSE_NOT_KNOWN : host->free_kb / e.kb.max;
    e.proposed = host->processors > 0 ? host->processors : 1;
    if (e.fit < e.proposed)
        e.proposed = e.fit > 0 ? (uint32_t)e.fit : 1;
    e.total_us = total_us(e.mean_us, e.us.max, left, host->workers);
    e.proposed_us = total_us(e.mean_us, e.us.max, left, e.proposed);
    *ret = e;
}

void rehearse_print(const struct rehearse_estimate *e, FILE *out)
{
    const bool known = e->left != REHEARSE_NOT_KNOWN, memory = e->fit < e->processors;
    char a[WORDS_BYTES], b[WORDS_BYTES], c[WORDS_BYTES];

    fprintf(out, "rehearsed   %zu item%s\n", e->n, e->n == 1 ? "" : "s");
    fprintf(out, "time        %s, median %s, at most %s an item\n", words_time(e->us.min, a),
            words_time(e->us.median, b), words_time(e->us.max, c));
    fprintf(out, "memory      %s, median %s, at most %s an item\n", words_size(e->kb.min * 1024, a),
            words_size(e->kb.median * 1024, b), words_size(e->kb.max * 1024, c));
    if (known)
        fprintf(out, "to come     %" PRIu64 " items: about %s with the %" PRIu32 " workers that there are\n", e->left,
                words_time(e->total_us, a), e->workers);
    else
        fputs("to come     nobody knows how many\n", out);
    fprintf(out, "proposed    %" PRIu32 " worker%s%s", e->proposed, e->proposed == 1 ? "" : "s",
            memory ? "" : ", one a processor");
    if (known)
        fprintf(out, ": about %s", words_time(e->proposed_us, a));
    if (memory)
        fprintf(out, "; for more of %s each, %s of free memory are too few", words_size(e->kb.max * 1024, a),
                words_size(e->free_kb * 1024, b));
    putc('\n', out);
}

static void key_number(struct json_writer *w, const char *key, uint64_t v)
{
    json_key(w, key);
    if (v == REHEARSE_NOT_KNOWN)
        json_put_number(w, "null");
    else
        json_put_u64(w, v);
}

static void key_spread(struct json_writer *w, const char *key, const struct rehearse_spread *s)
{
    json_key(w, key);
    json_open(w, '{');
    key_number(w, "min", s->min);
    key_number(w, "median", s->median);
    key_number(w, "max", s->max);
    json_close(w, '}');
}

void rehearse_write(const struct rehearse_estimate *e, FILE *out)
{
    struct json_writer w = { .out = out };

    json_open(&w, '{');
    key_number(&w, "schema", 1);
    json_key(&w, "rehearsal");
    json_open(&w, '{');
    key_number(&w, "items", e->n);
    key_spread(&w, "run_us", &e->us);
    key_number(&w, "mean_us", e->mean_us);
    key_spread(&w, "peak_kb", &e->kb);
    key_number(&w, "left", e->left);
    key_number(&w, "workers", e->workers);
    key_number(&w, "total_us", e->total_us);
    key_number(&w, "proposed", e->proposed);
    key_number(&w, "proposed_us", e->proposed_us);
    json_key(&w, "limit");
    json_put_string(&w, e->fit < e->processors ? "memory" : "processors");
    key_number(&w, "processors", e->processors);
    key_number(&w, "free_kb", e->free_kb);
    json_close(&w, '}');
    json_close(&w, '}');
    putc('\n', out);
}

void rehearse_look_around(struct rehearse_host *ret)
{
    cpu_set_t set;
    FILE *f = fopen("/proc/meminfo", "re");
    char line[128];

    ret->processors = sched_getaffinity(0, sizeof set, &set) == 0 ? (uint32_t)CPU_COUNT(&set) : 1;
    ret->free_kb = REHEARSE_NOT_KNOWN;
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "MemAvailable: %" SCNu64, &ret->free_kb) == 1)
            break;
    if (f)
        fclose(f);
}
