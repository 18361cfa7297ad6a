/* SPDX-License-Identifier: MIT */
/*
 * pmap_captured -- what goes before the arguments of each item: it lies in shared memory of the connection, where
 * workers map it once and read it as often as they need to.
 *
 * It is known by its content, and shared: maps and reductions of this handle over the same content, at once or one
 * after the other, have the same segment, and so has each worker. A segment that no map uses stays for the next one,
 * as long as there are few of them, and only until memory is short. All of it ends with its connection. What is
 * compared is what lies in the segment now: one that a function has written to is never taken for what it was.
 */
#include <stdlib.h>
#include <string.h>

#include "client/lib/pmap.h"

enum {
    BYTES_A_MS = 100000, /* it takes its time, and is not made in vain for a short wait */
    UNUSED_MAX = 8       /* that stay for the next map; pmap.h says so */
};
#define UNUSED_BYTES_MAX ((size_t)64 << 20)

struct captured {
    TAILQ_ENTRY(captured) link; /* in pt->captured, the one that was used last first */
    struct ptools_array *array;
    size_t n;                   /* bytes of it that are the list */
    unsigned users;             /* maps */
};

static bool is_here(const struct ptools *pt, const struct captured *c)
{
    return c->array->generation == pt->generation;
}

static void captured_free(struct ptools *pt, struct captured *c)
{
    TAILQ_REMOVE(&pt->captured, c, link);
    if (is_here(pt, c))
        array_unlink(pt, c->array->id);
    ptools_array_free(c->array);
    free(c);
}

/* Those that nobody uses, but for the newest few. */
static bool drop_unused(struct ptools *pt, size_t keep, size_t keep_bytes)
{
    struct captured *c, *next;
    size_t n = 0, bytes = 0;
    bool dropped = false;

    for (c = TAILQ_FIRST(&pt->captured); c; c = next) {
        next = TAILQ_NEXT(c, link);
        if (c->users > 0)
            continue;
        if (is_here(pt, c) && n < keep && bytes + c->n <= keep_bytes) {
            n++;
            bytes += c->n;
            continue;
        }
        captured_free(pt, c);
        dropped = true;
    }
    return dropped;
}

bool captured_forget(struct ptools *pt)
{
    return drop_unused(pt, 0, 0);
}

ptools_err ptools_pmap_forget(ptools *pt)
{
    const ptools_err err = handle_check(pt);

    if (err == PTOOLS_OK)
        captured_forget(pt);
    return err;
}

void captured_drop(struct ptools_pmap *map)
{
    if (!map->shared)
        return;
    map->shared->users--;
    map->shared = NULL;
    drop_unused(map->pt, UNUSED_MAX, UNUSED_BYTES_MAX);
}

/* NULL: there is none of this content on this connection. */
static struct captured *find(struct ptools *pt, const struct bytes *list)
{
    struct captured *c;

    TAILQ_FOREACH(c, &pt->captured, link)
        if (c->n == list->n && is_here(pt, c) && memcmp(c->array->data, list->data, list->n) == 0)
            return c;
    return NULL;
}

static ptools_err make(struct ptools *pt, const struct bytes *list, uint64_t until_us, struct captured **ret)
{
    struct msg_array m = { .type = PTOOLS_UINT8, .ndims = 1, .dims = { list->n } };
    struct fds_request request = { .kind = FDS_ARRAY, .owner = FDS_OWN };
    struct captured *c = calloc(1, sizeof *c);
    ptools_err err;

    if (!c)
        return fail_no_memory(pt);
    until_us = MAX(until_us, clock_until_us(PMAP_PATIENCE_MS + (int64_t)(list->n / BYTES_A_MS)));
    err = array_create(pt, &m, until_us, &request.id);
    if (err == PTOOLS_OK)
        err = array_map(pt, &request, PTOOLS_SHM_POPULATE, until_us, &c->array);
    if (err != PTOOLS_OK) {
        if (request.id)
            array_unlink(pt, request.id);
        free(c);
        return err;
    }
    memcpy(c->array->data, list->data, list->n);
    c->n = list->n;
    TAILQ_INSERT_HEAD(&pt->captured, c, link);
    *ret = c;
    return PTOOLS_OK;
}

ptools_err captured_ready(struct ptools_pmap *map, uint64_t until_us, const struct ptools_array **ret)
{
    struct ptools *pt = map->pt;
    struct captured *c;
    ptools_err err = PTOOLS_OK;

    *ret = NULL;
    if (map->captured.n == 0)
        return PTOOLS_OK;
    if (!map->shared || !is_here(pt, map->shared)) {
        captured_drop(map);
        c = find(pt, &map->captured);
        if (!c)
            err = make(pt, &map->captured, until_us, &c);
        if (err != PTOOLS_OK)
            return err;
        c->users++;
        TAILQ_REMOVE(&pt->captured, c, link);
        TAILQ_INSERT_HEAD(&pt->captured, c, link);
        map->shared = c;
    }
    *ret = map->shared->array;
    return PTOOLS_OK;
}
