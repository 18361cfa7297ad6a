/* SPDX-License-Identifier: MIT */
/*
 * test_handle -- client/lib/handle.c: versions, closing, forking, corks.
 */
#include "client/lib/handle.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/suite.h"
#include "tests/unit/lib/fake.h"

static struct fake f;
static ptools *pt;

static void begin(int via, fake_script *script)
{
    fake_begin(&f);
    fake_run(&f, script);
    pt = fake_open(&f, via);
}

static void end(void)
{
    ptools_close(pt);
    fake_end(&f);
}

START_TEST(version_is_one)
{
    char text[32];

    ck_assert_uint_eq(ptools_version_number(), PTOOLS_VERSION_NUMBER);
    snprintf(text, sizeof text, "%d.%d.%d", PTOOLS_VERSION_NUMBER / 10000, PTOOLS_VERSION_NUMBER / 100 % 100,
             PTOOLS_VERSION_NUMBER % 100);
    ck_assert_str_eq(ptools_version(), text);
}
END_TEST

START_TEST(null_handles_are_refused)
{
    ck_assert_int_eq(ptools_dispatch(NULL, 0), PTOOLS_ERR_INVALID);
    ck_assert_int_eq(ptools_cork(NULL), PTOOLS_ERR_INVALID);
    ck_assert_int_eq(ptools_uncork(NULL), PTOOLS_ERR_INVALID);
    ck_assert_int_eq(ptools_fd(NULL), -1);
    ck_assert_int_eq(ptools_events(NULL), 0);
    ck_assert_ptr_null(ptools_last_failure(NULL));
    ck_assert_str_ne(ptools_error_message(NULL), "");
    ck_assert_ptr_null(ptools_close(NULL));
    ck_assert_int_eq(ptools_workers_remove(NULL, 1), PTOOLS_ERR_INVALID);
}
END_TEST

START_TEST(what_is_left_of_a_closed_handle)
{
    const uint32_t ids[] = { 1 };
    ptools_workerset *set;
    ptools_future *flying, *done;
    ptools_value value;

    begin(_i, fake_serve_one);
    ck_assert_int_eq(ptools_workerset_create(pt, NULL, ids, 1, PTOOLS_WS_RR, &set), PTOOLS_OK);
    ck_assert_int_eq(ptools_remotecall(pt, NULL, "t.never", NULL, NULL, &flying), PTOOLS_OK);
    ck_assert_int_eq(ptools_remotecall_fetch(pt, NULL, "t.fail", NULL, NULL, 5000, &done, &value),
                     PTOOLS_ERR_WORKER_DIED);
    ck_assert_int_eq(ptools_remotecall_fetch(pt, NULL, "t.echo", NULL, NULL, 5000, &done, &value), PTOOLS_OK);
    pt = ptools_close(pt);
    ck_assert_ptr_null(pt);

    ck_assert(ptools_future_done(flying));
    ck_assert_int_eq(ptools_future_wait(flying, PTOOLS_FOREVER), PTOOLS_OK);
    ck_assert_int_eq(ptools_future_fetch(flying, PTOOLS_FOREVER, &value), PTOOLS_ERR_CLOSED);
    ck_assert_int_eq(ptools_future_failure(flying)->code, PTOOLS_ERR_CLOSED);
    ck_assert(ptools_future_failure(flying)->maybe_executed);
    ck_assert_int_eq(ptools_future_then(flying, NULL, NULL), PTOOLS_ERR_CLOSED);
    ck_assert_int_eq(ptools_future_cancel(flying), PTOOLS_OK);
    ck_assert_int_eq(ptools_future_fetch(done, 0, &value), PTOOLS_OK); /* what it has, it keeps */
    ck_assert_int_eq(ptools_value_kind(value), PTOOLS_NIL);
    ck_assert_int_eq(ptools_workerset_destroy(set), PTOOLS_ERR_CLOSED);
    ck_assert_int_eq(ptools_workerset_change(set, ids, 1, PTOOLS_WS_FF), PTOOLS_ERR_CLOSED);
    ptools_workerset_free(set);
    ptools_future_free(flying);
    ptools_future_free(done);
    end();
}
END_TEST

/* -- fork --------------------------------------------------------------------------------------------------------- */

#define CHILD_CHECK(c)                                                                                                 \
    do {                                                                                                               \
        if (!(c)) {                                                                                                    \
            fprintf(stderr, "in the child: %s\n", #c);                                                                 \
            _exit(1);                                                                                                  \
        }                                                                                                              \
    } while (0)

static void in_the_child(ptools_future *flying, ptools_future *done, ptools_workerset *set)
{
    const uint32_t ids[] = { 1 };
    ptools_worker_info *workers;
    ptools_future *future;
    ptools_value value;
    size_t n;

    CHILD_CHECK(ptools_remotecall(pt, NULL, "t.echo", NULL, NULL, &future) == PTOOLS_ERR_FORKED);
    CHILD_CHECK(strstr(ptools_error_message(pt), "fork()"));
    CHILD_CHECK(ptools_remotecall_fetch(pt, NULL, "t.echo", NULL, NULL, 0, NULL, NULL) == PTOOLS_ERR_FORKED);
    CHILD_CHECK(ptools_remotecall_wait(pt, NULL, "t.echo", NULL, NULL, 0, &future) == PTOOLS_ERR_FORKED);
    CHILD_CHECK(ptools_remote_do(pt, NULL, "t.echo", NULL, NULL, NULL) == PTOOLS_ERR_FORKED);
    CHILD_CHECK(ptools_dispatch(pt, 1000) == PTOOLS_ERR_FORKED);
    CHILD_CHECK(ptools_cork(pt) == PTOOLS_ERR_FORKED);
    CHILD_CHECK(ptools_uncork(pt) == PTOOLS_ERR_FORKED);
    CHILD_CHECK(ptools_fd(pt) == -1 && ptools_events(pt) == 0);
    CHILD_CHECK(ptools_future_wait(flying, 1000) == PTOOLS_ERR_FORKED);
    CHILD_CHECK(ptools_future_fetch(done, 1000, &value) == PTOOLS_ERR_FORKED);
    CHILD_CHECK(ptools_future_cancel(flying) == PTOOLS_ERR_FORKED);
    CHILD_CHECK(ptools_wait_any(pt, &flying, 1, 1000, &n) == PTOOLS_ERR_FORKED);
    CHILD_CHECK(ptools_wait_all(pt, &flying, 1, 1000) == PTOOLS_ERR_FORKED);
    CHILD_CHECK(ptools_workerset_create(pt, NULL, ids, 1, PTOOLS_WS_RR, &set) == PTOOLS_ERR_FORKED);
    CHILD_CHECK(ptools_workerset_change(set, ids, 1, PTOOLS_WS_RR) == PTOOLS_ERR_FORKED);
    CHILD_CHECK(ptools_workerset_destroy(set) == PTOOLS_ERR_FORKED);
    CHILD_CHECK(ptools_workers(pt, &workers, &n) == PTOOLS_ERR_FORKED);
    CHILD_CHECK(ptools_workers_add(pt, 1, NULL) == PTOOLS_ERR_FORKED);
    CHILD_CHECK(ptools_inspect(pt, "status", &future, &value) == PTOOLS_ERR_FORKED);
    ptools_workerset_free(set);
    ptools_future_free(done);
    ptools_close(pt);
    CHILD_CHECK(ptools_future_fetch(flying, 0, NULL) == PTOOLS_ERR_CLOSED);
    ptools_future_free(flying);
    _exit(0);
}

START_TEST(a_child_leaves_the_connection_alone)
{
    const uint32_t ids[] = { 1 };
    ptools_workerset *set;
    ptools_future *flying, *done;
    ptools_value value;
    pid_t pid;
    int status;

    begin(_i, fake_serve_one);
    ck_assert_int_eq(ptools_workerset_create(pt, NULL, ids, 1, PTOOLS_WS_RR, &set), PTOOLS_OK);
    ck_assert_int_eq(ptools_remotecall(pt, NULL, "t.hold", NULL, NULL, &flying), PTOOLS_OK);
    ck_assert_int_eq(ptools_remotecall_fetch(pt, NULL, "t.echo", NULL, NULL, 5000, &done, &value), PTOOLS_OK);
    pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0)
        in_the_child(flying, done, set);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    /* the parent's connection, its set and its call are as they were */
    ck_assert_int_eq(ptools_remotecall_fetch(pt, set, "t.release", NULL, NULL, 5000, NULL, NULL), PTOOLS_OK);
    ck_assert_int_eq(ptools_future_fetch(flying, 5000, &value), PTOOLS_OK);
    ptools_workerset_free(set);
    ptools_future_free(flying);
    ptools_future_free(done);
    end();
}
END_TEST

START_TEST(a_child_opens_its_own)
{
    ptools *own;
    pid_t pid;
    int status;

    fake_begin(&f);
    fake_run(&f, fake_serve_two);
    pt = fake_open(&f, VIA_UNIX);
    pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        ptools_options options = PTOOLS_OPTIONS_INIT;

        ptools_close(pt);
        options.address = fake_address(&f, VIA_UNIX);
        CHILD_CHECK(ptools_open(&options, &own, NULL) == PTOOLS_OK); /* served once the parent has closed */
        CHILD_CHECK(ptools_remotecall_fetch(own, NULL, "t.echo", NULL, NULL, 5000, NULL, NULL) == PTOOLS_OK);
        ptools_close(own);
        _exit(0);
    }
    ck_assert_int_eq(ptools_remotecall_fetch(pt, NULL, "t.echo", NULL, NULL, 5000, NULL, NULL), PTOOLS_OK);
    pt = ptools_close(pt);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    fake_end(&f);
}
END_TEST

/* -- corks --------------------------------------------------------------------------------------------------------- */

START_TEST(corked_calls_leave_together)
{
    ptools_future *futures[20];
    struct transport *t;
    uint64_t sent;

    begin(VIA_UNIX, fake_serve_one);
    t = pt->transport;
    ck_assert_int_eq(ptools_uncork(pt), PTOOLS_ERR_INVALID);
    ck_assert_int_eq(ptools_cork(pt), PTOOLS_OK);
    ck_assert_int_eq(ptools_cork(pt), PTOOLS_OK);
    sent = t->sent;
    for (int i = 0; i < 10; i++)
        ck_assert_int_eq(ptools_remotecall(pt, NULL, "t.echo", NULL, NULL, &futures[i]), PTOOLS_OK);
    ck_assert_int_eq(ptools_uncork(pt), PTOOLS_OK);
    ck_assert_uint_eq(t->sent, sent);
    ck_assert_uint_gt(t->queued, sent);
    ck_assert_int_eq(ptools_uncork(pt), PTOOLS_OK);
    ck_assert_uint_eq(t->sent, t->queued);

    ck_assert_int_eq(ptools_cork(pt), PTOOLS_OK);
    sent = t->sent;
    for (int i = 10; i < 20; i++)
        ck_assert_int_eq(ptools_remotecall(pt, NULL, "t.echo", NULL, NULL, &futures[i]), PTOOLS_OK);
    ck_assert_uint_eq(t->sent, sent);
    ck_assert_int_eq(ptools_wait_all(pt, futures, 20, 5000), PTOOLS_OK); /* a wait sends, too */
    ck_assert_uint_eq(t->sent, t->queued);
    ck_assert_int_eq(ptools_uncork(pt), PTOOLS_OK);
    for (int i = 0; i < 20; i++)
        ptools_future_free(futures[i]);
    end();
}
END_TEST

/* Two calls that a callback starts leave when the callback has ended, not before. */
static void start_two(ptools_future *future, void *arg)
{
    ptools_future **started = arg;
    uint64_t sent = pt->transport->sent;

    ptools_future_free(future);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(ptools_remotecall(pt, NULL, "t.echo", NULL, NULL, &started[i]), PTOOLS_OK);
    ck_assert_uint_eq(pt->transport->sent, sent);
}

START_TEST(calls_of_callbacks_leave_together)
{
    ptools_future *future, *started[2] = { NULL };

    begin(VIA_UNIX, fake_serve_one);
    ck_assert_int_eq(ptools_remotecall(pt, NULL, "t.echo", NULL, NULL, &future), PTOOLS_OK);
    ck_assert_int_eq(ptools_future_then(future, start_two, started), PTOOLS_OK);
    while (!started[0])
        ck_assert_int_eq(ptools_dispatch(pt, 5000), PTOOLS_OK);
    ck_assert_uint_eq(pt->transport->sent, pt->transport->queued);
    ck_assert_int_eq(ptools_wait_all(pt, started, 2, 5000), PTOOLS_OK);
    ptools_future_free(started[0]);
    ptools_future_free(started[1]);
    end();
}
END_TEST

START_TEST(many_corked_calls_do_not_wait_for_ever)
{
    static char kilobyte[1024];
    ptools_future *futures[100];
    ptools_pack *args;
    struct pollfd p;

    begin(_i, fake_serve_one);
    args = ptools_pack_new();
    ptools_pack_bytes(args, kilobyte, sizeof kilobyte);
    ck_assert_int_eq(ptools_cork(pt), PTOOLS_OK);
    for (int i = 0; i < 100; i++)
        ck_assert_int_eq(ptools_remotecall(pt, NULL, "t.echo", args, NULL, &futures[i]), PTOOLS_OK);
    p = (struct pollfd){ .fd = ptools_fd(pt), .events = ptools_events(pt) & ~POLLOUT };
    ck_assert_int_eq(poll(&p, 1, 5000), 1); /* 64 KiB had gathered: they left */
    ck_assert_int_eq(ptools_wait_all(pt, futures, 100, 5000), PTOOLS_OK);
    for (int i = 0; i < 100; i++)
        ptools_future_free(futures[i]);
    ptools_pack_free(args);
    end();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("lib/handle");
    TCase *tc = suite_case(suite, "life");

    tcase_add_test(tc, version_is_one);
    tcase_add_test(tc, null_handles_are_refused);
    tcase_add_loop_test(tc, what_is_left_of_a_closed_handle, 0, VIAS);
    tc = suite_case(suite, "fork");
    tcase_add_loop_test(tc, a_child_leaves_the_connection_alone, 0, VIAS);
    tcase_add_test(tc, a_child_opens_its_own); /* libzmq's descriptors stay open in the child: see transport_zmq.c */
    tc = suite_case(suite, "cork");
    tcase_add_test(tc, corked_calls_leave_together);
    tcase_add_test(tc, calls_of_callbacks_leave_together);
    tcase_add_loop_test(tc, many_corked_calls_do_not_wait_for_ever, 0, VIAS);
    return suite_run(suite);
}
