/* SPDX-License-Identifier: MIT */
/*
 * The life of one queued task against a real daemon: its states, as any program of the same user sees them; when it
 * begins and when it is given up; how often it is tried; and how long it is known.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/integration/queue_rig.h"
#include "tests/support/suite.h"

enum { WORKERS = 2, LATE_MS = 5000, TOLD_MS = 100 };

static struct queue_rig q;

static void setup(void)
{
    queue_up(&q, WORKERS, (const char *const[]){ "-o", "queue.breaker_kills=0", NULL }); /* one kills nine of them */
}

static void teardown(void)
{
    queue_down(&q);
}

static int64_t wall_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* -- states ---------------------------------------------------------------------------------------------------- */

static void assert_state(ptools *pt, uint64_t id, ptools_queued_state state, const char *name)
{
    ck_assert_int_eq(queue_state(pt, id), state);
    ck_assert_str_eq(ptools_queued_state_name(state), name);
}

START_TEST(each_state_is_seen_from_another_connection)
{
    PTOOLS_AUTO(ptools_pack) args = ptools_pack_new();
    ptools *other = server_open(&q.server);
    ptools_worker_task task = queue_task_of("t.nop", NULL);
    uint64_t held = queue_occupy(&q, 1), second = queue_occupy(&q, 2), waiting, queued, cancelled, expired, id;

    queued = queue_put(q.pt, &task);
    cancelled = queue_put(q.pt, &task);
    task.expire_ms = 1;
    expired = queue_put(q.pt, &task);
    task.expire_ms = 0;
    task.flags = PTOOLS_TASK_HOLD;
    waiting = queue_put(q.pt, &task);
    assert_state(other, held, PTOOLS_QUEUED_RUNNING, "running");
    assert_state(other, queued, PTOOLS_QUEUED_QUEUED, "queued");
    assert_state(other, waiting, PTOOLS_QUEUED_WAITING, "waiting");
    ck_assert_ptools(ptools_queued_change(other, &cancelled, 1, PTOOLS_CHANGE_CANCEL, NULL));
    assert_state(other, cancelled, PTOOLS_QUEUED_CANCELLED, "cancelled");
    queue_ends(other, expired, PTOOLS_QUEUED_EXPIRED);
    queue_failed_with(other, expired, PTOOLS_ERR_EXPIRED, "it had not begun when its time was over");
    queue_free(&q, held);
    queue_free(&q, second);
    queue_ends(other, queued, PTOOLS_QUEUED_DONE);
    ptools_pack_str(args, "no");
    task = queue_task_of("t.fail", args);
    queue_ends(other, queue_put(q.pt, &task), PTOOLS_QUEUED_FAILED);
    task = queue_task_of("t.spin", NULL);
    task.deadline_ms = 100;
    queue_ends(other, id = queue_put(q.pt, &task), PTOOLS_QUEUED_TIMEOUT);
    queue_failed_with(other, id, PTOOLS_ERR_DEADLINE, "");
    task = queue_task_of("q.kill_again", NULL);
    task.attempts = 3;
    task.backoff_ms = 1;
    queue_ends(other, queue_put(q.pt, &task), PTOOLS_QUEUED_DEAD);
    ptools_close(other);
}
END_TEST

START_TEST(all_is_told_by_its_id)
{
    static const char *const tags[] = { "night", "a:1" };
    PTOOLS_AUTO(ptools_pack) args = ptools_pack_new();
    ptools *other = server_open(&q.server);
    ptools_worker_task task = queue_task_of("q.sleep", args);
    const ptools_queued_info *info;
    int64_t before = wall_ms();
    ptools_queued *list;
    uint64_t id, ms;
    ptools_value v;

    ptools_pack_u64(args, 30);
    task.target = PTOOLS_TARGET_WORKERS;
    task.workers = (const uint32_t[]){ 2 };
    task.n_targets = 1;
    task.priority = -1.5;
    task.durability = PTOOLS_CRASHSAFE;
    task.key = "its key";
    task.key_bytes = 7;
    task.tags = tags;
    task.n_tags = 2;
    id = queue_put(q.pt, &task);
    queue_ends(q.pt, id, PTOOLS_QUEUED_DONE);
    info = queue_look(other, id, &list);
    ck_assert_uint_eq(info->id, id);
    ck_assert_str_eq(info->function, "q.sleep");
    ck_assert_str_eq(info->target, "worker 2");
    ck_assert_double_eq(info->priority, -1.5);
    ck_assert_int_eq(info->durability, PTOOLS_CRASHSAFE);
    ck_assert(info->attempt == 1 && info->attempts == 1 && info->kills == 0 && info->worker == 2);
    ck_assert(!info->hold && !info->idempotent);
    ck_assert_int_ge(info->queued_ms, before - TOLD_MS);
    ck_assert_int_ge(info->started_ms, info->queued_ms);
    ck_assert_int_ge(info->ended_ms, info->started_ms + 30);
    ck_assert_int_le(info->ended_ms, wall_ms() + TOLD_MS);
    ck_assert_uint_ge(info->run_us, 30000);
    ck_assert_int_eq(info->code, PTOOLS_OK);
    ck_assert_str_eq(info->message, "");
    ck_assert(info->key_bytes == 7 && memcmp(info->key, "its key", 7) == 0);
    ck_assert_uint_eq(info->n_tags, 2);
    ck_assert_str_eq(info->tags[1], "a:1");
    ck_assert_ptools(ptools_get_item(info->args, 0, &v));
    ck_assert_ptools(ptools_get_u64(v, &ms));
    ck_assert_uint_eq(ms, 30);
    ptools_queued_free(list);
    ck_assert_ptools(ptools_queued_find(other, "its key", 7, 0, &list));
    ck_assert_uint_eq(ptools_queued_at(list, 0)->id, id);
    ptools_queued_free(list);
    ck_assert_err(ptools_queued_find(other, "another", 7, 0, &list), PTOOLS_ERR_NO_TASK);
    ck_assert_err(ptools_queued_get(other, 1, 0, &list), PTOOLS_ERR_NO_TASK);
    ptools_close(other);
}
END_TEST

static void assert_log(ptools *pt, uint64_t id, ptools_queued_state state, const char *log)
{
    ptools_queued *list;
    const ptools_queued_info *info = queue_look(pt, id, &list);

    ck_assert_int_eq(info->state, state);
    ck_assert_str_eq(info->log, log);
    ptools_queued_free(list);
}

static void until_logged(ptools *pt, uint64_t id, const char *log)
{
    for (bool said = false; !said;) {
        ptools_queued *list;

        said = strcmp(queue_look(pt, id, &list)->log, log) == 0;
        ptools_queued_free(list);
    }
}

/* Of one that is done, one that has failed, one that runs; and of no other. */
START_TEST(what_it_logged_is_kept)
{
    PTOOLS_AUTO(ptools_pack) args = ptools_pack_new();
    ptools_worker_task task = queue_task_of("q.log", args);
    uint64_t done, failed, runs, quiet;
    ptools_future *f = NULL;

    ptools_pack_str(args, "two \x1b[1mlines");
    done = queue_put(q.pt, &task);
    queue_ends(q.pt, done, PTOOLS_QUEUED_DONE);
    ptools_pack_u64(args, 1);
    runs = queue_put(q.pt, &task);
    queue_until(q.pt, runs, PTOOLS_QUEUED_RUNNING);
    task = queue_task_of("t.tell", NULL);
    failed = queue_put(q.pt, &task);
    queue_ends(q.pt, failed, PTOOLS_QUEUED_FAILED);
    task.function = "t.nop";
    quiet = queue_put(q.pt, &task); /* a call that logged comes between, at any worker */
    ptools_pack_reset(args);
    ptools_pack_str(args, "not its own");
    ck_assert_ptools(ptools_remotecall_fetch(q.pt, NULL, "q.log", args, NULL, QUEUE_WAIT_MS, &f, NULL));
    ptools_future_free(f);
    queue_ends(q.pt, quiet, PTOOLS_QUEUED_DONE);
    assert_log(q.pt, done, PTOOLS_QUEUED_DONE, "begun\ntwo ?[1mlines\n");
    assert_log(q.pt, failed, PTOOLS_QUEUED_FAILED, "opened 3 files\nthe third is odd\n");
    assert_log(q.pt, quiet, PTOOLS_QUEUED_DONE, "");
    until_logged(q.pt, runs, "begun\ntwo ?[1mlines\n");
    ck_assert_ptools(ptools_queued_change(q.pt, &runs, 1, PTOOLS_CHANGE_CANCEL, NULL));
    queue_ends(q.pt, runs, PTOOLS_QUEUED_CANCELLED);
    assert_log(q.pt, runs, PTOOLS_QUEUED_CANCELLED, "begun\ntwo ?[1mlines\n");
}
END_TEST

START_TEST(they_are_listed_by_state_and_tag)
{
    static const char *const tags[] = { "x" };
    ptools_worker_task task = queue_task_of("t.nop", NULL);
    ptools_queued *list;
    uint64_t done, held, last;

    task.tags = tags;
    task.n_tags = 1;
    done = queue_put(q.pt, &task);
    queue_ends(q.pt, done, PTOOLS_QUEUED_DONE);
    task.flags = PTOOLS_TASK_HOLD;
    held = queue_put(q.pt, &task);
    task.n_tags = 0;
    last = queue_put(q.pt, &task);
    ck_assert_ptools(ptools_queued_list(q.pt, 0, "x", 0, &list));
    ck_assert_uint_eq(ptools_queued_count(list), 2);
    ck_assert_uint_eq(ptools_queued_at(list, 0)->id, done);
    ck_assert_uint_eq(ptools_queued_at(list, 1)->id, held);
    ck_assert_ptr_null(ptools_queued_at(list, 2));
    ptools_queued_free(list);
    ck_assert_ptools(ptools_queued_list(q.pt, 1u << PTOOLS_QUEUED_WAITING, NULL, 0, &list));
    ck_assert_uint_eq(ptools_queued_count(list), 2);
    ptools_queued_free(list);
    ck_assert_ptools(ptools_queued_list(q.pt, 1u << PTOOLS_QUEUED_DONE | 1u << PTOOLS_QUEUED_FAILED, "x", 0, &list));
    ck_assert_uint_eq(ptools_queued_count(list), 1);
    ptools_queued_free(list);
    ck_assert_ptools(ptools_queued_list(q.pt, 0, "y", 0, &list));
    ck_assert_uint_eq(ptools_queued_count(list), 0);
    ptools_queued_free(list);
    ck_assert_ptools(ptools_queued_list(q.pt, 0, NULL, PTOOLS_LIST_NEWEST, &list));
    ck_assert_uint_eq(ptools_queued_count(list), 1);
    ck_assert_uint_eq(ptools_queued_at(list, 0)->id, last);
    ptools_queued_free(list);
    ck_assert_ptools(ptools_queued_list(q.pt, 0, "x", PTOOLS_LIST_NEWEST, &list)); /* that is not one of them */
    ck_assert_uint_eq(ptools_queued_count(list), 0);
    ptools_queued_free(list);
    ck_assert_err(ptools_queued_get(q.pt, last, PTOOLS_LIST_NEWEST, &list), PTOOLS_ERR_INVALID);
}
END_TEST

START_TEST(waits_for_one_any_and_all)
{
    ptools_worker_task task = queue_task_of("t.nop", NULL);
    uint64_t ids[3];
    size_t first = 77;

    task.flags = PTOOLS_TASK_HOLD;
    for (unsigned i = 0; i < 3; i++)
        ids[i] = queue_put(q.pt, &task);
    ck_assert_err(ptools_queued_wait(q.pt, ids, 3, true, 0, &first), PTOOLS_ERR_TIMEOUT);
    ck_assert_err(ptools_queued_wait(q.pt, ids, 1, false, 100, NULL), PTOOLS_ERR_TIMEOUT);
    ck_assert_ptools(ptools_queued_change(q.pt, ids + 2, 1, PTOOLS_CHANGE_RELEASE, NULL));
    ck_assert_ptools(ptools_queued_wait(q.pt, ids, 3, true, QUEUE_WAIT_MS, &first));
    ck_assert_uint_eq(first, 2);
    ck_assert_err(ptools_queued_wait(q.pt, ids, 3, false, 100, NULL), PTOOLS_ERR_TIMEOUT);
    ck_assert_ptools(ptools_queued_change(q.pt, ids, 2, PTOOLS_CHANGE_RELEASE, NULL));
    ck_assert_ptools(ptools_queued_wait(q.pt, ids, 3, false, QUEUE_WAIT_MS, NULL));
    ck_assert_ptools(ptools_queued_wait(q.pt, ids, 3, true, 0, &first));
    ck_assert_uint_eq(first, 0);
    ids[1] = 1;
    ck_assert_err(ptools_queued_wait(q.pt, ids, 3, false, 0, NULL), PTOOLS_ERR_NO_TASK);
}
END_TEST

/* -- when it begins, and when it is given up ------------------------------------------------------------------ */

START_TEST(not_before_its_time)
{
    ptools_worker_task task = queue_task_of("t.nop", NULL);
    const ptools_queued_info *info;
    uint64_t id, before = now_ms();
    ptools_queued *list;

    task.delay_ms = 300;
    id = queue_put(q.pt, &task);
    queue_why_has(q.pt, id, "it is due in ");
    info = queue_look(q.pt, id, &list);
    ck_assert_int_eq(info->state, PTOOLS_QUEUED_WAITING);
    ck_assert_int_ge(info->due_ms, info->queued_ms + 300 - TOLD_MS);
    ptools_queued_free(list);
    queue_ends(q.pt, id, PTOOLS_QUEUED_DONE);
    ck_assert_uint_ge(now_ms() - before, 300);
    ck_assert_uint_le(now_ms() - before, 300 + LATE_MS);
    task.delay_ms = 0;
    task.start_ms = wall_ms() + 300;
    before = now_ms();
    queue_ends(q.pt, queue_put(q.pt, &task), PTOOLS_QUEUED_DONE);
    ck_assert_uint_ge(now_ms() - before, 300 - TOLD_MS);
    task.start_ms = 1; /* long ago: now */
    queue_ends(q.pt, queue_put(q.pt, &task), PTOOLS_QUEUED_DONE);
    task.start_ms = 0;
    task.delay_ms = 3600000;
    id = queue_put(q.pt, &task);
    ck_assert_ptools(ptools_queued_change(q.pt, &id, 1, PTOOLS_CHANGE_KICK, NULL));
    queue_ends(q.pt, id, PTOOLS_QUEUED_DONE);
}
END_TEST

START_TEST(it_expires_unless_it_has_begun)
{
    PTOOLS_AUTO(ptools_pack) args = ptools_pack_new();
    ptools_worker_task task = queue_task_of("q.sleep", args);
    uint64_t waits, runs, before = now_ms();

    ptools_pack_u64(args, 300);
    task.expire_ms = 200;
    runs = queue_put(q.pt, &task);
    task.flags = PTOOLS_TASK_HOLD;
    waits = queue_put(q.pt, &task);
    queue_ends(q.pt, waits, PTOOLS_QUEUED_EXPIRED);
    ck_assert_uint_ge(now_ms() - before, 200);
    ck_assert_uint_le(now_ms() - before, 200 + LATE_MS);
    queue_ends(q.pt, runs, PTOOLS_QUEUED_DONE);
}
END_TEST

START_TEST(each_attempt_has_its_deadline)
{
    ptools_worker_task task = queue_task_of("t.spin", NULL);
    const ptools_queued_info *info;
    ptools_queued *list;
    uint64_t id;

    task.deadline_ms = 100;
    task.attempts = 2;
    task.flags = PTOOLS_TASK_IDEMPOTENT;
    id = queue_put(q.pt, &task);
    queue_ends(q.pt, id, PTOOLS_QUEUED_TIMEOUT);
    info = queue_look(q.pt, id, &list);
    ck_assert_uint_eq(info->attempt, 1); /* a deadline is not what is tried again */
    ck_assert_int_eq(info->code, PTOOLS_ERR_DEADLINE);
    ck_assert_uint_ge(info->run_us, 100000);
    ptools_queued_free(list);
    task.retry_on = PTOOLS_RETRY_TIMEOUT;
    task.backoff_ms = 1;
    id = queue_put(q.pt, &task);
    queue_ends(q.pt, id, PTOOLS_QUEUED_TIMEOUT);
    info = queue_look(q.pt, id, &list);
    ck_assert_uint_eq(info->attempt, 2); /* unless it is asked for */
    ptools_queued_free(list);
}
END_TEST

/* -- attempts ---------------------------------------------------------------------------------------------------- */

struct times {
    int64_t started[8];
    unsigned n, retries;
    bool ended;
};

static void on_event(const ptools_event *event, void *arg)
{
    struct times *t = arg;

    ck_assert(event->kind != PTOOLS_EVENT_MISSED);
    if (event->kind == PTOOLS_EVENT_STARTED && t->n < 8)
        t->started[t->n++] = (int64_t)now_ms();
    t->retries += event->kind == PTOOLS_EVENT_RETRY;
    t->ended = t->ended || event->kind == PTOOLS_EVENT_ENDED;
}

/* Half to one and a half of 200, 400, 500 ms. */
START_TEST(attempts_back_off)
{
    static const int64_t least[] = { 100, 200, 250 };
    PTOOLS_AUTO(ptools_pack) args = ptools_pack_new();
    ptools_worker_task task = queue_task_of("q.fail_until", args);
    struct times t = { 0 };
    ptools_watch *watch = NULL;
    uint64_t id;

    ptools_pack_u64(args, 4);
    task.attempts = 5;
    task.retry_on = PTOOLS_RETRY_FAILED;
    task.backoff_ms = 200;
    task.backoff_max_ms = 500;
    task.flags = PTOOLS_TASK_HOLD;
    id = queue_put(q.pt, &task);
    ck_assert_ptools(ptools_watch_tasks(q.pt, NULL, id, on_event, &t, &watch));
    ck_assert_ptools(ptools_queued_change(q.pt, &id, 1, PTOOLS_CHANGE_RELEASE, NULL));
    while (!t.ended)
        ck_assert_ptools(ptools_dispatch(q.pt, QUEUE_WAIT_MS));
    ck_assert_uint_eq(t.n, 4);
    ck_assert_uint_eq(t.retries, 3);
    for (unsigned i = 0; i < 3; i++) {
        int64_t waited = t.started[i + 1] - t.started[i];

        ck_assert_msg(waited >= least[i] - TOLD_MS / 2, "attempt %u came after %d ms", i + 2, (int)waited);
        ck_assert_msg(waited <= least[i] * 3 + LATE_MS, "attempt %u came after %d ms", i + 2, (int)waited);
    }
    queue_gives_u64(q.pt, id, 4);
    ptools_watch_free(watch);
}
END_TEST

static void ends_after(const ptools_worker_task *task, ptools_queued_state state, uint32_t attempts)
{
    uint64_t id = queue_put(q.pt, task);
    const ptools_queued_info *info;
    ptools_queued *list;

    queue_ends(q.pt, id, state);
    info = queue_look(q.pt, id, &list);
    ck_assert_msg(info->attempt == attempts, "%s was begun %u times, not %u", task->function, info->attempt, attempts);
    ptools_queued_free(list);
}

START_TEST(which_failures_are_tried_again)
{
    PTOOLS_AUTO(ptools_pack) args = ptools_pack_new();
    ptools_worker_task task = queue_task_of("q.fail_until", args);

    ptools_pack_u64(args, 9);
    task.backoff_ms = 1;
    ends_after(&task, PTOOLS_QUEUED_FAILED, 1); /* what it returned counts only if it is asked for */
    task.retry_on = PTOOLS_RETRY_FAILED;
    ends_after(&task, PTOOLS_QUEUED_FAILED, 3); /* the usual number of an idempotent function */
    task.attempts = 2;
    ends_after(&task, PTOOLS_QUEUED_FAILED, 2);
    task.args = NULL; /* its arguments are wrong, and will be */
    ends_after(&task, PTOOLS_QUEUED_FAILED, 1);
    task = queue_task_of("q.kill", NULL);
    task.backoff_ms = 1;
    ends_after(&task, PTOOLS_QUEUED_FAILED, 1); /* at most once, for nobody says that it may be repeated */
    task.attempts = 2;
    queue_refused(q.pt, &task, PTOOLS_ERR_INVALID);
    task.flags = PTOOLS_TASK_IDEMPOTENT;
    ends_after(&task, PTOOLS_QUEUED_FAILED, 2);
    task = queue_task_of("q.kill_again", NULL); /* its module says so */
    task.attempts = 2;
    task.backoff_ms = 1;
    ends_after(&task, PTOOLS_QUEUED_FAILED, 2);
    task.retry_on = PTOOLS_RETRY_FAILED;
    ends_after(&task, PTOOLS_QUEUED_FAILED, 1);
}
END_TEST

START_TEST(one_that_may_have_run_says_so)
{
    ptools_worker_task task = queue_task_of("q.kill", NULL);
    const ptools_queued_info *info;
    ptools_queued *list;
    uint64_t id = queue_put(q.pt, &task);

    queue_ends(q.pt, id, PTOOLS_QUEUED_FAILED);
    info = queue_look(q.pt, id, &list);
    ck_assert_int_eq(info->code, PTOOLS_ERR_WORKER_DIED);
    ck_assert(info->maybe_executed);
    ck_assert_uint_eq(info->kills, 1);
    ptools_queued_free(list);
    task.flags = PTOOLS_TASK_HOLD;
    id = queue_put(q.pt, &task);
    ck_assert_ptools(ptools_queued_change(q.pt, &id, 1, PTOOLS_CHANGE_CANCEL, NULL));
    info = queue_look(q.pt, id, &list);
    ck_assert(!info->maybe_executed); /* it never began */
    ptools_queued_free(list);
}
END_TEST

START_TEST(three_kills_are_its_death_until_it_is_kicked)
{
    ptools_worker_task task = queue_task_of("q.kill_again", NULL);
    const ptools_queued_info *info;
    ptools_queued *list;
    uint64_t id;

    task.attempts = 200;
    task.backoff_ms = 1;
    task.keep_ms = 1;
    task.durability = PTOOLS_CRASHSAFE;
    id = queue_put(q.pt, &task);
    for (unsigned i = 0; i < 2; i++) {
        queue_ends(q.pt, id, PTOOLS_QUEUED_DEAD);
        info = queue_look(q.pt, id, &list); /* it is kept, whatever its keep_ms */
        ck_assert_uint_eq(info->kills, 3);
        ck_assert_uint_eq(info->attempt, 3);
        ck_assert_int_eq(info->code, PTOOLS_ERR_DEAD);
        ptools_queued_free(list);
        queue_failed_with(q.pt, id, PTOOLS_ERR_DEAD, "");
        ck_assert_ptools(ptools_queued_change(q.pt, &id, 1, PTOOLS_CHANGE_KICK, NULL)); /* with new attempts */
    }
    queue_ends(q.pt, id, PTOOLS_QUEUED_DEAD);
    ck_assert_ptools(ptools_queued_change(q.pt, &id, 1, PTOOLS_CHANGE_FORGET, NULL));
    ck_assert_err(ptools_queued_get(q.pt, id, 0, &list), PTOOLS_ERR_NO_TASK);
}
END_TEST

/* -- afterwards -------------------------------------------------------------------------------------------------- */

START_TEST(it_is_known_for_its_time)
{
    ptools_worker_task task = queue_task_of("t.id", NULL);
    uint64_t until = now_ms() + QUEUE_WAIT_MS, id, kept;
    ptools_queued *list;
    ptools_err err;

    task.key = "key";
    task.key_bytes = 3;
    task.keep_ms = 200;
    id = queue_put(q.pt, &task);
    queue_ends(q.pt, id, PTOOLS_QUEUED_DONE); /* it is there, for a look or two */
    task.key = "other";
    task.key_bytes = 5;
    task.keep_ms = 3600000;
    kept = queue_put(q.pt, &task);
    while ((err = ptools_queued_get(q.pt, id, 0, &list)) == PTOOLS_OK) {
        ptools_queued_free(list);
        ck_assert(now_ms() < until);
    }
    ck_assert_err(err, PTOOLS_ERR_NO_TASK);
    queue_ends(q.pt, kept, PTOOLS_QUEUED_DONE);
    task.key = "key"; /* which is free again */
    task.key_bytes = 3;
    ck_assert_uint_ne(queue_put(q.pt, &task), id);
}
END_TEST

START_TEST(a_result_is_as_large_as_it_may_be)
{
    PTOOLS_AUTO(ptools_pack) args = ptools_pack_new();
    ptools_worker_task task = queue_task_of("t.big", args);
    PTOOLS_AUTO(ptools_future) f = NULL;
    const void *data;
    ptools_value v;
    uint64_t id;
    size_t n;

    ptools_pack_u64(args, 100000);
    task.result_max = 10000;
    id = queue_put(q.pt, &task);
    queue_ends(q.pt, id, PTOOLS_QUEUED_FAILED);
    queue_failed_with(q.pt, id, PTOOLS_ERR_TOO_LARGE, "10000");
    task.result_max = 200000;
    task.durability = PTOOLS_DURABLE;
    ck_assert_ptools(ptools_execute_worker_task(q.pt, &task, QUEUE_WAIT_MS, &f, &v));
    ck_assert_ptools(ptools_get_bytes(v, &data, &n));
    ck_assert_uint_eq(n, 100000);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("queue-life");
    TCase *tc = suite_case(suite, "life");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, each_state_is_seen_from_another_connection);
    tcase_add_test(tc, all_is_told_by_its_id);
    tcase_add_test(tc, what_it_logged_is_kept);
    tcase_add_test(tc, they_are_listed_by_state_and_tag);
    tcase_add_test(tc, waits_for_one_any_and_all);
    tcase_add_test(tc, not_before_its_time);
    tcase_add_test(tc, it_expires_unless_it_has_begun);
    tcase_add_test(tc, each_attempt_has_its_deadline);
    tcase_add_test(tc, attempts_back_off);
    tcase_add_test(tc, which_failures_are_tried_again);
    tcase_add_test(tc, one_that_may_have_run_says_so);
    tcase_add_test(tc, three_kills_are_its_death_until_it_is_kicked);
    tcase_add_test(tc, it_is_known_for_its_time);
    tcase_add_test(tc, a_result_is_as_large_as_it_may_be);
    return suite_run(suite);
}
