/* SPDX-License-Identifier: MIT */
/*
 * Queued tasks and the death of a real daemon, by SIGKILL and by SIGTERM: what the next one knows of them, and what
 * becomes of futures, callbacks and watches of a client that stays. The handle is the same before and after.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/integration/queue_rig.h"
#include "tests/support/suite.h"

enum { WORKERS = 2, DEATHS = 2 };

static struct queue_rig q;

/* 0 is SIGKILL, 1 SIGTERM. */
static void die(int how)
{
    if (how == 0)
        queue_kill(&q);
    else
        queue_term(&q);
}

static void setup(void)
{
    queue_up(&q, WORKERS, (const char *const[]){ "-o", "limits.drain_ms=200", NULL });
}

static void setup_one(void)
{
    queue_up(&q, 1, (const char *const[]){ "-o", "limits.drain_ms=200", NULL });
}

static void teardown(void)
{
    queue_down(&q);
}

static ptools_worker_task of(const char *function, const ptools_pack *args, ptools_durability durability)
{
    ptools_worker_task task = queue_task_of(function, args);

    task.durability = durability;
    return task;
}

static uint64_t put_on_hold(ptools_durability durability)
{
    ptools_worker_task task = of("t.nop", NULL, durability);

    task.flags = PTOOLS_TASK_HOLD;
    return queue_put(q.pt, &task);
}

static void change(uint64_t id, ptools_change what)
{
    ck_assert_ptools(ptools_queued_change(q.pt, &id, 1, what, NULL));
}

static uint32_t worker_of(uint64_t id)
{
    ptools_queued *list;
    uint32_t worker = queue_look(q.pt, id, &list)->worker;

    ptools_queued_free(list);
    return worker;
}

static void assert_unknown(uint64_t id)
{
    ptools_queued *list;

    ck_assert_err(ptools_queued_get(q.pt, id, 0, &list), PTOOLS_ERR_NO_TASK);
}

/* -- what the next one knows ----------------------------------------------------------------------------------- */

START_TEST(what_waits_waits)
{
    static const char *const tags[] = { "x" };
    ptools_worker_task task = of("t.nop", NULL, PTOOLS_DURABLE);
    uint64_t durable = put_on_hold(PTOOLS_DURABLE), crashsafe = put_on_hold(PTOOLS_CRASHSAFE);
    uint64_t gone = put_on_hold(PTOOLS_VOLATILE), delayed, expires, then, any;
    const ptools_queued_info *info;
    ptools_queued *list;

    task.delay_ms = 3600000;
    task.tags = tags;
    task.n_tags = 1;
    delayed = queue_put(q.pt, &task);
    task.delay_ms = 0;
    task.after = &crashsafe;
    task.n_after = 1;
    then = queue_put(q.pt, &task);
    task.n_after = 0;
    task.after = NULL;
    task.flags = PTOOLS_TASK_HOLD;
    task.expire_ms = 1500;
    expires = queue_put(q.pt, &task);
    task.expire_ms = 0;
    task.flags = PTOOLS_TASK_WAIT_TARGET;
    task.target = PTOOLS_TARGET_WORKERS;
    task.workers = (const uint32_t[]){ WORKERS + 1 };
    task.n_targets = 1;
    any = queue_put(q.pt, &task);
    ck_assert_ptools(ptools_queued_set_priority(q.pt, durable, 2.25));
    die(_i);
    queue_again(&q);
    assert_unknown(gone);
    info = queue_look(q.pt, durable, &list);
    ck_assert_int_eq(info->state, PTOOLS_QUEUED_WAITING);
    ck_assert(info->hold);
    ck_assert_double_eq(info->priority, 2.25);
    ck_assert_int_eq(info->durability, PTOOLS_DURABLE);
    ptools_queued_free(list);
    info = queue_look(q.pt, delayed, &list);
    ck_assert_int_eq(info->state, PTOOLS_QUEUED_WAITING);
    ck_assert_int_gt(info->due_ms, info->queued_ms + 3590000);
    ck_assert_int_lt(info->due_ms, info->queued_ms + 3610000);
    ck_assert_str_eq(info->tags[0], "x");
    ptools_queued_free(list);
    queue_why_has(q.pt, then, "it waits for task");
    queue_why_has(q.pt, any, "its target is not there: worker 3");
    change(crashsafe, PTOOLS_CHANGE_RELEASE);
    queue_ends(q.pt, then, PTOOLS_QUEUED_DONE);
    change(delayed, PTOOLS_CHANGE_KICK);
    queue_ends(q.pt, delayed, PTOOLS_QUEUED_DONE);
    queue_ends(q.pt, expires, PTOOLS_QUEUED_EXPIRED);
    change(durable, PTOOLS_CHANGE_RELEASE);
    queue_ends(q.pt, durable, PTOOLS_QUEUED_DONE);
}
END_TEST

START_TEST(what_has_ended_is_known_with_its_end)
{
    PTOOLS_AUTO(ptools_pack) args = ptools_pack_new();
    ptools_worker_task task = of("q.echo", args, PTOOLS_DURABLE);
    uint64_t done, failed, dead, cancelled = put_on_hold(PTOOLS_CRASHSAFE), forgotten, whole, logged;
    ptools_queued *list;

    ptools_pack_str(args, "kept");
    done = queue_put(q.pt, &task);
    queue_ends(q.pt, done, PTOOLS_QUEUED_DONE);
    task.function = "q.log";
    logged = queue_put(q.pt, &task);
    queue_ends(q.pt, logged, PTOOLS_QUEUED_DONE);
    task.function = "q.echo";
    task.durability = PTOOLS_CRASHSAFE;
    forgotten = queue_put(q.pt, &task);
    queue_ends(q.pt, forgotten, PTOOLS_QUEUED_DONE);
    change(forgotten, PTOOLS_CHANGE_FORGET);
    task = of("t.fail", args, PTOOLS_CRASHSAFE);
    failed = queue_put(q.pt, &task);
    queue_ends(q.pt, failed, PTOOLS_QUEUED_FAILED);
    task = of("q.kill_again", NULL, PTOOLS_CRASHSAFE);
    task.backoff_ms = 1;
    dead = queue_put(q.pt, &task);
    queue_ends(q.pt, dead, PTOOLS_QUEUED_DEAD);
    task = of("t.id", NULL, PTOOLS_DURABLE);
    task.target = PTOOLS_TARGET_ALL;
    whole = queue_put(q.pt, &task);
    queue_ends(q.pt, whole, PTOOLS_QUEUED_DONE);
    change(cancelled, PTOOLS_CHANGE_CANCEL);
    for (unsigned i = 0; i < 2; i++) { /* also after a second death */
        const ptools_queued_info *info;

        die(_i);
        queue_again(&q);
        queue_gives_str(q.pt, done, "kept");
        queue_failed_with(q.pt, failed, PTOOLS_ERR_FAILED, "kept");
        queue_failed_with(q.pt, dead, PTOOLS_ERR_DEAD, "");
        queue_failed_with(q.pt, cancelled, PTOOLS_ERR_CANCELLED, "cancelled on request");
        assert_unknown(forgotten);
        info = queue_look(q.pt, logged, &list);
        ck_assert_str_eq(info->log, "begun\nkept\n");
        ptools_queued_free(list);
        info = queue_look(q.pt, dead, &list);
        ck_assert(info->state == PTOOLS_QUEUED_DEAD && info->kills == 3 && info->maybe_executed);
        ptools_queued_free(list);
        queue_gives_u64(q.pt, whole + 1, 1);
        queue_gives_u64(q.pt, whole + 2, 2);
        ck_assert_int_eq(queue_state(q.pt, whole), PTOOLS_QUEUED_DONE);
    }
    change(dead, PTOOLS_CHANGE_KICK);
    queue_ends(q.pt, dead, PTOOLS_QUEUED_DEAD);
    change(done, PTOOLS_CHANGE_RERUN);
    queue_gives_str(q.pt, done, "kept");
}
END_TEST

static double minus(const char *target, const ptools_queued_info *task, double current, void *arg)
{
    (void)target;
    (void)task;
    (void)arg;
    return -current;
}

/* What was answered is so, also when the daemon dies at that moment. */
START_TEST(changes_that_were_answered_hold)
{
    ptools_worker_task task = of("t.nop", NULL, PTOOLS_CRASHSAFE);
    uint64_t ids[2], dequeued = put_on_hold(PTOOLS_CRASHSAFE), whole;
    const ptools_queued_info *info;
    ptools_dequeued how;
    ptools_queued *list;

    ck_assert_ptools(ptools_dequeue_worker_task(q.pt, dequeued, &how));
    ck_assert_int_eq(how, PTOOLS_DEQUEUED_REMOVED);
    die(_i);
    queue_again(&q);
    ck_assert_int_eq(queue_state(q.pt, dequeued), PTOOLS_QUEUED_CANCELLED);
    task.delay_ms = 3600000;
    for (unsigned i = 0; i < 2; i++) {
        task.priority = 1 + i;
        ids[i] = queue_put(q.pt, &task);
    }
    ck_assert_ptools(ptools_set_priorities(q.pt, minus, NULL, NULL, NULL));
    die(_i);
    queue_again(&q);
    for (unsigned i = 0; i < 2; i++) {
        info = queue_look(q.pt, ids[i], &list);
        ck_assert_double_eq(info->priority, -1.0 - i);
        ptools_queued_free(list);
    }
    change(ids[0], PTOOLS_CHANGE_HOLD);
    die(_i);
    queue_again(&q);
    info = queue_look(q.pt, ids[0], &list);
    ck_assert(info->hold);
    ptools_queued_free(list);
    change(ids[1], PTOOLS_CHANGE_CANCEL);
    die(_i);
    queue_again(&q);
    ck_assert_int_eq(queue_state(q.pt, ids[1]), PTOOLS_QUEUED_CANCELLED);
    change(ids[1], PTOOLS_CHANGE_FORGET);
    die(_i);
    queue_again(&q);
    assert_unknown(ids[1]);
    task.target = PTOOLS_TARGET_ALL;
    whole = queue_put(q.pt, &task);
    change(whole, PTOOLS_CHANGE_CANCEL);
    die(_i);
    queue_again(&q);
    queue_ends(q.pt, whole, PTOOLS_QUEUED_CANCELLED);
    ck_assert_int_eq(queue_state(q.pt, whole + 1), PTOOLS_QUEUED_CANCELLED);
}
END_TEST

/* One that may be repeated is begun again, one that may not is lost, and says that it may have been executed. */
START_TEST(what_ran_is_run_again_or_lost)
{
    PTOOLS_AUTO(ptools_pack) args = ptools_pack_new();
    ptools_worker_task task = of("t.fifo", args, PTOOLS_DURABLE);
    const ptools_queued_info *info;
    uint64_t again, lost;
    ptools_queued *list;
    char path[96];
    int fd;

    snprintf(path, sizeof path, "%s/new", q.work);
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    ptools_pack_str(args, path);
    task.flags = PTOOLS_TASK_IDEMPOTENT;
    task.backoff_ms = 1;
    again = queue_put(q.pt, &task);
    queue_until(q.pt, again, PTOOLS_QUEUED_RUNNING);
    task = of("q.spin", NULL, PTOOLS_CRASHSAFE);
    lost = queue_put(q.pt, &task);
    queue_until(q.pt, lost, PTOOLS_QUEUED_RUNNING);
    server_at_phase(q.pt, worker_of(lost), "spinning"); /* and not about to be given to it */
    die(_i);
    queue_again(&q);
    queue_ends(q.pt, lost, PTOOLS_QUEUED_LOST);
    info = queue_look(q.pt, lost, &list);
    ck_assert_int_eq(info->code, PTOOLS_ERR_DAEMON_DIED);
    ck_assert(info->maybe_executed);
    ck_assert_uint_eq(info->attempt, 1);
    ptools_queued_free(list);
    queue_failed_with(q.pt, lost, PTOOLS_ERR_DAEMON_DIED, "the daemon");
    queue_until(q.pt, again, PTOOLS_QUEUED_RUNNING);
    info = queue_look(q.pt, again, &list);
    ck_assert_uint_eq(info->attempt, 2); /* the first is counted */
    ptools_queued_free(list);
    ck_assert_int_ge(fd = open(path, O_WRONLY | O_CLOEXEC), 0); /* it may end */
    queue_ends(q.pt, again, PTOOLS_QUEUED_DONE);
    close(fd);
    change(lost, PTOOLS_CHANGE_RERUN);
    queue_until(q.pt, lost, PTOOLS_QUEUED_RUNNING);
    change(lost, PTOOLS_CHANGE_CANCEL);
    queue_ends(q.pt, lost, PTOOLS_QUEUED_CANCELLED);
}
END_TEST

START_TEST(keys_are_known)
{
    PTOOLS_AUTO(ptools_pack) args = ptools_pack_new();
    ptools_worker_task task = of("q.echo", args, PTOOLS_DURABLE);
    uint64_t ended, waits;

    ptools_pack_str(args, "a");
    task.key = "ended";
    task.key_bytes = 5;
    ended = queue_put(q.pt, &task);
    queue_ends(q.pt, ended, PTOOLS_QUEUED_DONE);
    task.key = "waits";
    task.flags = PTOOLS_TASK_HOLD;
    waits = queue_put(q.pt, &task);
    die(_i);
    queue_again(&q);
    ck_assert_uint_eq(queue_put(q.pt, &task), waits);
    task.key = "ended";
    ck_assert_uint_eq(queue_put(q.pt, &task), ended);
    ptools_pack_reset(args);
    ptools_pack_str(args, "b");
    queue_refused(q.pt, &task, PTOOLS_ERR_KEY_REUSED);
    task.key = "fresh";
    task.flags = 0;
    ck_assert_uint_gt(queue_put(q.pt, &task), waits); /* a number is not used again */
}
END_TEST

START_TEST(the_order_is_the_same)
{
    PTOOLS_AUTO(ptools_pack) args = ptools_pack_new();
    static const double priorities[] = { 3, PTOOLS_PRIORITY_LAST, 1, 3, -2, PTOOLS_PRIORITY_LAST };
    uint64_t gate = put_on_hold(PTOOLS_CRASHSAFE), last = 0;

    for (unsigned i = 0; i < sizeof priorities / sizeof priorities[0]; i++) {
        char key[8];
        ptools_worker_task task;

        snprintf(key, sizeof key, "%u", i);
        task = queue_mark_of(&q, args, key);
        task.priority = priorities[i];
        task.durability = i % 2 ? PTOOLS_DURABLE : PTOOLS_CRASHSAFE;
        task.after = &gate;
        task.n_after = 1;
        last = queue_put(q.pt, &task);
    }
    die(_i);
    queue_again(&q);
    change(gate, PTOOLS_CHANGE_RELEASE);
    queue_ends(q.pt, last, PTOOLS_QUEUED_DONE);
    queue_assert_order(&q, "4 2 0 3 1 5");
}
END_TEST

START_TEST(a_set_went_with_its_daemon)
{
    ptools_workerset *set = NULL, *again = NULL;
    ptools_worker_task task = of("t.id", NULL, PTOOLS_DURABLE);
    uint64_t held, id;

    ck_assert_ptools(ptools_workerset_create(q.pt, "s", (const uint32_t[]){ 2 }, 1, PTOOLS_WS_FF, &set));
    held = queue_occupy(&q, 2);
    task.target = PTOOLS_TARGET_SET;
    task.set = set;
    id = queue_put(q.pt, &task);
    ck_assert_int_eq(queue_state(q.pt, id), PTOOLS_QUEUED_QUEUED);
    die(_i);
    queue_again(&q);
    queue_why_has(q.pt, id, "its target is not there: set s"); /* it is not given to somebody else, nor lost */
    ck_assert_ptools(ptools_workerset_create(q.pt, "s", (const uint32_t[]){ 1 }, 1, PTOOLS_WS_FF, &again));
    queue_gives_u64(q.pt, id, 1);
    assert_unknown(held);
    ptools_workerset_free(set);
    ptools_workerset_free(again);
}
END_TEST

/* -- who stays ------------------------------------------------------------------------------------------------- */

struct seen {
    unsigned called, started, ended, missed;
    ptools_err err;
};

static void on_end(uint64_t task, ptools_future *result, void *arg)
{
    struct seen *seen = arg;

    ck_assert_uint_eq(task, ptools_future_task(result));
    seen->called++;
    seen->err = ptools_future_fetch(result, 0, NULL);
}

static void on_event(const ptools_event *event, void *arg)
{
    struct seen *seen = arg;

    if (event->kind == PTOOLS_EVENT_MISSED) {
        ck_assert_int_eq(event->code, PTOOLS_OK); /* it was taken up again */
        ck_assert_uint_eq(event->missed, 0);
        seen->missed++;
    }
    seen->started += event->kind == PTOOLS_EVENT_STARTED;
    seen->ended += event->kind == PTOOLS_EVENT_ENDED;
}

/* A daemon that ends itself says so, if its word is heard: libzmq drops what has come and was not read. */
static void assert_gone(ptools_err err, int how)
{
    ck_assert_msg(err == PTOOLS_ERR_LOST || (how == 1 && err == PTOOLS_ERR_DRAINING), "it ends with %s",
                  ptools_errname(err));
}

START_TEST(futures_callbacks_and_watches_survive)
{
    ptools_worker_task task = of("t.nop", NULL, PTOOLS_DURABLE);
    struct seen kept = { 0 }, gone = { 0 }, events = { 0 };
    PTOOLS_AUTO(ptools_future) result = NULL;
    PTOOLS_AUTO(ptools_future) executed = NULL;
    PTOOLS_AUTO(ptools_future) lost = NULL;
    uint64_t id, executing, vanishing;
    ptools_watch *watch = NULL;

    ck_assert_ptools(ptools_watch_tasks(q.pt, NULL, 0, on_event, &events, &watch));
    task.flags = PTOOLS_TASK_HOLD;
    ck_assert_err(ptools_execute_worker_task(q.pt, &task, 500, &executed, NULL), PTOOLS_ERR_TIMEOUT);
    ck_assert_uint_gt(executing = ptools_future_task(executed), 0);
    task.callback = on_end;
    task.arg = &kept;
    id = queue_put(q.pt, &task);
    ck_assert_ptools(ptools_queued_result(q.pt, id, &result));
    task.durability = PTOOLS_VOLATILE;
    task.arg = &gone;
    vanishing = queue_put(q.pt, &task);
    ck_assert_ptools(ptools_queued_result(q.pt, vanishing, &lost));
    while (ptools_dispatch(q.pt, 0) == PTOOLS_OK)
        continue;
    ck_assert(!ptools_future_done(result) && !ptools_future_done(executed) && kept.called == 0);
    die(_i);
    queue_again(&q);
    ck_assert_err(ptools_future_wait(result, 100), PTOOLS_ERR_TIMEOUT); /* it has asked again, and waits */
    change(id, PTOOLS_CHANGE_RELEASE);
    change(executing, PTOOLS_CHANGE_RELEASE);
    ck_assert_ptools(ptools_future_fetch(result, QUEUE_WAIT_MS, NULL));
    ck_assert_ptools(ptools_future_fetch(executed, QUEUE_WAIT_MS, NULL));
    ck_assert_uint_eq(ptools_future_task(executed), executing);
    assert_gone(ptools_future_fetch(lost, QUEUE_WAIT_MS, NULL), _i);
    while (kept.called == 0 || gone.called == 0 || events.ended < 2)
        ck_assert_ptools(ptools_dispatch(q.pt, QUEUE_WAIT_MS));
    while (ptools_dispatch(q.pt, 0) == PTOOLS_OK)
        continue;
    ck_assert_uint_eq(kept.called, 1);
    ck_assert_err(kept.err, PTOOLS_OK);
    ck_assert_uint_eq(gone.called, 1);
    assert_gone(gone.err, _i);
    ck_assert_uint_eq(events.missed, 1);
    ck_assert_uint_eq(events.started, 2);
    ptools_watch_free(watch);
}
END_TEST

START_TEST(what_is_queued_meanwhile_is_queued_once)
{
    ptools_worker_task task = of("t.nop", NULL, PTOOLS_CRASHSAFE);
    ptools_queued *list;
    uint64_t id;

    queue_ends(q.pt, queue_put(q.pt, &task), PTOOLS_QUEUED_DONE);
    die(_i);
    ck_assert_err(ptools_queue_worker_task(q.pt, &task, &id), PTOOLS_ERR_LOST); /* when the connect timeout is over */
    queue_again(&q);
    queue_ends(q.pt, queue_put(q.pt, &task), PTOOLS_QUEUED_DONE);
    ck_assert_ptools(ptools_queued_list(q.pt, 0, NULL, 0, &list));
    ck_assert_uint_eq(ptools_queued_count(list), 2);
    ptools_queued_free(list);
}
END_TEST

/* -- SIGTERM alone --------------------------------------------------------------------------------------------- */

START_TEST(who_ends_itself_waits_for_what_runs)
{
    PTOOLS_AUTO(ptools_pack) args = ptools_pack_new();
    ptools_worker_task task = of("q.sleep", args, PTOOLS_DURABLE);
    ptools_queued *list;
    uint64_t id, next;

    ptools_pack_u64(args, 100);
    id = queue_put(q.pt, &task);
    queue_until(q.pt, id, PTOOLS_QUEUED_RUNNING);
    server_at_phase(q.pt, 1, "sleeping");
    next = queue_put(q.pt, &task); /* behind it: there is one worker */
    queue_term(&q);
    queue_again(&q);
    ck_assert_int_eq(queue_state(q.pt, id), PTOOLS_QUEUED_DONE);
    ck_assert_uint_eq(queue_look(q.pt, id, &list)->attempt, 1);
    ptools_queued_free(list);
    queue_ends(q.pt, next, PTOOLS_QUEUED_DONE);
    ck_assert_uint_eq(queue_look(q.pt, next, &list)->attempt, 1);
    ptools_queued_free(list);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("queue-restart");
    TCase *tc = suite_case(suite, "known");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, what_waits_waits, 0, DEATHS);
    tcase_add_loop_test(tc, what_has_ended_is_known_with_its_end, 0, DEATHS);
    tcase_add_loop_test(tc, changes_that_were_answered_hold, 0, DEATHS);
    tcase_add_loop_test(tc, what_ran_is_run_again_or_lost, 0, DEATHS);
    tcase_add_loop_test(tc, keys_are_known, 0, DEATHS);
    tcase_add_loop_test(tc, a_set_went_with_its_daemon, 0, DEATHS);
    tcase_add_loop_test(tc, futures_callbacks_and_watches_survive, 0, DEATHS);
    tcase_add_loop_test(tc, what_is_queued_meanwhile_is_queued_once, 0, 1); /* it takes a connect timeout */
    tc = suite_case(suite, "one worker");
    tcase_add_checked_fixture(tc, setup_one, teardown);
    tcase_add_loop_test(tc, the_order_is_the_same, 0, DEATHS);
    tcase_add_test(tc, who_ends_itself_waits_for_what_runs);
    return suite_run(suite);
}
