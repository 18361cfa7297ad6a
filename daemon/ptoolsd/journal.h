/* SPDX-License-Identifier: MIT */
/*
 * journal -- what must be known again after the daemon's, or the machine's, death: the rows of queued tasks, in
 * STATE_DIR/journal.db. See journal.c for how, journal_store.h for the file.
 *
 *     journal_open(), journal_load(), journal_start()       at the start: one after the other
 *     journal_put(), ..., journal_turn()                    in each turn: never waits for a disk
 *     journal_fd() is readable: journal_collect()           how far it is recorded
 *     journal_close() or journal_abandon()                  at the end
 *
 * A row is recorded when it is written into the database and the kernel has it; if it is `durable`, when it is
 * synced. Rows are recorded in their order. What was told as recorded is there after kill -9; what was durable is
 * there after power loss. If it is not, the next journal_open() or journal_load() says so with JOURNAL_BAD_DATA, and
 * does not begin with less than there was.
 *
 * All functions are for one thread, the loop's. The rows and their blobs are freed in it alone: blobs count their
 * references without atomics.
 */
#ifndef PTOOLSD_JOURNAL_H
#define PTOOLSD_JOURNAL_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "daemon/core/core.h"

struct journal;

enum { JOURNAL_WHY_BYTES = 768 };
/* Beside 0 and -errno: the data are damaged, or some are missing. The program ends with JOURNAL_EXIT_BAD_DATA. */
enum { JOURNAL_BAD_DATA = 1 };
enum { JOURNAL_EXIT_BAD_DATA = 65, JOURNAL_EXIT_FAILED = 74 }; /* EX_DATAERR, EX_IOERR of sysexits.h */
/* The bytes of one row: spec, args, outcome, value. With more, what is refusable is refused. */
#define JOURNAL_ROW_BYTES_MAX (UINT64_C(512) << 20)

struct journal_options {
    const char *dir;        /* borrowed for the life of the journal */
    bool make_parents;      /* of dir; without, only its last component may be missing */
    uint64_t reserve_bytes; /* kept from others for what may not be refused; 0: 16 MiB */
    uint64_t clock_ms;      /* what the time of day was, by today's clock, when CLOCK_MONOTONIC was 0 */
    /* for tests */
    const char *vfs;     /* SQLite's name of what is below; NULL: the usual */
    const char *boot_id; /* NULL: the machine's */
};

/* Makes the directory if it is missing, locks it, opens the database (which it makes if there was none) and checks
 * it. 0; JOURNAL_BAD_DATA; -EBUSY: another daemon has it; -errno. On failure why tells, and nothing was changed. */
int journal_open(const struct journal_options *options, struct journal **ret, char why[JOURNAL_WHY_BYTES]);
/* Every task in the order of the numbers, with its life, or NULL if it has not changed since it was submitted. The
 * rows are the journal's; a blob that is kept needs a reference. The callback returns 0; a positive number if the row
 * makes no sense, then why tells (that is JOURNAL_BAD_DATA); or -errno. Once, before journal_start(). */
/* Pauses come first, each as a task of kind ROW_PAUSE. */
typedef int journal_loaded(void *userdata, const struct core_row *task, const struct core_row *life,
                           char why[JOURNAL_WHY_BYTES]);
int journal_load(struct journal *j, journal_loaded *callback, void *userdata, char why[JOURNAL_WHY_BYTES]);
/* The same, as it was when this start of the machine first had a journal here: so long as the machine runs, times that
 * are counted from there are right, whatever was done to its clock. */
uint64_t journal_clock_ms(const struct journal *j);
/* From here on the database belongs to the journal's thread. From here on nobody may fork without exec. */
int journal_start(struct journal *j, char why[JOURNAL_WHY_BYTES]);

/* Numbers grow by one from row to row. */
void journal_put(struct journal *j, struct core_row *take);
/* Hands what was put to the thread. Costs nothing if nothing was. */
void journal_turn(struct journal *j);
/* Rows that are not recorded yet. */
bool journal_pending(const struct journal *j);

int journal_fd(const struct journal *j);
struct journal_news {
    uint64_t recorded; /* rows up to this number are, but for those that were refused */
    const struct core_row *refused; /* list of those that were, since the last time; until the next journal_collect() */
    bool failed;     /* for good: nothing more is ever recorded */
    const char *why; /* it failed: a sentence */
};
void journal_collect(struct journal *j, struct journal_news *ret);
/* Why this row was refused: a sentence. */
const char *journal_why_refused(const struct core_row *row);

/* Records what was put, marks the end as a clean one, and frees. 0, or -errno and why: then not all is recorded. */
int journal_close(struct journal *j, char why[JOURNAL_WHY_BYTES]);
/* Frees without recording anything more. Accepts NULL, returns NULL. */
struct journal *journal_abandon(struct journal *j);

/* -- for administrators: nothing is changed; refused while a daemon has it ------------------------------------- */

/* Looks at everything, says on out what is there and on err what is wrong. The exit status: 0; 65; 1: it could not
 * look. */
int journal_check(const char *dir, FILE *out, FILE *err);
/* Writes what can be read as JSON, a line a task, and on err what is wrong. The same exit status. */
int journal_export(const char *dir, FILE *out, FILE *err);

#endif
