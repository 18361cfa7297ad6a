/* SPDX-License-Identifier: MIT */
/*
 * value -- the inside of <ptools/value.h>: what library and worker need beyond the public functions.
 *
 * The functions that <ptools/value.h> declares are defined in value_pack.c and value_get.c, once, for both.
 */
#ifndef PROTO_VALUE_H
#define PROTO_VALUE_H

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
ptools_err pack_finish_value(const ptools_pack *pack, const uint8_t **ret_data, size_t *ret_n);

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
enum { FLAT_MAX = 15 };
bool flat_list_read(const uint8_t *data, size_t n, msgpack_object ret[FLAT_MAX], uint32_t *ret_n, size_t *ret_bytes);

#endif
