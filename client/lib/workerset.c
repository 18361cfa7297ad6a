/* SPDX-License-Identifier: MIT */
/*
 * workerset -- handles of worker sets. The set itself, its members and its bookkeeping are the daemon's;
 * here is the number under which this connection knows it.
 *
 * A number is good for the connection on which it was told. After a reconnect a named set is opened
 * again by its name when it is next used; an anonymous one has ended with its connection.
 */
#include "client/lib/handle.h"

#include <string.h>

/* PTOOLS_OK, and a set that is in no list yet. */
static ptools_err set_new(struct ptools *pt, const char *name, ptools_workerset **ret_set,
                          struct ptools_workerset **ret)
{
    struct ptools_workerset *set;

    if (!ret_set)
        return fail_static(pt, PTOOLS_ERR_INVALID, "ret_set is NULL");
    if (name && !name_ok_set(name, strlen(name)))
        return fail(pt, PTOOLS_ERR_INVALID,
                    "\"%.80s\" is no name for a worker set: 1 to %u of A-Z a-z 0-9 _ . - , not beginning with a digit",
                    name, NAME_BYTES_MAX);
    set = calloc(1, sizeof *set);
    if (!set)
        return fail_no_memory(pt);
    if (name)
        strcpy(set->name, name);
    *ret = set;
    return PTOOLS_OK;
}

/* Fills in what create and change have in common. The ids are only borrowed: encoding does not write to them. */
static ptools_err describe(struct ptools *pt, struct msg_set *ret, const uint32_t *ids, size_t n, ptools_ws_mode mode)
{
    if (n == 0 || n > SET_MEMBERS_MAX || !ids)
        return fail(pt, PTOOLS_ERR_INVALID, "a worker set has 1 to %u members, these are %zu%s", SET_MEMBERS_MAX, n,
                    ids ? "" : " (ids is NULL)");
    if (mode != PTOOLS_WS_RR && mode != PTOOLS_WS_FF)
        return fail(pt, PTOOLS_ERR_INVALID, "mode is %d: PTOOLS_WS_RR (%d) or PTOOLS_WS_FF (%d)", (int)mode,
                    PTOOLS_WS_RR, PTOOLS_WS_FF);
    ret->mode = (uint32_t)mode;
    ret->n = (uint32_t)n;
    ret->members = (uint32_t *)(uintptr_t)ids;
    return PTOOLS_OK;
}

/* Asks, and on success the set is known under the number that came. */
static ptools_err ask(struct ptools *pt, struct msg_request *request, struct ptools_workerset *set, uint64_t until_us)
{
    struct ptools_future *f;
    ptools_err err = request_wait(pt, request, round_trip_until_us(pt, until_us), &f);

    if (err != PTOOLS_OK)
        return err;
    set->id = f->reply.set_id;
    set->generation = pt->generation;
    ptools_future_free(f);
    return PTOOLS_OK;
}

static ptools_err adopt(struct ptools *pt, struct ptools_workerset *set, ptools_err err, ptools_workerset **ret_set)
{
    if (err != PTOOLS_OK) {
        free(set);
        return err;
    }
    set->pt = pt;
    LIST_INSERT_HEAD(&pt->sets, set, link);
    *ret_set = set;
    return PTOOLS_OK;
}

ptools_err ptools_workerset_create(ptools *pt, const char *name, const uint32_t *ids, size_t n, ptools_ws_mode mode,
                                   ptools_workerset **ret_set)
{
    struct msg_request request = { .kind = MSG_SET_CREATE };
    struct ptools_workerset *set = NULL;
    ptools_err err = handle_check(pt);

    if (err == PTOOLS_OK)
        err = describe(pt, &request.set, ids, n, mode);
    if (err == PTOOLS_OK)
        err = set_new(pt, name, ret_set, &set);
    if (!set)
        return err;
    if (name)
        request.set.name = (struct text){ set->name, strlen(set->name) };
    return adopt(pt, set, ask(pt, &request, set, CLOCK_FOREVER), ret_set);
}

static ptools_err open_by_name(struct ptools *pt, struct ptools_workerset *set, uint64_t until_us)
{
    struct msg_request request = { .kind = MSG_SET_OPEN, .set = { .name = { set->name, strlen(set->name) } } };

    return ask(pt, &request, set, until_us);
}

ptools_err ptools_workerset_open(ptools *pt, const char *name, ptools_workerset **ret_set)
{
    struct ptools_workerset *set = NULL;
    ptools_err err = handle_check(pt);

    if (err == PTOOLS_OK)
        err = set_new(pt, name ? name : "", ret_set, &set);
    return set ? adopt(pt, set, open_by_name(pt, set, CLOCK_FOREVER), ret_set) : err;
}

ptools_err workerset_resolve(struct ptools_workerset *set, uint64_t until_us, uint32_t *ret_id)
{
    struct ptools *pt = set->pt;
    ptools_err err;

    if (set->generation != pt->generation && !*set->name)
        return fail_static(pt, PTOOLS_ERR_NO_SET,
                           "the worker set was anonymous: it ended when its connection was lost");
    if (set->generation != pt->generation) {
        err = open_by_name(pt, set, until_us);
        if (err != PTOOLS_OK)
            return err;
    }
    *ret_id = set->id;
    return PTOOLS_OK;
}

/* The door of the functions that take a set alone. */
static ptools_err set_check(struct ptools_workerset *set)
{
    if (!set)
        return PTOOLS_ERR_INVALID;
    return set->pt ? handle_check(set->pt) : PTOOLS_ERR_CLOSED;
}

ptools_err ptools_workerset_change(ptools_workerset *set, const uint32_t *ids, size_t n, ptools_ws_mode mode)
{
    struct msg_request request = { .kind = MSG_SET_CHANGE };
    ptools_err err = set_check(set);

    if (err == PTOOLS_OK)
        err = describe(set->pt, &request.set, ids, n, mode);
    return err == PTOOLS_OK ? request_round_trip(set->pt, &request, set, NULL) : err;
}

ptools_err ptools_workerset_destroy(ptools_workerset *set)
{
    struct msg_request request = { .kind = MSG_SET_DESTROY };
    ptools_err err = set_check(set);

    return err == PTOOLS_OK ? request_round_trip(set->pt, &request, set, NULL) : err;
}

ptools_workerset *ptools_workerset_free(ptools_workerset *set)
{
    struct ptools *pt = set ? set->pt : NULL;

    if (pt) {
        struct msg_request request = { .kind = MSG_SET_DESTROY, .set = { .set_id = set->id } };

        /* If it cannot be sent, the connection is lost, and the set with it. */
        if (!*set->name && handle_is_ours(pt) && connection_alive(pt) && set->generation == pt->generation)
            request_send(pt, &request, NULL, 0, CLOCK_FOREVER, NULL);
        LIST_REMOVE(set, link);
    }
    free(set);
    return NULL;
}
