/* SPDX-License-Identifier: MIT */
/*
 * groups -- a control group for the daemon of each user. See groups.c.
 */
#ifndef SPAWN_GROUPS_H
#define SPAWN_GROUPS_H

#include <stdbool.h>
#include <stdint.h>

/* At the start. Where there is no such group, daemons have none of their own; it is looked for with each of them. */
void groups_open(void);
/* One for a daemon of this user, which it may divide: a descriptor, the caller's, and its number; -1: none. */
int groups_make(uint32_t uid, uint64_t *ret_number);
/* The daemon in it has ended: whoever it has left is killed. false: somebody is still ending, groups_tidy() later. */
bool groups_end(uint32_t uid, uint64_t number);
/* The same of all daemons that have ended: they go on when this program ends, and may end before the next one is there. */
bool groups_tidy(void);

#endif
