/* SPDX-License-Identifier: MIT */
/*
 * cgroups -- see cgroups.h. Below the group that this daemon has:
 *
 *     daemon       this process and the template: the kernel limits no group that has processes and groups below it
 *     w3-1, s7-2   a worker, or a process of server tasks, with all that it has started, wherever that has gone
 *
 * So limits hold for the whole tree of a worker, and the whole tree ends with it, also what has left its process group
 * and session; and that for lack of memory is told by the group in which it happened. Limits of a single command are set
 * by the worker that runs it (daemon/worker/command_limits.c): its group is its user's.
 *
 * Nothing is used that was not left to this daemon: a group that systemd has made with Delegate=, one that ptools-spawn
 * gives to the daemon of a user, or with workers.cgroup=yes the one that it is in. Without one all works that can: then
 * a worker has the limits of a process, and what it leaves behind is found by its parents (orphans.c).
 */
#include "daemon/ptoolsd/cgroups.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "daemon/cgroup/cgroup.h"
#include "daemon/ptoolsd/log.h"
#include "daemon/ptoolsd/supervisor.h"

enum { PERIOD_US = 100000, ENDING_MAX = 256, AGAIN_US = 50000, LAST_MS = 1000, LAST_STEP_MS = 5 };

struct cgroups {
    struct daemon *d;
    int root;
    unsigned controllers;
    uint64_t made; /* so far */
    bool complained;
    sd_event_source *again;
    size_t n_ending;
    char ending[ENDING_MAX][CGROUP_NAME_BYTES]; /* killed, and not gone yet; if there are more, the next start finds them */
};

static void name_of(uint32_t process, uint64_t number, char ret[CGROUP_NAME_BYTES])
{
    snprintf(ret, CGROUP_NAME_BYTES, "%c%" PRIu32 "-%" PRIu64, is_stask_process(process) ? 's' : 'w',
             process & ~STASK_PROCESS_BIT, number);
}

/* -- those that end ------------------------------------------------------------------------------------------------ */

/* Those that were killed, and have ended by now; or in a moment. */
static void remove_ended(struct cgroups *c)
{
    for (size_t i = 0; i < c->n_ending;)
        if (cgroup_remove(c->root, c->ending[i]))
            memcpy(c->ending[i], c->ending[--c->n_ending], CGROUP_NAME_BYTES);
        else
            i++;
    if (c->n_ending > 0 && (sd_event_source_set_time_relative(c->again, AGAIN_US) < 0 ||
                            sd_event_source_set_enabled(c->again, SD_EVENT_ONESHOT) < 0))
        daemon_fail(c->d, "setting a timer", -ENOMEM);
}

static int on_again(sd_event_source *s, uint64_t usec, void *userdata)
{
    (void)s;
    (void)usec;
    remove_ended(userdata);
    return 0;
}

/* -- the daemon's own -------------------------------------------------------------------------------------------- */

/* A descriptor, or -errno and *ret_why. */
static int find_root(const struct config *config, int take_fd, const char **ret_why)
{
    int fd = take_fd >= 0 ? take_fd : cgroup_own();

    *ret_why = "this machine has no control groups of version 2";
    if (fd < 0)
        return fd;
    if (take_fd < 0 && config->cgroup != SWITCH_YES && !cgroup_is_delegated(fd)) {
        *ret_why = "the control group of this daemon is not left to it (systemd: Delegate=yes)";
        close(fd);
        return -EPERM;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        *ret_why = "another daemon has the control group of this one";
        close(fd);
        return -EBUSY;
    }
    return fd;
}

/* What a daemon that was here before has left. */
static bool sweep(struct cgroups *c)
{
    const bool workers = cgroup_sweep(c->root, "w", NULL);

    return cgroup_sweep(c->root, "s", NULL) && workers;
}

static int settle(struct cgroups *c, const char **ret_why)
{
    const int own = cgroup_make(c->root, "daemon");
    int r = own < 0 ? own : cgroup_enter(own);

    *ret_why = "this daemon may not divide its control group";
    if (own >= 0)
        close(own);
    if (r < 0)
        return r;
    for (int ms = 0; !sweep(c) && ms < LAST_MS; ms += LAST_STEP_MS)
        poll(NULL, 0, LAST_STEP_MS);
    c->controllers = cgroup_enable(c->root);
    return 0;
}

int cgroups_new(struct daemon *d, int take_fd, struct cgroups **ret)
{
    AUTO(cgroups) c = calloc(1, sizeof *c);
    char limits[CGROUPS_LIMITS_BYTES];
    const char *why = "";
    int r;

    *ret = NULL;
    if (!c) {
        close(take_fd);
        return -ENOMEM;
    }
    c->d = d;
    c->root = -1;
    if (d->config->cgroup == SWITCH_NO) {
        d->cgroups_why = "workers.cgroup is \"no\"";
        if (take_fd >= 0)
            close(take_fd);
        return 0;
    }
    r = find_root(d->config, take_fd, &why);
    if (r >= 0) {
        c->root = r;
        r = settle(c, &why);
    }
    if (r >= 0)
        r = sd_event_add_time_relative(d->event, &c->again, CLOCK_MONOTONIC, 0, AGAIN_US / 2, on_again, c);
    if (r >= 0)
        r = sd_event_source_set_priority(c->again, PHASE_SPARE);
    if (r >= 0)
        r = sd_event_source_set_enabled(c->again, SD_EVENT_OFF);
    if (r < 0) {
        d->cgroups_why = why;
        if (d->config->cgroup != SWITCH_YES)
            return 0;
        log_error("no-cgroups", LOG_STR("why", why), LOG_STR("error", strerror(-r)));
        return r;
    }
    *ret = TAKE(c);
    log_info("cgroups", LOG_STR("limits", cgroups_limits(*ret, limits)));
    return 0;
}

struct cgroups *cgroups_free(struct cgroups *c)
{
    if (!c)
        return NULL;
    for (int ms = 0; c->n_ending > 0 && ms < LAST_MS; ms += LAST_STEP_MS) {
        poll(NULL, 0, LAST_STEP_MS); /* they are killed, which is not for us to see */
        for (size_t i = 0; i < c->n_ending; i++)
            if (cgroup_remove(c->root, c->ending[i]))
                memcpy(c->ending[i], c->ending[--c->n_ending], CGROUP_NAME_BYTES);
    }
    sd_event_source_disable_unref(c->again);
    if (c->root >= 0)
        close(c->root);
    free(c);
    return NULL;
}

const char *cgroups_limits(const struct cgroups *c, char ret[CGROUPS_LIMITS_BYTES])
{
    _Static_assert((int)CGROUPS_LIMITS_BYTES == (int)CGROUP_NAMES_BYTES, "that is what it returns");

    return cgroup_names(c ? c->controllers : 0, ret);
}

/* -- those of processes ------------------------------------------------------------------------------------------ */

static int set_limits(const struct cgroups *c, int fd)
{
    const struct config *config = c->d->config;
    char cpu[48];
    int r = 0;

    if (c->controllers & CGROUP_MEMORY) {
        r = cgroup_set_number(fd, "memory.max", config->memory_max);
        if (r == 0 && config->memory_max > 0)
            (void)cgroup_set(fd, "memory.swap.max", "0"); /* it is a limit of memory; there may be no swap at all */
    }
    if (r == 0 && c->controllers & CGROUP_PIDS)
        r = cgroup_set_number(fd, "pids.max", config->pids_max);
    if (r == 0 && c->controllers & CGROUP_CPU && config->cpu_max > 0) {
        snprintf(cpu, sizeof cpu, "%llu %d", (unsigned long long)config->cpu_max * PERIOD_US / 100, PERIOD_US);
        r = cgroup_set(fd, "cpu.max", cpu);
    }
    return r;
}

struct cgroup cgroups_make(struct cgroups *c, uint32_t process)
{
    struct cgroup g = { .fd = -1 };
    char name[CGROUP_NAME_BYTES];
    int r;

    if (!c)
        return g;
    g.number = ++c->made;
    name_of(process, g.number, name);
    g.fd = cgroup_make(c->root, name);
    r = g.fd < 0 ? g.fd : set_limits(c, g.fd);
    if (r == 0) {
        c->complained = false;
        return g;
    }
    if (g.fd >= 0)
        close(g.fd);
    (void)cgroup_remove(c->root, name);
    if (!c->complained)
        log_warning("cgroup-not-made", LOG_STR("group", name), LOG_STR("why", strerror(-r)));
    c->complained = true;
    g.fd = -1;
    return g;
}

bool cgroup_out_of_memory(const struct cgroup *g)
{
    const uint64_t kills = g->fd < 0 ? 0 : cgroup_number(g->fd, "memory.events", "oom_kill");

    return kills != CGROUP_NONE && kills > 0;
}

void cgroups_end(struct cgroups *c, uint32_t process, struct cgroup *g)
{
    char name[CGROUP_NAME_BYTES];

    if (g->fd < 0)
        return;
    cgroup_kill(g->fd);
    close(g->fd);
    g->fd = -1;
    name_of(process, g->number, name);
    if (c->n_ending < ENDING_MAX)
        memcpy(c->ending[c->n_ending++], name, CGROUP_NAME_BYTES);
    remove_ended(c);
}
