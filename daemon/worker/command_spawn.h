/* SPDX-License-Identifier: MIT */
/*
 * command_spawn -- starts a program in a process of its own. See command_spawn.c.
 */
#ifndef WORKER_COMMAND_SPAWN_H
#define WORKER_COMMAND_SPAWN_H

#include <sched.h>
#include <stdint.h>
#include <sys/types.h>

enum { SPAWN_FDS_MAX = 64 };

/* Where it failed to start. */
enum spawn_step { SPAWN_PROCESS = 0, SPAWN_STDIO, SPAWN_CWD, SPAWN_LIMITS, SPAWN_EXEC };

struct spawn {
    char *const *argv; /* ended by NULL; before it there is room for one more, for a script without "#!" */
    char *const *envp;
    const char *path; /* where a program without a slash in its name is looked for; NULL: the system's default */
    uint64_t run;     /* where a program was found is remembered for others of this number; 0: not */
    const char *cwd;
    int fds[3 + SPAWN_FDS_MAX]; /* become its descriptors 0, 1, 2, ... */
    unsigned n_fds;
    const cpu_set_t *cpus; /* NULL: those of this process */
    uint64_t mem;          /* bytes of address space; 0: as this process */
    int umask, nice;       /* -1: as this process; added to that of this process */
};

struct spawned {
    pid_t pid;            /* it leads a process group of its own */
    int pidfd;            /* the caller's */
    enum spawn_step step; /* of a failure */
};

/* 0, or -errno and where: there is no process then. All signals are blocked, and SIGCHLD is not ignored. */
int command_spawn(const struct spawn *s, struct spawned *ret);

#endif
