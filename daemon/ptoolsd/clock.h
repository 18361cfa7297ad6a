/* SPDX-License-Identifier: MIT */
/*
 * clock -- the time of day, and whether it was set, or the machine has slept. See clock.c.
 */
#ifndef PTOOLSD_CLOCK_H
#define PTOOLSD_CLOCK_H

#include <stdint.h>

#include <systemd/sd-event.h>

struct core;

/* The first number of a task of this start: larger than any of an earlier one, as long as the clock goes forward and no
 * daemon runs four million tasks a second. */
uint64_t clock_first_task(void);
/* In ms since 1970. */
uint64_t clock_wall_ms(void);
/* Tells the core what time of day it is, and both clocks at once: what time it was when the turn began would not go
 * with what time of day it is now. */
void clock_tell(struct core *core);

/* From then on a turn begins when it was set, or the machine has slept. 0 or -errno. */
int clock_watch(sd_event *event);

#endif
