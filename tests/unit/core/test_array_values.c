/* SPDX-License-Identifier: MIT */
/* Arrays of calls: those that hold arguments, and those that values come in. */
#include <inttypes.h>

#include "tests/unit/core/rig_shared.h"

static struct rig r;

static void setup(uint32_t workers)
{
    rig_limits(&r);
    rig_start(&r, workers);
}

/* -- from call to answer ----------------------------------------------------------------------------------- */

START_TEST(arguments_stay_until_their_task_has_ended)
{
    struct msg_array unlink = { 0 };
    uint64_t array, task;
    uint32_t other;

    setup(1);
    array = unlink.array = rig_array_of(&r, NULL, 100);
    other = rig_client(&r, 1000);
    task = rig_runs_large(&r, array, 60, 0, 4096);
    ck_assert_uint_eq(rig_find(&r, ACT_RUN, 0)->large.args, array);
    ck_assert_uint_eq(rig_find(&r, ACT_RUN, 0)->large.args_bytes, 60);
    ck_assert_uint_eq(rig_find(&r, ACT_RUN, 0)->large.room, 0);
    ck_assert_uint_eq(rig_find(&r, ACT_RUN, 0)->large.limit, 4096);
    ck_assert_ptr_null(rig_find(&r, ACT_RUN, 0)->payload);
    rig_array_request(&r, r.client, MSG_ARRAY_UNLINK, &unlink);
    rig_reply(&r, r.request);
    ck_assert_uint_eq(rig_count(&r, ACT_ARRAY_DROP), 0);
    ck_assert_uint_eq(r.core->shm_bytes, 4096);
    ck_assert_int_eq(rig_take(&r, true, other, 0, array, NULL), PTOOLS_ERR_NO_ARRAY);
    ck_assert_int_eq(rig_take(&r, true, r.client, 0, array, NULL), PTOOLS_ERR_NO_ARRAY);
    ck_assert_int_eq(rig_take(&r, false, 1, 0, array, NULL), PTOOLS_ERR_NO_ARRAY);
    ck_assert_int_eq(rig_take(&r, false, 1, task, array, NULL), PTOOLS_OK); /* the task it is for finds it */
    rig_clear(&r);
    rig_done(&r, r.request - 1, 5);
    ck_assert_uint_eq(rig_action_of(&r, ACT_ARRAY_FORGET, 1)->array, array);
    ck_assert_uint_eq(rig_count_array(&r, ACT_ARRAY_DROP, array), 1);
    ck_assert_uint_eq(r.core->shm_bytes, 0);
    rig_end(&r);
}
END_TEST

START_TEST(arguments_go_with_their_task_from_worker_to_worker)
{
    uint64_t array, room, request;

    setup(1);
    array = rig_array_of(&r, NULL, 100);
    room = rig_array_of(&r, NULL, 200);
    request = rig_call_large(&r, r.client, array, 100, room, 4096);
    rig_assign(&r);
    rig_clear(&r);
    rig_dies(&r, 1, 9, 0); /* given, not begun */
    ck_assert_uint_eq(rig_count(&r, ACT_ARRAY_DROP), 0);
    rig_tick(&r, 10000000);
    rig_ready(&r, 1);
    rig_assign(&r);
    ck_assert_uint_eq(rig_find(&r, ACT_RUN, 0)->large.args, array);
    ck_assert_uint_eq(rig_find(&r, ACT_RUN, 0)->large.room, room);
    rig_done(&r, request, 5);
    rig_value(&r, request);
    ck_assert_uint_eq(rig_the_array(&r, array)->uses, 0); /* the client's again, for the next call */
    ck_assert_uint_eq(rig_the_array(&r, room)->uses, 0);
    ck_assert_ptr_eq(rig_the_array(&r, array)->owner, client_find(r.core, r.client));
    rig_end(&r);
}
END_TEST

START_TEST(a_value_comes_in_an_array_of_its_own)
{
    uint64_t task, array;

    setup(1);
    task = rig_runs_large(&r, 0, 0, 0, 4096);
    rig_wants_room(&r, 1, 0, task, 5000);
    array = rig_asked(&r);
    ck_assert_uint_eq(rig_find(&r, ACT_ARRAY_MAKE, 0)->bytes, 5000);
    ck_assert_uint_eq(rig_count(&r, ACT_ARRAY_GIVE), 0);
    rig_made(&r, array);
    ck_assert_uint_eq(rig_action_of(&r, ACT_ARRAY_GIVE, 1)->array, array);
    ck_assert_int_eq(rig_action_of(&r, ACT_ARRAY_GIVE, 1)->code, PTOOLS_OK);
    ck_assert_uint_eq(rig_action_of(&r, ACT_ARRAY_GIVE, 1)->task, task);
    ck_assert_int_eq(rig_take(&r, false, 1, task, array, NULL), PTOOLS_OK);
    ck_assert_uint_eq(core_values_untaken(r.core), 0);
    rig_done_array(&r, task, array, 4500);
    ck_assert_uint_eq(rig_reply(&r, r.request).value, array);
    ck_assert_uint_eq(rig_reply(&r, r.request).value_bytes, 4500);
    ck_assert_ptr_null(rig_answer(&r, r.request)->payload);
    ck_assert_uint_eq(rig_count(&r, ACT_ARRAY_DROP), 0);
    ck_assert_uint_eq(core_values_untaken(r.core), 1); /* a daemon that drains waits for this */
    ck_assert_int_eq(rig_take(&r, true, r.client, 0, array, NULL), PTOOLS_OK);
    ck_assert_uint_eq(core_values_untaken(r.core), 0);
    ck_assert_uint_eq(rig_the_array(&r, array)->uses, 0);
    rig_clear(&r);
    rig_leaves(&r, r.client);
    ck_assert_uint_eq(rig_action_of(&r, ACT_ARRAY_FORGET, 1)->array, array); /* the worker had kept it mapped */
    ck_assert_uint_eq(rig_count_array(&r, ACT_ARRAY_DROP, array), 1);
    rig_end(&r);
}
END_TEST

START_TEST(nobody_comes_for_a_value_that_has_ended)
{
    uint64_t task, array;

    setup(1);
    task = rig_runs_large(&r, 0, 0, 0, 4096);
    rig_wants_room(&r, 1, 0, task, 5000);
    array = rig_asked(&r);
    rig_made(&r, array);
    rig_done_array(&r, task, array, 5000);
    ck_assert_uint_eq(core_values_untaken(r.core), 1);
    rig_leaves(&r, r.client);
    ck_assert_uint_eq(core_values_untaken(r.core), 0);
    rig_end(&r);
}
END_TEST

START_TEST(a_value_comes_in_the_room_of_the_call)
{
    uint64_t room, task;

    setup(1);
    room = rig_array_of(&r, NULL, 5000);
    task = rig_runs_large(&r, 0, 0, room, 4096);
    ck_assert_int_eq(rig_take(&r, false, 1, task, room, NULL), PTOOLS_OK);
    rig_done_array(&r, task, room, 5000);
    ck_assert_uint_eq(rig_reply(&r, r.request).value, room);
    ck_assert_uint_eq(rig_reply(&r, r.request).value_bytes, 5000);
    ck_assert_uint_eq(core_values_untaken(r.core), 0); /* it has it already */
    ck_assert_int_eq(rig_the_array(&r, room)->state, ARRAY_READY);
    rig_end(&r);
}
END_TEST

/* What a worker says is not believed: its task was not given that array, or the array is not as long. */
START_TEST(a_value_in_a_wrong_array_is_a_failure)
{
    struct msg_array unlink = { 0 };
    uint64_t args, room, others, task, request;

    setup(1);
    args = rig_array_of(&r, NULL, 100);
    room = rig_array_of(&r, NULL, 100);
    others = rig_array_of(&r, "others", 5000);
    for (int i = 0; i < 5; i++) {
        const uint64_t wrong[] = { args, others, 12345, room, room };
        const uint64_t bytes[] = { 10, 10, 10, 101, 10 };

        task = rig_runs_large(&r, args, 100, room, 10);
        request = r.request;
        unlink.array = room;
        if (i == 4) /* it was right, but has ended meanwhile */
            rig_array_request(&r, r.client, MSG_ARRAY_UNLINK, &unlink);
        rig_done_array(&r, task, wrong[i], bytes[i]);
        ck_assert_str_eq(rig_failure(&r, request, PTOOLS_ERR_INTERNAL),
                         "the value of m.f is in an array that its task was not given");
        rig_clear(&r);
    }
    ck_assert_ptr_null(rig_the_array(&r, room));
    rig_end(&r);
}
END_TEST

START_TEST(a_value_in_room_that_is_not_there_yet)
{
    uint64_t task, array;

    setup(1);
    task = rig_runs_large(&r, 0, 0, 0, 4096);
    rig_wants_room(&r, 1, 0, task, 5000);
    array = rig_asked(&r);
    rig_done_array(&r, task, array, 10);
    ck_has(rig_failure(&r, r.request, PTOOLS_ERR_INTERNAL), "in an array that its task was not given");
    rig_end(&r);
}
END_TEST

START_TEST(room_that_was_not_used_is_dropped)
{
    uint64_t task, array;

    setup(1);
    task = rig_runs_large(&r, 0, 0, 0, 4096);
    rig_wants_room(&r, 1, 0, task, 5000);
    array = rig_asked(&r);
    rig_made(&r, array);
    ck_assert_int_eq(rig_take(&r, false, 1, task, array, NULL), PTOOLS_OK);
    rig_failed(&r, r.request, PTOOLS_ERR_FAILED, "after all");
    ck_assert_uint_eq(rig_action_of(&r, ACT_ARRAY_FORGET, 1)->array, array);
    ck_assert_uint_eq(rig_count_array(&r, ACT_ARRAY_DROP, array), 1);
    rig_end(&r);
}
END_TEST

START_TEST(its_worker_dies_while_room_is_made)
{
    uint64_t task, array;

    setup(1);
    task = rig_runs_large(&r, 0, 0, 0, 4096);
    rig_wants_room(&r, 1, 0, task, 5000);
    array = rig_asked(&r);
    rig_dies(&r, 1, 11, r.request);
    rig_failure(&r, r.request, PTOOLS_ERR_WORKER_DIED);
    ck_assert_uint_eq(rig_count_array(&r, ACT_ARRAY_DROP, array), 1);
    ck_assert_uint_eq(rig_count(&r, ACT_ARRAY_GIVE), 0);
    ck_assert_ptr_null(r.core->arrays);
    rig_end(&r);
}
END_TEST

/* A worker that waits for room must be told that there will be none, or it would wait for ever. */
START_TEST(its_client_leaves_while_room_is_made)
{
    uint64_t task, array;

    setup(1);
    task = rig_runs_large(&r, 0, 0, 0, 4096);
    rig_wants_room(&r, 1, 0, task, 5000);
    array = rig_asked(&r);
    rig_leaves(&r, r.client);
    ck_assert_int_eq(rig_action_of(&r, ACT_ARRAY_GIVE, 1)->code, PTOOLS_ERR_CANCELLED);
    ck_assert_uint_eq(rig_action_of(&r, ACT_ARRAY_GIVE, 1)->array, 0);
    ck_assert_str_eq(rig_action_of(&r, ACT_ARRAY_GIVE, 1)->text, "nobody waits for the value any more");
    rig_made(&r, array); /* its memory was on its way; it goes with the task */
    ck_assert_uint_eq(rig_count(&r, ACT_ARRAY_GIVE), 1);
    ck_assert_uint_eq(rig_count(&r, ACT_ARRAY_DROP), 0);
    rig_revoke(&r, false);
    core_worker_done(r.core, r.now, 1, task, 1, PTOOLS_OK, NULL, &(struct msg_failure){ 0 }, 5, 0, 0, &r.out);
    rig_check(&r);
    ck_assert_uint_eq(rig_count_array(&r, ACT_ARRAY_DROP, array), 1);
    ck_assert_ptr_null(r.core->users);
    rig_end(&r);
}
END_TEST

START_TEST(a_value_for_a_client_that_left_is_dropped)
{
    uint64_t task, array;

    setup(1);
    task = rig_runs_large(&r, 0, 0, 0, 4096);
    rig_wants_room(&r, 1, 0, task, 5000);
    array = rig_asked(&r);
    rig_made(&r, array);
    ck_assert_int_eq(rig_take(&r, false, 1, task, array, NULL), PTOOLS_OK);
    rig_leaves(&r, r.client);
    rig_revoke(&r, false);
    ck_assert_uint_eq(rig_count(&r, ACT_ARRAY_DROP), 0);
    rig_done_array(&r, task, array, 5000);
    ck_assert_uint_eq(rig_count_array(&r, ACT_ARRAY_DROP, array), 1);
    ck_assert_uint_eq(rig_count(&r, ACT_ANSWER), 0);
    ck_assert_ptr_null(r.core->users);
    rig_end(&r);
}
END_TEST

/* -- arrays that a call names ------------------------------------------------------------------------------ */

/* The call is refused, and uses nothing. */
static const char *call_refused(uint32_t client, const struct msg_call *call, struct blob *payload, ptools_err code)
{
    ck_assert_int_eq(core_submit(r.core, r.now, client, ++r.request, call, payload, &r.out), 0);
    rig_check(&r);
    ck_assert_uint_eq(core_tasks(r.core), 0);
    return rig_failure(&r, r.request, code);
}

START_TEST(arrays_that_a_call_may_not_name)
{
    struct msg_call call = { .function = TEXT("m.f") };
    struct msg_array making = rig_shape(NULL, 10);
    AUTO(blob) payload = blob_new("x", 1);
    uint64_t array;
    uint32_t same;

    setup(1);
    same = rig_client(&r, 1000);
    array = rig_array_of(&r, NULL, 10);
    call.args = 12345;
    call.args_bytes = 1;
    ck_assert_str_eq(call_refused(r.client, &call, NULL, PTOOLS_ERR_NO_ARRAY),
                     "args: no array 12345 without a name of this client");
    call.args = array;
    ck_has(call_refused(same, &call, NULL, PTOOLS_ERR_NO_ARRAY), "args: no array "); /* another connection's */
    call.args = rig_array_of(&r, "named", 10);
    ck_has(call_refused(r.client, &call, NULL, PTOOLS_ERR_NO_ARRAY), " without a name");
    rig_array_request(&r, r.client, MSG_ARRAY_CREATE, &making);
    call.args = rig_asked(&r);
    ck_has(call_refused(r.client, &call, NULL, PTOOLS_ERR_NO_ARRAY), "args: no array ");
    call.args = array;
    call.args_bytes = 11;
    ck_has(call_refused(r.client, &call, NULL, PTOOLS_ERR_BAD_REQUEST), " has 10 bytes, not 11");
    call.args_bytes = 10;
    ck_assert_str_eq(call_refused(r.client, &call, payload, PTOOLS_ERR_BAD_REQUEST),
                     "args: the arguments are in an array or in the payload, not in both");
    call.room = array;
    ck_assert_str_eq(call_refused(r.client, &call, NULL, PTOOLS_ERR_BAD_REQUEST),
                     "room: it must be another array than that of args");
    call.room = 12345;
    ck_has(call_refused(r.client, &call, NULL, PTOOLS_ERR_NO_ARRAY), "room: no array 12345");
    ck_assert_uint_eq(rig_the_array(&r, array)->uses, 0);
    call.function = TEXT("m.nothing");
    call.room = 0;
    call_refused(r.client, &call, NULL, PTOOLS_ERR_NO_FUNCTION);
    ck_assert_uint_eq(rig_the_array(&r, array)->uses, 0);
    rig_end(&r);
}
END_TEST

START_TEST(an_array_serves_one_call_at_a_time)
{
    uint64_t array, room, request;

    setup(1);
    array = rig_array_of(&r, NULL, 10);
    room = rig_array_of(&r, NULL, 10);
    request = rig_call_large(&r, r.client, array, 10, room, 0);
    rig_call_large(&r, r.client, array, 10, 0, 0);
    ck_has(rig_failure(&r, r.request, PTOOLS_ERR_BAD_REQUEST), "args: another call uses array ");
    rig_call_large(&r, r.client, 0, 0, array, 0);
    ck_has(rig_failure(&r, r.request, PTOOLS_ERR_BAD_REQUEST), "room: another call uses array ");
    rig_call_large(&r, r.client, room, 10, 0, 0);
    ck_has(rig_failure(&r, r.request, PTOOLS_ERR_BAD_REQUEST), "args: another call uses array ");
    rig_cancel(&r, request);
    rig_failure(&r, request, PTOOLS_ERR_CANCELLED);
    request = rig_call_large(&r, r.client, room, 10, array, 0); /* the call that waited is gone */
    ck_assert_ptr_nonnull(rig_task(&r, request));
    rig_end(&r);
}
END_TEST

/* -- room for a value -------------------------------------------------------------------------------------------- */

/* What the process is told instead of getting room. */
static const char *no_room(uint32_t worker, uint32_t client, uint64_t task, uint64_t bytes, ptools_err code)
{
    static char text[256];
    struct action *a;

    rig_clear(&r);
    rig_wants_room(&r, worker, client, task, bytes);
    ck_assert_uint_eq(rig_count(&r, ACT_ARRAY_MAKE), 0);
    a = rig_action_of(&r, ACT_ARRAY_GIVE, worker);
    ck_assert_uint_eq(a->array, 0);
    ck_assert_uint_eq(a->task, task);
    ck_assert_str_eq(ptools_errname(a->code), ptools_errname(code));
    strcpy(text, a->text);
    return text;
}

START_TEST(room_that_there_is_not)
{
    struct msg_call detached = { .function = TEXT("m.f"), .detached = true, .large = 10 };
    uint64_t task;

    rig_limits(&r);
    r.limits.user_shm_max = 100000;
    r.limits.user_arrays_max = 2;
    rig_start(&r, 3);
    task = rig_runs_large(&r, 0, 0, 0, 10);
    ck_assert_str_eq(no_room(1, 0, task, 100001, PTOOLS_ERR_LIMIT),
                     "over the limit user_shm_max: 100001 bytes asked for, 100000 free, the limit is 100000");
    ck_assert_str_eq(no_room(1, 0, task, 0, PTOOLS_ERR_TOO_LARGE), "dimension 1 is 0: each is at least 1");
    no_room(1, 0, task, UINT64_MAX, PTOOLS_ERR_TOO_LARGE);
    ck_assert_str_eq(no_room(2, 0, task, 10, PTOOLS_ERR_CANCELLED), "nobody waits for the value"); /* not its task */
    ck_assert_str_eq(no_room(1, 0, 12345, 10, PTOOLS_ERR_CANCELLED), "nobody waits for the value");
    ck_assert_str_eq(no_room(1, r.client, 12345, 10, PTOOLS_ERR_CANCELLED), "nobody waits for the value");
    ck_assert_str_eq(no_room(9, 0, task, 10, PTOOLS_ERR_CANCELLED), "nobody waits for the value");
    rig_wants_room(&r, 1, 0, task, 10);
    ck_assert_uint_eq(rig_count(&r, ACT_ARRAY_MAKE), 1);
    no_room(1, 0, task, 10, PTOOLS_ERR_CANCELLED); /* it has asked already */
    rig_array_of(&r, NULL, 1);
    detached.worker = 2;
    rig_call_with(&r, r.client, &detached);
    rig_assign(&r);
    ck_assert_uint_eq(rig_find(&r, ACT_RUN, 0)->large.limit, 0); /* nobody would come for it */
    no_room(2, 0, rig_worker(&r, 2)->oldest, 10, PTOOLS_ERR_CANCELLED);
    task = rig_runs_large(&r, 0, 0, 0, 10);
    ck_assert_str_eq(no_room(rig_where(&r, r.request), 0, task, 10, PTOOLS_ERR_LIMIT),
                     "over the limit user_arrays_max: 2 of 2 in use, 1 more asked for");
    rig_end(&r);
}
END_TEST

START_TEST(room_that_cannot_be_made)
{
    uint64_t task, array;

    setup(1);
    task = rig_runs_large(&r, 0, 0, 0, 10);
    rig_wants_room(&r, 1, 0, task, 50);
    array = rig_asked(&r);
    rig_not_made(&r, array, PTOOLS_ERR_NO_SPACE, "the machine is full");
    ck_assert_int_eq(rig_action_of(&r, ACT_ARRAY_GIVE, 1)->code, PTOOLS_ERR_NO_SPACE);
    ck_assert_uint_eq(rig_action_of(&r, ACT_ARRAY_GIVE, 1)->array, 0);
    ck_assert_uint_eq(rig_action_of(&r, ACT_ARRAY_GIVE, 1)->task, task);
    ck_assert_str_eq(rig_action_of(&r, ACT_ARRAY_GIVE, 1)->text, "the machine is full");
    ck_assert_uint_eq(rig_count_array(&r, ACT_ARRAY_DROP, array), 1);
    ck_assert_ptr_null(r.core->arrays);
    rig_done(&r, r.request, 5); /* through the socket, then */
    rig_value(&r, r.request);
    rig_end(&r);
}
END_TEST

START_TEST(room_for_a_value_of_a_server_task)
{
    uint64_t stasks, array, other_array;
    uint32_t process, other, same;
    struct msg_stasks named = { .count = 1, .name = TEXT("s") };

    setup(1);
    stasks = rig_stasks(&r, r.client, &named);
    process = rig_process(&r, stasks, 0);
    other = rig_client(&r, 1001);
    same = rig_client(&r, 1000);
    no_room(process, 0, 5, 50, PTOOLS_ERR_CANCELLED);
    no_room(process, other, 5, 50, PTOOLS_ERR_CANCELLED); /* another user's client would pay for it */
    no_room(process + 1, same, 5, 50, PTOOLS_ERR_CANCELLED);
    rig_wants_room(&r, process, same, 5, 50);
    array = rig_asked(&r);
    ck_assert_ptr_eq(rig_the_array(&r, array)->owner, client_find(r.core, same));
    rig_made(&r, array);
    ck_assert_uint_eq(rig_action_of(&r, ACT_ARRAY_GIVE, process)->array, array);
    ck_assert_int_eq(rig_take(&r, false, process, 5, array, NULL), PTOOLS_OK);
    ck_assert_uint_eq(rig_the_array(&r, array)->for_process, process);
    ck_assert_int_eq(rig_take(&r, true, same, 0, array, NULL), PTOOLS_OK);
    ck_assert_uint_eq(rig_the_array(&r, array)->for_process, 0); /* the caller's */
    rig_clear(&r);

    rig_wants_room(&r, process, same, 6, 50);
    other_array = rig_asked(&r);
    rig_stask_dies(&r, process, 11, 6); /* while it waits for that */
    ck_assert_uint_eq(rig_count_array(&r, ACT_ARRAY_DROP, other_array), 1);
    ck_assert_uint_eq(rig_count(&r, ACT_ARRAY_GIVE), 0);
    ck_assert_int_eq(rig_the_array(&r, array)->state, ARRAY_READY);
    rig_leaves(&r, same);
    ck_assert_uint_eq(rig_count_array(&r, ACT_ARRAY_DROP, array), 1);
    rig_end(&r);
}
END_TEST

/* It may have been answered before the death: so it stays until its caller, and nobody else, asks for the fate. */
START_TEST(a_value_that_outlives_its_server_task)
{
    struct msg_stasks named = { .count = 1, .name = TEXT("s") }, m = { .call = 5 };
    uint32_t others[2];
    uint64_t array;

    setup(1);
    m.stasks = rig_stasks(&r, r.client, &named);
    m.process = rig_process(&r, m.stasks, 0);
    others[0] = rig_client(&r, 1000);
    others[1] = rig_client(&r, 1001);
    rig_wants_room(&r, m.process, r.client, m.call, 50);
    array = rig_asked(&r);
    rig_made(&r, array);
    rig_stask_dies(&r, m.process, 11, 6);
    ck_assert_int_eq(rig_the_array(&r, array)->state, ARRAY_READY);
    for (size_t i = 0; i < ELEMENTS(others); i++) {
        rig_stasks_request(&r, others[i], MSG_STASKS_FATE, &m);
        ck_assert_int_eq(rig_the_array(&r, array)->state, ARRAY_READY);
    }
    ck_assert(rig_answer(&r, r.request)->answer.failure.maybe_executed); /* of a handle not theirs they learn nothing */
    rig_failure(&r, r.request, PTOOLS_ERR_NO_STASKS);
    rig_stasks_request(&r, r.client, MSG_STASKS_FATE, &m);
    ck_assert_uint_eq(rig_count_array(&r, ACT_ARRAY_DROP, array), 1);
    ck_assert_ptr_null(r.core->arrays);
    rig_end(&r);
}
END_TEST

/* Server tasks with a name outlive any caller: they must not be left waiting for one that went. */
START_TEST(the_caller_of_a_server_task_leaves_while_room_is_made)
{
    struct msg_stasks named = { .count = 1, .name = TEXT("s") };
    uint32_t process, caller;
    uint64_t array;

    setup(1);
    process = rig_process(&r, rig_stasks(&r, r.client, &named), 0);
    caller = rig_client(&r, 1000);
    rig_wants_room(&r, process, caller, 5, 50);
    array = rig_asked(&r);
    rig_leaves(&r, caller);
    ck_assert_int_eq(rig_action_of(&r, ACT_ARRAY_GIVE, process)->code, PTOOLS_ERR_CANCELLED);
    ck_assert_uint_eq(rig_count_array(&r, ACT_ARRAY_DROP, array), 1);
    ck_assert_ptr_null(r.core->arrays);
    rig_end(&r);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core array values");
    TCase *values = suite_case(suite, "values");
    TCase *calls = suite_case(suite, "calls");

    tcase_add_test(values, arguments_stay_until_their_task_has_ended);
    tcase_add_test(values, arguments_go_with_their_task_from_worker_to_worker);
    tcase_add_test(values, a_value_comes_in_an_array_of_its_own);
    tcase_add_test(values, nobody_comes_for_a_value_that_has_ended);
    tcase_add_test(values, a_value_comes_in_the_room_of_the_call);
    tcase_add_test(values, a_value_in_a_wrong_array_is_a_failure);
    tcase_add_test(values, a_value_in_room_that_is_not_there_yet);
    tcase_add_test(values, room_that_was_not_used_is_dropped);
    tcase_add_test(values, its_worker_dies_while_room_is_made);
    tcase_add_test(values, its_client_leaves_while_room_is_made);
    tcase_add_test(values, a_value_for_a_client_that_left_is_dropped);

    tcase_add_test(calls, arrays_that_a_call_may_not_name);
    tcase_add_test(calls, an_array_serves_one_call_at_a_time);
    tcase_add_test(calls, room_that_there_is_not);
    tcase_add_test(calls, room_that_cannot_be_made);
    tcase_add_test(calls, room_for_a_value_of_a_server_task);
    tcase_add_test(calls, a_value_that_outlives_its_server_task);
    tcase_add_test(calls, the_caller_of_a_server_task_leaves_while_room_is_made);
    return suite_run(suite);
}
