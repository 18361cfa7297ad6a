/* SPDX-License-Identifier: MIT */
/*
 * rehearse -- what a few items that were run say about all of them: pure arithmetic, and its text. See rehearse.c.
 */
#ifndef CLI_REHEARSE_H
#define CLI_REHEARSE_H

#include <stdint.h>
#include <stdio.h>

#define REHEARSE_NOT_KNOWN UINT64_MAX
enum { REHEARSE_ITEMS = 7, REHEARSE_ITEMS_MAX = 100 };

struct rehearse_sample {
    uint64_t run_us, peak_kb;
};
struct rehearse_host {
    uint32_t processors;
    uint64_t free_kb; /* REHEARSE_NOT_KNOWN */
    uint32_t workers; /* that there are now */
};
struct rehearse_spread {
    uint64_t min, median, max;
};
struct rehearse_estimate {
    size_t n; /* samples */
    struct rehearse_spread us, kb;
    uint64_t mean_us;
    uint64_t left;     /* items to come; REHEARSE_NOT_KNOWN */
    uint64_t total_us; /* for them, with the workers that there are; REHEARSE_NOT_KNOWN */
    uint32_t workers, processors;
    uint64_t fit; /* so many of the largest fit into the free memory; REHEARSE_NOT_KNOWN */
    uint64_t free_kb;
    uint32_t proposed; /* workers: the lesser of processors and fit, at least 1 */
    uint64_t proposed_us;
};

/* n is at least 1. Reorders the samples. */
void rehearse_estimate(struct rehearse_sample *samples, size_t n, const struct rehearse_host *host, uint64_t left,
                       struct rehearse_estimate *ret);
void rehearse_print(const struct rehearse_estimate *e, FILE *out);
void rehearse_write(const struct rehearse_estimate *e, FILE *out); /* a document */
/* The processors and the free memory of this machine. */
void rehearse_look_around(struct rehearse_host *ret);

#endif
