/* SPDX-License-Identifier: MIT */
/*
 * journal_load -- reading the journal's rows, and believing none of them before its checksum is right. See
 * journal_store.h.
 */
#include "daemon/ptoolsd/journal_store.h"

#include <errno.h>
#include <string.h>

const char store_select_tasks[] = "SELECT id, uid, parent, queued_ms, spec, args, crc FROM task ORDER BY id";
const char store_select_lives[] =
    "SELECT id, state, attempt, kills, losses, worker, flags, priority, due_ms, started_ms,"
    " ended_ms, run_us, outcome, value, crc FROM life ORDER BY id";
const char store_select_pauses[] = "SELECT uid, tag, crc FROM pause ORDER BY rowid";

/* -- meta -------------------------------------------------------------------------------------------------------- */

uint32_t store_meta_crc(const struct store_meta *meta)
{
    const uint64_t numbers[] = { htole64(meta->batch), htole64(meta->tasks), htole64(meta->lives),
                                 htole64(meta->clean) };

    return crc32c(crc32c(0, meta->name, sizeof meta->name), numbers, sizeof numbers);
}

int store_read_meta(struct store *s)
{
    struct store_meta *m = &s->meta;
    sqlite3_stmt *row;
    int r;

    if (sqlite3_prepare_v2(s->db, "SELECT name, batch, tasks, lives, clean, crc FROM meta WHERE id = 1", -1, &row,
                           NULL) != SQLITE_OK)
        return store_error(s, "cannot read");
    r = sqlite3_step(row);
    if (r == SQLITE_ROW && sqlite3_column_bytes(row, 0) == JOURNAL_NAME_BYTES) {
        memcpy(m->name, sqlite3_column_blob(row, 0), JOURNAL_NAME_BYTES);
        m->batch = (uint64_t)sqlite3_column_int64(row, 1);
        m->tasks = (uint64_t)sqlite3_column_int64(row, 2);
        m->lives = (uint64_t)sqlite3_column_int64(row, 3);
        m->clean = sqlite3_column_int64(row, 4) != 0;
        r = sqlite3_column_int64(row, 5) == store_meta_crc(m) ? 0 : JOURNAL_BAD_DATA;
    } else if (r == SQLITE_ROW || r == SQLITE_DONE) {
        r = JOURNAL_BAD_DATA;
    } else {
        r = store_error(s, "cannot read");
        sqlite3_finalize(row);
        return r;
    }
    if (r)
        snprintf(s->why, sizeof s->why, "%s/" JOURNAL_DB ": what it says about itself (table meta) is damaged",
                 s->files.dir);
    sqlite3_finalize(row);
    return r;
}

/* -- rows ---------------------------------------------------------------------------------------------------------- */

void store_row_reset(struct core_row *row)
{
    blob_free(row->spec);
    blob_free(row->args);
    blob_free(row->outcome);
    blob_free(row->value);
    *row = (struct core_row){ .number = 0 };
}

/* 0 or -ENOMEM. What is no blob becomes one: then the checksum is wrong. */
static int column_blob(sqlite3_stmt *row, int column, struct blob **ret)
{
    const void *data;

    *ret = NULL;
    if (sqlite3_column_type(row, column) == SQLITE_NULL)
        return 0;
    data = sqlite3_column_blob(row, column);
    if (!data && sqlite3_errcode(sqlite3_db_handle(row)) == SQLITE_NOMEM)
        return -ENOMEM;
    *ret = blob_new(data ? data : "", (size_t)sqlite3_column_bytes(row, column));
    return *ret ? 0 : -ENOMEM;
}

static uint64_t column_u64(sqlite3_stmt *row, int column)
{
    return (uint64_t)sqlite3_column_int64(row, column);
}

/* What does not fit becomes what no number is: then the checksum is wrong. */
static uint32_t column_u32(sqlite3_stmt *row, int column, bool *damaged)
{
    uint64_t v = column_u64(row, column);

    *damaged = *damaged || v > UINT32_MAX;
    return (uint32_t)v;
}

/* 1: there is one, and *ret is empty for it. */
static int next_row(sqlite3_stmt *statement, struct core_row *ret, bool *ret_damaged)
{
    const int r = sqlite3_step(statement);

    store_row_reset(ret);
    *ret_damaged = false;
    return r == SQLITE_ROW ? 1 : r == SQLITE_DONE ? 0 : -EIO;
}

int store_next_task(sqlite3_stmt *statement, struct core_row *ret, bool *ret_damaged)
{
    int r = next_row(statement, ret, ret_damaged);

    if (r <= 0)
        return r;
    ret->kind = ROW_NEW;
    ret->task = column_u64(statement, 0);
    ret->uid = column_u32(statement, 1, ret_damaged);
    ret->parent = column_u64(statement, 2);
    ret->queued_ms = column_u64(statement, 3);
    r = column_blob(statement, 4, &ret->spec);
    if (r == 0)
        r = column_blob(statement, 5, &ret->args);
    *ret_damaged |= !ret->spec || column_u64(statement, 6) != journal_row_task_crc(ret);
    return r < 0 ? r : 1;
}

int store_next_life(sqlite3_stmt *statement, struct core_row *ret, bool *ret_damaged)
{
    struct core_life *l = &ret->life;
    int r = next_row(statement, ret, ret_damaged);
    uint64_t priority;

    if (r <= 0)
        return r;
    ret->kind = ROW_LIFE;
    ret->task = column_u64(statement, 0);
    l->state = column_u32(statement, 1, ret_damaged);
    l->attempt = column_u32(statement, 2, ret_damaged);
    l->kills = column_u32(statement, 3, ret_damaged);
    l->losses = column_u32(statement, 4, ret_damaged);
    l->worker = column_u32(statement, 5, ret_damaged);
    l->flags = column_u32(statement, 6, ret_damaged);
    priority = column_u64(statement, 7);
    memcpy(&l->priority, &priority, sizeof l->priority);
    l->due_ms = column_u64(statement, 8);
    l->started_ms = column_u64(statement, 9);
    l->ended_ms = column_u64(statement, 10);
    l->detail = column_u64(statement, 11);
    r = column_blob(statement, 12, &ret->outcome);
    if (r == 0)
        r = column_blob(statement, 13, &ret->value);
    *ret_damaged |= column_u64(statement, 14) != journal_row_life_crc(ret);
    return r < 0 ? r : 1;
}

int store_next_pause(sqlite3_stmt *statement, struct core_row *ret, bool *ret_damaged)
{
    int r = next_row(statement, ret, ret_damaged);

    if (r <= 0)
        return r;
    ret->kind = ROW_PAUSE;
    ret->uid = column_u32(statement, 0, ret_damaged);
    r = column_blob(statement, 1, &ret->spec);
    *ret_damaged |= !ret->spec || column_u64(statement, 2) != journal_row_task_crc(ret);
    return r < 0 ? r : 1;
}

/* -- all of them --------------------------------------------------------------------------------------------------- */

struct loading {
    struct store *s;
    sqlite3_stmt *tasks, *lives;
    struct core_row task, life; /* the next of each */
    int have_task, have_life;
    uint64_t n_tasks, n_lives;
};

static int bad_row(struct store *s, uint64_t task, const char *what)
{
    snprintf(s->why, sizeof s->why, "%s/" JOURNAL_DB ": task %llu: %s", s->files.dir, (unsigned long long)task, what);
    return JOURNAL_BAD_DATA;
}

/* What store_next_...() says of a failure. */
static int cannot_read(struct store *s, int have)
{
    if (have != -ENOMEM)
        return store_error(s, "cannot read");
    snprintf(s->why, sizeof s->why, "out of memory");
    return -ENOMEM;
}

static int advance(struct loading *l, bool task)
{
    bool damaged;
    int *have = task ? &l->have_task : &l->have_life;
    struct core_row *row = task ? &l->task : &l->life;

    *have = task ? store_next_task(l->tasks, row, &damaged) : store_next_life(l->lives, row, &damaged);
    if (*have < 0)
        return cannot_read(l->s, *have);
    if (*have && damaged)
        return bad_row(l->s, row->task, task ? "it is damaged" : "what became of it is damaged");
    *(task ? &l->n_tasks : &l->n_lives) += (uint64_t)*have;
    return 0;
}

static int load(struct loading *l, journal_loaded *callback, void *userdata)
{
    struct store *s = l->s;
    int r = advance(l, true);

    if (r == 0)
        r = advance(l, false);
    while (r == 0 && l->have_task) {
        bool lived = l->have_life && l->life.task == l->task.task;
        char why[JOURNAL_WHY_BYTES] = "";

        if (l->have_life && l->life.task < l->task.task)
            return bad_row(s, l->life.task, "it is missing, though something became of it");
        r = callback ? callback(userdata, &l->task, lived ? &l->life : NULL, why) : 0;
        if (r > 0)
            return bad_row(s, l->task.task, why);
        if (r < 0)
            snprintf(s->why, sizeof s->why, "%s", *why ? why : strerror(-r));
        if (r == 0 && lived)
            r = advance(l, false);
        if (r == 0)
            r = advance(l, true);
    }
    if (r)
        return r;
    if (l->have_life)
        return bad_row(s, l->life.task, "it is missing, though something became of it");
    if (l->n_tasks == s->meta.tasks && l->n_lives == s->meta.lives)
        return 0;
    snprintf(s->why, sizeof s->why,
             "%s/" JOURNAL_DB
             ": recorded tasks are missing: there are %llu (%llu of them changed), but there were %llu "
             "(%llu)",
             s->files.dir, (unsigned long long)l->n_tasks, (unsigned long long)l->n_lives,
             (unsigned long long)s->meta.tasks, (unsigned long long)s->meta.lives);
    return JOURNAL_BAD_DATA;
}

/* They stand by themselves, and come first. */
static int load_pauses(struct store *s, journal_loaded *callback, void *userdata)
{
    struct core_row row = { .number = 0 };
    sqlite3_stmt *statement;
    bool damaged;
    int r = 0, have = -EIO;

    if (sqlite3_prepare_v2(s->db, store_select_pauses, -1, &statement, NULL) != SQLITE_OK)
        return store_error(s, "cannot read");
    while (r == 0 && (have = store_next_pause(statement, &row, &damaged)) > 0) {
        char why[JOURNAL_WHY_BYTES] = "its row is damaged";

        r = damaged ? 1 : callback ? callback(userdata, &row, NULL, why) : 0;
        if (r > 0) {
            snprintf(s->why, sizeof s->why, "%s/" JOURNAL_DB ": a pause: %.500s", s->files.dir, why);
            r = JOURNAL_BAD_DATA;
        }
    }
    if (r == 0 && have < 0)
        r = cannot_read(s, have);
    store_row_reset(&row);
    sqlite3_finalize(statement);
    return r;
}

int store_load(struct store *s, journal_loaded *callback, void *userdata)
{
    struct loading l = { .s = s };
    int r = load_pauses(s, callback, userdata);

    if (r)
        return r;
    if (sqlite3_prepare_v2(s->db, store_select_tasks, -1, &l.tasks, NULL) == SQLITE_OK &&
        sqlite3_prepare_v2(s->db, store_select_lives, -1, &l.lives, NULL) == SQLITE_OK)
        r = load(&l, callback, userdata);
    else
        r = store_error(s, "cannot read");
    store_row_reset(&l.task);
    store_row_reset(&l.life);
    sqlite3_finalize(l.tasks);
    sqlite3_finalize(l.lives);
    return r;
}
