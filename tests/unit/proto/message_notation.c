/* SPDX-License-Identifier: MIT */
/* message_notation -- see message_notation.h. */
#include "tests/unit/proto/message_notation.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "proto/value.h"
#include "tests/support/suite.h"

struct msg_decoder *decoder;
struct bytes out;
struct msg_problem problem;

void message_setup(void)
{
    decoder = msg_decoder_new();
    ck_assert_ptr_nonnull(decoder);
    bytes_init(&out, ENVELOPE_BYTES_MAX);
}

void message_teardown(void)
{
    decoder = msg_decoder_free(decoder);
    bytes_deinit(&out);
}

/* -- the notation -------------------------------------------------------------------------------------- */

static const char *skip_space(const char *s)
{
    while (isspace((unsigned char)*s))
        s++;
    return s;
}

static const char *write_value(const char *s, ptools_pack *pack);

/* Items up to the closing bracket, as a list or map. */
static const char *write_items(const char *s, char close, ptools_pack *pack)
{
    ptools_pack *items = ptools_pack_new();
    const uint8_t *data;
    uint32_t n = 0;
    size_t bytes, header;

    for (s = skip_space(s); *s != close; s = skip_space(s)) {
        s = write_value(s, items);
        n++;
    }
    ck_assert_int_eq(pack_finish_arguments(items, &data, &bytes), PTOOLS_OK);
    header = n < 16 ? 1 : 3;
    if (close == ']')
        ptools_pack_list(pack, n);
    else
        ptools_pack_map(pack, n / 2);
    /* one raw value after the other: their number is what was announced */
    for (size_t at = header; at < bytes;) {
        static const struct scan_limits limits = { SCAN_DEPTH_MAX, UINT64_MAX };
        size_t one;

        ck_assert_int_eq(scan_prefix(data + at, bytes - at, &limits, &one, NULL), SCAN_OK);
        ptools_pack_raw(pack, data + at, one);
        at += one;
    }
    ptools_pack_free(items);
    return s + 1;
}

static const char *write_value(const char *s, ptools_pack *pack)
{
    s = skip_space(s);
    if (*s == '\'') {
        const char *end = strchr(s + 1, '\'');

        ck_assert_ptr_nonnull(end);
        ptools_pack_strn(pack, s + 1, (size_t)(end - s - 1));
        return end + 1;
    }
    if (*s == '[' || *s == '{')
        return write_items(s + 1, *s == '[' ? ']' : '}', pack);
    if (*s == '#') {
        uint8_t raw[256];
        size_t n = 0;

        for (s++; isxdigit((unsigned char)*s); s += 2) {
            ck_assert_int_eq(sscanf(s, "%2hhx", &raw[n]), 1);
            n++;
        }
        ptools_pack_raw(pack, raw, n);
        return s;
    }
    if (isdigit((unsigned char)*s) || *s == '-') {
        char *end;

        if (*s == '-')
            ptools_pack_i64(pack, strtoll(s, &end, 10));
        else
            ptools_pack_u64(pack, strtoull(s, &end, 10));
        return end;
    }
    if (strncmp(s, "true", 4) == 0)
        ptools_pack_bool(pack, true);
    else if (strncmp(s, "false", 5) == 0)
        ptools_pack_bool(pack, false);
    else if (strncmp(s, "nil", 3) == 0)
        ptools_pack_nil(pack);
    else
        ck_abort_msg("not in the notation: %s", s);
    while (isalpha((unsigned char)*s))
        s++;
    return s;
}

/* Replaces out by what the notation says. */
void write_envelope(const char *notation)
{
    ptools_pack *pack = ptools_pack_new();
    const uint8_t *data;
    size_t n;

    ck_assert_ptr_nonnull(pack);
    write_value(notation, pack);
    ck_assert_int_eq(pack_finish_value(pack, &data, &n), PTOOLS_OK);
    bytes_reset(&out);
    ck_assert_int_eq(bytes_append(&out, data, n), 0);
    ptools_pack_free(pack);
}

struct msg_request request_from(const char *notation)
{
    struct msg_request m;
    int r;

    write_envelope(notation);
    r = msg_request_decode(decoder, out.data, out.n, &m, &problem);
    ck_assert_msg(r == 0, "%s: %s", notation, problem.text);
    return m;
}

struct msg_answer answer_from(const char *notation)
{
    struct msg_answer m;
    int r;

    write_envelope(notation);
    r = msg_answer_decode(decoder, out.data, out.n, &m, &problem);
    ck_assert_msg(r == 0, "%s: %s", notation, problem.text);
    return m;
}

void assert_text(struct text t, const char *expected)
{
    if (!expected) {
        ck_assert_ptr_null(t.data);
        return;
    }
    ck_assert_ptr_nonnull(t.data);
    ck_assert_uint_eq(t.n, strlen(expected));
    ck_assert_mem_eq(t.data, expected, t.n);
}

struct text text(const char *s)
{
    return (struct text){ s, strlen(s) };
}

/* What m is on the wire, as the notation says it. */
void assert_request(const struct msg_request *m, const char *notation)
{
    struct bytes encoded;

    bytes_init(&encoded, ENVELOPE_BYTES_MAX);
    msg_request_encode(m, &encoded);
    write_envelope(notation);
    ck_assert_int_eq(encoded.err, 0);
    ck_assert_uint_eq(encoded.n, out.n);
    ck_assert_mem_eq(encoded.data, out.data, out.n);
    bytes_deinit(&encoded);
}

void assert_answer(const struct msg_answer *m, const char *notation)
{
    struct bytes encoded;

    bytes_init(&encoded, ENVELOPE_BYTES_MAX);
    msg_answer_encode(m, &encoded);
    write_envelope(notation);
    ck_assert_int_eq(encoded.err, 0);
    ck_assert_uint_eq(encoded.n, out.n);
    ck_assert_mem_eq(encoded.data, out.data, out.n);
    bytes_deinit(&encoded);
}
