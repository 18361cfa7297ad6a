/* SPDX-License-Identifier: MIT */
/*
 * The state directory is a small file system of its own, and is filled: durable and crashsafe tasks are refused with
 * PTOOLS_ERR_NO_SPACE, volatile ones go on, what runs finishes, and its end is recorded: from the reserve where there
 * was room for one (16 MiB, of 32 at least), else as soon as there is space again. When there is, the same daemon takes
 * tasks again. Killed then, nothing that it accepted is lost.
 *
 * One that is read only when the daemon starts is refused, and nothing in it is changed.
 *
 * It must be allowed to mount, and does so in a mount namespace of its own: it needs root.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/fault/client.h"
#include "tests/integration/server.h"
#include "tests/support/suite.h"

enum { WORKERS = 2, TASKS_MAX = 4000, BLOB_BYTES = 16384, WAIT_MS = 20000, CHUNK = 65536 };

static struct server server;
static ptools *pt;
static struct ledger ledger;
static char state[64], ledger_dir[64], jobs[80], filler[80], gate[80];
static const char *const args[] = { "--state-dir", state, "-o", "daemon.journal=yes", NULL };
static unsigned submitted;

static const struct size {
    unsigned mib;
    bool reserve;
} sizes[] = { { 8, false }, { 16, false }, { 24, false }, { 48, true } };

static bool mount_state(const char *options, unsigned long flags)
{
    return mount("ptools-test", state, "tmpfs", flags, options) == 0;
}

static void setup(void)
{
    temp_dir(state, sizeof state);
    temp_dir(ledger_dir, sizeof ledger_dir);
    ledger_jobs(ledger_dir, jobs, sizeof jobs);
    ledger_open(&ledger, ledger_dir, 0);
    snprintf(filler, sizeof filler, "%s/filler", state);
    snprintf(gate, sizeof gate, "%s/gate", ledger_dir);
    ck_assert_int_eq(mkfifo(gate, 0600), 0);
}

static void teardown(void)
{
    pt = ptools_close(pt);
    server_stop(&server);
    ck_assert_int_eq(umount(state), 0);
    temp_remove(state);
    ledger_close(&ledger);
    temp_remove(ledger_dir);
}

/* q.mark with some bytes that make it large. */
static ptools_err submit(ptools_durability durability, uint32_t flags)
{
    static char blob[BLOB_BYTES];
    PTOOLS_AUTO(ptools_pack) pack = ptools_pack_new();
    ptools_worker_task task = PTOOLS_WORKER_TASK_INIT;
    char key[LEDGER_KEY_MAX];
    uint64_t id = 0;
    ptools_err err;

    snprintf(key, sizeof key, "task-%u", submitted++);
    ptools_pack_str(pack, jobs);
    ptools_pack_str(pack, key);
    ptools_pack_u64(pack, 0);
    ptools_pack_bytes(pack, blob, sizeof blob);
    task.function = "q.mark";
    task.args = pack;
    task.durability = durability;
    task.flags = flags;
    task.key = key;
    task.key_bytes = strlen(key);
    ledger_sent(&ledger, key, durability, 1);
    err = ptools_queue_worker_task(pt, &task, &id);
    if (err == PTOOLS_OK)
        ledger_accepted(&ledger, key, id, durability);
    return err;
}

/* One that runs until the gate is opened. Its key is of the ledger, its marks are not. */
static uint64_t run_until_opened(void)
{
    PTOOLS_AUTO(ptools_pack) pack = ptools_pack_new();
    ptools_worker_task task = PTOOLS_WORKER_TASK_INIT;
    uint64_t id = 0, until = now_ms() + WAIT_MS;
    bool running = false;

    ptools_pack_str(pack, gate);
    task.function = "t.fifo";
    task.args = pack;
    task.durability = PTOOLS_DURABLE;
    ck_assert_ptools(ptools_queue_worker_task(pt, &task, &id));
    while (!running) {
        ptools_queued *list;

        ck_assert_ptools(ptools_queued_get(pt, id, 0, &list));
        running = ptools_queued_at(list, 0)->state == PTOOLS_QUEUED_RUNNING;
        ptools_queued_free(list);
        ck_assert(now_ms() < until);
    }
    return id;
}

/* Every byte that there is. */
static void fill(void)
{
    static char chunk[CHUNK];
    int fd = open(filler, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    size_t n = sizeof chunk;
    ssize_t r;

    ck_assert_int_ge(fd, 0);
    while ((r = write(fd, chunk, n)) > 0 || n > 1)
        if (r < 0)
            n /= 2;
    ck_assert_int_eq(errno, ENOSPC);
    close(fd);
}

/* Tasks on hold, until there is no space for one more. */
static void submit_until_full(void)
{
    ptools_err err = PTOOLS_OK;

    for (unsigned i = 0; i < TASKS_MAX && err == PTOOLS_OK; i++) {
        if (i == 50)
            fill();
        err = submit(i % 2 ? PTOOLS_DURABLE : PTOOLS_CRASHSAFE, PTOOLS_TASK_HOLD);
    }
    ck_assert_err(err, PTOOLS_ERR_NO_SPACE);
    ck_assert_ptr_nonnull(strstr(ptools_error_message(pt), "no space"));
}

static void assert_full(void)
{
    ck_assert_err(submit(PTOOLS_DURABLE, 0), PTOOLS_ERR_NO_SPACE);
    ck_assert_err(submit(PTOOLS_CRASHSAFE, 0), PTOOLS_ERR_NO_SPACE);
    ck_assert_ptools(submit(PTOOLS_VOLATILE, 0)); /* what needs no space is taken, because it was asked for as that */
}

static void until_taken_again(void)
{
    uint64_t until = now_ms() + WAIT_MS;
    ptools_err err;

    while ((err = submit(PTOOLS_DURABLE, 0)) != PTOOLS_OK) {
        ck_assert_err(err, PTOOLS_ERR_NO_SPACE);
        ck_assert_msg(now_ms() < until, "it does not recover");
    }
    ck_assert_ptools(submit(PTOOLS_CRASHSAFE, 0));
}

/* All that is on hold may run; all have an end. */
static void let_all_run(void)
{
    const ptools_queued_info *t;
    ptools_queued *list;

    ck_assert_ptools(ptools_queued_list(pt, 0, NULL, 0, &list));
    for (size_t i = 0; (t = ptools_queued_at(list, i)); i++)
        if (t->hold)
            ck_assert_ptools(ptools_queued_change(pt, &t->id, 1, PTOOLS_CHANGE_RELEASE, NULL));
    for (size_t i = 0; (t = ptools_queued_at(list, i)); i++)
        ck_assert_ptools(ptools_queued_wait(pt, &t->id, 1, false, WAIT_MS, NULL));
    ptools_queued_free(list);
}

START_TEST(filled)
{
    const struct size *size = &sizes[_i];
    char options[32], dir[sizeof server.dir];
    PTOOLS_AUTO(ptools_future) f = NULL;
    struct verdict verdict;
    uint64_t running;
    int fd;

    snprintf(options, sizeof options, "size=%uM,mode=0700", size->mib);
    ck_assert(mount_state(options, 0));
    server_start(&server, WORKERS, args);
    pt = server_open(&server);
    running = run_until_opened();
    ck_assert_ptools(ptools_queued_result(pt, running, &f));
    submit_until_full();
    assert_full();
    ck_assert_int_ge(fd = open(gate, O_WRONLY | O_CLOEXEC), 0);
    if (size->reserve) /* its end has room of its own */
        ck_assert_ptools(ptools_future_fetch(f, WAIT_MS, NULL));
    assert_full();
    ck_assert_int_eq(unlink(filler), 0);
    until_taken_again();
    ck_assert_ptools(ptools_future_fetch(f, WAIT_MS, NULL));
    close(fd);
    memcpy(dir, server.dir, sizeof dir);
    ck_assert_int_eq(kill(server.pid, SIGKILL), 0);
    ck_assert_int_eq(server_end(&server), -SIGKILL);
    server_start_in(&server, dir, WORKERS, args);
    ck_assert_ptools(ptools_queued_wait(pt, &running, 1, false, WAIT_MS, NULL));
    ck_assert_ptools(ptools_queued_change(pt, &running, 1, PTOOLS_CHANGE_FORGET, NULL)); /* it is not of the ledger */
    let_all_run();
    client_assert_ledger(pt, ledger_dir, true, &verdict);
    printf("# %u MiB: %zu tasks accepted of %zu\n", size->mib, verdict.accepted, verdict.sent);
    ck_assert_uint_ge(verdict.known, 50);
}
END_TEST

/* A daemon of 20 tasks on hold, which has ended well, or was killed. */
static void held_and_ended(int well, char ret_dir[sizeof server.dir])
{
    ck_assert(mount_state("size=48M,mode=0700", 0));
    server_start(&server, WORKERS, args);
    pt = server_open(&server);
    for (unsigned i = 0; i < 20; i++)
        ck_assert_ptools(submit(i % 2 ? PTOOLS_DURABLE : PTOOLS_CRASHSAFE, PTOOLS_TASK_HOLD));
    memcpy(ret_dir, server.dir, sizeof server.dir);
    kill(server.pid, well ? SIGTERM : SIGKILL);
    ck_assert_int_eq(server_end(&server), well ? 0 : -SIGKILL);
}

START_TEST(read_only)
{
    uint64_t until = now_ms() + WAIT_MS;
    char text[4096], dir[sizeof server.dir];
    struct verdict verdict;

    held_and_ended(_i, dir);
    while (!mount_state(NULL, MS_REMOUNT | MS_RDONLY)) /* until its workers have ended, too */
        ck_assert_msg(errno == EBUSY && now_ms() < until, "remounting: %s", strerror(errno));
    ck_assert_int_ne(server_refuses(dir, args, text, sizeof text), 0);
    ck_assert_msg(strstr(text, state) && strstr(text, "Read-only"), "it says: %s", text);
    ck_assert(mount_state(NULL, MS_REMOUNT));
    server_start_in(&server, dir, WORKERS, args);
    let_all_run();
    client_assert_ledger(pt, ledger_dir, true, &verdict);
    ck_assert_uint_eq(verdict.known, 20);
}
END_TEST

/* However the last one ended, and though the file system has been filled since: its reserve is there. */
START_TEST(starts_though_it_is_full)
{
    char dir[sizeof server.dir];
    struct verdict verdict;

    held_and_ended(_i, dir);
    fill();
    server_start_in(&server, dir, WORKERS, args);
    assert_full();
    ck_assert_int_eq(unlink(filler), 0);
    until_taken_again();
    let_all_run();
    client_assert_ledger(pt, ledger_dir, true, &verdict);
    ck_assert_uint_ge(verdict.known, 20);
}
END_TEST

int main(void)
{
    Suite *suite;
    TCase *tc;

    if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
        printf("1..0 # SKIP only who may mount can do this: %s\n", strerror(errno));
        return 0;
    }
    suite = suite_create("storage-full");
    tc = suite_case(suite, "fault");
    tcase_set_timeout(tc, 300);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, filled, 0, (int)(sizeof sizes / sizeof sizes[0]));
    tcase_add_loop_test(tc, starts_though_it_is_full, 0, 2);
    tcase_add_loop_test(tc, read_only, 0, 2);
    return suite_run(suite);
}
