/* SPDX-License-Identifier: MIT */
/*
 * headroom -- how much memory this process may still take: of the machine, and of its control groups.
 */
#ifndef PROTO_HEADROOM_H
#define PROTO_HEADROOM_H

#include <stdint.h>

struct headroom {
    uint64_t free_bytes;
    uint64_t limit_bytes; /* of what is shortest */
    const char *what;     /* "memory of this machine", "memory limit of the control group"; static */
};
/* The least of all. A few hundred microseconds. What cannot be read is no limit. */
void headroom_now(struct headroom *ret);
/* How many processes the kernel of this machine has killed for lack of memory; 0 if it cannot be told. Who was killed
 * by SIGKILL while it rose was killed for that. */
uint64_t headroom_oom_kills(void);

#endif
