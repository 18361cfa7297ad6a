/* SPDX-License-Identifier: MIT */
/*
 * pmap_captured -- what goes before the arguments of each item: it lies in shared memory of the connection, where
 * workers read it, and is there before the first batch that names it.
 *
 * It is known by its content: every run over the same bytes, one after the other or at once, uses one and the same
 * segment, and a worker that has it mapped maps it no more. The hash only finds it; what counts is that the bytes are
 * equal, and workers have it for reading alone. What no run uses is kept for the next, but for not much of it: the one
 * that is unused longest goes first. All of it goes with its connection, and before a limit refuses another array.
 */
#include <string.h>

#include "client/lib/pmap.h"

enum {
    BYTES_A_MS = 100000, /* it takes its time, and is not made in vain for a short wait */
    KEPT_MAX = 4         /* unused ones; pmap.h tells of both limits */
};
#define KEPT_BYTES_MAX (UINT64_C(256) << 20)

struct captured {
    TAILQ_ENTRY(captured) link; /* in pt->captured: what was made or left last is first */
    struct ptools_array *array;
    uint64_t hash;
    unsigned runs; /* that use it; 0: it is kept */
};

static uint64_t hash_of(const uint8_t *data, size_t n)
{
    uint64_t hash = n, word;

    for (size_t at = 0; at < n; at += sizeof word) {
        word = 0;
        memcpy(&word, data + at, MIN(n - at, sizeof word));
        hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        hash ^= hash >> 32;
    }
    return hash;
}

static bool is_current(const struct ptools *pt, const struct captured *c)
{
    return c->array->generation == pt->generation;
}

static void captured_free(struct ptools *pt, struct captured *c)
{
    TAILQ_REMOVE(&pt->captured, c, link);
    if (is_current(pt, c))
        array_unlink(pt, c->array->id);
    ptools_array_free(c->array);
    free(c);
}

/* No more is kept than that. Whether anything went. */
static bool trim(struct ptools *pt, unsigned kept_max, uint64_t bytes_max)
{
    struct captured *c, *next;
    unsigned kept = 0;
    bool any = false;

    for (c = TAILQ_FIRST(&pt->captured); c; c = next) {
        next = TAILQ_NEXT(c, link);
        if (c->runs > 0)
            continue;
        if (is_current(pt, c) && kept < kept_max && c->array->layout.bytes <= bytes_max) {
            bytes_max -= c->array->layout.bytes;
            kept++;
        } else {
            captured_free(pt, c);
            any = true;
        }
    }
    return any;
}

bool captured_forget(struct ptools *pt)
{
    return trim(pt, 0, 0);
}

ptools_err ptools_pmap_forget(ptools *pt)
{
    ptools_err err = handle_check(pt);

    if (err == PTOOLS_OK)
        captured_forget(pt);
    return err;
}

void captured_drop(struct ptools_pmap *map)
{
    struct captured *c = TAKE(map->shared);

    if (!c || --c->runs > 0)
        return;
    TAILQ_REMOVE(&map->pt->captured, c, link);
    TAILQ_INSERT_HEAD(&map->pt->captured, c, link);
    trim(map->pt, KEPT_MAX, KEPT_BYTES_MAX);
}

static struct captured *find(struct ptools *pt, const struct bytes *content, uint64_t hash)
{
    struct captured *c;

    TAILQ_FOREACH(c, &pt->captured, link)
        if (is_current(pt, c) && c->hash == hash && c->array->layout.bytes == content->n &&
            memcmp(c->array->data, content->data, content->n) == 0)
            return c;
    return NULL;
}

static ptools_err make(struct ptools *pt, const struct bytes *content, uint64_t hash, uint64_t until_us,
                       struct captured **ret)
{
    struct msg_array m = { .type = PTOOLS_UINT8, .ndims = 1, .dims = { content->n } };
    struct fds_request request = { .kind = FDS_ARRAY, .owner = FDS_OWN };
    struct captured *c = calloc(1, sizeof *c);
    ptools_err err;

    if (!c)
        return fail_no_memory(pt);
    err = array_create(pt, &m, until_us, &request.id);
    if (err == PTOOLS_OK) {
        err = array_map(pt, &request, PTOOLS_SHM_POPULATE, until_us, &c->array);
        if (err != PTOOLS_OK)
            array_unlink(pt, request.id);
    }
    if (err != PTOOLS_OK) {
        free(c);
        return err;
    }
    memcpy(c->array->data, content->data, content->n);
    c->hash = hash;
    TAILQ_INSERT_HEAD(&pt->captured, c, link);
    *ret = c;
    return PTOOLS_OK;
}

ptools_err captured_ready(struct ptools_pmap *map, uint64_t until_us)
{
    struct ptools *pt = map->pt;
    struct captured *c;
    ptools_err err;
    uint64_t hash;

    if (map->captured.n == 0 || (map->shared && is_current(pt, map->shared)))
        return PTOOLS_OK;
    captured_drop(map);
    hash = hash_of(map->captured.data, map->captured.n);
    c = find(pt, &map->captured, hash);
    if (!c) {
        until_us = MAX(until_us, clock_until_us(PMAP_PATIENCE_MS + (int64_t)(map->captured.n / BYTES_A_MS)));
        err = make(pt, &map->captured, hash, until_us, &c);
        if (!c)
            return err;
    }
    c->runs++;
    map->shared = c;
    return PTOOLS_OK;
}

uint64_t captured_id(const struct ptools_pmap *map)
{
    return map->shared ? map->shared->array->id : 0;
}
