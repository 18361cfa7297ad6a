/* SPDX-License-Identifier: MIT */
/*
 * cgroups -- a control group for each process of the supervisor. See cgroups.c.
 */
#ifndef PTOOLSD_CGROUPS_H
#define PTOOLSD_CGROUPS_H

#include <stdint.h>

#include "daemon/ptoolsd/daemon.h"

enum { CGROUPS_LIMITS_BYTES = 32 };

struct cgroups;

struct cgroup { /* of one process */
    int fd;          /* -1: it has none */
    uint64_t number; /* no name is used twice: what stands in a group is of this process alone */
};

/* Before anything is started, for this process moves into a group itself. fd: of a group that this daemon was given, -1:
 * none; taken. *ret NULL: there are none, and that is as it should be. 0, or -errno and a line in the log: they were
 * demanded. */
int cgroups_new(struct daemon *d, int take_fd, struct cgroups **ret);
struct cgroups *cgroups_free(struct cgroups *c);
DEFINE_AUTO(cgroups)
/* The group of a process to be, with its limits. If there can be none it goes without, and the log tells why. */
struct cgroup cgroups_make(struct cgroups *c, uint32_t process);
/* The kernel has killed somebody in it for lack of memory. */
bool cgroup_out_of_memory(const struct cgroup *g);
/* Whoever is left in it is killed, and it goes when they are gone. */
void cgroups_end(struct cgroups *c, uint32_t process, struct cgroup *g);
/* What can be limited in a group: "cpu memory pids". */
const char *cgroups_limits(const struct cgroups *c, char ret[CGROUPS_LIMITS_BYTES]);

#endif
