/* SPDX-License-Identifier: MIT */
/*
 * Who may run a queued task: any worker, all, one of some, one of a host, one of a set; and what becomes of it when
 * there is none of these.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/integration/queue_rig.h"
#include "tests/support/suite.h"

enum { WORKERS = 3 };

static struct queue_rig q;

static void setup(void)
{
    queue_up(&q, WORKERS, NULL);
}

static void teardown(void)
{
    queue_down(&q);
}

static ptools_worker_task for_workers(const char *function, const uint32_t *workers, uint32_t n)
{
    ptools_worker_task task = queue_task_of(function, NULL);

    task.target = PTOOLS_TARGET_WORKERS;
    task.workers = workers;
    task.n_targets = n;
    return task;
}

static ptools_worker_task for_host(const char *function, const char *const *hosts, uint32_t n)
{
    ptools_worker_task task = queue_task_of(function, NULL);

    task.target = PTOOLS_TARGET_HOSTS;
    task.hosts = hosts;
    task.n_targets = n;
    return task;
}

/* -- targets ------------------------------------------------------------------------------------------------- */

struct parts {
    uint64_t first;
    unsigned called, ok;
    bool worker[WORKERS + 1], id[WORKERS + 1];
};

static void on_part(uint64_t task, ptools_future *result, void *arg)
{
    struct parts *p = arg;
    ptools_value value;
    uint64_t worker = ptools_future_worker(result);

    ck_assert_uint_ge(worker, 1);
    ck_assert_uint_le(worker, WORKERS);
    ck_assert(!p->worker[worker]);
    p->worker[worker] = true;
    ck_assert(task > p->first && task <= p->first + WORKERS && !p->id[task - p->first]);
    p->id[task - p->first] = true;
    p->called++;
    if (ptools_future_fetch(result, 0, &value) == PTOOLS_OK) {
        ck_assert_ptools(ptools_get_u64(value, &worker));
        ck_assert_uint_eq(worker, ptools_future_worker(result));
        p->ok++;
    }
}

START_TEST(all_is_every_worker_once)
{
    PTOOLS_AUTO(ptools_future) f = NULL;
    ptools_worker_task task = queue_task_of("t.id", NULL);
    struct parts parts = { 0 };
    const ptools_queued_info *info;
    ptools_queued *list;
    uint64_t held, id;
    ptools_value value;

    held = queue_occupy(&q, 2);
    task.target = PTOOLS_TARGET_ALL;
    task.callback = on_part;
    task.arg = &parts;
    parts.first = id = queue_put(q.pt, &task);
    info = queue_look(q.pt, id, &list);
    ck_assert_uint_eq(info->parts, WORKERS);
    ck_assert_str_eq(info->target, "all");
    ptools_queued_free(list);
    while (parts.called < WORKERS - 1)
        ck_assert_ptools(ptools_dispatch(q.pt, QUEUE_WAIT_MS));
    ck_assert(!parts.worker[2]);
    queue_why_has(q.pt, id, "1 of its 3 parts have not ended");
    queue_free(&q, held);
    queue_ends(q.pt, id, PTOOLS_QUEUED_DONE);
    while (parts.called < WORKERS)
        ck_assert_ptools(ptools_dispatch(q.pt, QUEUE_WAIT_MS));
    ck_assert_uint_eq(parts.ok, WORKERS);
    for (uint64_t i = 1; i <= WORKERS; i++) {
        info = queue_look(q.pt, id + i, &list);
        ck_assert_uint_eq(info->parent, id);
        ptools_queued_free(list);
    }
    task.callback = NULL;
    ck_assert_ptools(ptools_execute_worker_task(q.pt, &task, QUEUE_WAIT_MS, &f, &value));
    ck_assert_int_eq(ptools_value_kind(value), PTOOLS_NIL);
}
END_TEST

START_TEST(all_fails_when_one_does)
{
    PTOOLS_AUTO(ptools_pack) args = ptools_pack_new();
    ptools_worker_task task = queue_task_of("t.mark", args);
    uint64_t held, id;

    held = queue_occupy(&q, 1);
    task = queue_mark_of(&q, args, "part");
    task.target = PTOOLS_TARGET_ALL;
    id = queue_put(q.pt, &task);
    queue_ends(q.pt, id + 2, PTOOLS_QUEUED_DONE);
    ck_assert_ptools(ptools_queued_change(q.pt, (uint64_t[]){ id + 1 }, 1, PTOOLS_CHANGE_DEQUEUE, NULL));
    queue_ends(q.pt, id, PTOOLS_QUEUED_FAILED);
    queue_failed_with(q.pt, id, PTOOLS_ERR_PARTS, "1 of its 3 parts were not done");
    queue_ends(q.pt, id + 3, PTOOLS_QUEUED_DONE);
    queue_assert_order(&q, "part part");
    queue_free(&q, held);
}
END_TEST

START_TEST(a_list_is_one_of_those)
{
    uint64_t held[2] = { queue_occupy(&q, 1), queue_occupy(&q, 3) }, id;
    ptools_worker_task task = for_workers("t.id", (const uint32_t[]){ 3, 2, 1 }, 3);

    queue_gives_u64(q.pt, queue_put(q.pt, &task), 2); /* whichever is free first */
    task = for_workers("t.id", (const uint32_t[]){ 3, 1 }, 2);
    id = queue_put(q.pt, &task);
    queue_why_has(q.pt, id, "2 of the 2 that may run it are busy"); /* though the second worker is idle */
    queue_free(&q, held[1]);
    queue_gives_u64(q.pt, id, 3);
    task = for_workers("t.id", (const uint32_t[]){ 1 }, 1);
    id = queue_put(q.pt, &task);
    ck_assert_int_eq(queue_state(q.pt, id), PTOOLS_QUEUED_QUEUED);
    queue_free(&q, held[0]);
    queue_gives_u64(q.pt, id, 1);
}
END_TEST

START_TEST(a_host_has_names_and_addresses)
{
    char name[256] = "", upper[256] = "";
    const char *const names[] = { name, upper, "localhost", "127.0.0.1" };

    ck_assert_int_eq(gethostname(name, sizeof name - 1), 0);
    for (size_t i = 0; name[i]; i++)
        upper[i] = (char)(name[i] >= 'a' && name[i] <= 'z' ? name[i] - 32 : name[i]);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        ptools_worker_task task = for_host("t.nop", &names[i], 1);

        queue_ends(q.pt, queue_put(q.pt, &task), PTOOLS_QUEUED_DONE);
    }
    {
        ptools_worker_task task = for_host("t.nop", (const char *const[]){ "no-such-host", "localhost" }, 2);

        queue_ends(q.pt, queue_put(q.pt, &task), PTOOLS_QUEUED_DONE); /* one of them */
    }
}
END_TEST

START_TEST(an_unknown_host_is_refused_waited_for_or_passed_over)
{
    ptools_worker_task task = for_host("t.id", (const char *const[]){ "no-such-host" }, 1);
    uint64_t id;

    queue_refused(q.pt, &task, PTOOLS_ERR_NO_WORKER);
    ck_assert_ptr_nonnull(strstr(ptools_error_message(q.pt), "localhost")); /* which names it has instead */
    task.flags = PTOOLS_TASK_WAIT_TARGET;
    id = queue_put(q.pt, &task);
    queue_why_has(q.pt, id, "its target is not there: host no-such-host");
    ck_assert_int_eq(queue_state(q.pt, id), PTOOLS_QUEUED_WAITING);
    task.flags = PTOOLS_TASK_ANY_TARGET;
    queue_ends(q.pt, queue_put(q.pt, &task), PTOOLS_QUEUED_DONE);
    ck_assert_int_eq(queue_state(q.pt, id), PTOOLS_QUEUED_WAITING);
}
END_TEST

START_TEST(an_unknown_worker_is_refused_waited_for_or_passed_over)
{
    ptools_worker_task task = for_workers("t.id", (const uint32_t[]){ WORKERS + 1 }, 1);
    uint64_t waits, list;
    uint32_t added = 0;

    queue_refused(q.pt, &task, PTOOLS_ERR_NO_WORKER);
    task.flags = PTOOLS_TASK_WAIT_TARGET;
    waits = queue_put(q.pt, &task);
    queue_why_has(q.pt, waits, "its target is not there: worker 4");
    task.workers = (const uint32_t[]){ WORKERS + 1, WORKERS + 2 };
    task.n_targets = 2;
    list = queue_put(q.pt, &task);
    queue_why_has(q.pt, list, "its target is not there: workers 4 5");
    task.flags = PTOOLS_TASK_ANY_TARGET;
    queue_ends(q.pt, queue_put(q.pt, &task), PTOOLS_QUEUED_DONE);
    ck_assert_ptools(ptools_workers_add(q.pt, 1, &added));
    ck_assert_uint_eq(added, WORKERS + 1);
    queue_gives_u64(q.pt, waits, WORKERS + 1);
    queue_gives_u64(q.pt, list, WORKERS + 1);
    task.flags = 0; /* one of the list is there and one is not */
    queue_refused(q.pt, &task, PTOOLS_ERR_NO_WORKER);
}
END_TEST

START_TEST(a_worker_that_is_removed_takes_nothing_with_it)
{
    ptools_worker_task task = for_workers("t.id", (const uint32_t[]){ 3 }, 1);
    uint64_t held = queue_occupy(&q, 3), id = queue_put(q.pt, &task), waits, list;

    task.flags = PTOOLS_TASK_WAIT_TARGET;
    waits = queue_put(q.pt, &task);
    task = for_workers("t.id", (const uint32_t[]){ 3, 2 }, 2);
    queue_occupy(&q, 2);
    list = queue_put(q.pt, &task);
    ck_assert_ptools(ptools_workers_remove(q.pt, 3));
    queue_free(&q, held);
    queue_ends(q.pt, id, PTOOLS_QUEUED_FAILED);
    queue_failed_with(q.pt, id, PTOOLS_ERR_NO_WORKER, "worker 3 was removed");
    queue_why_has(q.pt, waits, "its target is not there");
    queue_free(&q, list - 1);
    queue_gives_u64(q.pt, list, 2);
    queue_refused(q.pt,
                  &(ptools_worker_task){ .struct_size = sizeof(ptools_worker_task),
                                         .function = "t.id",
                                         .target = PTOOLS_TARGET_WORKERS,
                                         .workers = (const uint32_t[]){ 3 },
                                         .n_targets = 1 },
                  PTOOLS_ERR_NO_WORKER);
}
END_TEST

static ptools_workerset *new_set(const char *name, const uint32_t *ids, size_t n, ptools_ws_mode mode)
{
    ptools_workerset *set = NULL;

    ck_assert_ptools(ptools_workerset_create(q.pt, name, ids, n, mode, &set));
    return set;
}

static ptools_worker_task for_set(const char *function, ptools_workerset *set)
{
    ptools_worker_task task = queue_task_of(function, NULL);

    task.target = PTOOLS_TARGET_SET;
    task.set = set;
    return task;
}

START_TEST(a_set_is_used_by_its_mode)
{
    PTOOLS_AUTO(ptools_workerset) robin = new_set(NULL, (const uint32_t[]){ 3, 1 }, 2, PTOOLS_WS_RR);
    PTOOLS_AUTO(ptools_workerset) first_free = new_set("ff", (const uint32_t[]){ 1, 2 }, 2, PTOOLS_WS_FF);
    ptools_worker_task task = for_set("t.id", robin);
    uint64_t held, ids[4];

    for (unsigned i = 0; i < 4; i++)
        queue_gives_u64(q.pt, queue_put(q.pt, &task), i % 2 ? 1 : 3);
    held = queue_occupy(&q, 3); /* strictly: busy or not */
    for (unsigned i = 0; i < 4; i++)
        ids[i] = queue_put(q.pt, &task);
    queue_gives_u64(q.pt, ids[1], 1);
    queue_gives_u64(q.pt, ids[3], 1);
    ck_assert_int_eq(queue_state(q.pt, ids[0]), PTOOLS_QUEUED_QUEUED);
    queue_free(&q, held);
    queue_gives_u64(q.pt, ids[0], 3);
    queue_gives_u64(q.pt, ids[2], 3);
    held = queue_occupy(&q, 2);
    task = for_set("t.id", first_free);
    for (unsigned i = 0; i < 4; i++)
        queue_gives_u64(q.pt, queue_put(q.pt, &task), 1);
    queue_free(&q, held);
}
END_TEST

START_TEST(a_set_that_is_not_there)
{
    ptools_workerset *set = new_set("s", (const uint32_t[]){ 2 }, 1, PTOOLS_WS_FF), *again, *gone;
    ptools_worker_task task = for_set("t.id", set);
    uint64_t held = queue_occupy(&q, 2), fails = queue_put(q.pt, &task), waits, any;

    task.flags = PTOOLS_TASK_WAIT_TARGET;
    waits = queue_put(q.pt, &task);
    task.flags = PTOOLS_TASK_ANY_TARGET;
    any = queue_put(q.pt, &task);
    ck_assert_ptools(ptools_workerset_open(q.pt, "s", &gone));
    ck_assert_ptools(ptools_workerset_destroy(set));
    queue_ends(q.pt, fails, PTOOLS_QUEUED_FAILED);
    queue_failed_with(q.pt, fails, PTOOLS_ERR_NO_SET, "the worker set was destroyed");
    queue_ends(q.pt, any, PTOOLS_QUEUED_DONE);
    queue_why_has(q.pt, waits, "its target is not there: set s");
    task = for_set("t.id", gone);
    queue_refused(q.pt, &task, PTOOLS_ERR_NO_SET);
    again = new_set("s", (const uint32_t[]){ 1 }, 1, PTOOLS_WS_FF);
    queue_gives_u64(q.pt, waits, 1);
    queue_free(&q, held);
    ptools_workerset_free(set);
    ptools_workerset_free(gone);
    ptools_workerset_free(again);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("queue-targets");
    TCase *tc = suite_case(suite, "targets");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, all_is_every_worker_once);
    tcase_add_test(tc, all_fails_when_one_does);
    tcase_add_test(tc, a_list_is_one_of_those);
    tcase_add_test(tc, a_host_has_names_and_addresses);
    tcase_add_test(tc, an_unknown_host_is_refused_waited_for_or_passed_over);
    tcase_add_test(tc, an_unknown_worker_is_refused_waited_for_or_passed_over);
    tcase_add_test(tc, a_worker_that_is_removed_takes_nothing_with_it);
    tcase_add_test(tc, a_set_is_used_by_its_mode);
    tcase_add_test(tc, a_set_that_is_not_there);
    return suite_run(suite);
}
