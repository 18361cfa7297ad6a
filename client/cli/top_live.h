/* SPDX-License-Identifier: MIT */
/*
 * top_live -- `ptools top` on a terminal. See top_live.c.
 */
#ifndef CLI_TOP_LIVE_H
#define CLI_TOP_LIVE_H

#include "client/cli/command_line.h"
#include "client/cli/lazy_curses.h"
#include "client/cli/top_look.h"

/* Whether pt's daemon is on this machine. */
bool top_is_here(const struct command_line *line);

/* Until a key or a signal ends it. Takes pt. The exit status. */
int top_live(const struct command_line *line, ptools *take_pt, int64_t interval_ms);

#endif
