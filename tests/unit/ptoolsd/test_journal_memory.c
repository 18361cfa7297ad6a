/* SPDX-License-Identifier: MIT */
/*
 * Tests of the journal without memory: its whole life with the 1st, 2nd, 3rd ... request for memory failing, or that
 * and all that follow, its own and SQLite's, in the loop's thread or in its own, until one needs no more. It fails for
 * good, and says why; never does it take what there was no memory to read for damage. What was told as recorded is
 * there when it is opened again, and all that is there is a beginning of what was put.
 */
#include <errno.h>
#include <poll.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#include "tests/support/scarce.h"
#include "tests/support/suite.h"
#include "tests/unit/ptoolsd/journal_rig.h"

enum { BATCHES = 3, BATCH_ROWS = 5, ROWS = BATCHES * BATCH_ROWS, KEPT = 20 };

/* -- SQLite's memory ---------------------------------------------------------------------------------------------- */

static sqlite3_mem_methods real;

static void *scarce_malloc(int n)
{
    return scarce_fail_now() ? NULL : real.xMalloc(n);
}

static void *scarce_realloc(void *p, int n)
{
    return scarce_fail_now() ? NULL : real.xRealloc(p, n);
}

/* Before SQLite is used. Small pieces are no exception: none come from memory that was asked for before. */
static bool watch_sqlite(void)
{
    static sqlite3_mem_methods watched;

    if (sqlite3_config(SQLITE_CONFIG_GETMALLOC, &real) != SQLITE_OK)
        return false;
    watched = real;
    watched.xMalloc = scarce_malloc;
    watched.xRealloc = scarce_realloc;
    return sqlite3_config(SQLITE_CONFIG_MALLOC, &watched) == SQLITE_OK &&
           sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0) == SQLITE_OK && sqlite3_initialize() == SQLITE_OK;
}

/* -- a life of a journal ------------------------------------------------------------------------------------------- */

static struct rig_seen seen;

/* What row `number` of a life is; tasks 1 to KEPT are there before. */
static struct core_row *make_row(uint64_t number)
{
    switch (number % BATCH_ROWS) {
    case 1:
        return rig_new(number, 97 * number + 3, number > BATCH_ROWS); /* of several pages */
    case 2:
        return rig_life(number, number - 1 > BATCH_ROWS ? 2 : 97 * (number - 1) + 3, (uint32_t)number, false);
    case 3:
        return rig_forget(number, number);
    case 4:
        return rig_new(number, 1000 + number, true);
    default:
        return rig_life(number, 1, (uint32_t)number, number == ROWS);
    }
}

/* What there is when the first n rows are written, beside what there was. */
static void expect(bool kept, uint64_t n, struct rig_seen *ret)
{
    memset(ret, 0, sizeof *ret);
    for (uint64_t task = 1; kept && task <= KEPT; task++)
        ret->state[task] = 2 + task % 2;
    for (uint64_t number = 1; number <= n; number++) {
        struct core_row *row = make_row(number);
        uint32_t *state = &ret->state[row->task];

        *state = row->kind == ROW_NEW ? 1 : row->kind == ROW_FORGET || !*state ? 0 : 1 + row->life.attempt;
        core_row_free(row);
    }
}

static int look(void *userdata, const struct core_row *task, const struct core_row *life, char why[JOURNAL_WHY_BYTES])
{
    int r;

    scarce_armed = false;
    r = rig_look(userdata, task, life, why);
    scarce_armed = true;
    return r;
}

/* Ends the scarcity: Check needs memory, too. */
static void check_failure(const char *what, int r)
{
    scarce_armed = false;
    ck_assert_msg(r == -ENOMEM, "request %u for memory: %s: %d: %s", (unsigned)scarce_fails, what, r, rig_why);
    ck_assert_msg(*rig_why != '\0', "request %u for memory: %s: no word", (unsigned)scarce_fails, what);
}

/* How many rows were told as recorded. If that is not all, rig_why says why. */
static uint64_t put_batches(struct journal *j, struct core_row *rows[ROWS])
{
    struct pollfd fd = { .fd = journal_fd(j), .events = POLLIN };
    struct journal_news news = { .recorded = 0 };

    for (int i = 0; i < ROWS && !news.failed; i += BATCH_ROWS) {
        for (int k = i; k < i + BATCH_ROWS; k++) {
            journal_put(j, rows[k]);
            rows[k] = NULL;
        }
        journal_turn(j);
        do {
            if (poll(&fd, 1, 60000) != 1)
                return news.recorded;
            journal_collect(j, &news);
        } while (!news.failed && news.recorded < (uint64_t)i + BATCH_ROWS);
    }
    if (news.failed)
        snprintf(rig_why, sizeof rig_why, "%s", news.why);
    return news.recorded;
}

/* Armed. The value is how many rows were told as recorded. */
static uint64_t live(struct core_row *rows[ROWS])
{
    const struct journal_options options = { .dir = rig_dir, .reserve_bytes = 1 << 20 };
    struct journal *j;
    uint64_t recorded;
    int r;

    *rig_why = '\0';
    memset(&seen, 0, sizeof seen);
    r = journal_open(&options, &j, rig_why);
    if (r) {
        check_failure("open", r);
        return 0;
    }
    r = journal_load(j, look, &seen, rig_why);
    if (r == 0)
        r = journal_start(j, rig_why);
    if (r) {
        journal_abandon(j);
        check_failure("start", r);
        return 0;
    }
    recorded = put_batches(j, rows);
    r = journal_close(j, rig_why);
    if (r)
        check_failure("close", recorded < ROWS && r == -EIO ? -ENOMEM : r); /* it had failed before */
    return recorded;
}

/* What is there is what follows from some number of rows, and from no fewer than were told. */
static void check_what_is_there(bool kept, uint64_t recorded)
{
    static struct rig_seen expected;
    uint64_t n;
    int r = rig_peek(&(struct journal_options){ .dir = rig_dir }, &seen);

    ck_assert_msg(r == 0, "opened again: %d: %s", r, rig_why);
    for (n = recorded; n <= ROWS; n++) {
        expect(kept, n, &expected);
        if (memcmp(seen.state, expected.state, sizeof seen.state) == 0)
            break;
    }
    ck_assert_msg(n <= ROWS, "%u rows were told as recorded, and what is there is not what follows from them",
                  (unsigned)recorded);
}

/* False: it needs fewer. */
static bool live_without(bool kept, uint64_t nth)
{
    struct core_row *rows[ROWS];
    uint64_t recorded;
    bool failed;

    for (uint64_t i = 0; i < ROWS; i++)
        rows[i] = make_row(i + 1);
    scarce_from_now(nth);
    recorded = live(rows);
    scarce_armed = false;
    failed = scarce_count >= nth;
    ck_assert(failed || recorded == ROWS);
    for (int i = 0; i < ROWS; i++)
        core_row_free(rows[i]);
    check_what_is_there(kept, recorded);
    return failed;
}

START_TEST(a_new_journal)
{
    uint64_t nth = 1;

    scarce_lasts = _i;
    for (; live_without(false, nth); nth++) {
        rig_end();
        rig_begin();
    }
    printf("# each of %u requests for memory failed\n", (unsigned)nth - 1);
    ck_assert_uint_gt(nth, 300);
}
END_TEST

static struct blob *submission(void)
{
    const struct msg_request r = { .kind = MSG_TASK_SUBMIT, .id = 1, .submit = { .function = { "m.f", 3 } } };
    struct bytes bytes;
    struct blob *blob;

    bytes_init(&bytes, 1000);
    msg_request_encode(&r, &bytes);
    blob = blob_new(bytes.data, bytes.n);
    bytes_deinit(&bytes);
    return blob;
}

/* Of KEPT tasks, whose daemon was killed. readable: what was submitted can be. */
static void make_kept(bool readable)
{
    struct journal *j = rig_open(&(struct journal_options){ .dir = rig_dir });
    uint64_t number = 0;

    ck_assert_int_eq(journal_start(j, rig_why), 0);
    for (uint64_t task = 1; task <= KEPT; task++) {
        struct core_row *row = rig_new(number + 1, task, true);

        number += 2;
        if (readable) {
            blob_free(row->spec);
            row->spec = submission();
        }
        journal_put(j, row);
        journal_put(j, rig_life(number, task, (uint32_t)(1 + task % 2), true));
    }
    journal_turn(j);
    rig_wait(j, number);
    journal_abandon(j);
}

/* All of it is checked when it is opened. */
START_TEST(one_that_is_there)
{
    char kept[64];
    uint64_t nth = 1;

    scarce_lasts = _i;
    make_kept(false);
    strcpy(kept, rig_dir);
    for (bool more = true; more; nth++) {
        rig_begin();
        rig_copy(kept, rig_dir);
        more = live_without(true, nth);
        rig_end();
    }
    printf("# each of %u requests for memory failed\n", (unsigned)nth - 1);
    ck_assert_uint_gt(nth, 300);
    strcpy(rig_dir, kept);
}
END_TEST

/* Who could not look says so, and not that something is wrong. */
START_TEST(looked_at)
{
    const bool exported = _i & 2;
    bool more = true;
    uint64_t nth = 1;

    scarce_lasts = _i & 1;
    make_kept(true);
    for (; more; nth++) {
        AUTO_MEM char *told = NULL;
        size_t n;
        FILE *out = open_memstream(&told, &n);
        int status;

        scarce_from_now(nth);
        status = exported ? journal_export(rig_dir, out, out) : journal_check(rig_dir, out, out);
        scarce_armed = false;
        more = scarce_count >= nth;
        fclose(out);
        ck_assert_msg(status == 1 || status == 0, "request %u for memory: %d: %.200s", (unsigned)nth, status, told);
        ck_assert(more || status == 0);
        if (status == 0 && !exported)
            ck_assert_ptr_nonnull(strstr(told, "tasks: 20\n"));
    }
    printf("# each of %u requests for memory failed\n", (unsigned)nth - 1);
    ck_assert_uint_gt(nth, 100);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("journal without memory");
    TCase *tc = suite_case(suite, "no memory");

    if (!watch_sqlite())
        return 1;
    tcase_add_checked_fixture(tc, rig_begin, rig_end);
    tcase_set_timeout(tc, 120);
    tcase_add_loop_test(tc, a_new_journal, 0, 2); /* one fails; all fail from then on */
    tcase_add_loop_test(tc, one_that_is_there, 0, 2);
    tcase_add_loop_test(tc, looked_at, 0, 4);
    return suite_run(suite);
}
