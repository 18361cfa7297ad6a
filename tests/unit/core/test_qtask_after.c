/* SPDX-License-Identifier: MIT */
/* qtask -- what comes after what, when the one or the other is on its way, has failed, or is forgotten. */
#include <string.h>

#include "tests/unit/core/rig_queue.h"

static struct rig r;

static uint64_t failed_task(enum task_durability durability)
{
    const uint64_t id = rig_queued(&r, SUBMIT(.durability = durability));

    rig_assign(&r);
    if (durability >= TASK_CRASHSAFE)
        rig_recorded(&r);
    rig_qfailed(&r, id, PTOOLS_ERR_FAILED, "no");
    if (durability >= TASK_CRASHSAFE)
        rig_recorded(&r);
    ck_assert_uint_eq(rig_shown(&r, id), SHOWN_FAILED);
    return id;
}

static void load_other(void)
{
    static const char *const functions[] = { "f" };

    rig_loaded(&r, "other", PTOOLS_OK, functions, 1);
}

/* Its module takes its time; meanwhile what it must come after fails, and is forgotten. */
START_TEST(forgotten_while_the_module_is_loaded)
{
    uint64_t first, then, all;

    rig_limits(&r);
    rig_queue_start(&r, 2);
    first = failed_task(TASK_VOLATILE);
    then = rig_queue(&r, SUBMIT_OF("other.f", .n_after = 1, .after = &first));
    all = rig_queue(&r, SUBMIT_OF("other.f", .n_after = 1, .after = &first, .target = TARGET_ALL));
    rig_change(&r, CHANGE_FORGET, first);
    ck_assert_uint_eq(rig_shown(&r, first), 0);
    ck_has(rig_failure(&r, then, PTOOLS_ERR_NO_TASK), "after: no queued task");
    rig_failure(&r, all, PTOOLS_ERR_NO_TASK);
    load_other();
    ck_assert_uint_eq(r.core->n_queue, 0);
    rig_end(&r);
}
END_TEST

START_TEST(failed_while_the_module_is_loaded)
{
    uint64_t first, request[3], then[3];

    rig_limits(&r);
    rig_queue_start(&r, 1);
    first = rig_queued(&r, SUBMIT());
    rig_assign(&r);
    request[0] = rig_queue(&r, SUBMIT_OF("other.f", .n_after = 1, .after = &first));
    request[1] = rig_queue(&r, SUBMIT_OF("other.f", .n_after = 1, .after = &first, .after_any = true));
    request[2] = rig_queue(&r, SUBMIT_OF("other.f", .n_after = 1, .after = &first, .after_keep = true));
    rig_qfailed(&r, first, PTOOLS_ERR_FAILED, "no");
    load_other();
    for (int i = 0; i < 3; i++)
        then[i] = rig_queue_id(&r, request[i]);
    ck_assert_uint_eq(rig_shown(&r, then[0]), SHOWN_CANCELLED);
    ck_assert_uint_eq(rig_shown(&r, then[1]), SHOWN_QUEUED);
    ck_assert_uint_eq(rig_shown(&r, then[2]), SHOWN_WAITING);
    rig_change(&r, CHANGE_FORGET, first);
    ck_assert_uint_eq(rig_shown(&r, then[2]), SHOWN_CANCELLED);
    rig_end(&r);
}
END_TEST

START_TEST(done_and_forgotten_while_the_module_is_loaded)
{
    uint64_t first, request;

    rig_limits(&r);
    rig_queue_start(&r, 1);
    first = rig_queued(&r, SUBMIT());
    rig_assign(&r);
    request = rig_queue(&r, SUBMIT_OF("other.f", .n_after = 1, .after = &first));
    rig_qdone(&r, first);
    rig_change(&r, CHANGE_FORGET, first);
    load_other();
    ck_assert_uint_eq(rig_shown(&r, rig_queue_id(&r, request)), SHOWN_QUEUED);
    rig_end(&r);
}
END_TEST

/* The journal is late, and the first is forgotten before the second is accepted. */
START_TEST(forgotten_while_it_is_being_written)
{
    uint64_t first, request;

    rig_limits(&r);
    rig_queue_start(&r, 1);
    first = failed_task(TASK_DURABLE);
    request = rig_queue(&r, SUBMIT(.durability = TASK_DURABLE, .n_after = 1, .after = &first));
    rig_change(&r, CHANGE_FORGET, first);
    rig_recorded(&r);
    rig_recorded(&r);
    ck_assert_uint_eq(rig_shown(&r, rig_queue_id(&r, request)), SHOWN_CANCELLED);
    rig_end(&r);
}
END_TEST

/* What it was to come after makes room for it. */
START_TEST(forgotten_for_the_room_it_took)
{
    uint64_t first;

    rig_limits(&r);
    rig_queue_start(&r, 1);
    first = failed_task(TASK_VOLATILE);
    r.core->limits.user_kept_bytes_max = 1;
    rig_failure(&r, rig_queue(&r, SUBMIT(.n_after = 1, .after = &first)), PTOOLS_ERR_NO_TASK);
    ck_assert_uint_eq(r.core->n_queue, 0);
    rig_end(&r);
}
END_TEST

START_TEST(durable_after_a_volatile_one_that_has_ended)
{
    uint64_t failed, done;

    rig_limits(&r);
    rig_queue_start(&r, 1);
    failed = failed_task(TASK_VOLATILE);
    done = rig_queued(&r, SUBMIT());
    rig_assign(&r);
    rig_qdone(&r, done);
    ck_has(rig_failure(
               &r,
               rig_queue(&r, SUBMIT(.durability = TASK_DURABLE, .n_after = 1, .after = &failed, .after_keep = true)),
               PTOOLS_ERR_INVALID),
           "is volatile");
    rig_failure(&r, rig_queue(&r, SUBMIT(.durability = TASK_CRASHSAFE, .n_after = 1, .after = &failed)),
                PTOOLS_ERR_INVALID);
    rig_queued(&r, SUBMIT(.durability = TASK_DURABLE, .n_after = 1, .after = &failed, .after_any = true));
    rig_queued(&r, SUBMIT(.durability = TASK_DURABLE, .n_after = 1, .after = &done));
    rig_end(&r);
}
END_TEST

/* What does not go together has no meaning: the request is well formed. */
START_TEST(what_does_not_go_together_is_invalid)
{
    static const char *const functions[] = { "f" };
    uint64_t request;
    uint32_t set;

    rig_limits(&r);
    rig_queue_start(&r, 1);
    set = rig_set(&r, SET_FF, NULL, (const uint32_t[]){ 1, 0 });
    ck_has(rig_failure(&r, rig_queue(&r, SUBMIT(.durability = TASK_DURABLE, .set_id = set)), PTOOLS_ERR_INVALID),
           "set: one without a name");
    request = rig_queue(&r, SUBMIT_OF("other.f", .attempts = 2));
    rig_loaded(&r, "other", PTOOLS_OK, functions, 1);
    ck_has(rig_failure(&r, request, PTOOLS_ERR_INVALID), "attempts: more than 1 needs");
    rig_end(&r);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core qtask after");
    TCase *tc = suite_case(suite, "after");

    tcase_add_test(tc, forgotten_while_the_module_is_loaded);
    tcase_add_test(tc, failed_while_the_module_is_loaded);
    tcase_add_test(tc, done_and_forgotten_while_the_module_is_loaded);
    tcase_add_test(tc, forgotten_while_it_is_being_written);
    tcase_add_test(tc, forgotten_for_the_room_it_took);
    tcase_add_test(tc, durable_after_a_volatile_one_that_has_ended);
    tcase_add_test(tc, what_does_not_go_together_is_invalid);
    return suite_run(suite);
}
