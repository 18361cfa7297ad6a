/* SPDX-License-Identifier: MIT */
/*
 * bench_call -- what a call of a function that does nothing costs through the public API, beside the floor
 * (floor.h) and the peers (peer.h).
 *
 *     bench_call                      all figures, one line each; ROUNDS (5) and PHASE_MS (200) in the environment
 *     bench_call --one MS SUBJECT     one client, one call outstanding, for so long; prints the number of calls
 *                                     (syscalls.sh runs this under strace). SUBJECT: floor, ptools
 *
 * All subjects run one after the other in each round, so that a slow minute hits all alike. Every phase has
 * processes of its own, of the floor as of ptools, so that neither keeps a lucky or unlucky place on the
 * processors from round to round; only the peers' servers live as long as the benchmark. A figure that misses its
 * target is not a failure: only an error is.
 *
 * The benchmark is a Check test, so that a failure anywhere in it, also in a child, is told as one.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/floor.h"
#include "tests/bench/peer.h"
#include "tests/bench/phase.h"
#include "tests/bench/program.h"
#include "tests/bench/report.h"
#include "tests/integration/server.h"

enum { BULK_OUTSTANDING = 64, WAIT_MS = 20000, WORKERS_MAX = 4 };

enum subject {
    FLOOR,
    PTOOLS,
    UNTIDY, /* ptools, a function after which the worker restores what it may have changed */
    FLOOR_ZMQ,
    PTOOLS_IPC,
    GEARMAN,
    REDIS,
    SUBJECTS
};

enum quantity { P50, ONE_CORE_P50, P99, SWITCHES, BULK_1, BULK_2, BULK_4, QUANTITIES };

static struct series data[SUBJECTS][QUANTITIES];

/* -- ptools ------------------------------------------------------------------------------------------------ */

struct ptools_client {
    struct server server;
    const char *function, *transport;
};

struct bulk {
    ptools *pt;
    const char *function;
    ptools_pack *args;
    unsigned in_flight, answered; /* answered since the last tick */
    bool on;
};

static void bulk_start(struct bulk *b);

static void on_answer(ptools_future *f, void *arg)
{
    struct bulk *b = arg;
    ptools_value value;

    must(b->pt, ptools_future_fetch(f, 0, &value));
    ptools_future_free(f);
    b->in_flight--;
    b->answered++;
    if (b->on)
        bulk_start(b);
}

static void bulk_start(struct bulk *b)
{
    ptools_future *f = NULL;

    must(b->pt, ptools_remotecall(b->pt, NULL, b->function, b->args, NULL, &f));
    must(b->pt, ptools_future_then(f, on_answer, b));
    b->in_flight++;
}

static void call_many(struct meter *m, struct bulk *b)
{
    b->on = true;
    must(b->pt, ptools_cork(b->pt));
    while (b->in_flight < m->load.outstanding)
        bulk_start(b);
    must(b->pt, ptools_uncork(b->pt));
    while (b->in_flight > 0) {
        b->answered = 0;
        must(b->pt, ptools_dispatch(b->pt, WAIT_MS));
        b->on = b->on && meter_tick(m, b->answered);
    }
}

static void ptools_calls(struct meter *m, void *arg)
{
    static const char body[PEER_BODY_BYTES];
    struct ptools_client *client = arg;
    struct bulk bulk = { .function = client->function };

    setenv("PTOOLS_TEST_TRANSPORT", client->transport, 1);
    bulk.pt = server_open(&client->server);
    bulk.args = ptools_pack_new();
    ptools_pack_bytes(bulk.args, body, sizeof body);
    if (m->load.outstanding > 1) {
        call_many(m, &bulk);
    } else {
        do
            must(bulk.pt,
                 ptools_remotecall_fetch(bulk.pt, NULL, client->function, bulk.args, NULL, WAIT_MS, NULL, NULL));
        while (meter_tick(m, 1));
    }
    ptools_pack_free(bulk.args);
    ptools_close(bulk.pt);
}

/* Of the daemon and its workers. */
static size_t processes(struct server *server, unsigned workers, pid_t *ret)
{
    ptools *pt = server_open(server);
    ptools_worker_info *infos = NULL;
    size_t n = 0;

    server_whole(pt, workers);
    ck_assert_ptools(ptools_workers(pt, &infos, &n));
    ck_assert_uint_le(n, WORKERS_MAX);
    ret[0] = server->pid;
    for (size_t i = 0; i < n; i++)
        ret[1 + i] = infos[i].pid;
    free(infos);
    ptools_close(pt);
    return 1 + n;
}

static void ptools_run(enum subject subject, const struct load *load, struct figures *ret)
{
    struct ptools_client client = { .function = "t.nop", .transport = "unix" };
    pid_t pids[1 + WORKERS_MAX];
    size_t n;

    if (subject == UNTIDY)
        client.function = "t.echo";
    if (subject == PTOOLS_IPC)
        client.transport = "ipc";
    server_start(&client.server, load->workers, NULL);
    n = processes(&client.server, load->workers, pids);
    phase_run(load, pids, n, ptools_calls, &client, ret);
    server_stop(&client.server);
}

/* -- rounds ------------------------------------------------------------------------------------------------ */

static pid_t gearman_server, redis_server;

static void subject_run(enum subject subject, const struct load *load, struct figures *ret)
{
    switch (subject) {
    case FLOOR:
        floor_run(FLOOR_OWN_CLIENT, load, ret);
        return;
    case FLOOR_ZMQ:
        floor_run(FLOOR_ZMQ_CLIENT, load, ret);
        return;
    case GEARMAN:
        peer_run(&peer_gearman, gearman_server, load, ret);
        return;
    case REDIS:
        peer_run(&peer_redis, redis_server, load, ret);
        return;
    default:
        ptools_run(subject, load, ret);
    }
}

static bool takes_part(enum subject subject)
{
    return !(subject == GEARMAN && peer_gearman.missing) && !(subject == REDIS && peer_redis.missing);
}

static void one_round(unsigned ms)
{
    static const struct {
        enum quantity quantity;
        unsigned workers;
    } bulks[] = { { BULK_1, 1 }, { BULK_2, 2 }, { BULK_4, 4 } };
    struct figures f;

    for (enum subject s = 0; s < SUBJECTS; s++) {
        if (!takes_part(s))
            continue;
        subject_run(s, &(struct load){ .outstanding = 1, .workers = 1, .ms = ms }, &f);
        series_add(&data[s][P50], f.p50_us);
        series_add(&data[s][P99], f.p99_us);
        series_add(&data[s][SWITCHES], f.switches);
        subject_run(s, &(struct load){ .outstanding = 1, .workers = 1, .ms = ms, .one_core = true }, &f);
        series_add(&data[s][ONE_CORE_P50], f.p50_us);
    }
    for (size_t i = 0; i < sizeof bulks / sizeof bulks[0]; i++) {
        for (enum subject s = 0; s < SUBJECTS; s++) {
            if (!takes_part(s) || s == UNTIDY)
                continue;
            subject_run(s, &(struct load){ .outstanding = BULK_OUTSTANDING, .workers = bulks[i].workers, .ms = ms },
                        &f);
            series_add(&data[s][bulks[i].quantity], f.per_second);
        }
    }
}

/* -- lines ------------------------------------------------------------------------------------------------- */

static void print_all(void)
{
    static const struct {
        const char *title;
        enum report_unit unit;
        enum subject ours, floor;
        enum quantity quantity;
        bool peers;
        double ratio_at_most, ratio_at_least, ours_at_most;
        bool below_peers;
    } rows[] = {
        /* clang-format off */
        { "call p50, 1 outstanding, unix", UNIT_US, PTOOLS, FLOOR, P50, true, .ratio_at_most = 1.30, .below_peers = true },
        { "call p99, 1 outstanding, unix", UNIT_US, PTOOLS, FLOOR, P99, true, .ratio_at_most = 2.00 },
        { "call p50, all on one core, unix", UNIT_US, PTOOLS, FLOOR, ONE_CORE_P50, true },
        { "context switches a call, unix", UNIT_COUNT, PTOOLS, FLOOR, SWITCHES, false, .ours_at_most = 5 },
        { "call p50, all on one core, unix, not tidy", UNIT_US, UNTIDY, FLOOR, ONE_CORE_P50, false },
        { "calls, 64 outstanding, 1 worker, unix", UNIT_PER_SECOND, PTOOLS, FLOOR, BULK_1, true, .ratio_at_least = 0.22 },
        { "calls, 64 outstanding, 2 workers, unix", UNIT_PER_SECOND, PTOOLS, FLOOR, BULK_2, true, .ratio_at_least = 0.50 },
        { "calls, 64 outstanding, 4 workers, unix", UNIT_PER_SECOND, PTOOLS, FLOOR, BULK_4, true },
        { "call p50, 1 outstanding, ipc", UNIT_US, PTOOLS_IPC, FLOOR_ZMQ, P50, true, .ratio_at_most = 1.25 },
        { "call p99, 1 outstanding, ipc", UNIT_US, PTOOLS_IPC, FLOOR_ZMQ, P99, false },
        { "call p50, all on one core, ipc", UNIT_US, PTOOLS_IPC, FLOOR_ZMQ, ONE_CORE_P50, true },
        { "context switches a call, ipc", UNIT_COUNT, PTOOLS_IPC, FLOOR_ZMQ, SWITCHES, false },
        { "calls, 64 outstanding, 1 worker, ipc", UNIT_PER_SECOND, PTOOLS_IPC, FLOOR_ZMQ, BULK_1, false },
        { "calls, 64 outstanding, 2 workers, ipc", UNIT_PER_SECOND, PTOOLS_IPC, FLOOR_ZMQ, BULK_2, false },
        { "calls, 64 outstanding, 4 workers, ipc", UNIT_PER_SECOND, PTOOLS_IPC, FLOOR_ZMQ, BULK_4, false },
        /* clang-format on */
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        enum quantity q = rows[i].quantity;
        struct report_line line = {
            .title = rows[i].title,
            .unit = rows[i].unit,
            .ours = &data[rows[i].ours][q],
            .floor = &data[rows[i].floor][q],
            .ratio_at_most = rows[i].ratio_at_most,
            .ratio_at_least = rows[i].ratio_at_least,
            .ours_at_most = rows[i].ours_at_most,
            .below_peers = rows[i].below_peers,
        };

        if (rows[i].peers) {
            line.peers[0] = (struct report_peer){ peer_gearman.name, peer_gearman.missing, &data[GEARMAN][q] };
            line.peers[1] = (struct report_peer){ peer_redis.name, peer_redis.missing, &data[REDIS][q] };
        }
        report_print(&line);
    }
}

START_TEST(figures)
{
    unsigned rounds = program_setting("ROUNDS", 5, ROUNDS_MAX), ms = program_setting("PHASE_MS", 200, 10000);

    if (takes_part(GEARMAN))
        gearman_server = peer_gearman.start();
    if (takes_part(REDIS))
        redis_server = peer_redis.start();
    for (unsigned i = 0; i < rounds; i++)
        one_round(ms);
    print_all();
    if (takes_part(REDIS))
        peer_redis.stop(redis_server);
    if (takes_part(GEARMAN))
        peer_gearman.stop(gearman_server);
}
END_TEST

/* -- program ----------------------------------------------------------------------------------------------- */

static unsigned one_ms;
static enum subject one_subject;

START_TEST(one)
{
    struct figures f;

    subject_run(one_subject, &(struct load){ .outstanding = 1, .workers = 1, .ms = one_ms }, &f);
    printf("%llu\n", (unsigned long long)f.calls);
}
END_TEST

static int usage(void)
{
    fprintf(stderr, "usage: bench_call [--one MS floor|ptools]\n");
    return 2;
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc == 1)
        return program_run("bench_call", figures);
    if (argc != 4 || strcmp(argv[1], "--one") != 0)
        return usage();
    one_ms = (unsigned)atoi(argv[2]);
    if (one_ms < 1 || one_ms > 10000)
        return usage();
    if (strcmp(argv[3], "floor") != 0 && strcmp(argv[3], "ptools") != 0)
        return usage();
    one_subject = strcmp(argv[3], "floor") == 0 ? FLOOR : PTOOLS;
    return program_run("bench_call", one);
}
