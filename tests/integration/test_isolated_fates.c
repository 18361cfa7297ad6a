/* SPDX-License-Identifier: MIT */
/*
 * How items in processes of their own end, against a real daemon: however that is, no other item and no worker notices;
 * what one took is told; one that is stopped is stopped alone, with all that it has forked; and nothing is left.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "tests/integration/pmap_rig.h"

enum { WORKERS = ISOLATED_WORKERS };
#ifdef __SANITIZE_ADDRESS__
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif

static struct crew crew;

/* -- every fate -------------------------------------------------------------------------------------------------- */

static const struct fate {
    const char *what;
    int64_t n;
    ptools_err code;
    int signal, exit_status;
    const char *message;
} fates[] = {
    { "value", 0, PTOOLS_OK, 0, -1, "" },
    { "raise", SIGSEGV, PTOOLS_ERR_WORKER_DIED, SIGSEGV, -1,
      "was killed by signal 11 (Segmentation fault) while running p.item" },
    { "raise", SIGKILL, PTOOLS_ERR_WORKER_DIED, SIGKILL, -1, "was killed by signal 9 (Killed) while running p.item" },
    { "raise", SIGABRT, PTOOLS_ERR_WORKER_DIED, SIGABRT, -1, "was killed by signal 6 (Aborted)" },
    { "exit", 0, PTOOLS_ERR_WORKER_DIED, 0, 0, "exited with status 0 while running p.item" },
    { "exit", 3, PTOOLS_ERR_WORKER_DIED, 0, 3, "exited with status 3" },
    { "value", 1, PTOOLS_OK, 0, -1, "" },
};
enum { FATES = sizeof fates / sizeof fates[0] };

static void check_fate(const ptools_item *item, const struct fate *fate, uint32_t attempts)
{
    const ptools_failure *f = item->failure;

    ck_assert_err(item->err, fate->code);
    ck_assert_uint_eq(item->attempts, fate->code == PTOOLS_OK ? 1 : attempts);
    ck_assert_uint_gt(item->run_us, 0);
    ck_assert_uint_gt(item->peak_kb, 0);
    if (fate->code == PTOOLS_OK) {
        ck_assert_int_eq(number_of(item), fate->n);
        return;
    }
    ck_assert_int_eq(f->signal, fate->signal);
    ck_assert_int_eq(f->exit_status, fate->exit_status);
    ck_assert(f->maybe_executed);
    ck_assert_uint_eq(f->run_us, item->run_us);
    ck_assert_uint_eq(f->peak_bytes, item->peak_kb * 1024);
    ck_has(f->message, "the process of the item (pid ");
    ck_has(f->message, fate->message);
    if (fate->signal == SIGSEGV)
        ck_has(f->backtrace, "item+0x");
    else if (fate->signal == 0 || fate->signal == SIGKILL)
        ck_assert_str_eq(f->backtrace, "");
}

START_TEST(however_an_item_ends_it_ends_alone)
{
    enum { N = 42 };
    static const uint32_t sizes[] = { 0, 1, 9, 1000 };
    static const int64_t delays[] = { 0 };
    const bool again = _i >= 4;
    ptools_pmap *map;

    up_isolated();
    for (int64_t i = 0; i < N; i++)
        add(fates[i % FATES].what, fates[i % FATES].n);
    options.batch_size = sizes[_i % 4];
    options.retry_delays_ms = delays;
    options.n_retry_delays = again;
    crew = crew_now();
    map = zip("p.item");
    for (int64_t i = 0; i < N; i++) {
        ptools_item item = next(map);

        ck_assert_uint_eq(item.index, (uint64_t)i);
        check_fate(&item, &fates[i % FATES], again ? 2 : 1);
    }
    ends(map);
    crew_is(&crew);
    down();
}
END_TEST

/* What it says, however it ends, before or by that. */
static const struct {
    const char *function;
    ptools_err code;
    const char *message, *phase, *log, *backtrace;
    uint64_t progress;
} tellers[] = {
    { "t.segv", PTOOLS_ERR_WORKER_DIED, "signal 11", "about to crash", "", "segv+0x", 0 },
    { "t.overflow", PTOOLS_ERR_WORKER_DIED, "signal 11", "", "", "recurse+0x", 0 },
    { "t.corrupt_heap", PTOOLS_ERR_WORKER_DIED, "signal 6", "", "", "", 0 },
    { "t.tell", PTOOLS_ERR_FAILED, "told all", "sorting", "opened 3 files\nthe third is odd\n", "", 7 },
    { "t.tell_and_raise", PTOOLS_ERR_WORKER_DIED, "signal 11", "sorting", "opened 3 files\nthe third is odd\n",
      "tell_and_raise+0x", 7 },
    { "t.half_list", PTOOLS_ERR_FAILED, "the result of t.half_list is not complete", "", "", "", 0 },
    { "t.fail_code", PTOOLS_ERR_FAILED, "t.fail_code failed", "", "", "", 0 },
};

START_TEST(what_it_says_is_told)
{
    ptools_pmap *map;

    if (SANITIZED && strcmp(tellers[_i].function, "t.corrupt_heap") == 0)
        return; /* the sanitizer is quicker */
    up_isolated();
    for (int i = 0; i < 6; i++)
        ptools_pack_i64(list, SIGSEGV);
    options.batch_size = 3;
    map = start(tellers[_i].function);
    for (int i = 0; i < 6; i++) {
        ptools_item item = next(map);
        const ptools_failure *f = item.failure;

        ck_assert_err(item.err, tellers[_i].code);
        ck_has(f->message, tellers[_i].message);
        ck_assert_str_eq(f->phase, tellers[_i].phase);
        ck_assert_str_eq(f->log, tellers[_i].log);
        ck_has(f->backtrace, tellers[_i].backtrace);
        ck_assert_uint_eq(f->progress, tellers[_i].progress);
    }
    ends(map);
    down();
}
END_TEST

START_TEST(a_worker_that_an_item_kills_is_replaced)
{
    ptools_pmap *map;
    ptools_item item;

    up_isolated();
    ptools_pack_nil(list);
    map = start("alone.kill_worker");
    item = next(map);
    ck_assert_err(item.err, PTOOLS_ERR_WORKER_DIED);
    ck_assert_int_eq(item.failure->signal, SIGKILL);
    ck_has(item.failure->message, "worker 1 (pid ");
    ends(map);
    run_all("alone.look");
    down();
}
END_TEST

/* -- memory -------------------------------------------------------------------------------------------------------- */

START_TEST(its_peak_memory_is_told)
{
    ptools_pmap *map;

    up_isolated();
    for (int i = 0; i < 20; i++)
        ptools_pack_i64(list, i % 2 ? 50 : 0);
    options.batch_size = 5;
    map = start("alone.touch");
    for (int i = 0; i < 20; i++) {
        ptools_item item = next(map);

        ck_assert_int_eq(number_of(&item), i % 2 ? 50 : 0);
        ck_assert_msg(item.peak_kb >= (i % 2 ? 49u << 10 : 1) && item.peak_kb <= (i % 2 ? 60u << 10 : 10u << 10),
                      "item %d: %" PRIu64 " KiB", i, item.peak_kb);
    }
    ends(map);
    down();
}
END_TEST

START_TEST(one_that_takes_all_memory_dies_alone)
{
    ptools_pmap *map;

    if (SANITIZED)
        return; /* a sanitizer's reservations and a limit on memory exclude each other */
    up_with(WORKERS, (const char *const[]){ "-o", "workers.memory_max=256M", NULL });
    options.flags = PTOOLS_PMAP_ISOLATED;
    for (int i = 0; i < 2; i++)
        ptools_pack_nil(list);
    options.batch_size = 2;
    crew = crew_now();
    map = start("t.eat");
    for (int i = 0; i < 2; i++) {
        ptools_item item = next(map);

        ck_assert_err(item.err, PTOOLS_ERR_OUT_OF_MEMORY);
        ck_has(item.failure->message, "was killed for lack of memory while running t.eat");
        ck_assert_uint_gt(item.peak_kb, 200 << 10);
    }
    ends(map);
    crew_is(&crew);
    down();
}
END_TEST

/* -- stopping ------------------------------------------------------------------------------------------------------ */

START_TEST(an_item_that_takes_too_long_is_stopped_alone)
{
    ptools_pmap *map;

    up_isolated();
    for (int64_t i = 0; i < 40; i++)
        add(i == 11 || i == 30 ? "hang" : "value", i);
    options.item_timeout_ms = 200;
    options.batch_size = _i;
    crew = crew_now();
    map = zip("p.item");
    for (int64_t i = 0; i < 40; i++) {
        ptools_item item = next(map);

        if (i != 11 && i != 30) {
            ck_assert_int_eq(number_of(&item), i);
            continue;
        }
        ck_assert_err(item.err, PTOOLS_ERR_DEADLINE);
        ck_has(item.failure->message, "an item of p.item ran for more than 200 ms");
        ck_assert_str_eq(item.failure->phase, "hanging");
        ck_has(item.failure->backtrace, "item+0x");
    }
    ends(map);
    crew_is(&crew);
    down();
}
END_TEST

/* When worker 1 is at an item of it. */
static ptools_pmap *stall(void)
{
    ptools_pmap *map = start("alone.stall");

    ck_assert_err(ptools_pmap_next(map, 0, &(ptools_item){ 0 }), PTOOLS_ERR_TIMEOUT);
    server_at_phase(pt, 1, "stalling");
    return map;
}

/* Whatever it ignores. */
static const char *const ways[] = { "spin", "block", "stop", "family" };

START_TEST(one_that_is_cancelled_ends_at_once)
{
    ptools_worker_info *workers = NULL;
    pid_t others[WORKERS];
    ptools_pmap *map;
    uint64_t began;
    size_t n;

    up_isolated();
    for (int i = 0; i < WORKERS; i++)
        ptools_pack_str(list, ways[_i]);
    options.batch_size = 1;
    crew = crew_now();
    map = stall();
    server_at_phase(pt, 2, "stalling");
    ck_assert_ptools(ptools_workers(pt, &workers, &n));
    for (size_t i = 0; i < n; i++)
        others[i] = (pid_t)workers[i].progress;
    free(workers);
    began = now_ms();
    ck_assert_ptools(ptools_pmap_cancel(map));
    for (int i = 0; i < WORKERS; i++) {
        ptools_item item = next(map);

        ck_assert_err(item.err, PTOOLS_ERR_CANCELLED);
        ck_assert_str_eq(item.failure->phase, "stalling");
        ck_assert(strcmp(ways[_i], "family") != 0 || (others[i] > 0 && kill(others[i], 0) < 0 && errno == ESRCH));
    }
    ck_assert_uint_lt(now_ms() - began, ISOLATED_GRACE_MS / 2);
    ends(map);
    crew_is(&crew);
    down();
}
END_TEST

START_TEST(a_client_that_leaves_takes_its_items_with_it)
{
    ptools_pmap *map;

    up_isolated();
    for (int i = 0; i < 10; i++)
        ptools_pack_str(list, "family");
    crew = crew_now();
    map = stall();
    ptools_pmap_free(map); /* in the middle */
    crew_is(&crew);
    map = stall();
    pt = ptools_close(pt);
    ptools_pmap_free(map);
    pt = server_open(&server);
    crew_is(&crew);
    down();
}
END_TEST

START_TEST(a_daemon_that_ends_ends_them_too)
{
    ptools_pmap *map;

    up_isolated();
    ptools_pack_str(list, "family");
    map = stall();
    list = ptools_pack_free(list);
    what = ptools_pack_free(what);
    server_stop(&server); /* no process is left */
    ptools_pmap_free(map);
    pt = ptools_close(pt);
}
END_TEST

/* What an item has forked does not outlive it, in whatever session that is. */
START_TEST(what_it_has_forked_ends_with_it)
{
    static const char *const functions[] = { "t.stray", "t.fork_child", "t.fork_return" };
    ptools_pmap *map;

    up_isolated();
    for (int i = 0; i < 12; i++)
        ptools_pack_nil(list);
    options.batch_size = 4;
    crew = crew_now();
    map = start(functions[_i]);
    for (int i = 0; i < 12; i++) {
        ptools_item item = next(map);
        const int64_t pid = number_of(&item);

        ck_assert_int_gt(pid, 0);
        ck_assert(kill((pid_t)pid, 0) < 0 && errno == ESRCH);
    }
    ends(map);
    crew_is(&crew);
    down();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("isolated-fates");
    TCase *tc = suite_case(suite, "isolated");

    tcase_add_loop_test(tc, however_an_item_ends_it_ends_alone, 0, 8);
    tcase_add_loop_test(tc, what_it_says_is_told, 0, sizeof tellers / sizeof tellers[0]);
    tcase_add_test(tc, a_worker_that_an_item_kills_is_replaced);
    tcase_add_test(tc, its_peak_memory_is_told);
    tcase_add_test(tc, one_that_takes_all_memory_dies_alone);
    tcase_add_loop_test(tc, an_item_that_takes_too_long_is_stopped_alone, 0, 2);
    tcase_add_loop_test(tc, one_that_is_cancelled_ends_at_once, 0, sizeof ways / sizeof ways[0]);
    tcase_add_test(tc, a_client_that_leaves_takes_its_items_with_it);
    tcase_add_test(tc, a_daemon_that_ends_ends_them_too);
    tcase_add_loop_test(tc, what_it_has_forked_ends_with_it, 0, 3);
    return suite_run(suite);
}
