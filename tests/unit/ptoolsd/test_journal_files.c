/* SPDX-License-Identifier: MIT */
/*
 * Tests of daemon/ptoolsd/journal_files.c, journal_db.c and journal_row.c: whose directory it is, and that its name
 * lasts, one daemon to it, nothing through links, versions of the tables, and checksums.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/suite.h"
#include "tests/unit/ptoolsd/journal_rig.h"

static struct rig_seen seen;

static int try_open(const char *dir)
{
    struct journal *j;
    int r = journal_open(&(struct journal_options){ .dir = dir, .reserve_bytes = 4096 }, &j, rig_why);

    if (r == 0)
        journal_abandon(j);
    return r;
}

START_TEST(the_directory_is_made_but_not_its_parents)
{
    struct journal *j;
    struct stat st;

    ck_assert_int_eq(try_open(rig_file("state")), 0);
    ck_assert_int_eq(stat(rig_file("state"), &st), 0);
    ck_assert_uint_eq(st.st_mode & 07777, 0700);
    ck_assert_int_eq(stat(rig_file("state/journal.db"), &st), 0);
    ck_assert_uint_eq(st.st_mode & 07777, 0600);
    ck_assert_int_eq(try_open(rig_file("a/b/state")), -ENOENT);
    ck_assert_msg(strstr(rig_why, "cannot make the state directory"), "%s", rig_why);
    ck_assert_int_eq(
        journal_open(&(struct journal_options){ .dir = rig_file("a/b/state"), .make_parents = true }, &j, rig_why), 0);
    journal_abandon(j);
}
END_TEST

/* -- names ----------------------------------------------------------------------------------------------------- */

enum { SYNCS_MAX = 64 };
static struct {
    ino_t ino;
    bool had_db, had_mark; /* there was a database then, ... */
} syncs[SYNCS_MAX];
static unsigned n_syncs;

/* Instead of that of libc: which files were synced. */
int fsync(int fd)
{
    char db[120], mark[120];
    struct stat st;

    snprintf(db, sizeof db, "%s/a/b/state/" JOURNAL_DB, rig_dir);
    snprintf(mark, sizeof mark, "%s/a/b/state/" JOURNAL_MARK, rig_dir);
    if (n_syncs < SYNCS_MAX && fstat(fd, &st) == 0) {
        syncs[n_syncs].ino = st.st_ino;
        syncs[n_syncs].had_mark = access(mark, F_OK) == 0;
        syncs[n_syncs++].had_db = access(db, F_OK) == 0;
    }
    return (int)syscall(SYS_fsync, fd);
}

/* Before there was a database. */
static bool is_synced(const char *dir)
{
    struct stat st;

    ck_assert_int_eq(stat(dir, &st), 0);
    for (unsigned i = 0; i < n_syncs; i++)
        if (syncs[i].ino == st.st_ino && !syncs[i].had_db)
            return true;
    return false;
}

static void open_below(bool died)
{
    static char dir[120];
    struct journal *j;

    n_syncs = 0;
    snprintf(dir, sizeof dir, "%s", rig_file("a/b/state"));
    if (died) { /* the one that made the directories, before it synced them */
        ck_assert_int_eq(mkdir(rig_file("a"), 0700) | mkdir(rig_file("a/b"), 0700) | mkdir(dir, 0700), 0);
    }
    ck_assert_int_eq(journal_open(&(struct journal_options){ .dir = dir, .make_parents = true }, &j, rig_why), 0);
    journal_abandon(j);
}

START_TEST(names_of_directories_are_synced_before_there_is_a_journal)
{
    open_below(_i == 1);
    ck_assert(is_synced(rig_file("a/b")) && is_synced(rig_file("a")) && is_synced(rig_dir));
    open_below(false); /* once and for all */
    ck_assert(!is_synced(rig_file("a/b")) && !is_synced(rig_file("a")) && !is_synced(rig_dir));
}
END_TEST

START_TEST(the_name_of_the_mark_is_synced)
{
    struct stat st;
    unsigned n = 0;

    open_below(false);
    ck_assert_int_eq(stat(rig_file("a/b/state"), &st), 0);
    for (unsigned i = 0; i < n_syncs; i++)
        n += syncs[i].ino == st.st_ino && syncs[i].had_mark;
    ck_assert_uint_gt(n, 0);
}
END_TEST

/* What was recorded goes by the clock that the daemon began with, as long as the machine runs. */
START_TEST(the_clock_is_that_of_the_first_since_the_machine_booted)
{
    static const struct {
        const char *boot;
        uint64_t clock_ms, is_ms;
    } starts[] = {
        { "00000000-0000-0000-0000-000000000001", 1700000000123, 1700000000123 },
        { "00000000-0000-0000-0000-000000000001", 1600000000456, 1700000000123 },
        { "00000000-0000-0000-0000-000000000001", 1800000000456, 1700000000123 },
        { "00000000-0000-0000-0000-000000000002", 1800000000456, 1800000000456 },
        { "00000000-0000-0000-0000-000000000002", 1700000000123, 1800000000456 },
    };

    for (size_t i = 0; i < ELEMENTS(starts); i++) {
        struct journal *j = rig_open(&(struct journal_options){
            .dir = rig_dir, .reserve_bytes = 4096, .boot_id = starts[i].boot, .clock_ms = starts[i].clock_ms });

        ck_assert_uint_eq(journal_clock_ms(j), starts[i].is_ms);
        ck_assert_int_eq(journal_start(j, rig_why), 0);
        journal_put(j, rig_new(i + 1, i + 1, true));
        journal_turn(j);
        rig_wait(j, i + 1);
        ck_assert_int_eq(journal_close(j, rig_why), 0);
    }
}
END_TEST

/* One that is a hole is no space: it is made anew. */
START_TEST(the_reserve_is_there)
{
    struct stat st;

    journal_abandon(rig_open(&(struct journal_options){ .dir = rig_dir, .reserve_bytes = 1 << 20 }));
    for (int i = 0; i < 2; i++) {
        struct journal *j = rig_open(&(struct journal_options){ .dir = rig_dir, .reserve_bytes = 1 << 20 });

        ck_assert_int_eq(journal_start(j, rig_why), 0);
        ck_assert_int_eq(stat(rig_file(JOURNAL_RESERVE), &st), 0);
        ck_assert_int_eq(st.st_size, 1 << 20);
        ck_assert_int_ge(st.st_blocks, (1 << 20) / 512);
        ck_assert_int_eq(journal_close(j, rig_why), 0);
        ck_assert_int_eq(truncate(rig_file(JOURNAL_RESERVE), 0), 0);
        ck_assert_int_eq(truncate(rig_file(JOURNAL_RESERVE), 1 << 20), 0);
    }
}
END_TEST

START_TEST(a_directory_that_others_can_change_is_refused)
{
    ck_assert_int_eq(chmod(rig_dir, 0777), 0);
    ck_assert_int_eq(try_open(rig_dir), -EPERM);
    ck_assert_msg(strstr(rig_why, "writable by nobody else") && strstr(rig_why, "mode 0777"), "%s", rig_why);
    ck_assert_int_eq(chmod(rig_dir, 0770), 0);
    ck_assert_int_eq(try_open(rig_dir), -EPERM);
    ck_assert_int_eq(chmod(rig_dir, 0755), 0);
    ck_assert_int_eq(try_open(rig_dir), 0);
    ck_assert_int_eq(try_open("/dev/null"), -ENOTDIR);
    if (geteuid() == 0) {
        ck_assert_int_eq(chown(rig_dir, 65534, 65534), 0);
        ck_assert_int_eq(try_open(rig_dir), -EPERM);
        ck_assert_msg(strstr(rig_why, "uid 65534"), "%s", rig_why);
        ck_assert_int_eq(chown(rig_dir, 0, 0), 0);
    }
}
END_TEST

START_TEST(links_are_not_followed)
{
    static const char *const names[] = { JOURNAL_DB, JOURNAL_WAL, JOURNAL_MARK, JOURNAL_LOCK, JOURNAL_RESERVE };
    char target[100], text[20] = "";
    FILE *file;

    strcpy(target, rig_file("precious"));
    for (size_t i = 0; i < ELEMENTS(names); i++) {
        file = fopen(target, "we");
        fputs("as it was", file);
        fclose(file);
        ck_assert_int_eq(mkdir(rig_file("state"), 0700), 0);
        ck_assert_int_eq(chdir(rig_file("state")), 0);
        ck_assert_int_eq(symlink(target, names[i]), 0);
        ck_assert_int_eq(try_open(rig_file("state")), -EPERM);
        ck_assert_msg(strstr(rig_why, names[i]) && strstr(rig_why, "is no plain file"), "%s", rig_why);
        ck_assert_int_eq(unlink(names[i]), 0);
        ck_assert_int_eq(link(target, names[i]), 0);
        ck_assert_int_eq(try_open(rig_file("state")), -EPERM);
        ck_assert_msg(strstr(rig_why, "has another name"), "%s", rig_why);
        ck_assert_int_eq(chdir("/"), 0);
        rig_remove(rig_file("state"));
        file = fopen(target, "re");
        ck_assert_ptr_nonnull(fgets(text, sizeof text, file));
        fclose(file);
        ck_assert_str_eq(text, "as it was");
    }
}
END_TEST

/* Should one be put there behind our back: SQLite's own way to a file ends at a link, and leads through the directory
 * that was opened, whatever its name has become. */
START_TEST(sqlite_follows_no_link_either)
{
    char path[100], moved[100];
    struct store s;
    sqlite3 *db;

    ck_assert_int_eq(store_open(&s, &(struct journal_options){ .dir = rig_dir }, NULL), 0);
    ck_assert_int_eq(symlink(rig_file("elsewhere"), rig_file("link.db")), 0);
    snprintf(path, sizeof path, "/proc/self/fd/%d/link.db", s.files.dir_fd);
    for (int i = 0; i < 2; i++) { /* to nothing, then to a file */
        int r = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, s.vfs.zName);

        if (r == SQLITE_OK)
            r = sqlite3_exec(db, "CREATE TABLE x (y)", NULL, NULL, NULL);
        ck_assert_int_eq(r, SQLITE_CANTOPEN);
        sqlite3_close(db);
        ck_assert_int_eq(close(creat(rig_file("elsewhere"), 0600)), 0);
    }
    snprintf(moved, sizeof moved, "%s-moved", rig_dir);
    ck_assert_int_eq(rename(rig_dir, moved), 0);
    snprintf(path, sizeof path, "/proc/self/fd/%d/plain.db", s.files.dir_fd);
    ck_assert_int_eq(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, s.vfs.zName), SQLITE_OK);
    ck_assert_int_eq(sqlite3_exec(db, "CREATE TABLE x (y)", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    ck_assert_int_eq(rename(moved, rig_dir), 0);
    ck_assert_int_eq(access(rig_file("plain.db"), F_OK), 0);
    store_close(&s);
}
END_TEST

START_TEST(one_daemon_to_a_directory)
{
    struct journal *j = rig_open(&(struct journal_options){ .dir = rig_dir, .reserve_bytes = 4096 });
    char expected[200];
    int status;
    pid_t pid;

    ck_assert_int_eq(journal_start(j, rig_why), 0);
    pid = fork();
    if (pid == 0) {
        int r = try_open(rig_dir);

        snprintf(expected, sizeof expected, "another ptoolsd (pid %d) has its journal in %s", (int)getppid(), rig_dir);
        _exit(r == -EBUSY && strcmp(rig_why, expected) == 0 ? 0 : 1);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    journal_put(j, rig_new(1, 1, true)); /* nothing of it was touched */
    ck_assert_int_eq(journal_close(j, rig_why), 0);
    ck_assert_int_eq(rig_peek(&(struct journal_options){ .dir = rig_dir }, &seen), 0);
    ck_assert_uint_eq(seen.tasks, 1);
}
END_TEST

/* -- versions ------------------------------------------------------------------------------------------------------ */

static void fill(void)
{
    struct journal *j = rig_open(&(struct journal_options){ .dir = rig_dir, .reserve_bytes = 4096 });

    ck_assert_int_eq(journal_start(j, rig_why), 0);
    for (uint64_t task = 1; task <= 100; task++)
        journal_put(j, rig_new(task, task, false));
    ck_assert_int_eq(journal_close(j, rig_why), 0);
}

static const char *const future_steps[] = {
    "not used: there are tables",
    "not used, either",
    "CREATE TABLE later (id INTEGER PRIMARY KEY, what TEXT); INSERT INTO later SELECT id, 'moved' FROM task",
    "DELETE FROM later WHERE id > 50",
};

START_TEST(an_older_version_is_brought_up_to_date)
{
    const struct store_schema future = { 4, future_steps };
    const struct journal_options options = { .dir = rig_dir };
    sqlite3_stmt *row;
    struct store s;

    fill();
    ck_assert_msg(store_open(&s, &options, &future) == 0, "%s", s.why);
    memset(&seen, 0, sizeof seen);
    ck_assert_int_eq(store_load(&s, rig_look, &seen), 0);
    ck_assert_uint_eq(seen.tasks, 100);
    ck_assert_int_eq(sqlite3_prepare_v2(s.db, "SELECT count(*) FROM later", -1, &row, NULL), SQLITE_OK);
    ck_assert_int_eq(sqlite3_step(row), SQLITE_ROW);
    ck_assert_int_eq(sqlite3_column_int(row, 0), 50);
    sqlite3_finalize(row);
    store_close(&s);
    ck_assert_int_eq(rig_peek(&options, &seen), -EPROTONOSUPPORT); /* it is a newer one now */
    ck_assert_msg(strstr(rig_why, "version 4, of a newer ptoolsd; this one knows versions up to 2"), "%s", rig_why);
}
END_TEST

START_TEST(a_step_that_fails_leaves_the_old_version)
{
    const char *const broken[] = { future_steps[0], future_steps[1], future_steps[2], "INSERT INTO nowhere VALUES (1)" };
    const struct store_schema future = { 4, broken };
    const struct journal_options options = { .dir = rig_dir };
    struct store s;

    fill();
    ck_assert_int_eq(store_open(&s, &options, &future), JOURNAL_BAD_DATA);
    ck_assert_msg(strstr(s.why, "nowhere"), "%s", s.why);
    store_close(&s);
    ck_assert_int_eq(rig_peek(&options, &seen), 0);
    ck_assert_uint_eq(seen.tasks, 100);
}
END_TEST

START_TEST(what_is_no_journal_is_refused)
{
    FILE *file = fopen(rig_file(JOURNAL_DB), "we");
    sqlite3 *db;

    for (int i = 0; i < 1000; i++)
        fputs("this is no database\n", file);
    fclose(file);
    ck_assert_int_eq(chmod(rig_file(JOURNAL_DB), 0600), 0);
    ck_assert_int_eq(try_open(rig_dir), JOURNAL_BAD_DATA);
    ck_assert_msg(strstr(rig_why, "not a database"), "%s", rig_why);
    ck_assert_int_eq(unlink(rig_file(JOURNAL_DB)), 0);
    ck_assert_int_eq(sqlite3_open(rig_file(JOURNAL_DB), &db), SQLITE_OK);
    ck_assert_int_eq(sqlite3_exec(db, "CREATE TABLE x (y)", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    ck_assert_int_eq(chmod(rig_file(JOURNAL_DB), 0600), 0);
    ck_assert_int_eq(try_open(rig_dir), JOURNAL_BAD_DATA);
    ck_assert_msg(strstr(rig_why, "not a journal of ptoolsd"), "%s", rig_why);
}
END_TEST

/* Else it would be taken for missing, and the daemon not started again. */
START_TEST(what_cannot_be_looked_at_is_not_missing)
{
    struct journal_files files;
    uint64_t bytes;

    journal_files_init(&files);
    files.dir = rig_dir;
    files.dir_fd = open(rig_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ck_assert_int_eq(journal_files_have(&files, JOURNAL_DB, &bytes, rig_why), 0);
    close(files.dir_fd);
    ck_assert_int_eq(journal_files_have(&files, JOURNAL_DB, &bytes, rig_why), -EBADF);
    ck_assert_msg(strstr(rig_why, "cannot look at"), "%s", rig_why);
    ck_assert_int_eq(journal_files_same(&files, rig_why), -EBADF);
    ck_assert_msg(strstr(rig_why, "cannot look at"), "%s", rig_why);
}
END_TEST

/* -- checksums ----------------------------------------------------------------------------------------------------- */

START_TEST(crc32c_is_the_one_everybody_knows)
{
    uint8_t data[100];

    ck_assert_uint_eq(crc32c(0, "123456789", 9), 0xe3069283);
    ck_assert_uint_eq(crc32c_portable(0, "123456789", 9), 0xe3069283);
    memset(data, 0, 32);
    ck_assert_uint_eq(crc32c(0, data, 32), 0x8a9136aa); /* RFC 3720, B.4 */
    memset(data, 0xff, 32);
    ck_assert_uint_eq(crc32c(0, data, 32), 0x62a8ab43);
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 17);
    for (size_t n = 0; n <= sizeof data; n++) {
        ck_assert_uint_eq(crc32c(0, data, n), crc32c_portable(0, data, n));
        ck_assert_uint_eq(crc32c(crc32c(0, data, n), data + n, sizeof data - n), crc32c(0, data, sizeof data));
    }
}
END_TEST

static void change(struct core_row *row, int what)
{
    switch (what) {
    case 0:
        row->task++;
        break;
    case 1:
        row->uid++;
        break;
    case 2:
        row->parent++;
        break;
    case 3:
        row->queued_ms++;
        break;
    case 4:
        row->spec->data[row->spec->n - 1] ^= 1;
        break;
    case 5:
        row->args->data[0] ^= 128;
        break;
    case 6:
        row->args->n--;
        break;
    case 7:
        row->args = blob_free(row->args);
        break;
    }
}

START_TEST(every_column_counts)
{
    struct core_row *row = rig_new(1, 102, false);
    uint32_t before = journal_row_task_crc(row), life;

    core_row_free(row);
    for (int what = 0; what < 8; what++) {
        row = rig_new(1, 102, false);
        ck_assert_uint_eq(journal_row_task_crc(row), before);
        change(row, what);
        ck_assert_uint_ne(journal_row_task_crc(row), before);
        core_row_free(row);
    }
    row = rig_life(1, 102, 6, false);
    life = journal_row_life_crc(row);
    for (size_t i = 0; i < sizeof row->life; i++) { /* but for the padding, which nobody writes */
        uint8_t *byte = (uint8_t *)&row->life + i;

        *byte ^= 1;
        ck_assert_msg(journal_row_life_crc(row) != life, "byte %zu", i);
        *byte ^= 1;
    }
    row->outcome = blob_free(row->outcome);
    ck_assert_uint_ne(journal_row_life_crc(row), life);
    core_row_free(row);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("journal_files");
    TCase *tc = suite_case(suite, "journal_files");

    tcase_add_checked_fixture(tc, rig_begin, rig_end);
    tcase_add_test(tc, the_directory_is_made_but_not_its_parents);
    tcase_add_loop_test(tc, names_of_directories_are_synced_before_there_is_a_journal, 0, 2);
    tcase_add_test(tc, the_name_of_the_mark_is_synced);
    tcase_add_test(tc, the_clock_is_that_of_the_first_since_the_machine_booted);
    tcase_add_test(tc, the_reserve_is_there);
    tcase_add_test(tc, a_directory_that_others_can_change_is_refused);
    tcase_add_test(tc, links_are_not_followed);
    tcase_add_test(tc, sqlite_follows_no_link_either);
    tcase_add_test(tc, one_daemon_to_a_directory);
    tcase_add_test(tc, an_older_version_is_brought_up_to_date);
    tcase_add_test(tc, a_step_that_fails_leaves_the_old_version);
    tcase_add_test(tc, what_is_no_journal_is_refused);
    tcase_add_test(tc, what_cannot_be_looked_at_is_not_missing);
    tcase_add_test(tc, crc32c_is_the_one_everybody_knows);
    tcase_add_test(tc, every_column_counts);
    return suite_run(suite);
}
