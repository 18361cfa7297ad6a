/* SPDX-License-Identifier: MIT */
/*
 * outputs -- the files of the output of commands, which workers write: how long they stay. See outputs.c.
 */
#ifndef PTOOLSD_OUTPUTS_H
#define PTOOLSD_OUTPUTS_H

#include "daemon/ptoolsd/daemon.h"

/* At the start, when the journal's tasks are known: what belongs to none of them is removed. */
void outputs_sweep(struct daemon *d);
/* The task is forgotten: so is what its attempts wrote. */
void outputs_forget(struct daemon *d, uint64_t queued_ms, uint64_t task, uint32_t attempts);
/* At the end, when no worker is left: without a journal nobody will know any of it. */
void outputs_end(struct daemon *d);

#endif
