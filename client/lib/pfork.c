/* SPDX-License-Identifier: MIT */
/*
 * pfork -- the caller's side: children are forked, what they send is read as it comes, and each that has ended is
 * reaped.
 *
 * As long as there is more to fork, it is looked every now and then what the children have sent, and which of them
 * have ended. Before it sleeps, each gets a pidfd, and all descriptors go into one epoll: most children of a quick
 * function never need that. Death is what the kernel tells of a process, never the end of a pipe, which a grandchild
 * may hold open; what a dead child had sent is still read. Nothing here waits for one child alone.
 *
 * A number of a process is used only after the kernel has said that it is still that of a child of ours. Nothing of a
 * child survives this: it is killed if it must be, with its process group, and reaped.
 */
#include "client/lib/pfork.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <sys/single_threaded.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/lib/clock.h"

enum {
    EVENTS = 64,
    LOOK_US = 2000,  /* between two looks, while there is more to fork: what a look writes is copied anew after it */
    LOOK_PART = 10,  /* ... and ten times as long as a look takes */
    BLIND_US = 50000 /* between two looks where not every death wakes us: descriptors had run out */
};

/* -- stopping ------------------------------------------------------------------------------------------------------ */

enum life { ALIVE, DEAD, GONE /* reaped by somebody else, or nobody may know */ };

static enum life look_at(const struct slot *s)
{
    siginfo_t info = { .si_pid = 0 };

    if (waitid(P_PID, (id_t)s->outcome->told.pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0)
        return errno == ECHILD ? GONE : ALIVE;
    return info.si_pid == 0 ? ALIVE : DEAD;
}

static void stop_child(struct slot *s, ptools_err code)
{
    const pid_t pid = s->outcome->told.pid;

    if (s->outcome->stopped != PTOOLS_OK || look_at(s) != ALIVE)
        return; /* one that has ended tells of its own end */
    s->outcome->stopped = code;
    kill(-pid, SIGKILL); /* with all that it has started */
    kill(pid, SIGKILL);  /* if it had not come to leading its group */
}

/* No more are begun, and those that run are killed. The first reason is the one that counts. */
__attribute__((__format__(__printf__, 3, 4))) static void stop_all(struct run *r, ptools_err code, const char *format,
                                                                   ...)
{
    struct slot *s;
    va_list args;

    if (r->stopped != PTOOLS_OK)
        return;
    r->stopped = code;
    va_start(args, format);
    vsnprintf(r->why, sizeof r->why, format, args);
    va_end(args);
    TAILQ_FOREACH(s, &r->running, link)
        stop_child(s, code);
}

/* -- the end of a child -------------------------------------------------------------------------------------------- */

static void report(struct run *r, struct outcome *o)
{
    const ptools_pfork_options *how = &r->job->how;
    bool go_on = true;

    if (how->on_done)
        outcome_read_value(r->children, o);
    r->at.done++;
    r->at.failed += o->told.code != PTOOLS_OK;
    if (how->on_done) {
        children_share(r->children, true); /* it may fork, too */
        go_on = how->on_done(&o->told, &r->at, how->on_done_arg);
        children_share(r->children, false);
    }
    if (!go_on)
        stop_all(r, PTOOLS_ERR_CANCELLED, "the caller wished so when child %d had ended", o->told.index);
    if (o->told.code != PTOOLS_OK && how->flags & PTOOLS_PFORK_FAIL_FAST)
        stop_all(r, PTOOLS_ERR_CANCELLED, "child %d did not succeed", o->told.index);
}

static uint64_t timeval_us(struct timeval t)
{
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_usec;
}

/* It is DEAD: its status; -1: somebody else was quicker. */
static int reap(ptools_child_outcome *told)
{
    struct rusage used;
    int status;

    kill(-told->pid, SIGKILL); /* what it has started, while its number cannot be another's */
    if (wait4(told->pid, &status, WNOHANG, &used) != told->pid)
        return -1;
    told->cpu_us = timeval_us(used.ru_utime) + timeval_us(used.ru_stime);
    told->peak_bytes = (uint64_t)used.ru_maxrss * 1024;
    return status;
}

/* Whether it was: then it has been reaped, and its outcome is complete. */
static bool end_if_dead(struct run *r, struct slot *s)
{
    struct outcome *o = s->outcome;
    char timeout[80] = "";
    enum life life = look_at(s);
    int status;

    if (life == ALIVE)
        return false;
    o->told.run_us = clock_now_us() - s->begun_us;
    status = life == DEAD ? reap(&o->told) : -1;
    slot_read_one(r, s, PIPE_RESULT, UINT64_MAX);
    slot_read(r, s, TURN_BYTES); /* what it had sent; one in another group may go on for ever */
    slot_close(r, s);
    if (o->stopped != PTOOLS_OK)
        snprintf(timeout, sizeof timeout, "its time (%" PRId64 " ms) was over", r->job->how.timeout_ms);
    outcome_end(r->children, o, status, o->stopped == r->stopped ? r->why : timeout);
    TAILQ_REMOVE(&r->running, s, link);
    TAILQ_INSERT_HEAD(&r->idle, s, link);
    s->outcome = NULL;
    report(r, o);
    return true;
}

/* -- the begin of a child
 * ---------------------------------------------------------------------------------------------- */

static void be_born(const struct run *r, int index, const int *write_fds, const struct foreign *foreign)
{
    struct pfork_birth birth = {
        .job = *r->job,
        .index = index,
        .single_threaded = r->single_threaded,
        .parent = r->self,
        .foreign = foreign->runs,
        .n_foreign = foreign->n,
    };

    memcpy(birth.write_fds, write_fds, sizeof birth.write_fds);
    pfork_child_run(&birth);
}

/* 0, or errno and *ret_what. Where all is well, nothing is written that would have to be copied: not errno either. */
static int fork_child(struct run *r, struct slot *s, int index, const char **ret_what)
{
    int write_fds[PIPES] = { -1, -1, -1 }, error = 0;
    struct foreign foreign;
    pid_t pid = -1;

    foreign.runs = foreign.few;
    *ret_what = "pipe2";
    if (slot_open(r, s, write_fds)) {
        *ret_what = "fork";
        pid = foreign_list(r, &foreign) ? fork() : -1;
        if (pid == 0)
            be_born(r, index, write_fds, &foreign);
    }
    if (pid < 0)
        error = errno;
    foreign_free(&foreign);
    for (int i = 0; i < PIPES; i++)
        fd_close(&write_fds[i]);
    if (pid < 0)
        slot_close(r, s);
    else
        s->outcome->told.pid = pid;
    return error;
}

/* Begins the next. False: not now, since something is missing that the end of another may bring. */
static bool begin_next(struct run *r)
{
    struct outcome *o = &r->children->outcomes[r->at.begun];
    struct slot *s = TAILQ_FIRST(&r->idle);
    const char *what;
    int error;

    s->outcome = o;
    s->begun_us = clock_now_us();
    error = fork_child(r, s, r->at.begun + 1, &what);
    if (error == 0) {
        r->at.begun++;
        TAILQ_REMOVE(&r->idle, s, link);
        TAILQ_INSERT_TAIL(&r->running, s, link);
        return true;
    }
    s->outcome = NULL;
    if (!TAILQ_EMPTY(&r->running))
        return false;
    r->at.begun++;
    outcome_end_unborn(r->children, o, PTOOLS_ERR_SYSTEM, "child %d cannot be forked: %s: %s", o->told.index, what,
                       strerror(error));
    report(r, o);
    return true;
}

/* -- looking and sleeping
 * ------------------------------------------------------------------------------------------------ */

/* What has happened to those that no event tells of. blind: the end of a pipe is not waited for either. */
static void look(struct run *r, bool blind)
{
    const uint64_t now_us = clock_now_us();
    struct slot *s, *next;
    bool ended = false;

    for (s = TAILQ_FIRST(&r->running); s; s = next) {
        next = TAILQ_NEXT(s, link);
        if (s->watched[FD_PID])
            continue;
        slot_read(r, s, TURN_BYTES);
        if (blind || s->fds[PIPE_RESULT] < 0)
            ended = end_if_dead(r, s) || ended;
        if (ended && clock_now_us() >= now_us + BLIND_US)
            break; /* on_done takes long: whether all are to be stopped must be looked at, too */
    }
    r->looked_us = clock_now_us();
    r->look_us = r->looked_us - now_us;
}

/* Sees to it that whatever happens to one of them wakes us. False: not all that may. */
static bool watch_all(struct run *r)
{
    struct slot *s;
    bool all = true;

    TAILQ_FOREACH(s, &r->running, link) {
        if (s->watched[FD_PID])
            continue;
        if (s->fds[FD_PID] < 0)
            s->fds[FD_PID] = fd_move_up(pidfd_open(s->outcome->told.pid, 0));
        all = slot_watch(r, s) && all;
    }
    return all;
}

static void handle_event(struct run *r, uint64_t number)
{
    struct slot *s;
    int which;

    if (number == STOP_EVENT) {
        epoll_ctl(r->epoll, EPOLL_CTL_DEL, r->job->how.stop_fd, NULL);
        stop_all(r, PTOOLS_ERR_CANCELLED, "the caller wished so");
        return;
    }
    s = &r->slots[(number - FIRST_EVENT) / FDS];
    which = (int)((number - FIRST_EVENT) % FDS);
    if (!s->outcome || s->fds[which] < 0)
        return; /* an event before it, in the same turn, has ended that */
    if (which == FD_PID)
        end_if_dead(r, s);
    else
        slot_read_one(r, s, which, TURN_BYTES);
}

/* Until something has happened, or until_us; 0: it only looks. */
static void wait_for_events(struct run *r, uint64_t until_us)
{
    struct epoll_event events[EVENTS];
    bool blind = false;
    int n;

    if (until_us > 0 && !TAILQ_EMPTY(&r->running)) {
        blind = !watch_all(r);
        if (blind)
            until_us = MIN(until_us, clock_now_us() + BLIND_US);
    }
    n = epoll_wait(r->epoll, events, EVENTS, clock_poll_ms(until_us));
    for (int i = 0; i < n; i++)
        handle_event(r, events[i].data.u64);
    if (blind)
        look(r, true);
}

/* When the next child has had its time, or all have; and what is over is stopped. */
static uint64_t check_time(struct run *r)
{
    const int64_t timeout_ms = r->job->how.timeout_ms;
    uint64_t now_us = clock_now_us(), until_us = r->until_us;
    struct slot *s;

    if (now_us >= r->until_us)
        stop_all(r, PTOOLS_ERR_DEADLINE, "the time for all (%" PRId64 " ms) was over", r->job->how.timeout_all_ms);
    if (r->stopped != PTOOLS_OK || timeout_ms == 0)
        return r->stopped != PTOOLS_OK ? CLOCK_FOREVER : until_us;
    TAILQ_FOREACH(s, &r->running, link) {
        const uint64_t end_us = s->begun_us + (uint64_t)MIN(timeout_ms, INT64_MAX / 2000) * 1000;

        if (s->outcome->stopped != PTOOLS_OK)
            continue;
        if (end_us > now_us)
            return MIN(until_us, end_us);
        stop_child(s, PTOOLS_ERR_DEADLINE);
    }
    return until_us;
}

static bool may_begin(const struct run *r)
{
    return r->stopped == PTOOLS_OK && r->at.begun < r->job->n && !TAILQ_EMPTY(&r->idle);
}

static bool look_is_due(const struct run *r)
{
    return clock_now_us() >= r->looked_us + MAX(LOOK_US, LOOK_PART * r->look_us);
}

static void run_all(struct run *r)
{
    bool starved = false;

    wait_for_events(r, 0); /* perhaps it is to be stopped already */
    while (r->at.begun < r->job->n || !TAILQ_EMPTY(&r->running)) {
        const int done = r->at.done;
        uint64_t until_us = check_time(r);

        if (r->stopped != PTOOLS_OK && TAILQ_EMPTY(&r->running))
            return;
        if (may_begin(r) && !starved) {
            starved = !begin_next(r);
            if (!starved && !look_is_due(r))
                continue;
        }
        look(r, false);
        wait_for_events(r, r->at.done > done || (may_begin(r) && !starved) ? 0 : until_us);
        starved = starved && r->at.done == done;
    }
}

/* -- one call
 * -------------------------------------------------------------------------------------------------------------- */

static bool stop_fd_watch(struct run *r)
{
    struct epoll_event event = { EPOLLIN, { .u64 = STOP_EVENT } };

    return !(r->job->how.flags & PTOOLS_PFORK_STOP_FD) ||
           epoll_ctl(r->epoll, EPOLL_CTL_ADD, r->job->how.stop_fd, &event) == 0;
}

static ptools_err run_open(struct run *r)
{
    const uint32_t width = r->job->how.at_once;

    r->children = children_new(r->job->n, width * sizeof *r->slots + SCRATCH_BYTES);
    if (!r->children)
        return pfork_fail(PTOOLS_ERR_NO_MEMORY, "no memory for %d children", r->job->n);
    r->keeper = r->children->keeper;
    r->slots = (struct slot *)&r->children->outcomes[r->job->n];
    r->scratch = (uint8_t *)&r->slots[width];
    for (uint32_t i = 0; i < width; i++) {
        TAILQ_INSERT_TAIL(&r->idle, &r->slots[i], link);
        for (int k = 0; k < FDS; k++)
            r->slots[i].fds[k] = -1;
    }
    r->epoll = fd_move_up(epoll_create1(EPOLL_CLOEXEC));
    if (r->epoll < 0)
        return pfork_fail(PTOOLS_ERR_SYSTEM, "epoll_create1: %s", strerror(errno));
    if (!stop_fd_watch(r))
        return pfork_fail(PTOOLS_ERR_INVALID, "options of pfork: stop_fd is %d, which cannot be waited for: %s",
                          r->job->how.stop_fd, strerror(errno));
    return PTOOLS_OK;
}

/* The values of all; and those that were never begun. */
static void end_all(struct run *r)
{
    for (int i = 0; i < r->at.begun; i++)
        outcome_read_value(r->children, &r->children->outcomes[i]);
    for (int i = r->at.begun; i < r->job->n; i++)
        outcome_end_unborn(r->children, &r->children->outcomes[i], PTOOLS_ERR_NOT_RUN,
                           "child %d was not begun, because %s", i + 1, r->why);
}

ptools_err pfork_run(const struct pfork_job *job, struct ptools_children **ret)
{
    struct run r = { .job = job, .epoll = -1, .self = getpid(), .single_threaded = __libc_single_threaded };
    int cancel_state;
    ptools_err err;

    TAILQ_INIT(&r.running);
    TAILQ_INIT(&r.idle);
    r.until_us = job->how.timeout_all_ms ? clock_until_us(job->how.timeout_all_ms) : CLOCK_FOREVER;
    r.looked_us = clock_now_us();
    r.at.n = job->n;
    err = run_open(&r);
    if (err == PTOOLS_OK) {
        pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
        pfork_flush();
        children_share(r.children, false);
        run_all(&r);
        children_share(r.children, true);
        end_all(&r);
        pthread_setcancelstate(cancel_state, &cancel_state);
        err = children_verdict(r.children);
        *ret = TAKE(r.children);
    }
    fd_close(&r.epoll);
    ptools_children_free(r.children);
    return err;
}

ptools_err ptools_pfork(int n, ptools_pfork_fn f, void *arg, const ptools_pfork_options *options,
                        ptools_children **ret_children, const char **ret_message)
{
    struct ptools_children *children = NULL;
    struct pfork_job job;
    ptools_err err = pfork_job_read(n, f, arg, options, &job);

    if (err == PTOOLS_OK)
        err = pfork_run(&job, &children);
    if (ret_children)
        *ret_children = children;
    else
        ptools_children_free(children);
    if (err != PTOOLS_OK && ret_message)
        *ret_message = pfork_message();
    return err;
}
