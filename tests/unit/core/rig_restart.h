/* SPDX-License-Identifier: MIT */
/*
 * rig_restart -- a journal for the bench of rig_queue.h: what was written is there for the next core.
 */
#ifndef TESTS_CORE_RIG_RESTART_H
#define TESTS_CORE_RIG_RESTART_H

#include "tests/unit/core/rig_queue.h"

enum { RIG_KEPT_MAX = 64 };

struct rig_kept {
    uint64_t task;
    struct core_row *row, *life;
};
struct rig_journal {
    struct rig_kept kept[RIG_KEPT_MAX];
    size_t n;
    bool same_boot; /* only the daemon starts anew: the monotonic clock goes on */
};

/* Takes in all rows that were written so far. */
void rig_keep_rows(struct rig_journal *j, struct rig *r);
/* The daemon dies; another begins, so much later, and the clock has been set by so much meanwhile. */
void rig_restart(struct rig_journal *j, struct rig *r, uint32_t workers, uint64_t later_ms, int64_t clock_ms);
void rig_forget_rows(struct rig_journal *j);

#endif
