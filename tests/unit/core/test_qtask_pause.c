/* SPDX-License-Identifier: MIT */
/* qtask_pause -- what is paused is not begun, whoever queued it when, and goes on when the last pause of it ends. */
#include <errno.h>

#include "tests/unit/core/rig_queue.h"

static struct rig r;

static void setup(uint32_t workers)
{
    rig_limits(&r);
    r.limits.journal = true;
    rig_queue_start(&r, workers);
}

static const struct text tag_x[] = { { "x", 1 } };
#define TAGGED SUBMIT(.n_tags = 1, .tags = (struct text *)(uintptr_t)tag_x)

/* Answered, and that many tasks were concerned. */
static void expect_count(enum msg_kind kind, const char *tag, uint32_t count)
{
    struct msg_task m = { 0 };
    const struct action *a;
    uint64_t request;

    if (tag)
        m.tag = (struct text){ tag, strlen(tag) };
    request = rig_ask(&r, kind, &m);
    rig_recorded(&r);
    a = rig_answer(&r, request);
    ck_assert_ptr_nonnull(a);
    ck_assert(!a->answer.failed);
    ck_assert_uint_eq(a->answer.reply.count, count);
    rig_check(&r);
}

START_TEST(nothing_is_begun)
{
    uint64_t before, after;

    setup(1);
    before = rig_queued(&r, SUBMIT());
    expect_count(MSG_QUEUE_PAUSE, NULL, 1);
    after = rig_queued(&r, SUBMIT());
    rig_assign(&r);
    ck_assert_uint_eq(rig_shown(&r, before), SHOWN_WAITING);
    ck_assert_uint_eq(rig_shown(&r, after), SHOWN_WAITING);
    ck_assert_str_eq(rig_why(&r, after), "the queue is paused until it is resumed");
    expect_count(MSG_QUEUE_PAUSE, NULL, 0);
    expect_count(MSG_QUEUE_RESUME, NULL, 2);
    rig_assign(&r);
    ck_assert_uint_eq(rig_shown(&r, before), SHOWN_RUNNING);
    rig_qdone(&r, before);
    rig_assign(&r);
    ck_assert_uint_eq(rig_shown(&r, after), SHOWN_RUNNING);
    rig_end(&r);
}
END_TEST

START_TEST(a_tag_alone)
{
    uint64_t tagged, other;
    struct core_queued_view v;

    setup(1);
    expect_count(MSG_QUEUE_PAUSE, "x", 0);
    tagged = rig_queued(&r, TAGGED);
    other = rig_queued(&r, SUBMIT());
    rig_assign(&r);
    ck_assert_uint_eq(rig_shown(&r, other), SHOWN_RUNNING);
    ck_assert_uint_eq(rig_shown(&r, tagged), SHOWN_WAITING);
    ck_assert_str_eq(rig_why(&r, tagged), "tasks with the tag x are paused until they are resumed");
    ck_assert(core_view_queued(r.core, 1000, tagged, &v) && v.paused);
    ck_assert(core_view_queued(r.core, 1000, other, &v) && !v.paused);
    ck_assert_str_eq(core_view_pause(r.core, 1000, 0), "x");
    ck_assert_ptr_null(core_view_pause(r.core, 1000, 1));
    ck_assert_ptr_null(core_view_pause(r.core, 4711, 0));
    expect_count(MSG_QUEUE_PAUSE, NULL, 0); /* both are about it now */
    expect_count(MSG_QUEUE_RESUME, "x", 0);
    ck_assert_uint_eq(rig_shown(&r, tagged), SHOWN_WAITING);
    expect_count(MSG_QUEUE_RESUME, NULL, 1);
    ck_assert_uint_eq(rig_shown(&r, tagged), SHOWN_QUEUED);
    rig_end(&r);
}
END_TEST

START_TEST(what_is_given_ahead_comes_back)
{
    uint64_t first, ahead, booked;

    setup(1);
    first = rig_queued(&r, SUBMIT_OF("m.short", ));
    rig_assign(&r);
    ahead = rig_queued(&r, SUBMIT_OF("m.short", ));
    booked = rig_queued(&r, SUBMIT_OF("m.short", .durability = TASK_CRASHSAFE));
    rig_assign(&r);
    ck_assert_uint_eq(rig_shown(&r, ahead), SHOWN_RUNNING);
    ck_assert_uint_eq(rig_shown(&r, booked), SHOWN_RUNNING);
    task_find(r.core, first)->begun = true;
    rig_ask(&r, MSG_QUEUE_PAUSE, &(const struct msg_task){ 0 });
    ck_assert_uint_eq(rig_revoke(&r, true), 1);
    ck_assert_uint_eq(rig_shown(&r, first), SHOWN_RUNNING);
    ck_assert_uint_eq(rig_shown(&r, ahead), SHOWN_WAITING);
    ck_assert_uint_eq(rig_shown(&r, booked), SHOWN_WAITING);
    ck_assert_uint_eq(rig_qtask(&r, ahead)->losses, 0);
    rig_qdone(&r, first);
    rig_assign(&r);
    ck_assert_uint_eq(rig_shown(&r, ahead), SHOWN_WAITING);
    rig_end(&r);
}
END_TEST

START_TEST(other_users_know_nothing_of_it)
{
    uint32_t client;
    uint64_t request;

    setup(1);
    expect_count(MSG_QUEUE_PAUSE, NULL, 0);
    ck_assert_int_eq(core_client_add(r.core, 4711, &client), 0);
    request = rig_queue_of(&r, client, SUBMIT(), "a");
    rig_assign(&r);
    ck_assert_uint_eq(rig_shown(&r, rig_queue_id(&r, request)), SHOWN_RUNNING);
    rig_end(&r);
}
END_TEST

START_TEST(it_is_written_and_told_again)
{
    const struct core_row *row = NULL;

    setup(1);
    rig_clear(&r);
    rig_ask(&r, MSG_QUEUE_PAUSE, &(const struct msg_task){ .tag = TEXT("x") });
    ck_assert_ptr_nonnull(rig_find(&r, ACT_RECORD, 0));
    row = rig_find(&r, ACT_RECORD, 0)->row;
    ck_assert(row->kind == ROW_PAUSE && row->uid == 1000 && row->spec->n == 1 && row->spec->data[0] == 'x');
    rig_recorded(&r);
    rig_clear(&r);
    rig_ask(&r, MSG_QUEUE_RESUME, &(const struct msg_task){ .tag = TEXT("x") });
    ck_assert_int_eq(rig_find(&r, ACT_RECORD, 0)->row->kind, ROW_RESUME);
    rig_recorded(&r);
    ck_assert_int_eq(core_recover_pause(r.core, 1000, TEXT("x")), 0);
    ck_assert_int_eq(core_recover_pause(r.core, 4711, (struct text){ 0 }), 0);
    ck_assert_int_eq(core_recover_pause(r.core, 4712, TEXT("no tag")), -EINVAL);
    ck_assert_str_eq(core_view_pause(r.core, 1000, 0), "x");
    ck_assert_str_eq(core_view_pause(r.core, 4711, 0), "");
    rig_check(&r);
    rig_end(&r);
}
END_TEST

START_TEST(there_is_a_limit)
{
    char tag[8];

    setup(1);
    for (int i = 0; i < PAUSES_MAX; i++) {
        snprintf(tag, sizeof tag, "t%d", i);
        expect_count(MSG_QUEUE_PAUSE, tag, 0);
    }
    rig_failure(&r, rig_ask(&r, MSG_QUEUE_PAUSE, &(const struct msg_task){ 0 }), PTOOLS_ERR_LIMIT);
    expect_count(MSG_QUEUE_RESUME, "t7", 0);
    expect_count(MSG_QUEUE_PAUSE, NULL, 0);
    rig_end(&r);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("qtask_pause");
    TCase *tc = suite_case(suite, "pause");

    tcase_add_test(tc, nothing_is_begun);
    tcase_add_test(tc, a_tag_alone);
    tcase_add_test(tc, what_is_given_ahead_comes_back);
    tcase_add_test(tc, other_users_know_nothing_of_it);
    tcase_add_test(tc, it_is_written_and_told_again);
    tcase_add_test(tc, there_is_a_limit);
    return suite_run(suite);
}
