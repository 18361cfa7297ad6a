/* SPDX-License-Identifier: MIT */
/*
 * test_words -- durations, numbers, counts, names, tags, priorities, near misses, UTF-8, sizes and times.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/words.h"
#include "tests/support/suite.h"

START_TEST(durations)
{
    static const struct {
        const char *text;
        int64_t ms;
    } good[] = {
        { "2", 2000 },       { "0.5", 500 },     { "500ms", 500 },   { "2s", 2000 },     { "3m", 180000 },
        { "1h", 3600000 },   { "0.001", 1 },     { "1ms", 1 },       { "1.5ms", 2 },     { "0.25h", 900000 },
        { "8784h", INT64_C(31622400000) }, { "007", 7000 }, { "0.0014", 1 }, { "1.9999", 2000 },
    };
    static const char *const bad[] = {
        "",
        "0",
        "0.0",
        "0ms",
        "0.0001",
        "-1",
        "+1",
        " 1",
        "1 ",
        "1 s",
        ".5",
        "5.",
        "1..2",
        "1.2.3",
        "s",
        "ms",
        "1d",
        "1S",
        "1sec",
        "inf",
        "nan",
        "0x10",
        "1e3",
        "8785h",
        "99999999999999999999",
        "999999999999999999999",
        "1,5",
    };
    int64_t ms;

    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        ck_assert_msg(words_duration(good[i].text, &ms), "%s is refused", good[i].text);
        ck_assert_msg(ms == good[i].ms, "%s: %lld", good[i].text, (long long)ms);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ms = -7;
        ck_assert_msg(!words_duration(bad[i], &ms), "%s is taken", bad[i]);
        ck_assert_int_eq(ms, -7);
    }
}
END_TEST

START_TEST(numbers)
{
    static const char *const bad[] = { "",   "0",   "-1",         "+1",          "1.0",         " 1",
                                       "1 ", "0x1", "2147483648", "10000000000", "99999999999", "a" };
    uint32_t n = 0;

    ck_assert(words_number("1", &n) && n == 1);
    ck_assert(words_number("2147483647", &n) && n == 2147483647u);
    ck_assert(words_number("0000000012", &n) && n == 12);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        ck_assert_msg(!words_number(bad[i], &n), "%s is taken", bad[i]);
    ck_assert_uint_eq(n, 12);
}
END_TEST

START_TEST(counts)
{
    static const char *const bad[] = { "", "-1", "+1", " 1", "1 ", "0x1", "1.0", "101", "18446744073709551616", "a" };
    uint64_t n = 7;

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        ck_assert_msg(!words_count(bad[i], 100, &n), "%s is taken", bad[i]);
    ck_assert_uint_eq(n, 7);
    ck_assert(words_count("0", 100, &n) && n == 0);
    ck_assert(words_count("100", 100, &n) && n == 100);
    ck_assert(words_count("000000000000000000000000000001", 100, &n) && n == 1);
    ck_assert(words_count("18446744073709551615", UINT64_MAX, &n) && n == UINT64_MAX);
}
END_TEST

START_TEST(names_and_prefixes)
{
    static const char *const bad[] = { "a/b", "/", "a b", "a,b", "\xc3\xa4", "a\n", "*", "a:b" };
    char longest[66];

    ck_assert(words_name("svar1") && words_name("A-1_z.0") && words_name(".hidden") && words_name("-"));
    ck_assert(!words_name("") && !words_name("1a"));
    ck_assert(words_prefix("") && words_prefix("1a") && words_prefix("run-2026"));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        ck_assert_msg(!words_name(bad[i]) && !words_prefix(bad[i]), "%s is taken", bad[i]);
    memset(longest, 'x', sizeof longest);
    longest[64] = '\0';
    ck_assert(words_name(longest) && words_prefix(longest));
    longest[64] = 'x';
    longest[65] = '\0';
    ck_assert(!words_name(longest) && !words_prefix(longest));
}
END_TEST

START_TEST(function_names)
{
    static const char *const bad[] = {
        "", ".", "a", "a.", ".a", "a.b.c", "a b.c", "a.b ", "a/b.c", "a..b", "\xc3\xa4.b"
    };
    char longest[130], text[140];

    ck_assert(words_function("text.count"));
    ck_assert(words_function("A-1_z.0"));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        ck_assert_msg(!words_function(bad[i]), "%s is taken", bad[i]);
    memset(longest, 'x', sizeof longest);
    snprintf(text, sizeof text, "%.64s.%.64s", longest, longest);
    ck_assert(words_function(text));
    snprintf(text, sizeof text, "%.65s.%.64s", longest, longest);
    ck_assert(!words_function(text));
    snprintf(text, sizeof text, "%.64s.%.65s", longest, longest);
    ck_assert(!words_function(text));
}
END_TEST

START_TEST(tags)
{
    static const char *const bad[] = { "", "a b", "a,b", "*", "\xc3\xa4", "a\n" };
    char longest[66];

    ck_assert(words_tag("night") && words_tag("1") && words_tag("run:2026/11=a@b+c.d_e-f"));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        ck_assert_msg(!words_tag(bad[i]), "%s is taken", bad[i]);
    memset(longest, 'x', sizeof longest);
    longest[64] = '\0';
    ck_assert(words_tag(longest));
    longest[64] = 'x';
    longest[65] = '\0';
    ck_assert(!words_tag(longest));
}
END_TEST

START_TEST(priorities)
{
    static const struct {
        const char *text;
        double v;
    } good[] = { { "0", 0 }, { "-1", -1 }, { "0.5", 0.5 }, { "1e3", 1000 }, { "-2.5E-1", -0.25 }, { "1e+2", 100 } };
    static const char *const bad[] = { "",    "-",   "+1",  "nan", "infinity", "-nan", "0x10", "1e", "1e+",  ".5",
                                       "5.",  " 1",  "1 ",  "1,5", "--1",      "1e400", "-1e400", "Inf", "1d" };
    double v = 7;

    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        ck_assert_msg(words_priority(good[i].text, &v), "%s is refused", good[i].text);
        ck_assert_double_eq(v, good[i].v);
    }
    ck_assert(words_priority("inf", &v) && v > 0 && isinf(v));
    ck_assert(words_priority("-inf", &v) && v < 0 && isinf(v));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        ck_assert_msg(!words_priority(bad[i], &v), "%s is taken", bad[i]);
}
END_TEST

static const char *nearest(const char *word)
{
    static const char *const allowed[] = { "call", "workers", "sets", "modules", "status", "help" };
    struct nearest near;

    nearest_init(&near, word);
    for (size_t i = 0; i < sizeof allowed / sizeof allowed[0]; i++)
        nearest_offer(&near, allowed[i]);
    return near.best;
}

START_TEST(near_misses)
{
    ck_assert_str_eq(nearest("cal"), "call");
    ck_assert_str_eq(nearest("clal"), "call");
    ck_assert_str_eq(nearest("wrokers"), "workers");
    ck_assert_str_eq(nearest("worker"), "workers");
    ck_assert_str_eq(nearest("mod"), "modules");
    ck_assert_str_eq(nearest("stat"), "status");
    ck_assert_str_eq(nearest("set"), "sets");
    ck_assert_ptr_null(nearest("frobnicate"));
    ck_assert_ptr_null(nearest(""));
    ck_assert_ptr_null(nearest("x"));
    ck_assert_ptr_null(nearest("a-word-that-is-longer-than-any-that-is-compared"));
}
END_TEST

START_TEST(utf8)
{
    static const char *const good[] = {
        "",
        "plain",
        "\xc3\xa4",
        "\xe2\x82\xac",
        "\xf0\x9f\x98\x80",
        "\xed\x9f\xbf",
        "\xee\x80\x80",
        "\xf4\x8f\xbf\xbf",
        "\x7f",
    };
    static const char *const bad[] = {
        "\x80",
        "\xc0\xaf",
        "\xc1\xbf",
        "\xc3",
        "a\xc3",
        "\xe2\x82",
        "\xe0\x80\x80",
        "\xe0\x9f\xbf",
        "\xed\xa0\x80",
        "\xf0\x80\x80\x80",
        "\xf0\x8f\xbf\xbf",
        "\xf4\x90\x80\x80",
        "\xf5\x80\x80\x80",
        "\xff",
        "\xc3\x41",
        "\xe2\x82\x41",
    };

    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        ck_assert_msg(words_utf8(good[i], strlen(good[i])), "good %zu", i);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        ck_assert_msg(!words_utf8(bad[i], strlen(bad[i])), "bad %zu", i);
    ck_assert(words_utf8("a\0b", 3));
}
END_TEST

START_TEST(sizes_and_times)
{
    char text[WORDS_BYTES];

    ck_assert_str_eq(words_size(0, text), "0B");
    ck_assert_str_eq(words_size(999, text), "999B");
    ck_assert_str_eq(words_size(1024, text), "1.0K");
    ck_assert_str_eq(words_size(1536, text), "1.5K");
    ck_assert_str_eq(words_size(100 * 1024, text), "100K");
    ck_assert_str_eq(words_size(12u << 20, text), "12.0M");
    ck_assert_str_eq(words_size(UINT64_MAX, text), "16.0E");
    ck_assert_str_eq(words_time(0, text), "0 us");
    ck_assert_str_eq(words_time(999, text), "999 us");
    ck_assert_str_eq(words_time(1500, text), "1.5 ms");
    ck_assert_str_eq(words_time(150000, text), "150 ms");
    ck_assert_str_eq(words_time(2310000, text), "2.3 s");
    ck_assert_str_eq(words_time(200000000, text), "3m 20s");
    ck_assert_str_eq(words_time(UINT64_C(7500000000), text), "2h 5m");
}
END_TEST

START_TEST(bytes)
{
    static const struct {
        const char *text;
        uint64_t v;
    } good[] = { { "0", 0 }, { "4096", 4096 }, { "1K", 1024 }, { "64K", 65536 }, { "3M", 3u << 20 },
                 { "2G", UINT64_C(2) << 30 }, { "5T", UINT64_C(5) << 40 }, { "9223372036854775807", INT64_MAX },
                 { "8191T", UINT64_C(8191) << 40 }, { "8388607T", UINT64_C(8388607) << 40 } };
    static const char *const bad[] = { "", "K", "1k", "1.5G", "-1", " 1", "1 ", "1KB", "1B", "0x10", "8388608T",
                                       "9223372036854775808", "111111111111111111111111111111" };
    uint64_t v = 7;

    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        ck_assert_msg(words_bytes(good[i].text, &v), "%s", good[i].text);
        ck_assert_uint_eq(v, good[i].v);
    }
    v = 7;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        ck_assert_msg(!words_bytes(bad[i], &v) && v == 7, "%s", bad[i]);
}
END_TEST

START_TEST(printing)
{
    char *text;
    size_t n;
    FILE *out = open_memstream(&text, &n);

    words_print(out, "a\x1b[2J\r\n\tb\x7f\xc3\xa4", 12);
    fclose(out);
    ck_assert_str_eq(text, "a\\x1b[2J\\x0d\\x0a\tb\\x7f\xc3\xa4");
    free(text);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("words");
    TCase *tc = suite_case(suite, "words");

    tcase_add_test(tc, durations);
    tcase_add_test(tc, numbers);
    tcase_add_test(tc, counts);
    tcase_add_test(tc, names_and_prefixes);
    tcase_add_test(tc, function_names);
    tcase_add_test(tc, tags);
    tcase_add_test(tc, priorities);
    tcase_add_test(tc, near_misses);
    tcase_add_test(tc, utf8);
    tcase_add_test(tc, sizes_and_times);
    tcase_add_test(tc, bytes);
    tcase_add_test(tc, printing);
    return suite_run(suite);
}
