/* SPDX-License-Identifier: MIT */
/* Answers on their way: gathered, sent in order, sent by the timer when a function takes its time. */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/worker/answers.h"
#include "proto/util.h"
#include "tests/support/suite.h"

static int ends[2]; /* 0: the daemon's */
static jmp_buf lost_jump;
static int lost_cause;

static void lost(int cause)
{
    lost_cause = cause;
    longjmp(lost_jump, 1);
}

static void set_up(void)
{
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    ck_assert_int_eq(answers_init(ends[1], lost), 0);
}

static void tear_down(void)
{
    close(ends[0]);
    close(ends[1]);
}

static void add(uint64_t task, size_t body_bytes, uint64_t now_us)
{
    struct link_frame frame = { .type = LINK_DONE, .task = task, .body_bytes = (uint32_t)body_bytes };
    uint8_t *body = malloc(body_bytes + 1);

    memset(body, (int)task, body_bytes + 1);
    answers_add(&frame, body, now_us);
    free(body);
}

static bool readable(int timeout_ms)
{
    struct pollfd p = { .fd = ends[0], .events = POLLIN };
    int r;

    do
        r = poll(&p, 1, timeout_ms);
    while (r < 0 && errno == EINTR); /* the timer's signal */
    return r == 1;
}

static void expect(uint64_t task, size_t body_bytes)
{
    struct link_frame frame;
    uint8_t *body = malloc(body_bytes + 1);
    size_t wrong = 0;

    ck_assert_int_eq(recv(ends[0], &frame, sizeof frame, MSG_WAITALL), sizeof frame);
    ck_assert_uint_eq(frame.task, task);
    ck_assert_uint_eq(frame.body_bytes, body_bytes);
    if (body_bytes > 0) /* asked for nothing, recv() would wait for something */
        ck_assert_int_eq(recv(ends[0], body, body_bytes, MSG_WAITALL), (ssize_t)body_bytes);
    for (size_t i = 0; i < body_bytes; i++)
        wrong += body[i] != (uint8_t)task;
    ck_assert_uint_eq(wrong, 0);
    free(body);
}

START_TEST(they_gather_until_flushed)
{
    add(1, 3, 100);
    add(2, 0, 200);
    ck_assert(answers_waiting());
    ck_assert_uint_eq(answers_oldest_us(), 100);
    ck_assert(!readable(0));
    answers_flush();
    ck_assert(!answers_waiting());
    expect(1, 3);
    expect(2, 0);
    add(3, 1, 300);
    ck_assert_uint_eq(answers_oldest_us(), 300);
    answers_flush();
    answers_flush(); /* nothing to do */
    expect(3, 1);
}
END_TEST

START_TEST(large_ones_pass_at_once_and_in_order)
{
    static const size_t sizes[] = { 10, ANSWERS_COPY_BYTES, ANSWERS_COPY_BYTES + 1, 20 };
    pid_t child = fork();

    if (child == 0) {
        for (uint64_t i = 0; i < 40; i++)
            add(i + 1, sizes[i % 4], 0);
        answers_flush();
        _exit(0);
    }
    for (uint64_t i = 0; i < 40; i++)
        expect(i + 1, sizes[i % 4]);
    ck_assert_int_eq(waitpid(child, NULL, 0), child);
}
END_TEST

START_TEST(a_full_link_is_waited_for)
{
    size_t n = 4 << 20; /* more than a socket takes */
    pid_t child = fork();

    if (child == 0) {
        add(1, n, 0);
        _exit(0);
    }
    expect(1, n);
    ck_assert_int_eq(waitpid(child, NULL, 0), child);
}
END_TEST

START_TEST(the_timer_sends_while_a_function_runs)
{
    add(1, 5, 0);
    add(2, 5, 0);
    answers_function_begins();
    ck_assert(readable(20000)); /* the handler: nobody flushes here */
    expect(1, 5);
    expect(2, 5);
    ck_assert(!answers_waiting());
    answers_function_ended();
    answers_flush();
    ck_assert(!readable(0)); /* not twice */
}
END_TEST

START_TEST(the_timer_leaves_alone_who_has_nothing_to_send)
{
    struct pollfd p = { .fd = ends[0], .events = POLLIN };

    answers_function_begins();
    ck_assert_int_eq(poll(&p, 1, 20), 0); /* 20 timers' worth: no signal came */
    answers_function_ended();
    add(1, 0, 0);
    ck_assert_int_eq(poll(&p, 1, 20), 0); /* outside of functions it is the worker who flushes */
    answers_flush();
    expect(1, 0);
}
END_TEST

START_TEST(handlers_send_only_while_a_function_runs)
{
    add(1, 0, 0);
    answers_flush_now(0);
    ck_assert(!readable(0));
    answers_function_begins();
    answers_flush_now(0);
    ck_assert(readable(0));
    answers_function_ended();
    expect(1, 0);
}
END_TEST

START_TEST(a_disowned_link_is_silent)
{
    add(1, 0, 0);
    answers_disown();
    ck_assert(!answers_waiting());
    answers_function_begins();
    answers_flush_now(0);
    answers_function_ended();
    ck_assert(!readable(0));
}
END_TEST

START_TEST(a_broken_link_is_told)
{
    add(1, 0, 0);
    shutdown(ends[0], SHUT_RDWR);
    if (setjmp(lost_jump) == 0) {
        answers_flush();
        ck_abort_msg("nobody noticed");
    }
    ck_assert_int_eq(lost_cause, EPIPE);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("worker/answers");
    TCase *tc = suite_case(suite, "answers");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, they_gather_until_flushed);
    tcase_add_test(tc, large_ones_pass_at_once_and_in_order);
    tcase_add_test(tc, a_full_link_is_waited_for);
    tcase_add_test(tc, the_timer_sends_while_a_function_runs);
    tcase_add_test(tc, the_timer_leaves_alone_who_has_nothing_to_send);
    tcase_add_test(tc, handlers_send_only_while_a_function_runs);
    tcase_add_test(tc, a_disowned_link_is_silent);
    tcase_add_test(tc, a_broken_link_is_told);
    return suite_run(suite);
}
