/* SPDX-License-Identifier: MIT */
/*
 * test_joblog -- lines written and read again, torn ones, foreign ones, and two who want to write.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/joblog.h"
#include "tests/support/suite.h"

static char path[] = "/tmp/ptools-test-joblog-XXXXXX";
static char why[JOBLOG_WHY_BYTES];

static void make(void)
{
    close(mkstemp(path));
}

static void drop(void)
{
    unlink(path);
    memcpy(path + strlen(path) - 6, "XXXXXX", 6);
}

static void append(const char *text)
{
    FILE *out = fopen(path, "ae");

    fputs(text, out);
    fclose(out);
}

static void add(struct joblog *log, uint64_t seq, int status, const char *command)
{
    const struct joblog_line line = { .seq = seq,
                                      .start_ms = 1700000000123,
                                      .run_us = 1234567,
                                      .sent = 3,
                                      .received = 4,
                                      .exit_status = status,
                                      .command = command,
                                      .n_command = strlen(command) };

    joblog_add(log, &line);
    ck_assert(joblog_flush(log, true, 1));
}

static bool has(const struct joblog *log, uint64_t seq, const char *command)
{
    bool other, has = joblog_has(log, seq, command, strlen(command), &other);

    return has && !other;
}

START_TEST(again)
{
    struct joblog log;
    char text[400] = "";
    bool other;
    FILE *in;

    make();
    ck_assert_int_eq(joblog_open(&log, path, JOBLOG_RESUME, why), 0);
    add(&log, 2, 1, "b x");
    add(&log, 1, 0, "a");
    joblog_close(&log);
    in = fopen(path, "re");
    ck_assert_uint_gt(fread(text, 1, sizeof text - 1, in), 0);
    fclose(in);
    ck_assert_str_eq(text, "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand\n"
                           "2\t:\t1700000000.123\t     1.235\t3\t4\t1\t0\tb x\n"
                           "1\t:\t1700000000.123\t     1.235\t3\t4\t0\t0\ta\n");
    ck_assert_int_eq(joblog_open(&log, path, JOBLOG_RESUME_FAILED, why), 0);
    ck_assert(has(&log, 1, "a"));
    ck_assert(!has(&log, 2, "b x"));
    ck_assert(!has(&log, 3, "c"));
    ck_assert(joblog_has(&log, 1, "other", 5, &other) && other);
    add(&log, 2, 0, "b x");
    joblog_close(&log);
    ck_assert_int_eq(joblog_open(&log, path, JOBLOG_RESUME_FAILED, why), 0);
    ck_assert(has(&log, 2, "b x")); /* the last line counts */
    joblog_close(&log);
    ck_assert_int_eq(joblog_open(&log, path, JOBLOG_NEW, why), 0);
    ck_assert(!has(&log, 1, "a"));
    joblog_close(&log);
    drop();
}
END_TEST

START_TEST(torn)
{
    static const char line[] = "1\t:\t1700000000.123\t     1.235\t3\t4\t0\t0\ta\n";
    char part[sizeof line];
    struct joblog log;

    for (size_t cut = 1; cut < sizeof line - 1; cut++) {
        make();
        ck_assert_int_eq(joblog_open(&log, path, JOBLOG_NEW, why), 0);
        add(&log, 7, 0, "g");
        joblog_close(&log);
        memcpy(part, line, cut);
        part[cut] = '\0';
        append(part);
        ck_assert_int_eq(joblog_open(&log, path, JOBLOG_RESUME, why), 0);
        ck_assert(has(&log, 7, "g") && !has(&log, 1, "a"));
        add(&log, 1, 0, "a");
        joblog_close(&log);
        ck_assert_int_eq(joblog_open(&log, path, JOBLOG_RESUME, why), 0);
        ck_assert(has(&log, 7, "g") && has(&log, 1, "a"));
        joblog_close(&log);
        drop();
    }
}
END_TEST

START_TEST(foreign)
{
    struct joblog log, second;

    make();
    append("Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand\n"
           "1\t:\t1700000000.123\t     0.002\t0\t2\t0\t0\techo a\tb\n"); /* by GNU parallel */
    ck_assert_int_eq(joblog_open(&log, path, JOBLOG_RESUME, why), 0);
    ck_assert(has(&log, 1, "echo a\tb"));
    ck_assert_int_eq(joblog_open(&second, path, JOBLOG_NEW, why), 1);
    ck_assert_ptr_nonnull(strstr(why, "another ptools"));
    joblog_close(&second);
    joblog_close(&log);
    append("x\ty\n");
    ck_assert_int_eq(joblog_open(&log, path, JOBLOG_RESUME, why), 1);
    ck_assert_ptr_nonnull(strstr(why, "line 3"));
    joblog_close(&log);
    drop();
    ck_assert_int_eq(joblog_open(&log, "/nowhere/log", JOBLOG_NEW, why), 1);
    joblog_close(&log);
    ck_assert_int_eq(joblog_open(&log, "/dev/null", JOBLOG_RESUME, why), 0);
    add(&log, 1, 0, "a");
    joblog_close(&log);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("joblog");
    TCase *tc = suite_case(suite, "joblog");

    tcase_add_test(tc, again);
    tcase_add_test(tc, torn);
    tcase_add_test(tc, foreign);
    return suite_run(suite);
}
