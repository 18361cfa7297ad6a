/* SPDX-License-Identifier: MIT */
/* The life of server tasks: how they come up, how they die, how they stop, and what is told of it. */
#include <inttypes.h>

#include "tests/unit/core/rig_shared.h"

static struct rig r;
static uint64_t arrays[2];

static void setup(uint32_t workers)
{
    rig_limits(&r);
    rig_start(&r, workers);
}

static uint64_t start(const struct msg_stasks *m)
{
    rig_clear(&r);
    return rig_stasks_request(&r, r.client, MSG_STASKS_START, m);
}

/* Two arrays of the client, for server tasks. */
static struct msg_stasks with_arrays(uint32_t n)
{
    arrays[0] = rig_array_of(&r, "a", 10);
    arrays[1] = rig_array_of(&r, "b", 10);
    return (struct msg_stasks){ .count = n, .n_arrays = 2, .arrays = arrays };
}

/* The process of the newest ACT_SPAWN but `back`. */
static uint32_t spawned(size_t back)
{
    return rig_find(&r, ACT_SPAWN, rig_count(&r, ACT_SPAWN) - 1 - back)->worker;
}

static void mapped(uint32_t process, uint64_t array, ptools_err code, const char *why)
{
    core_array_mapped(r.core, r.now, process, array, code, why, &r.out);
    rig_check(&r);
}

static uint64_t stop(uint64_t stasks, uint64_t kill_ms)
{
    const struct msg_stasks m = { .stasks = stasks, .kill_ms = kill_ms };

    return rig_stasks_request(&r, r.client, MSG_STASKS_STOP, &m);
}

/* -- coming up --------------------------------------------------------------------------------------------- */

START_TEST(a_start_is_answered_when_all_have_mapped_all)
{
    struct core_stask_place place;
    struct core_stasks_view v;
    struct msg_stasks m;
    uint32_t first, second;
    uint64_t stasks;

    setup(1);
    m = with_arrays(2);
    m.prefix = TEXT("run");
    start(&m);
    ck_assert_uint_eq(rig_count(&r, ACT_SPAWN), 2);
    first = spawned(1);
    second = spawned(0);
    ck_assert(is_stask_process(first) && is_stask_process(second) && first != second);
    ck_assert_uint_eq(core_stask_processes(r.core), 2);
    ck_assert(core_stask_where(r.core, second, &place));
    ck_assert_uint_eq(place.index, 1);
    ck_assert_uint_eq(place.count, 2);
    ck_assert_uint_eq(place.uid, 1000);
    ck_assert_str_eq(place.prefix, "run");
    ck_assert(!core_stask_where(r.core, second + 1, &place));
    ck_assert_uint_eq(rig_count(&r, ACT_ARRAY_MAP), 0);
    rig_stask_ready(&r, second); /* in any order */
    ck_assert_uint_eq(rig_count(&r, ACT_ARRAY_MAP), 2);
    rig_stask_maps(&r, second);
    rig_stask_ready(&r, first);
    mapped(first, arrays[0], PTOOLS_OK, "");
    ck_assert_ptr_null(rig_answer(&r, r.request));
    ck_assert_ptr_null(rig_note(&r, NOTE_STASKS_STARTED));
    mapped(first, arrays[1], PTOOLS_OK, "");
    stasks = rig_reply(&r, r.request).stasks;
    ck_assert_uint_eq(rig_reply(&r, r.request).count, 2);
    ck_assert_uint_eq(rig_reply(&r, r.request).arrays, 2);
    ck_has(rig_note(&r, NOTE_STASKS_STARTED)->text, "2 server tasks ");
    ck_assert_str_eq(rig_stask_state(&r, stasks, 0), "up");
    ck_assert_str_eq(rig_stask_state(&r, stasks, 1), "up");
    ck_assert(core_view_stasks(r.core, 0, &v));
    ck_assert_uint_eq(v.id, stasks);
    ck_assert_uint_eq(v.uid, 1000);
    ck_assert_uint_eq(v.client, r.client);
    ck_assert_uint_eq(v.count, 2);
    ck_assert_uint_eq(v.alive, 2);
    ck_assert_uint_eq(v.n_arrays, 2);
    ck_assert_str_eq(v.prefix, "run");
    ck_assert(!core_view_stasks(r.core, 1, &v));
    rig_end(&r);
}
END_TEST

START_TEST(the_arrays_are_theirs)
{
    struct msg_stasks m;
    struct core_array_view v;
    uint64_t stasks;

    setup(1);
    m = with_arrays(1);
    stasks = rig_stasks(&r, r.client, &m);
    ck_assert(core_view_array(r.core, 0, &v));
    ck_assert_uint_eq(v.client, 0);
    ck_assert_uint_eq(v.stasks, stasks);
    ck_assert_int_eq(rig_take(&r, true, r.client, 0, arrays[0], NULL), PTOOLS_OK); /* the user's all the same */
    stop(stasks, 0);
    ck_assert_uint_eq(rig_count(&r, ACT_ARRAY_DROP), 0); /* not before the last process is gone */
    rig_stask_dies(&r, rig_process(&r, stasks, 0), 0, 0);
    ck_assert_uint_eq(rig_count_array(&r, ACT_ARRAY_DROP, arrays[0]), 1);
    ck_assert_uint_eq(rig_count_array(&r, ACT_ARRAY_DROP, arrays[1]), 1);
    ck_assert_uint_eq(rig_count(&r, ACT_ARRAY_FORGET), 0); /* there is nobody to forget it */
    ck_has(rig_note(&r, NOTE_ARRAY_ENDED)->text, "its server tasks ended");
    rig_end(&r);
}
END_TEST

START_TEST(one_that_dies_while_it_comes_up_ends_the_start)
{
    struct msg_stasks m;
    uint64_t request, stasks;
    uint32_t process[3];

    setup(1);
    m = with_arrays(3);
    request = start(&m);
    for (size_t i = 0; i < 3; i++)
        process[i] = spawned(2 - i);
    rig_stask_ready(&r, process[0]);
    rig_stask_maps(&r, process[0]);
    rig_stask_ready(&r, process[1]);
    stasks = r.core->stasks->id;
    rig_stask_dies(&r, process[1], 11, 0);
    ck_has(rig_failure(&r, request, PTOOLS_ERR_WORKER_DIED), "server task 1 (pid ");
    ck_has(rig_failure(&r, request, PTOOLS_ERR_WORKER_DIED), "was killed by signal 11 (Segmentation fault)");
    ck_assert_ptr_nonnull(rig_note(&r, NOTE_STASK_DIED));
    ck_assert_ptr_nonnull(rig_action_of(&r, ACT_KILL, process[0]));
    ck_assert_ptr_nonnull(rig_action_of(&r, ACT_KILL, process[2])); /* to nobody yet */
    rig_clear(&r);
    rig_stask_ready(&r, process[2]); /* now it is there */
    ck_assert_ptr_nonnull(rig_action_of(&r, ACT_KILL, process[2]));
    rig_stask_dies(&r, process[2], 9, 0);
    rig_stask_dies(&r, process[0], 9, 0);
    ck_assert_str_eq(rig_stask_state(&r, stasks, 0), "gone");
    ck_assert_uint_eq(core_stask_processes(r.core), 0);
    ck_assert_ptr_null(r.core->stasks);
    ck_assert_ptr_null(r.core->arrays); /* they went with their server tasks */
    ck_assert_ptr_null(rig_note(&r, NOTE_STASK_DIED)); /* of those that were told to end nothing is said */
    rig_end(&r);
}
END_TEST

START_TEST(one_that_cannot_map_ends_the_start)
{
    struct msg_stasks m;
    uint64_t request;

    setup(1);
    m = with_arrays(2);
    request = start(&m);
    rig_stask_ready(&r, spawned(1));
    rig_stask_ready(&r, spawned(0));
    mapped(spawned(0), arrays[1], PTOOLS_ERR_SYSTEM, "mapping 10 bytes: no memory");
    ck_has(rig_failure(&r, request, PTOOLS_ERR_SYSTEM), "server task 1 cannot map array ");
    ck_has(rig_failure(&r, request, PTOOLS_ERR_SYSTEM), "mapping 10 bytes: no memory");
    ck_assert_uint_eq(rig_count(&r, ACT_KILL), 2);
    mapped(spawned(1), arrays[0], PTOOLS_OK, ""); /* too late, and no matter */
    rig_stask_dies(&r, spawned(1), 9, 0);
    rig_stask_dies(&r, spawned(0), 9, 0);
    ck_assert_ptr_null(r.core->stasks);
    rig_end(&r);
}
END_TEST

START_TEST(one_that_was_not_made_is_asked_for_again)
{
    const struct msg_stasks m = { .count = 1 };
    uint64_t request;
    uint32_t process;

    setup(1);
    request = start(&m);
    for (int i = 0; i < 4; i++) {
        process = spawned(0);
        rig_clear(&r);
        rig_stask_not_made(&r, process);
        ck_assert_uint_eq(rig_count(&r, ACT_SPAWN), 1);
        ck_assert_uint_ne(spawned(0), process); /* each process has a number of its own */
        ck_assert_ptr_null(rig_answer(&r, request));
    }
    rig_stask_not_made(&r, spawned(0));
    ck_has(rig_failure(&r, request, PTOOLS_ERR_WORKER_DIED), "server task 0 could not be made: no process left");
    ck_assert_ptr_null(r.core->stasks);
    rig_end(&r);
}
END_TEST

START_TEST(a_retry_may_succeed)
{
    const struct msg_stasks m = { .count = 2 };
    uint32_t second;
    uint64_t request;

    setup(1);
    request = start(&m);
    second = spawned(0);
    rig_stask_not_made(&r, spawned(1));
    rig_stask_ready(&r, spawned(0));
    rig_stask_ready(&r, second);
    ck_assert_uint_eq(rig_reply(&r, request).count, 2);
    ck_assert_ptr_null(rig_note(&r, NOTE_STASK_DIED));
    rig_end(&r);
}
END_TEST

START_TEST(what_was_not_awaited_is_a_bug)
{
    const struct msg_stasks m = { .count = 1 };
    uint64_t stasks;

    setup(1);
    stasks = rig_stasks(&r, r.client, &m);
    rig_stask_ready(&r, rig_process(&r, stasks, 0));
    ck_has(rig_find(&r, ACT_BUG, 0)->text, "is ready, which was not awaited");
    rig_stask_ready(&r, STASK_PROCESS_BIT | 77);
    ck_has(rig_find(&r, ACT_BUG, 1)->text, "is ready, which was not awaited");
    rig_stask_dies(&r, STASK_PROCESS_BIT | 77, 9, 0);
    ck_has(rig_find(&r, ACT_BUG, 2)->text, "is gone, which there was not");
    mapped(STASK_PROCESS_BIT | 77, 5, PTOOLS_OK, ""); /* may be late */
    mapped(rig_process(&r, stasks, 0), 5, PTOOLS_ERR_SYSTEM, "it was not asked for");
    ck_assert_uint_eq(rig_count(&r, ACT_BUG), 3);
    ck_assert_str_eq(rig_stask_state(&r, stasks, 0), "up");
    rig_end(&r);
}
END_TEST

/* -- dying --------------------------------------------------------------------------------------------------- */

START_TEST(a_death_leaves_the_others_alone)
{
    struct core_stask_view v;
    struct core_stasks_view all;
    uint64_t stasks;
    uint32_t process;

    setup(1);
    stasks = rig_stasks_of(&r, 3);
    process = rig_process(&r, stasks, 1);
    rig_stask_dies(&r, process, 11, 5);
    ck_has(rig_note(&r, NOTE_STASK_DIED)->text, "server task 1 (pid ");
    ck_assert_uint_eq(rig_note(&r, NOTE_STASK_DIED)->worker, process);
    ck_assert_uint_eq(rig_note(&r, NOTE_STASK_DIED)->task, 5);
    ck_assert_uint_eq(rig_count(&r, ACT_KILL) + rig_count(&r, ACT_STOP) + rig_count(&r, ACT_SPAWN), 0);
    ck_assert(core_view_stask(r.core, stasks, 1, &v));
    ck_assert_str_eq(v.state, "dead");
    ck_has(v.why, "was killed by signal 11 (Segmentation fault)");
    ck_assert_int_eq(v.pid, 0);
    ck_assert(core_view_stask(r.core, stasks, 0, &v));
    ck_assert_str_eq(v.state, "up");
    ck_assert_str_eq(v.why, "");
    ck_assert(!core_view_stask(r.core, stasks, 3, &v));
    ck_assert(core_view_stasks(r.core, 0, &all));
    ck_assert_uint_eq(all.alive, 2);
    ck_assert_uint_eq(core_stask_processes(r.core), 2);
    rig_end(&r);
}
END_TEST

static const struct {
    struct msg_failure facts;
    const char *why;
} deaths[] = {
    { { .code = PTOOLS_ERR_WORKER_DIED, .exited = true, .exit_status = 3 }, "exited with status 3" },
    { { .code = PTOOLS_ERR_WORKER_DIED, .exited = true, .exit_status = 0 }, "exited with status 0" },
    { { .code = PTOOLS_ERR_WORKER_DIED, .signal = 9 }, "was killed by signal 9 (Killed)" },
    { { .code = PTOOLS_ERR_WORKER_DIED, .signal = 500 }, "was killed by signal 500 (unknown)" },
    { { .code = PTOOLS_ERR_OUT_OF_MEMORY, .signal = 9 }, "was killed for lack of memory" },
    { { .code = PTOOLS_ERR_WORKER_DIED, .signal = 6, .message = { "double free", 11 } },
      "was killed by signal 6 (Aborted): double free" },
    { { .code = PTOOLS_ERR_WORKER_DIED }, "ended" },
};

START_TEST(deaths_are_described)
{
    struct core_stask_view v;
    uint64_t stasks;
    uint32_t process;
    char wanted[128];

    setup(1);
    stasks = rig_stasks_of(&r, 1);
    for (size_t i = 0; i < ELEMENTS(deaths); i++) {
        const struct msg_stasks m = { .stasks = stasks };

        process = rig_process(&r, stasks, 0);
        core_stask_gone(r.core, r.now, process, &deaths[i].facts, &(struct core_calls){ 0 }, &r.out);
        rig_check(&r);
        ck_assert(core_view_stask(r.core, stasks, 0, &v));
        snprintf(wanted, sizeof wanted, "server task 0 (pid %u) %s", 5000 + (process & 0xff), deaths[i].why);
        ck_assert_str_eq(v.why, wanted);
        rig_clear(&r);
        rig_stasks_request(&r, r.client, MSG_STASKS_RESTART, &m);
        rig_stask_ready(&r, spawned(0));
        rig_reply(&r, r.request);
    }
    rig_end(&r);
}
END_TEST

/* -- stopping ------------------------------------------------------------------------------------------------ */

START_TEST(a_stop_waits_for_all)
{
    uint64_t stasks, request;
    uint32_t process[2];

    setup(1);
    stasks = rig_stasks_of(&r, 2);
    process[0] = rig_process(&r, stasks, 0);
    process[1] = rig_process(&r, stasks, 1);
    request = stop(stasks, 0);
    ck_assert(!rig_action_of(&r, ACT_STOP, process[0])->kill_politely); /* what it runs is not disturbed */
    ck_assert_ptr_nonnull(rig_action_of(&r, ACT_STOP, process[1]));
    ck_assert_uint_eq(rig_count(&r, ACT_KILL), 0);
    ck_assert_str_eq(rig_stask_state(&r, stasks, 0), "stopping");
    ck_assert_uint_eq(core_next_us(r.core), CORE_NEVER); /* however long it takes */
    rig_stask_dies(&r, process[1], 0, 0);
    ck_assert_ptr_null(rig_answer(&r, request));
    rig_stask_dies(&r, process[0], 0, 0);
    rig_reply(&r, request);
    ck_has(rig_note(&r, NOTE_STASKS_ENDED)->text, "of uid 1000 ended");
    ck_assert_ptr_null(rig_note(&r, NOTE_STASK_DIED));
    ck_assert_str_eq(rig_stask_state(&r, stasks, 0), "gone");
    rig_end(&r);
}
END_TEST

START_TEST(a_stop_with_patience_kills)
{
    uint64_t stasks, request;
    uint32_t process[2];

    setup(1);
    stasks = rig_stasks_of(&r, 2);
    process[0] = rig_process(&r, stasks, 0);
    process[1] = rig_process(&r, stasks, 1);
    request = stop(stasks, 50);
    ck_assert_uint_eq(core_next_us(r.core), r.now + 50000);
    rig_stask_dies(&r, process[0], 0, 0);
    rig_tick(&r, 49999);
    ck_assert_uint_eq(rig_count(&r, ACT_KILL), 0);
    rig_tick(&r, 1);
    ck_assert_ptr_nonnull(rig_action_of(&r, ACT_KILL, process[1]));
    ck_assert_uint_eq(rig_count(&r, ACT_KILL), 1);
    ck_assert_uint_eq(core_next_us(r.core), CORE_NEVER);
    rig_tick(&r, 10000000);
    ck_assert_uint_eq(rig_count(&r, ACT_KILL), 1);
    rig_stask_dies(&r, process[1], 9, 5);
    rig_reply(&r, request);
    rig_end(&r);
}
END_TEST

START_TEST(a_second_stop_may_be_less_patient)
{
    uint64_t stasks, first, second, third;
    uint32_t process, other;
    struct msg_stasks m;

    setup(1);
    stasks = rig_stasks_of(&r, 1);
    process = rig_process(&r, stasks, 0);
    first = stop(stasks, 0);
    second = stop(stasks, 0);
    ck_assert_ptr_nonnull(rig_action_of(&r, ACT_STOP, process)); /* told once */
    ck_assert_uint_eq(core_next_us(r.core), CORE_NEVER);
    other = rig_client(&r, 1000);
    m = (struct msg_stasks){ .stasks = stasks, .kill_ms = 10 };
    third = rig_stasks_request(&r, other, MSG_STASKS_STOP, &m);
    rig_tick(&r, 10000);
    ck_assert_ptr_nonnull(rig_action_of(&r, ACT_KILL, process));
    rig_stask_dies(&r, process, 9, 0);
    rig_reply(&r, first);
    rig_reply(&r, second);
    ck_assert_uint_eq(rig_answer(&r, third)->client, other);
    stop(stasks, 0);
    ck_has(rig_failure(&r, r.request, PTOOLS_ERR_NO_STASKS), ": they were stopped, or never were");
    rig_end(&r);
}
END_TEST

START_TEST(stopping_what_is_dead_is_done)
{
    uint64_t stasks;

    setup(1);
    stasks = rig_stasks_of(&r, 2);
    rig_stask_dies(&r, rig_process(&r, stasks, 0), 9, 0);
    rig_stask_dies(&r, rig_process(&r, stasks, 1), 9, 0);
    stop(stasks, 0);
    rig_reply(&r, r.request);
    ck_assert_ptr_null(r.core->stasks);
    rig_end(&r);
}
END_TEST

START_TEST(stopping_what_is_coming_up)
{
    struct msg_stasks m;
    uint64_t request, stopped;
    uint32_t early, mapping, up;

    setup(1);
    m = with_arrays(3);
    request = start(&m);
    up = spawned(2);
    mapping = spawned(1);
    early = spawned(0);
    rig_stask_ready(&r, up);
    rig_stask_maps(&r, up);
    rig_stask_ready(&r, mapping);
    stopped = stop(r.core->stasks->id, 0);
    ck_assert_str_eq(rig_failure(&r, request, PTOOLS_ERR_CANCELLED),
                     "the server tasks were stopped before they were up");
    ck_assert_ptr_nonnull(rig_action_of(&r, ACT_STOP, up));
    ck_assert_ptr_nonnull(rig_action_of(&r, ACT_KILL, mapping)); /* they have nothing to lose */
    ck_assert_ptr_nonnull(rig_action_of(&r, ACT_KILL, early));
    rig_clear(&r);
    rig_stask_not_made(&r, early); /* and is not asked for again */
    ck_assert_uint_eq(rig_count(&r, ACT_SPAWN), 0);
    rig_stask_dies(&r, mapping, 9, 0);
    rig_stask_dies(&r, up, 0, 0);
    rig_reply(&r, stopped);
    rig_end(&r);
}
END_TEST

START_TEST(they_end_with_their_client)
{
    struct msg_stasks m;
    uint64_t stasks;
    uint32_t process[2];

    setup(1);
    m = with_arrays(2);
    stasks = rig_stasks(&r, r.client, &m);
    process[0] = rig_process(&r, stasks, 0);
    process[1] = rig_process(&r, stasks, 1);
    rig_leaves(&r, r.client);
    ck_assert(rig_action_of(&r, ACT_STOP, process[0])->kill_politely); /* nobody waits for what it runs */
    ck_assert(rig_action_of(&r, ACT_STOP, process[1])->kill_politely);
    ck_assert_uint_eq(core_next_us(r.core), r.now + r.limits.kill_grace_us);
    ck_assert_uint_eq(rig_count(&r, ACT_ARRAY_DROP), 0);
    ck_assert_uint_eq(HASH_COUNT(r.core->users), 1); /* who is charged */
    rig_stask_dies(&r, process[0], 0, 0);
    rig_tick(&r, r.limits.kill_grace_us);
    ck_assert_ptr_nonnull(rig_action_of(&r, ACT_KILL, process[1]));
    rig_stask_dies(&r, process[1], 9, 0);
    ck_assert_ptr_null(r.core->stasks);
    ck_assert_ptr_null(r.core->arrays);
    ck_assert_ptr_null(r.core->users);
    rig_end(&r);
}
END_TEST

START_TEST(a_client_leaves_that_has_asked_to_stop)
{
    uint64_t stasks;
    uint32_t process;

    setup(1);
    stasks = rig_stasks_of(&r, 1);
    process = rig_process(&r, stasks, 0);
    stop(stasks, 0);
    rig_clear(&r);
    rig_leaves(&r, r.client); /* it would have waited for ever, but nobody does now */
    ck_assert(rig_action_of(&r, ACT_STOP, process)->kill_politely);
    rig_tick(&r, r.limits.kill_grace_us);
    ck_assert_ptr_nonnull(rig_action_of(&r, ACT_KILL, process));
    rig_stask_dies(&r, process, 9, 0);
    ck_assert_ptr_null(r.core->users);
    rig_end(&r);
}
END_TEST

START_TEST(draining_stops_them)
{
    const struct msg_stasks named = { .count = 1, .name = TEXT("s") };
    uint32_t process[2];

    setup(1);
    process[0] = rig_process(&r, rig_stasks_of(&r, 1), 0);
    process[1] = rig_process(&r, rig_stasks(&r, r.client, &named), 0);
    core_drain(r.core, r.now, false, &r.out);
    rig_check(&r);
    ck_assert(!rig_action_of(&r, ACT_STOP, process[0])->kill_politely);
    ck_assert(!rig_action_of(&r, ACT_STOP, process[1])->kill_politely);
    ck_assert_uint_eq(core_next_us(r.core), CORE_NEVER);
    ck_assert_uint_eq(core_stask_processes(r.core), 2);
    rig_clear(&r);
    core_drain(r.core, r.now, true, &r.out); /* time is over */
    rig_check(&r);
    ck_assert(rig_action_of(&r, ACT_STOP, process[0])->kill_politely);
    rig_stask_dies(&r, process[0], 0, 0);
    rig_tick(&r, r.limits.kill_grace_us);
    ck_assert_ptr_nonnull(rig_action_of(&r, ACT_KILL, process[1]));
    rig_stask_dies(&r, process[1], 9, 0);
    ck_assert_uint_eq(core_stask_processes(r.core), 0);
    rig_end(&r);
}
END_TEST

START_TEST(draining_ends_a_start)
{
    const struct msg_stasks m = { .count = 1 };
    uint64_t request;

    setup(1);
    request = start(&m);
    core_drain(r.core, r.now, false, &r.out);
    rig_check(&r);
    rig_failure(&r, request, PTOOLS_ERR_CANCELLED);
    rig_stask_not_made(&r, spawned(0));
    ck_assert_uint_eq(rig_count(&r, ACT_SPAWN), 1);
    ck_assert_ptr_null(r.core->stasks);
    rig_end(&r);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core stasks");
    TCase *up = suite_case(suite, "coming up");
    TCase *dying = suite_case(suite, "dying");
    TCase *stopping = suite_case(suite, "stopping");

    tcase_add_test(up, a_start_is_answered_when_all_have_mapped_all);
    tcase_add_test(up, the_arrays_are_theirs);
    tcase_add_test(up, one_that_dies_while_it_comes_up_ends_the_start);
    tcase_add_test(up, one_that_cannot_map_ends_the_start);
    tcase_add_test(up, one_that_was_not_made_is_asked_for_again);
    tcase_add_test(up, a_retry_may_succeed);
    tcase_add_test(up, what_was_not_awaited_is_a_bug);

    tcase_add_test(dying, a_death_leaves_the_others_alone);
    tcase_add_test(dying, deaths_are_described);

    tcase_add_test(stopping, a_stop_waits_for_all);
    tcase_add_test(stopping, a_stop_with_patience_kills);
    tcase_add_test(stopping, a_second_stop_may_be_less_patient);
    tcase_add_test(stopping, stopping_what_is_dead_is_done);
    tcase_add_test(stopping, stopping_what_is_coming_up);
    tcase_add_test(stopping, they_end_with_their_client);
    tcase_add_test(stopping, a_client_leaves_that_has_asked_to_stop);
    tcase_add_test(stopping, draining_stops_them);
    tcase_add_test(stopping, draining_ends_a_start);
    return suite_run(suite);
}
