/* SPDX-License-Identifier: MIT */
/* program -- see program.h. */
#include "tests/bench/program.h"

#include <stdio.h>
#include <stdlib.h>

unsigned program_setting(const char *name, unsigned usual, unsigned most)
{
    const char *text = getenv(name);
    char *end = NULL;
    unsigned long n = text ? strtoul(text, &end, 10) : usual;

    ck_assert_msg(n >= 1 && n <= most && (!text || *end == '\0'), "%s must be a number from 1 to %u", name, most);
    return (unsigned)n;
}

int program_run(const char *program, const TTest *test)
{
    Suite *suite = suite_create("bench");
    TCase *tcase = tcase_create(program);
    SRunner *runner = srunner_create(suite);
    TestResult **failures;
    int n;

    suite_add_tcase(suite, tcase);
    tcase_add_test(tcase, test);
    tcase_set_timeout(tcase, 0);
    srunner_set_fork_status(runner, CK_FORK); /* and what a failed one leaves running is ended with it */
    srunner_run_all(runner, CK_SILENT);
    n = srunner_ntests_failed(runner);
    failures = srunner_failures(runner);
    for (int i = 0; i < n; i++)
        fprintf(stderr, "%s: %s:%d: %s\n", program, tr_lfile(failures[i]), tr_lno(failures[i]), tr_msg(failures[i]));
    free(failures);
    srunner_free(runner);
    return n > 0;
}

void must(ptools *pt, ptools_err err)
{
    if (err != PTOOLS_OK)
        ck_abort_msg("%s: %s", ptools_errname(err), ptools_error_message(pt));
}
