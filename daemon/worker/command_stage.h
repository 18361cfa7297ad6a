/* SPDX-License-Identifier: MIT */
/*
 * command_stage -- files of a command that appear in their directory only when it has done well: see command_stage.c.
 */
#ifndef WORKER_COMMAND_STAGE_H
#define WORKER_COMMAND_STAGE_H

#include <limits.h>
#include <stdbool.h>

#include "daemon/worker/task.h"

struct stage {
    const char *dir;     /* NULL: there is none */
    char part[PATH_MAX]; /* where the command puts them: PTOOLS_OUT_DIR */
};

/* Makes the part, and removes those of earlier attempts. 0 or -errno. */
int stage_begin(struct stage *s, const char *dir, const struct ptools_task *t);
/* keep: what is in it gets into the directory; else it is removed. 0, or -errno: some of it stays in the part. */
int stage_end(struct stage *s, bool keep);

#endif
