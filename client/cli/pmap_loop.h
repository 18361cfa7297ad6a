/* SPDX-License-Identifier: MIT */
/*
 * pmap_loop -- what both kinds of `ptools pmap`, over a function and over a command, do until all have ended. See
 * pmap_loop.c.
 */
#ifndef CLI_PMAP_LOOP_H
#define CLI_PMAP_LOOP_H

#include <ptools/ptools.h>

#include "client/cli/bar.h"
#include "client/cli/outlet.h"

struct pmap_loop {
    ptools *pt;
    ptools_pmap *map; /* NULL: none runs */
    struct bar *bar;
    struct outlet *outlet;
    int signals; /* -1: they are not watched */
    unsigned interrupts;
    int input;   /* where items come from, ... */
    bool *later; /* ... and whether there were none: ask again when there are */

    /* of the two kinds */
    void (*take)(const ptools_item *item, void *arg);
    bool (*flush)(void *arg);                          /* nothing is at hand. False: no more can be written */
    int64_t (*due_ms)(void *arg);                      /* until it has something to do that nothing tells; -1: never */
    void (*numbers)(struct bar_numbers *n, void *arg); /* done, failed, of and about */
    void *arg;
};

/* From now on signals that end a program are blocked, and looked at here, and where output waits. 0 or -errno. */
int pmap_loop_watch(struct pmap_loop *loop);
void pmap_loop_close(struct pmap_loop *loop);

/* Until the map has no more outcomes, which is what ptools_pmap_next() said at last; PTOOLS_OK: ended before. */
ptools_err pmap_loop_run(struct pmap_loop *loop);
/* False: a second signal has come, or standard output takes no more. */
bool pmap_loop_goes_on(const struct pmap_loop *loop);

#endif
