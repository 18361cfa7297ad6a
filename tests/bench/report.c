/* SPDX-License-Identifier: MIT */
/* report -- see report.h. */
#include "tests/bench/report.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

struct summary {
    double least, median, largest;
};

void series_add(struct series *s, double v)
{
    ck_assert_uint_lt(s->n, ROUNDS_MAX);
    s->round[s->n++] = v;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static struct summary summarize(const struct series *s)
{
    struct series sorted = *s;
    const double *v = sorted.round;

    ck_assert_uint_gt(s->n, 0);
    qsort(sorted.round, s->n, sizeof *v, by_size);
    return (struct summary){ v[0], (v[(s->n - 1) / 2] + v[s->n / 2]) / 2, v[s->n - 1] };
}

static struct series ratio_of(const struct series *ours, const struct series *floor)
{
    struct series ratio = { .n = ours->n };

    ck_assert_uint_eq(ours->n, floor->n);
    for (size_t i = 0; i < ours->n; i++)
        ratio.round[i] = ours->round[i] / floor->round[i];
    return ratio;
}

static void print_number(double v, enum report_unit unit)
{
    if (unit == UNIT_PER_SECOND)
        printf(v >= 1e5 ? "%.0fk" : "%.1fk", v / 1e3);
    else if (unit == UNIT_BYTES)
        printf("%.0f", v);
    else
        printf(unit == UNIT_US ? "%.1f" : "%.2f", v);
}

static double print_series(const char *name, const struct series *s, enum report_unit unit)
{
    static const char *const names[] = {
        [UNIT_US] = " us", [UNIT_MS] = " ms", [UNIT_PER_SECOND] = "/s", [UNIT_COUNT] = "", [UNIT_BYTES] = " bytes"
    };
    struct summary sum = summarize(s);

    printf("%s ", name);
    print_number(sum.median, unit);
    printf("%s [", names[unit]);
    print_number(sum.least, unit);
    printf("-");
    print_number(sum.largest, unit);
    printf("]");
    return sum.median;
}

/* Peers after the floor. False if one that must be slower is not, or not by as much as it must. */
static bool print_peers(const struct report_line *line, double ours)
{
    const bool measured = line->peers[0].name && !line->peers[0].missing;
    bool ok = true, far = true;

    for (size_t i = 0; i < REPORT_PEERS_MAX && line->peers[i].name; i++) {
        const struct report_peer *peer = &line->peers[i];

        printf(", ");
        if (peer->missing)
            printf("%s NOT INSTALLED (%s)", peer->name, peer->missing);
        else
            ok = print_series(peer->name, peer->series, line->unit) > ours && ok;
    }
    if (line->times_peer > 0 && measured) {
        far = ours >= line->times_peer * summarize(line->peers[0].series).median;
        printf(" (target >= %.0f times %s)", line->times_peer, line->peers[0].name);
    }
    return (ok || !line->below_peers) && far;
}

/* The floor and the ratio to it. False if that misses its target. */
static bool print_floor(const struct report_line *line, const char *also)
{
    struct series ratio = ratio_of(line->ours, line->floor);
    bool ok = true;
    double r;

    printf(", ");
    print_series(line->floor_name ? line->floor_name : "floor", line->floor, line->unit);
    printf(", ");
    r = print_series("ratio", &ratio, UNIT_COUNT);
    if (line->ratio_at_most > 0) {
        printf(" (target <= %.2f%s)", line->ratio_at_most, also);
        ok = r <= line->ratio_at_most;
    }
    if (line->ratio_at_least > 0) {
        printf(" (target >= %.2f%s)", line->ratio_at_least, also);
        ok = r >= line->ratio_at_least;
    }
    return ok;
}

void report_print(const struct report_line *line)
{
    bool target =
             line->ratio_at_most > 0 || line->ratio_at_least > 0 || line->ours_at_most > 0 || line->ours_at_least > 0,
         ok = true;
    const char *also = line->below_peers ? ", below every peer" : "";
    double ours;

    printf("%s: ", line->title);
    ours = print_series("ptools", line->ours, line->unit);
    if (line->ours_at_most > 0) {
        printf(" (target <= %.0f%s)", line->ours_at_most, also);
        ok = ours <= line->ours_at_most;
    }
    if (line->ours_at_least > 0) {
        printf(" (target >= ");
        print_number(line->ours_at_least, line->unit);
        printf(")");
        ok = ours >= line->ours_at_least && ok;
    }
    if (line->floor)
        ok = print_floor(line, also) && ok;
    ok = print_peers(line, ours) && ok;
    printf("%s\n", !target ? "" : ok ? "  ok" : "  SHORT");
}
