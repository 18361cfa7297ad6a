/* SPDX-License-Identifier: MIT */
/* report -- what the template says of a module arrives; what it must not say is refused. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include <ptools/module.h>

#include "proto/report.h"
#include "proto/value.h"
#include "tests/support/suite.h"

static struct bytes out;

static void setup(void)
{
    bytes_init(&out, 1 << 20);
}

static void teardown(void)
{
    bytes_deinit(&out);
}

static struct report *turn_around(const struct report *r)
{
    struct report *back = NULL;

    bytes_reset(&out);
    report_encode(r, &out);
    ck_assert_int_eq(out.err, 0);
    ck_assert_int_eq(report_decode(out.data, out.n, &back), 0);
    return back;
}

static struct report_function functions[] = {
    { (char *)"count", (char *)"count FILE -> lines, words, bytes", PTOOLS_FN_IDEMPOTENT },
    { (char *)"top", (char *)"", PTOOLS_FN_IDEMPOTENT | PTOOLS_FN_TIDY },
};
static const struct report text_module = {
    .module = (char *)"text",
    .help = (char *)"words of files \xc3\xa4",
    .path = (char *)"/usr/lib/ptools/modules/text.so",
    .problem = (char *)"",
    .flags = REPORT_IN_WORKER,
    .n = ELEMENTS(functions),
    .functions = functions,
};

START_TEST(loaded)
{
    AUTO(report) back = turn_around(&text_module);

    ck_assert_str_eq(back->module, "text");
    ck_assert_str_eq(back->help, "words of files \xc3\xa4");
    ck_assert_str_eq(back->path, "/usr/lib/ptools/modules/text.so");
    ck_assert_str_eq(back->problem, "");
    ck_assert_int_eq(back->code, PTOOLS_OK);
    ck_assert_uint_eq(back->flags, REPORT_IN_WORKER);
    ck_assert_uint_eq(back->n, 2);
    for (size_t i = 0; i < back->n; i++) {
        ck_assert_str_eq(back->functions[i].name, functions[i].name);
        ck_assert_str_eq(back->functions[i].help, functions[i].help);
        ck_assert_uint_eq(back->functions[i].flags, functions[i].flags);
    }
}
END_TEST

START_TEST(broken)
{
    struct report r = { .module = (char *)"m", .help = (char *)"", .path = (char *)"",
                        .problem = (char *)"no such file", .code = PTOOLS_ERR_MODULE_BROKEN };
    AUTO(report) back = turn_around(&r);

    ck_assert_int_eq(back->code, PTOOLS_ERR_MODULE_BROKEN);
    ck_assert_str_eq(back->problem, "no such file");
    ck_assert_uint_eq(back->n, 0);
    ck_assert_ptr_null(back->functions);
}
END_TEST

START_TEST(texts_are_cut_and_cleaned)
{
    char longest[REPORT_TEXT_MAX + 100], long_path[PATH_MAX + 100];
    struct report r = text_module;
    AUTO(report) back = NULL;

    memset(longest, 'h', sizeof longest);
    longest[sizeof longest - 1] = '\0';
    longest[0] = '\x1b';
    longest[1] = '\n';
    longest[2] = '\x7f';
    longest[3] = '\xff';
    memset(long_path, 'p', sizeof long_path);
    long_path[sizeof long_path - 1] = '\0';
    r.help = longest;
    r.path = long_path;
    back = turn_around(&r);
    ck_assert_uint_eq(strlen(back->help), REPORT_TEXT_MAX);
    ck_assert_int_eq(strncmp(back->help, "????hhh", 7), 0);
    ck_assert_uint_eq(strlen(back->path), PATH_MAX);
}
END_TEST

START_TEST(most_functions)
{
    static struct report_function many[REPORT_FUNCTIONS_MAX + 1];
    struct report r = text_module;
    AUTO(report) back = NULL;
    struct report *none = NULL;

    for (size_t i = 0; i < ELEMENTS(many); i++)
        many[i] = functions[0];
    r.functions = many;
    r.n = REPORT_FUNCTIONS_MAX;
    back = turn_around(&r);
    ck_assert_uint_eq(back->n, REPORT_FUNCTIONS_MAX);

    r.n++;
    bytes_reset(&out);
    report_encode(&r, &out);
    ck_assert_int_eq(out.err, 0);
    ck_assert_int_eq(report_decode(out.data, out.n, &none), -EBADMSG);
}
END_TEST

START_TEST(no_room)
{
    bytes_deinit(&out);
    bytes_init(&out, 20);
    report_encode(&text_module, &out);
    ck_assert_int_eq(out.err, -EMSGSIZE);
}
END_TEST

/* Every cut-off and every flipped byte: a report or -EBADMSG, never a crash. */
START_TEST(truncated_and_damaged)
{
    struct report *back;
    AUTO_MEM uint8_t *copy = NULL;
    unsigned refused = 0;

    report_encode(&text_module, &out);
    copy = malloc(out.n);
    ck_assert_ptr_nonnull(copy);
    for (size_t n = 0; n < out.n; n++) {
        AUTO_MEM uint8_t *exact = malloc(n ? n : 1); /* so that a read beyond the end is seen */

        ck_assert_ptr_nonnull(exact);
        memcpy(exact, out.data, n);
        back = NULL;
        ck_assert_int_eq(report_decode(exact, n, &back), -EBADMSG);
        ck_assert_ptr_null(back);
    }
    for (size_t i = 0; i < out.n; i++) {
        for (unsigned byte = 0; byte < 256; byte++) {
            int r;

            memcpy(copy, out.data, out.n);
            copy[i] = (uint8_t)byte;
            back = NULL;
            r = report_decode(copy, out.n, &back);
            ck_assert(r == 0 || r == -EBADMSG);
            ck_assert((r == 0) == (back != NULL));
            refused += r != 0;
            report_free(back);
        }
    }
    ck_assert_uint_gt(refused, out.n * 100);
}
END_TEST

/* One element of a good report replaced by `element`. */
static int decode_with(int place, const char *element, size_t n)
{
    static const char *const good[] = { "\xa1m", NULL, NULL, "\xa0", "\xa0", "\xa0", "\x91\x93\xa1" "f" "\xa0" };
    struct report *back = NULL;
    int r;

    bytes_reset(&out);
    bytes_append(&out, "\x97", 1);
    for (int i = 0; i < 7; i++) {
        if (i == place)
            bytes_append(&out, element, n);
        else if (good[i])
            bytes_append(&out, good[i], strlen(good[i]));
        else
            bytes_append(&out, "\0", 1);
        if (i == 6 && place != 6)
            bytes_append(&out, "\0", 1);
    }
    r = report_decode(out.data, out.n, &back);
    ck_assert((r == 0) == (back != NULL));
    report_free(back);
    return r;
}

START_TEST(rules)
{
#define DECODE_WITH(place, element) decode_with(place, element, sizeof(element) - 1)
    ck_assert_int_eq(decode_with(-1, "", 0), 0);
    ck_assert_int_eq(DECODE_WITH(0, "\xa0"), -EBADMSG);             /* no name */
    ck_assert_int_eq(DECODE_WITH(0, "\xa3" "a.b"), -EBADMSG);       /* a bad one */
    ck_assert_int_eq(DECODE_WITH(0, "\x07"), -EBADMSG);
    ck_assert_int_eq(DECODE_WITH(1, "\x2c"), 0);                    /* 44: NO_MODULE */
    ck_assert_int_eq(DECODE_WITH(1, "\x2e"), -EBADMSG);             /* 46: not said of modules */
    ck_assert_int_eq(DECODE_WITH(1, "\xff"), -EBADMSG);             /* -1 */
    ck_assert_int_eq(DECODE_WITH(1, "\xcf\0\0\0\x01\0\0\0\x2d"), -EBADMSG); /* 2^32 + 45 */
    ck_assert_int_eq(DECODE_WITH(2, "\x02"), -EBADMSG);             /* an unknown flag */
    ck_assert_int_eq(DECODE_WITH(2, "\xcf\0\0\0\x01\0\0\0\x01"), -EBADMSG);
    ck_assert_int_eq(DECODE_WITH(3, "\xc0"), -EBADMSG);             /* nil */
    ck_assert_int_eq(DECODE_WITH(3, "\xa1\n"), -EBADMSG);           /* not printable */
    ck_assert_int_eq(DECODE_WITH(3, "\xa1\xff"), -EBADMSG);         /* not UTF-8 */
    ck_assert_int_eq(DECODE_WITH(3, "\xa2" "a\0"), -EBADMSG);       /* NUL inside */
    ck_assert_int_eq(DECODE_WITH(6, "\xc0"), -EBADMSG);
    ck_assert_int_eq(DECODE_WITH(6, "\x90"), 0);
    ck_assert_int_eq(DECODE_WITH(6, "\x91\x92\xa1" "f" "\xa0"), -EBADMSG);
    ck_assert_int_eq(DECODE_WITH(6, "\x91\x93\xa1" "f" "\xa0\x04"), -EBADMSG);
    ck_assert_int_eq(DECODE_WITH(6, "\x91\x93\xa1 \xa0\x00"), -EBADMSG);
    ck_assert_int_eq(DECODE_WITH(6, "\x90\xc0"), -EBADMSG);         /* trailing */
#undef DECODE_WITH
}
END_TEST

START_TEST(free_forgives)
{
    ck_assert_ptr_null(report_free(NULL));
    ck_assert_ptr_null(report_free(calloc(1, sizeof(struct report))));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("report");
    TCase *tc = suite_case(suite, "report");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, loaded);
    tcase_add_test(tc, broken);
    tcase_add_test(tc, texts_are_cut_and_cleaned);
    tcase_add_test(tc, most_functions);
    tcase_add_test(tc, no_room);
    tcase_add_test(tc, truncated_and_damaged);
    tcase_add_test(tc, rules);
    tcase_add_test(tc, free_forgives);
    return suite_run(suite);
}
