/* SPDX-License-Identifier: MIT */
/* Lines of the log: one write, one line, whatever is in them. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "daemon/worker/log.h"
#include "tests/support/suite.h"

static char line[4096];

/* Runs with stderr in a pipe; what comes out is in line. */
static void say(enum log_level level, const char *what)
{
    int ends[2], saved = dup(STDERR_FILENO);
    ssize_t n;

    ck_assert_int_eq(pipe(ends), 0);
    dup2(ends[1], STDERR_FILENO);
    log_say(level, "event-name", "%s", what);
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(ends[1]);
    n = read(ends[0], line, sizeof line - 1);
    ck_assert_int_ge(n, 0);
    line[n] = '\0';
    close(ends[0]);
}

START_TEST(lines_are_key_and_value)
{
    char expected[128];

    log_set_level(LOG_LEVEL_INFO);
    say(LOG_LEVEL_WARNING, "plain");
    snprintf(expected, sizeof expected, "level=warning event=event-name pid=%d what=\"plain\"\n", (int)getpid());
    ck_assert_str_eq(line, expected);
    log_set_worker(4);
    say(LOG_LEVEL_INFO, "a \"quoted\" \\ and\nbroken \x1b[1m line");
    snprintf(expected, sizeof expected,
             "level=info event=event-name pid=%d worker=4 what=\"a \\\"quoted\\\" \\\\ and?broken ?[1m line\"\n",
             (int)getpid());
    ck_assert_str_eq(line, expected);
}
END_TEST

START_TEST(long_lines_are_cut)
{
    char what[3000];

    memset(what, '"', sizeof what - 1);
    what[sizeof what - 1] = '\0';
    say(LOG_LEVEL_ERROR, what);
    ck_assert_uint_gt(strlen(line), 1000);
    ck_assert_uint_lt(strlen(line), 1280);
    ck_assert_str_eq(line + strlen(line) - 4, "\\\"\"\n");
}
END_TEST

START_TEST(levels_are_kept)
{
    enum log_level level = LOG_LEVEL_DEBUG;

    log_set_level(LOG_LEVEL_WARNING);
    say(LOG_LEVEL_INFO, "x");
    ck_assert_str_eq(line, "");
    say(LOG_LEVEL_ERROR, "x");
    ck_assert_str_ne(line, "");
    ck_assert(log_level_parse("error", &level));
    ck_assert_int_eq(level, LOG_LEVEL_ERROR);
    ck_assert(log_level_parse("debug", &level));
    ck_assert(!log_level_parse("loud", &level));
    ck_assert(!log_level_parse("", &level));
    ck_assert_int_eq(level, LOG_LEVEL_DEBUG);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("worker/log");
    TCase *tc = suite_case(suite, "log");

    tcase_add_test(tc, lines_are_key_and_value);
    tcase_add_test(tc, long_lines_are_cut);
    tcase_add_test(tc, levels_are_kept);
    return suite_run(suite);
}
