/* SPDX-License-Identifier: MIT */
/*
 * kill -9 of the daemon at the first, the second, ... of its writes and syncs. For each of them there are three lives:
 * the first begins a journal, the second takes up what that has left, both end at their n-th call (in their birth, or
 * under a client's work, as it comes), and the third is let alone: it opens clean, the client gets through, and the
 * ledger holds.
 *
 * FAULT_CALLS in the environment asks for more calls than the first 40 (500).
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

#include "tests/bench/program.h"
#include "tests/fault/client.h"
#include "tests/fault/traced.h"
#include "tests/support/suite.h"

enum {
    CALLS = 40, /* the short form */
    CALLS_MAX = 10000,
    CALLS_A_TASK = 4, /* of the two lives; about half of what there are */
    TASKS_MIN = 8,
    WORKERS = 2,
    LIVES = 2, /* that are cut short */
    WINDOW = 3
};

static struct server server;
static char state[64], ledger[64];
static const char *const args[] = { "--state-dir", state, "-o", "daemon.journal=yes", NULL };

static void plan_task(unsigned client, unsigned i, struct plan_task *ret)
{
    (void)client;
    *ret = (struct plan_task){ .function = i % 4 < 2 ? "q.mark" : "q.mark_again",
                               .durability = i % 2 ? PTOOLS_DURABLE : PTOOLS_CRASHSAFE,
                               .attempts = i % 4 < 2 ? 1 : 3 };
}

struct count {
    unsigned births, works, whole; /* lives that ended so */
};

/* The client is still at work; if not, it has done all of it. */
static bool at_work(pid_t *client)
{
    int status = 0;

    if (*client == 0 || waitpid(*client, &status, WNOHANG) == 0)
        return *client != 0;
    ck_assert_int_eq(status, 0);
    *client = 0;
    return false;
}

/* A life that ends at its n-th call, if there are so many before the client has done all. */
static void short_life(const char *dir, const char *n, const struct plan *plan, pid_t *client, struct count *count)
{
    int end = 0;

    traced_inject(TRACED_WRITES, "signal=SIGKILL", n);
    if (!server_try_in(&server, dir, WORKERS, args, &end)) {
        ck_assert_msg(end == -SIGKILL, "call %s: it ended with %d; its log is %s", n, end, server.log);
        count->births++;
    } else {
        if (*client == 0)
            *client = client_start(plan, 0);
        while (at_work(client) && poll(&(struct pollfd){ .fd = server.pidfd, .events = POLLIN }, 1, 10) == 0)
            continue;
        count->works += *client != 0;
        count->whole += *client == 0;
        kill(server.pid, SIGKILL);
        ck_assert_int_eq(server_end(&server), -SIGKILL);
    }
    traced_end();
}

static void three_lives(unsigned call, unsigned tasks, struct count *count)
{
    struct plan plan = { .dir = server.dir, .ledger = ledger, .tasks = tasks, .window = WINDOW, .task = plan_task };
    char dir[sizeof server.dir], n[16];
    struct verdict verdict;
    pid_t client = 0;
    int status = -1;
    ptools *pt;

    snprintf(n, sizeof n, "%u", call);
    temp_dir(state, sizeof state);
    temp_dir(ledger, sizeof ledger);
    temp_dir(dir, sizeof dir);
    for (unsigned i = 0; i < LIVES; i++)
        short_life(dir, n, &plan, &client, count);
    server_start_in(&server, dir, WORKERS, args);
    if (client == 0)
        client = client_start(&plan, 0);
    ck_assert_int_eq(waitpid(client, &status, 0), client);
    ck_assert_msg(status == 0, "call %u: the client ended with %d", call, status);
    pt = server_open(&server);
    client_assert_ledger(pt, ledger, true, &verdict);
    ck_assert_uint_eq(verdict.known, tasks);
    ptools_close(pt);
    server_stop(&server);
    temp_remove(state);
    temp_remove(ledger);
}

START_TEST(kill_calls)
{
    unsigned calls = program_setting("FAULT_CALLS", CALLS, CALLS_MAX), tasks = calls / CALLS_A_TASK;
    struct count count = { 0 };

    for (unsigned call = 1; call <= calls; call++)
        three_lives(call, tasks > TASKS_MIN ? tasks : TASKS_MIN, &count);
    printf("# %u calls: %u daemons killed in their birth, %u under work, %u not at all\n", calls, count.births,
           count.works, count.whole);
    ck_assert_uint_gt(count.births, 0);
    ck_assert_uint_gt(count.works, 0);
}
END_TEST

int main(void)
{
    Suite *suite;
    TCase *tc;

    if (!traced_possible())
        return 0;
    suite = suite_create("kill-calls");
    tc = suite_case(suite, "fault");
    tcase_set_timeout(tc, 1800);
    tcase_add_test(tc, kill_calls);
    return suite_run(suite);
}
