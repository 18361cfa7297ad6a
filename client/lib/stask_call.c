/* SPDX-License-Identifier: MIT */
/*
 * stask_call -- calls of server tasks: one, or all of them, each with its elements of the lists.
 *
 * All lists are taken apart before anything is sent, so that a wrong one has no effect. A future of a server task is
 * one like any other; outcomes are the futures of all of them.
 */
#include "client/lib/handle.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static ptools_err check_function(struct ptools *pt, const char *function)
{
    struct text module, name;

    if (function && name_split(function, strlen(function), &module, &name))
        return PTOOLS_OK;
    return fail(pt, PTOOLS_ERR_INVALID,
                "function is \"%.140s\": MODULE.FUNCTION is expected, each 1 to %u of A-Z a-z 0-9 _ -",
                function ? function : "(NULL)", NAME_BYTES_MAX);
}

static ptools_err check_pack(struct ptools *pt, ptools_err err)
{
    if (err == PTOOLS_OK)
        return PTOOLS_OK;
    return fail(pt, err, "the arguments cannot be sent: %s",
                err == PTOOLS_ERR_INVALID ? "a list or map lacks items, or what was appended is no value"
                                          : ptools_strerror(err));
}

ptools_err ptools_stask_call(ptools_stasks *s, uint32_t i, const char *function, const ptools_pack *args,
                             ptools_future **ret_future)
{
    const uint8_t *payload;
    ptools_err err = stasks_check(s);
    size_t n;

    if (err != PTOOLS_OK)
        return err;
    if (!ret_future)
        return fail_static(s->pt, PTOOLS_ERR_INVALID, "ret_future is NULL");
    if (i >= s->n)
        return fail(s->pt, PTOOLS_ERR_RANGE,
                    "there are %" PRIu32 " server tasks, the last is %" PRIu32 ", not %" PRIu32, s->n, s->n - 1, i);
    err = check_function(s->pt, function);
    if (err == PTOOLS_OK)
        err = check_pack(s->pt, pack_finish_arguments(args, &payload, &n));
    return err == PTOOLS_OK ? lane_call(&s->lanes[i], function, payload, n, CLOCK_FOREVER, ret_future) : err;
}

/* -- lists ---------------------------------------------------------------------------------------------- */

/* The items of a list, one after the other. */
struct items {
    const uint8_t *at;
    size_t left;
};

enum { LIST_HEAD_BYTES_MAX = 5 }; /* of a list in msgpack */

/* Passes over the next item: its bytes. The list was found well-formed and long enough. */
static size_t items_skip(struct items *items)
{
    static const struct scan_limits limits = { SCAN_DEPTH_MAX, UINT64_MAX };
    size_t bytes = 0;

    if (scan_prefix(items->at, items->left, &limits, &bytes, NULL) != SCAN_OK)
        return 0;
    items->at += bytes;
    items->left -= bytes;
    return bytes;
}

static void items_next(struct items *items, struct bytes *out)
{
    const uint8_t *at = items->at;

    bytes_append(out, at, items_skip(items));
}

/* Each list has as many items as there are tasks. */
static ptools_err open_lists(struct ptools_stasks *s, const ptools_pack *const *lists, size_t n, struct items *ret)
{
    for (size_t k = 0; k < n; k++) {
        uint64_t count;
        ptools_err err;

        if (!lists[k])
            return fail(s->pt, PTOOLS_ERR_INVALID, "list %zu is NULL", k + 1);
        err = check_pack(s->pt, pack_finish_items(lists[k], &ret[k].at, &ret[k].left, &count));
        if (err != PTOOLS_OK)
            return err;
        if (count != s->n)
            return fail(s->pt, PTOOLS_ERR_INVALID,
                        "list %zu has %" PRIu64 " elements, there are %" PRIu32 " server tasks", k + 1, count, s->n);
    }
    return PTOOLS_OK;
}

/* [list1[i], list2[i], ...]; an error sticks in out. */
static void one_of_each(struct items *items, size_t n, struct bytes *out)
{
    msgpack_packer pk;

    bytes_reset(out);
    msgpack_packer_init(&pk, out, bytes_write);
    msgpack_pack_array(&pk, n);
    for (size_t k = 0; k < n; k++)
        items_next(&items[k], out);
}

/* -- outcomes ------------------------------------------------------------------------------------------- */

ptools_outcomes *ptools_outcomes_free(ptools_outcomes *o)
{
    for (uint32_t i = 0; o && i < o->n; i++)
        ptools_future_free(o->futures[i]);
    free(o);
    return NULL;
}

uint32_t ptools_outcomes_count(const ptools_outcomes *o)
{
    return o ? o->n : 0;
}

ptools_future *ptools_outcomes_future(ptools_outcomes *o, uint32_t i)
{
    return o && i < o->n ? o->futures[i] : NULL;
}

static struct ptools_outcomes *outcomes_new(uint32_t n)
{
    struct ptools_outcomes *o = calloc(1, sizeof *o + n * sizeof o->futures[0]);

    if (o)
        o->n = n;
    return o;
}

/* All are done: the overall status. */
static ptools_err overall(struct ptools_outcomes *o)
{
    struct ptools *pt = NULL;
    uint32_t failed = 0, first = 0;

    for (uint32_t i = 0; i < o->n; i++) {
        if (!o->futures[i]->failed)
            continue;
        first = failed++ ? first : i;
        pt = o->futures[i]->pt;
    }
    if (failed == 0)
        return PTOOLS_OK;
    if (pt) {
        char text[400];

        snprintf(text, sizeof text, "%s", o->futures[first]->failure.facts.message);
        fail_with(pt, &o->futures[first]->failure);
        return fail(pt, pt->last.facts.code,
                    "%" PRIu32 " of %" PRIu32 " server tasks failed, the first is %" PRIu32 ": %s", failed, o->n, first,
                    text);
    }
    return o->futures[first]->failure.facts.code;
}

/* Waits for one. Those before it are waited for next, so they wake nobody meanwhile, and may have answered by now. */
static ptools_err await_next(struct ptools_future *f, uint64_t until_us, bool first)
{
    if (!first && f->lane)
        lane_receive(f->lane);
    for (bool over = false; !f->done && !over;)
        over = !handle_pump_lane(f->pt, f->lane, until_us) ||
               (until_us != CLOCK_FOREVER && clock_now_us() >= until_us);
    if (!f->done)
        handle_pump(f->pt, 0); /* what the others have answered is there all the same */
    return f->done ? PTOOLS_OK : PTOOLS_ERR_TIMEOUT;
}

/* From the last to the first: the last was asked last, and when it has answered most others have, too. So the caller
 * sleeps once, not once for each. */
static ptools_err wait_until(struct ptools_outcomes *o, int64_t timeout_ms, uint64_t until_us)
{
    bool first = true;

    for (uint32_t i = o->n; i-- > 0;) {
        struct ptools_future *f = o->futures[i];
        ptools_err err = f->pt && !f->done ? handle_check(f->pt) : PTOOLS_OK;

        if (err == PTOOLS_OK && f->pt && !f->done)
            err = check_timeout(f->pt, timeout_ms);
        if (err != PTOOLS_OK)
            return err;
        if (!f->done && await_next(f, until_us, first) != PTOOLS_OK)
            return fail(f->pt, PTOOLS_ERR_TIMEOUT,
                        "the wait is over and server task %" PRIu32 " is not done; it goes on", i);
        first = false;
    }
    return overall(o);
}

ptools_err ptools_outcomes_wait(ptools_outcomes *o, int64_t timeout_ms)
{
    return o ? wait_until(o, timeout_ms, clock_until_us(timeout_ms)) : PTOOLS_ERR_INVALID;
}

/* No call's arguments are more than can be sent at all; so much is found out before the first leaves. */
static ptools_err check_sizes(struct ptools_stasks *s, const struct items *lists, size_t n)
{
    struct ptools *pt = s->pt;
    const uint64_t most = pt->large == UINT64_MAX ? pt->message_max : ANSWER_BYTES_MAX;
    AUTO_MEM struct items *items = malloc((n + 1) * sizeof *items);

    if (!items)
        return fail_no_memory(pt);
    memcpy(items, lists, n * sizeof *items);
    for (uint32_t i = 0; i < s->n; i++) {
        uint64_t bytes = LIST_HEAD_BYTES_MAX;

        for (size_t k = 0; k < n; k++)
            bytes += items_skip(&items[k]);
        if (bytes > most)
            return fail(pt, PTOOLS_ERR_TOO_LARGE,
                        "the arguments of server task %" PRIu32 " have %" PRIu64 " bytes, at most %" PRIu64
                        " can be sent", i, bytes, most);
    }
    return PTOOLS_OK;
}

/* One call, or a future that has failed already. False: no memory even for that. */
static bool begin(struct lane *lane, const char *function, const struct bytes *args, uint64_t until_us,
                  struct ptools_future **ret)
{
    struct ptools *pt = lane->stasks->pt;
    ptools_err err;

    if (args->err < 0)
        err = args->err == -ENOMEM ? fail_no_memory(pt)
                                   : fail_static(pt, PTOOLS_ERR_TOO_LARGE, "the arguments of one call are over 2 GiB");
    else
        err = lane_call(lane, function, args->data, args->n, until_us, ret);
    if (err == PTOOLS_OK)
        return true;
    *ret = future_new_failed(pt);
    return *ret != NULL;
}

/* Fails only while nothing was begun: what fails later is an outcome. */
static ptools_err start(struct ptools_stasks *s, const char *function, struct items *items, size_t n_lists,
                        uint64_t until_us, struct ptools_outcomes **ret)
{
    struct ptools_outcomes *o;
    struct bytes args;
    ptools_err err = check_sizes(s, items, n_lists);

    if (err != PTOOLS_OK)
        return err;
    o = outcomes_new(s->n);
    if (!o || !futures_reserve(s->pt, s->n)) {
        ptools_outcomes_free(o);
        return fail_no_memory(s->pt);
    }
    bytes_init(&args, ANSWER_BYTES_MAX);
    for (uint32_t i = 0; i < o->n; i++) {
        one_of_each(items, n_lists, &args);
        if (!begin(&s->lanes[i], function, &args, until_us, &o->futures[i]))
            o->n = i;
    }
    bytes_deinit(&args);
    for (uint32_t i = 0; i < o->n; i++) {
        if (o->futures[i]->call != 0) { /* it has begun */
            *ret = o;
            return PTOOLS_OK;
        }
    }
    err = o->n > 0 ? fail_with(s->pt, &o->futures[0]->failure) : fail_no_memory(s->pt);
    ptools_outcomes_free(o);
    return err;
}

static ptools_err check_and_start(struct ptools_stasks *s, const char *function, const ptools_pack *const *lists,
                                  size_t n_lists, uint64_t until_us, struct ptools_outcomes **ret_outcomes)
{
    AUTO_MEM struct items *items = NULL;
    ptools_err err = stasks_check(s);

    if (err != PTOOLS_OK)
        return err;
    if (!ret_outcomes || (n_lists > 0 && !lists))
        return fail_static(s->pt, PTOOLS_ERR_INVALID, ret_outcomes ? "lists is NULL" : "ret_outcomes is NULL");
    err = check_function(s->pt, function);
    if (err != PTOOLS_OK)
        return err;
    items = calloc(n_lists + 1, sizeof *items);
    if (!items)
        return fail_no_memory(s->pt);
    err = open_lists(s, lists, n_lists, items);
    return err == PTOOLS_OK ? start(s, function, items, n_lists, until_us, ret_outcomes) : err;
}

ptools_err ptools_pmap_stasks_start(ptools_stasks *s, const char *function, const ptools_pack *const *lists,
                                    size_t n_lists, ptools_outcomes **ret_outcomes)
{
    return check_and_start(s, function, lists, n_lists, CLOCK_FOREVER, ret_outcomes);
}

ptools_err ptools_pmap_stasks(ptools_stasks *s, const char *function, const ptools_pack *const *lists, size_t n_lists,
                              int64_t timeout_ms, ptools_outcomes **ret_outcomes)
{
    const uint64_t until_us = clock_until_us(timeout_ms);
    ptools_err err;

    if (ret_outcomes)
        *ret_outcomes = NULL;
    err = stasks_check(s);
    if (err == PTOOLS_OK)
        err = check_timeout(s->pt, timeout_ms);
    if (err == PTOOLS_OK)
        err = check_and_start(s, function, lists, n_lists, until_us, ret_outcomes);
    return err == PTOOLS_OK ? wait_until(*ret_outcomes, timeout_ms, until_us) : err;
}

ptools_err stasks_call_each(struct ptools_stasks *s, const char *function, const ptools_pack *args, const bool *which)
{
    struct ptools_outcomes *o;
    uint32_t n = 0, k = 0;
    ptools_err err = PTOOLS_OK;

    for (uint32_t i = 0; i < s->n; i++)
        n += which[i];
    o = outcomes_new(n);
    if (!o)
        return fail_no_memory(s->pt);
    for (uint32_t i = 0; err == PTOOLS_OK && i < s->n; i++)
        if (which[i])
            err = ptools_stask_call(s, i, function, args, &o->futures[k++]);
    if (err == PTOOLS_OK)
        err = ptools_outcomes_wait(o, PTOOLS_FOREVER);
    ptools_outcomes_free(o);
    return err;
}
