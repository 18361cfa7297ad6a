/* SPDX-License-Identifier: MIT */
/*
 * pmap at its edges: items that are too large alone or together, or nothing; functions that say nothing, too much, or
 * close all descriptors; windows of a byte; sources and checks that use what they must not; a fork; a daemon that goes,
 * and one that does not greet. Each item has its outcome, each wrong use an error, and workers are whole afterwards.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/integration/pmap_rig.h"

static void add_bytes(size_t n)
{
    void *zeros = calloc(1, n);

    ck_assert_ptr_nonnull(zeros);
    ptools_pack_bytes(list, zeros, n);
    free(zeros);
}

/* -- large and small -------------------------------------------------------------------------------------------- */

static const uint32_t sizes[] = { 0, 1, 5, 65536 };
enum { SIZES = sizeof sizes / sizeof sizes[0] };

/* No message takes more than 1 MiB: batches are as small as that makes them, and one item is too large by itself. */
static void items_may_be_too_large_together_once(int k)
{
    ptools_pmap *map;

    anew();
    for (int i = 0; i < 24; i++)
        add_bytes(i == 10 ? 1200000 : i % 3 == 0 ? 900000 : i % 3 == 1 ? 100 : 300000);
    options.batch_size = sizes[k];
    map = start("i.length");
    for (int i = 0; i < 24; i++) {
        const ptools_item item = next(map);

        ck_assert_uint_eq(item.index, (uint64_t)i);
        if (i != 10) {
            ck_assert_int_eq(number_of(&item), i % 3 == 0 ? 900000 : i % 3 == 1 ? 100 : 300000);
            continue;
        }
        ck_assert_err(item.err, PTOOLS_ERR_TOO_LARGE);
        ck_has(item.failure->message, "the daemon takes messages of at most 1048576");
        ck_assert_uint_eq(item.attempts, 0);
        ck_assert(!item.failure->maybe_executed);
    }
    ends(map);
}

START_TEST(items_may_be_too_large_together)
{
    static const char *const args[] = { "-o", "limits.message_max=1M", NULL };

    up_with(2, args);
    for (int i = 0; i < SIZES; i++)
        items_may_be_too_large_together_once(i);
    down();
}
END_TEST

/* More is in flight than a user may have there at a time: it is sent when there is room. */
static void a_limit_of_the_user_is_waited_for_once(int k)
{
    ptools_pmap *map;

    anew();
    for (int i = 0; i < 40; i++)
        add_bytes(i % 2 ? 900000 : 400000);
    options.batch_size = sizes[k];
    map = start("i.length");
    for (int i = 0; i < 40; i++)
        next_is(map, i, i % 2 ? 900000 : 400000);
    ends(map);
}

START_TEST(a_limit_of_the_user_is_waited_for)
{
    static const char *const args[] = { "-o", "limits.message_max=1M", "-o", "limits.user_bytes_max=2M", NULL };

    up_with(4, args);
    for (int i = 0; i < SIZES; i++)
        a_limit_of_the_user_is_waited_for_once(i);
    down();
}
END_TEST

/* Too large ends it, too, if the first failure shall. */
START_TEST(an_item_that_is_too_large_may_end_it)
{
    static const char *const args[] = { "-o", "limits.message_max=1M", NULL };
    unsigned too_large = 0, not_run = 0;
    ptools_pmap *map;

    up_with(1, args);
    for (int i = 0; i < 200; i++)
        add_bytes(i == 2 ? 1200000 : 10);
    options.on_error = PTOOLS_ON_ERROR_STOP;
    options.batch_size = 1;
    map = start("i.length");
    for (int i = 0; i < 200; i++) {
        const ptools_item item = next(map);

        too_large += item.err == PTOOLS_ERR_TOO_LARGE;
        not_run += item.err == PTOOLS_ERR_NOT_RUN;
    }
    ck_assert_uint_eq(too_large, 1);
    ck_assert_uint_gt(not_run, 150);
    ends(map);
    down();
}
END_TEST

START_TEST(an_item_of_100_megabytes)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    const bool slow = true;
#else
    const char *transport = getenv("PTOOLS_TEST_TRANSPORT");
    const bool slow = transport && strcmp(transport, "ipc") == 0;
#endif
    const size_t bytes = slow ? 10000000 : 100000000;
    ptools_pmap *map;

    up(1);
    add_bytes(1);
    add_bytes(bytes);
    add_bytes(2);
    map = start("i.length");
    next_is(map, 0, 1);
    next_is(map, 1, (int64_t)bytes);
    next_is(map, 2, 2);
    ends(map);
    down();
}
END_TEST

/* Values of which one alone nearly fills a message: they fit behind others, and what does not fit is told. */
static void values_may_be_as_large_as_a_batch_allows_once(int k)
{
    ptools_pmap *map;

    anew();
    for (int64_t i = 0; i < 300; i++)
        add("bytes", i % 90 == 80 ? 480000 : i == 100 ? 600000 : 5000);
    options.batch_size = sizes[k];
    map = zip("p.item");
    for (int64_t i = 0; i < 300; i++) {
        const ptools_item item = next(map);
        const void *data;
        size_t n = 0;

        if (i == 100) {
            ck_assert_err(item.err, PTOOLS_ERR_TOO_LARGE);
            ck_has(item.failure->message, "the limit of an item is");
            continue;
        }
        suite_holds(item.err == PTOOLS_OK && ptools_get_bytes(item.value, &data, &n) == PTOOLS_OK, "item %d: %s",
                    (int)i, item.failure ? item.failure->message : "");
        suite_holds(n == (i % 90 == 80 ? 480000 : 5000), "item %d has %zu bytes", (int)i, n);
    }
    ends(map);
    ck_assert_uint_eq(crew_now().deaths, 0);
}

START_TEST(values_may_be_as_large_as_a_batch_allows)
{
    static const char *const args[] = { "-o", "limits.message_max=1M", NULL };

    up_with(1, args);
    for (int i = 0; i < SIZES; i++)
        values_may_be_as_large_as_a_batch_allows_once(i);
    down();
}
END_TEST

static int give_nothing(ptools_pack *args, void *arg)
{
    struct counted *c = arg;

    (void)args;
    return c->next++ < c->of;
}

START_TEST(items_and_values_may_be_nothing)
{
    struct counted c = { .of = 70000 }, d = { .of = 70000 };
    ptools_pmap *map;

    up(2);
    options.batch_size = 65536;
    map = start_from("i.count", give_nothing, &c);
    for (int64_t i = 0; i < 70000; i++) {
        const ptools_item item = next(map);

        suite_holds(number_of(&item) == 0, "item %" PRId64 " has arguments", i);
    }
    ends(map);
    options.batch_size = 0;
    map = start_from("i.mute", give, &d);
    for (int64_t i = 0; i < 70000; i++) {
        const ptools_item item = next(map);

        suite_holds(item.err == PTOOLS_OK && ptools_value_kind(item.value) == PTOOLS_NIL && !item.failure,
                    "item %" PRId64 " is something", i);
    }
    ends(map);
    down();
}
END_TEST

static void a_window_of_a_byte_is_enough_once(int k)
{
    struct counted c = { .of = 3000 };
    ptools_pmap *map;

    anew();
    options.window_bytes = 1;
    options.batch_size = sizes[k];
    map = start_from("p.same", give, &c);
    for (int64_t i = 0; i < 3000; i++) {
        next_is(map, i, i);
        suite_holds(c.next <= i + 2, "%" PRId64 " were taken at item %" PRId64, c.next, i);
    }
    ends(map);
}

START_TEST(a_window_of_a_byte_is_enough)
{
    up(2);
    for (int i = 0; i < SIZES; i++)
        a_window_of_a_byte_is_enough_once(i);
    down();
}
END_TEST

/* -- bad functions ----------------------------------------------------------------------------------------------- */

static void functions_may_say_too_much_once(int k)
{
    ptools_pmap *map;

    anew();
    numbers(0, 60);
    options.batch_size = sizes[k];
    map = start("i.noisy");
    for (int64_t i = 0; i < 60; i++) {
        const ptools_item item = next(map);

        if (i % 3) {
            ck_assert_int_eq(number_of(&item), i);
            continue;
        }
        ck_assert_err(item.err, PTOOLS_ERR_FAILED);
        ck_has(item.failure->message, "enough of ");
        ck_assert_uint_gt(strlen(item.failure->log), 100);
        ck_assert_uint_le(strlen(item.failure->log), 4096);
        for (const char *s = item.failure->log; *s; s++) /* what was no text is none now */
            suite_holds(*s == '\n' || (*s >= ' ' && *s <= '~') || (*s & 0x80), "%d in its log", *s);
    }
    ends(map);
}

START_TEST(functions_may_say_too_much)
{
    up(2);
    for (int i = 0; i < SIZES; i++)
        functions_may_say_too_much_once(i);
    down();
}
END_TEST

/* The item that closes the link dies of it, and it alone; those before and behind it in its batch have values. */
START_TEST(who_closes_everything_dies_alone)
{
    PTOOLS_AUTO(ptools_pack) captured = ptools_pack_new();
    const int64_t times = _i < SIZES ? 1 : 20000; /* so many that records leave before the end of the batch */
    ptools_pmap *map;

    up(2);
    numbers(0, 40);
    ptools_pack_i64(captured, 13);
    ptools_pack_i64(captured, times);
    options.captured = captured;
    options.batch_size = sizes[_i % SIZES];
    map = start("i.closes");
    for (int64_t i = 0; i < 40; i++) {
        const ptools_item item = next(map);
        uint32_t n = 0;

        ck_assert_uint_eq(item.attempts, 1);
        if (i == 13) {
            ck_assert_err(item.err, PTOOLS_ERR_WORKER_DIED);
            continue;
        }
        ck_assert_msg(item.err == PTOOLS_OK, "item %d: %s", (int)i, item.failure ? item.failure->message : "");
        ck_assert_ptools(ptools_get_count(item.value, &n));
        ck_assert_int_eq(n, times);
    }
    ends(map);
    ck_assert_uint_eq(crew_now().deaths, 1);
    down();
}
END_TEST

/* -- wrong use ---------------------------------------------------------------------------------------------------- */

static ptools_pmap *used; /* by those that must not */

static int give_and_use(ptools_pack *args, void *arg)
{
    ptools_item item;

    ck_assert_err(ptools_pmap_next(used, 0, &item), PTOOLS_ERR_INVALID);
    came_to(ptools_pmap_cancel(used), PTOOLS_ERR_INVALID, "must not use it");
    return give(args, arg);
}

static bool check_and_use(const ptools_item *item, void *arg)
{
    ptools_item other;

    (void)item;
    ++*(int *)arg;
    ck_assert_err(ptools_pmap_next(used, 0, &other), PTOOLS_ERR_INVALID);
    ck_assert_err(ptools_pmap_cancel(used), PTOOLS_ERR_INVALID);
    return true;
}

START_TEST(callbacks_that_use_the_map_are_told)
{
    const int64_t delays[] = { 0 };
    struct counted c = { .of = 300 };
    int checks = 0;

    up(2);
    options.retry_check = check_and_use;
    options.retry_delays_ms = delays;
    options.n_retry_delays = 1;
    options.arg = &checks;
    options.init = "p.init_fails";
    used = start_from("p.same", give_and_use, &c);
    for (int64_t i = 0; i < 300; i++) {
        const ptools_item item = next(used);

        ck_assert_err(item.err, PTOOLS_ERR_FAILED);
        ck_assert_uint_eq(item.attempts, 2);
    }
    ck_assert_int_eq(checks, 300);
    ends(used);
    down();
}
END_TEST

static int give_a_torso(ptools_pack *args, void *arg)
{
    struct counted *c = arg;

    if (c->next == 5)
        ptools_pack_list(args, 3); /* and nothing in it */
    return give(args, c);
}

START_TEST(lists_and_items_that_lie_are_told)
{
    const ptools_pack *lists[] = { list };
    struct counted c = { .of = 100 };
    ptools_pmap *map = NULL;
    ptools_item item;

    up(1);
    lists[0] = list;
    ptools_pack_i64(list, 1);
    ptools_pack_list(list, 1000000); /* and nothing in it */
    came_to(ptools_pmap_start(pt, "p.same", lists, 1, &options, &map), PTOOLS_ERR_INVALID,
            "list 1 cannot be used: a list or map in it lacks items");
    map = start_from("p.same", give_a_torso, &c);
    for (int64_t i = 0; i < 5; i++)
        next_is(map, i, i);
    came_to(ptools_pmap_next(map, WAIT_MS, &item), PTOOLS_ERR_INVALID, "item 5 of the source cannot be used");
    ptools_pmap_free(map);
    down();
}
END_TEST

START_TEST(a_forked_child_harms_nothing)
{
    PTOOLS_AUTO(ptools_pack) captured = ptools_pack_new();
    struct counted c = { .of = 3000 };
    ptools_pmap *map;
    ptools_item item;
    int status;
    pid_t pid;

    up(2);
    ptools_pack_i64(captured, 1);
    options.captured = captured;
    map = start_from("p.add", give, &c);
    for (int64_t i = 0; i < 500; i++)
        next_is(map, i, i + 1);
    pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        const bool told =
            ptools_pmap_next(map, 0, &item) == PTOOLS_ERR_FORKED && ptools_pmap_cancel(map) == PTOOLS_ERR_FORKED;

        ptools_pmap_free(map);
        ptools_close(pt);
        _exit(told ? 0 : 1);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    for (int64_t i = 500; i < 3000; i++)
        next_is(map, i, i + 1);
    ends(map);
    down();
}
END_TEST

/* One is freed in the middle of the other's, again and again. */
START_TEST(maps_come_and_go_beside_each_other)
{
    struct counted c = { .of = INT64_MAX };
    ptools_pmap *map;

    up(2);
    map = start_from("p.same", give, &c);
    for (int64_t round = 0, at = 0; round < 30; round++) {
        struct counted d = { .of = INT64_MAX };
        ptools_pmap *other;

        options.flags = round % 2 ? PTOOLS_PMAP_UNORDERED : 0;
        options.window_bytes = round % 3 ? 0 : 1000;
        other = start_from("p.same", give, &d);
        for (int i = 0; i < 100; i++) {
            const ptools_item one = next(map), two = next(other);

            suite_holds(number_of(&one) == at++, "item %" PRIu64 " is another", one.index);
            suite_holds(number_of(&two) == (int64_t)two.index, "item %" PRIu64 " is another", two.index);
        }
        if (round % 5 == 1)
            ck_assert_ptools(ptools_pmap_cancel(other));
        ptools_pmap_free(other);
    }
    ptools_pmap_free(map);
    down();
}
END_TEST

/* -- a daemon that goes ------------------------------------------------------------------------------------------- */

/* It goes in the middle, and another comes: what is captured is there again, and each item has its outcome. */
START_TEST(another_daemon_goes_on_with_it)
{
    PTOOLS_AUTO(ptools_pack) captured = ptools_pack_new();
    const int64_t delays[] = { 0, 0, 0 };
    struct counted c = { .of = 4000 };
    ptools_pmap *map;

    up(2);
    ptools_pack_i64(captured, 1000000);
    options.captured = captured;
    options.retry_delays_ms = delays; /* it adds: what may have been run may be run again */
    options.n_retry_delays = 3;
    options.batch_size = 50;
    map = start_from("p.add", give, &c);
    for (int64_t i = 0; i < 4000; i++) {
        const ptools_item item = next(map);

        suite_holds(number_of(&item) == 1000000 + i, "item %" PRId64 " is another", i);
        if (i != 700 && i != 2000)
            continue;
        kill_daemon();
        next_daemon();
    }
    ends(map);
    down();
}
END_TEST

/* The next one does not greet: ptools_pmap_next() comes back in time, and goes on when it does. */
START_TEST(its_time_holds_when_nobody_greets)
{
    const int64_t delays[] = { 0, 0 };
    struct counted c = { .of = 20000 }; /* more than can be done before it is looked for */
    ptools_pmap *map;
    ptools_item item;
    uint64_t began;
    int64_t at = 0;

    up(2);
    options.retry_delays_ms = delays;
    options.n_retry_delays = 2;
    options.batch_size = 10;
    map = start_from("p.same", give, &c);
    for (; at < 100; at++) {
        item = next(map);
        ck_assert_int_eq(number_of(&item), at);
    }
    kill_daemon();
    next_daemon();
    ck_assert_int_eq(kill(server.pid, SIGSTOP), 0);
    began = now_ms();
    for (int timeouts = 0; timeouts < 50;) {
        ptools_err err = ptools_pmap_next(map, timeouts % 2 ? 20 : 0, &item);

        ck_assert_msg(err == PTOOLS_OK || err == PTOOLS_ERR_TIMEOUT, "%s: %s", ptools_errname(err),
                      ptools_error_message(pt));
        timeouts += err == PTOOLS_ERR_TIMEOUT;
        if (err == PTOOLS_OK)
            ck_assert_int_eq(number_of(&item), at++);
    }
    ck_assert_uint_lt(now_ms() - began, 4000); /* one wait for a greeting takes 5 s */
    ck_assert_int_eq(kill(server.pid, SIGCONT), 0);
    for (; at < 20000; at++) {
        item = next(map);
        ck_assert_int_eq(number_of(&item), at);
    }
    ends(map);
    down();
}
END_TEST

/* Nobody is there, and what failed is to be tried again in a while: until then it sleeps. */
START_TEST(without_a_connection_it_sleeps)
{
    const int64_t delays[] = { 700 };
    ptools_pmap *map;
    ptools_item item;
    ptools_err err;
    clock_t before;

    up(1);
    for (int i = 0; i < 3; i++)
        ptools_pack_i64(list, 60000); /* ms */
    options.retry_delays_ms = delays;
    options.n_retry_delays = 1;
    options.batch_size = 3;
    map = start("i.worker");
    ck_assert_err(ptools_pmap_next(map, 0, &item), PTOOLS_ERR_TIMEOUT);
    kill_daemon();
    before = clock();
    err = ptools_pmap_next(map, WAIT_MS, &item);
    ck_assert_msg(err == PTOOLS_ERR_NO_DAEMON, "%s: %s", ptools_errname(err), ptools_error_message(pt));
    ck_assert_int_lt(clock() - before, CLOCKS_PER_SEC / 3); /* of its own time: it waited for twice as long */
    ptools_pmap_free(map);
    down_without_daemon();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pmap-edges");
    TCase *tc = suite_case(suite, "pmap");

    tcase_set_timeout(tc, 300);
    tcase_add_test(tc, items_may_be_too_large_together);
    tcase_add_test(tc, a_limit_of_the_user_is_waited_for);
    tcase_add_test(tc, an_item_that_is_too_large_may_end_it);
    tcase_add_test(tc, values_may_be_as_large_as_a_batch_allows);
    tcase_add_test(tc, items_and_values_may_be_nothing);
    tcase_add_test(tc, a_window_of_a_byte_is_enough);
    tcase_add_test(tc, functions_may_say_too_much);
    tcase_add_loop_test(tc, who_closes_everything_dies_alone, 0, 2 * SIZES);
    tcase_add_test(tc, callbacks_that_use_the_map_are_told);
    tcase_add_test(tc, lists_and_items_that_lie_are_told);
    tcase_add_test(tc, a_forked_child_harms_nothing);
    tcase_add_test(tc, maps_come_and_go_beside_each_other);
    tcase_add_test(tc, another_daemon_goes_on_with_it);
    tcase_add_test(tc, its_time_holds_when_nobody_greets);
    tcase_add_test(tc, without_a_connection_it_sleeps);
    tc = suite_case(suite, "large");
    tcase_set_timeout(tc, 300);
    tcase_add_test(tc, an_item_of_100_megabytes);
    return suite_run(suite);
}
