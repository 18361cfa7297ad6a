/* SPDX-License-Identifier: MIT */
/*
 * lossy -- a disk that loses its power, for daemons that run with watch_disk.c: what it has of the files below a
 * directory, after so much of the log of what was done to them.
 *
 * When the power fails it has what was synced, and of what was not a part, by chance (pick() of client.h): some of it,
 * or what was first, or what was last.
 *
 *     data     of each sector of 512 bytes, any of the states that it had since the last sync of its file
 *     size     likewise. What was cut off is there as long as the disk does not know that it was, and then all of it
 *     names    of each name in a directory, any of the files, or none, that it was since the directory was last synced.
 *              That a file was synced does not mean that its name was: POSIX promises no more
 *
 * The usual workflow: lossy_new(), and for each life of a daemon: its end, lossy_replay(), lossy_forget(),
 * lossy_lose().
 */
#ifndef TESTS_LOSSY_H
#define TESTS_LOSSY_H

#include <stdbool.h>
#include <stddef.h>

struct lossy;

/* Syncs that are left out: those of one file or directory ... */
enum lossy_which {
    LOSSY_ALL,
    LOSSY_NTH,    /* the n-th in each life */
    LOSSY_HEAD,   /* of the head of SQLite's log */
    LOSSY_ZEROS,  /* of zeros only, which made it longer */
    LOSSY_AHEAD,  /* of the log, before what it is of is written */
    LOSSY_CUT,    /* when its size was set */
    LOSSY_COMMIT, /* none of these */
};

struct lossy_omission {
    const char *name; /* "": the directory above all */
    enum lossy_which which;
    unsigned nth;
};

/* The directory is there, and empty. Both are borrowed. */
struct lossy *lossy_new(const char *root, const char *log);
struct lossy *lossy_free(struct lossy *l);
/* What the log says was done to it: its first n records. without NULL: no sync is left out. How many there were. */
unsigned lossy_replay(struct lossy *l, unsigned n, const struct lossy_omission *without);
/* As lossy_replay() of all; *ret: after how many records a sync that was left out makes a difference, as many as there
 * is room for. Their number. */
unsigned lossy_gaps(struct lossy *l, const struct lossy_omission *without, unsigned *ret, unsigned room);
/* Removes the log, for the next life. */
void lossy_forget(struct lossy *l);
/* Fails the test if the directory is not what the log says that it has become. */
void lossy_assert_complete(const struct lossy *l);
/* The power fails: the directory becomes what the disk has. */
void lossy_lose(struct lossy *l);

#endif
