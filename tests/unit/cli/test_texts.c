/* SPDX-License-Identifier: MIT */
/*
 * test_texts -- strings with any bytes in them, and how a shell is told them.
 */
#include <stdlib.h>
#include <string.h>

#include "client/cli/texts.h"
#include "tests/support/suite.h"

START_TEST(kept)
{
    struct texts t = { 0 };
    char text[40];
    size_t n;

    for (int i = 0; i < 1000; i++) {
        texts_put(&t, "a\0b", 3);
        texts_put(&t, text, (size_t)snprintf(text, sizeof text, "%d", i));
        texts_end(&t);
        texts_add(&t, "", 0);
    }
    ck_assert(!t.no_memory);
    ck_assert_uint_eq(t.n, 2000);
    for (int i = 0; i < 1000; i++) {
        const char *s = texts_get(&t, 2 * (size_t)i, &n);

        ck_assert_uint_eq(n, 3 + (size_t)snprintf(text, sizeof text, "%d", i));
        ck_assert_mem_eq(s, "a\0b", 3);
        ck_assert_str_eq(s + 3, text);
        ck_assert_str_eq(texts_get(&t, 2 * (size_t)i + 1, &n), "");
        ck_assert_uint_eq(n, 0);
    }
    texts_reset(&t);
    ck_assert_uint_eq(t.n, 0);
    texts_deinit(&t);
}
END_TEST

START_TEST(quotes)
{
    static const struct {
        const char *text, *want;
        size_t n; /* 0: all of it */
    } rows[] = {
        { "plain-1.txt", "plain-1.txt", 0 },
        { "a b", "'a b'", 0 },
        { "it's", "'it'\\''s'", 0 },
        { "", "''", 0 },
        { "$HOME", "'$HOME'", 0 },
        { "=x", "'=x'", 0 },
        { "a=b", "a=b", 0 },
        { "\xc3\xa9", "'\xc3\xa9'", 0 },
        { "a\nb\t'\\", "$'a\\nb\\t\\'\\\\'", 0 },
        { "\xff", "$'\\377'", 0 },
        { "\x1b[m", "$'\\033[m'", 0 },
        { "a\0b", "$'a\\000b'", 3 },
        { "~", "'~'", 0 },
        { "*", "'*'", 0 },
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char *got;
        size_t n;
        FILE *out = open_memstream(&got, &n);

        texts_quote(out, rows[i].text, rows[i].n ? rows[i].n : strlen(rows[i].text));
        fclose(out);
        ck_assert_str_eq(got, rows[i].want);
        free(got);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("texts");
    TCase *tc = suite_case(suite, "texts");

    tcase_add_test(tc, kept);
    tcase_add_test(tc, quotes);
    return suite_run(suite);
}
