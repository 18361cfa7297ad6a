/* SPDX-License-Identifier: MIT */
/*
 * recorder -- between core and journal: rows go out, "recorded up to n" comes back, tasks return after a restart.
 * See recorder.c.
 */
#ifndef PTOOLSD_RECORDER_H
#define PTOOLSD_RECORDER_H

#include "daemon/ptoolsd/daemon.h"
#include "daemon/ptoolsd/journal.h"

/* Before there are workers: opens the journal, and waits until none of an earlier daemon's runs any more (d->fence_fd
 * is the fence for new ones). Without a journal in the configuration *ret is NULL. 0; JOURNAL_BAD_DATA; -errno: why
 * tells. clock_ms as in journal_options. */
int recorder_open(struct daemon *d, uint64_t clock_ms, struct recorder **ret, char why[JOURNAL_WHY_BYTES]);
/* Gives the core what is in it, and starts the journal's thread. r may be NULL. As above. */
int recorder_start(struct recorder *r, char why[JOURNAL_WHY_BYTES]);
/* What was put is recorded, and the end marked as a clean one. 0, or the exit status that says it is not. */
int recorder_end(struct recorder *r);
void recorder_put(struct recorder *r, struct core_row *take);
/* The end of a turn. */
void recorder_turn(struct recorder *r);
/* Why nothing is recorded any more; NULL: it is. */
const char *recorder_failed(const struct recorder *r);

#endif
