/* SPDX-License-Identifier: MIT */
/* memory_use -- see memory_use.h. */
#include "tests/integration/memory_use.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A line of /proc/PID/status; 0: the process is gone, or ends just now. */
static uint64_t status_kb(pid_t pid, const char *name)
{
    char path[48], line[256];
    const size_t n = strlen(name);
    uint64_t kb = 0;
    FILE *f;

    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    f = fopen(path, "re");
    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, name, n) == 0 && line[n] == ':')
            kb = strtoull(line + n + 1, NULL, 10);
    if (f)
        fclose(f);
    return kb;
}

void memory_look(const struct server *s, ptools *pt, struct memory_use *ret)
{
    const uint64_t until = now_ms() + 10000;

    *ret = (struct memory_use){ .client = status_kb(getpid(), "VmRSS"),
                                .client_peak = status_kb(getpid(), "VmHWM"),
                                .daemon = status_kb(s->pid, "VmRSS"),
                                .daemon_peak = status_kb(s->pid, "VmHWM") };
    while (ret->worker_peak == 0) { /* they may all have been killed just now */
        ptools_worker_info *workers = NULL;
        size_t n = 0;

        ck_assert_ptools(ptools_workers(pt, &workers, &n));
        for (size_t i = 0; i < n; i++) {
            const uint64_t kb = workers[i].pid ? status_kb(workers[i].pid, "VmHWM") : 0;

            ret->worker_peak = kb > ret->worker_peak ? kb : ret->worker_peak;
        }
        free(workers);
        ck_assert_msg(now_ms() < until, "no worker has a process");
    }
}

void memory_assert_flat(const struct memory_use *then, const struct memory_use *now, uint64_t more_kb)
{
    printf("# KiB, then and now: client %llu %llu (most: %llu %llu), daemon %llu %llu (%llu %llu), a worker %llu %llu\n",
           (unsigned long long)then->client, (unsigned long long)now->client, (unsigned long long)then->client_peak,
           (unsigned long long)now->client_peak, (unsigned long long)then->daemon, (unsigned long long)now->daemon,
           (unsigned long long)then->daemon_peak, (unsigned long long)now->daemon_peak,
           (unsigned long long)then->worker_peak, (unsigned long long)now->worker_peak);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    ck_assert_uint_gt(then->client, 0);
    ck_assert_uint_gt(then->daemon, 0);
    ck_assert_uint_gt(then->worker_peak, 0);
    ck_assert_uint_le(now->client_peak, then->client_peak + more_kb);
    ck_assert_uint_le(now->daemon_peak, then->daemon_peak + more_kb);
    ck_assert_uint_le(now->worker_peak, then->worker_peak + more_kb);
#else
    (void)more_kb;
#endif
}
