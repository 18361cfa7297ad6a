/* SPDX-License-Identifier: MIT */
/*
 * Tests of the journal's tables: pauses are kept as tasks are, and what another hand has changed in a table is found
 * out, by a daemon that loads it and by one that only checks it, and told in words.
 */
#include <sqlite3.h>
#include <string.h>

#include "proto/message.h"
#include "tests/support/suite.h"
#include "tests/unit/ptoolsd/journal_rig.h"

static struct {
    unsigned n;
    uint32_t uid;
    char tag[16]; /* of the last */
    bool refuse;
} pauses;

static int look(void *userdata, const struct core_row *task, const struct core_row *life, char why[JOURNAL_WHY_BYTES])
{
    (void)userdata;
    if (task->kind != ROW_PAUSE)
        return 0;
    ck_assert_ptr_null(life);
    pauses.n++;
    pauses.uid = task->uid;
    snprintf(pauses.tag, sizeof pauses.tag, "%.*s", (int)task->spec->n, (const char *)task->spec->data);
    if (pauses.refuse)
        snprintf(why, JOURNAL_WHY_BYTES, "it makes no sense");
    return pauses.refuse;
}

static struct core_row *pause_row(enum core_row_kind kind, uint64_t number, uint32_t uid, const char *tag)
{
    struct core_row *row = calloc(1, sizeof *row);

    ck_assert_ptr_nonnull(row);
    *row = (struct core_row){ .kind = kind, .durable = true, .number = number, .uid = uid };
    row->spec = blob_new(tag, strlen(tag));
    return row;
}

/* From its opening to a clean end. */
static void write_rows(struct row_list *rows)
{
    struct store s;

    ck_assert_int_eq(store_open(&s, &(struct journal_options){ .dir = rig_dir, .reserve_bytes = 4096 }, NULL), 0);
    ck_assert_int_eq(store_load(&s, NULL, NULL), 0);
    ck_assert_int_eq(store_begin(&s), 0);
    ck_assert_int_eq(store_write(&s, rows->head), 0);
    row_list_clear(rows);
    ck_assert_int_eq(store_end(&s), 0);
    store_close(&s);
}

static int load(void)
{
    struct journal *j;
    int r;

    pauses.n = 0;
    r = journal_open(&(struct journal_options){ .dir = rig_dir, .reserve_bytes = 4096 }, &j, rig_why);
    if (r)
        return r;
    r = journal_load(j, look, NULL, rig_why);
    journal_abandon(j);
    return r;
}

/* Three tasks, of which the first and the last have a life, and two pauses. */
static void make(void)
{
    struct row_list rows = { NULL };

    for (uint64_t task = 1; task <= 3; task++)
        row_list_push(&rows, rig_new(task, task, true));
    row_list_push(&rows, rig_life(4, 1, 2, true));
    row_list_push(&rows, rig_life(5, 3, 2, true));
    row_list_push(&rows, pause_row(ROW_PAUSE, 6, 7, ""));
    row_list_push(&rows, pause_row(ROW_PAUSE, 7, 8, "night"));
    write_rows(&rows);
}

static void change(const char *sql)
{
    sqlite3 *db;

    ck_assert_int_eq(sqlite3_open(rig_file(JOURNAL_DB), &db), SQLITE_OK);
    ck_assert_msg(sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK, "%s: %s", sql, sqlite3_errmsg(db));
    ck_assert_int_eq(sqlite3_close(db), SQLITE_OK);
}

START_TEST(pauses_last_until_they_are_ended)
{
    struct row_list rows = { NULL };

    make();
    ck_assert_int_eq(load(), 0);
    ck_assert_uint_eq(pauses.n, 2);
    row_list_push(&rows, pause_row(ROW_RESUME, 1, 7, ""));
    row_list_push(&rows, pause_row(ROW_PAUSE, 2, 8, "night")); /* once more is the same */
    row_list_push(&rows, pause_row(ROW_RESUME, 3, 8, "day"));  /* there is none */
    write_rows(&rows);
    ck_assert_int_eq(load(), 0);
    ck_assert_uint_eq(pauses.n, 1);
    ck_assert_uint_eq(pauses.uid, 8);
    ck_assert_str_eq(pauses.tag, "night");
}
END_TEST

START_TEST(a_pause_that_makes_no_sense)
{
    make();
    pauses.refuse = true;
    ck_assert_int_eq(load(), JOURNAL_BAD_DATA);
    ck_assert_msg(strstr(rig_why, ": a pause: it makes no sense"), "%s", rig_why);
    ck_assert_uint_eq(pauses.n, 1);
}
END_TEST

static const struct {
    const char *sql;
    const char *loading, *checking; /* what is said */
} changes[] = {
    { "UPDATE pause SET crc = crc + 1 WHERE uid = 8", "a pause: its row is damaged", "a pause of user 8 is damaged" },
    { "UPDATE pause SET uid = 4294967304 WHERE uid = 8", "a pause: its row is damaged",
      "a pause of user 8 is damaged" },
    { "UPDATE pause SET tag = 'day' WHERE uid = 8", "a pause: its row is damaged", "a pause of user 8 is damaged" },
    { "UPDATE meta SET crc = crc + 1", "(table meta) is damaged", "(table meta) is damaged" },
    { "UPDATE meta SET name = x'00'", "(table meta) is damaged", "(table meta) is damaged" },
    { "DELETE FROM meta", "(table meta) is damaged", "(table meta) is damaged" },
    { "UPDATE task SET uid = 4294967296 + uid WHERE id = 2", "task 2: ", "task 2: it is damaged" },
    { "UPDATE task SET args = 'other' WHERE id = 2", "task 2: ", "task 2: it is damaged" },
    { "UPDATE life SET attempt = 9 WHERE id = 3", "task 3: ", "task 3: what became of it is damaged" },
    { "UPDATE life SET worker = 4294967296 + worker WHERE id = 3", "task 3: ", "task 3: what became of it is damaged" },
    { "DELETE FROM task WHERE id = 1", "task 1: it is missing, though something became of it", "there are 2 and 1" },
    { "DELETE FROM task WHERE id = 3", "task 3: it is missing, though something became of it", "there are 2 and 1" },
    { "DELETE FROM task WHERE id = 2", "there are 2 (2 of them changed), but there were 3 (2)", "there are 2 and 2" },
    { "DELETE FROM life WHERE id = 3", "there are 3 (1 of them changed), but there were 3 (2)", "there are 3 and 1" },
    { "DROP TABLE life", "no such table: life", "no such table: life" },
    { "DROP TABLE task", "no such table: task", "no such table: task" },
    { "DROP TABLE pause", "no such table: pause", "no such table: pause" },
};

/* What --check-journal says of it. */
static char *check(void)
{
    char *said = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&said, &n);

    ck_assert_int_ne(journal_check(rig_dir, out, out), 0); /* what the rig submits is no message: a finding */
    fclose(out);
    return said;
}

START_TEST(what_was_changed_is_found_out)
{
    AUTO_MEM char *said = NULL;

    make();
    change(changes[_i].sql);
    ck_assert_int_eq(load(), JOURNAL_BAD_DATA);
    ck_assert_msg(strstr(rig_why, changes[_i].loading), "it says \"%s\"", rig_why);
    said = check();
    ck_assert_msg(strstr(said, changes[_i].checking), "it says \"%s\"", said);
}
END_TEST

/* One of before there were any lacks none of them. */
START_TEST(pauses_are_counted)
{
    AUTO_MEM char *said = NULL, *said_of_old = NULL;

    make();
    said = check();
    ck_assert_msg(strstr(said, "\npauses: 2\n") && !strstr(said, "a pause of"), "it says \"%s\"", said);
    change("DROP TABLE pause; PRAGMA user_version = 1");
    said_of_old = check();
    ck_assert_msg(strstr(said_of_old, "\ntasks: 3\n") && !strstr(said_of_old, "pause"), "it says \"%s\"", said_of_old);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("journal_tables");
    TCase *tc = suite_case(suite, "tables");

    tcase_add_checked_fixture(tc, rig_begin, rig_end);
    tcase_add_test(tc, pauses_last_until_they_are_ended);
    tcase_add_test(tc, a_pause_that_makes_no_sense);
    tcase_add_test(tc, pauses_are_counted);
    tcase_add_loop_test(tc, what_was_changed_is_found_out, 0, ELEMENTS(changes));
    return suite_run(suite);
}
