/* SPDX-License-Identifier: MIT */
/*
 * stuck -- worker processes that SIGKILL does not end: they are inside of the kernel, which waits for a disk or a file
 * system that does not answer. Nobody can end them; sooner or later they end by themselves.
 *
 * Such a process is abandoned: the core is told that it has gone, and makes another of the same number. The old one
 * keeps its memory and whatever it is at, and its successor may become stuck at the same place; so only a quarter of
 * all processes may be abandoned at a time, and one in any case. The next ones keep their place, and with it the tasks
 * that only they could run, until one of the others has ended. It holds the fence (fence.h) all the while: no later
 * daemon begins before it has ended.
 *
 * When a worker is to be given up the core says. A server task's process is given up here, and at once: nothing takes
 * its place by itself, and whoever waits for its end would wait for ever.
 */
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "daemon/ptoolsd/fds.h"
#include "daemon/ptoolsd/log.h"
#include "daemon/ptoolsd/process.h"

enum { ABANDONED_PART = 4, STUCK_US = 5000000 };

static bool is_room(const struct supervisor *s)
{
    return s->n_abandoned == 0 || s->n_abandoned < HASH_COUNT(s->by_id) / ABANDONED_PART;
}

/* The core takes it for dead. What it was at may have been done. */
static void tell(struct supervisor *s, uint32_t id, const struct page_words *words)
{
    static const char why[] = "it was killed, and does not end";
    const struct msg_failure facts = { .code = PTOOLS_ERR_WORKER_DIED,
                                       .exit_status = -1,
                                       .message = { why, sizeof why - 1 } };
    struct core_calls calls = { .running = words->task, .n = words->calls };
    struct daemon *d = s->d;

    memcpy(calls.begun, words->begun, sizeof calls.begun);
    if (is_stask_process(id))
        core_stask_gone(d->core, daemon_now(d), id, &facts, &calls, &d->actions);
    else
        core_worker_gone(d->core, daemon_now(d), id, &facts, NULL, 0, &d->actions);
}

/* From here on it has no place and no number; only its end is waited for. */
static void abandon(struct process *p)
{
    struct supervisor *s = p->s;
    const uint32_t id = p->id;
    struct page_words words;

    page_read_words(p->page, &words);
    if (p->dirty)
        TAILQ_REMOVE(&s->dirty, p, dirty_link);
    p->dirty = false;
    p->link_source = sd_event_source_disable_unref(p->link_source);
    p->overdue = sd_event_source_disable_unref(p->overdue);
    p->given_up = sd_event_source_disable_unref(p->given_up);
    cgroups_end(s->d->cgroups, id, &p->cgroup);
    fds_process_gone(s->d->fds, id);
    HASH_DELETE(hh, s->by_id, p);
    p->id = 0;
    p->abandoned = true;
    s->n_abandoned++;
    tell(s, id, &words);
}

/* As many as there is room for. */
static void abandon_stuck(struct supervisor *s)
{
    struct process *p, *next;

    HASH_ITER(hh, s->by_id, p, next)
        if (p->stuck && is_room(s))
            abandon(p);
}

void supervisor_abandon(struct supervisor *s, uint32_t worker)
{
    struct process *p;

    HASH_FIND(hh, s->by_id, &worker, sizeof worker, p);
    if (!p)
        return;
    p->stuck = true;
    if (!is_room(s))
        log_warning("worker-not-replaced", LOG_U64("worker", worker), LOG_U64("pid", (uint64_t)p->pid),
                    LOG_STR("why", "too many processes do not end"));
    abandon_stuck(s);
}

static int on_given_up(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct process *p = userdata;
    struct daemon *d = p->s->d;

    (void)source;
    (void)usec;
    log_error("worker-stuck", LOG_U64("worker", p->id), LOG_U64("pid", (uint64_t)p->pid),
              LOG_STR("msg", "it does not die of SIGKILL"));
    abandon(p);
    daemon_deliver(d);
    return 0;
}

void stuck_watch(struct process *p)
{
    struct daemon *d = p->s->d;
    int r = 0;

    if (!p->given_up)
        r = sd_event_add_time(d->event, &p->given_up, CLOCK_MONOTONIC, monotonic_us() + STUCK_US, 1000, on_given_up, p);
    if (r >= 0 && p->given_up)
        r = sd_event_source_set_priority(p->given_up, PHASE_TIMER);
    if (r < 0)
        daemon_fail(d, "watching a process that was killed", r);
}

void abandoned_ended(struct process *p)
{
    struct supervisor *s = p->s;
    siginfo_t end = { 0 };

    kill(-p->pid, SIGKILL); /* what it left in its group */
    if (waitid(P_PID, (id_t)p->pid, &end, WEXITED | WNOHANG) < 0 || end.si_pid == 0) {
        p->exit_source = sd_event_source_disable_unref(p->exit_source); /* traced, as in process_ended() */
        return;
    }
    log_info("stuck-ended", LOG_U64("pid", (uint64_t)p->pid));
    process_free(p);
    s->n_abandoned--;
    orphans_end(s);
    abandon_stuck(s);
    daemon_deliver(s->d);
}

void abandoned_leave(struct supervisor *s)
{
    struct process *p, *next;

    HASH_ITER(hh_pid, s->by_pid, p, next)
        if (p->abandoned)
            process_free(p);
}
