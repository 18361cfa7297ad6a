/* SPDX-License-Identifier: MIT */
/* sums -- the loops of functions over arrays, so that a benchmark can run the very same without ptools. */
#ifndef TESTS_MODULES_SUMS_H
#define TESTS_MODULES_SUMS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline double sum_doubles(const double *at, size_t n)
{
    double x[8] = { 0 }, rest = 0;

    for (; n >= 8; n -= 8, at += 8)
        for (int k = 0; k < 8; k++)
            x[k] += at[k];
    while (n-- > 0)
        rest += *at++;
    return x[0] + x[1] + x[2] + x[3] + x[4] + x[5] + x[6] + x[7] + rest;
}

static inline void double_and_one(double *at, size_t n)
{
    for (size_t i = 0; i < n; i++)
        at[i] = at[i] * 2 + 1;
}

/* Of 64-bit words that may lie anywhere, four at a time; what is left over is left out. */
static inline uint64_t sum_words(const void *data, size_t bytes)
{
    uint64_t x[4] = { 0 }, v[4];

    for (const char *at = data; bytes >= sizeof v; bytes -= sizeof v, at += sizeof v) {
        memcpy(v, at, sizeof v);
        for (int k = 0; k < 4; k++)
            x[k] += v[k];
    }
    return x[0] + x[1] + x[2] + x[3];
}

#endif
