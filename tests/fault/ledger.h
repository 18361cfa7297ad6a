/* SPDX-License-Identifier: MIT */
/*
 * ledger -- what clients write down while something is being killed, to be held against the daemon afterwards.
 *
 * A ledger is a directory. Each client has a file of its own in it, each job writes to the file "jobs" (q.mark of the
 * test modules); every line is one write() to a file opened with O_APPEND, so a line is there or it is not, whoever is
 * killed. Keys are words of at most 64 bytes; a key names one task.
 *
 *     client-N    S key class attempts      about to be submitted, for the first time or once more
 *                 A key id class t          accepted, as that id, at that time (ms)
 *                 R key state crc           it has ended so, seen with a value of this checksum
 *     jobs        X key attempt pid task    begun
 *                 Y key attempt pid task    finished
 *                 C key attempt pid task    another of this key runs at this moment
 *
 * check_ledger.h reads them. Everything that cannot be written fails the test.
 */
#ifndef TESTS_LEDGER_H
#define TESTS_LEDGER_H

#include <stddef.h>
#include <stdint.h>

#include <ptools/queue.h>

enum { LEDGER_KEY_MAX = 64 };

struct ledger {
    int fd;
};

void ledger_open(struct ledger *l, const char *dir, unsigned client);
void ledger_close(struct ledger *l);

void ledger_sent(struct ledger *l, const char *key, ptools_durability durability, uint32_t attempts);
void ledger_accepted(struct ledger *l, const char *key, uint64_t id, ptools_durability durability);
void ledger_ended(struct ledger *l, const char *key, ptools_queued_state state, uint32_t crc);

/* Of a value's bytes: CRC-32 (the one of zlib). */
uint32_t ledger_crc(const void *data, size_t n);
/* The path of the jobs' file. */
void ledger_jobs(const char *dir, char *ret, size_t bytes);

/* The words of the lines; NULL, or 0: none of them. */
const char *ledger_class(ptools_durability durability);
ptools_durability ledger_class_of(const char *word);
const char *ledger_state(ptools_queued_state state);
ptools_queued_state ledger_state_of(const char *word);

#endif
