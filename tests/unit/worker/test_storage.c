/* SPDX-License-Identifier: MIT */
/*
 * Task local storage: values and pointers by name, and when destructors are called. Memory that is refused, by way
 * of tests/support/failing.h, leaves what was there.
 */
#include "daemon/worker/storage.h"

#include <stdio.h>
#include <string.h>

#include "proto/value.h"
#include "tests/support/failing.h"
#include "tests/support/suite.h"

static struct storage *s;
static char told[200]; /* which destructors were called */

static void set_up(void)
{
    s = NULL;
    told[0] = '\0';
}

static void tell(void *pointer)
{
    strcat(told, pointer);
    strcat(told, " ");
}

static ptools_err set_i64(const char *name, int64_t v)
{
    ptools_pack *pack = ptools_pack_new();
    const uint8_t *data;
    ptools_err err;
    size_t n;

    ptools_pack_i64(pack, v);
    ck_assert_int_eq(pack_finish_value(pack, &data, &n), PTOOLS_OK);
    err = storage_set(&s, name, data, n);
    ptools_pack_free(pack); /* it was copied */
    return err;
}

static int64_t get_i64(const char *name)
{
    ptools_value v;
    int64_t i;

    ck_assert_int_eq(storage_get(s, name, &v), PTOOLS_OK);
    ck_assert_int_eq(ptools_get_i64(v, &i), PTOOLS_OK);
    return i;
}

static ptools_err set(const char *name, const char *pointer)
{
    return storage_set_pointer(&s, name, (void *)(uintptr_t)pointer, tell);
}

START_TEST(values_by_name)
{
    char longest[STORAGE_NAME_BYTES + 1];
    ptools_value v;

    memset(longest, 'n', STORAGE_NAME_BYTES);
    longest[STORAGE_NAME_BYTES] = '\0';
    ck_assert_int_eq(storage_get(s, "a", &v), PTOOLS_ERR_RANGE);
    ck_assert_int_eq(set_i64("a", 1), PTOOLS_OK);
    ck_assert_int_eq(set_i64("b", 2), PTOOLS_OK);
    ck_assert_int_eq(set_i64(longest, 3), PTOOLS_OK);
    ck_assert_int_eq(get_i64("a"), 1);
    ck_assert_int_eq(get_i64("b"), 2);
    ck_assert_int_eq(get_i64(longest), 3);
    ck_assert_int_eq(set_i64("a", 4), PTOOLS_OK); /* instead */
    ck_assert_int_eq(get_i64("a"), 4);
    storage_del(&s, "a");
    ck_assert_int_eq(storage_get(s, "a", &v), PTOOLS_ERR_RANGE);
    storage_del(&s, "a"); /* nothing to delete, and no harm */
    ck_assert_int_eq(get_i64("b"), 2);
    storage_clear(&s);
    ck_assert_ptr_null(s);
    storage_clear(&s);
}
END_TEST

START_TEST(what_is_no_value)
{
    static const uint8_t none[] = { 0xc1 }, two[] = { 1, 2 }, half[] = { 0x92, 1 };

    ck_assert_int_eq(set_i64("a", 1), PTOOLS_OK);
    ck_assert_int_eq(storage_set(&s, "a", none, sizeof none), PTOOLS_ERR_INVALID);
    ck_assert_int_eq(storage_set(&s, "a", two, sizeof two), PTOOLS_ERR_INVALID);
    ck_assert_int_eq(storage_set(&s, "a", half, sizeof half), PTOOLS_ERR_INVALID);
    ck_assert_int_eq(storage_set(&s, "a", none, 0), PTOOLS_ERR_INVALID);
    ck_assert_int_eq(get_i64("a"), 1); /* what was there is there */
    storage_clear(&s);
}
END_TEST

START_TEST(values_and_pointers_are_two_kinds)
{
    ptools_value v;
    void *p;

    ck_assert_int_eq(set_i64("a", 1), PTOOLS_OK);
    ck_assert_int_eq(set("p", "first"), PTOOLS_OK);
    ck_assert_int_eq(storage_get_pointer(s, "a", &p), PTOOLS_ERR_TYPE);
    ck_assert_int_eq(storage_get(s, "p", &v), PTOOLS_ERR_TYPE);
    ck_assert_int_eq(storage_get_pointer(s, "nothing", &p), PTOOLS_ERR_RANGE);
    ck_assert_int_eq(storage_get_pointer(s, "p", &p), PTOOLS_OK);
    ck_assert_str_eq(p, "first");
    ck_assert_int_eq(set_i64("p", 2), PTOOLS_OK); /* one instead of the other */
    ck_assert_str_eq(told, "first ");
    ck_assert_int_eq(get_i64("p"), 2);
    ck_assert_int_eq(storage_set_pointer(&s, "a", NULL, NULL), PTOOLS_OK); /* NULL is a pointer too */
    ck_assert_int_eq(storage_get_pointer(s, "a", &p), PTOOLS_OK);
    ck_assert_ptr_null(p);
    storage_clear(&s);
    ck_assert_str_eq(told, "first ");
}
END_TEST

START_TEST(each_destructor_is_called_once)
{
    set("a", "a1");
    set("b", "b1");
    set("c", "c1");
    set("b", "b2");
    ck_assert_str_eq(told, "b1 ");
    storage_del(&s, "a");
    storage_del(&s, "a");
    ck_assert_str_eq(told, "b1 a1 ");
    set("a", "a2");
    storage_clear(&s);
    ck_assert_str_eq(told, "b1 a1 c1 b2 a2 "); /* in the order in which they were set */
    storage_clear(&s);
    ck_assert_str_eq(told, "b1 a1 c1 b2 a2 ");
}
END_TEST

/* -- destructors that use the storage ------------------------------------------------------------------------ */

static void sets_another(void *pointer)
{
    tell(pointer);
    set("another", "another");
}

static void sets_the_same(void *pointer)
{
    tell(pointer);
    set("a", "of the destructor");
}

static void looks_and_deletes(void *pointer)
{
    void *p;

    tell(pointer);
    ck_assert_int_eq(storage_get_pointer(s, "a", &p), PTOOLS_ERR_RANGE); /* itself is out of it */
    storage_del(&s, "b");
    storage_del(&s, "a");
}

START_TEST(a_destructor_may_use_the_storage)
{
    void *p;

    storage_set_pointer(&s, "a", (char[]){ "first" }, looks_and_deletes);
    set("b", "b");
    storage_del(&s, "a");
    ck_assert_str_eq(told, "first b ");
    ck_assert_ptr_null(s);

    told[0] = '\0';
    storage_set_pointer(&s, "a", (char[]){ "first" }, sets_another);
    storage_clear(&s);
    ck_assert_str_eq(told, "first another "); /* also what came while it was cleared */
    ck_assert_ptr_null(s);

    told[0] = '\0';
    storage_set_pointer(&s, "a", (char[]){ "first" }, sets_the_same);
    set("a", "second");
    ck_assert_str_eq(told, "first second "); /* the destructor had the last word, and there is one "a" */
    ck_assert_int_eq(storage_get_pointer(s, "a", &p), PTOOLS_OK);
    ck_assert_str_eq(p, "of the destructor");
    storage_del(&s, "a");
    ck_assert_int_eq(storage_get_pointer(s, "a", &p), PTOOLS_ERR_RANGE);
    ck_assert_ptr_null(s);
}
END_TEST

START_TEST(many_names)
{
    char name[16];

    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "n%d", i);
        ck_assert_int_eq(set_i64(name, i), PTOOLS_OK);
    }
    for (int i = 0; i < 1000; i += 2) {
        snprintf(name, sizeof name, "n%d", i);
        storage_del(&s, name);
    }
    for (int i = 1; i < 1000; i += 2) {
        snprintf(name, sizeof name, "n%d", i);
        ck_assert_int_eq(get_i64(name), i);
    }
    storage_clear(&s);
}
END_TEST

/* Whatever is refused: what was there stays, and a pointer that was not taken is not destroyed. */
START_TEST(without_memory)
{
    static const uint8_t list[] = { 0x92, 0xa1, 'x', 0x81, 0x01, 0x02 };
    unsigned refused = 0;
    void *p;

    for (unsigned nth = 1, failed = true; failed; nth++) {
        ptools_err first, value, pointer;

        told[0] = '\0';
        failing_at(nth);
        first = set("a", "old");
        value = first == PTOOLS_OK ? storage_set(&s, "a", list, sizeof list) : PTOOLS_OK;
        pointer = first == PTOOLS_OK && value == PTOOLS_OK ? set("a", "new") : PTOOLS_OK;
        failed = failing_stop();
        refused += first != PTOOLS_OK || value != PTOOLS_OK || pointer != PTOOLS_OK;
        if (first != PTOOLS_OK) {
            ck_assert_int_eq(first, PTOOLS_ERR_NO_MEMORY);
            ck_assert_ptr_null(s);
            ck_assert_str_eq(told, "");
        } else if (value != PTOOLS_OK) {
            ck_assert_int_eq(value, PTOOLS_ERR_NO_MEMORY);
            ck_assert_int_eq(storage_get_pointer(s, "a", &p), PTOOLS_OK);
            ck_assert_str_eq(p, "old");
            ck_assert_str_eq(told, "");
        } else if (pointer != PTOOLS_OK) {
            ptools_value v;

            ck_assert_int_eq(pointer, PTOOLS_ERR_NO_MEMORY);
            ck_assert_int_eq(storage_get(s, "a", &v), PTOOLS_OK);
            ck_assert_str_eq(told, "old ");
        }
        storage_clear(&s);
        ck_assert_ptr_null(s);
    }
    ck_assert_uint_gt(refused, 5);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("worker/storage");
    TCase *tc = suite_case(suite, "storage");

    tcase_add_checked_fixture(tc, set_up, NULL);
    tcase_add_test(tc, values_by_name);
    tcase_add_test(tc, what_is_no_value);
    tcase_add_test(tc, values_and_pointers_are_two_kinds);
    tcase_add_test(tc, each_destructor_is_called_once);
    tcase_add_test(tc, a_destructor_may_use_the_storage);
    tcase_add_test(tc, many_names);
    tcase_add_test(tc, without_memory);
    return suite_run(suite);
}
