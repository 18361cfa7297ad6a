/* SPDX-License-Identifier: MIT */
/*
 * The template, as the daemon sees it: the real program, its link, what it says about modules, and the
 * workers that it forks.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <ptools/module.h>

#include "tests/support/suite.h"
#include "tests/unit/worker/driver.h"

static void check_report(struct driver *d, const char *module, ptools_err code, const char *problem)
{
    struct report *r = driver_load(d, module);

    ck_assert_str_eq(ptools_errname(r->code), ptools_errname(code));
    ck_assert_msg(strstr(r->problem, problem) != NULL, "%s: \"%s\" is not in \"%s\"", module, problem, r->problem);
    if (code != PTOOLS_OK)
        ck_assert_uint_eq(r->n, 0);
    report_free(r);
}

START_TEST(reports_a_good_module)
{
    struct driver d;
    struct report *r;

    driver_start(&d, TEST_MODULES, NULL);
    for (int again = 0; again < 2; again++) { /* tried in a child, then known */
        r = driver_load(&d, "t");
        ck_assert_int_eq(r->code, PTOOLS_OK);
        ck_assert_str_eq(r->problem, "");
        ck_assert_str_eq(r->path, TEST_MODULES "/t.so");
        ck_assert_uint_eq(r->flags, 0);
        ck_assert_uint_gt(r->n, 30);
        ck_assert_str_eq(r->functions[0].name, "nop");
        ck_assert_str_eq(r->functions[0].help, "nop -> nil");
        ck_assert_uint_eq(r->functions[0].flags, PTOOLS_FN_IDEMPOTENT | PTOOLS_FN_TIDY);
        report_free(r);
    }
    driver_stop(&d);
}
END_TEST

static const struct {
    const char *module;
    ptools_err code;
    const char *problem;
} bad[] = {
    { "nowhere", PTOOLS_ERR_NO_MODULE, "there is no nowhere.so in the module path: " TEST_MODULES },
    { "crash_at_load", PTOOLS_ERR_MODULE_BROKEN, "it crashed with signal ABRT while loading" },
    { "exit_at_load", PTOOLS_ERR_MODULE_BROKEN, "it ended the process with status 0 while loading" },
    { "wrong_abi", PTOOLS_ERR_MODULE_BROKEN, "it was built for module ABI 7, this ptools has 1" },
    { "wrong_size", PTOOLS_ERR_MODULE_BROKEN, "its ptools_module says that it has 40 bytes, this ptools expects 32" },
    { "no_symbol", PTOOLS_ERR_MODULE_BROKEN, "it does not define ptools_module" },
    { "missing_symbol", PTOOLS_ERR_MODULE_BROKEN, "undefined symbol: nobody_defines_this" },
    { "bad_names", PTOOLS_ERR_MODULE_BROKEN, "its function 2 is called 'two words'" },
    { "twice", PTOOLS_ERR_MODULE_BROKEN, "it has two functions that are called 'nop'" },
    { "no_code", PTOOLS_ERR_MODULE_BROKEN, "its function 'nop' has no code" },
    { "bad_help", PTOOLS_ERR_MODULE_BROKEN, "the help of its function 'nop' is not one line" },
    { "bad_flags", PTOOLS_ERR_MODULE_BROKEN, "its function 'nop' has unknown flags: 0x40" },
    { "empty", PTOOLS_ERR_MODULE_BROKEN, "it has no functions" },
};

START_TEST(reports_bad_modules_and_lives)
{
    struct driver d;

    driver_start(&d, TEST_MODULES, NULL);
    for (size_t i = 0; i < ELEMENTS(bad); i++)
        check_report(&d, bad[i].module, bad[i].code, bad[i].problem);
    check_report(&d, "t", PTOOLS_OK, "");
    driver_stop(&d);
}
END_TEST

START_TEST(a_module_with_threads_is_left_to_the_workers)
{
    struct answer a;
    struct driver d;
    struct peer w;
    struct report *r;

    driver_start(&d, TEST_MODULES, NULL);
    r = driver_load(&d, "threads_at_load");
    ck_assert_int_eq(r->code, PTOOLS_OK);
    ck_assert_uint_eq(r->flags, REPORT_IN_WORKER);
    ck_assert_uint_eq(r->n, 1);
    report_free(r);
    peer_start(&w, &d, 1); /* the template can still fork */
    peer_call(&w, 1, "threads_at_load.nop", NULL, &a);
    answer_deinit(&a);
    ck_assert_int_eq(peer_stop(&w), 0);
    driver_stop(&d);
}
END_TEST

/* A module that hangs holds up nobody: workers are made, and other modules loaded, in the meantime. */
START_TEST(a_module_that_hangs_holds_up_nobody)
{
    static const char *const args[] = { "--load-max-ms", "60000", NULL };
    struct link_frame load = { .type = LINK_LOAD };
    struct driver d;
    struct peer w;

    driver_start(&d, TEST_MODULES, args);
    driver_send(&d, &load, "slow_load", 9, NULL, 0);
    check_report(&d, "t", PTOOLS_OK, ""); /* would fail if slow_load were answered first */
    peer_start(&w, &d, 1);
    ck_assert_int_eq(peer_stop(&w), 0);
    driver_stop(&d);
}
END_TEST

START_TEST(a_module_that_hangs_has_its_time)
{
    static const char *const args[] = { "--load-max-ms", "100", NULL };
    struct driver d;

    driver_start(&d, TEST_MODULES, args);
    check_report(&d, "slow_load", PTOOLS_ERR_MODULE_BROKEN, "it did not finish loading within 100 ms");
    driver_stop(&d);
}
END_TEST

START_TEST(ends_with_the_link_also_while_a_module_hangs)
{
    struct link_frame load = { .type = LINK_LOAD };
    struct driver d;

    driver_start(&d, TEST_MODULES, NULL);
    driver_send(&d, &load, "slow_load", 9, NULL, 0);
    driver_stop(&d); /* and the probe is gone with it, or this would hang for its 10 s */
    ck_assert_int_eq(waitpid(-1, NULL, 0), -1);
}
END_TEST

static void check_spawn_refused(struct driver *d, const int *fds, size_t n, const char *why)
{
    struct link_frame spawn = { .type = LINK_SPAWN, .worker = 9 }, spawned;
    static uint8_t body[LINK_PACKET_BYTES];

    driver_send(d, &spawn, NULL, 0, fds, n);
    ck_assert(driver_receive(d, &spawned, body));
    ck_assert_int_eq(spawned.type, LINK_SPAWNED);
    ck_assert_uint_eq(spawned.worker, 9);
    ck_assert_int_eq(spawned.code, PTOOLS_ERR_SYSTEM);
    ck_assert_uint_eq(spawned.a, 0);
    ck_assert_str_eq((char *)body, why);
}

static unsigned open_fds_of(pid_t pid)
{
    char path[64];
    struct stat st;
    unsigned n = 0;

    for (int fd = 0; fd < 1024; fd++) {
        snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)pid, fd);
        n += lstat(path, &st) == 0;
    }
    return n;
}

START_TEST(refuses_descriptors_that_are_not_what_they_must_be)
{
    static const char no_page[] = "the second descriptor is not a sealed control page";
    static const char need_three[] =
            "a process needs three descriptors: a stream socket, its page, and a packet socket";
    int pair[2], packets[2], unsealed, small, fds[5];
    struct driver d;
    struct peer w;

    driver_start(&d, TEST_MODULES, NULL);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, packets), 0);
    unsealed = memfd_create("unsealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    ck_assert_int_eq(ftruncate(unsealed, PAGE_BYTES), 0);
    small = memfd_create("small", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    ck_assert_int_eq(ftruncate(small, PAGE_BYTES / 2), 0);
    ck_assert_int_eq(fcntl(small, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW), 0);

    check_spawn_refused(&d, NULL, 0, need_three);
    check_spawn_refused(&d, pair, 1, need_three);
    fds[0] = fds[1] = pair[0];
    fds[2] = fds[3] = fds[4] = packets[0];
    check_spawn_refused(&d, fds, 5, need_three);
    check_spawn_refused(&d, fds, 4, no_page);
    check_spawn_refused(&d, fds, 2, need_three);
    check_spawn_refused(&d, fds, 3, no_page);
    fds[1] = unsealed;
    check_spawn_refused(&d, fds, 3, no_page);
    fds[1] = small;
    check_spawn_refused(&d, fds, 3, no_page);
    fds[0] = small;
    check_spawn_refused(&d, fds, 3, need_three);
    fds[0] = pair[0];
    fds[2] = pair[1];
    check_spawn_refused(&d, fds, 3, need_three);
    check_report(&d, "t", PTOOLS_OK, "");
    check_report(&d, "t", PTOOLS_OK, ""); /* known now: when it has answered this, it is at rest */
    ck_assert_uint_eq(open_fds_of(d.pid), 4); /* stdio and the link: all others were closed */

    close(pair[0]);
    close(pair[1]);
    close(packets[0]);
    close(packets[1]);
    close(unsealed);
    close(small);
    peer_start(&w, &d, 1);
    ck_assert_int_eq(peer_stop(&w), 0);
    driver_stop(&d);
}
END_TEST

START_TEST(ends_when_it_does_not_understand)
{
    struct link_frame odd = { .type = LINK_READY }, answer, bad_name = { .type = LINK_LOAD };
    static uint8_t body[LINK_PACKET_BYTES];
    struct driver d;
    int status;

    for (int i = 0; i < 2; i++) {
        driver_start(&d, TEST_MODULES, NULL);
        driver_send(&d, i ? &bad_name : &odd, i ? "../t" : NULL, i ? 4 : 0, NULL, 0);
        ck_assert(!driver_receive(&d, &answer, body));
        ck_assert_int_eq(waitpid(d.pid, &status, 0), d.pid);
        ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 2);
        close(d.link);
    }
}
END_TEST

/* A worker is the daemon's child, in a group of its own, with stdio and its link alone. */
START_TEST(workers_are_children_of_the_daemon)
{
    struct driver d;
    struct peer w[3];

    driver_start(&d, TEST_MODULES, NULL);
    for (uint32_t i = 0; i < 3; i++) {
        peer_start(&w[i], &d, i + 1);
        ck_assert_int_eq(getpgid(w[i].pid), w[i].pid);
        ck_assert_int_eq(waitpid(w[i].pid, NULL, WNOHANG), 0); /* ECHILD were it somebody else's */
    }
    for (uint32_t i = 0; i < 3; i++)
        ck_assert_int_eq(peer_stop(&w[i]), 0);
    driver_stop(&d);
    ck_assert_int_eq(waitpid(-1, NULL, 0), -1); /* nobody is left */
}
END_TEST

START_TEST(workers_outlive_the_template)
{
    struct driver d;
    struct answer a;
    struct peer w;
    int status;

    driver_start(&d, TEST_MODULES, NULL);
    peer_start(&w, &d, 1);
    ck_assert_int_eq(kill(d.pid, SIGKILL), 0);
    ck_assert_int_eq(waitpid(d.pid, &status, 0), d.pid);
    close(d.link);
    peer_call(&w, 1, "t.nop", NULL, &a);
    answer_deinit(&a);
    ck_assert_int_eq(peer_stop(&w), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("worker/template");
    TCase *tc = suite_case(suite, "template");

    tcase_add_test(tc, reports_a_good_module);
    tcase_add_test(tc, reports_bad_modules_and_lives);
    tcase_add_test(tc, a_module_with_threads_is_left_to_the_workers);
    tcase_add_test(tc, a_module_that_hangs_holds_up_nobody);
    tcase_add_test(tc, a_module_that_hangs_has_its_time);
    tcase_add_test(tc, ends_with_the_link_also_while_a_module_hangs);
    tcase_add_test(tc, refuses_descriptors_that_are_not_what_they_must_be);
    tcase_add_test(tc, ends_when_it_does_not_understand);
    tcase_add_test(tc, workers_are_children_of_the_daemon);
    tcase_add_test(tc, workers_outlive_the_template);
    return suite_run(suite);
}
