/* SPDX-License-Identifier: MIT */
/*
 * Commands as queued tasks, and what they write: files that are there while they run and after the daemon died, which
 * never take more room than they may, and go when the task is forgotten; the spilled output of calls; files that are
 * staged; shared arrays.
 */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/util.h"
#include "tests/integration/commands_rig.h"
#include "tests/integration/memory_use.h"
#include "tests/integration/queue_rig.h"
#include "tests/support/suite.h"

enum { WORKERS = 2, WAIT_MS = 120000, MORE_KB = 16384 };

static struct queue_rig q;
static struct command c;
static char output[PATH_MAX]; /* of the task that was looked at last */

static void up(void)
{
    queue_up(&q, WORKERS, NULL);
}

static void down(void)
{
    server_whole(q.pt, WORKERS);
    queue_down(&q);
}

/* -- helpers --------------------------------------------------------------------------------------------------- */

static ptools_worker_task task(void)
{
    ptools_worker_task t = queue_task_of("command.run", command_args(&c));

    t.durability = PTOOLS_CRASHSAFE;
    return t;
}

static uint64_t put(void)
{
    const ptools_worker_task t = task();
    const uint64_t id = queue_put(q.pt, &t);

    command_free(&c);
    return id;
}

static void look(uint64_t id)
{
    PTOOLS_AUTO(ptools_queued) list = NULL;

    snprintf(output, sizeof output, "%s", queue_look(q.pt, id, &list)->output);
}

/* Of a file of the output: what is in it, NULL: it is not there; free() it. */
static char *read_output(const char *suffix)
{
    static char path[PATH_MAX + 16];

    snprintf(path, sizeof path, "%s%s", output, suffix);
    return access(path, F_OK) == 0 ? slurp(path) : NULL;
}

static void output_is(const char *suffix, const char *expected)
{
    char *text = read_output(suffix);

    if (expected)
        ck_assert_msg(text && strcmp(text, expected) == 0, "%s%s: %s", output, suffix, text ? text : "(is not there)");
    else
        ck_assert_msg(!text, "%s%s is there", output, suffix);
    free(text);
}

static size_t output_bytes(const char *suffix)
{
    char path[PATH_MAX + 16];
    struct stat st;

    snprintf(path, sizeof path, "%s%s", output, suffix);
    return stat(path, &st) == 0 ? (size_t)st.st_size : 0;
}

/* How many files and directories there are in it. */
static unsigned entries(const char *path)
{
    DIR *dir = opendir(path);
    unsigned n = 0;

    while (dir && readdir(dir))
        n++;
    if (dir)
        closedir(dir);
    return n >= 2 ? n - 2 : 0;
}

static const char *in_work(const char *name)
{
    static char path[160];

    snprintf(path, sizeof path, "%s/%s", q.work, name);
    return path;
}

static void change(uint64_t id, ptools_change what)
{
    ck_assert_ptools(ptools_queued_change(q.pt, &id, 1, what, NULL));
}

/* Nothing is left of it: the files go with the task. */
static void forget(uint64_t id)
{
    change(id, PTOOLS_CHANGE_FORGET);
    for (int i = 0; i < 4; i++)
        output_is((const char *const[]){ ".out", ".err", ".out.old", ".err.old" }[i], NULL);
}

#define TELL "echo $$ > pid.new; mv pid.new pid; "

/* -- output of queued tasks -------------------------------------------------------------------------------------- */

START_TEST(files)
{
    PTOOLS_AUTO(ptools_future) f = NULL;
    ptools_value v;
    uint64_t id;

    command_sh(&c, "echo to out; echo to err >&2");
    id = put();
    queue_ends(q.pt, id, PTOOLS_QUEUED_DONE);
    look(id);
    ck_assert_ptr_nonnull(strstr(output, q.state));
    output_is(".out", "to out\n");
    output_is(".err", "to err\n");
    output_is(".out.old", NULL);
    ck_assert_ptools(ptools_queued_result(q.pt, id, &f));
    ck_assert_ptools(ptools_future_fetch(f, WAIT_MS, &v));
    ck_assert(!value_has(v, "out"));
    ck_assert_uint_eq(value_u64(v, "out_bytes"), 7);
    char path[PATH_MAX + 8];
    snprintf(path, sizeof path, "%s.out", output);
    value_is(v, "out_file", path);
    forget(id);
}
END_TEST

START_TEST(silence)
{
    uint64_t id;

    command_begin(&c, "true", NULL);
    id = put();
    queue_ends(q.pt, id, PTOOLS_QUEUED_DONE);
    look(id);
    ck_assert_str_ne(output, "");
    output_is(".out", NULL);
    forget(id);
    id = queue_mark(&q, "no command", 0);
    queue_ends(q.pt, id, PTOOLS_QUEUED_DONE);
    look(id);
    ck_assert_str_eq(output, "");
}
END_TEST

/* It fails: state, code, exit status, last lines; and the files stay. */
START_TEST(a_failure)
{
    PTOOLS_AUTO(ptools_future) f = NULL;
    const ptools_failure *facts;
    uint64_t id;

    command_sh(&c, "echo so far; exit 9");
    id = put();
    queue_ends(q.pt, id, PTOOLS_QUEUED_FAILED);
    queue_failed_with(q.pt, id, PTOOLS_ERR_EXITED, "sh: exited with status 9");
    ck_assert_ptools(ptools_queued_result(q.pt, id, &f));
    ck_assert_err(ptools_future_fetch(f, WAIT_MS, NULL), PTOOLS_ERR_EXITED);
    facts = ptools_future_failure(f);
    ck_assert_int_eq(facts->exit_status, 9);
    ck_assert_str_eq(facts->log, "so far\n");
    look(id);
    output_is(".out", "so far\n");
    forget(id);
}
END_TEST

/* Each round trip is one look: what was written is in the file without the command having ended. */
START_TEST(readable_while_it_runs)
{
    const uint64_t until_ms = now_ms() + WAIT_MS;
    uint64_t id;
    char *text;

    ck_assert_int_eq(mkfifo(in_work("fifo"), 0600), 0);
    command_sh(&c, "echo begun; cat fifo; echo done");
    command_str(&c, "cwd", q.work);
    id = put();
    do {
        ck_assert_uint_lt(now_ms(), until_ms);
        look(id);
        text = *output ? read_output(".out") : NULL;
        if (text && !*text) {
            free(text);
            text = NULL;
        }
    } while (!text);
    ck_assert_str_eq(text, "begun\n");
    free(text);
    ck_assert_int_eq(queue_state(q.pt, id), PTOOLS_QUEUED_RUNNING);
    FILE *fifo = fopen(in_work("fifo"), "we");
    fputs("between\n", fifo);
    fclose(fifo);
    queue_ends(q.pt, id, PTOOLS_QUEUED_DONE);
    output_is(".out", "begun\nbetween\ndone\n");
    forget(id);
}
END_TEST

/* The last of it is kept, without a gap. */
START_TEST(rotation)
{
    char expected[8];
    char *old, *new;
    uint64_t id;
    long first, n = 0;

    command_begin(&c, "seq", "100000", "300000", NULL); /* 7 bytes each */
    command_int(&c, "out_max", 100000);
    id = put();
    queue_ends(q.pt, id, PTOOLS_QUEUED_DONE);
    look(id);
    ck_assert_uint_le(output_bytes(".out") + output_bytes(".out.old"), 100000);
    ck_assert_uint_ge(output_bytes(".out") + output_bytes(".out.old"), 50000);
    old = read_output(".out.old");
    new = read_output(".out");
    char *all = malloc(strlen(old) + strlen(new) + 1);
    strcat(strcpy(all, old), new);
    const char *at = strchr(all, '\n') + 1;
    for (first = atol(at); *at; at += 7, n++) {
        snprintf(expected, sizeof expected, "%ld\n", first + n);
        ck_assert_int_eq(strncmp(at, expected, 7), 0);
    }
    ck_assert_int_eq(first + n, 300001);
    free(all);
    free(old);
    free(new);
    forget(id);
}
END_TEST

/* Neither disk nor memory notices. */
START_TEST(a_gigabyte)
{
    PTOOLS_AUTO(ptools_future) f = NULL;
    struct memory_use before, after;
    ptools_value v;
    uint64_t id;

    command_begin(&c, "head", "-c", "1K", "/dev/zero", NULL);
    id = put();
    queue_ends(q.pt, id, PTOOLS_QUEUED_DONE);
    memory_look(&q.server, q.pt, &before);
    command_begin(&c, "head", "-c", "1G", "/dev/zero", NULL);
    command_int(&c, "out_max", 1 << 20);
    id = put();
    queue_ends(q.pt, id, PTOOLS_QUEUED_DONE);
    memory_look(&q.server, q.pt, &after);
    memory_assert_flat(&before, &after, MORE_KB);
    look(id);
    ck_assert_uint_le(output_bytes(".out") + output_bytes(".out.old"), 1 << 20);
    ck_assert_uint_ge(output_bytes(".out") + output_bytes(".out.old"), 1 << 19);
    ck_assert_ptools(ptools_queued_result(q.pt, id, &f));
    ck_assert_ptools(ptools_future_fetch(f, WAIT_MS, &v));
    ck_assert_uint_eq(value_u64(v, "out_bytes"), 1 << 30);
    forget(id);
}
END_TEST

START_TEST(retries)
{
    PTOOLS_AUTO(ptools_queued) list = NULL;
    ptools_worker_task t;
    uint64_t id;

    command_sh(&c, "echo attempt $PTOOLS_TASK_ATTEMPT; echo $PTOOLS_SEED >> seeds; test $PTOOLS_TASK_ATTEMPT = 3");
    command_str(&c, "cwd", q.work);
    t = task();
    t.flags = PTOOLS_TASK_IDEMPOTENT;
    t.attempts = 5;
    t.retry_on = PTOOLS_RETRY_FAILED;
    t.backoff_ms = 1;
    id = queue_put(q.pt, &t);
    command_free(&c);
    queue_ends(q.pt, id, PTOOLS_QUEUED_DONE);
    ck_assert_uint_eq(queue_look(q.pt, id, &list)->attempt, 3);
    look(id);
    output_is(".out", "attempt 3\n");
    output[strlen(output) - 1] = '1';
    output_is(".out", "attempt 1\n");
    unsigned long long seeds[3];
    FILE *file = fopen(in_work("seeds"), "re");
    ck_assert_int_eq(fscanf(file, "%llu %llu %llu", &seeds[0], &seeds[1], &seeds[2]), 3);
    fclose(file);
    ck_assert(seeds[0] == seeds[1] && seeds[1] == seeds[2] && seeds[0] != 0);
    change(id, PTOOLS_CHANGE_FORGET);
    output_is(".out", NULL);
    output[strlen(output) - 1] = '3';
    output_is(".out", NULL);
}
END_TEST

/* The daemon is killed in the middle: nothing of it runs on, the task is lost, and what it had written can be read. */
START_TEST(daemon_dies)
{
    char stray[PATH_MAX + 64], other[PATH_MAX + 64];
    uint64_t id;
    pid_t pid, child;

    command_sh(&c,
               "setsid sh -c 'trap \"\" TERM; echo $$ > child.new; mv child.new child; while :; do sleep 1; done' & "
               "echo written; " TELL "while :; do sleep 0.01; done");
    command_str(&c, "cwd", q.work);
    id = put();
    pid = command_pid_in(in_work("pid"));
    child = command_pid_in(in_work("child"));
    look(id);
    const uint64_t until_ms = now_ms() + WAIT_MS;
    while (output_bytes(".out") == 0) {
        ck_assert_uint_lt(now_ms(), until_ms);
        look(id);
    }
    queue_kill(&q);
    command_pid_gone(pid);
    command_pid_gone(child);
    output_is(".out", "written\n");
    snprintf(stray, sizeof stray, "%s/output/2020-01-01", q.state);
    ck_assert_int_eq(mkdir(stray, 0700), 0);
    ck_assert_int_lt(snprintf(other, sizeof other, "%s/other", stray), (int)sizeof other);
    strcat(stray, "/17-1.3.out");
    fclose(fopen(stray, "we"));
    fclose(fopen(other, "we"));
    queue_again(&q);
    queue_ends(q.pt, id, PTOOLS_QUEUED_LOST);
    output_is(".out", "written\n");
    ck_assert_int_eq(access(stray, F_OK), -1); /* nobody's; */
    ck_assert_int_eq(access(other, F_OK), 0);  /* and no output of ours */
    forget(id);
}
END_TEST

/* A cancelled one: what it had written stays, and its last lines are told. */
START_TEST(cancelled)
{
    ptools_worker_task t;
    uint64_t id;

    command_sh(&c, "trap 'sleep 0.8; echo in its own time; exit' TERM; " TELL "while :; do sleep 0.01; done");
    command_str(&c, "cwd", q.work);
    t = task();
    t.grace_ms = WAIT_MS;
    id = queue_put(q.pt, &t);
    command_free(&c);
    command_pid_in(in_work("pid"));
    change(id, PTOOLS_CHANGE_CANCEL);
    queue_ends(q.pt, id, PTOOLS_QUEUED_CANCELLED);
    look(id);
    output_is(".out", "in its own time\n");
    forget(id);
}
END_TEST

/* -- output of calls ---------------------------------------------------------------------------------------------- */

START_TEST(spilled)
{
    ptools_future *f = NULL;
    ptools_value v;
    struct stat st;
    char *path;
    size_t n;

    command_begin(&c, "head", "-c", "65537", "/dev/zero", NULL);
    v = command_value(q.pt, &c, &f);
    ck_assert(!value_has(v, "out"));
    path = value_bytes(v, "out_file", NULL);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_int_eq(st.st_size, 65537);
    ck_assert_int_eq(unlink(path), 0);
    free(path);
    ptools_future_free(f);
    command_free(&c);
    command_begin(&c, "head", "-c", "65536", "/dev/zero", NULL);
    v = command_value(q.pt, &c, &f);
    ck_assert(value_has(v, "out"));
    ptools_future_free(f);
    command_free(&c);
    command_begin(&c, "echo", "12345", NULL); /* at the limit, and beyond */
    command_int(&c, "inline_max", 6);
    command_prints(q.pt, &c, "12345\n");
    command_begin(&c, "head", "-c", "2M", "/dev/zero", NULL);
    command_int(&c, "inline_max", 2 << 20);
    v = command_value(q.pt, &c, &f);
    free(value_bytes(v, "out", &n));
    ck_assert_uint_eq(n, 2 << 20);
    ptools_future_free(f);
    command_free(&c);
    command_begin(&c, "head", "-c", "1G", "/dev/zero", NULL);
    command_int(&c, "out_max", 1 << 20);
    v = command_value(q.pt, &c, &f);
    ck_assert_uint_eq(value_u64(v, "out_bytes"), 1 << 30);
    path = value_bytes(v, "out_file", NULL);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_int_le(st.st_size, 1 << 19);
    unlink(path);
    char old[PATH_MAX];
    snprintf(old, sizeof old, "%s.old", path);
    ck_assert_int_eq(unlink(old), 0);
    free(path);
    ptools_future_free(f);
    command_free(&c);
}
END_TEST

/* Nobody would know where it is. */
START_TEST(spilled_and_failed)
{
    char day[PATH_MAX];
    char *path;
    ptools_future *f = NULL;

    command_begin(&c, "head", "-c", "1M", "/dev/zero", NULL);
    path = value_bytes(command_value(q.pt, &c, &f), "out_file", NULL);
    unlink(path);
    snprintf(day, sizeof day, "%s", path);
    *strrchr(day, '/') = '\0';
    free(path);
    ptools_future_free(f);
    command_free(&c);
    ck_assert_uint_eq(entries(day), 0);
    command_sh(&c, "head -c 1M /dev/zero; exit 1");
    command_fails(q.pt, &c, PTOOLS_ERR_EXITED);
    command_free(&c);
    ck_assert_uint_eq(entries(day), 0);
}
END_TEST

/* -- stages ------------------------------------------------------------------------------------------------------- */

/* Only what the attempt that won has made is there. */
START_TEST(stage)
{
    ptools_worker_task t;
    char dir[96], path[128];
    uint64_t id;
    char *text;

    snprintf(dir, sizeof dir, "%s/results", q.work);
    ck_assert_int_eq(mkdir(dir, 0700), 0);
    command_sh(&c, "cd $PTOOLS_OUT_DIR && echo $PTOOLS_TASK_ATTEMPT > of; mkdir sub; echo > sub/$PTOOLS_TASK_ATTEMPT; "
                   "echo > only-$PTOOLS_TASK_ATTEMPT; test $PTOOLS_TASK_ATTEMPT = 2");
    command_str(&c, "stage", dir);
    t = task();
    t.flags = PTOOLS_TASK_IDEMPOTENT;
    t.retry_on = PTOOLS_RETRY_FAILED;
    t.backoff_ms = 1;
    id = queue_put(q.pt, &t);
    command_free(&c);
    queue_ends(q.pt, id, PTOOLS_QUEUED_DONE);
    ck_assert_uint_eq(entries(dir), 3);
    snprintf(path, sizeof path, "%s/of", dir);
    text = slurp(path);
    ck_assert_str_eq(text, "2\n");
    free(text);
    snprintf(path, sizeof path, "%s/sub/2", dir);
    ck_assert_int_eq(access(path, F_OK), 0);
    command_sh(&c, "echo > $PTOOLS_OUT_DIR/x; exit 1");
    command_str(&c, "stage", dir);
    command_fails(q.pt, &c, PTOOLS_ERR_EXITED);
    command_free(&c);
    ck_assert_uint_eq(entries(dir), 3);
    command_begin(&c, "true", NULL);
    command_str(&c, "stage", "/no/such/directory");
    ck_assert_int_eq(command_fails(q.pt, &c, PTOOLS_ERR_EXITED)->exit_status, 125);
    command_free(&c);
}
END_TEST

/* -- arrays ------------------------------------------------------------------------------------------------------- */

START_TEST(arrays)
{
    const ptools_shmcfg cfg = PTOOLS_SHMCFG("doubled", PTOOLS_FLOAT64, 100, 1000);
    ptools_array *a = NULL;
    ptools_view view;
    ptools_pack *pack;
    double *x;

    ck_assert_ptools(ptools_shm_create(q.pt, &cfg, NULL, &a));
    x = ptools_array_data(a);
    for (int i = 0; i < 100000; i++)
        x[i] = i;
    command_begin(&c, getenv("PTOOLS_TEST_DOUBLES"), NULL);
    pack = command_key(&c, "arrays");
    ptools_pack_list(pack, 1);
    ptools_pack_list(pack, 2);
    ptools_pack_str(pack, "x");
    ptools_pack_array(pack, a);
    command_prints(q.pt, &c, "100000 100,1000 8000,8\n");
    for (int i = 0; i < 100000; i++)
        suite_holds(x[i] == 2 * i, "element %d is %g", i, x[i]);
    ptools_view_of(a, &view);
    ck_assert_ptools(ptools_view_range(&view, 0, 7, 2));
    command_begin(&c, getenv("PTOOLS_TEST_DOUBLES"), NULL);
    pack = command_key(&c, "arrays");
    ptools_pack_list(pack, 1);
    ptools_pack_list(pack, 2);
    ptools_pack_str(pack, "x");
    ptools_pack_view(pack, &view);
    command_prints(q.pt, &c, "2000 2,1000 8000,8\n");
    for (int i = 0; i < 100000; i++)
        suite_holds(x[i] == (i >= 7000 && i < 9000 ? 4 : 2) * i, "element %d is %g", i, x[i]);
    command_begin(&c, "true", NULL);
    pack = command_key(&c, "arrays");
    ptools_pack_list(pack, 1);
    ptools_pack_list(pack, 2);
    ptools_pack_str(pack, "not a name");
    ptools_pack_array(pack, a);
    command_fails(q.pt, &c, PTOOLS_ERR_BAD_ARGUMENT);
    command_free(&c);
    ptools_array_free(a);
    command_sh(&c, "ls /proc/self/fd | wc -l"); /* nothing of that stays open: 0, 1, 2, and the directory */
    command_prints(q.pt, &c, "4\n");
}
END_TEST

int main(void)
{
    Suite *s = suite_create("commands_queued");
    TCase *t = suite_case(s, "commands_queued");

    tcase_add_checked_fixture(t, up, down);
    tcase_set_timeout(t, 240);
    tcase_add_test(t, files);
    tcase_add_test(t, silence);
    tcase_add_test(t, a_failure);
    tcase_add_test(t, readable_while_it_runs);
    tcase_add_test(t, rotation);
    tcase_add_test(t, a_gigabyte);
    tcase_add_test(t, retries);
    tcase_add_test(t, daemon_dies);
    tcase_add_test(t, cancelled);
    tcase_add_test(t, spilled);
    tcase_add_test(t, spilled_and_failed);
    tcase_add_test(t, stage);
    tcase_add_test(t, arrays);
    suite_add_tcase(s, t);
    return suite_run(s);
}
