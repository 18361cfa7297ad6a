/* SPDX-License-Identifier: MIT */
/*
 * Tests of the journal's files under power loss: whatever of the unsynced sectors makes it, what was durable is there,
 * the rest is a prefix, and the journal opens. And under kill -9 at each call to the disk, after which all that was
 * told is there. PTOOLS_TEST_LONG=1: 1000 losses instead of 150, 500 kills instead of 100.
 */
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/suite.h"
#include "tests/unit/ptoolsd/disk.h"
#include "tests/unit/ptoolsd/journal_rig.h"

#define BOOT      "00000000-0000-0000-0000-000000000001"
#define NEXT_BOOT "00000000-0000-0000-0000-000000000002"
enum { MARK_BYTES = 72, MARK_PAGE = 4096, MARKS_KEPT = 4 };

static struct rig_seen seen;
static const char *boot = BOOT, *next_boot = NEXT_BOOT;
static char after[80];                                    /* the directory that the power loss left */
static uint64_t durable;                                  /* rows up to this are, as the journal has told */
static uint8_t marks[MARKS_KEPT][MARK_PAGE + MARK_BYTES]; /* the last ones that were written, the newest first */
static unsigned n_marks;

static bool read_mark(uint8_t mark[MARK_PAGE + MARK_BYTES])
{
    FILE *file = fopen(rig_file(JOURNAL_MARK), "re");
    bool ok = file && fread(mark, MARK_PAGE + MARK_BYTES, 1, file) == 1;

    if (file)
        fclose(file);
    return ok;
}

static void keep_mark(void)
{
    memmove(marks[1], marks[0], sizeof marks - sizeof marks[0]);
    ck_assert(read_mark(marks[0]));
    n_marks += n_marks < MARKS_KEPT;
}

/* The mark's second page is any of the last, or torn between two; the first is what it was when it was synced. */
static void lose_mark(void)
{
    uint8_t mark[MARK_PAGE + MARK_BYTES];
    char path[120];
    FILE *file;

    if (!read_mark(mark))
        return;
    if (n_marks) {
        unsigned which = (unsigned)random() % n_marks;

        memcpy(mark + MARK_PAGE, marks[which] + MARK_PAGE, MARK_BYTES);
        if (which > 0 && random() % 3 == 0)
            memcpy(mark + MARK_PAGE, marks[which - 1] + MARK_PAGE, (size_t)random() % MARK_BYTES);
    }
    snprintf(path, sizeof path, "%s/" JOURNAL_MARK, after);
    file = fopen(path, "we");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(mark, sizeof mark, 1, file), 1);
    fclose(file);
}

/* Batches of all kinds, until the power fails. The number of the last row. */
static uint64_t use(struct store *s, uint64_t task)
{
    for (int batch = 0; batch < 60 && !disk.lost; batch++) {
        struct row_list rows = { NULL };
        bool sync = random() % 3 == 0;
        int n = 1 + (int)(random() % 12);

        for (int i = 0; i < n; i++, task++) {
            row_list_push(&rows, rig_new(task, task, sync && i == 0));
            if (task % 3 == 0)
                row_list_push(&rows, rig_life(task, task, 1, false));
        }
        ck_assert_msg(store_write(s, rows.head) == 0, "%s", s->why);
        row_list_clear(&rows);
        if (disk.lost)
            break;
        if (sync)
            durable = task - 1;
        keep_mark();
        if (random() % 20 == 0)
            ck_assert_int_eq(store_checkpoint(s, random() % 2), 0);
    }
    return task - 1;
}

/* One power loss. What was durable and is not there, or that it does not open, is the value; it must be none. */
static const char *lose_power(unsigned at, bool ignore_sync)
{
    static char problem[900];
    struct store s;
    int r;

    snprintf(after, sizeof after, "%s/after", rig_dir);
    durable = 0;
    n_marks = 0;
    disk_begin();
    disk.lose_at = at;
    disk.lose_into = after;
    disk.losing = lose_mark;
    disk.ignore_sync = ignore_sync;
    mkdir(after, 0700);
    r = store_open(&s, &(struct journal_options){ .dir = rig_dir, .vfs = "disk", .boot_id = boot, .reserve_bytes = 1 },
                   NULL);
    ck_assert_msg(r == 0, "%s", s.why);
    ck_assert_int_eq(store_load(&s, NULL, NULL), 0);
    ck_assert_int_eq(store_begin(&s), 0);
    use(&s, 1);
    if (!disk.lost)
        ck_assert_int_eq(store_end(&s), 0);
    store_close(&s);
    if (!disk.lost) { /* it was later than that: everything is there */
        lose_mark();
        disk_lose(after);
    }
    disk_end();

    *problem = '\0';
    r = rig_peek(&(struct journal_options){ .dir = after, .boot_id = next_boot }, &seen);
    if (r)
        snprintf(problem, sizeof problem, "at call %u: %s", at, rig_why);
    for (uint64_t task = 1; r == 0 && task <= MAX(durable, seen.tasks); task++) /* a prefix, and long enough */
        if (!seen.state[task])
            snprintf(problem, sizeof problem, "at call %u: task %u of %u is gone", at, (unsigned)task,
                     (unsigned)durable);
    rig_end();
    rig_begin();
    return *problem ? problem : NULL;
}

static unsigned rounds(void)
{
    const char *wanted = getenv("PTOOLS_TEST_LONG");

    return wanted && *wanted ? 1000 : 150;
}

START_TEST(what_was_durable_survives)
{
    for (unsigned i = 0; i < rounds(); i++) {
        const char *problem;

        srandom(i);
        problem = lose_power(30 + (unsigned)random() % 600, false);
        ck_assert_msg(!problem, "round %u: %s", i, problem);
    }
}
END_TEST

/* It does not say which of its starts this is, as where nothing of /proc but processes is to be seen. */
START_TEST(of_a_machine_that_does_not_tell_its_starts_apart)
{
    boot = next_boot = "";
    for (unsigned i = 0; i < rounds() / 5; i++) {
        const char *problem;

        srandom(i);
        problem = lose_power(100 + (unsigned)random() % 400, false);
        ck_assert_msg(!problem, "round %u: %s", i, problem);
    }
}
END_TEST

START_TEST(the_first_start_may_fail_at_any_call)
{
    for (unsigned at = 1; at < 40; at++) {
        for (unsigned i = 0; i < 3; i++) {
            const char *problem;

            srandom(at * 10 + i);
            problem = lose_power(at, false);
            ck_assert_msg(!problem, "%s", problem);
        }
    }
}
END_TEST

static bool had_mark;

static void look_for_mark(void)
{
    uint8_t mark[MARK_PAGE + MARK_BYTES];

    had_mark = read_mark(mark);
}

/* The power failed when there were tables, and no mark yet. What is written next makes the journal one that must have a
 * mark: power that fails once more must find it. */
START_TEST(a_birth_that_goes_on_begins_with_the_mark)
{
    const struct journal_options options = { .dir = rig_dir, .vfs = "disk", .boot_id = BOOT, .reserve_bytes = 1 };
    struct store s;

    snprintf(after, sizeof after, "%s/after", rig_dir);
    ck_assert_int_eq(mkdir(after, 0700), 0);
    disk_begin();
    ck_assert_int_eq(store_open(&s, &options, NULL), 0);
    store_close(&s);
    ck_assert_int_eq(unlink(rig_file(JOURNAL_MARK)), 0);
    ck_assert_int_eq(store_open(&s, &options, NULL), 0);
    ck_assert_int_eq(store_load(&s, NULL, NULL), 0);
    disk.lose_at = disk.calls + 1;
    disk.lose_into = after;
    disk.losing = look_for_mark;
    ck_assert_int_eq(store_begin(&s), 0);
    ck_assert(disk.lost && had_mark);
    store_close(&s);
    disk_end();
}
END_TEST

/* Of the test itself: if nothing were synced, it would say so. */
START_TEST(a_sync_left_out_is_noticed)
{
    unsigned noticed = 0;

    for (unsigned i = 0; i < 30; i++) {
        srandom(i);
        noticed += lose_power(100 + (unsigned)random() % 400, true) != NULL;
    }
    ck_assert_uint_gt(noticed, 10);
}
END_TEST

/* Power that fails again and again: each start goes on from what the last one found. */
START_TEST(loss_upon_loss)
{
    uint64_t task = 1;

    srandom(7);
    for (int i = 0; i < 25; i++) {
        char this_boot[40];
        struct store s;
        int r;

        snprintf(after, sizeof after, "%s-after", rig_dir);
        mkdir(after, 0700);
        disk_begin();
        n_marks = 0;
        snprintf(this_boot, sizeof this_boot, "%032d", i + 1);
        r = store_open(&s, &(struct journal_options){ .dir = rig_dir, .vfs = "disk", .boot_id = this_boot }, NULL);
        ck_assert_msg(r == 0, "%d: %s", i, s.why);
        memset(&seen, 0, sizeof seen);
        r = store_load(&s, rig_look, &seen);
        ck_assert_msg(r == 0, "%d: %s", i, s.why);
        for (uint64_t t = 1; t <= durable; t++)
            ck_assert_msg(seen.state[t], "loss %d: task %u of %u is gone", i, (unsigned)t, (unsigned)durable);
        task = seen.tasks + 1;
        durable = seen.tasks; /* what was read after a power loss is on the disk */
        /* The disk knows only what is written from now on: what was there counts as synced. */
        ck_assert_int_eq(store_begin(&s), 0);
        ck_assert_int_eq(store_checkpoint(&s, true), 0);
        disk.lose_at = disk.calls + 1 + (unsigned)random() % 200;
        disk.lose_into = after;
        disk.losing = lose_mark;
        use(&s, task);
        store_close(&s);
        if (!disk.lost) {
            lose_mark();
            disk_lose(after);
        }
        disk_end();
        rig_end();
        ck_assert_int_eq(rename(after, rig_dir), 0);
    }
    ck_assert_uint_gt(durable, 100);
}
END_TEST

/* -- kill -9 -------------------------------------------------------------------------------------------------- */

static void die(void)
{
    kill(getpid(), SIGKILL);
}

/* Writes batches until it dies, and tells each that is recorded. Nothing is said to Check. */
static void write_until_death(unsigned at, int told)
{
    struct store s;

    disk_begin();
    disk.lose_at = at;
    disk.losing = die;
    if (store_open(&s, &(struct journal_options){ .dir = rig_dir, .vfs = "disk", .reserve_bytes = 1 }, NULL) ||
        store_load(&s, NULL, NULL) || store_begin(&s))
        _exit(1);
    for (uint64_t task = 1; task < RIG_TASKS - 10; task += 10) {
        struct row_list rows = { NULL };

        for (uint64_t t = task; t < task + 10; t++)
            row_list_push(&rows, rig_new(t, t, task % 4 == 1));
        row_list_push(&rows, rig_life(task, task, 1, false));
        if (store_write(&s, rows.head) || write(told, &task, sizeof task) != sizeof task ||
            (task % 70 == 1 && store_checkpoint(&s, task % 140 == 1)))
            _exit(1);
        row_list_clear(&rows);
    }
    _exit(2);
}

START_TEST(a_kill_at_any_call)
{
    for (unsigned at = 1; at <= rounds() / 2 + 25; at++) {
        int told[2], status;
        uint64_t task, last = 0;
        pid_t pid;

        ck_assert_int_eq(pipe(told), 0);
        pid = fork();
        if (pid == 0) {
            close(told[0]);
            write_until_death(at, told[1]);
        }
        close(told[1]);
        while (read(told[0], &task, sizeof task) == sizeof task)
            last = task + 9;
        close(told[0]);
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        status = rig_peek(&(struct journal_options){ .dir = rig_dir }, &seen);
        ck_assert_msg(status == 0, "call %u: %s", at, rig_why);
        ck_assert_uint_ge(seen.tasks, last);
        for (task = 1; task <= seen.tasks; task++)
            ck_assert_uint_eq(seen.state[task], task % 10 == 1 ? 2 : 1);
        rig_end();
        rig_begin();
    }
}
END_TEST

START_TEST(only_durable_rows_cost_a_sync)
{
    struct core_row *row;
    struct store s;
    unsigned before;

    disk_begin();
    ck_assert_int_eq(store_open(&s, &(struct journal_options){ .dir = rig_dir, .vfs = "disk" }, NULL), 0);
    ck_assert_int_eq(store_load(&s, NULL, NULL), 0);
    ck_assert_int_eq(store_begin(&s), 0);
    before = disk.syncs;
    for (uint64_t task = 1; task <= 20; task++) {
        row = rig_new(task, task, task > 10);
        ck_assert_int_eq(store_write(&s, row), 0);
        core_row_free(row);
        ck_assert_uint_eq(disk.syncs - before, task > 10 ? task - 10 : 0);
    }
    store_close(&s);
    disk_end();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("journal_power");
    TCase *tc = suite_case(suite, "journal_power");

    tcase_add_checked_fixture(tc, rig_begin, rig_end);
    tcase_add_test(tc, what_was_durable_survives);
    tcase_add_test(tc, of_a_machine_that_does_not_tell_its_starts_apart);
    tcase_add_test(tc, the_first_start_may_fail_at_any_call);
    tcase_add_test(tc, a_birth_that_goes_on_begins_with_the_mark);
    tcase_add_test(tc, a_sync_left_out_is_noticed);
    tcase_add_test(tc, loss_upon_loss);
    tcase_add_test(tc, a_kill_at_any_call);
    tcase_add_test(tc, only_durable_rows_cost_a_sync);
    return suite_run(suite);
}
