/* SPDX-License-Identifier: MIT */
/*
 * A server task, as its callers and the daemon see it: calls on lanes, what stays from one to the next, what ends a
 * lane, and what ends the process.
 */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/suite.h"
#include "tests/unit/worker/door.h"
#include "tests/unit/worker/driver.h"

static struct driver d;
static struct peer w;
static struct lane lane;

static void start_with(const char *const args[])
{
    driver_start(&d, TEST_MODULES, args);
    report_free(driver_load(&d, "a"));
    peer_start_stask(&w, &d, 1, 3, "run");
    lane_open(&lane, &w, 7);
}

static void start(void)
{
    start_with(NULL);
}

static void stop(void)
{
    lane_close(&lane);
    ck_assert_int_eq(peer_stop(&w), 0);
    driver_stop(&d);
}

/* For tests after which the process is gone. */
static void stop_template(void)
{
    lane_close(&lane);
    peer_free(&w);
    driver_stop(&d);
}

static ptools_pack *args_i64(int64_t v)
{
    ptools_pack *args = ptools_pack_new();

    ck_assert_ptr_nonnull(args);
    ptools_pack_i64(args, v);
    return args;
}

static int64_t value_i64(struct answer *a)
{
    int64_t v = -1;

    ck_assert_int_eq(ptools_get_i64(a->value, &v), PTOOLS_OK);
    answer_deinit(a);
    return v;
}

static int64_t call_i64(struct lane *l, const char *function, ptools_pack *args)
{
    struct answer a;

    lane_call(l, function, args, &a);
    return value_i64(&a);
}

/* The process answers on that lane, whatever has happened on others. */
static void check_serves(struct lane *l)
{
    struct answer a;

    lane_call(l, "a.nop", NULL, &a);
    answer_deinit(&a);
}

static uint64_t item(const struct answer *a, uint32_t index)
{
    ptools_value v;
    uint64_t u;

    ck_assert_int_eq(ptools_get_item(a->value, index, &v), PTOOLS_OK);
    ck_assert_int_eq(ptools_get_u64(v, &u), PTOOLS_OK);
    return u;
}

/* -- calls --------------------------------------------------------------------------------------------------- */

START_TEST(it_knows_its_place)
{
    struct answer a;

    start();
    lane_call(&lane, "a.index", NULL, &a);
    ck_assert_uint_eq(item(&a, 0), 1);
    ck_assert_uint_eq(item(&a, 1), 3);
    ck_assert_uint_eq(a.frame.b, 0); /* nobody counts its memory call by call */
    answer_deinit(&a);
    lane_call(&lane, "t.about", NULL, &a); /* a module that was not loaded before */
    ck_assert_uint_eq(item(&a, 0), 0);     /* no worker */
    ck_assert_uint_eq(item(&a, 1), lane_number(&lane, 2));
    ck_assert_uint_eq(item(&a, 2), 1);
    ck_assert_uint_eq(item(&a, 3), 1234); /* its user, whatever the frame says */
    answer_deinit(&a);
    ck_assert_int_eq(call_i64(&lane, "a.pid", NULL), w.pid);
    while (atomic_load(&w.page->calls) != 3) /* counted when the answer is out */
        sched_yield();
    ck_assert_uint_eq(atomic_load(&w.page->task), 0);
    stop();
}
END_TEST

START_TEST(calls_are_answered_in_their_order)
{
    struct answer a;
    int64_t sum = 0;

    start();
    for (int64_t i = 1; i <= 100; i++)
        lane_give(&lane, "a.add", args_i64(i));
    for (int64_t i = 1; i <= 100; i++) {
        ck_assert(lane_answer(&lane, &a));
        ck_assert_uint_eq(a.frame.task, lane_number(&lane, (uint32_t)i));
        ck_assert_int_eq(value_i64(&a), sum += i);
    }
    stop();
}
END_TEST

START_TEST(all_lanes_share_the_state)
{
    struct lane other;

    start();
    lane_open(&other, &w, 8);
    ck_assert_int_eq(call_i64(&lane, "a.add", args_i64(1)), 1);
    ck_assert_int_eq(call_i64(&other, "a.add", args_i64(10)), 11);
    ck_assert_int_eq(call_i64(&lane, "a.add", args_i64(100)), 111);
    lane_close(&other); /* and its end is no matter */
    ck_assert_int_eq(call_i64(&lane, "a.add", args_i64(1000)), 1111);
    lane_open(&other, &w, 9);
    ck_assert_int_eq(call_i64(&other, "a.add", args_i64(0)), 1111);
    lane_close(&other);
    stop();
}
END_TEST

/* A worker is put in order after each task; here everything is the functions' own. */
START_TEST(what_functions_change_in_the_process_stays)
{
    struct answer a;
    const char *s;
    size_t n;

    start();
    lane_call(&lane, "t.chdir", args_str("/usr"), &a);
    answer_deinit(&a);
    lane_call(&lane, "t.umask", args_u64(0123), &a);
    answer_deinit(&a);
    lane_call(&lane, "t.cwd", NULL, &a);
    ck_assert_int_eq(ptools_get_str(a.value, &s, &n), PTOOLS_OK);
    ck_assert_int_eq(n, 4);
    ck_assert_mem_eq(s, "/usr", 4);
    answer_deinit(&a);
    lane_call(&lane, "t.state", NULL, &a);
    ck_assert_uint_eq(item(&a, 0), 0123);
    answer_deinit(&a);
    stop();
}
END_TEST

START_TEST(failures_are_told)
{
    struct answer a;

    start();
    lane_fail(&lane, "t.fail", args_str("no such file"), PTOOLS_ERR_FAILED, "no such file");
    lane_fail(&lane, "a.add", NULL, PTOOLS_ERR_BAD_ARGUMENT, "argument 1 of a.add is missing");
    lane_fail(&lane, "a.nothing", NULL, PTOOLS_ERR_NO_FUNCTION, "module a has no function nothing");
    lane_fail(&lane, "nowhere.f", NULL, PTOOLS_ERR_NO_MODULE, "nowhere");
    lane_fail(&lane, "", NULL, PTOOLS_ERR_NO_FUNCTION, "functions are called MODULE.FUNCTION");
    lane_give(&lane, "t.tell", NULL);
    ck_assert(lane_answer(&lane, &a));
    ck_assert_str_ne(a.texts[1], "");
    ck_assert_str_ne(a.texts[2], "");
    ck_assert_str_ne(a.texts[3], "0 0");
    answer_deinit(&a);
    check_serves(&lane);
    stop();
}
END_TEST

START_TEST(a_child_of_a_function_is_no_server_task)
{
    struct answer a;

    start();
    ck_assert_int_ne(call_i64(&lane, "t.fork_return", NULL), 0); /* the parent's answer, and only that */
    check_serves(&lane);
    lane_give(&lane, "t.fork_spin", NULL);
    page_await(&w.page->process_phase, PAGE_RUNNING);
    while (atomic_load(&w.page->progress) == 0)
        sched_yield();
    ck_assert_int_eq(kill(w.pid, SIGKILL), 0);
    ck_assert(!lane_answer(&lane, &a)); /* the child does not hold the lane */
    peer_wait(&w);
    ck_assert_int_eq(kill((pid_t)atomic_load(&w.page->progress), SIGKILL), 0);
    while (waitpid(-1, NULL, WNOHANG) > 0)
        ;
    stop_template();
}
END_TEST

/* -- cancelling ---------------------------------------------------------------------------------------------- */

START_TEST(a_call_that_runs_is_cancelled)
{
    struct answer a;
    uint64_t call;

    start();
    call = lane_give(&lane, "a.spin", NULL);
    page_await(&w.page->process_phase, PAGE_RUNNING);
    ck_assert_uint_eq(atomic_load(&w.page->task), call); /* so the daemon knows what it would stop */
    atomic_store(&w.page->cancel, call);
    ck_assert_int_eq(kill(w.pid, SIGTERM), 0);
    ck_assert(lane_answer(&lane, &a));
    ck_assert_uint_eq(a.frame.task, call);
    ck_assert_int_eq(a.frame.code, PTOOLS_ERR_CANCELLED);
    ck_assert_str_eq(a.texts[0], "I stop");
    answer_deinit(&a);
    check_serves(&lane); /* and the next is another call */
    stop();
}
END_TEST

/* As the daemon does it. */
static void tell_cancelled(uint64_t call)
{
    const struct link_frame cancel = { .type = LINK_CANCEL, .task = call };

    atomic_fetch_add(&w.page->cancels, 1);
    peer_send(&w, &cancel, NULL, 0);
}

START_TEST(a_call_is_cancelled_before_it_is_begun)
{
    struct answer a;

    start();
    ck_assert_int_eq(call_i64(&lane, "a.add", args_i64(1)), 1);
    tell_cancelled(lane_number(&lane, 2));
    lane_fail(&lane, "a.add", args_i64(2), PTOOLS_ERR_CANCELLED, "cancelled before it was begun");
    ck_assert_int_eq(call_i64(&lane, "a.add", args_i64(4)), 5); /* it was not run */
    lane_give(&lane, "a.spin", NULL);
    page_await(&w.page->process_phase, PAGE_RUNNING);
    atomic_store(&w.page->cancel, lane_number(&lane, 4));
    ck_assert(lane_answer(&lane, &a));
    ck_assert_int_eq(a.frame.code, PTOOLS_ERR_CANCELLED);
    answer_deinit(&a);
    stop();
}
END_TEST

START_TEST(calls_that_wait_are_cancelled)
{
    enum { CALLS = 100 };
    struct answer a;

    start();
    lane_give(&lane, "a.spin", NULL);
    page_await(&w.page->process_phase, PAGE_RUNNING);
    for (int i = 0; i < CALLS; i++)
        lane_give(&lane, "a.add", args_i64(1));
    for (uint32_t i = CALLS; i > 0; i -= 2) /* every second, from the last */
        tell_cancelled(lane_number(&lane, 1 + i));
    atomic_store(&w.page->cancel, lane_number(&lane, 1));
    for (uint32_t i = 0; i <= CALLS; i++) {
        ck_assert(lane_answer(&lane, &a));
        ck_assert_uint_eq(a.frame.task, lane_number(&lane, 1 + i));
        ck_assert_int_eq(a.frame.code, i % 2 ? PTOOLS_OK : PTOOLS_ERR_CANCELLED);
        answer_deinit(&a);
    }
    tell_cancelled(lane_number(&lane, 7)); /* long done */
    ck_assert_int_eq(call_i64(&lane, "a.add", args_i64(0)), CALLS / 2);
    stop();
}
END_TEST

START_TEST(a_value_that_was_ready_counts)
{
    struct answer a;

    start();
    atomic_store(&w.page->cancel, lane_number(&lane, 1) + 1); /* another call */
    ck_assert_int_eq(call_i64(&lane, "a.add", args_i64(1)), 1);
    atomic_store(&w.page->cancel, lane_number(&lane, 1)); /* too late */
    ck_assert_int_eq(call_i64(&lane, "a.add", args_i64(1)), 2);
    lane_give(&lane, "t.spin_polite", NULL);
    page_await(&w.page->process_phase, PAGE_RUNNING);
    atomic_store(&w.page->cancel, lane_number(&lane, 3));
    ck_assert_int_eq(kill(w.pid, SIGTERM), 0);
    ck_assert(lane_answer(&lane, &a));
    ck_assert_int_eq(a.frame.code, PTOOLS_ERR_CANCELLED); /* a failure that only says so */
    answer_deinit(&a);
    stop();
}
END_TEST

/* -- arrays ------------------------------------------------------------------------------------------------------ */

/* An int32[4] of user 1234 whose first element is that. */
static void tell_array(uint64_t id, const char *name, int32_t first)
{
    struct fds_answer answer = door_array(id, name, 16);

    answer.type = PTOOLS_INT32;
    answer.dims[0] = 4;
    answer.owner = 1234;
    strcpy(answer.prefix, "run");
    door_give(w.fds, &answer, &first, sizeof first);
}

static ptools_pack *args_names(const char *prefix, const char *name)
{
    ptools_pack *args = args_str(prefix);

    ptools_pack_str(args, name);
    return args;
}

START_TEST(arrays_are_mapped_at_its_birth)
{
    struct link_frame map = { .type = LINK_MAP, .task = 5 }, forget = { .type = LINK_FORGET, .task = 5 };
    struct answer a;

    start();
    peer_send(&w, &map, NULL, 0);
    ck_assert_uint_eq(door_asked(w.fds).id, 5);
    tell_array(5, "a", 42); /* not before: what comes unasked is a lane, or closed */
    ck_assert(peer_answer(&w, &a));
    ck_assert_int_eq(a.frame.type, LINK_MAPPED);
    ck_assert_uint_eq(a.frame.task, 5);
    ck_assert_int_eq(a.frame.code, PTOOLS_OK);
    answer_deinit(&a);
    ck_assert_int_eq(call_i64(&lane, "a.peek", args_names("run", "a")), 42);
    lane_call(&lane, "a.stamp", args_str("a"), &a); /* its own prefix */
    answer_deinit(&a);
    ck_assert(door_is_quiet(w.fds));
    peer_send(&w, &forget, NULL, 0); /* it has no name any more, but stays mapped */
    lane_give(&lane, "a.peek", args_names("run", "a")); /* the link is looked at before the lanes */
    ck_assert_str_eq(door_asked(w.fds).prefix, "run");
    tell_array(6, "a", 43);
    ck_assert(lane_answer(&lane, &a));
    ck_assert_int_eq(value_i64(&a), 43);
    ck_assert_uint_eq(door_mappings((int)w.pid, "rw-s"), 2);
    map.task = 7;
    peer_send(&w, &map, NULL, 0);
    ck_assert_uint_eq(door_asked(w.fds).id, 7);
    door_refuse(w.fds, PTOOLS_ERR_NO_ARRAY, "no array 7");
    ck_assert(peer_answer(&w, &a));
    ck_assert_int_eq(a.frame.type, LINK_MAPPED);
    ck_assert_int_eq(a.frame.code, PTOOLS_ERR_NO_ARRAY);
    ck_assert_str_eq((char *)a.body, "no array 7");
    answer_deinit(&a);
    stop();
}
END_TEST

START_TEST(a_lane_comes_while_a_function_asks_for_an_array)
{
    struct fds_request request;
    struct lane other;
    struct answer a;
    uint64_t call;

    start();
    call = lane_give(&lane, "a.peek", args_names("run", "a"));
    request = door_asked(w.fds);
    ck_assert_uint_eq(request.task, call);
    ck_assert_str_eq(request.name, "a");
    lane_open(&other, &w, 8);
    tell_array(5, "a", 42);
    ck_assert(lane_answer(&lane, &a));
    ck_assert_int_eq(value_i64(&a), 42);
    check_serves(&other);
    lane_close(&other);
    stop();
}
END_TEST

START_TEST(an_array_that_there_is_not)
{
    struct answer a;

    start();
    lane_give(&lane, "a.peek", args_names("run", "a"));
    door_asked(w.fds);
    door_refuse(w.fds, PTOOLS_ERR_NO_ARRAY, "no array run/a");
    ck_assert(lane_answer(&lane, &a));
    ck_assert_int_eq(a.frame.code, PTOOLS_ERR_NO_ARRAY);
    ck_assert_str_eq(a.texts[0], "no array run/a");
    answer_deinit(&a);
    lane_give(&lane, "a.peek", args_names("run", "a")); /* there may be one now */
    door_asked(w.fds);
    tell_array(5, "a", 42);
    ck_assert(lane_answer(&lane, &a));
    ck_assert_int_eq(value_i64(&a), 42);
    stop();
}
END_TEST

/* -- the end ------------------------------------------------------------------------------------------------------- */

static char path[] = "/tmp/ptools-stask-XXXXXX";

/* How often the destructor of a.keep has written to its file. */
static size_t destroyed(void)
{
    char text[200] = "";
    FILE *f = fopen(path, "re");
    size_t n;

    ck_assert_ptr_nonnull(f);
    n = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    ck_assert_uint_eq(n % strlen("destroyed\n"), 0);
    return n / strlen("destroyed\n");
}

static void make_file(void)
{
    int fd = mkstemp(path);

    ck_assert_int_ge(fd, 0);
    close(fd);
}

START_TEST(a_stop_runs_what_has_come_and_the_destructors)
{
    const struct link_frame stop_frame = { .type = LINK_STOP };
    struct answer a;

    make_file();
    start();
    lane_call(&lane, "a.keep", args_str(path), &a);
    answer_deinit(&a);
    lane_call(&lane, "a.keep", args_str(path), &a); /* instead of the first */
    answer_deinit(&a);
    ck_assert_uint_eq(destroyed(), 1);
    lane_call(&lane, "a.forget", NULL, &a);
    answer_deinit(&a);
    ck_assert_uint_eq(destroyed(), 2);
    lane_call(&lane, "a.keep", args_str(path), &a);
    answer_deinit(&a);
    check_serves(&lane);
    ck_assert_uint_eq(destroyed(), 2);
    peer_send(&w, &stop_frame, NULL, 0);
    ck_assert(!peer_answer(&w, &a));
    ck_assert(!lane_answer(&lane, &a));
    ck_assert_int_eq(peer_wait(&w), 0);
    ck_assert_uint_eq(destroyed(), 3);
    unlink(path);
    stop_template();
}
END_TEST

START_TEST(a_stop_waits_for_the_call_that_runs)
{
    const struct link_frame stop_frame = { .type = LINK_STOP, .a = 1 };
    struct answer a;
    uint64_t call;

    start();
    call = lane_give(&lane, "a.spin", NULL);
    page_await(&w.page->process_phase, PAGE_RUNNING);
    peer_send(&w, &stop_frame, NULL, 0);
    atomic_store(&w.page->cancel, call); /* politely, as the daemon does it */
    ck_assert_int_eq(kill(w.pid, SIGTERM), 0);
    ck_assert(lane_answer(&lane, &a));
    ck_assert_int_eq(a.frame.code, PTOOLS_ERR_CANCELLED);
    answer_deinit(&a);
    ck_assert(!lane_answer(&lane, &a));
    ck_assert_int_eq(peer_wait(&w), 0);
    stop_template();
}
END_TEST

START_TEST(a_stop_sends_what_is_ready)
{
    const struct link_frame stop_frame = { .type = LINK_STOP };
    struct answer a;

    start();
    lane_give(&lane, "a.bytes", args_u64(2 << 20));
    while (atomic_load(&w.page->calls) == 0)
        sched_yield();
    peer_send(&w, &stop_frame, NULL, 0); /* most of the answer is still there */
    ck_assert(lane_answer(&lane, &a));
    ck_assert_int_eq(a.frame.code, PTOOLS_OK);
    ck_assert_uint_gt(a.frame.body_bytes, 2 << 20);
    answer_deinit(&a);
    ck_assert_int_eq(peer_wait(&w), 0);
    stop_template();
}
END_TEST

START_TEST(it_ends_with_the_daemon)
{
    struct answer a;

    start();
    check_serves(&lane);
    ck_assert_int_eq(peer_stop(&w), 0);
    ck_assert(!lane_answer(&lane, &a));
    lane_close(&lane);
    driver_stop(&d);
}
END_TEST

START_TEST(tasks_of_the_daemon_are_not_for_it)
{
    struct answer a;

    start();
    peer_give(&w, 5, "a.nop", NULL);
    ck_assert(!peer_answer(&w, &a));
    ck_assert(WIFEXITED(peer_wait(&w)));
    stop_template();
}
END_TEST

START_TEST(a_death_leaves_the_call_in_the_page)
{
    struct answer a;
    uint64_t call;
    int status;

    start();
    check_serves(&lane);
    call = lane_give(&lane, "a.dies", args_u64(SIGKILL));
    ck_assert(!lane_answer(&lane, &a));
    status = peer_wait(&w);
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    ck_assert_uint_eq(atomic_load(&w.page->task), call); /* the daemon will know what it died in */
    ck_assert_str_eq(w.page->phase, "dying");
    ck_assert_uint_eq(atomic_load(&w.page->calls), 1);
    stop_template();
}
END_TEST

/* The socket for descriptors has gone, the link has not: it neither spins nor falls silent. */
START_TEST(without_its_socket_for_descriptors)
{
    char stat_path[40], text[400], *state;
    FILE *f;

    start();
    check_serves(&lane);
    shutdown(w.fds, SHUT_RDWR);
    lane_fail(&lane, "a.peek", args_names("run", "a"), PTOOLS_ERR_FAILED,
              "the socket to ptoolsd for descriptors is gone");
    check_serves(&lane);
    snprintf(stat_path, sizeof stat_path, "/proc/%d/stat", (int)w.pid);
    do { /* until it sleeps; were it to spin, it never would, and the test ended by its time */
        f = fopen(stat_path, "re");
        ck_assert_ptr_nonnull(f);
        ck_assert_ptr_nonnull(fgets(text, sizeof text, f));
        fclose(f);
        state = strrchr(text, ')');
    } while (state[2] != 'S');
    stop();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("worker/stask");
    TCase *calls = suite_case(suite, "calls");
    TCase *cancels = suite_case(suite, "cancels");
    TCase *arrays = suite_case(suite, "arrays");
    TCase *ends = suite_case(suite, "ends");

    tcase_add_test(calls, it_knows_its_place);
    tcase_add_test(calls, calls_are_answered_in_their_order);
    tcase_add_test(calls, all_lanes_share_the_state);
    tcase_add_test(calls, what_functions_change_in_the_process_stays);
    tcase_add_test(calls, failures_are_told);
    tcase_add_test(calls, a_child_of_a_function_is_no_server_task);

    tcase_add_test(cancels, a_call_that_runs_is_cancelled);
    tcase_add_test(cancels, a_call_is_cancelled_before_it_is_begun);
    tcase_add_test(cancels, calls_that_wait_are_cancelled);
    tcase_add_test(cancels, a_value_that_was_ready_counts);

    tcase_add_test(arrays, arrays_are_mapped_at_its_birth);
    tcase_add_test(arrays, a_lane_comes_while_a_function_asks_for_an_array);
    tcase_add_test(arrays, an_array_that_there_is_not);

    tcase_add_test(ends, a_stop_runs_what_has_come_and_the_destructors);
    tcase_add_test(ends, a_stop_waits_for_the_call_that_runs);
    tcase_add_test(ends, a_stop_sends_what_is_ready);
    tcase_add_test(ends, it_ends_with_the_daemon);
    tcase_add_test(ends, tasks_of_the_daemon_are_not_for_it);
    tcase_add_test(ends, a_death_leaves_the_call_in_the_page);
    tcase_add_test(ends, without_its_socket_for_descriptors);
    return suite_run(suite);
}
