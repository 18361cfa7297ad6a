/* SPDX-License-Identifier: MIT */
/*
 * disk -- see disk.h. Of each file it keeps what was synced last, and every write and truncation since. When the power
 * fails, the file is what was synced, and of what came after a random part: writes are taken apart into sectors of 512
 * bytes, each of which made it or did not. A file that was never synced may be missing.
 */
#include "tests/unit/ptoolsd/disk.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/util.h"

enum { SECTOR = 512, FILES_MAX = 3 };

struct change {
    struct change *next;
    sqlite3_int64 at;
    int n; /* -1: cut to `at` bytes */
    uint8_t data[];
};

struct tracked {
    char name[40];
    bool there, synced_once;
    uint8_t *synced;
    size_t n;
    struct change *first, **last;
};

struct disk_file {
    sqlite3_file file; /* first */
    struct tracked *t;
    sqlite3_file *real;
};

struct disk disk;
static struct tracked tracked[FILES_MAX];
static sqlite3_vfs vfs, *below;

/* Not of Check: the simulation uses this disk, too, and is no test of it. */
static void must(bool so)
{
    if (so)
        return;
    fprintf(stderr, "disk: a call below the tests has failed, or there was no memory\n");
    abort();
}

static void forget_changes(struct tracked *t)
{
    while (t->first) {
        struct change *c = t->first;

        t->first = c->next;
        free(c);
    }
    t->last = &t->first;
}

static struct tracked *track(const char *path)
{
    const char *name = strrchr(path, '/') + 1;
    struct tracked *t;

    for (t = tracked; t < tracked + FILES_MAX && t->name[0]; t++)
        if (strcmp(t->name, name) == 0)
            return t;
    must(t < tracked + FILES_MAX);
    snprintf(t->name, sizeof t->name, "%s", name);
    t->last = &t->first;
    return t;
}

static void note(struct tracked *t, sqlite3_int64 at, int n, const void *data)
{
    struct change *c = malloc(sizeof *c + (size_t)MAX(n, 0));

    must(c != NULL);
    *c = (struct change){ .at = at, .n = n };
    if (n > 0)
        memcpy(c->data, data, (size_t)n);
    *t->last = c;
    t->last = &c->next;
}

/* -- calls that count ---------------------------------------------------------------------------------------------- */

/* Before each of them. SQLITE_OK, or how it fails: for lack of space only writes do. */
static int count(bool writes)
{
    disk.calls++;
    if (disk.lose_at && disk.calls == disk.lose_at) {
        disk.lost = true;
        if (disk.losing)
            disk.losing();
        disk_lose(disk.lose_into);
    }
    if (!disk.fail_at || (disk.fail_on ? disk.calls < disk.fail_at : disk.calls != disk.fail_at))
        return SQLITE_OK;
    if (disk.fail_with == SQLITE_FULL && !writes)
        return SQLITE_OK;
    disk.failed = true;
    return disk.fail_with;
}

static int code_of(int r, int code)
{
    return r == SQLITE_IOERR ? code : r;
}

static int do_write(sqlite3_file *file, const void *data, int n, sqlite3_int64 at)
{
    struct disk_file *f = (struct disk_file *)file;
    int r = count(true);

    if (r)
        return code_of(r, SQLITE_IOERR_WRITE);
    note(f->t, at, n, data);
    return f->real->pMethods->xWrite(f->real, data, n, at);
}

static int do_truncate(sqlite3_file *file, sqlite3_int64 n)
{
    struct disk_file *f = (struct disk_file *)file;
    int r = count(false);

    if (r)
        return code_of(r, SQLITE_IOERR_TRUNCATE);
    note(f->t, n, -1, NULL);
    return f->real->pMethods->xTruncate(f->real, n);
}

static int do_sync(sqlite3_file *file, int flags)
{
    struct disk_file *f = (struct disk_file *)file;
    sqlite3_int64 n;
    int r = count(false);

    (void)flags;
    disk.syncs++;
    if (r)
        return code_of(r, SQLITE_IOERR_FSYNC);
    if (disk.ignore_sync)
        return SQLITE_OK;
    must(f->real->pMethods->xFileSize(f->real, &n) == SQLITE_OK);
    free(f->t->synced);
    f->t->synced = malloc((size_t)n + 1);
    must(f->t->synced != NULL);
    f->t->n = (size_t)n;
    if (n > 0)
        must(f->real->pMethods->xRead(f->real, f->t->synced, (int)n, 0) == SQLITE_OK);
    f->t->synced_once = true;
    forget_changes(f->t);
    return SQLITE_OK;
}

/* -- calls that go through ----------------------------------------------------------------------------------------- */

#define REAL(file) (((struct disk_file *)(file))->real)
static int do_close(sqlite3_file *file)
{
    return REAL(file)->pMethods->xClose(REAL(file));
}

static int do_read(sqlite3_file *file, void *data, int n, sqlite3_int64 at)
{
    return REAL(file)->pMethods->xRead(REAL(file), data, n, at);
}

static int do_size(sqlite3_file *file, sqlite3_int64 *ret)
{
    return REAL(file)->pMethods->xFileSize(REAL(file), ret);
}

static int do_lock(sqlite3_file *file, int level)
{
    return REAL(file)->pMethods->xLock(REAL(file), level);
}

static int do_unlock(sqlite3_file *file, int level)
{
    return REAL(file)->pMethods->xUnlock(REAL(file), level);
}

static int do_reserved(sqlite3_file *file, int *ret)
{
    return REAL(file)->pMethods->xCheckReservedLock(REAL(file), ret);
}

static int do_control(sqlite3_file *file, int what, void *arg)
{
    return REAL(file)->pMethods->xFileControl(REAL(file), what, arg);
}

static int do_sector(sqlite3_file *file)
{
    (void)file;
    return SECTOR;
}

/* As SQLite's own for Unix: what is beside a sector that is torn stays. Without, SQLite fills the sector behind a
 * commit with copies of it, and where these find no space, the commit is there although it failed. */
static int do_promises(sqlite3_file *file)
{
    (void)file;
    return SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

/* What was there before the disk was begun has been there long enough to be synced. */
static void know(struct disk_file *f)
{
    sqlite3_int64 n;

    must(f->real->pMethods->xFileSize(f->real, &n) == SQLITE_OK);
    if (n == 0)
        return;
    f->t->synced = malloc((size_t)n);
    must(f->t->synced != NULL);
    must(f->real->pMethods->xRead(f->real, f->t->synced, (int)n, 0) == SQLITE_OK);
    f->t->n = (size_t)n;
    f->t->synced_once = true;
}

static int do_open(sqlite3_vfs *v, const char *path, sqlite3_file *file, int flags, int *ret_flags)
{
    static const sqlite3_io_methods methods = {
        .iVersion = 1,
        .xClose = do_close,
        .xRead = do_read,
        .xWrite = do_write,
        .xTruncate = do_truncate,
        .xSync = do_sync,
        .xFileSize = do_size,
        .xLock = do_lock,
        .xUnlock = do_unlock,
        .xCheckReservedLock = do_reserved,
        .xFileControl = do_control,
        .xSectorSize = do_sector,
        .xDeviceCharacteristics = do_promises,
    };
    struct disk_file *f = (struct disk_file *)file;
    int r;

    (void)v;
    f->file.pMethods = NULL;
    f->real = (sqlite3_file *)(f + 1);
    r = below->xOpen(below, path, f->real, flags, ret_flags);
    if (r != SQLITE_OK)
        return r;
    f->t = track(path);
    f->t->there = true;
    f->file.pMethods = &methods;
    if (!f->t->synced_once && !f->t->first)
        know(f);
    return SQLITE_OK;
}

static int do_delete(sqlite3_vfs *v, const char *path, int sync)
{
    int r = below->xDelete(below, path, sync);

    (void)v;
    track(path)->there = r != SQLITE_OK;
    return r;
}

/* -- the life of a disk
 * -------------------------------------------------------------------------------------------------- */

void disk_begin(void)
{
    below = sqlite3_vfs_find("unix");
    vfs = *below;
    vfs.zName = "disk";
    vfs.szOsFile += (int)sizeof(struct disk_file);
    vfs.xOpen = do_open;
    vfs.xDelete = do_delete;
    disk = (struct disk){ .fail_with = SQLITE_IOERR };
    sqlite3_vfs_register(&vfs, 0);
}

void disk_end(void)
{
    for (size_t i = 0; i < FILES_MAX; i++) {
        forget_changes(&tracked[i]);
        free(tracked[i].synced);
        tracked[i] = (struct tracked){ .there = false };
    }
    sqlite3_vfs_unregister(&vfs);
}

static void reach(uint8_t **data, size_t *n, size_t wanted)
{
    if (wanted <= *n)
        return;
    *data = realloc(*data, wanted);
    must(*data != NULL);
    memset(*data + *n, 0, wanted - *n);
    *n = wanted;
}

static void lose_file(const struct tracked *t, const char *into, int percent)
{
    uint8_t *data = malloc(t->n + 1);
    size_t n = t->n;
    char path[300];
    FILE *file;

    must(data != NULL);
    if (n)
        memcpy(data, t->synced, n);
    for (const struct change *c = t->first; c; c = c->next) {
        if (c->n < 0) {
            if (random() % 100 < percent)
                n = MIN(n, (size_t)c->at);
            continue;
        }
        for (int at = 0, piece; at < c->n; at += piece) {
            piece = MIN(c->n - at, SECTOR - (int)((c->at + at) % SECTOR));
            if (random() % 100 >= percent)
                continue;
            reach(&data, &n, (size_t)c->at + (size_t)at + (size_t)piece);
            memcpy(data + c->at + at, c->data + at, (size_t)piece);
        }
    }
    snprintf(path, sizeof path, "%s/%s", into, t->name);
    file = fopen(path, "we");
    must(file != NULL);
    must(fwrite(data, 1, n, file) == n);
    fclose(file);
    free(data);
}

void disk_lose(const char *into)
{
    static const int percents[] = { 0, 100, 50, 90, 10 };
    int percent = percents[random() % (long)ELEMENTS(percents)];

    for (const struct tracked *t = tracked; t < tracked + FILES_MAX; t++)
        if (t->there && (t->synced_once || random() % 2))
            lose_file(t, into, percent);
}
