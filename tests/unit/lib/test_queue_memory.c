/* SPDX-License-Identifier: MIT */
/*
 * Each function of <ptools/queue.h> with its 1st, 2nd, 3rd ... request for memory failing, alone or with all that
 * follow while it runs, until one needs no more. It fails with PTOOLS_ERR_NO_MEMORY and a message, and leaves nothing
 * behind: no future, no watch, no callback; or it goes well, and then all of it: no argument, reason or event is
 * missing for lack of memory without a word. Either way the handle is as good as before: the same call works when there
 * is memory.
 */
#include <poll.h>
#include <string.h>

#include "client/lib/handle.h"
#include "tests/support/scarce.h"
#include "tests/support/suite.h"
#include "tests/unit/lib/fake.h"

enum { PARTS = 3, FIRST = 7, SECOND = 9, RUNS = 8, DROPS = 10 };

/* -- a daemon with two tasks --------------------------------------------------------------------------------------- */

static void pack_task(ptools_pack *p, uint64_t id)
{
    uint8_t args[700] = { 0xdc, 2, 0xb9 }; /* a list of 697: more than a zone begins with */

    memset(args + 3, (int)id, sizeof args - 3);
    ptools_pack_map(p, 8);
    ptools_pack_str(p, "id");
    ptools_pack_u64(p, id);
    ptools_pack_str(p, "state");
    ptools_pack_str(p, "queued");
    ptools_pack_str(p, "function");
    ptools_pack_str(p, "t.f");
    ptools_pack_str(p, "target");
    ptools_pack_str(p, "any");
    ptools_pack_str(p, "key");
    ptools_pack_bytes(p, "key", 3);
    ptools_pack_str(p, "tags");
    ptools_pack_list(p, 1);
    ptools_pack_str(p, "x");
    ptools_pack_str(p, "after");
    ptools_pack_list(p, 1);
    ptools_pack_u64(p, 6);
    ptools_pack_str(p, "args");
    ptools_pack_bytes(p, args, sizeof args);
}

/* Two pages of one. */
static void reply_tasks(struct fake *f, const struct msg_request *r)
{
    const bool first = r->kind == MSG_TASK_LIST && r->task.after == 0;
    ptools_pack *p = ptools_pack_new();

    ptools_pack_map(p, 2);
    ptools_pack_str(p, "next");
    ptools_pack_u64(p, first ? FIRST : 0);
    ptools_pack_str(p, "tasks");
    ptools_pack_list(p, 1);
    pack_task(p, r->kind == MSG_TASK_LIST && !first ? SECOND : FIRST);
    fake_reply(f, &(struct msg_answer){ .id = r->id, .reply = { .task = r->task.task, .state = SHOWN_RUNNING } }, p);
    ptools_pack_free(p);
}

static void reply_value(struct fake *f, uint64_t id, const struct msg_reply *reply)
{
    ptools_pack *p = ptools_pack_new();

    ptools_pack_list(p, 1);
    ptools_pack_str(p, "the value");
    fake_reply(f, &(struct msg_answer){ .id = id, .reply = *reply }, p);
    ptools_pack_free(p);
}

static void serve_change(struct fake *f, const struct msg_request *r)
{
    if (r->task.n_tasks == 1 && r->task.tasks[0] == RUNS)
        fake_reply(f,
                   &(struct msg_answer){
                       .id = r->id, .failed = true, .failure = { .code = PTOOLS_ERR_NOT_NOW, .state = SHOWN_RUNNING } },
                   NULL);
    else
        fake_reply(f, &(struct msg_answer){ .id = r->id, .reply = { .count = r->task.n_tasks } }, NULL);
}

static void serve_request(struct fake *f, const struct msg_request *r)
{
    static const char reason[] = "it waits";
    struct msg_answer answer = { .id = r->id };

    switch (r->kind) {
    case MSG_INSPECT:
        fake_reply_workers(f, r);
        return;
    case MSG_TASK_LIST:
    case MSG_TASK_GET:
        reply_tasks(f, r);
        return;
    case MSG_TASK_SUBMIT:
        answer.reply.task = FIRST;
        answer.reply.count = r->submit.target == TARGET_ALL ? PARTS : 0;
        if (r->submit.wait) {
            reply_value(f, r->id, &answer.reply);
            return;
        }
        break;
    case MSG_TASK_RESULT:
        answer.reply.task = r->task.task;
        reply_value(f, r->id, &answer.reply);
        return;
    case MSG_TASK_WAIT:
        answer.reply.task = r->task.tasks[0];
        break;
    case MSG_TASK_CHANGE:
        serve_change(f, r);
        return;
    case MSG_TASK_PRIORITIES:
        answer.reply.count = (uint32_t)(fake_payload(f).n / sizeof(struct msg_priority));
        break;
    case MSG_TASK_WHY:
        answer.reply.reason = (struct text){ reason, strlen(reason) };
        break;
    case MSG_EVENTS:
        fake_reply(f, &answer, NULL);
        answer = (struct msg_answer){ .is_event = true, .id = r->id, .event = { .seq = 1, .event = EVENT_ENDED } };
        break;
    default:
        break;
    }
    fake_reply(f, &answer, NULL);
}

/* Drops the connection with the first request for the result of DROPS, anew when it was asked why. */
static void serve_until_gate(struct fake *f)
{
    struct msg_request r;
    bool drop = true;

    for (;;) {
        struct pollfd p[2] = { { .fd = f->listener, .events = POLLIN }, { .fd = f->gate[0], .events = POLLIN } };

        poll(p, 2, -1);
        if (p[1].revents)
            return;
        if (!fake_accept_hello(f))
            continue;
        while (fake_next(f, &r)) {
            if (drop && r.kind == MSG_TASK_RESULT && r.task.task == DROPS) {
                fake_close(f);
                drop = false;
                break;
            }
            drop = drop || r.kind == MSG_TASK_WHY;
            serve_request(f, &r);
        }
    }
}

/* -- calls --------------------------------------------------------------------------------------------------------- */

static ptools *pt;
static ptools_pack *args;
static ptools_future *future;
static ptools_watch *watch;
static ptools_queued *list;
static ptools_value value;
static const uint64_t both[] = { FIRST, SECOND };
static unsigned called, looked, events;
static uint64_t number;

/* Those that are called here may use memory as they like. */
#define UNARMED(what)                                                                                                  \
    do {                                                                                                               \
        const bool was_armed = scarce_armed;                                                                           \
        scarce_armed = false;                                                                                          \
        what;                                                                                                          \
        scarce_armed = was_armed;                                                                                      \
    } while (0)

static void check_task(const ptools_queued_info *task)
{
    uint32_t n;

    ck_assert_str_eq(task->function, "t.f");
    ck_assert_str_eq(task->tags[0], "x");
    ck_assert_uint_eq(task->after[0], 6);
    ck_assert_mem_eq(task->key, "key", 3);
    ck_assert_int_eq(ptools_get_count(task->args, &n), PTOOLS_OK); /* nil has none */
    ck_assert_uint_eq(n, 697);
}

static bool pick(const ptools_queued_info *task, void *arg)
{
    (void)arg;
    looked++;
    UNARMED(check_task(task));
    return true;
}

static bool pick_none(const ptools_queued_info *task, void *arg)
{
    return !pick(task, arg);
}

static double calc(const char *target, const ptools_queued_info *task, double current, void *arg)
{
    (void)target;
    (void)pick(task, arg);
    return current - 1;
}

static void on_end(uint64_t task, ptools_future *f, void *arg)
{
    (void)arg;
    UNARMED(ck_assert_uint_ge(task, FIRST); ck_assert_ptr_nonnull(f));
    called++;
}

static void on_event(const ptools_event *event, void *arg)
{
    (void)arg;
    events += event->kind == PTOOLS_EVENT_ENDED || event->kind == PTOOLS_EVENT_MISSED;
}

static ptools_worker_task everything(void)
{
    static const char *const tags[] = { "x", "y" }, *const hosts[] = { "here", "there" };
    static const uint64_t after[] = { 1, 2, 3 };
    ptools_worker_task task = PTOOLS_WORKER_TASK_INIT;

    task.function = "t.f";
    task.args = args;
    task.target = PTOOLS_TARGET_HOSTS;
    task.hosts = hosts;
    task.n_targets = 2;
    task.durability = PTOOLS_DURABLE;
    task.key = "a key";
    task.key_bytes = 5;
    task.tags = tags;
    task.n_tags = 2;
    task.after = after;
    task.n_after = 3;
    return task;
}

static ptools_err prep_remotes(void)
{
    return ptools_prep_remotes(pt, true);
}

static ptools_err num_remotes(void)
{
    uint32_t n = 0;
    ptools_err err = ptools_num_remotes(pt, &n);

    number = n;
    return err;
}

static ptools_err queue_task(void)
{
    const ptools_worker_task task = everything();

    return ptools_queue_worker_task(pt, &task, &number);
}

static ptools_err queue_with_callback(void)
{
    ptools_worker_task task = everything();

    task.callback = on_end;
    return ptools_queue_worker_task(pt, &task, &number);
}

static ptools_err queue_for_all(void)
{
    ptools_worker_task task = PTOOLS_WORKER_TASK_INIT;

    task.function = "t.f";
    task.target = PTOOLS_TARGET_ALL;
    task.callback = on_end;
    return ptools_queue_worker_task(pt, &task, &number);
}

static ptools_err queue_start(void)
{
    const ptools_worker_task task = everything();
    ptools_err err = ptools_queue_worker_task_start(pt, &task, &future);

    if (err == PTOOLS_OK)
        err = ptools_future_fetch(future, 5000, NULL);
    if (err == PTOOLS_OK)
        number = ptools_future_task(future);
    return err;
}

static ptools_err execute(void)
{
    const ptools_worker_task task = everything();

    return ptools_execute_worker_task(pt, &task, 5000, &future, &value);
}

static ptools_err dequeue(void)
{
    ptools_dequeued what = PTOOLS_DEQUEUED_UNKNOWN;
    ptools_err err = ptools_dequeue_worker_task(pt, RUNS, &what);

    number = what;
    return err;
}

static ptools_err drop_if(void)
{
    return ptools_dequeue_worker_tasks_drop_if(pt, pick, NULL, &number);
}

static ptools_err keep_if(void)
{
    return ptools_dequeue_worker_tasks_keep_if(pt, pick_none, NULL, &number);
}

static ptools_err set_priorities(void)
{
    uint64_t skipped;

    return ptools_set_priorities(pt, calc, NULL, &number, &skipped);
}

static ptools_err set_priority(void)
{
    return ptools_queued_set_priority(pt, FIRST, 2);
}

static ptools_err get(void)
{
    return ptools_queued_get(pt, FIRST, PTOOLS_LIST_ARGS, &list);
}

static ptools_err find(void)
{
    return ptools_queued_find(pt, "key", 3, PTOOLS_LIST_ARGS, &list);
}

static ptools_err list_all(void)
{
    return ptools_queued_list(pt, 0, "x", PTOOLS_LIST_ARGS, &list);
}

/* Without memory its arguments are nil until somebody looks again. */
static ptools_err look_at_list(void)
{
    ptools_err err;

    UNARMED(err = list_all());
    return err == PTOOLS_OK && ptools_queued_at(list, 0)->args.object ? PTOOLS_OK : PTOOLS_ERR_NO_MEMORY;
}

static ptools_err result(void)
{
    ptools_err err = ptools_queued_result(pt, FIRST, &future);

    return err == PTOOLS_OK ? ptools_future_fetch(future, 5000, &value) : err;
}

static ptools_err wait_all(void)
{
    return ptools_queued_wait(pt, both, 2, false, 5000, NULL);
}

static ptools_err wait_any(void)
{
    size_t index = 5;
    ptools_err err = ptools_queued_wait(pt, both, 2, true, 5000, &index);

    number = index;
    return err;
}

static ptools_err change_one(void)
{
    return ptools_queued_change(pt, both, 1, PTOOLS_CHANGE_HOLD, &number);
}

static ptools_err change_both(void)
{
    return ptools_queued_change(pt, both, 2, PTOOLS_CHANGE_CANCEL, &number);
}

static ptools_err why(void)
{
    const char *reason = "";
    ptools_err err = ptools_queued_why(pt, FIRST, &reason);

    if (err == PTOOLS_OK)
        UNARMED(ck_assert_str_eq(reason, "it waits"));
    return err;
}

/* The request is sent once more on a new connection, and that is made without memory, or as soon as there is some. */
static ptools_err reconnect(void)
{
    ptools_err err;

    UNARMED(err = why());
    if (err == PTOOLS_OK)
        UNARMED(err = ptools_queued_result(pt, DROPS, &future));
    return err == PTOOLS_OK ? ptools_future_fetch(future, 10000, &value) : err;
}

static ptools_err watch_tasks(void)
{
    return ptools_watch_tasks(pt, "x", 0, on_event, NULL, &watch);
}

/* -- the loop ------------------------------------------------------------------------------------------------------ */

static void dispatch_until(const unsigned *counter, unsigned n)
{
    for (int i = 0; *counter < n && i < 1000; i++)
        (void)ptools_dispatch(pt, 10);
}

static void check_list(size_t n)
{
    ck_assert_uint_eq(ptools_queued_count(list), n);
    for (size_t i = 0; i < n; i++)
        check_task(ptools_queued_at(list, i));
}

static void check_value(void)
{
    const char *text;
    size_t n;

    ck_assert_int_eq(ptools_get_item(value, 0, &value), PTOOLS_OK);
    ck_assert_int_eq(ptools_get_str(value, &text, &n), PTOOLS_OK);
    ck_assert_uint_eq(n, strlen("the value"));
}

static const struct call {
    const char *name;
    ptools_err (*call)(void);
    uint64_t number; /* what it gives; 0: nothing */
    unsigned tasks;  /* in the list, or looked at, in two pages */
    unsigned called; /* callbacks */
    bool has_value, has_event;
    bool reconnects; /* if there is no memory for as long as it tries to, it is lost */
} calls[] = {
    { "ptools_prep_remotes", prep_remotes, .number = 0 },
    { "ptools_num_remotes", num_remotes, .number = 2 },
    { "ptools_queue_worker_task", queue_task, .number = FIRST },
    { "ptools_queue_worker_task, with a callback", queue_with_callback, .number = FIRST, .called = 1 },
    { "ptools_queue_worker_task, for all", queue_for_all, .number = FIRST, .called = PARTS },
    { "ptools_queue_worker_task_start", queue_start, .number = FIRST },
    { "ptools_execute_worker_task", execute, .has_value = true },
    { "ptools_dequeue_worker_task", dequeue, .number = PTOOLS_DEQUEUED_RUNNING },
    { "ptools_dequeue_worker_tasks_drop_if", drop_if, .number = 2, .tasks = 2 },
    { "ptools_dequeue_worker_tasks_keep_if", keep_if, .number = 2, .tasks = 2 },
    { "ptools_set_priorities", set_priorities, .number = 2, .tasks = 2 },
    { "ptools_queued_set_priority", set_priority, .number = 0 },
    { "ptools_queued_get", get, .tasks = 1 },
    { "ptools_queued_find", find, .tasks = 1 },
    { "ptools_queued_list", list_all, .tasks = 2 },
    { "ptools_queued_at", look_at_list, .tasks = 2 },
    { "ptools_queued_result", result, .has_value = true },
    { "ptools_queued_wait, for all", wait_all, .number = 0 },
    { "ptools_queued_wait, for any", wait_any, .number = 0 },
    { "ptools_queued_change, one", change_one, .number = 1 },
    { "ptools_queued_change, two", change_both, .number = 2 },
    { "ptools_queued_why", why, .number = 0 },
    { "ptools_watch_tasks", watch_tasks, .has_event = true },
    { "on another connection", reconnect, .has_value = true, .reconnects = true },
};

static void check_success(const struct call *c)
{
    if (c->number)
        ck_assert_uint_eq(number, c->number);
    if (list)
        check_list(c->tasks);
    else
        ck_assert_uint_eq(looked, c->tasks);
    if (c->has_value)
        check_value();
    dispatch_until(&called, c->called);
    ck_assert_uint_eq(called, c->called);
    dispatch_until(&events, c->has_event);
    ck_assert_uint_eq(events, c->has_event);
}

/* Nothing of the call is left with the handle. */
static void check_nothing_left(const struct call *c)
{
    const struct ptools_future *f;
    unsigned n = 0;

    for (int i = 0; i < 3; i++) /* what it may have left comes */
        (void)ptools_dispatch(pt, 0);
    LIST_FOREACH(f, &pt->futures, link)
        n++;
    ck_assert_msg(n == 0 && HASH_COUNT(pt->in_flight) == 0 && pt->n_ready == 0 && LIST_EMPTY(&pt->watches) &&
                      TAILQ_EMPTY(&pt->parked),
                  "%s, request %u for memory: something is left", c->name, (unsigned)scarce_fails);
}

static void put_away(void)
{
    list = ptools_queued_free(list);
    future = ptools_future_free(future);
    watch = ptools_watch_free(watch);
    called = looked = events = 0;
    number = 99;
    value = (ptools_value){ NULL };
}

static ptools *open_handle(struct fake *f, int via)
{
    ptools_options options = PTOOLS_OPTIONS_INIT;

    options.address = fake_address(f, via);
    options.connect_timeout_ms = 2000;
    ck_assert_int_eq(ptools_open(&options, &pt, NULL), PTOOLS_OK);
    return pt;
}

/* False: it needs fewer. */
static bool try_without(const struct call *c, struct fake *f, int via, uint64_t nth, unsigned *failures)
{
    ptools_err err;
    bool failed;

    pt = open_handle(f, via);
    put_away();
    scarce_from_now(nth);
    err = c->call();
    scarce_armed = false;
    failed = scarce_count >= nth;
    if (err != PTOOLS_OK) {
        ck_assert_msg(failed && (err == PTOOLS_ERR_NO_MEMORY || (c->reconnects && err == PTOOLS_ERR_LOST)),
                      "%s, request %u for memory: %s: %s", c->name, (unsigned)nth, ptools_errname(err),
                      ptools_error_message(pt));
        ++*failures;
        ck_assert_uint_eq(called + events, 0);
        put_away();
        check_nothing_left(c);
        ck_assert_uint_eq(called + events, 0);
        put_away();
        err = c->call();
        ck_assert_msg(err == PTOOLS_OK, "%s, again after request %u for memory: %s: %s", c->name, (unsigned)nth,
                      ptools_errname(err), ptools_error_message(pt));
    }
    check_success(c);
    put_away();
    check_nothing_left(c);
    pt = ptools_close(pt);
    return failed;
}

START_TEST(call)
{
    const struct call *c = &calls[_i];
    struct fake f;
    unsigned failures = 0;

    fake_begin(&f);
    fake_run(&f, serve_until_gate);
    args = ptools_pack_new();
    ptools_pack_str(args, "an argument");
    for (int i = 0; i < VIAS + 1; i++) { /* by a socket, by libzmq, and without any memory from then on */
        scarce_lasts = i == VIAS;
        for (uint64_t nth = 1; try_without(c, &f, i == VIA_IPC ? VIA_IPC : VIA_UNIX, nth, &failures);)
            nth++;
    }
    ck_assert_uint_gt(failures, 0);
    args = ptools_pack_free(args);
    fake_open_gate(&f);
    fake_end(&f);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("lib/queue_memory");
    TCase *tc = suite_case(suite, "no memory");

    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, call, 0, ELEMENTS(calls));
    return suite_run(suite);
}
