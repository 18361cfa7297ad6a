/* SPDX-License-Identifier: MIT */
/*
 * scan -- is this a well-formed msgpack value, within limits? Asked before msgpack-c sees a byte.
 *
 * msgpack-c reserves memory for the count that a header claims before it has seen the elements
 * (five bytes make it ask for gigabytes). So every foreign byte passes here first: one iterative
 * walk, no allocation, no recursion. It checks that each count and length fits into the bytes that
 * are left, that nesting and the number of items stay within limits, that there is no 0xc1 and, if
 * asked for, that nothing follows the value.
 */
#ifndef PROTO_SCAN_H
#define PROTO_SCAN_H

#include <stddef.h>
#include <stdint.h>

struct scan_limits {
    uint32_t depth;  /* nesting of lists and maps, at most SCAN_DEPTH_MAX */
    uint64_t items;  /* values in all, containers and keys included */
};
enum { SCAN_DEPTH_MAX = 28 }; /* msgpack-c stops at 32 */

enum scan_result {
    SCAN_OK = 0,
    SCAN_TRUNCATED,  /* a header claims more than there is */
    SCAN_TOO_DEEP,
    SCAN_TOO_MANY,
    SCAN_BAD_BYTE,   /* 0xc1, which msgpack never uses */
    SCAN_EXT,        /* an extension type: not used here */
    SCAN_TRAILING    /* bytes after the value */
};

/* Checks that data[0..n) is exactly one value. */
enum scan_result scan_value(const uint8_t *data, size_t n, const struct scan_limits *limits);
/* Checks the value at the front; *ret_bytes is its length, *ret_items its items (either may be NULL). */
enum scan_result scan_prefix(const uint8_t *data, size_t n, const struct scan_limits *limits, size_t *ret_bytes,
                             uint64_t *ret_items);
/* The same in a moment for what most values are: neither list nor map, and of few bytes. 0: ask scan_prefix(). */
extern const uint8_t scan_small_bytes[32]; /* of those that begin with 0xc0 to 0xdf */
static inline size_t scan_small(const uint8_t *data, size_t n)
{
    const uint8_t first = n > 0 ? data[0] : 0x80;
    size_t bytes = 1; /* a small integer */

    if (first >= 0x80 && first < 0xe0)
        bytes = first < 0xa0 ? 0 : first < 0xc0 ? (size_t)first - 0x9f : scan_small_bytes[first - 0xc0];
    return bytes <= n ? bytes : 0;
}
/* "nested deeper than allowed", ...; never NULL. */
const char *scan_text(enum scan_result result);

#endif
