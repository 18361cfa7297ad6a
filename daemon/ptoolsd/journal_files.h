/* SPDX-License-Identifier: MIT */
/*
 * journal_files -- what is in the state directory beside the database: the lock, the mark, the reserve. See
 * journal_files.c.
 */
#ifndef PTOOLSD_JOURNAL_FILES_H
#define PTOOLSD_JOURNAL_FILES_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/ptoolsd/journal.h"

#define JOURNAL_DB      "journal.db"
#define JOURNAL_WAL     JOURNAL_DB "-wal"
#define JOURNAL_MARK    "journal.mark"
#define JOURNAL_LOCK    "journal.lock"
#define JOURNAL_RESERVE "journal.ballast"
enum { JOURNAL_NAME_BYTES = 16, BOOT_ID_BYTES = 16 };

/* What is said outside the database about what was written into it. */
struct journal_mark {
    uint8_t name[JOURNAL_NAME_BYTES]; /* of the database: drawn at its birth */
    uint8_t boot[BOOT_ID_BYTES];      /* of the machine's start in which this was written */
    uint64_t batch;                   /* the last one that was written ... */
    uint64_t synced;                  /* ... and that was synced */
    uint64_t clock_ms;                /* see journal_clock_ms() */
};

struct file_identity {
    dev_t dev;
    ino_t ino;
};

struct journal_files {
    const char *dir; /* borrowed */
    int dir_fd, lock_fd, mark_fd, reserve_fd;
    bool read_only; /* only to look: nothing is made or changed */
    uint8_t boot[BOOT_ID_BYTES];
    uint64_t clock_ms;
    uint64_t reserve_bytes;
    bool reserve_used;            /* it was there, and was given back */
    struct file_identity db, wal, mark; /* once they were seen */
};

void journal_files_init(struct journal_files *f);
void journal_files_deinit(struct journal_files *f);

/* The directory, the lock, and that every file of ours is what it should be. read_only: only to look, so they must be
 * there. 0, JOURNAL_BAD_DATA or -errno; why tells. */
int journal_files_open(struct journal_files *f, const struct journal_options *options, bool read_only,
                       char why[JOURNAL_WHY_BYTES]);
/* Syncs the directory's own name, and the names of those above it. */
int journal_files_sync_names(struct journal_files *f, char why[JOURNAL_WHY_BYTES]);
/* An empty database, for SQLite to fill; -EEXIST: there is one. */
int journal_files_make_db(struct journal_files *f, char why[JOURNAL_WHY_BYTES]);
/* 1: a file is there, of that size; 0: it is not; -errno: nobody can say, and why tells. */
int journal_files_have(const struct journal_files *f, const char *name, uint64_t *ret_bytes,
                       char why[JOURNAL_WHY_BYTES]);
/* Database and mark are still those that were opened, and where they were. 0; -ESTALE, or another -errno if nobody can
 * say: why tells. */
int journal_files_same(struct journal_files *f, char why[JOURNAL_WHY_BYTES]);

/* The marks that can be read: 0 to 2 of them. *ret_exists: there is a file. -errno. */
int journal_mark_read(struct journal_files *f, struct journal_mark ret[2], bool *ret_exists);
/* Both, synced; makes the file. */
int journal_mark_make(struct journal_files *f, const struct journal_mark *mark);
/* The one that is synced, at the beginning and the end. */
int journal_mark_base(struct journal_files *f, const struct journal_mark *mark);
/* The one that is not, after each batch. */
int journal_mark_now(struct journal_files *f, const struct journal_mark *mark);

/* Makes the reserve, where there is twice as much room. true: it is there. */
bool journal_reserve_make(struct journal_files *f);
/* Gives its room to the database. false: there was none. */
bool journal_reserve_release(struct journal_files *f);

#endif
