/* SPDX-License-Identifier: MIT */
/*
 * A client that watches and does not read, against a real daemon: it is told how many events of each watch it missed,
 * after those before them and before those that follow, and none is lost or told twice beside that.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/integration/queue_rig.h"
#include "tests/support/suite.h"

enum { TASKS = 10000, AT_ONCE = 1000, EVENTS_OF_ONE = 3 }; /* queued, started, ended */

static struct queue_rig q;

struct seen {
    uint64_t events, missed, seq;
    unsigned gaps;
};

static void on_event(const ptools_event *event, void *arg)
{
    struct seen *s = arg;

    ck_assert_uint_eq(event->seq, ++s->seq);
    if (event->kind == PTOOLS_EVENT_MISSED) {
        ck_assert_uint_gt(event->missed, 0);
        s->missed += event->missed;
        s->gaps++;
    } else {
        s->events++;
    }
}

static void dispatch_until(ptools *reader, const struct seen *s, uint64_t n)
{
    while (s->events + s->missed < n)
        ck_assert_ptools(ptools_dispatch(reader, QUEUE_WAIT_MS));
    ck_assert_uint_eq(s->events + s->missed, n);
}

static uint64_t put_many(const ptools_worker_task *task)
{
    ptools_future *accepted[AT_ONCE];
    uint64_t last = 0;

    for (unsigned i = 0; i < TASKS; i += AT_ONCE) {
        ck_assert_ptools(ptools_cork(q.pt));
        for (unsigned k = 0; k < AT_ONCE; k++)
            ck_assert_ptools(ptools_queue_worker_task_start(q.pt, task, &accepted[k]));
        ck_assert_ptools(ptools_uncork(q.pt));
        ck_assert_ptools(ptools_wait_all(q.pt, accepted, AT_ONCE, QUEUE_WAIT_MS));
        for (unsigned k = 0; k < AT_ONCE; k++) {
            last = ptools_future_task(accepted[k]);
            ptools_future_free(accepted[k]);
        }
    }
    return last;
}

static void teardown(void)
{
    queue_down(&q);
}

START_TEST(who_does_not_read_is_told_what_it_missed)
{
    static const char *const tags[] = { "night" };
    PTOOLS_AUTO(ptools) reader = NULL;
    ptools_watch *watch_all = NULL, *watch_tag = NULL;
    struct seen all = { 0 }, tagged = { 0 };
    ptools_worker_task task;

    queue_up(&q, 1, (const char *const[]){ "-o", "workers.ahead=1", NULL }); /* each is given once */
    task = queue_task_of("t.nop", NULL);
    task.tags = tags;
    task.n_tags = 1;
    reader = server_open(&q.server);
    ck_assert_ptools(ptools_watch_tasks(reader, NULL, 0, on_event, &all, &watch_all));
    ck_assert_ptools(ptools_watch_tasks(reader, "night", 0, on_event, &tagged, &watch_tag));
    queue_ends(q.pt, put_many(&task), PTOOLS_QUEUED_DONE); /* one worker: it is the last */
    dispatch_until(reader, &all, (uint64_t)EVENTS_OF_ONE * TASKS);
    dispatch_until(reader, &tagged, (uint64_t)EVENTS_OF_ONE * TASKS);
    printf("# %llu events, and %llu missed in %u gaps\n", (unsigned long long)all.events,
           (unsigned long long)all.missed, all.gaps);
    ck_assert_uint_gt(all.gaps, 0);
    ck_assert_uint_gt(tagged.gaps, 0);
    queue_ends(q.pt, queue_put(q.pt, &task), PTOOLS_QUEUED_DONE);
    dispatch_until(reader, &all, (uint64_t)EVENTS_OF_ONE * (TASKS + 1));
    dispatch_until(reader, &tagged, (uint64_t)EVENTS_OF_ONE * (TASKS + 1));
    ptools_watch_free(watch_all);
    ptools_watch_free(watch_tag);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("queue-events");
    TCase *tc = suite_case(suite, "missed");

    tcase_add_checked_fixture(tc, NULL, teardown);
    tcase_add_test(tc, who_does_not_read_is_told_what_it_missed);
    return suite_run(suite);
}
