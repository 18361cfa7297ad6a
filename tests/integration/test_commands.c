/* SPDX-License-Identifier: MIT */
/*
 * Commands as plain calls, against a real daemon: how they end, what they are given, what comes of what they write; and
 * that nothing is left of them.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/integration/commands_rig.h"
#include "tests/support/suite.h"

enum { WORKERS = 2, WAIT_MS = 60000 };

static struct commands_rig rig;
static struct command c;

static void up(void)
{
    commands_up(&rig, WORKERS);
}

static void down(void)
{
    commands_down(&rig, WORKERS);
}

static void write_file(const char *path, const char *text, mode_t mode)
{
    FILE *f = fopen(path, "we");

    ck_assert_ptr_nonnull(f);
    fputs(text, f);
    fclose(f);
    ck_assert_int_eq(chmod(path, mode), 0);
}

static uint64_t deaths(void)
{
    ptools_worker_info *workers = NULL;
    uint64_t sum = 0;
    size_t n = 0;

    ck_assert_ptools(ptools_workers(rig.pt, &workers, &n));
    for (size_t i = 0; i < n; i++)
        sum += workers[i].deaths;
    free(workers);
    return sum;
}

/* Fails with EXITED: status or signal, and a part of the message. */
static void exits(int status, int signal, const char *message)
{
    const ptools_failure *f = command_fails(rig.pt, &c, PTOOLS_ERR_EXITED);

    ck_assert_int_eq(f->exit_status, status);
    ck_assert_int_eq(f->signal, signal);
    ck_assert_msg(strstr(f->message, message) != NULL, "\"%s\" is not in \"%s\"", message, f->message);
    command_free(&c);
}

static void refused(const char *message)
{
    const ptools_failure *f = command_fails(rig.pt, &c, PTOOLS_ERR_BAD_ARGUMENT);

    ck_assert_msg(strstr(f->message, message) != NULL, "\"%s\" is not in \"%s\"", message, f->message);
    command_free(&c);
}

/* -- how they end --------------------------------------------------------------------------------------------- */

START_TEST(a_value)
{
    ptools_future *f = NULL;
    ptools_value v;

    command_sh(&c, "echo out; echo err >&2");
    v = command_value(rig.pt, &c, &f);
    ck_assert_uint_eq(value_u64(v, "status"), 0);
    ck_assert(!value_has(v, "signal"));
    ck_assert(!value_has(v, "error"));
    value_is(v, "out", "out\n");
    value_is(v, "err", "err\n");
    ck_assert_uint_eq(value_u64(v, "out_bytes"), 4);
    ck_assert_uint_eq(value_u64(v, "err_bytes"), 4);
    ck_assert_uint_gt(value_u64(v, "start_ms"), UINT64_C(1700000000000));
    ck_assert_uint_gt(value_u64(v, "wall_us"), 0);
    ck_assert_uint_ge(value_u64(v, "user_us") + value_u64(v, "sys_us"), 0);
    ck_assert(value_has(v, "peak_kb"));
    ptools_future_free(f);
    command_free(&c);
}
END_TEST

START_TEST(exit_statuses)
{
    for (int status = 1; status < 256; status += 50) {
        char script[32], message[64];

        snprintf(script, sizeof script, "exit %d", status);
        snprintf(message, sizeof message, "sh: exited with status %d", status);
        command_sh(&c, script);
        exits(status, 0, message);
    }
    command_sh(&c, "exit 3");
    command_bool(&c, "fail", false);
    ptools_future *f = NULL;
    ck_assert_uint_eq(value_u64(command_value(rig.pt, &c, &f), "status"), 3);
    ptools_future_free(f);
    command_free(&c);
    ck_assert_uint_eq(deaths(), 0);
}
END_TEST

START_TEST(statuses_that_are_success)
{
    ptools_future *f = NULL;
    ptools_pack *ok;

    command_sh(&c, "exit 3");
    ok = command_key(&c, "ok");
    ptools_pack_list(ok, 2);
    ptools_pack_u64(ok, 3);
    ptools_pack_u64(ok, 255);
    ck_assert_uint_eq(value_u64(command_value(rig.pt, &c, &f), "status"), 3);
    ptools_future_free(f);
    command_free(&c);
    command_sh(&c, "exit 0");
    ok = command_key(&c, "ok");
    ptools_pack_list(ok, 1);
    ptools_pack_u64(ok, 3);
    exits(0, 0, "sh: exited with status 0");
}
END_TEST

START_TEST(signals)
{
    static const int of[] = { SIGTERM, SIGKILL, SIGHUP, SIGPIPE, SIGINT };

    for (size_t i = 0; i < sizeof of / sizeof of[0]; i++) {
        char script[32], message[64];

        snprintf(script, sizeof script, "kill -%d $$", of[i]);
        snprintf(message, sizeof message, "sh: killed by signal %d (", of[i]);
        command_sh(&c, script);
        exits(-1, of[i], message);
    }
    command_sh(&c, "kill -9 $$");
    command_bool(&c, "fail", false);
    ptools_future *f = NULL;
    ptools_value v = command_value(rig.pt, &c, &f);
    ck_assert_uint_eq(value_u64(v, "signal"), 9);
    ck_assert(!value_has(v, "status"));
    ptools_future_free(f);
    command_free(&c);
    ck_assert_uint_eq(deaths(), 0);
}
END_TEST

START_TEST(those_that_cannot_be_run)
{
    ptools_future *f = NULL;
    ptools_value v;

    command_begin(&c, "no-such-command-here", NULL);
    exits(127, 0, "no such command: no-such-command-here");
    command_begin(&c, "/no/such/path", NULL);
    exits(127, 0, "no such command: /no/such/path");
    write_file(commands_in_dir(&rig, "plain"), "#!/bin/sh\n", 0644);
    command_begin(&c, commands_in_dir(&rig, "plain"), NULL);
    exits(126, 0, "cannot be run: Permission denied");
    command_begin(&c, rig.dir, NULL);
    exits(126, 0, "cannot be run: Permission denied");
    write_file(commands_in_dir(&rig, "odd"), "#!/no/such/interpreter\n", 0755);
    command_begin(&c, commands_in_dir(&rig, "odd"), NULL);
    exits(127, 0, "no such command");
    command_begin(&c, "true", NULL);
    command_str(&c, "cwd", "/no/such/directory");
    exits(125, 0, "true was not begun: its directory /no/such/directory: No such file or directory");
    command_begin(&c, "true", NULL);
    command_str(&c, "stdin_file", "/no/such/file");
    exits(125, 0, "true was not begun: its input /no/such/file: No such file or directory");
    command_begin(&c, "no-such-command-here", NULL);
    command_bool(&c, "fail", false);
    v = command_value(rig.pt, &c, &f);
    ck_assert_uint_eq(value_u64(v, "status"), 127);
    value_is(v, "error", "no such command: no-such-command-here");
    ck_assert(!value_has(v, "wall_us"));
    ptools_future_free(f);
    command_free(&c);
    ck_assert_uint_eq(deaths(), 0);
}
END_TEST

/* As the shell would. */
START_TEST(script_without_interpreter)
{
    write_file(commands_in_dir(&rig, "script"), "echo \"$0 $1\"\n", 0755);
    char expected[200];

    snprintf(expected, sizeof expected, "%s x\n", commands_in_dir(&rig, "script"));
    command_begin(&c, commands_in_dir(&rig, "script"), "x", NULL);
    command_prints(rig.pt, &c, expected);
}
END_TEST

START_TEST(last_lines)
{
    const ptools_failure *f;

    command_sh(&c, "seq 1 100; seq 201 300 >&2; exit 1");
    f = command_fails(rig.pt, &c, PTOOLS_ERR_EXITED);
    ck_assert_msg(strstr(f->log, "293\n294\n295\n296\n297\n298\n299\n300\n93\n94\n95\n96\n97\n98\n99\n100\n") == f->log,
                  "%s", f->log);
    command_free(&c);
    command_sh(&c, "echo one; printf 'a\\001\\377b' >&2; exit 1");
    f = command_fails(rig.pt, &c, PTOOLS_ERR_EXITED);
    ck_assert_str_eq(f->log, "a??b\none\n");
    ck_assert_uint_gt(f->run_us, 0);
    command_free(&c);
}
END_TEST

/* -- what they are given --------------------------------------------------------------------------------------- */

START_TEST(arguments)
{
    static const char odd[] = "a b\n'\"$(x) \\ \xff\xfe";
    char expected[200];

    snprintf(expected, sizeof expected, "[%s][][*]", odd);
    command_begin(&c, "printf", "[%s]", odd, "", "*", NULL);
    command_prints(rig.pt, &c, expected);
}
END_TEST

START_TEST(many_arguments)
{
    ptools_pack *pack;

    c = (struct command){ .pack = ptools_pack_new() };
    ptools_pack_map(c.pack, COMMAND_KEYS);
    pack = command_key(&c, "argv");
    ptools_pack_list(pack, 25003);
    ptools_pack_str(pack, "sh");
    ptools_pack_str(pack, "-c");
    ptools_pack_str(pack, "echo $# $25000");
    for (int i = 0; i < 25000; i++)
        ptools_pack_str(pack, "four");
    command_prints(rig.pt, &c, "24999 four5000\n"); /* $2 and what follows */
    c = (struct command){ .pack = ptools_pack_new() };
    ptools_pack_map(c.pack, COMMAND_KEYS);
    pack = command_key(&c, "argv");
    ptools_pack_list(pack, 2);
    ptools_pack_str(pack, "true");
    char *large = calloc(1, 4 << 20);
    memset(large, 'x', (4 << 20) - 1);
    ptools_pack_str(pack, large);
    free(large);
    exits(126, 0, "true cannot be run: Argument list too long");
}
END_TEST

START_TEST(environment)
{
    command_sh(&c, "echo $A $B $PTOOLS_TASK_ATTEMPT; test -n \"$PTOOLS_DIR\" -a -n \"$PTOOLS_SEED\" -a "
                   "-n \"$PTOOLS_TASK_ID\" -a -n \"$PTOOLS_WORKER\" && echo there");
    command_list(&c, "env", (const char *const[]){ "A=1", "B=old", "PATH=/usr/bin:/bin", NULL });
    command_list(&c, "set_env", (const char *const[]){ "B=x=y", NULL });
    command_prints(rig.pt, &c, "1 x=y 1\nthere\n");
    command_begin(&c, "/usr/bin/env", NULL);
    command_list(&c, "env", (const char *const[]){ NULL });
    command_list(&c, "set_env", (const char *const[]){ "PTOOLS_DIR=/d", "PTOOLS_SEED=7", NULL });
    ptools_future *f = NULL;
    ptools_value v = command_value(rig.pt, &c, &f);
    char *out = value_bytes(v, "out", NULL);
    ck_assert_ptr_nonnull(strstr(out, "PTOOLS_DIR=/d\n"));
    ck_assert_ptr_nonnull(strstr(out, "PTOOLS_SEED=7\n"));
    ck_assert_ptr_null(strstr(out, "PATH="));
    free(out);
    ptools_future_free(f);
    command_free(&c);
    command_begin(&c, "true", NULL); /* it is found by the PATH of the command's own environment */
    command_list(&c, "set_env", (const char *const[]){ "PATH=/no/such", NULL });
    exits(127, 0, "no such command: true");
}
END_TEST

START_TEST(large_environment)
{
    ptools_pack *pack;
    char entry[32];

    command_sh(&c, "env | grep -c '^V[0-9]'");
    pack = command_key(&c, "set_env");
    ptools_pack_list(pack, 20000);
    for (int i = 0; i < 20000; i++) { /* each name twice: the second counts */
        snprintf(entry, sizeof entry, "V%d=%d", i % 10000, i);
        ptools_pack_str(pack, entry);
    }
    command_prints(rig.pt, &c, "10000\n");
}
END_TEST

START_TEST(directory_and_umask)
{
    command_sh(&c, "pwd; umask");
    command_str(&c, "cwd", rig.dir);
    command_int(&c, "umask", 027);
    char expected[100];

    snprintf(expected, sizeof expected, "%s\n0027\n", rig.dir);
    command_prints(rig.pt, &c, expected);
    command_begin(&c, "pwd", NULL);
    command_prints(rig.pt, &c, "/\n");
}
END_TEST

START_TEST(limits)
{
    const int niceness = getpriority(PRIO_PROCESS, 0); /* as this test is run */
    char text[64];

    command_sh(&c, "nice; ulimit -v; echo $OMP_NUM_THREADS; nproc");
    command_int(&c, "nice", 7);
    command_int(&c, "mem", 1 << 30);
    command_int(&c, "cpus", 1);
    snprintf(text, sizeof text, "%d\n1048576\n1\n1\n", niceness + 7);
    command_prints(rig.pt, &c, text);
    command_sh(&c, "nice; ulimit -v; echo $OMP_NUM_THREADS"); /* nothing of that stays */
    snprintf(text, sizeof text, "%d\nunlimited\n\n", niceness);
    command_prints(rig.pt, &c, text);
    command_begin(&c, "dd", "if=/dev/zero", "of=/dev/null", "bs=512M", "count=1", NULL);
    command_int(&c, "mem", 256 << 20);
    exits(1, 0, "dd: exited with status 1");
    command_sh(&c, "echo $OMP_NUM_THREADS");
    command_int(&c, "cpus", 1);
    command_list(&c, "set_env", (const char *const[]){ "OMP_NUM_THREADS=9", NULL });
    command_prints(rig.pt, &c, "9\n");
}
END_TEST

START_TEST(input)
{
    const size_t large = 10 << 20;
    char *data = calloc(1, large);

    command_begin(&c, "cat", NULL);
    command_bytes(&c, "stdin", "a\0b", 3);
    ptools_future *f = NULL;
    ptools_value v = command_value(rig.pt, &c, &f);
    size_t n;
    char *out = value_bytes(v, "out", &n);
    ck_assert_uint_eq(n, 3);
    ck_assert_mem_eq(out, "a\0b", 3);
    free(out);
    ptools_future_free(f);
    command_free(&c);
    command_begin(&c, "cat", NULL); /* none: there is nothing to wait for */
    command_prints(rig.pt, &c, "");
    command_begin(&c, "wc", "-c", NULL);
    command_bytes(&c, "stdin", data, large);
    command_prints(rig.pt, &c, "10485760\n");
    command_begin(&c, "echo", "read nothing", NULL);
    command_bytes(&c, "stdin", data, large);
    command_prints(rig.pt, &c, "read nothing\n");
    write_file(commands_in_dir(&rig, "input"), "of a file", 0600);
    command_begin(&c, "cat", NULL);
    command_str(&c, "stdin_file", commands_in_dir(&rig, "input"));
    command_prints(rig.pt, &c, "of a file");
    free(data);
}
END_TEST

/* It begins with three descriptors, a process group of its own, and no signal blocked or ignored. */
START_TEST(nothing_of_the_worker)
{
    command_sh(&c, "ls /proc/self/fd | grep -v '^[0123]$'; while read name mask; do case $name in SigBlk:|SigIgn:) "
                   "echo $name $((0x$mask & 0x7fffffff));; esac; done < /proc/self/status; "
                   "test \"$(cut -d' ' -f5 /proc/$$/stat)\" = $$ && echo leads");
    command_prints(rig.pt, &c, "SigBlk: 0\nSigIgn: 0\nleads\n");
}
END_TEST

START_TEST(refusals)
{
    command_begin(&c, "true", NULL);
    command_int(&c, "argc", 1);
    refused("command.run knows no key argc; it knows argv, env, set_env, cwd, ");
    c = (struct command){ .pack = ptools_pack_new() };
    ptools_pack_map(c.pack, COMMAND_KEYS);
    command_str(&c, "cwd", "/");
    refused("command.run needs argv");
    command_begin(&c, "", NULL);
    refused("argv of command.run must be a list that begins with the name of a program");
    command_begin(&c, "true", NULL);
    command_str(&c, "cwd", "relative");
    refused("cwd of command.run must be an absolute path");
    command_begin(&c, "true", NULL);
    command_int(&c, "umask", 01000);
    refused("umask of command.run must be an integer from 0 to 511");
    command_begin(&c, "true", NULL);
    command_list(&c, "env", (const char *const[]){ "A", NULL });
    refused("env of command.run must be a list of NAME=value");
    command_begin(&c, "true", NULL);
    command_str(&c, "merge", "yes");
    refused("merge of command.run must be true or false");
    command_begin(&c, "true", NULL);
    command_str(&c, "stdin", "x");
    command_str(&c, "stdin_file", "/x");
    refused("takes one of stdin and stdin_file, not both");
}
END_TEST

/* -- what they write --------------------------------------------------------------------------------------------- */

START_TEST(merged_output)
{
    command_sh(&c, "echo 1; echo 2 >&2; echo 3");
    command_bool(&c, "merge", true);
    ptools_future *f = NULL;
    ptools_value v = command_value(rig.pt, &c, &f);
    value_is(v, "out", "1\n2\n3\n");
    ck_assert(!value_has(v, "err"));
    ck_assert(!value_has(v, "err_bytes"));
    ptools_future_free(f);
    command_free(&c);
}
END_TEST

START_TEST(closes_its_output)
{
    command_sh(&c, "echo begun; exec >&- 2>&-; sleep 0.1; exit 4");
    exits(4, 0, "exited with status 4");
}
END_TEST

/* One that makes its output non-blocking leaves that to none after it, in whichever worker. */
START_TEST(blocking_output)
{
    for (int i = 0; i < 2 * WORKERS; i++) {
        command_begin(&c, "dd", "if=/dev/null", "oflag=nonblock", "status=none", NULL);
        command_prints(rig.pt, &c, "");
    }
    for (int i = 0; i < 2 * WORKERS; i++) {
        command_sh(&c, "sed -n 's/^flags:\t0*//p' /proc/$$/fdinfo/1");
        command_prints(rig.pt, &c, "1\n");
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("commands");
    TCase *t = suite_case(s, "commands");

    tcase_add_checked_fixture(t, up, down);
    tcase_set_timeout(t, 120);
    tcase_add_test(t, a_value);
    tcase_add_test(t, exit_statuses);
    tcase_add_test(t, statuses_that_are_success);
    tcase_add_test(t, signals);
    tcase_add_test(t, those_that_cannot_be_run);
    tcase_add_test(t, script_without_interpreter);
    tcase_add_test(t, last_lines);
    tcase_add_test(t, arguments);
    tcase_add_test(t, many_arguments);
    tcase_add_test(t, environment);
    tcase_add_test(t, large_environment);
    tcase_add_test(t, directory_and_umask);
    tcase_add_test(t, limits);
    tcase_add_test(t, input);
    tcase_add_test(t, nothing_of_the_worker);
    tcase_add_test(t, refusals);
    tcase_add_test(t, merged_output);
    tcase_add_test(t, closes_its_output);
    tcase_add_test(t, blocking_output);
    suite_add_tcase(s, t);
    return suite_run(s);
}
