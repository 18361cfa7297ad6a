/* SPDX-License-Identifier: MIT */
/*
 * pmap -- the life of a run over many items: its start, its options, the next outcome, and its end. See pmap.h.
 *
 * Everything happens in ptools_pmap_next(): it looks for an outcome that can be handed out, and when there is none, or
 * many were handed out since it last did so, takes in answers and sends what can be sent.
 */
#include "client/lib/pmap.h"

#include <inttypes.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/lib/reduce.h"

enum { READS_A_CLOCK = 16, READS_A_LOOK = 512, LOOKS_A_BATCH = 4, PROGRESS_MS = 500, RETRIES_MAX = 1000000 };

/* -- options -------------------------------------------------------------------------------------------------- */

ptools_err pmap_check_function(struct ptools *pt, const char *what, const char *function)
{
    struct text module, name;

    if (function && name_split(function, strlen(function), &module, &name))
        return PTOOLS_OK;
    return fail(pt, PTOOLS_ERR_INVALID,
                "%s is \"%.140s\": MODULE.FUNCTION is expected, each 1 to %u of A-Z a-z 0-9 _ -", what,
                function ? function : "(NULL)", NAME_BYTES_MAX);
}

static ptools_err check_options(struct ptools *pt, const ptools_pmap_options *o)
{
    if (o->flags & PTOOLS_REDUCE_DETERMINISTIC || o->initial)
        return fail_static(pt, PTOOLS_ERR_INVALID,
                           "pmap options: PTOOLS_REDUCE_DETERMINISTIC and initial are for reductions");
    if (o->flags & ~(uint32_t)(PTOOLS_PMAP_UNORDERED | PTOOLS_PMAP_ISOLATED))
        return fail(pt, PTOOLS_ERR_INVALID, "pmap options: flags is 0x%x: PTOOLS_PMAP_UNORDERED, _ISOLATED, both or 0",
                    o->flags);
    if (o->batch_size > BATCH_ITEMS_MAX)
        return fail(pt, PTOOLS_ERR_INVALID, "pmap options: batch_size is %u: 0 (automatic), or at most %u",
                    o->batch_size, BATCH_ITEMS_MAX);
    if ((uint32_t)o->on_error > PTOOLS_ON_ERROR_DEFAULT)
        return fail(pt, PTOOLS_ERR_INVALID,
                    "pmap options: on_error is %d: one of PTOOLS_ON_ERROR_KEEP, _STOP, _DEFAULT", (int)o->on_error);
    if (!o->default_value != (o->on_error != PTOOLS_ON_ERROR_DEFAULT))
        return fail_static(pt, PTOOLS_ERR_INVALID,
                           "pmap options: default_value belongs to PTOOLS_ON_ERROR_DEFAULT, and that to default_value");
    if (o->n_retry_delays > 0 && !o->retry_delays_ms)
        return fail_static(pt, PTOOLS_ERR_INVALID, "pmap options: retry_delays_ms is NULL");
    if (o->n_retry_delays > RETRIES_MAX)
        return fail(pt, PTOOLS_ERR_INVALID, "pmap options: n_retry_delays is %zu: at most %d", o->n_retry_delays,
                    RETRIES_MAX);
    for (size_t i = 0; i < o->n_retry_delays; i++)
        if (o->retry_delays_ms[i] < 0 || o->retry_delays_ms[i] > (int64_t)DEADLINE_MS_MAX)
            return fail(pt, PTOOLS_ERR_INVALID, "pmap options: retry delay %zu is %lld ms: 0 or more", i + 1,
                        (long long)o->retry_delays_ms[i]);
    if (o->item_timeout_ms < 0 || o->item_timeout_ms > (int64_t)DEADLINE_MS_MAX || o->timeout_ms < 0)
        return fail(pt, PTOOLS_ERR_INVALID, "pmap options: item_timeout_ms is %lld, timeout_ms %lld: 0 (none) or more",
                    (long long)o->item_timeout_ms, (long long)o->timeout_ms);
    if (o->grace_ms < 0 || o->grace_ms > (int64_t)DEADLINE_MS_MAX)
        return fail(pt, PTOOLS_ERR_INVALID, "pmap options: grace_ms is %lld: 0 (as the daemon is set) or more",
                    (long long)o->grace_ms);
    if (isnan(o->priority))
        return fail_static(pt, PTOOLS_ERR_INVALID, "pmap options: priority is NaN: any other number is allowed");
    if (o->progress_ms < 0)
        return fail(pt, PTOOLS_ERR_INVALID, "pmap options: progress_ms is %lld: 0 (500) or more",
                    (long long)o->progress_ms);
    if (o->set && o->set->pt != pt)
        return o->set->pt ? fail_static(pt, PTOOLS_ERR_INVALID, "the worker set comes from another handle")
                          : fail_static(pt, PTOOLS_ERR_CLOSED, "the worker set comes from a handle that was closed");
    return o->init ? pmap_check_function(pt, "pmap options: init", o->init) : PTOOLS_OK;
}

/* A copy of what was packed. */
static ptools_err keep_pack(struct ptools *pt, const char *what, ptools_err finished, const uint8_t *data, size_t n,
                            struct bytes *ret)
{
    if (finished != PTOOLS_OK)
        return fail(pt, finished, "pmap options: %s cannot be used: %s", what,
                    finished == PTOOLS_ERR_INVALID ? "a list or map lacks items, or what was appended is no value"
                                                   : ptools_strerror(finished));
    return bytes_append(ret, data, n) < 0 ? fail_no_memory(pt) : PTOOLS_OK;
}

static ptools_err keep_options(struct ptools_pmap *map, const char *function)
{
    ptools_pmap_options *o = &map->options;
    const uint8_t *data = NULL;
    ptools_err err = PTOOLS_OK, finished;
    size_t n = 0;

    map->function = strdup(function);
    map->init = o->init ? strdup(o->init) : NULL;
    map->retry_delays = o->n_retry_delays ? malloc(o->n_retry_delays * sizeof *map->retry_delays) : NULL;
    if (!map->function || (o->init && !map->init) || (o->n_retry_delays && !map->retry_delays))
        return fail_no_memory(map->pt);
    if (o->n_retry_delays)
        memcpy(map->retry_delays, o->retry_delays_ms, o->n_retry_delays * sizeof *map->retry_delays);
    if (o->default_value) {
        finished = pack_finish_value(o->default_value, &data, &n);
        err = keep_pack(map->pt, "default_value", finished, data, n, &map->default_value);
    }
    if (err == PTOOLS_OK && o->captured) {
        finished = pack_finish_arguments(o->captured, &data, &n);
        err = keep_pack(map->pt, "captured", finished, data, n, &map->captured);
    }
    o->window_bytes = o->window_bytes ? o->window_bytes : PMAP_WINDOW_BYTES;
    o->progress_ms = o->progress_ms ? o->progress_ms : PROGRESS_MS;
    map->tell_us = o->progress ? clock_until_us(o->progress_ms) : CLOCK_FOREVER;
    map->until_us = o->timeout_ms > 0 ? clock_until_us(o->timeout_ms) : CLOCK_FOREVER;
    return err;
}

/* -- start ---------------------------------------------------------------------------------------------------- */

struct ptools_pmap *pmap_new(struct ptools *pt)
{
    struct ptools_pmap *map = calloc(1, sizeof *map);

    if (!map)
        return NULL;
    map->pt = pt;
    map->of = UINT64_MAX;
    TAILQ_INIT(&map->segments);
    TAILQ_INIT(&map->waiting);
    TAILQ_INIT(&map->delayed);
    TAILQ_INIT(&map->ended);
    TAILQ_INIT(&map->strands);
    LIST_INIT(&map->batches);
    LIST_INSERT_HEAD(&pt->maps, map, link);
    bytes_init(&map->default_value, SIZE_MAX);
    bytes_init(&map->captured, SIZE_MAX);
    bytes_init(&map->building, SIZE_MAX);
    payload_init(&map->payload);
    failure_init(&map->failure);
    failure_init(&map->first_failure);
    failure_init(&map->broken);
    map->number = ++pt->last_map;
    map->workers = MAX(1, pt->workers);
    map->batch_bytes = SIZE_MAX;
    return map;
}

static ptools_err start(ptools *pt, const char *function, const ptools_pmap_options *given, struct ptools_pmap **ret)
{
    ptools_pmap_options options = PTOOLS_PMAP_OPTIONS_INIT;
    ptools_err err = handle_check(pt);

    if (err == PTOOLS_OK && !ret)
        err = fail_static(pt, PTOOLS_ERR_INVALID, "ret_map is NULL");
    if (err == PTOOLS_OK)
        err = pmap_check_function(pt, "function", function);
    if (err == PTOOLS_OK)
        err = options_read(pt, "pmap options", given, sizeof options, &options, sizeof options);
    if (err == PTOOLS_OK)
        err = check_options(pt, &options);
    if (err != PTOOLS_OK)
        return err;
    *ret = pmap_new(pt);
    if (!*ret)
        return fail_no_memory(pt);
    (*ret)->options = options;
    err = keep_options(*ret, function);
    if (err != PTOOLS_OK)
        *ret = ptools_pmap_free(*ret);
    return err;
}

ptools_err ptools_pmap_start(ptools *pt, const char *function, const ptools_pack *const *lists, size_t n_lists,
                             const ptools_pmap_options *options, ptools_pmap **ret_map)
{
    struct ptools_pmap *map;
    ptools_err err = start(pt, function, options, ret_map ? &map : NULL);

    if (err != PTOOLS_OK)
        return err;
    if (!lists || n_lists < 1 || n_lists > PMAP_LISTS_MAX)
        err = fail(pt, PTOOLS_ERR_INVALID, "there are %zu lists: 1 to %d are allowed", lists ? n_lists : 0,
                   PMAP_LISTS_MAX);
    else
        err = pmap_open_lists(map, lists, n_lists);
    if (err != PTOOLS_OK) {
        ptools_pmap_free(map);
        return err;
    }
    map->progress.of = map->of;
    *ret_map = map;
    return PTOOLS_OK;
}

ptools_err ptools_pmap_start_from(ptools *pt, const char *function, ptools_pmap_source source, void *arg,
                                  const ptools_pmap_options *options, ptools_pmap **ret_map)
{
    struct ptools_pmap *map;
    ptools_err err = start(pt, function, options, ret_map ? &map : NULL);

    if (err != PTOOLS_OK)
        return err;
    map->pack = ptools_pack_new();
    if (!source || !map->pack) {
        err = source ? fail_no_memory(pt) : fail_static(pt, PTOOLS_ERR_INVALID, "source is NULL");
        ptools_pmap_free(map);
        return err;
    }
    map->source = source;
    map->source_arg = arg;
    map->progress.of = map->of;
    *ret_map = map;
    return PTOOLS_OK;
}

/* -- end ------------------------------------------------------------------------------------------------------- */

static void let_go(struct ptools_pmap *map)
{
    struct batch *b;

    pmap_cancel_batches(map);
    while ((b = LIST_FIRST(&map->batches)))
        batch_free(map, b);
    captured_drop(map);
}

void pmap_orphan(struct ptools_pmap *map)
{
    let_go(map);
    LIST_REMOVE(map, link);
    map->pt = NULL;
}

ptools_pmap *ptools_pmap_free(ptools_pmap *map)
{
    struct segment *s;
    struct strand *strand;

    if (!map)
        return NULL;
    if (map->pt)
        pmap_orphan(map);
    while ((s = TAILQ_FIRST(&map->segments)))
        segment_free(map, s);
    while ((strand = TAILQ_FIRST(&map->strands)))
        strand_free(map, strand);
    ptools_pack_free(map->pack);
    bytes_deinit(&map->default_value);
    bytes_deinit(&map->captured);
    bytes_deinit(&map->building);
    payload_deinit(&map->payload);
    blob_free(map->handed_out);
    failure_deinit(&map->failure);
    failure_deinit(&map->first_failure);
    failure_deinit(&map->broken);
    free(map->function);
    free(map->op);
    free(map->init);
    free(map->retry_delays);
    free(map);
    return NULL;
}

/* -- the next outcome ------------------------------------------------------------------------------------------ */

static ptools_err map_check(struct ptools_pmap *map)
{
    if (!map)
        return PTOOLS_ERR_INVALID;
    if (!map->pt)
        return PTOOLS_ERR_CLOSED;
    if (map->asking)
        return fail_static(map->pt, PTOOLS_ERR_INVALID,
                           "the source, retry_check and progress of a pmap must not use it");
    return handle_check(map->pt);
}

ptools_err ptools_pmap_cancel(ptools_pmap *map)
{
    ptools_err err = map_check(map);

    if (err != PTOOLS_OK || map->stopping)
        return err;
    return pmap_stop(map);
}

ptools_err ptools_pmap_set_item_timeout(ptools_pmap *map, int64_t item_timeout_ms)
{
    ptools_err err = map_check(map);

    if (err != PTOOLS_OK)
        return err;
    if (item_timeout_ms < 0 || item_timeout_ms > (int64_t)DEADLINE_MS_MAX)
        return fail(map->pt, PTOOLS_ERR_INVALID, "item_timeout_ms is %lld: 0 (none) or more",
                    (long long)item_timeout_ms);
    map->options.item_timeout_ms = item_timeout_ms;
    pmap_limit_batches(map);
    return PTOOLS_OK;
}

static bool is_late(uint64_t until_us)
{
    return until_us != CLOCK_FOREVER && clock_now_us() >= until_us;
}

/* There is something to do though there are outcomes to hand out. */
static bool is_due(const struct ptools_pmap *map)
{
    return is_late(MIN(map->stopping ? CLOCK_FOREVER : map->until_us, map->tell_us));
}

ptools_err pmap_work(struct ptools_pmap *map, uint64_t until_us)
{
    ptools_err err = pmap_collect(map);

    if (err == PTOOLS_OK && (map->stopping ? !map->exhausted : is_late(map->until_us)))
        err = pmap_stop(map);
    return err == PTOOLS_OK ? pmap_send(map, until_us) : err;
}

void pmap_rest(const struct ptools_pmap *map, uint64_t until_us)
{
    if (connection_alive(map->pt) || map->in_flight > 0)
        handle_pump(map->pt, until_us);
    else
        poll(NULL, 0, clock_poll_ms(until_us));
}

ptools_err pmap_the_end(const struct ptools_pmap *map)
{
    if (map->source_err == PTOOLS_ERR_NO_MEMORY)
        return fail_no_memory(map->pt);
    if (map->source_err == PTOOLS_ERR_CANCELLED)
        return fail_static(map->pt, PTOOLS_ERR_INVALID, "the source of the items gave up");
    if (map->source_err != PTOOLS_OK)
        return fail(map->pt, PTOOLS_ERR_INVALID,
                    "item %llu of the source cannot be used: a list or map in it lacks items, or what was appended is "
                    "no value",
                    (unsigned long long)map->next);
    return fail_static(map->pt, PTOOLS_ERR_RANGE, "all outcomes were handed out");
}

void pmap_tell(struct ptools_pmap *map, bool end)
{
    if (map->tell_us == CLOCK_FOREVER || (!end && clock_now_us() < map->tell_us))
        return;
    map->tell_us = end ? CLOCK_FOREVER : clock_until_us(map->options.progress_ms);
    map->asking = true;
    map->options.progress(&map->progress, map->options.arg);
    map->asking = false;
}

static bool is_over(const struct ptools_pmap *map)
{
    return map->exhausted && TAILQ_EMPTY(&map->segments);
}

/* There is none to hand out, or it is time to look whether there is something to do. */
__attribute__((__noinline__)) static ptools_err wait_next(struct ptools_pmap *map, int64_t timeout_ms,
                                                          ptools_item *ret_item)
{
    uint64_t until_us;
    ptools_err err;

    map->look_at = map->read + MAX(READS_A_LOOK, map->last_items / LOOKS_A_BATCH);
    handle_pump(map->pt, 0);
    until_us = clock_until_us(timeout_ms);
    for (;;) {
        bool late = is_late(until_us);

        err = pmap_work(map, until_us);
        pmap_tell(map, false);
        if (pmap_read(map, ret_item))
            return PTOOLS_OK;
        if (err != PTOOLS_OK)
            return err;
        if (is_over(map))
            pmap_tell(map, true);
        if (is_over(map))
            return pmap_the_end(map);
        if (map->source_later && pmap_idle(map))
            return fail_static(map->pt, PTOOLS_ERR_TIMEOUT, "the source has no item yet, and nothing is under way");
        if (late)
            return fail(map->pt, PTOOLS_ERR_TIMEOUT, "no outcome within %lld ms", (long long)timeout_ms);
        if (!pmap_answered(map)) /* while the last batch left, answers may have come */
            pmap_rest(map, MIN(MIN(until_us, map->tell_us), pmap_due_us(map)));
    }
}

ptools_err ptools_pmap_next(ptools_pmap *map, int64_t timeout_ms, ptools_item *ret_item)
{
    ptools_err err = map_check(map);

    if (err == PTOOLS_OK && !ret_item)
        return fail_static(map->pt, PTOOLS_ERR_INVALID, "ret_item is NULL");
    if (err == PTOOLS_OK)
        err = check_timeout(map->pt, timeout_ms);
    if (err != PTOOLS_OK)
        return err;
    if (map->read < map->look_at && !(map->read % READS_A_CLOCK == 0 && is_due(map)) && pmap_read(map, ret_item))
        return PTOOLS_OK;
    return wait_next(map, timeout_ms, ret_item);
}

ptools_err pmap_run(struct ptools_pmap *map, const char *what, ptools_pmap_outcome outcome, void *arg)
{
    struct ptools *pt = map->pt;
    uint64_t n = 0, failed = 0;
    char first[256] = "";
    ptools_item item;
    ptools_err err;

    while ((err = ptools_pmap_next(map, PTOOLS_FOREVER, &item)) == PTOOLS_OK) {
        n++;
        if (item.err != PTOOLS_OK && failed++ == 0)
            snprintf(first, sizeof first, "%s: %.200s", ptools_errname(item.err), item.failure->message);
        if (outcome && outcome(&item, arg) != 0)
            (void)ptools_pmap_cancel(map); /* what it cannot tell the daemon comes from ptools_pmap_next() */
    }
    ptools_pmap_free(map);
    if (err != PTOOLS_ERR_RANGE)
        return err;
    return failed == 0 ? PTOOLS_OK
                       : fail(pt, PTOOLS_ERR_PARTS, "%" PRIu64 " of %" PRIu64 " %s failed, the first one with %s",
                              failed, n, what, first);
}

ptools_err ptools_pmap_each(ptools *pt, const char *function, const ptools_pack *const *lists, size_t n_lists,
                            const ptools_pmap_options *options, ptools_pmap_outcome outcome, void *outcome_arg)
{
    struct ptools_pmap *map;
    ptools_err err = ptools_pmap_start(pt, function, lists, n_lists, options, &map);

    return err == PTOOLS_OK ? pmap_run(map, "items", outcome, outcome_arg) : err;
}

ptools_err ptools_pmap_each_from(ptools *pt, const char *function, ptools_pmap_source source, void *source_arg,
                                 const ptools_pmap_options *options, ptools_pmap_outcome outcome, void *outcome_arg)
{
    struct ptools_pmap *map = NULL;
    ptools_err err = ptools_pmap_start_from(pt, function, source, source_arg, options, &map);

    return err == PTOOLS_OK ? pmap_run(map, "items", outcome, outcome_arg) : err;
}

ptools_err ptools_pmap_progress_read(ptools_pmap *map, ptools_pmap_progress *ret)
{
    if (!map || !ret)
        return PTOOLS_ERR_INVALID;
    *ret = map->progress;
    return PTOOLS_OK;
}

int64_t ptools_pmap_due_ms(ptools_pmap *map)
{
    return map && map->pt ? clock_poll_ms(MIN(map->tell_us, pmap_due_us(map))) : -1;
}
