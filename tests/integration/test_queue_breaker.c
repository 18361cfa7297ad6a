/* SPDX-License-Identifier: MIT */
/*
 * A function that kills its workers, against a real daemon: its tasks wait, all others go on, and people are told.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/integration/queue_rig.h"
#include "tests/support/suite.h"

enum { WORKERS = 2, MANY = 100, KILLS = 5 };

static struct queue_rig q;

static void teardown(void)
{
    queue_down(&q);
}

static uint64_t put_segv_later(uint64_t calls)
{
    PTOOLS_AUTO(ptools_pack) args = ptools_pack_new();
    ptools_worker_task task = queue_task_of("t.segv_later", args);

    ptools_pack_u64(args, calls);
    return queue_put(q.pt, &task);
}

/* Until so many of them have failed: how many did. Which ones is not said: what a worker was given and did not begin
 * comes again later. */
static unsigned wait_for_failed(const uint64_t *ids, unsigned n, unsigned wanted)
{
    uint64_t left[MANY];
    unsigned failed, n_left;

    for (;;) {
        failed = n_left = 0;
        for (unsigned i = 0; i < n; i++) {
            const bool has_failed = queue_state(q.pt, ids[i]) == PTOOLS_QUEUED_FAILED;

            failed += has_failed;
            if (!has_failed)
                left[n_left++] = ids[i];
        }
        if (failed >= wanted)
            return failed;
        ck_assert_ptools(ptools_queued_wait(q.pt, left, n_left, true, QUEUE_WAIT_MS, NULL));
    }
}

START_TEST(the_rest_of_the_pool_goes_on)
{
    const ptools_worker_task bad = queue_task_of("t.segv", NULL), good = queue_task_of("t.nop", NULL);
    uint64_t kills[MANY], nops[MANY], left = 0;
    unsigned failed;

    queue_up(&q, WORKERS, NULL);
    for (int i = 0; i < MANY; i++) {
        kills[i] = queue_put(q.pt, &bad);
        nops[i] = queue_put(q.pt, &good);
    }
    for (int i = 0; i < MANY; i++)
        queue_ends(q.pt, nops[i], PTOOLS_QUEUED_DONE);
    failed = wait_for_failed(kills, MANY, KILLS);
    left = kills[MANY - 1];
    ck_assert_uint_lt(failed, KILLS + WORKERS);
    ck_assert_int_eq((int)queue_state(q.pt, left), (int)PTOOLS_QUEUED_QUEUED);
    queue_why_has(q.pt, left, "its function has killed 5 workers in the last 60 s; it is tried again at ");
    ck_assert_ptools(ptools_queued_change(q.pt, &left, 1, PTOOLS_CHANGE_KICK, NULL));
    queue_ends(q.pt, left, PTOOLS_QUEUED_FAILED);
    queue_why_has(q.pt, kills[MANY - 2], "and has killed one each of the 1 times it was tried again");
    queue_kill(&q);
    queue_again(&q); /* it is forgotten, and the pool is there */
    queue_ends(q.pt, queue_put(q.pt, &good), PTOOLS_QUEUED_DONE);
}
END_TEST

START_TEST(when_it_has_become_good_all_go_on)
{
    uint64_t ids[MANY];

    queue_up(&q, 1, (const char *const[]){ "-o", "queue.breaker_kills=2", "-o", "queue.breaker_wait_s=1", NULL });
    for (int i = 0; i < 2; i++)
        queue_ends(q.pt, put_segv_later(0), PTOOLS_QUEUED_FAILED);
    for (int i = 0; i < MANY; i++)
        ids[i] = put_segv_later(MANY);
    for (int i = 0; i < MANY; i++)
        queue_ends(q.pt, ids[i], PTOOLS_QUEUED_DONE);
}
END_TEST

START_TEST(never_if_it_was_said)
{
    const ptools_worker_task bad = queue_task_of("t.segv", NULL);

    queue_up(&q, WORKERS, (const char *const[]){ "-o", "queue.breaker_kills=0", NULL });
    for (int i = 0; i < 3 * KILLS; i++)
        queue_ends(q.pt, queue_put(q.pt, &bad), PTOOLS_QUEUED_FAILED);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("queue-breaker");
    TCase *tc = suite_case(suite, "breaker");

    tcase_add_checked_fixture(tc, NULL, teardown);
    tcase_add_test(tc, the_rest_of_the_pool_goes_on);
    tcase_add_test(tc, when_it_has_become_good_all_go_on);
    tcase_add_test(tc, never_if_it_was_said);
    return suite_run(suite);
}
