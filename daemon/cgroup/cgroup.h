/* SPDX-License-Identifier: MIT */
/*
 * cgroup -- control groups, version 2, by descriptors of their directories: see cgroup.c. All calls are of a few system
 * calls, and none waits for a process to end.
 */
#ifndef CGROUP_CGROUP_H
#define CGROUP_CGROUP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum cgroup_controller { CGROUP_CPU = 1, CGROUP_MEMORY = 2, CGROUP_PIDS = 4 };
enum { CGROUP_NAME_BYTES = 64, CGROUP_NAMES_BYTES = 32 };
#define CGROUP_NONE UINT64_MAX /* cgroup_number(): "max", or there is no such file or key */

/* The group that this process is in: a descriptor, or -errno; -ENOENT: this machine has no version 2. */
int cgroup_own(void);
/* Whether whoever made it has left what is below it to this process: systemd says so (Delegate=), in an attribute. */
bool cgroup_is_delegated(int dir);
/* One below it, made if it is not there: a descriptor, or -errno. */
int cgroup_make(int parent, const char *name);
/* This process moves into it; that takes the kernel some ten milliseconds. 0 or -errno. */
int cgroup_enter(int dir);
/* A child of this process, born in it: as fork(), or -errno. It may do nothing but fork() or exec() and end: it has the
 * thread id of its parent, as the C library remembers it. */
pid_t cgroup_fork_into(int dir);
/* What can be limited in groups below it, of enum cgroup_controller: as much as the machine and those above allow. No
 * process may be in dir itself. */
unsigned cgroup_enable(int dir);
/* "cpu memory pids". */
const char *cgroup_names(unsigned controllers, char ret[CGROUP_NAMES_BYTES]);
/* Writes a file of it. 0 or -errno. */
int cgroup_set(int dir, const char *file, const char *value);
int cgroup_set_number(int dir, const char *file, uint64_t value); /* 0: "max" */
/* A number from a file of it; key: of the line that begins with it. */
uint64_t cgroup_number(int dir, const char *file, const char *key);
/* SIGKILL to all who are in it, and below. */
void cgroup_kill(int dir);
/* Removes it and those below it. false: somebody is still in it. */
bool cgroup_remove(int parent, const char *name);
/* Kills and removes all below it whose name begins with prefix and that are left: nobody is in them, or in `member` below
 * them; member NULL: all. false: somebody is still ending, once more. */
bool cgroup_sweep(int parent, const char *prefix, const char *member);

#endif
