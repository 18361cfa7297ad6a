/* SPDX-License-Identifier: MIT */
/*
 * disk_log -- what a daemon does to the files below a directory, as watch_disk.c writes it down and lossy.c reads it:
 * a record for each change and each sync, in their order. A last record that is cut short is none.
 *
 * In the environment of the daemon:
 *
 *     PTOOLS_TEST_DISK        the directory, without symbolic links in it
 *     PTOOLS_TEST_DISK_LOG    the file to append records to
 *     PTOOLS_TEST_DISK_KILL   the process kills itself instead of the n-th change or sync; 0: never
 *     PTOOLS_TEST_DISK_FROM   ... counted from when that was done: "write NAME" or "sync NAME"; "": from the start
 *     PTOOLS_TEST_BOOT        the file that is read instead of /proc/sys/kernel/random/boot_id
 */
#ifndef TESTS_DISK_LOG_H
#define TESTS_DISK_LOG_H

#include <stdint.h>

enum disk_op {
    DISK_CREATE = 1, /* a file that was not there */
    DISK_MKDIR,
    DISK_UNLINK,
    DISK_WRITE,    /* `n` bytes at `at`: those that follow, or zeros */
    DISK_TRUNCATE, /* to `at` bytes */
    DISK_ALLOCATE, /* no less than `at` bytes */
    DISK_SYNC
};

/* Followed by the name below the directory (none: the directory itself), then by the data. */
struct disk_record {
    uint32_t op, name_bytes, data_bytes, unused;
    uint64_t at, n;
};

#endif
