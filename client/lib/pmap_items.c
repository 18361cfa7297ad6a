/* SPDX-License-Identifier: MIT */
/*
 * pmap_items -- where items come from: lists of the user's, or a function of the user's that yields them. Each is
 * written once, as the list of arguments that the worker will read, behind those before it.
 */
#include <inttypes.h>
#include <string.h>

#include "client/lib/pmap.h"

enum { SMALL_BYTES = 16 };

static const struct scan_limits limits = { SCAN_DEPTH_MAX, UINT64_MAX };

ptools_err pmap_open_lists(struct ptools_pmap *map, const ptools_pack *const *lists, size_t n)
{
    for (size_t k = 0; k < n; k++) {
        uint64_t count;
        ptools_err err;

        if (!lists[k])
            return fail(map->pt, PTOOLS_ERR_INVALID, "list %zu is NULL", k + 1);
        err = pack_finish_items(lists[k], &map->lists[k].at, &map->lists[k].left, &count);
        if (err != PTOOLS_OK)
            return fail(map->pt, err, "list %zu cannot be used: %s", k + 1,
                        err == PTOOLS_ERR_INVALID ? "a list or map in it lacks items, or what was appended is no value"
                                                  : ptools_strerror(err));
        if (k > 0 && count != map->of)
            return fail(map->pt, PTOOLS_ERR_INVALID,
                        "the lists must be of one length: list 1 has %" PRIu64 " items, list %zu has %" PRIu64, map->of,
                        k + 1, count);
        map->of = count;
    }
    map->n_lists = n;
    return PTOOLS_OK;
}

/* The value at the front of a list goes to the end of what is being built; the lists were found well-formed. */
static inline void take_value(struct bytes *out, struct pmap_list *list)
{
    size_t bytes = scan_small(list->at, list->left);
    uint8_t *to;

    if (bytes == 0)
        (void)scan_prefix(list->at, list->left, &limits, &bytes, NULL);
    to = bytes_room(out, MAX(bytes, (size_t)SMALL_BYTES));
    if (to && bytes <= SMALL_BYTES && list->left >= SMALL_BYTES)
        memcpy(to, list->at, SMALL_BYTES); /* some may be too many: that is quicker than the right number */
    else if (to)
        memcpy(to, list->at, bytes);
    out->n += to ? bytes : 0;
    list->at += bytes;
    list->left -= bytes;
}

/* The next item of the lists. */
static inline void from_lists(struct ptools_pmap *map)
{
    const uint8_t head[] = { 0xdc, 0, (uint8_t)map->n_lists }; /* a list of PMAP_LISTS_MAX at most */
    struct bytes *out = &map->building;
    uint8_t *to;

    if (map->n_lists > FLAT_MAX) {
        bytes_append(out, head, sizeof head);
    } else if ((to = bytes_room(out, 1))) {
        *to = (uint8_t)(FLAT_LIST_OF_ONE - 1 + map->n_lists);
        out->n++;
    }
    for (size_t k = 0; k < map->n_lists; k++)
        take_value(out, &map->lists[k]);
}

/* False: there is none, or none yet; map->source_err says if that is not its word for it. */
static bool from_source(struct ptools_pmap *map)
{
    const uint8_t *list;
    size_t n;
    int r;

    ptools_pack_reset(map->pack);
    map->asking = true;
    r = map->source(map->pack, map->source_arg);
    map->asking = false;
    map->source_later = r == 2;
    if (r < 0 || r > 2)
        map->source_err = PTOOLS_ERR_CANCELLED;
    else if (r == 1)
        map->source_err = pack_finish_arguments(map->pack, &list, &n);
    if (r != 1 || map->source_err != PTOOLS_OK)
        return false;
    bytes_append(&map->building, list, n);
    return true;
}

/* Up to the item of that number, and of about so many bytes. */
static void take_from_lists(struct ptools_pmap *map, uint64_t until, size_t bytes_max)
{
    for (until = MIN(until, map->of); map->next < until && map->building.n < bytes_max; map->next++)
        from_lists(map);
    map->exhausted = map->next == map->of;
}

static void take_from_source(struct ptools_pmap *map, uint64_t until, size_t bytes_max)
{
    map->source_later = false;
    while (map->next < until && map->building.n < bytes_max && !map->exhausted && !map->source_later) {
        if (from_source(map))
            map->next++;
        else
            map->exhausted = !map->source_later;
    }
}

/* Items that were taken have an outcome, also without memory for them. */
static void close_segment(struct ptools_pmap *map, struct segment *s, uint32_t n)
{
    s->n = n;
    s->args = map->building.err ? NULL : blob_new(map->building.data, map->building.n);
    if (s->args) {
        s->args_n = map->building.n;
        map->held_bytes += s->args_n;
        TAILQ_INSERT_TAIL(&map->waiting, s, queue);
    } else {
        failure_set_message(&s->failure, PTOOLS_ERR_NO_MEMORY, "there is no memory to send it", false);
        segment_end_failed(map, s);
    }
}

ptools_err pmap_take(struct ptools_pmap *map, uint32_t n, size_t bytes_max)
{
    const uint64_t first = map->next;
    struct segment *s = segment_new(map, first, 0);

    if (!s)
        return fail_no_memory(map->pt);
    bytes_reset(&map->building);
    if (map->source)
        take_from_source(map, first + n, bytes_max);
    else
        take_from_lists(map, first + n, bytes_max);
    map->progress.items = map->next;
    if (map->next == first)
        segment_free(map, s);
    else
        close_segment(map, s, (uint32_t)(map->next - first));
    return PTOOLS_OK;
}

ptools_err pmap_take_none(struct ptools_pmap *map)
{
    while (!map->source && map->next < map->of) {
        const uint32_t n = (uint32_t)MIN(map->of - map->next, (uint64_t)INT32_MAX);
        struct segment *s = segment_new(map, map->next, n);

        if (!s)
            return fail_no_memory(map->pt);
        map->next += n;
        failure_set_message(&s->failure, PTOOLS_ERR_NOT_RUN, PMAP_NOT_RUN, false);
        segment_end_failed(map, s);
    }
    map->exhausted = true;
    map->progress.items = map->next;
    return PTOOLS_OK;
}
