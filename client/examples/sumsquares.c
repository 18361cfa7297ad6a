/* SPDX-License-Identifier: MIT */
/*
 * sumsquares -- a reduction: the workers square 1 to N and add up what comes of it; one number comes back.
 *
 *     ./sumsquares 1000000
 */
#include <inttypes.h>
#include <ptools/ptools.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    const int64_t n = argc == 2 ? strtoll(argv[1], NULL, 10) : 1000000;
    PTOOLS_AUTO(ptools_pack) numbers = ptools_pack_new();
    PTOOLS_AUTO(ptools_reduced) reduced = NULL;
    PTOOLS_AUTO(ptools) pt = NULL;
    const ptools_pack *const lists[] = { numbers };
    ptools_options options = PTOOLS_OPTIONS_INIT;
    const char *why;
    int64_t sum = 0;

    options.flags = PTOOLS_PRIVATE; /* start a daemon if none runs */
    if (ptools_open(&options, &pt, &why) != PTOOLS_OK) {
        fprintf(stderr, "sumsquares: %s\n", why);
        return EXIT_FAILURE;
    }
    for (int64_t i = 1; i <= n; i++)
        ptools_pack_i64(numbers, i);
    if (ptools_mapreduce(pt, "math.square", "math.add", lists, 1, NULL, &reduced) != PTOOLS_OK ||
        ptools_get_i64(reduced->value, &sum) != PTOOLS_OK) {
        fprintf(stderr, "sumsquares: %s\n", ptools_error_message(pt));
        return EXIT_FAILURE;
    }
    printf("the squares of 1 to %" PRId64 " add up to %" PRId64 "\n", n, sum);
    return EXIT_SUCCESS;
}
