/* SPDX-License-Identifier: MIT */
/* pmap_rig -- see pmap_rig.h. */
#include "tests/integration/pmap_rig.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct server server;
ptools *pt;
ptools_pack *what, *list;
ptools_pmap_options options;
ptools_reduced *reduced;

static unsigned n_workers;
static const char *const *daemon_args;
static char *expected;

/* -- the daemon and its client ------------------------------------------------------------------------------------ */

void up_with(unsigned workers, const char *const *args)
{
    server_start(&server, workers, args);
    pt = server_open(&server);
    server_whole(pt, workers);
    what = ptools_pack_new();
    list = ptools_pack_new();
    n_workers = workers;
    daemon_args = args;
    anew();
}

void up(unsigned workers)
{
    up_with(workers, NULL);
}

void up_isolated(void)
{
    static const char *const args[] = { "-o", "workers.kill_grace_ms=20000", NULL };

    up_with(ISOLATED_WORKERS, args);
    options.flags = PTOOLS_PMAP_ISOLATED;
}

void anew(void)
{
    static const ptools_pmap_options none = PTOOLS_PMAP_OPTIONS_INIT;

    options = none;
    ptools_pack_reset(what);
    ptools_pack_reset(list);
}

static void close_client(void)
{
    reduced = ptools_reduced_free(reduced);
    free(expected);
    expected = NULL;
    what = ptools_pack_free(what);
    list = ptools_pack_free(list);
    pt = ptools_close(pt);
}

void down(void)
{
    server_whole(pt, n_workers);
    close_client();
    server_clean(&server, 0);
    server_stop(&server);
}

void kill_daemon(void)
{
    ck_assert_int_eq(kill(server.pid, SIGKILL), 0);
    ck_assert_int_eq(server_end(&server), -SIGKILL);
}

void next_daemon(void)
{
    char dir[sizeof server.dir];

    memcpy(dir, server.dir, sizeof dir);
    server_start_in(&server, dir, n_workers, daemon_args);
}

void down_without_daemon(void)
{
    close_client();
    temp_remove(server.dir);
    unlink(server.log);
}

/* -- items ------------------------------------------------------------------------------------------------------ */

void numbers(int64_t first, int64_t n)
{
    for (int64_t i = first; i < first + n; i++)
        ptools_pack_i64(list, i);
}

void add(const char *fate, int64_t i)
{
    ptools_pack_str(what, fate);
    ptools_pack_i64(list, i);
}

void add_first(const char *dir, int i, const char *how)
{
    char path[96];

    snprintf(path, sizeof path, "%s/%d", dir, i);
    ptools_pack_str(what, path);
    ptools_pack_str(list, how);
}

int give(ptools_pack *args, void *counted)
{
    struct counted *c = counted;

    if (c->gives_up_at && c->next == c->gives_up_at)
        return -1;
    if (c->next == c->of)
        return 0;
    if (c->word)
        ptools_pack_str(args, c->word);
    if (c->first)
        ptools_pack_i64(args, c->first);
    ptools_pack_i64(args, c->next++);
    return 1;
}

ptools_array *array_of(const char *name, ptools_type type, uint64_t n)
{
    const ptools_shmcfg cfg = { name, type, 1, { n }, PTOOLS_ROW_MAJOR };
    ptools_array *a = NULL;
    ptools_err err = ptools_shm_create(pt, &cfg, NULL, &a);

    ck_assert_msg(err == PTOOLS_OK, "%s", ptools_error_message(pt));
    return a;
}

/* -- maps --------------------------------------------------------------------------------------------------------- */

ptools_pmap *start(const char *function)
{
    const ptools_pack *const lists[] = { list };
    ptools_pmap *map = NULL;

    came_to(ptools_pmap_start(pt, function, lists, 1, &options, &map), PTOOLS_OK, NULL);
    return map;
}

ptools_pmap *zip(const char *function)
{
    const ptools_pack *const lists[] = { what, list };
    ptools_pmap *map = NULL;

    came_to(ptools_pmap_start(pt, function, lists, 2, &options, &map), PTOOLS_OK, NULL);
    return map;
}

ptools_pmap *start_from(const char *function, ptools_pmap_source source, void *arg)
{
    ptools_pmap *map = NULL;

    came_to(ptools_pmap_start_from(pt, function, source, arg, &options, &map), PTOOLS_OK, NULL);
    return map;
}

ptools_item next(ptools_pmap *map)
{
    ptools_item item;
    ptools_err err = ptools_pmap_next(map, WAIT_MS, &item);

    suite_holds(err == PTOOLS_OK, "%s: %s", ptools_errname(err), ptools_error_message(pt));
    return item;
}

int64_t number_of(const ptools_item *item)
{
    int64_t n = -1;

    suite_holds(item->err == PTOOLS_OK && ptools_get_i64(item->value, &n) == PTOOLS_OK, "item %" PRIu64 ": %s: %s",
                item->index, ptools_errname(item->err), item->failure ? item->failure->message : "it is no number");
    return n;
}

void next_is(ptools_pmap *map, int64_t i, int64_t number)
{
    const ptools_item item = next(map);
    const int64_t n = number_of(&item);

    suite_holds(item.index == (uint64_t)i, "outcome %" PRId64 " is of item %" PRIu64, i, item.index);
    suite_holds(n == number, "item %" PRId64 " is %" PRId64 ", not %" PRId64, i, n, number);
    suite_holds(item.attempts == 1 && !item.failure, "item %" PRId64 ": %u attempts", i, item.attempts);
}

void ends(ptools_pmap *map)
{
    ptools_item item;

    ck_assert_err(ptools_pmap_next(map, WAIT_MS, &item), PTOOLS_ERR_RANGE);
    ptools_pmap_free(map);
}

void run_all(const char *function)
{
    ptools_pmap *map = start(function);
    ptools_item item;
    ptools_err err;

    while ((err = ptools_pmap_next(map, WAIT_MS, &item)) == PTOOLS_OK)
        ck_assert_ptools(item.err);
    ck_assert_err(err, PTOOLS_ERR_RANGE);
    ptools_pmap_free(map);
}

ptools_pmap_progress progress_of(ptools_pmap *map)
{
    ptools_pmap_progress p;

    ck_assert_ptools(ptools_pmap_progress_read(map, &p));
    return p;
}

/* -- reductions --------------------------------------------------------------------------------------------------- */

ptools_err reduce_list(const char *function, const char *op)
{
    const ptools_pack *const lists[] = { list };

    reduced = ptools_reduced_free(reduced);
    return ptools_mapreduce(pt, function, op, lists, 1, &options, &reduced);
}

ptools_err reduce_zipped(const char *function, const char *op)
{
    const ptools_pack *const lists[] = { what, list };

    reduced = ptools_reduced_free(reduced);
    return ptools_mapreduce(pt, function, op, lists, 2, &options, &reduced);
}

ptools_err reduce_from(const char *function, const char *op, ptools_pmap_source source, void *arg)
{
    reduced = ptools_reduced_free(reduced);
    return ptools_mapreduce_from(pt, function, op, source, arg, &options, &reduced);
}

int64_t reduced_number(void)
{
    int64_t n = -1;

    ck_assert_ptr_nonnull(reduced);
    ck_assert_ptools(ptools_get_i64(reduced->value, &n));
    return n;
}

double reduced_fraction(void)
{
    double x = -1;

    ck_assert_ptr_nonnull(reduced);
    ck_assert_ptools(ptools_get_f64(reduced->value, &x));
    return x;
}

void expect(int64_t i)
{
    static size_t n, room;

    if (!expected)
        n = room = 0;
    if (room - n < 24) {
        room += 65536;
        expected = realloc(expected, room);
        ck_assert_ptr_nonnull(expected);
    }
    n += (size_t)sprintf(expected + n, "%" PRId64 ",", i);
}

bool as_expected(void)
{
    const char *s = NULL;
    size_t n = 0;

    ck_assert_ptr_nonnull(reduced);
    ck_assert_ptools(ptools_get_str(reduced->value, &s, &n));
    return expected && n == strlen(expected) && memcmp(s, expected, n) == 0;
}

void way(int i)
{
    static const uint32_t sizes[DETERMINISTIC] = { 0, 1, 3, 100, 65536 };

    options.batch_size = sizes[i % DETERMINISTIC];
    options.flags = i < DETERMINISTIC ? 0 : PTOOLS_REDUCE_DETERMINISTIC;
}

/* -- what is said, and workers --------------------------------------------------------------------------------------
 */

void came_to(ptools_err err, ptools_err wanted, const char *words)
{
    ck_assert_msg(err == wanted, "%s instead of %s: %s", ptools_errname(err), ptools_errname(wanted),
                  ptools_error_message(pt));
    if (words)
        ck_has(ptools_error_message(pt), words);
}

void ck_has(const char *text, const char *part)
{
    ck_assert_msg(strstr(text, part) != NULL, "\"%s\" does not say \"%s\"", text, part);
}

struct crew crew_now(void)
{
    ptools_worker_info *workers = NULL;
    struct crew crew = { 0 };

    server_whole(pt, n_workers);
    ck_assert_ptools(ptools_workers(pt, &workers, &crew.n));
    ck_assert_uint_eq(crew.n, n_workers);
    ck_assert_uint_le(crew.n, sizeof crew.pids / sizeof crew.pids[0]);
    for (size_t i = 0; i < crew.n; i++) {
        crew.pids[i] = workers[i].pid;
        crew.deaths += workers[i].deaths;
        crew.recycled += workers[i].recycled;
    }
    free(workers);
    return crew;
}

void crew_is(const struct crew *then)
{
    const struct crew now = crew_now();

    ck_assert_uint_eq(now.deaths, 0);
    ck_assert_uint_eq(now.n, then->n);
    ck_assert_mem_eq(now.pids, then->pids, now.n * sizeof now.pids[0]);
}
