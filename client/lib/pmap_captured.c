/* SPDX-License-Identifier: MIT */
/*
 * pmap_captured -- what goes before the arguments of each item: it lies in shared memory of the connection, where
 * workers read it, made before the first batch and anew on each connection, and ends with its run.
 */
#include <string.h>

#include "client/lib/pmap.h"

enum { BYTES_A_MS = 100000 }; /* it takes its time, and is not made in vain for a short wait */

void captured_drop(struct ptools_pmap *map)
{
    if (map->captured_array && map->captured_generation == map->pt->generation)
        array_unlink(map->pt, map->captured_array->id);
    map->captured_array = ptools_array_free(map->captured_array);
}

ptools_err captured_ready(struct ptools_pmap *map, uint64_t until_us)
{
    struct ptools *pt = map->pt;
    struct msg_array m = { .type = PTOOLS_UINT8, .ndims = 1, .dims = { map->captured.n } };
    struct fds_request request = { .kind = FDS_ARRAY, .owner = FDS_OWN };
    ptools_err err;

    if (map->captured.n == 0 || (map->captured_array && map->captured_generation == pt->generation))
        return PTOOLS_OK;
    until_us = MAX(until_us, clock_until_us(PMAP_PATIENCE_MS + (int64_t)(map->captured.n / BYTES_A_MS)));
    captured_drop(map);
    err = array_create(pt, &m, until_us, &request.id);
    if (err != PTOOLS_OK)
        return err;
    err = array_map(pt, &request, PTOOLS_SHM_POPULATE, until_us, &map->captured_array);
    if (err != PTOOLS_OK) {
        array_unlink(pt, request.id);
        return err;
    }
    memcpy(map->captured_array->data, map->captured.data, map->captured.n);
    map->captured_generation = pt->generation;
    return PTOOLS_OK;
}
