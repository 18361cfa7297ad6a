/* SPDX-License-Identifier: MIT */
/*
 * bar -- see bar.h. The width is asked for whenever it is drawn, so that it fits when the window has changed; the last
 * column stays free, for there some terminals begin a new line. No colours.
 */
#include "client/cli/bar.h"

#include <inttypes.h>
#include <string.h>
#include <sys/ioctl.h>

enum { COLUMNS = 80, METER_MIN = 10, METER_MAX = 40, PART_BYTES = 48 };
#define DRAW_US   UINT64_C(100000)
#define LINE_US   UINT64_C(5000000)
#define MEMORY_US 5e6 /* how far back the rate looks */

/* -- numbers as text --------------------------------------------------------------------------------------- */

static void write_rate(double rate, char text[PART_BYTES])
{
    static const char units[] = " kMG";
    size_t i = 0;

    while (rate >= 999.5 && units[i + 1]) {
        rate /= 1000;
        i++;
    }
    if (i == 0)
        snprintf(text, PART_BYTES, "%.*f/s", rate < 9.95 ? 1 : 0, rate);
    else
        snprintf(text, PART_BYTES, "%.*f%c/s", rate < 9.95 ? 1 : 0, rate, units[i]);
}

static void write_seconds(const char *before, double s, char text[PART_BYTES])
{
    const uint64_t n = s < 1e9 ? (uint64_t)(s + 0.999) : 1000000000;

    if (n < 60)
        snprintf(text, PART_BYTES, "%s%" PRIu64 "s", before, n);
    else if (n < 3600)
        snprintf(text, PART_BYTES, "%s%" PRIu64 "m %02" PRIu64 "s", before, n / 60, n % 60);
    else if (n < 100 * 3600)
        snprintf(text, PART_BYTES, "%s%" PRIu64 "h %02" PRIu64 "m", before, n / 3600, n / 60 % 60);
    else
        snprintf(text, PART_BYTES, "%s%" PRIu64 "d", before, n / 86400);
}

/* -- the line ---------------------------------------------------------------------------------------------- */

enum { PART_COUNT, PART_METER, PART_FAILED, PART_RATE, PART_TIME, PARTS };

static void write_parts(const struct bar_numbers *n, char parts[PARTS][PART_BYTES])
{
    const bool known = n->of != BAR_NOT_KNOWN;

    if (known)
        snprintf(parts[PART_COUNT], PART_BYTES, "%" PRIu64 "/%s%" PRIu64, n->done, n->about ? "~" : "", n->of);
    else
        snprintf(parts[PART_COUNT], PART_BYTES, "%" PRIu64 " done", n->done);
    if (n->failed > 0)
        snprintf(parts[PART_FAILED], PART_BYTES, "%" PRIu64 " failed", n->failed);
    if (n->rate > 0)
        write_rate(n->rate, parts[PART_RATE]);
    if (known && n->rate > 0 && n->of >= n->done)
        write_seconds("ETA ", (double)(n->of - n->done) / n->rate, parts[PART_TIME]);
    else if (!known)
        write_seconds("", (double)n->elapsed_us / 1e6, parts[PART_TIME]);
}

/* "[=====>    ]  50%", of that many characters between the brackets. */
static size_t put_meter(char *text, const struct bar_numbers *n, unsigned width)
{
    const double part = n->of == 0 ? 1 : n->done >= n->of ? 1 : (double)n->done / (double)n->of;
    const unsigned full = (unsigned)(part * width);
    size_t at = 0;

    text[at++] = '[';
    for (unsigned i = 0; i < width; i++)
        text[at++] = i < full ? '=' : i == full ? '>' : ' ';
    text[at++] = ']';
    return at + (size_t)snprintf(text + at, 8, " %3u%%", (unsigned)(part * 100));
}

static size_t needed(char parts[PARTS][PART_BYTES])
{
    size_t bytes = 0;

    for (int i = 0; i < PARTS; i++)
        bytes += *parts[i] ? strlen(parts[i]) + (bytes > 0 ? 2 : 0) : 0;
    return bytes;
}

size_t bar_line(const struct bar_numbers *n, unsigned columns, char text[BAR_BYTES])
{
    static const int less[] = { PART_RATE, PART_TIME, PART_FAILED };
    char parts[PARTS][PART_BYTES] = { { 0 } };
    const size_t max = columns < BAR_BYTES ? columns : BAR_BYTES - 1;
    size_t at = 0, used;

    write_parts(n, parts);
    for (size_t i = 0; i < sizeof less / sizeof less[0] && needed(parts) > max; i++)
        *parts[less[i]] = '\0';
    used = needed(parts) + 2 + 7; /* two blanks, and what a meter has beside itself */
    for (int i = 0; i < PARTS; i++) {
        if (i == PART_METER && n->of != BAR_NOT_KNOWN && used + METER_MIN <= max) {
            at += (size_t)snprintf(text + at, BAR_BYTES - at, "  ");
            at += put_meter(text + at, n, (unsigned)(max - used < METER_MAX ? max - used : METER_MAX));
        } else if (*parts[i]) {
            at += (size_t)snprintf(text + at, BAR_BYTES - at, "%s%s", at > 0 ? "  " : "", parts[i]);
        }
    }
    at = at < max ? at : max;
    text[at] = '\0';
    return at;
}

double bar_rate(double rate, uint64_t done, uint64_t us)
{
    const double now = us > 0 ? (double)done * 1e6 / (double)us : 0;

    if (us == 0 || rate <= 0)
        return us == 0 ? rate : now;
    return rate + (now - rate) * ((double)us / ((double)us + MEMORY_US));
}

/* -- on a terminal, or in a log ------------------------------------------------------------------------------- */

static unsigned columns_of(FILE *out)
{
    struct winsize size;

    if (ioctl(fileno(out), TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
        return COLUMNS - 1;
    return size.ws_col - 1u;
}

void bar_start(struct bar *bar, enum bar_kind kind, FILE *out, uint64_t now_us)
{
    *bar = (struct bar){ .kind = kind, .out = out, .started_us = now_us, .last_us = now_us };
}

uint64_t bar_due_us(const struct bar *bar)
{
    switch (bar->kind) {
    case BAR_DRAWN:
        return bar->last_us + DRAW_US;
    case BAR_LINES:
        return bar->last_us + LINE_US;
    default:
        return UINT64_MAX;
    }
}

void bar_show(struct bar *bar, struct bar_numbers *n, uint64_t now_us)
{
    char text[BAR_BYTES];

    if (bar->kind == BAR_NONE)
        return;
    n->elapsed_us = now_us - bar->started_us;
    bar->rate = n->rate = bar_rate(bar->rate, n->done - bar->last_done, now_us - bar->last_us);
    bar->last_us = now_us;
    bar->last_done = n->done;
    bar_line(n, bar->kind == BAR_DRAWN ? columns_of(bar->out) : COLUMNS, text);
    fprintf(bar->out, bar->kind == BAR_DRAWN ? "\r%s\033[K" : "%s\n", text);
    fflush(bar->out);
    bar->shown = bar->kind == BAR_DRAWN;
}

void bar_clear(struct bar *bar)
{
    if (bar->shown) {
        fputs("\r\033[K", bar->out);
        fflush(bar->out);
    }
    bar->shown = false;
}
