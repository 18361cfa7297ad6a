/* SPDX-License-Identifier: MIT */
/*
 * progress -- what running tasks say of their progress, for those who watch. See progress.c.
 */
#ifndef PTOOLSD_PROGRESS_H
#define PTOOLSD_PROGRESS_H

#include "daemon/ptoolsd/daemon.h"

/* The end of a turn: the pages are looked at now and then, as long as somebody watches. */
void progress_turn(struct daemon *d);

#endif
