/* SPDX-License-Identifier: MIT */
/*
 * kill -9 of the daemon at random moments, while eight clients queue tasks, half durable, half crashsafe, and send once
 * more by their keys whatever had no answer. Afterwards the ledger holds: nothing is lost, nothing is there twice, and
 * no two attempts ran at once. The next daemon is ready in less than a second (95 of 100), and no process of the one
 * before is alive a second after it was killed.
 *
 * FAULT_JOBS (100000) and FAULT_KILLS (50) in the environment ask for another size than the short one.
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/bench/program.h"
#include "tests/fault/client.h"
#include "tests/fault/family.h"
#include "tests/integration/server.h"
#include "tests/support/suite.h"

enum {
    JOBS = 8000,
    KILLS = 12, /* the short form */
    WORKERS = 2,
    CLIENTS = 8,
    WINDOW = 50,
    LIFE_MS = 800,
    GONE_MS = 1000,
    READY_MS = 1000,
    KILLS_MAX = 10000
};

static struct server server;
static char state[64], ledger[64];

static void plan_task(unsigned client, unsigned i, struct plan_task *ret)
{
    bool repeatable = i / 2 % 2 == 1;

    *ret = (struct plan_task){ .function = repeatable ? "q.mark_again" : "q.mark",
                               .ms = (client + i) % 3,
                               .durability = i % 2 ? PTOOLS_DURABLE : PTOOLS_CRASHSAFE,
                               .attempts = repeatable ? 3 : 1 };
}

static void assert_gone(struct family *family, uint64_t until)
{
    for (unsigned i = 0; i < family->n; i++) {
        uint64_t now = now_ms();

        ck_assert_msg(poll(&family->ends[i], 1, until > now ? (int)(until - now) : 0) == 1,
                      "a process of the daemon outlives it by %d ms", GONE_MS);
    }
    family_close(family);
}

static void start(const char *dir)
{
    static const char *args[] = { "--state-dir", state, "-o", "daemon.journal=yes", CLIENT_KEPT, NULL };

    if (dir)
        server_start_in(&server, dir, WORKERS, args);
    else
        server_start(&server, WORKERS, args);
}

/* So many ms until the next one was ready. */
static uint64_t strike(void)
{
    struct family family;
    char dir[sizeof server.dir];
    uint64_t killed, took;

    family_below(server.pid, &family);
    memcpy(dir, server.dir, sizeof dir);
    ck_assert_int_eq(kill(server.pid, SIGKILL), 0);
    killed = now_ms();
    ck_assert_int_eq(waitpid(server.pid, NULL, 0), server.pid);
    close(server.pidfd);
    start(dir);
    took = now_ms() - killed;
    assert_gone(&family, killed + GONE_MS);
    return took;
}

/* Orphans of killed daemons are this process's own. */
static void reap(const pid_t *clients)
{
    pid_t pid;
    int status;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        for (unsigned i = 0; i < CLIENTS; i++)
            ck_assert_msg(pid != clients[i], "a client ended with %d, while it had work to do", status);
}

START_TEST(kill_daemon)
{
    unsigned jobs = program_setting("FAULT_JOBS", JOBS, 10000000),
             kills = program_setting("FAULT_KILLS", KILLS, KILLS_MAX);
    struct plan plan = { .dir = server.dir, .ledger = ledger, .window = WINDOW, .task = plan_task };
    static uint64_t took[KILLS_MAX];
    struct verdict verdict;
    pid_t clients[CLIENTS];
    pid_t left;
    int status;
    ptools *pt;

    ck_assert_int_eq(prctl(PR_SET_CHILD_SUBREAPER, 1L), 0);
    temp_dir(state, sizeof state);
    temp_dir(ledger, sizeof ledger);
    start(NULL);
    plan.more = shared_memory(sizeof *plan.more);
    plan.tasks = jobs / CLIENTS;
    atomic_store(plan.more, 1);
    for (unsigned i = 0; i < CLIENTS; i++)
        clients[i] = client_start(&plan, i);
    for (unsigned i = 0; i < kills; i++) {
        poll(NULL, 0, (int)pick(LIFE_MS)); /* that is when: nothing is waited for */
        took[i] = strike();
        reap(clients);
    }
    atomic_store(plan.more, 0);
    for (unsigned i = 0; i < CLIENTS; i++) {
        ck_assert_int_eq(waitpid(clients[i], &status, 0), clients[i]);
        ck_assert_int_eq(status, 0);
    }
    pt = server_open(&server);
    client_assert_ledger(pt, ledger, true, &verdict);
    pt = ptools_close(pt);
    printf("# %zu tasks sent %zu times, %zu begun, %zu finished; the daemon killed %u times, ready after %llu ms "
           "(half)\n",
           verdict.keys, verdict.sent, verdict.begun, verdict.finished, kills,
           (unsigned long long)percentile(took, kills, 0.5));
    figure_below("R2, ready after, ms, 95 of 100", (double)percentile(took, kills, 0.95), READY_MS);
    ck_assert_uint_ge(verdict.known, jobs);
    ck_assert_uint_eq(verdict.known, verdict.keys);
    server_stop(&server);
    while ((left = waitpid(-1, NULL, WNOHANG)) > 0)
        continue;
    ck_assert_int_eq(left, -1); /* nobody is left, not even somebody who lives */
    temp_remove(state);
    temp_remove(ledger);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("kill-daemon");
    TCase *tc = suite_case(suite, "fault");

    tcase_set_timeout(tc, 900);
    tcase_add_test(tc, kill_daemon);
    return suite_run(suite);
}
