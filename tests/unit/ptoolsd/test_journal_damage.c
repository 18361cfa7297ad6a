/* SPDX-License-Identifier: MIT */
/*
 * Tests of the journal's files when they are damaged: a bit, a page, the end, anywhere. Either exactly what was
 * recorded is loaded, or the journal is refused as damaged; never less, never something else, never a crash.
 * PTOOLS_TEST_LONG=1: 2000 damages instead of 300.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/suite.h"
#include "tests/unit/ptoolsd/journal_rig.h"

enum { TASKS = 400, FORGOTTEN = 5 };
static struct rig_seen seen, whole;
static char damaged[120];

/* A journal with a database, a log that is not in it yet, and an end by kill -9, or a clean one. */
static void make(bool clean)
{
    struct store s;
    uint64_t task = 1;

    ck_assert_int_eq(store_open(&s, &(struct journal_options){ .dir = rig_dir, .reserve_bytes = 4096 }, NULL), 0);
    ck_assert_int_eq(store_load(&s, NULL, NULL), 0);
    ck_assert_int_eq(store_begin(&s), 0);
    while (task <= TASKS) {
        struct row_list rows = { NULL };

        for (int i = 0; i < 8; i++, task++) {
            row_list_push(&rows, rig_new(task, task, task % 2));
            if (task % 3 == 0)
                row_list_push(&rows, rig_life(task, task, (uint32_t)task, false));
            if (task % FORGOTTEN == 0)
                row_list_push(&rows, rig_forget(task, task));
        }
        ck_assert_int_eq(store_write(&s, rows.head), 0);
        row_list_clear(&rows);
        if (task == TASKS / 2 + 1)
            ck_assert_int_eq(store_checkpoint(&s, false), 0);
    }
    if (clean)
        ck_assert_int_eq(store_end(&s), 0);
    rig_copy(rig_dir, rig_file("copy")); /* before the end of this process is one that SQLite sees */
    store_close(&s);
    ck_assert_int_eq(rig_peek(&(struct journal_options){ .dir = rig_file("copy") }, &whole), 0);
    ck_assert_uint_eq(whole.tasks, TASKS - TASKS / FORGOTTEN);
}

static off_t size_of(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 ? st.st_size : 0;
}

/* One damage to one file. What it was is written to ret. */
static void damage(const char *name, char ret[120])
{
    static uint8_t zeros[4096];
    char path[200];
    off_t n, at;
    uint8_t byte;
    int fd;

    snprintf(path, sizeof path, "%s/%s", damaged, name);
    n = size_of(path);
    if (n == 0)
        return;
    at = random() % n;
    fd = open(path, O_RDWR | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    switch (random() % 4) {
    case 0:
        at -= random() % 2 ? at % 4096 : 0;
        ck_assert_int_eq(ftruncate(fd, at), 0);
        snprintf(ret, 120, "%s cut to %ld", name, (long)at);
        break;
    case 1:
        at -= at % 4096;
        ck_assert_int_gt(pwrite(fd, zeros, sizeof zeros, at), 0);
        snprintf(ret, 120, "%s zeroed from %ld", name, (long)at);
        break;
    default:
        ck_assert_int_eq(pread(fd, &byte, 1, at), 1);
        byte ^= (uint8_t)(1 << random() % 8);
        ck_assert_int_eq(pwrite(fd, &byte, 1, at), 1);
        snprintf(ret, 120, "%s: a bit of byte %ld", name, (long)at);
    }
    close(fd);
}

static void damage_all(unsigned rounds)
{
    static const char *const names[] = { JOURNAL_DB, JOURNAL_DB, JOURNAL_WAL, JOURNAL_WAL, JOURNAL_MARK };
    unsigned refused = 0, loaded = 0;
    char source[200];

    strcpy(source, rig_file("copy"));
    snprintf(damaged, sizeof damaged, "%s/damaged", rig_dir);
    for (unsigned i = 0; i < rounds; i++) {
        char what[120] = "nothing";
        int r;

        srandom(i);
        rig_copy(source, damaged);
        damage(names[i % ELEMENTS(names)], what);
        r = rig_peek(&(struct journal_options){ .dir = damaged }, &seen);
        ck_assert_msg(r == 0 || r == JOURNAL_BAD_DATA, "%s: %d: %s", what, r, rig_why);
        if (r == 0)
            ck_assert_msg(memcmp(&seen, &whole, sizeof seen) == 0, "%s: %u tasks", what, (unsigned)seen.tasks);
        else
            ck_assert_msg(strstr(rig_why, damaged), "%s: it says \"%s\"", what, rig_why);
        *(r ? &refused : &loaded) += 1;
        rig_remove(damaged);
    }
    ck_assert_uint_gt(refused, rounds / 5);
    ck_assert_uint_gt(loaded, rounds / 50);
}

static unsigned rounds(void)
{
    const char *wanted = getenv("PTOOLS_TEST_LONG");

    return wanted && *wanted ? 2000 : 300;
}

START_TEST(damage_after_a_kill)
{
    make(false);
    damage_all(rounds());
}
END_TEST

START_TEST(damage_after_a_clean_end)
{
    make(true);
    damage_all(rounds() / 3);
}
END_TEST

/* -- whole files --------------------------------------------------------------------------------------------------- */

static int peek_without(const char *name, bool clean)
{
    char path[200];
    int r;

    make(clean);
    snprintf(damaged, sizeof damaged, "%s/damaged", rig_dir);
    rig_copy(rig_file("copy"), damaged);
    snprintf(path, sizeof path, "%s/%s", damaged, name);
    ck_assert_int_eq(unlink(path), 0);
    r = rig_peek(&(struct journal_options){ .dir = damaged }, &seen);
    rig_end();
    rig_begin();
    return r;
}

START_TEST(files_that_are_missing)
{
    ck_assert_int_eq(peek_without(JOURNAL_DB, false), JOURNAL_BAD_DATA);
    ck_assert_msg(strstr(rig_why, "journal.db is missing"), "%s", rig_why);
    ck_assert_int_eq(peek_without(JOURNAL_DB, true), JOURNAL_BAD_DATA);
    ck_assert_int_eq(peek_without(JOURNAL_WAL, false), JOURNAL_BAD_DATA);
    ck_assert_msg(strstr(rig_why, "recorded tasks are missing"), "%s", rig_why);
    ck_assert_int_eq(peek_without(JOURNAL_WAL, true), 0); /* it is empty then */
    ck_assert_int_eq(peek_without(JOURNAL_MARK, false), JOURNAL_BAD_DATA);
    ck_assert_msg(strstr(rig_why, "journal.mark is missing"), "%s", rig_why);
    ck_assert_int_eq(peek_without(JOURNAL_MARK, true), 0); /* the database says that it is complete */
    ck_assert_uint_eq(seen.tasks, TASKS - TASKS / FORGOTTEN);
}
END_TEST

START_TEST(without_a_mark_it_goes_on_after_a_clean_end)
{
    struct journal *j;

    make(true);
    ck_assert_int_eq(unlink(rig_file(JOURNAL_MARK)), 0);
    j = rig_open(&(struct journal_options){ .dir = rig_dir, .reserve_bytes = 4096 });
    ck_assert_int_eq(journal_start(j, rig_why), 0);
    journal_put(j, rig_new(1, 5000, true));
    journal_turn(j);
    ck_assert_uint_eq(rig_wait(j, 1).recorded, 1);
    journal_abandon(j);
    ck_assert_int_eq(rig_peek(&(struct journal_options){ .dir = rig_dir }, &seen), 0);
    ck_assert_uint_eq(seen.state[5000], 1);
}
END_TEST

START_TEST(a_mark_of_another_journal_is_refused)
{
    char theirs[80];

    make(false);
    snprintf(theirs, sizeof theirs, "%s/theirs", rig_dir);
    journal_abandon(rig_open(&(struct journal_options){ .dir = theirs, .reserve_bytes = 4096 }));
    snprintf(damaged, sizeof damaged, "%s/theirs/" JOURNAL_MARK, rig_dir);
    ck_assert_int_eq(rename(damaged, rig_file(JOURNAL_MARK)), 0);
    ck_assert_int_eq(rig_peek(&(struct journal_options){ .dir = rig_dir }, &seen), JOURNAL_BAD_DATA);
    ck_assert_msg(strstr(rig_why, "another database"), "%s", rig_why);
}
END_TEST

/* What a refusal leaves: all that can still be saved. */
START_TEST(a_refusal_changes_nothing)
{
    uint8_t byte = 0;
    off_t db, wal;
    int fd;

    make(false);
    snprintf(damaged, sizeof damaged, "%s/damaged", rig_dir);
    rig_copy(rig_file("copy"), damaged);
    snprintf(damaged, sizeof damaged, "%s/damaged/" JOURNAL_WAL, rig_dir);
    fd = open(damaged, O_RDWR | O_CLOEXEC);
    ck_assert_int_eq(pwrite(fd, &byte, 1, 40), 1); /* the first frame: all of the log is void */
    ck_assert_int_eq(pwrite(fd, "xyz", 3, 5000), 3);
    close(fd);
    wal = size_of(damaged);
    db = size_of(rig_file("damaged/" JOURNAL_DB));
    for (int i = 0; i < 2; i++) {
        snprintf(damaged, sizeof damaged, "%s/damaged", rig_dir);
        ck_assert_int_eq(rig_peek(&(struct journal_options){ .dir = damaged }, &seen), JOURNAL_BAD_DATA);
        ck_assert_int_eq(size_of(rig_file("damaged/" JOURNAL_WAL)), wal);
        ck_assert_int_eq(size_of(rig_file("damaged/" JOURNAL_DB)), db);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("journal_damage");
    TCase *tc = suite_case(suite, "journal_damage");

    tcase_add_checked_fixture(tc, rig_begin, rig_end);
    tcase_add_test(tc, damage_after_a_kill);
    tcase_add_test(tc, damage_after_a_clean_end);
    tcase_add_test(tc, files_that_are_missing);
    tcase_add_test(tc, without_a_mark_it_goes_on_after_a_clean_end);
    tcase_add_test(tc, a_mark_of_another_journal_is_refused);
    tcase_add_test(tc, a_refusal_changes_nothing);
    return suite_run(suite);
}
