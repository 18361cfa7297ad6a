/* SPDX-License-Identifier: MIT */
/*
 * journal_store -- the database of queued tasks: journal_db.c opens it, journal_load.c reads it, journal_store.c writes
 * it. No thread of its own: journal.c has that.
 *
 * Functions that can fail return 0, JOURNAL_BAD_DATA, STORE_FULL where it says so, or -errno; store->why is then a
 * sentence.
 */
#ifndef PTOOLSD_JOURNAL_STORE_H
#define PTOOLSD_JOURNAL_STORE_H

#include <sqlite3.h>

#include "daemon/ptoolsd/journal.h"
#include "daemon/ptoolsd/journal_files.h"
#include "daemon/ptoolsd/journal_row.h"

enum { STORE_FULL = 2 };            /* no space: nothing of it was written */
enum { STORE_LOG_BYTES = 4 << 20 }; /* of the log's file, but for a time after large tasks */

enum store_statement {
    DO_BEGIN,
    DO_COMMIT,
    DO_ROLLBACK,
    DO_NEW,
    DO_UPDATE_LIFE,
    DO_INSERT_LIFE,
    DO_FORGET_TASK,
    DO_FORGET_LIFE,
    DO_PAUSE,
    DO_RESUME,
    DO_META,
    DO_PAGES,
    DO_FREE_PAGES,
    STORE_STATEMENTS
};

/* What the one row of `meta` says. It changes with each batch, in its transaction. */
struct store_meta {
    uint8_t name[JOURNAL_NAME_BYTES];
    uint64_t batch;        /* transactions so far; each start is one, too */
    uint64_t tasks, lives; /* rows there are */
    bool clean;            /* the last transaction was that of an end as it should be */
};

struct store {
    struct journal_files files;
    sqlite3_vfs vfs;
    bool vfs_registered;
    sqlite3 *db;
    sqlite3_stmt *statements[STORE_STATEMENTS];
    int version; /* of its tables, as they were found */
    struct store_meta meta;
    uint64_t synced;     /* batches up to this are */
    bool marked;         /* there is a mark that can be read */
    int synchronous;     /* as set: 1 normal, 2 full */
    int wal_frames;      /* in the log that are not in the database */
    unsigned since_look; /* batches since the free pages were counted */
    char why[JOURNAL_WHY_BYTES];
};

/* The versions of the tables: steps[v] makes v + 1 of v, and 0 is an empty database. */
struct store_schema {
    int version;
    const char *const *steps;
};
extern const struct store_schema store_schema;
enum { STORE_PAUSES = 2 }; /* the first version that has them */

/* -- journal_db.c -- */

/* May be closed in any case. schema NULL: that of this program. */
int store_open(struct store *s, const struct journal_options *options, const struct store_schema *schema);
/* Only to look: nothing is changed, and neither the mark nor the pages are looked at. *ret_had_log: else SQLite makes
 * an empty one. */
int store_open_to_look(struct store *s, const char *dir, bool *ret_had_log);
void store_close(struct store *s);
int store_exec(struct store *s, const char *sql);
/* What SQLite says about its last failure, as a code of ours and a sentence. */
int store_error(struct store *s, const char *doing);
/* What the mark says against what was found: 0 or JOURNAL_BAD_DATA. */
int store_check_mark(struct store *s);
/* PRAGMA quick_check: 0 or JOURNAL_BAD_DATA. */
int store_check_pages(struct store *s);

/* -- journal_load.c -- */

int store_read_meta(struct store *s);
uint32_t store_meta_crc(const struct store_meta *meta);
/* All rows in order: 0, JOURNAL_BAD_DATA or what the callback returned. Also counts them. */
int store_load(struct store *s, journal_loaded *callback, void *userdata);
/* The next row of a statement of these, in *ret, which is overwritten; its blobs are the caller's. 0; 1: there is one;
 * -ENOMEM; -EIO: see store_error(). *ret_damaged: it is not what was written. */
extern const char store_select_tasks[], store_select_lives[], store_select_pauses[];
int store_next_task(sqlite3_stmt *statement, struct core_row *ret, bool *ret_damaged);
int store_next_life(sqlite3_stmt *statement, struct core_row *ret, bool *ret_damaged);
int store_next_pause(sqlite3_stmt *statement, struct core_row *ret, bool *ret_damaged);
void store_row_reset(struct core_row *row);

/* -- journal_store.c -- */

/* As it is in store->meta, within a transaction. */
int store_write_meta(struct store *s);
/* From here on it is being written: not a clean end until store_end(). Once, after store_load(). */
int store_begin(struct store *s);
/* One transaction; synced if one of them is durable. STORE_FULL; else no more may be written after a failure. */
int store_write(struct store *s, const struct core_row *rows);
/* Moves the log into the database; shorten: and makes it short. STORE_FULL. */
int store_checkpoint(struct store *s, bool shorten);
/* A step of what can be done when there is nothing else to do. *ret_more: there is more. */
int store_tidy(struct store *s, bool *ret_more);
bool store_untidy(const struct store *s);
/* A clean end; store_close() is next. */
int store_end(struct store *s);

#endif
