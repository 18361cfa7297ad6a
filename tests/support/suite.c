/* SPDX-License-Identifier: MIT */
/*
 * suite -- see suite.h. Check forks each test, so that one that crashes fails alone; the count of
 * descriptors is taken in the fork, before and after.
 */
#include "tests/support/suite.h"

#include <dirent.h>
#include <stdlib.h>

static int open_before;

static int count_open(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int n = 0;

    ck_assert_ptr_nonnull(dir);
    while (readdir(dir))
        n++;
    closedir(dir);
    return n;
}

static void before(void)
{
    open_before = count_open();
}

static void after(void)
{
    ck_assert_msg(count_open() == open_before, "the test leaves descriptors open: %d before, %d after", open_before,
                  count_open());
}

TCase *suite_case(Suite *suite, const char *name)
{
    TCase *tc = tcase_create(name);

    tcase_add_checked_fixture(tc, before, after);
    tcase_set_timeout(tc, 120);
    suite_add_tcase(suite, tc);
    return tc;
}

int suite_run(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    int failed;

    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
