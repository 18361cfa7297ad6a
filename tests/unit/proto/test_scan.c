/* SPDX-License-Identifier: MIT */
/*
 * test_scan -- every form of msgpack, each cut at every byte, each limit at its edge; and msgpack-c's own
 * packer and unpacker as the second opinion.
 */
#include <msgpack.h>
#include <stdint.h>
#include <string.h>

#include "proto/scan.h"
#include "proto/util.h"
#include "tests/support/suite.h"

static const struct scan_limits wide = { .depth = SCAN_DEPTH_MAX, .items = UINT64_MAX };

#define BYTES(literal) (const uint8_t *)(literal), sizeof(literal) - 1

/* A value of one item in its shortest examples: its header, and how many bytes follow it. */
static const struct form {
    const char *name;
    const char *head;
    size_t head_n, body_n;
} forms[] = {
    { "positive fixint, least", "\x00", 1, 0 },
    { "positive fixint, greatest", "\x7f", 1, 0 },
    { "fixstr, empty", "\xa0", 1, 0 },
    { "fixstr, longest", "\xbf", 1, 31 },
    { "nil", "\xc0", 1, 0 },
    { "false", "\xc2", 1, 0 },
    { "true", "\xc3", 1, 0 },
    { "bin 8, empty", "\xc4\x00", 2, 0 },
    { "bin 8", "\xc4\xff", 2, 255 },
    { "bin 16", "\xc5\x01\x00", 3, 256 },
    { "bin 32", "\xc6\x00\x01\x00\x02", 5, 65538 },
    { "float 32", "\xca", 1, 4 },
    { "float 64", "\xcb", 1, 8 },
    { "uint 8", "\xcc", 1, 1 },
    { "uint 16", "\xcd", 1, 2 },
    { "uint 32", "\xce", 1, 4 },
    { "uint 64", "\xcf", 1, 8 },
    { "int 8", "\xd0", 1, 1 },
    { "int 16", "\xd1", 1, 2 },
    { "int 32", "\xd2", 1, 4 },
    { "int 64", "\xd3", 1, 8 },
    { "str 8", "\xd9\x20", 2, 32 },
    { "str 16", "\xda\x12\x34", 3, 0x1234 },
    { "str 32", "\xdb\x00\x01\x00\x00", 5, 65536 },
    { "negative fixint, least", "\xe0", 1, 0 },
    { "negative fixint, greatest", "\xff", 1, 0 },
};

START_TEST(every_form_and_every_cut)
{
    static uint8_t data[70000];

    for (size_t i = 0; i < ELEMENTS(forms); i++) {
        const struct form *f = &forms[i];
        size_t n = f->head_n + f->body_n, bytes = 0;
        uint64_t items = 0;

        memset(data, 0xc1, sizeof data); /* a body is not looked at */
        memcpy(data, f->head, f->head_n);
        ck_assert_msg(scan_value(data, n, &wide) == SCAN_OK, "%s", f->name);
        ck_assert_int_eq(scan_prefix(data, n + 9, &wide, &bytes, &items), SCAN_OK);
        ck_assert_msg(bytes == n && items == 1, "%s: %zu bytes", f->name, bytes);
        ck_assert_int_eq(scan_value(data, n + 1, &wide), SCAN_TRAILING);
        for (size_t cut = 0; cut < n; cut++) {
            ck_assert_msg(scan_value(data, cut, &wide) == SCAN_TRUNCATED, "%s cut at %zu", f->name, cut);
            ck_assert_msg(scan_small(data, cut) == 0, "%s cut at %zu", f->name, cut);
        }
    }
}
END_TEST

START_TEST(every_first_byte_is_decided)
{
    for (unsigned first = 0; first < 256; first++) {
        uint8_t data[1] = { (uint8_t)first };
        enum scan_result r = scan_value(data, 1, &wide);
        bool ext = (first >= 0xc7 && first <= 0xc9) || (first >= 0xd4 && first <= 0xd8);
        bool alone = first < 0x80 || first >= 0xe0 || first == 0x80 || first == 0x90 || first == 0xa0 ||
                     first == 0xc0 || first == 0xc2 || first == 0xc3;

        ck_assert_msg(r == (first == 0xc1 ? SCAN_BAD_BYTE
                            : ext         ? SCAN_EXT
                            : alone       ? SCAN_OK
                                          : SCAN_TRUNCATED),
                      "0x%02x gives %d", first, r);
    }
}
END_TEST

/* What one look tells is what the walk finds; and it tells it of all but containers and of what has a length behind. */
START_TEST(small_values_need_one_look)
{
    for (unsigned first = 0; first < 256; first++) {
        const bool other = (first >= 0x80 && first < 0xa0) || first == 0xc1 || (first >= 0xc4 && first <= 0xc9) ||
                           (first >= 0xd4 && first < 0xe0);
        uint8_t data[64] = { (uint8_t)first };
        const size_t small = scan_small(data, sizeof data);
        size_t bytes = 0;

        ck_assert_msg(other == (small == 0), "0x%02x: %zu", first, small);
        if (other)
            continue;
        ck_assert_int_eq(scan_prefix(data, sizeof data, &wide, &bytes, NULL), SCAN_OK);
        ck_assert_msg(bytes == small, "0x%02x: %zu, not %zu", first, small, bytes);
        ck_assert_uint_eq(scan_small(data, small), small);
        ck_assert_uint_eq(scan_small(data, small - 1), 0);
    }
}
END_TEST

START_TEST(containers_count_their_items)
{
    static const struct {
        const char *data;
        size_t n;
        uint64_t items;
    } good[] = {
        { "\x90", 1, 1 },
        { "\x80", 1, 1 },
        { "\x93\x01\x02\x03", 4, 4 },
        { "\x81\xa1k\x01", 4, 3 },
        { "\xdc\x00\x02\x01\x02", 5, 3 },
        { "\xdd\x00\x00\x00\x01\x05", 6, 2 },
        { "\xde\x00\x01\x01\x02", 5, 3 },
        { "\xdf\x00\x00\x00\x01\x01\x02", 7, 3 },
        { "\xdd\x00\x00\x00\x00", 5, 1 },
        { "\xdf\x00\x00\x00\x00", 5, 1 },
        { "\x92\x91\x91\x90\x82\x01\x90\x02\x81\x03\x04", 11, 11 },
        { "\x93\x90\x80\x90", 4, 4 }, /* empty ones close at once, also the last */
    };

    for (size_t i = 0; i < ELEMENTS(good); i++) {
        const uint8_t *data = (const uint8_t *)good[i].data;
        uint64_t items = 0;

        ck_assert_int_eq(scan_value(data, good[i].n, &wide), SCAN_OK);
        ck_assert_int_eq(scan_prefix(data, good[i].n, &wide, NULL, &items), SCAN_OK);
        ck_assert_uint_eq(items, good[i].items);
        for (size_t cut = 0; cut < good[i].n; cut++)
            ck_assert_int_eq(scan_value(data, cut, &wide), SCAN_TRUNCATED);
    }
}
END_TEST

START_TEST(claims_beyond_the_end_are_refused_at_once)
{
    static uint8_t data[1 << 20];

    ck_assert_int_eq(scan_value(BYTES("\xdd\xff\xff\xff\xff"), &wide), SCAN_TRUNCATED);
    ck_assert_int_eq(scan_value(BYTES("\xdf\xff\xff\xff\xff"), &wide), SCAN_TRUNCATED);
    ck_assert_int_eq(scan_value(BYTES("\xdf\x80\x00\x00\x00"), &wide), SCAN_TRUNCATED); /* twice that is 2^32 */
    ck_assert_int_eq(scan_value(BYTES("\xdd\x01\x00\x00\x00"), &wide), SCAN_TRUNCATED);
    ck_assert_int_eq(scan_value(BYTES("\xdb\xff\xff\xff\xff"), &wide), SCAN_TRUNCATED);
    ck_assert_int_eq(scan_value(BYTES("\xc6\xff\xff\xff\xff"), &wide), SCAN_TRUNCATED);
    ck_assert_int_eq(scan_value(BYTES("\x81\x01"), &wide), SCAN_TRUNCATED);

    /* decided by the header: the elements, bad as they are, are not looked at */
    memset(data, 0xc1, sizeof data);
    memcpy(data, "\xdd\x00\x10\x00\x00", 5);
    ck_assert_int_eq(scan_value(data, sizeof data, &wide), SCAN_TRUNCATED);
    ck_assert_int_eq(scan_value(data, (1 << 20) - 1, &wide), SCAN_TRUNCATED);
}
END_TEST

/* depth lists (or maps) in each other, the innermost empty. Returns the bytes. */
static size_t nest(uint8_t *data, unsigned depth, bool maps)
{
    size_t n = 0;

    for (unsigned i = 0; i + 1 < depth; i++) {
        data[n++] = maps ? 0x81 : 0x91;
        if (maps)
            data[n++] = 0x01;
    }
    data[n++] = maps ? 0x80 : 0x90;
    return n;
}

START_TEST(depth_limit_is_exact)
{
    static uint8_t data[300];

    for (unsigned maps = 0; maps < 2; maps++) {
        for (uint32_t limit = 0; limit <= SCAN_DEPTH_MAX; limit++) {
            struct scan_limits limits = { .depth = limit, .items = 1000 };

            if (limit > 0)
                ck_assert_int_eq(scan_value(data, nest(data, limit, maps), &limits), SCAN_OK);
            ck_assert_int_eq(scan_value(data, nest(data, limit + 1, maps), &limits), SCAN_TOO_DEEP);
        }
    }
    ck_assert_int_eq(scan_value(BYTES("\x05"), &(struct scan_limits){ .depth = 0, .items = 1 }), SCAN_OK);
}
END_TEST

START_TEST(no_depth_is_allowed_that_msgpack_cannot_take)
{
    struct scan_limits limits = { .depth = UINT32_MAX, .items = UINT64_MAX };
    static uint8_t data[100000];
    msgpack_unpacked unpacked;
    size_t n = nest(data, SCAN_DEPTH_MAX, false), at = 0;

    ck_assert_int_eq(scan_value(data, n, &limits), SCAN_OK);
    msgpack_unpacked_init(&unpacked);
    ck_assert_int_eq(msgpack_unpack_next(&unpacked, (const char *)data, n, &at), MSGPACK_UNPACK_SUCCESS);
    msgpack_unpacked_destroy(&unpacked);
    ck_assert_int_eq(scan_value(data, nest(data, SCAN_DEPTH_MAX + 1, false), &limits), SCAN_TOO_DEEP);
    ck_assert_int_eq(scan_value(data, nest(data, 90000, false), &limits), SCAN_TOO_DEEP);
}
END_TEST

START_TEST(depth_goes_down_again)
{
    struct scan_limits limits = { .depth = 2, .items = 100 };

    /* many beside each other are not deep */
    ck_assert_int_eq(scan_value(BYTES("\x94\x91\x01\x91\x01\x80\x81\x01\x02"), &limits), SCAN_OK);
    ck_assert_int_eq(scan_value(BYTES("\x92\x91\x01\x91\x91\x01"), &limits), SCAN_TOO_DEEP);
}
END_TEST

START_TEST(item_limit_is_exact)
{
    static const char data[] = "\x93\x01\x82\x02\x03\x04\x05\x06"; /* 8 items */

    for (uint64_t limit = 0; limit < 8; limit++)
        ck_assert_int_eq(scan_value(BYTES(data), &(struct scan_limits){ .depth = 9, .items = limit }), SCAN_TOO_MANY);
    ck_assert_int_eq(scan_value(BYTES(data), &(struct scan_limits){ .depth = 9, .items = 8 }), SCAN_OK);
}
END_TEST

START_TEST(item_limit_is_seen_in_the_header)
{
    struct scan_limits limits = { .depth = 9, .items = 100 };
    uint8_t data[200];

    memset(data, 0xc1, sizeof data); /* never reached */
    memcpy(data, "\xdc\x00\x64", 3);
    ck_assert_int_eq(scan_value(data, sizeof data, &limits), SCAN_TOO_MANY);
    memcpy(data, "\xde\x00\x32", 3);
    ck_assert_int_eq(scan_value(data, sizeof data, &limits), SCAN_TOO_MANY);
}
END_TEST

START_TEST(bad_bytes_are_found_inside)
{
    ck_assert_int_eq(scan_value(BYTES("\x92\x01\xc1"), &wide), SCAN_BAD_BYTE);
    ck_assert_int_eq(scan_value(BYTES("\x81\xc1\x01"), &wide), SCAN_BAD_BYTE);
    ck_assert_int_eq(scan_value(BYTES("\x92\x01\xd4\x01\x01"), &wide), SCAN_EXT);
    ck_assert_int_eq(scan_value(BYTES("\xc7\x01\x01\x01"), &wide), SCAN_EXT);
    ck_assert_int_eq(scan_value(BYTES("\x90\xc1"), &wide), SCAN_TRAILING);
}
END_TEST

START_TEST(failure_leaves_results_alone)
{
    size_t bytes = 77;
    uint64_t items = 78;

    ck_assert_int_eq(scan_prefix(BYTES("\x91"), &wide, &bytes, &items), SCAN_TRUNCATED);
    ck_assert_uint_eq(bytes, 77);
    ck_assert_uint_eq(items, 78);
    ck_assert_int_eq(scan_prefix(NULL, 0, &wide, &bytes, &items), SCAN_TRUNCATED);
}
END_TEST

START_TEST(prefix_walks_a_stream)
{
    static const char stream[] = "\x01\x91\x02\xa3"
                                 "abc\xc0";
    static const size_t lengths[] = { 1, 2, 4, 1 };
    const uint8_t *at = (const uint8_t *)stream;
    size_t left = sizeof stream - 1;

    for (size_t i = 0; i < ELEMENTS(lengths); i++) {
        size_t bytes = 0;

        ck_assert_int_eq(scan_prefix(at, left, &wide, &bytes, NULL), SCAN_OK);
        ck_assert_uint_eq(bytes, lengths[i]);
        at += bytes;
        left -= bytes;
    }
    ck_assert_uint_eq(left, 0);
}
END_TEST

/* A value of random shape by msgpack-c's packer; returns the items in it. */
static uint64_t pack_random(msgpack_packer *pk, unsigned *seed, unsigned depth)
{
    static const char text[70000];
    uint64_t items = 1;
    unsigned kind, n;

    *seed = *seed * 1103515245 + 12345;
    kind = *seed >> 16 & 0xff;
    n = *seed >> 24 & 7;
    switch (kind % (depth > 0 ? 9 : 7)) {
    case 0:
        msgpack_pack_int64(pk, -((int64_t)1 << (*seed >> 18) % 63));
        break;
    case 1:
        msgpack_pack_uint64(pk, UINT64_MAX >> (*seed >> 18) % 64);
        break;
    case 2:
        msgpack_pack_double(pk, *seed / 3.0);
        break;
    case 3:
        msgpack_pack_str_with_body(pk, text, kind == 3 ? sizeof text : *seed >> 20);
        break;
    case 4:
        msgpack_pack_bin_with_body(pk, text, *seed >> 22);
        break;
    case 5:
        msgpack_pack_nil(pk);
        break;
    case 6:
        msgpack_pack_float(pk, 1.5f);
        break;
    case 7:
        n = kind == 7 ? 20 : n;
        msgpack_pack_array(pk, n);
        for (unsigned i = 0; i < n; i++)
            items += pack_random(pk, seed, depth - 1);
        break;
    default:
        n = kind == 8 ? 17 : n;
        msgpack_pack_map(pk, n);
        for (unsigned i = 0; i < 2 * n; i++)
            items += pack_random(pk, seed, depth - 1);
        break;
    }
    return items;
}

START_TEST(what_msgpack_packs_is_well_formed)
{
    unsigned seed = 4711;

    for (unsigned round = 0; round < 3000; round++) {
        msgpack_sbuffer buffer;
        msgpack_packer pk;
        size_t bytes = 0;
        uint64_t items = 0, expected;
        const uint8_t *data;

        msgpack_sbuffer_init(&buffer);
        msgpack_packer_init(&pk, &buffer, msgpack_sbuffer_write);
        expected = pack_random(&pk, &seed, round % 7);
        data = (const uint8_t *)buffer.data;
        ck_assert_int_eq(scan_prefix(data, buffer.size, &wide, &bytes, &items), SCAN_OK);
        ck_assert_uint_eq(bytes, buffer.size);
        ck_assert_uint_eq(items, expected);
        ck_assert_int_eq(scan_value(data, buffer.size - 1, &wide), SCAN_TRUNCATED);
        msgpack_sbuffer_destroy(&buffer);
    }
}
END_TEST

START_TEST(every_result_has_a_sentence)
{
    for (int r = SCAN_OK; r <= SCAN_TRAILING; r++) {
        ck_assert_uint_gt(strlen(scan_text((enum scan_result)r)), 5);
        for (int other = SCAN_OK; other < r; other++)
            ck_assert_str_ne(scan_text((enum scan_result)r), scan_text((enum scan_result)other));
    }
    ck_assert_str_eq(scan_text((enum scan_result)99), "unknown result");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("proto/scan");
    TCase *tc = suite_case(suite, "forms");

    tcase_add_test(tc, every_form_and_every_cut);
    tcase_add_test(tc, every_first_byte_is_decided);
    tcase_add_test(tc, small_values_need_one_look);
    tcase_add_test(tc, containers_count_their_items);
    tcase_add_test(tc, bad_bytes_are_found_inside);
    tcase_add_test(tc, prefix_walks_a_stream);
    tcase_add_test(tc, what_msgpack_packs_is_well_formed);
    tc = suite_case(suite, "limits");
    tcase_add_test(tc, claims_beyond_the_end_are_refused_at_once);
    tcase_add_test(tc, depth_limit_is_exact);
    tcase_add_test(tc, no_depth_is_allowed_that_msgpack_cannot_take);
    tcase_add_test(tc, depth_goes_down_again);
    tcase_add_test(tc, item_limit_is_exact);
    tcase_add_test(tc, item_limit_is_seen_in_the_header);
    tcase_add_test(tc, failure_leaves_results_alone);
    tcase_add_test(tc, every_result_has_a_sentence);
    return suite_run(suite);
}
