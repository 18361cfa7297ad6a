/* SPDX-License-Identifier: MIT */
/*
 * Calls and worker sets against a real daemon: contract.md, sections 1 and 2, and the order tests of the
 * original (round robin 2, 3, 4, 2; first free with eight sleepers on four workers).
 */
#include <inttypes.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/integration/server.h"
#include "tests/support/suite.h"

static struct server server;
static ptools *pt;

static void up(unsigned workers)
{
    server_start(&server, workers, NULL);
    pt = server_open(&server);
}

static void down(void)
{
    pt = ptools_close(pt);
    server_clean(&server, 0);
    server_stop(&server);
}

/* The worker id that a call of t.id gives. */
static uint32_t call_id(ptools_workerset *set)
{
    PTOOLS_AUTO(ptools_future) f = NULL;
    ptools_value v;
    uint64_t id = 0;

    ck_assert_ptools(ptools_remotecall_fetch(pt, set, "t.id", NULL, NULL, 10000, &f, &v));
    ck_assert_ptools(ptools_get_u64(v, &id));
    ck_assert_uint_eq(ptools_future_worker(f), id);
    return (uint32_t)id;
}

START_TEST(fetch_returns_the_value)
{
    PTOOLS_AUTO(ptools_pack) args = ptools_pack_new();
    PTOOLS_AUTO(ptools_future) f = NULL;
    ptools_value v;
    int64_t square = 0;

    up(1);
    ptools_pack_i64(args, 12);
    ck_assert_ptools(ptools_remotecall_fetch(pt, NULL, "math.square", args, NULL, 10000, &f, &v));
    ck_assert_ptools(ptools_get_i64(v, &square));
    ck_assert_int_eq(square, 144);
    ck_assert(ptools_future_task(f) > 0);
    down();
}
END_TEST

START_TEST(values_of_every_kind_come_back_as_they_went)
{
    PTOOLS_AUTO(ptools_pack) args = ptools_pack_new();
    PTOOLS_AUTO(ptools_future) f = NULL;
    ptools_value list, v, item, key;
    const char *s;
    const void *b;
    size_t n;
    uint32_t count;
    uint64_t u;
    int64_t i;
    double d;
    bool yes;

    up(1);
    ptools_pack_nil(args);
    ptools_pack_bool(args, true);
    ptools_pack_i64(args, INT64_MIN);
    ptools_pack_u64(args, UINT64_MAX);
    ptools_pack_f64(args, 0.1);
    ptools_pack_str(args, "Gr\xc3\xbc\xc3\x9f");
    ptools_pack_bytes(args, "\0\xff", 2);
    ptools_pack_list(args, 2);
    ptools_pack_i64(args, 1);
    ptools_pack_i64(args, 2);
    ptools_pack_map(args, 1);
    ptools_pack_str(args, "k");
    ptools_pack_i64(args, -7);
    ck_assert_ptools(ptools_remotecall_fetch(pt, NULL, "t.echo", args, NULL, 10000, &f, &list));
    ck_assert_ptools(ptools_get_count(list, &count));
    ck_assert_uint_eq(count, 9);
    ck_assert_ptools(ptools_get_item(list, 0, &v));
    ck_assert_int_eq(ptools_value_kind(v), PTOOLS_NIL);
    ck_assert_ptools(ptools_get_item(list, 1, &v));
    ck_assert_ptools(ptools_get_bool(v, &yes));
    ck_assert(yes);
    ck_assert_ptools(ptools_get_item(list, 2, &v));
    ck_assert_ptools(ptools_get_i64(v, &i));
    ck_assert(i == INT64_MIN);
    ck_assert_ptools(ptools_get_item(list, 3, &v));
    ck_assert_ptools(ptools_get_u64(v, &u));
    ck_assert(u == UINT64_MAX);
    ck_assert_ptools(ptools_get_item(list, 4, &v));
    ck_assert_ptools(ptools_get_f64(v, &d));
    ck_assert(d == 0.1);
    ck_assert_ptools(ptools_get_item(list, 5, &v));
    ck_assert_ptools(ptools_get_str(v, &s, &n));
    ck_assert_uint_eq(n, 6);
    ck_assert_int_eq(memcmp(s, "Gr\xc3\xbc\xc3\x9f", 6), 0);
    ck_assert_ptools(ptools_get_item(list, 6, &v));
    ck_assert_ptools(ptools_get_bytes(v, &b, &n));
    ck_assert_uint_eq(n, 2);
    ck_assert_int_eq(memcmp(b, "\0\xff", 2), 0);
    ck_assert_ptools(ptools_get_item(list, 7, &v));
    ck_assert_ptools(ptools_get_item(v, 1, &item));
    ck_assert_ptools(ptools_get_i64(item, &i));
    ck_assert_int_eq(i, 2);
    ck_assert_ptools(ptools_get_item(list, 8, &v));
    ck_assert_ptools(ptools_get_pair(v, 0, &key, &item));
    ck_assert_ptools(ptools_get_i64(item, &i));
    ck_assert_int_eq(i, -7);
    ck_assert_err(ptools_get_i64(key, &i), PTOOLS_ERR_TYPE);
    down();
}
END_TEST

START_TEST(wait_leaves_the_value_fetchable)
{
    PTOOLS_AUTO(ptools_pack) args = ptools_pack_new();
    PTOOLS_AUTO(ptools_future) f = NULL;
    ptools_value v;

    up(1);
    ptools_pack_str(args, "kept");
    ck_assert_ptools(ptools_remotecall_wait(pt, NULL, "t.echo", args, NULL, 10000, &f));
    ck_assert(ptools_future_done(f));
    for (int i = 0; i < 2; i++) {
        ck_assert_ptools(ptools_future_fetch(f, 0, &v));
        ck_assert_int_eq(ptools_value_kind(v), PTOOLS_LIST);
    }
    ck_assert_ptr_null(ptools_future_failure(f));
    down();
}
END_TEST

/* Lets the call that waits on fifo i go on, and waits until it is done. */
static void release(const char *dir, int i, ptools_future *f)
{
    char path[96];
    int fd;

    snprintf(path, sizeof path, "%s/%d", dir, i);
    fd = open(path, O_WRONLY | O_CLOEXEC); /* returns when the task has opened its end */
    ck_assert_int_ge(fd, 0);
    ck_assert_ptools(ptools_future_fetch(f, 10000, NULL));
    close(fd);
}

START_TEST(wait_times_out_and_the_task_goes_on)
{
    PTOOLS_AUTO(ptools_pack) args = ptools_pack_new();
    PTOOLS_AUTO(ptools_future) f = NULL;
    char dir[64], path[96];

    up(1);
    temp_dir(dir, sizeof dir);
    snprintf(path, sizeof path, "%s/0", dir);
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    ptools_pack_str(args, path);
    ck_assert_err(ptools_remotecall_wait(pt, NULL, "t.fifo", args, NULL, 20, &f), PTOOLS_ERR_TIMEOUT);
    ck_assert_ptr_nonnull(f);
    ck_assert(!ptools_future_done(f));
    ck_assert_err(ptools_future_wait(f, 0), PTOOLS_ERR_TIMEOUT);
    release(dir, 0, f);
    temp_remove(dir);
    down();
}
END_TEST

START_TEST(remote_do_outlives_its_client)
{
    PTOOLS_AUTO(ptools_pack) args = ptools_pack_new();
    char dir[64], path[80], *text;
    uint64_t task = 0;
    ptools *other;

    up(1);
    temp_dir(dir, sizeof dir);
    snprintf(path, sizeof path, "%s/ledger", dir);
    ptools_pack_str(args, path);
    ptools_pack_str(args, "key");
    other = server_open(&server);
    ck_assert_ptools(ptools_remote_do(other, NULL, "t.mark", args, NULL, &task));
    ck_assert(task > 0);
    ptools_close(other);
    call_id(NULL); /* first come, first served on the one worker: the mark was made before this ran */
    text = slurp(path);
    ck_assert_int_eq(strncmp(text, "key 1 ", 6), 0);
    free(text);
    ck_assert_err(ptools_remote_do(pt, NULL, "t.no_such_function", NULL, NULL, NULL), PTOOLS_ERR_NO_FUNCTION);
    temp_remove(dir);
    down();
}
END_TEST

START_TEST(round_robin_deals_2_3_4_2)
{
    const uint32_t ids[] = { 2, 3, 4 }, expected[] = { 2, 3, 4, 2 };
    PTOOLS_AUTO(ptools_workerset) set = NULL;

    up(5);
    ck_assert_ptools(ptools_workerset_create(pt, NULL, ids, 3, PTOOLS_WS_RR, &set));
    for (size_t i = 0; i < 4; i++)
        ck_assert_uint_eq(call_id(set), expected[i]);
    set = ptools_workerset_free(set);
    down();
}
END_TEST

START_TEST(round_robin_does_not_look_who_is_busy)
{
    const uint32_t ids[] = { 1, 2 };
    PTOOLS_AUTO(ptools_workerset) set = NULL;
    PTOOLS_AUTO(ptools_pack) args = ptools_pack_new();
    ptools_future *f[4];

    up(2);
    ck_assert_ptools(ptools_workerset_create(pt, "both", ids, 2, PTOOLS_WS_RR, &set));
    for (int i = 0; i < 4; i++) { /* 1 sleeps long, 2 short: the third still goes to 1 */
        ptools_pack_reset(args);
        ptools_pack_i64(args, i == 0 ? 300 : 1);
        ck_assert_ptools(ptools_remotecall(pt, set, "t.sleep_ms", args, NULL, &f[i]));
    }
    ck_assert_ptools(ptools_wait_all(pt, f, 4, 10000));
    for (int i = 0; i < 4; i++) {
        ck_assert_uint_eq(ptools_future_worker(f[i]), (uint32_t)(i % 2 + 1));
        ptools_future_free(f[i]);
    }
    ck_assert_ptools(ptools_workerset_destroy(set));
    down();
}
END_TEST

/* The original's test: workers 5 to 8, eight calls at once that end in the order in which they were made. The first
 * four go to 5, 6, 7, 8, the others to them again in the order in which they become free. */
START_TEST(first_free_with_eight_sleepers_on_four_workers)
{
    const uint32_t ids[] = { 5, 6, 7, 8 };
    PTOOLS_AUTO(ptools_workerset) set = NULL;
    PTOOLS_AUTO(ptools_pack) args = ptools_pack_new();
    ptools_future *f[8];
    char dir[64], path[96];

    up(8);
    temp_dir(dir, sizeof dir);
    ck_assert_ptools(ptools_workerset_create(pt, NULL, ids, 4, PTOOLS_WS_FF, &set));
    for (int i = 0; i < 8; i++) {
        snprintf(path, sizeof path, "%s/%d", dir, i);
        ck_assert_int_eq(mkfifo(path, 0600), 0);
        ptools_pack_reset(args);
        ptools_pack_str(args, path);
        ck_assert_ptools(ptools_remotecall(pt, set, "t.fifo", args, NULL, &f[i]));
    }
    for (int i = 0; i < 8; i++)
        release(dir, i, f[i]);
    for (int i = 0; i < 8; i++) {
        ck_assert_msg(ptools_future_worker(f[i]) == ids[i % 4], "call %d went to worker %u", i,
                      ptools_future_worker(f[i]));
        ptools_future_free(f[i]);
    }
    set = ptools_workerset_free(set);
    temp_remove(dir);
    down();
}
END_TEST

START_TEST(named_sets_are_shared_changed_and_destroyed)
{
    const uint32_t ids[] = { 1, 2 }, other_ids[] = { 3 };
    PTOOLS_AUTO(ptools_workerset) set = NULL;
    PTOOLS_AUTO(ptools_workerset) again = NULL;
    PTOOLS_AUTO(ptools_workerset) none = NULL;
    ptools *other;

    up(3);
    ck_assert_ptools(ptools_workerset_create(pt, "night", ids, 2, PTOOLS_WS_RR, &set));
    ck_assert_err(ptools_workerset_create(pt, "night", ids, 2, PTOOLS_WS_RR, &none), PTOOLS_ERR_EXISTS);
    ck_assert_err(ptools_workerset_create(pt, "9lives", ids, 2, PTOOLS_WS_RR, &none), PTOOLS_ERR_INVALID);
    ck_assert_err(ptools_workerset_create(pt, NULL, ids, 0, PTOOLS_WS_RR, &none), PTOOLS_ERR_INVALID);
    ck_assert_err(ptools_workerset_create(pt, NULL, (const uint32_t[]){ 9 }, 1, PTOOLS_WS_RR, &none),
                  PTOOLS_ERR_NO_WORKER);
    other = server_open(&server);
    ck_assert_ptools(ptools_workerset_open(other, "night", &again));
    ck_assert_err(ptools_workerset_open(other, "day", &none), PTOOLS_ERR_NO_SET);
    ck_assert_uint_eq(call_id(set), 1); /* the round is one, whoever calls */
    ck_assert_ptools(ptools_workerset_change(again, other_ids, 1, PTOOLS_WS_FF));
    ck_assert_uint_eq(call_id(set), 3);
    ck_assert_ptools(ptools_workerset_destroy(again));
    ck_assert_err(ptools_remotecall_fetch(pt, set, "t.id", NULL, NULL, 10000, NULL, NULL), PTOOLS_ERR_NO_SET);
    again = ptools_workerset_free(again);
    ptools_close(other);
    down();
}
END_TEST

START_TEST(a_call_can_ask_for_one_worker)
{
    ptools_call_options options = PTOOLS_CALL_OPTIONS_INIT;
    PTOOLS_AUTO(ptools_future) f = NULL;

    up(3);
    options.worker = 2;
    ck_assert_ptools(ptools_remotecall_fetch(pt, NULL, "t.id", NULL, &options, 10000, &f, NULL));
    ck_assert_uint_eq(ptools_future_worker(f), 2);
    options.worker = 77;
    ck_assert_err(ptools_remotecall_fetch(pt, NULL, "t.id", NULL, &options, 10000, NULL, NULL), PTOOLS_ERR_NO_WORKER);
    down();
}
END_TEST

START_TEST(workers_are_listed_added_and_removed)
{
    ptools_worker_info *infos = NULL;
    uint32_t first = 0;
    size_t n = 0;

    up(2);
    call_id(NULL);
    ck_assert_ptools(ptools_workers(pt, &infos, &n));
    ck_assert_uint_eq(n, 2);
    ck_assert_uint_eq(infos[0].id, 1);
    ck_assert_uint_eq(infos[1].id, 2);
    ck_assert_int_gt(infos[0].pid, 0);
    ck_assert_uint_eq(infos[0].tasks_done + infos[1].tasks_done, 1);
    free(infos);
    ck_assert_ptools(ptools_workers_add(pt, 2, &first));
    ck_assert_uint_eq(first, 3);
    server_whole(pt, 4);
    ck_assert_ptools(ptools_workers_remove(pt, 3));
    server_whole(pt, 3);
    ck_assert_err(ptools_workers_remove(pt, 3), PTOOLS_ERR_NO_WORKER);
    ck_assert_ptools(ptools_workers_remove(pt, 4));
    server_whole(pt, 2);
    ck_assert_err(ptools_workers_add(pt, 0, NULL), PTOOLS_ERR_INVALID);
    ck_assert_err(ptools_workers_add(pt, 1025, NULL), PTOOLS_ERR_INVALID);
    ck_assert_err(ptools_workers_add(pt, 1024, NULL), PTOOLS_ERR_LIMIT);
    down();
}
END_TEST

START_TEST(errors_are_typed_and_tell_the_facts)
{
    PTOOLS_AUTO(ptools_pack) args = ptools_pack_new();
    const ptools_failure *failure;

    up(1);
    ptools_pack_str(args, "no such luck");
    ck_assert_err(ptools_remotecall_fetch(pt, NULL, "t.fail", args, NULL, 10000, NULL, NULL), PTOOLS_ERR_FAILED);
    failure = ptools_last_failure(pt);
    ck_assert_ptr_nonnull(failure);
    ck_assert_str_eq(failure->message, "no such luck");
    ck_assert_uint_eq(failure->worker, 1);
    ck_assert_uint_eq(failure->attempt, 1);
    ck_assert_int_gt(failure->pid, 0);
    ck_assert(failure->maybe_executed);
    ck_assert_err(ptools_remotecall_fetch(pt, NULL, "math.square", args, NULL, 10000, NULL, NULL),
                  PTOOLS_ERR_BAD_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(ptools_error_message(pt), "argument 1"));
    ck_assert_err(ptools_remotecall_fetch(pt, NULL, "t.nothing_of_the_kind", NULL, NULL, 10000, NULL, NULL),
                  PTOOLS_ERR_NO_FUNCTION);
    failure = ptools_last_failure(pt);
    ck_assert(!failure->maybe_executed);
    ck_assert_ptr_nonnull(strstr(failure->message, "nothing_of_the_kind"));
    ck_assert_err(ptools_remotecall_fetch(pt, NULL, "no_such_module.f", NULL, NULL, 10000, NULL, NULL),
                  PTOOLS_ERR_NO_MODULE);
    ck_assert_err(ptools_remotecall_fetch(pt, NULL, "not a name", NULL, NULL, 10000, NULL, NULL), PTOOLS_ERR_INVALID);
    ck_assert_err(ptools_remotecall_fetch(pt, NULL, "../../etc/passwd.f", NULL, NULL, 10000, NULL, NULL),
                  PTOOLS_ERR_INVALID);
    down();
}
END_TEST

START_TEST(last_words_of_a_function_that_failed)
{
    const ptools_failure *failure;

    up(1);
    ck_assert_err(ptools_remotecall_fetch(pt, NULL, "t.tell", NULL, NULL, 10000, NULL, NULL),
                  PTOOLS_ERR_FAILED);
    failure = ptools_last_failure(pt);
    ck_assert_str_eq(failure->phase, "sorting");
    ck_assert_uint_eq(failure->progress, 7);
    ck_assert_uint_eq(failure->progress_of, 9);
    ck_assert_str_eq(failure->log, "opened 3 files\nthe third is odd\n");
    down();
}
END_TEST

START_TEST(cancel_waiting_and_running)
{
    PTOOLS_AUTO(ptools_future) running = NULL;
    PTOOLS_AUTO(ptools_future) waiting = NULL;

    up(1);
    ck_assert_ptools(ptools_remotecall(pt, NULL, "t.spin_polite", NULL, NULL, &running));
    ck_assert_ptools(ptools_remotecall(pt, NULL, "t.nop", NULL, NULL, &waiting));
    ck_assert_ptools(ptools_future_cancel(waiting));
    ck_assert_err(ptools_future_fetch(waiting, 10000, NULL), PTOOLS_ERR_CANCELLED);
    ck_assert(!ptools_future_failure(waiting)->maybe_executed);
    server_at_phase(pt, 1, "spinning politely");
    ck_assert_ptools(ptools_future_cancel(running));
    ck_assert_err(ptools_future_fetch(running, 10000, NULL), PTOOLS_ERR_CANCELLED);
    ck_assert(ptools_future_failure(running)->maybe_executed);
    ck_assert_ptools(ptools_future_cancel(running)); /* done: nothing to do */
    server_whole(pt, 1);
    down();
}
END_TEST

START_TEST(wait_any_gives_the_lowest_that_is_done)
{
    ptools_future *f[3] = { NULL };
    size_t index = 9;

    up(2);
    ck_assert_ptools(ptools_remotecall(pt, NULL, "t.spin_polite", NULL, NULL, &f[0]));
    ck_assert_ptools(ptools_remotecall(pt, NULL, "t.nop", NULL, NULL, &f[2]));
    ck_assert_ptools(ptools_wait_any(pt, f, 3, 10000, &index));
    ck_assert_uint_eq(index, 2);
    f[2] = ptools_future_free(f[2]);
    ck_assert_err(ptools_wait_any(pt, f, 3, 0, &index), PTOOLS_ERR_TIMEOUT);
    ck_assert_ptools(ptools_future_cancel(f[0]));
    ck_assert_ptools(ptools_wait_all(pt, f, 3, 10000));
    f[0] = ptools_future_free(f[0]);
    ck_assert_err(ptools_wait_any(pt, f, 3, 0, &index), PTOOLS_ERR_INVALID);
    down();
}
END_TEST

static void count_call(ptools_future *f, void *arg)
{
    ++*(int *)arg;
    ptools_future_free(f);
}

START_TEST(callbacks_come_from_dispatch_and_only_from_there)
{
    PTOOLS_AUTO(ptools_future) last = NULL;
    int called = 0;

    up(1);
    for (int i = 0; i < 10; i++) {
        ptools_future *f = NULL;

        ck_assert_ptools(ptools_remotecall(pt, NULL, "t.nop", NULL, NULL, &f));
        ck_assert_ptools(ptools_future_then(f, count_call, &called));
    }
    ck_assert_ptools(ptools_remotecall(pt, NULL, "t.nop", NULL, NULL, &last));
    ck_assert_ptools(ptools_future_wait(last, 10000));
    ck_assert_int_eq(called, 0);
    while (called < 10) {
        ptools_err err = ptools_dispatch(pt, 10000);

        ck_assert_msg(err == PTOOLS_OK, "dispatch gives %s after %d", ptools_errname(err), called);
    }
    ck_assert_err(ptools_dispatch(pt, 0), PTOOLS_ERR_AGAIN);
    down();
}
END_TEST

START_TEST(results_of_100_mib_arrive_whole)
{
    PTOOLS_AUTO(ptools_pack) args = ptools_pack_new();
    PTOOLS_AUTO(ptools_future) f = NULL;
    const size_t bytes = 100u << 20;
    const void *data;
    ptools_value v;
    size_t n = 0;

    up(2);
    ptools_pack_u64(args, bytes);
    ck_assert_ptools(ptools_remotecall_fetch(pt, NULL, "t.big", args, NULL, 60000, &f, &v));
    ck_assert_ptools(ptools_get_bytes(v, &data, &n));
    ck_assert_uint_eq(n, bytes);
    f = ptools_future_free(f);
    down();
}
END_TEST

START_TEST(too_large_both_ways_is_told)
{
    PTOOLS_AUTO(ptools_pack) args = ptools_pack_new();
    ptools_err err;

    server_start(&server, 1, (const char *const[]){ "-o", "limits.message_max=1M", "-o", "limits.large=0", NULL });
    pt = server_open(&server);
    ptools_pack_u64(args, 2u << 20);
    err = ptools_remotecall_fetch(pt, NULL, "t.big", args, NULL, 10000, NULL, NULL);
    ck_assert_err(err, PTOOLS_ERR_TOO_LARGE); /* the result */
    ptools_pack_reset(args);
    {
        void *data = calloc(1, 2u << 20);

        ptools_pack_bytes(args, data, 2u << 20);
        free(data);
    }
    err = ptools_remotecall_fetch(pt, NULL, "t.echo", args, NULL, 10000, NULL, NULL);
    ck_assert_err(err, PTOOLS_ERR_TOO_LARGE); /* the arguments */
    ck_assert_ptools(ptools_remotecall_fetch(pt, NULL, "t.nop", NULL, NULL, 10000, NULL, NULL));
    down();
}
END_TEST

START_TEST(a_client_that_leaves_takes_its_calls_with_it)
{
    PTOOLS_AUTO(ptools_future) f = NULL;
    PTOOLS_AUTO(ptools_future) w = NULL;
    ptools *other;

    up(1);
    other = server_open(&server);
    ck_assert_ptools(ptools_remotecall(other, NULL, "t.spin", NULL, NULL, &f));
    ck_assert_ptools(ptools_remotecall(other, NULL, "t.spin", NULL, NULL, &w));
    ck_assert_err(ptools_future_wait(f, 50), PTOOLS_ERR_TIMEOUT);
    ptools_close(other);
    ck_assert_err(ptools_future_fetch(f, 0, NULL), PTOOLS_ERR_CLOSED);
    ck_assert_ptools(ptools_remotecall_fetch(pt, NULL, "t.nop", NULL, NULL, 10000, NULL, NULL));
    down();
}
END_TEST

START_TEST(a_handle_does_not_survive_fork)
{
    int status = -1;
    pid_t child;

    up(1);
    child = fork();
    if (child == 0) {
        ptools_err err = ptools_remotecall_fetch(pt, NULL, "t.nop", NULL, NULL, 1000, NULL, NULL);

        ptools_close(pt);
        _exit(err == PTOOLS_ERR_FORKED ? 0 : 1);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    ck_assert_ptools(ptools_remotecall_fetch(pt, NULL, "t.nop", NULL, NULL, 10000, NULL, NULL));
    down();
}
END_TEST

START_TEST(inspect_shows_what_is_there)
{
    static const char *const whats[] = { "status", "workers", "sets", "modules" };
    ptools_value v;

    up(1);
    call_id(NULL);
    for (size_t i = 0; i < 4; i++) {
        PTOOLS_AUTO(ptools_future) f = NULL;

        ck_assert_ptools(ptools_inspect(pt, whats[i], &f, &v));
        ck_assert_int_eq(ptools_value_kind(v), i == 0 ? PTOOLS_MAP : PTOOLS_LIST);
    }
    {
        PTOOLS_AUTO(ptools_future) f = NULL;
        uint64_t done = 0;
        ptools_value tasks, n;

        ck_assert_ptools(ptools_inspect(pt, "status", &f, &v));
        ck_assert_ptools(ptools_get_field(v, "tasks", &tasks));
        ck_assert_ptools(ptools_get_field(tasks, "done", &n));
        ck_assert_ptools(ptools_get_u64(n, &done));
        ck_assert_uint_eq(done, 1);
        f = ptools_future_free(f);
        ck_assert_err(ptools_inspect(pt, "the weather", &f, &v), PTOOLS_ERR_BAD_REQUEST);
    }
    down();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("calls");
    TCase *tc = suite_case(suite, "calls");

    tcase_add_test(tc, fetch_returns_the_value);
    tcase_add_test(tc, values_of_every_kind_come_back_as_they_went);
    tcase_add_test(tc, wait_leaves_the_value_fetchable);
    tcase_add_test(tc, wait_times_out_and_the_task_goes_on);
    tcase_add_test(tc, remote_do_outlives_its_client);
    tcase_add_test(tc, errors_are_typed_and_tell_the_facts);
    tcase_add_test(tc, last_words_of_a_function_that_failed);
    tcase_add_test(tc, cancel_waiting_and_running);
    tcase_add_test(tc, wait_any_gives_the_lowest_that_is_done);
    tcase_add_test(tc, callbacks_come_from_dispatch_and_only_from_there);
    tcase_add_test(tc, results_of_100_mib_arrive_whole);
    tcase_add_test(tc, too_large_both_ways_is_told);
    tcase_add_test(tc, a_client_that_leaves_takes_its_calls_with_it);
    tcase_add_test(tc, a_handle_does_not_survive_fork);
    tcase_add_test(tc, inspect_shows_what_is_there);
    tc = suite_case(suite, "sets");
    tcase_add_test(tc, round_robin_deals_2_3_4_2);
    tcase_add_test(tc, round_robin_does_not_look_who_is_busy);
    tcase_add_test(tc, first_free_with_eight_sleepers_on_four_workers);
    tcase_add_test(tc, named_sets_are_shared_changed_and_destroyed);
    tcase_add_test(tc, a_call_can_ask_for_one_worker);
    tcase_add_test(tc, workers_are_listed_added_and_removed);
    return suite_run(suite);
}
