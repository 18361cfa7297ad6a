/* SPDX-License-Identifier: MIT */
/* qtask -- the table, the order in which queued tasks run, fairness, targets. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "tests/unit/core/rig_queue.h"

static struct rig r;

static void setup(uint32_t workers)
{
    rig_limits(&r);
    r.limits.ahead_max = 1;
    rig_queue_start(&r, workers);
}

/* Runs what is there on one worker, one after another; the order. */
static size_t drain(uint64_t *ids, size_t n)
{
    size_t done = 0;

    while (done < n) {
        rig_clear(&r);
        rig_assign(&r);
        if (rig_runs(&r, &ids[done], 1) == 0)
            break;
        rig_qdone(&r, ids[done++]);
    }
    return done;
}

START_TEST(the_table)
{
    static const struct {
        enum qtask_state from;
        enum qtask_event event;
        enum qtask_state to;
    } steps[] = {
        { QT_NEW, QE_HOLD, QT_HELD },        { QT_NEW, QE_RECORD, QT_RECORDING },
        { QT_NEW, QE_ACCEPT, QT_WAITING },   { QT_HELD, QE_RECORD, QT_RECORDING },
        { QT_HELD, QE_ACCEPT, QT_WAITING },  { QT_RECORDING, QE_ACCEPT, QT_WAITING },
        { QT_WAITING, QE_WAIT, QT_WAITING }, { QT_WAITING, QE_READY, QT_QUEUED },
        { QT_WAITING, QE_END, QT_ENDING },   { QT_QUEUED, QE_WAIT, QT_WAITING },
        { QT_QUEUED, QE_READY, QT_QUEUED },  { QT_QUEUED, QE_GIVE, QT_GIVEN },
        { QT_QUEUED, QE_END, QT_ENDING },    { QT_GIVEN, QE_WAIT, QT_WAITING },
        { QT_GIVEN, QE_BACK, QT_WAITING },   { QT_GIVEN, QE_END, QT_ENDING },
        { QT_ENDING, QE_SETTLE, QT_ENDED },  { QT_ENDED, QE_RERUN, QT_WAITING },
    };
    size_t possible = 0;

    for (size_t i = 0; i < ELEMENTS(steps); i++)
        ck_assert_int_eq(qtask_next(steps[i].from, steps[i].event), steps[i].to);
    for (int s = 0; s < QT_STATES; s++)
        for (int e = 0; e < QTASK_EVENTS; e++)
            possible += qtask_next((enum qtask_state)s, (enum qtask_event)e) != QT_STATES;
    ck_assert_uint_eq(possible, ELEMENTS(steps)); /* and no others */
}
END_TEST

START_TEST(an_impossible_step_is_refused)
{
    uint64_t id;

    setup(1);
    id = rig_queued(&r, SUBMIT());
    rig_clear(&r);
    ck_assert(!qtask_step(r.core, rig_qtask(&r, id), QE_SETTLE, &r.out));
    ck_has(rig_find(&r, ACT_BUG, 0)->text, "refused: event settle for a queued task that is queued");
    actions_clear(&r.out);
    rig_end(&r);
}
END_TEST

START_TEST(lower_runs_first_and_equals_in_order)
{
    uint64_t q[8], ran[8];

    setup(1);
    q[0] = rig_queued(&r, SUBMIT()); /* +infinity */
    q[1] = rig_queued(&r, SUBMIT(.has_priority = true, .priority = 5));
    q[2] = rig_queued(&r, SUBMIT(.has_priority = true, .priority = -1e300));
    q[3] = rig_queued(&r, SUBMIT());
    q[4] = rig_queued(&r, SUBMIT(.has_priority = true, .priority = 5));
    q[5] = rig_queued(&r, SUBMIT(.has_priority = true, .priority = -0.0));
    q[6] = rig_queued(&r, SUBMIT(.has_priority = true, .priority = 0.0));
    q[7] = rig_queued(&r, SUBMIT(.has_priority = true, .priority = -INFINITY));
    ck_assert_uint_eq(drain(ran, 8), 8);
    ck_assert_uint_eq(ran[0], q[7]);
    ck_assert_uint_eq(ran[1], q[2]);
    ck_assert_uint_eq(ran[2], q[5]);
    ck_assert_uint_eq(ran[3], q[6]);
    ck_assert_uint_eq(ran[4], q[1]);
    ck_assert_uint_eq(ran[5], q[4]);
    ck_assert_uint_eq(ran[6], q[0]);
    ck_assert_uint_eq(ran[7], q[3]);
    rig_end(&r);
}
END_TEST

START_TEST(own_host_and_any_are_compared_by_their_best)
{
    static const uint32_t one[] = { 1 };
    struct text here[] = { TEXT("HERE") };
    uint64_t any, own, host, ran[3];

    setup(1);
    any = rig_queued(&r, SUBMIT(.has_priority = true, .priority = 2));
    own = rig_queued(&r, SUBMIT(.n_workers = 1, .workers = (uint32_t *)one, .has_priority = true, .priority = 3));
    host = rig_queued(&r, SUBMIT(.n_hosts = 1, .hosts = here, .has_priority = true, .priority = 1));
    ck_assert_uint_eq(drain(ran, 3), 3);
    ck_assert_uint_eq(ran[0], host);
    ck_assert_uint_eq(ran[1], any);
    ck_assert_uint_eq(ran[2], own);
    rig_end(&r);
}
END_TEST

START_TEST(a_flood_does_not_starve_another_client)
{
    uint64_t first = 0, few[3], ran[8];
    uint32_t other;

    setup(1);
    ck_assert_int_eq(core_client_add(r.core, 1000, &other), 0);
    for (int i = 0; i < 100; i++) {
        uint64_t id = rig_queued(&r, SUBMIT());

        first = first ? first : id;
    }
    for (int i = 0; i < 3; i++)
        few[i] = rig_queue_id(&r, rig_queue_of(&r, other, SUBMIT(), NULL));
    ck_assert_uint_eq(drain(ran, 6), 6);
    ck_assert_uint_eq(ran[0], first);
    ck_assert_uint_eq(ran[1], few[0]); /* each in turn */
    ck_assert_uint_eq(ran[2], first + 1);
    ck_assert_uint_eq(ran[3], few[1]);
    ck_assert_uint_eq(ran[5], few[2]);
    rig_end(&r);
}
END_TEST

/* One of a flood's tasks is served before all others, for its priority: another client still has its turn. */
START_TEST(a_priority_behind_a_flood_does_not_starve_another_client)
{
    uint64_t first = 0, last = 0, others[2], ran[4];
    uint32_t other;

    setup(1);
    ck_assert_int_eq(core_client_add(r.core, 1000, &other), 0);
    for (int i = 0; i < 100; i++) {
        last = rig_queued(&r, SUBMIT());
        first = first ? first : last;
    }
    rig_queued(&r, SUBMIT(.has_priority = true, .priority = 0));
    ck_assert_uint_eq(drain(ran, 1), 1);
    ck_assert_uint_eq(ran[0], last + 1);
    others[0] = rig_queue_id(&r, rig_queue_of(&r, other, SUBMIT(), NULL));
    core_priorities(r.core, r.now, r.client, ++r.request, (const uint8_t *)&(struct msg_priority){ last, -1 },
                    sizeof(struct msg_priority), &r.out);
    ck_assert_uint_eq(drain(ran, 3), 3);
    ck_assert_uint_eq(ran[0], last); /* the last of the flood is moved forward */
    ck_assert_uint_eq(ran[1], first);
    ck_assert_uint_eq(ran[2], others[0]);
    others[1] = rig_queue_id(&r, rig_queue_of(&r, other, SUBMIT(), NULL));
    ck_assert_uint_eq(drain(ran, 2), 2);
    ck_assert_uint_eq(ran[0], first + 1);
    ck_assert_uint_eq(ran[1], others[1]);
    rig_end(&r);
}
END_TEST

/* The flood is for one worker, and one more for another, who is idle. */
START_TEST(a_flood_for_one_worker_does_not_starve_another_client)
{
    const uint32_t busy = 1, idle = 2;
    uint64_t first = 0, few, ran[3];
    uint32_t other;

    setup(2);
    ck_assert_int_eq(core_client_add(r.core, 1000, &other), 0);
    for (int i = 0; i < 100; i++) {
        const uint64_t id = rig_queued(&r, SUBMIT(.n_workers = 1, .workers = (uint32_t *)&busy));

        first = first ? first : id;
    }
    rig_assign(&r);
    rig_qdone(&r, first);
    rig_queued(&r, SUBMIT(.n_workers = 1, .workers = (uint32_t *)&idle));
    rig_clear(&r);
    rig_assign(&r);
    ck_assert_uint_eq(rig_runs(&r, ran, 3), 2);
    few = rig_queue_id(&r, rig_queue_of(&r, other, SUBMIT(.n_workers = 1, .workers = (uint32_t *)&busy), NULL));
    rig_qdone(&r, first + 1);
    ck_assert_uint_eq(drain(ran, 2), 2);
    ck_assert_uint_eq(ran[0], first + 2);
    ck_assert_uint_eq(ran[1], few);
    rig_end(&r);
}
END_TEST

/* One program after another, for any worker and for the only one: in the order queued. */
START_TEST(one_shots_for_different_targets_run_in_order)
{
    const uint32_t one = 1;
    uint64_t ids[8], ran[8];

    setup(1);
    for (int i = 0; i < 20; i++)
        rig_queued(&r, SUBMIT());
    ck_assert_uint_eq(drain(ids, 1) + drain(ids, 8) + drain(ids, 8) + drain(ids, 3), 20);
    for (int i = 0; i < 8; i++) {
        uint32_t other;

        ck_assert_int_eq(core_client_add(r.core, 1000, &other), 0);
        ids[i] = rig_queue_id(
            &r, rig_queue_of(&r, other, i % 3 ? SUBMIT() : SUBMIT(.n_workers = 1, .workers = (uint32_t *)&one), NULL));
        core_client_gone(r.core, r.now, other, &r.out);
    }
    ck_assert_uint_eq(drain(ran, 8), 8);
    ck_assert_mem_eq(ran, ids, sizeof ran);
    rig_end(&r);
}
END_TEST

START_TEST(many_clients_with_one_task_each_run_in_order)
{
    uint64_t q[10], ran[10];

    setup(1);
    for (int i = 0; i < 10; i++) {
        uint32_t client;

        ck_assert_int_eq(core_client_add(r.core, 1000, &client), 0);
        q[i] = rig_queue_id(&r, rig_queue_of(&r, client, SUBMIT(), NULL));
        core_client_gone(r.core, r.now, client, &r.out);
    }
    ck_assert_uint_eq(drain(ran, 10), 10);
    for (int i = 0; i < 10; i++)
        ck_assert_uint_eq(ran[i], q[i]);
    rig_end(&r);
}
END_TEST

/* Priorities are a user's own: whoever has least running comes next. */
START_TEST(users_share_the_workers)
{
    uint64_t ran[4], own = 0;
    uint32_t other;

    setup(2);
    ck_assert_int_eq(core_client_add(r.core, 1001, &other), 0);
    for (int i = 0; i < 50; i++)
        rig_queued(&r, SUBMIT(.has_priority = true, .priority = -1000));
    for (int i = 0; i < 2; i++)
        own = rig_queue_id(&r, rig_queue_of(&r, other, SUBMIT(), NULL));
    rig_clear(&r);
    rig_assign(&r);
    ck_assert_uint_eq(rig_runs(&r, ran, 4), 2);
    ck_assert_uint_eq(ran[1], own - 1);
    rig_clear(&r);
    rig_qdone(&r, ran[0]);
    rig_assign(&r);
    ck_assert_uint_eq(rig_runs(&r, ran, 4), 1);
    ck_assert_uint_lt(ran[0], own - 1); /* the other has one running, this one none */
    rig_end(&r);
}
END_TEST

START_TEST(calls_and_queued_tasks_take_turns)
{
    uint64_t ran[6];

    setup(1);
    for (int i = 0; i < 3; i++)
        rig_queued(&r, SUBMIT());
    for (int i = 0; i < 3; i++)
        rig_call(&r, "m.f");
    for (int i = 0; i < 6; i++) {
        rig_clear(&r);
        rig_assign(&r);
        ck_assert_uint_eq(rig_runs(&r, &ran[i], 1), 1);
        rig_qdone(&r, ran[i]);
        ck_assert_int_eq(qtask_find(r.core, ran[i]) != NULL, i % 2 == 0);
    }
    rig_end(&r);
}
END_TEST

/* Whoever's turn it is; and one of a call before what is queued. */
START_TEST(a_priority_goes_before_calls)
{
    const struct msg_call better = { .function = TEXT("m.f"), .has_priority = true, .priority = 1e8 };
    uint64_t ran[2], q, call;

    setup(1);
    rig_call(&r, "m.f");
    for (int i = 0; i < 3; i++) {
        q = rig_queued(&r, SUBMIT(.has_priority = true, .priority = 1e9));
        ck_assert_uint_eq(drain(ran, 1), 1);
        ck_assert_uint_eq(ran[0], q);
    }
    rig_queued(&r, SUBMIT(.has_priority = true, .priority = 1e9));
    for (int i = 0; i < 3; i++) {
        call = rig_call_with(&r, r.client, &better);
        rig_assign(&r);
        ck_assert_uint_eq(rig_where(&r, call), 1);
        rig_done(&r, call, 1000);
    }
    rig_end(&r);
}
END_TEST

START_TEST(ageing_lets_the_old_overtake)
{
    uint64_t old, young, ran[2];

    rig_limits(&r);
    r.limits.ahead_max = 1;
    r.limits.ageing = 1; /* a point a second */
    rig_queue_start(&r, 1);
    old = rig_queued(&r, SUBMIT(.has_priority = true, .priority = 10));
    rig_tick(&r, 20 * 1000000);
    young = rig_queued(&r, SUBMIT(.has_priority = true, .priority = 0));
    ck_assert_uint_eq(drain(ran, 2), 2);
    ck_assert_uint_eq(ran[0], old);
    ck_assert_uint_eq(ran[1], young);
    rig_end(&r);
}
END_TEST

/* -- targets -------------------------------------------------------------------------------------------- */

START_TEST(a_list_of_workers_is_one_of_them)
{
    static const uint32_t some[] = { 2, 2, 3 };
    uint64_t q[3];

    setup(3);
    for (int i = 0; i < 3; i++)
        q[i] = rig_queued(&r, SUBMIT(.n_workers = 3, .workers = (uint32_t *)some));
    ck_assert_ptr_eq(rig_qtask(&r, q[0])->set, rig_qtask(&r, q[2])->set); /* the same list: the same place */
    ck_assert_uint_eq(rig_qtask(&r, q[0])->set->n, 2);
    rig_clear(&r);
    rig_assign(&r);
    ck_assert_uint_eq(rig_count(&r, ACT_RUN), 2);
    ck_assert_uint_eq(rig_find(&r, ACT_RUN, 0)->worker, 2);
    ck_assert_uint_eq(rig_find(&r, ACT_RUN, 1)->worker, 3);
    for (int i = 0; i < 2; i++)
        rig_qdone(&r, q[i]);
    rig_assign(&r);
    rig_qdone(&r, q[2]);
    ck_assert_ptr_null(r.core->sets); /* it went with the last of them */
    rig_end(&r);
}
END_TEST

/* It waits for the one that there is, and is for the other as soon as that comes. */
START_TEST(a_list_names_one_that_comes_later)
{
    static const uint32_t some[] = { 1, 2 };
    uint64_t id;

    setup(1);
    rig_queued(&r, SUBMIT());
    rig_assign(&r);
    id = rig_queued(&r, SUBMIT(.n_workers = 2, .workers = (uint32_t *)some, .wait_target = true));
    ck_assert_uint_eq(rig_shown(&r, id), SHOWN_QUEUED);
    core_workers_add(r.core, r.now, r.client, ++r.request, 1, &r.out);
    rig_check(&r);
    ck_assert_uint_eq(rig_shown(&r, id), SHOWN_QUEUED);
    rig_ready(&r, 2);
    rig_assign(&r);
    ck_assert_uint_eq(rig_qtask(&r, id)->worker, 2);
    rig_qdone(&r, id);
    rig_end(&r);
}
END_TEST

/* Nobody keeps the set of another. */
START_TEST(a_list_is_of_its_user)
{
    static const uint32_t some[] = { 2, 3 };
    const struct qtask *q[2];
    uint32_t other;

    setup(3);
    ck_assert_int_eq(core_client_add(r.core, 1001, &other), 0);
    for (int i = 0; i < 2; i++)
        q[i] = rig_qtask(&r, rig_queue_id(&r, rig_queue_of(&r, i ? other : r.client,
                                                           SUBMIT(.n_workers = 2, .workers = (uint32_t *)some), NULL)));
    ck_assert_ptr_ne(q[0]->set, q[1]->set);
    rig_end(&r);
}
END_TEST

START_TEST(all_is_one_outcome_for_each)
{
    const struct action *a;
    uint64_t request, id, ran[3];

    setup(3);
    request = rig_queue(&r, SUBMIT(.target = TARGET_ALL));
    id = rig_queue_id(&r, request);
    a = rig_answer(&r, request);
    ck_assert_uint_eq(a->answer.reply.count, 3);
    rig_clear(&r);
    rig_assign(&r);
    ck_assert_uint_eq(rig_runs(&r, ran, 3), 3);
    for (uint32_t i = 0; i < 3; i++) {
        ck_assert_uint_eq(rig_find(&r, ACT_RUN, i)->worker, i + 1);
        ck_assert_uint_eq(ran[i], id + 1 + i);
    }
    ck_has(rig_why(&r, id), "3 of its 3 parts have not ended");
    rig_qdone(&r, id + 1);
    rig_qfailed(&r, id + 2, PTOOLS_ERR_FAILED, "no");
    ck_assert_uint_eq(rig_shown(&r, id), SHOWN_WAITING);
    rig_qdone(&r, id + 3);
    ck_assert_uint_eq(rig_shown(&r, id), SHOWN_FAILED);
    request = rig_result(&r, id);
    ck_has(rig_failure(&r, request, PTOOLS_ERR_PARTS), "1 of its 3 parts were not done");
    rig_end(&r);
}
END_TEST

START_TEST(unknown_targets_are_refused_or_waited_for)
{
    static const uint32_t nine[] = { 9 }, two[] = { 2 };
    struct text there[] = { TEXT("there") };
    uint64_t id;

    setup(1);
    ck_has(rig_failure(&r, rig_queue(&r, SUBMIT(.n_workers = 1, .workers = (uint32_t *)nine)), PTOOLS_ERR_NO_WORKER),
           "workers: no worker 9");
    ck_has(rig_failure(&r, rig_queue(&r, SUBMIT(.n_hosts = 1, .hosts = there)), PTOOLS_ERR_NO_WORKER),
           "this one is called here, here.example, 127.0.0.1");
    ck_has(rig_failure(&r, rig_queue(&r, SUBMIT(.set = TEXT("crew"))), PTOOLS_ERR_NO_SET), "set: no worker set crew");
    id = rig_queued(&r, SUBMIT(.n_hosts = 1, .hosts = there, .any_target = true));
    ck_assert_uint_eq(rig_shown(&r, id), SHOWN_QUEUED);
    id = rig_queued(&r, SUBMIT(.n_workers = 1, .workers = (uint32_t *)two, .wait_target = true));
    ck_assert_uint_eq(rig_shown(&r, id), SHOWN_WAITING);
    ck_has(rig_why(&r, id), "its target is not there: worker 2");
    core_workers_add(r.core, r.now, r.client, ++r.request, 1, &r.out);
    rig_check(&r);
    ck_assert_uint_eq(rig_shown(&r, id), SHOWN_QUEUED);
    id = rig_queued(&r, SUBMIT(.set = TEXT("crew"), .wait_target = true));
    ck_assert_uint_eq(rig_shown(&r, id), SHOWN_WAITING);
    ck_assert_uint_ne(rig_set(&r, SET_FF, "crew", (uint32_t[]){ 1, 0 }), 0);
    ck_assert_uint_eq(rig_shown(&r, id), SHOWN_QUEUED);
    rig_end(&r);
}
END_TEST

START_TEST(a_long_target_is_shown_whole)
{
    struct core_queued_view view;
    uint32_t workers[1024];
    struct text hosts[64];
    char whole[8192] = "workers";
    size_t n = strlen(whole);
    uint64_t id;

    setup(1);
    for (uint32_t i = 0; i < ELEMENTS(workers); i++) {
        workers[i] = 100000 + i;
        n += (size_t)snprintf(whole + n, sizeof whole - n, " %u", workers[i]);
    }
    id = rig_queued(&r, SUBMIT(.n_workers = ELEMENTS(workers), .workers = workers, .wait_target = true));
    ck_assert(core_view_queued(r.core, 1000, id, &view));
    ck_assert_str_eq(view.target, whole);
    ck_assert_str_eq(rig_why(&r, id), "its target is not there: workers 100000 100001 100002 100003 100004 100005 "
                                      "100006 100007 100008 100009 100010 100011 100012 100013 100014 ...");
    id = rig_queued(&r, SUBMIT(.set = TEXT("one"), .wait_target = true));
    ck_assert(core_view_queued(r.core, 1000, id, &view));
    ck_assert_str_eq(view.target, "set one");
    n = (size_t)snprintf(whole, sizeof whole, "host");
    for (size_t i = 0; i < ELEMENTS(hosts); i++) {
        hosts[i] = TEXT("a.host.that.is.far.away.and.has.a.name.of.some.length.example");
        n += (size_t)snprintf(whole + n, sizeof whole - n, " %s", hosts[i].data);
    }
    id = rig_queued(&r, SUBMIT(.n_hosts = ELEMENTS(hosts), .hosts = hosts, .wait_target = true));
    ck_assert(core_view_queued(r.core, 1000, id, &view) && strcmp(view.target, whole) == 0);
    rig_end(&r);
}
END_TEST

/* What `last` means, whoever else queues. */
START_TEST(the_newest_of_a_user)
{
    uint64_t id;
    size_t looks;
    uint32_t other;

    setup(1);
    ck_assert_uint_eq(core_queued_newest(r.core, 1000, &looks), 0);
    rig_queued(&r, SUBMIT());
    id = rig_queued(&r, SUBMIT());
    ck_assert_int_eq(core_client_add(r.core, 1001, &other), 0);
    rig_queue_of(&r, other, SUBMIT(), NULL);
    rig_queue(&r, SUBMIT(.durability = TASK_DURABLE)); /* is not accepted yet */
    ck_assert_uint_eq(core_queued_newest(r.core, 1000, &looks), id);
    ck_assert_uint_eq(looks, 3);
    ck_assert_uint_eq(core_queued_newest(r.core, 1002, &looks), 0);
    rig_end(&r);
}
END_TEST

START_TEST(a_target_that_goes_ends_what_waits_for_it)
{
    static const uint32_t two[] = { 2 };
    struct msg_set destroy = { 0 };
    uint64_t worker, set;

    setup(2);
    worker = rig_queued(&r, SUBMIT(.n_workers = 1, .workers = (uint32_t *)two));
    core_workers_remove(r.core, r.now, r.client, ++r.request, 2, &r.out);
    rig_check(&r);
    ck_assert_uint_eq(rig_shown(&r, worker), SHOWN_FAILED);
    destroy.set_id = rig_set(&r, SET_FF, "crew", (uint32_t[]){ 1, 0 });
    set = rig_queued(&r, SUBMIT(.set = TEXT("crew")));
    core_set(r.core, r.now, r.client, ++r.request, MSG_SET_DESTROY, &destroy, &r.out);
    rig_check(&r);
    ck_assert_uint_eq(rig_shown(&r, set), SHOWN_FAILED);
    rig_end(&r);
}
END_TEST

START_TEST(a_round_robin_set_deals_them_out)
{
    uint64_t q[3];
    uint32_t set;

    setup(2);
    set = rig_set(&r, SET_RR, NULL, (uint32_t[]){ 2, 1, 0 });
    for (int i = 0; i < 3; i++)
        q[i] = rig_queued(&r, SUBMIT(.set_id = set));
    rig_clear(&r);
    rig_assign(&r);
    ck_assert_uint_eq(rig_count(&r, ACT_RUN), 2);
    ck_assert_uint_eq(rig_qtask(&r, q[0])->worker, 2);
    ck_assert_uint_eq(rig_qtask(&r, q[1])->worker, 1);
    rig_qdone(&r, q[1]);
    rig_assign(&r);
    ck_assert_uint_eq(rig_shown(&r, q[2]), SHOWN_QUEUED); /* it waits for worker 2 */
    rig_end(&r);
}
END_TEST

START_TEST(short_ones_are_given_ahead_and_come_back)
{
    uint64_t q[4];

    rig_limits(&r);
    rig_queue_start(&r, 1);
    for (int i = 0; i < 4; i++)
        q[i] = rig_queued(&r, SUBMIT_OF("m.short", ));
    rig_assign(&r);
    ck_assert_uint_eq(rig_count(&r, ACT_RUN), 4);
    rig_tick(&r, r.limits.ahead_us);
    ck_assert_uint_eq(rig_revoke(&r, true), 3);
    for (int i = 1; i < 4; i++) {
        ck_assert_uint_eq(rig_shown(&r, q[i]), SHOWN_QUEUED);
        ck_assert_uint_eq(rig_qtask(&r, q[i])->attempt, 0);
    }
    ck_assert_uint_eq(rig_shown(&r, q[0]), SHOWN_RUNNING);
    rig_end(&r);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core qtask");
    TCase *tc = suite_case(suite, "order");

    tcase_add_test(tc, the_table);
    tcase_add_test(tc, an_impossible_step_is_refused);
    tcase_add_test(tc, lower_runs_first_and_equals_in_order);
    tcase_add_test(tc, own_host_and_any_are_compared_by_their_best);
    tcase_add_test(tc, a_flood_does_not_starve_another_client);
    tcase_add_test(tc, a_priority_behind_a_flood_does_not_starve_another_client);
    tcase_add_test(tc, a_flood_for_one_worker_does_not_starve_another_client);
    tcase_add_test(tc, one_shots_for_different_targets_run_in_order);
    tcase_add_test(tc, many_clients_with_one_task_each_run_in_order);
    tcase_add_test(tc, users_share_the_workers);
    tcase_add_test(tc, calls_and_queued_tasks_take_turns);
    tcase_add_test(tc, a_priority_goes_before_calls);
    tcase_add_test(tc, ageing_lets_the_old_overtake);
    tc = suite_case(suite, "targets");
    tcase_add_test(tc, a_list_of_workers_is_one_of_them);
    tcase_add_test(tc, a_list_names_one_that_comes_later);
    tcase_add_test(tc, a_list_is_of_its_user);
    tcase_add_test(tc, all_is_one_outcome_for_each);
    tcase_add_test(tc, unknown_targets_are_refused_or_waited_for);
    tcase_add_test(tc, a_long_target_is_shown_whole);
    tcase_add_test(tc, the_newest_of_a_user);
    tcase_add_test(tc, a_target_that_goes_ends_what_waits_for_it);
    tcase_add_test(tc, a_round_robin_set_deals_them_out);
    tcase_add_test(tc, short_ones_are_given_ahead_and_come_back);
    return suite_run(suite);
}
