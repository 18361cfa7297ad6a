/* SPDX-License-Identifier: MIT */
/*
 * test_multiplex -- waiting for more server tasks than fit on the stack, with memory to look at all at once and
 * without: what comes is taken in, wherever it comes, and the wait is over when its time is, and not before.
 */
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/lib/handle.h"
#include "tests/support/scarce.h"
#include "tests/support/suite.h"

enum { LANES = 200, WAIT_US = 20000 };

static struct ptools *pt;
static struct ptools_stasks *stasks;
static struct ptools_future futures[LANES];
static int peers[LANES];

/* Every lane waits for the answer to one call. */
static void begin(void)
{
    pt = handle_new();
    stasks = calloc(1, sizeof *stasks);
    ck_assert(pt && stasks);
    stasks->pt = pt;
    stasks->n = LANES;
    stasks->lanes = calloc(LANES, sizeof *stasks->lanes);
    for (int i = 0; i < LANES; i++) {
        struct lane *lane = &stasks->lanes[i];
        int ends[2];

        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
        lane->stasks = stasks;
        lane->fd = ends[0];
        peers[i] = ends[1];
        intake_init(&lane->in);
        chain_init(&lane->out);
        TAILQ_INIT(&lane->futures);
        TAILQ_INSERT_TAIL(&lane->futures, &futures[i], lane_link);
    }
    pt->lane_calls = LANES;
    LIST_INSERT_HEAD(&pt->stasks, stasks, link);
}

static void end(void)
{
    LIST_REMOVE(stasks, link);
    pt->lane_calls = 0;
    for (int i = 0; i < LANES; i++) {
        close(stasks->lanes[i].fd);
        close(peers[i]);
        intake_deinit(&stasks->lanes[i].in);
        chain_deinit(&stasks->lanes[i].out);
    }
    free(stasks->lanes);
    free(stasks);
    handle_free(pt);
}

/* The nth request for memory fails; 0: none. */
static bool pump(uint64_t nth, uint64_t until_us)
{
    bool happened;

    scarce_from_now(nth);
    happened = handle_pump(pt, until_us);
    scarce_armed = false;
    return happened;
}

/* The first byte of an answer. */
START_TEST(what_comes_is_taken_in)
{
    static const int places[] = { 0, 63, 64, 65, 127, 128, LANES - 1 };
    const uint64_t nth = (uint64_t)_i;

    begin();
    for (size_t i = 0; i < ELEMENTS(places); i++) {
        struct lane *lane = &stasks->lanes[places[i]];
        char byte;

        ck_assert_int_eq(write(peers[places[i]], "", 1), 1);
        ck_assert(pump(nth, clock_now_us() + 10000000));
        ck_assert_int_eq(recv(lane->fd, &byte, 1, MSG_DONTWAIT), -1); /* it has it */
    }
    end();
}
END_TEST

START_TEST(no_wait_is_over_before_its_time)
{
    const uint64_t until_us = clock_now_us() + WAIT_US, nth = (uint64_t)_i;

    begin();
    while (pump(nth, until_us))
        ck_assert_uint_lt(clock_now_us(), until_us + 10000000);
    ck_assert_uint_ge(clock_now_us() + 1000, until_us); /* poll() counts milliseconds */
    ck_assert(!pump(nth, 0));
    end();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("lib/multiplex");
    TCase *tc = suite_case(suite, "many");

    tcase_add_loop_test(tc, what_comes_is_taken_in, 0, 3);
    tcase_add_loop_test(tc, no_wait_is_over_before_its_time, 0, 3);
    return suite_run(suite);
}
