/* SPDX-License-Identifier: MIT */
/*
 * clock -- hears when the time of day is set, or the machine has slept. See clock.c.
 */
#ifndef PTOOLSD_CLOCK_H
#define PTOOLSD_CLOCK_H

#include <systemd/sd-event.h>

/* From then on a turn begins when that happens; at its end the core is told what time it is. 0 or -errno. */
int clock_watch(sd_event *event);

#endif
