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
    int fence_fd;               /* kept open for as long as the process lives, and for nothing else; 0: none */
    const char *output_dir;     /* where the output of commands lies; "": nowhere */
    uint64_t output_max_bytes;  /* of a stream of one, if it does not say */
    uint64_t message_max_bytes; /* largest message to a client: results must leave room for its envelope */
};

/* Which process this is to be. */
struct worker_birth {
    uint32_t id;                       /* a worker's, or with STASK_PROCESS_BIT the number of a server task's process */
    int link_fd, fds_fd;
    int cgroup_fd;                     /* of the control group that it is in; -1: it has none */
    uint32_t stask_index, stask_count; /* of a server task ... */
    uint32_t uid;                      /* ... of this user ... */
    const char *prefix;                /* ... and its arrays' prefix */
};

/* Takes over a process fresh from fork(): descriptors other than stdio and link are closed, signals,
 * limits, group and random numbers set up. Then serves the link; ends the process. */
_Noreturn void worker_main(const struct worker_birth *birth, struct page *page, struct modules *modules,
                           const struct worker_options *options);

#endif
