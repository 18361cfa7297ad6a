/* SPDX-License-Identifier: MIT */
/*
 * The daemon's clock is set an hour or a day forward or back while tasks wait: for a time, for their deadline, for
 * their expiry; and while no daemon runs at all, between a killed one and the next. None is early by more than 100 ms,
 * and none late by more than a second (and the grace time, for what has to be killed). One that waits for a time of day
 * follows the clock.
 *
 * It is the daemon alone that sees another time, through set_clock.c, which reads the step from a file. This process
 * measures by its own clock.
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "proto/util.h"
#include "tests/fault/ledger.h"
#include "tests/integration/server.h"
#include "tests/support/suite.h"

enum { WORKERS = 4, EARLY_MS = 100, LATE_MS = 1000, GRACE_MS = 500, STEP_AFTER_MS = 300, WAIT_MS = 20000, KINDS = 6 };

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SANITIZED = 1 }; /* a sanitizer must be loaded first */
#else
enum { SANITIZED = 0 };
#endif

static const struct step {
    const char *name;
    long seconds;
} steps[] = { { "+1h", 3600 }, { "-1h", -3600 }, { "+1d", 86400 }, { "-1d", -86400 } };

static struct server server;
static char state[64], clock_file[80], jobs[80];
static ptools *pt;

static void set_clock(long seconds)
{
    char fresh[96];
    FILE *f;

    snprintf(fresh, sizeof fresh, "%s.new", clock_file);
    f = fopen(fresh, "we");
    ck_assert_ptr_nonnull(f);
    ck_assert_int_gt(fprintf(f, "%ld\n", seconds), 0);
    ck_assert_int_eq(fclose(f), 0);
    ck_assert_int_eq(rename(fresh, clock_file), 0); /* at once: never a file that is half written */
}

static void start(const char *dir)
{
    static const char *args[] = { "--state-dir", state, "-o", "daemon.journal=yes", NULL };

    setenv("LD_PRELOAD", getenv("PTOOLS_TEST_SET_CLOCK"), 1);
    setenv("PTOOLS_TEST_CLOCK", clock_file, 1);
    if (dir)
        server_start_in(&server, dir, WORKERS, args);
    else
        server_start(&server, WORKERS, args);
    unsetenv("LD_PRELOAD");
    pt = server_open(&server);
}

static void setup(void)
{
    temp_dir(state, sizeof state);
    snprintf(clock_file, sizeof clock_file, "%s.clock", state);
    snprintf(jobs, sizeof jobs, "%s.jobs", state);
    set_clock(0);
    start(NULL);
}

static void teardown(void)
{
    pt = ptools_close(pt);
    server_stop(&server);
    temp_remove(state);
    unlink(clock_file);
    unlink(jobs);
}

/* A task that shall end at a time. */
struct timed {
    const char *what;
    ptools_err ends;   /* how */
    int64_t ms, grace; /* how long after it was queued, and how much later it may be */
    uint64_t id, queued, ended;
};

static void queue(struct timed *t, ptools_worker_task *task, const char *function, const ptools_pack *args)
{
    task->function = function;
    task->args = args;
    task->durability = PTOOLS_DURABLE;
    t->queued = now_ms();
    ck_assert_ptools(ptools_queue_worker_task(pt, task, &t->id));
}

static void delayed(struct timed *t, int64_t ms)
{
    PTOOLS_AUTO(ptools_pack) args = ptools_pack_new();
    ptools_worker_task task = PTOOLS_WORKER_TASK_INIT;
    char key[32];

    snprintf(key, sizeof key, "after-%d", (int)ms);
    ptools_pack_str(args, jobs);
    ptools_pack_str(args, key);
    *t = (struct timed){ .what = "a delayed one", .ends = PTOOLS_OK, .ms = ms };
    task.delay_ms = ms;
    queue(t, &task, "q.mark_again", args);
}

static void expiring(struct timed *t, int64_t ms)
{
    ptools_worker_task task = PTOOLS_WORKER_TASK_INIT;

    *t = (struct timed){ .what = "one that expires", .ends = PTOOLS_ERR_EXPIRED, .ms = ms };
    task.expire_ms = ms;
    task.flags = PTOOLS_TASK_HOLD;
    queue(t, &task, "t.nop", NULL);
}

static void limited(struct timed *t, int64_t ms)
{
    ptools_worker_task task = PTOOLS_WORKER_TASK_INIT;

    *t = (struct timed){ .what = "one with a deadline", .ends = PTOOLS_ERR_DEADLINE, .ms = ms, .grace = GRACE_MS };
    task.deadline_ms = ms;
    queue(t, &task, "q.spin", NULL);
}

/* Not before an hour from now, by the daemon's clock, which is set forward by that much after ms. */
static void at_an_hour_from_now(struct timed *t, int64_t ms)
{
    ptools_worker_task task = PTOOLS_WORKER_TASK_INIT;
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    *t = (struct timed){ .what = "one for a time of day", .ends = PTOOLS_OK, .ms = ms };
    task.start_ms = ((int64_t)now.tv_sec + 3600) * 1000 + now.tv_nsec / 1000000;
    queue(t, &task, "t.nop", NULL);
}

static void on_end(ptools_future *f, void *arg)
{
    struct timed *t = arg;

    t->ended = now_ms();
    ck_assert_err(ptools_future_fetch(f, 0, NULL), t->ends);
    ptools_future_free(f);
}

static void await(struct timed *timed, size_t n, const char *step)
{
    uint64_t until = now_ms() + WAIT_MS;
    int64_t earliest = 0, latest = 0;

    for (size_t i = 0; i < n; i++) {
        ptools_future *f = NULL;

        ck_assert_ptools(ptools_queued_result(pt, timed[i].id, &f));
        ck_assert_ptools(ptools_future_then(f, on_end, &timed[i]));
    }
    for (size_t i = 0; i < n; i++) {
        while (timed[i].ended == 0) {
            ck_assert_msg(now_ms() < until, "clock %s: %s does not end", step, timed[i].what);
            ptools_dispatch(pt, 1000);
        }
    }
    for (size_t i = 0; i < n; i++) {
        int64_t took = (int64_t)(timed[i].ended - timed[i].queued), late = took - timed[i].ms - timed[i].grace;

        earliest = MIN(earliest, took - timed[i].ms);
        latest = MAX(latest, late);
        ck_assert_msg(took >= timed[i].ms - EARLY_MS, "clock %s: %s is early: %lld of %lld ms", step, timed[i].what,
                      (long long)took, (long long)timed[i].ms);
        ck_assert_msg(late <= LATE_MS, "clock %s: %s is late: %lld instead of %lld ms", step, timed[i].what,
                      (long long)took, (long long)timed[i].ms);
    }
    printf("# R16 clock %s, %u tasks: at most %lld ms early, at most %lld ms late\n", step, (unsigned)n,
           (long long)-earliest, (long long)latest);
}

START_TEST(while_it_runs)
{
    struct timed timed[KINDS];

    delayed(&timed[0], 500);
    delayed(&timed[1], 1500);
    delayed(&timed[2], 2500);
    expiring(&timed[3], 1000);
    expiring(&timed[4], 2000);
    limited(&timed[5], 1500);
    poll(NULL, 0, STEP_AFTER_MS); /* that is when: nothing is waited for */
    set_clock(steps[_i].seconds);
    await(timed, KINDS, steps[_i].name);
}
END_TEST

START_TEST(while_it_is_dead)
{
    struct timed timed[3];
    char dir[sizeof server.dir];

    delayed(&timed[0], 2000);
    delayed(&timed[1], 3000);
    expiring(&timed[2], 2500);
    memcpy(dir, server.dir, sizeof dir);
    ck_assert_int_eq(kill(server.pid, SIGKILL), 0);
    ck_assert_int_eq(waitpid(server.pid, NULL, 0), server.pid);
    close(server.pidfd);
    pt = ptools_close(pt);
    set_clock(steps[_i].seconds);
    start(dir);
    await(timed, 3, steps[_i].name);
}
END_TEST

/* The daemon sleeps when the clock is set: a time of day that is named then is one of the new clock. */
START_TEST(before_one_is_told_a_time)
{
    struct timed timed = { .what = "one that was told a time", .ends = PTOOLS_OK, .ms = 700 };
    PTOOLS_AUTO(ptools_pack) args = ptools_pack_new();
    ptools_worker_task task = PTOOLS_WORKER_TASK_INIT;
    struct timespec t;

    ptools_pack_str(args, jobs);
    ptools_pack_str(args, "at");
    set_clock(steps[_i].seconds);
    clock_gettime(CLOCK_REALTIME, &t);
    task.start_ms = (t.tv_sec + steps[_i].seconds) * 1000 + t.tv_nsec / 1000000 + timed.ms;
    queue(&timed, &task, "q.mark_again", args);
    await(&timed, 1, steps[_i].name);
}
END_TEST

/* Asking for its end begins a turn; in the world the kernel does, when the clock is set or the machine wakes up. */
START_TEST(a_time_of_day)
{
    struct timed timed;

    at_an_hour_from_now(&timed, STEP_AFTER_MS);
    poll(NULL, 0, STEP_AFTER_MS); /* as above */
    set_clock(3600);
    await(&timed, 1, "+1h");
}
END_TEST

START_TEST(a_time_of_day_while_it_is_dead)
{
    struct timed timed;
    char dir[sizeof server.dir];

    at_an_hour_from_now(&timed, 0);
    memcpy(dir, server.dir, sizeof dir);
    ck_assert_int_eq(kill(server.pid, SIGKILL), 0);
    ck_assert_int_eq(waitpid(server.pid, NULL, 0), server.pid);
    close(server.pidfd);
    pt = ptools_close(pt);
    set_clock(3600);
    start(dir);
    timed.queued = now_ms();
    await(&timed, 1, "+1h");
}
END_TEST

int main(void)
{
    Suite *suite;
    TCase *tc;

    if (SANITIZED) {
        printf("1..0 # SKIP a sanitizer must be loaded first\n");
        return 0;
    }
    suite = suite_create("clock-steps");
    tc = suite_case(suite, "fault");
    tcase_set_timeout(tc, 300);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, while_it_runs, 0, (int)(sizeof steps / sizeof steps[0]));
    tcase_add_loop_test(tc, before_one_is_told_a_time, 0, (int)(sizeof steps / sizeof steps[0]));
    tcase_add_loop_test(tc, while_it_is_dead, 0, (int)(sizeof steps / sizeof steps[0]));
    tcase_add_test(tc, a_time_of_day);
    tcase_add_test(tc, a_time_of_day_while_it_is_dead);
    return suite_run(suite);
}
