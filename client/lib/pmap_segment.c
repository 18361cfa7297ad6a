/* SPDX-License-Identifier: MIT */
/*
 * pmap_segment -- ranges of items that are at the same point: made, split, ended. They lie in the order of the items;
 * what they hold of arguments and records is counted, so that it stays within the window.
 */
#include <string.h>

#include "client/lib/reduce.h"

static struct segment *segment_alloc(uint64_t first, uint32_t n)
{
    struct segment *s = calloc(1, sizeof *s);

    if (!s)
        return NULL;
    s->first = first;
    s->n = n;
    failure_init(&s->failure);
    return s;
}

struct segment *segment_new(struct ptools_pmap *map, uint64_t first, uint32_t n)
{
    struct segment *s = segment_alloc(first, n);

    if (s && map->op && !strand_begin(map, s, NULL)) {
        free(s);
        return NULL;
    }
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
    free(s);
    return NULL;
}

/* The bytes of the first n lists of its arguments, which we have written ourselves. */
static size_t args_of(const struct segment *s, uint32_t n)
{
    static const struct scan_limits limits = { SCAN_DEPTH_MAX, UINT64_MAX };
    size_t at = 0, bytes = 0;

    for (uint32_t i = 0;
         i < n && scan_prefix(s->args->data + s->args_at + at, s->args_n - at, &limits, &bytes, NULL) == SCAN_OK; i++)
        at += bytes;
    return at;
}

struct segment *segment_split(struct ptools_pmap *map, struct segment *s, uint32_t n)
{
    struct segment *rest = segment_alloc(s->first + n, s->n - n);
    size_t bytes;

    if (!rest)
        return NULL;
    if (map->strand_items) {
        rest->strand = s->strand;
        rest->strand->segments++;
    } else if (map->op && !strand_begin(map, rest, s->strand)) {
        free(rest);
        return NULL;
    }
    bytes = args_of(s, n);
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
    s->failed = true;
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
