/* SPDX-License-Identifier: MIT */
/*
 * Items in processes of their own, against a real daemon: whatever one does to its process, and however it ends, no
 * other item and no worker notices; what init made is there for each; what it took is told; and nothing is left.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <ptools/pmap.h>

#include "tests/integration/server.h"
#include "tests/support/suite.h"

enum { WAIT_MS = 60000, GRACE_MS = 20000, WORKERS = 2 };
#ifdef __SANITIZE_ADDRESS__
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif

static struct server server;
static ptools *pt;
static ptools_pack *list, *what;
static ptools_pmap_options options;
static int32_t pids[WORKERS]; /* of the workers, as remember_workers() found them */

static void up_with(const char *const *args)
{
    static const ptools_pmap_options none = PTOOLS_PMAP_OPTIONS_INIT;

    server_start(&server, WORKERS, args);
    pt = server_open(&server);
    list = ptools_pack_new();
    what = ptools_pack_new();
    options = none;
    options.flags = PTOOLS_PMAP_ISOLATED;
}

/* No worker is killed for what its items do: kill_grace_ms is longer than a test waits. */
static void up(void)
{
    up_with((const char *const[]){ "-o", "workers.kill_grace_ms=20000", NULL });
}

static void down(void)
{
    list = ptools_pack_free(list);
    what = ptools_pack_free(what);
    server_whole(pt, WORKERS);
    pt = ptools_close(pt);
    server_clean(&server, 0);
    server_stop(&server);
}

static void look_at_workers(int32_t ret_pids[WORKERS], uint64_t *ret_deaths, uint64_t *ret_recycled)
{
    ptools_worker_info *workers = NULL;
    size_t n = 0;

    *ret_deaths = *ret_recycled = 0;
    server_whole(pt, WORKERS);
    ck_assert_ptools(ptools_workers(pt, &workers, &n));
    ck_assert_uint_eq(n, WORKERS);
    for (size_t i = 0; i < n; i++) {
        ret_pids[i] = workers[i].pid;
        *ret_deaths += workers[i].deaths;
        *ret_recycled += workers[i].recycled;
    }
    free(workers);
}

static void remember_workers(void)
{
    uint64_t deaths, recycled;

    look_at_workers(pids, &deaths, &recycled);
}

/* All are those that were remembered. */
static void check_workers(void)
{
    int32_t now[WORKERS];
    uint64_t deaths, recycled;

    look_at_workers(now, &deaths, &recycled);
    ck_assert_uint_eq(deaths, 0);
    for (int i = 0; i < WORKERS; i++)
        ck_assert_int_eq(now[i], pids[i]);
}

static ptools_pmap *start(const char *function, size_t n_lists)
{
    const ptools_pack *const lists[] = { n_lists == 2 ? what : list, list };
    ptools_pmap *map = NULL;
    ptools_err err = ptools_pmap_start(pt, function, lists, n_lists, &options, &map);

    ck_assert_msg(err == PTOOLS_OK, "%s", ptools_error_message(pt));
    return map;
}

static ptools_item next(ptools_pmap *map)
{
    ptools_item item;
    ptools_err err = ptools_pmap_next(map, WAIT_MS, &item);

    ck_assert_msg(err == PTOOLS_OK, "%s: %s", ptools_errname(err), ptools_error_message(pt));
    return item;
}

static int64_t number_of(const ptools_item *item)
{
    int64_t n = -1;

    ck_assert_msg(item->err == PTOOLS_OK, "item %" PRIu64 ": %s", item->index,
                  item->failure ? item->failure->message : "no failure");
    ck_assert_ptools(ptools_get_i64(item->value, &n));
    return n;
}

static void ends(ptools_pmap *map)
{
    ptools_item item;

    ck_assert_err(ptools_pmap_next(map, WAIT_MS, &item), PTOOLS_ERR_RANGE);
    ptools_pmap_free(map);
}

/* Each of the list's items has a value. */
static void run_all(const char *function)
{
    ptools_pmap *map = start(function, 1);
    ptools_item item;
    ptools_err err;

    while ((err = ptools_pmap_next(map, WAIT_MS, &item)) == PTOOLS_OK)
        ck_assert_ptools(item.err);
    ck_assert_err(err, PTOOLS_ERR_RANGE);
    ptools_pmap_free(map);
}

static void ck_has(const char *text, const char *part)
{
    ck_assert_msg(strstr(text, part) != NULL, "\"%s\" does not say \"%s\"", text, part);
}

/* -- what is seen of others ------------------------------------------------------------------------------------ */

enum { CALLS, INITS, MADE, HEAP, ENVIRONMENT, DIRECTORY, UMASK, FDS, CORE, PID, PARENT };

static int64_t found_number(const ptools_item *item, size_t which)
{
    ptools_value v;
    int64_t n = -1;
    uint64_t u;

    ck_assert_msg(item->err == PTOOLS_OK, "item %" PRIu64 ": %s", item->index,
                  item->failure ? item->failure->message : "no failure");
    ck_assert_ptools(ptools_get_item(item->value, which, &v));
    if (ptools_get_i64(v, &n) != PTOOLS_OK) {
        ck_assert_ptools(ptools_get_u64(v, &u));
        n = INT64_MAX;
    }
    return n;
}

static void found_text(const ptools_item *item, size_t which, const char *expected)
{
    const char *text;
    ptools_value v;
    size_t n;

    ck_assert_ptools(ptools_get_item(item->value, which, &v));
    ck_assert_ptools(ptools_get_str(v, &text, &n));
    ck_assert_msg(n == strlen(expected) && memcmp(text, expected, n) == 0, "%.*s is not %s", (int)n, text, expected);
}

START_TEST(what_an_item_does_to_its_process_no_other_sees)
{
    static const uint32_t sizes[] = { 0, 1, 7, 100 };
    int64_t fds = 0, mask = 0, core = 0;
    ptools_pmap *map;

    up();
    for (int64_t i = 0; i < 100; i++)
        ptools_pack_nil(list);
    options.batch_size = sizes[_i];
    remember_workers();
    map = start("i.spoil", 1);
    for (int64_t i = 0; i < 100; i++) {
        ptools_item item = next(map);

        ck_assert_int_eq(found_number(&item, CALLS), 0);
        ck_assert_int_eq(found_number(&item, INITS), 0);
        found_text(&item, ENVIRONMENT, "clean");
        found_text(&item, DIRECTORY, "/");
        fds = i == 0 ? found_number(&item, FDS) : fds;
        mask = i == 0 ? found_number(&item, UMASK) : mask;
        core = i == 0 ? found_number(&item, CORE) : core;
        ck_assert_int_eq(found_number(&item, FDS), fds);
        ck_assert_int_eq(found_number(&item, UMASK), mask);
        ck_assert_int_eq(found_number(&item, CORE), core);
        ck_assert(found_number(&item, PARENT) == pids[0] || found_number(&item, PARENT) == pids[1]);
        ck_assert_uint_gt(item.run_us, 0);
        ck_assert_uint_gt(item.peak_kb, 0);
    }
    ends(map);
    check_workers();
    down();
}
END_TEST

/* The second run finds nothing of the first one's init; each of them what its own has made. */
START_TEST(init_runs_once_in_a_worker_and_items_find_what_it_made)
{
    PTOOLS_AUTO(ptools_pack) captured = NULL;

    up();
    for (int64_t i = 0; i < 60; i++)
        ptools_pack_i64(list, i);
    options.init = "i.init";
    options.batch_size = 5;
    for (int64_t round = 1; round <= 3; round++) {
        ptools_pmap *map;

        captured = ptools_pack_free(captured);
        captured = ptools_pack_new();
        ptools_pack_i64(captured, round * 11);
        options.captured = captured;
        map = start(round == 2 ? "i.spoil" : "i.look", 1);
        for (int64_t i = 0; i < 60; i++) {
            ptools_item item = next(map);

            ck_assert_int_eq(found_number(&item, CALLS), 0);
            ck_assert_int_eq(found_number(&item, INITS), 1);
            ck_assert_int_eq(found_number(&item, MADE), round * 11);
            found_text(&item, HEAP, "made by init");
        }
        ends(map);
    }
    down();
}
END_TEST

/* Ordinary functions that are not tidy make a process one that isolated items are not run in. */
START_TEST(what_ran_before_in_the_worker_is_not_seen)
{
    uint64_t deaths, recycled[2];
    int32_t now[WORKERS];

    up();
    for (int64_t i = 0; i < 40; i++)
        ptools_pack_i64(list, i);
    for (int round = 0; round < 2; round++) {
        ptools_pmap *map;

        options.flags = 0;
        options.batch_size = 1;
        map = start("i.look", 1);
        for (int64_t i = 0; i < 40; i++)
            (void)next(map);
        ends(map);
        options.flags = PTOOLS_PMAP_ISOLATED;
        options.batch_size = 4;
        map = start("i.look", 1);
        for (int64_t i = 0; i < 40; i++) {
            ptools_item item = next(map);

            ck_assert_int_eq(found_number(&item, CALLS), 0);
        }
        ends(map);
        look_at_workers(now, &deaths, &recycled[round]);
        ck_assert_uint_eq(deaths, 0);
    }
    ck_assert(recycled[0] >= 1 && recycled[0] <= WORKERS);
    ck_assert(recycled[1] > recycled[0] && recycled[1] <= 2 * WORKERS);

    for (int round = 0; round < 4; round++) { /* tidy ones spoil nothing, and isolated ones neither */
        options.flags = round == 0 ? 0 : PTOOLS_PMAP_ISOLATED;
        run_all(round == 0 ? "p.same" : round == 1 ? "p.same" : "i.spoil");
    }
    look_at_workers(now, &deaths, &recycled[0]);
    ck_assert_uint_le(recycled[0], 2 * WORKERS);
    down();
}
END_TEST

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

    up();
    for (int64_t i = 0; i < N; i++) {
        ptools_pack_str(what, fates[i % FATES].what);
        ptools_pack_i64(list, fates[i % FATES].n);
    }
    options.batch_size = sizes[_i % 4];
    options.retry_delays_ms = delays;
    options.n_retry_delays = again;
    remember_workers();
    map = start("p.item", 2);
    for (int64_t i = 0; i < N; i++) {
        ptools_item item = next(map);

        ck_assert_uint_eq(item.index, (uint64_t)i);
        check_fate(&item, &fates[i % FATES], again ? 2 : 1);
    }
    ends(map);
    check_workers();
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

    up();
    for (int i = 0; i < 6; i++)
        ptools_pack_i64(list, SIGSEGV);
    options.batch_size = 3;
    map = start(tellers[_i].function, 1);
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

    up();
    ptools_pack_nil(list);
    map = start("i.kill_worker", 1);
    item = next(map);
    ck_assert_err(item.err, PTOOLS_ERR_WORKER_DIED);
    ck_assert_int_eq(item.failure->signal, SIGKILL);
    ck_has(item.failure->message, "worker 1 (pid ");
    ends(map);
    run_all("i.look");
    down();
}
END_TEST

/* -- values and arguments ----------------------------------------------------------------------------------------- */

START_TEST(values_may_be_large)
{
    static const int64_t sizes[] = { 0, 1000000, 20000000, 5, 70000, 20000001, 65530 };
    ptools_pmap *map;

    up();
    for (int64_t i = 0; i < 14; i++) {
        ptools_pack_str(what, "bytes");
        ptools_pack_i64(list, sizes[i % 7]);
    }
    options.batch_size = 7;
    map = start("p.item", 2);
    for (int64_t i = 0; i < 14; i++) {
        ptools_item item = next(map);
        const uint8_t *data;
        size_t n = 0;

        ck_assert_ptools(item.err);
        ck_assert_ptools(ptools_get_bytes(item.value, (const void **)&data, &n));
        ck_assert_uint_eq(n, (size_t)sizes[i % 7]);
        for (size_t k = 0; k < n; k++)
            if (data[k] != 0)
                ck_abort_msg("byte %zu of item %" PRId64 " is %d", k, i, data[k]);
    }
    ends(map);
    down();
}
END_TEST

START_TEST(many_small_ones)
{
    PTOOLS_AUTO(ptools_pack) captured = ptools_pack_new();
    ptools_pmap *map;

    up();
    for (int64_t i = 0; i < 2000; i++)
        ptools_pack_i64(list, i);
    ptools_pack_i64(captured, 1000000);
    options.captured = captured;
    remember_workers();
    map = start("p.add", 1);
    for (int64_t i = 0; i < 2000; i++) {
        ptools_item item = next(map);

        ck_assert_uint_eq(item.index, (uint64_t)i);
        ck_assert_int_eq(number_of(&item), 1000000 + i);
    }
    ends(map);
    check_workers();
    down();
}
END_TEST

START_TEST(what_fails_is_tried_again)
{
    static const int64_t delays[] = { 0, 10 };
    static const char *const firsts[] = { "no", "fail", "kill" };
    char dir[64], path[96];
    ptools_pmap *map;

    up();
    temp_dir(dir, sizeof dir);
    for (int i = 0; i < 30; i++) {
        snprintf(path, sizeof path, "%s/%d", dir, i);
        ptools_pack_str(what, path);
        ptools_pack_str(list, firsts[i % 3]);
    }
    options.retry_delays_ms = delays;
    options.n_retry_delays = 2;
    map = start("p.first", 2);
    for (int i = 0; i < 30; i++) {
        ptools_item item = next(map);

        ck_assert_int_eq(number_of(&item), i % 3 == 0 ? 1 : 2);
        ck_assert_uint_eq(item.attempts, i % 3 == 0 ? 1 : 2);
    }
    ends(map);
    temp_remove(dir);
    down();
}
END_TEST

START_TEST(parts_of_arrays)
{
    const ptools_shmcfg cfg = { "numbers", PTOOLS_INT64, 1, { 300000 }, PTOOLS_ROW_MAJOR };
    const ptools_array *arrays[1];
    ptools_array *a = NULL;
    int64_t *numbers;

    up();
    ck_assert_ptools(ptools_shm_create(pt, &cfg, NULL, &a));
    numbers = ptools_array_data(a);
    arrays[0] = a;
    for (int round = 1; round <= 2; round++) {
        ck_assert_ptools(ptools_pmap_array(pt, "p.shift", arrays, 1, &options));
        for (int64_t i = 0; i < 300000; i++)
            if (numbers[i] != round * i)
                ck_abort_msg("element %" PRId64 " is %" PRId64, i, numbers[i]);
    }
    ptools_array_free(a);
    down();
}
END_TEST

/* Each item asks the daemon for it, by its worker's socket. */
START_TEST(an_item_may_ask_for_arrays_itself)
{
    const ptools_shmcfg cfg = { "asked", PTOOLS_INT32, 1, { 10 }, PTOOLS_ROW_MAJOR };
    ptools_array *a = NULL;
    ptools_pmap *map;

    up();
    ck_assert_ptools(ptools_shm_create(pt, &cfg, NULL, &a));
    ((int32_t *)ptools_array_data(a))[0] = 4711;
    for (int64_t i = 0; i < 60; i++) {
        ptools_pack_str(what, "");
        ptools_pack_str(list, i % 3 == 1 ? "nosuch" : "asked");
    }
    options.batch_size = 20;
    map = start("a.peek", 2);
    for (int64_t i = 0; i < 60; i++) {
        ptools_item item = next(map);

        if (i % 3 == 1)
            ck_assert_err(item.err, PTOOLS_ERR_NO_ARRAY);
        else
            ck_assert_int_eq(number_of(&item), 4711);
    }
    ends(map);
    ptools_array_free(a);
    down();
}
END_TEST

START_TEST(its_local_storage_ends_with_it)
{
    char dir[64], path[96];

    up();
    temp_dir(dir, sizeof dir);
    snprintf(path, sizeof path, "%s/borrowed", dir);
    for (int i = 0; i < 10; i++)
        ptools_pack_str(list, path);
    options.batch_size = 10; /* one after the other */
    run_all("i.borrow");
    temp_remove(dir);
    down();
}
END_TEST

START_TEST(what_it_prints_is_printed_once)
{
    unsigned murmurs = 0;
    char *log;

    up();
    for (int i = 0; i < 12; i++)
        ptools_pack_nil(list);
    run_all("i.murmur");
    log = slurp(server.log);
    for (const char *at = log; (at = strstr(at, "murmur ")); at++)
        murmurs++;
    free(log);
    ck_assert_uint_eq(murmurs, 12);
    down();
}
END_TEST

/* -- memory -------------------------------------------------------------------------------------------------------- */

START_TEST(its_peak_memory_is_told)
{
    ptools_pmap *map;

    up();
    for (int i = 0; i < 20; i++)
        ptools_pack_i64(list, i % 2 ? 50 : 0);
    options.batch_size = 5;
    map = start("i.touch", 1);
    for (int i = 0; i < 20; i++) {
        ptools_item item = next(map);

        ck_assert_int_eq(number_of(&item), i % 2 ? 50 : 0);
        ck_assert_msg(item.peak_kb >= (i % 2 ? 50u << 10 : 1) && item.peak_kb <= (i % 2 ? 60u << 10 : 10u << 10),
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
    up_with((const char *const[]){ "-o", "workers.memory_max=256M", NULL });
    for (int i = 0; i < 2; i++)
        ptools_pack_nil(list);
    options.batch_size = 2;
    remember_workers();
    map = start("t.eat", 1);
    for (int i = 0; i < 2; i++) {
        ptools_item item = next(map);

        ck_assert_err(item.err, PTOOLS_ERR_OUT_OF_MEMORY);
        ck_has(item.failure->message, "was killed for lack of memory while running t.eat");
        ck_assert_uint_gt(item.peak_kb, 200 << 10);
    }
    ends(map);
    check_workers();
    down();
}
END_TEST

/* -- stopping ------------------------------------------------------------------------------------------------------ */

START_TEST(an_item_that_takes_too_long_is_stopped_alone)
{
    ptools_pmap *map;

    up();
    for (int64_t i = 0; i < 40; i++) {
        ptools_pack_str(what, i == 11 || i == 30 ? "hang" : "value");
        ptools_pack_i64(list, i);
    }
    options.item_timeout_ms = 200;
    options.batch_size = _i;
    remember_workers();
    map = start("p.item", 2);
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
    check_workers();
    down();
}
END_TEST

/* Whatever it ignores. */
static const char *const ways[] = { "spin", "block", "stop", "family" };

START_TEST(one_that_is_cancelled_ends_at_once)
{
    ptools_worker_info *workers = NULL;
    pid_t others[WORKERS];
    ptools_pmap *map;
    uint64_t began;
    size_t n;

    up();
    for (int i = 0; i < WORKERS; i++)
        ptools_pack_str(list, ways[_i]);
    options.batch_size = 1;
    remember_workers();
    map = start("i.stall", 1);
    ck_assert_err(ptools_pmap_next(map, 0, &(ptools_item){ 0 }), PTOOLS_ERR_TIMEOUT);
    for (uint32_t w = 1; w <= WORKERS; w++)
        server_at_phase(pt, w, "stalling");
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
    ck_assert_uint_lt(now_ms() - began, GRACE_MS / 2);
    ends(map);
    check_workers();
    down();
}
END_TEST

START_TEST(a_client_that_leaves_takes_its_items_with_it)
{
    ptools_pmap *map;

    up();
    for (int i = 0; i < 10; i++)
        ptools_pack_str(list, "family");
    remember_workers();
    map = start("i.stall", 1);
    ck_assert_err(ptools_pmap_next(map, 0, &(ptools_item){ 0 }), PTOOLS_ERR_TIMEOUT);
    server_at_phase(pt, 1, "stalling");
    ptools_pmap_free(map); /* in the middle */
    check_workers();
    map = start("i.stall", 1);
    ck_assert_err(ptools_pmap_next(map, 0, &(ptools_item){ 0 }), PTOOLS_ERR_TIMEOUT);
    server_at_phase(pt, 1, "stalling");
    pt = ptools_close(pt);
    ptools_pmap_free(map);
    pt = server_open(&server);
    check_workers();
    down();
}
END_TEST

START_TEST(a_daemon_that_ends_ends_them_too)
{
    ptools_pmap *map;

    up();
    ptools_pack_str(list, "family");
    map = start("i.stall", 1);
    ck_assert_err(ptools_pmap_next(map, 0, &(ptools_item){ 0 }), PTOOLS_ERR_TIMEOUT);
    server_at_phase(pt, 1, "stalling");
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

    up();
    for (int i = 0; i < 12; i++)
        ptools_pack_nil(list);
    options.batch_size = 4;
    remember_workers();
    map = start(functions[_i], 1);
    for (int i = 0; i < 12; i++) {
        ptools_item item = next(map);
        const int64_t pid = number_of(&item);

        ck_assert_int_gt(pid, 0);
        ck_assert(kill((pid_t)pid, 0) < 0 && errno == ESRCH);
    }
    ends(map);
    check_workers();
    down();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("isolated");
    TCase *tc = suite_case(suite, "isolated");

    tcase_add_loop_test(tc, what_an_item_does_to_its_process_no_other_sees, 0, 4);
    tcase_add_test(tc, init_runs_once_in_a_worker_and_items_find_what_it_made);
    tcase_add_test(tc, what_ran_before_in_the_worker_is_not_seen);
    tcase_add_loop_test(tc, however_an_item_ends_it_ends_alone, 0, 8);
    tcase_add_loop_test(tc, what_it_says_is_told, 0, sizeof tellers / sizeof tellers[0]);
    tcase_add_test(tc, a_worker_that_an_item_kills_is_replaced);
    tcase_add_test(tc, values_may_be_large);
    tcase_add_test(tc, many_small_ones);
    tcase_add_test(tc, what_fails_is_tried_again);
    tcase_add_test(tc, parts_of_arrays);
    tcase_add_test(tc, an_item_may_ask_for_arrays_itself);
    tcase_add_test(tc, its_local_storage_ends_with_it);
    tcase_add_test(tc, what_it_prints_is_printed_once);
    tcase_add_test(tc, its_peak_memory_is_told);
    tcase_add_test(tc, one_that_takes_all_memory_dies_alone);
    tcase_add_loop_test(tc, an_item_that_takes_too_long_is_stopped_alone, 0, 2);
    tcase_add_loop_test(tc, one_that_is_cancelled_ends_at_once, 0, sizeof ways / sizeof ways[0]);
    tcase_add_test(tc, a_client_that_leaves_takes_its_items_with_it);
    tcase_add_test(tc, a_daemon_that_ends_ends_them_too);
    tcase_add_loop_test(tc, what_it_has_forked_ends_with_it, 0, 3);
    return suite_run(suite);
}
