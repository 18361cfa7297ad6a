/* SPDX-License-Identifier: MIT */
/*
 * signals -- the signals that end a program, as something that can be waited for. See signals.c.
 */
#ifndef CLI_SIGNALS_H
#define CLI_SIGNALS_H

#include <signal.h>

/* Blocks SIGINT, SIGTERM and SIGHUP, but for those that whoever started us chose to ignore, and opens a descriptor that
 * can be read when one has come. ret_mask (may be NULL) is the signal mask as it was. The descriptor; -errno. */
int signals_open(sigset_t *ret_mask);
/* The number of one that has come, which is taken from the descriptor; 0: none has. */
int signals_take(int fd);

#endif
