/* SPDX-License-Identifier: MIT */
/*
 * pfork -- the caller's side: children are forked, what they send is read as it comes, and each that has ended is reaped.
 *
 * One loop over an epoll, which has for each child the pipe of its result, its captured streams, and its pidfd. Death is
 * what the pidfd tells, never the end of a pipe, which a grandchild may hold open; what a dead child had sent is still
 * read first. Nothing here waits for one child alone. A descriptor leaves the epoll before it is closed, for a younger
 * child may still hold a copy for a moment.
 *
 * Whatever is written while children come and go lies in the shared mapping behind the outcomes (pfork.h tells why), but
 * for what is larger than a few bytes. Nothing of a child survives this: it is killed if it must be, and reaped.
 */
#include "client/lib/pfork.h"

#include <errno.h>
#include <fcntl.h>
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
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/lib/clock.h"

enum {
    FD_PID = PIPES,
    FDS,             /* of a child: its pipes, its pidfd */
    EVENTS = 64,
    SCRATCH_BYTES = 65536,
    TURN_BYTES = 1 << 20, /* so much of one child is read before others get their turn */
    FEW_RUNS = 16,
    STOP_EVENT = 0
};

struct slot {
    struct outcome *outcome; /* NULL: free */
    uint64_t begun_us;
    TAILQ_ENTRY(slot) link;
};

struct run {
    const struct pfork_job *job;
    ptools_pack *pack;
    struct ptools_children *children;
    size_t mapping_bytes;          /* of children */
    struct slot *slots;
    int *fds;                      /* FDS of each slot, side by side; -1: none */
    uint8_t *scratch;
    TAILQ_HEAD(slots, slot) running, idle; /* running: in the order in which they were begun */
    int epoll;
    pid_t self;
    uint64_t until_us;             /* of all */
    ptools_pfork_progress at;
    ptools_err stopped;            /* PTOOLS_OK, _DEADLINE, _CANCELLED: no more are begun */
    char why[160];                 /* ... because of this */
    bool single_threaded;
};

static int *fds_of(struct run *r, const struct slot *s)
{
    return r->fds + (s - r->slots) * FDS;
}

/* -- descriptors ------------------------------------------------------------------------------------------------- */

/* Not one of the three that a program has to itself, even if it has closed them. */
static int move_up(int fd)
{
    int up;

    if (fd > STDERR_FILENO || fd < 0)
        return fd;
    up = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    close(fd);
    return up;
}

static bool pipe_new(int *ret_read, int *ret_write)
{
    int fds[2];

    if (pipe2(fds, O_CLOEXEC) < 0)
        return false;
    *ret_read = move_up(fds[0]);
    *ret_write = move_up(fds[1]);
    return *ret_read >= 0 && *ret_write >= 0 && fcntl(*ret_read, F_SETFL, O_NONBLOCK) == 0;
}

static void fd_close(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static bool watch(struct run *r, const struct slot *s, int which)
{
    struct epoll_event event = { EPOLLIN, { .u64 = 1 + (uint64_t)(s - r->slots) * FDS + (unsigned)which } };

    return epoll_ctl(r->epoll, EPOLL_CTL_ADD, fds_of(r, s)[which], &event) == 0;
}

static void forget(struct run *r, const struct slot *s, int which)
{
    int *fd = &fds_of(r, s)[which];

    if (*fd >= 0)
        epoll_ctl(r->epoll, EPOLL_CTL_DEL, *fd, NULL);
    fd_close(fd);
}

/* -- what children send -------------------------------------------------------------------------------------------- */

static void trouble(struct run *r, const struct slot *s, ptools_err err)
{
    s->outcome->trouble = err;
    forget(r, s, PIPE_RESULT); /* nobody reads on: a child that still writes gets SIGPIPE */
}

/* The header is there: room for what follows it. The part that came along is in small already. */
static bool make_room(struct run *r, const struct slot *s)
{
    struct outcome *o = s->outcome;

    if (o->frame.magic != PFORK_MAGIC || o->frame.bytes > PFORK_BYTES_MAX || o->frame.code >= PTOOLS_ERR_WIDTH_) {
        trouble(r, s, PTOOLS_ERR_INVALID);
        return false;
    }
    o->payload = o->frame.bytes < SMALL_BYTES ? o->small : malloc(o->frame.bytes + 1);
    if (!o->payload) {
        trouble(r, s, PTOOLS_ERR_NO_MEMORY);
        return false;
    }
    if (o->payload != o->small)
        memcpy(o->payload, o->small, (size_t)MIN(o->got - sizeof o->frame, SMALL_BYTES));
    o->payload[o->frame.bytes] = '\0';
    return true;
}

/* One read. False: there is no more now, or ever. */
static bool read_some(struct run *r, const struct slot *s)
{
    struct outcome *o = s->outcome;
    const int fd = fds_of(r, s)[PIPE_RESULT];
    struct iovec iov[2];
    ssize_t n;

    if (o->payload) {
        iov[0] = (struct iovec){ o->payload + (o->got - sizeof o->frame), sizeof o->frame + o->frame.bytes - o->got };
        n = readv(fd, iov, 1);
    } else {
        iov[0] = (struct iovec){ (char *)&o->frame + o->got, sizeof o->frame - o->got };
        iov[1] = (struct iovec){ o->small, SMALL_BYTES - 1 };
        n = readv(fd, iov, 2);
    }
    if (n < 0)
        return errno == EINTR;
    if (n == 0) {
        forget(r, s, PIPE_RESULT);
        return false;
    }
    o->got += (uint64_t)n;
    if (!o->payload && o->got >= sizeof o->frame && !make_room(r, s))
        return false;
    if (!outcome_has_frame(o)) {
        if (o->payload && o->got > sizeof o->frame + o->frame.bytes)
            trouble(r, s, PTOOLS_ERR_INVALID);
        return fds_of(r, s)[PIPE_RESULT] >= 0;
    }
    forget(r, s, PIPE_RESULT);
    return false;
}

static void read_result(struct run *r, const struct slot *s, uint64_t bytes_at_most)
{
    const uint64_t end = s->outcome->got + MIN(bytes_at_most, UINT64_MAX - s->outcome->got);

    while (fds_of(r, s)[PIPE_RESULT] >= 0 && s->outcome->got < end && read_some(r, s))
        ;
}

/* Keeps of it what the limit allows. */
static void keep(struct run *r, struct outcome *o, int k, size_t n)
{
    const uint64_t limit = MIN(r->job->how.capture_bytes, (uint64_t)SIZE_MAX - 1);
    struct bytes *b = o->captured[k];
    size_t fits;

    if (!b) {
        b = o->captured[k] = malloc(sizeof *b);
        if (b)
            bytes_init(b, (size_t)limit + 1); /* a NUL behind it */
    }
    fits = b && !b->err ? (size_t)MIN((uint64_t)n, limit - b->n) : 0;
    if (fits > 0 && bytes_append(b, r->scratch, fits) < 0)
        fits = 0;
    o->dropped[k] += n - fits;
}

static void read_stream(struct run *r, const struct slot *s, int which, uint64_t bytes_at_most)
{
    const int fd = fds_of(r, s)[which];

    for (uint64_t got = 0; fd >= 0 && got < bytes_at_most;) {
        ssize_t n = read(fd, r->scratch, SCRATCH_BYTES);

        if (n < 0 && errno == EINTR)
            continue;
        if (n == 0)
            forget(r, s, which);
        if (n <= 0)
            return;
        keep(r, s->outcome, which - PIPE_OUTPUT, (size_t)n);
        got += (uint64_t)n;
    }
}

/* -- stopping ------------------------------------------------------------------------------------------------------- */

/* With all that it has started. It is not reaped yet, so its number is still its own. */
static void kill_child(struct run *r, const struct slot *s)
{
    kill(-s->outcome->told.pid, SIGKILL);
    pidfd_send_signal(fds_of(r, s)[FD_PID], SIGKILL, NULL, 0); /* if it had not come to leading its group */
}

static void stop_child(struct run *r, const struct slot *s, ptools_err code)
{
    if (s->outcome->stopped != PTOOLS_OK)
        return;
    s->outcome->stopped = code;
    kill_child(r, s);
}

/* No more are begun, and those that run are killed. The first reason is the one that counts. */
__attribute__((__format__(__printf__, 3, 4))) static void stop_all(struct run *r, ptools_err code, const char *format, ...)
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
        stop_child(r, s, code);
}

/* -- the end of a child ----------------------------------------------------------------------------------------------- */

static void report(struct run *r, const struct outcome *o)
{
    const ptools_pfork_options *how = &r->job->how;

    r->at.done++;
    r->at.failed += o->told.code != PTOOLS_OK;
    if (how->on_done && !how->on_done(&o->told, &r->at, how->on_done_arg))
        stop_all(r, PTOOLS_ERR_CANCELLED, "the caller wished so when child %d had ended", o->told.index);
    if (o->told.code != PTOOLS_OK && how->flags & PTOOLS_PFORK_FAIL_FAST)
        stop_all(r, PTOOLS_ERR_CANCELLED, "child %d did not succeed", o->told.index);
}

static uint64_t timeval_us(struct timeval t)
{
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_usec;
}

/* Reaps it; -1: somebody else has, or nobody may know. */
static int reap(struct run *r, const struct slot *s)
{
    ptools_child_outcome *told = &s->outcome->told;
    struct rusage used;
    siginfo_t info;
    int status;

    if (waitid(P_PIDFD, (id_t)fds_of(r, s)[FD_PID], &info, WEXITED | WNOHANG | WNOWAIT) < 0)
        return -1;
    kill(-told->pid, SIGKILL); /* what it has started, while its number cannot be another's */
    if (wait4(told->pid, &status, 0, &used) != told->pid)
        return -1;
    told->cpu_us = timeval_us(used.ru_utime) + timeval_us(used.ru_stime);
    told->peak_bytes = (uint64_t)used.ru_maxrss * 1024;
    return status;
}

/* It is dead: its pidfd says so, or there is none. */
static void child_ended(struct run *r, struct slot *s)
{
    char timeout[80];
    struct outcome *o = s->outcome;
    int status;

    o->told.run_us = clock_now_us() - s->begun_us;
    status = reap(r, s);
    read_result(r, s, UINT64_MAX);
    for (int which = PIPE_OUTPUT; which <= PIPE_ERRORS; which++) {
        read_stream(r, s, which, TURN_BYTES); /* what it had sent; one in another group may go on for ever */
        if (o->captured[which - PIPE_OUTPUT])
            bytes_append(o->captured[which - PIPE_OUTPUT], "", 1);
    }
    for (int which = 0; which < FDS; which++)
        forget(r, s, which);
    snprintf(timeout, sizeof timeout, "its time (%" PRId64 " ms) was over", r->job->how.timeout_ms);
    outcome_end(r->children, o, status, o->stopped == r->stopped ? r->why : timeout);
    TAILQ_REMOVE(&r->running, s, link);
    TAILQ_INSERT_HEAD(&r->idle, s, link);
    s->outcome = NULL;
    report(r, o);
}

/* -- the begin of a child ---------------------------------------------------------------------------------------------- */

static void close_all(int *fds, int n)
{
    for (int i = 0; i < n; i++)
        fd_close(&fds[i]);
}

static bool open_pipes(struct run *r, const struct slot *s, int *write_fds)
{
    const ptools_pfork_options *how = &r->job->how;
    const bool wanted[PIPES] = { true, how->output == PTOOLS_PFORK_CAPTURE, how->errors == PTOOLS_PFORK_CAPTURE };

    for (int i = 0; i < PIPES; i++)
        if (wanted[i] && !pipe_new(&fds_of(r, s)[i], &write_fds[i]))
            return false;
    return true;
}

/* What a new child has to close. Descriptors that were opened one after the other mostly lie side by side: they are few
 * runs. */
struct foreign {
    struct fd_run few[FEW_RUNS], *runs;
    size_t n;
};

static size_t foreign_walk(const struct run *r, struct fd_run *ret)
{
    const size_t used = (size_t)MIN(r->job->how.at_once, (uint32_t)r->at.begun + 1) * FDS;
    struct fd_run run = { r->epoll, r->epoll };
    size_t n = 0;

    for (size_t i = 0; i < used; i++) {
        if (r->fds[i] < 0)
            continue;
        if (r->fds[i] != run.last + 1) {
            if (ret)
                ret[n] = run;
            n++;
            run.first = r->fds[i];
        }
        run.last = r->fds[i];
    }
    if (ret)
        ret[n] = run;
    return n + 1;
}

static bool foreign_list(const struct run *r, struct foreign *ret)
{
    ret->n = foreign_walk(r, NULL);
    ret->runs = ret->n <= FEW_RUNS ? ret->few : malloc(ret->n * sizeof *ret->runs);
    if (ret->runs)
        foreign_walk(r, ret->runs);
    return ret->runs;
}

static void foreign_free(struct foreign *f)
{
    if (f->runs != f->few)
        free(f->runs);
}

static void be_born(const struct run *r, int index, const int *write_fds, const struct foreign *foreign)
{
    struct pfork_birth birth = {
        .job = *r->job,
        .index = index,
        .pack = r->pack,
        .single_threaded = r->single_threaded,
        .parent = r->self,
        .mapping = r->children,
        .mapping_bytes = r->mapping_bytes,
        .foreign = foreign->runs,
        .n_foreign = foreign->n,
    };

    memcpy(birth.write_fds, write_fds, sizeof birth.write_fds);
    pfork_child_run(&birth);
}

/* From now on the death of the child is awaited. If that cannot be done, it dies now. It may have ended, and somebody
 * else have reaped it: then there is no pidfd of it. */
static bool watch_child(struct run *r, struct slot *s, pid_t pid)
{
    int *fds = fds_of(r, s);
    int error;

    s->outcome->told.pid = pid;
    fds[FD_PID] = move_up(pidfd_open(pid, 0));
    if (fds[FD_PID] < 0 && errno == ESRCH)
        return true;
    if (fds[FD_PID] >= 0 && watch(r, s, FD_PID) && watch(r, s, PIPE_RESULT) &&
        (fds[PIPE_OUTPUT] < 0 || watch(r, s, PIPE_OUTPUT)) && (fds[PIPE_ERRORS] < 0 || watch(r, s, PIPE_ERRORS)))
        return true;
    error = errno;
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    s->outcome->told.pid = 0;
    errno = error;
    return false;
}

enum forked { FORKED, NOT_FORKED, FORKED_IN_VAIN };

/* errno tells why not. */
static enum forked fork_child(struct run *r, struct slot *s, int index, const char **ret_what)
{
    int write_fds[PIPES] = { -1, -1, -1 };
    struct foreign foreign;
    pid_t pid = -1;
    int error;

    foreign.runs = foreign.few;
    *ret_what = "pipe2";
    if (open_pipes(r, s, write_fds) && foreign_list(r, &foreign)) {
        *ret_what = "fork";
        pid = fork();
        if (pid == 0)
            be_born(r, index, write_fds, &foreign);
    }
    error = errno;
    foreign_free(&foreign);
    close_all(write_fds, PIPES); /* which leaves room for the pidfd */
    errno = error;
    if (pid > 0) {
        *ret_what = "pidfd_open or epoll_ctl";
        if (watch_child(r, s, pid))
            return FORKED;
    }
    error = errno;
    for (int i = 0; i < FDS; i++)
        forget(r, s, i);
    errno = error;
    return pid > 0 ? FORKED_IN_VAIN : NOT_FORKED;
}

/* Begins the next. False: not now, since something is missing that the end of another may bring. */
static bool begin_next(struct run *r)
{
    struct outcome *o = &r->children->outcomes[r->at.begun];
    struct slot *s = TAILQ_FIRST(&r->idle);
    enum forked forked;
    const char *what;

    TAILQ_REMOVE(&r->idle, s, link);
    s->outcome = o;
    s->begun_us = clock_now_us();
    forked = fork_child(r, s, r->at.begun + 1, &what);
    if (forked == FORKED) {
        r->at.begun++;
        TAILQ_INSERT_TAIL(&r->running, s, link);
        if (fds_of(r, s)[FD_PID] < 0)
            child_ended(r, s);
        return true;
    }
    s->outcome = NULL;
    TAILQ_INSERT_HEAD(&r->idle, s, link);
    if (forked == NOT_FORKED && !TAILQ_EMPTY(&r->running))
        return false;
    r->at.begun++;
    outcome_end_unborn(o, PTOOLS_ERR_SYSTEM, "child %d %s: %s: %s", o->told.index,
                       forked == NOT_FORKED ? "cannot be forked" : "was forked, and killed at once", what,
                       strerror(errno));
    report(r, o);
    return true;
}

/* -- the loop ------------------------------------------------------------------------------------------------------------ */

static void handle_event(struct run *r, uint64_t number)
{
    struct slot *s;
    int which;

    if (number == STOP_EVENT) {
        epoll_ctl(r->epoll, EPOLL_CTL_DEL, r->job->how.stop_fd, NULL);
        stop_all(r, PTOOLS_ERR_CANCELLED, "the caller wished so");
        return;
    }
    s = &r->slots[(number - 1) / FDS];
    which = (int)((number - 1) % FDS);
    if (!s->outcome || fds_of(r, s)[which] < 0)
        return; /* an event before it, in the same turn, has ended that */
    if (which == FD_PID)
        child_ended(r, s);
    else if (which == PIPE_RESULT)
        read_result(r, s, TURN_BYTES);
    else
        read_stream(r, s, which, TURN_BYTES);
}

static void handle_events(struct run *r, int wait_ms)
{
    struct epoll_event events[EVENTS];
    int n = epoll_wait(r->epoll, events, EVENTS, wait_ms);

    for (int i = 0; i < n; i++)
        handle_event(r, events[i].data.u64);
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
        stop_child(r, s, PTOOLS_ERR_DEADLINE);
    }
    return until_us;
}

static void run_all(struct run *r)
{
    const int n = r->job->n;
    bool starved = false;

    handle_events(r, 0); /* perhaps it is to be stopped already */
    while (r->at.begun < n || !TAILQ_EMPTY(&r->running)) {
        const int done = r->at.done;
        uint64_t until_us = check_time(r);

        if (r->stopped != PTOOLS_OK && TAILQ_EMPTY(&r->running))
            return;
        if (r->stopped == PTOOLS_OK && r->at.begun < n && !TAILQ_EMPTY(&r->idle) && !starved) {
            starved = !begin_next(r);
            until_us = starved ? until_us : 0;
        }
        handle_events(r, clock_poll_ms(until_us));
        starved = starved && r->at.done == done;
    }
}

/* -- one call -------------------------------------------------------------------------------------------------------------- */

static bool stop_fd_watch(struct run *r)
{
    struct epoll_event event = { EPOLLIN, { .u64 = STOP_EVENT } };

    return !(r->job->how.flags & PTOOLS_PFORK_STOP_FD) ||
           epoll_ctl(r->epoll, EPOLL_CTL_ADD, r->job->how.stop_fd, &event) == 0;
}

static ptools_err run_open(struct run *r)
{
    const uint32_t width = r->job->how.at_once;
    const size_t slots_bytes = width * (sizeof *r->slots + FDS * sizeof *r->fds);

    r->children = children_new(r->job->n, slots_bytes + SCRATCH_BYTES);
    r->pack = ptools_pack_new();
    if (!r->children || !r->pack)
        return pfork_fail(PTOOLS_ERR_NO_MEMORY, "no memory for %d children", r->job->n);
    r->mapping_bytes = r->children->mapping_bytes;
    r->slots = (struct slot *)&r->children->outcomes[r->job->n];
    r->fds = (int *)&r->slots[width];
    r->scratch = (uint8_t *)&r->fds[width * FDS];
    for (uint32_t i = width; i-- > 0;)
        TAILQ_INSERT_HEAD(&r->idle, &r->slots[i], link);
    for (uint32_t i = 0; i < width * FDS; i++)
        r->fds[i] = -1;
    r->epoll = move_up(epoll_create1(EPOLL_CLOEXEC));
    if (r->epoll < 0)
        return pfork_fail(PTOOLS_ERR_SYSTEM, "epoll_create1: %s", strerror(errno));
    if (!stop_fd_watch(r))
        return pfork_fail(PTOOLS_ERR_INVALID, "options of pfork: stop_fd is %d, which cannot be waited for: %s",
                          r->job->how.stop_fd, strerror(errno));
    return PTOOLS_OK;
}

/* Those that were never begun. */
static void end_rest(struct run *r)
{
    for (int i = r->at.begun; i < r->job->n; i++)
        outcome_end_unborn(&r->children->outcomes[i], PTOOLS_ERR_NOT_RUN, "child %d was not begun, because %s", i + 1,
                           r->why);
}

ptools_err pfork_run(const struct pfork_job *job, struct ptools_children **ret)
{
    struct run r = { .job = job, .epoll = -1, .self = getpid(), .single_threaded = __libc_single_threaded };
    int cancel_state;
    ptools_err err;

    TAILQ_INIT(&r.running);
    TAILQ_INIT(&r.idle);
    r.until_us = job->how.timeout_all_ms ? clock_until_us(job->how.timeout_all_ms) : CLOCK_FOREVER;
    r.at.n = job->n;
    err = run_open(&r);
    if (err == PTOOLS_OK) {
        pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
        pfork_flush();
        run_all(&r);
        end_rest(&r);
        pthread_setcancelstate(cancel_state, &cancel_state);
        err = children_verdict(r.children);
        *ret = TAKE(r.children);
    }
    fd_close(&r.epoll);
    ptools_pack_free(r.pack);
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
