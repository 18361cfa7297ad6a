/* SPDX-License-Identifier: MIT */
/*
 * clocks -- the clocks of the machine. The monotonic one is sim.now: nothing sets it, and it begins anew with the
 * machine. The time of day is sim.zero_ms later, and that is set now and then: by a moment, by hours, to 1970, to what
 * it should be. sim.clock_ms is what zero_ms was when the journal was first opened on this machine as it runs now:
 * that does not change, so what is recorded in times from there is right whatever happens to the time of day.
 */
#include "tests/sim/sim.h"

enum { HOUR_MS = 3600000, SMALL_MS = 100 /* a correction that may be passed over */ };
#define FIRST_MS UINT64_C(1700000000000)

void clocks_init(void)
{
    sim.now = 1000000;
    sim.right_ms = sim.zero_ms = sim.clock_ms = FIRST_MS;
}

uint64_t clock_wall_ms(void)
{
    return sim.zero_ms + sim.now / 1000;
}

static void set_zero(uint64_t ms)
{
    sim.zero_ms = MAX(ms, 1); /* Linux lets no time of day be before its start */
}

/* Those that wait for a time of day wait for it by the new clock. */
static void look_at_times(void)
{
    for (uint32_t i = 0; i < sim.n_live; i++) {
        struct m_task *t = sim.live[i];
        const uint64_t when = clock_when(t->at_ms);

        if (!t->at_ms || t->attempt > 0 || t->surely_us <= sim.now)
            continue;
        if (t->ready_us > sim.now || when <= sim.now)
            t->ready_us = MAX(when, sim.now);
        t->surely_us = when > sim.now ? when + 1000 : sim.now;
    }
}

void clock_steps(void)
{
    const uint64_t by = sim_one_in(2) ? 1 + sim_random(500) : HOUR_MS * (1 + sim_random(48));

    switch (sim_random(6)) {
    case 0:
        set_zero(sim.right_ms);
        break;
    case 1:
        set_zero(sim_one_in(4) ? 1 : sim.zero_ms);
        break;
    case 2:
    case 3:
        set_zero(sim.zero_ms > by ? sim.zero_ms - by : 1);
        break;
    default:
        set_zero(sim.zero_ms + by);
    }
    trace_add("the time of day is", clock_wall_ms(), sim.zero_ms, 0);
    if (MAX(sim.zero_ms, sim.told_zero_ms) - MIN(sim.zero_ms, sim.told_zero_ms) >= SMALL_MS) {
        sim.told_zero_ms = sim.zero_ms;
        look_at_times();
    }
    core_wall(sim.core, sim.now, clock_wall_ms()); /* at the start of each turn */
}

void clock_reboots(uint64_t outage_us)
{
    const uint64_t right_ms = sim.right_ms + (sim.now + outage_us) / 1000;
    uint64_t wall_ms = clock_wall_ms() + outage_us / 1000; /* it had been told to what runs without power */

    if (sim.habits.steps && sim_one_in(4))
        wall_ms = right_ms;
    else if (sim.habits.steps && sim_one_in(4))
        wall_ms = sim_random(100000); /* nothing runs without power */
    sim.now = 1 + sim_random(sim_one_in(2) ? 100 : 60000000);
    sim.right_ms = right_ms - sim.now / 1000;
    set_zero(wall_ms > sim.now / 1000 ? wall_ms - sim.now / 1000 : 1);
    sim.clock_ms = sim.zero_ms;
    trace_add("the machine starts at", clock_wall_ms(), 0, 0);
}

uint64_t clock_first_task(void)
{
    const uint64_t ms = clock_wall_ms();

    return 1 + (ms > FIRST_MS ? (ms - FIRST_MS) * 1000 : 0);
}

uint64_t clock_when(uint64_t wall_ms)
{
    return wall_ms > sim.zero_ms ? (wall_ms - sim.zero_ms) * 1000 : 0;
}

uint64_t clock_since(uint64_t recorded_ms)
{
    const uint64_t now_ms = sim.clock_ms + sim.now / 1000;

    return now_ms > recorded_ms ? (now_ms - recorded_ms) * 1000 : 0;
}
