/* SPDX-License-Identifier: MIT */
/*
 * results -- what commands wrote, as files: DIR/1/VALUE/2/VALUE/stdout, as GNU parallel lays them out. See results.c.
 */
#ifndef CLI_RESULTS_H
#define CLI_RESULTS_H

#include <stdbool.h>

#include "client/cli/job.h"

/* The directory for all of them, made with those above it if need be. 0 or -errno. */
int results_make(const char *dir);
/* Writes the files stdout, stderr and seq of a job. names: of its values, by a header; what is not named has its
 * number. 0 or -errno. */
int results_write(const char *dir, const struct texts *names, const struct job *job);
/* A value as the name of a directory; exported for its test. */
void results_name(const char *value, size_t n, struct texts *ret);

#endif
