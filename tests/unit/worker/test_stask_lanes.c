/* SPDX-License-Identifier: MIT */
/* The lanes of a server task: what ends one, and that nothing on one lane is felt on another. */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "tests/support/suite.h"
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

/* That frame ends its lane, and nothing else. */
static void check_broken(const struct link_frame *frame, const void *body, size_t n)
{
    struct lane broken;
    struct answer a;

    lane_open(&broken, &w, 8);
    lane_send(&broken, frame, body, n);
    ck_assert(!lane_answer(&broken, &a));
    lane_close(&broken);
    check_serves(&lane);
}

START_TEST(frames_that_make_no_sense_end_the_lane)
{
    const struct link_frame good = { .type = LINK_RUN, .name_bytes = 5, .task = UINT64_C(8) << 32 | 1 };
    struct link_frame f = good;

    start();
    f.type = LINK_STOP; /* that is the daemon's to say */
    check_broken(&f, "a.nop", 5);
    f.type = LINK_START;
    check_broken(&f, "a.nop", 5);
    f.type = 200;
    check_broken(&f, "a.nop", 5);
    f = good;
    f.task = UINT64_C(7) << 32 | 1; /* the number of another lane */
    check_broken(&f, "a.nop", 5);
    f.task = 1;
    check_broken(&f, "a.nop", 5);
    f = good;
    f.name_bytes = 6; /* longer than the body */
    check_broken(&f, "a.nop", 5);
    f.name_bytes = 200; /* longer than any */
    check_broken(&f, (char[300]){ 0 }, 300);
    f = good;
    f.code = 4; /* an unknown flag */
    check_broken(&f, "a.nop", 5);
    f.code = RUN_ARGS_ARRAY; /* without it */
    check_broken(&f, "a.nop", 5);
    check_broken(&f, (char[5 + sizeof(struct link_reference) + 1]){ "a.nop" }, 5 + sizeof(struct link_reference) + 1);
    f.code = RUN_ROOM;
    check_broken(&f, "a.nop1234567", 12);
    stop();
}
END_TEST

START_TEST(a_call_over_the_limit_ends_the_lane)
{
    static const char *const args[] = { "--message-max", "1000000", NULL };
    struct link_frame f = { .type = LINK_RUN, .name_bytes = 5, .body_bytes = 1000001, .task = UINT64_C(8) << 32 | 1 };
    struct lane broken;
    struct answer a;

    start_with(args);
    lane_open(&broken, &w, 8);
    ck_assert_int_eq(send(broken.fd, &f, sizeof f, MSG_NOSIGNAL), sizeof f); /* the body is not waited for */
    ck_assert(!lane_answer(&broken, &a));
    lane_close(&broken);
    lane_fail(&lane, "t.big", args_u64(1000000), PTOOLS_ERR_TOO_LARGE, "the result of t.big has 1000005 bytes");
    check_serves(&lane);
    stop();
}
END_TEST

START_TEST(a_lane_that_ends_in_the_middle)
{
    struct link_frame f = { .type = LINK_RUN, .name_bytes = 5, .body_bytes = 50, .task = UINT64_C(8) << 32 | 1 };
    struct lane other;

    start();
    for (size_t n = 1; n <= sizeof f; n += 13) {
        lane_open(&other, &w, 8);
        ck_assert_int_eq(send(other.fd, &f, n, MSG_NOSIGNAL), (ssize_t)n);
        lane_close(&other);
        check_serves(&lane);
    }
    lane_open(&other, &w, 9);
    lane_give(&other, "t.big", args_u64(1 << 20)); /* nobody will read that */
    lane_close(&other);
    check_serves(&lane);
    stop();
}
END_TEST

START_TEST(large_calls_come_in_pieces)
{
    const size_t n = (8 << 20) + 1;
    ptools_pack *args = ptools_pack_new();
    char *data = malloc(n);
    struct answer a;
    const void *bytes;
    size_t got;

    start();
    memset(data, 'x', n);
    ptools_pack_bytes(args, data, n);
    lane_call(&lane, "a.echo", args, &a);
    ck_assert_int_eq(ptools_get_bytes(a.value, &bytes, &got), PTOOLS_OK);
    ck_assert_uint_eq(got, n);
    ck_assert_int_eq(memcmp(bytes, data, n), 0);
    answer_deinit(&a);
    free(data);
    stop();
}
END_TEST

/* Who does not read their answers waits for themselves alone, and loses nothing. */
START_TEST(answers_that_are_not_read_delay_nobody_else)
{
    struct lane slow;
    struct answer a;
    size_t got;
    const void *bytes;

    start();
    lane_open(&slow, &w, 8);
    lane_give(&slow, "a.bytes", args_u64(4 << 20));
    for (int64_t i = 1; i <= 10; i++)
        lane_give(&slow, "a.add", args_i64(1));
    for (int64_t i = 1; i <= 10; i++) /* they wait behind the answer that is not read */
        check_serves(&lane);
    ck_assert_int_eq(call_i64(&lane, "a.add", args_i64(0)), 0);
    ck_assert(lane_answer(&slow, &a));
    ck_assert_int_eq(ptools_get_bytes(a.value, &bytes, &got), PTOOLS_OK);
    ck_assert_uint_eq(got, 4 << 20);
    ck_assert_uint_eq(((const uint8_t *)bytes)[250], 250);
    ck_assert_uint_eq(((const uint8_t *)bytes)[(4 << 20) - 1], ((4 << 20) - 1) % 251);
    answer_deinit(&a);
    for (int64_t i = 1; i <= 10; i++) {
        ck_assert(lane_answer(&slow, &a));
        ck_assert_int_eq(value_i64(&a), i);
    }
    lane_close(&slow);
    stop();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("worker/stask lanes");
    TCase *lanes = suite_case(suite, "lanes");

    tcase_add_test(lanes, frames_that_make_no_sense_end_the_lane);
    tcase_add_test(lanes, a_call_over_the_limit_ends_the_lane);
    tcase_add_test(lanes, a_lane_that_ends_in_the_middle);
    tcase_add_test(lanes, large_calls_come_in_pieces);
    tcase_add_test(lanes, answers_that_are_not_read_delay_nobody_else);
    return suite_run(suite);
}
