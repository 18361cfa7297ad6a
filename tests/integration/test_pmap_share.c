/* SPDX-License-Identifier: MIT */
/*
 * A pmap among others: one whose reader is slow, one whose client dies, one that is cancelled in the middle, two at a
 * time, one whose workers change; and how much memory all that takes. Workers are free within a second of its end, and
 * nothing of it is left.
 *
 * PTOOLS_TEST_ITEMS changes how many items a source yields for constant memory (100000000 takes some minutes).
 */
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/integration/memory_use.h"
#include "tests/integration/pmap_rig.h"

enum { WORKERS = 4, FREE_MS = 1000 };

/* Waits until all workers are idle, nothing waits and no array is left, since began; and says when that was. */
static void assert_free(const char *after, uint64_t began, unsigned workers)
{
    const uint64_t until = now_ms() + WAIT_MS;
    uint64_t ms;

    ck_assert_ptools(ptools_pmap_forget(pt)); /* what it keeps for a next map */
    server_whole(pt, workers);
    while (server_status(pt, "tasks", "waiting") + server_status(pt, "tasks", "given") +
               server_status(pt, NULL, "arrays") >
           0)
        ck_assert_msg(now_ms() < until, "something is left");
    ms = now_ms() - began;
    printf("# %s: free after %" PRIu64 " ms\n", after, ms);
    ck_assert_uint_eq(server_status(pt, NULL, "payload_bytes"), 0);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    ck_assert_uint_le(ms, FREE_MS);
#endif
}

/* -- slow readers and memory ----------------------------------------------------------------------------------- */

/* Outcomes of 20 KB each, of which one in some thousand is read: nobody gathers them. A call in between is served. */
START_TEST(a_slow_reader_is_waited_for_everywhere)
{
    PTOOLS_AUTO(ptools_pack) captured = ptools_pack_new();
    struct counted c = { .of = INT64_MAX };
    struct memory_use early, late;
    ptools_pmap *map;

    up(WORKERS);
    ptools_pack_str(captured, "bytes");
    ptools_pack_i64(captured, 20000);
    options.captured = captured;
    options.window_bytes = 4 << 20;
    map = start_from("p.item", give, &c);
    for (int64_t i = 0; i < 2000; i++)
        ck_assert_err(next(map).err, PTOOLS_OK);
    memory_look(&server, pt, &early);
    for (int64_t i = 0; i < 5; i++) { /* it rests as long as it takes until nothing moves */
        const ptools_item item = next(map);
        int64_t before;

        ck_assert_uint_eq(item.index, (uint64_t)(2000 + i));
        before = c.next;
        server_whole(pt, WORKERS);
        ck_assert_ptools(ptools_remotecall_fetch(pt, NULL, "t.nop", NULL, NULL, WAIT_MS, NULL, NULL));
        server_whole(pt, WORKERS);
        ck_assert_int_eq(c.next, before);
    }
    memory_look(&server, pt, &late);
    memory_assert_flat(&early, &late, 8 << 10);
    ck_assert_int_lt(c.next, 2000 + 5 + 2 * (4 << 20) / 20000 + 100);
    ptools_pmap_free(map);
    down();
}
END_TEST

START_TEST(memory_is_constant_however_many_items)
{
    const char *wanted = getenv("PTOOLS_TEST_ITEMS");
    struct counted c = { .of = wanted ? atoll(wanted) : 1000000 };
    struct memory_use early, late;
    ptools_pmap *map;

    up(WORKERS);
    ck_assert_int_ge(c.of, 1000);
    map = start_from("p.same", give, &c);
    for (int64_t i = 0; i < c.of; i++) {
        if (i == c.of / 10)
            memory_look(&server, pt, &early);
        next_is(map, i, i);
    }
    memory_look(&server, pt, &late);
    ends(map);
    memory_assert_flat(&early, &late, 4 << 10);
    down();
}
END_TEST

/* Very many items of a byte each, while the first of them takes its time: what each costs by being there counts. */
START_TEST(small_items_count_for_what_they_cost)
{
    struct memory_use early, late;
    ptools_pmap_progress p;
    ptools_pmap *map;
    ptools_item item;
    uint64_t before = UINT64_MAX;

    up(2);
    ptools_pack_i64(list, 2000); /* ms */
    for (int64_t i = 1; i < 100000; i++)
        ptools_pack_i64(list, 0);
    options.batch_size = 1;
    options.window_bytes = 1 << 20;
    memory_look(&server, pt, &early);
    map = start("i.worker");
    do { /* until nothing moves but the first */
        p = progress_of(map);
        if (p.items == before)
            break;
        before = p.items;
    } while (ptools_pmap_next(map, 300, &item) == PTOOLS_ERR_TIMEOUT);
    memory_look(&server, pt, &late);
    ck_assert_uint_lt(p.items, 10000);
    memory_assert_flat(&early, &late, 4 << 10);
    ptools_pmap_free(map);
    down();
}
END_TEST

/* -- an early end ---------------------------------------------------------------------------------------------- */

/* A client that maps very many items with something captured; a byte when it is in the middle. */
static pid_t client_in_the_middle(void)
{
    int told[2];
    char byte = 0;
    pid_t pid;

    ck_assert_int_eq(pipe(told), 0);
    pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        ptools *own = server_open(&server);
        ptools_pack *captured = ptools_pack_new();
        struct counted c = { .of = INT64_MAX };
        ptools_pmap *map = NULL;
        ptools_item item;

        ptools_pack_i64(captured, 1); /* ms */
        options.captured = captured;
        if (ptools_pmap_start_from(own, "i.worker", give, &c, &options, &map) != PTOOLS_OK)
            _exit(2);
        for (int64_t i = 0; ptools_pmap_next(map, WAIT_MS, &item) == PTOOLS_OK; i++)
            if (i == 500 && write(told[1], &byte, 1) != 1)
                _exit(3);
        _exit(4);
    }
    close(told[1]);
    ck_assert_int_eq(read(told[0], &byte, 1), 1);
    close(told[0]);
    return pid;
}

START_TEST(a_client_that_dies_leaves_nothing)
{
    uint64_t killed;
    int status;
    pid_t pid;

    up(WORKERS);
    pid = client_in_the_middle();
    ck_assert_uint_eq(server_status(pt, NULL, "arrays"), 1);
    killed = now_ms();
    ck_assert_int_eq(kill(pid, SIGKILL), 0);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(WIFSIGNALED(status));
    assert_free("a client that died", killed, WORKERS);
    server_clean(&server, 1);
    down();
}
END_TEST

START_TEST(a_cancel_in_the_middle_frees_all)
{
    PTOOLS_AUTO(ptools_pack) captured = ptools_pack_new();
    enum { N = 4000 };
    unsigned values = 0, cancelled = 0, not_run = 0;
    ptools_pmap *map;
    uint64_t began;

    up(WORKERS);
    numbers(0, N);
    ptools_pack_i64(captured, 1); /* ms */
    options.captured = captured;
    map = start("i.worker");
    for (int64_t i = 0; i < N / 2; i++)
        ck_assert_ptools(next(map).err);
    began = now_ms();
    ck_assert_ptools(ptools_pmap_cancel(map));
    ck_assert_ptools(ptools_pmap_cancel(map)); /* once is enough */
    for (int64_t i = N / 2; i < N; i++) {
        const ptools_item item = next(map);

        suite_holds(item.index == (uint64_t)i, "item %" PRId64, i);
        values += item.err == PTOOLS_OK;
        cancelled += item.err == PTOOLS_ERR_CANCELLED;
        not_run += item.err == PTOOLS_ERR_NOT_RUN;
    }
    ck_assert_uint_eq(values + cancelled + not_run, N / 2);
    ck_assert_uint_gt(not_run, N / 8);
    ck_assert_uint_le(cancelled, 2 * WORKERS);
    ptools_pmap_free(map);
    assert_free("a cancel", began, WORKERS);
    server_clean(&server, 2); /* this client, and its way to the door of descriptors */
    down();
}
END_TEST

/* -- two at a time --------------------------------------------------------------------------------------------- */

enum { SHORT = 1500 };

struct race {
    atomic_uint ready; /* have had their first outcome */
    atomic_long done[2];
    long other_at_end; /* of the shorter one: what the longer had then */
    atomic_bool over;
};

/* Maps items that take a millisecond each, n of them; place 0 is the shorter one. */
static pid_t racer(struct race *race, int place, int64_t n, const int gate[2])
{
    pid_t pid = fork();
    struct counted c = { .of = n, .first = 1 };
    ptools_pmap *map = NULL;
    ptools_item item;
    ptools *own;
    char byte;

    ck_assert_int_ge(pid, 0);
    if (pid > 0)
        return pid;
    close(gate[1]);
    options.batch_size = 16; /* the same for both, and enough in flight that a client may come late to send more */
    own = server_open(&server);
    if (ptools_pmap_start_from(own, "i.worker", give, &c, &options, &map) != PTOOLS_OK ||
        ptools_pmap_next(map, WAIT_MS, &item) != PTOOLS_OK)
        _exit(2);
    atomic_fetch_add(&race->ready, 1);
    if (read(gate[0], &byte, 1) != 0) /* both start when it closes */
        _exit(3);
    while (ptools_pmap_next(map, WAIT_MS, &item) == PTOOLS_OK)
        if (item.err == PTOOLS_OK)
            atomic_fetch_add(&race->done[place], 1);
    if (place == 0)
        race->other_at_end = atomic_load(&race->done[1]);
    ptools_pmap_free(map);
    ptools_close(own);
    _exit(atomic_load(&race->done[place]) == n - 1 ? 0 : 4);
}

static int by_size(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

/* Two clients share the workers half and half; the calls of a third are served in between. */
START_TEST(two_maps_share_the_workers_half_and_half)
{
    struct race *race = mmap(NULL, sizeof *race, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    static uint64_t took[100000]; /* ms */
    pid_t pids[2];
    size_t calls = 0;
    int gate[2], status, ends = 0;
    double ratio;

    ck_assert_ptr_ne(race, MAP_FAILED);
    up(WORKERS);
    ck_assert_ptools(ptools_remotecall_fetch(pt, NULL, "t.nop", NULL, NULL, WAIT_MS, NULL, NULL));
    ck_assert_int_eq(pipe(gate), 0);
    pids[0] = racer(race, 0, SHORT, gate);
    pids[1] = racer(race, 1, 2 * SHORT, gate);
    close(gate[0]);
    for (uint64_t until = now_ms() + WAIT_MS; atomic_load(&race->ready) < 2;)
        ck_assert_msg(now_ms() < until, "they do not begin");
    close(gate[1]);
    while (ends == 0 && calls < 100000) { /* each of these ends while both maps go on */
        const uint64_t began = now_ms();

        ck_assert_ptools(ptools_remotecall_fetch(pt, NULL, "t.nop", NULL, NULL, WAIT_MS, NULL, NULL));
        took[calls++] = now_ms() - began;
        ends = waitpid(pids[0], &status, WNOHANG);
        poll(NULL, 0, 1); /* it is one among others */
    }
    ck_assert_int_eq(ends, pids[0]);
    ck_assert_int_eq(status, 0);
    ck_assert_int_eq(waitpid(pids[1], &status, 0), pids[1]);
    ck_assert_int_eq(status, 0);
    qsort(took, calls, sizeof took[0], by_size);
    ratio = (double)race->other_at_end / SHORT;
    printf("# the longer one had done %.2f of what the shorter had; %zu calls between them took %" PRIu64
           " ms (half), %" PRIu64 " ms (99 of 100)\n",
           ratio, calls, took[calls / 2], took[calls * 99 / 100]);
    ck_assert_uint_ge(calls, 3); /* while two maps of thousands of items had batches in the queue */
    ck_assert_double_ge(ratio, 0.6);
    ck_assert_double_le(ratio, 1.6);
    munmap(race, sizeof *race);
    down();
}
END_TEST

/* -- workers that come and go ---------------------------------------------------------------------------------- */

static unsigned busy_now(void)
{
    ptools_worker_info *infos = NULL;
    unsigned busy = 0;
    size_t n = 0;

    ck_assert_ptools(ptools_workers(pt, &infos, &n));
    for (size_t i = 0; i < n; i++)
        busy += strcmp(infos[i].state, "busy") == 0;
    free(infos);
    return busy;
}

START_TEST(workers_that_come_are_used_and_those_that_go_are_not_waited_for)
{
    struct counted c = { .of = INT64_MAX, .first = 20 }; /* ms */
    ptools_pmap *map;
    uint32_t first = 0;
    uint64_t until = now_ms() + WAIT_MS;

    up(1);
    options.batch_size = 1;
    map = start_from("i.worker", give, &c);
    for (int i = 0; i < 4; i++)
        ck_assert_ptools(next(map).err);
    ck_assert_uint_le(c.next, 4 + 2);
    ck_assert_ptools(ptools_workers_add(pt, 5, &first));
    do { /* with one worker there were never more than two batches */
        ck_assert_ptools(next(map).err);
        ck_assert_msg(now_ms() < until, "the new workers have nothing to do");
    } while (busy_now() < 6);
    for (uint32_t id = first; id < first + 5; id++)
        ck_assert_ptools(ptools_workers_remove(pt, id));
    do { /* and with one again there are two, in the daemon and on their way */
        ck_assert_ptools(next(map).err);
        ck_assert_msg(now_ms() < until, "it sends as if they were there");
    } while (server_status(pt, "tasks", "waiting") + server_status(pt, "tasks", "given") > 2 ||
             server_status(pt, NULL, "workers") > 1);
    ptools_pmap_free(map);
    down();
}
END_TEST

/* A set is as wide as it is, not as all workers are: what waits there is little. */
START_TEST(the_width_of_a_set_counts)
{
    struct counted c = { .of = 200, .first = 6 }; /* ms */
    const uint32_t ids[] = { 2 };
    ptools_workerset *set = NULL;
    ptools_pmap *map;
    unsigned narrow = 0;

    up(WORKERS + 2);
    ck_assert_ptools(ptools_workerset_create(pt, NULL, ids, 1, PTOOLS_WS_FF, &set));
    options.set = set;
    options.batch_size = 1;
    map = start_from("i.worker", give, &c);
    for (int64_t i = 0; i < c.of; i++) {
        const ptools_item item = next(map);

        ck_assert_int_eq(number_of(&item), 2);
        narrow += server_status(pt, "tasks", "waiting") + server_status(pt, "tasks", "given") <= 2;
    }
    ck_assert_uint_gt(narrow, 100);
    ptools_pmap_free(map);
    ptools_workerset_free(set);
    down();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pmap-share");
    TCase *tc = suite_case(suite, "pmap");

    tcase_set_timeout(tc, 600);
    tcase_add_test(tc, a_slow_reader_is_waited_for_everywhere);
    tcase_add_test(tc, memory_is_constant_however_many_items);
    tcase_add_test(tc, small_items_count_for_what_they_cost);
    tcase_add_test(tc, a_client_that_dies_leaves_nothing);
    tcase_add_test(tc, a_cancel_in_the_middle_frees_all);
    tcase_add_test(tc, two_maps_share_the_workers_half_and_half);
    tcase_add_test(tc, workers_that_come_are_used_and_those_that_go_are_not_waited_for);
    tcase_add_test(tc, the_width_of_a_set_counts);
    return suite_run(suite);
}
