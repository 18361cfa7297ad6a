/* SPDX-License-Identifier: MIT */
/*
 * Tests of the journal when the disk fails under it: any write, sync or truncation, once or from then on; a disk that
 * is full; files that are taken away. What was told as recorded is there afterwards, nothing is told after a failure,
 * and a full disk is only a pause.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/suite.h"
#include "tests/unit/ptoolsd/disk.h"
#include "tests/unit/ptoolsd/journal_rig.h"

enum { RESERVE = 1 << 20 };
static struct rig_seen seen;

static const struct journal_options *on_disk(void)
{
    static struct journal_options options;

    options = (struct journal_options){ .dir = rig_dir, .vfs = "disk", .reserve_bytes = RESERVE };
    return &options;
}

static void peek(void)
{
    int r = rig_peek(&(struct journal_options){ .dir = rig_dir }, &seen);

    ck_assert_msg(r == 0, "%d: %s", r, rig_why);
}

static void put_some(struct journal *j, uint64_t *number, int n)
{
    for (; n > 0; n--) {
        ++*number;
        journal_put(j, rig_new(*number, *number, *number % 2));
    }
    journal_turn(j);
}

/* -- what fails for good
 * ----------------------------------------------------------------------------------------------- */

/* Uses a journal until the disk fails. How many rows were told as recorded. */
static uint64_t use_until_failure(void)
{
    struct journal_news news = { .recorded = 0 };
    uint64_t number = 0, told;
    struct journal *j;

    if (journal_open(on_disk(), &j, rig_why))
        return 0;
    if (journal_load(j, NULL, NULL, rig_why) || journal_start(j, rig_why)) {
        journal_abandon(j);
        return 0;
    }
    for (int i = 0; i < 30 && !news.failed; i++) {
        put_some(j, &number, 20);
        news = rig_wait(j, number);
    }
    told = news.recorded;
    if (!news.failed) {
        journal_close(j, rig_why);
        return told;
    }
    ck_assert_msg(strstr(news.why, rig_dir), "%s", news.why);
    put_some(j, &number, 5); /* nothing is recorded, or told as such, any more */
    journal_collect(j, &news);
    ck_assert(news.failed);
    ck_assert_uint_eq(news.recorded, told);
    ck_assert(journal_pending(j));
    ck_assert_int_lt(journal_close(j, rig_why), 0);
    ck_assert_ptr_nonnull(strstr(rig_why, rig_dir));
    return told;
}

static void fail_each(bool from_then_on)
{
    unsigned at, failures = 0;

    for (at = 1; at <= 100; at++) {
        uint64_t told;

        disk_begin();
        disk.fail_at = at;
        disk.fail_on = from_then_on;
        told = use_until_failure();
        failures += disk.failed;
        disk_end();
        peek();
        for (uint64_t task = 1; task <= MAX(told, seen.tasks); task++)
            ck_assert_msg(seen.state[task], "call %u: task %u is gone", at, (unsigned)task);
        rig_end();
        rig_begin();
    }
    ck_assert_uint_eq(failures, 100);
}

START_TEST(any_call_may_fail_once)
{
    fail_each(false);
}
END_TEST

START_TEST(any_call_may_be_the_first_to_fail)
{
    fail_each(true);
}
END_TEST

static void take_away(const char *name, bool replace)
{
    struct journal *j = rig_open(&(struct journal_options){ .dir = rig_dir, .reserve_bytes = RESERVE });
    struct journal_news news;
    uint64_t number = 0;

    ck_assert_int_eq(journal_start(j, rig_why), 0);
    put_some(j, &number, 10);
    ck_assert(!rig_wait(j, number).failed);
    if (replace) {
        rig_copy(rig_dir, rig_file("copy"));
        ck_assert_int_eq(rename(rig_file(name), rig_file("before")), 0);
        ck_assert_int_eq(rename(rig_file("copy/journal.db"), rig_file(name)), 0);
    } else {
        ck_assert_int_eq(unlink(rig_file(name)), 0);
    }
    put_some(j, &number, 10);
    news = rig_wait(j, number);
    ck_assert(news.failed);
    ck_assert_uint_eq(news.recorded, 10);
    ck_assert_msg(strstr(news.why, name) && strstr(news.why, "was removed or replaced"), "%s", news.why);
    ck_assert_int_lt(journal_close(j, rig_why), 0);
    rig_end();
    rig_begin();
}

START_TEST(files_that_are_taken_away_are_missed)
{
    take_away(JOURNAL_DB, false);
    take_away(JOURNAL_WAL, false);
    take_away(JOURNAL_MARK, false);
    take_away(JOURNAL_DB, true);
}
END_TEST

START_TEST(a_directory_that_is_taken_away_is_missed)
{
    struct journal *j = rig_open(&(struct journal_options){ .dir = rig_dir, .reserve_bytes = RESERVE });
    struct journal_news news;
    uint64_t number = 0;
    char moved[80];

    ck_assert_int_eq(journal_start(j, rig_why), 0);
    snprintf(moved, sizeof moved, "%s-moved", rig_dir);
    ck_assert_int_eq(rename(rig_dir, moved), 0);
    ck_assert_int_eq(mkdir(rig_dir, 0700), 0);
    put_some(j, &number, 10);
    news = rig_wait(j, number);
    ck_assert(news.failed);
    journal_abandon(j);
    rig_remove(moved);
}
END_TEST

/* -- a full disk
 * -------------------------------------------------------------------------------------------------------- */

START_TEST(what_may_be_refused_is_when_there_is_no_space)
{
    struct journal *j;
    struct journal_news news;
    uint64_t number = 0;

    disk_begin();
    j = rig_open(on_disk());
    ck_assert_int_eq(journal_start(j, rig_why), 0);
    put_some(j, &number, 10);
    rig_wait(j, number);
    disk.calls = 0;
    disk.fail_with = SQLITE_FULL;
    disk.fail_at = 1; /* one write; what is tried again finds space */
    journal_put(j, rig_life(++number, 3, 1, true));
    put_some(j, &number, 4);
    journal_put(j, rig_life(++number, 4, 1, true));
    journal_put(j, rig_life(++number, 12, 1, true)); /* of one that is refused */
    journal_turn(j);
    news = rig_wait(j, number);
    ck_assert_msg(!news.failed, "%s", news.why);
    ck_assert_uint_ge(rig_n_refused, 1); /* those of the batch that failed; how they gathered is the thread's affair */
    ck_assert_uint_eq(rig_refused[0], 12);
    ck_assert_ptr_nonnull(strstr(rig_why_refused, "no space"));
    put_some(j, &number, 10);
    news = rig_wait(j, number);
    ck_assert(!news.failed);
    ck_assert_int_eq(journal_close(j, rig_why), 0);
    disk_end();
    peek();
    ck_assert_uint_eq(seen.state[3], 2);
    ck_assert_uint_eq(seen.state[4], 2);
    for (uint64_t task = 1; task <= number; task++) {
        bool refused = false;

        for (size_t i = 0; i < rig_n_refused; i++)
            refused |= rig_refused[i] == task;
        if (task == 11 || task == 16 || task == 17)
            continue; /* these numbers were lives */
        ck_assert_msg(refused == !seen.state[task], "task %u", (unsigned)task);
    }
}
END_TEST

START_TEST(what_may_not_be_refused_waits_for_space)
{
    struct pollfd fd;
    struct journal *j;
    struct journal_news news;
    uint64_t number = 0;

    disk_begin();
    j = rig_open(on_disk());
    ck_assert_int_eq(journal_start(j, rig_why), 0);
    put_some(j, &number, 10);
    rig_wait(j, number);
    disk.fail_with = SQLITE_FULL;
    disk.fail_on = true;
    disk.fail_at = 1;
    journal_put(j, rig_life(++number, 3, 1, true));
    journal_turn(j);
    for (uint64_t refused = 0; refused < 3;) { /* meanwhile what may be refused is, at once */
        struct journal_news more;

        put_some(j, &number, 1);
        fd = (struct pollfd){ .fd = journal_fd(j), .events = POLLIN };
        ck_assert_int_eq(poll(&fd, 1, 60000), 1);
        journal_collect(j, &more);
        for (const struct core_row *row = more.refused; row; row = row->next)
            refused++;
        ck_assert(!more.failed);
        ck_assert_uint_eq(more.recorded, 10);
    }
    disk.fail_at = 0;
    news = rig_wait(j, number);
    ck_assert(!news.failed);
    put_some(j, &number, 10);
    news = rig_wait(j, number);
    ck_assert_int_eq(journal_close(j, rig_why), 0);
    disk_end();
    peek();
    ck_assert_uint_eq(seen.state[3], 2);
    ck_assert_uint_eq(seen.tasks, 20);
}
END_TEST

START_TEST(an_end_does_not_wait_for_space)
{
    struct journal *j;
    uint64_t number = 0;

    disk_begin();
    j = rig_open(on_disk());
    ck_assert_int_eq(journal_start(j, rig_why), 0);
    put_some(j, &number, 10);
    rig_wait(j, number);
    disk.fail_with = SQLITE_FULL;
    disk.fail_on = true;
    disk.fail_at = 1;
    journal_put(j, rig_life(++number, 3, 1, true));
    ck_assert_int_lt(journal_close(j, rig_why), 0);
    ck_assert_ptr_nonnull(strstr(rig_why, "full"));
    disk_end();
    peek();
    ck_assert_uint_eq(seen.tasks, 10);
}
END_TEST

static bool say(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

    if (fd >= 0)
        close(fd);
    return ok;
}

/* A real one, of 8 MiB, in a namespace of our own. */
static bool mount_small(void)
{
    char uids[40], gids[40];

    snprintf(uids, sizeof uids, "%u %u 1", (unsigned)geteuid(), (unsigned)geteuid());
    snprintf(gids, sizeof gids, "%u %u 1", (unsigned)getegid(), (unsigned)getegid());
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0 || !say("/proc/self/setgroups", "deny") ||
        !say("/proc/self/uid_map", uids) || !say("/proc/self/gid_map", gids))
        return false;
    return mount("tmpfs", rig_dir, "tmpfs", 0, "size=8m,mode=0700") == 0;
}

START_TEST(a_real_disk_that_is_full)
{
    struct journal *j;
    struct journal_news news = { .recorded = 0 };
    uint64_t number = 0, filled, lives = 0;
    int filler;

    if (!mount_small())
        return; /* not allowed here */
    j = rig_open(&(struct journal_options){ .dir = rig_dir, .reserve_bytes = RESERVE });
    ck_assert_int_eq(journal_start(j, rig_why), 0);
    put_some(j, &number, 500);
    news = rig_wait(j, number);
    ck_assert(!news.failed && rig_n_refused == 0);
    filled = number;

    filler = open(rig_file("filler"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    for (off_t at = 0; posix_fallocate(filler, at, 4096) == 0; at += 4096)
        ;
    while (rig_n_refused == 0) { /* what the log has allocated may be used up first */
        put_some(j, &number, 50);
        news = rig_wait(j, number);
        ck_assert_msg(!news.failed, "%s", news.why);
    }
    for (uint64_t task = 1; task <= filled; task++) { /* with the reserve */
        journal_put(j, rig_life(++number, task, 2, true));
        lives++;
    }
    journal_turn(j);
    news = rig_wait(j, number);
    ck_assert_msg(!news.failed, "%s", news.why);
    ck_assert_uint_eq(news.recorded, number);

    ck_assert_int_eq(ftruncate(filler, 0), 0); /* space is back: nobody has to do anything */
    close(filler);
    rig_n_refused = 0;
    put_some(j, &number, 50);
    news = rig_wait(j, number);
    ck_assert(!news.failed);
    ck_assert_uint_eq(rig_n_refused, 0);
    ck_assert_int_eq(journal_close(j, rig_why), 0);
    peek();
    for (uint64_t task = 1; task <= filled; task++)
        ck_assert_uint_eq(seen.state[task], 3);
    ck_assert_uint_eq(seen.state[number], 1);
    umount(rig_dir);
}
END_TEST

/* -- size
 * --------------------------------------------------------------------------------------------------------------- */

START_TEST(the_file_does_not_grow_with_what_is_gone)
{
    uint64_t number = 0, first = 2, bytes = 0, wal = 0;
    struct journal_files files;
    struct store s;

    ck_assert_int_eq(store_open(&s, &(struct journal_options){ .dir = rig_dir, .reserve_bytes = RESERVE }, NULL), 0);
    ck_assert_int_eq(store_load(&s, NULL, NULL), 0);
    ck_assert_int_eq(store_begin(&s), 0);
    for (int round = 0; round < 60; round++) { /* 90 MB in all, one task that stays */
        struct row_list rows = { NULL };
        uint64_t task = first;

        for (int i = 0; i < 150; i++, task++) {
            struct core_row *row = rig_new(++number, task, false);

            blob_free(row->args);
            row->args = blob_new(NULL, 10000);
            memset(row->args->data, round, 10000);
            row_list_push(&rows, row);
        }
        if (round == 0)
            row_list_push(&rows, rig_new(++number, 1, false));
        ck_assert_int_eq(store_write(&s, rows.head), 0);
        row_list_clear(&rows);
        for (; first < task; first++)
            row_list_push(&rows, rig_forget(++number, first));
        ck_assert_int_eq(store_write(&s, rows.head), 0);
        row_list_clear(&rows);
    }
    journal_files_init(&files);
    files.dir_fd = s.files.dir_fd;
    ck_assert_int_eq(journal_files_have(&files, JOURNAL_DB, &bytes, s.why), 1);
    ck_assert_int_eq(journal_files_have(&files, JOURNAL_WAL, &wal, s.why), 1);
    ck_assert_uint_lt(bytes, 64 << 20);
    ck_assert_uint_lt(wal, 24 << 20);
    store_close(&s);
}
END_TEST

START_TEST(space_is_given_back_when_there_is_time)
{
    struct row_list rows = { NULL };
    uint64_t number = 0, bytes = 0, before = 0;
    bool more = true;
    struct store s;

    ck_assert_int_eq(store_open(&s, &(struct journal_options){ .dir = rig_dir, .reserve_bytes = RESERVE }, NULL), 0);
    ck_assert_int_eq(store_load(&s, NULL, NULL), 0);
    ck_assert_int_eq(store_begin(&s), 0);
    for (uint64_t task = 1; task <= 400; task++) {
        struct core_row *row = rig_new(++number, task, false);

        blob_free(row->args);
        row->args = blob_new(NULL, 100000);
        memset(row->args->data, 1, 100000);
        row_list_push(&rows, row);
    }
    ck_assert_int_eq(store_write(&s, rows.head), 0);
    row_list_clear(&rows);
    ck_assert_int_eq(store_checkpoint(&s, true), 0);
    ck_assert_int_eq(journal_files_have(&s.files, JOURNAL_DB, &before, s.why), 1);
    ck_assert_uint_gt(before, 40000000);
    for (uint64_t task = 1; task <= 399; task++)
        row_list_push(&rows, rig_forget(++number, task));
    ck_assert_int_eq(store_write(&s, rows.head), 0);
    row_list_clear(&rows);
    for (int i = 0; more && i < 1000; i++)
        ck_assert_int_eq(store_tidy(&s, &more), 0);
    ck_assert(!more);
    ck_assert(!store_untidy(&s));
    ck_assert_int_eq(journal_files_have(&s.files, JOURNAL_DB, &bytes, s.why), 1);
    ck_assert_uint_lt(bytes, 9 << 20);
    row_list_push(&rows, rig_forget(++number, 400));
    ck_assert_int_eq(store_write(&s, rows.head), 0); /* the first one after the log was moved makes it short */
    row_list_clear(&rows);
    ck_assert_int_eq(journal_files_have(&s.files, JOURNAL_WAL, &bytes, s.why), 1);
    ck_assert_uint_le(bytes, STORE_LOG_BYTES + (64 << 10));
    store_close(&s);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("journal_faults");
    TCase *tc = suite_case(suite, "journal_faults");

    tcase_add_checked_fixture(tc, rig_begin, rig_end);
    tcase_add_test(tc, any_call_may_fail_once);
    tcase_add_test(tc, any_call_may_be_the_first_to_fail);
    tcase_add_test(tc, files_that_are_taken_away_are_missed);
    tcase_add_test(tc, a_directory_that_is_taken_away_is_missed);
    tcase_add_test(tc, what_may_be_refused_is_when_there_is_no_space);
    tcase_add_test(tc, what_may_not_be_refused_waits_for_space);
    tcase_add_test(tc, an_end_does_not_wait_for_space);
    tcase_add_test(tc, a_real_disk_that_is_full);
    tcase_add_test(tc, the_file_does_not_grow_with_what_is_gone);
    tcase_add_test(tc, space_is_given_back_when_there_is_time);
    return suite_run(suite);
}
