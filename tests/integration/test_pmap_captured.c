/* SPDX-License-Identifier: MIT */
/*
 * What is captured lies in one segment for all runs of a handle over the same bytes, and each worker maps it once; what
 * no run uses is kept, within limits, and goes when a limit, a forget, or the end of the connection wants it.
 *
 * Segments are counted by asking the daemon, and known by their numbers. Mappings are counted by what i.mapping does to
 * each that it finds as it was made.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/integration/pmap_rig.h"

enum { WORKERS = 3, ITEMS = 60, KEPT = 4, ARRAYS_MAX = 16, SMALL = 100000 };

static ptools_pack *captured;

static void begin(const char *const *args)
{
    up_with(WORKERS, args);
    numbers(0, ITEMS);
    captured = ptools_pack_new();
    options.captured = captured;
    options.batch_size = 1;
}

static void end(void)
{
    captured = ptools_pack_free(captured);
    down();
}

/* n bytes, all alike but for the last. */
static void capture(size_t n, char last)
{
    char *bytes = calloc(1, n);

    ck_assert_ptr_nonnull(bytes);
    bytes[n - 1] = last;
    ptools_pack_reset(captured);
    ptools_pack_bytes(captured, bytes, n);
    free(bytes);
}

/* The rest of it. */
static void rest(ptools_pmap *map)
{
    ptools_item item;
    ptools_err err;

    while ((err = ptools_pmap_next(map, WAIT_MS, &item)) == PTOOLS_OK)
        ck_assert_msg(item.err == PTOOLS_OK, "%s", item.failure->message);
    ck_assert_err(err, PTOOLS_ERR_RANGE);
    ptools_pmap_free(map);
}

/* The numbers of all arrays that the daemon has, in their order. */
static uint32_t arrays(uint64_t ret[ARRAYS_MAX])
{
    PTOOLS_AUTO(ptools_future) f = NULL;
    ptools_value v, a;
    uint32_t n = 0;

    ck_assert_ptools(ptools_inspect(pt, "arrays", &f, &v));
    ck_assert_ptools(ptools_get_count(v, &n));
    ck_assert_uint_le(n, ARRAYS_MAX);
    for (uint32_t i = 0; i < n; i++) {
        ck_assert_ptools(ptools_get_item(v, i, &a));
        ck_assert_ptools(ptools_get_field(a, "id", &a));
        ck_assert_ptools(ptools_get_u64(a, &ret[i]));
    }
    return n;
}

static bool has(uint64_t id)
{
    uint64_t ids[ARRAYS_MAX];
    const uint32_t n = arrays(ids);

    for (uint32_t i = 0; i < n; i++)
        if (ids[i] == id)
            return true;
    return false;
}

/* Waits until there are so many: workers may still be at what was given up. */
static void come_down_to(uint32_t n)
{
    const uint64_t until = now_ms() + WAIT_MS;
    uint64_t ids[ARRAYS_MAX];

    while (arrays(ids) != n)
        ck_assert_msg(now_ms() < until, "there are other arrays than %u", n);
}

/* A run over what is captured; the number of its segment, which is the newest. */
static uint64_t run(void)
{
    uint64_t ids[ARRAYS_MAX], newest = 0;
    ptools_pmap *map = start("i.length");
    uint32_t n;

    next(map);
    n = arrays(ids);
    for (uint32_t i = 0; i < n; i++)
        newest = ids[i] > newest ? ids[i] : newest;
    rest(map);
    return newest;
}

/* How many mappings a run finds that are as they were made. */
static unsigned mapped_by_a_run(void)
{
    ptools_pmap *map = start("i.mapping");
    unsigned n = 0;

    for (int i = 0; i < ITEMS; i++) {
        const ptools_item item = next(map);
        const char *allowed = "";
        size_t bytes;

        ck_assert_msg(item.err == PTOOLS_OK, "%s", item.failure ? item.failure->message : "");
        ck_assert_ptools(ptools_get_str(item.value, &allowed, &bytes));
        ck_assert_uint_eq(bytes, 4);
        ck_assert(memcmp(allowed, "r--s", 4) == 0 || memcmp(allowed, "---s", 4) == 0);
        n += allowed[0] == 'r';
    }
    rest(map);
    return n;
}

START_TEST(each_worker_maps_it_once)
{
    uint64_t first[ARRAYS_MAX], ids[ARRAYS_MAX];

    begin(NULL);
    capture(SMALL, 'a');
    ck_assert_uint_eq(mapped_by_a_run(), WORKERS);
    ck_assert_uint_eq(arrays(first), 1);
    capture(SMALL, 'a'); /* the same in other memory */
    ck_assert_uint_eq(mapped_by_a_run(), 0);
    ck_assert_ptools(reduce_list("i.length", "p.add"));
    ck_assert_int_eq(reduced_number(), (int64_t)ITEMS * SMALL);
    ck_assert_uint_eq(mapped_by_a_run(), 0);
    ck_assert_uint_eq(arrays(ids), 1);
    ck_assert_uint_eq(ids[0], first[0]);
    end();
}
END_TEST

START_TEST(another_byte_is_another_segment)
{
    uint64_t a, b;

    begin(NULL);
    capture(SMALL, 'a');
    a = run();
    capture(SMALL, 'b');
    b = run();
    ck_assert_uint_ne(a, b);
    ck_assert(has(a));
    ck_assert(has(b));
    come_down_to(2);
    end();
}
END_TEST

/* Not even a function that takes the right to write to it. */
START_TEST(no_worker_can_write_to_it)
{
    ptools_pmap *map;

    begin(NULL);
    capture(SMALL, 'a');
    map = start("i.scribble");
    for (int i = 0; i < ITEMS; i++) {
        const ptools_item item = next(map);

        ck_assert_err(item.err, PTOOLS_ERR_FAILED);
        ck_assert_ptr_nonnull(strstr(item.failure->message, "mprotect"));
    }
    rest(map);
    end();
}
END_TEST

/* Two, one of which begins within the other: with one segment, which stays until both have ended. */
START_TEST(runs_at_once_share_it)
{
    uint64_t first[ARRAYS_MAX], ids[ARRAYS_MAX];
    ptools_pmap *one, *two;

    begin(NULL);
    capture(SMALL, 'a');
    one = start("i.length");
    next(one);
    ck_assert_uint_eq(arrays(first), 1);
    two = start("i.length");
    next(two);
    ck_assert_uint_eq(arrays(ids), 1);
    ptools_pmap_free(one); /* in the middle */
    ck_assert_ptools(ptools_pmap_forget(pt));
    next(two);
    ck_assert_uint_eq(arrays(ids), 1);
    ck_assert_uint_eq(ids[0], first[0]);
    rest(two);
    ck_assert_uint_eq(arrays(ids), 1);
    ck_assert_ptools(ptools_pmap_forget(pt));
    come_down_to(0);
    ck_assert_ptools(ptools_pmap_forget(pt));
    ck_assert_err(ptools_pmap_forget(NULL), PTOOLS_ERR_INVALID);
    end();
}
END_TEST

START_TEST(what_was_left_longest_ago_goes_first)
{
    uint64_t ids[KEPT];

    begin(NULL);
    for (int i = 0; i < KEPT; i++) {
        capture(SMALL, (char)('a' + i));
        ids[i] = run();
    }
    come_down_to(KEPT);
    capture(SMALL, 'a');
    (void)run();
    come_down_to(KEPT);
    capture(SMALL, 'z');
    (void)run();
    come_down_to(KEPT);
    ck_assert(has(ids[0])); /* it was used again */
    ck_assert(!has(ids[1]));
    for (int i = 2; i < KEPT; i++)
        ck_assert(has(ids[i]));
    end();
}
END_TEST

/* Together they are more than is kept; and one is by itself. */
START_TEST(not_too_many_bytes_are_kept)
{
    enum { MIB = 1 << 20 };
    uint64_t small, large;

    begin(NULL);
    capture(SMALL, 'a');
    small = run();
    capture(200 * MIB, 'a');
    large = run();
    ck_assert(has(small));
    ck_assert(has(large));
    capture(100 * MIB, 'b');
    (void)run();
    come_down_to(2);
    ck_assert(!has(large));
    capture(257 * MIB, 'c');
    (void)run();
    come_down_to(2);
    ck_assert(has(small));
    end();
}
END_TEST

/* Of bytes, or of arrays: what is kept goes, what is used does not. */
START_TEST(a_limit_is_no_obstacle)
{
    const char *const limits[][5] = { { "-o", "limits.user_shm_max=8M", NULL },
                                      { "-o", "limits.user_arrays_max=1", NULL } };
    ptools_shmcfg cfg = { .name = "x", .type = PTOOLS_UINT8, .ndims = 1, .dims = { 6000000 } };
    ptools_array *a = NULL;
    ptools_pmap *map;
    uint64_t first;

    begin(limits[_i]);
    capture(5000000, 'a');
    first = run();
    capture(5000000, 'b');
    ck_assert_uint_ne(run(), first); /* another that is captured */
    come_down_to(1);
    ck_assert_ptools(ptools_shm_create(pt, &cfg, NULL, &a)); /* another array */
    come_down_to(1);
    ck_assert_ptools(ptools_unlink_shm(pt, &cfg, 1, NULL));
    a = ptools_array_free(a);
    map = start("i.length");
    next(map);
    ck_assert_err(ptools_shm_create(pt, &cfg, NULL, &a), PTOOLS_ERR_LIMIT);
    rest(map);
    come_down_to(1);
    end();
}
END_TEST

/* A client with one that is kept, which then closes its handle, or is killed. */
START_TEST(nothing_stays_of_a_client_that_is_gone)
{
    int told[2], status;
    ptools *own;
    pid_t pid;
    char byte;

    begin(NULL);
    capture(SMALL, 'a');
    ck_assert_int_eq(pipe(told), 0);
    pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        own = server_open(&server);
        pt = own;
        (void)run();
        if (write(told[1], "", 1) != 1)
            _exit(2);
        if (_i == 1)
            for (;;)
                pause();
        ptools_close(own);
        _exit(0);
    }
    close(told[1]);
    ck_assert_int_eq(read(told[0], &byte, 1), 1);
    close(told[0]);
    if (_i == 1) {
        come_down_to(1); /* it is kept */
        ck_assert_int_eq(kill(pid, SIGKILL), 0);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(_i == 1 ? WIFSIGNALED(status) : WIFEXITED(status) && WEXITSTATUS(status) == 0);
    come_down_to(0);
    server_clean(&server, 1);
    end();
}
END_TEST

/* What was kept went with the old daemon; a run that was there goes on with a segment of the new one. */
START_TEST(another_connection_has_it_anew)
{
    char dir[sizeof server.dir];
    uint64_t ids[ARRAYS_MAX];
    ptools_pmap *map;

    begin(NULL);
    snprintf(dir, sizeof dir, "%s", server.dir);
    capture(SMALL, 'b');
    (void)run(); /* kept */
    capture(SMALL, 'a');
    map = start("i.length");
    next(map);
    ck_assert_uint_eq(arrays(ids), 2);
    ck_assert_int_eq(kill(server.pid, SIGKILL), 0);
    ck_assert_int_eq(server_end(&server), -SIGKILL);
    server_start_in(&server, dir, WORKERS, NULL);
    for (int i = 1; i < ITEMS; i++) /* those that were under way may be lost */
        (void)next(map);
    rest(map);
    come_down_to(1);
    server_whole(pt, WORKERS);
    (void)mapped_by_a_run(); /* in workers that had no item of that run, too */
    ck_assert_uint_eq(mapped_by_a_run(), 0);
    end();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pmap-captured");
    TCase *tc = suite_case(suite, "pmap");

    tcase_add_test(tc, each_worker_maps_it_once);
    tcase_add_test(tc, another_byte_is_another_segment);
    tcase_add_test(tc, no_worker_can_write_to_it);
    tcase_add_test(tc, runs_at_once_share_it);
    tcase_add_test(tc, what_was_left_longest_ago_goes_first);
    tcase_add_test(tc, not_too_many_bytes_are_kept);
    tcase_add_loop_test(tc, a_limit_is_no_obstacle, 0, 2);
    tcase_add_loop_test(tc, nothing_stays_of_a_client_that_is_gone, 0, 2);
    tcase_add_test(tc, another_connection_has_it_anew);
    return suite_run(suite);
}
