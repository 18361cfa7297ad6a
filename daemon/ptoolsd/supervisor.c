/* SPDX-License-Identifier: MIT */
/*
 * supervisor -- see supervisor.h. The table of worker processes, by worker id and by pid.
 *
 * ptoolsd is the parent of every worker: the template forks them twice, and ptoolsd is the subreaper.
 * So an end is known by a pidfd and told exactly by waitid(2). Processes that workers leave behind come to
 * ptoolsd as well; SIGCHLD has them reaped here.
 */
#include "daemon/ptoolsd/supervisor.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "daemon/ptoolsd/log.h"
#include "daemon/ptoolsd/process.h"
#include "proto/headroom.h"

enum {
    END_POLITELY_MS = 1000,
    END_KILLED_MS = 1000,
    OOM_LOOK_US = 1000000,
    CANCELS_BYTES = 1 << 18,
    ANCESTORS_MAX = 32
};

static struct process *process_of(struct supervisor *s, uint32_t id)
{
    struct process *p;

    HASH_FIND(hh, s->by_id, &id, sizeof id, p);
    return p;
}

/* Whom nobody waits for: reaped. Known ones that are first in the row are handled as their pidfd would. */
static int on_sigchld(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
    struct supervisor *s = userdata;
    bool unknown = false;

    (void)source;
    (void)info;
    for (;;) {
        siginfo_t si = { 0 };
        struct process *p;

        if (waitid(P_ALL, 0, &si, WEXITED | WNOHANG | WNOWAIT) < 0 || si.si_pid == 0)
            break;
        HASH_FIND(hh_pid, s->by_pid, &si.si_pid, sizeof si.si_pid, p);
        if (p)
            process_ended(p);
        else if (si.si_pid == template_pid(s->template))
            template_ended(s->template);
        else
            unknown = waitid(P_PID, (id_t)si.si_pid, &si, WEXITED | WNOHANG) == 0;
    }
    if (unknown)
        orphans_end(s); /* it may have had children */
    return 0;
}

int supervisor_new(struct daemon *d, struct supervisor **ret)
{
    AUTO(supervisor) s = calloc(1, sizeof *s);
    int r;

    if (!s)
        return -ENOMEM;
    s->d = d;
    TAILQ_INIT(&s->dirty);
    s->oom_kills = headroom_oom_kills();
    if (prctl(PR_SET_CHILD_SUBREAPER, 1L) < 0)
        return -errno;
    orphans_init(s);
    r = sd_event_add_signal(d->event, &s->orphans, SIGCHLD, on_sigchld, s);
    if (r >= 0) /* after the pidfds, before the timers */
        r = sd_event_source_set_priority(s->orphans, PHASE_WORKER_EXIT + 1);
    if (r >= 0)
        r = template_new(s, &s->template);
    if (r < 0)
        return r;
    *ret = TAKE(s);
    return 0;
}

/* Whether p has ended, waiting until then for at most so long. SIGCHLD is blocked, so that none is missed. */
static bool has_ended(struct process *p, uint64_t until_us)
{
    sigset_t sigchld;

    sigemptyset(&sigchld);
    sigaddset(&sigchld, SIGCHLD);
    for (;;) {
        uint64_t now_us = monotonic_us(), left_us = until_us > now_us ? until_us - now_us : 0;
        struct timespec left = { .tv_sec = (time_t)(left_us / 1000000), .tv_nsec = (long)(left_us % 1000000) * 1000 };
        siginfo_t si = { 0 };

        if (waitid(P_PID, (id_t)p->pid, &si, WEXITED | WNOHANG | WNOWAIT) < 0 || si.si_pid != 0)
            return true;
        if (left_us == 0)
            return false;
        sigtimedwait(&sigchld, NULL, &left);
    }
}

/* Every worker ends, politely or not. One that does not even end of SIGKILL is left to the system. */
static void end_all(struct supervisor *s)
{
    uint64_t until_us = monotonic_us() + END_POLITELY_MS * UINT64_C(1000);
    struct process *p, *next;

    HASH_ITER(hh, s->by_id, p, next)
        if (p->pid > 0 && !has_ended(p, until_us))
            process_signal(p, SIGKILL);
    until_us = monotonic_us() + END_KILLED_MS * UINT64_C(1000);
    HASH_ITER(hh, s->by_id, p, next) {
        siginfo_t si;

        if (p->pid > 0 && has_ended(p, until_us)) {
            kill(-p->pid, SIGKILL); /* what it left in its group */
            waitid(P_PID, (id_t)p->pid, &si, WEXITED | WNOHANG);
        }
        process_free(p);
    }
}

struct supervisor *supervisor_free(struct supervisor *s)
{
    struct process *p, *next;

    if (!s)
        return NULL;
    HASH_ITER(hh, s->by_id, p, next)
        if (p->link_fd >= 0)
            shutdown(p->link_fd, SHUT_RDWR);
    end_all(s);
    abandoned_leave(s);
    s->template = template_free(s->template);
    orphans_end_all(s);
    sd_event_source_disable_unref(s->orphans);
    free(s);
    return NULL;
}

/* -- the core's actions ------------------------------------------------------------------------------ */

void supervisor_spawn(struct supervisor *s, uint32_t worker)
{
    struct process *p = NULL;
    int r = process_of(s, worker) ? -EEXIST : process_new(s, worker, &p);

    if (r < 0) {
        log_error("worker-not-made", LOG_U64("worker", worker), LOG_STR("why", strerror(-r)));
        process_not_made(s, worker, strerror(-r));
        return;
    }
    template_spawn(s->template, p);
}

void supervisor_load(struct supervisor *s, const char *module)
{
    template_load(s->template, module);
}

void supervisor_run(struct supervisor *s, const struct action *action)
{
    struct process *p = process_of(s, action->worker);

    if (p)
        process_run(p, action);
}

bool supervisor_revoke(struct supervisor *s, const struct action *action)
{
    struct process *p = process_of(s, action->worker);

    if (!p || !page_revoke(p->page, action->slot, action->task))
        return false;
    p->slot[action->slot].revoked = true;
    return true;
}

bool supervisor_cancel(struct supervisor *s, uint32_t worker, uint64_t task)
{
    struct process *p = process_of(s, worker);

    return p && process_cancel(p, task);
}

bool supervisor_takes_cancels(struct supervisor *s, uint32_t worker)
{
    const struct process *p = process_of(s, worker);

    return !p || p->out.n < CANCELS_BYTES;
}

void supervisor_kill(struct supervisor *s, uint32_t worker)
{
    struct process *p = process_of(s, worker);

    if (!p)
        return;
    process_signal(p, SIGKILL);
}

void supervisor_stop(struct supervisor *s, uint32_t worker, bool politely)
{
    struct process *p = process_of(s, worker);

    if (p)
        process_stop(p, politely);
}

void supervisor_kill_call(struct supervisor *s, uint32_t worker, uint64_t call)
{
    struct process *p = process_of(s, worker);

    if (p && atomic_load(&p->page->task) == call) {
        log_info("worker-killed", LOG_U64("worker", worker), LOG_U64("task", call));
        process_signal(p, SIGKILL);
    }
}

void supervisor_array(struct supervisor *s, uint32_t worker, uint64_t array, bool map)
{
    struct process *p = process_of(s, worker);

    if (p)
        process_array(p, array, map);
}

bool supervisor_close(struct supervisor *s, int fd)
{
    return s && template_close(s->template, fd);
}

void supervisor_renew(struct supervisor *s)
{
    template_renew(s->template);
}

void supervisor_flush(struct supervisor *s)
{
    uint64_t now = daemon_now(s->d);
    struct process *p;

    if (now - s->oom_seen_us >= OOM_LOOK_US && !TAILQ_EMPTY(&s->dirty)) { /* a few tens of microseconds a second */
        s->oom_kills = headroom_oom_kills();
        s->oom_seen_us = now;
    }
    while ((p = TAILQ_FIRST(&s->dirty))) {
        TAILQ_REMOVE(&s->dirty, p, dirty_link);
        p->dirty = false;
        process_send(p);
    }
}

void process_not_made(struct supervisor *s, uint32_t id, const char *why)
{
    struct msg_failure facts = { .code = PTOOLS_ERR_WORKER_DIED, .exit_status = -1, .message = { why, strlen(why) } };
    struct daemon *d = s->d;

    if (is_stask_process(id))
        core_stask_gone(d->core, daemon_now(d), id, &facts, &(struct core_calls){ 0 }, &d->actions);
    else
        core_worker_gone(d->core, daemon_now(d), id, &facts, NULL, 0, &d->actions);
}

bool supervisor_words(struct supervisor *s, uint32_t worker, struct page_words *ret)
{
    struct process *p = process_of(s, worker);

    if (!p || p->pid == 0)
        return false;
    page_read_words(p->page, ret);
    return true;
}

bool supervisor_at(struct supervisor *s, uint32_t worker, uint64_t task, uint32_t *ret_items)
{
    struct process *p = process_of(s, worker);

    *ret_items = p ? page_items(p->page, task) : 0;
    return p && atomic_load(&p->page->task) == task;
}

int32_t supervisor_pid(struct supervisor *s, uint32_t worker)
{
    struct process *p = process_of(s, worker);

    return p ? (int32_t)p->pid : 0;
}

/* -- who is inside of whom ----------------------------------------------------------------------------- */

static struct process *process_by_pid(struct supervisor *s, pid_t pid)
{
    struct process *p;

    HASH_FIND(hh_pid, s->by_pid, &pid, sizeof pid, p);
    return p;
}

static pid_t parent_of(pid_t pid)
{
    char path[32], line[512], *end;
    pid_t parent = 0;
    FILE *f;

    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    f = fopen(path, "re");
    if (!f)
        return 0;
    end = fgets(line, sizeof line, f) ? strrchr(line, ')') : NULL; /* behind the name, which may be anything */
    if (!end || sscanf(end + 1, " %*c %d", &parent) != 1)
        parent = 0;
    fclose(f);
    return parent;
}

/* Most are in the process group of a worker, or of none and in another session. Only children that made a group
 * of their own, as those of ptools_pfork() do, are looked for by their ancestors. */
uint32_t supervisor_inside(struct supervisor *s, pid_t pid, pid_t *ret_process)
{
    struct process *p;

    if (pid <= 0)
        return 0;
    p = process_by_pid(s, pid);
    if (!p)
        p = process_by_pid(s, getpgid(pid));
    if (!p && getsid(pid) == getsid(0))
        for (unsigned i = 0; !p && i < ANCESTORS_MAX && pid > 1 && pid != getpid(); i++) {
            pid = parent_of(pid);
            p = process_by_pid(s, pid);
        }
    *ret_process = p ? p->pid : 0;
    return p ? p->id : 0;
}

uint64_t supervisor_task(struct supervisor *s, uint32_t worker, pid_t process)
{
    const struct process *p = process_of(s, worker);

    return p && p->pid == process ? atomic_load(&p->page->task) : 0;
}

uint64_t supervisor_rss_bytes(struct supervisor *s, uint32_t worker)
{
    struct process *p = process_of(s, worker);

    return p ? p->rss_kb * 1024 : 0;
}
