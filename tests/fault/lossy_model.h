/* SPDX-License-Identifier: MIT */
/*
 * lossy_model -- what lossy.c and lossy_lose.c share. A node is a file or a directory, whatever its names. A file has
 * what was synced, and its changes since; a directory has for each name the node that was synced, and those that it was
 * since.
 */
#ifndef TESTS_LOSSY_MODEL_H
#define TESTS_LOSSY_MODEL_H

#include <stdint.h>

#include "tests/fault/disk_log.h"
#include "tests/fault/lossy.h"

enum { NAMES_MAX = 16, STATES_MAX = 64, NAME_BYTES = 64, PATH_BYTES = 256 };

struct change {
    struct change *next;
    enum disk_op op;
    uint64_t at, n;
    uint8_t *data; /* NULL: zeros */
};

struct file {
    uint8_t *data;
    size_t n;      /* bytes of data; behind it are zeros */
    uint64_t size; /* of the file */
    uint64_t live; /* ... with all changes */
    struct change *first, **last;
};

struct node;
struct name {
    char text[NAME_BYTES];
    struct node *states[STATES_MAX]; /* the first was synced; NULL: there was none */
    unsigned n;
};

struct node {
    struct node *next; /* of all */
    bool is_dir;
    struct file file;
    struct name names[NAMES_MAX];
    unsigned n_names;
};

struct lossy {
    const char *root, *log;
    struct node *nodes, *top;
};

/* -- lossy.c -- */

/* What a name is now. */
struct node *lossy_live(const struct name *name);
void lossy_forget_changes(struct file *f);
/* The file has at least so many bytes of data. */
void lossy_reach(struct file *f, uint64_t bytes);
/* Of a file of this size. */
uint64_t lossy_size_after(uint64_t size, const struct change *c);
/* The bytes that a change gives a value to, as far as there are data: *ret_from to the returned. */
uint64_t lossy_extent(const struct file *f, const struct change *c, uint64_t *ret_from);
/* Makes a part of them what the change made them. */
void lossy_put(struct file *f, const struct change *c, uint64_t from, uint64_t to);

#endif
