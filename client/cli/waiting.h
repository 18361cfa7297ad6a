/* SPDX-License-Identifier: MIT */
/*
 * waiting -- for the end of a call or of a queued task, with signals and a time limit; then its value is printed, or
 * its failure reported. See waiting.c.
 */
#ifndef CLI_WAITING_H
#define CLI_WAITING_H

#include <ptools/ptools.h>

#include "client/cli/command_line.h"

enum { OPTION_TIMEOUT = OPTION_OF_VERB + 200, OPTION_RAW }; /* --timeout, --raw */
enum wake { WAKE_DONE, WAKE_SIGNAL, WAKE_TIME, WAKE_TROUBLE };
#define WAITING_NEVER UINT64_MAX

struct waiting {
    const char *timeout; /* as it was written; NULL: no limit */
    int64_t timeout_ms;
    bool raw;
    uint64_t task;     /* a queued one; 0: a call */
    bool *interrupted; /* set when a signal came; NULL: nobody asks */
    /* A signal came or the time is over: reports, and returns the exit status. */
    int (*give_up)(const struct command_line *line, const struct waiting *waiting, ptools *pt, ptools_future *f,
                   int signals, enum wake why);
};

/* Takes the option, if it is one of those above. The exit status. */
int waiting_take(const struct command_line *line, const struct item *item, struct waiting *waiting);

uint64_t waiting_now_us(void);
/* Until f is done, a signal has come, or the time has. */
enum wake waiting_for(ptools *pt, ptools_future *f, int signals, uint64_t until_us);
/* Waits so, then prints or reports. The exit status. */
int waiting_print(const struct command_line *line, const struct waiting *waiting, ptools *pt, ptools_future *f);
/* For give_up, of a call: it is cancelled. */
int waiting_stop(const struct command_line *line, const struct waiting *waiting, ptools *pt, ptools_future *f, int signals,
                 enum wake why);
/* For give_up, of a queued task: it goes on, and how to come back to it is told. */
int waiting_leave(const struct command_line *line, const struct waiting *waiting, ptools *pt, ptools_future *f,
                  int signals, enum wake why);

#endif
