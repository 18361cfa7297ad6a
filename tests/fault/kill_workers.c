/* SPDX-License-Identifier: MIT */
/*
 * kill -9 of a random worker every 100 ms, while clients queue tasks, half of which may be repeated. Afterwards the
 * ledger holds: nothing is lost, what may not be repeated was begun at most once, and each that was hit says that it
 * may have been executed. A worker is replaced in less than 100 ms (99 of 100), and the tasks go through at no less
 * than 60 % of the speed at which they go undisturbed.
 *
 * FAULT_JOBS (100000) and FAULT_KILLS (1000) in the environment ask for another size than the short one.
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/bench/program.h"
#include "tests/fault/client.h"
#include "tests/integration/server.h"
#include "tests/support/suite.h"

enum {
    JOBS = 8000,
    KILLS = 80, /* the short form */
    WORKERS = 4,
    CLIENTS = 4,
    WINDOW = 200,
    EVERY_MS = 100,
    PAUSE_MS = 1,
    WAIT_MS = 20000,
    KILLS_MAX = 100000,
    READY_MS = 100,
    SPEED_PERCENT = 60
};

static struct server server;
static char state[64], ledger[64];
static ptools *pt;

static bool repeatable(unsigned i)
{
    return i % 2 == 1;
}

static void plan_task(unsigned client, unsigned i, struct plan_task *ret)
{
    *ret = (struct plan_task){ .function = repeatable(i) ? "q.mark_again" : "q.mark",
                               .ms = (client + i) * UINT64_C(2654435761) % 6,
                               .durability = PTOOLS_CRASHSAFE,
                               .attempts = repeatable(i) ? 3 : 1 };
}

struct herd {
    pid_t pids[CLIENTS];
    struct pollfd ends[CLIENTS]; /* pidfds */
    unsigned alive;
    uint64_t began;
};

static void herd_start(struct herd *h, const struct plan *plan, unsigned first)
{
    h->alive = CLIENTS;
    h->began = now_ms();
    for (unsigned i = 0; i < CLIENTS; i++) {
        h->pids[i] = client_start(plan, first + i);
        h->ends[i] = (struct pollfd){ .fd = (int)syscall(SYS_pidfd_open, h->pids[i], 0), .events = POLLIN };
        ck_assert_int_ge(h->ends[i].fd, 0);
    }
}

/* Reaps those that end within so long; false: none is left. */
static bool herd_wait(struct herd *h, int ms)
{
    if (h->alive > 0 && poll(h->ends, CLIENTS, ms) > 0) {
        for (unsigned i = 0; i < CLIENTS; i++) {
            int status;

            if (!h->ends[i].revents)
                continue;
            ck_assert_int_eq(waitpid(h->pids[i], &status, 0), h->pids[i]);
            ck_assert_int_eq(status, 0);
            close(h->ends[i].fd);
            h->ends[i] = (struct pollfd){ .fd = -1 };
            h->alive--;
        }
    }
    return h->alive > 0;
}

/* The process of the worker at a place, and whether it can run tasks. */
static pid_t worker_at(size_t place, bool *ret_ready)
{
    ptools_worker_info *infos = NULL;
    pid_t pid = 0;
    size_t n = 0;

    ck_assert_ptools(ptools_workers(pt, &infos, &n));
    if (place < n) {
        pid = (pid_t)infos[place].pid;
        *ret_ready = pid != 0 && (strcmp(infos[place].state, "idle") == 0 || strcmp(infos[place].state, "busy") == 0);
    }
    free(infos);
    return pid;
}

/* Kills one and waits until there is another in its place: after so many ms. */
static uint64_t strike(void)
{
    size_t place = pick(WORKERS);
    uint64_t began, until = now_ms() + WAIT_MS;
    bool ready = false;
    pid_t victim;

    while ((victim = worker_at(place, &ready)) == 0)
        ck_assert_msg(now_ms() < until, "a worker is not replaced");
    began = now_ms();
    kill(victim, SIGKILL);
    while (worker_at(place, &ready) == victim || !ready) {
        ck_assert_msg(now_ms() < until, "a worker is not replaced");
        poll(NULL, 0, PAUSE_MS); /* asking is work, too */
    }
    return now_ms() - began;
}

/* What was not done says why: none but by a kill. */
static void assert_fates(unsigned kills)
{
    ptools_queued *list = NULL;
    const ptools_queued_info *t;
    unsigned failed = 0, dead = 0;

    ck_assert_ptools(ptools_queued_list(pt, 0, NULL, 0, &list));
    for (size_t i = 0; (t = ptools_queued_at(list, i)); i++) {
        if (t->state == PTOOLS_QUEUED_DONE)
            continue;
        ck_assert_msg(t->state == PTOOLS_QUEUED_FAILED || t->state == PTOOLS_QUEUED_DEAD, "task %llu is %s",
                      (unsigned long long)t->id, ptools_queued_state_name(t->state));
        ck_assert(t->maybe_executed);
        ck_assert_uint_ge(t->kills, 1);
        if (t->state == PTOOLS_QUEUED_FAILED)
            ck_assert_err(t->code, PTOOLS_ERR_WORKER_DIED);
        failed += t->state == PTOOLS_QUEUED_FAILED;
        dead += t->state == PTOOLS_QUEUED_DEAD;
    }
    ptools_queued_free(list);
    ck_assert_uint_le(failed + 3 * dead, kills);
    printf("# %u failed, %u dead\n", failed, dead);
}

START_TEST(kill_workers)
{
    unsigned jobs = program_setting("FAULT_JOBS", JOBS, 10000000),
             most = program_setting("FAULT_KILLS", KILLS, KILLS_MAX);
    static const char *args[] = { "--state-dir", state, "-o", "daemon.journal=yes",
                                  "-o", "queue.breaker_kills=0", CLIENT_KEPT, NULL };
    struct plan plan = { .dir = server.dir, .ledger = ledger, .window = WINDOW, .task = plan_task };
    static uint64_t took[KILLS_MAX];
    double undisturbed, disturbed;
    struct verdict verdict;
    unsigned kills = 0, before;
    struct herd herd;
    uint64_t next, ms;

    temp_dir(state, sizeof state);
    temp_dir(ledger, sizeof ledger);
    server_start(&server, WORKERS, args);
    pt = server_open(&server);
    server_whole(pt, WORKERS);
    plan.tasks = jobs / CLIENTS / 4;
    herd_start(&herd, &plan, 0);
    while (herd_wait(&herd, -1))
        continue;
    undisturbed = plan.tasks * CLIENTS * 1e3 / (double)(now_ms() - herd.began + 1);
    before = plan.tasks * CLIENTS;
    plan.tasks = jobs / CLIENTS;
    plan.more = shared_memory(sizeof *plan.more);
    atomic_store(plan.more, 1); /* until so many have been killed */
    herd_start(&herd, &plan, CLIENTS);
    for (next = herd.began + EVERY_MS; herd.alive > 0; next += EVERY_MS) {
        uint64_t now = now_ms();

        if (!herd_wait(&herd, next > now ? (int)(next - now) : 0) || kills == most)
            continue;
        took[kills++] = strike();
        atomic_store(plan.more, kills < most);
    }
    ms = now_ms() - herd.began + 1;
    client_assert_ledger(pt, ledger, false, &verdict);
    disturbed = (double)(verdict.accepted - before) * 1e3 / (double)ms;
    printf("# %zu tasks, %zu begun, %zu finished; %u workers killed, replaced after %llu ms (99 of 100), %llu (half)\n",
           verdict.accepted, verdict.begun, verdict.finished, kills, (unsigned long long)percentile(took, kills, 0.99),
           (unsigned long long)percentile(took, kills, 0.5));
    printf("# %.0f tasks/s, undisturbed %.0f\n", disturbed, undisturbed);
    assert_fates(kills);
    ck_assert_uint_ge(verdict.known, jobs);
    ck_assert_uint_eq(kills, most);
    ck_assert_uint_gt(verdict.begun, verdict.finished); /* some were hit in the midst of a task */
    /* of less than a thousand the slowest is one accident */
    figure_below("R1, another worker after, ms", (double)percentile(took, kills, kills < 1000 ? 0.95 : 0.99), READY_MS);
    figure_below("R1, the time of a task, of 100 undisturbed", 100 * undisturbed / disturbed, 10000.0 / SPEED_PERCENT);
    pt = ptools_close(pt);
    server_clean(&server, 0);
    server_stop(&server);
    temp_remove(state);
    temp_remove(ledger);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("kill-workers");
    TCase *tc = suite_case(suite, "fault");

    tcase_set_timeout(tc, 900);
    tcase_add_test(tc, kill_workers);
    return suite_run(suite);
}
