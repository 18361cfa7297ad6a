/* SPDX-License-Identifier: MIT */
/* qtask -- what stays true of a task over its attempts, over being run again, and over restarts of the daemon. */
#include <string.h>

#include "tests/unit/core/rig_restart.h"

static struct rig r;

static void setup(uint32_t workers)
{
    rig_limits(&r);
    rig_queue_start(&r, workers);
}

static uint64_t result_of(uint64_t id)
{
    return rig_ask(&r, MSG_TASK_RESULT, &(const struct msg_task){ .task = id });
}

/* Cancelled while it waits for its next attempt, or while that is on its way: the first may have been executed. */
START_TEST(what_has_begun_once_may_have_been_executed)
{
    static const enum task_change changes[] = { CHANGE_DEQUEUE, CHANGE_CANCEL };
    uint64_t id, request;

    setup(1);
    for (unsigned i = 0; i <= 2; i++) {
        id = rig_queued(&r, SUBMIT(.idempotent = true, .attempts = 3));
        rig_assign(&r);
        rig_qdies(&r, id, true);
        ck_assert_uint_eq(rig_shown(&r, id), SHOWN_WAITING);
        if (i == 2) {
            rig_queue_id(&r, rig_change(&r, CHANGE_KICK, id));
            rig_assign(&r);
            ck_assert_uint_eq(rig_shown(&r, id), SHOWN_RUNNING);
        }
        request = rig_change(&r, changes[MIN(i, 1)], id);
        (void)rig_revoke(&r, true); /* the second was not begun */
        rig_queue_id(&r, request);
        ck_assert_uint_eq(rig_shown(&r, id), SHOWN_CANCELLED);
        ck_assert(rig_qtask(&r, id)->end->maybe_executed);
        request = result_of(id);
        rig_failure(&r, request, PTOOLS_ERR_CANCELLED);
        ck_assert(rig_answer(&r, request)->answer.failure.maybe_executed);
    }
    id = rig_queued(&r, SUBMIT());
    rig_queue_id(&r, rig_change(&r, CHANGE_DEQUEUE, id));
    ck_assert(!rig_qtask(&r, id)->end->maybe_executed);
    rig_end(&r);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core qtask again");
    TCase *tc = suite_case(suite, "attempts");

    tcase_add_test(tc, what_has_begun_once_may_have_been_executed);
    return suite_run(suite);
}
