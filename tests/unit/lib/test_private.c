/* SPDX-License-Identifier: MIT */
/*
 * test_private -- client/lib/private.c, with a stand-in for ptoolsd ($FAKE_PTOOLSD names it).
 */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/suite.h"
#include "tests/unit/lib/fake.h"

static char runtime[64];
static ptools *pt;
static const char *message;

static void begin(const char *mode)
{
    strcpy(runtime, "/tmp/ptools-fake-runtime-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(runtime));
    unsetenv("PTOOLS_ADDRESS");
    unsetenv("PTOOLS_DIR");
    unsetenv("FAKE_ARGS");
    setenv("XDG_RUNTIME_DIR", runtime, 1);
    setenv("PTOOLS_DAEMON", getenv("FAKE_PTOOLSD"), 1);
    setenv("FAKE_MODE", mode, 1);
}

static void end(void)
{
    char command[100];

    snprintf(command, sizeof command, "rm -rf %s", runtime);
    ck_assert_int_eq(system(command), 0);
}

static int entries(void)
{
    DIR *dir = opendir(runtime);
    struct dirent *e;
    int n = 0;

    while ((e = readdir(dir)))
        n += e->d_name[0] != '.';
    closedir(dir);
    return n;
}

static ptools_err open_private(const char *address, int64_t timeout_ms)
{
    ptools_options options = PTOOLS_OPTIONS_INIT;

    options.flags = PTOOLS_PRIVATE;
    options.address = address;
    options.connect_timeout_ms = timeout_ms;
    message = "";
    pt = NULL;
    return ptools_open(&options, &pt, &message);
}

static void handler(int sig)
{
    (void)sig;
}

START_TEST(starts_one_where_none_runs)
{
    struct sigaction action = { .sa_handler = handler }, before, after;
    sigset_t mask, mask_after;
    int kept = open("/dev/null", O_RDONLY); /* without close-on-exec: must not be inherited all the same */

    begin("serve");
    sigaction(SIGUSR1, &action, &before);
    sigemptyset(&mask);
    sigaddset(&mask, SIGUSR2);
    sigprocmask(SIG_SETMASK, &mask, NULL);
    ck_assert_msg(open_private(NULL, 5000) == PTOOLS_OK, "%s", message);
    sigprocmask(SIG_SETMASK, NULL, &mask_after);
    sigaction(SIGUSR1, NULL, &after);
    ck_assert(sigismember(&mask_after, SIGUSR2) && after.sa_handler == handler);
    ck_assert_int_eq(entries(), 1);
    ck_assert_int_eq(ptools_remotecall_fetch(pt, NULL, "t.echo", NULL, NULL, 5000, NULL, NULL), PTOOLS_OK);
    ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1); /* no child is left to reap */
    ptools_close(pt);
    close(kept);
    end();
}
END_TEST

START_TEST(passes_options_on)
{
    ptools_options options = PTOOLS_OPTIONS_INIT;

    begin("serve");
    setenv("FAKE_ARGS", "--workers 3 --module-path /a:/b", 1);
    options.flags = PTOOLS_PRIVATE;
    options.private_workers = 3;
    options.module_path = "/a:/b";
    ck_assert_msg(ptools_open(&options, &pt, &message) == PTOOLS_OK, "%s", message);
    ptools_close(pt);
    end();
}
END_TEST

START_TEST(starts_it_in_the_directory_that_was_named)
{
    char dir[100];

    begin("serve");
    snprintf(dir, sizeof dir, "%s/mine", runtime);
    mkdir(dir, 0700);
    ck_assert_msg(open_private(dir, 5000) == PTOOLS_OK, "%s", message);
    ck_assert_int_eq(ptools_remotecall_fetch(pt, NULL, "t.echo", NULL, NULL, 5000, NULL, NULL), PTOOLS_OK);
    ptools_close(pt);
    end();
}
END_TEST

START_TEST(uses_the_daemon_that_runs)
{
    struct fake f;

    begin("refuse");
    fake_begin(&f);
    fake_run(&f, fake_serve_one);
    ck_assert_msg(open_private(f.dir, 5000) == PTOOLS_OK, "%s", message);
    ptools_close(pt);
    fake_end(&f);
    end();
}
END_TEST

START_TEST(starts_another_after_a_loss)
{
    begin("serve");
    ck_assert_int_eq(open_private(NULL, 5000), PTOOLS_OK);
    ck_assert_int_eq(ptools_remotecall_fetch(pt, NULL, "t.drop", NULL, NULL, 5000, NULL, NULL), PTOOLS_ERR_LOST);
    ck_assert_int_eq(ptools_remotecall_fetch(pt, NULL, "t.echo", NULL, NULL, 5000, NULL, NULL), PTOOLS_OK);
    ptools_close(pt);
    end();
}
END_TEST

START_TEST(tells_why_it_did_not_start)
{
    begin("refuse");
    ck_assert_int_eq(open_private(NULL, 5000), PTOOLS_ERR_NO_DAEMON);
    ck_assert_ptr_nonnull(strstr(message, "exit status 1"));
    ck_assert_ptr_nonnull(strstr(message, "fake: the moon is full second line"));
    ck_assert_int_eq(entries(), 0);
    setenv("FAKE_MODE", "crash", 1);
    ck_assert_int_eq(open_private(NULL, 5000), PTOOLS_ERR_NO_DAEMON);
    ck_assert_ptr_nonnull(strstr(message, "signal 9"));
    setenv("PTOOLS_DAEMON", "/nowhere/ptoolsd", 1);
    ck_assert_int_eq(open_private(NULL, 5000), PTOOLS_ERR_NO_DAEMON);
    ck_assert_ptr_nonnull(strstr(message, "/nowhere/ptoolsd cannot be started"));
    ck_assert_int_eq(entries(), 0);
    setenv("XDG_RUNTIME_DIR", "/nowhere", 1);
    ck_assert_int_eq(open_private(NULL, 5000), PTOOLS_ERR_SYSTEM);
    ck_assert_ptr_nonnull(strstr(message, "/nowhere/ptools-"));
    end();
}
END_TEST

START_TEST(one_that_hangs_is_ended)
{
    begin("hang");
    ck_assert_int_eq(open_private(NULL, 100), PTOOLS_ERR_TIMEOUT);
    ck_assert_ptr_nonnull(strstr(message, "not ready in time"));
    ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
    ck_assert_int_eq(entries(), 0);
    end();
}
END_TEST

START_TEST(works_where_children_are_reaped_by_themselves)
{
    begin("serve");
    signal(SIGCHLD, SIG_IGN);
    ck_assert_msg(open_private(NULL, 5000) == PTOOLS_OK, "%s", message);
    ptools_close(pt);
    signal(SIGCHLD, SIG_DFL);
    end();
}
END_TEST

START_TEST(works_with_standard_descriptors_closed)
{
    bool opened;
    int saved[3];

    begin("serve");
    for (int i = 0; i < 3; i++) {
        saved[i] = fcntl(i, F_DUPFD_CLOEXEC, 10);
        close(i);
    }
    open_private(NULL, 5000);
    opened = pt != NULL;
    ptools_close(pt);
    for (int i = 0; i < 3; i++) {
        dup2(saved[i], i);
        close(saved[i]);
    }
    ck_assert_msg(opened, "%s", message);
    end();
}
END_TEST

START_TEST(no_private_daemon_without_leave)
{
    begin("serve");
    ck_assert_int_eq(ptools_open(NULL, &pt, &message), PTOOLS_ERR_NO_DAEMON);
    ck_assert_ptr_nonnull(strstr(message, "start ptoolsd"));
    ck_assert_int_eq(open_private("ipc:///nowhere/sock", 5000), PTOOLS_ERR_NO_DAEMON);
    ck_assert_int_eq(entries(), 0);
    end();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("lib/private");
    TCase *tc = suite_case(suite, "private");

    tcase_add_test(tc, starts_one_where_none_runs);
    tcase_add_test(tc, passes_options_on);
    tcase_add_test(tc, starts_it_in_the_directory_that_was_named);
    tcase_add_test(tc, uses_the_daemon_that_runs);
    tcase_add_test(tc, starts_another_after_a_loss);
    tcase_add_test(tc, tells_why_it_did_not_start);
    tcase_add_test(tc, one_that_hangs_is_ended);
    tcase_add_test(tc, works_where_children_are_reaped_by_themselves);
    tcase_add_test(tc, works_with_standard_descriptors_closed);
    tcase_add_test(tc, no_private_daemon_without_leave);
    return suite_run(suite);
}
