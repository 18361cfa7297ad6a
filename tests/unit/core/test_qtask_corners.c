/* SPDX-License-Identifier: MIT */
/* qtask -- where the end of one task is the end of others, of a wait, or of what was being looked at. */
#include <errno.h>
#include <string.h>

#include "tests/unit/core/rig_queue.h"

static struct rig r;

static void setup(uint32_t workers, uint32_t kept_max)
{
    rig_limits(&r);
    r.limits.user_kept_max = kept_max;
    rig_queue_start(&r, workers);
}

static const struct core_row *last_row(void)
{
    const struct core_row *row = NULL;

    for (size_t i = 0; i < r.out.n; i++)
        if (r.out.v[i].type == ACT_RECORD && r.out.v[i].row)
            row = r.out.v[i].row;
    ck_assert_ptr_nonnull(row);
    return row;
}

static size_t answers(uint64_t request)
{
    size_t n = 0;

    for (size_t i = 0; i < r.out.n; i++)
        n += r.out.v[i].type == ACT_ANSWER && r.out.v[i].answer.id == request;
    return n;
}

/* One that is forgotten ends two that waited for it; their ends want its place. */
START_TEST(forgotten_at_the_limit)
{
    uint64_t first, then[2];

    setup(1, 1);
    first = rig_queued(&r, SUBMIT());
    for (int i = 0; i < 2; i++)
        then[i] = rig_queued(&r, SUBMIT(.n_after = 1, .after = &first, .after_keep = true));
    rig_assign(&r);
    rig_qfailed(&r, first, PTOOLS_ERR_FAILED, "no");
    rig_change(&r, CHANGE_FORGET, first);
    ck_assert_uint_eq(rig_shown(&r, first), 0);
    ck_assert_uint_eq(rig_shown(&r, then[0]), 0); /* it made room for the other */
    ck_assert_uint_eq(rig_shown(&r, then[1]), SHOWN_CANCELLED);
    rig_assign(&r);
    rig_end(&r);
}
END_TEST

START_TEST(a_cascade_longer_than_what_is_kept)
{
    uint64_t chain[50];

    setup(1, 1);
    chain[0] = rig_queued(&r, SUBMIT());
    for (int i = 1; i < 50; i++)
        chain[i] = rig_queued(&r, SUBMIT(.n_after = 1, .after = &chain[i - 1]));
    rig_queue_id(&r, rig_change(&r, CHANGE_CANCEL, chain[0]));
    ck_assert_uint_eq(rig_shown(&r, chain[49]), SHOWN_CANCELLED);
    ck_assert_uint_eq(rig_shown(&r, chain[10]), 0);
    rig_end(&r);
}
END_TEST

/* What waits for one that is done goes on, also where the end of another that waits for it wants its place. */
START_TEST(done_is_told_before_it_is_forgotten)
{
    static const uint32_t two[] = { 2 };
    uint64_t first, gone, then;

    setup(2, 1);
    first = rig_queued(&r, SUBMIT());
    rig_assign(&r);
    gone = rig_queued(&r, SUBMIT(.n_workers = 1, .workers = (uint32_t *)two, .n_after = 1, .after = &first));
    then = rig_queued(&r, SUBMIT(.n_after = 1, .after = &first));
    core_workers_remove(r.core, r.now, r.client, ++r.request, 2, &r.out);
    rig_qdone(&r, first);
    ck_assert_uint_eq(rig_shown(&r, first), 0);
    ck_assert_uint_eq(rig_shown(&r, gone), SHOWN_FAILED);
    ck_assert_uint_eq(rig_shown(&r, then), SHOWN_QUEUED);
    rig_end(&r);
}
END_TEST

START_TEST(drained_while_its_module_is_loaded)
{
    uint64_t request;

    setup(1, 10);
    request = rig_queue(&r, SUBMIT_OF("other.f", .target = TARGET_ALL));
    core_drain(r.core, r.now, false, &r.out);
    rig_failure(&r, request, PTOOLS_ERR_DRAINING);
    rig_end(&r);
}
END_TEST

START_TEST(who_is_blocked_is_told_when_the_daemon_ends)
{
    uint64_t waits;

    rig_limits(&r);
    r.limits.user_queued_max = 1;
    rig_queue_start(&r, 1);
    rig_queued(&r, SUBMIT(.durability = TASK_CRASHSAFE));
    waits = rig_queue(&r, SUBMIT(.block = true));
    core_drain(r.core, r.now, false, &r.out);
    rig_failure(&r, waits, PTOOLS_ERR_DRAINING);
    rig_end(&r);
}
END_TEST

START_TEST(a_refusal_makes_room_too)
{
    static const char *const functions[] = { "g" };
    uint64_t waits;

    rig_limits(&r);
    r.limits.user_queued_max = 1;
    rig_queue_start(&r, 1);
    rig_queue(&r, SUBMIT_OF("other.f", ));
    waits = rig_queue(&r, SUBMIT(.block = true));
    rig_loaded(&r, "other", PTOOLS_OK, functions, 1); /* it has no f */
    rig_queue_id(&r, waits);
    rig_end(&r);
}
END_TEST

/* Who has ended is in the queue again when it is run anew. */
START_TEST(who_comes_back_counts)
{
    uint64_t done[3], dead[2], held, answer;

    rig_limits(&r);
    r.limits.user_queued_max = 2;
    rig_queue_start(&r, 1);
    for (int i = 0; i < 3; i++) {
        done[i] = rig_queued(&r, SUBMIT());
        rig_assign(&r);
        rig_qdone(&r, done[i]);
    }
    for (int i = 0; i < 2; i++) {
        dead[i] = rig_queued(&r, i ? SUBMIT_OF("m.g", .idempotent = true, .attempts = 9)
                                   : SUBMIT(.idempotent = true, .attempts = 9));
        for (int k = 0; k < DEAD_KILLS; k++) {
            rig_assign(&r);
            rig_qdies(&r, dead[i], true);
            rig_tick(&r, 10000000);
        }
        ck_assert_uint_eq(rig_shown(&r, dead[i]), SHOWN_DEAD);
    }
    held = rig_queued(&r, SUBMIT(.hold = true));
    answer = rig_ask(&r, MSG_TASK_CHANGE, /* two, and there is room for one: none */
                     &(const struct msg_task){ .n_tasks = 2, .tasks = done, .change = CHANGE_RERUN });
    ck_assert_str_eq(rig_failure(&r, answer, PTOOLS_ERR_LIMIT),
                     "over the limit user_queued_max: 1 of 2 in use, 2 more asked for");
    ck_assert_uint_eq(rig_shown(&r, done[0]), SHOWN_DONE);
    rig_queue_id(&r, rig_change(&r, CHANGE_RERUN, done[0]));
    ck_assert_str_eq(rig_failure(&r, rig_change(&r, CHANGE_RERUN, done[1]), PTOOLS_ERR_LIMIT),
                     "over the limit user_queued_max: 2 of 2 in use, 1 more asked for");
    rig_failure(&r, rig_change(&r, CHANGE_KICK, dead[0]), PTOOLS_ERR_LIMIT);
    ck_assert_uint_eq(rig_shown(&r, dead[0]), SHOWN_DEAD);
    rig_queue_id(&r, rig_change(&r, CHANGE_FORGET, dead[1])); /* it does not come back */
    rig_queue_id(&r, rig_change(&r, CHANGE_RELEASE, held));   /* it has counted all the time */
    rig_queue_id(&r, rig_change(&r, CHANGE_CANCEL, held));
    rig_queue_id(&r, rig_change(&r, CHANGE_KICK, dead[0]));
    rig_end(&r);
}
END_TEST

START_TEST(who_comes_back_counts_with_its_bytes)
{
    uint64_t first, second;

    rig_limits(&r);
    rig_queue_start(&r, 1);
    first = rig_queued(&r, SUBMIT());
    r.core->limits.user_queue_bytes_max = client_find(r.core, r.client)->user->queue_bytes + 10;
    rig_assign(&r);
    rig_qdone(&r, first);
    second = rig_queued(&r, SUBMIT(.hold = true));
    ck_has(rig_failure(&r, rig_change(&r, CHANGE_RERUN, first), PTOOLS_ERR_LIMIT),
           "over the limit user_queue_bytes_max");
    rig_queue_id(&r, rig_change(&r, CHANGE_CANCEL, second));
    rig_queue_id(&r, rig_change(&r, CHANGE_RERUN, first));
    rig_end(&r);
}
END_TEST

START_TEST(what_is_blocked_can_be_cancelled)
{
    uint64_t waits;

    rig_limits(&r);
    r.limits.user_queued_max = 1;
    rig_queue_start(&r, 1);
    rig_queued(&r, SUBMIT());
    waits = rig_queue(&r, SUBMIT(.block = true));
    rig_cancel(&r, waits);
    rig_failure(&r, waits, PTOOLS_ERR_CANCELLED);
    ck_assert_ptr_null(client_find(r.core, r.client)->user->blocked);
    rig_end(&r);
}
END_TEST

START_TEST(cancelled_before_it_is_accepted)
{
    static const char *const functions[] = { "f" };
    uint64_t held, recording;

    setup(1, 10);
    held = rig_queue(&r, SUBMIT_OF("other.f", .wait = true));
    recording = rig_queue(&r, SUBMIT(.durability = TASK_DURABLE, .wait = true));
    rig_cancel(&r, held);
    rig_cancel(&r, recording);
    rig_failure(&r, held, PTOOLS_ERR_CANCELLED);
    rig_loaded(&r, "other", PTOOLS_OK, functions, 1);
    rig_recorded(&r);
    rig_assign(&r);
    rig_recorded(&r);
    rig_failure(&r, recording, PTOOLS_ERR_CANCELLED);
    ck_assert_uint_eq(rig_count(&r, ACT_RUN), 0);
    rig_end(&r);
}
END_TEST

/* What a list costs is counted, and is bounded: also for tasks of others, and those in another state. */
START_TEST(a_walk_stops_when_it_has_looked_enough)
{
    struct core_queued_view v;
    struct core_walk walk;
    uint64_t ids[12];
    uint32_t other;

    setup(1, 100);
    ck_assert_int_eq(core_client_add(r.core, 1001, &other), 0);
    for (int i = 0; i < 12; i++) /* two of the other, then one */
        ids[i] = rig_queue_id(&r, rig_queue_of(&r, i % 3 == 2 ? r.client : other, SUBMIT(.hold = i == 5), "a"));
    walk = (struct core_walk){ .uid = 1000, .left = 2 };
    ck_assert_int_eq(core_walk_queued(r.core, &walk, &v), -EAGAIN);
    ck_assert_uint_eq(walk.after, ids[1]); /* it goes on there */
    walk.left = 1000;
    ck_assert_int_eq(core_walk_queued(r.core, &walk, &v), 1);
    ck_assert_uint_eq(v.id, ids[2]);
    ck_assert_uint_eq(walk.left, 1000 - WALK_SHOWN);
    ck_assert_int_eq(core_walk_queued(r.core, &walk, &v), 1);
    ck_assert_uint_eq(v.id, ids[5]);
    ck_assert_uint_eq(walk.left, 1000 - 2 * WALK_SHOWN - 2);
    walk = (struct core_walk){ .uid = 1000, .states = 1u << SHOWN_WAITING, .left = 1000 };
    ck_assert_int_eq(core_walk_queued(r.core, &walk, &v), 1);
    ck_assert_uint_eq(v.id, ids[5]);
    ck_assert_int_eq(core_walk_queued(r.core, &walk, &v), 0);
    ck_assert_uint_eq(walk.left, 1000 - 11 - WALK_SHOWN); /* what is not shown is only passed by */
    walk = (struct core_walk){ .uid = 1002, .left = 1000 };
    ck_assert_int_eq(core_walk_queued(r.core, &walk, &v), 0);
    ck_assert_uint_eq(walk.left, 1000); /* who has none looks at none */
    ck_assert(core_view_queued(r.core, 1000, ids[2], &v) && v.id == ids[2]);
    ck_assert(!core_view_queued(r.core, 1000, ids[1], &v));
    rig_end(&r);
}
END_TEST

START_TEST(a_wait_is_answered_once)
{
    uint64_t ids[2], failed, any;

    setup(2, 10);
    for (int i = 0; i < 2; i++)
        ids[i] = rig_queued(&r, SUBMIT(.durability = TASK_DURABLE));
    rig_assign(&r);
    rig_recorded(&r);
    failed = rig_ask(&r, MSG_TASK_WAIT, &(const struct msg_task){ .n_tasks = 2, .tasks = ids });
    any = rig_ask(&r, MSG_TASK_WAIT, &(const struct msg_task){ .n_tasks = 2, .tasks = ids, .any = true });
    rig_qdone(&r, ids[0]);
    rig_recorded(&r);
    ck_assert_uint_eq(answers(any), 1);
    rig_cancel(&r, any); /* behind its answer */
    ck_assert_uint_eq(answers(any), 1);
    rig_qdone(&r, ids[1]);
    core_record_failed(r.core, r.now, "the disk is gone", &r.out);
    ck_assert_uint_eq(answers(failed), 1);
    rig_failure(&r, failed, PTOOLS_ERR_STORAGE);
    rig_end(&r);
}
END_TEST

START_TEST(an_end_that_is_not_kept_is_not_told)
{
    uint64_t id, wait;

    setup(1, 10);
    id = rig_queued(&r, SUBMIT(.durability = TASK_DURABLE));
    rig_assign(&r);
    rig_recorded(&r);
    wait = rig_result(&r, id);
    core_record_failed(r.core, r.now, "the disk is gone", &r.out);
    rig_qdone(&r, id);
    rig_failure(&r, wait, PTOOLS_ERR_STORAGE);
    rig_end(&r);
}
END_TEST

START_TEST(a_journal_that_failed_changes_nothing)
{
    static const enum task_change changes[] = {
        CHANGE_DEQUEUE, CHANGE_CANCEL, CHANGE_HOLD, CHANGE_KICK, CHANGE_RERUN, CHANGE_FORGET,
    };
    uint64_t id[2], other, waited;
    struct msg_priority p;

    setup(1, 10);
    id[1] = rig_queued(&r, SUBMIT(.durability = TASK_CRASHSAFE, .delay_ms = 1000));
    id[0] = other = rig_queued(&r, SUBMIT(.delay_ms = 1000));
    waited = rig_queue(&r, SUBMIT(.durability = TASK_DURABLE, .delay_ms = 1000, .wait = true));
    rig_recorded(&r);
    core_record_failed(r.core, r.now, "the journal cannot be written: I/O error", &r.out);
    for (size_t i = 0; i < ELEMENTS(changes); i++)
        ck_has(rig_failure(&r, rig_change(&r, changes[i], id[1]), PTOOLS_ERR_STORAGE), "I/O error");
    rig_failure(
        &r, rig_ask(&r, MSG_TASK_CHANGE, &(const struct msg_task){ .n_tasks = 2, .tasks = id, .change = CHANGE_HOLD }),
        PTOOLS_ERR_STORAGE);
    ck_assert(!rig_qtask(&r, other)->hold); /* all of them, or none */
    p = (struct msg_priority){ id[1], 7 };
    core_priorities(r.core, r.now, r.client, ++r.request, (const uint8_t *)&p, sizeof p, &r.out);
    rig_failure(&r, r.request, PTOOLS_ERR_STORAGE);
    ck_assert(rig_qtask(&r, id[1])->priority == (double)INFINITY);
    core_cancel(r.core, r.now, r.client, ++r.request, &(const struct msg_cancel){ .task = id[1] }, &r.out);
    rig_failure(&r, r.request, PTOOLS_ERR_STORAGE);
    core_cancel(r.core, r.now, r.client, ++r.request, &(const struct msg_cancel){ .request = waited }, &r.out);
    rig_failure(&r, r.request, PTOOLS_ERR_STORAGE);
    rig_queue_id(&r, rig_change(&r, CHANGE_CANCEL, other)); /* a volatile one as always */
    rig_end(&r);
}
END_TEST

/* What was answered survives what its task survives. */
START_TEST(changes_are_as_durable_as_their_task)
{
    static const enum task_change changes[] = { CHANGE_HOLD, CHANGE_RELEASE, CHANGE_KICK, CHANGE_CANCEL, CHANGE_RERUN };

    setup(1, 10);
    for (uint32_t durability = TASK_CRASHSAFE; durability <= TASK_DURABLE; durability++) {
        struct msg_priority p = { rig_queued(&r, SUBMIT(.durability = durability, .delay_ms = 1000)), 7 };

        for (size_t i = 0; i < ELEMENTS(changes); i++) {
            const uint64_t request = rig_change(&r, changes[i], p.task);

            ck_assert(last_row()->kind == ROW_LIFE && last_row()->durable == (durability == TASK_DURABLE));
            ck_assert_ptr_null(rig_answer(&r, request)); /* not before */
            rig_recorded(&r);
            rig_queue_id(&r, request);
        }
        core_priorities(r.core, r.now, r.client, ++r.request, (const uint8_t *)&p, sizeof p, &r.out);
        ck_assert(last_row()->life.priority == 7 && last_row()->durable == (durability == TASK_DURABLE));
        rig_recorded(&r);
    }
    rig_end(&r);
}
END_TEST

START_TEST(a_cancel_is_a_change)
{
    uint64_t id, waited;

    setup(1, 10);
    id = rig_queued(&r, SUBMIT(.durability = TASK_DURABLE, .delay_ms = 1000));
    core_cancel(r.core, r.now, r.client, ++r.request, &(const struct msg_cancel){ .task = id }, &r.out);
    ck_assert_ptr_null(rig_answer(&r, r.request)); /* not before it is recorded */
    rig_recorded(&r);
    ck_assert_uint_eq(rig_answer(&r, r.request)->answer.reply.count, 1);
    ck_assert_uint_eq(rig_answer(&r, r.request)->answer.reply.state, SHOWN_CANCELLED);
    core_cancel(r.core, r.now, r.client, ++r.request, &(const struct msg_cancel){ .task = id }, &r.out);
    ck_has(rig_failure(&r, r.request, PTOOLS_ERR_NOT_NOW), "is cancelled: it has ended");
    waited = rig_queue(&r, SUBMIT(.durability = TASK_DURABLE, .delay_ms = 1000, .wait = true));
    rig_recorded(&r);
    core_cancel(r.core, r.now, r.client, ++r.request, &(const struct msg_cancel){ .request = waited }, &r.out);
    ck_assert_ptr_null(rig_answer(&r, r.request));
    rig_recorded(&r);
    ck_assert(!rig_answer(&r, r.request)->answer.failed);
    rig_failure(&r, waited, PTOOLS_ERR_CANCELLED);
    rig_end(&r);
}
END_TEST

START_TEST(workers_of_a_list_go_one_by_one)
{
    uint32_t both[] = { 1, 2 };
    uint64_t first, then, other;

    setup(3, 10);
    for (uint32_t i = 0; i < 2; i++)
        rig_queued(&r, SUBMIT(.n_workers = 1, .workers = both + i));
    rig_assign(&r); /* both are busy */
    first = rig_queued(&r, SUBMIT(.n_workers = 2, .workers = both));
    then = rig_queued(&r, SUBMIT(.n_workers = 2, .workers = both, .n_after = 1, .after = &first));
    other = rig_queued(&r, SUBMIT(.n_workers = 2, .workers = both));
    core_workers_remove(r.core, r.now, r.client, ++r.request, 1, &r.out);
    ck_assert_uint_eq(rig_shown(&r, other), SHOWN_QUEUED);
    core_workers_remove(r.core, r.now, r.client, ++r.request, 2, &r.out);
    rig_check(&r);
    ck_assert_uint_eq(rig_shown(&r, first), SHOWN_FAILED);
    ck_assert_uint_eq(rig_shown(&r, then), SHOWN_CANCELLED);
    ck_assert_uint_eq(rig_shown(&r, other), SHOWN_FAILED);
    rig_end(&r);
}
END_TEST

START_TEST(ready_after_a_wait_is_news)
{
    uint64_t id;

    setup(1, 10);
    rig_ask(&r, MSG_EVENTS, &(const struct msg_task){ 0 });
    id = rig_queued(&r, SUBMIT(.delay_ms = 1000));
    rig_clear(&r);
    rig_tick(&r, 1000000);
    ck_assert_ptr_nonnull(rig_event(&r, EVENT_QUEUED, id));
    rig_end(&r);
}
END_TEST

/* A program that queues much, beside one after another that queue one each: neither waits for ever. */
START_TEST(one_shots_do_not_starve_who_stays)
{
    uint64_t own[3];
    unsigned begun = 0;

    setup(1, 1000);
    for (int i = 0; i < 3; i++)
        own[i] = rig_queued(&r, SUBMIT());
    for (int i = 0; i < 20; i++) {
        uint64_t ran;
        uint32_t other;

        for (int k = 0; k < 3; k++) { /* they come faster than they are run */
            ck_assert_int_eq(core_client_add(r.core, 1000, &other), 0);
            rig_queue_of(&r, other, SUBMIT(), NULL);
            core_client_gone(r.core, r.now, other, &r.out);
        }
        rig_clear(&r);
        rig_assign(&r);
        ck_assert_uint_eq(rig_runs(&r, &ran, 1), 1);
        begun += ran == own[0] || ran == own[1] || ran == own[2];
        rig_qdone(&r, ran);
    }
    ck_assert_uint_ge(begun, 2);
    rig_end(&r);
}
END_TEST

START_TEST(a_priority_does_not_starve_anothers_calls)
{
    uint64_t ran, call;
    uint32_t other;
    struct msg_call m = { .function = TEXT("m.f") };

    setup(1, 1000);
    ck_assert_int_eq(core_client_add(r.core, 1001, &other), 0);
    for (int i = 0; i < 10; i++)
        rig_queued(&r, SUBMIT(.has_priority = true, .priority = -1));
    rig_clear(&r);
    rig_assign(&r);
    ck_assert_uint_eq(rig_runs(&r, &ran, 1), 1);
    call = rig_call_with(&r, other, &m);
    rig_qdone(&r, ran);
    rig_clear(&r);
    rig_assign(&r);
    ck_assert_uint_eq(rig_runs(&r, &ran, 1), 1);
    ck_assert_ptr_null(qtask_find(r.core, ran)); /* it is the call */
    ck_assert_uint_ne(call, 0);
    rig_end(&r);
}
END_TEST

START_TEST(keys_that_pass_may_change_places)
{
    static const char keys[3][17] = { "\1\0\0\0\0\0\0\0session1", "\2\0\0\0\0\0\0\0session1",
                                      "\3\0\0\0\0\0\0\0session1" };
    uint64_t ids[3];

    setup(1, 1000);
    for (int i = 2; i >= 0; i--)
        ids[i] = rig_queued(&r, SUBMIT(.key = { keys[i], 16 }, .key_passing = true));
    for (int i = 0; i < 3; i++)
        ck_assert_uint_eq(rig_queued(&r, SUBMIT(.key = { keys[i], 16 }, .key_passing = true)), ids[i]);
    rig_end(&r);
}
END_TEST

START_TEST(what_nobody_needs_makes_room_for_bytes)
{
    uint64_t q[3];

    rig_limits(&r);
    r.limits.user_kept_bytes_max = 100;
    rig_queue_start(&r, 1);
    for (int i = 0; i < 3; i++) {
        q[i] = rig_queued(&r, SUBMIT());
        rig_assign(&r);
        rig_qdone(&r, q[i]);
    }
    ck_assert_uint_eq(rig_shown(&r, q[0]), 0);
    ck_assert_uint_eq(rig_shown(&r, q[2]), SHOWN_DONE);
    rig_end(&r);
}
END_TEST

static void stop_within(uint64_t id, uint64_t grace_ms, bool at_once)
{
    rig_queue_id(
        &r,
        rig_ask(&r, MSG_TASK_CHANGE,
                &(const struct msg_task){
                    .n_tasks = 1, .tasks = &id, .change = CHANGE_CANCEL, .grace_ms = grace_ms, .at_once = at_once }));
}

START_TEST(killed_at_once_or_when_it_is_said)
{
    uint64_t ids[3];

    setup(3, 100);
    for (int i = 0; i < 3; i++)
        ids[i] = rig_queued(&r, SUBMIT(.grace_ms = 5000));
    rig_assign(&r);
    stop_within(ids[0], 0, true);
    stop_within(ids[1], 20, false);
    rig_queue_id(&r, rig_change(&r, CHANGE_CANCEL, ids[2]));
    rig_revoke(&r, false); /* all of them had begun */
    ck_assert_uint_eq(rig_count(&r, ACT_CANCEL), 2);
    ck_assert_uint_eq(rig_count(&r, ACT_KILL), 1);
    ck_assert_uint_eq(rig_find(&r, ACT_KILL, 0)->task, ids[0]);
    rig_tick(&r, 19999);
    ck_assert_uint_eq(rig_count(&r, ACT_KILL), 1);
    rig_tick(&r, 1);
    ck_assert_uint_eq(rig_count(&r, ACT_KILL), 2);
    ck_assert_uint_eq(rig_find(&r, ACT_KILL, 1)->task, ids[1]);
    stop_within(ids[2], 40, false); /* it is being stopped: hurry up ... */
    rig_tick(&r, 39999);
    ck_assert_uint_eq(rig_count(&r, ACT_KILL), 2);
    stop_within(ids[2], 0, true); /* ... now */
    ck_assert_uint_eq(rig_count(&r, ACT_KILL), 3);
    ck_assert_uint_eq(rig_count(&r, ACT_CANCEL), 2);
    stop_within(ids[2], 0, true); /* it is dying, and no more can be done */
    ck_assert_uint_eq(rig_count(&r, ACT_KILL), 3);
    for (int i = 0; i < 3; i++) {
        rig_qdies(&r, ids[i], true);
        ck_assert_uint_eq(rig_shown(&r, ids[i]), SHOWN_CANCELLED);
    }
    rig_end(&r);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core qtask corners");
    TCase *tc = suite_case(suite, "corners");

    tcase_add_test(tc, forgotten_at_the_limit);
    tcase_add_test(tc, a_cascade_longer_than_what_is_kept);
    tcase_add_test(tc, done_is_told_before_it_is_forgotten);
    tcase_add_test(tc, drained_while_its_module_is_loaded);
    tcase_add_test(tc, who_is_blocked_is_told_when_the_daemon_ends);
    tcase_add_test(tc, a_refusal_makes_room_too);
    tcase_add_test(tc, who_comes_back_counts);
    tcase_add_test(tc, who_comes_back_counts_with_its_bytes);
    tcase_add_test(tc, what_is_blocked_can_be_cancelled);
    tcase_add_test(tc, cancelled_before_it_is_accepted);
    tcase_add_test(tc, a_walk_stops_when_it_has_looked_enough);
    tcase_add_test(tc, a_wait_is_answered_once);
    tcase_add_test(tc, an_end_that_is_not_kept_is_not_told);
    tcase_add_test(tc, a_journal_that_failed_changes_nothing);
    tcase_add_test(tc, changes_are_as_durable_as_their_task);
    tcase_add_test(tc, a_cancel_is_a_change);
    tcase_add_test(tc, workers_of_a_list_go_one_by_one);
    tcase_add_test(tc, ready_after_a_wait_is_news);
    tcase_add_test(tc, one_shots_do_not_starve_who_stays);
    tcase_add_test(tc, a_priority_does_not_starve_anothers_calls);
    tcase_add_test(tc, keys_that_pass_may_change_places);
    tcase_add_test(tc, what_nobody_needs_makes_room_for_bytes);
    tcase_add_test(tc, killed_at_once_or_when_it_is_said);
    return suite_run(suite);
}
