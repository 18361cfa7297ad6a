/* SPDX-License-Identifier: MIT */
/*
 * The arrays that a process has mapped: asked for once, found by number and by name, for whom they are; and what is
 * told of them is not believed.
 */
#include "daemon/worker/arrays.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/worker/errand.h"
#include "tests/support/failing.h"
#include "tests/support/suite.h"
#include "tests/unit/worker/door.h"

static int door;
static unsigned lanes;
static char why[ARRAYS_WHY_BYTES];
static struct ptools_array *a;

static void count_lane(const struct fds_answer *told, int take_fd)
{
    (void)told;
    lanes++;
    close(take_fd);
}

static void set_up(void)
{
    int theirs;

    door = door_open(&theirs);
    errand_init(theirs, count_lane);
    arrays_init(false);
    lanes = 0;
    a = NULL;
}

static void tear_down(void)
{
    errand_disown();
    close(door);
}

/* An array of user 1000 with 10 bytes, the first of them `first`, is told of when it is asked for. */
static void has(uint64_t id, const char *name, char first)
{
    const struct fds_answer answer = door_array(id, name, 10);

    door_give(door, &answer, &first, 1);
}

static char first_byte(void)
{
    return *(char *)ptools_array_data(a);
}

/* By user 1000. */
static ptools_err by_id(uint64_t id)
{
    return arrays_by_id(id, 900, 1000, &a, why);
}

static ptools_err by_name(const char *prefix, const char *name)
{
    return arrays_by_name(prefix, name, 900, 1000, &a, why);
}

START_TEST(by_number)
{
    struct ptools_array *first;
    struct fds_request request;

    has(7, NULL, 'x');
    ck_assert_int_eq(by_id(7), PTOOLS_OK);
    request = door_asked(door);
    ck_assert_uint_eq(request.kind, FDS_ARRAY);
    ck_assert_uint_eq(request.id, 7);
    ck_assert_uint_eq(request.task, 900);
    ck_assert_uint_eq(request.owner, FDS_OWN);
    ck_assert_int_eq(first_byte(), 'x');
    ck_assert_uint_eq(ptools_array_bytes(a), 10);
    ck_assert_uint_eq(ptools_array_id(a), 7);
    ck_assert_str_eq(ptools_array_name(a), "");
    ck_assert(!ptools_array_read_only(a));
    *(char *)ptools_array_data(a) = 'y';
    first = a;
    ck_assert_int_eq(by_id(7), PTOOLS_OK); /* not asked again */
    ck_assert(door_is_quiet(door));
    ck_assert_ptr_eq(a, first);
    ck_assert_int_eq(first_byte(), 'y');
    ck_assert_uint_eq(door_mappings(0, "rw-s"), 1);
}
END_TEST

START_TEST(by_its_name)
{
    struct fds_answer answer = door_array(7, "a", 10);
    struct ptools_array *first;
    struct fds_request request;

    strcpy(answer.prefix, "run");
    door_give(door, &answer, "x", 1);
    ck_assert_int_eq(by_name("run", "a"), PTOOLS_OK);
    request = door_asked(door);
    ck_assert_uint_eq(request.kind, FDS_ARRAY);
    ck_assert_uint_eq(request.id, 0);
    ck_assert_uint_eq(request.owner, FDS_OWN);
    ck_assert_str_eq(request.name, "a");
    ck_assert_str_eq(request.prefix, "run");
    ck_assert_str_eq(ptools_array_name(a), "a");
    ck_assert_str_eq(ptools_array_prefix(a), "run");
    first = a;
    ck_assert_int_eq(by_name("run", "a"), PTOOLS_OK);
    ck_assert_ptr_eq(a, first);
    ck_assert_int_eq(by_id(7), PTOOLS_OK);
    ck_assert_ptr_eq(a, first);
    ck_assert(door_is_quiet(door));
    has(8, "a", 'z'); /* without the prefix it is another */
    ck_assert_int_eq(by_name("", "a"), PTOOLS_OK);
    ck_assert_ptr_ne(a, first);
    ck_assert_int_eq(first_byte(), 'z');
}
END_TEST

START_TEST(by_number_first_and_then_by_name)
{
    has(7, "a", 'x');
    ck_assert_int_eq(by_id(7), PTOOLS_OK);
    ck_assert_int_eq(by_name("", "a"), PTOOLS_OK);
    door_asked(door);
    ck_assert(door_is_quiet(door));
}
END_TEST

START_TEST(names_that_are_none_are_not_asked_for)
{
    static const char *const bad[] = { "", "a/b", "1a", "a b",
                                       "a2345678901234567890123456789012345678901234567890123456789012345" };

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ck_assert_int_eq(by_name("", bad[i]), PTOOLS_ERR_INVALID);
        ck_assert_ptr_nonnull(strstr(why, "is no name of an array"));
    }
    ck_assert_int_eq(by_name("a/b", "a"), PTOOLS_ERR_INVALID);
    ck_assert(door_is_quiet(door));
}
END_TEST

START_TEST(refusals_are_passed_on)
{
    struct fds_answer answer;

    door_refuse(door, PTOOLS_ERR_NO_ARRAY, "no array run/a");
    ck_assert_int_eq(by_name("run", "a"), PTOOLS_ERR_NO_ARRAY);
    ck_assert_str_eq(why, "no array run/a");
    fds_answer_refuse(&answer, PTOOLS_ERR_LIMIT, " ");
    memset(answer.text, 'x', sizeof answer.text); /* without an end */
    door_tell(door, &answer, -1);
    ck_assert_int_eq(by_id(7), PTOOLS_ERR_LIMIT);
    ck_assert_uint_eq(strlen(why), sizeof why - 1);
    ck_assert_ptr_null(a);
    has(7, NULL, 'x'); /* next time there may be one */
    ck_assert_int_eq(by_id(7), PTOOLS_OK);
}
END_TEST

/* What a process has mapped for one user is no other user's, unless the daemon says so. */
START_TEST(others_are_asked_for)
{
    struct ptools_array *first;

    has(7, "a", 'x');
    ck_assert_int_eq(by_id(7), PTOOLS_OK);
    door_asked(door);
    first = a;
    a = NULL;
    door_refuse(door, PTOOLS_ERR_NO_ARRAY, "no array 7");
    ck_assert_int_eq(arrays_by_id(7, 901, 1001, &a, why), PTOOLS_ERR_NO_ARRAY);
    ck_assert_ptr_null(a);
    ck_assert_uint_eq(door_asked(door).task, 901);
    door_refuse(door, PTOOLS_ERR_NO_ARRAY, "no array a");
    ck_assert_int_eq(arrays_by_name("", "a", 901, 1001, &a, why), PTOOLS_ERR_NO_ARRAY);
    has(7, "a", 'x'); /* it is shared with this one */
    ck_assert_int_eq(arrays_by_id(7, 902, 1002, &a, why), PTOOLS_OK);
    ck_assert_ptr_eq(a, first);
    ck_assert_uint_eq(door_mappings(0, NULL), 1); /* and still mapped once */
}
END_TEST

/* Also for uid 0, and also what has no name. */
START_TEST(root_is_asked_for_too)
{
    has(7, NULL, 'x');
    ck_assert_int_eq(arrays_make(900, 10, &a, why), PTOOLS_OK);
    door_asked(door);
    door_refuse(door, PTOOLS_ERR_NO_ARRAY, "no array 7");
    ck_assert_int_eq(arrays_by_id(7, 901, 0, &a, why), PTOOLS_ERR_NO_ARRAY);
    ck_assert_int_eq(by_id(7), PTOOLS_OK); /* its owner is known */
    door_asked(door);
    ck_assert(door_is_quiet(door));
}
END_TEST

START_TEST(a_new_one_for_a_value)
{
    struct fds_request request;

    has(7, NULL, 0);
    ck_assert_int_eq(arrays_make(900, 10, &a, why), PTOOLS_OK);
    request = door_asked(door);
    ck_assert_uint_eq(request.kind, FDS_MAKE);
    ck_assert_uint_eq(request.bytes, 10);
    ck_assert_uint_eq(request.task, 900);
    ck_assert_uint_eq(a->id, 7);
    door_refuse(door, PTOOLS_ERR_LIMIT, "over the limit");
    ck_assert_int_eq(arrays_make(900, 10, &a, why), PTOOLS_ERR_LIMIT);
    ck_assert_str_eq(why, "over the limit");
}
END_TEST

START_TEST(forgotten_ones_are_unmapped)
{
    has(7, "a", 'x');
    ck_assert_int_eq(by_name("", "a"), PTOOLS_OK);
    door_asked(door);
    arrays_forget(8); /* not mapped: no matter */
    ck_assert_uint_eq(door_mappings(0, NULL), 1);
    arrays_forget(7);
    ck_assert_uint_eq(door_mappings(0, NULL), 0);
    arrays_forget(7);
    door_refuse(door, PTOOLS_ERR_NO_ARRAY, "no array 7");
    ck_assert_int_eq(by_id(7), PTOOLS_ERR_NO_ARRAY);
    has(9, "a", 'y'); /* another has the name now */
    ck_assert_int_eq(by_name("", "a"), PTOOLS_OK);
    ck_assert_uint_eq(a->id, 9);
    ck_assert_int_eq(first_byte(), 'y');
}
END_TEST

/* Functions of server tasks may keep pointers: there what has ended is mapped still, but has no name any more. */
START_TEST(in_server_tasks_what_functions_were_given_stays)
{
    struct ptools_array *first;

    arrays_init(true);
    has(6, "", 'z'); /* arguments, or room for a value */
    ck_assert_int_eq(by_id(6), PTOOLS_OK);
    door_asked(door);
    arrays_forget(6);
    ck_assert_uint_eq(door_mappings(0, NULL), 0);
    has(7, "a", 'x');
    ck_assert_int_eq(by_name("", "a"), PTOOLS_OK);
    door_asked(door);
    arrays_given(a);
    first = a;
    arrays_forget(7);
    ck_assert_uint_eq(door_mappings(0, NULL), 1);
    ck_assert_int_eq(*(char *)ptools_array_data(first), 'x');
    ck_assert_int_eq(by_id(7), PTOOLS_OK);
    ck_assert_ptr_eq(a, first);
    ck_assert(door_is_quiet(door));
    has(9, "a", 'y');
    ck_assert_int_eq(by_name("", "a"), PTOOLS_OK);
    ck_assert_uint_eq(a->id, 9);
    arrays_given(a);
    arrays_forget(7);
    arrays_forget(9);
    ck_assert_uint_eq(door_mappings(0, NULL), 2);
}
END_TEST

START_TEST(lanes_come_in_between)
{
    const struct fds_answer lane = { .magic = FDS_MAGIC, .code = FDS_CODE_LANE };

    door_tell(door, &lane, door_segment("", 1, 1));
    door_tell(door, &lane, door_segment("", 1, 1));
    has(7, NULL, 'x');
    ck_assert_int_eq(by_id(7), PTOOLS_OK);
    ck_assert_uint_eq(lanes, 2);
    ck_assert_int_eq(first_byte(), 'x');
}
END_TEST

START_TEST(read_only_ones_cannot_be_written)
{
    struct fds_answer answer = door_array(7, NULL, 10);

    answer.flags = FDS_IS_READ_ONLY;
    door_give(door, &answer, "x", 1);
    ck_assert_int_eq(by_id(7), PTOOLS_OK);
    ck_assert(ptools_array_read_only(a));
    ck_assert_int_eq(first_byte(), 'x');
    ck_assert_uint_eq(door_mappings(0, "r--s"), 1);
}
END_TEST

START_TEST(what_is_to_be_read_alone_is_asked_for_so)
{
    struct fds_answer answer = door_array(7, NULL, 10);
    struct ptools_array *first;

    answer.flags = FDS_IS_READ_ONLY;
    door_give(door, &answer, "x", 1);
    ck_assert_int_eq(arrays_to_read(7, 900, 1000, &a, why), PTOOLS_OK);
    ck_assert_uint_eq(door_asked(door).flags, FDS_READ_ONLY);
    ck_assert_int_eq(first_byte(), 'x');
    first = a;
    ck_assert_int_eq(arrays_to_read(7, 901, 1000, &a, why), PTOOLS_OK);
    ck_assert_ptr_eq(a, first);
    ck_assert(door_is_quiet(door));
    ck_assert_uint_eq(door_mappings(0, "r--s"), 1);
    has(8, NULL, 'y');
    ck_assert_int_eq(by_id(8), PTOOLS_OK);
    ck_assert_uint_eq(door_asked(door).flags, 0);
}
END_TEST

START_TEST(from_an_offset_on_and_all_at_once)
{
    struct fds_answer answer = door_array(7, NULL, 100);
    int fd = door_segment("begin", 5, 3 * DOOR_PAGE);

    ck_assert_int_eq(pwrite(fd, "later", 5, DOOR_PAGE), 5);
    answer.offset = DOOR_PAGE;
    answer.flags = FDS_IS_FILE | FDS_POPULATE;
    answer.mapped_bytes = 100; /* as of a file */
    door_tell(door, &answer, fd);
    ck_assert_int_eq(by_id(7), PTOOLS_OK);
    ck_assert_mem_eq(ptools_array_data(a), "later", 5);
    arrays_forget(7);
    ck_assert_uint_eq(door_mappings(0, NULL), 0);
}
END_TEST

static struct fds_answer spoilt(int how)
{
    struct fds_answer answer = door_array(7, "a", 10);

    switch (how) {
    case 0:
        answer.type = 0;
        break;
    case 1:
        answer.ndims = 9;
        break;
    case 2:
        answer.dims[0] = 11;
        break;
    case 3:
        answer.mapped_bytes = 9;
        break;
    case 4:
        answer.offset = UINT64_MAX;
        break;
    case 5:
        memset(answer.name, 'a', sizeof answer.name);
        break;
    default:
        memset(answer.prefix, 'a', sizeof answer.prefix);
    }
    return answer;
}

START_TEST(what_does_not_hang_together)
{
    struct fds_answer answer;

    for (int how = 0; how < 7; how++) {
        answer = spoilt(how);
        door_tell(door, &answer, door_segment("x", 1, 10));
        ck_assert_int_eq(by_id(7), PTOOLS_ERR_PROTOCOL);
        ck_assert_str_eq(why, "what ptoolsd tells of array 7 does not hang together");
        ck_assert_uint_eq(door_mappings(0, NULL), 0);
    }
    answer = door_array(7, NULL, 5000);
    door_tell(door, &answer, door_segment("x", 1, 10));
    ck_assert_int_eq(by_id(7), PTOOLS_ERR_BAD_FILE);
    ck_assert_str_eq(why, "the file behind array 7 has become too short: 4096 bytes; 5000 from 0 on are needed");
    answer = door_array(7, NULL, 10);
    answer.offset = 10; /* nothing can be mapped from there */
    door_tell(door, &answer, door_segment("x", 1, 10));
    ck_assert_int_eq(by_id(7), PTOOLS_ERR_SYSTEM);
    ck_assert_ptr_nonnull(strstr(why, "mapping 4096 bytes: "));
    answer = door_array(7, NULL, UINT64_C(1) << 60);
    door_tell(door, &answer, door_segment("x", 1, 10));
    ck_assert_int_eq(by_id(7), PTOOLS_ERR_BAD_FILE);
    ck_assert_ptr_null(a);
}
END_TEST

START_TEST(the_daemon_is_gone)
{
    has(7, "a", 'x');
    ck_assert_int_eq(by_id(7), PTOOLS_OK);
    shutdown(door, SHUT_RDWR);
    ck_assert_int_eq(by_id(8), PTOOLS_ERR_SYSTEM);
    ck_assert_int_eq(by_id(7), PTOOLS_OK); /* what is here is here */
}
END_TEST

START_TEST(without_memory)
{
    ptools_err err;
    unsigned nth;

    for (nth = 1;; nth++) {
        has(7, "a", 'x');
        failing_at(nth);
        err = by_name("", "a");
        if (!failing_stop())
            break;
        if (err == PTOOLS_OK) { /* mapped, only not found by its name */
            ck_assert_int_eq(by_id(7), PTOOLS_OK);
        } else {
            ck_assert_int_eq(err, PTOOLS_ERR_FAILED);
            ck_assert_str_eq(why, "the worker has no memory for an array");
        }
        arrays_forget(7);
        ck_assert_uint_eq(door_mappings(0, NULL), 0);
    }
    ck_assert_int_eq(err, PTOOLS_OK);
    ck_assert_uint_gt(nth, 4);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("worker/arrays");
    TCase *tc = suite_case(suite, "arrays");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, by_number);
    tcase_add_test(tc, by_its_name);
    tcase_add_test(tc, by_number_first_and_then_by_name);
    tcase_add_test(tc, names_that_are_none_are_not_asked_for);
    tcase_add_test(tc, refusals_are_passed_on);
    tcase_add_test(tc, others_are_asked_for);
    tcase_add_test(tc, root_is_asked_for_too);
    tcase_add_test(tc, a_new_one_for_a_value);
    tcase_add_test(tc, forgotten_ones_are_unmapped);
    tcase_add_test(tc, in_server_tasks_what_functions_were_given_stays);
    tcase_add_test(tc, lanes_come_in_between);
    tcase_add_test(tc, read_only_ones_cannot_be_written);
    tcase_add_test(tc, what_is_to_be_read_alone_is_asked_for_so);
    tcase_add_test(tc, from_an_offset_on_and_all_at_once);
    tcase_add_test(tc, what_does_not_hang_together);
    tcase_add_test(tc, the_daemon_is_gone);
    tcase_add_test(tc, without_memory);
    return suite_run(suite);
}
