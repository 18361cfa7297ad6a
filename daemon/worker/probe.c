/* SPDX-License-Identifier: MIT */
/*
 * probe -- a module's constructors are foreign code, and the template must live: so a child loads the
 * module first. If it crashes, exits or hangs, the module is broken, and the template never saw it. If
 * it has threads afterwards, the template must not load it either: it could not fork any more.
 *
 * The child has a process group of its own, killed with it, and no end of the template's link. It
 * answers through shared memory; its end is known by pidfd, whoever holds what open.
 */
#include "daemon/worker/probe.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto/report.h"

unsigned probe_threads(void)
{
    struct stat st;

    if (stat("/proc/self/task", &st) < 0 || st.st_nlink < 3)
        return 0; /* no /proc: nobody knows, so nothing is promised */
    return (unsigned)st.st_nlink - 2; /* "." and ".." */
}

/* In the child. */
static _Noreturn void probe_child(struct modules *modules, const char *name, struct probe_result *result)
{
    char path[PATH_MAX], why[WHY_BYTES];
    struct module *module;
    struct bytes report;
    ptools_err err;

    bytes_init(&report, PROBE_REPORT_BYTES);
    err = modules_load(modules, name, &module, path, why);
    result->threads = probe_threads();
    if (err == PTOOLS_OK) {
        modules_report(module, result->threads == 1 ? 0 : REPORT_IN_WORKER, &report);
    } else {
        modules_report_problem(name, path, err, why, &report);
    }
    if (!report.err) {
        memcpy(result->report, report.data, report.n);
        result->n = (uint32_t)report.n;
        result->code = (uint32_t)err;
    } else if (report.err == -EMSGSIZE) {
        result->n = UINT32_MAX;
    }
    _exit(0);
}

int probe_new(struct modules *modules, const char *module, int close_fd, uint64_t now_us, uint64_t limit_us,
              struct probe **ret)
{
    AUTO(probe) p = calloc(1, sizeof *p);
    pid_t template = getpid();

    if (!p)
        return -ENOMEM;
    p->pidfd = -1;
    p->limit_us = limit_us;
    p->deadline_us = now_us + limit_us;
    snprintf(p->module, sizeof p->module, "%s", module);
    p->result = mmap(NULL, sizeof *p->result, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (p->result == MAP_FAILED) {
        p->result = NULL;
        return -errno;
    }
    p->pid = fork();
    if (p->pid < 0) {
        p->pid = 0;
        return -errno;
    }
    if (p->pid == 0) {
        close(close_fd);
        setpgid(0, 0);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        prctl(PR_SET_NAME, "ptools-probe");
        if (getppid() != template)
            _exit(0);
        probe_child(modules, p->module, p->result);
    }
    setpgid(p->pid, p->pid); /* here too: whoever comes first */
    p->pidfd = pidfd_open(p->pid, 0);
    if (p->pidfd < 0)
        return -errno;
    *ret = TAKE(p);
    return 0;
}

/* Ends what is left of the child. Its wait status. */
static int bury(struct probe *p)
{
    int status = 0;

    kill(-p->pid, SIGKILL); /* not yet reaped, so the number is still its own */
    kill(p->pid, SIGKILL);
    while (waitpid(p->pid, &status, 0) < 0 && errno == EINTR)
        ;
    p->pid = 0;
    return status;
}

bool probe_finish(struct probe *p, bool timed_out, char why[WHY_BYTES])
{
    int status = bury(p); /* also of what had ended: the status stays what it was */
    uint32_t n = p->result->n;

    why[0] = '\0';
    if (timed_out)
        snprintf(why, WHY_BYTES, "it did not finish loading within %llu ms",
                 (unsigned long long)(p->limit_us / 1000));
    else if (WIFSIGNALED(status))
        snprintf(why, WHY_BYTES, "it crashed with signal %s while loading",
                 sigabbrev_np(WTERMSIG(status)) ? sigabbrev_np(WTERMSIG(status)) : "of an unknown kind");
    else if (WEXITSTATUS(status) != 0 || n == 0)
        snprintf(why, WHY_BYTES, "it ended the process with status %d while loading", WEXITSTATUS(status));
    else if (n > PROBE_REPORT_BYTES)
        snprintf(why, WHY_BYTES, "its functions and their help take more than the %d bytes that a module may have",
                 PROBE_REPORT_BYTES);
    return !why[0];
}

struct probe *probe_free(struct probe *p)
{
    if (!p)
        return NULL;
    if (p->pid > 0)
        bury(p);
    if (p->pidfd >= 0)
        close(p->pidfd);
    if (p->result)
        munmap(p->result, sizeof *p->result);
    free(p);
    return NULL;
}
