/* SPDX-License-Identifier: MIT */
/* Asking the daemon for descriptors: one question, its answer, and the lanes that come in between. */
#include "daemon/worker/errand.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/support/suite.h"
#include "tests/unit/worker/door.h"

static int door;
static struct { /* what was handed on, and closed */
    unsigned n;
    uint64_t number[8];
    bool is_open[8];
} lanes;

static void note_lane(const struct fds_answer *told, int take_fd)
{
    ck_assert_uint_lt(lanes.n, 8);
    lanes.number[lanes.n] = told->bytes;
    lanes.is_open[lanes.n++] = close(take_fd) == 0;
}

static void set_up(void)
{
    int theirs;

    door = door_open(&theirs);
    errand_init(theirs, note_lane);
    memset(&lanes, 0, sizeof lanes);
}

static void tear_down(void)
{
    errand_disown();
    close(door);
}

static int some_fd(void)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

    ck_assert_int_ge(fd, 0);
    return fd;
}

static void tell_lane(uint64_t number, int take_fd)
{
    const struct fds_answer told = { .magic = FDS_MAGIC, .code = FDS_CODE_LANE, .bytes = number };

    door_tell(door, &told, take_fd);
}

static ptools_err ask(struct fds_answer *ret, int *ret_fd)
{
    struct fds_request request = { .kind = FDS_ARRAY, .id = 7, .task = 900, .owner = FDS_OWN };

    errand_ask(&request, ret, ret_fd);
    return (ptools_err)ret->code;
}

START_TEST(a_question_and_its_answer)
{
    const struct fds_answer answer = door_array(7, "a", 10);
    struct fds_request request;
    struct fds_answer told;
    char byte;
    int fd;

    door_give(door, &answer, "x", 1);
    ck_assert_int_eq(ask(&told, &fd), PTOOLS_OK);
    ck_assert_mem_eq(&told, &answer, sizeof told);
    ck_assert_int_eq(pread(fd, &byte, 1, 0), 1);
    ck_assert_int_eq(byte, 'x');
    ck_assert_int_eq(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    close(fd);
    request = door_asked(door);
    ck_assert_uint_eq(request.kind, FDS_ARRAY);
    ck_assert_uint_eq(request.id, 7);
    ck_assert_uint_eq(request.task, 900);
    ck_assert_uint_eq(request.owner, FDS_OWN);
    ck_assert(door_is_quiet(door));
}
END_TEST

START_TEST(refusals)
{
    struct fds_answer told, refused;
    int fd;

    door_refuse(door, PTOOLS_ERR_NO_ARRAY, "no array 7");
    ck_assert_int_eq(ask(&told, &fd), PTOOLS_ERR_NO_ARRAY);
    ck_assert_str_eq(told.text, "no array 7");
    ck_assert_int_eq(fd, -1);
    fds_answer_refuse(&refused, PTOOLS_ERR_NO_ARRAY, "no array 7");
    door_tell(door, &refused, some_fd()); /* what comes along all the same is closed */
    ck_assert_int_eq(ask(&told, &fd), PTOOLS_ERR_NO_ARRAY);
    ck_assert_int_eq(fd, -1);
    door_tell(door, &(struct fds_answer){ .magic = FDS_MAGIC }, -1); /* yes, but nothing with it */
    ck_assert_int_eq(ask(&told, &fd), PTOOLS_ERR_SYSTEM);
    ck_assert_str_eq(told.text, "this process has no descriptor left for the array");
    ck_assert_int_eq(fd, -1);
}
END_TEST

START_TEST(lanes_come_in_between)
{
    const struct fds_answer answer = door_array(7, "a", 10);
    struct fds_answer told;
    int fd;

    tell_lane(1, some_fd());
    tell_lane(2, some_fd());
    tell_lane(3, -1); /* none */
    door_give(door, &answer, "x", 1);
    tell_lane(4, some_fd());
    ck_assert_int_eq(ask(&told, &fd), PTOOLS_OK);
    ck_assert_uint_eq(told.id, 7);
    close(fd);
    ck_assert_uint_eq(lanes.n, 2); /* the fourth is still to come */
    ck_assert_uint_eq(lanes.number[0], 1);
    ck_assert_uint_eq(lanes.number[1], 2);
    errand_receive();
    ck_assert_uint_eq(lanes.n, 3);
    ck_assert_uint_eq(lanes.number[2], 4);
    ck_assert(lanes.is_open[0] && lanes.is_open[1] && lanes.is_open[2]);
    errand_receive(); /* nothing is there, and it does not wait */
    ck_assert_uint_eq(lanes.n, 3);
}
END_TEST

START_TEST(what_comes_unasked_and_is_no_lane)
{
    const struct fds_answer answer = door_array(7, "a", 10);

    door_give(door, &answer, "x", 1);
    errand_receive();
    door_refuse(door, PTOOLS_ERR_NO_ARRAY, "no array 7");
    errand_receive();
    tell_lane(1, -1);
    errand_receive();
    ck_assert_uint_eq(lanes.n, 0);
}
END_TEST

START_TEST(whoever_takes_no_lanes_closes_them)
{
    struct fds_answer told;
    int theirs, fd;

    tear_down();
    door = door_open(&theirs);
    errand_init(theirs, NULL);
    tell_lane(1, some_fd());
    errand_receive();
    tell_lane(2, some_fd());
    door_refuse(door, PTOOLS_ERR_NO_ARRAY, "no array 7");
    ck_assert_int_eq(ask(&told, &fd), PTOOLS_ERR_NO_ARRAY);
    ck_assert_uint_eq(lanes.n, 0);
}
END_TEST

START_TEST(packets_that_are_none)
{
    struct fds_answer answer = door_array(7, "a", 10), told;
    int fd;

    fd = some_fd();
    door_tell_bytes(door, &answer, sizeof answer - 1, &fd, 1);
    ck_assert_int_eq(ask(&told, &fd), PTOOLS_ERR_SYSTEM);
    answer.magic++;
    fd = some_fd();
    door_tell_bytes(door, &answer, sizeof answer, &fd, 1);
    ck_assert_int_eq(ask(&told, &fd), PTOOLS_ERR_SYSTEM);
    ck_assert_int_eq(fd, -1);
    fd = some_fd();
    door_tell_bytes(door, &answer, sizeof answer, &fd, 1);
    errand_receive();
    answer.magic--; /* several descriptors: one is taken, and none is left over */
    door_tell_bytes(door, &answer, sizeof answer, (int[]){ some_fd(), some_fd(), some_fd() }, 3);
    ck_assert_int_eq(ask(&told, &fd), PTOOLS_OK);
    close(fd);
}
END_TEST

START_TEST(the_daemon_is_gone)
{
    struct fds_answer told;
    int fd;

    shutdown(door, SHUT_RDWR);
    ck_assert_int_eq(ask(&told, &fd), PTOOLS_ERR_SYSTEM);
    ck_assert_str_eq(told.text, "the socket to ptoolsd for descriptors is gone: Broken pipe");
    ck_assert_int_eq(fd, -1);
    errand_receive(); /* does not mind */
}
END_TEST

START_TEST(after_a_fork_it_is_the_parents)
{
    struct fds_answer told;
    int fd;

    ck_assert_int_ge(errand_fd(), 0);
    errand_disown();
    ck_assert_int_eq(errand_fd(), -1);
    errand_disown();
    ck_assert_int_eq(ask(&told, &fd), PTOOLS_ERR_SYSTEM);
    errand_receive();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("worker/errand");
    TCase *tc = suite_case(suite, "errand");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, a_question_and_its_answer);
    tcase_add_test(tc, refusals);
    tcase_add_test(tc, lanes_come_in_between);
    tcase_add_test(tc, what_comes_unasked_and_is_no_lane);
    tcase_add_test(tc, whoever_takes_no_lanes_closes_them);
    tcase_add_test(tc, packets_that_are_none);
    tcase_add_test(tc, the_daemon_is_gone);
    tcase_add_test(tc, after_a_fork_it_is_the_parents);
    return suite_run(suite);
}
