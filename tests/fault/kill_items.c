/* SPDX-License-Identifier: MIT */
/*
 * Very many items in one pmap, of which one of a hundred fails, some never end and are stopped, and some die because
 * their worker is killed with -9 at a random moment. Afterwards there is one record an item, in order, and each is
 * right: a value, a failure of its own words, a timeout of one that never ends, or a death, of which there are no more
 * than kills. And what client, daemon and workers hold of memory has not grown since the first tenth.
 *
 * FAULT_ITEMS (10000000), FAULT_KILLS (200) and FAULT_HANGS (20) in the environment ask for another size than the short
 * one. The same items are hit in each run, as far as the program decides it.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ptools/pmap.h>

#include "tests/bench/program.h"
#include "tests/fault/client.h"
#include "tests/integration/memory_use.h"
#include "tests/support/suite.h"

enum {
    ITEMS = 300000,
    KILLS = 12,
    HANGS = 4, /* the short form */
    WORKERS = 4,
    ITEM_MS = 1000,
    WAIT_MS = 60000,
    AHEAD = 1000, /* items before a kill its victim is chosen: while this client asks, workers run dry */
    FLAT_KB = 16 << 10
};

static struct server server;
static ptools *pt;

struct plan_items {
    uint64_t n, next; /* that the source has given */
    uint64_t hang_every;
};

static int give(ptools_pack *args, void *arg)
{
    struct plan_items *plan = arg;

    if (plan->next == plan->n)
        return 0;
    ptools_pack_u64(args, plan->next++);
    return 1;
}

/* A random worker that has a process. Those whose item never ends are mostly let be: they would be hit again and again,
 * and no timeout were left. */
static pid_t choose(void)
{
    ptools_worker_info *workers = NULL;
    const unsigned first = pick(WORKERS);
    const bool any = pick(8) == 0;
    pid_t victim = 0;

    while (victim == 0) {
        size_t n = 0;

        ck_assert_ptools(ptools_workers(pt, &workers, &n));
        for (unsigned i = 0; i < n && victim == 0; i++)
            if (any || !*workers[(first + i) % n].phase)
                victim = (pid_t)workers[(first + i) % n].pid;
        free(workers);
    }
    return victim;
}

struct sums {
    uint64_t values, failed, timed_out, died;
};

static void check(const struct plan_items *plan, uint64_t i, const ptools_item *item, struct sums *sums)
{
    const bool hangs = i % plan->hang_every == plan->hang_every / 2, fails = i % 100 == 17 && !hangs;
    const ptools_failure *f = item->failure;
    char words[48];
    int64_t v = -1;

    suite_holds(item->index == i, "record %" PRIu64 " is of item %" PRIu64, i, item->index);
    suite_holds(item->attempts == 1, "item %" PRIu64 " was begun %u times: %s: %s", i, item->attempts,
                ptools_errname(item->err), f ? f->message : "");
    if (item->err == PTOOLS_ERR_WORKER_DIED) {
        suite_holds(f->signal == SIGKILL && f->maybe_executed, "item %" PRIu64 " died by signal %d", i, f->signal);
        sums->died++;
    } else if (hangs) {
        suite_holds(item->err == PTOOLS_ERR_DEADLINE, "item %" PRIu64 " never ends, and: %s", i, ptools_errname(item->err));
        sums->timed_out++;
    } else if (fails) {
        snprintf(words, sizeof words, "no good: %" PRIu64, i);
        suite_holds(item->err == PTOOLS_ERR_FAILED && strcmp(f->message, words) == 0, "item %" PRIu64 ": %s: %s", i,
              ptools_errname(item->err), f ? f->message : "");
        sums->failed++;
    } else {
        suite_holds(item->err == PTOOLS_OK && !f && ptools_get_i64(item->value, &v) == PTOOLS_OK && v == (int64_t)(3 * i),
              "item %" PRIu64 ": %s %s, %" PRId64, i, ptools_errname(item->err), f ? f->message : "", v);
        sums->values++;
    }
}

START_TEST(kill_items)
{
    const unsigned kills = program_setting("FAULT_KILLS", KILLS, 100000),
                   hangs = program_setting("FAULT_HANGS", HANGS, 100000);
    PTOOLS_AUTO(ptools_pack) captured = ptools_pack_new();
    ptools_pmap_options options = PTOOLS_PMAP_OPTIONS_INIT;
    struct plan_items plan = { .n = program_setting("FAULT_ITEMS", ITEMS, 2000000000) };
    const uint64_t every = plan.n / kills; /* the k-th kill is somewhere in the k-th such part */
    struct memory_use early, late;
    struct sums sums = { 0 };
    ptools_pmap *map = NULL;
    uint64_t next_kill, began;
    unsigned killed = 0;
    pid_t victim = 0;
    ptools_item item;

    plan.hang_every = plan.n / hangs;
    ck_assert_msg(every > AHEAD && plan.hang_every >= 2, "more kills or hangs than items");
    server_start(&server, WORKERS, NULL);
    pt = server_open(&server);
    server_whole(pt, WORKERS);
    ptools_pack_u64(captured, plan.hang_every);
    options.captured = captured;
    options.item_timeout_ms = ITEM_MS;
    options.window_bytes = 8 << 20;
    began = now_ms();
    ck_assert_ptools(ptools_pmap_start_from(pt, "i.fate", give, &plan, &options, &map));
    next_kill = AHEAD + pick((unsigned)every - AHEAD);
    for (uint64_t i = 0; i < plan.n; i++) {
        if (killed < kills && i + AHEAD == next_kill)
            victim = choose();
        if (killed < kills && i == next_kill) {
            const bool hit = kill(victim, SIGKILL) == 0; /* else it was stopped meanwhile */

            killed += hit;
            next_kill = hit ? killed * every + AHEAD + pick((unsigned)every - AHEAD) : i + AHEAD + 1;
        }
        if (i == plan.n / 10)
            memory_look(&server, pt, &early);
        must(pt, ptools_pmap_next(map, WAIT_MS, &item));
        check(&plan, i, &item, &sums);
    }
    memory_look(&server, pt, &late);
    ck_assert_err(ptools_pmap_next(map, WAIT_MS, &item), PTOOLS_ERR_RANGE);
    ptools_pmap_free(map);
    printf("# %" PRIu64 " items in %" PRIu64 " ms: %" PRIu64 " values, %" PRIu64 " failed, %" PRIu64
           " timed out, %" PRIu64 " died of %u kills\n",
           plan.n, now_ms() - began, sums.values, sums.failed, sums.timed_out, sums.died, killed);
    ck_assert_uint_eq(sums.values + sums.failed + sums.timed_out + sums.died, plan.n);
    ck_assert_uint_eq(killed, kills);
    ck_assert_uint_gt(sums.died, 0); /* or nobody was hit in the midst of one */
    ck_assert_uint_le(sums.died, kills);
    ck_assert_uint_le(sums.timed_out, hangs);
    ck_assert_uint_ge(sums.timed_out + sums.died, hangs);
    memory_assert_flat(&early, &late, FLAT_KB);
    server_whole(pt, WORKERS);
    pt = ptools_close(pt);
    server_clean(&server, 0);
    server_stop(&server);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("kill-items");
    TCase *tc = suite_case(suite, "fault");

    tcase_set_timeout(tc, 900);
    tcase_add_test(tc, kill_items);
    return suite_run(suite);
}
