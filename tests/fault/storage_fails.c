/* SPDX-License-Identifier: MIT */
/*
 * The disk below the journal fails: the n-th sync or write of the daemon gives EIO, once, or the file system is read
 * only from the n-th call on. From then on nothing is accepted that would have to be kept, the log says why, the daemon
 * ends with status 74, and the next one knows everything that was accepted.
 *
 * FAULT_CALLS in the environment asks for more calls than the first 24 (200).
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/program.h"
#include "tests/fault/client.h"
#include "tests/fault/traced.h"
#include "tests/support/suite.h"

enum {
    CALLS = 24, /* the short form: of them the first dozen are those of the start */
    CALLS_MAX = 10000,
    WORKERS = 2,
    TASKS = 300, /* at most, until it fails */
    MORE = 10,   /* when it has failed */
    WAIT_MS = 20000,
    EXIT_FAILED = 74
};

static struct server server;
static char state[64], ledger[64], jobs[80];
static const char *const args[] = { "--state-dir", state, "-o", "daemon.journal=yes", NULL };

static const struct failure {
    const char *calls, *what;
    bool from_then_on;
} failures[] = {
    { "fdatasync,fsync", "error=EIO", false },
    { "pwrite64", "error=EIO", false },
    { TRACED_WRITES, "error=EROFS", true },
};

/* Task i: what it came to. Sent once more, by its key, if nobody says in time. */
static ptools_err submit(ptools *pt, struct ledger *l, unsigned i)
{
    PTOOLS_AUTO(ptools_pack) pack = ptools_pack_new();
    ptools_worker_task task = PTOOLS_WORKER_TASK_INIT;
    uint64_t id = 0, until = now_ms() + WAIT_MS;
    char key[LEDGER_KEY_MAX];
    ptools_err err;

    snprintf(key, sizeof key, "task-%u", i);
    ptools_pack_str(pack, jobs);
    ptools_pack_str(pack, key);
    task.function = i % 4 < 2 ? "q.mark" : "q.mark_again";
    task.args = pack;
    task.durability = i % 2 ? PTOOLS_DURABLE : PTOOLS_CRASHSAFE;
    task.attempts = i % 4 < 2 ? 1 : 3;
    task.backoff_ms = 1;
    task.key = key;
    task.key_bytes = strlen(key);
    do {
        ledger_sent(l, key, task.durability, task.attempts);
        err = ptools_queue_worker_task(pt, &task, &id);
    } while (err == PTOOLS_ERR_TIMEOUT && now_ms() < until);
    if (err == PTOOLS_OK)
        ledger_accepted(l, key, id, task.durability);
    return err;
}

static void assert_refused(ptools_err err)
{
    ck_assert_msg(err == PTOOLS_ERR_STORAGE || err == PTOOLS_ERR_DRAINING || err == PTOOLS_ERR_LOST ||
                      err == PTOOLS_ERR_NO_DAEMON,
                  "it is refused with %s", ptools_errname(err));
}

/* Submits until it fails; true: it did, and everything after it. */
static bool work(struct ledger *l)
{
    ptools_options options = PTOOLS_OPTIONS_INIT;
    unsigned i = 0;
    ptools *pt = NULL;
    ptools_err err;

    options.address = server.dir;
    options.connect_timeout_ms = 500;
    err = ptools_open(&options, &pt, NULL);
    while (err == PTOOLS_OK && i < TASKS)
        err = submit(pt, l, i++);
    if (err != PTOOLS_OK) {
        assert_refused(err);
        for (unsigned more = 0; pt && more < MORE && err != PTOOLS_ERR_LOST && err != PTOOLS_ERR_NO_DAEMON; more++)
            assert_refused(err = submit(pt, l, i++));
    }
    ptools_close(pt);
    return err != PTOOLS_OK;
}

static void assert_logged(void)
{
    char *log = slurp(server.log);

    ck_assert_msg(strstr(log, "event=journal-failed"), "the log does not say it:\n%s", log);
    free(log);
}

/* The next one, which nothing fails: all have an end, and the ledger holds. How many were accepted. */
static size_t afterwards(const char *dir)
{
    const ptools_queued_info *t;
    struct verdict verdict;
    ptools_queued *list;
    ptools *pt;

    server_start_in(&server, dir, WORKERS, args);
    pt = server_open(&server);
    ck_assert_ptools(ptools_queued_list(pt, 0, NULL, 0, &list));
    for (size_t i = 0; (t = ptools_queued_at(list, i)); i++)
        ck_assert_ptools(ptools_queued_wait(pt, &t->id, 1, false, WAIT_MS, NULL));
    ptools_queued_free(list);
    client_assert_ledger(pt, ledger, true, &verdict);
    ptools_close(pt);
    server_stop(&server);
    return verdict.accepted;
}

struct count {
    unsigned starts, works, whole;
    size_t accepted;
};

static void fail_once(const struct failure *failure, unsigned call, struct count *count)
{
    char dir[sizeof server.dir], when[16];
    struct ledger l;
    int end = 0;
    bool ready;

    temp_dir(state, sizeof state);
    temp_dir(ledger, sizeof ledger);
    temp_dir(dir, sizeof dir);
    ledger_jobs(ledger, jobs, sizeof jobs);
    ledger_open(&l, ledger, 0);
    server_start_in(&server, dir, WORKERS, args); /* there is a journal */
    kill(server.pid, SIGKILL);
    server_end(&server);
    snprintf(when, sizeof when, "%u%s", call, failure->from_then_on ? "+" : "");
    traced_inject(failure->calls, failure->what, when);
    ready = server_try_in(&server, dir, WORKERS, args, &end);
    traced_end();
    if (!ready) { /* it does not begin with what it cannot write */
        ck_assert_msg(end == 1 || end == EXIT_FAILED, "%s of call %u at the start: it ended with %d", failure->what,
                      call, end);
        count->starts++;
    } else if (work(&l)) {
        end = server_end(&server); /* by itself */
        ck_assert_msg(end == EXIT_FAILED, "%s of call %u: it ended with %d", failure->what, call, end);
        assert_logged();
        count->works++;
    } else { /* nothing failed, or only what can be done without */
        kill(server.pid, SIGKILL);
        server_end(&server);
        count->whole++;
    }
    ledger_close(&l);
    count->accepted += afterwards(dir);
    temp_remove(state);
    temp_remove(ledger);
}

START_TEST(storage_fails)
{
    const struct failure *failure = &failures[_i];
    unsigned calls = program_setting("FAULT_CALLS", CALLS, CALLS_MAX);
    struct count count = { 0 };

    for (unsigned call = 1; call <= calls; call++)
        fail_once(failure, call, &count);
    printf("# %s, %s: %u daemons did not start, %u ended, %u had no need of it; %zu tasks\n", failure->calls,
           failure->what, count.starts, count.works, count.whole, count.accepted);
    ck_assert_uint_gt(count.works, 0);
    ck_assert_uint_gt(count.accepted, 0);
}
END_TEST

int main(void)
{
    Suite *suite;
    TCase *tc;

    if (!traced_possible())
        return 0;
    suite = suite_create("storage-fails");
    tc = suite_case(suite, "fault");
    tcase_set_timeout(tc, 1800);
    tcase_add_loop_test(tc, storage_fails, 0, (int)(sizeof failures / sizeof failures[0]));
    return suite_run(suite);
}
