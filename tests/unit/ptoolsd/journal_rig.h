/* SPDX-License-Identifier: MIT */
/*
 * journal_rig -- what the tests of the journal share: a state directory, rows whose contents follow from their number,
 * and a look at what a journal has when it is opened anew.
 */
#ifndef TESTS_JOURNAL_RIG_H
#define TESTS_JOURNAL_RIG_H

#include "daemon/ptoolsd/journal.h"
#include "daemon/ptoolsd/journal_store.h"

extern char rig_dir[64]; /* the state directory of the running test */
extern char rig_why[JOURNAL_WHY_BYTES];

/* A directory of its own for each test, removed at its end; for tcase_add_checked_fixture(). */
void rig_begin(void);
void rig_end(void);
void rig_remove(const char *dir);
void rig_copy(const char *from, const char *to); /* the files of a directory */
const char *rig_file(const char *name);          /* in rig_dir; until the next call but three */

/* Rows: all of them follow from the task and, of lives, from the attempt. */
struct core_row *rig_new(uint64_t number, uint64_t task, bool durable);
struct core_row *rig_life(uint64_t number, uint64_t task, uint32_t attempt, bool durable);
struct core_row *rig_forget(uint64_t number, uint64_t task);

/* What a journal has: for each task, 0: it is not there, 1: without a life, 1 + attempt. Fails the test if a row is
 * not what rig_new() and rig_life() make. */
enum { RIG_TASKS = 20000 };
struct rig_seen {
    uint64_t tasks;
    uint32_t state[RIG_TASKS];
};
int rig_look(void *seen, const struct core_row *task, const struct core_row *life, char why[JOURNAL_WHY_BYTES]);

struct journal *rig_open(const struct journal_options *options); /* must succeed; with journal_load() */
/* Opens, loads and leaves it as it was: what journal_open() or journal_load() returned. */
int rig_peek(const struct journal_options *options, struct rig_seen *ret);
/* Waits for the thread until rows up to this number are recorded, or it has failed. The numbers of those that were
 * refused are counted and kept; news.refused is NULL. */
extern uint64_t rig_refused[RIG_TASKS];
extern size_t rig_n_refused;
extern const char *rig_why_refused; /* the last */
struct journal_news rig_wait(struct journal *j, uint64_t number);

#endif
