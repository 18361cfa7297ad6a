/* SPDX-License-Identifier: MIT */
/*
 * sim -- a run: see sim.h. Each step is one thing that happens to the daemon, as one turn of its loop: a request, a
 * worker's word or death, rows that are recorded, time that passes, its own death. Then come what is due by now, and
 * core_assign() until it has nothing more to say; then the model looks.
 *
 * The daemon is called when it asked to be (core_next_us()), and, in worlds of other habits, also before: a call that
 * it did not ask for must not be what keeps it going.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <ptools/module.h>

#include "tests/sim/sim.h"

enum { FULL_CHECK = 256, TURNS_MAX = 1000, DRAIN_STEPS = 200000, KNOWN_RUNS = 8, LEAP_US = 60000000 };

struct sim sim;

/* -- the daemon -------------------------------------------------------------------------------------------------- */

void sim_deliver(void)
{
    for (size_t i = 0; i < sim.out.n; i++) {
        const struct action a = sim.out.v[i]; /* what follows may add others, and move them */

        if (sim.seen)
            model_discover();
        switch (a.type) {
        case ACT_RUN:
            trace_add("ACT_RUN task, worker, attempt", a.task, a.worker, a.attempt);
            worker_run(&a);
            break;
        case ACT_REVOKE:
            trace_add("ACT_REVOKE task, worker, slot", a.task, a.worker, a.slot);
            worker_revoke(&a);
            break;
        case ACT_CANCEL:
            trace_add("ACT_CANCEL task, worker", a.task, a.worker, 0);
            worker_cancel(&a);
            break;
        case ACT_LOOK:
            worker_look(&a);
            break;
        case ACT_KILL:
            trace_add("ACT_KILL worker", a.worker, 0, 0);
            if (is_stask_process(a.worker))
                server_killed(a.worker);
            else
                sim.workers[a.worker].killed = true;
            break;
        case ACT_KILL_CALL:
            trace_add("ACT_KILL_CALL process, call", a.worker, a.task, 0);
            server_call_killed(a.worker, a.task);
            break;
        case ACT_STOP:
            trace_add("ACT_STOP worker", a.worker, 0, 0);
            if (is_stask_process(a.worker))
                server_stops(a.worker);
            else
                sim.workers[a.worker].leaving = true;
            break;
        case ACT_SPAWN:
            trace_add("ACT_SPAWN worker", a.worker, 0, 0);
            if (is_stask_process(a.worker))
                server_spawns(a.worker);
            else
                worker_spawns(a.worker);
            break;
        case ACT_ARRAY_MAKE:
            trace_add("ACT_ARRAY_MAKE array", a.array, 0, 0);
            array_asked(&a);
            break;
        case ACT_ARRAY_DROP:
            trace_add("ACT_ARRAY_DROP array", a.array, 0, 0);
            array_dropped(a.array);
            break;
        case ACT_LOAD:
            sim.load_asked = true;
            break;
        case ACT_RECORD:
            sim.out.v[i].row = NULL;
            trace_add("ACT_RECORD row, task, kind", a.row->number, a.row->task, a.row->kind);
            model_row(a.row);
            journal_take(a.row);
            break;
        case ACT_ANSWER:
            trace_add("ACT_ANSWER client, request, code", a.client, a.answer.id,
                      a.answer.failed ? (uint64_t)a.answer.failure.code : 0);
            client_answer(&sim.out.v[i]);
            break;
        case ACT_EVENT:
            client_event(&sim.out.v[i]);
            break;
        case ACT_BUG:
            sim_fail("bug", "the core says: %s", a.text);
        default:
            break;
        }
    }
    if (sim.seen)
        model_discover();
    SIM_CHECK(!sim.out.no_memory, "memory", "the core had no memory");
    actions_clear(&sim.out);
}

static void turn(void)
{
    unsigned n = 0;

    do {
        for (; core_next_us(sim.core) <= sim.now && n < TURNS_MAX; n++) {
            core_tick(sim.core, sim.now, &sim.out);
            sim_deliver();
        }
        core_assign(sim.core, sim.now, &sim.out);
        if (sim.out.n == 0 && core_next_us(sim.core) > sim.now)
            break;
        sim_deliver();
    } while (++n < TURNS_MAX);
    SIM_CHECK(n < TURNS_MAX, "progress", "a turn does not come to its end");
    model_turn();
}

static void load(void)
{
    struct report_function list[] = { { (char *)"f", (char *)"", 0 },
                                      { (char *)"short", (char *)"", 0 },
                                      { (char *)"again", (char *)"", PTOOLS_FN_IDEMPOTENT } };
    const struct report report = { .module = (char *)"m",
                                   .help = (char *)"",
                                   .path = (char *)"/m.so",
                                   .problem = (char *)"",
                                   .code = PTOOLS_OK,
                                   .n = ELEMENTS(list),
                                   .functions = list };

    trace_add("the module is loaded", 0, 0, 0);
    sim.load_asked = false;
    sim.loaded = true;
    core_module_loaded(sim.core, sim.now, &report, &sim.out);
    for (int i = 0; i < KNOWN_RUNS; i++)
        function_ran(function_find(sim.core, "m.short", 7), 10);
    sim_deliver();
}

static void start(void)
{
    sim.rows = sim.seen = 0;
    sim.ending = false;
    memset(sim.booked, 0, sizeof sim.booked);
    sim.loaded = sim.load_asked = false;
    memset(sim.workers, 0, sizeof sim.workers);
    sim.removed = sim.last_worker = 0;
    servers_forget();
    arrays_forget();
    actions_init(&sim.out);
    sim.core = core_new(&sim.limits, clock_first_task(), WORKERS, sim.now, &sim.out);
    SIM_CHECK(sim.core, "memory", "no core");
    core_clock(sim.core, sim.clock_ms);
    core_wall(sim.core, sim.now, clock_wall_ms());
    sim.told_zero_ms = sim.zero_ms;
    sim_deliver();
}

static void stop(void)
{
    sim.core = core_free(sim.core);
    actions_deinit(&sim.out);
}

/* It is asked to end: with patience, or in a hurry. */
static void ends(void)
{
    const bool hurry = sim_one_in(2);

    trace_add("the daemon is to end, in a hurry", hurry, 0, 0);
    model_drains(hurry);
    core_drain(sim.core, sim.now, hurry, &sim.out);
    sim_deliver();
}

static void crash(bool power)
{
    const uint64_t later = sim_random(sim_one_in(10) ? 60000000 : 100000);
    uint64_t kept;

    trace_add(power ? "the power fails" : "the daemon is killed", 0, 0, 0);
    if (power)
        sim.count.power++;
    else
        sim.count.crashes++;
    stop();
    if (power)
        clock_reboots(later);
    else
        sim.now += later;
    kept = journal_dies(power);
    clients_forget();
    model_forget_daemon(power, kept);
    start();
    journal_recovers();
    sim.seen = sim.core->next_task;
    clients_add();
    model_check_restart();
}

const char *sim_tag(uint32_t tag)
{
    static const char *const names[TAGS + 1] = { "red", "green", "blue", "" };

    return names[tag];
}

/* -- time -----------------------------------------------------------------------------------------------------------
 */

static void wait(void)
{
    const uint64_t next = core_next_us(sim.core);
    bool due;

    switch (sim_random(8)) {
    case 0:
    case 1:
        sim.now += sim_random(1000);
        break;
    case 2:
        sim.now += sim_random(200000);
        break;
    case 3:
        sim.now += sim_one_in(8) ? sim_random(5000000) : 1;
        break;
    case 4:
        if (next != CORE_NEVER && next > sim.now + 1)
            sim.now += MIN(next - sim.now - 1, LEAP_US);
        break;
    default:
        if (next != CORE_NEVER && next > sim.now)
            sim.now += MIN(next - sim.now, LEAP_US);
    }
    due = next <= sim.now;
    if (due || (sim.habits.ticks && sim_one_in(2))) {
        core_tick(sim.core, sim.now, &sim.out);
        sim_deliver();
    }
}

/* -- steps -----------------------------------------------------------------------------------------------------------
 */

static void step(void)
{
    const uint64_t what = sim_random(100);

    if ((sim.storage_failed && sim_one_in(20)) || (sim.ending && journal_idle() && sim_one_in(30))) {
        trace_step("a restart", 0, 0);
        crash(false);
    } else if (what < 28) {
        trace_step("a client", 0, 0);
        client_acts();
    } else if (what < 40) {
        trace_step("time", 0, 0);
        if (sim.habits.steps && sim_one_in(sim.habits.steps))
            clock_steps();
        wait();
    } else if (what < 58) {
        trace_step("the journal", 0, 0);
        journal_writes();
    } else if (what < 59 && sim_one_in(sim.habits.kill)) {
        const uint32_t id = 1 + (uint32_t)sim_random(sim.last_worker);

        trace_step("a worker dies", id, 0);
        worker_dies(id);
    } else if (what < 60 && sim_one_in(8)) {
        const uint32_t i = (uint32_t)sim_random(CLIENTS);

        trace_step("a client leaves and another comes", i, 0);
        client_goes(i);
        client_comes(i);
    } else if (what < 61 && sim_one_in(sim.habits.crash)) {
        trace_step("a crash", 0, 0);
        crash(false);
    } else if (what < 62 && sim_one_in(sim.habits.power)) {
        trace_step("a loss of power", 0, 0);
        crash(true);
    } else if (what < 63 && !sim.ending && sim_one_in(sim.habits.crash * 2)) {
        trace_step("the end of a daemon", 0, 0);
        ends();
    } else if (what < 64 && sim.habits.pool && sim_one_in(sim.habits.pool)) {
        trace_step("the workers", 0, 0);
        pool_changes();
    } else if (what < 65 && sim.load_asked) {
        trace_step("the module", 0, 0);
        load();
    } else if (what < 68) {
        trace_step("a server task", 0, 0);
        server_acts();
        memory_acts();
    } else {
        const uint32_t id = 1 + (uint32_t)sim_random(sim.last_worker);

        trace_step("a worker", id, 0);
        worker_acts(id);
    }
    turn();
    if (sim.step % FULL_CHECK == 0)
        model_check_all();
}

/* -- the end ----------------------------------------------------------------------------------------------------------
 */

static bool all_ended(void)
{
    for (uint32_t i = 0; i < sim.n_live; i++)
        if (sim.live[i]->place != ENDED)
            return false;
    return sim.n_requests == 0;
}

/* No more comes; all that is there goes on to its end, and is forgotten. */
static void drain(void)
{
    unsigned quiet = 0;
    bool served = false;

    sim.draining = true;
    if (sim.storage_failed || sim.ending) {
        trace_step("a restart before the end", 0, 0);
        crash(false);
    }
    trace_step("the end: all goes on", 0, 0);
    clients_release_all();
    turn();
    for (unsigned i = 0; i < DRAIN_STEPS && quiet < 4 && !(all_ended() && served); i++) {
        sim.step++;
        trace_step("the end", 0, 0);
        for (uint32_t id = 1; id <= sim.last_worker; id++)
            worker_acts(id);
        served = servers_stop_all();
        served &= arrays_unlink_all();
        server_acts();
        memory_acts();
        journal_writes();
        if (sim.load_asked)
            load();
        turn();
        if (!journal_idle() || !workers_quiet() || !served || core_next_us(sim.core) <= sim.now) {
            quiet = 0;
            continue;
        }
        clients_release_all(); /* also what was on its way when all was released */
        if (core_next_us(sim.core) == CORE_NEVER) {
            quiet++;
            continue;
        }
        sim.now = core_next_us(sim.core);
        turn();
    }
    while (!journal_idle()) {
        journal_writes();
        turn();
    }
    model_check_all();
    model_check_drained();
}

void sim_run(uint64_t seed, uint64_t steps, bool sqlite)
{
    memset(&sim, 0, sizeof sim);
    sim.seed = seed;
    trace_init(seed);
    clocks_init();
    sim.habits = (struct habits){ .breaker = sim_one_in(4),
                                  .ticks = sim_one_in(2),
                                  .sqlite = sqlite,
                                  .full = sim_one_in(3),
                                  .broken = sim_one_in(3),
                                  .crash = sim_one_in(3) ? 1000000 : 1 + (uint32_t)sim_random(60),
                                  .power = sim_one_in(2) ? 1000000 : 1 + (uint32_t)sim_random(60),
                                  .kill = 1 + (uint32_t)sim_random(30),
                                  .hang = sim_one_in(2) ? 0 : 5 + (uint32_t)sim_random(100),
                                  .priorities = 1 + (uint32_t)sim_random(6),
                                  .pool = sim_one_in(2) ? 0 : 1 + (uint32_t)sim_random(20),
                                  .steps = sim_one_in(2) ? 0 : 1 + (uint32_t)sim_random(60) };
    core_limits_default(&sim.limits);
    sim.limits.workers_max = WORKERS_MOST;
    sim.limits.user_arrays_max = 2 + (uint32_t)sim_random(6);
    sim.limits.user_stasks_max = 4 + (uint32_t)sim_random(8);
    sim.limits.journal = true;
    sim.limits.backoff_min_us = 1000;
    sim.limits.kill_grace_us = 50000;
    sim.limits.stuck_us = UINT64_C(1000000000000000); /* SIGKILL always helps here */
    sim.limits.user_queued_max = 8 + (uint32_t)sim_random(40);
    sim.limits.user_kept_max = 8 + (uint32_t)sim_random(60);
    sim.limits.keep_volatile_us = 2000000;
    sim.limits.keep_us = 10000000;
    sim.limits.breaker_kills = sim.habits.breaker ? 2 + (uint32_t)sim_random(3) : 0;
    sim.limits.breaker_window_us = 60000000;
    sim.limits.breaker_wait_us = 200000;
    sim.limits.breaker_wait_max_us = 2000000;
    sim.limits.ahead_max = sim_one_in(3) ? 1 : 2 + (uint32_t)sim_random(8);
    sim.decoder = msg_decoder_new();
    journal_init();
    model_init();
    calls_init();
    start();
    sim.seen = sim.core->next_task;
    clients_add();
    for (sim.step = 1; sim.step <= steps; sim.step++)
        step();
    drain();
    stop();
    journal_deinit();
    sim.decoder = msg_decoder_free(sim.decoder);
}
