/* SPDX-License-Identifier: MIT */
/*
 * large -- arguments and values above a size do not go through sockets: they lie in an array without a name, which
 * caller and worker have mapped, and only its number travels.
 *
 * Such an array is called a scratch here. Making and mapping one costs far more than copying into it, so a few are
 * kept for the next call, mapped on both sides. A scratch is idle, or belongs to one future: as the arguments and the
 * room of a call in flight, then as the value of one that is done. If there is none to be had (a quota, no memory),
 * the bytes go through the socket, as far as they fit into a message.
 */
#include "client/lib/handle.h"

#include <string.h>

enum { MS_PER_GIB = 4000 }; /* to reserve memory takes time: so much more than a round trip, at most */
enum { ROUND_PART = 8, ROUND_MIN = 1 << 20 }; /* sizes are rounded up by up to an eighth, so that similar ones fit */
#define SCRATCH_IDLE_BYTES_MAX (UINT64_C(512) << 20)

struct scratch {
    struct ptools *pt;
    struct ptools_array *array;
    bool busy;
    size_t n; /* bytes of the value in it */
    struct scratch *next;
};

uint64_t scratch_id(const struct scratch *s)
{
    return s ? s->array->id : 0;
}

const uint8_t *scratch_data(const struct scratch *s, size_t *ret_n)
{
    *ret_n = s->n;
    return s->array->data;
}

static void unlist(struct scratch *s)
{
    struct scratch **at = &s->pt->scratches;

    while (*at != s)
        at = &(*at)->next;
    *at = s->next;
}

/* Out of the list; the daemon ends the array, once no task uses it. */
static void scratch_free(struct scratch *s)
{
    struct ptools *pt = s->pt;

    if (pt) {
        unlist(s);
        if (s->array->generation == pt->generation)
            array_unlink(pt, s->array->id);
    }
    ptools_array_free(s->array);
    free(s);
}

void large_orphan(struct ptools_future *f)
{
    struct scratch *value = f->value;

    f->value = NULL;
    large_release(f);
    if (value) { /* it stays mapped, for the future to tell */
        unlist(value);
        value->pt = NULL;
    }
    f->value = value;
}

void large_destroy(struct ptools_future *f)
{
    if (f->value)
        scratch_free(f->value);
    f->value = NULL;
}

void scratch_forget(struct ptools *pt)
{
    struct scratch *s, *next;

    for (s = pt->scratches; s; s = next) {
        next = s->next;
        if (!s->busy) /* one that a future holds goes with that */
            scratch_free(s);
    }
}

/* What is idle is bounded: the one that was idle longest goes first. */
static void trim(struct ptools *pt)
{
    for (;;) {
        struct scratch *last = NULL;
        uint64_t bytes = 0;
        unsigned n = 0;

        for (struct scratch *s = pt->scratches; s; s = s->next) {
            if (s->busy)
                continue;
            n++;
            bytes += s->array->layout.bytes;
            last = s;
        }
        if (!last || (n <= SCRATCH_MAX && bytes <= SCRATCH_IDLE_BYTES_MAX))
            return;
        scratch_free(last);
    }
}

void scratch_give_back(struct scratch *s)
{
    struct ptools *pt;
    struct scratch **at;

    if (!s)
        return;
    pt = s->pt;
    if (!pt) {
        scratch_free(s);
        return;
    }
    s->busy = false;
    if (s->array->generation != pt->generation) {
        scratch_free(s);
        return;
    }
    for (at = &pt->scratches; *at != s;) /* to the front: the one used last is the warmest */
        at = &(*at)->next;
    *at = s->next;
    s->next = pt->scratches;
    pt->scratches = s;
    trim(pt);
}

static struct scratch *scratch_add(struct ptools *pt, struct ptools_array *array)
{
    struct scratch *s = calloc(1, sizeof *s);

    if (!s)
        return NULL;
    *s = (struct scratch){ .pt = pt, .array = array, .busy = true, .next = pt->scratches };
    pt->scratches = s;
    return s;
}

/* An idle one that n bytes fit into, and not far too large. */
static struct scratch *find_idle(struct ptools *pt, uint64_t n)
{
    struct scratch *best = NULL;

    for (struct scratch *s = pt->scratches; s; s = s->next)
        if (!s->busy && s->array->layout.bytes >= n && s->array->layout.bytes / 4 <= MAX(n, (uint64_t)ROUND_MIN) &&
            s->array->generation == pt->generation && (!best || s->array->layout.bytes < best->array->layout.bytes))
            best = s;
    return best;
}

static ptools_err scratch_new(struct ptools *pt, uint64_t n, uint64_t until_us, struct scratch **ret)
{
    uint64_t step = MAX(n / ROUND_PART, (uint64_t)ROUND_MIN / ROUND_PART);
    struct msg_array m = { .type = PTOOLS_UINT8, .ndims = 1, .dims = { (n + step - 1) / step * step } };
    struct fds_request request = { .kind = FDS_ARRAY, .owner = FDS_OWN };
    struct ptools_array *array;
    ptools_err err = array_create(pt, &m, until_us, &request.id);

    if (err != PTOOLS_OK)
        return err;
    err = array_map(pt, &request, PTOOLS_SHM_POPULATE, until_us, &array);
    if (err != PTOOLS_OK) {
        array_unlink(pt, request.id);
        return err;
    }
    *ret = scratch_add(pt, array);
    if (*ret)
        return PTOOLS_OK;
    array_unlink(pt, request.id);
    ptools_array_free(array);
    return PTOOLS_ERR_NO_MEMORY;
}

/* If there is none, that is no failure of the call: it goes another way. PTOOLS_ERR_TIMEOUT: there is no other. */
static ptools_err scratch_try(struct ptools *pt, uint64_t n, uint64_t until_us, struct scratch **ret)
{
    const uint64_t round_trip_us = round_trip_until_us(pt, CLOCK_FOREVER);
    struct failure last;
    ptools_err err;

    if (round_trip_us != CLOCK_FOREVER)
        until_us = MIN(until_us, round_trip_us + (n >> 20) * MS_PER_GIB / 1024 * 1000);
    failure_init(&last);
    failure_copy(&last, &pt->last);
    err = scratch_new(pt, n, until_us, ret);
    if (err != PTOOLS_OK && err != PTOOLS_ERR_TIMEOUT) {
        failure_copy(&pt->last, &last);
        *ret = NULL;
        err = PTOOLS_OK;
    }
    failure_deinit(&last);
    return err;
}

ptools_err large_prepare(struct ptools *pt, const uint8_t *payload, size_t n, uint64_t until_us,
                         struct scratch **ret_args, struct scratch **ret_room)
{
    const uint64_t generation = pt->generation;
    struct scratch *args = NULL, *room = NULL;
    ptools_err err = PTOOLS_OK;

    if (n > pt->large) {
        args = find_idle(pt, n);
        if (args)
            args->busy = true;
        else
            err = scratch_try(pt, n, until_us, &args);
        if (err != PTOOLS_OK)
            return err;
        if (pt->generation != generation) {
            scratch_give_back(args);
            return PTOOLS_ERR_LOST;
        }
        if (args)
            memcpy(args->array->data, payload, n);
    }
    if (pt->last_value_bytes > 0) {
        room = find_idle(pt, pt->last_value_bytes);
        if (room)
            room->busy = true;
    }
    *ret_args = args;
    *ret_room = room;
    return PTOOLS_OK;
}

ptools_err large_take_value(struct ptools_future *f, uint64_t id, uint64_t bytes)
{
    struct fds_request request = { .kind = FDS_ARRAY, .id = id, .owner = FDS_OWN };
    struct ptools *pt = f->pt;
    struct ptools_array *array;
    ptools_err err;

    if (f->room && f->room->array->id == id) {
        f->value = f->room;
        f->room = NULL;
    } else if (f->abandoned) {
        array_unlink(pt, id); /* nobody will look at it */
        return PTOOLS_OK;
    } else {
        err = array_map(pt, &request, PTOOLS_SHM_POPULATE, CLOCK_FOREVER, &array);
        if (err == PTOOLS_OK) {
            f->value = scratch_add(pt, array);
            if (!f->value) {
                ptools_array_free(array);
                err = fail_no_memory(pt);
            }
        }
        if (err != PTOOLS_OK) {
            array_unlink(pt, id);
            return err;
        }
    }
    if (bytes > f->value->array->layout.bytes)
        return fail(pt, PTOOLS_ERR_PROTOCOL, "a value of %llu bytes is said to lie in an array of %llu",
                    (unsigned long long)bytes, (unsigned long long)f->value->array->layout.bytes);
    f->value->n = bytes;
    pt->last_value_bytes = bytes;
    return PTOOLS_OK;
}

void large_done(struct ptools_future *f)
{
    scratch_give_back(f->args);
    scratch_give_back(f->room);
    f->args = f->room = NULL;
}

void large_release(struct ptools_future *f)
{
    if (f->done) {
        large_done(f);
    } else {
        if (f->args)
            scratch_free(f->args);
        if (f->room)
            scratch_free(f->room);
        f->args = f->room = NULL;
    }
    scratch_give_back(f->value);
    f->value = NULL;
    f->parsed = false;
}
