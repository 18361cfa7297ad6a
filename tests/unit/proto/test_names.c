/* SPDX-License-Identifier: MIT */
/* names -- what may be a name, how calls are split, how kinds are called. */
#include <string.h>

#include "proto/message.h"
#include "tests/support/suite.h"

static char long_name[NAME_BYTES_MAX + 2];

static void fill_long_name(void)
{
    memset(long_name, 'a', sizeof long_name - 1);
}

START_TEST(module_names)
{
    static const char *const good[] = { "text", "a", "A-Z_0", "9lives", "-", "_" };
    static const char *const bad[] = { "", "a.b", "a/b", "..", "a b", "a\n", "\xc3\xa4", "a:b", "a*" };

    for (size_t i = 0; i < ELEMENTS(good); i++)
        ck_assert_msg(name_ok_module(good[i], strlen(good[i])), "%s", good[i]);
    for (size_t i = 0; i < ELEMENTS(bad); i++)
        ck_assert_msg(!name_ok_module(bad[i], strlen(bad[i])), "%s", bad[i]);
    ck_assert(!name_ok_module("a\0b", 3));
}
END_TEST

START_TEST(set_names)
{
    static const char *const good[] = { "night", "a.b", ".x", "-", "_9" };
    static const char *const bad[] = { "", "9lives", "7", "a b", "a/b", "\x7f" };

    for (size_t i = 0; i < ELEMENTS(good); i++)
        ck_assert_msg(name_ok_set(good[i], strlen(good[i])), "%s", good[i]);
    for (size_t i = 0; i < ELEMENTS(bad); i++)
        ck_assert_msg(!name_ok_set(bad[i], strlen(bad[i])), "%s", bad[i]);
}
END_TEST

START_TEST(prefixes)
{
    static const char *const good[] = { "", "night", "a.b", ".x", "-", "_9", "9lives", "7" };
    static const char *const bad[] = { " ", "a b", "a/b", "\x7f", "a\n", "\xc3\xa4", "a:b" };

    for (size_t i = 0; i < ELEMENTS(good); i++)
        ck_assert_msg(name_ok_prefix(good[i], strlen(good[i])), "%s", good[i]);
    for (size_t i = 0; i < ELEMENTS(bad); i++)
        ck_assert_msg(!name_ok_prefix(bad[i], strlen(bad[i])), "%s", bad[i]);
    ck_assert(!name_ok_prefix("a\0b", 3));
}
END_TEST

START_TEST(lengths)
{
    fill_long_name();
    ck_assert(name_ok_prefix(long_name, NAME_BYTES_MAX));
    ck_assert(!name_ok_prefix(long_name, NAME_BYTES_MAX + 1));
    ck_assert(name_ok_module(long_name, NAME_BYTES_MAX));
    ck_assert(name_ok_set(long_name, NAME_BYTES_MAX));
    ck_assert(!name_ok_module(long_name, NAME_BYTES_MAX + 1));
    ck_assert(!name_ok_set(long_name, NAME_BYTES_MAX + 1));
}
END_TEST

START_TEST(split)
{
    static const char *const bad[] = { "", ".", "a", "a.", ".b", "a.b.c", "a..b", "a b.c", "a.b\n" };
    struct text module = { "untouched", 1 }, function = module;

    for (size_t i = 0; i < ELEMENTS(bad); i++)
        ck_assert_msg(!name_split(bad[i], strlen(bad[i]), &module, &function), "%s", bad[i]);
    ck_assert(!name_split(NULL, 0, &module, &function));
    ck_assert_str_eq(module.data, "untouched");
    ck_assert_str_eq(function.data, "untouched");

    ck_assert(name_split("text.count-2 and more", 12, &module, &function));
    ck_assert_uint_eq(module.n, 4);
    ck_assert_mem_eq(module.data, "text", 4);
    ck_assert_uint_eq(function.n, 7);
    ck_assert_mem_eq(function.data, "count-2", 7);
}
END_TEST

START_TEST(longest_function)
{
    char s[FUNCTION_BYTES_MAX];
    struct text module, function;

    memset(s, 'x', sizeof s);
    s[NAME_BYTES_MAX] = '.';
    ck_assert(name_split(s, sizeof s, &module, &function));
    ck_assert_uint_eq(module.n, NAME_BYTES_MAX);
    ck_assert_uint_eq(function.n, NAME_BYTES_MAX);
}
END_TEST

START_TEST(kinds)
{
    static const char *const names[] = {
        "hello",       "call",           "cancel",      "set-create",   "set-open",      "set-change",  "set-destroy",
        "workers-add", "workers-remove", "inspect",     "array-create", "array-unlink",  "array-close", "stasks-start",
        "stasks-open", "stasks-restart", "stasks-stop", "stasks-fate",  "stasks-cancel",
        "task-submit", "task-get", "task-result", "task-wait", "task-change", "task-list", "task-priorities",
        "task-why", "events", "events-end", "reply", "error", "event",
    };

    ck_assert_uint_eq(ELEMENTS(names), MSG_EVENT + 1);
    for (size_t i = 0; i < ELEMENTS(names); i++) {
        ck_assert_str_eq(msg_kind_name((enum msg_kind)i), names[i]);
        ck_assert(msg_kind_has_payload((enum msg_kind)i) == (i == MSG_CALL || i == MSG_TASK_SUBMIT || i == MSG_TASK_PRIORITIES));
    }
    ck_assert_str_eq(msg_kind_name((enum msg_kind)(MSG_EVENT + 1)), "unknown");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("names");
    TCase *tc = suite_case(suite, "names");

    tcase_add_test(tc, module_names);
    tcase_add_test(tc, set_names);
    tcase_add_test(tc, prefixes);
    tcase_add_test(tc, lengths);
    tcase_add_test(tc, split);
    tcase_add_test(tc, longest_function);
    tcase_add_test(tc, kinds);
    return suite_run(suite);
}
