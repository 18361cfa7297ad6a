/* SPDX-License-Identifier: MIT */
/*
 * value_get -- reading values: the getters of <ptools/value.h>, and the payload they look into.
 *
 * A payload is scanned before msgpack-c sees it (scan.h says why), then unpacked into a zone that
 * is kept: strings and bytes are borrowed from the payload, only the tree is allocated. A getter
 * checks type and range and touches its result on success alone. Whether strings are UTF-8 is not
 * looked at: that is between those who pack and those who read.
 */
#include <string.h>

#include "proto/value.h"

/* -- payload -------------------------------------------------------------------------------------- */

void payload_init(struct payload *p)
{
    *p = (struct payload){ .root = { .type = MSGPACK_OBJECT_NIL } };
}

void payload_deinit(struct payload *p)
{
    if (p->zone_ready)
        msgpack_zone_destroy(&p->zone);
    payload_init(p);
}

ptools_err payload_reset(struct payload *p)
{
    p->root = (msgpack_object){ .type = MSGPACK_OBJECT_NIL };
    if (p->zone_ready)
        msgpack_zone_clear(&p->zone);
    else if (!msgpack_zone_init(&p->zone, MSGPACK_ZONE_CHUNK_SIZE))
        return PTOOLS_ERR_NO_MEMORY;
    p->zone_ready = true;
    return PTOOLS_OK;
}

static ptools_err parse(struct payload *p, const uint8_t *data, size_t n, enum scan_result scanned,
                        const char **ret_why)
{
    msgpack_object root;
    size_t off = 0;

    p->root = (msgpack_object){ .type = MSGPACK_OBJECT_NIL };
    if (scanned != SCAN_OK) {
        *ret_why = scan_text(scanned);
        return PTOOLS_ERR_BAD_ARGUMENT;
    }
    if (payload_reset(p) != PTOOLS_OK)
        return PTOOLS_ERR_NO_MEMORY;
    /* What the scan let pass is well-formed: memory is all that can be missing. */
    if (msgpack_unpack((const char *)data, n, &off, &p->zone, &root) != MSGPACK_UNPACK_SUCCESS)
        return PTOOLS_ERR_NO_MEMORY;
    p->root = root;
    return PTOOLS_OK;
}

static const struct scan_limits limits = { PAYLOAD_DEPTH_MAX, UINT64_MAX }; /* items: each is a byte at least */

ptools_err payload_parse(struct payload *p, const uint8_t *data, size_t n, const char **ret_why)
{
    return parse(p, data, n, scan_value(data, n, &limits), ret_why);
}

ptools_err payload_parse_first(struct payload *p, const uint8_t *data, size_t n, size_t *ret_bytes,
                               const char **ret_why)
{
    enum scan_result scanned = scan_prefix(data, n, &limits, ret_bytes, NULL);

    if (scanned != SCAN_OK)
        *ret_bytes = n;
    return parse(p, data, *ret_bytes, scanned, ret_why);
}

/* -- flat lists ----------------------------------------------------------------------------------- */

/* Its bytes behind the head, of which there are n; 0: there are too few. */
static size_t set_chars(msgpack_object *o, msgpack_object_type type, const uint8_t *at, size_t head, size_t n,
                        size_t length)
{
    if (length > n - head)
        return 0;
    o->type = type;
    o->via.str.ptr = (const char *)at + head; /* bin has the same shape */
    o->via.str.size = (uint32_t)length;
    return head + length;
}

/* At the end of the data there may be fewer than eight bytes behind the tag. */
static size_t number_read(const uint8_t *at, size_t n, msgpack_object *ret)
{
    uint64_t v = 0;

    for (size_t i = 0; i < sizeof v; i++)
        v = v << 8 | (1 + i < n ? at[1 + i] : 0);
    return n > flat_number_bytes(at[0]) ? flat_number(at[0], v, ret) : 0;
}

size_t flat_read_any(const uint8_t *at, size_t n, msgpack_object *o)
{
    uint8_t tag;

    if (n == 0)
        return 0;
    tag = at[0];
    if (tag <= 0x7f || tag >= 0xe0)
        return flat_integer(o, (int8_t)tag, 1);
    if ((tag & 0xe0) == 0xa0)
        return set_chars(o, MSGPACK_OBJECT_STR, at, 1, n, tag & 0x1f);
    if (tag >= FLAT_FIRST_NUMBER && tag <= FLAT_LAST_NUMBER)
        return number_read(at, n, o);
    switch (tag) {
    case 0xc0:
        o->type = MSGPACK_OBJECT_NIL;
        return 1;
    case 0xc2:
    case 0xc3:
        o->type = MSGPACK_OBJECT_BOOLEAN;
        o->via.boolean = tag == 0xc3;
        return 1;
    case 0xc4:
    case 0xd9:
        return n < 2 ? 0 : set_chars(o, tag == 0xc4 ? MSGPACK_OBJECT_BIN : MSGPACK_OBJECT_STR, at, 2, n, at[1]);
    default:
        return 0;
    }
}

bool flat_list_read_any(const uint8_t *data, size_t n, msgpack_object ret[FLAT_MAX], uint32_t *ret_n, size_t *ret_bytes)
{
    size_t at = 1;

    if (n == 0 || (data[0] & 0xf0) != 0x90)
        return false;
    *ret_n = data[0] & 0x0f;
    for (uint32_t i = 0; i < *ret_n; i++) {
        size_t bytes = flat_read(data + at, n - at, &ret[i]);

        if (bytes == 0)
            return false;
        at += bytes;
    }
    *ret_bytes = at;
    return true;
}

/* -- getters -------------------------------------------------------------------------------------- */

static const msgpack_object nil = { .type = MSGPACK_OBJECT_NIL };

static const msgpack_object *object_of(ptools_value v)
{
    return v.object ? v.object : &nil;
}

ptools_kind ptools_value_kind(ptools_value v)
{
    switch (object_of(v)->type) {
    case MSGPACK_OBJECT_BOOLEAN:
        return PTOOLS_BOOL;
    case MSGPACK_OBJECT_POSITIVE_INTEGER:
    case MSGPACK_OBJECT_NEGATIVE_INTEGER:
        return PTOOLS_INT;
    case MSGPACK_OBJECT_FLOAT32:
    case MSGPACK_OBJECT_FLOAT64:
        return PTOOLS_FLOAT;
    case MSGPACK_OBJECT_STR:
        return PTOOLS_STR;
    case MSGPACK_OBJECT_BIN:
        return PTOOLS_BYTES;
    case MSGPACK_OBJECT_ARRAY:
        return PTOOLS_LIST;
    case MSGPACK_OBJECT_MAP:
        return PTOOLS_MAP;
    case MSGPACK_OBJECT_NIL:
    case MSGPACK_OBJECT_EXT: /* the scan refuses it */
        break;
    }
    return PTOOLS_NIL;
}

const char *ptools_kind_name(ptools_kind kind)
{
    static const char *const names[] = {
        [PTOOLS_NIL] = "nil",       [PTOOLS_BOOL] = "boolean", [PTOOLS_INT] = "integer", [PTOOLS_FLOAT] = "float",
        [PTOOLS_STR] = "string",    [PTOOLS_BYTES] = "bytes",  [PTOOLS_LIST] = "list",   [PTOOLS_MAP] = "map",
    };

    return (size_t)kind < ELEMENTS(names) ? names[kind] : "unknown";
}

ptools_err ptools_get_bool(ptools_value v, bool *ret)
{
    const msgpack_object *o = object_of(v);

    if (o->type != MSGPACK_OBJECT_BOOLEAN)
        return PTOOLS_ERR_TYPE;
    *ret = o->via.boolean;
    return PTOOLS_OK;
}

ptools_err ptools_get_i64(ptools_value v, int64_t *ret)
{
    const msgpack_object *o = object_of(v);

    if (o->type == MSGPACK_OBJECT_NEGATIVE_INTEGER) {
        *ret = o->via.i64;
        return PTOOLS_OK;
    }
    if (o->type != MSGPACK_OBJECT_POSITIVE_INTEGER)
        return PTOOLS_ERR_TYPE;
    if (o->via.u64 > INT64_MAX)
        return PTOOLS_ERR_RANGE;
    *ret = (int64_t)o->via.u64;
    return PTOOLS_OK;
}

ptools_err ptools_get_u64(ptools_value v, uint64_t *ret)
{
    const msgpack_object *o = object_of(v);

    if (o->type == MSGPACK_OBJECT_NEGATIVE_INTEGER)
        return PTOOLS_ERR_RANGE;
    if (o->type != MSGPACK_OBJECT_POSITIVE_INTEGER)
        return PTOOLS_ERR_TYPE;
    *ret = o->via.u64;
    return PTOOLS_OK;
}

/* Whether a double holds this magnitude exactly: no more than 53 bits between its first and last 1. */
static bool double_holds(uint64_t magnitude)
{
    return magnitude == 0 || (magnitude >> __builtin_ctzll(magnitude)) < (UINT64_C(1) << 53);
}

ptools_err ptools_get_f64(ptools_value v, double *ret)
{
    const msgpack_object *o = object_of(v);

    switch (o->type) {
    case MSGPACK_OBJECT_FLOAT32:
    case MSGPACK_OBJECT_FLOAT64:
        *ret = o->via.f64;
        return PTOOLS_OK;
    case MSGPACK_OBJECT_POSITIVE_INTEGER:
        if (!double_holds(o->via.u64))
            return PTOOLS_ERR_RANGE;
        *ret = (double)o->via.u64;
        return PTOOLS_OK;
    case MSGPACK_OBJECT_NEGATIVE_INTEGER:
        if (!double_holds(-(uint64_t)o->via.i64))
            return PTOOLS_ERR_RANGE;
        *ret = (double)o->via.i64;
        return PTOOLS_OK;
    default:
        return PTOOLS_ERR_TYPE;
    }
}

ptools_err ptools_get_str(ptools_value v, const char **ret_utf8, size_t *ret_bytes)
{
    const msgpack_object *o = object_of(v);

    if (o->type != MSGPACK_OBJECT_STR)
        return PTOOLS_ERR_TYPE;
    *ret_utf8 = o->via.str.size ? o->via.str.ptr : "";
    *ret_bytes = o->via.str.size;
    return PTOOLS_OK;
}

ptools_err ptools_get_bytes(ptools_value v, const void **ret_data, size_t *ret_bytes)
{
    const msgpack_object *o = object_of(v);

    if (o->type != MSGPACK_OBJECT_BIN)
        return PTOOLS_ERR_TYPE;
    *ret_data = o->via.bin.size ? o->via.bin.ptr : "";
    *ret_bytes = o->via.bin.size;
    return PTOOLS_OK;
}

ptools_err ptools_get_count(ptools_value v, uint32_t *ret)
{
    const msgpack_object *o = object_of(v);

    if (o->type == MSGPACK_OBJECT_ARRAY)
        *ret = o->via.array.size;
    else if (o->type == MSGPACK_OBJECT_MAP)
        *ret = o->via.map.size;
    else
        return PTOOLS_ERR_TYPE;
    return PTOOLS_OK;
}

ptools_err ptools_get_item(ptools_value v, uint32_t index, ptools_value *ret)
{
    const msgpack_object *o = object_of(v);

    if (o->type != MSGPACK_OBJECT_ARRAY)
        return PTOOLS_ERR_TYPE;
    if (index >= o->via.array.size)
        return PTOOLS_ERR_RANGE;
    *ret = (ptools_value){ &o->via.array.ptr[index] };
    return PTOOLS_OK;
}

ptools_err ptools_get_pair(ptools_value v, uint32_t index, ptools_value *ret_key, ptools_value *ret_value)
{
    const msgpack_object *o = object_of(v);

    if (o->type != MSGPACK_OBJECT_MAP)
        return PTOOLS_ERR_TYPE;
    if (index >= o->via.map.size)
        return PTOOLS_ERR_RANGE;
    *ret_key = (ptools_value){ &o->via.map.ptr[index].key };
    *ret_value = (ptools_value){ &o->via.map.ptr[index].val };
    return PTOOLS_OK;
}

ptools_err ptools_get_field(ptools_value v, const char *key, ptools_value *ret)
{
    const msgpack_object *o = object_of(v);
    size_t n = strlen(key);

    if (o->type != MSGPACK_OBJECT_MAP)
        return PTOOLS_ERR_TYPE;
    for (uint32_t i = 0; i < o->via.map.size; i++) {
        const msgpack_object *k = &o->via.map.ptr[i].key;

        if (k->type == MSGPACK_OBJECT_STR && k->via.str.size == n && memcmp(k->via.str.ptr, key, n) == 0) {
            *ret = (ptools_value){ &o->via.map.ptr[i].val };
            return PTOOLS_OK;
        }
    }
    return PTOOLS_ERR_RANGE;
}
