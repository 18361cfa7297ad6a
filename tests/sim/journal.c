/* SPDX-License-Identifier: MIT */
/*
 * journal -- what becomes of rows: they are put, written in batches, and synced, now and then; a batch with a durable
 * row is always synced. What a kill leaves is all that was written, and what was just being written, or not; what a
 * loss of power leaves is all that was synced, and of what was written after it the first ones. Rows that belong
 * together (`more`) are there together. The disk may be full, then what is refusable is refused; or fail, for good.
 *
 * The database itself has tests of its own that lose its sectors (journal_power, power-loss): here it is the promise
 * that is modelled which it makes to the core.
 */
#include <stdlib.h>
#include <string.h>

#include "daemon/ptoolsd/journal_store.h"
#include "tests/sim/sim.h"

enum { ROWS_MAX = 1 << 16, KEPT_MAX = TASKS_MAX * 2, PAUSED_MAX = USERS * (TAGS + 1) };

struct entry {
    uint64_t task;
    struct kept kept;
};

static struct core_row *rows[ROWS_MAX]; /* put, and not in the file yet */
static size_t n_rows, n_written, n_synced;
static struct entry file[KEPT_MAX]; /* by rising number */
static size_t n_file;
static struct {
    uint32_t uid;
    char tag[16];
} paused[PAUSED_MAX];
static size_t n_paused;
static uint64_t told, in_file, put; /* numbers; put: of the last one */
static uint64_t written;            /* that of rows[n_written - 1], or of one that was there before it */
static bool full;

void journal_init(void)
{
    n_rows = n_written = n_synced = n_file = n_paused = 0;
    told = in_file = written = put = 0;
    full = false;
    if (sim.habits.sqlite)
        store_begins();
}

static void file_clear(void)
{
    for (size_t i = 0; i < n_file; i++) {
        core_row_free(file[i].kept.row);
        core_row_free(file[i].kept.life);
    }
    n_file = n_paused = 0;
}

void journal_deinit(void)
{
    if (sim.habits.sqlite)
        store_ends();
    for (size_t i = 0; i < n_rows; i++)
        core_row_free(rows[i]);
    file_clear();
}

/* -- the file ----------------------------------------------------------------------------------------------- */

/* The place of the first whose number is at least that. */
static size_t place_of(uint64_t task)
{
    size_t at = n_file;

    while (at > 0 && file[at - 1].task >= task)
        at--;
    return at;
}

const struct kept *journal_kept(uint64_t task)
{
    const size_t at = place_of(task);

    return at < n_file && file[at].task == task ? &file[at].kept : NULL;
}

bool journal_paused(uint32_t uid, const char *tag)
{
    for (size_t i = 0; i < n_paused; i++)
        if (paused[i].uid == uid && strcmp(paused[i].tag, tag) == 0)
            return true;
    return false;
}

static void apply_pause(const struct core_row *row)
{
    char tag[16] = "";
    size_t i = 0;

    memcpy(tag, row->spec->data, row->spec->n);
    while (i < n_paused && (paused[i].uid != row->uid || strcmp(paused[i].tag, tag) != 0))
        i++;
    if (row->kind == ROW_RESUME && i < n_paused) {
        paused[i] = paused[--n_paused];
    } else if (row->kind == ROW_PAUSE && i == n_paused) {
        paused[n_paused].uid = row->uid;
        memcpy(paused[n_paused++].tag, tag, sizeof tag);
    }
}

static void apply(struct core_row *take)
{
    const size_t at = place_of(take->task);
    const bool known = at < n_file && file[at].task == take->task;

    in_file = take->number;
    switch (take->kind) {
    case ROW_NEW:
        SIM_CHECK(!known && n_file < KEPT_MAX, "journal", "task %lu is recorded as new twice", take->task);
        memmove(&file[at + 1], &file[at], (n_file++ - at) * sizeof *file);
        file[at] = (struct entry){ take->task, { take, NULL } };
        return;
    case ROW_LIFE:
        if (!known) { /* its ROW_NEW was refused, and this came after it */
            const struct m_task *t = model_find(take->task);

            SIM_CHECK(!t || t->place == ASKED, "journal", "task %lu has a life, and was never recorded", take->task);
            break;
        }
        core_row_free(file[at].kept.life);
        file[at].kept.life = take;
        return;
    case ROW_FORGET:
        SIM_CHECK(known, "journal", "task %lu is forgotten, and was never recorded", take->task);
        core_row_free(file[at].kept.row);
        core_row_free(file[at].kept.life);
        memmove(&file[at], &file[at + 1], (--n_file - at) * sizeof *file);
        break;
    case ROW_PAUSE:
    case ROW_RESUME:
        apply_pause(take);
        break;
    }
    core_row_free(take);
}

static void drop_first(size_t n)
{
    memmove(&rows[0], &rows[n], (n_rows - n) * sizeof rows[0]);
    n_rows -= n;
    n_written -= MIN(n, n_written);
    n_synced -= MIN(n, n_synced);
}

/* -- writing --------------------------------------------------------------------------------------------------- */

void journal_take(struct core_row *take)
{
    if (sim.storage_failed) {
        core_row_free(take);
        return;
    }
    SIM_CHECK(n_rows < ROWS_MAX, "journal", "too many rows");
    put = take->number;
    rows[n_rows++] = take;
}

bool journal_idle(void)
{
    return sim.storage_failed || n_written == n_rows;
}

uint64_t journal_told(void)
{
    return told;
}

uint64_t journal_synced(void)
{
    return in_file;
}

/* The place behind those that belong together with the one at `at`. */
static size_t group_end(size_t at)
{
    while (at < n_rows && rows[at]->more)
        at++;
    return MIN(at + 1, n_rows);
}

static bool refusable(size_t from, size_t to)
{
    for (size_t i = from; i < to; i++)
        if (!rows[i]->refusable)
            return false;
    return true;
}

/* Up to there nothing is to come. */
static uint64_t done_with(void)
{
    return n_written < n_rows ? rows[n_written]->number - 1 : put;
}

/* Without space the group goes, and who submitted is told. */
static void refuse(size_t from, size_t to)
{
    uint64_t numbers[WORKERS_MOST + 1];
    size_t n = 0;

    for (size_t i = from; i < to; i++) {
        if (rows[i]->kind == ROW_NEW)
            numbers[n++] = rows[i]->number;
        core_row_free(rows[i]);
    }
    memmove(&rows[from], &rows[to], (n_rows - to) * sizeof rows[0]);
    n_rows -= to - from;
    for (size_t i = 0; i < n; i++) {
        trace_add("refused for lack of space: row", numbers[i], 0, 0);
        core_record_refused(sim.core, sim.now, numbers[i], "the disk is full", &sim.out);
        sim_deliver();
    }
}

/* Of what is to be written up to there, what may be. The place behind the rest. */
static size_t refuse_up_to(size_t to)
{
    for (size_t at = n_written; at < to;) {
        const size_t end = group_end(at);

        if (refusable(at, end)) {
            refuse(at, end);
            to -= end - at;
        } else {
            at = end;
        }
    }
    return to;
}

static void fail(void)
{
    if (!sim.habits.sqlite && sim_one_in(2)) /* some of it is there, though nobody knows */
        n_written = group_end(n_written);
    sim.storage_failed = "the disk fails";
    trace_add("the disk fails", 0, 0, 0);
    core_record_failed(sim.core, sim.now, sim.storage_failed, &sim.out);
    sim_deliver();
}

/* As the journal's thread does it: without space, without what may be refused; and what is left may use the reserve, or
 * waits. False: the disk has failed. */
static bool write_up_to(size_t *to)
{
    int r = full ? STORE_FULL : 0;

    if (sim.habits.sqlite)
        r = store_writes(&rows[n_written], *to - n_written, full);
    if (r != STORE_FULL)
        return r == 0;
    *to = refuse_up_to(*to);
    r = sim.habits.sqlite ? store_writes(&rows[n_written], *to - n_written, sim_one_in(2)) : 0;
    if (r == STORE_FULL)
        *to = n_written;
    return r == 0 || r == STORE_FULL;
}

void journal_writes(void)
{
    size_t groups = 1 + sim_random(6), to = n_written;
    bool durable = !sim.habits.sqlite && sim_one_in(16), broken;

    if (journal_idle())
        return;
    broken = sim.habits.broken && !sim.draining && sim_one_in(sim.habits.sqlite ? 400 : 2000);
    if (broken && sim.habits.sqlite)
        store_breaks();
    if (sim.habits.full && sim_one_in(100))
        full = !full;
    full &= !sim.draining;
    for (; groups > 0 && to < n_rows; groups--)
        to = group_end(to);
    if ((broken && !sim.habits.sqlite) || !write_up_to(&to)) {
        fail();
        return;
    }
    for (; n_written < to; n_written++) {
        durable |= rows[n_written]->durable;
        written = rows[n_written]->number;
    }
    told = done_with();
    trace_add("written up to row", told, durable, full);
    core_recorded(sim.core, sim.now, told, &sim.out);
    sim_deliver();
    if (!durable)
        return;
    n_synced = n_written;
    for (size_t i = 0; i < n_synced; i++)
        apply(rows[i]);
    drop_first(n_synced);
}

/* -- death ----------------------------------------------------------------------------------------------------- */

static struct core_row *copy(const struct core_row *row)
{
    struct core_row *c = row ? malloc(sizeof *c) : NULL;

    if (!c)
        return NULL;
    *c = *row;
    c->next = NULL;
    c->spec = row->spec ? blob_ref(row->spec) : NULL;
    c->args = row->args ? blob_ref(row->args) : NULL;
    c->outcome = row->outcome ? blob_ref(row->outcome) : NULL;
    c->value = row->value ? blob_ref(row->value) : NULL;
    return c;
}

/* From the database. */
static int on_loaded(void *userdata, const struct core_row *task, const struct core_row *life, char *why)
{
    (void)userdata;
    (void)why;
    if (task->kind == ROW_PAUSE)
        apply_pause(task);
    else
        file[n_file++] = (struct entry){ task->task, { copy(task), copy(life) } };
    return 0;
}

/* What the database has. */
static uint64_t store_is_read(bool power, size_t n)
{
    const uint64_t promised = power ? in_file : written;
    uint64_t last;

    file_clear();
    last = store_dies(power, &rows[n_written], n - n_written, on_loaded);
    SIM_CHECK(last >= promised, "I1", "the database has rows up to %lu, of %lu that were promised", last, promised);
    return last;
}

uint64_t journal_dies(bool power)
{
    size_t n = n_written, kept;
    uint64_t last;

    while (n < n_rows && !sim.storage_failed && sim_one_in(2))
        n = group_end(n);
    kept = n;
    if (power)
        for (kept = 0; kept < n && !sim_one_in(4);)
            kept = group_end(kept);
    if (sim.habits.sqlite) {
        last = store_is_read(power, n);
        kept = 0;
    } else {
        for (size_t i = 0; i < kept; i++)
            apply(rows[i]);
        last = in_file;
    }
    for (size_t i = kept; i < n_rows; i++)
        core_row_free(rows[i]);
    n_rows = n_written = n_synced = 0;
    told = in_file = written = put = 0;
    full = false;
    sim.storage_failed = NULL;
    trace_add("the journal has rows up to", last, n_file, 0);
    return last;
}

void journal_recovers(void)
{
    char why[256] = "";

    for (size_t i = 0; i < n_paused; i++) {
        const struct text tag = { paused[i].tag, strlen(paused[i].tag) };

        SIM_CHECK(core_recover_pause(sim.core, paused[i].uid, tag) == 0, "journal", "a pause does not come back");
    }
    for (size_t i = 0; i < n_file; i++) {
        const struct core_row *row = file[i].kept.row;
        struct msg_request m;
        struct msg_problem problem;

        SIM_CHECK(msg_request_decode(sim.decoder, row->spec->data, row->spec->n, &m, &problem) == 0, "journal",
                  "task %lu: %s", row->task, problem.text);
        SIM_CHECK(core_recover(sim.core, sim.now, row, file[i].kept.life, &m.submit, &sim.out, why) == 0, "journal",
                  "%s", why);
    }
    core_recovered(sim.core, sim.now, &sim.out);
    sim_deliver();
}
