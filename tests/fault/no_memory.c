/* SPDX-License-Identifier: MIT */
/*
 * Memory runs out in the daemon, once, or from then on, at each of its requests for it in turn (malloc, calloc and
 * realloc, of all of its libraries), while a client uses all that <ptools/queue.h> has. The daemon refuses what was
 * asked for, and says why, and goes on: then everything works afterwards; or it ends by itself, with a word in its log.
 * Then the next one knows all that was accepted as durable, and of priorities that were given together either all were
 * changed or none. What is said to be well is well: no task is missing from a list, no value is another.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/fault/no_memory_in.h"
#include "tests/integration/server.h"
#include "tests/support/suite.h"

enum { WORKERS = 2, HELD = 3, ACCEPTED_MAX = 16, WAIT_MS = 5000, CALLS = 20, JOURNAL_FAILED = 74 };

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SANITIZED = 1 }; /* a sanitizer must be loaded first */
#else
enum { SANITIZED = 0 };
#endif

static struct server server;
static char state[64], control_file[80];
static const char *const args[] = { "--state-dir", state, "-o", "daemon.journal=yes", NULL };
static struct no_memory_in *control;
static ptools *pt;
static uint64_t held[HELD];                         /* durable, on hold, of one priority */
static uint64_t accepted[ACCEPTED_MAX], n_accepted; /* durable, too */
static ptools_pack *hello;

static ptools_worker_task echo(ptools_durability durability)
{
    ptools_worker_task task = PTOOLS_WORKER_TASK_INIT;

    task.function = "q.echo";
    task.args = hello;
    task.durability = durability;
    return task;
}

/* -- what a client does: PTOOLS_OK, or why not --------------------------------------------------------------------- */

static ptools_err accept(ptools_worker_task *task, uint64_t *ret)
{
    uint64_t id = 0;
    ptools_err err = ptools_queue_worker_task(pt, task, &id);

    if (err == PTOOLS_OK && task->durability >= PTOOLS_CRASHSAFE && n_accepted < ACCEPTED_MAX)
        accepted[n_accepted++] = id;
    if (err == PTOOLS_OK && ret)
        *ret = id;
    return err;
}

static ptools_err queue_everything(void)
{
    static const char *const tags[] = { "x", "y" };
    ptools_worker_task task = echo(PTOOLS_DURABLE);
    char key[32];

    task.key = key;
    task.key_bytes = (size_t)snprintf(key, sizeof key, "key %d", (int)n_accepted);
    task.tags = tags;
    task.n_tags = 2;
    task.after = held;
    task.n_after = HELD;
    task.keep_ms = 100000;
    task.expire_ms = 100000;
    return accept(&task, NULL);
}

static ptools_err execute(ptools_durability durability, const uint32_t *workers, uint32_t n)
{
    ptools_worker_task task = echo(durability);
    ptools_future *f = NULL;
    ptools_value value;
    const char *text;
    ptools_err err;
    size_t bytes;

    task.workers = workers;
    task.n_targets = n;
    task.target = n ? PTOOLS_TARGET_WORKERS : PTOOLS_TARGET_ANY;
    err = ptools_execute_worker_task(pt, &task, WAIT_MS, &f, &value);
    if (err == PTOOLS_OK) {
        ck_assert_ptools(ptools_get_str(value, &text, &bytes));
        ck_assert(bytes == 5 && memcmp(text, "hello", 5) == 0);
    }
    ptools_future_free(f);
    return err;
}

static ptools_err execute_volatile(void)
{
    return execute(PTOOLS_VOLATILE, NULL, 0);
}

static ptools_err execute_durable(void)
{
    return execute(PTOOLS_DURABLE, (const uint32_t[]){ 1, 2 }, 2);
}

static ptools_err queue_for_all(void)
{
    ptools_worker_task task = echo(PTOOLS_CRASHSAFE);
    uint64_t id;
    ptools_err err;

    task.target = PTOOLS_TARGET_ALL;
    err = accept(&task, &id);
    return err == PTOOLS_OK ? ptools_queued_wait(pt, &id, 1, false, WAIT_MS, NULL) : err;
}

/* That is well when it has all that are on hold, as they are. */
static ptools_err list(void)
{
    ptools_queued *tasks;
    const ptools_queued_info *t;
    unsigned found = 0;
    ptools_err err = ptools_queued_list(pt, 0, NULL, PTOOLS_LIST_ARGS, &tasks);

    if (err != PTOOLS_OK)
        return err;
    for (size_t i = 0; (t = ptools_queued_at(tasks, i)); i++) {
        ck_assert_str_eq(t->function, "q.echo");
        ck_assert_uint_eq(ptools_value_kind(t->args), PTOOLS_LIST);
        for (int k = 0; k < HELD; k++)
            found += t->id == held[k];
    }
    ck_assert_uint_eq(found, HELD);
    ptools_queued_free(tasks);
    return PTOOLS_OK;
}

static ptools_err look(void)
{
    ptools_queued *one;
    const char *reason;
    ptools_err err = ptools_queued_get(pt, held[0], 0, &one);

    if (err != PTOOLS_OK)
        return err;
    ck_assert_uint_eq(ptools_queued_at(one, 0)->id, held[0]);
    ptools_queued_free(one);
    err = ptools_queued_why(pt, held[0], &reason);
    if (err == PTOOLS_OK)
        ck_assert_ptr_nonnull(strstr(reason, "hold"));
    return err;
}

static void on_event(const ptools_event *event, void *arg)
{
    (void)event;
    (void)arg;
}

static ptools_err watch(void)
{
    ptools_watch *w = NULL;
    ptools_err err = ptools_watch_tasks(pt, NULL, 0, on_event, NULL, &w);

    if (err == PTOOLS_OK)
        err = execute_volatile();
    ptools_watch_free(w);
    return err;
}

static double calc(const char *target, const ptools_queued_info *task, double current, void *arg)
{
    (void)target;
    (void)task;
    (void)arg;
    return current + 1;
}

static ptools_err set_priorities(void)
{
    return ptools_set_priorities(pt, calc, NULL, NULL, NULL);
}

static ptools_err wait_any(void)
{
    const ptools_err err = ptools_queued_wait(pt, held, HELD, true, 20, NULL);

    return err == PTOOLS_ERR_TIMEOUT && kill(server.pid, 0) == 0 ? PTOOLS_OK : err;
}

/* Another on hold, that is released, fetched, and forgotten; and one that is taken out. */
static ptools_err change(void)
{
    ptools_worker_task task = echo(PTOOLS_DURABLE);
    uint64_t ids[2];
    ptools_future *f = NULL;
    ptools_err err;

    task.flags = PTOOLS_TASK_HOLD;
    if ((err = ptools_queue_worker_task(pt, &task, &ids[0])) || (err = ptools_queue_worker_task(pt, &task, &ids[1])) ||
        (err = ptools_queued_change(pt, &ids[0], 1, PTOOLS_CHANGE_RELEASE, NULL)) ||
        (err = ptools_queued_result(pt, ids[0], &f)))
        return err;
    err = ptools_future_fetch(f, WAIT_MS, NULL);
    ptools_future_free(f);
    if (err == PTOOLS_OK)
        err = ptools_dequeue_worker_task(pt, ids[1], NULL);
    return err == PTOOLS_OK ? ptools_queued_change(pt, ids, 2, PTOOLS_CHANGE_FORGET, NULL) : err;
}

static const struct deed {
    const char *name;
    ptools_err (*act)(void);
} deeds[] = {
    { "queue with everything", queue_everything },
    { "execute a volatile one", execute_volatile },
    { "execute a durable one for two workers", execute_durable },
    { "queue for all", queue_for_all },
    { "list", list },
    { "look at one", look },
    { "watch", watch },
    { "set priorities", set_priorities },
    { "wait for any", wait_any },
    { "change", change },
};
enum { DEEDS = sizeof deeds / sizeof *deeds };

/* -- one request fails --------------------------------------------------------------------------------------------- */

static void start(const char *dir)
{
    setenv("LD_PRELOAD", getenv("PTOOLS_TEST_NO_MEMORY_IN"), 1);
    setenv("PTOOLS_TEST_NO_MEMORY", control_file, 1);
    if (dir)
        server_start_in(&server, dir, WORKERS, args);
    else
        server_start(&server, WORKERS, args);
    unsetenv("LD_PRELOAD");
}

static ptools *open_handle(void)
{
    ptools_options options = PTOOLS_OPTIONS_INIT;
    ptools *opened = NULL;

    options.address = server.dir;
    options.connect_timeout_ms = 2000;
    ck_assert_ptools(ptools_open(&options, &opened, NULL));
    return opened;
}

/* It has gone, though it was not asked to. */
static bool has_ended(int ms)
{
    return poll(&(struct pollfd){ .fd = server.pidfd, .events = POLLIN }, 1, ms) == 1;
}

/* It takes durable tasks, so its journal lives, too; or it is about to end, and has. */
static bool lives(void)
{
    if (execute_durable() == PTOOLS_OK)
        return true;
    ck_assert(has_ended(WAIT_MS));
    return false;
}

/* How many of the deeds failed; up to the first that found the daemon gone. */
static unsigned act_all(uint64_t nth)
{
    unsigned failed = 0;

    for (int i = 0; i < DEEDS; i++) {
        const ptools_err err = deeds[i].act();

        if (err == PTOOLS_OK)
            continue;
        failed++;
        if (strstr(ptools_error_message(pt), "the daemon is out of memory"))
            continue;
        ck_assert_msg(has_ended(WAIT_MS), "request %u for memory: %s: %s: %s, and the daemon lives", (unsigned)nth,
                      deeds[i].name, ptools_errname(err), ptools_error_message(pt));
        break;
    }
    return failed;
}

static void assert_said(uint64_t nth, int end)
{
    char *log = slurp(server.log);

    ck_assert_msg(end == 1 || end == JOURNAL_FAILED, "request %u for memory: the daemon ended with %d:\n%s",
                  (unsigned)nth, end, log);
    ck_assert_msg(strstr(log, "event=daemon-fails") || strstr(log, "event=journal-failed"), "it says nothing:\n%s",
                  log);
    free(log);
}

/* The next one has all that was accepted, and priorities that were changed together. */
static void assert_kept(void)
{
    ptools_queued *one;
    double priority = 0;

    for (uint64_t i = 0; i < n_accepted; i++) {
        ck_assert_ptools(ptools_queued_get(pt, accepted[i], 0, &one));
        ptools_queued_free(one);
    }
    for (int i = 0; i < HELD; i++) {
        ck_assert_ptools(ptools_queued_get(pt, held[i], 0, &one));
        if (i > 0)
            ck_assert_msg(ptools_queued_at(one, 0)->priority == priority, "half of the priorities are changed");
        priority = ptools_queued_at(one, 0)->priority;
        ptools_queued_free(one);
    }
}

static void hold_some(void)
{
    ptools_worker_task task = echo(PTOOLS_DURABLE);

    task.flags = PTOOLS_TASK_HOLD;
    task.priority = 1;
    n_accepted = 0;
    for (int i = 0; i < HELD; i++)
        ck_assert_ptools(ptools_queue_worker_task(pt, &task, &held[i]));
}

struct count {
    unsigned refused, ended, nothing;
};

/* How many requests there were. nth 0: none fails. */
static uint64_t fail_once(uint64_t nth, struct count *count)
{
    char dir[sizeof server.dir];
    uint64_t requests;
    unsigned failed;

    temp_dir(state, sizeof state);
    start(NULL);
    pt = open_handle();
    ck_assert_ptools(execute_volatile()); /* its module is known from here on */
    hold_some();
    control->count = 0;
    control->fails = nth;
    control->armed = true;
    failed = act_all(nth);
    control->armed = false;
    requests = control->count;
    if (!lives()) {
        const int end = server_end(&server);

        memcpy(dir, server.dir, sizeof dir);
        assert_said(nth, end);
        unlink(server.log);
        pt = ptools_close(pt);
        start(dir);
        pt = open_handle();
        count->ended++;
    } else if (failed) {
        count->refused++;
    } else {
        count->nothing++;
    }
    assert_kept();
    ck_assert_uint_eq(act_all(nth), 0);
    pt = ptools_close(pt);
    server_stop(&server);
    temp_remove(state);
    return requests;
}

START_TEST(each_request_for_memory)
{
    const char *wanted = getenv("FAULT_CALLS");
    struct count count = { 0 };
    uint64_t n, requests, step;

    control->lasts = _i;
    hello = ptools_pack_new();
    ptools_pack_str(hello, "hello");
    requests = fail_once(0, &count);
    ck_assert_uint_gt(requests, 100);
    n = wanted ? strtoull(wanted, NULL, 10) : CALLS;
    step = n && n < requests ? requests / n : 1;
    count = (struct count){ 0 };
    for (uint64_t nth = 1 + (uint64_t)now_ms() % step; nth <= requests; nth += step)
        fail_once(nth, &count);
    printf("# of about %u requests for memory, each of %u failed%s: %u refused, %u ended the daemon, %u made no "
           "difference\n",
           (unsigned)requests, count.refused + count.ended + count.nothing, _i ? ", and all that follow" : " once",
           count.refused, count.ended, count.nothing);
    ck_assert_uint_gt(count.refused + count.ended, 0); /* or nothing has failed */
    hello = ptools_pack_free(hello);
}
END_TEST

static bool make_control(void)
{
    int fd;

    snprintf(control_file, sizeof control_file, "/tmp/ptools-no-memory-XXXXXX");
    fd = mkostemp(control_file, O_CLOEXEC);
    if (fd < 0 || ftruncate(fd, sizeof *control) < 0)
        return false;
    control = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (control == MAP_FAILED)
        return false;
    strcpy(control->program, "ptoolsd");
    return true;
}

int main(void)
{
    Suite *suite;
    TCase *tc;
    int r;

    if (SANITIZED) {
        puts("1..0 # SKIP a sanitizer has the memory");
        return 0;
    }
    if (!make_control())
        return 1;
    suite = suite_create("no-memory");
    tc = suite_case(suite, "no memory");
    tcase_set_timeout(tc, 900);
    tcase_add_loop_test(tc, each_request_for_memory, 0, 2);
    r = suite_run(suite);
    unlink(control_file);
    return r;
}
