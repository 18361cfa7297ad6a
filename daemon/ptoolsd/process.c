/* SPDX-License-Identifier: MIT */
/*
 * process -- one worker process: a stream socket for tasks and answers, a control page, a pidfd.
 *
 * Frames to the worker gather in a chain during the turn and leave with one system call. Frames from it
 * are cut by an intake; every field is checked, since foreign code runs in there: a worker that breaks
 * the protocol is killed, and its tasks fail with that reason.
 *
 * At its end the order matters: first what it had sent is read to the end (a result that was sent
 * counts), then the page is read, then it is reaped, then the core is told.
 *
 * A few lines longer than a file should be: it is one life, and each part of it needs the others.
 */
#include "daemon/ptoolsd/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/ptoolsd/fds.h"
#include "daemon/ptoolsd/log.h"
#include "proto/text.h"

enum {
    IOV_MAX_SEND = 64,
    BIRTH_US = 10000000, /* from being made to READY, else SIGKILL */
    LOST_US = 500000     /* from the end of the link to SIGKILL */
};

static int on_link(sd_event_source *s, int fd, uint32_t revents, void *userdata);
static int on_exit_source(sd_event_source *s, int fd, uint32_t revents, void *userdata);
static int kill_after(struct process *p, uint64_t us);

/* -- being made -------------------------------------------------------------------------------------- */

static int page_new(int *ret_fd, struct page **ret_page)
{
    int fd = memfd_create("ptools-page", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    void *at;
    int r;

    if (fd < 0)
        return -errno;
    r = posix_fallocate(fd, 0, PAGE_BYTES);
    if (r == 0 && fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
        r = errno;
    if (r != 0) {
        close(fd);
        return -r;
    }
    at = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
    if (at == MAP_FAILED) {
        r = -errno;
        close(fd);
        return r;
    }
    *ret_page = at;
    (*ret_page)->magic = PAGE_MAGIC;
    *ret_fd = fd;
    return 0;
}

int process_new(struct supervisor *s, uint32_t id, struct process **ret)
{
    struct process *p = calloc(1, sizeof *p);
    int pair[2], r;

    if (!p)
        return -ENOMEM;
    p->s = s;
    p->id = id;
    p->message_max = s->d->config->message_max;
    p->pidfd = p->link_fd = p->child_link_fd = p->page_fd = p->child_fds_fd = p->cgroup.fd = -1;
    intake_init(&p->in);
    chain_init(&p->out);
    HASH_ADD(hh, s->by_id, id, sizeof p->id, p);
    r = page_new(&p->page_fd, &p->page);
    if (r >= 0 && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
        r = -errno;
    if (r < 0) {
        process_free(p);
        return r;
    }
    p->link_fd = pair[0];
    p->child_link_fd = pair[1];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
        r = -errno;
    } else {
        p->child_fds_fd = pair[1];
        r = fds_add_process(s->d->fds, id, pair[0]);
    }
    if (r < 0) {
        process_free(p);
        return r;
    }
    p->cgroup = cgroups_make(s->d->cgroups, id);
    *ret = p;
    return 0;
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

struct process *process_free(struct process *p)
{
    if (!p)
        return NULL;
    if (!p->abandoned) {
        HASH_DELETE(hh, p->s->by_id, p);
        fds_process_gone(p->s->d->fds, p->id);
    }
    if (p->pid)
        HASH_DELETE(hh_pid, p->s->by_pid, p);
    if (p->dirty)
        TAILQ_REMOVE(&p->s->dirty, p, dirty_link);
    sd_event_source_disable_unref(p->link_source);
    sd_event_source_disable_unref(p->exit_source);
    sd_event_source_disable_unref(p->overdue);
    sd_event_source_disable_unref(p->given_up);
    close_fd(&p->link_fd);
    close_fd(&p->child_link_fd);
    close_fd(&p->page_fd);
    close_fd(&p->child_fds_fd);
    close_fd(&p->pidfd);
    cgroups_end(p->s->d->cgroups, p->id, &p->cgroup);
    if (p->page)
        munmap(p->page, PAGE_BYTES);
    intake_deinit(&p->in);
    chain_deinit(&p->out);
    blob_free(p->log);
    items_clear(&p->items);
    free(p);
    return NULL;
}

static void mark_dirty(struct process *p)
{
    if (p->dirty)
        return;
    p->dirty = true;
    TAILQ_INSERT_TAIL(&p->s->dirty, p, dirty_link);
}

/* head: what comes before the payload. */
static void frame_put(struct process *p, const struct link_frame *frame, const struct iovec *head, size_t n_head,
                      struct blob *payload)
{
    int r = chain_append(&p->out, frame, sizeof *frame);

    for (size_t i = 0; r == 0 && i < n_head; i++)
        r = chain_append(&p->out, head[i].iov_base, head[i].iov_len);
    if (r == 0 && payload)
        r = chain_append_blob(&p->out, payload, 0);
    if (r < 0)
        daemon_fail(p->s->d, "sending to a worker", r);
    mark_dirty(p);
}

int pidfd_of(pid_t pid)
{
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);

    return fd < 0 ? -errno : fd;
}

int process_born(struct process *p, pid_t pid)
{
    struct link_frame start = { .type = LINK_START, .worker = p->id, .a = (uint32_t)getpid() };
    siginfo_t si = { 0 };
    sd_event *event = p->s->d->event;
    int r;

    /* Only the parent may wait: whoever the template named, it is a child of ours or we take no notice of it. */
    if (waitid(P_PID, (id_t)pid, &si, WEXITED | WNOHANG | WNOWAIT) < 0)
        return -errno;
    p->pidfd = pidfd_of(pid);
    if (p->pidfd < 0 && p->pidfd != -ENOSYS)
        return p->pidfd;
    p->pid = pid;
    HASH_ADD(hh_pid, p->s->by_pid, pid, sizeof p->pid, p);
    close_fd(&p->child_link_fd);
    close_fd(&p->page_fd);
    close_fd(&p->child_fds_fd);
    p->events = EPOLLIN;
    r = sd_event_add_io(event, &p->link_source, p->link_fd, p->events, on_link, p);
    if (r >= 0)
        r = sd_event_source_set_priority(p->link_source, PHASE_WORKER_DATA);
    if (r >= 0 && p->pidfd >= 0)
        r = sd_event_add_io(event, &p->exit_source, p->pidfd, EPOLLIN, on_exit_source, p);
    if (r >= 0 && p->pidfd >= 0)
        r = sd_event_source_set_priority(p->exit_source, PHASE_WORKER_EXIT);
    if (r >= 0)
        r = kill_after(p, BIRTH_US);
    if (r < 0)
        return r;
    frame_put(p, &start, NULL, 0, NULL);
    return 0;
}

/* -- tasks and answers --------------------------------------------------------------------------------- */

void process_run(struct process *p, const struct action *a)
{
    size_t name_bytes = strlen(a->function), payload_bytes = a->payload ? a->payload->n : 0;
    uint64_t room = a->large.room, queued_ms = a->queued_ms;
    struct link_reference args = { a->large.args, a->large.args_bytes };
    struct link_batch batch = { .map = a->batch.map,
                                .captured = a->batch.captured,
                                .captured_bytes = a->batch.captured_bytes,
                                .items = a->batch.items,
                                .hand_back_ms = a->batch.hand_back_ms,
                                .isolated = a->batch.isolated,
                                .init_bytes = a->batch.items ? (uint16_t)strlen(a->batch.init) : 0,
                                .op_bytes = a->batch.items ? (uint16_t)strlen(a->batch.op) : 0,
                                .values = a->batch.values };
    struct iovec head[7] = { { (void *)(uintptr_t)a->function, name_bytes },
                             { &queued_ms, queued_ms ? sizeof queued_ms : 0 },
                             { &room, room ? sizeof room : 0 },
                             { &batch, batch.items ? sizeof batch : 0 },
                             { (void *)(uintptr_t)a->batch.init, batch.init_bytes },
                             { (void *)(uintptr_t)a->batch.op, batch.op_bytes },
                             { &args, args.array ? sizeof args : 0 } };
    struct link_frame run = {
        .type = LINK_RUN,
        .body_bytes = (uint32_t)(name_bytes + head[1].iov_len + head[2].iov_len + head[3].iov_len + head[4].iov_len +
                                 head[5].iov_len + head[6].iov_len + payload_bytes),
        .code = (uint16_t)((args.array ? RUN_ARGS_ARRAY : 0) | (room ? RUN_ROOM : 0) | (batch.items ? RUN_BATCH : 0) |
                           (queued_ms ? RUN_QUEUED : 0)),
        .b = (uint32_t)MIN(a->large.limit, (uint64_t)UINT32_MAX),
        .name_bytes = (uint8_t)name_bytes,
        .task = a->task,
        .worker = p->id,
        .attempt = a->attempt,
        .slot = a->slot,
        .a = a->uid,
    };

    p->slot[a->slot] = (struct process_slot){ .task = a->task, .attempt = a->attempt };
    if (atomic_load(&p->page->cancel) == a->task) /* that was an attempt before this one */
        atomic_store(&p->page->cancel, 0);
    page_give(p->page, a->slot, a->task);
    frame_put(p, &run, head, ELEMENTS(head), a->payload);
}

void process_stop(struct process *p, bool politely)
{
    struct link_frame stop = { .type = LINK_STOP, .worker = p->id, .a = politely };

    frame_put(p, &stop, NULL, 0, NULL);
    if (politely) { /* what it runs is asked to end */
        atomic_store(&p->page->cancel, atomic_load(&p->page->task));
        process_signal(p, SIGTERM);
    }
}

bool process_cancel(struct process *p, uint64_t task)
{
    const struct link_frame cancel = { .type = LINK_CANCEL, .worker = p->id, .task = task };

    if (is_stask_process(p->id)) { /* the call may be far back on a lane; or begins just now, then it sees the count */
        atomic_fetch_add(&p->page->cancels, 1);
        frame_put(p, &cancel, NULL, 0, NULL);
        if (atomic_load(&p->page->task) != task)
            return false;
    }
    atomic_store(&p->page->cancel, task);
    process_signal(p, SIGTERM);
    return true;
}

void process_array(struct process *p, uint64_t array, bool map)
{
    struct link_frame frame = { .type = map ? LINK_MAP : LINK_FORGET, .worker = p->id, .task = array };

    frame_put(p, &frame, NULL, 0, NULL);
}

void process_signal(struct process *p, int signal)
{
    if (p->pid <= 0)
        return;
    kill(p->pid, signal); /* our own child, not yet reaped: the number is still its own */
    if (signal == SIGKILL) {
        p->killed = true;
        kill(-p->pid, SIGKILL);
        if (is_stask_process(p->id))
            stuck_watch(p);
    }
}

static int on_overdue(sd_event_source *s, uint64_t usec, void *userdata)
{
    struct process *p = userdata;

    (void)s;
    (void)usec;
    log_warning("worker-overdue", LOG_U64("worker", p->id), LOG_U64("pid", (uint64_t)p->pid),
                LOG_STR("msg", p->lost ? "its link is gone and it does not end" : "it does not get ready"));
    process_signal(p, SIGKILL);
    return 0;
}

/* Starts the clock anew. 0 or -errno. */
static int kill_after(struct process *p, uint64_t us)
{
    struct daemon *d = p->s->d;
    int r;

    p->overdue = sd_event_source_disable_unref(p->overdue);
    r = sd_event_add_time(d->event, &p->overdue, CLOCK_MONOTONIC, daemon_now(d) + us, 1000, on_overdue, p);
    return r < 0 ? r : sd_event_source_set_priority(p->overdue, PHASE_TIMER);
}

/* The worker is of no use any more: it has LOST_US to end by itself, and tell why by its status. */
static void process_lose(struct process *p)
{
    if (p->lost)
        return;
    p->lost = true;
    p->link_source = sd_event_source_disable_unref(p->link_source);
    if (kill_after(p, LOST_US) < 0)
        process_signal(p, SIGKILL);
}

static void process_broke(struct process *p, const char *how)
{
    log_error("worker-broke-protocol", LOG_U64("worker", p->id), LOG_U64("pid", (uint64_t)p->pid), LOG_STR("msg", how));
    p->broke = how;
    process_lose(p);
    process_signal(p, SIGKILL);
}

void process_send(struct process *p)
{
    uint32_t events;

    while (p->out.n > 0 && !p->lost) {
        struct iovec iov[IOV_MAX_SEND];
        struct msghdr msg = { .msg_iov = iov };
        ssize_t sent;

        msg.msg_iovlen = (size_t)chain_peek(&p->out, iov, IOV_MAX_SEND);
        sent = sendmsg(p->link_fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0) {
            if (errno == EINTR)
                continue;
            break; /* full: EPOLLOUT goes on; closed: its end is on the way */
        }
        chain_consume(&p->out, (size_t)sent);
    }
    events = EPOLLIN | (p->out.n > 0 ? EPOLLOUT : 0);
    if (p->link_source && events != p->events) {
        sd_event_source_set_io_events(p->link_source, events);
        p->events = events;
    }
}

/* Foreign code wrote it, and the answer says whether it was the one that was given. */
static void handle_log(struct process *p, const struct span *body)
{
    p->log = blob_free(p->log);
    if (body->n == 0 || body->n > PAGE_LOG_LINES * PAGE_LOG_BYTES)
        process_broke(p, "log lines of an impossible length");
    else
        p->log = blob_new(body->data, body->n); /* without memory it has none */
}

static void handle_items(struct process *p, const struct link_frame *f, const struct span *body)
{
    int r = items_add(&p->items, f->task, f->a, f->b, body, p->message_max);

    if (r == -EMSGSIZE)
        process_broke(p, "an impossible amount of records");
    else if (r < 0)
        daemon_fail(p->s->d, "reading from a worker", r);
}

static void tell_items(struct process *p)
{
    if (p->items.task)
        core_items(p->s->d->core, p->id, p->items.task, p->items.n, p->items.failed, p->items.records);
    items_clear(&p->items);
}

static void handle_done(struct process *p, const struct link_frame *f, struct span *body)
{
    struct daemon *d = p->s->d;
    struct msg_failure facts = { .code = (ptools_err)f->code, .pid = p->pid, .run_us = f->a, .exit_status = -1 };
    struct core_value value = { 0 };
    struct page_words words;

    if (!error_known((ptools_err)f->code)) {
        process_broke(p, "an answer with an unknown code");
        return;
    }
    p->slot[f->slot].task = 0;
    if (f->b)
        p->rss_kb = f->b;
    facts.cpu_us = atomic_load(&p->page->used[f->slot].cpu_us);
    facts.peak_bytes = atomic_load(&p->page->used[f->slot].peak_kb) * 1024;
    if (facts.peak_bytes == 0) /* it was not measured: what the worker had when it last looked */
        facts.peak_bytes = atomic_load(&p->page->peak_kb) * 1024;
    if (p->log)
        facts.log = (struct text){ (const char *)p->log->data, p->log->n };
    if (f->type == LINK_DONE_ARRAY) {
        struct link_reference where;

        if (body->n != sizeof where || f->code != PTOOLS_OK) {
            process_broke(p, "a value in an array without saying where");
            return;
        }
        memcpy(&where, body->data, sizeof where);
        value.array = where.array;
        value.bytes = where.bytes;
    } else if (f->code == PTOOLS_OK) {
        value.blob = body->blob ? blob_ref(body->blob) : blob_new(body->data, body->n);
        if (!value.blob) {
            facts.code = PTOOLS_ERR_INTERNAL;
            facts.message = (struct text){ "the daemon is out of memory: the value is lost", 46 };
        }
    } else if (!link_failure_read(body, &facts)) {
        process_broke(p, "a failure without its texts");
        return;
    } else if (f->code == PTOOLS_ERR_CANCELLED) { /* where it was when it was stopped */
        page_read_words(p->page, &words);
        facts.backtrace = (struct text){ words.backtrace, strlen(words.backtrace) };
    }
    tell_items(p);
    core_worker_done(d->core, daemon_now(d), p->id, f->task, f->attempt, facts.code, &value, &facts, f->a, f->b, f->fds,
                     &d->actions);
    blob_free(value.blob);
    daemon_deliver(d);
    p->log = blob_free(p->log);
}

static void handle_mapped(struct process *p, const struct link_frame *f, const struct span *body)
{
    struct daemon *d = p->s->d;
    char why[160];

    if (!error_known((ptools_err)f->code)) {
        process_broke(p, "an answer with an unknown code");
        return;
    }
    snprintf(why, sizeof why, "%.*s", (int)MIN(body->n, sizeof why - 1), body->n ? (const char *)body->data : "");
    text_clean(why, strlen(why), false);
    core_array_mapped(d->core, daemon_now(d), p->id, f->task, (ptools_err)f->code, why, &d->actions);
    daemon_deliver(d);
}

static void handle_frame(struct process *p, const struct link_frame *f, struct span *body)
{
    struct daemon *d = p->s->d;

    switch (f->type) {
    case LINK_READY:
        if (!p->overdue || p->lost) {
            process_broke(p, "it said READY twice");
            return;
        }
        p->overdue = sd_event_source_disable_unref(p->overdue);
        if (is_stask_process(p->id))
            core_stask_ready(d->core, daemon_now(d), p->id, p->pid, &d->actions);
        else
            core_worker_ready(d->core, daemon_now(d), p->id, p->pid, &d->actions);
        log_info("worker-ready", LOG_U64("worker", p->id), LOG_U64("pid", (uint64_t)p->pid));
        daemon_deliver(d);
        daemon_tell_ready(d);
        return;
    case LINK_MAPPED:
        handle_mapped(p, f, body);
        return;
    case LINK_LOG:
        handle_log(p, body);
        return;
    case LINK_ITEMS:
    case LINK_DONE:
    case LINK_DONE_ARRAY:
    case LINK_SKIPPED:
        if (f->slot >= PAGE_SLOTS || p->slot[f->slot].task != f->task || f->task == 0 ||
            p->slot[f->slot].attempt != f->attempt || p->slot[f->slot].revoked != (f->type == LINK_SKIPPED)) {
            process_broke(p, "an answer for a task that it was not given, or not so");
            return;
        }
        if (f->type == LINK_ITEMS) {
            handle_items(p, f, body);
            return;
        }
        if (f->type != LINK_SKIPPED) {
            handle_done(p, f, body);
            return;
        }
        p->slot[f->slot].task = 0;
        core_worker_skipped(d->core, daemon_now(d), p->id, f->task, &d->actions);
        daemon_deliver(d);
        return;
    default:
        process_broke(p, "a frame of a type that workers do not send");
    }
}

/* All whole frames that have come. */
static void process_frames(struct process *p)
{
    while (!p->broke) {
        struct span body;
        int r;

        if (!p->have_head) {
            const uint8_t *head = intake_peek(&p->in, sizeof p->head);

            if (!head)
                return;
            memcpy(&p->head, head, sizeof p->head);
            intake_drop(&p->in, sizeof p->head);
            p->have_head = true;
        }
        if (p->head.body_bytes > p->message_max) {
            process_broke(p, "an answer over message_max");
            return;
        }
        r = intake_body(&p->in, p->head.body_bytes, &body);
        if (r < 0)
            daemon_fail(p->s->d, "reading from a worker", r);
        if (r <= 0)
            return;
        p->have_head = false;
        handle_frame(p, &p->head, &body);
        blob_free(body.blob);
    }
}

/* One recv. 1: something came; 0: nothing is there now; -1: the link is at its end. */
static int process_receive(struct process *p)
{
    size_t room;
    void *space = intake_space(&p->in, &room);
    ssize_t got;

    if (!space) {
        daemon_fail(p->s->d, "reading from a worker", -ENOMEM);
        return -1;
    }
    got = recv(p->link_fd, space, room, MSG_DONTWAIT);
    if (got < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -1;
    if (got == 0)
        return -1;
    intake_commit(&p->in, (size_t)got);
    process_frames(p);
    return 1;
}

static int on_link(sd_event_source *s, int fd, uint32_t revents, void *userdata)
{
    struct process *p = userdata;

    (void)s;
    (void)fd;
    if (revents & (EPOLLIN | EPOLLHUP | EPOLLERR) && process_receive(p) < 0)
        process_lose(p);
    else
        mark_dirty(p);
    return 0;
}

/* -- the end ------------------------------------------------------------------------------------------- */

void process_ended(struct process *p)
{
    struct daemon *d = p->s->d;
    struct autopsy autopsy;
    struct rusage usage = { 0 };
    siginfo_t end = { 0 };
    struct core_calls calls;
    struct supervisor *supervisor;

    if (p->abandoned) {
        abandoned_ended(p);
        return;
    }
    if (!p->broke)
        while (process_receive(p) > 0)
            ;
    kill(-p->pid, SIGKILL); /* what it left in its group */
    if (syscall(SYS_waitid, P_PID, p->pid, &end, WEXITED | WNOHANG, &usage) < 0 || end.si_pid == 0) {
        /* Dead, but not ours to reap yet: somebody traces it. The pidfd would say so without rest; SIGCHLD comes
         * when it can be reaped. */
        p->exit_source = sd_event_source_disable_unref(p->exit_source);
        return;
    }
    autopsy_read(p, &end, (uint64_t)usage.ru_maxrss * 1024, &autopsy);
    if (is_stask_process(p->id)) {
        calls = (struct core_calls){ .running = autopsy.words.task, .n = autopsy.words.calls };
        _Static_assert(sizeof calls.begun == sizeof autopsy.words.begun, "the page keeps as many");
        memcpy(calls.begun, autopsy.words.begun, sizeof calls.begun);
        core_stask_gone(d->core, daemon_now(d), p->id, &autopsy.facts, &calls, &d->actions);
    } else {
        if (autopsy.words.task && items_add_left(&p->items, autopsy.words.task, p->page, p->message_max) == 0)
            tell_items(p);
        core_worker_gone(d->core, daemon_now(d), p->id, &autopsy.facts, autopsy.started, autopsy.n_started,
                         &d->actions);
    }
    supervisor = p->s;
    process_free(p); /* before the core's ACT_SPAWN of the same id */
    orphans_end(supervisor);
    daemon_deliver(d);
}

static int on_exit_source(sd_event_source *s, int fd, uint32_t revents, void *userdata)
{
    (void)s;
    (void)fd;
    (void)revents;
    process_ended(userdata);
    return 0;
}
