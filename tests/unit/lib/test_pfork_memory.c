/* SPDX-License-Identifier: MIT */
/*
 * test_pfork_memory -- every allocation of a pfork fails once, in the caller or in its children: each time the call, or
 * the child concerned, fails cleanly, and nothing is left.
 */
#include <stdio.h>
#include <string.h>

#include "tests/support/failing.h"
#include "tests/unit/lib/pfork_rig.h"

enum { N = 3 };

static ptools_err give(int i, ptools_array *const *arrays, void *arg, ptools_child *child)
{
    static char large[5000];
    ptools_pack *p = ptools_child_result(child);

    (void)arg;
    ((int64_t *)ptools_array_data(arrays[0]))[i - 1] = i;
    if (i == 3)
        return ptools_child_fail(child, "child %d fails", i);
    ptools_pack_i64(p, i);
    ptools_pack_bytes(p, large, sizeof large);
    fputs("some output", stderr);
    return PTOOLS_OK;
}

static void check(const ptools_children *c)
{
    for (int i = 1; i <= N; i++) {
        const ptools_child_outcome *o = outcome_of(c, i);

        ck_assert_msg(o->code == PTOOLS_ERR_NO_MEMORY || o->code == (i == 3 ? PTOOLS_ERR_FAILED : PTOOLS_OK),
                      "child %d: %s: %s", i, ptools_errname(o->code), o->message);
        if (o->code == PTOOLS_OK)
            ck_assert_uint_eq(o->errors_bytes + o->errors_dropped, strlen("some output"));
    }
}

START_TEST(each_allocation_fails_once)
{
    const ptools_shmcfg cfg = PTOOLS_SHMCFG(NULL, PTOOLS_INT64, N);
    ptools_pfork_options o = PTOOLS_PFORK_OPTIONS_INIT;
    unsigned failures = 0, nth;

    o.errors = PTOOLS_PFORK_CAPTURE;
    for (nth = 1;; nth++) {
        ptools_array *array = NULL;
        ptools_children *c;
        ptools_err err;
        bool failed;

        failing_at(nth);
        err = ptools_pfork_shm(N, &cfg, 1, give, NULL, &o, &array, &c, NULL);
        failed = failing_stop();
        failures += err == PTOOLS_ERR_NO_MEMORY;
        ck_assert_msg(err == PTOOLS_ERR_FAILED || err == PTOOLS_ERR_NO_MEMORY, "allocation %u: %s", nth,
                      ptools_errname(err));
        ck_assert_int_eq(array != NULL, c != NULL);
        if (c)
            check(c);
        ptools_children_free(c);
        ptools_array_free(array);
        ck_no_children();
        if (!failed)
            break;
    }
    ck_assert_uint_ge(nth, 6); /* more or less, as children end sooner or later */
    ck_assert_uint_ge(failures, 2);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("pfork_memory");
    TCase *tc = suite_case(s, "memory");

    tcase_add_test(tc, each_allocation_fails_once);
    return suite_run(s);
}
