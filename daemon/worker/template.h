/* SPDX-License-Identifier: MIT */
/*
 * template -- the process that loads modules once and forks workers. See template.c.
 */
#ifndef WORKER_TEMPLATE_H
#define WORKER_TEMPLATE_H

#include "daemon/worker/worker.h"

struct template_options {
    const char *module_path;
    uint64_t load_max_us; /* a module that takes longer to load is broken */
    struct worker_options worker;
};

/* Serves the link until its end. The exit status; does not return in the workers that it forks. */
int template_main(int link_fd, const struct template_options *options);

#endif
