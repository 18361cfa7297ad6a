/* SPDX-License-Identifier: MIT */
/*
 * A million calls on one worker, first free, while workers are killed at random: each is answered
 * exactly once, with its own value or with WORKER_DIED; none is lost, none comes twice, and only the
 * tasks that had begun when a worker was killed fail. PTOOLS_TEST_CALLS and PTOOLS_TEST_SEED change the
 * number and the seed (printed when it fails).
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/integration/server.h"
#include "tests/support/suite.h"

/* A kill costs the task that runs and those whose answers wait to be sent with its own. */
enum { WINDOW = 256, CALLS_A_KILL = 5000, BEGUN_MAX = 64 };

struct call {
    uint64_t index;
    unsigned *answers; /* how often each index was answered */
    uint64_t *ok, *died;
    uint64_t *in_flight;
};

static void on_done(ptools_future *f, void *arg)
{
    struct call *call = arg;
    ptools_value list, v;
    ptools_err err = ptools_future_fetch(f, 0, &list);
    uint64_t index = 0;

    call->answers[call->index]++;
    --*call->in_flight;
    if (err == PTOOLS_OK) {
        ck_assert_ptools(ptools_get_item(list, 0, &v));
        ck_assert_ptools(ptools_get_u64(v, &index));
        ck_assert_msg(index == call->index, "call %llu got the value of call %llu", (unsigned long long)call->index,
                      (unsigned long long)index);
        ++*call->ok;
    } else {
        ck_assert_err(err, PTOOLS_ERR_WORKER_DIED);
        ck_assert(ptools_future_failure(f)->maybe_executed);
        ck_assert_uint_eq(ptools_future_failure(f)->attempt, 1);
        ++*call->died;
    }
    free(call);
    ptools_future_free(f);
}

static void kill_the_worker(ptools *pt)
{
    ptools_worker_info *infos = NULL;
    size_t n = 0;

    ck_assert_ptools(ptools_workers(pt, &infos, &n));
    ck_assert_uint_eq(n, 1);
    if (infos[0].pid > 0)
        kill(infos[0].pid, SIGKILL);
    free(infos);
}

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
    const char *value = getenv(name);

    return value ? strtoull(value, NULL, 10) : otherwise;
}

START_TEST(each_answered_exactly_once)
{
    const uint64_t calls = from_environment("PTOOLS_TEST_CALLS", 1000000);
    unsigned seed = (unsigned)from_environment("PTOOLS_TEST_SEED", 20), kills = 0;
    const uint32_t ids[] = { 1 };
    PTOOLS_AUTO(ptools_pack) args = ptools_pack_new();
    PTOOLS_AUTO(ptools_workerset) set = NULL;
    uint64_t sent = 0, ok = 0, died = 0, in_flight = 0, next_kill = 1000;
    unsigned *answers = calloc(calls, sizeof *answers);
    struct server server;
    ptools *pt;

    server_start(&server, 1, NULL);
    pt = server_open(&server);
    ck_assert_ptools(ptools_workerset_create(pt, NULL, ids, 1, PTOOLS_WS_FF, &set));
    while (ok + died < calls) {
        ptools_err err;

        ck_assert_ptools(ptools_cork(pt));
        while (sent < calls && in_flight < WINDOW) {
            struct call *call = malloc(sizeof *call);
            ptools_future *f = NULL;

            *call = (struct call){ sent, answers, &ok, &died, &in_flight };
            ptools_pack_reset(args);
            ptools_pack_u64(args, sent);
            ck_assert_ptools(ptools_remotecall(pt, set, "t.echo", args, NULL, &f));
            ck_assert_ptools(ptools_future_then(f, on_done, call));
            in_flight++;
            sent++;
        }
        ck_assert_ptools(ptools_uncork(pt));
        err = ptools_dispatch(pt, 30000);
        ck_assert_msg(err == PTOOLS_OK, "dispatch: %s after %llu answers (seed %u)", ptools_errname(err),
                      (unsigned long long)(ok + died), seed);
        if (ok + died >= next_kill) {
            kill_the_worker(pt);
            kills++;
            next_kill += (uint64_t)rand_r(&seed) % (2 * CALLS_A_KILL) + 1;
        }
    }
    for (uint64_t i = 0; i < calls; i++)
        ck_assert_msg(answers[i] == 1, "call %llu was answered %u times", (unsigned long long)i, answers[i]);
    ck_assert_uint_eq(ok + died, calls);
    ck_assert_uint_le(died, (uint64_t)kills * BEGUN_MAX);
    ck_assert_err(ptools_dispatch(pt, 0), PTOOLS_ERR_AGAIN);
    fprintf(stderr, "# %llu calls, %u kills: %llu values, %llu died\n", (unsigned long long)calls, kills,
            (unsigned long long)ok, (unsigned long long)died);
    set = ptools_workerset_free(set);
    server_whole(pt, 1);
    server_clean(&server, 1);
    ptools_close(pt);
    server_stop(&server);
    free(answers);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("million");
    TCase *tc = suite_case(suite, "million");

    tcase_set_timeout(tc, 600);
    tcase_add_test(tc, each_answered_exactly_once);
    return suite_run(suite);
}
