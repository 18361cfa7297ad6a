/* SPDX-License-Identifier: MIT */
/*
 * Tests of daemon/ptoolsd/config.c, config_file.c and options.c: where settings come from (files, drop-ins, the
 * environment, the command line), which of them wins, and what is found out when nobody said anything.
 */
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/suite.h"
#include "tests/unit/ptoolsd/config_rig.h"

START_TEST(files_that_cannot_be_read)
{
    ck_assert_int_eq(run("--check-config", "--config", "missing"), CONFIG_EXIT_BAD);
    ck_assert_str_eq(complained, "missing: No such file or directory\n");
    ck_assert_int_eq(run("--check-config", "--config", "/"), CONFIG_EXIT_BAD);
    ck_assert_str_eq(complained, "/: Is a directory\n");
    ck_assert_str_eq(printed, "");
}
END_TEST

/* Nothing is wrong with the settings then: a service manager is to try it again. */
START_TEST(a_machine_that_lacks_descriptors_is_no_wrong_setting)
{
    struct rlimit usual, none;

    write_file("p.conf", "[workers]\ncount = 1\n");
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &usual), 0);
    none = (struct rlimit){ 0, usual.rlim_max };
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
    ck_assert_int_eq(run("--config", "p.conf"), EXIT_FAILURE);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &usual), 0);
    ck_assert_str_eq(complained, "p.conf: Too many open files\nptoolsd: Too many open files\n");
    ck_assert_int_eq(run("--config", "p.conf"), CONFIG_RUN);
}
END_TEST

START_TEST(drop_ins_come_after_in_their_order)
{
    write_file("p.conf", "[workers]\ncount = 1\nahead = 1\n[modules]\npath = /a\n");
    ck_assert_int_eq(mkdir("p.conf.d", 0700), 0);
    write_file("p.conf.d/20.conf", "[workers]\ncount = 20\n[modules]\npath = /20\n");
    write_file("p.conf.d/10.conf", "[workers]\ncount = 10\n[modules]\npath = /10\n");
    write_file("p.conf.d/30.conf~", "garbage");
    write_file("p.conf.d/.hidden.conf", "garbage");
    ck_assert_int_eq(run("--config", "p.conf"), CONFIG_RUN);
    ck_assert_uint_eq(config.workers, 20);
    ck_assert_uint_eq(config.ahead, 1);
    ck_assert_str_eq(config.module_path, "/a:/10:/20");
    write_file("p.conf.d/15.conf", "[workers]\ncount = x\n");
    ck_assert_int_eq(run("--config", "p.conf"), CONFIG_EXIT_BAD);
    ck_assert_int_eq(strncmp(complained, "p.conf.d/15.conf:2: ", 20), 0);
}
END_TEST

START_TEST(user_has_a_file_of_their_own)
{
    bool root = geteuid() == 0;
    char other[100];

    snprintf(other, sizeof other, "%s/other", home);
    ck_assert_int_eq(mkdir(".config", 0755), 0);
    ck_assert_int_eq(mkdir(".config/ptools", 0755), 0);
    ck_assert_int_eq(mkdir("other", 0755), 0);
    ck_assert_int_eq(mkdir("other/ptools", 0755), 0);
    ck_assert_int_eq(chmod(home, 0755), 0);
    write_file(".config/ptools/ptoolsd.conf", "[workers]\ncount = 5\n");
    write_file("other/ptools/ptoolsd.conf", "[workers]\ncount = 6\n");
    if (root)
        ck_assert_int_eq(seteuid(65534), 0);
    ck_assert_int_eq(run("--dir", "/d"), CONFIG_RUN);
    ck_assert_uint_eq(config.workers, 5);
    setenv("XDG_CONFIG_HOME", "/missing", 1);
    ck_assert_int_eq(run("--dir", "/d", "--log-level", "debug"), CONFIG_RUN);
    ck_assert_int_eq(config.log_level, LOG_LEVEL_DEBUG);
    setenv("XDG_CONFIG_HOME", other, 1);
    ck_assert_int_eq(run("--dir", "/d"), CONFIG_RUN);
    ck_assert_uint_eq(config.workers, 6);
    if (root)
        ck_assert_int_eq(seteuid(0), 0);
}
END_TEST

START_TEST(later_sources_win)
{
    write_file("p.conf", "[daemon]\ndir = /file\n[workers]\ncount = 2\n[modules]\npath = /file\n");
    ck_assert_int_eq(run("--config", "p.conf"), CONFIG_RUN);
    ck_assert_str_eq(config.dir, "/file");
    setenv("PTOOLS_DIR", "/environment", 1);
    ck_assert_int_eq(run("--config", "p.conf"), CONFIG_RUN);
    ck_assert_str_eq(config.dir, "/environment");
    ck_assert_int_eq(run("--config", "p.conf", "--dir", "/flag", "--workers=3", "--module-path", "/flag:/f", "-o",
                         "workers.ahead=1"),
                     CONFIG_RUN);
    ck_assert_str_eq(config.dir, "/flag");
    ck_assert_str_eq(config.module_path, "/flag:/f");
    ck_assert_uint_eq(config.workers, 3);
    ck_assert_uint_eq(config.ahead, 1);
    ck_assert_int_eq(run("--workers", "3", "-o", "workers.count=4", "--config", "/dev/null"), CONFIG_RUN);
    ck_assert_uint_eq(config.workers, 4);
    setenv("PTOOLS_DIR", "relative", 1);
    ck_assert_int_eq(run("--config", "/dev/null"), CONFIG_EXIT_BAD);
    ck_assert_int_eq(strncmp(complained, "$PTOOLS_DIR: ", 13), 0);
}
END_TEST

START_TEST(what_nobody_said_is_found_out)
{
    char expected[300];
    cpu_set_t one;
    int cpu;

    ck_assert_int_eq(run("--config", "/dev/null"), CONFIG_RUN);
    ck_assert_str_eq(config.dir, "/run/user/7/ptools");
    snprintf(expected, sizeof expected, "%s/.local/lib/ptools/modules:%s", home, PTOOLS_MODULE_DIR);
    ck_assert_str_eq(config.module_path, expected);

    setenv("PTOOLS_MODULE_PATH", "/m:/n", 1);
    setenv("XDG_STATE_HOME", "/state", 1);
    unsetenv("HOME");
    ck_assert_int_eq(run("--config", "/dev/null"), CONFIG_RUN);
    ck_assert_str_eq(config.module_path, "/m:/n:" PTOOLS_MODULE_DIR);
    setenv("PTOOLS_MODULE_PATH", "m", 1);
    ck_assert_int_eq(run("--config", "/dev/null"), CONFIG_EXIT_BAD);
    unsetenv("PTOOLS_MODULE_PATH");

    ck_assert_int_eq(sched_getaffinity(0, sizeof one, &one), 0);
    for (cpu = 0; !CPU_ISSET(cpu, &one); cpu++)
        ;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    ck_assert_int_eq(sched_setaffinity(0, sizeof one, &one), 0);
    ck_assert_int_eq(run("--config", "/dev/null"), CONFIG_RUN);
    ck_assert_uint_eq(config.workers, 1);
}
END_TEST

START_TEST(directory_of_root_and_of_nobody)
{
    unsetenv("XDG_RUNTIME_DIR");
    if (geteuid() == 0) {
        ck_assert_int_eq(run("--config", "/dev/null"), CONFIG_RUN);
        ck_assert_str_eq(config.dir, "/run/ptools");
        ck_assert_int_eq(seteuid(65534), 0);
    }
    ck_assert_int_eq(run("--config", "/dev/null"), CONFIG_EXIT_BAD);
    ck_assert_str_eq(complained, "ptoolsd: there is no directory for the sockets: $XDG_RUNTIME_DIR is not set; "
                                 "give --dir\n");
    ck_assert_int_eq(run("--config", "/dev/null", "--dir", "/d"), CONFIG_RUN);
    if (getuid() == 0)
        ck_assert_int_eq(seteuid(0), 0);
}
END_TEST

START_TEST(where_the_journal_is)
{
    char expected[300];

    ck_assert_int_eq(run("--config", "/dev/null", "--dir", "/d"), CONFIG_RUN);
    ck_assert_str_eq(config.state_dir, "/d/state");
    ck_assert(config.state_implied);
    ck_assert_uint_eq(config.journal, SWITCH_YES);
    setenv("PTOOLS_DIR", "/e", 1);
    ck_assert_int_eq(run("--config", "/dev/null"), CONFIG_RUN);
    ck_assert_str_eq(config.state_dir, "/e/state");
    ck_assert_int_eq(run("--config", "/dev/null", "--state-dir", "/s"), CONFIG_RUN);
    ck_assert_str_eq(config.state_dir, "/s");
    ck_assert(!config.state_implied);
    unsetenv("PTOOLS_DIR");

    ck_assert_int_eq(run("--config", "/dev/null"), CONFIG_RUN);
    snprintf(expected, sizeof expected, "%s/.local/state/ptools", home);
    ck_assert_str_eq(config.state_dir, geteuid() == 0 ? "/var/lib/ptools" : expected);
    if (geteuid() == 0) {
        ck_assert_int_eq(seteuid(65534), 0);
        ck_assert_int_eq(run("--config", "/dev/null"), CONFIG_RUN);
        ck_assert_str_eq(config.state_dir, expected);
    }
    setenv("XDG_STATE_HOME", "/x", 1);
    ck_assert_int_eq(run("--config", "/dev/null"), CONFIG_RUN);
    ck_assert_str_eq(config.state_dir, "/x/ptools");
    unsetenv("XDG_STATE_HOME");
    unsetenv("HOME");
    ck_assert_int_eq(run("--config", "/dev/null"), CONFIG_EXIT_BAD);
    ck_assert_str_eq(complained, "ptoolsd: there is no directory for the journal: neither $XDG_STATE_HOME nor $HOME is "
                                 "set; give --state-dir, or -o daemon.journal=no\n");
    ck_assert_int_eq(run("--config", "/dev/null", "-o", "daemon.journal=no"), CONFIG_RUN);
    ck_assert_int_eq(run("--config", "/dev/null", "--private"), CONFIG_RUN);
    if (getuid() == 0)
        ck_assert_int_eq(seteuid(0), 0);
}
END_TEST

START_TEST(a_private_daemon_has_a_journal_only_if_asked)
{
    ck_assert_int_eq(run("--config", "/dev/null", "--private"), CONFIG_RUN);
    ck_assert_uint_eq(config.journal, SWITCH_NO);
    ck_assert_int_eq(run("--config", "/dev/null", "--private", "-o", "daemon.journal=yes"), CONFIG_RUN);
    ck_assert_uint_eq(config.journal, SWITCH_YES);
    ck_assert_int_eq(run("--config", "/dev/null", "-o", "daemon.journal=no"), CONFIG_RUN);
    ck_assert_uint_eq(config.journal, SWITCH_NO);
    ck_assert_int_eq(run("--config", "/dev/null", "-o", "daemon.journal=maybe"), CONFIG_EXIT_BAD);
    ck_assert_str_eq(complained, "-o: [daemon] journal: \"maybe\" is not allowed; allowed are yes, no and auto\n");
}
END_TEST

START_TEST(flags_that_look_at_the_journal)
{
    char state[300], expected[400];

    snprintf(state, sizeof state, "%s/state", home);
    ck_assert_int_eq(run("--check-journal", "--config", "/dev/null", "--dir", home), 1);
    snprintf(expected, sizeof expected, "ptoolsd: cannot open the state directory %s: No such file or directory\n",
             state);
    ck_assert_str_eq(complained, expected);
    ck_assert_str_eq(printed, "");
    ck_assert_int_eq(mkdir(state, 0700), 0);
    ck_assert_int_eq(run("--export-journal", "--config", "/dev/null", "--state-dir", state), 1);
    snprintf(expected, sizeof expected, "ptoolsd: there is no journal in %s\n", state);
    ck_assert_str_eq(complained, expected);
    ck_assert_int_eq(run("--check-journal", "--config", "/missing"), CONFIG_EXIT_BAD);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("config_sources");
    TCase *tc = suite_case(suite, "config_sources");

    tcase_add_checked_fixture(tc, config_begin, config_end);
    tcase_add_test(tc, files_that_cannot_be_read);
    tcase_add_test(tc, a_machine_that_lacks_descriptors_is_no_wrong_setting);
    tcase_add_test(tc, drop_ins_come_after_in_their_order);
    tcase_add_test(tc, user_has_a_file_of_their_own);
    tcase_add_test(tc, later_sources_win);
    tcase_add_test(tc, what_nobody_said_is_found_out);
    tcase_add_test(tc, directory_of_root_and_of_nobody);
    tcase_add_test(tc, where_the_journal_is);
    tcase_add_test(tc, a_private_daemon_has_a_journal_only_if_asked);
    tcase_add_test(tc, flags_that_look_at_the_journal);
    return suite_run(suite);
}
