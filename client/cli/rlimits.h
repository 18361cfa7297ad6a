/* SPDX-License-Identifier: MIT */
/*
 * rlimits -- what a process may use, as people write it: resource limits, and lists of processors. See rlimits.c.
 */
#ifndef CLI_RLIMITS_H
#define CLI_RLIMITS_H

#include <stdbool.h>
#include <stdint.h>

#include <ptools/pfork.h>

enum { RLIMITS_MAX = 9, RLIMITS_CPUS_MAX = 1024, RLIMITS_WHY_BYTES = 320 };

/* "nofile=100", "as=2G", "core=unlimited": added to the list, or in the place of an earlier one of that name, so that
 * there are never more than RLIMITS_MAX. false: why names what was wrong and what is allowed; nothing is changed. */
bool rlimits_read(const char *text, ptools_pfork_limit limits[RLIMITS_MAX], uint32_t *n, char why[RLIMITS_WHY_BYTES]);
/* What setrlimit() would refuse: a hard limit above that of this process, which may not raise it. As rlimits_read(). */
bool rlimits_check(const ptools_pfork_limit *limits, uint32_t n, char why[RLIMITS_WHY_BYTES]);

/* "0,2-3": in this order, each once. As rlimits_read(). */
bool rlimits_read_cpus(const char *text, uint32_t cpus[RLIMITS_CPUS_MAX], uint32_t *ret_n, char why[RLIMITS_WHY_BYTES]);
/* The processors that this process may use; 0: unknown. */
uint32_t rlimits_own_cpus(uint32_t cpus[RLIMITS_CPUS_MAX]);

#endif
