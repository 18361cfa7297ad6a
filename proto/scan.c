/* SPDX-License-Identifier: MIT */
/*
 * scan -- see scan.h.
 *
 * A first byte says what a value is and how long the number is that follows it. The walk keeps, for
 * each open container, how many values it still owes; a value that is done is struck off the innermost,
 * and a container that owes nothing is closed.
 */
#include "proto/scan.h"

#include "proto/util.h"

enum shape {
    PLAIN, /* bytes more bytes, and that is it */
    SIZED, /* a length of bytes bytes, and so many more */
    LIST,  /* a count of bytes bytes, and so many values */
    MAP,   /* a count of bytes bytes, and twice as many values */
    EXT,
    UNUSED
};
struct head {
    uint8_t shape;
    uint8_t bytes;
};

/* From 0xc0 to 0xdf; outside of these the first byte says it all. */
/* clang-format off */
static const struct head heads[32] = {
    { PLAIN, 0 }, { UNUSED, 0 }, { PLAIN, 0 }, { PLAIN, 0 }, /* nil, (never), false, true */
    { SIZED, 1 }, { SIZED, 2 },  { SIZED, 4 },               /* bin 8 16 32 */
    { EXT, 0 },   { EXT, 0 },    { EXT, 0 },                 /* ext 8 16 32 */
    { PLAIN, 4 }, { PLAIN, 8 },                              /* float 32 64 */
    { PLAIN, 1 }, { PLAIN, 2 },  { PLAIN, 4 }, { PLAIN, 8 }, /* uint 8 16 32 64 */
    { PLAIN, 1 }, { PLAIN, 2 },  { PLAIN, 4 }, { PLAIN, 8 }, /* int 8 16 32 64 */
    { EXT, 0 },   { EXT, 0 },    { EXT, 0 },   { EXT, 0 },  { EXT, 0 }, /* fixext 1 2 4 8 16 */
    { SIZED, 1 }, { SIZED, 2 },  { SIZED, 4 },               /* str 8 16 32 */
    { LIST, 2 },  { LIST, 4 },                               /* array 16 32 */
    { MAP, 2 },   { MAP, 4 },                                /* map 16 32 */
};

const uint8_t scan_small_bytes[32] = {
    1, 0, 1, 1,             /* nil, (never), false, true */
    0, 0, 0,                /* bin 8 16 32 */
    0, 0, 0,                /* ext 8 16 32 */
    5, 9,                   /* float 32 64 */
    2, 3, 5, 9,             /* uint 8 16 32 64 */
    2, 3, 5, 9,             /* int 8 16 32 64; and the rest needs a second look */
};
/* clang-format on */

static uint32_t be_get(const uint8_t *p, unsigned bytes)
{
    uint32_t v = 0;

    while (bytes-- > 0)
        v = v << 8 | *p++;
    return v;
}

enum scan_result scan_prefix(const uint8_t *data, size_t n, const struct scan_limits *limits, size_t *ret_bytes,
                             uint64_t *ret_items)
{
    uint64_t owed[SCAN_DEPTH_MAX + 1]; /* values that are still to come; [0]: the value itself */
    uint32_t depth = 0, depth_max = MIN(limits->depth, (uint32_t)SCAN_DEPTH_MAX);
    uint64_t items = 0;
    size_t at = 0;

    owed[0] = 1;
    do {
        enum shape shape = PLAIN;
        uint64_t more = 0; /* bytes, or values of a container */
        uint8_t first;

        if (at == n)
            return SCAN_TRUNCATED;
        if (items++ == limits->items)
            return SCAN_TOO_MANY;
        first = data[at++];
        owed[depth]--;

        if (first < 0x80 || first >= 0xe0) {
            /* a small integer */
        } else if (first < 0x90) {
            shape = MAP;
            more = first & 0x0f;
        } else if (first < 0xa0) {
            shape = LIST;
            more = first & 0x0f;
        } else if (first < 0xc0) {
            more = first & 0x1f;
        } else {
            struct head head = heads[first - 0xc0];

            shape = head.shape;
            if (shape == UNUSED)
                return SCAN_BAD_BYTE;
            if (shape == EXT)
                return SCAN_EXT;
            if (head.bytes > n - at)
                return SCAN_TRUNCATED;
            if (shape == PLAIN)
                more = head.bytes;
            else {
                more = be_get(data + at, head.bytes);
                at += head.bytes;
            }
        }

        if (shape == MAP)
            more *= 2;
        if (more > n - at) /* a value has at least one byte, so this holds for containers too */
            return SCAN_TRUNCATED;
        if (shape == LIST || shape == MAP) {
            if (depth == depth_max)
                return SCAN_TOO_DEEP;
            if (more > limits->items - items)
                return SCAN_TOO_MANY;
            owed[++depth] = more;
        } else {
            at += more;
        }
        while (depth > 0 && owed[depth] == 0)
            depth--;
    } while (depth > 0);
    if (ret_bytes)
        *ret_bytes = at;
    if (ret_items)
        *ret_items = items;
    return SCAN_OK;
}

enum scan_result scan_value(const uint8_t *data, size_t n, const struct scan_limits *limits)
{
    size_t bytes;
    enum scan_result r = scan_prefix(data, n, limits, &bytes, NULL);

    if (r == SCAN_OK && bytes < n)
        r = SCAN_TRAILING;
    return r;
}

const char *scan_text(enum scan_result result)
{
    static const char *const texts[] = {
        [SCAN_OK] = "well-formed",
        [SCAN_TRUNCATED] = "cut off: a length or count says more than there is",
        [SCAN_TOO_DEEP] = "nested deeper than allowed",
        [SCAN_TOO_MANY] = "more values than allowed",
        [SCAN_BAD_BYTE] = "byte 0xc1, which msgpack does not use",
        [SCAN_EXT] = "an extension type, which is not used here",
        [SCAN_TRAILING] = "bytes after the value",
    };

    return (size_t)result < ELEMENTS(texts) ? texts[result] : "unknown result";
}
