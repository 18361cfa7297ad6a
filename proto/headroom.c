/* SPDX-License-Identifier: MIT */
/*
 * headroom -- see headroom.h. /proc/meminfo, and the memory controller of control groups in version 2 or 1, from
 * our own group up to the root: each of them may have a limit.
 *
 * Some memory is left for others: what is free here is what may be reserved without hurting them.
 *
 * This file reads files of the system, which nothing else in this room does: daemon and library must measure by
 * the same rule before they reserve the memory of arrays, and neither can see the other.
 */
#include "proto/headroom.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/util.h"

#define SPARE_BYTES_MAX (UINT64_C(512) << 20)
enum { SPARE_PART = 50, PATH_BYTES = 4096 };

/* A file of one number; "max" and what is not there: false. */
static bool read_number(const char *path, uint64_t *ret)
{
    FILE *f = fopen(path, "re");
    bool good;

    if (!f)
        return false;
    good = fscanf(f, "%" SCNu64, ret) == 1;
    fclose(f);
    return good;
}

/* The value behind "KEY " in a file of such lines; 0: none. */
static uint64_t read_field(const char *path, const char *key)
{
    FILE *f = fopen(path, "re");
    uint64_t v = 0;
    char line[160];
    size_t n = strlen(key);

    if (!f)
        return 0;
    while (fgets(line, sizeof line, f))
        if (strncmp(line, key, n) == 0 && sscanf(line + n, "%" SCNu64, &v) == 1)
            break;
    fclose(f);
    return v;
}

static void take_least(struct headroom *ret, uint64_t free_bytes, uint64_t limit, const char *what)
{
    uint64_t spare = MIN(limit / SPARE_PART, SPARE_BYTES_MAX);

    free_bytes -= MIN(free_bytes, spare);
    if (free_bytes >= ret->free_bytes)
        return;
    *ret = (struct headroom){ free_bytes, limit, what };
}

static void of_group(struct headroom *ret, const char *group, const char *max, const char *current, const char *cache)
{
    char path[PATH_BYTES + 64];
    uint64_t limit, used, cached;

    snprintf(path, sizeof path, "%s/%s", group, max);
    if (!read_number(path, &limit))
        return;
    snprintf(path, sizeof path, "%s/%s", group, current);
    if (!read_number(path, &used))
        return;
    snprintf(path, sizeof path, "%s/memory.stat", group);
    cached = read_field(path, cache);
    used -= MIN(used, cached); /* the kernel takes it back before it refuses */
    take_least(ret, limit - MIN(limit, used), limit, "the memory limit of the control group");
}

/* From the group up to the root of its hierarchy. */
static void of_groups(struct headroom *ret, const char *root, const char *path, bool unified)
{
    char group[PATH_BYTES];
    size_t end = strlen(root);

    if ((size_t)snprintf(group, sizeof group, "%s%s", root, path) >= sizeof group)
        return;
    for (;;) {
        char *slash;

        if (unified)
            of_group(ret, group, "memory.max", "memory.current", "inactive_file ");
        else
            of_group(ret, group, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file ");
        slash = strrchr(group, '/');
        if (!slash || strlen(group) <= end)
            return;
        *slash = '\0';
    }
}

void headroom_now(struct headroom *ret)
{
    FILE *f = fopen("/proc/self/cgroup", "re");
    uint64_t total = read_field("/proc/meminfo", "MemTotal:") * 1024;
    char line[PATH_BYTES];

    *ret = (struct headroom){ UINT64_MAX, UINT64_MAX, "the memory of this machine" };
    if (total)
        take_least(ret, read_field("/proc/meminfo", "MemAvailable:") * 1024, total, ret->what);
    while (f && fgets(line, sizeof line, f)) {
        char *controllers = strchr(line, ':'), *path = controllers ? strchr(controllers + 1, ':') : NULL;

        if (!path)
            continue;
        *path++ = '\0';
        controllers++;
        path[strcspn(path, "\n")] = '\0';
        if (strcmp(path, "/") == 0)
            *path = '\0';
        if (!*controllers)
            of_groups(ret, "/sys/fs/cgroup", path, true);
        else if (strcmp(controllers, "memory") == 0)
            of_groups(ret, "/sys/fs/cgroup/memory", path, false);
    }
    if (f)
        fclose(f);
}

uint64_t headroom_oom_kills(void)
{
    return read_field("/proc/vmstat", "oom_kill ");
}
