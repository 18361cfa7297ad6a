/* SPDX-License-Identifier: MIT */
/*
 * pmap_read -- outcomes, one after the other: out of records, or of what stands for a whole segment.
 *
 * A record is [value], or [code, message, phase, log], and of isolated items these with more behind: PROTOCOL.md. It is
 * the daemon's word for what a worker wrote, so one that is malformed is an outcome, too, and takes the rest of its
 * segment with it.
 */
#include <string.h>

#include "client/lib/pmap.h"

/* Values of a record: of one with a value, of a failure; and of these two when the item was isolated. */
enum { VALUE = 1, VALUE_ISOLATED = 3, FAILURE = 4, FAILURE_ISOLATED = 11, LIST = 0x90 };

static const struct scan_limits limits = { PAYLOAD_DEPTH_MAX, UINT64_MAX };

bool record_skip(const uint8_t *data, size_t n, size_t *ret_bytes, bool *ret_failed)
{
    const size_t small = n > 0 && data[0] == FLAT_LIST_OF_ONE ? scan_small(data + 1, n - 1) : 0;

    if (small > 0) {
        *ret_bytes = 1 + small;
        *ret_failed = false;
        return true;
    }
    if (scan_prefix(data, n, &limits, ret_bytes, NULL) != SCAN_OK)
        return false;
    *ret_failed = data[0] == (LIST | FAILURE) || data[0] == (LIST | FAILURE_ISOLATED);
    return *ret_failed || data[0] == (LIST | VALUE) || data[0] == (LIST | VALUE_ISOLATED);
}

static struct text text_of(const msgpack_object *o)
{
    return o->type == MSGPACK_OBJECT_STR ? (struct text){ o->via.str.ptr, o->via.str.size } : (struct text){ "", 0 };
}

/* Each of these is a number from 0 to 2^63 - 1; or the record is malformed. */
static bool numbers_of(const msgpack_object *v, size_t n, uint64_t *const *ret)
{
    for (size_t i = 0; i < n; i++) {
        if (v[i].type != MSGPACK_OBJECT_POSITIVE_INTEGER || v[i].via.u64 > INT64_MAX)
            return false;
        *ret[i] = v[i].via.u64;
    }
    return true;
}

ptools_err record_failure(struct payload *payload, const uint8_t *data, size_t n, struct failure *ret)
{
    struct msg_failure told = { .attempt = 1, .exit_status = -1, .maybe_executed = true };
    uint64_t peak_kb = 0, signal = 0;
    const char *why;
    size_t bytes;
    const msgpack_object *v;

    if (payload_parse_first(payload, data, n, &bytes, &why) != PTOOLS_OK) /* it was found well-formed */
        return PTOOLS_ERR_NO_MEMORY;
    v = payload->root.via.array.ptr;
    if (v[0].type != MSGPACK_OBJECT_POSITIVE_INTEGER || v[0].via.u64 == 0 || v[0].via.u64 > INT32_MAX)
        return PTOOLS_ERR_PROTOCOL;
    told.code = (ptools_err)v[0].via.u64;
    told.message = text_of(&v[1]);
    told.phase = text_of(&v[2]);
    told.log = text_of(&v[3]);
    if (payload->root.via.array.size == FAILURE_ISOLATED) {
        if (!numbers_of(&v[4], 3, (uint64_t *const[]){ &told.run_us, &peak_kb, &signal }) ||
            !numbers_of(&v[8], 2, (uint64_t *const[]){ &told.progress, &told.progress_of }))
            return PTOOLS_ERR_PROTOCOL;
        told.peak_bytes = MIN(peak_kb, UINT64_MAX / 1024) * 1024;
        told.signal = (int32_t)MIN(signal, (uint64_t)INT32_MAX);
        told.exited = v[7].type == MSGPACK_OBJECT_POSITIVE_INTEGER && v[7].via.u64 <= UINT8_MAX;
        told.exit_status = told.exited ? (int32_t)v[7].via.u64 : -1;
        told.backtrace = text_of(&v[10]);
    }
    failure_set(ret, &told);
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

/* What is behind the value of an isolated item. */
static bool read_measured(const msgpack_object *v, ptools_item *ret)
{
    return numbers_of(v, 2, (uint64_t *const[]){ &ret->run_us, &ret->peak_kb });
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

    if (!record_skip(at, s->records_n, &bytes, &failed)) { /* NOLINT(bugprone-branch-clone): malformed in two ways */
        malformed(map, s, ret);
    } else if (failed) {
        failure_deinit(&map->failure);
        failure_init(&map->failure);
        switch (record_failure(&map->payload, at, bytes, &map->failure)) {
        case PTOOLS_OK:
            ret->err = map->failure.facts.code;
            ret->failure = &map->failure.facts;
            ret->run_us = map->failure.facts.run_us;
            ret->peak_kb = map->failure.facts.peak_bytes / 1024;
            break;
        case PTOOLS_ERR_NO_MEMORY:
            fail_item(map, ret, PTOOLS_ERR_NO_MEMORY, "it failed, and there is no memory for why");
            break;
        default:
            malformed(map, s, ret);
        }
    } else if (payload_parse_first(&map->payload, at, bytes, &bytes, &why) != PTOOLS_OK) {
        fail_item(map, ret, PTOOLS_ERR_NO_MEMORY, "there is no memory for its value");
    } else if (map->payload.root.via.array.size == VALUE_ISOLATED &&
               !read_measured(map->payload.root.via.array.ptr + 1, ret)) {
        malformed(map, s, ret);
    } else {
        ret->value = (ptools_value){ map->payload.root.via.array.ptr };
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

    if (map->options.on_error != PTOOLS_ON_ERROR_DEFAULT || ret->err == PTOOLS_ERR_NOT_RUN ||
        (ret->err == PTOOLS_ERR_CANCELLED && map->stopping) ||
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
    if (--s->n > 0)
        return true;
    blob_free(map->handed_out);
    map->handed_out = s->records ? blob_ref(s->records) : NULL;
    segment_free(map, s);
    return true;
}
