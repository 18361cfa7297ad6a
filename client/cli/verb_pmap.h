/* SPDX-License-Identifier: MIT */
/*
 * verb_pmap -- what a command line of `ptools pmap` asks for. verb_pmap.c reads it, pmap_run.c
 * does it over a function, pmap_jobs.c over a command.
 */
#ifndef CLI_VERB_PMAP_H
#define CLI_VERB_PMAP_H

#include <ptools/ptools.h>

#include "client/cli/bar.h"
#include "client/cli/command_line.h"
#include "client/cli/jobs_wish.h"
#include "client/cli/pmap_input.h"
#include "client/cli/submission.h"

struct pmap_wish {
    const char *function;
    enum pmap_form form;
    char separator;
    struct submission s; /* set, workers, priority and retries, as `ptools submit` reads them */
    ptools_pmap_options map;
    ptools_pack *default_value, *captured; /* NULL: none */
    int64_t delays[255];
    enum bar_kind bar;
    size_t rehearse;    /* items; 0: none */
    bool rehearse_only; /* only with rehearse */
    bool no_private;
    uint32_t workers;      /* of a private daemon; 0: one a processor */
    struct jobs_wish jobs; /* over a command */
};

/* Over a function, and over a command. The exit status. */
int pmap_jobs(const struct command_line *line, struct pmap_wish *wish);
int pmap_run(const struct command_line *line, struct pmap_wish *wish);

#endif
