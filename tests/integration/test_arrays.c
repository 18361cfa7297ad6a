/* SPDX-License-Identifier: MIT */
/*
 * Shared arrays and large values against a real daemon: contract.md, section 5, and what goes wrong with memory, names
 * and files.
 */
#include <complex.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/integration/server.h"
#include "tests/support/suite.h"

enum { WAIT_MS = 20000 };

static struct server server;
static ptools *pt;

static void up_with(unsigned workers, const char *const *args)
{
    server_start(&server, workers, args);
    pt = server_open(&server);
}

static void up(unsigned workers)
{
    up_with(workers, NULL);
}

static void down(void)
{
    pt = ptools_close(pt);
    server_clean(&server, 0);
    server_stop(&server);
}

#define ck_has(text, part) ck_assert_msg(strstr(text, part) != NULL, "\"%s\" does not say \"%s\"", text, part)

static ptools_array *create(const char *name, const char *prefix, uint32_t flags, uint64_t n)
{
    const ptools_shmcfg cfg = PTOOLS_SHMCFG(name, PTOOLS_INT32, n);
    ptools_shm_options options = PTOOLS_SHM_OPTIONS_INIT;
    ptools_array *a = NULL;
    ptools_err err;

    options.prefix = prefix;
    options.flags = flags;
    err = ptools_shm_create(pt, &cfg, &options, &a);
    ck_assert_msg(err == PTOOLS_OK, "%s", ptools_error_message(pt));
    return a;
}

static int32_t *ints(ptools_array *a)
{
    return ptools_array_data(a);
}

/* a.peek in a worker. */
static ptools_err peek(const char *prefix, const char *name, int64_t *ret)
{
    PTOOLS_AUTO(ptools_pack) args = ptools_pack_new();
    PTOOLS_AUTO(ptools_future) f = NULL;
    ptools_value v;
    ptools_err err;

    ptools_pack_str(args, prefix);
    ptools_pack_str(args, name);
    err = ptools_remotecall_fetch(pt, NULL, "a.peek", args, NULL, WAIT_MS, &f, &v);
    return err == PTOOLS_OK ? ptools_get_i64(v, ret) : err;
}

static void poke(const char *prefix, const char *name, int64_t v)
{
    PTOOLS_AUTO(ptools_pack) args = ptools_pack_new();

    ptools_pack_str(args, prefix);
    ptools_pack_str(args, name);
    ptools_pack_i64(args, v);
    ck_assert_ptools(ptools_remotecall_fetch(pt, NULL, "a.poke", args, NULL, WAIT_MS, NULL, NULL));
}

/* How many there are, and the value under key of the first of that name. */
static uint32_t look(const char *name, const char *key, uint64_t *ret)
{
    PTOOLS_AUTO(ptools_future) f = NULL;
    ptools_value list, row, v;
    uint32_t n = 0;

    ck_assert_ptools(ptools_inspect(pt, "arrays", &f, &list));
    ck_assert_ptools(ptools_get_count(list, &n));
    for (uint32_t i = 0; name && i < n; i++) {
        const char *s;
        size_t bytes;
        bool yes;

        ck_assert_ptools(ptools_get_item(list, i, &row));
        ck_assert_ptools(ptools_get_field(row, "name", &v));
        ck_assert_ptools(ptools_get_str(v, &s, &bytes));
        if (bytes != strlen(name) || memcmp(s, name, bytes) != 0)
            continue;
        ck_assert_ptools(ptools_get_field(row, key, &v));
        if (ptools_get_bool(v, &yes) == PTOOLS_OK)
            *ret = yes;
        else if (ptools_value_kind(v) == PTOOLS_LIST)
            *ret = (ptools_get_count(v, &n), n);
        else
            ck_assert_ptools(ptools_get_u64(v, ret));
        return n;
    }
    return n;
}

/* -- names and mappings --------------------------------------------------------------------------------- */

START_TEST(caller_and_workers_see_one_memory)
{
    int64_t v = 0;
    ptools_array *a;

    up(2);
    a = create("x", NULL, 0, 10);
    for (int i = 0; i < 10; i++)
        ck_assert_int_eq(ints(a)[i], 0);
    ints(a)[0] = 42;
    ck_assert_ptools(peek("", "x", &v));
    ck_assert_int_eq(v, 42);
    poke("", "x", 43);
    ck_assert_int_eq(ints(a)[0], 43);
    ptools_array_free(a);
    ck_assert_ptools(peek("", "x", &v)); /* unmapped here, it goes on */
    ck_assert_int_eq(v, 43);
    down();
}
END_TEST

START_TEST(all_types_orders_and_shapes)
{
    up(1);
    for (int type = PTOOLS_INT8; type <= PTOOLS_BOOLEAN; type++) {
        for (uint32_t ndims = 1; ndims <= PTOOLS_DIMS_MAX; ndims++) {
            ptools_shmcfg cfg = { "x", (ptools_type)type, ndims, { 0 }, (ptools_order)(ndims % 2) };
            ptools_array *a = NULL, *b = NULL;
            uint64_t count = 1;

            for (uint32_t i = 0; i < ndims; i++)
                count *= cfg.dims[i] = 1 + (i * 7 + (uint32_t)type) % 3;
            ck_assert_ptools(ptools_shm_create(pt, &cfg, NULL, &a));
            ck_assert_ptools(ptools_shm_map(pt, NULL, "x", PTOOLS_SHM_OWN, PTOOLS_SHM_READ_ONLY, &b));
            ck_assert_int_eq(ptools_array_type(b), type);
            ck_assert_int_eq(ptools_array_order(b), ndims % 2);
            ck_assert_uint_eq(ptools_array_ndims(b), ndims);
            ck_assert_mem_eq(ptools_array_dims(b), cfg.dims, sizeof cfg.dims[0] * ndims);
            ck_assert_uint_eq(ptools_array_count(b), count);
            ck_assert_uint_eq(ptools_array_bytes(b), count * ptools_type_bytes((ptools_type)type));
            memset(ptools_array_data(a), 1, ptools_array_bytes(a));
            ck_assert_mem_eq(ptools_array_data(a), ptools_array_data(b), ptools_array_bytes(a));
            ptools_array_free(a);
            ptools_array_free(b);
            ck_assert_ptools(ptools_unlink_shm(pt, &cfg, 1, NULL));
        }
    }
    down();
}
END_TEST

START_TEST(prefixes_keep_runs_apart)
{
    ptools_array *a, *b, *c;
    int64_t v;

    up(1);
    a = create("c", "a_b", 0, 1);
    b = create("b_c", "a", 0, 1); /* concatenated alike */
    c = create("c", NULL, 0, 1);
    *ints(a) = 1;
    *ints(b) = 2;
    *ints(c) = 3;
    ck_assert_ptools(peek("a_b", "c", &v));
    ck_assert_int_eq(v, 1);
    ck_assert_ptools(peek("a", "b_c", &v));
    ck_assert_int_eq(v, 2);
    ck_assert_ptools(peek("", "c", &v));
    ck_assert_int_eq(v, 3);
    ck_assert_ptools(ptools_unlink_shm_names(pt, (const char *[]){ "c" }, 1, "a_b"));
    ck_assert_err(peek("a_b", "c", &v), PTOOLS_ERR_NO_ARRAY);
    ck_assert_ptools(peek("", "c", &v));
    ck_assert_int_eq(*ints(a), 1); /* mapped users keep working */
    ptools_array_free(a);
    ptools_array_free(b);
    ptools_array_free(c);
    down();
}
END_TEST

START_TEST(a_name_that_is_taken)
{
    const ptools_shmcfg cfg = PTOOLS_SHMCFG("x", PTOOLS_INT32, 5);
    ptools_array *a, *b = NULL;
    int64_t v;

    up(2);
    a = create("x", NULL, 0, 5);
    *ints(a) = 7;
    ck_assert_ptools(peek("", "x", &v)); /* a worker has it mapped */
    ck_assert_err(ptools_shm_create(pt, &cfg, NULL, &b), PTOOLS_ERR_EXISTS);
    ck_has(ptools_error_message(pt), "there is an array x already");
    b = create("x", NULL, PTOOLS_SHM_REPLACE, 5);
    ck_assert_int_eq(*ints(b), 0);
    *ints(b) = 8;
    for (int i = 0; i < 4; i++) { /* no worker sees the old one */
        ck_assert_ptools(peek("", "x", &v));
        ck_assert_int_eq(v, 8);
    }
    ck_assert_int_eq(*ints(a), 7);
    ptools_array_free(a);
    ptools_array_free(b);
    down();
}
END_TEST

START_TEST(read_only_mappings_cannot_be_written)
{
    ptools_array *a, *b = NULL;
    int status;
    pid_t pid;

    up(1);
    a = create("x", NULL, 0, 5);
    ck_assert_ptools(ptools_shm_map(pt, NULL, "x", PTOOLS_SHM_OWN, PTOOLS_SHM_READ_ONLY, &b));
    ck_assert(ptools_array_read_only(b));
    ck_assert(!ptools_array_read_only(a));
    pid = fork();
    if (pid == 0) {
        signal(SIGSEGV, SIG_DFL);
        *(volatile int32_t *)ptools_array_data(b) = 1;
        _exit(0);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(!WIFEXITED(status) || WEXITSTATUS(status) != 0);
    ck_assert_int_eq(mprotect(ptools_array_data(b), 4096, PROT_READ | PROT_WRITE), -1); /* nor made writable */
    ptools_array_free(a);
    ptools_array_free(b);
    down();
}
END_TEST

START_TEST(in_all_workers_also_in_new_ones)
{
    const ptools_shmcfg cfgs[] = { PTOOLS_SHMCFG("x", PTOOLS_INT32, 4), PTOOLS_SHMCFG("y", PTOOLS_FLOAT64, 4, 4) };
    ptools_array *arrays[2] = { NULL, NULL };
    uint64_t mapped, until;

    up(3);
    ck_assert_ptools(ptools_pmap_shm_create(pt, cfgs, 2, NULL, arrays));
    ck_assert_ptools(ptools_workers_add(pt, 2, NULL));
    until = now_ms() + WAIT_MS;
    do { /* the caller and five workers */
        look("y", "mapped_by", &mapped);
        ck_assert_msg(now_ms() < until, "%" PRIu64 " have mapped it", mapped);
    } while (mapped < 6);
    ck_assert_err(ptools_pmap_shm_create(pt, cfgs, 2, NULL, arrays), PTOOLS_ERR_EXISTS);
    ck_assert_uint_eq(look(NULL, NULL, NULL), 2);
    ck_assert_ptools(ptools_unlink_shm(pt, cfgs, 2, NULL));
    ck_assert_err(ptools_unlink_shm(pt, cfgs, 2, NULL), PTOOLS_ERR_NO_ARRAY);
    ck_assert_uint_eq(look(NULL, NULL, NULL), 0);
    ptools_array_free(arrays[0]);
    ptools_array_free(arrays[1]);
    pt = ptools_close(pt); /* two workers more than at the start: not down() */
    server_stop(&server);
}
END_TEST

START_TEST(creating_several_is_all_or_nothing)
{
    const ptools_shmcfg cfgs[] = { PTOOLS_SHMCFG("x", PTOOLS_INT32, 4), PTOOLS_SHMCFG("y", PTOOLS_INT32, 4) };
    ptools_array *arrays[2], *y;

    up(1);
    y = create("y", NULL, 0, 4);
    ck_assert_err(ptools_pmap_shm_create(pt, cfgs, 2, NULL, arrays), PTOOLS_ERR_EXISTS);
    ck_assert_uint_eq(look(NULL, NULL, NULL), 1);
    ptools_array_free(y);
    down();
}
END_TEST

/* -- life ------------------------------------------------------------------------------------------------- */

START_TEST(an_array_ends_with_its_connection_unless_it_is_kept)
{
    const ptools_shmcfg cfg = PTOOLS_SHMCFG("short", PTOOLS_INT32, 4);
    const ptools_shmcfg long_cfg = PTOOLS_SHMCFG("long", PTOOLS_INT32, 4);
    ptools_shm_options options = PTOOLS_SHM_OPTIONS_INIT;
    ptools_array *gone, *kept, *brief = NULL, *lasting = NULL, *again = NULL;
    uint64_t n, until;

    up(1);
    gone = create("gone", NULL, 0, 4);
    kept = create("kept", NULL, PTOOLS_SHM_KEEP, 4);
    options.flags = PTOOLS_SHM_KEEP;
    options.keep_ms = 3600000;
    ck_assert_ptools(ptools_shm_create(pt, &long_cfg, &options, &lasting));
    look("long", "ends_in_ms", &n);
    ck_assert(n > 0 && n <= 3600000);
    options.keep_ms = 400;
    ck_assert_ptools(ptools_shm_create(pt, &cfg, &options, &brief));
    *ints(gone) = 5;
    *ints(kept) = 6;
    ptools_close(pt);
    ck_assert_int_eq(*ints(gone), 5); /* what is mapped stays usable */
    ptools_array_free(gone);
    ptools_array_free(kept);
    ptools_array_free(brief);
    ptools_array_free(lasting);

    pt = server_open(&server);
    ck_assert_err(ptools_shm_map(pt, NULL, "gone", PTOOLS_SHM_OWN, 0, &again), PTOOLS_ERR_NO_ARRAY);
    ck_assert_str_eq(ptools_error_message(pt), "no array gone");
    ck_assert_ptools(ptools_shm_map(pt, NULL, "kept", PTOOLS_SHM_OWN, 0, &again));
    ck_assert_int_eq(*ints(again), 6);
    ptools_array_free(again);
    until = now_ms() + WAIT_MS;
    while (look(NULL, NULL, NULL) > 2)
        ck_assert_msg(now_ms() < until, "an array outlives its time");
    ck_assert_ptools(ptools_unlink_shm_names(pt, (const char *[]){ "kept", "long" }, 2, NULL));
    down();
}
END_TEST

START_TEST(the_map_tells_what_it_knows)
{
    ptools_array *a;
    uint64_t n = 99;

    up(1);
    a = create("x", "p", 0, 100000);
    look("x", "bytes", &n);
    ck_assert_uint_eq(n, 400000);
    look("x", "resident_bytes", &n);
    ck_assert_uint_eq(n, 401408); /* wholly reserved, in pages */
    look("x", "uid", &n);
    ck_assert_uint_eq(n, getuid());
    look("x", "client_pid", &n);
    ck_assert_uint_eq(n, (uint64_t)getpid());
    look("x", "mapped_by", &n);
    ck_assert_uint_eq(n, 1);
    ptools_array_free(a);
    look("x", "mapped_by", &n);
    ck_assert_uint_eq(n, 0);
    down();
}
END_TEST

/* The line of /proc/self/maps about that address is in ret. */
static void mapping_of(const void *data, char *ret, size_t bytes)
{
    FILE *f = fopen("/proc/self/maps", "re");
    uintptr_t first, end;

    ck_assert_ptr_nonnull(f);
    do
        ck_assert_ptr_nonnull(fgets(ret, (int)bytes, f));
    while (sscanf(ret, "%" SCNxPTR "-%" SCNxPTR, &first, &end) != 2 || (uintptr_t)data < first ||
           (uintptr_t)data >= end);
    fclose(f);
}

START_TEST(nothing_is_left_in_shared_memory)
{
    ptools_array *a;
    char line[512];

    up(1);
    a = create("x", NULL, PTOOLS_SHM_KEEP | PTOOLS_SHM_POPULATE | PTOOLS_SHM_HUGE, 1 << 20);
    mapping_of(ints(a), line, sizeof line);
    ck_assert_msg(strstr(line, "/memfd:"), "it has a name: %s", line); /* and no other process can find it */
    ck_assert_int_eq(ints(a)[(1 << 20) - 1], 0);
    ptools_array_free(a);
    ck_assert_ptools(ptools_unlink_shm_names(pt, (const char *[]){ "x" }, 1, NULL));
    down();
}
END_TEST

/* -- refusals ---------------------------------------------------------------------------------------------- */

static void refused(const ptools_shmcfg *cfg, const ptools_shm_options *options, ptools_err code, const char *part)
{
    ptools_array *a = NULL;
    ptools_err err = ptools_shm_create(pt, cfg, options, &a);

    ck_assert_msg(err == code, "%s: %s, expected %s (%s)", ptools_errname(err), ptools_error_message(pt),
                  ptools_errname(code), part);
    ck_assert_ptr_null(a);
    ck_has(ptools_error_message(pt), part);
}

START_TEST(wrong_shapes_and_names)
{
    ptools_shmcfg cfg = PTOOLS_SHMCFG("x", PTOOLS_FLOAT64, 2, 3);
    ptools_shm_options options = PTOOLS_SHM_OPTIONS_INIT;

    up(1);
    cfg.dims[1] = 0;
    refused(&cfg, NULL, PTOOLS_ERR_INVALID, "dimension 2 is 0");
    cfg.dims[0] = cfg.dims[1] = UINT64_C(1) << 32;
    refused(&cfg, NULL, PTOOLS_ERR_INVALID, "multiply to more than");
    cfg.dims[0] = cfg.dims[1] = 2;
    cfg.ndims = 9;
    refused(&cfg, NULL, PTOOLS_ERR_INVALID, "1 to 8 dimensions, not 9");
    cfg.ndims = 0;
    refused(&cfg, NULL, PTOOLS_ERR_INVALID, "1 to 8 dimensions, not 0");
    cfg.ndims = 2;
    cfg.type = (ptools_type)99;
    refused(&cfg, NULL, PTOOLS_ERR_INVALID, "type 99 is none");
    cfg.type = PTOOLS_INT8;
    cfg.order = (ptools_order)7;
    refused(&cfg, NULL, PTOOLS_ERR_INVALID, "order 7");
    cfg.order = PTOOLS_ROW_MAJOR;
    cfg.name = "a/b";
    refused(&cfg, NULL, PTOOLS_ERR_INVALID, "\"a/b\" is no name for an array");
    cfg.name = "";
    refused(&cfg, NULL, PTOOLS_ERR_INVALID, "is no name for an array");
    cfg.name = NULL;
    refused(&cfg, NULL, PTOOLS_ERR_INVALID, "(NULL)");
    cfg.name = "x";
    options.prefix = "p/q";
    refused(&cfg, &options, PTOOLS_ERR_INVALID, "\"p/q\" is no prefix");
    options.prefix = NULL;
    options.flags = 1024;
    refused(&cfg, &options, PTOOLS_ERR_INVALID, "unknown bits 0x400");
    options.flags = 0;
    options.keep_ms = 5;
    refused(&cfg, &options, PTOOLS_ERR_INVALID, "keep_ms");
    ck_assert_uint_eq(look(NULL, NULL, NULL), 0);
    down();
}
END_TEST

START_TEST(over_a_quota)
{
    const char *const args[] = { "-o", "limits.user_shm_max=8M", "-o", "limits.user_arrays_max=3", NULL };
    ptools_shmcfg cfg = PTOOLS_SHMCFG("big", PTOOLS_INT8, 7000000);
    ptools_array *a;

    up_with(1, args);
    a = create("half", NULL, 0, 1 << 20);
    refused(&cfg, NULL, PTOOLS_ERR_LIMIT,
            "over the limit user_shm_max: 7000000 bytes asked for, 4194304 free, the limit is 8388608");
    ptools_array_free(a);
    refused(&cfg, NULL, PTOOLS_ERR_LIMIT, "user_shm_max"); /* it is still there */
    ck_assert_ptools(ptools_unlink_shm_names(pt, (const char *[]){ "half" }, 1, NULL));
    ck_assert_ptools(ptools_shm_create(pt, &cfg, NULL, &a));
    ptools_array_free(a);
    a = create("b", NULL, 0, 1);
    ptools_array_free(a);
    a = create("c", NULL, 0, 1);
    ptools_array_free(a);
    cfg = (ptools_shmcfg)PTOOLS_SHMCFG("d", PTOOLS_INT8, 1);
    refused(&cfg, NULL, PTOOLS_ERR_LIMIT, "user_arrays_max: 3 of 3 in use, 1 more asked for");
    down();
}
END_TEST

START_TEST(more_than_the_machine_has)
{
    const char *const args[] = { "-o", "limits.user_shm_max=0", "-o", "limits.shm_max=0", NULL };
    const ptools_shmcfg cfg = PTOOLS_SHMCFG("huge", PTOOLS_FLOAT64, UINT64_C(1) << 42);
    int64_t v = 0;
    ptools_array *a;

    up_with(1, args);
    refused(&cfg, NULL, PTOOLS_ERR_NO_SPACE, "35184372088832 bytes asked for");
    ck_has(ptools_error_message(pt), " free, the limit is ");
    a = create("small", NULL, 0, 1); /* it goes on */
    ck_assert_ptools(peek("", "small", &v));
    ptools_array_free(a);
    down();
}
END_TEST

START_TEST(a_worker_that_wants_another_type)
{
    const ptools_shmcfg cfg = PTOOLS_SHMCFG("f", PTOOLS_FLOAT32, 3);
    ptools_array *a = NULL;
    int64_t v;

    up(1);
    ck_assert_ptools(ptools_shm_create(pt, &cfg, NULL, &a));
    ck_assert_err(peek("", "f", &v), PTOOLS_ERR_MISMATCH);
    ck_assert_str_eq(ptools_error_message(pt), "array f is float32[3]; a.peek wants int32");
    ck_assert_err(peek("", "g", &v), PTOOLS_ERR_NO_ARRAY);
    ck_assert_str_eq(ptools_error_message(pt), "no array g");
    ck_assert_err(peek("", "a/b", &v), PTOOLS_ERR_FAILED);
    ck_has(ptools_error_message(pt), "\"a/b\"");
    ptools_array_free(a);
    down();
}
END_TEST

/* -- views -------------------------------------------------------------------------------------------------- */

static double sum(const ptools_view *view)
{
    PTOOLS_AUTO(ptools_pack) args = ptools_pack_new();
    PTOOLS_AUTO(ptools_future) f = NULL;
    ptools_value v;
    double x;

    ptools_pack_view(args, view);
    ck_assert_ptools(ptools_remotecall_fetch(pt, NULL, "a.sum", args, NULL, WAIT_MS, &f, &v));
    ck_assert_ptools(ptools_get_f64(v, &x));
    return x;
}

START_TEST(rows_columns_and_ranges_as_arguments)
{
    up(1);
    for (int order = 0; order < 2; order++) {
        ptools_shmcfg cfg = PTOOLS_SHMCFG("m", PTOOLS_FLOAT64, 3, 4);
        PTOOLS_AUTO(ptools_pack) args = ptools_pack_new();
        ptools_array *a = NULL;
        ptools_view all, v;

        cfg.order = (ptools_order)order;
        ck_assert_ptools(ptools_shm_create(pt, &cfg, NULL, &a));
        ptools_view_of(a, &all);
        for (uint64_t i = 0; i < 3; i++)
            for (uint64_t k = 0; k < 4; k++)
                *(double *)ptools_view_at(&all, (const uint64_t[]){ i, k }) = (double)(10 * i + k);
        ck_assert_double_eq(sum(&all), 138);
        v = all;
        ck_assert_ptools(ptools_view_index(&v, 0, 2)); /* row 2: 20 21 22 23 */
        ck_assert_double_eq(sum(&v), 86);
        ck_assert_ptools(ptools_view_step(&v, 0, 2)); /* 20 22 */
        ck_assert_double_eq(sum(&v), 42);
        v = all;
        ck_assert_ptools(ptools_view_index(&v, 1, 3)); /* column 3: 3 13 23 */
        ck_assert_double_eq(sum(&v), 39);
        ck_assert_ptools(ptools_view_range(&v, 0, 1, 2)); /* 13 23 */
        ck_assert_double_eq(sum(&v), 36);
        ck_assert_err(ptools_view_range(&v, 0, 1, 2), PTOOLS_ERR_RANGE);
        ptools_pack_view(args, &v);
        ptools_pack_f64(args, 2);
        ck_assert_ptools(ptools_remotecall_fetch(pt, NULL, "a.scale", args, NULL, WAIT_MS, NULL, NULL));
        ck_assert_double_eq(*(double *)ptools_view_at(&all, (const uint64_t[]){ 2, 3 }), 46); /* without a copy */
        ck_assert_double_eq(*(double *)ptools_view_at(&all, (const uint64_t[]){ 0, 3 }), 3);
        ptools_array_free(a);
        ck_assert_ptools(ptools_unlink_shm(pt, &cfg, 1, NULL));
    }
    down();
}
END_TEST

START_TEST(wrong_views_are_refused)
{
    const ptools_shmcfg cfg = PTOOLS_SHMCFG("v", PTOOLS_FLOAT64, 10);
    PTOOLS_AUTO(ptools_pack) args = ptools_pack_new();
    ptools_array *a = NULL;
    ptools_view v;

    up(1);
    ptools_pack_i64(args, 5);
    ck_assert_err(ptools_remotecall_fetch(pt, NULL, "a.sum", args, NULL, WAIT_MS, NULL, NULL), PTOOLS_ERR_BAD_ARGUMENT);
    ck_has(ptools_error_message(pt), "argument 1 of a.sum must be a shared array, not the integer");
    ck_assert_ptools(ptools_shm_create(pt, &cfg, NULL, &a));
    ptools_view_of(a, &v);
    v.dims[0] = 11;
    ptools_pack_reset(args);
    ptools_pack_view(args, &v);
    ck_assert_err(ptools_remotecall_fetch(pt, NULL, "a.sum", args, NULL, WAIT_MS, NULL, NULL), PTOOLS_ERR_BAD_ARGUMENT);
    ck_has(ptools_error_message(pt), "the view is no part of the array");
    ck_assert_ptools(ptools_unlink_shm(pt, &cfg, 1, NULL));
    ptools_pack_reset(args);
    ptools_pack_array(args, a);
    ck_assert_err(ptools_remotecall_fetch(pt, NULL, "a.sum", args, NULL, WAIT_MS, NULL, NULL), PTOOLS_ERR_BAD_ARGUMENT);
    ck_has(ptools_error_message(pt), "no array");
    ptools_array_free(a);
    down();
}
END_TEST

/* -- files -------------------------------------------------------------------------------------------------- */

START_TEST(arrays_in_files)
{
    const ptools_shmcfg cfg = PTOOLS_SHMCFG("f", PTOOLS_INT32, 2000);
    ptools_shm_options options = PTOOLS_SHM_OPTIONS_INIT;
    char dir[64], path[128];
    ptools_array *a = NULL;
    struct stat st;
    int32_t *back;
    int64_t v;

    temp_dir(dir, sizeof dir);
    snprintf(path, sizeof path, "%s/data", dir);
    up(1);
    options.file = path;
    refused(&cfg, &options, PTOOLS_ERR_BAD_FILE, "cannot be opened: No such file");
    options.file_mode = "x";
    refused(&cfg, &options, PTOOLS_ERR_INVALID, "file_mode is \"x\": r, r+, w+ or a+");
    options.file_mode = "w+";
    options.file_offset = 100;
    refused(&cfg, &options, PTOOLS_ERR_INVALID, "file_offset is 100");
    options.file_offset = 4096;
    ck_assert_ptools(ptools_shm_create(pt, &cfg, &options, &a));
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_int_eq(st.st_size, 4096 + 8000);
    ints(a)[1999] = 5;
    poke("", "f", 77);
    ck_assert_int_eq(*ints(a), 77);
    ptools_array_free(a);
    ck_assert_ptools(ptools_unlink_shm(pt, &cfg, 1, NULL));
    back = (int32_t *)(void *)slurp(path);
    ck_assert_int_eq(back[1024], 77); /* the file stays */
    ck_assert_int_eq(back[1024 + 1999], 5);
    free(back);

    options.file_mode = "r";
    ck_assert_ptools(ptools_shm_create(pt, &cfg, &options, &a));
    ck_assert(ptools_array_read_only(a));
    ck_assert_int_eq(ints(a)[1999], 5);
    ck_assert_ptools(peek("", "f", &v));
    ck_assert_int_eq(v, 77);
    ptools_array_free(a);
    ck_assert_ptools(ptools_unlink_shm(pt, &cfg, 1, NULL));

    options.file_mode = "a+";
    options.file_offset = 8192; /* grows */
    ck_assert_ptools(ptools_shm_create(pt, &cfg, &options, &a));
    ck_assert_int_eq(ints(a)[(4096 + 1999 * 4 - 8192) / 4], 5);
    ptools_array_free(a);
    options.flags = PTOOLS_SHM_REPLACE;
    options.file_mode = "w+";
    ck_assert_ptools(ptools_shm_create(pt, &cfg, &options, &a));
    for (int i = 0; i < 2000; i++)
        ck_assert_int_eq(ints(a)[i], 0);
    ptools_array_free(a);
    options.flags = 0;
    options.file_offset = 4096 * 100;
    ck_assert_int_eq(stat(path, &st), 0);
    v = st.st_size;
    refused(&cfg, &options, PTOOLS_ERR_EXISTS, "already");
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_int_eq(st.st_size, v); /* it is as long as it was */
    snprintf(path + strlen(path), 8, ".fifo");
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    options.file_mode = "r";
    refused(&cfg, &options, PTOOLS_ERR_BAD_FILE, "is not a regular file"); /* and nobody waits for a writer */
    options.file = dir;
    options.file_mode = "r";
    options.file_offset = 0;
    refused(&cfg, &options, PTOOLS_ERR_BAD_FILE, "is not a regular file");
    down();
    temp_remove(dir);
}
END_TEST

START_TEST(a_file_that_shrinks)
{
    const ptools_shmcfg cfg = PTOOLS_SHMCFG("f", PTOOLS_INT32, 100000);
    ptools_shm_options options = PTOOLS_SHM_OPTIONS_INIT;
    char dir[64], path[128];
    ptools_array *a = NULL, *b = NULL;
    int64_t v;

    temp_dir(dir, sizeof dir);
    snprintf(path, sizeof path, "%s/data", dir);
    up(1);
    options.file = path;
    options.file_mode = "w+";
    ck_assert_ptools(ptools_shm_create(pt, &cfg, &options, &a));
    ck_assert_ptools(peek("", "f", &v)); /* the worker has it mapped */
    ck_assert_int_eq(truncate(path, 0), 0);
    ck_assert_err(peek("", "f", &v), PTOOLS_ERR_WORKER_DIED); /* that task alone */
    ck_assert_int_eq(ptools_last_failure(pt)->signal, SIGBUS);
    ck_assert_err(peek("", "f", &v), PTOOLS_ERR_BAD_FILE); /* a new worker is told before it maps */
    ck_has(ptools_error_message(pt), "has become too short: 0 bytes; 400000 from 0 on are needed");
    ck_assert_err(ptools_shm_map(pt, NULL, "f", PTOOLS_SHM_OWN, 0, &b), PTOOLS_ERR_BAD_FILE);
    ck_assert_ptools(ptools_remotecall_fetch(pt, NULL, "t.id", NULL, NULL, WAIT_MS, NULL, NULL));
    ptools_array_free(a);
    refused(&cfg, &(ptools_shm_options){ .struct_size = sizeof options, .file = path, .prefix = "p" },
            PTOOLS_ERR_BAD_FILE, "has 0 bytes; 400000 from 0 on are needed");
    down();
    temp_remove(dir);
}
END_TEST

/* -- large values ---------------------------------------------------------------------------------------------- */

static void echo(size_t bytes)
{
    PTOOLS_AUTO(ptools_pack) args = ptools_pack_new();
    PTOOLS_AUTO(ptools_future) f = NULL;
    uint8_t *data = malloc(bytes);
    const void *back;
    ptools_value v;
    size_t n;

    for (size_t i = 0; i < bytes; i++)
        data[i] = (uint8_t)(i * 7 % 253);
    ptools_pack_bytes(args, data, bytes);
    ck_assert_ptools(ptools_remotecall_fetch(pt, NULL, "a.echo", args, NULL, WAIT_MS, &f, &v));
    ck_assert_ptools(ptools_get_bytes(v, &back, &n));
    ck_assert_uint_eq(n, bytes);
    ck_assert_int_eq(memcmp(back, data, n), 0);
    free(data);
}

START_TEST(large_arguments_and_values_go_unnoticed)
{
    const char *const args[] = { "-o", "limits.message_max=3M", "-o", "limits.client_output_max=3M", NULL };
    PTOOLS_AUTO(ptools_pack) size = ptools_pack_new();
    PTOOLS_AUTO(ptools_future) kept = NULL;
    uint64_t n = 0;
    const void *back;
    size_t bytes, wrong = 0;
    ptools_value v;

    up_with(2, args);
    for (int round = 0; round < 3; round++) {
        echo(100);
        echo((1 << 20) - 100);
        echo((1 << 20) + 100);
        echo(20000000); /* more than a message may have */
    }
    ck_assert_uint_le(look(NULL, NULL, NULL), 9); /* a few are kept for the next */
    ptools_pack_i64(size, 5000000);
    ck_assert_ptools(ptools_remotecall_fetch(pt, NULL, "a.bytes", size, NULL, WAIT_MS, &kept, &v));
    pt = ptools_close(pt);
    ck_assert_ptools(ptools_get_bytes(v, &back, &bytes)); /* the future keeps its value */
    ck_assert_uint_eq(bytes, 5000000);
    for (size_t i = 0; i < bytes; i++) /* Check writes to a file for each assertion: one for all of them */
        wrong += ((const uint8_t *)back)[i] != i % 251;
    ck_assert_uint_eq(wrong, 0);
    kept = ptools_future_free(kept);
    pt = server_open(&server);
    ck_assert_uint_eq(look("x", "bytes", &n), 0);
    down();
}
END_TEST

START_TEST(many_large_calls_at_once)
{
    enum { CALLS = 20, BYTES = 2000000 };
    ptools_future *futures[CALLS];
    uint8_t *data = malloc(BYTES);

    up(2);
    for (int i = 0; i < CALLS; i++) {
        PTOOLS_AUTO(ptools_pack) args = ptools_pack_new();

        memset(data, i, BYTES);
        ptools_pack_bytes(args, data, BYTES);
        ck_assert_ptools(ptools_remotecall(pt, NULL, "a.echo", args, NULL, &futures[i]));
    }
    futures[3] = ptools_future_free(futures[3]); /* nobody waits for this one */
    for (int i = 0; i < CALLS; i++) {
        const uint8_t *back;
        ptools_value v;
        size_t n;

        if (!futures[i])
            continue;
        ck_assert_ptools(ptools_future_fetch(futures[i], WAIT_MS, &v));
        ck_assert_ptools(ptools_get_bytes(v, (const void **)&back, &n));
        ck_assert_uint_eq(n, BYTES);
        ck_assert(back[0] == i && back[n - 1] == i);
    }
    for (int i = 0; i < CALLS; i++)
        ptools_future_free(futures[i]);
    free(data);
    down();
}
END_TEST

/* Without memory for it, a large value goes through the socket. */
START_TEST(large_values_without_a_quota)
{
    const char *const args[] = { "-o", "limits.user_shm_max=1M", NULL };

    up_with(1, args);
    for (int round = 0; round < 3; round++)
        echo(3000000);
    ck_assert_ptr_null(ptools_last_failure(pt)); /* that is no failure */
    down();
}
END_TEST

START_TEST(a_death_with_large_arguments_leaves_nothing)
{
    PTOOLS_AUTO(ptools_pack) args = ptools_pack_new();
    uint8_t *data = calloc(1, 3000000);
    uint64_t n = 0;

    up(1);
    ptools_pack_i64(args, SIGKILL);
    ptools_pack_bytes(args, data, 3000000);
    for (int i = 0; i < 5; i++)
        ck_assert_err(ptools_remotecall_fetch(pt, NULL, "a.dies", args, NULL, WAIT_MS, NULL, NULL),
                      PTOOLS_ERR_WORKER_DIED);
    ck_assert_uint_le(look("x", "bytes", &n), 1);
    free(data);
    down();
}
END_TEST

/* -- clients ------------------------------------------------------------------------------------------------------ */

START_TEST(two_clients_with_the_same_names)
{
    const ptools_shmcfg cfg = PTOOLS_SHMCFG("x", PTOOLS_INT32, 4);
    ptools_shm_options options = PTOOLS_SHM_OPTIONS_INIT;
    ptools_array *mine = NULL, *theirs = NULL, *shared = NULL;
    ptools *other;

    up(1);
    other = server_open(&server);
    options.prefix = "one";
    ck_assert_ptools(ptools_shm_create(pt, &cfg, &options, &mine));
    ck_assert_err(ptools_shm_create(other, &cfg, &options, &theirs), PTOOLS_ERR_EXISTS); /* the same prefix */
    options.prefix = "two";
    ck_assert_ptools(ptools_shm_create(other, &cfg, &options, &theirs));
    *ints(mine) = 1;
    *ints(theirs) = 2;
    ck_assert_ptools(ptools_shm_map(other, "one", "x", PTOOLS_SHM_OWN, 0, &shared)); /* of one user: it may */
    ck_assert_int_eq(*ints(shared), 1);
    *ints(shared) = 3;
    ck_assert_int_eq(*ints(mine), 3);
    ptools_array_free(shared);
    ptools_array_free(theirs);
    ptools_array_free(mine);
    ptools_close(other);
    down();
}
END_TEST

START_TEST(a_forked_child_may_use_and_unmap_but_not_ask)
{
    ptools_array *a, *b = NULL;
    int status = -1;
    pid_t pid;

    up(1);
    a = create("x", NULL, 0, 4);
    pid = fork();
    if (pid == 0) {
        bool good = ptools_shm_map(pt, NULL, "x", PTOOLS_SHM_OWN, 0, &b) == PTOOLS_ERR_FORKED;

        *ints(a) = 9;
        ptools_array_free(a);
        _exit(good ? 0 : 1);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    ck_assert_int_eq(*ints(a), 9);
    ptools_array_free(a);
    down();
}
END_TEST

START_TEST(descriptors_are_kept_for_others)
{
    char name[16] = "n0";
    const ptools_shmcfg cfg = PTOOLS_SHMCFG(name, PTOOLS_INT32, 1);
    struct rlimit low = { 200, 200 };
    ptools_array *a[200];
    ptools_err err;
    ptools *other;
    unsigned n = 0;

    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &low), 0);
    up(1);
    while ((err = ptools_shm_create(pt, &cfg, NULL, &a[n])) == PTOOLS_OK) {
        ck_assert_uint_lt(++n, 200);
        snprintf(name, sizeof name, "n%u", n);
    }
    ck_assert_err(err, PTOOLS_ERR_LIMIT);
    ck_has(ptools_error_message(pt), "RLIMIT_NOFILE");
    ck_assert_uint_gt(n, 50);
    other = server_open(&server);
    ptools_close(other);
    while (n > 0)
        ptools_array_free(a[--n]);
    down();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("arrays");
    TCase *tc = suite_case(suite, "arrays");

    tcase_add_test(tc, caller_and_workers_see_one_memory);
    tcase_add_test(tc, all_types_orders_and_shapes);
    tcase_add_test(tc, prefixes_keep_runs_apart);
    tcase_add_test(tc, a_name_that_is_taken);
    tcase_add_test(tc, read_only_mappings_cannot_be_written);
    tcase_add_test(tc, in_all_workers_also_in_new_ones);
    tcase_add_test(tc, creating_several_is_all_or_nothing);
    tcase_add_test(tc, an_array_ends_with_its_connection_unless_it_is_kept);
    tcase_add_test(tc, the_map_tells_what_it_knows);
    tcase_add_test(tc, nothing_is_left_in_shared_memory);
    tcase_add_test(tc, wrong_shapes_and_names);
    tcase_add_test(tc, over_a_quota);
    tcase_add_test(tc, more_than_the_machine_has);
    tcase_add_test(tc, a_worker_that_wants_another_type);
    tcase_add_test(tc, rows_columns_and_ranges_as_arguments);
    tcase_add_test(tc, wrong_views_are_refused);
    tcase_add_test(tc, arrays_in_files);
    tcase_add_test(tc, a_file_that_shrinks);
    tcase_add_test(tc, large_arguments_and_values_go_unnoticed);
    tcase_add_test(tc, many_large_calls_at_once);
    tcase_add_test(tc, large_values_without_a_quota);
    tcase_add_test(tc, a_death_with_large_arguments_leaves_nothing);
    tcase_add_test(tc, two_clients_with_the_same_names);
    tcase_add_test(tc, a_forked_child_may_use_and_unmap_but_not_ask);
    tcase_add_test(tc, descriptors_are_kept_for_others);
    return suite_run(suite);
}
