/* SPDX-License-Identifier: MIT */
/*
 * pmap_array -- a function over parts of shared arrays. What travels is where each part lies.
 *
 * An item is a range of indices. How long it should be is found out as for any item: the first ranges are short, and
 * each is at most so many times as long as the one that was measured; and towards the end they become shorter, so that
 * all workers are done at about the same time.
 */
#include <inttypes.h>

#include "client/lib/reduce.h"

enum { RANGE_US = 10000, ISOLATED_RANGE_US = 200000 /* so that a fork is little of it */ };
enum { FIRST_RANGES = 4096, ARRAYS_MAX = 8, TAIL = 3, DETERMINISTIC_RANGES = 256 };

struct ranges {
    struct ptools_pmap *map; /* NULL: it is not asked yet */
    uint32_t workers;
    const ptools_array *const *arrays;
    size_t n_arrays;
    uint64_t length, next, last; /* indices: all, the next, and in the range before */
    uint64_t fixed;              /* in each range; 0: it is found out ... */
    uint64_t range_us;           /* ... so that one takes so long */
};

static uint32_t outermost(const ptools_array *a)
{
    return a->layout.order == PTOOLS_COLUMN_MAJOR ? a->layout.ndims - 1 : 0;
}

static uint64_t wanted(const struct ranges *r)
{
    const uint64_t left = r->length - r->next, tail = left / (TAIL * (uint64_t)r->workers);
    const uint64_t us = r->map->progress.item_us;
    uint64_t n = r->last == 0 ? r->length / FIRST_RANGES : us > 0 ? r->last * r->range_us / us : r->last * PMAP_GROW;

    n = r->last > 0 ? MIN(n, r->last * PMAP_GROW) : n;
    return MAX(1, MIN(n, MAX(1, tail)));
}

static int next_range(ptools_pack *args, void *arg)
{
    struct ranges *r = arg;
    const uint64_t n = MIN(r->fixed ? r->fixed : wanted(r), r->length - r->next);

    if (r->next == r->length)
        return 0;
    for (size_t k = 0; k < r->n_arrays; k++) {
        ptools_view view;

        ptools_view_of(r->arrays[k], &view);
        if (ptools_view_range(&view, outermost(r->arrays[k]), r->next, n) != PTOOLS_OK)
            return -1;
        ptools_pack_view(args, &view);
    }
    ptools_pack_u64(args, r->next);
    r->next += n;
    r->last = n;
    return 1;
}

static ptools_err check_arrays(ptools *pt, const ptools_array *const *arrays, size_t n)
{
    uint64_t length = 0;

    if (!arrays || n < 1 || n > ARRAYS_MAX)
        return fail(pt, PTOOLS_ERR_INVALID, "there are %zu arrays: 1 to %d are allowed", arrays ? n : 0, ARRAYS_MAX);
    for (size_t k = 0; k < n; k++) {
        uint64_t its;

        if (!arrays[k])
            return fail(pt, PTOOLS_ERR_INVALID, "array %zu is NULL", k + 1);
        its = arrays[k]->layout.dims[outermost(arrays[k])];
        if (k > 0 && its != length)
            return fail(pt, PTOOLS_ERR_INVALID,
                        "the arrays must be of one length along their outermost dimension: array 1 has %" PRIu64
                        ", array %zu has %" PRIu64,
                        length, k + 1, its);
        length = its;
    }
    return PTOOLS_OK;
}

/* A map over the ranges of r, whose arrays are set. */
static ptools_err start(ptools *pt, const char *function, const ptools_pmap_options *given, struct ranges *r)
{
    ptools_pmap_options options = *given;
    ptools_err err = PTOOLS_OK;

    if (options.batch_size || options.on_error == PTOOLS_ON_ERROR_DEFAULT)
        err = fail_static(pt, PTOOLS_ERR_INVALID, "pmap options: parts of arrays have no batch_size and no default");
    if (err == PTOOLS_OK)
        err = check_arrays(pt, r->arrays, r->n_arrays);
    if (err != PTOOLS_OK)
        return err;
    r->length = r->arrays[0]->layout.dims[outermost(r->arrays[0])];
    r->workers = MAX(1, pt->workers);
    r->range_us = options.flags & PTOOLS_PMAP_ISOLATED ? ISOLATED_RANGE_US : RANGE_US;
    options.batch_size = 1; /* a range is a batch */
    return ptools_pmap_start_from(pt, function, next_range, r, &options, &r->map);
}

ptools_err ptools_pmap_array(ptools *pt, const char *function, const ptools_array *const *arrays, size_t n_arrays,
                             const ptools_pmap_options *given)
{
    ptools_pmap_options options = PTOOLS_PMAP_OPTIONS_INIT;
    struct ranges r = { .arrays = arrays, .n_arrays = n_arrays };
    ptools_err err = handle_check(pt);

    if (err == PTOOLS_OK)
        err = options_read(pt, "pmap options", given, sizeof options, &options, sizeof options);
    if (err == PTOOLS_OK)
        err = start(pt, function, &options, &r);
    if (err != PTOOLS_OK)
        return err;
    return pmap_run(r.map, "parts", NULL, NULL);
}

ptools_err ptools_mapreduce_array(ptools *pt, const char *function, const char *op, const ptools_array *const *arrays,
                                  size_t n_arrays, const ptools_pmap_options *options, ptools_reduced **ret_reduced)
{
    struct ranges r = { .arrays = arrays, .n_arrays = n_arrays };
    struct reduce_request what;
    ptools_err err = reduce_request_read(pt, function, op, options, ret_reduced, &what);

    if (err == PTOOLS_OK)
        err = pmap_check_function(pt, "function", function);
    if (err == PTOOLS_OK)
        err = start(pt, function, &what.for_map, &r);
    if (err != PTOOLS_OK)
        return err;
    what.item = "part";
    if (what.options.flags & PTOOLS_REDUCE_DETERMINISTIC)
        r.fixed = MAX(1, r.length / DETERMINISTIC_RANGES);
    return reduce_all(pt, r.map, &what, ret_reduced);
}
