/* SPDX-License-Identifier: MIT */
/*
 * sim -- runs simulated worlds, each from its seed. See README.md.
 *
 *     sim [--seed SEED | --from SEED --seeds N | --seconds N] [--steps N] [--sqlite] [--verbose | --trace]
 * With --sqlite the journal is the real one (store.c).
 *
 * It ends with 0 if all that is promised was kept in all of them, else with 1, and says which seed, step and invariant.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/sim/sim.h"

struct wanted {
    uint64_t from, seeds, steps, seconds;
    bool verbose, sqlite;
};

static int usage(void)
{
    fprintf(stderr, "usage: sim [--seed SEED | --from SEED --seeds N | --seconds N] [--steps N] [--sqlite] [--verbose "
                    "| --trace]\n");
    return 2;
}

static bool parse(int argc, char **argv, struct wanted *w)
{
    for (int i = 1; i < argc; i++) {
        const char *name = argv[i];
        uint64_t value;
        char *end;

        if (strcmp(name, "--sqlite") == 0) {
            w->sqlite = true;
            continue;
        }
        if (strcmp(name, "--verbose") == 0 || strcmp(name, "--trace") == 0) {
            w->verbose = true;
            trace_aloud = name[2] == 't';
            continue;
        }
        if (++i == argc)
            return false;
        value = strtoull(argv[i], &end, 10);
        if (*end || end == argv[i])
            return false;
        if (strcmp(name, "--seed") == 0 || strcmp(name, "--from") == 0)
            w->from = value;
        else if (strcmp(name, "--seeds") == 0)
            w->seeds = value;
        else if (strcmp(name, "--steps") == 0)
            w->steps = value;
        else if (strcmp(name, "--seconds") == 0)
            w->seconds = value;
        else
            return false;
    }
    return true;
}

static void run(uint64_t seed, const struct wanted *w)
{
    sim_run(seed, w->steps, w->sqlite);
    if (!w->verbose)
        return;
    printf("# seed %" PRIu64 ": hash %016" PRIx64 "; %" PRIu64 " submitted, %" PRIu64 " refused, %" PRIu64
           " accepted, %" PRIu64 " runs, %" PRIu64 " done, %" PRIu64 " retried, %" PRIu64 " cancelled, %" PRIu64
           " calls, %" PRIu64 " items, %" PRIu64 " workers died, %" PRIu64 " crashes, %" PRIu64 " losses of power\n",
           seed, trace_hash(), sim.count.submitted, sim.count.refused, sim.count.accepted, sim.count.run,
           sim.count.done, sim.count.retried, sim.count.cancelled, sim.count.calls, sim.count.items, sim.count.died,
           sim.count.crashes, sim.count.power);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    static const uint8_t key[CORE_SEED_BYTES] = { 1 };
    struct wanted w = { .from = 1, .seeds = 1, .steps = 20000 };
    uint64_t n = 0;
    time_t end;

    if (!parse(argc, argv, &w))
        return usage();
    core_seed(key);
    end = time(NULL) + (time_t)w.seconds;
    for (; w.seconds ? time(NULL) < end : n < w.seeds; n++)
        run(w.from + n, &w);
    printf("%" PRIu64 " worlds of %" PRIu64 " steps, from seed %" PRIu64 "\n", n, w.steps, w.from);
    return 0;
}
