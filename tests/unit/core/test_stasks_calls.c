/* SPDX-License-Identifier: MIT */
/* Calls of server tasks do not pass the core. Here is what it does for them: ways to the processes, what became of a
 * call that a death cut off, and the end of one that is cancelled. */
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

/* What became of a call to task index. */
static uint64_t fate(uint64_t stasks, uint32_t index, uint32_t process, uint64_t call)
{
    const struct msg_stasks m = { .stasks = stasks, .index = index, .process = process, .call = call };

    return ask(r.client, MSG_STASKS_FATE, &m);
}

static uint64_t cancel(uint64_t stasks, uint32_t index, uint32_t process, uint64_t call)
{
    const struct msg_stasks m = { .stasks = stasks, .index = index, .process = process, .call = call };

    return ask(r.client, MSG_STASKS_CANCEL, &m);
}

static ptools_err lane(uint32_t client, uint64_t stasks, uint32_t index, struct fds_answer *ret)
{
    const struct fds_request request = { .kind = FDS_LANE, .id = stasks, .index = index };

    core_stask_lane(r.core, client, &request, ret);
    rig_check(&r);
    return (ptools_err)ret->code;
}

/* -- lanes ------------------------------------------------------------------------------------------------------ */

START_TEST(a_lane_goes_to_a_process)
{
    struct msg_stasks m = { .count = 2, .prefix = TEXT("run") };
    struct fds_answer told;
    uint64_t stasks;

    setup(1);
    stasks = rig_stasks(&r, r.client, &m);
    ck_assert_int_eq(lane(r.client, stasks, 1, &told), PTOOLS_OK);
    ck_assert_uint_eq(told.id, stasks);
    ck_assert_uint_eq(told.process, rig_process(&r, stasks, 1));
    ck_assert_int_eq(told.pid, 5000 + (int32_t)(told.process & 0xff));
    ck_assert_uint_eq(told.ndims, 2);
    ck_assert_uint_eq(told.flags, 0);
    ck_assert_str_eq(told.prefix, "run");
    ck_assert_str_eq(told.name, "");
    m.name = TEXT("s");
    stasks = rig_stasks(&r, r.client, &m);
    ck_assert_int_eq(lane(r.client, stasks, 0, &told), PTOOLS_OK);
    ck_assert_uint_eq(told.flags, FDS_IS_NAMED);
    ck_assert_str_eq(told.name, "s");
    rig_end(&r);
}
END_TEST

START_TEST(lanes_that_there_are_not)
{
    const struct msg_stasks m = { .count = 2 };
    struct fds_answer told;
    uint64_t stasks;

    setup(1);
    ask(r.client, MSG_STASKS_START, &m);
    stasks = r.core->stasks->id;
    ck_assert_int_eq(lane(r.client, stasks, 0, &told), PTOOLS_ERR_STATE_LOST);
    ck_assert_str_eq(told.text, "server task 0 is not up yet");
    rig_stask_ready(&r, rig_process(&r, stasks, 0));
    rig_stask_ready(&r, rig_process(&r, stasks, 1));
    ck_assert_int_eq(lane(r.client, stasks, 2, &told), PTOOLS_ERR_RANGE);
    ck_assert_str_eq(told.text, "there are 2 server tasks, the last is 1");
    rig_stask_dies(&r, rig_process(&r, stasks, 1), 9, 0);
    ck_assert_int_eq(lane(r.client, stasks, 1, &told), PTOOLS_ERR_STATE_LOST);
    ck_assert_str_eq(told.text, "server task 1 is dead");
    ask(r.client, MSG_STASKS_STOP, &(struct msg_stasks){ .stasks = stasks });
    ck_assert_int_eq(lane(r.client, stasks, 0, &told), PTOOLS_ERR_NO_STASKS);
    ck_assert_str_eq(told.text, "server task 0 is being stopped");
    rig_stask_dies(&r, rig_process(&r, stasks, 0), 0, 0);
    ck_assert_int_eq(lane(r.client, stasks, 0, &told), PTOOLS_ERR_NO_STASKS);
    ck_has(told.text, ": they were stopped, or never were");
    rig_end(&r);
}
END_TEST

/* -- fates ------------------------------------------------------------------------------------------------------ */

/* It is the answer to a call that its process died in. */
static void died_in(uint64_t request, uint32_t index)
{
    const struct msg_failure *f = &rig_answer(&r, request)->answer.failure;
    char begin[40];

    snprintf(begin, sizeof begin, "server task %" PRIu32 " (pid ", index);
    ck_has(rig_failure(&r, request, PTOOLS_ERR_WORKER_DIED), begin);
    ck_has(rig_failure(&r, request, PTOOLS_ERR_WORKER_DIED), "was killed by signal 11 (Segmentation fault)");
    ck_assert(f->maybe_executed);
    ck_assert_int_eq(f->signal, 11);
    ck_assert_uint_eq(f->phase.n, 8);
    ck_assert_mem_eq(f->phase.data, "counting", 8);
    ck_assert_uint_eq(f->log.n, 7);
    ck_assert_mem_eq(f->log.data, "so far\n", 7);
    ck_assert_uint_eq(f->backtrace.n, 5);
    ck_assert_mem_eq(f->backtrace.data, "#0 f\n", 5);
}

START_TEST(of_the_call_that_died)
{
    uint64_t stasks;
    uint32_t process;

    setup(1);
    stasks = rig_stasks_of(&r, 2);
    process = rig_process(&r, stasks, 1);
    rig_stask_dies(&r, process, 11, 77);
    for (int i = 0; i < 2; i++) /* as often as one asks */
        died_in(fate(stasks, 1, process, 77), 1);
    rig_end(&r);
}
END_TEST

START_TEST(of_one_that_did_not_run)
{
    uint64_t stasks;
    uint32_t process;

    setup(1);
    stasks = rig_stasks_of(&r, 1);
    process = rig_process(&r, stasks, 0);
    rig_stask_dies(&r, process, 11, 77);
    fate(stasks, 0, process, 78); /* it waited behind the other */
    ck_has(rig_failure(&r, r.request, PTOOLS_ERR_STATE_LOST), "(Segmentation fault): its state is lost");
    ck_assert(!rig_answer(&r, r.request)->answer.failure.maybe_executed);
    rig_end(&r);
}
END_TEST

START_TEST(waits_for_the_death)
{
    uint64_t stasks, first, second;
    uint32_t process;

    setup(1);
    stasks = rig_stasks_of(&r, 1);
    process = rig_process(&r, stasks, 0);
    first = fate(stasks, 0, process, 77); /* the lane's end is seen before the pidfd's */
    second = fate(stasks, 0, process, 78);
    ck_assert_ptr_null(rig_answer(&r, first));
    rig_stask_dies(&r, process, 11, 77);
    died_in(first, 0);
    rig_failure(&r, second, PTOOLS_ERR_STATE_LOST);
    ck_assert_uint_eq(core_next_us(r.core), CORE_NEVER);
    rig_end(&r);
}
END_TEST

/* Which calls a process had begun decides of which it is said that they did not run. */
START_TEST(of_those_that_may_have_run)
{
    enum { LANE_1 = 1, LANE_2 = 2 };
    const struct msg_failure facts = { .code = PTOOLS_ERR_WORKER_DIED, .signal = 9 };
    struct core_calls calls = { .n = 3 };
    uint64_t stasks;
    uint32_t process;
#define CALL(lane, n) ((uint64_t)(lane) << 32 | (n))

    calls.begun[0] = CALL(LANE_1, 1);
    calls.begun[1] = CALL(LANE_2, 1);
    calls.begun[2] = CALL(LANE_1, 2);
    for (int full = 0; full < 2; full++) {
        setup(1);
        stasks = rig_stasks_of(&r, 1);
        process = rig_process(&r, stasks, 0);
        for (uint64_t i = 3; full && i < CORE_CALLS_KEPT; i++)
            calls.begun[i] = CALL(LANE_1, i);
        calls.n = full ? 1000 : 3;
        core_stask_gone(r.core, r.now, process, &facts, &calls, &r.out);
        rig_check(&r);
        fate(stasks, 0, process, CALL(LANE_1, 2)); /* answered, and not read */
        ck_has(rig_failure(&r, r.request, PTOOLS_ERR_WORKER_DIED),
               "this call may have run before, and its answer is lost");
        ck_assert(rig_answer(&r, r.request)->answer.failure.maybe_executed);
        ck_assert_int_eq(rig_answer(&r, r.request)->answer.failure.signal, 9);
        fate(stasks, 0, process, CALL(LANE_2, 2));
        rig_failure(&r, r.request, PTOOLS_ERR_STATE_LOST);
        ck_assert(!rig_answer(&r, r.request)->answer.failure.maybe_executed);
        fate(stasks, 0, process, CALL(3, 1)); /* a lane of which nothing is known */
        rig_failure(&r, r.request, full ? PTOOLS_ERR_WORKER_DIED : PTOOLS_ERR_STATE_LOST);
        ck_assert_int_eq(rig_answer(&r, r.request)->answer.failure.maybe_executed, full);
        rig_end(&r);
    }
#undef CALL
}
END_TEST

/* A lane has ended, and its process goes on: that is no reason to take their state from others. */
START_TEST(of_a_process_that_lives_on)
{
    uint64_t stasks, request;
    uint32_t process;

    setup(1);
    stasks = rig_stasks_of(&r, 1);
    process = rig_process(&r, stasks, 0);
    cancel(stasks, 0, process, 77); /* whose time shall not stand in the way */
    rig_clear(&r);
    request = fate(stasks, 0, process, 77);
    rig_tick(&r, 1999999);
    ck_assert_ptr_null(rig_answer(&r, request));
    rig_tick(&r, 1);
    ck_has(rig_failure(&r, request, PTOOLS_ERR_LOST), ") has closed the lane of this call, and lives on");
    ck_assert(rig_answer(&r, request)->answer.failure.maybe_executed);
    ck_assert_uint_eq(rig_count(&r, ACT_KILL), 0);
    ck_assert_str_eq(rig_stask_state(&r, stasks, 0), "up");
    ck_assert_uint_eq(core_next_us(r.core), CORE_NEVER);
    rig_end(&r);
}
END_TEST

START_TEST(of_an_older_process)
{
    uint64_t stasks;
    uint32_t process;

    setup(1);
    stasks = rig_stasks_of(&r, 1);
    process = rig_process(&r, stasks, 0);
    rig_stask_dies(&r, process, 11, 77);
    ask(r.client, MSG_STASKS_RESTART, &(struct msg_stasks){ .stasks = stasks });
    rig_stask_ready(&r, rig_process(&r, stasks, 0));
    fate(stasks, 0, process, 77);
    died_in(r.request, 0); /* that is still known */
    rig_clear(&r);
    fate(stasks, 0, process + 1000, 77);
    ck_assert(rig_answer(&r, r.request)->answer.failure.maybe_executed);
    ck_assert_str_eq(rig_failure(&r, r.request, PTOOLS_ERR_STATE_LOST),
                     "server task 0 has died and was started anew: its state is lost, and ptools_restart_stasks() "
                     "gives a way to the new one");
    ck_assert_str_eq(rig_stask_state(&r, stasks, 0), "up");
    ck_assert_uint_eq(core_next_us(r.core), CORE_NEVER); /* the new one has nothing to do with it */
    rig_end(&r);
}
END_TEST

/* What is told of a death must not go with the handle. */
START_TEST(is_told_when_the_handle_ends)
{
    uint64_t stasks, request;
    uint32_t process;

    setup(1);
    stasks = rig_stasks_of(&r, 1);
    process = rig_process(&r, stasks, 0);
    ask(r.client, MSG_STASKS_STOP, &(struct msg_stasks){ .stasks = stasks });
    request = fate(stasks, 0, process, 77);
    rig_stask_dies(&r, process, 11, 77);
    ck_assert_ptr_null(r.core->stasks);
    died_in(request, 0);
    rig_end(&r);
}
END_TEST

START_TEST(a_cancel_reaches_the_process)
{
    uint64_t stasks;
    uint32_t process;

    setup(1);
    stasks = rig_stasks_of(&r, 1);
    process = rig_process(&r, stasks, 0);
    cancel(stasks, 0, process, 77);
    ck_assert(!rig_reply(&r, r.request).done);
    ck_assert_uint_eq(rig_action_of(&r, ACT_CANCEL, process)->task, 77);
    ck_assert_uint_eq(core_next_us(r.core), CORE_NEVER); /* it may not run at all */
    core_stask_stopping(r.core, r.now, process, 77);
    rig_tick(&r, 100);
    core_stask_stopping(r.core, r.now, process, 77); /* asking again gains it no time */
    core_stask_stopping(r.core, r.now, process + 100, 78); /* who is that? */
    ck_assert_uint_eq(core_next_us(r.core), r.now - 100 + r.limits.kill_grace_us);
    rig_clear(&r);
    rig_tick(&r, r.limits.kill_grace_us - 101);
    ck_assert_uint_eq(rig_count(&r, ACT_KILL_CALL), 0);
    rig_tick(&r, 1);
    ck_assert_uint_eq(rig_action_of(&r, ACT_KILL_CALL, process)->task, 77); /* if that is what it still runs */
    ck_assert_uint_eq(rig_count(&r, ACT_KILL), 0);
    ck_assert_uint_eq(core_next_us(r.core), CORE_NEVER);
    rig_end(&r);
}
END_TEST

START_TEST(the_next_call_that_stops_has_its_own_time)
{
    uint64_t stasks;
    uint32_t process;

    setup(1);
    stasks = rig_stasks_of(&r, 1);
    process = rig_process(&r, stasks, 0);
    core_stask_stopping(r.core, r.now, process, 77);
    rig_tick(&r, 1000); /* it has ended, and another runs */
    core_stask_stopping(r.core, r.now, process, 78);
    ck_assert_uint_eq(core_next_us(r.core), r.now + r.limits.kill_grace_us);
    rig_tick(&r, r.limits.kill_grace_us);
    ck_assert_uint_eq(rig_count(&r, ACT_KILL_CALL), 1);
    ck_assert_uint_eq(rig_action_of(&r, ACT_KILL_CALL, process)->task, 78);
    rig_end(&r);
}
END_TEST

START_TEST(a_cancel_does_not_outlast_an_end)
{
    uint64_t stasks;
    uint32_t process;

    setup(1);
    stasks = rig_stasks_of(&r, 1);
    process = rig_process(&r, stasks, 0);
    ask(r.client, MSG_STASKS_STOP, &(struct msg_stasks){ .stasks = stasks, .kill_ms = 100 });
    cancel(stasks, 0, process, 77);
    ck_assert_uint_eq(rig_action_of(&r, ACT_CANCEL, process)->task, 77);
    core_stask_stopping(r.core, r.now, process, 77);
    rig_tick(&r, 100000);
    ck_assert_ptr_nonnull(rig_action_of(&r, ACT_KILL, process)); /* as it was to be */
    ck_assert_uint_eq(rig_count(&r, ACT_KILL_CALL), 0);
    rig_end(&r);
}
END_TEST

START_TEST(a_cancel_that_is_too_late)
{
    uint64_t stasks;
    uint32_t process;

    setup(1);
    stasks = rig_stasks_of(&r, 1);
    process = rig_process(&r, stasks, 0);
    cancel(stasks, 0, process + 1, 77);
    ck_assert(rig_reply(&r, r.request).done);
    rig_stask_dies(&r, process, 11, 77);
    cancel(stasks, 0, process, 77);
    ck_assert(rig_reply(&r, r.request).done);
    ck_assert_uint_eq(rig_count(&r, ACT_CANCEL), 0);
    ck_assert_uint_eq(core_next_us(r.core), CORE_NEVER);
    rig_end(&r);
}
END_TEST

START_TEST(indices_beyond_the_last)
{
    uint64_t stasks;

    setup(1);
    stasks = rig_stasks_of(&r, 2);
    fate(stasks, 2, rig_process(&r, stasks, 1), 77);
    ck_assert_str_eq(rig_failure(&r, r.request, PTOOLS_ERR_BAD_REQUEST),
                     "index: there are 2 server tasks, the last is 1");
    cancel(stasks, UINT32_MAX, rig_process(&r, stasks, 1), 77);
    ck_has(rig_failure(&r, r.request, PTOOLS_ERR_BAD_REQUEST), "the last is 1");
    rig_end(&r);
}
END_TEST

START_TEST(a_server_task_does_not_wait_for_itself)
{
    struct fds_answer answer;
    uint64_t h;
    uint32_t inside;

    setup(1);
    h = rig_stasks_of(&r, 2);
    ck_assert_int_eq(core_client_add(r.core, 1000, &inside), 0);
    core_client_inside(r.core, inside, rig_process(&r, h, 0), 1);
    ck_assert_int_eq(lane(inside, h, 0, &answer), PTOOLS_ERR_DEADLOCK);
    ck_assert_str_eq(answer.text, "server task 0 would wait for itself");
    ck_assert_int_eq(lane(inside, h, 1, &answer), PTOOLS_OK);
    rig_end(&r);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core stasks calls");
    TCase *lanes = suite_case(suite, "lanes");
    TCase *fates = suite_case(suite, "fates");

    tcase_add_test(lanes, a_lane_goes_to_a_process);
    tcase_add_test(lanes, lanes_that_there_are_not);

    tcase_add_test(fates, of_the_call_that_died);
    tcase_add_test(fates, of_one_that_did_not_run);
    tcase_add_test(fates, of_those_that_may_have_run);
    tcase_add_test(fates, waits_for_the_death);
    tcase_add_test(fates, of_a_process_that_lives_on);
    tcase_add_test(fates, of_an_older_process);
    tcase_add_test(fates, is_told_when_the_handle_ends);
    tcase_add_test(fates, a_cancel_reaches_the_process);
    tcase_add_test(fates, the_next_call_that_stops_has_its_own_time);
    tcase_add_test(fates, a_cancel_does_not_outlast_an_end);
    tcase_add_test(fates, a_cancel_that_is_too_late);
    tcase_add_test(fates, indices_beyond_the_last);
    tcase_add_test(lanes, a_server_task_does_not_wait_for_itself);
    return suite_run(suite);
}
