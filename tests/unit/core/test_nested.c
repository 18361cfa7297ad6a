/* SPDX-License-Identifier: MIT */
/*
 * Calls within calls: who lends, who stands in, what is refused; and a world of fake workers whose functions call
 * each other at random, in which everything must end.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tests/unit/core/rig.h"

enum { FIRST = WORKER_ID_MAX + 1, IDLE_US = 1000000 };

static struct rig r;

static void setup(uint32_t workers)
{
    rig_limits(&r);
    rig_start(&r, workers);
}

static struct task *task_of(uint32_t client, uint64_t request)
{
    struct task *t = task_find_request(r.core, client, request);

    ck_assert_msg(t, "request %" PRIu64 " has ended", request);
    return t;
}

static uint32_t where(uint32_t client, uint64_t request)
{
    const struct task *t = task_of(client, request);

    return t->worker ? t->worker->id : 0;
}

/* A client inside of the process that runs this task. */
static uint32_t inside(const struct task *t)
{
    uint32_t client;

    ck_assert_int_eq(core_client_add(r.core, 1000, &client), 0);
    core_client_inside(r.core, client, t->worker->id, t->id);
    rig_check(&r);
    return client;
}

static uint64_t call(uint32_t client, const char *function)
{
    return rig_call_with(&r, client, &(struct msg_call){ .function = { function, strlen(function) } });
}

static uint64_t call_worker(uint32_t client, uint32_t worker)
{
    return rig_call_with(&r, client, &(struct msg_call){ .function = TEXT("m.f"), .worker = worker });
}

static void assign(void)
{
    size_t n;

    do {
        n = r.out.n;
        rig_assign(&r);
        (void)rig_revoke(&r, true);
    } while (r.out.n > n);
}

static void ends(struct task *t)
{
    core_worker_done(r.core, r.now, t->worker->id, t->id, t->attempt, PTOOLS_OK, NULL, NULL, 1000, 0, 0, &r.out);
    rig_check(&r);
}

/* A plain call that runs, and a client inside of its worker. */
static uint32_t outer_at(uint32_t worker, struct task **ret)
{
    const uint64_t q = rig_call_worker(&r, "m.f", worker);

    assign();
    ck_assert_uint_eq(rig_where(&r, q), worker);
    *ret = rig_task(&r, q);
    rig_clear(&r);
    return inside(*ret);
}

static uint32_t spawned(size_t nth)
{
    const struct action *a = rig_find(&r, ACT_SPAWN, nth);

    return a ? a->worker : 0;
}

/* The one stand-in that was asked for is up. */
static void stand_in_up(uint32_t id)
{
    ck_assert_uint_eq(spawned(0), id);
    ck_assert_uint_eq(spawned(1), 0);
    rig_clear(&r);
    rig_ready(&r, id);
    assign();
}

START_TEST(three_deep_with_one_worker)
{
    struct task *t[3];
    uint32_t c[3];
    uint64_t q;

    setup(1);
    c[0] = outer_at(1, &t[0]);
    for (uint32_t i = 1; i < 3; i++) {
        q = call(c[i - 1], "m.f");
        assign();
        stand_in_up(FIRST + i - 1);
        ck_assert_uint_eq(where(c[i - 1], q), FIRST + i - 1);
        t[i] = task_of(c[i - 1], q);
        ck_assert_uint_eq(t[i]->depth, i);
        ck_assert_uint_eq(rig_worker(&r, FIRST + i - 1)->stands_for, 1);
        c[i] = inside(t[i]);
    }
    for (uint32_t i = 3; i-- > 0;)
        ends(t[i]);
    rig_clear(&r);
    rig_tick(&r, IDLE_US - 1);
    ck_assert_uint_eq(rig_count(&r, ACT_STOP), 0);
    rig_tick(&r, 1);
    ck_assert_uint_eq(rig_count(&r, ACT_STOP), 2);
    rig_dies(&r, FIRST, 0, 0);
    rig_dies(&r, FIRST + 1, 0, 0);
    ck_assert_uint_eq(r.core->n_stand_ins, 0);
    ck_assert_uint_eq(rig_count(&r, ACT_SPAWN), 0);
    ck_assert_uint_eq(core_next_us(r.core), CORE_NEVER);
    rig_end(&r);
}
END_TEST

START_TEST(a_stand_in_is_used_again)
{
    struct task *outer;
    uint64_t q;
    uint32_t c;

    setup(1);
    c = outer_at(1, &outer);
    q = call(c, "m.f");
    assign();
    stand_in_up(FIRST);
    ends(task_of(c, q));
    rig_tick(&r, IDLE_US - 1);
    q = call(c, "m.f");
    assign();
    ck_assert_uint_eq(where(c, q), FIRST);
    ck_assert_uint_eq(spawned(0), 0);
    rig_tick(&r, 2 * IDLE_US); /* it works, and stays */
    ck_assert_uint_eq(rig_count(&r, ACT_STOP), 0);
    ends(task_of(c, q));
    rig_end(&r);
}
END_TEST

START_TEST(one_place_runs_one_call_at_a_time)
{
    struct task *outer;
    uint64_t q[3];
    uint32_t c;

    setup(1);
    c = outer_at(1, &outer);
    for (size_t i = 0; i < 3; i++)
        q[i] = call(c, "m.f");
    assign();
    stand_in_up(FIRST);
    for (size_t i = 0; i < 3; i++) { /* in their order, by one stand-in */
        ck_assert_uint_eq(where(c, q[i]), FIRST);
        ends(task_of(c, q[i]));
        assign();
    }
    ck_assert_uint_eq(spawned(0), 0);
    rig_end(&r);
}
END_TEST

START_TEST(a_stand_in_runs_no_plain_call)
{
    struct task *outer;
    uint64_t nested, plain;
    uint32_t c;

    setup(1);
    c = outer_at(1, &outer);
    plain = rig_call(&r, "m.f");
    assign();
    ck_assert_uint_eq(spawned(0), 0);
    nested = call(c, "m.f"); /* behind it, and yet before it */
    assign();
    stand_in_up(FIRST);
    ck_assert_uint_eq(where(c, nested), FIRST);
    ends(task_of(c, nested));
    assign();
    ck_assert_uint_eq(rig_where(&r, plain), 0);
    ends(outer);
    assign();
    ck_assert_uint_eq(rig_where(&r, plain), 1);
    rig_end(&r);
}
END_TEST

START_TEST(idle_workers_come_first)
{
    struct task *outer;
    uint64_t q[2];
    uint32_t c;

    setup(2);
    c = outer_at(1, &outer);
    q[0] = call(c, "m.f");
    assign();
    ck_assert_uint_eq(where(c, q[0]), 2);
    ck_assert_uint_eq(spawned(0), 0);
    q[1] = call(c, "m.f"); /* now none is idle, but one does nothing but wait */
    assign();
    stand_in_up(FIRST);
    ck_assert_uint_eq(where(c, q[1]), FIRST);
    rig_end(&r);
}
END_TEST

START_TEST(pinned_and_round_robin)
{
    struct task *one, *two;
    uint64_t q;
    uint32_t c, d, set;

    setup(2);
    c = outer_at(1, &one);
    q = call_worker(c, 1); /* to the very worker that waits */
    assign();
    stand_in_up(FIRST);
    ck_assert_uint_eq(where(c, q), FIRST);
    ends(task_of(c, q));
    set = rig_set(&r, SET_RR, "rr", (uint32_t[]){ 1, 0 });
    q = rig_call_with(&r, c, &(struct msg_call){ .function = TEXT("m.f"), .set_id = set });
    assign();
    ck_assert_uint_eq(where(c, q), FIRST);
    ends(task_of(c, q));
    d = outer_at(2, &two);
    q = call_worker(c, 2); /* 2 is busy, and waits for nothing: it is waited for */
    assign();
    ck_assert_uint_eq(spawned(0), 0);
    (void)call_worker(d, 1); /* now each waits for the other */
    assign();
    ck_assert_uint_eq(spawned(0), FIRST + 1); /* that of 1 is idle */
    ck_assert_uint_eq(rig_worker(&r, FIRST + 1)->stands_for, 2);
    rig_ready(&r, FIRST + 1);
    assign();
    ck_assert_uint_eq(where(c, q), FIRST + 1);
    rig_end(&r);
}
END_TEST

START_TEST(a_cycle_is_refused)
{
    struct task *outer;
    struct core_stats stats;
    uint32_t c;
    uint64_t q;

    setup(1);
    c = outer_at(1, &outer);
    for (uint32_t i = 0; i < NESTING_MAX; i++) {
        q = call(c, "m.f");
        assign();
        stand_in_up(FIRST + i);
        c = inside(task_of(c, q));
    }
    q = call(c, "m.f");
    ck_has(rig_failure(&r, q, PTOOLS_ERR_DEADLOCK), "within 16 calls");
    rig_call_with(&r, c, &(struct msg_call){ .function = TEXT("m.f"), .detached = true }); /* nobody waits for it */
    core_view_stats(r.core, &stats);
    ck_assert_uint_eq(stats.stand_ins, NESTING_MAX);
    rig_end(&r);
}
END_TEST

/* One that is idle is not needed, and leaves; one that runs something (1), when it has done that. */
START_TEST(stand_ins_leave_when_modules_are_loaded_anew)
{
    struct task *outer, *in;
    uint32_t c;
    uint64_t q;

    setup(1);
    c = outer_at(1, &outer);
    outer->begun = true;
    q = call(c, "m.f");
    assign();
    stand_in_up(FIRST);
    in = task_of(c, q);
    if (_i == 0)
        ends(in);
    core_workers_renew(r.core, r.now, &r.out);
    rig_check(&r);
    ck_assert_uint_eq(rig_count(&r, ACT_STOP), _i == 0);
    if (_i == 1)
        ends(in);
    assign();
    ck_assert_uint_eq(rig_count(&r, ACT_STOP), 1);
    ck_assert_uint_eq(rig_find(&r, ACT_STOP, 0)->worker, FIRST);
    rig_dies(&r, FIRST, 0, 0);
    ck_assert_uint_eq(r.core->n_stand_ins, 0);
    rig_end(&r);
}
END_TEST

/* It would not be given the call: that is for another worker, which goes on. */
START_TEST(none_stands_for_one_that_is_not_in_the_set)
{
    const struct msg_call m = { .function = TEXT("m.f"), .set = TEXT("second") };
    struct task *outer, *other;
    uint32_t c;
    uint64_t q;

    setup(2);
    rig_set(&r, SET_FF, "second", (uint32_t[]){ 2, 0 });
    c = outer_at(1, &outer);
    (void)outer_at(2, &other);
    q = rig_call_with(&r, c, &m);
    assign();
    ck_assert_uint_eq(spawned(0), 0);
    ends(other);
    assign();
    ck_assert_uint_eq(where(c, q), 2);
    rig_end(&r);
}
END_TEST

START_TEST(so_many_and_no_more)
{
    struct task *outer, *other;
    uint32_t c, d;
    uint64_t q[2], plain;

    rig_limits(&r);
    r.limits.stand_ins_max = 1;
    rig_start(&r, 2);
    c = outer_at(1, &outer);
    (void)outer_at(2, &other);
    q[0] = call(c, "m.f");
    assign();
    stand_in_up(FIRST);
    d = inside(task_of(c, q[0]));
    q[1] = call(d, "m.f");
    assign();
    ck_assert_uint_eq(spawned(0), 0); /* worker 2 goes on, and is waited for */
    ends(other);
    assign();
    ck_assert_uint_eq(where(d, q[1]), 2);
    d = inside(task_of(d, q[1]));
    q[1] = call(d, "m.f");
    plain = rig_call(&r, "m.f");
    assign();
    ck_has(rig_failure(&r, q[1], PTOOLS_ERR_DEADLOCK), "all 1 stand-ins that there may be (stand_ins_max)");
    ck_assert_uint_eq(rig_where(&r, plain), 0); /* it can wait */
    rig_end(&r);
}
END_TEST

START_TEST(an_idle_stand_in_makes_room)
{
    struct task *one, *two;
    uint32_t c, d;
    uint64_t q;

    rig_limits(&r);
    r.limits.stand_ins_max = 1;
    rig_start(&r, 2);
    c = outer_at(1, &one);
    d = outer_at(2, &two);
    q = call_worker(c, 1);
    assign();
    stand_in_up(FIRST);
    ends(task_of(c, q));
    q = call_worker(d, 2);
    assign();
    ck_assert_uint_eq(rig_find(&r, ACT_STOP, 0)->worker, FIRST);
    rig_clear(&r);
    rig_dies(&r, FIRST, 0, 0);
    assign();
    stand_in_up(FIRST);
    ck_assert_uint_eq(where(d, q), FIRST);
    rig_end(&r);
}
END_TEST

START_TEST(the_lender_dies)
{
    struct task *outer;
    uint64_t q;
    uint32_t c, outside;

    setup(1);
    outer_at(1, &outer);
    c = inside(outer);
    q = call(c, "m.f");
    (void)call(c, "m.f");
    assign();
    stand_in_up(FIRST);
    outside = r.client;
    r.client = c;
    rig_dies(&r, 1, 9, 0);
    r.client = outside;
    ck_assert_uint_eq(where(c, q), FIRST);
    ck_assert_ptr_null(task_of(c, q)->lender);
    rig_clear(&r);
    core_client_gone(r.core, r.now, c, &r.out);
    rig_check(&r);
    ck_assert_uint_eq(r.core->n_nested, 0);
    ck_assert_uint_eq(rig_revoke(&r, false), 1); /* what runs is told to stop */
    ck_assert_uint_eq(rig_find(&r, ACT_CANCEL, 0)->worker, FIRST);
    rig_clear(&r);
    rig_tick(&r, r.limits.kill_grace_us);
    ck_assert_uint_eq(rig_find(&r, ACT_KILL, 0)->worker, FIRST);
    rig_dies(&r, FIRST, 9, 0);
    ck_assert_uint_eq(r.core->n_stand_ins, 0);
    rig_end(&r);
}
END_TEST

START_TEST(an_idle_one_goes_with_its_worker)
{
    struct task *outer;
    uint64_t q;
    uint32_t c;

    setup(1);
    c = outer_at(1, &outer);
    q = call(c, "m.f");
    assign();
    stand_in_up(FIRST);
    ends(task_of(c, q));
    rig_dies(&r, 1, 9, 0);
    ck_assert_uint_eq(rig_find(&r, ACT_STOP, 0)->worker, FIRST);
    rig_tick(&r, r.limits.kill_grace_us);
    ck_assert_uint_eq(rig_find(&r, ACT_KILL, 0)->worker, FIRST);
    rig_end(&r);
}
END_TEST

START_TEST(the_worker_is_removed)
{
    struct task *outer;
    uint64_t runs, waits;
    uint32_t c;

    setup(2);
    c = outer_at(1, &outer);
    runs = call_worker(c, 1);
    assign();
    stand_in_up(FIRST);
    waits = call_worker(c, 1);
    core_workers_remove(r.core, r.now, r.client, ++r.request, 1, &r.out);
    rig_check(&r);
    rig_failure(&r, waits, PTOOLS_ERR_NO_WORKER);
    ck_assert_uint_eq(where(c, runs), FIRST); /* it is done to its end */
    rig_clear(&r);
    waits = call(c, "m.f");
    assign();
    ck_assert_uint_eq(where(c, waits), 2);
    ends(task_of(c, runs));
    ck_assert_uint_eq(rig_find(&r, ACT_STOP, 0)->worker, FIRST);
    ends(outer);
    rig_dies(&r, 1, 0, 0);
    rig_dies(&r, FIRST, 0, 0);
    ck_assert_ptr_null(rig_worker(&r, 1));
    ck_assert_uint_eq(r.core->n_stand_ins, 0);
    rig_end(&r);
}
END_TEST

START_TEST(the_outer_task_ends_first)
{
    struct task *outer;
    uint64_t q;
    uint32_t c;

    setup(1);
    c = outer_at(1, &outer);
    q = call(c, "m.f");
    assign();
    ck_assert_uint_eq(spawned(0), FIRST);
    ends(outer); /* it did not wait for it */
    ck_assert_ptr_null(task_of(c, q)->lender);
    assign();
    ck_assert_uint_eq(where(c, q), 1);
    core_client_inside(r.core, c, 1, 0);
    q = call(c, "m.f"); /* what is left behind in the process of a worker, by no task, is a client like others */
    ck_assert_uint_eq(task_of(c, q)->depth, 0);
    rig_end(&r);
}
END_TEST

START_TEST(one_that_does_not_come_up)
{
    struct task *outer;
    uint64_t q;
    uint32_t c;

    setup(1);
    c = outer_at(1, &outer);
    q = call(c, "m.f");
    assign();
    ck_assert_uint_eq(spawned(0), FIRST);
    rig_clear(&r);
    rig_dies(&r, FIRST, 11, 0);
    assign();
    ck_assert_uint_eq(spawned(0), 0); /* not at once */
    rig_tick(&r, r.limits.backoff_min_us);
    assign();
    rig_clear(&r);
    rig_ready(&r, FIRST);
    assign();
    ck_assert_uint_eq(where(c, q), FIRST);
    rig_dies(&r, FIRST, 11, 0); /* before it began the call, which goes back */
    assign();
    stand_in_up(FIRST);
    ck_assert_uint_eq(where(c, q), FIRST);
    rig_end(&r);
}
END_TEST

START_TEST(nothing_is_given_ahead_to_one_that_waits)
{
    struct task *outer;
    uint64_t q;
    uint32_t c;

    setup(1);
    q = rig_call(&r, "m.short");
    assign();
    outer = rig_task(&r, q);
    c = inside(outer);
    rig_clear(&r);
    q = call(c, "m.short");
    assign();
    ck_assert_uint_eq(where(c, q), 0);
    stand_in_up(FIRST);
    ck_assert_uint_eq(where(c, q), FIRST);
    q = call(c, "m.short"); /* nor to a stand-in */
    assign();
    ck_assert_uint_eq(where(c, q), 0);
    rig_end(&r);
}
END_TEST

START_TEST(from_a_server_task)
{
    struct task *outer;
    uint64_t q;
    uint32_t c;

    setup(2);
    outer_at(1, &outer);
    outer_at(2, &outer);
    ck_assert_int_eq(core_client_add(r.core, 1000, &c), 0);
    core_client_inside(r.core, c, STASK_PROCESS_BIT | 7, 99);
    q = call(c, "m.f");
    (void)call(c, "m.f");
    assign();
    stand_in_up(FIRST);
    ck_assert_uint_eq(where(c, q), FIRST);
    ck_assert_uint_eq(task_of(c, q)->depth, 1);
    rig_end(&r);
}
END_TEST

START_TEST(none_is_started_at_the_end)
{
    struct task *outer;
    uint64_t q;
    uint32_t c;

    setup(1);
    c = outer_at(1, &outer);
    q = call(c, "m.f");
    core_drain(r.core, r.now, false, &r.out);
    assign();
    rig_failure(&r, q, PTOOLS_ERR_DRAINING);
    ck_assert_uint_eq(spawned(0), 0);
    rig_end(&r);
}
END_TEST

START_TEST(a_stand_in_has_no_name)
{
    struct task *outer;
    uint32_t c;
    uint64_t q;
    struct core_worker_view v;
    struct core_stats stats;

    setup(1);
    c = outer_at(1, &outer);
    call(c, "m.f");
    assign();
    stand_in_up(FIRST);
    q = rig_call_worker(&r, "m.f", FIRST);
    rig_failure(&r, q, PTOOLS_ERR_NO_WORKER);
    core_workers_remove(r.core, r.now, r.client, ++r.request, FIRST, &r.out);
    rig_failure(&r, r.request, PTOOLS_ERR_NO_WORKER);
    ck_assert_uint_eq(rig_set(&r, SET_FF, NULL, (uint32_t[]){ FIRST, 0 }), 0);
    core_view_stats(r.core, &stats);
    ck_assert_uint_eq(stats.workers, 1);
    ck_assert_uint_eq(stats.stand_ins, 1);
    ck_assert(core_view_worker(r.core, 1, &v));
    ck_assert_uint_eq(v.id, FIRST);
    ck_assert_uint_eq(v.stands_for, 1);
    ck_assert(!core_view_worker(r.core, 2, &v));
    rig_end(&r);
}
END_TEST

/* -- at random ---------------------------------------------------------------------------------------------- */

enum { ROUNDS = 60, EVENTS = 400, WORLD_WORKERS = 3, CLIENTS = 96 };

static uint64_t dice_state;

static uint32_t dice(uint32_t below)
{
    dice_state = dice_state * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (uint32_t)(dice_state >> 33) % below;
}

/* Recalls are answered at once. */
static void told(void)
{
    rig_check(&r);
    (void)rig_revoke(&r, dice(2));
}

static struct {
    uint32_t id;
    uint64_t outer; /* the task that it is inside of; 0: it is a stranger */
    uint32_t worker;
} clients[CLIENTS];
static size_t n_clients;

static void client_leaves(size_t i)
{
    core_client_gone(r.core, r.now, clients[i].id, &r.out);
    clients[i] = clients[--n_clients];
    told();
}

/* Those that were inside of it. */
static void task_left(uint64_t outer)
{
    for (size_t i = n_clients; outer && i > 0; i--)
        if (i <= n_clients && clients[i - 1].outer == outer)
            client_leaves(i - 1);
}

static struct worker *some_process(bool with_task)
{
    const uint32_t n = r.core->n_workers + r.core->n_stand_ins, first = n ? dice(n) : 0;

    for (uint32_t i = 0; i < n; i++) {
        struct worker *w = worker_at(r.core, (first + i) % n);

        if (with_task ? w->held != NULL : w->state != WORKER_DEAD)
            return w;
    }
    return NULL;
}

static void world_call(void)
{
    size_t who = dice((uint32_t)n_clients);
    struct msg_call m = { .function = TEXT("m.f"), .detached = dice(20) == 0 };

    if (core_tasks(r.core) > 80)
        return;
    if (dice(3) == 0)
        m.function = TEXT("m.short");
    if (dice(4) == 0 && r.core->n_workers > 0)
        m.worker = r.core->workers[dice(r.core->n_workers)]->id;
    core_client_inside(r.core, clients[who].id, clients[who].worker, clients[who].outer);
    (void)rig_call_with(&r, clients[who].id, &m);
}

static void world_enter(void)
{
    struct worker *w = some_process(true);

    if (!w || w->state != WORKER_BUSY || n_clients == CLIENTS)
        return;
    w->held->begun = true; /* as the page would tell */
    ck_assert_int_eq(core_client_add(r.core, 1000, &clients[n_clients].id), 0);
    clients[n_clients].worker = w->id;
    clients[n_clients++].outer = w->held->id;
}

/* Whether the task of this worker waits for something. */
static bool is_outer(const struct worker *w)
{
    const struct task *t;

    DL_FOREACH2(w->nested, t, nested_next)
        if (t->outer == w->held->id)
            return true;
    return false;
}

static void world_done(bool patient)
{
    struct worker *w = some_process(true);
    uint64_t id;

    if (!w || w->state == WORKER_KILLED || (patient && is_outer(w)))
        return;
    id = w->held->id;
    ends(w->held);
    told();
    task_left(id);
}

static void world_dies(void)
{
    struct worker *w = some_process(false);
    const struct msg_failure facts = { .code = PTOOLS_ERR_WORKER_DIED, .signal = 9 };
    uint64_t held = w && w->held ? w->held->id : 0;

    if (!w)
        return;
    core_worker_gone(r.core, r.now, w->id, &facts, &held, held ? 1 : 0, &r.out);
    told();
    if (held)
        task_left(held);
}

/* Processes that were asked for come up, those that were asked to end or killed do. */
static void world_processes(void)
{
    for (size_t i = 0; i < r.core->n_workers + r.core->n_stand_ins; i++) {
        struct worker *w = worker_at(r.core, i);
        const struct msg_failure facts = { .code = PTOOLS_ERR_WORKER_DIED, .exited = true };
        const uint64_t held = w->held ? w->held->id : 0;

        if (w->state == WORKER_STARTING) {
            rig_ready(&r, w->id);
        } else if (w->state == WORKER_LEAVING || w->state == WORKER_KILLED) {
            core_worker_gone(r.core, r.now, w->id, &facts, &held, held ? 1 : 0, &r.out);
            told();
            task_left(held);
            i = (size_t)-1; /* it may be gone */
        }
    }
}

static void world_turn(void)
{
    size_t n;

    do {
        n = r.out.n;
        rig_assign(&r);
        (void)rig_revoke(&r, dice(2));
    } while (r.out.n > n);
    rig_clear(&r);
}

static void world_event(void)
{
    const uint32_t d = dice(100);
    struct worker *w;

    if (d < 40)
        world_call();
    else if (d < 55)
        world_enter();
    else if (d < 80)
        world_done(true);
    else if (d < 83)
        world_done(false);
    else if (d < 85)
        world_dies();
    else if (d < 92)
        rig_tick(&r, dice(1500000));
    else if (d < 94)
        core_workers_add(r.core, r.now, r.client, ++r.request, 1, &r.out);
    else if (d < 95 && r.core->n_workers > 1)
        core_workers_remove(r.core, r.now, r.client, ++r.request, r.core->workers[dice(r.core->n_workers)]->id, &r.out);
    else if (d < 96 && (w = some_process(true)))
        core_stop_task(r.core, r.now, w->held, STOP_CANCEL, &r.out);
    else
        world_processes();
    told();
}

/* All functions return as soon as what they wait for has ended: everything comes to its end. */
static void world_end(void)
{
    for (unsigned i = 0; core_tasks(r.core) > 0; i++) {
        ck_assert_msg(i < 20000, "%" PRIu64 " tasks wait for ever, %" PRIu64 " of them nested", core_tasks(r.core),
                      r.core->n_nested);
        world_turn();
        world_processes();
        world_done(true);
        if (i % 64 == 63) {
            rig_tick(&r, 600000);
            told();
        }
    }
    while (n_clients > 1)
        client_leaves(n_clients - 1);
    for (unsigned i = 0; r.core->n_stand_ins > 0; i++) {
        ck_assert_msg(i < 100, "%" PRIu32 " stand-ins stay", r.core->n_stand_ins);
        world_turn();
        world_processes();
        rig_tick(&r, IDLE_US);
    }
}

START_TEST(at_random)
{
    uint32_t most = 0;

    for (uint64_t round = 0; round < ROUNDS; round++) {
        dice_state = round;
        rig_limits(&r);
        r.limits.stand_ins_max = 1 + dice(6);
        r.limits.recycle_tasks = dice(2) ? 0 : 7;
        rig_start(&r, 1 + dice(WORLD_WORKERS));
        clients[0].id = r.client;
        clients[0].outer = clients[0].worker = 0;
        n_clients = 1;
        for (unsigned i = 0; i < EVENTS; i++) {
            world_event();
            if (dice(3))
                world_turn();
            most = MAX(most, r.core->n_stand_ins);
        }
        world_end();
        rig_clear(&r);
        rig_end(&r);
    }
    ck_assert_uint_eq(most, 6);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core nested");
    TCase *tc = suite_case(suite, "nested");

    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, three_deep_with_one_worker);
    tcase_add_test(tc, a_stand_in_is_used_again);
    tcase_add_test(tc, one_place_runs_one_call_at_a_time);
    tcase_add_test(tc, a_stand_in_runs_no_plain_call);
    tcase_add_test(tc, idle_workers_come_first);
    tcase_add_test(tc, pinned_and_round_robin);
    tcase_add_test(tc, a_cycle_is_refused);
    tcase_add_loop_test(tc, stand_ins_leave_when_modules_are_loaded_anew, 0, 2);
    tcase_add_test(tc, none_stands_for_one_that_is_not_in_the_set);
    tcase_add_test(tc, so_many_and_no_more);
    tcase_add_test(tc, an_idle_stand_in_makes_room);
    tcase_add_test(tc, the_lender_dies);
    tcase_add_test(tc, an_idle_one_goes_with_its_worker);
    tcase_add_test(tc, the_worker_is_removed);
    tcase_add_test(tc, the_outer_task_ends_first);
    tcase_add_test(tc, one_that_does_not_come_up);
    tcase_add_test(tc, nothing_is_given_ahead_to_one_that_waits);
    tcase_add_test(tc, from_a_server_task);
    tcase_add_test(tc, none_is_started_at_the_end);
    tcase_add_test(tc, a_stand_in_has_no_name);
    tcase_add_test(tc, at_random);
    return suite_run(suite);
}
