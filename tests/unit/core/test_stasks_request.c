/* SPDX-License-Identifier: MIT */
/* What clients ask about server tasks, and every way to say no. */
#include <inttypes.h>

#include "tests/unit/core/rig_shared.h"

static struct rig r;

static void setup(uint32_t workers)
{
    rig_limits(&r);
    rig_start(&r, workers);
}

static uint64_t ask(uint32_t client, enum msg_kind kind, const struct msg_stasks *m)
{
    return rig_stasks_request(&r, client, kind, m);
}

/* The sentence with which a start is refused; nothing has changed. */
static const char *start_refused(const struct msg_stasks *m, ptools_err code)
{
    const uint32_t n = r.core->n_stasks;
    const char *sentence = rig_failure(&r, ask(r.client, MSG_STASKS_START, m), code);

    ck_assert_uint_eq(r.core->n_stasks, n);
    ck_assert_uint_eq(rig_count(&r, ACT_SPAWN), 0);
    return sentence;
}

static uint64_t restart(uint64_t stasks)
{
    const struct msg_stasks m = { .stasks = stasks };

    rig_clear(&r);
    return ask(r.client, MSG_STASKS_RESTART, &m);
}

static ptools_err lane(uint32_t client, uint64_t stasks, uint32_t index, struct fds_answer *ret)
{
    const struct fds_request request = { .kind = FDS_LANE, .id = stasks, .index = index };

    core_stask_lane(r.core, client, &request, ret);
    rig_check(&r);
    return (ptools_err)ret->code;
}

/* -- start --------------------------------------------------------------------------------------------------- */

START_TEST(one_for_each_worker)
{
    const struct msg_stasks m = { 0 };

    setup(3);
    core_workers_remove(r.core, r.now, r.client, ++r.request, 2, &r.out);
    ask(r.client, MSG_STASKS_START, &m);
    ck_assert_uint_eq(rig_count(&r, ACT_SPAWN), 2); /* the one that leaves does not count */
    rig_end(&r);
}
END_TEST

START_TEST(no_worker_and_no_number)
{
    struct msg_stasks m = { 0 };

    setup(0);
    ck_assert_str_eq(start_refused(&m, PTOOLS_ERR_NO_WORKER),
                     "one server task for each worker: there is no worker; say how many");
    m.count = 2; /* that needs none */
    rig_stasks(&r, r.client, &m);
    rig_end(&r);
}
END_TEST

START_TEST(limits_tell_what_is_in_use)
{
    struct msg_stasks m = { .count = 3 };
    uint64_t stasks;

    rig_limits(&r);
    r.limits.user_stasks_max = 4;
    rig_start(&r, 1);
    m.count = 5;
    ck_assert_str_eq(start_refused(&m, PTOOLS_ERR_LIMIT),
                     "over the limit user_stasks_max: 0 of 4 in use, 5 more asked for");
    stasks = rig_stasks_of(&r, 3);
    m.count = 2;
    ck_assert_str_eq(start_refused(&m, PTOOLS_ERR_LIMIT),
                     "over the limit user_stasks_max: 3 of 4 in use, 2 more asked for");
    rig_stask_dies(&r, rig_process(&r, stasks, 0), 9, 0); /* it may be started anew: it counts */
    start_refused(&m, PTOOLS_ERR_LIMIT);
    rig_stasks(&r, rig_client(&r, 1001), &m); /* of each user */
    m.count = 1;
    rig_stasks(&r, r.client, &m);
    ck_assert_str_eq(start_refused(&m, PTOOLS_ERR_LIMIT),
                     "over the limit user_stasks_max: 4 of 4 in use, 1 more asked for");
    rig_end(&r);
}
END_TEST

START_TEST(arrays_that_a_start_may_not_name)
{
    struct msg_array making = rig_shape("m", 10), kept = rig_shape("k", 10);
    uint64_t arrays[3] = { 12345 };
    struct msg_stasks m = { .count = 1, .n_arrays = 1, .arrays = arrays };
    char sentence[100];
    uint32_t same;

    setup(1);
    same = rig_client(&r, 1000);
    ck_assert_str_eq(start_refused(&m, PTOOLS_ERR_NO_ARRAY), "arrays: no array 12345 of this client");
    rig_array_request(&r, r.client, MSG_ARRAY_CREATE, &making);
    arrays[0] = rig_asked(&r);
    start_refused(&m, PTOOLS_ERR_NO_ARRAY);
    rig_made(&r, arrays[0]);
    kept.keep = true;
    arrays[0] = rig_array(&r, r.client, &kept); /* nobody's */
    start_refused(&m, PTOOLS_ERR_NO_ARRAY);
    kept = rig_shape("o", 10);
    arrays[0] = rig_array(&r, same, &kept);
    start_refused(&m, PTOOLS_ERR_NO_ARRAY);
    arrays[0] = rig_array_of(&r, NULL, 10);
    ck_has(start_refused(&m, PTOOLS_ERR_BAD_REQUEST), " has no name by which it could be found");
    arrays[0] = rig_array_of(&r, "a", 10);
    arrays[1] = rig_array_of(&r, "b", 10);
    arrays[2] = arrays[0];
    m.n_arrays = 3;
    snprintf(sentence, sizeof sentence, "arrays: array %" PRIu64 " is named twice", arrays[0]);
    ck_assert_str_eq(start_refused(&m, PTOOLS_ERR_BAD_REQUEST), sentence);
    ck_assert_ptr_eq(rig_the_array(&r, arrays[0])->owner, client_find(r.core, r.client));
    m.n_arrays = 2;
    rig_stasks(&r, r.client, &m);
    start_refused(&m, PTOOLS_ERR_NO_ARRAY); /* they are taken */
    rig_end(&r);
}
END_TEST

START_TEST(requests_of_nobody_and_of_another_kind)
{
    const struct msg_stasks m = { .count = 1 };

    setup(1);
    ask(77, MSG_STASKS_START, &m);
    ck_has(rig_find(&r, ACT_BUG, 0)->text, "client 77, which there is not");
    ask(r.client, MSG_SET_CREATE, &m);
    ck_has(rig_find(&r, ACT_BUG, 1)->text, "set-create is not about server tasks");
    ck_assert_ptr_null(r.core->stasks);
    rig_end(&r);
}
END_TEST

/* -- handles with a name --------------------------------------------------------------------------------------- */

START_TEST(named_ones_stay_for_others)
{
    struct msg_stasks m = { .count = 2, .name = TEXT("s"), .n_arrays = 1, .arrays = (uint64_t[1]){ 0 } }, open = m;
    struct core_stasks_view v;
    uint32_t other, stranger;
    uint64_t stasks;

    setup(1);
    m.arrays[0] = rig_array_of(&r, "a", 10);
    stasks = rig_stasks(&r, r.client, &m);
    m.n_arrays = 0;
    ck_assert_str_eq(start_refused(&m, PTOOLS_ERR_EXISTS), "there are server tasks s already");
    rig_leaves(&r, r.client);
    ck_assert_uint_eq(rig_count(&r, ACT_STOP) + rig_count(&r, ACT_KILL) + rig_count(&r, ACT_ARRAY_DROP), 0);
    ck_assert(core_view_stasks(r.core, 0, &v));
    ck_assert_str_eq(v.name, "s");
    ck_assert_uint_eq(v.client, 0);
    other = rig_client(&r, 1000);
    ask(other, MSG_STASKS_OPEN, &open);
    ck_assert_uint_eq(rig_reply(&r, r.request).stasks, stasks);
    ck_assert_uint_eq(rig_reply(&r, r.request).count, 2);
    ck_assert_uint_eq(rig_reply(&r, r.request).arrays, 1);
    open.name = TEXT("ss");
    ask(other, MSG_STASKS_OPEN, &open);
    ck_assert_str_eq(rig_failure(&r, r.request, PTOOLS_ERR_NO_STASKS), "no server tasks ss");
    stranger = rig_client(&r, 1001);
    open.name = TEXT("s");
    ask(stranger, MSG_STASKS_OPEN, &open);
    ck_assert_str_eq(rig_failure(&r, r.request, PTOOLS_ERR_NO_STASKS), "no server tasks s");
    m.arrays = NULL;
    ck_assert_uint_ne(rig_stasks(&r, stranger, &m), stasks); /* the name is another user's */
    rig_end(&r);
}
END_TEST

START_TEST(a_name_is_open_while_they_are_up)
{
    struct msg_stasks m = { .count = 1, .name = TEXT("s") }, number;
    uint32_t process;

    setup(1);
    ask(r.client, MSG_STASKS_START, &m);
    process = rig_find(&r, ACT_SPAWN, 0)->worker;
    ask(r.client, MSG_STASKS_OPEN, &m);
    rig_failure(&r, r.request, PTOOLS_ERR_NO_STASKS); /* not yet */
    rig_clear(&r);
    start_refused(&m, PTOOLS_ERR_EXISTS); /* but the name is taken */
    rig_stask_ready(&r, process);
    ask(r.client, MSG_STASKS_OPEN, &m);
    number = (struct msg_stasks){ .stasks = rig_reply(&r, r.request).stasks };
    ask(r.client, MSG_STASKS_STOP, &number);
    ask(r.client, MSG_STASKS_OPEN, &m);
    rig_failure(&r, r.request, PTOOLS_ERR_NO_STASKS); /* no more */
    start_refused(&m, PTOOLS_ERR_EXISTS);
    rig_stask_dies(&r, process, 0, 0);
    ck_assert_uint_ne(rig_stasks(&r, r.client, &m), number.stasks);
    rig_end(&r);
}
END_TEST

START_TEST(the_client_that_starts_named_ones_leaves)
{
    const struct msg_stasks m = { .count = 1, .name = TEXT("s") };
    uint32_t other;

    setup(1);
    ask(r.client, MSG_STASKS_START, &m);
    rig_leaves(&r, r.client);
    rig_stask_ready(&r, rig_find(&r, ACT_SPAWN, 0)->worker);
    rig_reply(&r, r.request); /* nobody reads it */
    other = rig_client(&r, 1000);
    ask(other, MSG_STASKS_OPEN, &m);
    rig_reply(&r, r.request);
    rig_end(&r);
}
END_TEST

/* Of another user they are as if they were not. */
START_TEST(server_tasks_of_others)
{
    struct msg_stasks m = { 0 };
    struct fds_answer told;
    uint32_t other;

    setup(1);
    m.stasks = rig_stasks_of(&r, 1);
    m.process = rig_process(&r, m.stasks, 0);
    m.call = 5;
    other = rig_client(&r, 1001);
    for (enum msg_kind kind = MSG_STASKS_RESTART; kind <= MSG_STASKS_CANCEL; kind++) {
        ask(other, kind, &m);
        ck_has(rig_failure(&r, r.request, PTOOLS_ERR_NO_STASKS), "no server tasks ");
    }
    ck_assert_int_eq(lane(other, m.stasks, 0, &told), PTOOLS_ERR_NO_STASKS);
    ck_assert_int_eq(lane(77, m.stasks, 0, &told), PTOOLS_ERR_NO_STASKS);
    ck_assert_str_eq(rig_stask_state(&r, m.stasks, 0), "up");
    ck_assert_uint_eq(rig_count(&r, ACT_CANCEL) + rig_count(&r, ACT_STOP), 0);
    ck_assert_int_eq(lane(rig_client(&r, 1000), m.stasks, 0, &told), PTOOLS_OK); /* of the same user: theirs */
    rig_end(&r);
}
END_TEST

/* -- restart --------------------------------------------------------------------------------------------------- */

START_TEST(a_restart_makes_those_that_died)
{
    struct msg_stasks m = { .count = 3, .n_arrays = 1, .arrays = (uint64_t[1]){ 0 } };
    uint64_t stasks, request;
    uint32_t process[3], fresh;

    setup(1);
    m.arrays[0] = rig_array_of(&r, "a", 10);
    stasks = rig_stasks(&r, r.client, &m);
    restart(stasks); /* nobody did */
    ck_assert_uint_eq(rig_reply(&r, r.request).count, 3);
    ck_assert_uint_eq(rig_count(&r, ACT_SPAWN), 0);
    for (uint32_t i = 0; i < 3; i++)
        process[i] = rig_process(&r, stasks, i);
    rig_stask_dies(&r, process[1], 11, 5);
    request = restart(stasks);
    ck_assert_uint_eq(rig_count(&r, ACT_SPAWN), 1);
    fresh = rig_find(&r, ACT_SPAWN, 0)->worker;
    ck_assert_uint_ne(fresh, process[1]);
    ck_assert_str_eq(rig_stask_state(&r, stasks, 1), "starting");
    rig_stask_ready(&r, fresh);
    ck_assert_ptr_null(rig_answer(&r, request));
    rig_stask_maps(&r, fresh);
    ck_assert_uint_eq(rig_reply(&r, request).stasks, stasks);
    ck_assert_uint_eq(rig_reply(&r, request).arrays, 1);
    ck_assert_ptr_null(rig_note(&r, NOTE_STASKS_STARTED)); /* they had been */
    ck_assert_uint_eq(rig_process(&r, stasks, 0), process[0]);
    ck_assert_uint_eq(rig_process(&r, stasks, 1), fresh);
    rig_end(&r);
}
END_TEST

START_TEST(one_restart_at_a_time)
{
    uint64_t stasks, first;
    uint32_t process;

    setup(1);
    stasks = rig_stasks_of(&r, 1);
    rig_stask_dies(&r, rig_process(&r, stasks, 0), 11, 0);
    first = restart(stasks);
    process = rig_find(&r, ACT_SPAWN, 0)->worker;
    ask(r.client, MSG_STASKS_RESTART, &(struct msg_stasks){ .stasks = stasks });
    ck_assert_str_eq(rig_failure(&r, r.request, PTOOLS_ERR_EXISTS),
                     "the server tasks are being started by another request");
    rig_stask_ready(&r, process);
    ck_assert_uint_eq(rig_reply(&r, first).process, process);
    ck_assert_uint_gt(rig_reply(&r, restart(stasks)).process, process); /* it was not this one that started it */
    ask(r.client, MSG_STASKS_STOP, &(struct msg_stasks){ .stasks = stasks });
    restart(stasks);
    ck_assert_str_eq(rig_failure(&r, r.request, PTOOLS_ERR_NO_STASKS), "the server tasks are being stopped");
    rig_end(&r);
}
END_TEST

/* A restart that fails costs the state of nobody else. */
START_TEST(a_restart_that_fails)
{
    struct msg_stasks m = { .count = 2, .n_arrays = 1, .arrays = (uint64_t[1]){ 0 } };
    uint64_t stasks, request;
    uint32_t process;

    setup(1);
    m.arrays[0] = rig_array_of(&r, "a", 10);
    stasks = rig_stasks(&r, r.client, &m);
    rig_stask_dies(&r, rig_process(&r, stasks, 0), 11, 0);
    request = restart(stasks);
    rig_stask_dies(&r, rig_process(&r, stasks, 0), 11, 0);
    ck_has(rig_failure(&r, request, PTOOLS_ERR_WORKER_DIED), "server task 0 ");
    ck_assert_str_eq(rig_stask_state(&r, stasks, 0), "dead");
    ck_assert_str_eq(rig_stask_state(&r, stasks, 1), "up");

    request = restart(stasks);
    process = rig_process(&r, stasks, 0);
    rig_stask_ready(&r, process);
    core_array_mapped(r.core, r.now, process, m.arrays[0], PTOOLS_ERR_SYSTEM, "no memory", &r.out);
    rig_check(&r);
    ck_has(rig_failure(&r, request, PTOOLS_ERR_SYSTEM), "server task 0 cannot map array ");
    ck_assert_uint_eq(rig_count(&r, ACT_KILL), 1);
    ck_assert_ptr_nonnull(rig_action_of(&r, ACT_KILL, process));
    rig_stask_dies(&r, process, 9, 0);
    ck_assert_str_eq(rig_stask_state(&r, stasks, 1), "up");

    request = restart(stasks);
    for (int i = 0; i < 5; i++)
        rig_stask_not_made(&r, rig_process(&r, stasks, 0));
    ck_assert_str_eq(rig_failure(&r, request, PTOOLS_ERR_WORKER_DIED),
                     "server task 0 could not be made: no process left");
    ck_assert_str_eq(rig_stask_state(&r, stasks, 1), "up");

    request = restart(stasks); /* and another may succeed */
    rig_stask_ready(&r, rig_process(&r, stasks, 0));
    rig_stask_maps(&r, rig_process(&r, stasks, 0));
    rig_reply(&r, request);
    rig_end(&r);
}
END_TEST

START_TEST(another_dies_during_a_restart)
{
    uint64_t stasks, request;

    setup(1);
    stasks = rig_stasks_of(&r, 2);
    rig_stask_dies(&r, rig_process(&r, stasks, 0), 11, 0);
    request = restart(stasks);
    rig_stask_dies(&r, rig_process(&r, stasks, 1), 6, 0);
    ck_has(rig_failure(&r, request, PTOOLS_ERR_WORKER_DIED), "server task 1 ");
    rig_stask_ready(&r, rig_process(&r, stasks, 0));
    ck_assert_str_eq(rig_stask_state(&r, stasks, 0), "up");
    request = restart(stasks);
    rig_stask_ready(&r, rig_process(&r, stasks, 1));
    rig_reply(&r, request);
    rig_end(&r);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core stasks_request");
    TCase *starting = suite_case(suite, "start");
    TCase *names = suite_case(suite, "names");
    TCase *restarting = suite_case(suite, "restart");

    tcase_add_test(starting, one_for_each_worker);
    tcase_add_test(starting, no_worker_and_no_number);
    tcase_add_test(starting, limits_tell_what_is_in_use);
    tcase_add_test(starting, arrays_that_a_start_may_not_name);
    tcase_add_test(starting, requests_of_nobody_and_of_another_kind);

    tcase_add_test(names, named_ones_stay_for_others);
    tcase_add_test(names, a_name_is_open_while_they_are_up);
    tcase_add_test(names, the_client_that_starts_named_ones_leaves);
    tcase_add_test(names, server_tasks_of_others);

    tcase_add_test(restarting, a_restart_makes_those_that_died);
    tcase_add_test(restarting, one_restart_at_a_time);
    tcase_add_test(restarting, a_restart_that_fails);
    tcase_add_test(restarting, another_dies_during_a_restart);
    return suite_run(suite);
}
