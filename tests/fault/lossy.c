/* SPDX-License-Identifier: MIT */
/* lossy -- see lossy.h and lossy_model.h: the log, and what it makes of the nodes. lossy_lose.c has the rest. */
#include "tests/fault/lossy.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/util.h"
#include "tests/fault/lossy_model.h"

enum { LOG_HEAD = 32 }; /* bytes of the head of SQLite's log */

/* -- nodes --------------------------------------------------------------------------------------------------- */

void lossy_forget_changes(struct file *f)
{
    while (f->first) {
        struct change *c = f->first;

        f->first = c->next;
        free(c->data);
        free(c);
    }
    f->last = &f->first;
}

static struct node *node_new(struct lossy *l, bool is_dir)
{
    struct node *node = calloc(1, sizeof *node);

    ck_assert_ptr_nonnull(node);
    node->is_dir = is_dir;
    node->file.last = &node->file.first;
    node->next = l->nodes;
    l->nodes = node;
    return node;
}

static void nodes_free(struct node *nodes)
{
    while (nodes) {
        struct node *node = nodes;

        nodes = node->next;
        lossy_forget_changes(&node->file);
        free(node->file.data);
        free(node);
    }
}

struct lossy *lossy_new(const char *root, const char *log)
{
    struct lossy *l = calloc(1, sizeof *l);

    ck_assert_ptr_nonnull(l);
    l->root = root;
    l->log = log;
    l->top = node_new(l, true);
    return l;
}

struct lossy *lossy_free(struct lossy *l)
{
    if (l)
        nodes_free(l->nodes);
    free(l);
    return NULL;
}

/* The entry of a name; a new one, which is nothing, if there is none. */
static struct name *entry(struct node *dir, const char *text, size_t bytes)
{
    struct name *name;

    for (unsigned i = 0; i < dir->n_names; i++)
        if (strlen(dir->names[i].text) == bytes && memcmp(dir->names[i].text, text, bytes) == 0)
            return &dir->names[i];
    ck_assert_uint_lt(dir->n_names, NAMES_MAX);
    ck_assert_uint_lt(bytes, NAME_BYTES);
    name = &dir->names[dir->n_names++];
    *name = (struct name){ .n = 1 };
    memcpy(name->text, text, bytes);
    return name;
}

struct node *lossy_live(const struct name *name)
{
    return name->states[name->n - 1];
}

static void become(struct name *name, struct node *node)
{
    ck_assert_uint_lt(name->n, STATES_MAX);
    name->states[name->n++] = node;
}

/* The directory that a path is in, and the entry of its last part; of the top itself: NULL. */
static struct name *find(struct lossy *l, const char *path)
{
    struct node *dir = l->top;
    const char *slash;

    if (!*path)
        return NULL;
    for (; (slash = strchr(path, '/')); path = slash + 1) {
        dir = lossy_live(entry(dir, path, (size_t)(slash - path)));
        ck_assert_msg(dir && dir->is_dir, "%s is in no directory that is known", path);
    }
    return entry(dir, path, strlen(path));
}

/* -- files --------------------------------------------------------------------------------------------------- */

void lossy_reach(struct file *f, uint64_t bytes)
{
    if (bytes <= f->n)
        return;
    f->data = realloc(f->data, bytes);
    ck_assert_ptr_nonnull(f->data);
    memset(f->data + f->n, 0, bytes - f->n);
    f->n = bytes;
}

uint64_t lossy_size_after(uint64_t size, const struct change *c)
{
    return c->op == DISK_WRITE ? MAX(size, c->at + c->n) : c->op == DISK_TRUNCATE ? c->at : MAX(size, c->at);
}

uint64_t lossy_extent(const struct file *f, const struct change *c, uint64_t *ret_from)
{
    *ret_from = c->at;
    return c->op == DISK_WRITE ? c->at + c->n : c->op == DISK_TRUNCATE ? MAX(f->n, c->at) : c->at;
}

void lossy_put(struct file *f, const struct change *c, uint64_t from, uint64_t to)
{
    if (c->data)
        memcpy(f->data + from, c->data + (from - c->at), to - from);
    else
        memset(f->data + from, 0, to - from);
}

static void sync_file(struct file *f)
{
    for (const struct change *c = f->first; c; c = c->next) {
        uint64_t from, to = lossy_extent(f, c, &from);

        if (c->op == DISK_WRITE)
            lossy_reach(f, to);
        if (to > from)
            lossy_put(f, c, from, to);
        f->size = lossy_size_after(f->size, c);
    }
    f->n = MIN(f->n, f->size);
    lossy_forget_changes(f);
}

/* -- the log ------------------------------------------------------------------------------------------------- */

static void add_change(struct file *f, const struct disk_record *r, const uint8_t *data)
{
    struct change *c = calloc(1, sizeof *c);

    ck_assert_ptr_nonnull(c);
    *c = (struct change){ .op = (enum disk_op)r->op, .at = r->at, .n = r->n };
    if (r->data_bytes) {
        c->data = malloc(r->data_bytes);
        ck_assert_ptr_nonnull(c->data);
        memcpy(c->data, data, r->data_bytes);
    }
    f->live = lossy_size_after(f->live, c);
    *f->last = c;
    f->last = &c->next;
}

static void sync_names(struct node *dir)
{
    for (unsigned i = 0; i < dir->n_names; i++) {
        dir->names[i].states[0] = lossy_live(&dir->names[i]);
        dir->names[i].n = 1;
    }
}

static void replay_one(struct lossy *l, const struct disk_record *r, const char *path, const uint8_t *data)
{
    struct name *name = find(l, path);
    struct node *node = name ? lossy_live(name) : l->top;

    switch ((enum disk_op)r->op) {
    case DISK_CREATE:
    case DISK_MKDIR:
        become(name, node_new(l, r->op == DISK_MKDIR));
        break;
    case DISK_UNLINK:
        become(name, NULL);
        break;
    case DISK_WRITE:
    case DISK_TRUNCATE:
    case DISK_ALLOCATE:
        ck_assert_msg(node && !node->is_dir, "%s is written, and is no file that is known", path);
        add_change(&node->file, r, data);
        break;
    case DISK_SYNC:
        ck_assert_msg(node, "%s is synced, and not known", path);
        if (node->is_dir)
            sync_names(node);
        else
            sync_file(&node->file);
    }
}

struct entry {
    struct disk_record record;
    char path[PATH_BYTES];
    uint8_t *data;
};

/* false: there is none, or it was killed while it wrote it. */
static bool read_entry(FILE *file, struct entry *ret)
{
    struct disk_record *r = &ret->record;

    *ret = (struct entry){ .data = NULL };
    if (fread(r, sizeof *r, 1, file) != 1)
        return false;
    ck_assert_uint_lt(r->name_bytes, PATH_BYTES);
    ret->data = malloc(r->data_bytes + 1);
    ck_assert_ptr_nonnull(ret->data);
    return fread(ret->path, 1, r->name_bytes, file) == r->name_bytes &&
           fread(ret->data, 1, r->data_bytes, file) == r->data_bytes;
}

/* Of a sync, by what the file was changed by last, and what is changed next. */
static enum lossy_which which_sync(struct lossy *l, const struct entry *e, const struct entry *next)
{
    struct name *name = find(l, e->path);
    const struct change *last = NULL;

    for (const struct change *c = name && lossy_live(name) ? lossy_live(name)->file.first : NULL; c; c = c->next)
        last = c;
    if (next->record.op == DISK_WRITE && strlen(next->path) < strlen(e->path) &&
        strncmp(next->path, e->path, strlen(next->path)) == 0)
        return LOSSY_AHEAD;
    if (last && last->op == DISK_TRUNCATE)
        return LOSSY_CUT;
    if (last && last->at == 0 && last->n == LOG_HEAD)
        return LOSSY_HEAD;
    return last && !last->data ? LOSSY_ZEROS : LOSSY_COMMIT;
}

static bool is_left_out(struct lossy *l, const struct lossy_omission *without, const struct entry *e,
                        const struct entry *next, unsigned *syncs)
{
    if (!without || e->record.op != DISK_SYNC || strcmp(e->path, without->name) != 0)
        return false;
    ++*syncs;
    return without->which == LOSSY_ALL ||
           (without->which == LOSSY_NTH ? without->nth == *syncs : without->which == which_sync(l, e, next));
}

/* One record after the other, n of them at most; on_each is told of each before it is done, and whether that is left
 * out. Their number. */
typedef void each_entry(void *arg, unsigned i, const struct entry *e, bool left_out);
static unsigned replay(struct lossy *l, unsigned n, const struct lossy_omission *without, each_entry *on_each,
                       void *arg)
{
    FILE *file = fopen(l->log, "re");
    struct entry e = { .data = NULL }, next = { .data = NULL };
    bool have = file && read_entry(file, &e);
    unsigned syncs = 0, i = 0;

    for (; have && i < n; i++) {
        bool left_out;

        have = read_entry(file, &next);
        left_out = is_left_out(l, without, &e, have ? &next : &e, &syncs);
        if (on_each)
            on_each(arg, i, &e, left_out);
        if (!left_out)
            replay_one(l, &e.record, e.path, e.data);
        free(e.data);
        e = next;
        next.data = NULL;
    }
    free(e.data);
    if (file)
        fclose(file);
    return i;
}

unsigned lossy_replay(struct lossy *l, unsigned n, const struct lossy_omission *without)
{
    return replay(l, n, without, NULL, NULL);
}

struct gaps {
    struct lossy *l;
    const char *name;
    unsigned *ret, n, room;
    bool open;
};

static void see_gap(void *arg, unsigned i, const struct entry *e, bool left_out)
{
    struct gaps *g = arg;

    if (e->record.op == DISK_SYNC && strcmp(e->path, g->name) == 0)
        g->open = left_out &&
                  (!*g->name || lossy_live(find(g->l, g->name))->is_dir || lossy_live(find(g->l, g->name))->file.first);
    else if (g->open && g->n < g->room)
        g->ret[g->n++] = i + 1;
}

unsigned lossy_gaps(struct lossy *l, const struct lossy_omission *without, unsigned *ret, unsigned room)
{
    struct gaps gaps = { .l = l, .name = without->name, .ret = ret, .room = room };

    replay(l, UINT_MAX, without, see_gap, &gaps);
    return gaps.n;
}

void lossy_forget(struct lossy *l)
{
    unlink(l->log);
}

/* -- the test of the log ---------------------------------------------------------------------------------------- */

/* With all its changes, as a file of its own. */
static void assert_same(const struct file *f, const char *path)
{
    struct file all = { .n = f->n, .size = f->size, .data = malloc(f->n + 1) };
    struct stat st;
    uint8_t *data;
    uint64_t from;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    ck_assert_msg(fd >= 0, "%s: %s", path, strerror(errno));
    ck_assert_int_eq(fstat(fd, &st), 0);
    ck_assert_msg((uint64_t)st.st_size == f->live, "%s has %lld bytes, and %llu by the log", path,
                  (long long)st.st_size, (unsigned long long)f->live);
    ck_assert_ptr_nonnull(all.data);
    if (f->n)
        memcpy(all.data, f->data, f->n);
    for (const struct change *c = f->first; c; c = c->next) {
        uint64_t to = lossy_extent(&all, c, &from);

        if (c->op == DISK_WRITE)
            lossy_reach(&all, to);
        if (to > from)
            lossy_put(&all, c, from, to);
    }
    all.n = MIN(all.n, (size_t)st.st_size);
    data = malloc(all.n + 1);
    ck_assert_int_eq(read(fd, data, all.n), (ssize_t)all.n);
    ck_assert_msg(memcmp(data, all.data, all.n) == 0, "%s is not what the log says", path);
    free(data);
    free(all.data);
    close(fd);
}

static void assert_dir(const struct node *dir, const char *path)
{
    char below[PATH_BYTES];

    for (unsigned i = 0; i < dir->n_names; i++) {
        const struct node *node = lossy_live(&dir->names[i]);

        ck_assert_int_lt(snprintf(below, sizeof below, "%s/%s", path, dir->names[i].text), (int)sizeof below);
        ck_assert_msg(!node == (access(below, F_OK) < 0), "%s is there, or is not, and the log says otherwise", below);
        if (node && node->is_dir)
            assert_dir(node, below);
        else if (node)
            assert_same(&node->file, below);
    }
}

void lossy_assert_complete(const struct lossy *l)
{
    assert_dir(l->top, l->root);
}
