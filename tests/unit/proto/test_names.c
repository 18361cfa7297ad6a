/* SPDX-License-Identifier: MIT */
/* names -- what may be a name, how calls are split, how kinds and states are called. */
#include <stdio.h>
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

START_TEST(tags)
{
    static const char *const good[] = { "night", "7", "a.b:c/d=e@f+g-h_i", "+", "@x", "user=7", "../.." };
    static const char *const bad[] = { "", " ", "a b", "a,b", "a\n", "\xc3\xa4", "a%b", "#1", "a\\b", "\x7f", "a*" };

    for (size_t i = 0; i < ELEMENTS(good); i++)
        ck_assert_msg(name_ok_tag(good[i], strlen(good[i])), "%s", good[i]);
    for (size_t i = 0; i < ELEMENTS(bad); i++)
        ck_assert_msg(!name_ok_tag(bad[i], strlen(bad[i])), "%s", bad[i]);
    ck_assert(!name_ok_tag("a\0b", 3));
}
END_TEST

START_TEST(hosts)
{
    static const char *const good[] = { "localhost", "node-1.lan", "10.0.0.7", "::1", "fe80::1%eth0", "a_b", "7" };
    static const char *const bad[] = { "", " ", "a b", "a/b", "[::1]", "a\n", "\xc3\xa4", "a@b", "a,b", "*" };
    char longest[HOST_BYTES_MAX + 1];

    for (size_t i = 0; i < ELEMENTS(good); i++)
        ck_assert_msg(name_ok_host(good[i], strlen(good[i])), "%s", good[i]);
    for (size_t i = 0; i < ELEMENTS(bad); i++)
        ck_assert_msg(!name_ok_host(bad[i], strlen(bad[i])), "%s", bad[i]);
    ck_assert(!name_ok_host("a\0b", 3));
    memset(longest, 'h', sizeof longest);
    ck_assert(name_ok_host(longest, HOST_BYTES_MAX));
    ck_assert(!name_ok_host(longest, HOST_BYTES_MAX + 1));
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
    ck_assert(name_ok_tag(long_name, NAME_BYTES_MAX));
    ck_assert(!name_ok_tag(long_name, NAME_BYTES_MAX + 1));
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
        "hello",        "call",          "cancel",          "call-limit",     "set-create",     "set-open",
        "set-change",   "set-destroy",   "workers-add",     "workers-remove", "inspect",        "array-create",
        "array-unlink", "array-close",   "stasks-start",    "stasks-open",    "stasks-restart", "stasks-stop",
        "stasks-fate",  "stasks-cancel", "task-submit",     "task-get",       "task-result",    "task-wait",
        "task-change",  "task-list",     "task-priorities", "task-why",       "events",         "events-end",
        "queue-pause",  "queue-resume",  "reply",           "error",          "event",
    };

    ck_assert_uint_eq(ELEMENTS(names), MSG_EVENT + 1);
    for (size_t i = 0; i < ELEMENTS(names); i++) {
        ck_assert_str_eq(msg_kind_name((enum msg_kind)i), names[i]);
        ck_assert(msg_kind_has_payload((enum msg_kind)i) ==
                  (i == MSG_CALL || i == MSG_TASK_SUBMIT || i == MSG_TASK_PRIORITIES));
    }
    ck_assert_str_eq(msg_kind_name((enum msg_kind)(MSG_EVENT + 1)), "unknown");
}
END_TEST

/* Each kind of request is described in PROTOCOL.md, in bold; each state of a task has its row. */
START_TEST(all_are_in_the_protocol)
{
    FILE *f = fopen(SOURCE_ROOT "/proto/PROTOCOL.md", "re");
    bool kind_there[MSG_REQUESTS] = { false }, state_there[SHOWN_STATES] = { false };
    char line[2048], entry[64];

    ck_assert_ptr_nonnull(f);
    while (fgets(line, sizeof line, f)) {
        for (enum msg_kind kind = MSG_HELLO; kind < MSG_REQUESTS; kind++) {
            snprintf(entry, sizeof entry, "**`%s`**:", msg_kind_name(kind));
            kind_there[kind] = kind_there[kind] || strstr(line, entry);
        }
        for (uint32_t state = SHOWN_WAITING; state < SHOWN_STATES; state++) {
            snprintf(entry, sizeof entry, "| `%s` |", task_shown_name(state));
            state_there[state] = state_there[state] || strstr(line, entry) == line;
        }
    }
    fclose(f);
    for (enum msg_kind kind = MSG_HELLO; kind < MSG_REQUESTS; kind++)
        ck_assert_msg(kind_there[kind], "%s", msg_kind_name(kind));
    for (uint32_t state = SHOWN_WAITING; state < SHOWN_STATES; state++)
        ck_assert_msg(state_there[state], "%s", task_shown_name(state));
}
END_TEST

START_TEST(states_of_tasks)
{
    static const char *const names[] = { "waiting", "queued",    "running", "done", "failed",
                                         "timeout", "cancelled", "expired", "dead", "lost" };

    ck_assert_uint_eq(ELEMENTS(names), SHOWN_STATES - 1);
    for (uint32_t i = 0; i < ELEMENTS(names); i++)
        ck_assert_str_eq(task_shown_name(i + 1), names[i]);
    ck_assert_str_eq(task_shown_name(0), "unknown");
    ck_assert_str_eq(task_shown_name(SHOWN_STATES), "unknown");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("names");
    TCase *tc = suite_case(suite, "names");

    tcase_add_test(tc, module_names);
    tcase_add_test(tc, set_names);
    tcase_add_test(tc, prefixes);
    tcase_add_test(tc, tags);
    tcase_add_test(tc, hosts);
    tcase_add_test(tc, lengths);
    tcase_add_test(tc, split);
    tcase_add_test(tc, longest_function);
    tcase_add_test(tc, kinds);
    tcase_add_test(tc, states_of_tasks);
    tcase_add_test(tc, all_are_in_the_protocol);
    return suite_run(suite);
}
