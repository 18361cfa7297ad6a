/* SPDX-License-Identifier: MIT */
/*
 * The order in which queued tasks begin, with one worker: by priority, by their order, each client in turn; how it is
 * changed; and how tasks are taken out of it.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/integration/queue_rig.h"
#include "tests/support/suite.h"

enum { FLOOD = 10000, FEW = 5 };

static struct queue_rig q;

static void setup(void)
{
    queue_up(&q, 1, NULL);
}

static void teardown(void)
{
    queue_down(&q);
}

/* -- order --------------------------------------------------------------------------------------------------- */

START_TEST(lower_runs_first_and_equal_ones_in_their_order)
{
    uint64_t held = queue_occupy(&q, 1), last;

    queue_mark(&q, "default-1", PTOOLS_PRIORITY_LAST);
    queue_mark(&q, "five-1", 5);
    queue_mark(&q, "half", 0.5);
    queue_mark(&q, "minus", -1e300);
    queue_mark(&q, "five-2", 5);
    last = queue_mark(&q, "default-2", PTOOLS_PRIORITY_LAST);
    queue_mark(&q, "zero-1", 0.0);
    queue_mark(&q, "first", -INFINITY);
    queue_mark(&q, "zero-2", -0.0);
    queue_mark(&q, "five-3", 5);
    queue_mark(&q, "tiny", 4.9406564584124654e-324);
    queue_free(&q, held);
    queue_ends(q.pt, last, PTOOLS_QUEUED_DONE);
    queue_assert_order(&q, "first minus zero-1 zero-2 tiny half five-1 five-2 five-3 default-1 default-2");
}
END_TEST

START_TEST(own_tasks_those_of_the_host_and_those_for_any_by_their_best)
{
    static const uint32_t one = 1;
    static const char *const host = "localhost";
    static const double priorities[] = {
        3, 1, 2, 6, 5, 4, PTOOLS_PRIORITY_LAST, PTOOLS_PRIORITY_LAST, PTOOLS_PRIORITY_LAST
    };
    PTOOLS_AUTO(ptools_pack) args = ptools_pack_new();
    uint64_t held = queue_occupy(&q, 1), last = 0;

    for (unsigned i = 0; i < sizeof priorities / sizeof priorities[0]; i++) {
        char key[16];
        ptools_worker_task task;

        snprintf(key, sizeof key, "%s%u", i % 3 == 0 ? "own" : i % 3 == 1 ? "host" : "any", i / 3);
        task = queue_mark_of(&q, args, key);
        task.priority = priorities[i];
        task.target = i % 3 == 0 ? PTOOLS_TARGET_WORKERS : i % 3 == 1 ? PTOOLS_TARGET_HOSTS : PTOOLS_TARGET_ANY;
        task.n_targets = i % 3 < 2;
        task.workers = i % 3 == 0 ? &one : NULL;
        task.hosts = i % 3 == 1 ? &host : NULL;
        last = queue_put(q.pt, &task);
    }
    queue_free(&q, held);
    queue_ends(q.pt, last, PTOOLS_QUEUED_DONE);
    queue_assert_order(&q, "host0 any0 own0 any1 host1 own1 own2 host2 any2");
}
END_TEST

START_TEST(one_priority_by_id)
{
    uint64_t held = queue_occupy(&q, 1), a = queue_mark(&q, "a", 1), b = queue_mark(&q, "b", 2), c;
    ptools *other = server_open(&q.server);

    c = queue_mark(&q, "c", 3);
    ck_assert_ptools(ptools_queued_set_priority(q.pt, b, 0));
    ck_assert_ptools(ptools_queued_set_priority(other, c, -7)); /* any program of this user */
    ck_assert_err(ptools_queued_set_priority(q.pt, held, 1), PTOOLS_ERR_NOT_NOW);
    ck_assert_err(ptools_queued_set_priority(q.pt, 1, 1), PTOOLS_ERR_NO_TASK);
    ck_assert_err(ptools_queued_set_priority(q.pt, a, (double)NAN), PTOOLS_ERR_INVALID);
    queue_free(&q, held);
    queue_ends(q.pt, a, PTOOLS_QUEUED_DONE);
    queue_assert_order(&q, "c b a");
    ck_assert_err(ptools_queued_set_priority(q.pt, a, 1), PTOOLS_ERR_NOT_NOW);
    ptools_close(other);
}
END_TEST

/* The first that is looked at also ends the wait of the worker: by the time that all have been looked at, it has begun
 * another one. */
struct calculation {
    unsigned called;
    char gate[96], next[96];
};

static double calculate(const char *target, const ptools_queued_info *task, double current, void *arg)
{
    struct calculation *c = arg;
    ptools_value value;
    const char *s;
    size_t n;
    int fd;

    ck_assert_double_eq(task->priority, current);
    ck_assert_str_eq(target, "any");
    ck_assert(task->state == PTOOLS_QUEUED_QUEUED || task->state == PTOOLS_QUEUED_WAITING);
    if (c->called++ == 0) {
        fd = open(c->gate, O_WRONLY | O_CLOEXEC);
        ck_assert_int_ge(fd, 0);
        close(fd);
        fd = open(c->next, O_WRONLY | O_CLOEXEC); /* returns when a worker has begun it */
        ck_assert_int_ge(fd, 0);
        close(fd);
    }
    if (strcmp(task->function, "t.fifo") == 0)
        return 1000;
    ck_assert_ptools(ptools_get_item(task->args, 1, &value));
    ck_assert_ptools(ptools_get_str(value, &s, &n));
    return n == 4 && memcmp(s, "left", 4) == 0 ? (double)NAN : -current;
}

START_TEST(priorities_change_as_a_whole)
{
    PTOOLS_AUTO(ptools_pack) args = ptools_pack_new();
    ptools_worker_task task = queue_task_of("t.fifo", args);
    struct calculation c = { 0 };
    uint64_t held = queue_occupy(&q, 1), begun, last, changed = 0, skipped = 0;

    snprintf(c.gate, sizeof c.gate, "%s/pipe-%" PRIu64, q.work, held);
    snprintf(c.next, sizeof c.next, "%s/next", q.work);
    ck_assert_int_eq(mkfifo(c.next, 0600), 0);
    ptools_pack_str(args, c.next);
    task.priority = 0;
    begun = queue_put(q.pt, &task);
    last = queue_mark(&q, "one", 1);
    queue_mark(&q, "two", 2);
    queue_mark(&q, "left", 2.5);
    queue_mark(&q, "three", 3);
    ck_assert_ptools(ptools_set_priorities(q.pt, calculate, &c, &changed, &skipped));
    ck_assert_uint_eq(c.called, 5);
    ck_assert_uint_eq(changed + skipped, 4);
    ck_assert_uint_ge(skipped, 1); /* that one, and what the worker has begun after it */
    queue_ends(q.pt, begun, PTOOLS_QUEUED_DONE);
    queue_ends(q.pt, last, PTOOLS_QUEUED_DONE);
    queue_ends(q.pt, last + 2, PTOOLS_QUEUED_DONE);
}
END_TEST

static double reverse_priority(const char *target, const ptools_queued_info *task, double current, void *arg)
{
    (void)target;
    (void)task;
    (void)arg;
    return -current;
}

START_TEST(what_comes_later_begins_at_its_own_priority)
{
    uint64_t held = queue_occupy(&q, 1), last, changed = 0, skipped = 7;

    last = queue_mark(&q, "one", 1);
    queue_mark(&q, "two", 2);
    queue_mark(&q, "three", 3);
    ck_assert_ptools(ptools_set_priorities(q.pt, reverse_priority, NULL, &changed, &skipped));
    ck_assert_uint_eq(changed, 3);
    ck_assert_uint_eq(skipped, 0);
    queue_mark(&q, "new", -2.5);
    queue_free(&q, held);
    queue_ends(q.pt, last, PTOOLS_QUEUED_DONE);
    queue_assert_order(&q, "three new two one");
    ck_assert_ptools(ptools_set_priorities(q.pt, reverse_priority, NULL, &changed, NULL)); /* of none */
    ck_assert_uint_eq(changed, 0);
}
END_TEST

/* Another program queues ten thousand before; five of ours come to their turn all the same. */
START_TEST(a_flood_of_one_client_does_not_starve_another)
{
    PTOOLS_AUTO(ptools_pack) args = ptools_pack_new();
    static ptools_future *accepted[FLOOD];
    ptools *other = server_open(&q.server);
    uint64_t held = queue_occupy(&q, 1), last = 0;
    unsigned ours = 0, n = 0;
    char *text, *line;

    ck_assert_ptools(ptools_cork(other));
    for (unsigned i = 0; i < FLOOD; i++) {
        ptools_worker_task task = queue_mark_of(&q, args, "theirs");

        ck_assert_ptools(ptools_queue_worker_task_start(other, &task, &accepted[i]));
    }
    ck_assert_ptools(ptools_uncork(other));
    ck_assert_ptools(ptools_wait_all(other, accepted, FLOOD, QUEUE_WAIT_MS));
    for (unsigned i = 0; i < FEW; i++)
        last = queue_mark(&q, "ours", PTOOLS_PRIORITY_LAST);
    queue_free(&q, held);
    queue_ends(q.pt, last, PTOOLS_QUEUED_DONE);
    for (unsigned i = 0; i < FLOOD; i++) {
        ck_assert_ptools(ptools_future_fetch(accepted[i], 0, NULL));
        last = ptools_future_task(accepted[i]);
        ptools_future_free(accepted[i]);
    }
    queue_ends(q.pt, last, PTOOLS_QUEUED_DONE);
    text = slurp(q.marks);
    for (line = text; line && *line; line = strchr(line, '\n') + 1, n++) {
        ours += *line == 'o';
        if (ours == FEW)
            break;
    }
    ck_assert_msg(ours == FEW && n < 2 * FEW + 2, "the last of ours was number %u", n + 1); /* each in turn */
    free(text);
    ptools_close(other);
}
END_TEST

/* -- out of the queue ---------------------------------------------------------------------------------------- */

START_TEST(one_is_taken_out)
{
    uint64_t held = queue_occupy(&q, 1), a = queue_mark(&q, "a", 1), b = queue_mark(&q, "b", 2);
    ptools_dequeued how;

    ck_assert_ptools(ptools_dequeue_worker_task(q.pt, a, &how));
    ck_assert_int_eq(how, PTOOLS_DEQUEUED_REMOVED);
    queue_ends(q.pt, a, PTOOLS_QUEUED_CANCELLED);
    queue_failed_with(q.pt, a, PTOOLS_ERR_CANCELLED, "cancelled on request");
    ck_assert_ptools(ptools_dequeue_worker_task(q.pt, a, &how));
    ck_assert_int_eq(how, PTOOLS_DEQUEUED_ENDED);
    ck_assert_ptools(ptools_dequeue_worker_task(q.pt, held, &how));
    ck_assert_int_eq(how, PTOOLS_DEQUEUED_RUNNING);
    ck_assert_ptools(ptools_dequeue_worker_task(q.pt, 1, &how));
    ck_assert_int_eq(how, PTOOLS_DEQUEUED_UNKNOWN);
    queue_free(&q, held);
    queue_ends(q.pt, b, PTOOLS_QUEUED_DONE);
    queue_assert_order(&q, "b");
}
END_TEST

static bool is_odd(const ptools_queued_info *task, void *arg)
{
    unsigned *called = arg;

    ++*called;
    return fmod(task->priority, 2) != 0;
}

START_TEST(those_that_are_picked_are_taken_out_or_kept)
{
    uint64_t held = queue_occupy(&q, 1), removed = 77, last = 0;
    unsigned called = 0;
    char key[16];

    for (unsigned i = 1; i <= 6; i++) {
        snprintf(key, sizeof key, "%u", i);
        last = queue_mark(&q, key, i);
    }
    ck_assert_ptools(ptools_dequeue_worker_tasks_drop_if(q.pt, is_odd, &called, &removed));
    ck_assert_uint_eq(removed, 3);
    ck_assert_uint_eq(called, 6); /* once for each that waits; not for the one that runs */
    for (unsigned i = 7; i <= 9; i++) {
        snprintf(key, sizeof key, "%u", i);
        queue_mark(&q, key, i);
    }
    ck_assert_ptools(ptools_dequeue_worker_tasks_keep_if(q.pt, is_odd, &called, &removed));
    ck_assert_uint_eq(removed, 4);
    queue_ends(q.pt, last, PTOOLS_QUEUED_CANCELLED);
    queue_free(&q, held);
    queue_ends(q.pt, last + 3, PTOOLS_QUEUED_DONE);
    queue_assert_order(&q, "7 9");
    ck_assert_ptools(ptools_dequeue_worker_tasks_keep_if(q.pt, is_odd, &called, &removed)); /* of none */
    ck_assert_uint_eq(removed, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("queue-order");
    TCase *tc = suite_case(suite, "order");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, lower_runs_first_and_equal_ones_in_their_order);
    tcase_add_test(tc, own_tasks_those_of_the_host_and_those_for_any_by_their_best);
    tcase_add_test(tc, one_priority_by_id);
    tcase_add_test(tc, priorities_change_as_a_whole);
    tcase_add_test(tc, what_comes_later_begins_at_its_own_priority);
    tcase_add_test(tc, a_flood_of_one_client_does_not_starve_another);
    tcase_add_test(tc, one_is_taken_out);
    tcase_add_test(tc, those_that_are_picked_are_taken_out_or_kept);
    return suite_run(suite);
}
