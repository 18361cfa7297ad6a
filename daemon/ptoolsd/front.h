/* SPDX-License-Identifier: MIT */
/*
 * front -- ptoolsd as the service of a whole machine: it lets users in, and runs nothing. See front.c.
 */
#ifndef PTOOLSD_FRONT_H
#define PTOOLSD_FRONT_H

#include "daemon/ptoolsd/daemon.h"

/* As daemon_run(). */
int front_run(const struct config *config, struct start *take_start);

#endif
