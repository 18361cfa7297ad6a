/* SPDX-License-Identifier: MIT */
/*
 * test_json_write -- each kind of value as JSON, and documents made by hand.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/json.h"
#include "tests/support/suite.h"
#include "tests/unit/cli/values.h"

static void expect(ptools_pack *pack, bool pretty, const char *want)
{
    char *json = json_of(pack, pretty);

    ck_assert_str_eq(json, want);
    free(json);
    ptools_pack_reset(pack);
}

START_TEST(numbers)
{
    static const struct {
        double v;
        const char *json;
    } floats[] = { { 0.1, "0.1" },
                   { 1, "1.0" },
                   { -0.0, "-0.0" },
                   { 1.0 / 3, "0.3333333333333333" },
                   { 1e300, "1e+300" },
                   { 1e15, "1e+15" },
                   { 123456789, "123456789.0" },
                   { 0.1 + 0.2, "0.30000000000000004" },
                   { NAN, "\"NaN\"" },
                   { -NAN, "\"NaN\"" },
                   { INFINITY, "\"Infinity\"" },
                   { -INFINITY, "\"-Infinity\"" } };
    ptools_pack *p = ptools_pack_new();

    ptools_pack_u64(p, UINT64_MAX);
    expect(p, false, "18446744073709551615");
    ptools_pack_i64(p, INT64_MIN);
    expect(p, false, "-9223372036854775808");
    ptools_pack_i64(p, 0);
    expect(p, false, "0");
    for (size_t i = 0; i < sizeof floats / sizeof floats[0]; i++) {
        ptools_pack_f64(p, floats[i].v);
        expect(p, false, floats[i].json);
    }
    ptools_pack_free(p);
}
END_TEST

/* Whatever the bits: what is written reads back as the same number. */
START_TEST(floats_read_back)
{
    uint64_t state = 88172645463325252u;
    ptools_pack *p = ptools_pack_new();

    for (int i = 0; i < 20000; i++) {
        double v;
        char *json;

        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        memcpy(&v, &state, sizeof v);
        if (!isfinite(v))
            continue;
        ptools_pack_f64(p, v);
        json = json_of(p, false);
        ck_assert_msg(strtod(json, NULL) == v, "%s", json);
        free(json);
        ptools_pack_reset(p);
    }
    ptools_pack_free(p);
}
END_TEST

START_TEST(texts)
{
    ptools_pack *p = ptools_pack_new();

    ptools_pack_nil(p);
    expect(p, false, "null");
    ptools_pack_bool(p, true);
    expect(p, false, "true");
    ptools_pack_strn(p, "a\"\\/\b\f\n\r\t\0\x1f\x7f", 12);
    expect(p, false, "\"a\\\"\\\\/\\b\\f\\n\\r\\t\\u0000\\u001f\\u007f\"");
    ptools_pack_str(p, "\xc3\xa4\xf0\x9f\x98\x80");
    expect(p, false, "\"\xc3\xa4\xf0\x9f\x98\x80\"");
    ptools_pack_strn(p, "\xff", 1); /* no UTF-8: nothing is lost */
    expect(p, false, "{\"$bytes\":\"/w==\"}");
    ptools_pack_bytes(p, "hello", 5);
    expect(p, false, "{\"$bytes\":\"aGVsbG8=\"}");
    ptools_pack_bytes(p, "", 0);
    expect(p, true, "{\n  \"$bytes\": \"\"\n}");
    ptools_pack_free(p);
}
END_TEST

START_TEST(lists_and_maps)
{
    ptools_pack *p = ptools_pack_new();

    ptools_pack_list(p, 0);
    expect(p, true, "[]");
    ptools_pack_map(p, 0);
    expect(p, true, "{}");
    ptools_pack_list(p, 2);
    ptools_pack_i64(p, 1);
    ptools_pack_map(p, 1);
    ptools_pack_str(p, "a");
    ptools_pack_list(p, 1);
    ptools_pack_nil(p);
    expect(p, true, "[\n  1,\n  {\n    \"a\": [\n      null\n    ]\n  }\n]");
    ptools_pack_i64(p, 1); /* several values are a list of them */
    ptools_pack_i64(p, 2);
    expect(p, false, "[1,2]");
    ptools_pack_free(p);
}
END_TEST

/* No key is lost, whatever it is; equal texts of different keys stay two. */
START_TEST(keys)
{
    ptools_pack *p = ptools_pack_new();

    ptools_pack_map(p, 7);
    ptools_pack_i64(p, 1);
    ptools_pack_i64(p, 10);
    ptools_pack_str(p, "1");
    ptools_pack_i64(p, 11);
    ptools_pack_nil(p);
    ptools_pack_i64(p, 12);
    ptools_pack_list(p, 2);
    ptools_pack_bool(p, true);
    ptools_pack_str(p, "x");
    ptools_pack_i64(p, 13);
    ptools_pack_strn(p, "a\0b", 3);
    ptools_pack_i64(p, 14);
    ptools_pack_bytes(p, "\xff", 1);
    ptools_pack_i64(p, 15);
    ptools_pack_f64(p, 0.5);
    ptools_pack_i64(p, 16);
    expect(p, false, "{\"1\":10,\"1\":11,\"null\":12,\"[true,\\\"x\\\"]\":13,\"a\\u0000b\":14,"
                     "\"{\\\"$bytes\\\":\\\"/w==\\\"}\":15,\"0.5\":16}");
    ptools_pack_free(p);
}
END_TEST

START_TEST(a_document)
{
    char *text;
    size_t n;
    struct json_writer w = { .out = open_memstream(&text, &n) };

    json_open(&w, '{');
    json_key(&w, "schema");
    json_put_u64(&w, 1);
    json_key(&w, "list");
    json_open(&w, '[');
    json_put_i64(&w, -1);
    json_put_string(&w, "s");
    json_put_bool(&w, false);
    json_put_f64(&w, 2);
    json_put_number(&w, "55340232221128654845");
    json_put_text(&w, "a\0b", 3);
    json_put_text(&w, "\xff\0", 2);
    json_put_text(&w, "", 0);
    json_close(&w, ']');
    json_key(&w, "value");
    json_put_value(&w, (ptools_value){ NULL });
    json_close(&w, '}');
    fclose(w.out);
    ck_assert_str_eq(text, "{\"schema\":1,\"list\":[-1,\"s\",false,2.0,55340232221128654845,"
                           "\"a\\u0000b\",{\"$bytes\":\"/wA=\"},\"\"],"
                           "\"value\":null}");
    free(text);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("json_write");
    TCase *tc = suite_case(suite, "json_write");

    tcase_add_test(tc, numbers);
    tcase_add_test(tc, floats_read_back);
    tcase_add_test(tc, texts);
    tcase_add_test(tc, lists_and_maps);
    tcase_add_test(tc, keys);
    tcase_add_test(tc, a_document);
    return suite_run(suite);
}
