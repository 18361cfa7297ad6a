/* SPDX-License-Identifier: MIT */
/* qtask -- the limits of a user: what has ended makes room for others, or stays; who waits for room gets it. */
#include <string.h>

#include "tests/unit/core/rig_queue.h"

static struct rig r;

static void setup(void)
{
    rig_limits(&r);
    rig_queue_start(&r, 1);
}

static struct user *user(void)
{
    return client_find(r.core, r.client)->user;
}

static uint64_t run(const struct msg_submit *m)
{
    const uint64_t id = rig_queued(&r, m);

    rig_assign(&r);
    rig_recorded(&r);
    rig_qdone(&r, id);
    rig_recorded(&r);
    rig_clear(&r);
    return id;
}

static void die(void)
{
    const uint64_t id = rig_queued(&r, SUBMIT(.idempotent = true, .attempts = 200));

    for (int i = 0; i < DEAD_KILLS; i++) {
        rig_tick(&r, 120 * 1000000);
        rig_assign(&r);
        rig_qdies(&r, id, true);
    }
    rig_clear(&r);
    ck_assert_uint_eq(rig_shown(&r, id), SHOWN_DEAD);
}

static uint64_t read_end(uint64_t task)
{
    const uint64_t request = rig_result(&r, task);

    rig_queue_id(&r, request);
    return request;
}

/* -- what makes room ----------------------------------------------------------------------------------------- */

enum { MANY = 300 };

START_TEST(volatile_ends_go_behind_many_that_stay)
{
    uint64_t first, id = 0;

    setup();
    first = run(SUBMIT(.durability = TASK_CRASHSAFE));
    for (int i = 1; i < MANY; i++)
        run(SUBMIT(.durability = TASK_CRASHSAFE));
    r.core->limits.user_kept_bytes_max = user()->kept_bytes + 1000;
    for (int i = 0; i < MANY; i++)
        id = run(SUBMIT());
    ck_assert_uint_le(user()->kept_bytes, r.core->limits.user_kept_bytes_max);
    ck_assert_uint_gt(user()->n_kept, MANY);
    ck_assert_uint_eq(rig_shown(&r, first), SHOWN_DONE);
    ck_assert_uint_eq(rig_shown(&r, id), SHOWN_DONE);
    rig_end(&r);
}
END_TEST

START_TEST(other_ends_go_behind_many_that_are_dead)
{
    uint64_t id = 0;

    setup();
    r.core->limits.user_kept_max = MANY + 5;
    for (int i = 0; i < MANY; i++)
        die();
    for (int i = 0; i < 20; i++)
        id = run(SUBMIT());
    ck_assert_uint_eq(user()->n_kept, MANY + 5);
    ck_assert_uint_eq(user()->n_dead, MANY);
    ck_assert_uint_eq(rig_shown(&r, id), SHOWN_DONE);
    rig_end(&r);
}
END_TEST

START_TEST(unread_ends_stay_by_number_too)
{
    uint64_t first, refused, waits;

    setup();
    r.core->limits.user_kept_max = 10;
    first = run(SUBMIT(.durability = TASK_DURABLE));
    for (int i = 0; i < 20; i++)
        run(SUBMIT());
    ck_assert_uint_eq(rig_shown(&r, first), SHOWN_DONE);
    ck_assert_uint_eq(user()->n_kept, 10);
    for (int i = 0; i < 10; i++)
        run(SUBMIT(.durability = TASK_CRASHSAFE));
    ck_assert_uint_eq(user()->n_kept, 11);
    refused = rig_queue(&r, SUBMIT());
    ck_has(rig_failure(&r, refused, PTOOLS_ERR_LIMIT),
           "over the limit user_kept_max: tasks that have ended, and whose ends nobody has asked for, are 11 of 10");
    waits = read_end(first);
    ck_assert_mem_eq(rig_answer(&r, waits)->payload->data, "value", 5);
    run(SUBMIT());
    ck_assert_uint_eq(rig_shown(&r, first), 0); /* it was read, and makes room */
    rig_end(&r);
}
END_TEST

START_TEST(a_refusal_tells_of_the_dead)
{
    setup();
    r.core->limits.user_kept_max = 1;
    die();
    die();
    ck_has(rig_failure(&r, rig_queue(&r, SUBMIT()), PTOOLS_ERR_LIMIT), "are 2 of 1; 2 of them dead");
    rig_end(&r);
}
END_TEST

START_TEST(parts_make_room_when_their_whole_has_ended)
{
    uint64_t all;

    rig_limits(&r);
    r.limits.user_kept_max = 2;
    rig_queue_start(&r, 3);
    all = rig_queued(&r, SUBMIT(.target = TARGET_ALL));
    rig_assign(&r);
    for (uint64_t part = all + 1; part <= all + 3; part++) {
        ck_assert_uint_eq(rig_shown(&r, all + 1), part == all + 1 ? SHOWN_RUNNING : SHOWN_DONE);
        rig_qdone(&r, part);
    }
    ck_assert_uint_eq(user()->n_kept, 2);
    ck_assert_uint_eq(rig_shown(&r, all), SHOWN_DONE);
    rig_end(&r);
}
END_TEST

/* -- who waits for room -------------------------------------------------------------------------------------- */

/* Room for one, and the first of two who wait needs more. */
static uint64_t two_wait(uint32_t client, uint64_t *ret_second)
{
    uint64_t first;

    rig_limits(&r);
    r.limits.user_queued_max = 3;
    rig_queue_start(&r, 1);
    if (client) {
        ck_assert_int_eq(core_client_add(r.core, 1000, &client), 0);
        ck_assert_uint_eq(client, 2);
    }
    for (int i = 0; i < 2; i++)
        rig_queued(&r, SUBMIT(.hold = true));
    rig_clear(&r);
    first = rig_queue_of(&r, client ? client : r.client, SUBMIT(.block = true, .target = TARGET_ALL), NULL);
    *ret_second = rig_queue(&r, SUBMIT(.block = true));
    ck_assert_ptr_null(rig_answer(&r, first));
    ck_assert_ptr_null(rig_answer(&r, *ret_second));
    return first;
}

START_TEST(the_second_goes_on_when_the_first_leaves)
{
    uint64_t second;

    two_wait(2, &second);
    core_client_gone(r.core, r.now, 2, &r.out);
    rig_check(&r);
    rig_queue_id(&r, second);
    ck_assert_uint_eq(client_find(r.core, r.client)->user->blocked_bytes, 0);
    rig_end(&r);
}
END_TEST

START_TEST(the_second_goes_on_when_the_first_is_cancelled)
{
    uint64_t first, second;

    first = two_wait(0, &second);
    rig_cancel(&r, first);
    rig_failure(&r, first, PTOOLS_ERR_CANCELLED);
    rig_queue_id(&r, second);
    rig_end(&r);
}
END_TEST

START_TEST(the_number_of_who_waits_is_taken_for_its_client_alone)
{
    uint64_t first, second;

    first = two_wait(2, &second);
    rig_cancel(&r, first); /* of the other client */
    ck_assert_ptr_null(rig_answer(&r, first));
    r.request = first - 1;
    rig_queue(&r, SUBMIT(.block = true));
    ck_assert_ptr_null(rig_answer(&r, first)); /* both wait */
    r.request = second - 1;
    ck_has(rig_failure(&r, rig_queue(&r, SUBMIT(.block = true)), PTOOLS_ERR_BAD_REQUEST), "is in flight already");
    rig_end(&r);
}
END_TEST

START_TEST(a_user_goes_with_the_last_of_its_tasks)
{
    uint64_t id;

    setup();
    id = run(SUBMIT(.keep_ms = 1000));
    core_client_gone(r.core, r.now, r.client, &r.out);
    ck_assert_uint_eq(rig_shown(&r, id), SHOWN_DONE);
    ck_assert_ptr_nonnull(r.core->users);
    rig_tick(&r, 1000000);
    rig_assign(&r); /* what was forgotten goes in the next turn */
    ck_assert_ptr_null(r.core->users);
    rig_end(&r);
}
END_TEST

/* One unread end too many: the value is its number. */
static uint64_t unread(void)
{
    setup();
    r.core->limits.user_kept_max = 1;
    run(SUBMIT(.durability = TASK_DURABLE));
    return run(SUBMIT(.durability = TASK_DURABLE));
}

START_TEST(an_end_that_is_read_is_room)
{
    const uint64_t id = unread(), refused = rig_queue(&r, SUBMIT());
    uint64_t waits, again;

    rig_failure(&r, refused, PTOOLS_ERR_LIMIT);
    ck_assert_uint_eq(rig_answer(&r, refused)->answer.failure.retry_ms, 0); /* nobody can say */
    waits = rig_queue(&r, SUBMIT(.block = true));
    again = rig_queue(&r, SUBMIT(.block = true));
    ck_assert_ptr_null(rig_answer(&r, waits));
    read_end(id);
    ck_assert_uint_eq(rig_shown(&r, id), 0);
    rig_queue_id(&r, waits);
    rig_queue_id(&r, again);
    rig_end(&r);
}
END_TEST

START_TEST(an_end_that_is_forgotten_is_room)
{
    const uint64_t id = unread(), waits = rig_queue(&r, SUBMIT(.block = true));

    ck_assert_ptr_null(rig_answer(&r, waits));
    rig_change(&r, CHANGE_FORGET, id);
    rig_queue_id(&r, waits);
    rig_end(&r);
}
END_TEST

START_TEST(an_end_that_is_run_again_is_room)
{
    const uint64_t id = unread(), waits = rig_queue(&r, SUBMIT(.block = true));

    ck_assert_ptr_null(rig_answer(&r, waits));
    rig_change(&r, CHANGE_RERUN, id);
    rig_queue_id(&r, waits);
    rig_end(&r);
}
END_TEST

/* -- lists of workers ------------------------------------------------------------------------------------------ */

static struct msg_submit for_workers(uint32_t first, bool block)
{
    static uint32_t ids[] = { 1, 2, 3 };

    return (struct msg_submit){
        .function = TEXT("m.f"), .hold = true, .block = block, .n_workers = 2, .workers = &ids[first - 1]
    };
}

START_TEST(a_list_that_is_in_use_is_no_other)
{
    const struct msg_submit one = for_workers(1, false), other = for_workers(2, false), waits = for_workers(2, true);
    uint64_t id, refused, blocked;

    rig_limits(&r);
    r.limits.user_sets_max = 1;
    rig_queue_start(&r, 3);
    id = rig_queued(&r, &one);
    rig_change(&r, CHANGE_CANCEL, rig_queued(&r, &one)); /* shares its set */
    refused = rig_queue(&r, &other);
    ck_has(rig_failure(&r, refused, PTOOLS_ERR_LIMIT), "over the limit user_sets_max");
    ck_has(rig_failure(&r, refused, PTOOLS_ERR_LIMIT), "1 of 1 in use, 1 more asked for");
    ck_assert_uint_gt(rig_answer(&r, refused)->answer.failure.retry_ms, 0);
    blocked = rig_queue(&r, &waits);
    ck_assert_ptr_null(rig_answer(&r, blocked));
    rig_change(&r, CHANGE_CANCEL, id);
    rig_queue_id(&r, blocked);
    rig_end(&r);
}
END_TEST

START_TEST(workers_that_go_take_their_lists_along)
{
    const struct msg_submit one = for_workers(1, false), waits = for_workers(2, true);
    uint64_t blocked;

    rig_limits(&r);
    r.limits.user_sets_max = 1;
    rig_queue_start(&r, 3);
    rig_queued(&r, &one);
    core_workers_add(r.core, r.now, r.client, ++r.request, 1, &r.out);
    rig_ready(&r, 4);
    blocked = rig_queue(&r, &waits);
    ck_assert_ptr_null(rig_answer(&r, blocked));
    for (uint32_t worker = 1; worker <= 2; worker++)
        core_workers_remove(r.core, r.now, r.client, ++r.request, worker, &r.out);
    rig_check(&r);
    ck_assert_ptr_nonnull(rig_answer(&r, blocked));
    rig_end(&r);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core qtask room");
    TCase *tc = suite_case(suite, "what has ended");

    tcase_add_test(tc, volatile_ends_go_behind_many_that_stay);
    tcase_add_test(tc, other_ends_go_behind_many_that_are_dead);
    tcase_add_test(tc, unread_ends_stay_by_number_too);
    tcase_add_test(tc, a_refusal_tells_of_the_dead);
    tcase_add_test(tc, parts_make_room_when_their_whole_has_ended);
    tc = suite_case(suite, "who waits for room");
    tcase_add_test(tc, the_second_goes_on_when_the_first_leaves);
    tcase_add_test(tc, the_second_goes_on_when_the_first_is_cancelled);
    tcase_add_test(tc, a_user_goes_with_the_last_of_its_tasks);
    tcase_add_test(tc, the_number_of_who_waits_is_taken_for_its_client_alone);
    tcase_add_test(tc, an_end_that_is_read_is_room);
    tcase_add_test(tc, an_end_that_is_forgotten_is_room);
    tcase_add_test(tc, an_end_that_is_run_again_is_room);
    tc = suite_case(suite, "lists of workers");
    tcase_add_test(tc, a_list_that_is_in_use_is_no_other);
    tcase_add_test(tc, workers_that_go_take_their_lists_along);
    return suite_run(suite);
}
