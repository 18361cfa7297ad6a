/* SPDX-License-Identifier: MIT */
/*
 * test_where -- expressions over the fields of a task: what they say, and what is said of the wrong ones.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/where.h"
#include "tests/support/suite.h"

#define NOW_MS INT64_C(1764192615000)

static const char *const tags[] = { "night", "run:7" };
static const uint64_t after[] = { 40, 41 };
static const ptools_queued_info task = {
    .id = 42,
    .state = PTOOLS_QUEUED_QUEUED,
    .function = "math.square",
    .target = "workers 2 3",
    .priority = 3.5,
    .durability = PTOOLS_DURABLE,
    .attempt = 1,
    .attempts = 3,
    .idempotent = true,
    .queued_ms = NOW_MS - 1200000, /* 20 minutes */
    .started_ms = NOW_MS - 60000,
    .run_us = 1500000,
    .args_bytes = 65536,
    .code = PTOOLS_ERR_WORKER_DIED,
    .message = "said \"no\" \xc3\xa4 twice",
    .phase = "",
    .log = "",
    .output = "",
    .progress = 5,
    .progress_of = 10,
    .key = "k\0y",
    .key_bytes = 3,
    .tags = tags,
    .n_tags = 2,
    .after = after,
    .n_after = 2,
};
static const ptools_queued_info bare = {
    .id = 1,
    .state = PTOOLS_QUEUED_DONE,
    .function = "",
    .target = "any",
    .priority = INFINITY,
    .message = "",
    .durability = PTOOLS_VOLATILE,
    .phase = "",
    .log = "",
    .output = "",
    .queued_ms = NOW_MS + 5000 /* the clock was set back */
};

static bool says(const char *text, const ptools_queued_info *about)
{
    char why[WHERE_WHY_BYTES] = "";
    struct where *w = NULL;
    bool yes;

    ck_assert_msg(where_new(text, WHERE_CONDITION, &w, why) == 0, "%s is refused: %s", text, why);
    yes = where_holds(w, about, NOW_MS);
    where_free(w);
    return yes;
}

START_TEST(what_holds)
{
    static const char *const rows[] = {
        "true",
        "!false",
        "state == \"queued\"",
        "state == 'queued'",
        "\"queued\" == state",
        "state != \"running\"",
        "state ~ \"q*\"",
        "function == \"math.square\" && target == 'workers 2 3'",
        "id == 42",
        "id >= 42 && id <= 42 && !(id < 42) && !(id > 42)",
        "priority > 3",
        "priority == 3.5",
        "priority != inf",
        "priority < inf && -priority > -inf",
        "durability == \"durable\"",
        "attempt < attempts",
        "attempts - attempt == 2",
        "idempotent",
        "!hold",
        "hold == false",
        "idempotent != hold",
        "code == \"WORKER_DIED\"",
        "code ~ \"*DIED\"",
        "message ~ '*\"no\"*'",
        "message ~ \"*\\\"no\\\"*\"",
        "message ~ \"* ? twice\"", /* one character, of two bytes */
        "phase == ''",
        "key ~ \"k?y\"",
        "key != 'k'",
        /* lists */
        "tag == \"night\"",
        "tag ~ \"run:*\"",
        "tag != \"day\"",
        "!(tag == \"day\")",
        "! tag == \"day\"",
        "after == 41",
        "after != 42",
        /* times */
        "age > 10m",
        "age == 20m",
        "age < 0.5h",
        "age > 1199s && age < 1200001ms",
        "age / 1m == 20",
        "age * 2 == 40m",
        "2 * age == 40m",
        "10m + 10m == age",
        "-age < 0s",
        "run_us == 1.5s",
        "run_us == 1500000",
        "run_us > 1400ms",
        "run_us / 1s == 1.5",
        "run_us + 1s == 2.5s",
        "run_us + 1 == 1500001",
        "queued_ms == now - 20m",
        "queued_ms + 1200000 == now",
        "now - queued_ms == age",
        "started_ms - queued_ms > 10m",
        "started_ms - queued_ms == 1140000",
        "started_ms > now - 61s",
        "due_ms == 0",
        /* sizes */
        "args_bytes == 64K",
        "args_bytes < 1M && args_bytes < 1G && args_bytes < 1T",
        "args_bytes == 0.0625M",
        /* arithmetic */
        "1 + 2 * 3 == 7",
        "(1 + 2) * 3 == 9",
        "7 - 2 - 1 == 4",
        "8 / 4 / 2 == 1",
        "- 2 + 3 == 1",
        "--2 == 2",
        "2 - -2 == 4",
        "progress / progress_of == 0.5",
        "1e3 == 1000",
        "1.5e-3 == 0.0015",
        "1E+2 == 100",
        "1 / 0 == inf",
        "!(0 / 0 == 0 / 0)",
        "0 / 0 != 0 / 0",
        "!(0 / 0 <= 1)",
        /* and, or, not, in their order */
        "true || false && false",
        "!(true && false)",
        "!false && true",
        "!!true",
        "! id == 41 && true",
        "false || false || true",
        "true && true && true",
        "(((true)))",
        "(true) == (true)",
        "(id == 42) == (state == \"queued\")",
        " \t\nid==42||false ",
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char negated[200];

        ck_assert_msg(says(rows[i], &task), "%s", rows[i]);
        snprintf(negated, sizeof negated, "!(%s)", rows[i]);
        ck_assert_msg(!says(negated, &task), "%s", negated);
    }
}
END_TEST

START_TEST(of_a_bare_task)
{
    static const char *const rows[] = {
        "priority == inf",   "priority > 1e300",
        "state == \"done\"", "key == \"\"",
        "key ~ '*'",         "function ~ ''",
        "tag != \"x\"",      "!(tag ~ \"*\")",
        "!(after == 1)",     "code == \"OK\"",
        "age < 0s",          "started_ms == 0",
        "queued_ms > now",   "durability == 'volatile'",
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        ck_assert_msg(says(rows[i], &bare), "%s", rows[i]);
}
END_TEST

START_TEST(patterns)
{
    static const struct {
        const char *text, *pattern;
        bool like;
    } rows[] = {
        { "", "", true },
        { "", "*", true },
        { "", "?", false },
        { "a", "", false },
        { "abc", "abc", true },
        { "abc", "ab", false },
        { "abc", "abcd", false },
        { "abc", "a*", true },
        { "abc", "*c", true },
        { "abc", "*b*", true },
        { "abc", "a*c", true },
        { "abc", "a*b", false },
        { "abc", "???", true },
        { "abc", "????", false },
        { "abc", "*?", true },
        { "abc", "**", true },
        { "aab", "*ab", true },
        { "abab", "*ab", true },
        { "ababac", "*abac", true },
        { "mississippi", "m*iss*p?", true },
        { "a*c", "a*c", true },
        { "\xc3\xa4", "?", true },
        { "\xc3\xa4", "??", false },
        { "\xe2\x82\xac!", "?!", true },
        { "\xff\xff", "??", true },
        { "x\xc3\xa4y", "*\xc3\xa4*", true },
        { "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "*a*a*a*a*a*a*a*a*a*a*a*a*a*b", false },
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ptools_queued_info about = bare;
        char text[200];

        about.phase = rows[i].text;
        snprintf(text, sizeof text, "phase ~ \"%s\"", rows[i].pattern);
        ck_assert_msg(says(text, &about) == rows[i].like, "%s of %s", text, rows[i].text);
    }
}
END_TEST

START_TEST(numbers)
{
    static const struct {
        const char *text;
        double v;
        bool constant;
    } rows[] = {
        { "3", 3, true },
        { "-1.5", -1.5, true },
        { "inf", INFINITY, true },
        { "-inf", -INFINITY, true },
        { "2 * (3 + 4)", 14, true },
        { "10m / 1s", 600, true },
        { "priority", 3.5, false },
        { "priority - 1", 2.5, false },
        { "queued_ms", (double)(NOW_MS - 1200000), false },
        { "now", (double)NOW_MS, false },
        { "-age / 1m", -20, false },
        { "args_bytes / 1K", 64, false },
        { "run_us", 1500000, false },
    };
    char why[WHERE_WHY_BYTES] = "";
    struct where *w = NULL;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ck_assert_msg(where_new(rows[i].text, WHERE_NUMBER, &w, why) == 0, "%s is refused: %s", rows[i].text, why);
        ck_assert_msg(where_number(w, &task, NOW_MS) == rows[i].v, "%s: %g", rows[i].text,
                      where_number(w, &task, NOW_MS));
        ck_assert_msg(where_is_constant(w) == rows[i].constant, "%s", rows[i].text);
        where_free(w);
    }
    ck_assert_int_eq(where_new("progress / progress_of", WHERE_NUMBER, &w, why), 0);
    ck_assert(isnan(where_number(w, &bare, NOW_MS)));
    where_free(w);
}
END_TEST

/* Each with the place, and with what is allowed there. */
START_TEST(mistakes)
{
    static const struct {
        const char *text, *why;
        enum where_kind kind;
    } rows[] = {
        { "", "at its end: here a field, a number or a string is missing" },
        { "  ", "at its end: here a field" },
        { "state ==", "at its end: here a field" },
        { "== 3", "at character 1, ==: here a field" },
        { "id == 3 &&", "at its end: here a field" },
        { "id == 3 4", "at character 9, 4: an operator is missing before this" },
        { "(id == 3", "at its end: a ) is missing before this" },
        { "(id == 3 true", "at character 10, true: a ) is missing" },
        { "id == 3)", "at character 8, ): no ( stands before it" },
        { "()", "at character 2, ): here a field" },
        { "state == queued",
          "at character 10, queued: there is no such field; the nearest is queued_ms (a string is in quotes)" },
        { "stat == 'queued'", "at character 1, stat: there is no such field; the nearest is state" },
        { "tags == 'x'", "the nearest is tag" },
        { "zzzzz == 'x'", "there are id, parent, parts, state, function, target, priority" },
        { "zzzzz == 'x'", "tag, after, age, and now" },
        { "state == \"quued\"",
          "at character 10, \"quued\": no state is called so; there are waiting, queued, running, done, "
          "failed, timeout, cancelled, expired, dead, lost" },
        { "'quued' != state", "at character 1, 'quued': no state is called so" },
        { "durability == 'safe'", "no durability is called so; there are volatile, crashsafe, durable" },
        { "state == 3", "at character 10, 3: what stands before it is compared with a string; this is a number" },
        { "id == 'x'", "at character 7, 'x': what stands before it is compared with a number; this is a string" },
        { "hold == 1", "compared with a condition; this is a number" },
        { "tag == 1", "compared with a string; this is a number" },
        { "after == 'x'", "compared with a number; this is a string" },
        { "'x' == tag", "at character 8, tag: a list stands on the left of a comparison" },
        { "tag == tag", "a list stands on the left" },
        { "tag", "a condition is wanted, such as state == \"queued\"; this is a list of strings" },
        { "priority",
          "at character 1, priority: a condition is wanted, such as state == \"queued\"; this is a number" },
        { "'x'", "a condition is wanted" },
        { "state < 'x'", "at character 1, state: < <= > >= compare numbers; this is a string" },
        { "tag > 'x'", "< <= > >= compare numbers; this is a list of strings" },
        { "after < 3", "< <= > >= compare numbers; this is a list of ids" },
        { "id ~ '4*'", "at character 1, id: ~ compares a string with a pattern" },
        { "state ~ 4", "at character 9, 4: ~ compares a string with a pattern" },
        { "1 < 2 < 3", "at character 7, <: one comparison is not compared with another; join them by &&" },
        { "id == 3 == true", "one comparison is not" },
        { "state && true", "at character 1, state: && takes conditions; this is a string" },
        { "true || id", "at character 9, id: || takes conditions; this is a number" },
        { "!id", "at character 2, id: ! takes a condition; this is a number" },
        { "id == !hold", "at character 7, !: here a field" },
        { "id + 'x' == 3", "at character 6, 'x': + and - take numbers; this is a string" },
        { "state * 2 == 3", "at character 1, state: * and / take numbers" },
        { "-state == 3", "at character 2, state: - takes a number; this is a string" },
        { "(id + tag) == 3", "+ and - take numbers; this is a list of strings" },
        { "age > 10", "at character 7, 10: age is a duration, and this is a number without a unit: 10s, 5m" },
        { "10 < age", "at character 1, 10: age is a duration" },
        { "age + 1 > 1s", "at character 7, 1: age is a duration" },
        { "age * age > 1s", "at character 1, age * age: a time is multiplied by a number" },
        { "1 / age > 1", "a time is multiplied by a number, and divided by a number or another time" },
        { "id = 3", "at character 4, =: it is written twice: ==, &&, ||" },
        { "true & true", "at character 6, &: it is written twice" },
        { "true | true", "it is written twice" },
        { "id == 3; true", "at character 8, ;: this has no meaning here" },
        { "id % 2 == 0", "at character 4, %: this has no meaning here" },
        { "id == 3\x01", "this has no meaning here" },
        { "\xc3\xa4", "this has no meaning here" },
        { "id == 10x", "at character 7, 10x: a number is 10, 0.5 or 1e3" },
        { "id == 0x10", "a number is 10" },
        { "id == 1.", "a number is 10" },
        { "id == .5", "this has no meaning here" },
        { "id == 1.2.3", "a number is 10" },
        { "id == 1e", "a number is 10" },
        { "id == 1e999", "the number is too large" },
        { "id == 1e308T", "the number is too large" },
        { "age > 1d", "behind it stands a unit of time (ms, s, m, h) or of bytes (K, M, G, T)" },
        { "state == \"x", "at character 10, \"x: the string is not closed: \" is missing" },
        { "state == 'x\\'", "the string is not closed: ' is missing" },
        { "state == 'x\"", "the string is not closed" },
        { "state", "a number is wanted; this is a string", WHERE_NUMBER },
        { "hold", "a number is wanted; this is a condition", WHERE_NUMBER },
        { "age", "at character 1, age: a number is wanted, and this is a duration: divide it by one, as in age / 1s",
          WHERE_NUMBER },
        { "10m", "this is a duration", WHERE_NUMBER },
        { "nan", "there is no such field", WHERE_NUMBER },
        { "high", "there is no such field", WHERE_NUMBER },
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char why[WHERE_WHY_BYTES] = "";
        struct where *w = NULL;

        ck_assert_msg(where_new(rows[i].text, rows[i].kind, &w, why) == 1, "%s is taken", rows[i].text);
        ck_assert_msg(strstr(why, rows[i].why) != NULL, "%s: %s", rows[i].text, why);
        ck_assert_ptr_null(w);
    }
}
END_TEST

static int takes(const char *before, size_t n, const char *piece, const char *after_it, char why[WHERE_WHY_BYTES])
{
    char *text;
    size_t bytes;
    FILE *out = open_memstream(&text, &bytes);
    struct where *w = NULL;
    int r;

    fputs(before, out);
    for (size_t i = 0; i < n; i++)
        fputs(piece, out);
    fputs(after_it, out);
    fclose(out);
    r = where_new(text, WHERE_CONDITION, &w, why);
    if (r == 0)
        where_holds(w, &task, NOW_MS);
    where_free(w);
    free(text);
    return r;
}

START_TEST(bounds)
{
    char why[WHERE_WHY_BYTES] = "";

    ck_assert_int_eq(takes("true", 40, "", "", why), 0);
    ck_assert_int_eq(takes("", 40, "!", "true", why), 0);
    ck_assert_int_eq(takes("", 100, "!", "true", why), 1);
    ck_assert_ptr_nonnull(strstr(why, "nested too deeply"));
    ck_assert_int_eq(takes("", 100, "(", "true", why), 1);
    ck_assert_ptr_nonnull(strstr(why, "nested too deeply"));
    ck_assert_int_eq(takes("1 == ", 100, "-", "1", why), 1);
    ck_assert_ptr_nonnull(strstr(why, "nested too deeply"));
    ck_assert_int_eq(takes("true", 600, "&&true", "", why), 0); /* 3604 bytes */
    ck_assert_int_eq(takes("1==1", 1900, "+1", "", why), 0);
    ck_assert_int_eq(takes("phase == '", 3900, "x", "'", why), 0);
    ck_assert_int_eq(takes("phase == '", 4000, "x", "'", why), 1);
    ck_assert_str_eq(why, "an expression has at most 4000 bytes; this one has 4011");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("where");
    TCase *tc = suite_case(suite, "where");

    tcase_add_test(tc, what_holds);
    tcase_add_test(tc, of_a_bare_task);
    tcase_add_test(tc, patterns);
    tcase_add_test(tc, numbers);
    tcase_add_test(tc, mistakes);
    tcase_add_test(tc, bounds);
    return suite_run(suite);
}
