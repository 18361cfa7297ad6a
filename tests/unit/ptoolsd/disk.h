/* SPDX-License-Identifier: MIT */
/*
 * disk -- a disk that fails, is full, or loses its power, for the tests of the journal: a VFS of SQLite, named "disk",
 * above the usual one. See disk.c. One journal at a time.
 */
#ifndef TESTS_DISK_H
#define TESTS_DISK_H

#include <stdbool.h>
#include <stdint.h>

struct disk {
    /* what a test sets */
    unsigned fail_at; /* this call from now (1: the next) of those that count fails; 0: none */
    int fail_with;    /* SQLITE_IOERR or SQLITE_FULL */
    bool fail_on;     /* ... and all after it */
    unsigned lose_at; /* before this call the power fails: disk_lose() into lose_into; 0: never */
    const char *lose_into;
    void (*losing)(void); /* called then */
    bool ignore_sync;     /* syncs do nothing, and say they did */
    /* what it tells */
    unsigned calls; /* writes, syncs and truncations: those that count */
    unsigned syncs;
    bool failed, lost;
};
extern struct disk disk;

void disk_begin(void); /* registers it, with nothing set */
void disk_end(void);   /* forgets what it knows of files */
/* What is there after the power has failed: everything that was synced, and of what was not, any sector or not. */
void disk_lose(const char *into);

#endif
