/* SPDX-License-Identifier: MIT */
/*
 * command_limits -- see command_limits.h. The command and all that it starts are in the worker's group, so its limits are
 * those of the group while the command runs, beyond what the worker itself has by then, and never above what the group
 * had. No group is made for it: that would cost more than many commands take.
 *
 * Where memory cannot be limited so, the limit is that of address space, of each process (command_spawn.c). That of
 * processes has no such substitute: RLIMIT_NPROC counts all that a user has.
 */
#include "daemon/worker/command_limits.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "daemon/cgroup/cgroup.h"
#include "daemon/worker/command_args.h"
#include "daemon/worker/log.h"
#include "proto/util.h"

enum { PERIOD_US = 100000 };
enum { MEMORY, SWAP, PROCESSES, CPU };
static const char *const files[LIMITS] = { "memory.max", "memory.swap.max", "pids.max", "cpu.max" };

static int group = -1;

void command_limits_configure(int cgroup_fd)
{
    group = cgroup_fd;
}

/* What the file says now, for later. */
static bool remember(unsigned which, struct command_limits *l)
{
    const int fd = openat(group, files[which], O_RDONLY | O_CLOEXEC);
    const ssize_t got = fd < 0 ? -1 : read(fd, l->before[which], LIMIT_BYTES - 1);

    if (fd >= 0)
        close(fd);
    l->before[which][MAX(got, 0)] = '\0';
    return got > 0;
}

/* Never more than there was. */
static int lower(unsigned which, uint64_t to, const char *behind, struct command_limits *l)
{
    const uint64_t was = cgroup_number(group, files[which], NULL);
    char text[LIMIT_BYTES];
    int r;

    if (!remember(which, l))
        return -ENOENT;
    snprintf(text, sizeof text, "%" PRIu64 "%s", MIN(to, was), behind);
    r = cgroup_set(group, files[which], text);
    if (r < 0)
        l->before[which][0] = '\0';
    return r;
}

/* So much beyond what there is now. */
static int lower_beyond(unsigned which, const char *current, uint64_t more, struct command_limits *l)
{
    const uint64_t now = cgroup_number(group, current, NULL);
    uint64_t to;

    if (now == CGROUP_NONE)
        return -ENOENT;
    return lower(which, __builtin_add_overflow(now, more, &to) ? UINT64_MAX - 1 : to, "", l);
}

static uint64_t oom_kills(void)
{
    const uint64_t n = group < 0 ? 0 : cgroup_number(group, "memory.events", "oom_kill");

    return n == CGROUP_NONE ? 0 : n;
}

int command_limits_set(const struct command_args *a, struct command_limits *ret)
{
    int r = 0;

    *ret = (struct command_limits){ .oom_kills = oom_kills() };
    if (a->pids > 0)
        r = group < 0 ? -EOPNOTSUPP : lower_beyond(PROCESSES, "pids.current", a->pids, ret);
    if (r == -ENOENT)
        r = -EOPNOTSUPP;
    if (r == 0 && group >= 0 && a->mem > 0) {
        r = lower_beyond(MEMORY, "memory.current", a->mem, ret);
        ret->memory = r == 0;
        if (ret->memory) /* it is a limit of memory; there may be no swap at all */
            (void)lower(SWAP, 0, "", ret);
        r = r == -ENOENT ? 0 : r;
    }
    if (r == 0 && group >= 0 && a->cpus > 0) { /* beside the processors that it may use, which it could choose anew */
        r = lower(CPU, (uint64_t)a->cpus * PERIOD_US, " 100000", ret);
        r = r == -ENOENT ? 0 : r;
    }
    if (r < 0)
        command_limits_end(ret);
    return r;
}

void command_limits_end(const struct command_limits *l)
{
    for (unsigned i = 0; i < LIMITS; i++) {
        const int r = l->before[i][0] ? cgroup_set(group, files[i], l->before[i]) : 0;

        if (r < 0)
            log_say(LOG_LEVEL_WARNING, "limit-left", "%s of the worker's group stays as a command had it: %s", files[i],
                    strerror(-r));
    }
}

bool command_limits_out_of_memory(const struct command_limits *l)
{
    return oom_kills() > l->oom_kills;
}
