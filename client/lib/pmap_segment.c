/* SPDX-License-Identifier: MIT */
/*
 * pmap_segment -- ranges of items that are at the same point: made, split, ended. They lie in the order of the items;
 * what they hold is counted, so that it stays within the window: arguments, records, the texts of failures, and what
 * each costs by being there, for there may be a million of one byte each.
 */
#include <string.h>

#include "client/lib/reduce.h"

#define SEGMENT_BYTES (sizeof(struct segment) + 2 * sizeof(struct blob)) /* of arguments, and of records */

static struct segment *segment_alloc(struct ptools_pmap *map, uint64_t first, uint32_t n)
{
    struct segment *s = calloc(1, sizeof *s);

    if (!s)
        return NULL;
    map->held_bytes += SEGMENT_BYTES;
    s->first = first;
    s->n = n;
    failure_init(&s->failure);
    return s;
}

/* One that segment_alloc() made, and nobody knows yet. */
static struct segment *segment_drop(struct ptools_pmap *map, struct segment *s)
{
    map->held_bytes -= SEGMENT_BYTES;
    free(s);
    return NULL;
}

struct segment *segment_new(struct ptools_pmap *map, uint64_t first, uint32_t n)
{
    struct segment *s = segment_alloc(map, first, n);

    if (s && map->op && !strand_begin(map, s, NULL))
        return segment_drop(map, s);
    if (s)
        TAILQ_INSERT_TAIL(&map->segments, s, link);
    return s;
}

static void drop_args(struct ptools_pmap *map, struct segment *s)
{
    if (!s->args)
        return;
    map->held_bytes -= s->args_n;
    s->args = blob_free(s->args);
}

struct segment *segment_free(struct ptools_pmap *map, struct segment *s)
{
    if (!s)
        return NULL;
    drop_args(map, s);
    if (s->records) {
        map->held_bytes -= s->records_n;
        blob_free(s->records);
    }
    if (s->state == SEGMENT_ENDED && map->options.flags & PTOOLS_PMAP_UNORDERED)
        TAILQ_REMOVE(&map->ended, s, queue);
    TAILQ_REMOVE(&map->segments, s, link);
    if (s->strand)
        strand_leave(map, s->strand);
    failure_deinit(&s->failure);
    map->held_bytes -= SEGMENT_BYTES + s->failure_bytes;
    free(s);
    return NULL;
}

/* The first lists of its arguments, which we have written ourselves: of n of them, or of as many as have so many bytes,
 * how many bytes they have. How many they are. */
static uint32_t first_lists(const struct segment *s, uint32_t n, size_t bytes_max, size_t *ret_bytes)
{
    static const struct scan_limits limits = { SCAN_DEPTH_MAX, UINT64_MAX };
    size_t at = 0, bytes = 0;
    uint32_t i = 0;

    while (i < n && scan_prefix(s->args->data + s->args_at + at, s->args_n - at, &limits, &bytes, NULL) == SCAN_OK &&
           bytes <= bytes_max - at) {
        at += bytes;
        i++;
    }
    *ret_bytes = at;
    return i;
}

uint32_t segment_within(const struct segment *s, size_t bytes)
{
    size_t used;

    return MAX(1, first_lists(s, s->n, bytes, &used));
}

struct segment *segment_split(struct ptools_pmap *map, struct segment *s, uint32_t n)
{
    struct segment *rest = segment_alloc(map, s->first + n, s->n - n);
    size_t bytes;

    if (!rest)
        return NULL;
    if (map->strand_items) {
        rest->strand = s->strand;
        rest->strand->segments++;
    } else if (map->op && !strand_begin(map, rest, s->strand)) {
        return segment_drop(map, rest);
    }
    (void)first_lists(s, n, SIZE_MAX, &bytes);
    rest->state = s->state;
    rest->attempts = s->attempts;
    rest->args = blob_ref(s->args);
    rest->args_at = s->args_at + bytes;
    rest->args_n = s->args_n - bytes;
    s->args_n = bytes;
    s->n = n;
    TAILQ_INSERT_AFTER(&map->segments, s, rest, link);
    return rest;
}

static void ended(struct ptools_pmap *map, struct segment *s)
{
    drop_args(map, s);
    s->state = SEGMENT_ENDED;
    if (map->options.flags & PTOOLS_PMAP_UNORDERED)
        TAILQ_INSERT_TAIL(&map->ended, s, queue);
    map->progress.ended += s->n;
    if (map->op)
        reduce_ended(map, s);
}

void segment_end_failed(struct ptools_pmap *map, struct segment *s)
{
    const ptools_failure *f = &s->failure.facts;

    s->failed = true;
    s->failure_bytes =
        s->failure.texts ? strlen(f->message) + strlen(f->phase) + strlen(f->log) + strlen(f->backtrace) : 0;
    map->held_bytes += s->failure_bytes;
    map->progress.failed += s->n;
    ended(map, s);
}

void segment_end(struct ptools_pmap *map, struct segment *s, struct blob *records, size_t at, size_t n)
{
    s->records = records ? blob_ref(records) : NULL;
    s->records_at = at;
    s->records_n = n;
    map->held_bytes += n;
    ended(map, s);
}
