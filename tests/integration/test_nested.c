/* SPDX-License-Identifier: MIT */
/*
 * Calls within calls, in a real daemon: functions of module n open it, as any client does, and wait for functions of
 * the same workers. Nothing waits for ever, the processes for it are few, and go.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/integration/pmap_rig.h"

enum { STAND_IN_FIRST = 1000000001 };

static uint64_t stand_ins(void)
{
    return server_status(pt, NULL, "stand_ins");
}

static void down_to_workers(void)
{
    const uint64_t until = now_ms() + WAIT_MS;

    while (stand_ins() > 0)
        ck_assert_msg(now_ms() < until, "there are still stand-ins");
    down();
}

static int64_t value_of(const char *function)
{
    PTOOLS_AUTO(ptools_future) f = NULL;
    ptools_value v;
    int64_t n = -1;

    came_to(ptools_remotecall_fetch(pt, NULL, function, list, NULL, WAIT_MS, &f, &v), PTOOLS_OK, NULL);
    ck_assert_ptools(ptools_get_i64(v, &n));
    return n;
}

static int64_t deep(int64_t levels)
{
    anew();
    ptools_pack_i64(list, levels);
    return value_of("n.deep");
}

START_TEST(one_worker_is_enough)
{
    up(1);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(deep(3), 15);
    ck_assert_uint_le(stand_ins(), 3);
    ck_assert_uint_eq(server_status(pt, NULL, "workers"), 1);
    down_to_workers();
}
END_TEST

/* Each has a process of its own, which is inside of its worker, too; and so have those that it calls. */
START_TEST(isolated_items_may_call)
{
    ptools_pmap *map;

    up(1);
    options.flags = PTOOLS_PMAP_ISOLATED;
    for (int i = 0; i < 6; i++)
        ptools_pack_i64(list, i % 3);
    map = start("n.deep");
    for (int i = 0; i < 6; i++) {
        ptools_item item = next(map);

        ck_assert_int_eq(number_of(&item), (2 << i % 3) - 1);
        ck_assert_uint_gt(item.run_us, 0);
    }
    ends(map);
    down_to_workers();
}
END_TEST

START_TEST(many_items_of_many_items)
{
    ptools_pmap *map;

    up(2);
    numbers(0, 50);
    map = start("n.wide");
    for (int i = 0; i < 50; i++) {
        next_is(map, i, 1 + 20 * i);
        ck_assert_uint_le(stand_ins(), 2);
    }
    ends(map);
    down_to_workers();
}
END_TEST

/* Worker 1 calls worker 1. */
static void call_itself(void)
{
    anew();
    ptools_pack_i64(list, 1);
    ptools_pack_str(list, "p.same");
    ptools_pack_i64(list, 42);
    ck_assert_int_eq(value_of("n.pinned"), 42);
}

START_TEST(a_worker_may_call_itself)
{
    up(1);
    call_itself();
    down_to_workers();
}
END_TEST

START_TEST(forked_children_are_inside)
{
    up(1);
    ck_assert_int_eq(value_of("n.forks"), 43);
    ck_assert_uint_eq(stand_ins(), 1);
    down_to_workers();
}
END_TEST

/* Each call makes another, until that is refused with these words. */
static void calls_for_ever(const char *words)
{
    ptools_pack_i64(list, 0);
    came_to(ptools_remotecall_fetch(pt, NULL, "n.forever", list, NULL, WAIT_MS, NULL, NULL), PTOOLS_ERR_FAILED, words);
}

START_TEST(a_cycle_ends)
{
    const uint64_t began = now_ms();

    up(1);
    calls_for_ever("DEADLOCK: a call within 16 calls");
    ck_assert_uint_eq(stand_ins(), 16);
    down_to_workers();
    ck_assert_uint_lt(now_ms() - began, 30000);
}
END_TEST

START_TEST(so_many_stand_ins_and_no_more)
{
    static const char *const few[] = { "-o", "limits.stand_ins_max=3", NULL };

    up_with(1, few);
    calls_for_ever("all 3 stand-ins that there may be (stand_ins_max)");
    ck_assert_int_eq(deep(3), 15); /* which needs just so many */
    ck_assert_uint_le(stand_ins(), 3);
    down_to_workers();
}
END_TEST

START_TEST(a_plain_call_waits_for_a_worker)
{
    PTOOLS_AUTO(ptools_future) outer = NULL;
    PTOOLS_AUTO(ptools_future) plain = NULL;

    up(1);
    ptools_pack_i64(list, 300);
    ck_assert_ptools(ptools_remotecall(pt, NULL, "n.waits", list, NULL, &outer));
    server_at_phase(pt, 1, "waiting");
    ck_assert_ptools(ptools_remotecall(pt, NULL, "t.nop", NULL, NULL, &plain));
    ck_assert_ptools(ptools_future_wait(plain, WAIT_MS));
    ck_assert_ptools(ptools_future_wait(outer, 0)); /* it was done before */
    down_to_workers();
}
END_TEST

/* The id and pid of the stand-in, when it runs something. */
static uint64_t stand_in_rests(uint64_t *ret_pid)
{
    const uint64_t until = now_ms() + WAIT_MS;

    for (;;) {
        PTOOLS_AUTO(ptools_future) f = NULL;
        ptools_value rows, row, v;
        uint64_t id, stands_for;
        const char *phase;
        size_t phase_n;

        ck_assert_ptools(ptools_inspect(pt, "workers", &f, &rows));
        for (uint32_t i = 0; ptools_get_item(rows, i, &row) == PTOOLS_OK; i++) {
            ck_assert(!ptools_get_field(row, "stands_for", &v) && !ptools_get_u64(v, &stands_for));
            ck_assert(!ptools_get_field(row, "id", &v) && !ptools_get_u64(v, &id));
            ck_assert(!ptools_get_field(row, "phase", &v) && !ptools_get_str(v, &phase, &phase_n));
            ck_assert(!ptools_get_field(row, "pid", &v) && !ptools_get_u64(v, ret_pid));
            ck_assert(id < STAND_IN_FIRST ? stands_for == 0 : stands_for == 1);
            if (stands_for && phase_n == 7 && memcmp(phase, "resting", 7) == 0)
                return id;
        }
        ck_assert_msg(now_ms() < until, "no stand-in runs anything");
    }
}

START_TEST(the_lender_is_killed)
{
    PTOOLS_AUTO(ptools_future) outer = NULL;
    ptools_worker_info *infos = NULL;
    uint64_t pid;
    size_t n;

    up(1);
    ptools_pack_i64(list, 3600000);
    ck_assert_ptools(ptools_remotecall(pt, NULL, "n.waits", list, NULL, &outer));
    ck_assert_uint_eq(stand_in_rests(&pid), STAND_IN_FIRST);
    ck_assert_ptools(ptools_workers(pt, &infos, &n));
    ck_assert_uint_eq(n, 1); /* it is no worker */
    ck_assert_int_eq(kill(infos[0].pid, SIGKILL), 0);
    free(infos);
    ck_assert_ptools(ptools_future_wait(outer, WAIT_MS));
    ck_assert_err(ptools_future_fetch(outer, 0, NULL), PTOOLS_ERR_WORKER_DIED);
    down_to_workers(); /* what it waited for has been stopped */
    ck_assert_int_eq(kill((pid_t)pid, 0), -1);
}
END_TEST

START_TEST(the_stand_in_is_killed)
{
    uint64_t pid;
    PTOOLS_AUTO(ptools_future) outer = NULL;

    up(1);
    ptools_pack_i64(list, 3600000);
    ck_assert_ptools(ptools_remotecall(pt, NULL, "n.waits", list, NULL, &outer));
    ck_assert_uint_eq(stand_in_rests(&pid), STAND_IN_FIRST);
    ck_assert_int_eq(kill((pid_t)pid, SIGKILL), 0);
    ck_assert_ptools(ptools_future_wait(outer, WAIT_MS));
    ck_assert_err(ptools_future_fetch(outer, 0, NULL), PTOOLS_ERR_FAILED);
    ck_has(ptools_future_failure(outer)->message, "was killed by signal 9");
    down_to_workers();
}
END_TEST

/* The way down to a call within a call and back, when the stand-in is there already. */
START_TEST(it_takes_little_time)
{
    enum { ROUNDS = 200 };
    uint64_t began;

    up(1);
    call_itself();
    began = now_ms();
    for (int i = 0; i < ROUNDS; i++)
        call_itself();
    began = now_ms() - began;
    printf("# %d nested calls: %.0f us each\n", ROUNDS, 1000.0 * (double)began / ROUNDS);
    ck_assert_uint_lt(began, 20 * ROUNDS);
    down_to_workers();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("nested");
    TCase *tc = suite_case(suite, "nested");

    tcase_add_test(tc, one_worker_is_enough);
    tcase_add_test(tc, isolated_items_may_call);
    tcase_add_test(tc, many_items_of_many_items);
    tcase_add_test(tc, a_worker_may_call_itself);
    tcase_add_test(tc, forked_children_are_inside);
    tcase_add_test(tc, a_cycle_ends);
    tcase_add_test(tc, so_many_stand_ins_and_no_more);
    tcase_add_test(tc, a_plain_call_waits_for_a_worker);
    tcase_add_test(tc, the_lender_is_killed);
    tcase_add_test(tc, the_stand_in_is_killed);
    tcase_add_test(tc, it_takes_little_time);
    return suite_run(suite);
}
