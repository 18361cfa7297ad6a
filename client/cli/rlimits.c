/* SPDX-License-Identifier: MIT */
/*
 * rlimits -- see rlimits.h. A limit is soft and hard alike, as that of a shell's ulimit is; but of the processor time
 * the hard one is a second more, for at the soft one a process is told by SIGXCPU what it dies of, and at the hard one
 * by SIGKILL, which says nothing.
 */
#include "client/cli/rlimits.h"

#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "client/cli/words.h"

static const struct {
    const char *name;
    int resource;
    bool bytes;
} rows[RLIMITS_MAX] = {
    { "as", RLIMIT_AS, true },           { "core", RLIMIT_CORE, true },     { "cpu", RLIMIT_CPU, false },
    { "data", RLIMIT_DATA, true },       { "fsize", RLIMIT_FSIZE, true },   { "memlock", RLIMIT_MEMLOCK, true },
    { "nofile", RLIMIT_NOFILE, false },  { "nproc", RLIMIT_NPROC, false },  { "stack", RLIMIT_STACK, true },
};
_Static_assert(RLIM_INFINITY == UINT64_MAX, "an unlimited limit is the largest number");

static int find(const char *name, size_t n)
{
    for (int i = 0; i < RLIMITS_MAX; i++)
        if (strlen(rows[i].name) == n && memcmp(rows[i].name, name, n) == 0)
            return i;
    return -1;
}

static bool no_such_limit(const char *name, size_t n, char why[RLIMITS_WHY_BYTES])
{
    struct nearest near;
    char word[40];
    int at;

    snprintf(word, sizeof word, "%.*s", (int)(n < sizeof word ? n : sizeof word - 1), name);
    nearest_init(&near, word);
    at = snprintf(why, RLIMITS_WHY_BYTES, "there is no limit \"%s\"; allowed are", word);
    for (int i = 0; i < RLIMITS_MAX; i++) {
        at += snprintf(why + at, RLIMITS_WHY_BYTES - (size_t)at, "%s %s", i ? "," : "", rows[i].name);
        nearest_offer(&near, rows[i].name);
    }
    if (near.best)
        snprintf(why + at, RLIMITS_WHY_BYTES - (size_t)at, "; the nearest is %s", near.best);
    return false;
}

static bool read_value(const char *text, int row, uint64_t *ret)
{
    if (strcmp(text, "unlimited") == 0) {
        *ret = UINT64_MAX;
        return true;
    }
    return rows[row].bytes ? words_bytes(text, ret) : words_count(text, INT64_MAX, ret);
}

bool rlimits_read(const char *text, ptools_pfork_limit limits[RLIMITS_MAX], uint32_t *n, char why[RLIMITS_WHY_BYTES])
{
    const char *equals = strchr(text, '=');
    uint64_t value = 0;
    uint32_t place = 0;
    int row;

    if (!equals) {
        snprintf(why, RLIMITS_WHY_BYTES, "\"%.40s\": a limit is NAME=VALUE: nofile=100, as=2G, core=unlimited", text);
        return false;
    }
    row = find(text, (size_t)(equals - text));
    if (row < 0)
        return no_such_limit(text, (size_t)(equals - text), why);
    if (!read_value(equals + 1, row, &value)) {
        snprintf(why, RLIMITS_WHY_BYTES, "\"%.60s\": %s, or \"unlimited\"", text,
                 rows[row].bytes                     ? WORDS_SIZES
                 : rows[row].resource == RLIMIT_CPU ? "processor time is a number of seconds"
                                                     : "that limit is a number");
        return false;
    }
    while (place < *n && limits[place].resource != rows[row].resource)
        place++;
    limits[place] = (ptools_pfork_limit){ rows[row].resource, value, value };
    if (rows[row].resource == RLIMIT_CPU && value < UINT64_MAX)
        limits[place].hard = value + 1;
    if (place == *n)
        ++*n;
    return true;
}

/* The hard limit of this process is raised and lowered again: there is no other way to learn whether it may be. */
static int try_to_raise(const ptools_pfork_limit *limit, const struct rlimit *now)
{
    const struct rlimit raised = { now->rlim_cur, limit->hard };

    if (setrlimit((__rlimit_resource_t)limit->resource, &raised) < 0)
        return -errno;
    return setrlimit((__rlimit_resource_t)limit->resource, now) < 0 ? -errno : 0;
}

static const char *name_of(int resource)
{
    for (int i = 0; i < RLIMITS_MAX; i++)
        if (rows[i].resource == resource)
            return rows[i].name;
    return "?";
}

bool rlimits_check(const ptools_pfork_limit *limits, uint32_t n, char why[RLIMITS_WHY_BYTES])
{
    for (uint32_t i = 0; i < n; i++) {
        struct rlimit now;
        int r;

        if (getrlimit((__rlimit_resource_t)limits[i].resource, &now) < 0 || limits[i].hard <= now.rlim_max)
            continue;
        r = try_to_raise(&limits[i], &now);
        if (r == 0)
            continue;
        snprintf(why, RLIMITS_WHY_BYTES, "the limit %s of this process is %" PRIu64 ", and cannot be raised: %s",
                 name_of(limits[i].resource), (uint64_t)now.rlim_max, strerror(-r));
        return false;
    }
    return true;
}

/* -- processors -------------------------------------------------------------------------------------- */

/* "2" or "2-5", of which n characters count. */
static bool read_range(const char *text, size_t n, uint64_t *ret_first, uint64_t *ret_last)
{
    char word[16], *dash;

    if (n >= sizeof word)
        return false;
    memcpy(word, text, n);
    word[n] = '\0';
    dash = strchr(word, '-');
    if (dash)
        *dash = '\0';
    if (!words_count(word, RLIMITS_CPUS_MAX - 1, ret_first))
        return false;
    *ret_last = *ret_first;
    return !dash || (words_count(dash + 1, RLIMITS_CPUS_MAX - 1, ret_last) && *ret_last >= *ret_first);
}

bool rlimits_read_cpus(const char *text, uint32_t cpus[RLIMITS_CPUS_MAX], uint32_t *ret_n, char why[RLIMITS_WHY_BYTES])
{
    bool taken[RLIMITS_CPUS_MAX] = { false };
    uint64_t first, last;
    uint32_t n = 0;

    for (const char *s = text;; s++) {
        size_t length = strcspn(s, ",");

        if (!read_range(s, length, &first, &last)) {
            snprintf(why, RLIMITS_WHY_BYTES,
                     "\"%.60s\" is no list of processors: their numbers, 0 to %d, with commas between, or ranges of "
                     "them: 0,2-3",
                     text, RLIMITS_CPUS_MAX - 1);
            return false;
        }
        for (uint64_t cpu = first; cpu <= last; cpu++) {
            if (taken[cpu]) {
                snprintf(why, RLIMITS_WHY_BYTES, "\"%.60s\" has processor %" PRIu64 " twice", text, cpu);
                return false;
            }
            taken[cpu] = true;
            cpus[n++] = (uint32_t)cpu;
        }
        s += length;
        if (*s == '\0')
            break;
    }
    *ret_n = n;
    return true;
}

uint32_t rlimits_own_cpus(uint32_t cpus[RLIMITS_CPUS_MAX])
{
    cpu_set_t set;
    uint32_t n = 0;

    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set) < 0)
        return 0;
    for (uint32_t cpu = 0; cpu < RLIMITS_CPUS_MAX && cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &set))
            cpus[n++] = cpu;
    return n;
}
