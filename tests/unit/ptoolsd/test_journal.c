/* SPDX-License-Identifier: MIT */
/*
 * Tests of daemon/ptoolsd/journal.c as the loop uses it: what is put comes back, in order, complete and once; what the
 * end was like; that a kill -9 at any moment takes nothing that was told as recorded.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/suite.h"
#include "tests/unit/ptoolsd/journal_rig.h"

static struct rig_seen seen;

static struct journal *start(void)
{
    struct journal *j = rig_open(&(struct journal_options){ .dir = rig_dir, .reserve_bytes = 1 << 20 });

    ck_assert_msg(journal_start(j, rig_why) == 0, "%s", rig_why);
    return j;
}

static void end(struct journal *j)
{
    ck_assert_msg(journal_close(j, rig_why) == 0, "%s", rig_why);
}

static void peek(void)
{
    int r = rig_peek(&(struct journal_options){ .dir = rig_dir }, &seen);

    ck_assert_msg(r == 0, "%d: %s", r, rig_why);
}

START_TEST(what_is_put_comes_back)
{
    struct journal *j = start();
    struct journal_news news;
    uint64_t number = 0;

    for (uint64_t task = 1; task <= 3000; task++) {
        journal_put(j, rig_new(++number, task, task % 2));
        if (task % 3 == 0)
            journal_put(j, rig_life(++number, task, 1, false));
        if (task % 6 == 0)
            journal_put(j, rig_life(++number, task, 2, true));
        if (task % 10 == 0)
            journal_put(j, rig_forget(++number, task - task % 4));
        if (task % 100 == 0)
            journal_turn(j);
    }
    ck_assert(journal_pending(j));
    news = rig_wait(j, number);
    ck_assert(!news.failed);
    ck_assert_uint_eq(news.recorded, number);
    ck_assert_uint_eq(rig_n_refused, 0);
    ck_assert(!journal_pending(j));
    end(j);
    peek();
    for (uint64_t task = 1; task <= 3000; task++) {
        uint32_t expected = task % 6 == 0 ? 3 : task % 3 == 0 ? 2 : 1;

        for (uint64_t by = task; by < task + 4; by++)
            if (by % 10 == 0 && by - by % 4 == task)
                expected = 0;
        ck_assert_msg(seen.state[task] == expected, "task %u: %u, not %u", (unsigned)task, seen.state[task], expected);
    }
}
END_TEST

START_TEST(what_was_put_before_the_end_is_recorded)
{
    struct journal *j = start();

    for (uint64_t task = 1; task <= 2500; task++)
        journal_put(j, rig_new(task, task, false));
    end(j); /* without a turn */
    peek();
    ck_assert_uint_eq(seen.tasks, 2500);
    j = start();
    for (uint64_t task = 1; task <= 2500; task++)
        journal_put(j, rig_forget(task, task));
    ck_assert_ptr_null(journal_abandon(j)); /* may have been, or not */
    peek();
    ck_assert_ptr_null(journal_abandon(NULL));
}
END_TEST

START_TEST(nothing_put_is_nothing_recorded)
{
    struct journal *j = start();
    struct journal_news news;

    journal_turn(j);
    journal_collect(j, &news);
    ck_assert_uint_eq(news.recorded, 0);
    ck_assert(!journal_pending(j));
    end(j);
    for (int i = 0; i < 3; i++)
        end(start());
    peek();
    ck_assert_uint_eq(seen.tasks, 0);
}
END_TEST

START_TEST(numbers_may_begin_anywhere_and_go_on)
{
    struct journal *j = start();

    journal_put(j, rig_new(1, 7, true));
    journal_turn(j);
    ck_assert_uint_eq(rig_wait(j, 1).recorded, 1);
    journal_put(j, rig_life(2, 7, 1, true));
    journal_turn(j);
    ck_assert_uint_eq(rig_wait(j, 2).recorded, 2);
    end(j);
    j = start();
    journal_put(j, rig_life(1, 7, 4, false));
    journal_turn(j);
    ck_assert_uint_eq(rig_wait(j, 1).recorded, 1);
    end(j);
    peek();
    ck_assert_uint_eq(seen.state[7], 5);
}
END_TEST

START_TEST(a_life_without_a_task_is_nothing)
{
    struct journal *j = start();

    journal_put(j, rig_life(1, 5, 1, true));
    journal_put(j, rig_forget(2, 6));
    journal_put(j, rig_new(3, 7, true));
    journal_turn(j);
    ck_assert_uint_eq(rig_wait(j, 3).recorded, 3);
    end(j);
    peek();
    ck_assert_uint_eq(seen.tasks, 1);
}
END_TEST

START_TEST(what_is_too_large_is_refused)
{
    struct journal *j = start();
    struct core_row *row = rig_new(1, 1, true);

    blob_free(row->args);
    row->args = blob_new(NULL, JOURNAL_ROW_BYTES_MAX + 1); /* never touched */
    if (!row->args) {
        core_row_free(row);
        end(j);
        return;
    }
    journal_put(j, row);
    journal_put(j, rig_new(2, 2, true));
    journal_turn(j);
    rig_wait(j, 2);
    ck_assert_uint_eq(rig_n_refused, 1);
    ck_assert_uint_eq(rig_refused[0], 1);
    ck_assert_ptr_nonnull(strstr(rig_why_refused, "too large"));
    end(j);
    peek();
    ck_assert_uint_eq(seen.tasks, 1);
}
END_TEST

static int refuse_five(void *userdata, const struct core_row *task, const struct core_row *life,
                       char why[JOURNAL_WHY_BYTES])
{
    (void)userdata;
    (void)life;
    snprintf(why, JOURNAL_WHY_BYTES, "its target is nowhere");
    return task->task == 5 ? 1 : 0;
}

static int no_memory(void *userdata, const struct core_row *task, const struct core_row *life,
                     char why[JOURNAL_WHY_BYTES])
{
    (void)userdata;
    (void)task;
    (void)life;
    (void)why;
    return -ENOMEM;
}

START_TEST(what_makes_no_sense_is_refused_by_name)
{
    struct journal *j = start();

    for (uint64_t task = 1; task < 10; task++)
        journal_put(j, rig_new(task, task, true));
    end(j);
    ck_assert_int_eq(journal_open(&(struct journal_options){ .dir = rig_dir }, &j, rig_why), 0);
    ck_assert_int_eq(journal_load(j, refuse_five, NULL, rig_why), JOURNAL_BAD_DATA);
    ck_assert_msg(strstr(rig_why, "task 5: its target is nowhere"), "%s", rig_why);
    ck_assert_int_eq(journal_load(j, no_memory, NULL, rig_why), -ENOMEM);
    journal_abandon(j);
}
END_TEST

/* -- kill -9 ---------------------------------------------------------------------------------------------------- */

/* As start(), but without a word to Check. */
static struct journal *start_to_die(void)
{
    struct journal *j;

    if (journal_open(&(struct journal_options){ .dir = rig_dir, .reserve_bytes = 1 << 20 }, &j, rig_why) ||
        journal_load(j, NULL, NULL, rig_why) || journal_start(j, rig_why))
        _exit(1);
    return j;
}

/* Journals for ever, and says after each step how far it is. */
static void child(int told)
{
    struct journal *j = start_to_die();
    struct pollfd fd = { .fd = journal_fd(j), .events = POLLIN };
    struct journal_news news;

    for (uint64_t number = 1; number < RIG_TASKS - 100;) {
        for (int i = 0; i < 1 + (int)(number % 40); i++, number++)
            journal_put(j, rig_new(number, number, number % 3 == 0));
        journal_turn(j);
        poll(&fd, 1, -1);
        journal_collect(j, &news);
        if (news.failed || write(told, &news.recorded, sizeof news.recorded) != sizeof news.recorded)
            break;
    }
    poll(NULL, 0, -1); /* until it is killed */
}

START_TEST(kill_takes_nothing_that_was_recorded)
{
    int pipe_fds[2], status;
    uint64_t recorded;
    pid_t pid;

    srandom(1);
    for (int round = 0; round < 60; round++) {
        recorded = 0;
        ck_assert_int_eq(pipe(pipe_fds), 0);
        pid = fork();
        if (pid == 0) {
            close(pipe_fds[0]);
            child(pipe_fds[1]);
            _exit(1);
        }
        close(pipe_fds[1]);
        for (long n = 1 + random() % 40; n > 0; n--)
            ck_assert_int_eq(read(pipe_fds[0], &recorded, sizeof recorded), sizeof recorded);
        ck_assert_int_eq(kill(pid, SIGKILL), 0);
        while (read(pipe_fds[0], &recorded, sizeof recorded) == sizeof recorded)
            ; /* what it had said when it was killed */
        close(pipe_fds[0]);
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert(WIFSIGNALED(status));
        peek();
        ck_assert_uint_ge(seen.tasks, recorded);
        for (uint64_t task = 1; task <= seen.tasks; task++)
            ck_assert_uint_eq(seen.state[task], 1); /* a prefix, without holes */
        rig_end();
        rig_begin();
    }
}
END_TEST

START_TEST(each_start_goes_on_from_a_kill)
{
    int pipe_fds[2], status;
    uint64_t recorded, before = 0;

    for (int round = 0; round < 15; round++) {
        pid_t pid;

        ck_assert_int_eq(pipe(pipe_fds), 0);
        pid = fork();
        if (pid == 0) {
            struct journal *j = start_to_die();

            for (uint64_t i = 1; i <= 300; i++)
                journal_put(j, rig_new(i, (uint64_t)round * 300 + i, i % 2));
            journal_turn(j);
            rig_wait(j, 200);
            raise(SIGKILL);
        }
        close(pipe_fds[0]);
        close(pipe_fds[1]);
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        peek();
        recorded = seen.tasks;
        ck_assert_uint_ge(recorded, before + 200);
        before = recorded;
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("journal");
    TCase *tc = suite_case(suite, "journal");

    tcase_add_checked_fixture(tc, rig_begin, rig_end);
    tcase_add_test(tc, what_is_put_comes_back);
    tcase_add_test(tc, what_was_put_before_the_end_is_recorded);
    tcase_add_test(tc, nothing_put_is_nothing_recorded);
    tcase_add_test(tc, numbers_may_begin_anywhere_and_go_on);
    tcase_add_test(tc, a_life_without_a_task_is_nothing);
    tcase_add_test(tc, what_is_too_large_is_refused);
    tcase_add_test(tc, what_makes_no_sense_is_refused_by_name);
    tcase_add_test(tc, kill_takes_nothing_that_was_recorded);
    tcase_add_test(tc, each_start_goes_on_from_a_kill);
    return suite_run(suite);
}
