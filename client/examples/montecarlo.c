/* SPDX-License-Identifier: MIT */
/*
 * montecarlo -- forked children throw points at a square and count those in the quarter of a circle. No daemon.
 *
 *     ./montecarlo                 4 children, 1000000 points each
 *     ./montecarlo 8 5000000 7     8 children, 5000000 points each, the numbers of seed 7 (default: 1)
 *
 * Each child has a seed of its own, made of the one of all: the same in each run. It counts in its rows of two shared
 * arrays, which nobody else writes to, and leaves as its value how many points were inside.
 */
#include <inttypes.h>
#include <ptools/ptools.h>
#include <stdio.h>
#include <stdlib.h>

enum { COLUMNS = 20, WIDTH = 40 };

/* xorshift64* of Marsaglia and Vigna: a number from 0 to 1. */
static double next(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return (double)((*state * UINT64_C(2685821657736338717)) >> 11) / 9007199254740992.0;
}

static ptools_err throw_points(int i, ptools_array *const *arrays, void *arg, ptools_child *child)
{
    int64_t *inside = (int64_t *)ptools_array_data(arrays[0]) + (size_t)(i - 1) * COLUMNS;
    int64_t *all = (int64_t *)ptools_array_data(arrays[1]) + (size_t)(i - 1) * COLUMNS;
    uint64_t state = ptools_child_seed(child) | 1, points = *(const uint64_t *)arg;
    int64_t sum = 0;

    for (uint64_t k = 0; k < points; k++) {
        const double x = next(&state), y = next(&state);
        const int column = (int)(x * COLUMNS);

        all[column]++;
        inside[column] += x * x + y * y < 1;
        sum += x * x + y * y < 1;
    }
    ptools_pack_i64(ptools_child_result(child), sum);
    return PTOOLS_OK;
}

/* How much of each column of the square is inside. */
static void draw(const ptools_array *inside, const ptools_array *all, int n)
{
    const int64_t *hits = ptools_array_data(inside), *points = ptools_array_data(all);

    for (int column = 0; column < COLUMNS; column++) {
        int64_t h = 0, p = 0;

        for (int i = 0; i < n; i++) {
            h += hits[i * COLUMNS + column];
            p += points[i * COLUMNS + column];
        }
        for (int64_t k = p ? h * WIDTH / p : 0; k > 0; k--)
            putchar('*');
        putchar('\n');
    }
}

int main(int argc, char **argv)
{
    int n = argc > 1 ? atoi(argv[1]) : 4;
    uint64_t points = argc > 2 ? strtoull(argv[2], NULL, 10) : 1000000;
    ptools_pfork_options how = PTOOLS_PFORK_OPTIONS_INIT;
    ptools_children *children;
    ptools_array *arrays[2];
    const char *why;
    int64_t sum = 0, one;

    if (argc > 4 || n < 1 || points < 1) {
        fprintf(stderr, "usage: montecarlo [CHILDREN [POINTS [SEED]]]\n");
        return 2;
    }
    how.flags = PTOOLS_PFORK_PROCESSORS | PTOOLS_PFORK_SEED;
    how.seed = argc > 3 ? strtoull(argv[3], NULL, 10) : 1;
    {
        const ptools_shmcfg cfgs[] = { PTOOLS_SHMCFG("inside", PTOOLS_INT64, (uint64_t)n, COLUMNS),
                                       PTOOLS_SHMCFG("all", PTOOLS_INT64, (uint64_t)n, COLUMNS) };

        if (ptools_pfork_shm(n, cfgs, 2, throw_points, &points, &how, arrays, &children, &why) != PTOOLS_OK) {
            fprintf(stderr, "montecarlo: %s\n", why); /* what came of each child would be in children */
            return EXIT_FAILURE;
        }
    }
    for (int i = 1; i <= n; i++)
        if (ptools_get_i64(ptools_children_outcome(children, i)->value, &one) == PTOOLS_OK)
            sum += one;
    draw(arrays[0], arrays[1], n);
    printf("%.4f is about pi, by %d children with %" PRIu64 " points each\n",
           4.0 * (double)sum / ((double)points * n), n, points);
    ptools_array_free(arrays[0]);
    ptools_array_free(arrays[1]);
    ptools_children_free(children);
    return EXIT_SUCCESS;
}
