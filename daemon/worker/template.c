/* SPDX-License-Identifier: MIT */
/*
 * template -- see template.h. It loads a module when the daemon asks for it, so that the workers forked
 * later share its code and data, and forks a worker when the daemon hands it a link and a page.
 *
 * It has one thread, looks that this is so before it forks, and never waits for a module: probe.c tries
 * each in a child, and the link is served meanwhile. What a module does when it is loaded a second time,
 * here, after it passed, is its own; if that kills the template, the daemon starts another.
 *
 * A worker shall be the daemon's child, for only a parent learns the fate of its children: so it is the
 * child of a child that ends at once, and the daemon (a subreaper) inherits it before it is told the pid.
 */
#include "daemon/worker/template.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "daemon/cgroup/cgroup.h"
#include "daemon/worker/command.h"
#include "daemon/worker/log.h"
#include "daemon/worker/probe.h"
#include "proto/message.h"
#include "proto/page.h"

enum { PROBES_MAX = 64, FDS_MAX = 8, EXIT_THREADS = 1, EXIT_PROTOCOL = 2, EXIT_MUTE = 3 };

struct template {
    int link_fd;
    const struct template_options *options;
    struct modules modules;
    TAILQ_HEAD(, probe) probes;
    unsigned n_probes;
    bool mute; /* an answer did not leave: the daemon would wait for it, and must rather see this process end */
    int *born; /* shared with the child in the middle: pid of the worker, or -errno */
    uint8_t packet[LINK_PACKET_BYTES];
};

struct request { /* a packet from the daemon */
    struct link_frame head;
    const uint8_t *body;
    size_t n;
    int fds[FDS_MAX];
    unsigned n_fds;
};

static uint64_t now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* -- packets --------------------------------------------------------------------------------- */

/* A link that is gone is noticed when it is read. */
static void answer(struct template *t, struct link_frame *frame, const void *body, size_t n)
{
    struct iovec iov[2] = { { frame, sizeof *frame }, { (void *)(uintptr_t)body, n } };
    struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };
    ssize_t sent;

    frame->body_bytes = (uint32_t)n;
    while ((sent = sendmsg(t->link_fd, &msg, MSG_NOSIGNAL)) < 0 && errno == EINTR)
        ;
    if (sent < 0 && errno != EPIPE && errno != ECONNRESET) {
        log_say(LOG_LEVEL_ERROR, "template-link", "an answer cannot be sent: %s", strerror(errno));
        t->mute = true;
    }
}

/* 1: *ret is a packet, its descriptors the caller's; 0: the end; -EBADMSG. */
static int receive(struct template *t, struct request *ret)
{
    union {
        struct cmsghdr header;
        uint8_t room[CMSG_SPACE(FDS_MAX * sizeof(int))];
    } control;
    struct iovec iov = { t->packet, sizeof t->packet };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control };
    ssize_t got;

    *ret = (struct request){ .n_fds = 0 };
    do
        got = recvmsg(t->link_fd, &msg, MSG_CMSG_CLOEXEC);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        log_say(LOG_LEVEL_ERROR, "template-link", "it cannot be read: %s", strerror(errno));
    if (got <= 0)
        return 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        ret->n_fds = (unsigned)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
        memcpy(ret->fds, CMSG_DATA(c), ret->n_fds * sizeof(int));
    }
    if ((size_t)got < sizeof ret->head || (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)))
        return -EBADMSG;
    memcpy(&ret->head, t->packet, sizeof ret->head);
    ret->body = t->packet + sizeof ret->head;
    ret->n = (size_t)got - sizeof ret->head;
    return ret->n == ret->head.body_bytes ? 1 : -EBADMSG;
}

/* -- workers --------------------------------------------------------------------------------- */

/* The page of a worker, mapped; NULL and why if it is not what it must be. */
static struct page *map_page(int fd, const char **ret_why)
{
    int seals = fcntl(fd, F_GET_SEALS), wanted = F_SEAL_SHRINK | F_SEAL_GROW;
    struct stat st;
    void *at;

    if (seals < 0 || (seals & wanted) != wanted || fstat(fd, &st) < 0 || st.st_size != PAGE_BYTES) {
        *ret_why = "the second descriptor is not a sealed control page";
        return NULL;
    }
    at = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED) {
        *ret_why = strerror(errno);
        return NULL;
    }
    return at;
}

static bool is_socket(int fd, int wanted)
{
    socklen_t n = sizeof(int);
    int type;

    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &n) == 0 && type == wanted;
}

/* The worker's pid, or -errno. */
static pid_t fork_worker(struct template *t, const struct worker_birth *birth, struct page *page)
{
    pid_t middle, worker;

    *t->born = -ECHILD;
    middle = birth->cgroup_fd >= 0 ? cgroup_fork_into(birth->cgroup_fd) : fork();
    if (middle < 0)
        return birth->cgroup_fd >= 0 ? middle : -errno;
    if (middle == 0) {
        worker = fork();
        if (worker == 0)
            worker_main(birth, page, &t->modules, &t->options->worker);
        *t->born = worker < 0 ? -errno : worker;
        _exit(0);
    }
    while (waitpid(middle, NULL, 0) < 0 && errno == EINTR)
        ;
    return *t->born;
}

static void handle_spawn(struct template *t, const struct request *request)
{
    struct link_frame spawned = { .type = LINK_SPAWNED, .worker = request->head.worker };
    unsigned threads = probe_threads();
    struct page *page = NULL;
    const char *why = NULL;
    char threads_text[64], prefix[NAME_BYTES_MAX + 1];
    pid_t pid;

    if (request->n_fds < 3 || request->n_fds > 4 || !is_socket(request->fds[0], SOCK_STREAM) ||
        !is_socket(request->fds[2], SOCK_SEQPACKET) || request->n > NAME_BYTES_MAX) {
        why = "a process needs three descriptors: a stream socket, its page, and a packet socket";
    } else if (threads != 1) {
        snprintf(threads_text, sizeof threads_text, "the template has %u threads: it cannot fork", threads);
        why = threads_text;
    } else {
        page = map_page(request->fds[1], &why);
    }
    if (page) {
        snprintf(prefix, sizeof prefix, "%.*s", (int)request->n, (const char *)request->body);
        pid = fork_worker(t, &(struct worker_birth){ .id = request->head.worker,
                                                     .link_fd = request->fds[0],
                                                     .fds_fd = request->fds[2],
                                                     .cgroup_fd = request->n_fds == 4 ? request->fds[3] : -1,
                                                     .stask_index = request->head.slot,
                                                     .stask_count = request->head.attempt,
                                                     .uid = request->head.a,
                                                     .prefix = prefix },
                          page);
        munmap(page, PAGE_BYTES);
        if (pid < 0)
            why = strerror(-pid);
        else
            spawned.a = (uint32_t)pid;
    }
    if (why)
        spawned.code = PTOOLS_ERR_SYSTEM;
    answer(t, &spawned, why, why ? strlen(why) : 0);
}

/* -- modules --------------------------------------------------------------------------------- */

static void answer_loaded(struct template *t, ptools_err code, const struct bytes *report)
{
    struct link_frame loaded = { .type = LINK_LOADED, .code = (uint16_t)code };

    answer(t, &loaded, report->data, report->err ? 0 : report->n);
}

/* Why a module is missing or broken, when there is no report of a probe. */
static void answer_problem(struct template *t, const char *name, const char *path, ptools_err code, const char *why)
{
    struct bytes report;

    bytes_init(&report, PROBE_REPORT_BYTES);
    modules_report_problem(name, path, code, why, &report);
    answer_loaded(t, code, &report);
    bytes_deinit(&report);
    log_say(LOG_LEVEL_WARNING, "module-refused", "%s: %s", name, why);
}

/* Loads for good what passed the probe, and answers. */
static void load(struct template *t, const char *name)
{
    char path[PATH_MAX], why[WHY_BYTES];
    struct module *module;
    struct bytes report;
    ptools_err err = modules_load(&t->modules, name, &module, path, why);

    if (err != PTOOLS_OK) {
        answer_problem(t, name, path, err, why);
        return;
    }
    bytes_init(&report, PROBE_REPORT_BYTES);
    modules_report(module, 0, &report);
    answer_loaded(t, PTOOLS_OK, &report);
    bytes_deinit(&report);
}

static void handle_load(struct template *t, const struct request *request)
{
    char name[NAME_BYTES_MAX + 1], why[WHY_BYTES];
    struct probe *probe;
    int r;

    snprintf(name, sizeof name, "%.*s", (int)request->n, (const char *)request->body);
    if (modules_find(&t->modules, name)) {
        load(t, name);
        return;
    }
    r = t->n_probes == PROBES_MAX
            ? -EBUSY
            : probe_new(&t->modules, name, t->link_fd, now_us(), t->options->load_max_us, &probe);
    if (r < 0) {
        snprintf(why, sizeof why, "it cannot be tried now (%u others are): %s", t->n_probes, strerror(-r));
        answer_problem(t, name, "", PTOOLS_ERR_MODULE_BROKEN, why);
        return;
    }
    TAILQ_INSERT_TAIL(&t->probes, probe, link);
    t->n_probes++;
}

static void finish_probe(struct template *t, struct probe *take_probe, bool timed_out)
{
    AUTO(probe) p = take_probe;
    struct bytes report = { .data = p->result->report };
    char why[WHY_BYTES];

    TAILQ_REMOVE(&t->probes, p, link);
    t->n_probes--;
    if (!probe_finish(p, timed_out, why)) {
        answer_problem(t, p->module, "", PTOOLS_ERR_MODULE_BROKEN, why);
    } else if (p->result->code == PTOOLS_OK && p->result->threads == 1) {
        load(t, p->module);
    } else {
        report.n = p->result->n;
        answer_loaded(t, (ptools_err)p->result->code, &report);
    }
}

/* -- the loop -------------------------------------------------------------------------------- */

/* 0: go on; else the status to end with, or -1: the link is at its end. */
static int handle_packet(struct template *t)
{
    struct request request;
    int r = receive(t, &request), status = 0;

    if (r == 0)
        return -1;
    if (r == 1 && request.head.type == LINK_SPAWN) {
        handle_spawn(t, &request);
    } else if (r == 1 && request.head.type == LINK_CLOSE) {
        /* below: the last descriptor of a large memory, whose freeing takes long */
    } else if (r == 1 && request.head.type == LINK_LOAD &&
               name_ok_module((const char *)request.body, request.n)) {
        handle_load(t, &request);
    } else {
        log_say(LOG_LEVEL_ERROR, "protocol", "a packet that is not for a template, type %u", request.head.type);
        status = EXIT_PROTOCOL;
    }
    for (unsigned i = 0; i < request.n_fds; i++)
        close(request.fds[i]);
    return status;
}

/* Until the first probe's time is over; -1: there is none. */
static int poll_timeout_ms(const struct template *t)
{
    uint64_t first = UINT64_MAX, now = now_us();
    const struct probe *p;

    TAILQ_FOREACH(p, &t->probes, link)
        first = MIN(first, p->deadline_us);
    if (first == UINT64_MAX)
        return -1;
    return first <= now ? 0 : (int)((first - now) / 1000 + 1);
}

static int turn(struct template *t)
{
    struct pollfd fds[1 + PROBES_MAX] = { { .fd = t->link_fd, .events = POLLIN } };
    struct probe *p, *next;
    nfds_t n = 1;

    TAILQ_FOREACH(p, &t->probes, link)
        fds[n++] = (struct pollfd){ .fd = p->pidfd, .events = POLLIN };
    if (poll(fds, n, poll_timeout_ms(t)) < 0)
        return errno == EINTR ? 0 : -1;
    n = 1;
    for (p = TAILQ_FIRST(&t->probes); p; p = next) {
        next = TAILQ_NEXT(p, link);
        if (fds[n++].revents)
            finish_probe(t, p, false);
        else if (p->deadline_us <= now_us())
            finish_probe(t, p, true);
    }
    return fds[0].revents ? handle_packet(t) : 0;
}

int template_main(int link_fd, const struct template_options *options)
{
    static struct template t; /* large, for a stack */
    struct link_frame ready = { .type = LINK_TEMPLATE_READY };
    struct probe *p;
    int status = 0;

    t.link_fd = link_fd;
    t.options = options;
    TAILQ_INIT(&t.probes);
    modules_init(&t.modules, options->module_path);
    if (modules_add_own(&t.modules, COMMAND_MODULE, &command_module) != PTOOLS_OK)
        return EXIT_FAILURE;
    t.born = mmap(NULL, sizeof *t.born, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (t.born == MAP_FAILED)
        return EXIT_FAILURE;
    answer(&t, &ready, NULL, 0);
    while (status == 0)
        status = t.mute ? EXIT_MUTE : turn(&t);
    while ((p = TAILQ_FIRST(&t.probes))) {
        TAILQ_REMOVE(&t.probes, p, link);
        probe_free(p);
    }
    munmap(t.born, sizeof *t.born);
    modules_deinit(&t.modules);
    return MAX(status, 0);
}
