/* SPDX-License-Identifier: MIT */
/*
 * pmap_run -- batches: how large they are, what goes into one, and when it is sent.
 *
 * An automatic batch is meant to take PMAP_BATCH_US: long enough that the way there and back does not count, short
 * enough that others have their turn, and that at the end all workers are done at about the same time. What an item
 * takes is measured by every answer. A worker that is at its batch for PMAP_HAND_BACK_MS, for its items were longer
 * than others, gives back what it has not begun.
 */
#include <string.h>

#include "client/lib/reduce.h"

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
    do { /* there is one at least */
        s = TAILQ_FIRST(&map->waiting);
        TAILQ_REMOVE(&map->waiting, s, queue);
        s->state = SEGMENT_SENT;
        s->attempts++;
        b->segments[n++] = s;
    } while (n < cap);
    *ret = b;
    return PTOOLS_OK;
}

static void give_back(struct ptools_pmap *map, struct batch *b)
{
    for (size_t i = b->n; i > 0; i--)
        segment_wait_again(map, b->segments[i - 1]);
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
    if (err == PTOOLS_OK && owner->shared) {
        call->captured = captured_id(owner);
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
    call->grace_ms = (uint64_t)map->options.grace_ms;
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
        pmap_end_waiting(map);
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
        } else if (err == PTOOLS_ERR_TOO_LARGE) { /* with the values before its items: fewer of these */
            map->batch_bytes = b->segments[0]->args_n / 2;
            give_back(map, b);
            err = PTOOLS_OK;
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

void pmap_limit_batches(struct ptools_pmap *map)
{
    const struct batch *b;

    LIST_FOREACH(b, &map->batches, link) {
        struct msg_request request = {
            .kind = MSG_CALL_LIMIT,
            .limit = { .request = b->f->id, .item_ms = (uint64_t)map->options.item_timeout_ms },
        };

        if (!b->f->done && b->generation == map->pt->generation) /* others are sent again, with it */
            (void)request_tell(map->pt, &request);
    }
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
