/* SPDX-License-Identifier: MIT */
/* What functions are offered by <ptools/module.h>: every check, and the words in which it refuses. */
#include <stdio.h>
#include <string.h>

#include "daemon/worker/task.h"
#include "tests/support/suite.h"

static struct page page;
static struct ptools_task task;
static ptools_pack *args;

static void set_up(void)
{
    memset(&page, 0, sizeof page);
    ck_assert_int_eq(task_init(&task, &page, 5), 0);
    args = ptools_pack_new();
}

static void tear_down(void)
{
    args = ptools_pack_free(args);
    task_deinit(&task);
}

/* Begins a task with what is in args, which must live until its end. */
static void begin(void)
{
    static const struct link_frame run = { .task = 900, .attempt = 2, .a = 1000 };
    const uint8_t *data;
    size_t n;

    ck_assert_int_eq(pack_finish_arguments(args, &data, &n), PTOOLS_OK);
    ck_assert_int_eq(task_begin(&task, &run, "m.f", data, n), PTOOLS_OK);
}

static void check_refused(ptools_err err, const char *message)
{
    ck_assert_int_eq(err, PTOOLS_ERR_BAD_ARGUMENT);
    ck_assert_str_eq(task_message(&task), message);
}

START_TEST(arguments_are_read_by_type)
{
    const void *data;
    const char *s;
    uint64_t u;
    int64_t i;
    double f;
    bool yes;
    size_t n;

    ptools_pack_bool(args, true);
    ptools_pack_i64(args, INT64_MIN);
    ptools_pack_u64(args, UINT64_MAX);
    ptools_pack_f64(args, -0.25);
    ptools_pack_str(args, "text");
    ptools_pack_bytes(args, "\0\1", 2);
    begin();
    ck_assert_uint_eq(ptools_task_argc(&task), 6);
    ck_assert_int_eq(ptools_task_expect(&task, 6), PTOOLS_OK);
    ck_assert_int_eq(ptools_task_arg_bool(&task, 0, &yes), PTOOLS_OK);
    ck_assert(yes);
    ck_assert_int_eq(ptools_task_arg_i64(&task, 1, &i), PTOOLS_OK);
    ck_assert_int_eq(i, INT64_MIN);
    ck_assert_int_eq(ptools_task_arg_u64(&task, 2, &u), PTOOLS_OK);
    ck_assert_uint_eq(u, UINT64_MAX);
    ck_assert_int_eq(ptools_task_arg_f64(&task, 3, &f), PTOOLS_OK);
    ck_assert(f == -0.25);
    ck_assert_int_eq(ptools_task_arg_str(&task, 4, &s), PTOOLS_OK);
    ck_assert_str_eq(s, "text");
    ck_assert_int_eq(ptools_task_arg_bytes(&task, 5, &data, &n), PTOOLS_OK);
    ck_assert_uint_eq(n, 2);
    ck_assert_mem_eq(data, "\0\1", 2);
}
END_TEST

START_TEST(refusals_name_argument_function_and_both_types)
{
    const void *data = &page;
    const char *s = "kept";
    uint64_t u = 1;
    int64_t i = 2;
    double f = 3;
    bool yes = false;
    size_t n = 4;

    ptools_pack_i64(args, -1);
    ptools_pack_u64(args, UINT64_MAX);
    ptools_pack_f64(args, 0.1);
    ptools_pack_str(args, "x");
    ptools_pack_list(args, 0);
    ptools_pack_nil(args);
    ptools_pack_i64(args, (INT64_C(1) << 53) + 1);
    begin();
    check_refused(ptools_task_arg_u64(&task, 0, &u),
                  "argument 1 of m.f must be an integer from 0 to 2^64 - 1, not the integer -1");
    check_refused(ptools_task_arg_i64(&task, 1, &i),
                  "argument 2 of m.f must be an integer from -2^63 to 2^63 - 1, not the integer 18446744073709551615");
    check_refused(ptools_task_arg_i64(&task, 2, &i),
                  "argument 3 of m.f must be an integer from -2^63 to 2^63 - 1, not the float 0.10000000000000001");
    check_refused(ptools_task_arg_f64(&task, 3, &f),
                  "argument 4 of m.f must be a number that a double holds exactly, not the string");
    check_refused(ptools_task_arg_bool(&task, 4, &yes), "argument 5 of m.f must be true or false, not the list");
    check_refused(ptools_task_arg_str(&task, 5, &s), "argument 6 of m.f must be a string, not the nil");
    check_refused(ptools_task_arg_bytes(&task, 3, &data, &n), "argument 4 of m.f must be bytes, not the string");
    check_refused(ptools_task_arg_f64(&task, 6, &f),
                  "argument 7 of m.f must be a number that a double holds exactly, not the integer 9007199254740993");
    ck_assert(u == 1 && i == 2 && f == 3 && !yes && n == 4 && data == &page); /* untouched */
    ck_assert_str_eq(s, "kept");
}
END_TEST

START_TEST(missing_and_superfluous_arguments)
{
    ptools_value v = { &page };

    ptools_pack_nil(args);
    begin();
    check_refused(ptools_task_arg(&task, 1, &v), "argument 2 of m.f is missing: there is 1");
    check_refused(ptools_task_arg(&task, UINT32_MAX, &v), "argument 4294967296 of m.f is missing: there is 1");
    ck_assert_ptr_eq(v.object, &page);
    check_refused(ptools_task_expect(&task, 0), "m.f takes 0 arguments, not 1");
    check_refused(ptools_task_expect(&task, 2), "m.f takes 2 arguments, not 1");
    ptools_pack_nil(args);
    begin();
    check_refused(ptools_task_expect(&task, 1), "m.f takes 1 argument, not 2");
}
END_TEST

START_TEST(strings_are_terminated_and_stay)
{
    const char *first, *second, *again, *empty;

    ptools_pack_str(args, "one");
    ptools_pack_str(args, "two");
    ptools_pack_str(args, "");
    ptools_pack_strn(args, "a\0b", 3);
    begin();
    ck_assert_int_eq(ptools_task_arg_str(&task, 0, &first), PTOOLS_OK);
    ck_assert_int_eq(ptools_task_arg_str(&task, 1, &second), PTOOLS_OK);
    ck_assert_int_eq(ptools_task_arg_str(&task, 2, &empty), PTOOLS_OK);
    ck_assert_int_eq(ptools_task_arg_str(&task, 0, &again), PTOOLS_OK);
    ck_assert_str_eq(first, "one");
    ck_assert_str_eq(second, "two");
    ck_assert_str_eq(empty, "");
    ck_assert_ptr_eq(first, again); /* asking in a loop takes no memory */
    check_refused(ptools_task_arg_str(&task, 3, &again), "argument 4 of m.f must be a string without zero bytes");
}
END_TEST

START_TEST(arguments_that_are_no_list)
{
    static const struct link_frame run = { .task = 1 };

    ck_assert_int_eq(task_begin(&task, &run, "m.f", (const uint8_t *)"\x05", 1), PTOOLS_ERR_BAD_ARGUMENT);
    ck_assert_str_eq(task_message(&task), "the arguments of m.f are not a list");
    ck_assert_int_eq(task_begin(&task, &run, "m.f", (const uint8_t *)"\x92\x05", 2), PTOOLS_ERR_BAD_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(task_message(&task), "the arguments of m.f are not msgpack: "));
    ck_assert_int_eq(task_begin(&task, &run, "m.f", (const uint8_t *)"\xdd\xff\xff\xff\xff", 5),
                     PTOOLS_ERR_BAD_ARGUMENT);
    ck_assert_uint_eq(ptools_task_argc(&task), 0);
    ck_assert_int_eq(task_begin(&task, &run, "m.f", NULL, 0), PTOOLS_OK);
    ck_assert_uint_eq(ptools_task_argc(&task), 0);
}
END_TEST

static ptools_err outcome(ptools_err returned, const uint8_t **value, size_t *n)
{
    return task_outcome(&task, returned, value, n);
}

START_TEST(results_are_nil_a_value_or_a_list)
{
    const uint8_t *value;
    size_t n;

    begin();
    ck_assert_int_eq(outcome(PTOOLS_OK, &value, &n), PTOOLS_OK);
    ck_assert_uint_eq(n, 1);
    ck_assert_mem_eq(value, "\xc0", 1);
    ptools_pack_u64(ptools_task_result(&task), 7);
    ck_assert_int_eq(outcome(PTOOLS_OK, &value, &n), PTOOLS_OK);
    ck_assert_mem_eq(value, "\x07", 1);
    ptools_pack_u64(ptools_task_result(&task), 8);
    ck_assert_int_eq(outcome(PTOOLS_OK, &value, &n), PTOOLS_OK);
    ck_assert_uint_eq(n, 3);
    ck_assert_mem_eq(value, "\x92\x07\x08", 3);
    task_end(&task);
    begin(); /* nothing of the last task */
    ck_assert_int_eq(outcome(PTOOLS_OK, &value, &n), PTOOLS_OK);
    ck_assert_mem_eq(value, "\xc0", 1);
}
END_TEST

START_TEST(results_that_are_none)
{
    const uint8_t *value = NULL;
    size_t n;

    begin();
    ptools_pack_list(ptools_task_result(&task), 1);
    ck_assert_int_eq(outcome(PTOOLS_OK, &value, &n), PTOOLS_ERR_FAILED);
    ck_assert_ptr_nonnull(strstr(task_message(&task), "the result of m.f is not complete"));
    ck_assert_ptr_null(value); /* how large it may be is execute.c's to know */
}
END_TEST

START_TEST(failures_keep_their_own_words)
{
    const uint8_t *value;
    uint64_t u;
    size_t n;

    begin();
    ck_assert_int_eq(ptools_task_fail(&task, "no such %s: %d", "thing", 4), PTOOLS_ERR_FAILED);
    ck_assert_int_eq(outcome(PTOOLS_ERR_FAILED, &value, &n), PTOOLS_ERR_FAILED);
    ck_assert_str_eq(task_message(&task), "no such thing: 4");

    begin(); /* an argument's message, returned as it is */
    ck_assert_int_eq(outcome(ptools_task_arg_u64(&task, 0, &u), &value, &n), PTOOLS_ERR_BAD_ARGUMENT);
    ck_assert_str_eq(task_message(&task), "argument 1 of m.f is missing: there are 0");

    begin(); /* got over: it does not explain what comes later */
    ptools_task_arg_u64(&task, 0, &u);
    ck_assert_int_eq(outcome(PTOOLS_ERR_FAILED, &value, &n), PTOOLS_ERR_FAILED);
    ck_assert_str_eq(task_message(&task), "m.f failed without a message");

    begin(); /* any other code */
    ck_assert_int_eq(outcome(PTOOLS_ERR_RANGE, &value, &n), PTOOLS_ERR_FAILED);
    ck_assert_ptr_nonnull(strstr(task_message(&task), ptools_strerror(PTOOLS_ERR_RANGE)));
    begin();
    ck_assert_int_eq(outcome((ptools_err)12345, &value, &n), PTOOLS_ERR_FAILED);
    ck_assert_str_eq(task_message(&task), "m.f failed: unknown error");
}
END_TEST

START_TEST(messages_are_cut_and_cleaned)
{
    char longer[3 * TASK_MESSAGE_BYTES];

    begin();
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    ptools_task_fail(&task, "%s", longer);
    ck_assert_uint_eq(strlen(task_message(&task)), TASK_MESSAGE_BYTES - 1);
    ptools_task_fail(&task, "a\x01\xff\xc3\xa4\n%s", "b");
    ck_assert_str_eq(task_message(&task), "a??\xc3\xa4\nb");
    memset(longer, 'x', TASK_MESSAGE_BYTES);
    memcpy(longer + TASK_MESSAGE_BYTES - 2, "\xc3\xa4", 3); /* cut in the middle of a character */
    ptools_task_fail(&task, "%s", longer);
    ck_assert_int_eq(task_message(&task)[TASK_MESSAGE_BYTES - 2], '?');
}
END_TEST

START_TEST(what_is_told_is_in_the_page)
{
    struct page_words words;
    char longer[2 * PAGE_LOG_BYTES];

    begin();
    memset(longer, 'y', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    ptools_task_phase(&task, longer);
    ptools_task_log(&task, "%s", longer);
    page_read_words(&page, &words);
    ck_assert_uint_eq(strlen(words.phase), PAGE_PHASE_BYTES - 1);
    ck_assert_uint_eq(strlen(words.log), PAGE_LOG_BYTES); /* cut, and its line end */
    ptools_task_phase(&task, NULL);
    ptools_task_progress(&task, 3, 4);
    for (int i = 0; i < PAGE_LOG_LINES + 2; i++)
        ptools_task_log(&task, "line %d\n\n", i);
    page_read_words(&page, &words);
    ck_assert_str_eq(words.phase, "");
    ck_assert_uint_eq(words.progress, 3);
    ck_assert_uint_eq(words.progress_of, 4);
    ck_assert_int_eq(strncmp(words.log, "line 2\nline 3\n", 14), 0); /* the last ones, oldest first */
    ck_assert_ptr_nonnull(strstr(words.log, "line 17\n"));
}
END_TEST

START_TEST(a_task_knows_itself)
{
    begin();
    ck_assert_uint_eq(ptools_task_worker_id(&task), 5);
    ck_assert_uint_eq(ptools_task_id(&task), 900);
    ck_assert_uint_eq(ptools_task_attempt(&task), 2);
    ck_assert_uint_eq(ptools_task_uid(&task), 1000);
    ck_assert(!ptools_task_cancelled(&task));
    atomic_store(&page.cancel, 899); /* another one */
    ck_assert(!ptools_task_cancelled(&task));
    atomic_store(&page.cancel, 900);
    ck_assert(ptools_task_cancelled(&task));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("worker/task");
    TCase *tc = suite_case(suite, "task");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, arguments_are_read_by_type);
    tcase_add_test(tc, refusals_name_argument_function_and_both_types);
    tcase_add_test(tc, missing_and_superfluous_arguments);
    tcase_add_test(tc, strings_are_terminated_and_stay);
    tcase_add_test(tc, arguments_that_are_no_list);
    tcase_add_test(tc, results_are_nil_a_value_or_a_list);
    tcase_add_test(tc, results_that_are_none);
    tcase_add_test(tc, failures_keep_their_own_words);
    tcase_add_test(tc, messages_are_cut_and_cleaned);
    tcase_add_test(tc, what_is_told_is_in_the_page);
    tcase_add_test(tc, a_task_knows_itself);
    return suite_run(suite);
}
