/* SPDX-License-Identifier: MIT */
/*
 * Large arguments and values of a task, which lie in arrays: the frames of a real worker, and what it asks for at
 * its socket for descriptors. What passes through the link alone is tested with worker.c.
 */
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/suite.h"
#include "tests/unit/worker/door.h"
#include "tests/unit/worker/driver.h"

enum { LARGE = 100000, MANY = 200000 }; /* the limit above which arrays are used, and a value above it */

static struct driver d;
static struct peer w;

static void start_with(const char *const args[])
{
    driver_start(&d, TEST_MODULES, args);
    peer_start(&w, &d, 3);
}

static void stop(void)
{
    ck_assert_int_eq(peer_stop(&w), 0);
    driver_stop(&d);
}

/* A frame under construction. */
static struct {
    struct link_frame head;
    uint8_t body[200];
    size_t n;
} run;

static void add(const void *data, size_t n)
{
    memcpy(run.body + run.n, data, n);
    run.n += n;
}

static void prepare(uint64_t task, const char *function)
{
    peer_prepare(&w, task, function, &run.head);
    run.head.b = LARGE;
    run.n = 0;
    add(function, strlen(function));
}

static void add_room(uint64_t array)
{
    run.head.code |= RUN_ROOM;
    add(&array, sizeof array);
}

static void add_reference(uint64_t array, uint64_t bytes)
{
    const struct link_reference where = { array, bytes };

    run.head.code |= RUN_ARGS_ARRAY;
    add(&where, sizeof where);
}

static void add_u64(uint64_t v)
{
    ptools_pack *args = args_u64(v);
    const uint8_t *data;
    size_t n;

    ck_assert_int_eq(pack_finish_arguments(args, &data, &n), PTOOLS_OK);
    add(data, n);
    ptools_pack_free(args);
}

static void send_it(void)
{
    peer_send(&w, &run.head, run.body, run.n);
}

/* The arguments [bytes], n of them, in an array that is told of; how many bytes they take there. */
static uint64_t tell_arguments(uint64_t id, size_t n)
{
    ptools_pack *args = ptools_pack_new();
    char *data = calloc(1, n);
    struct fds_answer answer;
    const uint8_t *packed;
    size_t packed_n;

    data[0] = 1; /* the least byte of the first word */
    data[8] = 2;
    ptools_pack_bytes(args, data, n);
    ck_assert_int_eq(pack_finish_arguments(args, &packed, &packed_n), PTOOLS_OK);
    answer = door_array(id, NULL, packed_n);
    answer.owner = 1234;
    door_give(w.fds, &answer, packed, packed_n);
    ptools_pack_free(args);
    free(data);
    return packed_n;
}

/* An array of n bytes that stays open here. */
static int tell_room(uint64_t id, size_t n)
{
    struct fds_answer answer = door_array(id, NULL, n);
    int fd = door_segment("", 1, n);

    answer.owner = 1234;
    door_tell(w.fds, &answer, dup(fd));
    return fd;
}

static void check_failed(ptools_err code, const char *text)
{
    struct answer a;

    ck_assert(peer_answer(&w, &a));
    ck_assert_int_eq(a.frame.type, LINK_DONE);
    ck_assert_str_eq(ptools_errname((ptools_err)a.frame.code), ptools_errname(code));
    ck_assert_msg(strstr(a.texts[0], text) != NULL, "\"%s\" is not in \"%s\"", text, a.texts[0]);
    answer_deinit(&a);
}

/* The value of a.bytes(MANY) lies in that array, which is closed. */
static void check_value_in(uint64_t array, int take_fd)
{
    static uint8_t value[MANY + 5];
    struct link_reference where;
    struct answer a;

    ck_assert(peer_answer(&w, &a));
    ck_assert_int_eq(a.frame.type, LINK_DONE_ARRAY);
    ck_assert_int_eq(a.frame.code, PTOOLS_OK);
    ck_assert_uint_eq(a.frame.body_bytes, sizeof where);
    memcpy(&where, a.body, sizeof where);
    ck_assert_uint_eq(where.array, array);
    ck_assert_uint_eq(where.bytes, sizeof value);
    ck_assert_int_eq(pread(take_fd, value, sizeof value, 0), sizeof value);
    ck_assert_uint_eq(value[0], 0xc6); /* bin 32 */
    ck_assert_uint_eq(value[5 + 250], 250);
    ck_assert_uint_eq(value[5 + MANY - 1], (MANY - 1) % 251);
    answer_deinit(&a);
    close(take_fd);
}

static void check_value_on_the_link(void)
{
    struct answer a;
    const void *bytes;
    size_t n;

    ck_assert(peer_answer(&w, &a));
    ck_assert_int_eq(a.frame.type, LINK_DONE);
    ck_assert_int_eq(a.frame.code, PTOOLS_OK);
    ck_assert_int_eq(ptools_get_bytes(a.value, &bytes, &n), PTOOLS_OK);
    ck_assert_uint_eq(n, MANY);
    answer_deinit(&a);
}

/* -- arguments ------------------------------------------------------------------------------------------------- */

START_TEST(arguments_are_read_where_they_lie)
{
    struct fds_request request;
    struct answer a;
    uint64_t sum, n;

    start_with(NULL);
    n = tell_arguments(5, MANY);
    for (uint64_t task = 1; task <= 2; task++) { /* the second time they are there */
        prepare(task, "a.words");
        add_reference(5, n);
        send_it();
        if (task == 1) {
            request = door_asked(w.fds);
            ck_assert_uint_eq(request.kind, FDS_ARRAY);
            ck_assert_uint_eq(request.id, 5);
            ck_assert_uint_eq(request.task, 1);
        }
        ck_assert(peer_answer(&w, &a));
        ck_assert_int_eq(ptools_get_u64(a.value, &sum), PTOOLS_OK);
        ck_assert_uint_eq(sum, 3);
        answer_deinit(&a);
    }
    ck_assert(door_is_quiet(w.fds));
    peer_send(&w, &(struct link_frame){ .type = LINK_FORGET, .task = 5 }, NULL, 0);
    peer_call(&w, 3, "a.nop", NULL, &a);
    answer_deinit(&a);
    ck_assert_uint_eq(door_mappings((int)w.pid, NULL), 0);
    stop();
}
END_TEST

START_TEST(arguments_that_cannot_be_read)
{
    struct fds_answer garbage = door_array(6, NULL, 10);
    uint64_t n;

    start_with(NULL);
    door_refuse(w.fds, PTOOLS_ERR_NO_ARRAY, "no array 5");
    prepare(1, "a.words");
    add_reference(5, 10);
    send_it();
    check_failed(PTOOLS_ERR_NO_ARRAY, "the arguments of a.words cannot be read: no array 5");
    n = tell_arguments(5, 100);
    prepare(2, "a.words");
    add_reference(5, n + 1);
    send_it();
    check_failed(PTOOLS_ERR_BAD_ARGUMENT, "the arguments of a.words are said to be longer than their array");
    prepare(3, "a.words");
    add_reference(5, n - 1);
    send_it();
    check_failed(PTOOLS_ERR_BAD_ARGUMENT, "the arguments of a.words are not msgpack");
    garbage.owner = 1234;
    door_give(w.fds, &garbage, "\x01", 1);
    prepare(4, "a.words");
    add_reference(6, 1);
    send_it();
    check_failed(PTOOLS_ERR_BAD_ARGUMENT, "the arguments of a.words are not a list");
    prepare(5, "a.words");
    add_reference(0, 1); /* none */
    send_it();
    check_failed(PTOOLS_ERR_BAD_ARGUMENT, "argument 1 of a.words is missing");
    stop();
}
END_TEST

/* -- values ---------------------------------------------------------------------------------------------------- */

START_TEST(a_value_goes_into_the_room_of_the_call)
{
    int fd;

    start_with(NULL);
    fd = tell_room(7, MANY + 5);
    prepare(1, "a.bytes");
    add_room(7);
    add_u64(MANY);
    send_it();
    check_value_in(7, fd);
    ck_assert_uint_eq(door_asked(w.fds).id, 7);
    ck_assert(door_is_quiet(w.fds));
    stop();
}
END_TEST

START_TEST(a_value_goes_into_room_that_is_made)
{
    struct fds_request request;
    int fd;

    start_with(NULL);
    fd = tell_room(8, MANY + 5);
    prepare(1, "a.bytes");
    add_u64(MANY);
    send_it();
    check_value_in(8, fd);
    request = door_asked(w.fds);
    ck_assert_uint_eq(request.kind, FDS_MAKE);
    ck_assert_uint_eq(request.task, 1);
    ck_assert_uint_eq(request.bytes, MANY + 5);
    stop();
}
END_TEST

START_TEST(room_that_is_of_no_use)
{
    struct fds_answer read_only = door_array(6, NULL, MANY + 5);
    int fd, small;

    start_with(NULL);
    small = tell_room(7, MANY + 4); /* one byte */
    fd = tell_room(8, MANY + 5);
    prepare(1, "a.bytes");
    add_room(7);
    add_u64(MANY);
    send_it();
    check_value_in(8, fd);
    close(small);
    ck_assert_uint_eq(door_asked(w.fds).id, 7);
    ck_assert_uint_eq(door_asked(w.fds).kind, FDS_MAKE);

    door_refuse(w.fds, PTOOLS_ERR_NO_ARRAY, "no array 5");
    fd = tell_room(9, MANY + 5);
    prepare(2, "a.bytes");
    add_room(5);
    add_u64(MANY);
    send_it();
    check_value_in(9, fd);
    ck_assert_uint_eq(door_asked(w.fds).id, 5);
    ck_assert_uint_eq(door_asked(w.fds).kind, FDS_MAKE);

    read_only.flags = FDS_IS_READ_ONLY;
    door_give(w.fds, &read_only, "", 1);
    fd = tell_room(10, MANY + 5);
    prepare(3, "a.bytes");
    add_room(6);
    add_u64(MANY);
    send_it();
    check_value_in(10, fd);
    stop();
}
END_TEST

START_TEST(without_room_a_value_goes_through_the_link)
{
    start_with(NULL);
    door_refuse(w.fds, PTOOLS_ERR_LIMIT, "over the limit");
    prepare(1, "a.bytes");
    add_u64(MANY);
    send_it();
    check_value_on_the_link();
    prepare(2, "a.bytes"); /* what is asked for small is not even asked for */
    run.head.b = MANY + 5;
    add_u64(MANY);
    send_it();
    check_value_on_the_link();
    prepare(3, "a.bytes");
    run.head.b = 0; /* never */
    add_room(7);
    add_u64(MANY);
    send_it();
    check_value_on_the_link();
    ck_assert_uint_eq(door_asked(w.fds).kind, FDS_MAKE);
    ck_assert(door_is_quiet(w.fds));
    stop();
}
END_TEST

START_TEST(a_value_that_fits_nowhere)
{
    static const char *const args[] = { "--message-max", "150000", NULL };
    int fd;

    start_with(args);
    door_refuse(w.fds, PTOOLS_ERR_LIMIT, "over the limit user_shm_max");
    prepare(1, "a.bytes");
    add_u64(MANY);
    send_it();
    check_failed(PTOOLS_ERR_TOO_LARGE, "the result of a.bytes has 200005 bytes, the limit is 84464 (over the limit "
                                       "user_shm_max)");
    prepare(2, "a.bytes");
    run.head.b = 0;
    add_u64(MANY);
    send_it();
    check_failed(PTOOLS_ERR_TOO_LARGE, "(the caller takes none by descriptor)");
    fd = tell_room(8, MANY + 5); /* larger than any message: that is what it is for */
    prepare(3, "a.bytes");
    add_u64(MANY);
    send_it();
    check_value_in(8, fd);
    stop();
}
END_TEST

START_TEST(arguments_and_value_both)
{
    uint64_t n;
    struct answer a;
    int fd;

    start_with(NULL);
    n = tell_arguments(5, MANY);
    fd = tell_room(7, n);
    prepare(1, "a.echo");
    add_room(7);
    add_reference(5, n);
    send_it();
    ck_assert(peer_answer(&w, &a));
    ck_assert_int_eq(a.frame.type, LINK_DONE_ARRAY);
    answer_deinit(&a);
    close(fd);
    ck_assert_uint_eq(door_asked(w.fds).id, 5);
    ck_assert_uint_eq(door_asked(w.fds).id, 7);
    stop();
}
END_TEST

/* -- server tasks do the same on their lanes ------------------------------------------------------------------- */

START_TEST(on_a_lane)
{
    static uint8_t value[MANY + 5];
    struct link_reference where;
    struct fds_request request;
    struct lane lane;
    struct answer a;
    uint64_t sum;
    int fd;

    driver_start(&d, TEST_MODULES, NULL);
    peer_start_stask(&w, &d, 0, 1, "");
    lane_open(&lane, &w, 7);
    prepare(lane_number(&lane, 1), "a.words");
    add_reference(5, MANY + 6); /* what tell_arguments() will pack */
    lane_send(&lane, &run.head, run.body, run.n);
    ck_assert_uint_eq(door_asked(w.fds).task, lane_number(&lane, 1));
    ck_assert_uint_eq(tell_arguments(5, MANY), MANY + 6); /* not before it is asked for: a server task listens */
    ck_assert(lane_answer(&lane, &a));
    ck_assert_int_eq(ptools_get_u64(a.value, &sum), PTOOLS_OK);
    ck_assert_uint_eq(sum, 3);
    answer_deinit(&a);

    prepare(lane_number(&lane, 2), "a.bytes");
    add_u64(MANY);
    lane_send(&lane, &run.head, run.body, run.n);
    request = door_asked(w.fds);
    ck_assert_uint_eq(request.kind, FDS_MAKE);
    ck_assert_uint_eq(request.task, lane_number(&lane, 2)); /* its lane says whose it will be */
    fd = tell_room(8, MANY + 5);
    ck_assert(lane_answer(&lane, &a));
    ck_assert_int_eq(a.frame.type, LINK_DONE_ARRAY);
    memcpy(&where, a.body, sizeof where);
    ck_assert_uint_eq(where.array, 8);
    ck_assert_int_eq(pread(fd, value, sizeof value, 0), (ssize_t)where.bytes);
    ck_assert_uint_eq(value[5 + 250], 250);
    answer_deinit(&a);
    close(fd);
    lane_close(&lane);
    stop();
}
END_TEST

/* -- frames ------------------------------------------------------------------------------------------------------ */

START_TEST(frames_that_make_no_sense)
{
    struct answer a;

    driver_start(&d, TEST_MODULES, NULL);
    for (int how = 0; how < 4; how++) {
        peer_start(&w, &d, 3);
        prepare(1, "a.words");
        if (how == 0)
            run.head.code = 4; /* an unknown flag */
        else if (how == 1)
            run.head.code = RUN_ROOM; /* without it */
        else if (how == 2)
            add_reference(5, 10);
        if (how == 2)
            run.n--;
        if (how == 3) {
            add_room(7);
            add_reference(5, 10);
            add("x", 1); /* arguments in both places */
        }
        send_it();
        ck_assert(!peer_answer(&w, &a));
        ck_assert_int_eq(WEXITSTATUS(peer_wait(&w)), WORKER_EXIT_PROTOCOL);
        peer_free(&w);
    }
    driver_stop(&d);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("worker/execute");
    TCase *tc = suite_case(suite, "large");

    tcase_add_test(tc, arguments_are_read_where_they_lie);
    tcase_add_test(tc, arguments_that_cannot_be_read);
    tcase_add_test(tc, a_value_goes_into_the_room_of_the_call);
    tcase_add_test(tc, a_value_goes_into_room_that_is_made);
    tcase_add_test(tc, room_that_is_of_no_use);
    tcase_add_test(tc, without_room_a_value_goes_through_the_link);
    tcase_add_test(tc, a_value_that_fits_nowhere);
    tcase_add_test(tc, arguments_and_value_both);
    tcase_add_test(tc, on_a_lane);
    tcase_add_test(tc, frames_that_make_no_sense);
    return suite_run(suite);
}
