/* SPDX-License-Identifier: MIT */
/*
 * tidy -- see tidy.h. No descriptor is kept for looking: a function could close it, and open its own
 * in its place.
 */
#include "daemon/worker/tidy.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* Open descriptors. The one that is needed for counting is not counted; if there is none left for it, all are open. */
static uint32_t count_fds(void)
{
    int fd = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    uint8_t buffer[4096];
    struct rlimit limit;
    uint32_t n = 0;
    ssize_t got;

    if (fd < 0)
        return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? (uint32_t)limit.rlim_cur : 0;
    while ((got = getdents64(fd, buffer, sizeof buffer)) > 0) {
        for (ssize_t at = 0; at < got; n++) {
            const struct dirent64 *entry = (const void *)(buffer + at);

            at += entry->d_reclen;
        }
    }
    close(fd);
    return n > 3 ? n - 3 : 0; /* ".", "..", and fd */
}

static uint32_t resident_kb(void)
{
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    unsigned long size, resident;
    char text[128];
    ssize_t got;

    if (fd < 0)
        return 0;
    got = read(fd, text, sizeof text - 1);
    close(fd);
    text[got > 0 ? got : 0] = '\0';
    if (sscanf(text, "%lu %lu", &size, &resident) != 2)
        return 0;
    return (uint32_t)(resident * ((unsigned long)sysconf(_SC_PAGESIZE) / 1024));
}

void tidy_init(struct tidy *t)
{
    *t = (struct tidy){ .umask = umask(022) };
    tidy_restore(t);
    t->fds_born = count_fds();
}

void tidy_restore(struct tidy *t)
{
    sigset_t none;

    sigemptyset(&none);
    if (chdir("/") < 0)
        abort(); /* there is always a root */
    umask(t->umask);
    sigprocmask(SIG_SETMASK, &none, NULL);
    t->dirty = false;
}

bool tidy_look_due(struct tidy *t, uint64_t now_us, uint64_t run_us)
{
    t->since_look++;
    if (run_us < TIDY_LOOK_US && (t->since_look < TIDY_LOOK_TASKS || now_us - t->looked_us < TIDY_LOOK_US))
        return false;
    t->since_look = 0;
    t->looked_us = now_us;
    return true;
}

void tidy_look(const struct tidy *t, struct page *page, uint32_t *ret_kb, uint32_t *ret_fds)
{
    struct rusage usage;
    uint32_t fds = count_fds();

    if (getrusage(RUSAGE_SELF, &usage) == 0)
        atomic_store(&page->peak_kb, (uint64_t)usage.ru_maxrss);
    *ret_kb = resident_kb();
    *ret_fds = fds > t->fds_born ? fds - t->fds_born : 0;
}
