/* SPDX-License-Identifier: MIT */
/*
 * test_memory -- every allocation of the library fails once, in a scenario that uses nearly all of it: each
 * time the scenario fails cleanly or not at all, and nothing leaks (AddressSanitizer and valgrind see to that).
 */
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/failing.h"
#include "tests/support/suite.h"
#include "tests/unit/lib/fake.h"

static void serve_until_gate(struct fake *s)
{
    for (;;) {
        struct pollfd p[2] = { { .fd = s->listener, .events = POLLIN }, { .fd = s->gate[0], .events = POLLIN } };

        poll(p, 2, -1);
        if (p[1].revents)
            return;
        fake_serve(s, s->connections + 1);
    }
}

static void count(ptools_future *f, void *arg)
{
    (void)f;
    ++*(int *)arg;
}

/* A task that has an end at once, in a list of one page, and a watch that tells of it. */
static void serve_queue(struct fake *s)
{
    static const char words[] = "task";
    struct msg_request r;
    ptools_pack *p = ptools_pack_new();

    ptools_pack_map(p, 1);
    ptools_pack_str(p, "tasks");
    ptools_pack_list(p, 1);
    ptools_pack_map(p, 6);
    ptools_pack_str(p, "id");
    ptools_pack_u64(p, 7);
    ptools_pack_str(p, "state");
    ptools_pack_str(p, "queued");
    ptools_pack_str(p, "function");
    ptools_pack_str(p, "t.f");
    ptools_pack_str(p, "tags");
    ptools_pack_list(p, 1);
    ptools_pack_str(p, "x");
    ptools_pack_str(p, "after");
    ptools_pack_list(p, 1);
    ptools_pack_u64(p, 6);
    ptools_pack_str(p, "args");
    ptools_pack_bytes(p, "\x91\x91\x01", 3);
    if (fake_accept_hello(s)) {
        while (fake_next(s, &r)) {
            struct msg_answer answer = { .id = r.id, .reply = { .task = 7, .count = 1, .reason = { words, 4 } } };

            if (r.kind == MSG_TASK_SUBMIT)
                answer.reply.count = 0;
            fake_reply(s, &answer, r.kind == MSG_TASK_LIST || r.kind == MSG_TASK_GET ? p : NULL);
            if (r.kind == MSG_EVENTS)
                fake_reply(s, &(struct msg_answer){ .is_event = true, .id = r.id, .event = { .seq = 1, .event = 4 } },
                           NULL);
        }
    }
    ptools_pack_free(p);
}

static void serve_queue_until_gate(struct fake *s)
{
    for (;;) {
        struct pollfd p[2] = { { .fd = s->listener, .events = POLLIN }, { .fd = s->gate[0], .events = POLLIN } };

        poll(p, 2, -1);
        if (p[1].revents)
            return;
        serve_queue(s);
    }
}

/* Memory ran out in this process, or ended the connection when the answer could not be read. */
static bool is_shortage(ptools_err err)
{
    return err == PTOOLS_ERR_NO_MEMORY || err == PTOOLS_ERR_SYSTEM;
}

struct scenario {
    ptools *pt;
    ptools_pack *args;
    ptools_future *f[4];
    ptools_workerset *set;
    ptools_worker_info *workers;
};

/* The first failure, or PTOOLS_OK. */
static ptools_err play(struct scenario *s, const char *address)
{
    ptools_options options = PTOOLS_OPTIONS_INIT;
    static char large[100000];
    const uint32_t ids[] = { 1, 2 };
    ptools_value value;
    ptools_err err;
    int calls = 0;
    size_t n;

    options.address = address;
    options.module_path = "/x";
    if ((err = ptools_open(&options, &s->pt, NULL)))
        return err;
    s->args = ptools_pack_new();
    if (!s->args)
        return PTOOLS_ERR_NO_MEMORY;
    ptools_pack_list(s->args, 2);
    ptools_pack_str(s->args, "two");
    ptools_pack_bytes(s->args, large, sizeof large);
    if ((err = ptools_workerset_create(s->pt, NULL, ids, 2, PTOOLS_WS_FF, &s->set)) ||
        (err = ptools_remotecall_fetch(s->pt, s->set, "t.echo", s->args, NULL, 5000, &s->f[0], &value)) ||
        (err = ptools_get_item(value, 1, &value)) ||
        (err = ptools_remotecall(s->pt, NULL, "t.fail", NULL, NULL, &s->f[1])) ||
        (err = ptools_future_then(s->f[1], count, &calls)) ||
        (err = ptools_remotecall(s->pt, NULL, "t.never", NULL, NULL, &s->f[2])) ||
        (err = ptools_future_cancel(s->f[2])))
        return err;
    while (calls == 0)
        if ((err = ptools_dispatch(s->pt, 5000)))
            return err;
    err = ptools_future_fetch(s->f[1], 0, NULL);
    if (err != PTOOLS_ERR_WORKER_DIED) /* the facts may be fewer, the code is the same */
        return err;
    if ((err = ptools_future_wait(s->f[2], 5000)))
        return err;
    if ((err = ptools_workers(s->pt, &s->workers, &n)))
        return err;
    return ptools_inspect(s->pt, "workers", &s->f[3], &value);
}

START_TEST(each_allocation_fails_once)
{
    unsigned nth, failures = 0;
    struct fake f;

    fake_begin(&f);
    fake_run(&f, serve_until_gate);
    for (nth = 1;; nth++) {
        struct scenario s = { 0 };
        ptools_err err;
        bool failed;

        failing_at(nth);
        err = play(&s, f.dir);
        failed = failing_stop();
        failures += err != PTOOLS_OK;
        ck_assert_msg(err == PTOOLS_OK || (failed && is_shortage(err)), "allocation %u: %s: %s", nth,
                      ptools_errname(err), s.pt ? ptools_error_message(s.pt) : "");
        free(s.workers);
        ptools_workerset_free(s.set);
        for (int i = 0; i < 4; i++)
            ptools_future_free(s.f[i]);
        ptools_pack_free(s.args);
        ptools_close(s.pt);
        if (!failed)
            break;
    }
    ck_assert_uint_ge(nth, 20); /* so many there are at least */
    ck_assert_uint_ge(failures, 10);
    fake_open_gate(&f);
    fake_end(&f);
}
END_TEST

struct queue_scenario {
    ptools *pt;
    ptools_pack *args;
    ptools_future *f[3];
    ptools_watch *watch;
    ptools_queued *list;
};

static void count_task(uint64_t task, ptools_future *f, void *arg)
{
    (void)task, (void)f;
    ++*(int *)arg;
}

static void count_event(const ptools_event *event, void *arg)
{
    (void)event;
    ++*(int *)arg;
}

static double calc(const char *target, const ptools_queued_info *task, double current, void *arg)
{
    (void)target, (void)task, (void)arg;
    return current;
}

static bool pick(const ptools_queued_info *task, void *arg)
{
    (void)task, (void)arg;
    return true;
}

static int calls, events; /* of the scenario: callbacks may come after it has failed */

static ptools_err play_queue(struct queue_scenario *s, const char *address)
{
    static const uint64_t seven = 7;
    ptools_options options = PTOOLS_OPTIONS_INIT;
    ptools_worker_task task = PTOOLS_WORKER_TASK_INIT;
    const char *reason;
    ptools_value value;
    ptools_err err;

    calls = events = 0;
    options.address = address;
    if ((err = ptools_open(&options, &s->pt, NULL)))
        return err;
    s->args = ptools_pack_new();
    if (!s->args)
        return PTOOLS_ERR_NO_MEMORY;
    task.function = "t.f";
    task.args = s->args;
    task.callback = count_task;
    task.arg = &calls;
    if ((err = ptools_watch_tasks(s->pt, NULL, 0, count_event, &events, &s->watch)) ||
        (err = ptools_queue_worker_task(s->pt, &task, NULL)) ||
        (err = ptools_queue_worker_task_start(s->pt, &task, &s->f[0])) || (err = ptools_future_wait(s->f[0], 5000)) ||
        (err = ptools_future_fetch(s->f[0], 0, NULL)))
        return err;
    while (calls < 2 || events == 0)
        if ((err = ptools_dispatch(s->pt, 5000)))
            return err;
    task.callback = NULL;
    if ((err = ptools_execute_worker_task(s->pt, &task, 5000, &s->f[1], &value)) ||
        (err = ptools_queued_result(s->pt, 7, &s->f[2])) || (err = ptools_future_fetch(s->f[2], 5000, NULL)) ||
        (err = ptools_queued_wait(s->pt, &seven, 1, true, 5000, NULL)) ||
        (err = ptools_queued_change(s->pt, &seven, 1, PTOOLS_CHANGE_KICK, NULL)) ||
        (err = ptools_queued_why(s->pt, 7, &reason)) || (err = ptools_set_priorities(s->pt, calc, NULL, NULL, NULL)) ||
        (err = ptools_dequeue_worker_tasks_drop_if(s->pt, pick, NULL, NULL)))
        return err;
    err = ptools_queued_list(s->pt, 0, NULL, PTOOLS_LIST_ARGS, &s->list);
    if (err == PTOOLS_OK) /* without memory its arguments are nil */
        ck_assert_ptr_nonnull(ptools_queued_at(s->list, 0));
    return err;
}

START_TEST(each_allocation_for_the_queue_fails_once)
{
    unsigned nth, failures = 0;
    struct fake f;

    fake_begin(&f);
    fake_run(&f, serve_queue_until_gate);
    for (nth = 1;; nth++) {
        struct queue_scenario s = { 0 };
        ptools_err err;
        bool failed;

        failing_at(nth);
        err = play_queue(&s, f.dir);
        failed = failing_stop();
        failures += err != PTOOLS_OK;
        ck_assert_msg(err == PTOOLS_OK || (failed && is_shortage(err)), "allocation %u: %s: %s", nth,
                      ptools_errname(err), s.pt ? ptools_error_message(s.pt) : "");
        ptools_queued_free(s.list);
        for (int i = 0; i < 3; i++)
            ptools_future_free(s.f[i]);
        ptools_watch_free(s.watch);
        ptools_pack_free(s.args);
        ptools_close(s.pt);
        if (!failed)
            break;
    }
    ck_assert_uint_ge(nth, 20);
    ck_assert_uint_ge(failures, 10);
    fake_open_gate(&f);
    fake_end(&f);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("lib/memory");
    TCase *tc = suite_case(suite, "memory");

    tcase_add_test(tc, each_allocation_fails_once);
    tcase_add_test(tc, each_allocation_for_the_queue_fails_once);
    return suite_run(suite);
}
