/* SPDX-License-Identifier: MIT */
/* value -- what is packed is what is read; wrong types, ranges, counts and bytes are refused. */
#include <math.h>
#include <string.h>

#include "proto/limits.h"
#include "proto/value.h"
#include "tests/support/suite.h"

static ptools_pack *pack;
static struct payload payload;

static void setup(void)
{
    pack = ptools_pack_new();
    ck_assert_ptr_nonnull(pack);
    payload_init(&payload);
}

static void teardown(void)
{
    pack = ptools_pack_free(pack);
    payload_deinit(&payload);
}

/* The arguments packed so far, parsed: a list. */
static ptools_value arguments(void)
{
    const uint8_t *data;
    const char *why = "";
    size_t n;

    ck_assert_int_eq(pack_finish_arguments(pack, &data, &n), PTOOLS_OK);
    ck_assert_msg(payload_parse(&payload, data, n, &why) == PTOOLS_OK, "%s", why);
    return (ptools_value){ &payload.root };
}

static ptools_value argument(uint32_t index)
{
    ptools_value v = { NULL };

    ck_assert_int_eq(ptools_get_item(arguments(), index, &v), PTOOLS_OK);
    return v;
}

static void assert_arguments(const void *expected, size_t n_expected)
{
    const uint8_t *data;
    size_t n;

    ck_assert_int_eq(pack_finish_arguments(pack, &data, &n), PTOOLS_OK);
    ck_assert_uint_eq(n, n_expected);
    ck_assert_mem_eq(data, expected, n);
}

/* -- building ---------------------------------------------------------------------------------------- */

START_TEST(empty_is_not_null)
{
    static const uint8_t wire[] = { 0x92, 0xa0, 0xc4, 0 }; /* "", and no bytes */
    struct payload p;
    const char *text = NULL, *why;
    const void *data = NULL;
    ptools_value v;
    size_t n = 9;

    payload_init(&p);
    ck_assert_int_eq(payload_parse(&p, wire, sizeof wire, &why), PTOOLS_OK);
    ck_assert_int_eq(ptools_get_item((ptools_value){ &p.root }, 0, &v), PTOOLS_OK);
    ck_assert_int_eq(ptools_get_str(v, &text, &n), PTOOLS_OK);
    ck_assert_ptr_nonnull(text);
    ck_assert_uint_eq(n, 0);
    ck_assert_int_eq(ptools_get_item((ptools_value){ &p.root }, 1, &v), PTOOLS_OK);
    ck_assert_int_eq(ptools_get_bytes(v, &data, &n), PTOOLS_OK);
    ck_assert_ptr_nonnull(data);
    payload_deinit(&p);
}
END_TEST

START_TEST(no_arguments)
{
    const uint8_t *data;
    size_t n;

    assert_arguments("\x90", 1);
    ck_assert_int_eq(pack_finish_arguments(NULL, &data, &n), PTOOLS_OK);
    ck_assert_uint_eq(n, 1);
    ck_assert_uint_eq(data[0], 0x90);
}
END_TEST

START_TEST(bytes_of_each_kind)
{
    ptools_pack_nil(pack);
    ptools_pack_bool(pack, true);
    ptools_pack_bool(pack, false);
    ptools_pack_i64(pack, -1);
    ptools_pack_u64(pack, 300);
    ptools_pack_f64(pack, 1.0);
    ptools_pack_str(pack, "hi");
    ptools_pack_bytes(pack, "\0\1", 2);
    ptools_pack_list(pack, 0);
    ptools_pack_map(pack, 0);
    ptools_pack_raw(pack, "\x91\x07", 2);
#define EXPECTED "\x9b\xc0\xc3\xc2\xff\xcd\x01\x2c\xcb\x3f\xf0\0\0\0\0\0\0\xa2hi\xc4\x02\0\1\x90\x80\x91\x07"
    assert_arguments(EXPECTED, sizeof EXPECTED - 1);
#undef EXPECTED
}
END_TEST

START_TEST(one_value_or_several)
{
    const uint8_t *data;
    size_t n;

    ck_assert_int_eq(pack_finish_value(pack, &data, &n), PTOOLS_OK);
    ck_assert_uint_eq(n, 1);
    ck_assert_mem_eq(data, "\xc0", 1);
    ptools_pack_u64(pack, 7);
    ck_assert_int_eq(pack_finish_value(pack, &data, &n), PTOOLS_OK);
    ck_assert_uint_eq(n, 1);
    ck_assert_mem_eq(data, "\x07", 1);
    ptools_pack_u64(pack, 8); /* a finished pack takes more */
    ck_assert_int_eq(pack_finish_value(pack, &data, &n), PTOOLS_OK);
    ck_assert_uint_eq(n, 3);
    ck_assert_mem_eq(data, "\x92\x07\x08", 3);
}
END_TEST

START_TEST(header_grows)
{
    static const uint32_t counts[] = { 15, 16, 65535, 65536 };
    static const size_t headers[] = { 1, 3, 3, 5 };
    const uint8_t *data;
    uint32_t i = 0, count;
    size_t n;

    for (size_t c = 0; c < ELEMENTS(counts); c++) {
        for (; i < counts[c]; i++)
            ptools_pack_u64(pack, 1);
        ck_assert_int_eq(pack_finish_arguments(pack, &data, &n), PTOOLS_OK);
        ck_assert_uint_eq(n, headers[c] + counts[c]);
        ck_assert_int_eq(ptools_get_count(arguments(), &count), PTOOLS_OK);
        ck_assert_uint_eq(count, counts[c]);
    }
}
END_TEST

START_TEST(nesting)
{
    ptools_value v, key, list;
    uint32_t count;
    uint64_t u;

    ptools_pack_map(pack, 2);
    ptools_pack_str(pack, "a");
    ptools_pack_list(pack, 2);
    ptools_pack_map(pack, 0);
    ptools_pack_list(pack, 1);
    ptools_pack_u64(pack, 5);
    ptools_pack_str(pack, "b");
    ptools_pack_nil(pack);
    ptools_pack_u64(pack, 6); /* an argument of its own */

    ck_assert_int_eq(ptools_get_count(arguments(), &count), PTOOLS_OK);
    ck_assert_uint_eq(count, 2);
    v = argument(0);
    ck_assert_int_eq(ptools_get_field(v, "a", &list), PTOOLS_OK);
    ck_assert_int_eq(ptools_get_item(list, 1, &v), PTOOLS_OK);
    ck_assert_int_eq(ptools_get_item(v, 0, &v), PTOOLS_OK);
    ck_assert_int_eq(ptools_get_u64(v, &u), PTOOLS_OK);
    ck_assert_uint_eq(u, 5);
    ck_assert_int_eq(ptools_get_pair(argument(0), 1, &key, &v), PTOOLS_OK);
    ck_assert_int_eq(ptools_value_kind(key), PTOOLS_STR);
    ck_assert_int_eq(ptools_value_kind(v), PTOOLS_NIL);
}
END_TEST

START_TEST(too_few_appends)
{
    const uint8_t *data = NULL;
    size_t n = 99;

    ptools_pack_list(pack, 1);
    ptools_pack_map(pack, 1);
    ptools_pack_str(pack, "key");
    ck_assert_int_eq(ptools_pack_error(pack), PTOOLS_OK);
    ck_assert_int_eq(pack_finish_arguments(pack, &data, &n), PTOOLS_ERR_INVALID);
    ck_assert_int_eq(pack_finish_value(pack, &data, &n), PTOOLS_ERR_INVALID);
    ck_assert_ptr_null(data);
    ck_assert_uint_eq(n, 99);
    ptools_pack_nil(pack); /* now it is complete */
    assert_arguments("\x91\x91\x81\xa3key\xc0", 8);
}
END_TEST

START_TEST(deepest)
{
    ptools_value v;
    uint32_t depth = 0;

    for (unsigned i = 1; i < PAYLOAD_DEPTH_MAX; i++)
        ptools_pack_list(pack, 1);
    ptools_pack_nil(pack);
    ck_assert_int_eq(ptools_pack_error(pack), PTOOLS_OK);
    for (v = arguments(); ptools_value_kind(v) == PTOOLS_LIST; depth++)
        ck_assert_int_eq(ptools_get_item(v, 0, &v), PTOOLS_OK);
    ck_assert_uint_eq(depth, PAYLOAD_DEPTH_MAX);
}
END_TEST

START_TEST(too_deep)
{
    const uint8_t *data;
    size_t n;

    for (unsigned i = 1; i < PAYLOAD_DEPTH_MAX; i++)
        ptools_pack_list(pack, 1);
    if (_i == 0)
        ptools_pack_list(pack, 0);
    else if (_i == 1)
        ptools_pack_map(pack, 1);
    else
        ptools_pack_raw(pack, "\x90", 1);
    ck_assert_int_eq(ptools_pack_error(pack), PTOOLS_ERR_INVALID);
    ck_assert_int_eq(pack_finish_arguments(pack, &data, &n), PTOOLS_ERR_INVALID);
    ptools_pack_reset(pack);
    ck_assert_int_eq(ptools_pack_error(pack), PTOOLS_OK);
    assert_arguments("\x90", 1);
}
END_TEST

START_TEST(raw_scalar_at_the_bottom)
{
    for (unsigned i = 1; i < PAYLOAD_DEPTH_MAX; i++)
        ptools_pack_list(pack, 1);
    ptools_pack_raw(pack, "\x07", 1);
    ck_assert_int_eq(ptools_pack_error(pack), PTOOLS_OK);
    ck_assert_int_eq(ptools_value_kind(arguments()), PTOOLS_LIST);
}
END_TEST

START_TEST(raw_refused)
{
    static const struct {
        const char *data;
        size_t n;
    } bad[] = {
        { "", 0 },           /* no value */
        { "\x01\x02", 2 },   /* two */
        { "\x92\x01", 2 },   /* half of one */
        { "\xc1", 1 },       /* not msgpack */
        { "\xd4\x01\x02", 3 }, /* an extension */
        { "\xdd\xff\xff\xff\xff", 5 },
        { NULL, 3 },
    };
    const uint8_t *data;
    size_t n;

    for (size_t i = 0; i < ELEMENTS(bad); i++) {
        ptools_pack_reset(pack);
        ptools_pack_u64(pack, 1);
        ptools_pack_raw(pack, bad[i].data, bad[i].n);
        ck_assert_int_eq(ptools_pack_error(pack), PTOOLS_ERR_INVALID);
        ptools_pack_u64(pack, 2); /* the first failure sticks */
        ck_assert_int_eq(pack_finish_value(pack, &data, &n), PTOOLS_ERR_INVALID);
    }
}
END_TEST

START_TEST(null_strings)
{
    ptools_pack_strn(pack, NULL, 0);
    ptools_pack_bytes(pack, NULL, 0);
    ck_assert_int_eq(ptools_pack_error(pack), PTOOLS_OK);
    assert_arguments("\x92\xa0\xc4\x00", 4);
    if (_i == 0)
        ptools_pack_str(pack, NULL);
    else if (_i == 1)
        ptools_pack_strn(pack, NULL, 1);
    else
        ptools_pack_bytes(pack, NULL, 1);
    ck_assert_int_eq(ptools_pack_error(pack), PTOOLS_ERR_INVALID);
}
END_TEST

START_TEST(too_large)
{
    static const size_t sizes[] = { ((size_t)2 << 30) + 1, ((size_t)1 << 32) + 1, SIZE_MAX };

    for (size_t i = 0; i < ELEMENTS(sizes); i++) {
        ptools_pack_reset(pack);
        if (_i == 0)
            ptools_pack_strn(pack, "x", sizes[i]); /* never read that far */
        else if (_i == 1)
            ptools_pack_bytes(pack, "x", sizes[i]);
        else
            ptools_pack_raw(pack, "\xc0", sizes[i]);
        ck_assert_int_eq(ptools_pack_error(pack), PTOOLS_ERR_TOO_LARGE);
        ptools_pack_nil(pack);
        ck_assert_int_eq(ptools_pack_error(pack), PTOOLS_ERR_TOO_LARGE);
    }
}
END_TEST

START_TEST(free_null)
{
    ck_assert_ptr_null(ptools_pack_free(NULL));
}
END_TEST

/* -- reading ----------------------------------------------------------------------------------------- */

START_TEST(integers)
{
    static const struct {
        bool negative;
        uint64_t u;
        bool in_i64, in_u64, in_f64;
    } cases[] = {
        { false, 0, true, true, true },
        { false, 127, true, true, true },
        { false, UINT64_C(1) << 53, true, true, true },
        { false, (UINT64_C(1) << 53) + 1, true, true, false },
        { false, INT64_MAX, true, true, false },
        { false, UINT64_C(1) << 63, false, true, true },
        { false, UINT64_MAX, false, true, false },
        { true, (uint64_t)-1, true, false, true },
        { true, (uint64_t)INT64_MIN, true, false, true },
        { true, (uint64_t)(INT64_MIN + 1), true, false, false },
        { true, (uint64_t)-(INT64_C(1) << 53) - 1, true, false, false },
    };

    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        int64_t s = 42;
        uint64_t u = 42;
        double f = 42;
        ptools_value v;

        ptools_pack_reset(pack);
        if (cases[i].negative)
            ptools_pack_i64(pack, (int64_t)cases[i].u);
        else
            ptools_pack_u64(pack, cases[i].u);
        v = argument(0);
        ck_assert_int_eq(ptools_value_kind(v), PTOOLS_INT);
        ck_assert_int_eq(ptools_get_i64(v, &s), cases[i].in_i64 ? PTOOLS_OK : PTOOLS_ERR_RANGE);
        ck_assert_int_eq(s, cases[i].in_i64 ? (int64_t)cases[i].u : 42);
        ck_assert_int_eq(ptools_get_u64(v, &u), cases[i].in_u64 ? PTOOLS_OK : PTOOLS_ERR_RANGE);
        ck_assert_uint_eq(u, cases[i].in_u64 ? cases[i].u : 42);
        ck_assert_int_eq(ptools_get_f64(v, &f), cases[i].in_f64 ? PTOOLS_OK : PTOOLS_ERR_RANGE);
        if (!cases[i].in_f64)
            ck_assert_double_eq(f, 42);
        else
            ck_assert_double_eq(f, cases[i].negative ? (double)(int64_t)cases[i].u : (double)cases[i].u);
    }
}
END_TEST

/* Around each power of two, of either sign. */
START_TEST(numbers_are_packed_as_msgpack_c_packs_them)
{
    const uint8_t *data;
    struct bytes expected;
    msgpack_packer pk;
    uint64_t items;
    size_t n;

    bytes_init(&expected, SIZE_MAX);
    msgpack_packer_init(&pk, &expected, bytes_write);
    for (int bit = 0; bit < 64; bit++) {
        for (int64_t near = -2; near <= 2; near++) {
            const uint64_t u = (UINT64_C(1) << bit) + (uint64_t)near;
            double f;

            memcpy(&f, &u, sizeof f);
            ptools_pack_u64(pack, u);
            msgpack_pack_uint64(&pk, u);
            ptools_pack_i64(pack, (int64_t)u);
            msgpack_pack_int64(&pk, (int64_t)u);
            ptools_pack_i64(pack, (int64_t)-u);
            msgpack_pack_int64(&pk, (int64_t)-u);
            ptools_pack_f64(pack, f);
            msgpack_pack_double(&pk, f);
        }
    }
    ck_assert_int_eq(pack_finish_items(pack, &data, &n, &items), PTOOLS_OK);
    ck_assert_uint_eq(items, 64 * 5 * 4);
    ck_assert_uint_eq(n, expected.n);
    ck_assert_mem_eq(data, expected.data, n);
    bytes_deinit(&expected);
}
END_TEST

START_TEST(floats)
{
    static const double cases[] = { 0.0, -0.0, 0.1, 1e308, -1e-308, INFINITY };
    double f;

    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        ptools_pack_reset(pack);
        ptools_pack_f64(pack, cases[i]);
        ck_assert_int_eq(ptools_value_kind(argument(0)), PTOOLS_FLOAT);
        ck_assert_int_eq(ptools_get_f64(argument(0), &f), PTOOLS_OK);
        ck_assert_mem_eq(&f, &cases[i], sizeof f);
    }
    ptools_pack_reset(pack);
    ptools_pack_raw(pack, "\xca\x3f\x80\x00\x00", 5); /* a single */
    ck_assert_int_eq(ptools_get_f64(argument(0), &f), PTOOLS_OK);
    ck_assert_double_eq(f, 1.0);
}
END_TEST

START_TEST(strings_and_bytes)
{
    const char *s;
    const void *b;
    size_t n;

    ptools_pack_strn(pack, "a\0b", 3);
    ptools_pack_bytes(pack, "\xff\x00", 2);
    ck_assert_int_eq(ptools_get_str(argument(0), &s, &n), PTOOLS_OK);
    ck_assert_uint_eq(n, 3);
    ck_assert_mem_eq(s, "a\0b", 3);
    ck_assert_int_eq(ptools_get_bytes(argument(1), &b, &n), PTOOLS_OK);
    ck_assert_uint_eq(n, 2);
    ck_assert_mem_eq(b, "\xff\x00", 2);
}
END_TEST

/* Each getter takes its own kind and refuses all others, untouched. */
START_TEST(kinds_do_not_mix)
{
    static const char *const names[] = { "nil", "boolean", "integer", "float", "string", "bytes", "list", "map" };

    ptools_pack_nil(pack);
    ptools_pack_bool(pack, true);
    ptools_pack_u64(pack, 1);
    ptools_pack_f64(pack, 1.5);
    ptools_pack_str(pack, "true");
    ptools_pack_bytes(pack, "x", 1);
    ptools_pack_list(pack, 0);
    ptools_pack_map(pack, 0);
    for (uint32_t i = 0; i <= PTOOLS_MAP; i++) {
        ptools_value v = argument(i), k = { &pack }, item = { &pack };
        bool yes = false;
        int64_t s = 42;
        uint64_t u = 42;
        uint32_t count = 42;
        double f = 42;
        const char *str = NULL;
        const void *bytes = NULL;
        size_t n = 42;

        ck_assert_uint_eq(ptools_value_kind(v), i);
        ck_assert_str_eq(ptools_kind_name((ptools_kind)i), names[i]);
#define TYPE_UNLESS(condition) ((condition) ? PTOOLS_OK : PTOOLS_ERR_TYPE)
        ck_assert_int_eq(ptools_get_bool(v, &yes), TYPE_UNLESS(i == PTOOLS_BOOL));
        ck_assert(yes == (i == PTOOLS_BOOL));
        ck_assert_int_eq(ptools_get_i64(v, &s), TYPE_UNLESS(i == PTOOLS_INT));
        ck_assert_int_eq(s, i == PTOOLS_INT ? 1 : 42);
        ck_assert_int_eq(ptools_get_u64(v, &u), TYPE_UNLESS(i == PTOOLS_INT));
        ck_assert_uint_eq(u, i == PTOOLS_INT ? 1 : 42);
        ck_assert_int_eq(ptools_get_f64(v, &f), TYPE_UNLESS(i == PTOOLS_INT || i == PTOOLS_FLOAT));
        ck_assert_double_eq(f, i == PTOOLS_INT ? 1 : i == PTOOLS_FLOAT ? 1.5 : 42);
        ck_assert_int_eq(ptools_get_str(v, &str, &n), TYPE_UNLESS(i == PTOOLS_STR));
        ck_assert((str != NULL) == (i == PTOOLS_STR));
        ck_assert_int_eq(ptools_get_bytes(v, &bytes, &n), TYPE_UNLESS(i == PTOOLS_BYTES));
        ck_assert((bytes != NULL) == (i == PTOOLS_BYTES));
        ck_assert_int_eq(ptools_get_count(v, &count), TYPE_UNLESS(i == PTOOLS_LIST || i == PTOOLS_MAP));
        ck_assert_uint_eq(count, i >= PTOOLS_LIST ? 0 : 42);
        ck_assert_int_eq(ptools_get_item(v, 0, &item), i == PTOOLS_LIST ? PTOOLS_ERR_RANGE : PTOOLS_ERR_TYPE);
        ck_assert_int_eq(ptools_get_pair(v, 0, &k, &item), i == PTOOLS_MAP ? PTOOLS_ERR_RANGE : PTOOLS_ERR_TYPE);
        ck_assert_int_eq(ptools_get_field(v, "x", &item), i == PTOOLS_MAP ? PTOOLS_ERR_RANGE : PTOOLS_ERR_TYPE);
        ck_assert_ptr_eq(k.object, &pack);
        ck_assert_ptr_eq(item.object, &pack);
#undef TYPE_UNLESS
    }
    ck_assert_str_eq(ptools_kind_name((ptools_kind)8), "unknown");
}
END_TEST

START_TEST(value_never_set)
{
    ptools_value v = { NULL };
    bool yes;

    ck_assert_int_eq(ptools_value_kind(v), PTOOLS_NIL);
    ck_assert_int_eq(ptools_get_bool(v, &yes), PTOOLS_ERR_TYPE);
}
END_TEST

START_TEST(fields)
{
    ptools_value v, map;
    uint64_t u;

    ptools_pack_map(pack, 4);
    ptools_pack_u64(pack, 1); /* keys need not be strings */
    ptools_pack_u64(pack, 10);
    ptools_pack_str(pack, "ab");
    ptools_pack_u64(pack, 20);
    ptools_pack_str(pack, "");
    ptools_pack_u64(pack, 30);
    ptools_pack_str(pack, "ab"); /* the first of equal keys counts */
    ptools_pack_u64(pack, 40);
    map = argument(0);
    ck_assert_int_eq(ptools_get_field(map, "ab", &v), PTOOLS_OK);
    ck_assert_int_eq(ptools_get_u64(v, &u), PTOOLS_OK);
    ck_assert_uint_eq(u, 20);
    ck_assert_int_eq(ptools_get_field(map, "", &v), PTOOLS_OK);
    ck_assert_int_eq(ptools_get_u64(v, &u), PTOOLS_OK);
    ck_assert_uint_eq(u, 30);
    ck_assert_int_eq(ptools_get_field(map, "a", &v), PTOOLS_ERR_RANGE);
    ck_assert_int_eq(ptools_get_field(map, "abc", &v), PTOOLS_ERR_RANGE);
}
END_TEST

/* -- payload ----------------------------------------------------------------------------------------- */

START_TEST(payload_refused)
{
    static const struct {
        const char *data;
        size_t n;
    } bad[] = {
        { "", 0 }, { "\x92\x01", 2 }, { "\x01\x01", 2 }, { "\xc1", 1 }, { "\xd4\x01\x02", 3 },
        { "\xdd\x01\x00\x00\x00", 5 }, { "\xdf\xff\xff\xff\xff", 5 }, { "\xdb\xff\xff\xff\xff", 5 },
    };
    static const uint8_t good[] = { 0x91, 0x07 };

    for (size_t i = 0; i < ELEMENTS(bad); i++) {
        const char *why = NULL;

        ck_assert_int_eq(payload_parse(&payload, good, sizeof good, &why), PTOOLS_OK);
        ck_assert_int_eq(payload_parse(&payload, (const uint8_t *)bad[i].data, bad[i].n, &why),
                         PTOOLS_ERR_BAD_ARGUMENT);
        ck_assert_ptr_nonnull(why);
        ck_assert_uint_gt(strlen(why), 0);
        ck_assert_int_eq(ptools_value_kind((ptools_value){ &payload.root }), PTOOLS_NIL); /* nothing dangles */
    }
}
END_TEST

START_TEST(payload_depth)
{
    uint8_t nested[PAYLOAD_DEPTH_MAX + 2];
    const char *why = NULL;

    memset(nested, 0x91, sizeof nested);
    nested[PAYLOAD_DEPTH_MAX] = 0xc0;
    ck_assert_int_eq(payload_parse(&payload, nested, PAYLOAD_DEPTH_MAX + 1, &why), PTOOLS_OK);
    nested[PAYLOAD_DEPTH_MAX] = 0x91;
    nested[PAYLOAD_DEPTH_MAX + 1] = 0xc0;
    ck_assert_int_eq(payload_parse(&payload, nested, PAYLOAD_DEPTH_MAX + 2, &why), PTOOLS_ERR_BAD_ARGUMENT);
    ck_assert_ptr_nonnull(why);
}
END_TEST

START_TEST(payload_borrows_strings)
{
    uint8_t data[] = { 0x92, 0xa2, 'h', 'i', 0xc4, 0x01, 0x07 };
    const char *why, *s;
    const void *b;
    ptools_value v;
    size_t n;

    ck_assert_int_eq(payload_parse(&payload, data, sizeof data, &why), PTOOLS_OK);
    ck_assert_int_eq(ptools_get_item((ptools_value){ &payload.root }, 0, &v), PTOOLS_OK);
    ck_assert_int_eq(ptools_get_str(v, &s, &n), PTOOLS_OK);
    ck_assert_ptr_eq(s, data + 2);
    ck_assert_int_eq(ptools_get_item((ptools_value){ &payload.root }, 1, &v), PTOOLS_OK);
    ck_assert_int_eq(ptools_get_bytes(v, &b, &n), PTOOLS_OK);
    ck_assert_ptr_eq(b, data + 6);
}
END_TEST

START_TEST(payload_again_and_again)
{
    const uint8_t *data;
    const char *why;
    size_t n;

    ptools_pack_list(pack, 20000);
    for (int i = 0; i < 20000; i++)
        ptools_pack_u64(pack, (uint64_t)i);
    ck_assert_int_eq(pack_finish_arguments(pack, &data, &n), PTOOLS_OK);
    for (int i = 0; i < 20; i++) {
        static const uint8_t small[] = { 0xc3 };
        ptools_value v;
        uint64_t u;

        ck_assert_int_eq(payload_parse(&payload, data, n, &why), PTOOLS_OK);
        ck_assert_int_eq(ptools_get_item((ptools_value){ &payload.root }, 0, &v), PTOOLS_OK);
        ck_assert_int_eq(ptools_get_item(v, 19999, &v), PTOOLS_OK);
        ck_assert_int_eq(ptools_get_u64(v, &u), PTOOLS_OK);
        ck_assert_uint_eq(u, 19999);
        ck_assert_int_eq(payload_parse(&payload, small, sizeof small, &why), PTOOLS_OK);
        ck_assert_int_eq(ptools_value_kind((ptools_value){ &payload.root }), PTOOLS_BOOL);
    }
    payload_deinit(&payload);
    payload_deinit(&payload); /* forgives */
}
END_TEST

/* -- flat lists ---------------------------------------------------------------------------------------- */

/* Every form of a value, cut at every length: what is read as a flat list is what msgpack-c makes of it. */
START_TEST(flat_lists_are_what_they_are)
{
    static const uint8_t tail[] = { 0x21, 0x7f, 0x30, 1, 2, 3, 4, 5, 6, 7, 8, 9 };
    const uint8_t tag = (uint8_t)(_i % 256), items = (uint8_t)(1 + _i / 256);
    uint8_t data[64] = { 0x90 | items, tag };
    msgpack_object flat[FLAT_MAX];
    struct payload tree;
    const char *why;
    uint32_t count;
    size_t bytes = 0, expected = 0;
    bool read, ever = false;

    memcpy(data + 2, tail, sizeof tail);
    memset(data + 2 + sizeof tail, 0x7e, sizeof data - 2 - sizeof tail);
    payload_init(&tree);
    for (size_t n = 0; n <= sizeof data; n++) {
        read = flat_list_read(data, n, flat, &count, &bytes);
        ever |= read;
        if (!read)
            continue;
        ck_assert_int_eq(payload_parse_first(&tree, data, n, &expected, &why), PTOOLS_OK);
        ck_assert_uint_eq(bytes, expected);
        ck_assert(count == items && tree.root.via.array.size == items);
        for (uint32_t i = 0; i < count; i++)
            ck_assert_msg(msgpack_object_equal(flat[i], tree.root.via.array.ptr[i]), "0x%02x, item %u", tag, i);
    }
    /* lists, maps, extensions, what msgpack never uses, and lengths of 2 and 4 bytes take the other way */
    ck_assert(ever == (tag <= 0x7f || tag >= 0xe0 || (tag >= 0xa0 && tag <= 0xbf) || tag == 0xc0 || tag == 0xc2 ||
                       tag == 0xc3 || tag == 0xc4 || (tag >= 0xca && tag <= 0xd3) || tag == 0xd9));
    payload_deinit(&tree);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("value");
    TCase *tc = suite_case(suite, "pack");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, empty_is_not_null);
    tcase_add_test(tc, no_arguments);
    tcase_add_test(tc, bytes_of_each_kind);
    tcase_add_test(tc, one_value_or_several);
    tcase_add_test(tc, header_grows);
    tcase_add_test(tc, nesting);
    tcase_add_test(tc, too_few_appends);
    tcase_add_test(tc, deepest);
    tcase_add_loop_test(tc, too_deep, 0, 3);
    tcase_add_test(tc, raw_scalar_at_the_bottom);
    tcase_add_test(tc, raw_refused);
    tcase_add_loop_test(tc, null_strings, 0, 3);
    tcase_add_loop_test(tc, too_large, 0, 3);
    tcase_add_test(tc, free_null);
    tc = suite_case(suite, "get");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, integers);
    tcase_add_test(tc, numbers_are_packed_as_msgpack_c_packs_them);
    tcase_add_test(tc, floats);
    tcase_add_test(tc, strings_and_bytes);
    tcase_add_test(tc, kinds_do_not_mix);
    tcase_add_test(tc, value_never_set);
    tcase_add_test(tc, fields);
    tc = suite_case(suite, "payload");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, payload_refused);
    tcase_add_test(tc, payload_depth);
    tcase_add_test(tc, payload_borrows_strings);
    tcase_add_test(tc, payload_again_and_again);
    tc = suite_case(suite, "flat");
    tcase_add_loop_test(tc, flat_lists_are_what_they_are, 0, 2 * 256);
    return suite_run(suite);
}
