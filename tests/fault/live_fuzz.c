/* SPDX-License-Identifier: MIT */
/*
 * Messages that are nearly right, to a living daemon, at both of its doors (live_peers.c, mutate.c), while an honest
 * client goes on: each of its calls, and each of its queued tasks, comes to its end with the right value. Afterwards
 * the daemon is the same process, and when what the peers have left behind is removed it has nothing more than before:
 * no client, task, array, descriptor, worker or zombie, and not more memory. It ends with 0 when it is asked to; its
 * journal can be read; no sanitizer has reported anything, of the daemon or of a worker.
 *
 *     live_fuzz [--seed N]    what they send follows from that; without, from the time
 *
 * FAULT_MESSAGES asks for so many messages (200000) instead of the short size, FUZZ_LIVE_S for so many seconds at
 * least. Times are told and not asserted, but that each answer comes: the peers take all that there is of the machine.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/bench/program.h"
#include "tests/fault/client.h"
#include "tests/fault/live_peers.h"
#include "tests/fault/mutate.h"
#include "tests/integration/memory_use.h"
#include "tests/support/suite.h"

enum {
    MESSAGES = 15000, /* the short form */
    BANDS = 2,
    EVERY_MS = 50,
    TIDY_MS = 1000,
    WAIT_MS = 60000,
    CHUNK = 1024, /* tasks in one request */
    TIMES_MAX = 1 << 20,
    MORE_KB = 16 << 10,
    STOP_MS = 10000
};

static struct server server;
static char state[64];
static uint64_t seed;
static struct live_peers *peers;

/* What peers may have is bounded as an administrator would bound it; that is part of what is tried. */
static const char *const args[] = { "--state-dir", state,
                                    "-o",          "daemon.journal=yes",
                                    "-o",          "limits.workers_max=6",
                                    "-o",          "limits.user_stasks_max=12",
                                    "-o",          "limits.stand_ins_max=2",
                                    "-o",          "limits.user_shm_max=64M",
                                    "-o",          "limits.user_arrays_max=256",
                                    NULL };

/* -- the honest client --------------------------------------------------------------------------------------- */

static ptools *open_over(const char *transport)
{
    ptools *pt;

    ck_assert_int_eq(setenv("PTOOLS_TEST_TRANSPORT", transport, 1), 0);
    pt = server_open(&server);
    unsetenv("PTOOLS_TEST_TRANSPORT");
    return pt;
}

/* One call, or queued task, and its value. */
static void ask(ptools *pt, unsigned i, bool queued)
{
    PTOOLS_AUTO(ptools_future) f = NULL;
    PTOOLS_AUTO(ptools_pack) pack = ptools_pack_new();
    ptools_worker_task task = PTOOLS_WORKER_TASK_INIT;
    char text[32];
    const char *s = "";
    ptools_value v;
    ptools_err err;
    size_t n = 0;

    snprintf(text, sizeof text, "honest %u", i);
    ptools_pack_str(pack, text);
    task.function = "q.echo";
    task.args = pack;
    task.durability = PTOOLS_CRASHSAFE;
    err = queued ? ptools_execute_worker_task(pt, &task, WAIT_MS, &f, &v)
                 : ptools_remotecall_fetch(pt, NULL, "q.echo", pack, NULL, WAIT_MS, &f, &v);
    ck_assert_msg(err == PTOOLS_OK, "seed %" PRIu64 ": %s %u gives %s: %s", seed, queued ? "task" : "call", i,
                  ptools_errname(err), ptools_error_message(pt));
    ck_assert_ptools(ptools_get_str(v, &s, &n));
    ck_assert(n == strlen(text) && memcmp(s, text, n) == 0);
}

/* Stops all queued tasks, and has those forgotten that have ended. Returns how many there were. */
static size_t tidy_tasks(ptools *pt)
{
    const ptools_queued_info *t;
    ptools_queued *list = NULL;
    uint64_t ids[CHUNK], changed;
    size_t n = 0, all;

    ck_assert_ptools(ptools_queued_list(pt, 0, NULL, 0, &list));
    all = ptools_queued_count(list);
    for (size_t i = 0; i < all; i++) {
        t = ptools_queued_at(list, i);
        ids[n++] = t->id;
        if (n < CHUNK && i + 1 < all)
            continue;
        ptools_queued_stop(pt, ids, n, 0, &changed); /* of one alone it may be an error that it has ended */
        ptools_queued_change(pt, ids, n, PTOOLS_CHANGE_FORGET, &changed);
        n = 0;
    }
    ptools_queued_free(list);
    return all;
}

/* -- what they have left behind -------------------------------------------------------------------------------- */

static const char *text_of(ptools_value map, const char *key)
{
    static char texts[2][80];
    static unsigned turn;
    char *text = texts[turn++ % 2];
    const char *s;
    ptools_value v;
    size_t n;

    ck_assert_ptools(ptools_get_field(map, key, &v));
    ck_assert_ptools(ptools_get_str(v, &s, &n));
    snprintf(text, sizeof texts[0], "%.*s", (int)n, s);
    return text;
}

static void unlink_array(ptools *pt, ptools_value array)
{
    const char *name = text_of(array, "name"), *prefix = text_of(array, "prefix");

    if (*name)
        ptools_unlink_shm_names(pt, &name, 1, prefix);
}

static void stop_stasks(ptools *pt, ptools_value stasks)
{
    ptools_stasks *handle = NULL;

    if (ptools_attach_stasks(pt, text_of(stasks, "name"), &handle) == PTOOLS_OK)
        ck_assert_ptools(ptools_stop_stasks(handle, STOP_MS));
    ptools_stasks_free(handle);
}

static void remove_worker(ptools *pt, ptools_value worker)
{
    ptools_value v;
    uint64_t id;

    ck_assert_ptools(ptools_get_field(worker, "id", &v));
    ck_assert_ptools(ptools_get_u64(v, &id));
    if (id > MUTATE_WORKERS)
        ptools_workers_remove(pt, (uint32_t)id); /* stand-ins are no workers */
}

/* Returns how many there were. */
static size_t each(ptools *pt, const char *what, void (*remove)(ptools *pt, ptools_value item))
{
    PTOOLS_AUTO(ptools_future) f = NULL;
    ptools_value list, item;
    size_t n = 0;

    ck_assert_ptools(ptools_inspect(pt, what, &f, &list));
    while (ptools_get_item(list, n, &item) == PTOOLS_OK) {
        remove(pt, item);
        n++;
    }
    return n;
}

/* What goes on by itself a while has so long to end. */
static void tidy(ptools *pt)
{
    const uint64_t until = now_ms() + WAIT_MS;
    size_t tasks, arrays, stasks, workers;

    do {
        tasks = tidy_tasks(pt);
        stasks = each(pt, "stasks", stop_stasks);
        arrays = each(pt, "arrays", unlink_array);
        workers = each(pt, "workers", remove_worker);
        ck_assert_msg(now_ms() < until, "there are still %zu tasks, %zu arrays, %zu server tasks, %zu workers", tasks,
                      arrays, stasks, workers);
    } while (tasks + arrays + stasks > 0 || workers != MUTATE_WORKERS);
}

static uint64_t memory_kb(ptools *pt)
{
    struct memory_use use;

    memory_look(&server, pt, &use);
    return use.daemon;
}

/* Sanitizers report what they find to where the daemon logs, and of a worker nobody else would tell. */
static void assert_no_report(void)
{
    char *log = slurp(server.log);
    const char *report = strstr(log, "Sanitizer:");

    report = report ? report : strstr(log, "runtime error:");
    ck_assert_msg(!report, "seed %" PRIu64 ": %.2000s", seed, report);
    free(log);
}

/* -- the test ------------------------------------------------------------------------------------------------------ */

struct bands {
    pid_t pids[BANDS];
    struct pollfd ends[BANDS];
};

static void bands_start(struct bands *b)
{
    for (unsigned i = 0; i < BANDS; i++) {
        b->pids[i] = live_peers_start(peers, server.dir, seed + i);
        b->ends[i] = (struct pollfd){ .fd = (int)syscall(SYS_pidfd_open, b->pids[i], 0), .events = POLLIN };
        ck_assert_int_ge(b->ends[i].fd, 0);
    }
}

static void bands_end(struct bands *b)
{
    for (unsigned i = 0; i < BANDS; i++) {
        int status;

        ck_assert_int_eq(waitpid(b->pids[i], &status, 0), b->pids[i]);
        ck_assert_msg(status == 0, "seed %" PRIu64 ": %s (%d)", seed, peers->problem.text, status);
        close(b->ends[i].fd);
    }
}

static void tell(uint64_t *times, size_t n, uint64_t ms)
{
    printf(
        "# %llu messages, %llu packets for %llu descriptors, in %llu ms over %llu connections, %llu of them closed by "
        "the daemon\n",
        atomic_load(&peers->messages), atomic_load(&peers->packets), atomic_load(&peers->descriptors),
        (unsigned long long)ms, atomic_load(&peers->connections), atomic_load(&peers->closed));
    printf("# %llu replies, %llu errors, %llu events; %zu honest requests: %llu ms (half), %llu (99 of 100), %llu "
           "(all)\n",
           atomic_load(&peers->replies), atomic_load(&peers->errors), atomic_load(&peers->events), n,
           (unsigned long long)percentile(times, n, 0.5), (unsigned long long)percentile(times, n, 0.99),
           (unsigned long long)percentile(times, n, 1));
}

START_TEST(live_fuzz)
{
    const unsigned messages = program_setting("FAULT_MESSAGES", MESSAGES, 100000000),
                   seconds = getenv("FUZZ_LIVE_S") ? program_setting("FUZZ_LIVE_S", 1, 100000) : 0;
    static uint64_t times[TIMES_MAX];
    uint64_t began, tidied, before_kb = 0, after_kb;
    struct bands bands;
    ptools *pts[2];
    unsigned n = 0;

    printf("# seed %" PRIu64 "\n", seed);
    fflush(stdout);
    temp_dir(state, sizeof state);
    peers = shared_memory(sizeof *peers);
    server_start(&server, MUTATE_WORKERS, args);
    pts[0] = open_over("unix");
    pts[1] = open_over("ipc");
    server_whole(pts[0], MUTATE_WORKERS);
    began = tidied = now_ms();
    bands_start(&bands);
    while (atomic_load(&peers->messages) < messages || now_ms() - began < seconds * UINT64_C(1000)) {
        const uint64_t asked = now_ms();

        ask(pts[n % 2], n, n % 4 > 1);
        times[n++ % TIMES_MAX] = now_ms() - asked;
        if (now_ms() - tidied > TIDY_MS) {
            tidy_tasks(pts[0]);
            tidied = now_ms();
        }
        if (before_kb == 0 && atomic_load(&peers->messages) > messages / 3)
            before_kb = memory_kb(pts[0]);
        if (poll(bands.ends, BANDS, EVERY_MS) > 0)
            break; /* none ends by itself: it tells why */
    }
    atomic_store(&peers->enough, true);
    bands_end(&bands);
    tell(times, MIN(n, (unsigned)TIMES_MAX), now_ms() - began);
    tidy(pts[0]);
    server_whole(pts[0], MUTATE_WORKERS);
    ck_assert_uint_eq(server_status(pts[0], NULL, "pid"), (uint64_t)server.pid);
    ck_assert_uint_eq(server_status(pts[0], NULL, "clients"), 2);
    ck_assert_uint_eq(server_status(pts[0], NULL, "payload_bytes"), 0);
    ck_assert_uint_eq(server_status(pts[0], NULL, "shm_bytes"), 0);
    ck_assert_uint_eq(server_status(pts[0], "tasks", "waiting"), 0);
    ck_assert_uint_eq(server_status(pts[0], "tasks", "given"), 0);
    after_kb = memory_kb(pts[0]);
    printf("# the daemon's memory: %" PRIu64 " KiB after a third of them, %" PRIu64 " at the end\n", before_kb,
           after_kb);
    if (TIMES_COUNT) /* sanitizers keep what was freed */
        ck_assert_uint_le(after_kb, before_kb + MORE_KB);
    ptools_close(pts[0]);
    ptools_close(pts[1]);
    server_clean(&server, 0);
    assert_no_report();
    server_stop(&server);
    server_start(&server, MUTATE_WORKERS, args); /* what is in the journal can be read */
    server_stop(&server);
    temp_remove(state);
}
END_TEST

int main(int argc, char **argv)
{
    Suite *suite = suite_create("live-fuzz");
    TCase *tc = suite_case(suite, "fault");

    seed =
        argc == 3 && strcmp(argv[1], "--seed") == 0 ? strtoull(argv[2], NULL, 10) : now_ms() ^ (uint64_t)getpid() << 32;
    tcase_set_timeout(tc, 900);
    tcase_add_test(tc, live_fuzz);
    return suite_run(suite);
}
