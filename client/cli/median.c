/* SPDX-License-Identifier: MIT */
/*
 * median -- see median.h. The numbers are kept twice, as they came and sorted: the oldest is found in the one, and
 * taken out of the other. Half of that is moved for each, which are some kilobytes.
 */
#include "client/cli/median.h"

#include <string.h>

/* The place of the first that is not less. */
static size_t place(const uint64_t *sorted, size_t n, uint64_t number)
{
    size_t low = 0;

    while (low < n) {
        const size_t middle = low + (n - low) / 2;

        if (sorted[middle] < number)
            low = middle + 1;
        else
            n = middle;
    }
    return low;
}

void median_add(struct median *m, uint64_t number)
{
    size_t n = m->n < MEDIAN_OF ? m->n : MEDIAN_OF, at;

    if (n == MEDIAN_OF) {
        at = place(m->sorted, n, m->came[m->n % MEDIAN_OF]);
        n--;
        memmove(&m->sorted[at], &m->sorted[at + 1], (n - at) * sizeof m->sorted[0]);
    }
    at = place(m->sorted, n, number);
    memmove(&m->sorted[at + 1], &m->sorted[at], (n - at) * sizeof m->sorted[0]);
    m->sorted[at] = number;
    m->came[m->n++ % MEDIAN_OF] = number;
}

uint64_t median_get(const struct median *m)
{
    const size_t n = m->n < MEDIAN_OF ? m->n : MEDIAN_OF;

    return n > 0 ? m->sorted[n / 2] : 0;
}
