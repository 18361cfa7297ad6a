/* SPDX-License-Identifier: MIT */
/*
 * journal_db -- opening the journal's database. See journal_store.h.
 *
 * There is one connection, and its lock is exclusive before the log is touched: so SQLite's index of the log lies in
 * this process's memory, no file of it is mapped (none can be cut short under us), nobody else can open it, and what
 * goes wrong between two connections cannot. The log is moved into the database only when we say so, also not at the
 * end: a database that is refused is left as it was found, for whoever wants to save what it has.
 *
 * SQLite opens files by name. So that it opens those in the directory that was checked, whatever becomes of the
 * directory's name, it is given names below /proc/self/fd, by a VFS that does nothing but not to resolve them. (It
 * opens with O_NOFOLLOW: a symbolic link in place of a file is refused.)
 *
 * Tables have a version, in the database's user_version. An older one is brought up to date in one transaction, a
 * newer one is refused.
 */
#include "daemon/ptoolsd/journal_store.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

/* Each row has a checksum over its columns (journal_row.c). priority is the bits of the double: a REAL would not
 * come back as it was (-0). run_us is core_life.detail: the time was never there, but in the outcome. */
static const char version_1[] =
    "CREATE TABLE meta (id INTEGER PRIMARY KEY, name BLOB NOT NULL, batch INTEGER NOT NULL, tasks INTEGER NOT NULL,"
    " lives INTEGER NOT NULL, clean INTEGER NOT NULL, crc INTEGER NOT NULL);"
    "CREATE TABLE task (id INTEGER PRIMARY KEY, uid INTEGER NOT NULL, parent INTEGER NOT NULL,"
    " queued_ms INTEGER NOT NULL, spec BLOB NOT NULL, args BLOB, crc INTEGER NOT NULL);"
    "CREATE TABLE life (id INTEGER PRIMARY KEY, state INTEGER NOT NULL, attempt INTEGER NOT NULL,"
    " kills INTEGER NOT NULL, losses INTEGER NOT NULL, worker INTEGER NOT NULL, flags INTEGER NOT NULL,"
    " priority INTEGER NOT NULL, due_ms INTEGER NOT NULL, started_ms INTEGER NOT NULL, ended_ms INTEGER NOT NULL,"
    " run_us INTEGER NOT NULL, outcome BLOB, value BLOB, crc INTEGER NOT NULL);";
static const char version_2[] =
    "CREATE TABLE pause (uid INTEGER NOT NULL, tag BLOB NOT NULL, crc INTEGER NOT NULL, PRIMARY KEY (uid, tag));";
static const char *const steps[] = { version_1, version_2 };
const struct store_schema store_schema = { ELEMENTS(steps), steps };

static const char update_life[] =
    "UPDATE life SET state=?2, attempt=?3, kills=?4, losses=?5, worker=?6, flags=?7, priority=?8, due_ms=?9,"
    " started_ms=?10, ended_ms=?11, run_us=?12, outcome=?13, value=?14, crc=?15 WHERE id=?1";
static const char insert_life[] =
    "INSERT INTO life SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15"
    " WHERE EXISTS (SELECT 1 FROM task WHERE id=?1)";
static const char *const statements[STORE_STATEMENTS] = {
    [DO_BEGIN] = "BEGIN IMMEDIATE",
    [DO_COMMIT] = "COMMIT",
    [DO_ROLLBACK] = "ROLLBACK",
    [DO_NEW] = "INSERT INTO task VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    [DO_UPDATE_LIFE] = update_life,
    [DO_INSERT_LIFE] = insert_life,
    [DO_FORGET_TASK] = "DELETE FROM task WHERE id=?1",
    [DO_FORGET_LIFE] = "DELETE FROM life WHERE id=?1",
    [DO_PAUSE] = "INSERT OR REPLACE INTO pause VALUES (?1, ?2, ?3)",
    [DO_RESUME] = "DELETE FROM pause WHERE uid=?1 AND tag=?2",
    [DO_META] = "INSERT OR REPLACE INTO meta VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6)",
    [DO_PAGES] = "PRAGMA page_count",
    [DO_FREE_PAGES] = "PRAGMA freelist_count",
};

/* -- errors ---------------------------------------------------------------------------------------------------- */

int store_error(struct store *s, const char *doing)
{
    int code = sqlite3_extended_errcode(s->db), system = sqlite3_system_errno(s->db);
    bool no_space = system == ENOSPC || system == EDQUOT;

    switch (code & 0xff) {
    case SQLITE_FULL:
        system = ENOSPC;
        break;
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
        break;
    default:
        system = 0;
    }
    snprintf(s->why, sizeof s->why, "%s %s/" JOURNAL_DB ": %s%s%s%s", doing, s->files.dir, sqlite3_errmsg(s->db),
             system ? " (" : "", system ? strerror(system) : "", system ? ")" : "");
    switch (code & 0xff) {
    case SQLITE_FULL:
        return STORE_FULL;
    case SQLITE_IOERR:
        return code == SQLITE_IOERR_NOMEM ? -ENOMEM : code == SQLITE_IOERR_WRITE && no_space ? STORE_FULL : -EIO;
    case SQLITE_NOMEM:
        return -ENOMEM;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return -EBUSY;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_ERROR: /* a table, or a column, is not there */
    case SQLITE_CONSTRAINT:
    case SQLITE_MISMATCH:
        return JOURNAL_BAD_DATA;
    case SQLITE_READONLY:
        return -EROFS;
    case SQLITE_TOOBIG:
        return -EFBIG;
    case SQLITE_CANTOPEN:
        return system ? -system : -EIO;
    default:
        return -EIO;
    }
}

int store_exec(struct store *s, const char *sql)
{
    return sqlite3_exec(s->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : store_error(s, "cannot set up");
}

static int bad_data(struct store *s, const char *what)
{
    snprintf(s->why, sizeof s->why, "%s/" JOURNAL_DB ": %s", s->files.dir, what);
    return JOURNAL_BAD_DATA;
}

/* The number, or -1, that a statement gives. */
static int64_t number_of(struct store *s, const char *sql)
{
    sqlite3_stmt *statement;
    int64_t n = -1;

    if (sqlite3_prepare_v2(s->db, sql, -1, &statement, NULL) != SQLITE_OK)
        return -1;
    if (sqlite3_step(statement) == SQLITE_ROW)
        n = sqlite3_column_int64(statement, 0);
    return sqlite3_finalize(statement) == SQLITE_OK ? n : -1;
}

/* -- the connection ---------------------------------------------------------------------------------------------- */

static int name_as_it_is(sqlite3_vfs *vfs, const char *name, int room, char *ret)
{
    (void)vfs;
    return snprintf(ret, (size_t)room, "%s", name) < room ? SQLITE_OK : SQLITE_CANTOPEN;
}

static int on_wal(void *userdata, sqlite3 *db, const char *name, int frames)
{
    struct store *s = userdata;

    (void)db;
    (void)name;
    s->wal_frames = frames;
    return SQLITE_OK;
}

static int connect(struct store *s, const char *below)
{
    sqlite3_vfs *base = sqlite3_vfs_find(below);
    char path[64];

    if (!base) {
        snprintf(s->why, sizeof s->why, "SQLite has no way to files%s%s", below ? " named " : "", below ? below : "");
        return -ENOENT;
    }
    s->vfs = *base;
    s->vfs.zName = "ptools-journal";
    s->vfs.xFullPathname = name_as_it_is;
    s->vfs.pNext = NULL;
    sqlite3_vfs_register(&s->vfs, 0);
    s->vfs_registered = true;
    snprintf(path, sizeof path, "/proc/self/fd/%d/" JOURNAL_DB, s->files.dir_fd);
    if (sqlite3_open_v2(path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
                        s->vfs.zName) != SQLITE_OK)
        return s->db ? store_error(s, "cannot open") : -ENOMEM;
    sqlite3_db_config(s->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    sqlite3_db_config(s->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_wal_hook(s->db, on_wal, s);
    return store_exec(s, "PRAGMA locking_mode=EXCLUSIVE; PRAGMA cell_size_check=ON; PRAGMA trusted_schema=OFF;"
                         "PRAGMA temp_store=MEMORY; PRAGMA mmap_size=0; PRAGMA cache_size=-16384;"
                         "PRAGMA secure_delete=OFF; PRAGMA synchronous=FULL;");
}

/* The mode stays with the file; and no checkpoint is ever made but by us. */
static int use_log(struct store *s)
{
    sqlite3_stmt *statement = NULL;
    char sql[128];
    bool wal;
    int r;

    snprintf(sql, sizeof sql, "PRAGMA wal_autocheckpoint=0; PRAGMA journal_size_limit=%d;", STORE_LOG_BYTES);
    r = store_exec(s, sql);
    if (r)
        return r;
    if (sqlite3_prepare_v2(s->db, "PRAGMA journal_mode=WAL", -1, &statement, NULL) != SQLITE_OK)
        return store_error(s, "cannot set up");
    wal = sqlite3_step(statement) == SQLITE_ROW && strcmp((const char *)sqlite3_column_text(statement, 0), "wal") == 0;
    if (sqlite3_finalize(statement) != SQLITE_OK)
        return store_error(s, "cannot set up");
    if (!wal)
        return bad_data(s, "SQLite cannot use a write-ahead log here");
    sqlite3_wal_hook(s->db, on_wal, s); /* wal_autocheckpoint sets a hook, too */
    return 0;
}

/* -- versions ---------------------------------------------------------------------------------------------------- */

static int prepare(struct store *s)
{
    for (int i = 0; i < STORE_STATEMENTS; i++)
        if (!s->statements[i] && sqlite3_prepare_v3(s->db, statements[i], -1, SQLITE_PREPARE_PERSISTENT,
                                                    &s->statements[i], NULL) != SQLITE_OK)
            return store_error(s, "cannot use the tables of");
    return 0;
}

/* All steps that are missing, and for a new database its birth, at once. */
static int migrate(struct store *s, const struct store_schema *schema, int version)
{
    char sql[64];
    int r = store_exec(s, "BEGIN IMMEDIATE");

    for (int v = version; r == 0 && v < schema->version; v++)
        r = store_exec(s, schema->steps[v]);
    snprintf(sql, sizeof sql, "PRAGMA user_version=%d", schema->version);
    if (r == 0)
        r = store_exec(s, sql);
    if (r == 0)
        r = prepare(s);
    if (r == 0 && version == 0)
        r = store_write_meta(s);
    return r ? r : store_exec(s, "COMMIT");
}

/* -- the mark ------------------------------------------------------------------------------------------------------ */

struct proof {
    bool exists;
    int n; /* marks that can be read */
    struct journal_mark marks[2];
    uint64_t batch; /* the last one that is known to have been written */
    uint64_t any;   /* ... or was, at least until the power failed */
};

/* Where the machine does not say which of its starts this is, the power may have failed since. */
static bool knows_boot(const struct journal_files *f)
{
    static const uint8_t unknown[BOOT_ID_BYTES];

    return memcmp(f->boot, unknown, BOOT_ID_BYTES) != 0;
}

static int find_proof(struct store *s, struct proof *ret)
{
    *ret = (struct proof){ .n = 0 };
    ret->n = journal_mark_read(&s->files, ret->marks, &ret->exists);
    if (ret->n < 0) {
        snprintf(s->why, sizeof s->why, "cannot read %s/" JOURNAL_MARK ": %s", s->files.dir, strerror(-ret->n));
        return ret->n;
    }
    for (int i = 0; i < ret->n; i++) {
        const struct journal_mark *m = &ret->marks[i];
        const bool this_boot = knows_boot(&s->files) && memcmp(m->boot, s->files.boot, BOOT_ID_BYTES) == 0;

        if (this_boot && m->clock_ms)
            s->files.clock_ms = m->clock_ms;
        ret->batch = MAX(ret->batch, this_boot ? m->batch : m->synced);
        ret->any = MAX(ret->any, m->batch);
    }
    return 0;
}

int store_check_mark(struct store *s)
{
    struct proof proof;
    int r = find_proof(s, &proof);

    if (r)
        return r;
    s->marked = proof.n > 0;
    for (int i = 0; i < proof.n; i++)
        if (memcmp(proof.marks[i].name, s->meta.name, JOURNAL_NAME_BYTES) != 0)
            return bad_data(s, "it is another database than the one that " JOURNAL_MARK " belongs to");
    if (proof.batch > s->meta.batch) {
        snprintf(s->why, sizeof s->why,
                 "%s/" JOURNAL_DB ": recorded tasks are missing: it has the changes up to number %llu, but up to %llu "
                 "were recorded",
                 s->files.dir, (unsigned long long)s->meta.batch, (unsigned long long)proof.batch);
        return JOURNAL_BAD_DATA;
    }
    if (proof.n == 0 && s->meta.batch > 0 && !s->meta.clean) {
        snprintf(s->why, sizeof s->why,
                 "%s/" JOURNAL_MARK " %s, and the last ptoolsd did not end by itself: whether recorded tasks are "
                 "missing cannot be told",
                 s->files.dir, proof.exists ? "is damaged" : "is missing");
        return JOURNAL_BAD_DATA;
    }
    return 0;
}

int store_check_pages(struct store *s)
{
    sqlite3_stmt *statement;
    const char *said = "nothing";
    int r;

    if (sqlite3_prepare_v2(s->db, "PRAGMA quick_check(1)", -1, &statement, NULL) != SQLITE_OK)
        return store_error(s, "cannot check");
    r = sqlite3_step(statement);
    if (r == SQLITE_ROW)
        said = (const char *)sqlite3_column_text(statement, 0);
    if (r == SQLITE_ROW && said && strcmp(said, "ok") == 0)
        r = 0;
    else if (r == SQLITE_ROW)
        r = bad_data(s, said ? said : "out of memory");
    else
        r = store_error(s, "cannot check");
    sqlite3_finalize(statement);
    return r;
}

/* -- opening ------------------------------------------------------------------------------------------------------- */

/* A database without tables: new, or one that was lost. */
static int create(struct store *s, const struct store_schema *schema)
{
    struct journal_mark mark = { .clock_ms = s->files.clock_ms };
    struct proof proof;
    int64_t tables;
    int r = find_proof(s, &proof);

    if (r)
        return r;
    if (proof.any > 0)
        return bad_data(s, "its tables are missing, but " JOURNAL_MARK " says that tasks were recorded in it");
    tables = number_of(s, "SELECT count(*) FROM sqlite_schema");
    if (tables < 0)
        return store_error(s, "cannot read");
    if (tables > 0)
        return bad_data(s, "it is not a journal of ptoolsd");
    if (s->files.read_only)
        return bad_data(s, "it has no tables");
    if (getrandom(s->meta.name, JOURNAL_NAME_BYTES, 0) != JOURNAL_NAME_BYTES)
        return -errno;
    r = store_exec(s, "PRAGMA auto_vacuum=INCREMENTAL"); /* for good; on one that has tables it would write each time */
    if (r == 0)
        r = use_log(s);
    if (r == 0)
        r = migrate(s, schema, 0);
    if (r)
        return r;
    memcpy(mark.name, s->meta.name, sizeof mark.name);
    memcpy(mark.boot, s->files.boot, sizeof mark.boot);
    r = journal_mark_make(&s->files, &mark);
    if (r < 0)
        snprintf(s->why, sizeof s->why, "cannot write %s/" JOURNAL_MARK ": %s", s->files.dir, strerror(-r));
    s->marked = true;
    return r;
}

/* Before SQLite sees it: one that is empty, or not there, is new, unless something says that it was not. SQLite would
 * take it for new, and remove the log that may have all of it. */
static int check_born(struct store *s)
{
    uint64_t bytes = 0, log_bytes = 0;
    const int have = journal_files_have(&s->files, JOURNAL_DB, &bytes, s->why);
    struct proof proof;
    int r = have < 0 ? have : find_proof(s, &proof);

    if (r < 0 || bytes > 0)
        return r;
    r = journal_files_have(&s->files, JOURNAL_WAL, &log_bytes, s->why);
    if (r < 0)
        return r;
    if (proof.any > 0 || log_bytes > 0 || (proof.exists && proof.n == 0)) {
        snprintf(s->why, sizeof s->why, "%s/" JOURNAL_DB " is %s, but %s says that tasks were recorded in it",
                 s->files.dir, have ? "empty" : "missing", log_bytes > 0 ? JOURNAL_WAL : JOURNAL_MARK);
        return JOURNAL_BAD_DATA;
    }
    if (s->files.read_only) {
        snprintf(s->why, sizeof s->why, "there is no journal in %s", s->files.dir);
        return -ENOENT;
    }
    r = journal_files_sync_names(&s->files, s->why); /* now: when it has tables it is not asked again */
    return r || have ? r : journal_files_make_db(&s->files, s->why);
}

static int open_tables(struct store *s, const struct store_schema *schema)
{
    int64_t version = number_of(s, "PRAGMA user_version");
    int r;

    if (version < 0)
        return store_error(s, "cannot read");
    if (version > schema->version) {
        snprintf(s->why, sizeof s->why,
                 "%s/" JOURNAL_DB " has version %lld, of a newer ptoolsd; this one knows versions up to %d",
                 s->files.dir, (long long)version, schema->version);
        return -EPROTONOSUPPORT;
    }
    s->version = (int)version;
    if (version == 0)
        return create(s, schema);
    r = store_read_meta(s);
    if (r || s->files.read_only)
        return r;
    r = store_check_mark(s);
    if (r == 0 && !s->meta.clean)
        r = store_check_pages(s);
    if (r == 0)
        r = use_log(s);
    if (r == 0 && version < schema->version)
        r = migrate(s, schema, (int)version);
    return r ? r : prepare(s);
}

static void init(struct store *s)
{
    memset(s, 0, sizeof *s);
    journal_files_init(&s->files);
    s->synchronous = 2;
}

int store_open(struct store *s, const struct journal_options *options, const struct store_schema *schema)
{
    int r;

    init(s);
    r = journal_files_open(&s->files, options, false, s->why);
    if (r == 0)
        r = check_born(s);
    if (r == 0)
        r = connect(s, options->vfs);
    if (r == 0)
        r = open_tables(s, schema ? schema : &store_schema);
    if (r == STORE_FULL && journal_reserve_release(&s->files)) /* the disk was full when the last daemon died, too */
        r = open_tables(s, schema ? schema : &store_schema);
    if (r == 0)
        r = journal_files_same(&s->files, s->why);
    return r == STORE_FULL ? -ENOSPC : r;
}

int store_open_to_look(struct store *s, const char *dir, bool *ret_had_log)
{
    const struct journal_options options = { .dir = dir };
    uint64_t bytes;
    int r;

    init(s);
    r = journal_files_open(&s->files, &options, true, s->why);
    *ret_had_log = r == 0 && journal_files_have(&s->files, JOURNAL_WAL, &bytes, s->why) != 0;
    if (r == 0)
        r = check_born(s);
    if (r == 0)
        r = connect(s, NULL);
    if (r == 0)
        r = store_exec(s, "PRAGMA query_only=ON; PRAGMA wal_autocheckpoint=0");
    if (r == 0)
        r = open_tables(s, &store_schema);
    return r;
}

void store_close(struct store *s)
{
    for (int i = 0; i < STORE_STATEMENTS; i++)
        sqlite3_finalize(s->statements[i]);
    if (s->db)
        sqlite3_close(s->db);
    if (s->vfs_registered)
        sqlite3_vfs_unregister(&s->vfs);
    journal_files_deinit(&s->files);
    init(s);
}
