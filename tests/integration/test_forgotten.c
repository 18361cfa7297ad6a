/* SPDX-License-Identifier: MIT */
/*
 * What nobody waits for any more leaves nothing behind: large values of calls that were freed in flight, server tasks
 * that come up after the wait for them was over. And event loops rest when nothing happens, whoever has died.
 */
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/integration/server.h"
#include "tests/support/suite.h"

enum { WAIT_MS = 20000, BYTES = 4 << 20, CALLS = 20 };

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

static uint32_t count_of(const char *what)
{
    PTOOLS_AUTO(ptools_future) f = NULL;
    ptools_value list;
    uint32_t n = 0;

    ck_assert_ptools(ptools_inspect(pt, what, &f, &list));
    ck_assert_ptools(ptools_get_count(list, &n));
    return n;
}

static void falls_to(const char *what, uint32_t n)
{
    const uint64_t until = now_ms() + WAIT_MS;

    while (count_of(what) > n)
        ck_assert_msg(now_ms() < until, "%u %s are left", count_of(what), what);
}

static void forget_calls(bool with_large_arguments)
{
    PTOOLS_AUTO(ptools_pack) args = ptools_pack_new();
    uint8_t *data = calloc(1, BYTES);

    if (with_large_arguments)
        ptools_pack_bytes(args, data, BYTES);
    else
        ptools_pack_i64(args, BYTES);
    for (int i = 0; i < CALLS; i++) {
        ptools_future *f = NULL;

        ck_assert_ptools(ptools_remotecall(pt, NULL, with_large_arguments ? "a.echo" : "a.bytes", args, NULL, &f));
        ptools_future_free(f);
    }
    free(data);
}

START_TEST(large_values_of_forgotten_calls)
{
    PTOOLS_AUTO(ptools_pack) size = ptools_pack_new();

    up(1);
    forget_calls(false);
    ck_assert_ptools(ptools_remotecall_fetch(pt, NULL, "t.id", NULL, NULL, WAIT_MS, NULL, NULL)); /* behind them */
    falls_to("arrays", 0);
    ptools_pack_i64(size, BYTES); /* from now on there is room for values */
    ck_assert_ptools(ptools_remotecall_fetch(pt, NULL, "a.bytes", size, NULL, WAIT_MS, NULL, NULL));
    forget_calls(false);
    forget_calls(true);
    ck_assert_ptools(ptools_remotecall_fetch(pt, NULL, "t.id", NULL, NULL, WAIT_MS, NULL, NULL));
    falls_to("arrays", 9); /* a few are kept for the next */
    down();
}
END_TEST

START_TEST(a_start_that_comes_too_late)
{
    const ptools_shmcfg cfg = PTOOLS_SHMCFG("late", PTOOLS_INT32, 10);
    ptools_stasks_options options = PTOOLS_STASKS_OPTIONS_INIT;
    ptools_stasks *h = NULL;
    ptools_err err;

    up(1);
    options.count = 40;
    options.timeout_ms = 1;
    for (int named = 0; named < 2; named++) {
        options.name = named ? "late" : NULL;
        while ((err = ptools_start_stasks(pt, &cfg, 1, NULL, &options, &h)) == PTOOLS_OK) { /* it was not waited for */
            ck_assert_ptools(ptools_stop_stasks(h, WAIT_MS));
            ptools_stasks_free(h);
            falls_to("stasks", 0);
            falls_to("arrays", 0);
        }
        ck_assert_err(err, PTOOLS_ERR_TIMEOUT);
        falls_to("stasks", 0);
        falls_to("arrays", 0);
    }
    down();
}
END_TEST

/* The daemon does not answer: a call with large arguments ends in time all the same. */
START_TEST(large_arguments_and_a_daemon_that_is_silent)
{
    PTOOLS_AUTO(ptools_pack) args = ptools_pack_new();
    uint8_t *data = calloc(1, BYTES);
    ptools_future *f = NULL;
    uint64_t begin;

    up(1);
    ptools_pack_bytes(args, data, BYTES);
    ck_assert_int_eq(kill(server.pid, SIGSTOP), 0);
    begin = now_ms();
    ck_assert_err(ptools_remotecall_fetch(pt, NULL, "a.echo", args, NULL, 300, NULL, NULL), PTOOLS_ERR_TIMEOUT);
    ck_assert_err(ptools_remotecall_wait(pt, NULL, "a.echo", args, NULL, 300, &f), PTOOLS_ERR_TIMEOUT);
    ck_assert_ptr_null(f);
    ck_assert_uint_lt(now_ms() - begin, 4000);
    ck_assert_int_eq(kill(server.pid, SIGCONT), 0);
    falls_to("arrays", 0); /* those that came late */
    ck_assert_ptools(ptools_remotecall_fetch(pt, NULL, "a.echo", args, NULL, WAIT_MS, NULL, NULL));
    free(data);
    down();
}
END_TEST

static ptools_stasks *start(uint32_t n)
{
    ptools_stasks_options options = PTOOLS_STASKS_OPTIONS_INIT;
    ptools_stasks *h = NULL;

    options.count = n;
    ck_assert_ptools(ptools_start_stasks(pt, NULL, 0, NULL, &options, &h));
    return h;
}

/* One turn of a loop: whether anything was there within ms. */
static bool turn(int ms)
{
    struct pollfd p = { .fd = ptools_fd(pt), .events = ptools_events(pt) };

    ck_assert_int_ge(p.fd, 0);
    if (poll(&p, 1, ms) == 0)
        return false;
    while (ptools_dispatch(pt, 0) == PTOOLS_OK)
        ;
    return true;
}

static void comes_to_rest(void)
{
    for (int i = 0; turn(100); i++)
        ck_assert_int_lt(i, 100);
}

START_TEST(an_event_loop_rests_whoever_has_died)
{
    PTOOLS_AUTO(ptools_future) f = NULL;
    ptools_stasks *h;

    up(1);
    h = start(2);
    comes_to_rest();
    ck_assert_int_eq(kill(ptools_stasks_pid(h, 0), SIGKILL), 0);
    comes_to_rest();
    ck_assert_ptools(ptools_stask_call(h, 0, "a.nop", NULL, &f));
    ck_assert_err(ptools_future_fetch(f, WAIT_MS, NULL), PTOOLS_ERR_STATE_LOST);
    ck_assert_ptools(ptools_stop_stasks(h, WAIT_MS));
    comes_to_rest();
    ptools_stasks_free(h);
    down();
}
END_TEST

START_TEST(an_event_loop_wakes_on_the_next_connection)
{
    char dir[sizeof server.dir];
    ptools_future *f = NULL;
    ptools_stasks *h;

    up(1);
    h = start(1);
    comes_to_rest();
    ck_assert_ptools(ptools_stask_call(h, 0, "a.spin", NULL, &f));
    strcpy(dir, server.dir);
    ck_assert_int_eq(kill(server.pid, SIGKILL), 0);
    ck_assert_err(ptools_future_fetch(f, WAIT_MS, NULL), PTOOLS_ERR_LOST);
    ptools_future_free(f);
    {
        struct pollfd p = { .fd = server.pidfd, .events = POLLIN };

        ck_assert_int_eq(poll(&p, 1, WAIT_MS), 1);
        close(server.pidfd);
    }
    server_start_in(&server, dir, 1, NULL);
    ck_assert_ptools(ptools_remotecall(pt, NULL, "t.id", NULL, NULL, &f));
    while (!ptools_future_done(f))
        ck_assert(turn(WAIT_MS));
    ptools_future_free(f);
    comes_to_rest();
    ptools_stasks_free(h);
    down();
}
END_TEST

START_TEST(to_ask_for_a_process_often_costs_it_nothing)
{
    PTOOLS_AUTO(ptools_future) spin = NULL;
    ptools_stasks *h;
    int32_t pid;

    up(1);
    h = start(1);
    pid = ptools_stasks_pid(h, 0);
    ck_assert_int_gt(pid, 0);
    ck_assert_ptools(ptools_stask_call(h, 0, "a.spin", NULL, &spin));
    for (int i = 0; i < 3000; i++)
        ck_assert_int_eq(ptools_stasks_pid(h, 0), pid);
    ck_assert_ptools(ptools_restart_stasks(h, NULL, NULL)); /* it lives: it is left alone */
    ck_assert(!ptools_future_done(spin));
    ck_assert_ptools(ptools_future_cancel(spin));
    ck_assert_err(ptools_future_fetch(spin, WAIT_MS, NULL), PTOOLS_ERR_CANCELLED);
    ptools_stasks_free(h);
    down();
}
END_TEST

START_TEST(to_ask_for_the_end_and_to_wait_for_it_later)
{
    PTOOLS_AUTO(ptools_future) spin = NULL;
    ptools_stasks *h;
    int32_t pid;

    up(1);
    h = start(1);
    pid = ptools_stasks_pid(h, 0);
    ck_assert_ptools(ptools_stask_call(h, 0, "a.hang", NULL, &spin));
    server_stask_at_phase(pt, 0, "hanging");
    ck_assert_ptools(ptools_stop_stasks(h, 0));
    ck_assert_int_eq(kill(pid, 0), 0); /* it still runs */
    ck_assert_ptools(ptools_stop_stasks(h, 100));
    ck_assert_int_eq(kill(pid, 0), -1);
    ck_assert_ptools(ptools_stop_stasks(h, PTOOLS_FOREVER));
    ptools_stasks_free(h);
    down();
}
END_TEST

/* The handle of server tasks goes with large values that had come, and nobody has taken. */
START_TEST(large_values_of_lanes_that_are_closed)
{
    ptools_stasks_options options = PTOOLS_STASKS_OPTIONS_INIT;
    PTOOLS_AUTO(ptools_pack) size = ptools_pack_new();
    PTOOLS_AUTO(ptools_future) last = NULL;
    ptools_stasks *h = NULL, *second = NULL;

    up(1);
    options.count = 1;
    options.name = "crew";
    ptools_pack_i64(size, BYTES);
    ck_assert_ptools(ptools_start_stasks(pt, NULL, 0, NULL, &options, &h));
    ck_assert_ptools(ptools_attach_stasks(pt, "crew", &second));
    for (int i = 0; i < 5; i++) {
        ptools_future *f = NULL;

        ck_assert_ptools(ptools_stask_call(h, 0, "a.bytes", size, &f));
        ptools_future_free(f);
    }
    for (int i = 0; i < 6; i++) { /* lanes are served in turn: the others have been */
        last = ptools_future_free(last);
        ck_assert_ptools(ptools_stask_call(second, 0, "a.nop", NULL, &last));
        ck_assert_ptools(ptools_future_fetch(last, WAIT_MS, NULL));
    }
    ptools_stasks_free(h);
    falls_to("arrays", 0);
    ck_assert_ptools(ptools_stop_stasks(second, WAIT_MS));
    ptools_stasks_free(second);
    down();
}
END_TEST

/* A list with an element that is too large is found out before the first call leaves. */
START_TEST(one_element_too_large_begins_nothing)
{
    PTOOLS_AUTO(ptools_pack) list = ptools_pack_new();
    PTOOLS_AUTO(ptools_pack) zeros = ptools_pack_new();
    const char *const args[] = { "-o", "limits.message_max=1M", "-o", "limits.client_output_max=1M", NULL };
    ptools_options options = PTOOLS_OPTIONS_INIT;
    const ptools_pack *lists[] = { list };
    uint8_t *data = calloc(1, BYTES);
    ptools_outcomes *o = NULL;
    const char *why = "";
    ptools_stasks *h;

    server_start(&server, 1, args);
    options.address = server.dir;
    options.large_bytes = UINT64_MAX;
    ck_assert_msg(ptools_open(&options, &pt, &why) == PTOOLS_OK, "%s", why);
    h = start(2);
    ptools_pack_i64(list, 1);
    ptools_pack_bytes(list, data, BYTES);
    ck_assert_err(ptools_pmap_stasks(h, "a.add", lists, 1, WAIT_MS, &o), PTOOLS_ERR_TOO_LARGE);
    ck_assert_ptr_null(o);
    ptools_pack_i64(zeros, 0);
    ptools_pack_i64(zeros, 0);
    lists[0] = zeros;
    ck_assert_ptools(ptools_pmap_stasks(h, "a.add", lists, 1, WAIT_MS, &o));
    for (uint32_t i = 0; i < 2; i++) {
        ptools_value v;
        int64_t sum;

        ck_assert_ptools(ptools_future_fetch(ptools_outcomes_future(o, i), 0, &v));
        ck_assert_ptools(ptools_get_i64(v, &sum));
        ck_assert_int_eq(sum, 0);
    }
    ptools_outcomes_free(o);
    ptools_stasks_free(h);
    free(data);
    down();
}
END_TEST

/* It is too large only for the quota, and that shows when it is to be sent: the outcome of that one alone. */
START_TEST(one_that_cannot_be_sent_is_an_outcome)
{
    const char *const args[] = { "-o", "limits.message_max=1M", "-o", "limits.client_output_max=1M",
                                 "-o", "limits.user_shm_max=2M", NULL };
    PTOOLS_AUTO(ptools_pack) list = ptools_pack_new();
    const ptools_pack *lists[] = { list };
    uint8_t *data = calloc(1, BYTES);
    ptools_outcomes *o = NULL;
    ptools_stasks *h;

    server_start(&server, 1, args);
    pt = server_open(&server);
    h = start(3);
    ptools_pack_i64(list, 1);
    ptools_pack_bytes(list, data, BYTES);
    ptools_pack_i64(list, 3);
    ck_assert_err(ptools_pmap_stasks(h, "a.add", lists, 1, WAIT_MS, &o), PTOOLS_ERR_TOO_LARGE);
    ck_assert_ptr_nonnull(o);
    for (uint32_t i = 0; i < 3; i++)
        ck_assert_int_eq(ptools_future_failure(ptools_outcomes_future(o, i)) != NULL, i == 1);
    ptools_outcomes_free(o);
    ptools_stasks_free(h);
    free(data);
    down();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("forgotten");
    TCase *tc = suite_case(suite, "forgotten");

    tcase_add_test(tc, large_values_of_forgotten_calls);
    tcase_add_test(tc, a_start_that_comes_too_late);
    tcase_add_test(tc, large_arguments_and_a_daemon_that_is_silent);
    tcase_add_test(tc, an_event_loop_rests_whoever_has_died);
    tcase_add_test(tc, an_event_loop_wakes_on_the_next_connection);
    tcase_add_test(tc, to_ask_for_a_process_often_costs_it_nothing);
    tcase_add_test(tc, to_ask_for_the_end_and_to_wait_for_it_later);
    tcase_add_test(tc, large_values_of_lanes_that_are_closed);
    tcase_add_test(tc, one_element_too_large_begins_nothing);
    tcase_add_test(tc, one_that_cannot_be_sent_is_an_outcome);
    return suite_run(suite);
}
