/* SPDX-License-Identifier: MIT */
/*
 * joblog -- a line for each command that has ended, in the columns of GNU parallel. See joblog.c.
 */
#ifndef CLI_JOBLOG_H
#define CLI_JOBLOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum joblog_how {
    JOBLOG_NEW,          /* what the file had is gone */
    JOBLOG_RESUME,       /* what stands in it has ended */
    JOBLOG_RESUME_FAILED /* ... and what failed runs again */
};
enum { JOBLOG_WHY_BYTES = 300 };

struct joblog_line {
    uint64_t seq; /* of the item, from 1 */
    int64_t start_ms;
    uint64_t run_us, sent, received; /* bytes of its standard input and output */
    int exit_status, signal;
    const char *command;
    size_t n_command;
};

struct joblog_entry {
    uint64_t seq, line; /* of the file */
    uint64_t command;   /* what it is recognized by */
    bool failed;
};
struct joblog {
    FILE *out; /* NULL: there is none */
    enum joblog_how how;
    struct joblog_entry *entries; /* by seq */
    size_t n, room;
    bool dirty; /* not everything is on the disk */
    uint64_t synced_us;
};
/* {0} is none. 0; 1: why tells what is wrong with the file, or what it lacks; -ENOMEM. May be closed in all cases. */
int joblog_open(struct joblog *log, const char *path, enum joblog_how how, char why[JOBLOG_WHY_BYTES]);
/* The same for who only wants to know what stands in it: the file is not changed, and may be missing, or being written.
 */
int joblog_look(struct joblog *log, const char *path, enum joblog_how how, char why[JOBLOG_WHY_BYTES]);
void joblog_close(struct joblog *log);

/* Whether it has to be run no more. *ret_other: it was another command. */
bool joblog_has(const struct joblog *log, uint64_t seq, const char *command, size_t n, bool *ret_other);
void joblog_add(struct joblog *log, const struct joblog_line *line);
/* The lines so far outlive us from now on; and the machine, if `sync`, and else once a second. False: they do not, and
 * errno tells why. */
bool joblog_flush(struct joblog *log, bool sync, uint64_t now_us);

#endif
