/* SPDX-License-Identifier: MIT */
/*
 * pmap_rig -- what the tests of maps and reductions share: a daemon, a client, the items, and what became of them.
 *
 * The usual workflow: up(2), the items in `list` (and `what`), fields of `options`, map = start("p.same"), for each
 * item next_is(), ends(map), down(). down() asserts that the workers are whole again, and nothing is left. A program
 * has one daemon at a time, so all this is its own, and the names are words of its tests.
 */
#ifndef TESTS_PMAP_RIG_H
#define TESTS_PMAP_RIG_H

#include <ptools/pmap.h>

#include "tests/integration/server.h"
#include "tests/support/suite.h"

enum { WAIT_MS = 60000 };

extern struct server server;
extern ptools *pt;
extern ptools_pack *what, *list; /* the items: zip() takes both, start() the second */
extern ptools_pmap_options options;

void up(unsigned workers);
/* args: further arguments of ptoolsd, ended by NULL. */
void up_with(unsigned workers, const char *const *args);
/* For items in processes of their own. No worker is killed for what they do: kill_grace_ms is longer than a test waits.
 */
enum { ISOLATED_WORKERS = 2, ISOLATED_GRACE_MS = 20000 };
void up_isolated(void);
/* As after up(), with the same daemon. */
void anew(void);
void down(void);
/* SIGKILL; and another one in its place. */
void kill_daemon(void);
void next_daemon(void);
/* After kill_daemon(). */
void down_without_daemon(void);

/* -- items ------------------------------------------------------------------------------------------------------ */

/* So many numbers, in list. */
void numbers(int64_t first, int64_t n);
/* One for zip("p.item"): "value", "hang" ..., and its number. */
void add(const char *fate, int64_t i);
/* One for zip("p.first"): how it ends at first, "no" (well), "fail" or "kill"; dir is for the files of all. */
void add_first(const char *dir, int i, const char *how);

/* A source of numbers from `next` up to `of`, for give(). */
struct counted {
    int64_t next, of;
    const char *word;    /* not NULL: stands before each */
    int64_t first;       /* not 0: stands before each */
    int64_t gives_up_at; /* not 0: the number at which it gives up */
};
int give(ptools_pack *args, void *counted);

ptools_array *array_of(const char *name, ptools_type type, uint64_t n);

/* -- maps --------------------------------------------------------------------------------------------------------- */

ptools_pmap *start(const char *function);
ptools_pmap *zip(const char *function);
ptools_pmap *start_from(const char *function, ptools_pmap_source source, void *arg);
/* The next outcome, whatever it is. */
ptools_item next(ptools_pmap *map);
/* It is that of item i, a number, and came of one attempt. No assertion of Check for each: there are many. */
void next_is(ptools_pmap *map, int64_t i, int64_t number);
int64_t number_of(const ptools_item *item);
/* There are no more; and the map goes. */
void ends(ptools_pmap *map);
/* Each item of list has a value. */
void run_all(const char *function);
ptools_pmap_progress progress_of(ptools_pmap *map);

/* -- reductions --------------------------------------------------------------------------------------------------- */

extern ptools_reduced *reduced; /* by the last of these, until down() */

ptools_err reduce_list(const char *function, const char *op);
ptools_err reduce_zipped(const char *function, const char *op);
ptools_err reduce_from(const char *function, const char *op, ptools_pmap_source source, void *arg);
/* Its value. */
int64_t reduced_number(void);
double reduced_fraction(void);
/* The text that is expected has this number, too; and whether it is the value. */
void expect(int64_t i);
bool as_expected(void);

enum { WAYS = 10, DETERMINISTIC = WAYS / 2 };
/* Batches of each size; deterministic from way DETERMINISTIC on. */
void way(int i);

/* -- what is said, and workers --------------------------------------------------------------------------------------
 */

/* What a call came to, and what ptools_error_message() has in it, if words is not NULL. */
void came_to(ptools_err err, ptools_err wanted, const char *words);
void ck_has(const char *text, const char *part);

/* All workers, when they are idle. */
struct crew {
    size_t n;
    int32_t pids[8];
    uint64_t deaths, recycled;
};
struct crew crew_now(void);
/* They are the same processes, and none has ever died. */
void crew_is(const struct crew *then);

#endif
