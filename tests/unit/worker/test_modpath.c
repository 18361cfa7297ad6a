/* SPDX-License-Identifier: MIT */
/* The rules by which a module's file is found or refused. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/worker/log.h"
#include "daemon/worker/modpath.h"
#include "proto/util.h"
#include "tests/support/suite.h"

static char root[PATH_MAX]; /* below a sticky /tmp, ours alone */

static char *in_root(const char *name)
{
    static char path[4][PATH_MAX + 256];
    static unsigned next;

    next = (next + 1) % ELEMENTS(path);
    snprintf(path[next], sizeof path[next], "%s/%s", root, name);
    return path[next];
}

static void make_dir(const char *name, mode_t mode)
{
    ck_assert_int_eq(mkdir(in_root(name), 0700), 0);
    ck_assert_int_eq(chmod(in_root(name), mode), 0);
}

static void make_file(const char *name, mode_t mode, const char *text)
{
    int fd = open(in_root(name), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    ck_assert_int_eq(fchmod(fd, mode), 0);
    close(fd);
}

static void set_up(void)
{
    char name[] = "/tmp/modpath-XXXXXX";

    umask(022);
    log_set_level(LOG_LEVEL_ERROR); /* refused directories are warned of; here they are the point */
    ck_assert_ptr_nonnull(mkdtemp(name));
    ck_assert_ptr_nonnull(realpath(name, root));
    make_dir("a", 0755);
    make_dir("b", 0700);
}

static void tear_down(void)
{
    char command[PATH_MAX + 16];

    snprintf(command, sizeof command, "rm -rf '%s'", root);
    ck_assert_int_eq(system(command), 0);
}

/* Both directories, b only if there is one. */
static enum modpath_result look(const char *a, const char *b, char path[PATH_MAX], char why[WHY_BYTES],
                                char content[32])
{
    char search[3 * PATH_MAX];
    enum modpath_result result;
    ssize_t n;
    int fd;

    snprintf(search, sizeof search, "%s%s%s", a, b ? ":" : "", b ? b : "");
    result = modpath_open(search, "m", &fd, path, why);
    if (result == MODPATH_FOUND) {
        n = read(fd, content, 31);
        content[MAX(n, 0)] = '\0';
        ck_assert_int_eq(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
        close(fd);
    }
    return result;
}

static void check_found(const char *a, const char *b, const char *file, const char *content)
{
    char path[PATH_MAX], why[WHY_BYTES] = "", found[32];

    ck_assert_msg(look(a, b, path, why, found) == MODPATH_FOUND, "%s", why);
    ck_assert_str_eq(path, in_root(file));
    ck_assert_str_eq(found, content);
}

static void check_not_found(const char *a, const char *b, enum modpath_result result, const char *text)
{
    char path[PATH_MAX], why[WHY_BYTES], found[32];

    ck_assert_int_eq(look(a, b, path, why, found), result);
    ck_assert_msg(strstr(why, text) != NULL, "\"%s\" is not in \"%s\"", text, why);
}

START_TEST(the_first_directory_that_has_it_decides)
{
    check_not_found(in_root("a"), in_root("b"), MODPATH_MISSING, "there is no m.so in the module path: ");
    make_file("b/m.so", 0644, "second");
    check_found(in_root("a"), in_root("b"), "b/m.so", "second");
    make_file("a/m.so", 0600, "first");
    check_found(in_root("a"), in_root("b"), "a/m.so", "first");
    ck_assert_int_eq(chmod(in_root("a/m.so"), 0666), 0); /* refused, not passed over */
    check_not_found(in_root("a"), in_root("b"), MODPATH_REFUSED, "a/m.so is writable by others");
}
END_TEST

START_TEST(directories_that_are_not_there_are_passed_over_and_named)
{
    make_file("b/m.so", 0644, "x");
    check_found(in_root("none"), in_root("b"), "b/m.so", "x");
    check_found("", in_root("b"), "b/m.so", "x");
    check_found("relative", in_root("b"), "b/m.so", "x");
    check_not_found(in_root("none"), "relative/dir", MODPATH_MISSING, "none (does not exist)");
    check_not_found(in_root("none"), "relative/dir", MODPATH_MISSING, "relative/dir (not an absolute path)");
    check_not_found(in_root("b/m.so"), NULL, MODPATH_MISSING, "b/m.so (Not a directory)");
    check_not_found("", NULL, MODPATH_MISSING, "there is no m.so in the module path:");
}
END_TEST

START_TEST(a_directory_made_later_counts)
{
    check_not_found(in_root("later"), NULL, MODPATH_MISSING, "does not exist");
    make_dir("later", 0755);
    make_file("later/m.so", 0644, "x");
    check_found(in_root("later"), NULL, "later/m.so", "x");
}
END_TEST

START_TEST(files_that_others_may_write_are_refused)
{
    make_file("a/m.so", 0664, "x");
    check_not_found(in_root("a"), NULL, MODPATH_REFUSED, "a/m.so is writable by its group");
    ck_assert_int_eq(chmod(in_root("a/m.so"), 0646), 0);
    check_not_found(in_root("a"), NULL, MODPATH_REFUSED, "a/m.so is writable by others");
    ck_assert_int_eq(chmod(in_root("a/m.so"), 01646), 0); /* a sticky bit excuses no file */
    check_not_found(in_root("a"), NULL, MODPATH_REFUSED, "a/m.so is writable by others");
    ck_assert_int_eq(chmod(in_root("a/m.so"), 0400), 0);
    check_found(in_root("a"), NULL, "a/m.so", "x");
}
END_TEST

START_TEST(links_and_odd_files_are_refused)
{
    make_file("a/real.so", 0644, "x");
    ck_assert_int_eq(symlink("real.so", in_root("a/m.so")), 0);
    check_not_found(in_root("a"), NULL, MODPATH_REFUSED, "a/m.so is a symbolic link");
    ck_assert_int_eq(unlink(in_root("a/m.so")), 0);
    make_dir("a/m.so", 0755);
    check_not_found(in_root("a"), NULL, MODPATH_REFUSED, "a/m.so is not a regular file");
    ck_assert_int_eq(rmdir(in_root("a/m.so")), 0);
    ck_assert_int_eq(mkfifo(in_root("a/m.so"), 0600), 0);
    check_not_found(in_root("a"), NULL, MODPATH_REFUSED, "a/m.so is not a regular file"); /* and nobody waited */
}
END_TEST

START_TEST(directories_that_others_may_write_are_refused)
{
    make_dir("open", 0757);
    make_dir("open/inner", 0755);
    make_file("open/m.so", 0644, "x");
    make_file("open/inner/m.so", 0644, "x");
    check_not_found(in_root("open"), NULL, MODPATH_REFUSED, "/open is writable by others");
    check_not_found(in_root("open/inner"), NULL, MODPATH_REFUSED, "/open is writable by others"); /* also one above */
    ck_assert_int_eq(chmod(in_root("open"), 0775), 0);
    check_not_found(in_root("open/inner"), NULL, MODPATH_REFUSED, "/open is writable by its group");
    make_file("b/m.so", 0644, "good");
    check_not_found(in_root("open"), in_root("b"), MODPATH_REFUSED, "/open is writable"); /* has the file: decides */
    ck_assert_int_eq(unlink(in_root("open/m.so")), 0);
    check_found(in_root("open"), in_root("b"), "b/m.so", "good"); /* has it not: passed over */
}
END_TEST

START_TEST(a_sticky_directory_may_be_above_but_not_hold_modules)
{
    make_dir("sticky", 01777);
    make_dir("sticky/mine", 0755);
    make_file("sticky/m.so", 0644, "x");
    make_file("sticky/mine/m.so", 0644, "x");
    check_not_found(in_root("sticky"), NULL, MODPATH_REFUSED, "/sticky is writable by others");
    check_found(in_root("sticky/mine"), NULL, "sticky/mine/m.so", "x");
}
END_TEST

START_TEST(directories_may_be_reached_through_links)
{
    make_file("a/m.so", 0644, "x");
    ck_assert_int_eq(symlink("a", in_root("link")), 0);
    check_found(in_root("link"), NULL, "a/m.so", "x");
    make_dir("open", 0777);
    make_dir("open/real", 0755);
    make_file("open/real/m.so", 0644, "x");
    ck_assert_int_eq(symlink("../open/real", in_root("a/sub")), 0);
    check_not_found(in_root("a/sub"), NULL, MODPATH_REFUSED, "/open is writable by others"); /* where it leads to */
}
END_TEST

START_TEST(owners_must_be_root_or_this_user)
{
    if (geteuid() != 0) {
        puts("# only root can give files away: not checked");
        return;
    }
    make_file("a/m.so", 0644, "x");
    ck_assert_int_eq(chown(in_root("a/m.so"), 12345, (gid_t)-1), 0);
    check_not_found(in_root("a"), NULL, MODPATH_REFUSED, "a/m.so is owned by another user");
    ck_assert_int_eq(chown(in_root("a/m.so"), 0, (gid_t)-1), 0);
    ck_assert_int_eq(chown(in_root("a"), 12345, (gid_t)-1), 0);
    check_not_found(in_root("a"), NULL, MODPATH_REFUSED, "/a is owned by another user");
    make_dir("sticky", 01777); /* sticky is no excuse for a strange owner: he may replace what is in it */
    make_dir("sticky/mine", 0755);
    make_file("sticky/mine/m.so", 0644, "x");
    ck_assert_int_eq(chown(in_root("sticky"), 12345, (gid_t)-1), 0);
    check_not_found(in_root("sticky/mine"), NULL, MODPATH_REFUSED, "/sticky is owned by another user");
}
END_TEST

/* What is opened is what was checked, whatever the name means afterwards. */
START_TEST(the_descriptor_survives_a_swap)
{
    char path[PATH_MAX], why[WHY_BYTES], content[8] = "";
    int fd;

    make_file("a/m.so", 0644, "good");
    ck_assert_int_eq(modpath_open(in_root("a"), "m", &fd, path, why), MODPATH_FOUND);
    ck_assert_int_eq(unlink(in_root("a/m.so")), 0);
    make_file("a/m.so", 0644, "evil");
    ck_assert_int_eq(read(fd, content, 7), 4);
    ck_assert_str_eq(content, "good");
    close(fd);
}
END_TEST

START_TEST(long_paths_are_cut_in_messages_only)
{
    char search[4096] = "", path[PATH_MAX], why[WHY_BYTES];
    size_t n = 0;
    int fd;

    for (int i = 0; i < 20; i++)
        n += (size_t)snprintf(search + n, sizeof search - n, "%s/%0100d:", root, i);
    ck_assert_int_eq(modpath_open(search, "m", &fd, path, why), MODPATH_MISSING);
    ck_assert_uint_eq(strlen(why), WHY_BYTES - 1);
    snprintf(search + n, sizeof search - n, "%s", in_root("a"));
    make_file("a/m.so", 0644, "x");
    ck_assert_int_eq(modpath_open(search, "m", &fd, path, why), MODPATH_FOUND);
    close(fd);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("worker/modpath");
    TCase *tc = suite_case(suite, "modpath");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, the_first_directory_that_has_it_decides);
    tcase_add_test(tc, directories_that_are_not_there_are_passed_over_and_named);
    tcase_add_test(tc, a_directory_made_later_counts);
    tcase_add_test(tc, files_that_others_may_write_are_refused);
    tcase_add_test(tc, links_and_odd_files_are_refused);
    tcase_add_test(tc, directories_that_others_may_write_are_refused);
    tcase_add_test(tc, a_sticky_directory_may_be_above_but_not_hold_modules);
    tcase_add_test(tc, directories_may_be_reached_through_links);
    tcase_add_test(tc, owners_must_be_root_or_this_user);
    tcase_add_test(tc, the_descriptor_survives_a_swap);
    tcase_add_test(tc, long_paths_are_cut_in_messages_only);
    return suite_run(suite);
}
