/* SPDX-License-Identifier: MIT */
/*
 * test_ids -- words that name queued tasks, and those that do not.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "client/cli/ids.h"
#include "tests/support/suite.h"

/* The ids as text: "17", "3..9", "last", "key=x", "tag=x", with blanks between. */
static const char *text_of(const struct ids *ids)
{
    static char text[2000];
    size_t n = 0;

    *text = '\0';
    for (size_t i = 0; i < ids->n; i++) {
        const struct id *id = &ids->items[i];
        char one[100];

        switch (id->kind) {
        case ID_NUMBER:
            snprintf(one, sizeof one, "%" PRIu64, id->first);
            break;
        case ID_RANGE:
            snprintf(one, sizeof one, "%" PRIu64 "..%" PRIu64, id->first, id->last);
            break;
        case ID_LAST:
            snprintf(one, sizeof one, "last");
            break;
        default:
            snprintf(one, sizeof one, "%s=%s", id->kind == ID_KEY ? "key" : "tag", id->text);
        }
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%s", n ? " " : "", one);
    }
    return text;
}

START_TEST(what_names_tasks)
{
    static const struct {
        const char *word, *want;
    } rows[] = {
        { "1", "1" },
        { "18446744073709551615", "18446744073709551615" },
        { "0000000000000000000007", "7" },
        { "3-9", "3..9" },
        { "4-4", "4..4" },
        { "last", "last" },
        { "key:nightly", "key=nightly" },
        { "key:a,b-c last", "key=a,b-c last" },
        { "key:key:", "key=key:" },
        { "tag:x", "tag=x" },
        { "tag:a/b:c=d@e+f-g", "tag=a/b:c=d@e+f-g" },
        { "1,2,3", "1 2 3" },
        { "1-5,9,last,tag:x", "1..5 9 last tag=x" },
        { "tag:x,key:y,z", "tag=x key=y,z" },
        { "last,last", "last last" },
    };
    char why[IDS_WHY_BYTES];

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct ids ids = { 0 };

        ck_assert_msg(ids_add(&ids, rows[i].word, why) == 0, "%s is refused: %s", rows[i].word, why);
        ck_assert_str_eq(text_of(&ids), rows[i].want);
        ids_deinit(&ids);
    }
}
END_TEST

START_TEST(what_names_none)
{
    static const struct {
        const char *word, *why;
    } rows[] = {
        { "", "\"\" names no task: a task is its number" },
        { "0", "\"0\" names no task: a task is its number" },
        { "-1", "names no task" },
        { "1-", "names no task" },
        { "0-3", "names no task" },
        { "1-2-3", "names no task" },
        { "9-3", "\"9-3\" is a range that ends before it begins" },
        { "1,", "names no task" },
        { ",1", "names no task" },
        { "1,,2", "names no task" },
        { "1, 2", "\" 2\" names no task" },
        { "+1", "names no task" },
        { "0x10", "names no task" },
        { "1.5", "names no task" },
        { "18446744073709551616", "names no task" },
        { "LAST", "names no task" },
        { "latest", "last, key:TEXT or tag:TAG" },
        { "key:", "a key is 1 to 64 bytes" },
        { "key:0123456789012345678901234567890123456789012345678901234567890123456789", "a key is 1 to 64 bytes" },
        { "tag:", "a tag is 1 to 64 of A-Z a-z 0-9" },
        { "tag:a b", "\"tag:a b\" names no tasks" },
        { "tag:0123456789012345678901234567890123456789012345678901234567890123456789", "a tag is 1 to 64" },
        { "\xff", "names no task" },
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct ids ids = { 0 };
        char why[IDS_WHY_BYTES] = "";

        ck_assert_int_eq(ids_add(&ids, "tag:before,5", why), 0);
        ck_assert_msg(ids_add(&ids, rows[i].word, why) == 1, "%s is taken", rows[i].word);
        ck_assert_msg(strstr(why, rows[i].why) != NULL, "%s: %s", rows[i].word, why);
        ck_assert_str_eq(text_of(&ids), "tag=before 5");
        ids_deinit(&ids);
    }
}
END_TEST

START_TEST(longest_key_and_tag)
{
    char word[80], why[IDS_WHY_BYTES];
    struct ids ids = { 0 };

    for (int i = 0; i < 2; i++) {
        snprintf(word, sizeof word, "%s:%064d", i ? "key" : "tag", 7);
        ck_assert_int_eq(ids_add(&ids, word, why), 0);
        ck_assert_uint_eq(strlen(ids.items[i].text), 64);
        snprintf(word, sizeof word, "%s:%065d", i ? "key" : "tag", 7);
        ck_assert_int_eq(ids_add(&ids, word, why), 1);
    }
    ck_assert_uint_eq(ids.n, 2);
    ids_deinit(&ids);
    ck_assert_uint_eq(ids.n, 0);
}
END_TEST

START_TEST(one_or_several)
{
    struct ids ids = { 0 };
    char why[IDS_WHY_BYTES];

    ck_assert_int_eq(ids_add(&ids, "7,7-8,last,tag:x,key:y", why), 0);
    ck_assert(id_is_one(&ids.items[0]) && !id_is_one(&ids.items[1]) && id_is_one(&ids.items[2]));
    ck_assert(!id_is_one(&ids.items[3]) && id_is_one(&ids.items[4]));
    ids_deinit(&ids);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ids");
    TCase *tc = suite_case(suite, "ids");

    tcase_add_test(tc, what_names_tasks);
    tcase_add_test(tc, what_names_none);
    tcase_add_test(tc, longest_key_and_tag);
    tcase_add_test(tc, one_or_several);
    return suite_run(suite);
}
