/* SPDX-License-Identifier: MIT */
/*
 * check_ledger -- each invariant bites: a ledger that keeps it passes, and one that breaks it is reported, as that one
 * and no other. Daemons are made up here.
 */
#include "tests/fault/check_ledger.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/fault/ledger.h"
#include "tests/integration/server.h"
#include "tests/support/suite.h"

enum { TASKS_MAX = 8 };

static char dir[64];
static ptools_queued_info tasks[TASKS_MAX];
static size_t n_tasks;
static struct verdict verdict;

static void setup(void)
{
    temp_dir(dir, sizeof dir);
    n_tasks = 0;
}

static void teardown(void)
{
    temp_remove(dir);
}

static const ptools_queued_info *at(void *arg, size_t i)
{
    (void)arg;
    return i < n_tasks ? &tasks[i] : NULL;
}

static void lines(const char *name, const char *text)
{
    char path[128];
    int fd;

    snprintf(path, sizeof path, "%s/%s", dir, name);
    fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static ptools_queued_info *task(uint64_t id, const char *key, ptools_queued_state state)
{
    ptools_queued_info *t = &tasks[n_tasks++];

    *t = (ptools_queued_info){ .id = id, .key = key, .key_bytes = strlen(key), .state = state };
    return t;
}

static size_t check(bool has_died, bool all_ended)
{
    struct ledger_daemon daemon = { .at = at, .has_died = has_died, .all_ended = all_ended };

    return check_ledger(dir, &daemon, &verdict);
}

static void assert_holds(void)
{
    ck_assert_msg(check(false, true) == 0, "%s", verdict.text);
    ck_assert_str_eq(verdict.text, "");
}

/* Broken so often, and nothing else; and that is what the text says first. */
static void assert_breaks(int invariant, const char *says)
{
    check(false, true);
    ck_assert_msg(verdict.broken[invariant] == 1 && verdict.all_broken == 1, "I%d: %zu of %zu: %s", invariant,
                  verdict.broken[invariant], verdict.all_broken, verdict.text);
    ck_assert_msg(strstr(verdict.text, says), "'%s' instead of '%s'", verdict.text, says);
}

/* One that was sent, accepted, run, and seen to be done. */
static void one_done(void)
{
    lines("client-0", "S k durable 1\nA k 7 durable 1000\nR k done 00000001\n");
    lines("jobs", "X k 1 100 7\nY k 1 100 7\n");
    task(7, "k", PTOOLS_QUEUED_DONE);
}

START_TEST(what_is_in_order)
{
    one_done();
    /* sent twice, answered twice, and seen by two */
    lines("client-1", "S k durable 1\nA k 7 durable 1001\nR k done 00000001\n");
    /* sent, never answered, and run */
    lines("client-1", "S lost-answer crashsafe 1\n");
    lines("jobs", "X lost-answer 1 101 8\nY lost-answer 1 101 8\n");
    task(8, "lost-answer", PTOOLS_QUEUED_DONE);
    /* sent, and never arrived */
    lines("client-1", "S never volatile 1\n");
    /* three attempts, two of which died */
    lines("client-2", "S three durable 3\nA three 9 durable 1002\n");
    lines("jobs", "X three 1 102 9\nX three 2 103 9\nX three 3 104 9\nY three 3 104 9\n");
    task(9, "three", PTOOLS_QUEUED_DONE);
    /* died of it */
    lines("client-2", "S died durable 1\nA died 10 durable 1002\nR died failed 00000000\n");
    lines("jobs", "X died 1 105 10\n");
    task(10, "died", PTOOLS_QUEUED_FAILED)->maybe_executed = true;
    /* never begun */
    lines("client-2", "S none durable 1\nA none 11 durable 1002\n");
    task(11, "none", PTOOLS_QUEUED_EXPIRED);
    assert_holds();
    ck_assert_uint_eq(verdict.keys, 6);
    ck_assert_uint_eq(verdict.sent, 7);
    ck_assert_uint_eq(verdict.accepted, 5);
    ck_assert_uint_eq(verdict.ended, 3);
    ck_assert_uint_eq(verdict.begun, 6);
    ck_assert_uint_eq(verdict.finished, 3);
    ck_assert_uint_eq(verdict.known, 5);
}
END_TEST

START_TEST(written_by_a_client)
{
    struct ledger l;
    char path[128], *text;

    ledger_open(&l, dir, 3);
    ledger_sent(&l, "k", PTOOLS_CRASHSAFE, 3);
    ledger_accepted(&l, "k", UINT64_MAX, PTOOLS_CRASHSAFE);
    ledger_ended(&l, "k", PTOOLS_QUEUED_LOST, 0xab);
    ledger_close(&l);
    snprintf(path, sizeof path, "%s/client-3", dir);
    text = slurp(path);
    ck_assert_ptr_nonnull(strstr(text, "S k crashsafe 3\nA k 18446744073709551615 crashsafe "));
    ck_assert_ptr_nonnull(strstr(text, "\nR k lost 000000ab\n"));
    free(text);
    task(UINT64_MAX, "k", PTOOLS_QUEUED_LOST);
    assert_holds();
    ck_assert_uint_eq(ledger_crc("123456789", 9), 0xcbf43926);
    for (ptools_queued_state s = PTOOLS_QUEUED_WAITING; s <= PTOOLS_QUEUED_LOST; s++)
        ck_assert_int_eq(ledger_state_of(ledger_state(s)), s);
    ck_assert_ptr_null(ledger_state((ptools_queued_state)0));
    ck_assert_ptr_null(ledger_class((ptools_durability)4));
    ck_assert_int_eq(ledger_class_of("durabel"), 0);
}
END_TEST

START_TEST(no_ledger_line)
{
    one_done();
    lines("client-0", "A k 7 eternal 1000\n");
    assert_breaks(0, "client-0 has the line 'A k 7 eternal 1000'");
}
END_TEST

START_TEST(torn_line)
{
    one_done();
    lines("jobs", "X k 1 1");
    assert_breaks(0, "jobs has the line");
}
END_TEST

START_TEST(lost)
{
    one_done();
    lines("client-0", "S gone crashsafe 1\nA gone 8 crashsafe 1000\n");
    assert_breaks(1, "gone (task 8, crashsafe) is lost");
}
END_TEST

START_TEST(lost_volatile)
{
    lines("client-0", "S gone volatile 1\nA gone 8 volatile 1000\n");
    assert_breaks(1, "gone (task 8, volatile) is lost");
    ck_assert_uint_eq(check(true, true), 0); /* the daemon has died: that is allowed */
}
END_TEST

/* What is durable may not go with the power; what is crashsafe may, and only with that. */
START_TEST(lost_with_the_power)
{
    struct ledger_daemon daemon = { .at = at, .has_died = true, .lost_power = true, .all_ended = true };

    lines("client-0", "S gone crashsafe 1\nA gone 8 crashsafe 1000\n");
    ck_assert_uint_eq(check(true, true), 1);
    ck_assert_uint_eq(check_ledger(dir, &daemon, &verdict), 0);
    lines("client-0", "S too durable 1\nA too 9 durable 1000\n");
    ck_assert_uint_eq(check_ledger(dir, &daemon, &verdict), 1);
    ck_assert_msg(strstr(verdict.text, "too (task 9, durable) is lost"), "%s", verdict.text);
}
END_TEST

/* A volatile one that went with its daemon and was sent once more is another task. */
START_TEST(volatile_again)
{
    lines("client-0", "S k volatile 1\nA k 7 volatile 1\nS k volatile 1\nA k 9 volatile 2\nR k done 00000000\n");
    lines("jobs", "X k 1 100 7\nX k 1 101 9\nY k 1 101 9\n");
    task(9, "k", PTOOLS_QUEUED_DONE);
    ck_assert_msg(check(true, true) == 0, "%s", verdict.text);
    ck_assert_uint_gt(check(false, true), 0);
}
END_TEST

START_TEST(still_waiting)
{
    lines("client-0", "S k durable 1\nA k 7 durable 1000\n");
    task(7, "k", PTOOLS_QUEUED_RUNNING);
    assert_breaks(1, "k (task 7) is still running");
    ck_assert_uint_eq(check(false, false), 0);
}
END_TEST

START_TEST(no_state)
{
    lines("client-0", "S k durable 1\nA k 7 durable 1000\n");
    task(7, "k", (ptools_queued_state)11);
    assert_breaks(1, "k (task 7) is in no state");
}
END_TEST

START_TEST(invented)
{
    one_done();
    task(8, "ghost", PTOOLS_QUEUED_CANCELLED);
    assert_breaks(2, "the daemon knows task 8 of key 'ghost', which nobody sent");
}
END_TEST

START_TEST(invented_without_key)
{
    one_done();
    *task(8, "", PTOOLS_QUEUED_CANCELLED) = (ptools_queued_info){ .id = 8, .state = PTOOLS_QUEUED_CANCELLED };
    assert_breaks(2, "task 8 of key ''");
}
END_TEST

START_TEST(invented_by_a_job)
{
    one_done();
    lines("jobs", "X ghost 0 100 9\n");
    check(false, true);
    ck_assert_uint_eq(verdict.broken[2], 1);
    ck_assert_ptr_nonnull(strstr(verdict.text, "I2: a job ran for ghost, which nobody sent"));
}
END_TEST

START_TEST(too_often)
{
    one_done();
    lines("jobs", "X k 2 101 7\nY k 2 101 7\n");
    assert_breaks(3, "k was begun 2 times, with 1 attempts");
}
END_TEST

START_TEST(done_without_an_end)
{
    lines("client-0", "S k durable 1\nA k 7 durable 1000\n");
    lines("jobs", "X k 1 100 7\n");
    task(7, "k", PTOOLS_QUEUED_DONE);
    assert_breaks(3, "k is done and was never finished");
}
END_TEST

START_TEST(begun_and_denied)
{
    lines("client-0", "S k durable 1\nA k 7 durable 1000\n");
    lines("jobs", "X k 1 100 7\n");
    task(7, "k", PTOOLS_QUEUED_LOST);
    assert_breaks(3, "k was begun, is lost, and is said not to have been executed");
    tasks[0].maybe_executed = true;
    assert_holds();
}
END_TEST

START_TEST(at_the_same_time)
{
    lines("client-0", "S k durable 3\nA k 7 durable 1000\n");
    lines("jobs", "X k 1 100 7\nC k 2 101 7\nX k 2 101 7\nY k 2 101 7\n");
    task(7, "k", PTOOLS_QUEUED_DONE);
    assert_breaks(4, "k: attempt 2 began while another ran");
}
END_TEST

START_TEST(interleaved)
{
    lines("client-0", "S k durable 3\nA k 7 durable 1000\n");
    lines("jobs", "X k 1 100 7\nX k 2 101 7\nY k 1 100 7\n");
    task(7, "k", PTOOLS_QUEUED_DONE);
    assert_breaks(4, "k: attempt 1 ended, and attempt 2 was the last to begin");
}
END_TEST

START_TEST(ended_twice)
{
    lines("client-0", "S k durable 3\nA k 7 durable 1000\n");
    lines("jobs", "X k 1 100 7\nY k 1 100 7\nY k 1 100 7\n");
    task(7, "k", PTOOLS_QUEUED_DONE);
    assert_breaks(4, "k: attempt 1 ended");
}
END_TEST

START_TEST(two_endings)
{
    one_done();
    lines("client-1", "R k cancelled 00000001\n");
    check(false, true);
    ck_assert_uint_ge(verdict.broken[5], 1);
    ck_assert_ptr_nonnull(strstr(verdict.text, "I5: k ended as "));
}
END_TEST

START_TEST(two_values)
{
    one_done();
    lines("client-1", "R k done 00000002\n");
    assert_breaks(5, "k ended as done (0000000");
}
END_TEST

START_TEST(another_ending_to_the_daemon)
{
    one_done();
    tasks[0].state = PTOOLS_QUEUED_CANCELLED;
    assert_breaks(5, "k ended as done to its client and is cancelled to the daemon");
}
END_TEST

START_TEST(two_ids_to_clients)
{
    lines("client-0", "S k durable 1\nA k 7 durable 1000\nA k 8 durable 1001\n");
    task(8, "k", PTOOLS_QUEUED_DONE);
    lines("jobs", "X k 1 100 8\nY k 1 100 8\n");
    assert_breaks(6, "k was accepted as 7 and as 8");
}
END_TEST

START_TEST(two_tasks_to_the_daemon)
{
    one_done();
    task(8, "k", PTOOLS_QUEUED_DONE);
    assert_breaks(6, "k is task 7 and task 8");
}
END_TEST

START_TEST(another_id_to_the_daemon)
{
    one_done();
    tasks[0].id = 8;
    assert_breaks(6, "k is task 7 to its client and task 8 to the daemon");
}
END_TEST

START_TEST(another_id_to_a_job)
{
    one_done();
    lines("client-0", "S j durable 1\nA j 9 durable 1\n");
    lines("jobs", "X j 1 100 10\n");
    task(9, "j", PTOOLS_QUEUED_CANCELLED);
    assert_breaks(6, "j is task 9, and a job ran for it as 10");
}
END_TEST

/* However much is broken, all is counted and the text stays in bounds. */
START_TEST(much_is_broken)
{
    char line[64];

    for (int i = 0; i < 500; i++) {
        snprintf(line, sizeof line, "S k%d durable 1\nA k%d %d durable 1\n", i, i, i + 1);
        lines("client-0", line);
    }
    ck_assert_uint_eq(check(false, true), 500);
    ck_assert_uint_eq(verdict.broken[1], 500);
    ck_assert_uint_lt(strlen(verdict.text), sizeof verdict.text);
    ck_assert_uint_gt(strlen(verdict.text), 1000);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        what_is_in_order,
        written_by_a_client,
        no_ledger_line,
        torn_line,
        lost,
        lost_volatile,
        lost_with_the_power,
        volatile_again,
        still_waiting,
        no_state,
        invented,
        invented_without_key,
        invented_by_a_job,
        too_often,
        done_without_an_end,
        begun_and_denied,
        at_the_same_time,
        interleaved,
        ended_twice,
        two_endings,
        two_values,
        another_ending_to_the_daemon,
        two_ids_to_clients,
        two_tasks_to_the_daemon,
        another_id_to_the_daemon,
        another_id_to_a_job,
        much_is_broken,
    };
    Suite *suite = suite_create("check-ledger");
    TCase *tc = suite_case(suite, "invariants");

    tcase_add_checked_fixture(tc, setup, teardown);
    for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++)
        tcase_add_test(tc, tests[i]);
    return suite_run(suite);
}
