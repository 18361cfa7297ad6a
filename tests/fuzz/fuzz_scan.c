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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(bool holds)
{
    if (!holds)
        abort();
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

    prefix = scan_prefix(data, n, &limits, &bytes, &items);
    whole = scan_value(data, n, &limits);
    check(strlen(scan_text(prefix)) > 0 && strlen(scan_text(whole)) > 0);
    if (prefix != SCAN_OK) {
        check(prefix != SCAN_TRAILING);
        check(whole == prefix);
        check(bytes == 0 && items == 0);
        return 0;
    }
    check(bytes > 0 && bytes <= n);
    check(whole == (bytes == n ? SCAN_OK : SCAN_TRAILING));
    check(scan_value(data, bytes, &limits) == SCAN_OK);
    check(scan_value(data, bytes - 1, &limits) == SCAN_TRUNCATED);
    check_with_msgpack(data, n, bytes, items, &limits);
    return 0;
}
