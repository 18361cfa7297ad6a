/* SPDX-License-Identifier: MIT */
/*
 * probe -- loads a module in a child process first, to see what comes of it. See probe.c.
 */
#ifndef WORKER_PROBE_H
#define WORKER_PROBE_H

#include <sys/queue.h>
#include <sys/types.h>

#include "daemon/worker/modules.h"
#include "proto/link.h"

enum { PROBE_REPORT_BYTES = LINK_PACKET_BYTES - (int)sizeof(struct link_frame) };

/* What the child leaves behind, in memory that both see. Foreign code ran there: n is checked, and the
 * report is decoded by the daemon as a stranger's. */
struct probe_result {
    uint32_t code;       /* ptools_err: PTOOLS_OK if the module passed all checks */
    uint32_t threads;    /* of the child, after loading */
    uint32_t n;          /* bytes of the report; 0: there is none */
    uint8_t report[PROBE_REPORT_BYTES];
};

struct probe {
    char module[NAME_BYTES_MAX + 1];
    pid_t pid;
    int pidfd;           /* readable when the child has ended */
    uint64_t limit_us;   /* of time */
    uint64_t deadline_us;
    struct probe_result *result;
    TAILQ_ENTRY(probe) link;
};

/* Starts the child, in which close_fd is closed. 0 or -errno. */
int probe_new(struct modules *modules, const char *module, int close_fd, uint64_t now_us, uint64_t limit_us,
              struct probe **ret);
/* After the child has ended, or, and then it is killed, when its time is over. True: result->report holds what
 * it found, well or not; false: it found nothing, and why tells what became of it. */
bool probe_finish(struct probe *p, bool timed_out, char why[WHY_BYTES]);
/* Kills the child if it still runs. */
struct probe *probe_free(struct probe *p);
DEFINE_AUTO(probe)

/* Threads of this process. */
unsigned probe_threads(void);

#endif
