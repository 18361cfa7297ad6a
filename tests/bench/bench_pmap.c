/* SPDX-License-Identifier: MIT */
/*
 * bench_pmap -- many items: what one costs when there are a million of them, in automatic batches and one by one,
 * beside Python's multiprocessing.Pool.map; and how evenly items of very different length are shared.
 *
 *     ROUNDS=5 PMAP_ITEMS=1000000
 *
 * Each value that comes back is checked.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <ptools/pmap.h>

#include "tests/bench/phase.h"
#include "tests/bench/program.h"
#include "tests/bench/report.h"
#include "tests/integration/server.h"

enum { WORKERS = 2, WAIT_MS = 60000, SINGLE = 50, UNEVEN = 300, SHORT_MS = 2, LONG_MS = 60, LONG_EVERY = 25 };

static double seconds_since(const struct timespec *began)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - began->tv_sec) + (double)(now.tv_nsec - began->tv_nsec) / 1e9;
}

/* Runs it to its end: the seconds. check: each value is the index. */
static double run(ptools *pt, const char *function, const ptools_pack *const *lists, size_t n_lists,
                  uint32_t batch_size, int64_t items, bool check)
{
    ptools_pmap_options options = PTOOLS_PMAP_OPTIONS_INIT;
    struct timespec began;
    ptools_item item;
    ptools_pmap *map;
    double seconds;
    int64_t n = 0, v;

    options.batch_size = batch_size;
    clock_gettime(CLOCK_MONOTONIC, &began);
    must(pt, ptools_pmap_start(pt, function, lists, n_lists, &options, &map));
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

/* Items a second of Pool.map over as many, and of the sum of them; 0: there is no Python. */
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
             "        pool.map(same, range(1000))\n"
             "        began = time.monotonic()\n"
             "        assert pool.map(same, range(%lld)) == list(range(%lld))\n"
             "        print(%lld / (time.monotonic() - began))\n"
             "        began = time.monotonic()\n"
             "        assert sum(pool.map(same, range(%lld))) == sum(range(%lld))\n"
             "        print(%lld / (time.monotonic() - began))' 2>/dev/null",
             WORKERS, (long long)items, (long long)items, (long long)items, (long long)items, (long long)items,
             (long long)items);
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

START_TEST(figures)
{
    const unsigned rounds = program_setting("ROUNDS", 5, ROUNDS_MAX);
    const int64_t items = program_setting("PMAP_ITEMS", 1000000, 100000000);
    ptools_pack *all = numbers(items), *few = numbers(items / SINGLE);
    const ptools_pack *const lists[] = { all }, *const few_lists[] = { few };
    struct series ours = { .n = 0 }, pool = ours, single = ours, balance = ours, reduction = ours, sums = ours,
                  in_array = ours;
    struct server server;
    ptools_array *array;
    ptools *pt;

    server_start(&server, WORKERS, NULL);
    pt = server_open(&server);
    server_whole(pt, WORKERS);
    array = ones(pt, items);
    run(pt, "p.same", few_lists, 1, 0, items / SINGLE, true);
    reduce_array(pt, array, items);
    for (unsigned r = 0; r < rounds; r++) {
        double sum_rate, python_rate = python(items, &sum_rate);

        series_add(&ours, (double)items / run(pt, "p.same", lists, 1, 0, items, true));
        series_add(&single, run(pt, "p.same", few_lists, 1, 1, items / SINGLE, true) / (double)(items / SINGLE) * 1e6);
        series_add(&balance, uneven(pt));
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
    ptools_close(pt);
    server_stop(&server);
}
END_TEST

int main(void)
{
    return program_run("bench_pmap", figures);
}
