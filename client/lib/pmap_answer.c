/* SPDX-License-Identifier: MIT */
/*
 * pmap_answer -- what the answer to a batch means for each of its items: they have ended, wait for their next attempt,
 * or wait to be sent again.
 *
 * The answer says how many of the items are done. When it is a failure, the next item is the one that failed; those
 * behind it were not begun, and are sent again.
 */
#include <string.h>

#include "client/lib/reduce.h"

enum {
    LIMIT_RETRY_MS = 100,
    IN_VAIN_MAX = 3, /* a batch is sent again if it was not begun, for its workers died before (the daemon tries some
                        times by itself), or for the connection was lost; so often in a row, ... */
    IN_VAIN_US = 2000000 /* ... and for so long, that is no accident */
};

/* -- waiting ------------------------------------------------------------------------------------------------ */

/* All was ended before its turn: it comes to what its last attempt did, if there was one. */
static void end_unsent(struct ptools_pmap *map, struct segment *s)
{
    if (s->failure.facts.code == PTOOLS_OK)
        failure_set_message(&s->failure, PTOOLS_ERR_NOT_RUN, PMAP_NOT_RUN, false);
    segment_end_failed(map, s);
}

void segment_wait_again(struct ptools_pmap *map, struct segment *s)
{
    struct segment *behind = TAILQ_FIRST(&map->waiting);

    s->attempts--;
    if (map->stopping) {
        end_unsent(map, s);
        return;
    }
    if (!strand_lets(s)) {
        s->state = SEGMENT_HELD;
        return;
    }
    s->state = SEGMENT_WAITING;
    while (behind && behind->first < s->first)
        behind = TAILQ_NEXT(behind, queue);
    if (behind)
        TAILQ_INSERT_BEFORE(behind, s, queue);
    else
        TAILQ_INSERT_TAIL(&map->waiting, s, queue);
}

static void delay(struct ptools_pmap *map, struct segment *s, int64_t ms)
{
    struct segment *before = TAILQ_LAST(&map->delayed, segments);

    s->state = SEGMENT_WAITING;
    s->due_us = clock_now_us() + (uint64_t)ms * 1000;
    while (before && before->due_us > s->due_us)
        before = TAILQ_PREV(before, segments, queue);
    if (before)
        TAILQ_INSERT_AFTER(&map->delayed, before, s, queue);
    else
        TAILQ_INSERT_HEAD(&map->delayed, s, queue);
}

/* -- what failed ------------------------------------------------------------------------------------------- */

static bool try_again(struct ptools_pmap *map, const struct segment *s, const struct failure *why)
{
    const ptools_item item = {
        .index = s->first, .err = why->facts.code, .attempts = s->attempts, .failure = &why->facts
    }; /* what it took is in the failure */

    bool again = !map->stopping && s->attempts > 0 && s->attempts <= map->options.n_retry_delays;

    if (again && map->options.retry_check) {
        map->asking = true;
        again = map->options.retry_check(&item, map->options.arg);
        map->asking = false;
    }
    return again;
}

static void retry(struct ptools_pmap *map, struct segment *s)
{
    map->progress.retried += s->n;
    delay(map, s, map->retry_delays[s->attempts - 1]);
}

bool segment_fail(struct ptools_pmap *map, struct segment *s, const struct failure *why)
{
    bool final = false;

    while (s) {
        struct segment *rest = s->n > 1 && map->options.retry_check ? segment_split(map, s, 1) : NULL;

        failure_copy(&s->failure, why);
        if (try_again(map, s, why)) {
            retry(map, s);
        } else {
            segment_end_failed(map, s);
            final = true;
        }
        s = rest;
    }
    return final;
}

/* -- what an answer means ------------------------------------------------------------------------------------ */

/* Whether the first item of s, whose failure is this record, is tried again: then s knows it. */
static bool record_again(struct ptools_pmap *map, struct segment *s, const uint8_t *data, size_t n)
{
    struct failure why;
    bool again;

    if (map->options.n_retry_delays == 0)
        return false;
    failure_init(&why);
    again = record_failure(&map->payload, data, n, &why) == PTOOLS_OK && try_again(map, s, &why);
    if (again)
        failure_copy(&s->failure, &why);
    failure_deinit(&why);
    return again;
}

void answer_pass_over(struct answer *a, uint32_t n)
{
    size_t bytes;
    bool failed;

    for (; n > 0 && a->done > 0; n--, a->done--) {
        if (!record_skip(a->records->data + a->at, a->records->n - a->at, &bytes, &failed)) {
            a->malformed = true;
            a->done = 0;
            return;
        }
        a->at += bytes;
    }
}

/* Deals records out to s, as far as there are any. What is left of it; NULL: nothing. */
static struct segment *deal(struct answer *a, struct segment *s)
{
    struct ptools_pmap *map = a->map;
    const size_t from = a->at;
    uint32_t n = 0;

    while (n < s->n && a->done > 0) {
        const uint8_t *at = a->records->data + a->at;
        size_t bytes;
        bool failed;

        if (!record_skip(at, a->records->n - a->at, &bytes, &failed)) {
            a->malformed = true;
            a->done = 0;
            break;
        }
        if (failed && map->options.n_retry_delays > 0 && n > 0)
            break; /* it is the first of what is left */
        a->at += bytes;
        a->done--;
        if (failed && record_again(map, s, at, bytes)) {
            struct segment *rest = s->n > 1 ? segment_split(map, s, 1) : NULL;

            if (s->n == 1) {
                retry(map, s);
                return rest;
            }
        }
        if (failed) {
            map->progress.failed++;
            a->stop |= map->options.on_error == PTOOLS_ON_ERROR_STOP;
        }
        n++;
    }
    if (n == 0)
        return s;
    if (n < s->n) {
        struct segment *rest = segment_split(map, s, n);

        if (!rest) { /* no memory: its records are passed over, so that those behind it get theirs */
            answer_pass_over(a, s->n - n);
            failure_set_message(&s->failure, PTOOLS_ERR_NO_MEMORY, "there is no memory for its outcome", true);
            segment_end_failed(map, s);
            a->stop |= map->options.on_error == PTOOLS_ON_ERROR_STOP;
            return NULL;
        }
        segment_end(map, s, a->records, from, a->at - from);
        return rest;
    }
    segment_end(map, s, a->records, from, a->at - from);
    return NULL;
}

/* Whether only the item that was running is to blame, and those behind it were not begun. */
static bool blames_one(const ptools_failure *f)
{
    return f->maybe_executed && (f->code == PTOOLS_ERR_WORKER_DIED || f->code == PTOOLS_ERR_OUT_OF_MEMORY ||
                                 f->code == PTOOLS_ERR_DEADLINE || f->code == PTOOLS_ERR_CANCELLED);
}

/* It was lost before it was begun. False: so it goes all the time, and it is sent no more. */
static bool lost_in_vain(struct ptools_pmap *map, const struct batch *b, ptools_err code)
{
    if (code != PTOOLS_ERR_LOST || b->generation != map->vain_generation)
        map->in_vain++; /* a connection is lost with all its batches at once */
    if (code == PTOOLS_ERR_LOST)
        map->vain_generation = b->generation;
    if (map->in_vain == 1)
        map->vain_since_us = clock_now_us();
    return map->in_vain <= IN_VAIN_MAX || clock_now_us() - map->vain_since_us < IN_VAIN_US;
}

/* A reduction: items were done, and what ended it is neither one of them nor what became of worker or connection. */
static bool blames_op(const struct ptools_future *f)
{
    const ptools_failure *why = &f->failure.facts;

    return f->items > 0 && !blames_one(why) && why->code != PTOOLS_ERR_LOST && why->code != PTOOLS_ERR_CANCELLED;
}

/* s is the first of what has no record. Returns false when those behind it were not begun. */
static bool blame(struct answer *a, struct segment *s)
{
    struct ptools_pmap *map = a->map;
    const struct failure *why = &a->batch->f->failure;
    const ptools_err code = why->facts.code;
    struct segment *rest = NULL;

    if (code == PTOOLS_ERR_LIMIT) {
        const int64_t ms = why->facts.retry_ms > 0 ? why->facts.retry_ms : LIMIT_RETRY_MS;

        map->not_before_us = clock_now_us() + (uint64_t)ms * 1000;
        segment_wait_again(map, s);
        return false;
    }
    if (code == PTOOLS_ERR_TOO_LARGE && !why->facts.maybe_executed && a->batch->items > 1) {
        map->batch_bytes = a->batch->bytes / 2;
        segment_wait_again(map, s);
        return false;
    }
    if (!why->facts.maybe_executed &&
        ((code == PTOOLS_ERR_CANCELLED && map->stopping) ||
         ((code == PTOOLS_ERR_LOST || code == PTOOLS_ERR_WORKER_DIED) && lost_in_vain(map, a->batch, code)))) {
        segment_wait_again(map, s);
        return false;
    }
    if (!why->facts.maybe_executed)
        s->attempts--;
    if (blames_one(&why->facts) && s->n > 1)
        rest = segment_split(map, s, 1);
    if (segment_fail(map, s, why))
        a->stop |= map->options.on_error == PTOOLS_ON_ERROR_STOP;
    if (rest)
        segment_wait_again(map, rest);
    return !blames_one(&why->facts);
}

/* All items of the batch get their outcome, or wait again. */
static void deal_out(struct answer *a)
{
    struct ptools_pmap *map = a->map;
    const struct ptools_future *f = a->batch->f;
    bool all_failed = false, blamed = false;
    struct failure why;

    if (map->op && f->failed && blames_op(f)) {
        failure_copy(&map->broken, &f->failure);
        a->stop = true;
    }
    failure_init(&why);
    if (a->no_memory)
        failure_set_message(&why, PTOOLS_ERR_NO_MEMORY, "there is no memory for the records of its batch", true);
    else
        failure_set_message(&why, PTOOLS_ERR_PROTOCOL, "the records of its batch are malformed", true);
    for (size_t i = 0; i < a->batch->n; i++) {
        struct segment *s = a->batch->segments[i];

        if (map->op)
            s = reduce_deal(a, s);
        while (s && a->done > 0)
            s = deal(a, s);
        if (!s)
            continue;
        if (a->malformed || a->no_memory) {
            a->stop |= segment_fail(map, s, &why) && map->options.on_error == PTOOLS_ON_ERROR_STOP;
        } else if (f->failed && !blamed) {
            all_failed = blame(a, s);
            blamed = true;
        } else if (all_failed) {
            (void)blame(a, s);
        } else {
            segment_wait_again(map, s);
        }
    }
    failure_deinit(&why);
}

static void measure(struct ptools_pmap *map, const struct ptools_future *f, uint32_t done, size_t bytes)
{
    double us;

    if (f->failed || done == 0)
        return;
    us = MAX((double)f->reply.run_us, 1.0) / done;
    map->item_us = map->item_us > 0 ? (3 * map->item_us + us) / 4 : us;
    map->record_bytes =
        map->record_bytes > 0 ? (3 * map->record_bytes + (double)bytes / done) / 4 : (double)bytes / done;
    map->last_items = done;
    map->progress.item_us = (uint64_t)map->item_us;
}

void batch_free(struct ptools_pmap *map, struct batch *b)
{
    LIST_REMOVE(b, link);
    map->in_flight--;
    ptools_future_free(b->f);
    free(b);
}

static ptools_err take_answer(struct ptools_pmap *map, struct batch *b)
{
    const struct ptools_future *f = b->f;
    struct answer a = { .map = map, .batch = b };

    a.done = MIN(f->failed ? f->items : f->reply.items, b->values + b->items);
    a.records = f->blob ? blob_ref(f->blob) : a.done > 0 ? blob_new(f->copy.data, f->copy.n) : NULL;
    a.failures = f->failed || f->reply.items_failed > 0;
    a.malformed = !f->failed && a.done == 0; /* it says that it is done and has done nothing */
    measure(map, f, a.done, a.records ? a.records->n : 0);
    if (!f->failed && f->reply.workers > 0)
        map->workers = f->reply.workers;
    if (a.done > 0)
        map->in_vain = 0;
    if (!f->failed)
        map->not_before_us = 0; /* if it was one of ours that others had to wait for, there is room for one now */
    if (a.done > 0 && !a.records) {
        a.done = 0;
        a.no_memory = true;
    }
    if (a.records && a.done == b->items && !a.failures && b->n == 1 && !map->op)
        segment_end(map, b->segments[0], a.records, 0, a.records->n);
    else
        deal_out(&a);
    blob_free(a.records);
    batch_free(map, b);
    return a.stop && !map->stopping ? pmap_stop(map) : PTOOLS_OK;
}

bool pmap_answered(const struct ptools_pmap *map)
{
    const struct batch *b;

    LIST_FOREACH(b, &map->batches, link)
        if (b->f->done)
            return true;
    return false;
}

bool pmap_idle(const struct ptools_pmap *map)
{
    return map->in_flight == 0 && TAILQ_EMPTY(&map->waiting) && TAILQ_EMPTY(&map->delayed);
}

ptools_err pmap_collect(struct ptools_pmap *map)
{
    struct batch *b, *next;
    ptools_err err = PTOOLS_OK;

    for (b = LIST_FIRST(&map->batches); b && err == PTOOLS_OK; b = next) {
        next = LIST_NEXT(b, link);
        if (b->f->done)
            err = take_answer(map, b);
    }
    return err;
}

void pmap_end_waiting(struct ptools_pmap *map)
{
    struct segments *const lists[] = { &map->delayed, &map->waiting };
    struct segment *s;

    for (size_t i = 0; i < ELEMENTS(lists); i++) {
        while ((s = TAILQ_FIRST(lists[i]))) {
            TAILQ_REMOVE(lists[i], s, queue);
            end_unsent(map, s);
        }
    }
}

void pmap_cancel_batches(struct ptools_pmap *map)
{
    struct failure last;
    struct batch *b;

    failure_init(&last);
    failure_copy(&last, &map->pt->last);
    LIST_FOREACH(b, &map->batches, link) {
        if (ptools_future_cancel(b->f) == PTOOLS_ERR_TIMEOUT) {
            failure_copy(&map->pt->last, &last); /* why it was stopped is what counts */
            break;
        }
    }
    failure_deinit(&last);
}

ptools_err pmap_stop(struct ptools_pmap *map)
{
    map->stopping = true;
    pmap_end_waiting(map);
    pmap_cancel_batches(map);
    return pmap_take_none(map);
}
