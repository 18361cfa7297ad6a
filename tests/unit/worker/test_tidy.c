/* SPDX-License-Identifier: MIT */
/* What is put in order after a function, and what is looked at. */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/worker/tidy.h"
#include "tests/support/suite.h"

static struct page page;

START_TEST(directory_umask_and_mask_come_back)
{
    struct tidy t;
    sigset_t set;
    char path[64];

    umask(027);
    tidy_init(&t);
    ck_assert_int_eq(chdir("/tmp"), 0);
    umask(0);
    sigfillset(&set);
    sigprocmask(SIG_SETMASK, &set, NULL);
    t.dirty = true;
    tidy_restore(&t);
    ck_assert(!t.dirty);
    ck_assert_str_eq(getcwd(path, sizeof path), "/");
    ck_assert_uint_eq(umask(0), 027);
    sigprocmask(SIG_SETMASK, NULL, &set);
    ck_assert_int_eq(sigismember(&set, SIGUSR1), 0);
}
END_TEST

START_TEST(looks_are_due_by_count_and_by_time)
{
    struct tidy t;

    uint64_t now = 1000000;

    tidy_init(&t);
    ck_assert(!tidy_look_due(&t, now, TIDY_LOOK_US - 1));
    ck_assert(tidy_look_due(&t, now, TIDY_LOOK_US)); /* one that took long */
    for (int i = 1; i < TIDY_LOOK_TASKS; i++)
        ck_assert(!tidy_look_due(&t, now + TIDY_LOOK_US, 0));
    ck_assert(tidy_look_due(&t, now += TIDY_LOOK_US, 0)); /* many short ones */
    for (int i = 0; i < 10 * TIDY_LOOK_TASKS; i++)
        ck_assert(!tidy_look_due(&t, now + TIDY_LOOK_US - 1, 0)); /* very short ones: not so often */
    ck_assert(tidy_look_due(&t, now + TIDY_LOOK_US, 0));
}
END_TEST

START_TEST(descriptors_above_birth_are_counted)
{
    uint32_t kb = 0, fds = 99;
    struct tidy t;
    int extra[300];

    tidy_init(&t);
    tidy_look(&t, &page, &kb, &fds);
    ck_assert_uint_eq(fds, 0);
    ck_assert_uint_gt(kb, 100);
    ck_assert_uint_gt(atomic_load(&page.peak_kb), 100);
    for (size_t i = 0; i < 300; i++) /* more than one read of the directory gives */
        extra[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
    tidy_look(&t, &page, &kb, &fds);
    ck_assert_uint_eq(fds, 300);
    for (size_t i = 0; i < 300; i++)
        close(extra[i]);
    tidy_look(&t, &page, &kb, &fds);
    ck_assert_uint_eq(fds, 0);
}
END_TEST

START_TEST(no_descriptor_left_for_counting_is_all_of_them)
{
    struct rlimit limit = { 32, 32 };
    uint32_t kb = 99, fds = 0;
    struct tidy t;
    int extra[32], n = 0;

    tidy_init(&t);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    while ((extra[n] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0)
        n++;
    tidy_look(&t, &page, &kb, &fds);
    while (n > 0)
        close(extra[--n]);
    ck_assert_uint_eq(fds, 32 - t.fds_born);
    ck_assert_uint_eq(kb, 0); /* not looked */
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("worker/tidy");
    TCase *tc = suite_case(suite, "tidy");

    tcase_add_test(tc, directory_umask_and_mask_come_back);
    tcase_add_test(tc, looks_are_due_by_count_and_by_time);
    tcase_add_test(tc, descriptors_above_birth_are_counted);
    tcase_add_test(tc, no_descriptor_left_for_counting_is_all_of_them);
    return suite_run(suite);
}
