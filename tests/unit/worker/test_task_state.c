/* SPDX-License-Identifier: MIT */
/* What <ptools/module.h> offers beside arguments and results: arrays and their views, and task local storage. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "daemon/worker/arrays.h"
#include "daemon/worker/errand.h"
#include "daemon/worker/task.h"
#include "tests/support/suite.h"
#include "tests/unit/worker/door.h"

static struct page page;
static struct ptools_task task;
static ptools_pack *args;
static int door;

static void set_up(void)
{
    int theirs;

    memset(&page, 0, sizeof page);
    ck_assert_int_eq(task_init(&task, &page, 5), 0);
    args = ptools_pack_new();
    door = door_open(&theirs);
    errand_init(theirs, NULL);
    arrays_init(false);
}

static void tear_down(void)
{
    args = ptools_pack_free(args);
    task_deinit(&task);
    errand_disown();
    close(door);
}

/* Begins a task with what is in args. */
static void begin(void)
{
    static const struct link_frame run = { .task = 900, .attempt = 2, .a = 1000 };
    const uint8_t *data;
    size_t n;

    ck_assert_int_eq(pack_finish_arguments(args, &data, &n), PTOOLS_OK);
    ck_assert_int_eq(task_begin(&task, &run, "m.f", data, n), PTOOLS_OK);
}

static void check_refused(ptools_err err, ptools_err code, const char *message)
{
    ck_assert_str_eq(ptools_errname(err), ptools_errname(code));
    ck_assert_str_eq(task_message(&task), message);
}

/* A float64[3,4] that counts from 0, under that name and prefix "run". */
static void has_matrix(uint64_t id, const char *name)
{
    struct fds_answer answer = door_array(id, name, 96);
    double v[12];

    for (int i = 0; i < 12; i++)
        v[i] = i;
    answer.type = PTOOLS_FLOAT64;
    answer.ndims = 2;
    answer.dims[0] = 3;
    answer.dims[1] = 4;
    strcpy(answer.prefix, "run");
    door_give(door, &answer, v, sizeof v);
}

/* -- arrays ------------------------------------------------------------------------------------------------ */

START_TEST(an_array_is_found_and_checked)
{
    struct fds_request request;
    ptools_array *a = NULL, *again;

    begin();
    has_matrix(7, "a");
    ck_assert_int_eq(ptools_task_array(&task, "run", "a", PTOOLS_FLOAT64, 2, (uint64_t[]){ 3, 4 }, &a), PTOOLS_OK);
    request = door_asked(door);
    ck_assert_str_eq(request.name, "a");
    ck_assert_str_eq(request.prefix, "run");
    ck_assert_uint_eq(request.task, 900);
    ck_assert(((double *)ptools_array_data(a))[11] == 11);
    ck_assert_int_eq(ptools_task_array(&task, "run", "a", 0, 0, NULL, &again), PTOOLS_OK); /* whatever it is */
    ck_assert_ptr_eq(again, a);
    ck_assert_int_eq(ptools_task_array(&task, "run", "a", PTOOLS_FLOAT64, 2, NULL, &again), PTOOLS_OK);
    ck_assert_int_eq(ptools_task_array(&task, "run", "a", 0, 2, (uint64_t[]){ 0, 4 }, &again), PTOOLS_OK);
    ck_assert(door_is_quiet(door));
}
END_TEST

START_TEST(the_prefix_is_the_server_tasks_unless_another_is_named)
{
    ptools_array *a;

    begin();
    has_matrix(7, "a");
    strcpy(task.prefix, "run");
    ck_assert_int_eq(ptools_task_array(&task, NULL, "a", 0, 0, NULL, &a), PTOOLS_OK);
    ck_assert_str_eq(door_asked(door).prefix, "run");
    door_refuse(door, PTOOLS_ERR_NO_ARRAY, "no array a");
    check_refused(ptools_task_array(&task, "", "a", 0, 0, NULL, &a), PTOOLS_ERR_NO_ARRAY, "no array a");
    ck_assert_str_eq(door_asked(door).prefix, "");
}
END_TEST

START_TEST(a_mismatch_tells_both)
{
    ptools_array *a = NULL;

    begin();
    has_matrix(7, "a");
    check_refused(ptools_task_array(&task, "run", "a", PTOOLS_INT32, 0, NULL, &a), PTOOLS_ERR_MISMATCH,
                  "array run/a is float64[3,4]; m.f wants int32");
    check_refused(ptools_task_array(&task, "run", "a", PTOOLS_FLOAT64, 1, NULL, &a), PTOOLS_ERR_MISMATCH,
                  "array run/a is float64[3,4]; m.f wants float64[any]");
    check_refused(ptools_task_array(&task, "run", "a", 0, 2, (uint64_t[]){ 0, 5 }, &a), PTOOLS_ERR_MISMATCH,
                  "array run/a is float64[3,4]; m.f wants any type[any,5]");
    ck_assert_ptr_null(a);
    ck_assert_int_eq(task_outcome(&task, PTOOLS_ERR_MISMATCH, &(const uint8_t *){ NULL }, &(size_t){ 0 }),
                     PTOOLS_ERR_MISMATCH); /* the caller gets code and text */
    ck_assert_str_eq(task_message(&task), "array run/a is float64[3,4]; m.f wants any type[any,5]");
}
END_TEST

START_TEST(misuse_of_ptools_task_array)
{
    ptools_array *a;

    begin();
    check_refused(ptools_task_array(&task, "", NULL, 0, 0, NULL, &a), PTOOLS_ERR_INVALID,
                  "ptools_task_array(): name is NULL");
    check_refused(ptools_task_array(&task, "", "a", 0, 0, NULL, NULL), PTOOLS_ERR_INVALID,
                  "ptools_task_array(): ret is NULL");
    check_refused(ptools_task_array(&task, "", "a", 0, 9, NULL, &a), PTOOLS_ERR_INVALID,
                  "ptools_task_array(): an array has at most 8 dimensions");
    ck_assert_int_eq(ptools_task_array(&task, "", "a b", 0, 0, NULL, &a), PTOOLS_ERR_INVALID);
    ck_assert_ptr_nonnull(strstr(task_message(&task), "\"a b\" with prefix \"\" is no name of an array"));
    ck_assert(door_is_quiet(door));
}
END_TEST

/* -- views ------------------------------------------------------------------------------------------------- */

/* {"$array": {"prefix": "run", "name": "a"}} */
static void pack_by_name(const char *name)
{
    ptools_pack_map(args, 1);
    ptools_pack_str(args, "$array");
    ptools_pack_map(args, 2);
    ptools_pack_str(args, "prefix");
    ptools_pack_str(args, "run");
    ptools_pack_str(args, "name");
    ptools_pack_str(args, name);
}

START_TEST(views_are_resolved)
{
    static double there[12]; /* where its sender has mapped it */
    struct ptools_array sent = { .id = 7, .data = there };
    ptools_view view = { .array = &sent, .data = there + 1, .type = PTOOLS_FLOAT64, .ndims = 1 }, v;

    view.dims[0] = 3; /* the second column */
    view.strides[0] = 32;
    ptools_pack_view(args, &view);
    ptools_pack_array(args, &sent);
    pack_by_name("a");
    begin();
    has_matrix(7, "a");
    ck_assert_int_eq(ptools_task_arg_view(&task, 0, PTOOLS_FLOAT64, 1, &v), PTOOLS_OK);
    ck_assert_uint_eq(door_asked(door).id, 7);
    ck_assert_uint_eq(v.dims[0], 3);
    ck_assert_int_eq(v.strides[0], 32);
    ck_assert(*(double *)v.data == 1);
    ck_assert(*(double *)(void *)((char *)v.data + 2 * v.strides[0]) == 9);
    ck_assert_int_eq(ptools_task_arg_view(&task, 1, 0, 0, &v), PTOOLS_OK);
    ck_assert_uint_eq(v.ndims, 2);
    ck_assert_uint_eq(v.dims[1], 4);
    ck_assert_int_eq(ptools_task_arg_view(&task, 2, PTOOLS_FLOAT64, 2, &v), PTOOLS_OK);
    ck_assert_uint_eq(v.array->id, 7);
    ck_assert(door_is_quiet(door));
}
END_TEST

START_TEST(arguments_that_are_no_views)
{
    struct ptools_array sent = { .id = 7 };
    ptools_view view = { .array = &sent, .type = PTOOLS_FLOAT64, .ndims = 1, .dims = { 13 }, .strides = { 8 } }, v;

    ptools_pack_i64(args, 5);
    ptools_pack_array(args, &sent);
    ptools_pack_view(args, &view);
    pack_by_name("b");
    ptools_pack_map(args, 1);
    ptools_pack_str(args, "$array");
    ptools_pack_i64(args, 5);
    begin();
    check_refused(ptools_task_arg_view(&task, 0, 0, 0, &v), PTOOLS_ERR_BAD_ARGUMENT,
                  "argument 1 of m.f must be a shared array, not the integer");
    has_matrix(7, "a");
    check_refused(ptools_task_arg_view(&task, 1, PTOOLS_INT8, 0, &v), PTOOLS_ERR_BAD_ARGUMENT,
                  "argument 2 of m.f is float64 with 2 dimensions; wanted is int8");
    check_refused(ptools_task_arg_view(&task, 1, 0, 1, &v), PTOOLS_ERR_BAD_ARGUMENT,
                  "argument 2 of m.f is float64 with 2 dimensions; wanted is any type[any]");
    check_refused(ptools_task_arg_view(&task, 2, 0, 0, &v), PTOOLS_ERR_BAD_ARGUMENT,
                  "argument 3 of m.f: the view is no part of the array, which has 12 elements of float64");
    door_refuse(door, PTOOLS_ERR_NO_ARRAY, "no array run/b");
    check_refused(ptools_task_arg_view(&task, 3, 0, 0, &v), PTOOLS_ERR_BAD_ARGUMENT,
                  "argument 4 of m.f: no array run/b");
    check_refused(ptools_task_arg_view(&task, 4, 0, 0, &v), PTOOLS_ERR_BAD_ARGUMENT,
                  "argument 5 of m.f: the map under \"$array\" is no map: {\"id\": N} or {\"name\": NAME} is expected");
    ck_assert_int_eq(ptools_task_arg_view(&task, 5, 0, 0, &v), PTOOLS_ERR_BAD_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(task_message(&task), "argument 6 of m.f is missing"));
}
END_TEST

/* -- storage ------------------------------------------------------------------------------------------------ */

static char told[100];

static void tell(void *pointer)
{
    strcat(told, pointer);
}

START_TEST(storage_by_name)
{
    ptools_pack *value = ptools_pack_new();
    char x[] = "x";
    ptools_value v;
    int64_t i;
    void *p;

    begin();
    ptools_pack_i64(value, 5);
    ck_assert_int_eq(ptools_task_set(&task, "v", value), PTOOLS_OK);
    ptools_pack_free(value);
    ck_assert_int_eq(ptools_task_set_pointer(&task, "p", x, tell), PTOOLS_OK);
    ck_assert_int_eq(ptools_task_get(&task, "v", &v), PTOOLS_OK);
    ck_assert_int_eq(ptools_get_i64(v, &i), PTOOLS_OK);
    ck_assert_int_eq(i, 5);
    ck_assert_int_eq(ptools_task_get_pointer(&task, "p", &p), PTOOLS_OK);
    ck_assert_str_eq(p, "x");
    check_refused(ptools_task_get(&task, "p", &v), PTOOLS_ERR_TYPE, "\"p\" in task local storage is no value");
    check_refused(ptools_task_get_pointer(&task, "v", &p), PTOOLS_ERR_TYPE,
                  "\"v\" in task local storage is no pointer");
    check_refused(ptools_task_get(&task, "n", &v), PTOOLS_ERR_RANGE, "there is no \"n\" in task local storage");
    ck_assert_int_eq(ptools_task_del(&task, "p"), PTOOLS_OK);
    ck_assert_str_eq(told, "x");
    ck_assert_int_eq(ptools_task_del(&task, "p"), PTOOLS_OK); /* it is not there: as it was to be */
}
END_TEST

START_TEST(misuse_of_storage)
{
    ptools_pack *value = ptools_pack_new();
    char name[STORAGE_NAME_BYTES + 2];
    ptools_value v;
    void *p;

    begin();
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    ptools_pack_i64(value, 5);
    check_refused(ptools_task_set(&task, name, value), PTOOLS_ERR_INVALID,
                  "names in task local storage have 1 to 64 bytes, not 65");
    check_refused(ptools_task_set_pointer(&task, "", NULL, NULL), PTOOLS_ERR_INVALID,
                  "names in task local storage have 1 to 64 bytes, not 0");
    ck_assert_int_eq(ptools_task_get(&task, NULL, &v), PTOOLS_ERR_INVALID);
    ck_assert_int_eq(ptools_task_get_pointer(&task, NULL, &p), PTOOLS_ERR_INVALID);
    ck_assert_int_eq(ptools_task_del(&task, ""), PTOOLS_ERR_INVALID);
    check_refused(ptools_task_set(&task, "v", NULL), PTOOLS_ERR_INVALID, "ptools_task_set(): value is NULL");
    ptools_pack_list(value, 2);
    check_refused(ptools_task_set(&task, "v", value), PTOOLS_ERR_INVALID,
                  "what is to be kept as \"v\" is no complete value");
    ptools_pack_free(value);
    ck_assert_ptr_null(task.storage);
}
END_TEST

START_TEST(it_ends_with_the_task_but_not_in_server_tasks)
{
    void *p;

    begin();
    ptools_task_set_pointer(&task, "p", (char[]){ "a" }, tell);
    task_end(&task);
    ck_assert_str_eq(told, "a");
    begin();
    ck_assert_int_eq(ptools_task_get_pointer(&task, "p", &p), PTOOLS_ERR_RANGE);
    task_end(&task);

    ck_assert_uint_eq(ptools_task_stask_count(&task), 0);
    ck_assert_uint_eq(ptools_task_stask_index(&task), 0);
    task.stask_index = 1;
    task.stask_count = 3;
    ck_assert_uint_eq(ptools_task_stask_index(&task), 1);
    ck_assert_uint_eq(ptools_task_stask_count(&task), 3);
    begin();
    ptools_task_set_pointer(&task, "p", (char[]){ "b" }, tell);
    task_end(&task);
    ck_assert_str_eq(told, "a");
    begin();
    ck_assert_int_eq(ptools_task_get_pointer(&task, "p", &p), PTOOLS_OK);
    task_end(&task);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("worker/task_state");
    TCase *tc = suite_case(suite, "task state");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, an_array_is_found_and_checked);
    tcase_add_test(tc, the_prefix_is_the_server_tasks_unless_another_is_named);
    tcase_add_test(tc, a_mismatch_tells_both);
    tcase_add_test(tc, misuse_of_ptools_task_array);
    tcase_add_test(tc, views_are_resolved);
    tcase_add_test(tc, arguments_that_are_no_views);
    tcase_add_test(tc, storage_by_name);
    tcase_add_test(tc, misuse_of_storage);
    tcase_add_test(tc, it_ends_with_the_task_but_not_in_server_tasks);
    return suite_run(suite);
}
