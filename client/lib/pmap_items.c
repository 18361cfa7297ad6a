/* SPDX-License-Identifier: MIT */
/*
 * pmap_items -- where items come from: lists of the user's, or a function of the user's that yields them. Each is
 * written once, as the list of arguments that the worker will read, behind those before it.
 */
#include <inttypes.h>
#include <string.h>

#include "client/lib/pmap.h"

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

/* The next item of the lists; they were found well-formed. */
static void from_lists(struct ptools_pmap *map)
{
    struct bytes *out = &map->building;
    msgpack_packer pk;

    msgpack_packer_init(&pk, out, bytes_write);
    msgpack_pack_array(&pk, map->n_lists);
    for (size_t k = 0; k < map->n_lists; k++) {
        struct pmap_list *list = &map->lists[k];
        size_t bytes = 0;

        (void)scan_prefix(list->at, list->left, &limits, &bytes, NULL);
        bytes_append(out, list->at, bytes);
        list->at += bytes;
        list->left -= bytes;
    }
}

/* 1: there was one; 0: there is none; 2: there is none yet; -1: it gives up. */
static int from_source(struct ptools_pmap *map)
{
    const uint8_t *list;
    size_t n;
    int r;

    ptools_pack_reset(map->pack);
    r = map->source(map->pack, map->source_arg);
    if (r != 1)
        return r == 0 || r == 2 ? r : -1;
    if (pack_finish_arguments(map->pack, &list, &n) != PTOOLS_OK)
        return -1;
    bytes_append(&map->building, list, n);
    return 1;
}

static int take_one(struct ptools_pmap *map)
{
    if (map->source)
        return from_source(map);
    if (map->next == map->of)
        return 0;
    from_lists(map);
    return 1;
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
    map->source_later = false;
    while (map->next - first < n && map->building.n < bytes_max && !map->exhausted && !map->source_later) {
        int r = take_one(map);

        map->exhausted = r <= 0;
        map->source_failed = r < 0;
        map->source_later = r == 2;
        map->next += r == 1;
    }
    if (!map->source && map->next == map->of)
        map->exhausted = true;
    map->progress.items = map->next;
    if (map->next == first)
        segment_free(map, s);
    else
        close_segment(map, s, (uint32_t)(map->next - first));
    return PTOOLS_OK;
}

ptools_err pmap_take_none(struct ptools_pmap *map)
{
    map->exhausted = true;
    while (!map->source && map->next < map->of) {
        const uint32_t n = (uint32_t)MIN(map->of - map->next, (uint64_t)INT32_MAX);
        struct segment *s = segment_new(map, map->next, n);

        if (!s)
            return fail_no_memory(map->pt);
        map->next += n;
        failure_set_message(&s->failure, PTOOLS_ERR_NOT_RUN, PMAP_NOT_RUN, false);
        segment_end_failed(map, s);
    }
    map->progress.items = map->next;
    return PTOOLS_OK;
}
