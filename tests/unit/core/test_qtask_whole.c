/* SPDX-License-Identifier: MIT */
/* qtask -- a task of target all, which is a whole, and its parts: what is done to one of them is known to the other. */
#include <string.h>

#include "tests/unit/core/rig_restart.h"

static struct rig r;
static struct rig_journal journal;

static void setup(uint32_t workers)
{
    rig_limits(&r);
    rig_queue_start(&r, workers);
}

static void end(void)
{
    rig_end(&r);
    rig_forget_rows(&journal);
}

static void loaded(void)
{
    static const char *const functions[] = { "x" };

    rig_loaded(&r, "other", PTOOLS_OK, functions, 1); /* all that wait are looked at again */
}

/* -- time ---------------------------------------------------------------------------------------------- */

START_TEST(a_whole_whose_parts_run_does_not_expire)
{
    uint64_t all;

    setup(2);
    all = rig_queued(&r, SUBMIT(.target = TARGET_ALL, .expire_ms = 2000, .durability = TASK_CRASHSAFE));
    rig_assign(&r);
    rig_recorded(&r);
    loaded();
    rig_tick(&r, 3000000);
    ck_assert_uint_eq(rig_shown(&r, all), SHOWN_WAITING);
    rig_qdone(&r, all + 1);
    rig_recorded(&r);
    rig_restart(&journal, &r, 2, 0, 0); /* the part on 2 is lost */
    loaded();
    rig_tick(&r, 3000000);
    rig_recorded(&r);
    rig_recorded(&r);
    ck_assert_uint_eq(rig_shown(&r, all), SHOWN_FAILED);
    end();
}
END_TEST

START_TEST(a_whole_none_of_whose_parts_has_begun_ends_when_they_expire)
{
    uint64_t all;

    setup(2);
    all = rig_queued(&r, SUBMIT(.target = TARGET_ALL, .expire_ms = 2000, .hold = true));
    loaded();
    rig_tick(&r, 3000000);
    ck_assert_uint_eq(rig_shown(&r, all + 1), SHOWN_EXPIRED);
    ck_assert_uint_eq(rig_shown(&r, all), SHOWN_EXPIRED);
    rig_end(&r);
}
END_TEST

START_TEST(run_again_it_does_not_expire)
{
    uint64_t busy, id;

    setup(1);
    id = rig_queued(&r, SUBMIT(.expire_ms = 1000, .durability = TASK_CRASHSAFE));
    rig_assign(&r);
    rig_recorded(&r);
    rig_qdone(&r, id);
    rig_recorded(&r);
    rig_tick(&r, 2000000);
    busy = rig_queued(&r, SUBMIT());
    rig_assign(&r);
    rig_change(&r, CHANGE_RERUN, id);
    rig_recorded(&r);
    rig_tick(&r, 2000000);
    ck_assert_uint_eq(rig_shown(&r, id), SHOWN_QUEUED);
    rig_qdone(&r, busy);
    rig_assign(&r);
    rig_recorded(&r);
    ck_assert_uint_eq(rig_find(&r, ACT_RUN, 2)->task, id);
    rig_end(&r);
}
END_TEST

/* -- changes ------------------------------------------------------------------------------------------- */

START_TEST(a_whole_is_not_run_again)
{
    uint64_t all;

    setup(2);
    all = rig_queued(&r, SUBMIT(.target = TARGET_ALL, .durability = TASK_CRASHSAFE));
    rig_assign(&r);
    rig_recorded(&r);
    for (uint32_t i = 1; i <= 2; i++)
        rig_qdone(&r, all + i);
    rig_recorded(&r);
    rig_recorded(&r);
    ck_assert_uint_eq(rig_shown(&r, all), SHOWN_DONE);
    rig_failure(&r, rig_change(&r, CHANGE_RERUN, all), PTOOLS_ERR_NOT_NOW);
    for (uint32_t i = 1; i <= 2; i++)
        rig_change(&r, CHANGE_FORGET, all + i);
    rig_restart(&journal, &r, 2, 0, 0); /* nobody knows how many parts it had */
    rig_failure(&r, rig_change(&r, CHANGE_RERUN, all), PTOOLS_ERR_NOT_NOW);
    ck_assert_uint_eq(rig_shown(&r, all), SHOWN_DONE);
    end();
}
END_TEST

START_TEST(a_part_is_not_forgotten_before_its_whole_has_ended)
{
    uint64_t all;

    setup(2);
    all = rig_queued(&r, SUBMIT(.target = TARGET_ALL));
    rig_assign(&r);
    rig_qdone(&r, all + 1);
    ck_has(rig_failure(&r, rig_change(&r, CHANGE_FORGET, all + 1), PTOOLS_ERR_NOT_NOW), "when its whole has");
    rig_qdone(&r, all + 2);
    rig_queue_id(&r, rig_change(&r, CHANGE_FORGET, all + 1));
    ck_assert_uint_eq(rig_shown(&r, all + 1), 0);
    rig_end(&r);
}
END_TEST

/* -- after a restart ----------------------------------------------------------------------------------- */

START_TEST(a_part_that_is_run_again_needs_no_whole)
{
    uint64_t all, request;

    setup(1);
    all = rig_queued(&r, SUBMIT(.target = TARGET_ALL, .durability = TASK_DURABLE));
    rig_assign(&r);
    rig_recorded(&r);
    rig_qdone(&r, all + 1);
    rig_recorded(&r);
    rig_recorded(&r);
    rig_change(&r, CHANGE_FORGET, all);
    request = rig_change(&r, CHANGE_RERUN, all + 1);
    rig_recorded(&r);
    rig_queue_id(&r, request);
    rig_restart(&journal, &r, 1, 0, 0);
    ck_assert_uint_eq(rig_shown(&r, all + 1), SHOWN_QUEUED);
    rig_assign(&r);
    rig_recorded(&r);
    rig_qdone(&r, all + 1);
    rig_recorded(&r);
    ck_assert_uint_eq(rig_shown(&r, all + 1), SHOWN_DONE);
    end();
}
END_TEST

/* -- how long parts are kept --------------------------------------------------------------------------- */

/* One part has failed, the other is with a worker. */
static uint64_t half_ended(uint32_t durability, uint64_t keep_ms)
{
    uint64_t all;

    setup(2);
    all =
        rig_queued(&r, SUBMIT(.target = TARGET_ALL, .durability = durability, .keep_ms = keep_ms, .idempotent = true));
    rig_assign(&r);
    rig_recorded(&r);
    rig_qfailed(&r, all + 1, PTOOLS_ERR_FAILED, "no");
    rig_recorded(&r);
    return all;
}

START_TEST(parts_are_kept_as_long_as_their_whole)
{
    uint64_t all = half_ended(TASK_VOLATILE, 200);

    rig_tick(&r, 1000000);
    ck_assert_uint_eq(rig_shown(&r, all + 1), SHOWN_FAILED);
    rig_qdone(&r, all + 2);
    ck_assert_uint_eq(rig_shown(&r, all), SHOWN_FAILED);
    rig_tick(&r, 199000);
    ck_assert_uint_eq(rig_shown(&r, all + 1), SHOWN_FAILED);
    rig_tick(&r, 1000);
    for (uint32_t i = 0; i <= 2; i++)
        ck_assert_uint_eq(rig_shown(&r, all + i), 0);
    rig_end(&r);
}
END_TEST

START_TEST(a_whole_knows_after_a_restart_that_a_part_failed)
{
    uint64_t all = half_ended(TASK_DURABLE, 200);

    rig_tick(&r, 1000000);
    rig_restart(&journal, &r, 2, 1000, 0);
    rig_tick(&r, 1000000); /* then the other is tried again */
    rig_assign(&r);
    rig_recorded(&r);
    rig_qdone(&r, all + 2);
    rig_recorded(&r);
    rig_recorded(&r);
    ck_assert_uint_eq(rig_shown(&r, all), SHOWN_FAILED);
    ck_assert_uint_eq(rig_shown(&r, all + 1), SHOWN_FAILED);
    end();
}
END_TEST

START_TEST(after_a_restart_they_are_kept_as_long)
{
    uint64_t all = half_ended(TASK_DURABLE, 10000);

    rig_tick(&r, 8000000);
    rig_qdone(&r, all + 2);
    rig_recorded(&r);
    rig_recorded(&r);
    rig_change(&r, CHANGE_RERUN, all + 1); /* its keeping begins anew with its end */
    rig_assign(&r);
    rig_recorded(&r);
    rig_tick(&r, 1000000);
    rig_qdone(&r, all + 1);
    rig_restart(&journal, &r, 2, 4000, 0);
    rig_tick(&r, 4999000);
    ck_assert_uint_eq(rig_shown(&r, all), SHOWN_FAILED);
    ck_assert_uint_eq(rig_shown(&r, all + 2), SHOWN_DONE);
    rig_tick(&r, 1000);
    ck_assert_uint_eq(rig_shown(&r, all), 0);
    ck_assert_uint_eq(rig_shown(&r, all + 2), 0);
    ck_assert_uint_eq(rig_shown(&r, all + 1), SHOWN_DONE);
    rig_tick(&r, 1000000);
    ck_assert_uint_eq(rig_shown(&r, all + 1), 0);
    end();
}
END_TEST

/* -- how a whole ends ---------------------------------------------------------------------------------- */

static void ends_as(uint64_t task, uint32_t shown, ptools_err code, const char *text)
{
    ck_assert_uint_eq(rig_shown(&r, task), shown);
    ck_has(rig_failure(&r, rig_result(&r, task), code), text);
}

/* Also after a restart (1), and after one when what follows has not been written (2). */
START_TEST(what_it_comes_after_fails)
{
    uint64_t first, all;

    setup(2);
    first = rig_queued(&r, SUBMIT(.durability = TASK_DURABLE));
    all = rig_queued(&r, SUBMIT(.target = TARGET_ALL, .durability = TASK_DURABLE, .n_after = 1, .after = &first));
    if (_i == 1)
        rig_restart(&journal, &r, 2, 0, 0);
    rig_assign(&r);
    rig_recorded(&r);
    rig_qfailed(&r, first, PTOOLS_ERR_FAILED, "no");
    if (_i == 2)
        rig_restart(&journal, &r, 2, 0, 0);
    for (int i = 0; i < 3; i++)
        rig_recorded(&r);
    ends_as(all + 1, SHOWN_CANCELLED, PTOOLS_ERR_DEPENDENCY, "had to come first");
    ends_as(all, SHOWN_CANCELLED, PTOOLS_ERR_DEPENDENCY, "none of its 2 parts");
    end();
}
END_TEST

START_TEST(all_its_parts_are_cancelled)
{
    uint64_t all;

    setup(2);
    all = rig_queued(&r, SUBMIT(.target = TARGET_ALL, .durability = TASK_CRASHSAFE));
    rig_assign(&r);
    rig_change(&r, CHANGE_CANCEL, all);
    if (_i)
        rig_restart(&journal, &r, 2, 0, 0);
    for (int i = 0; i < 3; i++)
        rig_recorded(&r);
    ends_as(all, SHOWN_CANCELLED, PTOOLS_ERR_CANCELLED, "none of its 2 parts");
    end();
}
END_TEST

START_TEST(one_of_its_parts_is_cancelled)
{
    char text[120];
    uint64_t all;

    setup(2);
    all = rig_queued(&r, SUBMIT(.target = TARGET_ALL));
    rig_change(&r, CHANGE_DEQUEUE, all + 1);
    rig_assign(&r);
    rig_qdone(&r, all + 2);
    snprintf(text, sizeof text, "1 of its 2 parts were not done: tasks %lu to %lu tell why", all + 1, all + 2);
    ends_as(all, SHOWN_FAILED, PTOOLS_ERR_PARTS, text);
    rig_end(&r);
}
END_TEST

START_TEST(its_parts_end_in_different_ways)
{
    uint64_t all;

    setup(2);
    all = rig_queued(&r, SUBMIT(.target = TARGET_ALL, .hold = true, .expire_ms = 1000));
    rig_change(&r, CHANGE_DEQUEUE, all + 1);
    rig_tick(&r, 1000000);
    ends_as(all, SHOWN_FAILED, PTOOLS_ERR_PARTS, "2 of its 2 parts");
    rig_end(&r);
}
END_TEST

/* That they failed alike says nothing about it. */
START_TEST(all_its_parts_fail)
{
    uint64_t all;

    setup(2);
    all = rig_queued(&r, SUBMIT(.target = TARGET_ALL));
    rig_assign(&r);
    rig_qfailed(&r, all + 1, PTOOLS_ERR_FAILED, "no");
    rig_qfailed(&r, all + 2, PTOOLS_ERR_FAILED, "no");
    ends_as(all, SHOWN_FAILED, PTOOLS_ERR_PARTS, "2 of its 2 parts");
    rig_end(&r);
}
END_TEST

/* -- what is asked of the whole is done to its parts ---------------------------------------------------- */

static uint32_t answer_count(uint64_t request)
{
    rig_queue_id(&r, request);
    return (uint32_t)rig_answer(&r, request)->answer.reply.count;
}

START_TEST(taken_out_with_all_its_parts)
{
    uint64_t all, before, request;

    setup(2);
    all = rig_queued(&r, SUBMIT(.target = TARGET_ALL, .durability = TASK_DURABLE, .hold = _i == 1));
    before = r.core->row_number;
    request = rig_change(&r, CHANGE_DEQUEUE, all);
    for (size_t i = 0; i < r.out.n; i++) /* all of them, or none */
        if (r.out.v[i].type == ACT_RECORD && r.out.v[i].row && r.out.v[i].row->number == before + 1)
            ck_assert(r.out.v[i].row->more);
    rig_recorded(&r);
    ck_assert_uint_eq(answer_count(request), 1);
    rig_recorded(&r);
    for (uint32_t i = 0; i <= 2; i++)
        ck_assert_uint_eq(rig_shown(&r, all + i), SHOWN_CANCELLED);
    rig_failure(&r, rig_change(&r, CHANGE_DEQUEUE, all), PTOOLS_ERR_NOT_NOW);
    rig_end(&r);
}
END_TEST

START_TEST(not_taken_out_if_a_part_has_begun)
{
    uint64_t all, request;

    setup(2);
    all = rig_queued(&r, SUBMIT(.target = TARGET_ALL));
    rig_change(&r, CHANGE_HOLD, all + 2);
    rig_assign(&r);
    request = rig_change(&r, CHANGE_DEQUEUE, all);
    ck_has(rig_failure(&r, request, PTOOLS_ERR_NOT_NOW), "is waiting: only one that no worker has begun, nor any part");
    ck_assert_uint_eq(rig_shown(&r, all + 2), SHOWN_WAITING);
    rig_qdone(&r, all + 1);
    rig_failure(&r, rig_change(&r, CHANGE_DEQUEUE, all), PTOOLS_ERR_NOT_NOW);
    ck_assert_uint_eq(rig_shown(&r, all + 2), SHOWN_WAITING);
    rig_end(&r);
}
END_TEST

START_TEST(taken_out_after_a_part_of_it)
{
    uint64_t all;

    setup(2);
    all = rig_queued(&r, SUBMIT(.target = TARGET_ALL));
    rig_change(&r, CHANGE_DEQUEUE, all + 1);
    ck_assert_uint_eq(answer_count(rig_change(&r, CHANGE_DEQUEUE, all)), 1);
    ck_assert_uint_eq(rig_answer(&r, r.request)->answer.reply.state, SHOWN_CANCELLED);
    ck_assert_uint_eq(rig_shown(&r, all), SHOWN_CANCELLED);
    rig_end(&r);
}
END_TEST

START_TEST(kicked_with_all_its_parts)
{
    uint64_t all;

    setup(2);
    all = rig_queued(&r, SUBMIT(.target = TARGET_ALL, .delay_ms = 1000000, .durability = TASK_CRASHSAFE));
    rig_change(&r, CHANGE_KICK, all);
    rig_recorded(&r);
    ck_assert_uint_eq(answer_count(r.request), 1);
    ck_assert_uint_eq(rig_qtask(&r, all)->due_us, 0);
    rig_assign(&r);
    rig_recorded(&r);
    ck_assert_uint_eq(rig_shown(&r, all + 1), SHOWN_RUNNING);
    ck_assert_uint_eq(rig_shown(&r, all + 2), SHOWN_RUNNING);
    ck_has(rig_failure(&r, rig_change(&r, CHANGE_KICK, all), PTOOLS_ERR_NOT_NOW), "can be kicked");
    rig_end(&r);
}
END_TEST

static const struct msg_reply *prioritise(const struct msg_priority *p, size_t n)
{
    core_priorities(r.core, r.now, r.client, ++r.request, (const uint8_t *)p, n * sizeof *p, &r.out);
    rig_check(&r);
    rig_recorded(&r);
    rig_queue_id(&r, r.request);
    return &rig_answer(&r, r.request)->answer.reply;
}

START_TEST(its_priority_is_that_of_its_parts)
{
    const struct msg_reply *reply;
    uint64_t all;

    setup(2);
    all = rig_queued(&r, SUBMIT(.target = TARGET_ALL, .durability = TASK_CRASHSAFE));
    reply = prioritise(&(const struct msg_priority){ all, 5 }, 1);
    ck_assert_uint_eq(reply->count, 1);
    for (uint32_t i = 0; i <= 2; i++)
        ck_assert(rig_qtask(&r, all + i)->priority == 5);
    /* its parts have their own, if they are told one, wherever that stands; the last one counts */
    reply = prioritise((const struct msg_priority[]){ { all + 1, 1 }, { all, 6 }, { all, 7 }, { all + 1, 2 } }, 4);
    ck_assert_uint_eq(reply->count, 4);
    reply = prioritise((const struct msg_priority[]){ { all + 2, 3 }, { all, 8 } }, 2);
    rig_restart(&journal, &r, 2, 0, 0);
    ck_assert(rig_qtask(&r, all)->priority == 8);
    ck_assert(rig_qtask(&r, all + 1)->priority == 8);
    ck_assert(rig_qtask(&r, all + 2)->priority == 3);
    rig_assign(&r);
    reply = prioritise(&(const struct msg_priority){ all, 9 }, 1); /* all have begun */
    ck_assert(reply->count == 0 && reply->skipped == 1);
    ck_assert(rig_qtask(&r, all)->priority == 8);
    end();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core qtask whole");
    TCase *tc = suite_case(suite, "time");

    tcase_add_test(tc, a_whole_whose_parts_run_does_not_expire);
    tcase_add_test(tc, a_whole_none_of_whose_parts_has_begun_ends_when_they_expire);
    tcase_add_test(tc, run_again_it_does_not_expire);
    tc = suite_case(suite, "changes");
    tcase_add_test(tc, a_whole_is_not_run_again);
    tcase_add_test(tc, a_part_is_not_forgotten_before_its_whole_has_ended);
    tc = suite_case(suite, "restart");
    tcase_add_test(tc, a_part_that_is_run_again_needs_no_whole);
    tc = suite_case(suite, "keeping");
    tcase_add_test(tc, parts_are_kept_as_long_as_their_whole);
    tcase_add_test(tc, a_whole_knows_after_a_restart_that_a_part_failed);
    tcase_add_test(tc, after_a_restart_they_are_kept_as_long);
    tc = suite_case(suite, "its end");
    tcase_add_loop_test(tc, what_it_comes_after_fails, 0, 3);
    tcase_add_loop_test(tc, all_its_parts_are_cancelled, 0, 2);
    tcase_add_test(tc, one_of_its_parts_is_cancelled);
    tcase_add_test(tc, its_parts_end_in_different_ways);
    tcase_add_test(tc, all_its_parts_fail);
    tc = suite_case(suite, "all its parts");
    tcase_add_loop_test(tc, taken_out_with_all_its_parts, 0, 2);
    tcase_add_test(tc, not_taken_out_if_a_part_has_begun);
    tcase_add_test(tc, taken_out_after_a_part_of_it);
    tcase_add_test(tc, kicked_with_all_its_parts);
    tcase_add_test(tc, its_priority_is_that_of_its_parts);
    return suite_run(suite);
}
