/* SPDX-License-Identifier: MIT */
/*
 * 100,000 tasks wait while four workers run them, and all get new priorities: none is lost, none is run twice, and from
 * then on they begin in the new order.
 *
 * The daemon says when it gave each to a worker (started_ms, which is told by the clock of the moment in which it is
 * asked for: to some milliseconds). No task is given ahead here (workers.ahead=1): what has been would come back to be
 * given again, later than others.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/integration/queue_rig.h"
#include "tests/support/suite.h"

enum { WORKERS = 4, MANY = 100000, AT_ONCE = 1000, CHANGE_MAX = 1024, TOLD_MS = 2 };

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { TASKS = MANY / 4 };
#else
enum { TASKS = MANY };
#endif

static struct queue_rig q;

static void setup(void)
{
    static const char *const args[] = {
        "-o", "workers.ahead=1", "-o", "queue.user_queued_max=200000", "-o", "queue.user_kept_max=200000", NULL
    };

    queue_up(&q, WORKERS, args);
}

static void teardown(void)
{
    queue_down(&q);
}

/* Task i writes its number. ids[i] is its id. */
static void queue_many(uint64_t *ids)
{
    PTOOLS_AUTO(ptools_pack) args = ptools_pack_new();
    ptools_future *accepted[AT_ONCE];

    for (unsigned i = 0; i < TASKS; i += AT_ONCE) {
        ck_assert_ptools(ptools_cork(q.pt));
        for (unsigned k = 0; k < AT_ONCE; k++) {
            ptools_worker_task task;
            char key[16];

            snprintf(key, sizeof key, "%u", i + k);
            task = queue_mark_of(&q, args, key);
            ck_assert_ptools(ptools_queue_worker_task_start(q.pt, &task, &accepted[k]));
        }
        ck_assert_ptools(ptools_uncork(q.pt));
        ck_assert_ptools(ptools_wait_all(q.pt, accepted, AT_ONCE, QUEUE_WAIT_MS));
        for (unsigned k = 0; k < AT_ONCE; k++) {
            ids[i + k] = ptools_future_task(accepted[k]);
            ck_assert_uint_gt(ids[i + k], 0);
            ptools_future_free(accepted[k]);
        }
    }
}

static double later_ones_first(const char *target, const ptools_queued_info *task, double current, void *arg)
{
    uint64_t *called = arg;

    (void)target;
    (void)current;
    ++*called;
    return -(double)task->id;
}

/* What has begun was marked, and was so once; what waits was not. */
static void assert_marks(const ptools_queued *list)
{
    static uint8_t marked[TASKS];
    const ptools_queued_info *t;
    char *text = slurp(q.marks);
    size_t n = 0, lines = 0, done = 0;

    for (char *line = text; *line; line = strchr(line, '\n') + 1, lines++) {
        n = strtoul(line, NULL, 10);
        ck_assert_uint_lt(n, TASKS);
        ck_assert_msg(marked[n]++ == 0, "task %zu ran twice", n);
    }
    for (size_t i = 0; (t = ptools_queued_at(list, i)); i++) {
        if (strcmp(t->function, "t.mark") != 0)
            continue;
        ck_assert(t->state == PTOOLS_QUEUED_DONE || t->state == PTOOLS_QUEUED_QUEUED);
        ck_assert_uint_eq(t->attempt, t->state == PTOOLS_QUEUED_DONE);
        done += t->state == PTOOLS_QUEUED_DONE;
    }
    ck_assert_uint_eq(lines, done);
    free(text);
}

/* Of those that had the new priority when they began, the better one began no later; and each of those that wait is
 * worse than all of those. */
static void assert_order(const ptools_queued *list, uint64_t changed)
{
    const ptools_queued_info *t;
    int64_t before = INT64_MAX - TOLD_MS;
    uint64_t begun = 0, waiting = 0;

    for (size_t i = 0; (t = ptools_queued_at(list, i)); i++) { /* by id: the worst first */
        if (t->priority != -(double)t->id)
            continue;
        if (t->state == PTOOLS_QUEUED_QUEUED) {
            ck_assert_msg(begun == 0, "task %zu of the list waits, and a worse one has begun", i);
            waiting++;
            continue;
        }
        ck_assert_msg(t->started_ms <= before + TOLD_MS, "task %zu of the list began %d ms after a worse one", i,
                      (int)(t->started_ms - before));
        before = t->started_ms;
        begun++;
    }
    ck_assert_uint_eq(begun + waiting, changed);
    ck_assert_uint_ge(begun, TASKS / 10);
    ck_assert_uint_gt(waiting, 0);
}

/* Keeps all workers busy again, with what begins before anything else: a state that stays as it is. */
static void occupy_all(uint64_t held[WORKERS])
{
    for (uint32_t i = 0; i < WORKERS; i++)
        held[i] = queue_occupy(&q, i + 1);
}

static void take_out(const uint64_t *ids)
{
    uint64_t changed = 0, all = 0;

    for (unsigned i = 0; i < TASKS; i += CHANGE_MAX) {
        size_t n = TASKS - i < CHANGE_MAX ? TASKS - i : CHANGE_MAX;

        ck_assert_ptools(ptools_queued_change(q.pt, ids + i, n, PTOOLS_CHANGE_DEQUEUE, &changed));
        all += changed;
    }
    ck_assert_uint_gt(all, 0);
}

START_TEST(all_change_while_four_workers_run)
{
    static uint64_t ids[TASKS];
    uint64_t held[WORKERS], changed = 0, skipped = 0, called = 0, took;
    ptools_queued *list = NULL;

    occupy_all(held);
    queue_many(ids);
    for (unsigned i = 0; i < WORKERS; i++)
        queue_free(&q, held[i]);
    queue_ends(q.pt, ids[TASKS / 100], PTOOLS_QUEUED_DONE); /* they run */
    took = now_ms();
    ck_assert_ptools(ptools_set_priorities(q.pt, later_ones_first, &called, &changed, &skipped));
    took = now_ms() - took;
    printf("# %llu priorities changed in %llu ms; %llu tasks had begun meanwhile\n", (unsigned long long)changed,
           (unsigned long long)took, (unsigned long long)skipped);
    ck_assert_uint_eq(changed + skipped, called);
    ck_assert_uint_gt(changed, TASKS / 5); /* enough are left for a new order to be seen in */
    queue_ends(q.pt, ids[TASKS - TASKS / 10], PTOOLS_QUEUED_DONE); /* a tenth of them in the new order */
    occupy_all(held);
    ck_assert_ptools(ptools_queued_list(q.pt, 0, NULL, 0, &list));
    ck_assert_uint_eq(ptools_queued_count(list), TASKS + 2 * WORKERS); /* nothing is lost */
    assert_marks(list);
    assert_order(list, changed);
    ptools_queued_free(list);
    take_out(ids);
    for (unsigned i = 0; i < WORKERS; i++)
        queue_free(&q, held[i]);
    for (unsigned i = 0; i < TASKS; i += AT_ONCE)
        ck_assert_ptools(ptools_queued_wait(q.pt, ids + i, AT_ONCE, false, QUEUE_WAIT_MS, NULL));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("queue-many");
    TCase *tc = suite_case(suite, "priorities");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, all_change_while_four_workers_run);
    return suite_run(suite);
}
