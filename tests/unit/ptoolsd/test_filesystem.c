/* SPDX-License-Identifier: MIT */
/*
 * filesystem: memory is taken, what the kernel only makes up, or pipes, is not, and the refusal names what it is.
 */
#include <check.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "daemon/ptoolsd/filesystem.h"
#include "tests/support/suite.h"

START_TEST(memory_is_local)
{
    char why[FILESYSTEM_WHY_BYTES] = "";
    int fd = memfd_create("x", MFD_CLOEXEC);

    ck_assert_int_ge(fd, 0);
    ck_assert_msg(filesystem_is_local(fd, getpid(), why), "%s", why);
    close(fd);
}
END_TEST

START_TEST(other_types_are_named)
{
    char why[FILESYSTEM_WHY_BYTES] = "";
    int fd = open("/proc/version", O_RDONLY | O_CLOEXEC);

    ck_assert_int_ge(fd, 0);
    ck_assert(!filesystem_is_local(fd, getpid(), why));
    ck_assert_msg(strstr(why, "of type proc") != NULL, "%s", why);
    close(fd);
}
END_TEST

START_TEST(what_is_on_no_mount_is_not)
{
    char why[FILESYSTEM_WHY_BYTES] = "";
    int pair[2];

    ck_assert_int_eq(pipe2(pair, O_CLOEXEC), 0);
    ck_assert(!filesystem_is_local(pair[0], getpid(), why));
    ck_assert_msg(strstr(why, "cannot be told") != NULL, "%s", why);
    ck_assert(!filesystem_is_local(pair[0], -1, why));
    close(pair[0]);
    close(pair[1]);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ptoolsd/filesystem");
    TCase *tc = suite_case(suite, "filesystem");

    tcase_add_test(tc, memory_is_local);
    tcase_add_test(tc, other_types_are_named);
    tcase_add_test(tc, what_is_on_no_mount_is_not);
    return suite_run(suite);
}
