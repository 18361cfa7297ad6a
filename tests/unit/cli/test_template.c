/* SPDX-License-Identifier: MIT */
/*
 * test_template -- each placeholder over values of every kind, what is no placeholder, and words without any.
 */
#include <stdlib.h>
#include <string.h>

#include "client/cli/template.h"
#include "tests/support/suite.h"

static void add_all(struct texts *t, const char *const *words)
{
    for (; words && *words; words++)
        texts_add(t, *words, strlen(*words));
}

/* The words for these values, as the fifth item in the second place, with | between. */
static char *expand(const char *const *words, const char *const *values, const char *const *names, bool append)
{
    struct texts given = { 0 }, called = { 0 }, made = { 0 };
    struct template t;
    char *text;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);

    while (words[n])
        n++;
    add_all(&given, values);
    add_all(&called, names);
    ck_assert(template_init(&t, words, n, names ? &called : NULL, append));
    template_expand(&t, &given, 5, 2, &made);
    ck_assert(!made.no_memory);
    for (size_t i = 0; i < made.n; i++) {
        const char *word = texts_get(&made, i, &n);

        ck_assert_uint_eq(strlen(word), n);
        fprintf(out, "%s%s", i ? "|" : "", word);
    }
    fclose(out);
    template_deinit(&t);
    texts_deinit(&given);
    texts_deinit(&called);
    texts_deinit(&made);
    return text;
}

#define LIST(...) ((const char *const[]){ __VA_ARGS__, NULL })

static void expect(const char *want, const char *const *words, const char *const *values, const char *const *names)
{
    char *got = expand(words, values, names, true);

    ck_assert_str_eq(got, want);
    free(got);
}

START_TEST(forms)
{
    static const struct {
        const char *value, *want; /* {} {.} {/} {//} {/.} */
    } rows[] = {
        { "a/b.c", "a/b.c|a/b|b.c|a|b" },
        { "x.tar.gz", "x.tar.gz|x.tar|x.tar.gz|.|x.tar" },
        { "/x", "/x|/x|x|/|x" },
        { "/x/y.z", "/x/y.z|/x/y|y.z|/x|y" },
        { ".bashrc", ".bashrc||.bashrc|.|" },
        { "a.b/c", "a.b/c|a.b/c|c|a.b|c" },
        { "dir/", "dir/|dir/||.|" },
        { "x.", "x.|x|x.|.|x" },
        { "a//b", "a//b|a//b|b|a|b" },
        { "/", "/|/||/|" },
        { "", "|||.|" },
        { "a b.c d", "a b.c d|a b|a b.c d|.|a b" },
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        expect(rows[i].want, LIST("{}", "{.}", "{/}", "{//}", "{/.}"), LIST(rows[i].value), NULL);
}
END_TEST

START_TEST(places)
{
    expect("b|a|b|a|", LIST("{2}", "{1}", "{-1}", "{-2}", "{3}"), LIST("a", "b"), NULL);
    expect("y|d/x|d", LIST("{2/.}", "{1.}", "{1//}"), LIST("d/x.c", "e/y.f"), NULL);
    expect("a|b|<a b>|5|2", LIST("{}", "<{}>", "{#}", "{%}"), LIST("a", "b"), NULL);
    expect("a-b-5", LIST("{1}-{2}-{#}"), LIST("a", "b"), NULL);
    expect("y|x|<y>", LIST("{v w}", "{u}", "<{v w/}>"), LIST("x", "y"), LIST("u", "v w"));
}
END_TEST

START_TEST(what_is_none)
{
    expect("{x}|{a b}|{0}|{-0}|{vx}|{|}{|{1x}|{+1}",
           LIST("{x}", "{a b}", "{0}", "{-0}", "{{}x}", "{", "}{", "{1x}", "{+1}"), LIST("v"), NULL);
}
END_TEST

START_TEST(appended)
{
    char *got;

    expect("echo|-n|a|b", LIST("echo", "-n"), LIST("a", "b"), NULL);
    expect("echo|5", LIST("echo", "{#}"), LIST("a"), NULL);
    got = expand(LIST("echo"), LIST("a"), NULL, false);
    ck_assert_str_eq(got, "echo");
    free(got);
}
END_TEST

START_TEST(facts)
{
    struct template t;

    ck_assert(template_init(&t, LIST("echo", "{%}"), 2, NULL, true));
    ck_assert(t.any && t.slot && t.first_fixed);
    template_deinit(&t);
    ck_assert(template_init(&t, LIST("{}", "x"), 2, NULL, true));
    ck_assert(t.any && !t.slot && !t.first_fixed);
    template_deinit(&t);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("template");
    TCase *tc = suite_case(suite, "template");

    tcase_add_test(tc, forms);
    tcase_add_test(tc, places);
    tcase_add_test(tc, what_is_none);
    tcase_add_test(tc, appended);
    tcase_add_test(tc, facts);
    return suite_run(suite);
}
