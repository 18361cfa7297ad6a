/* SPDX-License-Identifier: MIT */
/*
 * test_json_read -- what is JSON, what is not, and what is but cannot be held. Read back as JSON, which is tested on
 * its own in test_json_write.c, and by kind.
 */
#include <stdlib.h>
#include <string.h>

#include "client/cli/json.h"
#include "tests/support/suite.h"
#include "tests/unit/cli/values.h"

/* The text, and what is written when it was read; NULL: the same. */
static const struct {
    const char *text, *again;
} good[] = {
    { "0", NULL },
    { "-0", "0" },
    { "7", NULL },
    { "-1", NULL },
    { " 1\n", "1" },
    { "9223372036854775807", NULL },
    { "9223372036854775808", NULL },
    { "18446744073709551615", NULL },
    { "-9223372036854775808", NULL },
    { "1.0", NULL },
    { "0.1", NULL },
    { "-2.5e-10", "-2.5e-10" },
    { "1e3", "1000.0" },
    { "1E+3", "1000.0" },
    { "1.7976931348623157e308", "1.7976931348623157e+308" },
    { "5e-324", "4.94065645841247e-324" },
    { "-0.0", NULL },
    { "null", NULL },
    { "true", NULL },
    { "false", NULL },
    { "\"\"", NULL },
    { "\"a b\"", NULL },
    { "\"\\u00e4\\n\\\"\\\\\\/\"", "\"\xc3\xa4\\n\\\"\\\\/\"" },
    { "\"x\\u0000y\"", NULL },
    { "\"\\ud83d\\ude00\"", "\"\xf0\x9f\x98\x80\"" },
    { "\"NaN -01 1.\"", NULL },
    { "\"\\\\\"", NULL },
    { "[]", NULL },
    { "{}", NULL },
    { "[1,[2,[3]],{\"a\":null}]", NULL },
    { " [ 1 , \"2\" ] ", "[1,\"2\"]" },
    { "{\"b\":1,\"a\":{\"c\":[true]}}", NULL },
    { "{\"\":0}", NULL },
    { "{\"\xc3\xa4\":\"\xe2\x82\xac\"}", NULL },
    { "{\"$bytes\":\"\"}", NULL },
    { "{\"$bytes\":\"AA==\"}", NULL },
    { "{\"$bytes\":\"AAH/\"}", NULL },
    { "[{\"$bytes\":\"aGk=\"}]", NULL },
    { "{\"$bytes\":1}", NULL },
    { "{\"$bytes\":\"AA==\",\"a\":1}", NULL },
};
/* Words that scripts really pass, and what json-c alone would let pass. */
static const char *const no_json[] = {
    "",           " ",          "README.md", "/usr/share/doc",
    "a b",        "nul",        "nullx",     "NULL",
    "True",       "tru",        "NaN",       "nan",
    "[NaN]",      "Infinity",   "-Infinity", "[1,-Infinity]",
    "01",         "-01",        "00",        "[01]",
    "1.",         "[1.]",       ".5",        "-",
    "--",         "+1",         "1e",        "1e+",
    "0x10",       "1_000",      "1 2",       "1x",
    "1,2",        "2024-01-01", "10.0.0.1",  "'a'",
    "\"a",        "\"a\nb\"",   "\"\x01\"",  "\"\\x41\"",
    "\"\xff\"",   "\"\xc0\xb8\"", "\"\xed\xa0\x80\"", "[1,2,]",     "[1 2]",     "[",
    "]",          "{",          "{a:1}",     "{\"a\":1,}",
    "{\"a\"}",    "/*c*/1",     "1/*c*/",    "//",
    "true false", "[]]",        "{}{}",      "-.5",
    "1.e5",       "\xc3\xa4",
};

START_TEST(good_text)
{
    const char *want = good[_i].again ? good[_i].again : good[_i].text;
    char *again = json_again(good[_i].text);

    ck_assert_str_eq(again, want);
    free(again);
}
END_TEST

START_TEST(no_json_text)
{
    ptools_pack *pack = ptools_pack_new();
    char why[JSON_WHY_BYTES], *json;

    ck_assert_msg(json_read(no_json[_i], pack, why) == JSON_NOT, "%s is taken", no_json[_i]);
    json = json_of(pack, false);
    ck_assert_str_eq(json, "null"); /* nothing was appended */
    free(json);
    ptools_pack_free(pack);
}
END_TEST

START_TEST(kinds)
{
    static const struct {
        const char *text;
        ptools_kind kind;
    } rows[] = { { "1", PTOOLS_INT },     { "1.0", PTOOLS_FLOAT }, { "1e2", PTOOLS_FLOAT },
                 { "\"1\"", PTOOLS_STR }, { "null", PTOOLS_NIL },  { "true", PTOOLS_BOOL },
                 { "[]", PTOOLS_LIST },   { "{}", PTOOLS_MAP },    { "{\"$bytes\":\"AA==\"}", PTOOLS_BYTES } };
    char why[JSON_WHY_BYTES];

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ptools_pack *pack = ptools_pack_new();
        struct payload payload;

        ck_assert_int_eq(json_read(rows[i].text, pack, why), 0);
        ck_assert_int_eq(ptools_value_kind(value_of(pack, &payload)), rows[i].kind);
        payload_deinit(&payload);
        ptools_pack_free(pack);
    }
}
END_TEST

/* JSON that no value holds: the reason names what is wrong. */
START_TEST(cannot)
{
    static const struct {
        const char *text, *why;
    } rows[] = {
        { "18446744073709551616", "the number 18446744073709551616 does not fit into 64 bits" },
        { "[-9223372036854775809]", "-9223372036854775809 does not fit" },
        { "1e999", "the number 1e999 does not fit into a double" },
        { "{\"a\":-1e400}", "-1e400" },
        { "{\"a\\u0000b\":1}", "\\u0000" },
        { "{\"x\\u0000\" : 1}", "\\u0000" },
        { "{\"$bytes\":\"A\"}", "base64" },
        { "{\"$bytes\":\"A===\"}", "base64" },
        { "{\"$bytes\":\"AA==AAAA\"}", "base64" },
        { "{\"$bytes\":\"AA=A\"}", "base64" },
        { "[{\"$bytes\":\"_-_-\"}]", "base64" },
        { "{\"$bytes\":\"AA A\"}", "base64" },
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ptools_pack *pack = ptools_pack_new();
        char why[JSON_WHY_BYTES] = "";

        ck_assert_msg(json_read(rows[i].text, pack, why) == JSON_CANNOT, "%s", rows[i].text);
        ck_assert_msg(strstr(why, rows[i].why) != NULL, "%s: %s", rows[i].text, why);
        ptools_pack_free(pack);
    }
}
END_TEST

START_TEST(long_numbers)
{
    char text[400], why[JSON_WHY_BYTES];
    ptools_pack *pack = ptools_pack_new();

    memset(text, '9', sizeof text);
    text[399] = '\0';
    ck_assert_int_eq(json_read(text, pack, why), JSON_CANNOT);
    ck_assert_uint_lt(strlen(why), sizeof why);
    ptools_pack_free(pack);
}
END_TEST

START_TEST(nesting)
{
    char text[2000], why[JSON_WHY_BYTES];
    ptools_pack *pack = ptools_pack_new();

    memset(text, '[', 20);
    memset(text + 20, ']', 20);
    text[40] = '\0';
    ck_assert_int_eq(json_read(text, pack, why), 0);
    ptools_pack_reset(pack);
    memset(text, '[', 900);
    memset(text + 900, ']', 900);
    text[1800] = '\0';
    ck_assert_int_eq(json_read(text, pack, why), JSON_CANNOT);
    ck_assert_str_eq(why, "it is nested deeper than 32");
    ptools_pack_free(pack);
}
END_TEST

START_TEST(every_byte)
{
    static const uint8_t bytes[] = { 0, 1, 2, 0x7f, 0x80, 0xfe, 0xff };

    for (size_t n = 0; n <= sizeof bytes; n++) {
        ptools_pack *pack = ptools_pack_new();
        char *json, *again;

        ptools_pack_bytes(pack, bytes, n);
        json = json_of(pack, false);
        again = json_again(json);
        ck_assert_str_eq(again, json);
        free(again);
        free(json);
        ptools_pack_free(pack);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("json_read");
    TCase *tc = suite_case(suite, "json_read");

    tcase_add_loop_test(tc, good_text, 0, sizeof good / sizeof good[0]);
    tcase_add_loop_test(tc, no_json_text, 0, sizeof no_json / sizeof no_json[0]);
    tcase_add_test(tc, kinds);
    tcase_add_test(tc, cannot);
    tcase_add_test(tc, long_numbers);
    tcase_add_test(tc, nesting);
    tcase_add_test(tc, every_byte);
    return suite_run(suite);
}
