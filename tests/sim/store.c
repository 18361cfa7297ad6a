/* SPDX-License-Identifier: MIT */
/*
 * store -- in some worlds the rows go into the real journal: the database as ptoolsd writes it (journal_store.h,
 * without its thread), on a disk that loses sectors (disk.h of the journal's tests). Then it is the database that says
 * what is left after a crash, and it must be as much as was told, or was durable.
 *
 * A life of it is a directory: a crash makes the next one, from what the kernel has (a kill), or the disk (a loss of
 * power, which may come in the midst of a batch). The mark beside the database is taken as it is: after another start
 * of the machine no more counts of it than what was synced.
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

static void open_it(journal_loaded *callback)
{
    char boot[40];
    const struct journal_options options = {
        .dir = dirs[life % 2], .vfs = "disk", .boot_id = boot, .reserve_bytes = 1, .clock_ms = sim.clock_ms
    };

    snprintf(boot, sizeof boot, "%08x-0000-4000-8000-000000000000", boots);
    disk_begin();
    check(store_open(&store, &options, NULL), "opens");
    check(store_load(&store, callback, NULL), "reads");
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
    check(store_begin(&store), "begins");
    note(0);
}

static void write_batch(struct core_row **rows, size_t n)
{
    if (n == 0)
        return;
    for (size_t i = 0; i < n; i++)
        rows[i]->next = i + 1 < n ? rows[i + 1] : NULL;
    check(store_write(&store, rows[0]), "writes");
    for (size_t i = 0; i < n; i++)
        rows[i]->next = NULL;
    note(rows[n - 1]->number);
}

void store_writes(struct core_row **rows, size_t n)
{
    write_batch(rows, n);
    if (sim_one_in(40))
        check(store_checkpoint(&store, sim_one_in(2)), "moves its log");
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
    write_batch(rows, n);
    if (!disk.lost) {
        lose_mark();
        disk_lose(next);
    }
    boots++;
}

uint64_t store_dies(bool power, struct core_row **rows, size_t n, journal_loaded *callback)
{
    const char *next = dirs[(life + 1) % 2];
    uint64_t last = 0;

    empty(next);
    if (power) {
        lose(rows, n, next);
    } else {
        write_batch(rows, n);
        for (size_t i = 0; i < 3; i++)
            copy(files[i], dirs[life % 2], next);
    }
    disk.lose_at = 0;
    store_close(&store);
    disk_end();
    life++;
    open_it(callback);
    for (size_t i = 0; i < n_batches && batches[i].batch <= store.meta.batch; i++)
        last = batches[i].row;
    check(store_begin(&store), "begins");
    n_batches = 0;
    note(0);
    return last;
}

void store_ends(void)
{
    check(store_end(&store), "ends");
    store_close(&store);
    disk_end();
    empty(dirs[0]);
    empty(dirs[1]);
    rmdir(dirs[0]);
    rmdir(dirs[1]);
    rmdir(root);
}
