/* SPDX-License-Identifier: MIT */
/*
 * many -- many calls on a worker set, a window of them in flight: counts the primes below N.
 *
 *     ./many 1000000        prints 78498
 *
 * The range is cut into slices; each worker of the set that becomes free takes the next one. A window keeps
 * the workers busy while neither this program nor the daemon holds more calls than that.
 */
#include <inttypes.h>
#include <ptools/ptools.h>
#include <stdio.h>
#include <stdlib.h>

#define MIN(a, b) ((a) < (b) ? (a) : (b))
enum { SLICE = 10000, WINDOW = 16 };

static ptools *pt;

static void check(ptools_err err)
{
    if (err == PTOOLS_OK)
        return;
    fprintf(stderr, "many: %s: %s\n", ptools_errname(err), ptools_error_message(pt));
    exit(EXIT_FAILURE);
}

/* A set of all workers that there are now, of which the first free one takes the next call. */
static ptools_workerset *set_of_all(void)
{
    ptools_worker_info *workers;
    ptools_workerset *set;
    uint32_t *ids;
    size_t n;

    check(ptools_workers(pt, &workers, &n));
    ids = calloc(n + 1, sizeof *ids);
    for (size_t i = 0; ids && i < n; i++)
        ids[i] = workers[i].id;
    check(ptools_workerset_create(pt, NULL, ids, n, PTOOLS_WS_FF, &set));
    free(ids);
    free(workers);
    return set;
}

static ptools_future *start(ptools_workerset *set, ptools_pack *args, uint64_t lo, uint64_t hi)
{
    ptools_future *future;

    ptools_pack_reset(args);
    ptools_pack_u64(args, lo);
    ptools_pack_u64(args, hi);
    check(ptools_remotecall(pt, set, "math.primes", args, NULL, &future));
    return future;
}

int main(int argc, char **argv)
{
    uint64_t below = argc == 2 ? strtoull(argv[1], NULL, 10) : 1000000, next = 0, found = 0;
    ptools_options options = PTOOLS_OPTIONS_INIT;
    ptools_future *window[WINDOW] = { NULL };
    ptools_workerset *set;
    ptools_pack *args = ptools_pack_new();
    const char *message;
    size_t i;

    options.flags = PTOOLS_PRIVATE;
    if (ptools_open(&options, &pt, &message) != PTOOLS_OK) {
        fprintf(stderr, "many: %s\n", message);
        return EXIT_FAILURE;
    }
    set = set_of_all();
    for (i = 0; i < WINDOW; i++, next += SLICE)
        window[i] = next < below ? start(set, args, next, MIN(next + SLICE, below)) : NULL;

    for (size_t left = (below + SLICE - 1) / SLICE; left > 0; left--) {
        ptools_value value;
        uint64_t n;

        check(ptools_wait_any(pt, window, WINDOW, PTOOLS_FOREVER, &i));
        check(ptools_future_fetch(window[i], 0, &value));
        check(ptools_get_u64(value, &n));
        found += n;
        ptools_future_free(window[i]);
        window[i] = next < below ? start(set, args, next, MIN(next + SLICE, below)) : NULL;
        next += SLICE;
    }
    printf("%" PRIu64 "\n", found);

    ptools_pack_free(args);
    ptools_workerset_free(set);
    ptools_close(pt);
    return EXIT_SUCCESS;
}
