/* SPDX-License-Identifier: MIT */
/*
 * store -- in some worlds the rows go into the real journal: the database as ptoolsd writes it (journal_store.h,
 * without its thread), on a disk that loses sectors (disk.h of the journal's tests). Then it is the database that says
 * what is left after a crash, and it must be as much as was told, or was durable.
 *
 * A life of it is a directory: a crash makes the next one, from what the kernel has (a kill), or the disk (a loss of
 * power, which may come in the midst of a batch). The disk is full, or fails, from one of the calls of a batch on, or
 * of a start. The mark beside the database is taken as it is: after another start of the machine no more counts of it
 * than what was synced.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/ptoolsd/journal_store.h"
#include "tests/sim/sim.h"
#include "tests/unit/ptoolsd/disk.h"

enum { BATCHES_MAX = 1 << 16, BATCH_CALLS = 12 };

#define NOT_OPENED UINT64_MAX

static struct store store;
static char root[64], dirs[2][80];
static unsigned life, boots;
static struct {
    uint64_t batch, row;
} batches[BATCHES_MAX]; /* the last row of each */
static size_t n_batches;

static const char *const files[] = { JOURNAL_DB, JOURNAL_WAL, JOURNAL_MARK, JOURNAL_LOCK, JOURNAL_RESERVE };

static void empty(const char *dir)
{
    char path[200];

    for (size_t i = 0; i < ELEMENTS(files); i++) {
        snprintf(path, sizeof path, "%s/%s", dir, files[i]);
        (void)unlink(path);
    }
}

static void copy(const char *name, const char *from, const char *to)
{
    static uint8_t data[1 << 16];
    char path[200];
    FILE *in, *out;
    size_t n;

    snprintf(path, sizeof path, "%s/%s", from, name);
    in = fopen(path, "re");
    if (!in)
        return;
    snprintf(path, sizeof path, "%s/%s", to, name);
    out = fopen(path, "we");
    SIM_CHECK(out, "store", "no file %s", path);
    while ((n = fread(data, 1, sizeof data, in)) > 0)
        SIM_CHECK(fwrite(data, 1, n, out) == n, "store", "no room for %s", path);
    fclose(in);
    fclose(out);
}

/* From here on a batch of that number ends with that row. */
static void note(uint64_t row)
{
    SIM_CHECK(n_batches < BATCHES_MAX, "store", "too many batches");
    batches[n_batches].batch = store.meta.batch;
    batches[n_batches++].row = row;
}

static void check(int r, const char *doing)
{
    SIM_CHECK(r == 0, "store", "%s: %d: %s", doing, r, store.why);
}

/* From one of the next calls on. */
static void set_disk(int fails_with, bool from_then_on)
{
    disk.fail_with = fails_with;
    disk.fail_on = from_then_on;
    disk.fail_at = disk.calls + 1 + (unsigned)sim_random(BATCH_CALLS);
}

void store_breaks(void)
{
    set_disk(SQLITE_IOERR, sim_one_in(2));
}

/* Up to which row the batches of this life are there. */
static uint64_t rows_found(void)
{
    uint64_t row = 0;

    for (size_t i = 0; i < n_batches && batches[i].batch <= store.meta.batch; i++)
        row = batches[i].row;
    return row;
}

/* As at the start of a daemon. ret_row: if it could be opened. */
static int try_open(journal_loaded *callback, uint64_t *ret_row)
{
    char boot[40];
    const struct journal_options options = {
        .dir = dirs[life % 2], .vfs = "disk", .boot_id = boot, .reserve_bytes = 1, .clock_ms = sim.zero_ms
    };
    int r;

    snprintf(boot, sizeof boot, "%08x-0000-4000-8000-000000000000", boots);
    r = store_open(&store, &options, NULL);
    if (r == 0) {
        SIM_CHECK(store.files.clock_ms == sim.clock_ms, "clock", "the clock was at %lu, and the journal says %lu",
                  sim.clock_ms, store.files.clock_ms);
        *ret_row = rows_found();
        r = store_load(&store, callback, NULL);
    }
    return r ? r : store_begin(&store);
}

/* Up to which row it has those of the life before. Where the disk fails then, too, another daemon finds as much. */
static uint64_t open_it(journal_loaded *callback)
{
    uint64_t row = NOT_OPENED, again;

    disk_begin();
    if (sim.habits.broken && sim_one_in(2)) {
        int r;

        store_breaks();
        r = try_open(NULL, &row);
        SIM_CHECK(r <= 0, "store", "what was not changed is damaged: %s", store.why);
        trace_add("a daemon begins on a disk that fails: row", row, r == 0, 0);
        disk.fail_at = 0;
        store_close(&store);
    }
    check(try_open(callback, &again), "opens");
    SIM_CHECK(row == NOT_OPENED || again >= row, "store", "rows up to %lu were there, and now up to %lu", row, again);
    n_batches = 0;
    note(0);
    return row != NOT_OPENED ? row : again; /* what a start writes is a batch, too */
}

void store_begins(void)
{
    const char *const places[] = { "/dev/shm/ptools-sim-XXXXXX", "/tmp/ptools-sim-XXXXXX" }; /* a sync costs nothing */

    for (size_t i = 0; i < ELEMENTS(places); i++) {
        strcpy(root, places[i]);
        if (mkdtemp(root))
            break;
    }
    for (size_t i = 0; i < 2; i++) {
        snprintf(dirs[i], sizeof dirs[i], "%s/%zu", root, i);
        SIM_CHECK(mkdir(dirs[i], 0700) == 0, "store", "no directory %s", dirs[i]);
    }
    life = boots = 0;
    n_batches = 0;
    open_it(NULL);
}

/* Whether it is there when that fails, the next start finds out. */
static int write_batch(struct core_row **rows, size_t n)
{
    int r;

    if (n == 0)
        return 0;
    for (size_t i = 0; i < n; i++)
        rows[i]->next = i + 1 < n ? rows[i + 1] : NULL;
    store.meta.batch++;
    note(rows[n - 1]->number);
    store.meta.batch--;
    r = store_write(&store, rows[0]);
    n_batches -= r == STORE_FULL;
    for (size_t i = 0; i < n; i++)
        rows[i]->next = NULL;
    return r;
}

int store_writes(struct core_row **rows, size_t n, bool full)
{
    int r;

    if (full)
        set_disk(SQLITE_FULL, true);
    r = write_batch(rows, n);
    if (r == 0 && sim_one_in(40)) {
        r = store_checkpoint(&store, sim_one_in(2));
        r = r == STORE_FULL ? 0 : r; /* the log has it all */
    }
    SIM_CHECK(r <= 0 || r == STORE_FULL, "store", "writes: %s", store.why);
    SIM_CHECK(r == 0 || disk.failed, "store", "the disk is well, and it fails: %s", store.why);
    if (full)
        disk.fail_at = 0;
    return r;
}

static void lose_mark(void)
{
    copy(JOURNAL_MARK, dirs[life % 2], dirs[(life + 1) % 2]);
}

/* The power fails: when the batch that was on its way is written, or in the midst of that. */
static void lose(struct core_row **rows, size_t n, const char *next)
{
    srandom((unsigned)sim_random(1u << 31));
    disk.lose_into = next;
    disk.losing = lose_mark;
    disk.lose_at = disk.calls + 1 + (unsigned)sim_random(BATCH_CALLS);
    (void)write_batch(rows, n);
    if (!disk.lost) {
        lose_mark();
        disk_lose(next);
    }
    boots++;
}

uint64_t store_dies(bool power, struct core_row **rows, size_t n, journal_loaded *callback)
{
    const char *next = dirs[(life + 1) % 2];

    empty(next);
    if (power) {
        lose(rows, n, next);
    } else {
        (void)write_batch(rows, n);
        for (size_t i = 0; i < 3; i++)
            copy(files[i], dirs[life % 2], next);
    }
    disk.lose_at = 0;
    store_close(&store);
    disk_end();
    life++;
    return open_it(callback);
}

void store_ends(void)
{
    disk.fail_at = 0;
    check(store_end(&store), "ends");
    store_close(&store);
    disk_end();
    empty(dirs[0]);
    empty(dirs[1]);
    rmdir(dirs[0]);
    rmdir(dirs[1]);
    rmdir(root);
}
