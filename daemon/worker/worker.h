/* SPDX-License-Identifier: MIT */
/*
 * worker -- the worker process: runs the tasks that the daemon gives it, one after the other. See worker.c.
 */
#ifndef WORKER_WORKER_H
#define WORKER_WORKER_H

#include <stdint.h>

#include "daemon/worker/modules.h"
#include "proto/page.h"

struct worker_options {
    uint64_t memory_max_bytes;  /* RLIMIT_DATA; 0: none */
    uint64_t message_max_bytes; /* largest message to a client: results must leave room for its envelope */
};

/* Takes over a process fresh from fork(): descriptors other than stdio and link are closed, signals,
 * limits, group and random numbers set up. Then serves the link; ends the process. */
_Noreturn void worker_main(int link_fd, struct page *page, uint32_t id, struct modules *modules,
                           const struct worker_options *options);

#endif
