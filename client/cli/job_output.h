/* SPDX-License-Identifier: MIT */
/*
 * job_output -- what commands wrote, each whole, to where they wrote it; or a line of JSON for each. See job_output.c.
 */
#ifndef CLI_JOB_OUTPUT_H
#define CLI_JOB_OUTPUT_H

#include <stdbool.h>

#include "client/cli/bar.h"
#include "client/cli/command_line.h"
#include "client/cli/job.h"
#include "client/cli/outlet.h"
#include "client/cli/template.h"

struct job_output {
    const struct command_line *line;
    struct outlet outlet;
    struct bar *bar;
    bool tagged;
    struct template tag; /* goes before each line */
    bool lost;           /* output in a file could not be read */
};
/* 0 or -errno. May be closed in both cases. */
int job_output_open(struct job_output *o, const struct command_line *line, struct bar *bar);
void job_output_close(struct job_output *o);

/* All that is to be shown of a job that has ended. */
void job_output_show(struct job_output *o, struct job *job);
/* What would be run. */
void job_output_show_command(struct job_output *o, struct job *job);

#endif
