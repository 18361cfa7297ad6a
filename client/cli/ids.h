/* SPDX-License-Identifier: MIT */
/*
 * ids -- queued tasks as people name them: 17, 3-9, 4,8,last, key:nightly, tag:x. See ids.c.
 */
#ifndef CLI_IDS_H
#define CLI_IDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum id_kind {
    ID_NUMBER, /* the task of the id `first`      */
    ID_RANGE,  /* those from `first` to `last`    */
    ID_LAST,   /* the newest                      */
    ID_KEY,    /* the one that has the key `text` */
    ID_TAG     /* those that have the tag `text`  */
};
struct id {
    enum id_kind kind;
    uint64_t first, last;
    char *text; /* NULL, but for key and tag */
};
struct ids {
    struct id *items;
    size_t n;
};

#define IDS_FORMS                                                                                                      \
    "a task is its number, a range of numbers (3-9), last, key:TEXT or tag:TAG; several with commas between"
enum { IDS_WHY_BYTES = 400, IDS_KEY_BYTES = 64 };

/* Appends what the word names. 0; 1: it is wrong, why tells, and nothing is appended; -ENOMEM. */
int ids_add(struct ids *ids, const char *word, char why[IDS_WHY_BYTES]);
/* Whether it names one task and not perhaps several. */
bool id_is_one(const struct id *id);
void ids_deinit(struct ids *ids);

#endif
