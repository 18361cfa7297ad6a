/* SPDX-License-Identifier: MIT */
/*
 * journal_rig -- see journal_rig.h.
 */
#include "tests/unit/ptoolsd/journal_rig.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <math.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/suite.h"

char rig_dir[64], rig_why[JOURNAL_WHY_BYTES];
uint64_t rig_refused[RIG_TASKS];
size_t rig_n_refused;
const char *rig_why_refused;

void rig_begin(void)
{
    strcpy(rig_dir, "/dev/shm/ptools-journal-XXXXXX"); /* where a sync costs nothing */
    if (!mkdtemp(rig_dir)) {
        strcpy(rig_dir, "/tmp/ptools-journal-XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(rig_dir));
    }
    rig_n_refused = 0;
    rig_why_refused = NULL;
}

void rig_end(void)
{
    rig_remove(rig_dir);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *where)
{
    (void)st;
    (void)type;
    (void)where;
    return remove(path);
}

void rig_remove(const char *dir)
{
    ck_assert_int_eq(nftw(dir, remove_one, 10, FTW_DEPTH | FTW_PHYS), 0);
}

const char *rig_file(const char *name)
{
    static char paths[4][200];
    static unsigned next;
    char *path = paths[next++ % 4];

    snprintf(path, sizeof paths[0], "%s/%s", rig_dir, name);
    return path;
}

static void copy_file(int from, int to, const char *name)
{
    static uint8_t data[1 << 16];
    int in = openat(from, name, O_RDONLY | O_CLOEXEC);
    int out = openat(to, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ssize_t n;

    ck_assert_int_ge(in, 0);
    ck_assert_int_ge(out, 0);
    while ((n = read(in, data, sizeof data)) > 0)
        ck_assert_int_eq(write(out, data, (size_t)n), n);
    close(in);
    close(out);
}

void rig_copy(const char *from, const char *to)
{
    DIR *dir = opendir(from);
    struct dirent *entry;
    int out;

    ck_assert_ptr_nonnull(dir);
    mkdir(to, 0700);
    out = open(to, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    while ((entry = readdir(dir)))
        if (entry->d_name[0] != '.' && strcmp(entry->d_name, JOURNAL_RESERVE) != 0)
            copy_file(dirfd(dir), out, entry->d_name);
    close(out);
    closedir(dir);
}

/* Also in processes that are killed: there nothing must be said to Check, which could be half said. */
static void must(bool ok)
{
    if (!ok)
        abort();
}

/* -- rows ------------------------------------------------------------------------------------------------------ */

static struct blob *pattern(uint64_t seed, size_t n)
{
    struct blob *blob = blob_new(NULL, n);

    must(blob);
    for (size_t i = 0; i < n; i++)
        blob->data[i] = (uint8_t)(seed * 31 + i * 7);
    return blob;
}

static struct core_row *row_of(enum core_row_kind kind, uint64_t number, uint64_t task)
{
    struct core_row *row = calloc(1, sizeof *row);

    must(row);
    row->kind = kind;
    row->number = number;
    row->task = task;
    return row;
}

struct core_row *rig_new(uint64_t number, uint64_t task, bool durable)
{
    struct core_row *row = row_of(ROW_NEW, number, task);

    row->durable = durable;
    row->refusable = true;
    row->uid = (uint32_t)(task % 3 ? 1000 + task : UINT32_MAX);
    row->parent = task / 2;
    row->queued_ms = 1700000000000 + task;
    row->spec = pattern(task, 60 + task % 50);
    row->args = task % 5 == 0 ? NULL : pattern(task + 1, task % 5 == 1 ? 0 : task % 97 == 3 ? 9000 : task % 200);
    return row;
}

struct core_row *rig_life(uint64_t number, uint64_t task, uint32_t attempt, bool durable)
{
    struct core_row *row = row_of(ROW_LIFE, number, task);
    const double priorities[] = { INFINITY, -0.0, 0, 1.5, -INFINITY, 3, 1e300 };

    row->durable = durable;
    row->life = (struct core_life){ .state = attempt % 7,
                                    .attempt = attempt,
                                    .kills = 3,
                                    .losses = UINT32_MAX,
                                    .worker = 7,
                                    .flags = 0x80000001,
                                    .priority = priorities[task % 7],
                                    .due_ms = UINT64_MAX,
                                    .started_ms = task,
                                    .ended_ms = attempt,
                                    .detail = 1 };
    row->outcome = attempt % 2 ? NULL : pattern(task + attempt, 50);
    row->value = attempt % 3 ? NULL : pattern(task * attempt, task % 1000);
    return row;
}

struct core_row *rig_forget(uint64_t number, uint64_t task)
{
    return row_of(ROW_FORGET, number, task);
}

/* -- looking ---------------------------------------------------------------------------------------------------- */

static bool same_blob(const struct blob *a, const struct blob *b)
{
    return !a || !b ? a == b : a->n == b->n && memcmp(a->data, b->data, a->n) == 0;
}

int rig_look(void *userdata, const struct core_row *task, const struct core_row *life, char why[JOURNAL_WHY_BYTES])
{
    struct core_row *expected = rig_new(0, task->task, false);
    struct rig_seen *seen = userdata;

    (void)why;
    ck_assert_uint_lt(task->task, RIG_TASKS);
    ck_assert_uint_eq(task->uid, expected->uid);
    ck_assert_uint_eq(task->parent, expected->parent);
    ck_assert_uint_eq(task->queued_ms, expected->queued_ms);
    ck_assert(same_blob(task->spec, expected->spec));
    ck_assert(same_blob(task->args, expected->args));
    core_row_free(expected);
    ck_assert_uint_eq(seen->state[task->task], 0);
    seen->state[task->task] = 1;
    seen->tasks++;
    if (life) {
        expected = rig_life(0, task->task, life->life.attempt, false);
        ck_assert_uint_eq(life->task, task->task);
        ck_assert_mem_eq(&life->life, &expected->life, sizeof life->life);
        ck_assert(same_blob(life->outcome, expected->outcome));
        ck_assert(same_blob(life->value, expected->value));
        core_row_free(expected);
        seen->state[task->task] = 1 + life->life.attempt;
    }
    return 0;
}

struct journal *rig_open(const struct journal_options *options)
{
    struct journal *j;
    int r = journal_open(options, &j, rig_why);

    ck_assert_msg(r == 0, "%d: %s", r, rig_why);
    r = journal_load(j, NULL, NULL, rig_why);
    ck_assert_msg(r == 0, "%d: %s", r, rig_why);
    return j;
}

int rig_peek(const struct journal_options *options, struct rig_seen *ret)
{
    struct journal *j;
    int r = journal_open(options, &j, rig_why);

    memset(ret, 0, sizeof *ret);
    if (r)
        return r;
    r = journal_load(j, rig_look, ret, rig_why);
    journal_abandon(j);
    return r;
}

struct journal_news rig_wait(struct journal *j, uint64_t number)
{
    struct pollfd fd = { .fd = journal_fd(j), .events = POLLIN };
    struct journal_news news;

    for (;;) {
        journal_collect(j, &news);
        for (const struct core_row *row = news.refused; row; row = row->next) {
            rig_refused[rig_n_refused++ % RIG_TASKS] = row->number;
            rig_why_refused = journal_why_refused(row);
        }
        news.refused = NULL;
        if (news.failed || news.recorded >= number)
            return news;
        must(poll(&fd, 1, 60000) == 1);
    }
}
