/* SPDX-License-Identifier: MIT */
/*
 * A real daemon's state directory, damaged at random: a bit, a page, the end of one of its files. A daemon that is
 * started on it either serves, with exactly the tasks that were accepted, their states, arguments and values; or ends
 * with status 65, says why, and changes nothing. It never crashes, and never begins with less.
 *
 * All that waits is on hold, so nothing changes by itself. FAULT_DAMAGES in the environment asks for more than 60
 * (2000).
 */
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/bench/program.h"
#include "tests/fault/client.h"
#include "tests/integration/server.h"
#include "tests/support/suite.h"

enum {
    DAMAGES = 60, /* the short form */
    DAMAGES_MAX = 1000000,
    TASKS = 120,
    WORKERS = 1,
    PAGE = 4096,
    BAD_DATA = 65,
    WAIT_MS = 20000
};

static const char *const files[] = { "journal.db",   "journal.db-wal",  "journal.db",   "journal.db-wal",
                                     "journal.mark", "journal.ballast", "workers.lock", "journal.lock" };

static struct server server;
static char state[64], whole[64];
static const char *const args[] = { "--state-dir", state, "-o", "daemon.journal=yes", NULL };

static void copy_file(const char *from, const char *to, const char *name)
{
    char path[160], *bytes;
    struct stat st;
    int in, out;

    snprintf(path, sizeof path, "%s/%s", from, name);
    in = open(path, O_RDONLY | O_CLOEXEC);
    if (in < 0)
        return; /* not each of them is there after each end */
    snprintf(path, sizeof path, "%s/%s", to, name);
    out = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ck_assert_int_ge(out, 0);
    ck_assert_int_eq(fstat(in, &st), 0);
    bytes = malloc((size_t)st.st_size + 1);
    ck_assert_int_eq(read(in, bytes, (size_t)st.st_size), st.st_size);
    ck_assert_int_eq(write(out, bytes, (size_t)st.st_size), st.st_size);
    free(bytes);
    close(in);
    close(out);
}

static void copy_state(const char *from, const char *to)
{
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        if (strcmp(files[i], "journal.ballast") != 0) /* 16 MiB of nothing: it is made again */
            copy_file(from, to, files[i]);
}

/* One damage to one file; false: it is not there, or empty. */
static bool damage(const char *name, char what[120])
{
    static const uint8_t zeros[PAGE];
    char path[160];
    struct stat st;
    uint8_t byte;
    off_t at;
    int fd;

    snprintf(path, sizeof path, "%s/%s", state, name);
    if (stat(path, &st) < 0 || st.st_size == 0)
        return false;
    fd = open(path, O_RDWR | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    at = (off_t)pick((unsigned)st.st_size);
    switch (pick(4)) {
    case 0:
        at -= pick(2) ? at % PAGE : 0;
        ck_assert_int_eq(ftruncate(fd, at), 0);
        snprintf(what, 120, "%s cut to %lld bytes", name, (long long)at);
        break;
    case 1:
        at -= at % PAGE;
        ck_assert_int_gt(pwrite(fd, zeros, (size_t)(st.st_size - at < PAGE ? st.st_size - at : PAGE), at), 0);
        snprintf(what, 120, "%s with zeros from byte %lld on", name, (long long)at);
        break;
    default:
        ck_assert_int_eq(pread(fd, &byte, 1, at), 1);
        byte ^= (uint8_t)(1 << pick(8));
        ck_assert_int_eq(pwrite(fd, &byte, 1, at), 1);
        snprintf(what, 120, "%s with another bit in byte %lld", name, (long long)at);
    }
    close(fd);
    return true;
}

/* -- what there is --------------------------------------------------------------------------------------------- */

/* All that a daemon tells of all tasks, as a number; *ret_n: how many there are. */
static uint32_t told(ptools *pt, size_t *ret_n)
{
    const ptools_queued_info *t;
    uint32_t sum = 0;
    ptools_queued *list;

    ck_assert_ptools(ptools_queued_list(pt, 0, NULL, PTOOLS_LIST_ARGS, &list));
    for (size_t i = 0; (t = ptools_queued_at(list, i)); i++) {
        char line[400];
        const char *args_text = "";
        ptools_value v;
        size_t n = 0;

        if (ptools_get_item(t->args, 0, &v) == PTOOLS_OK)
            ck_assert_ptools(ptools_get_str(v, &args_text, &n));
        snprintf(line, sizeof line, "%u %" PRIu64 " %d %s %s %g %d %u %u %d %.*s %.*s", sum, t->id, t->state,
                 t->function, t->target, t->priority, t->durability, t->attempt, t->kills, t->hold, (int)t->key_bytes,
                 (const char *)t->key, (int)n, args_text);
        sum = ledger_crc(line, strlen(line));
        if (t->state == PTOOLS_QUEUED_DONE) {
            PTOOLS_AUTO(ptools_future) f = NULL;

            ck_assert_ptools(ptools_queued_result(pt, t->id, &f));
            ck_assert_ptools(ptools_future_fetch(f, WAIT_MS, &v));
            ck_assert_ptools(ptools_get_str(v, &args_text, &n));
            sum ^= ledger_crc(args_text, n) * (uint32_t)(i + 1);
        }
    }
    *ret_n = ptools_queued_count(list);
    ptools_queued_free(list);
    return sum;
}

static void submit(ptools *pt, unsigned i)
{
    PTOOLS_AUTO(ptools_pack) pack = ptools_pack_new();
    ptools_worker_task task = PTOOLS_WORKER_TASK_INIT;
    char text[300], key[16];
    uint64_t id = 0;

    memset(text, 'a' + (int)(i % 26), sizeof text);
    text[i % (sizeof text - 1) + 1] = '\0';
    text[sizeof text - 1] = '\0';
    ptools_pack_str(pack, text);
    snprintf(key, sizeof key, "k%u", i);
    task.function = i % 7 == 0 ? "t.fail" : "q.echo";
    task.args = pack;
    task.durability = i % 2 ? PTOOLS_DURABLE : PTOOLS_CRASHSAFE;
    task.priority = i;
    task.key = key;
    task.key_bytes = strlen(key);
    task.flags = i % 3 ? 0 : PTOOLS_TASK_HOLD;
    ck_assert_ptools(ptools_queue_worker_task(pt, &task, &id));
    if (i % 3)
        ck_assert_ptools(ptools_queued_wait(pt, &id, 1, false, WAIT_MS, NULL));
    if (i % 5 == 1)
        (void)ptools_queued_change(pt, &id, 1, PTOOLS_CHANGE_FORGET, NULL);
}

/* A state directory, as an end by that signal leaves it, and what was told before it. */
static uint32_t make(int signal, size_t *ret_n)
{
    uint32_t sum;
    ptools *pt;

    temp_dir(state, sizeof state);
    temp_dir(whole, sizeof whole);
    server_start(&server, WORKERS, args);
    pt = server_open(&server);
    for (unsigned i = 0; i < TASKS; i++)
        submit(pt, i);
    sum = told(pt, ret_n);
    ck_assert_uint_gt(*ret_n, TASKS / 2);
    ptools_close(pt);
    kill(server.pid, signal);
    ck_assert_int_eq(server_end(&server), signal == SIGKILL ? -SIGKILL : 0);
    copy_state(state, whole);
    return sum;
}

/* true: it serves. */
static bool start_damaged(const char *dir, const char *what, uint32_t expected, size_t n)
{
    size_t there = 0;
    uint32_t sum;
    int end = 0;
    ptools *pt;

    if (!server_try_in(&server, dir, WORKERS, args, &end)) {
        char *log = slurp(server.log);

        ck_assert_msg(end == BAD_DATA && strstr(log, state), "%s: it ended with %d, and says: %s", what, end, log);
        free(log);
        unlink(server.log);
        return false;
    }
    pt = server_open(&server);
    sum = told(pt, &there);
    ck_assert_msg(there == n && sum == expected, "%s: it serves with %zu tasks of %zu, %s", what, there, n,
                  there == n ? "which are not the same" : "and did not say so");
    ptools_close(pt);
    kill(server.pid, SIGKILL);
    server_end(&server);
    return true;
}

START_TEST(damaged)
{
    static const int signals[] = { SIGKILL, SIGTERM };
    unsigned damages = program_setting("FAULT_DAMAGES", DAMAGES, DAMAGES_MAX) / 2, refused = 0, served = 0;
    char dir[sizeof server.dir];
    uint32_t expected;
    size_t n = 0;

    expected = make(signals[_i], &n);
    memcpy(dir, server.dir, sizeof dir);
    ck_assert(start_damaged(dir, "nothing", expected, n));
    for (unsigned i = 0; i < damages; i++) {
        char what[120] = "nothing";

        temp_remove(state);
        ck_assert_int_eq(mkdir(state, 0700), 0);
        copy_state(whole, state);
        damage(files[i % (sizeof files / sizeof files[0])], what);
        *(start_damaged(dir, what, expected, n) ? &served : &refused) += 1;
    }
    printf("# after signal %d: %u damaged state directories refused, %u served with all %zu tasks\n", signals[_i],
           refused, served, n);
    ck_assert_uint_gt(refused, 0);
    ck_assert_uint_gt(served, 0);
    temp_remove(state);
    temp_remove(whole);
    temp_remove(dir);
    unlink(server.log);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("damaged");
    TCase *tc = suite_case(suite, "fault");

    tcase_set_timeout(tc, 900);
    tcase_add_loop_test(tc, damaged, 0, 2);
    return suite_run(suite);
}
