/* SPDX-License-Identifier: MIT */
/*
 * histogram -- one over a large array that server tasks fill and count, each its part.
 *
 *     ./histogram            16 million numbers
 *     ./histogram 1000000    so many
 *
 * The numbers lie in one shared array, the counts in another, a row for each server task, so that nobody has to
 * wait for anybody. The numbers depend on their index alone: the table is the same for any number of tasks.
 */
#include <inttypes.h>
#include <ptools/ptools.h>
#include <stdio.h>
#include <stdlib.h>

enum { BINS = 20, WIDTH = 50 };

static ptools *pt;

static void check(ptools_err err)
{
    if (err == PTOOLS_OK)
        return;
    fprintf(stderr, "histogram: %s: %s\n", ptools_errname(err), ptools_error_message(pt));
    exit(EXIT_FAILURE);
}

/* All server tasks call the function with the name of the array. */
static void all(ptools_stasks *h, const char *function)
{
    PTOOLS_AUTO(ptools_outcomes) outcomes = NULL;
    PTOOLS_AUTO(ptools_pack) names = ptools_pack_new();
    const ptools_pack *lists[] = { names };

    for (uint32_t i = 0; i < ptools_count_stasks(h); i++)
        ptools_pack_str(names, "numbers");
    check(ptools_pmap_stasks(h, function, lists, 1, PTOOLS_FOREVER, &outcomes));
}

static uint64_t print_table(const ptools_array *counts)
{
    const int64_t *at = ptools_array_data(counts);
    uint64_t rows = ptools_array_dims(counts)[0], sums[BINS] = { 0 }, total = 0, largest = 1;

    for (uint64_t i = 0; i < rows; i++)
        for (int k = 0; k < BINS; k++)
            sums[k] += (uint64_t)at[i * BINS + (uint64_t)k];
    for (int k = 0; k < BINS; k++)
        largest = sums[k] > largest ? sums[k] : largest;
    for (int k = 0; k < BINS; k++) {
        printf("%4.2f %9" PRIu64 " ", (double)k / BINS, sums[k]);
        for (uint64_t dots = sums[k] * WIDTH / largest; dots > 0; dots--)
            putchar('*');
        putchar('\n');
        total += sums[k];
    }
    return total;
}

int main(int argc, char **argv)
{
    uint64_t n = argc == 2 ? strtoull(argv[1], NULL, 10) : UINT64_C(16) << 20, total;
    ptools_options options = PTOOLS_OPTIONS_INIT;
    ptools_stasks_options how = PTOOLS_STASKS_OPTIONS_INIT;
    ptools_stasks *h;
    const char *why;

    if (argc > 2 || n == 0) {
        fprintf(stderr, "usage: histogram [NUMBERS]\n");
        return 2;
    }
    options.flags = PTOOLS_PRIVATE;
    if (ptools_open(&options, &pt, &why) != PTOOLS_OK) {
        fprintf(stderr, "histogram: %s\n", why);
        return EXIT_FAILURE;
    }
    how.count = 2;
    {
        const ptools_shmcfg arrays[] = { PTOOLS_SHMCFG("numbers", PTOOLS_FLOAT64, n),
                                         PTOOLS_SHMCFG("counts", PTOOLS_INT64, how.count, BINS) };

        check(ptools_start_stasks(pt, arrays, 2, NULL, &how, &h));
    }
    all(h, "arrays.random_fill");
    all(h, "arrays.count");
    total = print_table(ptools_stasks_array(h, "counts"));
    printf("%" PRIu64 " numbers, counted by %" PRIu32 " server tasks\n", total, ptools_count_stasks(h));
    check(ptools_stop_stasks(h, PTOOLS_FOREVER));
    ptools_stasks_free(h);
    ptools_close(pt);
    return total == n ? EXIT_SUCCESS : EXIT_FAILURE;
}
