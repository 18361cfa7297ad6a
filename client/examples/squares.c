/* SPDX-License-Identifier: MIT */
/*
 * squares -- one function over many items: squares 1 to N, and then one number that is too large to be squared.
 *
 *     ./squares 1000000     prints the sum of the squares, and what became of the last item
 *
 * Outcomes come in the order of the items, as many as there are items, whatever happens to some of them.
 */
#include <inttypes.h>
#include <ptools/ptools.h>
#include <stdio.h>
#include <stdlib.h>

static ptools *pt;

static void check(ptools_err err)
{
    if (err == PTOOLS_OK)
        return;
    fprintf(stderr, "squares: %s: %s\n", ptools_errname(err), ptools_error_message(pt));
    exit(EXIT_FAILURE);
}

int main(int argc, char **argv)
{
    int64_t n = argc == 2 ? strtoll(argv[1], NULL, 10) : 1000000, square;
    ptools_options options = PTOOLS_OPTIONS_INIT;
    ptools_pack *numbers = ptools_pack_new();
    const ptools_pack *const lists[] = { numbers };
    const char *why;
    uint64_t sum = 0;
    ptools_pmap *map;
    ptools_item item;
    ptools_err err;

    options.flags = PTOOLS_PRIVATE; /* start a daemon if none runs */
    if (ptools_open(&options, &pt, &why) != PTOOLS_OK) {
        fprintf(stderr, "squares: %s\n", why);
        return EXIT_FAILURE;
    }
    for (int64_t i = 1; i <= n; i++)
        ptools_pack_i64(numbers, i);
    ptools_pack_i64(numbers, INT64_MAX);

    check(ptools_pmap_start(pt, "math.square", lists, 1, NULL, &map));
    while ((err = ptools_pmap_next(map, PTOOLS_FOREVER, &item)) == PTOOLS_OK) {
        if (item.err == PTOOLS_OK && ptools_get_i64(item.value, &square) == PTOOLS_OK)
            sum += (uint64_t)square;
        else
            printf("item %" PRIu64 ": %s: %s\n", item.index, ptools_errname(item.err), item.failure->message);
    }
    if (err != PTOOLS_ERR_RANGE) /* that says that there are no more */
        check(err);
    printf("the squares of 1 to %" PRId64 " add up to %" PRIu64 "\n", n, sum);

    ptools_pmap_free(map);
    ptools_pack_free(numbers);
    ptools_close(pt);
    return EXIT_SUCCESS;
}
