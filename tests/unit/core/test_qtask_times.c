/* SPDX-License-Identifier: MIT */
/* qtask -- what waits for a time: the next attempt, a delay, and the end of what has not begun. */
#include "tests/unit/core/rig_queue.h"

static struct rig r;

static void setup(uint32_t workers)
{
    rig_limits(&r);
    rig_queue_start(&r, workers);
}

/* Half to one and a half of the time, which doubles until it is the longest. */
START_TEST(each_attempt_waits_twice_as_long)
{
    static const uint64_t ms[] = { 1000, 2000, 4000, 5000, 5000 };
    uint64_t id, us;

    setup(1);
    id = rig_queued(&r, SUBMIT(.idempotent = true, .attempts = 9, .retry_on = RETRY_FAILED, .backoff_ms = 1000,
                               .backoff_max_ms = 5000));
    for (size_t i = 0; i < ELEMENTS(ms); i++) {
        rig_assign(&r);
        rig_qfailed(&r, id, PTOOLS_ERR_FAILED, "no");
        us = rig_qtask(&r, id)->due_us - r.now;
        ck_assert_uint_ge(us, ms[i] * 500);
        ck_assert_uint_lt(us, ms[i] * 1500);
        rig_tick(&r, us - 1);
        ck_assert_uint_eq(rig_shown(&r, id), SHOWN_WAITING);
        rig_tick(&r, 1);
        ck_assert_uint_eq(rig_shown(&r, id), SHOWN_QUEUED);
    }
    rig_end(&r);
}
END_TEST

START_TEST(what_is_ready_expires_too)
{
    uint64_t id;

    setup(1);
    rig_queued(&r, SUBMIT());
    id = rig_queued(&r, SUBMIT(.expire_ms = 10));
    rig_assign(&r);
    rig_tick(&r, 9999);
    ck_assert_uint_eq(rig_shown(&r, id), SHOWN_QUEUED);
    rig_tick(&r, 1);
    ck_assert_uint_eq(rig_shown(&r, id), SHOWN_EXPIRED);
    rig_end(&r);
}
END_TEST

/* On hold it waits for no time but its end; then for what comes first. */
START_TEST(the_next_time_is_the_one_that_comes_first)
{
    uint64_t id;

    setup(1);
    id = rig_queued(&r, SUBMIT(.hold = true, .delay_ms = 20, .expire_ms = 1000));
    rig_queue_id(&r, rig_change(&r, CHANGE_RELEASE, id));
    ck_assert_uint_eq(core_next_us(r.core), r.now + 20000);
    rig_tick(&r, 20000);
    ck_assert_uint_eq(rig_shown(&r, id), SHOWN_QUEUED);
    ck_assert_uint_eq(core_next_us(r.core), r.now + 980000);
    rig_end(&r);
}
END_TEST

START_TEST(only_what_waits_for_a_time_is_kicked)
{
    uint64_t first, id;

    setup(1);
    first = rig_queued(&r, SUBMIT(.hold = true));
    id = rig_queued(&r, SUBMIT(.n_after = 1, .after = &first));
    ck_has(rig_failure(&r, rig_change(&r, CHANGE_KICK, id), PTOOLS_ERR_NOT_NOW), "only one that waits for a time");
    id = rig_queued(&r, SUBMIT(.delay_ms = 1000));
    rig_queue_id(&r, rig_change(&r, CHANGE_KICK, id));
    ck_assert_uint_eq(rig_shown(&r, id), SHOWN_QUEUED);
    rig_end(&r);
}
END_TEST

/* Two clocks: what is counted goes on as it began, what is shown follows the wall. */
START_TEST(a_wall_clock_that_is_set_changes_what_is_shown)
{
    uint64_t at_ms;

    setup(1);
    rig_tick(&r, 5000000);
    at_ms = core_time_ms(r.core);
    ck_assert_uint_eq(core_shown_ms(r.core, at_ms), QUEUE_WALL_MS + 5000);
    r.now += 1000000;
    core_wall(r.core, r.now, 2 * (uint64_t)QUEUE_WALL_MS);
    ck_assert_uint_eq(core_time_ms(r.core), at_ms + 1000);
    ck_assert_uint_eq(core_shown_ms(r.core, at_ms + 1000), 2 * (uint64_t)QUEUE_WALL_MS);
    rig_end(&r);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core qtask, times");
    TCase *tc = suite_case(suite, "times");

    tcase_add_test(tc, each_attempt_waits_twice_as_long);
    tcase_add_test(tc, what_is_ready_expires_too);
    tcase_add_test(tc, the_next_time_is_the_one_that_comes_first);
    tcase_add_test(tc, a_wall_clock_that_is_set_changes_what_is_shown);
    tcase_add_test(tc, only_what_waits_for_a_time_is_kicked);
    return suite_run(suite);
}
