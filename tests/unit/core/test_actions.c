/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "daemon/core/actions.h"
#include "tests/support/suite.h"

static struct actions out;

START_TEST(texts_move_with_their_action)
{
    actions_init(&out);
    for (unsigned i = 0; i < 500; i++)
        answer_refusal(&out, 7, i + 1, PTOOLS_ERR_LIMIT, "request %u is too much", i + 1);
    ck_assert_uint_eq(out.n, 500);
    for (unsigned i = 0; i < 500; i++) {
        const struct action *a = &out.v[i];
        char expected[64];

        snprintf(expected, sizeof expected, "request %u is too much", i + 1);
        ck_assert_ptr_eq(a->answer.failure.message.data, a->text);
        ck_assert_uint_eq(a->answer.failure.message.n, strlen(expected));
        ck_assert_str_eq(a->text, expected);
        ck_assert_uint_eq(a->client, 7);
        ck_assert_uint_eq(a->answer.id, i + 1);
        ck_assert(a->answer.failed);
    }
    actions_deinit(&out);
}
END_TEST

START_TEST(borrowed_texts_stay_where_they_are)
{
    static const char message[] = "the function's own";
    const struct msg_failure f = { .code = PTOOLS_ERR_FAILED, .message = { message, sizeof message - 1 } };

    actions_init(&out);
    answer_failure(&out, 1, 2, &f, NULL);
    for (int i = 0; i < 100; i++)
        action_note(&out, NOTE_BACKOFF, 1, 0, "%d", i);
    ck_assert_ptr_eq(out.v[0].answer.failure.message.data, message);
    answer_failure(&out, 1, 3, &f, "another sentence");
    ck_assert_str_eq(out.v[101].text, "another sentence");
    ck_assert_uint_eq(out.v[101].answer.failure.message.n, 16);
    ck_assert_int_eq(out.v[101].answer.failure.code, PTOOLS_ERR_FAILED);
    actions_deinit(&out);
}
END_TEST

START_TEST(long_texts_are_cut)
{
    char text[1000];

    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    actions_init(&out);
    answer_refusal(&out, 1, 1, PTOOLS_ERR_LIMIT, "%s", text);
    ck_assert_uint_eq(out.v[0].answer.failure.message.n, sizeof out.v[0].text - 1);
    action_bug(&out, 1, 2, "%s", text);
    ck_assert_uint_eq(strlen(out.v[1].text), sizeof out.v[1].text - 1);
    ck_assert_uint_eq(out.v[1].task, 2);
    actions_deinit(&out);
}
END_TEST

START_TEST(references_are_dropped)
{
    struct blob *value = blob_new("v", 1);
    const struct msg_reply reply = { .task = 5 };

    actions_init(&out);
    answer_reply(&out, 1, 1, &reply, value);
    answer_reply(&out, 1, 2, &reply, NULL);
    ck_assert_uint_eq(value->refs, 2);
    ck_assert_ptr_null(out.v[1].payload);
    actions_clear(&out);
    ck_assert_uint_eq(value->refs, 1);
    ck_assert_uint_eq(out.n, 0);
    ck_assert_uint_gt(out.cap, 0);
    answer_reply(&out, 1, 3, &reply, value);
    actions_deinit(&out);
    ck_assert_uint_eq(value->refs, 1);
    ck_assert_ptr_null(out.v);
    blob_free(value);
}
END_TEST

START_TEST(a_new_entry_is_clean)
{
    const struct action *a;

    actions_init(&out);
    action_note(&out, NOTE_WORKER_DIED, 3, 4, "a text");
    actions_clear(&out);
    a = action_add(&out, ACT_LOAD);
    ck_assert_int_eq(a->type, ACT_LOAD);
    ck_assert_uint_eq(a->worker, 0);
    ck_assert_uint_eq(a->task, 0);
    ck_assert_str_eq(a->text, "");
    actions_deinit(&out);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core actions");
    TCase *tc = suite_case(suite, "actions");

    tcase_add_test(tc, texts_move_with_their_action);
    tcase_add_test(tc, borrowed_texts_stay_where_they_are);
    tcase_add_test(tc, long_texts_are_cut);
    tcase_add_test(tc, references_are_dropped);
    tcase_add_test(tc, a_new_entry_is_clean);
    return suite_run(suite);
}
