/* SPDX-License-Identifier: MIT */
/* lossy_lose -- see lossy.h: what a disk has when its power fails. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/util.h"
#include "tests/fault/client.h"
#include "tests/fault/lossy_model.h"
#include "tests/integration/server.h"

enum { SECTOR = 512 };

/* -- what comes of it ------------------------------------------------------------------------------------------ */

/* How the disk went about what it had not to do yet. */
struct manner {
    enum { SCATTERED, IN_ORDER, BACKWARDS } order;
    unsigned percent; /* scattered: how likely something has its last state */
    unsigned border;  /* in order: the changes before this one are made; backwards: those from it on */
};

static struct manner pick_manner(unsigned n_changes)
{
    static const unsigned percents[] = { 0, 100, 50, 90, 10 };

    return (struct manner){ .order = pick(5) < 3 ? SCATTERED
                                     : pick(2)   ? IN_ORDER
                                                 : BACKWARDS,
                            .percent = percents[pick(ELEMENTS(percents))],
                            .border = pick(n_changes + 1) };
}

/* Which of n + 1 states in a row, 0 to n, the disk has; of them as many are by changes before the border. */
static unsigned pick_state(const struct manner *m, unsigned n, unsigned before)
{
    switch (m->order) {
    case SCATTERED:
        return n == 0 || m->percent == 0 ? 0 : pick(100) < m->percent ? n : pick(n);
    case IN_ORDER:
        return before;
    case BACKWARDS:
        return before < n ? n : 0;
    }
    return 0;
}

/* What becomes of a sector. */
struct sector {
    unsigned from, n; /* it may have any of n states, by writes from that change on ... */
    unsigned before;  /* ... so many of them before the border */
    bool closed;      /* no more of them: by then it was cut off, and the disk does not know that */
};

/* The sectors that a change gives a value to. */
static unsigned sectors_of(const struct file *f, const struct change *c, unsigned n_sectors, unsigned *ret_first)
{
    uint64_t from, to = lossy_extent(f, c, &from);

    *ret_first = (unsigned)MIN(from / SECTOR, n_sectors);
    return to > from ? (unsigned)MIN((to + SECTOR - 1) / SECTOR, n_sectors) : *ret_first;
}

static void put_sector(struct file *f, const struct change *c, unsigned s)
{
    uint64_t from, to = lossy_extent(f, c, &from);

    lossy_put(f, c, MAX(from, (uint64_t)s * SECTOR), MIN(to, (uint64_t)(s + 1) * SECTOR));
}

/* Which states of each sector there are to choose from, when the disk knows of `kept` changes of the size. A file that
 * was cut and is not cut any more has what it had, and nothing of what was written there later. */
static void choices(const struct file *f, const struct manner *m, unsigned kept, struct sector *sectors,
                    unsigned n_sectors)
{
    unsigned i = 0;

    for (const struct change *c = f->first; c; c = c->next, i++) {
        unsigned first, end = sectors_of(f, c, n_sectors, &first);

        for (unsigned s = first; s < end; s++) {
            struct sector *at = &sectors[s];

            if (c->op == DISK_WRITE) {
                at->n += !at->closed;
                at->before += !at->closed && i < m->border;
            } else if (i < kept) {
                *at = (struct sector){ .from = i + 1 };
            } else {
                at->closed = true;
            }
        }
    }
}

static void apply(struct file *f, unsigned kept, struct sector *sectors, unsigned n_sectors)
{
    unsigned i = 0;

    for (const struct change *c = f->first; c; c = c->next, i++) {
        unsigned first, end = sectors_of(f, c, n_sectors, &first);

        for (unsigned s = first; s < end; s++) {
            if (c->op == DISK_WRITE && i >= sectors[s].from && sectors[s].n > 0) {
                put_sector(f, c, s);
                sectors[s].n--;
            } else if (c->op == DISK_TRUNCATE && i < kept) {
                put_sector(f, c, s);
            }
        }
    }
}

/* Makes the file what the disk has of it. What changes its size is in the file system's journal: there is an order. */
static void lose_file(struct file *f)
{
    unsigned n = 0, kept, n_sectors;
    struct sector *sectors;
    struct manner manner;
    uint64_t from;

    for (const struct change *c = f->first; c; c = c->next, n++)
        if (c->op == DISK_WRITE)
            lossy_reach(f, lossy_extent(f, c, &from));
    manner = pick_manner(n);
    kept = pick_state(&manner, n, manner.border);
    n_sectors = (unsigned)((f->n + SECTOR - 1) / SECTOR);
    sectors = calloc(n_sectors + 1, sizeof *sectors);
    ck_assert_ptr_nonnull(sectors);
    choices(f, &manner, kept, sectors, n_sectors);
    for (unsigned s = 0; s < n_sectors; s++)
        sectors[s].n = pick_state(&manner, sectors[s].n, sectors[s].before);
    apply(f, kept, sectors, n_sectors);
    free(sectors);
    for (const struct change *c = f->first; c && kept > 0; c = c->next, kept--)
        f->size = lossy_size_after(f->size, c);
    f->n = MIN(f->n, f->size);
    f->live = f->size;
    lossy_forget_changes(f);
}

static void lose_names(struct node *dir)
{
    static const unsigned percents[] = { 0, 100, 50, 90, 10 };
    const struct manner manner = { .order = SCATTERED, .percent = percents[pick(ELEMENTS(percents))] };

    for (unsigned i = 0; i < dir->n_names; i++) {
        struct name *name = &dir->names[i];

        name->states[0] = name->states[pick_state(&manner, name->n - 1, 0)];
        name->n = 1;
    }
}

/* -- files as they are ---------------------------------------------------------------------------------------- */

static void write_file(const struct file *f, const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    static const uint8_t zeros[SECTOR * 8];

    ck_assert_msg(fd >= 0, "%s: %s", path, strerror(errno));
    ck_assert_int_eq(ftruncate(fd, (off_t)f->size), 0);
    for (size_t at = 0, n; at < f->n; at += n) { /* what is empty needs no space */
        n = MIN(sizeof zeros, f->n - at);
        if (memcmp(f->data + at, zeros, n) != 0)
            ck_assert_int_eq(pwrite(fd, f->data + at, n, (off_t)at), (ssize_t)n);
    }
    close(fd);
}

static void write_dir(const struct node *dir, const char *path)
{
    char below[PATH_BYTES];

    ck_assert_int_eq(mkdir(path, 0700), 0);
    for (unsigned i = 0; i < dir->n_names; i++) {
        const struct node *node = lossy_live(&dir->names[i]);

        ck_assert_int_lt(snprintf(below, sizeof below, "%s/%s", path, dir->names[i].text), (int)sizeof below);
        if (node && node->is_dir)
            write_dir(node, below);
        else if (node)
            write_file(&node->file, below);
    }
}

void lossy_lose(struct lossy *l)
{
    for (struct node *node = l->nodes; node; node = node->next) {
        if (node->is_dir)
            lose_names(node);
        else
            lose_file(&node->file);
    }
    temp_remove(l->root);
    write_dir(l->top, l->root);
}
