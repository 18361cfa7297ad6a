/* SPDX-License-Identifier: MIT */
/*
 * mutate -- requests that are nearly right, made of the daemon's own tables of kinds and fields.
 *
 * Three of four are as they should be, for what is wrong is of interest in all states that a daemon can get into, and
 * the third that is wrong on a connection ends it. In the others fields have values at the edges of their type, or of
 * another type; are missing, or there twice, or unknown; the envelope is of another version, length, kind or id; bytes
 * are flipped, cut off, put in; payloads are where none belong, or no lists; frames are too many. Some break the
 * framing itself.
 *
 * What any client may do to others of its user is left out, or nobody could tell what an honest one is owed: whatever
 * the daemon would understand is read first (is_harmful()), and made anew if it removes the first workers, pauses the
 * whole queue, changes tasks that are none of ours, or calls a function that is not in the list here: these end soon,
 * and touch no file.
 */
#include "tests/fault/mutate.h"

#include <math.h>
#include <string.h>

#include "proto/value.h"
#include "tests/fault/mutate_values.h"
#include "tests/support/suite.h"

enum { FIELDS_MAX = 40, ENVELOPE_MAX = 4 << 20 };
#define TASK_ID_MIN UINT64_C(1000000000000) /* real ones begin above it ... */
#define TASK_ID_MAX (UINT64_C(1) << 53)     /* ... and stay below this */

void mutate_init(struct mutate *m, uint64_t seed)
{
    *m = (struct mutate){ .random = seed, .decoder = msg_decoder_new() };
    suite_holds(m->decoder, "no memory");
    bytes_init(&m->envelope, ENVELOPE_MAX);
    bytes_init(&m->payload, ENVELOPE_MAX);
}

void mutate_deinit(struct mutate *m)
{
    msg_decoder_free(m->decoder);
    bytes_deinit(&m->envelope);
    bytes_deinit(&m->payload);
}

/* Those that make or end processes are rare: they cost a thousand times as much as others. */
static unsigned weight(enum msg_kind kind)
{
    switch (kind) {
    case MSG_WORKERS_ADD:
    case MSG_WORKERS_REMOVE:
    case MSG_STASKS_RESTART:
        return 1;
    case MSG_STASKS_START:
        return 2;
    case MSG_STASKS_OPEN:
    case MSG_STASKS_STOP:
    case MSG_STASKS_FATE:
    case MSG_STASKS_CANCEL:
        return 5;
    case MSG_CALL:
    case MSG_TASK_SUBMIT:
        return 60;
    case MSG_ARRAY_CREATE:
        return 8;
    default:
        return 20;
    }
}

/* -- the envelope ---------------------------------------------------------------------------------------------- */

void mutate_bytes(struct mutate *m, struct bytes *b)
{
    static const uint8_t junk[] = { 0xdd, 0xff, 0xff, 0xff, 0xff, 0xc1, 0xdf, 0x00, 0x80, 0x91 };
    uint64_t at = b->n ? mutate_pick(m, b->n) : 0, n = 1 + mutate_pick(m, sizeof junk);

    switch (mutate_pick(m, 4)) {
    case 0: /* cut off */
        b->n = at;
        break;
    case 1: /* something behind it */
        bytes_append(b, junk, n);
        break;
    case 2: /* something over it */
        memcpy(b->data + at, junk, MIN(n, b->n - at));
        break;
    default:
        for (; n > 0 && b->n > 0; n = n / 2)
            b->data[mutate_pick(m, b->n)] ^= (uint8_t)(1 << mutate_pick(m, 8));
    }
}

static enum msg_kind pick_kind(struct mutate *m)
{
    unsigned all = 0;
    uint64_t at;
    int kind;

    for (kind = 0; kind < MSG_REQUESTS; kind++)
        all += weight((enum msg_kind)kind);
    at = mutate_pick(m, all);
    for (kind = 0; at >= weight((enum msg_kind)kind); kind++)
        at -= weight((enum msg_kind)kind);
    return (enum msg_kind)kind;
}

static void put_head(struct mutate *m, msgpack_packer *pk, enum msg_kind kind, bool wrong)
{
    const uint64_t what = wrong ? mutate_pick(m, 6) : 6;

    msgpack_pack_array(pk, what == 0 ? mutate_pick(m, 6) : 4);
    what == 1 ? put_any(m, pk, 2) : (void)msgpack_pack_uint32(pk, PROTOCOL_VERSION_MAX);
    what == 2 ? put_edge_text(m, pk) : put_str(pk, msg_kind_name(what == 3 ? pick_kind(m) : kind));
    what == 4 ? put_any(m, pk, 2) : (void)msgpack_pack_uint64(pk, what == 5 ? m->id - mutate_pick(m, 4) : m->id);
}

/* The fields are some of those of its kind, in any order. */
static void make_envelope(struct mutate *m, enum msg_kind kind, bool right)
{
    const struct field *fields, *chosen[FIELDS_MAX];
    const bool bare = mutate_chance(m, 30);
    size_t n_fields, n = 0, unknown;
    msgpack_packer pk;

    fields = msg_request_fields(kind, &n_fields);
    for (size_t i = 0; i < n_fields; i++) {
        if (fields[i].required ? right || mutate_chance(m, 90) : !bare && mutate_chance(m, 15))
            chosen[n++] = &fields[i];
        if (!right && n > 0 && n < FIELDS_MAX - 1 && mutate_chance(m, 2)) {
            chosen[n] = chosen[mutate_pick(m, n)]; /* twice */
            n++;
        }
        suite_holds(n < FIELDS_MAX, "more fields than there is room for");
    }
    for (size_t i = n; i > 1; i--) {
        const size_t j = mutate_pick(m, i);
        const struct field *f = chosen[j];

        chosen[j] = chosen[i - 1];
        chosen[i - 1] = f;
    }
    unknown = !right && mutate_chance(m, 10);
    bytes_reset(&m->envelope);
    msgpack_packer_init(&pk, &m->envelope, bytes_write);
    put_head(m, &pk, kind, !right && mutate_chance(m, 10));
    msgpack_pack_map(&pk, n + unknown);
    for (size_t i = 0; i < n; i++) {
        put_str(&pk, chosen[i]->key);
        if (right || mutate_chance(m, 70))
            put_good(m, &pk, chosen[i]);
        else
            mutate_chance(m, 75) ? put_edge(m, &pk, chosen[i]) : put_any(m, &pk, 8);
    }
    if (unknown) {
        mutate_chance(m, 80) ? put_str(&pk, "unknown") : put_any(m, &pk, 2);
        put_any(m, &pk, (unsigned)mutate_pick(m, 12));
    }
    if (!right && mutate_chance(m, 20))
        mutate_bytes(m, &m->envelope);
}

static bool is_foreign_task(const struct mutate *m, uint64_t id)
{
    return id >= TASK_ID_MIN && id < TASK_ID_MAX && !is_known(m, THING_TASK, id);
}

/* The fields that name a function, but for that of what is called, may be absent. */
static bool is_foreign_function(struct text name)
{
    return name.data && mutate_function(name) < 0;
}

static bool is_harmful(const struct mutate *m, const struct msg_request *r)
{
    switch (r->kind) {
    case MSG_CALL:
        return is_foreign_function(r->call.function) || is_foreign_function(r->call.init) ||
               is_foreign_function(r->call.reduce);
    case MSG_TASK_SUBMIT:
        return is_foreign_function(r->submit.function);
    case MSG_CANCEL:
        return is_foreign_task(m, r->cancel.task);
    case MSG_TASK_CHANGE:
        for (uint32_t i = 0; i < r->task.n_tasks; i++)
            if (is_foreign_task(m, r->task.tasks[i]))
                return true;
        return false;
    case MSG_WORKERS_REMOVE:
        return r->workers.worker <= MUTATE_WORKERS;
    case MSG_QUEUE_PAUSE:
        return !r->task.tag.data;
    default:
        return false;
    }
}

/* -- the payload ------------------------------------------------------------------------------------------------ */

static void put_priorities(struct mutate *m, struct bytes *out)
{
    static const double priorities[] = { 0, -1, 1, 2, -3, 0.5, 1e300, -1e-300, INFINITY, -INFINITY, -0.0, NAN };

    for (uint64_t n = mutate_pick(m, 5); n > 0; n--) {
        const struct msg_priority p = { mutate_known(m, THING_TASK), priorities[mutate_pick(m, ELEMENTS(priorities))] };

        bytes_append(out, &p, sizeof p);
    }
}

/* For what the daemon will understand; false: without one. */
static bool make_payload(struct mutate *m, const struct msg_request *r)
{
    const int function = r->kind == MSG_CALL          ? mutate_function(r->call.function)
                         : r->kind == MSG_TASK_SUBMIT ? mutate_function(r->submit.function)
                                                      : -1;
    uint32_t lists = r->kind == MSG_CALL && r->call.items ? MIN(r->call.items, 64u) : 1;
    bool may_be_wrong = true;
    msgpack_packer pk;

    bytes_reset(&m->payload);
    if (!msg_kind_has_payload(r->kind) ? !mutate_chance(m, 3) : mutate_chance(m, 5))
        return false;
    msgpack_packer_init(&pk, &m->payload, bytes_write);
    if (r->kind == MSG_TASK_PRIORITIES)
        put_priorities(m, &m->payload);
    for (; function >= 0 && lists > 0; lists--)
        may_be_wrong = put_arguments(m, &pk, function);
    if (may_be_wrong && mutate_chance(m, 15))
        mutate_bytes(m, &m->payload);
    return true;
}

/* -- frames ---------------------------------------------------------------------------------------------------- */

void mutate_frame(struct bytes *out, const void *body, size_t n, bool more, bool long_header)
{
    uint8_t head[9] = { more };

    if (n > 255 || long_header) {
        head[0] |= 2;
        for (int i = 0; i < 8; i++)
            head[1 + i] = (uint8_t)((uint64_t)n >> (56 - 8 * i));
        bytes_append(out, head, 9);
    } else {
        head[1] = (uint8_t)n;
        bytes_append(out, head, 2);
    }
    bytes_append(out, body, n);
}

/* What no peer that keeps to ZMTP sends: headers that lie, commands that are none. Bodies are left alone, for they were
 * looked at. */
static void put_broken(struct mutate *m, struct bytes *out)
{
    static const struct {
        const char *bytes;
        size_t n;
    } broken[] = {
        { "\x80\x01x", 3 },         /* reserved flags */
        { "\x05\x05\x04PING", 7 },  /* a command with MORE */
        { "\x04\x06\x05WHAT?", 8 }, /* an unknown one */
        { "\x04\x06\xffWHAT?", 8 }, /* whose name is longer than it */
        { "\x04\x05\x04PING", 7 },  /* PING without its time */
        { "\x04\x1c\x05READY\x0bSocket-Type\0\0\0\x06"
          "DEALER",
          30 },
        { "\x04\x07\x05"
          "ERROR\x05",
          9 },
        { "\x02\xff\xff\xff\xff\xff\xff\xff\xff", 9 },
        { "\x02\0\0\0\0\x08\0\0\1", 9 },    /* a byte more than there may be */
        { "\1\0\1\0\1\0\1\0\1\0\1\0", 12 }, /* more and more frames */
        { "\0\x40half", 6 },
        { "\0", 1 },
        { "\xff\0\0\0\0\0\0\0\1\x7f\3\0NULL", 16 }, /* a greeting */
    };
    const size_t i = mutate_pick(m, ELEMENTS(broken));

    bytes_append(out, broken[i].bytes, broken[i].n);
}

/* Those that wait for nothing: no worker, no memory, no disk. */
static bool is_answered_at_once(enum msg_kind kind)
{
    switch (kind) {
    case MSG_HELLO:
    case MSG_CALL_LIMIT:
    case MSG_SET_CREATE:
    case MSG_SET_OPEN:
    case MSG_SET_CHANGE:
    case MSG_SET_DESTROY:
    case MSG_WORKERS_ADD:
    case MSG_WORKERS_REMOVE:
    case MSG_INSPECT:
    case MSG_ARRAY_UNLINK:
    case MSG_ARRAY_CLOSE:
    case MSG_STASKS_OPEN:
    case MSG_TASK_GET:
    case MSG_TASK_LIST:
    case MSG_TASK_WHY:
    case MSG_EVENTS:
    case MSG_EVENTS_END:
        return true;
    default:
        return false;
    }
}

bool mutate_message(struct mutate *m, bool to_req, struct bytes *out, uint64_t *ret_owed)
{
    struct msg_request r;
    struct msg_problem problem;
    bool right, understood, payload;
    unsigned more;

    *ret_owed = 0;
    if (mutate_pick(m, 200) == 0)
        mutate_frame(out, "", 0, false, false); /* no envelope at all */
    if (mutate_pick(m, 100) == 0)
        bytes_append(out, "\x04\x0a\x04PING\0\x09wow", 12);
    if (mutate_pick(m, 60) == 0) {
        put_broken(m, out);
        return false;
    }
    m->id++;
    right = mutate_chance(m, 75);
    do { /* fields that exclude each other make some wrong that should not be */
        const enum msg_kind kind = pick_kind(m);

        make_envelope(m, kind, right);
        r.kind = kind;
        understood = msg_request_decode(m->decoder, m->envelope.data, m->envelope.n, &r, &problem) == 0;
    } while (understood ? is_harmful(m, &r) : right);
    if (understood && is_answered_at_once(r.kind))
        *ret_owed = r.id;
    payload = understood ? make_payload(m, &r) : mutate_chance(m, 10);
    more = mutate_pick(m, 50) == 0 ? (unsigned)mutate_pick(m, 4) : 0;
    if (to_req && mutate_pick(m, 50) > 0)
        mutate_frame(out, "", 0, true, false);
    mutate_frame(out, m->envelope.data, m->envelope.n, payload || more, mutate_chance(m, 10));
    if (payload)
        mutate_frame(out, m->payload.data, m->payload.n, more, mutate_chance(m, 10));
    for (; more > 0; more--)
        mutate_frame(out, m->envelope.data, MIN(m->envelope.n, (size_t)100), more > 1, false);
    return true;
}
