/* SPDX-License-Identifier: MIT */
/*
 * isolated -- batches whose items have processes of their own: which workers they are given to, which are replaced for
 * them, and that none is for nothing.
 */
#include <string.h>

#include <ptools/module.h>

#include "tests/unit/core/rig_queue.h"

static struct rig r;

static void setup(uint32_t workers)
{
    rig_limits(&r);
    rig_start(&r, workers);
    function_find(r.core, "m.g", 3)->flags |= PTOOLS_FN_TIDY;
}

static uint64_t isolated_of(uint32_t worker, uint32_t set, uint64_t map, bool init)
{
    const struct msg_call call = { .function = TEXT("m.f"),
                                   .worker = worker,
                                   .set_id = set,
                                   .items = 5,
                                   .isolated = true,
                                   .map = map,
                                   .init = init ? TEXT("m.g") : (struct text){ 0 } };

    return rig_call_with(&r, r.client, &call);
}

static uint64_t isolated(void)
{
    return isolated_of(0, 0, 0, false);
}

static void done(uint64_t q)
{
    AUTO(blob) records = blob_new("records", 7);
    struct task *t = rig_task(&r, q);

    if (t->batch)
        core_items(r.core, t->worker->id, t->id, t->batch->how.items, 0, records);
    rig_done(&r, q, 1000);
}

/* Until nothing more is to be done, as the daemon does. */
static void assign(void)
{
    size_t n;

    do {
        n = r.out.n;
        rig_assign(&r);
    } while (r.out.n > n);
}

static void run_there(const char *function, uint32_t worker)
{
    uint64_t q = rig_call_worker(&r, function, worker);

    assign();
    ck_assert_uint_eq(rig_where(&r, q), worker);
    done(q);
    rig_clear(&r);
}

/* Its process is being replaced, and then is. */
static void replaced(uint32_t worker)
{
    ck_assert_uint_eq(rig_count(&r, ACT_STOP), 1);
    ck_assert_uint_eq(rig_find(&r, ACT_STOP, 0)->worker, worker);
    ck_assert_int_eq(rig_worker(&r, worker)->state, WORKER_LEAVING);
    rig_clear(&r);
    rig_dies(&r, worker, 0, 0);
    ck_assert_uint_eq(rig_count(&r, ACT_SPAWN), 1);
    ck_has(rig_note(&r, NOTE_WORKER_RECYCLED)->text, "was replaced: isolated items need a process without traces");
    ck_assert_ptr_null(rig_note(&r, NOTE_WORKER_DIED));
    rig_clear(&r);
    assign();
    rig_ready(&r, worker);
    assign();
}

START_TEST(a_fresh_worker_takes_it_as_it_is)
{
    uint64_t q;

    setup(1);
    q = isolated();
    assign();
    ck_assert(rig_find(&r, ACT_RUN, 0)->batch.isolated);
    done(q);
    rig_clear(&r);
    run_there("m.g", 1); /* tidy */
    q = isolated();
    assign();
    ck_assert_uint_eq(rig_where(&r, q), 1);
    ck_assert_uint_eq(rig_count(&r, ACT_STOP), 0);
    done(q);
    ck_assert_uint_eq(rig_worker(&r, 1)->recycled, 0);
    rig_end(&r);
}
END_TEST

START_TEST(one_that_has_run_others_is_replaced)
{
    uint64_t q;

    setup(1);
    run_there("m.f", 1);
    q = isolated();
    assign();
    ck_assert_uint_eq(rig_where(&r, q), 0);
    replaced(1);
    ck_assert_uint_eq(rig_where(&r, q), 1);
    ck_assert_uint_eq(rig_worker(&r, 1)->recycled, 1);
    ck_assert_uint_eq(rig_worker(&r, 1)->deaths, 0);
    done(q);
    q = isolated(); /* it is clean still */
    assign();
    ck_assert_uint_eq(rig_where(&r, q), 1);
    done(q);
    rig_end(&r);
}
END_TEST

START_TEST(a_clean_one_is_preferred)
{
    uint64_t q, other;

    setup(3);
    run_there("m.f", 1);
    run_there("m.f", 3);
    q = isolated(); /* the second is idle for longest; then the first is */
    assign();
    ck_assert_uint_eq(rig_where(&r, q), 2);
    done(q);
    rig_clear(&r);
    q = isolated();
    other = rig_call(&r, "m.f"); /* it does not have to wait for that */
    assign();
    ck_assert_uint_eq(rig_where(&r, q), 2);
    ck_assert_uint_eq(rig_where(&r, other), 1);
    ck_assert_uint_eq(rig_count(&r, ACT_STOP), 0);
    done(q);
    done(other);
    rig_end(&r);
}
END_TEST

START_TEST(one_is_replaced_for_each_and_others_go_on)
{
    uint64_t first, second, other;

    setup(3);
    for (uint32_t w = 1; w <= 3; w++)
        run_there("m.f", w);
    first = isolated();
    assign();
    ck_assert_uint_eq(rig_count(&r, ACT_STOP), 1); /* not all of them */
    second = isolated();
    other = rig_call(&r, "m.f");
    assign();
    ck_assert_uint_eq(rig_count(&r, ACT_STOP), 2);
    ck_assert_uint_eq(rig_where(&r, other), 3);
    rig_clear(&r);
    rig_dies(&r, 1, 0, 0);
    rig_dies(&r, 2, 0, 0);
    rig_ready(&r, 2);
    assign();
    ck_assert_uint_eq(rig_where(&r, second), 2);
    ck_assert_uint_eq(rig_where(&r, first), 0);
    rig_ready(&r, 1);
    assign();
    ck_assert_uint_eq(rig_where(&r, first), 1);
    done(first);
    done(second);
    done(other);
    rig_end(&r);
}
END_TEST

/* A call that is older would make the fresh process one that has to be replaced again. */
START_TEST(a_fresh_process_takes_first_what_it_was_made_for)
{
    uint64_t other, q;

    setup(1);
    run_there("m.f", 1);
    q = isolated_of(1, 0, 0, false);
    assign();
    ck_assert_uint_eq(rig_count(&r, ACT_STOP), 1);
    other = rig_call(&r, "m.f");
    replaced(1);
    ck_assert_uint_eq(rig_where(&r, q), 1);
    ck_assert_uint_eq(rig_where(&r, other), 0); /* and nothing is given behind it, for nobody knows how long it takes */
    done(q);
    assign();
    ck_assert_uint_eq(rig_where(&r, other), 1);
    done(other);
    rig_end(&r);
}
END_TEST

START_TEST(it_is_never_given_ahead)
{
    uint64_t running, q;

    setup(1);
    for (int i = 0; i < FUNCTION_RUNS_KNOWN; i++)
        function_ran(function_find(r.core, "m.f", 3), 1); /* as a call it takes a microsecond */
    running = rig_call(&r, "m.short");
    assign();
    q = isolated();
    assign();
    ck_assert_uint_eq(rig_where(&r, running), 1);
    ck_assert_uint_eq(rig_where(&r, q), 0);
    done(running);
    rig_clear(&r);
    assign();
    replaced(1);
    ck_assert_uint_eq(rig_where(&r, q), 1);
    done(q);
    ck_assert_uint_eq(function_usual_us(function_find(r.core, "m.f", 3)), 1); /* what forks take is not its time */
    rig_end(&r);
}
END_TEST

/* What the init function of a run has made may be seen by its own items. */
START_TEST(an_init_leaves_traces_for_others)
{
    uint64_t q;

    setup(1);
    for (int i = 0; i < 3; i++) {
        q = isolated_of(0, 0, 7, true);
        assign();
        ck_assert_uint_eq(rig_where(&r, q), 1);
        done(q);
    }
    rig_clear(&r);
    q = isolated_of(0, 0, 8, true); /* another run */
    assign();
    replaced(1);
    ck_assert_uint_eq(rig_where(&r, q), 1);
    done(q);
    rig_clear(&r);
    q = isolated_of(0, 0, 9, false);
    assign();
    replaced(1);
    done(q);
    rig_clear(&r);
    q = isolated_of(0, 0, 0, true); /* of no run: it runs before each batch */
    assign();
    done(q);
    rig_clear(&r);
    q = isolated_of(0, 0, 0, true);
    assign();
    replaced(1);
    done(q);
    rig_end(&r);
}
END_TEST

/* It gets another task as soon as that is recorded. */
START_TEST(one_that_is_taken_is_not_waited_for)
{
    const uint32_t two = 2;
    uint64_t q;

    rig_limits(&r);
    rig_queue_start(&r, 2);
    run_there("m.f", 1);
    rig_queued(&r, SUBMIT(.n_workers = 1, .workers = (uint32_t *)&two, .durability = TASK_CRASHSAFE));
    assign();
    ck_assert_uint_eq(rig_worker(&r, 2)->n_booked, 1);
    rig_clear(&r);
    q = isolated();
    assign();
    replaced(1);
    ck_assert_uint_eq(rig_where(&r, q), 1);
    done(q);
    rig_end(&r);
}
END_TEST

START_TEST(it_waits_elsewhere_if_no_process_comes_up)
{
    uint64_t q;

    setup(2);
    run_there("m.f", 1);
    run_there("m.f", 2);
    q = isolated();
    assign();
    ck_assert_uint_eq(rig_find(&r, ACT_STOP, 0)->worker, 1);
    rig_dies(&r, 1, 0, 0);
    rig_clear(&r);
    rig_dies(&r, 1, 11, 0); /* before it was ready */
    ck_assert_ptr_nonnull(rig_note(&r, NOTE_BACKOFF));
    rig_clear(&r);
    assign();
    replaced(2);
    ck_assert_uint_eq(rig_where(&r, q), 2);
    done(q);
    rig_end(&r);
}
END_TEST

START_TEST(it_waits_elsewhere_if_the_old_one_does_not_end)
{
    uint64_t q;

    setup(2);
    run_there("m.f", 1);
    run_there("m.f", 2);
    q = isolated();
    assign();
    rig_clear(&r);
    rig_tick(&r, r.limits.kill_grace_us);
    ck_assert_uint_eq(rig_count(&r, ACT_KILL), 1);
    rig_clear(&r);
    assign();
    replaced(2);
    ck_assert_uint_eq(rig_where(&r, q), 2);
    done(q);
    rig_end(&r);
}
END_TEST

START_TEST(one_that_ends_before_is_waited_for_by_nobody)
{
    uint64_t q, other;

    setup(1);
    run_there("m.f", 1);
    q = isolated();
    assign();
    rig_cancel(&r, q);
    rig_failure(&r, q, PTOOLS_ERR_CANCELLED);
    other = rig_call(&r, "m.f");
    rig_clear(&r);
    rig_dies(&r, 1, 0, 0);
    rig_ready(&r, 1);
    assign();
    ck_assert_uint_eq(rig_where(&r, other), 1);
    done(other);
    q = isolated();
    rig_clear(&r);
    assign();
    core_workers_remove(r.core, r.now, r.client, ++r.request, 1, &r.out); /* in the middle of it, and the last one */
    rig_check(&r);
    rig_failure(&r, q, PTOOLS_ERR_NO_WORKER);
    rig_dies(&r, 1, 0, 0);
    rig_end(&r);
}
END_TEST

START_TEST(sets_are_kept_to)
{
    uint32_t first_free, round_robin;
    uint64_t q;

    setup(3);
    first_free = rig_set(&r, SET_FF, NULL, (const uint32_t[]){ 2, 0 });
    round_robin = rig_set(&r, SET_RR, NULL, (const uint32_t[]){ 3, 0 });
    run_there("m.f", 2);
    run_there("m.f", 3);
    q = isolated_of(0, first_free, 0, false); /* the first worker is clean, but not of the set */
    assign();
    replaced(2);
    ck_assert_uint_eq(rig_where(&r, q), 2);
    done(q);
    rig_clear(&r);
    q = isolated_of(0, round_robin, 0, false);
    assign();
    replaced(3);
    ck_assert_uint_eq(rig_where(&r, q), 3);
    done(q);
    rig_end(&r);
}
END_TEST

/* -- at random ----------------------------------------------------------------------------------------------------- */

enum { POOL = 5, STEPS = 20000, OPEN_MAX = 30, MAPS = 3 };
#define OF_MANY UINT64_MAX

static struct {
    uint64_t random;
    uint64_t open[OPEN_MAX]; /* requests without an answer */
    size_t n_open;
    uint64_t traces[POOL + 1]; /* by worker: of the init function of that run; 0; OF_MANY */
    uint64_t runs, stops;
} x;

static uint64_t below(uint64_t n)
{
    x.random = x.random * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (x.random >> 33) % n;
}

static void check_run(const struct action *a)
{
    uint64_t *traces = &x.traces[a->worker];
    uint64_t its = a->batch.items && a->batch.isolated ? a->batch.init[0] ? a->batch.map : 0
                   : strcmp(a->function, "m.g") == 0   ? 0
                                                       : OF_MANY;

    if (a->batch.items && a->batch.isolated) {
        ck_assert_msg(*traces == 0 || *traces == a->batch.map, "an isolated batch is given to a process with traces");
        x.runs++;
    }
    if (its)
        *traces = *traces == 0 || *traces == its ? its : OF_MANY;
}

/* The daemon does what the core wants, until that wants nothing more. */
static void carry_out(void)
{
    for (size_t i = 0; i < r.out.n; i++) {
        const struct action a = r.out.v[i];
        struct worker *w = a.worker ? rig_worker(&r, a.worker) : NULL;
        bool taken;

        switch (a.type) {
        case ACT_RUN:
            check_run(&a);
            break;
        case ACT_STOP:
            x.stops++;
            break;
        case ACT_SPAWN:
            x.traces[a.worker] = 0;
            break;
        case ACT_REVOKE:
            taken = w->held->id != a.task && below(4);
            core_revoked(r.core, r.now, a.worker, a.task, taken, &r.out);
            if (taken)
                core_worker_skipped(r.core, r.now, a.worker, a.task, &r.out);
            break;
        case ACT_CANCEL:
            core_worker_done(r.core, r.now, a.worker, a.task, 1, PTOOLS_ERR_CANCELLED, NULL, NULL, 1, 0, 0, &r.out);
            break;
        case ACT_ANSWER:
            for (size_t k = 0; k < x.n_open; k++)
                if (x.open[k] == a.answer.id)
                    x.open[k--] = x.open[--x.n_open];
            break;
        default:
            break;
        }
    }
    rig_check(&r);
    rig_clear(&r);
}

static void submit(uint32_t first_free, uint32_t round_robin)
{
    const bool isolated_one = below(2);
    struct msg_call call = { .function = below(3) ? TEXT("m.f") : TEXT("m.g"), .isolated = isolated_one };

    if (x.n_open == OPEN_MAX)
        return;
    call.items = isolated_one || below(2) ? 1 + (uint32_t)below(9) : 0;
    if (call.items && below(3) == 0) {
        call.map = 1 + below(MAPS);
        call.init = TEXT("m.g");
    }
    if (below(4) == 0)
        call.set_id = below(2) ? first_free : round_robin;
    if (call.set_id == 0 && below(6) == 0)
        call.worker = 1 + (uint32_t)below(POOL);
    x.open[x.n_open++] = rig_call_with(&r, r.client, &call);
}

/* What may become of a worker, as it is; calm: nothing bad. */
static void step_worker(uint32_t id, bool calm)
{
    struct worker *w = rig_worker(&r, id);

    switch (w->state) {
    case WORKER_STARTING:
        if (calm || below(8))
            rig_ready(&r, id);
        else
            rig_dies(&r, id, 11, 0);
        return;
    case WORKER_LEAVING:
        if (calm || below(3))
            rig_dies(&r, id, 0, 0);
        return;
    case WORKER_KILLED:
        core_worker_gone(r.core, r.now, id, &(struct msg_failure){ .code = PTOOLS_ERR_WORKER_DIED, .signal = 9 },
                         w->held ? &w->held->id : NULL, w->held != NULL, &r.out);
        return;
    case WORKER_IDLE:
        if (!calm && below(50) == 0)
            rig_dies(&r, id, 9, 0);
        return;
    case WORKER_BUSY:
        if (!calm && below(20) == 0)
            core_worker_gone(r.core, r.now, id, &(struct msg_failure){ .code = PTOOLS_ERR_WORKER_DIED, .signal = 9 },
                             &w->held->id, 1, &r.out);
        else if (w->held->state == TASK_GIVEN)
            core_worker_done(r.core, r.now, id, w->held->id, 1, PTOOLS_OK, &(struct core_value){ 0 }, NULL, below(3000),
                             0, 0, &r.out);
        return;
    default:
        return;
    }
}

START_TEST(whatever_happens_only_clean_ones_are_given_one)
{
    uint32_t first_free, round_robin;

    setup(POOL);
    memset(&x, 0, sizeof x);
    x.random = (uint64_t)_i + 1;
    first_free = rig_set(&r, SET_FF, NULL, (const uint32_t[]){ 1, 2, 3, 0 });
    round_robin = rig_set(&r, SET_RR, NULL, (const uint32_t[]){ 2, 4, 5, 0 });
    rig_clear(&r);
    for (int step = 0; step < STEPS; step++) {
        switch (below(6)) {
        case 0:
        case 1:
            submit(first_free, round_robin);
            break;
        case 2:
            if (x.n_open > 0 && below(4) == 0)
                rig_cancel(&r, x.open[below(x.n_open)]);
            break;
        case 3:
            rig_tick(&r, below(8) == 0 ? r.limits.kill_grace_us : below(5000));
            break;
        default:
            step_worker(1 + (uint32_t)below(POOL), false);
        }
        carry_out();
        assign();
        carry_out();
    }
    for (int step = 0; step < STEPS && x.n_open > 0; step++) { /* and all come to an end */
        rig_tick(&r, r.limits.backoff_max_us);
        step_worker(1 + (uint32_t)below(POOL), true);
        carry_out();
        assign();
        carry_out();
    }
    ck_assert_uint_eq(x.n_open, 0);
    ck_assert_uint_gt(x.runs, 500);
    ck_assert_uint_gt(x.stops, 100);
    ck_assert_uint_lt(x.stops, 2 * x.runs);
    rig_end(&r);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core/isolated");
    TCase *tc = suite_case(suite, "isolated");

    tcase_add_test(tc, a_fresh_worker_takes_it_as_it_is);
    tcase_add_test(tc, one_that_has_run_others_is_replaced);
    tcase_add_test(tc, a_clean_one_is_preferred);
    tcase_add_test(tc, one_is_replaced_for_each_and_others_go_on);
    tcase_add_test(tc, a_fresh_process_takes_first_what_it_was_made_for);
    tcase_add_test(tc, it_is_never_given_ahead);
    tcase_add_test(tc, an_init_leaves_traces_for_others);
    tcase_add_test(tc, one_that_is_taken_is_not_waited_for);
    tcase_add_test(tc, it_waits_elsewhere_if_no_process_comes_up);
    tcase_add_test(tc, it_waits_elsewhere_if_the_old_one_does_not_end);
    tcase_add_test(tc, one_that_ends_before_is_waited_for_by_nobody);
    tcase_add_test(tc, sets_are_kept_to);
    tcase_add_loop_test(tc, whatever_happens_only_clean_ones_are_given_one, 0, 8);
    return suite_run(suite);
}
