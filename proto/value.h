/* SPDX-License-Identifier: MIT */
/*
 * value -- the inside of <ptools/value.h>: what library and worker need beyond the public functions.
 *
 * The functions that <ptools/value.h> declares are defined in value_pack.c and value_get.c, once, for both.
 */
#ifndef PROTO_VALUE_H
#define PROTO_VALUE_H

#include <endian.h>
#include <msgpack.h>
#include <ptools/value.h>

#include "proto/bytes.h"
#include "proto/limits.h"
#include "proto/scan.h"

enum { PACK_SPARE_BYTES = 5, PACK_OPEN_MAX = (int)PAYLOAD_DEPTH_MAX - 1 /* the list of arguments is a level itself */ };

/* The first PACK_SPARE_BYTES of the buffer are kept free, so that the header of the list of arguments (the longest has
 * that many bytes) can be put right before the first item when the pack is used. */
struct ptools_pack {
    struct bytes bytes;
    msgpack_packer out; /* into bytes */
    ptools_err refused; /* a wrong append stuck: PTOOLS_ERR_INVALID or PTOOLS_ERR_TOO_LARGE */
    uint64_t items;     /* on the top level */
    unsigned n_open;
    uint64_t open[PACK_OPEN_MAX]; /* appends that each open list or map still waits for; never 0 */
};
/* An empty one in memory of the caller's, its first bytes too: not for ptools_pack_free(). */
void pack_init_lent(struct ptools_pack *pack, void *room, size_t room_bytes);

/* For msgpack_packer_init(&packer, bytes, bytes_write): failures stick in the bytes. */
static inline int bytes_write(void *bytes, const char *data, size_t n)
{
    return bytes_append(bytes, data, n);
}

/* What was appended, as arguments: one list of all top-level values. Borrowed until the next append.
 * The code of pack errors otherwise. pack NULL: an empty list. */
ptools_err pack_finish_arguments(const ptools_pack *pack, const uint8_t **ret_data, size_t *ret_n);
/* What was appended on the top level, one value after the other, and how many. As above; pack must not be NULL. */
ptools_err pack_finish_items(const ptools_pack *pack, const uint8_t **ret_data, size_t *ret_n, uint64_t *ret_items);
/* What was appended, as one value: nil, the value, or a list of several. */
ptools_err pack_finish_any_value(const ptools_pack *pack, const uint8_t **ret_data, size_t *ret_n);
static inline ptools_err pack_finish_value(const ptools_pack *pack, const uint8_t **ret_data, size_t *ret_n)
{
    if (pack->items != 1 || pack->n_open > 0 || pack->refused || pack->bytes.err)
        return pack_finish_any_value(pack, ret_data, ret_n);
    *ret_data = pack->bytes.data + PACK_SPARE_BYTES;
    *ret_n = pack->bytes.n - PACK_SPARE_BYTES;
    return PTOOLS_OK;
}
/* ptools_pack_reset() */
static inline void pack_reset(ptools_pack *pack)
{
    bytes_reset(&pack->bytes);
    if (bytes_room(&pack->bytes, PACK_SPARE_BYTES))
        pack->bytes.n = PACK_SPARE_BYTES;
    pack->refused = PTOOLS_OK;
    pack->items = 0;
    pack->n_open = 0;
}

/* A payload, scanned and unpacked: owns the tree, borrows strings from the bytes. */
struct payload {
    msgpack_zone zone;
    bool zone_ready;
    msgpack_object root;
};
void payload_init(struct payload *p);
void payload_deinit(struct payload *p);
/* PTOOLS_OK; PTOOLS_ERR_BAD_ARGUMENT: not one well-formed value (*ret_why tells, static);
 * PTOOLS_ERR_NO_MEMORY. May be called again: the memory is reused. */
ptools_err payload_parse(struct payload *p, const uint8_t *data, size_t n, const char **ret_why);
/* Nothing is parsed; there is an empty zone. PTOOLS_ERR_NO_MEMORY. */
ptools_err payload_reset(struct payload *p);
/* The same for a value at the front, of *ret_bytes: all of them, if it is not well-formed. */
ptools_err payload_parse_first(struct payload *p, const uint8_t *data, size_t n, size_t *ret_bytes,
                               const char **ret_why);
/* What most items of batches and most of their records are: a list at the front of up to FLAT_MAX values that are
 * neither list nor map. It needs no memory and a fraction of the time. False: it is something else, or malformed. */
enum { FLAT_MAX = 15, FLAT_LIST_OF_ONE = 0x91, FLAT_FIRST_NUMBER = 0xca, FLAT_LAST_NUMBER = 0xd3 };

static inline size_t flat_integer(msgpack_object *ret, int64_t v, size_t bytes)
{
    ret->type = v >= 0 ? MSGPACK_OBJECT_POSITIVE_INTEGER : MSGPACK_OBJECT_NEGATIVE_INTEGER;
    ret->via.i64 = v;
    return bytes;
}
/* Of the tags of floats and integers, the last two bits tell how many bytes follow. */
static inline size_t flat_number_bytes(uint8_t tag)
{
    return (size_t)1 << (tag & 3);
}
/* These bytes are the first ones of v. */
static inline size_t flat_number(uint8_t tag, uint64_t v, msgpack_object *ret)
{
    const size_t bytes = flat_number_bytes(tag), spare = 64 - 8 * bytes;
    const uint32_t half = (uint32_t)(v >> 32);
    float f;

    if (tag >= 0xd0)
        return flat_integer(ret, (int64_t)v >> spare, 1 + bytes);
    ret->via.u64 = v >> spare;
    ret->type = MSGPACK_OBJECT_POSITIVE_INTEGER;
    if (tag == 0xcb) {
        ret->type = MSGPACK_OBJECT_FLOAT64;
        memcpy(&ret->via.f64, &v, sizeof v);
    } else if (tag == 0xca) {
        memcpy(&f, &half, sizeof f);
        ret->type = MSGPACK_OBJECT_FLOAT32;
        ret->via.f64 = f;
    }
    return 1 + bytes;
}
/* The value at the front: its bytes. 0: it is a list or map, malformed, or of a form that is seldom met. */
size_t flat_read_any(const uint8_t *at, size_t n, msgpack_object *ret);
static inline size_t flat_read(const uint8_t *at, size_t n, msgpack_object *ret)
{
    uint64_t v;

    if (n < 1 + sizeof v || (at[0] > 0x7f && (at[0] < FLAT_FIRST_NUMBER || at[0] > FLAT_LAST_NUMBER)))
        return flat_read_any(at, n, ret);
    if (at[0] <= 0x7f)
        return flat_integer(ret, at[0], 1);
    memcpy(&v, at + 1, sizeof v);
    return flat_number(at[0], be64toh(v), ret);
}
bool flat_list_read_any(const uint8_t *data, size_t n, msgpack_object ret[FLAT_MAX], uint32_t *ret_n,
                        size_t *ret_bytes);
static inline bool flat_list_read(const uint8_t *data, size_t n, msgpack_object ret[FLAT_MAX], uint32_t *ret_n,
                                  size_t *ret_bytes)
{
    if (n == 0 || data[0] != FLAT_LIST_OF_ONE)
        return flat_list_read_any(data, n, ret, ret_n, ret_bytes);
    *ret_n = 1;
    *ret_bytes = 1 + flat_read(data + 1, n - 1, ret);
    return *ret_bytes > 1;
}

#endif
