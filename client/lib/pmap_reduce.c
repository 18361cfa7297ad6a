/* SPDX-License-Identifier: MIT */
/*
 * pmap_reduce -- strands: how the items of a map become one value, or a few. See reduce.h.
 *
 * The answer to a batch of a reduction has one record for all items that are done, and behind it those of items that
 * failed: PROTOCOL.md. The first items of the batch may be the values of its strand.
 */
#include "client/lib/reduce.h"

#include <stdlib.h>
#include <string.h>

enum { NO_VALUE = 0x90, ONE_VALUE = 0x91 };

static const struct scan_limits limits = { PAYLOAD_DEPTH_MAX, UINT64_MAX };

/* -- strands --------------------------------------------------------------------------------------------------- */

bool strand_begin(struct ptools_pmap *map, struct segment *s, struct strand *after)
{
    struct strand *c = calloc(1, sizeof *c);

    if (!c)
        return false;
    bytes_init(&c->bytes, SIZE_MAX);
    c->segments = 1;
    s->strand = c;
    if (after)
        TAILQ_INSERT_AFTER(&map->strands, after, c, link);
    else
        TAILQ_INSERT_TAIL(&map->strands, c, link);
    map->held_bytes += sizeof *c;
    return true;
}

struct strand *strand_free(struct ptools_pmap *map, struct strand *c)
{
    TAILQ_REMOVE(&map->strands, c, link);
    map->held_bytes -= sizeof *c + c->bytes.n;
    bytes_deinit(&c->bytes);
    free(c);
    return NULL;
}

void strand_leave(struct ptools_pmap *map, struct strand *c)
{
    if (--c->segments == 0 && c->values == 0)
        strand_free(map, c);
}

bool strand_lets(const struct segment *s)
{
    const struct segment *before = TAILQ_PREV(s, segments, link);

    return !s->strand || !before || before->strand != s->strand;
}

static void no_memory_for_value(struct ptools_pmap *map)
{
    failure_set_message(&map->broken, PTOOLS_ERR_NO_MEMORY, "there is no memory for a value", true);
}

/* An item that failed has this value instead. */
static void strand_add(struct ptools_pmap *map, struct strand *c, const struct bytes *value)
{
    static const uint8_t head = ONE_VALUE;
    const size_t had = c->bytes.n;

    if (bytes_append(&c->bytes, &head, 1) < 0 || bytes_append(&c->bytes, value->data, value->n) < 0)
        no_memory_for_value(map);
    map->held_bytes += c->bytes.n - had;
    c->values++;
}

/* The first n values of it, and maybe items, have come to one; list: that, in its list. */
static void strand_fold(struct ptools_pmap *map, struct strand *c, uint32_t n, const uint8_t *list, size_t list_bytes)
{
    size_t at = 0, bytes = 0;
    struct bytes all;

    for (uint32_t i = 0; i < n && scan_prefix(c->bytes.data + at, c->bytes.n - at, &limits, &bytes, NULL) == SCAN_OK;
         i++)
        at += bytes;
    bytes_init(&all, SIZE_MAX);
    if (bytes_append(&all, list, list_bytes) < 0 || bytes_append(&all, c->bytes.data + at, c->bytes.n - at) < 0)
        no_memory_for_value(map);
    map->held_bytes = map->held_bytes - c->bytes.n + all.n;
    bytes_deinit(&c->bytes);
    c->bytes = all;
    c->values = c->values - n + 1;
}

/* -- what has ended ------------------------------------------------------------------------------------------- */

/* The words of the first item that failed are kept: of those that were not just ended, if there is one. */
static void note(struct ptools_pmap *map, uint64_t index, const struct failure *why)
{
    const bool ended = why->facts.code == PTOOLS_ERR_NOT_RUN || why->facts.code == PTOOLS_ERR_CANCELLED;
    const ptools_err had = map->first_failure.facts.code;
    const bool had_ended = had == PTOOLS_ERR_NOT_RUN || had == PTOOLS_ERR_CANCELLED;

    if (had != PTOOLS_OK && (ended > had_ended || (ended == had_ended && index > map->first_failed)))
        return;
    map->first_failed = index;
    failure_copy(&map->first_failure, why);
}

static void note_records(struct ptools_pmap *map, const struct segment *s)
{
    const uint8_t *at = s->records->data + s->records_at;
    size_t left = s->records_n, bytes;
    struct failure why;
    bool failed;

    for (uint32_t i = 0; i < s->n && record_skip(at, left, &bytes, &failed); i++, at += bytes, left -= bytes) {
        failure_init(&why);
        if (record_failure(&map->payload, at, bytes, &why) != PTOOLS_OK)
            failure_set_message(&why, PTOOLS_ERR_PROTOCOL, "the record of its outcome is malformed", true);
        note(map, s->first + i, &why);
        failure_deinit(&why);
    }
}

void reduce_ended(struct ptools_pmap *map, struct segment *s)
{
    struct segment *next = TAILQ_NEXT(s, link);

    if (s->failed)
        note(map, s->first, &s->failure);
    else if (s->records)
        note_records(map, s);
    if ((s->failed || s->records) && map->options.on_error == PTOOLS_ON_ERROR_DEFAULT && !map->stopping)
        for (uint32_t i = 0; i < s->n; i++)
            strand_add(map, s->strand, &map->default_value);
    if (next && (next->strand != s->strand || next->state != SEGMENT_HELD))
        next = NULL;
    segment_free(map, s);
    if (next) {
        next->state = SEGMENT_WAITING;
        TAILQ_INSERT_TAIL(&map->waiting, next, queue);
    }
}

/* -- answers -------------------------------------------------------------------------------------------------- */

/* What an answer has: a value of so many items, at the front, and records of failures behind it. */
struct fold {
    uint32_t items, failures;
    size_t bytes; /* of the record of the value */
    bool kept;    /* it is one, and not the word that it was not kept */
};

/* False: it is malformed. */
static bool fold_read(const uint8_t *data, size_t n, uint32_t done, struct fold *ret)
{
    size_t bytes = 0;
    bool failed;

    *ret = (struct fold){ 0 };
    if (n > 0 && data[0] == NO_VALUE) {
        ret->bytes = 1;
    } else if (n > 0 && data[0] == ONE_VALUE) {
        if (scan_prefix(data, n, &limits, &ret->bytes, NULL) != SCAN_OK)
            return false;
        ret->kept = true;
    }
    for (size_t at = ret->bytes; at < n; at += bytes, ret->failures++)
        if (!record_skip(data + at, n - at, &bytes, &failed) || !failed)
            return false;
    ret->items = done - ret->failures;
    return ret->failures <= done && (ret->items > 0) == (ret->bytes > 0);
}

/* n items at the front of s are in the value. */
static struct segment *fold_end(struct answer *a, struct segment *s, const struct fold *fold, uint32_t n)
{
    struct ptools_pmap *map = a->map;
    struct segment *rest = n < s->n ? segment_split(map, s, n) : NULL;
    struct failure why;

    if (n < s->n && !rest) {
        no_memory_for_value(map);
        return s;
    }
    if (fold->kept) {
        strand_fold(map, s->strand, a->batch->values, a->records->data, fold->bytes);
        segment_end(map, s, NULL, 0, 0);
        return rest;
    }
    failure_init(&why);
    if (a->batch->f->failed)
        failure_copy(&why, &a->batch->f->failure);
    else
        failure_set_message(&why, PTOOLS_ERR_NO_MEMORY, "the worker had no memory for the record of the value", true);
    if (segment_fail(map, s, &why))
        a->stop |= map->options.on_error == PTOOLS_ON_ERROR_STOP;
    failure_deinit(&why);
    return rest;
}

struct segment *reduce_deal(struct answer *a, struct segment *s)
{
    const uint32_t values = a->batch->values;
    struct ptools_pmap *map = a->map;
    struct fold fold;

    if (a->done == 0 || a->no_memory)
        return s;
    if (!fold_read(a->records->data, a->records->n, a->done, &fold)) {
        a->malformed = true;
        a->done = 0;
        return s;
    }
    a->at = fold.bytes;
    a->done = fold.failures;
    if (fold.items > values)
        return fold_end(a, s, &fold, fold.items - values);
    if (fold.kept)
        strand_fold(map, s->strand, fold.items, a->records->data, fold.bytes);
    if (fold.items < values && fold.failures > 0) /* those of values are no items; but one failure is told */
        answer_pass_over(a, MIN(values - fold.items, fold.failures - 1));
    return s;
}

/* -- batches -------------------------------------------------------------------------------------------------- */

uint32_t reduce_wanted(const struct ptools_pmap *map)
{
    const uint64_t left = map->of - map->progress.ended, workers = MAX(1, map->pt->workers);
    double n = BATCH_ITEMS_MAX;

    if (map->fed)
        return BATCH_ITEMS_MAX;
    if (map->options.batch_size)
        n = map->options.batch_size;
    else if (map->item_us <= 0)
        n = 1;
    else
        n = MIN(PMAP_BATCH_US / map->item_us, (double)map->last_items * PMAP_GROW);
    if (map->progress.failed + map->progress.retried > 0) /* a batch ends with the first that fails */
        n = MIN(n, (double)MAX(1, map->last_items) * PMAP_GROW);
    if (!map->options.batch_size && !map->strand_items && map->of != UINT64_MAX)
        n = MIN(n, (double)left / (double)(2 * workers) + 1);
    if (map->values && !map->options.batch_size)
        n = MAX(n, REDUCE_LEVEL_ITEMS); /* one alone is nothing to be reduced */
    return n < 1 ? 1 : n > BATCH_ITEMS_MAX ? BATCH_ITEMS_MAX : (uint32_t)n;
}

ptools_err reduce_put(struct ptools_pmap *map, const uint8_t *lists, size_t bytes, uint32_t n)
{
    struct segment *s = segment_new(map, map->next, n);

    if (!s)
        return fail_no_memory(map->pt);
    s->args = blob_new(lists, bytes);
    if (!s->args) {
        segment_free(map, s);
        return fail_no_memory(map->pt);
    }
    s->args_n = bytes;
    map->held_bytes += bytes;
    map->next += n;
    map->progress.items = map->next;
    TAILQ_INSERT_TAIL(&map->waiting, s, queue);
    return PTOOLS_OK;
}
