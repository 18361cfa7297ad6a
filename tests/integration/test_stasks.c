/* SPDX-License-Identifier: MIT */
/*
 * Server tasks against a real daemon: contract.md, section 4, and what their deaths look like.
 */
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/integration/server.h"
#include "tests/support/suite.h"

enum { WAIT_MS = 20000 };

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

static ptools_stasks *start(uint32_t n)
{
    ptools_stasks_options options = PTOOLS_STASKS_OPTIONS_INIT;
    ptools_stasks *h = NULL;
    ptools_err err;

    options.count = n;
    err = ptools_start_stasks(pt, NULL, 0, NULL, &options, &h);
    ck_assert_msg(err == PTOOLS_OK, "%s", ptools_error_message(pt));
    return h;
}

static int64_t value_of(ptools_outcomes *o, uint32_t i)
{
    ptools_value v;
    int64_t n = -1;

    ck_assert_ptools(ptools_future_fetch(ptools_outcomes_future(o, i), 0, &v));
    ck_assert_ptools(ptools_get_i64(v, &n));
    return n;
}

/* Each runs a.add of its number; the sums are kept from call to call. */
static void add_all(ptools_stasks *h, const int64_t *n, const int64_t *expected)
{
    PTOOLS_AUTO(ptools_pack) list = ptools_pack_new();
    PTOOLS_AUTO(ptools_outcomes) o = NULL;
    const ptools_pack *lists[] = { list };

    for (uint32_t i = 0; i < ptools_count_stasks(h); i++)
        ptools_pack_i64(list, n[i]);
    ck_assert_ptools(ptools_pmap_stasks(h, "a.add", lists, 1, WAIT_MS, &o));
    for (uint32_t i = 0; i < ptools_count_stasks(h); i++)
        ck_assert_int_eq(value_of(o, i), expected[i]);
}

START_TEST(one_for_each_worker_by_default)
{
    PTOOLS_AUTO(ptools_outcomes) o = NULL;
    ptools_stasks *h;

    up(3);
    h = start(0);
    ck_assert_uint_eq(ptools_count_stasks(h), 3);
    ck_assert_ptools(ptools_pmap_stasks(h, "a.index", NULL, 0, WAIT_MS, &o));
    for (uint32_t i = 0; i < 3; i++) {
        ptools_value list, v;
        uint64_t n;

        ck_assert_ptools(ptools_future_fetch(ptools_outcomes_future(o, i), 0, &list));
        ck_assert_ptools(ptools_get_item(list, 0, &v));
        ck_assert_ptools(ptools_get_u64(v, &n));
        ck_assert_uint_eq(n, i);
        ck_assert_ptools(ptools_get_item(list, 1, &v));
        ck_assert_ptools(ptools_get_u64(v, &n));
        ck_assert_uint_eq(n, 3);
    }
    ck_assert_ptr_null(ptools_outcomes_future(o, 3));
    ck_assert_ptools(ptools_stop_stasks(h, WAIT_MS));
    ptools_stasks_free(h);
    down();
}
END_TEST

START_TEST(state_is_kept_and_each_has_its_own)
{
    ptools_stasks *h;

    up(1);
    h = start(3);
    add_all(h, (const int64_t[]){ 1, 20, 300 }, (const int64_t[]){ 1, 20, 300 });
    add_all(h, (const int64_t[]){ 1, 1, 1 }, (const int64_t[]){ 2, 21, 301 });
    ptools_stasks_free(h);
    h = start(3); /* new ones have nothing of the old */
    add_all(h, (const int64_t[]){ 5, 5, 5 }, (const int64_t[]){ 5, 5, 5 });
    ptools_stasks_free(h);
    down();
}
END_TEST

START_TEST(the_example_of_the_original)
{
    const ptools_shmcfg cfgs[] = { PTOOLS_SHMCFG("svar1", PTOOLS_INT32, 64, 1024),
                                   PTOOLS_SHMCFG("svar2", PTOOLS_UINT8, 100, 100) };
    PTOOLS_AUTO(ptools_pack) list = ptools_pack_new();
    PTOOLS_AUTO(ptools_outcomes) o = NULL;
    const ptools_pack *lists[] = { list };
    ptools_stasks *h = NULL;
    const int32_t *at;
    int wrong = 0;

    up(4);
    ck_assert_ptools(ptools_start_stasks(pt, cfgs, 2, "run1", NULL, &h));
    ck_assert_ptr_nonnull(ptools_stasks_array(h, "svar2"));
    ck_assert_ptr_null(ptools_stasks_array(h, "svar3"));
    for (int i = 0; i < 4; i++)
        ptools_pack_str(list, "svar1");
    ck_assert_ptools(ptools_pmap_stasks(h, "a.stamp", lists, 1, WAIT_MS, &o));
    at = ptools_array_data(ptools_stasks_array(h, "svar1"));
    for (int i = 0; i < 65536; i++)
        wrong += at[i] != i % 4 + 1;
    ck_assert_int_eq(wrong, 0);
    ck_assert_ptools(ptools_stop_stasks(h, WAIT_MS));
    ck_assert_ptools(ptools_stop_stasks(h, WAIT_MS));
    ck_assert_int_eq(at[0], 1); /* what is mapped stays usable */
    ck_assert_err(ptools_pmap_stasks(h, "a.nop", NULL, 0, WAIT_MS, NULL), PTOOLS_ERR_NO_STASKS);
    ptools_stasks_free(h);
    down();
}
END_TEST

START_TEST(a_list_of_another_length_is_refused_before_anything_runs)
{
    PTOOLS_AUTO(ptools_pack) three = ptools_pack_new();
    PTOOLS_AUTO(ptools_pack) two = ptools_pack_new();
    const ptools_pack *lists[] = { three, two };
    ptools_outcomes *o = NULL;
    ptools_stasks *h;

    up(1);
    h = start(3);
    for (int i = 0; i < 3; i++)
        ptools_pack_i64(three, 1);
    ptools_pack_i64(two, 1);
    ptools_pack_i64(two, 1);
    ck_assert_err(ptools_pmap_stasks(h, "a.add", lists, 2, WAIT_MS, &o), PTOOLS_ERR_INVALID);
    ck_assert_ptr_null(o);
    ck_assert_str_eq(ptools_error_message(pt), "list 2 has 2 elements, there are 3 server tasks");
    add_all(h, (const int64_t[]){ 0, 0, 0 }, (const int64_t[]){ 0, 0, 0 });
    ptools_stasks_free(h);
    down();
}
END_TEST

START_TEST(failures_hide_nothing)
{
    PTOOLS_AUTO(ptools_outcomes) o = NULL;
    const ptools_failure *failure;
    ptools_value v;
    ptools_stasks *h;

    up(1);
    h = start(4);
    ck_assert_err(ptools_pmap_stasks(h, "a.odd", NULL, 0, WAIT_MS, &o), PTOOLS_ERR_FAILED);
    ck_assert_str_eq(ptools_error_message(pt), "2 of 4 server tasks failed, the first is 1: I am odd");
    ck_assert_ptr_nonnull(o);
    for (uint32_t i = 0; i < 4; i++) {
        ptools_future *f = ptools_outcomes_future(o, i);

        failure = ptools_future_failure(f);
        ck_assert_int_eq(failure != NULL, i % 2);
        if (failure)
            ck_assert_str_eq(failure->message, "I am odd");
        else
            ck_assert_ptools(ptools_future_fetch(f, 0, &v));
    }
    ptools_stasks_free(h);
    down();
}
END_TEST

START_TEST(a_death_is_told_by_the_call_and_by_every_later_one)
{
    PTOOLS_AUTO(ptools_pack) kill = ptools_pack_new();
    PTOOLS_AUTO(ptools_future) f = NULL;
    PTOOLS_AUTO(ptools_future) behind = NULL;
    PTOOLS_AUTO(ptools_future) later = NULL;
    PTOOLS_AUTO(ptools_outcomes) o = NULL;
    const ptools_failure *failure;
    ptools_stasks *h;

    up(1);
    h = start(3);
    add_all(h, (const int64_t[]){ 1, 2, 3 }, (const int64_t[]){ 1, 2, 3 });
    ptools_pack_i64(kill, SIGSEGV);
    ck_assert_ptools(ptools_stask_call(h, 1, "a.dies", kill, &f));
    ck_assert_ptools(ptools_stask_call(h, 1, "a.nop", NULL, &behind));
    ck_assert_err(ptools_future_fetch(f, WAIT_MS, NULL), PTOOLS_ERR_WORKER_DIED);
    failure = ptools_future_failure(f);
    ck_assert_int_eq(failure->signal, SIGSEGV);
    ck_assert(failure->maybe_executed);
    ck_assert_str_eq(failure->phase, "dying");
    ck_assert_str_eq(failure->log, "about to die\n");
    ck_assert_msg(strstr(failure->backtrace, "dies") != NULL, "%s", failure->backtrace);
    ck_assert_err(ptools_future_fetch(behind, WAIT_MS, NULL), PTOOLS_ERR_STATE_LOST);
    ck_assert(!ptools_future_failure(behind)->maybe_executed);
    ck_assert_ptools(ptools_stask_call(h, 1, "a.nop", NULL, &later));
    ck_assert_err(ptools_future_fetch(later, WAIT_MS, NULL), PTOOLS_ERR_STATE_LOST);
    ck_assert_msg(strstr(ptools_error_message(pt), "signal 11"), "%s", ptools_error_message(pt));
    ck_assert_int_eq(ptools_stasks_pid(h, 1), 0);

    ck_assert_err(ptools_pmap_stasks(h, "a.pid", NULL, 0, WAIT_MS, &o), PTOOLS_ERR_STATE_LOST);
    ck_assert_int_eq(value_of(o, 0), ptools_stasks_pid(h, 0));

    ck_assert_ptools(ptools_restart_stasks(h, NULL, NULL));
    add_all(h, (const int64_t[]){ 0, 0, 0 }, (const int64_t[]){ 1, 0, 3 });
    ptools_stasks_free(h);
    down();
}
END_TEST

/* Nobody was at it when it was killed: the next call is the first to know. */
START_TEST(one_that_is_killed_while_it_rests_has_lost_its_state)
{
    PTOOLS_AUTO(ptools_pack) ten = ptools_pack_new();
    PTOOLS_AUTO(ptools_future) f = NULL;
    ptools_stasks *h;

    up(1);
    h = start(2);
    ck_assert_int_eq(kill(ptools_stasks_pid(h, 0), SIGKILL), 0);
    ck_assert_ptools(ptools_stask_call(h, 0, "a.nop", NULL, &f));
    ck_assert_err(ptools_future_fetch(f, WAIT_MS, NULL), PTOOLS_ERR_STATE_LOST);
    ptools_pack_i64(ten, 10);
    ck_assert_ptools(ptools_restart_stasks(h, "a.add", ten)); /* init runs in the new one alone */
    add_all(h, (const int64_t[]){ 0, 0 }, (const int64_t[]){ 10, 0 });
    ptools_stasks_free(h);
    down();
}
END_TEST

/* What another has started anew is at work for that one: nobody initialises it again. */
START_TEST(two_who_restart_initialise_once)
{
    ptools_stasks_options options = PTOOLS_STASKS_OPTIONS_INIT;
    PTOOLS_AUTO(ptools_pack) ten = ptools_pack_new();
    PTOOLS_AUTO(ptools_future) f = NULL;
    ptools_stasks *h, *other;

    up(1);
    options.count = 2;
    options.name = "crew";
    ck_assert_ptools(ptools_start_stasks(pt, NULL, 0, NULL, &options, &h));
    ck_assert_ptools(ptools_attach_stasks(pt, "crew", &other));
    ck_assert_int_eq(kill(ptools_stasks_pid(h, 0), SIGKILL), 0);
    ck_assert_ptools(ptools_stask_call(h, 0, "a.nop", NULL, &f));
    ck_assert_err(ptools_future_fetch(f, WAIT_MS, NULL), PTOOLS_ERR_STATE_LOST);
    ptools_pack_i64(ten, 10);
    ck_assert_ptools(ptools_restart_stasks(h, "a.add", ten));
    ck_assert_ptools(ptools_restart_stasks(other, "a.add", ten)); /* its lane leads to the dead one: a new one for it */
    add_all(other, (const int64_t[]){ 0, 0 }, (const int64_t[]){ 10, 0 });
    ptools_stasks_free(other);
    ck_assert_ptools(ptools_stop_stasks(h, WAIT_MS));
    ptools_stasks_free(h);
    down();
}
END_TEST

START_TEST(stopping_runs_destructors_and_waits)
{
    PTOOLS_AUTO(ptools_pack) paths = ptools_pack_new();
    PTOOLS_AUTO(ptools_outcomes) o = NULL;
    const ptools_pack *lists[] = { paths };
    char dir[64], path[128];
    ptools_stasks *h;
    struct stat st;
    char *text;

    temp_dir(dir, sizeof dir);
    snprintf(path, sizeof path, "%s/kept", dir);
    up(1);
    h = start(2);
    ptools_pack_str(paths, path);
    ptools_pack_str(paths, path);
    ck_assert_ptools(ptools_pmap_stasks(h, "a.keep", lists, 1, WAIT_MS, &o));
    ck_assert_int_eq(stat(path, &st), -1);
    ck_assert_ptools(ptools_stop_stasks(h, PTOOLS_FOREVER));
    text = slurp(path);
    ck_assert_str_eq(text, "destroyed\ndestroyed\n");
    free(text);
    ptools_stasks_free(h);
    down();
    temp_remove(dir);
}
END_TEST

START_TEST(stopping_kills_those_that_do_not_end)
{
    PTOOLS_AUTO(ptools_future) f = NULL;
    ptools_stasks *h;

    up(1);
    h = start(2);
    ck_assert_ptools(ptools_stask_call(h, 0, "a.hang", NULL, &f));
    ck_assert_err(ptools_future_wait(f, 0), PTOOLS_ERR_TIMEOUT);
    ck_assert_ptools(ptools_stop_stasks(h, 200));
    ck_assert_ptools(ptools_future_wait(f, WAIT_MS));
    ck_assert_ptr_nonnull(ptools_future_failure(f));
    ptools_stasks_free(h);
    down();
}
END_TEST

START_TEST(a_call_can_be_cancelled)
{
    PTOOLS_AUTO(ptools_future) spin = NULL;
    PTOOLS_AUTO(ptools_future) hang = NULL;
    ptools_stasks *h;

    up(1);
    h = start(2);
    ck_assert_ptools(ptools_stask_call(h, 0, "a.spin", NULL, &spin));
    ck_assert_ptools(ptools_stask_call(h, 1, "a.hang", NULL, &hang));
    server_stask_at_phase(pt, 0, "spinning");
    server_stask_at_phase(pt, 1, "hanging");
    ck_assert_ptools(ptools_future_cancel(spin));
    ck_assert_ptools(ptools_future_cancel(hang));
    ck_assert_err(ptools_future_fetch(spin, WAIT_MS, NULL), PTOOLS_ERR_CANCELLED);
    ck_assert_err(ptools_future_fetch(hang, WAIT_MS, NULL), PTOOLS_ERR_WORKER_DIED); /* it did not listen */
    ptools_stasks_free(h);
    down();
}
END_TEST

/* false: the others were not done within the time. */
static bool others_are_done(uint32_t busy, int64_t within_ms)
{
    PTOOLS_AUTO(ptools_pack) list = ptools_pack_new();
    PTOOLS_AUTO(ptools_outcomes) o = NULL;
    PTOOLS_AUTO(ptools_future) spin = NULL;
    const ptools_pack *lists[] = { list };
    ptools_stasks *h;
    bool done = true;

    up(1);
    h = start(3);
    for (int i = 0; i < 3; i++)
        ptools_pack_i64(list, i);
    ck_assert_ptools(ptools_stask_call(h, busy, "a.spin", NULL, &spin));
    ck_assert_err(ptools_pmap_stasks(h, "a.add", lists, 1, within_ms, &o), PTOOLS_ERR_TIMEOUT);
    ck_assert(!ptools_future_done(ptools_outcomes_future(o, busy)));
    for (uint32_t i = 0; i < 3; i++)
        done &= i == busy || ptools_future_done(ptools_outcomes_future(o, i));
    ck_assert_ptools(ptools_future_cancel(spin));
    ck_assert_ptools(ptools_outcomes_wait(o, WAIT_MS)); /* the missing one comes later */
    ck_assert_int_eq(value_of(o, busy), busy);
    o = ptools_outcomes_free(o);
    spin = ptools_future_free(spin);
    ptools_stasks_free(h);
    down();
    return done;
}

START_TEST(whoever_is_done_when_the_time_is_over_has_answered)
{
    for (uint32_t busy = 0; busy < 3; busy++)
        for (int64_t ms = 200; !others_are_done(busy, ms); ms *= 2) /* a machine that is busy gets more time */
            ck_assert_int_lt(ms, WAIT_MS);
}
END_TEST

/* The calls of one server task, two of them running in vain one after the other, the others not begun. */
START_TEST(calls_that_wait_can_be_cancelled)
{
    enum { CALLS = 200 };
    ptools_future *f[CALLS] = { NULL };
    PTOOLS_AUTO(ptools_future) hang = NULL;
    ptools_stasks *h;
    ptools_value v;
    int64_t sum;

    up(1);
    h = start(1);
    ck_assert_ptools(ptools_stask_call(h, 0, "a.spin", NULL, &hang));
    for (int i = 0; i < CALLS; i++) {
        PTOOLS_AUTO(ptools_pack) one = ptools_pack_new();

        ptools_pack_i64(one, 1);
        ck_assert_ptools(ptools_stask_call(h, 0, i == 0 ? "a.spin" : "a.add", i == 0 ? NULL : one, &f[i]));
    }
    ck_assert_err(ptools_future_wait(hang, 100), PTOOLS_ERR_TIMEOUT);
    for (int i = 2; i < CALLS; i++)
        ck_assert_ptools(ptools_future_cancel(f[i]));
    ck_assert_ptools(ptools_future_cancel(hang)); /* the last of them, and it runs */
    ck_assert_err(ptools_future_fetch(hang, WAIT_MS, NULL), PTOOLS_ERR_CANCELLED);
    ck_assert_err(ptools_future_wait(f[0], 100), PTOOLS_ERR_TIMEOUT);
    ck_assert_ptools(ptools_future_cancel(f[0]));
    ck_assert_err(ptools_future_fetch(f[0], WAIT_MS, NULL), PTOOLS_ERR_CANCELLED);
    ck_assert_ptools(ptools_future_fetch(f[1], WAIT_MS, &v));
    ck_assert_ptools(ptools_get_i64(v, &sum));
    ck_assert_int_eq(sum, 1);
    for (int i = 2; i < CALLS; i++)
        ck_assert_err(ptools_future_fetch(f[i], WAIT_MS, NULL), PTOOLS_ERR_CANCELLED);
    for (int i = 0; i < CALLS; i++)
        ptools_future_free(f[i]);
    ptools_stasks_free(h);
    down();
}
END_TEST

START_TEST(named_ones_stay_for_others)
{
    const ptools_shmcfg cfg = PTOOLS_SHMCFG("data", PTOOLS_INT32, 8);
    ptools_stasks_options options = PTOOLS_STASKS_OPTIONS_INIT;
    ptools_stasks *h = NULL, *again = NULL;

    up(1);
    options.count = 2;
    options.name = "crew";
    ck_assert_ptools(ptools_start_stasks(pt, &cfg, 1, NULL, &options, &h));
    ck_assert_err(ptools_start_stasks(pt, NULL, 0, NULL, &options, &again), PTOOLS_ERR_EXISTS);
    ((int32_t *)ptools_array_data(ptools_stasks_array(h, "data")))[7] = 77;
    add_all(h, (const int64_t[]){ 4, 5 }, (const int64_t[]){ 4, 5 });
    ptools_stasks_free(h);
    ptools_close(pt); /* whoever started them is gone */

    pt = server_open(&server);
    ck_assert_err(ptools_attach_stasks(pt, "crews", &again), PTOOLS_ERR_NO_STASKS);
    ck_assert_ptools(ptools_attach_stasks(pt, "crew", &again));
    ck_assert_uint_eq(ptools_count_stasks(again), 2);
    ck_assert_int_eq(((int32_t *)ptools_array_data(ptools_stasks_array(again, "data")))[7], 77);
    add_all(again, (const int64_t[]){ 1, 1 }, (const int64_t[]){ 5, 6 });
    ck_assert_ptools(ptools_stop_stasks(again, WAIT_MS));
    ptools_stasks_free(again);
    down();
}
END_TEST

/* Two clients on one handle: requests of each are served in order, and none is lost. */
START_TEST(two_clients_on_one_handle)
{
    ptools_stasks_options options = PTOOLS_STASKS_OPTIONS_INIT;
    PTOOLS_AUTO(ptools_pack) one = ptools_pack_new();
    ptools_future *mine[50], *theirs[50];
    ptools_stasks *h = NULL, *second = NULL;
    int64_t last = 0;
    ptools *other;

    up(1);
    other = server_open(&server);
    options.count = 1;
    options.name = "one";
    ptools_pack_i64(one, 1);
    ck_assert_ptools(ptools_start_stasks(pt, NULL, 0, NULL, &options, &h));
    ck_assert_ptools(ptools_attach_stasks(other, "one", &second));
    for (int i = 0; i < 50; i++) {
        ck_assert_ptools(ptools_stask_call(h, 0, "a.add", one, &mine[i]));
        ck_assert_ptools(ptools_stask_call(second, 0, "a.add", one, &theirs[i]));
    }
    for (int k = 0; k < 2; k++) {
        last = 0;
        for (int i = 0; i < 50; i++) {
            ptools_value v;
            int64_t n;

            ck_assert_ptools(ptools_future_fetch(k ? theirs[i] : mine[i], WAIT_MS, &v));
            ck_assert_ptools(ptools_get_i64(v, &n));
            ck_assert_int_gt(n, last);
            last = n;
            ptools_future_free(k ? theirs[i] : mine[i]);
        }
    }
    add_all(h, (const int64_t[]){ 0 }, (const int64_t[]){ 100 });
    ptools_stasks_free(second);
    ck_assert_ptools(ptools_stop_stasks(h, WAIT_MS));
    ptools_stasks_free(h);
    ptools_close(other);
    down();
}
END_TEST

static unsigned called;

static void on_done(ptools_future *f, void *arg)
{
    (void)f;
    called += *(unsigned *)arg;
}

START_TEST(asynchronous_calls_in_an_event_loop)
{
    PTOOLS_AUTO(ptools_outcomes) o = NULL;
    PTOOLS_AUTO(ptools_future) plain = NULL;
    unsigned one = 1;
    ptools_stasks *h;

    up(1);
    h = start(3);
    ck_assert_ptools(ptools_pmap_stasks_start(h, "a.pid", NULL, 0, &o));
    ck_assert_ptools(ptools_remotecall(pt, NULL, "t.id", NULL, NULL, &plain));
    for (uint32_t i = 0; i < 3; i++)
        ck_assert_ptools(ptools_future_then(ptools_outcomes_future(o, i), on_done, &one));
    ck_assert_ptools(ptools_future_then(plain, on_done, &one));
    while (called < 4) {
        struct pollfd p = { .fd = ptools_fd(pt), .events = ptools_events(pt) };

        ck_assert_int_ge(p.fd, 0);
        ck_assert_int_gt(poll(&p, 1, WAIT_MS), 0);
        while (ptools_dispatch(pt, 0) == PTOOLS_OK)
            ;
    }
    ck_assert_ptools(ptools_outcomes_wait(o, 0));
    ptools_stasks_free(h);
    down();
}
END_TEST

START_TEST(wait_any_takes_both_kinds)
{
    PTOOLS_AUTO(ptools_future) hang = NULL;
    PTOOLS_AUTO(ptools_future) call = NULL;
    ptools_future *both[2];
    ptools_stasks *h;
    size_t which = 9;

    up(1);
    h = start(1);
    ck_assert_ptools(ptools_stask_call(h, 0, "a.hang", NULL, &hang));
    ck_assert_ptools(ptools_remotecall(pt, NULL, "t.id", NULL, NULL, &call));
    both[0] = hang;
    both[1] = call;
    ck_assert_ptools(ptools_wait_any(pt, both, 2, WAIT_MS, &which));
    ck_assert_uint_eq(which, 1);
    ptools_stop_stasks(h, 1);
    ptools_stasks_free(h);
    down();
}
END_TEST

START_TEST(large_arguments_and_values_on_lanes)
{
    PTOOLS_AUTO(ptools_pack) args = ptools_pack_new();
    PTOOLS_AUTO(ptools_pack) size = ptools_pack_new();
    enum { BYTES = 6000000 };
    uint8_t *data = malloc(BYTES);
    ptools_stasks *h;

    up(1);
    h = start(1);
    for (int i = 0; i < BYTES; i++)
        data[i] = (uint8_t)(i % 251);
    ptools_pack_bytes(args, data, BYTES);
    ptools_pack_i64(size, BYTES);
    for (int round = 0; round < 4; round++) {
        PTOOLS_AUTO(ptools_future) f = NULL;
        const void *back;
        ptools_value v;
        size_t n;

        ck_assert_ptools(ptools_stask_call(h, 0, round % 2 ? "a.bytes" : "a.echo", round % 2 ? size : args, &f));
        ck_assert_ptools(ptools_future_fetch(f, WAIT_MS, &v));
        ck_assert_ptools(ptools_get_bytes(v, &back, &n));
        ck_assert_uint_eq(n, BYTES);
        ck_assert_int_eq(memcmp(back, data, BYTES), 0);
    }
    free(data);
    ptools_stasks_free(h);
    down();
}
END_TEST

/* What a client leaves behind when it is killed goes with it. */
START_TEST(they_end_with_their_client)
{
    const ptools_shmcfg cfg = PTOOLS_SHMCFG("mine", PTOOLS_FLOAT64, 1000);
    ptools_stasks_options options = PTOOLS_STASKS_OPTIONS_INIT;
    uint64_t until;
    uint32_t n = 9;
    int ready[2];
    char byte;
    pid_t pid;

    up(1);
    ck_assert_int_eq(pipe(ready), 0);
    pid = fork();
    if (pid == 0) {
        ptools *own = server_open(&server);
        ptools_stasks *h = NULL;
        ptools_future *hang = NULL;

        options.count = 2;
        if (ptools_start_stasks(own, &cfg, 1, NULL, &options, &h) == PTOOLS_OK &&
            ptools_stask_call(h, 0, "a.hang", NULL, &hang) == PTOOLS_OK && write(ready[1], "x", 1) == 1)
            pause();
        _exit(1);
    }
    close(ready[1]);
    ck_assert_int_eq(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    until = now_ms() + WAIT_MS;
    for (const char *what = "stasks"; n > 0 || strcmp(what, "stasks") == 0;) {
        PTOOLS_AUTO(ptools_future) look = NULL;
        ptools_value v;

        ck_assert_msg(now_ms() < until, "%s are left", what);
        ck_assert_ptools(ptools_inspect(pt, what, &look, &v));
        ck_assert_ptools(ptools_get_count(v, &n));
        if (n == 0 && strcmp(what, "stasks") == 0) {
            what = "arrays";
            n = 1;
        }
    }
    down();
}
END_TEST

START_TEST(wrong_calls_are_told)
{
    ptools_stasks_options options = PTOOLS_STASKS_OPTIONS_INIT;
    PTOOLS_AUTO(ptools_future) f = NULL;
    ptools_shmcfg twice[] = { PTOOLS_SHMCFG("x", PTOOLS_INT8, 1), PTOOLS_SHMCFG("x", PTOOLS_INT8, 1) };
    ptools_stasks *h = NULL, *none = NULL;
    ptools_value v;
    uint32_t n;

    up(1);
    h = start(2);
    ck_assert_err(ptools_stask_call(h, 2, "a.nop", NULL, &f), PTOOLS_ERR_RANGE);
    ck_assert_str_eq(ptools_error_message(pt), "there are 2 server tasks, the last is 1, not 2");
    ck_assert_err(ptools_stask_call(h, 0, "nop", NULL, &f), PTOOLS_ERR_INVALID);
    ck_assert_ptools(ptools_stask_call(h, 0, "a.none", NULL, &f));
    ck_assert_err(ptools_future_fetch(f, WAIT_MS, NULL), PTOOLS_ERR_NO_FUNCTION);
    options.count = 2000;
    ck_assert_err(ptools_start_stasks(pt, NULL, 0, NULL, &options, &none), PTOOLS_ERR_INVALID);
    options.count = 300;
    ck_assert_err(ptools_start_stasks(pt, NULL, 0, NULL, &options, &none), PTOOLS_ERR_LIMIT);
    ck_assert_msg(strstr(ptools_error_message(pt), "user_stasks_max: 2 of 256 in use, 300 more"), "%s",
                  ptools_error_message(pt));
    ck_assert_err(ptools_start_stasks(pt, twice, 2, NULL, NULL, &none), PTOOLS_ERR_INVALID);
    ck_assert_err(ptools_start_stasks(pt, twice, 1, "a/b", NULL, &none), PTOOLS_ERR_INVALID);
    ck_assert_ptr_null(none);
    {
        PTOOLS_AUTO(ptools_future) look = NULL;

        ck_assert_ptools(ptools_inspect(pt, "arrays", &look, &v));
        ck_assert_ptools(ptools_get_count(v, &n));
        ck_assert_uint_eq(n, 0); /* of what failed nothing is left */
    }
    ptools_stasks_free(h);
    down();
}
END_TEST

/* Lanes that nobody takes fill the socket to the process: its own question is answered nevertheless. */
START_TEST(a_question_is_answered_behind_many_lanes)
{
    const ptools_shmcfg gate_cfg = PTOOLS_SHMCFG("gate", PTOOLS_INT32, 2), cfg = PTOOLS_SHMCFG("late", PTOOLS_INT32, 1);
    PTOOLS_AUTO(ptools_pack) args = ptools_pack_new();
    ptools_stasks_options options = PTOOLS_STASKS_OPTIONS_INIT;
    PTOOLS_AUTO(ptools_future) f = NULL;
    ptools_array *gate, *late;
    ptools_stasks *h, *again;
    ptools_value v;
    int64_t n = 0;
    ptools_err err;

    up(1);
    options.count = 1;
    options.name = "crew";
    ck_assert_ptools(ptools_start_stasks(pt, NULL, 0, NULL, &options, &h));
    ck_assert_ptools(ptools_shm_create(pt, &gate_cfg, NULL, &gate));
    ck_assert_ptools(ptools_shm_create(pt, &cfg, NULL, &late));
    *(int32_t *)ptools_array_data(late) = 77;
    ptools_pack_str(args, "gate");
    ptools_pack_str(args, "late");
    ck_assert_ptools(ptools_stask_call(h, 0, "a.peek_after", args, &f));
    for (uint64_t until = now_ms() + WAIT_MS; !((volatile int32_t *)ptools_array_data(gate))[0];)
        ck_assert_uint_lt(now_ms(), until);
    for (; (err = ptools_attach_stasks(pt, "crew", &again)) == PTOOLS_OK; n++)
        ptools_stasks_free(again);
    ck_assert_err(err, PTOOLS_ERR_LIMIT);
    ck_assert_int_gt(n, 10);
    ((volatile int32_t *)ptools_array_data(gate))[1] = 1;
    ck_assert_ptools(ptools_future_fetch(f, WAIT_MS, &v));
    ck_assert_ptools(ptools_get_i64(v, &n));
    ck_assert_int_eq(n, 77);
    ptools_array_free(gate);
    ptools_array_free(late);
    ck_assert_ptools(ptools_stop_stasks(h, WAIT_MS));
    ptools_stasks_free(h);
    down();
}
END_TEST

/* Calls go past the daemon: what it has acknowledged must be true there by then. */
START_TEST(an_array_whose_unlink_was_answered_is_not_found)
{
    const ptools_shmcfg cfg = PTOOLS_SHMCFG("brief", PTOOLS_INT32, 4);
    PTOOLS_AUTO(ptools_pack) args = ptools_pack_new();
    const char *names[] = { "brief" };
    ptools_stasks *h;

    up(1);
    h = start(1);
    ptools_pack_str(args, "");
    ptools_pack_str(args, "brief");
    for (int i = 0; i < 500; i++) {
        ptools_future *before = NULL, *after = NULL;
        ptools_array *a;

        ck_assert_ptools(ptools_shm_create(pt, &cfg, NULL, &a));
        ck_assert_ptools(ptools_stask_call(h, 0, "a.peek", args, &before));
        ck_assert_ptools(ptools_future_fetch(before, WAIT_MS, NULL));
        ck_assert_ptools(ptools_unlink_shm_names(pt, names, 1, NULL));
        ck_assert_ptools(ptools_stask_call(h, 0, "a.peek", args, &after));
        ck_assert_err(ptools_future_fetch(after, WAIT_MS, NULL), PTOOLS_ERR_NO_ARRAY);
        ptools_future_free(before);
        ptools_future_free(after);
        ptools_array_free(a);
    }
    ptools_stasks_free(h);
    down();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("stasks");
    TCase *tc = suite_case(suite, "stasks");

    tcase_add_test(tc, one_for_each_worker_by_default);
    tcase_add_test(tc, state_is_kept_and_each_has_its_own);
    tcase_add_test(tc, the_example_of_the_original);
    tcase_add_test(tc, a_list_of_another_length_is_refused_before_anything_runs);
    tcase_add_test(tc, failures_hide_nothing);
    tcase_add_test(tc, a_death_is_told_by_the_call_and_by_every_later_one);
    tcase_add_test(tc, one_that_is_killed_while_it_rests_has_lost_its_state);
    tcase_add_test(tc, two_who_restart_initialise_once);
    tcase_add_test(tc, stopping_runs_destructors_and_waits);
    tcase_add_test(tc, stopping_kills_those_that_do_not_end);
    tcase_add_test(tc, whoever_is_done_when_the_time_is_over_has_answered);
    tcase_add_test(tc, a_call_can_be_cancelled);
    tcase_add_test(tc, calls_that_wait_can_be_cancelled);
    tcase_add_test(tc, named_ones_stay_for_others);
    tcase_add_test(tc, two_clients_on_one_handle);
    tcase_add_test(tc, asynchronous_calls_in_an_event_loop);
    tcase_add_test(tc, wait_any_takes_both_kinds);
    tcase_add_test(tc, large_arguments_and_values_on_lanes);
    tcase_add_test(tc, they_end_with_their_client);
    tcase_add_test(tc, wrong_calls_are_told);
    tcase_add_test(tc, a_question_is_answered_behind_many_lanes);
    tcase_add_test(tc, an_array_whose_unlink_was_answered_is_not_found);
    return suite_run(suite);
}
