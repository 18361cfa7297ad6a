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

#include "proto/util.h"
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

/* All that is written there, but for journal.ballast: that is 16 MiB of nothing, and made again. */
static const char *const files[] = { "journal.db",     "journal.mark", "journal.db-wal", "journal.db",
                                     "journal.db-wal", "workers.lock", "journal.lock" };

enum { FILES = sizeof files / sizeof files[0] };

static struct file {
    char *bytes;
    size_t n;
} whole[FILES]; /* as they were before any damage */

static struct server server;
static char state[64];
static const char *const args[] = { "--state-dir", state, "-o", "daemon.journal=yes", NULL };

/* All of a file, to be freed; *ret_n 0: it is empty, or not there, as not each of them is after each end. */
static char *bytes_of(const char *dir, const char *name, size_t *ret_n)
{
    char path[160], *bytes;
    struct stat st = { .st_size = 0 };
    int fd;

    snprintf(path, sizeof path, "%s/%s", dir, name);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0)
        ck_assert_int_eq(fstat(fd, &st), 0);
    *ret_n = (size_t)st.st_size;
    bytes = malloc(*ret_n + 1);
    ck_assert_ptr_nonnull(bytes);
    if (fd >= 0)
        ck_assert_int_eq(read(fd, bytes, *ret_n), st.st_size);
    close(fd);
    return bytes;
}

static void write_file(const char *name, const char *bytes, size_t n)
{
    char path[160];
    int fd;

    snprintf(path, sizeof path, "%s/%s", state, name);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, bytes, n), (ssize_t)n);
    close(fd);
}

static void take_state(struct file *ret)
{
    for (size_t i = 0; i < FILES; i++)
        ret[i].bytes = bytes_of(state, files[i], &ret[i].n);
}

static void forget_state(struct file *taken)
{
    for (size_t i = 0; i < FILES; i++)
        free(taken[i].bytes);
}

static void put_state(const struct file *taken)
{
    temp_remove(state);
    ck_assert_int_eq(mkdir(state, 0700), 0);
    for (size_t i = 0; i < FILES; i++)
        if (taken[i].n > 0)
            write_file(files[i], taken[i].bytes, taken[i].n);
}

/* One damage to one file, as it is written there; false: it has nothing that could be damaged so. */
static bool damage(const struct file *file, const char *name, char what[120])
{
    static const char zeros[PAGE];
    AUTO_MEM char *bytes = NULL;
    size_t n = file->n, at, page;

    if (n == 0)
        return false;
    bytes = malloc(n);
    ck_assert_ptr_nonnull(bytes);
    memcpy(bytes, file->bytes, n);
    at = pick((unsigned)n);
    page = n - (at - at % PAGE) < PAGE ? n - (at - at % PAGE) : PAGE;
    switch (pick(4)) {
    case 0:
        n = at -= pick(2) ? at % PAGE : 0;
        snprintf(what, 120, "%s cut to %zu bytes", name, at);
        break;
    case 1:
        at -= at % PAGE;
        if (memcmp(bytes + at, zeros, page) == 0)
            return false;
        memset(bytes + at, 0, page);
        snprintf(what, 120, "%s with zeros from byte %zu on", name, at);
        break;
    default:
        bytes[at] = (char)(bytes[at] ^ 1 << pick(8));
        snprintf(what, 120, "%s with another bit in byte %zu", name, at);
    }
    write_file(name, bytes, n);
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
    server_start(&server, WORKERS, args);
    pt = server_open(&server);
    for (unsigned i = 0; i < TASKS; i++)
        submit(pt, i);
    sum = told(pt, ret_n);
    ck_assert_uint_gt(*ret_n, TASKS / 2);
    ptools_close(pt);
    kill(server.pid, signal);
    ck_assert_int_eq(server_end(&server), signal == SIGKILL ? -SIGKILL : 0);
    take_state(whole);
    return sum;
}

/* What a daemon that did not start has left is what it had found. */
static void assert_unchanged(const struct file *found, const char *what)
{
    struct file left[FILES];

    take_state(left);
    for (size_t i = 0; i < FILES; i++)
        ck_assert_msg(
            strstr(files[i], "lock") || (found[i].n == left[i].n && !memcmp(found[i].bytes, left[i].bytes, left[i].n)),
            "%s: it is refused, and %s is changed: %zu bytes, %zu bytes", what, files[i], found[i].n, left[i].n);
    forget_state(left);
}

/* true: it serves. */
static bool start_damaged(const char *dir, const char *what, uint32_t expected, size_t n)
{
    struct file found[FILES];
    size_t there = 0;
    uint32_t sum;
    int end = 0;
    ptools *pt;

    take_state(found);
    if (!server_try_in(&server, dir, WORKERS, args, &end)) {
        char *log = slurp(server.log);

        ck_assert_msg(end == BAD_DATA && strstr(log, state), "%s: it ended with %d, and says: %s", what, end, log);
        free(log);
        unlink(server.log);
        assert_unchanged(found, what);
        forget_state(found);
        return false;
    }
    forget_state(found);
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
        unsigned file = i;

        put_state(whole);
        while (!damage(&whole[file % FILES], files[file % FILES], what))
            file++;
        *(start_damaged(dir, what, expected, n) ? &served : &refused) += 1;
    }
    printf("# after signal %d: %u damaged state directories refused, %u served with all %zu tasks\n", signals[_i],
           refused, served, n);
    ck_assert_uint_gt(refused, 0);
    ck_assert_uint_gt(served, 0);
    forget_state(whole);
    temp_remove(state);
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
