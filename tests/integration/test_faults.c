/* SPDX-License-Identifier: MIT */
/*
 * Functions that misbehave, each in its way: the call gets its typed error with the facts, the pool becomes
 * whole again, the other calls that run meanwhile get their values, and nothing is left behind.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/integration/server.h"
#include "tests/support/suite.h"

enum { WORKERS = 2, BYSTANDERS = 20, WAIT_MS = 20000 };

/* Sanitizers take signals and memory for themselves: what depends on the kernel's own way is not asserted then. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif

static struct server server;
static ptools *pt;

static void up(const char *const *args)
{
    server_start(&server, WORKERS, args);
    pt = server_open(&server);
}

static void down(void)
{
    server_clean(&server, 1);
    pt = ptools_close(pt);
    server_stop(&server);
}

/* Runs function among bystanders; the failure is in ptools_last_failure(). */
static ptools_err misbehave(const char *function, const ptools_pack *args, int64_t deadline_ms)
{
    ptools_call_options options = PTOOLS_CALL_OPTIONS_INIT;
    ptools_future *others[BYSTANDERS], *f = NULL;
    ptools_err err;

    options.deadline_ms = deadline_ms;
    for (int i = 0; i < BYSTANDERS / 2; i++)
        ck_assert_ptools(ptools_remotecall(pt, NULL, "t.nop", NULL, NULL, &others[i]));
    ck_assert_ptools(ptools_remotecall(pt, NULL, function, args, &options, &f));
    for (int i = BYSTANDERS / 2; i < BYSTANDERS; i++)
        ck_assert_ptools(ptools_remotecall(pt, NULL, "t.nop", NULL, NULL, &others[i]));
    err = ptools_future_fetch(f, 20000, NULL);
    for (int i = 0; i < BYSTANDERS; i++) {
        ptools_err other = ptools_future_fetch(others[i], 20000, NULL);

        ck_assert_msg(other == PTOOLS_OK, "bystander %d of %s: %s", i, function, ptools_error_message(pt));
        ptools_future_free(others[i]);
    }
    ptools_future_free(f);
    server_whole(pt, WORKERS);
    server_clean(&server, 1);
    return err;
}

static const ptools_failure *died(const char *function, const ptools_pack *args)
{
    const ptools_failure *failure;

    ck_assert_err(misbehave(function, args, 0), PTOOLS_ERR_WORKER_DIED);
    /* misbehave() fetched others after it, with success: the last failure is still this one. */
    failure = ptools_last_failure(pt);
    ck_assert_ptr_nonnull(failure);
    ck_assert(failure->maybe_executed);
    ck_assert_uint_eq(failure->attempt, 1);
    ck_assert(failure->worker >= 1 && failure->worker <= WORKERS);
    ck_assert_int_gt(failure->pid, 0);
    return failure;
}

START_TEST(segfault)
{
    const ptools_failure *failure;

    up(NULL);
    failure = died("t.segv", NULL);
    if (!SANITIZED) {
        ck_assert_int_eq(failure->signal, SIGSEGV);
        ck_assert_msg(strstr(failure->backtrace, "segv"), "no frame of the function in: %s", failure->backtrace);
    }
    down();
}
END_TEST

START_TEST(abort_)
{
    const ptools_failure *failure;

    up(NULL);
    failure = died("t.abort", NULL);
    if (!SANITIZED) {
        ck_assert_int_eq(failure->signal, SIGABRT);
        ck_assert_ptr_nonnull(strstr(failure->backtrace, "abort"));
    }
    down();
}
END_TEST

START_TEST(exit_)
{
    PTOOLS_AUTO(ptools_pack) args = ptools_pack_new();

    up(NULL);
    ptools_pack_i64(args, 3);
    ck_assert_int_eq(died("t.exit", args)->exit_status, 3);
    ptools_pack_reset(args);
    ptools_pack_i64(args, 0); /* an exit without an answer is no success */
    ck_assert_int_eq(died("t.exit", args)->exit_status, 0);
    down();
}
END_TEST

/* Whatever stands in the page, the task is not taken for one that never began, and given to the next worker. */
START_TEST(writes_over_the_control_page)
{
    up(NULL);
    died("t.scribble", NULL);
    down();
}
END_TEST

START_TEST(sigkill_leaves_last_words)
{
    PTOOLS_AUTO(ptools_pack) args = ptools_pack_new();
    const ptools_failure *failure;

    up(NULL);
    ptools_pack_i64(args, SIGKILL);
    failure = died("t.tell_and_raise", args);
    ck_assert_int_eq(failure->signal, SIGKILL);
    ck_assert_str_eq(failure->phase, "sorting");
    ck_assert_uint_eq(failure->progress, 7);
    ck_assert_str_eq(failure->log, "opened 3 files\nthe third is odd\n");
    ck_assert(failure->peak_bytes > 0);
    down();
}
END_TEST

START_TEST(stack_overflow)
{
    up(NULL);
    if (SANITIZED)
        died("t.overflow", NULL);
    else
        ck_assert_int_eq(died("t.overflow", NULL)->signal, SIGSEGV);
    down();
}
END_TEST

START_TEST(endless_loop_past_its_deadline)
{
    const ptools_failure *failure;
    int64_t deadline_ms = 100;
    uint64_t began;

    up(NULL);
    do { /* on a machine that is busy it may not have begun by then: again, with more time */
        began = now_ms();
        deadline_ms *= 2;
        ck_assert_err(misbehave("t.spin", NULL, deadline_ms), PTOOLS_ERR_DEADLINE);
        failure = ptools_last_failure(pt);
    } while (!failure->maybe_executed && deadline_ms < WAIT_MS / 2);
    ck_assert(failure->maybe_executed);
    if (!SANITIZED)
        ck_assert_msg(strstr(failure->backtrace, "spin"), "no frame of the function in: %s", failure->backtrace);
    ck_assert(now_ms() - began >= (uint64_t)deadline_ms);
    ck_assert_err(misbehave("t.spin_polite", NULL, 100), PTOOLS_ERR_DEADLINE);
    down();
}
END_TEST

START_TEST(endless_loop_with_all_signals_blocked)
{
    up(NULL);
    ck_assert_err(misbehave("t.block_signals", NULL, 100), PTOOLS_ERR_DEADLINE);
    ck_assert_err(misbehave("t.stop", NULL, 100), PTOOLS_ERR_DEADLINE);
    down();
}
END_TEST

START_TEST(deadline_in_the_queue)
{
    ptools_call_options options = PTOOLS_CALL_OPTIONS_INIT;
    ptools_future *busy[WORKERS];

    up(NULL);
    for (int i = 0; i < WORKERS; i++)
        ck_assert_ptools(ptools_remotecall(pt, NULL, "t.spin_polite", NULL, NULL, &busy[i]));
    options.deadline_ms = 50;
    ck_assert_err(ptools_remotecall_fetch(pt, NULL, "t.nop", NULL, &options, 10000, NULL, NULL), PTOOLS_ERR_DEADLINE);
    ck_assert(!ptools_last_failure(pt)->maybe_executed);
    for (int i = 0; i < WORKERS; i++) {
        ck_assert_ptools(ptools_future_cancel(busy[i]));
        ck_assert_err(ptools_future_fetch(busy[i], WAIT_MS, NULL), PTOOLS_ERR_CANCELLED);
        ptools_future_free(busy[i]);
    }
    down();
}
END_TEST

START_TEST(eats_all_memory)
{
    ptools_err err;

    if (SANITIZED)
        return; /* a sanitizer's reservations and a limit on memory exclude each other */
    up((const char *const[]){ "-o", "workers.memory_max=256M", NULL });
    err = misbehave("t.eat", NULL, 0);
    ck_assert_msg(err == PTOOLS_ERR_WORKER_DIED || err == PTOOLS_ERR_OUT_OF_MEMORY, "%s", ptools_errname(err));
    ck_assert(ptools_last_failure(pt)->peak_bytes > 64u << 20);
    down();
}
END_TEST

START_TEST(closes_all_descriptors)
{
    up(NULL);
    died("t.close_all", NULL);
    down();
}
END_TEST

START_TEST(changes_directory_umask_and_signal_mask)
{
    PTOOLS_AUTO(ptools_pack) args = ptools_pack_new();
    ptools_call_options options = PTOOLS_CALL_OPTIONS_INIT;
    const char *cwd;
    ptools_value v;
    size_t n;

    up(NULL);
    options.worker = 1;
    ptools_pack_str(args, "/tmp");
    ck_assert_ptools(ptools_remotecall_fetch(pt, NULL, "t.chdir", args, &options, 10000, NULL, NULL));
    ptools_pack_reset(args);
    ptools_pack_i64(args, 0);
    ck_assert_ptools(ptools_remotecall_fetch(pt, NULL, "t.umask", args, &options, 10000, NULL, NULL));
    ck_assert_ptools(ptools_remotecall_fetch(pt, NULL, "t.block_usr1", NULL, &options, 10000, NULL, NULL));
    {
        PTOOLS_AUTO(ptools_future) f = NULL;
        ptools_value item;
        bool blocked = true;
        int64_t mask = 0;

        ck_assert_ptools(ptools_remotecall_fetch(pt, NULL, "t.cwd", NULL, &options, 10000, &f, &v));
        ck_assert_ptools(ptools_get_str(v, &cwd, &n));
        ck_assert_uint_eq(n, 1);
        ck_assert_int_eq(cwd[0], '/');
        f = ptools_future_free(f);
        ck_assert_ptools(ptools_remotecall_fetch(pt, NULL, "t.state", NULL, &options, 10000, &f, &v));
        ck_assert_ptools(ptools_get_item(v, 0, &item));
        ck_assert_ptools(ptools_get_i64(item, &mask));
        ck_assert_int_ne(mask, 0);
        ck_assert_ptools(ptools_get_item(v, 1, &item));
        ck_assert_ptools(ptools_get_bool(item, &blocked));
        ck_assert(!blocked);
    }
    down();
}
END_TEST

START_TEST(leaves_children_behind)
{
    static const char *const functions[] = { "t.fork_child", "t.stray" };
    ptools_value v;
    int64_t child = 0;

    up(NULL);
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
        PTOOLS_AUTO(ptools_future) f = NULL;
        ptools_call_options options = PTOOLS_CALL_OPTIONS_INIT;
        uint64_t until;

        ck_assert_ptools(ptools_remotecall_fetch(pt, NULL, functions[i], NULL, NULL, 10000, &f, &v));
        ck_assert_ptools(ptools_get_i64(v, &child));
        until = now_ms() + WAIT_MS;
        while (kill((pid_t)child, 0) == 0) /* its worker ends and reaps it once the answer is sent */
            ck_assert(now_ms() < until);
        options.worker = ptools_future_worker(f); /* which lives on */
        ck_assert_ptools(ptools_remotecall_fetch(pt, NULL, "t.nop", NULL, &options, 10000, NULL, NULL));
    }
    server_whole(pt, WORKERS);
    down();
}
END_TEST

/* -- modules that cannot be loaded ------------------------------------------------------------------------- */

START_TEST(broken_modules_are_told_from_missing_ones)
{
    static const struct {
        const char *function, *word;
        ptools_err err;
    } cases[] = {
        { "crash_at_load.f", "loading", PTOOLS_ERR_MODULE_BROKEN },
        { "wrong_abi.f", "ABI", PTOOLS_ERR_MODULE_BROKEN },
        { "no_symbol.f", "ptools_module", PTOOLS_ERR_MODULE_BROKEN },
        { "bad_names.f", "name", PTOOLS_ERR_MODULE_BROKEN },
        { "not_there.f", "not_there", PTOOLS_ERR_NO_MODULE },
    };

    up(NULL);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (int again = 0; again < 2; again++) {
            ptools_err err = ptools_remotecall_fetch(pt, NULL, cases[i].function, NULL, NULL, 20000, NULL, NULL);

            ck_assert_msg(err == cases[i].err, "%s: %s", cases[i].function, ptools_error_message(pt));
            ck_assert_msg(strstr(ptools_error_message(pt), cases[i].word), "%s: no word %s in: %s", cases[i].function,
                          cases[i].word, ptools_error_message(pt));
            ck_assert(!ptools_last_failure(pt)->maybe_executed);
        }
    ck_assert_ptools(ptools_remotecall_fetch(pt, NULL, "t.nop", NULL, NULL, 10000, NULL, NULL));
    server_whole(pt, WORKERS);
    down();
}
END_TEST

START_TEST(a_module_with_threads_runs_in_its_workers)
{
    up(NULL);
    ck_assert_ptools(ptools_remotecall_fetch(pt, NULL, "threads_at_load.nop", NULL, NULL, 20000, NULL, NULL));
    ck_assert_ptools(ptools_remotecall_fetch(pt, NULL, "t.nop", NULL, NULL, 10000, NULL, NULL));
    down();
}
END_TEST

START_TEST(a_deadline_during_start_does_not_break_the_module)
{
    ptools_call_options options = PTOOLS_CALL_OPTIONS_INIT;
    PTOOLS_AUTO(ptools_future) waiting = NULL;

    up(NULL);
    options.worker = 1;
    options.deadline_ms = 200;
    for (int i = 0; i < 2; i++) {
        ck_assert_ptools(ptools_remotecall(pt, NULL, "slow_start.nop", NULL, NULL, &waiting));
        ck_assert_err(ptools_remotecall_fetch(pt, NULL, "slow_start.nop", NULL, &options, 20000, NULL, NULL),
                      PTOOLS_ERR_DEADLINE);
        ck_assert(!ptools_future_done(waiting)); /* it is not the module's fault */
        ck_assert_ptools(ptools_future_cancel(waiting));
        ck_assert_err(ptools_future_fetch(waiting, 20000, NULL), PTOOLS_ERR_CANCELLED);
        waiting = ptools_future_free(waiting);
    }
    server_whole(pt, WORKERS);
    down();
}
END_TEST

START_TEST(a_module_that_others_can_write_is_refused)
{
    char dir[64], path[128], command[512], option[256];

    temp_dir(dir, sizeof dir);
    snprintf(path, sizeof path, "%s/loose.so", dir);
    snprintf(command, sizeof command, "d='%s'; cp \"${d%%%%:*}\"/t.so %s", getenv("PTOOLS_TEST_MODULES"), path);
    ck_assert_int_eq(system(command), 0);
    ck_assert_int_eq(chmod(path, 0777), 0);
    snprintf(option, sizeof option, "%s", dir);
    up((const char *const[]){ "--module-path", option, NULL });
    ck_assert_err(ptools_remotecall_fetch(pt, NULL, "loose.nop", NULL, NULL, 20000, NULL, NULL),
                  PTOOLS_ERR_MODULE_BROKEN);
    ck_assert_ptr_nonnull(strstr(ptools_error_message(pt), "writable"));
    down();
    temp_remove(dir);
}
END_TEST

/* -- recycling ------------------------------------------------------------------------------------------------ */

static uint64_t recycled(void)
{
    ptools_worker_info *infos = NULL;
    uint64_t sum = 0;
    size_t n = 0;

    ck_assert_ptools(ptools_workers(pt, &infos, &n));
    for (size_t i = 0; i < n; i++)
        sum += infos[i].recycled;
    free(infos);
    return sum;
}

/* Calls until so many were replaced; a process may take a while to give back what it had. */
static void await_recycled(uint64_t times)
{
    uint64_t until = now_ms() + WAIT_MS;

    while (recycled() < times) {
        ck_assert_msg(now_ms() < until, "not %llu recycled in time", (unsigned long long)times);
        ck_assert_ptools(ptools_remotecall_fetch(pt, NULL, "t.nop", NULL, NULL, 10000, NULL, NULL));
    }
}

START_TEST(recycled_after_so_many_tasks)
{
    up((const char *const[]){ "-o", "workers.recycle_tasks=10", NULL });
    await_recycled(5);
    server_whole(pt, WORKERS);
    down();
}
END_TEST

START_TEST(recycled_when_descriptors_leak)
{
    PTOOLS_AUTO(ptools_pack) args = ptools_pack_new();

    up(NULL);
    ptools_pack_i64(args, 200);
    ck_assert_ptools(ptools_remotecall_fetch(pt, NULL, "t.fds", args, NULL, 10000, NULL, NULL));
    await_recycled(1);
    server_whole(pt, WORKERS);
    down();
}
END_TEST

START_TEST(recycled_when_memory_grows)
{
    PTOOLS_AUTO(ptools_pack) args = ptools_pack_new();

    up((const char *const[]){ "-o", "workers.recycle_memory=200M", NULL });
    ptools_pack_i64(args, 300 << 20);
    ck_assert_ptools(ptools_remotecall_fetch(pt, NULL, "t.leak", args, NULL, 20000, NULL, NULL));
    await_recycled(1);
    server_whole(pt, WORKERS);
    down();
}
END_TEST

/* -- template and daemon -------------------------------------------------------------------------------------- */

/* The pid of the template: the child of the daemon that is no worker. */
static pid_t template_pid(void)
{
    char path[64], *text, *rest;
    pid_t found = 0;

    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)server.pid, (int)server.pid);
    text = slurp(path);
    rest = text;
    for (const char *word; (word = strsep(&rest, " "));) {
        ptools_worker_info *infos = NULL;
        pid_t pid = atoi(word);
        bool worker = false;
        size_t n = 0;

        ck_assert_ptools(ptools_workers(pt, &infos, &n));
        for (size_t i = 0; i < n; i++)
            worker |= infos[i].pid == pid;
        free(infos);
        if (pid > 0 && !worker)
            found = pid;
    }
    free(text);
    return found;
}

START_TEST(the_template_is_killed)
{
    PTOOLS_AUTO(ptools_pack) args = ptools_pack_new();
    PTOOLS_AUTO(ptools_future) f = NULL;

    up(NULL);
    ptools_pack_i64(args, 300);
    ck_assert_ptools(ptools_remotecall(pt, NULL, "t.sleep_ms", args, NULL, &f));
    for (int i = 0; i < 5; i++) {
        pid_t pid = template_pid();

        ck_assert_int_gt(pid, 0);
        ck_assert_int_eq(kill(pid, SIGKILL), 0);
        died("t.abort", NULL); /* its replacement comes from the next template */
    }
    ck_assert_ptools(ptools_future_fetch(f, 10000, NULL)); /* a running task does not notice */
    down();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("faults");
    TCase *tc = suite_case(suite, "functions");

    tcase_add_test(tc, segfault);
    tcase_add_test(tc, abort_);
    tcase_add_test(tc, exit_);
    tcase_add_test(tc, writes_over_the_control_page);
    tcase_add_test(tc, sigkill_leaves_last_words);
    tcase_add_test(tc, stack_overflow);
    tcase_add_test(tc, endless_loop_past_its_deadline);
    tcase_add_test(tc, endless_loop_with_all_signals_blocked);
    tcase_add_test(tc, deadline_in_the_queue);
    tcase_add_test(tc, eats_all_memory);
    tcase_add_test(tc, closes_all_descriptors);
    tcase_add_test(tc, changes_directory_umask_and_signal_mask);
    tcase_add_test(tc, leaves_children_behind);
    tc = suite_case(suite, "modules");
    tcase_add_test(tc, broken_modules_are_told_from_missing_ones);
    tcase_add_test(tc, a_module_with_threads_runs_in_its_workers);
    tcase_add_test(tc, a_deadline_during_start_does_not_break_the_module);
    tcase_add_test(tc, a_module_that_others_can_write_is_refused);
    tc = suite_case(suite, "recycling");
    tcase_add_test(tc, recycled_after_so_many_tasks);
    tcase_add_test(tc, recycled_when_descriptors_leak);
    tcase_add_test(tc, recycled_when_memory_grows);
    tc = suite_case(suite, "template");
    tcase_add_test(tc, the_template_is_killed);
    return suite_run(suite);
}
