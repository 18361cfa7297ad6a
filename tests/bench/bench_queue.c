/* SPDX-License-Identifier: MIT */
/*
 * bench_queue -- what queued tasks cost: to submit one and many, durable and not, beside a loop of SQLite alone
 * (store.h) and the peers (peer.h); and what a long queue costs: memory, submitting and dispatching, restarting,
 * new priorities for all.
 *
 * ROUNDS (5), PHASE_MS (200), QUEUE_TASKS (1000000: the long queue) and RESTART_TASKS (100000) in the environment.
 * Submitted tasks are on hold, as what is put into a peer is never taken out: what is measured is the keeping. All
 * subjects run one after the other in each round, each with a server of its own in a fresh directory. What takes long
 * is done once.
 */
#include <check.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <ptools/queue.h>

#include "tests/bench/peer.h"
#include "tests/bench/phase.h"
#include "tests/bench/program.h"
#include "tests/bench/report.h"
#include "tests/bench/store.h"
#include "tests/integration/server.h"

enum { MANY = 64, WAIT_MS = 60000, LATE_WORKERS = 4, SHORT_QUEUE = 1000, PRIORITIES = 100000, ARGS_BYTES_MORE = 3 };

/* -- submitting -------------------------------------------------------------------------------------------- */

/* A daemon with room for all that is queued here, and its journal. */
struct keeper {
    struct server server;
    char state[64];
    ptools_durability durability;
    const char *function; /* of what is submitted ... */
    ptools_pack *args;    /* ... a record, or what is put there instead */
    uint32_t flags;
    uint64_t tasks; /* how many, for those that are not measured by time */
};

static const char record[PEER_RECORD_BYTES];

static void keeper_args(const struct keeper *k, const char **args)
{
    args[0] = "--state-dir";
    args[1] = k->state;
    args[2] = "-o";
    args[3] = "queue.user_queued_max=10000000";
    args[4] = "-o";
    args[5] = "queue.user_queue_bytes_max=16G";
    args[6] = "-o";
    args[7] = "daemon.journal=yes";
    args[8] = NULL;
}

static void keeper_start(struct keeper *k, unsigned workers, ptools_durability durability)
{
    const char *args[9];

    temp_dir(k->state, sizeof k->state);
    k->durability = durability;
    k->function = "t.nop";
    k->args = ptools_pack_new();
    ptools_pack_bytes(k->args, record, sizeof record);
    k->flags = PTOOLS_TASK_HOLD;
    keeper_args(k, args);
    server_start(&k->server, workers, args);
}

static void keeper_end(struct keeper *k)
{
    k->args = ptools_pack_free(k->args);
    temp_remove(k->state);
}

static void keeper_stop(struct keeper *k)
{
    server_stop(&k->server);
    keeper_end(k);
}

/* Without running what waits. The next one may start in the same place. */
static void keeper_kill(struct keeper *k)
{
    ck_assert_int_eq(kill(k->server.pid, SIGKILL), 0);
    ck_assert_int_eq(waitpid(k->server.pid, NULL, 0), k->server.pid);
    close(k->server.pidfd);
}

static void keeper_kill_and_end(struct keeper *k)
{
    keeper_kill(k);
    temp_remove(k->server.dir);
    unlink(k->server.log);
    keeper_end(k);
}

struct stream { /* of submissions, so many without an answer */
    ptools *pt;
    ptools_worker_task task;
    unsigned in_flight, answered; /* answered since the last look */
    uint64_t left;                /* still to be submitted */
};

static void stream_more(struct stream *s);

static void on_accepted(ptools_future *f, void *arg)
{
    struct stream *s = arg;

    must(s->pt, ptools_future_fetch(f, 0, NULL));
    ptools_future_free(f);
    s->in_flight--;
    s->answered++;
    stream_more(s);
}

static void stream_more(struct stream *s)
{
    ptools_future *f = NULL;

    if (s->left == 0)
        return;
    s->left--;
    must(s->pt, ptools_queue_worker_task_start(s->pt, &s->task, &f));
    must(s->pt, ptools_future_then(f, on_accepted, s));
    s->in_flight++;
}

static void stream_start(struct stream *s, struct keeper *k, unsigned outstanding)
{
    *s = (struct stream){ .pt = server_open(&k->server), .task = PTOOLS_WORKER_TASK_INIT, .left = k->tasks };
    s->task.function = k->function;
    s->task.args = k->args;
    s->task.durability = k->durability;
    s->task.flags = k->flags;
    must(s->pt, ptools_cork(s->pt));
    while (s->in_flight < outstanding && s->left > 0)
        stream_more(s);
    must(s->pt, ptools_uncork(s->pt));
}

static void submit_for_a_time(struct meter *m, void *arg)
{
    struct keeper *k = arg;
    struct stream s;

    k->tasks = m->load.outstanding == 1 ? 0 : UINT64_MAX;
    stream_start(&s, k, m->load.outstanding);
    if (m->load.outstanding == 1) {
        do
            must(s.pt, ptools_queue_worker_task(s.pt, &s.task, NULL));
        while (meter_tick(m, 1));
    } else {
        do {
            s.answered = 0;
            must(s.pt, ptools_dispatch(s.pt, WAIT_MS));
        } while (meter_tick(m, s.answered));
    }
    ptools_close(s.pt);
}

/* All of k->tasks; those that are accepted are what counts. */
static void submit_all(struct keeper *k)
{
    struct stream s;

    stream_start(&s, k, 4 * MANY);
    while (s.in_flight > 0)
        must(s.pt, ptools_dispatch(s.pt, WAIT_MS));
    ptools_close(s.pt);
}

static const struct peer *const on_disk[] = { &peer_beanstalkd_sync, &peer_redis_aof };
static const struct peer *const in_memory[] = { &peer_beanstalkd, &peer_redis_push };

enum subject { PTOOLS, STORE, FIRST_PEER, SUBJECTS = FIRST_PEER + REPORT_PEERS_MAX };
static const struct {
    const char *title;
    ptools_durability durability;
    unsigned outstanding;
    const char *sync;                /* of the floor; NULL: there is none */
    const struct peer *const *peers; /* two of them; NULL: none */
    double ratio_at_least, ours_at_least, times_peer;
} rates[] = {
    { "submit durable, 1 outstanding", PTOOLS_DURABLE, 1, "FULL", on_disk, .ratio_at_least = 0.7 },
    { "submit durable, 64 outstanding", PTOOLS_DURABLE, MANY, "FULL", on_disk, .ours_at_least = 50e3,
      .times_peer = 10 },
    { "submit crashsafe, 1 outstanding", PTOOLS_CRASHSAFE, 1, "NORMAL" },
    { "submit crashsafe, 64 outstanding", PTOOLS_CRASHSAFE, MANY, "NORMAL" },
    { "submit volatile, 1 outstanding", PTOOLS_VOLATILE, 1, NULL, in_memory, .ours_at_least = 12e3 },
    { "submit volatile, 64 outstanding", PTOOLS_VOLATILE, MANY, NULL, in_memory, .ours_at_least = 150e3 },
};
enum { RATES = sizeof rates / sizeof rates[0] };
static struct series rate[RATES][SUBJECTS];

static void rate_round(size_t i, unsigned ms)
{
    const struct load load = { .outstanding = rates[i].outstanding, .ms = ms };
    struct keeper k;
    struct figures f;

    keeper_start(&k, 1, rates[i].durability);
    phase_run(&load, &k.server.pid, 1, submit_for_a_time, &k, &f);
    keeper_stop(&k);
    series_add(&rate[i][PTOOLS], f.per_second);
    if (rates[i].sync) {
        store_run(rates[i].sync, &load, &f);
        series_add(&rate[i][STORE], f.per_second);
    }
    for (size_t p = 0; rates[i].peers && p < REPORT_PEERS_MAX; p++) {
        pid_t server;

        if (rates[i].peers[p]->missing)
            continue;
        server = rates[i].peers[p]->start();
        peer_run(rates[i].peers[p], server, &load, &f);
        rates[i].peers[p]->stop(server);
        series_add(&rate[i][FIRST_PEER + p], f.per_second);
    }
}

static void rate_print(size_t i)
{
    char floor[32];
    struct report_line line = {
        .title = rates[i].title,
        .unit = UNIT_PER_SECOND,
        .ours = &rate[i][PTOOLS],
        .floor = rates[i].sync ? &rate[i][STORE] : NULL,
        .floor_name = floor,
        .ratio_at_least = rates[i].ratio_at_least,
        .ours_at_least = rates[i].ours_at_least,
        .times_peer = rates[i].times_peer,
    };

    snprintf(floor, sizeof floor, "SQLite %s", rates[i].sync ? rates[i].sync : "");
    for (size_t p = 0; rates[i].peers && p < REPORT_PEERS_MAX; p++)
        line.peers[p] =
            (struct report_peer){ rates[i].peers[p]->name, rates[i].peers[p]->missing, &rate[i][FIRST_PEER + p] };
    report_print(&line);
}

/* -- plain calls beside it --------------------------------------------------------------------------------- */

static void call_nop(struct meter *m, void *arg)
{
    struct keeper *k = arg;
    ptools *pt = server_open(&k->server);

    do
        must(pt, ptools_remotecall_fetch(pt, NULL, "t.nop", NULL, NULL, WAIT_MS, NULL, NULL));
    while (meter_tick(m, 1));
    ptools_close(pt);
}

/* Without and with a stream of durable submissions. */
static void calls_round(unsigned ms, struct series *ret_alone, struct series *ret_beside)
{
    const struct load load = { .outstanding = 1, .ms = ms };
    struct keeper k;
    struct figures f;
    pid_t other;

    keeper_start(&k, 1, PTOOLS_DURABLE);
    phase_run(&load, &k.server.pid, 1, call_nop, &k, &f);
    series_add(ret_alone, f.p50_us);
    other = phase_fork();
    if (other == 0) {
        struct stream s;

        k.tasks = UINT64_MAX;
        for (stream_start(&s, &k, MANY);;)
            must(s.pt, ptools_dispatch(s.pt, WAIT_MS));
    }
    phase_run(&load, &k.server.pid, 1, call_nop, &k, &f);
    series_add(ret_beside, f.p50_us);
    phase_kill(other);
    keeper_stop(&k);
}

/* -- a long queue ------------------------------------------------------------------------------------------ */

struct runner { /* submits tasks that run at once, before all others; each that ends is followed by another */
    struct keeper *keeper;
    const char *fifo; /* what holds the worker up until the first are queued */
    ptools *pt;
    unsigned in_flight, ended;
    bool on;
};

static void runner_more(struct runner *r);

static void on_ended(uint64_t task, ptools_future *f, void *arg)
{
    struct runner *r = arg;

    (void)task;
    must(r->pt, ptools_future_fetch(f, 0, NULL));
    r->in_flight--;
    r->ended++;
    if (r->on)
        runner_more(r);
}

static void on_queued(ptools_future *f, void *arg)
{
    must(((struct runner *)arg)->pt, ptools_future_fetch(f, 0, NULL));
    ptools_future_free(f);
}

static void runner_more(struct runner *r)
{
    ptools_worker_task task = PTOOLS_WORKER_TASK_INIT;
    ptools_future *accepted = NULL;

    task.function = "t.nop";
    task.priority = 0;
    task.callback = on_ended;
    task.arg = r;
    must(r->pt, ptools_queue_worker_task_start(r->pt, &task, &accepted));
    must(r->pt, ptools_future_then(accepted, on_queued, r)); /* its end is what counts */
    r->in_flight++;
}

static void run_tasks(struct meter *m, void *arg)
{
    struct runner *r = arg;
    int fd;

    r->pt = server_open(&r->keeper->server);
    r->on = true;
    for (unsigned i = 0; i < m->load.outstanding; i++)
        runner_more(r);
    fd = open(r->fifo, O_WRONLY | O_CLOEXEC);
    phase_assert(fd >= 0);
    close(fd);
    while (r->in_flight > 0) {
        r->ended = 0;
        must(r->pt, ptools_dispatch(r->pt, WAIT_MS));
        r->on = r->on && meter_tick(m, r->ended);
    }
    ptools_close(r->pt);
}

static double resident_bytes(pid_t pid)
{
    unsigned long long kb = 0;
    char path[32], line[128];
    FILE *f;

    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    f = fopen(path, "re");
    ck_assert_ptr_nonnull(f);
    while (fgets(line, sizeof line, f) && sscanf(line, "VmRSS: %llu kB", &kb) != 1)
        continue;
    fclose(f);
    return (double)kb * 1024;
}

/* n tasks wait for the one worker, and others overtake them. */
static void long_queue(uint64_t n, unsigned ms, struct series *ret_rate, struct series *ret_bytes)
{
    const struct load load = { .outstanding = MANY, .ms = ms };
    struct runner r = { 0 };
    PTOOLS_AUTO(ptools_pack) args = ptools_pack_new();
    PTOOLS_AUTO(ptools_future) busy = NULL;
    char fifo[96];
    struct keeper k;
    struct figures f;
    double before;
    ptools *pt;

    keeper_start(&k, 1, PTOOLS_VOLATILE);
    snprintf(fifo, sizeof fifo, "%s.fifo", k.state);
    ck_assert_int_eq(mkfifo(fifo, 0600), 0);
    pt = server_open(&k.server);
    server_knows_t(pt, 1);
    ptools_pack_str(args, fifo);
    must(pt, ptools_remotecall(pt, NULL, "t.fifo", args, NULL, &busy));
    before = resident_bytes(k.server.pid);
    k.flags = 0;
    k.tasks = n;
    submit_all(&k);
    if (ret_bytes)
        series_add(ret_bytes,
                   (resident_bytes(k.server.pid) - before) / (double)n - PEER_RECORD_BYTES - ARGS_BYTES_MORE);
    r.keeper = &k;
    r.fifo = fifo;
    phase_run(&load, &k.server.pid, 1, run_tasks, &r, &f);
    series_add(ret_rate, f.per_second);
    must(pt, ptools_future_fetch(busy, WAIT_MS, NULL));
    ptools_close(pt);
    unlink(fifo);
    keeper_kill_and_end(&k);
}

/* From kill -9 to ready again, with so many durable tasks. */
static void restart(uint64_t n, struct series *ret_ms)
{
    const char *args[9];
    struct keeper k;
    char dir[sizeof k.server.dir];
    uint64_t began;

    keeper_start(&k, 1, PTOOLS_DURABLE);
    k.tasks = n;
    submit_all(&k);
    memcpy(dir, k.server.dir, sizeof dir);
    keeper_kill(&k);
    keeper_args(&k, args);
    began = now_ms();
    server_start_in(&k.server, dir, 1, args);
    series_add(ret_ms, (double)(now_ms() - began));
    keeper_stop(&k);
}

static double latest_first(const char *target, const ptools_queued_info *task, double current, void *arg)
{
    (void)target;
    (void)current;
    (void)arg;
    return -(double)task->id;
}

/* New priorities for all that wait, while workers run some of them. */
static void new_priorities(struct series *ret_ms)
{
    uint64_t changed = 0, skipped = 0, began;
    struct keeper k;
    ptools *pt;

    keeper_start(&k, LATE_WORKERS, PTOOLS_VOLATILE);
    pt = server_open(&k.server);
    k.function = "q.sleep";
    ptools_pack_reset(k.args);
    ptools_pack_u64(k.args, 1);
    k.flags = 0;
    k.tasks = PRIORITIES;
    submit_all(&k);
    began = now_ms();
    must(pt, ptools_set_priorities(pt, latest_first, NULL, &changed, &skipped));
    series_add(ret_ms, (double)(now_ms() - began));
    ck_assert_uint_le(changed + skipped, PRIORITIES);
    ck_assert_uint_ge(changed, PRIORITIES / 2);
    ptools_close(pt);
    keeper_kill_and_end(&k);
}

/* -- all --------------------------------------------------------------------------------------------------- */

START_TEST(figures)
{
    unsigned rounds = program_setting("ROUNDS", 5, ROUNDS_MAX), ms = program_setting("PHASE_MS", 200, 10000);
    unsigned tasks = program_setting("QUEUE_TASKS", 1000000, 5000000);
    unsigned durable = program_setting("RESTART_TASKS", 100000, 5000000);
    struct series alone = { .n = 0 }, beside = alone, short_rate = alone, long_rate = alone, bytes = alone,
                  ready = alone, priorities = alone;

    for (unsigned r = 0; r < rounds; r++) {
        for (size_t i = 0; i < RATES; i++)
            rate_round(i, ms);
        calls_round(ms, &alone, &beside);
        restart(durable, &ready);
        new_priorities(&priorities);
    }
    long_queue(SHORT_QUEUE, ms, &short_rate, NULL);
    long_queue(tasks, ms, &long_rate, &bytes);
    for (size_t i = 0; i < RATES; i++)
        rate_print(i);
    report_print(&(struct report_line){ .title = "call p50 while durable tasks are submitted",
                                        .unit = UNIT_US,
                                        .ours = &beside,
                                        .floor = &alone,
                                        .floor_name = "alone",
                                        .ratio_at_most = 1.5 });
    report_print(&(struct report_line){ .title = "submit and run, 64 outstanding, a long queue behind them",
                                        .unit = UNIT_PER_SECOND,
                                        .ours = &long_rate,
                                        .floor = &short_rate,
                                        .floor_name = "a short one",
                                        .ratio_at_least = 1 / 1.5 });
    report_print(&(struct report_line){ .title = "memory of a waiting task beside its arguments",
                                        .unit = UNIT_BYTES,
                                        .ours = &bytes,
                                        .ours_at_most = 400 });
    report_print(&(struct report_line){
        .title = "restart with durable tasks", .unit = UNIT_MS, .ours = &ready, .ours_at_most = 2000 });
    report_print(&(struct report_line){ .title = "new priorities for 100,000 while 4 workers run",
                                        .unit = UNIT_MS,
                                        .ours = &priorities,
                                        .ours_at_most = 300 });
}
END_TEST

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    return program_run("bench_queue", figures);
}
