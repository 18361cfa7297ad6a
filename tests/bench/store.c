/* SPDX-License-Identifier: MIT */
/* store -- see store.h. */
#include "tests/bench/store.h"

#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#include "tests/bench/peer.h"
#include "tests/integration/server.h"

struct store {
    const char *sync, *dir;
};

static void run_sql(sqlite3 *db, const char *sql)
{
    phase_assert(sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK);
}

static void insert_many(struct meter *m, void *arg)
{
    static const char record[PEER_RECORD_BYTES];
    const struct store *store = arg;
    const unsigned n = m->load.outstanding;
    char path[96], pragma[64];
    sqlite3_stmt *insert;
    sqlite3 *db;
    int i = 0;

    snprintf(path, sizeof path, "%s/store.db", store->dir);
    snprintf(pragma, sizeof pragma, "PRAGMA synchronous=%s", store->sync);
    phase_assert(sqlite3_open(path, &db) == SQLITE_OK);
    run_sql(db, "PRAGMA journal_mode=WAL");
    run_sql(db, pragma);
    run_sql(db, "CREATE TABLE task (id INTEGER PRIMARY KEY, priority REAL, state INTEGER, args BLOB)");
    run_sql(db, "CREATE INDEX place ON task (state, priority, id)");
    phase_assert(sqlite3_prepare_v2(db, "INSERT INTO task (priority, state, args) VALUES (?, 0, ?)", -1, &insert,
                                    NULL) == SQLITE_OK);
    do {
        if (n > 1)
            run_sql(db, "BEGIN IMMEDIATE");
        for (unsigned k = 0; k < n; k++) {
            sqlite3_bind_double(insert, 1, i++ % 10);
            sqlite3_bind_blob(insert, 2, record, sizeof record, SQLITE_STATIC);
            phase_assert(sqlite3_step(insert) == SQLITE_DONE);
            sqlite3_reset(insert);
        }
        if (n > 1)
            run_sql(db, "COMMIT");
    } while (meter_tick(m, n));
    sqlite3_finalize(insert);
    sqlite3_close(db);
}

void store_run(const char *sync, const struct load *load, struct figures *ret)
{
    char dir[64];
    struct store store = { sync, dir };

    temp_dir(dir, sizeof dir);
    phase_run(load, NULL, 0, insert_many, &store, ret);
    temp_remove(dir);
}
