/* SPDX-License-Identifier: MIT */
/*
 * What becomes of queued tasks, without memory: they are given to workers, end, are tried again, expire and are
 * forgotten, and come back from the journal. See deeds.h. None of it is asked for by anybody who could be refused, but
 * for what comes back: that is the start of the daemon, which then does not begin.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/core/deeds.h"

static void all_are(uint32_t shown)
{
    rig_recorded(&r);
    rig_recorded(&r);
    for (int i = 0; i < TASKS; i++)
        ck_assert_uint_eq(rig_shown(&r, tasks[i]), shown);
}

static void all_queued(void)
{
    all_are(SHOWN_QUEUED);
}

/* Somebody watches all tasks of the user. */
static void watch_all(void)
{
    rig_ask(&r, MSG_EVENTS, &(const struct msg_task){ .task = 0 });
}

/* -- to a worker ----------------------------------------------------------------------------------------------- */

static void before_give(void)
{
    watch_all();
    for (int i = 0; i < TASKS; i++)
        tasks[i] = rig_queued(&r, SUBMIT(.deadline_ms = 100, .durability = i ? TASK_CRASHSAFE : TASK_VOLATILE));
}

static void act_assign(void)
{
    ARMED(core_assign(r.core, r.now, &r.out));
}

static void after_give(void)
{
    all_are(SHOWN_RUNNING);
    ck_assert_uint_eq(rig_count(&r, ACT_RUN), TASKS);
    ck_assert_uint_eq(r.core->deadlines.n, TASKS); /* none runs without its */
}

/* Their function kills too many workers while they wait, and they are more than a breaker has room for from the
 * beginning. */
static void before_barred(void)
{
    for (int i = 0; i < TASKS + 16; i++)
        tasks[i % TASKS] = rig_queued(&r, SUBMIT(.n_workers = 1, .workers = (uint32_t[]){ 1 }));
    for (int i = 0; i < 5; i++) {
        const uint64_t id =
            rig_queued(&r, SUBMIT(.n_workers = 1, .workers = (uint32_t[]){ 1 }, .has_priority = true, .priority = 0));

        rig_assign(&r);
        rig_qdies(&r, id, true);
    }
    ck_assert(client_find(r.core, r.client)->user->breakers->open);
}

static void after_barred(void)
{
    all_queued();
    for (int i = 0; i < TASKS; i++)
        ck_assert_int_eq(rig_qtask(&r, tasks[i])->lane->backlog->kind, BACKLOG_BREAKER);
}

/* The rows of two attempts, and that of a submission, which waits for another. */
static void before_recorded(void)
{
    before_give();
    rig_assign(&r);
    rig_queue(&r, SUBMIT(.durability = TASK_DURABLE, .n_after = 1, .after = tasks + 1));
}

static void act_recorded(void)
{
    const uint64_t last = r.core->row_number;

    ARMED(core_recorded(r.core, r.now, last, &r.out));
}

static void after_recorded(void)
{
    all_are(SHOWN_RUNNING);
    ck_assert_uint_eq(r.core->deadlines.n, TASKS);
    ck_assert_uint_eq(rig_shown(&r, rig_queue_id(&r, r.request)), SHOWN_WAITING); /* it is not run before the other */
}

static void before_refused(void)
{
    some_tasks(TASK_CRASHSAFE);
    rig_queue(&r, SUBMIT(.durability = TASK_CRASHSAFE));
}

static void act_refused(void)
{
    const uint64_t last = r.core->row_number;

    ARMED(core_record_refused(r.core, r.now, last, "there is no space", &r.out));
}

static void after_refused(void)
{
    all_queued();
    ck_has(rig_failure(&r, r.request, PTOOLS_ERR_NO_SPACE), "there is no space");
}

static void act_failed(void)
{
    ARMED(core_record_failed(r.core, r.now, "it is broken", &r.out));
}

static void after_failed(void)
{
    ck_has(rig_failure(&r, r.request, PTOOLS_ERR_STORAGE), "it is broken");
}

/* -- and its end -------------------------------------------------------------------------------------------------- */

static uint64_t waiter;

/* The first runs; others wait for it: a client for its result, one for its end and that of the second, two tasks. */
static void before_end(uint32_t durability)
{
    watch_all();
    tasks[0] = rig_queued(&r, SUBMIT(.durability = durability, .result_max = 10));
    rig_assign(&r);
    rig_recorded(&r);
    for (int i = 1; i < TASKS; i++)
        tasks[i] = rig_queued(&r, SUBMIT(.durability = durability, .n_after = 1, .after = tasks));
    waiter = rig_result(&r, tasks[0]);
    rig_ask(&r, MSG_TASK_WAIT, &(const struct msg_task){ .n_tasks = 2, .tasks = tasks, .any = true });
}

static void before_done(void)
{
    before_end(TASK_VOLATILE);
}

static void before_done_journaled(void)
{
    before_end(TASK_DURABLE);
}

static void done(const char *text, ptools_err code)
{
    AUTO(blob) blob = blob_new(text, strlen(text));
    const struct core_value value = { .blob = blob };
    const struct msg_failure facts = { .message = TEXT("it failed"), .log = TEXT("the log\n") };
    const struct task *t = task_find(r.core, tasks[0]);

    ARMED(core_worker_done(r.core, r.now, t->worker->id, t->id, t->attempt, code, &value, &facts, 1000, 0, 0, &r.out));
}

static void act_done(void)
{
    done("value", PTOOLS_OK);
}

static void after_done(void)
{
    rig_recorded(&r);
    ck_assert_uint_eq(rig_shown(&r, tasks[0]), SHOWN_DONE);
    ck_assert_mem_eq(rig_answer(&r, waiter)->payload->data, "value", 5);
    ck_assert_ptr_nonnull(rig_answer(&r, waiter + 1));
    ck_assert_ptr_nonnull(rig_event(&r, EVENT_ENDED, tasks[0]));
    for (int i = 1; i < TASKS; i++)
        ck_assert_uint_eq(rig_shown(&r, tasks[i]), SHOWN_QUEUED);
}

static void act_done_too_large(void)
{
    done("value of too many bytes", PTOOLS_OK);
}

static void act_fails(void)
{
    done("", PTOOLS_ERR_FAILED);
}

static void after_fails(void)
{
    rig_recorded(&r);
    rig_recorded(&r);
    ck_assert_uint_eq(rig_shown(&r, tasks[0]), SHOWN_FAILED);
    ck_assert(rig_answer(&r, waiter)->answer.failed);
    for (int i = 1; i < TASKS; i++)
        ck_assert_uint_eq(rig_shown(&r, tasks[i]), SHOWN_CANCELLED);
}

/* The row of its end is written. */
static void before_settled(void)
{
    before_done_journaled();
    rig_qdone(&r, tasks[0]);
}

/* A part of a task for all, the last one that runs. */
static void before_part(void)
{
    tasks[0] = rig_queued(&r, SUBMIT(.target = TARGET_ALL)) + WORKERS;
    rig_assign(&r);
    for (uint64_t i = 1; i < WORKERS; i++)
        rig_qdone(&r, tasks[0] - i);
}

static void after_part(void)
{
    ck_assert_uint_eq(rig_shown(&r, tasks[0] - WORKERS), SHOWN_DONE);
}

/* Its end makes room for one that is blocked, and forgets an earlier one. */
static void before_room(void)
{
    r.core->limits.user_queued_max = 1;
    r.core->limits.user_kept_max = 1;
    tasks[1] = rig_queued(&r, SUBMIT());
    rig_change(&r, CHANGE_CANCEL, tasks[1]);
    tasks[0] = rig_queued(&r, SUBMIT());
    rig_assign(&r);
    rig_queue(&r, SUBMIT(.block = true));
}

/* It is taken, or its client is told that it was not. */
static void after_room(void)
{
    const struct action *a = rig_answer(&r, r.request);

    ck_assert_uint_eq(rig_shown(&r, tasks[1]), 0);
    ck_assert_uint_eq(rig_shown(&r, tasks[0]), SHOWN_DONE);
    ck_assert_uint_eq(client_find(r.core, r.client)->user->n_blocked, 0);
    ck_assert_ptr_nonnull(a);
    if (a->answer.failed)
        ck_has(rig_failure(&r, r.request, PTOOLS_ERR_LIMIT), "out of memory");
    else
        ck_assert_uint_eq(rig_shown(&r, a->answer.reply.task), SHOWN_QUEUED);
}

/* -- again -------------------------------------------------------------------------------------------------------- */

static void before_retry(void)
{
    watch_all();
    tasks[0] = rig_queued(&r, SUBMIT(.durability = TASK_CRASHSAFE, .attempts = 2, .idempotent = true,
                                     .backoff_ms = 1000, .retry_on = RETRY_FAILED | RETRY_DIED));
    rig_assign(&r);
    rig_recorded(&r);
}

static void after_retry(void)
{
    const struct qtask *q = rig_qtask(&r, tasks[0]);

    ck_assert_uint_eq(qtask_shown(q), SHOWN_WAITING);
    ck_assert_uint_gt(q->due_us, r.now);
    ck_assert_uint_eq(q->attempt, 1);
    rig_recorded(&r);
}

static void act_dies(void)
{
    const struct msg_failure facts = { .code = PTOOLS_ERR_WORKER_DIED, .signal = 9 };
    const uint32_t worker = task_find(r.core, tasks[0])->worker->id;

    ARMED(core_worker_gone(r.core, r.now, worker, &facts, tasks, 1, &r.out));
}

/* It comes back without having begun. */
static void before_back(void)
{
    tasks[0] = rig_queued(&r, SUBMIT(.durability = TASK_CRASHSAFE));
    rig_assign(&r);
    rig_recorded(&r);
}

static void act_back(void)
{
    const struct msg_failure facts = { .code = PTOOLS_ERR_WORKER_DIED, .signal = 9 };
    const uint32_t worker = task_find(r.core, tasks[0])->worker->id;

    ARMED(core_worker_gone(r.core, r.now, worker, &facts, NULL, 0, &r.out));
}

static void after_back(void)
{
    rig_recorded(&r);
    ck_assert_uint_eq(rig_shown(&r, tasks[0]), SHOWN_QUEUED);
    ck_assert_uint_eq(rig_qtask(&r, tasks[0])->attempt, 0);
}

/* The third that it kills. */
static void before_dead(void)
{
    tasks[0] = rig_queued(&r, SUBMIT(.attempts = 5, .idempotent = true, .backoff_ms = 1));
    for (int i = 1; i <= 3; i++) {
        rig_tick(&r, 10000000);
        rig_assign(&r);
        if (i < 3)
            rig_qdies(&r, tasks[0], true);
    }
}

static void after_dead(void)
{
    ck_assert_uint_eq(rig_shown(&r, tasks[0]), SHOWN_DEAD);
}

/* -- targets that go ----------------------------------------------------------------------------------------------- */

static void before_removed(void)
{
    for (int i = 0; i < TASKS; i++)
        tasks[i] = rig_queued(&r, SUBMIT(.n_workers = 1, .workers = (uint32_t[]){ 2 }, .durability = TASK_CRASHSAFE));
}

static void act_removed(void)
{
    r.request++;
    ARMED(core_workers_remove(r.core, r.now, r.client, r.request, 2, &r.out));
}

static void after_removed(void)
{
    all_are(SHOWN_FAILED);
}

static void before_redeal(void)
{
    rig_set(&r, SET_FF, "named", (const uint32_t[]){ 1, 2, 0 });
    for (int i = 0; i < TASKS; i++)
        tasks[i] = rig_queued(&r, SUBMIT(.set = TEXT("named")));
}

static void act_redeal(void)
{
    const struct msg_set m = { .name = TEXT("named"), .mode = SET_RR, .n = 2, .members = (uint32_t[]){ 2, 3 } };

    r.request++;
    ARMED(core_set(r.core, r.now, r.client, r.request, MSG_SET_CHANGE, &m, &r.out));
}

/* A set that they waited for is made. */
static void before_parked(void)
{
    for (int i = 0; i < TASKS; i++)
        tasks[i] = rig_queued(
            &r, SUBMIT(.n_workers = 2, .workers = (uint32_t[]){ WORKERS + 1, WORKERS + 2 }, .wait_target = true));
}

static void act_parked(void)
{
    r.request++;
    ARMED(core_workers_add(r.core, r.now, r.client, r.request, 1, &r.out));
}

/* -- time ---------------------------------------------------------------------------------------------------------- */

static void act_tick(void)
{
    r.now += 1000000;
    ARMED(core_tick(r.core, r.now, &r.out));
}

static void before_expiry(void)
{
    for (int i = 0; i < TASKS; i++)
        tasks[i] = rig_queued(&r, SUBMIT(.expire_ms = 10, .durability = i ? TASK_CRASHSAFE : TASK_VOLATILE));
}

static void after_expiry(void)
{
    all_are(SHOWN_EXPIRED);
}

static void before_due(void)
{
    watch_all();
    for (int i = 0; i < TASKS; i++)
        tasks[i] = rig_queued(&r, SUBMIT(.delay_ms = 10, .durability = i ? TASK_CRASHSAFE : TASK_VOLATILE));
}

static void before_retention(void)
{
    for (int i = 0; i < TASKS; i++) {
        tasks[i] = rig_queued(&r, SUBMIT(.keep_ms = 10, .durability = TASK_CRASHSAFE));
        rig_change(&r, CHANGE_CANCEL, tasks[i]);
    }
    rig_recorded(&r);
}

static void after_retention(void)
{
    all_are(0);
}

static void before_drain(void)
{
    some_tasks(TASK_VOLATILE);
    rig_queue(&r, SUBMIT_OF("new.f", .durability = TASK_CRASHSAFE));
}

static void act_drain(void)
{
    ARMED(core_drain(r.core, r.now, true, &r.out));
}

static void after_drain(void)
{
    all_are(SHOWN_CANCELLED);
    rig_failure(&r, r.request, PTOOLS_ERR_DRAINING);
}

static void before_progress(void)
{
    watch_all();
    tasks[0] = rig_queued(&r, SUBMIT());
    rig_assign(&r);
}

static void act_progress(void)
{
    const uint32_t worker = task_find(r.core, tasks[0])->worker->id;

    ARMED(core_progress(r.core, r.now, worker, tasks[0], 1, 2, &r.out));
}

static void after_progress(void)
{
    ck_assert_ptr_nonnull(rig_event(&r, EVENT_PROGRESS, tasks[0]));
}

/* -- after a restart ----------------------------------------------------------------------------------------------- */

static struct core_row row, life;

/* A user of whom there is nothing yet. */
static void kept_row(uint64_t task, const struct msg_submit *m)
{
    deed_encode(m);
    row = (struct core_row){ .kind = ROW_NEW, .task = task, .uid = 2000, .queued_ms = 1, .spec = deed_spec };
    life = (struct core_row){ .kind = ROW_LIFE, .task = task, .uid = 2000 };
    life.life = (struct core_life){ .state = SHOWN_QUEUED, .priority = 1 };
}

static int recover(void)
{
    char why[256];

    return core_recover(r.core, r.now, &row, &life, deed_submit, &r.out, why);
}

static void act_recover(void)
{
    ARMED(deed_error = recover());
}

static void before_recover(void)
{
    kept_row(1000, SUBMIT(.durability = TASK_DURABLE, .key = TEXT("mine"), .expire_ms = 1000000, .n_workers = 2,
                          .workers = (uint32_t[]){ 1, 2 }));
}

static void after_recover(void)
{
    ARMED(core_recovered(r.core, r.now, &r.out));
    ck_assert_uint_eq(rig_shown(&r, row.task), SHOWN_QUEUED);
    ck_assert_ptr_nonnull(rig_qtask(&r, row.task)->x->key);
    ck_assert_uint_eq(rig_qtask(&r, row.task)->set->n, 2);
}

/* deed_spec is its outcome from here on, and row.spec is kept beside. */
static struct blob *kept_spec;

static void before_recover_end(void)
{
    static const struct msg_answer answer = { .id = 1, .reply = { .task = 1000, .state = SHOWN_DONE } };
    struct bytes bytes;

    before_recover();
    bytes_init(&bytes, 1000);
    msg_answer_encode(&answer, &bytes);
    blob_free(kept_spec);
    kept_spec = blob_new(bytes.data, bytes.n);
    bytes_deinit(&bytes);
    life.outcome = kept_spec;
    life.life.state = SHOWN_DONE;
    life.life.attempt = 1;
    life.life.ended_ms = 1;
}

static void after_recover_end(void)
{
    ck_assert_uint_eq(rig_shown(&r, row.task), SHOWN_DONE);
    ck_assert_uint_eq(rig_qtask(&r, row.task)->user->n_kept, 1);
}

/* One that comes after another, one that ran and one that was whole. */
static void before_recovered(void)
{
    const uint64_t first = 1000;

    kept_row(first, SUBMIT(.durability = TASK_DURABLE));
    ck_assert_int_eq(recover(), 0);
    kept_row(first + 1, SUBMIT(.durability = TASK_DURABLE, .n_after = 1, .after = (uint64_t *)&first));
    ck_assert_int_eq(recover(), 0);
    kept_row(first + 2, SUBMIT(.durability = TASK_DURABLE, .idempotent = true));
    life.life.state = SHOWN_RUNNING;
    life.life.flags = LIFE_IDEMPOTENT;
    life.life.attempt = 1;
    ck_assert_int_eq(recover(), 0);
    kept_row(first + 3, SUBMIT(.durability = TASK_DURABLE));
    life.life.state = SHOWN_RUNNING;
    life.life.attempt = 1;
    ck_assert_int_eq(recover(), 0);
}

static void act_recovered(void)
{
    ARMED(core_recovered(r.core, r.now, &r.out));
}

static void after_recovered(void)
{
    static const uint32_t shown[] = { SHOWN_QUEUED, SHOWN_WAITING, SHOWN_WAITING, SHOWN_LOST };

    rig_recorded(&r);
    for (uint64_t i = 0; i < ELEMENTS(shown); i++)
        ck_assert_uint_eq(rig_shown(&r, 1000 + i), shown[i]);
}

static void before_host(void)
{
    for (size_t i = 0; r.core->host_names[i]; i++)
        free(r.core->host_names[i]);
    free(r.core->host_names);
    r.core->host_names = NULL;
}

static void act_host(void)
{
    static const char *const names[] = { "one", "two" };

    ARMED(deed_error = core_host(r.core, names, ELEMENTS(names)));
}

static void after_host(void)
{
    ck_assert_str_eq(r.core->host_names[1], "two");
}

/* -- all of them --------------------------------------------------------------------------------------------------- */

static const struct deed deeds[] = {
    { "give", before_give, act_assign, after_give, false },
    { "barred", before_barred, act_assign, after_barred, false },
    { "recorded", before_recorded, act_recorded, after_recorded, false },
    { "no space for a row", before_refused, act_refused, after_refused, false },
    { "the journal fails", before_refused, act_failed, after_failed, false },
    { "done", before_done, act_done, after_done, false },
    { "done, journaled", before_done_journaled, act_done, after_done, false },
    { "done, its end is recorded", before_settled, act_recorded, after_done, false },
    { "done, too large", before_done, act_done_too_large, after_fails, false },
    { "fails", before_done, act_fails, after_fails, false },
    { "fails, journaled", before_done_journaled, act_fails, after_fails, false },
    { "the last part is done", before_part, act_done, after_part, false },
    { "done, with room for others", before_room, act_done, after_room, false },
    { "fails, and is tried again", before_retry, act_fails, after_retry, false },
    { "dies, and is tried again", before_retry, act_dies, after_retry, false },
    { "comes back", before_back, act_back, after_back, false },
    { "is dead", before_dead, act_dies, after_dead, false },
    { "the worker is removed", before_removed, act_removed, after_removed, false },
    { "the set is another", before_redeal, act_redeal, all_queued, false },
    { "the workers come", before_parked, act_parked, all_queued, false },
    { "expires", before_expiry, act_tick, after_expiry, false },
    { "is due", before_due, act_tick, all_queued, false },
    { "retention", before_retention, act_tick, after_retention, false },
    { "drain", before_drain, act_drain, after_drain, false },
    { "progress", before_progress, act_progress, after_progress, false },
    { "recover", before_recover, act_recover, after_recover, true },
    { "recover an end", before_recover_end, act_recover, after_recover_end, false },
    { "recovered", before_recovered, act_recovered, after_recovered, false },
    { "names of the host", before_host, act_host, after_host, true },
};

START_TEST(deed)
{
    deed_run(&deeds[_i]);
    kept_spec = blob_free(kept_spec);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core queue without memory, running");
    TCase *tc = suite_case(suite, "runs");

    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, deed, 0, ELEMENTS(deeds));
    return suite_run(suite);
}
