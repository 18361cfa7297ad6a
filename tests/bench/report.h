/* SPDX-License-Identifier: MIT */
/*
 * report -- one line a figure: ptools, its floor (if it has one), the ratio of the two with its target, the peers, and
 * at the end "ok", or "SHORT" where the target was missed. Nothing at the end: there is no target.
 *
 * A figure is the median of the rounds, with the least and the largest in brackets. The ratio is formed in
 * each round, where floor and ptools ran one after the other, and then treated like any figure.
 */
#ifndef TESTS_BENCH_REPORT_H
#define TESTS_BENCH_REPORT_H

#include <stdbool.h>
#include <stddef.h>

enum { ROUNDS_MAX = 100, REPORT_PEERS_MAX = 2 };

struct series {
    double round[ROUNDS_MAX];
    size_t n;
};

struct report_peer {
    const char *name;
    const char *missing; /* what to install; NULL: it was measured */
    const struct series *series;
};

enum report_unit { UNIT_US, UNIT_MS, UNIT_PER_SECOND, UNIT_COUNT, UNIT_BYTES };

struct report_line {
    const char *title;
    enum report_unit unit;
    const struct series *ours, *floor; /* floor NULL: there is none                                */
    const char *floor_name;            /* NULL: "floor"                                            */
    double ratio_at_most, ratio_at_least, ours_at_most, ours_at_least; /* the target; 0: not this one */
    bool below_peers;                                                  /* and less than each peer     */
    double times_peer; /* and at least so many times the first peer, if that was measured; 0: not     */
    struct report_peer peers[REPORT_PEERS_MAX]; /* name NULL: none                          */
};

void series_add(struct series *s, double v);
void report_print(const struct report_line *line);

#endif
