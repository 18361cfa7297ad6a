/* SPDX-License-Identifier: MIT */
/*
 * test_columns -- lines cut by a character, by an expression and as CSV, and separators that are none.
 */
#include <stdlib.h>
#include <string.h>

#include "client/cli/columns.h"
#include "tests/support/suite.h"

/* The values with | between; "+" before: a quotation is open. */
static void expect(const char *separator, bool csv, const char *line, const char *want)
{
    char why[COLUMNS_WHY_BYTES], *got;
    struct texts values = { 0 };
    struct columns c;
    size_t n;
    FILE *out = open_memstream(&got, &n);

    ck_assert_msg(columns_init(&c, separator, csv, why), "%s", why);
    if (columns_open(&c, false, line, strlen(line)))
        putc('+', out);
    columns_split(&c, line, strlen(line), &values);
    for (size_t i = 0; i < values.n; i++)
        fprintf(out, "%s%s", i ? "|" : "", texts_get(&values, i, &n));
    fclose(out);
    ck_assert_str_eq(got, want);
    free(got);
    texts_deinit(&values);
    columns_deinit(&c);
}

START_TEST(characters)
{
    expect(NULL, false, "a,b\r", "a,b\r");
    expect(",", false, "a,,b,", "a||b|");
    expect(",", false, "", "");
    expect("|", false, "a|b\r", "a|b");
    expect("\\t", false, "a\tb c", "a|b c");
}
END_TEST

START_TEST(expressions)
{
    expect(" *[,;] *", false, "a , b;c", "a|b|c");
    expect("[ \\t]+", false, "a \t b", "a|b");
    expect("^a", false, "ab,ab", "|b,ab");
    expect("\\|", false, "a|b", "a|b");
    expect("::", false, "::a", "|a");
}
END_TEST

START_TEST(quoted)
{
    expect(NULL, true, "a,\"b,\"\"c\"\"\",d", "a|b,\"c\"|d");
    expect(NULL, true, "\"\",\"x\"y,z\"q\"", "|xy|z\"q\"");
    expect(NULL, true, "\"a\r", "+a");
    expect(NULL, true, "\"a", "+a");
    expect(NULL, true, "\"", "+");
    expect(NULL, true, "\"a\"\"", "+a\"");
    expect(NULL, true, "\"a\nb\",c\r", "a\nb|c");
    expect(";", true, "a,b;\"c;d\"", "a,b|c;d");
    expect("\\t", true, "a\t\"b\tc\"", "a|b\tc");
    expect(NULL, true, "", "");
}
END_TEST

static bool goes_on(const char *line)
{
    const struct columns c = { .how = COLUMNS_CSV, .separator = ',' };

    return columns_open(&c, true, line, strlen(line));
}

START_TEST(within_a_quotation)
{
    ck_assert(goes_on("") && goes_on("a,b") && goes_on("a\"\"") && goes_on("a\",\"") && goes_on("\"\"\",\"b"));
    ck_assert(!goes_on("\"") && !goes_on("a\"") && !goes_on("a\",b") && !goes_on("\"\"\"") && !goes_on("\"x\",\"b\""));
}
END_TEST

START_TEST(wrong_ones)
{
    static const struct {
        const char *separator;
        bool csv;
    } rows[] = { { "a(", false }, { "x*", false }, { "", false }, { ",,", true }, { "\"", true } };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char why[COLUMNS_WHY_BYTES] = "";
        struct columns c;

        ck_assert_msg(!columns_init(&c, rows[i].separator, rows[i].csv, why), "%s", rows[i].separator);
        ck_assert_str_ne(why, "");
        columns_deinit(&c);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("columns");
    TCase *tc = suite_case(suite, "columns");

    tcase_add_test(tc, characters);
    tcase_add_test(tc, expressions);
    tcase_add_test(tc, quoted);
    tcase_add_test(tc, within_a_quotation);
    tcase_add_test(tc, wrong_ones);
    return suite_run(suite);
}
