/* SPDX-License-Identifier: MIT */
/*
 * reload -- SIGHUP: the settings are read again. See reload.c.
 */
#ifndef PTOOLSD_RELOAD_H
#define PTOOLSD_RELOAD_H

#include "daemon/ptoolsd/config.h"

/* Where the settings come from: the command line, and what it names. */
struct source {
    int argc;
    char **argv;
    struct config *config; /* what holds now, for reload_config() to change */
};

/* Reads all of it again. What is wrong is told in the log, with file and line; then nothing changes: false. What
 * cannot change while the daemon runs keeps its value, and is told. */
bool reload_config(const struct source *source);

#endif
