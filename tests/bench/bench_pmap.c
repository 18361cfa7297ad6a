/* SPDX-License-Identifier: MIT */
/*
 * bench_pmap -- many items: what one costs when there are a million of them, in automatic batches and one by one,
 * beside Python's multiprocessing.Pool.map; elements of an array, beside the same loop in threads; how evenly items of
 * very different length are shared; and what an item costs that has a process of its own, beside a bare fork of the
 * worker and the end of the child.
 *
 *     ROUNDS=5 PMAP_ITEMS=1000000 PMAP_ELEMENTS=16777216
 *
 * Each value that comes back is checked.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <ptools/pmap.h>

#include "tests/bench/phase.h"
#include "tests/bench/program.h"
#include "tests/bench/report.h"
#include "tests/integration/server.h"
#include "tests/modules/sums.h"

enum {
    WORKERS = 2,
    WAIT_MS = 60000,
    SINGLE = 50,
    UNEVEN = 300,
    SHORT_MS = 2,
    LONG_MS = 60,
    LONG_EVERY = 25,
    ISOLATED = 1000
};

static double seconds_since(const struct timespec *began)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - began->tv_sec) + (double)(now.tv_nsec - began->tv_nsec) / 1e9;
}

/* Runs it to its end: the seconds. check: each value is the index. */
static double run_options(ptools *pt, const char *function, const ptools_pack *const *lists, size_t n_lists,
                          const ptools_pmap_options *options, int64_t items, bool check)
{
    struct timespec began;
    ptools_item item;
    ptools_pmap *map;
    double seconds;
    int64_t n = 0, v;

    clock_gettime(CLOCK_MONOTONIC, &began);
    must(pt, ptools_pmap_start(pt, function, lists, n_lists, options, &map));
    while (ptools_pmap_next(map, WAIT_MS, &item) == PTOOLS_OK) {
        phase_assert(item.err == PTOOLS_OK);
        if (check)
            phase_assert(ptools_get_i64(item.value, &v) == PTOOLS_OK && v == n);
        n++;
    }
    seconds = seconds_since(&began);
    phase_assert(n == items);
    ptools_pmap_free(map);
    return seconds;
}

static double run(ptools *pt, const char *function, const ptools_pack *const *lists, size_t n_lists,
                  uint32_t batch_size, int64_t items, bool check)
{
    ptools_pmap_options options = PTOOLS_PMAP_OPTIONS_INIT;

    options.batch_size = batch_size;
    return run_options(pt, function, lists, n_lists, &options, items, check);
}

/* What one takes of one worker's time, in microseconds. */
static double isolated(ptools *pt, const ptools_pack *const *lists, ptools_workerset *set)
{
    ptools_pmap_options options = PTOOLS_PMAP_OPTIONS_INIT;

    options.flags = PTOOLS_PMAP_ISOLATED;
    options.set = set;
    return run_options(pt, "p.same", lists, 1, &options, ISOLATED, true) / ISOLATED * 1e6;
}

/* What a fork takes in that worker. */
static double bare_fork(ptools *pt, ptools_workerset *set)
{
    PTOOLS_AUTO(ptools_pack) n = ptools_pack_new();
    PTOOLS_AUTO(ptools_future) f = NULL;
    ptools_value value;
    uint64_t us = 0;

    ptools_pack_i64(n, ISOLATED);
    must(pt, ptools_remotecall_fetch(pt, set, "alone.forks", n, NULL, WAIT_MS, &f, &value));
    phase_assert(ptools_get_u64(value, &us) == PTOOLS_OK);
    return (double)us / ISOLATED;
}

/* The sum of the numbers from 0, reduced by the workers: the seconds. */
static double reduce(ptools *pt, const ptools_pack *const *lists, int64_t items)
{
    ptools_reduced *reduced = NULL;
    struct timespec began;
    double seconds;
    int64_t sum = 0;

    clock_gettime(CLOCK_MONOTONIC, &began);
    must(pt, ptools_mapreduce(pt, "p.same", "p.add", lists, 1, NULL, &reduced));
    seconds = seconds_since(&began);
    phase_assert(ptools_get_i64(reduced->value, &sum) == PTOOLS_OK && sum == items * (items - 1) / 2);
    ptools_reduced_free(reduced);
    return seconds;
}

/* The same of an array of as many ones. */
static double reduce_array(ptools *pt, const ptools_array *array, int64_t items)
{
    ptools_reduced *reduced = NULL;
    struct timespec began;
    double seconds, sum = 0;

    clock_gettime(CLOCK_MONOTONIC, &began);
    must(pt, ptools_mapreduce_array(pt, "r.range", "r.sum", &array, 1, NULL, &reduced));
    seconds = seconds_since(&began);
    phase_assert(ptools_get_f64(reduced->value, &sum) == PTOOLS_OK && sum == (double)items);
    ptools_reduced_free(reduced);
    return seconds;
}

static ptools_array *ones(ptools *pt, int64_t n)
{
    const ptools_shmcfg cfg = { "ones", PTOOLS_FLOAT64, 1, { (uint64_t)n }, PTOOLS_ROW_MAJOR };
    ptools_array *a = NULL;
    double *x;

    must(pt, ptools_shm_create(pt, &cfg, NULL, &a));
    x = ptools_array_data(a);
    for (int64_t i = 0; i < n; i++)
        x[i] = 1;
    return a;
}

static ptools_pack *numbers(int64_t n)
{
    ptools_pack *pack = ptools_pack_new();

    for (int64_t i = 0; i < n; i++)
        ptools_pack_i64(pack, i);
    return pack;
}

/* Items a second of Pool.map over as many, and of the sum of them; 0: there is no Python. As with ours, the items are
 * there before the clock runs, what comes back is checked while it does, and it is not the first run of that size. */
static double python(int64_t items, double *ret_sum_rate)
{
    char command[1024], line[64] = "", sum_line[64] = "";
    FILE *out;

    snprintf(command, sizeof command,
             "exec /usr/bin/python3 -c '\n"
             "import multiprocessing, time\n"
             "def same(x): return x\n"
             "if __name__ == \"__main__\":\n"
             "    with multiprocessing.get_context(\"fork\").Pool(%d) as pool:\n"
             "        items = list(range(%lld))\n"
             "        assert pool.map(same, items) == items\n"
             "        began = time.monotonic()\n"
             "        assert pool.map(same, items) == items\n"
             "        print(len(items) / (time.monotonic() - began))\n"
             "        began = time.monotonic()\n"
             "        assert sum(pool.map(same, items)) == %lld\n"
             "        print(len(items) / (time.monotonic() - began))' 2>/dev/null",
             WORKERS, (long long)items, (long long)(items * (items - 1) / 2));
    out = popen(command, "re");
    ck_assert_ptr_nonnull(out);
    if (!fgets(line, sizeof line, out) || !fgets(sum_line, sizeof sum_line, out))
        *line = *sum_line = '\0';
    *ret_sum_rate = strtod(sum_line, NULL);
    return pclose(out) == 0 ? strtod(line, NULL) : 0;
}

/* How much longer items of which every 25th is long take than if they were shared perfectly. */
static double uneven(ptools *pt)
{
    ptools_pack *what = ptools_pack_new(), *ms = ptools_pack_new();
    const ptools_pack *const lists[] = { what, ms };
    double sum = 0, seconds;

    for (int i = 0; i < UNEVEN; i++) {
        const int64_t takes = i % LONG_EVERY == LONG_EVERY - 1 ? LONG_MS : SHORT_MS;

        ptools_pack_str(what, "sleep");
        ptools_pack_i64(ms, takes);
        sum += (double)takes / 1000;
    }
    seconds = run(pt, "p.item", lists, 2, 0, UNEVEN, false);
    ptools_pack_free(what);
    ptools_pack_free(ms);
    return seconds / (sum / WORKERS);
}

/* -- in place --------------------------------------------------------------------------------------------------- */

struct slice {
    double *at;
    size_t n;
};

static void *thread(void *arg)
{
    const struct slice *slice = arg;

    double_and_one(slice->at, slice->n);
    return NULL;
}

/* Elements a second of the same loop in so many threads of this process. */
static double in_threads(double *at, size_t n, size_t threads)
{
    struct slice slices[WORKERS];
    pthread_t ids[WORKERS];
    struct timespec began;

    clock_gettime(CLOCK_MONOTONIC, &began);
    for (size_t i = 0; i < threads; i++) {
        slices[i] = (struct slice){ at + n * i / threads, n * (i + 1) / threads - n * i / threads };
        phase_assert(pthread_create(&ids[i], NULL, thread, &slices[i]) == 0);
    }
    for (size_t i = 0; i < threads; i++)
        phase_assert(pthread_join(ids[i], NULL) == 0);
    return (double)n / seconds_since(&began);
}

static double in_workers(ptools *pt, const ptools_array *array)
{
    const ptools_array *const arrays[] = { array };
    const size_t n = ptools_array_count(array);
    struct timespec began;

    clock_gettime(CLOCK_MONOTONIC, &began);
    must(pt, ptools_pmap_array(pt, "p.twice", arrays, 1, NULL));
    return (double)n / seconds_since(&began);
}

/* Element i began as i % 1000; each time it became twice that, and one more. */
static void check_elements(const double *at, size_t n, unsigned times)
{
    const double factor = (double)(UINT64_C(1) << times);
    size_t wrong = 0;

    for (size_t i = 0; i < n; i++)
        wrong += at[i] != ((double)(i % 1000) + 1) * factor - 1;
    phase_assert(wrong == 0);
}

static void fill(double *at, size_t n)
{
    for (size_t i = 0; i < n; i++)
        at[i] = (double)(i % 1000);
}

static void in_place(ptools *pt, unsigned rounds)
{
    const size_t n = program_setting("PMAP_ELEMENTS", 16 << 20, 1 << 30);
    const ptools_shmcfg cfg = PTOOLS_SHMCFG("elements", PTOOLS_FLOAT64, n);
    struct series ours = { .n = 0 }, one = ours, all = ours;
    ptools_array *array = NULL;
    double *at;

    must(pt, ptools_shm_create(pt, &cfg, NULL, &array));
    at = ptools_array_data(array);
    for (unsigned r = 0; r <= rounds; r++) { /* the first one maps it */
        double of_one, of_all, of_workers;

        fill(at, n);
        of_one = in_threads(at, n, 1);
        of_all = in_threads(at, n, WORKERS);
        of_workers = in_workers(pt, array);
        check_elements(at, n, 3);
        if (r == 0)
            continue;
        series_add(&one, of_one);
        series_add(&all, of_all);
        series_add(&ours, of_workers);
    }
    report_print(&(struct report_line){ .title = "elements of an array in place, x -> 2 x + 1",
                                        .unit = UNIT_PER_SECOND,
                                        .ours = &ours,
                                        .ours_at_least = 200e6,
                                        .floor = &all,
                                        .floor_name = "the loop in two threads",
                                        .peers = { { "in one", NULL, &one } } });
    ptools_array_free(array);
    must(pt, ptools_unlink_shm(pt, &cfg, 1, NULL));
}

/* -- all --------------------------------------------------------------------------------------------------------- */

START_TEST(figures)
{
    const unsigned rounds = program_setting("ROUNDS", 5, ROUNDS_MAX);
    const int64_t items = program_setting("PMAP_ITEMS", 1000000, 100000000);
    ptools_pack *all = numbers(items), *few = numbers(items / SINGLE), *some = numbers(ISOLATED);
    const ptools_pack *const lists[] = { all }, *const few_lists[] = { few }, *const some_lists[] = { some };
    struct series ours = { .n = 0 }, pool = ours, single = ours, balance = ours, alone = ours, bare = ours,
                  reduction = ours, sums = ours, in_array = ours;
    ptools_workerset *one = NULL;
    struct server server;
    ptools_array *array;
    ptools *pt;

    server_start(&server, WORKERS, NULL);
    pt = server_open(&server);
    server_whole(pt, WORKERS);
    must(pt, ptools_workerset_create(pt, NULL, (const uint32_t[]){ 1 }, 1, PTOOLS_WS_FF, &one));
    array = ones(pt, items);
    run(pt, "p.same", lists, 1, 0, items, true);
    reduce_array(pt, array, items);
    for (unsigned r = 0; r < rounds; r++) {
        double sum_rate, python_rate = python(items, &sum_rate);

        series_add(&ours, (double)items / run(pt, "p.same", lists, 1, 0, items, true));
        series_add(&single, run(pt, "p.same", few_lists, 1, 1, items / SINGLE, true) / (double)(items / SINGLE) * 1e6);
        series_add(&balance, uneven(pt));
        series_add(&bare, bare_fork(pt, one));
        series_add(&alone, isolated(pt, some_lists, one));
        series_add(&reduction, (double)items / reduce(pt, lists, items));
        series_add(&in_array, (double)items / reduce_array(pt, array, items));
        if (python_rate > 0) {
            series_add(&pool, python_rate);
            series_add(&sums, sum_rate);
        }
    }
    report_print(&(struct report_line){
        .title = "items by value, automatic batches",
        .unit = UNIT_PER_SECOND,
        .ours = &ours,
        .ours_at_least = 20e6,
        .times_peer = 5,
        .peers = { { "Python Pool.map", pool.n < rounds ? "python3" : NULL, &pool } },
    });
    report_print(&(struct report_line){
        .title = "an item in a batch of its own", .unit = UNIT_US, .ours = &single, .ours_at_most = 35 });
    report_print(&(struct report_line){ .title = "items of very different length, times perfect balance",
                                        .unit = UNIT_COUNT,
                                        .ours = &balance,
                                        .ours_at_most = 1.15 });
    in_place(pt, rounds);
    report_print(&(struct report_line){ .title = "an isolated item, of one worker's time",
                                        .unit = UNIT_US,
                                        .ours = &alone,
                                        .floor = &bare,
                                        .floor_name = "fork",
                                        .ratio_at_most = 2 });
    ptools_workerset_free(one);
    report_print(&(struct report_line){
        .title = "reduction: items by value, added up",
        .unit = UNIT_PER_SECOND,
        .ours = &reduction,
        .times_peer = 5,
        .peers = { { "Python sum(Pool.map)", sums.n < rounds ? "python3" : NULL, &sums } },
    });
    report_print(&(struct report_line){
        .title = "reduction: elements of an array, added up", .unit = UNIT_PER_SECOND, .ours = &in_array });
    ptools_array_free(array);
    ptools_pack_free(all);
    ptools_pack_free(few);
    ptools_pack_free(some);
    ptools_close(pt);
    server_stop(&server);
}
END_TEST

int main(void)
{
    return program_run("bench_pmap", figures);
}
