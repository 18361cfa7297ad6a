/* SPDX-License-Identifier: MIT */
/*
 * median -- of the last so many numbers. See median.c.
 */
#ifndef CLI_MEDIAN_H
#define CLI_MEDIAN_H

#include <stddef.h>
#include <stdint.h>

enum { MEDIAN_OF = 1024 };
struct median {                 /* {0} is of none */
    uint64_t came[MEDIAN_OF];   /* a ring; the next one comes at n % MEDIAN_OF */
    uint64_t sorted[MEDIAN_OF]; /* the same */
    size_t n;                   /* that came, ever */
};
void median_add(struct median *m, uint64_t number);
/* The upper one of two; 0: there are none. */
uint64_t median_get(const struct median *m);

#endif
