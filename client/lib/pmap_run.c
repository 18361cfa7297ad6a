/* SPDX-License-Identifier: MIT */
/*
 * pmap_run -- batches: how large they are, what goes into one, and what its answer means for each of its items.
 *
 * An automatic batch is meant to take PMAP_BATCH_US: long enough that the way there and back does not count, short
 * enough that others have their turn, and that at the end all workers are done at about the same time. What an item
 * takes is measured by every answer. A worker that is at its batch for PMAP_HAND_BACK_MS, for its items were longer
 * than others, gives back what it has not begun.
 *
 * The answer to a batch says how many of its items are done. When it is a failure, the next item is the one that
 * failed; those behind it were not begun, and are sent again.
 */
#include <string.h>

#include "client/lib/reduce.h"

enum {
    LIMIT_RETRY_MS = 100,
    IN_VAIN_MAX = 3 /* a batch is sent again if it was not begun, for its workers died before (the daemon tries some
                       times by itself), or for the connection was lost; so often in a row that is no accident */
};

/* -- waiting ------------------------------------------------------------------------------------------------ */

/* All was ended before its turn: it comes to what its last attempt did, if there was one. */
static void end_unsent(struct ptools_pmap *map, struct segment *s)
{
    if (s->failure.facts.code == PTOOLS_OK)
        failure_set_message(&s->failure, PTOOLS_ERR_NOT_RUN, PMAP_NOT_RUN, false);
    segment_end_failed(map, s);
}

/* It was not begun after all, and is sent before items that come behind it. */
static void wait_again(struct ptools_pmap *map, struct segment *s)
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
    return map->in_vain <= IN_VAIN_MAX;
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
        wait_again(map, s);
        return false;
    }
    if (code == PTOOLS_ERR_TOO_LARGE && !why->facts.maybe_executed && a->batch->items > 1) {
        map->batch_bytes = a->batch->bytes / 2;
        wait_again(map, s);
        return false;
    }
    if (!why->facts.maybe_executed &&
        ((code == PTOOLS_ERR_CANCELLED && map->stopping) ||
         ((code == PTOOLS_ERR_LOST || code == PTOOLS_ERR_WORKER_DIED) && lost_in_vain(map, a->batch, code)))) {
        wait_again(map, s);
        return false;
    }
    if (!why->facts.maybe_executed)
        s->attempts--;
    if (blames_one(&why->facts) && s->n > 1)
        rest = segment_split(map, s, 1);
    if (segment_fail(map, s, why))
        a->stop |= map->options.on_error == PTOOLS_ON_ERROR_STOP;
    if (rest)
        wait_again(map, rest);
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
            wait_again(map, s);
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
    if (a.done > 0 && !a.records) {
        a.done = 0;
        a.no_memory = true;
    }
    if (a.done == b->items && !a.failures && b->n == 1 && !map->op)
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

/* What was not begun; what is held waits as soon as that before it has ended. */
static void end_waiting(struct ptools_pmap *map)
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

ptools_err pmap_stop(struct ptools_pmap *map)
{
    struct batch *b;

    map->stopping = true;
    end_waiting(map);
    LIST_FOREACH(b, &map->batches, link)
        ptools_future_cancel(b->f); /* if that cannot be told, the connection is lost, and the batch with it */
    return pmap_take_none(map);
}

/* -- sending ------------------------------------------------------------------------------------------------- */

/* So many batches at a time: while one runs another waits for that worker. Of long items one more than workers are
 * there, so that the work of others has its turn soon. */
static unsigned batches_max(const struct ptools_pmap *map)
{
    return map->item_us > PMAP_BATCH_US ? map->workers + 1 : 2 * map->workers;
}

static uint32_t items_wanted(const struct ptools_pmap *map)
{
    double n;

    if (map->options.batch_size)
        return map->options.batch_size;
    if (map->item_us <= 0)
        return 1;
    n = PMAP_BATCH_US / map->item_us;
    n = MIN(n, (double)map->last_items * PMAP_GROW);
    if (map->record_bytes > 0)
        n = MIN(n, PMAP_BATCH_BYTES / map->record_bytes);
    if (map->of != UINT64_MAX)
        n = MIN(n, MAX((double)(map->of - map->next) / (2 * map->workers), PMAP_TAIL_US / map->item_us) + 1);
    return n < 1 ? 1 : n > BATCH_ITEMS_MAX ? BATCH_ITEMS_MAX : (uint32_t)n;
}

/* A batch of several items has no more bytes of arguments. */
static size_t bytes_most(const struct ptools_pmap *map)
{
    return MAX(1, MIN(map->batch_bytes, map->pt->message_max / 2));
}

/* That are taken at a time, and the item that goes beyond them. One batch does not fill the window. */
static size_t bytes_wanted(const struct ptools_pmap *map)
{
    const uint64_t bytes = map->options.batch_size ? bytes_most(map) / 2 : PMAP_BATCH_BYTES;

    return MAX(1, MIN(MIN(bytes, bytes_most(map)), map->options.window_bytes / PMAP_WINDOW_PARTS));
}

static void wake_delayed(struct ptools_pmap *map, uint64_t now_us)
{
    struct segment *s;

    while ((s = TAILQ_FIRST(&map->delayed)) && s->due_us <= now_us) {
        TAILQ_REMOVE(&map->delayed, s, queue);
        if (strand_lets(s))
            TAILQ_INSERT_TAIL(&map->waiting, s, queue);
        else
            s->state = SEGMENT_HELD;
    }
}

/* Takes what waits into a batch; NULL and PTOOLS_OK: nothing does. */
static ptools_err gather(struct ptools_pmap *map, struct batch **ret)
{
    const uint32_t wanted = map->op ? reduce_wanted(map) : items_wanted(map);
    const size_t bytes = map->strand_items ? REDUCE_STRAND_BYTES : bytes_wanted(map);
    size_t cap = 0, n = 0, had = 0;
    uint32_t items = 0, fit;
    struct segment *s;
    struct batch *b;

    *ret = NULL;
    if (TAILQ_EMPTY(&map->waiting) && !map->exhausted && !map->fed && map->held_bytes < map->options.window_bytes) {
        ptools_err err = pmap_take(map, map->strand_items ? map->strand_items : wanted, bytes);

        if (err != PTOOLS_OK)
            return err;
    }
    s = TAILQ_FIRST(&map->waiting);
    if (!s)
        return PTOOLS_OK;
    fit = MIN(wanted, s->args_n > bytes_most(map) ? segment_within(s, bytes_most(map)) : s->n);
    if (s->n > fit) {
        struct segment *rest = segment_split(map, s, fit);

        if (!rest)
            return fail_no_memory(map->pt);
        if (strand_lets(rest))
            TAILQ_INSERT_AFTER(&map->waiting, s, rest, queue);
        else
            rest->state = SEGMENT_HELD;
    }
    for (; s && items + s->n <= wanted && (cap == 0 || (had + s->args_n <= bytes && !map->op));
         s = TAILQ_NEXT(s, queue)) {
        cap++;
        items += s->n;
        had += s->args_n;
    }
    b = malloc(sizeof *b + cap * sizeof b->segments[0]);
    if (!b)
        return fail_no_memory(map->pt);
    *b = (struct batch){ .items = items, .n = cap };
    for (n = 0; n < cap; n++) {
        b->segments[n] = TAILQ_FIRST(&map->waiting);
        TAILQ_REMOVE(&map->waiting, b->segments[n], queue);
        b->segments[n]->state = SEGMENT_SENT;
        b->segments[n]->attempts++;
    }
    *ret = b;
    return PTOOLS_OK;
}

static void give_back(struct ptools_pmap *map, struct batch *b)
{
    for (size_t i = b->n; i > 0; i--)
        wait_again(map, b->segments[i - 1]);
    free(b);
}

static ptools_err ready(struct ptools_pmap *map, struct msg_call *call, uint64_t until_us)
{
    struct ptools_pmap *owner = map->items ? map->items : map;
    ptools_err err;

    if (!connection_alive(map->pt) || (map->options.set && map->options.set->generation != map->pt->generation))
        until_us = MAX(until_us, clock_until_us(PMAP_PATIENCE_MS));
    err = connection_ensure(map->pt, until_us);
    if (err == PTOOLS_OK && map->options.set)
        err = workerset_resolve(map->options.set, until_us, &call->set_id);
    if (err == PTOOLS_OK)
        err = captured_ready(owner, until_us);
    if (err == PTOOLS_OK && owner->captured_array) {
        call->captured = owner->captured_array->id;
        call->captured_bytes = owner->captured.n;
    }
    return err;
}

/* The payload of one segment lies in one piece; that of several is put together. False: no memory. */
static bool payload_of(struct ptools_pmap *map, const struct batch *b, struct span *ret)
{
    struct segment *s = b->segments[0];

    if (b->n == 1 && b->values == 0) {
        *ret = (struct span){ s->args->data + s->args_at, s->args_n, s->args };
        return true;
    }
    bytes_reset(&map->building);
    if (s->strand)
        bytes_append(&map->building, s->strand->bytes.data, s->strand->bytes.n);
    for (size_t i = 0; i < b->n; i++) {
        s = b->segments[i];
        bytes_append(&map->building, s->args->data + s->args_at, s->args_n);
    }
    *ret = (struct span){ map->building.data, map->building.n, NULL };
    return map->building.err == 0;
}

static ptools_err send_batch(struct ptools_pmap *map, struct batch *b, uint64_t until_us)
{
    struct msg_request request = { .kind = MSG_CALL };
    struct msg_call *call = &request.call;
    struct span payload;
    ptools_err err;

    b->values = b->segments[0]->strand ? b->segments[0]->strand->values : 0;
    if (!payload_of(map, b, &payload))
        return fail_no_memory(map->pt);
    b->bytes = payload.n;
    call->function = (struct text){ map->function, strlen(map->function) };
    call->items = b->values + b->items;
    if (map->op) {
        call->reduce = (struct text){ map->op, strlen(map->op) };
        call->values = map->values ? call->items : b->values;
    }
    call->item_ms = (uint64_t)map->options.item_timeout_ms;
    call->hand_back_ms = map->options.batch_size ? 0 : PMAP_HAND_BACK_MS;
    call->map = map->number;
    call->has_priority = map->options.priority < PTOOLS_PRIORITY_LAST;
    call->priority = map->options.priority;
    call->isolated = map->options.flags & PTOOLS_PMAP_ISOLATED;
    if (map->init)
        call->init = (struct text){ map->init, strlen(map->init) };
    for (int attempt = 0; attempt < 2; attempt++) {
        err = ready(map, call, until_us);
        if (err == PTOOLS_OK)
            err = request_send_span(map->pt, &request, &payload, until_us, &b->f);
        if (err != PTOOLS_ERR_LOST)
            break;
    }
    return err;
}

ptools_err pmap_send(struct ptools_pmap *map, uint64_t until_us)
{
    const uint64_t now_us = clock_now_us();
    ptools_err err = PTOOLS_OK;
    bool stop = false;

    if (map->stopping)
        end_waiting(map);
    if (map->stopping || map->broken.facts.code != PTOOLS_OK || now_us < map->not_before_us)
        return PTOOLS_OK;
    map->not_before_us = 0;
    wake_delayed(map, now_us);
    map->pt->corks++;
    while (err == PTOOLS_OK && map->in_flight < batches_max(map)) {
        struct batch *b;

        err = gather(map, &b);
        if (err != PTOOLS_OK || !b)
            break;
        err = send_batch(map, b, until_us);
        if (err == PTOOLS_OK) {
            b->generation = map->pt->generation;
            LIST_INSERT_HEAD(&map->batches, b, link);
            map->in_flight++;
            map->progress.batches++;
        } else if (err == PTOOLS_ERR_TOO_LARGE && b->items == 1) {
            b->segments[0]->attempts--;
            if (segment_fail(map, b->segments[0], &map->pt->last))
                stop = map->options.on_error == PTOOLS_ON_ERROR_STOP;
            free(b);
            err = stop ? pmap_stop(map) : PTOOLS_OK;
            if (stop)
                break;
        } else {
            if (err == PTOOLS_ERR_TIMEOUT && !connection_alive(map->pt))
                map->not_before_us = now_us + PMAP_PAUSE_MS * UINT64_C(1000);
            give_back(map, b);
        }
    }
    map->pt->corks--;
    if (map->pt->corks == 0 && connection_alive(map->pt))
        connection_push(map->pt, until_us);
    return err;
}

uint64_t pmap_due_us(const struct ptools_pmap *map)
{
    const struct segment *delayed = TAILQ_FIRST(&map->delayed);
    uint64_t due_us = map->stopping ? CLOCK_FOREVER : map->until_us;

    if (delayed)
        due_us = MIN(due_us, delayed->due_us);
    if (map->not_before_us > 0 && (!TAILQ_EMPTY(&map->waiting) || !map->exhausted))
        due_us = MIN(due_us, map->not_before_us);
    return due_us;
}
