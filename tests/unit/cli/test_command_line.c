/* SPDX-License-Identifier: MIT */
/*
 * test_command_line -- argv to items, and every way to get it wrong.
 */
#include <stdlib.h>
#include <string.h>

#include "client/cli/command_line.h"
#include "client/cli/failure.h"
#include "tests/support/suite.h"
#include "tests/unit/cli/values.h"

enum { WORDS_MAX = 12 };
struct row {
    const char *argv[WORDS_MAX]; /* behind "ptools" */
    const char *want; /* "verb|item|item", an item "word" or "--option=value"; or the beginning of the problem */
    bool wrong;
};

static const struct row rows[] = {
    { { NULL }, "-" },
    { { "status" }, "status" },
    { { "call", "a.b" }, "call|a.b" },
    { { "call", "a.b", "1", "-3", "-0.5", "-", "x" }, "call|a.b|1|-3|-0.5|-|x" },
    { { "call", "--timeout", "2", "a.b" }, "call|--timeout=2|a.b" },
    { { "call", "a.b", "--timeout=2" }, "call|a.b|--timeout=2" },
    { { "call", "a.b", "x", "--file", "F", "-s", "7", "--string" }, "call|a.b|x|--file=F|--string|7|--string" },
    { { "call", "a.b", "--", "--json", "-s", "--" }, "call|a.b|--json|-s|--" },
    { { "call", "a.b", "--file=" }, "call|a.b|--file=" },
    { { "call", "a.b", "--file", "-x" }, "call|a.b|--file=-x" },
    { { "call", "a.b", "--set=x=y" }, "call|a.b|--set=x=y" },
    { { "--dir", "/d", "--json", "status" }, "status dir=/d json" },
    { { "status", "--dir=/d", "--json" }, "status dir=/d json" },
    { { "--address", "ipc:///x", "call", "a.b" }, "call|a.b address=ipc:///x" },
    { { "--help" }, "- help" },
    { { "-h" }, "- help" },
    { { "call", "-h" }, "call help" },
    { { "-V" }, "- version" },
    { { "--version" }, "- version" },
    { { "workers", "add", "2" }, "workers|add|2" },
    { { "sets", "create", "s", "--mode", "ff", "1", "2" }, "sets|create|s|--mode=ff|1|2" },
    { { "--", "status" }, "status" },
    { { "call", "" }, "call|" },
    { { "fork", "-n", "2", "ls", "-l", "--json" }, "fork|--count=2|ls|-l|--json" },
    { { "fork", "-n", "2", "--json", "--", "ls", "--", "-n" }, "fork|--count=2|ls|--|-n json" },
    { { "fork", "-n", "2", "-", "--count" }, "fork|--count=2|-|--count" },
    { { "--json", "fork", "--limit", "as=1", "--limit=cpu=2", "-h" }, "fork|--limit=as=1|--limit=cpu=2 json help" },
    { { "pmap", "a.b", "-0" }, "pmap|a.b|--null" },
    { { "pmap", "--rehearse", "a.b", "--rehearse=3", "--rehearse=", "1" },
      "pmap|--rehearse|a.b|--rehearse=3|--rehearse=|1" },
    { { "pmap", "a.b", "-1", "--", "-0" }, "pmap|a.b|-1|-0" },
    { { "pmap", "-j4", "-n-1", "-aF", "-C=", "--", "ls", "-j4" },
      "pmap|--jobs=4|--max-args=-1|--arg-file=F|--colsep==|ls|-j4" },

    { { "frobnicate" }, "there is no verb \"frobnicate\"", true },
    { { "cal" }, "there is no verb \"cal\"; the nearest is \"call\"", true },
    { { "" }, "there is no verb \"\"", true },
    { { "--", "--help" }, "there is no verb \"--help\"", true },
    { { "--frob" }, "there is no option --frob", true },
    { { "--timeout", "2", "call" }, "there is no option --timeout", true },
    { { "fork", "-n", "2", "--json=x", "ls" }, "--json takes no value", true },
    { { "fork", "-n" }, "--count needs a value: --count N", true },
    { { "call", "--timout", "2" }, "there is no option --timout; the nearest is --timeout", true },
    { { "call", "--timout=2" }, "there is no option --timout; the nearest is --timeout", true },
    { { "call", "--qqq" }, "there is no option --qqq; words that begin with '-' go after --", true },
    { { "call", "-x" }, "there is no option -x", true },
    { { "call", "-st" }, "there is no option -st", true },
    { { "pmap", "-03" }, "pmap|-03" },
    { { "pmap", "-j" }, "--jobs needs a value: --jobs N", true },
    { { "status", "--raw" }, "there is no option --raw", true },
    { { "call", "--timeout" }, "--timeout needs a value: --timeout TIME", true },
    { { "call", "--raw=yes" }, "--raw takes no value", true },
    { { "--json=1" }, "--json takes no value", true },
    { { "--dir" }, "--dir needs a value: --dir DIR", true },
    { { "--dir=" }, "--dir is empty", true },
    { { "--address", "" }, "--address is empty", true },
    { { "--dir", "/d", "--address", "/e", "status" }, "--dir and --address exclude each other", true },
};

static const char *option_name(const struct verb *verb, int id)
{
    for (const struct option_row *row = verb->options; row && row->name; row++)
        if (row->id == id)
            return row->name;
    return "?";
}

/* The line in the notation of the rows. */
static char *notation(const struct command_line *line)
{
    char *text;
    size_t n;
    FILE *out = open_memstream(&text, &n);

    fputs(line->verb ? line->verb->name : "-", out);
    for (size_t i = 0; i < line->n; i++) {
        if (line->items[i].id == ITEM_WORD)
            fprintf(out, "|%s", line->items[i].text);
        else
            fprintf(out, "|--%s%s%s", option_name(line->verb, line->items[i].id), line->items[i].text ? "=" : "",
                    line->items[i].text ? line->items[i].text : "");
    }
    if (line->dir)
        fprintf(out, " dir=%s", line->dir);
    if (line->address)
        fprintf(out, " address=%s", line->address);
    fprintf(out, "%s%s%s", line->json ? " json" : "", line->help ? " help" : "", line->version ? " version" : "");
    fclose(out);
    return text;
}

START_TEST(each_row)
{
    char *argv[WORDS_MAX + 2] = { (char *)(uintptr_t)"ptools" }, *text;
    struct command_line line;
    int argc = 1, r;

    while (rows[_i].argv[argc - 1]) {
        argv[argc] = (char *)(uintptr_t)rows[_i].argv[argc - 1];
        argc++;
    }
    r = command_line_parse(&line, argc, argv);
    if (rows[_i].wrong) {
        ck_assert_int_eq(r, 1);
        ck_assert_msg(strncmp(line.problem, rows[_i].want, strlen(rows[_i].want)) == 0, "%s", line.problem);
    } else {
        ck_assert_msg(r == 0, "%s", line.problem);
        text = notation(&line);
        ck_assert_str_eq(text, rows[_i].want);
        free(text);
    }
    command_line_deinit(&line);
}
END_TEST

START_TEST(words)
{
    char *argv[] = { (char *)(uintptr_t) "ptools", (char *)(uintptr_t) "call", (char *)(uintptr_t) "a.b",
                     (char *)(uintptr_t) "--raw", (char *)(uintptr_t) "x" };
    struct command_line line;

    ck_assert_int_eq(command_line_parse(&line, 5, argv), 0);
    ck_assert_uint_eq(command_line_words(&line), 2);
    ck_assert_str_eq(command_line_word(&line, 0), "a.b");
    ck_assert_str_eq(command_line_word(&line, 1), "x");
    ck_assert_ptr_null(command_line_word(&line, 2));
    command_line_deinit(&line);
}
END_TEST

/* A mistake of enormous length is told in a sentence. */
START_TEST(long_words)
{
    char *longest = malloc(100001);
    char *argv[] = { (char *)(uintptr_t)"ptools", longest };
    struct command_line line;

    ck_assert_ptr_nonnull(longest);
    memset(longest, '-', 2);
    memset(longest + 2, 'x', 99998);
    longest[100000] = '\0';
    ck_assert_int_eq(command_line_parse(&line, 2, argv), 1);
    ck_assert_uint_lt(strlen(line.problem), 200);
    command_line_deinit(&line);
    argv[1] = longest + 2;
    ck_assert_int_eq(command_line_parse(&line, 2, argv), 1);
    ck_assert_uint_lt(strlen(line.problem), 200);
    command_line_deinit(&line);
    free(longest);
}
END_TEST

START_TEST(a_mistake)
{
    struct command_line line = { .verb = &verb_call };
    struct capture c;
    char *text;
    int status;

    capture(&c, 2);
    status = command_line_wrong(&line, "%s is odd", "x");
    text = captured(&c);
    ck_assert_int_eq(status, EXIT_USAGE);
    ck_assert_str_eq(text, "ptools call: x is odd\n"
                           "Usage: ptools call [OPTION...] MODULE.FUNCTION [ARG...]\n"
                           "More:  ptools call --help\n");
    free(text);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("command_line");
    TCase *tc = suite_case(suite, "command_line");

    tcase_add_loop_test(tc, each_row, 0, sizeof rows / sizeof rows[0]);
    tcase_add_test(tc, words);
    tcase_add_test(tc, long_words);
    tcase_add_test(tc, a_mistake);
    return suite_run(suite);
}
