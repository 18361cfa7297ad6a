/* SPDX-License-Identifier: MIT */
/*
 * fuzz_scan -- any bytes as a msgpack value. What passes the scan must be a value for msgpack-c too, of
 * the same length and the same number of items, and within the limits.
 *
 * The first byte of the input chooses the limits.
 */
#include <msgpack.h>
#include <stdlib.h>
#include <string.h>

#include "proto/limits.h"
#include "proto/scan.h"
#include "proto/value.h"
#include "tests/fuzz/fuzz.h"

/* Floats by their bits: NaN is equal to itself here. */
static bool same(const msgpack_object *a, const msgpack_object *b)
{
    if (a->type != b->type)
        return false;
    if (a->type == MSGPACK_OBJECT_FLOAT32 || a->type == MSGPACK_OBJECT_FLOAT64)
        return memcmp(&a->via.f64, &b->via.f64, sizeof a->via.f64) == 0;
    if (a->type != MSGPACK_OBJECT_ARRAY)
        return msgpack_object_equal(*a, *b);
    if (a->via.array.size != b->via.array.size)
        return false;
    for (uint32_t i = 0; i < a->via.array.size; i++)
        if (!same(&a->via.array.ptr[i], &b->via.array.ptr[i]))
            return false;
    return true;
}

static uint64_t count_items(const msgpack_object *o, uint32_t *depth, uint32_t *deepest)
{
    uint64_t items = 1;
    uint32_t n = o->type == MSGPACK_OBJECT_ARRAY ? o->via.array.size
                 : o->type == MSGPACK_OBJECT_MAP ? o->via.map.size
                                                 : 0;

    if (o->type == MSGPACK_OBJECT_ARRAY || o->type == MSGPACK_OBJECT_MAP)
        ++*depth;
    if (*depth > *deepest)
        *deepest = *depth;
    for (uint32_t i = 0; i < n; i++) {
        if (o->type == MSGPACK_OBJECT_ARRAY) {
            items += count_items(&o->via.array.ptr[i], depth, deepest);
        } else {
            items += count_items(&o->via.map.ptr[i].key, depth, deepest);
            items += count_items(&o->via.map.ptr[i].val, depth, deepest);
        }
    }
    if (o->type == MSGPACK_OBJECT_ARRAY || o->type == MSGPACK_OBJECT_MAP)
        --*depth;
    return items;
}

/* msgpack-c agrees. Only asked about what passed: it believes the counts. */
static void check_with_msgpack(const uint8_t *data, size_t n, size_t bytes, uint64_t items,
                               const struct scan_limits *limits)
{
    msgpack_unpacked unpacked;
    size_t at = 0;
    uint32_t depth = 0, deepest = 0;

    msgpack_unpacked_init(&unpacked);
    check(msgpack_unpack_next(&unpacked, (const char *)data, n, &at) == MSGPACK_UNPACK_SUCCESS);
    check(at == bytes);
    check(count_items(&unpacked.data, &depth, &deepest) == items);
    check(deepest <= limits->depth);
    check(items <= limits->items);
    msgpack_unpacked_destroy(&unpacked);
}

/* What is read as a flat list is that list for msgpack-c, too. */
static void check_flat(const uint8_t *data, size_t n)
{
    msgpack_object flat[FLAT_MAX], list = { .type = MSGPACK_OBJECT_ARRAY };
    struct payload payload;
    size_t bytes, expected;
    const char *why;

    if (!flat_list_read(data, n, flat, &list.via.array.size, &bytes))
        return;
    list.via.array.ptr = flat;
    payload_init(&payload);
    check(payload_parse_first(&payload, data, n, &expected, &why) == PTOOLS_OK);
    check(bytes == expected);
    check(same(&list, &payload.root));
    payload_deinit(&payload);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct scan_limits limits = { .depth = PAYLOAD_DEPTH_MAX, .items = 1 << 20 };
    enum scan_result whole, prefix;
    size_t bytes = 0;
    uint64_t items = 0;

    if (n == 0)
        return 0;
    if (data[0] & 1)
        limits = (struct scan_limits){ .depth = data[0] >> 4, .items = data[0] };
    data++;
    n--;

    check_flat(data, n);
    prefix = scan_prefix(data, n, &limits, &bytes, &items);
    whole = scan_value(data, n, &limits);
    check(strlen(scan_text(prefix)) > 0 && strlen(scan_text(whole)) > 0);
    if (prefix != SCAN_OK) {
        check(scan_small(data, n) == 0 || prefix == SCAN_TOO_MANY);
        check(prefix != SCAN_TRAILING);
        check(whole == prefix);
        check(bytes == 0 && items == 0);
        return 0;
    }
    check(bytes > 0 && bytes <= n);
    check(scan_small(data, n) == 0 || (scan_small(data, n) == bytes && items == 1));
    check(whole == (bytes == n ? SCAN_OK : SCAN_TRAILING));
    check(scan_value(data, bytes, &limits) == SCAN_OK);
    check(scan_value(data, bytes - 1, &limits) == SCAN_TRUNCATED);
    check_with_msgpack(data, n, bytes, items, &limits);
    return 0;
}
