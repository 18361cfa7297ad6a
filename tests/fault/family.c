/* SPDX-License-Identifier: MIT */
/* family -- see family.h. */
#include "tests/fault/family.h"

#include <check.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PROCESSES_MAX = 32768 };

struct process {
    pid_t pid, parent;
};

/* A process's parent; 0: there is none of that number. */
static pid_t parent_of(pid_t pid)
{
    char path[32], line[512];
    const char *end;
    int parent = 0, fd;
    ssize_t n;

    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    n = read(fd, line, sizeof line - 1);
    close(fd);
    line[n > 0 ? n : 0] = '\0';
    end = strrchr(line, ')');
    return end && sscanf(end + 1, " %*c %d", &parent) == 1 ? parent : 0;
}

/* All there are. */
static unsigned processes(struct process *ret, unsigned room)
{
    DIR *proc = opendir("/proc");
    struct dirent *entry;
    unsigned n = 0;

    while ((entry = readdir(proc))) {
        pid_t pid = (pid_t)atoi(entry->d_name);

        if (pid <= 0)
            continue;
        ck_assert_uint_lt(n, room);
        ret[n++] = (struct process){ pid, parent_of(pid) };
    }
    closedir(proc);
    return n;
}

static bool descends(const struct process *all, unsigned n, pid_t pid, pid_t from)
{
    for (unsigned steps = 0, i; steps < n && pid > 1; steps++) {
        for (i = 0; i < n && all[i].pid != pid; i++)
            continue;
        pid = i < n ? all[i].parent : 0;
        if (pid == from)
            return true;
    }
    return false;
}

void family_below(pid_t pid, struct family *ret)
{
    static struct process all[PROCESSES_MAX];
    const unsigned n = processes(all, PROCESSES_MAX);

    ret->n = 0;
    for (unsigned i = 0; i < n; i++) {
        int fd;

        if (!descends(all, n, all[i].pid, pid) || (fd = (int)syscall(SYS_pidfd_open, all[i].pid, 0)) < 0)
            continue;
        ck_assert_uint_lt(ret->n, FAMILY_MAX);
        ret->pids[ret->n] = all[i].pid;
        ret->ends[ret->n++] = (struct pollfd){ .fd = fd, .events = POLLIN };
    }
}

void family_close(struct family *family)
{
    for (unsigned i = 0; i < family->n; i++)
        close(family->ends[i].fd);
    family->n = 0;
}
