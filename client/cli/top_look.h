/* SPDX-License-Identifier: MIT */
/*
 * top_look -- one look at the daemon, for `ptools top`. See top_look.c.
 */
#ifndef CLI_TOP_LOOK_H
#define CLI_TOP_LOOK_H

#include "client/cli/top.h"

/* A look, and what the texts in it belong to. */
struct top_found {
    struct top_look look;
    ptools_worker_info *workers;
    ptools_queued *list;
    ptools_future *future;
    ptools_value status; /* the document, of the future */
};

/* Asks pt. here: its processes are on this machine, and /proc knows them. before: the look before, for what processors
 * did since; NULL: none. What is returned but PTOOLS_OK is that of the library (ptools_last_failure()). */
ptools_err top_look(ptools *pt, bool here, const struct top_found *before, struct top_found **ret_found);
struct top_found *top_found_free(struct top_found *found);

#endif
