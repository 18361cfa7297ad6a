/* SPDX-License-Identifier: MIT */
/*
 * mutate_values -- what goes into the fields and arguments of mutate.c: values as they should be, at the edges of their
 * type, and any. Names and keys are of a few, so that peers meet at them; ids are mostly of those that were learned.
 */
#include "tests/fault/mutate_values.h"

#include <math.h>
#include <string.h>

#include "proto/value.h"
#include "tests/support/suite.h"

enum { MIB = 1 << 20 };

/* What may be called, and with what: how its arguments are made, and whether they may be made wrong. */
enum arguments { ARGS_NONE, ARGS_TEXT, ARGS_NUMBER, ARGS_VIEW, ARGS_ANY };
static const struct {
    const char *name;
    enum arguments arguments;
    bool exact;
    bool rare; /* a worker costs more than all other functions */
} functions[] = {
    { "t.nop", ARGS_NONE },
    { "t.echo", ARGS_ANY },
    { "t.about", ARGS_NONE },
    { "t.fail", ARGS_TEXT },
    { "t.fail_code", ARGS_NUMBER },
    { "t.tell", ARGS_NONE },
    { "q.echo", ARGS_TEXT },
    { "q.fail", ARGS_NONE },
    { "q.fail_until", ARGS_NUMBER },
    { "q.sleep", ARGS_NUMBER, .exact = true },
    { "q.kill", ARGS_NONE, .exact = true, .rare = true },
    { "a.nop", ARGS_NONE },
    { "a.echo", ARGS_TEXT },
    { "a.sum", ARGS_VIEW },
    { "a.index", ARGS_NONE },
    { "i.count", ARGS_ANY },
    { "i.mute", ARGS_ANY },
    { "t.nothing", ARGS_NONE },
    { "nothing.nop", ARGS_NONE },
    { "missing_symbol.f", ARGS_NONE },
};

static const char *const inspected[] = { "status", "workers", "sets", "modules", "arrays", "stasks" };

/* -- chance -------------------------------------------------------------------------------------------------- */

/* SplitMix64. */
uint64_t mutate_pick(struct mutate *m, uint64_t below)
{
    uint64_t z = m->random += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return (z ^ z >> 31) % below;
}

void mutate_learn(struct mutate *m, enum mutate_thing thing, uint64_t id)
{
    if (id)
        m->known[thing].v[m->known[thing].n++ % MUTATE_IDS] = id;
}

uint64_t mutate_known(struct mutate *m, enum mutate_thing thing)
{
    const size_t n = MIN(m->known[thing].n, (size_t)MUTATE_IDS);

    return n ? m->known[thing].v[mutate_pick(m, n)] : 0;
}

bool is_known(const struct mutate *m, enum mutate_thing thing, uint64_t id)
{
    for (size_t i = 0; i < MIN(m->known[thing].n, (size_t)MUTATE_IDS); i++)
        if (m->known[thing].v[i] == id)
            return true;
    return false;
}

/* -- values: as they should be, at the edges, and any -------------------------------------------------------------- */

void put_str(msgpack_packer *pk, const char *s)
{
    msgpack_pack_str_with_body(pk, s, strlen(s));
}

/* "n3": of eight, so that they meet. */
static void put_name(struct mutate *m, msgpack_packer *pk, char first)
{
    const char name[] = { first, (char)('0' + mutate_pick(m, 8)), '\0' };

    put_str(pk, name);
}

static void put_key(struct mutate *m, msgpack_packer *pk)
{
    const char key[] = { 'k', (char)('0' + mutate_pick(m, 4)) };

    msgpack_pack_bin_with_body(pk, key, sizeof key);
}

static uint64_t good_number(struct mutate *m, const struct field *f)
{
    static const struct {
        const char *key;
        enum mutate_thing thing;
    } things[] = { { "task", THING_TASK },      { "after", THING_TASK }, { "array", THING_ARRAY },
                   { "room", THING_ARRAY },     { "set", THING_SET },    { "stasks", THING_STASKS },
                   { "process", THING_PROCESS } };

    for (size_t i = 0; i < ELEMENTS(things); i++)
        if (strcmp(f->key, things[i].key) == 0 && mutate_known(m, things[i].thing))
            return mutate_known(m, things[i].thing);
    if (strcmp(f->key, "request") == 0)
        return m->id - mutate_pick(m, MIN(m->id, (uint64_t)16));
    if (strcmp(f->key, "worker") == 0)
        return mutate_pick(m, 2 * MUTATE_WORKERS + 1);
    if (strcmp(f->key, "count") == 0)
        return 1 + mutate_pick(m, 2);
    if (strcmp(f->key, "large") == 0 || strcmp(f->key, "file") == 0 || strcmp(f->key, "offset") == 0)
        return 0;
    return f->min + mutate_pick(m, MIN(f->max - f->min, (uint64_t)40) + 1);
}

/* [id, bytes] of an array; or of versions. */
static void put_pair(struct mutate *m, msgpack_packer *pk, uint64_t first, uint64_t most)
{
    msgpack_pack_array(pk, 2);
    msgpack_pack_uint64(pk, first);
    msgpack_pack_uint64(pk, mutate_pick(m, most));
}

static void put_words(struct mutate *m, msgpack_packer *pk, const char *const *words, bool list)
{
    size_t n = 0;

    while (words[n])
        n++;
    if (list)
        msgpack_pack_array(pk, 2);
    for (int i = 0; i <= list; i++)
        put_str(pk, words[mutate_pick(m, n)]);
}

static void put_function(struct mutate *m, msgpack_packer *pk)
{
    const size_t i = mutate_pick(m, ELEMENTS(functions));

    put_str(pk, functions[functions[i].rare && mutate_pick(m, 20) > 0 ? 0 : i].name);
}

void put_good(struct mutate *m, msgpack_packer *pk, const struct field *f)
{
    const uint64_t n = 1 + mutate_pick(m, 3);

    switch (f->type) {
    case FIELD_U32:
    case FIELD_U64:
    case FIELD_CODE:
    case FIELD_EXIT:
        msgpack_pack_uint64(pk, good_number(m, f));
        break;
    case FIELD_BOOL:
        mutate_chance(m, 50) ? msgpack_pack_true(pk) : msgpack_pack_false(pk);
        break;
    case FIELD_F64:
        msgpack_pack_double(pk, (double)mutate_pick(m, 9) - 4);
        break;
    case FIELD_TEXT:
    case FIELD_STORY:
    case FIELD_CODE_NAME:
        put_str(pk, inspected[mutate_pick(m, ELEMENTS(inspected))]);
        break;
    case FIELD_BYTES:
        put_key(m, pk);
        break;
    case FIELD_FUNCTION:
        put_function(m, pk);
        break;
    case FIELD_SET:
        mutate_chance(m, 50) ? (void)msgpack_pack_uint64(pk, good_number(m, f)) : put_name(m, pk, 'n');
        break;
    case FIELD_SET_NAME:
    case FIELD_TAG:
        put_name(m, pk, 'n');
        break;
    case FIELD_PREFIX:
        mutate_chance(m, 50) ? put_str(pk, "") : put_name(m, pk, 'p');
        break;
    case FIELD_TYPE:
        put_str(pk, ptools_type_name((ptools_type)(PTOOLS_INT8 + mutate_pick(m, PTOOLS_BOOLEAN))));
        break;
    case FIELD_ORDER:
        put_str(pk, mutate_chance(m, 50) ? "row" : "column");
        break;
    case FIELD_MODE:
        put_str(pk, mutate_chance(m, 50) ? "rr" : "ff");
        break;
    case FIELD_CHOICE:
    case FIELD_CHOICES:
        put_words(m, pk, f->words, f->type == FIELD_CHOICES);
        break;
    case FIELD_VERSIONS:
        put_pair(m, pk, 1, 9);
        break;
    case FIELD_PAIR:
        put_pair(m, pk, mutate_known(m, THING_ARRAY), 64);
        break;
    case FIELD_WORKERS:
        msgpack_pack_array(pk, n);
        for (uint64_t i = 1; i <= n; i++)
            msgpack_pack_uint64(pk, i);
        break;
    case FIELD_UIDS:
    case FIELD_DIMS:
        msgpack_pack_array(pk, n);
        for (uint64_t i = 0; i < n; i++)
            msgpack_pack_uint64(pk, 1 + mutate_pick(m, 16));
        break;
    case FIELD_IDS:
        msgpack_pack_array(pk, n);
        for (uint64_t i = 0; i < n; i++)
            msgpack_pack_uint64(pk, mutate_known(m, strcmp(f->key, "arrays") == 0 ? THING_ARRAY : THING_TASK));
        break;
    case FIELD_TAGS:
    case FIELD_HOSTS:
        msgpack_pack_array(pk, n);
        for (uint64_t i = 0; i < n; i++)
            f->type == FIELD_TAGS ? put_name(m, pk, 'n') : put_str(pk, "localhost");
        break;
    }
}

static void put_edge_number(struct mutate *m, msgpack_packer *pk, const struct field *f)
{
    static const uint64_t edges[] = { 0,
                                      1,
                                      127,
                                      128,
                                      65535,
                                      65536,
                                      INT32_MAX,
                                      UINT32_MAX,
                                      UINT64_C(1) << 32,
                                      UINT64_C(1) << 53,
                                      INT64_MAX,
                                      UINT64_C(1) << 63,
                                      UINT64_MAX };
    static const double doubles[] = { NAN, INFINITY, -INFINITY, 5e-324, -0.0, 1.7976931348623157e308, 0.5 };

    switch (mutate_pick(m, f ? 6 : 4)) {
    case 0:
        msgpack_pack_double(pk, doubles[mutate_pick(m, ELEMENTS(doubles))]);
        break;
    case 1:
        msgpack_pack_int64(pk, mutate_chance(m, 50) ? -1 : INT64_MIN);
        break;
    case 4:
        msgpack_pack_uint64(pk, mutate_chance(m, 50) ? f->max : f->max + 1);
        break;
    case 5:
        msgpack_pack_uint64(pk, mutate_chance(m, 50) ? f->min : f->min - 1);
        break;
    default:
        msgpack_pack_uint64(pk, edges[mutate_pick(m, ELEMENTS(edges))]);
    }
}

void put_edge_text(struct mutate *m, msgpack_packer *pk)
{
    static const size_t lengths[] = { 0, 1, 63, 64, 65, 128, 129, 253, 254, 4096 };
    static const char *const texts[] = { "\xff\xfe", "e\xcc\x81", "\xed\xa0\x80", "../..",   "/dev/null",
                                         "all",      "9a",        "%s%n%999d",    "\x1b[2J", "a b",
                                         "a.b.c",    ".",         "a\nb",         "\xc0\x80" };
    static char xs[MIB];
    size_t n = mutate_pick(m, 200) == 0 ? (size_t)MIB : lengths[mutate_pick(m, ELEMENTS(lengths))];

    if (mutate_chance(m, 50)) {
        put_str(pk, texts[mutate_pick(m, ELEMENTS(texts))]);
        return;
    }
    memset(xs, mutate_chance(m, 20) ? '\0' : 'x', n);
    if (mutate_chance(m, 20))
        msgpack_pack_bin_with_body(pk, xs, n);
    else
        msgpack_pack_str_with_body(pk, xs, n);
}

void put_any(struct mutate *m, msgpack_packer *pk, unsigned depth)
{
    uint64_t n = mutate_pick(m, 3);

    switch (mutate_pick(m, depth > 0 ? 9 : 7)) {
    case 0:
        msgpack_pack_nil(pk);
        break;
    case 1:
        msgpack_pack_true(pk);
        break;
    case 2:
    case 3:
        put_edge_number(m, pk, NULL);
        break;
    case 4:
        msgpack_pack_ext(pk, 3, (int8_t)(mutate_pick(m, 256) - 128));
        msgpack_pack_ext_body(pk, "ext", 3);
        break;
    case 5:
    case 6:
        put_edge_text(m, pk);
        break;
    case 7:
        msgpack_pack_array(pk, n);
        for (; n > 0; n--)
            put_any(m, pk, depth - 1);
        break;
    default:
        msgpack_pack_map(pk, n);
        for (; n > 0; n--) {
            put_any(m, pk, depth - 1);
            put_any(m, pk, depth - 1);
        }
    }
}

/* Lists that are too long, empty, or of the same again. */
static void put_edge_list(struct mutate *m, msgpack_packer *pk, const struct field *f)
{
    static const size_t lengths[] = { 0, 2, 9, 17, 65, 1024, 1025, 9000 };
    size_t n = lengths[mutate_pick(m, ELEMENTS(lengths))];
    bool number = f->type != FIELD_TAGS && f->type != FIELD_HOSTS && f->type != FIELD_CHOICES;

    msgpack_pack_array(pk, n);
    for (size_t i = 0; i < n; i++)
        number ? (void)msgpack_pack_uint64(pk, n == 2 ? UINT64_MAX : i + 1) : put_name(m, pk, 'n');
}

void put_edge(struct mutate *m, msgpack_packer *pk, const struct field *f)
{
    switch (f->type) {
    case FIELD_U32:
    case FIELD_U64:
    case FIELD_CODE:
    case FIELD_EXIT:
    case FIELD_F64:
    case FIELD_BOOL:
        put_edge_number(m, pk, f);
        break;
    case FIELD_SET:
        mutate_chance(m, 50) ? put_edge_number(m, pk, f) : put_edge_text(m, pk);
        break;
    case FIELD_VERSIONS:
    case FIELD_PAIR:
        msgpack_pack_array(pk, 2);
        put_edge_number(m, pk, f);
        put_edge_number(m, pk, f);
        break;
    case FIELD_WORKERS:
    case FIELD_UIDS:
    case FIELD_DIMS:
    case FIELD_IDS:
    case FIELD_TAGS:
    case FIELD_HOSTS:
    case FIELD_CHOICES:
        put_edge_list(m, pk, f);
        break;
    default:
        put_edge_text(m, pk);
    }
}

/* -- arguments ---------------------------------------------------------------------------------------------------- */

static void put_view(struct mutate *m, msgpack_packer *pk)
{
    static const char *const keys[] = { "dims", "strides" };

    msgpack_pack_map(pk, 1);
    put_str(pk, "$array");
    msgpack_pack_map(pk, 2 + ELEMENTS(keys));
    put_str(pk, "id");
    msgpack_pack_uint64(pk, mutate_known(m, THING_ARRAY));
    put_str(pk, "offset");
    msgpack_pack_uint64(pk, mutate_pick(m, 32));
    for (size_t i = 0; i < ELEMENTS(keys); i++) {
        put_str(pk, keys[i]);
        msgpack_pack_array(pk, 1);
        mutate_chance(m, 80) ? (void)msgpack_pack_int64(pk, (int64_t)mutate_pick(m, 16) - 2)
                             : put_edge_number(m, pk, NULL);
    }
}

bool put_arguments(struct mutate *m, msgpack_packer *pk, int function)
{
    const enum arguments arguments = functions[function].arguments;

    msgpack_pack_array(pk, arguments != ARGS_NONE);
    if (arguments == ARGS_TEXT)
        put_str(pk, "text");
    else if (arguments == ARGS_NUMBER)
        msgpack_pack_uint64(pk, mutate_pick(m, 8));
    else if (arguments == ARGS_VIEW)
        put_view(m, pk);
    else if (arguments == ARGS_ANY)
        put_any(m, pk, 10);
    return !functions[function].exact;
}

int mutate_function(struct text name)
{
    for (int i = 0; i < (int)ELEMENTS(functions); i++)
        if (name.n == strlen(functions[i].name) && memcmp(name.data, functions[i].name, name.n) == 0)
            return i;
    return -1;
}
