/* SPDX-License-Identifier: MIT */
/*
 * Random events, against the naive model of model.c. Each event is compared at once; one in three comes without the
 * end of a turn behind it, as if several had arrived together. A run is told by its seed, which is printed:
 *
 *     PTOOLS_MODEL_SEED=1234 PTOOLS_MODEL_EVENTS=1000000 test_model
 */
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "tests/support/suite.h"
#include "tests/unit/core/model.h"

enum { EVENTS = 100000, ROUND = 2000, WORKERS = 4 };

static struct m_worker *some_worker(struct model *m)
{
    return m->n_workers ? &m->workers[model_random(m, m->n_workers)] : NULL;
}

static void event(struct model *m)
{
    uint64_t dice = model_random(m, 1000);
    struct m_worker *w = some_worker(m);

    if (dice < 300) {
        model_submit(m);
    } else if (dice < 560) {
        if (w)
            model_worker_step(m, w);
    } else if (dice < 800) {
        if (w)
            model_worker_tells(m, w);
    } else if (dice < 815) {
        if (w)
            model_worker_dies(m, w);
    } else if (dice < 840) {
        model_cancel(m);
    } else if (dice < 930) {
        model_time(m, model_random(m, 400));
    } else if (dice < 940) {
        model_time(m, model_random(m, 8000));
    } else if (dice < 955) {
        model_module_report(m);
    } else if (dice < 965) {
        model_set_create(m);
    } else if (dice < 973) {
        model_set_change(m);
    } else if (dice < 978) {
        model_set_destroy(m);
    } else if (dice < 984) {
        model_workers_add(m);
    } else if (dice < 990) {
        model_workers_remove(m);
    } else if (dice < 995) {
        model_client_add(m, 1000 + (uint32_t)model_random(m, 2));
    } else if (m->n_clients > 1) {
        model_client_gone(m, (size_t)model_random(m, m->n_clients));
    }
}

static void round_of(uint64_t seed, uint64_t events, struct model *m)
{
    model_start(m, seed, WORKERS);
    model_client_add(m, 1000);
    model_client_add(m, 1001);
    for (uint64_t i = 0; i < events; i++) {
        event(m);
        if (model_random(m, 3))
            model_turn(m);
    }
    if (model_random(m, 2))
        model_drain(m, model_random(m, 2) == 0);
    model_end(m);
}

/* Rounds, for a pool that starts anew is seen more often that way, and so is its end. */
static void run(uint64_t seed, uint64_t events)
{
    static struct model m;
    uint64_t sum[9] = { 0 };

    printf("# seed %" PRIu64 ", %" PRIu64 " events\n", seed, events);
    fflush(stdout);
    for (uint64_t i = 0; i < events; i += ROUND) {
        const uint64_t *counted[] = { &m.submitted,  &m.done,     &m.failed, &m.cancelled, &m.ahead,
                                      &m.taken_back, &m.too_late, &m.killed, &m.recycled };

        round_of(seed + i, ROUND, &m);
        for (size_t k = 0; k < 9; k++)
            sum[k] += *counted[k];
    }
    printf("# submitted %" PRIu64 ", done %" PRIu64 ", failed %" PRIu64 ", cancelled %" PRIu64 ", given ahead %" PRIu64
           ", taken back %" PRIu64 ", too late %" PRIu64 ", killed %" PRIu64 ", recycled %" PRIu64 "\n",
           sum[0], sum[1], sum[2], sum[3], sum[4], sum[5], sum[6], sum[7], sum[8]);
    for (size_t k = 0; k < 9; k++) /* a run that never came by says nothing */
        ck_assert_msg(sum[k] > 0 || events < EVENTS, "counter %zu", k);
}

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);

    return text ? strtoull(text, NULL, 10) : otherwise;
}

START_TEST(fixed_seed)
{
    run(from_environment("PTOOLS_MODEL_SEED", 1), from_environment("PTOOLS_MODEL_EVENTS", EVENTS));
}
END_TEST

START_TEST(random_seed)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    run((uint64_t)t.tv_sec * 1000000007 + (uint64_t)t.tv_nsec, EVENTS);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core model");
    TCase *tc = suite_case(suite, "events");

    tcase_set_timeout(tc, 600);
    tcase_add_test(tc, fixed_seed);
    if (!getenv("PTOOLS_MODEL_SEED"))
        tcase_add_test(tc, random_seed);
    return suite_run(suite);
}
