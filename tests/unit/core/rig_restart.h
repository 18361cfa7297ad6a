/* SPDX-License-Identifier: MIT */
/*
 * rig_restart -- the bench of rig_queue.h, with a daemon that dies and another that begins with what was written.
 */
#ifndef TESTS_CORE_RIG_RESTART_H
#define TESTS_CORE_RIG_RESTART_H

#include "tests/unit/core/rig_queue.h"

enum { RIG_KEPT_MAX = 64 };
struct rig_kept {
    uint64_t task;
    struct core_row *row, *life;
};
extern struct rig_kept rig_kept[RIG_KEPT_MAX];
extern size_t rig_n_kept;
extern bool rig_same_boot; /* only the daemon starts anew: the monotonic clock goes on */

/* Takes the rows that were written out of the actions, as a journal does. */
void rig_keep_rows(struct rig *r);
/* The daemon dies; another begins, so much later, by a clock that was set by so much. */
void rig_restart(struct rig *r, uint32_t workers, uint64_t later_ms, int64_t clock_ms);
void rig_forget_rows(void);

#endif
