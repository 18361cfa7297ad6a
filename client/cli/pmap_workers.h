/* SPDX-License-Identifier: MIT */
/*
 * pmap_workers -- who may run the items of `ptools pmap`. See pmap_workers.c.
 */
#ifndef CLI_PMAP_WORKERS_H
#define CLI_PMAP_WORKERS_H

#include <ptools/ptools.h>

#include "client/cli/command_line.h"
#include "client/cli/submission.h"

/* Those that s names, those of its set, or all. *ret_ids is to be freed. The exit status; what is wrong was told. */
int pmap_workers(const struct command_line *line, ptools *pt, const struct submission *s, uint32_t **ret_ids,
                 uint32_t *ret_n);

#endif
