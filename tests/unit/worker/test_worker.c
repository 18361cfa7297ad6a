/* SPDX-License-Identifier: MIT */
/*
 * A worker, as the daemon sees it: START, RUN, DONE, SKIPPED, STOP, and every way of not answering.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/suite.h"
#include "tests/unit/worker/driver.h"

#if defined(__SANITIZE_ADDRESS__)
#define BUILT_WITH_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define BUILT_WITH_ASAN 1
#endif
#endif
#ifndef BUILT_WITH_ASAN
#define BUILT_WITH_ASAN 0
#endif

static struct driver d;
static struct peer w;

static void start(void)
{
    driver_start(&d, TEST_MODULES, NULL);
    report_free(driver_load(&d, "t"));
    peer_start(&w, &d, 3);
}

static void stop(void)
{
    ck_assert_int_eq(peer_stop(&w), 0);
    driver_stop(&d);
}

/* For tests after which the worker is gone. */
static void stop_template(void)
{
    peer_free(&w);
    driver_stop(&d);
}

static int64_t call_i64(uint64_t task, const char *function, ptools_pack *arguments)
{
    struct answer a;
    int64_t v = -1;

    peer_call(&w, task, function, arguments, &a);
    ck_assert_int_eq(ptools_get_i64(a.value, &v), PTOOLS_OK);
    answer_deinit(&a);
    return v;
}

/* -- tasks ----------------------------------------------------------------------------------- */

START_TEST(answers_carry_value_and_facts)
{
    ptools_pack *args = ptools_pack_new();
    struct answer a;
    ptools_value v;
    const char *s;
    double f;
    size_t n;

    start();
    ptools_pack_i64(args, -7);
    ptools_pack_u64(args, UINT64_MAX);
    ptools_pack_f64(args, 0.5);
    ptools_pack_str(args, "gr\303\274n");
    ptools_pack_nil(args);
    peer_call(&w, 77, "t.echo", args, &a);
    ck_assert_uint_eq(a.frame.attempt, 1);
    ck_assert_uint_eq(a.frame.slot, 0);
    ck_assert_int_eq(ptools_get_item(a.value, 2, &v), PTOOLS_OK);
    ck_assert_int_eq(ptools_get_f64(v, &f), PTOOLS_OK);
    ck_assert(f == 0.5);
    ck_assert_int_eq(ptools_get_item(a.value, 3, &v), PTOOLS_OK);
    ck_assert_int_eq(ptools_get_str(v, &s, &n), PTOOLS_OK);
    ck_assert_uint_eq(n, 5);
    ck_assert_mem_eq(s, "gr\303\274n", 5);
    ck_assert_int_eq(ptools_get_item(a.value, 5, &v), PTOOLS_ERR_RANGE);
    answer_deinit(&a);

    peer_call(&w, 78, "t.about", NULL, &a);
    for (uint32_t i = 0; i < 4; i++) {
        static const uint64_t wanted[] = { 3, 78, 1, 1234 };
        uint64_t u;

        ck_assert_int_eq(ptools_get_item(a.value, i, &v), PTOOLS_OK);
        ck_assert_int_eq(ptools_get_u64(v, &u), PTOOLS_OK);
        ck_assert_uint_eq(u, wanted[i]);
    }
    answer_deinit(&a);
    ck_assert_int_eq(call_i64(79, "t.pid", NULL), w.pid);
    page_await(&w.page->process_phase, PAGE_IDLE);
    ck_assert_uint_eq(atomic_load(&w.page->task), 0);
    stop();
}
END_TEST

START_TEST(runs_without_arguments_at_all)
{
    struct link_frame run;
    struct answer a;

    start();
    peer_prepare(&w, 1, "t.nop", &run);
    peer_send(&w, &run, "t.nop", 5); /* not even an empty list */
    ck_assert(peer_answer(&w, &a));
    ck_assert_int_eq(a.frame.code, PTOOLS_OK);
    ck_assert_int_eq(ptools_value_kind(a.value), PTOOLS_NIL);
    answer_deinit(&a);
    stop();
}
END_TEST

START_TEST(a_revoked_task_is_skipped)
{
    struct link_frame run;
    struct answer a;

    start();
    peer_prepare(&w, 5, "t.exit", &run);
    ck_assert(page_revoke(w.page, run.slot, 5));
    peer_send(&w, &run, "t.exit", 6);
    ck_assert(peer_answer(&w, &a));
    ck_assert_int_eq(a.frame.type, LINK_SKIPPED);
    ck_assert_uint_eq(a.frame.task, 5);
    ck_assert_uint_eq(a.frame.slot, run.slot);
    ck_assert(!page_maybe_started(w.page, run.slot, 5));
    answer_deinit(&a);
    stop();
}
END_TEST

/* Its slot stays STARTED until the daemon gives it anew: an answer that is not there yet must not look
 * like a task that was not begun. */
START_TEST(a_started_task_cannot_be_revoked)
{
    struct link_frame run;
    struct answer a;

    start();
    peer_prepare(&w, 5, "t.nop", &run);
    peer_send(&w, &run, "t.nop", 5);
    ck_assert(peer_answer(&w, &a));
    ck_assert(!page_revoke(w.page, run.slot, 5));
    ck_assert(page_maybe_started(w.page, run.slot, 5));
    answer_deinit(&a);
    stop();
}
END_TEST

START_TEST(many_tasks_are_answered_in_order)
{
    enum { TASKS = 5000, AHEAD = 32 };
    struct answer a;
    uint64_t given = 0;

    start();
    for (uint64_t done = 0; done < TASKS; done++) {
        while (given < TASKS && given - done < AHEAD) {
            peer_give(&w, given + 1, given % 3 ? "t.nop" : "t.echo", args_u64(given));
            given++;
        }
        ck_assert(peer_answer(&w, &a));
        ck_assert_int_eq(a.frame.code, PTOOLS_OK);
        ck_assert_uint_eq(a.frame.task, done + 1);
        answer_deinit(&a);
    }
    stop();
}
END_TEST

START_TEST(large_values_travel_both_ways)
{
    ptools_pack *args = ptools_pack_new();
    size_t n = (8 << 20) + 1;
    char *data = malloc(n);
    struct answer a;
    const void *bytes;
    ptools_value v;
    size_t got;

    start();
    memset(data, 'x', n);
    ptools_pack_bytes(args, data, n);
    peer_call(&w, 1, "t.echo", args, &a);
    ck_assert_int_eq(ptools_get_item(a.value, 0, &v), PTOOLS_OK);
    ck_assert_int_eq(ptools_get_bytes(v, &bytes, &got), PTOOLS_OK);
    ck_assert_uint_eq(got, n);
    ck_assert_int_eq(memcmp(bytes, data, n), 0);
    answer_deinit(&a);
    free(data);
    for (uint64_t size = 16000; size < 70000; size += 13001) { /* around what is copied, and what is sent at once */
        peer_give(&w, 2, "t.nop", NULL);
        peer_call(&w, 2, "t.nop", NULL, &a); /* the answer to the first */
        answer_deinit(&a);
        peer_give(&w, 3, "t.big", args_u64(size));
        ck_assert(peer_answer(&w, &a)); /* the answer to the second */
        ck_assert_uint_eq(a.frame.task, 2);
        answer_deinit(&a);
        ck_assert(peer_answer(&w, &a));
        ck_assert_uint_eq(a.frame.task, 3);
        ck_assert_int_eq(ptools_get_bytes(a.value, &bytes, &got), PTOOLS_OK);
        ck_assert_uint_eq(got, size);
        answer_deinit(&a);
    }
    stop();
}
END_TEST

START_TEST(a_result_over_the_limit_fails_that_task_alone)
{
    static const char *const args[] = { "--message-max", "1000000", NULL };
    struct answer a;

    driver_start(&d, TEST_MODULES, args);
    peer_start(&w, &d, 3);
    peer_call(&w, 1, "t.big", args_u64(900000), &a);
    answer_deinit(&a);
    peer_fail(&w, 2, "t.big", args_u64(1000000), PTOOLS_ERR_TOO_LARGE,
              "the result of t.big has 1000005 bytes, the limit is");
    peer_call(&w, 3, "t.nop", NULL, &a);
    answer_deinit(&a);
    stop();
}
END_TEST

START_TEST(failures_are_told)
{
    struct link_frame run;
    struct answer a;

    start();
    peer_fail(&w, 1, "t.fail", args_str("no such thing"), PTOOLS_ERR_FAILED, "no such thing");
    peer_fail(&w, 2, "t.fail", NULL, PTOOLS_ERR_BAD_ARGUMENT, "argument 1 of t.fail is missing: there are 0");
    peer_fail(&w, 3, "t.fail", args_u64(5), PTOOLS_ERR_BAD_ARGUMENT,
              "argument 1 of t.fail must be a string, not the integer 5");
    peer_fail(&w, 4, "t.fail_code", args_u64(PTOOLS_ERR_TYPE), PTOOLS_ERR_FAILED,
              "t.fail_code failed: the value is of another type");
    peer_fail(&w, 5, "t.half_list", NULL, PTOOLS_ERR_FAILED, "the result of t.half_list is not complete");
    peer_fail(&w, 6, "t.nowhere", NULL, PTOOLS_ERR_NO_FUNCTION, "module t has no function nowhere");
    peer_fail(&w, 7, "nowhere.nop", NULL, PTOOLS_ERR_NO_MODULE, "there is no nowhere.so in the module path");
    peer_fail(&w, 8, "nodot", NULL, PTOOLS_ERR_NO_FUNCTION, "functions are called MODULE.FUNCTION, not nodot");
    peer_fail(&w, 9, "wrong_abi.nop", NULL, PTOOLS_ERR_MODULE_BROKEN,
              "module wrong_abi is broken: it was built for module ABI 7");

    peer_give(&w, 10, "t.tell", NULL);
    ck_assert(peer_answer(&w, &a));
    ck_assert_str_eq(a.texts[0], "told all");
    ck_assert_str_eq(a.texts[1], "sorting");
    ck_assert_str_eq(a.texts[2], "opened 3 files\nthe third is odd\n");
    ck_assert_str_eq(a.texts[3], "7 9");
    ck_assert_uint_eq(atomic_load(&w.page->progress), 7);
    ck_assert_uint_eq(atomic_load(&w.page->progress_of), 9);
    answer_deinit(&a);
    peer_give(&w, 11, "t.fail", args_str("again"));
    ck_assert(peer_answer(&w, &a)); /* nothing of the task before */
    ck_assert_str_eq(a.texts[1], "");
    ck_assert_str_eq(a.texts[2], "");
    ck_assert_str_eq(a.texts[3], "0 0");
    ck_assert_uint_eq(atomic_load(&w.page->progress), 0);
    answer_deinit(&a);

    peer_prepare(&w, 12, "t.nop", &run);
    peer_send(&w, &run, "t.nop\x92\x01", 7); /* a list of two that holds one */
    ck_assert(peer_answer(&w, &a));
    ck_assert_int_eq(a.frame.code, PTOOLS_ERR_BAD_ARGUMENT);
    answer_deinit(&a);
    peer_prepare(&w, 13, "t.nop", &run);
    peer_send(&w, &run, "t.nop\x01", 6); /* no list */
    ck_assert(peer_answer(&w, &a));
    ck_assert_int_eq(a.frame.code, PTOOLS_ERR_BAD_ARGUMENT);
    ck_assert_str_eq(a.texts[0], "the arguments of t.nop are not a list");
    answer_deinit(&a);
    stop();
}
END_TEST

START_TEST(what_one_that_did_not_fail_has_logged_goes_before_its_answer)
{
    struct answer a;

    start();
    peer_give(&w, 1, "q.log", args_str("all is well"));
    ck_assert(peer_answer(&w, &a));
    ck_assert(a.frame.type == LINK_LOG && a.frame.task == 1 && a.frame.attempt > 0);
    ck_assert_str_eq((const char *)a.body, "begun\nall is well\n");
    answer_deinit(&a);
    ck_assert(peer_answer(&w, &a));
    ck_assert(a.frame.type == LINK_DONE && a.frame.task == 1);
    ck_assert_int_eq(a.frame.code, PTOOLS_OK);
    answer_deinit(&a);
    peer_call(&w, 2, "t.nop", NULL, &a); /* nothing of the task before */
    answer_deinit(&a);
    stop();
}
END_TEST

START_TEST(a_module_that_does_not_start_is_tried_again)
{
    struct answer a;

    ck_assert_int_eq(setenv("PTOOLS_TEST_START", "fail", 1), 0);
    start();
    peer_fail(&w, 1, "t.nop", NULL, PTOOLS_ERR_MODULE_BROKEN, "start() of module t failed");
    peer_fail(&w, 2, "t.nop", NULL, PTOOLS_ERR_MODULE_BROKEN, "start() of module t failed");
    stop();
    unsetenv("PTOOLS_TEST_START");
    start();
    peer_call(&w, 1, "t.nop", NULL, &a);
    answer_deinit(&a);
    stop();
}
END_TEST

/* -- what a task leaves behind ----------------------------------------------------------------- */

START_TEST(directory_umask_and_signals_are_restored)
{
    char path[64], target[64];
    struct answer a;
    ptools_value v;
    const char *s;
    uint64_t mask;
    bool blocked;
    size_t n;

    umask(027); /* of the daemon */
    start();
    peer_call(&w, 1, "t.chdir", args_str("/tmp"), &a);
    answer_deinit(&a);
    peer_call(&w, 2, "t.cwd", NULL, &a);
    ck_assert_int_eq(ptools_get_str(a.value, &s, &n), PTOOLS_OK);
    ck_assert_uint_eq(n, 1);
    ck_assert_int_eq(s[0], '/');
    answer_deinit(&a);
    peer_call(&w, 3, "t.umask", args_u64(0777), &a);
    answer_deinit(&a);
    peer_call(&w, 4, "t.block_usr1", NULL, &a);
    answer_deinit(&a);
    peer_call(&w, 5, "t.state", NULL, &a);
    ck_assert_int_eq(ptools_get_item(a.value, 0, &v), PTOOLS_OK);
    ck_assert_int_eq(ptools_get_u64(v, &mask), PTOOLS_OK);
    ck_assert_uint_eq(mask, 027);
    ck_assert_int_eq(ptools_get_item(a.value, 1, &v), PTOOLS_OK);
    ck_assert_int_eq(ptools_get_bool(v, &blocked), PTOOLS_OK);
    ck_assert(!blocked);
    answer_deinit(&a);
    peer_call(&w, 6, "t.chdir", args_str("/tmp"), &a); /* also when no other task follows */
    answer_deinit(&a);
    page_await(&w.page->process_phase, PAGE_IDLE);
    snprintf(path, sizeof path, "/proc/%d/cwd", (int)w.pid);
    ck_assert_int_eq(readlink(path, target, sizeof target), 1);
    stop();
}
END_TEST

static void check_found(uint64_t task, bool usr1_ignored, const char *variable)
{
    ptools_value item;
    struct answer a;
    const char *s;
    int64_t i;
    bool yes;
    size_t n;

    peer_call(&w, task, "t.found", NULL, &a);
    ck_assert_int_eq(ptools_get_item(a.value, 0, &item), PTOOLS_OK);
    ck_assert_int_eq(ptools_get_i64(item, &i), PTOOLS_OK);
    ck_assert_int_eq(i, 0); /* timers */
    ck_assert_int_eq(ptools_get_item(a.value, 1, &item), PTOOLS_OK);
    ck_assert_int_eq(ptools_get_bool(item, &yes), PTOOLS_OK);
    ck_assert_int_eq(yes, usr1_ignored);
    ck_assert_int_eq(ptools_get_item(a.value, 2, &item), PTOOLS_OK);
    ck_assert_int_eq(ptools_get_str(item, &s, &n), PTOOLS_OK);
    ck_assert_uint_eq(n, strlen(variable));
    ck_assert_mem_eq(s, variable, n);
    ck_assert_int_eq(ptools_get_item(a.value, 3, &item), PTOOLS_OK);
    ck_assert_int_eq(ptools_get_bool(item, &yes), PTOOLS_OK);
    ck_assert(yes); /* over 100 files */
    ck_assert_int_eq(ptools_get_item(a.value, 4, &item), PTOOLS_OK);
    ck_assert_int_eq(ptools_get_i64(item, &i), PTOOLS_OK);
    ck_assert_int_eq(i, 7); /* what a shell returned */
    answer_deinit(&a);
}

START_TEST(timers_signals_environment_and_limits_are_restored)
{
    struct answer a;

    start();
    peer_call(&w, 1, "t.mess", args_u64(2), &a); /* long enough for a look */
    answer_deinit(&a);
    check_found(2, false, "");
    stop();
}
END_TEST

START_TEST(what_start_sets_up_stays)
{
    struct answer a;
    int status;

    ck_assert_int_eq(setenv("PTOOLS_TEST_START", "keep", 1), 0);
    start();
    check_found(1, true, "set up");
    peer_call(&w, 2, "t.mess", args_u64(2), &a);
    answer_deinit(&a);
    check_found(3, true, "set up");
    peer_give(&w, 4, "t.raise", args_u64(SIGSEGV)); /* but for what is the worker's own */
    ck_assert(!peer_answer(&w, &a));
    status = peer_wait(&w);
    ck_assert(BUILT_WITH_ASAN || (WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV));
    stop_template();
    unsetenv("PTOOLS_TEST_START");
}
END_TEST

/* After a short task not everything is restored at once: but before a module is loaded it is. */
START_TEST(what_a_task_left_is_not_taken_for_what_a_module_set_up)
{
    struct answer a;

    start();
    peer_call(&w, 1, "t.nop", NULL, &a);
    answer_deinit(&a);
    peer_call(&w, 2, "t.mess", args_u64(0), &a);
    answer_deinit(&a);
    peer_call(&w, 3, "threads_at_load.nop", NULL, &a);
    answer_deinit(&a);
    check_found(4, false, "");
    stop();
}
END_TEST

START_TEST(each_worker_has_random_numbers_of_its_own)
{
    struct peer other;
    int64_t one, two;
    struct answer a;
    ptools_value v;

    start();
    peer_start(&other, &d, 4);
    peer_call(&w, 1, "t.state", NULL, &a);
    ck_assert_int_eq(ptools_get_item(a.value, 2, &v), PTOOLS_OK);
    ck_assert_int_eq(ptools_get_i64(v, &one), PTOOLS_OK);
    answer_deinit(&a);
    peer_call(&other, 1, "t.state", NULL, &a);
    ck_assert_int_eq(ptools_get_item(a.value, 2, &v), PTOOLS_OK);
    ck_assert_int_eq(ptools_get_i64(v, &two), PTOOLS_OK);
    answer_deinit(&a);
    ck_assert_int_ne(one, two);
    ck_assert_int_eq(peer_stop(&other), 0);
    stop();
}
END_TEST

START_TEST(leaked_descriptors_and_memory_are_reported)
{
    struct answer a;
    uint32_t fds = 0;

    start();
    peer_call(&w, 1, "t.fds", args_u64(40), &a);
    answer_deinit(&a);
    peer_call(&w, 2, "t.leak", args_u64(64 << 20), &a); /* takes so long that it is looked at once */
    ck_assert_uint_eq(a.frame.fds, 40);
    ck_assert_uint_ge(a.frame.b, 64 << 10);
    answer_deinit(&a);
    ck_assert_uint_ge(atomic_load(&w.page->peak_kb), 64 << 10);
    for (uint64_t i = 3; i < 100000; i++) { /* short ones: now and then one is looked at */
        peer_call(&w, i, "t.nop", NULL, &a);
        fds = a.frame.fds;
        answer_deinit(&a);
        if (fds)
            break;
    }
    ck_assert_uint_eq(fds, 40);
    stop();
}
END_TEST

START_TEST(a_child_of_a_function_is_no_worker)
{
    struct answer a;
    int64_t back;
    pid_t child;

    start();
    back = call_i64(1, "t.fork_return", NULL);
    ck_assert_int_ne(back, 0); /* the parent's answer, and only that */
    peer_give(&w, 2, "t.fork_spin", NULL);
    page_await(&w.page->process_phase, PAGE_RUNNING);
    do
        child = (pid_t)atomic_load(&w.page->progress);
    while (child == 0);
    ck_assert_int_eq(getpgid(child), w.pid); /* what the daemon kills when it ends the worker */
    ck_assert_int_eq(kill(w.pid, SIGKILL), 0);
    ck_assert(!peer_answer(&w, &a)); /* the child does not hold the link */
    peer_wait(&w);
    ck_assert_int_eq(kill(child, SIGKILL), 0);
    ck_assert_int_eq(waitpid(child, NULL, 0), child); /* the daemon inherits it */
    stop_template();
}
END_TEST

static void check_gone(int64_t pid)
{
    ck_assert_int_eq(kill((pid_t)pid, 0), -1);
    ck_assert_int_eq(errno, ESRCH);
}

START_TEST(children_end_with_their_task)
{
    static const char *const functions[] = { "t.fork_child", "t.stray", "t.fork_return" };
    struct answer a;
    int64_t pid;

    start();
    for (uint64_t i = 0; i < ELEMENTS(functions); i++) {
        pid = call_i64(2 * i + 1, functions[i], NULL);
        peer_call(&w, 2 * i + 2, "t.nop", NULL, &a);
        answer_deinit(&a);
        check_gone(pid);
    }
    pid = call_i64(7, "t.stray", NULL); /* also if no other task follows */
    page_await(&w.page->process_phase, PAGE_IDLE);
    check_gone(pid);
    stop();
}
END_TEST

/* -- ways to end ----------------------------------------------------------------------------- */

START_TEST(stop_finishes_what_was_given)
{
    struct link_frame stop_frame = { .type = LINK_STOP };
    struct answer a;

    start();
    peer_give(&w, 1, "t.nop", NULL);
    peer_give(&w, 2, "t.nop", NULL);
    peer_send(&w, &stop_frame, NULL, 0);
    for (uint64_t task = 1; task <= 2; task++) {
        ck_assert(peer_answer(&w, &a));
        ck_assert_uint_eq(a.frame.task, task);
        answer_deinit(&a);
    }
    ck_assert(!peer_answer(&w, &a));
    ck_assert_int_eq(peer_wait(&w), 0);
    stop_template();
}
END_TEST

START_TEST(stop_leaves_no_children)
{
    struct link_frame stop_frame = { .type = LINK_STOP }, frames[2];
    uint8_t bytes[2 * sizeof(struct link_frame) + 7];
    struct answer a;
    int64_t pid;

    start();
    peer_prepare(&w, 1, "t.stray", &frames[0]);
    frames[0].body_bytes = 7;
    frames[1] = stop_frame;
    memcpy(bytes, &frames[0], sizeof frames[0]);
    memcpy(bytes + sizeof frames[0], "t.stray", 7);
    memcpy(bytes + sizeof frames[0] + 7, &frames[1], sizeof frames[1]);
    ck_assert_int_eq(write(w.link, bytes, sizeof bytes), (ssize_t)sizeof bytes); /* in one read */
    ck_assert(peer_answer(&w, &a));
    ck_assert_int_eq(ptools_get_i64(a.value, &pid), PTOOLS_OK);
    answer_deinit(&a);
    ck_assert(!peer_answer(&w, &a));
    ck_assert_int_eq(peer_wait(&w), 0);
    check_gone(pid);
    stop_template();
}
END_TEST

static void check_protocol_end(const struct link_frame *frame, const char *body, size_t n)
{
    struct answer a;
    int status;

    peer_send(&w, frame, body, n);
    ck_assert(!peer_answer(&w, &a));
    status = peer_wait(&w);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == WORKER_EXIT_PROTOCOL);
    peer_free(&w);
}

START_TEST(frames_that_make_no_sense_end_it)
{
    struct link_frame second = { .type = LINK_START, .worker = 3, .a = (uint32_t)getpid() };
    struct link_frame unknown = { .type = 200 }, run;

    driver_start(&d, TEST_MODULES, NULL);
    peer_start(&w, &d, 3);
    check_protocol_end(&second, NULL, 0);
    peer_start(&w, &d, 3);
    check_protocol_end(&unknown, NULL, 0);
    peer_start(&w, &d, 3);
    peer_prepare(&w, 1, "t.nop", &run);
    run.slot = PAGE_SLOTS;
    check_protocol_end(&run, "t.nop", 5);
    peer_start(&w, &d, 3);
    peer_prepare(&w, 1, "t.nop", &run);
    check_protocol_end(&run, "t.n", 3); /* the name is longer than the body */
    peer_fork(&w, &d, 3);
    peer_prepare(&w, 1, "t.nop", &run);
    check_protocol_end(&run, "t.nop", 5); /* before START */
    driver_stop(&d);
}
END_TEST

START_TEST(ends_if_its_daemon_is_not_its_parent)
{
    struct link_frame start_frame = { .type = LINK_START, .worker = 3, .a = 1 };
    struct answer a;

    driver_start(&d, TEST_MODULES, NULL);
    peer_fork(&w, &d, 3);
    peer_send(&w, &start_frame, NULL, 0);
    ck_assert(!peer_answer(&w, &a));
    ck_assert_int_eq(peer_wait(&w), 0);
    stop_template();
}
END_TEST

START_TEST(exit_is_a_death)
{
    ptools_pack *args = ptools_pack_new();
    struct answer a;
    int status;

    start();
    ptools_pack_i64(args, 7);
    peer_give(&w, 1, "t.exit", args);
    ck_assert(!peer_answer(&w, &a));
    status = peer_wait(&w);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 7);
    ck_assert(page_maybe_started(w.page, 0, 1));
    stop_template();
}
END_TEST

START_TEST(closing_the_link_is_a_death_with_a_name)
{
    struct page_words words;
    struct answer a;
    int status;

    start();
    peer_give(&w, 1, "t.close_all", NULL);
    ck_assert(!peer_answer(&w, &a));
    status = peer_wait(&w);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == WORKER_EXIT_LINK_LOST);
    page_read_words(w.page, &words);
    ck_assert_str_eq(words.log, "the link to ptoolsd is gone: Bad file descriptor\n");
    stop_template();
}
END_TEST

/* -- answers are not held back ----------------------------------------------------------------- */

/* Teaches the worker that the function is short, then has it run again behind others that wait. */
static void give_behind(const char *function, uint64_t task)
{
    struct link_frame frames[3];
    uint8_t bytes[512];
    struct answer a;
    size_t n = 0;

    for (uint64_t i = 0; i < 2; i++) { /* the first is slow: it starts the module */
        peer_call(&w, task + i, function, args_u64(2), &a);
        answer_deinit(&a);
        peer_call(&w, task + 2 + i, "t.nop", NULL, &a);
        answer_deinit(&a);
    }
    for (size_t i = 0; i < 3; i++) { /* in one send, so that it is one read */
        const char *name = i < 2 ? "t.nop" : function;

        peer_prepare(&w, task + 4 + i, name, &frames[i]);
        frames[i].body_bytes = (uint32_t)strlen(name) + 2;
        memcpy(bytes + n, &frames[i], sizeof frames[i]);
        n += sizeof frames[i];
        memcpy(bytes + n, name, strlen(name));
        n += strlen(name);
        memcpy(bytes + n, "\x91\x02", 2);
        n += 2;
    }
    ck_assert_int_eq(write(w.link, bytes, n), (ssize_t)n);
}

START_TEST(answers_do_not_wait_behind_a_function_that_surprises)
{
    struct answer a;
    int status;

    start();
    give_behind("t.spin_later", 1);
    for (uint64_t task = 5; task <= 6; task++) { /* it spins for ever: these come all the same */
        ck_assert(peer_answer(&w, &a));
        ck_assert_uint_eq(a.frame.task, task);
        answer_deinit(&a);
    }
    ck_assert(page_maybe_started(w.page, 6, 7));
    ck_assert_int_eq(kill(w.pid, SIGKILL), 0);
    ck_assert(!peer_answer(&w, &a));
    status = peer_wait(&w);
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    stop_template();
}
END_TEST

START_TEST(answers_survive_a_crash_behind_them)
{
    struct answer a;

    start();
    give_behind("t.segv_later", 1);
    for (uint64_t task = 5; task <= 6; task++) {
        ck_assert(peer_answer(&w, &a));
        ck_assert_uint_eq(a.frame.task, task);
        answer_deinit(&a);
    }
    ck_assert(!peer_answer(&w, &a));
    ck_assert_int_ne(peer_wait(&w), 0);
    stop_template();
}
END_TEST

/* -- last words ------------------------------------------------------------------------------ */

/* Gives the task, which must end the worker by this signal, and reads the page. */
static void crash(const char *function, ptools_pack *arguments, int signal, struct page_words *ret)
{
    struct answer a;
    int status;

    start();
    peer_give(&w, 1, function, arguments);
    ck_assert(!peer_answer(&w, &a));
    status = peer_wait(&w);
    ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == signal, "%s: wait status 0x%x", function, status);
    page_read_words(w.page, ret);
    ck_assert_uint_eq(ret->task, 1);
    ck_assert_uint_eq(ret->process_phase, PAGE_RUNNING);
    ck_assert_str_eq(ret->function, function);
    ck_assert_uint_eq(ret->fault_signal, (uint32_t)signal);
    ck_assert_uint_gt(ret->peak_kb, 0);
    stop_template();
}

START_TEST(a_crash_leaves_signal_address_and_backtrace)
{
    struct page_words words;
    const char *first, *second;

    crash("t.segv", NULL, SIGSEGV, &words);
    ck_assert_uint_eq(words.fault_address, 16);
    ck_assert_str_eq(words.phase, "about to crash");
    ck_assert_int_eq(strncmp(words.backtrace, "#0 0x", 5), 0);
    first = strstr(words.backtrace, " crash_here+0x");
    second = strstr(words.backtrace, " segv+0x");
    ck_assert_msg(first && second && first < second, "%s", words.backtrace);
    ck_assert_ptr_nonnull(strstr(words.backtrace, "(t.so)\n"));
    ck_assert_ptr_null(strstr(words.backtrace, "main")); /* it ends where the function was called */
}
END_TEST

START_TEST(other_fatal_signals_are_told_as_well)
{
    static const int signals[] = { SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS };
    struct page_words words;

    crash("t.abort", NULL, SIGABRT, &words);
    ck_assert_msg(strstr(words.backtrace, " abort_+0x") != NULL, "%s", words.backtrace);
    for (size_t i = 0; i < ELEMENTS(signals); i++) {
        crash("t.raise", args_u64((uint64_t)signals[i]), signals[i], &words);
        ck_assert_msg(strstr(words.backtrace, " raise_+0x") != NULL, "%s", words.backtrace);
    }
}
END_TEST

START_TEST(a_stack_overflow_leaves_words_too)
{
    struct page_words words;

    crash("t.overflow", NULL, SIGSEGV, &words);
    ck_assert_msg(strstr(words.backtrace, " recurse+0x") != NULL, "%s", words.backtrace);
    ck_assert_ptr_nonnull(strstr(words.backtrace, "\n...\n"));
}
END_TEST

START_TEST(a_broken_heap_leaves_words_too)
{
    struct page_words words;

    crash("t.corrupt_heap", NULL, SIGABRT, &words);
    ck_assert_msg(strstr(words.backtrace, " corrupt_heap+0x") != NULL, "%s", words.backtrace);
}
END_TEST

START_TEST(memory_over_the_limit_is_a_failed_malloc)
{
    static const char *const args[] = { "--memory-max", "67108864", NULL };
    struct page_words words;
    struct answer a;

    driver_start(&d, TEST_MODULES, args);
    peer_start(&w, &d, 3);
    peer_give(&w, 1, "t.eat", NULL);
    ck_assert(!peer_answer(&w, &a));
    ck_assert_int_eq(WTERMSIG(peer_wait(&w)), SIGABRT);
    page_read_words(w.page, &words);
    ck_assert_uint_ge(words.progress, 48 << 20);
    ck_assert_uint_le(words.progress, 64 << 20);
    ck_assert_uint_ge(words.peak_kb, 48 << 10);
    stop_template();
}
END_TEST

START_TEST(a_request_to_stop_tells_where_the_function_is)
{
    struct page_words words;
    struct answer a;

    start();
    peer_give(&w, 9, "t.spin_polite", NULL);
    page_await(&w.page->process_phase, PAGE_RUNNING);
    ck_assert_int_eq(kill(w.pid, SIGTERM), 0); /* nobody asked this task: nothing happens */
    atomic_store(&w.page->cancel, 9);
    ck_assert_int_eq(kill(w.pid, SIGTERM), 0);
    ck_assert(peer_answer(&w, &a));
    ck_assert_int_eq(a.frame.code, PTOOLS_ERR_FAILED);
    ck_assert_str_eq(a.texts[0], "asked to stop");
    ck_assert_str_eq(a.texts[1], "spinning politely");
    answer_deinit(&a);

    peer_give(&w, 10, "t.spin", NULL); /* deaf: killed later, but the backtrace is there */
    page_await_phase(w.page, "spinning");
    atomic_store(&w.page->cancel, 10);
    ck_assert_int_eq(kill(w.pid, SIGTERM), 0);
    page_await(&w.page->fault_signal, SIGTERM);
    page_read_words(w.page, &words);
    ck_assert_msg(strstr(words.backtrace, " spin+0x") != NULL, "%s", words.backtrace);
    ck_assert_int_eq(kill(w.pid, SIGKILL), 0);
    peer_wait(&w);
    stop_template();
}
END_TEST

START_TEST(a_sleeping_function_is_woken_to_stop)
{
    struct answer a;

    start();
    peer_give(&w, 9, "t.sleep_ms", args_u64(1000000));
    page_await(&w.page->process_phase, PAGE_RUNNING);
    atomic_store(&w.page->cancel, 9);
    do /* it may not have gone to sleep yet when the first signal comes */
        ck_assert_int_eq(kill(w.pid, SIGTERM), 0);
    while (atomic_load(&w.page->process_phase) == PAGE_RUNNING);
    ck_assert(peer_answer(&w, &a));
    ck_assert_str_eq(a.texts[0], "woken up");
    answer_deinit(&a);
    ck_assert_int_eq(kill(w.pid, SIGTERM), 0); /* idle: it does not even notice */
    peer_call(&w, 10, "t.nop", NULL, &a);
    answer_deinit(&a);
    stop();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("worker/worker");
    TCase *tasks = suite_case(suite, "tasks");
    TCase *ends = suite_case(suite, "ends");
    TCase *words = suite_case(suite, "words");

    tcase_add_test(tasks, answers_carry_value_and_facts);
    tcase_add_test(tasks, runs_without_arguments_at_all);
    tcase_add_test(tasks, a_revoked_task_is_skipped);
    tcase_add_test(tasks, a_started_task_cannot_be_revoked);
    tcase_add_test(tasks, many_tasks_are_answered_in_order);
    tcase_add_test(tasks, large_values_travel_both_ways);
    tcase_add_test(tasks, a_result_over_the_limit_fails_that_task_alone);
    tcase_add_test(tasks, failures_are_told);
    tcase_add_test(tasks, what_one_that_did_not_fail_has_logged_goes_before_its_answer);
    tcase_add_test(tasks, a_module_that_does_not_start_is_tried_again);
    tcase_add_test(tasks, directory_umask_and_signals_are_restored);
    tcase_add_test(tasks, timers_signals_environment_and_limits_are_restored);
    tcase_add_test(tasks, what_start_sets_up_stays);
    tcase_add_test(tasks, what_a_task_left_is_not_taken_for_what_a_module_set_up);
    tcase_add_test(tasks, each_worker_has_random_numbers_of_its_own);
    tcase_add_test(tasks, leaked_descriptors_and_memory_are_reported);
    tcase_add_test(tasks, a_child_of_a_function_is_no_worker);
    tcase_add_test(tasks, children_end_with_their_task);

    tcase_add_test(ends, stop_finishes_what_was_given);
    tcase_add_test(ends, stop_leaves_no_children);
    tcase_add_test(ends, frames_that_make_no_sense_end_it);
    tcase_add_test(ends, ends_if_its_daemon_is_not_its_parent);
    tcase_add_test(ends, exit_is_a_death);
    tcase_add_test(ends, closing_the_link_is_a_death_with_a_name);
    tcase_add_test(ends, answers_do_not_wait_behind_a_function_that_surprises);

    tcase_add_test(words, a_request_to_stop_tells_where_the_function_is);
    tcase_add_test(words, a_sleeping_function_is_woken_to_stop);
    if (!BUILT_WITH_ASAN) { /* AddressSanitizer has its own idea of crashes, of malloc, and of memory limits */
        tcase_add_test(words, answers_survive_a_crash_behind_them);
        tcase_add_test(words, a_crash_leaves_signal_address_and_backtrace);
        tcase_add_test(words, other_fatal_signals_are_told_as_well);
        tcase_add_test(words, a_stack_overflow_leaves_words_too);
        tcase_add_test(words, a_broken_heap_leaves_words_too);
        tcase_add_test(words, memory_over_the_limit_is_a_failed_malloc);
    } else {
        puts("# skipped: six tests of crashes, which AddressSanitizer handles itself");
    }
    return suite_run(suite);
}
