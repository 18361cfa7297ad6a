/* SPDX-License-Identifier: MIT */
/*
 * mapreduce -- a reduction: maps on top of each other. The lowest maps the user's items, and each of its strands comes
 * to a value; these, in their order, are the items of the next, whose function is the operator; and so on, until one
 * value is left. So whatever becomes of a batch of values is what becomes of any batch: nothing is done twice.
 *
 * Above the lowest level a value that cannot be reduced is the end of it all. A worker that dies there did not do so
 * for an item, and an operator has no effects: it is tried again.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "client/lib/reduce.h"

enum {
    LEVELS_MAX = 20, /* 16^16 values are more than there are items */
    DETERMINISTIC_STRANDS = 256,
    DETERMINISTIC_ITEMS_MAX = 4096,
    DETERMINISTIC_ITEMS = 256 /* if it is not known how many there are */
};

static const int64_t again_ms[] = { 0, 20, 200 }; /* after a death during a reduction of values */

struct level {
    struct ptools_pmap *map; /* NULL: it has had less than a batch */
    struct bytes pending;    /* values for the next batch, each in a list */
    uint32_t n;
    uint64_t values; /* so far */
};
struct reduction {
    ptools *pt;
    const char *op, *what;
    struct level level[LEVELS_MAX];
};

struct reduced { /* what a ptools_reduced is a part of */
    ptools_reduced facts;
    struct bytes bytes;
    struct payload payload;
};

/* -- results -------------------------------------------------------------------------------------------------- */

ptools_reduced *ptools_reduced_free(ptools_reduced *reduced)
{
    struct reduced *r = (struct reduced *)reduced;

    if (!r)
        return NULL;
    payload_deinit(&r->payload);
    bytes_deinit(&r->bytes);
    free(r);
    return NULL;
}

static const uint8_t nil = 0xc0;

/* value: one; n 0: none. */
static ptools_err reduced_new(ptools *pt, const struct ptools_pmap *items, const uint8_t *value, size_t n,
                              ptools_reduced **ret)
{
    struct reduced *r = calloc(1, sizeof *r);
    const char *why;

    if (!r)
        return fail_no_memory(pt);
    bytes_init(&r->bytes, SIZE_MAX);
    payload_init(&r->payload);
    r->facts.items = items->progress.items;
    r->facts.failed = items->progress.failed;
    r->facts.empty = n == 0;
    if (bytes_append(&r->bytes, n > 0 ? value : &nil, n > 0 ? n : 1) < 0 ||
        payload_parse(&r->payload, r->bytes.data, r->bytes.n, &why) != PTOOLS_OK) { /* it was found well-formed */
        ptools_reduced_free(&r->facts);
        return fail_no_memory(pt);
    }
    r->facts.value = (ptools_value){ &r->payload.root };
    *ret = &r->facts;
    return PTOOLS_OK;
}

/* -- levels --------------------------------------------------------------------------------------------------- */

/* The worker died, or the connection did: that says nothing about the operator. */
static bool again(const ptools_item *item, void *arg)
{
    (void)arg;
    return item->err == PTOOLS_ERR_WORKER_DIED || item->err == PTOOLS_ERR_OUT_OF_MEMORY || item->err == PTOOLS_ERR_LOST;
}

static ptools_err level_open(struct reduction *r, struct level *level)
{
    struct ptools_pmap *items = r->level[0].map, *map = pmap_new(r->pt);

    if (!map)
        return fail_no_memory(r->pt);
    level->map = map;
    map->items = items;
    map->number = items->number; /* init is run once for all levels */
    map->fed = map->values = true;
    map->of = 0; /* to be taken */
    map->until_us = map->tell_us = CLOCK_FOREVER;
    map->strand_items = REDUCE_LEVEL_ITEMS;
    map->options = (ptools_pmap_options){ .set = items->options.set,
                                          .priority = items->options.priority,
                                          .item_timeout_ms = items->options.item_timeout_ms,
                                          .window_bytes = items->options.window_bytes,
                                          .n_retry_delays = ELEMENTS(again_ms),
                                          .retry_check = again };
    map->function = strdup(r->op);
    map->op = strdup(r->op);
    map->init = items->init ? strdup(items->init) : NULL;
    map->retry_delays = malloc(sizeof again_ms);
    if (!map->function || !map->op || (items->init && !map->init) || !map->retry_delays)
        return fail_no_memory(r->pt);
    memcpy(map->retry_delays, again_ms, sizeof again_ms);
    return PTOOLS_OK;
}

/* What is pending becomes a batch. */
static ptools_err level_put(struct reduction *r, struct level *level)
{
    ptools_err err = level->map ? PTOOLS_OK : level_open(r, level);

    if (err == PTOOLS_OK)
        err = reduce_put(level->map, level->pending.data, level->pending.n, level->n);
    bytes_reset(&level->pending);
    level->n = 0;
    return err;
}

/* A value, in its list. */
static ptools_err level_feed(struct reduction *r, struct level *level, const uint8_t *list, size_t n)
{
    if (bytes_append(&level->pending, list, n) < 0)
        return fail_no_memory(r->pt);
    level->values++;
    level->n++;
    if (level->n == REDUCE_LEVEL_ITEMS || (level->n > 1 && level->pending.n >= REDUCE_STRAND_BYTES))
        return level_put(r, level);
    return PTOOLS_OK;
}

static bool level_is_full(const struct level *level)
{
    return level->map && level->map->held_bytes >= level->map->options.window_bytes;
}

/* The values that map has, and can give, are fed to the level above. */
static ptools_err carry(struct reduction *r, struct ptools_pmap *map, struct level *above, bool *ret_moved)
{
    static const struct scan_limits limits = { SCAN_DEPTH_MAX, UINT64_MAX };
    struct strand *c;

    while ((c = TAILQ_FIRST(&map->strands)) && c->segments == 0 && !level_is_full(above)) {
        size_t at = 0, bytes = 0;

        for (uint32_t i = 0; i < c->values; i++, at += bytes) {
            ptools_err err;

            (void)scan_prefix(c->bytes.data + at, c->bytes.n - at, &limits, &bytes, NULL);
            err = level_feed(r, above, c->bytes.data + at, bytes);
            if (err != PTOOLS_OK)
                return err;
        }
        strand_free(map, c);
        *ret_moved = true;
    }
    return PTOOLS_OK;
}

/* There are no more values for this level. */
static ptools_err level_close(struct reduction *r, struct level *level)
{
    ptools_err err = level->n > 0 ? level_put(r, level) : PTOOLS_OK;

    if (err == PTOOLS_OK && level->map)
        level->map->exhausted = true;
    return err;
}

static bool is_over(const struct ptools_pmap *map)
{
    return map->exhausted && TAILQ_EMPTY(&map->segments) && TAILQ_EMPTY(&map->strands);
}

/* -- all of it ------------------------------------------------------------------------------------------------ */

/* The first failure of an item, as that of the whole. */
static ptools_err fail_first(struct reduction *r)
{
    const struct ptools_pmap *items = r->level[0].map;
    struct failure first;
    char message[512];

    failure_init(&first);
    failure_copy(&first, &items->first_failure);
    snprintf(message, sizeof message, "%s %" PRIu64 ": %s", r->what, items->first_failed,
             items->first_failure.facts.message);
    first.facts.message = message;
    fail_with(r->pt, &first);
    failure_deinit(&first);
    return r->pt->last.facts.code;
}

/* Whether a level has come to an end that is the end of all. */
static ptools_err check(struct reduction *r, const struct ptools_pmap *map)
{
    const struct ptools_pmap *items = r->level[0].map;

    if (map->broken.facts.code != PTOOLS_OK)
        return fail_with(r->pt, &map->broken);
    if (map != items && map->first_failure.facts.code != PTOOLS_OK)
        return fail_with(r->pt, &map->first_failure);
    if (items->until_us != CLOCK_FOREVER && clock_now_us() >= items->until_us)
        return fail(r->pt, PTOOLS_ERR_TIMEOUT, "the reduction was ended after timeout_ms, %lld ms",
                    (long long)items->options.timeout_ms);
    return PTOOLS_OK;
}

static ptools_err work(struct reduction *r, struct ptools_pmap *map)
{
    ptools_err err = check(r, map), end;

    if (err != PTOOLS_OK)
        return err;
    err = pmap_work(map, r->level[0].map->until_us);
    end = check(r, map); /* that is told, and not what could not be sent any more */
    return end != PTOOLS_OK ? end : err;
}

/* Once through all levels. ret_top: the level whose values came to one or none: it is over. */
static ptools_err turn(struct reduction *r, bool *ret_moved, struct level **ret_top)
{
    ptools_err err = PTOOLS_OK;

    for (unsigned i = 0; i + 1 < LEVELS_MAX && r->level[i].map; i++) {
        struct ptools_pmap *map = r->level[i].map;
        struct level *above = &r->level[i + 1];
        const uint64_t ended = map->progress.ended;

        err = work(r, map);
        if (err == PTOOLS_OK)
            err = carry(r, map, above, ret_moved);
        *ret_moved |= map->progress.ended != ended; /* there may be room for others */
        if (err != PTOOLS_OK)
            return err;
        if (!is_over(map))
            continue;
        if (map->stopping) /* on_error says so */
            return fail_first(r);
        if (above->values <= 1) {
            *ret_top = above;
            return PTOOLS_OK;
        }
        if (!above->map || !above->map->exhausted) {
            err = level_close(r, above);
            *ret_moved = true;
        }
        if (err != PTOOLS_OK)
            return err;
    }
    return PTOOLS_OK;
}

static ptools_err run(struct reduction *r, struct level **ret_top)
{
    for (*ret_top = NULL; !*ret_top;) {
        const struct ptools_pmap *items = r->level[0].map;
        uint64_t due_us = CLOCK_FOREVER;
        bool moved = false, busy = false;
        ptools_err err = turn(r, &moved, ret_top);

        pmap_tell(r->level[0].map, *ret_top || err != PTOOLS_OK);
        if (err != PTOOLS_OK)
            return err;
        if (moved || *ret_top)
            continue;
        for (unsigned i = 0; i < LEVELS_MAX && r->level[i].map; i++) {
            due_us = MIN(due_us, pmap_due_us(r->level[i].map));
            busy |= !pmap_idle(r->level[i].map);
            moved |= pmap_answered(r->level[i].map); /* while a batch left */
        }
        if (items->source_later && !busy && !moved)
            return fail_static(r->pt, PTOOLS_ERR_TIMEOUT, "the source has no item yet, and nothing is under way");
        if (!moved)
            pmap_rest(items, MIN(due_us, items->tell_us));
    }
    return PTOOLS_OK;
}

/* top: NULL or without values: nothing was reduced. */
static ptools_err conclude(struct reduction *r, const struct level *top, const ptools_pack *initial,
                           ptools_reduced **ret)
{
    const struct ptools_pmap *items = r->level[0].map;
    const uint8_t *value = NULL;
    size_t n = 0;
    ptools_err err;

    if (items->source_err != PTOOLS_OK)
        return pmap_the_end(items);
    if (top->values > 0) {
        value = top->pending.data + 1; /* behind the head of its list */
        n = top->pending.n - 1;
    } else if (initial) {
        (void)pack_finish_value(initial, &value, &n); /* it was found to be one */
    } else if (items->progress.items == 0) {
        return fail_static(r->pt, PTOOLS_ERR_INVALID, "there are no items to be reduced, and no initial value");
    }
    err = reduced_new(r->pt, items, value, n, ret);
    if (err != PTOOLS_OK)
        return err;
    (*ret)->empty = top->values == 0;
    if (items->progress.failed == 0 || items->options.on_error == PTOOLS_ON_ERROR_DEFAULT)
        return PTOOLS_OK;
    return fail(r->pt, PTOOLS_ERR_PARTS,
                "%" PRIu64 " of %" PRIu64 " %ss failed and are not in the value, the first of them, %" PRIu64
                ", with %s: %.200s",
                items->progress.failed, items->progress.items, r->what, items->first_failed,
                ptools_errname(items->first_failure.facts.code), items->first_failure.facts.message);
}

static uint32_t strand_items(const struct ptools_pmap *map, const ptools_pmap_options *options)
{
    if (!(options->flags & PTOOLS_REDUCE_DETERMINISTIC))
        return 0;
    if (map->options.batch_size)
        return map->options.batch_size;
    if (map->of == UINT64_MAX)
        return DETERMINISTIC_ITEMS;
    return (uint32_t)MAX(1, MIN(map->of / DETERMINISTIC_STRANDS, (uint64_t)DETERMINISTIC_ITEMS_MAX));
}

ptools_err reduce_all(ptools *pt, struct ptools_pmap *take_map, const struct reduce_request *what, ptools_reduced **ret)
{
    struct reduction r = { .pt = pt, .op = what->op, .what = what->item, .level[0].map = take_map };
    struct level *top;
    ptools_err err = PTOOLS_OK;

    for (unsigned i = 0; i < LEVELS_MAX; i++)
        bytes_init(&r.level[i].pending, SIZE_MAX);
    take_map->op = strdup(what->op);
    take_map->values = what->values;
    take_map->strand_items = strand_items(take_map, &what->options);
    if (!take_map->op)
        err = fail_no_memory(pt);
    if (err == PTOOLS_OK)
        err = run(&r, &top);
    if (err == PTOOLS_OK)
        err = conclude(&r, top, what->options.initial, ret);
    for (unsigned i = LEVELS_MAX; i > 0; i--) {
        ptools_pmap_free(r.level[i - 1].map);
        bytes_deinit(&r.level[i - 1].pending);
    }
    return err;
}

/* -- what is asked for ---------------------------------------------------------------------------------------- */

static ptools_err check_initial(ptools *pt, const ptools_pack *initial)
{
    const uint8_t *value;
    size_t n;
    ptools_err err = initial ? pack_finish_value(initial, &value, &n) : PTOOLS_OK;

    if (err == PTOOLS_OK)
        return PTOOLS_OK;
    return fail(pt, err, "pmap options: initial cannot be used: %s",
                err == PTOOLS_ERR_INVALID ? "it is not one value, or a list or map in it lacks items"
                                          : ptools_strerror(err));
}

ptools_err reduce_request_read(ptools *pt, const char *function, const char *op, const ptools_pmap_options *given,
                               ptools_reduced **ret, struct reduce_request *ret_what)
{
    static const ptools_pmap_options none = PTOOLS_PMAP_OPTIONS_INIT;
    ptools_err err = handle_check(pt);

    *ret_what = (struct reduce_request){
        .op = op, .function = function ? function : op, .values = !function, .item = "item", .options = none
    };
    if (err == PTOOLS_OK && !ret)
        err = fail_static(pt, PTOOLS_ERR_INVALID, "ret_reduced is NULL");
    if (err == PTOOLS_OK)
        err = pmap_check_function(pt, "op", op);
    if (err == PTOOLS_OK)
        err = options_read(pt, "pmap options", given, sizeof none, &ret_what->options, sizeof none);
    if (err == PTOOLS_OK && ret_what->options.flags & PTOOLS_PMAP_UNORDERED)
        err = fail_static(pt, PTOOLS_ERR_INVALID, "pmap options: PTOOLS_PMAP_UNORDERED: a reduction keeps the order");
    if (err == PTOOLS_OK && ret_what->options.flags & PTOOLS_PMAP_ISOLATED)
        err = fail_static(pt, PTOOLS_ERR_INVALID,
                          "pmap options: PTOOLS_PMAP_ISOLATED: values of items that have a process "
                          "of their own are not reduced");
    if (err == PTOOLS_OK)
        err = check_initial(pt, ret_what->options.initial);
    ret_what->for_map = ret_what->options;
    ret_what->for_map.flags &= ~(uint32_t)PTOOLS_REDUCE_DETERMINISTIC;
    ret_what->for_map.initial = NULL;
    return err;
}

ptools_err ptools_mapreduce(ptools *pt, const char *function, const char *op, const ptools_pack *const *lists,
                            size_t n_lists, const ptools_pmap_options *options, ptools_reduced **ret_reduced)
{
    struct ptools_pmap *map = NULL;
    struct reduce_request what;
    ptools_err err = reduce_request_read(pt, function, op, options, ret_reduced, &what);

    if (err == PTOOLS_OK && !function && n_lists != 1)
        err = fail(pt, PTOOLS_ERR_INVALID, "there are %zu lists: items that are reduced as they are come from one",
                   n_lists);
    if (err == PTOOLS_OK)
        err = ptools_pmap_start(pt, what.function, lists, n_lists, &what.for_map, &map);
    return err == PTOOLS_OK ? reduce_all(pt, map, &what, ret_reduced) : err;
}

ptools_err ptools_mapreduce_from(ptools *pt, const char *function, const char *op, ptools_pmap_source source, void *arg,
                                 const ptools_pmap_options *options, ptools_reduced **ret_reduced)
{
    struct ptools_pmap *map = NULL;
    struct reduce_request what;
    ptools_err err = reduce_request_read(pt, function, op, options, ret_reduced, &what);

    if (err == PTOOLS_OK)
        err = ptools_pmap_start_from(pt, what.function, source, arg, &what.for_map, &map);
    return err == PTOOLS_OK ? reduce_all(pt, map, &what, ret_reduced) : err;
}
