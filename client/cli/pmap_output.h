/* SPDX-License-Identifier: MIT */
/*
 * pmap_output -- what came of the items of `ptools pmap`, as lines of JSON. See pmap_output.c.
 */
#ifndef CLI_PMAP_OUTPUT_H
#define CLI_PMAP_OUTPUT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <ptools/ptools.h>

#include "client/cli/bar.h"
#include "client/cli/command_line.h"
#include "client/cli/outlet.h"

/* How the items fared. */
struct pmap_counts {
    uint64_t items, failed, defaulted, cancelled, not_run;
    int status; /* the largest of those that `ptools call` would have for each that failed */
};

/* The outcome of one item that is written when its turn comes. */
struct pmap_kept {
    uint64_t index;
    char *text;
    size_t n;
};

struct pmap_output {
    const struct command_line *line;
    bool ordered;  /* outcomes come in the order of the items */
    bool objects;  /* a line is {"index": ..., "value": ...}, not the value */
    uint64_t next; /* ordered: index of the item whose line comes next */
    struct bar *bar;
    struct outlet outlet;
    struct pmap_counts counts;
    ptools_err hopeless;    /* what one item came to, and all others would; PTOOLS_OK: nothing */
    struct pmap_kept *kept; /* by index */
    size_t n_kept, at_kept;
    uint64_t others; /* outcomes so far of those that are not kept */
};

/* 0 or -errno. May be closed in both cases. */
int pmap_output_open(struct pmap_output *o, const struct command_line *line, bool ordered, struct bar *bar);
/* What is not written yet is dropped: flush first. */
void pmap_output_close(struct pmap_output *o);

/* Of the map over all items but those that are kept: tells its failure, if need be, and writes its line. */
void pmap_output_item(struct pmap_output *o, const ptools_item *item);
/* Tells and keeps it. Their indices rise. False: no memory. */
bool pmap_output_keep(struct pmap_output *o, const ptools_item *item, uint64_t index);
/* So many there are that are not kept: those that no outcome came of were not run. */
void pmap_output_missing(struct pmap_output *o, uint64_t total);
/* Writes what is kept and was not yet; in order, with a line for each item between that was not run. */
void pmap_output_rest(struct pmap_output *o);

#endif
