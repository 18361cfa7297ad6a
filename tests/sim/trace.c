/* SPDX-License-Identifier: MIT */
/*
 * trace -- chance, and what happened: a hash over all of it, so that two runs can be held against each other, and the
 * last steps in words, for whoever is to find out what went wrong. Words are made only when they are shown.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/sim/sim.h"

enum { ENTRIES = 4096 };

struct entry {
    const char *what;
    uint64_t v[3];
    uint64_t step, now;
    bool begins;
};

bool trace_aloud;

static struct entry entries[ENTRIES];
static uint64_t n_entries, hash, state;

/* splitmix64 */
static uint64_t next(void)
{
    uint64_t z = (state += UINT64_C(0x9e3779b97f4a7c15));

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

uint64_t sim_random(uint64_t n)
{
    return next() % n;
}

bool sim_one_in(uint64_t n)
{
    return sim_random(n) == 0;
}

void trace_init(uint64_t seed)
{
    state = seed;
    n_entries = 0;
    hash = UINT64_C(0xcbf29ce484222325);
}

static void mix(uint64_t v)
{
    hash = (hash ^ v) * UINT64_C(0x100000001b3);
    hash ^= hash >> 29;
}

static void show(const struct entry *e)
{
    if (e->begins)
        fprintf(stderr, "  step %" PRIu64 " at %" PRIu64 ": %s %" PRIu64 "\n", e->step, e->now, e->what, e->v[0]);
    else
        fprintf(stderr, "        %s %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", e->what, e->v[0], e->v[1], e->v[2]);
}

static void add(const char *what, uint64_t a, uint64_t b, uint64_t c, bool begins)
{
    entries[n_entries++ % ENTRIES] = (struct entry){ what, { a, b, c }, sim.step, sim.now, begins };
    if (trace_aloud)
        show(&entries[(n_entries - 1) % ENTRIES]);
    for (const char *p = what; *p; p++)
        mix((uint8_t)*p);
    mix(a);
    mix(b);
    mix(c);
    mix(sim.now);
}

void trace_step(const char *what, uint64_t a, uint64_t b)
{
    add(what, a, b, 0, true);
}

void trace_add(const char *what, uint64_t a, uint64_t b, uint64_t c)
{
    add(what, a, b, c, false);
}

uint64_t trace_hash(void)
{
    return hash;
}

void sim_fail(const char *invariant, const char *format, ...)
{
    const uint64_t oldest = n_entries > ENTRIES ? n_entries - ENTRIES : 0;
    uint64_t first = n_entries, steps = 0;
    va_list args;

    while (first > oldest && steps < SHOWN_STEPS)
        steps += entries[--first % ENTRIES].begins;
    fprintf(stderr, "the last %" PRIu64 " steps:\n", steps);
    for (; first < n_entries; first++)
        show(&entries[first % ENTRIES]);
    fprintf(stderr, "BROKEN seed=%" PRIu64 " step=%" PRIu64 " invariant=%s: ", sim.seed, sim.step, invariant);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "\n");
    exit(1);
}
