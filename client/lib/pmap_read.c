/* SPDX-License-Identifier: MIT */
/*
 * pmap_read -- outcomes, one after the other: out of records, or of what stands for a whole segment.
 *
 * A record is [value], or [code, message, phase, log]: PROTOCOL.md. It is the daemon's word for what a worker wrote, so
 * one that is malformed is an outcome, too, and takes the rest of its segment with it.
 */
#include <string.h>

#include "client/lib/pmap.h"

enum { FOUR_VALUES = 0x94 }; /* a list of as many */

static const struct scan_limits limits = { PAYLOAD_DEPTH_MAX, UINT64_MAX };

bool record_skip(const uint8_t *data, size_t n, size_t *ret_bytes, bool *ret_failed)
{
    const size_t small = n > 0 && data[0] == FLAT_LIST_OF_ONE ? scan_small(data + 1, n - 1) : 0;

    if (small > 0) {
        *ret_bytes = 1 + small;
        *ret_failed = false;
        return true;
    }
    if (scan_prefix(data, n, &limits, ret_bytes, NULL) != SCAN_OK ||
        (data[0] != FLAT_LIST_OF_ONE && data[0] != FOUR_VALUES))
        return false;
    *ret_failed = data[0] == FOUR_VALUES;
    return true;
}

static struct text text_of(const msgpack_object *o)
{
    return o->type == MSGPACK_OBJECT_STR ? (struct text){ o->via.str.ptr, o->via.str.size } : (struct text){ "", 0 };
}

ptools_err record_failure(struct payload *payload, const uint8_t *data, size_t n, struct failure *ret)
{
    const char *why;
    size_t bytes;
    const msgpack_object *v;

    if (payload_parse_first(payload, data, n, &bytes, &why) != PTOOLS_OK) /* it was found well-formed */
        return PTOOLS_ERR_NO_MEMORY;
    v = payload->root.via.array.ptr;
    if (v[0].type != MSGPACK_OBJECT_POSITIVE_INTEGER || v[0].via.u64 == 0 || v[0].via.u64 > INT32_MAX)
        return PTOOLS_ERR_PROTOCOL;
    failure_set(ret, &(struct msg_failure){ .code = (ptools_err)v[0].via.u64,
                                            .message = text_of(&v[1]),
                                            .phase = text_of(&v[2]),
                                            .log = text_of(&v[3]),
                                            .attempt = 1,
                                            .exit_status = -1,
                                            .maybe_executed = true });
    return PTOOLS_OK;
}

static void fail_item(struct ptools_pmap *map, ptools_item *ret, ptools_err code, const char *text)
{
    failure_deinit(&map->failure);
    failure_init(&map->failure);
    failure_set_message(&map->failure, code, text, true);
    ret->err = code;
    ret->failure = &map->failure.facts;
}

static void malformed(struct ptools_pmap *map, struct segment *s, ptools_item *ret)
{
    fail_item(map, ret, PTOOLS_ERR_PROTOCOL, "the record of its outcome is malformed");
    s->failed = true; /* and so are all behind it */
    failure_copy(&s->failure, &map->failure);
}

/* A record that is no list of one plain value. Its bytes. */
__attribute__((__noinline__)) static size_t read_tree(struct ptools_pmap *map, struct segment *s, const uint8_t *at,
                                                      ptools_item *ret)
{
    size_t bytes = s->records_n;
    const char *why;
    bool failed;

    if (!record_skip(at, s->records_n, &bytes, &failed)) {
        malformed(map, s, ret);
    } else if (failed) {
        failure_deinit(&map->failure);
        failure_init(&map->failure);
        switch (record_failure(&map->payload, at, bytes, &map->failure)) {
        case PTOOLS_OK:
            ret->err = map->failure.facts.code;
            ret->failure = &map->failure.facts;
            break;
        case PTOOLS_ERR_NO_MEMORY:
            fail_item(map, ret, PTOOLS_ERR_NO_MEMORY, "it failed, and there is no memory for why");
            break;
        default:
            malformed(map, s, ret);
        }
    } else if (payload_parse_first(&map->payload, at, bytes, &bytes, &why) == PTOOLS_OK) {
        ret->value = (ptools_value){ map->payload.root.via.array.ptr };
    } else {
        fail_item(map, ret, PTOOLS_ERR_NO_MEMORY, "there is no memory for its value");
    }
    return bytes;
}

static void read_record(struct ptools_pmap *map, struct segment *s, ptools_item *ret)
{
    const uint8_t *at = s->records->data + s->records_at;
    size_t bytes = s->records_n > 0 && at[0] == FLAT_LIST_OF_ONE ? flat_read(at + 1, s->records_n - 1, &map->flat) : 0;

    if (bytes > 0) {
        ret->value = (ptools_value){ &map->flat };
        bytes++;
    } else {
        bytes = read_tree(map, s, at, ret);
    }
    s->records_at += bytes;
    s->records_n -= bytes;
    map->held_bytes -= bytes;
}

__attribute__((__noinline__)) static void put_default(struct ptools_pmap *map, ptools_item *ret)
{
    const char *why;
    size_t bytes;

    if (map->options.on_error != PTOOLS_ON_ERROR_DEFAULT ||
        payload_parse_first(&map->payload, map->default_value.data, map->default_value.n, &bytes, &why) != PTOOLS_OK)
        return;
    map->root = map->payload.root;
    ret->err = PTOOLS_OK;
    ret->value = (ptools_value){ &map->root };
}

bool pmap_read(struct ptools_pmap *map, ptools_item *ret)
{
    const bool unordered = map->options.flags & PTOOLS_PMAP_UNORDERED;
    struct segment *s = unordered ? TAILQ_FIRST(&map->ended) : TAILQ_FIRST(&map->segments);

    if (!s || s->state != SEGMENT_ENDED)
        return false;
    *ret = (ptools_item){ .index = s->first, .attempts = s->attempts };
    if (s->failed) {
        failure_deinit(&map->failure);
        failure_init(&map->failure);
        failure_copy(&map->failure, &s->failure);
        ret->err = s->failure.facts.code;
        ret->failure = &map->failure.facts;
    } else {
        read_record(map, s, ret);
    }
    if (ret->err != PTOOLS_OK)
        put_default(map, ret);
    s->first++;
    map->read++;
    if (--s->n == 0)
        segment_free(map, s);
    return true;
}
