/* SPDX-License-Identifier: MIT */
/*
 * orphans -- what a worker leaves behind when it is killed: the command that it ran, and what its functions started,
 * wherever that has gone, be it into a process group or a session of its own.
 *
 * ptoolsd is the subreaper of all of them, so they become its children when their parents are gone, and are found in
 * /proc/self/task/TID/children. Whom it does not know there nobody knows: it is killed, and then what that leaves, when
 * it is reaped. A worker that the template has just forked is not known either, so none is killed as long as one is
 * under way. A program that was something else before it became ptoolsd (a script that started a helper, then exec)
 * has had children of its own, and may get more from them: then nobody is killed here.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/ptoolsd/log.h"
#include "daemon/ptoolsd/process.h"

enum { END_US = 1000000 };

static FILE *open_children(void)
{
    char path[64];

    snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
    return fopen(path, "re");
}

void orphans_init(struct supervisor *s)
{
    FILE *children = open_children();
    int pid;

    s->had_children = !children || fscanf(children, "%d", &pid) == 1;
    if (children)
        fclose(children);
}

static bool is_known(struct supervisor *s, pid_t pid)
{
    struct process *p;

    HASH_FIND(hh_pid, s->by_pid, &pid, sizeof pid, p);
    return p || (s->template && pid == template_pid(s->template));
}

/* One of those that were killed, or 0. */
static pid_t kill_unknown(struct supervisor *s)
{
    FILE *children = s->had_children ? NULL : open_children();
    pid_t pid, last = 0;

    while (children && fscanf(children, "%d", &pid) == 1) {
        if (is_known(s, pid) || kill(pid, SIGKILL) < 0) /* not reaped yet: nobody else has this number */
            continue;
        log_debug("orphan-killed", LOG_U64("pid", (uint64_t)pid));
        last = pid;
    }
    if (children)
        fclose(children);
    return last;
}

void orphans_end(struct supervisor *s)
{
    s->orphans_due = s->template && template_is_forking(s->template);
    if (!s->orphans_due)
        (void)kill_unknown(s);
}

void orphans_end_due(struct supervisor *s)
{
    if (s->orphans_due)
        orphans_end(s);
}

void orphans_end_all(struct supervisor *s)
{
    const uint64_t until_us = monotonic_us() + END_US;
    uint64_t now_us;
    pid_t one;

    while ((one = kill_unknown(s)) != 0 && (now_us = monotonic_us()) < until_us) {
        struct pollfd p = { .fd = pidfd_of(one), .events = POLLIN };
        siginfo_t si = { 0 };

        if (p.fd < 0)
            return;
        poll(&p, 1, (int)((until_us - now_us) / 1000) + 1);
        close(p.fd);
        while (waitid(P_ALL, 0, &si, WEXITED | WNOHANG) == 0 && si.si_pid != 0)
            si.si_pid = 0;
    }
}
