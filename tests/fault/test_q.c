/* SPDX-License-Identifier: MIT */
/* q -- the marks that jobs of the fault tests leave are what ledger.h says, also when the worker dies in between. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fault/ledger.h"
#include "tests/integration/server.h"
#include "tests/support/suite.h"

enum { WORKERS = 2, WAIT_MS = 20000 };

static struct server server;
static ptools *pt;
static char dir[64], jobs[80];

static void setup(void)
{
    temp_dir(dir, sizeof dir);
    ledger_jobs(dir, jobs, sizeof jobs);
    server_start(&server, WORKERS, NULL);
    pt = server_open(&server);
}

static void teardown(void)
{
    pt = ptools_close(pt);
    server_stop(&server);
    temp_remove(dir);
}

static ptools_future *start(const char *function, const char *key, uint64_t ms)
{
    PTOOLS_AUTO(ptools_pack) args = ptools_pack_new();
    ptools_future *f = NULL;

    ptools_pack_str(args, jobs);
    ptools_pack_str(args, key);
    ptools_pack_u64(args, ms);
    ck_assert_ptools(ptools_remotecall(pt, NULL, function, args, NULL, &f));
    return f;
}

/* Line i, from 0, is that; the attempt is 1. */
static void assert_line(size_t i, char what, const char *key, int64_t pid, uint64_t task)
{
    char *text = slurp(jobs), *line = text, expected[128];

    for (; i > 0; i--) {
        line = strchr(line, '\n');
        ck_assert_msg(line, "too few lines:\n%s", text);
        line++;
    }
    snprintf(expected, sizeof expected, "%c %s 1 %lld %llu\n", what, key, (long long)pid, (unsigned long long)task);
    ck_assert_msg(strncmp(line, expected, strlen(expected)) == 0, "%s is not %s", line, expected);
    free(text);
}

static int64_t pid_of(uint32_t worker)
{
    ptools_worker_info *infos = NULL;
    int64_t pid = 0;
    size_t n = 0;

    ck_assert_ptools(ptools_workers(pt, &infos, &n));
    for (size_t i = 0; i < n; i++)
        if (infos[i].id == worker)
            pid = infos[i].pid;
    free(infos);
    return pid;
}

START_TEST(begun_and_finished)
{
    for (size_t i = 0; i < 2; i++) {
        PTOOLS_AUTO(ptools_future) f = start(i ? "q.mark_again" : "q.mark", "a-key", i);
        ptools_value v;
        const char *s;
        size_t n;

        ck_assert_ptools(ptools_future_fetch(f, WAIT_MS, &v));
        ck_assert_ptools(ptools_get_str(v, &s, &n));
        ck_assert(n == 5 && memcmp(s, "a-key", 5) == 0);
        assert_line(2 * i, 'X', "a-key", pid_of(ptools_future_worker(f)), ptools_future_task(f));
        assert_line(2 * i + 1, 'Y', "a-key", pid_of(ptools_future_worker(f)), ptools_future_task(f));
    }
}
END_TEST

START_TEST(killed_in_between)
{
    static const char *const functions[] = { "q.kill", "q.kill_again" };

    for (size_t i = 0; i < 2; i++) {
        PTOOLS_AUTO(ptools_future) f = start(functions[i], "k", 0);
        const ptools_failure *failure;

        ck_assert_err(ptools_future_fetch(f, WAIT_MS, NULL), PTOOLS_ERR_WORKER_DIED);
        failure = ptools_future_failure(f);
        ck_assert_int_eq(failure->signal, SIGKILL);
        assert_line(i, 'X', "k", failure->pid, failure->task); /* and no C: the lock of a dead one is free */
    }
}
END_TEST

/* Two of one key at once: the second says so. Of another key: nothing to say. */
START_TEST(at_the_same_time)
{
    PTOOLS_AUTO(ptools_future) first = start("q.mark", "k", WAIT_MS);
    PTOOLS_AUTO(ptools_future) other = NULL;
    PTOOLS_AUTO(ptools_future) second = NULL;
    char *text;

    for (uint64_t until = now_ms() + WAIT_MS;;) { /* until it has the lock */
        ptools_worker_info *infos = NULL;
        size_t n = 0;
        bool there = false;

        ck_assert_ptools(ptools_workers(pt, &infos, &n));
        for (size_t i = 0; i < n; i++)
            there = there || strcmp(infos[i].phase, "marked") == 0;
        free(infos);
        if (there)
            break;
        ck_assert(now_ms() < until);
    }
    other = start("q.mark", "another", 0);
    ck_assert_ptools(ptools_future_fetch(other, WAIT_MS, NULL));
    second = start("q.mark", "k", 0);
    ck_assert_ptools(ptools_future_fetch(second, WAIT_MS, NULL));
    text = slurp(jobs);
    ck_assert_msg(strncmp(text, "X k ", 4) == 0 && strstr(text, "\nC k 1 ") && !strstr(text, "C another"), "%s", text);
    ck_assert(strstr(text, "\nC k 1 ") < strstr(text, "\nY k 1 "));
    free(text);
    ck_assert_ptools(ptools_future_cancel(first)); /* wakes it: it ends without Y */
    ck_assert_err(ptools_future_fetch(first, WAIT_MS, NULL), PTOOLS_ERR_CANCELLED);
}
END_TEST

START_TEST(the_others)
{
    PTOOLS_AUTO(ptools_pack) args = ptools_pack_new();
    PTOOLS_AUTO(ptools_future) f = NULL;
    ptools_value v;
    uint64_t attempt;

    ck_assert_err(ptools_remotecall_fetch(pt, NULL, "q.fail", NULL, NULL, WAIT_MS, NULL, NULL), PTOOLS_ERR_FAILED);
    ck_assert_err(ptools_remotecall_fetch(pt, NULL, "q.kill", NULL, NULL, WAIT_MS, NULL, NULL), PTOOLS_ERR_WORKER_DIED);
    ptools_pack_u64(args, 2);
    ck_assert_err(ptools_remotecall_fetch(pt, NULL, "q.fail_until", args, NULL, WAIT_MS, NULL, NULL),
                  PTOOLS_ERR_FAILED);
    ck_assert_ptools(ptools_remotecall_fetch(pt, NULL, "q.sleep", args, NULL, WAIT_MS, NULL, NULL));
    ptools_pack_reset(args);
    ptools_pack_u64(args, 1);
    ck_assert_ptools(ptools_remotecall_fetch(pt, NULL, "q.fail_until", args, NULL, WAIT_MS, &f, &v));
    ck_assert_ptools(ptools_get_u64(v, &attempt));
    ck_assert_uint_eq(attempt, 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("q");
    TCase *tc = suite_case(suite, "marks");

    tcase_set_timeout(tc, 300);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, begun_and_finished);
    tcase_add_test(tc, killed_in_between);
    tcase_add_test(tc, at_the_same_time);
    tcase_add_test(tc, the_others);
    return suite_run(suite);
}
