/* SPDX-License-Identifier: MIT */
/*
 * journal_check -- looking at a journal that no daemon has, and saving what can be read of a damaged one.
 *
 * Nothing is changed: no checkpoint is made, no table is touched, and a log that SQLite makes on the way is empty and
 * removed. What is damaged is told by the task; the rest is looked at all the same, as far as SQLite leads: from the
 * first task up to where the database breaks, then from the last one down to there.
 *
 * The JSON has a line a task. What programs packed (arguments, result) is opaque to the daemon and stays so, in base64;
 * so are the envelopes it kept, for whoever wants all of them.
 */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "daemon/ptoolsd/journal_store.h"
#include "proto/message.h"

enum { LOOKED_FINE = 0, LOOKED_IN_VAIN = 1 };

struct look {
    struct store s;
    bool had_log;
    FILE *out, *err;
    struct msg_decoder *decoder;
    sqlite3_stmt *life; /* of one task */
    bool export;
    uint64_t problems;
    uint64_t first_done; /* going up, tasks up to this were seen */
    uint64_t tasks, lives, pauses;
    uint64_t states[SHOWN_STATES]; /* tasks in it; [0]: not changed since they were submitted, or unknown */
};

static void problem(struct look *l, const char *what)
{
    fprintf(l->err, "ptoolsd: %s\n", what);
    l->problems++;
}

static void task_problem(struct look *l, uint64_t task, const char *what)
{
    fprintf(l->err, "ptoolsd: %s/" JOURNAL_DB ": task %" PRIu64 ": %s\n", l->s.files.dir, task, what);
    l->problems++;
}

/* -- JSON ---------------------------------------------------------------------------------------------------------- */

static void print_base64(const struct blob *blob, FILE *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    for (size_t i = 0; i < blob->n; i += 3) {
        const size_t n = MIN(blob->n - i, (size_t)3);
        uint32_t v = (uint32_t)blob->data[i] << 16;

        v |= n > 1 ? (uint32_t)blob->data[i + 1] << 8 : 0;
        v |= n > 2 ? blob->data[i + 2] : 0;
        putc(digits[v >> 18], out);
        putc(digits[v >> 12 & 63], out);
        putc(n > 1 ? digits[v >> 6 & 63] : '=', out);
        putc(n > 2 ? digits[v & 63] : '=', out);
    }
}

static void print_blob(const char *key, const struct blob *blob, FILE *out)
{
    if (!blob)
        return;
    fprintf(out, ",\"%s\":\"", key);
    print_base64(blob, out);
    putc('"', out);
}

/* JSON has no infinity: those are words. */
static void print_priority(double priority, FILE *out)
{
    if (isfinite(priority))
        fprintf(out, ",\"priority\":%.17g", priority);
    else
        fprintf(out, ",\"priority\":\"%s\"", isnan(priority) ? "nan" : priority > 0 ? "inf" : "-inf");
}

static const char *durability_name(uint32_t durability)
{
    return durability == TASK_DURABLE ? "durable" : durability == TASK_CRASHSAFE ? "crashsafe" : "volatile";
}

static void print_task(struct look *l, const struct core_row *task, const struct core_row *life,
                       const struct msg_submit *submit, bool damaged)
{
    FILE *out = l->out;

    fprintf(out, "{\"id\":%" PRIu64 ",\"uid\":%" PRIu32 ",\"queued_ms\":%" PRIu64, task->task, task->uid,
            task->queued_ms);
    if (task->parent)
        fprintf(out, ",\"parent\":%" PRIu64, task->parent);
    if (submit)
        fprintf(out, ",\"function\":\"%.*s\",\"durability\":\"%s\"", (int)submit->function.n, submit->function.data,
                durability_name(submit->durability));
    if (life) {
        const struct core_life *v = &life->life;

        fprintf(out,
                ",\"state\":\"%s\",\"attempt\":%" PRIu32 ",\"kills\":%" PRIu32 ",\"losses\":%" PRIu32
                ",\"worker\":%" PRIu32 ",\"flags\":%" PRIu32,
                task_shown_name(v->state), v->attempt, v->kills, v->losses, v->worker, v->flags);
        print_priority(v->priority, out);
        fprintf(out, ",\"due_ms\":%" PRIu64 ",\"started_ms\":%" PRIu64 ",\"ended_ms\":%" PRIu64 ",\"detail\":%" PRIu64,
                v->due_ms, v->started_ms, v->ended_ms, v->detail);
    } else {
        fputs(",\"state\":\"submitted\"", out);
        print_priority(submit && submit->has_priority ? submit->priority : INFINITY, out);
    }
    print_blob("args", task->args, out);
    print_blob("spec", task->spec, out);
    if (life) {
        print_blob("outcome", life->outcome, out);
        print_blob("value", life->value, out);
    }
    if (damaged)
        fputs(",\"damaged\":true", out);
    fputs("}\n", out);
}

/* -- a task, a pause ----------------------------------------------------------------------------------------------- */

/* 0, or -ENOMEM. */
static int look_at(struct look *l, const struct core_row *task, bool damaged)
{
    struct core_row life = { .number = 0 };
    struct msg_problem unread;
    struct msg_request m;
    bool life_damaged = false, readable = false;
    int have, r = 0;

    if (damaged)
        task_problem(l, task->task, "it is damaged");
    sqlite3_bind_int64(l->life, 1, (sqlite3_int64)task->task);
    have = store_next_life(l->life, &life, &life_damaged);
    if (have == -EIO && store_error(&l->s, "cannot read") == -ENOMEM)
        have = -ENOMEM;
    if (have == -EIO)
        task_problem(l, task->task, "what became of it cannot be read");
    else if (have == -ENOMEM)
        r = have;
    else if (life_damaged)
        task_problem(l, task->task, "what became of it is damaged");
    sqlite3_reset(l->life);
    if (r == 0 && task->spec) {
        r = msg_request_decode(l->decoder, task->spec->data, task->spec->n, &m, &unread);
        readable = r == 0 && m.kind == MSG_TASK_SUBMIT;
        if (r >= 0 && !readable && !damaged)
            task_problem(l, task->task, r > 0 ? unread.text : "what was submitted is another request");
        r = MIN(r, 0);
    }
    l->tasks++;
    l->lives += have > 0;
    l->states[have > 0 && life.life.state < SHOWN_STATES ? life.life.state : 0]++;
    if (r == 0 && l->export)
        print_task(l, task, have > 0 ? &life : NULL, readable ? &m.submit : NULL, damaged || life_damaged || have < 0);
    store_row_reset(&life);
    return r;
}

/* All tasks of a statement, until one that was seen. 0; 1: it broke; -ENOMEM. */
static int look_along(struct look *l, const char *sql, bool up)
{
    struct core_row task = { .number = 0 };
    sqlite3_stmt *tasks;
    bool damaged, any = l->tasks > 0;
    int have = -EIO, r = 0;

    if (sqlite3_prepare_v2(l->s.db, sql, -1, &tasks, NULL) == SQLITE_OK)
        while (r == 0 && (have = store_next_task(tasks, &task, &damaged)) > 0 &&
               (up || !any || task.task > l->first_done)) {
            r = look_at(l, &task, damaged);
            if (up)
                l->first_done = task.task;
        }
    store_row_reset(&task);
    if (have == -EIO && r == 0) {
        if (store_error(&l->s, "cannot read all of") == -ENOMEM)
            have = -ENOMEM;
        else
            problem(l, l->s.why);
    }
    sqlite3_finalize(tasks);
    return r ? r : have == -ENOMEM ? -ENOMEM : have < 0;
}

static int look_at_all(struct look *l)
{
    static const char lives[] = "SELECT id, state, attempt, kills, losses, worker, flags, priority, due_ms, started_ms,"
                                " ended_ms, run_us, outcome, value, crc FROM life WHERE id = ?1";
    static const char down[] = "SELECT id, uid, parent, queued_ms, spec, args, crc FROM task ORDER BY id DESC";
    int r;

    if (sqlite3_prepare_v2(l->s.db, lives, -1, &l->life, NULL) != SQLITE_OK) {
        if (store_error(&l->s, "cannot read") == -ENOMEM)
            return -ENOMEM;
        problem(l, l->s.why);
        return JOURNAL_BAD_DATA;
    }
    r = look_along(l, store_select_tasks, true);
    if (r > 0)
        r = look_along(l, down, false);
    sqlite3_finalize(l->life);
    return r;
}

/* Of each user that stands still, or a tag of whom does. 0, or -ENOMEM. */
static int look_at_pauses(struct look *l)
{
    struct core_row pause = { .number = 0 };
    sqlite3_stmt *pauses = NULL;
    char what[JOURNAL_WHY_BYTES];
    bool damaged;
    int have = -EIO;

    if (l->s.version < STORE_PAUSES)
        return 0;
    if (sqlite3_prepare_v2(l->s.db, store_select_pauses, -1, &pauses, NULL) == SQLITE_OK)
        while ((have = store_next_pause(pauses, &pause, &damaged)) > 0) {
            l->pauses++;
            if (!damaged)
                continue;
            snprintf(what, sizeof what, "%s/" JOURNAL_DB ": a pause of user %" PRIu32 " is damaged", l->s.files.dir,
                     pause.uid);
            problem(l, what);
        }
    store_row_reset(&pause);
    if (have == -EIO && store_error(&l->s, "cannot read all pauses of") == -ENOMEM)
        have = -ENOMEM;
    else if (have == -EIO)
        problem(l, l->s.why);
    sqlite3_finalize(pauses);
    return have == -ENOMEM ? have : 0;
}

/* -- all of it ----------------------------------------------------------------------------------------------------- */

/* 0 or -ENOMEM. */
static int check_sums(struct look *l)
{
    char what[JOURNAL_WHY_BYTES];
    int r;

    if (store_check_mark(&l->s))
        problem(l, l->s.why);
    r = store_check_pages(&l->s);
    if (r == -ENOMEM)
        return r;
    if (r)
        problem(l, l->s.why);
    if (l->tasks == l->s.meta.tasks && l->lives == l->s.meta.lives)
        return 0;
    snprintf(what, sizeof what,
             "%s/" JOURNAL_DB ": there should be %" PRIu64 " tasks, %" PRIu64 " of them changed since they were "
             "submitted; there are %" PRIu64 " and %" PRIu64,
             l->s.files.dir, l->s.meta.tasks, l->s.meta.lives, l->tasks, l->lives);
    problem(l, what);
    return 0;
}

static void print_counts(struct look *l)
{
    fprintf(l->out, "tasks: %" PRIu64 "\n", l->tasks);
    if (l->tasks > l->lives)
        fprintf(l->out, "submitted: %" PRIu64 "\n", l->tasks - l->lives);
    for (uint32_t state = 1; state < SHOWN_STATES; state++)
        if (l->states[state])
            fprintf(l->out, "%s: %" PRIu64 "\n", task_shown_name(state), l->states[state]);
    if (l->pauses)
        fprintf(l->out, "pauses: %" PRIu64 "\n", l->pauses);
    fprintf(l->out, "last end: %s\n", l->s.meta.clean ? "clean" : "not clean");
    if (l->problems)
        fprintf(l->out, "problems: %" PRIu64 "\n", l->problems);
    else
        fputs("journal is fine\n", l->out);
}

static int look(struct look *l, const char *dir)
{
    uint64_t bytes;
    int r = store_open_to_look(&l->s, dir, &l->had_log);

    if (r)
        problem(l, *l->s.why ? l->s.why : strerror(r < 0 ? -r : ENOMEM));
    if (r && !(r == JOURNAL_BAD_DATA && l->s.db)) /* what has a database may have tasks, whatever is wrong with it */
        return r == JOURNAL_BAD_DATA ? JOURNAL_EXIT_BAD_DATA : LOOKED_IN_VAIN;
    r = look_at_all(l);
    if (r >= 0)
        r = look_at_pauses(l);
    if (r >= 0)
        r = check_sums(l);
    if (r < 0) {
        problem(l, strerror(-r));
        return LOOKED_IN_VAIN;
    }
    if (!l->export)
        print_counts(l);
    if (!l->had_log && journal_files_have(&l->s.files, JOURNAL_WAL, &bytes, l->s.why) == 1 && bytes == 0)
        unlinkat(l->s.files.dir_fd, JOURNAL_WAL, 0);
    if (fflush(l->out) || ferror(l->out)) {
        problem(l, "cannot write what was read");
        return LOOKED_IN_VAIN;
    }
    return l->problems ? JOURNAL_EXIT_BAD_DATA : LOOKED_FINE;
}

static int look_and_close(const char *dir, bool export, FILE *out, FILE *err)
{
    struct look l = { .out = out, .err = err, .export = export, .decoder = msg_decoder_new() };
    int status = LOOKED_IN_VAIN;

    if (l.decoder) {
        status = look(&l, dir);
        store_close(&l.s);
    } else {
        fprintf(err, "ptoolsd: out of memory\n");
    }
    msg_decoder_free(l.decoder);
    return status;
}

int journal_check(const char *dir, FILE *out, FILE *err)
{
    return look_and_close(dir, false, out, err);
}

int journal_export(const char *dir, FILE *out, FILE *err)
{
    return look_and_close(dir, true, out, err);
}
