/* SPDX-License-Identifier: MIT */
/*
 * recorder -- between core and journal: rows go out, "recorded up to n" comes back, tasks return after a restart.
 * See recorder.c.
 */
#ifndef PTOOLSD_RECORDER_H
#define PTOOLSD_RECORDER_H

#include "daemon/ptoolsd/daemon.h"
#include "daemon/ptoolsd/journal.h"

/* Opens the journal, gives the core what is in it, and starts its thread; without one in the configuration *ret is
 * NULL. 0; JOURNAL_BAD_DATA; -errno: why tells. */
int recorder_new(struct daemon *d, struct recorder **ret, char why[JOURNAL_WHY_BYTES]);
/* What was put is recorded, and the end marked as a clean one. 0, or the exit status that says it is not. */
int recorder_end(struct recorder *r);
void recorder_put(struct recorder *r, struct core_row *take);
/* The end of a turn. */
void recorder_turn(struct recorder *r);
/* Why nothing is recorded any more; NULL: it is. */
const char *recorder_failed(const struct recorder *r);

#endif
