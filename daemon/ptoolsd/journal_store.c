/* SPDX-License-Identifier: MIT */
/*
 * journal_store -- writing the journal: a batch of rows is one transaction. See journal_store.h.
 *
 * The transaction also counts itself and the rows there are, so that the database says what it should have, and the
 * mark beside it (journal_files.c) follows before anybody is told. A batch without a durable row is committed without
 * a sync; the next one with one syncs both, since it is one log.
 *
 * The log is moved into the database when it has grown, or when there is nothing else to do. Its file is as long as it
 * mostly becomes from the start, and stays so: a sync of what was written over takes half the time of one that makes a
 * file longer. What large tasks make it longer is cut off with the first commit after it was moved (journal_size_limit,
 * in journal_db.c). Pages that became free are used again first; what is too much of them is given back to the file
 * system in small slices. So the database's file stays within about four times what is in use.
 */
#include "daemon/ptoolsd/journal_store.h"

#include <errno.h>
#include <string.h>

enum {
    PAGE_BYTES = 4096,
    WAL_FRAMES_MAX = STORE_LOG_BYTES / (PAGE_BYTES + 24) - 32, /* less what a batch has as a rule */
    SPARE_PAGES = (8 << 20) / PAGE_BYTES,                      /* free pages that are nobody's concern */
    SPARE_PAGES_BUSY = (32 << 20) / PAGE_BYTES,
    SLICE_PAGES = 256,
    LOOK_BATCHES = 64
};

/* -- statements -------------------------------------------------------------------------------------------------- */

static int run(struct store *s, enum store_statement which)
{
    sqlite3_stmt *statement = s->statements[which];
    int r = sqlite3_step(statement) == SQLITE_DONE ? 0 : store_error(s, "cannot write");

    sqlite3_reset(statement);
    return r;
}

static void bind_u64(sqlite3_stmt *statement, int i, uint64_t v)
{
    sqlite3_bind_int64(statement, i, (sqlite3_int64)v);
}

/* The blob is there until the row is freed, which is after the transaction. */
static void bind_blob(sqlite3_stmt *statement, int i, const struct blob *blob)
{
    if (blob)
        sqlite3_bind_blob64(statement, i, blob->n ? blob->data : (const uint8_t *)"", blob->n, SQLITE_STATIC);
    else
        sqlite3_bind_null(statement, i);
}

static int write_new(struct store *s, const struct core_row *row)
{
    sqlite3_stmt *to = s->statements[DO_NEW];

    bind_u64(to, 1, row->task);
    bind_u64(to, 2, row->uid);
    bind_u64(to, 3, row->parent);
    bind_u64(to, 4, row->queued_ms);
    bind_blob(to, 5, row->spec);
    bind_blob(to, 6, row->args);
    bind_u64(to, 7, journal_row_task_crc(row));
    s->meta.tasks++;
    return run(s, DO_NEW);
}

static void bind_life(sqlite3_stmt *to, const struct core_row *row, uint32_t crc)
{
    const struct core_life *l = &row->life;
    uint64_t priority;

    memcpy(&priority, &l->priority, sizeof priority);
    bind_u64(to, 1, row->task);
    bind_u64(to, 2, l->state);
    bind_u64(to, 3, l->attempt);
    bind_u64(to, 4, l->kills);
    bind_u64(to, 5, l->losses);
    bind_u64(to, 6, l->worker);
    bind_u64(to, 7, l->flags);
    bind_u64(to, 8, priority);
    bind_u64(to, 9, l->due_ms);
    bind_u64(to, 10, l->started_ms);
    bind_u64(to, 11, l->ended_ms);
    bind_u64(to, 12, l->detail);
    bind_blob(to, 13, row->outcome);
    bind_blob(to, 14, row->value);
    bind_u64(to, 15, crc);
}

/* One that was refused has no row in `task`, and gets none in `life`. */
static int write_life(struct store *s, const struct core_row *row)
{
    uint32_t crc = journal_row_life_crc(row);
    int r;

    bind_life(s->statements[DO_UPDATE_LIFE], row, crc);
    r = run(s, DO_UPDATE_LIFE);
    if (r || sqlite3_changes(s->db) > 0)
        return r;
    bind_life(s->statements[DO_INSERT_LIFE], row, crc);
    r = run(s, DO_INSERT_LIFE);
    s->meta.lives += (uint64_t)sqlite3_changes(s->db);
    return r;
}

static int write_forget(struct store *s, const struct core_row *row)
{
    int r;

    bind_u64(s->statements[DO_FORGET_TASK], 1, row->task);
    r = run(s, DO_FORGET_TASK);
    if (r)
        return r;
    s->meta.tasks -= (uint64_t)sqlite3_changes(s->db);
    bind_u64(s->statements[DO_FORGET_LIFE], 1, row->task);
    r = run(s, DO_FORGET_LIFE);
    if (r == 0)
        s->meta.lives -= (uint64_t)sqlite3_changes(s->db);
    return r;
}

static int write_pause(struct store *s, const struct core_row *row)
{
    const enum store_statement which = row->kind == ROW_PAUSE ? DO_PAUSE : DO_RESUME;
    sqlite3_stmt *to = s->statements[which];

    bind_u64(to, 1, row->uid);
    bind_blob(to, 2, row->spec);
    if (which == DO_PAUSE)
        bind_u64(to, 3, journal_row_task_crc(row));
    return run(s, which);
}

int store_write_meta(struct store *s)
{
    sqlite3_stmt *to = s->statements[DO_META];

    sqlite3_bind_blob(to, 1, s->meta.name, JOURNAL_NAME_BYTES, SQLITE_STATIC);
    bind_u64(to, 2, s->meta.batch);
    bind_u64(to, 3, s->meta.tasks);
    bind_u64(to, 4, s->meta.lives);
    bind_u64(to, 5, s->meta.clean);
    bind_u64(to, 6, store_meta_crc(&s->meta));
    return run(s, DO_META);
}

/* -- transactions -------------------------------------------------------------------------------------------------- */

/* It cannot be changed within a transaction. */
static int set_synchronous(struct store *s, bool full)
{
    int wanted = full ? 2 : 1, r = 0;

    if (s->synchronous != wanted)
        r = store_exec(s, full ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL");
    if (r == 0)
        s->synchronous = wanted;
    return r;
}

static int write_row(struct store *s, const struct core_row *row)
{
    switch (row->kind) {
    case ROW_NEW:
        return write_new(s, row);
    case ROW_LIFE:
        return write_life(s, row);
    case ROW_FORGET:
        return write_forget(s, row);
    case ROW_PAUSE:
    case ROW_RESUME:
        return write_pause(s, row);
    }
    return -EINVAL;
}

static int transaction(struct store *s, const struct core_row *rows, bool sync, bool clean)
{
    const struct store_meta before = s->meta;
    int r = set_synchronous(s, sync);

    if (r == 0)
        r = run(s, DO_BEGIN);
    for (; r == 0 && rows; rows = rows->next)
        r = write_row(s, rows);
    s->meta.batch++;
    s->meta.clean = clean;
    if (r == 0)
        r = store_write_meta(s);
    if (r == 0)
        r = run(s, DO_COMMIT);
    if (r == 0)
        r = journal_files_same(&s->files, s->why);
    if (r == 0) {
        s->synced = sync ? s->meta.batch : s->synced;
        return 0;
    }
    s->meta = before;
    if (r == STORE_FULL && !sqlite3_get_autocommit(s->db)) {
        int rolled_back = run(s, DO_ROLLBACK);

        r = rolled_back ? rolled_back : r;
    }
    return r;
}

static struct journal_mark mark_of(const struct store *s)
{
    struct journal_mark mark = { .batch = s->meta.batch, .synced = s->synced, .clock_ms = s->files.clock_ms };

    memcpy(mark.name, s->meta.name, sizeof mark.name);
    memcpy(mark.boot, s->files.boot, sizeof mark.boot);
    return mark;
}

/* On some file systems also what only changes needs space: then the reserve helps. */
static int write_mark(struct store *s, int (*write)(struct journal_files *, const struct journal_mark *))
{
    const struct journal_mark mark = mark_of(s);
    int r = write(&s->files, &mark);

    if ((r == -ENOSPC || r == -EDQUOT) && journal_reserve_release(&s->files))
        r = write(&s->files, &mark);
    if (r < 0)
        snprintf(s->why, sizeof s->why, "cannot write %s/" JOURNAL_MARK ": %s", s->files.dir, strerror(-r));
    return r;
}

/* Zeros are no frames: SQLite reads its log up to the first thing that is none. Without space for them the log grows
 * as it is written. */
static int lengthen_log(struct store *s)
{
    static uint8_t zeros[1 << 20];
    sqlite3_file *log = NULL;
    sqlite3_int64 had = 0, bytes;
    int error = 0, n, r = sqlite3_file_control(s->db, NULL, SQLITE_FCNTL_JOURNAL_POINTER, &log);

    if (r == SQLITE_OK)
        r = log->pMethods->xFileSize(log, &had);
    for (bytes = had; r == SQLITE_OK && bytes < STORE_LOG_BYTES; bytes += n) {
        n = (int)MIN(STORE_LOG_BYTES - bytes, (sqlite3_int64)sizeof zeros);
        r = log->pMethods->xWrite(log, zeros, n, bytes);
    }
    if (r == SQLITE_OK && bytes > had)
        r = log->pMethods->xSync(log, SQLITE_SYNC_NORMAL);
    if (r == SQLITE_OK)
        return 0;
    log->pMethods->xFileControl(log, SQLITE_FCNTL_LAST_ERRNO, &error);
    if (r == SQLITE_FULL || (r == SQLITE_IOERR_WRITE && error == EDQUOT))
        return log->pMethods->xTruncate(log, had) == SQLITE_OK ? 0 : -EIO;
    snprintf(s->why, sizeof s->why, "cannot write %s/" JOURNAL_WAL ": %s (%s)", s->files.dir, sqlite3_errstr(r),
             strerror(error));
    return -EIO;
}

int store_begin(struct store *s)
{
    int r;

    journal_reserve_make(&s->files); /* without it, the space that there is must do */
    /* A journal that is being written and has no mark is refused: so there is one before, also when the power failed
     * in the midst of a birth. */
    r = s->marked ? 0 : write_mark(s, journal_mark_make);
    if (r == 0)
        r = transaction(s, NULL, true, false);
    if (r == STORE_FULL && journal_reserve_release(&s->files))
        r = transaction(s, NULL, true, false);
    if (r == 0)
        r = lengthen_log(s);
    if (r == 0)
        r = write_mark(s, journal_mark_base);
    return r == STORE_FULL ? -ENOSPC : r;
}

/* -- space --------------------------------------------------------------------------------------------------------- */

int store_checkpoint(struct store *s, bool shorten)
{
    int r = sqlite3_wal_checkpoint_v2(s->db, NULL, shorten ? SQLITE_CHECKPOINT_TRUNCATE : SQLITE_CHECKPOINT_PASSIVE,
                                      NULL, NULL);

    if (r != SQLITE_OK)
        return store_error(s, "cannot move the log into");
    s->wal_frames = 0;
    return 0;
}

static int64_t number(struct store *s, enum store_statement which)
{
    sqlite3_stmt *statement = s->statements[which];
    int64_t n = sqlite3_step(statement) == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : 0;

    sqlite3_reset(statement);
    return n;
}

/* Whether there are more free pages than that, and than `times` those in use. */
static bool too_free(struct store *s, int64_t times, int64_t spare)
{
    int64_t spared = number(s, DO_FREE_PAGES), used = number(s, DO_PAGES) - spared;

    return spared > spare && spared > times * used;
}

static int give_back(struct store *s)
{
    char sql[64];
    int r = set_synchronous(s, false);

    snprintf(sql, sizeof sql, "PRAGMA incremental_vacuum(%d)", SLICE_PAGES);
    return r ? r : store_exec(s, sql);
}

/* What must be done also when there is always something else to do. */
static int keep_small(struct store *s)
{
    int r = 0;

    if (s->since_look++ >= LOOK_BATCHES) {
        if (too_free(s, 2, SPARE_PAGES_BUSY))
            r = give_back(s);
        else
            s->since_look = 0; /* else after the next batch again */
    }
    if (r == 0 && s->wal_frames > WAL_FRAMES_MAX)
        r = store_checkpoint(s, false);
    return r == STORE_FULL ? 0 : r;
}

int store_write(struct store *s, const struct core_row *rows)
{
    bool durable = false;
    int r;

    for (const struct core_row *row = rows; row && !durable; row = row->next)
        durable = row->durable;
    r = transaction(s, rows, durable, false);
    if (r == 0)
        r = write_mark(s, journal_mark_now);
    return r ? r : keep_small(s);
}

bool store_untidy(const struct store *s)
{
    return s->wal_frames > 0;
}

int store_tidy(struct store *s, bool *ret_more)
{
    int r;

    *ret_more = too_free(s, 1, SPARE_PAGES);
    r = *ret_more ? give_back(s) : 0;
    if (r == 0 && s->wal_frames > (*ret_more ? WAL_FRAMES_MAX : 0))
        r = store_checkpoint(s, false);
    return r;
}

int store_end(struct store *s)
{
    int r = transaction(s, NULL, true, true);

    if (r == STORE_FULL && journal_reserve_release(&s->files))
        r = transaction(s, NULL, true, true);
    if (r == 0)
        r = store_checkpoint(s, true);
    if (r == STORE_FULL)
        r = 0; /* the log has it all: that it is long is no matter */
    return r ? r : write_mark(s, journal_mark_base);
}
