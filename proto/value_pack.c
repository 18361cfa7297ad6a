/* SPDX-License-Identifier: MIT */
/*
 * value_pack -- building values: a ptools_pack is msgpack bytes, and a stack of the lists and maps
 * that are still open.
 *
 * Nothing is moved when a pack is used, and more may be appended afterwards. The first failure sticks; from then on
 * nothing is appended.
 */
#include <endian.h>
#include <errno.h>
#include <string.h>

#include "proto/value.h"

#define PACK_BYTES_MAX ((size_t)2 << 30)

ptools_pack *ptools_pack_new(void)
{
    ptools_pack *pack = calloc(1, sizeof *pack);

    if (!pack)
        return NULL;
    bytes_init(&pack->bytes, PACK_BYTES_MAX + PACK_SPARE_BYTES);
    msgpack_packer_init(&pack->out, &pack->bytes, bytes_write);
    ptools_pack_reset(pack);
    return pack;
}

void pack_init_lent(struct ptools_pack *pack, void *room, size_t room_bytes)
{
    bytes_init_lent(&pack->bytes, PACK_BYTES_MAX + PACK_SPARE_BYTES, room, room_bytes);
    msgpack_packer_init(&pack->out, &pack->bytes, bytes_write);
    ptools_pack_reset(pack);
}

ptools_pack *ptools_pack_free(ptools_pack *pack)
{
    if (pack)
        bytes_deinit(&pack->bytes);
    free(pack);
    return NULL;
}

void ptools_pack_reset(ptools_pack *pack)
{
    pack_reset(pack);
}

ptools_err ptools_pack_error(const ptools_pack *pack)
{
    if (pack->refused)
        return pack->refused;
    switch (pack->bytes.err) {
    case 0:
        return PTOOLS_OK;
    case -EMSGSIZE:
        return PTOOLS_ERR_TOO_LARGE;
    default:
        return PTOOLS_ERR_NO_MEMORY;
    }
}

/* Whether one more value may be appended; if so, it is counted where it belongs. */
static bool begin(ptools_pack *pack)
{
    if (pack->refused || pack->bytes.err)
        return false;
    if (pack->n_open == 0)
        pack->items++;
    else
        pack->open[pack->n_open - 1]--;
    return true;
}

/* The value is complete: so are all lists and maps that it was the last item of. */
static void end(ptools_pack *pack)
{
    while (pack->n_open > 0 && pack->open[pack->n_open - 1] == 0)
        pack->n_open--;
}

void ptools_pack_nil(ptools_pack *pack)
{
    if (!begin(pack))
        return;
    msgpack_pack_nil(&pack->out);
    end(pack);
}

void ptools_pack_bool(ptools_pack *pack, bool yes)
{
    if (!begin(pack))
        return;
    if (yes)
        msgpack_pack_true(&pack->out);
    else
        msgpack_pack_false(&pack->out);
    end(pack);
}

/* Integers and floats are most of what is packed: they are written where they will lie, and not by msgpack-c's packer,
 * which would call back for each. A tag, and v behind it in so many bytes, up to 4: eight are stored at once. */
static inline void put(ptools_pack *pack, uint8_t tag, unsigned bytes, uint32_t v)
{
    uint8_t *at = bytes_room(&pack->bytes, sizeof(uint64_t));
    const uint64_t all = htobe64((uint64_t)tag << 56 | (uint64_t)v << (56 - 8 * bytes));

    if (!at)
        return;
    memcpy(at, &all, sizeof all);
    pack->bytes.n += 1 + bytes;
}

static inline void put_eight(ptools_pack *pack, uint8_t tag, uint64_t v)
{
    uint8_t *at = bytes_room(&pack->bytes, 1 + sizeof v);

    if (!at)
        return;
    v = htobe64(v);
    at[0] = tag;
    memcpy(at + 1, &v, sizeof v);
    pack->bytes.n += 1 + sizeof v;
}

static inline void put_unsigned(ptools_pack *pack, uint64_t v)
{
    if (v <= 0x7f)
        put(pack, (uint8_t)v, 0, 0);
    else if (v <= UINT8_MAX)
        put(pack, 0xcc, 1, (uint32_t)v);
    else if (v <= UINT16_MAX)
        put(pack, 0xcd, 2, (uint32_t)v);
    else if (v <= UINT32_MAX)
        put(pack, 0xce, 4, (uint32_t)v);
    else
        put_eight(pack, 0xcf, v);
}

static void put_negative(ptools_pack *pack, int64_t v)
{
    if (v >= -32)
        put(pack, (uint8_t)v, 0, 0);
    else if (v >= INT8_MIN)
        put(pack, 0xd0, 1, (uint8_t)v);
    else if (v >= INT16_MIN)
        put(pack, 0xd1, 2, (uint16_t)v);
    else if (v >= INT32_MIN)
        put(pack, 0xd2, 4, (uint32_t)v);
    else
        put_eight(pack, 0xd3, (uint64_t)v);
}

void ptools_pack_i64(ptools_pack *pack, int64_t v)
{
    if (!begin(pack))
        return;
    if (v >= 0)
        put_unsigned(pack, (uint64_t)v);
    else
        put_negative(pack, v);
    end(pack);
}

void ptools_pack_u64(ptools_pack *pack, uint64_t v)
{
    if (!begin(pack))
        return;
    put_unsigned(pack, v);
    end(pack);
}

void ptools_pack_f64(ptools_pack *pack, double v)
{
    uint64_t bits;

    if (!begin(pack))
        return;
    memcpy(&bits, &v, sizeof bits);
    put_eight(pack, 0xcb, bits);
    end(pack);
}

void ptools_pack_str(ptools_pack *pack, const char *utf8)
{
    ptools_pack_strn(pack, utf8, utf8 ? strlen(utf8) : 1); /* NULL: a byte that is not there */
}

/* Bytes that are not there, or more of them than a header can tell. */
static void check_bytes(ptools_pack *pack, const void *data, size_t n)
{
    if (pack->refused || pack->bytes.err)
        return;
    if (!data && n > 0)
        pack->refused = PTOOLS_ERR_INVALID;
    else if (n > PACK_BYTES_MAX)
        pack->refused = PTOOLS_ERR_TOO_LARGE;
}

void ptools_pack_strn(ptools_pack *pack, const char *utf8, size_t bytes)
{
    check_bytes(pack, utf8, bytes);
    if (!begin(pack))
        return;
    msgpack_pack_str_with_body(&pack->out, utf8, bytes);
    end(pack);
}

void ptools_pack_bytes(ptools_pack *pack, const void *data, size_t bytes)
{
    check_bytes(pack, data, bytes);
    if (!begin(pack))
        return;
    msgpack_pack_bin_with_body(&pack->out, data, bytes);
    end(pack);
}

/* Opens a list or map whose header was written; appends is what it will take. */
static void open_level(ptools_pack *pack, uint64_t appends)
{
    if (appends > 0)
        pack->open[pack->n_open++] = appends;
    else
        end(pack);
}

/* Also an empty list is a level to whoever parses it. */
static bool begin_level(ptools_pack *pack)
{
    if (pack->n_open == PACK_OPEN_MAX && !pack->bytes.err && !pack->refused)
        pack->refused = PTOOLS_ERR_INVALID;
    return begin(pack);
}

void ptools_pack_list(ptools_pack *pack, uint32_t count)
{
    if (!begin_level(pack))
        return;
    msgpack_pack_array(&pack->out, count);
    open_level(pack, count);
}

void ptools_pack_map(ptools_pack *pack, uint32_t pairs)
{
    if (!begin_level(pack))
        return;
    msgpack_pack_map(&pack->out, pairs);
    open_level(pack, 2 * (uint64_t)pairs);
}

void ptools_pack_raw(ptools_pack *pack, const void *msgpack, size_t bytes)
{
    struct scan_limits limits = { PACK_OPEN_MAX - pack->n_open, UINT64_MAX };

    check_bytes(pack, msgpack, bytes);
    if (pack->refused || pack->bytes.err)
        return;
    if (scan_value(msgpack, bytes, &limits) != SCAN_OK)
        pack->refused = PTOOLS_ERR_INVALID;
    if (!begin(pack))
        return;
    bytes_append(&pack->bytes, msgpack, bytes);
    end(pack);
}

/* PTOOLS_OK if no failure stuck and every list and map got what it announced. */
static inline ptools_err complete(const ptools_pack *pack)
{
    if (pack->refused == PTOOLS_OK && pack->bytes.err == 0)
        return pack->n_open > 0 ? PTOOLS_ERR_INVALID : PTOOLS_OK;
    return ptools_pack_error(pack);
}

/* Puts the header of a list of all items right before them. PTOOLS_ERR_TOO_LARGE: it cannot hold so many. */
static ptools_err finish_list(const ptools_pack *pack, const uint8_t **ret_data, size_t *ret_n)
{
    uint8_t *first = pack->bytes.data + PACK_SPARE_BYTES;
    uint64_t n = pack->items;
    unsigned header = n < 16 ? 1 : n <= UINT16_MAX ? 3 : 5;

    if (n > UINT32_MAX)
        return PTOOLS_ERR_TOO_LARGE;
    for (unsigned i = 1; i < header; i++)
        first[-(int)i] = (uint8_t)(n >> (8 * (i - 1)));
    first[-(int)header] = header == 1 ? (uint8_t)(0x90 | n) : header == 3 ? 0xdc : 0xdd;
    *ret_data = first - header;
    *ret_n = pack->bytes.n - PACK_SPARE_BYTES + header;
    return PTOOLS_OK;
}

ptools_err pack_finish_arguments(const ptools_pack *pack, const uint8_t **ret_data, size_t *ret_n)
{
    static const uint8_t empty[] = { 0x90 };
    ptools_err err;

    if (!pack) {
        *ret_data = empty;
        *ret_n = sizeof empty;
        return PTOOLS_OK;
    }
    err = complete(pack);
    return err == PTOOLS_OK ? finish_list(pack, ret_data, ret_n) : err;
}

ptools_err pack_finish_items(const ptools_pack *pack, const uint8_t **ret_data, size_t *ret_n, uint64_t *ret_items)
{
    ptools_err err = complete(pack);

    if (err != PTOOLS_OK)
        return err;
    *ret_data = pack->bytes.data + PACK_SPARE_BYTES;
    *ret_n = pack->bytes.n - PACK_SPARE_BYTES;
    *ret_items = pack->items;
    return PTOOLS_OK;
}

ptools_err pack_finish_any_value(const ptools_pack *pack, const uint8_t **ret_data, size_t *ret_n)
{
    static const uint8_t nothing[] = { 0xc0 };
    ptools_err err = complete(pack);

    if (err != PTOOLS_OK)
        return err;
    if (pack->items > 1)
        return finish_list(pack, ret_data, ret_n);
    *ret_data = pack->items == 0 ? nothing : pack->bytes.data + PACK_SPARE_BYTES;
    *ret_n = pack->items == 0 ? sizeof nothing : pack->bytes.n - PACK_SPARE_BYTES;
    return PTOOLS_OK;
}
