/* SPDX-License-Identifier: MIT */
/*
 * test_watch -- client/lib/watch.c: events of queued tasks, in order, to a callback that may do anything; what was
 * missed, and watches whose connection breaks.
 */
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/suite.h"
#include "tests/unit/lib/fake.h"

static struct fake f;
static ptools *pt;

static void begin_within(int via, fake_script *script, int64_t connect_timeout_ms)
{
    ptools_options options = PTOOLS_OPTIONS_INIT;

    fake_begin(&f);
    fake_run(&f, script);
    options.address = fake_address(&f, via);
    options.connect_timeout_ms = connect_timeout_ms;
    ck_assert_int_eq(ptools_open(&options, &pt, NULL), PTOOLS_OK);
}

static void begin(int via, fake_script *script)
{
    begin_within(via, script, 0);
}

static void end(void)
{
    ptools_close(pt);
    fake_end(&f);
}

/* -- the daemon ------------------------------------------------------------------------------------------------ */

static void happens(struct fake *s, uint64_t id, uint64_t seq, uint32_t kind)
{
    fake_reply(s,
               &(struct msg_answer){ .is_event = true,
                                     .id = id,
                                     .event = { .seq = seq,
                                                .event = kind,
                                                .task = 100 + seq,
                                                .state = SHOWN_RUNNING,
                                                .time_ms = 5,
                                                .worker = 2,
                                                .attempt = 3,
                                                .code = PTOOLS_ERR_FAILED,
                                                .progress = 6,
                                                .progress_of = 7,
                                                .missed = kind == EVENT_MISSED ? 8 : 0 } },
               NULL);
}

/* Answers the next events request; its id. */
static uint64_t watched(struct fake *s, struct msg_request *ret)
{
    fake_next_of(s, MSG_EVENTS, ret);
    fake_reply(s, &(struct msg_answer){ .id = ret->id }, NULL);
    return ret->id;
}

static void tells(struct fake *s)
{
    struct msg_request r;
    uint64_t id;

    fake_accept_hello(s);
    id = watched(s, &r);
    FAKE_CHECK(!r.task.tag.data && r.task.task == 0);
    for (uint32_t i = EVENT_QUEUED; i <= EVENT_MISSED; i++)
        happens(s, id, i, i);
    happens(s, id + 1000, 1, EVENT_ENDED); /* nobody's */
    watched(s, &r);
    FAKE_CHECK(r.task.tag.n == 3 && memcmp(r.task.tag.data, "a/b", 3) == 0);
    watched(s, &r);
    FAKE_CHECK(r.task.task == 7);
    fake_next_of(s, MSG_EVENTS, &r);
    fake_error(s, r.id, PTOOLS_ERR_LIMIT, "too many watches");
    for (int i = 0; i < 3; i++) {
        fake_next_of(s, MSG_EVENTS_END, &r);
        FAKE_CHECK(i > 0 || r.task.request == id);
    }
    happens(s, id, 9, EVENT_ENDED); /* on its way when the watch ended */
    fake_until_closed(s);
}

/* -- the client ------------------------------------------------------------------------------------------------ */

struct seen {
    unsigned n;
    ptools_event events[16];
};

static void note(const ptools_event *event, void *arg)
{
    struct seen *seen = arg;

    ck_assert_uint_lt(seen->n, 16);
    seen->events[seen->n++] = *event;
}

static void dispatch_until(const unsigned *n, unsigned enough)
{
    while (*n < enough)
        ck_assert_int_eq(ptools_dispatch(pt, 5000), PTOOLS_OK);
}

START_TEST(events_are_told_in_order)
{
    ptools_watch *watch[3], *none = NULL;
    struct seen seen = { 0 };

    begin(_i, tells);
    ck_assert_int_eq(ptools_watch_tasks(pt, NULL, 0, NULL, NULL, &none), PTOOLS_ERR_INVALID);
    ck_assert_int_eq(ptools_watch_tasks(pt, NULL, 0, note, NULL, NULL), PTOOLS_ERR_INVALID);
    ck_assert_int_eq(ptools_watch_tasks(pt, "a b", 0, note, NULL, &none), PTOOLS_ERR_INVALID);
    ck_assert_int_eq(ptools_watch_tasks(pt, "a", 1, note, NULL, &none), PTOOLS_ERR_INVALID);
    ck_assert_int_eq(ptools_watch_tasks(NULL, NULL, 0, note, NULL, &none), PTOOLS_ERR_INVALID);
    ck_assert_int_eq(ptools_watch_tasks(pt, NULL, 0, note, &seen, &watch[0]), PTOOLS_OK);
    ck_assert_uint_eq(seen.n, 0);
    dispatch_until(&seen.n, 6);
    for (unsigned i = 0; i < 6; i++) {
        const ptools_event *e = &seen.events[i];

        ck_assert_uint_eq(e->seq, i + 1);
        ck_assert_int_eq(e->kind, (ptools_event_kind)(i + 1));
        ck_assert(e->task == 101 + i && e->state == PTOOLS_QUEUED_RUNNING && e->time_ms == 5 && e->worker == 2);
        ck_assert(e->attempt == 3 && e->code == PTOOLS_ERR_FAILED && e->progress == 6 && e->progress_of == 7);
        ck_assert_uint_eq(e->missed, i == 5 ? 8 : 0);
    }
    ck_assert_int_eq(ptools_watch_tasks(pt, "a/b", 0, note, &seen, &watch[1]), PTOOLS_OK);
    ck_assert_int_eq(ptools_watch_tasks(pt, NULL, 7, note, &seen, &watch[2]), PTOOLS_OK);
    ck_assert_int_eq(ptools_watch_tasks(pt, NULL, 8, note, &seen, &none), PTOOLS_ERR_LIMIT);
    ck_assert_str_eq(ptools_error_message(pt), "too many watches");
    ck_assert_ptr_null(none);
    for (int i = 0; i < 3; i++)
        ck_assert_ptr_null(ptools_watch_free(watch[i]));
    ck_assert_ptr_null(ptools_watch_free(NULL));
    while (ptools_dispatch(pt, 20) == PTOOLS_OK) /* what comes is dropped */
        ;
    ck_assert_uint_eq(seen.n, 6);
    end();
}
END_TEST

static void never_answers(struct fake *s)
{
    fake_accept_hello(s);
    fake_until_closed(s);
}

START_TEST(a_watch_begins_in_time)
{
    ptools_watch *watch = NULL;

    begin_within(_i, never_answers, 1000);
    ck_assert_int_eq(ptools_watch_tasks(pt, NULL, 0, note, NULL, &watch), PTOOLS_ERR_TIMEOUT);
    ck_assert_ptr_null(watch);
    end();
}
END_TEST

/* -- what callbacks do ----------------------------------------------------------------------------------------- */

static void tells_four(struct fake *s)
{
    struct msg_request r;
    uint64_t id;

    fake_accept_hello(s);
    id = watched(s, &r);
    for (uint32_t i = 1; i <= 4; i++)
        happens(s, id, i, EVENT_PROGRESS);
    while (fake_next(s, &r))
        if (r.kind == MSG_CALL)
            fake_reply_number(s, r.id, 1);
}

static struct {
    ptools_watch *watch;
    unsigned n;
    uint64_t last;
    int what; /* at the second event: 0 free, 1 close, 2 dispatch, 3 fork */
    pid_t child;
} acting;

static void act(const ptools_event *event, void *arg)
{
    (void)arg;
    ck_assert_uint_eq(event->seq, acting.last + 1);
    acting.last = event->seq;
    if (++acting.n != 2)
        return;
    switch (acting.what) {
    case 0:
        acting.watch = ptools_watch_free(acting.watch);
        break;
    case 1:
        pt = ptools_close(pt);
        break;
    case 2:
        while (acting.n < 4)
            ck_assert_int_eq(ptools_dispatch(pt, 5000), PTOOLS_OK);
        break;
    default:
        acting.child = fork();
    }
}

START_TEST(callbacks_may_do_anything)
{
    ptools_future *future;
    ptools_err err = PTOOLS_OK;
    int what = _i / VIAS, status;

    begin(_i % VIAS, tells_four);
    memset(&acting, 0, sizeof acting);
    acting.what = what;
    ck_assert_int_eq(ptools_watch_tasks(pt, NULL, 0, act, NULL, &acting.watch), PTOOLS_OK);
    ck_assert_int_eq(ptools_remotecall(pt, NULL, "t.x", NULL, NULL, &future), PTOOLS_OK);
    ck_assert_int_eq(ptools_future_wait(future, 5000), PTOOLS_OK); /* all events have come by now, and wait */
    ck_assert_uint_eq(acting.n, 0);
    while (err == PTOOLS_OK && acting.n < 4)
        err = ptools_dispatch(pt, 20);
    if (what == 3 && acting.child == 0) { /* in the child */
        bool good = err == PTOOLS_ERR_FORKED && acting.n == 2;

        ptools_watch_free(acting.watch);
        ptools_future_free(future);
        ptools_close(pt);
        _exit(good ? 0 : 1);
    }
    ck_assert_uint_eq(acting.n, what <= 1 ? 2 : 4);
    ck_assert_int_eq(err, what == 0 ? PTOOLS_ERR_AGAIN : what == 1 ? PTOOLS_ERR_CLOSED : PTOOLS_OK);
    if (what == 3) {
        ck_assert_int_eq(waitpid(acting.child, &status, 0), acting.child);
        ck_assert_int_eq(status, 0);
    }
    ptools_future_free(future);
    if (_i % 2)
        ptools_watch_free(acting.watch);
    ptools_close(pt);
    if (_i % 2 == 0)
        ptools_watch_free(acting.watch); /* after its handle */
    fake_end(&f);
}
END_TEST

/* -- missed ---------------------------------------------------------------------------------------------------- */

enum { FLOOD = 70000, KEPT = 65536 };

static void floods(struct fake *s)
{
    struct msg_request r;
    uint64_t id;

    fake_accept_hello(s);
    id = watched(s, &r);
    for (uint64_t i = 1; i <= FLOOD; i++)
        happens(s, id, i, EVENT_PROGRESS);
    fake_reply_number(s, fake_next_call(s), 1);
    fake_wait_gate(s);
    happens(s, id, FLOOD + 1, EVENT_ENDED);
    fake_until_closed(s);
}

static struct {
    unsigned n;
    uint64_t missed;
    bool ended;
} flood;

static void swallow(const ptools_event *event, void *arg)
{
    (void)arg;
    flood.n++;
    if (event->kind == PTOOLS_EVENT_MISSED) {
        ck_assert_uint_eq(flood.n, KEPT + 1);
        ck_assert_uint_eq(event->seq, 0);
        flood.missed = event->missed;
    } else if (event->kind == PTOOLS_EVENT_ENDED) {
        ck_assert_uint_eq(event->seq, FLOOD + 1);
        flood.ended = true;
    } else {
        ck_assert_uint_eq(event->seq, flood.n);
    }
}

/* A client that waits for other things and dispatches late does not grow without bound. */
START_TEST(what_is_not_dispatched_is_counted)
{
    ptools_future *future;
    ptools_watch *watch;

    begin(VIA_UNIX, floods);
    ck_assert_int_eq(ptools_watch_tasks(pt, NULL, 0, swallow, NULL, &watch), PTOOLS_OK);
    ck_assert_int_eq(ptools_remotecall(pt, NULL, "t.x", NULL, NULL, &future), PTOOLS_OK);
    ck_assert_int_eq(ptools_future_wait(future, 20000), PTOOLS_OK);
    ck_assert_int_eq(ptools_dispatch(pt, 0), PTOOLS_OK);
    ck_assert_uint_eq(flood.n, KEPT + 1);
    ck_assert_uint_eq(flood.missed, FLOOD - KEPT);
    fake_open_gate(&f);
    while (!flood.ended)
        ck_assert_int_eq(ptools_dispatch(pt, 5000), PTOOLS_OK);
    ptools_future_free(future);
    ptools_watch_free(watch);
    end();
}
END_TEST

/* -- connections that break ------------------------------------------------------------------------------------ */

static void breaks_under_a_watch(struct fake *s)
{
    struct msg_request r;
    uint64_t id;

    fake_accept_hello(s);
    happens(s, watched(s, &r), 1, EVENT_QUEUED);
    fake_close(s);
    fake_accept_again(s);
    id = watched(s, &r);
    FAKE_CHECK(r.task.tag.n == 1 && r.task.tag.data[0] == 'x');
    happens(s, id, 1, EVENT_ENDED);
    fake_close(s);
    fake_accept_again(s);
    fake_next_of(s, MSG_EVENTS, &r);
    fake_error(s, r.id, PTOOLS_ERR_LIMIT, "too many watches");
    fake_until_closed(s);
}

START_TEST(a_watch_is_made_anew)
{
    struct seen seen = { 0 };
    ptools_watch *watch;

    begin(_i, breaks_under_a_watch);
    ck_assert_int_eq(ptools_watch_tasks(pt, "x", 0, note, &seen, &watch), PTOOLS_OK);
    dispatch_until(&seen.n, 4);
    ck_assert_int_eq(seen.events[0].kind, PTOOLS_EVENT_QUEUED);
    ck_assert_int_eq(seen.events[1].kind, PTOOLS_EVENT_MISSED);
    ck_assert(seen.events[1].seq == 0 && seen.events[1].missed == 0 && seen.events[1].code == PTOOLS_OK);
    ck_assert_int_eq(seen.events[2].kind, PTOOLS_EVENT_ENDED);
    ck_assert_int_eq(seen.events[3].kind, PTOOLS_EVENT_MISSED); /* and no more */
    ck_assert_int_eq(seen.events[3].code, PTOOLS_ERR_LIMIT);
    ck_assert_int_eq(ptools_dispatch(pt, 20), PTOOLS_ERR_AGAIN);
    ptools_watch_free(watch);
    end();
}
END_TEST

static void goes_for_a_while(struct fake *s)
{
    struct msg_request r;

    fake_accept_hello(s);
    watched(s, &r);
    fake_hide(s);
    fake_close(s);
    fake_wait_gate(s);
    fake_show(s);
    fake_accept_again(s);
    happens(s, watched(s, &r), 1, EVENT_QUEUED);
    fake_next_of(s, MSG_TASK_WHY, &r);
    fake_reply(s, &(struct msg_answer){ .id = r.id }, NULL);
    fake_until_closed(s);
}

START_TEST(a_watch_rests_until_a_call_connects)
{
    struct seen seen = { 0 };
    ptools_watch *watch;
    const char *reason;
    ptools_err err;

    begin_within(_i, goes_for_a_while, 1000);
    ck_assert_int_eq(ptools_watch_tasks(pt, NULL, 0, note, &seen, &watch), PTOOLS_OK);
    do
        err = ptools_dispatch(pt, 5000);
    while (err == PTOOLS_OK || err == PTOOLS_ERR_AGAIN);
    ck_assert_int_eq(err, PTOOLS_ERR_LOST);
    ck_assert_int_eq(ptools_fd(pt), -1);
    ck_assert_int_eq(ptools_dispatch(pt, 5000), PTOOLS_ERR_LOST);
    ck_assert_uint_eq(seen.n, 0);
    fake_open_gate(&f);
    do /* the daemon comes back when it does */
        err = ptools_queued_why(pt, 1, &reason);
    while (err == PTOOLS_ERR_NO_DAEMON || err == PTOOLS_ERR_TIMEOUT);
    ck_assert_int_eq(err, PTOOLS_OK);
    dispatch_until(&seen.n, 2);
    ck_assert_int_eq(seen.events[0].kind, PTOOLS_EVENT_MISSED);
    ck_assert_int_eq(seen.events[1].kind, PTOOLS_EVENT_QUEUED);
    ptools_watch_free(watch);
    end();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("lib/watch");
    TCase *tc = suite_case(suite, "watch");

    tcase_add_loop_test(tc, events_are_told_in_order, 0, VIAS);
    tcase_add_loop_test(tc, a_watch_begins_in_time, 0, VIAS);
    tcase_add_loop_test(tc, callbacks_may_do_anything, 0, 4 * VIAS);
    tcase_add_test(tc, what_is_not_dispatched_is_counted);
    tcase_add_loop_test(tc, a_watch_is_made_anew, 0, VIAS);
    tcase_add_loop_test(tc, a_watch_rests_until_a_call_connects, 0, VIAS);
    return suite_run(suite);
}
