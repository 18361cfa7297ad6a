/* SPDX-License-Identifier: MIT */
/*
 * bench_shared -- what server tasks, shared arrays and large arguments cost, each beside the same written by hand:
 *
 *     barrier    all of two server tasks run a function that does nothing   crew.h
 *     sum        two server tasks sum halves of an array                    two standing children, memory kept mapped
 *     argument   a worker sums 64 MiB that its caller has                   a standing child, memory kept mapped
 *     segment    4 KiB are created, mapped, touched, unmapped, unlinked     a memfd, in one process
 *
 * ROUNDS (5) and PHASE_MS (200) in the environment. Floor and ptools run one after the other in each round, and
 * every phase has processes of its own. Whatever is summed is summed by the same loop on both sides, of bytes that
 * were written the same way, and each sum is checked. Times are medians of the calls of a phase.
 */
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/bench/crew.h"
#include "tests/bench/phase.h"
#include "tests/bench/program.h"
#include "tests/bench/report.h"
#include "tests/integration/server.h"
#include "tests/modules/sums.h"

enum { STASKS = 2, WAIT_MS = 60000, PAGE_BYTES = 4096, LARGE_PHASES = 3 /* times as long */, BARRIER_PHASES = 4 };

#define SUM_BYTES_MAX  ((size_t)512 << 20)
#define ARGUMENT_BYTES ((size_t)64 << 20)
#define ARGUMENT_WORDS (ARGUMENT_BYTES / sizeof(uint64_t))

static const char crew_name[] = "crew", array_name[] = "data";

/* -- memory ------------------------------------------------------------------------------------------------ */

/* Shared, zeroed, reserved; nothing but the mapping holds it. */
static void *segment_new(size_t bytes)
{
    int fd = memfd_create("bench", MFD_CLOEXEC);
    void *at;

    phase_assert(fd >= 0 && posix_fallocate(fd, 0, (off_t)bytes) == 0);
    at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    phase_assert(at != MAP_FAILED);
    close(fd);
    return at;
}

/* What is summed in halves: blocks of equal numbers, so that a part that is taken twice or left out shows. */
enum { BLOCK = 65536 };

static void fill_doubles(double *at, size_t n)
{
    for (size_t i = 0; i < n; i++)
        at[i] = (double)(i / BLOCK);
}

static double sum_expected(size_t n)
{
    double blocks = (double)(n / BLOCK);

    return BLOCK * blocks * (blocks - 1) / 2;
}

static size_t sum_bytes(void)
{
    unsigned long long kb = 0;
    size_t bytes = SUM_BYTES_MAX;
    char line[128];
    FILE *f = fopen("/proc/meminfo", "re");

    ck_assert_ptr_nonnull(f);
    while (fgets(line, sizeof line, f) && sscanf(line, "MemAvailable: %llu kB", &kb) != 1)
        ;
    fclose(f);
    while (bytes > SUM_BYTES_MAX / 16 && bytes / 1024 * 3 > kb)
        bytes /= 2;
    return bytes;
}

/* The argument, in private memory of its caller, and what it sums up to. */
static uint64_t *source, source_sum;

static void source_make(void)
{
    source = malloc(ARGUMENT_BYTES);
    ck_assert_ptr_nonnull(source);
    for (size_t i = 0; i < ARGUMENT_WORDS; i++) {
        source[i] = i * UINT64_C(0x9e3779b97f4a7c15);
        source_sum += source[i];
    }
}

/* -- barrier: floor ---------------------------------------------------------------------------------------- */

static uint64_t nothing(unsigned i, void *arg)
{
    (void)arg;
    return i;
}

static void barrier_floor_client(struct meter *m, void *arg)
{
    uint64_t answers[CREW_MAX];

    do {
        crew_call(arg, answers);
        phase_assert(answers[0] == 0 && answers[1] == 1);
    } while (meter_tick(m, 1));
}

static void barrier_floor(const struct load *load, struct figures *ret)
{
    struct crew crew;

    crew_start(&crew, STASKS, nothing, NULL);
    phase_run(load, crew.pids, crew.n, barrier_floor_client, &crew, ret);
    crew_stop(&crew);
}

/* -- sum: floor -------------------------------------------------------------------------------------------- */

struct sum {
    struct crew crew;
    const double *at;
    size_t n;
};

static uint64_t sum_half(unsigned i, void *arg)
{
    const struct sum *sum = arg;
    const size_t half = sum->n / STASKS;
    double total = sum_doubles(sum->at + i * half, half);
    uint64_t bits;

    memcpy(&bits, &total, sizeof bits);
    return bits;
}

static void sum_floor_client(struct meter *m, void *arg)
{
    struct sum *sum = arg;
    const double expected = sum_expected(sum->n);
    uint64_t answers[CREW_MAX];

    do {
        double halves[STASKS];

        crew_call(&sum->crew, answers);
        memcpy(halves, answers, sizeof halves);
        phase_assert(halves[0] + halves[1] == expected);
    } while (meter_tick(m, 1));
}

static void sum_floor(const struct load *load, size_t bytes, struct figures *ret)
{
    double *at = segment_new(bytes);
    struct sum sum = { .at = at, .n = bytes / sizeof *at };

    fill_doubles(at, sum.n);
    crew_start(&sum.crew, STASKS, sum_half, &sum);
    phase_run(load, sum.crew.pids, sum.crew.n, sum_floor_client, &sum, ret);
    crew_stop(&sum.crew);
    munmap(at, bytes);
}

/* -- argument: floor --------------------------------------------------------------------------------------- */

struct kept {
    struct crew crew;
    uint64_t *at;
    bool copy_in;
};

static uint64_t sum_kept(unsigned i, void *arg)
{
    (void)i;
    return sum_words(((const struct kept *)arg)->at, ARGUMENT_BYTES);
}

static void argument_floor_client(struct meter *m, void *arg)
{
    struct kept *kept = arg;
    uint64_t answers[CREW_MAX];

    do {
        if (kept->copy_in)
            memcpy(kept->at, source, ARGUMENT_BYTES);
        crew_call(&kept->crew, answers);
        phase_assert(answers[0] == source_sum);
    } while (meter_tick(m, 1));
}

static void argument_floor(const struct load *load, bool copy_in, struct figures *ret)
{
    struct kept kept = { .at = segment_new(ARGUMENT_BYTES), .copy_in = copy_in };

    memcpy(kept.at, source, ARGUMENT_BYTES);
    crew_start(&kept.crew, 1, sum_kept, &kept);
    phase_run(load, kept.crew.pids, kept.crew.n, argument_floor_client, &kept, ret);
    crew_stop(&kept.crew);
    munmap(kept.at, ARGUMENT_BYTES);
}

/* -- segment: floor ---------------------------------------------------------------------------------------- */

static void segment_floor_client(struct meter *m, void *arg)
{
    (void)arg;
    do {
        int fd = memfd_create("bench", MFD_CLOEXEC);
        char *at;

        phase_assert(fd >= 0 && posix_fallocate(fd, 0, PAGE_BYTES) == 0);
        at = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        phase_assert(at != MAP_FAILED && *at == 0);
        *at = 1;
        munmap(at, PAGE_BYTES);
        close(fd);
    } while (meter_tick(m, 1));
}

static void segment_floor(const struct load *load, struct figures *ret)
{
    phase_run(load, NULL, 0, segment_floor_client, NULL, ret);
}

/* -- ptools ------------------------------------------------------------------------------------------------ */

static ptools *open_at(const struct server *server, uint64_t large_bytes)
{
    ptools_options options = PTOOLS_OPTIONS_INIT;
    const char *message = "";
    ptools *pt = NULL;
    ptools_err err;

    options.address = server->dir;
    options.large_bytes = large_bytes;
    err = ptools_open(&options, &pt, &message);
    ck_assert_msg(err == PTOOLS_OK, "ptools_open(%s): %s: %s", server->dir, ptools_errname(err), message);
    return pt;
}

/* A daemon with two server tasks that stay for its next client, and what they share. */
struct team {
    struct server server;
    pid_t pids[1 + STASKS]; /* of the daemon, and theirs */
    size_t n;               /* doubles of their array; 0: there is none */
};

static void team_start(struct team *team, size_t n)
{
    const ptools_shmcfg cfg = PTOOLS_SHMCFG(array_name, PTOOLS_FLOAT64, n);
    ptools_stasks_options options = PTOOLS_STASKS_OPTIONS_INIT;
    ptools_stasks *stasks = NULL;
    ptools *pt;

    team->n = n;
    server_start(&team->server, 1, NULL);
    pt = open_at(&team->server, 0);
    options.count = STASKS;
    options.name = crew_name;
    must(pt, ptools_start_stasks(pt, &cfg, n > 0, NULL, &options, &stasks));
    team->pids[0] = team->server.pid;
    for (uint32_t i = 0; i < STASKS; i++)
        team->pids[1 + i] = ptools_stasks_pid(stasks, i);
    if (n > 0)
        fill_doubles(ptools_array_data(ptools_stasks_array(stasks, array_name)), n);
    ptools_stasks_free(stasks);
    ptools_close(pt);
}

static void team_stop(struct team *team)
{
    ptools *pt = open_at(&team->server, 0);
    ptools_stasks *stasks = NULL;

    must(pt, ptools_attach_stasks(pt, crew_name, &stasks));
    must(pt, ptools_stop_stasks(stasks, WAIT_MS));
    ptools_stasks_free(stasks);
    ptools_close(pt);
    server_clean(&team->server, 0);
    server_stop(&team->server);
}

static void barrier_client(struct meter *m, void *arg)
{
    struct team *team = arg;
    ptools *pt = open_at(&team->server, 0);
    ptools_stasks *stasks = NULL;

    must(pt, ptools_attach_stasks(pt, crew_name, &stasks));
    do {
        ptools_outcomes *o = NULL;

        must(pt, ptools_pmap_stasks(stasks, "a.nop", NULL, 0, WAIT_MS, &o));
        phase_assert(ptools_outcomes_count(o) == STASKS);
        ptools_outcomes_free(o);
    } while (meter_tick(m, 1));
    ptools_stasks_free(stasks);
    ptools_close(pt);
}

static void barrier_ptools(const struct load *load, struct figures *ret)
{
    struct team team;

    team_start(&team, 0);
    phase_run(load, team.pids, 1 + STASKS, barrier_client, &team, ret);
    team_stop(&team);
}

static double sum_of_outcomes(ptools *pt, ptools_outcomes *o)
{
    double sum = 0;

    for (uint32_t i = 0; i < STASKS; i++) {
        ptools_value v;
        double part = 0;

        must(pt, ptools_future_fetch(ptools_outcomes_future(o, i), 0, &v));
        must(pt, ptools_get_f64(v, &part));
        sum += part;
    }
    return sum;
}

static void sum_client(struct meter *m, void *arg)
{
    struct team *team = arg;
    const double expected = sum_expected(team->n);
    ptools *pt = open_at(&team->server, 0);
    ptools_pack *names = ptools_pack_new();
    const ptools_pack *lists[] = { names };
    ptools_stasks *stasks = NULL;

    must(pt, ptools_attach_stasks(pt, crew_name, &stasks));
    for (int i = 0; i < STASKS; i++)
        ptools_pack_str(names, array_name);
    do {
        ptools_outcomes *o = NULL;

        must(pt, ptools_pmap_stasks(stasks, "a.part", lists, 1, WAIT_MS, &o));
        phase_assert(sum_of_outcomes(pt, o) == expected);
        ptools_outcomes_free(o);
    } while (meter_tick(m, 1));
    ptools_pack_free(names);
    ptools_stasks_free(stasks);
    ptools_close(pt);
}

static void sum_ptools(const struct load *load, size_t bytes, struct figures *ret)
{
    struct team team;

    team_start(&team, bytes / sizeof(double));
    phase_run(load, team.pids, 1 + STASKS, sum_client, &team, ret);
    team_stop(&team);
}

/* -- ptools, argument -------------------------------------------------------------------------------------- */

enum way {
    IN_PLACE,   /* an array that has the data already */
    COPIED_IN,  /* an array that they are copied into */
    AS_BYTES,   /* bytes: the library hands over memory */
    BY_SOCKETS, /* bytes: the library is told not to */
    WAYS
};

struct shipper {
    struct server server;
    enum way way;
};

static void array_argument(ptools_pack *args, const ptools_array *array, enum way way)
{
    if (way == COPIED_IN)
        memcpy(ptools_array_data(array), source, ARGUMENT_BYTES);
    ptools_pack_reset(args);
    if (array)
        ptools_pack_array(args, array);
    else
        ptools_pack_bytes(args, source, ARGUMENT_BYTES);
}

static void argument_client(struct meter *m, void *arg)
{
    static const ptools_shmcfg cfg = PTOOLS_SHMCFG(array_name, PTOOLS_UINT64, ARGUMENT_WORDS);
    struct shipper *shipper = arg;
    const bool as_array = shipper->way == IN_PLACE || shipper->way == COPIED_IN;
    ptools *pt = open_at(&shipper->server, shipper->way == BY_SOCKETS ? UINT64_MAX : 0);
    ptools_pack *args = ptools_pack_new();
    ptools_array *array = NULL;

    if (as_array) {
        must(pt, ptools_shm_create(pt, &cfg, NULL, &array));
        memcpy(ptools_array_data(array), source, ARGUMENT_BYTES);
    }
    do {
        ptools_future *f = NULL;
        ptools_value v;
        uint64_t sum = 0;

        array_argument(args, array, shipper->way);
        must(pt,
             ptools_remotecall_fetch(pt, NULL, as_array ? "a.array_words" : "a.words", args, NULL, WAIT_MS, &f, &v));
        must(pt, ptools_get_u64(v, &sum));
        phase_assert(sum == source_sum);
        ptools_future_free(f);
    } while (meter_tick(m, 1));
    ptools_array_free(array);
    ptools_pack_free(args);
    ptools_close(pt);
}

/* A daemon with one worker, which is up, and a client. */
static void shipper_run(const struct load *load, enum way way, phase_client client, struct figures *ret)
{
    struct shipper shipper = { .way = way };
    ptools *pt;

    server_start(&shipper.server, 1, NULL);
    pt = open_at(&shipper.server, 0);
    server_whole(pt, 1);
    ptools_close(pt);
    phase_run(load, &shipper.server.pid, 1, client, &shipper, ret);
    server_clean(&shipper.server, 0);
    server_stop(&shipper.server);
}

/* -- ptools, segment --------------------------------------------------------------------------------------- */

static void segment_client(struct meter *m, void *arg)
{
    static const ptools_shmcfg cfg = PTOOLS_SHMCFG(array_name, PTOOLS_UINT8, PAGE_BYTES);
    struct shipper *shipper = arg;
    ptools *pt = open_at(&shipper->server, 0);

    do {
        ptools_array *array = NULL;
        char *at;

        must(pt, ptools_shm_create(pt, &cfg, NULL, &array));
        at = ptools_array_data(array);
        phase_assert(*at == 0);
        *at = 1;
        ptools_array_free(array);
        must(pt, ptools_unlink_shm(pt, &cfg, 1, NULL));
    } while (meter_tick(m, 1));
    ptools_close(pt);
}

/* -- rounds ------------------------------------------------------------------------------------------------ */

enum quantity { BARRIER, BARRIER_ONE_CORE, BARRIER_SWITCHES, SUM, ARGUMENT, SEGMENT = ARGUMENT + WAYS, QUANTITIES };

struct pair {
    struct series ours, floor;
};

static struct pair data[QUANTITIES];

static void add(enum quantity q, double floor, double ours)
{
    series_add(&data[q].floor, floor);
    series_add(&data[q].ours, ours);
}

static void figures_add(struct figures *sum, const struct figures *f)
{
    sum->p50_us += f->p50_us;
    sum->switches += f->switches;
}

/* Several short phases, in turn: where the scheduler puts the three processes of one may double its figure. */
static void barriers(unsigned ms)
{
    struct load load = { .outstanding = 1, .workers = STASKS, .ms = ms };
    struct figures floor, ours, floor_sum = { 0 }, ours_sum = { 0 };

    for (int i = 0; i < BARRIER_PHASES; i++) {
        barrier_floor(&load, &floor);
        barrier_ptools(&load, &ours);
        figures_add(&floor_sum, &floor);
        figures_add(&ours_sum, &ours);
    }
    add(BARRIER, floor_sum.p50_us / BARRIER_PHASES, ours_sum.p50_us / BARRIER_PHASES);
    add(BARRIER_SWITCHES, floor_sum.switches / BARRIER_PHASES, ours_sum.switches / BARRIER_PHASES);
    load.one_core = true;
    barrier_floor(&load, &floor);
    barrier_ptools(&load, &ours);
    add(BARRIER_ONE_CORE, floor.p50_us, ours.p50_us);
}

static void sums(unsigned ms, size_t bytes)
{
    const struct load load = { .outstanding = 1, .workers = STASKS, .ms = LARGE_PHASES * ms };
    struct figures floor, ours;

    sum_floor(&load, bytes, &floor);
    sum_ptools(&load, bytes, &ours);
    add(SUM, floor.p50_us / 1e3, ours.p50_us / 1e3);
}

static void arguments(unsigned ms)
{
    const struct load load = { .outstanding = 1, .workers = 1, .ms = LARGE_PHASES * ms };
    struct figures floor, ours;

    for (enum way way = 0; way < WAYS; way++) {
        if (way == IN_PLACE || way == COPIED_IN)
            argument_floor(&load, way == COPIED_IN, &floor); /* and that is the floor of the others, too */
        shipper_run(&load, way, argument_client, &ours);
        add(ARGUMENT + way, floor.p50_us / 1e3, ours.p50_us / 1e3);
    }
}

static void segments(unsigned ms)
{
    const struct load load = { .outstanding = 1, .workers = 1, .ms = ms };
    struct figures floor, ours;

    segment_floor(&load, &floor);
    shipper_run(&load, WAYS, segment_client, &ours);
    add(SEGMENT, floor.p50_us, ours.p50_us);
}

/* -- lines ------------------------------------------------------------------------------------------------- */

static void print_line(enum quantity q, struct report_line line)
{
    line.ours = &data[q].ours;
    line.floor = &data[q].floor;
    report_print(&line);
}

static void print_all(size_t bytes)
{
    char sum[80];

    snprintf(sum, sizeof sum, "sum of %zu MiB by 2 server tasks%s", bytes >> 20,
             bytes < SUM_BYTES_MAX ? " (there is no memory for 512)" : "");
    print_line(BARRIER, (struct report_line){ "barrier p50, 2 server tasks", UNIT_US, .ratio_at_most = 1.30 });
    print_line(BARRIER_ONE_CORE, (struct report_line){ "barrier p50, all on one core", UNIT_US });
    print_line(BARRIER_SWITCHES, (struct report_line){ "context switches a barrier", UNIT_COUNT });
    print_line(SUM, (struct report_line){ sum, UNIT_MS, .ratio_at_most = 1.10 });
    print_line(ARGUMENT + IN_PLACE,
               (struct report_line){ "64 MiB as an array, data there", UNIT_MS, .ratio_at_most = 1.50 });
    print_line(ARGUMENT + COPIED_IN,
               (struct report_line){ "64 MiB as an array, copied in", UNIT_MS, .ratio_at_most = 1.50 });
    print_line(ARGUMENT + AS_BYTES,
               (struct report_line){ "64 MiB as bytes", UNIT_MS,
                                     .peers = { { "through sockets", NULL, &data[ARGUMENT + BY_SOCKETS].ours } } });
    print_line(SEGMENT, (struct report_line){ "4 KiB created, mapped, touched, unmapped, unlinked, p50", UNIT_US,
                                              .ours_at_most = 150 });
}

START_TEST(figures)
{
    unsigned rounds = program_setting("ROUNDS", 5, ROUNDS_MAX), ms = program_setting("PHASE_MS", 200, 10000);
    size_t bytes = sum_bytes();

    source_make();
    for (unsigned i = 0; i < rounds; i++) {
        barriers(ms);
        sums(ms, bytes);
        arguments(ms);
        segments(ms);
    }
    print_all(bytes);
    free(source);
}
END_TEST

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    return program_run("bench_shared", figures);
}
