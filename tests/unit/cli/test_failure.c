/* SPDX-License-Identifier: MIT */
/*
 * test_failure -- the exit status of every code, and failures as text and as JSON.
 */
#include <stdlib.h>
#include <string.h>

#include "client/cli/failure.h"
#include "tests/support/suite.h"
#include "tests/unit/cli/values.h"

static const struct {
    ptools_err code;
    int status;
} statuses[] = {
    { PTOOLS_OK, 0 },
    { PTOOLS_ERR_INVALID, 2 },
    { PTOOLS_ERR_NO_MEMORY, 125 },
    { PTOOLS_ERR_SYSTEM, 125 },
    { PTOOLS_ERR_CLOSED, 125 },
    { PTOOLS_ERR_FORKED, 125 },
    { PTOOLS_ERR_AGAIN, 125 },
    { PTOOLS_ERR_TIMEOUT, 125 },
    { PTOOLS_ERR_TYPE, 125 },
    { PTOOLS_ERR_RANGE, 125 },
    { PTOOLS_ERR_NO_DAEMON, 125 },
    { PTOOLS_ERR_DENIED, 125 },
    { PTOOLS_ERR_VERSION, 125 },
    { PTOOLS_ERR_PROTOCOL, 125 },
    { PTOOLS_ERR_LOST, 125 },
    { PTOOLS_ERR_TRANSPORT, 125 },
    { PTOOLS_ERR_BAD_REQUEST, 125 },
    { PTOOLS_ERR_LIMIT, 125 },
    { PTOOLS_ERR_TOO_LARGE, 125 },
    { PTOOLS_ERR_DRAINING, 125 },
    { PTOOLS_ERR_NO_MODULE, 125 },
    { PTOOLS_ERR_MODULE_BROKEN, 125 },
    { PTOOLS_ERR_NO_FUNCTION, 125 },
    { PTOOLS_ERR_NO_SET, 125 },
    { PTOOLS_ERR_NO_WORKER, 125 },
    { PTOOLS_ERR_NO_TASK, 125 },
    { PTOOLS_ERR_EXISTS, 125 },
    { PTOOLS_ERR_NO_ARRAY, 125 },
    { PTOOLS_ERR_NO_SPACE, 125 },
    { PTOOLS_ERR_MISMATCH, 125 },
    { PTOOLS_ERR_BAD_FILE, 125 },
    { PTOOLS_ERR_NO_STASKS, 125 },
    { PTOOLS_ERR_KEY_REUSED, 125 },
    { PTOOLS_ERR_STORAGE, 125 },
    { PTOOLS_ERR_NOT_NOW, 125 },
    { PTOOLS_ERR_DEADLOCK, 125 },
    { PTOOLS_ERR_FAILED, 1 },
    { PTOOLS_ERR_BAD_ARGUMENT, 1 },
    { PTOOLS_ERR_WORKER_DIED, 1 },
    { PTOOLS_ERR_OUT_OF_MEMORY, 1 },
    { PTOOLS_ERR_STATE_LOST, 1 },
    { PTOOLS_ERR_NOT_RUN, 130 },
    { PTOOLS_ERR_EXPIRED, 124 },
    { PTOOLS_ERR_DEAD, 1 },
    { PTOOLS_ERR_DAEMON_DIED, 1 },
    { PTOOLS_ERR_DEPENDENCY, 130 },
    { PTOOLS_ERR_PARTS, 1 },
    { PTOOLS_ERR_EXITED, 1 },
    { PTOOLS_ERR_DEADLINE, 124 },
    { PTOOLS_ERR_CANCELLED, 130 },
    { PTOOLS_ERR_INTERNAL, 125 },
};

/* The table above has every code that has a name, and each status is explained. */
START_TEST(every_code)
{
    size_t named = 0;

    for (int code = 0; code < 1000; code++)
        named += strcmp(ptools_errname((ptools_err)code), ptools_errname((ptools_err)999)) != 0;
    ck_assert_uint_eq(named, sizeof statuses / sizeof statuses[0]);
    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++) {
        const struct exit_status *row = exit_statuses;

        ck_assert_msg(failure_exit_status(statuses[i].code) == statuses[i].status, "%s: %d",
                      ptools_errname(statuses[i].code), failure_exit_status(statuses[i].code));
        while (row->meaning && row->status != statuses[i].status)
            row++;
        ck_assert_ptr_nonnull(row->meaning);
    }
    ck_assert_int_eq(failure_exit_status((ptools_err)999), 125); /* of a newer daemon */
}
END_TEST

static const ptools_failure crash = {
    .code = PTOOLS_ERR_WORKER_DIED,
    .message = "worker 3 died of SIGSEGV in text.count\x1b[31m",
    .task = 12,
    .worker = 3,
    .attempt = 1,
    .pid = 4711,
    .exit_status = -1,
    .signal = 11,
    .maybe_executed = true,
    .run_us = 2310000,
    .peak_bytes = 12u << 20,
    .phase = "reading",
    .progress = 3,
    .progress_of = 10,
    .log = "one\ntwo\n",
    .backtrace = "count+0x12\nmain+0x40\n",
};

static char *report(bool json, const ptools_failure *f, int status)
{
    struct command_line line = { .verb = &verb_call, .json = json };
    struct capture c;

    capture(&c, 2);
    ck_assert_int_eq(failure_report(&line, f, status), status);
    return captured(&c);
}

START_TEST(as_text)
{
    char *text = report(false, &crash, 1);

    ck_assert_str_eq(text, "ptools call: worker 3 died of SIGSEGV in text.count\\x1b[31m\n"
                           "  code            WORKER_DIED\n"
                           "  task            12\n"
                           "  worker          3 (pid 4711)\n"
                           "  signal          11 (SIGSEGV)\n"
                           "  may have run    yes\n"
                           "  run time        2.3 s\n"
                           "  peak memory     12.0M\n"
                           "  phase           reading\n"
                           "  progress        3 of 10\n"
                           "  last log lines\n"
                           "    one\n"
                           "    two\n"
                           "  backtrace\n"
                           "    count+0x12\n"
                           "    main+0x40\n");
    free(text);
}
END_TEST

START_TEST(as_json)
{
    char *text = report(true, &crash, 1);

    ck_assert_str_eq(
        text, "{\"schema\":1,\"error\":{\"code\":\"WORKER_DIED\",\"number\":62,"
              "\"message\":\"worker 3 died of SIGSEGV in text.count\\u001b[31m\",\"exit\":1,\"task\":12,\"worker\":3,"
              "\"attempt\":1,\"pid\":4711,\"exit_status\":-1,\"signal\":11,\"maybe_executed\":true,"
              "\"run_us\":2310000,\"peak_bytes\":12582912,\"retry_ms\":0,\"phase\":\"reading\",\"progress\":3,"
              "\"progress_of\":10,\"log\":\"one\\ntwo\\n\",\"backtrace\":\"count+0x12\\nmain+0x40\\n\"}}\n");
    free(text);
}
END_TEST

START_TEST(an_exit)
{
    ptools_failure f = crash;
    char *text;

    f.signal = 0;
    f.exit_status = 0; /* exit(0) in the middle of a task is a death, too */
    text = report(false, &f, 1);
    ck_assert_ptr_nonnull(strstr(text, "\n  exit status     0\n"));
    ck_assert_ptr_null(strstr(text, "signal"));
    free(text);
}
END_TEST

/* Of a line of standard input, and over a limit: which line, and when to try again. */
START_TEST(a_line)
{
    struct command_line line = { .verb = &verb_submit, .input_line = 7 };
    ptools_failure f = { .code = PTOOLS_ERR_LIMIT, .message = "too many", .exit_status = -1, .phase = "", .log = "",
                         .backtrace = "", .retry_ms = 2300 };
    struct capture c;
    char *text;

    capture(&c, 2);
    ck_assert_int_eq(failure_report(&line, &f, 125), 125);
    text = captured(&c);
    ck_assert_str_eq(text, "ptools submit: line 7: too many\n  code            LIMIT\n  try again in    2.3 s\n");
    free(text);
    line.json = true;
    capture(&c, 2);
    failure_report(&line, &f, 125);
    text = captured(&c);
    ck_assert_ptr_nonnull(strstr(text, "\"exit\":125,\"line\":7,\"task\":0,"));
    ck_assert_ptr_nonnull(strstr(text, "\"retry_ms\":2300,"));
    free(text);
    capture(&c, 2);
    ck_assert_int_eq(command_line_wrong(&line, "it is odd"), 2);
    text = captured(&c);
    ck_assert_str_eq(text, "ptools submit: line 7: it is odd\n"); /* the usage would be there for each line */
    free(text);
}
END_TEST

/* What is not known is not made up. */
START_TEST(no_facts)
{
    struct command_line line = { .verb = &verb_status };
    struct capture c;
    char *text;

    capture(&c, 2);
    ck_assert_int_eq(failure_report_code(&line, PTOOLS_ERR_NO_DAEMON, "nobody is here"), 125);
    text = captured(&c);
    ck_assert_str_eq(text, "ptools status: nobody is here\n  code            NO_DAEMON\n");
    free(text);
    capture(&c, 2);
    ck_assert_int_eq(failure_report_code(&line, PTOOLS_ERR_NO_MEMORY, NULL), 125);
    text = captured(&c);
    ck_assert_ptr_nonnull(strstr(text, ptools_strerror(PTOOLS_ERR_NO_MEMORY)));
    free(text);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("failure");
    TCase *tc = suite_case(suite, "failure");

    tcase_add_test(tc, every_code);
    tcase_add_test(tc, as_text);
    tcase_add_test(tc, as_json);
    tcase_add_test(tc, an_exit);
    tcase_add_test(tc, a_line);
    tcase_add_test(tc, no_facts);
    return suite_run(suite);
}
