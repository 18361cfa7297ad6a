/* SPDX-License-Identifier: MIT */
/*
 * Tests of daemon/ptoolsd/journal_check.c: what is said of a journal that is fine, of one that is damaged, of one that
 * a daemon has; that what can be read of it is written as JSON; and that nothing is changed by looking.
 */
#include <fcntl.h>
#include <json-c/json.h>
#include <math.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/message.h"
#include "tests/support/suite.h"
#include "tests/unit/ptoolsd/journal_rig.h"

enum { TASKS = 300 };
static char *said, *complained;

static void begin(void)
{
    rig_begin();
    said = complained = NULL;
}

static void end(void)
{
    free(said);
    free(complained);
    rig_end();
}

static int look(int (*how)(const char *dir, FILE *out, FILE *err), const char *dir)
{
    size_t said_n, complained_n;
    FILE *out, *err;
    int status;

    free(said);
    free(complained);
    out = open_memstream(&said, &said_n);
    err = open_memstream(&complained, &complained_n);
    status = how(dir, out, err);
    fclose(out);
    fclose(err);
    return status;
}

/* A task as clients submit it. */
static struct core_row *submitted(uint64_t number, uint64_t task)
{
    struct core_row *row = rig_new(number, task, true);
    struct msg_request m = { .kind = MSG_TASK_SUBMIT, .id = 1 };
    struct bytes spec;

    m.submit = (struct msg_submit){ .function = { "text.count", 10 },
                                    .durability = task % 2 ? TASK_DURABLE : TASK_CRASHSAFE,
                                    .has_priority = task % 2,
                                    .priority = 2.5 };
    bytes_init(&spec, 10000);
    msg_request_encode(&m, &spec);
    ck_assert_int_eq(spec.err, 0);
    blob_free(row->spec);
    row->spec = blob_new(spec.data, spec.n);
    bytes_deinit(&spec);
    return row;
}

static void make(void)
{
    struct journal *j = rig_open(&(struct journal_options){ .dir = rig_dir, .reserve_bytes = 4096 });
    uint64_t number = 0;

    ck_assert_int_eq(journal_start(j, rig_why), 0);
    for (uint64_t task = 1; task <= TASKS; task++) {
        journal_put(j, submitted(++number, task));
        if (task % 3 == 0) {
            struct core_row *life = rig_life(++number, task, 2, false);

            life->life.state = task % 2 ? SHOWN_DONE : SHOWN_FAILED;
            journal_put(j, life);
        }
    }
    ck_assert_int_eq(journal_close(j, rig_why), 0);
}

START_TEST(a_journal_that_is_fine)
{
    make();
    ck_assert_msg(look(journal_check, rig_dir) == 0, "%s", complained);
    ck_assert_str_eq(said, "tasks: 300\nsubmitted: 200\ndone: 50\nfailed: 50\nlast end: clean\njournal is fine\n");
    ck_assert_str_eq(complained, "");
}
END_TEST

START_TEST(where_there_is_none)
{
    char expected[200];

    ck_assert_int_eq(look(journal_check, rig_dir), 1);
    snprintf(expected, sizeof expected, "ptoolsd: there is no journal in %s\n", rig_dir);
    ck_assert_str_eq(complained, expected);
    ck_assert_int_eq(look(journal_check, "/nowhere"), 1);
    ck_assert_ptr_nonnull(strstr(complained, "cannot open the state directory /nowhere"));
    ck_assert_int_ne(access("/nowhere", F_OK), 0);
}
END_TEST

START_TEST(a_daemon_that_has_it_keeps_it)
{
    struct journal *j = rig_open(&(struct journal_options){ .dir = rig_dir, .reserve_bytes = 4096 });

    ck_assert_int_eq(look(journal_check, rig_dir), 1);
    ck_assert_ptr_nonnull(strstr(complained, "another ptoolsd (pid "));
    ck_assert_int_eq(look(journal_export, rig_dir), 1);
    journal_abandon(j);
}
END_TEST

static const char *text_of(struct json_object *task, const char *key)
{
    struct json_object *value;

    return json_object_object_get_ex(task, key, &value) ? json_object_get_string(value) : "";
}

START_TEST(all_of_it_as_json)
{
    static const char *const life[][2] = { { "attempt", "2" },       { "kills", "3" },    { "losses", "4294967295" },
                                           { "worker", "7" },        { "ended_ms", "2" }, { "detail", "1" },
                                           { "flags", "2147483649" } };
    int n = 0;

    make();
    ck_assert_int_eq(look(journal_export, rig_dir), 0);
    for (char *line = strtok(said, "\n"); line; line = strtok(NULL, "\n")) {
        struct json_object *task = json_tokener_parse(line), *value;
        uint64_t id;

        n++;
        ck_assert_msg(task, "%s", line);
        ck_assert(json_object_object_get_ex(task, "id", &value));
        id = (uint64_t)json_object_get_int64(value);
        ck_assert_uint_eq(id, (uint64_t)n);
        ck_assert_str_eq(text_of(task, "function"), "text.count");
        ck_assert_str_eq(text_of(task, "durability"), id % 2 ? "durable" : "crashsafe");
        ck_assert_str_eq(text_of(task, "state"), id % 3 ? "submitted" : id % 2 ? "done" : "failed");
        if (id % 3)
            ck_assert_str_eq(text_of(task, "priority"), id % 2 ? "2.5" : "inf");
        for (size_t i = 0; i < ELEMENTS(life); i++) /* those of rig_life() */
            ck_assert_str_eq(text_of(task, life[i][0]), id % 3 ? "" : life[i][1]);
        ck_assert(!json_object_object_get_ex(task, "damaged", &value));
        if (id == 2) /* its arguments are 16, 23 */
            ck_assert_str_eq(text_of(task, "args"), "XWQ=");
        json_object_put(task);
    }
    ck_assert_int_eq(n, TASKS);
}
END_TEST

static void break_byte(const char *name, off_t at)
{
    int fd = open(rig_file(name), O_RDWR | O_CLOEXEC);
    uint8_t byte;

    ck_assert_int_eq(pread(fd, &byte, 1, at), 1);
    byte ^= 1;
    ck_assert_int_eq(pwrite(fd, &byte, 1, at), 1);
    close(fd);
}

static off_t size_of(const char *name)
{
    struct stat st;

    return stat(rig_file(name), &st) == 0 && st.st_size > 0 ? st.st_size : 0;
}

/* Any page of it: all that is not on that page is still there, and looking changes nothing. */
START_TEST(damage_is_told_and_the_rest_is_saved)
{
    static const char mark[] = "text.count";
    off_t size;
    char *data;
    int fd, damages = 0;

    make();
    size = size_of(JOURNAL_DB);
    data = malloc((size_t)size);
    fd = open(rig_file(JOURNAL_DB), O_RDONLY | O_CLOEXEC);
    ck_assert_int_eq(read(fd, data, (size_t)size), size);
    close(fd);
    for (off_t at = 4096 * 4; at + 20 < size && damages < 30; at += 3000) {
        char *found = memmem(data + at, (size_t)(size - at), mark, sizeof mark - 1);
        int n = 0, damaged = 0;

        if (!found)
            break;
        damages++;
        at = found - data;
        break_byte(JOURNAL_DB, at + 3);
        ck_assert_int_eq(look(journal_check, rig_dir), 65);
        ck_assert_msg(strstr(complained, "it is damaged"), "%s", complained);
        ck_assert_msg(strstr(said, "problems: "), "%s", said);
        ck_assert_int_eq(look(journal_export, rig_dir), 65);
        for (char *line = strtok(said, "\n"); line; line = strtok(NULL, "\n")) {
            n++;
            damaged += strstr(line, "\"damaged\":true") != NULL;
        }
        ck_assert_int_eq(n, TASKS);
        ck_assert_int_eq(damaged, 1);
        break_byte(JOURNAL_DB, at + 3);
        ck_assert_int_eq(look(journal_check, rig_dir), 0);
    }
    ck_assert_int_gt(damages, 5);
    free(data);

    fd = open(rig_file(JOURNAL_DB), O_RDWR | O_CLOEXEC);
    ck_assert_int_eq(ftruncate(fd, size / 4096 / 2 * 4096), 0);
    close(fd);
    size = size_of(JOURNAL_DB);
    ck_assert_int_eq(unlink(rig_file(JOURNAL_WAL)), 0); /* it was empty; and is not made anew */
    ck_assert_int_eq(look(journal_check, rig_dir), 65);
    ck_assert_int_eq(look(journal_export, rig_dir), 65);
    ck_assert_int_eq(size_of(JOURNAL_DB), size);
    ck_assert_int_ne(access(rig_file(JOURNAL_WAL), F_OK), 0);
}
END_TEST

/* What was submitted is as it was: the task is there, and said to be damaged. */
START_TEST(what_became_of_one_is_damaged)
{
    int n = 0;
    sqlite3 *db;

    make();
    ck_assert_int_eq(sqlite3_open(rig_file(JOURNAL_DB), &db), SQLITE_OK);
    ck_assert_int_eq(sqlite3_exec(db, "UPDATE life SET attempt = 9 WHERE id = 6", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    (void)look(journal_export, rig_dir);
    ck_assert_ptr_nonnull(strstr(complained, "task 6: what became of it is damaged"));
    for (char *line = strtok(said, "\n"); line; line = strtok(NULL, "\n")) {
        n++;
        ck_assert((strstr(line, "\"damaged\":true") != NULL) == (n == 6));
    }
    ck_assert_int_eq(n, TASKS);
}
END_TEST

START_TEST(a_loss_is_told)
{
    make();
    ck_assert_int_eq(rename(rig_file(JOURNAL_DB), rig_file("away")), 0);
    ck_assert_int_eq(look(journal_check, rig_dir), 65);
    ck_assert_ptr_nonnull(strstr(complained, "journal.db is missing, but journal.mark says that tasks were recorded"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("journal_check");
    TCase *tc = suite_case(suite, "journal_check");

    tcase_add_checked_fixture(tc, begin, end);
    tcase_add_test(tc, a_journal_that_is_fine);
    tcase_add_test(tc, where_there_is_none);
    tcase_add_test(tc, a_daemon_that_has_it_keeps_it);
    tcase_add_test(tc, all_of_it_as_json);
    tcase_add_test(tc, damage_is_told_and_the_rest_is_saved);
    tcase_add_test(tc, what_became_of_one_is_damaged);
    tcase_add_test(tc, a_loss_is_told);
    return suite_run(suite);
}
