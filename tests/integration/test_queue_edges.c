/* SPDX-License-Identifier: MIT */
/*
 * Queued tasks and what is around them, against a real daemon: others of the same key, others that come first, changes
 * that are asked for, those who watch, and the question what one waits for.
 */
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/integration/queue_rig.h"
#include "tests/support/suite.h"

enum { WORKERS = 2, LONG_CHAIN = 2000, EVENTS_MAX = 64 };

static struct queue_rig q;

static void setup(void)
{
    queue_up(&q, WORKERS, NULL);
}

static void teardown(void)
{
    queue_down(&q);
}

static uint64_t put_on_hold(void)
{
    ptools_worker_task task = queue_task_of("t.nop", NULL);

    task.flags = PTOOLS_TASK_HOLD;
    return queue_put(q.pt, &task);
}

static void change(uint64_t id, ptools_change what)
{
    ck_assert_ptools(ptools_queued_change(q.pt, &id, 1, what, NULL));
}

static void change_refused(uint64_t id, ptools_change what, ptools_err err, const char *part)
{
    ck_assert_err(ptools_queued_change(q.pt, &id, 1, what, NULL), err);
    ck_assert_msg(strstr(ptools_error_message(q.pt), part), "\"%s\" lacks \"%s\"", ptools_error_message(q.pt), part);
}

/* -- keys ---------------------------------------------------------------------------------------------------- */

static ptools_worker_task with_key(const char *key, const ptools_pack *args)
{
    ptools_worker_task task = queue_task_of("t.echo", args);

    task.key = key;
    task.key_bytes = strlen(key);
    return task;
}

/* Another program: its own process, its own connection. */
static uint64_t from_another_program(const ptools_worker_task *task, ptools_err expected)
{
    int ends[2], status = -1;
    uint64_t id = 0;
    pid_t pid;

    ck_assert_int_eq(pipe(ends), 0);
    pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        ptools *pt = server_open(&q.server);
        ptools_err err = ptools_queue_worker_task(pt, task, &id);

        ptools_close(pt);
        _exit(err == expected && write(ends[1], &id, sizeof id) == sizeof id ? 0 : 1);
    }
    close(ends[1]);
    ck_assert_int_eq(read(ends[0], &id, sizeof id), sizeof id);
    close(ends[0]);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    return id;
}

START_TEST(equal_tasks_of_two_programs_are_one)
{
    PTOOLS_AUTO(ptools_pack) args = ptools_pack_new();
    PTOOLS_AUTO(ptools_pack) others = ptools_pack_new();
    ptools_worker_task task = with_key("k", args);
    ptools_queued *list;
    uint64_t id;

    ptools_pack_str(args, "same");
    ptools_pack_str(others, "others");
    id = queue_put(q.pt, &task);
    ck_assert_uint_eq(from_another_program(&task, PTOOLS_OK), id);
    queue_ends(q.pt, id, PTOOLS_QUEUED_DONE);
    ck_assert_uint_eq(from_another_program(&task, PTOOLS_OK), id); /* also when it has ended */
    task.args = others;
    from_another_program(&task, PTOOLS_ERR_KEY_REUSED);
    queue_refused(q.pt, &task, PTOOLS_ERR_KEY_REUSED);
    task.args = args;
    task.function = "t.fail";
    queue_refused(q.pt, &task, PTOOLS_ERR_KEY_REUSED);
    task.function = "t.echo";
    task.durability = PTOOLS_DURABLE;
    queue_refused(q.pt, &task, PTOOLS_ERR_KEY_REUSED);
    ck_assert_ptools(ptools_queued_list(q.pt, 0, NULL, 0, &list));
    ck_assert_uint_eq(ptools_queued_count(list), 1); /* ran once, and no other is there */
    ck_assert_uint_eq(ptools_queued_at(list, 0)->attempt, 1);
    ptools_queued_free(list);
    task.durability = 0;
    task.key = "k\0k"; /* bytes, not a text */
    task.key_bytes = 3;
    ck_assert_uint_ne(queue_put(q.pt, &task), id);
}
END_TEST

START_TEST(a_refused_one_leaves_its_key)
{
    ptools_worker_task task = with_key("k", NULL);

    task.target = PTOOLS_TARGET_WORKERS;
    task.workers = (const uint32_t[]){ 99 };
    task.n_targets = 1;
    queue_refused(q.pt, &task, PTOOLS_ERR_NO_WORKER);
    task.function = "t.no_such";
    task.workers = (const uint32_t[]){ 1 };
    queue_refused(q.pt, &task, PTOOLS_ERR_NO_FUNCTION);
    task.function = "t.id";
    queue_gives_u64(q.pt, queue_put(q.pt, &task), 1);
}
END_TEST

START_TEST(both_who_queue_it_hear_of_its_end)
{
    ptools *other = server_open(&q.server);
    ptools_worker_task task = with_key("k", NULL);
    PTOOLS_AUTO(ptools_future) mine = NULL;
    PTOOLS_AUTO(ptools_future) theirs = NULL;

    task.flags = PTOOLS_TASK_HOLD;
    ck_assert_err(ptools_execute_worker_task(q.pt, &task, 500, &mine, NULL), PTOOLS_ERR_TIMEOUT);
    ck_assert_err(ptools_execute_worker_task(other, &task, 100, &theirs, NULL), PTOOLS_ERR_TIMEOUT);
    ck_assert_uint_gt(ptools_future_task(mine), 0);
    ck_assert_uint_eq(ptools_future_task(mine), ptools_future_task(theirs));
    change(ptools_future_task(mine), PTOOLS_CHANGE_RELEASE);
    ck_assert_ptools(ptools_future_fetch(mine, QUEUE_WAIT_MS, NULL));
    ck_assert_ptools(ptools_future_fetch(theirs, QUEUE_WAIT_MS, NULL));
    theirs = ptools_future_free(theirs);
    ptools_close(other);
}
END_TEST

/* -- tasks that come first ------------------------------------------------------------------------------------- */

static uint64_t put_after(const uint64_t *after, uint32_t n, uint32_t flags)
{
    ptools_worker_task task = queue_task_of("t.nop", NULL);

    task.after = after;
    task.n_after = n;
    task.flags = flags;
    return queue_put(q.pt, &task);
}

START_TEST(after_the_success_of_all)
{
    uint64_t first[2] = { put_on_hold(), put_on_hold() }, then = put_after(first, 2, 0);
    const ptools_queued_info *info;
    ptools_queued *list;

    queue_why_has(q.pt, then, "it waits for 2 tasks");
    info = queue_look(q.pt, then, &list);
    ck_assert_uint_eq(info->n_after, 2);
    ck_assert_uint_eq(info->after[1], first[1]);
    ptools_queued_free(list);
    change(first[1], PTOOLS_CHANGE_RELEASE);
    queue_ends(q.pt, first[1], PTOOLS_QUEUED_DONE);
    queue_why_has(q.pt, then, "it waits for task");
    change(first[0], PTOOLS_CHANGE_RELEASE);
    queue_ends(q.pt, then, PTOOLS_QUEUED_DONE);
    queue_ends(q.pt, put_after(first, 2, 0), PTOOLS_QUEUED_DONE); /* what has ended already */
    {
        ptools_worker_task task = queue_task_of("t.nop", NULL);

        task.after = (const uint64_t[]){ first[0], 1 };
        task.n_after = 2;
        queue_refused(q.pt, &task, PTOOLS_ERR_NO_TASK);
    }
}
END_TEST

START_TEST(what_fails_cascades_unless_it_is_kept_or_any_end_will_do)
{
    uint64_t first = put_on_hold(), then = put_after(&first, 1, 0), last = put_after(&then, 1, 0);
    uint64_t any = put_after(&first, 1, PTOOLS_TASK_AFTER_ANY), keep = put_after(&first, 1, PTOOLS_TASK_AFTER_KEEP);

    change(first, PTOOLS_CHANGE_CANCEL);
    queue_ends(q.pt, then, PTOOLS_QUEUED_CANCELLED);
    queue_failed_with(q.pt, then, PTOOLS_ERR_DEPENDENCY, "which had to come first, is cancelled");
    queue_ends(q.pt, last, PTOOLS_QUEUED_CANCELLED); /* and what waits for it too */
    queue_ends(q.pt, any, PTOOLS_QUEUED_DONE);
    ck_assert_int_eq(queue_state(q.pt, keep), PTOOLS_QUEUED_WAITING);
    change(first, PTOOLS_CHANGE_RERUN);
    queue_ends(q.pt, keep, PTOOLS_QUEUED_DONE);
    queue_ends(q.pt, first, PTOOLS_QUEUED_DONE);
    ck_assert_int_eq(queue_state(q.pt, then), PTOOLS_QUEUED_CANCELLED);
}
END_TEST

START_TEST(after_one_that_has_failed)
{
    ptools_worker_task task = queue_task_of("t.fail_code", NULL);
    uint64_t failed = queue_put(q.pt, &task), then, keep;

    queue_ends(q.pt, failed, PTOOLS_QUEUED_FAILED);
    then = put_after(&failed, 1, 0);
    queue_ends(q.pt, then, PTOOLS_QUEUED_CANCELLED);
    queue_ends(q.pt, put_after(&failed, 1, PTOOLS_TASK_AFTER_ANY), PTOOLS_QUEUED_DONE);
    keep = put_after(&failed, 1, PTOOLS_TASK_AFTER_KEEP);
    queue_why_has(q.pt, keep, "which is failed");
    change(failed, PTOOLS_CHANGE_FORGET); /* then there is nothing to hope for */
    queue_ends(q.pt, keep, PTOOLS_QUEUED_CANCELLED);
    queue_failed_with(q.pt, keep, PTOOLS_ERR_DEPENDENCY, "was forgotten");
}
END_TEST

START_TEST(after_all_the_parts_of_one)
{
    ptools_worker_task task = queue_task_of("t.nop", NULL);
    uint64_t held = queue_occupy(&q, 1), whole, then;

    task.target = PTOOLS_TARGET_ALL;
    whole = queue_put(q.pt, &task);
    then = put_after(&whole, 1, 0);
    queue_ends(q.pt, whole + 2, PTOOLS_QUEUED_DONE);
    ck_assert_int_eq(queue_state(q.pt, then), PTOOLS_QUEUED_WAITING);
    queue_free(&q, held);
    queue_ends(q.pt, then, PTOOLS_QUEUED_DONE);
}
END_TEST

START_TEST(a_long_chain)
{
    uint64_t first = put_on_hold(), last = first;

    for (unsigned i = 0; i < LONG_CHAIN; i++)
        last = put_after(&last, 1, 0);
    change(first, PTOOLS_CHANGE_CANCEL);
    queue_ends(q.pt, last, PTOOLS_QUEUED_CANCELLED);
    first = last = put_on_hold();
    for (unsigned i = 0; i < LONG_CHAIN; i++)
        last = put_after(&last, 1, 0);
    change(first, PTOOLS_CHANGE_RELEASE);
    queue_ends(q.pt, last, PTOOLS_QUEUED_DONE);
}
END_TEST

/* -- changes --------------------------------------------------------------------------------------------------- */

START_TEST(changes_as_the_state_allows)
{
    uint64_t held = queue_occupy(&q, 1), id = put_on_hold(), ids[4] = { held, id, 1 }, changed = 0;

    change_refused(id, PTOOLS_CHANGE_HOLD, PTOOLS_ERR_NOT_NOW, "is waiting: only one that waits, and is not on hold");
    change_refused(id, PTOOLS_CHANGE_KICK, PTOOLS_ERR_NOT_NOW, "only one that waits for a time");
    change_refused(id, PTOOLS_CHANGE_RERUN, PTOOLS_ERR_NOT_NOW, "only one that has ended");
    change_refused(id, PTOOLS_CHANGE_FORGET, PTOOLS_ERR_NOT_NOW, "only one that has ended");
    change_refused(1, PTOOLS_CHANGE_FORGET, PTOOLS_ERR_NO_TASK, "no queued task 1");
    change_refused(held, PTOOLS_CHANGE_DEQUEUE, PTOOLS_ERR_NOT_NOW, "is running");
    change_refused(held, PTOOLS_CHANGE_HOLD, PTOOLS_ERR_NOT_NOW, "is running");
    change(id, PTOOLS_CHANGE_RELEASE);
    queue_ends(q.pt, id, PTOOLS_QUEUED_DONE);
    change_refused(id, PTOOLS_CHANGE_CANCEL, PTOOLS_ERR_NOT_NOW, "it has ended");
    change_refused(id, PTOOLS_CHANGE_RELEASE, PTOOLS_ERR_NOT_NOW, "not on hold");
    change(id, PTOOLS_CHANGE_RERUN);
    queue_ends(q.pt, id, PTOOLS_QUEUED_DONE);
    ids[3] = put_on_hold();
    ck_assert_ptools(ptools_queued_change(q.pt, ids, 4, PTOOLS_CHANGE_FORGET, &changed));
    ck_assert_uint_eq(changed, 1); /* of the one that has ended */
    change_refused(id, PTOOLS_CHANGE_RERUN, PTOOLS_ERR_NO_TASK, "no queued task");
    queue_free(&q, held);
}
END_TEST

START_TEST(what_is_on_hold_stays_in_its_place)
{
    uint64_t held = queue_occupy(&q, 1), second = queue_occupy(&q, 2), a = queue_mark(&q, "a", 1), b;

    b = queue_mark(&q, "b", 2);
    change(a, PTOOLS_CHANGE_HOLD);
    queue_free(&q, second);
    queue_ends(q.pt, b, PTOOLS_QUEUED_DONE);
    queue_why_has(q.pt, a, "it is on hold");
    second = queue_occupy(&q, 2);
    b = queue_mark(&q, "c", 1);
    change(a, PTOOLS_CHANGE_RELEASE); /* first come, first served */
    queue_free(&q, held);
    queue_ends(q.pt, b, PTOOLS_QUEUED_DONE);
    queue_assert_order(&q, "b a c");
    queue_free(&q, second);
}
END_TEST

START_TEST(cancel_stops_what_runs)
{
    static const char *const functions[] = { "t.spin_polite", "t.spin" }; /* the second has to be killed */

    for (unsigned i = 0; i < 2; i++) {
        ptools_worker_task task = queue_task_of(functions[i], NULL);
        uint64_t id;

        task.flags = PTOOLS_TASK_IDEMPOTENT; /* and yet not tried again */
        id = queue_put(q.pt, &task);
        queue_until(q.pt, id, PTOOLS_QUEUED_RUNNING);
        change(id, PTOOLS_CHANGE_CANCEL);
        queue_ends(q.pt, id, PTOOLS_QUEUED_CANCELLED);
    }
    server_whole(q.pt, WORKERS);
}
END_TEST

/* -- events ---------------------------------------------------------------------------------------------------- */

struct seen {
    char text[EVENTS_MAX];
    unsigned n;
    uint64_t task, seq;
};

/* A letter for each event: q queued or ready after a wait, s started, r retry, d done, f failed, c cancelled. Progress
 * is not looked at. */
static void on_event(const ptools_event *event, void *arg)
{
    static const char letters[] = "?qsp.rm";
    struct seen *seen = arg;
    char letter = letters[event->kind];

    ck_assert_msg(event->seq == seen->seq + 1, "event %u has the number %u", seen->n, (unsigned)event->seq);
    seen->seq = event->seq;
    if (event->kind == PTOOLS_EVENT_ENDED)
        letter = ptools_queued_state_name(event->state)[0];
    ck_assert_uint_lt(seen->n, EVENTS_MAX - 1);
    if (letter != 'p')
        seen->text[seen->n++] = letter;
    seen->task = event->task;
    ck_assert_uint_gt((uint64_t)event->time_ms, 0);
    ck_assert(event->kind != PTOOLS_EVENT_STARTED || event->worker > 0);
}

static void until_seen(const struct seen *seen, const char *expected)
{
    while (seen->n < strlen(expected))
        ck_assert_msg(ptools_dispatch(q.pt, QUEUE_WAIT_MS) == PTOOLS_OK, "%s of %s", seen->text, expected);
    ck_assert_str_eq(seen->text, expected);
}

START_TEST(who_watches_sees_it)
{
    static const char *const tags[] = { "seen" };
    PTOOLS_AUTO(ptools_pack) args = ptools_pack_new();
    struct seen all = { 0 }, tagged = { 0 }, one = { 0 };
    ptools *other = server_open(&q.server);
    ptools_watch *watches[3] = { 0 };
    ptools_worker_task task = queue_task_of("q.fail_until", args);
    uint64_t held = put_on_hold();

    ck_assert_ptools(ptools_watch_tasks(q.pt, NULL, 0, on_event, &all, &watches[0]));
    ck_assert_ptools(ptools_watch_tasks(q.pt, "seen", 0, on_event, &tagged, &watches[1]));
    ck_assert_ptools(ptools_watch_tasks(q.pt, NULL, held, on_event, &one, &watches[2]));
    ck_assert_err(ptools_watch_tasks(q.pt, NULL, 1, on_event, &one, &watches[2]), PTOOLS_ERR_NO_TASK);
    ptools_pack_u64(args, 2);
    task.attempts = 2;
    task.retry_on = PTOOLS_RETRY_FAILED;
    task.backoff_ms = 1;
    task.tags = tags;
    task.n_tags = 1;
    queue_put(other, &task); /* of any program of this user */
    until_seen(&tagged, "qsrqsd");
    change(held, PTOOLS_CHANGE_RELEASE);
    until_seen(&one, "qsd"); /* ready after a wait: that is news */
    change(held, PTOOLS_CHANGE_RERUN);
    until_seen(&one, "qsdqsd");
    ck_assert_uint_eq(one.task, held);
    until_seen(&all, "qsrqsdqsdqsd");
    watches[0] = ptools_watch_free(watches[0]);
    change(put_on_hold(), PTOOLS_CHANGE_CANCEL);
    queue_put(other, &task);
    until_seen(&tagged, "qsrqsdqsrqsd");
    ck_assert_uint_eq(all.n, 12); /* and no more */
    ptools_watch_free(watches[1]);
    ptools_watch_free(watches[2]);
    ptools_close(other);
}
END_TEST

static void on_progress(const ptools_event *event, void *arg)
{
    struct seen *seen = arg;

    if (event->kind != PTOOLS_EVENT_PROGRESS)
        return;
    ck_assert(event->progress == 7 && event->progress_of == 9);
    seen->task = event->task;
    seen->n++;
}

START_TEST(progress_is_seen)
{
    PTOOLS_AUTO(ptools_pack) args = ptools_pack_new();
    ptools_worker_task task = queue_task_of("q.progress", args);
    ptools_watch *watch = NULL;
    struct seen seen = { 0 };
    uint64_t id;

    ptools_pack_u64(args, QUEUE_WAIT_MS);
    ck_assert_ptools(ptools_watch_tasks(q.pt, NULL, 0, on_progress, &seen, &watch));
    id = queue_put(q.pt, &task);
    while (seen.n == 0)
        ck_assert_ptools(ptools_dispatch(q.pt, QUEUE_WAIT_MS));
    ck_assert_uint_eq(seen.task, id);
    change(id, PTOOLS_CHANGE_CANCEL);
    queue_ends(q.pt, id, PTOOLS_QUEUED_CANCELLED);
    ptools_watch_free(watch);
}
END_TEST

/* -- why -------------------------------------------------------------------------------------------------------- */

START_TEST(what_one_waits_for)
{
    ptools_worker_task task = queue_task_of("t.nop", NULL);
    uint64_t held = queue_occupy(&q, 1), second = queue_occupy(&q, 2), ahead = queue_mark(&q, "a", 1), id;
    const char *reason;

    queue_why_has(q.pt, held, "it runs, at worker 1");
    id = queue_put(q.pt, &task);
    queue_why_has(q.pt, id, "it waits for a worker: 2 of the 2 that may run it are busy or not up, and 1 of your "
                              "tasks");
    ck_assert_ptools(ptools_queued_set_priority(q.pt, id, 0));
    queue_why_has(q.pt, id, "and 0 of your tasks come before it");
    queue_why_has(q.pt, put_on_hold(), "it is on hold until it is released");
    queue_free(&q, held);
    queue_free(&q, second);
    queue_ends(q.pt, id, PTOOLS_QUEUED_DONE);
    queue_ends(q.pt, ahead, PTOOLS_QUEUED_DONE);
    queue_why_has(q.pt, id, "it waits for nothing: it is done");
    ck_assert_err(ptools_queued_why(q.pt, 1, &reason), PTOOLS_ERR_NO_TASK);
}
END_TEST

START_TEST(and_when_it_waits_for_another_attempt)
{
    PTOOLS_AUTO(ptools_pack) args = ptools_pack_new();
    ptools_worker_task task = queue_task_of("q.fail_until", args);
    uint64_t id;

    ptools_pack_u64(args, 2);
    task.attempts = 2;
    task.retry_on = PTOOLS_RETRY_FAILED;
    task.backoff_ms = 3600000;
    task.backoff_max_ms = 3600000;
    id = queue_put(q.pt, &task);
    queue_until(q.pt, id, PTOOLS_QUEUED_WAITING);
    queue_why_has(q.pt, id, "attempt 1 failed, the next is due in");
    change(id, PTOOLS_CHANGE_KICK);
    queue_gives_u64(q.pt, id, 2);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("queue-edges");
    TCase *tc = suite_case(suite, "edges");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, equal_tasks_of_two_programs_are_one);
    tcase_add_test(tc, a_refused_one_leaves_its_key);
    tcase_add_test(tc, both_who_queue_it_hear_of_its_end);
    tcase_add_test(tc, after_the_success_of_all);
    tcase_add_test(tc, what_fails_cascades_unless_it_is_kept_or_any_end_will_do);
    tcase_add_test(tc, after_one_that_has_failed);
    tcase_add_test(tc, after_all_the_parts_of_one);
    tcase_add_test(tc, a_long_chain);
    tcase_add_test(tc, changes_as_the_state_allows);
    tcase_add_test(tc, what_is_on_hold_stays_in_its_place);
    tcase_add_test(tc, cancel_stops_what_runs);
    tcase_add_test(tc, who_watches_sees_it);
    tcase_add_test(tc, progress_is_seen);
    tcase_add_test(tc, what_one_waits_for);
    tcase_add_test(tc, and_when_it_waits_for_another_attempt);
    return suite_run(suite);
}
